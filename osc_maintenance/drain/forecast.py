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

"""How long a move is going to take, from those that have ended. Pure."""

import collections.abc
import statistics
import typing

from osc_maintenance.drain import moves
from osc_maintenance.drain import verdict

_MIB_PER_GIB = 1024
#: How many of them are taken, those nearest in size.
_ALIKE = 8
#: How many times as large a server is at most to tell something.
_FURTHEST = 16.0
#: How many of the latest moves tell how long the next ones take.
_RECENT = 20
#: How far beyond the earliest and the latest that was seen an end may be, as a
#: part of how long it takes: if only one was seen, and at least.
_ONE_SEEN, _BLUR = 0.3, 0.02


class Took(typing.NamedTuple):
    """How long a move took, as far as looks now and then can tell.

    :ivar action: how the server was moved.
    :ivar size: how much there was to copy, in MiB.
    :ivar least: it was still under way then, in seconds.
    :ivar most: it had ended then, in seconds.
    """

    action: verdict.Action
    size: int
    least: float
    most: float


class Window(typing.NamedTuple):
    """When a move is going to end, in seconds after its beginning."""

    earliest: float
    typical: float
    latest: float


def size(move: moves.Move) -> int:
    """How much has to be copied at most, in MiB."""
    server = move.server
    if move.verdict.action is verdict.Action.LIVE_MIGRATE:
        return server.ram
    return server.disk * _MIB_PER_GIB


def _scale(mine: int, other: int) -> float:
    """How much longer a move takes than another one, by their sizes."""
    if not (mine and other):
        # with nothing to copy it is not the size that decides
        return 1.0
    return min(max(mine / other, 1 / _FURTHEST), _FURTHEST)


def window(
    move: moves.Move, took: collections.abc.Sequence[Took]
) -> Window | None:
    """When a move is going to end, from the latest ones of its kind.

    What has to be copied decides: a server of twice the size takes twice as
    long. The few that are nearest in size tell it best, and the next one may
    be a little beyond them.

    :param move: a move.
    :param took: how long moves have taken, in their order.
    :returns: the window; None if no move of its kind has ended yet.
    """
    mine = size(move)
    known = [
        item for item in took[-_RECENT:] if item.action is move.verdict.action
    ]
    alike = [item for item in known if mine <= 2 * item.size <= 4 * mine]
    # the nearest last, and of those that are as near the latest
    alike.sort(key=lambda item: -abs(item.size - mine))
    alike = (alike or known)[-_ALIKE:]
    if not alike:
        return None
    times = [
        (item.least + item.most) / 2 * _scale(mine, item.size)
        for item in alike
    ]
    earliest, latest = min(times), max(times)
    beyond = latest * _ONE_SEEN
    if len(times) > 1:
        beyond = (latest - earliest) / (len(times) - 1)
    unsure = max((item.most - item.least) / 2 for item in alike)
    beyond = max(beyond, unsure, latest * _BLUR)
    return Window(
        max(earliest - beyond, 0.0),
        statistics.median(times),
        latest + beyond,
    )
