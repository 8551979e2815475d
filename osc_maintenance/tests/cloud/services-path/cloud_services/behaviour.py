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

"""How a server behaves when it is booted or moved: what tests ask for."""

import collections.abc
import dataclasses
import math
import threading
import typing

EVERY_SERVER = '*'

FAILURES = {
    'dest-check': 'the check on the destination',
    'source-check': 'the check on the source',
    'pre': 'the preparation on the destination',
    'copy': 'the copy of the memory, which is rolled back',
    'driver': 'the driver, half-way through the copy',
    'post': 'the work on the source after the copy',
    'cold-check': 'the source of a cold migration, before it does anything',
    'cold': 'the source of a cold migration, half-way',
    'spawn': 'starting the guest (boot, cold migration, evacuation)',
}
_SECONDS = ('seconds', 'cold-seconds', 'spawn-seconds')
_FLAGS = ('hang', 'noabort', 'noforce')


@dataclasses.dataclass(frozen=True)
class Behaviour:
    """What the driver does with one server."""

    #: how long a live migration copies the memory
    seconds: float = 0.5
    #: how long a cold migration copies the disk, on the source; if that is
    #: for ever, it ends when it is told otherwise
    cold_seconds: float = 0.0
    #: how long it takes to start the guest, likewise
    spawn_seconds: float = 0.0
    #: where it fails, one of FAILURES
    fail: str | None = None
    #: the copy never ends unless the migration is aborted or forced
    hang: bool = False
    #: aborting a live migration has no effect
    noabort: bool = False
    #: forcing a live migration to complete has no effect
    noforce: bool = False


def parse(words: collections.abc.Iterable[str]) -> dict[str, typing.Any]:
    """Read `seconds=8`, `fail=copy`, `hang`, ...

    :raises ValueError: a word isn't any of these
    """
    fields: dict[str, typing.Any] = {}
    for word in words:
        key, equals, value = word.partition('=')
        if key in _SECONDS and equals:
            seconds = float(value)
            # A live migration that takes for ever is one that hangs.
            endless = key == 'seconds' and math.isinf(seconds)
            if endless or not seconds >= 0:
                raise ValueError(f'{word}: not a number of seconds')
            fields[key.replace('-', '_')] = seconds
        elif key == 'fail' and value in FAILURES:
            fields[key] = value
        elif word in _FLAGS:
            fields[key] = True
        else:
            raise ValueError(
                f'{word}: neither {"=S, ".join(_SECONDS)}=S, '
                f'{", ".join(_FLAGS)} nor '
                f'fail= with one of {", ".join(FAILURES)}'
            )
    return fields


class Behaviours:
    """The behaviour of each server, by its UUID, its name, host or for all.

    The closest wins, field by field: UUID over name over host over all.
    """

    def __init__(self) -> None:
        self._fields: dict[str, dict[str, typing.Any]] = {}
        self._lock = threading.Lock()

    def set(self, server: str, words: collections.abc.Iterable[str]) -> None:
        """Let a server behave so, instead of what was asked for before."""
        fields = parse(words)
        with self._lock:
            self._fields[server] = fields

    def forget(self, server: str | None = None) -> None:
        """Let a server, or all of them, behave as usual again."""
        with self._lock:
            if server is None:
                self._fields.clear()
            else:
                self._fields.pop(server, None)

    def of(self, uuid: str, name: str, host: str | None = None) -> Behaviour:
        """How a server behaves, on a certain host."""
        fields: dict[str, typing.Any] = {}
        with self._lock:
            for key in (EVERY_SERVER, host, name, uuid):
                fields.update(self._fields.get(key or '', {}))
        return Behaviour(**fields)

    def as_dict(self) -> dict[str, dict[str, typing.Any]]:
        """What was asked for, to be shown."""
        with self._lock:
            return {key: dict(value) for key, value in self._fields.items()}


#: those of this cloud
ALL = Behaviours()
