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

"""Other people, while the servers of a host are moved off it."""

import json

from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import drains
from osc_maintenance.tests.functional import races

Exit = drains.Exit
_ALL = ('--migrate', 'all')


class TestTwoChoices(races.RacesTestCase):
    """Two drains of one host, of different servers."""

    def test_only_one_of_them_is_carried_out(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web, db = self.scene.servers(['web', 'db'], on=here)
        answer = self.between(
            self.ann,
            4,
            ('set', here, *_ALL, '--exclude-server', 'web'),
            lambda: self.does_well(
                self.ben, 'set', here, *_ALL, '--exclude-server', 'db'
            ),
        )
        assert answer
        self.assertEqual(Exit.ERROR, answer.code, str(answer))
        (line,) = answer.stderr.splitlines()
        self.assertIn('not as you have said: servers to be moved', line)
        self.assertIn(self.ben.name, line)
        self.assertNotIn('moves', json.loads(answer.stdout))
        self.assert_on(there, web)
        self.assert_on(here, db)
        self.assertEqual([], self.migrations(db))
        self.assertEqual(self.ben.name, self.record(here)['set_by'])


class TestMeanwhile(races.RacesTestCase):
    """The first of some servers moves, and the others wait."""

    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()
        # the largest goes first
        self.slow = self.scene.server('slow', on=self.here, flavor='m1.small')
        self.scene.migration_of(self.slow, hangs=True)

    def _drain(self, migrate: str = 'all') -> forked.Command:
        drain = self.going(
            *(self.ann, 'set', self.here, '--migrate', migrate),
            *('--max-parallel', '1'),
        )
        drain.says(f'slow ({self.slow.id}): live migration started')
        self.migration(self.slow, 'running')
        return drain

    def _force(self) -> None:
        """Have Nova end the move that hangs."""
        (running,) = self.migrations(self.slow)
        path = f'/servers/{self.slow.id}/migrations/{running["id"]}/action'
        self.admin.post('compute', path, {'force_complete': None})

    def test_what_owners_do_to_those_that_wait(self) -> None:
        locked, resized = self.scene.servers(['lock', 'size'], on=self.here)
        drain = self._drain()
        owner = self.cloud.api('alpha-member')
        action = {'lock': {'locked_reason': 'billing run'}}
        owner.post('compute', f'/servers/{locked.id}/action', action)
        self.scene.resize(resized)
        # a lock that is set just before the move may be overridden
        self.ann.line.requests.clear()
        operations.wait_for(
            'the drain looks at the servers',
            lambda: any(
                '/servers/detail' in path and 'marker=' not in path
                for _method, path in self.ann.line.requests
            ),
            forked.SECONDS,
        )
        # somebody tries to delete the compute service, and Nova refuses
        found = self.admin.get(
            'compute', f'/os-services?binary=nova-compute&host={self.here}'
        )['services']
        error = self.assertRaises(
            api.ApiError,
            *(self.admin.delete, 'compute'),
            f'/os-services/{found[0]["id"]}',
        )
        self.assertEqual(409, error.status)
        self._force()
        answer = drain.end()
        self.assertNotIn('Traceback', answer.stderr)
        told = drains.Drain(json.loads(answer.stdout), answer.stderr)
        self.assertEqual('moved', told.outcome(self.slow), str(answer))
        for server, cause in (
            (locked, 'locked: billing run'),
            # as soon as it waits to be confirmed, or when it is seen elsewhere
            (resized, 'somebody else has moved it|not moved by this drain'),
        ):
            self.assertEqual('left', told.outcome(server), str(answer))
            self.assertRegex(told.of(server)['cause'], cause)
        self.assert_on(self.here, locked)
        # nobody confirms what its owner has to
        self.assert_on(self.there, resized, 'VERIFY_RESIZE')
        self.assertEqual(
            (1, False),
            (told.told['unconfirmed_resizes'], told.told['emptied']),
        )
        self.assertEqual(Exit.DONE, answer.code, str(answer))

    def _assert_stops(self, drain: forked.Command, words: str) -> None:
        answer = drain.end()
        self.assertEqual(Exit.ERROR, answer.code, str(answer))
        self.assertIn(words, answer.stderr.splitlines()[-1])
        self.assertNotIn('Traceback', answer.stderr)

    def _one_is_stopped(self, migrate: str, outcome: str, host: str) -> None:
        web = self.scene.server('web', on=self.here)
        drain = self._drain(migrate)
        self.act(web, 'os-stop')
        operations.wait_for(
            'it is stopped', lambda: self.server(web)['status'] == 'SHUTOFF'
        )
        self._force()
        answer = drain.end()
        self.assertEqual(Exit.DONE, answer.code, str(answer))
        told = drains.Drain(json.loads(answer.stdout), answer.stderr)
        self.assertEqual('moved', told.outcome(self.slow), str(answer))
        self.assertEqual(outcome, told.outcome(web), str(answer))
        self.assert_on(host, web, 'SHUTOFF')

    def test_one_is_stopped_and_active_ones_go(self) -> None:
        self._one_is_stopped('active', 'left', self.here)

    def test_one_is_stopped_and_all_go(self) -> None:
        self._one_is_stopped('all', 'moved', self.there)

    def test_the_record_is_damaged(self) -> None:
        web = self.scene.server('web', on=self.here)
        drain = self._drain()
        self.write_metadata(self.here, set_at='never')
        self._force()
        answer = drain.end()
        told = drains.Drain(json.loads(answer.stdout), answer.stderr)
        for server in (self.slow, web):
            self.assert_moved_once(told, server, self.there)
        self.assertEqual(
            ('error', True), (told.told['state'], told.told['emptied'])
        )
        self.assertIn('set_at', told.told['cause'])
        self.does_well(self.ben, 'set', self.here)
        shown = self.done(self.ben, 'show', self.here)
        self.assertEqual('maintenance', shown['state'])

    def test_the_window_is_over(self) -> None:
        self.alone()
        web = self.scene.server('web', on=self.here)
        drain = self._drain()
        self.write_metadata(self.here, window_end='2026-01-01T00:00:00Z')
        ended = self.done(self.ben, 'apply', '--unset-overdue')
        self.assertEqual(
            [(self.here, 'none')],
            [(row['host'], row['state']) for row in ended],
        )
        self._assert_stops(drain, 'was ended by somebody else')
        self.assertEqual([], self.migrations(web))
        self.assert_untouched(self.here)

    def test_the_aggregate_is_deleted(self) -> None:
        web = self.scene.server('web', on=self.here)
        drain = self._drain()
        self.lose_aggregate(self.here)
        self._assert_stops(drain, 'was ended by somebody else')
        self.assertEqual([], self.migrations(web))
        shown = self.done(self.ben, 'show', self.here)
        self.assertIn('is gone', shown['cause'])
        self.assertEqual('error', shown['state'])

    def test_the_service_is_enabled(self) -> None:
        web = self.scene.server('web', on=self.here)
        drain = self._drain()
        self.set_service(self.here, 'enabled')
        self._assert_stops(drain, 'has changed the compute service')
        self.assertEqual([], self.migrations(web))
        self.assertEqual(('enabled', None), self.service(self.here))
