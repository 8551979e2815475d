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

"""Drains on the simulated Nova."""

import collections.abc
from concurrent import futures
import contextlib
import datetime
import itertools
import typing
from unittest import mock

import fixtures
from oslotest import base

from osc_maintenance import clients
from osc_maintenance import compute
from osc_maintenance.drain import events
from osc_maintenance.drain import leaving
from osc_maintenance.drain import loop
from osc_maintenance.drain import moves
from osc_maintenance.drain import options
from osc_maintenance.drain import plan
from osc_maintenance.nova import api
from osc_maintenance.nova import servers as servers_api
from osc_maintenance import policy as policy_
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import client as client_
from osc_maintenance.tests.unit.drain import simulation

HOST = client_.HOST
Client = client_.Client
recorded = client_.recorded
disabled = client_.disabled
_Event = typing.TypeVar('_Event', bound=events.Event)
EVERYTHING = policy_.Policy(policy_.ALL)


@contextlib.contextmanager
def refused_once() -> collections.abc.Iterator[None]:
    """Something that is not Nova refuses the next write of the record."""
    refusals = [api.OvertakenError('Aggregate: HTTP 409')]
    real = Client.write_record

    def write(*given: typing.Any) -> object:
        if refusals:
            raise refusals.pop()
        return real(*given)

    with mock.patch.object(Client, 'write_record', write):
        yield
    if refusals:
        raise AssertionError('nothing was written')


class Drain:
    """A drain of the host, run as a whole or event by event.

    :ivar events: what has happened so far.
    """

    def __init__(
        self,
        world: simulation.World,
        user: str = 'alice',
        policy: policy_.Policy = EVERYTHING,
        *,
        evacuate: bool = False,
        **how: typing.Any,
    ) -> None:
        self.world = world
        self.client = Client(world, user)
        if world.aggregate is None:
            world.aggregate = recorded(policy)
        host = compute.Host(HOST, disabled(world), world.aggregate)
        load = servers.Load(
            HOST, self.client.on(HOST), self.client.migrations(HOST)
        )
        fake = typing.cast(clients.Clients, self.client)
        made = plan.make(
            fake, load, policy, self._now(), host.journal, evacuate=evacuate
        )
        self.journey = leaving.Leaving(
            fake, host, made, self._clock, self._now
        )
        self.options = options.Options(**how)
        self.events: list[events.Event] = []
        self._since = world.now
        self._make()

    def _make(self) -> None:
        self.loop = loop.Loop(
            typing.cast(servers_api.Servers, self.client),
            self.journey,
            self.options,
            self._clock,
            self._pause,
        )
        self._running = self.loop.run()

    def planned_just_now(self) -> 'Drain':
        """Let the first look go by the servers as the plan saw them."""
        self.journey.listed = self.world.now
        self._make()
        return self

    def _clock(self) -> float:
        return self.world.now

    def _now(self) -> datetime.datetime:
        return simulation.EPOCH + datetime.timedelta(seconds=self.world.now)

    def _pause(self, seconds: float) -> bool:
        """Wait from when the others had their turn."""
        world = self.world
        until = max(self._since + seconds, world.now)
        if until >= world.interrupted:
            world.advance(max(world.interrupted, world.now))
            return True
        world.advance(until)
        self._since = world.now
        return False

    def step(self) -> bool:
        """Go on to the next event; whether there was one."""
        event = next(self._running, None)
        if event is None:
            return False
        self._since = self.world.now
        self.events.append(event)
        return True

    def run(self) -> 'Drain':
        while self.step():
            pass
        return self

    def of(self, kind: type[_Event]) -> list[_Event]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def outcomes(self) -> dict[str, str]:
        return {move.server.id: move.outcome.value for move in self.loop.moves}

    def move(self, name: str) -> moves.Move:
        return next(m for m in self.loop.moves if m.server.id == name)


def _now(
    function: collections.abc.Callable[[], object],
) -> futures.Future[object]:
    """Call a function at once."""
    future: futures.Future[object] = futures.Future()
    try:
        future.set_result(function())
    except BaseException as exc:
        future.set_exception(exc)
    return future


class LoopTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        # the simulated time is of one thread
        self.useFixture(
            fixtures.MockPatch('osc_maintenance.parallel.start', _now)
        )
        self.afresh()

    def afresh(self) -> None:
        """Begin with another cloud."""
        self.world = simulation.World()

    def drain(self, user: str = 'alice', **how: typing.Any) -> Drain:
        return Drain(self.world, user, **how)

    def together(
        self, *drains: Drain, turns: collections.abc.Sequence[int] = (1,)
    ) -> None:
        """Run drains in turn, for so many events each time."""
        running, counts = list(drains), itertools.cycle(turns)
        while running:
            for drain in list(running):
                if not all(drain.step() for _ in range(next(counts))):
                    running.remove(drain)

    def check_gone(self, *names: str) -> None:
        """That servers are on other hosts, and nothing is done to them."""
        for name in names:
            guest = self.world.guests[name]
            self.assertNotEqual(HOST, guest.host, name)
            self.assertIsNone(guest.task_state, name)
            self.assertNotEqual('VERIFY_RESIZE', guest.status, name)

    def check_in_motion(self, most: int) -> None:
        self.assertEqual(
            [], [m for m in self.world.motion if len(m[1]) > most]
        )
