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

"""Cells whose database does not answer.

Of such a cell Nova knows what its API database says, that is which hosts and
which servers are in it, and nothing more.
"""

import pathlib
import uuid

from nova.compute import api
from nova import context as nova_context
from nova import objects


class Cells:
    """Makes cells that are down, each with a host and a server."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        self._lost: dict[str, list[objects.base.NovaObject]] = {}

    def lose(self, host: str, server: str, project: str) -> None:
        """Have a host in a cell that is down.

        :param host: the name of a host that nobody else has.
        :param server: the UUID of a server on it.
        :param project: the id of the project that the server belongs to.
        """
        # a database without tables answers at once that it is none
        path = self._directory / f'lost-{uuid.uuid4()}.sqlite'
        context = nova_context.get_admin_context()
        cell = objects.CellMapping(
            context,
            uuid=str(uuid.uuid4()),
            name=host,
            transport_url='fake:/',
            database_connection=f'sqlite:///{path}',
            disabled=False,
        )
        cell.create()
        made = [
            objects.InstanceMapping(
                context,
                instance_uuid=server,
                project_id=project,
                user_id=project,
                cell_mapping=cell,
                queued_for_delete=False,
            ),
            objects.HostMapping(context, host=host, cell_mapping=cell),
        ]
        for mapping in made:
            mapping.create()
        self._lost[host] = [*made, cell]
        _look_again()

    def find(self, host: str) -> None:
        """Forget such a cell.

        :raises LookupError: there is none.
        """
        for mapping in self._lost.pop(host):
            mapping.destroy()
        _look_again()


def _look_again() -> None:
    """Nova reads once which cells there are, and again for its own API."""
    nova_context.CELLS = api.CELLS = []
