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

"""Every place of every answer, and what no command may make of it."""

import collections.abc
import functools
import re
import typing
import zlib

from cliff import lister

from osc_maintenance.tests.unit import spoil

#: Answers that not all hangs on: where one is none that is said, and the
#: command goes on. After any other nothing is written.
OPTIONAL = frozenset(
    (
        # they help to choose, or tell more
        'GET /allocation_candidates',
        'GET /os-hypervisors/detail',
        'GET /os-server-groups',
        'GET /resource_providers',
        'GET /resource_providers/{}/allocations',
        'GET /resource_providers/{}/inventories',
        'GET /servers/{}/migrations',
        'GET /servers/{}/os-instance-actions',
        'GET /servers/{}/os-instance-actions/{}',
        'GET /v2/images/{}',
        # they are about one server, and there are others
        'GET /servers/{}',
        'POST /servers/{}/metadata',
    )
)
#: What is written rests on these.
_RECORDS = ('/os-aggregates', '/os-services')
_WRITERS = ('set', 'unset', 'apply')
#: Fields of which Nova may leave out what is in them, or which are not ours to
#: read: what is below them may be missing, or they may be so themselves.
_LOOSE = frozenset(('metadata',))
_UNREAD = ('availability_zone', 'binary', 'forced_down', 'updated_at')
#: A service in a cell that is down has neither.
_SPARE = frozenset((*_UNREAD, 'state', 'zone'))
#: What is put back as it was, whatever that is.
_RESTORED = ('disabled_reason', 'maintenance:before_reason')
#: What a request that changes something may look like.
_PATH = re.compile('[A-Z]+ [0-9A-Za-z_:/-]+')
_FORMATTERS = ('table', 'json', 'value', 'yaml')


class Case(typing.NamedTuple):
    """A command with something wrong at one place of one answer."""

    name: str
    route: str
    place: spoil.Path
    value: typing.Any
    formatter: str


def every() -> collections.abc.Iterator[Case]:
    """Every command with every value at every place; formatters take turns."""
    for (route, place), names in _places().items():
        for name in names:
            for value in spoil.VALUES:
                yield _case(name, route, place, value)


def some(value: typing.Any) -> collections.abc.Iterator[Case]:
    """Every place of every answer once; the commands take turns.

    :param value: what is there instead; None for any but MISSING and EVIL, in
        turn.
    """
    others = [v for v in spoil.VALUES if v not in (spoil.MISSING, spoil.EVIL)]
    for (route, place), names in _places().items():
        turn = _turn(route, place, value)
        yield _case(
            names[turn % len(names)],
            route,
            place,
            others[turn % len(others)] if value is None else value,
        )


def wrong(case: Case) -> list[str]:
    """What is wrong with what a command makes of it, for people to read."""
    return faults(_outcome(case), case.route, case.place)


def _outcome(case: Case) -> spoil.Outcome:
    """What a command makes of it."""

    def change(route: str, body: typing.Any) -> typing.Any:
        if route != case.route:
            return body
        return spoil.spoiled(body, case.place, case.value)

    cloud = spoil.cloud_of(case.name)
    return spoil.run(case.name, cloud, change, case.formatter)


def faults(outcome: spoil.Outcome, route: str, place: spoil.Path) -> list[str]:
    """What is wrong with an outcome, for people to read.

    :param outcome: what a command has done.
    :param route: whose answers were spoiled.
    :param place: where.
    """
    found = []
    if not outcome.harmless:
        found.append(f'printed: {outcome.said!r}')
    if 'Traceback' in outcome.said:
        found.append(outcome.said)
    if route not in OPTIONAL and outcome.no_answer and outcome.later:
        found.append(f'written after an answer that is none: {outcome.later}')
    if not {*place} & {*_RESTORED}:
        found += [
            f'written: {word!r}'
            for word in _texts(outcome.sent)
            if not word.isprintable()
        ]
    found += [
        f'asked for: {write!r}'
        for write in (*outcome.writes, *outcome.later)
        if not _PATH.fullmatch(write)
    ]
    return found


def without() -> collections.abc.Iterator[Case]:
    """Every place of a record or service without which nothing is written."""
    for (route, place), every_name in _places().items():
        names = [n for n in every_name if n.startswith(_WRITERS)]
        if not (names and place and any(item in route for item in _RECORDS)):
            continue
        last = place[-1]
        values: tuple[typing.Any, ...] = (spoil.MISSING, None, [])
        for value in values:
            empty = (value == [] and last == 'hosts') or (
                # the only member; a reason that there is none of
                isinstance(last, int)
                or (value is None and last == 'disabled_reason')
            )
            if not (empty or last in _SPARE or _LOOSE & {*place[:-1]}):
                turn = _turn(route, place, value)
                yield _case(names[turn % len(names)], route, place, value)


def unmissed(case: Case) -> list[str]:
    """What is written although something is missing, and without a word."""
    outcome = _outcome(case)
    told = outcome.error or outcome.no_answer
    return [] if told else outcome.later


def _case(name: str, route: str, place: spoil.Path, value: typing.Any) -> Case:
    _before, kind, _arguments = spoil.COMMANDS[name]
    more = 'csv' if issubclass(kind, lister.Lister) else 'shell'
    formatters = (*_FORMATTERS, more)
    turn = _turn(name, route, place, value)
    return Case(name, route, place, value, formatters[turn % len(formatters)])


def _turn(*told: typing.Any) -> int:
    """A number that is the same in each run, whatever else there is."""
    return zlib.crc32(repr(told).encode())


@functools.cache
def _places() -> dict[tuple[str, spoil.Path], list[str]]:
    """The commands that are answered so, by route and place."""
    found: dict[tuple[str, spoil.Path], list[str]] = {}
    for name in spoil.COMMANDS:
        for route, body in spoil.bodies(name).items():
            for place in spoil.paths(body):
                found.setdefault((route, place), []).append(name)
    return found


def _texts(sent: typing.Any) -> collections.abc.Iterator[str]:
    """The words in a body, keys as well."""
    if isinstance(sent, str):
        yield sent
    elif isinstance(sent, dict):
        yield from sent
        yield from _texts(list(sent.values()))
    elif isinstance(sent, list):
        for item in sent:
            yield from _texts(item)
