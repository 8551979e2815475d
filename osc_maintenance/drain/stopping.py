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

"""Stopping servers where they are, when all that moves has moved."""

import collections.abc

from osc_lib import exceptions

from osc_maintenance.drain import ending as ending_
from osc_maintenance.drain import events
from osc_maintenance.drain import journey
from osc_maintenance.drain import leaving
from osc_maintenance.drain import limit
from osc_maintenance.drain import loop
from osc_maintenance.drain import moves as moves_
from osc_maintenance.drain import options as options_
from osc_maintenance.nova import api
from osc_maintenance.nova import servers as servers_api
from osc_maintenance import servers

#: How soon to look again whether servers have stopped, in seconds.
_AGAIN = 2.0


class Stopping:
    """Stops the servers that are to be stopped, and no others.

    That they are is noted before, so that what ends the maintenance can start
    just them again.

    :param nova: the servers of Nova.
    :param journey: has judged the servers, and notes it.
    :param options: how long to wait.
    :param report: is told what happens.
    :param clock: the present in seconds, never going back.
    :param pause: waits for some seconds; True means that it was interrupted.
    """

    def __init__(
        self,
        nova: servers_api.Servers,
        journey: leaving.Leaving,
        options: options_.Options,
        report: collections.abc.Callable[[events.Event], None],
        clock: collections.abc.Callable[[], float],
        pause: collections.abc.Callable[[float], bool],
    ) -> None:
        self._servers = nova
        self._journey = journey
        self._options = options
        self._report = report
        self._clock = clock
        self._pause = pause
        # what Nova has said instead of an answer, by the ids of the servers
        self._unanswered: dict[str, str] = {}

    def run(
        self, moves: collections.abc.Collection[moves_.Move], until: float
    ) -> loop.Ending | None:
        """Stop them, and see that they are, once all others have gone.

        :param moves: all servers; what becomes of those that are stopped is
            noted in them.
        :param until: when the whole is over, by the clock.
        :returns: how it ended, if before its time.
        :raises LostError: if the maintenance is no longer what it was.
        :raises CommandError: if Nova does not answer.
        """
        chosen = [
            move
            for move in moves
            if move.outcome is moves_.Outcome.LEFT and move.verdict.stops
        ]
        if not chosen or self._others_go_first(moves):
            return None
        found = {item.id: item for item in self._look()}
        chosen = [
            move
            for move in chosen
            # a colleague may have moved it
            if move.server.id in found or not self._gone(move)
        ]
        if not chosen:
            return None
        self._journey.check()
        self._journey.note_stops(move.server.id for move in chosen)
        pending: list[moves_.Move] = []
        for move in chosen:
            if self._pause(0):
                return _left(pending, loop.Ending.INTERRUPTED)
            if self._begin(move):
                pending.append(move)
        patience = self._options.server_timeout or limit.PATIENCE
        enough = self._clock() + patience
        while True:
            found = {item.id: item for item in self._look()}
            pending = [
                move
                for move in pending
                if not self._ended(move, found.get(move.server.id))
            ]
            if not pending:
                return None
            now, ending = self._clock(), None
            if now >= until:
                ending = loop.Ending.TIMED_OUT
            elif self._options.wait and now < enough:
                if not self._pause(_AGAIN):
                    continue
                ending = loop.Ending.INTERRUPTED
            elif self._options.wait:
                for move in pending:
                    # once it is stopped after all it is started again
                    move.end(moves_.Outcome.FAILED, 'does not stop')
                    self._report(events.Ended(move))
                return None
            return _left(pending, ending)

    def _others_go_first(
        self, moves: collections.abc.Collection[moves_.Move]
    ) -> bool:
        """Whether somebody goes on with this when others have gone."""
        return not self._options.wait and (
            any(move.open for move in moves) or ending_.awaits_owners(moves)
        )

    def _look(self) -> tuple[servers.Server, ...]:
        return api.patiently(
            lambda: self._servers.on(self._journey.host), self._pause
        )

    def _begin(self, move: moves_.Move) -> bool:
        """Ask Nova to stop one; whether it is to be waited for."""
        asked = False

        def ask() -> None:
            nonlocal asked
            # who ends the maintenance starts what is stopped by then
            self._journey.check_now()
            asked = True
            self._servers.stop(move.server)

        try:
            api.patiently(ask, self._pause)
        except journey.LostError:
            raise
        except api.TransientError as exc:
            if not asked:
                self._failed(move, f'was not stopped: {exc}')
                return False
            # whether Nova has taken it will be seen
            self._unanswered[move.server.id] = str(exc)
        except exceptions.CommandError as exc:
            now = self._servers.server(move.server.id)
            if now and not (now.stopping or now.vm_state == 'stopped'):
                self._failed(move, str(exc))
                return False
        self._report(events.Stopping(move))
        return True

    def _gone(self, move: moves_.Move) -> bool:
        """Note where one is that is not listed, if it is not here."""
        server = self._servers.server(move.server.id)
        if server is None or server.deleted:
            move.end(moves_.Outcome.DELETED)
        elif server.host != self._journey.host:
            where = server.host or 'no host'
            move.end(moves_.Outcome.LEFT, f'is on {where} by now')
        else:
            # Nova leaves out of a list what a cell does not tell in time
            move.server = server
            return False
        self._report(events.Ended(move))
        return True

    def _ended(self, move: moves_.Move, server: servers.Server | None) -> bool:
        """Note what has become of one, if that is known."""
        if server is None:
            if self._gone(move):
                return True
            server = move.server
        move.server = server
        if server.vm_state == 'stopped' and not server.task_state:
            move.end(moves_.Outcome.STOPPED, move.verdict.cause)
            self._report(events.Ended(move))
            return True
        if server.task_state is None:
            told = self._servers.trouble(server, 'stop')
            why = told or self._unanswered.get(
                server.id, 'Nova does not tell why'
            )
            self._failed(move, f'was not stopped: {why}')
            return True
        return False

    def _failed(self, move: moves_.Move, cause: str) -> None:
        self._journey.note_stops((), [move.server.id])
        move.end(moves_.Outcome.FAILED, cause)
        self._report(events.Ended(move))


def _left(
    pending: collections.abc.Iterable[moves_.Move], ending: loop.Ending | None
) -> loop.Ending | None:
    """Say of those that were asked to stop that nobody waits for them."""
    for move in pending:
        move.cause = f'is being stopped: {move.verdict.cause}'
    return ending
