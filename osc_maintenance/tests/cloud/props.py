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

"""What a scene has besides its hosts and servers."""

import http
import secrets
import string
import typing

import fixtures

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import api

if typing.TYPE_CHECKING:
    from osc_maintenance.tests.cloud import fixture

_SUFFIX = string.ascii_lowercase + string.digits


class Props(fixtures.Fixture):
    """Creates flavors, server groups and users, and deletes them."""

    def __init__(self, cloud: 'fixture.Cloud') -> None:
        super().__init__()
        self._cloud = cloud

    def _setUp(self) -> None:
        #: part of the name of each host, flavor and user
        self.name = ''.join(secrets.choice(_SUFFIX) for _ in range(6))
        #: service, path
        self._props: list[tuple[str, str]] = []
        self.addCleanup(self._delete_props)

    def _owner(self, project: str) -> api.Api:
        return self._cloud.api(
            'admin' if project == 'admin' else f'{project}-member'
        )

    def flavor(
        self,
        specs: dict[str, str] | None = None,
        vcpus: int = 1,
        memory_mb: int = 512,
    ) -> str:
        """Create a flavor.

        :param specs: its extra specs, such as `trait:CUSTOM_X` = `required`,
            `resources:VGPU` = `1`, `pci_passthrough:alias` = `gpu:1`
        :returns: its ID
        """
        flavor = f'flavor{len(self._props) + 1}-{self.name}'
        fields = {'id': flavor, 'vcpus': vcpus, 'ram': memory_mb, 'disk': 1}
        admin = self._cloud.api()
        admin.post(
            'compute', '/flavors', {'flavor': {'name': flavor} | fields}
        )
        self._props.append(('compute', f'/flavors/{flavor}'))
        if specs:
            path = f'/flavors/{flavor}/os-extra_specs'
            admin.post('compute', path, {'extra_specs': specs})
        return flavor

    def group(
        self,
        name: str,
        policy: str,
        project: str = 'alpha',
        rules: dict[str, int] | None = None,
    ) -> str:
        """Create a server group of a project.

        :param policy: affinity, anti-affinity, soft-affinity or
            soft-anti-affinity
        :returns: its ID
        """
        group: api.Json = {'name': name, 'policy': policy}
        if rules:
            group['rules'] = rules
        made: str = self._owner(project).post(
            'compute', '/os-server-groups', {'server_group': group}
        )['server_group']['id']
        self._props.append(('compute', f'/os-server-groups/{made}'))
        return made

    def user(self, token_seconds: int) -> accounts.Account:
        """Create an administrator whose tokens live so long."""
        admin = self._cloud.api()
        name = f'user{len(self._props) + 1}-{self.name}'
        user = {
            'name': name,
            'password': accounts.PASSWORD,
            'domain_id': 'default',
            'token_seconds': token_seconds,
        }
        made = admin.post('identity', '/users', {'user': user})['user']['id']
        self._props.append(('identity', f'/users/{made}'))
        account = accounts.Account(name, 'admin', ('admin',))
        found = {
            kind: admin.get('identity', f'/{kind}s?name=admin')[f'{kind}s']
            for kind in ('project', 'role')
        }
        admin.put(
            'identity',
            f'/projects/{found["project"][0]["id"]}/users/{made}'
            f'/roles/{found["role"][0]["id"]}',
        )
        return account

    def _delete_props(self) -> None:
        for service, path in self._props:
            try:
                self._cloud.api().delete(service, path)
            except api.ApiError as exc:
                # The test may have deleted it.
                if exc.status != http.HTTPStatus.NOT_FOUND:
                    raise
