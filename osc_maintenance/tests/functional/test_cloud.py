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

"""The test cloud itself: does it what the other tests rely on?"""

import collections.abc
import json
import os
import pathlib
import signal
import subprocess
import sys
import typing

import fixtures
from oslotest import base

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import fixture
from osc_maintenance.tests.cloud import launcher
from osc_maintenance.tests.cloud import layout
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.cloud import proc
from osc_maintenance.tests.cloud import scene

_USER = """
import sys
from osc_maintenance.tests.cloud import fixture
fixture.Cloud().setUp()
print('ready', flush=True)
sys.stdin.read()
"""


class TestLife(base.BaseTestCase):
    """Clouds of their own, each beside the one that other tests share."""

    def setUp(self) -> None:
        super().setUp()
        directory = self.useFixture(fixtures.TempDir()).path
        self.state = layout.State(pathlib.Path(directory))
        self.addCleanup(launcher.down, self.state)
        # The base class has given this test a home without a cache.
        caches = str(layout.cache().parent)
        self.useFixture(fixtures.EnvironmentVariable('XDG_CACHE_HOME', caches))

    def run_cloud(self, *words: str, status: int = 0) -> str:
        """Run the command line and return what it wrote."""
        state_dir = ('--state-dir', str(self.state.directory))
        package = 'osc_maintenance.tests.cloud'
        ended = subprocess.run(
            [sys.executable, '-m', package, *state_dir, *words],
            cwd=layout.ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        self.assertEqual(status, ended.returncode, ended.stderr)
        return ended.stdout

    def start_and_look(self) -> dict[str, int]:
        """Start a cloud and return its processes."""
        self.run_cloud('up', '--hosts=0')
        facts = self.state.facts()
        assert facts is not None
        return dict(facts['pids'])

    def assert_ends(self) -> None:
        """All processes of the cloud go away."""
        operations.wait_for(
            'the last process has ended', lambda: not set(proc.of(self.state))
        )
        self.assertIsNone(self.state.facts())

    def test_command_line(self) -> None:
        self.run_cloud('status', status=1)
        self.assertIn('The cloud is up.', self.run_cloud('up', '--hosts=1'))
        self.assertEqual(0o600, self.state.clouds_yaml.stat().st_mode & 0o777)

        # Again, and with more hosts.
        again = self.run_cloud('up', '--hosts=2')
        self.assertIn('running already', again)
        self.assertIn('compute1 compute2\n', self.run_cloud('status'))

        # The shared cloud runs beside it and has nothing to do with it.
        shared = self.useFixture(fixture.Cloud())
        urls = launcher.urls(self.state)
        self.assertFalse(set(urls.values()) & set(shared.urls.values()))

        # Commands run in it, as somebody, with their own exit code.
        shown = self.run_cloud(
            *('shell', '--os-cloud=alpha-reader', '--'),
            *('sh', '-c', 'echo $OS_CLOUD $OS_USERNAME; exit 7'),
            status=7,
        )
        self.assertEqual('alpha-reader\n', shown)
        self.assertIn('export OS_CLOUD=admin\n', self.run_cloud('env'))

        # A thousand hosts that are rows only: up, and they can be disabled.
        self.run_cloud('phantom', '1000')
        admin = api.Api(urls, accounts.ACCOUNTS['admin'])
        services = admin.get('compute', '/os-services?binary=nova-compute')
        self.assertEqual(1002, len(services['services']))
        phantom = operations.service_of(admin, 'phantom1000')
        assert phantom is not None
        self.assertEqual('up', phantom['state'])
        path = f'/os-services/{phantom["id"]}'
        changed = admin.put('compute', path, {'status': 'disabled'})
        self.assertEqual('disabled', changed['service']['status'])

        # Mistakes are told from each other.
        self.run_cloud('host', 'down', 'nosuch', status=1)
        self.run_cloud('behave', 'web', 'fail=nowhere', status=1)
        self.run_cloud('host', 'add', 'alice')
        self.run_cloud('host', 'remove', 'alice')
        self.assertIsNone(operations.service_of(admin, 'alice'))

        self.assertIn('is down', self.run_cloud('down'))
        self.assertEqual([], list(proc.of(self.state)))
        self.assertIn('was not running', self.run_cloud('down'))
        self.run_cloud('shell', status=1)

    def test_services_end_with_the_supervisor(self) -> None:
        pids = self.start_and_look()
        self.assertEqual({*pids.values()}, {*proc.of(self.state)})
        os.kill(pids['supervisor'], signal.SIGKILL)
        self.assert_ends()

    def test_cloud_ends_with_its_users(self) -> None:
        directory = str(self.state.directory)
        self.useFixture(
            fixtures.EnvironmentVariable(layout.STATE_VARIABLE, directory)
        )
        users = [
            subprocess.Popen(
                [sys.executable, '-c', _USER],
                cwd=layout.ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        for user in users:
            self.addCleanup(user.wait)
            self.addCleanup(user.kill)
            assert user.stdout is not None
            self.assertEqual('ready\n', user.stdout.readline())
        # One is killed: the other one still has its cloud.
        users[0].kill()
        users[0].wait()
        urls = launcher.urls(self.state)
        api.call('GET', f'{urls["control"]}/status')
        users[1].kill()
        self.assert_ends()

    def test_a_service_that_dies_is_told_with_its_log(self) -> None:
        os.kill(self.start_and_look()['image'], signal.SIGKILL)
        self.assert_ends()
        log = self.state.log('supervisor').read_text()
        self.assertIn('The image process died with -9', log)
        self.assertIn(str(self.state.log('image')), log)


class TestScene(base.BaseTestCase):
    """What tests can arrange in the cloud that they share."""

    def setUp(self) -> None:
        super().setUp()
        self.cloud = self.useFixture(fixture.Cloud())
        self.admin = self.cloud.api()
        self.scene = self.cloud.scene()

    def act(
        self, server: scene.Server, action: str, **how: typing.Any
    ) -> None:
        path = f'/servers/{server.id}/action'
        self.admin.post('compute', path, {action: how or None})

    def migrate(self, server: scene.Server) -> None:
        self.act(server, 'os-migrateLive', host=None, block_migration='auto')

    def migration(self, server: scene.Server, *statuses: str) -> typing.Any:
        """Wait until the migration of a server has one of these."""

        path = f'/os-migrations?instance_uuid={server.id}'

        def look() -> typing.Any:
            found = self.admin.get('compute', path)['migrations']
            return next((m for m in found if m['status'] in statuses), None)

        return operations.wait_for(f'{server.name} is {statuses}', look)

    def server(self, server: scene.Server) -> typing.Any:
        return self.admin.get('compute', f'/servers/{server.id}')['server']

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

    def test_a_cold_migration_fails(self) -> None:
        here, _there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        self.scene.migration_of(web, fails='spawn')
        self.act(web, 'migrate')
        self.migration(web, 'error')
        self.scene.wait_for_server(web, 'ERROR')

    def test_servers_as_asked_for(self) -> None:
        here = self.scene.host()
        for status in ('ACTIVE', 'SHUTOFF', 'PAUSED', 'SUSPENDED', 'ERROR'):
            how: dict[str, typing.Any] = {'metadata': {'of': 'beta'}}
            how.update(status=status, network=status == 'ACTIVE')
            made = self.scene.server('web', on=here, project='beta', **how)
            found = self.server(made)
            self.assertEqual(status, found['status'])
            self.assertEqual(here, found['OS-EXT-SRV-ATTR:host'])
            self.assertEqual({'of': 'beta'}, found['metadata'])
            self.assertEqual(status == 'ACTIVE', bool(found['addresses']))
            # Its owner sees it.
            self.cloud.api('beta-reader').get('compute', f'/servers/{made.id}')

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
            lambda: self.admin.get('compute', path)['migrations'],
        )
        self.assertLess(0, shown[0]['memory_remaining_bytes'])
        self.admin.delete('compute', f'{path}/{running["id"]}')
        path += f'/{running["id"]}'
        self.admin.post('compute', f'{path}/action', {'force_complete': None})
        self.migration(web, 'completed')
        after = self.scene.wait_for_server(web, 'ACTIVE')
        self.assertEqual(there, after['OS-EXT-SRV-ATTR:host'])

    def test_a_host_goes_and_comes_back(self) -> None:
        here, _there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        off = self.scene.server('off', on=here, status='SHUTOFF')
        moving = self.scene.server('moving', on=here)
        self.scene.migration_of(moving, hangs=True)
        self.migrate(moving)
        self.migration(moving, 'running')

        self.scene.host_down(here)
        self.assert_state('down', here)
        self.migration(moving, 'running')

        self.scene.host_up(here)
        self.assert_state('up', here)
        self.migration(moving, 'error')
        # The guests are where they were: Nova finds them to be in the state
        # that it knows, and can work with them.
        self.assertEqual('ACTIVE', self.server(web)['status'])
        self.act(off, 'os-start')
        self.scene.wait_for_server(off, 'ACTIVE')
        self.migrate(web)
        self.migration(web, 'completed')

    def assert_state(self, state: str, host: str) -> None:
        service = operations.service_of(self.admin, host)
        assert service is not None
        self.assertEqual(state, service['state'])

    def test_scenes_keep_apart(self) -> None:
        lonely = self.scene.host()
        web = self.scene.server('web', on=lonely)
        self.migrate(web)
        self.migration(web, 'error')
        # And a server that is not told where to go goes to nobody's host.
        (image,) = self.admin.get('image', '/images?name=tiny')['images']
        server = {
            'name': 'plain',
            'flavorRef': 'm1.tiny',
            'imageRef': image['id'],
            'networks': 'none',
        }
        plain = self.admin.post('compute', '/servers', {'server': server})
        plain_id = plain['server']['id']
        self.addCleanup(operations.delete_servers, self.admin, [plain_id])
        found = self.scene.wait_for_server(plain_id, 'ACTIVE')
        self.assertTrue(found['OS-EXT-SRV-ATTR:host'].startswith('compute'))

    def test_nothing_is_left(self) -> None:
        with fixture.Cloud() as cloud:
            temporary = cloud.scene()
            here, there = temporary.host(), temporary.host()
            web = temporary.server('web', on=here, network=True)
            moved = temporary.server('moved', on=there)
            temporary.migration_of(web, hangs=True, abortable=False)
            self.migrate(web)
            self.migration(web, 'running')
            self.act(moved, 'migrate')
            temporary.wait_for_server(moved, 'VERIFY_RESIZE')
            path = '/os-aggregates'
            for name in (f'maintenance:{here}', f'of {temporary.name}'):
                made = self.admin.post(
                    'compute', path, {'aggregate': {'name': name}}
                )
            path += f'/{made["aggregate"]["id"]}/action'
            self.admin.post('compute', path, {'add_host': {'host': there}})
            temporary.host_down(there)
        for service, path in (
            ('compute', '/os-services'),
            ('compute', '/os-hypervisors'),
            ('compute', '/os-aggregates'),
            ('compute', '/servers?all_tenants=1'),
            ('placement', '/resource_providers'),
            ('network', '/ports'),
        ):
            listing = json.dumps(self.admin.get(service, path))
            for name in (temporary.name, web.id, moved.id):
                self.assertNotIn(name, listing, path)

    def test_accounts(self) -> None:
        here, _there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here, project='alpha')
        path = f'/servers/{web.id}'
        note = {'metadata': {'seen': 'yes'}}
        move = {'os-migrateLive': {'host': None, 'block_migration': 'auto'}}
        calls: list[collections.abc.Callable[[api.Api], object]] = [
            lambda a: a.get('compute', '/os-services'),
            lambda a: a.get('compute', '/servers?all_tenants=1'),
            lambda a: a.get('compute', path),
            lambda a: a.post('compute', f'{path}/metadata', note),
            lambda a: a.post('compute', f'{path}/action', move),
        ]
        for cloud, *expected in (
            ('beta-reader', 403, 403, 404, 404, 404),
            ('beta-member', 403, 403, 404, 404, 404),
            ('alpha-reader', 403, 403, 200, 403, 403),
            ('alpha-member', 403, 403, 200, 200, 403),
            ('alpha-manager', 403, 403, 200, 200, 200),
            ('project-admin', 200, 200, 200, 200, 200),
            ('admin', 200, 200, 200, 200, 200),
        ):
            got = []
            for call in calls:
                try:
                    call(self.cloud.api(str(cloud)))
                    got.append(200)
                except api.ApiError as exc:
                    got.append(exc.status)
            self.assertEqual(expected, got, cloud)
            self.scene.wait_for_server(web, 'ACTIVE')
        # As Keystone's administrator; Nova does not know the system.
        users = self.cloud.api('admin-system').get('identity', '/users')
        self.assertIn('alpha-member', [u['name'] for u in users['users']])
