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

"""What a drain does with each server, and why.

One map of verdicts serves the dry run, the refusal, the run and the report.
Everything is decided from facts that were read before. Pure.
"""

import collections.abc
import dataclasses
import datetime
import enum

from osc_maintenance import owners
from osc_maintenance import policy as policy_
from osc_maintenance import servers
from osc_maintenance import text


class Action(enum.StrEnum):
    """What is done with a server."""

    LIVE_MIGRATE = 'live-migrate'
    COLD_MIGRATE = 'cold-migrate'
    #: rebuild it elsewhere: its host is down
    EVACUATE = 'evacuate'
    #: stop it where it is, until the maintenance is over
    STOP = 'stop'
    #: the policy does not want it to go
    LEAVE = 'leave'
    #: it has to go and cannot; the cause says why
    BLOCKED = 'blocked'


#: The actions that move a server, and how Nova calls such a migration.
KINDS = {
    Action.LIVE_MIGRATE: servers.LIVE_MIGRATION,
    Action.COLD_MIGRATE: servers.COLD_MIGRATION,
    Action.EVACUATE: servers.EVACUATION,
}

#: The same the other way round.
ACTIONS = {kind: action for action, kind in KINDS.items()}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is done with a server, and why.

    :ivar action: what.
    :ivar cause: why it is left or blocked, or moved that way; or None.
    :ivar passing: it is blocked by something that ends by itself.
    :ivar then: what is done with it once its owner has replied; None unless
        that is what it waits for.
    """

    action: Action
    cause: str | None = None
    passing: bool = False
    then: Action | None = None

    @property
    def moves(self) -> bool:
        """Whether the server is moved."""
        return self.action in KINDS

    @property
    def stops(self) -> bool:
        """Whether the server is stopped where it is."""
        return self.action is Action.STOP


@dataclasses.dataclass(frozen=True)
class Group:
    """The server group of a server on the host.

    :ivar id: its UUID.
    :ivar name: its name.
    :ivar policy: ``affinity``, ``anti-affinity``, or a soft one of the two.
    :ivar limit: how many members may be on one host, for anti-affinity.
    :ivar members: the ids of its servers.
    :ivar elsewhere: how many of its servers are on each other host.
    """

    id: str
    name: str
    policy: str
    limit: int = 1
    members: frozenset[str] = frozenset()
    elsewhere: collections.abc.Mapping[str, int] = dataclasses.field(
        default_factory=dict
    )

    @property
    def apart(self) -> bool:
        """Whether its servers must not meet on one host."""
        return self.policy == 'anti-affinity'

    @property
    def together(self) -> bool:
        """Whether its servers must stay on one host."""
        return self.policy == 'affinity'


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What of the cloud decides where the servers of a host can go.

    :ivar host: the host's name.
    :ivar up: its nova-compute is up.
    :ivar zones: the availability zone of each enabled host that is up, but
        for the host itself.
    :ivar groups: the server groups of the servers on the host, by their ids.
    :ivar room: the hosts on which Placement has room, or may have, by server
        id; a server that is not there is one that Placement was not asked
        about.
    :ivar images: the properties of images, by image id.
    :ivar bare_metal: the servers on the host are machines of Ironic.
    """

    host: str
    up: bool = True
    zones: collections.abc.Mapping[str, str] = dataclasses.field(
        default_factory=dict
    )
    groups: collections.abc.Mapping[str, Group] = dataclasses.field(
        default_factory=dict
    )
    room: collections.abc.Mapping[str, frozenset[str]] = dataclasses.field(
        default_factory=dict
    )
    images: collections.abc.Mapping[str, collections.abc.Mapping[str, str]] = (
        dataclasses.field(default_factory=dict)
    )
    bare_metal: bool = False

    def beside(self, earlier: 'Surroundings') -> 'Surroundings':
        """These, and where they say nothing what was known earlier.

        :param earlier: the surroundings as they were.
        """
        return dataclasses.replace(
            self,
            groups={**earlier.groups, **self.groups},
            room={**earlier.room, **self.room},
            images={
                image: properties or earlier.images.get(image, {})
                for image, properties in self.images.items()
            },
            bare_metal=self.bare_metal or earlier.bare_metal,
        )


#: What Nova can move, by vm_state.
_MOVABLE = {
    'active': Action.LIVE_MIGRATE,
    'paused': Action.LIVE_MIGRATE,
    'stopped': Action.COLD_MIGRATE,
}
#: What owners may choose instead for a server that runs.
_WISHES = {
    owners.Wish.COLD_MIGRATE: Action.COLD_MIGRATE,
    owners.Wish.STOP: Action.STOP,
}
_EVACUABLE = frozenset(('active', 'error', 'stopped'))
_DELETING = 'deleting'
_TPM_KEPT = 'hw:tpm_secret_security'
_IMAGE_TPM_KEPT = 'hw_tpm_secret_security'
_TPM_SHARED = frozenset(('deployment', 'host'))
_STUCK = {
    'error': 'is in ERROR: repair or delete it',
    'rescued': 'is rescued, and Nova moves it neither way: unrescue it',
    'suspended': 'is suspended, and Nova moves it neither way: resume it',
    'shelved': 'is shelved, and not offloaded yet: offload or unshelve it',
    'resized': (
        'waits for its resize to be confirmed or reverted: "openstack server '
        'resize confirm" or "revert"'
    ),
    'soft-delete': 'is deleted, and can still be restored',
}


def verdict(
    server: servers.Server,
    policy: policy_.Policy,
    around: Surroundings,
    now: datetime.datetime,
    *,
    evacuate: bool = False,
) -> Verdict:
    """What a drain does with a server, and why.

    :param server: a server on the host.
    :param policy: which servers have to go.
    :param around: where they can go.
    :param now: the present, in UTC.
    :param evacuate: the host is down, and its servers are rebuilt elsewhere.
    :returns: the verdict.
    """
    found = possible(server, policy, around, evacuate=evacuate)
    if evacuate or not (found.moves or found.stops):
        return found
    awaited = owners.awaited(server.said, policy.terms, now)
    if awaited is None:
        return found
    return Verdict(
        Action.BLOCKED,
        awaited.cause,
        passing=awaited.ends,
        then=found.action,
    )


def possible(
    server: servers.Server,
    policy: policy_.Policy,
    around: Surroundings,
    *,
    evacuate: bool = False,
) -> Verdict:
    """The same, whether its owner has replied or not.

    :param server: a server on the host.
    :param policy: which servers have to go.
    :param around: where they can go.
    :param evacuate: the host is down, and its servers are rebuilt elsewhere.
    :returns: the verdict.
    """
    if evacuate:
        # nothing is started again where it is lost
        terms = dataclasses.replace(policy.terms, stopped=frozenset())
        policy = dataclasses.replace(policy, terms=terms)
    if cause := policy.leaves(server):
        return Verdict(Action.LEAVE, cause)
    # what was under way on a host that is dead goes on no more
    goes_on = not evacuate or (
        server.vm_state == 'building'
        or (server.task_state or '').endswith(_DELETING)
    )
    if server.busy and goes_on:
        # nothing ends by itself on a host that is dead
        return Verdict(Action.BLOCKED, server.busy, passing=not evacuate)
    action, why = _way(server, policy, evacuate=evacuate)
    if action is None:
        cause = _STUCK.get(
            server.vm_state, f'Nova moves no server that is {server.vm_state}'
        )
        return Verdict(Action.BLOCKED, cause)
    if not evacuate and not around.up:
        return Verdict(
            Action.BLOCKED,
            f'nova-compute on {around.host} is down: bring it up, or use '
            '--evacuate if the host is fenced',
            passing=True,
        )
    if action is Action.STOP:
        return Verdict(action, why)
    unmovable, nowhere = None, None
    if around.bare_metal:
        unmovable = 'is a machine of Ironic, which Nova moves nowhere'
    elif action is Action.LIVE_MIGRATE and not policy.pinned:
        device = _device(server, around.images.get(server.image or '', {}))
        if device:
            unmovable = (
                f'{device} ties it to its host (--include-pinned tries)'
            )
    if unmovable is None:
        hosts, nowhere = _able(policy, server, around)
        unmovable = nowhere or _excluded(server, policy, around, hosts)
    if unmovable is None:
        return Verdict(action, why)
    # hosts that are down now may be up in a minute
    stops = policy.stop and not (nowhere or evacuate)
    if stops and server.vm_state == 'active':
        return Verdict(Action.STOP, f'{unmovable}; --stop-unmovable')
    return Verdict(Action.BLOCKED, unmovable)


def _way(
    server: servers.Server, policy: policy_.Policy, *, evacuate: bool
) -> tuple[Action | None, str | None]:
    """How Nova can move a server, and what its owner has to do with that."""
    if evacuate:
        known = server.vm_state in _EVACUABLE
        return (Action.EVACUATE if known else None), None
    wish = owners.wish(server.said)
    if server.vm_state == 'active' and wish in _WISHES:
        why = f'as its owner wishes (its property {owners.POLICY})'
        return _WISHES[wish], why
    vain = owners.in_vain(server.said, policy.terms)
    return _MOVABLE.get(server.vm_state), vain


def _device(
    server: servers.Server, image: collections.abc.Mapping[str, str]
) -> str | None:
    """What of its host a running server uses, if anything."""
    # the secret of an emulated TPM may be kept where other hosts find it
    shared = server.extra_specs.get(_TPM_KEPT) in _TPM_SHARED
    for key, value in server.extra_specs.items():
        if key == 'pci_passthrough:alias':
            return f'its PCI device {text.escape(value)}'
        if key == 'accel:device_profile':
            return f'its accelerator {text.escape(value)}'
        if key.startswith('resources') and key.endswith((':VGPU', ':PGPU')):
            return 'its virtual GPU'
        if key in ('hw:tpm_version', 'hw:tpm_model') and not shared:
            return 'its emulated TPM'
        if key == 'hw:mem_encryption' and value.lower() == 'true':
            return 'its encrypted memory'
    tpm = image.get('hw_tpm_version') or image.get('hw_tpm_model')
    if tpm and not (shared or image.get(_IMAGE_TPM_KEPT) in _TPM_SHARED):
        return 'its emulated TPM'
    if str(image.get('hw_mem_encryption', '')).lower() == 'true':
        return 'its encrypted memory'
    return None


def _able(
    policy: policy_.Policy, server: servers.Server, around: Surroundings
) -> tuple[set[str], str | None]:
    """The hosts that are there for a server, or why there is none."""
    hosts = set(around.zones)
    if not hosts:
        return hosts, 'there is no other host that is enabled and up'
    if policy.target:
        hosts &= {policy.target}
        if not hosts:
            return hosts, f'{policy.target} is not enabled and up'
    if server.zone:
        hosts = {host for host in hosts if around.zones[host] == server.zone}
        if not hosts:
            zone = text.escape(server.zone)
            return (
                hosts,
                f'no host of its availability zone {zone} is enabled and up',
            )
    return hosts, None


def _excluded(
    server: servers.Server,
    policy: policy_.Policy,
    around: Surroundings,
    hosts: set[str],
) -> str | None:
    """Why a server can go to none of the hosts; None if it can to one."""
    if server.id in around.room:
        hosts &= around.room[server.id]
        if not hosts:
            where = f'on {policy.target}' if policy.target else 'on any host'
            return f'Placement has no room for it {where}'
    group = around.groups.get(server.id)
    if group is None:
        return None
    name = text.escape(group.name)
    if group.apart:
        hosts = {
            host
            for host in hosts
            if group.elsewhere.get(host, 0) < group.limit
        }
        if not hosts:
            return (
                f'its anti-affinity server group {name} has members on every '
                'host that it could go to'
            )
    if group.together:
        return f'its affinity server group {name} keeps it on {around.host}'
    return None
