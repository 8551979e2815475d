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

"""What happens during a drain, in words: the same for every report. Pure."""

import collections
import collections.abc
import math
import re

from osc_maintenance.drain import events
from osc_maintenance.drain import moves as moves_
from osc_maintenance.drain import tally
from osc_maintenance import servers
from osc_maintenance import text
from osc_maintenance import times

#: How long the same trouble is not told again, in seconds.
_SILENCE = 60.0
_MOST_NAMES = 5
_KINDS = {
    servers.LIVE_MIGRATION: 'live migration',
    servers.COLD_MIGRATION: 'cold migration',
    servers.EVACUATION: 'evacuation',
    servers.RESIZE: 'resize',
}
_REQUEST = re.compile(r'req-[0-9a-f-]+')


def some(items: collections.abc.Sequence[str], separator: str = ', ') -> str:
    """The first few of many, and how many more there are."""
    shown = separator.join(items[:_MOST_NAMES])
    more = len(items) - _MOST_NAMES
    return f'{shown} and {more} more' if more > 0 else shown


class Story:
    """Puts events into words, the same for every report.

    :param clock: the present in seconds.
    :ivar host: the host, as it is shown; empty before the plan.
    :ivar moves: what is known of the moves, by server id.
    """

    def __init__(self, clock: collections.abc.Callable[[], float]) -> None:
        self._clock = clock
        self._evacuates = False
        self._told_ctrl_c = False
        self._trouble = ''
        self._troubled: float | None = None
        self._silent = False
        self._command = ''
        self.host = ''
        self.moves: dict[str, moves_.Move] = {}

    @property
    def in_motion(self) -> list[moves_.Move]:
        """The moves in motion, the oldest first."""
        found = [move for move in self.moves.values() if move.moving]
        return sorted(found, key=lambda move: move.started or 0.0)

    def tell(self, event: events.Event) -> list[str]:
        """What an event means, in lines without a control character.

        :param event: the event.
        :returns: any number of lines.
        """
        if isinstance(event, events.Trouble):
            return self._had_trouble(event)
        silent = self._silent and not isinstance(event, events.Interrupted)
        if silent:
            self._silent = False
        # the plan says so as well
        if silent and not isinstance(event, events.Planned):
            return ['Nova answers again', *self._told(event)]
        return self._told(event)

    def _told(self, event: events.Event) -> list[str]:
        match event:
            case events.Planned():
                return self._planned(event)
            case events.Looked():
                self.moves = {move.server.id: move for move in event.moves}
                return []
            case events.Queued():
                one = event.count == 1
                return [
                    f'{event.count} migration{"" if one else "s"} '
                    f"wait{'s' if one else ''} in Nova's queue: Nova runs "
                    'fewer at once from one host '
                    '(max_concurrent_live_migrations)'
                ]
            case events.Down():
                compute = f'nova-compute on {text.escape(event.host)}'
                if not event.down:
                    return [f'{compute} is up again']
                return [
                    f'{compute} is down: what is in motion may not end before '
                    'it is up again'
                ]
            case events.Waiting():
                if not event.causes:
                    return []
                causes = [text.escape(cause) for cause in event.causes]
                what = some(causes, '; ')
                return [
                    f'waiting for what ends by itself: {what}',
                    *self._ctrl_c(),
                ]
            case events.Interrupted():
                return self._interrupted(event)
            case events.Finished():
                return tally.finished(event)
            case events.Unnoted():
                told = f'the end is not noted: {text.escape(event.cause)}'
                return (
                    [told] if event.lost else [told, f'{self._again} notes it']
                )
            case events.Trouble():
                return []
        move = event.move
        self.moves[move.server.id] = move
        line = f'{move.label}: {self._changed(event)}'
        appeared = isinstance(event, events.Appeared) and move.open
        return [line, *self._ctrl_c()] if appeared else [line]

    # -- the host ----------------------------------------------------------

    def _planned(self, event: events.Planned) -> list[str]:
        self.host = text.escape(event.host)
        self._command = text.escape(event.command)
        self.moves = {move.server.id: move for move in event.moves}
        going = [move for move in event.moves if move.open]
        self._evacuates = bool(going) and all(
            move.kind == servers.EVACUATION for move in going
        )
        blocked = [
            move
            for move in event.moves
            if move.outcome is moves_.Outcome.BLOCKED
        ]
        waits = any(move.verdict.passing for move in blocked)
        return [
            tally.plan(event),
            *(self._ctrl_c() if going or waits else ()),
            *(f'{move.label}: {_standing(move)}' for move in blocked),
        ]

    def _ctrl_c(self) -> list[str]:
        """What Ctrl-C does, once, before there is anything to wait for."""
        if self._told_ctrl_c:
            return []
        self._told_ctrl_c = True
        what = 'evacuations' if self._evacuates else 'moves'
        return [
            f'Ctrl-C stops starting {what}; those in motion go on in Nova, '
            f'and {self._again} continues'
        ]

    @property
    def _again(self) -> str:
        """The command that continues this drain."""
        if not self._command:
            return 'the same command, run again,'
        return f'"openstack host maintenance {self._command}"'

    def _interrupted(self, event: events.Interrupted) -> list[str]:
        if not self.host:
            # what others have started is not known yet
            return [f'{event.cause}: nothing was started']
        names = [text.escape(move.server.name) for move in event.moves]
        if len(names) > 1:
            what = f'{len(names)} servers are in motion and go on in Nova: '
        elif names:
            what = '1 server is in motion and goes on in Nova: '
        else:
            what = 'no server is in motion'
        waiting = tally.count(self.moves.values()).waiting
        rest = f'{waiting} to go: ' if waiting else ''
        cold = any(
            move.ours and move.kind == servers.COLD_MIGRATION
            for move in event.moves
        )
        confirms = ', and confirms cold migrations' if cold else ''
        return [
            f'{event.cause}: {self._count()} done; {what}{", ".join(names)}',
            f'{rest}{self._again} continues{confirms}',
        ]

    def _had_trouble(self, event: events.Trouble) -> list[str]:
        """Trouble, but not at each try."""
        now = self._clock()
        # each refusal has the number of its request in it
        cause = _REQUEST.sub('', event.cause)
        if (
            cause == self._trouble
            and self._troubled is not None
            and now - self._troubled < _SILENCE
        ):
            return []
        self._trouble, self._troubled = cause, now
        words = text.escape(event.cause)
        if not event.seconds:
            return [
                'Nova did not answer; whether it has taken the request will '
                f'be seen: {words}'
            ]
        self._silent = True
        return [
            f'Nova does not answer, asked again in {_short(event.seconds)}: '
            f'{words}'
        ]

    # -- one server --------------------------------------------------------

    def _changed(
        self,
        event: events.Started
        | events.Adopted
        | events.Appeared
        | events.Confirming
        | events.Stopping
        | events.Overdue
        | events.Ended
        | events.Retrying,
    ) -> str:
        """What has happened to a server."""
        move = event.move
        kind = _KINDS.get(move.kind, 'migration')
        match event:
            case events.Started():
                if move.attempts > 1:
                    return f'{kind} started again (attempt {move.attempts})'
                return f'{kind} started'
            case events.Adopted():
                who = 'another run' if move.ours else move.mover
                return (
                    f'is on its way already: {kind}{_to(move)}, started by '
                    f'{who}'
                )
            case events.Appeared():
                return f'has come to {self.host}: {_standing(move)}'
            case events.Confirming():
                return f'{kind}{_to(move)} done, being confirmed'
            case events.Stopping():
                return f'is being stopped: {_cause(move, move.verdict.cause)}'
            case events.Overdue():
                if move.given_up:
                    return f'{_cause(move, move.cause)}; no longer waited for'
                return _cause(move, move.overdue)
            case events.Retrying():
                return (
                    f'will be tried again in {_short(event.seconds)}: '
                    f'{_cause(move, event.cause)}'
                )
            case events.Ended():
                return self._ended(move)

    def _ended(self, move: moves_.Move) -> str:
        match move.outcome:
            case moves_.Outcome.MOVED:
                evacuated = move.kind == servers.EVACUATION
                seconds = move.migration.seconds if move.migration else None
                took = '' if seconds is None else f' in {_short(seconds)}'
                return (
                    f'{"evacuated" if evacuated else "moved"}{_to(move)}'
                    f'{took} ({self._count()})'
                )
            case moves_.Outcome.DELETED:
                return f'was deleted meanwhile ({self._count()})'
            case moves_.Outcome.STOPPED:
                return 'stopped; unset starts it again'
        return _standing(move)

    def _count(self) -> str:
        """How many servers have gone."""
        counts = tally.count(self.moves.values())
        return f'{counts.done} of {counts.total}'


def _standing(move: moves_.Move) -> str:
    """What becomes of a server that is not in motion."""
    cause = _cause(move, move.cause or move.verdict.cause)
    match move.outcome:
        case moves_.Outcome.WAITING | moves_.Outcome.MOVING:
            return 'to be moved as well'
        case moves_.Outcome.BLOCKED if move.verdict.then:
            return cause
        case moves_.Outcome.BLOCKED if move.verdict.passing:
            return f'blocked for now: {cause}'
    return f'{move.outcome.value}: {cause}'


def _cause(move: moves_.Move, cause: str | None) -> str:
    """Why, without the server's name: the line begins with it."""
    return text.escape(cause or 'not known').removeprefix(f'{move.label}: ')


def _to(move: moves_.Move) -> str:
    return f' to {text.escape(move.destination)}' if move.destination else ''


def _short(seconds: float) -> str:
    return times.format_duration(math.ceil(seconds))
