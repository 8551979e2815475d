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

"""Runs ``openstack``, forked from a process that has imported it."""

import collections.abc
import contextlib
import dataclasses
import functools
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading

from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.commands import zygote

#: How long a command takes at most, and what it is waited to say.
SECONDS = 200.0
#: How long the last of what a command has printed takes.
_LAST_WORDS = 30.0


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit status."""

    stdout: str
    stderr: str
    code: int


class Command:
    """A command that runs, and what it has said so far.

    :param files: where to read its stdout and its stderr.
    """

    def __init__(self, files: collections.abc.Iterable[int]) -> None:
        self._pid = 0
        self._code: int | None = None
        self._over = threading.Event()
        self._stdout: list[str] = []
        self._stderr: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in zip(files, (self._stdout, self._stderr), strict=True)
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(file: int, lines: list[str]) -> None:
        with os.fdopen(file, errors='replace') as stream:
            for line in stream:
                lines.append(line)  # noqa: PERF402 - as they come

    def began(self, pid: int) -> None:
        """It has been started."""
        self._pid = pid

    def ended(self, code: int) -> None:
        """It is over."""
        self._code = code
        self._over.set()

    @property
    def code(self) -> int | None:
        """Its exit code, or minus a signal; None while it runs."""
        return self._code

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        return ''.join(self._stderr)

    def says(self, words: str) -> None:
        """Wait until it has said this."""

        def look() -> bool:
            if self.code is not None:
                self._join()
                if words not in self.stderr:
                    raise AssertionError(
                        f'ended with {self.code} without {words!r}: '
                        f'{self.stderr}'
                    )
            return words in self.stderr

        operations.wait_for(f'it says {words!r}', look, SECONDS)

    def runs_on(self, seconds: float) -> bool:
        """Whether it has not ended after so many seconds more."""
        return not self._over.wait(seconds)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it is over."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def kill(self) -> None:
        """Kill it for good, and see it gone."""
        self.send(signal.SIGKILL)
        self._over.wait(SECONDS)

    def end(self, seconds: float = SECONDS) -> Answer:
        """Wait for its end."""
        if self.runs_on(seconds):
            self.kill()
            raise AssertionError(f'it does not end: {self.stderr}')
        self._join()
        assert self._code is not None
        return Answer(''.join(self._stdout), self.stderr, self._code)

    def _join(self) -> None:
        for reader in self._readers:
            reader.join(_LAST_WORDS)


class _Zygote:
    """Starts commands, any number at once, as long as this process lives."""

    def __init__(self) -> None:
        self._line, there = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET
        )
        with there:
            subprocess.Popen(
                (sys.executable, '-m', zygote.__name__, str(there.fileno())),
                stdin=subprocess.DEVNULL,
                pass_fds=(there.fileno(),),
            )
        self._lock = threading.Lock()
        self._starting: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._started: queue.SimpleQueue[bool] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        going: dict[int, Command] = {}
        while message := self._line.recv(zygote.LONGEST):
            pid, *code = json.loads(message)
            if code:
                going.pop(pid).ended(code[0])
            else:
                going[pid] = self._starting.get()
                going[pid].began(pid)
                self._started.put(True)
        self._started.put(False)

    def start(
        self,
        argv: collections.abc.Sequence[str],
        environ: collections.abc.Mapping[str, str],
        answer: float | None,
    ) -> Command:
        """Start a command."""
        pipes = [os.pipe() for _ in range(2)]
        told = {'argv': argv, 'environ': dict(environ), 'answer': answer}
        with self._lock:
            made = Command(readable for readable, _writable in pipes)
            self._starting.put(made)
            written = [writable for _readable, writable in pipes]
            socket.send_fds(self._line, [json.dumps(told).encode()], written)
            for writable in written:
                os.close(writable)
            if not self._started.get():
                raise AssertionError('what starts commands is gone')
        return made


@functools.cache
def _zygote() -> _Zygote:
    return _Zygote()


def start(
    argv: collections.abc.Sequence[str],
    environ: collections.abc.Mapping[str, str],
    answer: float | None = None,
) -> Command:
    """Start ``openstack``.

    :param argv: its arguments.
    :param environ: its whole environment.
    :param answer: how long it waits for an answer, in seconds, if that is not
        to be as it is.
    """
    return _zygote().start(argv, environ, answer)
