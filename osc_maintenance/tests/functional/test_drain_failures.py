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

"""Moves that fail: told with Nova's own words, and the others go on."""

from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.functional import drains

Exit = drains.Exit
_UNKNOWN = 'and Nova does not tell why'


class TestFailures(drains.DrainTestCase):
    def _failing(
        self, host: str, fails: str, status: str = 'ACTIVE'
    ) -> scene.Server:
        server = self.scene.server(f'web-{fails}', on=host, status=status)
        self.scene.migration_of(server, fails=fails)
        return server

    def test_every_failure_of_a_live_migration(self) -> None:
        here, there = self.scene.host(live_migrations=4), self.scene.host()
        causes = {
            'dest-check': 'told to fail in the check on the destination',
            'source-check': 'told to fail in the check on the source',
            'pre': 'The supplied disk path (/told/to/fail) already exists',
            'copy': f'its migration is failed, {_UNKNOWN}',
            'driver': f'its migration is error, {_UNKNOWN}; it is ERROR on '
            f'{here}',
            'post': f'told to fail after the copy; it is ERROR on {there}',
        }
        failing = {fails: self._failing(here, fails) for fails in causes}
        # the largest go first: when these have ended Nova is done with all
        small = self.scene.flavor(memory_mb=256)
        good = self.scene.servers(['good1', 'good2'], on=here, flavor=small)
        for server in good:
            self.scene.migration_of(server, seconds=3)

        drain = self.set_(
            *(here, '--migrate', 'all', '--retries', '0'),
            *('--max-parallel', '4'),
            code=Exit.STAYED,
        )

        self.assertEqual(8, len(drain.told['moves']))
        for server in good:
            self.assert_moved_once(drain, server, there)
        for server in failing.values():
            self.at_rest(server)
        shown = self.shown(here)
        for told in (drain.told, shown):
            self.assertEqual('error', told['state'])
            self.assertFalse(told['emptied'])
        for fails, server in failing.items():
            move = drain.of(server)
            self.assertEqual(
                ('failed', None, None),
                (move['outcome'], move['destination'], move['seconds']),
            )
            self.assertIn(causes[fails], move['cause'])
            self.assertIn(causes[fails], drain.stderr)
            self.assertEqual(1, len(self.migrations(server)), fails)
            status = 'ERROR' if fails in ('driver', 'post') else 'ACTIVE'
            at = there if fails == 'post' else here
            self.assert_on(at, server, status)
            if fails == 'post':
                self.assertNotIn(server.id, shown['cause'])
            else:
                self.assertIn(f'web-{fails} ({server.id}): ', shown['cause'])
                self.assertIn(causes[fails], shown['cause'])

        # nothing is repaired by itself: the same once more
        again = self.set_(here, '--retries', '0', code=Exit.STAYED)
        self.assertEqual('failed', again.outcome(failing['pre']))
        self.assertEqual(2, len(self.migrations(failing['pre'])))
        stuck = again.of(failing['driver'])
        self.assertEqual('blocked', stuck['outcome'])
        self.assertIn('is in ERROR', stuck['cause'])

        for server in failing.values():
            self.scene.migration_of(server)
        self.act(failing['driver'], 'os-resetState', state='active')
        drain = self.set_(here)
        for fails, server in failing.items():
            if fails != 'post':
                self.assert_on(there, server)
                self.assertEqual('moved', drain.outcome(server))
        # what was left of the failures Nova does not tidy up
        self.assertIn('Placement has allocations of', drain.stderr)
        shown = self.maintenance('show', here, says='Placement has')
        for told in (drain.told, shown):
            self.assertEqual(
                ('maintenance', {}, False),
                (told['state'], told['servers'], told['emptied']),
            )

    def test_every_failure_of_a_cold_migration(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        wary = self._failing(here, 'cold-check', 'SHUTOFF')
        broken = self._failing(here, 'cold', 'SHUTOFF')
        lost = self._failing(here, 'spawn', 'SHUTOFF')
        good = self.scene.server('good', on=here, status='SHUTOFF')

        drain = self.set_(
            here, '--migrate', 'all', '--retries', '0', code=Exit.STAYED
        )

        self.assert_moved_once(drain, good, there, 'SHUTOFF')
        # Nova says that a move has failed before it lets go of the server
        for server in (wary, broken, lost):
            self.at_rest(server)
        self.assert_on(here, wary, 'SHUTOFF')
        self.assert_on(here, broken, 'ERROR')
        self.assert_on(there, lost, 'ERROR')
        for server, cause in (
            (wary, 'told to fail'),
            (broken, f'told to fail; it is ERROR on {here}'),
            (
                lost,
                f'Failed to deploy instance: told to fail; it is ERROR on '
                f'{there}',
            ),
        ):
            move = drain.of(server)
            self.assertEqual(
                ('cold-migrate', 'failed'), (move['verdict'], move['outcome'])
            )
            self.assertIn(cause, move['cause'])
            self.assertEqual(['error'], self.statuses(server))
        shown = self.shown(here)
        self.assertEqual('error', shown['state'])
        for server in (wary, broken):
            self.assertIn(f'{server.name} ({server.id})', shown['cause'])
        self.assertNotIn(lost.id, shown['cause'])

        for server in (wary, broken):
            self.scene.migration_of(server)
        self.act(broken, 'os-resetState', state='active')
        self.act(broken, 'os-stop')
        self.scene.wait_for_server(broken, 'SHUTOFF')
        drain = self.set_(here)
        self.assertEqual('maintenance', drain.told['state'])
        self.assertEqual({}, drain.told['servers'])
        for server in (wary, broken):
            self.assert_on(there, server, 'SHUTOFF')
            self.assertEqual('confirmed', self.statuses(server)[-1])

    def test_no_valid_host(self) -> None:
        here = self.scene.host()
        web = self.scene.server('web', on=here)
        off = self.scene.server('off', on=here, status='SHUTOFF')

        drain = self.set_(
            here, '--migrate', 'all', '--retries', '0', code=Exit.STAYED
        )

        for server in (web, off):
            move = drain.of(server)
            self.assertEqual('failed', move['outcome'])
            self.assertIn('No valid host was found', move['cause'])
            self.assertEqual(['error'], self.statuses(server))
            self.at_rest(server)
        self.assert_on(here, web)
        self.assert_on(here, off, 'SHUTOFF')
        shown = self.shown(here)
        self.assertEqual('error', shown['state'])
        self.assertEqual(2, shown['cause'].count('No valid host was found'))

        there = self.scene.host()
        drain = self.set_(here)
        self.assert_drained(drain.told)
        self.assert_on(there, web)
        self.assert_on(there, off, 'SHUTOFF')

    def test_a_failure_is_tried_again(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self._failing(here, 'pre')
        off = self._failing(here, 'cold-check', 'SHUTOFF')
        going = self.set_going(here, '--migrate', 'all', '--retries', '5')
        for server in (web, off):
            going.says(f'({server.id}): will be tried again in 10s: ')
            self.scene.migration_of(server)
        drain = self.ended(going)
        self.assert_drained(drain.told)
        # once, unless it was tried again before it was mended
        for server, fails, ends in (
            (web, 'failed', 'completed'),
            (off, 'error', 'confirmed'),
        ):
            *before, last = self.statuses(server)
            self.assertEqual(({fails}, ends), ({*before}, last))
        self.assert_on(there, web)
        self.assert_on(there, off, 'SHUTOFF')
        for server in (web, off):
            self.assertEqual('moved', drain.outcome(server))
            self.assertIsNone(drain.of(server)['cause'])
        self.assertIn('started again (attempt 2)', drain.stderr)

    def test_a_failure_is_tried_as_often_as_asked(self) -> None:
        here, _there = self.scene.host(), self.scene.host()
        web = self._failing(here, 'pre')
        for options, attempts in (
            (('--migrate', 'all', '--retries', '0'), 1),
            (('--retries', '1'), 3),
            ((), 5),
        ):
            self.set_(here, *options, code=Exit.STAYED)
            # Nova takes it for an error at first
            self.migration(web, 'failed')
            self.assertEqual(['failed'] * attempts, self.statuses(web))

    def test_what_is_hopeless_is_told_before_anything_moves(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        broken = self.scene.server('broken', on=here, status='ERROR')
        web = self.scene.server('web', on=here)
        drain = self.set_(here, '--migrate', 'all', code=Exit.STAYED)
        self.assert_moved_once(drain, web, there)
        move = drain.of(broken)
        self.assertEqual(
            ('blocked', 'blocked'), (move['verdict'], move['outcome'])
        )
        self.assertEqual([], self.migrations(broken))
        lines = drain.stderr.splitlines()
        told = next(i for i, line in enumerate(lines) if broken.id in line)
        started = next(i for i, line in enumerate(lines) if web.id in line)
        self.assertLess(told, started)
        shown = self.shown(here)
        self.assertEqual('error', shown['state'])
        self.assertIn(f'broken ({broken.id}): is in ERROR', shown['cause'])
        # its owner deletes it, and all is well
        self.admin.delete('compute', f'/servers/{broken.id}')
        drain = self.set_(here)
        self.assertEqual('maintenance', drain.told['state'])
