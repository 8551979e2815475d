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

"""How servers of the test cloud boot and move, as they are told."""

import math
import time

import testtools

from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import errors
from osc_maintenance.tests.cloud import layout
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.functional import test_cloud_scene as base


class TestMoves(base.SceneTestCase):
    def test_where_migrations_fail(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        for fails, migration, status, host in (
            (None, 'completed', 'ACTIVE', there),
            ('dest-check', 'error', 'ACTIVE', here),
            ('source-check', 'error', 'ACTIVE', here),
            ('pre', 'failed', 'ACTIVE', here),
            ('copy', 'failed', 'ACTIVE', here),
            ('driver', 'error', 'ERROR', here),
            ('post', 'error', 'ERROR', there),
        ):
            web = self.scene.server(f'web-{fails}', on=here)
            self.scene.migration_of(web, seconds=0, fails=fails)
            self.migrate(web)
            self.migration(web, migration)
            after = self.scene.wait_for_server(web, status)
            # Still, that is: there may be an `error` on the way to `failed`.
            ended = self.migration(web, 'completed', 'error', 'failed')
            self.assertEqual(
                (fails, migration, host),
                (fails, ended['status'], after['OS-EXT-SRV-ATTR:host']),
            )

    def test_where_cold_migrations_fail(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        for fails, status, host in (
            ('cold-check', 'ACTIVE', here),
            ('cold', 'ERROR', here),
            ('spawn', 'ERROR', there),
        ):
            web = self.scene.server(f'web-{fails}', on=here)
            self.scene.migration_of(web, fails=fails)
            self.act(web, 'migrate')
            self.migration(web, 'error')
            after = self.scene.wait_for_server(web, status)
            self.assertEqual(
                (fails, host), (fails, after['OS-EXT-SRV-ATTR:host'])
            )

    def test_an_evacuation_fails(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        self.scene.migration_of(web, fails='spawn')
        self.scene.host_down(here)
        self.act(web, 'evacuate', host=there)
        self.migration(web, 'failed')
        after = self.scene.wait_for_server(web, 'ERROR')
        self.assertEqual(here, after['OS-EXT-SRV-ATTR:host'])

    def test_moves_take_as_long_as_told(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        self.scene.migration_of(web, cold_seconds=1, spawn_seconds=2)
        began = time.monotonic()
        self.act(web, 'migrate')
        # and who looks late sees what comes of that
        self.migration(web, 'post-migrating', 'finished')
        self.assertLess(1, time.monotonic() - began)
        self.scene.wait_for_server(web, 'VERIFY_RESIZE')
        self.assertLess(3, time.monotonic() - began)
        self.act(web, 'confirmResize')
        self.scene.wait_for_server(web, 'ACTIVE')
        # A live migration has no part in that.
        self.scene.migration_of(web, seconds=0, spawn_seconds=math.inf)
        self.migrate(web)
        self.migration(web, 'completed')

        self.scene.migration_of(web, spawn_seconds=2)
        self.scene.host_down(here)
        began = time.monotonic()
        self.act(web, 'evacuate', host=there)
        # The host is written last, after the status.
        self.migration(web, 'done')
        # As it is since 2.95: it is for its owner to start it.
        after = self.scene.wait_for_server(web, 'SHUTOFF')
        self.assertEqual(there, after['OS-EXT-SRV-ATTR:host'])
        self.assertLess(2, time.monotonic() - began)

    def test_cold_migrations_hang_until_told_otherwise(self) -> None:
        here, _there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        for cold, spawn, status in (
            (math.inf, 0, 'migrating'),
            (0, math.inf, 'post-migrating'),
        ):
            self.scene.migration_of(
                web, cold_seconds=cold, spawn_seconds=spawn
            )
            self.act(web, 'migrate')
            self.migration(web, status)
            time.sleep(1)
            self.migration(web, status)
            self.scene.migration_of(web)
            self.scene.wait_for_server(web, 'VERIFY_RESIZE')
            self.act(web, 'revertResize')
            self.scene.wait_for_server(web, 'ACTIVE')

    def test_all_that_a_host_has_a_part_in_fails(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        self.scene.migration_of(there, fails='pre')
        self.migrate(web)
        self.migration(web, 'failed')
        self.scene.wait_for_server(web, 'ACTIVE')
        self.scene.migration_of(there)
        self.migrate(web)
        self.migration(web, 'completed')

    def test_a_migration_hangs_until_aborted_or_forced(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        queued = self.scene.server('queued', on=here)
        self.scene.migration_of(web, hangs=True)
        self.migrate(web)
        running = self.migration(web, 'running')
        # Hosts have a limit of their own, of one at a time.
        self.migrate(queued)
        waiting = self.migration(queued, 'queued')
        path = f'/servers/{queued.id}/migrations/{waiting["id"]}'
        self.admin.delete('compute', path)
        self.migration(queued, 'cancelled')

        path = f'/servers/{web.id}/migrations'
        self.admin.delete('compute', f'{path}/{running["id"]}')
        self.migration(web, 'cancelled')
        self.scene.wait_for_server(web, 'ACTIVE')

        self.scene.migration_of(web, hangs=True, abortable=False)
        self.migrate(web)
        running = self.migration(web, 'running')
        shown = operations.wait_for(
            'progress is shown',
            lambda: [
                item
                for item in self.admin.get('compute', path)['migrations']
                if item['memory_remaining_bytes'] is not None
            ],
        )
        self.assertLess(0, shown[0]['memory_remaining_bytes'])
        self.admin.delete('compute', f'{path}/{running["id"]}')
        path += f'/{running["id"]}'
        self.admin.post('compute', f'{path}/action', {'force_complete': None})
        self.migration(web, 'completed')
        after = self.scene.wait_for_server(web, 'ACTIVE')
        self.assertEqual(there, after['OS-EXT-SRV-ATTR:host'])

    def test_as_many_migrations_at_once_as_the_host_allows(self) -> None:
        here, there = self.scene.host(live_migrations=3), self.scene.host()
        made = self.scene.servers(['a', 'b', 'c', 'd'], on=here)
        for server in made:
            self.scene.migration_of(server, hangs=True)
            self.migrate(server)
            self.migration(server, 'running', 'queued')
        path = f'/os-migrations?host={here}'

        def statuses() -> list[str]:
            found = self.admin.get('compute', path)['migrations']
            return sorted(migration['status'] for migration in found)

        operations.wait_for(
            'three run, and one waits for its turn',
            lambda: statuses() == ['queued', *['running'] * 3],
        )
        for server in made:
            self.scene.migration_of(server, seconds=0)
        for server in made[:3]:
            running = self.migration(server, 'running')
            path = f'/servers/{server.id}/migrations/{running["id"]}/action'
            self.admin.post('compute', path, {'force_complete': None})
        for server in made:
            after = self.migration(server, 'completed')
            self.assertEqual(there, after['dest_compute'])


class TestPins(base.SceneTestCase):
    """Servers that not every host can take."""

    def test_where_they_boot_and_move(self) -> None:
        plain, special, other = (
            self.scene.host(),
            self.scene.host(
                vgpus=1, gpus=1, tpm=True, traits=['CUSTOM_QUIET']
            ),
            self.scene.host(
                vgpus=1, gpus=1, tpm=True, traits=['CUSTOM_QUIET']
            ),
        )
        cases: list[tuple[dict[str, str], str | int]] = [
            ({'trait:CUSTOM_QUIET': 'required'}, 'completed'),
            ({'resources:VGPU': '1'}, 'completed'),
            ({'pci_passthrough:alias': 'gpu:1'}, 'error'),
            ({'hw:tpm_version': '2.0', 'hw:tpm_model': 'tpm-crb'}, 400),
        ]
        if layout.RELEASE >= '2026.1':
            # before, it could not be said of a flavor
            kept = {'hw:tpm_version': '2.0', 'hw:tpm_secret_security': 'host'}
            cases.append((kept, 'completed'))
        for specs, live in cases:
            flavor = self.scene.flavor(specs)
            with testtools.ExpectedException(
                errors.CloudError, '.*No valid host.*'
            ):
                self.scene.server('web', on=plain, flavor=flavor)
            web = self.scene.server('web', on=special, flavor=flavor)
            at = special
            try:
                self.migrate(web)
            except api.ApiError as exc:
                self.assertEqual((specs, live), (specs, exc.status))
                self.assertIn('not supported for vTPM', str(exc.body))
            else:
                ended = self.migration(web, 'completed', 'error', 'failed')
                self.assertEqual((specs, live), (specs, ended['status']))
                at = other if live == 'completed' else special
            self.scene.wait_for_server(web, 'ACTIVE')
            # A cold migration is for all.
            self.act(web, 'migrate')
            found = self.scene.wait_for_server(web, 'VERIFY_RESIZE')
            self.assertEqual(
                {special, other}, {at, found['OS-EXT-SRV-ATTR:host']}
            )
            operations.delete_servers(self.admin, [web.id])

    def test_there_are_no_more_than_the_host_has(self) -> None:
        here = self.scene.host(vgpus=1, gpus=1)
        for specs in (
            {'resources:VGPU': '1'},
            {'pci_passthrough:alias': 'gpu:1'},
        ):
            flavor = self.scene.flavor(specs)
            self.scene.server('first', on=here, flavor=flavor)
            with testtools.ExpectedException(
                errors.CloudError, '.*No valid host.*'
            ):
                self.scene.server('second', on=here, flavor=flavor)
