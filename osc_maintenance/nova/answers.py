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

import collections.abc
import datetime
import typing

from osc_maintenance import owners
from osc_maintenance import servers


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


def server(item: collections.abc.Mapping[str, typing.Any]) -> servers.Server:
    """A server from the JSON of GET /servers/detail or /servers/{id}."""
    # a server in a cell that is down has few fields (2.69)
    flavor = item.get('flavor') or {}
    image = item.get('image') or {}
    return servers.Server(
        id=item['id'],
        name=item.get('name') or '',
        project=item.get('tenant_id') or '',
        status=item['status'],
        vm_state=item.get('OS-EXT-STS:vm_state') or '',
        power_state=item.get('OS-EXT-STS:power_state') or 0,
        task_state=item.get('OS-EXT-STS:task_state'),
        host=item.get('OS-EXT-SRV-ATTR:host') or '',
        locked=bool(item.get('locked')),
        locked_reason=item.get('locked_reason'),
        ram=flavor.get('ram') or 0,
        disk=(flavor.get('disk') or 0) + (flavor.get('ephemeral') or 0),
        extra_specs=flavor.get('extra_specs') or {},
        image=image.get('id'),
        zone=item.get('pinned_availability_zone'),
        fault=(item.get('fault') or {}).get('message'),
        progress=item.get('progress'),
        said={
            key: str(value)
            for key, value in (item.get('metadata') or {}).items()
            if key.startswith(owners.PREFIX)
        },
    )


def migration(
    item: collections.abc.Mapping[str, typing.Any],
) -> servers.Migration:
    """A migration from the JSON of GET /os-migrations."""
    return servers.Migration(
        id=item['id'],
        server=item['instance_uuid'],
        kind=item.get('migration_type') or '',
        status=item.get('status') or '',
        source=item.get('source_compute'),
        dest=item.get('dest_compute'),
        created=_moment(item.get('created_at')),
        updated=_moment(item.get('updated_at')),
        user=item.get('user_id'),
    )


def _moment(value: str | None) -> datetime.datetime | None:
    if value is None:
        return None
    moment = datetime.datetime.fromisoformat(value)
    return moment.replace(tzinfo=moment.tzinfo or datetime.UTC)


def group(item: typing.Any) -> Group:
    """A server group from novaclient's."""
    told = item.to_dict()
    policies = told.get('policies') or ['']
    return Group(
        id=told['id'],
        name=told.get('name') or '',
        policy=told.get('policy') or policies[0],
        limit=(told.get('rules') or {}).get('max_server_per_host') or 1,
        members=tuple(told.get('members') or ()),
    )
