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

import dataclasses

from osc_lib import exceptions

from osc_maintenance.osc import server_maintenance
from osc_maintenance import servers
from osc_maintenance.tests.unit.osc import base
from osc_maintenance.tests.unit import scenes

LIST = server_maintenance.ListServerMaintenance
SHOW = server_maintenance.ShowServerMaintenance
REPLY = server_maintenance.AcknowledgeServerMaintenance


def told(name: str, start: str, project: str = '') -> servers.Server:
    """A server whose owner has a notice."""
    said = {
        'maintenance:id': '3f9a1c2e',
        'maintenance:action': 'live-migrate',
        'maintenance:window_start': start,
    }
    return servers.Server(f'{name}-id', name, project, said=said)


class ServerMaintenanceTestCase(base.TestCommand):
    def setUp(self) -> None:
        super().setUp()
        here = (
            told('late', '2026-11-20T10:00:00Z'),
            told('odd', 'whenever'),
            told('soon', '2026-11-20T07:00:00Z'),
            servers.Server('calm-id', 'calm'),
            told('theirs', '2026-11-20T07:00:00Z', project='another'),
        )
        self.clients.servers.loads = {'h1': servers.Load('h1', here)}


class TestList(ServerMaintenanceTestCase):
    def names(self, *options: str) -> list[str]:
        return [row['name'] for row in self.run_command(LIST, *options)]

    def test_the_next_comes_first(self) -> None:
        self.assertEqual(['soon', 'late', 'odd'], self.names())
        self.assertEqual(
            ['soon', 'theirs', 'late', 'odd'], self.names('--all-projects')
        )

    def test_fields(self) -> None:
        short = self.run_command(LIST)[0].keys()
        self.assertEqual(
            {'project'},
            self.run_command(LIST, '--all-projects')[0].keys() - short,
        )
        self.assertEqual(
            {
                *('maintenance', 'seconds_until_start', 'policy', 'replies'),
                *('seconds_until_reply_by', 'reply_reason'),
            },
            self.run_command(LIST, '--long')[0].keys() - short,
        )

    def test_servers_whose_cell_is_down(self) -> None:
        self.run_command(LIST)
        self.assertEqual('', self.log.output)
        unknown = scenes.server('', status='UNKNOWN')
        self.clients.servers.loads['lost'] = servers.Load('lost', (unknown,))
        self.run_command(LIST)
        self.assertIn('whose cell is down: 1', self.log.output)


class TestShow(ServerMaintenanceTestCase):
    def test_by_name_and_id(self) -> None:
        for word in ('soon', 'soon-id'):
            shown = self.run_command(SHOW, word)
            self.assertEqual(
                ('soon-id', 'live-migrate', 3600),
                (shown['id'], shown['action'], shown['seconds_until_start']),
            )

    def test_no_maintenance_is_known(self) -> None:
        made, parsed = self.parsed(SHOW, 'calm')
        error = self.assertRaises(exceptions.CommandError, made.run, parsed)
        self.assertIn('No maintenance is known of server calm', str(error))

    def test_the_clock(self) -> None:
        # the tests above count from here
        self.assertEqual('2026-11-20T06:00', scenes.NOW.isoformat()[:16])


class TestAcknowledge(ServerMaintenanceTestCase):
    def setUp(self) -> None:
        super().setUp()
        asked = {
            'maintenance:reply_by': '2026-11-20T07:00:00Z',
            'maintenance:replies': 'move keep own-action not-ready',
        }
        soon = told('soon', '2026-11-20T07:00:00Z')
        stays = {'maintenance:action': 'stay'}
        self.clients.servers.loads['h2'] = servers.Load(
            'h2',
            (
                dataclasses.replace(
                    soon, id='web-id', name='web', said={**soon.said, **asked}
                ),
                dataclasses.replace(
                    soon,
                    id='pet-id',
                    name='pet',
                    said={**soon.said, **asked, **stays},
                ),
            ),
        )

    def said(self, name: str = 'web') -> str | None:
        """The reply that is kept."""
        return self.clients.owned.find(name).said.get('maintenance:reply')

    def test_each_answer(self) -> None:
        for options, word in (
            ((), 'move'),
            (('--keep',), 'keep'),
            (('--own-action',), 'own-action'),
            (('--not-ready',), 'not-ready'),
            (('--move',), 'move'),
        ):
            answer = self.run_command(REPLY, 'web', *options)
            self.assertEqual(
                ('web-id', word, None, True),
                tuple(
                    answer[name]
                    for name in ('id', 'reply', 'reply_reason', 'changed')
                ),
            )
            self.assertEqual(f'3f9a1c2e {word}', self.said())
            again = self.run_command(REPLY, 'web', *options)
            self.assertIs(False, again['changed'])

    def test_a_reason(self) -> None:
        answer = self.run_command(
            REPLY, 'web', '--not-ready', '--reason', ' a release: wait '
        )
        self.assertEqual('a release: wait', answer['reply_reason'])
        self.assertEqual('3f9a1c2e not-ready: a release: wait', self.said())
        said = self.usage_error(REPLY, 'web', '--reason', 'x' * 201)
        self.assertIn('at most 200 fit', said)

    def test_ready_for_what_is_announced(self) -> None:
        self.assertEqual('keep', self.run_command(REPLY, 'pet')['reply'])
        answer = self.run_command(REPLY, 'pet', '--move')
        self.assertEqual('move', answer['reply'])

    def test_there_is_nothing_to_reply_to(self) -> None:
        for name, why in (
            ('calm', 'no maintenance is known'),
            ('soon', 'do not ask for replies'),
        ):
            said = self.refused(REPLY, name)
            self.assertIn(f'{name} ({name}-id): ', said)
            self.assertIn(why, said)
        self.assertEqual([], self.clients.owned.writes)

    def test_one_answer(self) -> None:
        said = self.usage_error(REPLY, 'web', '--move', '--keep')
        self.assertIn('not allowed with argument', said)
