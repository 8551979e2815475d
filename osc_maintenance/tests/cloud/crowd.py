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

"""A cloud with more hosts and servers than could ever be started here.

They are rows in the databases, copied from those of a real server and of a
host in maintenance; the hosts are the phantoms of the test controls. Nova and
Placement list them as they list any other. Nothing can be done to such a
server.
"""

import collections.abc
import contextlib
import pathlib
import sqlite3
import typing
import uuid

Row = dict[str, typing.Any]

_DATABASES = ('nova_cell1', 'nova_api', 'placement')
_BUSY_SECONDS = 60.0
#: What Nova's cell knows of a server in other tables than ``instances``.
_OF_A_SERVER = (
    'block_device_mapping',
    'instance_extra',
    'instance_info_caches',
    'instance_metadata',
    'instance_system_metadata',
)


class Crowd:
    """Fills the databases of a running cloud.

    :param data: the directory with its databases.
    """

    def __init__(self, data: pathlib.Path) -> None:
        self._data = data

    def give_room(
        self, like: str, hosts: collections.abc.Sequence[str]
    ) -> None:
        """Give phantoms the inventory of a real host, and its traits."""
        with self._open() as (_cell, _api, placement):
            pattern = _id_of_provider(placement, like)
            for host in hosts:
                provider = _id_of_provider(placement, host)
                for table in ('inventories', 'resource_provider_traits'):
                    where = ('resource_provider_id', pattern)
                    _copy(
                        placement,
                        table,
                        where,
                        [{'resource_provider_id': provider}],
                    )

    def servers(
        self, like: str, hosts: collections.abc.Sequence[str], each: int
    ) -> None:
        """Put servers on hosts.

        :param like: the UUID of the server that they are copies of.
        :param hosts: the hosts.
        :param each: how many there are to be on each.
        """
        with self._open() as (cell, api, placement):
            nodes = {
                host: (node, name)
                for host, node, name in cell.execute(
                    'SELECT host, id, hypervisor_hostname FROM compute_nodes '
                    'WHERE deleted = 0'
                )
            }
            made = [
                (str(uuid.uuid4()), host, f'{host}-{number}')
                for host in hosts
                for number in range(each)
            ]
            _copy(
                cell,
                'instances',
                ('uuid', like),
                [
                    {
                        'uuid': server,
                        'host': host,
                        'launched_on': host,
                        'node': nodes[host][1],
                        'compute_id': nodes[host][0],
                        'display_name': name,
                        'hostname': name,
                    }
                    for server, host, name in made
                ],
            )
            for table in _OF_A_SERVER:
                more = table == 'block_device_mapping'
                _copy(
                    cell,
                    table,
                    ('instance_uuid', like),
                    [
                        {'instance_uuid': server}
                        | ({'uuid': str(uuid.uuid4())} if more else {})
                        for server, _host, _name in made
                    ],
                )
            of_server = [{'instance_uuid': server} for server, *_ in made]
            where = ('instance_uuid', like)
            _copy(api, 'instance_mappings', where, of_server)
            provider = {
                host: _id_of_provider(placement, nodes[host][1])
                for host in hosts
            }
            _copy(
                placement,
                'consumers',
                ('uuid', like),
                [{'uuid': server} for server, *_ in made],
            )
            _copy(
                placement,
                'allocations',
                ('consumer_id', like),
                [
                    {
                        'consumer_id': server,
                        'resource_provider_id': provider[host],
                    }
                    for server, host, _name in made
                ],
            )

    def maintenance(
        self,
        metadata: collections.abc.Mapping[str, str],
        disabled_reason: str | None,
        hosts: collections.abc.Sequence[str],
    ) -> None:
        """Put phantoms into maintenance.

        :param metadata: that of the aggregate of a host in maintenance.
        :param disabled_reason: that of its service; None if it is not
            disabled.
        :param hosts: the hosts.
        """
        with self._open() as (cell, api, _placement):
            for host in hosts:
                made = api.execute(
                    'INSERT INTO aggregates (created_at, uuid, name) '
                    'VALUES (CURRENT_TIMESTAMP, ?, ?)',
                    (str(uuid.uuid4()), f'maintenance:{host}'),
                ).lastrowid
                api.execute(
                    'INSERT INTO aggregate_hosts '
                    '(created_at, aggregate_id, host) '
                    'VALUES (CURRENT_TIMESTAMP, ?, ?)',
                    (made, host),
                )
                api.executemany(
                    'INSERT INTO aggregate_metadata '
                    '(created_at, aggregate_id, key, value) '
                    'VALUES (CURRENT_TIMESTAMP, ?, ?, ?)',
                    [(made, key, value) for key, value in metadata.items()],
                )
                if disabled_reason is not None:
                    cell.execute(
                        'UPDATE services SET disabled = 1, disabled_reason = ?'
                        ' WHERE host = ? AND deleted = 0',
                        (disabled_reason, host),
                    )

    @contextlib.contextmanager
    def _open(self) -> collections.abc.Iterator[list[sqlite3.Connection]]:
        """The databases, in a transaction each."""
        with contextlib.ExitStack() as stack:
            opened = []
            for name in _DATABASES:
                database = sqlite3.connect(
                    self._data / f'{name}.sqlite',
                    timeout=_BUSY_SECONDS,
                    isolation_level=None,
                )
                stack.enter_context(contextlib.closing(database))
                # the cloud writes meanwhile
                database.execute('BEGIN IMMEDIATE')
                opened.append(database)
            yield opened
            for database in opened:
                database.commit()


def _id_of_provider(placement: sqlite3.Connection, name: str) -> int:
    found: tuple[int] = placement.execute(
        'SELECT id FROM resource_providers WHERE name = ?', (name,)
    ).fetchone()
    return found[0]


def _copy(
    database: sqlite3.Connection,
    table: str,
    where: tuple[str, object],
    changes: collections.abc.Sequence[Row],
) -> None:
    """Copy the rows of one owner, once for each that is to have the like."""
    column, value = where
    cursor = database.execute(
        f'SELECT * FROM {table} WHERE {column} = ?', (value,)
    )
    columns = [column[0] for column in cursor.description]
    rows = [dict(zip(columns, row, strict=True)) for row in cursor]
    # the database numbers the rows itself
    columns = [column for column in columns if column != 'id']
    names = ', '.join(f'"{column}"' for column in columns)
    places = ', '.join('?' * len(columns))
    database.executemany(
        f'INSERT INTO {table} ({names}) VALUES ({places})',
        (
            [{**row, **changed}[column] for column in columns]
            for changed in changes
            for row in rows
        ),
    )
