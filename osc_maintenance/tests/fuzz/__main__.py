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

"""Fuzz the targets one after the other, and print a table of what came of it.

Exit status 1 says that there was a crash or a hang; what led to it is printed,
and kept in a file that the target takes again: ``--again FILE TARGET``.
"""

import argparse
from concurrent import futures
import dataclasses
import logging
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import traceback

from osc_maintenance.tests.fuzz import targets
from osc_maintenance.tests.unit import places

#: How many seconds one input may take: the commands wait a little themselves.
_HANG = 20
#: How many bytes an input has at most.
_SIZE = 4096
#: How many lines of a crash are shown.
_SHOWN = 60
#: How many cases a process takes at once.
_CHUNK = 20
_RUNS = re.compile(r'^stat::number_of_executed_units:\s*(\d+)', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of one target.

    :ivar runs: how many inputs were tried.
    :ivar seconds: how long that took.
    :ivar crashes: how many there were: libFuzzer stops at the first.
    """

    name: str
    runs: int
    seconds: float
    crashes: int


def _fuzz(name: str, seconds: int, kept: pathlib.Path) -> Result:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        corpus = pathlib.Path(directory)
        for number, seed in enumerate(targets.TARGETS[name].seeds):
            (corpus / f'seed{number}').write_bytes(seed)
        answer = _child(
            name,
            f'-max_total_time={seconds}',
            f'-timeout={_HANG}',
            f'-max_len={_SIZE}',
            f'-artifact_prefix={kept}/{name}-',
            '-print_final_stats=1',
            str(corpus),
        )
    runs = _RUNS.search(answer.stdout)
    if answer.returncode:
        lines = answer.stdout.splitlines()
        sys.stderr.write('\n'.join([*lines[-_SHOWN:], '']))
    return Result(
        name,
        int(runs[1]) if runs else 0,
        time.monotonic() - began,
        1 if answer.returncode else 0,
    )


def _child(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', f'{__package__}.child', name, *options],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
    )


def _every() -> int:
    """Every command with every value at every place; how many went wrong."""
    cases, bad = 0, 0
    with futures.ProcessPoolExecutor() as executor:
        for case, found in executor.map(
            _looked_at, places.every(), chunksize=_CHUNK
        ):
            cases, bad = cases + 1, bad + bool(found)
            if found:
                sys.stderr.write(f'{case!r}: {found}\n')
    sys.stdout.write(f'{cases} cases, {bad} wrong\n')
    return bad


def _looked_at(case: places.Case) -> tuple[places.Case, str]:
    """What is wrong with a case: nothing, or in words."""
    logging.getLogger().setLevel(logging.INFO)
    try:
        return case, '\n'.join(places.wrong(case))
    except Exception:
        return case, traceback.format_exc()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f'python -m {__package__}', description=__doc__
    )
    parser.add_argument(
        'target',
        nargs='*',
        metavar='TARGET',
        help=f'only this of {", ".join(targets.TARGETS)}',
    )
    parser.add_argument(
        '--seconds', type=int, default=60, metavar='N', help='for each target'
    )
    parser.add_argument(
        '--again', type=pathlib.Path, metavar='FILE', help='only this input'
    )
    parser.add_argument(
        '--every',
        action='store_true',
        help='instead, every command with every value of those that the unit '
        'tests sample, at every place of every answer: an hour of CPU',
    )
    return parser


def main() -> int:
    """Fuzz, and print the table."""
    parser = _parser()
    options = parser.parse_args()
    names = options.target or list(targets.TARGETS)
    for name in names:
        if name not in targets.TARGETS:
            parser.error(f'there is no target {name}')
    if options.again:
        for name in names:
            targets.TARGETS[name].run(options.again.read_bytes())
        return 0
    if options.every:
        return 1 if _every() else 0
    kept = pathlib.Path(tempfile.mkdtemp(prefix='fuzz-'))
    results = [_fuzz(name, options.seconds, kept) for name in names]
    lines = [f'{"target":10} {"runs":>10} {"seconds":>8} {"crashes":>8}']
    lines += [
        f'{item.name:10} {item.runs:10} {item.seconds:8.0f} {item.crashes:8}'
        for item in results
    ]
    crashed = any(item.crashes for item in results)
    if crashed:
        lines.append(f'what led to it: {kept}')
    else:
        kept.rmdir()
    sys.stdout.write('\n'.join([*lines, '']))
    return 1 if crashed else 0


if __name__ == '__main__':
    sys.exit(main())
