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

"""What a look at Nova says of each move: how far it is, and what to do."""

import collections.abc
import dataclasses
import typing

from osc_lib import exceptions

from osc_maintenance.drain import events
from osc_maintenance.drain import limit
from osc_maintenance.drain import moves as moves_
from osc_maintenance.drain import options as options_
from osc_maintenance.drain import verdict
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance import text

if typing.TYPE_CHECKING:
    from osc_maintenance.nova import servers as servers_api

_RETRY = 10.0
_LONGEST_PAUSE = 60.0
#: How many looks Nova may take to write down why a move has failed.
_PATIENT = 2
#: How often somebody else may be busy with a server.
MOST_CONFLICTS = 5
_OVER = frozenset((moves_.Outcome.MOVED, moves_.Outcome.DELETED))
#: How long Nova may take to record a move that it has accepted.
_UNRECORDED = 60.0
#: How much longer it is waited for if a task is under way all the time.
_PATIENCE = 600.0
#: How soon that is looked into if it is not known to have accepted it.
_UNSURE = 5.0


@dataclasses.dataclass(frozen=True)
class Look:
    """What a look at Nova shows.

    :ivar here: the servers that are where they were to leave, by id.
    :ivar migrations: the latest migration of each server that is to move or
        has moved, by server id.
    :ivar verdicts: what is to be done with each server, by id.
    :ivar groups: server groups, by server id.
    :ivar fresh: the servers were looked at, and not just their migrations.
    :ivar arriving: ids of servers that are on their way here.
    """

    here: collections.abc.Mapping[str, servers.Server]
    migrations: collections.abc.Mapping[str, servers.Migration]
    verdicts: collections.abc.Mapping[str, verdict.Verdict]
    groups: collections.abc.Mapping[str, verdict.Group]
    fresh: bool = True
    arriving: frozenset[str] = frozenset()


class Follower:
    """Follows the moves from one look at Nova to the next.

    :param nova: the servers of Nova.
    :param options: how the drain goes about it.
    :param clock: the present in seconds, never going back.
    :param is_ours: whether this maintenance has asked for a migration.
    :ivar moves: how far the move of each server is, by its id.
    :ivar took: how long moves have taken, in seconds, in their order.
    :ivar changed: when something has changed, by the clock.
    """

    def __init__(
        self,
        nova: 'servers_api.Servers',
        options: options_.Options,
        clock: collections.abc.Callable[[], float],
        is_ours: collections.abc.Callable[[servers.Migration], bool],
    ) -> None:
        self._servers = nova
        self._options = options
        self._clock = clock
        self._is_ours = is_ours
        self._queued = 0
        self.moves: dict[str, moves_.Move] = {}
        self.took: list[float] = []
        self.changed = clock()

    @property
    def in_motion(self) -> tuple[moves_.Move, ...]:
        """The moves that take a slot."""
        return tuple(move for move in self.moves.values() if move.in_motion)

    def adopt(self, look: Look) -> collections.abc.Iterator[events.Event]:
        """Take in what Nova shows at the beginning.

        :param look: the first look.
        :returns: what is found to move already.
        """
        now = self._clock()
        for server in look.here.values():
            self.moves[server.id] = self._new(server, look)
        for migration in look.migrations.values():
            if self._goes_on(migration):
                move = self.moves.get(migration.server)
                if move is None:
                    gone = self._servers.server(migration.server)
                    if gone is None:
                        continue
                    move = self.moves[gone.id] = self._new(gone, look)
                self._found_moving(move, migration, now)
                yield events.Adopted(move)
            elif migration.unconfirmed and migration.server not in self.moves:
                gone = self._servers.server(migration.server)
                if gone is None:
                    continue
                move = self.moves[gone.id] = self._new(gone, look)
                yield self.end(
                    move,
                    moves_.Outcome.LEFT,
                    f'its {migration.kind} away from here is not confirmed, '
                    'and keeps its disk here: its owner has to confirm it',
                )

    def _goes_on(self, migration: servers.Migration) -> bool:
        """Whether there is something to wait for, or for us to confirm."""
        return migration.in_progress or (
            migration.unconfirmed and self._is_ours(migration)
        )

    def _new(self, server: servers.Server, look: Look) -> moves_.Move:
        leave = verdict.Verdict(verdict.Action.LEAVE)
        move = moves_.Move(server, look.verdicts.get(server.id, leave))
        known = look.migrations.get(server.id)
        if known:
            move.after = known.id - 1 if known.in_progress else known.id
        self._judge(move)
        return move

    def _judge(self, move: moves_.Move) -> None:
        """What a verdict means for a server that is not in motion."""
        if move.verdict.action is verdict.Action.LEAVE:
            move.end(moves_.Outcome.LEFT, move.verdict.cause)
        elif move.verdict.moves:
            move.end(moves_.Outcome.WAITING)
        else:
            move.end(moves_.Outcome.BLOCKED, move.verdict.cause)

    def _found_moving(
        self, move: moves_.Move, migration: servers.Migration, now: float
    ) -> None:
        move.begin(now, unsure=False)
        move.after, move.attempts = migration.id - 1, 0
        move.ours = self._is_ours(migration)
        move.migration = migration

    def follow(self, look: Look) -> collections.abc.Iterator[events.Event]:
        """Take in what has happened since the last look.

        :param look: the latest look.
        :returns: what has happened.
        """
        for server in look.here.values() if look.fresh else ():
            move = self.moves.get(server.id)
            if move is None or move.outcome in _OVER:
                # it was not here, or has come back
                move = self.moves[server.id] = self._new(server, look)
                self.changed = self._clock()
                yield events.Appeared(move)
            move.server = server
        for move in list(self.moves.values()):
            migration = look.migrations.get(move.server.id)
            if move.moving:
                yield from self._follow_moving(move, migration, look)
            else:
                yield from self._follow_idle(move, migration, look)
        queued = sum(
            bool(move.migration and move.migration.queued)
            for move in self.in_motion
        )
        if queued > self._queued:
            yield events.Queued(queued)
        self._queued = max(queued, self._queued)
        if self._options.figures:
            self._ask_for_figures()

    def _follow_idle(
        self,
        move: moves_.Move,
        migration: servers.Migration | None,
        look: Look,
    ) -> collections.abc.Iterator[events.Event]:
        """A server that we have not started, or no longer wait for."""
        if migration and migration.id <= move.after:
            migration = None
        if (
            migration
            and move.outcome not in _OVER
            and self._goes_on(migration)
        ):
            self._found_moving(move, migration, self._clock())
            yield events.Adopted(move)
            return
        if not look.fresh:
            return
        if move.server.id not in look.here:
            if move.open or move.outcome is moves_.Outcome.BLOCKED:
                yield from self._vanished(move, migration)
            return
        if move.outcome is moves_.Outcome.FAILED:
            return
        before = move.outcome
        move.verdict = look.verdicts[move.server.id]
        self._judge(move)
        if move.outcome is not before:
            self.changed = self._clock()

    def _follow_moving(
        self,
        move: moves_.Move,
        migration: servers.Migration | None,
        look: Look,
    ) -> collections.abc.Iterator[events.Event]:
        """A server that is in motion, or was at the last look."""
        here = move.server.id in look.here or not look.fresh
        if migration is None or migration.id <= move.after:
            if look.fresh:
                yield from self._unrecorded(move, look, here=here)
            return
        now = self._clock()
        if move.migration is None or move.migration.status != migration.status:
            self.changed = now
        move.migration, move.unsure = migration, False
        if migration.succeeded:
            yield from self._arrived(move, look, here=here)
        elif migration.failed:
            yield from self._failed(move)
        elif migration.unconfirmed:
            yield from self._confirm(move)
        else:
            if not migration.waiting and move.running is None:
                move.running = now
            if limit.enforce(self._servers, self._options, move, now):
                yield events.Overdue(move)
        if not here and move.moving:
            yield from self._missing(move)

    def _unrecorded(
        self, move: moves_.Move, look: Look, *, here: bool
    ) -> collections.abc.Iterator[events.Event]:
        """Nova has no record yet of a move that was asked for."""
        if not here:
            yield from self._vanished(move, None)
            return
        age = self._clock() - (move.started or 0.0)
        idle = look.here[move.server.id].task_state is None
        # a second evacuation would ruin the server
        evacuated = move.verdict.action is verdict.Action.EVACUATE
        unsure = _UNRECORDED if evacuated else _UNSURE
        if idle and move.unsure and age >= unsure:
            # it never reached Nova
            yield from self._again(move, move.cause or 'Nova does not answer')
        elif idle and age >= _UNRECORDED:
            yield from self._again(
                move, 'Nova accepted the request and has not begun'
            )
        elif age >= _UNRECORDED + (self._options.server_timeout or _PATIENCE):
            move.given_up = True
            move.cause = 'Nova accepted the request and has not begun'

    def _missing(
        self, move: moves_.Move
    ) -> collections.abc.Iterator[events.Event]:
        """A server in motion is no longer here: there already, or deleted.

        Nova forgets the migrations of a server that is deleted.
        """
        now = self._clock()
        if now - move.looked_for < _RETRY:
            return
        move.looked_for = now
        if self._servers.server(move.server.id) is None:
            yield self.end(move, moves_.Outcome.DELETED)

    def _arrived(
        self, move: moves_.Move, look: Look, *, here: bool
    ) -> collections.abc.Iterator[events.Event]:
        """Nova's record says that a server has moved: is it elsewhere?"""
        if not move.there and move.migration:
            move.there = True
            self.took.append(float(move.migration.seconds or 0))
        if not look.fresh:
            return
        if not here:
            yield self.end(move, moves_.Outcome.MOVED)
            return
        move.contradictions += 1
        if move.contradictions > 1:
            yield from self._again(
                move, 'Nova says that it has moved, but it is still here'
            )

    def _failed(
        self, move: moves_.Move
    ) -> collections.abc.Iterator[events.Event]:
        """Nova's record says that a move has failed."""
        server = self._servers.server(move.server.id)
        if server is None:
            yield self.end(move, moves_.Outcome.DELETED)
            return
        cause = self._why(move, server)
        if cause is None and move.asked_why < _PATIENT:
            # Nova writes down why a little later
            move.asked_why += 1
            return
        stayed = server.host == move.server.host
        move.server = server
        if cause is None:
            status = move.migration.status if move.migration else 'lost'
            cause = f'its migration is {status}, and Nova does not tell why'
        if move.overdue and move.migration:
            cause = f'{move.overdue} ({move.migration.status})'
            yield self.end(move, moves_.Outcome.FAILED, cause)
        elif server.status == 'ERROR' or not stayed:
            cause = f'{cause}; it is {server.status} on {server.host}'
            yield self.end(move, moves_.Outcome.FAILED, cause)
        else:
            yield from self._again(move, cause)

    def _why(self, move: moves_.Move, server: servers.Server) -> str | None:
        """Why a move failed, in Nova's words."""
        try:
            told = self._servers.why(move.server.id, move.kind, move.request)
        except api.TransientError:
            raise
        except exceptions.CommandError as exc:
            # not ours to read, perhaps
            told = str(exc)
        if told or server.fault:
            return text.escape(told or server.fault or '')
        return None

    def _vanished(
        self, move: moves_.Move, migration: servers.Migration | None
    ) -> collections.abc.Iterator[events.Event]:
        """A server is no longer here, and not by a move that we know of."""
        if migration and migration.succeeded:
            move.migration = migration
            yield self.end(move, moves_.Outcome.MOVED)
            return
        server = self._servers.server(move.server.id)
        age = self._clock() - (move.started or 0.0)
        if server is None:
            yield self.end(move, moves_.Outcome.DELETED)
        elif move.moving and age < _UNRECORDED:
            # its record is about to appear
            return
        else:
            move.server = server
            where = f'on {server.host}' if server.host else 'on no host'
            what = (
                'Nova has no record that its move is complete'
                if move.moving
                else 'not moved by this drain'
            )
            cause = f'{what}, but it is now {where}'
            yield self.end(move, moves_.Outcome.LEFT, cause)

    def _confirm(
        self, move: moves_.Move
    ) -> collections.abc.Iterator[events.Event]:
        """A cold migration waits to be confirmed: ours is."""
        if not move.ours:
            yield self.end(
                move,
                moves_.Outcome.LEFT,
                'somebody else has moved it, and has to confirm that',
            )
            return
        if self._clock() < move.not_before:
            return
        move.not_before = self._clock() + _RETRY
        try:
            self._servers.confirm(move.server)
        except exceptions.CommandError as exc:
            # a 400 may just say that somebody else was quicker
            move.conflicts += 1
            if move.conflicts <= MOST_CONFLICTS:
                # a server may still be busy for a moment
                pause = 2.0 ** (move.conflicts + 1)
                move.not_before = self._clock() + pause
                yield events.Retrying(move, f'confirming: {exc}', pause)
                return
            if move.migration:
                # it is not to be adopted as if it were another one
                move.after = move.migration.id
            cause = f'it has moved, but cannot be confirmed: {exc}'
            yield self.end(move, moves_.Outcome.FAILED, cause)
        else:
            self.changed = self._clock()
            yield events.Confirming(move)

    def _ask_for_figures(self) -> None:
        """The figures of one migration at each look, in turn."""
        live = [
            move
            for move in self.in_motion
            if move.kind == servers.LIVE_MIGRATION and move.running is not None
        ]
        if not live:
            return
        move = min(live, key=lambda item: item.asked)
        move.asked = self._clock()
        try:
            move.figures = self._servers.figures(move.server.id)
        except exceptions.CommandError:
            # they are for show only
            return

    def end(
        self,
        move: moves_.Move,
        outcome: moves_.Outcome,
        cause: str | None = None,
    ) -> events.Event:
        """Note what has become of a server.

        :param move: its move.
        :param outcome: what.
        :param cause: why, unless all is well.
        :returns: the event.
        """
        self.changed = self._clock()
        move.end(outcome, cause)
        return events.Ended(move)

    def _again(
        self, move: moves_.Move, cause: str
    ) -> collections.abc.Iterator[events.Event]:
        """Try a move that failed again, later, or give it up."""
        if move.verdict.action is verdict.Action.LEAVE:
            # somebody else wanted it to go
            yield self.end(move, moves_.Outcome.LEFT, move.verdict.cause)
            return
        if move.attempts > self._options.retries:
            yield self.end(move, moves_.Outcome.FAILED, cause)
            return
        self.changed = self._clock()
        pause = min(_RETRY * 2 ** (move.attempts - 1), _LONGEST_PAUSE)
        move.wait(self._clock() + pause)
        yield events.Retrying(move, cause, pause)
