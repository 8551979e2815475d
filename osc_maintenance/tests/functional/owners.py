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

"""What the tests of owners have in common."""

import hashlib
import hmac
import json
import typing

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.functional import drains

LIST = ('server', 'maintenance', 'list')
SHOW = ('server', 'maintenance', 'show')
ACKNOWLEDGE = ('server', 'maintenance', 'acknowledge')


class OwnersTestCase(drains.DrainTestCase):
    """A test with two hosts, and what owners see."""

    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()

    def listed(
        self, cloud: str, *options: str
    ) -> dict[str, dict[str, typing.Any]]:
        """What ``server maintenance list`` shows somebody, by server id."""
        told = self.openstack(*LIST, *options, '-f', 'json', cloud=cloud)
        return {row['id']: row for row in json.loads(told)}

    def actions(self, *made: scene.Server) -> list[str | None]:
        """What happens to servers, as an admin sees it."""
        found = self.listed('admin', '--all-projects')
        return [found.get(item.id, {}).get('action') for item in made]

    def metadata(self, server: scene.Server) -> dict[str, str]:
        """The metadata of a server."""
        found: dict[str, str] = self.server(server)['metadata']
        return found

    def seen_by_guest(self, server: scene.Server) -> dict[str, str]:
        """What the guest reads, asked for as its proxy does."""
        signature = hmac.new(
            accounts.METADATA_SECRET.encode(),
            server.id.encode(),
            hashlib.sha256,
        )
        found, _headers = api.call(
            'GET',
            f'{self.cloud.urls["metadata"]}/openstack/latest/meta_data.json',
            headers={
                'X-Instance-ID': server.id,
                'X-Tenant-ID': self.server(server)['tenant_id'],
                'X-Instance-ID-Signature': signature.hexdigest(),
            },
        )
        self.assertEqual(server.id, found['uuid'])
        meta: dict[str, str] = found.get('meta', {})
        return meta

    def wish(self, server: scene.Server, value: str) -> None:
        """The owner of a server of alpha sets a standing wish."""
        self.openstack(
            *('server', 'set', '--property', f'maintenance:policy={value}'),
            server.id,
            cloud='alpha-member',
        )

    def reply(
        self,
        server: scene.Server,
        *options: str,
        cloud: str = 'alpha-member',
    ) -> drains.Json:
        """The owner of a server replies; the answer."""
        told = self.openstack(
            *(*ACKNOWLEDGE, server.id, *options, '-f', 'json'), cloud=cloud
        )
        found: drains.Json = json.loads(told)
        return found
