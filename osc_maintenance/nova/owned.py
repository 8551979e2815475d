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

"""Servers as their owners see them, and what these are told.

Reading takes no more than the rights of a reader; an admin writes the metadata
of other projects' servers too.
"""

import collections.abc
import typing
from urllib import parse

from novaclient import exceptions as nova_exceptions
from osc_lib import exceptions

from osc_maintenance import fields
from osc_maintenance.nova import answers
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance import text


class Owned:
    """The servers of Nova, as far as their owners are concerned.

    :param client: a novaclient client at the negotiated microversion.
    :ivar changes: how many requests have changed something.
    """

    def __init__(self, client: typing.Any) -> None:
        self._client = client
        self.changes = 0

    def all(self, *, all_projects: bool = False) -> list[servers.Server]:
        """The servers of the project, or of all.

        Rests on GET /servers/detail, paged.

        :param all_projects: those of other projects as well, for an admin.
        :returns: the servers.
        :raises CommandError: if Nova refuses, or does not answer.
        """
        query = {'all_tenants': '1'} if all_projects else {}
        with api.explained('Servers'):
            found = api.pages(
                self._client, 'servers', '/servers/detail', **query
            )
            return list(map(answers.server, found))

    def find(self, name: str) -> servers.Server:
        """A server by its name or ID.

        Rests on GET /servers/{id}, and GET /servers/detail for a name.

        :param name: its name, exactly, or its ID.
        :returns: the server.
        :raises CommandError: if there is none, or there are several.
        """
        if text.is_uuid(name):
            with api.explained(f'Server {name}'):
                try:
                    _response, body = self._client.client.get(
                        f'/servers/{name}'
                    )
                    told = body['server']
                    if told['status'] == servers.UNKNOWN:
                        raise api.DownCellError(
                            f'Server {name}: its cell is down'
                        )
                    return answers.server(told)
                except nova_exceptions.NotFound:
                    pass
        known = self.all()
        found = [item for item in known if item.name == name]
        if len(found) == 1:
            return found[0]
        shown = text.escape(name)
        if not found:
            down = sum(item.status == servers.UNKNOWN for item in known)
            raise exceptions.CommandError(
                f'There is no server {shown} among those of this project'
                + (f'; of {down} Nova tells no name, as their cell is down')
                * bool(down)
            )
        raise exceptions.CommandError(
            f'{len(found)} servers are called {shown}: give one of the IDs '
            f'{", ".join(item.id for item in found)}'
        )

    def tell(
        self,
        server: servers.Server,
        values: collections.abc.Mapping[str, str],
    ) -> dict[str, str]:
        """Write metadata of a server, and leave all else that it has.

        Rests on POST /servers/{id}/metadata.

        :param server: the server.
        :param values: values by key.
        :returns: all of its metadata then.
        :raises CommandError: if Nova refuses, or there is no such server.
        """
        with api.explained(f'{server.name} ({server.id})'):
            _response, body = self._client.client.post(
                f'/servers/{server.id}/metadata',
                body={'metadata': dict(values)},
            )
            found = fields.texts(body, 'metadata')
        self.changes += 1
        return found

    def untell(
        self, server: servers.Server, keys: collections.abc.Iterable[str]
    ) -> bool:
        """Remove metadata of a server.

        Rests on DELETE /servers/{id}/metadata/{key}, one request for each.

        :param server: the server.
        :param keys: the keys.
        :returns: False if Nova has not found some of it, or the server.
        :raises CommandError: if Nova refuses.
        """
        found = True
        with api.explained(f'{server.name} ({server.id})'):
            for key in sorted(keys):
                try:
                    self._client.client.delete(
                        f'/servers/{server.id}/metadata/{parse.quote(key)}'
                    )
                except nova_exceptions.NotFound:
                    found = False
                    continue
                self.changes += 1
        return found
