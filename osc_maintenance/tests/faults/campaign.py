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

"""Runs cases on hosts that are used again as long as nothing was wrong."""

import collections.abc
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import itertools
import queue
import time

from osc_maintenance import record
from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import fixture
from osc_maintenance.tests.cloud import scene as scene_
from osc_maintenance.tests.faults import cases
from osc_maintenance.tests.faults import checks
from osc_maintenance.tests.faults import client as client_
from osc_maintenance.tests.faults import facts as facts_
from osc_maintenance.tests.faults import reading
from osc_maintenance.tests.faults import stage as stage_
from osc_maintenance.tests.faults import stages

#: So often a command that goes step by step is run at most.
_STEPS = 5
Told = collections.abc.Callable[[cases.Verdict], None]


@dataclasses.dataclass(frozen=True)
class _Reference:
    """What comes of a command without a fault.

    :ivar told: what it answers.
    :ivar end: how things are then.
    :ivar settled: how they are once it is run until nothing is left to do, if
        it goes step by step.
    :ivar record: what the record holds then.
    :ivar undone: how they are when it has been undone.
    :ivar requests: how many requests it makes.
    """

    told: facts_.Json
    end: facts_.Json
    settled: facts_.Json
    record: frozenset[str]
    undone: facts_.Json
    requests: int


class Worker(contextlib.ExitStack):
    """Runs cases, one after another.

    :param cloud: a running cloud.
    """

    def __init__(self, cloud: fixture.Cloud) -> None:
        super().__init__()
        self._cloud = cloud
        self._admin = api.Api(cloud.urls, accounts.ACCOUNTS['admin'])
        self._client = self.enter_context(client_.Client(cloud))
        self._stages: dict[str, tuple[stage_.Stage, _Reference]] = {}

    def requests(self, command: str) -> int:
        """How many requests a command makes."""
        _stage, reference = self._stage(command)
        return reference.requests

    def _stage(self, command: str) -> tuple[stage_.Stage, _Reference]:
        if command not in self._stages:
            # what is wrong on one is left to the end of the worker
            scene = self.enter_context(scene_.Scene(self._cloud))
            stage = stages.STAGES[command](scene, self._client, self._admin)
            self._stages[command] = stage, self._without(stage)
        return self._stages[command]

    def _run(
        self, stage: stage_.Stage, case: cases.Case | None = None
    ) -> client_.Answer:
        return self._client.run(*stage.argv, account=stage.account, case=case)

    def _again(self, stage: stage_.Stage) -> client_.Answer:
        """Run a command once more, and as often as it takes step by step."""
        answer = self._run(stage)
        for _ in range(_STEPS):
            if answer.code or not (stage.steps and reading.rows(answer)):
                break
            # nothing moves then
            stage.facts()
            answer = self._run(stage)
        return answer

    def _without(self, stage: stage_.Stage) -> _Reference:
        """A command without a fault."""
        first = stage.facts()
        stage.prepare()
        earlier = stage.facts()
        answer = self._run(stage)
        later = stage.facts()
        wrong = checks.ended(answer, None, reports=stage.reports)
        wrong += checks.moved(earlier, later, stage.moves)
        wrong += checks.moves(answer, later) + stage.lost(later)
        assert answer.code == 0 and not wrong, f'{wrong} {answer}'
        settled = later
        if stage.steps:
            self._again(stage)
            settled = stage.facts()
        if stage.undone:
            stage.run('unset')
        undone = stage.facts()
        left = checks.undone(first, undone)
        assert not left, f'{left} {answer}'
        return _Reference(
            reading.essence(answer, stage.here),
            later.essence(),
            settled.essence(),
            frozenset(later.metadata) & record.KEYS,
            undone.essence(),
            len(answer.requests),
        )

    def judge(self, case: cases.Case) -> cases.Verdict:
        """Run a case, and see what comes of it."""
        began = time.monotonic()
        try:
            verdict = self._judge(case)
        except Exception as exc:
            verdict = cases.Verdict(
                case, True, '', (f'it broke off: {exc!r}',), '', 0.0
            )
        if verdict.wrong:
            # whatever is left there, the next one does not find it
            self._stages.pop(case.command, None)
        seconds = time.monotonic() - began
        return dataclasses.replace(verdict, seconds=seconds)

    def _judge(self, case: cases.Case) -> cases.Verdict:
        stage, reference = self._stage(case.command)
        stage.prepare()
        before = stage.facts()
        faulty = self._run(stage, case)
        wrong = []
        if faulty.hit:
            wrong += checks.ended(
                faulty,
                case.kind,
                codes=stage.failures,
                names=(stage.named,),
                reports=stage.reports,
            )
        earlier = stage.facts()
        leaves = (before.here | before.unconfirmed) & {*stage.leaving}
        if not (
            stage.steps
            and reading.says_that_more_is_left(faulty, leaves=bool(leaves))
        ):
            ends = [(reference.end, reference.told)]
            if stage.steps:
                # silence lasts until nothing is left to the next run
                told = {**reference.told, 'state': 'maintenance'}
                ends.append((reference.settled, told))
            ways = [
                checks.done(faulty, earlier, end, says, before=before)
                for end, says in ends
            ]
            least = min(ways, key=len)
            wrong += least
        wrong += checks.moves(faulty, earlier) + stage.lost(earlier)
        look = ('host', 'maintenance', 'show', stage.here, '-f', 'json')
        shown = self._client.run(*look)
        later = stage.facts()
        required = reference.record
        if before.marked:
            required = frozenset(before.metadata) & record.KEYS
        wrong += checks.shown(
            shown, earlier, later, stage.leaving, required, reference.end
        )
        stage.later()
        again = self._again(stage)
        last = stage.facts()
        tells = reference.told if stage.state else {}
        wrong += checks.again(again, last, reference.settled, tells, 'again')
        wrong += checks.moved(before, last, stage.moves) + stage.lost(last)
        answers = [faulty, shown, again]
        if stage.settles:
            answers.append(self._run(stage))
            wrong += checks.nothing(answers[-1])
        if stage.undone:
            answers.append(
                self._client.run(
                    *('host', 'maintenance', 'unset', stage.here, '-f', 'json')
                )
            )
            wrong += checks.again(
                answers[-1],
                stage.facts(),
                reference.undone,
                {'state': 'none'},
                'unset',
            )
        said = '\n'.join(map(str, answers if wrong else [faulty]))
        hit = str(faulty.hit or 'not so many requests')
        found = tuple(wrong)
        return cases.Verdict(case, bool(faulty.hit), hit, found, said, 0.0)


def run(
    cloud: fixture.Cloud,
    commands: collections.abc.Sequence[str],
    kinds: collections.abc.Container[cases.Kind],
    every: int,
    workers: int,
    tell: Told,
) -> dict[str, int]:
    """The whole campaign, or a part of it.

    :param cloud: a running cloud.
    :param commands: which commands.
    :param kinds: which faults.
    :param every: only one case of so many.
    :param workers: how many cases run at a time.
    :param tell: is told each verdict.
    :returns: how many requests each command makes.
    """
    requests: dict[str, int] = {}
    for alone in (False, True):
        chosen = [
            name for name in commands if stages.STAGES[name].alone is alone
        ]
        if not chosen:
            continue
        with _others(cloud, alone=alone), Worker(cloud) as first:
            requests |= {name: first.requests(name) for name in chosen}
            todo = [
                cases.of_command(name, requests[name], every)
                for name in chosen
            ]
            found = [
                case
                for case in itertools.chain.from_iterable(todo)
                if case.kind in kinds
            ]
            _work(cloud, first, found, 1 if alone else workers, tell)
    return requests


def run_cases(
    cloud: fixture.Cloud,
    chosen: collections.abc.Sequence[cases.Case],
    tell: Told,
    workers: int = 1,
) -> dict[str, int]:
    """Certain cases.

    :param cloud: a running cloud.
    :param chosen: the cases.
    :param workers: how many run at a time.
    :param tell: is told each verdict.
    :returns: how many requests each command makes.
    """
    alone = any(stages.STAGES[case.command].alone for case in chosen)
    with _others(cloud, alone=alone), Worker(cloud) as worker:
        requests = {
            case.command: worker.requests(case.command) for case in chosen
        }
        _work(cloud, worker, chosen, 1 if alone else workers, tell)
    return requests


@contextlib.contextmanager
def _others(
    cloud: fixture.Cloud, *, alone: bool
) -> collections.abc.Iterator[None]:
    """Keep apart from who acts on all hosts, or from all if we do."""
    directory = cloud.state.directory
    with (directory / 'tests.lock').open('w') as lock:
        # in turn, as the functional tests do
        with (directory / 'tests.turn').open('w') as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def _work(
    cloud: fixture.Cloud,
    first: Worker,
    found: collections.abc.Sequence[cases.Case],
    workers: int,
    tell: Told,
) -> None:
    """Let workers take case after case."""
    todo: queue.SimpleQueue[cases.Case] = queue.SimpleQueue()
    for case in found:
        todo.put(case)

    def work(worker: Worker) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                tell(worker.judge(todo.get_nowait()))

    with contextlib.ExitStack() as stack:
        others = [
            stack.enter_context(Worker(cloud)) for _ in range(workers - 1)
        ]
        with concurrent.futures.ThreadPoolExecutor(workers) as executor:
            list(executor.map(work, (first, *others)))
