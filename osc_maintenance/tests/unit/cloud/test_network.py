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

import io
import json
import typing

from cloud_services import network
from oslotest import base


class TestNetwork(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.network = network.Network()

    def call(
        self, method: str, path: str, body: object = None, query: str = ''
    ) -> tuple[int, typing.Any]:
        raw = b'' if body is None else json.dumps(body).encode()
        statuses: list[str] = []
        (answer,) = self.network(
            {
                'REQUEST_METHOD': method,
                'PATH_INFO': path,
                'QUERY_STRING': query,
                'CONTENT_LENGTH': str(len(raw)),
                'wsgi.input': io.BytesIO(raw),
            },
            lambda status, _headers: statuses.append(status),
        )
        return int(statuses[0][:3]), json.loads(answer) if answer else None

    def port(self, **fields: str) -> typing.Any:
        status, body = self.call('POST', '/v2.0/ports', {'port': fields})
        self.assertEqual(201, status)
        return body['port']

    def test_versions_and_extensions(self) -> None:
        for path in ('/', '/v2.0', '/v2.0/extensions', '/v2.0/quotas/me'):
            self.assertEqual(200, self.call('GET', path)[0], path)
        path = '/v2.0/extensions/'
        self.assertEqual(200, self.call('GET', path + 'binding-extended')[0])
        self.assertEqual(404, self.call('GET', path + 'trunk')[0])
        self.assertEqual(404, self.call('GET', '/v2.0/nonsense')[0])

    def test_networks_are_everybodys(self) -> None:
        _, found = self.call('GET', '/v2.0/networks', query='tenant_id=me')
        self.assertEqual(['private'], [n['name'] for n in found['networks']])
        _, found = self.call('GET', '/v2.0/networks', query='name=public')
        self.assertEqual([], found['networks'])
        _, found = self.call('GET', '/v2.0/security-groups')
        self.assertEqual(1, len(found['security_groups']))

    def test_ports_by_their_device(self) -> None:
        mine = self.port(device_id='web', tenant_id='me')
        other = self.port(device_id='db')
        self.assertNotEqual(mine['mac_address'], other['mac_address'])
        self.assertNotEqual(mine['fixed_ips'], other['fixed_ips'])
        query = 'device_id=web&tenant_id=me&fields=id'
        _, found = self.call('GET', '/v2.0/ports', query=query)
        self.assertEqual([mine['id']], [p['id'] for p in found['ports']])
        path = f'/v2.0/ports/{mine["id"]}'
        self.assertEqual((204, None), self.call('DELETE', path))
        self.assertEqual(404, self.call('GET', path)[0])

    def test_a_port_is_active_where_it_is_bound(self) -> None:
        port = self.port()
        self.assertEqual('DOWN', port['status'])
        path = f'/v2.0/ports/{port["id"]}'
        bound = {'port': {'binding:host_id': 'here'}}
        _, body = self.call('PUT', path, bound)
        self.assertEqual('ACTIVE', body['port']['status'])
        self.assertEqual('ovs', body['port']['binding:vif_type'])

    def test_bindings_of_a_live_migration(self) -> None:
        port = self.port(**{'binding:host_id': 'here'})
        path = f'/v2.0/ports/{port["id"]}/bindings'
        there = {'binding': {'host': 'there'}}
        self.assertEqual(201, self.call('POST', path, there)[0])
        self.assertEqual(409, self.call('POST', path, there)[0])
        self.assertEqual(200, self.call('PUT', f'{path}/there/activate')[0])
        _, body = self.call('GET', path)
        self.assertEqual(
            {'here': 'INACTIVE', 'there': 'ACTIVE'},
            {b['host']: b['status'] for b in body['bindings']},
        )
        _, body = self.call('GET', f'/v2.0/ports/{port["id"]}')
        self.assertEqual('there', body['port']['binding:host_id'])
        self.assertEqual(204, self.call('DELETE', f'{path}/here')[0])
        self.assertEqual(404, self.call('GET', f'{path}/here')[0])
