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

"""How often Nova is asked."""

import itertools

from osc_maintenance.drain import events
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import test_loop_base as base


class TestRequests(base.LoopTestCase):
    def looks(self, count: int) -> float:
        """Requests for each look while one move goes on for long."""
        self.afresh()
        for number in range(count):
            self.world.add(f'web{number:03}')
        self.world.script('web000', seconds=3000)
        self.world.add('web000', ram=9999)
        drain = self.drain(max_parallel=1)
        while not drain.of(events.Started):
            drain.step()
        before = sum(self.world.requests.values())
        looks = len(drain.of(events.Looked))
        while self.world.now < 600:
            drain.step()
        looks = len(drain.of(events.Looked)) - looks
        return (sum(self.world.requests.values()) - before) / looks

    def test_a_look_costs_the_same_whatever_the_number_of_servers(
        self,
    ) -> None:
        few, many = self.looks(2), self.looks(200)
        self.assertEqual(few, many)
        self.assertLessEqual(many, 3)
        # and the servers are not listed at each of them
        self.assertLess(self.world.requests['on'], 600 / 10 + 5)

    def test_migrations_are_not_looked_at_twice_in_a_row(self) -> None:
        for name, seconds in (('web', 20), ('db', 60)):
            self.world.script(self.world.add(name), seconds=seconds)
        drain = self.drain(max_parallel=2)
        asked: list[tuple[int, int]] = []
        while drain.step():
            before = asked[-1] if asked else (0, 0)
            now = self.world.requests['migrations'], self.world.requests['on']
            if now != before:
                asked.append(now)
        # where web has gone is looked at as soon as its migration has ended
        self.assertIn(
            (0, 1),
            [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(asked)],
        )
        self.assertEqual('moved', drain.outcomes()['web'])

    def test_the_figures_of_one_migration_at_each_look(self) -> None:
        for number in range(6):
            self.world.script(self.world.add(f'web{number}'), seconds=60)
        drain = self.drain(max_parallel=6, figures=True).run()
        self.assertLessEqual(
            self.world.requests['figures'], len(drain.of(events.Looked))
        )
        for name in drain.outcomes():
            self.assertEqual((2, 3), drain.move(name).figures)

    def test_a_server_costs_one_write(self) -> None:
        for number in range(30):
            self.world.add(f'web{number}')
        self.drain(max_parallel=5).run()
        self.assertEqual(30, self.world.requests[servers.LIVE_MIGRATION])
        # they are noted together
        self.assertEqual(1, self.world.requests['write_record'])
        # and none is looked at alone
        self.assertEqual(0, self.world.requests['server'])

    def test_moves_of_minutes_cost_a_request_every_few_seconds(self) -> None:
        for number in range(60):
            name = self.world.add(f'web{number}', ram=60 + number // 10 * 10)
            self.world.script(name, seconds=60.0 + number)
        self.drain(max_parallel=4).run()
        asked = sum(self.world.requests.values())
        self.assertLess(asked, self.world.now / 3)
        # and little time is lost by that
        took = sum(
            (row.migration.updated - row.migration.created).total_seconds()
            for row in self.world.rows
            if row.migration.updated and row.migration.created
        )
        self.assertLess(self.world.now, 1.08 * took / 4)
