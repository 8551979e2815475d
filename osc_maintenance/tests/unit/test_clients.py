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

from keystoneauth1 import access as ksa_access
from keystoneauth1 import exceptions as ksa_exceptions
from novaclient import exceptions as nova_exceptions
from openstack import exceptions as sdk_exceptions
from osc_lib import exceptions
from oslotest import base

from osc_maintenance import clients
from osc_maintenance.nova import hosts
from osc_maintenance.nova import owned
from osc_maintenance.nova import servers
from osc_maintenance import plugin
from osc_maintenance import text


class TestClients(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.manager = mock.Mock(
            spec=[
                'session',
                'sdk_connection',
                'auth_ref',
            ]
        )
        config = self.manager.sdk_connection.config
        config.get_endpoint.side_effect = 'http://{}.example.com'.format
        config.get_region_name.side_effect = 'region of {}'.format
        config.get_interface.side_effect = 'interface of {}'.format
        self.manager.session.timeout = None
        self.clients = plugin.make_client(self.manager)
        self.assertIsInstance(self.clients, clients.Clients)

    def test_nova_is_reached_as_osc_does(self) -> None:
        made = (mock.sentinel.hosts, mock.sentinel.servers)
        with mock.patch(
            'osc_maintenance.clients.connect', return_value=made
        ) as connect:
            for _ in range(2):
                self.assertIs(mock.sentinel.hosts, self.clients.nova)
                self.assertIs(mock.sentinel.servers, self.clients.servers)
        connect.assert_called_once_with(self._where('compute'))

    def _where(self, service_type: str) -> dict[str, typing.Any]:
        return {
            'session': self.manager.session,
            'service_type': service_type,
            'region_name': f'region of {service_type}',
            'interface': f'interface of {service_type}',
            'endpoint_override': f'http://{service_type}.example.com',
        }

    def test_placement_is_reached_as_osc_does(self) -> None:
        with mock.patch('keystoneauth1.adapter.Adapter') as adapter:
            self.assertIsNotNone(self.clients.placement)
        adapter.assert_called_once_with(**self._where('placement'))

    def test_who_is_asking(self) -> None:
        access = self.manager.auth_ref
        access.username, access.user_id = 'alice', 'u1'
        self.assertEqual('alice', self.clients.user)
        access.username = 'a\x1b[2J\U0001f525' + 'x' * 300
        told = self.clients.user
        assert told is not None
        self.assertEqual(told, text.check_text(told))
        access.username = None
        self.assertEqual('u1', self.clients.user)
        self.manager.auth_ref = None
        self.assertIsNone(self.clients.user)

    def test_the_id_of_who_is_asking(self) -> None:
        access = self.manager.auth_ref
        access.user_id = 'u1'
        self.assertEqual('u1', self.clients.user_id)
        access.user_id = None
        self.assertEqual('', self.clients.user_id)
        self.manager.auth_ref = None
        self.assertEqual('', self.clients.user_id)

    def test_a_token_that_is_not_of_a_user(self) -> None:
        users: tuple[typing.Any, ...] = (
            *(None, 'x', {}, {'id': 7, 'name': ['a']}, {'id': '', 'name': ''}),
        )
        for user in users:
            self.manager.auth_ref = _token(user)
            self.assertIsNone(self.clients.user)
            self.assertEqual('', self.clients.user_id)
        self.manager.auth_ref = _token({'id': 'u1'})
        self.assertEqual('u1', self.clients.user)
        self.assertEqual('u1', self.clients.user_id)

    def test_changes_of_both_count(self) -> None:
        made = (mock.Mock(spec=['changes']), mock.Mock(spec=['changes']))
        with mock.patch('osc_maintenance.clients.connect', return_value=made):
            for here, there, expected in ((0, 0, 0), (1, 0, 1), (1, 2, 3)):
                made[0].changes, made[1].changes = here, there
                self.assertIsNotNone(self.clients.nova)
                self.assertEqual(expected, self.clients.changes)

    def test_nothing_is_connected_to_count_nothing(self) -> None:
        with mock.patch('osc_maintenance.clients.connect') as connect:
            self.assertEqual(0, self.clients.changes)
        connect.assert_not_called()

    def test_the_properties_of_an_image(self) -> None:
        get = self.manager.sdk_connection.image.get
        answer = get.return_value
        body = {'hw_tpm_version': '2.0', 'size': 7, 'tags': [], 'os': None}
        for status, told, expected in (
            (200, body, {'hw_tpm_version': '2.0'}),
            (200, {}, {}),
            # it is not ours to see, or gone
            (403, body, {}),
            (404, body, {}),
            (429, body, None),
            (503, body, None),
        ):
            answer.ok, answer.status_code = status < 400, status
            answer.json.return_value = told
            self.assertEqual(expected, self.clients.image('i'))
        get.assert_called_with('/images/i')
        answer.ok, answer.status_code = True, 200
        answer.json.side_effect = [ValueError, RecursionError]
        for _ in range(2):
            self.assertIsNone(self.clients.image('i'))
        for raised in (
            ksa_exceptions.ConnectFailure('x'),
            ksa_exceptions.EndpointNotFound('x'),
            # Glance is not in the catalog
            sdk_exceptions.SDKException('x'),
        ):
            get.side_effect = raised
            self.assertIsNone(self.clients.image('i'))

    def test_a_project_by_its_name(self) -> None:
        identity = self.manager.sdk_connection.identity
        identity.find_project.return_value = None
        alpha, other = mock.Mock(id='p1'), mock.Mock(id='p2')
        alpha.name, other.name = 'alpha', 'Alpha'
        identity.projects.return_value = [alpha, other]
        self.assertEqual(['p1'], self.clients.project('alpha'))
        identity.projects.assert_called_once_with(name='alpha')
        self.assertEqual([], self.clients.project('beta'))

    def test_a_project_by_its_id(self) -> None:
        identity = self.manager.sdk_connection.identity
        identity.projects.return_value = []
        identity.find_project.return_value = mock.Mock(id='p1')
        self.assertEqual(['p1'], self.clients.project('p1'))
        # what Keystone finds otherwise is not what was asked for
        self.assertEqual([], self.clients.project('P1'))
        identity.find_project.reset_mock()
        for word in ('..', '../users', '?', '#', 'a b', ''):
            self.assertEqual([], self.clients.project(word))
        identity.find_project.assert_not_called()

    def test_a_project_that_cannot_be_told(self) -> None:
        find = self.manager.sdk_connection.identity.projects
        for raised in (
            sdk_exceptions.ForbiddenException('two \x1b[2J of them'),
            ksa_exceptions.ConnectFailure('two \x1b[2J of them'),
        ):
            find.side_effect = raised
            error = self.assertRaises(
                exceptions.CommandError, self.clients.project, 'al\x1bpha'
            )
            self.assertIn(r'Project al\x1bpha: ', str(error))
            self.assertIn(r'two \x1b[2J of them', str(error))
            self.assertIs(raised, error.__cause__)

    def test_keystone_that_is_not_there(self) -> None:
        raised = ksa_exceptions.DiscoveryFailure('no \x1b[2J version')
        where = mock.PropertyMock(side_effect=raised)
        type(self.manager.sdk_connection).identity = where
        error = self.assertRaises(
            exceptions.CommandError, self.clients.project, 'alpha'
        )
        self.assertEqual(r'Project alpha: no \x1b[2J version', str(error))

    def test_a_project_that_is_none(self) -> None:
        find = self.manager.sdk_connection.identity.projects
        for id_ in (None, 7, ['p1'], '', 'p\x1b[2J', '../users', 'x' * 65):
            alpha = mock.Mock(id=id_)
            alpha.name = 'alpha'
            find.return_value = [alpha]
            self._no_project('Project alpha: that is no answer of the API: ')
        # what openstacksdk makes of JSON of another form
        for raised in (AttributeError(), TypeError(), RecursionError()):
            find.side_effect = raised
            self._no_project(repr(raised))

    def _no_project(self, words: str) -> None:
        error = self.assertRaises(
            exceptions.CommandError, self.clients.project, 'alpha'
        )
        self.assertIn(words, str(error))
        self.assertTrue(str(error).isprintable())


def _token(user: typing.Any) -> ksa_access.AccessInfoV3:
    return ksa_access.AccessInfoV3({'token': {'user': user}})


class TestConnect(base.BaseTestCase):
    WHERE: typing.ClassVar[dict[str, typing.Any]] = {
        'session': mock.sentinel.session,
        'service_type': 'compute',
        'region_name': 'RegionOne',
        'interface': 'internal',
        'endpoint_override': 'http://nova.example.com/v2.1',
    }

    def _connect(
        self, oldest: str, newest: str
    ) -> tuple[hosts.Hosts, servers.Servers, owned.Owned]:
        offered = mock.Mock(spec=['version', 'min_version'])
        offered.version, offered.min_version = newest, oldest
        with mock.patch('novaclient.client.Client', autospec=True) as made:
            made.return_value.versions.get_current.return_value = offered
            self.made = made
            return clients.connect(self.WHERE)

    def test_negotiation(self) -> None:
        for newest, expected, for_hypervisors in (
            ('2.53', '2.53', '2.53'),
            ('2.90', '2.90', '2.87'),
            ('2.104', '2.96', '2.87'),
        ):
            with self.subTest(newest):
                self._connect('2.1', newest)
                versions = [
                    call.args[0].get_string()
                    for call in self.made.call_args_list
                ]
                self.assertEqual(['2.53', expected, for_hypervisors], versions)

    def test_hosts_and_servers(self) -> None:
        found, moved, told = self._connect('2.1', '2.96')
        self.assertIsInstance(found, hosts.Hosts)
        self.assertIsInstance(moved, servers.Servers)
        self.assertIsInstance(told, owned.Owned)

    def test_options_of_osc_are_passed_on(self) -> None:
        self._connect('2.1', '2.96')
        for call in self.made.call_args_list:
            self.assertEqual(
                {
                    'session': mock.sentinel.session,
                    'service_type': 'compute',
                    'region_name': 'RegionOne',
                    'endpoint_type': 'internal',
                    'endpoint_override': 'http://nova.example.com/v2.1',
                },
                call.kwargs,
            )

    def test_too_old_or_too_new(self) -> None:
        for oldest, newest in (('2.1', '2.52'), ('', ''), ('2.97', '2.110')):
            with self.subTest(newest):
                error = self.assertRaises(
                    exceptions.CommandError, self._connect, oldest, newest
                )
                self.assertIn('region RegionOne', str(error))
                self.assertIn(newest or '2.1', str(error))
                self.assertIn('2.53', str(error))

    def test_the_name_of_a_region(self) -> None:
        where = {**self.WHERE, 'region_name': 'R\x1b[2J'}
        with mock.patch.object(self, 'WHERE', where):
            error = self.assertRaises(
                exceptions.CommandError, self._connect, '2.1', '2.52'
            )
        self.assertIn(r'Nova in region R\x1b[2J offers', str(error))

    def test_an_endpoint_that_is_not_that_of_a_version(self) -> None:
        offered = mock.Mock(spec=['version', 'min_version'])
        offered.version, offered.min_version = '2.96', '2.1'
        for raised in (KeyError('version'), TypeError('None')):
            with (
                mock.patch('novaclient.client.Client', autospec=True) as made,
                mock.patch('keystoneauth1.adapter.Adapter') as below,
            ):
                get_current = made.return_value.versions.get_current
                get_current.side_effect = [raised, offered]
                data = below.return_value.get_endpoint_data.return_value
                data.url = 'http://nova.example.com/v2.1/'
                clients.connect(self.WHERE)
            below.assert_called_once_with(
                **self.WHERE, min_version='2.1', max_version='2.latest'
            )
            urls = [
                call.kwargs['endpoint_override']
                for call in made.call_args_list
            ]
            self.assertEqual([self.WHERE['endpoint_override']], urls[:1])
            self.assertEqual({data.url}, set(urls[1:]))

    def test_an_endpoint_that_is_none(self) -> None:
        with (
            mock.patch('novaclient.client.Client', autospec=True) as made,
            mock.patch('keystoneauth1.adapter.Adapter') as below,
        ):
            get_current = made.return_value.versions.get_current
            get_current.side_effect = KeyError('version')
            below.return_value.get_endpoint_data.return_value = None
            error = self.assertRaises(
                exceptions.CommandError, clients.connect, self.WHERE
            )
        self.assertIn("no answer of the API: KeyError('version')", str(error))

    def test_a_401_is_told(self) -> None:
        refusal = nova_exceptions.Unauthorized(401, 'who are you')
        with mock.patch('novaclient.client.Client', autospec=True) as made:
            # novaclient keeps it to itself
            made.return_value.versions.get_current.return_value = None
            made.return_value.client.get.side_effect = refusal
            error = self.assertRaises(
                exceptions.CommandError, clients.connect, self.WHERE
            )
        self.assertIn('who are you (HTTP 401)', str(error))
        self.assertIn('region RegionOne', str(error))
