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

"""Servers by their ids, wherever they are, with all their migrations."""

import collections.abc
import typing

from osc_lib import exceptions

from osc_maintenance import gaps
from osc_maintenance.nova import api
from osc_maintenance import parallel
from osc_maintenance import servers

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_

#: A server, or None if it was deleted, and its migrations.
Known = tuple[servers.Server | None, tuple[servers.Migration, ...]]


def known(
    clients: 'clients_.Clients', ids: collections.abc.Sequence[str]
) -> dict[str, Known]:
    """Servers as they are now.

    :param clients: Nova.
    :param ids: their ids.
    :returns: the servers, by their ids.
    :raises TransientError: if Nova does not answer.
    """
    ask = clients.servers.server
    found = parallel.each(ask, ids)
    histories = parallel.each(lambda server: of(clients, server), ids)
    told = dict(zip(ids, zip(found, histories, strict=True), strict=True))
    # a move may have begun between the two looks
    doubtful = [
        id_
        for id_, (server, history) in told.items()
        if server
        and server.task_state is None
        and any(item.in_progress for item in history)
    ]
    again = parallel.each(ask, doubtful)
    for id_, server in zip(doubtful, again, strict=True):
        told[id_] = server, told[id_][1]
    return told


def all_known(
    clients: 'clients_.Clients',
    host: str,
    ids: collections.abc.Sequence[str],
) -> dict[str, Known]:
    """The same, once Nova tells the moves of all of them.

    :param clients: Nova.
    :param host: the name of the host that they were moved from.
    :param ids: their ids.
    :returns: as :func:`known`.
    :raises CommandError: if Nova goes on leaving something out.
    """

    def look() -> dict[str, Known]:
        found = known(clients, ids)
        told = [item for _server, past in found.values() for item in past]
        gaps.check_moves(clients.servers, host, ids, told)
        return found

    try:
        return api.patiently(look)
    except api.TransientError as exc:
        raise exceptions.CommandError(
            f'{exc}: run it again, or leave --return-servers out'
        ) from exc


def of(
    clients: 'clients_.Clients', server: str
) -> tuple[servers.Migration, ...]:
    """All migrations of a server that Nova remembers.

    :param clients: Nova.
    :param server: its id.
    """
    return clients.servers.migrations(server=server)
