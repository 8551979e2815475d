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

"""Servers come back while somebody sets the host again, or ends it."""

import collections.abc
from unittest import mock

from osc_lib import exceptions

from osc_maintenance.drain import events
from osc_maintenance.drain import moves
from osc_maintenance import exit_codes
from osc_maintenance import journal
from osc_maintenance.tests.unit.drain import test_loop_base as base
from osc_maintenance.tests.unit.drain import test_returning_base


class TestResumed(test_returning_base.ReturningTestCase):
    """A return that is interrupted and run again at once."""

    def setUp(self) -> None:
        super().setUp()
        self.stop = False

    def pause(self, seconds: float) -> bool:
        return self.stop or super().pause(seconds)

    def _interrupted(self, **script: float) -> None:
        """A cold migration has been asked for, and Nova takes its time."""
        for name in ('first', 'second'):
            self.world.add(name, vm_state='stopped')
        self.drained('first', 'second')
        self.world.set('first', ram=4096)
        self.world.script('first', **script)

        def report(event: events.Event) -> None:
            self.stop = self.stop or isinstance(event, events.Started)

        result = self.bring_back(self.surveyed(), report, max_parallel=1)
        self.assertIs(exit_codes.ExitCode.INTERRUPTED, result.exit_code)
        self.stop = False

    def test_what_has_no_destination_yet_is_in_motion(self) -> None:
        for scheduling in (0.5, 3.0, 20.0):
            for unseen in (0.1, 2.0):
                for wait in (0, 1):
                    with self.subTest(
                        scheduling=scheduling, unseen=unseen, wait=wait
                    ):
                        self.afresh()
                        self._interrupted(scheduling=scheduling, unseen=unseen)
                        self.pass_time(wait)
                        result = self.bring_back(
                            self.surveyed(), max_parallel=1
                        )
                        self.assertEqual(1, self.counting.most_back)
                        self.assertEqual(
                            {'moved'}, set(self.outcomes(result).values())
                        )
                        self.check_back('first', 'second')
                        self.assertEqual(4, len(self.world.rows))

    def test_nova_compute_is_restarted_while_it_makes_ready(self) -> None:
        self.afresh()
        self.drained('web')

        def restart() -> None:
            row = self.world.rows[-1]
            if row.migration.status != 'preparing':
                self.world.at(self.world.now + 0.05, restart)
                return
            self.world.forget(row)

        self.world.at(self.world.now, restart)
        result = self.bring_back(self.surveyed())
        self.assertEqual({'web': 'moved'}, self.outcomes(result))
        self.check_back('web')
        self.assertEqual(3, len(self.world.rows))

    def test_the_earlier_try_is_not_taken_for_the_next_one(self) -> None:
        for unseen in (0.1, 2.0, 8.0):
            for wait in (0, 4, 30):
                with self.subTest(unseen=unseen, wait=wait):
                    self.afresh()
                    self._interrupted(scheduling=3.0, unseen=unseen)
                    row = self.world.rows[-1]
                    self.world.go(
                        row,
                        self.world._cold(
                            row, 'no host', self.world.scripts['first']
                        ),
                    )
                    self.pass_time(wait)
                    result = self.bring_back(self.surveyed(), max_parallel=1)
                    self.assertEqual(1, self.counting.most_back)
                    self.assertEqual(
                        {'moved'}, set(self.outcomes(result).values())
                    )
                    self.check_back('first', 'second')
                    self.assertEqual(5, len(self.world.rows))


class TestEnded(test_returning_base.ReturningTestCase):
    """Somebody else ends the maintenance, or goes on with it."""

    def setUp(self) -> None:
        super().setUp()
        self.drained('first', 'second', 'third')
        for name in ('first', 'second', 'third'):
            self.world.script(name, seconds=30)

    def _lost(self, act: collections.abc.Callable[[], object]) -> str:
        journey = self.surveyed()
        self.world.at(self.world.now + 20, act)
        error = self.assertRaises(
            exceptions.CommandError, self.bring_back, journey, max_parallel=1
        )
        self.check_back('first')
        for name in ('second', 'third'):
            self.assertNotEqual('h1', self.world.guests[name].host)
        self.assertNotIn('run the same command again', str(error))
        return str(error)

    def _end(self) -> None:
        self.world.aggregate = None

    def test_the_rest_is_left_where_it_is(self) -> None:
        self.assertIn('was ended by somebody else', self._lost(self._end))

    def test_it_is_ended_just_before_it_is_noted_who_moves(self) -> None:
        journey = self.surveyed()
        look_again = journey.outdated

        def outdated(chosen: collections.abc.Sequence[moves.Move]) -> bool:
            self._end()
            return look_again(chosen)

        with mock.patch.object(journey, 'outdated', outdated):
            error = self.assertRaises(
                exceptions.CommandError, self.bring_back, journey
            )
        self.assertIn('of h1 was ended by somebody else', str(error))
        self.assertNotIn('run the same command again', str(error))

    def test_a_refusal_is_no_end_as_long_as_the_record_is_there(self) -> None:
        journey = self.surveyed()
        with base.refused_once():
            self.bring_back(journey)
        self.check_back('first')

    def test_it_is_put_into_maintenance_again(self) -> None:
        told = self._lost(lambda: self.noted({'maintenance:return': None}))
        self.assertIn('put into maintenance again by somebody else', told)

    def test_just_before_the_first_is_noted(self) -> None:
        for act, words in (
            (self._end, 'was ended by somebody else'),
            (
                lambda: self.noted({'maintenance:return': None}),
                'put into maintenance again by somebody else',
            ),
        ):
            with self.subTest(words=words):
                self.afresh()
                self.drained('first')
                journey = self.surveyed()
                # the record was looked at, and now the servers are
                with mock.patch.object(journey, 'outdated', self._after(act)):
                    error = self.assertRaises(
                        exceptions.CommandError, self.bring_back, journey
                    )
                self.assertIn(words, str(error))
                self.assertNotIn('run the same command again', str(error))
                self.assertNotEqual('h1', self.world.guests['first'].host)
                found = self.world.aggregate
                self.assertFalse(
                    found and journal.decode(found.metadata).returning
                )

    def _after(
        self, act: collections.abc.Callable[[], object]
    ) -> collections.abc.Callable[[object], bool]:
        def outdated(_moves: object) -> bool:
            act()
            return False

        return outdated

    def test_nothing_was_left_to_start(self) -> None:
        # another return has ended, and the record with it
        journey = self.surveyed()
        self.world.at(self.world.now + 20, self._end)
        result = self.bring_back(journey, max_parallel=3)
        self.assertIs(exit_codes.ExitCode.DONE, result.exit_code)
        self.check_back('first', 'second', 'third')
