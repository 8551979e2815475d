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

"""Hosts and servers that belong to one test."""

import dataclasses
import secrets
import string
import typing

import fixtures

from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import errors
from osc_maintenance.tests.cloud import golden
from osc_maintenance.tests.cloud import operations

if typing.TYPE_CHECKING:
    from osc_maintenance.tests.cloud import fixture

#: server status -> the action that leads to it from ACTIVE
_ACTIONS: dict[str, api.Json] = {
    'SHUTOFF': {'os-stop': None},
    'PAUSED': {'pause': None},
    'SUSPENDED': {'suspend': None},
    'ERROR': {'os-resetState': {'state': 'error'}},
}
_SUFFIX = string.ascii_lowercase + string.digits


@dataclasses.dataclass(frozen=True)
class Server:
    """A server that was booted for a test."""

    id: str
    name: str


class Scene(fixtures.Fixture):
    """Builds hosts and servers, and takes them away at the end.

    Nova moves the servers of a scene within it only, and puts no others
    there.
    """

    def __init__(self, cloud: 'fixture.Cloud') -> None:
        super().__init__()
        self._cloud = cloud

    def _setUp(self) -> None:
        #: part of the name of each host
        self.name = ''.join(secrets.choice(_SUFFIX) for _ in range(6))
        self._hosts: list[str] = []
        self._servers: list[str] = []
        self._told: set[str] = set()
        # The last is the first to run.
        self.addCleanup(self._remove_hosts)
        self.addCleanup(self._delete_aggregates)
        self.addCleanup(self._delete_servers)
        self.addCleanup(self._start_hosts)
        self.addCleanup(self._forget_behaviours)

    # -- building ----------------------------------------------------------

    def host(self, name: str = 'host') -> str:
        """Start a compute service.

        :returns: the host's name, made of the given one
        """
        host = f'{name}{len(self._hosts) + 1}-{self.name}'
        self._hosts.append(host)
        self._cloud.control.add_hosts([host], scene=self.name)
        return host

    def server(
        self,
        name: str,
        on: str,
        project: str = 'alpha',
        status: str = 'ACTIVE',
        flavor: str = 'm1.tiny',
        metadata: dict[str, str] | None = None,
        network: bool = False,
    ) -> Server:
        """Boot a server on a host and wait for it.

        :param project: alpha or beta, and its member is the user; or admin
        :param status: ACTIVE, SHUTOFF, PAUSED, SUSPENDED or ERROR
        :param network: give it a port
        """
        owner = self._cloud.api(
            'admin' if project == 'admin' else f'{project}-member'
        )
        (image,) = owner.get('image', f'/images?name={golden.IMAGE}')['images']
        created = owner.post(
            'compute',
            '/servers',
            {
                'server': {
                    'name': name,
                    'flavorRef': flavor,
                    'imageRef': image['id'],
                    'networks': 'auto' if network else 'none',
                    'metadata': metadata or {},
                },
                'os:scheduler_hints': {'on_host': on},
            },
        )['server']
        self._servers.append(created['id'])
        self.wait_for_server(created['id'], 'ACTIVE')
        if status != 'ACTIVE':
            self._cloud.api().post(
                'compute', f'/servers/{created["id"]}/action', _ACTIONS[status]
            )
            self.wait_for_server(created['id'], status)
        return Server(created['id'], name)

    def wait_for_server(
        self, server: Server | str, status: str, seconds: float = 60
    ) -> dict[str, typing.Any]:
        """Wait until a server has a status and no task under way.

        :returns: the server, as an admin sees it
        :raises CloudError: it does not get there, or is in ERROR instead
        """
        server_id = server if isinstance(server, str) else server.id

        def look() -> dict[str, typing.Any] | None:
            found: dict[str, typing.Any] = self._cloud.api().get(
                'compute', f'/servers/{server_id}'
            )['server']
            if found['OS-EXT-STS:task_state'] is None:
                if found['status'] == status:
                    return found
                if found['status'] == 'ERROR':
                    fault = found.get('fault', {}).get('message')
                    raise errors.CloudError(f'{found["name"]}: {fault}')
            return None

        return operations.wait_for(
            f'server {server_id} is {status}', look, seconds
        )

    # -- test controls -----------------------------------------------------

    def migration_of(
        self,
        server: Server,
        seconds: float | None = None,
        fails: str | None = None,
        hangs: bool = False,
        abortable: bool = True,
        forceable: bool = True,
    ) -> None:
        """Tell how moves of a server go, from now on.

        :param seconds: how long the copy of a live migration takes
        :param fails: where it fails, see `behave` of the command line
        :param hangs: the copy does not end unless aborted or forced
        """
        told = []
        if seconds is not None:
            told.append(f'seconds={seconds}')
        if fails is not None:
            told.append(f'fail={fails}')
        for word, applies in (
            ('hang', hangs),
            ('noabort', not abortable),
            ('noforce', not forceable),
        ):
            if applies:
                told.append(word)
        self._told.add(server.id)
        self._cloud.control.behave(server.id, told)

    def host_down(self, host: str) -> None:
        """Cut a host's power; Nova sees at once that it is down."""
        self._cloud.control.host_down(host)

    def host_up(self, host: str) -> None:
        """Start a host again; its guests are still there."""
        self._cloud.control.host_up(host)

    # -- the end -----------------------------------------------------------

    def _forget_behaviours(self) -> None:
        for server_id in self._told:
            self._cloud.control.behave_as_usual(server_id)

    def _start_hosts(self) -> None:
        # Nova cannot delete a server whose resize is unconfirmed without
        # the host that it came from.
        for host in self._hosts:
            self._cloud.control.host_up(host)

    def _delete_servers(self) -> None:
        admin = self._cloud.api()
        doomed = dict.fromkeys(self._servers)
        for host in self._hosts:
            # Also those that the test created in other ways.
            servers = admin.get(
                'compute', f'/servers?all_tenants=1&host={host}'
            )['servers']
            doomed.update(dict.fromkeys(s['id'] for s in servers))
        operations.delete_servers(admin, list(doomed))

    def _delete_aggregates(self) -> None:
        admin = self._cloud.api()
        ours = set(self._hosts)
        for aggregate in admin.get('compute', '/os-aggregates')['aggregates']:
            members = set(aggregate['hosts'])
            if not (members & ours or self.name in aggregate['name']):
                continue
            path = f'/os-aggregates/{aggregate["id"]}'
            for host in members & ours:
                action = {'remove_host': {'host': host}}
                admin.post('compute', f'{path}/action', action)
            if members <= ours:
                admin.delete('compute', path)

    def _remove_hosts(self) -> None:
        for host in self._hosts:
            operations.remove_host(self._cloud.urls, host)
