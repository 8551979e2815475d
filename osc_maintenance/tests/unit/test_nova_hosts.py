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

from novaclient import base as novaclient_base
from novaclient import client
from novaclient import exceptions as nova_exceptions
from novaclient.v2 import aggregates
from novaclient.v2 import services
from osc_lib import exceptions
from oslotest import base

from osc_maintenance import compute
from osc_maintenance.nova import api
from osc_maintenance.nova import hosts
from osc_maintenance import record


def _resource(**fields: typing.Any) -> novaclient_base.Resource:
    return novaclient_base.Resource(None, fields, loaded=True)


def _service(
    host: str = 'compute1', **fields: typing.Any
) -> novaclient_base.Resource:
    return _resource(
        **{
            'host': host,
            'id': 'uuid-of-' + host,
            'status': 'enabled',
            'state': 'up',
            'disabled_reason': None,
            **fields,
        }
    )


class NovaTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client = mock.Mock(spec=['services', 'aggregates', 'client'])
        self.client.services = mock.Mock(spec=services.ServiceManager)
        self.client.aggregates = mock.Mock(spec=aggregates.AggregateManager)
        self.client.client = mock.Mock(spec=client.SessionClient)
        other = mock.Mock(spec=['client'])
        other.client = mock.Mock(spec=client.SessionClient)
        self.hypervisors = other.client.get
        self.nova = hosts.Hosts(self.client, other)


class TestReading(NovaTestCase):
    def test_a_host_is_matched_exactly(self) -> None:
        # as a database that compares names without case answers
        self.client.services.list.return_value = [
            _service('COMPUTE1'),
            _service('compute1'),
        ]
        found = self.nova.service('compute1')
        assert found is not None
        self.assertEqual('uuid-of-compute1', found.id)
        self.assertIsNone(self.nova.service('Compute1'))
        self.client.services.list.assert_called_with(
            host='Compute1', binary='nova-compute'
        )

    def test_one_that_was_left_over_in_another_cell(self) -> None:
        self.client.services.list.return_value = [
            _service(id='old'),
            _service(id='new'),
        ]
        error = self.assertRaises(
            exceptions.CommandError, self.nova.service, 'compute1'
        )
        self.assertIn('2 compute services on host compute1', str(error))
        self.assertIn('old, new', str(error))

    def test_a_service_whose_cell_is_down(self) -> None:
        self.client.services.list.return_value = [
            _resource(host='compute1', status='UNKNOWN', binary='nova-compute')
        ]
        self.assertEqual(
            compute.Service('compute1', '', 'UNKNOWN', ''),
            self.nova.service('compute1'),
        )

    def test_what_would_be_lost_has_to_be_told(self) -> None:
        whole = {
            'host': 'compute1',
            'id': 'a',
            'binary': 'nova-compute',
            'status': 'disabled',
            'disabled_reason': 'broken NIC',
        }
        record = {
            'id': 7,
            'uuid': 'u',
            'name': 'maintenance:compute1',
            'hosts': ['compute1'],
            'metadata': {'maintenance:id': '1'},
        }
        for manager, body, key, look in (
            (self.client.services, whole, 'disabled_reason', 'services'),
            (self.client.aggregates, record, 'hosts', 'aggregates'),
            (self.client.aggregates, record, 'metadata', 'aggregates'),
        ):
            manager.list.return_value = [_resource(**body)]
            self.assertTrue(getattr(self.nova, look)())
            left = {name: body[name] for name in body if name != key}
            manager.list.return_value = [_resource(**left)]
            error = self.assertRaises(
                exceptions.CommandError, getattr(self.nova, look)
            )
            self.assertIn(f'{key} is missing', str(error))

    def test_an_unknown_host_lists_close_names(self) -> None:
        self.client.services.list.return_value = [
            _service(host, id='a')
            for host in ('compute1', 'Compute2', 'storage1', '\x1b[2Jcompute')
        ]
        message = str(self.nova.unknown_host('compute2'))
        self.assertIn("'compute2'", message)
        self.assertIn('did you mean Compute2', message)
        self.assertNotIn('storage1', message)
        self.assertNotIn('\x1b', message)
        self.assertNotIn('mean', str(self.nova.unknown_host('zebra')))

    def test_the_number_of_an_aggregate_is_given_again(self) -> None:
        known = compute.Aggregate(7, 'uuid-1', 'maintenance:compute1', (), {})
        self.client.aggregates.get.return_value = _resource(
            id=7,
            uuid='uuid-2',
            name='maintenance:compute2',
            hosts=[],
            metadata={},
        )
        error = self.assertRaises(
            api.OvertakenError, self.nova.aggregate, known
        )
        self.assertIn('maintenance:compute1 has been deleted', str(error))

    def test_only_our_aggregates(self) -> None:
        self.client.aggregates.list.return_value = [
            _resource(
                id=number,
                uuid=f'{number}',
                name=name,
                hosts=['compute1'],
                metadata={'maintenance:id': '1'},
            )
            for number, name in enumerate(
                ('rack7', 'maintenance:compute1', 'maintenance:')
            )
        ]
        self.assertEqual(
            {
                'compute1': compute.Aggregate(
                    1,
                    '1',
                    'maintenance:compute1',
                    ('compute1',),
                    {'maintenance:id': '1'},
                )
            },
            self.nova.aggregates(),
        )

    def _nodes(
        self, host: str, *answers: typing.Any, kind: str = 'QEMU'
    ) -> list[str]:
        self.hypervisors.reset_mock()
        self.hypervisors.side_effect = [
            answer
            if isinstance(answer, Exception)
            else (
                None,
                {
                    'hypervisors': [
                        {
                            'id': number,
                            'hypervisor_type': kind,
                            'service': {'host': of},
                        }
                        for number, of in answer
                    ]
                },
            )
            for answer in answers
        ]
        found = self.nova.nodes(host)
        self.asked = [call.args[0] for call in self.hypervisors.mock_calls]
        return found

    def test_nodes_of_a_host(self) -> None:
        near = [('a', 'compute10'), ('b', 'compute1')]
        self.assertEqual(['b'], self._nodes('compute1', near))
        self.assertEqual(
            ['c'], self._nodes('compute1.x', [('c', 'compute1.x')])
        )
        self.assertEqual(
            ['/os-hypervisors/detail?hypervisor_hostname_pattern=compute1'],
            self.asked,
        )

    def test_nodes_with_other_names(self) -> None:
        everything = [('x', 'host'), ('y', 'host'), ('z', 'compute1')]
        for first in (
            [('a', 'host2')],
            nova_exceptions.NotFound(404),
            nova_exceptions.BadRequest(400),
        ):
            self.assertEqual(
                ['x', 'y'], self._nodes('host', first, everything)
            )
            self.assertEqual('/os-hypervisors/detail', self.asked[1])

    def test_nodes_of_ironic_have_any_name(self) -> None:
        self.assertEqual(
            ['a', 'b'],
            self._nodes(
                'host',
                [('a', 'host')],
                [('a', 'host'), ('b', 'host')],
                kind='ironic',
            ),
        )

    def test_the_nodes_of_all_hosts(self) -> None:
        def item(
            node: str, host: str, kind: str | None = 'QEMU'
        ) -> dict[str, typing.Any]:
            return {
                'id': node,
                'service': {'host': host},
                'hypervisor_type': kind,
            }

        more = [{'rel': 'next', 'href': 'x'}]
        pages = (
            {'hypervisors': [item('a', 'c1')], 'hypervisors_links': more},
            {
                'hypervisors': [
                    item('b', 'c2', 'ironic'),
                    item('c', 'c3', None),
                ]
            },
        )
        self.hypervisors.side_effect = [(None, page) for page in pages]
        self.assertEqual(
            {'a': ('c1', 'qemu'), 'b': ('c2', 'ironic'), 'c': ('c3', '')},
            self.nova.providers(),
        )
        path = '/os-hypervisors/detail'
        self.assertEqual(
            [path, path + '?marker=a'],
            [call.args[0] for call in self.hypervisors.mock_calls],
        )

    def test_nova_leaves_some_of_a_page_out(self) -> None:
        # and says then that it is the last one
        listed = [
            {'id': f'n{n}', 'service': {'host': f'c{n}'}} for n in range(150)
        ]
        self.hypervisors.side_effect = [
            (None, {'hypervisors': page})
            for page in (listed[:101], listed[101:])
        ]
        self.assertEqual(150, len(self.nova.providers()))
        self.assertEqual(
            '/os-hypervisors/detail?marker=n100',
            self.hypervisors.mock_calls[1].args[0],
        )

    def test_the_nodes_of_all_hosts_cannot_be_read(self) -> None:
        for raised, words in (
            (nova_exceptions.Forbidden(403, 'not you'), 'not you'),
            (KeyError('service'), 'no answer of the API'),
        ):
            self.hypervisors.side_effect = raised
            error = self.assertRaises(
                exceptions.CommandError, self.nova.providers
            )
            self.assertIn('Hypervisors: ', str(error))
            self.assertIn(words, str(error))

    def test_the_zone_of_a_service(self) -> None:
        self.client.services.list.return_value = [
            _service('b', zone='az1'),
            _service('a', zone=None),
        ]
        told = [(found.host, found.zone) for found in self.nova.services()]
        self.assertEqual([('a', ''), ('b', 'az1')], told)


class TestWriting(NovaTestCase):
    AGGREGATE = compute.Aggregate(7, 'u', 'maintenance:compute1', (), {})
    SERVICE = compute.Service('compute1', 's', 'enabled', 'up')

    def test_a_claim_that_is_taken(self) -> None:
        self.client.aggregates.create.side_effect = nova_exceptions.Conflict(
            409
        )
        self.assertIsNone(self.nova.claim('compute1'))
        self.client.aggregates.create.assert_called_once_with(
            'maintenance:compute1', None
        )

    def test_a_claim_that_fails_for_one_of_two(self) -> None:
        self.client.aggregates.create.side_effect = (
            nova_exceptions.ClientException(500, 'DBDuplicateEntry')
        )
        taken = _resource(
            id=7, uuid='u', name='maintenance:compute1', hosts=[], metadata={}
        )
        for listed in ([], [taken]):
            self.client.aggregates.list.return_value = listed
            if listed:
                self.assertIsNone(self.nova.claim('compute1'))
            else:
                error = self.assertRaises(
                    exceptions.CommandError, self.nova.claim, 'compute1'
                )
                self.assertIn('DBDuplicateEntry', str(error))
            # whose it is is not known
            self.assertEqual(len(listed), self.nova.changes)

    def test_a_claim(self) -> None:
        # Nova answers without hosts and metadata
        self.client.aggregates.create.return_value = _resource(
            id=7, uuid='u', name='maintenance:compute1'
        )
        self.assertEqual(self.AGGREGATE, self.nova.claim('compute1'))

    def test_what_a_service_becomes(self) -> None:
        manager = self.client.services
        for status, reason, manager_call, arguments in (
            ('enabled', None, manager.enable, ('s',)),
            ('disabled', None, manager.disable, ('s',)),
            ('disabled', 'x', manager.disable_log_reason, ('s', 'x')),
        ):
            changes = self.nova.changes
            manager_call.return_value = _service(
                status=status, disabled_reason=reason
            )
            told = self.nova.set_service(
                self.SERVICE, record.ServiceStatus(status, reason)
            )
            manager_call.assert_called_once_with(*arguments)
            self.assertEqual(record.ServiceStatus(status, reason), told.as_set)
            self.assertEqual(changes + 1, self.nova.changes)
            manager.reset_mock()


class TestOvertaken(NovaTestCase):
    AGGREGATE = TestWriting.AGGREGATE

    def test_somebody_else_was_quicker(self) -> None:
        manager = self.client.aggregates
        for call, method, arguments, code in (
            (manager.add_host, self.nova.add_host, ('compute1',), 409),
            (manager.remove_host, self.nova.remove_host, ('compute1',), 404),
            (manager.set_metadata, self.nova.write_record, ({},), 404),
            (manager.delete, self.nova.delete, (), 404),
            (manager.delete, self.nova.delete, (), 400),
            (manager.get, self.nova.aggregate, (), 404),
        ):
            with self.subTest(method=method, code=code):
                kinds = {
                    400: nova_exceptions.BadRequest,
                    404: nova_exceptions.NotFound,
                    409: nova_exceptions.Conflict,
                }
                call.side_effect = kinds[code](code, 'too \x1b[2J late')
                error = self.assertRaises(
                    api.OvertakenError, method, self.AGGREGATE, *arguments
                )
                self.assertIn(r'too \x1b[2J late', str(error))
        self.assertEqual(0, self.nova.changes)

    def test_a_claim_at_the_wrong_address(self) -> None:
        # a 404 of a POST says nothing about an aggregate of that name
        self.client.aggregates.create.side_effect = nova_exceptions.NotFound(
            404
        )
        error = self.assertRaises(
            exceptions.CommandError, self.nova.claim, 'compute1'
        )
        self.assertNotIsInstance(error, api.OvertakenError)

    def test_what_a_request_that_failed_has_done(self) -> None:
        get = self.client.aggregates.get
        same = {
            'id': 7,
            'uuid': 'u',
            'name': 'maintenance:compute1',
            'hosts': [],
            'metadata': {},
        }
        failing = nova_exceptions.ClientException(500, 'StaleDataError')
        for answer, differs in (
            ([_resource(**same)], False),
            ([_resource(**{**same, 'metadata': {'a': 'b'}})], True),
            ([_resource(**{**same, 'hosts': ['compute1']})], True),
            ([_resource(**{**same, 'uuid': 'v'})], True),
            (nova_exceptions.NotFound(404), True),
            # nothing is known
            (failing, False),
            ([_resource()], False),
        ):
            changes = self.nova.changes
            get.side_effect = answer
            self.assertIs(differs, self.nova.differs(self.AGGREGATE))
            self.assertEqual(changes + differs, self.nova.changes)


class TestErrors(NovaTestCase):
    def test_an_item_that_is_none(self) -> None:
        self.client.services.list.return_value = [_resource(binary='x')]
        self.client.aggregates.list.return_value = [
            _resource(name='maintenance:compute1')
        ]
        for read, subject in (
            (lambda: self.nova.service('compute1'), 'compute1'),
            (self.nova.services, 'Compute services'),
            (self.nova.aggregates, 'Host aggregates'),
        ):
            error = self.assertRaises(exceptions.CommandError, read)
            self.assertIn(subject, str(error))
            self.assertIn('no answer of the API', str(error))
