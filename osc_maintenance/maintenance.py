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
import dataclasses
import datetime
import random
import time
import typing

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance import facts
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance.nova import hosts
from osc_maintenance import record
from osc_maintenance import text
from osc_maintenance import times
from osc_maintenance import writes

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_

_NOTHING: collections.abc.Mapping[str, str | None] = {}

#: Mean seconds between looks while others are at work: a busy Nova takes some
#: between the removal of what a record said and the writing of what it says,
#: and a slow one for all that a command does.
_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
#: How many of them where it may be that nobody is at work.
_FEW = 4

_T = typing.TypeVar('_T')


def set_(
    clients: 'clients_.Clients',
    name: str,
    request: asking.Request,
    now: datetime.datetime,
    check: collections.abc.Callable[[compute.Host], None] = lambda _host: None,
) -> compute.Host:
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

    memory = _Memory()

    nova = clients.nova
    # who has claimed it writes the record first, unless they were killed
    waits = [True] * _FEW

    def attempt() -> compute.Host:
        wait = bool(waits and waits.pop())
        host = memory.recall(_claimed(clients, name, request, now, wait=wait))
        steps = change.to_set(host, request, clients.user, now)
        if host.record and any(
            isinstance(s, change.SetService) for s in steps
        ):
            check(host)
            if isinstance(steps[0], change.SetService):
                # it may have taken its time, and nothing is written first
                host = dataclasses.replace(host, service=nova.service(name))
        return keep(clients, host, request, now)

    return _insist(attempt)


def _claimed(
    clients: 'clients_.Clients',
    name: str,
    request: asking.Request,
    now: datetime.datetime,
    *,
    wait: bool,
) -> compute.Host:
    """A host with the aggregate of its maintenance, old or new.

    Claiming first, and listing the aggregates only if the claim is taken,
    saves a request wherever there is no maintenance yet.
    """
    nova = clients.nova
    service = nova.service(name)
    if service is None:
        raise nova.unknown_host(name)
    host = compute.Host(name, service)
    if host.mark:
        aggregate = nova.aggregates().get(name)
        if aggregate:
            return dataclasses.replace(host, aggregate=aggregate)
        host = facts.without_aggregate(nova, host)
    # what would be refused is refused before the first write
    try:
        change.to_set(host, request, clients.user, now)
    except asking.RefusedError:
        # it may make sense beside what is recorded
        if name not in nova.aggregates():
            raise
    else:
        aggregate = nova.claim(name)
        if aggregate:
            return dataclasses.replace(host, aggregate=aggregate)
    return _taken(nova, host, wait=wait)


def _taken(
    nova: hosts.Hosts, host: compute.Host, *, wait: bool
) -> compute.Host:
    """A host with the aggregate that somebody else has created of it."""
    name = text.escape(host.name)
    aggregate = nova.aggregates().get(host.name)
    if aggregate is None:
        taken = text.escape(record.aggregate_name(host.name))
        raise api.OvertakenError(
            f'{name}: Nova has an aggregate {taken} already and does not list '
            'it; is there a host whose name differs in case only?'
        )
    host = dataclasses.replace(host, aggregate=aggregate)
    if host.record and host.record.entered:
        # the service was read before somebody else disabled it
        host = facts.find(nova, host.name)
        if host.aggregate is None:
            raise api.OvertakenError(f'{name} has just left maintenance')
    if wait and host.record is None:
        # what we do not say is not to replace what they are saying
        raise api.OvertakenError(f'{name} is being put into maintenance')
    return host


def keep(
    clients: 'clients_.Clients',
    host: compute.Host,
    request: asking.Request,
    now: datetime.datetime,
    notes: collections.abc.Mapping[str, str | None] = _NOTHING,
) -> compute.Host:
    """Carry out ``set``, until the service says what the record says.

    :param clients: Nova, and who is asking.
    :param host: the host, with the aggregate of its maintenance.
    :param request: what is asked for.
    :param now: the present, in UTC.
    :param notes: what else is written, before the service is disabled.
    :returns: the host as it is now.
    """

    def decide(host: compute.Host, lost: frozenset[str]) -> list[change.Step]:
        left = request.without(lost)
        # somebody has entered it while we were putting it off; any other
        # start that is to come is that of a clock ahead of ours
        late = (
            request.start is not None
            and request.start > now
            and host.record is not None
            and host.record.entered
            and host.record.start == request.start
        )
        if lost and late:
            left = dataclasses.replace(left, start=now)
        return change.to_set(host, left, clients.user, now)

    return writes.until_it_holds(clients.nova, host, decide, notes)


class _EnteredAgainError(api.OvertakenError):
    """It has been ended, and somebody else enters it at the same time."""


class _Memory:
    """What a service was before its maintenance, as long as a command runs.

    Where it has to look again the record may be gone. The disabled_reason that
    it has written may have had no room for all of it, and may be what it had
    read of a maintenance that was being ended.
    """

    def __init__(self) -> None:
        self._seen: record.ServiceStatus | None = None
        self._was: record.ServiceStatus | None = None

    def recall(self, host: compute.Host) -> compute.Host:
        """The host, with what was seen of it before."""
        found = host.service.as_set if host.service else None
        over = host.record is None and self._was not in (None, found)
        host = dataclasses.replace(host, remembered=self._seen, over=over)
        self._was = found
        if found:
            self._seen = host.before or found
        return host


def _insist(attempt: collections.abc.Callable[[], _T]) -> _T:
    """Try again whenever somebody else is at work, within reason.

    Not in step with them: who ends a maintenance and who sets it would stop
    each other every time.
    """
    damaged = 0
    for seconds in _PAUSES:
        try:
            return attempt()
        except api.OvertakenError:
            pass
        except asking.DamagedError:
            damaged += 1
            if damaged > _FEW:
                raise
        time.sleep(seconds * random.uniform(0, 2))  # noqa: S311 # nosec B311
    return attempt()


def unset(
    clients: 'clients_.Clients',
    name: str,
    *,
    force: bool = False,
    seen: collections.abc.Callable[[compute.Host], None] = lambda _host: None,
) -> compute.Host:
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
    memory = _Memory()

    def attempt() -> compute.Host:
        host = memory.recall(facts.find(clients.nova, name))
        seen(host)
        return end(clients.nova, host, force=force)

    return _insist(attempt)


def end(
    nova: hosts.Hosts,
    host: compute.Host,
    *,
    force: bool = False,
    overdue: datetime.datetime | None = None,
) -> compute.Host:
    """Carry out ``unset``, and look whether somebody enters it meanwhile.

    :param nova: Nova.
    :param host: the host.
    :param force: put the service back although somebody else has changed it.
    :param overdue: only if its window is over then.
    :returns: the host as it is now.
    :raises OvertakenError: if others are at work on it.
    """
    if overdue and host.aggregate:
        # before the service is put back
        aggregate = nova.aggregate(host.aggregate)
        found = dataclasses.replace(host, aggregate=aggregate)
        writes.check_overdue(found, overdue)
    noted = host.journal
    lost = host.aggregate is None and host.mark
    looked = noted.moves or noted.returns or lost
    if noted.stopped or noted.told or looked:
        # to start servers, or to tell owners that it is over, takes minutes,
        # and to look what is left takes its time as well
        host = dataclasses.replace(host, service=nova.service(host.name))
    steps = change.to_unset(host, force=force, overdue=overdue)
    host = writes.carry_out(nova, host, steps)
    if steps and host.service:
        host = dataclasses.replace(host, service=nova.service(host.name))
        # without an aggregate that goes, who enters it does not notice
        if host.mark or (lost and host.name in nova.aggregates()):
            raise _EnteredAgainError(
                f'{text.escape(host.name)} is being put into maintenance again'
            )
    return host


def restore(
    clients: 'clients_.Clients', name: str, *, force: bool = False
) -> compute.Host:
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

    def attempt() -> compute.Host:
        host = facts.find(nova, name)
        steps: list[change.Step] = [
            step
            for step in change.to_unset(host, force=force)
            if isinstance(step, change.SetService)
        ]
        if host.aggregate:
            noted = noting.returning({}, times.now(), brings_back=True)
            steps.insert(0, change.WriteRecord(noted))
        host = writes.carry_out(nova, host, steps)
        if host.aggregate:
            # set takes the note away, and does not disable what it has not
            # seen enabled
            aggregate = nova.aggregate(host.aggregate)
            host = dataclasses.replace(host, aggregate=aggregate)
            if not host.journal.returning:
                raise api.OvertakenError(
                    f'{text.escape(name)} is being put into maintenance again'
                )
        return host

    return _insist(attempt)


def clear(
    clients: 'clients_.Clients',
    name: str,
    properties: frozenset[str],
    now: datetime.datetime,
) -> compute.Host:
    """Clear single properties of a maintenance.

    :param clients: Nova, and who is asking.
    :param name: the host's name.
    :param properties: some of ``reason``, ``ticket_url`` and ``window_end``.
    :param now: the present, in UTC.
    :returns: the host as it is now.
    :raises CommandError: if there is no such host, or Nova refuses.
    :raises RefusedError: if the record is lost or damaged; nothing has been
        written then.
    """

    def decide(host: compute.Host, lost: frozenset[str]) -> list[change.Step]:
        left = properties - lost
        return change.to_clear(host, left, clients.user, now)

    def act(host: compute.Host) -> compute.Host:
        return writes.until_it_holds(clients.nova, host, decide, _NOTHING)

    return while_it_lasts(clients, name, act)


def while_it_lasts(
    clients: 'clients_.Clients',
    name: str,
    act: collections.abc.Callable[[compute.Host], _T],
    known: compute.Aggregate | None = None,
) -> _T:
    """Do something to a maintenance, but do not bring it back.

    If somebody ends it meanwhile, and our disable comes last, or we have ended
    it, and that of somebody else does, it is ended once more. What was
    disabled for it when we looked stays so: there somebody may have deleted
    the aggregate, and nobody has ended anything.

    :param clients: Nova, and who is asking.
    :param name: the host's name.
    :param act: does it to the host as it is now.
    :param known: the aggregate of its maintenance as it was, if that is known.
    :returns: what it returns.
    """
    memory = _Memory()
    over = False

    def attempt() -> _T:
        nonlocal over
        host = memory.recall(facts.find(clients.nova, name, known))
        if over and host.mark and host.aggregate is None:
            # not what somebody sets by then
            host = end(clients.nova, host)
        try:
            return act(host)
        except api.OvertakenError as exc:
            over = host.mark is None or isinstance(exc, _EnteredAgainError)
            raise

    return _insist(attempt)
