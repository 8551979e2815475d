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
import statistics

from osc_maintenance.drain import moves
from osc_maintenance.drain import verdict

_MIB_PER_GIB = 1024
_SOONEST = 0.5
_LATEST = 6.0
#: How much later than it happened the end of a move may be noticed, as a part
#: of how long moves take.
_SLACK = 0.1


def size(move: moves.Move) -> int:
    """How much has to be copied at most, in MiB: the longest goes first."""
    server = move.server
    if move.verdict.action is verdict.Action.LIVE_MIGRATE:
        return server.ram
    return server.disk * _MIB_PER_GIB


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
    for move in sorted(candidates, key=lambda m: (-size(m), m.server.id)):
        if len(chosen) >= free:
            break
        group = groups.get(move.server.id)
        if group and group.apart:
            if group.id in busy:
                continue
            busy.add(group.id)
        chosen.append(move)
    return chosen


def next_look(took: collections.abc.Sequence[float], age: float) -> float:
    """How long to wait before looking again, in seconds.

    Short moves are watched closely, so that the next one starts at once; for
    moves of minutes a few seconds are nothing, and Nova is left in peace.

    :param took: how long the latest moves have taken, in seconds.
    :param age: how long ago something has changed, for when none has ended.
    :returns: seconds.
    """
    typical = statistics.fmean(took) if took else age
    return min(max(typical * _SLACK, _SOONEST), _LATEST)


def time_left(
    took: collections.abc.Sequence[float], left: int, slots: int
) -> float | None:
    """An estimate of how long the rest takes, in seconds.

    :param took: how long the moves so far have taken, in seconds.
    :param left: how many servers are still here, those in motion included.
    :param slots: how many move at once.
    :returns: seconds; None if no move has ended yet.
    """
    if not took:
        return None
    return statistics.fmean(took) * left / min(slots, left) if left else 0.0
