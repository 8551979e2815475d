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

"""The record of one host's maintenance, as it is in an aggregate.

It is the metadata of the host aggregate ``maintenance:<host>``. The mark on
the compute service tells the same in short, see :mod:`osc_maintenance.mark`.
Anybody with the rights may have written either, so nothing that is read back
is trusted.
"""

import collections.abc
import dataclasses
import datetime
import re
import typing

from osc_maintenance import owners
from osc_maintenance import policy as policy_
from osc_maintenance import text
from osc_maintenance import times

AGGREGATE_PREFIX = 'maintenance:'
_MISSING = 'is missing'
#: The end of a window after which the host does not come back. In a key of its
#: own it could be there beside an end, as Nova removes a key before it writes
#: another one, and somebody else may write in between.
_NEVER = 'never'
_HOST = re.compile(r'[a-zA-Z0-9._-]+')

#: The metadata keys that are ours to write and to remove.
KEYS = frozenset(
    AGGREGATE_PREFIX + name
    for name in (
        'id',
        'window_start',
        'window_end',
        'reason',
        'ticket_url',
        'set_by',
        'set_at',
        'before_status',
        'before_reason',
        'notify_owners',
        'owner_replies',
        'reply_by',
        *policy_.KEYS,
    )
)

#: Beginnings of such keys, of which there may be any number.
PREFIXES = tuple(
    AGGREGATE_PREFIX + prefix
    for prefix in (policy_.SERVER_PREFIX, policy_.PROJECT_PREFIX)
)

#: The keys of servers that a drain has stopped, each with an id behind it.
STOPPED = AGGREGATE_PREFIX + 'stopped:'

#: The disabled_reason that the service had before.
BEFORE_REASON = AGGREGATE_PREFIX + 'before_reason'

#: Who has written the record, and when.
STAMP = frozenset(AGGREGATE_PREFIX + name for name in ('set_by', 'set_at'))

_GROUPS = {
    AGGREGATE_PREFIX + name: names[0]
    for names in (
        ('before_status', 'before_reason'),
        ('owner_replies', 'reply_by'),
        ('set_by', 'set_at'),
    )
    for name in names
}
#: Keys that are removed along with their group, whether they are there or not.
PAIRED = frozenset(_GROUPS)


def group(key: str) -> str:
    """What a key is a part of, whose values say something only together.

    :param key: a metadata key.
    """
    name = key.removeprefix(AGGREGATE_PREFIX)
    return _GROUPS.get(key) or (
        policy_.KEYS[0] if policy_.is_key(name) else name
    )


#: All of them.
GROUPS = frozenset(map(group, KEYS))


def aggregate_name(host: str) -> str:
    """The name of the aggregate that holds a host's record.

    :param host: the compute service's host name.
    :returns: the aggregate's name; Nova lets only one aggregate have it.
    """
    return AGGREGATE_PREFIX + host


def check_host(host: str) -> None:
    """Check that Nova would let a host have a record.

    :param host: the compute service's host name.
    :raises ValueError: if Nova takes no such host in an aggregate, or no
        aggregate of that name.
    """
    if not _HOST.fullmatch(host):
        raise ValueError(
            'Nova takes no host in an aggregate whose name has more than '
            'letters, digits, dots, dashes and underscores'
        )
    if len(aggregate_name(host)) > text.NOVA_LIMIT:
        raise ValueError(
            f'Nova takes no aggregate {AGGREGATE_PREFIX}<host> with more than '
            f'{text.NOVA_LIMIT} characters'
        )


def aggregate_host(name: str) -> str | None:
    """The host that an aggregate of that name is the record of, if any."""
    if not name.startswith(AGGREGATE_PREFIX):
        return None
    return name.removeprefix(AGGREGATE_PREFIX) or None


@dataclasses.dataclass(frozen=True)
class ServiceStatus:
    """A compute service's status as the operator left it.

    :ivar status: ``enabled`` or ``disabled``.
    :ivar reason: the disabled_reason, or None.
    """

    status: str
    reason: str | None = None

    def __str__(self) -> str:
        return f'{self.status} ({self.reason})' if self.reason else self.status


ENABLED = ServiceStatus('enabled')


class Problem(typing.NamedTuple):
    """Something in a record that cannot be read.

    :ivar name: the metadata key, without the prefix.
    :ivar what: what is wrong with it.
    """

    name: str
    what: str

    @property
    def missing(self) -> bool:
        """Whether it is not there at all."""
        return self.what == _MISSING

    def __str__(self) -> str:
        return f'{AGGREGATE_PREFIX}{self.name} {self.what}'


@dataclasses.dataclass(frozen=True)
class Record:
    """What is stored about one host's maintenance.

    :ivar id: eight hexadecimal digits: the first of the aggregate's UUID.
    :ivar start: when the maintenance starts or has started.
    :ivar end: when it is to end; None if that is not known, or never.
    :ivar removal: the host does not come back.
    :ivar reason: why, in the operator's words.
    :ivar ticket_url: where to read more.
    :ivar set_by: the user who set or last changed it.
    :ivar set_at: when that was.
    :ivar policy: which servers are to be moved off the host.
    :ivar notify: the owners of its servers are told.
    :ivar replies: what is made of their replies.
    :ivar reply_by: until when these count; None if that has no end.
    :ivar before: the compute service as it was before; being there at all
        says that the maintenance has been entered and is not just planned.
    :ivar problems: what could not be read.
    """

    id: str = ''
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    removal: bool = False
    reason: str | None = None
    ticket_url: str | None = None
    set_by: str | None = None
    set_at: datetime.datetime | None = None
    policy: policy_.Policy = policy_.NOTHING
    notify: bool = False
    replies: owners.Heed = owners.Heed.IGNORE
    reply_by: datetime.datetime | None = None
    before: ServiceStatus | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def terms(self) -> owners.Terms:
        """What of the owners' words counts; its policy knows what stopped."""
        return owners.Terms(self.id, self.replies, self.reply_by)

    @property
    def entered(self) -> bool:
        """Whether the maintenance has begun, rather than being planned."""
        return self.before is not None


def encode(record: Record) -> dict[str, str]:
    """A record as aggregate metadata.

    :param record: the record; its ``problems`` are not stored.
    :returns: metadata; what the record does not say has no key.
    """
    before = record.before
    ignores = record.replies is owners.Heed.IGNORE
    values = {
        'id': record.id,
        'window_start': _stored(record.start),
        'window_end': _NEVER if record.removal else _stored(record.end),
        'reason': record.reason,
        'ticket_url': record.ticket_url,
        'set_by': record.set_by,
        'set_at': _stored(record.set_at),
        'before_status': before.status if before else None,
        'before_reason': before.reason if before else None,
        'notify_owners': 'true' if record.notify else None,
        'owner_replies': None if ignores else record.replies.value,
        'reply_by': None if ignores else _stored(record.reply_by),
        **policy_.encode(record.policy),
    }
    return {
        AGGREGATE_PREFIX + name: value
        for name, value in values.items()
        if value is not None
    }


def _stored(moment: datetime.datetime | None) -> str | None:
    return times.format_time(moment) if moment else None


def decode(metadata: collections.abc.Mapping[str, str]) -> Record | None:
    """A record from aggregate metadata, however damaged.

    :param metadata: the metadata of an aggregate ``maintenance:<host>``.
    :returns: the record, with a problem for each thing that is missing or
        cannot be read; None if there is no record at all.
    """
    values = {
        key.removeprefix(AGGREGATE_PREFIX): value
        for key, value in metadata.items()
        if key.startswith(AGGREGATE_PREFIX)
    }
    if not values:
        return None
    reader = _Reader(values)
    before = None
    if 'before_status' in values or 'before_reason' in values:
        status = reader.one_of('before_status', ('enabled', 'disabled'))
        if status:
            before = ServiceStatus(status, values.get('before_reason') or None)
    if before and before.status == 'enabled' and before.reason is not None:
        reader.wrong('before_reason', 'is there, but the service was enabled')
        before = ENABLED
    removal = values.get('window_end') == _NEVER
    found = Record(
        id=reader.identity(),
        start=reader.time('window_start', needed=True),
        end=None if removal else reader.time('window_end'),
        removal=removal,
        # they go where owners, and all who may see the service, read them
        reason=reader.checked('reason', text.check_printable),
        ticket_url=reader.checked('ticket_url', text.check_url),
        set_by=values.get('set_by'),
        set_at=reader.time('set_at', needed=True),
        policy=reader.policy(),
        notify=reader.flag('notify_owners'),
        replies=reader.replies(),
        reply_by=reader.time('reply_by'),
        before=before,
    )
    stopped = frozenset(
        key.removeprefix(STOPPED)
        for key in metadata
        if key.startswith(STOPPED)
    )
    terms = dataclasses.replace(found.terms, stopped=stopped)
    return dataclasses.replace(
        found,
        policy=dataclasses.replace(found.policy, terms=terms),
        problems=tuple(reader.problems),
    )


class _Reader:
    """Reads values one by one and collects what is wrong with them."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values
        self.problems: list[Problem] = []

    def wrong(self, name: str, what: str) -> None:
        self.problems.append(Problem(name, what))

    def time(
        self, name: str, *, needed: bool = False
    ) -> datetime.datetime | None:
        value = self.values.get(name)
        if value is None:
            if needed:
                self.wrong(name, _MISSING)
            return None
        try:
            return times.parse_iso_8601(value)
        except ValueError:
            self.wrong(name, f'is {value!r}, which is not a time')
            return None

    def one_of(
        self, name: str, choices: tuple[str, ...], *, needed: bool = True
    ) -> str | None:
        value = self.values.get(name)
        if value in choices:
            return value
        if value is not None:
            self.wrong(name, f'is {value!r}')
        elif needed:
            self.wrong(name, _MISSING)
        return None

    def checked(
        self, name: str, check: collections.abc.Callable[[str], str]
    ) -> str | None:
        value = self.values.get(name)
        try:
            return check(value) if value else None
        except ValueError as exc:
            self.wrong(name, str(exc))
            return None

    def flag(self, name: str) -> bool:
        return self.one_of(name, ('true',), needed=False) is not None

    def replies(self) -> owners.Heed:
        value = self.one_of('owner_replies', tuple(owners.Heed), needed=False)
        return owners.Heed(value or owners.Heed.IGNORE)

    def policy(self) -> policy_.Policy:
        found, wrong = policy_.decode(self.values)
        for name, what in wrong.items():
            self.wrong(name, what)
        return found

    def identity(self) -> str:
        value = self.values.get('id', '')
        if not re.fullmatch('[0-9a-f]{8}', value):
            self.wrong('id', f'is {value!r}' if value else _MISSING)
            return ''
        return value
