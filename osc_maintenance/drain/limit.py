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

"""What is done with a move that takes too long."""

import collections.abc
import math
import typing

from osc_lib import exceptions

from osc_maintenance.drain import moves as moves_
from osc_maintenance.drain import options as options_
from osc_maintenance import servers
from osc_maintenance import times

if typing.TYPE_CHECKING:
    from osc_maintenance.nova import servers as servers_api


#: How long Nova may take to begin a move that it has accepted, in seconds,
#: and how much longer it is waited for if no timeout says so.
UNRECORDED = 60.0
PATIENCE = 600.0


def enforce(
    nova: 'servers_api.Servers',
    options: options_.Options,
    move: moves_.Move,
    now: float,
) -> bool:
    """Do what was asked for with a move that takes too long.

    A move is given as long once more to end after that. Then, or if nothing
    can be done, it is no longer waited for, but keeps its slot: it goes on in
    Nova.

    :param nova: the servers of Nova.
    :param options: how long it may take, and what is done then.
    :param move: a move in motion.
    :param now: the present, by our clock.
    :returns: whether something was done; ``move.overdue`` says what.
    """
    limit, migration = options.server_timeout, move.migration
    if migration and migration.untaken:
        return _never_begins(options, move, now)
    if limit is None or migration is None or move.running is None:
        return False
    age = now - move.running
    if move.given_up or age < limit:
        return False
    if move.overdue:
        if age < 2 * limit:
            return False
        move.given_up = True
        move.cause = f'{move.overdue}, without effect so far'
        return True
    took = f'took longer than {times.format_duration(int(limit))}'
    if not move.ours:
        return _give_up(move, f'{took} and goes on: {move.mover} moves it')
    if options.on_timeout is options_.OnTimeout.LEAVE:
        return _give_up(move, f'{took} and was left to go on')
    if move.kind != servers.LIVE_MIGRATION:
        return _give_up(
            move, f'{took} and goes on: Nova stops live migrations only'
        )
    try:
        if options.on_timeout is options_.OnTimeout.ABORT:
            nova.abort(move.server, migration)
            move.overdue = f'{took} and was aborted'
        else:
            nova.force_complete(move.server, migration)
            move.overdue = f'{took} and was forced to complete'
    except exceptions.CommandError as exc:
        # it has just ended, or Nova cannot in this state: the next look tells
        if age < 2 * limit:
            return False
        return _give_up(move, f'{took}, and Nova does not stop it: {exc}')
    return True


def next_one(
    options: options_.Options,
    moves: collections.abc.Iterable[moves_.Move],
    now: float,
) -> float:
    """How long it is until the next move takes too long, in seconds.

    :param options: how long it may take.
    :param moves: moves in motion.
    :param now: the present, by our clock.
    :returns: seconds; infinity if none is going to.
    """
    limit = options.server_timeout
    if limit is None:
        return math.inf
    left = [
        move.running + limit - now
        for move in moves
        if move.running is not None and not move.overdue
    ]
    # what could not be stopped in time is not pressed
    return min((rest for rest in left if rest > 0), default=math.inf)


def _never_begins(
    options: options_.Options, move: moves_.Move, now: float
) -> bool:
    """Give a move up that Nova has accepted, and lost."""
    patience = UNRECORDED + (options.server_timeout or PATIENCE)
    if move.given_up or move.started is None or now - move.started < patience:
        return False
    return _give_up(move, 'Nova accepted the request and has not begun')


def _give_up(move: moves_.Move, cause: str) -> bool:
    move.given_up = True
    move.overdue = move.cause = cause
    return True
