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

"""Servers on their way back, against the simulated Nova."""

import collections.abc
import dataclasses
import typing
from unittest import mock

from osc_maintenance import clients
from osc_maintenance import compute
from osc_maintenance.drain import events
from osc_maintenance.drain import options
from osc_maintenance.drain import returning
from osc_maintenance.drain import run
from osc_maintenance import noting
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import simulation
from osc_maintenance.tests.unit.drain import test_loop_base as base
from osc_maintenance.tests.unit import scenes

_Report = collections.abc.Callable[[events.Event], None]


def _one_by_one(
    function: collections.abc.Callable[[str], object],
    items: collections.abc.Iterable[str],
) -> list[object]:
    """The simulated Nova is asked by one thread only."""
    return [function(item) for item in items]


class World(simulation.World):
    """Nova, where it is counted how many servers come back at once.

    :ivar most_back: how many did, at most.
    """

    most_back = 0

    def begin(
        self, name: str, kind: str, user: str, target: str | None = None
    ) -> simulation.Row:
        row = super().begin(name, kind, user, target)
        back = sum(
            row.in_motion and row.target == base.HOST for row in self.rows
        )
        self.most_back = max(self.most_back, back)
        return row


class ReturningTestCase(base.LoopTestCase):
    def setUp(self) -> None:
        super().setUp()
        patch = mock.patch('osc_maintenance.parallel.each', _one_by_one)
        patch.start()
        self.addCleanup(patch.stop)

    def afresh(self) -> None:
        self.world = self.counting = World()

    def pass_time(self, seconds: float) -> None:
        self.world.advance(self.world.now + seconds)

    def drained(self, *names: str, **how: typing.Any) -> None:
        """A drain has moved servers away, and all that is over."""
        for name in names:
            if name not in self.world.guests:
                self.world.add(name)
        self.drain(max_parallel=8, **how).run()
        self.pass_time(60)
        for name in names:
            self.world.script(name)
        self.world.requests.clear()

    def noted(self, changes: dict[str, str | None]) -> None:
        """Somebody writes to the record."""
        found = self.world.aggregate
        assert found is not None
        merged = {**found.metadata, **changes}
        self.world.aggregate = dataclasses.replace(
            found, metadata={k: v for k, v in merged.items() if v is not None}
        )

    def _host(self) -> compute.Host:
        """The host, with its service put back."""
        service = compute.Service(base.HOST, base.HOST, 'enabled', 'up')
        return compute.Host(base.HOST, service, self.world.aggregate)

    def journey(self, user: str = 'alice') -> returning.Returning:
        """The servers that come back, not surveyed yet."""
        self.client = base.Client(self.world, user)
        fake = typing.cast(clients.Clients, self.client)
        return returning.Returning(fake, self._host())

    def surveyed(self, user: str = 'alice') -> returning.Returning:
        """The servers that come back, and it is noted that they do."""
        journey = self.journey(user)
        journey.survey()
        self.noted(noting.returning({}, scenes.NOW, brings_back=True))
        journey.begin(self._host())
        return journey

    def pause(self, seconds: float) -> bool:
        self.pass_time(seconds)
        return False

    def bring_back(
        self,
        journey: returning.Returning,
        report: _Report | None = None,
        **how: typing.Any,
    ) -> run.Result:
        return run.bring_back(
            typing.cast(clients.Clients, self.client),
            journey,
            options.Options(**how),
            report or list[events.Event]().append,
            self.pause,
            lambda: self.world.now,
        )

    def outcomes(self, result: run.Result) -> dict[str, str]:
        return {m.server.id: m.outcome.value for m in result.moves}

    def check_back(self, *names: str) -> None:
        for name in names:
            guest = self.world.guests[name]
            self.assertEqual(base.HOST, guest.host, name)
            self.assertIsNone(guest.task_state, name)
            self.assertNotEqual('VERIFY_RESIZE', guest.status, name)

    def by_hand(
        self, name: str, target: str, kind: str = servers.LIVE_MIGRATION
    ) -> None:
        """Somebody else moves a server, and that ends."""
        self.world.begin(name, kind, 'bob', target)
        self.pass_time(10)
