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

"""What is fuzzed: each target takes any bytes, and raises only of a bug.

What a user is told, CommandError and what argparse makes of ValueError, is
caught where it may come from.
"""

import collections.abc
import contextlib
import dataclasses
import functools
import json
import typing
from unittest import mock

from novaclient import base as nova_base
from osc_lib import exceptions

from osc_maintenance import journal
from osc_maintenance import mark
from osc_maintenance import notice
from osc_maintenance.nova import answers
from osc_maintenance.nova import api
from osc_maintenance.nova import hosts
from osc_maintenance import overview
from osc_maintenance import owners
from osc_maintenance import placement
from osc_maintenance import record
from osc_maintenance import servers
from osc_maintenance.tests.unit import places as places_
from osc_maintenance.tests.unit import scenes
from osc_maintenance.tests.unit import spoil
from osc_maintenance.tests.unit import wire_items
from osc_maintenance import text
from osc_maintenance import times
from osc_maintenance import view


@dataclasses.dataclass(frozen=True)
class Target:
    """Something that is fuzzed.

    :ivar run: takes any bytes.
    :ivar seeds: bytes to begin with.
    :ivar structured: the bytes are JSON.
    """

    run: collections.abc.Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    structured: bool = False


def _json(data: bytes) -> typing.Any:
    try:
        return json.loads(data)
    except (RecursionError, ValueError):
        return None


def _harmless(told: str) -> None:
    assert told.isprintable(), repr(told)


def _times(data: bytes) -> None:
    typed = data.decode(errors='replace')
    for function in (times.parse_time, times.parse_deadline):
        with contextlib.suppress(ValueError):
            found = function(typed)
            shown = times.format_time(found)
            assert times.parse_iso_8601(shown) == found, shown
    with contextlib.suppress(ValueError):
        duration = times.parse_duration(typed)
        shown = times.format_duration(int(duration.total_seconds()))
        assert times.parse_duration(shown) == duration, shown


def _texts(data: bytes) -> None:
    typed = data.decode('utf-16', errors='surrogatepass')
    _harmless(text.escape(typed))
    _harmless(text.storable(typed))
    for function in (
        text.check_text,
        text.check_url,
        mark.check_reason,
        owners.check_reason,
    ):
        with contextlib.suppress(ValueError):
            _harmless(function(typed))


def _any_text(data: bytes) -> None:
    with contextlib.suppress(UnicodeDecodeError):
        _texts(data)
    _texts(data.decode(errors='replace').encode('utf-16'))


def _metadata(data: bytes) -> dict[str, str] | None:
    found = _json(data)
    if not isinstance(found, dict):
        return None
    return {k: v for k, v in found.items() if isinstance(v, str)}


def _records(data: bytes) -> None:
    metadata = _metadata(data)
    if metadata is None:
        return
    found = record.decode(metadata)
    if found:
        record.decode(record.encode(found))
        _harmless(text.escape(mark.disabled_reason(found)))
    for server in journal.decode(metadata).moves:
        assert text.is_id(server)
    host = scenes.claimed(scenes.host())
    assert host.aggregate is not None
    host.aggregate.metadata.update(metadata)
    reason = metadata.get('disabled_reason', 'maintenance 3f9a1c2e: x')
    host = scenes.disabled_by_somebody(host, reason=reason)
    fields = view.fields(host, scenes.load({'ACTIVE': 2}), None, scenes.NOW)
    for name, value in fields.items():
        _harmless(view.value_in_words(name, value))


def _owners(data: bytes) -> None:
    metadata = _metadata(data)
    if metadata is None:
        return
    server = servers.Server('a', 'web', said=metadata)
    for heed in owners.Heed:
        terms = owners.Terms('3f9a1c2e', heed, scenes.NOW)
        owners.kept(metadata, terms)
        _harmless(owners.in_vain(metadata, terms) or '')
        awaited = owners.awaited(metadata, terms, scenes.NOW - scenes.HOUR)
        _harmless(awaited.cause if awaited else '')
    found = notice.decode(metadata)
    if found:
        for name, value in notice.row(server, found, scenes.NOW).items():
            _harmless(view.value_in_words(name, value))
    for row in overview.of([server], '3f9a1c2e'):
        for line in overview.in_words(row).split('\n'):
            _harmless(line)


def _answers(data: bytes) -> None:
    body = _json(data)
    # novaclient makes one of an object only
    told = body if isinstance(body, dict) else {}
    item = nova_base.Resource(None, told, True)
    for read in (
        functools.partial(answers.server, body),
        functools.partial(answers.migration, body),
        functools.partial(answers.figures, body),
        functools.partial(answers.group, item),
        functools.partial(hosts._service, item),
        functools.partial(hosts._aggregate, item),
    ):
        _explained(read)
    client = mock.Mock(spec=['client'])
    client.client.get.return_value = (None, body)
    _explained(lambda: list(api.pages(client, 'servers', '/servers')))
    adapter = mock.Mock(spec=['get'])
    adapter.get.return_value.json.return_value = body
    asked = placement.Placement(adapter)
    for ask in (
        lambda: asked.node_in('a'),
        lambda: asked.held(['a']),
        lambda: asked.candidates('x'),
    ):
        with contextlib.suppress(placement.UnavailableError):
            ask()


def _explained(read: collections.abc.Callable[[], object]) -> None:
    try:
        with api.explained('It'):
            read()
    except exceptions.CommandError as exc:
        _harmless(str(exc))


def _commands(data: bytes) -> None:
    told = _json(data)
    if not isinstance(told, list) or len(told) != 4:
        return
    *numbers, value = told
    if not all(type(number) is int for number in numbers):
        return
    names = sorted(spoil.COMMANDS)
    name = names[numbers[0] % len(names)]
    bodies = spoil.bodies(name)
    wrong = sorted(bodies)[numbers[1] % len(bodies)]
    places = list(spoil.paths(bodies[wrong]))
    place = places[numbers[2] % len(places)]
    found = places_.wrong(places_.Case(name, wrong, place, value, 'table'))
    assert not found, found


def _seeds(*found: typing.Any) -> tuple[bytes, ...]:
    return tuple(json.dumps(item).encode() for item in found)


TARGETS = {
    'times': Target(
        _times, (b'2026-11-20T06:00:00+02:00', b'+1w2d3h4m5s', b'now', b'90m')
    ),
    'texts': Target(
        _any_text,
        (b'https://[::1]:80/7?a=b#c', b'\x1b[2J', 'x\u202e'.encode('utf-16')),
    ),
    'records': Target(
        _records,
        _seeds(
            record.encode(
                record.Record(
                    id='3f9a1c2e',
                    start=scenes.NOW,
                    end=scenes.NOW + scenes.HOUR,
                    set_at=scenes.NOW,
                    reason='kernel',
                    before=scenes.NIC,
                )
            ),
            {
                'maintenance:drain': 'started',
                'maintenance:move:a': 'live-migrate 7 u',
                'maintenance:return:a': 'cold-migrate 8',
                'maintenance:stayed:a': 'x',
                'maintenance:stopped:a': 'x y',
                'maintenance:idle_since': '2026-11-20T06:00:00Z',
                'disabled_reason': 'maintenance 3f9a1c2e: x http://a/ '
                '[before: disabled: y]',
            },
        ),
        structured=True,
    ),
    'owners': Target(
        _owners,
        _seeds(*(item['metadata'] for item in wire_items.servers())),
        structured=True,
    ),
    'answers': Target(
        _answers,
        _seeds(
            *wire_items.servers(),
            *wire_items.migrations(),
            *wire_items.groups(),
            *wire_items.services(),
            {'servers': wire_items.servers(), 'servers_links': []},
            {**wire_items.providers('a'), **wire_items.ALLOCATIONS},
            {**wire_items.providers('a'), **wire_items.INVENTORIES},
            wire_items.CANDIDATES,
            wire_items.COPYING['migrations'][0],
            {'id': 5, 'uuid': 'a', 'name': 'x', 'hosts': [], 'metadata': {}},
        ),
        structured=True,
    ),
    'commands': Target(
        _commands,
        _seeds(
            *(
                [number, number, 3 * number, value]
                for number, value in enumerate(spoil.VALUES[1:])
            )
        ),
        structured=True,
    ),
}
