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

"""Which servers a maintenance wants off its host. Pure."""

import collections.abc
import dataclasses
import hashlib

from osc_maintenance import owners
from osc_maintenance import servers
from osc_maintenance import text

NONE = 'none'
ACTIVE = 'active'
ALL = 'all'
CHOICES = (NONE, ACTIVE, ALL)

#: How reasons begin for which a server stays that was to go.
LOCKED, KEPT = 'locked', 'kept by its owner'
STOPPED = 'stopped for this maintenance'

#: The metadata keys of a policy, without the record's prefix.
KEYS = (
    'migrate',
    'include_locked',
    'include_pinned',
    'stop_unmovable',
    'strict',
    'target_host',
    'choice',
)
_FLAGS = ('include_locked', 'include_pinned', 'stop_unmovable', 'strict')
#: Keys of which there is one for each server or project.
SERVER_PREFIX = 'server:'
PROJECT_PREFIX = 'project:'
_ONLY = 'only'
_EXCLUDE = 'exclude'
_TRUE = 'true'
#: How many digits tell one choice of servers from another.
_DIGITS = 8


@dataclasses.dataclass(frozen=True)
class Policy:
    """Which servers have to go, and how.

    :ivar migrate: ``none``, ``active`` (those that run) or ``all``.
    :ivar only: ids of servers; if there are any, only these have to go.
    :ivar projects: ids of projects; if there are any, only theirs have to go.
    :ivar exclude: ids of servers that stay.
    :ivar locked: locked servers have to go as well.
    :ivar pinned: servers that use devices of the host are to be tried.
    :ivar stop: servers that run and cannot be moved are stopped.
    :ivar strict: the host is not entered if one of them cannot be moved.
    :ivar target: the host that they go to; None lets the scheduler choose.
    :ivar terms: what of the owners' words counts; that may change while
        servers are moved, and makes no other policy of it.
    :ivar choice: tells it from that of somebody else who chooses at the same
        time, as recorded; None if it is to be.
    """

    migrate: str = NONE
    only: frozenset[str] = frozenset()
    projects: frozenset[str] = frozenset()
    exclude: frozenset[str] = frozenset()
    locked: bool = False
    pinned: bool = False
    stop: bool = False
    strict: bool = False
    target: str | None = None
    terms: owners.Terms = dataclasses.field(
        default=owners.Terms(), compare=False
    )
    choice: str | None = dataclasses.field(default=None, compare=False)

    def wants(self, server: str, project: str) -> bool:
        """Whether a server is one of those that have to go.

        :param server: its id.
        :param project: the id of its project.
        """
        return (
            self.migrate != NONE
            and server not in self.exclude
            and (not self.only or server in self.only)
            and (not self.projects or project in self.projects)
        )

    def moves_as(self, other: 'Policy') -> bool:
        """Whether another policy moves the same servers in the same way.

        Whether a host is entered at all says nothing of how it is drained.

        :param other: the other one.
        """
        return dataclasses.replace(self, strict=other.strict) == other

    def leaves(self, server: servers.Server) -> str | None:
        """Why a server is left where it is; None if it has to go.

        :param server: a server on the host.
        :returns: the reason, for people to read.
        """
        if self.migrate == NONE:
            return 'no server is to be moved'
        if server.id in self.exclude:
            return 'excluded'
        if self.only and server.id not in self.only:
            return 'not one of the servers that are to be moved'
        if self.projects and server.project not in self.projects:
            return 'not of a project whose servers are to be moved'
        if self.stopped(server):
            return f'{STOPPED} (unset starts it again)'
        if self.migrate == ACTIVE and not server.runs:
            return f'does not run ({server.status})'
        if server.locked and not self.locked:
            reason = (
                f': {server.locked_reason}' if server.locked_reason else ''
            )
            return f'{LOCKED}{reason} (--include-locked moves it)'
        if where := owners.kept(server.said, self.terms):
            return f'{KEPT} ({where})'
        return None

    def stopped(self, server: servers.Server) -> bool:
        """Whether a server is stopped, and this maintenance has done so."""
        return server.id in self.terms.stopped and server.vm_state == 'stopped'

    def kept(self, server: servers.Server) -> bool:
        """Whether just the word of its owner keeps a server from going."""
        return (
            self.leaves(server) is not None
            and self.leaves(dataclasses.replace(server, said={})) is None
        )

    def held(self, server: servers.Server) -> bool:
        """Whether a lock keeps a server from going, and no choice of ours."""
        return (
            self.leaves(server) is not None
            and not self.kept(server)
            and self.leaves(dataclasses.replace(server, locked=False, said={}))
            is None
        )


#: No server has to go.
NOTHING = Policy()


def is_key(key: str) -> bool:
    """Whether a metadata key, without the prefix, is part of a policy."""
    return key in KEYS or key.startswith((SERVER_PREFIX, PROJECT_PREFIX))


def encode(policy: Policy) -> dict[str, str]:
    """A policy as part of a record.

    :param policy: the policy.
    :returns: values by metadata key, without the record's prefix.
    """
    values = {'migrate': policy.migrate}
    if policy.locked:
        values['include_locked'] = _TRUE
    if policy.pinned:
        values['include_pinned'] = _TRUE
    if policy.stop:
        values['stop_unmovable'] = _TRUE
    if policy.strict:
        values['strict'] = _TRUE
    if policy.target:
        values['target_host'] = policy.target
    for ids, prefix, word in (
        (policy.only, SERVER_PREFIX, _ONLY),
        (policy.exclude, SERVER_PREFIX, _EXCLUDE),
        (policy.projects, PROJECT_PREFIX, _ONLY),
    ):
        values.update(dict.fromkeys((prefix + item for item in ids), word))
    choice = policy.choice
    if choice is None and policy.migrate != NONE:
        told = repr(sorted(values.items())).encode()
        choice = hashlib.sha256(told).hexdigest()[:_DIGITS]
    if choice:
        values['choice'] = choice
    return values


def decode(
    values: collections.abc.Mapping[str, str],
) -> tuple[Policy, dict[str, str]]:
    """A policy from a record, however damaged.

    :param values: values by metadata key, without the record's prefix.
    :returns: the policy, and what is wrong by key. Of a policy that cannot be
        read no server is moved.
    """
    wrong = {}
    chosen: dict[str, set[str]] = {
        'only': set(),
        'exclude': set(),
        'of': set(),
    }
    for key, value in values.items():
        if key == 'migrate':
            right = value in CHOICES
        elif key in _FLAGS:
            right = value == _TRUE
        elif key == 'target_host':
            right = bool(value)
        elif key.startswith(SERVER_PREFIX):
            identity = key.removeprefix(SERVER_PREFIX)
            right = value in (_ONLY, _EXCLUDE) and text.is_id(identity)
            if right:
                chosen[value].add(identity)
        elif key.startswith(PROJECT_PREFIX):
            identity = key.removeprefix(PROJECT_PREFIX)
            right = value == _ONLY and text.is_id(identity)
            chosen['of'].add(identity)
        else:
            continue
        if not right:
            wrong[key] = f'is {value!r}'
    if 'migrate' not in values:
        wrong['migrate'] = 'is missing'
    if wrong:
        return NOTHING, wrong
    return (
        Policy(
            migrate=values['migrate'],
            only=frozenset(chosen['only']),
            projects=frozenset(chosen['of']),
            exclude=frozenset(chosen['exclude']),
            locked='include_locked' in values,
            pinned='include_pinned' in values,
            stop='stop_unmovable' in values,
            strict='strict' in values,
            target=values.get('target_host'),
            choice=values.get('choice', ''),
        ),
        wrong,
    )
