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

from keystoneauth1 import adapter
from keystoneauth1 import exceptions as ksa_exceptions
from oslotest import base

from osc_maintenance import placement


class TestConsumers(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.adapter = mock.Mock(spec=adapter.Adapter)
        self.placement = placement.Placement(self.adapter)

    def _answers(self, answers: dict[str, typing.Any]) -> None:
        def get(url: str, microversion: str) -> mock.Mock:
            self.assertEqual('1.14', microversion)
            return mock.Mock(
                spec=['json'], json=mock.Mock(return_value=answers[url])
            )

        self.adapter.get.side_effect = get

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
        self.assertEqual({'server-1'}, self.placement.consumers(['n1', 'n2']))

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

    def test_no_answer_of_the_api(self) -> None:
        bodies: list[typing.Any] = [None, [], {}, {'resource_providers': None}]
        for body in bodies:
            self._answers({'/resource_providers?in_tree=n1': body})
            error = self.assertRaises(
                placement.UnavailableError, self.placement.consumers, ['n1']
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
            error = self.assertRaises(
                placement.UnavailableError, self.placement.consumers, ['n1']
            )
            self.assertIn('not for you', str(error))
            self.assertIs(raised, error.__cause__)
