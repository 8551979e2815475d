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
from urllib import parse

from keystoneauth1 import adapter
from keystoneauth1 import exceptions as ksa_exceptions
from oslotest import base

from osc_maintenance import placement


class PlacementTestCase(base.BaseTestCase):
    MICROVERSION = '1.14'

    def setUp(self) -> None:
        super().setUp()
        self.adapter = mock.Mock(spec=adapter.Adapter)
        self.placement = placement.Placement(self.adapter)

    def _answers(self, answers: dict[str, typing.Any]) -> None:
        def get(url: str, microversion: str) -> mock.Mock:
            self.assertEqual(self.MICROVERSION, microversion)
            return mock.Mock(
                spec=['json'], json=mock.Mock(return_value=answers[url])
            )

        self.adapter.get.side_effect = get


class TestConsumers(PlacementTestCase):
    def test_the_whole_tree_is_asked(self) -> None:
        self._answers(
            {
                '/resource_providers?in_tree=n1': {
                    'resource_providers': [{'uuid': 'n1'}, {'uuid': 'gpu'}]
                },
                '/resource_providers/n1/allocations': {'allocations': {}},
                '/resource_providers/gpu/allocations': {
                    'allocations': {'server-1': {}}
                },
                '/resource_providers?in_tree=n2': {'resource_providers': []},
            }
        )
        self.assertEqual({'server-1'}, self.placement.consumers(['n1']))
        error = self.assertRaises(
            placement.UnavailableError, self.placement.consumers, ['n1', 'n2']
        )
        self.assertIn('it knows no compute node n2', str(error))

    def test_the_node_of_a_member(self) -> None:
        for nodes, inventories, expected in (
            (['n1'], {'VCPU': {}, 'MEMORY_MB': {}}, 'n1'),
            # a node of Ironic: there may be more than Nova has put there
            (['n1'], {'CUSTOM_BAREMETAL': {}}, None),
            ([], {}, None),
            (['n1', 'n2'], {'MEMORY_MB': {}}, None),
        ):
            self._answers(
                {
                    '/resource_providers?member_of=agg': {
                        'resource_providers': [{'uuid': n} for n in nodes]
                    },
                    '/resource_providers/n1/inventories': {
                        'inventories': inventories
                    },
                }
            )
            self.assertEqual(expected, self.placement.node_in('agg'))

    def test_what_each_holds(self) -> None:
        def holds(**amounts: int) -> dict[str, typing.Any]:
            return {'resources': amounts}

        self._answers(
            {
                '/resource_providers?in_tree=n1': {
                    'resource_providers': [{'uuid': 'n1'}, {'uuid': 'gpu'}]
                },
                '/resource_providers/n1/allocations': {
                    'allocations': {
                        'web': holds(VCPU=2, MEMORY_MB=512),
                        'db': holds(VCPU=1),
                    }
                },
                '/resource_providers/gpu/allocations': {
                    'allocations': {'web': holds(VGPU=1)}
                },
                '/resource_providers?in_tree=n2': {
                    'resource_providers': [{'uuid': 'n2'}]
                },
                '/resource_providers/n2/allocations': {
                    'allocations': {'metal': holds(CUSTOM_METAL=1)}
                },
            }
        )
        self.assertEqual(
            {
                'web': {'': {'VCPU': 2, 'MEMORY_MB': 512}, 'gpu': {'VGPU': 1}},
                'db': {'': {'VCPU': 1}},
                'metal': {'': {'CUSTOM_METAL': 1}},
            },
            self.placement.held(['n1', 'n2']),
        )
        self.assertEqual({}, self.placement.held([]))

    def test_no_answer_of_the_api(self) -> None:
        bodies: list[typing.Any] = [None, [], {}, {'resource_providers': None}]
        for body in bodies:
            for ask in (self.placement.consumers, self.placement.held):
                self._answers({'/resource_providers?in_tree=n1': body})
                error = self.assertRaises(
                    placement.UnavailableError, ask, ['n1']
                )
                self.assertIn('no answer of the API', str(error))

    def test_it_cannot_be_asked(self) -> None:
        for raised in (
            ksa_exceptions.Forbidden('not for you'),
            ksa_exceptions.EndpointNotFound('not for you'),
            ksa_exceptions.ConnectFailure('not for you'),
            ValueError('not for you'),
        ):
            self.adapter.get.side_effect = raised
            for ask in (
                lambda: self.placement.consumers(['n1']),
                lambda: self.placement.held(['n1']),
                lambda: self.placement.candidates('x'),
            ):
                error = self.assertRaises(placement.UnavailableError, ask)
                self.assertIn('not for you', str(error))
                self.assertIs(raised, error.__cause__)

    def test_credentials_of_an_endpoint_are_not_told(self) -> None:
        words = 'Unable to connect to http://me:s3cret@a.example'
        for raised in (
            ksa_exceptions.ConnectFailure(words),
            ValueError(words),
        ):
            self.adapter.get.side_effect = raised
            error = self.assertRaises(
                placement.UnavailableError, self.placement.held, ['n1']
            )
            self.assertIn('http://***@a.example', str(error))


class TestCandidates(PlacementTestCase):
    MICROVERSION = '1.31'

    def _candidates(self, body: typing.Any) -> frozenset[str] | None:
        self._answers({'/allocation_candidates?resources=VCPU%3A1': body})
        return self.placement.candidates('resources=VCPU%3A1')

    def test_the_roots_of_what_is_found(self) -> None:
        self.assertEqual(
            {'n1', 'n2'},
            self._candidates(
                {
                    'allocation_requests': [
                        {'allocations': {'n1': {}, 'gpu1': {}}},
                        {'allocations': {'gpu2': {}}},
                        {'allocations': {'gpu1': {}}},
                    ],
                    # others of the tree are told as well
                    'provider_summaries': {
                        'n1': {'root_provider_uuid': 'n1'},
                        'gpu1': {'root_provider_uuid': 'n1'},
                        'gpu2': {'root_provider_uuid': 'n2'},
                        'gpu3': {'root_provider_uuid': 'n3'},
                    },
                }
            ),
        )

    def test_there_may_be_more_than_it_tells(self) -> None:
        for count, expected in ((999, {'n1'}), (1000, None), (1001, None)):
            body = {
                'allocation_requests': [{'allocations': {'n1': {}}}] * count,
                'provider_summaries': {'n1': {'root_provider_uuid': 'n1'}},
            }
            self.assertEqual(expected, self._candidates(body))

    def test_there_is_no_room(self) -> None:
        body: dict[str, typing.Any] = {
            'allocation_requests': [],
            'provider_summaries': {},
        }
        self.assertEqual(frozenset(), self._candidates(body))

    def test_no_answer_of_the_api(self) -> None:
        bodies: list[typing.Any] = [
            None,
            {},
            {
                'allocation_requests': [{'allocations': {'n1': {}}}],
                'provider_summaries': {},
            },
        ]
        for body in bodies:
            error = self.assertRaises(
                placement.UnavailableError, self._candidates, body
            )
            self.assertIn('no answer of the API', str(error))


class TestQuery(base.BaseTestCase):
    def _query(self, *arguments: typing.Any) -> dict[str, list[str]]:
        return parse.parse_qs(
            placement.query(*arguments), keep_blank_values=True
        )

    def test_what_is_asked(self) -> None:
        flat = {'': {'VCPU': 2, 'MEMORY_MB': 512}}
        off = '!COMPUTE_STATUS_DISABLED'
        for arguments, expected in (
            (
                (flat,),
                {'resources': 'MEMORY_MB:512,VCPU:2', 'required': off},
            ),
            (
                (flat, ['B', 'A'], ['D', 'C'], 'n7'),
                {
                    'resources': 'MEMORY_MB:512,VCPU:2',
                    'required': f'A,B,!C,!D,{off}',
                    'in_tree': 'n7',
                },
            ),
            # nothing of the compute node itself
            (
                ({'gpu': {'VGPU': 1}},),
                {'resources1': 'VGPU:1', 'required': off},
            ),
            (
                ({'': {'VCPU': 2}, 'gpu': {'VGPU': 1}},),
                {
                    'resources': 'VCPU:2',
                    'resources1': 'VGPU:1',
                    'required': off,
                },
            ),
            (
                (
                    {
                        'x': {'VGPU': 1},
                        '': {'VCPU': 2},
                        'y': {'NET': 5, 'IP': 1},
                    },
                ),
                {
                    'resources': 'VCPU:2',
                    'resources1': 'IP:1,NET:5',
                    'resources2': 'VGPU:1',
                    'group_policy': 'none',
                    'required': off,
                },
            ),
        ):
            with self.subTest(arguments=arguments):
                told = self._query(*arguments)
                self.assertEqual(['1000'], told.pop('limit'))
                self.assertEqual({k: [v] for k, v in expected.items()}, told)

    def test_it_is_equal_for_those_that_need_the_same(self) -> None:
        one = {'': {'VCPU': 2, 'MEMORY_MB': 1}, 'a': {'B': 1}, 'b': {'A': 1}}
        other = {'d': {'B': 1}, 'c': {'A': 1}, '': {'MEMORY_MB': 1, 'VCPU': 2}}
        self.assertEqual(
            placement.query(one, {'X', 'Y'}, {'Z', 'W'}),
            placement.query(other, ['Y', 'X'], ['W', 'Z']),
        )
        self.assertNotEqual(placement.query(one), placement.query(one, 'X'))
