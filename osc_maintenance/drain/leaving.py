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

"""The servers of a host on their way off it."""

import collections
import collections.abc
import dataclasses
import datetime
import secrets
import typing

from osc_maintenance import compute
from osc_maintenance.drain import arrivals
from osc_maintenance.drain import dead
from osc_maintenance.drain import evacuation
from osc_maintenance.drain import failures
from osc_maintenance.drain import interrupt
from osc_maintenance.drain import journey
from osc_maintenance.drain import moves as moves_
from osc_maintenance.drain import outlook
from osc_maintenance.drain import plan as plan_
from osc_maintenance.drain import returned
from osc_maintenance.drain import upkeep
from osc_maintenance.drain import watch
from osc_maintenance import facts
from osc_maintenance import gaps
from osc_maintenance import journal
from osc_maintenance import noting
from osc_maintenance import servers
from osc_maintenance import text

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_

#: How long somebody who has seen that nobody evacuates the host may take to
#: say that they do, or to start one more evacuation, in seconds.
_SETTLE = 5.0
#: The other statuses of a service tell nothing: its cell is down.
_KNOWN = frozenset(('enabled', 'disabled'))
#: How old a look whether the maintenance is still what it was may be, in
#: seconds: to move a server, and at all, or where Nova is slow.
_CHECK, _CHECK_SLOW = 20.0, 60.0
#: How many times longer at least than it and a look at the migrations take:
#: that comes between it and a move.
_LEAST = 3
#: How many times sooner the record alone is looked at before a move.
_SOONER = 2


class Leaving:
    """The servers that the policy of a maintenance wants off its host.

    :param clients: Nova, Placement and Glance.
    :param host: the host, in maintenance.
    :param plan: what is to be done with its servers.
    :param clock: the present in seconds, never going back.
    :param now: the present, in UTC.
    :param how: who moves them, as the journal says it.
    :ivar host: the host's name.
    :ivar command: what continues it if it is interrupted.
    :ivar listed: when its servers were looked at before the first look.
    """

    def __init__(
        self,
        clients: 'clients_.Clients',
        host: compute.Host,
        plan: plan_.Plan,
        clock: collections.abc.Callable[[], float],
        now: collections.abc.Callable[[], datetime.datetime],
        *,
        how: str = journal.STARTED,
    ) -> None:
        self.host = host.name
        # that the host is fenced has to be looked at again each time
        self.command = '' if plan.evacuate else f'set {host.name}'
        self._clients = clients
        self._at = host
        self._policy = plan.policy
        self._evacuate = plan.evacuate
        self._wanted = plan.wanted
        self._how = how
        self._clock = clock
        self._now = now
        self._checked = self._read = clock()
        self._check_again = _CHECK
        self._watch = watch.Watch(
            lambda since: clients.servers.migrations(self.host, since=since)
        )
        self._outlook = outlook.Outlook(clients, plan, clock, now)
        if host.record:
            # it has an id by now, which replies name
            self._outlook.heed(host.record.policy.terms)
        self._arrivals = arrivals.Arrivals(clients, plan.policy)
        self._returns = returned.Returned(clients, host.journal)
        self._failures = failures.Failures(clients.servers)
        # of an evacuation; it is no password
        self._token = ''  # nosec B105
        # a return that was broken off ends with our first note
        self._returned = host.journal.returning
        # by the ids of their servers
        self._noted: dict[str, str] = {}
        self._stops: set[str] = set()
        self._load = plan.load
        self.listed = plan.load.read
        self._planned: servers.Load | None = plan.load
        self._seen, self._took = clock(), 0.0
        self._listing: float | None = None
        self._arriving: frozenset[str] = frozenset()
        self._forgotten = _forgotten(plan.load)
        self._asked_for: set[int] = set()

    def look(
        self,
        *,
        fresh: bool,
        moving: collections.abc.Set[str],
        again: bool = True,
    ) -> journey.Look:
        """Look at Nova: one request or two, and another now and then.

        :param fresh: look at the servers as well as at their migrations.
        :param moving: ids of the servers in motion.
        :param again: look at the migrations, and not only at the servers.
        """
        # of a host that is down nothing is started, but looked at here
        most = self._check_again
        if self._outlook.around.up:
            most = max(most, _CHECK_SLOW)
        if self._clock() - self._checked >= most:
            self._check()
        # in this order: a server whose migration has ended is seen elsewhere
        if again:
            before = self._clock()
            self._watch.look()
            self._seen = self._clock()
            self._took = self._seen - before
        migrations = self._watch.known
        fresh = fresh or self._left_since(migrations)
        if self._evacuate:
            migrations = evacuation.records(migrations)
        if fresh:
            self._listing = self._clock()
            found = self._clients.servers.on(self.host)
            self._check_listed(found, migrations)
            self._load = facts.load_of(
                self._clients.servers,
                self.host,
                found,
                migrations,
                self._now(),
            )
        load = dataclasses.replace(self._load, migrations=migrations)
        found = load.servers or ()
        verdicts = self._outlook.verdicts(found, fresh=fresh, moving=moving)
        coming = self._returns.expected(load) if fresh else frozenset()
        verdicts = returned.confirmed_first(verdicts, self._returns.confirming)
        if self._evacuate:
            everything = dataclasses.replace(
                load, migrations=self._watch.known
            )
            verdicts = evacuation.judged(
                self._clients.servers, everything, verdicts
            )
        if self._how == journal.BY_APPLY:
            verdicts.update(
                self._failures.given_up(load, verdicts, self._knows)
            )
        if fresh:
            coming |= self._arrivals.expected(
                self._at, load, verdicts, idle=not moving
            )
            # nothing arrives at a host that is dead
            self._arriving = frozenset() if self._evacuate else coming
            self._forgotten = _forgotten(load)
        return journey.Look(
            here={server.id: server for server in found},
            migrations={
                server: migration
                for server, migration in load.leaving.items()
                if migration.id not in self._forgotten
            },
            verdicts=verdicts,
            groups=self._outlook.around.groups,
            fresh=fresh,
            watched=self._seen,
            listing=self._listing,
            arriving=self._arriving,
            up=self._outlook.around.up or self._evacuate,
        )

    def _check_listed(
        self,
        found: collections.abc.Iterable[servers.Server],
        migrations: tuple[servers.Migration, ...],
    ) -> None:
        """See that servers are gone that are not listed any more."""
        before = {server.id for server in self._load.servers or ()}
        load = servers.Load(self.host, migrations=migrations)
        missed = before - {server.id for server in found}
        gaps.unlisted(self._clients, self.host, missed - load.changing)

    def _left_since(
        self, migrations: collections.abc.Iterable[servers.Migration]
    ) -> bool:
        """Whether servers may have moved since the plan looked at them."""
        before, self._planned = self._planned, None
        return before is not None and {
            (item.id, item.status) for item in before.migrations
        } != {(item.id, item.status) for item in migrations}

    def check(self) -> None:
        """See whether servers are still to be moved, if need be.

        Which of them are to go may be changed at any moment, and a server
        that is moved all the same does not come back by itself.
        """
        if self._clock() - self._checked >= self._check_again:
            self._check()
        elif self._clock() - self._read >= self._check_again / _SOONER:
            self._read_record()

    def check_now(self) -> None:
        """The same at once, before what nobody would undo."""
        self._read_record()

    def _check(self) -> None:
        """See whether the maintenance is still what it was.

        :raises LostError: if somebody has ended it, changed its policy or the
            service, or has taken over.
        """
        before = self._clock()
        self._read_record()
        self._heed(self._clients.nova.service(self.host))
        self._checked = self._clock()
        # a Nova that is slow is asked more seldom
        cost = self._checked - before
        self._check_again = max(
            min(max(_CHECK, 10 * cost), _CHECK_SLOW),
            _LEAST * (cost + self._took),
        )

    def _read_record(self) -> None:
        """See whether the record still says the same.

        :raises LostError: if it does not.
        """
        name = text.escape(self.host)
        if self._at.aggregate is None:
            raise AssertionError(f'{name} has no record to be drained by')
        aggregate = upkeep.read(
            self._clients.nova, self.host, self._at.aggregate
        )
        self._at = dataclasses.replace(self._at, aggregate=aggregate)
        if self._token and self._at.journal.evacuating != self._token:
            raise journey.LostError(
                f'somebody else evacuates {name} as well, and has taken over'
            )
        if self._at.journal.returning and not self._returned:
            raise journey.LostError(
                f'somebody else brings the servers of {name} back'
            )
        if self._how == journal.BY_APPLY and not self._at.journal.by_apply:
            raise journey.LostError(f'somebody else drains {name}')
        record = self._at.record
        if record and not record.policy.moves_as(self._policy):
            raise journey.LostError(
                f'somebody else has changed which servers of {name} are to '
                'be moved'
            )
        if record:
            self._outlook.heed(record.policy.terms)
        # who has begun at the same moment may not have known of ours
        old, user = self._at.journal, self._clients.user_id
        changes = noting.moved(journal.replaced(old.moves, self._noted, user))
        lost = {
            server
            for server in self._stops
            if user not in old.stopped.get(server, ())
        }
        if user:
            changes |= noting.stopping(old, lost, (), user)
        if changes:
            self._write(changes)
        self._read = self._clock()

    def _heed(self, service: compute.Service | None) -> None:
        """See whether the host is still disabled for this maintenance.

        :raises LostError: if it is not.
        """
        self._at = dataclasses.replace(self._at, service=service)
        if service and service.status in _KNOWN and not self._at.ours:
            raise journey.LostError(
                'somebody else has changed the compute service of '
                f'{text.escape(self.host)}: it is {service.status} '
                f'({text.escape(service.disabled_reason or "no reason")}); '
                'nothing more is started'
            )
        if service and service.state and not self._evacuate:
            self._outlook.up(service.state == 'up')

    def outdated(self, moves: collections.abc.Sequence[moves_.Move]) -> bool:
        """A look shows all servers that are here: it holds."""
        del moves
        return False

    # -- what is ours ------------------------------------------------------

    def is_down(self, host: str) -> bool:
        # a look tells of the host itself
        return host != self.host and dead.is_down(self._clients.nova, host)

    def note(self, moves: collections.abc.Sequence[moves_.Move]) -> None:
        """Note which servers are going to be moved, before they are."""
        user = self._clients.user_id
        if any(move.server.id not in self._noted for move in moves):
            # a colleague may have noted the same servers meanwhile
            self._read_record()
        old = self._at.journal
        new = {}
        for move in moves:
            known = old.moves.get(move.server.id)
            action = move.verdict.action.value
            self._noted[move.server.id] = action
            if known is None or known.after > self._watch.latest:
                # nobody can have noted a number that Nova has not reached
                known = journal.Move.first(
                    action,
                    self._watch.latest,
                    servers.reused(self._watch.known, move.server.id),
                )
            elif known.verdict == action and user in known.users:
                continue
            new[move.server.id] = known.again(action, user)
        if new or old.drain != self._how:
            self._write(
                noting.started(old, new, how=self._how, keep=self._arriving)
            )
            self._returned = False

    def note_stops(
        self,
        begun: collections.abc.Iterable[str] = (),
        failed: collections.abc.Iterable[str] = (),
    ) -> None:
        """Note which servers are going to be stopped, before they are.

        :param begun: their ids.
        :param failed: ids of those that are not stopped after all.
        """
        # somebody may be starting servers again, as it is about to end
        self._read_record()
        begun, failed = set(begun), set(failed)
        self._stops = (self._stops | begun) - failed
        user = self._clients.user_id
        self._write(noting.stopping(self._at.journal, begun, failed, user))

    def conclude(self, stayed: collections.abc.Mapping[str, str]) -> None:
        """Note that nothing is left to try.

        :param stayed: why servers stayed, by id.
        :raises LostError: if the record does not say the same any more.
        """
        # somebody may have taken over, or chosen other servers, and goes on
        self._read_record()
        old = self._at.journal
        stayed = {
            server: text.storable(cause) for server, cause in stayed.items()
        }
        if stayed == old.stayed and old.ended:
            return
        self._write(noting.ended(old, stayed, self._token))

    def claim(self, pause: interrupt.Pause) -> bool:
        """Be the only one who evacuates this host.

        Nova takes a second evacuation of a server, and ruins it. Nothing in
        Nova can be compared and set, so everybody who wants to writes who they
        are, waits, and goes on only if nobody has written since; and whoever
        goes on looks again before each server.

        :param pause: waits for some seconds; True means that it was
            interrupted, and then nothing must be started.
        :returns: whether to go on.
        :raises CommandError: if somebody else has begun as well.
        """
        if not (self._evacuate and self._wanted):
            return True
        self._token = secrets.token_hex(4)
        self._write(noting.evacuating(self._token))
        if pause(_SETTLE):
            return False
        self._check()
        return True

    def _write(self, changes: dict[str, str | None]) -> None:
        if self._at.aggregate is None:
            raise AssertionError(f'{self.host} has no record to write to')
        aggregate = upkeep.write(
            self._clients.nova, self.host, self._at.aggregate, changes
        )
        self._at = compute.Host(self.host, self._at.service, aggregate)

    def is_ours(self, migration: servers.Migration) -> bool:
        """Whether this maintenance has asked for a migration."""
        if migration.kind == servers.RESIZE:
            return False
        if not self._knows(migration) and migration.id not in self._asked_for:
            # a colleague may have noted it since
            self._asked_for.add(migration.id)
            self._check()
        return self._knows(migration) and not migration.unclaimed

    def _knows(self, migration: servers.Migration) -> bool:
        move = self._at.journal.moves.get(migration.server)
        return move is not None and move.is_of(migration)

    def target(self, move: moves_.Move) -> str | None:
        """The host that a server has to go to, or None for any.

        :raises CommandError: if it must not go at all any more.
        """
        del move
        if self._token:
            self._check()
        return self._policy.target


def _forgotten(load: servers.Load) -> set[int]:
    """The migrations that seem to leave a host, and never will."""
    going = {migration.id for migration in load.out}
    return {
        migration.id
        for migration in load.leaving.values()
        if migration.in_progress and migration.id not in going
    }
