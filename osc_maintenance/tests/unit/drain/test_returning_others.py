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

"""Servers on their way back, while others are at work as well."""

import collections.abc
from unittest import mock


from osc_maintenance import asking
from osc_maintenance import clients as clients_
from osc_maintenance.drain import events
from osc_maintenance.drain import histories
from osc_maintenance.drain import moves
from osc_maintenance.drain import options
from osc_maintenance import exit_codes
from osc_maintenance import journal
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import simulation
from osc_maintenance.tests.unit.drain import test_loop_base as base
from osc_maintenance.tests.unit.drain import test_returning_base


class TestMeanwhile(test_returning_base.ReturningTestCase):
    """What happens to a server that waits until another one is back."""

    def setUp(self) -> None:
        super().setUp()
        self.drained('first', 'web')
        self.world.set('first', ram=4096)
        self.world.script('first', seconds=60)

    def _web(self, act: collections.abc.Callable[[], object]) -> moves.Move:
        """What becomes of web when something happens while it waits."""
        journey = self.surveyed()
        self.world.at(self.world.now + 20, act)
        result = self.bring_back(journey, max_parallel=1)
        self.assertIs(exit_codes.ExitCode.DONE, result.exit_code)
        self.assertEqual(1, self.counting.most_back)
        self.check_back('first')
        (move,) = (m for m in result.moves if m.server.id == 'web')
        self.assertEqual(0, move.conflicts)
        return move

    def test_it_is_moved(self) -> None:
        there = self.world.guests['web'].host
        other = 'h3' if there == 'h2' else 'h2'
        move = self._web(
            lambda: self.world.begin(
                'web', servers.LIVE_MIGRATION, 'bob', other
            )
        )
        self.assertIs(moves.Outcome.LEFT, move.outcome)
        self.assertEqual(
            f'it has moved since, and stays on {other}', move.cause
        )
        self.assertEqual(other, self.world.guests['web'].host)

    def test_it_is_on_its_way_elsewhere_when_its_turn_comes(self) -> None:
        there = self.world.guests['web'].host
        other = 'h3' if there == 'h2' else 'h2'
        self.world.script('web', seconds=80)
        move = self._web(
            lambda: self.world.begin(
                'web', servers.LIVE_MIGRATION, 'bob', other
            )
        )
        self.assertIs(moves.Outcome.LEFT, move.outcome)
        self.assertEqual(other, self.world.guests['web'].host)

    def test_it_is_brought_back_by_hand(self) -> None:
        move = self._web(
            lambda: self.world.set('web', host='h1'),
        )
        self.assertIs(moves.Outcome.LEFT, move.outcome)
        self.assertEqual(0, move.attempts)

    def test_it_is_deleted(self) -> None:
        move = self._web(lambda: self.world.delete('web'))
        self.assertIs(moves.Outcome.DELETED, move.outcome)

    def test_it_is_stopped(self) -> None:
        move = self._web(
            lambda: self.world.set('web', vm_state='stopped', status='SHUTOFF')
        )
        self.assertIs(moves.Outcome.MOVED, move.outcome)
        self.assertEqual(servers.COLD_MIGRATION, move.kind)
        self.check_back('web')

    def test_it_is_locked(self) -> None:
        # as one that was locked before the return began
        move = self._web(lambda: self.world.set('web', locked=True))
        self.assertIs(moves.Outcome.MOVED, move.outcome)
        self.check_back('web')

    def test_something_is_done_to_it_for_long(self) -> None:
        def snapshot() -> None:
            self.world.set('web', task_state='image_uploading')
            self.world.at(
                self.world.now + 200,
                lambda: self.world.set('web', task_state=None),
            )

        move = self._web(snapshot)
        self.assertIs(moves.Outcome.MOVED, move.outcome)
        self.check_back('web')

    def test_it_cannot_be_moved_any_more(self) -> None:
        journey = self.surveyed()
        self.world.at(
            self.world.now + 20,
            lambda: self.world.set(
                'web', vm_state='suspended', status='SUSPENDED'
            ),
        )
        result = self.bring_back(journey, max_parallel=1)
        self.assertEqual(
            {'first': 'moved', 'web': 'blocked'}, self.outcomes(result)
        )
        self.assertIs(exit_codes.ExitCode.STAYED, result.exit_code)

    def test_nova_does_not_answer_when_its_turn_comes(self) -> None:
        began = self.world.now
        self.world.outages = [(began + 55, began + 80)]
        move = self._web(lambda: self.world.delete('web'))
        self.assertIs(moves.Outcome.DELETED, move.outcome)

    def test_it_was_said_to_be_back_and_is_not(self) -> None:
        for lies, outcome in ((1, 'moved'), (3, 'failed')):
            with self.subTest(lies=lies):
                self.afresh()
                self.drained('web')
                self.world.script('web', fails=['lie'] * lies)
                result = self.bring_back(self.surveyed())
                self.assertEqual({'web': outcome}, self.outcomes(result))


class TestSurvey(test_returning_base.ReturningTestCase):
    def test_a_move_begins_between_its_looks(self) -> None:
        self.drained('a')
        self.world.script(self.world.add('b'), seconds=600)
        # the drain has noted both, and this one is next
        self.noted({'maintenance:move:b': 'live-migrate 0 alice'})
        journey = self.journey('bob')
        real = histories.of

        def history(
            clients: clients_.Clients, server: str
        ) -> tuple[servers.Migration, ...]:
            if len(self.world.rows) == 1:
                self.world.begin('b', servers.LIVE_MIGRATION, 'alice')
                self.pass_time(0.2)
            return real(clients, server)

        with mock.patch.object(histories, 'of', history):
            error = self.assertRaises(asking.RefusedError, journey.survey)
        self.assertIn('b (b)', str(error))

    def test_one_that_is_being_confirmed(self) -> None:
        # Nova has no task for that
        self.world.add('off', vm_state='stopped')
        self.drained('off')
        row = self.world.rows[-1]
        self.world.save(row, 'confirming')
        self.world.set('off', vm_state='resized', status='VERIFY_RESIZE')
        error = self.assertRaises(asking.RefusedError, self.journey().survey)
        self.assertIn('off (off)', str(error))

    def test_one_that_is_reverted_once_it_is_back(self) -> None:
        self.world.add('off', vm_state='stopped')
        self.drained('off', 'web')
        reverted: list[simulation.Row] = []
        real = base.Client.confirm

        def revert(
            row: simulation.Row,
        ) -> collections.abc.Generator[float, None, None]:
            self.world.set('off', task_state='resize_reverting')
            self.world.save(row, 'reverting')
            yield 40.0
            self.world._back(row)
            self.world.save(row, 'reverted')

        def confirm(client: base.Client, server: servers.Server) -> None:
            if not reverted:
                reverted.append(self.world.rows[-1])
                self.world.go(reverted[0], revert(reverted[0]))
            real(client, server)

        with mock.patch.object(base.Client, 'confirm', confirm):
            result = self.bring_back(self.surveyed(), max_parallel=1)
        # whoever has done it has the last word
        self.assertEqual(
            {'off': 'failed', 'web': 'moved'}, self.outcomes(result)
        )
        self.check_back('web')
        self.assertNotEqual(base.HOST, self.world.guests['off'].host)


class TestNotes(test_returning_base.ReturningTestCase):
    def test_those_of_a_colleague_are_kept(self) -> None:
        # both have begun before either of them has noted anything
        self.world.add('off', vm_state='stopped')
        self.drained('off')
        both = [self.surveyed(user) for user in ('alice', 'bob')]
        for journey in both:
            look = journey.look(fresh=True, moving=set())
            move = moves.Move(look.here['off'], look.verdicts['off'])
            journey.note([move])
        assert self.world.aggregate
        noted = journal.decode(self.world.aggregate.metadata).returns
        self.assertEqual(('alice', 'bob'), noted['off'].users)


class TestSources(test_returning_base.ReturningTestCase):
    def test_each_host_has_a_queue_of_its_own(self) -> None:
        self.drained('first', 'web')
        here = {
            name: self.world.guests[name].host for name in self.world.guests
        }
        self.assertNotEqual(here['first'], here['web'])
        # web waits behind somebody else's, and not behind the one that hangs
        self.world.limit = 1
        self.world.script(
            self.world.add('other', host=here['web']), seconds=90
        )
        self.world.begin(
            'other', servers.LIVE_MIGRATION, 'carol', here['first']
        )
        self.pass_time(3)
        self.world.script('first', seconds=500)
        self.world.script('web', seconds=20)
        result = self.bring_back(
            self.surveyed(),
            server_timeout=30,
            on_timeout=options.OnTimeout.LEAVE,
        )
        self.check_back('web')
        self.assertEqual(
            {'first': moves.Outcome.MOVING, 'web': moves.Outcome.MOVED},
            {move.server.id: move.outcome for move in result.moves},
        )


class TestRequests(test_returning_base.ReturningTestCase):
    def test_only_those_whose_turn_it_is_are_read_again(self) -> None:
        names = [f'web{number}' for number in range(20)]
        self.drained(*names)
        for name in names:
            self.world.script(name, seconds=60)
        journey = self.surveyed()
        self.world.requests.clear()
        started: list[int] = []

        def report(event: events.Event) -> None:
            if isinstance(event, events.Started):
                started.append(self.world.requests['server'])

        self.bring_back(journey, report, max_parallel=2)
        self.check_back(*names)
        self.assertEqual(2, started[0])
        # each once, and those in motion every 10 seconds
        most = len(names) + 2 * 10 * (60 / 10 + 2)
        self.assertLessEqual(self.world.requests['server'], most)
