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

import datetime
import functools
import typing
from unittest import mock

from osc_lib import exceptions

from osc_maintenance import apply
from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance import journal
from osc_maintenance import maintenance
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance import starting
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes
from osc_maintenance.tests.unit import test_maintenance

NOW, HOUR = scenes.NOW, scenes.HOUR


class TestApply(test_maintenance.MaintenanceTestCase):
    def _apply(
        self, clients: fakes.Clients, unset_overdue: bool = False
    ) -> list[tuple[str, str, bool]]:
        rows = apply.apply(
            fakes.real(clients),
            unset_overdue=unset_overdue,
            max_parallel=2,
            now=lambda: NOW + 4 * HOUR,
        )
        self.causes = {row['host']: row['cause'] for row in rows}
        self.states = {row['host']: row['state'] for row in rows}
        return [(r['host'], r['action'], r['changed']) for r in rows]

    def _clients(self) -> fakes.Clients:
        over = scenes.entered(request=asking.Request(duration=HOUR))
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

    def test_all_aggregates_are_listed_once(self) -> None:
        over = scenes.entered(request=asking.Request(duration=HOUR))
        clients = self.clients(
            *(fakes.named(over, f'over-{number}') for number in range(9)),
            *(
                fakes.named(scenes.planned(), f'due-{number}')
                for number in range(9)
            ),
        )
        nova = clients.nova
        # those that are just reported are not looked at again
        for unset_overdue, kind in ((False, 'due'), (True, 'over')):
            with (
                mock.patch.object(
                    nova, 'aggregates', side_effect=nova.aggregates
                ) as listed,
                mock.patch.object(
                    nova, 'service', side_effect=nova.service
                ) as service,
            ):
                self._apply(clients, unset_overdue)
            self.assertEqual(1, listed.call_count)
            names = {call.args[0] for call in service.mock_calls}
            self.assertEqual({f'{kind}-{n}' for n in range(9)}, names)

    def test_owners_are_told_and_told_when_it_is_over(self) -> None:
        over = scenes.entered(
            request=asking.Request(duration=HOUR, notify=True)
        )
        clients = self.clients(fakes.named(over, 'a-over'))
        web = scenes.server('web')
        clients.servers.loads['a-over'] = servers.Load('a-over', (web,))
        self.assertEqual([('a-over', 'overdue', True)], self._apply(clients))
        (found,) = clients.owned.all()
        self.assertEqual('stay', found.said['maintenance:action'])
        self.assertEqual([('a-over', 'overdue', False)], self._apply(clients))
        self._apply(clients, unset_overdue=True)
        (found,) = clients.owned.all()
        self.assertEqual({}, found.said)

    def test_owners_of_what_comes_to_a_planned_host_are_told(self) -> None:
        start = NOW + 24 * HOUR
        planned = scenes.entered(
            request=asking.Request(start=start, notify=True)
        )
        clients = self.clients(fakes.named(planned, 'b-plan'))
        self.assertEqual([], self._apply(clients))
        for name, refusal, cause in (
            ('web', None, None),
            ('db', exceptions.CommandError('HTTP 409'), 'HTTP 409'),
        ):
            server = scenes.server(name)
            if refusal:
                clients.owned.refusals[server.id] = refusal
            clients.servers.loads['b-plan'] = servers.Load('b-plan', (server,))
            self.assertEqual([('b-plan', 'told', True)], self._apply(clients))
            told = self.causes['b-plan']
            if cause is None:
                self.assertIsNone(told)
            else:
                self.assertIn('owners not told: db-id: HTTP 409', str(told))
        # it is noted by now that this one is to be told, and it is not
        self.assertEqual([('b-plan', 'told', False)], self._apply(clients))
        self.assertIn('db-id: HTTP 409', str(self.causes['b-plan']))
        clients.owned.refusals.clear()
        self.assertEqual([('b-plan', 'told', True)], self._apply(clients))
        self.assertEqual([], self._apply(clients))

    def test_a_change_of_which_no_answer_came(self) -> None:
        clients = self._clients()
        real = clients.nova.write_record

        def lost(
            aggregate: compute.Aggregate, changes: dict[str, str | None]
        ) -> compute.Aggregate:
            real(aggregate, changes)
            clients.nova.writes.clear()
            raise exceptions.CommandError('that is no answer of the API')

        with mock.patch.object(clients.nova, 'write_record', lost):
            rows = self._apply(clients)
        self.assertIn(('b-due', 'failed', True), rows)
        clients.nova.broken = {'b-due'}
        self.assertIn(('b-due', 'failed', False), self._apply(clients))

    def test_what_was_interrupted_is_entered(self) -> None:
        clients = self._clients()
        clients.nova.broken = {'b-due'}
        self._apply(clients)
        clients.nova.broken = set()
        due = clients.nova.hosts['b-due']
        steps = change.to_set(due, asking.Request(), 'alice', NOW + 4 * HOUR)
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

    def test_one_that_was_ended_although_nova_failed(self) -> None:
        clients = self._clients()

        def fail() -> None:
            raise api.TransientError('HTTP 504')

        self.meanwhile(clients.nova, 'delete', fail, after=True)
        self.assertIn(
            ('a-over', 'unset', True), self._apply(clients, unset_overdue=True)
        )
        self.assertIsNone(clients.nova.hosts['a-over'].aggregate)

    def test_what_was_told_before_it_was_found_ended(self) -> None:
        # the record that named the server is gone by then
        clients = self._clients()
        real = maintenance.end
        row = {'id': 'x', 'name': 'web', 'cause': 'No valid host'}

        def again(
            _clients: object, host: compute.Host, **_how: object
        ) -> tuple[compute.Host, list[dict[str, str]]]:
            return host, [row]

        def end(
            nova: typing.Any, host: compute.Host, **how: typing.Any
        ) -> compute.Host:
            real(nova, host, **how)
            raise api.OvertakenError('HTTP 404')

        with (
            mock.patch('osc_maintenance.starting.again', again),
            mock.patch.object(maintenance, 'end', end),
        ):
            rows = self._apply(clients, unset_overdue=True)
        self.assertIn(('a-over', 'failed', True), rows)
        self.assertIn('web (x): No valid host', str(self.causes['a-over']))

    def test_what_did_not_run_when_it_was_found_ended(self) -> None:
        clients = self._clients()
        nova = clients.nova
        note = noting.stopping(journal.Journal(), ['x'], user='alice')
        # an earlier run has announced the end, and was interrupted
        note |= noting.returning({}, NOW, brings_back=False)
        over = scenes.after(nova.hosts['a-over'], change.WriteRecord(note))
        nova.hosts['a-over'] = over
        off = servers.Server('x', 'x', host='a-over', vm_state='stopped')
        clients.servers.loads['a-over'] = servers.Load('a-over', (off,))

        def start(_server: servers.Server) -> None:
            nova.hosts['a-over'] = fakes.named(scenes.host(), 'a-over')
            raise exceptions.CommandError('no disk')

        with (
            mock.patch.object(clients.servers, 'start', start),
            mock.patch.object(starting, '_AGAIN', 0.01),
        ):
            rows = self._apply(clients, unset_overdue=True)
        self.assertIn('a-over', [row[0] for row in rows])
        self.assertEqual(
            'ended, but not started again: x (x): no disk',
            self.causes['a-over'],
        )

    def test_one_that_somebody_else_is_ending(self) -> None:
        move = {'web-id': journal.Move('live-migrate', 5)}
        now = NOW + 4 * HOUR
        for notes, action in (
            (noting.returning(move, NOW, brings_back=True), 'overdue'),
            (noting.returning({}, NOW, brings_back=True), 'overdue'),
            # as an earlier version notes it
            (noting.returning(move, NOW, brings_back=False), 'overdue'),
            (
                noting.returning(
                    {}, now - datetime.timedelta(0, 9), brings_back=False
                ),
                'overdue',
            ),
            # it was interrupted; or it is this run that has noted it
            (noting.returning({}, NOW, brings_back=False), 'unset'),
            (noting.returning({}, now, brings_back=False), 'unset'),
        ):
            clients = self._clients()
            over = clients.nova.hosts['a-over']
            clients.nova.hosts['a-over'] = scenes.after(
                over, change.WriteRecord(notes)
            )
            (row, _entered) = self._apply(clients, unset_overdue=True)
            self.assertEqual(('a-over', action), row[:2], str(notes))

    def test_a_window_that_passes_while_it_is_at_others(self) -> None:
        clients = self._clients()
        short = scenes.entered(
            request=asking.Request(start=NOW + 2 * HOUR, duration=3 * HOUR)
        )
        clients.nova.hosts['c-short'] = fakes.named(short, 'c-short')
        moments = iter([4, 4, 4, 6])
        rows = apply.apply(
            fakes.real(clients),
            unset_overdue=False,
            max_parallel=2,
            now=lambda: NOW + next(moments, 6) * HOUR,
        )
        found = {row['host']: row['action'] for row in rows}
        self.assertEqual('entered', found['b-due'])
        self.assertEqual('overdue', found['c-short'])

    def test_one_whose_cold_migrations_nobody_would_confirm(self) -> None:
        noted = {'web-id': journal.Move('cold-migrate', 6, ('id-of-alice',))}
        for status, action in (
            ('finished', 'overdue'),
            ('migrating', 'overdue'),
            ('confirmed', 'unset'),
        ):
            clients = self._clients()
            clients.nova.hosts['a-over'] = scenes.after(
                clients.nova.hosts['a-over'],
                change.WriteRecord(noting.started(journal.Journal(), noted)),
            )
            migration = servers.Migration(
                *(7, 'web-id', servers.COLD_MIGRATION, status),
                *('a-over', 'd-free'),
                user='id-of-alice',
            )
            clients.servers.loads['a-over'] = servers.Load(
                'a-over', (), (migration,)
            )
            (row, _entered) = self._apply(clients, unset_overdue=True)
            self.assertEqual(('a-over', action), row[:2], status)

    def test_what_was_done_while_it_was_at_others(self) -> None:
        # the hosts were surveyed minutes ago
        told = scenes.entered(request=asking.Request(notify=True))
        for ended in (True, False):
            clients = self.clients(
                fakes.named(scenes.planned(), 'a-due'),
                fakes.named(told, 'b-told'),
            )
            web = scenes.server('web')
            clients.servers.loads['b-told'] = servers.Load('b-told', (web,))
            real = fakes.real(clients)
            request = asking.Request(notify=False)
            self.meanwhile(
                *(clients.nova, 'set_service'),
                functools.partial(maintenance.unset, real, 'b-told')
                if ended
                else functools.partial(
                    maintenance.set_, real, 'b-told', request, NOW
                ),
            )
            self.assertEqual(
                [('a-due', 'entered', True)], self._apply(clients)
            )
            (found,) = clients.owned.all()
            self.assertEqual({}, found.said)

    def test_what_is_left_stopped(self) -> None:
        over = scenes.entered(request=asking.Request(duration=HOUR))
        noted = noting.stopping(journal.Journal(), ['web-id'], user='alice')
        stopping = scenes.after(over, change.WriteRecord(noted))
        clients = self.clients(stopping)
        off = scenes.server(
            'web', host='compute1', vm_state='stopped', status='SHUTOFF'
        )
        clients.servers.loads['compute1'] = servers.Load('compute1', (off,))
        clients.servers.stoppers['web-id'] = 'bob'
        self.assertEqual(
            [('compute1', 'unset', True)],
            self._apply(clients, unset_overdue=True),
        )
        self.assertEqual(
            '1 server left stopped, each started or stopped by somebody else '
            'since: web (web-id)',
            self.causes['compute1'],
        )
        self.assertEqual([], clients.servers.writes)

    def test_a_fresh_maintenance_is_not_ended(self) -> None:
        # it is set while the overdue one is being ended
        clients = self._clients()
        self.meanwhile(
            clients.nova,
            'delete',
            lambda: maintenance.set_(
                fakes.real(clients),
                'a-over',
                asking.Request(duration=2 * HOUR),
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
        refusal = api.OvertakenError('Adding b-due: HTTP 404')
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
            clients.servers, 'migrations', side_effect=refusal
        ):
            rows = self._apply(clients)
        self.assertEqual(
            [('a-over', 'failed', False), ('b-due', 'failed', True)], rows
        )
        self.assertEqual('Migrations: no', self.causes['a-over'])
        self.assertIn('entered, but', str(self.causes['b-due']))
        # nobody knows whether what had to go has gone
        self.assertEqual({'a-over': 'error', 'b-due': 'error'}, self.states)
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
        apply.apply(
            fakes.real(clients),
            unset_overdue=False,
            max_parallel=2,
            now=lambda: NOW + 5 * HOUR,
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
