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

"""What has not come to be of what was asked for. Pure."""

import collections.abc

from osc_maintenance import asking
from osc_maintenance import record as record_
from osc_maintenance import times


def moves(record: record_.Record | None, request: asking.Request) -> bool:
    """Whether the servers are to be moved that it was asked for.

    :param record: the record as it is.
    :param request: what was asked for.
    """
    if request.policy is None:
        return True
    return record is not None and record.policy.moves_as(request.policy)


def by_others(
    record: record_.Record | None, request: asking.Request
) -> str | None:
    """What somebody else has made of it at the same time; None if nothing.

    :param record: the record as it is, after what was asked for was written.
    :param request: what was asked for.
    """
    found = record or record_.Record()
    end = request.end
    if request.duration and found.start:
        end = found.start + request.duration
    wanted = {
        'window start': request.start in (None, found.start),
        'window end': end in (None, found.end),
        'removal': found.removal or not request.removal,
        'reason': request.reason in (None, found.reason),
        'ticket URL': request.ticket_url in (None, found.ticket_url),
        'begin': found.entered or not request.early,
        'servers to be moved': moves(record, request),
        'notices': request.notify in (None, found.notify),
        'owner replies': request.replies in (None, found.replies),
        'reply by': request.reply_by in (None, found.reply_by),
    }
    return _told(found, [name for name, met in wanted.items() if not met])


def cleared(
    record: record_.Record | None, properties: collections.abc.Container[str]
) -> str | None:
    """What somebody else has set at the same time; None if nothing.

    :param record: the record as it is, after they were cleared.
    :param properties: some of ``reason``, ``ticket_url`` and ``window_end``.
    """
    found = record or record_.Record()
    left = {
        'reason': ('reason', found.reason),
        'ticket_url': ('ticket URL', found.ticket_url),
        'window_end': ('window end', found.end or found.removal),
    }
    names = [
        words
        for name, (words, value) in left.items()
        if name in properties and value
    ]
    return _told(found, names)


def _told(record: record_.Record, names: list[str]) -> str | None:
    if not names:
        return None
    when = (
        f', {times.format_time(record.set_at)}'
        if record.set_at is not None
        else ''
    )
    return (
        f'not as you have said: {", ".join(names)}; somebody else has changed '
        'it at the same time, and their word stands (last changed by '
        f'{record.set_by or "unknown"}{when})'
    )
