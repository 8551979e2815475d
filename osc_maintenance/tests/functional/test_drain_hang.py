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

"""Moves that take too long, and drains that do."""

import math

from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.functional import drains

Exit = drains.Exit


class TestHang(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()

    def _hanging(self, abortable: bool = True, forceable: bool = True) -> None:
        self.web = self.scene.server('web', on=self.here)
        self.scene.migration_of(
            self.web, hangs=True, abortable=abortable, forceable=forceable
        )

    def _force(self, server: scene.Server) -> None:
        """Let a move end after all."""
        path = f'/servers/{server.id}/migrations'
        number = self.migrations(server)[-1]['id']
        self.admin.post(
            'compute', f'{path}/{number}/action', {'force_complete': None}
        )
        self.at_rest(server)
        self.assert_on(self.there, server)

    def _abort(self, server: scene.Server) -> None:
        number = self.migrations(server)[-1]['id']
        self.admin.delete(
            'compute', f'/servers/{server.id}/migrations/{number}'
        )
        self.at_rest(server)

    def test_aborted_by_default(self) -> None:
        self._hanging()
        db = self.scene.server('db', on=self.here)
        drain = self.set_(
            *(self.here, '--migrate', 'all', '--server-timeout', '15s'),
            code=Exit.STAYED,
        )
        cause = 'took longer than 15s and was aborted (cancelled)'
        move = drain.of(self.web)
        self.assertEqual(('failed', cause), (move['outcome'], move['cause']))
        # one that was stopped on purpose is not tried again
        self.assertEqual(['cancelled'], self.statuses(self.web))
        self.assert_on(self.here, self.web)
        # it waited in Nova's queue for longer than it may take
        self.assert_moved_once(drain, db, self.there)
        shown = self.shown(self.here)
        self.assertEqual('error', shown['state'])
        self.assertIn(f'web ({self.web.id}): {cause}', shown['cause'])

        self.scene.migration_of(self.web)
        drain = self.set_(self.here, '--server-timeout', '60s')
        self.assert_drained(drain.told)
        self.assertEqual(['cancelled', 'completed'], self.statuses(self.web))

    def test_aborted_by_a_colleague(self) -> None:
        self._hanging()
        going = self.set_going(self.here, '--migrate', 'all')
        self.migration(self.web, 'running')
        self._abort(self.web)
        answer = going.end()
        self.assertEqual(Exit.STAYED, answer.code, str(answer))
        # what they want is not undone
        self.assertEqual(['cancelled'], self.statuses(self.web))
        user = self.migrations(self.web)[-1]['user_id']
        self.assertIn(
            f'its live migration was aborted by user {user}', answer.stderr
        )
        shown = self.shown(self.here)
        self.assertEqual('error', shown['state'])
        self.assertIn(f'aborted by user {user}', shown['cause'])

    def test_forced_to_complete(self) -> None:
        self._hanging()
        drain = self.set_(
            *(self.here, '--migrate', 'all', '--server-timeout', '15s'),
            *('--on-timeout', 'force-complete'),
        )
        self.assert_moved_once(drain, self.web, self.there)
        self.assert_drained(drain.told)
        self.assertIn(
            'took longer than 15s and was forced to complete', drain.stderr
        )

    def test_left_to_go_on(self) -> None:
        self._hanging()
        drain = self.set_(
            *(self.here, '--migrate', 'all', '--server-timeout', '3s'),
            *('--on-timeout', 'leave'),
            code=Exit.TIMED_OUT,
        )
        move = drain.of(self.web)
        self.assertEqual(
            (
                'moving',
                self.there,
                'took longer than 3s and was left to go on',
            ),
            (move['outcome'], move['destination'], move['cause']),
        )
        self.migration(self.web, 'running')
        self.assertEqual(['running'], self.statuses(self.web))
        for told in (drain.told, self.shown(self.here)):
            self.assertEqual('migrating', told['state'])
        self._force(self.web)
        self.assert_drained(self.shown(self.here))
        drain = self.set_(self.here)
        self.assertEqual([], drain.told['moves'])

    def _without_effect(self, how: str, done: str) -> None:
        drain = self.set_(
            *(self.here, '--migrate', 'all', '--server-timeout', '8s'),
            *('--on-timeout', how),
            code=Exit.TIMED_OUT,
        )
        move = drain.of(self.web)
        self.assertEqual(
            (
                'moving',
                f'took longer than 8s and was {done}, without effect so far',
            ),
            (move['outcome'], move['cause']),
        )
        self.assertIn('without effect so far', drain.stderr)
        self.assertEqual(['running'], self.statuses(self.web))
        self.assertEqual('migrating', self.shown(self.here)['state'])

    def test_aborted_without_effect(self) -> None:
        self._hanging(abortable=False)
        self._without_effect('abort', 'aborted')
        self._force(self.web)

    def test_forced_without_effect(self) -> None:
        self._hanging(forceable=False)
        self._without_effect('force-complete', 'forced to complete')
        self._abort(self.web)
        self.assert_on(self.here, self.web)

    def test_one_that_takes_too_long_holds_up_the_rest(self) -> None:
        self._hanging()
        db = self.scene.server('db', on=self.here)
        self.scene.migration_of(db, hangs=True)
        drain = self.set_(
            *(self.here, '--migrate', 'all', '--server-timeout', '3s'),
            *('--on-timeout', 'leave', '--max-parallel', '1'),
            code=Exit.TIMED_OUT,
        )
        outcomes = {m['outcome']: m['cause'] for m in drain.told['moves']}
        self.assertEqual({'moving', 'waiting'}, outcomes.keys())
        self.assertIn('--max-parallel 1', outcomes['waiting'])
        counts = sorted(len(self.migrations(s)) for s in (self.web, db))
        self.assertEqual([0, 1], counts)

    def test_a_cold_migration_cannot_be_stopped(self) -> None:
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        self.scene.migration_of(off, cold_seconds=math.inf)
        for how in ('abort', 'force-complete', 'leave'):
            options = () if how != 'abort' else ('--migrate', 'all')
            drain = self.set_(
                *(self.here, *options, '--server-timeout', '2s'),
                *('--on-timeout', how),
                code=Exit.TIMED_OUT,
            )
            move = drain.of(off)
            self.assertEqual('moving', move['outcome'])
            self.assertIn('took longer than 2s', move['cause'])
            self.migration(off, 'migrating')
            self.assertEqual(['migrating'], self.statuses(off))
        self.assertEqual('migrating', self.shown(self.here)['state'])
        self.scene.migration_of(off)
        drain = self.set_(self.here)
        self.assert_moved_once(drain, off, self.there, 'SHUTOFF')
        self.assert_drained(drain.told)


class TestTimeout(drains.DrainTestCase):
    def test_the_whole_takes_too_long(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        made = self.scene.servers(['web', 'db'], on=here)
        for server in made:
            self.scene.migration_of(server, hangs=True)
        drain = self.set_(
            *(here, '--migrate', 'all', '--timeout', '20s'),
            *('--max-parallel', '1'),
            code=Exit.TIMED_OUT,
        )
        self.assertIn(
            '--timeout is over: 0 of 2 done; 1 server is in motion and goes '
            'on in Nova: ',
            drain.stderr,
        )
        self.assertEqual('migrating', drain.told['state'])
        outcomes = sorted(m['outcome'] for m in drain.told['moves'])
        self.assertEqual(['moving', 'waiting'], outcomes)
        (moving,) = [s for s in made if self.migrations(s)]
        (running,) = self.migrations(moving)
        self.assertEqual('running', running['status'])

        # once more, with the one that is in motion
        drain = self.set_(
            *(here, '--timeout', '3s', '--max-parallel', '1'),
            code=Exit.TIMED_OUT,
        )
        self.assertEqual('moving', drain.outcome(moving))
        self.assertEqual(1, sum(len(self.migrations(s)) for s in made))

        for server in made:
            self.scene.migration_of(server)
        self.admin.post(
            'compute',
            f'/servers/{moving.id}/migrations/{running["id"]}/action',
            {'force_complete': None},
        )
        drain = self.set_(here, '--timeout', '1h')
        self.assert_drained(drain.told)
        for server in made:
            self.assert_on(there, server)
            self.assertEqual(['completed'], self.statuses(server))

    def test_it_is_enough(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        drain = self.set_(here, '--migrate', 'all', '--timeout', '1h')
        self.assert_moved_once(drain, web, there)
