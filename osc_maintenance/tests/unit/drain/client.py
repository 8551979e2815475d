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

"""The client of the simulated Nova, with the methods of the real one."""

import dataclasses
import datetime
import typing

from osc_lib import exceptions

from osc_maintenance import compute
from osc_maintenance import mark
from osc_maintenance.nova import actions
from osc_maintenance.nova import answers
from osc_maintenance.nova import api
from osc_maintenance import policy as policy_
from osc_maintenance import record
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import simulation

HOST = simulation.HOST
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
        self.microversion = (2, 96)

    def _ask(self, method: str) -> None:
        world = self._world
        if sum(world.requests.values()) >= world.killed:
            raise simulation.KilledError
        world.requests[method] += 1
        latency = world.latency + world.slower[method]
        world.advance(world.now + latency)
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

    def trouble(self, server: servers.Server, what: str) -> str | None:
        real = typing.cast(actions.Actions, self)
        return actions.Actions.trouble(real, server, what)

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

    def moved_by(self, server: str) -> str | None:
        # known as soon as it is asked for
        rows = [row.migration for row in self._world.rows]
        users = [row.user for row in rows if row.server == server]
        return users[-1] if users else None

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

    def services(self) -> list[compute.Service]:
        self._ask('services')
        return [
            compute.Service(host, host, 'enabled', is_up)
            for host, is_up in self._world.hosts.items()
        ]

    def service(self, host: str) -> compute.Service:
        self._ask('service')
        if host != HOST:
            is_up = self._world.hosts[host]
            return compute.Service(host, host, 'enabled', is_up)
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

    def aggregate(self, aggregate: compute.Aggregate) -> compute.Aggregate:
        self._ask('aggregate')
        found = self._world.aggregate
        if found is None:
            raise api.OvertakenError(f'{aggregate.name} could not be found')
        return found

    def write_record(
        self, aggregate: compute.Aggregate, changes: dict[str, str | None]
    ) -> compute.Aggregate:
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


def recorded(policy: policy_.Policy) -> compute.Aggregate:
    """The aggregate of a maintenance."""
    told = dataclasses.replace(_RECORD, policy=policy)
    return compute.Aggregate(
        7, _RECORD.id, f'maintenance:{HOST}', (HOST,), record.encode(told)
    )


def disabled(world: simulation.World) -> compute.Service:
    """The service of the host, as the maintenance has left it."""
    return compute.Service(
        *(HOST, HOST, 'disabled', world.hosts[HOST]),
        mark.disabled_reason(_RECORD),
    )
