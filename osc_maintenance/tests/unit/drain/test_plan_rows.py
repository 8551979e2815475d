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

"""What is said of each server before it is moved."""

import dataclasses
from unittest import mock


from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import test_plan
from osc_maintenance.tests.unit import scenes

WEB, DB, LOCKED = test_plan.WEB, test_plan.DB, test_plan.LOCKED
migration = test_plan.migration


class TestRows(test_plan.PlanTestCase):
    def _rows(
        self, *here: servers.Server, migrations: list[servers.Migration]
    ) -> list[tuple[str, str, str | None]]:
        rows = self.plan(*here, migrations=tuple(migrations)).rows()
        return [(row['name'], row['verdict'], row['cause']) for row in rows]

    def test_the_contract(self) -> None:
        evil = dataclasses.replace(
            LOCKED, name='a\x1bb', locked_reason='\x1b[2J', status='PAU\x1bSED'
        )
        self.assertEqual(
            [
                {
                    'id': 'web-id',
                    'name': 'web',
                    'project': 'p1',
                    'status': 'ACTIVE',
                    'verdict': 'live-migrate',
                    'cause': None,
                },
                {
                    'id': 'pet-id',
                    'name': r'a\x1bb',
                    'project': '',
                    'status': r'PAU\x1bSED',
                    'verdict': 'leave',
                    'cause': r'locked: \x1b[2J (--include-locked moves it)',
                },
            ],
            self.plan(WEB, evil).rows(),
        )

    def test_what_moves_already(self) -> None:
        moving = dataclasses.replace(WEB, task_state='migrating')
        resizing = dataclasses.replace(WEB, task_state='resize_migrating')
        for server, found, action, cause in (
            (
                moving,
                migration('web', 'running'),
                'live-migrate',
                'running, on its way to compute2',
            ),
            (
                moving,
                migration('web', 'accepted', dest=None),
                'live-migrate',
                'accepted, on its way to a host that is being chosen',
            ),
            (
                resizing,
                migration('web', 'migrating', kind=servers.COLD_MIGRATION),
                'cold-migrate',
                'migrating, on its way to compute2',
            ),
            (
                resizing,
                migration('web', 'migrating', kind=servers.RESIZE),
                'blocked',
                'a task is under way: resize_migrating',
            ),
            # an earlier one
            (WEB, migration('web', 'error'), 'live-migrate', None),
        ):
            with self.subTest(found=found):
                rows = self._rows(server, migrations=[found])
                self.assertEqual([('web', action, cause)], rows)

    def test_what_is_not_there(self) -> None:
        elsewhere = servers.Load('compute2', (WEB, DB))
        self.clients.servers.loads = {'compute2': elsewhere}
        self.assertEqual(
            [
                ('pet', 'leave', 'locked (--include-locked moves it)'),
                ('web', 'leave', 'on its way here from compute2'),
                (
                    'db',
                    'leave',
                    'on compute2, but its migration away from compute1 is '
                    'not confirmed yet',
                ),
            ],
            self._rows(
                LOCKED,
                migrations=[
                    migration('web', 'running', 'compute2', 'compute1'),
                    migration('db', 'finished', kind=servers.COLD_MIGRATION),
                    # deleted since
                    migration('gone', 'running', 'compute2', 'compute1'),
                    migration('old', 'completed', 'compute2', 'compute1'),
                ],
            ),
        )

    def test_what_nova_compute_has_not_taken_up(self) -> None:
        new = scenes.server('new', vm_state='building', status='BUILD')
        there = scenes.server(
            'there', vm_state='building', host='compute2', status='BUILD'
        )
        deleted = scenes.server('deleted', vm_state='soft-delete')
        other = scenes.server('other', vm_state='building', project='p2')
        known = (new, there, deleted, other, DB)
        self.clients.servers.loads = {'all': servers.Load('x', known)}
        holders = [*(server.id for server in known), 'of-a-migration']
        self.clients.placement.holdings = {key: {} for key in holders}
        cause = 'is being built, and compute1 has not taken it up yet'
        rows = [
            ('web', 'live-migrate', None),
            ('new', 'leave', cause),
            ('other', 'leave', cause),
        ]
        self.assertEqual(rows, self._rows(WEB, migrations=[]))
        self.assertFalse(self.plan(WEB).blocked)
        # those that Nova tells of are not asked for
        with mock.patch.object(
            self.clients.servers,
            'server',
            side_effect=self.clients.servers.server,
        ) as asked:
            self._rows(
                WEB,
                migrations=[
                    migration('db', 'done', kind=servers.EVACUATION),
                    migration('there', 'running', 'compute2', 'compute1'),
                ],
            )
        self.assertEqual(
            ['deleted-id', 'new-id', 'of-a-migration', 'other-id', 'there-id'],
            sorted(call.args[0] for call in asked.mock_calls),
        )
