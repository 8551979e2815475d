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

"""Facts in, state out: how a host stands, from what Nova says right now."""

import dataclasses
import datetime
import enum

from osc_maintenance import causes
from osc_maintenance import compute
from osc_maintenance import lull
from osc_maintenance import owners
from osc_maintenance import policy
from osc_maintenance import record as record_
from osc_maintenance import servers as servers_


class State(enum.StrEnum):
    """The states that ``openstack host maintenance`` knows."""

    #: not in maintenance, and none is planned
    NONE = 'none'
    #: the window is recorded, and has not been entered
    PLANNED = 'planned'
    #: in maintenance, and migrations are in progress, or about to be
    MIGRATING = 'migrating'
    #: in maintenance, and nothing moves
    MAINTENANCE = 'maintenance'
    #: not what the record says; the cause tells what is wrong
    ERROR = 'error'


#: The vm_state of a server that nothing but its owner may keep.
_MOVABLE = frozenset(('active', 'paused', 'stopped'))


@dataclasses.dataclass(frozen=True)
class Standing:
    """A state, and the cause of an error, or what is waited for."""

    state: State
    cause: str | None = None


def derive(
    host: compute.Host,
    load: servers_.Load,
    now: datetime.datetime,
    *,
    over: bool = False,
) -> Standing:
    """How a host stands.

    :param host: the host's service and aggregate.
    :param load: what is on the host, and moving.
    :param now: the present, in UTC.
    :param over: who asks has moved servers, and knows that this is over.
    :returns: the state, with the cause of an error, or what is waited for.
    """
    record, service = host.record, host.service
    if host.aggregate is None:
        if host.mark is None:
            return Standing(State.NONE)
        return _error(
            f'the aggregate {record_.AGGREGATE_PREFIX}{host.name} is gone, '
            f'but the service is still disabled for maintenance '
            f'{host.mark.id}: set records it again (with --migrate, if '
            'servers were to be moved, --notify-owners, if owners were told, '
            'and --end, if it was to end: that is lost, and which servers '
            'were stopped or moved), unset ends it'
        )
    if service is None:
        return _error(
            f'there is no compute service on this host, but the aggregate '
            f'{host.aggregate.name} is left: unset removes it'
        )
    if service.others:
        return _error(
            'there are several compute services on this host: '
            f'{", ".join((service.id, *service.others))}: "openstack compute '
            'service delete" the one that is left over'
        )
    if record is None:
        return _error(
            f'the aggregate {host.aggregate.name} holds no record: set was '
            'interrupted; run set again, or unset'
        )
    if record.problems:
        return _error(
            f'the record in the aggregate {host.aggregate.name} is damaged: '
            f'{"; ".join(str(problem) for problem in record.problems)}; run '
            'set with what is lost, or unset'
        )
    if host.strangers:
        return _error(
            f'the aggregate {host.aggregate.name} holds other hosts as well: '
            f'{", ".join(host.strangers)}; take them out with "openstack '
            'aggregate remove host"'
        )
    if host.name not in host.aggregate.hosts:
        return _error(
            f'the host is not in the aggregate {host.aggregate.name}: set or '
            'unset was interrupted, or somebody took it out; run set again, '
            'or unset'
        )
    return _recorded(host, record, service, load, now, over=over)


def _recorded(
    host: compute.Host,
    record: record_.Record,
    service: compute.Service,
    load: servers_.Load,
    now: datetime.datetime,
    *,
    over: bool,
) -> Standing:
    """How a host with a sound record stands."""
    ours = host.ours
    if not record.entered:
        if ours:
            return _error(
                'the record says planned, but the service is already disabled '
                f'for maintenance {record.id}: run set --now, or unset'
            )
        if host.journal.returning:
            return _error(causes.ENDING)
        return Standing(State.PLANNED)
    if service.status not in ('enabled', 'disabled'):
        return _error(
            f'the status of the service is {service.status}: its cell is down'
        )
    if ours:
        ending, stopped = host.journal.returning, host.journal.stopped
        if ending and (stopped or not load.moving):
            return _error(causes.ENDING)
        found = _in_maintenance(host, record, load, now, over=over)
        off = [s for s in load.servers or () if record.policy.stopped(s)]
        told = (found.cause, causes.stopped(off))
        return Standing(found.state, '; '.join(filter(None, told)) or None)
    if host.journal.returning:
        return _returning(host, service, load, None if over else now)
    seen = f'the service is {service.as_set}'
    if service.as_set == record.before:
        return _error(
            f'{seen}, as it was before the maintenance: set or unset was '
            'interrupted, or somebody put it back; run set again, or unset'
        )
    return _error(
        f'{seen}, which somebody else has done: set disables it again for the '
        'maintenance and keeps this as what to go back to'
    )


def _in_maintenance(
    host: compute.Host,
    record: record_.Record,
    load: servers_.Load,
    now: datetime.datetime,
    *,
    over: bool,
) -> Standing:
    """How a host stands that is disabled for its maintenance."""
    down = host.service is not None and host.service.state == 'down'
    if load.moving:
        held_up = down and any(host.name in item.needs for item in load.going)
        return Standing(State.MIGRATING, causes.DOWN if held_up else None)
    left = left_behind(record, load)
    awaited = {
        server.id: found
        for server in left
        # nothing else keeps it, as far as is known here
        if server.vm_state in _MOVABLE
        and server.task_state is None
        and (found := owners.awaited(server.said, record.terms, now))
    }
    unconfirmed = _ours_unconfirmed(host, load)
    drains = record.policy.migrate != policy.NONE and not host.journal.ended
    by_apply = drains and host.journal.by_apply
    lasts = 0
    if drains and not (by_apply or over):
        lasts = _lull_of_drain(record, load, left, now)
    if unconfirmed and not (by_apply or lasts):
        return _error(causes.unconfirmed(record, unconfirmed))
    if any(server.moves for server in left):
        return Standing(State.MIGRATING)
    if by_apply and left and down:
        return Standing(State.MIGRATING, causes.down_by_apply(left))
    ended = host.journal.ended
    whys = {
        server.id: causes.NOT_STOPPED if ended else causes.TO_BE_STOPPED
        for server in left
        if owners.wish(server.said) is owners.Wish.STOP
        and server.vm_state == 'active'
    }
    whys |= {server: item.cause for server, item in awaited.items()}
    ends = any(item.ends for item in awaited.values())
    if drains and (ends or (awaited and by_apply)):
        told = causes.awaited(left, host.journal, whys, by_apply=by_apply)
        return Standing(State.MIGRATING, told)
    if (lasts or by_apply) and (left or unconfirmed):
        told = (
            causes.lull_of_drain(left, unconfirmed, lasts)
            if lasts
            else causes.by_apply(left, unconfirmed, host.journal, whys)
        )
        return Standing(State.MIGRATING, told)
    if left:
        return _error(causes.left_behind(left, host.journal, whys))
    stay = [s for s in load.servers or () if not record.policy.stopped(s)]
    words = (
        causes.kept([s for s in stay if record.policy.kept(s)]),
        causes.held([s for s in stay if record.policy.held(s)]),
    )
    return Standing(State.MAINTENANCE, '; '.join(filter(None, words)) or None)


def _lull_of_drain(
    record: record_.Record,
    load: servers_.Load,
    left: list[servers_.Server],
    now: datetime.datetime,
) -> int:
    """How many seconds a living drain may still take to go on."""
    tried_again = {server.id for server in left}
    kept = {server.id for server in load.servers or ()} - tried_again
    moves = [item for item in load.leaving.values() if item.server not in kept]
    # entering the maintenance, and every other choice of servers, is stamped
    owners_told = len(load.servers or ()) if record.notify else 0
    return lull.seconds_left(
        moves, tried_again, now, record.set_at, owners_told
    )


def left_behind(
    record: record_.Record, load: servers_.Load
) -> list[servers_.Server]:
    """The servers that should be gone, and are still there.

    :param record: the record of the maintenance.
    :param load: what is on the host.
    :returns: the servers.
    """
    return [
        server
        for server in load.servers or ()
        if record.policy.leaves(server) is None
    ]


def _ours_unconfirmed(host: compute.Host, load: servers_.Load) -> int:
    """How many cold migrations of ours wait to be confirmed by us."""
    return sum(
        host.journal.has_cold(migration, host.name)
        for migration in load.unconfirmed
    )


def _returning(
    host: compute.Host,
    service: compute.Service,
    load: servers_.Load,
    now: datetime.datetime | None,
) -> Standing:
    """How a host stands whose servers are on their way back."""
    if load.coming:
        return Standing(State.MIGRATING)
    returns = host.journal.returns
    moves = [item for item in load.arriving.values() if item.server in returns]
    ended = service.as_set == host.before
    noted = host.journal.return_noted if ended else None
    lasts = lull.seconds_left(moves, returns, now, noted) if now else 0
    if lasts:
        return Standing(State.MIGRATING, causes.lull_of_return(lasts))
    if not returns:
        return _error(
            f'the service is {service.as_set}, and unset was interrupted: run '
            'it again with the same options, or set to go on with the '
            'maintenance'
        )
    return _error(
        f'the service is {service.as_set}, and not all servers that were '
        'to return are back: run unset --return-servers again, or unset to '
        'leave them where they are'
    )


def _error(cause: str) -> Standing:
    return Standing(State.ERROR, cause)


def overdue(record: record_.Record | None, now: datetime.datetime) -> bool:
    """Whether the window has ended and the maintenance has not."""
    return bool(record and record.end and record.end <= now)
