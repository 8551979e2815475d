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

"""Nova's answers about servers, made plain types."""

import datetime
import typing

from osc_maintenance import fields
from osc_maintenance import owners
from osc_maintenance import servers
from osc_maintenance import text

#: The field that tells where a server is, to those who may know.
HOST = 'OS-EXT-SRV-ATTR:host'


class Group(typing.NamedTuple):
    """A server group.

    :ivar id: its UUID.
    :ivar name: its name.
    :ivar policy: ``affinity``, ``anti-affinity``, or a soft one of the two.
    :ivar limit: how many members may be on one host, for anti-affinity.
    :ivar members: the ids of its servers.
    """

    id: str
    name: str
    policy: str
    limit: int
    members: tuple[str, ...]


class Node(typing.NamedTuple):
    """A compute node.

    :ivar host: the host of its nova-compute.
    :ivar kind: its hypervisor_type, in lower case.
    """

    host: str
    kind: str

    @property
    def bare_metal(self) -> bool:
        """Whether its one server is all of it."""
        return self.kind == 'ironic'


class Figures(typing.NamedTuple):
    """How far a live migration has come, in bytes."""

    remaining: int
    total: int


def server(item: object) -> servers.Server:
    """A server from the JSON of GET /servers/detail or /servers/{id}."""
    # a server in a cell that is down has few fields (2.69)
    flavor = fields.maybe(item, 'flavor', dict) or {}
    image = _of(item, 'image', 'id')
    return servers.Server(
        id=fields.identity(item),
        name=fields.maybe(item, 'name', str) or '',
        project=text.escape(fields.maybe(item, 'tenant_id', str) or ''),
        status=fields.needed(item, 'status', str),
        vm_state=fields.maybe(item, 'OS-EXT-STS:vm_state', str) or '',
        power_state=fields.maybe(item, 'OS-EXT-STS:power_state', int) or 0,
        task_state=fields.maybe(item, 'OS-EXT-STS:task_state', str),
        host=fields.maybe(item, HOST, str) or '',
        locked=fields.maybe(item, 'locked', bool) or False,
        locked_reason=fields.maybe(item, 'locked_reason', str),
        ram=fields.maybe(flavor, 'ram', int) or 0,
        disk=(fields.maybe(flavor, 'disk', int) or 0)
        + (fields.maybe(flavor, 'ephemeral', int) or 0),
        extra_specs=fields.texts(flavor, 'extra_specs'),
        specs_told=not flavor or 'extra_specs' in flavor,
        image=fields.checked_identity(image, 'its image') if image else None,
        zone=fields.maybe(item, 'pinned_availability_zone', str),
        fault=_of(item, 'fault', 'message'),
        progress=fields.maybe(item, 'progress', int),
        said={
            key: value
            for key, value in fields.texts(item, 'metadata').items()
            if key.startswith(owners.PREFIX)
        },
    )


def _of(item: object, key: str, inner: str) -> str | None:
    """A text in an object; of a server without one, Nova writes ''."""
    found = isinstance(item, dict) and item.get(key)
    return fields.maybe(found, inner, str) if found else None


def migration(item: object) -> servers.Migration:
    """A migration from the JSON of GET /os-migrations."""
    return servers.Migration(
        id=fields.needed(item, 'id', int),
        server=fields.identity(item, 'instance_uuid'),
        kind=fields.maybe(item, 'migration_type', str) or '',
        status=fields.maybe(item, 'status', str) or '',
        source=fields.maybe(item, 'source_compute', str),
        dest=fields.maybe(item, 'dest_compute', str),
        created=_moment(fields.maybe(item, 'created_at', str)),
        updated=_moment(fields.maybe(item, 'updated_at', str)),
        user=fields.maybe(item, 'user_id', str),
    )


def _moment(value: str | None) -> datetime.datetime | None:
    if value is None:
        return None
    moment = datetime.datetime.fromisoformat(value)
    if moment.year in (datetime.MINYEAR, datetime.MAXYEAR):
        # nothing could be added to it, or taken from it
        raise fields.FieldError(f'{value} is out of range')
    return moment.replace(tzinfo=moment.tzinfo or datetime.UTC)


def group(item: typing.Any) -> Group:
    """A server group from novaclient's."""
    told = item.to_dict()
    policies = fields.listed(told, 'policies', str) or ['']
    rules = fields.maybe(told, 'rules', dict) or {}
    return Group(
        id=fields.identity(told),
        name=fields.maybe(told, 'name', str) or '',
        policy=fields.maybe(told, 'policy', str) or policies[0],
        limit=fields.maybe(rules, 'max_server_per_host', int) or 1,
        members=tuple(
            fields.checked_identity(member, 'a member')
            for member in fields.listed(told, 'members', str)
        ),
    )


def node(item: object) -> Node:
    """A compute node from the JSON of GET /os-hypervisors/detail."""
    service = fields.needed(item, 'service', dict)
    return Node(
        host=fields.needed(service, 'host', str),
        kind=(fields.maybe(item, 'hypervisor_type', str) or '').lower(),
    )


def figures(item: object) -> Figures | None:
    """Figures from the JSON of GET /servers/{id}/migrations, if it has any."""
    total = fields.maybe(item, 'memory_total_bytes', int)
    if not total:
        return None
    return Figures(
        fields.maybe(item, 'memory_remaining_bytes', int) or 0, total
    )
