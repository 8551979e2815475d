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

"""Output: field names and typed values for programs, words for people."""

import argparse
import collections.abc
import typing

from cliff import columns

#: The formatters whose output is read by people.
_FOR_PEOPLE = frozenset(('table',))


if typing.TYPE_CHECKING:
    _Column = columns.FormattableColumn[typing.Any]
else:
    # not generic before cliff 4.9
    _Column = columns.FormattableColumn


class Words(_Column):
    """A value that a table shows in words, and everything else as it is."""

    def __init__(self, name: str, value: typing.Any) -> None:
        super().__init__(value)
        self._name = name

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Words):
            return NotImplemented
        return self._sort_key() < other._sort_key()

    def _sort_key(self) -> tuple[bool, typing.Any]:
        # what is not known comes last; an object has no order of its own
        value = self._value
        return value is None, str(value) if isinstance(value, dict) else value

    def human_readable(self) -> str:
        from osc_maintenance import view

        return view.value_in_words(self._name, self._value)


def rendered(
    parsed_args: argparse.Namespace,
    names: collections.abc.Iterable[str],
    rows: collections.abc.Iterable[collections.abc.Mapping[str, typing.Any]],
) -> tuple[list[str], list[list[Words]]]:
    """Columns and rows as cliff's formatters take them.

    :param parsed_args: the command's arguments, with the chosen formatter.
    :param names: the names of the fields to show.
    :param rows: values by field name.
    :returns: the names as that formatter shows them, and the values.
    """
    from osc_maintenance import view

    names = list(names)
    headers = names
    if parsed_args.formatter in _FOR_PEOPLE:
        headers = [view.in_words(name) for name in names]
    # cliff takes either spelling only since 4.17
    for option in ('columns', 'sort_columns'):
        asked = getattr(parsed_args, option, [])
        known = dict(zip(names, headers, strict=True))
        asked[:] = [
            known.get(column.lower().replace(' ', '_'), column)
            for column in asked
        ]
    return headers, [
        [Words(name, row[name]) for name in names] for row in rows
    ]
