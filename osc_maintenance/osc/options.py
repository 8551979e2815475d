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

"""Options of the commands, and the types of their values.

What a type refuses ends as a usage error that names the option, before the
command has talked to anything but Keystone.
"""

import argparse
import collections.abc
import typing

#: As many as the numbers of a duration have: arithmetic may rely on it.
_DIGITS = 9

_T = typing.TypeVar('_T')


def _checked(read: collections.abc.Callable[[str], _T], text: str) -> _T:
    try:
        return read(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def time(text: str) -> typing.Any:
    """A point in time, as a datetime in UTC."""
    from osc_maintenance import times

    return _checked(times.parse_time, text)


def duration(text: str) -> typing.Any:
    """A duration, as a timedelta."""
    from osc_maintenance import times

    return _checked(times.parse_duration, text)


def deadline(text: str) -> typing.Any:
    """A point in time, or how long it is until then, as a datetime in UTC."""
    from osc_maintenance import times

    return _checked(times.parse_deadline, text)


def reason(text: str) -> str:
    """The operator's reason."""
    from osc_maintenance import mark

    return _checked(mark.check_reason, text)


def owners_reason(text: str) -> str:
    """The reason of an owner's reply."""
    from osc_maintenance import owners

    return _checked(owners.check_reason, text)


def url(text: str) -> str:
    """The URL of a ticket."""
    from osc_maintenance import text as text_

    return _checked(text_.check_url, text)


def host(text: str) -> str:
    """The name of a host."""
    if not text or not text.isprintable():
        raise argparse.ArgumentTypeError('is not the name of a host')
    return text


def word(text: str) -> str:
    """A name or an ID, which is not empty: a variable was not set."""
    if not text.strip():
        raise argparse.ArgumentTypeError('is empty')
    return text


def number(text: str) -> int:
    """How many, which may be none."""
    if not text.isascii() or not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r} is not a number')
    if len(text) > _DIGITS:
        raise argparse.ArgumentTypeError(f'has more than {_DIGITS} digits')
    return int(text)


def count(text: str) -> int:
    """How many, and at least one."""
    found = number(text)
    if not found:
        raise argparse.ArgumentTypeError('has to be at least 1')
    return found


def add_host(parser: argparse.ArgumentParser) -> None:
    """Add the host that a command is about.

    :param parser: the command's parser.
    """
    parser.add_argument(
        'host',
        metavar='<host>',
        type=host,
        help='Host name of the compute service, matched exactly',
    )


def add_window(parser: argparse.ArgumentParser) -> None:
    """Add what ``set`` says about the maintenance window.

    :param parser: the command's parser.
    """
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument(
        '--start',
        metavar='<time>',
        type=time,
        help=(
            "Start of the window: ISO 8601 (UTC without an offset), 'now', or "
            'a duration from now such as +4h (default: now, and for a planned '
            'maintenance its recorded start)'
        ),
    )
    begin.add_argument(
        '--now',
        action='store_true',
        help='Enter a planned maintenance now, whatever its recorded start',
    )
    finish = parser.add_mutually_exclusive_group()
    finish.add_argument(
        '--end',
        metavar='<time>',
        type=time,
        help='End of the window, in the same forms as --start',
    )
    finish.add_argument(
        '--duration',
        metavar='<duration>',
        type=duration,
        help=(
            'Length of the window from its start, instead of --end: such as '
            '2h30m, 90m or 1d (units w, d, h, m, s)'
        ),
    )
    finish.add_argument(
        '--removal',
        action='store_true',
        help='The host does not come back: the window has no end',
    )
