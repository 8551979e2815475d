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

"""Until when owners may reply, and whether that makes sense. Pure."""

import datetime

from osc_maintenance import owners
from osc_maintenance import record as record_
from osc_maintenance import times


def until(
    old: record_.Record,
    start: datetime.datetime,
    end: datetime.datetime | None,
    heed: owners.Heed,
    given: datetime.datetime | None,
    now: datetime.datetime,
) -> datetime.datetime | None:
    """Until when replies count: where they are waited for, until the start.

    Who is in a hurry needs not think of it.

    :param old: the record as it is.
    :param start: when the window is to start.
    :param end: when it is to end, or None.
    :param heed: what is to be made of replies.
    :param given: what the operator has said, or None.
    :param now: the present, in UTC.
    :returns: the time; None if there is no end.
    """
    if heed is owners.Heed.IGNORE:
        return None
    if given:
        return given
    new = heed is owners.Heed.WAIT and old.reply_by is None
    follows = (
        old.replies is owners.Heed.WAIT
        and old.reply_by is not None
        and old.reply_by == old.start
    )
    if follows and heed is not owners.Heed.WAIT:
        # nobody has said it
        return None
    found = start if (new or follows) and start > now else old.reply_by
    return min(found, end) if found and end else found


def check(
    old: record_.Record,
    wanted: record_.Record,
    given: datetime.datetime | None,
    now: datetime.datetime,
) -> None:
    """Refuse what nobody could reply to, or not in time.

    :param old: the record as it is.
    :param wanted: the record as it is to be.
    :param given: until when they may reply, if the operator has said that.
    :param now: the present, in UTC.
    :raises ValueError: if it makes no sense, naming the option.
    """
    if wanted.replies is owners.Heed.IGNORE:
        if given:
            raise ValueError(
                '--reply-by goes with --owner-replies wait or '
                '--owner-replies require'
            )
        return
    if not wanted.notify:
        raise ValueError(
            'the owners cannot reply to what they are not told: '
            f'--owner-replies {wanted.replies} goes with --notify-owners'
        )
    if wanted.reply_by is None:
        if wanted.replies is owners.Heed.WAIT:
            raise ValueError(
                '--owner-replies wait goes with --reply-by, as the '
                'maintenance begins now'
            )
        return
    if given and wanted.end and wanted.end <= now:
        raise ValueError(
            'replies count no more, as the window has ended at '
            f'{times.format_time(wanted.end)}: give --end or --duration as '
            'well'
        )
    shown = times.format_time(wanted.reply_by)
    if wanted.reply_by <= now and wanted.reply_by != old.reply_by:
        raise ValueError(f'--reply-by {shown} is in the past')
    if wanted.end and wanted.reply_by > wanted.end:
        raise ValueError(
            f'replies would count until {shown}, which is after the end of '
            f'the window at {times.format_time(wanted.end)}: give another '
            '--reply-by'
        )
