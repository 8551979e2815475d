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

from novaclient import api_versions
from novaclient import base as novaclient_base
from novaclient import client
from novaclient import exceptions as nova_exceptions
from novaclient.v2 import server_groups
from osc_lib import exceptions
from oslotest import base

from osc_maintenance.nova import answers
from osc_maintenance.nova import api
from osc_maintenance.nova import servers as servers_api
from osc_maintenance import servers

HOST = 'OS-EXT-SRV-ATTR:host'
NEXT = [{'rel': 'next', 'href': 'http://elsewhere/servers?marker=b'}]


class ServersTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client = mock.Mock(
            spec=['api_version', 'client', 'server_groups']
        )
        self.client.client = mock.Mock(spec=client.SessionClient)
        self.client.server_groups = mock.Mock(
            spec=server_groups.ServerGroupsManager
        )
        self.at('2.96')
        self.nova = servers_api.Servers(self.client)

    def at(self, version: str) -> None:
        """Have the client ask at that microversion."""
        self.client.api_version = api_versions.APIVersion(version)

    def answers(self, *bodies: typing.Any) -> None:
        self.client.client.get.reset_mock()
        self.client.client.get.side_effect = [
            body if isinstance(body, Exception) else (None, body)
            for body in bodies
        ]

    def urls(self) -> list[str]:
        return [call.args[0] for call in self.client.client.get.mock_calls]


class TestServers(ServersTestCase):
    def _item(self, server: str, host: str = 'compute1') -> dict[str, str]:
        return {'id': server, 'status': 'ACTIVE', HOST: host}

    def test_all_pages_are_read(self) -> None:
        self.answers(
            {
                'servers': [self._item('a'), self._item('b')],
                'servers_links': NEXT,
            },
            # the filter is ignored for those who may not use it
            {'servers': [self._item('c'), self._item('d', 'compute2')]},
        )
        found = self.nova.on('compute1')
        self.assertEqual(['a', 'b', 'c'], [server.id for server in found])
        first = '/servers/detail?all_tenants=1&host=compute1'
        self.assertEqual([first, first + '&marker=b'], self.urls())

    def test_extra_specs_that_are_not_told(self) -> None:
        flavors: list[dict[str, typing.Any]] = [
            {'ram': 512},
            {'ram': 512, 'extra_specs': {}},
            # its cell is down
            {},
        ]
        listed = [
            {**self._item(str(number)), 'flavor': flavor}
            for number, flavor in enumerate(flavors)
        ]
        self.answers({'servers': listed})
        found = self.nova.on('compute1')
        self.assertEqual([False, True, True], [s.specs_told for s in found])

    def test_servers_whose_host_is_not_told(self) -> None:
        self.answers({'servers': [{'id': 'a', 'status': 'ACTIVE'}]})
        error = self.assertRaises(
            exceptions.CommandError, self.nova.on, 'compute1'
        )
        self.assertIn('OS-EXT-SRV-ATTR:host', str(error))

    def test_a_host_name_is_quoted(self) -> None:
        self.answers({'servers': []})
        self.nova.on('a&status=ERROR #1')
        self.assertEqual(
            ['/servers/detail?all_tenants=1&host=a%26status%3DERROR+%231'],
            self.urls(),
        )

    def test_an_answer_that_is_none(self) -> None:
        bodies: list[typing.Any] = [None, {}, [], {'servers': None}]
        for body in bodies:
            self.answers(body)
            error = self.assertRaises(
                exceptions.CommandError, self.nova.on, 'compute1'
            )
            self.assertIn('Servers on compute1', str(error))
            self.assertIn('no answer of the API', str(error))

    def test_every_field(self) -> None:
        self.answers(
            {
                'server': {
                    'id': 'a',
                    'name': 'web',
                    'tenant_id': 'p',
                    'status': 'MIGRATING',
                    'OS-EXT-STS:vm_state': 'active',
                    'OS-EXT-STS:power_state': 1,
                    'OS-EXT-STS:task_state': 'migrating',
                    HOST: 'compute1',
                    'locked': True,
                    'locked_reason': 'mine',
                    'flavor': {
                        'ram': 512,
                        'disk': 10,
                        'ephemeral': 5,
                        'extra_specs': {'hw:cpu_policy': 'dedicated'},
                    },
                    'image': {'id': 'i'},
                    'pinned_availability_zone': 'az1',
                    'fault': {'message': 'no valid host', 'code': 500},
                    'progress': 40,
                    'metadata': {'maintenance:policy': 'keep', 'a': 'b'},
                }
            }
        )
        self.assertEqual(
            servers.Server(
                id='a',
                name='web',
                project='p',
                status='MIGRATING',
                vm_state='active',
                power_state=1,
                task_state='migrating',
                host='compute1',
                locked=True,
                locked_reason='mine',
                ram=512,
                disk=15,
                extra_specs={'hw:cpu_policy': 'dedicated'},
                image='i',
                zone='az1',
                fault='no valid host',
                progress=40,
                said={'maintenance:policy': 'keep'},
            ),
            self.nova.server('a'),
        )
        self.assertEqual(['/servers/a'], self.urls())

    def test_a_server_whose_cell_is_down(self) -> None:
        # Nova knows neither where it is nor that it is gone
        self.answers({'server': {'id': 'a', 'status': 'UNKNOWN'}})
        error = self.assertRaises(api.DownCellError, self.nova.server, 'a')
        self.assertIn('cell is down', str(error))

    def test_few_fields(self) -> None:
        # booted from a volume
        for item in (
            {'id': 'a', 'status': 'ACTIVE', HOST: None},
            {
                'id': 'a',
                'status': 'ACTIVE',
                'name': None,
                HOST: None,
                'image': '',
                'flavor': None,
                'fault': None,
                'metadata': None,
                'OS-EXT-STS:power_state': None,
            },
        ):
            self.answers({'server': item})
            self.assertEqual(
                servers.Server(
                    'a', '', '', 'ACTIVE', vm_state='', power_state=0
                ),
                self.nova.server('a'),
            )

    def test_one_that_is_none(self) -> None:
        # not as if it were gone
        self.answers({'server': None})
        error = self.assertRaises(
            exceptions.CommandError, self.nova.server, 'a'
        )
        self.assertIn('that is no answer', str(error))

    def test_one_whose_host_is_not_told(self) -> None:
        # it is not on none
        self.answers({'server': {'id': 'a', 'status': 'ACTIVE'}})
        error = self.assertRaises(
            exceptions.CommandError, self.nova.server, 'a'
        )
        self.assertIn(f'{HOST} is missing', str(error))

    def test_an_image_that_is_none(self) -> None:
        for image in ('a/../../../identity/v3/users', 'i?x=1', 'i\x1b'):
            item = {**self._item('a'), 'image': {'id': image}}
            self.answers({'server': item})
            error = self.assertRaises(
                exceptions.CommandError, self.nova.server, 'a'
            )
            self.assertIn('its image is', str(error))
            self.assertIn('no ID', str(error))

    def test_what_is_no_id(self) -> None:
        self.answers({'servers': []})
        self.assertIsNone(self.nova.server('detail'))

    def test_one_that_is_gone(self) -> None:
        self.answers(nova_exceptions.NotFound(404), {'servers': []})
        self.assertIsNone(self.nova.server('a'))
        self.assertEqual(
            [
                '/servers/a',
                '/servers/detail?all_tenants=1&limit=1&uuid=a',
            ],
            self.urls(),
        )
        self.answers(nova_exceptions.Forbidden(403, 'not you'))
        error = self.assertRaises(
            exceptions.CommandError, self.nova.server, 'a'
        )
        self.assertIn('Server a: not you', str(error))

    def test_one_that_is_not_found_for_this_account(self) -> None:
        gone = nova_exceptions.NotFound(404)
        listed = {'id': 'a', 'status': 'SHUTOFF', HOST: 'compute1'}
        self.answers(gone, {'servers': [listed]})
        found = self.nova.server('a')
        assert found is not None
        self.assertEqual(('SHUTOFF', True), (found.status, found.foreign))
        self.answers(gone, {'servers': [{'id': 'a', 'status': 'UNKNOWN'}]})
        self.assertRaises(api.DownCellError, self.nova.server, 'a')
        # the list is not what was asked for, or Nova refuses it
        for answer, words in (
            ({'servers': [{**listed, 'id': 'b'}]}, 'whether it is gone'),
            (nova_exceptions.Forbidden(403, 'not you'), 'Server a: not you'),
            ({}, 'servers is missing'),
        ):
            self.answers(gone, answer)
            error = self.assertRaises(
                exceptions.CommandError, self.nova.server, 'a'
            )
            self.assertIn(words, str(error))


class TestFigures(ServersTestCase):
    def _item(self, total: int | None) -> dict[str, int | None]:
        return {
            'memory_processed_bytes': 3,
            'memory_remaining_bytes': 7,
            'memory_total_bytes': total,
        }

    def test_how_far_it_is(self) -> None:
        figures = answers.Figures(remaining=7, total=10)
        for items, expected in (
            ([self._item(10)], figures),
            ([self._item(0), self._item(10)], figures),
            # it has not begun to copy
            ([self._item(0)], None),
            ([self._item(None)], None),
            ([], None),
        ):
            self.answers({'migrations': items})
            self.assertEqual(expected, self.nova.figures('a'))
        self.assertEqual(['/servers/a/migrations'], self.urls())

    def test_none_are_to_be_had(self) -> None:
        self.answers(nova_exceptions.NotFound(404))
        self.assertIsNone(self.nova.figures('a'))
        self.answers({'migrations': [None]})
        error = self.assertRaises(
            exceptions.CommandError, self.nova.figures, 'a'
        )
        self.assertIn('Migration of server a', str(error))


class TestStoppedBy(ServersTestCase):
    def test_the_last_of_its_power_counts(self) -> None:
        for actions, expected in (
            ([('live-migration', 'a'), ('stop', 'b')], 'b'),
            ([('start', 'a'), ('stop', 'b')], None),
            ([('live-migration', 'a')], None),
            # Nova itself, which found its guest shut down
            ([('stop', None)], ''),
        ):
            items = [{'action': act, 'user_id': who} for act, who in actions]
            self.answers({'instanceActions': items})
            self.assertEqual(expected, self.nova.stopped_by('s'))


class TestAbortedBy(ServersTestCase):
    def test_the_last_live_migration_counts(self) -> None:
        for actions, expected in (
            ([('stop', 'a'), ('live_migration_cancel', 'b')], 'b'),
            ([('live-migration', 'a'), ('live_migration_cancel', 'b')], None),
            ([('migrate', 'a')], None),
        ):
            items = [{'action': act, 'user_id': who} for act, who in actions]
            self.answers({'instanceActions': items})
            self.assertEqual(expected, self.nova.aborted_by('s'))


class TestGroups(ServersTestCase):
    def _group(self, **fields: typing.Any) -> novaclient_base.Resource:
        return novaclient_base.Resource(None, fields, loaded=True)

    def test_pages_are_read_until_one_is_empty(self) -> None:
        pages = [
            [self._group(id='g1'), self._group(id='g2')],
            [self._group(id='g3')],
            [],
        ]
        self.client.server_groups.list.side_effect = pages
        found = self.nova.groups()
        self.assertEqual(['g1', 'g2', 'g3'], [group.id for group in found])
        self.assertEqual(
            [
                mock.call(all_projects=True, offset=None),
                mock.call(all_projects=True, offset=2),
                mock.call(all_projects=True, offset=3),
            ],
            self.client.server_groups.list.mock_calls,
        )

    def test_there_is_no_end_of_them(self) -> None:
        self.client.server_groups.list.side_effect = [
            [self._group(id=f'g{number}')] for number in range(9)
        ]
        with mock.patch.object(api, 'PAGES', 7):
            error = self.assertRaises(
                exceptions.CommandError, self.nova.groups
            )
        self.assertIn('more than 7 pages', str(error))
        self.assertEqual(7, len(self.client.server_groups.list.mock_calls))

    def test_both_forms_of_a_policy(self) -> None:
        for fields, expected in (
            (
                {
                    'name': 'ha',
                    'policy': 'anti-affinity',
                    'rules': {'max_server_per_host': 3},
                    'members': ['a', 'b'],
                },
                ('ha', 'anti-affinity', 3, ('a', 'b')),
            ),
            (
                {'policy': 'anti-affinity', 'rules': {}},
                ('', 'anti-affinity', 1, ()),
            ),
            # before 2.64
            ({'policies': ['affinity']}, ('', 'affinity', 1, ())),
            ({'policies': []}, ('', '', 1, ())),
        ):
            with self.subTest(fields=fields):
                group = self._group(id='g', **fields)
                self.client.server_groups.list.side_effect = [[group], []]
                self.assertEqual(
                    [answers.Group('g', *expected)], self.nova.groups()
                )

    def test_they_cannot_be_read(self) -> None:
        refusal = nova_exceptions.Forbidden(403, 'not you')
        self.client.server_groups.list.side_effect = refusal
        error = self.assertRaises(exceptions.CommandError, self.nova.groups)
        self.assertIn('Server groups: not you', str(error))
