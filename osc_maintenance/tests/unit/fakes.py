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

"""A Nova in memory, for the tests of what stands on nova.Nova."""

import dataclasses
import typing

from osc_lib import exceptions

from osc_maintenance import change
from osc_maintenance import clients
from osc_maintenance import nova
from osc_maintenance import placement
from osc_maintenance import record
from osc_maintenance import state
from osc_maintenance.tests.unit import scenes


class Nova:
    """Has the methods of nova.Nova that read and write, and what they do."""

    def __init__(self, *hosts: state.Host) -> None:
        self.hosts = {host.name: host for host in hosts}
        self.loads: dict[str, state.Load] = {}
        #: what was written, as (method, host)
        self.writes: list[tuple[str, str]] = []
        #: hosts that Nova refuses to change
        self.broken: set[str] = set()
        self.listed_nodes = ['node-1']

    @property
    def changes(self) -> int:
        return len(self.writes)

    def service(self, host: str) -> state.Service | None:
        found = self.hosts.get(host)
        return found.service if found else None

    def services(self) -> list[state.Service]:
        return [host.service for host in self.hosts.values() if host.service]

    def unknown_host(self, host: str) -> exceptions.CommandError:
        return exceptions.CommandError(f'unknown host {host}')

    def aggregates(self) -> dict[str, state.Aggregate]:
        return {
            name: host.aggregate
            for name, host in self.hosts.items()
            if host.aggregate
        }

    def aggregate(self, aggregate: state.Aggregate) -> state.Aggregate:
        host = record.aggregate_host(aggregate.name)
        found = self.hosts[host or ''].aggregate
        if found is None or found.uuid != aggregate.uuid:
            raise nova.OvertakenError(f'{aggregate.name} is gone')
        return found

    def servers(self, host: str) -> dict[str, int]:
        return self.loads.get(host, scenes.NOTHING).servers

    def migrations(self, host: str) -> state.Movement:
        return self.loads.get(host, scenes.NOTHING).movement

    def nodes(self, host: str) -> list[str]:
        assert host in self.hosts
        return self.listed_nodes

    def claim(self, host: str) -> state.Aggregate | None:
        if self.hosts[host].aggregate:
            return None
        self._write('claim', host)
        self.hosts[host] = scenes.claimed(self.hosts[host])
        return self.hosts[host].aggregate

    def write_record(
        self, aggregate: state.Aggregate, changes: dict[str, str | None]
    ) -> state.Aggregate | None:
        return self._step(aggregate, change.WriteRecord(changes))

    def add_host(
        self, aggregate: state.Aggregate, host: str
    ) -> state.Aggregate | None:
        assert aggregate.name == record.aggregate_name(host)
        return self._step(aggregate, change.AddHost())

    def remove_host(
        self, aggregate: state.Aggregate, host: str
    ) -> state.Aggregate | None:
        assert aggregate.name == record.aggregate_name(host)
        return self._step(aggregate, change.RemoveHost())

    def delete(self, aggregate: state.Aggregate) -> None:
        self._step(aggregate, change.DeleteAggregate())

    def set_service(
        self, service: state.Service, wanted: record.ServiceStatus
    ) -> state.Service | None:
        self._write('set_service', service.host)
        step = change.SetService(wanted)
        changed = scenes.after(self.hosts[service.host], step)
        self.hosts[service.host] = changed
        return changed.service

    def _step(
        self, aggregate: state.Aggregate, step: change.Step
    ) -> state.Aggregate | None:
        host = record.aggregate_host(aggregate.name)
        assert host is not None
        current = self.hosts[host].aggregate
        if current is None or (
            isinstance(step, change.AddHost) and host in current.hosts
        ):
            raise nova.OvertakenError(f'{aggregate.name}: HTTP 404 or 409')
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

    def node_in(self, aggregate: str) -> str | None:
        assert aggregate
        return self.member

    def consumers(self, nodes: list[str]) -> set[str]:
        assert isinstance(nodes, list)
        if self.left is None:
            raise placement.UnavailableError('Placement says no \x1b[2J')
        return self.left


class Clients:
    """Both, and whoever uses them."""

    def __init__(self, *hosts: state.Host) -> None:
        self.nova = Nova(*hosts)
        self.placement = Placement()
        self.user = 'alice'


def real(fake: Clients) -> clients.Clients:
    """The fake, for functions that ask for the real ones."""
    return typing.cast(clients.Clients, fake)


def named(host: state.Host, name: str) -> state.Host:
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
    return state.Host(name, service, aggregate)
