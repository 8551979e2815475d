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

"""How many requests to Nova the commands make that look at many hosts."""

import copy
import logging

import fixtures
from oslotest import base

from osc_maintenance.tests.unit import spoil
from osc_maintenance.tests.unit import wire
from osc_maintenance.tests.unit import wire_items as items

_BOTH = ('/os-aggregates', '/os-services')
#: What a host is asked about that is to be just in maintenance.
_ONE = '/os-migrations'
_PAST = {
    'maintenance:window_start': '2026-11-19T06:00:00Z',
    'maintenance:window_end': '2026-11-19T08:00:00Z',
}


def _cloud(hosts: int, overdue: int = 0) -> wire.Cloud:
    """So many hosts in maintenance, and some of them overdue."""
    cloud = spoil.cloud_of('show')
    (record,), (pattern, *others) = cloud.aggregates, cloud.services
    pattern, record = copy.deepcopy((pattern, record))
    for key in [key for key in record['metadata'] if 'server:' in key]:
        del record['metadata'][key]
    record['metadata']['maintenance:migrate'] = 'none'
    names = [items.HERE, *(f'more{number}' for number in range(1, hosts))]
    cloud.services = [{**pattern, 'host': name} for name in names] + others
    cloud.aggregates = [
        {
            **record,
            'id': number,
            'name': f'maintenance:{name}',
            'hosts': [name],
            'metadata': {
                **record['metadata'],
                **(_PAST if number < overdue else {}),
            },
        }
        for number, name in enumerate(names)
    ]
    return cloud


class TestRequests(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger(level=logging.INFO))

    def check(self, name: str, cloud: wire.Cloud, *wanted: str) -> None:
        """A command asks for just that, version discovery apart."""
        outcome = spoil.run(name, cloud, lambda _route, body: body)
        self.assertEqual(('', []), (outcome.error, cloud.writes))
        asked = [path for path in cloud.reads if path not in ('', '/')]
        self.assertEqual(sorted(wanted), sorted(asked))

    def test_list_asks_once_for_each_host(self) -> None:
        for hosts in (1, 2, 7):
            self.check('list', _cloud(hosts), *_BOTH, *[_ONE] * hosts)

    def test_apply_asks_once_for_each_host_that_is_overdue(self) -> None:
        for hosts, overdue in ((1, 0), (7, 0), (7, 1), (7, 3)):
            self.check(
                'apply idle',
                _cloud(hosts, overdue),
                *_BOTH,
                *[_ONE] * overdue,
            )

    def test_show_asks_as_much_however_many_there_are(self) -> None:
        node = items.NODES[items.HERE]
        wanted = (
            *('/os-aggregates', '/os-services', '/servers/detail', _ONE),
            # and with --servers
            *('/os-server-groups', '/os-server-groups', '/os-services'),
            *('/os-hypervisors/detail', '/resource_providers'),
            *(f'/resource_providers/{node}/allocations',),
            *('/allocation_candidates', f'/v2/images/{items.IMAGE["id"]}'),
        )
        for hosts, servers in ((1, 1), (1, 9), (7, 1)):
            cloud = _cloud(hosts)
            web = cloud.servers[0]
            cloud.servers += [
                {**web, 'id': f'77777777-0000-4000-8000-00000000000{number}'}
                for number in range(1, servers)
            ]
            self.check('show', cloud, *wanted)
