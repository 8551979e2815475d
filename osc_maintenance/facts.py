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

"""What is known about hosts: asked of Nova and Placement, nothing changed."""

import dataclasses
import datetime
import typing

from osc_lib import exceptions

from osc_maintenance import nova as nova_
from osc_maintenance import parallel
from osc_maintenance import placement
from osc_maintenance import state
from osc_maintenance import text
from osc_maintenance import view

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_


@dataclasses.dataclass(frozen=True)
class Emptied:
    """Whether the admin may start.

    :ivar known: nothing is left on the host; None if that cannot be known.
    :ivar note: why it is not known, or what is left that Nova does not list.
    """

    known: bool | None
    note: str | None = None


def find(nova: nova_.Nova, name: str) -> state.Host:
    """A host as Nova shows it.

    :param nova: Nova.
    :param name: the host's name.
    :returns: the host, with the aggregate of its maintenance.
    :raises CommandError: if there is neither a compute service of that name
        nor an aggregate left from one.
    """
    service, aggregates = parallel.both(
        lambda: nova.service(name), nova.aggregates
    )
    host = state.Host(name, service, aggregates.get(name))
    if host.mark and host.aggregate is None:
        # made since they were listed?
        host = state.Host(name, service, nova.aggregates().get(name))
    if service is None and host.aggregate is None:
        raise nova.unknown_host(name)
    return host


def survey(nova: nova_.Nova) -> list[state.Host]:
    """Every host that has a compute service, or an aggregate left from one.

    :param nova: Nova.
    :returns: the hosts in the order of their names.
    """
    found, aggregates = parallel.both(nova.services, nova.aggregates)
    services = {service.host: service for service in found}
    marked = {
        name
        for name, service in services.items()
        if state.Host(name, service).mark
    }
    if marked - aggregates.keys():
        # made since they were listed?
        aggregates = nova.aggregates()
    return [
        state.Host(name, services.get(name), aggregates.get(name))
        for name in sorted(services.keys() | aggregates.keys())
    ]


def load(nova: nova_.Nova, name: str) -> state.Load:
    """What is on a host, and on its way.

    :param nova: Nova.
    :param name: the host's name.
    :returns: counts of servers and migrations.
    """
    servers, movement = parallel.both(
        lambda: nova.servers(name), lambda: nova.migrations(name)
    )
    return state.Load(servers, movement)


def emptied(
    clients: 'clients_.Clients', host: state.Host, load: state.Load
) -> Emptied:
    """Whether nothing at all is left on a host.

    Nova does not list everything that occupies a host (soft-deleted servers,
    for one): the last word is Placement's, which is asked only where Nova
    knows of nothing.

    :param clients: Nova and Placement.
    :param host: the host.
    :param load: what Nova knows to be there.
    :returns: whether it is emptied.
    """
    if not load.nothing:
        return Emptied(False)
    name = text.escape(host.name)
    unknown = f'Whether {name} is emptied is not known: '
    if host.service is None:
        return Emptied(None, unknown + 'it has no compute service')
    if not host.service.id:
        return Emptied(None, unknown + 'its cell is down')
    try:
        nodes = _nodes(clients, host)
        if not nodes:
            return Emptied(None, unknown + 'Nova lists no hypervisor of it')
        left = clients.placement.consumers(nodes)
    except placement.UnavailableError as exc:
        reason = text.escape(str(exc))
        return Emptied(None, f'{unknown}Placement cannot be asked: {reason}')
    except exceptions.CommandError as exc:
        return Emptied(None, f'{unknown}{exc}')
    if left:
        return Emptied(
            False,
            f'{name} is not emptied: Nova lists nothing there, but Placement '
            f'has allocations of {", ".join(sorted(left))} (a soft-deleted '
            'server, or one that was not cleaned up?)',
        )
    return Emptied(True)


def _nodes(clients: 'clients_.Clients', host: state.Host) -> list[str]:
    """The compute nodes of a host; Placement knows the one of a member."""
    if host.aggregate and host.aggregate.hosts == (host.name,):
        node = clients.placement.node_in(host.aggregate.uuid)
        if node:
            return [node]
    return clients.nova.nodes(host.name)


def listing(
    nova: nova_.Nova, *, everything: bool, now: datetime.datetime
) -> list[dict[str, typing.Any]]:
    """What ``list`` shows.

    :param nova: Nova. It is asked once for all services and all aggregates,
        and once for the migrations of each host in maintenance.
    :param everything: hosts that are not in maintenance as well.
    :param now: the present, in UTC.
    :returns: the fields of each host, without those that say what is on it.
    """
    hosts = [
        host
        for host in survey(nova)
        if everything or host.aggregate or host.mark
    ]
    return [
        view.fields(host, load, None, now)
        for host, load in zip(hosts, loads(nova, hosts), strict=True)
    ]


def loads(
    nova: nova_.Nova, hosts: list[state.Host]
) -> list[state.Load | None]:
    """What is on its way from and to the hosts whose state depends on it.

    :param nova: Nova, which is asked side by side.
    :param hosts: the hosts.
    :returns: for each host its migrations, or None if there was no need.
    """
    asked = [host.name for host in hosts if host.aggregate and host.ours]
    told = parallel.each(nova.migrations, asked)
    loads = {
        name: state.Load({}, movement)
        for name, movement in zip(asked, told, strict=True)
    }
    return [loads.get(host.name) for host in hosts]
