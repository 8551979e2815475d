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
import pathlib
import signal
import threading

import fixtures

from osc_maintenance.tests.cloud import fixture
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.faults import cases
from osc_maintenance.tests.faults import line as line_

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
    :ivar patient: it has waited on although nobody answered.
    """

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    requests: tuple[line_.Request, ...]
    hit: line_.Request | None
    patient: bool = False

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
        directory = pathlib.Path(where.path)
        self._line = self.useFixture(line_.Line(self._cloud, directory))

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
        silence = case is not None and case.kind is cases.Kind.SILENCE
        started = threading.Event()

        def kill() -> None:
            started.wait()
            going.kill()

        self._line.arm(case, kill)
        going = forked.start(
            argv,
            self._line.environ(account),
            line_.PATIENCE if silence else None,
        )
        started.set()
        over = threading.Timer(_SECONDS, going.send, (signal.SIGABRT,))
        over.start()
        said = going.end(2 * _SECONDS)
        over.cancel()
        self._line.settle()
        answer = Answer(
            argv,
            said.code,
            said.stdout,
            said.stderr,
            tuple(self._line.requests),
            self._line.hit,
            self._line.patient,
        )
        self._line.arm()
        return answer
