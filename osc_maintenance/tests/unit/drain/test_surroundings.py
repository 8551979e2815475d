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

import dataclasses
import typing
from unittest import mock

from osc_lib import exceptions
from oslotest import base

from osc_maintenance import compute
from osc_maintenance.drain import surroundings
from osc_maintenance.drain import verdict
from osc_maintenance.nova import answers
from osc_maintenance.nova import api
from osc_maintenance import placement
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes

WEB, DB = scenes.server('web'), scenes.server('db')
SMALL, LARGE = {'': {'VCPU': 1}}, {'': {'VCPU': 8}}
NODE = 'node-of-'


def a_host(
    name: str, status: str = 'enabled', **fields: typing.Any
) -> compute.Host:
    """A host whose service is so."""
    service = scenes.service(status, **fields)
    return fakes.named(compute.Host('x', service), name)


class SurroundingsTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clients = fakes.Clients(
            scenes.host(),
            a_host('compute2', zone='az1'),
            a_host('compute3', zone='az2'),
        )

    def survey(
        self, *here: servers.Server, target: str | None = None
    ) -> verdict.Surroundings:
        """What decides where these can go."""
        surveyor = surroundings.Surveyor(
            fakes.real(self.clients), 'compute1', target
        )
        found = surveyor.survey(here)
        self.notes = surveyor.notes
        return found


class TestHosts(SurroundingsTestCase):
    def test_those_that_are_enabled_and_up(self) -> None:
        self.clients.nova.hosts = {
            host.name: host
            for host in (
                a_host('compute1', zone='az1'),
                a_host('compute2', zone='az2'),
                a_host('compute3', 'disabled'),
                a_host('compute4', state='down'),
                a_host('compute5', 'UNKNOWN', state=''),
            )
        }
        self.assertEqual({'compute2': 'az2'}, self.survey().zones)

    def test_whether_the_host_itself_is_up(self) -> None:
        for host, up in (
            (a_host('compute1'), True),
            (a_host('compute1', 'disabled'), True),
            (a_host('compute1', state='down'), False),
            (a_host('compute1', 'UNKNOWN', state=''), False),
            (a_host('compute9'), False),
        ):
            with self.subTest(host=host):
                self.clients.nova.hosts = {
                    host.name: host,
                    'compute2': a_host('compute2'),
                }
                found = self.survey()
                self.assertIs(up, found.up)
                self.assertEqual('compute1', found.host)

    def test_whether_it_is_bare_metal(self) -> None:
        self.assertFalse(self.survey().bare_metal)
        self.clients.nova.hypervisor = 'ironic'
        found = self.survey()
        self.assertTrue(found.bare_metal)
        self.clients.nova.unlisted = True
        self.assertFalse(self.survey().bare_metal)
        self.assertTrue(self.survey().beside(found).bare_metal)

    def test_services_that_cannot_be_read(self) -> None:
        refusal = exceptions.CommandError('no')
        with mock.patch.object(
            self.clients.nova, 'services', side_effect=refusal
        ):
            self.assertRaises(exceptions.CommandError, self.survey, WEB)


class TestImages(SurroundingsTestCase):
    def test_each_is_asked_once(self) -> None:
        same = [
            dataclasses.replace(server, image=image)
            for server, image in (
                (WEB, 'i1'),
                (DB, 'i1'),
                (scenes.server('c'), 'i2'),
                (scenes.server('volume'), None),
            )
        ]
        self.clients.images = {'i1': {'hw_tpm_version': '2.0'}}
        real = self.clients.image
        with mock.patch.object(
            self.clients, 'image', side_effect=real
        ) as asked:
            found = self.survey(*same)
        self.assertEqual(
            {'i1': {'hw_tpm_version': '2.0'}, 'i2': {}}, found.images
        )
        self.assertEqual(2, asked.call_count)


class TestGroups(SurroundingsTestCase):
    def _group(
        self, name: str, *members: str, limit: int = 1
    ) -> answers.Group:
        return answers.Group(name, name, 'anti-affinity', limit, members)

    def test_those_of_our_servers(self) -> None:
        there = [
            dataclasses.replace(scenes.server(name), host=host)
            for name, host in (
                ('a', 'compute2'),
                ('b', 'compute2'),
                ('c', 'compute3'),
                # it has to stay on the host
                ('d', 'compute1'),
                # it is on none
                ('e', ''),
            )
        ]
        self.clients.servers.loads = {'all': servers.Load('x', tuple(there))}
        ids = [server.id for server in there]
        self.clients.servers.listed_groups = [
            self._group('g1', 'web-id', 'db-id', *ids, 'deleted', limit=2),
            self._group('g2', 'a-id'),
            self._group('g3'),
        ]
        real = self.clients.servers.server
        with mock.patch.object(
            self.clients.servers, 'server', side_effect=real
        ) as asked:
            found = self.survey(WEB, DB, scenes.server('alone')).groups
        self.assertEqual(
            {*ids, 'deleted'}, {call.args[0] for call in asked.mock_calls}
        )
        self.assertEqual({'web-id', 'db-id'}, found.keys())
        self.assertIs(found['web-id'], found['db-id'])
        self.assertEqual(
            verdict.Group(
                'g1',
                'g1',
                'anti-affinity',
                2,
                frozenset(['web-id', 'db-id', 'deleted', *ids]),
                {'compute2': 2, 'compute3': 1},
            ),
            found['web-id'],
        )

    def test_members_of_other_groups_are_not_asked_about(self) -> None:
        self.clients.servers.listed_groups = [self._group('g', 'a', 'b')]
        with mock.patch.object(self.clients.servers, 'server') as asked:
            self.assertEqual({}, self.survey(WEB).groups)
        asked.assert_not_called()

    def test_a_member_whose_cell_is_down(self) -> None:
        # no server can go to its host, wherever that is
        self.clients.servers.listed_groups = [
            self._group('g', 'web-id', 'far-id')
        ]
        with mock.patch.object(
            self.clients.servers,
            'server',
            side_effect=api.DownCellError('its cell is down'),
        ):
            found = self.survey(WEB).groups
        self.assertEqual({}, found['web-id'].elsewhere)
        self.assertEqual([], self.notes)

    def test_a_member_while_nova_does_not_answer(self) -> None:
        self.clients.servers.listed_groups = [
            self._group('g', 'web-id', 'db-id')
        ]
        with mock.patch.object(
            self.clients.servers,
            'server',
            side_effect=api.TransientError('HTTP 503'),
        ):
            self.assertRaises(api.TransientError, self.survey, WEB)

    def test_they_cannot_be_read(self) -> None:
        self.clients.servers.listed_groups = None
        self.assertEqual({}, self.survey(WEB).groups)
        (note,) = self.notes
        self.assertIn('Server groups: no', note)


class TestRoom(SurroundingsTestCase):
    def test_by_server(self) -> None:
        fake = self.clients.placement
        fake.holdings = {'web-id': SMALL, 'db-id': LARGE, 'soft-deleted': {}}
        fake.room = {
            placement.query(SMALL): frozenset(
                [NODE + 'compute2', NODE + 'compute3', 'not of Nova']
            ),
            placement.query(LARGE): frozenset(),
        }
        found = self.survey(WEB, DB, scenes.server('unknown')).room
        self.assertEqual(
            {
                'web-id': frozenset(['compute2', 'compute3']),
                'db-id': frozenset(),
            },
            found,
        )
        self.assertEqual([], self.notes)

    def test_on_too_many_to_be_told(self) -> None:
        fake = self.clients.placement
        fake.holdings = {'web-id': SMALL}
        fake.room = {placement.query(SMALL): None}
        found = self.survey(WEB)
        # nowhere would block it, and an earlier answer may hold no more
        self.assertLessEqual({'compute2', 'compute3'}, found.room['web-id'])
        self.assertEqual([], self.notes)

    def test_only_the_nodes_of_the_host_are_asked(self) -> None:
        with mock.patch.object(
            self.clients.placement, 'held', return_value={}
        ) as asked:
            self.survey(WEB)
        asked.assert_called_once_with([NODE + 'compute1'])

    def test_servers_that_need_the_same_are_asked_once(self) -> None:
        fake = self.clients.placement
        here = [scenes.server(f'web{number}') for number in range(20)]
        fake.holdings = {server.id: SMALL for server in here}
        self.survey(*here)
        self.assertEqual([placement.query(SMALL)], fake.asked)

    def test_traits(self) -> None:
        specs = {
            'trait:HW_A': 'required',
            'trait:HW_B': 'forbidden',
            'trait:HW_C': 'liked',
            'hw:x': 'required',
            'hw:y': 'forbidden',
        }
        server = dataclasses.replace(WEB, extra_specs=specs, image='i')
        self.clients.images = {
            'i': {'trait:HW_D': 'required', 'os': 'required'}
        }
        self.clients.placement.holdings = {'web-id': SMALL}
        self.survey(server)
        self.assertEqual(
            [placement.query(SMALL, ['HW_A', 'HW_D'], ['HW_B'])],
            self.clients.placement.asked,
        )

    def test_traits_of_an_image_that_is_not_known(self) -> None:
        self.clients.images = {'': {'trait:HW_D': 'required'}}
        self.clients.placement.holdings = {'web-id': SMALL}
        self.survey(WEB)
        self.assertEqual(
            [placement.query(SMALL)], self.clients.placement.asked
        )

    def test_a_target(self) -> None:
        self.clients.placement.holdings = {'web-id': SMALL}
        self.survey(WEB, target='compute3')
        self.assertEqual(
            [placement.query(SMALL, node=NODE + 'compute3')],
            self.clients.placement.asked,
        )

    def test_nova_lists_no_hypervisor_of_a_host(self) -> None:
        self.clients.placement.holdings = {'web-id': SMALL}
        unknown = (
            'Whether there is room is not known: Nova lists no hypervisor'
        )
        found = self.clients.nova.providers()
        del found[NODE + 'compute3']
        for target, notes in (
            ('compute3', [f'{unknown} of compute3']),
            # the plan's check refuses it
            ('gone', []),
        ):
            with mock.patch.object(
                self.clients.nova, 'providers', return_value=found
            ):
                around = self.survey(WEB, target=target)
            # not that there is no room
            self.assertEqual({}, around.room)
            self.assertEqual([], self.clients.placement.asked)
            self.assertEqual(notes, self.notes)

    def test_it_is_not_known(self) -> None:
        self.clients.placement.holdings = {'web-id': SMALL}
        self.clients.nova.unlisted = True
        self.assertEqual({}, self.survey(WEB).room)
        self.assertEqual(
            ['Whether there is room is not known: Hypervisors: no'], self.notes
        )
        self.clients.nova.unlisted = False
        self.clients.placement.left = None
        self.assertEqual({}, self.survey(WEB).room)
        self.assertEqual(
            [
                'Whether there is room is not known: '
                r'Placement says no \x1b[2J'
            ],
            self.notes,
        )

    def test_extra_specs_that_are_not_told(self) -> None:
        self.survey(WEB)
        self.assertEqual([], self.notes)
        self.survey(WEB, dataclasses.replace(WEB, specs_told=False))
        (note,) = self.notes
        self.assertIn('Extra specs of flavors are not looked at', note)

    def test_notes_are_of_the_latest_look(self) -> None:
        surveyor = surroundings.Surveyor(
            fakes.real(self.clients), 'compute1', None
        )
        self.clients.placement.left = None
        surveyor.survey([WEB])
        self.assertEqual(1, len(surveyor.notes))
        self.clients.placement.left = set()
        surveyor.survey([WEB])
        self.assertEqual([], surveyor.notes)
