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

"""Owners are told: two projects, a member and a reader, and the guest."""

import json

from osc_maintenance.tests.functional import drains
from osc_maintenance.tests.functional import owners


class TestNotices(owners.OwnersTestCase):
    def test_the_guest_sees_it(self) -> None:
        web = self.scene.server(
            'web', on=self.here, metadata={'color': 'blue'}
        )
        self.assertEqual({'color': 'blue'}, self.seen_by_guest(web))
        told = self.maintenance(
            'set', self.here, '--removal', '--notify-owners'
        )
        self.assertEqual(
            {
                'color': 'blue',
                'maintenance:id': told['id'],
                'maintenance:action': 'stay',
                'maintenance:window_start': told['window_start'],
                'maintenance:removal': 'true',
            },
            self.seen_by_guest(web),
        )
        self.maintenance('unset', self.here)
        self.assertEqual({'color': 'blue'}, self.seen_by_guest(web))

    def test_plan_see_drain_and_back(self) -> None:
        # other tests have servers in these projects, and one is told by name
        name = f'web-{self.scene.name}'
        web = self.scene.server(name, on=self.here, metadata={'color': 'blue'})
        db = self.scene.server('db', on=self.here, project='beta')
        kept = self.scene.server(
            'kept', on=self.here, metadata={'maintenance:policy': 'keep'}
        )
        url = 'https://tickets.example.com/7'
        planned = self.set_(
            *(self.here, '--start', '+1h', '--duration', '2h'),
            *('--migrate', 'all', '--ticket-url', url, '--notify-owners'),
        )
        self.assertEqual([], planned.told['untold'])
        self.assertIs(True, planned.told['notify_owners'])

        for cloud, seen in (
            ('alpha-member', {web.id, kept.id}),
            ('alpha-reader', {web.id, kept.id}),
            ('beta-reader', {db.id}),
        ):
            self.assertEqual(
                seen, self.listed(cloud).keys() & {web.id, db.id, kept.id}
            )
        shown = json.loads(
            self.openstack(
                *owners.SHOW, name, '-f', 'json', cloud='alpha-reader'
            )
        )
        self.assertEqual(
            ('live-migrate', planned.told['window_start'], url, False),
            tuple(
                shown[name]
                for name in ('action', 'window_start', 'ticket_url', 'removal')
            ),
        )
        self.assertGreater(shown['seconds_until_start'], 3000)
        self.refused(*owners.SHOW, web.id, cloud='beta-member')
        self.assertEqual(
            ['live-migrate', 'live-migrate', 'stay'],
            self.actions(web, db, kept),
        )

        # one comes later, and one changes its mind
        late = self.scene.server('late', on=self.here)
        self.openstack(
            *('server', 'unset', '--property', 'maintenance:policy', kept.id),
            cloud='alpha-member',
        )
        again = self.set_(self.here, '--reason', 'kernel')
        self.assertIs(True, again.told['changed'])
        self.assertEqual(
            ['live-migrate', 'live-migrate'], self.actions(late, kept)
        )
        again = self.set_(self.here, '--reason', 'kernel')
        self.assertIs(False, again.told['changed'])

        # many leave at once, and stderr tells of nothing else
        drain = self.set_(self.here, '--now', '--max-parallel', '8')

        self.assertNotIn('pool', drain.stderr)
        self.assertEqual([], drain.told['untold'])
        self.assert_drained(drain.told)
        self.assertEqual({'color': 'blue'}, self.metadata(web))
        for server in (db, kept, late):
            self.assertEqual({}, self.metadata(server))
        self.maintenance('unset', self.here)
        self.assert_untouched(self.here)

    def test_who_cannot_be_told(self) -> None:
        web = self.scene.server('web', on=self.here)
        broken = self.scene.server('broken', on=self.here, status='ERROR')
        answer = self.run_openstack(
            *('host', 'maintenance', 'set', self.here, '--notify-owners'),
            *('-f', 'json'),
        )
        self.assertEqual(drains.Exit.DONE, answer.code, str(answer))
        (row,) = json.loads(answer.stdout)['untold']
        self.assertEqual(broken.id, row['id'])
        self.assertIn('vm_state error', row['cause'])
        self.assertIn(broken.id, answer.stderr)
        self.assertEqual(['stay', None], self.actions(web, broken))

        # they want no more of it
        told = self.maintenance('set', self.here, '--no-notify-owners')
        self.assertIs(False, told['notify_owners'])
        self.assertEqual([None, None], self.actions(web, broken))
        self.assertEqual({}, self.metadata(web))

    def test_a_server_has_no_room_for_it(self) -> None:
        web = self.scene.server('web', on=self.here)
        mine = {f'key{number}': 'mine' for number in range(126)}
        full = self.scene.server('full', on=self.here, metadata=mine)
        answer = self.run_openstack(
            *('host', 'maintenance', 'set', self.here, '--notify-owners'),
            *('-f', 'json'),
        )
        self.assertEqual(drains.Exit.DONE, answer.code, str(answer))
        (row,) = json.loads(answer.stdout)['untold']
        self.assertEqual(full.id, row['id'])
        self.assertIn('HTTP 403', row['cause'])
        self.assertEqual(['stay', None], self.actions(web, full))
        self.assertEqual(mine, self.metadata(full))
        self.maintenance('unset', self.here)
        self.assertEqual(mine, self.metadata(full))

    def test_an_id_that_its_owner_has_changed(self) -> None:
        gone, other = self.scene.servers(['gone', 'other'], on=self.here)
        self.maintenance('set', self.here, '--notify-owners')
        for server, change in (
            (gone, ('unset', '--property', 'maintenance:id')),
            (other, ('set', '--property', 'maintenance:id=deadbeef')),
        ):
            self.openstack('server', *change, server.id, cloud='alpha-member')
        self.maintenance('unset', self.here)
        for server in (gone, other):
            self.assertEqual({}, self.metadata(server))

    def test_unset_removes_what_was_told(self) -> None:
        web = self.scene.server(
            'web', on=self.here, metadata={'color': 'blue'}
        )
        self.maintenance('set', self.here, '--notify-owners')
        self.assertEqual(['stay'], self.actions(web))
        # it leaves by another way than a drain
        self.migrate(web, self.there)
        self.migration(web, 'completed')
        self.at_rest(web)
        self.maintenance('unset', self.here)
        self.assertEqual({'color': 'blue'}, self.metadata(web))
        self.assert_untouched(self.here)

    def killed_at(self, write: int) -> bool:
        """Kill ``set`` at one of its writes; whether it came to that."""
        made, environ = self.proxied()
        going = self.set_going(self.here, '--notify-owners', environ=environ)

        def die(_method: str, _path: str) -> None:
            if len(made.writes) >= write:
                going.kill()
                raise ConnectionError

        made.before = die
        code = going.end().code
        # what is said to owners goes side by side: some may be on its way
        made.settle()
        return code != 0

    def test_killed_in_between(self) -> None:
        made = self.scene.servers(['a', 'b', 'c'], on=self.here)
        write = 1
        while self.killed_at(write):
            # whether it goes on or is given up
            if write % 2:
                self.maintenance('set', self.here, '--notify-owners')
                self.assertEqual(['stay'] * 3, self.actions(*made))
            self.maintenance('unset', self.here)
            for server in made:
                self.assertEqual({}, self.metadata(server))
            self.assert_untouched(self.here)
            write += 1
        self.assertGreater(write, 5)
        self.assertEqual(['stay'] * 3, self.actions(*made))
