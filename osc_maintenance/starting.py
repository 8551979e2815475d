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

"""Starting again what a maintenance has stopped, before it ends."""

import collections.abc
import time
import typing

from osc_lib import exceptions

from osc_maintenance import change
from osc_maintenance.nova import api
from osc_maintenance import parallel
from osc_maintenance import servers
from osc_maintenance import state
from osc_maintenance import text

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_

#: How soon to look again whether a server runs, and how often, in seconds.
_AGAIN, _PATIENCE = 2.0, 120.0
_STARTING = 'powering-on'


def find(
    clients: 'clients_.Clients', host: state.Host, *, force: bool
) -> list[servers.Server]:
    """The servers that a maintenance has stopped, and that are stopped.

    :param clients: Nova.
    :param host: the host, with its record.
    :param force: the maintenance ends whether they can be started or not.
    :returns: those that can be started.
    :raises RefusedError: if they cannot, as nova-compute is down.
    :raises CommandError: if Nova does not answer.
    """
    told = parallel.each(clients.servers.server, sorted(host.journal.stopped))
    found = [
        server
        for server in told
        if server and server.vm_state == 'stopped' and server.host
    ]
    down = {
        name
        for name in {server.host for server in found}
        if not _is_up(clients, name)
    }
    stuck = [server for server in found if server.host in down]
    if stuck and not force:
        named = ', '.join(f'{text.escape(s.name)} ({s.id})' for s in stuck)
        raise change.RefusedError(
            f'nova-compute on {", ".join(sorted(down))} is down, so what this '
            f'maintenance has stopped cannot be started again: {named}: bring '
            'it up first, or leave them stopped with --force'
        )
    return [server for server in found if server.host not in down]


def _is_up(clients: 'clients_.Clients', host: str) -> bool:
    service = clients.nova.service(host)
    return service is not None and service.state == 'up'


def start(
    clients: 'clients_.Clients',
    found: collections.abc.Iterable[servers.Server],
    pause: collections.abc.Callable[[float], object] = time.sleep,
) -> list[dict[str, str | None]]:
    """Start servers, and see that they run.

    :param clients: Nova.
    :param found: the servers.
    :param pause: waits for some seconds.
    :returns: for each ``id``, ``name`` and ``cause``: why it does not run, in
        the cloud's words, or None.
    """

    def run(server: servers.Server) -> dict[str, str | None]:
        return {
            'id': server.id,
            'name': text.escape(server.name),
            'cause': _started(clients, server, pause),
        }

    return parallel.each(run, found)


def _started(
    clients: 'clients_.Clients',
    server: servers.Server,
    pause: collections.abc.Callable[[float], object],
) -> str | None:
    """Start one; why it does not run, or None."""
    try:
        try:
            api.patiently(lambda: clients.servers.start(server), pause)
        except api.OvertakenError as exc:
            now = clients.servers.server(server.id)
            if now is None or now.runs or now.task_state == _STARTING:
                return None
            return str(exc)
        for _ in range(int(_PATIENCE / _AGAIN)):
            now = api.patiently(
                lambda: clients.servers.server(server.id), pause
            )
            if now is None or now.vm_state == 'active':
                return None
            if now.task_state is None:
                return text.escape(now.fault or 'Nova does not tell why')
            pause(_AGAIN)
    except exceptions.CommandError as exc:
        return text.escape(str(exc))
    return 'Nova was asked to start it, and has not done so yet'
