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

import collections.abc
import dataclasses
import functools
import typing
from unittest import mock

from osc_lib import exceptions

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance import facts
from osc_maintenance import journal
from osc_maintenance import maintenance
from osc_maintenance import noting
from osc_maintenance import record
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes
from osc_maintenance.tests.unit import test_maintenance

NOW, HOUR = scenes.NOW, scenes.HOUR


class TestUnset(test_maintenance.MaintenanceTestCase):
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
            (compute.Host('compute1', None), True), self.unset(clients)
        )

    def test_an_unknown_host(self) -> None:
        self.assertRaises(exceptions.CommandError, self.unset, self.clients())

    def test_entered_while_it_ends(self) -> None:
        clients = self.clients(scenes.entered())
        mark = record.ServiceStatus('disabled', 'maintenance 3f9a1c2e: theirs')
        self.meanwhile(
            clients.nova,
            'delete',
            lambda: clients.nova.set_service(scenes.service(), mark),
            after=True,
        )
        self.assertEqual(scenes.host(), self.unset(clients)[0])

    def test_made_while_we_look(self) -> None:
        # the aggregates were listed before another operator's claim
        clients = self.clients(scenes.entered())
        real = clients.nova.aggregates
        early: list[dict[str, compute.Aggregate]] = [{}]

        def aggregates() -> dict[str, compute.Aggregate]:
            return early.pop() if early else real()

        with mock.patch.object(clients.nova, 'aggregates', aggregates):
            self.assertEqual(scenes.host(), self.unset(clients)[0])
            early.append({})
            clients.nova.hosts = {'compute1': scenes.entered()}
            (found,) = facts.survey(fakes.real(clients).nova)
        self.assertIsNotNone(found.aggregate)

    def test_a_long_reason_is_not_lost_on_the_way(self) -> None:
        # there is room for less of it in the disabled_reason that is written
        before = scenes.host('disabled', 'broken ' * 36)
        early = asking.Request(early=True)
        planned = scenes.entered(before, asking.Request(start=NOW + HOUR))
        clients = self.clients(planned)
        nova = clients.nova
        # it is entered just when its plan was looked at
        found = nova.hosts['compute1']
        with mock.patch.object(
            facts, 'find', side_effect=self._looks(found)
        ) as find:
            self.set_(clients, early)
            self.assertEqual(before, self.unset(clients)[0])
        self.assertGreater(find.call_count, 1)
        # it is ended just when it is entered
        clients = self.clients(planned)
        self.meanwhile(
            clients.nova, 'set_service', lambda: self.unset(clients)
        )
        self.assertTrue(self.set_(clients, early)[0].ours)
        self.assertEqual(before, self.unset(clients)[0])

    def _looks(
        self, first: compute.Host
    ) -> collections.abc.Callable[..., compute.Host]:
        """Finds a host as it was once, and then as it is."""
        real, looks = facts.find, [first]

        def find(*arguments: typing.Any) -> compute.Host:
            return looks.pop() if looks else real(*arguments)

        return find

    def test_disabled_by_others_before_it_is_put_back(self) -> None:
        # to start servers, or to tell owners that it is over, takes minutes
        theirs = record.ServiceStatus('disabled', 'bad disk')
        stopped = change.WriteRecord(
            noting.stopping(journal.Journal(), ['web-id'])
        )
        clients = self.clients(scenes.after(scenes.entered(), stopped))

        def seen(host: compute.Host) -> None:
            assert host.service is not None
            if host.ours:
                clients.nova.set_service(host.service, theirs)

        error = self.assertRaises(
            asking.RefusedError,
            maintenance.unset,
            *(fakes.real(clients), 'compute1'),
            seen=seen,
        )
        self.assertIn('bad disk', str(error))
        found = clients.nova.hosts['compute1'].service
        assert found is not None
        self.assertEqual(theirs, found.as_set)

    def test_set_while_its_service_is_put_back_first(self) -> None:
        # set has read the service before it was enabled, and the note after
        clients = self.clients(scenes.entered())
        nova = clients.nova
        stale = nova.hosts['compute1'].service
        seen: list[compute.Host] = []

        def act() -> None:
            looks = [stale]

            def service(host: str) -> compute.Service | None:
                return looks.pop() if looks else found(host)

            found = nova.service
            with mock.patch.object(nova, 'service', service):
                seen.append(self.set_(clients)[0])

        self.meanwhile(nova, 'set_service', act, after=True)
        host = maintenance.restore(fakes.real(clients), 'compute1')
        # as if they had come one after the other
        self.assertTrue(seen[0].ours)
        self.assertTrue(host.journal.returning)
        self.assertIsNone(host.mark)
        self.assertEqual(nova.hosts['compute1'], host)

    def test_the_record_is_lost_while_a_property_is_cleared(self) -> None:
        # by hand: nobody has ended the maintenance
        entered = scenes.entered(request=asking.Request(reason='kernel'))
        for method in ('write_record', 'set_service'):
            clients = self.clients(entered)
            lost = dataclasses.replace(entered, aggregate=None)
            self.meanwhile(
                *(clients.nova, method),
                functools.partial(clients.nova.hosts.update, compute1=lost),
            )
            error = self.assertRaises(
                asking.RefusedError,
                maintenance.clear,
                *(fakes.real(clients), 'compute1', frozenset(['reason']), NOW),
            )
            self.assertIn('is lost', str(error))
            host = clients.nova.hosts['compute1']
            self.assertEqual(
                ('disabled', True),
                (host.service and host.service.status, host.mark is not None),
            )

    def test_ended_while_a_property_is_cleared(self) -> None:
        clients = self.clients(
            scenes.entered(request=asking.Request(reason='kernel'))
        )
        self.meanwhile(
            *(clients.nova, 'write_record'),
            lambda: self.unset(clients),
        )
        host = maintenance.clear(
            fakes.real(clients), 'compute1', frozenset(['reason']), NOW
        )
        self.assertEqual(scenes.host(), host)
        self.assertEqual(scenes.host(), clients.nova.hosts['compute1'])

    def test_somebody_else_is_quicker(self) -> None:
        clients = self.clients(scenes.entered())
        self.meanwhile(
            clients.nova, 'remove_host', lambda: self.unset(clients)
        )
        self.assertEqual(scenes.host(), self.unset(clients)[0])
