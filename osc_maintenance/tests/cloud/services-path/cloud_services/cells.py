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

import collections.abc
import contextlib
import json
import pathlib
import uuid

from nova.compute import api
from nova import context as nova_context
from nova import objects

from cloud_services import heartbeat
from cloud_services import sqlite_threads

_CELL, _API = 'nova_cell1.sqlite', 'nova_api.sqlite'
#: what the database of a cell knows about a host
_ROWS = (
    ('services', 'host = :host'),
    ('compute_nodes', 'host = :host'),
    ('instances', 'host = :host'),
    ('migrations', ':host IN (source_compute, dest_compute)'),
)


class Cells:
    """Has the cells of hosts go down, and come back.

    :param directory: where the databases are.
    """

    def __init__(
        self, directory: pathlib.Path, beat: heartbeat.Heartbeat
    ) -> None:
        self._directory = directory
        self._beat = beat
        #: by host: the cell that is down, and the number of the usual one
        self._lost: dict[str, tuple[objects.CellMapping, int]] = {}

    def lose(self, host: str) -> None:
        """Have a host and its servers in a cell of their own that is down.

        :raises LookupError: there is no such host.
        """
        with self._writing(_API) as database:
            found = database.execute(
                'SELECT cell_id FROM host_mappings WHERE host = ?', (host,)
            ).fetchone()
        if found is None:
            raise LookupError(f'there is no host {host}')
        # a database without tables answers at once that it is none
        path = self._directory / f'lost-{uuid.uuid4()}.sqlite'
        cell = objects.CellMapping(
            nova_context.get_admin_context(),
            uuid=str(uuid.uuid4()),
            name=host,
            transport_url='fake:/',
            database_connection=f'sqlite:///{path}',
            disabled=False,
        )
        cell.create()
        self._lost[host] = cell, found[0]
        # what only a cell knows is not to come from the usual one
        self._move(host, cell.id, 'deleted = 0', 'deleted = -id')
        _look_again()

    def find(self, host: str) -> None:
        """Have a host in the usual cell again, unless it is."""
        if host not in self._lost:
            return
        cell, usual = self._lost.pop(host)
        self._move(host, usual, 'deleted = -id', 'deleted = 0')
        cell.destroy()
        self._beat.start(host)
        _look_again()

    def _move(self, host: str, cell: int, before: str, after: str) -> None:
        """Say which cell a host and its servers are in.

        :param before: how the rows about it are marked in the usual cell.
        :param after: how they are from now on.
        """
        with self._writing(_CELL) as database:
            servers = database.execute(
                f'SELECT uuid FROM instances WHERE host = ? AND {before}',
                (host,),
            ).fetchall()
            for table, its in _ROWS:
                database.execute(
                    f'UPDATE {table} SET {after} WHERE {before} AND {its}',
                    {'host': host},
                )
        with self._writing(_API) as database:
            database.execute(
                'UPDATE host_mappings SET cell_id = ? WHERE host = ?',
                (cell, host),
            )
            database.execute(
                'UPDATE instance_mappings SET cell_id = ? WHERE instance_uuid '
                'IN (SELECT value FROM json_each(?))',
                (cell, json.dumps([number for (number,) in servers])),
            )

    @contextlib.contextmanager
    def _writing(
        self, name: str
    ) -> collections.abc.Iterator[sqlite_threads.Connection]:
        path = self._directory / name
        with contextlib.closing(sqlite_threads.connect(str(path))) as database:
            database.begin()
            yield database
            database.commit()


def _look_again() -> None:
    """Nova reads once which cells there are, and again for its own API."""
    nova_context.CELLS = api.CELLS = []
