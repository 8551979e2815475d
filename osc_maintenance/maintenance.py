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

"""What the commands do: facts, decision, writes, and the facts again."""

import dataclasses
import datetime
import typing

from osc_lib import exceptions

from osc_maintenance import change
from osc_maintenance import parallel
from osc_maintenance import placement
from osc_maintenance import record
from osc_maintenance import state
from osc_maintenance import text
from osc_maintenance import view

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_
    from osc_maintenance import nova as nova_


@dataclasses.dataclass(frozen=True)
class Emptied:
    """Whether the admin may start.

    :ivar known: nothing is left on the host; None if that cannot be known.
    :ivar note: why it is not known, or what is left that Nova does not list.
    """

    known: bool | None
    note: str | None = None


def find(nova: 'nova_.Nova', name: str) -> state.Host:
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
    if service is None and host.aggregate is None:
        raise nova.unknown_host(name)
    return host


def survey(nova: 'nova_.Nova') -> list[state.Host]:
    """Every host that has a compute service, or an aggregate left from one.

    :param nova: Nova.
    :returns: the hosts in the order of their names.
    """
    found, aggregates = parallel.both(nova.services, nova.aggregates)
    services = {service.host: service for service in found}
    return [
        state.Host(name, services.get(name), aggregates.get(name))
        for name in sorted(services.keys() | aggregates.keys())
    ]


def load(nova: 'nova_.Nova', name: str) -> state.Load:
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
    try:
        left = clients.placement.consumers(clients.nova.nodes(host.name))
    except placement.UnavailableError as exc:
        return Emptied(
            None,
            f'Whether {text.escape(host.name)} is emptied is not known, as '
            f'Placement cannot be asked: {text.escape(str(exc))}',
        )
    if left:
        return Emptied(
            False,
            f'{text.escape(host.name)} is not emptied: Nova lists nothing '
            'there, but Placement has allocations of '
            f'{", ".join(sorted(left))} (a soft-deleted server, or one that '
            'was not cleaned up?)',
        )
    return Emptied(True)


def set_(
    clients: 'clients_.Clients',
    name: str,
    request: change.Request,
    now: datetime.datetime,
) -> tuple[state.Host, bool]:
    """Plan, enter or change the maintenance of a host.

    :param clients: Nova, and who is asking.
    :param name: the host's name.
    :param request: what is asked for.
    :param now: the present, in UTC.
    :returns: the host as it is now, and whether anything was changed.
    :raises CommandError: if there is no such host, or Nova refuses.
    :raises RefusedError: if the request cannot be followed; nothing has been
        written then.
    """
    nova = clients.nova
    service = nova.service(name)
    if service is None:
        raise nova.unknown_host(name)
    host = state.Host(name, service)
    aggregate = nova.aggregates().get(name) if host.mark else None
    if aggregate is None:
        # what would be refused is refused before the first write
        change.to_set(host, request, clients.user, now)
        aggregate = nova.claim(name) or nova.aggregates().get(name)
    if aggregate is None:
        raise exceptions.CommandError(
            f'{text.escape(name)}: Nova has an aggregate '
            f'{text.escape(record.aggregate_name(name))} already and does not '
            'list it; has it just been deleted, or is there another host '
            'whose name differs in case only?'
        )
    host = dataclasses.replace(host, aggregate=aggregate)
    return set_found(clients, host, request, now)


def set_found(
    clients: 'clients_.Clients',
    host: state.Host,
    request: change.Request,
    now: datetime.datetime,
) -> tuple[state.Host, bool]:
    """As :func:`set_`, for a host whose aggregate is known."""
    steps = change.to_set(host, request, clients.user, now)
    return carry_out(clients.nova, host, steps), bool(steps)


def unset(
    clients: 'clients_.Clients', name: str, *, force: bool = False
) -> tuple[state.Host, bool]:
    """End the maintenance of a host, or drop the plan of one.

    :param clients: Nova, and who is asking.
    :param name: the host's name.
    :param force: put the service back although somebody else has changed it.
    :returns: the host as it is now, and whether anything was changed.
    :raises CommandError: if there is no such host, or Nova refuses.
    :raises RefusedError: if the service is not as we left it; nothing has been
        written then.
    """
    host = find(clients.nova, name)
    steps = change.to_unset(host, force=force)
    return carry_out(clients.nova, host, steps), bool(steps)


def clear(
    clients: 'clients_.Clients',
    name: str,
    properties: frozenset[str],
    now: datetime.datetime,
) -> tuple[state.Host, bool]:
    """Clear single properties of a maintenance.

    :param clients: Nova, and who is asking.
    :param name: the host's name.
    :param properties: some of ``reason``, ``ticket_url`` and ``window``.
    :param now: the present, in UTC.
    :returns: the host as it is now, and whether anything was changed.
    :raises CommandError: if there is no such host, or Nova refuses.
    :raises RefusedError: if there is nothing to clear them from; nothing has
        been written then.
    """
    host = find(clients.nova, name)
    steps = change.to_clear(host, properties, clients.user, now)
    return carry_out(clients.nova, host, steps), bool(steps)


def carry_out(
    nova: 'nova_.Nova', host: state.Host, steps: list[change.Step]
) -> state.Host:
    """Do what was decided, step by step.

    :param nova: Nova.
    :param host: the host, with its aggregate if a step needs one.
    :param steps: from :mod:`osc_maintenance.change`.
    :returns: the host as it is now, from Nova's answers.
    :raises CommandError: if Nova refuses a step; those before it are done.
    """
    service, aggregate = host.service, host.aggregate
    for step in steps:
        match step:
            case change.SetService() if service:
                service = nova.set_service(service, step.wanted)
            case change.WriteRecord() if aggregate:
                aggregate = nova.write_record(aggregate, step.changes)
            case change.AddHost() if aggregate:
                aggregate = nova.add_host(aggregate, host.name)
            case change.RemoveHost() if aggregate:
                aggregate = nova.remove_host(aggregate, host.name)
            case change.DeleteAggregate() if aggregate:
                nova.delete(aggregate)
                aggregate = None
    return state.Host(host.name, service, aggregate)


def listing(
    nova: 'nova_.Nova', *, everything: bool, now: datetime.datetime
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
        for host, load in zip(hosts, _movements(nova, hosts), strict=True)
    ]


def _movements(
    nova: 'nova_.Nova', hosts: list[state.Host]
) -> list[state.Load]:
    """The migrations of the hosts whose state depends on them."""
    asked = [host.name for host in hosts if host.aggregate and host.ours]
    told = parallel.each(nova.migrations, asked)
    answers = dict(zip(asked, told, strict=True))
    return [
        state.Load({}, answers.get(host.name, state.Movement()))
        for host in hosts
    ]


def apply(
    clients: 'clients_.Clients',
    *,
    unset_overdue: bool,
    now: datetime.datetime,
) -> list[dict[str, typing.Any]]:
    """Do what the windows call for.

    :param clients: Nova, and who is asking.
    :param unset_overdue: end the maintenances whose window has ended.
    :param now: the present, in UTC.
    :returns: for each host that something was done to or that is overdue, the
        fields of ``list``, ``action`` (entered, unset, overdue or failed) and
        ``changed``.
    """
    rows = []
    for host in survey(clients.nova):
        called_for = change.called_for(host, now)
        if called_for is None:
            continue
        cause = None
        try:
            if called_for == 'entered':
                host = set_found(clients, host, change.Request(), now)[0]
            elif unset_overdue:
                host = carry_out(clients.nova, host, change.to_unset(host))
                called_for = 'unset'
        except (change.RefusedError, exceptions.CommandError) as exc:
            called_for, cause = 'failed', text.escape(str(exc))
        row = view.fields(host, state.Load({}), None, now)
        row['action'] = called_for
        row['changed'] = called_for in ('entered', 'unset')
        row['cause'] = cause or row['cause']
        rows.append(row)
    return rows
