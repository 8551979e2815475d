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

"""``apply`` from two crons, and beside others: nothing is done twice."""

import itertools

from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import races

PAST = '2026-01-01T00:00:00Z'


class TestApplies(races.RacesTestCase):
    """Two crons, one of which is held at each of its writes."""

    def setUp(self) -> None:
        super().setUp()
        self.alone()
        self.host = self.scene.host()

    def _is_due(self) -> None:
        self.done(self.ben, 'set', self.host, '--start', '+4h')
        self.write_metadata(self.host, window_start=PAST)

    def test_two_enter_it(self) -> None:
        for number in (1, 2):
            self._is_due()
            answer = self.between(
                *(self.ann, number, ('apply',)),
                lambda: self.done(self.ben, 'apply'),
            )
            assert answer
            self.assert_succeeds(answer)
            self.assertEqual([], self.done(self.ben, 'apply'))
            found = self.record(self.host)
            self.assertIn(found['set_by'], (self.ann.name, self.ben.name))
            self.assertEqual('enabled', found['before_status'])
            self.assertEqual('disabled', self.service(self.host)[0])
            self.done(self.ben, 'unset', self.host)
            self.assert_untouched(self.host)

    def test_two_end_it(self) -> None:
        for number in (1, 2, 3):
            self.done(self.ben, 'set', self.host, '--duration', '1h')
            self.write_metadata(self.host, window_start=PAST, window_end=PAST)
            answer = self.between(
                *(self.ann, number, ('apply', '--unset-overdue')),
                lambda: self.done(self.ben, 'apply', '--unset-overdue'),
            )
            assert answer
            self.assert_succeeds(answer)
            self.assert_untouched(self.host)

    def test_an_operator_extends_what_is_ended(self) -> None:
        later = '2037-01-01T00:00:00Z'
        for number in (1, 2, 3):
            self.done(self.ben, 'set', self.host, '--duration', '1h')
            self.write_metadata(self.host, window_start=PAST, window_end=PAST)
            answer = self.between(
                *(self.ann, number, ('apply', '--unset-overdue')),
                lambda: self.done(self.ben, 'set', self.host, '--end', later),
            )
            assert answer
            self.assert_succeeds(answer)
            self.assertEqual(later, self.record(self.host)['window_end'])
            found = self.done(self.ben, 'show', self.host)
            self.assertEqual(
                ('maintenance', None), (found['state'], found['cause'])
            )
            self.done(self.ben, 'unset', self.host)
            self.assert_untouched(self.host)

    def test_an_operator_ends_what_is_entered(self) -> None:
        for number in (1, 2):
            self._is_due()
            answer = self.between(
                *(self.ann, number, ('apply',)),
                lambda: self.done(self.ben, 'unset', self.host),
            )
            assert answer
            # it is not brought back
            self.assert_succeeds(answer)
            self.assert_untouched(self.host)


class TestAppliesWithServers(races.RacesTestCase):
    """The servers of a host go away by ``apply``, or come back to it."""

    def setUp(self) -> None:
        super().setUp()
        self.alone()
        # both go at the same time
        self.here, self.there = (
            self.scene.host(live_migrations=2) for _ in range(2)
        )
        self.made = self.scene.servers(['web', 'db'], on=self.here)
        for server in self.made:
            self.scene.migration_of(server, seconds=6)

    def test_two_move_them(self) -> None:
        # until both runs are over
        for server in self.made:
            self.scene.migration_of(server, hangs=True)
        for number in itertools.count(1):
            if not self._moved_once(number):
                break
            self.done(self.ben, 'unset', self.here)
            self.assert_untouched(self.here)
            # the next time they go back
            self.here, self.there = self.there, self.here
        # record, disable, notes of the moves, and a move each
        self.assertGreater(number, 5)

    def _moved_once(self, number: int) -> bool:
        """One is held at that write of hers, if there is one."""
        self.done(
            *(self.ben, 'set', self.here, '--start', '+4h'),
            *('--migrate', 'all'),
        )
        self.write_metadata(self.here, window_start=PAST)
        before = [len(self.statuses(server)) for server in self.made]
        answer = self.between(
            *(self.ann, number, ('apply',)),
            lambda: self.done(self.ben, 'apply'),
        )
        if answer:
            self.assert_succeeds(answer)
        for server in self.made:
            self.force(server)
        self.assertIn(
            self.record(self.here)['set_by'], (self.ann.name, self.ben.name)
        )
        told = []

        def run() -> bool:
            found = self.done(self.ben, 'apply')
            told.extend(found)
            return not found

        operations.wait_for('apply has nothing to do', run, forked.SECONDS)
        self.assertEqual(
            ('drained', 'maintenance', None),
            tuple(told[-1][name] for name in ('action', 'state', 'cause')),
        )
        for server, count in zip(self.made, before, strict=True):
            self.assertEqual(['completed'], self.statuses(server)[count:])
            self.assert_on(self.there, server)
        return answer is not None

    def test_an_operator_brings_them_back(self) -> None:
        for number in (2, 3, 4):
            self.does_well(
                *(self.ann, 'set', self.here, '--duration', '1h'),
                *('--migrate', 'all'),
            )
            self.write_metadata(self.here, window_start=PAST, window_end=PAST)
            before = [len(self.statuses(server)) for server in self.made]
            self.ann.hold_at_write(number)
            going = self.going(
                self.ann, 'unset', self.here, '--return-servers'
            )
            self.assertTrue(self.ann.is_held(going), going.stderr)
            (row,) = self.done(self.ben, 'apply', '--unset-overdue')
            # it is left to them
            self.assertEqual(
                ('overdue', False), (row['action'], row['changed'])
            )
            self.ann.release()
            answer = going.end()
            self.assertEqual(0, answer.code, str(answer))
            for server, count in zip(self.made, before, strict=True):
                self.assertEqual(['completed'], self.statuses(server)[count:])
                self.assert_on(self.here, server)
            self.assert_untouched(self.here)
