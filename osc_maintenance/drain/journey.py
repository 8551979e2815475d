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

"""Servers on their way: what a look at them shows, and who looks."""

import collections.abc
import dataclasses
import typing

from osc_lib import exceptions

from osc_maintenance.drain import moves as moves_
from osc_maintenance.drain import verdict
from osc_maintenance import servers


class LostError(exceptions.CommandError):
    """Somebody else has changed what the servers are moved for."""


@dataclasses.dataclass(frozen=True)
class Look:
    """What a look at Nova shows.

    :ivar here: the servers that are where they were to leave, by id.
    :ivar migrations: the latest migration of each server that is to move or
        has moved, by server id.
    :ivar verdicts: what is to be done with each server, by id.
    :ivar groups: server groups, by server id.
    :ivar fresh: the servers were looked at, and not just their migrations.
    :ivar watched: when their migrations had been looked at, by the clock of
        the drain, if that is not when the look ended.
    :ivar listing: when listing the servers began, if that is not when the
        look did.
    :ivar arriving: ids of servers that are on their way here.
    :ivar up: nova-compute is up, where it has to be.
    """

    here: collections.abc.Mapping[str, servers.Server]
    migrations: collections.abc.Mapping[str, servers.Migration]
    verdicts: collections.abc.Mapping[str, verdict.Verdict]
    groups: collections.abc.Mapping[str, verdict.Group]
    fresh: bool = True
    watched: float | None = None
    listing: float | None = None
    arriving: frozenset[str] = frozenset()
    up: bool = True


class Journey(typing.Protocol):
    """A set of servers on their way: from a host, or back to it.

    :ivar host: the host's name.
    :ivar command: what continues it if it is interrupted.
    :ivar listed: when its servers were looked at before the first look, by the
        clock of the drain; long ago if they have not been.
    """

    host: str
    command: str
    listed: float

    def look(
        self,
        *,
        fresh: bool,
        moving: collections.abc.Set[str],
        again: bool = True,
    ) -> Look:
        """Look at Nova, with a constant number of requests.

        :param fresh: look at the servers as well as at their migrations.
        :param moving: ids of the servers in motion.
        :param again: look at the migrations; otherwise what the last look has
            shown of them is of just now.
        :raises TransientError: if Nova does not answer.
        :raises CommandError: if it refuses, or the maintenance has ended.
        """

    def check(self) -> None:
        """See whether servers are still to be moved, before some are.

        :raises TransientError: if Nova does not answer.
        :raises LostError: if somebody else has changed what they are moved
            for.
        """

    def outdated(self, moves: collections.abc.Sequence[moves_.Move]) -> bool:
        """Look once more at servers that are about to be moved, if need be.

        :param moves: their moves; they are no more than may be in motion.
        :returns: whether the last look does not hold any more.
        :raises TransientError: if Nova does not answer.
        :raises CommandError: if it refuses.
        """

    def is_down(self, host: str) -> bool:
        """Whether nova-compute on a host is down that looks do not tell of.

        :param host: the host.
        """

    def note(self, moves: collections.abc.Sequence[moves_.Move]) -> None:
        """Note which servers are going to be moved, before they are."""

    def target(self, move: moves_.Move) -> str | None:
        """The host that a server has to go to, or None for any."""

    def is_ours(self, migration: servers.Migration) -> bool:
        """Whether this maintenance has asked for a migration."""
