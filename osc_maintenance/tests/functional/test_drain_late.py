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

"""Servers that come late, are busy, or go by themselves in the middle."""

import math
import threading

from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import drains

Exit = drains.Exit
_ALL = ('--migrate', 'all')


class LateTestCase(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()

    def rebuild(self, server: scene.Server) -> None:
        """Let its owner rebuild a server where it is, which takes long."""
        self.scene.migration_of(server, spawn_seconds=math.inf)
        image = self.server(server)['image']['id']
        self.cloud.api('alpha-member').post(
            'compute',
            f'/servers/{server.id}/action',
            {'rebuild': {'imageRef': image}},
        )
        operations.wait_for(
            'it is being rebuilt',
            lambda: (
                self.server(server)['OS-EXT-STS:task_state']
                == 'rebuild_spawning'
            ),
        )


class TestLate(LateTestCase):
    def test_a_build_under_way(self) -> None:
        late = self.scene.server('late', on=self.here, status='BUILD')
        web = self.scene.server('web', on=self.here)
        going = self.set_going(self.here, *_ALL)
        going.says(
            f'late ({late.id}): blocked for now: a task is under way: spawning'
        )
        self.migration(web, 'completed')
        going.says('waiting for what ends by itself')
        self.scene.migration_of(late)
        drain = self.ended(going)
        self.assert_drained(drain.told)
        self.assert_moved_once(drain, late, self.there)
        self.assert_moved_once(drain, web, self.there)

    def test_a_build_that_fails(self) -> None:
        late = self.scene.server('late', on=self.here, status='BUILD')
        going = self.set_going(self.here, *_ALL)
        going.says('waiting for what ends by itself')
        self.scene.migration_of(late, fails='spawn')
        drain = self.ended(going)
        # it is on no host now, and for its owner to delete
        found = self.server(late)
        self.assertEqual(
            ('ERROR', None),
            (found['status'], found['OS-EXT-SRV-ATTR:host']),
        )
        self.assertEqual('left', drain.outcome(late))
        self.assertIn('on no host', drain.of(late)['cause'])
        self.assertEqual([], self.migrations(late))
        self.assert_drained(drain.told)

    def test_a_migration_on_its_way_in(self) -> None:
        late = self.scene.server('late', on=self.there)
        self.scene.migration_of(late, hangs=True)
        self.migrate(late, self.here)
        self.migration(late, 'running')
        going = self.set_going(self.here, *_ALL)
        going.says('waiting for what ends by itself')
        going.says(f'server {late.id} is on its way here')
        self.scene.migration_of(late)
        self.force(late)
        going.says(f'late ({late.id}): has come to {self.here}')
        drain = self.ended(going)
        self.assert_drained(drain.told)
        self.assertEqual('moved', drain.outcome(late))
        self.assertEqual(['completed'] * 2, self.statuses(late))
        self.assert_on(self.there, late)

    def test_one_that_comes_back(self) -> None:
        here = self.scene.host(live_migrations=2)
        web = self.scene.server('web', on=here)
        slow = self.scene.server('slow', on=here)
        self.scene.migration_of(slow, hangs=True)
        before, environ = self.proxied()
        as_it_was = threading.Event()
        as_it_was.set()
        self.addCleanup(as_it_was.set)

        def hold(_method: str, path: str) -> None:
            if '/os-services' in path:
                as_it_was.wait(forked.SECONDS)

        before.before = hold
        going = self.set_going(
            *(here, *_ALL, '--target-host', self.there),
            *('--max-parallel', '2'),
            environ=environ,
        )
        going.says(f'web ({web.id}): moved to {self.there}')
        # somebody enables the host for a moment, in which the drain does not
        # look at it, and sends it back
        as_it_was.clear()
        _status, reason = self.service(here)
        self.set_service(here, 'enabled')
        self.migrate(web, here)
        self.migration(web, 'completed')
        self.at_rest(web)
        self.set_service(here, 'disabled', reason)
        as_it_was.set()
        going.says(f'web ({web.id}): has come to {here}')
        self.force(slow)
        drain = self.ended(going)
        self.assert_drained(drain.told)
        self.assertEqual('moved', drain.outcome(web))
        self.assertEqual(['completed'] * 3, self.statuses(web))
        self.assert_on(self.there, web)

    def test_its_owner_deletes_one_in_motion(self) -> None:
        web = self.scene.server('web', on=self.here)
        db = self.scene.server('db', on=self.here)
        for server in (web, db):
            self.scene.migration_of(server, hangs=True)
        going = self.set_going(self.here, *_ALL, '--max-parallel', '1')
        going.says('live migration started')
        moving, waiting = (
            (web, db) if f'({web.id}): live' in going.stderr else (db, web)
        )
        self.migration(moving, 'running')
        for server in (moving, waiting):
            path = f'/servers/{server.id}'
            self.cloud.api('alpha-member').delete('compute', path)
        drain = self.ended(going)
        self.assertEqual(
            ('maintenance', {}), (drain.told['state'], drain.told['servers'])
        )
        for server in (moving, waiting):
            self.assertEqual('deleted', drain.outcome(server))
            self.assertIn(
                f'{server.name} ({server.id}): was deleted', drain.stderr
            )

    def test_its_owner_deletes_one_just_before_it_is_moved(self) -> None:
        web = self.scene.server('web', on=self.here)
        db = self.scene.server('db', on=self.here)
        before, environ = self.proxied()
        before.before = self.once(
            self.moves_of(web),
            lambda: operations.delete_servers(self.admin, [web.id]),
        )
        drain = self.set_(self.here, *_ALL, environ=environ)
        self.assertEqual('deleted', drain.outcome(web))
        self.assert_moved_once(drain, db, self.there)
        self.assert_drained(drain.told)

    def test_somebody_else_moves_one(self) -> None:
        here = self.scene.host(live_migrations=2)
        made = self.scene.servers(['web', 'db'], on=here)
        for server in made:
            self.scene.migration_of(server, hangs=True)
        going = self.set_going(here, *_ALL, '--max-parallel', '1')
        going.says('live migration started')
        (waiting,) = [s for s in made if f'({s.id}): live' not in going.stderr]
        self.migrate(waiting, self.there)
        going.says(f'{waiting.name} ({waiting.id}): is on its way already')
        for server in made:
            self.force(server)
        drain = self.ended(going)
        self.assert_drained(drain.told)
        for server in made:
            self.assertEqual(['completed'], self.statuses(server))
            self.assertEqual('moved', drain.outcome(server))


class TestBusy(LateTestCase):
    def test_an_owner_rebuilds_one(self) -> None:
        web = self.scene.server('web', on=self.here)
        self.rebuild(web)
        shown = self.shown(self.here)
        self.assertEqual('none', shown['state'])
        going = self.set_going(self.here, *_ALL)
        going.says(
            f'web ({web.id}): blocked for now: a task is under way: rebuild'
        )
        going.says('waiting for what ends by itself')
        self.scene.migration_of(web)
        drain = self.ended(going)
        self.assert_moved_once(drain, web, self.there)
        self.assert_drained(drain.told)

    def test_a_rebuild_that_nobody_waits_for(self) -> None:
        web = self.scene.server('web', on=self.here)
        self.rebuild(web)
        drain = self.set_(
            self.here, *_ALL, '--timeout', '5s', code=Exit.TIMED_OUT
        )
        self.assertEqual('blocked', drain.outcome(web))
        self.assertIn('a task is under way', drain.of(web)['cause'])
        # nothing is on its way: no migration, and no drain
        shown = self.shown_at_last(self.here)
        self.assertEqual(0, shown['migrations_out'])
        self.assertEqual('error', shown['state'])

    def test_somebody_is_quicker(self) -> None:
        web = self.scene.server('web', on=self.here)
        db = self.scene.server('db', on=self.here)
        before, environ = self.proxied()
        before.before = self.once(
            self.moves_of(web), lambda: self.rebuild(web)
        )
        going = self.set_going(self.here, *_ALL, environ=environ)
        going.says(f'web ({web.id}): will be tried again in ')
        self.assertIn("Cannot 'os-migrateLive' instance", going.stderr)
        self.migration(db, 'completed')
        self.scene.migration_of(web)
        drain = self.ended(going)
        for server in (web, db):
            self.assert_moved_once(drain, server, self.there)
        self.assert_drained(drain.told)

    def test_somebody_stops_and_starts_one(self) -> None:
        web = self.scene.server('web', on=self.here)
        before, environ = self.proxied()

        def stop() -> None:
            self.act(web, 'os-stop')
            self.scene.wait_for_server(web, 'SHUTOFF')

        before.before = self.once(self.moves_of(web), stop)
        drain = self.set_(self.here, *_ALL, environ=environ)
        self.assert_moved_once(drain, web, self.there, 'SHUTOFF')
        self.assert_drained(drain.told)
