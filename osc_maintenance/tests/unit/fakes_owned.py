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

"""What is known of servers by their owners, in memory."""

import collections.abc
import dataclasses
import threading
import typing

from osc_lib import exceptions

from osc_maintenance import servers

if typing.TYPE_CHECKING:
    from osc_maintenance.tests.unit import fakes


class Owned:
    """Has the methods of Owned, about the servers of the other fake."""

    def __init__(self, servers_: 'fakes.Servers') -> None:
        self._servers = servers_
        #: what was written, as (method, server id)
        self.writes: list[tuple[str, str]] = []
        #: what is raised instead of writing to a server, by its id
        self.refusals: dict[str, Exception] = {}
        #: what is raised once it is written
        self.lost: dict[str, Exception] = {}
        self._one_by_one = threading.Lock()

    @property
    def changes(self) -> int:
        return len(self.writes)

    def all(self, *, all_projects: bool = False) -> list[servers.Server]:
        return [
            item
            for load in self._servers.loads.values()
            for item in load.servers or ()
            if all_projects or item.project != 'another'
        ]

    def find(self, name: str) -> servers.Server:
        for item in self.all():
            if name in (item.id, item.name):
                return item
        raise exceptions.CommandError(f'There is no server {name}')

    def tell(
        self,
        server: servers.Server,
        values: collections.abc.Mapping[str, str],
    ) -> dict[str, str]:
        self._write('tell', server, values, ())
        return _merged(server, values, ())

    def untell(
        self, server: servers.Server, keys: collections.abc.Iterable[str]
    ) -> bool:
        if keys := set(keys):
            self._write('untell', server, {}, keys)
        return True

    def _write(
        self,
        method: str,
        server: servers.Server,
        values: collections.abc.Mapping[str, str],
        gone: collections.abc.Collection[str],
    ) -> None:
        if server.id in self.refusals:
            raise self.refusals[server.id]
        with self._one_by_one:
            self.writes.append((method, server.id))
            for host, load in self._servers.loads.items():
                changed = tuple(
                    dataclasses.replace(item, said=_merged(item, values, gone))
                    if item.id == server.id
                    else item
                    for item in load.servers or ()
                )
                self._servers.loads[host] = dataclasses.replace(
                    load, servers=changed
                )
        if server.id in self.lost:
            raise self.lost[server.id]


def _merged(
    server: servers.Server,
    values: collections.abc.Mapping[str, str],
    gone: collections.abc.Collection[str],
) -> dict[str, str]:
    merged = {**server.said, **values}
    return {k: v for k, v in merged.items() if k not in gone}
