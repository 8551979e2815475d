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

"""What the owner of a server wishes, set with no more than a member's rights.

``maintenance:policy`` is a plain property of the server.
"""

from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.functional import drains

_PROPERTY = 'maintenance:policy'


class TestWish(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()
        self.servers = self.scene.servers(
            ['keep', 'cold', 'live', 'odd'], on=self.here
        )

    def wish(self, server: scene.Server, value: str) -> None:
        self.openstack(
            *('server', 'set', '--property', f'{_PROPERTY}={value}'),
            server.id,
            cloud='alpha-member',
        )

    def test_it_is_heeded_and_shown(self) -> None:
        kept, cold, live, odd = self.servers
        self.wish(kept, 'keep')
        self.wish(cold, 'cold-migrate')
        self.wish(live, 'live-migrate')
        self.wish(odd, 'all\x1b[31mred')
        told = self.verdicts('show', self.here, '--servers')
        self.assertEqual(
            ['leave', 'cold-migrate', 'live-migrate', 'live-migrate'],
            [told[server.id]['verdict'] for server in self.servers],
        )
        self.assertIn('kept by its owner', told[kept.id]['cause'])
        self.assertIn('as its owner wishes', told[cold.id]['cause'])
        self.assertIn('all\\x1b[31mred', told[odd.id]['cause'])

        drain = self.set_(self.here, '--migrate', 'all')

        self.assertEqual('left', drain.outcome(kept))
        self.assert_on(self.here, kept)
        self.assert_moved_once(drain, cold, self.there)
        self.assertEqual('cold-migrate', drain.of(cold)['verdict'])
        for server in (live, odd):
            self.assert_moved_once(drain, server, self.there)
        shown = self.shown(self.here)
        self.assertEqual('maintenance', shown['state'])
        self.assertIs(False, shown['emptied'])
        self.assertIn(f'keep ({kept.id})', shown['cause'])

        # it moves once the owner has nothing against it any more
        self.openstack(
            *('server', 'unset', '--property', _PROPERTY, kept.id),
            cloud='alpha-member',
        )
        drain = self.set_(self.here)
        self.assert_moved_once(drain, kept, self.there)
        self.assert_drained(self.shown(self.here))
