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

"""What a return that was broken off leaves to the next drain."""

import collections.abc
import typing

from osc_lib import exceptions

from osc_maintenance.drain import verdict
from osc_maintenance import journal
from osc_maintenance.nova import api
from osc_maintenance import parallel
from osc_maintenance import servers

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_

#: How often to confirm one that Nova does not let be confirmed yet.
_TRIES = 5
_CONFIRMED_FIRST = verdict.Verdict(
    verdict.Action.BLOCKED,
    'has come back, and is confirmed before it leaves again',
    passing=True,
)


def to_confirm(load: servers.Load, noted: journal.Journal) -> set[str]:
    """The servers that a return has cold migrated, by their ids.

    :param load: what is on the host, and on its way.
    :param noted: what was noted beside the record.
    :returns: those that wait on the host to be confirmed, or are at it.
    """
    waits = {
        server.id
        for server in load.servers or ()
        if server.vm_state == 'resized'
    }
    latest = servers.latest(load.migrations)
    return {
        item
        for item, migration in load.arriving.items()
        # that it is to be confirmed is noted before it is done; a resize on
        # the host may have come after it
        if item in waits
        and latest[item] is migration
        and not migration.unclaimed
        and noted.has_cold(migration, load.host)
    }


def confirmed_first(
    verdicts: collections.abc.Mapping[str, verdict.Verdict],
    confirming: collections.abc.Container[str],
) -> dict[str, verdict.Verdict]:
    """The verdicts, where some servers are confirmed first.

    :param verdicts: what is to be done with each server, by its id.
    :param confirming: the ids of those.
    :returns: the verdicts on all.
    """
    blocked = verdict.Action.BLOCKED
    return {
        server: _CONFIRMED_FIRST
        if server in confirming and found.action is blocked
        else found
        for server, found in verdicts.items()
    }


class Returned:
    """Confirms what a return has cold migrated to the host.

    Nobody else would, and until then such a server cannot leave again.

    :param clients: Nova.
    :param noted: which servers were to come back.
    :ivar confirming: the ids of those that wait to be confirmed.
    """

    def __init__(
        self,
        clients: 'clients_.Clients',
        noted: journal.Journal,
    ) -> None:
        self.confirming: frozenset[str] = frozenset()
        self._clients = clients
        self._noted = noted
        self._unseen = set(noted.returns)
        self._tries: dict[str, int] = {}

    def expected(self, load: servers.Load) -> frozenset[str]:
        """Confirm those that are here, and look for the others.

        :param load: what is on the host, and on its way.
        :returns: the ids of those that will have to leave the host again.
        :raises TransientError: if Nova does not answer.
        """
        here = {server.id: server for server in load.servers or ()}
        self.confirming = frozenset(
            item
            for item in to_confirm(load, self._noted)
            if not load.arriving[item].unconfirmed or self._confirm(here[item])
        )
        return self.confirming | self._under_way(here)

    def _confirm(self, server: servers.Server) -> bool:
        """Ask Nova to confirm one; whether it is to be waited for."""
        tries = self._tries[server.id] = self._tries.get(server.id, 0) + 1
        if tries > _TRIES:
            return False
        try:
            self._clients.servers.confirm(server)
        except (api.OvertakenError, api.TransientError):
            # busy for a moment, perhaps
            pass
        except exceptions.CommandError:
            # its verdict says what to do about it
            return False
        return True

    def _under_way(self, here: collections.abc.Container[str]) -> set[str]:
        """Those that move, and are not known to come here yet."""
        asked = sorted(item for item in self._unseen if item not in here)
        found = parallel.each(self._clients.servers.server, asked)
        self._unseen = {
            server.id for server in found if server and server.moves
        }
        return set(self._unseen)
