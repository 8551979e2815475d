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

"""The fields of an answer, each of the type that it has to be. Pure.

Whatever answers in the place of Nova or Placement, nothing that it says goes
any further, or into a request, before it has been looked at here.
"""

import collections.abc
import typing

from osc_maintenance import text

#: What is raised by whoever reads an answer that is none.
UNREADABLE = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
_KINDS = {
    bool: 'true or false',
    dict: 'an object',
    int: 'a number',
    list: 'a list',
    str: 'text',
}
#: As in the database of Nova; arithmetic and the display may rely on it.
_NUMBERS = range(-(2**63), 2**63)
#: How much of a wrong value is shown.
_SHOWN = 60

_T = typing.TypeVar(
    '_T', bool, dict[str, typing.Any], int, list[typing.Any], str
)


class FieldError(ValueError):
    """A field is missing, or not of its type."""


def unreadable(exc: Exception) -> str:
    """What to say of an answer that could not be read.

    :param exc: what was raised, one of UNREADABLE, or a client's own.
    """
    what = exc if isinstance(exc, FieldError) else repr(exc)
    return f'that is no answer of the API: {what}'


def needed(item: object, key: str, kind: type[_T]) -> _T:
    """A field that has to be there.

    :param item: an object of an answer, or what there is in its place.
    :param key: the name of the field.
    :param kind: its type.
    :returns: its value.
    :raises FieldError: unless it is there, and of that type.
    """
    found = maybe(item, key, kind)
    if found is None:
        raise FieldError(f'{key} is missing')
    return found


def maybe(item: object, key: str, kind: type[_T]) -> _T | None:
    """A field that may be missing, or null.

    :param item: an object of an answer, or what there is in its place.
    :param key: the name of the field.
    :param kind: its type.
    :returns: its value, or None.
    :raises FieldError: if it is of another type.
    """
    if not isinstance(item, dict):
        raise FieldError(f'{_shown(item)} is no object with {key}')
    value = item.get(key)
    return None if value is None else _checked(key, value, kind)


def nullable(item: object, key: str, kind: type[_T]) -> _T | None:
    """A field that has to be there, and may be null.

    :param item: an object of an answer, or what there is in its place.
    :param key: the name of the field.
    :param kind: its type.
    :returns: its value, or None.
    :raises FieldError: if it is missing, or of another type.
    """
    found = maybe(item, key, kind)
    if found is None and isinstance(item, dict) and key not in item:
        raise FieldError(f'{key} is missing')
    return found


def one_of(
    item: object, key: str, choices: collections.abc.Container[str]
) -> str:
    """A field that is one of a few words.

    :param item: an object of an answer, or what there is in its place.
    :param key: the name of the field.
    :param choices: the words.
    :raises FieldError: unless it is there, and one of them.
    """
    value = needed(item, key, str)
    if value not in choices:
        raise FieldError(f'{key} is {_shown(value)}, which is not known')
    return value


def identity(item: object, key: str = 'id') -> str:
    """A field that is an ID, fit for the path of a request.

    :param item: an object of an answer, or what there is in its place.
    :param key: the name of the field.
    :raises FieldError: unless it is there, and an ID.
    """
    return checked_identity(needed(item, key, str), key)


def checked_identity(value: str, what: str) -> str:
    """An ID that an answer has in another place.

    :param value: the ID.
    :param what: what it is of, for people to read.
    :raises FieldError: unless it is one.
    """
    if not text.is_id(value):
        raise FieldError(f'{what} is {_shown(value)}, which is no ID')
    return value


def texts(item: object, key: str) -> dict[str, str]:
    """A field that is an object of texts, such as metadata.

    :param item: an object of an answer, or what there is in its place.
    :param key: the name of the field.
    :returns: its value; nothing if it is missing or null.
    :raises FieldError: if it is something else.
    """
    return mapping(item, key, str)


def mapping(item: object, key: str, kind: type[_T]) -> dict[str, _T]:
    """A field that is an object of values of one type.

    :param item: an object of an answer, or what there is in its place.
    :param key: the name of the field.
    :param kind: the type of its values.
    :returns: its value; nothing if it is missing or null.
    :raises FieldError: if it is something else.
    """
    found = maybe(item, key, dict) or {}
    return {name: _checked(name, found[name], kind) for name in found}


def listed(item: object, key: str, kind: type[_T]) -> list[_T]:
    """A field that is a list of values of one type.

    :param item: an object of an answer, or what there is in its place.
    :param key: the name of the field.
    :param kind: the type of its values.
    :returns: its value; nothing if it is missing or null.
    :raises FieldError: if it is something else.
    """
    return [
        _checked(key, value, kind) for value in maybe(item, key, list) or ()
    ]


def _checked(key: str, value: object, kind: type[_T]) -> _T:
    # to Python, true is a number as well
    right = isinstance(value, kind) and isinstance(value, bool) is (
        kind is bool
    )
    if not right or (kind is int and value not in _NUMBERS):
        raise FieldError(f'{key} is {_shown(value)}, and not {_KINDS[kind]}')
    return typing.cast(_T, value)


def _shown(value: object) -> str:
    # what is shown is cut, and what is made of it before is not
    return text.shorten(repr(value), _SHOWN)
