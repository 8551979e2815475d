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

"""What seldom happens while servers leave a host."""

import datetime
import math

from osc_maintenance.drain import events
from osc_maintenance.drain import journey
from osc_maintenance.drain import loop
from osc_maintenance.drain import options
from osc_maintenance.drain import run
from osc_maintenance import exit_codes
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import simulation
from osc_maintenance.tests.unit.drain import test_loop_base as base

LIVE = servers.LIVE_MIGRATION


class TestRefused(base.LoopTestCase):
    def test_what_nova_refuses_holds_nothing_up(self) -> None:
        for answer, most in (('400', 2), ('400', 1), ('409', 1)):
            with self.subTest(answer=answer, most=most):
                self.afresh()
                for name in ('a', 'b'):
                    self.world.add(name, ram=9999)
                    self.world.script(name, answers=[answer] * 1000)
                names = [self.world.add(f'web{n}') for n in range(3)]
                for _ in range(3):
                    drain = self.drain(wait=False, max_parallel=most).run()
                    self.assertLessEqual(len(drain.of(events.Started)), most)
                    self.world.advance(self.world.now + 60)
                self.check_gone(*names)

    def test_a_request_that_was_lost_is_made_again(self) -> None:
        self.world.script(self.world.add('web'), answers=['dropped'] * 6)
        drain = self.drain(retries=0).run()
        self.assertEqual({'web': 'moved'}, drain.outcomes())

    def test_whether_it_was_lost_is_found_out_without_waiting(self) -> None:
        self.world.script(self.world.add('web', ram=9), answers=['dropped'])
        self.world.add('db', ram=1)
        drain = self.drain(wait=False, max_parallel=1).run()
        self.assertEqual(['db'], self.world.moved_from())
        outcomes = drain.outcomes()
        self.assertEqual({'web': 'waiting', 'db': 'moving'}, outcomes)

    def test_conflicts_before_it_began_do_not_count_then(self) -> None:
        self.world.script(
            self.world.add('off', vm_state='stopped'),
            answers=['409'] * 5 + ['ok', 'lost'],
        )
        self.assertEqual({'off': 'moved'}, self.drain().run().outcomes())


class TestLost(base.LoopTestCase):
    def test_one_that_nova_accepts_and_never_begins(self) -> None:
        for timeout, latest in ((60, 150), (None, 700)):
            self.afresh()
            self.world.script(self.world.add('web'), scheduling=math.inf)
            self.world.add('db')
            drain = self.drain(server_timeout=timeout).run()
            self.assertEqual('moved', drain.outcomes()['db'])
            move = drain.move('web')
            self.assertTrue(move.given_up)
            self.assertIn('accepted the request and has not', move.cause or '')
            self.assertLess(self.world.now, latest)
            found = run.Result(drain.loop.moves, drain.loop.ending)
            self.assertIs(exit_codes.ExitCode.TIMED_OUT, found.exit_code)

    def test_a_record_that_a_wrong_clock_hides(self) -> None:
        world = self.world
        world.add('old', host='h2')
        future = simulation.EPOCH + datetime.timedelta(days=300)
        row = servers.Migration(
            *(next(world._ids), 'old', LIVE, 'completed', base.HOST, 'h2'),
            created=simulation.EPOCH,
            updated=future,
        )
        world.rows.append(
            simulation.Row(row, None, world.guests['old'], seen=True)
        )
        world.add('web')
        world.add('off', vm_state='stopped')
        drain = self.drain().run()
        self.assertEqual({'web': 'moved', 'off': 'moved'}, drain.outcomes())
        self.check_gone('web', 'off')

    def test_away_and_back_while_nova_was_silent(self) -> None:
        world = self.world
        world.script(world.add('long', ram=9999), seconds=100)
        world.script(world.add('web'), unseen=0.01, seconds=0.1)
        drain = self.drain(max_parallel=1)
        world.outages = [(60.0, 90.0)]
        world.at(65, lambda: world.begin('web', LIVE, 'bob', 'h2'))
        world.at(75, lambda: world.begin('web', LIVE, 'bob', base.HOST))
        drain.run()
        self.check_gone('web')

    def test_what_came_is_deleted(self) -> None:
        self.world.add('in', host='h2')
        self.world.script('in', seconds=600)
        self.world.begin('in', LIVE, 'bob', base.HOST)
        self.world.advance(3)
        drain = self.drain()
        self.world.at(20, lambda: self.world.delete('in'))
        drain.run()
        self.assertEqual(1, len(drain.of(events.Waiting)))
        self.assertLess(self.world.now, 120)

    def test_a_build_beside_one_that_is_blocked(self) -> None:
        self.world.add('stuck', vm_state='suspended')
        self.world.add('new', host='', vm_state='building')
        self.world.at(
            30,
            lambda: self.world.set(
                'new', host=base.HOST, vm_state='active', status='ACTIVE'
            ),
        )
        self.drain().run()
        self.check_gone('new')

    def test_the_maintenance_ends_at_the_last_moment(self) -> None:
        self.world.add('web')
        drain = self.drain().run()
        self.world.aggregate = None
        error = self.assertRaises(
            journey.LostError, drain.journey.conclude, {}
        )
        self.assertIn('ended by somebody else', str(error))


class TestForgotten(base.LoopTestCase):
    def restart(self) -> None:
        self.world.limit = 9
        (row,) = self.world.rows
        self.world.forget(row)

    def test_nova_compute_is_restarted(self) -> None:
        for vm_state, limit in (('stopped', 9), ('active', 0)):
            with self.subTest(vm_state=vm_state):
                self.afresh()
                world = self.world
                world.limit = limit
                world.script(world.add('web', vm_state=vm_state), seconds=60)

                world.at(20, self.restart)
                drain = self.drain().run()
                self.assertEqual({'web': 'moved'}, drain.outcomes())
                (retrying,) = drain.of(events.Retrying)
                self.assertIn('restarted', retrying.cause)
                self.assertLess(self.world.now, 150)

    def test_nova_compute_is_restarted_while_it_makes_ready(self) -> None:
        # Nova ends the record of one that is running, and of no other
        self.world.add('web')

        def restart() -> None:
            (row,) = self.world.rows
            if row.migration.status != 'preparing':
                self.world.at(self.world.now + 0.05, restart)
                return
            self.world.forget(row)

        self.world.at(0.2, restart)
        drain = self.drain().run()
        self.assertEqual({'web': 'moved'}, drain.outcomes())
        self.assertEqual(1, len(drain.of(events.Retrying)))
        self.assertEqual('preparing', self.world.rows[0].migration.status)

    def test_one_that_has_left_and_never_ends(self) -> None:
        # the destination was restarted, and somebody has reset its state
        self.world.add('off', vm_state='stopped')
        row = self.world.begin('off', servers.COLD_MIGRATION, 'bob')
        self.world.advance(0.5)
        while row.migration.status != 'post-migrating':
            self.world.advance(self.world.now + 0.02)
        row.run += 1
        self.world._back(row, row.migration.dest)
        self.world.end = 1800
        drain = self.drain().run()
        self.assertEqual({'off': 'left'}, drain.outcomes())
        self.assertIn('no record that', str(drain.move('off').cause))


class TestDown(base.LoopTestCase):
    def hosts(self, state: str) -> None:
        self.world.hosts[base.HOST] = state

    def test_its_compute_service_goes_down_and_comes_up(self) -> None:
        for number in range(6):
            self.world.script(self.world.add(f'web{number}'), seconds=9)
        drain = self.drain(max_parallel=1)
        self.world.at(15, lambda: self.hosts('down'))
        self.world.at(90, lambda: self.hosts('up'))
        drain.run()
        self.assertEqual(
            [True, False], [e.down for e in drain.of(events.Down)]
        )
        self.assertEqual({'moved'}, set(drain.outcomes().values()))
        begun = [r.migration.created for r in self.world.rows]
        down = [m for m in begun if m and 30 < self.seconds(m) < 90]
        self.assertEqual([], down)

    def seconds(self, moment: datetime.datetime) -> float:
        return (moment - simulation.EPOCH).total_seconds()

    def test_it_does_not_come_up(self) -> None:
        self.world.add('web')
        drain = self.drain(max_parallel=1)
        for number in range(6):
            self.world.script(self.world.add(f'web{number}'), seconds=9)
        self.world.at(15, lambda: self.hosts('down'))
        drain.run()
        self.assertIs(loop.Ending.COMPLETE, drain.loop.ending)
        self.assertIn('blocked', drain.outcomes().values())


class TestCompany(base.LoopTestCase):
    def test_two_drains_and_one_that_fails(self) -> None:
        for fails in ('no host', 'pre', 'copy'):
            for turns in ((1,), (2, 1), (1, 2), (1, 3), (3, 1)):
                for seconds in (4, 9, 20, 40):
                    with self.subTest(fails=fails, turns=turns, s=seconds):
                        self.two_drains(fails, turns, seconds)

    def two_drains(
        self, fails: str, turns: tuple[int, ...], seconds: int
    ) -> None:
        self.afresh()
        for number in range(4):
            self.world.script(self.world.add(f'web{number}'), seconds=seconds)
        self.world.script('web0', seconds=seconds, fails=[fails])
        self.together(
            self.drain('alice', max_parallel=2),
            self.drain('bob', max_parallel=2),
            turns=turns,
        )
        self.check_in_motion(2)
        self.check_gone(*(f'web{number}' for number in range(4)))


class TestPace(base.LoopTestCase):
    def test_an_empty_host_that_the_plan_has_just_looked_at(self) -> None:
        drain = self.drain().planned_just_now().run()
        self.assertIs(loop.Ending.COMPLETE, drain.loop.ending)
        self.assertLess(self.world.now, 5)

    def test_some_are_asked_for_side_by_side(self) -> None:
        for evacuate, at_once in ((False, 8), (True, 1)):
            self.afresh()
            if evacuate:
                self.world.hosts[base.HOST] = 'down'
            for number in range(12):
                self.world.add(f'web{number}')
            drain = self.drain(evacuate=evacuate, max_parallel=12)
            while not drain.of(events.Started):
                drain.step()
            asked = self.world.requests
            self.assertEqual(
                at_once, asked['live-migration'] + asked['evacuation']
            )

    def test_one_that_takes_much_longer_than_all_before(self) -> None:
        for number in range(3):
            self.world.script(
                self.world.add(f'a{number}', ram=2048), seconds=3
            )
        self.world.script(self.world.add('z', ram=1024), seconds=300)
        self.drain(max_parallel=1).run()
        self.check_gone('z')
        self.assertLess(sum(self.world.requests.values()), 180)

    def test_the_time_left_if_nova_runs_fewer(self) -> None:
        self.world.limit = 1
        for number in range(10):
            self.world.script(self.world.add(f'web{number}'), seconds=60)
        drain = self.drain(max_parallel=2)
        told = []
        while drain.step():
            match drain.events[-1]:
                case events.Looked(time_left=float(left)) if left:
                    told.append(self.world.now + left)
        for ends in told:
            self.assertAlmostEqual(self.world.now, ends, delta=90)

    def test_nothing_is_started_on_an_old_look(self) -> None:
        world = self.world
        world.script(world.add('big', ram=9000), seconds=300)
        world.script(world.add('mid', ram=4000), seconds=300)
        world.add('web', ram=2000)
        drain = self.drain(max_parallel=1)
        # just before big ends its owner locks web, and mid is moved by bob
        world.at(290, lambda: world.set('web', locked=True))
        world.at(290, lambda: world.begin('mid', LIVE, 'bob'))
        drain.run()
        self.assertEqual(base.HOST, world.guests['web'].host)


class TestGivenUp(base.LoopTestCase):
    def test_it_is_noted_why(self) -> None:
        self.world.script(self.world.add('web'), seconds=200)
        drain = self.drain(
            server_timeout=30, on_timeout=options.OnTimeout.LEAVE
        ).run()
        move = drain.move('web')
        self.assertTrue(move.given_up)
        self.assertFalse(move.stayed)
        self.assertEqual({'web': move.cause}, run.stayed(drain.loop.moves))
