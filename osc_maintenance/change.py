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

"""What has to be done to a host: decided here, done in nova.py.

Every decision is made from a host as Nova shows it, so a command that was
killed half way, or that is run twice, finds by itself what is left to do.
"""

import dataclasses
import datetime

from osc_maintenance import record as record_
from osc_maintenance import state
from osc_maintenance import times


class RefusedError(Exception):
    """The operator asks for something that must not be done."""


@dataclasses.dataclass(frozen=True)
class Request:
    """What the operator asks of ``set``; None leaves a thing as it is.

    :ivar start: when the window starts.
    :ivar end: when it ends.
    :ivar duration: how long it lasts, instead of ``end``.
    :ivar removal: the host does not come back, instead of ``end``.
    :ivar reason: why.
    :ivar ticket_url: where to read more.
    :ivar early: enter a planned maintenance now, whatever its start.
    """

    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    duration: datetime.timedelta | None = None
    removal: bool = False
    reason: str | None = None
    ticket_url: str | None = None
    early: bool = False


@dataclasses.dataclass(frozen=True)
class WriteRecord:
    """Write these keys of the aggregate's metadata; None removes one."""

    changes: dict[str, str | None]


@dataclasses.dataclass(frozen=True)
class AddHost:
    """Add the host to its aggregate."""


@dataclasses.dataclass(frozen=True)
class SetService:
    """Give the compute service this status and disabled_reason."""

    wanted: record_.ServiceStatus


@dataclasses.dataclass(frozen=True)
class RemoveHost:
    """Take the host out of its aggregate."""


@dataclasses.dataclass(frozen=True)
class DeleteAggregate:
    """Delete the aggregate, and the record with it."""


Step = WriteRecord | AddHost | SetService | RemoveHost | DeleteAggregate


def to_set(
    host: state.Host,
    request: Request,
    user: str | None,
    now: datetime.datetime,
) -> list[Step]:
    """What ``set`` has to do, in the order that survives being killed.

    The record, with what the service was before, is complete before the
    service is disabled.

    :param host: the host. Without an aggregate the steps are those on an
        empty one, which has to be created first.
    :param request: what the operator asks for.
    :param user: who asks.
    :param now: the present, in UTC.
    :returns: the steps; none if everything is as it should be.
    :raises RefusedError: if the request cannot be followed.
    """
    _check_cell(host)
    old = _known(host)
    wanted = _changed(old, request, now)
    if old.entered or (wanted.start or now) <= now:
        wanted = _entered(host, wanted)
    _check_window(host.name, old, wanted, request, now)
    aggregate = host.aggregate
    if aggregate:
        wanted = dataclasses.replace(wanted, id=aggregate.maintenance_id)
    if wanted != old:
        wanted = dataclasses.replace(wanted, set_by=user, set_at=now)

    steps: list[Step] = []
    metadata = aggregate.metadata if aggregate else {}
    if changes := _difference(metadata, record_.encode(wanted)):
        steps.append(WriteRecord(changes))
    if aggregate is None or host.name not in aggregate.hosts:
        steps.append(AddHost())
    if wanted.entered:
        disabled = record_.ServiceStatus(
            'disabled', record_.disabled_reason(wanted)
        )
        if host.service is None or host.service.as_left != disabled:
            steps.append(SetService(disabled))
    return steps


def _check_cell(host: state.Host) -> None:
    """Refuse to touch a service that Nova cannot reach."""
    if host.service and not host.service.id:
        raise RefusedError(
            f'the cell of {host.name} is down: Nova knows nothing of its '
            f'compute service but the status {host.service.status}'
        )


def _known(host: state.Host) -> record_.Record:
    """The record, or what the disabled_reason tells of a lost one."""
    record, mark = host.record, host.mark
    if record is not None:
        return record
    if mark is not None:
        return record_.Record(
            id=mark.id,
            reason=mark.reason,
            ticket_url=mark.ticket_url,
            before=mark.before,
        )
    return record_.Record()


def _changed(
    old: record_.Record, request: Request, now: datetime.datetime
) -> record_.Record:
    """The record with what was asked for, not yet entered and not stamped."""
    start = request.start or old.start
    if request.early and not old.entered:
        start = now
    if start is None and (request.early or not old.problems):
        start = now
    if start is None:
        raise RefusedError(
            'the start of the planned maintenance cannot be read: give '
            '--start, or --now to enter it'
        )
    end, removal = old.end, old.removal
    if request.duration:
        try:
            end, removal = start + request.duration, False
        except OverflowError as exc:
            raise RefusedError('--duration ends after the year 9999') from exc
    elif request.end:
        end, removal = request.end, False
    elif request.removal:
        end, removal = None, True
    return dataclasses.replace(
        old,
        start=start,
        end=end,
        removal=removal,
        reason=request.reason or old.reason,
        ticket_url=request.ticket_url or old.ticket_url,
        problems=(),
    )


def _entered(host: state.Host, record: record_.Record) -> record_.Record:
    """The record of a maintenance that has begun.

    What the service was before is taken afresh whenever the service is not
    disabled by us: then it is what somebody else wants it to be.
    """
    mark = host.mark
    if host.ours and mark:
        before = record.before or mark.before
    elif host.service:
        before = host.service.as_left
    else:
        before = record.before or record_.ENABLED
    return dataclasses.replace(record, before=before)


def _check_window(
    name: str,
    old: record_.Record,
    wanted: record_.Record,
    request: Request,
    now: datetime.datetime,
) -> None:
    """Refuse a window that makes no sense, naming the option."""
    start, end = wanted.start, wanted.end
    if old.entered and start and start > now:
        raise RefusedError(
            f'--start {times.format_time(start)} is in the future, but '
            f'{name} is in maintenance already: unset it first'
        )
    if end is None:
        return
    option = '--duration' if request.duration else '--end'
    asked = request.end or request.duration
    if end <= now and (asked or not old.entered):
        raise RefusedError(
            f'{name}: the window would end at {times.format_time(end)}, which '
            f'is in the past: give another {option}'
        )
    if start and end <= start:
        raise RefusedError(
            f'{name}: the window would end at {times.format_time(end)}, which '
            f'is not after its start at {times.format_time(start)}: give '
            f'another --start, or another {option}'
        )


def _difference(
    metadata: dict[str, str], wanted: dict[str, str]
) -> dict[str, str | None]:
    """The metadata to write: what differs, and None for what has to go."""
    changes: dict[str, str | None] = {
        key: value
        for key, value in wanted.items()
        if metadata.get(key) != value
    }
    for key in metadata:
        if key in record_.KEYS and key not in wanted:
            changes[key] = None
    return changes


def to_clear(
    host: state.Host,
    properties: frozenset[str],
    user: str | None,
    now: datetime.datetime,
) -> list[Step]:
    """What ``unset`` has to do to clear single properties of a maintenance.

    :param host: the host.
    :param properties: some of ``reason``, ``ticket_url`` and ``window``.
    :param user: who asks.
    :param now: the present, in UTC.
    :returns: the steps; none if they are clear.
    :raises RefusedError: if the host has no maintenance, or a planned one
        would be left without a window.
    """
    record = host.record
    if record is None or host.aggregate is None:
        raise RefusedError(
            f'{host.name} is not in maintenance, and none is planned'
        )
    if record.problems:
        raise RefusedError(
            f'the record of {host.name} is damaged '
            f'({"; ".join(record.problems)}): run set to mend it'
        )
    wanted = record
    if 'window' in properties:
        if not record.entered:
            raise RefusedError(
                f'the maintenance of {host.name} is planned, and a plan needs '
                'its window: give another one with set, or unset all of it'
            )
        wanted = dataclasses.replace(wanted, end=None, removal=False)
    if 'reason' in properties:
        wanted = dataclasses.replace(wanted, reason=None)
    if 'ticket_url' in properties:
        wanted = dataclasses.replace(wanted, ticket_url=None)
    if wanted == record:
        return []
    wanted = dataclasses.replace(wanted, set_by=user, set_at=now)
    metadata = host.aggregate.metadata
    steps: list[Step] = [
        WriteRecord(_difference(metadata, record_.encode(wanted)))
    ]
    disabled = record_.ServiceStatus(
        'disabled', record_.disabled_reason(wanted)
    )
    if host.ours and host.service and host.service.as_left != disabled:
        steps.append(SetService(disabled))
    return steps


def to_unset(host: state.Host, *, force: bool = False) -> list[Step]:
    """What ``unset`` has to do: the service first, the record last.

    :param host: the host.
    :param force: put the service back although somebody else has changed it.
    :returns: the steps; none if the host is not in maintenance.
    :raises RefusedError: if the service is no longer as we left it, and not as
        it was before either.
    """
    _check_cell(host)
    steps: list[Step] = []
    if restore := _restored(host, force):
        steps.append(SetService(restore))
    if host.aggregate is None:
        return steps
    others = [name for name in host.aggregate.hosts if name != host.name]
    if others:
        raise RefusedError(
            f'the aggregate {host.aggregate.name} holds other hosts as well '
            f'({", ".join(others)}), which is not our doing: take them out '
            'with "openstack aggregate remove host"'
        )
    if host.aggregate.hosts:
        steps.append(RemoveHost())
    steps.append(DeleteAggregate())
    return steps


def _restored(host: state.Host, force: bool) -> record_.ServiceStatus | None:
    """What the service has to become; None if it is to be left alone."""
    record, mark, service = host.record, host.mark, host.service
    if service is None:
        return None
    if host.ours and mark:
        return record.before if record and record.before else mark.before
    before = record.before if record else None
    if before is None or service.as_left == before:
        return None
    if force:
        return before
    raise RefusedError(
        f'the compute service of {host.name} is no longer disabled for this '
        f'maintenance: it is {service.as_left}, and was {before} before. Use '
        '--force to make it so again and end the maintenance'
    )


def called_for(host: state.Host, now: datetime.datetime) -> str | None:
    """What the window of a host calls for.

    :param host: the host.
    :param now: the present, in UTC.
    :returns: ``overdue`` if the window has ended; ``entered`` if it has come
        and has not been entered; else None.
    """
    record = host.record
    if record is None or record.problems:
        return None
    if state.overdue(record, now):
        return 'overdue'
    if not record.entered and record.start and record.start <= now:
        return 'entered'
    return None
