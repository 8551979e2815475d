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

"""Servers that come to a host although it is in maintenance."""

import collections.abc
import typing

from osc_lib import exceptions

from osc_maintenance import compute
from osc_maintenance.drain import verdict
from osc_maintenance import facts
from osc_maintenance import gaps
from osc_maintenance.nova import api
from osc_maintenance import parallel
from osc_maintenance import placement
from osc_maintenance import policy as policy_
from osc_maintenance import servers

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_


def builds(
    clients: 'clients_.Clients',
    host: str,
    consumers: collections.abc.Iterable[str],
) -> list[servers.Server]:
    """Servers that were scheduled to a host, and not taken up by it yet.

    :param clients: Nova.
    :param host: the host's name.
    :param consumers: who has allocations there, and is not listed by Nova.
    :returns: the servers.
    :raises TransientError: if Nova's list of the servers was not complete.
    """
    found = gaps.unlisted(clients, host, consumers)
    return [
        server
        for server in found
        if server.vm_state == 'building' and not server.host
    ]


class Arrivals:
    """The servers on their way to a host that will have to leave it again.

    :param clients: Nova and Placement.
    :param policy: which servers have to go.
    """

    def __init__(
        self, clients: 'clients_.Clients', policy: policy_.Policy
    ) -> None:
        self._clients = clients
        self._policy = policy

    def expected(
        self,
        host: compute.Host,
        load: servers.Load,
        verdicts: collections.abc.Mapping[str, verdict.Verdict],
        *,
        idle: bool,
    ) -> frozenset[str]:
        """Ask for them.

        :param host: the host.
        :param load: what is on it, and moving.
        :param verdicts: what is done with the servers that are on it.
        :param idle: nothing leaves it at the moment.
        :returns: their ids.
        """
        coming = {item.server for item in load.coming} - verdicts.keys()
        # Nova forgets the migrations of a server that is deleted
        found = parallel.each(self._clients.servers.server, sorted(coming))
        builds = self._builds(host, load, verdicts) if idle else []
        return frozenset(
            server.id
            for server in (*found, *builds)
            if server and self._policy.wants(server.id, server.project)
        )

    def _builds(
        self,
        host: compute.Host,
        load: servers.Load,
        verdicts: collections.abc.Mapping[str, verdict.Verdict],
    ) -> list[servers.Server]:
        """Servers that the scheduler sent here before it was disabled.

        Until nova-compute takes them up only Placement knows of them.
        """
        try:
            nodes = facts.nodes(self._clients, host)
            held = self._clients.placement.consumers(nodes)
        except api.TransientError:
            raise
        except (placement.UnavailableError, exceptions.CommandError):
            # whether the host is emptied will not be known either
            return []
        known = verdicts.keys() | load.changing
        return builds(self._clients, load.host, held - known)
