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

"""The servers that a maintenance has moved away come back."""

import json
import math
import signal

from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import drains

_UNSET = ('host', 'maintenance', 'unset')


class TestReturn(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()

    def unset_going(self, *options: str) -> forked.Command:
        """Start ``unset --return-servers``."""
        return self.start(
            *_UNSET, self.here, '--return-servers', *options, '-f', 'json'
        )

    def unset(
        self, *options: str, code: drains.Exit = drains.Exit.DONE
    ) -> drains.Drain:
        """Run ``unset --return-servers`` to its end."""
        return self.ended(self.unset_going(*options), code)

    def on(self, server: scene.Server) -> tuple[str, str]:
        """Where Nova has a server, and its status."""
        self.wound_up(*self.migrations(server))
        found = self.server(server)
        return found['OS-EXT-SRV-ATTR:host'], found['status']

    def moved_by_hand(self, server: scene.Server, host: str) -> None:
        """Somebody else moves a server."""
        self.migrate(server, host)
        self.migration(server, 'completed')
        self.at_rest(server)

    def test_exactly_those_that_were_moved_and_stayed_where_they_went(
        self,
    ) -> None:
        third = self.scene.host()
        self.set_service(third, 'disabled')
        web = self.scene.server('web', on=self.here)
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        strayed = self.scene.server('strayed', on=self.here)
        deleted = self.scene.server('deleted', on=self.here)
        kept = self.scene.server('kept', on=self.here)
        other = self.scene.server('other', on=self.there)
        own = self.scene.server('own', on=self.here)
        # its move away has nothing to do with the maintenance
        self.moved_by_hand(own, self.there)
        self.set_(self.here, '--migrate', 'all', '--exclude-server', 'kept')
        self.set_service(third, 'enabled')
        self.moved_by_hand(strayed, third)
        operations.delete_servers(self.admin, [deleted.id])

        back = self.unset()

        self.assertEqual('none', back.told['state'])
        self.assertTrue(back.told['changed'])
        self.assert_untouched(self.here)
        moves = {m['name']: m for m in back.told['moves']}
        self.assertEqual({'web', 'off', 'strayed'}, moves.keys())
        for name in ('web', 'off'):
            self.assertEqual(
                ('moved', self.here),
                (moves[name]['outcome'], moves[name]['destination']),
            )
        self.assertEqual('left', moves['strayed']['outcome'])
        self.assertIn(third, moves['strayed']['cause'])
        self.assertEqual((self.here, 'ACTIVE'), self.on(web))
        self.assertEqual((self.here, 'SHUTOFF'), self.on(off))
        self.assertEqual((self.here, 'ACTIVE'), self.on(kept))
        self.assertEqual((third, 'ACTIVE'), self.on(strayed))
        for server in (other, own):
            self.assertEqual((self.there, 'ACTIVE'), self.on(server))
        self.assertIn('2 of 3 servers to move', back.stderr.splitlines()[0])
        self.assertIn('unset', back.stderr.splitlines()[1])

    def test_one_that_cannot_come_back_keeps_the_record(self) -> None:
        web = self.scene.server('web', on=self.here)
        db = self.scene.server('db', on=self.here)
        self.set_(self.here, '--migrate', 'all')
        self.scene.migration_of(db, fails='source-check')

        back = self.unset('--retries', '0', code=drains.Exit.STAYED)
        # who looks on does not know yet that nobody tries again
        shown = self.shown(self.here)
        self.assertEqual('migrating', shown['state'], str(shown))
        self.assertIn('has just stopped', shown['cause'])

        self.assertEqual((self.here, 'ACTIVE'), self.on(web))
        self.assertEqual((self.there, 'ACTIVE'), self.on(db))
        self.assertEqual('failed', back.outcome(db))
        self.assertIn('told to fail', back.of(db)['cause'])
        self.assertEqual('error', back.told['state'])
        self.assertIn('--return-servers', back.told['cause'])
        # it is in use again, and cron does not take it out of use
        self.assertEqual(('enabled', None), self.service(self.here))

        self.scene.migration_of(db)
        back = self.unset()
        self.assertEqual(['moved'], [m['outcome'] for m in back.told['moves']])
        self.assertEqual((self.here, 'ACTIVE'), self.on(db))
        self.assert_untouched(self.here)

    def test_those_that_cannot_come_back_are_left_by_a_plain_unset(
        self,
    ) -> None:
        web = self.scene.server('web', on=self.here)
        self.set_(self.here, '--migrate', 'all')
        self.scene.migration_of(web, fails='source-check')
        self.unset('--retries', '0', code=drains.Exit.STAYED)
        told = self.maintenance('unset', self.here)
        self.assertEqual('none', told['state'])
        self.assert_untouched(self.here)
        self.assertEqual((self.there, 'ACTIVE'), self.on(web))

    def test_it_is_killed_and_goes_on(self) -> None:
        web = self.scene.server('web', on=self.here)
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        self.set_(self.here, '--migrate', 'all')
        self.scene.migration_of(web, seconds=4)
        going = self.unset_going()
        going.says('live migration started')
        going.kill()
        shown = self.shown(self.here)
        self.assertEqual('migrating', shown['state'], str(shown))

        self.unset()

        self.assert_untouched(self.here)
        self.assertEqual((self.here, 'ACTIVE'), self.on(web))
        self.assertEqual((self.here, 'SHUTOFF'), self.on(off))
        for server in (web, off):
            self.assertEqual(2, len(self.migrations(server)))

    def test_it_is_interrupted_and_the_host_is_set_again(self) -> None:
        web = self.scene.server('web', on=self.here)
        self.set_(self.here, '--migrate', 'all')
        self.scene.migration_of(web, hangs=True)
        going = self.unset_going()
        going.says('live migration started')
        going.send(signal.SIGINT)
        back = self.ended(going, drains.Exit.INTERRUPTED)
        self.assertIn('--return-servers" continues', back.stderr)
        self.assertEqual('moving', back.outcome(web))
        self.scene.migration_of(web)
        self.force(web)
        self.at_rest(web)

        drain = self.set_(self.here)
        self.assert_drained(drain.told)
        self.assertEqual((self.there, 'ACTIVE'), self.on(web))
        back = self.unset()
        self.assertEqual((self.here, 'ACTIVE'), self.on(web))
        self.assert_untouched(self.here)

    def test_it_is_interrupted_while_one_comes_back_cold(self) -> None:
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        self.set_(self.here, '--migrate', 'all')
        self.scene.migration_of(off, cold_seconds=math.inf)
        going = self.unset_going()
        going.says('cold migration started')
        going.send(signal.SIGINT)
        self.ended(going, drains.Exit.INTERRUPTED)
        self.scene.migration_of(off)

        drain = self.set_(self.here)
        self.assert_drained(drain.told)
        self.assertEqual((self.there, 'SHUTOFF'), self.on(off))

    def test_what_is_refused(self) -> None:
        web = self.scene.server('web', on=self.here)
        self.set_service(self.here, 'disabled', 'broken NIC')
        self.set_(self.here, '--migrate', 'all')
        said = self.refused(
            *_UNSET,
            self.here,
            '--return-servers',
            code=drains.Exit.REFUSED,
        )
        self.assertIn('broken NIC', said)
        self.maintenance('unset', self.here)
        self.assertEqual(('disabled', 'broken NIC'), self.service(self.here))
        self.set_service(self.here, 'enabled')
        self.set_(self.here, '--migrate', 'all')
        self.scene.host_down(self.here)
        said = self.refused(
            *_UNSET,
            self.here,
            '--return-servers',
            code=drains.Exit.REFUSED,
        )
        self.assertIn('is down', said)
        self.assertTrue(self.service(self.here)[1])
        self.scene.host_up(self.here)
        self.unset()
        self.assertEqual((self.there, 'ACTIVE'), self.on(web))

    def test_a_host_that_is_not_in_maintenance(self) -> None:
        answer = self.run_openstack(
            *_UNSET, self.here, '--return-servers', '-f', 'json'
        )
        self.assertEqual(0, answer.code, answer.stderr)
        self.assertIn('is not in maintenance', answer.stderr)
        told = json.loads(answer.stdout)
        self.assertEqual((False, 'none'), (told['changed'], told['state']))
