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

"""What a drain tells on stderr while it runs: lines, a display or nothing."""

import collections.abc
import contextlib
import datetime
import types
import typing

from osc_maintenance.drain import events
from osc_maintenance.drain import figures
from osc_maintenance.drain import moves as moves_
from osc_maintenance.drain import story as story_
from osc_maintenance.drain import tally
from osc_maintenance import text
from osc_maintenance import times

#: How long nothing is said at most, in seconds.
_SILENCE = 60.0


class Report(typing.Protocol):
    """Tells what happens; a context that takes down what it has put up.

    :ivar wants_figures: it shows the figures of single migrations.
    """

    wants_figures: bool

    def __call__(self, event: events.Event) -> None:
        """Tell what has happened."""

    def __enter__(self) -> typing.Self:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        """Take down what is on the screen, whatever has happened."""


def reporter(
    stream: typing.TextIO | None,
    *,
    quiet: bool,
    now: collections.abc.Callable[[], datetime.datetime],
    clock: collections.abc.Callable[[], float],
) -> Report:
    """The report that suits a stream.

    :param stream: where it goes to.
    :param quiet: tell nothing.
    :param now: the present, in UTC.
    :param clock: the present in seconds, by the clock of the moves.
    :returns: the report.
    """
    if quiet or stream is None:
        return Quiet()
    if stream.isatty():
        # cliff brings rich, by way of cmd2, but did not always
        with contextlib.suppress(ImportError):
            from osc_maintenance.drain import live

            display = live.Live(stream, clock=clock)
            if display.usable:
                return display
    return Lines(stream, now=now, clock=clock)


class _Plain:
    """What needs not be taken down."""

    wants_figures = False

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        pass


class Quiet(_Plain):
    """Tells nothing."""

    def __call__(self, event: events.Event) -> None:
        """Tell nothing."""


class Lines(_Plain):
    """A line with the time for each change, and one a minute without any.

    :param stream: where they go to.
    :param now: the present, in UTC.
    :param clock: the present in seconds, by the clock of the moves.
    """

    def __init__(
        self,
        stream: typing.TextIO,
        *,
        now: collections.abc.Callable[[], datetime.datetime],
        clock: collections.abc.Callable[[], float],
    ) -> None:
        self._stream = stream
        self._now = now
        self._clock = clock
        self._story = story_.Story(clock)
        self._spoke = clock()

    def __call__(self, event: events.Event) -> None:
        """Tell what has happened."""
        lines = self._story.tell(event)
        silent = self._clock() - self._spoke >= _SILENCE
        if not lines and silent and isinstance(event, events.Looked):
            lines = [self._alive(event)]
        if not lines:
            return
        self._spoke = self._clock()
        moment = times.format_time(self._now())
        host = f'{self._story.host}: ' if self._story.host else ''
        # a drain does not end because nobody reads of it, or a disk is full
        with contextlib.suppress(OSError):
            for line in lines:
                self._stream.write(f'{moment} {host}{line}\n')
            self._stream.flush()

    def _alive(self, event: events.Looked) -> str:
        """How far it is."""
        counts = tally.count(event.moves)
        parts = [f'{counts.done} of {counts.total} done']
        if counts.moving:
            names = [self._named(move) for move in self._story.in_motion]
            parts.append(f'{counts.moving} moving ({story_.some(names)})')
        if counts.waiting:
            parts.append(f'{counts.waiting} to go')
        if counts.failed:
            parts.append(f'{counts.failed} failed')
        owners = tally.waiting_for_owners(event.moves)
        if owners:
            parts.append(owners)
        elif not (counts.moving or counts.waiting):
            parts.append('still waiting for what ends by itself')
        estimate = figures.time_left(event.time_left)
        return ', '.join([*parts, estimate] if estimate else parts)

    def _named(self, move: moves_.Move) -> str:
        name = text.escape(move.server.name)
        percent, _remaining = figures.copied(move, self._clock())
        return name if percent is None else f'{name} {percent}%'
