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
import typing

from osc_lib import exceptions

from osc_maintenance.drain import events
from osc_maintenance.drain import journey
from osc_maintenance.drain import limit
from osc_maintenance.drain import moves as moves_
from osc_maintenance.drain import options as options_
from osc_maintenance.drain import settle
from osc_maintenance.drain import verdict
from osc_maintenance import servers

if typing.TYPE_CHECKING:
    from osc_maintenance.nova import servers as servers_api

#: What a server that is found here is not.
_OVER = frozenset((moves_.Outcome.MOVED, moves_.Outcome.DELETED))


class Follower:
    """Follows the moves from one look at Nova to the next.

    :param nova: the servers of Nova.
    :param options: how the drain goes about it.
    :param clock: the present in seconds, never going back.
    :param is_ours: whether this maintenance has asked for a migration.
    :param settler: says what has become of a move.
    :ivar moves: how far the move of each server is, by its id.
    """

    def __init__(
        self,
        nova: 'servers_api.Servers',
        options: options_.Options,
        clock: collections.abc.Callable[[], float],
        is_ours: collections.abc.Callable[[servers.Migration], bool],
        settler: settle.Settler,
    ) -> None:
        self._servers = nova
        self._options = options
        self._clock = clock
        self._is_ours = is_ours
        self._settler = settler
        self._queued = 0
        self.moves: dict[str, moves_.Move] = {}

    @property
    def in_motion(self) -> tuple[moves_.Move, ...]:
        """The moves that take a slot."""
        return tuple(move for move in self.moves.values() if move.in_motion)

    @property
    def arrived(self) -> bool:
        """Whether there are servers that have moved, and were not seen yet."""
        return any(
            move.there
            and move.moving
            and not (move.contradictions or move.lingers)
            for move in self.moves.values()
        )

    def adopt(
        self, look: journey.Look
    ) -> collections.abc.Iterator[events.Event]:
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
                yield self._settler.end(
                    move,
                    moves_.Outcome.LEFT,
                    settle.to_confirm(migration),
                )

    def _goes_on(self, migration: servers.Migration) -> bool:
        """Whether there is something to wait for, or for us to confirm."""
        return migration.in_progress or (
            migration.unconfirmed and self._is_ours(migration)
        )

    def _new(self, server: servers.Server, look: journey.Look) -> moves_.Move:
        leave = verdict.Verdict(verdict.Action.LEAVE)
        move = moves_.Move(server, look.verdicts.get(server.id, leave))
        known = look.migrations.get(server.id)
        if known:
            move.after = known.id - 1 if known.in_progress else known.id
        self._judge(move)
        return move

    def _judge(self, move: moves_.Move) -> None:
        """What a verdict means for a server that is not in motion."""
        why = move.verdict.cause
        if move.verdict.stops:
            later = f'to be stopped when all others have gone: {why}'
            move.end(moves_.Outcome.LEFT, later)
        elif move.verdict.action is verdict.Action.LEAVE:
            move.end(moves_.Outcome.LEFT, why)
        elif move.verdict.moves:
            move.end(moves_.Outcome.WAITING)
        else:
            move.end(moves_.Outcome.BLOCKED, why)

    def _found_moving(
        self, move: moves_.Move, migration: servers.Migration, now: float
    ) -> None:
        move.begin(now, unsure=False)
        move.after, move.attempts = migration.id - 1, 0
        move.ours = self._is_ours(migration)
        move.migration = migration

    def follow(
        self, look: journey.Look
    ) -> collections.abc.Iterator[events.Event]:
        """Take in what has happened since the last look.

        :param look: the latest look.
        :returns: what has happened.
        """
        for server in look.here.values() if look.fresh else ():
            move = self.moves.get(server.id)
            if move is None or move.outcome in _OVER:
                # it was not here, or has come back
                move = self.moves[server.id] = self._new(server, look)
                self._settler.changed = self._clock()
                yield events.Appeared(move)
            move.server = server
        for move in list(self.moves.values()):
            migration = look.migrations.get(move.server.id)
            if move.moving:
                yield from self._follow_moving(move, migration, look)
            else:
                yield from self._follow_idle(move, migration, look)
        queued = sum(move.queued for move in self.in_motion)
        if queued > self._queued:
            yield events.Queued(queued)
        self._queued = max(queued, self._queued)
        if self._options.figures:
            self._ask_for_figures()

    def _follow_idle(
        self,
        move: moves_.Move,
        migration: servers.Migration | None,
        look: journey.Look,
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
            if self._was_here(move):
                yield from self._settler.vanished(move, migration)
            return
        if migration and not self._goes_on(migration):
            # it is here, whatever has become of it meanwhile
            move.after = migration.id
            if migration.failed:
                # whoever has tried pauses now
                pause = self._clock() + settle.RETRY
                move.not_before = max(move.not_before, pause)
        if move.outcome is moves_.Outcome.FAILED:
            return
        before = move.outcome
        move.verdict = look.verdicts[move.server.id]
        self._judge(move)
        if move.outcome is not before:
            self._settler.changed = self._clock()

    def _was_here(self, move: moves_.Move) -> bool:
        """Whether a server was still where it was to leave."""
        if move.outcome is not moves_.Outcome.FAILED:
            return move.open or move.outcome is moves_.Outcome.BLOCKED
        # its move may have failed elsewhere, or when it was to be confirmed
        known = move.migration
        return known is None or (
            known.source == move.server.host and not known.unconfirmed
        )

    def _follow_moving(
        self,
        move: moves_.Move,
        migration: servers.Migration | None,
        look: journey.Look,
    ) -> collections.abc.Iterator[events.Event]:
        """A server that is in motion, or was at the last look."""
        here = move.server.id in look.here or not look.fresh
        if migration is None or migration.id <= move.after:
            if look.fresh:
                yield from self._settler.unrecorded(move, look, here=here)
            return
        now = self._clock()
        if move.migration is None or move.migration.id != migration.id:
            # somebody else may have been quicker, or have come since
            asked_for = self._has_asked_for(move, migration)
            move.ours = asked_for or self._is_ours(migration)
        if move.migration is None or move.migration.status != migration.status:
            self._settler.changed = now
            if move.running is None or not move.overdue:
                # it goes on, though nobody knew whether it would
                move.overdue, move.given_up, move.cause = None, False, None
        move.migration, move.unsure, move.idle = migration, False, None
        if migration.succeeded:
            yield from self._settler.arrived(move, look, here=here)
        elif migration.failed:
            yield from self._settler.failed(move)
        elif migration.unconfirmed:
            yield from self._settler.confirm(move)
        else:
            move.seen = now
            if migration.queued:
                move.begun = now
            elif not migration.untaken and move.running is None:
                move.running = now
            if limit.enforce(self._servers, self._options, move, now):
                self._settler.changed = now
                yield events.Overdue(move)
        if not here and move.moving:
            yield from self._settler.missing(move)

    def _has_asked_for(
        self, move: moves_.Move, migration: servers.Migration
    ) -> bool:
        """Whether it is by the request that Nova has just taken from us.

        Nobody else could have the server moved then. It is all that is known
        of a migration of which nobody tells who has asked for it.
        """
        if not (
            migration.unclaimed
            and move.migration is None
            and move.request is not None
            and migration.kind == verdict.KINDS.get(move.verdict.action)
        ):
            return False
        later = [
            item.id
            for item in self._servers.migrations(server=move.server.id)
            if item.id > move.after
        ]
        # ours may have failed at once, and somebody else's have begun
        return migration.id == min(later, default=None)

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
