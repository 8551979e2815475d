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
import datetime
import functools
from unittest import mock

import fixtures
from osc_lib import exceptions
from oslotest import base

from osc_maintenance import asking
from osc_maintenance import compute
from osc_maintenance import maintenance
from osc_maintenance.nova import api
from osc_maintenance import record
from osc_maintenance import state
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes
from osc_maintenance import upheld

NOW, HOUR = scenes.NOW, scenes.HOUR


class MaintenanceTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        pauses = (0.0,) * len(maintenance._PAUSES)
        self.useFixture(
            fixtures.MockPatchObject(maintenance, '_PAUSES', pauses)
        )

    def clients(self, *hosts: compute.Host) -> fakes.Clients:
        self.made = fakes.Clients(*hosts)
        return self.made

    def set_(
        self, clients: fakes.Clients, request: asking.Request | None = None
    ) -> tuple[compute.Host, bool]:
        before = clients.nova.changes
        host = maintenance.set_(
            fakes.real(clients),
            'compute1',
            request or asking.Request(),
            NOW,
        )
        return host, clients.nova.changes > before

    def meanwhile(
        self,
        nova: fakes.Nova,
        method: str,
        act: collections.abc.Callable[[], object],
        *,
        after: bool = False,
    ) -> None:
        """Have somebody else act just before, or after, the next call."""
        real = getattr(nova, method)

        def once(*arguments: object) -> object:
            setattr(nova, method, real)
            if not after:
                act()
            answer = real(*arguments)
            if after:
                act()
            return answer

        setattr(nova, method, once)

    def unset(self, clients: fakes.Clients) -> tuple[compute.Host, bool]:
        before = clients.nova.changes
        host = maintenance.unset(fakes.real(clients), 'compute1')
        return host, clients.nova.changes > before


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
        host, changed = self.set_(clients, asking.Request(early=True))
        self.assertTrue(changed)
        assert host.record is not None
        self.assertEqual(NOW + 6 * HOUR, host.record.end)

    def test_two_at_once_agree(self) -> None:
        # the other one has claimed and disabled since we looked
        clients = self.clients(scenes.host())
        stale = clients.nova.hosts['compute1'].service
        self.set_(clients, asking.Request(reason='theirs'))
        with mock.patch.object(clients.nova, 'service', return_value=stale):
            host, _changed = self.set_(clients, asking.Request(duration=HOUR))
        assert host.record is not None
        self.assertEqual('theirs', host.record.reason)
        self.assertEqual(NOW + HOUR, host.record.end)
        self.assertTrue(clients.nova.hosts['compute1'].ours)
        back, _changed = self.unset(clients)
        self.assertEqual(scenes.host(), back)

    def test_refused_before_the_first_write(self) -> None:
        for host, request in (
            (scenes.host(), asking.Request(end=NOW)),
            (
                dataclasses.replace(
                    scenes.host(), service=scenes.service(id='')
                ),
                asking.Request(),
            ),
        ):
            clients = self.clients(host)
            self.assertRaises(asking.RefusedError, self.set_, clients, request)
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

    def test_overtaken_it_looks_again(self) -> None:
        clients = self.clients(scenes.host())
        self.meanwhile(clients.nova, 'add_host', lambda: self.set_(clients))
        host, _changed = self.set_(clients)
        self.assertTrue(host.ours)
        self.assertEqual(clients.nova.hosts['compute1'], host)

    def test_ended_while_it_enters(self) -> None:
        clients = self.clients(scenes.planned())
        self.meanwhile(
            clients.nova, 'set_service', lambda: self.unset(clients)
        )
        host, _changed = self.set_(clients, asking.Request(early=True))
        # as if it had come after the unset: in maintenance, and undoable
        self.assertEqual(clients.nova.hosts['compute1'], host)
        self.assertEqual(
            state.State.MAINTENANCE,
            state.derive(host, scenes.NOTHING, scenes.NOW).state,
        )
        self.assertEqual(scenes.host(), self.unset(clients)[0])

    def test_changed_while_it_enters(self) -> None:
        # the reason of another operator is written just before our disable
        clients = self.clients(scenes.planned())
        theirs = asking.Request(reason='theirs')
        self.meanwhile(
            clients.nova, 'set_service', lambda: self.set_(clients, theirs)
        )
        host, _changed = self.set_(clients, asking.Request(early=True))
        assert host.service is not None
        self.assertIn('theirs', str(host.service.disabled_reason))

    def test_disabled_while_it_enters(self) -> None:
        # a colleague disables the host while its record is written
        theirs = record.ServiceStatus('disabled', 'bad disk')
        for method in ('claim', 'write_record', 'add_host'):
            clients = self.clients(scenes.host())
            service = clients.nova.hosts['compute1'].service
            assert service is not None
            self.meanwhile(
                *(clients.nova, method),
                functools.partial(clients.nova.set_service, service, theirs),
            )
            host, _changed = self.set_(clients)
            self.assertTrue(host.ours)
            ended, _changed = self.unset(clients)
            self.assertEqual(scenes.host('disabled', 'bad disk'), ended)

    def test_disabled_while_its_servers_are_looked_at(self) -> None:
        theirs = record.ServiceStatus('disabled', 'bad disk')
        enabled = scenes.disabled_by_somebody(
            scenes.entered(), 'enabled', None
        )
        clients = self.clients(enabled)

        def check(host: compute.Host) -> None:
            assert host.service is not None
            clients.nova.set_service(host.service, theirs)

        maintenance.set_(
            *(fakes.real(clients), 'compute1', asking.Request(), NOW), check
        )
        self.assertTrue(clients.nova.hosts['compute1'].ours)
        ended, _changed = self.unset(clients)
        self.assertEqual(scenes.host('disabled', 'bad disk'), ended)

    def test_entered_while_its_start_is_put_off(self) -> None:
        clients = self.clients(scenes.planned())
        early = asking.Request(early=True)
        self.meanwhile(
            clients.nova, 'write_record', lambda: self.set_(clients, early)
        )
        later = asking.Request(start=NOW + 10 * HOUR, end=NOW + 12 * HOUR)
        error = self.assertRaises(
            exceptions.CommandError, self.set_, clients, later
        )
        self.assertIn('is in maintenance already', str(error))
        self.assertIn('look at what is recorded now', str(error))
        host = clients.nova.hosts['compute1']
        assert host.record is not None
        self.assertEqual(NOW, host.record.start)
        self.assertTrue(host.ours)
        self.assertEqual(scenes.host(), self.unset(clients)[0])

    def test_what_was_so_already_is_meant_too(self) -> None:
        # the ticket is changed between our look and our write
        clients = self.clients(
            scenes.entered(request=asking.Request(ticket_url='https://x'))
        )
        theirs = asking.Request(reason='theirs', ticket_url='https://y')
        self.meanwhile(
            clients.nova, 'write_record', lambda: self.set_(clients, theirs)
        )
        ours = asking.Request(reason='ours', ticket_url='https://x')
        host, _changed = self.set_(clients, ours)
        assert host.record is not None
        self.assertEqual(
            ('ours', 'https://x'), (host.record.reason, host.record.ticket_url)
        )
        self.assertIsNone(upheld.by_others(host.record, ours))
        self.assertEqual(clients.nova.hosts['compute1'], host)

    def test_the_last_word_is_heeded(self) -> None:
        clients = self.clients(scenes.entered())
        theirs = asking.Request(reason='theirs')
        self.meanwhile(
            *(clients.nova, 'write_record'),
            lambda: self.set_(clients, theirs),
            after=True,
        )
        ours = asking.Request(reason='ours', duration=HOUR)
        host, _changed = self.set_(clients, ours)
        assert host.record is not None
        assert host.service is not None
        self.assertEqual('theirs', host.record.reason)
        self.assertIn('theirs', str(host.service.disabled_reason))
        self.assertIn(
            'not as you have said: reason; somebody else',
            str(upheld.by_others(host.record, ours)),
        )

    def test_the_last_word_by_a_clock_that_is_ahead(self) -> None:
        # they enter it at the same time, which is later by their clock
        ahead = NOW + datetime.timedelta(seconds=2)
        clients = self.clients(scenes.planned())

        def theirs() -> None:
            host = clients.nova.hosts['compute1']
            assert host.record is not None
            assert host.aggregate is not None
            said = dataclasses.replace(
                host.record, start=ahead, set_by='ben', set_at=ahead
            )
            clients.nova.write_record(host.aggregate, {**record.encode(said)})

        self.meanwhile(clients.nova, 'write_record', theirs, after=True)
        host, _changed = self.set_(clients, asking.Request(early=True))
        assert host.record is not None
        self.assertTrue(host.ours)
        self.assertEqual(
            (ahead, 'ben'), (host.record.start, host.record.set_by)
        )

    def test_a_claim_that_is_lost_to_somebody_quick(self) -> None:
        # A colleague disabled the host, and the other one entered it, since
        # we looked at the service: what it was before is not overwritten.
        clients = self.clients(scenes.host())
        stale = clients.nova.hosts['compute1'].service
        quick = scenes.host('disabled', 'bad disk')
        clients.nova.hosts['compute1'] = scenes.entered(quick)
        looks = [stale]

        def service(_host: str) -> compute.Service | None:
            if looks:
                return looks.pop()
            return clients.nova.hosts['compute1'].service

        with mock.patch.object(clients.nova, 'service', service):
            self.set_(clients, asking.Request(reason='kernel'))
        self.assertEqual(quick, self.unset(clients)[0])

    def test_ended_after_the_claim_was_lost(self) -> None:
        clients = self.clients(scenes.host())
        stale = clients.nova.hosts['compute1'].service
        clients.nova.hosts['compute1'] = scenes.entered()
        real = clients.nova.aggregates
        looks = [stale]

        def service(_host: str) -> compute.Service | None:
            if looks:
                return looks.pop()
            return clients.nova.hosts['compute1'].service

        def aggregates() -> dict[str, compute.Aggregate]:
            told = real()
            clients.nova.hosts['compute1'] = scenes.host()
            return told

        with (
            mock.patch.object(clients.nova, 'service', service),
            mock.patch.object(clients.nova, 'aggregates', aggregates),
        ):
            host, _changed = self.set_(clients)
        self.assertTrue(host.ours)
        self.assertEqual(clients.nova.hosts['compute1'], host)


class TestNovaFails(MaintenanceTestCase):
    """With a 500, which it does to one of two at the same moment as well."""

    FAILURE = api.TransientError('StaleDataError (HTTP 500)')

    def _fail(
        self,
        clients: fakes.Clients,
        method: str,
        act: collections.abc.Callable[[], object],
        *,
        after: bool = False,
    ) -> None:
        def fail() -> None:
            act()
            raise self.FAILURE

        self.meanwhile(clients.nova, method, fail, after=after)

    def test_ended_while_it_enters(self) -> None:
        for method in ('write_record', 'add_host'):
            clients = self.clients(scenes.planned())
            self._fail(clients, method, lambda: self.unset(self.made))
            host, changed = self.set_(clients, asking.Request(early=True))
            self.assertTrue(host.ours)
            self.assertTrue(changed)

    def test_changed_while_it_ends(self) -> None:
        clients = self.clients(scenes.planned())
        theirs = asking.Request(reason='theirs')
        self._fail(clients, 'delete', lambda: self.set_(clients, theirs))
        self.assertEqual((scenes.host(), True), self.unset(clients))

    def test_it_was_done(self) -> None:
        for method in ('write_record', 'add_host'):
            clients = self.clients(scenes.host())
            self._fail(clients, method, lambda: None, after=True)
            self.assertTrue(self.set_(clients)[0].ours)
        for method in ('remove_host', 'delete'):
            clients = self.clients(scenes.entered())
            self._fail(clients, method, lambda: None, after=True)
            self.assertEqual(scenes.host(), self.unset(clients)[0])

    def test_nothing_has_changed(self) -> None:
        clients = self.clients(scenes.entered())
        self._fail(clients, 'remove_host', lambda: None)
        error = self.assertRaises(exceptions.CommandError, self.unset, clients)
        self.assertIn('StaleDataError', str(error))
