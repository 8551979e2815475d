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

"""What Nova says of a host and its servers, however we see them."""

import collections.abc
import dataclasses
import re
import typing

from osc_maintenance import record
from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.functional import drains

_PREFIX = record.AGGREGATE_PREFIX
#: What differs from one maintenance to the next.
_OWN = frozenset(
    _PREFIX + name
    for name in ('id', 'window_start', 'window_end', 'reply_by', 'set_at')
)
#: Migrations that nothing more happens to by itself.
_AT_REST = (*drains.ENDED, 'finished')
_ID = re.compile(r'\b[0-9a-f]{8}\b')
Json = dict[str, typing.Any]


@dataclasses.dataclass(frozen=True)
class Server:
    """A server.

    :ivar moves: its migrations: id, kind and status of each.
    """

    id: str
    host: str
    status: str
    task: str | None
    metadata: dict[str, str]
    moves: tuple[tuple[int, str, str], ...]


@dataclasses.dataclass(frozen=True)
class Facts:
    """A host.

    :ivar servers: those of the scene, wherever they are, by name.
    """

    host: str
    status: str
    reason: str | None
    members: tuple[str, ...] | None
    metadata: dict[str, str]
    servers: dict[str, Server]

    @property
    def marked(self) -> bool:
        """Whether the service is disabled for a maintenance."""
        return (self.reason or '').startswith('maintenance ')

    @property
    def here(self) -> set[str]:
        """The names of the servers that are on the host."""
        return {n for n, s in self.servers.items() if s.host == self.host}

    @property
    def moving(self) -> bool:
        """Whether something is being done to a server of the scene."""
        return any(
            server.task
            or any(move[2] not in _AT_REST for move in server.moves)
            for server in self.servers.values()
        )

    def essence(self) -> Json:
        """What is to be the same whichever way it was come to."""
        kept = {
            key: '*' if key in _OWN else value
            for key, value in self.metadata.items()
            if key in record.KEYS
        }
        servers = {
            name: {
                'here': server.host == self.host,
                'status': server.status,
                'task': server.task,
                'metadata': {
                    key: '*' if key in _OWN else _ID.sub('*', value)
                    for key, value in server.metadata.items()
                },
            }
            for name, server in self.servers.items()
        }
        return {
            'service': f'{self.status} {_ID.sub("*", self.reason or "")}',
            'member': self.members and self.host in self.members,
            'record': kept,
            'servers': servers,
        }


def look(
    admin: api.Api, host: str, servers: collections.abc.Mapping[str, str]
) -> Facts:
    """Ask Nova.

    :param admin: an administrator's APIs.
    :param host: the host.
    :param servers: the ids of servers by their names.
    """
    service = operations.service_of(admin, host)
    assert service is not None
    members: tuple[str, ...] | None = None
    metadata: dict[str, str] = {}
    name = record.aggregate_name(host)
    for item in admin.get('compute', '/os-aggregates')['aggregates']:
        if item['name'] == name:
            members = tuple(item['hosts'])
            metadata = dict(item['metadata'])
    return Facts(
        host=host,
        status=service['status'],
        reason=service['disabled_reason'],
        members=members,
        metadata=metadata,
        servers={k: _server(admin, v) for k, v in servers.items()},
    )


def _server(admin: api.Api, server: str) -> Server:
    found = admin.get('compute', f'/servers/{server}')['server']
    path = f'/os-migrations?instance_uuid={server}'
    moves = admin.get('compute', path)['migrations']
    return Server(
        id=server,
        host=found['OS-EXT-SRV-ATTR:host'],
        status=found['status'],
        task=found['OS-EXT-STS:task_state'],
        metadata=found['metadata'],
        moves=tuple(
            sorted(
                (item['id'], item['migration_type'], item['status'])
                for item in moves
            )
        ),
    )


def differences(wanted: Json, found: Json, path: str = '') -> list[str]:
    """Where two of these differ, in words."""
    told = []
    for key in sorted(wanted.keys() | found.keys()):
        one, other = wanted.get(key), found.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            told += differences(one, other, f'{path}{key}.')
        elif one != other:
            told.append(f'{path}{key} is {other!r} and not {one!r}')
    return told
