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


"""What a drain says at its end is true, and it comes to one."""

import functools
import typing

from osc_lib import exceptions

from osc_maintenance.drain import events
from osc_maintenance.drain import loop
from osc_maintenance.drain import run
from osc_maintenance import exit_codes
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import test_loop_base as base

LIVE = servers.LIVE_MIGRATION
Exit = exit_codes.ExitCode


class TruthTestCase(base.LoopTestCase):
    def code(self, drain: base.Drain) -> exit_codes.ExitCode:
        """The exit status of a drain that has ended."""
        return run.Result(drain.loop.moves, drain.loop.ending).exit_code

    def by(self, name: str) -> list[str]:
        """Who has moved a server."""
        return [
            str(row.migration.user)
            for row in self.world.rows
            if row.migration.server == name
        ]


class TestItEnds(TruthTestCase):
    def test_the_host_dies_in_the_middle(self) -> None:
        self.world.script(self.world.add('web', ram=9), seconds=1e9)
        self.world.script(self.world.add('db', ram=1), seconds=9)
        self.world.at(15, lambda: self.world.hosts.update({base.HOST: 'down'}))
        drain = self.drain(max_parallel=1).run()
        self.assertLess(self.world.now, 900)
        self.assertGreater(self.world.now, 600)
        self.assertIs(Exit.TIMED_OUT, self.code(drain))
        self.assertIn('nova-compute', str(drain.move('web').cause))
        self.assertEqual('moving', drain.outcomes()['web'])
        self.assertEqual('blocked', drain.outcomes()['db'])

    def test_it_takes_long_and_the_host_dies_for_a_moment(self) -> None:
        self.world.script(self.world.add('web'), seconds=1500)
        for moment, state in ((1200, 'down'), (1300, 'up')):
            found = {base.HOST: state}
            self.world.at(
                moment, functools.partial(self.world.hosts.update, found)
            )
        drain = self.drain().run()
        self.check_gone('web')
        self.assertIs(Exit.DONE, self.code(drain))


class TestAtTheEnd(TruthTestCase):
    def test_one_is_on_its_way_here_for_longer_than_is_waited(self) -> None:
        for timeout in (None, 60):
            with self.subTest(timeout=timeout):
                self.afresh()
                self.world.add('in', host='h2')
                self.world.script('in', seconds=1500)
                self.world.begin('in', LIVE, 'bob', base.HOST)
                self.world.advance(1)
                drain = self.drain(server_timeout=timeout).run()
                self.assertIs(loop.Ending.TIMED_OUT, drain.loop.ending)
                self.assertIs(Exit.TIMED_OUT, self.code(drain))
                (told,) = drain.of(events.Interrupted)
                self.assertIn('still on the way here', told.cause)
                self.assertIn('in', told.cause)
                self.assertEqual([], drain.of(events.Finished))

    def test_one_that_failed_is_gone_all_the_same(self) -> None:
        for how in ('deleted', 'moved'):
            with self.subTest(how=how):
                self.afresh()
                self.world.script(
                    self.world.add('bad', ram=99), fails=['copy']
                )
                self.world.script(self.world.add('slow'), seconds=300)
                if how == 'deleted':
                    self.world.at(60, lambda: self.world.delete('bad'))
                else:
                    self.world.at(
                        60, lambda: self.world.begin('bad', LIVE, 'bob')
                    )
                drain = self.drain(retries=0).run()
                self.assertEqual(how, drain.outcomes()['bad'])
                self.assertIs(Exit.DONE, self.code(drain))

    def test_one_that_was_resized_between_two_looks(self) -> None:
        for kind in (servers.RESIZE, servers.COLD_MIGRATION):
            self.afresh()
            self.world.script(self.world.add('app', ram=9999), seconds=300)
            self.world.script(
                self.world.add('web'), seconds=0.1, scheduling=0.1
            )
            resize = functools.partial(self.world.begin, 'web', kind, 'bob')
            self.world.at(151, resize)
            drain = self.drain(max_parallel=1).run()
            self.assertEqual('left', drain.outcomes()['web'])
            cause = str(drain.move('web').cause)
            self.assertIn('not moved by this drain', cause)
            self.assertIn(f'its {kind} away from here is not', cause)


class TestOnce(TruthTestCase):
    def test_it_has_left_since_the_plan_was_made(self) -> None:
        for seconds in (0.1, 1, 2):
            with self.subTest(seconds=seconds):
                self.afresh()
                self.world.script(self.world.add('web'), seconds=seconds)
                drain = self.drain().planned_just_now()
                self.world.begin('web', LIVE, 'bob')
                self.world.advance(self.world.now + 2.5)
                drain.run()
                self.assertEqual(['bob'], self.by('web'))

    def test_it_leaves_while_nova_is_asked_where_servers_can_go(self) -> None:
        for moment in range(50, 72):
            with self.subTest(moment=moment):
                self.afresh()
                for name, ram, seconds in (
                    ('slow', 9999, 200.0),
                    ('big', 5000, float(moment)),
                    ('web', 0, 2.0),
                ):
                    self.world.script(
                        self.world.add(name, ram=ram), seconds=seconds
                    )
                drain = self.drain(max_parallel=2)
                ask = drain.client.groups

                def groups(ask: typing.Any = ask) -> typing.Any:
                    if self.world.now > 55 and not self.by('web'):
                        self.world.begin('web', LIVE, 'bob')
                        self.world.advance(self.world.now + 8)
                    return ask()

                drain.client.groups = groups  # type: ignore[method-assign]
                drain.run()
                self.assertEqual(1, len(self.by('web')))

    def test_a_forgotten_migration_holds_no_slot(self) -> None:
        self.world.script(self.world.add('old'), scheduling=30.0)
        self.world.begin('old', LIVE, 'bob')
        self.world.advance(5)
        self.world.forget(self.world.rows[-1])
        self.world.script('old', scheduling=0.0)
        self.world.add('web')
        drain = self.drain(max_parallel=1).planned_just_now().run()
        self.assertEqual([], drain.of(events.Adopted))
        self.check_gone('old', 'web')


class TestNovaIsSlow(TruthTestCase):
    def test_once_and_then_the_maintenance_is_ended(self) -> None:
        for number in range(60):
            self.world.script(self.world.add(f'web{number}'), seconds=20)
        drain = self.drain(max_parallel=1)
        ask, asked = drain.client.aggregate, []

        def aggregate(known: typing.Any) -> typing.Any:
            asked.append(self.world.now)
            if len(asked) == 3:
                self.world.advance(self.world.now + 45)
            return ask(known)

        drain.client.aggregate = aggregate  # type: ignore
        self.world.at(150, self.end)
        self.assertRaises(exceptions.CommandError, drain.run)
        self.assertLess(self.world.now, 150 + 60 + 20)

    def end(self) -> None:
        """Somebody ends the maintenance."""
        self.world.aggregate = None
