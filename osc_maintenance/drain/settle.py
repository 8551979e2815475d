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

"""What is made of a move that has ended, failed, or can't be found."""

import collections.abc
import typing

from osc_lib import exceptions

from osc_maintenance.drain import events
from osc_maintenance.drain import failures
from osc_maintenance.drain import forecast
from osc_maintenance.drain import journey
from osc_maintenance.drain import limit
from osc_maintenance.drain import moves as moves_
from osc_maintenance.drain import options as options_
from osc_maintenance.drain import verdict
from osc_maintenance import gaps
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance import text

if typing.TYPE_CHECKING:
    from osc_maintenance.nova import servers as servers_api

#: How long to pause before a move that failed is tried again, in seconds.
RETRY = 10.0
_LONGEST_PAUSE = 60.0
#: How often the pause is doubled at most.
_DOUBLED = 8
#: How many looks Nova may take to write down why a move has failed.
_PATIENT = 2
#: How often somebody else may be busy with a server.
MOST_CONFLICTS = 5
#: How long Nova may not take requests to move a server, but answer others.
_DEAF = 600.0
#: How soon that is looked into if it is not known to have accepted it.
_UNSURE = 5.0


class Settler:
    """Says what has become of moves, and what is tried next.

    :param nova: the servers of Nova.
    :param options: how the drain goes about it.
    :param clock: the present in seconds, never going back.
    :ivar took: how long moves have taken, in their order.
    :ivar changed: when something has changed, by the clock.
    """

    def __init__(
        self,
        nova: 'servers_api.Servers',
        options: options_.Options,
        clock: collections.abc.Callable[[], float],
    ) -> None:
        self._servers = nova
        self._options = options
        self._clock = clock
        self.took: list[forecast.Took] = []
        self.changed = clock()

    def unrecorded(
        self, move: moves_.Move, look: journey.Look, *, here: bool
    ) -> collections.abc.Iterator[events.Event]:
        """Nova has no record yet of a move that was asked for.

        :param move: its move.
        :param look: the latest look.
        :param here: the server is where it was to leave, as far as is known.
        :returns: what has happened.
        """
        if not here:
            yield from self.vanished(move, None)
            return
        age = self._clock() - (move.started or 0.0)
        idle = look.here[move.server.id].task_state is None
        if not idle:
            move.idle = None
        elif move.idle is None:
            move.idle = self._clock()
        # a second evacuation would ruin the server
        evacuated = move.verdict.action is verdict.Action.EVACUATE
        unsure = limit.UNRECORDED if evacuated else _UNSURE
        if idle and move.unsure and age >= unsure:
            yield from self._ask_again(move)
        elif idle and move.migration and self._long_since(move.seen, _UNSURE):
            yield from self._lost(
                move,
                'Nova has forgotten its migration: nova-compute was restarted',
            )
        elif idle and age >= limit.UNRECORDED:
            yield from self._lost(
                move, 'Nova accepted the request and has not begun'
            )
        elif age >= limit.UNRECORDED + (
            self._options.server_timeout or limit.PATIENCE
        ):
            move.given_up = True
            move.cause = 'Nova accepted the request and has not begun'

    def _lost(
        self, move: moves_.Move, cause: str
    ) -> collections.abc.Iterator[events.Event]:
        """Try one again, unless its record has ended just now."""
        if not self._long_since(move.idle, _UNSURE):
            # what is aborted is idle a moment before its record says so
            return
        ended = self._record_of(move) if move.migration else None
        if ended and ended.failed:
            # between the look at the records and that at the servers
            move.migration = ended
            yield from self.failed(move)
        else:
            yield from self.again(move, cause)

    def _long_since(self, moment: float | None, seconds: float) -> bool:
        return moment is not None and self._clock() - moment >= seconds

    def _ask_again(
        self, move: moves_.Move
    ) -> collections.abc.Iterator[events.Event]:
        """A request that never reached Nova was no try."""
        cause, now = move.cause or 'Nova does not answer', self._clock()
        if move.unheard is None:
            move.unheard = move.started or now
        unheard = now - move.unheard
        if unheard >= _DEAF:
            yield self.end(move, moves_.Outcome.FAILED, cause)
            return
        move.attempts -= 1
        pause = min(max(RETRY, unheard / 4), _LONGEST_PAUSE)
        move.wait(now + pause)
        yield events.Retrying(move, cause, pause)

    def missing(
        self, move: moves_.Move
    ) -> collections.abc.Iterator[events.Event]:
        """A server in motion is no longer here: there already, or deleted.

        Nova forgets the migrations of a server that is deleted.

        :param move: its move.
        :returns: what has happened.
        """
        now = self._clock()
        if move.looked_for is None:
            # as a rule its record is just about to say where it is
            move.looked_for = now - RETRY + _UNSURE
        if now - move.looked_for < RETRY:
            return
        move.looked_for = now
        server = self._servers.server(move.server.id)
        if server is None:
            yield self.end(move, moves_.Outcome.DELETED)
        elif server.host != move.server.host and server.task_state is None:
            record = self._record_of(move)
            if record and record.succeeded:
                move.migration = record
                yield self.end(move, moves_.Outcome.MOVED)

    def vanished(
        self, move: moves_.Move, migration: servers.Migration | None
    ) -> collections.abc.Iterator[events.Event]:
        """A server is no longer here, and not by a move that we know of.

        :param move: its move.
        :param migration: Nova's record of its last move away, if there is one.
        :returns: what has happened.
        """
        if migration is None:
            migration = self._record_of(move)
        if migration and migration.succeeded:
            move.migration = migration
            yield self.end(move, moves_.Outcome.MOVED)
            return
        if migration and move.moving and move.ours and migration.unconfirmed:
            move.migration = migration
            yield from self.confirm(move)
            return
        server = self._servers.server(move.server.id)
        age = self._clock() - (move.started or 0.0)
        if server is None or server.deleted:
            yield self.end(move, moves_.Outcome.DELETED)
        elif move.moving and age < limit.UNRECORDED:
            # its record is about to appear
            return
        elif server.host == _origin(move):
            if not move.moving:
                raise gaps.left_out(server)
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
            if migration and migration.unconfirmed:
                cause = f'{cause}; {to_confirm(migration)}'
            yield self.end(move, moves_.Outcome.LEFT, cause)

    def _record_of(self, move: moves_.Move) -> servers.Migration | None:
        """A record that was missed: the clocks of hosts may be far apart."""
        found = [
            migration
            for migration in self._servers.migrations(server=move.server.id)
            if migration.id > move.after and migration.source == _origin(move)
        ]
        return max(found, key=lambda item: item.id, default=None)

    def arrived(
        self, move: moves_.Move, look: journey.Look, *, here: bool
    ) -> collections.abc.Iterator[events.Event]:
        """Nova's record says that a server has moved: is it elsewhere?

        :param move: its move.
        :param look: the latest look.
        :param here: the server is where it was to leave, as far as is known.
        :returns: what has happened.
        """
        if not move.there and move.migration:
            move.there = True
            self._note_how_long(move, move.migration)
        if not look.fresh:
            return
        if not here:
            yield self.end(move, moves_.Outcome.MOVED)
            return
        if look.here[move.server.id].task_state:
            # the other host may still be at it: Nova completes the record of
            # an evacuation as soon as this one is up again
            move.lingers = True
            patience = self._options.server_timeout or limit.PATIENCE
            if self._clock() - self.changed >= patience:
                move.given_up = True
                move.cause = (
                    'Nova says that it has moved, but it is still here, and '
                    'something is still being done to it'
                )
            return
        move.contradictions += 1
        if move.contradictions > 1:
            yield from self.again(
                move, 'Nova says that it has moved, but it is still here'
            )

    def _note_how_long(
        self, move: moves_.Move, migration: servers.Migration
    ) -> None:
        if move.attempts and move.begun is not None:
            least = (move.seen or move.begun) - move.begun
            most = self._clock() - move.begun
        else:
            # it was under way when we came
            least = most = float(migration.seconds or 0)
        self.took.append(
            forecast.Took(
                move.verdict.action, forecast.size(move), least, most
            )
        )

    def failed(
        self, move: moves_.Move
    ) -> collections.abc.Iterator[events.Event]:
        """Nova's record says that a move has failed.

        :param move: its move.
        :returns: what has happened.
        """
        try:
            server = self._servers.server(move.server.id)
            undone = self._undone(move)
        except api.TransientError as exc:
            # the others do not wait for it
            move.asked_why += 1
            if move.asked_why >= 3 * _PATIENT:
                yield self.end(move, moves_.Outcome.FAILED, str(exc))
            return
        if server is None:
            yield self.end(move, moves_.Outcome.DELETED)
            return
        if (
            undone
            and server.moves
            and not self._long_since(self.changed, limit.UNRECORDED)
        ):
            # it is on its way back
            return
        if undone and server.host == _origin(move):
            move.server = server
            yield self.end(move, moves_.Outcome.FAILED, undone)
            return
        why = self._why(move, server)
        if why is None and move.asked_why < _PATIENT:
            # Nova writes down why a little later
            move.asked_why += 1
            return
        stayed = server.host == move.server.host
        move.server = server
        status = move.migration.status if move.migration else 'lost'
        cause = why or f'its migration is {status}, and Nova does not tell why'
        if move.overdue:
            cause = f'{move.overdue} ({status})'
            # one that was aborted has ended as it should
            if why and status != failures.ABORTED:
                cause = f'{cause}: {why}'
        broken = server.status == 'ERROR' or not stayed
        if broken:
            cause = f'{cause}; it is {server.status} on {server.host}'
        if move.overdue or broken:
            yield self.end(move, moves_.Outcome.FAILED, cause)
        else:
            yield from self.again(move, cause)

    def _undone(self, move: moves_.Move) -> str | None:
        """That somebody has aborted or reverted a move, whose word that is.

        An abort of ours whose answer was lost is found as well.
        """
        known = move.migration
        if move.overdue or known is None:
            return None
        return failures.undone(self._servers, known)

    def _why(self, move: moves_.Move, server: servers.Server) -> str | None:
        """Why a move failed, in Nova's words."""
        try:
            told = self._servers.why(move.server.id, move.kind, move.request)
        except api.TransientError:
            # it is asked again, and the other servers do not wait for it
            told = None
        except exceptions.CommandError as exc:
            # not ours to read, perhaps
            told = str(exc)
        if told or server.fault:
            return text.escape(told or server.fault or '')
        return None

    def confirm(
        self, move: moves_.Move
    ) -> collections.abc.Iterator[events.Event]:
        """A cold migration waits to be confirmed: ours is.

        :param move: its move.
        :returns: what has happened.
        """
        if not move.ours:
            yield self.end(
                move,
                moves_.Outcome.LEFT,
                f'{move.mover} has moved it, and has to confirm that',
            )
            return
        if self._clock() < move.not_before:
            return
        move.not_before = self._clock() + RETRY
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

    def again(
        self, move: moves_.Move, cause: str
    ) -> collections.abc.Iterator[events.Event]:
        """Try a move that failed again, later, or give it up.

        :param move: its move.
        :param cause: why it failed.
        :returns: what has happened.
        """
        if move.verdict.action is verdict.Action.LEAVE:
            # somebody else wanted it to go
            yield self.end(move, moves_.Outcome.LEFT, move.verdict.cause)
            return
        if move.attempts > self._options.retries:
            yield self.end(move, moves_.Outcome.FAILED, cause)
            return
        self.changed = self._clock()
        # one that was found in motion has not been tried by us
        tries = max(move.attempts, 1)
        pause = min(RETRY * 2 ** min(tries - 1, _DOUBLED), _LONGEST_PAUSE)
        move.wait(self._clock() + pause)
        yield events.Retrying(move, cause, pause)

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


def to_confirm(migration: servers.Migration) -> str:
    """What is to be done about a migration that is not ours to confirm.

    :param migration: the migration.
    :returns: words for people to read.
    """
    return (
        f'its {migration.kind} away from here is not confirmed, and keeps its '
        'disk here: its owner has to confirm it'
    )


def _origin(move: moves_.Move) -> str | None:
    """The host that a server leaves; it may be elsewhere when it is seen."""
    known = move.migration
    return known.source if known and known.source else move.server.host
