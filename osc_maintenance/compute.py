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

"""A compute host as Nova shows it: its service and its aggregate. Pure."""

import dataclasses

from osc_maintenance import journal as journal_
from osc_maintenance import mark as mark_
from osc_maintenance import record as record_


@dataclasses.dataclass(frozen=True)
class Service:
    """A nova-compute service.

    :ivar host: its host name.
    :ivar id: its UUID; empty if its cell is down.
    :ivar status: ``enabled``, ``disabled``, or ``UNKNOWN`` if its cell is
        down.
    :ivar state: ``up``, ``down``, or empty if its cell is down.
    :ivar disabled_reason: why it is disabled, or None.
    :ivar zone: its availability zone.
    :ivar others: the UUIDs of further services of the same host: one was left
        over in another cell.
    """

    host: str
    id: str
    status: str
    state: str
    disabled_reason: str | None = None
    zone: str = ''
    others: tuple[str, ...] = ()

    @property
    def lost(self) -> bool:
        """Whether its cell is down, so that Nova tells nothing of its host."""
        return not self.id

    @property
    def as_set(self) -> record_.ServiceStatus:
        """The status and reason that somebody has given it."""
        return record_.ServiceStatus(
            self.status,
            self.disabled_reason if self.status == 'disabled' else None,
        )


@dataclasses.dataclass(frozen=True)
class Aggregate:
    """A host aggregate of ours: one of the two places of a record.

    :ivar id: Nova's number for it.
    :ivar uuid: its UUID; the maintenance's id is made from it.
    :ivar name: ``maintenance:<host>``.
    :ivar hosts: its members.
    :ivar metadata: the record, encoded.
    """

    id: int
    uuid: str
    name: str
    hosts: tuple[str, ...]
    metadata: dict[str, str]

    @property
    def maintenance_id(self) -> str:
        """The id of the maintenance that this aggregate records."""
        return self.uuid[:8]


@dataclasses.dataclass(frozen=True)
class Host:
    """One compute host as Nova shows it.

    :ivar name: the host's name.
    :ivar service: its nova-compute service, or None if there is none.
    :ivar aggregate: the aggregate of its maintenance, or None.
    :ivar remembered: what the service was before, as the same command has
        seen it earlier; None if it has not.
    :ivar over: the maintenance that the disabled_reason names was being ended,
        as far as the same command can tell: there is no record of it, and the
        service is otherwise than when it looked before.
    """

    name: str
    service: Service | None
    aggregate: Aggregate | None = None
    remembered: record_.ServiceStatus | None = dataclasses.field(
        default=None, compare=False
    )
    over: bool = dataclasses.field(default=False, compare=False)

    @property
    def record(self) -> record_.Record | None:
        """The record in the aggregate, or None if it holds none."""
        if self.aggregate is None:
            return None
        return record_.decode(self.aggregate.metadata)

    @property
    def journal(self) -> journal_.Journal:
        """What drains have noted beside the record."""
        return journal_.decode(
            self.aggregate.metadata if self.aggregate else {}
        )

    @property
    def mark(self) -> mark_.Mark | None:
        """What the service's disabled_reason says, if it is of our form."""
        if self.service is None or self.service.status != 'disabled':
            return None
        return mark_.parse(self.service.disabled_reason)

    @property
    def known(self) -> record_.Record | None:
        """The record, or what the disabled_reason tells of a lost one."""
        record, mark = self.record, self.mark
        if record is None and mark is not None and not self.over:
            return record_.Record(
                id=mark.id, reason=mark.reason, ticket_url=mark.ticket_url
            )
        return record

    @property
    def before(self) -> record_.ServiceStatus | None:
        """What the service was before the maintenance, if it was entered.

        The record knows best; the disabled_reason fills what it has lost.
        """
        record, mark = self.record, self.mark
        before = record.before if record else None
        if mark is None:
            return before
        if before is None or (
            before.reason is None and before.status == mark.before.status
        ):
            metadata = self.aggregate.metadata if self.aggregate else {}
            # it may be just the status that the record has lost
            reason = metadata.get(record_.BEFORE_REASON)
            kept = record_.ServiceStatus('disabled', reason)
            told = mark_.in_full(mark.before, kept)
            return mark_.in_full(told, self.remembered)
        return before

    @property
    def strangers(self) -> tuple[str, ...]:
        """Other members of the aggregate, which are not our doing."""
        hosts = self.aggregate.hosts if self.aggregate else ()
        return tuple(host for host in hosts if host != self.name)

    @property
    def ours(self) -> bool:
        """Whether the service is disabled for the recorded maintenance."""
        record, mark = self.record, self.mark
        if mark is None:
            return False
        return record is None or not record.id or record.id == mark.id
