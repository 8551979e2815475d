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

"""What a drain costs, beside what operators do today.

Sixty servers leave a host, and their migrations take 1 to 8 seconds, the
larger ones longer; Nova's own limit does not bind. How long that has to take
at least is known from Nova's own records of the migrations: their sum divided
by how many may be in motion, or the longest.
"""

import collections.abc
import dataclasses
import datetime
import math
import os
import pathlib
import random
import shlex
import subprocess
import sys
import time
import typing

from osc_maintenance.tests.cloud import control
from osc_maintenance.tests.cloud import fixture
from osc_maintenance.tests.cloud import scene as scene_
from osc_maintenance.tests import costs
from osc_maintenance.tests.functional import proxy

_SEED = 4711
_SHORTEST, _LONGEST = 1.0, 8.0
_AT_ONCE = 64
_HOST: control.Machine = {
    'vcpus': 1024,
    'memory_mb': 1024 * 1024,
    'live_migrations': _AT_ONCE,
}
#: Of how many sizes the servers are, and what the smallest has.
_SIZES, _MIB = 8, 64
_SERVERS, _MANY = 60, 500
#: A few servers whose migrations take as long as they do in life.
_FEW, _MINUTES = 16, (60.0, 120.0)
#: How long the cloud is left alone before anything is measured, in seconds.
_REST = 10.0
_TO_REACH = {4: 1.10, 16: 1.25}
_XARGS = 'server list | xargs -P 4 server migrate --wait'


@dataclasses.dataclass(frozen=True)
class Figures:
    """What one way to empty a host cost.

    :ivar wall: seconds until the host was empty.
    :ivar bound: the seconds that it has to take at least.
    :ivar requests: requests to Nova, for each server.
    :ivar cpu: the client's CPU seconds.
    :ivar memory: the client's largest process, in MiB.
    :ivar moved: servers that were elsewhere at the end.
    """

    wall: float
    bound: float
    requests: float
    cpu: float
    memory: float
    moved: int

    @property
    def ratio(self) -> float:
        """How many times as long as it has to take."""
        return self.wall / self.bound if self.bound else 0.0


class Drains:
    """Empties hosts in several ways.

    :param cloud: a running cloud.
    :param before: a proxy before its Nova.
    :param openstack: an ``openstack`` with the plugin.
    """

    def __init__(
        self, cloud: fixture.Cloud, before: proxy.Proxy, openstack: str
    ) -> None:
        self._cloud = cloud
        self._proxy = before
        self._openstack = openstack
        self._environ = costs.counted(
            cloud, 'counted', compute_endpoint_override=f'{before.url}/v2.1'
        )

    def set_(self, parallel: int) -> collections.abc.Callable[[str], str]:
        """Our own drain."""
        return lambda host: (
            f'{self._openstack} -q host maintenance set {host} --migrate all '
            f'--max-parallel {parallel}'
        )

    def evacuate_live(self, host: str) -> str:
        """What novaclient has: all at once, and nobody waits."""
        nova = pathlib.Path(sys.executable).with_name('nova')
        # it does not know clouds.yaml
        variables = self._cloud.environ_of_variables()
        given = (f'{k}={v}' for k, v in variables.items() if k[:3] == 'OS_')
        return shlex.join(
            (
                *('env', *given, str(nova), '--os-endpoint-override'),
                *(f'{self._proxy.url}/v2.1', 'host-evacuate-live'),
                *('--strict', host),
            )
        )

    def xargs(self, parallel: int) -> collections.abc.Callable[[str], str]:
        """What a shell can do with OpenStackClient."""
        return lambda host: (
            f'{self._openstack} server list --all-projects --host {host} '
            f'-f value -c ID | xargs -P {parallel} -n 1 '
            f'{self._openstack} server migrate --live-migration --wait'
        )

    def measure(
        self,
        command: collections.abc.Callable[[str], str],
        servers: int,
        parallel: int,
        seconds: tuple[float, float] = (_SHORTEST, _LONGEST),
        *,
        alike: bool = False,
    ) -> Figures:
        """Fill a host, empty it, and see what that cost.

        :param command: makes a shell command from the host's name.
        :param servers: how many servers there are.
        :param parallel: how many may be in motion at once.
        :param seconds: the shortest and the longest migration.
        :param alike: all servers are of one size, whatever their migrations
            take; otherwise the longer a migration, the larger the server.
        :returns: the figures.
        """
        with scene_.Scene(self._cloud) as scene:
            source, *_ = (scene.host(**_HOST) for _ in range(3))
            chosen = random.Random(_SEED)
            durations = [chosen.uniform(*seconds) for _ in range(servers)]
            for size in range(1, _SIZES + 1):
                these = [
                    duration
                    for duration in durations
                    if size == math.ceil(duration / seconds[1] * _SIZES)
                ]
                memory = _MIB * (_SIZES if alike else size)
                made = scene.servers(
                    [f'web{size}-{number}' for number in range(len(these))],
                    on=source,
                    flavor=scene.flavor(memory_mb=memory),
                )
                for server, duration in zip(made, these, strict=True):
                    scene.migration_of(server, seconds=duration)
            return self._measured(source, command(source), parallel)

    def _measured(self, source: str, command: str, parallel: int) -> Figures:
        before = self._on(source)
        # reading the client from the disk is no part of it
        subprocess.run(
            (self._openstack, 'host', 'maintenance', 'show', source),
            env=self._environ,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        # nor is what booting so many has left to do
        time.sleep(_REST)
        self._proxy.requests.clear()
        began = time.monotonic()
        process = subprocess.Popen(
            ('sh', '-c', command),
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _pid, _status, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        requests = sum(p != '/v2.1' for _m, p in self._proxy.requests)
        ended = time.monotonic()
        while self._busy(source):
            # some ways do not wait for what they start
            time.sleep(0.5)
            ended = time.monotonic()
        wall = ended - began
        took = self._durations(source)
        return Figures(
            wall=wall,
            bound=max(sum(took) / parallel, max(took, default=0.0)),
            requests=requests / before,
            cpu=usage.ru_utime + usage.ru_stime,
            memory=usage.ru_maxrss / 1024,
            moved=before - self._on(source),
        )

    def _on(self, host: str) -> int:
        return len(self._servers(host))

    def _busy(self, host: str) -> bool:
        """Whether something is being done to a server that is there."""
        task = 'OS-EXT-STS:task_state'
        return any(server[task] for server in self._servers(host))

    def _servers(self, host: str) -> list[dict[str, typing.Any]]:
        path = f'/servers/detail?all_tenants=1&host={host}'
        found: list[dict[str, typing.Any]] = self._cloud.api().get(
            'compute', path
        )['servers']
        return found

    def _durations(self, host: str) -> list[float]:
        """How long Nova's records say that the migrations took."""
        path = f'/os-migrations?source_compute={host}'
        found = self._cloud.api().get('compute', path)['migrations']
        return [
            (
                _moment(item['updated_at']) - _moment(item['created_at'])
            ).total_seconds()
            for item in found
        ]


def _moment(value: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(value)


def _set(parallel: int) -> str:
    return f'set --max-parallel {parallel}'


def _row(way: str, servers: int) -> str:
    return f'{way}, {servers} servers'


def measure(drains: Drains, *, large: bool) -> dict[str, Figures]:
    """Every way, one after another.

    :param drains: the cloud.
    :param large: a host with many servers as well.
    :returns: the figures of each way.
    """
    ways: dict[str, tuple[collections.abc.Callable[[str], str], int]] = {
        **{
            _set(number): (drains.set_(number), number)
            for number in (1, 4, 16)
        },
        _XARGS: (drains.xargs(4), 4),
        'nova host-evacuate-live': (drains.evacuate_live, _AT_ONCE),
    }
    figures: dict[str, Figures] = {}

    def note(name: str, found: Figures) -> None:
        """All of it takes half an hour: show what is known."""
        figures[name] = found
        sys.stderr.write(f'{_line(name, found)}\n')

    for name, (command, parallel) in ways.items():
        found = drains.measure(command, _SERVERS, parallel)
        note(_row(name, _SERVERS), found)
    found = drains.measure(drains.set_(4), _SERVERS, 4, alike=True)
    note(f'{_row(_set(4), _SERVERS)} of one size', found)
    found = drains.measure(drains.set_(4), _FEW, 4, _MINUTES)
    note(f'{_row(_set(4), _FEW)} of minutes', found)
    if large:
        found = drains.measure(drains.set_(16), _MANY, 16)
        note(_row(_set(16), _MANY), found)
    return figures


def _line(name: str, figures: Figures) -> str:
    f = figures
    return (
        f'{name:<60} {f.moved:5} {f.wall:9.1f} {f.bound:7.1f} {f.ratio:6.2f} '
        f'{f.requests:21.2f} {f.requests * f.moved / f.wall:8.2f} '
        f'{f.cpu:6.2f} {f.memory:5.0f}'
    )


def table(figures: dict[str, Figures]) -> str:
    """The figures as people read them."""
    head = (
        f'{"emptying a host":<60} moved   seconds   bound  ratio  '
        'Nova requests/server  /second  cpu s   MiB'
    )
    rows = [_line(name, found) for name, found in figures.items()]
    return '\n'.join([head, *rows, *_goals(figures)])


def _goals(figures: dict[str, Figures]) -> list[str]:
    """What is to be reached; measured here what is no column."""
    ratios = ', '.join(f'{r:.2f} at {n}' for n, r in _TO_REACH.items())
    xargs = figures[_row(_XARGS, _SERVERS)]
    cpu = figures[_row(_set(4), _SERVERS)].cpu / xargs.cpu
    goals = [
        f'to reach: ratio {ratios}; 4 Nova requests per server at 4;',
        'with moves of minutes a request every few seconds;',
        f'a tenth of the CPU of xargs at 4: {cpu:.3f} of it',
    ]
    many = figures.get(_row(_set(16), _MANY))
    if many:
        few = figures[_row(_set(16), _SERVERS)]
        goals.append(
            f'memory for {_MANY} servers, and for {_SERVERS}, at 16: '
            f'{many.memory:.0f} and {few.memory:.0f} MiB'
        )
    return goals


def as_json(figures: dict[str, Figures]) -> dict[str, typing.Any]:
    """The figures for programs."""
    return {
        name: {**dataclasses.asdict(f), 'ratio': f.ratio}
        for name, f in figures.items()
    }
