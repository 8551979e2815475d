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

"""Moves that have failed, and are not tried again."""

import collections
import collections.abc
import typing

from osc_lib import exceptions

from osc_maintenance.drain import verdict
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance import text

if typing.TYPE_CHECKING:
    from osc_maintenance.nova import servers as servers_api

#: How often ``apply`` tries to move a server.
_TRIES = 2
#: What Nova calls a live migration that was aborted.
ABORTED = 'cancelled'
#: What it calls a cold migration that was reverted, and never is by itself.
_REVERTED = 'reverted'


def undone(
    nova: 'servers_api.Servers', migration: servers.Migration
) -> str | None:
    """That somebody has aborted or reverted a migration.

    libvirt aborts one as well that takes too long for it, and that one may be
    tried again.

    :param nova: the servers of Nova.
    :param migration: one that has failed.
    :returns: the words; None if nobody has, or that is not known.
    :raises TransientError: if Nova does not answer.
    """
    if migration.status == _REVERTED:
        cold = migration.kind == servers.COLD_MIGRATION
        # who reverts a resize says nothing of where the server is to be
        return 'its cold migration was reverted by somebody' if cold else None
    if migration.status != ABORTED:
        return None
    try:
        user = nova.aborted_by(migration.server)
    except api.TransientError:
        raise
    except exceptions.CommandError:
        # not ours to read, perhaps
        return None
    if user is None:
        return None
    return f'its live migration was aborted by user {text.escape(user)}'


class Failures:
    """Counts what has failed, as nothing is remembered from run to run.

    :param nova: the servers of Nova.
    """

    def __init__(self, nova: 'servers_api.Servers') -> None:
        self._servers = nova
        self._whys: dict[str, str] = {}
        self._undone: dict[int, str | None] = {}

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
        failed = [
            migration
            for migration in load.migrations
            if migration.failed and is_ours(migration)
        ]
        counts = collections.Counter(item.server for item in failed)
        given_up = {}
        for server, latest in servers.latest(failed).items():
            found, count = verdicts.get(server), counts[server]
            if not found or not found.moves:
                continue
            if words := self._undone_by(latest):
                given_up[server] = verdict.Verdict(
                    verdict.Action.BLOCKED, words
                )
            if count < _TRIES or server in given_up:
                continue
            kind = verdict.KINDS[found.action]
            if server not in self._whys:
                self._whys[server] = self._why(server, kind)
            given_up[server] = verdict.Verdict(
                verdict.Action.BLOCKED,
                f'its move has failed {count} times: {self._whys[server]}',
            )
        return given_up

    def _undone_by(self, migration: servers.Migration) -> str | None:
        if migration.id not in self._undone:
            self._undone[migration.id] = undone(self._servers, migration)
        return self._undone[migration.id]

    def _why(self, server: str, kind: str) -> str:
        """Why the move of a server failed, in Nova's words."""
        try:
            why = self._servers.why(server, kind, None)
        except exceptions.CommandError as exc:
            # not ours to read, or not now
            why = str(exc)
        return why or 'Nova does not tell why'
