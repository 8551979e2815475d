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

"""How far moves are, for people to read. Pure."""

import math

from osc_maintenance.drain import moves as moves_
from osc_maintenance import servers
from osc_maintenance import times

#: How long a figure of a migration tells how far it is, in seconds.
_FRESH = 15.0
_MINUTE = 60


def copied(move: moves_.Move, now: float) -> tuple[int | None, int | None]:
    """How far a live migration has come, by Nova's own figures.

    :param move: a move in motion.
    :param now: the present, by the clock of the moves.
    :returns: percent of the memory, and bytes that remain; None for what is
        not known.
    """
    told = None
    if move.kind == servers.LIVE_MIGRATION and move.running is not None:
        told = move.server.progress
    if move.figures is None or move.figures.total <= 0:
        return told, None
    remaining, total = move.figures
    if told and now - move.asked > _FRESH:
        # with many in motion it is long until each has been asked about
        return told, total * (100 - told) // 100
    return 100 - math.ceil(100 * min(remaining, total) / total), remaining


def time_left(seconds: float | None) -> str | None:
    """An estimate for people to read: no more exact than it is.

    :param seconds: the estimate, or None.
    :returns: such as ``about 3m left``; None if there is none.
    """
    if not seconds:
        return None
    unit = 5 if seconds < _MINUTE else _MINUTE
    rounded = math.ceil(seconds / unit) * unit
    return f'about {times.format_duration(rounded)} left'
