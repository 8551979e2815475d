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

"""Moves and streams to report on."""

import datetime
import io
import re

from osc_maintenance.drain import moves
from osc_maintenance.drain import verdict
from osc_maintenance import servers

_CONTROL = re.compile(r'\r|\n|\x1b\[([0-9;?]*)([A-Za-z])')
NOW = datetime.datetime(2026, 11, 20, 10, 43, 52, tzinfo=datetime.UTC)
_A = verdict.Action
_OUTCOMES = {
    _A.LEAVE: moves.Outcome.LEFT,
    _A.BLOCKED: moves.Outcome.BLOCKED,
}


def server_move(
    name: str,
    action: verdict.Action = _A.LIVE_MIGRATE,
    cause: str | None = None,
    *,
    passing: bool = False,
    locked: bool = False,
) -> moves.Move:
    """A move that has not begun, of a server whose id is made of its name."""
    return moves.Move(
        servers.Server(f'id-{name}', name, host='compute1', locked=locked),
        verdict.Verdict(action, cause, passing),
        _OUTCOMES.get(action, moves.Outcome.WAITING),
        cause,
    )


def in_motion(
    name: str,
    action: verdict.Action = _A.LIVE_MIGRATE,
    status: str = 'running',
    started: float = 0.0,
) -> moves.Move:
    """A move that Nova is at, to compute2, for 12 seconds so far."""
    move = server_move(name, action)
    move.begin(started, unsure=False)
    move.running = started
    move.migration = servers.Migration(
        id=7,
        server=move.server.id,
        kind=verdict.KINDS[action],
        status=status,
        source='compute1',
        dest='compute2',
        created=NOW,
        updated=NOW + datetime.timedelta(seconds=12),
    )
    return move


def ended(
    name: str,
    outcome: moves.Outcome,
    cause: str | None = None,
    action: verdict.Action = _A.LIVE_MIGRATE,
) -> moves.Move:
    """A move that has ended."""
    move = in_motion(name, action)
    move.end(outcome, cause)
    return move


class Terminal(io.StringIO):
    """Keeps what is written, as a terminal does that is high enough."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """The lines that can be read."""
        lines, row, column, end = [''], 0, 0, 0
        written = self.getvalue()
        for control in [*_CONTROL.finditer(written), None]:
            text = written[end : control.start() if control else None]
            line = lines[row].ljust(column)
            lines[row] = line[:column] + text + line[column + len(text) :]
            column += len(text)
            if control is None:
                break
            end = control.end()
            if control[0] == '\r':
                column = 0
            elif control[0] == '\n':
                row, column = row + 1, 0
                lines += [''] * (row == len(lines))
            elif control[2] == 'A':
                row -= int(control[1] or 1)
            elif control[0] == '\x1b[2K':
                lines[row] = ''
            elif control[2] not in 'hlm':
                raise AssertionError(f'{control[0]!r} is not known')
        return [line.rstrip() for line in lines if line.strip()]
