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

"""A drain as somebody at a terminal sees it."""

import contextlib
import os
import pty
import re
import signal
import termios
import threading

from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import base
from osc_maintenance.tests.functional import drains

Exit = drains.Exit
#: What moves the cursor, or colours.
_ESCAPES = re.compile(r'\x1b\[[0-9;?]*[A-Za-z]')
_HIDE_CURSOR, _SHOW_CURSOR = '\x1b[?25l', '\x1b[?25h'
_LINES, _COLUMNS = 30, 110


class Terminal:
    """A terminal, and ``openstack`` in it.

    :param environ: its environment.
    :param arguments: those of the command.
    :param kind: what terminal it says that it is.
    """

    def __init__(
        self,
        environ: dict[str, str],
        *arguments: str,
        kind: str = 'xterm-256color',
    ) -> None:
        command = [base.executable(), *arguments]
        environ = {**environ, 'TERM': kind}
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            termios.tcsetwinsize(0, (_LINES, _COLUMNS))
            os.execve(command[0], command, environ)
        self._seen = b''
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # a terminal whose program has ended cannot be read
        with contextlib.suppress(OSError):
            while data := os.read(self._terminal, 4096):
                self._seen += data

    @property
    def raw(self) -> str:
        """Everything that was written to it."""
        return self._seen.decode(errors='replace')

    @property
    def text(self) -> str:
        """The same without what is not to be read."""
        return _ESCAPES.sub('', self.raw)

    def says(self, words: str) -> None:
        """Wait until this can be read."""
        operations.wait_for(
            f'the terminal says {words!r}',
            lambda: re.search(words, self.text),
            forked.SECONDS,
        )

    def type(self, keys: bytes) -> None:
        """What somebody types."""
        os.write(self._terminal, keys)

    def end(self) -> int:
        """Wait for the end of the command: its exit status."""
        _pid, status = os.waitpid(self._pid, 0)
        self._reader.join(30)
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """Kill it, if it still runs."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


class TestTerminal(drains.DrainTestCase):
    def set_on(self, host: str, kind: str = 'xterm-256color') -> Terminal:
        """A terminal in which a host is drained."""
        made = Terminal(
            self.cloud.environ(),
            *('host', 'maintenance', 'set', host, '--migrate', 'all'),
            kind=kind,
        )
        self.addCleanup(made.kill)
        return made

    def test_progress(self) -> None:
        # one goes while the other hangs
        here, there = self.scene.host(live_migrations=2), self.scene.host()
        web = self.scene.server('web', on=here)
        db = self.scene.server('db', on=here)
        self.scene.migration_of(web, hangs=True)
        seen = self.set_on(here)
        seen.says(r'web +running +\d+% +[\d.]+ [KMG]?i?B left +to host')
        seen.says('1 of 2 done, 1 moving, 0 to go, 0 failed')
        running = self.migration(web, 'running')
        self.admin.post(
            'compute',
            f'/servers/{web.id}/migrations/{running["id"]}/action',
            {'force_complete': None},
        )
        self.assertEqual(Exit.DONE, seen.end(), seen.text)

        for words in (
            rf'{here}: 2 servers to move \(2 live-migrate\), 2 at a time',
            'Ctrl-C stops starting moves',
            rf'db \({db.id}\): moved to {there}',
            rf'web \({web.id}\): moved to {there}',
            r'\| State +\| maintenance ',
        ):
            self.assertRegex(seen.text, words)
        # the display is gone before the answer, and the cursor is back
        display, _, rest = seen.raw.rpartition(_SHOW_CURSOR)
        self.assertIn(_HIDE_CURSOR, display)
        self.assertIn('| State', rest)
        self.assertNotIn(' moving, ', rest)

    def test_ctrl_c(self) -> None:
        here, _there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        self.scene.migration_of(web, hangs=True)
        seen = self.set_on(here)
        seen.says('web +running')
        seen.type(b'\x03')
        self.assertEqual(Exit.INTERRUPTED, seen.end(), seen.text)
        _display, _, rest = seen.raw.rpartition(_SHOW_CURSOR)
        self.assertIn(
            'interrupted: 0 of 1 done; 1 server is in motion and goes on in '
            'Nova: web',
            seen.text,
        )
        self.assertRegex(rest, r'\| State +\| migrating ')
        self.assertNotIn('Traceback', seen.text)

    def test_a_terminal_that_cannot_move_its_cursor(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        seen = self.set_on(here, 'dumb')
        self.assertEqual(Exit.DONE, seen.end(), seen.text)
        self.assertEqual(seen.text, seen.raw)
        self.assertRegex(
            seen.text,
            rf'\d\dZ {here}: web \({web.id}\): moved to {there} in \d+s',
        )
