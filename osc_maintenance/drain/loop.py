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

"""The loop of a drain: look, start, wait, until nothing is left to do.

Nothing is remembered between two runs: what moves is read from Nova, and
which moves are ours from the notes beside the record. The clock and the
waiting are passed in.
"""

import collections.abc
import enum
import typing

from osc_lib import exceptions

from osc_maintenance.drain import events
from osc_maintenance.drain import follow
from osc_maintenance.drain import journey as journey_
from osc_maintenance.drain import moves as moves_
from osc_maintenance.drain import options as options_
from osc_maintenance.drain import pace
from osc_maintenance.drain import settle
from osc_maintenance.drain import verdict
from osc_maintenance.nova import api

if typing.TYPE_CHECKING:
    from osc_maintenance.nova import servers as servers_api


class Ending(enum.Enum):
    """How a drain ended."""

    #: there is nothing left to try
    COMPLETE = 'complete'
    #: it did not wait
    HANDED_OVER = 'handed over'
    TIMED_OUT = 'timed out'
    INTERRUPTED = 'interrupted'


#: How long to wait for what ends by itself once nothing else is left, unless
#: the timeout of a server says otherwise.
_PATIENCE = 600.0
#: How soon to look at the servers again if nothing else is to be done, and at
#: the latest: an owner may lock one, so nothing is started on an older look.
_SERVERS_SOON = 5.0
_SERVERS_LATE = 10.0
#: At most one part in so many of the time goes into looking at the servers.
_SERVERS_SHARE = 5
_LONGEST_PAUSE = 30.0
#: How long moves may be started after a look, in seconds.
_LOOK_HOLDS = 1.0
#: How long Nova may be silent.
_SILENCE = 900.0


def _moves(move: moves_.Move) -> bool:
    """Whether a server takes a slot, even if Nova has no record of it yet."""
    blocked = move.outcome is moves_.Outcome.BLOCKED
    return move.in_motion or (blocked and move.server.moves)


class Loop:
    """A drain.

    :param nova: the servers of Nova.
    :param journey: which servers are moved, and where.
    :param options: how.
    :param clock: the present in seconds, never going back.
    :param pause: waits for some seconds; True means that it was interrupted.
    :ivar ending: how it ended, once it has.
    """

    def __init__(
        self,
        nova: 'servers_api.Servers',
        journey: journey_.Journey,
        options: options_.Options,
        clock: collections.abc.Callable[[], float],
        pause: collections.abc.Callable[[float], bool],
    ) -> None:
        self._servers = nova
        self._journey = journey
        self._options = options
        self._clock = clock
        self._pause = pause
        self._began = clock()
        self._looked: float | None = None
        self._cost = 0.0
        self._pausing = False
        self._more = False
        self._waiting: tuple[str, ...] = ()
        self._settler = settle.Settler(nova, options, clock)
        self._follower = follow.Follower(
            nova, options, clock, journey.is_ours, self._settler
        )
        self.ending = Ending.COMPLETE

    @property
    def moves(self) -> list[moves_.Move]:
        """What has become of each server."""
        return list(self._follower.moves.values())

    def run(self) -> collections.abc.Iterator[events.Event]:
        """Move the servers.

        :returns: what happens, as it happens. Afterwards ``moves`` and
            ``ending`` say how it ended.
        :raises CommandError: if Nova refuses to be asked, or does not answer
            for long; what is in motion goes on.
        """
        planned, silent_since, pause = False, None, 1.0
        while True:
            try:
                look = self._look()
                if not planned:
                    adopted = list(self._follower.adopt(look))
                    yield self._planned()
                    yield from adopted
                    planned = True
                yield from self._follower.follow(look)
                started = yield from self._start(look)
            except api.TransientError as exc:
                # nothing is lost: the next look finds what is left to do
                now = self._clock()
                silent_since = now if silent_since is None else silent_since
                if not self._options.wait or now - silent_since >= _SILENCE:
                    raise
                yield events.Trouble(str(exc), pause)
                self._looked = None
                interval = pause
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                silent_since, pause = None, 1.0
                yield events.Looked(tuple(self.moves), self._time_left())
                if self._finished(look, started):
                    yield events.Finished(tuple(self.moves))
                    return
                if not (self._options.wait or self._more):
                    self.ending = Ending.HANDED_OVER
                    return
                yield from self._say_what_is_waited_for(look)
                interval = self._interval()
            if self._out_of_time():
                yield self._stopped(Ending.TIMED_OUT, '--timeout is over')
                return
            if self._pause(interval):
                yield self._stopped(Ending.INTERRUPTED, 'interrupted')
                return

    def _stopped(self, ending: Ending, cause: str) -> events.Event:
        """Leave the rest as it is."""
        self.ending = ending
        for move in self.moves:
            if move.open:
                what = 'goes on in Nova' if move.moving else 'not started'
                move.cause = move.cause or f'{cause}: {what}'
        return events.Interrupted(self._follower.in_motion, cause)

    # -- looking -----------------------------------------------------------

    def _look(self) -> journey_.Look:
        fresh = self._wants_servers()
        moving = {move.server.id for move in self._follower.in_motion}
        before = self._clock()
        look = self._journey.look(fresh=fresh, moving=moving)
        if fresh:
            self._looked = self._clock()
            self._cost = self._looked - before
        self._pausing = False
        return look

    def _planned(self) -> events.Event:
        return events.Planned(
            self._journey.host,
            tuple(self.moves),
            self._options.max_parallel,
            self._journey.command,
        )

    def _wants_servers(self) -> bool:
        """Whether it is time to look at the servers, which costs Nova more.

        That a move has ended is seen by its migration, and the next one may
        start. Where the server is then is looked at when no end is expected
        for a while, for all that have moved meanwhile.
        """
        idle = not self._follower.in_motion
        return self._pausing or idle or self._too_old(_SERVERS_LATE)

    def _too_old(self, seconds: float) -> bool:
        """Whether the servers were looked at longer ago than that."""
        if self._looked is None:
            return True
        age = self._clock() - self._looked
        return age >= max(seconds, self._cost * _SERVERS_SHARE)

    def _out_of_time(self) -> bool:
        timeout = self._options.timeout
        return timeout is not None and self._clock() - self._began >= timeout

    def _interval(self) -> float:
        if self._more:
            return 0.0
        now = self._clock()
        moving = [
            move for move in self._follower.in_motion if not move.given_up
        ]
        idle = now - self._settler.changed
        interval = pace.next_look(moving, self._settler.took, now, idle)
        if (
            any(move.there and move.open for move in self.moves)
            and interval >= 2 * self._cost
            and self._too_old(_SERVERS_SOON)
        ):
            self._pausing = True
            return 0.0
        if self._options.timeout is not None:
            rest = self._began + self._options.timeout - now
            interval = min(interval, max(rest, 0.0))
        return interval

    def _time_left(self) -> float | None:
        return pace.time_left(
            [move for move in self.moves if move.open],
            self._settler.took,
            self._options.max_parallel,
            self._clock(),
        )

    # -- starting ----------------------------------------------------------

    def _start(
        self, look: journey_.Look
    ) -> collections.abc.Generator[events.Event, None, bool]:
        """Start what may start; whether there was anything to start."""
        now = self._clock()
        self._more = False
        waiting = [
            move
            for move in self.moves
            if move.outcome is moves_.Outcome.WAITING
            and move.verdict.moves
            and move.server.id in look.here
            and not self._moved_by_another(move, look)
        ]
        chosen = pace.next_moves(
            [move for move in waiting if move.not_before <= now],
            {move.server.id for move in self.moves if _moves(move)},
            look.groups,
            self._options.max_parallel,
        )
        if chosen and (
            self._too_old(_SERVERS_LATE) or self._journey.outdated(chosen)
        ):
            # somebody may have locked or moved one of them since
            self._looked = None
            self._more = True
            return True
        if chosen:
            self._journey.note(waiting)
            now = self._clock()
        for move in chosen:
            if self._pause(0):
                # the loop stops where it waits
                break
            if self._clock() - now > _LOOK_HOLDS:
                # a server that another drain has moved away since would be
                # moved once more
                self._more = True
                break
            known = look.migrations.get(move.server.id)
            move.after = max(move.after, known.id if known else 0)
            target = self._journey.target(move)
            try:
                move.request = self._ask(move, target)
            except api.OvertakenError as exc:
                # look again before the next: somebody else may be at work
                # on this host, and what is in motion counts
                self._looked = None
                self._more = move is not chosen[-1]
                yield self._met_somebody(move, str(exc))
                break
            except api.TransientError as exc:
                move.begin(self._clock(), unsure=True)
                move.cause = str(exc)
                yield events.Trouble(str(exc), 0.0)
                break
            except exceptions.CommandError as exc:
                yield self._settler.end(move, moves_.Outcome.FAILED, str(exc))
            else:
                move.begin(self._clock(), unsure=False)
                self._settler.changed = self._clock()
                yield events.Started(move)
        return bool(chosen)

    def _moved_by_another(
        self, move: moves_.Move, look: journey_.Look
    ) -> bool:
        """Whether a server has left since the servers were looked at."""
        known = look.migrations.get(move.server.id)
        if known is None or known.id <= move.after or known.failed:
            return False
        self._looked = None
        return True

    def _ask(self, move: moves_.Move, target: str | None) -> str | None:
        match move.verdict.action:
            case verdict.Action.LIVE_MIGRATE:
                return self._servers.live_migrate(move.server, target)
            case verdict.Action.COLD_MIGRATE:
                return self._servers.cold_migrate(move.server, target)
            case verdict.Action.EVACUATE:
                return self._servers.evacuate(move.server, target)
            case other:
                raise AssertionError(f'{move.label} is not moved: {other}')

    def _met_somebody(self, move: moves_.Move, cause: str) -> events.Event:
        """Nova says that somebody else is busy with a server."""
        move.conflicts += 1
        if move.conflicts > settle.MOST_CONFLICTS:
            return self._settler.end(move, moves_.Outcome.FAILED, cause)
        pause = min(2.0**move.conflicts, _LONGEST_PAUSE)
        move.wait(self._clock() + pause)
        return events.Retrying(move, cause, pause)

    # -- the end -----------------------------------------------------------

    def _finished(self, look: journey_.Look, started: bool) -> bool:
        """Whether there is nothing left to start or to wait for."""
        now = self._clock()
        if started or not look.fresh:
            return False
        if any(
            move.moving and not (move.given_up or self._stuck(move))
            for move in self.moves
        ):
            return False
        # what holds a slot, and is not waited for
        stuck = any(
            move.given_up if move.in_motion else _moves(move)
            for move in self.moves
        )
        waiting = [
            move
            for move in self.moves
            if move.outcome is moves_.Outcome.WAITING
        ]
        if any(move.not_before > now or not stuck for move in waiting):
            return False
        for move in waiting:
            move.cause = self._why_not_started()
        patience = self._options.server_timeout or _PATIENCE
        if now - self._settler.changed >= patience:
            return True
        return not self._passing(look)

    def _stuck(self, move: moves_.Move) -> bool:
        """Whether a move waits in Nova behind some that take too long."""
        if move.migration is None or not move.migration.queued:
            return False
        if any(
            other.in_motion
            and not other.given_up
            and not (other.migration and other.migration.queued)
            for other in self.moves
        ) or not any(other.given_up for other in self.moves):
            return False
        move.given_up = True
        move.cause = "waits in Nova's queue behind moves that take too long"
        return True

    def _why_not_started(self) -> str:
        most = self._options.max_parallel
        if sum(map(_moves, self.moves)) >= most:
            return (
                'not started: moves that take too long hold all of '
                f'--max-parallel {most}'
            )
        return 'not started: another member of its server group takes too long'

    def _passing(self, look: journey_.Look) -> tuple[str, ...]:
        """What ends by itself, or makes more to do."""
        return (
            *(
                f'{move.label} {move.cause}'
                for move in self.moves
                if move.outcome is moves_.Outcome.BLOCKED
                and move.verdict.passing
            ),
            *(f'server {item} is on its way here' for item in look.arriving),
        )

    def _say_what_is_waited_for(
        self, look: journey_.Look
    ) -> collections.abc.Iterator[events.Event]:
        if any(move.open for move in self.moves):
            return
        waiting = self._passing(look)
        if waiting != self._waiting:
            self._waiting = waiting
            yield events.Waiting(waiting)
