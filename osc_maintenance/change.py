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

"""What has to be done to a host: decided here, done in maintenance.py.

Every decision is made from a host as Nova shows it, so a command that was
killed half way, or that is run twice, finds by itself what is left to do.
"""

import dataclasses
import datetime

from osc_maintenance import asking
from osc_maintenance import compute
from osc_maintenance import mark
from osc_maintenance import noting
from osc_maintenance import record as record_
from osc_maintenance import replies as replies_


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
    """Delete the aggregate, and the record with it.

    :ivar overdue: when its window has to be over; None for any window.
    """

    overdue: datetime.datetime | None = None


Step = WriteRecord | AddHost | SetService | RemoveHost | DeleteAggregate


def to_set(
    host: compute.Host,
    request: asking.Request,
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
    service = reached(host)
    try:
        record_.check_host(host.name)
    except ValueError as exc:
        raise asking.RefusedError(f'{host.name}: {exc}') from exc
    _check_alone(host)
    old = host.known or record_.Record()
    entered = old.entered or host.mark is not None
    wanted = asking.applied(host.name, old, entered, request, now)
    if entered or (wanted.start or now) <= now:
        # taken afresh unless the service is disabled for a maintenance: then
        # it is as somebody else wants it to be
        before = host.before if host.mark else service.as_set
        wanted = dataclasses.replace(wanted, before=before)
    asked = wanted.end != old.end or not entered
    asking.check_window(host.name, entered, asked, wanted, request, now)
    try:
        replies_.check(old, wanted, request.reply_by, now)
    except ValueError as exc:
        raise asking.RefusedError(f'{host.name}: {exc}') from exc
    if host.aggregate:
        wanted = dataclasses.replace(wanted, id=host.aggregate.maintenance_id)
    others = not wanted.policy.moves_as(old.policy)
    notes = noting.entered(host.journal, others=others)
    steps = _write(host, old, wanted, user, now, notes)
    if host.aggregate is None or host.name not in host.aggregate.hosts:
        steps.append(AddHost())
    if wanted.entered:
        steps += _disable(service, wanted)
    return steps


def _write(
    host: compute.Host,
    old: record_.Record,
    wanted: record_.Record,
    user: str | None,
    now: datetime.datetime,
    notes: dict[str, str | None],
) -> list[Step]:
    """Write the record, stamped if it says something new, and the notes."""
    if wanted != old:
        wanted = dataclasses.replace(wanted, set_by=user, set_at=now)
    metadata = host.aggregate.metadata if host.aggregate else {}
    changes = _difference(metadata, record_.encode(wanted)) | notes
    return [WriteRecord(changes)] if changes else []


def _disable(service: compute.Service, record: record_.Record) -> list[Step]:
    """Disable the service for what the record says, unless it is."""
    reason = mark.disabled_reason(record)
    disabled = record_.ServiceStatus('disabled', reason)
    return [] if service.as_set == disabled else [SetService(disabled)]


def _check_alone(host: compute.Host) -> None:
    """Refuse to work on an aggregate that somebody uses for more."""
    if host.aggregate and host.strangers:
        raise asking.RefusedError(
            f'the aggregate {host.aggregate.name} holds other hosts as well '
            f'({", ".join(host.strangers)}), which is not our doing: take '
            'them out with "openstack aggregate remove host"'
        )


def reached(host: compute.Host) -> compute.Service:
    """The service of a host.

    :param host: the host.
    :returns: its compute service.
    :raises RefusedError: if there is none, or Nova cannot reach its cell.
    """
    if host.service is None:
        raise asking.RefusedError(
            f'There is no compute service on {host.name}'
        )
    if host.service.lost:
        raise asking.RefusedError(
            f'the cell of {host.name} is down: Nova knows nothing of its '
            f'compute service but the status {host.service.status}'
        )
    return host.service


def _difference(
    metadata: dict[str, str], wanted: dict[str, str]
) -> dict[str, str | None]:
    """The metadata to write: what differs, and None for what has to go.

    Whole groups: somebody else may be writing the other half right now.
    """
    there = metadata.keys() | wanted.keys()
    ours = record_.KEYS | {
        key for key in there if key.startswith(record_.PREFIXES)
    }
    groups = {
        record_.group(key)
        for key in ours
        if metadata.get(key) != wanted.get(key)
    }
    return {
        key: wanted.get(key)
        for key in sorted(ours & (there | record_.PAIRED))
        if record_.group(key) in groups
    }


def to_clear(
    host: compute.Host,
    properties: frozenset[str],
    user: str | None,
    now: datetime.datetime,
) -> list[Step]:
    """What ``unset`` has to do to clear single properties of a maintenance.

    :param host: the host.
    :param properties: some of ``reason``, ``ticket_url`` and ``window_end``.
    :param user: who asks.
    :param now: the present, in UTC.
    :returns: the steps; none if they are clear.
    :raises DamagedError: if the record is lost or damaged.
    :raises RefusedError: if there is no compute service to be disabled.
    """
    record = host.record
    if host.aggregate is None and host.mark is None:
        return []
    service = reached(host)
    lost = {problem.name for problem in record.problems} if record else ()
    if record is None or not properties.issuperset(lost):
        raise asking.DamagedError(
            f'the record of {host.name} is lost or damaged: run set to mend '
            'it, or unset to end the maintenance'
        )
    wanted = dataclasses.replace(record, problems=())
    if host.mark:
        # the disabled_reason may be the only one that knows
        wanted = dataclasses.replace(wanted, before=host.before)
    if 'window_end' in properties:
        wanted = dataclasses.replace(wanted, end=None, removal=False)
    if 'reason' in properties:
        wanted = dataclasses.replace(wanted, reason=None)
    if 'ticket_url' in properties:
        wanted = dataclasses.replace(wanted, ticket_url=None)
    steps = _write(host, record, wanted, user, now, {})
    if host.mark:
        steps += _disable(service, wanted)
    return steps


def to_unset(
    host: compute.Host,
    *,
    force: bool = False,
    overdue: datetime.datetime | None = None,
) -> list[Step]:
    """What ``unset`` has to do: the service first, the record last.

    :param host: the host.
    :param force: put the service back although somebody else has changed it.
    :param overdue: only if its window is over then.
    :returns: the steps; none if the host is not in maintenance.
    :raises RefusedError: if the service is no longer as we left it, and not as
        it was before either.
    """
    if host.service is not None:
        reached(host)
    steps: list[Step] = []
    if restore := _restored(host, force):
        steps.append(SetService(restore))
    if host.aggregate is None:
        return steps
    _check_alone(host)
    if host.aggregate.hosts:
        steps.append(RemoveHost())
    steps.append(DeleteAggregate(overdue))
    return steps


def _restored(host: compute.Host, force: bool) -> record_.ServiceStatus | None:
    """What the service has to become; None if it is to be left alone."""
    service, before = host.service, host.before
    if service is None or before is None or service.as_set == before:
        return None
    if force or host.mark:
        return before
    raise asking.RefusedError(
        f'the compute service of {host.name} is no longer disabled for this '
        f'maintenance: it is {service.as_set}, and was {before} before. '
        f'"unset --force" makes it {before.status} again; to keep it as it is '
        'now, run set and then unset'
    )
