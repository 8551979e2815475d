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

"""A small Nova in memory with a clock of its own: nothing sleeps.

Servers move as the real Nova moves them: the same statuses in the same order,
records that appear late, servers that settle before or after their records.
"""

import collections
import collections.abc
import dataclasses
import datetime
import heapq
import itertools
import math
import typing

from osc_maintenance import compute
from osc_maintenance.nova import answers
from osc_maintenance import servers

HOST = 'h1'
EPOCH = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
_NO_HOST = 'No valid host was found.'
#: What Nova tells about moves that were told to fail.
WORDS = {
    'no host': _NO_HOST,
    'pre': 'The supplied disk path already exists',
    'spawn': 'Failed to deploy instance',
    'post': 'told to fail after the copy',
}
_STATUS = {
    'active': 'ACTIVE',
    'paused': 'PAUSED',
    'stopped': 'SHUTOFF',
    'error': 'ERROR',
}
_Process = collections.abc.Generator[float, None, None]


class KilledError(BaseException):
    """The client has been killed: this is no exception that it handles."""


class EndlessError(AssertionError):
    """The simulated time is over, and the drain is not."""


@dataclasses.dataclass
class Script:
    """What becomes of the moves of a server.

    :ivar seconds: how long the copying takes.
    :ivar fails: how its moves fail, one after the other; then they do not.
        ``hang`` stops in the middle, ``lie`` completes and stays.
    :ivar answers: what it is answered when a move is asked for, in turn:
        ``409``, ``400``, ``lost`` (taken, and not answered), ``dropped``
        (neither), ``ok``.
    :ivar unseen: how long Nova takes to record it.
    :ivar scheduling: how long it takes to choose a host.
    :ivar abortable: aborting and forcing it has an effect.
    """

    seconds: float = 4.0
    fails: list[str] = dataclasses.field(default_factory=list)
    answers: list[str] = dataclasses.field(default_factory=list)
    unseen: float = 0.1
    scheduling: float = 0.3
    abortable: bool = True


@dataclasses.dataclass(eq=False)
class Row:
    """A migration, from the moment in which it was asked for."""

    migration: servers.Migration
    target: str | None
    before: servers.Server
    seen: bool = False
    run: int = 0

    @property
    def in_motion(self) -> bool:
        return self.migration.in_progress and not self.confirming

    @property
    def confirming(self) -> bool:
        return self.migration.status == 'confirming'


class World:
    """Nova.

    :param limit: how many live migrations leave a host at once.
    :ivar motion: which servers were on their way from the host, whenever
        that changed, as (moment, ids).
    :ivar outages: when nothing is answered, as (from, to).
    :ivar end: when the simulation ends, whatever happens.
    """

    def __init__(self, limit: float = math.inf) -> None:
        self.now = 0.0
        self.end = 4000.0
        self.latency = 0.01
        #: how much longer some requests take than the others
        self.slower: dict[str, float] = collections.defaultdict(float)
        self.limit = limit
        self.hosts = {HOST: 'up', 'h2': 'up', 'h3': 'up'}
        self.guests: dict[str, servers.Server] = {}
        self.scripts: dict[str, Script] = collections.defaultdict(Script)
        self.groups: list[answers.Group] = []
        self.rows: list[Row] = []
        #: what Nova tells about the last failure of each server
        self.words: dict[str, str] = {}
        #: who was the last to stop a server
        self.stoppers: dict[str, str] = {}
        #: who has aborted the last migration of a server
        self.aborters: dict[str, str] = {}
        self.requests: collections.Counter[str] = collections.Counter()
        self.motion: list[tuple[float, frozenset[str]]] = []
        self.outages: list[tuple[float, float]] = []
        self.aggregate: compute.Aggregate | None = None
        #: what somebody else has made of the host's service
        self.service: compute.Service | None = None
        self.interrupted = self.killed = math.inf
        self._due: list[
            tuple[float, int, collections.abc.Callable[[], object]]
        ] = []
        self._numbers = itertools.count()
        self._ids = itertools.count(1)

    # -- the scene ---------------------------------------------------------

    def add(self, name: str, **fields: typing.Any) -> str:
        """A server on the host; its name is its id."""
        fields = {'host': HOST, 'ram': 512, 'disk': 1, **fields}
        vm_state = fields.get('vm_state', 'active')
        status = _STATUS.get(vm_state, 'BUILD')
        self.guests[name] = servers.Server(
            name, name, **{'status': status, **fields}
        )
        return name

    def switch(self, name: str, vm_state: str) -> None:
        """A server is stopped or started, which takes three seconds."""
        doing = 'powering-off' if vm_state == 'stopped' else 'powering-on'
        self.guests[name] = dataclasses.replace(
            self.guests[name], task_state=doing
        )

        def done() -> None:
            self.guests[name] = dataclasses.replace(
                self.guests[name],
                task_state=None,
                vm_state=vm_state,
                status=_STATUS[vm_state],
            )

        self.at(self.now + 3, done)

    def script(self, name: str, **fields: typing.Any) -> str:
        self.scripts[name] = Script(**fields)
        return name

    def at(
        self, moment: float, do: collections.abc.Callable[[], object]
    ) -> None:
        """Let something happen later."""
        heapq.heappush(self._due, (moment, next(self._numbers), do))

    def delete(self, name: str) -> None:
        """Its owner deletes a server: Nova forgets its migrations."""
        self.guests.pop(name, None)
        self.rows = [r for r in self.rows if r.migration.server != name]
        self._measure()

    def advance(self, until: float) -> None:
        while self._due and self._due[0][0] <= until:
            self.now, _number, do = heapq.heappop(self._due)
            do()
            self._measure()
        self.now = max(self.now, until)
        if self.now > self.end:
            raise EndlessError(f'it goes on at {self.now}')

    def moved_from(self) -> list[str]:
        """The servers whose moves from the host were begun, in order."""
        return [
            row.migration.server
            for row in self.rows
            if row.migration.source == HOST
        ]

    @property
    def most(self) -> int:
        """How many moves were in motion at once, at most."""
        return max((len(ids) for _moment, ids in self.motion), default=0)

    def _measure(self) -> None:
        ids = frozenset(
            row.migration.server
            for row in self.rows
            if row.in_motion and row.migration.source == HOST
        )
        if not self.motion or self.motion[-1][1] != ids:
            self.motion.append((self.now, ids))

    # -- how servers move --------------------------------------------------

    def set(self, name: str, **fields: typing.Any) -> None:
        if name in self.guests:
            guest = self.guests[name]
            self.guests[name] = dataclasses.replace(guest, **fields)

    def begin(
        self, name: str, kind: str, user: str, target: str | None = None
    ) -> Row:
        """A move begins, whoever has asked for it."""
        guest, script = self.guests[name], self.scripts[name]
        row = Row(
            servers.Migration(
                next(self._ids),
                name,
                kind,
                'accepted',
                guest.host,
                created=self._moment(),
                user=user,
            ),
            target,
            guest,
        )
        self.rows.append(row)
        fail = script.fails.pop(0) if script.fails else ''
        if fail in ('no host', 'pre', 'spawn'):
            self.words[name] = WORDS[fail]
        if kind == servers.LIVE_MIGRATION:
            self.set(name, task_state='migrating', status='MIGRATING')
            self.go(row, self._live(row, fail, script))
        elif kind == servers.EVACUATION:
            self.set(name, task_state='rebuilding', status='REBUILD')
            self.go(row, self._evacuation(row, fail, script))
        else:
            self.set(name, task_state='resize_prep', status='RESIZE')
            self.go(row, self._cold(row, fail, script))
        self._measure()
        return row

    def go(self, row: Row, process: _Process) -> None:
        """Let a process have a migration instead of the one so far."""
        row.run += 1
        run = row.run

        def step() -> None:
            if row.run == run and row in self.rows:
                delay = next(process, math.inf)
                if delay < math.inf:
                    self.at(self.now + delay, step)

        step()

    def forget(self, row: Row) -> None:
        """Nova-compute is restarted: nobody goes on with a migration."""
        row.run += 1
        self._back(row)

    def _moment(self) -> datetime.datetime:
        return EPOCH + datetime.timedelta(seconds=self.now)

    def save(self, row: Row, status: str, **fields: typing.Any) -> None:
        """Note a status; a row that was just inserted is not updated yet."""
        updated = self._moment() if row.seen else None
        row.seen = True
        row.migration = dataclasses.replace(
            row.migration, status=status, updated=updated, **fields
        )

    def _back(self, row: Row, host: str | None = None) -> None:
        """The server is what it was before, here or on another host."""
        before = dataclasses.replace(
            row.before, host=host or row.before.host, task_state=None
        )
        self.guests[row.migration.server] = before

    def _broken(self, row: Row, words: str | None, host: str | None) -> None:
        fields = {'vm_state': 'error', 'status': 'ERROR', 'fault': words}
        where = host or row.migration.source
        self.set(row.migration.server, task_state=None, host=where, **fields)

    def _dest(self, row: Row) -> str:
        up = [h for h, is_up in self.hosts.items() if is_up == 'up']
        others = [h for h in up if h != row.migration.source]
        return row.target or others[row.migration.id % len(others)]

    def _copying(self, row: Row) -> int:
        return sum(
            other.migration.status in ('preparing', 'running')
            for other in self.rows
            if other.migration.source == row.migration.source
        )

    def _live(self, row: Row, fail: str, script: Script) -> _Process:
        yield script.unseen
        self.save(row, 'accepted')
        yield script.scheduling
        if fail == 'no host':
            self.save(row, 'error')
            self._back(row)
            return
        dest = self._dest(row)
        while self._copying(row) >= self.limit:
            if not row.migration.queued:
                self.save(row, 'queued', dest=dest)
            yield 0.1
        self.save(row, 'preparing', dest=dest)
        yield 0.1
        if fail == 'pre':
            self.save(row, 'error')
            yield 0.07
            self._back(row)
            self.save(row, 'failed')
            return
        self.save(row, 'running')
        yield math.inf if fail == 'hang' else script.seconds
        if fail == 'driver':
            self._broken(row, None, None)
            self.save(row, 'error')
        elif fail == 'copy':
            self._back(row)
            yield 0.08
            self.save(row, 'failed')
        else:
            yield from self.landed(row, fail)

    def landed(self, row: Row, fail: str = '') -> _Process:
        """A live migration has copied everything."""
        self._back(row, None if fail == 'lie' else row.migration.dest)
        yield 0.1
        if fail == 'post':
            self.save(row, 'error')
            yield 0.06
            self._broken(row, WORDS[fail], row.migration.dest)
        else:
            self.save(row, 'completed')

    def cancelled(self, row: Row) -> _Process:
        """A live migration is aborted."""
        yield 0.1
        self._back(row)
        yield 0.06
        self.save(row, 'cancelled')

    def _cold(self, row: Row, fail: str, script: Script) -> _Process:
        name = row.migration.server
        yield script.unseen
        self.save(row, 'pre-migrating')
        yield script.scheduling
        if fail == 'no host':
            self.save(row, 'error')
            yield 0.08
            self._back(row)
            return
        dest = self._dest(row)
        self.save(row, 'migrating', dest=dest)
        self.set(name, task_state='resize_migrating')
        yield math.inf if fail == 'hang' else script.seconds
        self.save(row, 'post-migrating')
        self.set(name, task_state='resize_finish', host=dest)
        yield 0.1
        if fail == 'spawn':
            self._broken(row, WORDS[fail], dest)
            yield 0.08
            self.save(row, 'error')
            return
        self.set(
            name, task_state=None, vm_state='resized', status='VERIFY_RESIZE'
        )
        self.save(row, 'finished')

    def confirmed(self, row: Row) -> _Process:
        """A cold migration is confirmed."""
        self.save(row, 'confirming')
        yield 0.1
        self.save(row, 'confirmed')
        yield 0.05
        self._back(row, row.migration.dest)

    def reverted(self, row: Row) -> _Process:
        """A cold migration is reverted: noted by the host that it went to."""
        self.set(
            row.migration.server,
            task_state='resize_reverting',
            status='REVERT_RESIZE',
        )
        self.save(row, 'reverting')
        yield 0.1
        self.save(row, 'reverted')
        yield 20.0
        self._back(row)

    def _evacuation(self, row: Row, fail: str, script: Script) -> _Process:
        yield script.unseen
        self.save(row, 'accepted')
        yield script.scheduling
        if fail == 'no host':
            self._broken(row, _NO_HOST, None)
            self.save(row, 'error')
            return
        self.save(row, 'pre-migrating', dest=self._dest(row))
        yield math.inf if fail == 'hang' else script.seconds
        if fail == 'spawn':
            self._broken(row, WORDS[fail], None)
            self.save(row, 'failed')
            return
        self._back(row)
        yield 0.05
        self._back(row, row.migration.dest)
        self.set(row.migration.server, vm_state='stopped', status='SHUTOFF')
        self.save(row, 'done')
