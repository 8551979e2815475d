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

"""Which servers go next, and when to look again. Pure."""

import bisect
import collections.abc
import math
import typing

from osc_maintenance.drain import forecast
from osc_maintenance.drain import moves
from osc_maintenance.drain import verdict

#: How long to wait before the next look, in seconds.
SOONEST, _LATEST = 0.1, 10.0
#: The first of them where many move at once.
_FINEST = 0.05
#: The same where nothing but owners is waited for.
OWNERS = 20.0
#: The same while nothing tells yet how long moves take.
_UNKNOWN = 0.7
#: What every move takes at least, in seconds.
_SHORTEST = 1.0
#: How much idle time of slots, as parts of what their moves take, is to be
#: expected until the next look. It costs a drain that part of its time, and
#: the fewer it is, the more looks it takes.
_IDLE = 0.006
#: One look serves all: beyond so many moves at once it is the smaller, the
#: more they are.
_FEW = 4
#: How long to wait for something that may happen at any moment, as a part of
#: how long it has not happened.
_SLACK = 0.07
#: A look costs the same whatever a move takes: of more seconds than so many
#: both parts may be larger, up to so many times.
_LONG, _LARGER = 10.0, 3.0


class _End(typing.NamedTuple):
    """When a move is going to end: each moment of a time is as likely.

    :ivar begins: when that time begins, in seconds from now.
    :ivar lasts: how long it is.
    :ivar takes: how long the whole move takes, in seconds.
    """

    begins: float
    lasts: float
    takes: float

    def idle(self, wait: float) -> float:
        """How long its slot is idle if the next look comes after a wait.

        :returns: what is to be expected, as a part of what the move takes, or
            a smaller one if it takes long.
        """
        late = max(wait - self.begins, 0.0)
        if late < self.lasts:
            idle = late * late / (2 * self.lasts)
        else:
            idle = late - self.lasts / 2
        return idle / self.takes / _patience(self.takes)


def next_moves(
    candidates: collections.abc.Iterable[moves.Move],
    moving: collections.abc.Collection[str],
    groups: collections.abc.Mapping[str, verdict.Group],
    slots: int,
) -> list[moves.Move]:
    """The moves to start now, the largest first.

    Two members of an anti-affinity server group are not in motion together:
    Nova's late check would fail one of them.

    :param candidates: the moves that may be started.
    :param moving: the ids of the servers in motion.
    :param groups: server groups, by server id.
    :param slots: how many may be in motion, those that are included.
    :returns: the moves, in the order in which they are to be started; every
        run over the same host finds the same order, so two that work side by
        side meet at the same server and notice.
    """
    chosen: list[moves.Move] = []
    busy = {
        groups[server].id
        for server in moving
        if server in groups and groups[server].apart
    }
    free = slots - len(moving)
    for move in sorted(
        candidates, key=lambda m: (-forecast.size(m), m.server.id)
    ):
        if len(chosen) >= free:
            break
        group = groups.get(move.server.id)
        if group and group.apart:
            if group.id in busy:
                continue
            busy.add(group.id)
        chosen.append(move)
    return chosen


def next_look(
    moving: collections.abc.Iterable[moves.Move],
    took: collections.abc.Sequence[forecast.Took],
    now: float,
    idle: float,
    *,
    more: bool = True,
) -> float:
    """How long to wait before looking again, in seconds.

    A slot is idle from the end of a move until that is noticed. So looks are
    close to each other where ends are to be expected, the more of them the
    closer, and there is none before; for moves of minutes seconds are close,
    and Nova is left in peace. Where nothing is left to start a slot may be
    idle, and only the end of all matters.

    :param moving: the moves in motion that are waited for.
    :param took: how long moves have taken, in their order.
    :param now: the present, by the clock of the moves.
    :param idle: how long ago something has changed, in seconds.
    :param more: there are servers whose moves are to be started yet.
    :returns: seconds.
    """
    latest, ends = _LATEST, []
    for move in moving:
        age = now - (now if move.begun is None else move.begun)
        if move.overdue or (move.migration and move.migration.unconfirmed):
            # it ends as soon as what was asked for has an effect
            latest = min(latest, _soon(idle))
            continue
        window = forecast.window(move, took)
        if window is None:
            latest = min(latest, _soon(age))
        else:
            ends.append(_end(window, age))
    if not ends:
        return min(latest, _soon(idle))
    if not more:
        ends = [max(ends, key=lambda end: end.begins + end.lasts)]
    few = min(_FEW / len(ends), 1.0)
    step = max(SOONEST * few, _FINEST)
    steps = bisect.bisect_left(
        range(math.ceil(_LATEST / step)),
        _IDLE * few,
        key=lambda number: sum(end.idle(number * step) for end in ends),
    )
    return min(max(steps, 1) * step, latest)


def _end(window: forecast.Window, age: float) -> _End:
    earliest, typical, latest = window
    begins = max(earliest - age, 0.0)
    lasts = latest - age - begins
    if age >= latest:
        # it is unlike the others, and may take that much longer once more
        lasts, typical = age - earliest, age
    return _End(begins, max(lasts, SOONEST), max(typical, _SHORTEST))


def _soon(idle: float) -> float:
    return min(max(_UNKNOWN, idle * _SLACK * _patience(idle)), _LATEST)


def _patience(seconds: float) -> float:
    """How many times as large a part of a time may be lost, if it is long."""
    return min(max(seconds / _LONG, 1.0), _LARGER)


def time_left(
    left: collections.abc.Iterable[moves.Move],
    took: collections.abc.Sequence[forecast.Took],
    slots: int,
    now: float,
) -> float | None:
    """An estimate of how long the rest takes, in seconds.

    :param left: the moves that have not ended.
    :param took: how long moves have taken, in their order.
    :param slots: how many move at once.
    :param now: the present, by the clock of the moves.
    :returns: seconds; None if no move has ended yet that tells.
    """
    rest = []
    for move in left:
        window = forecast.window(move, took)
        if window is None:
            return None
        age = now - (now if move.begun is None else move.begun)
        rest.append(max(window.typical - age, 0.0))
    if not took:
        return None
    return max(sum(rest) / slots, max(rest, default=0.0))
