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

"""A cloud in memory, for the tests of what stands on the real one."""

import collections.abc
import dataclasses
import datetime
import typing

from osc_lib import exceptions

from osc_maintenance import change
from osc_maintenance import clients
from osc_maintenance import compute
from osc_maintenance.nova import actions
from osc_maintenance.nova import answers
from osc_maintenance.nova import api
from osc_maintenance import placement
from osc_maintenance import record
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes_owned
from osc_maintenance.tests.unit import scenes


class Nova:
    """Has the methods of Hosts that read and write, and what they do."""

    def __init__(self, *hosts: compute.Host) -> None:
        self.hosts = {host.name: host for host in hosts}
        #: what was written, as (method, host)
        self.writes: list[tuple[str, str]] = []
        #: hosts that Nova refuses to change
        self.broken: set[str] = set()
        self.listed_nodes = ['node-1']
        #: Nova does not list its hypervisors
        self.unlisted = False
        self.hypervisor = 'qemu'
        self._made = 0

    @property
    def changes(self) -> int:
        return len(self.writes)

    def service(self, host: str) -> compute.Service | None:
        found = self.hosts.get(host)
        return found.service if found else None

    def services(self) -> list[compute.Service]:
        return [host.service for host in self.hosts.values() if host.service]

    def unknown_host(self, host: str) -> exceptions.CommandError:
        return exceptions.CommandError(f'unknown host {host}')

    def aggregates(self) -> dict[str, compute.Aggregate]:
        return {
            name: host.aggregate
            for name, host in self.hosts.items()
            if host.aggregate
        }

    def aggregate(self, aggregate: compute.Aggregate) -> compute.Aggregate:
        host = record.aggregate_host(aggregate.name)
        found = self.hosts[host or ''].aggregate
        if found is None or found.uuid != aggregate.uuid:
            raise api.OvertakenError(f'{aggregate.name} is gone')
        return found

    def differs(self, aggregate: compute.Aggregate) -> bool:
        try:
            return self.aggregate(aggregate) != aggregate
        except api.OvertakenError:
            return True

    def nodes(self, host: str) -> list[str]:
        assert host in self.hosts
        return self.listed_nodes

    def providers(self) -> dict[str, answers.Node]:
        if self.unlisted:
            raise exceptions.CommandError('Hypervisors: no')
        return {
            f'node-of-{host}': answers.Node(host, self.hypervisor)
            for host in self.hosts
        }

    def claim(self, host: str) -> compute.Aggregate | None:
        if self.hosts[host].aggregate:
            return None
        self._write('claim', host)
        # each is another one, with an id of its own
        self._made += 1
        made = scenes.claimed(self.hosts[host], f'{self._made:08x}')
        self.hosts[host] = made
        return made.aggregate

    def write_record(
        self, aggregate: compute.Aggregate, changes: dict[str, str | None]
    ) -> compute.Aggregate | None:
        return self._step(aggregate, change.WriteRecord(changes))

    def add_host(
        self, aggregate: compute.Aggregate, host: str
    ) -> compute.Aggregate | None:
        assert aggregate.name == record.aggregate_name(host)
        return self._step(aggregate, change.AddHost())

    def remove_host(
        self, aggregate: compute.Aggregate, host: str
    ) -> compute.Aggregate | None:
        assert aggregate.name == record.aggregate_name(host)
        return self._step(aggregate, change.RemoveHost())

    def delete(self, aggregate: compute.Aggregate) -> None:
        self._step(aggregate, change.DeleteAggregate())

    def set_service(
        self, service: compute.Service, wanted: record.ServiceStatus
    ) -> compute.Service | None:
        self._write('set_service', service.host)
        step = change.SetService(wanted)
        changed = scenes.after(self.hosts[service.host], step)
        self.hosts[service.host] = changed
        return changed.service

    def _step(
        self, aggregate: compute.Aggregate, step: change.Step
    ) -> compute.Aggregate | None:
        host = record.aggregate_host(aggregate.name)
        assert host is not None
        current = self.hosts[host].aggregate
        if current is None or (
            isinstance(step, change.AddHost) and host in current.hosts
        ):
            raise api.OvertakenError(f'{aggregate.name}: HTTP 404 or 409')
        self._write(type(step).__name__, host)
        self.hosts[host] = scenes.after(self.hosts[host], step)
        return self.hosts[host].aggregate

    def _write(self, method: str, host: str) -> None:
        if host in self.broken:
            raise exceptions.CommandError(f'{host}: Nova says no \x1b[2J')
        self.writes.append((method, host))


class Placement:
    """A Placement that knows of some consumers, or does not answer."""

    def __init__(self) -> None:
        self.left: set[str] | None = set()
        self.member: str | None = None
        #: what consumers hold, by resource provider and class
        self.holdings: dict[str, dict[str, dict[str, int]]] = {}
        #: the nodes that have room, by what was asked
        self.room: dict[str, frozenset[str] | None] = {}
        #: the nodes that have room for anything else
        self.anything: frozenset[str] = frozenset()
        #: what was asked, in alphabetical order
        self.asked: list[str] = []

    def node_in(self, aggregate: str) -> str | None:
        assert aggregate
        return self.member

    def consumers(self, nodes: collections.abc.Iterable[str]) -> set[str]:
        assert isinstance(nodes, list)
        if self.left is None:
            raise placement.UnavailableError('Placement says no \x1b[2J')
        return self.left

    def held(
        self, nodes: collections.abc.Iterable[str]
    ) -> dict[str, dict[str, dict[str, int]]]:
        assert isinstance(nodes, list)
        if self.left is None:
            raise placement.UnavailableError('Placement says no \x1b[2J')
        return self.holdings

    def candidates(self, query: str) -> frozenset[str] | None:
        self.asked = sorted([*self.asked, query])
        return self.room.get(query, self.anything)


class Servers:
    """Has the methods of Servers; what is moved is elsewhere at once."""

    def __init__(self) -> None:
        #: what is on each host, and on its way
        self.loads: dict[str, servers.Load] = {}
        #: what was asked for, as (method, server id, target or migration)
        self.writes: list[tuple[str, str, str | int | None]] = []
        #: what is raised instead of moving a server, by its id
        self.refusals: dict[str, Exception] = {}
        self.listed_groups: list[answers.Group] | None = []
        #: Nova's figures of live migrations, by server id
        self.copied: dict[str, answers.Figures] = {}
        #: who has stopped servers, by their ids
        self.stoppers: dict[str, str | None] = {}
        #: who has aborted the last migration of a server, by its id
        self.aborters: dict[str, str] = {}
        #: who has asked for the latest move of a server, by its id
        self.movers: dict[str, str] = {}
        self.microversion = (2, 96)
        #: why moves fail, by server id
        self.causes: dict[str, str] = {}

    @property
    def changes(self) -> int:
        return len(self.writes)

    def on(self, host: str) -> tuple[servers.Server, ...]:
        return self.loads.get(host, scenes.NOTHING).servers or ()

    def server(self, server: str) -> servers.Server | None:
        for load in self.loads.values():
            for item in load.servers or ():
                if item.id == server:
                    return item
        return None

    def migrations(
        self,
        host: str | None = None,
        *,
        server: str | None = None,
        since: datetime.datetime | None = None,
    ) -> tuple[servers.Migration, ...]:
        loads = self.loads
        chosen = loads.values() if host is None else [loads.get(host)]
        found = {
            item.id: item
            for load in chosen
            for item in (load.migrations if load else ())
            if server in (None, item.server)
        }
        return tuple(
            item
            for item in found.values()
            if not since or not item.updated or item.updated >= since
        )

    def figures(self, server: str) -> answers.Figures | None:
        return self.copied.get(server)

    def groups(self) -> list[answers.Group]:
        if self.listed_groups is None:
            raise exceptions.CommandError('Server groups: no')
        return self.listed_groups

    def why(self, server: str, kind: str, request: str | None) -> str | None:
        assert kind
        assert request is None or request.startswith('req-')
        return self.causes.get(server)

    def trouble(self, server: servers.Server, what: str) -> str | None:
        real = typing.cast(actions.Actions, self)
        return actions.Actions.trouble(real, server, what)

    def live_migrate(
        self, server: servers.Server, target: str | None
    ) -> str | None:
        return self._move('live_migrate', server, target)

    def cold_migrate(
        self, server: servers.Server, target: str | None
    ) -> str | None:
        return self._move('cold_migrate', server, target)

    def evacuate(
        self, server: servers.Server, target: str | None
    ) -> str | None:
        return self._move('evacuate', server, target)

    def confirm(self, server: servers.Server) -> None:
        self._write('confirm', server, None)

    def stopped_by(self, server: str) -> str | None:
        return self.stoppers.get(server, 'alice')

    def being_rebuilt(self, server: servers.Server) -> bool:
        return server.task_state == 'rebuilding'

    def aborted_by(self, server: str) -> str | None:
        return self.aborters.get(server)

    def moved_by(self, server: str) -> str | None:
        return self.movers.get(server)

    def stop(self, server: servers.Server) -> None:
        self._write('stop', server, None)
        self.stoppers[server.id] = 'id-of-alice'
        self.become(server.id, vm_state='stopped', status='SHUTOFF')

    def start(self, server: servers.Server) -> None:
        self._write('start', server, None)
        self.become(server.id, vm_state='active', status='ACTIVE')

    def become(self, server: str, **fields: typing.Any) -> None:
        """Let a server be otherwise."""
        for host, load in self.loads.items():
            changed = tuple(
                dataclasses.replace(item, **fields)
                if item.id == server
                else item
                for item in load.servers or ()
            )
            self.loads[host] = dataclasses.replace(load, servers=changed)

    def abort(
        self, server: servers.Server, migration: servers.Migration
    ) -> None:
        self._write('abort', server, migration.id)

    def force_complete(
        self, server: servers.Server, migration: servers.Migration
    ) -> None:
        self._write('force_complete', server, migration.id)

    def _write(
        self, method: str, server: servers.Server, what: str | int | None
    ) -> None:
        if server.id in self.refusals:
            raise self.refusals[server.id]
        self.writes.append((method, server.id, what))

    def _move(
        self, method: str, server: servers.Server, target: str | None
    ) -> str:
        self._write(method, server, target)
        source = next(
            load
            for load in self.loads.values()
            if server.id in [item.id for item in load.servers or ()]
        )
        kind, status = {
            'live_migrate': (servers.LIVE_MIGRATION, 'completed'),
            'cold_migrate': (servers.COLD_MIGRATION, 'confirmed'),
            'evacuate': (servers.EVACUATION, 'done'),
        }[method]
        migration = servers.Migration(
            id=1 + max((item.id for item in self.migrations()), default=0),
            server=server.id,
            kind=kind,
            status=status,
            source=source.host,
            dest=target or 'compute2',
            updated=scenes.NOW,
        )
        left = [item for item in source.servers or () if item.id != server.id]
        self.loads[source.host] = servers.Load(
            source.host, tuple(left), (*source.migrations, migration)
        )
        dest = str(migration.dest)
        there = self.loads.get(dest, servers.Load(dest))
        moved = dataclasses.replace(server, host=dest, task_state=None)
        self.loads[dest] = servers.Load(
            dest,
            (*(there.servers or ()), moved),
            (*there.migrations, migration),
        )
        return f'req-{server.id}'


class Clients:
    """All, and whoever uses them."""

    def __init__(self, *hosts: compute.Host) -> None:
        self.nova = Nova(*hosts)
        self.servers = Servers()
        self.owned = fakes_owned.Owned(self.servers)
        self.placement = Placement()
        self.user: str | None = 'alice'
        self.user_id = 'id-of-alice'
        #: the ids of projects, by name
        self.projects: dict[str, str | list[str]] = {}
        #: the properties of images, by id
        self.images: dict[str, dict[str, str]] = {}

    @property
    def changes(self) -> int:
        parts = (self.nova, self.servers, self.owned)
        return sum(part.changes for part in parts)

    def image(self, image: str) -> dict[str, str]:
        return self.images.get(image, {})

    def project(self, project: str) -> list[str]:
        found = self.projects.get(project, [])
        return [found] if isinstance(found, str) else found


def real(fake: Clients) -> clients.Clients:
    """The fake, for functions that ask for the real ones."""
    return typing.cast(clients.Clients, fake)


def named(host: compute.Host, name: str) -> compute.Host:
    """The same host with another name."""
    service, aggregate = host.service, host.aggregate
    if service:
        service = dataclasses.replace(service, host=name)
    if aggregate:
        aggregate = dataclasses.replace(
            aggregate,
            name=record.aggregate_name(name),
            hosts=tuple(name for _ in aggregate.hosts),
        )
    return compute.Host(name, service, aggregate)
