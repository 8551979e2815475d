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

"""What ``apply`` does: carry out what the maintenance windows call for."""

import collections.abc
import contextlib
import dataclasses
import datetime
import time
import typing

from osc_lib import exceptions

from osc_maintenance import asking
from osc_maintenance import causes
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance.drain import events
from osc_maintenance.drain import moves
from osc_maintenance.drain import options
from osc_maintenance.drain import plan as plan_
from osc_maintenance.drain import run
from osc_maintenance import facts
from osc_maintenance import gaps
from osc_maintenance import journal
from osc_maintenance import lull
from osc_maintenance import maintenance
from osc_maintenance import notices
from osc_maintenance import noting
from osc_maintenance import parallel
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance import starting
from osc_maintenance import state
from osc_maintenance import text
from osc_maintenance import times
from osc_maintenance import view
from osc_maintenance import windows
from osc_maintenance import writes

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_

#: How long a drain goes on while nothing moves.
_PATIENCE = datetime.timedelta(minutes=10)
#: Such a server makes a drain go on.
_MOVING = frozenset((moves.Outcome.MOVING, moves.Outcome.MOVED))


def apply(
    clients: 'clients_.Clients',
    *,
    unset_overdue: bool,
    max_parallel: int,
    now: collections.abc.Callable[[], datetime.datetime],
    hear: collections.abc.Callable[[str], object] = lambda _: None,
) -> list[dict[str, typing.Any]]:
    """Do what the windows call for.

    Servers that are to be moved off a host are moved in steps: each time so
    many are started as may be in motion, and nobody waits for them.

    :param clients: Nova, and who is asking.
    :param unset_overdue: end the maintenances whose window has ended.
    :param max_parallel: how many moves off one host are in motion at most.
    :param now: tells the present, in UTC: those before a host take their time.
    :param hear: is told once what is not known where servers are moved.
    :returns: for each host that something was done to, failed, or that is
        overdue, the fields of ``list``, ``action`` (entered, draining,
        drained, told, unset, overdue or failed) and ``changed``.
    """
    how = options.Options(max_parallel=max_parallel, wait=False)
    told: set[str] = set()

    def warn(note: str) -> None:
        if note not in told:
            hear(note)
        told.add(note)

    hosts = facts.survey(clients.nova)
    began = now()
    idle = [
        host for host in hosts if not unset_overdue and _is_idle(host, began)
    ]
    looked = parallel.each(lambda host: _report(clients, host, began), idle)
    reports = {host.name: row for host, row in zip(idle, looked, strict=True)}
    rows = []
    for host in hosts:
        row = reports.get(host.name) or _carry_out(
            clients, host, how, unset_overdue, now(), warn
        )
        if row:
            rows.append(row)
    return rows


def _is_idle(host: compute.Host, now: datetime.datetime) -> bool:
    """Whether a host is overdue, and nothing else is to be done to it."""
    overdue = windows.called_for(host, now) is windows.Call.END
    return overdue and not (_drains(host) or notices.concern(host))


def _report(
    clients: 'clients_.Clients', host: compute.Host, now: datetime.datetime
) -> dict[str, typing.Any]:
    """The row of a host to which nothing is done."""
    try:
        load = facts.load_if_needed(clients, host)
    except exceptions.CommandError as exc:
        row = view.unread(host, text.escape(str(exc)), now)
        return {**row, 'action': 'failed', 'changed': False}
    row = view.fields(host, load, None, now)
    return {**row, 'action': 'overdue', 'changed': False}


@dataclasses.dataclass
class _Met:
    """What there is to say of a host beside what was done to it.

    :ivar started: what became of servers that were started.
    :ivar theirs: which are off, and not for the maintenance: the words.
    :ivar untold: why owners could not be told, by the ids of their servers.
    :ivar ends: the id of the maintenance that it has begun to end.
    """

    started: list[starting.Row] = dataclasses.field(default_factory=list)
    theirs: list[str] = dataclasses.field(default_factory=list)
    untold: dict[str, str] = dataclasses.field(default_factory=dict)
    ends: str = ''


def _carry_out(
    clients: 'clients_.Clients',
    host: compute.Host,
    how: options.Options,
    unset_overdue: bool,
    now: datetime.datetime,
    warn: collections.abc.Callable[[str], object],
) -> dict[str, typing.Any] | None:
    """Do what is to be done to a host; its row, if there was something."""
    called_for = windows.called_for(host, now)
    if called_for is None and not (_drains(host) or notices.concern(host)):
        return None
    before, changes = host, clients.changes
    action, cause, load, read = None, None, None, True
    met = _Met()
    try:
        if called_for:
            host, action = maintenance.while_it_lasts(
                clients,
                host.name,
                lambda found: _act(clients, found, unset_overdue, now, met),
                host.aggregate,
            )
            ended = called_for is windows.Call.END and host.aggregate is None
            if ended and clients.changes > changes:
                # Nova may have failed with the last request, and done it
                action = 'unset'
            if off := causes.not_started(met.started):
                off, action = f'{action or "ended"}, but {off}', None
                raise exceptions.CommandError(off)
        else:
            # those that came before it may have taken minutes
            host = facts.find(clients.nova, host.name, host.aggregate)
        if _drains(host):
            host, action = _drain(clients, host, how, action, now, warn)
        if notices.concern(host):
            host, met.untold = notices.tell_all(clients, host, now)
            if clients.changes > changes:
                action = action or 'told'
        load = facts.load_if_needed(clients, host)
    except (asking.RefusedError, exceptions.CommandError) as exc:
        cause = text.escape(str(exc))
        if action:
            cause = f'{action}, but then: {cause}'
        action, read = 'failed', False
        with contextlib.suppress(exceptions.CommandError):
            host = facts.find(clients.nova, host.name, host.aggregate)
            load = facts.load_if_needed(clients, host)
            read = True
    if action is None and not met.untold:
        return None
    row = (
        view.fields(host, load, None, now)
        if read
        else view.unread(host, cause, now)
    )
    row['action'] = action or 'told'
    # a change may have been made although no answer came
    row['changed'] = clients.changes > changes or (
        # what somebody else has changed meanwhile is theirs
        action not in (None, 'overdue') and _differ(before, host)
    )
    told = (cause or row['cause'], *met.theirs, causes.untold(met.untold))
    row['cause'] = '; '.join(filter(None, told)) or None
    return row


def _differ(before: compute.Host, after: compute.Host) -> bool:
    """Whether a host is otherwise than it was, as far as it is set."""
    settings = [
        host.service and host.service.as_set for host in (before, after)
    ]
    known = after.service is None or not after.service.lost
    return before.aggregate != after.aggregate or (
        known and settings[0] != settings[1]
    )


def _drains(host: compute.Host) -> bool:
    """Whether ``apply`` moves the servers of a host, and has not ended.

    If its cell is down the record alone says so.
    """
    ours = host.ours or (host.service is not None and host.service.lost)
    return ours and host.journal.by_apply and not host.journal.returning


def _drain(
    clients: 'clients_.Clients',
    host: compute.Host,
    how: options.Options,
    action: str | None,
    now: datetime.datetime,
    warn: collections.abc.Callable[[str], object],
) -> tuple[compute.Host, str | None]:
    """Start the next moves off a host; the host then, and the word."""
    record = host.record
    if record is None or record.policy.migrate == policy.NONE:
        return host, action
    change.reached(host)
    load = facts.load(clients.servers, host.name)
    plan = plan_.make(clients, load, record.policy, now, host.journal)
    for note in plan.notes:
        warn(note)
    plan_.check(clients, plan, strict=False)
    met: dict[str, str] = {}

    def hear(event: events.Event) -> None:
        """Nobody looks on; what is refused is noted."""
        if isinstance(event, events.Retrying):
            met[event.move.server.id] = event.cause

    try:
        result = run.drain(
            clients,
            host,
            plan,
            how,
            hear,
            _pause,
            times.clock,
            lambda: now,
            how=journal.BY_APPLY,
        )
    except exceptions.CommandError:
        host = facts.find(clients.nova, host.name, host.aggregate)
        if _drains(host):
            raise
        # an operator goes on with it, or has ended the maintenance
        return host, action
    host = facts.find(clients.nova, host.name, host.aggregate)
    if _drains(host):
        host = _noted(clients, host, result, met, now)
    return host, action or ('drained' if host.journal.ended else 'draining')


def _noted(
    clients: 'clients_.Clients',
    host: compute.Host,
    result: run.Result,
    met: collections.abc.Mapping[str, str],
    now: datetime.datetime,
) -> compute.Host:
    """Note how a drain stands, and its end when nothing moves any more.

    What Nova refuses, and what is busy, is tried again for a while.

    :param clients: Nova.
    :param host: the host.
    :param result: what this run has made of its servers.
    :param met: why servers could be neither moved nor confirmed, by id.
    :param now: the present, in UTC.
    :returns: the host then.
    """
    old, aggregate = host.journal, host.aggregate
    stayed = {
        move.server.id: move.cause or met.get(move.server.id, 'not tried yet')
        for move in result.moves
        if move.stayed or move.unsure or move.server.id in met
    }
    moving = any(
        move.outcome in _MOVING and move.server.id not in stayed
        for move in result.moves
    )
    refused = any(
        move.outcome is moves.Outcome.FAILED for move in result.moves
    )
    # owners may reply at any time
    awaited = any(
        move.stayed and move.verdict.then is not None for move in result.moves
    )
    since = min(old.idle_since or now, now)
    if result.complete and not (refused or awaited):
        changes = noting.ended(old, stayed)
    elif moving:
        changes = noting.moving(old)
    elif now - since >= _PATIENCE and not awaited:
        changes = noting.ended(old, stayed)
    else:
        changes = noting.idle(old, stayed, None if awaited else since)
    if aggregate and changes.items() - aggregate.metadata.items():
        host = writes.note(clients.nova, host, changes)
    return host


def _pause(seconds: float) -> bool:
    """Wait before the next look: whether Nova has taken a request."""
    time.sleep(seconds)
    return False


def _act(
    clients: 'clients_.Clients',
    host: compute.Host,
    unset_overdue: bool,
    now: datetime.datetime,
    met: _Met,
) -> tuple[compute.Host, str | None]:
    """Do what the window of a host calls for; the host then, and the word.

    :param met: is told what else there is to say.
    """
    match windows.called_for(host, now):
        case None | windows.Call.ENTER if met.ends and met.ends == _id(host):
            # somebody has given it another window meanwhile
            return maintenance.keep(
                clients, host, asking.Request(), now
            ), 'entered'
        case windows.Call.ENTER:
            _refuse_if_strict(clients, host, now)
            return maintenance.keep(
                clients, host, asking.Request(), now, _taken_up(host)
            ), 'entered'
        case windows.Call.END if unset_overdue and not lull.is_being_ended(
            host.journal, now
        ):
            if host.journal.moves or host.journal.returns:
                change.to_unset(host)
                load = facts.load(clients.servers, host.name)
                gaps.check_moves(
                    *(clients.servers, host.name),
                    *(host.journal.moves, load.migrations),
                )
                if host.journal.abandoned(load):
                    # nobody would confirm them
                    return host, 'overdue'
            met.ends = _id(host)
            theirs: list[str] = []
            host, rows = starting.again(
                clients, host, force=False, hear=theirs.append
            )
            # what an earlier attempt has found may be otherwise by now
            met.started, met.theirs, met.untold = rows, theirs, {}
            if host.journal.stopped:
                host = starting.check_ending(clients, host)
            met.untold = notices.withdraw(clients, host)
            return maintenance.end(clients.nova, host, overdue=now), 'unset'
        case windows.Call.END:
            return host, 'overdue'
        case windows.Call.MEND:
            standing = state.derive(host, servers.Load(host.name), now)
            raise asking.RefusedError(str(standing.cause))
        case _:
            return host, None


def _id(host: compute.Host) -> str:
    return host.record.id if host.record else ''


def _taken_up(host: compute.Host) -> dict[str, str | None]:
    """The note that ``apply`` moves the servers of a host, if it does.

    It is written before the service is disabled: killed in between, the next
    run would find nothing that it is to go on with.
    """
    record = host.record
    if record is None or record.policy.migrate == policy.NONE:
        return {}
    if host.journal.drain:
        return {}
    return noting.started(host.journal, {}, how=journal.BY_APPLY)


def _refuse_if_strict(
    clients: 'clients_.Clients', host: compute.Host, now: datetime.datetime
) -> None:
    """Refuse to enter a host that was to be emptied, and cannot be."""
    record = host.record
    if record and record.policy.strict and not record.entered:
        load = facts.load(clients.servers, host.name)
        plan = plan_.make(clients, load, record.policy, now, host.journal)
        plan_.check(clients, plan, strict=True)
