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
import math
import typing


from osc_maintenance.drain import dead
from osc_maintenance.drain import ending
from osc_maintenance.drain import events
from osc_maintenance.drain import follow
from osc_maintenance.drain import journey as journey_
from osc_maintenance.drain import limit
from osc_maintenance.drain import listing
from osc_maintenance.drain import moves as moves_
from osc_maintenance.drain import options as options_
from osc_maintenance.drain import pace
from osc_maintenance.drain import settle
from osc_maintenance.drain import start
from osc_maintenance.nova import api
from osc_maintenance import servers

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


_LONGEST_PAUSE = 30.0
#: How long the look at the servers holds that the plan goes by, in seconds.
_PLAN_HOLDS = 3.0
#: How many requests to start a move are under way at once.
_AT_ONCE = 8
#: How long after a look at the migrations moves may be started, and how long
#: the servers may be looked at without another one, in seconds.
_LOOK_HOLDS, _JUST_NOW = 0.5, 0.5
#: How long Nova may be silent.
_SILENCE = 900.0


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
        self._journey = journey
        self._options = options
        self._clock = clock
        self._pause = pause
        self._began = clock()
        self._listing = listing.Listing()
        if options.wait and 0 <= self._began - journey.listed < _PLAN_HOLDS:
            self._listing.known(journey.listed)
        self._looked, self._first = -math.inf, True
        self._more = False
        self._slots = options.max_parallel
        self._company = False
        self._down_since: float | None = None
        self._waiting: tuple[str, ...] = ()
        self._settler = settle.Settler(nova, options, clock)
        self._search = dead.Search(journey.is_down, clock)
        self._starter = start.Starter(nova, journey, self._settler, clock)
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
                if look.up is not (self._down_since is None):
                    self._down_since = None if look.up else self._clock()
                    yield events.Down(self._journey.host, not look.up)
                for event in self._follower.follow(look):
                    self._company |= isinstance(event, events.Adopted)
                    yield event
                started = yield from self._start(look)
            except api.TransientError as exc:
                # nothing is lost: the next look finds what is left to do
                now = self._clock()
                silent_since = now if silent_since is None else silent_since
                if not self._options.wait or now - silent_since >= _SILENCE:
                    raise
                yield events.Trouble(str(exc), pause)
                self._outdate()
                interval = pause
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                silent_since, pause = None, 1.0
                yield events.Looked(tuple(self.moves), self._time_left())
                if not self._options.server_timeout:
                    # nobody has said how long a move may take
                    yield from self._search.look(
                        self._follower.in_motion, self._settler.changed
                    )
                if self._finished(look, started):
                    if look.arriving:
                        coming = ', '.join(sorted(look.arriving))
                        yield self._stopped(
                            Ending.TIMED_OUT,
                            f'still on the way here, for too long: {coming}',
                        )
                        return
                    yield events.Finished(tuple(self.moves))
                    return
                unsure = any(m.unsure and m.in_motion for m in self.moves)
                if not (self._options.wait or self._more or unsure):
                    self.ending = Ending.HANDED_OVER
                    in_motion = self._follower.in_motion
                    yield events.Interrupted(in_motion, '--no-wait')
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
        in_motion = self._follower.in_motion
        before = self._clock()
        urgent = any(map(ending.matters, self.moves))
        # the first look goes by that of the plan, if it is of just now, and
        # one because something is left to start by the one before
        idle = not (self._first or self._more or in_motion)
        self._first = False
        fresh = idle or self._listing.due(before, urgent=urgent)
        moving = {move.server.id for move in in_motion}
        again = not fresh or before - self._looked >= _JUST_NOW
        look = self._journey.look(fresh=fresh, moving=moving, again=again)
        now = self._clock()
        if again:
            self._looked = now if look.watched is None else look.watched
        if look.fresh:
            listed = before if look.listing is None else look.listing
            self._listing.looked(listed, now - before)
        return look

    def _outdate(self) -> None:
        """Look at everything again, whatever was seen just now."""
        self._looked = -math.inf
        self._listing.outdated()

    def _planned(self) -> events.Event:
        return events.Planned(
            self._journey.host,
            tuple(self.moves),
            self._options.max_parallel,
            self._journey.command,
        )

    def _out_of_time(self) -> bool:
        timeout = self._options.timeout
        return timeout is not None and self._clock() - self._began >= timeout

    def _interval(self) -> float:
        in_motion = self._follower.in_motion
        if self._more or (self._follower.arrived and not in_motion):
            return 0.0
        now = self._clock()
        moving = [move for move in in_motion if not move.given_up]
        idle = now - self._settler.changed
        more = any(
            move.outcome is moves_.Outcome.WAITING for move in self.moves
        )
        interval = pace.next_look(
            moving, self._settler.took, now, idle, more=more
        )
        if not (moving or more) and ending.awaits_owners(self.moves):
            interval = pace.OWNERS
        if self._follower.arrived and self._listing.fits(now, interval):
            return 0.0
        overdue = limit.next_one(self._options, moving, now)
        interval = min(interval, max(overdue, pace.SOONEST))
        if self._options.timeout is not None:
            rest = self._began + self._options.timeout - now
            interval = min(interval, max(rest, 0.0))
        return interval

    def _time_left(self) -> float | None:
        queued = [move.queued for move in self._follower.in_motion]
        if any(queued):
            # Nova itself runs fewer
            self._slots = max(queued.count(False), 1)
        return pace.time_left(
            [move for move in self.moves if move.open],
            self._settler.took,
            self._slots,
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
        ready = {move.server.id for move in waiting if move.not_before <= now}
        # another drain of this host may try one that we pause for: as long
        # as both choose in the same order they never take one slot twice
        keep_order = self._company and self._options.wait
        chosen = pace.next_moves(
            [m for m in waiting if keep_order or m.server.id in ready],
            {move.server.id for move in self.moves if ending.holds(move)},
            look.groups,
            self._options.max_parallel,
        )
        chosen = [move for move in chosen if move.server.id in ready]
        if chosen and not self._listing.too_old(now):
            self._journey.check()
        if chosen and (self._listing.too_old(now) or self._outdated(chosen)):
            # somebody may have locked or moved one of them since
            self._listing.outdated()
            self._more = True
            return True
        if chosen:
            self._journey.note(waiting)
        # who evacuates looks again before each server
        evacuated = any(move.kind == servers.EVACUATION for move in chosen)
        width = 1 if evacuated else _AT_ONCE
        for first in range(0, len(chosen), width):
            if self._pause(0):
                # the loop stops where it waits
                break
            if self._clock() - self._looked > _LOOK_HOLDS:
                # a server that another drain has moved away since would be
                # moved once more
                self._more = True
                break
            batch = chosen[first : first + width]
            started = yield from self._starter.start(batch, look)
            self._more |= started.free
            if started.met:
                # look again before the next: what is in motion counts
                self._company = True
                self._outdate()
            if not started.go_on:
                break
        return bool(chosen)

    def _outdated(self, chosen: list[moves_.Move]) -> bool:
        """Whether the journey has found that the look is too old."""
        before = self._clock()
        outdated = self._journey.outdated(chosen)
        # what it has looked at again is fresh
        self._looked += self._clock() - before
        return outdated

    def _moved_by_another(
        self, move: moves_.Move, look: journey_.Look
    ) -> bool:
        """Whether a server has left since the servers were looked at."""
        known = look.migrations.get(move.server.id)
        if known is None or known.id <= move.after or known.failed:
            return False
        self._listing.outdated()
        return True

    # -- the end -----------------------------------------------------------

    def _finished(self, look: journey_.Look, started: bool) -> bool:
        """Whether there is nothing left to start or to wait for."""
        now = self._clock()
        if started or not look.fresh:
            return False
        patience = self._options.server_timeout or limit.PATIENCE
        idle = now - self._settler.changed
        if self._down_since is not None:
            down = now - self._down_since
            if min(down, idle) >= patience:
                dead.give_up(self._follower.in_motion, self._journey.host)
        if any(
            move.moving
            and not (
                move.given_up or ending.give_up_if_stuck(move, self.moves)
            )
            for move in self.moves
        ):
            return False
        # what holds a slot, and is not waited for
        stuck = any(
            move.given_up if move.in_motion else ending.holds(move)
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
            move.cause = ending.why_not_started(
                self.moves, self._options.max_parallel
            )
        if idle >= patience and not ending.awaits_owners(self.moves):
            return True
        return not ending.passing(self.moves, look)

    def _say_what_is_waited_for(
        self, look: journey_.Look
    ) -> collections.abc.Iterator[events.Event]:
        if any(move.open for move in self.moves):
            return
        waiting = ending.passing(self.moves, look)
        if waiting != self._waiting:
            self._waiting = waiting
            yield events.Waiting(waiting)
