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
import threading
from unittest import mock

from oslotest import base

from osc_maintenance import change
from osc_maintenance import facts
from osc_maintenance import journal
from osc_maintenance import noting
from osc_maintenance import parallel
from osc_maintenance import rows
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes
from osc_maintenance import windows

NOW = scenes.NOW


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
                (row,) = rows.of_all(real, everything=False, now=NOW)
            self.assertEqual('error', row['state'])
            self.assertIn('several compute services', row['cause'])
            self.assertIn('stale', row['cause'])
            self.assertIs(windows.Call.MEND, windows.called_for(found, NOW))


class TestListing(base.BaseTestCase):
    def _rows(
        self, clients: fakes.Clients, everything: bool = False
    ) -> dict[str, str]:
        found = rows.of_all(
            fakes.real(clients),
            everything=everything,
            now=NOW,
        )
        return {row['host']: row['state'] for row in found}

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
            found = rows.of_all(fakes.real(clients), everything=True, now=NOW)
        told = {row['host']: row['migrations_in'] for row in found}
        self.assertEqual(1, told['inside-0'])
        self.assertIsNone(told['planned'])
        self.assertIsNone(told['free'])

    def test_what_was_stopped_is_named_though_nothing_has_to_go(self) -> None:
        stopped = scenes.after(
            scenes.entered(),
            change.WriteRecord(noting.stopping(journal.Journal(), ['pet-id'])),
        )
        clients = fakes.Clients(stopped)
        pet = scenes.server('pet', vm_state='stopped', status='SHUTOFF')
        clients.servers.loads = {'compute1': servers.Load('compute1', (pet,))}
        (row,) = rows.of_all(fakes.real(clients), everything=False, now=NOW)
        self.assertEqual('maintenance', row['state'])
        self.assertEqual(
            '1 server stopped for this maintenance: pet (pet-id)', row['cause']
        )
