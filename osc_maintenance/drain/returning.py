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

"""The servers that a maintenance has moved away on their way back."""

import collections.abc
import dataclasses
import math
import typing

from osc_maintenance import asking
from osc_maintenance import compute
from osc_maintenance.drain import dead
from osc_maintenance.drain import histories
from osc_maintenance.drain import journey
from osc_maintenance.drain import moves as moves_
from osc_maintenance.drain import upkeep
from osc_maintenance.drain import verdict
from osc_maintenance.drain import watch
from osc_maintenance import journal
from osc_maintenance import microversions
from osc_maintenance import noting
from osc_maintenance import owners
from osc_maintenance import parallel
from osc_maintenance import policy as policy_
from osc_maintenance import servers
from osc_maintenance import text
from osc_maintenance import times

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_


class Returning:
    """The servers that a maintenance has moved away and that come back.

    :param clients: Nova.
    :param host: the host, with the record of its maintenance.
    :ivar host: the host's name.
    :ivar command: what continues it if it is interrupted.
    :ivar listed: its servers are not looked at before the first look.
    """

    listed = -math.inf

    def __init__(
        self, clients: 'clients_.Clients', host: compute.Host
    ) -> None:
        self.host = host.name
        self.command = f'unset {host.name} --return-servers'
        self._clients = clients
        self._at = host
        self._policy = policy_.Policy(policy_.ALL, locked=True, pinned=True)
        self._watch = watch.Watch(
            lambda since: clients.servers.migrations(self.host, since=since)
        )
        self._zones: dict[str, str] = {}
        self._away: dict[str, servers.Server] = {}
        self._back: set[str] = set()
        self._strayed: dict[str, str] = {}
        self._ended: dict[str, int] = {}
        self._forgotten: set[int] = set()
        # how they come, by the ids of the servers
        self._noted: dict[str, str] = {}
        self._asked_for: set[int] = set()
        self._reused: dict[str, servers.Migration] = {}

    def survey(self) -> None:
        """Find out which servers come back; nothing is changed.

        :raises RefusedError: if they could not.
        """
        name = text.escape(self.host)
        services = {item.host: item for item in self._clients.nova.services()}
        service, before = services.get(self.host), self._at.before
        if service is None or service.state != 'up':
            raise asking.RefusedError(
                f'nova-compute on {name} is down, so no server can come back: '
                'bring it up first, or leave --return-servers out'
            )
        if before and before.status != 'enabled':
            raise asking.RefusedError(
                f'{name} was {before} before the maintenance and will be so '
                'again, so no server can come back: leave --return-servers '
                'out, and enable it when it is ready'
            )
        self._zones = {
            item.host: item.zone
            for item in services.values()
            if item.state == 'up'
        }
        moved = sorted(self._at.journal.moves)
        found = histories.all_known(self._clients, self.host, moved)
        leaving = [
            f'{text.escape(server.name)} ({server.id})'
            for server, migrations in found.values()
            if server and self._leaves(server, migrations)
        ]
        if leaving:
            who = (
                '1 server is still on its way'
                if len(leaving) == 1
                else f'{len(leaving)} servers are still on their way'
            )
            raise asking.RefusedError(
                f'{who} off {name}, or not confirmed: {", ".join(leaving)}: '
                'run set first, which goes on with that, or leave '
                '--return-servers out'
            )
        for server, migrations in found.values():
            if server and server.host != self.host:
                self._judge(server, migrations)

    @property
    def matters(self) -> set[microversions.Matter]:
        """What a return rests on that not every Nova gives."""
        actions = {self._verdict(item).action for item in self._away.values()}
        matters = set()
        if self._away:
            matters.add(microversions.Matter.REQUESTERS)
        if verdict.Action.COLD_MIGRATE in actions:
            matters.add(microversions.Matter.COLD_TARGETS)
        return matters

    def _leaves(
        self,
        server: servers.Server,
        history: collections.abc.Iterable[servers.Migration],
    ) -> bool:
        """Whether this maintenance still moves a server away."""
        noted = self._at.journal.moves[server.id]
        latest = servers.latest(history).get(server.id)
        return (
            latest is not None
            and latest.source == self.host
            and latest.kind != servers.RESIZE
            and noted.is_of(latest)
            and (latest.unconfirmed or latest.in_progress)
            and not (
                latest.in_progress
                and (latest.begins or latest.cold)
                and server.task_state is None
                # being confirmed
                and server.vm_state != 'resized'
            )
        )

    def _judge(
        self,
        server: servers.Server,
        history: collections.abc.Collection[servers.Migration],
    ) -> None:
        """Whether a server is where this maintenance has moved it."""
        noted = self._at.journal.moves.get(server.id)
        if noted is None:
            self._strayed[server.id] = (
                'it is no longer recorded that it was moved away, and it '
                f'stays on {server.host}'
            )
            return
        if found := servers.reused(history, server.id):
            self._reused[server.id] = found
        self._ended[server.id] = max(
            (item.id for item in history if item.succeeded or item.failed),
            default=0,
        )
        # a try of this return may be complete by its record only
        moved = [
            item
            for item in history
            if item.succeeded
            and not (item.dest == self.host and self.is_ours(item))
        ]
        latest = max(moved, key=lambda item: item.id, default=None)
        ours = [
            item
            for item in moved
            if item.source == self.host
            and item.kind != servers.RESIZE
            and noted.is_of(item)
        ]
        if not ours:
            # it left in another way, or came when this had been noted
            return
        self._away[server.id] = server
        if latest not in ours or latest is None or latest.dest != server.host:
            self._strayed[server.id] = (
                f'it has moved since, and stays on {server.host}'
            )

    def begin(self, host: compute.Host) -> None:
        """Take up the host as it is once its service has been put back.

        :param host: the host, with the record of its maintenance.
        """
        self._at = host

    # -- as a journey ------------------------------------------------------

    def look(
        self,
        *,
        fresh: bool,
        moving: collections.abc.Set[str],
        again: bool = True,
    ) -> journey.Look:
        """Look at Nova: one request, and a few for those in motion.

        :param fresh: look at the servers as well as at their migrations.
        :param moving: ids of the servers in motion.
        :param again: look at the migrations, and not only at the servers.
        """
        found = self._watch.look() if again else self._watch.known
        migrations = servers.latest(
            item for item in found if self._comes(item)
        )
        asked = set(moving)
        if fresh:
            # those that were on their way before this was run
            asked |= {item for item in self._busy() if self._away[item].moves}
        # one that Nova finds no way for never gets a destination
        for server in sorted(asked - migrations.keys()):
            history = histories.of(self._clients, server)
            ours = (m for m in history if self._comes(m) and self.is_ours(m))
            migrations.update(servers.latest(ours))
        if fresh:
            self._look_at_servers(moving)
            self._forgotten = self._left_behind(migrations)
        return journey.Look(
            here=self._away,
            migrations={
                server: migration
                for server, migration in migrations.items()
                if server in self._at.journal.moves
                and migration.id not in self._forgotten
            },
            verdicts={
                server.id: self._verdict(server)
                for server in self._away.values()
            },
            groups={},
            fresh=fresh,
        )

    def _left_behind(
        self, migrations: collections.abc.Mapping[str, servers.Migration]
    ) -> set[int]:
        """The migrations that Nova has forgotten, as a host was restarted."""
        return {
            migration.id
            for server, migration in migrations.items()
            if migration.in_progress
            and (migration.begins or migration.cold)
            and server in self._away
            and self._away[server].task_state is None
        }

    def _comes(self, migration: servers.Migration) -> bool:
        """Whether a migration may be what a server comes back by."""
        if migration.id <= self._ended.get(migration.server, 0):
            # it had ended before
            return False
        if migration.dest is None:
            return migration.source != self.host
        return migration.dest == self.host

    def _busy(self) -> set[str]:
        """The servers that might come back, but for a task under way."""
        return {
            server.id
            for server in self._away.values()
            if server.task_state and server.id not in self._strayed
        }

    def _look_at_servers(self, moving: collections.abc.Set[str]) -> None:
        """See who is here now, and how those are that something is done to."""
        here = {server.id for server in self._clients.servers.on(self.host)}
        self._back |= self._away.keys() & here
        self._away = {
            server: known
            for server, known in self._away.items()
            if server not in here
        }
        # a cold migration may have been reverted since
        sent_back = self._back - here
        asked = sorted(self._away.keys() & (moving | self._busy()) | sent_back)
        told = parallel.each(self._clients.servers.server, asked)
        for server, found in zip(asked, told, strict=True):
            if found is None:
                self._away.pop(server, None)
            elif server in self._away or found.host != self.host:
                self._away[server] = found
        self._back -= self._away.keys()

    def _verdict(self, server: servers.Server) -> verdict.Verdict:
        strayed = self._strayed.get(server.id)
        if strayed:
            return verdict.Verdict(verdict.Action.LEAVE, strayed)
        around = verdict.Surroundings(
            server.host,
            up=server.host in self._zones,
            zones={self.host: self._zones.get(self.host, '')},
        )
        # it has been here, whatever zone it was asked to be in
        # what its owner wishes was for the way there, but for how it is moved
        cold = owners.wish(server.said) is owners.Wish.COLD_MIGRATE
        said = {owners.POLICY: owners.Wish.COLD_MIGRATE.value} if cold else {}
        anywhere = dataclasses.replace(server, zone=None, said=said)
        return verdict.possible(anywhere, self._policy, around)

    def check(self) -> None:
        """See whether the servers are still to return.

        :raises LostError: if somebody has ended the maintenance, or has put
            the host into maintenance again.
        """
        self._read_record()

    def outdated(self, moves: collections.abc.Sequence[moves_.Move]) -> bool:
        """Look once more at servers that are about to be moved.

        A return may take hours, and only what moves is looked at meanwhile.

        :param moves: their moves.
        :returns: whether the last look does not hold any more.
        """
        ids = [move.server.id for move in moves]
        known = histories.known(self._clients, ids)
        for server, (found, history) in known.items():
            if found and found.host != self.host:
                self._judge(found, history)
            else:
                self._away.pop(server, None)
        return any(
            move.server.id not in self._away
            or self._verdict(self._away[move.server.id]) != move.verdict
            for move in moves
        )

    def is_down(self, host: str) -> bool:
        return dead.is_down(self._clients.nova, host)

    def note(self, moves: collections.abc.Sequence[moves_.Move]) -> None:
        """Note which servers are going to be moved, before they are."""
        user = self._clients.user_id
        if any(move.server.id not in self._noted for move in moves):
            # a colleague may have noted the same servers meanwhile
            self._read_record()
        known, new = self._at.journal.returns, {}
        for move in moves:
            action = move.verdict.action.value
            self._noted[move.server.id] = action
            noted = known.get(move.server.id)
            if noted is None or noted.after > self._watch.latest:
                # nobody can have noted a number that Nova has not reached
                noted = journal.Move.first(
                    action,
                    self._watch.latest,
                    self._reused.get(move.server.id),
                )
            elif user in noted.users:
                continue
            new[move.server.id] = noted.again(action, user)
        self._write(new)

    def _write(self, moves: dict[str, journal.Move]) -> None:
        if moves and self._at.aggregate:
            changes = noting.returning(moves, times.now(), brings_back=True)
            aggregate = upkeep.write(
                self._clients.nova, self.host, self._at.aggregate, changes
            )
            self._at = dataclasses.replace(self._at, aggregate=aggregate)

    def _read_record(self) -> None:
        """See that it still says so; write our notes again if replaced.

        What is written says that the servers return, so nothing is before.

        :raises LostError: as :meth:`check`.
        """
        if self._at.aggregate is None:
            raise upkeep.ended(self.host)
        aggregate = upkeep.read(
            self._clients.nova, self.host, self._at.aggregate
        )
        self._at = dataclasses.replace(self._at, aggregate=aggregate)
        if not self._at.journal.returning:
            raise journey.LostError(
                f'{text.escape(self.host)} was put into maintenance again by '
                'somebody else'
            )
        self._write(
            journal.replaced(
                self._at.journal.returns, self._noted, self._clients.user_id
            )
        )

    def is_ours(self, migration: servers.Migration) -> bool:
        """Whether this return has asked for a migration."""
        if (
            migration.server in self._noted
            and migration.id not in self._asked_for
            and not self._knows(migration)
        ):
            # a colleague may have noted it since
            self._asked_for.add(migration.id)
            self._read_record()
        return self._knows(migration) and not migration.unclaimed

    def _knows(self, migration: servers.Migration) -> bool:
        move = self._at.journal.returns.get(migration.server)
        return (
            migration.kind != servers.RESIZE
            and move is not None
            and move.is_of(migration)
        )

    def target(self, move: moves_.Move) -> str | None:
        """The host that a server has to go to."""
        del move
        return self.host
