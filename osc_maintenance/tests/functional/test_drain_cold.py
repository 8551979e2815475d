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

"""Cold migrations: ours are confirmed, and nobody else's."""

import functools
import math

from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import drains

Exit = drains.Exit
_ALL = ('--migrate', 'all')


class TestConfirmed(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()

    def _assert_unconfirmed(self, server: scene.Server) -> None:
        # Nova says first that the migration is finished
        self.scene.wait_for_server(server, 'VERIFY_RESIZE')
        self.assert_on(self.there, server, 'VERIFY_RESIZE')
        self.assertEqual(['finished'], self.statuses(server))

    def test_an_owners_resize(self) -> None:
        web = self.scene.server('web', on=self.here)
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        self.scene.resize(web)
        drain = self.set_(self.here, *_ALL)
        self.assert_moved_once(drain, off, self.there, 'SHUTOFF')
        self._assert_unconfirmed(web)
        self.assertEqual(
            ('maintenance', 1, False),
            (
                drain.told['state'],
                drain.told['unconfirmed_resizes'],
                drain.told['emptied'],
            ),
        )
        # it is in the way of what the host is emptied for
        self.assertIn(web.id, drain.stderr)
        again = self.set_(self.here)
        self._assert_unconfirmed(web)
        self.assertFalse(again.told['changed'])
        self.act(web, 'confirmResize')
        self.scene.wait_for_server(web, 'ACTIVE')
        self.at_rest(web)
        self.assert_drained(self.shown(self.here))

    def test_an_owner_goes_back(self) -> None:
        web = self.scene.server('web', on=self.here)
        self.scene.resize(web)
        self.set_(self.here, *_ALL)
        self.act(web, 'revertResize')
        self.scene.wait_for_server(web, 'ACTIVE')
        self.assert_on(self.here, web)
        shown = self.shown(self.here)
        self.assertEqual('error', shown['state'])
        self.assertIn(f'web ({web.id})', shown['cause'])
        drain = self.set_(self.here)
        self.assertEqual('moved', drain.outcome(web))
        self.assert_on(self.there, web)
        self.assert_drained(drain.told)

    def test_somebody_elses_cold_migration(self) -> None:
        web = self.scene.server('web', on=self.here)
        path = f'/servers/{web.id}/action'
        # the same administrator, before the maintenance
        self.admin.post('compute', path, {'migrate': None})
        self.scene.wait_for_server(web, 'VERIFY_RESIZE')
        for options in (_ALL, ()):
            drain = self.set_(self.here, *options)
            self._assert_unconfirmed(web)
            self.assertEqual(1, drain.told['unconfirmed_resizes'])
            self.assertEqual('maintenance', drain.told['state'])

    def test_an_owner_resizes_in_the_middle(self) -> None:
        web = self.scene.server('web', on=self.here)
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        self.scene.migration_of(web, cold_seconds=math.inf)
        self.cloud.api('alpha-member').post(
            'compute',
            f'/servers/{web.id}/action',
            {'resize': {'flavorRef': 'm1.small'}},
        )
        self.migration(web, 'migrating')
        going = self.set_going(self.here, *_ALL)
        going.says(f'web ({web.id}): is on its way already: resize')
        self.scene.migration_of(web)
        drain = self.ended(going)
        self.assert_moved_once(drain, off, self.there, 'SHUTOFF')
        self._assert_unconfirmed(web)
        move = drain.of(web)
        self.assertEqual('left', move['outcome'])
        self.assertIn('has to confirm', move['cause'])
        self.assertEqual(1, drain.told['unconfirmed_resizes'])

    def test_one_that_was_resized_to_here(self) -> None:
        web = self.scene.server('web', on=self.there)
        self.scene.resize(web)
        self.assert_on(self.here, web, 'VERIFY_RESIZE')
        drain = self.set_(self.here, *_ALL, code=Exit.STAYED)
        move = drain.of(web)
        self.assertEqual('blocked', move['outcome'])
        self.assertIn('waits for its resize to be confirmed', move['cause'])
        self.assertEqual(['finished'], self.statuses(web))
        shown = self.shown(self.here)
        self.assertEqual('error', shown['state'])
        self.assertIn('waits for its resize', shown['cause'])
        self.act(web, 'confirmResize')
        self.scene.wait_for_server(web, 'ACTIVE')
        drain = self.set_(self.here)
        self.assertEqual('moved', drain.outcome(web))
        self.assert_drained(drain.told)

    def test_what_runs_is_not_stopped(self) -> None:
        web = self.scene.server('web', on=self.here)
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        drain = self.set_(self.here, *_ALL)
        for server, kind in ((web, 'live-migration'), (off, 'migration')):
            (migration,) = self.migrations(server)
            self.assertEqual(kind, migration['migration_type'])
            self.assertIsNone(drain.of(server)['cause'])

    def test_a_confirmation_that_is_lost(self) -> None:
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        before, environ = self.proxied()
        confirms: list[str] = []

        def hook(method: str, path: str) -> None:
            if method == 'POST' and path.endswith(f'/servers/{off.id}/action'):
                confirms.append(path)
                if len(confirms) == 2:
                    # nobody knows whether Nova has got it
                    raise ConnectionError

        before.before = hook
        going = self.set_going(self.here, *_ALL, environ=environ)
        going.says('confirming: ')
        drain = self.ended(going)
        self.assert_moved_once(drain, off, self.there, 'SHUTOFF')
        self.assert_drained(drain.told)
        # the move and two confirmations, and more if Nova has refused one:
        # for a moment it says that it can be confirmed, and does not take it
        self.assertLessEqual(3, len(confirms))


class TestNoWait(drains.DrainTestCase):
    def test_again_and_again(self) -> None:
        here, there = self.scene.host(live_migrations=4), self.scene.host()
        made = self.scene.servers(['a', 'b', 'c'], on=here)
        off = self.scene.server('off', on=here, status='SHUTOFF')
        for server in (*made, off):
            self.scene.migration_of(server, hangs=True, cold_seconds=math.inf)
        drain = self.set_(here, *_ALL, '--no-wait', '--max-parallel', '2')
        self.assertEqual('migrating', drain.told['state'])
        self.assertTrue(drain.told['changed'])
        outcomes = sorted(move['outcome'] for move in drain.told['moves'])
        self.assertEqual(['moving', 'moving', 'waiting', 'waiting'], outcomes)
        moving = [s for s in (*made, off) if drain.outcome(s) == 'moving']
        for server in moving:
            # Nova may list it a moment later
            found = operations.wait_for(
                f'{server.name} is listed',
                functools.partial(self.migrations, server),
            )
            self.assertEqual(1, len(found))
        # nothing has ended: nothing is started
        again = self.set_(here, '--no-wait', '--max-parallel', '2')
        self.assertEqual(2, sum(len(self.migrations(s)) for s in (*made, off)))
        self.assertEqual('migrating', again.told['state'])
        for server in (*made, off):
            self.scene.migration_of(server)
        for server in moving:
            if server != off:
                running = self.migration(server, 'running')
                self.admin.post(
                    'compute',
                    f'/servers/{server.id}/migrations/{running["id"]}/action',
                    {'force_complete': None},
                )
            self.at_rest(server)

        def drained() -> bool:
            again = self.set_(here, '--no-wait', '--max-parallel', '2')
            told: bool = again.told['emptied']
            return told

        operations.wait_for('it is emptied', drained, forked.SECONDS)
        for server in made:
            self.assert_on(there, server)
            self.assertEqual(['completed'], self.statuses(server))
        self.assert_on(there, off, 'SHUTOFF')
        self.assertEqual(['confirmed'], self.statuses(off))
        self.assert_drained(self.shown(here))

    def test_what_is_blocked_is_told(self) -> None:
        here, _there = self.scene.host(), self.scene.host()
        self.scene.server('web', on=here)
        bad = self.scene.server('bad', on=here, status='SUSPENDED')
        drain = self.set_(here, *_ALL, '--no-wait', code=Exit.STAYED)
        self.assertEqual('blocked', drain.outcome(bad))

    def test_quiet(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        bad = self.scene.server('bad', on=here, status='SUSPENDED')
        drain = self.set_(here, *_ALL, before=('-q',), code=Exit.STAYED)
        self.assertEqual('', drain.stderr)
        self.assert_moved_once(drain, web, there)
        self.assertEqual('blocked', drain.outcome(bad))
