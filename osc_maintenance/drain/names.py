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

"""Servers and projects by name, as operators type them."""

import collections.abc
import typing

from osc_maintenance import asking
from osc_maintenance import compute
from osc_maintenance import policy as policy_
from osc_maintenance import servers
from osc_maintenance import text

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_


def servers_of(
    words: collections.abc.Iterable[str],
    clients: 'clients_.Clients',
    host: compute.Host,
    load: servers.Load,
) -> frozenset[str]:
    """The ids of servers on a host.

    :param words: names or ids.
    :param clients: Nova, which is asked about servers that have left already.
    :param host: the host, which may be in maintenance.
    :param load: what is on the host.
    :returns: their ids.
    :raises RefusedError: if a server is not there and this maintenance knows
        nothing of it, or several have the name.
    """
    return frozenset(_server(word, clients, host, load) for word in words)


def _server(
    word: str,
    clients: 'clients_.Clients',
    host: compute.Host,
    load: servers.Load,
) -> str:
    found = load.servers or ()
    known = {server.id: server.name for server in found}
    if word not in known and word not in known.values():
        policy = host.known.policy if host.known else policy_.NOTHING
        left = host.journal.moves.keys() | policy.only | policy.exclude
        for server in map(clients.servers.server, sorted(left - known.keys())):
            if server:
                known[server.id] = server.name
    if word in known:
        return word
    if text.is_uuid(word):
        # an owner may give a server the ID of another one as its name
        known = {}
    ids = [server for server, name in known.items() if name == word]
    if not ids:
        raise asking.RefusedError(
            f'There is no server {text.escape(word)} on '
            f'{text.escape(load.host)}'
        )
    if len(ids) > 1:
        raise asking.RefusedError(
            f'{len(ids)} servers on {text.escape(load.host)} have the name '
            f'{text.escape(word)}: give one of their IDs: {", ".join(ids)}'
        )
    return ids[0]


def projects_of(
    words: collections.abc.Iterable[str],
    clients: 'clients_.Clients',
    load: servers.Load,
) -> frozenset[str]:
    """The ids of projects.

    :param words: names or ids.
    :param clients: Keystone, which is asked about what is no id of a project
        that has a server on the host.
    :param load: what is on the host.
    :returns: their ids.
    :raises RefusedError: if there is no such project, or several have the
        name.
    """
    known = {server.project for server in load.servers or ()}
    return frozenset(
        word if word in known else _project(word, clients) for word in words
    )


def _project(word: str, clients: 'clients_.Clients') -> str:
    found = clients.project(word)
    if not found:
        raise asking.RefusedError(f'There is no project {text.escape(word)}')
    if len(found) > 1:
        raise asking.RefusedError(
            f'{len(found)} projects have the name {text.escape(word)}: give '
            f'one of their IDs: {", ".join(sorted(found))}'
        )
    return found[0]
