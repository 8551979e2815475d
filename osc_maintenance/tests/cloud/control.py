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

"""The test controls of a running cloud, from the outside."""

import collections.abc
import typing

from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import errors


class Machine(typing.TypedDict, total=False):
    """What a host is made of, where it is not as any other.

    See `machines` of the services.
    """

    vcpus: int
    memory_mb: int
    live_migrations: int
    vgpus: int
    gpus: int
    tpm: bool
    ironic: bool
    traits: list[str]


class Control:
    """What tests can do to a cloud that no API can.

    The other side is `control` of the services.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def _call(self, method: str, path: str, body: api.Json = None) -> api.Json:
        try:
            answer, _ = api.call(method, self._url + path, body)
        except api.ApiError as exc:
            raise errors.CloudError(exc.body['error']) from exc
        return answer

    def status(self) -> dict[str, typing.Any]:
        """Hosts that run, number of phantoms, behaviours."""
        status: dict[str, typing.Any] = self._call('GET', '/status')
        return status

    def add_hosts(
        self,
        hosts: collections.abc.Sequence[str],
        scene: str | None = None,
        machine: Machine | None = None,
    ) -> None:
        """Start new hosts.

        :param scene: servers move between hosts of the same scene only
        """
        body = {'hosts': [*hosts], 'scene': scene, 'machine': machine or {}}
        self._call('POST', '/hosts', body)

    def host_down(self, host: str) -> None:
        """Cut a host's power; Nova sees at once that it is down."""
        self._call('POST', f'/hosts/{host}/down')

    def host_up(self, host: str) -> None:
        """Start a host again; its guests are still there."""
        self._call('POST', f'/hosts/{host}/up')

    def end_host(self, host: str) -> None:
        """Cut a host's power for good, and end the migrations it had."""
        self._call('DELETE', f'/hosts/{host}')

    def behave(self, server: str, told: collections.abc.Iterable[str]) -> None:
        """Tell how a server is to behave.

        :param server: its UUID, its name, its host, or `*` for all
        :param told: see `behave` of the command line
        """
        self._call('PUT', '/behaviours', {'server': server, 'told': [*told]})

    def behave_as_usual(self, server: str | None = None) -> None:
        """Forget what a server, or all of them, were told."""
        self._call('DELETE', '/behaviours', {'server': server})

    def cell_down(self, host: str) -> None:
        """Have a host, with its servers, in a cell that is down.

        All of Nova's lists are partial then, those of other tests too.
        """
        self._call('POST', f'/hosts/{host}/cell-down')

    def cell_up(self, host: str) -> None:
        """Its cell is back, with all that it knows of the host."""
        self._call('POST', f'/hosts/{host}/cell-up')

    def busy(self, aggregate: int, seconds: float) -> None:
        """Let Nova take its time with the metadata of an aggregate.

        So many seconds lie between what it removes and what it writes.
        """
        path = f'/aggregates/{aggregate}'
        self._call('PUT', path, {'seconds': seconds})

    def phantoms(self, count: int) -> list[str]:
        """Have so many hosts that are rows in the database only."""
        hosts: list[str] = self._call('POST', '/phantoms', {'count': count})[
            'hosts'
        ]
        return hosts
