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

"""Evacuations of a host that comes back, or had more on its way."""

from osc_maintenance.drain import loop
from osc_maintenance.drain import moves
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import test_loop_base as base


class EvacuationTestCase(base.LoopTestCase):
    def afresh(self) -> None:
        super().afresh()
        self.world.end = 2000
        self.world.hosts[base.HOST] = 'down'

    def evacuate(self) -> base.Drain:
        drain = self.drain(evacuate=True).run()
        self.assertIs(loop.Ending.COMPLETE, drain.loop.ending)
        return drain

    def comes_back(self) -> None:
        """Nova-compute is started, and completes all records."""
        for row in self.world.rows:
            if row.migration.status in ('accepted', 'pre-migrating', 'done'):
                self.world.save(row, 'completed')


class TestComesBack(EvacuationTestCase):
    def test_in_the_middle(self) -> None:
        # Nova would take a second evacuation, and ruin the server with it
        self.world.script(self.world.add('db'), seconds=300)
        self.world.at(60, self.comes_back)
        self.assertEqual({'db': 'moved'}, self.evacuate().outcomes())
        self.assertEqual(1, self.world.requests[servers.EVACUATION])
        # four minutes in which nothing is to be seen
        self.assertLess(self.world.requests['on'], 60)

    def test_the_other_host_never_ends(self) -> None:
        self.world.script(self.world.add('db'), fails=['hang'])
        self.world.at(60, self.comes_back)
        drain = self.evacuate()
        move = drain.move('db')
        self.assertIs(moves.Outcome.MOVING, move.outcome)
        self.assertTrue(move.given_up)
        self.assertIn('still being done to it', str(move.cause))
        self.assertEqual(1, self.world.requests[servers.EVACUATION])

    def test_the_command_is_run_again(self) -> None:
        self.world.script(self.world.add('db'), seconds=300)
        self.world.begin('db', servers.EVACUATION, 'alice')
        self.world.advance(60)
        self.comes_back()
        drain = self.evacuate()
        self.assertEqual(0, self.world.requests[servers.EVACUATION])
        self.check_gone('db')
        self.assertIs(moves.Outcome.LEFT, drain.move('db').outcome)

    def test_it_dies_once_more(self) -> None:
        # the record of the evacuation before says nothing of this one
        self.world.add('db')
        self.world.begin('db', servers.EVACUATION, 'alice')
        self.world.advance(20)
        self.comes_back()
        self.world.set('db', host=base.HOST, vm_state='active')
        self.world.script('db', scheduling=120)
        self.world.begin('db', servers.EVACUATION, 'alice')
        self.world.advance(22)
        self.assertEqual({'db': 'moved'}, self.evacuate().outcomes())


class TestOnItsWay(EvacuationTestCase):
    def test_what_was_to_be_built_does_not_arrive(self) -> None:
        self.world.add('db')
        self.world.add(
            'new', host='', vm_state='building', task_state='scheduling'
        )
        self.world.add('late', vm_state='building', task_state='spawning')
        drain = self.evacuate()
        self.assertEqual({'db': 'moved', 'late': 'blocked'}, drain.outcomes())
        self.assertLess(self.world.now, 60)

    def test_one_that_may_run_where_it_was_going(self) -> None:
        for status, outcome in (
            ('queued', 'moved'),
            ('preparing', 'blocked'),
            ('running', 'blocked'),
            ('running (post-copy)', 'blocked'),
        ):
            self.afresh()
            self.world.script(self.world.add('web'), fails=['hang'])
            row = self.world.begin('web', servers.LIVE_MIGRATION, 'bob')
            self.world.advance(9)
            self.world.save(row, status)
            row.run += 1
            drain = self.evacuate()
            self.assertEqual({'web': outcome}, drain.outcomes(), status)
            if outcome == 'moved':
                continue
            cause = str(drain.move('web').cause)
            self.assertIn(f'look on {row.migration.dest}', cause)
            # somebody has looked
            self.world.set('web', task_state=None)
            self.assertEqual({'web': 'moved'}, self.evacuate().outcomes())
