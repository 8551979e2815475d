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
import datetime
import threading
from unittest import mock

from oslotest import base

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import facts
from osc_maintenance import journal
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance import parallel
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes
from osc_maintenance import windows

NOW = scenes.NOW


class TestFind(base.BaseTestCase):
    def test_a_known_aggregate_saves_the_list_of_all(self) -> None:
        clients = fakes.Clients(scenes.entered())
        known = scenes.entered().aggregate
        with mock.patch.object(clients.nova, 'aggregates') as listed:
            found = facts.find(fakes.real(clients).nova, 'compute1', known)
        self.assertEqual(scenes.entered(), found)
        listed.assert_not_called()

    def test_it_is_gone_or_another_host_s(self) -> None:
        entered = scenes.entered()
        aggregate = entered.aggregate
        assert aggregate
        for known in (
            dataclasses.replace(aggregate, uuid='of the one before'),
            dataclasses.replace(aggregate, name='maintenance:compute2'),
        ):
            clients = fakes.Clients(
                entered, fakes.named(scenes.entered(), 'compute2')
            )
            found = facts.find(fakes.real(clients).nova, 'compute1', known)
            self.assertEqual(entered, found)


class TestLoad(base.BaseTestCase):
    def test_what_waits_on_its_way_here(self) -> None:
        def row(number: int, status: str) -> servers.Migration:
            return servers.Migration(
                number,
                f's{number}',
                servers.LIVE_MIGRATION,
                status,
                source='compute2',
                dest='compute1',
            )

        elsewhere = scenes.server('s1', host='compute2')
        resized = dataclasses.replace(elsewhere, vm_state='resized')
        busy = dataclasses.replace(elsewhere, task_state='migrating')
        here = dataclasses.replace(elsewhere, host='compute1')
        for status, found, coming in (
            ('queued', busy, 1),
            ('queued', elsewhere, 0),
            ('accepted', elsewhere, 0),
            # deleted
            ('queued', None, 0),
            # it has come since the migrations were read
            ('queued', here, 1),
            # its host died, or was restarted
            ('running', elsewhere, 0),
            ('migrating', elsewhere, 0),
            ('running', busy, 1),
            ('confirming', resized, 1),
        ):
            with self.subTest(status=status, found=found):
                clients = fakes.Clients(scenes.host())
                asked = mock.Mock(return_value=found)
                with mock.patch.object(clients.servers, 'server', asked):
                    load = facts.load_of(
                        fakes.real(clients).servers,
                        'compute1',
                        (),
                        (row(1, status), row(2, 'completed')),
                        scenes.NOW,
                    )
                self.assertEqual(coming, len(load.coming))
                asked.assert_called_once_with('s1')

    def test_what_waits_in_a_cell_that_is_down(self) -> None:
        clients = fakes.Clients(scenes.host())
        down = mock.Mock(side_effect=api.DownCellError('its cell is down'))
        coming = servers.Migration(
            1, 's1', servers.LIVE_MIGRATION, 'queued', 'compute2', 'compute1'
        )
        with mock.patch.object(clients.servers, 'server', down):
            load = facts.load_of(
                fakes.real(clients).servers,
                'compute1',
                (),
                (coming,),
                scenes.NOW,
            )
        self.assertEqual([coming], load.coming)

    def test_what_has_left_and_never_ends(self) -> None:
        there = scenes.server('s1', host='compute2')
        busy = dataclasses.replace(there, task_state='migrating')
        resized = dataclasses.replace(there, vm_state='resized')
        minute = datetime.timedelta(minutes=1)
        for status, age, found, out in (
            # the source cleans up for a moment, as a rule
            ('running', 1, there, 1),
            ('running', 16, there, 0),
            ('post-migrating', 16, there, 0),
            ('running', 16, None, 0),
            ('running', 16, busy, 1),
            ('confirming', 16, resized, 1),
        ):
            clients = fakes.Clients(scenes.host())
            row = servers.Migration(
                *(1, 's1', servers.LIVE_MIGRATION, status),
                *('compute1', 'compute2'),
                updated=scenes.NOW - age * minute,
            )
            with mock.patch.object(
                clients.servers, 'server', return_value=found
            ) as asked:
                load = facts.load_of(
                    fakes.real(clients).servers,
                    'compute1',
                    (),
                    (row,),
                    scenes.NOW,
                )
            self.assertEqual(out, len(load.out), f'{status} {found}')
            self.assertIs(age > 15, asked.called)


class TestSurvey(base.BaseTestCase):
    def test_two_services_of_one_host(self) -> None:
        host = scenes.entered()
        assert host.service
        stale = dataclasses.replace(host.service, id='stale', status='enabled')
        for both in ([host.service, stale], [stale, host.service]):
            clients = fakes.Clients(host)
            with mock.patch.object(
                clients.nova, 'services', return_value=both
            ):
                real = fakes.real(clients)
                (found,) = facts.survey(real.nova)
                (row,) = facts.listing(real, everything=False, now=NOW)
            self.assertEqual('error', row['state'])
            self.assertIn('several compute services', row['cause'])
            self.assertIn('stale', row['cause'])
            self.assertIs(windows.Call.MEND, windows.called_for(found, NOW))


class TestListing(base.BaseTestCase):
    def _rows(
        self, clients: fakes.Clients, everything: bool = False
    ) -> dict[str, str]:
        rows = facts.listing(
            fakes.real(clients),
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
        clients = fakes.Clients(*hosts)
        moving = scenes.load(migrations_out=1, host='leaving')
        clients.servers.loads = {'leaving': moving, 'planned': moving}
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

    def test_only_what_matters_is_asked_and_side_by_side(self) -> None:
        hosts = [
            fakes.named(scenes.entered(), f'inside-{number}')
            for number in range(parallel.WIDTH)
        ]
        hosts.append(fakes.named(scenes.planned(), 'planned'))
        hosts.append(fakes.named(scenes.host(), 'free'))
        clients = fakes.Clients(*hosts)
        together = threading.Barrier(parallel.WIDTH)

        def migrations(host: str) -> tuple[servers.Migration, ...]:
            self.assertTrue(host.startswith('inside'))
            together.wait(timeout=30)
            return scenes.load(migrations_in=1, host=host).migrations

        busy = scenes.server('web', host='elsewhere', task_state='migrating')
        with (
            mock.patch.object(clients.servers, 'migrations', migrations),
            mock.patch.object(clients.servers, 'server', return_value=busy),
        ):
            rows = facts.listing(fakes.real(clients), everything=True, now=NOW)
        told = {row['host']: row['migrations_in'] for row in rows}
        self.assertEqual(1, told['inside-0'])
        self.assertIsNone(told['planned'])
        self.assertIsNone(told['free'])

    def test_servers_are_looked_at_only_if_some_have_to_go(self) -> None:
        wanted = asking.Request(policy=policy.Policy(policy.ALL))
        entered = scenes.entered(request=wanted)
        returning = scenes.after(
            scenes.disabled_by_somebody(scenes.entered(), 'enabled', None),
            change.WriteRecord(noting.returning({}, NOW, brings_back=False)),
        )
        for host, looked, statuses in (
            (entered, True, {'ACTIVE': 1}),
            # something moves
            (scenes.entered(), True, {'ACTIVE': 1}),
            (returning, True, {'ACTIVE': 1}),
            (scenes.planned(), False, None),
            (scenes.disabled_by_somebody(entered), False, None),
            (dataclasses.replace(entered, aggregate=None), False, None),
        ):
            with self.subTest(host=host):
                clients = fakes.Clients(host)
                load = scenes.load({'ACTIVE': 1}, 1)
                clients.servers.loads = {'compute1': load}
                (found,) = facts.loads(fakes.real(clients), [host])
                self.assertIs(looked, found is not None)
                if found:
                    self.assertEqual(statuses, found.statuses)
                    self.assertEqual(load.migrations, found.migrations)

    def test_what_was_stopped_is_named_though_nothing_has_to_go(self) -> None:
        stopped = scenes.after(
            scenes.entered(),
            change.WriteRecord(noting.stopping(journal.Journal(), ['pet-id'])),
        )
        clients = fakes.Clients(stopped)
        pet = scenes.server('pet', vm_state='stopped', status='SHUTOFF')
        clients.servers.loads = {'compute1': servers.Load('compute1', (pet,))}
        (row,) = facts.listing(fakes.real(clients), everything=False, now=NOW)
        self.assertEqual('maintenance', row['state'])
        self.assertEqual(
            '1 server stopped for this maintenance: pet (pet-id)', row['cause']
        )

    def test_migrations_are_read_before_the_servers(self) -> None:
        # one that ends in between is then seen elsewhere, not missed
        clients = fakes.Clients(scenes.host())
        moving, there = scenes.load({'ACTIVE': 1}, 1), scenes.load({}, 0)
        clients.servers.loads = {'compute1': moving}
        real = clients.servers.migrations

        def migrations(host: str) -> tuple[servers.Migration, ...]:
            found = real(host)
            clients.servers.loads = {'compute1': there}
            return found

        with mock.patch.object(clients.servers, 'migrations', migrations):
            load = facts.load(fakes.real(clients).servers, 'compute1')
        self.assertEqual(((), 1), (load.servers, len(load.out)))
