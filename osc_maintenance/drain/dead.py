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
import typing

from osc_lib import exceptions

from osc_maintenance.drain import events
from osc_maintenance.drain import moves as moves_
from osc_maintenance import text

if typing.TYPE_CHECKING:
    from osc_maintenance.nova import hosts as hosts_


def give_up(moves: collections.abc.Iterable[moves_.Move], host: str) -> None:
    """Give moves up that nobody tells anything about any more.

    :param moves: what is in motion.
    :param host: a host that they need, whose nova-compute is down.
    """
    for move in moves:
        if not move.given_up:
            move.given_up = True
            move.cause = _why(host)


def that_need(
    host: str, moves: collections.abc.Iterable[moves_.Move]
) -> collections.abc.Iterator[moves_.Move]:
    """Those of some moves that cannot end while a host is down.

    :param host: the host.
    :param moves: the moves.
    """
    for move in moves:
        if move.migration and host in move.migration.needs:
            yield move


def find(
    nova: 'hosts_.Hosts', moves: collections.abc.Iterable[moves_.Move]
) -> collections.abc.Iterator[events.Down]:
    """Say of what nothing is heard of that it may never end.

    Until then the host that is drained is looked at now and then only, and
    others are not.

    :param nova: the hosts of Nova.
    :param moves: what has become of each server; the causes of those in motion
        are changed.
    :returns: the hosts whose nova-compute is down.
    """
    needed: dict[str, list[moves_.Move]] = {}
    for move in moves:
        if move.in_motion and move.migration:
            for host in move.migration.needs:
                needed.setdefault(host, []).append(move)
    for host, held_up in sorted(needed.items()):
        if not _is_down(nova, host):
            continue
        yield events.Down(host, True)
        for move in held_up:
            told, why = move.cause or '', _why(host)
            if why not in told:
                move.cause = f'{told}; {why}' if told else why


def _is_down(nova: 'hosts_.Hosts', host: str) -> bool:
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
