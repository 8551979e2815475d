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
import inspect
from unittest import mock

from osc_lib import exceptions
from oslotest import base

from osc_maintenance import change
from osc_maintenance import facts
from osc_maintenance import maintenance
from osc_maintenance import nova
from osc_maintenance import record
from osc_maintenance import state
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes

NOW, HOUR = scenes.NOW, scenes.HOUR


class TestFakes(base.BaseTestCase):
    def test_they_are_called_as_the_real_ones(self) -> None:
        for name, method in inspect.getmembers(fakes.Nova, inspect.isfunction):
            if not name.startswith('_') and name != 'changes':
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
        before = clients.nova.changes
        host = maintenance.set_(
            fakes.real(clients),
            'compute1',
            request or change.Request(),
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

    def unset(self, clients: fakes.Clients) -> tuple[state.Host, bool]:
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
        host, _changed = self.set_(clients, change.Request(early=True))
        # as if it had come after the unset: in maintenance, and undoable
        self.assertEqual(clients.nova.hosts['compute1'], host)
        self.assertEqual(
            state.State.MAINTENANCE,
            state.derive(host, scenes.NOTHING).state,
        )
        self.assertEqual(scenes.host(), self.unset(clients)[0])

    def test_changed_while_it_enters(self) -> None:
        # the reason of another operator is written just before our disable
        clients = self.clients(scenes.planned())
        theirs = change.Request(reason='theirs')
        self.meanwhile(
            clients.nova, 'set_service', lambda: self.set_(clients, theirs)
        )
        host, _changed = self.set_(clients, change.Request(early=True))
        assert host.service is not None
        self.assertIn('theirs', str(host.service.disabled_reason))

    def test_a_claim_that_is_lost_to_somebody_quick(self) -> None:
        # A colleague disabled the host, and the other one entered it, since
        # we looked at the service: what it was before is not overwritten.
        clients = self.clients(scenes.host())
        stale = clients.nova.hosts['compute1'].service
        quick = scenes.host('disabled', 'bad disk')
        clients.nova.hosts['compute1'] = scenes.entered(quick)
        looks = [stale]

        def service(_host: str) -> state.Service | None:
            if looks:
                return looks.pop()
            return clients.nova.hosts['compute1'].service

        with mock.patch.object(clients.nova, 'service', service):
            self.set_(clients, change.Request(reason='kernel'))
        self.assertEqual(quick, self.unset(clients)[0])

    def test_ended_after_the_claim_was_lost(self) -> None:
        clients = self.clients(scenes.host())
        stale = clients.nova.hosts['compute1'].service
        clients.nova.hosts['compute1'] = scenes.entered()
        real = clients.nova.aggregates
        looks = [stale]

        def service(_host: str) -> state.Service | None:
            if looks:
                return looks.pop()
            return clients.nova.hosts['compute1'].service

        def aggregates() -> dict[str, state.Aggregate]:
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
        early: list[dict[str, state.Aggregate]] = [{}]

        def aggregates() -> dict[str, state.Aggregate]:
            return early.pop() if early else real()

        with mock.patch.object(clients.nova, 'aggregates', aggregates):
            self.assertEqual(scenes.host(), self.unset(clients)[0])
            early.append({})
            clients.nova.hosts = {'compute1': scenes.entered()}
            (found,) = facts.survey(fakes.real(clients).nova)
        self.assertIsNotNone(found.aggregate)

    def test_ended_while_a_property_is_cleared(self) -> None:
        clients = self.clients(
            scenes.entered(request=change.Request(reason='kernel'))
        )
        self.meanwhile(
            clients.nova, 'set_service', lambda: self.unset(clients)
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

    def test_what_was_interrupted_is_entered(self) -> None:
        clients = self._clients()
        clients.nova.broken = {'b-due'}
        self._apply(clients)
        clients.nova.broken = set()
        due = clients.nova.hosts['b-due']
        steps = change.to_set(due, change.Request(), 'alice', NOW + 4 * HOUR)
        clients.nova.hosts['b-due'] = scenes.after(due, *steps[:1])
        self.assertEqual(
            [('a-over', 'overdue', False), ('b-due', 'entered', True)],
            self._apply(clients),
        )
        self.assertTrue(clients.nova.hosts['b-due'].ours)

    def test_a_plan_that_is_dropped_while_it_is_entered(self) -> None:
        clients = self.clients(fakes.named(scenes.planned(), 'b-due'))
        self.meanwhile(
            clients.nova,
            'set_service',
            lambda: maintenance.unset(fakes.real(clients), 'b-due'),
        )
        self.assertEqual([], self._apply(clients))
        self.assertEqual(
            fakes.named(scenes.host(), 'b-due'), clients.nova.hosts['b-due']
        )

    def test_a_fresh_maintenance_is_not_ended(self) -> None:
        # it is set while the overdue one is being ended
        clients = self._clients()
        self.meanwhile(
            clients.nova,
            'delete',
            lambda: maintenance.set_(
                fakes.real(clients),
                'a-over',
                change.Request(duration=2 * HOUR),
                NOW + 4 * HOUR,
            ),
            after=True,
        )
        rows = self._apply(clients, unset_overdue=True)
        self.assertEqual([('b-due', 'entered', True)], rows)
        told = clients.nova.hosts['a-over']
        self.assertTrue(told.ours)
        assert told.record is not None
        self.assertEqual(NOW + 6 * HOUR, told.record.end)

    def test_what_nova_never_finds_is_told(self) -> None:
        # such as a host that is mapped to no cell
        clients = self.clients(fakes.named(scenes.planned(), 'b-due'))
        refusal = nova.OvertakenError('Adding b-due: HTTP 404')
        with mock.patch.object(
            clients.nova, 'write_record', side_effect=refusal
        ):
            rows = self._apply(clients)
        self.assertEqual([('b-due', 'failed', False)], rows)
        self.assertEqual('Adding b-due: HTTP 404', self.causes['b-due'])

    def test_what_moves_cannot_be_read(self) -> None:
        clients = self._clients()
        refusal = exceptions.CommandError('Migrations: no')
        with mock.patch.object(
            clients.nova, 'migrations', side_effect=refusal
        ):
            rows = self._apply(clients)
        self.assertEqual(('b-due', 'failed', True), rows[1])
        self.assertIn('entered, but', str(self.causes['b-due']))
        self.assertTrue(clients.nova.hosts['b-due'].ours)

    def test_a_damaged_record_is_told(self) -> None:
        clients = self._clients()
        damage = change.WriteRecord({'maintenance:window_start': 'soon'})
        due = clients.nova.hosts['b-due']
        clients.nova.hosts['b-due'] = scenes.after(due, damage)
        self.assertEqual(
            [('a-over', 'overdue', False), ('b-due', 'failed', False)],
            self._apply(clients),
        )
        self.assertIn('is damaged', str(self.causes['b-due']))

    def test_a_window_keeps_its_start(self) -> None:
        clients = self._clients()
        maintenance.apply(
            fakes.real(clients), unset_overdue=False, now=NOW + 5 * HOUR
        )
        told = clients.nova.hosts['b-due'].record
        assert told is not None
        self.assertEqual(NOW + 4 * HOUR, told.start)

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
