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

"""The mark on a compute service that is disabled for a maintenance.

It is the disabled_reason, which tells in short what the record says: either
of the two is enough to undo the maintenance if the other is lost.
"""

import re
import typing

from osc_maintenance import record as record_
from osc_maintenance import text

_BEFORE = ' [before: disabled'
_REASON = re.compile(
    r'maintenance (?P<id>[0-9a-f]{8}):(?P<rest>.*)', re.DOTALL
)
_REASON_BEFORE = re.compile(
    rf'(?P<head>.*?){re.escape(_BEFORE)}(?:: (?P<before>.*))?\]', re.DOTALL
)


class Mark(typing.NamedTuple):
    """What a disabled_reason of ours says.

    :ivar id: the maintenance's id.
    :ivar reason: the operator's reason, maybe shortened, with escapes for
        control characters.
    :ivar ticket_url: the ticket; None if that is no URL to be handed on.
    :ivar before: the compute service as it was before, its reason maybe
        shortened.
    """

    id: str
    reason: str | None
    ticket_url: str | None
    before: record_.ServiceStatus


def check_reason(reason: str) -> str:
    """Check the operator's reason for a maintenance.

    :param reason: what the operator typed.
    :returns: the reason without blanks around it.
    :raises ValueError: if Nova could not store it, or if it could not be told
        from our own words in the service's disabled_reason.
    """
    reason = text.check_text(reason)
    if _BEFORE.strip() in reason:
        raise ValueError(f"must not hold '{_BEFORE.strip()}'")
    return reason


def disabled_reason(record: record_.Record) -> str:
    """What a record looks like as the disabled_reason of the service.

    :param record: the record of a maintenance that has been entered.
    :returns: ``maintenance <id>: <reason> <ticket URL>``, and behind it what
        the service was disabled for before, if it was; at most 255
        characters: the reasons are shortened to fit.
    """
    head = f'maintenance {record.id}:'
    url = f' {record.ticket_url}' if record.ticket_url else ''
    reason = f' {record.reason}' if record.reason else ''
    before = record.before.reason if record.before else None
    tail = ''
    if record.before and record.before.status == 'disabled':
        tail = f'{_BEFORE}: {before}]' if before else f'{_BEFORE}]'
    # each of the two reasons may have half of the room, and what the other
    # one does not need
    room = text.NOVA_LIMIT - len(head) - len(url)
    if before and len(tail) > max(room // 2, room - len(reason)):
        frame = len(f'{_BEFORE}: ]')
        rest = max(room // 2, room - len(reason)) - frame
        tail = f'{_BEFORE}: {text.shorten(before, max(rest, 1))}]'
    return head + text.shorten(reason, room - len(tail)) + url + tail


def in_full(
    told: record_.ServiceStatus, known: record_.ServiceStatus | None
) -> record_.ServiceStatus:
    """What a service was, where its disabled_reason had no room for all.

    :param told: what the disabled_reason tells, shortened perhaps.
    :param known: what was seen of it before; None if nothing was.
    :returns: what was seen, if it is the same as far as is told.
    """
    if known and known.status == told.status and known.reason and told.reason:
        length = len(told.reason)
        if text.shorten(known.reason, length) == told.reason:
            return known
    return told


def parse(reason: str | None) -> Mark | None:
    """Read a compute service's disabled_reason.

    :param reason: the disabled_reason, whoever wrote it.
    :returns: what it says if it is of our form, else None.
    """
    # longer ones are not Nova's, and would take their time
    match = _REASON.fullmatch((reason or '')[: text.NOVA_LIMIT])
    if match is None:
        return None
    rest, before = match['rest'], record_.ENABLED
    ending = _REASON_BEFORE.fullmatch(rest)
    if ending:
        rest, before = (
            ending['head'],
            record_.ServiceStatus('disabled', ending['before'] or None),
        )
    words, ticket_url = rest.strip(), None
    first, _blank, last = words.rpartition(' ')
    if last.lower().startswith(('http://', 'https://')):
        words, ticket_url = first, text.url_or_none(last)
    return Mark(match['id'], text.storable(words) or None, ticket_url, before)
