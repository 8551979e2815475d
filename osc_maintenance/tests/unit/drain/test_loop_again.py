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

"""A drain that is killed, and run again: what is in motion is adopted."""

import contextlib

from osc_maintenance.drain import events
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import simulation
from osc_maintenance.tests.unit.drain import test_loop_base as base


class TestKilled(base.LoopTestCase):
    """All that is known afterwards is in the simulated Nova."""

    names = ('web', 'db', 'cold', 'off', 'fails')

    def afresh(self) -> None:
        super().afresh()
        self.world.end = 900
        self.world.add('web')
        self.world.add('db', ram=2048)
        self.world.add('cold', vm_state='stopped')
        self.world.add('off', vm_state='stopped', disk=9)
        self.world.script(self.world.add('fails'), fails=['pre'])
        # their answers are lost, on the way there or back
        self.world.scripts['web'].answers.append('lost')
        self.world.scripts['cold'].answers.append('dropped')

    def check(self, drain: base.Drain, step: int, pause: float) -> None:
        told = f'killed at {step}, {pause} s ago'
        # nothing is done any more
        self.world.advance(self.world.now + 100)
        for name in self.names:
            guest = self.world.guests[name]
            moved = self.world.moved_from().count(name)
            self.assertNotEqual(base.HOST, guest.host, f'{name} {told}')
            self.assertEqual(1 + (name == 'fails'), moved, f'{name} {told}')
            wanted = 'SHUTOFF' if name in ('cold', 'off') else 'ACTIVE'
            self.assertEqual(wanted, guest.status, f'{name} {told}')
        # the last run knows of those that it has still seen
        self.assertLessEqual(set(drain.outcomes().values()), {'moved'}, told)

    def test_it_goes_on_wherever_it_was_killed_between_two_events(
        self,
    ) -> None:
        self.check(self.drain().run(), -1, 0)
        for pause in (0.0, 2.0):
            step = more = 1
            while more:
                self.afresh()
                drain = self.drain()
                for _ in range(step):
                    more = drain.step()
                self.world.advance(self.world.now + pause)
                self.check(self.drain().run(), step, pause)
                step += 1

    def test_it_goes_on_whichever_request_was_its_last(self) -> None:
        self.drain().run()
        for last in range(sum(self.world.requests.values())):
            for pause in (0.0, 2.0):
                self.afresh()
                self.world.killed = last
                with contextlib.suppress(simulation.KilledError):
                    self.drain().run()
                self.world.killed = float('inf')
                self.world.advance(self.world.now + pause)
                self.check(self.drain().run(), last, pause)

    def test_it_is_killed_again_and_again(self) -> None:
        for life in range(8, 40):
            self.afresh()
            ended, runs = False, 0
            while not ended and runs < 300:
                runs += 1
                done = sum(self.world.requests.values())
                self.world.killed = done + life + runs
                try:
                    drain = self.drain().run()
                    ended = True
                except simulation.KilledError:
                    continue
            self.assertTrue(ended)
            self.world.killed = float('inf')
            self.check(drain, life, 0)

    def test_no_more_are_in_motion_than_allowed(self) -> None:
        # in a Nova that takes a while to record what it was asked for
        self.afresh()
        for name in self.names:
            self.world.scripts[name].unseen = 0.5
        drain = self.drain()
        while len(drain.of(events.Started)) < 2:
            drain.step()
        self.drain().run()
        self.check_in_motion(2)

    def test_cold_ones_of_a_moment_are_confirmed(self) -> None:
        # nothing was recorded at the first look, and at the next all is done
        self.afresh()
        for name in ('cold', 'off'):
            self.world.script(name, scheduling=0.05, seconds=0.1)
        drain = self.drain()
        while len(drain.of(events.Started)) < 2:
            drain.step()
        drain = self.drain().run()
        self.check_gone('cold', 'off')
        self.assertEqual('moved', drain.outcomes()['off'])

    def test_the_same_while_nova_does_not_answer(self) -> None:
        self.afresh()
        drain = self.drain()
        while len(drain.of(events.Started)) < 2:
            drain.step()
        second = self.drain()
        second.step()
        self.world.outages = [(self.world.now, self.world.now + 60)]
        second.run()
        self.check_gone(*self.names)


class TestAdoption(base.LoopTestCase):
    def test_what_somebody_else_moves_counts_and_is_followed(self) -> None:
        for kind, outcome in (
            (servers.LIVE_MIGRATION, 'moved'),
            (servers.COLD_MIGRATION, 'left'),
            (servers.RESIZE, 'left'),
        ):
            self.afresh()
            for name in ('web', 'db', 'mail'):
                self.world.script(self.world.add(name), seconds=9)
            self.world.begin('web', kind, 'bob', 'h2')
            self.world.advance(2)
            drain = self.drain().run()
            self.check_in_motion(2)
            self.assertEqual(
                {'web': outcome, 'db': 'moved', 'mail': 'moved'},
                drain.outcomes(),
            )
            adopted = drain.of(events.Adopted)
            self.assertEqual(['web'], [e.move.server.id for e in adopted])

    def test_what_somebody_else_began_this_moment_counts(self) -> None:
        # Nova has not even recorded it
        for name in ('web', 'db', 'mail'):
            self.world.script(self.world.add(name), unseen=1)
        self.world.begin('web', servers.COLD_MIGRATION, 'bob')
        self.drain(max_parallel=1).run()
        self.check_in_motion(1)

    def test_what_somebody_else_begins_later_counts(self) -> None:
        for number in range(8):
            self.world.script(self.world.add(f'web{number}'), seconds=9)
        self.world.add('small', ram=1)
        drain = self.drain(max_parallel=3)
        while len(drain.of(events.Started)) < 3:
            drain.step()
        # beside three of ours; then ours wait for it
        self.world.script('small', seconds=60)
        self.world.begin('small', servers.LIVE_MIGRATION, 'bob')
        self.world.advance(self.world.now + 1)
        drain.run()
        late = [
            ids
            for moment, ids in self.world.motion
            if moment > 12 and 'small' in ids and len(ids) > 3
        ]
        self.assertEqual([], late)

    def test_only_own_cold_migrations_are_confirmed(self) -> None:
        # the drain has nothing to do with either of them
        for kind in (servers.COLD_MIGRATION, servers.RESIZE):
            for wait in (0.05, 2, 20):
                self.afresh()
                self.world.add('cold', vm_state='stopped')
                self.world.add('web')
                self.world.begin('cold', kind, 'bob')
                self.world.advance(wait)
                self.drain().run()
                guest = self.world.guests['cold']
                self.assertEqual(
                    'VERIFY_RESIZE', guest.status, f'{kind} {wait}'
                )
                self.assertEqual(0, self.world.requests['confirm'])

    def test_one_that_was_moved_before_the_maintenance_is_not_ours(
        self,
    ) -> None:
        # the same user has moved it by hand, and then began a maintenance
        self.world.add('cold', vm_state='stopped')
        self.world.begin('cold', servers.COLD_MIGRATION, 'alice')
        self.world.advance(20)
        self.drain().run()
        self.assertEqual('VERIFY_RESIZE', self.world.guests['cold'].status)

    def test_a_colleague_confirms_what_an_earlier_run_has_moved(
        self,
    ) -> None:
        for moment in range(1, 12):
            self.afresh()
            self.world.add('cold', vm_state='stopped')
            drain = self.drain('alice')
            while self.world.now < moment and drain.step():
                pass
            drain = self.drain('bob').run()
            self.check_gone('cold')

    def test_what_the_policy_leaves_is_not_moved_because_another_failed_to(
        self,
    ) -> None:
        # somebody else moves it, in vain, while a look at the servers is old
        for scheduling in range(1, 20):
            self.afresh()
            self.world.script(self.world.add('long'), seconds=60)
            self.world.script(
                self.world.add('kept'), fails=['pre'], scheduling=scheduling
            )
            for name in ('kept', 'long'):
                self.world.begin(name, servers.LIVE_MIGRATION, 'bob')
            self.world.advance(0.5)
            kept = policy.Policy(policy.ALL, exclude=frozenset(['kept']))
            drain = self.drain(policy=kept).run()
            self.assertEqual(base.HOST, self.world.guests['kept'].host)
            self.assertEqual('left', drain.outcomes()['kept'])

    def test_a_resize_that_fails_makes_a_server_like_any_other(self) -> None:
        for scheduling in range(1, 20):
            self.afresh()
            self.world.script(self.world.add('long'), seconds=60)
            self.world.script(
                self.world.add('web'), fails=['no host'], scheduling=scheduling
            )
            self.world.begin('web', servers.RESIZE, 'bob')
            self.world.begin('long', servers.LIVE_MIGRATION, 'bob')
            self.world.advance(0.5)
            drain = self.drain().run()
            self.check_gone('web', 'long')
            self.assertEqual({'moved'}, set(drain.outcomes().values()))

    def test_what_nova_has_forgotten_is_moved(self) -> None:
        # nova-compute was restarted: the record is queued for ever
        self.world.limit = 1
        for name in ('web', 'db'):
            self.world.script(self.world.add(name), fails=['hang'])
            self.world.begin(name, servers.LIVE_MIGRATION, 'bob')
        self.world.advance(2)
        for row in self.world.rows:
            self.world.go(row, (pause for pause in [0.0] if pause))
            self.world.set(
                row.migration.server, task_state=None, status='ACTIVE'
            )
        self.world.save(self.world.rows[0], 'error')
        self.assertTrue(self.world.rows[1].migration.queued)
        self.world.limit = 2
        drain = self.drain().run()
        self.check_gone('web', 'db')
        self.assertEqual({'moved'}, set(drain.outcomes().values()))


class TestTogether(base.LoopTestCase):
    def test_two_drains_of_a_host_keep_within_the_limit_together(
        self,
    ) -> None:
        for limit, seconds in ((9, 4), (9, 20), (1, 4), (1, 20)):
            for turns in ([1], [2, 1], [1, 2], [1, 3], [3, 1]):
                self.afresh()
                self.world.limit = limit
                names = [self.world.add(f'web{n}') for n in range(6)]
                for name in names:
                    self.world.script(name, seconds=seconds)
                drains = self.drain('alice'), self.drain('bob')
                self.together(*drains, turns=turns)
                self.check_gone(*names)
                self.assertEqual(
                    [],
                    [m for m in self.world.motion if len(m[1]) > 2],
                    f'{limit} {seconds} {turns}',
                )
                for drain in drains:
                    self.assertEqual({'moved'}, set(drain.outcomes().values()))
                self.assertEqual(6, len(self.world.rows))

    def test_what_the_other_has_just_moved_is_not_moved_again(self) -> None:
        # faster than one looks at the servers: Nova would take it
        self.world.end = 900
        names = [self.world.add(f'web{number}') for number in range(6)]
        for name in names:
            self.world.script(name, unseen=0.05, seconds=0.2)
        drains = [
            self.drain(user, max_parallel=1) for user in ('alice', 'bob')
        ]
        self.together(*drains)
        self.assertEqual(names, [r.migration.server for r in self.world.rows])
        for drain in drains:
            self.assertEqual({'moved'}, set(drain.outcomes().values()))

    def test_one_that_comes_later_keeps_within_the_limit(self) -> None:
        for tenths in range(1, 60, 2):
            self.afresh()
            names = [self.world.add(f'web{n}') for n in range(6)]
            first = self.drain('alice')
            while self.world.now < tenths / 10:
                first.step()
            self.together(first, self.drain('bob'))
            self.check_gone(*names)
            self.assertEqual(2, self.world.most, f'after {tenths}')

    def test_each_confirms_what_it_has_moved(self) -> None:
        for turns in ([1], [2, 1], [1, 2]):
            for users in (('alice', 'alice'), ('alice', 'bob')):
                self.afresh()
                names = [
                    self.world.add(f'off{n}', vm_state='stopped')
                    for n in range(4)
                ]
                drains = [self.drain(user) for user in users]
                self.together(*drains, turns=turns)
                self.check_gone(*names)
                self.assertEqual(4, len(self.world.rows))
                for drain in drains:
                    found = set(drain.outcomes().values())
                    self.assertLessEqual(found, {'moved', 'left'})

    def test_the_first_is_killed_and_a_colleague_was_there(self) -> None:
        # whoever goes on confirms what was moved
        for step in range(2, 20):
            self.afresh()
            self.world.add('off', vm_state='stopped')
            first, second = self.drain('alice'), self.drain('bob')
            running = True
            for _ in range(step):
                running = first.step() and running
                second.step()
            second.run()
            if running:
                self.drain('alice').run()
            self.check_gone('off')
