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

"""What is on a host: servers, migrations, and what only Placement knows."""

import uuid

from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.functional import base
from osc_maintenance.tests.functional import drains


class TestLoad(drains.DrainTestCase):
    def test_servers_of_every_project_by_status(self) -> None:
        host, other = self.scene.host(), self.scene.host()
        self.scene.server('web', on=host, project='alpha')
        self.scene.server('db', on=host, project='beta')
        self.scene.server('off', on=host, project='beta', status='SHUTOFF')
        self.scene.server('elsewhere', on=other)
        shown = self.maintenance('show', host)
        self.assertEqual({'ACTIVE': 2, 'SHUTOFF': 1}, shown['servers'])
        self.assertIs(False, shown['emptied'])
        # none of them is in the way of a maintenance that moves none
        told = self.maintenance('set', host)
        self.assertEqual('maintenance', told['state'])
        table = self.openstack('host', 'maintenance', 'show', host)
        self.assertRegex(table, r'Servers +\| ACTIVE: 2, SHUTOFF: 1 ')

    def test_a_live_migration_in_progress(self) -> None:
        source, target = self.scene.host(), self.scene.host()
        server = self.scene.server('web', on=source)
        self.scene.migration_of(server, hangs=True)
        self.maintenance('set', source)
        self.admin.post(
            'compute',
            f'/servers/{server.id}/action',
            {'os-migrateLive': {'host': target, 'block_migration': 'auto'}},
        )
        migration = operations.wait_for(
            'the migration to run', lambda: self._running(server.id)
        )
        self.maintenance('set', target, '--start', '+4h')
        shown = self.maintenance('show', source)
        self.assertEqual(
            ('migrating', 1, 0),
            (shown['state'], shown['migrations_out'], shown['migrations_in']),
        )
        shown = self.maintenance('show', target)
        self.assertEqual(
            ('planned', 0, 1, False),
            (
                shown['state'],
                shown['migrations_out'],
                shown['migrations_in'],
                shown['emptied'],
            ),
        )
        states = {row['host']: row['state'] for row in self.rows('list')}
        self.assertEqual({source: 'migrating', target: 'planned'}, states)

        self.admin.post(
            'compute',
            f'/servers/{server.id}/migrations/{migration}/action',
            {'force_complete': None},
        )
        self.at_rest(server)
        shown = self.shown(source)
        self.assertEqual(
            ('maintenance', {}), (shown['state'], shown['servers'])
        )
        self.assertIs(True, shown['emptied'])

    def _running(self, server: str) -> int | None:
        found = self.admin.get('compute', f'/servers/{server}/migrations')
        for migration in found['migrations']:
            if migration['status'] == 'running':
                number: int = migration['id']
                return number
        return None

    def test_an_unconfirmed_resize_still_occupies_its_source(self) -> None:
        source, _target = self.scene.host(), self.scene.host()
        server = self.scene.server('web', on=source, status='SHUTOFF')
        self.admin.post(
            'compute', f'/servers/{server.id}/action', {'migrate': None}
        )
        self.scene.wait_for_server(server, 'VERIFY_RESIZE')
        told = self.maintenance('set', source)
        self.assertEqual(
            ('maintenance', {}, 1, 0, False),
            (
                told['state'],
                told['servers'],
                told['unconfirmed_resizes'],
                told['migrations_out'],
                told['emptied'],
            ),
        )
        self.admin.post(
            'compute', f'/servers/{server.id}/action', {'confirmResize': None}
        )
        self.at_rest(server)
        self.assertIs(True, self.shown(source)['emptied'])


class TestEmptied(base.TestCase):
    def test_placement_knows_of_more(self) -> None:
        host = self.scene.host()
        consumer = str(uuid.uuid4())
        providers = self.admin.get(
            'placement', f'/resource_providers?name={host}'
        )['resource_providers']
        allocation = {
            'allocations': {providers[0]['uuid']: {'resources': {'VCPU': 1}}},
            'project_id': 'p',
            'user_id': 'u',
            'consumer_generation': None,
            'consumer_type': 'INSTANCE',
        }
        self.admin.put('placement', f'/allocations/{consumer}', allocation)
        self.addCleanup(
            self.admin.delete, 'placement', f'/allocations/{consumer}'
        )
        shown = self.maintenance('show', host, says=consumer)
        self.assertIs(False, shown['emptied'])
        self.assertEqual({}, shown['servers'])

    def test_placement_cannot_be_asked(self) -> None:
        host = self.scene.host()
        nowhere = self.clouds_yaml(
            placement_endpoint_override='http://127.0.0.1:9'
        )
        shown = self.maintenance(
            'show', host, environ=nowhere, says='Placement cannot be asked'
        )
        self.assertIsNone(shown['emptied'])
        # what Nova knows is enough to say no
        self.scene.server('web', on=host)
        shown = self.maintenance('show', host, environ=nowhere)
        self.assertIs(False, shown['emptied'])
        self.openstack(
            '-q', 'host', 'maintenance', 'show', host, environ=nowhere
        )
