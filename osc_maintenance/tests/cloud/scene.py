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

import collections.abc
import concurrent.futures
import dataclasses
import functools
import typing

from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import control
from osc_maintenance.tests.cloud import errors
from osc_maintenance.tests.cloud import golden
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.cloud import props

#: server status -> the action that leads to it from ACTIVE
_ACTIONS: dict[str, api.Json] = {
    'SHUTOFF': {'os-stop': None},
    'PAUSED': {'pause': None},
    'SUSPENDED': {'suspend': None},
    'RESCUE': {'rescue': {}},
    'SHELVED': {'shelve': None},
    'ERROR': {'os-resetState': {'state': 'error'}},
}
#: how many servers are booted side by side
_AT_ONCE = 4
_SECONDS_FOR_MANY = 600
_ENDLESS_BOOT = 'spawn-seconds=inf'


@dataclasses.dataclass(frozen=True)
class Server:
    """A server that was booted for a test."""

    id: str
    name: str


class _How(typing.TypedDict, total=False):
    """How a server is booted, where that is not as usual."""

    flavor: str
    metadata: dict[str, str]
    network: bool
    hints: dict[str, typing.Any]
    #: the ID of a server group
    group: str


class Scene(props.Props):
    """Builds hosts and servers, and takes them away at the end.

    Nova moves the servers of a scene within it only, and puts no others
    there.
    """

    def _setUp(self) -> None:
        super()._setUp()
        self._hosts: list[str] = []
        self._servers: list[str] = []
        self._told: dict[str, list[str]] = {}
        # The last is the first to run.
        self.addCleanup(self._remove_hosts)
        self.addCleanup(self._delete_aggregates)
        self.addCleanup(self._delete_servers)
        self.addCleanup(self._start_hosts)
        self.addCleanup(self._forget_behaviours)

    # -- building ----------------------------------------------------------

    def host(
        self, name: str = 'host', **machine: typing.Unpack[control.Machine]
    ) -> str:
        """Start a compute service.

        :param machine: vcpus and memory_mb, of which Nova gives away no more
            than there is; live_migrations, how many leave it at once (else
            one, as is Nova's default); vgpus, gpus, tpm and traits, for
            flavors that ask for them; ironic, that it says to be one of its
        :returns: the host's name, made of the given one
        """
        # two of them may differ in nothing but their case
        number = sum(host.startswith(name) for host in self._hosts) + 1
        host = f'{name}{number}-{self.name}'
        self._hosts.append(host)
        self._cloud.control.add_hosts([host], self.name, machine)
        return host

    def server(
        self,
        name: str,
        on: str,
        project: str = 'alpha',
        status: str = 'ACTIVE',
        locked: str | None = None,
        **how: typing.Unpack[_How],
    ) -> Server:
        """Boot a server on a host and wait for it.

        :param project: alpha or beta, and its member is the user; or admin
        :param status: ACTIVE, SHUTOFF, PAUSED, SUSPENDED, RESCUE, SHELVED and
            still on its host, ERROR, or BUILD as if it never ended; for
            VERIFY_RESIZE see `resize`
        :param locked: its owner locks it for this reason
        :param how: flavor, metadata, hints, group; network gives it a port
        """
        if status == 'BUILD':
            server = self._create_in_build(name, on, project, how)
        else:
            server = self._create(name, on, project, how)
            self.wait_for_server(server, 'ACTIVE')
        if status not in ('ACTIVE', 'BUILD'):
            self._act(server, _ACTIONS[status])
            self.wait_for_server(server, status)
        if locked is not None:
            action = {'lock': {'locked_reason': locked}}
            self._act(server, action, self._owner(project))
        return server

    def servers(
        self,
        names: collections.abc.Iterable[str],
        on: str,
        project: str = 'alpha',
        **how: typing.Unpack[_How],
    ) -> list[Server]:
        """Boot many servers on a host, side by side, and wait for them."""
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as executor:
            made = list(
                executor.map(
                    lambda name: self._create(name, on, project, how), names
                )
            )
        for server in made:
            # To look takes of the time that booting takes.
            self.wait_for_server(server, 'ACTIVE', _SECONDS_FOR_MANY, every=1)
        return made

    def resize(
        self, server: Server, flavor: str = 'm1.small', project: str = 'alpha'
    ) -> None:
        """Let its owner resize a server: it awaits confirmation elsewhere.

        Nova takes another host of the scene.
        """
        action = {'resize': {'flavorRef': flavor}}
        self._act(server, action, self._owner(project))
        self.wait_for_server(server, 'VERIFY_RESIZE')

    def _act(
        self, server: Server, action: api.Json, who: api.Api | None = None
    ) -> None:
        path = f'/servers/{server.id}/action'
        (who or self._cloud.api()).post('compute', path, action)

    def _create(self, name: str, on: str, project: str, how: _How) -> Server:
        """Ask for a server and don't wait for it."""
        owner = self._owner(project)
        hints = {'on_host': on, **how.get('hints', {})}
        if 'group' in how:
            hints['group'] = how['group']
        created = owner.post(
            'compute',
            '/servers',
            {
                'server': {
                    'name': name,
                    'flavorRef': how.get('flavor', 'm1.tiny'),
                    'imageRef': self._image,
                    'networks': 'auto' if how.get('network') else 'none',
                    'metadata': how.get('metadata', {}),
                },
                'os:scheduler_hints': hints,
            },
        )['server']
        self._servers.append(created['id'])
        return Server(created['id'], name)

    @functools.cached_property
    def _image(self) -> str:
        path = f'/images?name={golden.IMAGE}'
        (image,) = self._cloud.api().get('image', path)['images']
        found: str = image['id']
        return found

    def _create_in_build(
        self, name: str, on: str, project: str, how: _How
    ) -> Server:
        # Its UUID is not known before it is there, and its name may be that
        # of another test's.
        before = self._told.get(on, [])
        self._tell(on, [*before, _ENDLESS_BOOT])
        server = self._create(name, on, project, how)
        self._tell(server.id, [_ENDLESS_BOOT])
        self._wait_for_task(server, 'spawning')
        self._tell(on, before)
        return server

    def _wait_for_task(self, server: Server, task: str) -> None:
        path = f'/servers/{server.id}'

        def look() -> bool:
            found = self._cloud.api().get('compute', path)['server']
            return bool(found['OS-EXT-STS:task_state'] == task)

        operations.wait_for(f'{server.name} is {task}', look)

    def wait_for_server(
        self,
        server: Server | str,
        status: str,
        seconds: float = 60,
        every: float = 0.1,
    ) -> dict[str, typing.Any]:
        """Wait until a server has a status and no task under way.

        :returns: the server, as an admin sees it
        :raises CloudError: it does not get there, or is in ERROR instead
        """
        server_id = server if isinstance(server, str) else server.id
        found: dict[str, typing.Any] = {}

        def look() -> dict[str, typing.Any] | None:
            nonlocal found
            found = self._cloud.api().get('compute', f'/servers/{server_id}')[
                'server'
            ]
            if found['OS-EXT-STS:task_state'] is None:
                if found['status'] == status:
                    return found
                if found['status'] == 'ERROR':
                    fault = found.get('fault', {}).get('message')
                    raise errors.CloudError(f'{found["name"]}: {fault}')
            return None

        try:
            return operations.wait_for(
                f'server {server_id} is {status}', look, seconds, every
            )
        except errors.CloudError as exc:
            last = ', '.join(
                f'{name.rpartition(":")[2]}: {found.get(name)}'
                for name in (
                    'status',
                    'OS-EXT-STS:task_state',
                    'OS-EXT-SRV-ATTR:host',
                )
            )
            raise errors.CloudError(f'{exc} ({last})') from exc

    # -- test controls -----------------------------------------------------

    def migration_of(
        self,
        server: Server | str,
        seconds: float | None = None,
        cold_seconds: float | None = None,
        spawn_seconds: float | None = None,
        fails: str | None = None,
        hangs: bool = False,
        abortable: bool = True,
        forceable: bool = True,
    ) -> None:
        """Tell how boots and moves of a server go, from now on.

        What Nova makes of a failure:

        =================================  =========  ======  ===========
        fails                              migration  server  where
        =================================  =========  ======  ===========
        dest-check, source-check           error      ACTIVE  source
        pre, copy                          failed     ACTIVE  source
        driver                             error      ERROR   source
        post                               error      ERROR   destination
        cold-check                         error      ACTIVE  source
        cold                               error      ERROR   source
        spawn, of a cold migration         error      ERROR   destination
        spawn, of an evacuation            failed     ERROR   source
        =================================  =========  ======  ===========

        :param server: or a host, by which all that it has a part in go so
        :param seconds: how long the copy of a live migration takes
        :param cold_seconds: how long that of a cold migration takes; if that
            is `math.inf`, until this is called again
        :param spawn_seconds: how long its guest then takes to start, or that
            of an evacuation, likewise
        :param fails: where it fails, see `behave` of the command line
        :param hangs: the copy does not end unless aborted or forced
        """
        told = [
            f'{word}={value}'
            for word, value in (
                ('seconds', seconds),
                ('cold-seconds', cold_seconds),
                ('spawn-seconds', spawn_seconds),
                ('fail', fails),
            )
            if value is not None
        ]
        for word, applies in (
            ('hang', hangs),
            ('noabort', not abortable),
            ('noforce', not forceable),
        ):
            if applies:
                told.append(word)
        self._tell(server if isinstance(server, str) else server.id, told)

    def _tell(self, server: str, told: list[str]) -> None:
        self._told[server] = told
        self._cloud.control.behave(server, told)

    def host_down(self, host: str) -> None:
        """Cut a host's power; Nova sees at once that it is down."""
        self._cloud.control.host_down(host)

    def host_up(self, host: str) -> None:
        """Start a host again; its guests are still there."""
        self._cloud.control.host_up(host)

    def remove_host(self, host: str) -> None:
        """Take a host without servers out of the cloud, as a colleague would.

        Its compute service is deleted.
        """
        operations.remove_host(self._cloud.urls, host)
        self._hosts.remove(host)

    # -- the end -----------------------------------------------------------

    def _forget_behaviours(self) -> None:
        for server in self._told:
            self._cloud.control.behave_as_usual(server)

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
