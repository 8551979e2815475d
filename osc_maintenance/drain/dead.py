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

"""What may never end, as a nova-compute is down."""

import collections.abc
import contextlib
import math
import typing

from osc_lib import exceptions

from osc_maintenance.drain import events
from osc_maintenance.drain import limit
from osc_maintenance.drain import moves as moves_
from osc_maintenance import text

if typing.TYPE_CHECKING:
    from osc_maintenance.nova import hosts as hosts_

#: How long nothing has changed before hosts are looked at, and how often they
#: are then, in seconds.
_SEARCH = 60.0


class Search:
    """Looks at the hosts that servers go to, where nothing happens for long.

    :param is_down: whether nova-compute on a host is down.
    :param clock: the present in seconds, never going back.
    """

    def __init__(
        self,
        is_down: collections.abc.Callable[[str], bool],
        clock: collections.abc.Callable[[], float],
    ) -> None:
        self._is_down = is_down
        self._clock = clock
        self._next = -math.inf
        # since when, by the names of the hosts
        self._down: dict[str, float] = {}

    def look(
        self, moves: collections.abc.Iterable[moves_.Move], changed: float
    ) -> collections.abc.Iterator[events.Down]:
        """Look, and give up what needs a host that is down for long.

        :param moves: what is in motion.
        :param changed: when something has changed, by the clock.
        :returns: the hosts whose nova-compute has gone down, or is up again.
        """
        now = self._clock()
        idle = now - changed >= _SEARCH
        if now < self._next or not (idle or self._down):
            return
        self._next = now + _SEARCH
        needed = _needed(moves)
        for host in sorted(needed.keys() | self._down.keys()):
            is_down = self._is_down(host)
            if is_down is not (host in self._down):
                yield events.Down(host, is_down)
            held_up = needed.get(host, [])
            if not is_down:
                self._down.pop(host, None)
                _take_up(held_up, host)
            elif now - max(self._down.setdefault(host, now), changed) >= (
                limit.PATIENCE
            ):
                give_up(held_up, host)


def give_up(moves: collections.abc.Iterable[moves_.Move], host: str) -> None:
    """Give moves up that nobody tells anything about any more.

    :param moves: what is in motion.
    :param host: a host that they need, whose nova-compute is down.
    """
    for move in moves:
        if not move.given_up:
            move.given_up = True
            move.cause = _why(host)


def _take_up(moves: collections.abc.Iterable[moves_.Move], host: str) -> None:
    """Wait once more for those that were given up for a host."""
    for move in moves:
        if move.given_up and move.cause == _why(host):
            move.given_up, move.cause = False, None


def _needed(
    moves: collections.abc.Iterable[moves_.Move],
) -> dict[str, list[moves_.Move]]:
    """The hosts that moves in motion need, and which need them."""
    needed: dict[str, list[moves_.Move]] = {}
    for move in moves:
        if move.in_motion and move.migration:
            for host in move.migration.needs:
                needed.setdefault(host, []).append(move)
    return needed


def find(
    nova: 'hosts_.Hosts', moves: collections.abc.Iterable[moves_.Move]
) -> collections.abc.Iterator[events.Down]:
    """Say of what is no longer waited for that it may never end.

    :param nova: the hosts of Nova.
    :param moves: what has become of each server; the causes of those in motion
        are changed.
    :returns: the hosts whose nova-compute is down.
    """
    for host, held_up in sorted(_needed(moves).items()):
        if not is_down(nova, host):
            continue
        yield events.Down(host, True)
        for move in held_up:
            told, why = move.cause or '', _why(host)
            if why not in told:
                move.cause = f'{told}; {why}' if told else why


def is_down(nova: 'hosts_.Hosts', host: str) -> bool:
    """Whether nova-compute on a host is down, as far as Nova tells.

    :param nova: the hosts of Nova.
    :param host: the host.
    """
    with contextlib.suppress(exceptions.CommandError):
        service = nova.service(host)
        return service is not None and service.state == 'down'
    # nothing depends on it
    return False


def _why(host: str) -> str:
    return (
        f'nova-compute on {text.escape(host)} is down: Nova does not know '
        'how far its move is'
    )
