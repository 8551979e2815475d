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

from osc_maintenance import journal
from osc_maintenance.nova import api
from osc_maintenance import parallel
from osc_maintenance import servers

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_

#: How often to confirm one that Nova does not let be confirmed yet.
_TRIES = 5


class Returned:
    """Confirms what a return has cold migrated to the host.

    Nobody else would, and until then such a server cannot leave again.

    :param clients: Nova.
    :param noted: the servers that were to come back, by id.
    """

    def __init__(
        self,
        clients: 'clients_.Clients',
        noted: collections.abc.Mapping[str, journal.Move],
    ) -> None:
        self._clients = clients
        self._noted = noted
        self._unseen = set(noted)
        self._tries: dict[str, int] = {}

    def expected(self, load: servers.Load) -> frozenset[str]:
        """Confirm those that are here, and look for the others.

        :param load: what is on the host, and on its way.
        :returns: the ids of those that will have to leave the host again.
        :raises TransientError: if Nova does not answer.
        """
        here = {server.id: server for server in load.servers or ()}
        return frozenset(
            {
                item
                for item, migration in load.arriving.items()
                if migration.unconfirmed
                and self._is_ours(migration)
                and item in here
                and self._confirm(here[item])
            }
            | self._under_way(here)
        )

    def _is_ours(self, migration: servers.Migration) -> bool:
        noted = self._noted.get(migration.server)
        return (
            migration.kind == servers.COLD_MIGRATION
            and noted is not None
            and noted.is_of(migration)
        )

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
