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

"""What the operator asks of ``set``, and the record that comes of it. Pure."""

import collections.abc
import dataclasses
import datetime

from osc_maintenance import compute
from osc_maintenance import owners
from osc_maintenance import policy as policy_
from osc_maintenance import record as record_
from osc_maintenance import replies as replies_
from osc_maintenance import times


class RefusedError(Exception):
    """The operator asks for something that must not be done."""


class DamagedError(RefusedError):
    """What is not to be changed cannot be read, and so not be kept.

    Somebody may be writing it at this moment.
    """


@dataclasses.dataclass(frozen=True)
class Request:
    """What the operator asks of ``set``; None leaves a thing as it is.

    :ivar start: when the window starts.
    :ivar end: when it ends.
    :ivar duration: how long it lasts, instead of ``end``.
    :ivar removal: the host does not come back, instead of ``end``.
    :ivar reason: why.
    :ivar ticket_url: where to read more.
    :ivar early: enter a planned maintenance now, whatever its start.
    :ivar policy: which servers have to go.
    :ivar notify: tell the owners of the servers.
    :ivar replies: what is made of their replies.
    :ivar reply_by: until when these count.
    """

    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    duration: datetime.timedelta | None = None
    removal: bool = False
    reason: str | None = None
    ticket_url: str | None = None
    early: bool = False
    policy: policy_.Policy | None = None
    notify: bool | None = None
    replies: owners.Heed | None = None
    reply_by: datetime.datetime | None = None

    def without(self, groups: collections.abc.Container[str]) -> 'Request':
        """The request without what others have the last word on.

        :param groups: parts of a record, as :func:`record.group` names them.
        """
        nothing = Request()
        lost = [
            name
            for group, names in _PARTS.items()
            if group in groups
            for name in names
        ]
        return dataclasses.replace(
            self, **{name: getattr(nothing, name) for name in lost}
        )


#: What a request says of each part of a record.
_PARTS = {
    'window_start': ('start', 'early'),
    'window_end': ('end', 'duration', 'removal'),
    'reason': ('reason',),
    'ticket_url': ('ticket_url',),
    policy_.KEYS[0]: ('policy',),
    'notify_owners': ('notify',),
    'owner_replies': ('replies', 'reply_by'),
}


def terms(
    host: compute.Host, request: Request, now: datetime.datetime
) -> owners.Terms:
    """What of the owners' words counts once ``set`` has been carried out.

    :param host: the host.
    :param request: what the operator asks for.
    :param now: the present, in UTC.
    :raises RefusedError: if the request cannot be followed.
    """
    old = host.known or record_.Record()
    entered = old.entered or host.mark is not None
    wanted = applied(host.name, old, entered, request, now).terms
    return dataclasses.replace(wanted, stopped=old.policy.terms.stopped)


def applied(
    name: str,
    old: record_.Record,
    entered: bool,
    request: Request,
    now: datetime.datetime,
) -> record_.Record:
    """The record with what was asked for, not yet entered and not stamped.

    :param name: the host's name.
    :param old: the record as it is.
    :param entered: the maintenance is entered already.
    :param request: what the operator asks for.
    :param now: the present, in UTC.
    :returns: the record.
    :raises DamagedError: if something is to stay as it is, and is unreadable.
    :raises RefusedError: if the request cannot be followed.
    """
    unreadable = {problem.name for problem in old.problems}
    damaged = any(
        policy_.is_key(problem.name) and not problem.missing
        for problem in old.problems
    )
    start = request.start or old.start
    if request.early and not entered:
        start = now
    if start is None:
        if 'window_start' in unreadable and not entered:
            raise DamagedError(
                f'{name}: the start of the planned maintenance cannot be '
                'read: give --start, or --now to enter it'
            )
        start = old.set_at or now
    ends = request.end or request.duration or request.removal
    if not ends and 'window_end' in unreadable:
        raise DamagedError(
            f'{name}: the end of the window cannot be read: give --end, '
            '--duration or --removal'
        )
    if request.policy is None and damaged:
        raise DamagedError(
            f'{name}: which servers have to go cannot be read: give --migrate'
        )
    for lost, given, option in (
        ('notify_owners', request.notify, '--notify-owners'),
        ('owner_replies', request.replies, '--owner-replies'),
        ('reply_by', request.reply_by or request.replies, '--reply-by'),
    ):
        if (
            lost in unreadable
            and given is None
            and request.notify is not False
        ):
            raise DamagedError(
                f'{name}: what was said of {option} cannot be read: give it, '
                'or --no-notify-owners'
            )
    notify = old.notify if request.notify is None else request.notify
    replies = request.replies or old.replies
    if not notify and request.replies is None:
        # nobody replies to what they were not told
        replies = owners.Heed.IGNORE
    end, removal = old.end, old.removal
    if request.duration:
        try:
            end, removal = start + request.duration, False
        except OverflowError as exc:
            raise RefusedError('--duration ends after the year 9999') from exc
    elif request.end:
        end, removal = request.end, False
    elif request.removal:
        end, removal = None, True
    return dataclasses.replace(
        old,
        start=start,
        end=end,
        removal=removal,
        reason=request.reason or old.reason,
        ticket_url=request.ticket_url or old.ticket_url,
        policy=request.policy or old.policy,
        notify=notify,
        replies=replies,
        reply_by=replies_.until(
            old, start, end, replies, request.reply_by, now
        ),
        problems=(),
    )


def check_window(
    name: str,
    entered: bool,
    asked: bool,
    wanted: record_.Record,
    request: Request,
    now: datetime.datetime,
) -> None:
    """Refuse a window that makes no sense, naming the option.

    :param name: the host's name.
    :param entered: the maintenance is entered already.
    :param asked: the end is a new one.
    :param wanted: the record that is to be.
    :param request: what the operator asks for.
    :param now: the present, in UTC.
    :raises RefusedError: if it makes none.
    """
    start, end = wanted.start, wanted.end
    # a recorded start may be later than now by somebody else's clock
    if entered and request.start and request.start > now:
        raise RefusedError(
            f'--start {times.format_time(request.start)} is in the future, '
            f'but {name} is in maintenance already: unset it first'
        )
    if end is None:
        return
    if end <= now and asked:
        raise RefusedError(
            f'{name}: the window would end at {times.format_time(end)}, which '
            'is in the past: give another --end or --duration'
        )
    if start and end <= start:
        raise RefusedError(
            f'{name}: the window would end at {times.format_time(end)}, which '
            f'is not after its start at {times.format_time(start)}: give '
            'another --start, --end or --duration'
        )
