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

"""Whether a host is emptied, as far as Nova and Placement tell."""

import dataclasses
from unittest import mock

from osc_lib import exceptions
from oslotest import base

from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance import facts
from osc_maintenance import journal
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes

NOW = scenes.NOW


class TestEmptied(base.BaseTestCase):
    def _emptied(
        self, load: servers.Load, left: set[str] | None
    ) -> facts.Emptied:
        clients = fakes.Clients(scenes.host())
        clients.placement.left = left
        return facts.emptied(
            fakes.real(clients),
            scenes.host(),
            load,
        )

    def test_nothing_is_left(self) -> None:
        self.assertEqual(
            facts.Emptied(True), self._emptied(scenes.NOTHING, set())
        )

    def test_nova_knows_of_something(self) -> None:
        for load in (
            scenes.load({'ACTIVE': 1}),
            scenes.load({}, migrations_in=1),
            scenes.load({}, unconfirmed_resizes=1),
        ):
            # Placement is not asked
            self.assertEqual(facts.Emptied(False), self._emptied(load, None))

    def test_placement_knows_of_more(self) -> None:
        told = self._emptied(scenes.NOTHING, {'b', 'a'})
        self.assertIs(False, told.known)
        self.assertIn('allocations of a, b', str(told.note))

    def test_nova_leaves_servers_out_of_its_list(self) -> None:
        gone = {'vm_state': 'soft-delete'}
        evacuated = {'web-id': journal.Move('evacuate', 5)}
        for server, moves, told in (
            (scenes.server('web', host='compute1'), {}, True),
            (scenes.server('web', host='compute2'), {}, False),
            (scenes.server('web', host='compute1', **gone), {}, False),
            # it was not asked about: there may be hundreds
            (scenes.server('web', host='compute1'), evacuated, False),
        ):
            note = change.WriteRecord(noting.started(journal.Journal(), moves))
            host = scenes.after(scenes.entered(), note)
            clients = fakes.Clients(host)
            clients.placement.left = {'web-id'}
            clients.servers.loads['x'] = servers.Load('x', (server,))
            real = fakes.real(clients)
            if told:
                error = self.assertRaises(
                    api.TransientError,
                    *(facts.emptied, real, host, scenes.NOTHING),
                )
                self.assertIn('web (web-id) for one', str(error))
            else:
                found = facts.emptied(real, host, scenes.NOTHING)
                self.assertIs(False, found.known)

    def test_room_is_kept_for_what_comes_back(self) -> None:
        move = {'web-id': journal.Move('live-migrate', 5)}
        host = scenes.after(
            scenes.disabled_by_somebody(scenes.entered(), 'enabled', None),
            change.WriteRecord(noting.returning(move, NOW, brings_back=False)),
        )
        for left, told in ({'web-id'}, False), ({'web-id', 'other'}, True):
            clients = fakes.Clients(host)
            clients.placement.left = left
            found = facts.emptied(fakes.real(clients), host, scenes.NOTHING)
            self.assertIs(False, found.known)
            self.assertIs(told, found.note is not None)

    def test_a_member_of_an_aggregate(self) -> None:
        clients = fakes.Clients(scenes.entered())
        asked: list[list[str]] = []

        def consumers(nodes: list[str]) -> set[str]:
            asked.append(nodes)
            return set()

        with mock.patch.object(clients.placement, 'consumers', consumers):
            for member in ('node-of-member', None):
                clients.placement.member = member
                told = facts.emptied(
                    fakes.real(clients), scenes.entered(), scenes.NOTHING
                )
                self.assertIs(True, told.known)
        self.assertEqual([['node-of-member'], ['node-1']], asked)

    def test_it_cannot_be_known(self) -> None:
        host = scenes.host()
        for what, seen, nodes in (
            (
                'no compute service',
                dataclasses.replace(host, service=None),
                ['node-1'],
            ),
            (
                'cell is down',
                dataclasses.replace(host, service=scenes.service(id='')),
                ['node-1'],
            ),
            ('no hypervisor', host, []),
        ):
            clients = fakes.Clients(host)
            clients.nova.listed_nodes = nodes
            told = facts.emptied(fakes.real(clients), seen, scenes.NOTHING)
            self.assertIsNone(told.known)
            self.assertIn(what, str(told.note))

    def test_nova_cannot_be_asked(self) -> None:
        clients = fakes.Clients(scenes.host())
        refusal = exceptions.CommandError('Hypervisors: no')
        with mock.patch.object(clients.nova, 'nodes', side_effect=refusal):
            told = facts.emptied(
                fakes.real(clients), scenes.host(), scenes.NOTHING
            )
        self.assertIsNone(told.known)
        self.assertIn('Hypervisors: no', str(told.note))

    def test_placement_cannot_be_asked(self) -> None:
        told = self._emptied(scenes.NOTHING, None)
        self.assertIsNone(told.known)
        self.assertIn(r'Placement says no \x1b[2J', str(told.note))


class TestEmptiedByNow(base.BaseTestCase):
    """A host that servers have just left."""

    def setUp(self) -> None:
        super().setUp()
        self.clients = fakes.Clients(scenes.host())
        self.waits: list[float] = []

    def _found(self, host: compute.Host, gone: int = 9) -> facts.Emptied:
        """What is found if it is gone after so many looks."""

        def pause(seconds: float) -> None:
            self.waits.append(seconds)
            if len(self.waits) == gone:
                self.clients.placement.left = set()

        return facts.emptied_by_now(
            fakes.real(self.clients), host, scenes.NOTHING, pause
        )

    def test_nova_lets_go_of_it(self) -> None:
        self.clients.placement.left = {'migration-uuid'}
        found = self._found(scenes.host(), gone=2)
        self.assertEqual(facts.Emptied(True), found)
        self.assertEqual([0.5, 1.0], self.waits)

    def test_something_is_left(self) -> None:
        self.clients.placement.left = {'migration-uuid'}
        found = self._found(scenes.host())
        self.assertIs(False, found.known)
        self.assertIn('migration-uuid', str(found.note))
        self.assertEqual([0.5, 1.0, 2.0], self.waits)

    def test_there_is_nothing_to_wait_for(self) -> None:
        down = dataclasses.replace(
            scenes.host(), service=scenes.service(state='down')
        )
        for left, host in (
            (set(), scenes.host()),
            (None, scenes.host()),
            # evacuated servers keep it until that is back
            ({'web-id'}, down),
        ):
            self.clients.placement.left = left
            self._found(host)
            self.assertEqual([], self.waits)
