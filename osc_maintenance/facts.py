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

import collections.abc
import contextlib
import dataclasses
import datetime
import time
import typing

from osc_lib import exceptions

from osc_maintenance import compute
from osc_maintenance import gaps
from osc_maintenance.nova import api
from osc_maintenance.nova import hosts
from osc_maintenance.nova import servers as servers_api
from osc_maintenance import parallel
from osc_maintenance import placement
from osc_maintenance import policy
from osc_maintenance import record
from osc_maintenance import servers as servers_
from osc_maintenance import text
from osc_maintenance import times

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_


#: How long the source of a move is at it at most when its server has gone.
_CLEANING_UP = datetime.timedelta(minutes=15)
#: How long to wait until Nova lets go of what has moved, in seconds.
_LETTING_GO = (0.5, 1.0, 2.0)


@dataclasses.dataclass(frozen=True)
class Emptied:
    """Whether the admin may start.

    :ivar known: nothing is left on the host; None if that cannot be known.
    :ivar note: why it is not known, or what is left that Nova does not list.
    """

    known: bool | None
    note: str | None = None


def find(
    nova: hosts.Hosts, name: str, known: compute.Aggregate | None = None
) -> compute.Host:
    """A host as Nova shows it.

    :param nova: Nova.
    :param name: the host's name.
    :param known: the aggregate of its maintenance as it was: if it is still
        there, the others are not listed.
    :returns: the host, with the aggregate of its maintenance.
    :raises CommandError: if there is neither a compute service of that name
        nor an aggregate left from one.
    """
    service, aggregate = parallel.both(
        lambda: nova.service(name), lambda: _aggregate(nova, name, known)
    )
    host = compute.Host(name, service, aggregate)
    if host.mark and host.aggregate is None:
        # made since they were listed?
        host = compute.Host(name, service, nova.aggregates().get(name))
        if host.aggregate is None:
            host = without_aggregate(nova, host)
    if service is None and host.aggregate is None:
        raise nova.unknown_host(name)
    return host


def without_aggregate(nova: hosts.Hosts, host: compute.Host) -> compute.Host:
    """A host that has seemed to be disabled for a maintenance without record.

    Who ends a maintenance puts the service back before the aggregate goes, so
    what was read before may be what has just been ended.

    :param nova: Nova.
    :param host: the host; Nova has listed no aggregate of it since.
    :returns: the host as it is now.
    :raises CommandError: if Nova does not answer.
    """
    return dataclasses.replace(host, service=nova.service(host.name))


def _aggregate(
    nova: hosts.Hosts, name: str, known: compute.Aggregate | None
) -> compute.Aggregate | None:
    """The aggregate of a host's maintenance."""
    if known:
        with contextlib.suppress(api.OvertakenError):
            found = nova.aggregate(known)
            if record.aggregate_host(found.name) == name:
                return found
    return nova.aggregates().get(name)


def survey(nova: hosts.Hosts) -> list[compute.Host]:
    """Every host that has a compute service, or an aggregate left from one.

    :param nova: Nova.
    :returns: the hosts in the order of their names.
    """
    found, aggregates = parallel.both(nova.services, nova.aggregates)
    services: dict[str, compute.Service] = {}
    for service in found:
        known = services.setdefault(service.host, service)
        if known is not service:
            others = (*known.others, service.id)
            services[service.host] = dataclasses.replace(known, others=others)
    marked = {
        name
        for name, service in services.items()
        if compute.Host(name, service).mark
    }
    if marked - aggregates.keys():
        # made since they were listed?
        aggregates = nova.aggregates()
    return [
        compute.Host(name, services.get(name), aggregates.get(name))
        for name in sorted(services.keys() | aggregates.keys())
    ]


def load(servers: servers_api.Servers, name: str) -> servers_.Load:
    """What is on a host, and on its way.

    :param servers: the servers of Nova.
    :param name: the host's name.
    :returns: the servers and the migrations.
    """
    # in this order: a server whose migration has ended is seen elsewhere
    migrations, read = servers.migrations(name), times.clock()
    here = servers.on(name)
    found = load_of(servers, name, here, migrations, times.now())
    return dataclasses.replace(found, read=read)


def load_of(
    servers: servers_api.Servers,
    name: str,
    found: tuple[servers_.Server, ...],
    migrations: tuple[servers_.Migration, ...],
    now: datetime.datetime,
) -> servers_.Load:
    """What is on a host and on its way, without what Nova has forgotten.

    A migration on its way here while nothing is done to its server never goes
    on: nova-compute was restarted on the host where that is, or died. Nor does
    one away from here whose server has been elsewhere for long. Such servers
    are asked for one by one; few migrations are there at a time.

    :param servers: the servers of Nova.
    :param name: the host's name.
    :param found: the servers on the host.
    :param migrations: the migrations from and to the host.
    :param now: the present, in UTC.
    :returns: the load.
    """
    load = servers_.Load(name, found, migrations)
    here = {server.id for server in found}
    long_since = [
        item
        for item in load.out
        # the source cleans up for a while when its server has gone
        if item.server not in here
        and item.updated is not None
        and now - item.updated > _CLEANING_UP
    ]
    asked = [*load.coming, *long_since]
    over = parallel.each(
        lambda item: _is_over(servers, item.server, name), asked
    )
    return dataclasses.replace(
        load,
        forgotten=frozenset(
            item.id
            for item, is_over in zip(asked, over, strict=True)
            if is_over
        ),
    )


def _is_over(servers: servers_api.Servers, server: str, host: str) -> bool:
    """Whether nothing moves a server any more, whatever its migration says."""
    try:
        found = servers.server(server)
    except api.DownCellError:
        return False
    return found is None or (
        found.task_state is None
        and found.host != host
        # somebody has to confirm its cold migration
        and found.vm_state != 'resized'
    )


def emptied(
    clients: 'clients_.Clients', host: compute.Host, load: servers_.Load
) -> Emptied:
    """Whether nothing at all is left on a host.

    Nova does not list everything that occupies a host (soft-deleted servers,
    for one): the last word is Placement's, which is asked only where Nova
    knows of nothing.

    :param clients: Nova and Placement.
    :param host: the host.
    :param load: what Nova knows to be there.
    :returns: whether it is emptied.
    :raises TransientError: if servers are there that Nova does not list.
    """
    if not load.nothing:
        return Emptied(False)
    name = text.escape(host.name)
    unknown = f'Whether {name} is emptied is not known: '
    if host.service is None:
        return Emptied(None, unknown + 'it has no compute service')
    if host.service.lost:
        return Emptied(None, unknown + 'its cell is down')
    try:
        found = nodes(clients, host)
        if not found:
            return Emptied(None, unknown + 'Nova lists no hypervisor of it')
        left = clients.placement.consumers(found)
    except placement.UnavailableError as exc:
        reason = text.escape(str(exc))
        return Emptied(None, f'{unknown}Placement cannot be asked: {reason}')
    except exceptions.CommandError as exc:
        return Emptied(None, f'{unknown}{exc}')
    moved = host.journal.moves
    evacuated = {
        item for item in left if item in moved and moved[item].evacuated
    }
    # those that were evacuated keep theirs, and may be hundreds
    gaps.unlisted(clients, host.name, left - evacuated)
    if left and host.journal.returning and left <= host.journal.returns.keys():
        # room for them is kept before Nova lists anything
        return Emptied(False)
    if left:
        why = (
            'a soft-deleted server, or a server or a migration that was not '
            'cleaned up?'
        )
        if left == evacuated:
            why = 'evacuated servers keep them until nova-compute is back'
        return Emptied(
            False,
            f'{name} is not emptied: Nova lists nothing there, but Placement '
            f'has allocations of {", ".join(sorted(left))} ({why})',
        )
    return Emptied(True)


def emptied_by_now(
    clients: 'clients_.Clients',
    host: compute.Host,
    load: servers_.Load,
    pause: collections.abc.Callable[[float], object] = time.sleep,
) -> Emptied:
    """The same of a host that servers have just left.

    Nova says that a move has ended, and then lets go of what it held in
    Placement.

    :param clients: Nova and Placement.
    :param host: the host.
    :param load: what Nova knows to be there.
    :param pause: waits for some seconds.
    :returns: whether it is emptied.
    :raises TransientError: as :func:`emptied`.
    """
    up = host.service is not None and host.service.state == 'up'
    for seconds in _LETTING_GO:
        found = emptied(clients, host, load)
        if not (up and found.note and found.known is False):
            return found
        pause(seconds)
    return emptied(clients, host, load)


def nodes(clients: 'clients_.Clients', host: compute.Host) -> list[str]:
    """The compute nodes of a host; Placement knows the one of a member.

    :param clients: Nova and Placement.
    :param host: the host.
    :returns: their UUIDs.
    :raises UnavailableError: if Placement cannot be asked.
    :raises CommandError: if Nova does not answer.
    """
    if host.aggregate and host.aggregate.hosts == (host.name,):
        node = clients.placement.node_in(host.aggregate.uuid)
        if node:
            return [node]
    return clients.nova.nodes(host.name)


def load_if_needed(
    clients: 'clients_.Clients', host: compute.Host
) -> servers_.Load | None:
    """What is on its way from and to a host, if its state depends on it.

    :param clients: Nova.
    :param host: the host.
    :returns: its migrations, and its servers if some have to go, were stopped,
        or something moves; None if there is no need.
    :raises CommandError: if Nova does not answer.
    """
    if not host.aggregate or not (host.ours or host.journal.returning):
        return None
    wanted = host.known.policy if host.known else policy.NOTHING
    if wanted.migrate != policy.NONE or host.journal.stopped:
        return load(clients.servers, host.name)
    migrations = clients.servers.migrations(host.name)
    found = servers_.Load(host.name, None, migrations)
    # only its servers tell whether a migration was forgotten
    return load(clients.servers, host.name) if found.moving else found
