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
real ``openstack`` as whole processes, and ends with exit status 1 if a bound
on size or requests is broken. Where two are compared they take turns,
and the ratio is the median of the ratios of neighbours, so that it holds on a
machine whose speed drifts.
"""

import argparse
import json
import os
import pathlib
import platform
import sys
import typing

from osc_maintenance.tests import bench_drain
from osc_maintenance.tests import bench_figures
from osc_maintenance.tests import bench_size
from osc_maintenance.tests.cloud import fixture
from osc_maintenance.tests import costs
from osc_maintenance.tests.functional import proxy

_HOST = 'compute1'
#: What is to be reached: requests to Nova. One of set is for a colleague who
#: disables the host while its record is written.
_MOST = {'show': 5, 'set': 9}


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
            costs.compared(
                (openstack, *show), (openstack, *service), environ, runs
            )
        ),
        'openstack --version with / without the plugin': costs.compared(
            (openstack, '--version'), (bare, '--version'), environ, runs
        ),
        'compute service list --help with / without the plugin': (
            costs.compared(
                (openstack, *service), (bare, *service), environ, runs
            )
        ),
    }


class Bench:
    """Measures against a cloud.

    :param cloud: a running cloud.
    :param before: a proxy before its Nova.
    :param openstack: an ``openstack`` with the plugin.
    """

    def __init__(
        self, cloud: fixture.Cloud, before: proxy.Proxy, openstack: str
    ) -> None:
        self._proxy = before
        self._openstack = openstack
        self._counted = costs.counted(
            cloud, 'counted', compute_endpoint_override=f'{before.url}/v2.1'
        )

    def requests(self, *arguments: str) -> int:
        """How many requests a command makes to Nova.

        :param arguments: those of ``openstack``.
        :returns: how many were seen on the wire, version discovery apart.
        """
        self._proxy.requests.clear()
        costs.run((self._openstack, *arguments), self._counted)
        return sum(path != '/v2.1' for _m, path in self._proxy.requests)

    def commands(self) -> dict[str, int]:
        """Requests of each command, on an empty host."""
        host = _HOST
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
    ]
    return '\n'.join(lines)


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--runs', type=int, default=15, metavar='N')
    parser.add_argument(
        '--only', choices=('start-up', 'drain', 'size'), help='a part of it'
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
        tables, broken = [], []
        if options.only in (None, 'drain'):
            drains = bench_drain.Drains(cloud, before, openstack)
            drained = bench_drain.measure(drains, large=options.large)
            figures['drain'] = bench_drain.as_json(drained)
            tables.append(bench_drain.table(drained))
        if options.only in (None, 'start-up'):
            bench = Bench(cloud, before, openstack)
            figures['requests'] = counts = bench.commands()
            broken += [
                f'{verb} makes {counts[verb]} requests, and not {most} at most'
                for verb, most in _MOST.items()
                if counts[verb] > most
            ]
            figures['start_up'] = start_up(openstack, bare, options.runs)
            tables.append(table(figures))
        # the last: it leaves the cloud full
        if options.only in (None, 'size'):
            sizes = bench_size.measure(cloud, openstack, before, options.runs)
            figures['size'] = bench_figures.as_json(sizes)
            tables.append(bench_figures.table(sizes))
            broken += bench_figures.broken(sizes)
    text = '\n\n'.join(tables)
    if options.json:
        text = json.dumps(figures, indent=2)
    sys.stdout.write(text + '\n')
    for line in broken:
        sys.stderr.write(f'broken: {line}\n')
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
