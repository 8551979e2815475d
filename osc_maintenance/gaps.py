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

"""What Nova leaves out of a list, as a cell does not tell it in time.

Nova says nothing of that. What is missing would be taken for gone, or for
never having been there.
"""

import collections.abc
import typing

from osc_maintenance.nova import api
from osc_maintenance.nova import servers as servers_api
from osc_maintenance import parallel
from osc_maintenance import servers as servers_
from osc_maintenance import text

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_


def unlisted(
    clients: 'clients_.Clients',
    host: str,
    missed: collections.abc.Iterable[str],
) -> list[servers_.Server]:
    """Servers that Nova does not list on a host, and that may be there.

    :param clients: Nova.
    :param host: the host's name.
    :param missed: the ids of the servers.
    :returns: those that there are.
    :raises TransientError: if one of them is on the host.
    """
    found = parallel.each(clients.servers.server, sorted(missed))
    there = [server for server in found if server]
    for server in there:
        # one that is building may have been taken up just now
        just_now = server.deleted or server.vm_state == 'building'
        if server.host == host and not just_now:
            raise left_out(server)
    return there


def left_out(server: servers_.Server) -> api.TransientError:
    """The error where Nova does not list a server on its host.

    :param server: the server.
    """
    return api.TransientError(
        f'Nova leaves servers of {text.escape(server.host)} out of its list, '
        f'{text.escape(server.name)} ({server.id}) for one: its cell may not '
        'answer in time, or it has just come'
    )


def check_moves(
    servers: servers_api.Servers,
    host: str,
    noted: collections.abc.Iterable[str],
    migrations: collections.abc.Iterable[servers_.Migration],
) -> None:
    """See that Nova has told the moves of servers that were to be moved.

    One that was noted and never asked for has none, nor has one that was
    deleted; but of one that has moved there is an action, which Nova reads in
    the cell of its server alone.

    :param servers: the servers of Nova.
    :param host: the host that they were to leave.
    :param noted: their ids.
    :param migrations: what Nova has told.
    :raises TransientError: if it has told none of a server that has moved.
    """
    told = {item.server for item in migrations}

    def look(server: str) -> None:
        found = servers.server(server)
        if found is None or found.deleted or not _has_moved(found, host):
            return
        # what has been shelved has left without a migration; of one that is
        # not ours to see that is not told
        if not found.foreign and servers.moved_by(server) is None:
            return
        history = servers.migrations(server=server)
        if not history or any(item.source == host for item in history):
            raise api.TransientError(
                f'Nova leaves the migrations of server {server} out of its '
                'list: its cell may not answer in time'
            )

    parallel.each(look, sorted(set(noted) - told))


def _has_moved(server: servers_.Server, host: str) -> bool:
    """Whether a server is elsewhere, or on its way, or not confirmed."""
    at_rest = server.task_state is None and server.vm_state != 'resized'
    return server.host != host or not at_rest
