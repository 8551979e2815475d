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

"""Whole processes, run and measured, alone or in turn."""

import collections.abc
import dataclasses
import os
import statistics
import subprocess
import time

import yaml

from osc_maintenance.tests.cloud import fixture


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one run of a command cost.

    :ivar wall: seconds.
    :ivar cpu: the client's CPU seconds.
    :ivar memory: the most that it had, in MiB; not less than whoever starts
        it has had, as the kernel counts.
    """

    wall: float
    cpu: float
    memory: float


def counted(
    cloud: fixture.Cloud, name: str, **overrides: str
) -> dict[str, str]:
    """An environment whose admin goes through proxies that count.

    :param cloud: a running cloud.
    :param name: what to call the file that says so.
    :param overrides: more options of the admin in clouds.yaml.
    """
    config = yaml.safe_load(cloud.clouds_yaml.read_text())
    config['clouds']['admin'] |= overrides
    path = cloud.state.directory / f'{name}.yaml'
    path.write_text(yaml.safe_dump(config))
    return {**cloud.environ(), 'OS_CLIENT_CONFIG_FILE': str(path)}


def run(
    command: collections.abc.Sequence[str],
    environ: dict[str, str],
    code: int = 0,
    given: bytes = b'',
) -> Cost:
    """Run a command once.

    :param command: the program, and its arguments.
    :param environ: its environment.
    :param code: the exit status that it is to have.
    :param given: its input.
    :returns: what it cost.
    :raises CalledProcessError: if it ends otherwise.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stdin and process.stderr
    process.stdin.write(given)
    process.stdin.close()
    said = process.stderr.read()
    _pid, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != code:
        raise subprocess.CalledProcessError(
            process.returncode, command, stderr=said
        )
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def compared(
    ours: collections.abc.Sequence[str],
    theirs: collections.abc.Sequence[str],
    environ: dict[str, str],
    runs: int,
) -> dict[str, float]:
    """Run two commands in turn.

    :param ours: the one.
    :param theirs: the other.
    :param environ: their environment.
    :param runs: how often, after one run of each that does not count.
    :returns: medians of both, and of the ratio between neighbours.
    """
    pairs = [
        (run(ours, environ), run(theirs, environ)) for _ in range(runs + 1)
    ][1:]
    return {
        'seconds': statistics.median(a.wall for a, _b in pairs),
        'other_seconds': statistics.median(b.wall for _a, b in pairs),
        'ratio': statistics.median(a.wall / b.wall for a, b in pairs),
        'cpu_ratio': statistics.median(a.cpu / b.cpu for a, b in pairs),
    }
