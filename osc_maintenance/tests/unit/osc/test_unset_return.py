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

"""``unset --return-servers``."""

import dataclasses
import re

from osc_lib import exceptions

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import exit_codes
from osc_maintenance import journal
from osc_maintenance import noting
from osc_maintenance.osc import host_maintenance
from osc_maintenance.osc import host_maintenance_show
from osc_maintenance.osc import host_maintenance_unset
from osc_maintenance.tests.unit.osc import test_set_drain
from osc_maintenance.tests.unit import scenes

CODE = exit_codes.ExitCode
SET = host_maintenance.SetHostMaintenance
SHOW = host_maintenance_show.ShowHostMaintenance
UNSET = host_maintenance_unset.UnsetHostMaintenance
ALL, PET = test_set_drain.ALL, test_set_drain.PET
WEB, DB = test_set_drain.WEB, test_set_drain.DB


class TestReturnServers(test_set_drain.DrainTestCase):
    def test_a_return_is_of_the_whole(self) -> None:
        self.given(scenes.entered())
        for option in ('--reason', '--ticket-url', '--window'):
            command, parsed = self.parsed(
                UNSET, 'compute1', '--return-servers', option
            )
            error = self.assertRaises(SystemExit, command.run, parsed)
            self.assertEqual(CODE.USAGE, error.code)
            self.assertIn('--return-servers', self.stderr.getvalue())
            self.assertEqual(0, self.clients.changes)

    def test_servers_come_back(self) -> None:
        self.given(scenes.host(), WEB, PET)
        self.run_command(SET, 'compute1', '--migrate', 'all')
        self.assertEqual((PET,), self.clients.servers.on('compute1'))
        told = self.run_command(UNSET, 'compute1', '--return-servers')
        self.assertEqual(
            [('web', 'moved', 'compute1')],
            [
                (row['name'], row['outcome'], row['destination'])
                for row in told['moves']
            ],
        )
        self.assertEqual(('none', True), (told['state'], told['changed']))
        here = {server.id for server in self.clients.servers.on('compute1')}
        self.assertEqual({'web-id', 'pet-id'}, here)
        self.assertEqual('enabled', told['service_status'])
        self.assertIsNone(self.clients.nova.hosts['compute1'].aggregate)

    def test_what_nova_does_not_give_is_told(self) -> None:
        off = scenes.server('off', vm_state='stopped', status='SHUTOFF')
        for here, matters in (
            ((WEB, off), ['(2.56)', '(2.80)']),
            ((WEB,), ['(2.80)']),
            ((), []),
        ):
            self.clients.servers.microversion = (2, 96)
            self.given(scenes.host(), *here)
            self.run_command(SET, 'compute1', '--migrate', 'all')
            self.clients.servers.microversion = (2, 53)
            before = len(self.log.output)
            self.run_command(UNSET, 'compute1', '--return-servers')
            said = self.log.output[before:]
            told = re.findall(r'\(2\.\d+\)', said)
            self.assertEqual(matters, told, said)

    def test_servers_stay_away_if_that_is_not_asked(self) -> None:
        self.given(scenes.host(), WEB)
        self.run_command(SET, 'compute1', '--migrate', 'all')
        told = self.run_command(UNSET, 'compute1')
        self.assertEqual('none', told['state'])
        self.assertNotIn('moves', told)
        self.assertEqual((), self.clients.servers.on('compute1'))

    def test_the_pace_of_what_does_not_move(self) -> None:
        for option in (
            ('--max-parallel', '2'),
            ('--server-timeout', '1m'),
            ('--on-timeout', 'leave'),
            ('--timeout', '1h'),
            ('--retries', '0'),
            ('--wait',),
            ('--no-wait',),
        ):
            command, parsed = self.parsed(UNSET, 'compute1', *option)
            self.stderr.truncate(0)
            error = self.assertRaises(SystemExit, command.run, parsed)
            self.assertEqual(CODE.USAGE, error.code)
            said = self.stderr.getvalue()
            self.assertIn(option[0], said)
            self.assertIn('goes with --return-servers', said)
        self.assertEqual(0, self.clients.changes)

    def test_a_return_that_is_handed_over_keeps_the_record(self) -> None:
        self.given(scenes.host(), WEB)
        self.run_command(SET, 'compute1', '--migrate', 'all')
        self.app.options.verbose_level = 0
        self.stderr.truncate(0)
        self.run_command(UNSET, 'compute1', '--return-servers', '--no-wait')
        self.assertEqual('', self.stderr.getvalue())
        self.assertTrue(self.clients.nova.hosts['compute1'].journal.returning)
        told = self.run_command(UNSET, 'compute1', '--return-servers')
        self.assertEqual('none', told['state'])

    def test_what_was_stopped_does_not_run_again(self) -> None:
        noted = change.WriteRecord(
            noting.stopping(journal.Journal(), ['web-id'])
        )
        off = dataclasses.replace(WEB, host='compute1', vm_state='stopped')
        self.given(scenes.after(scenes.entered(), noted), off)
        refusal = exceptions.CommandError('no valid port binding')
        self.clients.servers.refusals['web-id'] = refusal
        told = self.run_command(
            UNSET, 'compute1', '--return-servers', code=CODE.STAYED
        )
        self.assertEqual('none', told['state'])
        (row,) = told['started']
        self.assertEqual('no valid port binding', row['cause'])

    def test_what_somebody_else_has_stopped_since(self) -> None:
        noted = change.WriteRecord(
            noting.stopping(journal.Journal(), ['web-id'], user='alice')
        )
        off = dataclasses.replace(WEB, host='compute1', vm_state='stopped')
        for option in ((), ('--return-servers',)):
            self.given(scenes.after(scenes.entered(), noted), off)
            self.clients.servers.stoppers['web-id'] = 'bob'
            self.log.reset_output()
            told = self.run_command(UNSET, 'compute1', *option)
            self.assertEqual('none', told['state'])
            self.assertEqual([], told['started'])
            # it is looked for more than once
            said = self.log.output
            self.assertEqual(1, said.count('web (web-id)'), said)
            self.assertIn(
                'compute1: 1 server left stopped, each started or stopped by '
                'somebody else since: web (web-id)\n',
                said,
            )

    def test_an_interrupted_return_goes_on(self) -> None:
        self.given(scenes.host(), WEB)
        self.run_command(SET, 'compute1', '--migrate', 'all')
        self.interrupted = True
        told = self.run_command(
            UNSET, 'compute1', '--return-servers', code=CODE.INTERRUPTED
        )
        # the service is back, and the record is kept
        self.assertEqual('enabled', told['service_status'])
        self.assertTrue(self.clients.nova.hosts['compute1'].journal.returning)
        self.interrupted = False
        told = self.run_command(UNSET, 'compute1', '--return-servers')
        self.assertEqual('none', told['state'])
        self.assertEqual(1, len(self.clients.servers.on('compute1')))

    def test_an_interrupted_return_knows_that_it_is_over(self) -> None:
        self.given(scenes.host(), WEB, DB)
        self.run_command(SET, 'compute1', '--migrate', 'all')
        with self.interrupted_by_a_move():
            told = self.run_command(
                *(UNSET, 'compute1', '--return-servers'),
                *('--max-parallel', '1'),
                code=CODE.INTERRUPTED,
            )
        self.assertEqual('error', told['state'])
        self.assertIn('unset --return-servers again', told['cause'])
        self.assertEqual(
            'migrating', self.run_command(SHOW, 'compute1')['state']
        )

    def test_a_return_to_a_host_that_is_down_is_refused(self) -> None:
        host = scenes.entered(request=asking.Request(policy=ALL))
        assert host.service is not None
        down = dataclasses.replace(host.service, state='down')
        self.given(dataclasses.replace(host, service=down))
        told = self.refused(UNSET, 'compute1', '--return-servers')
        self.assertIn('is down', told)
