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

"""What host maintenance costs: start-up, requests, and size.

``tox -e bench`` prints a table, and with ``--json`` an object. It runs the
real ``openstack`` as whole processes: where two are compared they take turns,
and the ratio is the median of the ratios of neighbours, so that it holds on a
machine whose speed drifts.
"""

import argparse
import collections.abc
import dataclasses
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
import typing

import yaml

from osc_maintenance.tests import bench_drain
from osc_maintenance.tests.cloud import fixture
from osc_maintenance.tests.functional import proxy

_HOSTS = ('compute1', 'compute2', 'compute3')
_SIZES = (3, 200, 1000)
#: What is to be reached: requests to Nova.
_MOST = {'show': 5, 'set': 8}


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one run of a command cost, in seconds."""

    wall: float
    cpu: float


def run(
    command: collections.abc.Sequence[str], environ: dict[str, str]
) -> Cost:
    """Run ``openstack`` once.

    :param command: which ``openstack``, and its arguments.
    :param environ: its environment.
    :returns: what it cost.
    :raises CalledProcessError: if it fails.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    said = process.stderr.read()
    _pid, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(
            process.returncode, command, stderr=said
        )
    return Cost(wall, usage.ru_utime + usage.ru_stime)


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


def start_up(
    openstack: str, bare: str, runs: int
) -> dict[str, dict[str, float]]:
    """What a start of ``openstack`` costs, ours and those of others.

    :param openstack: one with the plugin.
    :param bare: one without.
    :param runs: how often to measure.
    :returns: by what is compared, the figures.
    """
    environ = {k: v for k, v in os.environ.items() if not k.startswith('OS_')}
    show = ('host', 'maintenance', 'show', '--help')
    service = ('compute', 'service', 'list', '--help')
    return {
        'host maintenance show --help / compute service list --help': (
            compared((openstack, *show), (openstack, *service), environ, runs)
        ),
        'openstack --version with / without the plugin': compared(
            (openstack, '--version'), (bare, '--version'), environ, runs
        ),
        'compute service list --help with / without the plugin': compared(
            (openstack, *service), (bare, *service), environ, runs
        ),
    }


class Bench:
    """Measures against a cloud.

    :param cloud: a running cloud.
    :param before: a proxy before its Nova.
    :param openstack: an ``openstack`` with the plugin.
    :param runs: how often to measure.
    """

    def __init__(
        self,
        cloud: fixture.Cloud,
        before: proxy.Proxy,
        openstack: str,
        runs: int,
    ) -> None:
        self._cloud = cloud
        self._proxy = before
        self._openstack = openstack
        self._runs = runs
        self._environ = cloud.environ()
        config = yaml.safe_load(cloud.clouds_yaml.read_text())
        config['clouds']['admin']['compute_endpoint_override'] = (
            f'{before.url}/v2.1'
        )
        path = cloud.state.directory / 'counted.yaml'
        path.write_text(yaml.safe_dump(config))
        self._counted = {
            **self._environ,
            'OS_CLIENT_CONFIG_FILE': str(path),
        }

    def requests(self, *arguments: str) -> int:
        """How many requests a command makes to Nova.

        :param arguments: those of ``openstack``.
        :returns: how many were seen on the wire, version discovery apart.
        """
        self._proxy.requests.clear()
        run((self._openstack, *arguments), self._counted)
        return sum(path != '/v2.1' for _m, path in self._proxy.requests)

    def commands(self) -> dict[str, int]:
        """Requests of each command, on an empty host."""
        host = _HOSTS[0]
        ours = ('host', 'maintenance')
        return {
            'show (not in maintenance)': self.requests(*ours, 'show', host),
            'set': self.requests(*ours, 'set', host),
            'set again': self.requests(*ours, 'set', host),
            'show': self.requests(*ours, 'show', host),
            'list': self.requests(*ours, 'list'),
            'apply': self.requests(*ours, 'apply'),
            'unset': self.requests(*ours, 'unset', host),
            'unset again': self.requests(*ours, 'unset', host),
            'set --start +1h': self.requests(
                *ours, 'set', host, '--start', '+1h'
            ),
            'set --now': self.requests(*ours, 'set', host, '--now'),
            'unset of it': self.requests(*ours, 'unset', host),
        }

    def lists(self) -> dict[int, dict[str, float]]:
        """``list`` in clouds of several sizes, beside OSC's own listing.

        The three real hosts are in maintenance, the others are rows of
        Nova's database.
        """
        for host in _HOSTS:
            command = (self._openstack, 'host', 'maintenance', 'set', host)
            run(command, self._environ)
        listing = ('host', 'maintenance', 'list', '-f', 'json')
        service = ('compute', 'service', 'list', '-f', 'json')
        figures: dict[int, dict[str, float]] = {}
        for size in _SIZES:
            if size > len(_HOSTS):
                self._cloud.control.phantoms(size - len(_HOSTS))
            figures[size] = {
                'requests': self.requests(*listing),
                'requests_all': self.requests(*listing, '--all'),
                **compared(
                    (self._openstack, *listing, '--all'),
                    (self._openstack, *service),
                    self._environ,
                    self._runs,
                ),
            }
        return figures


def table(figures: dict[str, typing.Any]) -> str:
    """The figures as people read them."""
    lines = [
        f'{"start-up":<64} ratio   cpu    seconds',
        *(
            f'{name:<64} {f["ratio"]:5.3f} {f["cpu_ratio"]:5.3f}  '
            f'{f["seconds"]:.3f} / {f["other_seconds"]:.3f}'
            for name, f in figures['start_up'].items()
        ),
        'to reach: 1.03, and no measurable difference with the plugin',
        '',
        'requests to Nova, version discovery apart',
        *(
            f'{name:<64} {count:5}'
            for name, count in figures['requests'].items()
        ),
        'to reach: '
        + ', '.join(f'{verb} {most}' for verb, most in _MOST.items()),
        '',
        f'list, {len(_HOSTS)} hosts in maintenance, and compute service list',
        'hosts   requests   with --all   seconds with --all / other   ratio',
        *(
            f'{size:>5} {f["requests"]:10} {f["requests_all"]:12} '
            f'{f["seconds"]:20.3f} / {f["other_seconds"]:.3f} '
            f'{f["ratio"]:11.3f}'
            for size, f in figures['list'].items()
        ),
        'to reach: as many requests whatever the number of hosts',
    ]
    return '\n'.join(lines)


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--runs', type=int, default=15, metavar='N')
    parser.add_argument(
        '--only', choices=('start-up', 'drain'), help='a part of it'
    )
    parser.add_argument(
        '--large',
        action='store_true',
        help='a drain of a host with 500 servers as well',
    )
    parser.add_argument(
        '--openstack',
        required=True,
        metavar='PATH',
        help='an openstack with the plugin, where this Python has one without',
    )
    options = parser.parse_args()
    openstack = str(pathlib.Path(options.openstack).absolute())
    bare = str(pathlib.Path(sys.executable).with_name('openstack'))
    with (
        fixture.Cloud() as cloud,
        proxy.Proxy(cloud.urls['compute']) as before,
    ):
        figures: dict[str, typing.Any] = {
            'python': platform.python_version(),
            'runs': options.runs,
        }
        tables = []
        # before there are hosts that are rows of the database only
        if options.only != 'start-up':
            drains = bench_drain.Drains(cloud, before, openstack)
            drained = bench_drain.measure(drains, large=options.large)
            figures['drain'] = bench_drain.as_json(drained)
            tables.append(bench_drain.table(drained))
        if options.only != 'drain':
            bench = Bench(cloud, before, openstack, options.runs)
            figures['requests'] = bench.commands()
            figures['list'] = bench.lists()
            figures['start_up'] = start_up(openstack, bare, options.runs)
            tables.append(table(figures))
    text = '\n\n'.join(tables)
    if options.json:
        text = json.dumps(figures, indent=2)
    sys.stdout.write(text + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
