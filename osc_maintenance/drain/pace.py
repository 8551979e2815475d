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

import collections.abc

from osc_maintenance.drain import forecast
from osc_maintenance.drain import moves
from osc_maintenance.drain import verdict

#: How long to wait before the next look, in seconds.
_SOONEST, _LATEST = 0.2, 6.0
#: The same while nothing tells yet how long moves take.
_UNKNOWN = 0.5
#: How much of the time until a move can have ended is waited without a look.
_EARLY = 0.9
#: How many looks the window takes in which a move is going to end.
_LOOKS = 6
#: How much later than it happened the end of a move may be noticed, as a part
#: of how long it takes.
_SLACK = 0.02
_SLACK_UNKNOWN = 0.1


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
) -> float:
    """How long to wait before looking again, in seconds.

    A slot is idle from the end of a move until that is noticed. So there are
    looks close to each other where an end is to be expected, and none before;
    for moves of minutes seconds are close, and Nova is left in peace.

    :param moving: the moves in motion that are waited for.
    :param took: how long moves have taken, in their order.
    :param now: the present, by the clock of the moves.
    :param idle: how long ago something has changed, in seconds.
    :returns: seconds.
    """
    return min(
        (_wait(move, took, now, idle) for move in moving),
        default=_unknown(idle),
    )


def _wait(
    move: moves.Move,
    took: collections.abc.Sequence[forecast.Took],
    now: float,
    idle: float,
) -> float:
    if move.overdue or (move.migration and move.migration.unconfirmed):
        # it ends as soon as what was asked for has an effect
        return _unknown(idle)
    age = now - (now if move.begun is None else move.begun)
    window = forecast.window(move, took)
    if window is None:
        return _unknown(age)
    if age > 2 * window.latest:
        # this one is unlike the others
        return _unknown(age)
    wait = max(
        _SOONEST,
        window.earliest * _EARLY - age,
        (window.latest - window.earliest) / _LOOKS,
        max(window.latest, age) * _SLACK,
    )
    return min(wait, _LATEST)


def _unknown(age: float) -> float:
    return min(max(_UNKNOWN, age * _SLACK_UNKNOWN), _LATEST)


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
