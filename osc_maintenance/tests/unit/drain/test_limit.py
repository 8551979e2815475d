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

import dataclasses
import math
import typing

from osc_lib import exceptions
from oslotest import base

from osc_maintenance.drain import limit
from osc_maintenance.drain import moves
from osc_maintenance.drain import options
from osc_maintenance.drain import verdict
from osc_maintenance.nova import api
from osc_maintenance.nova import servers as servers_api
from osc_maintenance import servers

_A = verdict.Action
_ABORT, _FORCE, _LEAVE = options.OnTimeout


class Nova:
    """Notes what is done to migrations."""

    def __init__(self, error: Exception | None = None) -> None:
        self.done: list[tuple[str, int]] = []
        self.error = error

    def abort(
        self, server: servers.Server, migration: servers.Migration
    ) -> None:
        self._do('abort', server, migration)

    def force_complete(
        self, server: servers.Server, migration: servers.Migration
    ) -> None:
        self._do('force', server, migration)

    def _do(
        self, what: str, server: servers.Server, migration: servers.Migration
    ) -> None:
        assert server.id == migration.server
        self.done.append((what, migration.id))
        if self.error:
            raise self.error


def moving(
    action: _A = _A.LIVE_MIGRATE, running: float | None = 1000
) -> moves.Move:
    """A move that Nova has begun at 1000."""
    move = moves.Move(servers.Server('s1', 'web1'), verdict.Verdict(action))
    move.begin(900, unsure=False)
    kind = verdict.KINDS[action]
    move.migration = servers.Migration(7, 's1', kind, 'running', user='u')
    move.running = running
    return move


class TestEnforce(base.BaseTestCase):
    def enforce(
        self,
        nova: Nova,
        move: moves.Move,
        age: float,
        on_timeout: options.OnTimeout = _ABORT,
        timeout: float | None = 60,
    ) -> bool:
        return limit.enforce(
            typing.cast(servers_api.Servers, nova),
            options.Options(server_timeout=timeout, on_timeout=on_timeout),
            move,
            1000 + age,
        )

    def test_nothing_is_done_before_its_time_is_over(self) -> None:
        for age, timeout, running in (
            (59.9, 60, 1000),
            (9999, None, 1000),
            # Nova lets it wait
            (9999, 60, None),
        ):
            nova, move = Nova(), moving(running=running)
            done = self.enforce(nova, move, age, timeout=timeout)
            self.assertFalse(done)
            self.assertEqual([], nova.done)
            self.assertIsNone(move.overdue)

    def test_nothing_is_done_before_nova_has_recorded_it(self) -> None:
        move = moving()
        move.migration = None
        self.assertFalse(self.enforce(Nova(), move, 9999))

    def test_what_is_done(self) -> None:
        for on_timeout, action, done, gives_up, overdue in (
            (_ABORT, _A.LIVE_MIGRATE, ['abort'], False, 'was aborted'),
            (_FORCE, _A.LIVE_MIGRATE, ['force'], False, 'was forced to comp'),
            (_LEAVE, _A.LIVE_MIGRATE, [], True, 'was left to go on'),
            (_ABORT, _A.COLD_MIGRATE, [], True, 'live migrations only'),
            (_FORCE, _A.COLD_MIGRATE, [], True, 'live migrations only'),
            (_LEAVE, _A.COLD_MIGRATE, [], True, 'was left to go on'),
            (_ABORT, _A.EVACUATE, [], True, 'live migrations only'),
        ):
            nova, move = Nova(), moving(action)
            self.assertTrue(self.enforce(nova, move, 60, on_timeout))
            self.assertEqual([(what, 7) for what in done], nova.done)
            self.assertEqual(gives_up, move.given_up)
            self.assertIn('took longer than 1m and', move.overdue or '')
            self.assertIn(overdue, move.overdue or '')
            # it takes a slot in any case, and is told about once
            self.assertTrue(move.moving)
            self.assertFalse(self.enforce(nova, move, 61, on_timeout))
            self.assertEqual(len(done), len(nova.done))

    def test_it_gets_as_long_again_and_is_given_up_then(self) -> None:
        for on_timeout in (_ABORT, _FORCE):
            nova, move = Nova(), moving()
            self.enforce(nova, move, 60, on_timeout)
            self.assertFalse(self.enforce(nova, move, 119, on_timeout))
            self.assertFalse(move.given_up)
            self.assertTrue(self.enforce(nova, move, 120, on_timeout))
            self.assertTrue(move.given_up)
            self.assertIn('without effect so far', move.cause or '')
            self.assertFalse(self.enforce(nova, move, 999, on_timeout))
            self.assertEqual(1, len(nova.done))

    def test_what_nova_does_not_take_is_tried_again(self) -> None:
        for error in (
            api.OvertakenError('it has ended'),
            api.TransientError('HTTP 503'),
            exceptions.CommandError('HTTP 400'),
        ):
            nova, move = Nova(error), moving()
            self.assertFalse(self.enforce(nova, move, 60))
            self.assertIsNone(move.overdue)
            nova.error = None
            self.assertTrue(self.enforce(nova, move, 61))
            self.assertEqual([('abort', 7)] * 2, nova.done)

    def test_what_nova_refuses_for_good_is_given_up(self) -> None:
        for on_timeout, done in ((_ABORT, 'abort'), (_FORCE, 'force')):
            nova = Nova(exceptions.CommandError('HTTP 403'))
            move = moving()
            for age in (60, 119):
                self.assertFalse(self.enforce(nova, move, age, on_timeout))
                self.assertFalse(move.given_up)
            self.assertTrue(self.enforce(nova, move, 120, on_timeout))
            self.assertTrue(move.given_up)
            self.assertEqual(
                'took longer than 1m, and Nova does not stop it: HTTP 403',
                move.cause,
            )
            self.assertFalse(self.enforce(nova, move, 999, on_timeout))
            self.assertEqual([(done, 7)] * 3, nova.done)

    def test_that_of_somebody_else_is_not_stopped(self) -> None:
        for on_timeout in (_ABORT, _FORCE, _LEAVE):
            nova, move = Nova(), moving()
            move.ours = False
            self.assertTrue(self.enforce(nova, move, 60, on_timeout))
            self.assertEqual([], nova.done)
            self.assertTrue(move.given_up)
            self.assertIn('somebody else moves it', move.cause or '')

    def test_that_of_nobody_knows_whom_is_not_stopped(self) -> None:
        nova, move = Nova(), moving()
        assert move.migration
        move.ours = False
        move.migration = dataclasses.replace(move.migration, user=None)
        self.assertTrue(self.enforce(nova, move, 60, _ABORT))
        self.assertEqual([], nova.done)
        self.assertIn('whom Nova does not name', move.cause or '')


class TestNextOne(base.BaseTestCase):
    def test_when_it_is_to_be_looked_at(self) -> None:
        later = moving(running=1010)
        stopped = moving(running=1000)
        stopped.overdue = 'took longer than 30s and was aborted'
        for found, timeout, seconds in (
            ((moving(),), 30.0, 20.0),
            ((later, moving()), 30.0, 20.0),
            ((later,), 30.0, 30.0),
            ((moving(running=None),), 30.0, math.inf),
            ((stopped,), 30.0, math.inf),
            # its time is over, and nothing could be done
            ((moving(),), 5.0, math.inf),
            ((moving(),), None, math.inf),
            ((), 30.0, math.inf),
        ):
            how = options.Options(server_timeout=timeout)
            self.assertEqual(seconds, limit.next_one(how, found, 1010.0))
