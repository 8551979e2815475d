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

"""Servers and their migrations, as Nova shows them. Pure."""

import collections
import collections.abc
import dataclasses
import datetime
import math
import typing

LIVE_MIGRATION = 'live-migration'
COLD_MIGRATION = 'migration'
RESIZE = 'resize'
EVACUATION = 'evacuation'

_COLD = frozenset((COLD_MIGRATION, RESIZE))
#: The server is on its new host. An evacuation stays ``done`` until its
#: source host is back.
_SUCCEEDED = frozenset(('completed', 'confirmed', 'done'))
_FAILED = frozenset(('cancelled', 'error', 'failed', 'reverted'))
#: The server is on its new host, and waits to be confirmed or reverted.
_UNCONFIRMED = 'finished'
#: Nova has not begun to copy.
_WAITING = frozenset(('accepted', 'queued'))
_PREPARING = 'preparing'
_PRE_MIGRATING = 'pre-migrating'

#: The status of a server whose cell is down, of which nothing else is told
#: (2.69).
UNKNOWN = 'UNKNOWN'
_RUNNING = 1
_RUNS = frozenset(('active', 'building', 'paused', 'rescued', 'resized'))


@dataclasses.dataclass(frozen=True)
class Server:
    """A server.

    :ivar id: its UUID.
    :ivar name: its name, as its owner wrote it.
    :ivar project: the id of its project.
    :ivar status: what ``openstack server show`` calls its status.
    :ivar vm_state: Nova's own state of it.
    :ivar power_state: Nova's number for what the hypervisor says.
    :ivar task_state: what is being done to it, or None.
    :ivar host: the host that it is on; empty if it is on none.
    :ivar locked: whether it is locked.
    :ivar locked_reason: why, if somebody said so.
    :ivar ram: its memory in MiB.
    :ivar disk: its local disks in GiB.
    :ivar extra_specs: the extra specs of its flavor.
    :ivar specs_told: whether Nova tells them.
    :ivar image: the id of the image it was booted from, or None.
    :ivar zone: the availability zone that it was asked to be in, or None.
    :ivar fault: what went wrong with it, or None.
    :ivar progress: how much of its memory a live migration has copied, in
        percent, or None.
    :ivar said: what its owner says, in its metadata.
    :ivar foreign: Nova lists it, and does not find it for this account.
    """

    id: str
    name: str
    project: str = ''
    status: str = 'ACTIVE'
    vm_state: str = 'active'
    power_state: int = _RUNNING
    task_state: str | None = None
    host: str = ''
    locked: bool = False
    locked_reason: str | None = None
    ram: int = 0
    disk: int = 0
    extra_specs: collections.abc.Mapping[str, str] = dataclasses.field(
        default_factory=dict
    )
    specs_told: bool = True
    image: str | None = None
    zone: str | None = None
    fault: str | None = None
    progress: int | None = None
    said: collections.abc.Mapping[str, str] = dataclasses.field(
        default_factory=dict
    )
    foreign: bool = False

    @property
    def moves(self) -> bool:
        """Whether it is being moved, or will be in a moment."""
        return self.task_state is not None and self.task_state.startswith(
            ('migrating', 'resize_')
        )

    @property
    def stopping(self) -> bool:
        """Whether it is being stopped."""
        return self.task_state == 'powering-off'

    @property
    def deleted(self) -> bool:
        """Whether it is deleted, and can still be restored: not listed."""
        return self.vm_state == 'soft-delete'

    @property
    def busy(self) -> str | None:
        """What is being done to it, in words; None if nothing is."""
        if self.task_state is not None:
            return f'a task is under way: {self.task_state}'
        return 'is being built' if self.vm_state == 'building' else None

    @property
    def runs(self) -> bool:
        """Whether its guest runs, or will in a moment."""
        if self.vm_state == 'error':
            return self.power_state == _RUNNING
        return self.vm_state in _RUNS or self.task_state == 'powering-on'


@dataclasses.dataclass(frozen=True)
class Migration:
    """Nova's record of one move of a server.

    :ivar id: Nova's number for it.
    :ivar server: the UUID of the server.
    :ivar kind: ``live-migration``, ``migration`` (cold), ``resize`` or
        ``evacuation``.
    :ivar status: Nova's word for how far it is.
    :ivar source: the host that it leaves.
    :ivar dest: the host that it goes to, once that is known.
    :ivar created: when it was asked for.
    :ivar updated: when its status last changed.
    :ivar user: the id of who asked for it; None if Nova does not tell.
    """

    id: int
    server: str
    kind: str
    status: str
    source: str | None = None
    dest: str | None = None
    created: datetime.datetime | None = None
    updated: datetime.datetime | None = None
    user: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it has ended, with the server on its new host."""
        return self.status in _SUCCEEDED

    @property
    def needs(self) -> frozenset[str]:
        """The hosts that have to be up for it to end."""
        # that the source is down is why a server is evacuated
        source = None if self.kind == EVACUATION else self.source
        return frozenset(host for host in (source, self.dest) if host)

    @property
    def failed(self) -> bool:
        """Whether it has ended without moving the server."""
        return self.status in _FAILED

    @property
    def unconfirmed(self) -> bool:
        """Whether the server has moved, and may still be sent back."""
        return self.status == _UNCONFIRMED

    @property
    def in_progress(self) -> bool:
        """Whether it goes on; any status that is not known does."""
        return not (self.succeeded or self.failed or self.unconfirmed)

    @property
    def open(self) -> bool:
        """Whether it goes on, or waits to be confirmed or reverted."""
        return self.in_progress or self.unconfirmed

    @property
    def unclaimed(self) -> bool:
        """Whether it is open, and nobody tells who has asked for it.

        It may be somebody else's to confirm or to abort.
        """
        return self.open and self.user is None

    @property
    def evacuation(self) -> bool:
        """Whether it is an evacuation, whatever kind Nova says."""
        return self.kind == EVACUATION or self.status == 'done'

    @property
    def cold(self) -> bool:
        """Whether the server is stopped while it is moved."""
        return self.kind in _COLD

    @property
    def waiting(self) -> bool:
        """Whether Nova has not begun to copy, and has it in a queue."""
        return self.status in _WAITING

    @property
    def begins(self) -> bool:
        """Whether Nova has not begun to copy, whatever else it has done."""
        return self.waiting or self.status == _PREPARING

    @property
    def queued(self) -> bool:
        """Whether it waits for others to leave the source host."""
        return self.status == 'queued'

    @property
    def untaken(self) -> bool:
        """Whether no nova-compute is known to have taken it up yet.

        Of a cold migration Nova does not tell where it goes before that.
        """
        asked = self.status == _PRE_MIGRATING and self.dest is None
        return asked or (self.waiting and not self.queued)

    @property
    def seconds(self) -> int | None:
        """How long it has taken, by Nova's clock; None if not known."""
        if self.created is None or self.updated is None:
            return None
        return max(int((self.updated - self.created).total_seconds()), 0)


def reused(
    migrations: collections.abc.Iterable[Migration], server: str
) -> Migration | None:
    """The record that Nova takes for the next cold migration of a server.

    It takes one that was left behind when it had not got far, with its number
    and whoever had asked for that, and makes a new one only if there is none.

    :param migrations: migrations in any order.
    :param server: the id of the server.
    :returns: the record; None if there is none.
    """
    found = [
        item
        for item in migrations
        if item.server == server
        and item.kind == COLD_MIGRATION
        and item.status == _PRE_MIGRATING
    ]
    return min(found, key=lambda item: item.id, default=None)


def latest(
    migrations: collections.abc.Iterable[Migration],
) -> dict[str, Migration]:
    """The latest migration of each server.

    :param migrations: migrations in any order.
    :returns: migrations by server id.
    """
    found: dict[str, Migration] = {}
    for migration in migrations:
        other = found.get(migration.server)
        if other is None or migration.id > other.id:
            found[migration.server] = migration
    return found


class Movement(typing.NamedTuple):
    """How much is on its way from or to a host.

    :ivar migrations_out: migrations in progress that leave the host.
    :ivar migrations_in: migrations in progress that come to it.
    :ivar unconfirmed_resizes: resizes and cold migrations away from it that
        nobody has confirmed or reverted yet.
    """

    migrations_out: int = 0
    migrations_in: int = 0
    unconfirmed_resizes: int = 0


@dataclasses.dataclass(frozen=True)
class Load:
    """What is on a host, and on its way.

    :ivar host: the host's name.
    :ivar servers: the servers that are there; None if that was not asked.
    :ivar migrations: the migrations from or to the host, ended ones as well.
    :ivar forgotten: ids of migrations that Nova never ends.
    :ivar read: when reading the servers began, by
        :func:`osc_maintenance.times.clock`.
    """

    host: str
    servers: tuple[Server, ...] | None = ()
    migrations: tuple[Migration, ...] = ()
    forgotten: frozenset[int] = frozenset()
    read: float = -math.inf

    @property
    def statuses(self) -> dict[str, int] | None:
        """How many servers there are, by status."""
        if self.servers is None:
            return None
        counts = collections.Counter(server.status for server in self.servers)
        return dict(sorted(counts.items()))

    @property
    def out(self) -> list[Migration]:
        """The migrations in progress that leave the host.

        Some are forgotten, as nova-compute was restarted: one that waits
        although its server is elsewhere, and one that waits, makes ready or
        copies a disk although nothing is being done to its server.
        """
        going = [m for m in self.leaving.values() if m.in_progress]
        if self.servers is None:
            return going
        tasks = {server.id: server.task_state for server in self.servers}
        return [
            migration
            for migration in going
            if tasks.get(migration.server) is not None
            or not (
                migration.waiting
                or migration.id in self.forgotten
                or (
                    migration.server in tasks
                    and (migration.cold or migration.begins)
                )
            )
        ]

    @property
    def leaving(self) -> dict[str, Migration]:
        """The latest migration of each server away from the host, by its id.

        An earlier one may look as if it went on for ever: a server that was
        evacuated from a host in the middle of a live migration.
        """
        return latest(
            migration
            for migration in self.migrations
            # a resize may stay on the host
            if migration.source == self.host != migration.dest
        )

    @property
    def arriving(self) -> dict[str, Migration]:
        """The latest migration of each server to the host, by its id."""
        return latest(
            migration
            for migration in self.migrations
            if migration.dest == self.host != migration.source
        )

    @property
    def coming(self) -> list[Migration]:
        """The migrations in progress that come to the host."""
        return [
            item
            for item in self.arriving.values()
            if item.in_progress and item.id not in self.forgotten
        ]

    @property
    def unconfirmed(self) -> list[Migration]:
        """Moves away from the host that may still be reverted."""
        return [
            migration
            for migration in self.leaving.values()
            if migration.unconfirmed
        ]

    @property
    def movement(self) -> Movement:
        """How much is on its way."""
        return Movement(len(self.out), len(self.coming), len(self.unconfirmed))

    @property
    def changing(self) -> frozenset[str]:
        """The ids of servers of which Nova says that they leave, or come.

        What a server has done before its latest migration says nothing.
        """
        return frozenset(
            item.server
            for item in latest(self.migrations).values()
            if (item.source == self.host != item.dest and not item.failed)
            or (item.dest == self.host != item.source and item.in_progress)
        )

    @property
    def going(self) -> list[Migration]:
        """The migrations in progress, in either direction."""
        return [*self.out, *self.coming]

    @property
    def moving(self) -> bool:
        """Whether there are any."""
        return bool(self.going)

    @property
    def nothing(self) -> bool:
        """Whether Nova knows of nothing on the host or on its way."""
        return not (self.servers or any(self.movement))
