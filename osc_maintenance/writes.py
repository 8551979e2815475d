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

"""Carrying out what was decided, and seeing that it holds."""

import collections.abc
import contextlib
import dataclasses
import datetime

from osc_lib import exceptions

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance import journal
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance.nova import hosts
from osc_maintenance import record as record_
from osc_maintenance import state
from osc_maintenance import text

#: How often to look again when somebody else was quicker.
ATTEMPTS = 5
#: Decides what is to be done to a host, where others have the last word on
#: some parts of its record.
Decide = collections.abc.Callable[
    [compute.Host, frozenset[str]], list[change.Step]
]


def carry_out(
    nova: hosts.Hosts,
    host: compute.Host,
    steps: list[change.Step],
    *,
    fresh: bool = True,
) -> compute.Host:
    """Do what was decided, step by step.

    :param nova: Nova.
    :param host: the host, with its aggregate if a step needs one.
    :param steps: from :mod:`osc_maintenance.change`.
    :param fresh: its service has just been looked at.
    :returns: the host as it is now, from Nova's answers.
    :raises OvertakenError: if somebody else was quicker with a step, has
        enabled or disabled the service since it was looked at, or has noted
        something in a record that is to be deleted, or changed its window; or
        if Nova has failed
        with a step, and the record is not as it was.
    :raises CommandError: if Nova refuses a step; those before it are done.
    """
    known = host
    for number, step in enumerate(steps):
        looked = fresh and not number
        if isinstance(step, change.SetService) and host.service and not looked:
            _check_theirs(nova, host.service)
        if isinstance(step, change.DeleteAggregate):
            _check_record(known, host)
            check_overdue(host, step.overdue)
        try:
            host = _do(nova, host, step)
        except api.TransientError as exc:
            # Nova fails one of two at the same moment with a 500, and a 5xx
            # of a proxy does not say whether Nova has done it
            if host.aggregate and nova.differs(host.aggregate):
                raise api.OvertakenError(str(exc)) from exc
            raise
    return host


def note(
    nova: hosts.Hosts, host: compute.Host, changes: dict[str, str | None]
) -> compute.Host:
    """Write to the record of a host what was not asked for by ``set``.

    :param nova: Nova.
    :param host: the host, with the aggregate of its maintenance.
    :param changes: values to set; None removes a key.
    :returns: the host as it is now.
    :raises OvertakenError: as :func:`carry_out`.
    :raises CommandError: if Nova refuses.
    """
    return carry_out(nova, host, [change.WriteRecord(changes)])


def _do(
    nova: hosts.Hosts, host: compute.Host, step: change.Step
) -> compute.Host:
    service, aggregate = host.service, host.aggregate
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
        case _:
            raise AssertionError(f'{step} has nothing to be done to')
    return dataclasses.replace(host, service=service, aggregate=aggregate)


def _check_theirs(nova: hosts.Hosts, service: compute.Service) -> None:
    """See that nobody disables or enables a service for reasons of theirs.

    The writes before take some tenths of a second, and what a colleague says
    of the service meanwhile is to be put back in the end. What another one of
    us says of it is in the record.
    """
    host = compute.Host(service.host, nova.service(service.host))
    found = host.service
    if found and not host.mark and found.as_set != service.as_set:
        raise api.OvertakenError(
            f'{text.escape(service.host)}: somebody else is enabling or '
            'disabling the compute service at the same time'
        )


def _check_record(known: compute.Host, host: compute.Host) -> None:
    """See that nobody notes what would have to be undone first.

    A drain that does not know yet that it is over stops a server, or somebody
    tells an owner: nobody would look for these once the record is gone. The
    answer to the removal of the host shows the notes.
    """
    if known.aggregate is None or host.aggregate is None:
        return
    new = host.aggregate.metadata.keys() - known.aggregate.metadata.keys()
    if new - {journal.RETURN_KEY}:
        raise api.OvertakenError(
            f'{text.escape(host.name)}: somebody else is writing to the '
            'record at the same time'
        )


def check_overdue(
    host: compute.Host, overdue: datetime.datetime | None
) -> None:
    """See that nobody has given it another window, where it ends for that.

    :param host: the host.
    :param overdue: when its window has to be over; None for any window.
    :raises OvertakenError: if it is not.
    """
    if overdue and not state.overdue(host.record, overdue):
        raise api.OvertakenError(
            f'{text.escape(host.name)}: somebody else has given it another '
            'window at the same time'
        )


def until_it_holds(
    nova: hosts.Hosts,
    host: compute.Host,
    decide: Decide,
    notes: collections.abc.Mapping[str, str | None],
) -> compute.Host:
    """Carry out what is decided, until Nova says that it is so.

    Nothing in Nova can be compared and set, so somebody else may end or change
    the maintenance between our look and our write. Everybody looks again once
    they have written, and decides again, about what others have written as
    well; a part of theirs that they do not find is left to the others.
    ``unset`` looks at the service when the record is gone, so one of the two
    notices.

    :param nova: Nova.
    :param host: the host, with the aggregate of its maintenance.
    :param decide: what is to be done to it.
    :param notes: what else is written, before the service is disabled.
    :returns: the host as it is now.
    :raises RefusedError: if nothing has been written.
    :raises OvertakenError: if it cannot be read any more; and as
        :func:`carry_out`.
    :raises CommandError: if what others have written leaves no room for what
        we have.
    """
    untouched, lost = host, frozenset[str]()
    said: dict[str, str | None] = {}
    for attempt in range(ATTEMPTS):
        try:
            steps = decide(host, lost)
        except asking.RefusedError as exc:
            if host is untouched:
                raise
            if isinstance(exc, asking.DamagedError):
                if lost:
                    # they see to it
                    break
                raise api.OvertakenError(text.escape(str(exc))) from exc
            with contextlib.suppress(asking.RefusedError):
                carry_out(nova, host, decide(host, record_.GROUPS))
            raise exceptions.CommandError(
                f'{text.escape(str(exc))}; that came to be since this command '
                'has looked: look at what is recorded now'
            ) from exc
        if notes:
            steps, notes = _beside(notes, steps), {}
        if not steps:
            break
        host = carry_out(nova, host, steps, fresh=not attempt)
        written: dict[str, str | None] = {}
        for step in steps:
            if isinstance(step, change.WriteRecord):
                written |= step.changes
        if host.aggregate:
            aggregate = nova.aggregate(host.aggregate)
            if _is_being_replaced(written, aggregate.metadata):
                # who does it is known once they are done
                aggregate = nova.aggregate(aggregate)
            host = dataclasses.replace(host, aggregate=aggregate)
            said |= written
            # who has the last word on a part alone does not say it again
            overruled = _overruled(
                said if lost else written, aggregate.metadata
            )
            lost |= overruled
            if (
                not overruled
                and noting.ends_return(written)
                and not _sets_service(steps)
            ):
                # who ends it may have put the service back since we looked
                service = nova.service(host.name)
                host = dataclasses.replace(host, service=service)
    return host


def _overruled(
    written: collections.abc.Mapping[str, str | None],
    found: collections.abc.Mapping[str, str],
) -> frozenset[str]:
    """The parts that others have the last word on; none if nobody has any.

    Where they have replaced something, that is all but what was written and
    is there: what was so already when we looked may be theirs as well.

    Who has written nothing but another part of the record has replaced
    nothing. Nova removes keys one by one, before it writes all values at once:
    what is back beside values of ours that it contradicts came in between, and
    goes again.
    """
    ours, differs = _ours(written, found)
    if not differs and ours & record_.STAMP:
        # the last of all
        return frozenset()
    back = (written.keys() - ours) & found.keys()
    replaced = _groups(differs - record_.STAMP) or (
        _groups(back) - _groups(ours)
    )
    if not replaced:
        return frozenset()
    return record_.GROUPS - (_groups(ours) - replaced)


def _groups(keys: collections.abc.Iterable[str]) -> frozenset[str]:
    return frozenset(map(record_.group, keys))


def _is_being_replaced(
    written: collections.abc.Mapping[str, str | None],
    found: collections.abc.Mapping[str, str],
) -> bool:
    """Whether others have removed what was written, and written nothing."""
    ours, differs = _ours(written, found)
    return bool(differs and ours & record_.STAMP - differs)


def _ours(
    written: collections.abc.Mapping[str, str | None],
    found: collections.abc.Mapping[str, str],
) -> tuple[set[str], set[str]]:
    """The keys to which values were written, and those that have others."""
    ours = {key for key, value in written.items() if value is not None}
    return ours, {key for key in ours if found.get(key) != written[key]}


def _sets_service(steps: list[change.Step]) -> bool:
    return any(isinstance(step, change.SetService) for step in steps)


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
