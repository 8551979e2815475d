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

import collections.abc
import contextlib
import dataclasses
import io
import typing
from unittest import mock

from osc_lib import exceptions

from osc_maintenance import asking
from osc_maintenance import compute
from osc_maintenance import exit_codes
from osc_maintenance import facts
from osc_maintenance.osc import host_maintenance
from osc_maintenance.osc import host_maintenance_show
from osc_maintenance.osc import host_maintenance_unset
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit.osc import base
from osc_maintenance.tests.unit import scenes

CODE = exit_codes.ExitCode
SET = host_maintenance.SetHostMaintenance
SHOW = host_maintenance_show.ShowHostMaintenance
UNSET = host_maintenance_unset.UnsetHostMaintenance
WEB, DB = scenes.server('web'), scenes.server('db')
PET = scenes.server('pet', locked=True)
STUCK = scenes.server('stuck', vm_state='suspended', status='SUSPENDED')
ALL = policy.Policy(policy.ALL)


class DrainTestCase(base.TestCommand):
    def setUp(self) -> None:
        super().setUp()
        self.stderr = io.StringIO()
        redirected = contextlib.redirect_stderr(self.stderr)
        redirected.__enter__()
        self.addCleanup(redirected.__exit__, None, None, None)

    @contextlib.contextmanager
    def interrupted_by_a_move(self) -> collections.abc.Iterator[None]:
        """The first server is moved, and then there is a signal."""
        move = self.clients.servers.live_migrate

        def once(server: servers.Server, target: str | None) -> str | None:
            self.interrupted = True
            return move(server, target)

        with mock.patch.object(self.clients.servers, 'live_migrate', once):
            yield

    def given(
        self, host: compute.Host, *here: servers.Server, there: bool = True
    ) -> None:
        """The host with these servers, and maybe another one."""
        self.clients.nova.hosts = {'compute1': host}
        if there:
            other = fakes.named(scenes.host(), 'compute2')
            self.clients.nova.hosts['compute2'] = other
        load = servers.Load('compute1', here)
        self.clients.servers.loads = {'compute1': load}

    def verdicts(self, told: typing.Any) -> dict[str, str]:
        """The verdicts of an answer, by the names of servers."""
        return {row['name']: row['verdict'] for row in told['verdicts']}

    def recorded(self) -> policy.Policy:
        """The policy that is recorded."""
        record = self.clients.nova.hosts['compute1'].record
        assert record is not None
        return record.policy


class TestDryRun(DrainTestCase):
    def test_nothing_is_changed(self) -> None:
        self.given(scenes.host(), WEB, PET)
        told = self.run_command(
            SET, 'compute1', '--migrate', 'all', '--dry-run'
        )
        self.assertEqual(
            {'web': 'live-migrate', 'pet': 'leave'}, self.verdicts(told)
        )
        self.assertEqual('none', told['state'])
        self.assertEqual('none', told['migrate'])
        self.assertIs(False, told['changed'])
        self.assertNotIn('moves', told)
        self.assertEqual(0, self.clients.changes)
        self.assertEqual('', self.stderr.getvalue())

    def test_what_would_stay(self) -> None:
        self.given(scenes.host(), WEB, STUCK)
        told = self.run_command(
            *(SET, 'compute1', '--migrate', 'all', '--dry-run'),
            code=CODE.STAYED,
        )
        self.assertEqual('blocked', self.verdicts(told)['stuck'])
        self.assertEqual(0, self.clients.changes)

    def test_the_recorded_policy(self) -> None:
        only = policy.Policy(policy.ALL, only=frozenset(['web-id']))
        self.given(
            scenes.entered(request=asking.Request(policy=only)), WEB, DB
        )
        told = self.run_command(SET, 'compute1', '--dry-run')
        self.assertEqual(
            {'web': 'live-migrate', 'db': 'leave'}, self.verdicts(told)
        )
        self.given(scenes.host(), WEB)
        told = self.run_command(SET, 'compute1', '--dry-run')
        self.assertEqual({'web': 'leave'}, self.verdicts(told))

    def test_it_is_refused_as_the_real_one(self) -> None:
        self.given(scenes.host(), WEB)
        for arguments, words in (
            (('--migrate', 'all', '--target-host', 'compute1'), 'emptied'),
            (('--migrate', 'all', '--target-host', 'gone'), 'unknown host'),
            (('--migrate', 'all', '--server', 'gone'), 'no server gone'),
            (('--migrate', 'all', '--project', 'gone'), 'no project gone'),
            (('--migrate', 'all', '--end', '+1h', '--start', '+2h'), '--end'),
            (('--evacuate', '--fenced'), 'compute1 is up'),
        ):
            for dry in ((), ('--dry-run',)):
                with self.subTest(arguments=arguments, dry=dry):
                    told = self.refused(SET, 'compute1', *arguments, *dry)
                    self.assertIn(words, told)

    def test_strict(self) -> None:
        self.given(scenes.host(), WEB, STUCK)
        for dry in ((), ('--dry-run',)):
            told = self.refused(
                SET, 'compute1', '--migrate', 'all', '--strict', *dry
            )
            self.assertIn('stuck (stuck-id): is suspended', told)
        # in maintenance already
        self.given(scenes.entered(), STUCK)
        self.refused(SET, 'compute1', '--migrate', 'all', '--strict')

    def test_what_could_not_be_asked_is_told(self) -> None:
        self.given(scenes.host(), WEB)
        self.clients.servers.listed_groups = None
        self.run_command(SET, 'compute1', '--migrate', 'all', '--dry-run')
        self.assertIn('Server groups are not looked at', self.log.output)

    def test_what_nova_does_not_give_is_told_once(self) -> None:
        self.clients.servers.microversion = (2, 79)
        for dry, expected in (('--dry-run',), 0), ((), 1):
            self.given(scenes.host(), WEB)
            before = len(self.log.output)
            self.run_command(SET, 'compute1', '--migrate', 'all', *dry)
            said = self.log.output[before:]
            self.assertEqual(1, said.count('This Nova (API 2.79)'), said)
            self.assertEqual(1, said.count('(2.96)'))
            # nobody confirms or aborts anything in a dry run
            self.assertEqual(expected, said.count('(2.80)'))

    def test_what_nova_does_not_give_to_show(self) -> None:
        self.clients.servers.microversion = (2, 72)
        self.given(scenes.host(), PET)
        self.run_command(SHOW, 'compute1')
        self.assertEqual('', self.log.output)
        self.run_command(SHOW, 'compute1', '--servers')
        self.assertEqual(
            'This Nova (API 2.72) does not give why a server is locked (2.73):'
            ' no reason is shown\n',
            self.log.output,
        )

    def test_a_host_whose_cell_may_be_down(self) -> None:
        lost = dataclasses.replace(scenes.entered(), service=None)
        self.given(lost)
        for version, told in (((2, 69), False), ((2, 68), True)):
            self.clients.servers.microversion = version
            self.run_command(SHOW, 'compute1')
            self.assertIs(told, '(2.69)' in self.log.output)

    def test_a_usage_error_comes_first(self) -> None:
        self.given(scenes.host(), WEB)
        command, parsed = self.parsed(SET, 'compute1', '--fenced')
        error = self.assertRaises(SystemExit, command.run, parsed)
        self.assertEqual(CODE.USAGE, error.code)
        self.assertIn('--fenced', self.stderr.getvalue())
        self.assertEqual(0, self.clients.changes)


class TestMigrate(DrainTestCase):
    def test_all_are_moved(self) -> None:
        self.given(scenes.host(), WEB, DB)
        told = self.run_command(SET, 'compute1', '--migrate', 'all')
        self.assertEqual(
            ('maintenance', 'all', True, True),
            tuple(
                told[name]
                for name in ('state', 'migrate', 'changed', 'emptied')
            ),
        )
        self.assertEqual(
            {('web', 'moved', 'compute2'), ('db', 'moved', 'compute2')},
            {
                (row['name'], row['outcome'], row['destination'])
                for row in told['moves']
            },
        )
        self.assertEqual(ALL, self.recorded())
        self.assertIn('compute1', self.stderr.getvalue())

    def test_quiet(self) -> None:
        self.app.options.verbose_level = 0
        self.given(scenes.host(), WEB)
        self.run_command(SET, 'compute1', '--migrate', 'all')
        self.assertEqual('', self.stderr.getvalue())

    def test_exit_codes(self) -> None:
        self.given(scenes.host(), WEB, STUCK)
        told = self.run_command(
            SET, 'compute1', '--migrate', 'all', code=CODE.STAYED
        )
        self.assertEqual('error', told['state'])
        self.assertIn('stuck (stuck-id): is suspended', told['cause'])
        self.interrupted = True
        self.given(scenes.host(), WEB)
        told = self.run_command(
            SET, 'compute1', '--migrate', 'all', code=CODE.INTERRUPTED
        )
        self.assertIn('moves', told)

    def test_a_drain_that_was_interrupted_knows_that_it_is_over(self) -> None:
        self.given(scenes.host(), WEB, DB)
        with self.interrupted_by_a_move():
            told = self.run_command(
                *(SET, 'compute1', '--migrate', 'all'),
                *('--max-parallel', '1'),
                code=CODE.INTERRUPTED,
            )
        self.assertEqual('error', told['state'])
        self.assertIn('interrupted, 1 server left', told['cause'])
        # who looks on does not
        self.assertEqual(
            'migrating', self.run_command(SHOW, 'compute1')['state']
        )

    def test_what_is_planned_is_not_moved_yet(self) -> None:
        self.given(scenes.host(), WEB)
        told = self.run_command(
            SET, 'compute1', '--migrate', 'all', '--start', '+1h'
        )
        self.assertEqual(('planned', 'all'), (told['state'], told['migrate']))
        self.assertNotIn('moves', told)
        self.assertEqual(0, self.clients.servers.changes)
        # nor is it checked: much may change until then
        self.given(scenes.host(), STUCK, there=False)
        self.run_command(
            *(SET, 'compute1', '--migrate', 'all', '--strict'),
            *('--start', '+1h'),
        )

    def test_ctrl_c_before_anything_is_reported(self) -> None:
        self.given(scenes.host(), WEB)
        for method, told in (('claim', False), ('set_service', True)):
            self.given(scenes.host(), WEB)
            command, parsed = self.parsed(SET, 'compute1', '--migrate', 'all')
            stopped = mock.patch.object(
                self.clients.nova, method, side_effect=KeyboardInterrupt
            )
            with stopped:
                self.assertRaises(KeyboardInterrupt, command.run, parsed)
            self.assertIs(told, 'run the same command' in self.log.output)

    def test_strict_is_kept_for_when_it_is_entered(self) -> None:
        strict = policy.Policy(policy.ALL, strict=True)
        later = scenes.NOW + 4 * scenes.HOUR
        planned = asking.Request(start=later, policy=strict)
        self.given(scenes.entered(request=planned), WEB, STUCK)
        told = self.refused(SET, 'compute1', '--now')
        self.assertIn('--strict was given', told)
        # but not once it has been
        self.given(
            scenes.entered(request=asking.Request(policy=strict)), STUCK
        )
        self.run_command(SET, 'compute1', code=CODE.STAYED)

    def test_the_maintenance_is_ended_meanwhile(self) -> None:
        def restored() -> None:
            self.clients.nova.hosts['compute1'] = scenes.host()

        def enabled() -> None:
            self.clients.nova.hosts['compute1'] = scenes.disabled_by_somebody(
                self.clients.nova.hosts['compute1'], 'enabled', None
            )

        for meanwhile, state_ in ((restored, 'none'), (enabled, 'error')):
            self.given(scenes.host(), WEB)
            move = self.clients.servers.live_migrate

            def once(
                server: servers.Server,
                target: str | None,
                move: typing.Any = move,
                meanwhile: collections.abc.Callable[[], None] = meanwhile,
            ) -> typing.Any:
                meanwhile()
                return move(server, target)

            with mock.patch.object(self.clients.servers, 'live_migrate', once):
                told = self.run_command(
                    *(SET, 'compute1', '--migrate', 'all'), code=CODE.ERROR
                )
            self.assertEqual(state_, told['state'])
            self.assertEqual('moved', told['moves'][0]['outcome'])
            self.assertIn('is no longer in maintenance', self.log.output)

    def test_a_cell_that_goes_down_is_nobody_s_doing(self) -> None:
        self.given(scenes.host(), WEB)
        move = self.clients.servers.live_migrate

        def once(server: servers.Server, target: str | None) -> str | None:
            host = self.clients.nova.hosts['compute1']
            lost = compute.Service('compute1', '', 'UNKNOWN', '')
            self.clients.nova.hosts['compute1'] = dataclasses.replace(
                host, service=lost
            )
            return move(server, target)

        with mock.patch.object(self.clients.servers, 'live_migrate', once):
            told = self.run_command(SET, 'compute1', '--migrate', 'all')
        self.assertEqual('error', told['state'])
        self.assertIn('its cell is down', told['cause'])
        self.assertIsNone(told['emptied'])
        self.assertNotIn('no longer in maintenance', self.log.output)

    def test_set_alone_goes_on(self) -> None:
        host = scenes.entered(request=asking.Request(policy=ALL))
        self.given(host, WEB)
        told = self.run_command(SET, 'compute1')
        self.assertEqual(['web'], [row['name'] for row in told['moves']])
        self.assertEqual('maintenance', told['state'])
        self.assertEqual(ALL, self.recorded())

    def test_nothing_is_moved_any_more(self) -> None:
        host = scenes.entered(request=asking.Request(policy=ALL))
        self.given(host, WEB)
        told = self.run_command(SET, 'compute1', '--migrate', 'none')
        self.assertNotIn('moves', told)
        self.assertEqual(
            ('maintenance', 'none'), (told['state'], told['migrate'])
        )
        self.assertEqual(0, self.clients.servers.changes)

    def test_none_is_moved_by_default(self) -> None:
        self.given(scenes.host(), WEB)
        told = self.run_command(SET, 'compute1')
        self.assertEqual(
            ('maintenance', 'none'), (told['state'], told['migrate'])
        )
        self.assertNotIn('moves', told)

    def test_an_evacuation(self) -> None:
        down = dataclasses.replace(
            scenes.host(), service=scenes.service(state='down')
        )
        self.given(down, WEB)
        self.refused(SET, 'compute1', '--migrate', 'all')
        told = self.run_command(SET, 'compute1', '--evacuate', '--fenced')
        self.assertEqual(
            [('evacuate', 'web-id', None)], self.clients.servers.writes
        )
        self.assertEqual('all', told['migrate'])

    def test_a_recorded_policy_is_refused_before_anything_is_written(
        self,
    ) -> None:
        host = scenes.entered(request=asking.Request(policy=ALL))
        assert host.service is not None
        down = dataclasses.replace(host.service, state='down')
        self.given(dataclasses.replace(host, service=down), WEB)
        self.assertIn('is down', self.refused(SET, 'compute1'))
        command, parsed = self.parsed(SET, 'compute1', '--reason', 'kernel')
        self.assertEqual(CODE.REFUSED, command.run(parsed))
        self.assertEqual(0, self.clients.changes)

    def test_how_it_ended_is_told_though_the_answer_fails(self) -> None:
        self.given(scenes.host(), STUCK)
        command, parsed = self.parsed(SET, 'compute1', '--migrate', 'all')
        refusal = exceptions.CommandError('Aggregate: no')
        with mock.patch.object(facts, 'emptied', side_effect=refusal):
            self.assertEqual(CODE.STAYED, command.run(parsed))
        self.assertIn('This is done, but', self.log.output)
        self.assertIn('Aggregate: no', self.log.output)


class TestShow(DrainTestCase):
    def test_verdicts(self) -> None:
        only = policy.Policy(policy.ALL, only=frozenset(['web-id']))
        for host, expected in (
            (
                scenes.entered(request=asking.Request(policy=only)),
                {'web': 'live-migrate', 'db': 'leave', 'pet': 'leave'},
            ),
            # as --migrate all would
            (
                scenes.entered(),
                {'web': 'live-migrate', 'db': 'live-migrate', 'pet': 'leave'},
            ),
            (
                scenes.host(),
                {'web': 'live-migrate', 'db': 'live-migrate', 'pet': 'leave'},
            ),
        ):
            self.given(host, WEB, DB, PET)
            told = self.run_command(SHOW, 'compute1', '--servers')
            self.assertEqual(expected, self.verdicts(told))
            self.assertEqual(0, self.clients.changes)
            self.assertNotIn('verdicts', self.run_command(SHOW, 'compute1'))

    def test_a_table_has_a_line_for_each(self) -> None:
        self.given(scenes.host(), WEB, STUCK)
        self.app.stdout = io.StringIO()
        command, parsed = self.parsed(
            SHOW, 'compute1', '--servers', '-c', 'verdicts'
        )
        self.assertEqual(CODE.DONE, command.run(parsed))
        table = self.app.stdout.getvalue()
        self.assertIn('| Verdicts | web (web-id): live-migrate ', table)
        self.assertIn('|          | stuck (stuck-id): blocked: is ', table)
