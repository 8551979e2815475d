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

import collections
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
    for name in (
        *('id', 'window_start', 'window_end', 'reply_by', 'set_at'),
        *('return', 'idle_since'),
    )
)
#: Beginnings of keys of which just the first word is the same every time, and
#: of those of which nothing is.
_FIRST = tuple(_PREFIX + name for name in ('move:', 'return:'))
_NONE = tuple(_PREFIX + name for name in ('told:', 'stopped:'))
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

    @property
    def unconfirmed(self) -> set[str]:
        """The names of those that are elsewhere, and keep a disk here."""
        return {
            name
            for name, server in self.servers.items()
            if server.status == 'VERIFY_RESIZE' and server.host != self.host
        }

    @property
    def counts(self) -> dict[str, int]:
        """How many servers of each status are on the host."""
        return dict(
            collections.Counter(
                server.status
                for server in self.servers.values()
                if server.host == self.host
            )
        )

    def essence(self) -> Json:
        """What is to be the same whichever way it was come to."""
        names = {server.id: name for name, server in self.servers.items()}
        servers = {
            name: {
                'here': server.host == self.host,
                'status': server.status,
                'task': server.task,
                'metadata': {
                    key: _essence(key, value)
                    for key, value in server.metadata.items()
                },
            }
            for name, server in self.servers.items()
        }
        return {
            'service': f'{self.status} {_ID.sub("*", self.reason or "")}',
            'member': self.members and self.host in self.members,
            'record': {
                _named(key, names): _essence(key, value)
                for key, value in self.metadata.items()
                if key.startswith(_PREFIX)
            },
            'servers': servers,
        }


def _named(key: str, names: collections.abc.Mapping[str, str]) -> str:
    """A key, with a server's name for its id."""
    prefix, colon, last = key.rpartition(':')
    return f'{prefix}{colon}{names.get(last, last)}'


def _essence(key: str, value: str) -> str:
    """What of a value is the same every time."""
    if key in _OWN or key.startswith(_NONE):
        return '*'
    if key.startswith(_FIRST) and value:
        return value.split()[0]
    return _ID.sub('*', value)


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
