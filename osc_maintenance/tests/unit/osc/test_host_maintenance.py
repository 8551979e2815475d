#   Licensed under the Apache License, Version 2.0 (the "License"); you may
#   not use this file except in compliance with the License. You may obtain
#   a copy of the License at
#
#       http://www.apache.org/licenses/LICENSE-2.0
#
#   Unless required by applicable law or agreed to in writing, software
#   distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#   WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#   License for the specific language governing permissions and limitations
#   under the License.

import contextlib
import io
from unittest import mock

from osc_lib import exceptions

from osc_maintenance import asking
from osc_maintenance import exit_codes
from osc_maintenance.osc import host_maintenance
from osc_maintenance.osc import host_maintenance_show
from osc_maintenance.osc import host_maintenance_unset
from osc_maintenance.tests.unit.osc import base
from osc_maintenance.tests.unit import scenes

NOW, HOUR = scenes.NOW, scenes.HOUR
SET = host_maintenance.SetHostMaintenance
UNSET = host_maintenance_unset.UnsetHostMaintenance
SHOW = host_maintenance_show.ShowHostMaintenance


class TestSet(base.TestCommand):
    def test_arguments(self) -> None:
        _command, parsed = self.parsed(
            SET,
            *('compute1', '--reason', ' kernel ', '--start', '+1h'),
            *('--duration', '2h', '--ticket-url', 'https://t.example.com/7'),
        )
        for name, value in (
            ('host', 'compute1'),
            ('reason', 'kernel'),
            ('ticket_url', 'https://t.example.com/7'),
            ('start', NOW + HOUR),
            ('end', None),
            ('duration', 2 * HOUR),
            ('removal', False),
            ('now', False),
        ):
            self.assertEqual(value, getattr(parsed, name), name)

    def test_usage_errors_name_the_option(self) -> None:
        for arguments, named in (
            ((), '<host>'),
            (('',), '<host>'),
            (('a\udcff',), '<host>'),
            (('c', '--start', 'soon'), '--start'),
            (('c', '--end', 'soon'), '--end'),
            (('c', '--duration', '90'), '--duration'),
            (('c', '--reason', ''), '--reason'),
            (('c', '--reason', 'a\x1bb'), '--reason'),
            (('c', '--ticket-url', 'x'), '--ticket-url'),
            (('c', '--end', '+1h', '--removal'), '--removal'),
            (('c', '--end', '+1h', '--duration', '1h'), '--duration'),
            (('c', '--now', '--start', 'now'), '--start'),
        ):
            with self.subTest(arguments=arguments):
                self.assertIn(named, self.usage_error(SET, *arguments))

    def test_every_option_arrives(self) -> None:
        self.clients.nova.hosts = {'compute1': scenes.host()}
        told = self.run_command(
            SET,
            *('compute1', '--reason', 'kernel', '--start', '+1h'),
            *('--duration', '2h', '--ticket-url', 'https://t.example.com/7'),
        )
        self.assertEqual(
            {
                'state': 'planned',
                'reason': 'kernel',
                'ticket_url': 'https://t.example.com/7',
                'window_start': '2026-11-20T07:00:00Z',
                'window_end': '2026-11-20T09:00:00Z',
                'changed': True,
                'emptied': True,
                'set_by': 'alice',
            },
            {
                name: told[name]
                for name in (
                    'state',
                    'reason',
                    'ticket_url',
                    'window_start',
                    'window_end',
                    'changed',
                    'emptied',
                    'set_by',
                )
            },
        )
        told = self.run_command(SET, 'compute1', '--now', '--removal')
        self.assertEqual('maintenance', told['state'])
        self.assertIs(True, told['removal'])
        self.assertIsNone(told['window_end'])
        told = self.run_command(SET, 'compute1', '--end', '+2h')
        self.assertEqual('2026-11-20T08:00:00Z', told['window_end'])
        self.assertIs(False, self.run_command(SET, 'compute1')['changed'])

    def test_a_refusal_is_logged(self) -> None:
        self.clients.nova.hosts = {'compute1': scenes.entered()}
        self.assertIn(
            'unset it first', self.refused(SET, 'compute1', '--start', '+1h')
        )

    def test_the_help_is_laid_out(self) -> None:
        command, _parsed = self.parsed(SET, 'compute1')
        said = command.get_parser('openstack').format_help()
        self.assertIn('or plan it.\n\nNo new server', said)
        self.assertIn('\nExample::\n\n    $ openstack host', said)
        self.assertNotIn('code-block', said)


class TestUnset(base.TestCommand):
    def test_the_whole(self) -> None:
        self.clients.nova.hosts = {'compute1': scenes.entered()}
        told = self.run_command(UNSET, 'compute1')
        self.assertEqual(('none', True), (told['state'], told['changed']))
        self.assertEqual('', self.log.output)
        told = self.run_command(UNSET, 'compute1')
        self.assertEqual(('none', False), (told['state'], told['changed']))
        self.assertIn('compute1 is not in maintenance', self.log.output)

    def test_force(self) -> None:
        self.clients.nova.hosts = {
            'compute1': scenes.disabled_by_somebody(scenes.entered())
        }
        self.assertIn('unset --force', self.refused(UNSET, 'compute1'))
        told = self.run_command(UNSET, 'compute1', '--force')
        self.assertEqual('enabled', told['service_status'])

    def test_one_property(self) -> None:
        for option, field in (
            ('--reason', 'reason'),
            ('--ticket-url', 'ticket_url'),
            ('--window', 'window_end'),
        ):
            with self.subTest(option=option):
                request = asking.Request(
                    reason='kernel',
                    ticket_url='https://t.example.com/7',
                    duration=HOUR,
                )
                self.clients.nova.hosts = {
                    'compute1': scenes.entered(request=request)
                }
                told = self.run_command(UNSET, 'compute1', option)
                fields = {'reason', 'ticket_url', 'window_end'}
                self.assertEqual(
                    {field}, {name for name in fields if told[name] is None}
                )
                self.assertEqual(
                    ('maintenance', True), (told['state'], told['changed'])
                )
                again = self.run_command(UNSET, 'compute1', option)
                self.assertIs(False, again['changed'])

    def test_one_property_of_nothing(self) -> None:
        self.clients.nova.hosts = {'compute1': scenes.host()}
        told = self.run_command(UNSET, 'compute1', '--window')
        self.assertIs(False, told['changed'])
        self.assertIn('compute1 is not in maintenance', self.log.output)

    def test_force_is_for_the_whole(self) -> None:
        self.clients.nova.hosts = {'compute1': scenes.entered()}
        command, parsed = self.parsed(UNSET, 'compute1', '--force', '--window')
        with contextlib.redirect_stderr(io.StringIO()) as said:
            error = self.assertRaises(SystemExit, command.run, parsed)
        self.assertEqual(exit_codes.ExitCode.USAGE, error.code)
        self.assertIn('--force', said.getvalue())
        self.assertEqual([], self.clients.nova.writes)

    def test_what_is_done_is_told_though_the_answer_fails(self) -> None:
        self.clients.nova.hosts = {'compute1': scenes.entered()}
        command, parsed = self.parsed(UNSET, 'compute1')
        refusal = exceptions.CommandError('Servers on compute1: no')
        with mock.patch.object(
            self.clients.servers, 'on', side_effect=refusal
        ):
            error = self.assertRaises(
                exceptions.CommandError, command.run, parsed
            )
            self.assertIn('This is done', str(error))
            self.assertIn('Servers on compute1: no', str(error))
            # nothing is done the second time
            self.clients.nova.writes.clear()
            error = self.assertRaises(
                exceptions.CommandError, command.run, parsed
            )
            self.assertNotIn('This is done', str(error))


class TestShow(base.TestCommand):
    def test_it_writes_nothing(self) -> None:
        self.clients.nova.hosts = {'compute1': scenes.entered()}
        told = self.run_command(SHOW, 'compute1')
        self.assertEqual('maintenance', told['state'])
        self.assertNotIn('changed', told)
        self.assertEqual([], self.clients.nova.writes)

    def test_the_servers_are_asked_for_once(self) -> None:
        self.clients.nova.hosts = {'compute1': scenes.entered()}
        nova = self.clients.servers
        nova.loads = {'compute1': scenes.load({'ACTIVE': 2})}
        with mock.patch.object(nova, 'on', side_effect=nova.on) as asked:
            told = self.run_command(SHOW, 'compute1', '--servers', '--owners')
        self.assertEqual(2, len(told['verdicts']))
        self.assertEqual([2], [row['servers'] for row in told['owners']])
        self.assertEqual({'ACTIVE': 2}, told['servers'])
        asked.assert_called_once_with('compute1')

    def test_what_placement_does_not_say_is_told(self) -> None:
        self.clients.nova.hosts = {'compute1': scenes.host()}
        self.clients.placement.left = None
        self.assertIsNone(self.run_command(SHOW, 'compute1')['emptied'])
        self.assertIn('Placement cannot be asked', self.log.output)

    def test_a_table_is_in_words(self) -> None:
        self.clients.nova.hosts = {'compute1': scenes.entered()}
        self.app.stdout = io.StringIO()
        command, parsed = self.parsed(
            SHOW, *('compute1', '-c', 'window_end', '-c', 'Emptied')
        )
        command.run(parsed)
        table = self.app.stdout.getvalue()
        self.assertIn('| Window End | -     |', table)
        self.assertIn('| Emptied    | yes   |', table)
