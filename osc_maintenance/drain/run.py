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

"""A drain from its beginning to its end."""

import collections.abc
import contextlib
import dataclasses
import datetime
import math
import typing

from osc_lib import exceptions

from osc_maintenance import compute
from osc_maintenance.drain import dead
from osc_maintenance.drain import events
from osc_maintenance.drain import interrupt
from osc_maintenance.drain import journey as journey_
from osc_maintenance.drain import leaving
from osc_maintenance.drain import loop as loop_
from osc_maintenance.drain import moves
from osc_maintenance.drain import options as options_
from osc_maintenance.drain import plan as plan_
from osc_maintenance.drain import returning
from osc_maintenance.drain import stopping
from osc_maintenance import exit_codes
from osc_maintenance import journal
from osc_maintenance.nova import api
from osc_maintenance import text
from osc_maintenance import times

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_
    from osc_maintenance import servers


#: After these, servers are stopped that are to be.
_STOPS = frozenset((loop_.Ending.COMPLETE, loop_.Ending.HANDED_OVER))
#: Before these, it was waited for what is still in motion.
_WAITED = frozenset((loop_.Ending.COMPLETE, loop_.Ending.TIMED_OUT))


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a drain.

    :ivar moves: what became of each server.
    :ivar ending: how it ended.
    :ivar overruled: somebody else has changed the record before that could be
        noted.
    """

    moves: list[moves.Move]
    ending: loop_.Ending
    overruled: bool = False

    @property
    def complete(self) -> bool:
        """Whether there was nothing left to try."""
        return self.ending is loop_.Ending.COMPLETE

    @property
    def exit_code(self) -> exit_codes.ExitCode:
        """The exit status that tells it."""
        if self.ending is loop_.Ending.INTERRUPTED:
            return exit_codes.ExitCode.INTERRUPTED
        given_up = any(move.moving and move.given_up for move in self.moves)
        if self.ending is loop_.Ending.TIMED_OUT or given_up:
            return exit_codes.ExitCode.TIMED_OUT
        stayed = (
            moves.STAYED - {moves.Outcome.WAITING}
            if self.ending is loop_.Ending.HANDED_OVER
            else moves.STAYED
        )
        left = [move for move in self.moves if move.outcome in stayed]
        if not left:
            if self.overruled:
                return exit_codes.ExitCode.ERROR
            return exit_codes.ExitCode.DONE
        if all(
            move.verdict.then and move.outcome is moves.Outcome.BLOCKED
            for move in left
        ):
            return exit_codes.ExitCode.OWNERS
        return exit_codes.ExitCode.STAYED


def drain(
    clients: 'clients_.Clients',
    host: compute.Host,
    plan: plan_.Plan,
    options: options_.Options,
    report: collections.abc.Callable[[events.Event], None],
    pause: interrupt.Pause,
    clock: collections.abc.Callable[[], float] = times.clock,
    now: collections.abc.Callable[[], datetime.datetime] = times.now,
    *,
    how: str = journal.STARTED,
    gone: collections.abc.Callable[['servers.Server'], None] = lambda _: None,
) -> Result:
    """Move the servers off a host, as its record says.

    :param clients: Nova, Placement and Glance.
    :param host: the host, in maintenance.
    :param plan: what is to be done with its servers.
    :param options: how to go about it.
    :param report: is told what happens.
    :param pause: waits for some seconds; True means that it was interrupted.
    :param clock: the present in seconds, never going back.
    :param now: the present, in UTC.
    :param how: who moves them, as the journal says it; ``apply`` notes by
        itself how that ends.
    :param gone: is told of each server that has moved away.
    :returns: what became of it.
    :raises CommandError: if Nova refuses to be asked; what is in motion goes
        on, and so does the drain if it is run again.
    """
    journey = leaving.Leaving(clients, host, plan, clock, now, how=how)
    loop = loop_.Loop(clients.servers, journey, options, clock, pause)
    until = clock() + (options.timeout or math.inf)
    with _resumable('drain', host.name):
        if not journey.claim(pause):
            report(events.Interrupted((), 'interrupted'))
            return Result([], loop_.Ending.INTERRUPTED)
        last: events.Event | None = None
        down: set[str] = set()
        for event in loop.run():
            if isinstance(event, events.Finished | events.Interrupted):
                _say_what_is_down(clients, loop, report, down)
                # what is stopped is stopped before
                last = event
                continue
            report(event)
            if isinstance(event, events.Down):
                (down.add if event.down else down.discard)(event.host)
            if (
                isinstance(event, events.Ended)
                and event.move.outcome is moves.Outcome.MOVED
            ):
                gone(event.move.server)
        ending, early = loop.ending, None
        if ending in _STOPS:
            early = stopping.Stopping(
                clients.servers, journey, options, report, clock, pause
            ).run(loop.moves, until)
        if early:
            # what is no longer waited for goes on all the same
            left = tuple(move for move in loop.moves if move.in_motion)
            ending, last = early, events.Interrupted(left, early.value)
        if last:
            report(last)
        lost = False
        if ending is loop_.Ending.COMPLETE and how != journal.BY_APPLY:
            causes = stayed(loop.moves)
            try:
                api.patiently(lambda: journey.conclude(causes), pause)
            except exceptions.CommandError as exc:
                # what became of all servers is told nevertheless
                lost = isinstance(exc, journey_.LostError)
                report(events.Unnoted(str(exc), lost))
    return Result(loop.moves, ending, lost)


def bring_back(
    clients: 'clients_.Clients',
    journey: returning.Returning,
    options: options_.Options,
    report: collections.abc.Callable[[events.Event], None],
    pause: interrupt.Pause,
    clock: collections.abc.Callable[[], float] = times.clock,
) -> Result:
    """Move the servers back that a maintenance has moved away.

    :param clients: Nova.
    :param journey: the servers; it has surveyed them.
    :param options: how to go about it.
    :param report: is told what happens.
    :param pause: waits for some seconds; True means that it was interrupted.
    :param clock: the present in seconds, never going back.
    :returns: what became of it.
    :raises CommandError: if Nova refuses to be asked; what is in motion goes
        on, and so does the return if it is run again.
    """
    loop = loop_.Loop(clients.servers, journey, options, clock, pause)
    down: set[str] = set()
    with _resumable('return', journey.host):
        for event in loop.run():
            if isinstance(event, events.Down):
                (down.add if event.down else down.discard)(event.host)
            if isinstance(event, events.Finished | events.Interrupted):
                _say_what_is_down(clients, loop, report, down)
            report(event)
    return Result(loop.moves, loop.ending)


def _say_what_is_down(
    clients: 'clients_.Clients',
    loop: loop_.Loop,
    report: collections.abc.Callable[[events.Event], None],
    known: collections.abc.Collection[str],
) -> None:
    """Say at the end why what is in motion may have taken too long."""
    if loop.ending in _WAITED:
        for event in dead.find(clients.nova, loop.moves):
            if event.host not in known:
                report(event)


def stayed(
    found: collections.abc.Iterable[moves.Move],
) -> dict[str, str]:
    """Why servers are not known to have left, by their ids.

    :param found: what has become of each server.
    """
    return {
        move.server.id: str(move.cause)
        for move in found
        # one that takes too long may have arrived after all
        if move.stayed or (move.given_up and move.moving)
    }


@contextlib.contextmanager
def _resumable(what: str, host: str) -> collections.abc.Iterator[None]:
    """Say of an error what goes on, and how to continue."""
    try:
        yield
    except exceptions.CommandError as exc:
        told = (
            f'The {what} of {text.escape(host)} stops: {exc}. What is in '
            'motion goes on in Nova'
        )
        if not isinstance(exc, journey_.LostError):
            told += f'; run the same command again, and the {what} goes on'
        raise exceptions.CommandError(told) from exc
