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

"""Never more moves in motion than asked for, whoever has started them."""

import itertools
import threading

from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.functional import drains

_LOOK_SECONDS = 0.1


class _Counter:
    """Counts, all the time, the migrations of a host that go on."""

    def __init__(self, cloud: api.Api, host: str) -> None:
        self._api = cloud
        self._path = f'/os-migrations?host={host}'
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._count, daemon=True)
        self.counts: list[int] = []
        self._thread.start()

    def look(self) -> int:
        """How many go on now."""
        found = self._api.get('compute', self._path)['migrations']
        count = sum(item['status'] not in drains.ENDED for item in found)
        self.counts.append(count)
        return count

    def _count(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self.look()

    def most(self) -> int:
        """How many went on at once, so far, at most."""
        self._over.set()
        self._thread.join(60)
        return max(self.counts)


class TestThrottle(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here = self.scene.host(live_migrations=8)
        self.there = self.scene.host()

    def _servers(self, count: int, seconds: float) -> list[scene.Server]:
        names = [f'web{number}' for number in range(count)]
        made = self.scene.servers(names, on=self.here)
        for server in made:
            self.scene.migration_of(server, seconds=seconds)
        return made

    def _count(self) -> _Counter:
        counter = _Counter(self.admin, self.here)
        self.addCleanup(counter.most)
        return counter

    def _at_once(self, servers: list[scene.Server]) -> int:
        """How many went on at once, at most, by Nova's own records."""
        found = [m for server in servers for m in self.migrations(server)]
        changes = sorted(
            change
            for item in found
            for change in (
                (str(item['created_at']), 1),
                (str(item['updated_at']), -1),
            )
        )
        return max(itertools.accumulate(step for _moment, step in changes))

    def _assert_at_once(
        self, number: int, counter: _Counter, servers: list[scene.Server]
    ) -> None:
        """So many went on at once, and never more.

        That it came to so many is in Nova's records: who looks now and then
        may miss it.
        """
        most = counter.most()
        self.assertLessEqual(most, number, str(counter.counts))
        self.assertEqual(number, self._at_once(servers))

    def test_at_most_so_many(self) -> None:
        for number in (1, 3):
            made = self._servers(6, 1.5)
            counter = self._count()
            drain = self.set_(
                *(self.here, '--migrate', 'all'),
                *('--max-parallel', str(number)),
            )
            self._assert_at_once(number, counter, made)
            for server in made:
                self.assert_moved_once(drain, server, self.there)
            self.assertIn(f'{number} at a time', drain.stderr)
            self.maintenance('unset', self.here)

    def test_two_by_default(self) -> None:
        made = self._servers(4, 2)
        counter = self._count()
        drain = self.set_(self.here, '--migrate', 'all')
        self._assert_at_once(2, counter, made)
        for server in made:
            self.assert_moved_once(drain, server, self.there)

    def test_cold_ones_count_until_they_are_confirmed(self) -> None:
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        self.scene.migration_of(off, cold_seconds=2, spawn_seconds=2)
        made = self._servers(2, 1)
        counter = self._count()
        drain = self.set_(self.here, '--migrate', 'all', '--max-parallel', '1')
        self.assertEqual(1, counter.most())
        self.assert_moved_once(drain, off, self.there, 'SHUTOFF')
        for server in made:
            self.assert_moved_once(drain, server, self.there)

    def test_the_next_one_starts_when_one_ends(self) -> None:
        made = self._servers(4, 1)
        self.scene.migration_of(made[0], hangs=True)
        going = self.set_going(
            self.here, '--migrate', 'all', '--max-parallel', '2'
        )
        # the others do not wait for the one that hangs
        for server in made[1:]:
            self.migration(server, 'completed')
        going.says('3 of 4')
        running = self.migration(made[0], 'running')
        self.admin.post(
            'compute',
            f'/servers/{made[0].id}/migrations/{running["id"]}/action',
            {'force_complete': None},
        )
        drain = self.ended(going)
        self.assert_drained(drain.told)

    def test_two_drains_of_a_host(self) -> None:
        made = self._servers(8, 1.5)
        counter = self._count()
        options = ('--migrate', 'all', '--max-parallel', '2')
        self.maintenance('set', self.here)
        both = [self.set_going(self.here, *options) for _ in range(2)]
        drained = [self.ended(going) for going in both]
        for drain in drained:
            self.assert_drained(drain.told)
        for server in made:
            self.assert_on(self.there, server)
            self.assertEqual(['completed'], self.statuses(server))
            self.assertIn(
                'moved',
                [
                    move['outcome']
                    for drain in drained
                    for move in drain.told['moves']
                    if move['id'] == server.id
                ],
            )
        self._assert_at_once(2, counter, made)

    def test_somebody_elses_migration_counts(self) -> None:
        made = self._servers(3, 1)
        other = self.scene.server('other', on=self.here)
        self.scene.migration_of(other, hangs=True)
        self.migrate(other)
        running = self.migration(other, 'running')
        counter = self._count()
        going = self.set_going(
            self.here, '--migrate', 'all', '--max-parallel', '2'
        )
        going.says(
            f'other ({other.id}): is on its way already: live migration to '
            f'{self.there}, started by '
        )
        for server in made:
            self.migration(server, 'completed')
        self.admin.post(
            'compute',
            f'/servers/{other.id}/migrations/{running["id"]}/action',
            {'force_complete': None},
        )
        drain = self.ended(going)
        self._assert_at_once(2, counter, [*made, other])
        self.assert_drained(drain.told)
        for server in (*made, other):
            self.assert_moved_once(drain, server, self.there)

    def test_nothing_starts_while_somebody_elses_take_all(self) -> None:
        (web,) = self._servers(1, 1)
        other = self.scene.server('other', on=self.here)
        self.scene.migration_of(other, hangs=True)
        self.migrate(other)
        running = self.migration(other, 'running')
        drain = self.set_(
            *(self.here, '--migrate', 'all', '--max-parallel', '1'),
            *('--timeout', '4s'),
            code=drains.Exit.TIMED_OUT,
        )
        self.assertEqual([], self.migrations(web))
        self.assertEqual('waiting', drain.outcome(web))
        self.assertEqual('moving', drain.outcome(other))
        self.admin.delete(
            'compute', f'/servers/{other.id}/migrations/{running["id"]}'
        )
        self.migration(other, 'cancelled')
        self.scene.migration_of(other)
        drain = self.set_(self.here, '--max-parallel', '1')
        self.assert_drained(drain.told)

    def test_novas_own_queue_is_told(self) -> None:
        here = self.scene.host()
        made = self.scene.servers(['a', 'b', 'c'], on=here)
        for server in made:
            self.scene.migration_of(server, seconds=4)
        drain = self.set_(here, '--migrate', 'all', '--max-parallel', '3')
        self.assertIn("in Nova's queue", drain.stderr)
        self.assertIn('max_concurrent_live_migrations', drain.stderr)
        self.assert_drained(drain.told)
