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

"""A drain from its beginning to its end, on the simulated Nova."""

import math

from osc_lib import exceptions

from osc_maintenance.drain import events
from osc_maintenance.drain import loop
from osc_maintenance.nova import answers
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import test_loop_base as base


class TestParallel(base.LoopTestCase):
    def test_no_more_in_motion_than_allowed_and_no_fewer(self) -> None:
        for parallel in (1, 2, 5, 9):
            self.afresh()
            names = [self.world.add(f'web{n}') for n in range(9)]
            drain = self.drain(max_parallel=parallel).run()
            self.check_gone(*names)
            self.assertEqual({'moved'}, set(drain.outcomes().values()))
            self.assertEqual(parallel, self.world.most)

    def test_the_next_starts_at_the_look_after_one_has_ended(self) -> None:
        for number in range(10):
            self.world.script(self.world.add(f'web{number}'), seconds=30)
        self.world.script('web3', seconds=75)
        self.drain(max_parallel=3).run()
        idle = [
            later - moment
            for (moment, ids), (later, _ids) in zip(
                self.world.motion, self.world.motion[1:], strict=False
            )
            if len(ids) < 3 and 1 < moment < 100
        ]
        # a tenth of what a move takes
        self.assertLess(max(idle), 4)
        self.assertEqual(3, self.world.most)

    def test_the_largest_go_first(self) -> None:
        for name, fields in (
            ('small', {'ram': 512}),
            ('large', {'ram': 65536}),
            ('other', {'ram': 512}),
            # 20 GiB of disk are more to copy than 16 GiB of memory
            ('disk', {'disk': 20, 'vm_state': 'stopped'}),
            ('middle', {'ram': 16384}),
        ):
            self.world.add(name, **fields)
        self.drain(max_parallel=1).run()
        self.assertEqual(
            ['large', 'disk', 'middle', 'other', 'small'],
            self.world.moved_from(),
        )

    def test_members_of_an_anti_affinity_group_go_one_by_one(self) -> None:
        for policy_name, together in (
            ('anti-affinity', False),
            ('soft-anti-affinity', True),
        ):
            self.afresh()
            members = ('web0', 'web1', 'web2')
            for name in (*members, 'db'):
                self.world.add(name)
            self.world.groups = [
                answers.Group('g1', 'web', policy_name, 1, members)
            ]
            self.drain(max_parallel=3).run()
            meetings = [
                ids
                for _moment, ids in self.world.motion
                if len(ids.intersection(members)) > 1
            ]
            self.assertEqual(together, bool(meetings), policy_name)
            # others take the slots meanwhile
            self.assertGreater(self.world.most, 1)
            self.check_gone(*members, 'db')

    def test_nova_may_let_them_wait(self) -> None:
        self.world.limit = 1
        names = [self.world.add(f'web{number}') for number in range(4)]
        self.world.script('web0', seconds=30)
        drain = self.drain(max_parallel=4).run()
        self.check_gone(*names)
        self.assertEqual(3, drain.of(events.Queued)[-1].count)


class TestServers(base.LoopTestCase):
    def test_each_goes_as_it_can_and_ends_as_it_was(self) -> None:
        states = ('active', 'paused', 'stopped')
        for vm_state in states:
            self.world.add(vm_state, vm_state=vm_state)
        before = dict(self.world.guests)
        self.drain().run()
        self.check_gone(*states)
        for name in states:
            self.assertEqual(
                before[name].status, self.world.guests[name].status
            )
        kinds = {
            row.migration.server: row.migration.kind for row in self.world.rows
        }
        self.assertEqual(
            {
                'active': servers.LIVE_MIGRATION,
                'paused': servers.LIVE_MIGRATION,
                'stopped': servers.COLD_MIGRATION,
            },
            kinds,
        )

    def test_a_host_that_is_down_is_evacuated(self) -> None:
        self.world.hosts[base.HOST] = 'down'
        names = ('web', 'db')
        for name in names:
            self.world.add(name)
        # a live migration that was under way has died with the host
        self.world.script('db', fails=['hang'])
        self.world.begin('db', servers.LIVE_MIGRATION, 'bob')
        self.world.advance(5)
        self.world.scripts['db'].fails.append('')
        self.world.set('db', task_state=None, status='ACTIVE')
        drain = self.drain(evacuate=True).run()
        self.check_gone(*names)
        self.assertEqual({'web': 'moved', 'db': 'moved'}, drain.outcomes())

    def test_the_policy_decides(self) -> None:
        for name in ('web', 'db', 'mail'):
            self.world.add(name)
        self.world.set('mail', locked=True)
        chosen = policy.Policy(policy.ALL, exclude=frozenset(['db']))
        drain = self.drain(policy=chosen).run()
        self.assertEqual(
            {'web': 'moved', 'db': 'left', 'mail': 'left'}, drain.outcomes()
        )
        self.assertEqual('excluded', drain.move('db').cause)
        self.assertEqual(['web'], self.world.moved_from())

    def test_they_go_to_the_target(self) -> None:
        for name in ('web', 'db', 'mail'):
            self.world.add(name)
        self.drain(policy=policy.Policy(policy.ALL, target='h3')).run()
        hosts = {guest.host for guest in self.world.guests.values()}
        self.assertEqual({'h3'}, hosts)

    def test_late_arrivals_are_drained(self) -> None:
        self.world.add('web')
        self.world.script('web', seconds=20)
        self.world.at(5, lambda: self.world.add('late'))
        # and one that comes back
        self.world.at(
            26, lambda: self.world.set('web', host=base.HOST, ram=600)
        )
        drain = self.drain(max_parallel=1).run()
        self.check_gone('web', 'late')
        self.assertEqual(['web', 'late', 'web'], self.world.moved_from())
        self.assertEqual(
            ['late', 'web'],
            [event.move.server.id for event in drain.of(events.Appeared)],
        )

    def test_it_has_ended_only_when_a_look_at_the_servers_is_clean(
        self,
    ) -> None:
        # one arrives just before each of the first looks at the end
        self.world.add('web0')
        real, count = self.world.advance, 1

        def advance(until: float) -> None:
            nonlocal count
            real(until)
            here = [
                guest
                for guest in self.world.guests.values()
                if guest.host == base.HOST
            ]
            if not here and count < 5:
                self.world.add(f'web{count}')
                count += 1

        self.world.advance = advance  # type: ignore[method-assign]
        drain = self.drain().run()
        self.check_gone(*(f'web{number}' for number in range(5)))
        self.assertEqual(5, len(drain.outcomes()))
        self.assertIs(loop.Ending.COMPLETE, drain.loop.ending)

    def test_what_ends_by_itself_is_waited_for(self) -> None:
        self.world.add('new', vm_state='building', task_state='spawning')
        self.world.at(
            40,
            lambda: self.world.set(
                'new', vm_state='active', task_state=None, status='ACTIVE'
            ),
        )
        drain = self.drain().run()
        self.check_gone('new')
        waiting = drain.of(events.Waiting)
        self.assertEqual(
            [('new (new) a task is under way: spawning',)],
            [event.causes for event in waiting],
        )

    def test_it_is_not_waited_for_without_end(self) -> None:
        self.world.add('new', task_state='image_uploading')
        drain = self.drain().run()
        self.assertEqual({'new': 'blocked'}, drain.outcomes())
        self.assertLess(self.world.now, 700)

    def test_servers_on_their_way_here_are_waited_for(self) -> None:
        self.world.add('web', host='h2')
        self.world.script('web', seconds=60)
        self.world.begin('web', servers.LIVE_MIGRATION, 'bob', base.HOST)
        self.world.advance(1)
        drain = self.drain().run()
        self.check_gone('web')
        self.assertEqual({'web': 'moved'}, drain.outcomes())

    def test_builds_that_only_placement_knows_of_are_waited_for(self) -> None:
        self.world.add('new', host='', vm_state='building')
        self.world.at(
            90,
            lambda: self.world.set(
                'new', host=base.HOST, vm_state='active', status='ACTIVE'
            ),
        )
        drain = self.drain().run()
        self.check_gone('new')
        self.assertEqual({'new': 'moved'}, drain.outcomes())

    def test_what_comes_and_is_to_be_left_is_not_waited_for(self) -> None:
        for wanted in (
            policy.Policy('all', exclude=frozenset({'new', 'in'})),
            policy.Policy('all', only=frozenset({'web'})),
            policy.Policy('all', projects=frozenset({'ours'})),
        ):
            with self.subTest(wanted=wanted):
                self.afresh()
                self.world.add('web', project='ours')
                self.world.add('in', host='h2', project='theirs')
                self.world.script('in', seconds=600)
                self.world.begin('in', servers.LIVE_MIGRATION, 'b', base.HOST)
                self.world.add(
                    'new', host='', vm_state='building', project='theirs'
                )
                self.world.advance(1)
                drain = self.drain(policy=wanted).run()
                self.assertEqual({'web': 'moved'}, drain.outcomes())
                self.assertLess(self.world.now, 60)
                self.assertEqual([], drain.of(events.Waiting))

    def test_one_that_nova_has_forgotten_does_not_come(self) -> None:
        self.world.add('in', host='h2')
        self.world.limit = 0
        self.world.begin('in', servers.LIVE_MIGRATION, 'bob', base.HOST)
        self.world.advance(1)
        drain = self.drain()
        self.world.at(30, lambda: self.world.set('in', task_state=None))
        drain.run()
        self.assertEqual(1, len(drain.of(events.Waiting)))
        self.assertIs(loop.Ending.COMPLETE, drain.loop.ending)
        self.assertLess(self.world.now, 60)

    def test_an_empty_host_is_drained_at_once(self) -> None:
        drain = self.drain().run()
        self.assertEqual([], drain.loop.moves)
        self.assertIs(loop.Ending.COMPLETE, drain.loop.ending)
        self.assertEqual(0, self.world.requests['write_record'])


class TestEnding(base.LoopTestCase):
    def afresh(self) -> None:
        super().afresh()
        for number in range(4):
            self.world.script(self.world.add(f'web{number}'), seconds=30)

    def test_it_need_not_wait(self) -> None:
        drain = self.drain(wait=False).run()
        self.assertIs(loop.Ending.HANDED_OVER, drain.loop.ending)
        self.assertEqual(['web0', 'web1'], self.world.moved_from())
        self.assertEqual(
            ['moving', 'moving', 'waiting', 'waiting'],
            list(drain.outcomes().values()),
        )
        self.assertLess(self.world.now, 1)
        (event,) = drain.of(events.Interrupted)
        self.assertEqual('--no-wait', event.cause)
        self.assertEqual(
            ['web0', 'web1'], [move.server.id for move in event.moves]
        )

    def test_it_stops_when_its_time_is_over(self) -> None:
        drain = self.drain(timeout=45).run()
        self.assertIs(loop.Ending.TIMED_OUT, drain.loop.ending)
        self.assertAlmostEqual(45, self.world.now, delta=1)
        self.assertEqual(
            {'web2', 'web3'},
            {m.server.id for m in drain.of(events.Interrupted)[0].moves},
        )
        # nothing is aborted
        self.world.advance(200)
        self.check_gone('web0', 'web1', 'web2', 'web3')

    def test_it_stops_when_its_time_is_over_and_nova_is_silent(self) -> None:
        self.world.outages = [(10, math.inf)]
        drain = self.drain(timeout=45).run()
        self.assertIs(loop.Ending.TIMED_OUT, drain.loop.ending)
        self.assertLess(self.world.now, 45 + 30)

    def test_interrupted_it_starts_nothing_more(self) -> None:
        for moment in (0, 10, 31, 45):
            self.afresh()
            self.world.interrupted = moment
            drain = self.drain().run()
            self.assertIs(loop.Ending.INTERRUPTED, drain.loop.ending)
            self.assertAlmostEqual(moment, self.world.now, delta=1)
            started = self.world.moved_from()
            told = {m.server.id for m in drain.of(events.Interrupted)[0].moves}
            moving = {k for k, v in drain.outcomes().items() if v == 'moving'}
            self.assertEqual(moving, told)
            # what is in motion goes on
            self.world.advance(200)
            self.check_gone(*told)
            self.assertEqual(started, self.world.moved_from())

    def test_interrupted_while_nova_is_silent(self) -> None:
        self.world.outages = [(10, math.inf)]
        self.world.interrupted = 60
        drain = self.drain().run()
        self.assertIs(loop.Ending.INTERRUPTED, drain.loop.ending)
        self.assertAlmostEqual(60, self.world.now, delta=1)

    def test_somebody_else_ends_the_maintenance(self) -> None:
        drain = self.drain()
        self.world.at(20, lambda: setattr(self.world, 'aggregate', None))
        error = self.assertRaises(exceptions.CommandError, drain.run)
        self.assertIn('ended by somebody else', str(error))
        self.assertEqual(['web0', 'web1'], self.world.moved_from())

    def test_somebody_else_changes_the_policy(self) -> None:
        drain = self.drain()
        other = base.recorded(policy.Policy(policy.NONE))
        self.world.at(20, lambda: setattr(self.world, 'aggregate', other))
        error = self.assertRaises(exceptions.CommandError, drain.run)
        self.assertIn('changed which servers', str(error))
        self.assertEqual(['web0', 'web1'], self.world.moved_from())

    def test_nova_may_be_silent_for_a_while(self) -> None:
        # at every moment of the first moves, for the time of some of them
        for moment in range(36):
            self.afresh()
            drain = self.drain()
            self.world.outages = [(moment, moment + 70)]
            drain.run()
            self.check_gone('web0', 'web1', 'web2', 'web3')
            self.check_in_motion(2)
            self.assertEqual({'moved'}, set(drain.outcomes().values()))
            self.assertEqual(4, len(self.world.rows))

    def test_the_longer_nova_is_silent_the_less_it_is_asked(self) -> None:
        drain = self.drain()
        self.world.outages = [(10, 600)]
        drain.run()
        pauses = [event.seconds for event in drain.of(events.Trouble)]
        self.assertEqual([1, 2, 4, 8, 16, 30, 30], pauses[:7])

    def test_nova_may_not_be_silent_for_ever(self) -> None:
        drain = self.drain()
        self.world.outages = [(10, math.inf)]
        error = self.assertRaises(exceptions.CommandError, drain.run)
        self.assertIn('HTTP 503', str(error))
        self.assertAlmostEqual(910, self.world.now, delta=40)
