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

"""What a drain shows on a terminal: changes, and how far everything is."""

import collections.abc
import contextlib
import logging
import sys
import types
import typing

from rich import console
from rich import live
from rich import progress_bar
from rich import table
from rich import text as rich_text

from osc_maintenance.drain import events
from osc_maintenance.drain import figures
from osc_maintenance.drain import moves as moves_
from osc_maintenance.drain import story
from osc_maintenance.drain import tally
from osc_maintenance import text
from osc_maintenance import times

#: How much of a line is not the name of a server, and what that has at least.
_BESIDE_NAME, _LEAST_NAME = 60, 16
_MOST_ROWS = 15
#: The lines of a terminal that are not for single servers.
_OTHER_LINES = 5
_KIB = 1024
_MIB_FROM = 10


class _Row(typing.NamedTuple):
    """One server in motion, as it was at the last event."""

    name: str
    status: str
    percent: str
    remaining: str
    destination: str
    started: float | None


class Live:
    """Changes as lines, and below them how far everything is.

    What is shown is put together at each event: between two events only the
    seconds move on, in a thread that reads no move.

    :param stream: a terminal.
    :param clock: the present in seconds, by the clock of the moves.
    """

    wants_figures = True

    def __init__(
        self,
        stream: typing.TextIO,
        *,
        clock: collections.abc.Callable[[], float],
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._story = story.Story(clock)
        self._console = console.Console(
            file=stream, markup=False, emoji=False, highlight=False
        )
        self._logs = contextlib.ExitStack()
        self._up = False
        self._counts = tally.Tally(0, 0, 0, 0)
        self._rows: tuple[_Row, ...] = ()
        self._time_left: str | None = None
        self._owners: str | None = None
        # this asks for the display at once
        self._live = live.Live(
            console=self._console,
            get_renderable=self._display,
            refresh_per_second=1,
            transient=True,
            # the answer goes to stdout
            redirect_stdout=False,
        )

    @property
    def usable(self) -> bool:
        """Whether the terminal can move its cursor, and the user wants it."""
        return self._console.is_interactive

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self._logs.close()
        with contextlib.suppress(OSError):
            self._live.stop()
        self._up = False

    def __call__(self, event: events.Event) -> None:
        """Show what has happened."""
        lines = self._story.tell(event)
        if isinstance(event, events.Planned):
            lines[0] = f'{self._story.host}: {lines[0]}'
        if isinstance(event, events.Looked):
            self._time_left = figures.time_left(event.time_left)
        self._counts = tally.count(self._story.moves.values())
        self._owners = tally.waiting_for_owners(self._story.moves.values())
        self._rows = tuple(map(self._row, self._story.in_motion))
        # a drain does not end because the terminal is gone
        with contextlib.suppress(OSError):
            for line in lines:
                self._console.print(rich_text.Text(line))
            if self._up:
                self._live.refresh()
            elif self._counts.total:
                self._put_up()

    def _put_up(self) -> None:
        self._up = True
        self._live.start(refresh=True)
        # what is logged goes above the display, and not into it
        for handler in logging.getLogger().handlers:
            if (
                isinstance(handler, logging.StreamHandler)
                and handler.stream is self._stream
            ):
                handler.setStream(sys.stderr)
                self._logs.callback(handler.setStream, self._stream)

    # -- what is shown -----------------------------------------------------

    def _row(self, move: moves_.Move) -> _Row:
        percent, remaining = figures.copied(move, self._clock())
        if move.there:
            # where the server is has still to be seen
            percent = remaining = None
        status = move.migration.status if move.migration else 'requested'
        if move.overdue:
            status += ', overdue'
        return _Row(
            name=text.escape(move.server.name),
            status=text.escape(status),
            percent='' if percent is None else f'{percent}%',
            remaining='' if remaining is None else f'{size(remaining)} left',
            destination=text.escape(move.destination or ''),
            started=move.started,
        )

    def _display(self) -> console.RenderableType:
        """The display as it is now."""
        rows = self._rows
        room = max(self._console.size.height - _OTHER_LINES, 1)
        shown = rows[: min(_MOST_ROWS, room)]
        parts: list[console.RenderableType] = [self._overall()]
        if shown:
            parts.append(self._moving(shown))
        if len(rows) > len(shown):
            more = f'  and {len(rows) - len(shown)} more'
            parts.append(rich_text.Text(more))
        return console.Group(*parts)

    def _overall(self) -> console.RenderableType:
        """The bar, and what it stands for."""
        counts = self._counts
        words = rich_text.Text(
            f'{counts.done} of {counts.total} done, {counts.moving} moving, '
            f'{counts.waiting} to go, '
        )
        style = 'bold red' if counts.failed else ''
        words.append(f'{counts.failed} failed', style)
        if self._time_left:
            words.append(f', {self._time_left}')
        if self._owners:
            words.append(f', {self._owners}')
        grid = table.Table.grid(padding=(0, 1, 0, 0), expand=True)
        grid.add_column(ratio=1, min_width=8)
        grid.add_column(no_wrap=True)
        bar = progress_bar.ProgressBar(
            total=max(counts.total, 1),
            completed=counts.done,
            complete_style='green',
            finished_style='green',
        )
        grid.add_row(bar, words)
        return grid

    def _moving(
        self, rows: collections.abc.Iterable[_Row]
    ) -> console.RenderableType:
        """One line for each server in motion."""
        now = self._clock()
        room = max(self._console.size.width - _BESIDE_NAME, _LEAST_NAME)
        grid = table.Table.grid(padding=(0, 2, 0, 0))
        grid.add_column()
        grid.add_column(min_width=9)
        # what cannot be told from a part of it is not cut
        grid.add_column(min_width=4, justify='right', no_wrap=True)
        grid.add_column(min_width=13, justify='right', no_wrap=True)
        grid.add_column()
        grid.add_column(min_width=6, justify='right', no_wrap=True)
        for row in rows:
            took = ''
            if row.started is not None:
                seconds = max(int(now - row.started), 0)
                took = times.format_duration(seconds)
            there = f'to {row.destination}' if row.destination else ''
            grid.add_row(
                _cell(f'  {shortened(row.name, room)}'),
                _cell(row.status),
                _cell(row.percent),
                _cell(row.remaining),
                _cell(there),
                _cell(took),
            )
        return grid


def _cell(words: str) -> rich_text.Text:
    """Text that is cut, and neither wrapped nor read for markup."""
    return rich_text.Text(words, no_wrap=True, overflow='ellipsis')


def shortened(name: str, room: int) -> str:
    """A name that fits, cut in its middle: names differ at their ends.

    :param name: the name of a server.
    :param room: how many characters there are.
    """
    if len(name) <= room:
        return name
    tail = room // 2
    return f'{name[: room - tail - 1]}…{name[-tail:]}'


def size(count: float) -> str:
    """A number of bytes for people to read."""
    unit = 'B'
    for unit in ('B', 'KiB', 'MiB', 'GiB', 'TiB'):
        if count < _KIB or unit == 'TiB':
            break
        count /= _KIB
    exact = unit != 'B' and count < _MIB_FROM
    return f'{count:.1f} {unit}' if exact else f'{count:.0f} {unit}'
