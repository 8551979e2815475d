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


from osc_maintenance.drain import events
from osc_maintenance.drain import moves
from osc_maintenance.drain import verdict
from osc_maintenance.tests.unit.drain import reports
from osc_maintenance.tests.unit.drain import stories

_A = verdict.Action
_O = moves.Outcome


class TestOwners(stories.StoryTestCase):
    def test_what_waits_and_what_is_to_be_stopped(self) -> None:
        waits = reports.server_move('web', _A.BLOCKED, 'waits for its owner')
        waits.verdict = dataclasses.replace(
            waits.verdict, then=_A.LIVE_MIGRATE, passing=True
        )
        pet = reports.server_move('pet', _A.STOP, 'as its owner wishes')
        pet.end(_O.LEFT, 'as its owner wishes')
        off = reports.server_move(
            'off', _A.LEAVE, 'stopped for this maintenance (unset starts)'
        )
        self.assertEqual(
            [
                'none of 3 servers to move, 1 left where it is (stopped), 1 '
                'to be stopped, 1 waiting for its owner',
                stories.CTRL_C,
                'web (id-web): waits for its owner',
            ],
            self.plan(waits, pet, off),
        )
        self.assertEqual(
            ['pet (id-pet): is being stopped: as its owner wishes'],
            self.told(events.Stopping(pet)),
        )
        pet.end(_O.STOPPED, 'as its owner wishes')
        self.assertEqual(
            ['pet (id-pet): stopped; unset starts it again'],
            self.told(events.Ended(pet)),
        )


class TestPlan(stories.StoryTestCase):
    def test_everything(self) -> None:
        self.assertEqual(
            [
                '4 of 8 servers to move (2 live-migrate, 2 cold-migrate), '
                '2 left where they are (1 locked), 2 blocked, 2 at a time',
                stories.CTRL_C,
                'gpu (id-gpu): blocked: its PCI device ties it to its host',
                'snap (id-snap): blocked for now: a task is under way',
            ],
            self.plan(
                reports.server_move('web1'),
                reports.server_move('web2'),
                reports.server_move('db1', _A.COLD_MIGRATE),
                reports.in_motion('db2', _A.COLD_MIGRATE),
                reports.server_move('mine', _A.LEAVE, 'locked', locked=True),
                reports.server_move('off', _A.LEAVE, 'does not run'),
                reports.server_move(
                    'gpu', _A.BLOCKED, 'its PCI device ties it to its host'
                ),
                reports.server_move(
                    'snap', _A.BLOCKED, 'a task is under way', passing=True
                ),
                max_parallel=2,
            ),
        )

    def test_one_left(self) -> None:
        (line, _ctrl_c) = self.plan(
            reports.server_move('web1'),
            reports.server_move('mine', _A.LEAVE, 'locked', locked=True),
        )
        self.assertIn('1 of 2 servers to move (', line)
        self.assertIn(', 1 left where it is (locked), ', line)

    def test_who_keeps_those_that_are_left(self) -> None:
        kept = reports.server_move('pet', _A.LEAVE, 'kept by its owner (x)')
        mine = reports.server_move('mine', _A.LEAVE, 'locked', locked=True)
        # nobody's lock is in the way of what the operator leaves
        off = reports.server_move('off', _A.LEAVE, 'excluded', locked=True)
        for left, words in (
            ((kept,), '1 left where it is (kept by the owner)'),
            ((kept, off), '2 left where they are (1 kept by the owner)'),
            (
                (kept, mine, off),
                '3 left where they are (1 locked, 1 kept by the owner)',
            ),
        ):
            line, *_ = self.plan(reports.server_move('web1'), *left)
            self.assertIn(words, line)

    def test_nothing_to_move(self) -> None:
        # and nothing to interrupt
        self.assertEqual(['no server to move'], self.plan())
        stays = reports.server_move('off', _A.LEAVE, 'does not run')
        self.assertEqual(
            ['none of 2 servers to move, 2 left where they are'],
            self.plan(
                stays, reports.server_move('off2', _A.LEAVE, 'does not run')
            ),
        )

    def test_what_is_elsewhere_is_not_left_here(self) -> None:
        away = reports.server_move('big', _A.LEAVE)
        away.end(moves.Outcome.LEFT, 'its owner has to confirm')
        self.assertEqual(
            ['no server to move, 1 elsewhere and not confirmed'],
            self.plan(away),
        )
        line, *_rest = self.plan(away, reports.server_move('web'))
        self.assertTrue(line.startswith('1 server to move (1 live-migrate), '))

    def test_what_does_not_return_is_left_elsewhere(self) -> None:
        moved = reports.server_move('web', _A.LEAVE, 'it has moved since')
        moved.server = dataclasses.replace(moved.server, host='compute2')
        self.assertEqual(
            ['no server to move, 1 left where it is'], self.plan(moved)
        )

    def test_what_ends_by_itself_is_waited_for(self) -> None:
        blocked = reports.server_move(
            'snap', _A.BLOCKED, 'a task', passing=True
        )
        self.assertIn(stories.CTRL_C, self.plan(blocked))

    def test_evacuation(self) -> None:
        self.assertEqual(
            [
                '1 server to move (1 evacuate), 4 at a time',
                'Ctrl-C stops starting evacuations; those in motion go on in '
                'Nova, and the same command, run again, continues',
            ],
            self.told(
                events.Planned(
                    'compute1', (reports.server_move('web1', _A.EVACUATE),), 4
                )
            ),
        )

    def test_one_evacuation_does_not_make_a_drain_one(self) -> None:
        # somebody else has evacuated a server, and the host is back
        self.assertIn(
            stories.CTRL_C,
            self.plan(
                reports.in_motion('web1', _A.EVACUATE),
                reports.server_move('web2'),
            ),
        )
