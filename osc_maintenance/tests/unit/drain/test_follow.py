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

"""Single looks, told one after the other; what makes of them the follower."""

import typing

from osc_lib import exceptions
from oslotest import base

from osc_maintenance.drain import events
from osc_maintenance.drain import follow
from osc_maintenance.drain import journey
from osc_maintenance.drain import moves
from osc_maintenance.drain import options
from osc_maintenance.drain import settle
from osc_maintenance.drain import verdict
from osc_maintenance.nova import api
from osc_maintenance.nova import servers as servers_api
from osc_maintenance import servers

_A = verdict.Action
_LIVE, _COLD = servers.LIVE_MIGRATION, servers.COLD_MIGRATION


class Nova:
    """Answers what it is told to, and notes what is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.reason: str | None = 'no room'
        self.found: servers.Server | None = None
        self.refusal: Exception | None = None
        #: what a listing by host and time has missed
        self.recorded: list[servers.Migration] = []

    def server(self, server: str) -> servers.Server | None:
        self.asked.append('server')
        assert server == 's1'
        return self.found

    def migrations(self, *, server: str) -> list[servers.Migration]:
        assert server == 's1'
        return self.recorded

    def why(
        self, _server: str, _kind: str, _request: str | None
    ) -> str | None:
        self.asked.append('why')
        return self.reason

    def aborted_by(self, _server: str) -> str | None:
        self.asked.append('aborted_by')
        return None

    def confirm(self, _server: servers.Server) -> None:
        self.asked.append('confirm')
        if self.refusal:
            raise self.refusal


class FollowTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.afresh()

    def afresh(self, **how: typing.Any) -> None:
        """One server on a host, that nobody moves yet."""
        self.now = 1000.0
        self.nova = Nova()
        self.ours = True
        nova = typing.cast(servers_api.Servers, self.nova)
        chosen = options.Options(**how)
        self.follower = follow.Follower(
            nova,
            chosen,
            lambda: self.now,
            lambda _migration: self.ours,
            settle.Settler(nova, chosen, lambda: self.now),
        )
        self.server = servers.Server('s1', 'web1', host='h1')
        self.nova.found = self.server

    def row(
        self, status: str, kind: str = _LIVE, number: int = 7
    ) -> servers.Migration:
        return servers.Migration(number, 's1', kind, status, 'h1', 'h2')

    def look(
        self,
        row: servers.Migration | None = None,
        *,
        here: bool = True,
        fresh: bool = True,
        action: _A = _A.LIVE_MIGRATE,
    ) -> journey.Look:
        found = {'s1': self.server} if here else {}
        return journey.Look(
            here=found,
            migrations={'s1': row} if row else {},
            verdicts={item: verdict.Verdict(action) for item in found},
            groups={},
            fresh=fresh,
        )

    def begin(self, action: _A = _A.LIVE_MIGRATE) -> moves.Move:
        """Its move is asked for."""
        list(self.follower.adopt(self.look(action=action)))
        move = self.follower.moves['s1']
        move.begin(self.now, unsure=False)
        return move

    def follow(
        self,
        row: servers.Migration | None = None,
        seconds: float = 1,
        **how: typing.Any,
    ) -> list[str]:
        """What the next look is made of, as the names of events."""
        self.now += seconds
        found = self.follower.follow(self.look(row, **how))
        return [type(event).__name__ for event in found]


class TestMoving(FollowTestCase):
    def test_what_the_record_and_the_server_say_together(self) -> None:
        waiting, moving = moves.Outcome.WAITING, moves.Outcome.MOVING
        moved = moves.Outcome.MOVED
        for status, here, fresh, outcome in (
            ('accepted', True, True, moving),
            ('queued', True, True, moving),
            ('preparing', True, True, moving),
            ('running', True, True, moving),
            ('something new', True, True, moving),
            # the server is there a moment before the record
            ('running', False, True, moving),
            ('completed', False, True, moved),
            ('done', False, True, moved),
            ('confirmed', False, True, moved),
            # the servers are looked at later
            ('completed', True, False, moving),
            ('completed', True, True, moving),
            ('failed', True, True, waiting),
            ('error', True, False, waiting),
            ('cancelled', True, True, waiting),
            ('reverted', True, True, waiting),
        ):
            self.afresh()
            move = self.begin()
            self.follow(self.row(status), here=here, fresh=fresh)
            self.assertIs(outcome, move.outcome, f'{status} {here} {fresh}')

    def test_the_slot_is_free_once_the_record_is_complete(self) -> None:
        move = self.begin()
        self.follow(self.row('running'), fresh=False)
        self.assertEqual((move,), self.follower.in_motion)
        self.follow(self.row('completed'), fresh=False)
        self.assertEqual((), self.follower.in_motion)
        self.assertTrue(move.open)

    def test_a_record_and_a_server_that_contradict_each_other(self) -> None:
        for fresh in (True, False):
            self.afresh(retries=0)
            move = self.begin()
            self.follow(self.row('completed'), fresh=fresh)
            for _ in range(3):
                # it is not begun again while that is not known
                self.assertIsNot(moves.Outcome.WAITING, move.outcome)
                self.assertIsNot(moves.Outcome.MOVED, move.outcome)
                self.follow(self.row('completed'))
            self.assertIs(moves.Outcome.FAILED, move.outcome)
            self.assertIn('still here', move.cause or '')

    def test_nova_writes_the_cause_a_little_later(self) -> None:
        for looks in range(4):
            self.afresh(retries=0)
            self.nova.reason = None
            move = self.begin()
            for _ in range(looks):
                self.follow(self.row('error'))
            self.nova.reason = 'no room'
            self.follow(self.row('error'))
            self.assertIs(moves.Outcome.FAILED, move.outcome)
            told = 'no room' if looks < 3 else 'does not tell why'
            self.assertIn(told, move.cause or '')

    def test_an_earlier_record_says_nothing(self) -> None:
        for status in ('completed', 'failed', 'queued', 'finished'):
            self.afresh()
            move = self.begin()
            move.after = 7
            self.assertEqual([], self.follow(self.row(status)))
            self.assertIs(moves.Outcome.MOVING, move.outcome)

    def test_it_is_deleted_while_it_waits_or_moves(self) -> None:
        # the watch goes on telling the record that Nova has forgotten
        for status, kind in (
            ('accepted', _LIVE),
            ('queued', _LIVE),
            ('preparing', _LIVE),
            ('running', _LIVE),
            ('failed', _LIVE),
            ('pre-migrating', _COLD),
            ('migrating', _COLD),
            ('post-migrating', _COLD),
            ('finished', _COLD),
            ('confirming', _COLD),
        ):
            self.afresh()
            move = self.begin()
            self.follow(self.row(status, kind))
            self.nova.found = None
            self.nova.refusal = api.OvertakenError('HTTP 404')
            for _ in range(20):
                self.follow(self.row(status, kind), seconds=10, here=False)
            self.assertIs(moves.Outcome.DELETED, move.outcome, status)

    def test_it_is_not_begun_twice_because_nova_is_slow(self) -> None:
        move = self.begin()
        for _ in range(59):
            self.assertEqual([], self.follow())
        self.assertIs(moves.Outcome.MOVING, move.outcome)
        self.assertEqual(['Retrying'], self.follow(seconds=10))
        self.assertIs(moves.Outcome.WAITING, move.outcome)

    def test_it_is_not_begun_twice_while_something_is_done_to_it(
        self,
    ) -> None:
        for unsure in (True, False):
            self.afresh()
            move = self.begin()
            move.unsure = unsure
            self.server = servers.Server(
                's1', 'web1', host='h1', task_state='migrating'
            )
            self.follow(seconds=3000)
            self.assertIs(moves.Outcome.MOVING, move.outcome)

    def test_it_was_elsewhere_when_it_was_begun(self) -> None:
        # Nova took it, and records it as a move from another host
        move = self.begin()
        self.nova.found = servers.Server('s1', 'web1', host='h9')
        for _ in range(30):
            self.follow(seconds=10, here=False)
        self.assertFalse(move.open)

    def test_an_unknown_answer_is_decided_by_a_look_at_the_server(
        self,
    ) -> None:
        for seconds, fresh, outcome in (
            (1, True, moves.Outcome.MOVING),
            (99, False, moves.Outcome.MOVING),
            (6, True, moves.Outcome.WAITING),
        ):
            self.afresh()
            move = self.begin()
            move.unsure = True
            self.follow(seconds=seconds, fresh=fresh)
            self.assertIs(outcome, move.outcome)


class TestConfirm(FollowTestCase):
    def finish(self, seconds: float = 1) -> list[str]:
        return self.follow(self.row('finished', _COLD), seconds, here=False)

    def test_ours_is_confirmed_and_then_moved(self) -> None:
        move = self.begin(_A.COLD_MIGRATE)
        self.assertEqual(['Confirming'], self.finish())
        for status in ('finished', 'confirming'):
            self.follow(self.row(status, _COLD), here=False)
            self.assertIs(moves.Outcome.MOVING, move.outcome)
        self.assertEqual(1, self.nova.asked.count('confirm'))
        self.follow(self.row('confirmed', _COLD), here=False)
        self.assertIs(moves.Outcome.MOVED, move.outcome)

    def test_that_of_somebody_else_is_not(self) -> None:
        self.ours = False
        row = self.row('migrating', _COLD)
        list(self.follower.adopt(self.look(row)))
        self.assertEqual(['Ended'], self.finish())
        move = self.follower.moves['s1']
        self.assertIs(moves.Outcome.LEFT, move.outcome)
        self.assertNotIn('confirm', self.nova.asked)

    def test_it_is_confirmed_as_soon_as_it_waits_for_that(self) -> None:
        # while it was copied up it was not here, and was looked for
        self.begin(_A.COLD_MIGRATE)
        self.follow(self.row('post-migrating', _COLD), here=False)
        self.assertEqual(['Confirming'], self.finish())

    def test_what_stands_in_the_way_is_tried_again(self) -> None:
        for refusal in (
            api.OvertakenError("Cannot 'confirmResize'"),
            api.TransientError('HTTP 503'),
        ):
            self.afresh()
            self.begin(_A.COLD_MIGRATE)
            self.nova.refusal = refusal
            self.assertEqual(['Retrying'], self.finish())
            self.assertEqual([], self.finish())
            self.nova.refusal = None
            self.assertEqual(['Confirming'], self.finish(10))

    def test_another_run_was_quicker(self) -> None:
        # Nova says 400 while it is being confirmed
        move = self.begin(_A.COLD_MIGRATE)
        self.nova.refusal = exceptions.CommandError(
            'web1 (s1): Instance has not been resized. (HTTP 400)'
        )
        self.finish()
        self.follow(self.row('confirmed', _COLD), 12, here=False)
        self.assertIs(moves.Outcome.MOVED, move.outcome)


class TestIdle(FollowTestCase):
    def test_one_that_leaves_by_itself(self) -> None:
        elsewhere = servers.Server('s1', 'web1', host='h9')
        nowhere = servers.Server('s1', 'web1')
        for row, found, outcome in (
            (None, None, moves.Outcome.DELETED),
            (None, elsewhere, moves.Outcome.LEFT),
            (None, nowhere, moves.Outcome.LEFT),
            # it was moved while Nova was not looked at
            (self.row('completed'), elsewhere, moves.Outcome.MOVED),
            (
                self.row('finished', servers.RESIZE),
                elsewhere,
                moves.Outcome.LEFT,
            ),
        ):
            self.afresh()
            list(self.follower.adopt(self.look()))
            self.nova.found = found
            self.ours = False
            self.follow(row, here=False)
            move = self.follower.moves['s1']
            self.assertIs(outcome, move.outcome, f'{row} {found}')

    def test_an_earlier_move_is_not_the_present_one(self) -> None:
        # it was moved away and back before the drain began
        for found, outcome in (
            (None, moves.Outcome.DELETED),
            (servers.Server('s1', 'web1'), moves.Outcome.LEFT),
        ):
            self.afresh()
            row = self.row('completed')
            list(self.follower.adopt(self.look(row)))
            self.nova.found = found
            self.follow(row, here=False)
            self.assertIs(outcome, self.follower.moves['s1'].outcome)

    def test_a_verdict_may_change(self) -> None:
        list(self.follower.adopt(self.look()))
        move = self.follower.moves['s1']
        for action, outcome in (
            (_A.BLOCKED, moves.Outcome.BLOCKED),
            (_A.LEAVE, moves.Outcome.LEFT),
            (_A.COLD_MIGRATE, moves.Outcome.WAITING),
        ):
            # what is on the list is old until the servers are looked at
            before = move.outcome
            self.follow(action=action, fresh=False)
            self.assertIs(before, move.outcome)
            self.follow(action=action)
            self.assertIs(outcome, move.outcome)
            self.assertIs(action, move.verdict.action)

    def test_one_that_failed_stays_so(self) -> None:
        list(self.follower.adopt(self.look()))
        move = self.follower.moves['s1']
        move.end(moves.Outcome.FAILED, 'why')
        self.assertEqual([], self.follow())
        self.assertIs(moves.Outcome.FAILED, move.outcome)

    def test_what_somebody_begins_is_adopted(self) -> None:
        list(self.follower.adopt(self.look()))
        self.assertEqual(['Adopted'], self.follow(self.row('running')))
        self.assertEqual(1, len(self.follower.in_motion))

    def test_the_pause_before_our_own_first_try(self) -> None:
        list(self.follower.adopt(self.look(self.row('running'))))
        self.assertEqual(['Retrying'], self.follow(self.row('error')))
        move = self.follower.moves['s1']
        self.assertEqual(self.now + 10, move.not_before)

    def test_how_many_wait_in_nova_is_told_once(self) -> None:
        self.begin()
        rows = [self.row('queued'), self.row('queued'), self.row('running')]
        told = [self.follow(row) for row in rows]
        self.assertEqual([['Queued'], [], []], told)

    def test_one_that_comes_back_is_new(self) -> None:
        move = self.begin()
        self.follow(self.row('completed'), here=False)
        self.assertIs(moves.Outcome.MOVED, move.outcome)
        self.assertEqual(['Appeared'], self.follow(self.row('completed')))
        again = self.follower.moves['s1']
        self.assertIsNot(move, again)
        self.assertIs(moves.Outcome.WAITING, again.outcome)
        self.assertIsInstance(events.Appeared(again).move, moves.Move)
