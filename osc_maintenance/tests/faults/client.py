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

"""Runs ``openstack`` through what spoils its requests."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

import fixtures

from osc_maintenance.tests.cloud import fixture
from osc_maintenance.tests.faults import cases
from osc_maintenance.tests.faults import line as line_

_ZYGOTE = 'osc_maintenance.tests.faults.zygote'
#: What of an answer is shown with a case that is wrong.
_SHOWN = (
    'state',
    'cause',
    'service_status',
    'disabled_reason',
    'servers',
    'emptied',
    'changed',
    'moves',
    'reply',
    'action',
)
#: How long a command takes at most, before it is ended.
_SECONDS = 240.0


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a command printed, how it ended, and what it asked for.

    :ivar hit: the request that was spoiled.
    """

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    requests: tuple[line_.Request, ...]
    hit: line_.Request | None

    def __str__(self) -> str:
        lines = [f'$ openstack {" ".join(self.argv)}', f'exit {self.code}']
        try:
            told = json.loads(self.stdout)
            rows = told if isinstance(told, list) else [told]
            of = [{k: r[k] for k in _SHOWN if k in r} for r in rows]
            lines += map(json.dumps, of)
        except ValueError:
            lines.append(self.stdout)
        return '\n'.join(x for x in (*lines, self.stderr.rstrip()) if x)


class Client(fixtures.Fixture):
    """Runs commands, one at a time.

    :param cloud: a running cloud.
    """

    def __init__(self, cloud: fixture.Cloud) -> None:
        super().__init__()
        self._cloud = cloud

    def _setUp(self) -> None:
        where = self.useFixture(fixtures.TempDir())
        self._directory = pathlib.Path(where.path)
        self._line = self.useFixture(line_.Line(self._cloud, self._directory))
        self._zygote = subprocess.Popen(
            (sys.executable, '-m', _ZYGOTE),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self._end)

    def _end(self) -> None:
        assert self._zygote.stdin and self._zygote.stdout
        self._zygote.stdin.close()
        self._zygote.wait()
        self._zygote.stdout.close()

    def run(
        self,
        *argv: str,
        account: str = 'admin',
        case: cases.Case | None = None,
    ) -> Answer:
        """Run ``openstack`` to its end.

        :param argv: its arguments.
        :param account: whose command it is.
        :param case: what is to go wrong.
        """
        assert self._zygote.stdin and self._zygote.stdout
        killed, process = line_.Killed(), 0
        out, err = (self._directory / name for name in ('out', 'err'))
        silence = case is not None and case.kind is cases.Kind.SILENCE
        told = {
            'argv': argv,
            'environ': self._line.environ(account),
            'stdout': str(out),
            'stderr': str(err),
            'answer': line_.PATIENCE if silence else None,
        }
        started = threading.Event()

        def kill() -> None:
            started.wait()
            os.kill(process, signal.SIGKILL)
            killed.wait()

        self._line.arm(case, kill)
        self._zygote.stdin.write(json.dumps(told) + '\n')
        self._zygote.stdin.flush()
        process = int(self._zygote.stdout.readline())
        started.set()
        over = threading.Timer(_SECONDS, os.kill, (process, signal.SIGABRT))
        over.start()
        _process, code = map(int, self._zygote.stdout.readline().split())
        over.cancel()
        killed.is_gone()
        self._line.settle()
        answer = Answer(
            argv,
            code,
            out.read_text(),
            err.read_text(),
            tuple(self._line.requests),
            self._line.hit,
        )
        self._line.arm()
        return answer
