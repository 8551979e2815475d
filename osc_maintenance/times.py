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

"""Points in time and durations, as operators type them and as we show them.

Everything is UTC and in whole seconds: that is what Nova shows, and what a
maintenance window needs.
"""

import datetime
import re
import time

_UNITS = {
    'w': 'weeks',
    'd': 'days',
    'h': 'hours',
    'm': 'minutes',
    's': 'seconds',
}
_DURATION = re.compile(
    ''.join(
        rf'(?:(?P<{name}>\d{{1,9}}){unit})?' for unit, name in _UNITS.items()
    )
)
# datetime.fromisoformat takes any character between date and time
_ISO_8601 = re.compile(r'[0-9TWZ:.,+ -]+')
#: The clock of Linux that goes on while the machine sleeps. Elsewhere it may
#: go unnoticed that one has slept.
_BOOTTIME: int | None = getattr(time, 'CLOCK_BOOTTIME', None)


def now() -> datetime.datetime:
    """The present in UTC, in whole seconds."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def clock() -> float:
    """The present in seconds since some moment, never going back.

    What is known is as old as it is, although a laptop was closed meanwhile.
    """
    if _BOOTTIME is None:
        return time.monotonic()
    return time.clock_gettime(_BOOTTIME)


def parse_time(text: str) -> datetime.datetime:
    """Read a point in time.

    :param text: ISO 8601 with an offset, or without one and then in UTC;
        ``now``; or a duration from now, such as ``+4h`` or ``+1d12h``.
    :returns: that time in UTC, in whole seconds.
    :raises ValueError: if it is none of these, saying what would be.
    """
    try:
        if text == 'now':
            return now()
        if text.startswith('+'):
            return now() + parse_duration(text[1:])
        return parse_iso_8601(text)
    except (ValueError, OverflowError) as exc:
        raise ValueError(
            f'{text!r} is not a time: give ISO 8601 such as '
            "2026-11-20T06:00:00Z (UTC if no offset is given), 'now', or a "
            'duration from now such as +4h'
        ) from exc


def parse_deadline(text: str) -> datetime.datetime:
    """Read a point in time that people may give as a duration.

    :param text: what :func:`parse_time` reads, or a duration such as ``4h``.
    :returns: that time in UTC, in whole seconds.
    :raises ValueError: if it is none of these, saying what would be.
    """
    if _DURATION.fullmatch(text):
        text = f'+{text}'
    return parse_time(text)


def parse_iso_8601(text: str) -> datetime.datetime:
    """Read a point in time that does not depend on the present.

    :param text: ISO 8601; UTC if it has no offset.
    :returns: that time in UTC, in whole seconds.
    :raises ValueError: if it is something else.
    """
    if not _ISO_8601.fullmatch(text):
        raise ValueError(f'{text!r} is not an ISO 8601 time')
    try:
        moment = datetime.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return moment.astimezone(datetime.UTC).replace(microsecond=0)
    except OverflowError as exc:
        raise ValueError(f'{text!r} is out of range') from exc


def parse_duration(text: str) -> datetime.timedelta:
    """Read a duration.

    :param text: such as ``2h30m``, ``90m`` or ``1w2d``: units w, d, h, m, s
        from the largest to the smallest.
    :returns: the duration, longer than nothing.
    :raises ValueError: if it is not of that form, or is zero.
    """
    match = _DURATION.fullmatch(text)
    try:
        duration = (
            datetime.timedelta(
                **{k: int(v) for k, v in match.groupdict().items() if v}
            )
            if match
            else datetime.timedelta()
        )
    except OverflowError:
        duration = datetime.timedelta()
    if not duration:
        raise ValueError(
            f'{text!r} is not a duration: give such as 2h30m, 90m or 1d '
            '(units w, d, h, m, s)'
        )
    return duration


def format_time(moment: datetime.datetime) -> str:
    """A point in time as ISO 8601 in UTC: ``2026-11-20T06:00:00Z``."""
    utc = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    return utc.isoformat(timespec='seconds') + 'Z'


def format_duration(seconds: int) -> str:
    """A duration as :func:`parse_duration` reads it: ``1d2h``."""
    parts = []
    for unit, name in _UNITS.items():
        size = int(datetime.timedelta(**{name: 1}).total_seconds())
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f'{count}{unit}')
    return ''.join(parts) or '0s'
