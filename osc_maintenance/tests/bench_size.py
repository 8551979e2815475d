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

"""What the commands cost in clouds of several sizes, and how that grows.

Half of the hosts are in maintenance: of ten, four are just that, two are
planned, two are overdue, and two are to be emptied and are not. There are 20
servers on each host, and on one host half as many as there are hosts.
"""

import collections.abc
import json
import statistics
import sys

from osc_maintenance import exit_codes
from osc_maintenance import parallel
from osc_maintenance.tests import bench_figures
from osc_maintenance.tests.cloud import control
from osc_maintenance.tests.cloud import crowd
from osc_maintenance.tests.cloud import fixture
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.cloud import scene as scene_
from osc_maintenance.tests import costs
from osc_maintenance.tests.functional import proxy

_SIZES = (10, 100, 1000)
_EACH = 20
#: compute1 to compute3, and the two of the scene.
_REAL = fixture.HOSTS + 2
_HOST: control.Machine = {'vcpus': 1024, 'memory_mb': 1024 * 1024}
_PAST = {
    'maintenance:window_start': '2026-01-01T00:00:00Z',
    'maintenance:window_end': '2026-01-01T02:00:00Z',
}
#: Of so many hosts in maintenance, which are what.
_KINDS = ('entered', 'entered', 'planned', 'overdue', 'to be emptied')
#: How often to measure at most: with a thousand hosts it takes a while.
_RUNS = 3
_OURS = ('-q', 'host', 'maintenance')
#: How long openstack itself takes to start, and for a list of its own.
_OTHER = 'compute service list'
#: How long a drain is watched that waits for a move, in seconds.
_SHORT, _LONG = 15, 45
#: As many requests as we have under way at once.
_WIDTH = parallel.WIDTH
_HYPERVISORS = '/os-hypervisors'
_BARE = (sys.executable, '-m', 'osc_maintenance.tests.bare')
_DRAIN = 'a drain that waits, 30 s of it'


class Sizes:
    """A cloud that grows.

    :param cloud: a running cloud, which is left as it is then.
    :param openstack: an ``openstack`` with the plugin.
    :param nova: a proxy before its Nova.
    :param placement: a proxy before its Placement.
    :param runs: how often to measure what changes nothing.
    """

    def __init__(
        self,
        cloud: fixture.Cloud,
        openstack: str,
        nova: proxy.Proxy,
        placement: proxy.Proxy,
        runs: int,
    ) -> None:
        self._cloud = cloud
        self._runs = min(runs, _RUNS)
        self._openstack = openstack
        self._nova, self._placement = nova, placement
        self._crowd = crowd.Crowd(cloud.state.data)
        self._environ = cloud.environ()
        self._counted = costs.counted(
            cloud,
            'counted-size',
            compute_endpoint_override=f'{nova.url}/v2.1',
            placement_endpoint_override=placement.url,
        )
        # nothing of it is taken away: that would take longer than all else
        self._scene = scene_.Scene(cloud)
        self._scene.setUp()
        self.crowded = self._scene.host('crowded', **_HOST)
        self._scene.host('spare', **_HOST)
        self._web = self._scene.server('web', on=self.crowded)
        self._db = self._scene.server('db', on=self.crowded, flavor='m1.small')
        self._scene.migration_of(self._db, hangs=True)
        self._records = self._patterns()
        self._phantoms: list[str] = []
        self._in_maintenance: list[str] = []
        self._on_crowded = 2

    def _patterns(self) -> dict[str, tuple[dict[str, str], str | None]]:
        """Metadata of the aggregate and disabled_reason, by kind."""
        options = {
            'entered': ('--duration', '30d'),
            'planned': ('--start', '+1d', '--duration', '2h'),
            'to be emptied': ('--duration', '30d', '--migrate', 'all'),
        }
        found: dict[str, tuple[dict[str, str], str | None]] = {}
        for number, (kind, given) in enumerate(options.items(), 1):
            host = f'compute{number}'
            told = ('--reason', 'kernel update', '--ticket-url', 'https://t/1')
            self._run('set', host, *given, *told)
            found[kind] = self._record(host)
            self._run('unset', host)
        metadata, reason = found['entered']
        found['overdue'] = ({**metadata, **_PAST}, reason)
        return found

    def _record(self, host: str) -> tuple[dict[str, str], str | None]:
        admin = self._cloud.api()
        (aggregate,) = (
            item
            for item in admin.get('compute', '/os-aggregates')['aggregates']
            if item['name'] == f'maintenance:{host}'
        )
        service = operations.service_of(admin, host)
        assert service
        return aggregate['metadata'], service['disabled_reason']

    def _run(self, *arguments: str) -> costs.Cost:
        command = (self._openstack, *_OURS, *arguments)
        return costs.run(command, self._environ)

    def grow(self, hosts: int) -> None:
        """Have so many hosts, and what belongs to them."""
        old = set(self._phantoms)
        self._cloud.control.phantoms(hosts - _REAL)
        self._phantoms = [f'phantom{n}' for n in range(1, hosts - _REAL + 1)]
        new = [host for host in self._phantoms if host not in old]
        self._crowd.give_room('compute1', new)
        self._crowd.servers(self._web.id, new, _EACH)
        more = hosts // 2 - self._on_crowded
        self._crowd.servers(self._web.id, [self.crowded], more)
        self._on_crowded += more
        first = len(self._in_maintenance)
        self._in_maintenance = self._phantoms[: hosts // 2]
        for kind in self._records:
            self._enter(kind, self._of_kind(kind, first))

    def _enter(self, kind: str, hosts: list[str]) -> None:
        self._crowd.maintenance(*self._records[kind], hosts)

    def _of_kind(self, kind: str, first: int = 0) -> list[str]:
        return [
            host
            for number, host in enumerate(self._in_maintenance)
            if number >= first and _KINDS[number % len(_KINDS)] == kind
        ]

    def measure(
        self,
    ) -> collections.abc.Iterator[tuple[str, bench_figures.Figures]]:
        """What each command costs now."""
        servers, hosts = self._on_crowded, len(self._in_maintenance)
        every = len(self._phantoms) + _REAL
        overdue = self._of_kind('overdue')
        yield _OTHER, self._reading(every, *_OTHER.split())
        for reports, command in (
            (hosts, ('list',)),
            (every, ('list', '--all')),
            (1, ('show', 'compute1')),
            (servers, ('show', self.crowded)),
            (servers, ('show', self.crowded, '--servers')),
            (servers, ('show', self.crowded, '--owners')),
            (len(overdue), ('apply',)),
        ):
            words = ' '.join(command).replace(self.crowded, 'HOST')
            yield words, self._reading(reports, *_OURS, *command)
        yield 'apply --unset-overdue', self._ending(overdue)
        yield _DRAIN, self._waiting(servers)

    def _counting(
        self, *arguments: str, code: int = 0
    ) -> tuple[costs.Cost, int, int]:
        """What a command costs, and its requests to Nova and Placement."""
        for before in (self._nova, self._placement):
            before.requests.clear()
        command = (self._openstack, *arguments)
        cost = costs.run(command, self._counted, code=code)
        nova = sum(path != '/v2.1' for _m, path in self._nova.requests)
        return cost, nova, len(self._placement.requests)

    def _reading(self, reports: int, *arguments: str) -> bench_figures.Figures:
        """What a command costs that changes nothing."""
        _cost, nova, placement = self._counting(*arguments)
        command, least = (self._openstack, *arguments), self._least()
        pairs = [
            (
                costs.run(command, self._environ),
                costs.run(_BARE, self._environ, given=least),
            )
            for _ in range(self._runs)
        ]
        ours = [cost for cost, _bare in pairs]
        return bench_figures.Figures(
            reports,
            nova,
            placement,
            costs.Cost(
                statistics.median(cost.wall for cost in ours),
                statistics.median(cost.cpu for cost in ours),
                max(cost.memory for cost in ours),
            ),
            bare=statistics.median(bare.wall for _cost, bare in pairs),
            ratio=statistics.median(c.wall / b.wall for c, b in pairs),
        )

    def _least(self) -> bytes:
        """What was just asked, for the other program."""
        if self._nova.writes:
            raise AssertionError(f'{self._nova.writes} were not to be')
        nova = [path for _method, path in self._nova.requests]
        hypervisors = [path for path in nova if _HYPERVISORS in path]
        others = [path for path in nova if _HYPERVISORS not in path]
        placement = [path for _method, path in self._placement.requests]
        batches = (
            ('compute', '2.96', others),
            # from 2.88 on each is an RPC call
            ('compute', '2.87', hypervisors),
            ('placement', '1.31', placement),
        )
        token = self._cloud.api().token
        told = [
            {
                'url': self._cloud.urls[service],
                'headers': {
                    'X-Auth-Token': token,
                    'OpenStack-API-Version': f'{service} {version}',
                },
                'paths': paths,
                'width': _WIDTH,
            }
            for service, version, paths in batches
        ]
        return json.dumps(told).encode()

    def _ending(self, overdue: list[str]) -> bench_figures.Figures:
        """What it costs to end maintenances; then they are there again."""
        cost, nova, placement = self._counting(
            *_OURS, 'apply', '--unset-overdue'
        )
        self._enter('overdue', overdue)
        return bench_figures.Figures(len(overdue), nova, placement, cost)

    def _waiting(self, servers: int) -> bench_figures.Figures:
        """What a drain costs while it waits for a move that does not end.

        Two drains are stopped, one later than the other, and what the later
        one cost more is what the time between has cost.
        """
        spent = [self._drain(seconds) for seconds in (_SHORT, _LONG)]
        (few, *before), (many, *after) = spent
        nova, placement = (b - a for a, b in zip(before, after, strict=True))
        more = costs.Cost(
            many.wall - few.wall, many.cpu - few.cpu, many.memory
        )
        return bench_figures.Figures(servers, nova, placement, more)

    def _drain(self, seconds: int) -> tuple[costs.Cost, int, int]:
        told = ('--migrate', 'all', '--max-parallel', '1')
        found = self._counting(
            *(*_OURS, 'set', self.crowded, *told, '--timeout', f'{seconds}s'),
            code=exit_codes.ExitCode.TIMED_OUT,
        )
        admin = self._cloud.api()
        path = f'/servers/{self._db.id}/migrations'
        for item in admin.get('compute', path)['migrations']:
            admin.delete('compute', f'{path}/{item["id"]}')
        self._scene.wait_for_server(self._db, 'ACTIVE')
        self._run('unset', self.crowded)
        return found


def measure(
    cloud: fixture.Cloud,
    openstack: str,
    nova: proxy.Proxy,
    runs: int,
) -> bench_figures.Sizes:
    """Let a cloud grow, and measure.

    :param cloud: a running cloud, which is full then.
    :param openstack: an ``openstack`` with the plugin.
    :param nova: a proxy before its Nova.
    :param runs: how often to measure.
    :returns: by number of hosts and command, the figures.
    """
    with proxy.Proxy(cloud.urls['placement']) as placement:
        grown = Sizes(cloud, openstack, nova, placement, runs)
        figures: bench_figures.Sizes = {}
        for size in _SIZES:
            grown.grow(size)
            figures[size] = {}
            for command, found in grown.measure():
                figures[size][command] = found
                # all of it takes a while: show what is known
                sys.stderr.write(
                    f'{bench_figures.line(command, size, found)}\n'
                )
                sys.stderr.flush()
        return figures
