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

"""Moves that may never end, as a nova-compute is down."""

import functools
import typing

from osc_lib import exceptions
from oslotest import base

from osc_maintenance import compute
from osc_maintenance.drain import dead
from osc_maintenance.drain import events
from osc_maintenance.drain import moves
from osc_maintenance.drain import run
from osc_maintenance.drain import verdict
from osc_maintenance import exit_codes
from osc_maintenance.nova import hosts
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import test_loop_base
from osc_maintenance.tests.unit.drain import test_loop_stops
from osc_maintenance.tests.unit.drain import test_returning_base
from osc_maintenance.tests.unit import scenes

_MOVING = moves.Outcome.MOVING


class Services:
    """Says of each host whether its nova-compute is up.

    :ivar asked: of which it was asked.
    """

    def __init__(self, **states: str) -> None:
        self._states = states
        self.asked: list[str] = []

    def service(self, host: str) -> compute.Service:
        self.asked.append(host)
        if host not in self._states:
            raise exceptions.CommandError('HTTP 503')
        return compute.Service(host, host, 'enabled', self._states[host])


class TestFind(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.services = Services(h1='down', h2='down', h3='up')

    def move(
        self,
        kind: str = servers.LIVE_MIGRATION,
        source: str | None = 'h3',
        dest: str | None = 'h3',
        **fields: typing.Any,
    ) -> moves.Move:
        """A move from one host to another, which is in motion."""
        record = servers.Migration(1, 'web-id', kind, 'running', source, dest)
        return moves.Move(
            scenes.server('web'),
            verdict.Verdict(verdict.Action.LIVE_MIGRATE),
            **{'outcome': _MOVING, 'migration': record, **fields},
        )

    def find(self, *found: moves.Move) -> list[str]:
        """The hosts that are down."""
        nova = typing.cast(hosts.Hosts, self.services)
        told = list(dead.find(nova, found))
        self.assertTrue(all(event.down for event in told))
        return [event.host for event in told]

    def test_the_cause(self) -> None:
        for source, dest, down in (
            ('h1', 'h3', ['h1']),
            ('h3', 'h2', ['h2']),
            ('h1', 'h2', ['h1', 'h2']),
            ('h1', None, ['h1']),
            ('h3', 'h3', []),
            (None, None, []),
            # nobody knows, and the end is told nevertheless
            ('h4', 'h3', []),
        ):
            for before in (None, 'took too long'):
                move = self.move(source=source, dest=dest, cause=before)
                self.assertEqual(down, self.find(move))
                told = [before] if before else []
                told += [
                    f'nova-compute on {host} is down: Nova does not know how '
                    'far its move is'
                    for host in down
                ]
                self.assertEqual('; '.join(told), move.cause or '')
                # it is not said twice
                said = move.cause
                self.find(move)
                self.assertEqual(said, move.cause)

    def test_each_host_is_asked_of_once(self) -> None:
        found = [self.move(source='h1', dest='h2') for _ in range(9)]
        self.find(*found)
        self.assertEqual(['h1', 'h2'], self.services.asked)

    def test_what_does_not_need_it(self) -> None:
        moved = moves.Outcome.MOVED
        for move in (
            self.move(source='h1', outcome=moved),
            self.move(source='h1', there=True),
            self.move(source='h1', migration=None),
        ):
            self.assertEqual([], self.find(move))
            self.assertIsNone(move.cause)
        self.assertEqual([], self.services.asked)

    def test_an_evacuation(self) -> None:
        # it is from a host that is down
        move = self.move(servers.EVACUATION, source='h1', dest='h3')
        self.assertEqual([], self.find(move))
        self.assertIsNone(move.cause)
        move = self.move(servers.EVACUATION, source='h1', dest='h2')
        self.assertEqual(['h2'], self.find(move))


class TestDrain(test_loop_stops.StopsTestCase):
    """A drain that gives up waiting says what has died."""

    def drained(
        self, host: str, at: float = 9, **how: typing.Any
    ) -> moves.Move:
        """Drain a host when one dies, with a server whose move never ends."""
        self.world.script(
            self.world.add('web'), fails=['hang'], abortable=False
        )
        self.world.at(at, lambda: self.world.hosts.update({host: 'down'}))
        result = self.whole(**how)
        self.assertIs(exit_codes.ExitCode.TIMED_OUT, result.exit_code)
        (move,) = result.moves
        self.assertIs(_MOVING, move.outcome)
        told = [item for item in self.told if isinstance(item, events.Down)]
        self.assertEqual([events.Down(host, True)], told)
        self.assertIsInstance(
            self.told[-1], (events.Finished, events.Interrupted)
        )
        self.assertIn(f'nova-compute on {host} is down', str(move.cause))
        return move

    def test_one_move_takes_too_long(self) -> None:
        for host in (test_loop_base.HOST, 'h3'):
            self.afresh()
            move = self.drained(host, server_timeout=15.0)
            self.assertIn('took longer than 15s', str(move.cause))

    def test_the_whole_takes_too_long(self) -> None:
        for host in (test_loop_base.HOST, 'h3'):
            self.afresh()
            move = self.drained(host, timeout=30.0)
            self.assertIn('--timeout is over', str(move.cause))

    def test_nobody_has_said_how_long(self) -> None:
        # while it is up it may take hours
        move = self.drained('h3', at=2000)
        self.assertTrue(move.given_up)
        self.assertTrue(2600 < self.world.now < 2800, self.world.now)

    def interrupted(
        self, host: str, down: float, up: float, **how: typing.Any
    ) -> run.Result:
        """Drain a host when one is down for a while, and what moves goes on.

        All of it is said.
        """
        self.world.script(self.world.add('web'), seconds=2000)
        for at, state_ in ((down, 'down'), (up, 'up')):
            change = functools.partial(self.world.hosts.update, {host: state_})
            self.world.at(at, change)
        result = self.whole(**how)
        told = [item for item in self.told if isinstance(item, events.Down)]
        self.assertEqual(
            [events.Down(host, True), events.Down(host, False)], told
        )
        return result

    def test_down_and_up_again(self) -> None:
        # what is copied does not need it all the time
        for host in (test_loop_base.HOST, 'h3'):
            self.afresh()
            result = self.interrupted(host, 1000, 1500)
            self.assertIs(exit_codes.ExitCode.DONE, result.exit_code)
            self.assertIs(moves.Outcome.MOVED, result.moves[0].outcome)

    def test_up_again_when_it_was_given_up(self) -> None:
        # the drain waits for another server meanwhile, and that ends sooner
        self.world.script(self.world.add('app'), seconds=2500)
        result = self.interrupted('h3', 100, 1500)
        self.assertIs(exit_codes.ExitCode.DONE, result.exit_code)

    def test_up_again_and_the_whole_takes_too_long(self) -> None:
        result = self.interrupted(
            test_loop_base.HOST, 1000, 1100, timeout=1500.0
        )
        self.assertIs(exit_codes.ExitCode.TIMED_OUT, result.exit_code)
        self.assertNotIn('is down', str(result.moves[0].cause))

    def test_it_is_told_once(self) -> None:
        # long enough to have been seen
        self.drained(test_loop_base.HOST, timeout=200.0)
        self.afresh()
        self.drained(test_loop_base.HOST)


class TestReturn(test_returning_base.ReturningTestCase):
    def test_where_a_server_comes_from(self) -> None:
        self.drained('web')
        there = str(self.world.guests['web'].host)
        self.world.script('web', fails=['hang'], abortable=False)
        journey = self.surveyed()
        self.world.at(
            self.world.now + 9,
            lambda: self.world.hosts.update({there: 'down'}),
        )
        told: list[events.Event] = []
        result = self.bring_back(journey, told.append, timeout=30.0)
        self.assertIs(exit_codes.ExitCode.TIMED_OUT, result.exit_code)
        self.assertEqual(events.Down(there, True), told[-2])
        (move,) = result.moves
        self.assertIn(f'nova-compute on {there} is down', str(move.cause))

    def test_nobody_has_said_how_long(self) -> None:
        self.drained('web')
        there = str(self.world.guests['web'].host)
        self.world.script('web', fails=['hang'], abortable=False)
        journey = self.surveyed()
        began = self.world.now
        self.world.at(
            began + 1000, lambda: self.world.hosts.update({there: 'down'})
        )
        told: list[events.Event] = []
        result = self.bring_back(journey, told.append)
        self.assertIs(exit_codes.ExitCode.TIMED_OUT, result.exit_code)
        self.assertEqual(1, told.count(events.Down(there, True)))
        self.assertTrue(1600 < self.world.now - began < 1800)
