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

"""The fields that ``show``, ``set`` and ``unset`` answer with.

Their names and types are a contract: people script against them.
"""

import collections.abc
import datetime
import typing

from osc_maintenance import compute
from osc_maintenance import overview
from osc_maintenance import record as record_
from osc_maintenance import servers
from osc_maintenance import state
from osc_maintenance import text
from osc_maintenance import times


#: Fields that are a number of seconds.
_SECONDS = frozenset(
    ('retry_after', 'seconds_until_start', 'seconds_until_reply_by')
)
_NOT_ASKED = dict.fromkeys(servers.Movement._fields)


def fields(
    host: compute.Host,
    load: servers.Load | None,
    emptied: bool | None,
    now: datetime.datetime,
    *,
    over: bool = False,
) -> dict[str, typing.Any]:
    """Everything that is known about one host.

    :param host: the host.
    :param load: what is on it, and on its way; None if that was not asked.
    :param emptied: whether it is emptied, or None if that is not known.
    :param now: the present, in UTC.
    :param over: who asks has moved servers, and knows that this is over.
    :returns: values by field name, as JSON shows them: text (what came from
        Nova with its control characters escaped), numbers, booleans, None,
        times in ISO 8601, and ``servers`` as an object.
    """
    record = host.known or record_.Record()
    service = host.service
    if service and service.lost:
        # nothing listed there is not nothing there
        load = None
    standing = state.derive(
        host, load or servers.Load(host.name), now, over=over
    )
    movement = load.movement._asdict() if load else _NOT_ASKED
    retry_after = None
    if record.end:
        retry_after = max(int((record.end - now).total_seconds()), 0)
    return {
        'host': text.escape(host.name),
        'state': standing.state.value,
        'cause': _text(standing.cause),
        'id': record.id or None,
        'reason': _text(record.reason),
        'ticket_url': _text(record.ticket_url),
        'window_start': _time(record.start),
        'window_end': _time(record.end),
        'removal': record.removal,
        'retry_after': retry_after,
        'overdue': state.overdue(record, now),
        'set_by': _text(record.set_by),
        'set_at': _time(record.set_at),
        'migrate': record.policy.migrate,
        'notify_owners': record.notify,
        'owner_replies': record.replies.value,
        'reply_by': _time(record.reply_by),
        'service_status': _text(service.status) if service else None,
        'service_state': _text(service.state or None) if service else None,
        'disabled_reason': _text(service.disabled_reason) if service else None,
        'servers': _counts(load.statuses) if load else None,
        **movement,
        'emptied': emptied,
    }


def unread(
    host: compute.Host, why: str | None, now: datetime.datetime
) -> dict[str, typing.Any]:
    """The fields of a host of which Nova does not tell what is on it.

    :param host: the host, as far as it is known.
    :param why: why, in Nova's words.
    :param now: the present, in UTC.
    :returns: the same fields, with the state ``error``.
    """
    told = fields(host, None, None, now)
    return {**told, 'state': state.State.ERROR.value, 'cause': why}


def _counts(statuses: dict[str, int] | None) -> dict[str, int] | None:
    if statuses is None:
        return None
    return {text.escape(status): count for status, count in statuses.items()}


def _text(value: str | None) -> str | None:
    return None if value is None else text.escape(value)


def _time(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else times.format_time(moment)


def in_words(name: str) -> str:
    """A field's name as a table shows it: ``ticket_url`` is Ticket URL."""
    words = (
        word.upper() if word in ('id', 'url') else word.capitalize()
        for word in name.split('_')
    )
    return ' '.join(words)


def value_in_words(name: str, value: typing.Any) -> str:
    """A field's value as a table shows it.

    :param name: the field's name.
    :param value: its value, as JSON shows it.
    :returns: words: a dash for nothing, yes or no, a duration for seconds.
    """
    if value is None or value == {}:
        return '-'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if name in _SECONDS:
        return times.format_duration(value)
    if name in ('moves', 'verdicts'):
        return '\n'.join(map(_server_in_words, value)) or '-'
    if name == 'replies':
        return ', '.join(value) or '-'
    if name == 'owners':
        return '\n'.join(map(overview.in_words, value)) or '-'
    if name == 'started':
        return '\n'.join(map(_started_in_words, value)) or '-'
    if name == 'untold':
        return '\n'.join(f'{r["id"]}: {r["cause"]}' for r in value) or '-'
    if isinstance(value, collections.abc.Mapping):
        return ', '.join(f'{key}: {value[key]}' for key in value)
    return str(value)


def _started_in_words(row: collections.abc.Mapping[str, typing.Any]) -> str:
    """A server of ``started`` on one line."""
    words = f'no: {row["cause"]}' if row['cause'] else 'yes'
    return f'{row["name"]} ({row["id"]}): {words}'


def _server_in_words(row: collections.abc.Mapping[str, typing.Any]) -> str:
    """A server of ``moves`` or ``verdicts`` on one line."""
    words = row.get('outcome') or row['verdict']
    if row.get('destination'):
        words += f' to {row["destination"]}'
    if row.get('seconds') is not None:
        words += f' in {times.format_duration(row["seconds"])}'
    if row['cause']:
        words += f': {row["cause"]}'
    return f'{row["name"]} ({row["id"]}): {words}'
