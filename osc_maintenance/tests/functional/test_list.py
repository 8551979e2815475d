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

"""The hosts in maintenance, and what their windows call for."""

from osc_maintenance.tests.functional import base

PAST = '2026-01-01T00:00:00Z'


class TestList(base.TestCase):
    def _states(self, *options: str) -> dict[str, str]:
        return {
            row['host']: row['state'] for row in self.rows('list', *options)
        }

    def test_states_and_filters(self) -> None:
        url = f'https://tickets.example.com/{self.scene.name}'
        planned, inside, over, free = (self.scene.host() for _ in range(4))
        self.maintenance('set', planned, '--start', '+4h', '--ticket-url', url)
        self.maintenance('set', inside, '--ticket-url', url + '/2')
        self.maintenance('set', over, '--duration', '1h')
        self.write_metadata(over, window_start=PAST, window_end=PAST)

        ours = {planned: 'planned', inside: 'maintenance', over: 'maintenance'}
        self.assertEqual(ours, self._states())
        self.assertEqual({**ours, free: 'none'}, self._states('--all'))
        self.assertEqual({over: 'maintenance'}, self._states('--overdue'))
        self.assertEqual(
            {planned: 'planned'}, self._states('--ticket-url', url)
        )
        self.assertEqual(
            {planned: 'planned'}, self._states('--state', 'planned')
        )
        self.assertEqual(
            {planned: 'planned', free: 'none'},
            self._states('--state', 'planned', '--state', 'none'),
        )
        self.assertEqual({}, self._states('--state', 'planned', '--overdue'))

    def test_long(self) -> None:
        host = self.scene.host()
        told = self.maintenance('set', host, '--reason', 'kernel')
        (row,) = self.rows('list')
        self.assertEqual(
            {
                name: told[name]
                for name in (
                    'host',
                    'state',
                    'window_start',
                    'window_end',
                    'overdue',
                    'reason',
                    'ticket_url',
                    'cause',
                )
            },
            row,
        )
        (long,) = self.rows('list', '--long')
        self.assertEqual({name: told[name] for name in long}, long)
        self.assertLess(row.keys(), long.keys())
        self.assertIn('disabled_reason', long)
        table = self.openstack('host', 'maintenance', 'list')
        self.assertRegex(table, r'\| Host +\| State +\| Window Start')

    def test_what_only_looks_like_ours(self) -> None:
        lost, enabled, leftover = (self.scene.host() for _ in range(3))
        for host in (lost, enabled):
            self.maintenance('set', host)
        self.lose_aggregate(lost)
        self.set_service(enabled, 'enabled')
        gone = f'gone-{self.scene.name}'
        for host in (gone, leftover):
            self.admin.post(
                'compute',
                '/os-aggregates',
                {'aggregate': {'name': f'maintenance:{host}'}},
            )
        causes = {row['host']: row['cause'] for row in self.rows('list')}
        self.assertEqual({lost, enabled, leftover, gone}, causes.keys())
        self.assertEqual(
            dict.fromkeys(causes, 'error'), self._states('--state', 'error')
        )
        self.assertIn('is gone', causes[lost])
        self.assertIn('is enabled', causes[enabled])
        self.assertIn('holds no record', causes[leftover])
        self.assertIn('no compute service', causes[gone])
        # and each of them can be cleaned up
        for host in causes:
            says = 'no compute service' if host == gone else ''
            self.maintenance('unset', host, says=says)
        self.assertEqual({}, self._states())


class TestApply(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.alone()

    def _apply(self, *options: str) -> dict[str, tuple[str, str, bool]]:
        return {
            row['host']: (row['action'], row['state'], row['changed'])
            for row in self.rows('apply', *options)
        }

    def test_what_the_windows_call_for(self) -> None:
        due, later, over, missed, forever = (
            self.scene.host() for _ in range(5)
        )
        self.set_service(due, 'disabled', 'broken NIC')
        for host in (due, later, missed):
            self.maintenance('set', host, '--start', '+4h', '--end', '+5h')
        self.write_metadata(due, window_start=PAST)
        self.write_metadata(missed, window_start=PAST, window_end=PAST)
        self.maintenance('set', over, '--duration', '1h')
        self.write_metadata(over, window_start=PAST, window_end=PAST)
        self.maintenance('set', forever, '--removal')

        self.assertEqual(
            {
                due: ('entered', 'maintenance', True),
                over: ('overdue', 'maintenance', False),
                missed: ('overdue', 'planned', False),
            },
            self._apply(),
        )
        self.assertEqual('disabled', self.service(due)[0])
        self.assertEqual(
            {
                over: ('overdue', 'maintenance', False),
                missed: ('overdue', 'planned', False),
            },
            self._apply(),
        )
        self.assertEqual(
            {over: ('unset', 'none', True), missed: ('unset', 'none', True)},
            self._apply('--unset-overdue'),
        )
        self.assert_untouched(over)
        self.assert_untouched(missed)
        self.assertEqual({}, self._apply('--unset-overdue'))
        self.maintenance('unset', due)
        self.assertEqual(('disabled', 'broken NIC'), self.service(due))

    def test_one_failure_does_not_keep_it_from_the_others(self) -> None:
        foreign, over = sorted(self.scene.host() for _ in range(2))
        for host in (foreign, over):
            self.maintenance('set', host, '--duration', '1h')
            self.write_metadata(host, window_start=PAST, window_end=PAST)
        self.set_service(foreign, 'disabled', 'disk')
        answer = self.run_openstack(
            *('host', 'maintenance', 'apply', '--unset-overdue'),
            *('-f', 'value', '-c', 'host', '-c', 'action'),
        )
        self.assertEqual(1, answer.code)
        self.assertEqual(
            [f'{foreign} failed', f'{over} unset'],
            [
                line
                for line in answer.stdout.splitlines()
                if self.scene.name in line
            ],
        )
        self.assertEqual(1, len(answer.stderr.splitlines()))
        self.assertIn(f'hosts failed: {foreign}', answer.stderr)
        self.assertEqual(('disabled', 'disk'), self.service(foreign))
        self.assert_untouched(over)
