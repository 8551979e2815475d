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

"""What the owner of a server is told, in the metadata of the server. Pure.

The guest sees it too, at Nova's metadata service. Whoever may change the
server may have written it, so nothing that is read back is trusted.
"""

import collections.abc
import dataclasses
import datetime
import re

from osc_maintenance.drain import verdict as verdict_
from osc_maintenance import owners
from osc_maintenance import record as record_
from osc_maintenance import servers
from osc_maintenance import text
from osc_maintenance import times

STAYS = 'stay'
UNDECIDED = 'undecided'
_TRUE = 'true'
_ID = re.compile('[0-9a-f]{8}')
#: What happens to the server, in the words of the notice.
_ACTIONS = {
    verdict_.Action.LEAVE: STAYS,
    verdict_.Action.BLOCKED: UNDECIDED,
}
#: The keys that are ours to write and to remove; no others are touched.
KEYS = frozenset(
    owners.PREFIX + name
    for name in (
        'id',
        'action',
        'window_start',
        'window_end',
        'removal',
        'ticket_url',
        'reply_by',
        'replies',
    )
)


@dataclasses.dataclass(frozen=True)
class Notice:
    """What the owner of one server is told.

    :ivar id: that of the maintenance.
    :ivar action: what happens to the server: ``live-migrate``,
        ``cold-migrate`` or ``evacuate``; ``stop``: it is stopped, and started
        again afterwards; ``stay``: it goes down with its host; ``undecided``:
        it is to go, and cannot as things are.
    :ivar start: when the window starts; None if that cannot be read.
    :ivar end: when it ends; None if that is not known, or never.
    :ivar removal: the host does not come back.
    :ivar ticket_url: where to read more.
    :ivar reply_by: until when a reply counts; None if that has no end.
    :ivar replies: the replies that count; none if nobody asks for one.
    """

    id: str
    action: str
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    removal: bool = False
    ticket_url: str | None = None
    reply_by: datetime.datetime | None = None
    replies: tuple[owners.Answer, ...] = ()

    def lacks(self, said: collections.abc.Mapping[str, str]) -> bool:
        """Whether the metadata of a server does not say this, or says more.

        :param said: the metadata.
        """
        wanted = encode(self)
        return any(said.get(key) != wanted.get(key) for key in KEYS)


def of(record: record_.Record, verdict: verdict_.Verdict) -> Notice:
    """What the owner of a server is to be told.

    :param record: the record of the maintenance of its host.
    :param verdict: what is to be done with the server.
    """
    # what happens to it once its owner has replied
    action = verdict.then or verdict.action
    asked = record.replies is not owners.Heed.IGNORE
    return Notice(
        id=record.id,
        action=_ACTIONS.get(action, action.value),
        start=record.start,
        end=record.end,
        removal=record.removal,
        ticket_url=record.ticket_url,
        reply_by=record.reply_by,
        replies=tuple(owners.Answer) if asked else (),
    )


def encode(notice: Notice) -> dict[str, str]:
    """A notice as metadata of a server; what it does not say has no key."""
    values = {
        'id': notice.id,
        'action': notice.action,
        'window_start': _stored(notice.start),
        'window_end': _stored(notice.end),
        'removal': _TRUE if notice.removal else None,
        'ticket_url': notice.ticket_url,
        'reply_by': _stored(notice.reply_by),
        'replies': ' '.join(notice.replies) or None,
    }
    return {
        owners.PREFIX + name: value
        for name, value in values.items()
        if value is not None
    }


def decode(said: collections.abc.Mapping[str, str]) -> Notice | None:
    """A notice from the metadata of a server, however damaged.

    :param said: the metadata.
    :returns: the notice, without what cannot be read; None if there is none.
    """
    identity = said.get(owners.PREFIX + 'id', '')
    if not _ID.fullmatch(identity):
        return None
    action = said.get(owners.PREFIX + 'action', '')
    known = {*verdict_.KINDS, verdict_.Action.STOP, *_ACTIONS.values()}
    return Notice(
        id=identity,
        action=action if action in known else 'unknown',
        start=_time(said.get(owners.PREFIX + 'window_start')),
        end=_time(said.get(owners.PREFIX + 'window_end')),
        removal=said.get(owners.PREFIX + 'removal') == _TRUE,
        ticket_url=text.url_or_none(said.get(owners.PREFIX + 'ticket_url')),
        reply_by=_time(said.get(owners.PREFIX + 'reply_by')),
        replies=_replies(said.get(owners.PREFIX + 'replies', '')),
    )


def row(
    server: servers.Server, notice: Notice, now: datetime.datetime
) -> dict[str, object]:
    """What ``openstack server maintenance`` answers about a server.

    Names and types are a contract.

    :param server: the server.
    :param notice: what its owner is told.
    :param now: the present, in UTC.
    :returns: values by field name, as JSON shows them.
    """
    wish = owners.wish(server.said)
    reply = owners.reply(server.said, notice.id)
    return {
        'id': server.id,
        'name': text.escape(server.name),
        'project': server.project,
        'maintenance': notice.id,
        'action': notice.action,
        'window_start': _stored(notice.start),
        'window_end': _stored(notice.end),
        'removal': notice.removal,
        'seconds_until_start': _seconds(notice.start, now),
        'ticket_url': notice.ticket_url,
        'policy': wish.value if wish else None,
        'replies': [answer.value for answer in notice.replies],
        'reply_by': _stored(notice.reply_by),
        'seconds_until_reply_by': _seconds(notice.reply_by, now),
        'reply': reply.answer.value if reply else None,
        'reply_reason': text.escape(reply.reason)
        if reply and reply.reason
        else None,
    }


def refused(
    told: Notice | None, reply: owners.Reply, now: datetime.datetime
) -> str | None:
    """Why a reply would count for nothing.

    :param told: what the owner is told, if anything.
    :param reply: the reply.
    :param now: the present, in UTC.
    :returns: why, for people to read; None if it counts.
    """
    if told is None:
        return 'no maintenance is known of it'
    if told.end and told.end <= now:
        end = times.format_time(told.end)
        return f'the window of maintenance {told.id} ended at {end}'
    if not told.replies:
        return (
            f'the operators do not ask for replies to maintenance {told.id}; '
            f'what you wish at any time goes into its property {owners.POLICY}'
        )
    if told.reply_by and told.reply_by <= now:
        until = times.format_time(told.reply_by)
        return (
            f'replies to maintenance {told.id} have counted until {until}, '
            'and count no more'
        )
    if reply.answer not in told.replies:
        return (
            f'maintenance {told.id} takes {", ".join(told.replies)}, and not '
            f'{reply.answer}'
        )
    return None


def keys_of(
    said: collections.abc.Mapping[str, str],
    others: collections.abc.Container[str],
) -> set[str]:
    """What of the metadata of a server goes when a maintenance is over.

    Somebody may have changed the id, so whatever is not of another one goes.

    :param said: the metadata.
    :param others: the ids of the other maintenances that there are.
    :returns: the keys of the notice, and that of a reply.
    """
    found: set[str] = set()
    if said.get(owners.PREFIX + 'id', '') not in others:
        found |= KEYS & said.keys()
    if owners.replies_to(said) not in others:
        found |= {owners.REPLY} & said.keys()
    return found


def orphaned(maintenance: str, load: servers.Load) -> str | None:
    """What is left on a host of a maintenance whose record was lost.

    :param maintenance: its id.
    :param load: what is on the host.
    :returns: what to do about it, for people to read; None if there is
        nothing.
    """
    told, off = [], []
    for server in load.servers or ():
        found = decode(server.said)
        if found is None or found.id != maintenance:
            continue
        named = f'{text.escape(server.name)} ({server.id})'
        told.append(named)
        if found.action == verdict_.Action.STOP and (
            server.vm_state == 'stopped'
        ):
            off.append(named)
    if not told:
        return None
    return (
        f'the record of maintenance {maintenance} was lost, and owners are '
        f'still told of it: {", ".join(told)}: "openstack server unset '
        f'--property {owners.PREFIX}id" ends that'
    ) + (
        f'; stopped for it, as it seems: {", ".join(off)}: "openstack server '
        'start" them'
        if off
        else ''
    )


def _seconds(
    moment: datetime.datetime | None, now: datetime.datetime
) -> int | None:
    return max(int((moment - now).total_seconds()), 0) if moment else None


def _replies(value: str) -> tuple[owners.Answer, ...]:
    words = value.split()
    return tuple(answer for answer in owners.Answer if answer in words)


def _stored(moment: datetime.datetime | None) -> str | None:
    return times.format_time(moment) if moment else None


def _time(value: str | None) -> datetime.datetime | None:
    try:
        return times.parse_iso_8601(value) if value else None
    except ValueError:
        return None
