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

import collections.abc
import contextlib
import dataclasses
import datetime
import functools
import typing

from osc_maintenance import change
from osc_maintenance import facts
from osc_maintenance import journal
from osc_maintenance.nova import api
from osc_maintenance.nova import hosts
from osc_maintenance import record
from osc_maintenance import state
from osc_maintenance import text

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_

#: How often to look again when somebody else was quicker.
_ATTEMPTS = 5
_NOTHING: collections.abc.Mapping[str, str | None] = {}

_T = typing.TypeVar('_T')
#: Decides what is to be done to a host.
_Decide = collections.abc.Callable[[state.Host], list[change.Step]]


def set_(
    clients: 'clients_.Clients',
    name: str,
    request: change.Request,
    now: datetime.datetime,
    check: collections.abc.Callable[[state.Host], None] = lambda _host: None,
) -> state.Host:
    """Plan, enter or change the maintenance of a host.

    :param clients: Nova, and who is asking.
    :param name: the host's name.
    :param request: what is asked for.
    :param now: the present, in UTC.
    :param check: called before a planned maintenance is entered; may refuse.
    :returns: the host as it is now.
    :raises CommandError: if there is no such host, or Nova refuses.
    :raises RefusedError: if the request cannot be followed; nothing has been
        written then.
    """

    def attempt() -> state.Host:
        host = _claimed(clients, name, request, now)
        steps = change.to_set(host, request, clients.user, now)
        if host.record and any(
            isinstance(s, change.SetService) for s in steps
        ):
            check(host)
        return keep(clients, host, request, now)

    return _insist(attempt)


def _claimed(
    clients: 'clients_.Clients',
    name: str,
    request: change.Request,
    now: datetime.datetime,
) -> state.Host:
    """A host with the aggregate of its maintenance, old or new.

    Claiming first, and listing the aggregates only if the claim is taken,
    saves a request wherever there is no maintenance yet.
    """
    nova = clients.nova
    service = nova.service(name)
    if service is None:
        raise nova.unknown_host(name)
    host = state.Host(name, service)
    aggregate = nova.aggregates().get(name) if host.mark else None
    if aggregate is None:
        # what would be refused is refused before the first write
        try:
            change.to_set(host, request, clients.user, now)
        except change.RefusedError:
            # it may make sense beside what is recorded
            if name not in nova.aggregates():
                raise
        else:
            aggregate = nova.claim(name)
    if aggregate is None:
        aggregate = nova.aggregates().get(name)
        if aggregate is None:
            raise api.OvertakenError(
                f'{text.escape(name)}: Nova has an aggregate '
                f'{text.escape(record.aggregate_name(name))} already and does '
                'not list it; is there a host whose name differs in case only?'
            )
        host = dataclasses.replace(host, aggregate=aggregate)
        if host.record and host.record.entered:
            # the service was read before somebody else disabled it
            host = facts.find(nova, name)
            if host.aggregate is None:
                raise api.OvertakenError(
                    f'{text.escape(name)} has just left maintenance'
                )
            return host
    return dataclasses.replace(host, aggregate=aggregate)


def keep(
    clients: 'clients_.Clients',
    host: state.Host,
    request: change.Request,
    now: datetime.datetime,
    notes: collections.abc.Mapping[str, str | None] = _NOTHING,
) -> state.Host:
    """Carry out ``set``, until the service says what the record says.

    :param clients: Nova, and who is asking.
    :param host: the host, with the aggregate of its maintenance.
    :param request: what is asked for.
    :param now: the present, in UTC.
    :param notes: what else is written, before the service is disabled.
    :returns: the host as it is now.
    """

    def decide(request: change.Request, host: state.Host) -> list[change.Step]:
        return change.to_set(host, request, clients.user, now)

    return _until_it_holds(
        clients.nova,
        host,
        functools.partial(decide, request),
        functools.partial(decide, change.Request()),
        notes,
    )


def _until_it_holds(
    nova: hosts.Hosts,
    host: state.Host,
    decide: _Decide,
    follow: _Decide,
    notes: collections.abc.Mapping[str, str | None] = _NOTHING,
) -> state.Host:
    """Carry out what is decided, until Nova says that it is so.

    Nothing in Nova can be compared and set, so somebody else may end or change
    the maintenance between our look and our write. Everybody looks again once
    they have written. Who finds what they wrote is the last to have written,
    and decides again, about what others have written as well; who does not
    find it follows the other. ``unset`` looks at the service when the record
    is gone, so one of the two notices.

    :param nova: Nova.
    :param host: the host, with the aggregate of its maintenance.
    :param decide: what is to be done to it.
    :param follow: what is to be done where others have the last word.
    :param notes: what else is written, before the service is disabled.
    :returns: the host as it is now.
    """
    for _ in range(_ATTEMPTS):
        steps = decide(host)
        if notes:
            steps, notes = _beside(notes, steps), _NOTHING
        if not steps:
            break
        host = carry_out(nova, host, steps)
        written: dict[str, str | None] = {}
        for step in steps:
            if isinstance(step, change.WriteRecord):
                written |= step.changes
        if host.aggregate:
            aggregate = nova.aggregate(host.aggregate)
            host = dataclasses.replace(host, aggregate=aggregate)
            found = aggregate.metadata
            if any(found.get(key) != value for key, value in written.items()):
                decide = follow
    return host


def _beside(
    notes: collections.abc.Mapping[str, str | None],
    steps: list[change.Step],
) -> list[change.Step]:
    """Write notes in the same request as the record, if that is written."""
    changes, rest = dict(notes), []
    for step in steps:
        if isinstance(step, change.WriteRecord):
            changes |= step.changes
        else:
            rest.append(step)
    return [change.WriteRecord(changes), *rest]


def _insist(attempt: collections.abc.Callable[[], _T]) -> _T:
    """Try again whenever somebody else was quicker, within reason."""
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(api.OvertakenError):
            return attempt()
    return attempt()


def unset(
    clients: 'clients_.Clients',
    name: str,
    *,
    force: bool = False,
    seen: collections.abc.Callable[[state.Host], None] = lambda _host: None,
) -> state.Host:
    """End the maintenance of a host, or drop the plan of one.

    :param clients: Nova, and who is asking.
    :param name: the host's name.
    :param force: put the service back although somebody else has changed it.
    :param seen: is told of the host as it was before.
    :returns: the host as it is now.
    :raises CommandError: if there is no such host, or Nova refuses.
    :raises RefusedError: if the service is not as we left it; nothing has been
        written then.
    """
    nova = clients.nova

    def attempt() -> state.Host:
        host = facts.find(nova, name)
        seen(host)
        return end(nova, host, force=force)

    return _insist(attempt)


def end(
    nova: hosts.Hosts, host: state.Host, *, force: bool = False
) -> state.Host:
    """Carry out ``unset``, and look whether somebody enters it meanwhile."""
    steps = change.to_unset(host, force=force)
    host = carry_out(nova, host, steps)
    if steps and host.service:
        host = dataclasses.replace(host, service=nova.service(host.name))
        if host.mark:
            raise api.OvertakenError(
                f'{text.escape(host.name)} is being put into maintenance again'
            )
    return host


def restore(
    clients: 'clients_.Clients', name: str, *, force: bool = False
) -> state.Host:
    """Put the compute service back, and keep the record for now.

    The record says first that the servers are to return: whoever comes across
    the enabled service then knows why.

    :param clients: Nova, and who is asking.
    :param name: the host's name.
    :param force: put the service back although somebody else has changed it.
    :returns: the host as it is now.
    :raises CommandError: if there is no such host, or Nova refuses.
    :raises RefusedError: if the service is not as we left it; nothing has been
        written then.
    """
    nova = clients.nova

    def attempt() -> state.Host:
        host = facts.find(nova, name)
        steps: list[change.Step] = [
            step
            for step in change.to_unset(host, force=force)
            if isinstance(step, change.SetService)
        ]
        if host.aggregate and not host.journal.returning:
            steps.insert(0, change.WriteRecord(journal.returning({})))
        return carry_out(nova, host, steps)

    return _insist(attempt)


def clear(
    clients: 'clients_.Clients',
    name: str,
    properties: frozenset[str],
    now: datetime.datetime,
) -> state.Host:
    """Clear single properties of a maintenance.

    :param clients: Nova, and who is asking.
    :param name: the host's name.
    :param properties: some of ``reason``, ``ticket_url`` and ``window``.
    :param now: the present, in UTC.
    :returns: the host as it is now.
    :raises CommandError: if there is no such host, or Nova refuses.
    :raises RefusedError: if the record is lost or damaged; nothing has been
        written then.
    """

    def decide(
        properties: frozenset[str], host: state.Host
    ) -> list[change.Step]:
        return change.to_clear(host, properties, clients.user, now)

    def act(host: state.Host) -> state.Host:
        return _until_it_holds(
            clients.nova,
            host,
            functools.partial(decide, properties),
            functools.partial(decide, frozenset()),
        )

    return while_it_lasts(clients, name, act)


def while_it_lasts(
    clients: 'clients_.Clients',
    name: str,
    act: collections.abc.Callable[[state.Host], _T],
    known: state.Aggregate | None = None,
) -> _T:
    """Do something to a maintenance, but do not bring it back.

    If somebody ends it meanwhile, and our disable comes last, it is ended
    once more.

    :param clients: Nova, and who is asking.
    :param name: the host's name.
    :param act: does it to the host as it is now.
    :param known: the aggregate of its maintenance as it was, if that is known.
    :returns: what it returns.
    """
    overtaken = False

    def attempt() -> _T:
        nonlocal overtaken
        host = facts.find(clients.nova, name, known)
        if overtaken and host.aggregate is None and host.mark:
            host = unset(clients, name)
        try:
            return act(host)
        except api.OvertakenError:
            overtaken = True
            raise

    return _insist(attempt)


def carry_out(
    nova: hosts.Hosts, host: state.Host, steps: list[change.Step]
) -> state.Host:
    """Do what was decided, step by step.

    :param nova: Nova.
    :param host: the host, with its aggregate if a step needs one.
    :param steps: from :mod:`osc_maintenance.change`.
    :returns: the host as it is now, from Nova's answers.
    :raises OvertakenError: if somebody else was quicker with a step, or has
        enabled or disabled the service since it was looked at.
    :raises CommandError: if Nova refuses a step; those before it are done.
    """
    service, aggregate = host.service, host.aggregate
    for step in steps:
        match step:
            case change.SetService() if service:
                if step is not steps[0]:
                    _check_theirs(nova, service)
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
            case _:
                raise AssertionError(f'{step} has nothing to be done to')
    return state.Host(host.name, service, aggregate)


def _check_theirs(nova: hosts.Hosts, service: state.Service) -> None:
    """See that nobody disables or enables a service for reasons of theirs.

    The writes before take some tenths of a second, and what a colleague says
    of the service meanwhile is to be put back in the end. What another one of
    us says of it is in the record.
    """
    host = state.Host(service.host, nova.service(service.host))
    found = host.service
    if found and not host.mark and found.as_set != service.as_set:
        raise api.OvertakenError(
            f'{text.escape(service.host)}: somebody else is enabling or '
            'disabling the compute service at the same time'
        )
