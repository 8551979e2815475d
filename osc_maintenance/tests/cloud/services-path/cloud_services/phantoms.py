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

"""Hosts that are rows in the databases and nothing else.

A thousand compute services would take minutes to start and gigabytes to run.
Their rows take a moment. Such a host is listed as up, can be disabled,
enabled and put into aggregates; without inventory in Placement nothing is
ever scheduled to it.
"""

import pathlib
import typing
import uuid

from nova import exception
from oslo_messaging._drivers import impl_fake

from cloud_services import heartbeat
from cloud_services import sqlite_threads

Row = dict[str, typing.Any]


class Phantoms:
    """Makes phantom hosts, after the image of a real one."""

    def __init__(
        self, directory: pathlib.Path, beat: heartbeat.Heartbeat
    ) -> None:
        self._directory = directory
        self._beat = beat
        self._names: set[str] = set()
        self._answer_for_them()

    def __len__(self) -> int:
        return len(self._names)

    def create(self, count: int) -> list[str]:
        """Make hosts phantom1, phantom2, ... until there are so many.

        :raises LookupError: there is no real host to take as the pattern
        """
        names = [
            name
            for name in (f'phantom{n}' for n in range(1, count + 1))
            if name not in self._names
        ]
        databases = {
            name: sqlite_threads.connect(str(self._directory / name))
            for name in (
                'nova_cell1.sqlite',
                'nova_api.sqlite',
                'placement.sqlite',
            )
        }
        cell, api, placement = databases.values()
        try:
            service = _pattern(
                cell, "services WHERE binary = 'nova-compute' AND deleted = 0"
            )
            node = _pattern(cell, 'compute_nodes WHERE deleted = 0')
            mapping = _pattern(api, 'host_mappings')
            provider = _pattern(placement, 'resource_providers')
            for database in databases.values():
                database.begin()
            for name in names:
                node_uuid = str(uuid.uuid4())
                _insert(
                    cell,
                    'services',
                    service,
                    host=name,
                    uuid=str(uuid.uuid4()),
                    disabled=0,
                    disabled_reason=None,
                    forced_down=0,
                )
                _insert(
                    cell,
                    'compute_nodes',
                    node,
                    host=name,
                    hypervisor_hostname=name,
                    uuid=node_uuid,
                    service_id=None,
                    vcpus_used=0,
                    memory_mb_used=0,
                    running_vms=0,
                )
                _insert(api, 'host_mappings', mapping, host=name)
                _insert(
                    placement,
                    'resource_providers',
                    provider,
                    uuid=node_uuid,
                    name=name,
                    generation=0,
                    root_provider_id=None,
                )
            placement.execute(
                'UPDATE resource_providers SET root_provider_id = id '
                'WHERE root_provider_id IS NULL'
            )
            for database in databases.values():
                database.commit()
        finally:
            for database in databases.values():
                database.close()
        self._names.update(names)
        self._beat.start(*names)
        return sorted(self._names)

    def _answer_for_them(self) -> None:
        """Answer what Nova asks a host when it is disabled or listed."""
        send = impl_fake.FakeDriver._send

        def send_unless_phantom(
            driver: object,
            target: typing.Any,
            context: object,
            message: typing.Any,
            wait_for_reply: bool | None = None,
            *args: typing.Any,
            **kwargs: typing.Any,
        ) -> object:
            if target.fanout or target.server not in self._names:
                return send(
                    driver,
                    target,
                    context,
                    message,
                    wait_for_reply,
                    *args,
                    **kwargs,
                )
            method = message.get('method')
            if method == 'get_host_uptime':
                return '10:00:00 up 1 day,  1 user,  load average: 0, 0, 0'
            if wait_for_reply and method != 'set_host_enabled':
                raise exception.MigrationPreCheckError(
                    reason=f'{target.server} is a phantom'
                )
            return None

        impl_fake.FakeDriver._send = send_unless_phantom


def _pattern(database: sqlite_threads.Connection, source: str) -> Row:
    cursor = database.execute(f'SELECT * FROM {source} LIMIT 1')
    values = cursor.fetchone()
    if values is None:
        raise LookupError('phantoms are made after a real host: add one')
    columns = [column[0] for column in cursor.description]
    return dict(zip(columns, values, strict=True))


def _insert(
    database: sqlite_threads.Connection,
    table: str,
    pattern: Row,
    **changed: object,
) -> None:
    row = {**pattern, **changed}
    # The database numbers the rows itself.
    del row['id']
    columns = ', '.join(f'"{column}"' for column in row)
    places = ', '.join('?' * len(row))
    database.execute(
        f'INSERT INTO {table} ({columns}) VALUES ({places})',
        tuple(row.values()),
    )
