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

"""What still holds a slot, is waited for, or is no longer."""

import collections.abc

from osc_maintenance.drain import journey as journey_
from osc_maintenance.drain import moves as moves_


def holds(move: moves_.Move) -> bool:
    """Whether a server holds a slot, even if Nova has no record of it yet."""
    blocked = move.outcome is moves_.Outcome.BLOCKED
    return move.in_motion or (blocked and move.server.moves)


def matters(move: moves_.Move) -> bool:
    """Whether it matters where its server is."""
    unknown = move.migration is None or move.given_up or move.overdue
    return move.moving and bool(move.there or unknown)


def give_up_if_stuck(
    move: moves_.Move, moves: collections.abc.Sequence[moves_.Move]
) -> bool:
    """Give a move up that waits in Nova behind some that take too long.

    :param move: a move in motion.
    :param moves: all of them.
    :returns: whether it was given up.
    """
    if not move.queued:
        return False
    source = move.migration.source if move.migration else None
    before = [
        other
        for other in moves
        # each host has a queue of its own
        if other.migration and other.migration.source == source
    ]
    if any(
        other.in_motion and not other.given_up and not other.queued
        for other in before
    ) or not any(other.given_up for other in before):
        return False
    move.given_up = True
    move.cause = "waits in Nova's queue behind moves that take too long"
    return True


def why_not_started(
    moves: collections.abc.Sequence[moves_.Move], most: int
) -> str:
    """Why nothing was started for a server."""
    if sum(map(holds, moves)) >= most:
        return (
            'not started: moves that take too long hold all of '
            f'--max-parallel {most}'
        )
    return 'not started: another member of its server group takes too long'


def passing(
    moves: collections.abc.Iterable[moves_.Move], look: journey_.Look
) -> tuple[str, ...]:
    """What ends by itself, or makes more to do."""
    return (
        *(
            f'{move.label} {move.cause}'
            for move in moves
            if move.outcome is moves_.Outcome.BLOCKED and move.verdict.passing
        ),
        *(f'server {item} is on its way here' for item in look.arriving),
    )


def awaits_owners(moves: collections.abc.Iterable[moves_.Move]) -> bool:
    """Whether servers go by themselves once replies count no more."""
    return any(
        move.outcome is moves_.Outcome.BLOCKED
        and move.verdict.then
        and move.verdict.passing
        for move in moves
    )
