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

"""What of the cloud decides where servers can go: asked, nothing changed."""

import collections
import collections.abc
import typing

from osc_lib import exceptions

from osc_maintenance import compute
from osc_maintenance.drain import verdict
from osc_maintenance.nova import api
from osc_maintenance import parallel
from osc_maintenance import placement
from osc_maintenance import servers as servers_
from osc_maintenance import text

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_
    from osc_maintenance.nova import answers

_TRAIT = 'trait:'


class Surveyor:
    """Finds out where servers of a host can go.

    What is asked depends on how many different kinds of servers there are,
    not on how many servers.

    :param clients: Nova, Placement and Glance.
    :param host: the host's name.
    :param target: the only host that servers may go to, or None.
    :ivar notes: what could not be asked, and why.
    :ivar consumers: who holds allocations on the host, as far as is known.
    """

    def __init__(
        self, clients: 'clients_.Clients', host: str, target: str | None
    ) -> None:
        self._clients = clients
        self._host = host
        self._target = target
        self.notes: list[str] = []
        self.consumers: frozenset[str] = frozenset()
        self._bare_metal = False
        #: Those of the host and the target that have no hypervisor.
        self._unlisted: set[str] = set()

    def survey(
        self, servers: collections.abc.Collection[servers_.Server]
    ) -> verdict.Surroundings:
        """Ask what decides where these servers can go.

        :param servers: servers that are on the host.
        :returns: the surroundings.
        :raises CommandError: if Nova does not answer.
        """
        self.notes, self._unlisted = [], set()
        if not all(server.specs_told for server in servers):
            self.notes.append(
                'Extra specs of flavors are not looked at: Nova does not tell '
                'this account which there are'
            )
        # nothing moves before all of it is known
        groups = parallel.start(lambda: self._groups(servers))
        room = parallel.start(lambda: self._images_and_room(servers))
        services = self._clients.nova.services()
        images, hosts = room.result()
        # a target of which there is no service is refused
        unlisted = self._unlisted.intersection(s.host for s in services)
        if unlisted:
            named = ', '.join(map(text.escape, sorted(unlisted)))
            self.notes.append(
                'Whether there is room is not known: Nova lists no hypervisor '
                f'of {named}'
            )
        return verdict.Surroundings(
            host=self._host,
            up=any(
                service.host == self._host and service.state == 'up'
                for service in services
            ),
            zones={
                service.host: service.zone
                for service in services
                if _usable(service) and service.host != self._host
            },
            groups=groups.result(),
            room=hosts,
            images=images,
            bare_metal=self._bare_metal,
        )

    def _images_and_room(
        self, servers: collections.abc.Collection[servers_.Server]
    ) -> tuple[dict[str, dict[str, str]], dict[str, frozenset[str]]]:
        images = self._images(servers)
        return images, self._room(servers, images)

    def _images(
        self, servers: collections.abc.Iterable[servers_.Server]
    ) -> dict[str, dict[str, str]]:
        known = {server.image for server in servers if server.image}
        ids = sorted(known)
        found = parallel.each(self._clients.image, ids)
        if None in found:
            self.notes.append(
                'Image properties are not looked at: Glance does not answer'
            )
        return {
            image: properties or {}
            for image, properties in zip(ids, found, strict=True)
        }

    def _groups(
        self, servers: collections.abc.Iterable[servers_.Server]
    ) -> dict[str, verdict.Group]:
        here = {server.id for server in servers}
        groups: dict[str, verdict.Group] = {}
        try:
            found = self._clients.servers.groups()
        except exceptions.CommandError as exc:
            self.notes.append(f'Server groups are not looked at: {exc}')
            return groups
        for group in found:
            members = here.intersection(group.members)
            if members:
                made = self._group(group, here)
                groups.update(dict.fromkeys(members, made))
        return groups

    def _group(self, group: 'answers.Group', here: set[str]) -> verdict.Group:
        others = [member for member in group.members if member not in here]
        found = parallel.each(self._member, others)
        elsewhere = collections.Counter(
            server.host
            for server in found
            if server and server.host not in ('', self._host)
        )
        return verdict.Group(
            id=group.id,
            name=group.name,
            policy=group.policy,
            limit=group.limit,
            members=frozenset(group.members),
            elsewhere=elsewhere,
        )

    def _member(self, server: str) -> servers_.Server | None:
        """A member of a group, as far as it matters where it is."""
        try:
            return self._clients.servers.server(server)
        except api.DownCellError:
            # on a host that no server can go to now
            return None

    def _room(
        self,
        servers: collections.abc.Collection[servers_.Server],
        images: collections.abc.Mapping[str, dict[str, str]],
    ) -> dict[str, frozenset[str]]:
        """The hosts on which Placement has room, by server id."""
        try:
            nodes = self._clients.nova.providers()
            hosts = {id_: node.host for id_, node in nodes.items()}
            mine = [id_ for id_, host in hosts.items() if host == self._host]
            self._bare_metal = any(nodes[id_].bare_metal for id_ in mine)
            named = {self._host, self._target or self._host}
            self._unlisted = named.difference(hosts.values())
            if self._unlisted:
                return {}
            held = self._clients.placement.held(mine)
            self.consumers = frozenset(held)
            root = None
            if self._target:
                root = next(
                    id_ for id_, host in hosts.items() if host == self._target
                )
            queries = {
                server.id: placement.query(
                    held[server.id],
                    *_traits(server, images.get(server.image or '', {})),
                    root,
                )
                for server in servers
                if '' in held.get(server.id, ())
            }
            asked = sorted(set(queries.values()))
            found = parallel.each(self._clients.placement.candidates, asked)
        except placement.UnavailableError as exc:
            reason = text.escape(str(exc))
            self.notes.append(f'Whether there is room is not known: {reason}')
            return {}
        except exceptions.CommandError as exc:
            self.notes.append(f'Whether there is room is not known: {exc}')
            return {}
        # where it is told of a part only it may be anywhere
        room = {
            query: frozenset(
                hosts[node]
                for node in (hosts if fitting is None else fitting)
                if node in hosts
            )
            for query, fitting in zip(asked, found, strict=True)
        }
        return {server: room[query] for server, query in queries.items()}


def _usable(service: compute.Service) -> bool:
    return service.status == 'enabled' and service.state == 'up'


def _traits(
    server: servers_.Server, image: collections.abc.Mapping[str, str]
) -> tuple[frozenset[str], frozenset[str]]:
    """The traits that a server requires of its host, and those it forbids."""
    wanted = [*server.extra_specs.items(), *image.items()]
    return (
        frozenset(
            key.removeprefix(_TRAIT)
            for key, value in wanted
            if key.startswith(_TRAIT) and value == 'required'
        ),
        frozenset(
            key.removeprefix(_TRAIT)
            for key, value in wanted
            if key.startswith(_TRAIT) and value == 'forbidden'
        ),
    )
