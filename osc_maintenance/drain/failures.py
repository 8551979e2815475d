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

"""The servers that ``apply`` has tried to move often enough."""

import collections
import collections.abc
import typing

from osc_lib import exceptions

from osc_maintenance.drain import verdict
from osc_maintenance import servers

if typing.TYPE_CHECKING:
    from osc_maintenance.nova import servers as servers_api

#: How often ``apply`` tries to move a server.
_TRIES = 2


class Failures:
    """Counts what has failed, as nothing is remembered from run to run.

    :param nova: the servers of Nova.
    """

    def __init__(self, nova: 'servers_api.Servers') -> None:
        self._servers = nova
        self._whys: dict[str, str] = {}

    def given_up(
        self,
        load: servers.Load,
        verdicts: collections.abc.Mapping[str, verdict.Verdict],
        is_ours: collections.abc.Callable[[servers.Migration], bool],
    ) -> dict[str, verdict.Verdict]:
        """The servers that are not tried again.

        :param load: what is on the host, and its migrations.
        :param verdicts: what would be done with each server, by id.
        :param is_ours: whether a migration is one of this maintenance.
        :returns: verdicts with the cause, by id.
        """
        counts: dict[str, int] = collections.Counter(
            migration.server
            for migration in load.migrations
            if migration.failed and is_ours(migration)
        )
        given_up = {}
        for server, count in counts.items():
            found = verdicts.get(server)
            if count < _TRIES or not found or not found.moves:
                continue
            kind = verdict.KINDS[found.action]
            if server not in self._whys:
                self._whys[server] = self._why(server, kind)
            given_up[server] = verdict.Verdict(
                verdict.Action.BLOCKED,
                f'its move has failed {count} times: {self._whys[server]}',
            )
        return given_up

    def _why(self, server: str, kind: str) -> str:
        """Why the move of a server failed, in Nova's words."""
        try:
            why = self._servers.why(server, kind, None)
        except exceptions.CommandError as exc:
            # not ours to read, or not now
            why = str(exc)
        return why or 'Nova does not tell why'
