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
import inspect
from unittest import mock

from osc_lib import exceptions
from oslotest import base

from osc_maintenance import change
from osc_maintenance import maintenance
from osc_maintenance import nova
from osc_maintenance import state
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes

NOW, HOUR = scenes.NOW, scenes.HOUR


class TestFakes(base.BaseTestCase):
    def test_they_are_called_as_the_real_ones(self) -> None:
        for name, method in inspect.getmembers(fakes.Nova, inspect.isfunction):
            if not name.startswith('_'):
                real = inspect.signature(getattr(nova.Nova, name))
                self.assertEqual(
                    list(real.parameters),
                    list(inspect.signature(method).parameters),
                )


class MaintenanceTestCase(base.BaseTestCase):
    def clients(self, *hosts: state.Host) -> fakes.Clients:
        self.made = fakes.Clients(*hosts)
        return self.made

    def set_(
        self, clients: fakes.Clients, request: change.Request | None = None
    ) -> tuple[state.Host, bool]:
        return maintenance.set_(
            fakes.real(clients),
            'compute1',
            request or change.Request(),
            NOW,
        )

    def unset(self, clients: fakes.Clients) -> tuple[state.Host, bool]:
        return maintenance.unset(fakes.real(clients), 'compute1')


class TestSet(MaintenanceTestCase):
    def test_the_answer_is_what_nova_says(self) -> None:
        clients = self.clients(scenes.host())
        host, changed = self.set_(clients)
        self.assertTrue(changed)
        self.assertEqual(clients.nova.hosts['compute1'], host)
        self.assertTrue(host.ours)
        self.assertEqual(
            [
                ('claim', 'compute1'),
                ('WriteRecord', 'compute1'),
                ('AddHost', 'compute1'),
                ('set_service', 'compute1'),
            ],
            clients.nova.writes,
        )
        host, changed = self.set_(clients)
        self.assertFalse(changed)
        self.assertEqual(4, len(clients.nova.writes))

    def test_a_planned_one_is_found(self) -> None:
        clients = self.clients(scenes.planned())
        host, changed = self.set_(clients, change.Request(early=True))
        self.assertTrue(changed)
        assert host.record is not None
        self.assertEqual(NOW + 6 * HOUR, host.record.end)

    def test_two_at_once_agree(self) -> None:
        # the other one has claimed and disabled since we looked
        clients = self.clients(scenes.host())
        stale = clients.nova.hosts['compute1'].service
        self.set_(clients, change.Request(reason='theirs'))
        with mock.patch.object(clients.nova, 'service', return_value=stale):
            host, _changed = self.set_(clients, change.Request(duration=HOUR))
        assert host.record is not None
        self.assertEqual('theirs', host.record.reason)
        self.assertEqual(NOW + HOUR, host.record.end)
        self.assertTrue(clients.nova.hosts['compute1'].ours)
        back, _changed = self.unset(clients)
        self.assertEqual(scenes.host(), back)

    def test_refused_before_the_first_write(self) -> None:
        for host, request in (
            (scenes.host(), change.Request(end=NOW)),
            (
                dataclasses.replace(
                    scenes.host(), service=scenes.service(id='')
                ),
                change.Request(),
            ),
        ):
            clients = self.clients(host)
            self.assertRaises(change.RefusedError, self.set_, clients, request)
            self.assertEqual([], clients.nova.writes)

    def test_an_unknown_host(self) -> None:
        for hosts in (
            (),
            (dataclasses.replace(scenes.entered(), service=None),),
        ):
            clients = self.clients(*hosts)
            error = self.assertRaises(
                exceptions.CommandError, self.set_, clients
            )
            self.assertIn('unknown host compute1', str(error))

    def test_a_name_that_is_taken_and_not_listed(self) -> None:
        clients = self.clients(scenes.host())
        with mock.patch.object(clients.nova, 'claim', return_value=None):
            error = self.assertRaises(
                exceptions.CommandError, self.set_, clients
            )
        self.assertIn('maintenance:compute1', str(error))


class TestUnset(MaintenanceTestCase):
    def test_back_and_again(self) -> None:
        clients = self.clients(scenes.entered(scenes.host('disabled', 'NIC')))
        self.assertEqual(
            (scenes.host('disabled', 'NIC'), True), self.unset(clients)
        )
        self.assertEqual(
            [
                ('set_service', 'compute1'),
                ('RemoveHost', 'compute1'),
                ('DeleteAggregate', 'compute1'),
            ],
            clients.nova.writes,
        )
        self.assertFalse(self.unset(clients)[1])

    def test_a_leftover_of_a_host_that_is_gone(self) -> None:
        clients = self.clients(
            dataclasses.replace(scenes.entered(), service=None)
        )
        self.assertEqual(
            (state.Host('compute1', None), True), self.unset(clients)
        )

    def test_an_unknown_host(self) -> None:
        self.assertRaises(exceptions.CommandError, self.unset, self.clients())


class TestEmptied(MaintenanceTestCase):
    def _emptied(
        self, load: state.Load, left: set[str] | None
    ) -> maintenance.Emptied:
        clients = self.clients(scenes.host())
        clients.placement.left = left
        return maintenance.emptied(
            fakes.real(clients),
            scenes.host(),
            load,
        )

    def test_nothing_is_left(self) -> None:
        self.assertEqual(
            maintenance.Emptied(True), self._emptied(scenes.NOTHING, set())
        )

    def test_nova_knows_of_something(self) -> None:
        for load in (
            state.Load({'ACTIVE': 1}),
            state.Load({}, state.Movement(migrations_in=1)),
            state.Load({}, state.Movement(unconfirmed_resizes=1)),
        ):
            # Placement is not asked
            self.assertEqual(
                maintenance.Emptied(False), self._emptied(load, None)
            )

    def test_placement_knows_of_more(self) -> None:
        told = self._emptied(scenes.NOTHING, {'b', 'a'})
        self.assertIs(False, told.known)
        self.assertIn('allocations of a, b', str(told.note))

    def test_placement_cannot_be_asked(self) -> None:
        told = self._emptied(scenes.NOTHING, None)
        self.assertIsNone(told.known)
        self.assertIn(r'Placement says no \x1b[2J', str(told.note))


class TestListing(MaintenanceTestCase):
    def _rows(
        self, clients: fakes.Clients, everything: bool = False
    ) -> dict[str, str]:
        rows = maintenance.listing(
            fakes.real(clients).nova,
            everything=everything,
            now=NOW,
        )
        return {row['host']: row['state'] for row in rows}

    def test_which_hosts(self) -> None:
        entered = scenes.entered()
        lost = dataclasses.replace(entered, aggregate=None)
        hosts = [
            fakes.named(scenes.host(), 'free'),
            fakes.named(scenes.planned(), 'planned'),
            fakes.named(entered, 'entered'),
            fakes.named(entered, 'leaving'),
            fakes.named(lost, 'lost'),
            fakes.named(dataclasses.replace(entered, service=None), 'gone'),
        ]
        clients = self.clients(*hosts)
        moving = state.Load({}, state.Movement(migrations_out=1))
        clients.nova.loads = {'leaving': moving, 'planned': moving}
        ours = {
            'entered': 'maintenance',
            'gone': 'error',
            'leaving': 'migrating',
            'lost': 'error',
            'planned': 'planned',
        }
        self.assertEqual(ours, self._rows(clients))
        self.assertEqual(
            {**ours, 'free': 'none'}, self._rows(clients, everything=True)
        )


class TestApply(MaintenanceTestCase):
    def _apply(
        self, clients: fakes.Clients, unset_overdue: bool = False
    ) -> list[tuple[str, str, bool]]:
        rows = maintenance.apply(
            fakes.real(clients),
            unset_overdue=unset_overdue,
            now=NOW + 4 * HOUR,
        )
        self.causes = {row['host']: row['cause'] for row in rows}
        return [(r['host'], r['action'], r['changed']) for r in rows]

    def _clients(self) -> fakes.Clients:
        over = scenes.entered(request=change.Request(duration=HOUR))
        return self.clients(
            fakes.named(scenes.planned(), 'b-due'),
            fakes.named(over, 'a-over'),
            fakes.named(scenes.entered(), 'c-inside'),
            fakes.named(scenes.host(), 'd-free'),
        )

    def test_what_is_called_for(self) -> None:
        clients = self._clients()
        self.assertEqual(
            [('a-over', 'overdue', False), ('b-due', 'entered', True)],
            self._apply(clients),
        )
        self.assertTrue(clients.nova.hosts['b-due'].ours)
        self.assertEqual(
            [('a-over', 'unset', True)],
            self._apply(clients, unset_overdue=True),
        )
        self.assertEqual([], self._apply(clients, unset_overdue=True))

    def test_a_failure_is_told_and_the_others_are_done(self) -> None:
        clients = self._clients()
        clients.nova.broken = {'a-over'}
        self.assertEqual(
            [('a-over', 'failed', False), ('b-due', 'entered', True)],
            self._apply(clients, unset_overdue=True),
        )
        self.assertEqual(
            {'a-over': r'a-over: Nova says no \x1b[2J', 'b-due': None},
            self.causes,
        )
        self.assertTrue(clients.nova.hosts['b-due'].ours)
