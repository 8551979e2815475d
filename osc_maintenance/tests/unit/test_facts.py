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
from unittest import mock

from oslotest import base

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import facts
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes

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
                found = facts.load_if_needed(fakes.real(clients), host)
                self.assertIs(looked, found is not None)
                if found:
                    self.assertEqual(statuses, found.statuses)
                    self.assertEqual(load.migrations, found.migrations)

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
