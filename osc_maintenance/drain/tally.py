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

"""How many servers of a drain there are of each sort, and in words. Pure."""

import collections
import collections.abc
import typing

from osc_maintenance.drain import events
from osc_maintenance.drain import moves as moves_
from osc_maintenance.drain import verdict
from osc_maintenance import policy

_VERBS = {kind: action.value for action, kind in verdict.KINDS.items()}


class Tally(typing.NamedTuple):
    """How many servers there are of each sort.

    :ivar done: those that have gone.
    :ivar moving: those in motion.
    :ivar waiting: those that are to go and are not in motion.
    :ivar failed: those whose move has failed for good.
    """

    done: int
    moving: int
    waiting: int
    failed: int

    @property
    def total(self) -> int:
        """All that are to go, or were."""
        return sum(self)


def count(moves: collections.abc.Iterable[moves_.Move]) -> Tally:
    """How many servers there are of each sort.

    :param moves: the moves.
    :returns: the numbers.
    """
    counts = collections.Counter(move.outcome for move in moves)
    return Tally(
        done=counts[moves_.Outcome.MOVED] + counts[moves_.Outcome.DELETED],
        moving=counts[moves_.Outcome.MOVING],
        waiting=counts[moves_.Outcome.WAITING],
        failed=counts[moves_.Outcome.FAILED],
    )


def waiting_for_owners(
    moves: collections.abc.Iterable[moves_.Move],
) -> str | None:
    """How many servers wait for their owners, in words.

    :param moves: the moves.
    :returns: the words; None if there are none.
    """
    count = sum(
        move.outcome is moves_.Outcome.BLOCKED and bool(move.verdict.then)
        for move in moves
    )
    if not count:
        return None
    return (
        f'{count} waiting for {"its owner" if count == 1 else "their owners"}'
    )


def plan(event: events.Planned) -> str:
    """The plan in one line.

    :param event: the plan.
    :returns: the line, without a control character.
    """
    going = [move for move in event.moves if move.open]
    left: list[moves_.Move] = []
    away: list[moves_.Move] = []
    stops = 0
    for move in event.moves:
        if move.outcome is moves_.Outcome.LEFT:
            if move.verdict.stops:
                stops += 1
                continue
            # what waits to be confirmed is there for another cause
            stays = move.cause == move.verdict.cause
            (left if stays else away).append(move)
    blocked = [
        move for move in event.moves if move.outcome is moves_.Outcome.BLOCKED
    ]
    count, total = len(going), len(event.moves) - len(away)
    many = '1 server' if total == 1 else f'{total} servers'
    if not going:
        parts = [
            f'none of {many} to move' if total > 1 else 'no server to move'
        ]
    else:
        kinds = collections.Counter(
            _VERBS.get(move.kind, 'being resized') for move in going
        )
        how = ', '.join(f'{kinds[kind]} {kind}' for kind in kinds)
        which = many if count == total else f'{count} of {many}'
        parts = [f'{which} to move ({how})']
    if left:
        where = 'where it is' if len(left) == 1 else 'where they are'
        parts.append(f'{len(left)} left {where}{_why(left)}')
    if away:
        parts.append(f'{len(away)} elsewhere and not confirmed')
    if stops:
        parts.append(f'{stops} to be stopped')
    if owners := waiting_for_owners(blocked):
        parts.append(owners)
    if others := sum(move.verdict.then is None for move in blocked):
        parts.append(f'{others} blocked')
    if going:
        parts.append(f'{event.max_parallel} at a time')
    return ', '.join(parts)


def _why(left: list[moves_.Move]) -> str:
    """What keeps servers where they are, if others than the operator do."""
    told = []
    for cause, word in (
        (policy.LOCKED, 'locked'),
        (policy.KEPT, 'kept by the owner'),
        (policy.STOPPED, 'stopped'),
    ):
        count = sum(str(move.cause).startswith(cause) for move in left)
        if count:
            told.append(word if count == len(left) else f'{count} {word}')
    return f' ({", ".join(told)})' if told else ''


def finished(event: events.Finished) -> list[str]:
    """What became of all, in one line; none if there was nothing to do.

    :param event: the end.
    :returns: the line, without a control character, if there is one.
    """
    counts = collections.Counter(move.outcome for move in event.moves)
    told = [
        f'{counts[outcome]} {outcome.value}'
        for outcome in moves_.Outcome
        if counts[outcome]
    ]
    if not counts.keys() - {moves_.Outcome.LEFT, moves_.Outcome.BLOCKED}:
        return []
    return [f'the end: {", ".join(told)}']
