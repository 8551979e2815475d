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

"""What tests can arrange in the cloud that they share."""

import collections.abc
import json
import time
import typing

import testtools

from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import errors
from osc_maintenance.tests.cloud import fixture
from osc_maintenance.tests.cloud import layout
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.functional import base


class SceneTestCase(base.TestCase):
    """A test with a scene in the cloud that tests share."""

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


class TestScene(SceneTestCase):
    def test_servers_as_asked_for(self) -> None:
        here = self.scene.host()
        for status in (
            'ACTIVE',
            'SHUTOFF',
            'PAUSED',
            'SUSPENDED',
            'RESCUE',
            'SHELVED',
            'ERROR',
            'BUILD',
        ):
            how: dict[str, typing.Any] = {'metadata': {'of': 'beta'}}
            how.update(status=status, network=status == 'ACTIVE')
            made = self.scene.server('web', on=here, project='beta', **how)
            found = self.server(made)
            self.assertEqual(status, found['status'])
            self.assertEqual(here, found['OS-EXT-SRV-ATTR:host'])
            self.assertEqual({'of': 'beta'}, found['metadata'])
            self.assertEqual(status == 'ACTIVE', bool(found['addresses']))
            self.assertFalse(found['locked'])
            # Its owner sees it.
            self.cloud.api('beta-reader').get('compute', f'/servers/{made.id}')
        # That one hangs keeps none of the others there from booting.
        self.scene.server('another', on=here)

    def test_a_server_in_build_becomes_active_when_told(self) -> None:
        here = self.scene.host()
        web = self.scene.server('web', on=here, status='BUILD')
        self.assertRaises(
            errors.CloudError, self.scene.wait_for_server, web, 'ACTIVE', 1
        )
        self.scene.migration_of(web)
        self.scene.wait_for_server(web, 'ACTIVE')

    def test_a_server_in_build_on_a_host_that_goes(self) -> None:
        here = self.scene.host()
        web = self.scene.server('web', on=here, status='BUILD')
        self.scene.host_down(here)
        found = self.server(web)
        self.assertEqual('BUILD', found['status'])
        self.scene.host_up(here)
        found = self.scene.wait_for_server(web, 'ERROR')
        self.assertEqual(here, found['OS-EXT-SRV-ATTR:host'])

    def test_servers_locked_by_their_owners(self) -> None:
        here = self.scene.host()
        for project, also in (('beta', 409), ('admin', 202)):
            made = self.scene.server(
                'web', on=here, project=project, locked='a demo is on'
            )
            found = self.server(made)
            self.assertEqual(
                (True, 'a demo is on'),
                (found['locked'], found['locked_reason']),
            )
            # An administrator may do what owners may not.
            self.act(made, 'os-stop')
            self.scene.wait_for_server(made, 'SHUTOFF')
            path = f'/servers/{made.id}/action'
            member = 'admin' if project == 'admin' else f'{project}-member'
            answer = 202
            try:
                self.cloud.api(member).post(
                    'compute', path, {'os-start': None}
                )
            except api.ApiError as exc:
                answer = exc.status
            self.assertEqual(also, answer, project)

    def test_server_groups(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        apart = self.scene.group('apart', 'anti-affinity', project='beta')
        web, db = (
            self.scene.server(name, on=host, project='beta', group=apart)
            for name, host in (('web', here), ('db', there))
        )
        path = f'/os-server-groups/{apart}'
        shown = self.admin.get('compute', path)['server_group']
        self.assertEqual({web.id, db.id}, {*shown['members']})
        self.assertRaises(
            errors.CloudError,
            lambda: self.scene.server(
                'third', on=here, project='beta', group=apart
            ),
        )
        some = {'max_server_per_host': 2}
        apart = self.scene.group('two', 'anti-affinity', rules=some)
        self.scene.servers(['a', 'b'], on=here, group=apart)
        self.assertRaises(
            errors.CloudError,
            lambda: self.scene.server('c', on=here, group=apart),
        )

    def test_a_resize_awaits_confirmation(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        self.scene.resize(web)
        found = self.server(web)
        self.assertEqual('m1.small', found['flavor']['original_name'])
        self.assertEqual(there, found['OS-EXT-SRV-ATTR:host'])
        self.act(web, 'revertResize')
        found = self.scene.wait_for_server(web, 'ACTIVE')
        self.assertEqual(here, found['OS-EXT-SRV-ATTR:host'])

    def test_many_servers_at_once(self) -> None:
        here = self.scene.host()
        names = [f'web{number}' for number in range(1, 21)]
        made = self.scene.servers(names, on=here, project='beta')
        self.assertEqual(names, [server.name for server in made])
        path = f'/servers?all_tenants=1&status=ACTIVE&host={here}'
        found = self.admin.get('compute', path)['servers']
        self.assertEqual(
            {(server.id, server.name) for server in made},
            {(server['id'], server['name']) for server in found},
        )

    def test_a_host_with_little_room(self) -> None:
        here = self.scene.host(vcpus=2, memory_mb=2048)
        self.scene.servers(['a', 'b'], on=here)
        with testtools.ExpectedException(
            errors.CloudError, '.*No valid host.*'
        ):
            self.scene.server('c', on=here)
        narrow = self.scene.host(memory_mb=600)
        self.scene.server('a', on=narrow)
        with testtools.ExpectedException(
            errors.CloudError, '.*No valid host.*'
        ):
            self.scene.server('b', on=narrow)
        # Nor can anything move there.
        web = self.scene.server('web', on=self.scene.host())
        self.migrate(web)
        self.migration(web, 'error')

    def test_tokens_that_live_for_seconds(self) -> None:
        account = self.scene.user(token_seconds=15)
        known = api.Api(self.cloud.urls, account)
        calls = (
            ('compute', '/os-services'),
            ('placement', '/resource_providers'),
        )
        for service, path in calls:
            known.get(service, path)
        # What the services remember of a token does not outlive it.
        time.sleep(15.5)
        for service, path in calls:
            refused = self.assertRaises(api.ApiError, known.get, service, path)
            self.assertEqual(401, refused.status)
        # A new one does.
        api.Api(self.cloud.urls, account).get('compute', '/os-services')
        environ = self.cloud.environ_of_variables(account)
        self.assertEqual(account.user, environ['OS_USERNAME'])
        # Everybody else's live on.
        self.cloud.api().get('compute', '/os-services')

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
            built = temporary.server('built', on=here, status='BUILD')
            flavor = temporary.flavor()
            group = temporary.group('group', 'affinity')
            user = temporary.user(token_seconds=60)
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
        names = [temporary.name, web.id, moved.id, built.id]
        names += [flavor, group, user.user]
        for service, path in (
            ('compute', '/os-services'),
            ('compute', '/os-hypervisors'),
            ('compute', '/os-aggregates'),
            ('compute', '/servers?all_tenants=1'),
            ('placement', '/resource_providers'),
            ('network', '/ports'),
            ('compute', '/flavors'),
            ('compute', '/os-server-groups?all_projects=1'),
            ('identity', '/users'),
        ):
            listing = json.dumps(self.admin.get(service, path))
            for name in names:
                self.assertNotIn(name, listing, path)
        told = json.dumps(self.cloud.control.status())
        self.assertNotIn(temporary.name, told)

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
        # Before 2026.1 Nova's policies know of no managers of projects.
        managers_move = 200 if layout.RELEASE >= '2026.1' else 403
        for cloud, *expected in (
            ('beta-reader', 403, 403, 404, 404, 404),
            ('beta-member', 403, 403, 404, 404, 404),
            ('alpha-reader', 403, 403, 200, 403, 403),
            ('alpha-member', 403, 403, 200, 200, 403),
            ('alpha-manager', 403, 403, 200, 200, managers_move),
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
