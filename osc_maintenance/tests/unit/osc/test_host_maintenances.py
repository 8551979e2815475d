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

import datetime
import io
from unittest import mock

from osc_maintenance import asking
from osc_maintenance import exit_codes
from osc_maintenance.nova import api
from osc_maintenance.osc import host_maintenances
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance import state
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit.osc import base
from osc_maintenance.tests.unit import scenes

NOW, HOUR = scenes.NOW, scenes.HOUR
LIST = host_maintenances.ListHostMaintenance
APPLY = host_maintenances.ApplyHostMaintenance


class TestList(base.TestCommand):
    def setUp(self) -> None:
        super().setUp()
        url = 'https://t.example.com/7'
        over = scenes.entered(
            request=asking.Request(duration=HOUR, ticket_url=url),
            now=NOW - 2 * HOUR,
        )
        hosts = (
            fakes.named(scenes.host(), 'free'),
            fakes.named(scenes.planned(), 'planned'),
            fakes.named(over, 'over'),
        )
        self.clients.nova.hosts = {host.name: host for host in hosts}

    def test_one_of_which_nova_tells_nothing(self) -> None:
        def migrations(host: str) -> tuple[servers.Migration, ...]:
            if host == 'over':
                raise api.TransientError('HTTP 504')
            return ()

        entered = fakes.named(scenes.entered(), 'in')
        self.clients.nova.hosts['in'] = entered
        with mock.patch.object(self.clients.servers, 'migrations', migrations):
            rows = self.run_command(LIST, '--long', code=1)
            self.assertEqual(
                {'in': 'maintenance', 'over': 'error', 'planned': 'planned'},
                {row['host']: row['state'] for row in rows},
            )
            (over,) = (row for row in rows if row['host'] == 'over')
            self.assertEqual('HTTP 504', over['cause'])
            self.assertIsNone(over['migrations_out'])
            # it might be one of those that are asked for
            rows = self.run_command(LIST, '--state', 'maintenance', code=1)
        self.assertEqual(['in'], [row['host'] for row in rows])
        self.assertIn('1 of 3 hosts cannot be read: over', self.log.output)

    def _hosts(self, *options: str) -> list[str]:
        return [row['host'] for row in self.run_command(LIST, *options)]

    def test_filters(self) -> None:
        for options, hosts in (
            ((), ['over', 'planned']),
            (('--all',), ['free', 'over', 'planned']),
            (('--state', 'planned'), ['planned']),
            (('--state', 'none'), ['free']),
            (('--state', 'none', '--state', 'planned'), ['free', 'planned']),
            (('--overdue',), ['over']),
            (('--overdue', '--state', 'planned'), []),
            (('--ticket-url', 'https://t.example.com/7'), ['over']),
            (('--ticket-url', 'https://t.example.com/'), []),
        ):
            with self.subTest(options=options):
                self.assertEqual(hosts, self._hosts(*options))

    def test_fields(self) -> None:
        short = self.run_command(LIST)[0].keys()
        long = self.run_command(LIST, '--long')[0].keys()
        self.assertLess(short, long)
        self.assertIn('cause', short)
        self.assertIn('disabled_reason', long)
        self.assertNotIn('emptied', long)

    def test_sorting(self) -> None:
        self.assertEqual(
            ['over', 'planned', 'free'],
            self._hosts('--all', '--sort-column', 'Window Start'),
        )
        self.assertEqual(
            ['over', 'planned', 'free'],
            self._hosts('--all', '--long', '--sort-column', 'retry_after'),
        )

    def test_an_unknown_state(self) -> None:
        self.assertIn('--state', self.usage_error(LIST, '--state', 'gone'))


class TestApply(base.TestCommand):
    def test_a_failure_after_the_table(self) -> None:
        due = scenes.entered(
            request=asking.Request(start=NOW - HOUR), now=NOW - 2 * HOUR
        )
        hosts = [fakes.named(due, name) for name in ('bad', 'good')]
        self.clients.nova.hosts = {host.name: host for host in hosts}
        self.clients.nova.broken = {'bad'}
        self.app.stdout = io.StringIO()
        command, parsed = self.parsed(
            APPLY, *('-f', 'value', '-c', 'host', '-c', 'action')
        )
        self.assertEqual(exit_codes.ExitCode.ERROR, command.run(parsed))
        self.assertEqual(
            'bad failed\ngood entered\n', self.app.stdout.getvalue()
        )
        self.assertEqual('1 of 2 hosts failed: bad\n', self.log.output)

    def test_what_nova_does_not_give_is_told_once(self) -> None:
        due = scenes.entered(
            request=asking.Request(
                start=NOW - HOUR, policy=policy.Policy(policy.ALL)
            ),
            now=NOW - 2 * HOUR,
        )
        for name in ('a', 'b'):
            self.clients.nova.hosts[name] = fakes.named(due, name)
            self.clients.servers.loads[name] = servers.Load(
                name, (scenes.server(f'web-{name}'),)
            )
        there = fakes.named(scenes.host(), 'compute2')
        self.clients.nova.hosts['compute2'] = there
        self.clients.servers.microversion = (2, 95)
        rows = self.run_command(APPLY)
        self.assertEqual(['entered'] * 2, [row['action'] for row in rows])
        self.assertEqual(
            'This Nova (API 2.95) does not give which availability zone a '
            'server is pinned to (2.96): none is assumed\n',
            self.log.output,
        )

    def test_overdue_is_ended_only_if_asked(self) -> None:
        over = scenes.entered(
            request=asking.Request(duration=HOUR),
            now=NOW - datetime.timedelta(days=1),
        )
        self.clients.nova.hosts = {'compute1': over}
        (row,) = self.run_command(APPLY)
        self.assertEqual(('overdue', False), (row['action'], row['changed']))
        self.assertEqual([], self.clients.nova.writes)
        (row,) = self.run_command(APPLY, '--unset-overdue')
        self.assertEqual(('unset', True), (row['action'], row['changed']))
        self.assertEqual(
            state.State.NONE,
            state.derive(
                self.clients.nova.hosts['compute1'], scenes.NOTHING, NOW
            ).state,
        )
        self.assertEqual([], self.run_command(APPLY, '--unset-overdue'))
