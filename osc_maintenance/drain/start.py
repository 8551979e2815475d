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


"""Asking Nova to move servers, some of them side by side."""

import collections.abc
import functools
import typing

from osc_lib import exceptions

from osc_maintenance.drain import events
from osc_maintenance.drain import journey as journey_
from osc_maintenance.drain import moves as moves_
from osc_maintenance.drain import settle
from osc_maintenance.drain import verdict
from osc_maintenance.nova import api
from osc_maintenance import parallel

if typing.TYPE_CHECKING:
    from osc_maintenance.nova import servers as servers_api

_LONGEST_PAUSE = 30.0


class Started(typing.NamedTuple):
    """What has become of some requests.

    :ivar go_on: others may be asked for at once.
    :ivar free: a slot is left for another server.
    :ivar met: somebody else is at work on this host.
    """

    go_on: bool = True
    free: bool = False
    met: bool = False


class Starter:
    """Asks Nova to move servers.

    :param nova: the servers of Nova.
    :param journey: where they are moved.
    :param settler: says what has become of those that Nova refuses.
    :param clock: the present in seconds, never going back.
    """

    def __init__(
        self,
        nova: 'servers_api.Servers',
        journey: journey_.Journey,
        settler: settle.Settler,
        clock: collections.abc.Callable[[], float],
    ) -> None:
        self._servers = nova
        self._journey = journey
        self._settler = settler
        self._clock = clock

    def start(
        self, batch: collections.abc.Iterable[moves_.Move], look: journey_.Look
    ) -> collections.abc.Generator[events.Event, None, Started]:
        """Ask for some moves, side by side, and wait for all answers.

        :param batch: the moves.
        :param look: the latest look.
        :returns: what has happened, and in the end what that means.
        """
        asked = []
        for move in batch:
            known = look.migrations.get(move.server.id)
            move.after = max(move.after, known.id if known else 0)
            target = self._journey.target(move)
            ask = functools.partial(self._ask, move, target)
            asked.append((move, parallel.start(ask)))
        started = Started()
        for move, answer in asked:
            try:
                move.request = answer.result()
            except api.OvertakenError as exc:
                started = started._replace(go_on=False, free=True, met=True)
                yield self._met_somebody(move, str(exc))
            except api.TransientError as exc:
                started = started._replace(go_on=False)
                move.begin(self._clock(), unsure=True)
                move.cause = str(exc)
                yield events.Trouble(str(exc), 0.0)
            except exceptions.CommandError as exc:
                # its slot is for the next one
                started = started._replace(free=True)
                yield self._settler.end(move, moves_.Outcome.FAILED, str(exc))
            else:
                move.begin(self._clock(), unsure=False)
                self._settler.changed = self._clock()
                yield events.Started(move)
        return started

    def _ask(self, move: moves_.Move, target: str | None) -> str | None:
        match move.verdict.action:
            case verdict.Action.LIVE_MIGRATE:
                return self._servers.live_migrate(move.server, target)
            case verdict.Action.COLD_MIGRATE:
                return self._servers.cold_migrate(move.server, target)
            case verdict.Action.EVACUATE:
                return self._servers.evacuate(move.server, target)
            case other:
                raise AssertionError(f'{move.label} is not moved: {other}')

    def _met_somebody(self, move: moves_.Move, cause: str) -> events.Event:
        """Nova says that somebody else is busy with a server."""
        move.conflicts += 1
        if move.conflicts > settle.MOST_CONFLICTS:
            return self._settler.end(move, moves_.Outcome.FAILED, cause)
        pause = min(2.0**move.conflicts, _LONGEST_PAUSE)
        move.wait(self._clock() + pause)
        return events.Retrying(move, cause, pause)
