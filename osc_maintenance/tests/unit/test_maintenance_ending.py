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

"""What is set or cleared while somebody else ends the maintenance."""

import dataclasses
import datetime
import functools
from unittest import mock

from osc_maintenance import apply
from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance import facts
from osc_maintenance import journal
from osc_maintenance import maintenance
from osc_maintenance import noting
from osc_maintenance import policy
from osc_maintenance import record
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes
from osc_maintenance.tests.unit import test_maintenance

NOW, HOUR = scenes.NOW, scenes.HOUR
_ALL = asking.Request(
    policy=policy.Policy(policy.ALL, exclude=frozenset(('pet',)))
)
_SHORT = asking.Request(duration=HOUR)
_NO_REASON = record.ServiceStatus('disabled', 'maintenance 3f9a1c2e:')
_OLD = scenes.entered(request=asking.Request(removal=True, reason='sold'))


class TestEnding(test_maintenance.MaintenanceTestCase):
    def _set(
        self, clients: fakes.Clients, request: asking.Request
    ) -> record.Record:
        host, _changed = self.set_(clients, request)
        self.assertEqual(clients.nova.hosts['compute1'], host)
        self.assertTrue(host.ours)
        assert host.record is not None
        return host.record

    def test_its_service_was_looked_at_before(self) -> None:
        clients = self.clients(scenes.host())
        real, looks = clients.nova.service, [_OLD.service]

        def service(host: str) -> compute.Service | None:
            return looks.pop() if looks else real(host)

        with mock.patch.object(clients.nova, 'service', service):
            found = facts.find(fakes.real(clients).nova, 'compute1')
            self.assertEqual(scenes.host(), found)
            looks.append(_OLD.service)
            found_record = self._set(clients, _SHORT)
        self.assertIsNone(found_record.reason)

    def test_it_is_what_was_read_that_disables_the_service(self) -> None:
        # the service is put back, and the aggregate about to go
        ending = dataclasses.replace(_OLD, service=scenes.host().service)
        clients = self.clients(ending)

        def end() -> None:
            clients.nova.hosts['compute1'] = scenes.host()

        self.meanwhile(clients.nova, 'set_service', end)
        self.assertIsNone(self._set(clients, _SHORT).reason)

    def test_its_aggregate_is_deleted_by_hand(self) -> None:
        # nobody has ended anything: the disabled_reason is as it was
        told = asking.Request(reason='kernel', ticket_url='https://t/1')
        clients = self.clients(scenes.entered(request=told))

        def delete() -> None:
            lost = dataclasses.replace(
                clients.nova.hosts['compute1'], aggregate=None
            )
            clients.nova.hosts['compute1'] = lost

        self.meanwhile(clients.nova, 'write_record', delete)
        found = self._set(clients, _SHORT)
        self.assertEqual(
            ('kernel', 'https://t/1'), (found.reason, found.ticket_url)
        )

    def test_another_one_is_made_since_it_was_listed(self) -> None:
        clients = self.clients(scenes.claimed(scenes.host()))
        real, looks = clients.nova.aggregates, 0

        def aggregates() -> dict[str, compute.Aggregate]:
            nonlocal looks
            looks += 1
            if looks == 1:
                assert _OLD.aggregate
                return {'compute1': _OLD.aggregate}
            told = real()
            if looks == 2:
                # they write what they have claimed it for
                host = clients.nova.hosts['compute1']
                (step, *_) = change.to_set(host, _ALL, 'ben', NOW)
                assert isinstance(step, change.WriteRecord) and host.aggregate
                clients.nova.write_record(host.aggregate, step.changes)
            return told

        with mock.patch.object(clients.nova, 'aggregates', aggregates):
            found = self._set(clients, asking.Request(reason='kernel'))
        self.assertEqual(('kernel', _ALL.policy), (found.reason, found.policy))

    def test_one_without_a_record_is_entered_meanwhile(self) -> None:
        lost = dataclasses.replace(_OLD, aggregate=None)
        clients = self.clients(lost)
        self.meanwhile(
            clients.nova, 'set_service', lambda: self._set(clients, _SHORT)
        )
        self.unset(clients)
        # as if it had come after the set
        self.assertEqual(scenes.host(), clients.nova.hosts['compute1'])

    def test_its_service_is_put_back_while_others_change_the_record(
        self,
    ) -> None:
        told = asking.Request(reason='kernel', ticket_url='https://t/1')
        clients = self.clients(scenes.entered(request=told))

        def act() -> None:
            host = clients.nova.hosts['compute1']
            assert host.aggregate and host.service and host.before
            ticket = {record.AGGREGATE_PREFIX + 'ticket_url': None}
            clients.nova.write_record(host.aggregate, dict(ticket))
            clients.nova.set_service(host.service, host.before)

        self.meanwhile(clients.nova, 'set_service', act, after=True)
        maintenance.clear(
            fakes.real(clients), 'compute1', frozenset(('reason',)), NOW
        )
        # it is theirs to end it
        found = clients.nova.hosts['compute1']
        self.assertIsNone(found.mark)
        assert found.record is not None
        self.assertIsNone(found.record.reason)


class TestOverdue(test_maintenance.MaintenanceTestCase):
    """``apply`` ends it as its window is over."""

    overdue = scenes.entered(
        request=asking.Request(end=NOW + HOUR, reason='kernel')
    )

    longer = asking.Request(end=NOW + 9 * HOUR)

    def _apply(
        self,
        clients: fakes.Clients,
        now: datetime.datetime = NOW + 2 * HOUR,
    ) -> list[str]:
        rows = apply.apply(
            fakes.real(clients),
            unset_overdue=True,
            max_parallel=1,
            now=lambda: now,
        )
        return [row['action'] for row in rows]

    def _clear(self, clients: fakes.Clients) -> None:
        maintenance.clear(
            fakes.real(clients), 'compute1', frozenset(('reason',)), NOW
        )

    def test_it_is_given_another_end_meanwhile(self) -> None:
        clients = self.clients(self.overdue)
        self.meanwhile(
            *(clients.nova, 'set_service'),
            lambda: self.set_(clients, self.longer),
        )
        self.assertEqual(['entered'], self._apply(clients))
        found = clients.nova.hosts['compute1']
        self.assertTrue(found.ours)
        assert found.record is not None
        self.assertEqual(NOW + 9 * HOUR, found.record.end)

    def test_it_is_given_another_end_once_its_end_is_announced(self) -> None:
        # owners read that it is over before the service is put back
        told = asking.Request(end=NOW + HOUR, notify=True)
        for method, after in (
            # before it is announced, and while it is withdrawn
            ('write_record', False),
            ('write_record', True),
            ('set_service', False),
        ):
            clients = self.clients(scenes.entered(request=told))
            web = servers.Load('compute1', (scenes.server('web'),))
            clients.servers.loads['compute1'] = web
            self.assertEqual(['told'], self._apply(clients, NOW))
            self.meanwhile(
                *(clients.nova, method),
                functools.partial(self.set_, clients, self.longer),
                after=after,
            )
            self.assertEqual(['entered'], self._apply(clients))
            found = clients.nova.hosts['compute1']
            self.assertTrue(found.ours)
            self.assertFalse(found.journal.returning)
            assert found.record and found.aggregate
            self.assertEqual(NOW + 9 * HOUR, found.record.end)
            self.assertEqual(('compute1',), found.aggregate.hosts)
            self.assertEqual([], self._apply(clients))

    def test_a_server_is_stopped_for_it_at_the_last_moment(self) -> None:
        clients = self.clients(self.overdue)
        server = scenes.server('web', host='compute1')
        load = servers.Load('compute1', (server,))
        clients.servers.loads['compute1'] = load

        def stop() -> None:
            aggregate = clients.nova.hosts['compute1'].aggregate
            assert aggregate
            notes = noting.stopping(
                journal.Journal(), ['web-id'], user=clients.user_id
            )
            clients.nova.write_record(aggregate, notes)
            clients.servers.stop(server)

        # not when it is looked for, but the next time
        self.meanwhile(
            *(clients.nova, 'aggregate'),
            lambda: self.meanwhile(clients.nova, 'aggregate', stop),
        )
        self.assertEqual(['unset'], self._apply(clients))
        self.assertEqual(('start', 'web-id', None), clients.servers.writes[-1])
        self.assertEqual(scenes.host(), clients.nova.hosts['compute1'])

    def test_a_third_one_sets_what_was_disabled_too_late(self) -> None:
        ending = dataclasses.replace(_OLD, service=scenes.host().service)
        clients = self.clients(ending)
        raid = asking.Request(reason='raid')

        def end() -> None:
            clients.nova.hosts['compute1'] = scenes.host()
            self.meanwhile(
                clients.nova, 'set_service', lambda: self.set_(clients, raid)
            )

        self.meanwhile(clients.nova, 'set_service', end)
        self._apply(clients)
        found = clients.nova.hosts['compute1']
        self.assertTrue(found.ours)
        assert found.record is not None
        self.assertEqual('raid', found.record.reason)

    def test_it_is_disabled_once_more_by_who_clears_a_property(self) -> None:
        clients = self.clients(self.overdue)

        def disable() -> None:
            host = clients.nova.hosts['compute1']
            assert host.service
            clients.nova.set_service(host.service, _NO_REASON)

        self.meanwhile(clients.nova, 'remove_host', disable)
        self.assertEqual(['unset'], self._apply(clients))
        self.assertEqual(scenes.host(), clients.nova.hosts['compute1'])

    def test_a_property_of_what_is_being_set(self) -> None:
        clients = self.clients(scenes.claimed(scenes.host()))
        self.meanwhile(
            clients.nova,
            'aggregates',
            lambda: self.set_(clients, asking.Request(reason='disk')),
            after=True,
        )
        self._clear(clients)
        record_ = clients.nova.hosts['compute1'].record
        assert record_ is not None
        self.assertIsNone(record_.reason)
