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

import typing
from unittest import mock

from novaclient import client
from novaclient import exceptions as nova_exceptions
from osc_lib import exceptions
from oslotest import base

from osc_maintenance.nova import api
from osc_maintenance.nova import owned
from osc_maintenance import servers

ID = '11111111-0000-4000-8000-00000000000a'
WEB = servers.Server(ID, 'web')
REFUSAL = nova_exceptions.Forbidden(403, 'Quota exceeded')


class OwnedTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client = mock.Mock(spec=['client'])
        self.client.client = mock.Mock(spec=client.SessionClient)
        self.nova = owned.Owned(self.client)

    def answers(self, *bodies: typing.Any) -> None:
        self.client.client.get.side_effect = [
            body if isinstance(body, Exception) else (None, body)
            for body in bodies
        ]

    def urls(self) -> list[str]:
        return [call.args[0] for call in self.client.client.get.mock_calls]


def listed(*names: str) -> dict[str, typing.Any]:
    return {
        'servers': [
            {'id': f'id-{number}', 'name': name, 'status': 'ACTIVE'}
            for number, name in enumerate(names)
        ]
    }


class TestAll(OwnedTestCase):
    def test_what_is_asked(self) -> None:
        for everybody, url in (
            (False, '/servers/detail'),
            (True, '/servers/detail?all_tenants=1'),
        ):
            self.client.client.get.reset_mock()
            self.answers(listed('web', 'db'))
            found = self.nova.all(all_projects=everybody)
            self.assertEqual(['web', 'db'], [item.name for item in found])
            self.assertEqual([url], self.urls())


class TestFind(OwnedTestCase):
    def test_by_id(self) -> None:
        self.answers({'server': {'id': ID, 'status': 'ACTIVE'}})
        self.assertEqual(ID, self.nova.find(ID).id)

    def test_one_whose_cell_is_down(self) -> None:
        self.answers({'server': {'id': ID, 'status': 'UNKNOWN'}})
        error = self.assertRaises(api.DownCellError, self.nova.find, ID)
        self.assertIn('its cell is down', str(error))

    def test_one_whose_name_looks_like_an_id(self) -> None:
        self.answers(nova_exceptions.NotFound(404), listed('web', ID))
        self.assertEqual('id-1', self.nova.find(ID).id)

    def test_by_name(self) -> None:
        self.answers(listed('web', 'web2', 'w.b'))
        self.assertEqual('id-2', self.nova.find('w.b').id)
        self.assertEqual(['/servers/detail'], self.urls())

    def test_none_and_several(self) -> None:
        for name, words in (
            ('x\x1b', 'no server x\\x1b among those of this project'),
            ('db', '2 servers are called db: give one of the IDs id-0, id-1'),
        ):
            self.answers(listed('db', 'db'))
            error = self.assertRaises(
                exceptions.CommandError, self.nova.find, name
            )
            self.assertIn(words, str(error))

    def test_none_where_not_all_names_are_told(self) -> None:
        down = {'servers': [{'id': 'id-1', 'status': 'UNKNOWN'}]}
        self.answers(down)
        error = self.assertRaises(
            exceptions.CommandError, self.nova.find, 'db'
        )
        self.assertIn(
            '; of 1 Nova tells no name, as their cell is down', str(error)
        )

    def test_nova_refuses(self) -> None:
        self.answers(REFUSAL)
        error = self.assertRaises(exceptions.CommandError, self.nova.find, ID)
        self.assertIn(f'Server {ID}: Quota exceeded', str(error))


class TestTell(OwnedTestCase):
    def test_all_at_once(self) -> None:
        told = {'maintenance:id': '3f9a1c2e'}
        merged = {**told, 'color': 'blue'}
        self.client.client.post.return_value = (None, {'metadata': merged})
        self.assertEqual(merged, self.nova.tell(WEB, told))
        self.client.client.post.assert_called_once_with(
            f'/servers/{ID}/metadata',
            body={'metadata': told},
        )
        self.assertEqual(1, self.nova.changes)

    def test_nova_refuses(self) -> None:
        self.client.client.post.side_effect = REFUSAL
        error = self.assertRaises(
            exceptions.CommandError, self.nova.tell, WEB, {}
        )
        self.assertIn(f'web ({ID}): Quota exceeded', str(error))
        self.assertEqual(0, self.nova.changes)


class TestUntell(OwnedTestCase):
    def test_one_by_one(self) -> None:
        keys = ['maintenance:id', 'maintenance:action']
        self.assertTrue(self.nova.untell(WEB, keys))
        urls = {c.args[0] for c in self.client.client.delete.mock_calls}
        self.assertEqual(
            {
                f'/servers/{ID}/metadata/maintenance%3Aid',
                f'/servers/{ID}/metadata/maintenance%3Aaction',
            },
            urls,
        )
        self.assertEqual(2, self.nova.changes)

    def test_what_is_gone_already(self) -> None:
        self.client.client.delete.side_effect = nova_exceptions.NotFound(404)
        self.assertFalse(self.nova.untell(WEB, ['maintenance:id']))
        self.assertEqual(0, self.nova.changes)

    def test_nova_refuses(self) -> None:
        self.client.client.delete.side_effect = nova_exceptions.Conflict(
            409, 'vm_state error'
        )
        error = self.assertRaises(
            exceptions.CommandError, self.nova.untell, WEB, ['maintenance:id']
        )
        self.assertIn(f'web ({ID}): vm_state error', str(error))
