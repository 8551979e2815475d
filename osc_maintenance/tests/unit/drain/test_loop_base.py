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

"""What asks the simulated Nova: clients, and drains on them."""

import collections.abc
from concurrent import futures
import dataclasses
import datetime
import itertools
import typing

import fixtures
from osc_lib import exceptions
from oslotest import base

from osc_maintenance import clients
from osc_maintenance.drain import events
from osc_maintenance.drain import leaving
from osc_maintenance.drain import loop
from osc_maintenance.drain import moves
from osc_maintenance.drain import options
from osc_maintenance.drain import plan
from osc_maintenance import mark
from osc_maintenance.nova import answers
from osc_maintenance.nova import api
from osc_maintenance.nova import servers as servers_api
from osc_maintenance import policy as policy_
from osc_maintenance import record
from osc_maintenance import servers
from osc_maintenance import state
from osc_maintenance.tests.unit.drain import simulation

HOST = simulation.HOST
_Event = typing.TypeVar('_Event', bound=events.Event)
EVERYTHING = policy_.Policy(policy_.ALL)
_MOVABLE = {
    servers.LIVE_MIGRATION: ('active', 'paused'),
    servers.COLD_MIGRATION: ('active', 'stopped'),
    servers.RESIZE: ('active', 'stopped'),
    servers.EVACUATION: ('active', 'stopped', 'error'),
}


class Client:
    """Has the methods of Servers and Hosts that a drain needs.

    It counts requests, and fails while the simulated Nova does not answer.
    """

    def __init__(self, world: simulation.World, user: str = 'alice') -> None:
        self._world = world
        self.user_id = user
        self.servers = self.nova = self.placement = self

    def _ask(self, method: str) -> None:
        world = self._world
        if sum(world.requests.values()) >= world.killed:
            raise simulation.KilledError
        world.requests[method] += 1
        world.advance(world.now + world.latency)
        if any(a <= world.now < b for a, b in world.outages):
            raise api.TransientError(f'{method}: HTTP 503')

    # -- servers, read -----------------------------------------------------

    def on(self, host: str) -> tuple[servers.Server, ...]:
        self._ask('on')
        guests = self._world.guests.values()
        return tuple(
            guest
            for guest in guests
            if guest.host == host and not guest.deleted
        )

    def server(self, server: str) -> servers.Server | None:
        self._ask('server')
        return self._world.guests.get(server)

    def migrations(
        self,
        host: str | None = None,
        *,
        server: str | None = None,
        since: datetime.datetime | None = None,
    ) -> tuple[servers.Migration, ...]:
        self._ask('migrations')
        return tuple(
            row
            for row in (r.migration for r in self._world.rows if r.seen)
            if (host is None or host in (row.source, row.dest))
            and server in (None, row.server)
            # one that has not changed yet is not told
            and (since is None or (row.updated and row.updated >= since))
        )

    def figures(self, server: str) -> answers.Figures | None:
        self._ask('figures')
        assert server in self._world.guests
        return answers.Figures(2, 3)

    def groups(self) -> list[answers.Group]:
        self._ask('groups')
        return self._world.groups

    def why(self, server: str, kind: str, request: str | None) -> str | None:
        self._ask('why')
        assert kind
        assert request is None or request.startswith('req-')
        return self._world.words.get(server)

    def stopped_by(self, server: str) -> str | None:
        self._ask('stopped_by')
        return self._world.stoppers.get(server)

    def aborted_by(self, server: str) -> str | None:
        self._ask('aborted_by')
        return self._world.aborters.get(server)

    # -- servers, moved ----------------------------------------------------

    def _move(self, server: str, kind: str, target: str | None) -> str:
        self._ask(kind)
        world = self._world
        answers = world.scripts[server].answers
        answer = answers.pop(0) if answers else 'ok'
        if answer == '409':
            raise api.OvertakenError(f'{server} is in task_state powering')
        if answer == '400':
            raise exceptions.CommandError(f'{server}: HTTP 400')
        if answer == 'dropped':
            raise api.TransientError(f'{server}: connection refused')
        guest = world.guests.get(server)
        if guest is None:
            raise api.OvertakenError(f'{server} could not be found')
        # Nova evacuates whatever is being done to it
        busy = guest.task_state and kind != servers.EVACUATION
        if busy or guest.vm_state not in _MOVABLE[kind]:
            raise api.OvertakenError(
                f'{server} is in task_state {guest.task_state}'
            )
        row = world.begin(server, kind, self.user_id, target)
        if answer == 'lost':
            raise api.TransientError(f'{server}: connection closed')
        return f'req-{row.migration.id}'

    def live_migrate(self, server: servers.Server, target: str | None) -> str:
        return self._move(server.id, servers.LIVE_MIGRATION, target)

    def cold_migrate(self, server: servers.Server, target: str | None) -> str:
        return self._move(server.id, servers.COLD_MIGRATION, target)

    def evacuate(self, server: servers.Server, target: str | None) -> str:
        found = self._evacuations(server.id)
        now = self._world.guests.get(server.id)
        if any(item.in_progress for item in found) or (
            now and self.being_rebuilt(now)
        ):
            raise api.OvertakenError('an evacuation is under way already')
        return self._move(server.id, servers.EVACUATION, target)

    def being_rebuilt(self, server: servers.Server) -> bool:
        busy = (server.task_state or '').startswith('rebuild')
        return busy and bool(self._evacuations(server.id))

    def _evacuations(self, server: str) -> list[servers.Migration]:
        rows = [row.migration for row in self._world.rows if row.seen]
        return [
            row
            for row in rows
            if row.server == server and row.kind == servers.EVACUATION
        ]

    def _row(self, server: str) -> simulation.Row:
        for row in reversed(self._world.rows):
            if row.migration.server == server:
                return row
        raise api.OvertakenError(f'{server} could not be found')

    def confirm(self, server: servers.Server) -> None:
        self._ask('confirm')
        row = self._row(server.id)
        if row.confirming:
            raise exceptions.CommandError('Instance has not been resized.')
        if not row.migration.unconfirmed:
            raise api.OvertakenError("Cannot 'confirmResize'")
        self._world.go(row, self._world.confirmed(row))
        answers = self._world.scripts[server.id].answers
        if answers and answers.pop(0) == 'lost':
            raise api.TransientError(f'{server.id}: connection closed')

    def stop(self, server: servers.Server) -> None:
        self._power('stop', server, 'stopped')
        self._world.stoppers[server.id] = self.user_id

    def start(self, server: servers.Server) -> None:
        self._power('start', server, 'active')

    def _power(self, method: str, server: servers.Server, to: str) -> None:
        self._ask(method)
        self._world.switch(server.id, to)

    def abort(
        self, server: servers.Server, migration: servers.Migration
    ) -> None:
        row = self._steer('abort', server.id, migration)
        if row.migration.status == 'accepted':
            raise exceptions.CommandError('Cannot abort: accepted')
        if self._world.scripts[server.id].abortable:
            self._world.aborters[server.id] = self.user_id
            self._world.go(row, self._world.cancelled(row))

    def force_complete(
        self, server: servers.Server, migration: servers.Migration
    ) -> None:
        row = self._steer('force', server.id, migration)
        if row.migration.status != 'running':
            raise exceptions.CommandError('Cannot force: not running')
        if self._world.scripts[server.id].abortable:
            self._world.go(row, self._world.landed(row))

    def _steer(
        self, method: str, server: str, migration: servers.Migration
    ) -> simulation.Row:
        self._ask(method)
        row = self._row(server)
        guest = self._world.guests[server]
        if guest.task_state != 'migrating' or row.migration.id != migration.id:
            raise api.OvertakenError(f'{server} is in an invalid state')
        return row

    # -- hosts, and what is beside them ------------------------------------

    def services(self) -> list[state.Service]:
        self._ask('services')
        return [
            state.Service(host, host, 'enabled', is_up)
            for host, is_up in self._world.hosts.items()
        ]

    def service(self, host: str) -> state.Service:
        self._ask('service')
        assert host == HOST
        return self._world.service or disabled(self._world)

    def providers(self) -> dict[str, str]:
        self._ask('providers')
        return {}

    def held(self, nodes: list[str]) -> dict[str, typing.Any]:
        assert not nodes
        return {}

    def image(self, image: str) -> dict[str, str]:
        raise AssertionError(f'no server is of image {image}')

    def node_in(self, aggregate: str) -> str:
        assert aggregate
        return 'node-1'

    def consumers(self, nodes: list[str]) -> set[str]:
        """Servers that are here, or will be once they are taken up."""
        self._ask('consumers')
        assert nodes == ['node-1']
        guests = self._world.guests.values()
        return {item.id for item in guests if item.host in ('', HOST)}

    def candidates(self, query: str) -> frozenset[str]:
        raise AssertionError(f'no server holds anything: {query}')

    def aggregate(self, aggregate: state.Aggregate) -> state.Aggregate:
        self._ask('aggregate')
        found = self._world.aggregate
        if found is None:
            raise api.OvertakenError(f'{aggregate.name} could not be found')
        return found

    def write_record(
        self, aggregate: state.Aggregate, changes: dict[str, str | None]
    ) -> state.Aggregate:
        self._ask('write_record')
        found = self._world.aggregate
        if found is None:
            raise api.OvertakenError(f'{aggregate.name} could not be found')
        merged = {**found.metadata, **changes}
        self._world.aggregate = dataclasses.replace(
            found, metadata={k: v for k, v in merged.items() if v is not None}
        )
        return self._world.aggregate


_RECORD = record.Record(
    id='3f9a1c2e',
    start=simulation.EPOCH,
    set_at=simulation.EPOCH,
    before=record.ENABLED,
)


def recorded(policy: policy_.Policy) -> state.Aggregate:
    """The aggregate of a maintenance."""
    told = dataclasses.replace(_RECORD, policy=policy)
    return state.Aggregate(
        7, _RECORD.id, f'maintenance:{HOST}', (HOST,), record.encode(told)
    )


def disabled(world: simulation.World) -> state.Service:
    """The service of the host, as the maintenance has left it."""
    return state.Service(
        *(HOST, HOST, 'disabled', world.hosts[HOST]),
        mark.disabled_reason(_RECORD),
    )


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
        host = state.Host(HOST, disabled(world), world.aggregate)
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
