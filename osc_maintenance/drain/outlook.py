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

"""What can be done with servers, kept up to date while they are moved."""

import collections.abc
import dataclasses
import datetime
import typing

from osc_maintenance.drain import plan as plan_
from osc_maintenance.drain import surroundings
from osc_maintenance.drain import verdict
from osc_maintenance import owners
from osc_maintenance import servers as servers_

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_

#: How often to ask again where servers can go, in seconds: while one of them
#: can go nowhere, and otherwise.
_BLOCKED, _USUAL = 60.0, 300.0


class Outlook:
    """The verdicts on the servers of a host, by what is known last.

    :param clients: Nova, Placement and Glance.
    :param plan: what was to be done with them at the beginning.
    :param clock: the present in seconds, never going back.
    :param now: the present, in UTC.
    :ivar around: what of the cloud decides where they can go.
    """

    def __init__(
        self,
        clients: 'clients_.Clients',
        plan: plan_.Plan,
        clock: collections.abc.Callable[[], float],
        now: collections.abc.Callable[[], datetime.datetime],
    ) -> None:
        self.around = plan.around
        self._now = now
        self._policy = plan.policy
        self._evacuate = plan.evacuate
        self._clock = clock
        self._surveyor = surroundings.Surveyor(
            clients, plan.load.host, plan.policy.target
        )
        self._asked = self._wanted(plan.load.servers or ())
        self._asked_at = clock()

    def heed(self, terms: owners.Terms) -> None:
        """Note what of the owners' words counts now."""
        self._policy = dataclasses.replace(self._policy, terms=terms)

    def up(self, is_up: bool) -> None:
        """Note whether nova-compute of the host is up."""
        self.around = dataclasses.replace(self.around, up=is_up)

    def verdicts(
        self,
        found: collections.abc.Collection[servers_.Server],
        *,
        fresh: bool,
        moving: collections.abc.Set[str],
    ) -> dict[str, verdict.Verdict]:
        """What is done with each server.

        Where they can go is asked again: for new ones, for those that did not
        have to go before, and now and then for all. Room may have been
        made meanwhile, or hosts may have been disabled.

        :param found: the servers on the host.
        :param fresh: they were looked at just now.
        :param moving: ids of the servers in motion.
        :returns: the verdicts, by server id.
        :raises CommandError: if Nova does not answer.
        """
        judged = self._judged(found)
        blocked = any(
            item.action is verdict.Action.BLOCKED
            for server, item in judged.items()
            if server not in moving
        )
        ids = self._wanted(found)
        most = _BLOCKED if blocked else _USUAL
        old = self._clock() - self._asked_at >= most
        if not (ids - self._asked or (old and fresh and ids)):
            return judged
        around = self._surveyor.survey(
            [server for server in found if server.id in ids]
        )
        if self._surveyor.notes:
            # what could not be asked now is as it was
            around = around.beside(self.around)
        self.around = around
        self._asked = ids
        self._asked_at = self._clock()
        return self._judged(found)

    def _wanted(
        self, found: collections.abc.Iterable[servers_.Server]
    ) -> frozenset[str]:
        """The ids of those that have to go: the others are not asked for."""
        return frozenset(
            server.id
            for server in found
            if self._policy.leaves(server) is None
        )

    def _judged(
        self, found: collections.abc.Iterable[servers_.Server]
    ) -> dict[str, verdict.Verdict]:
        return {
            server.id: verdict.verdict(
                server,
                self._policy,
                self.around,
                self._now(),
                evacuate=self._evacuate,
            )
            for server in found
        }
