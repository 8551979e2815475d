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

"""Two who change one maintenance at once: no word is silently lost."""

import collections.abc
import functools

from osc_maintenance import exit_codes
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import races

_X, _A, _B = (f'https://tickets.example.com/{x}' for x in 'xab')
ERROR = exit_codes.ExitCode.ERROR


class TestTwoChanges(races.RacesTestCase):
    """Ben's command comes between what Ann has seen and her write."""

    def setUp(self) -> None:
        super().setUp()
        self.host = self.scene.host()

    def _between(self, ann: tuple[str, ...], ben: tuple[str, ...]) -> None:
        answer = self.between(
            self.ann, 1, ann, lambda: self.done(self.ben, *ben)
        )
        assert answer
        # she came after him, and what she has said is so
        self.assert_succeeds(answer)
        found = self.record(self.host)
        self.assertEqual(self.ann.name, found['set_by'])

    def test_what_was_so_already_is_meant_too(self) -> None:
        self.done(
            self.ben, 'set', self.host, '--reason', 'x', '--ticket-url', _X
        )
        self._between(
            ('set', self.host, '--reason', 'ann', '--ticket-url', _X),
            ('set', self.host, '--reason', 'ben', '--ticket-url', _B),
        )
        found = self.record(self.host)
        self.assertEqual(('ann', _X), (found['reason'], found['ticket_url']))
        self.assertIn(f': ann {_X}', str(self.service(self.host)[1]))

    def test_a_duration_is_from_the_start_that_is_recorded(self) -> None:
        self.done(self.ben, 'set', self.host, '--start', '2126-01-01')
        self._between(
            ('set', self.host, '--duration', '2h'),
            ('set', self.host, '--start', '2126-02-02'),
        )
        found = self.record(self.host)
        self.assertEqual(
            ('2126-02-02T00:00:00Z', '2126-02-02T02:00:00Z'),
            (found['window_start'], found['window_end']),
        )

    def test_it_is_entered_while_its_start_is_put_off(self) -> None:
        self.done(self.ben, 'set', self.host, '--start', '2126-01-01')
        answer = self.between(
            *(self.ann, 2, ('set', self.host, '--start', '2126-02-02')),
            lambda: self.done(self.ben, 'set', self.host, '--now'),
        )
        assert answer
        self.assertEqual(ERROR, answer.code, str(answer))
        (line,) = answer.stderr.splitlines()
        self.assertIn('is in maintenance already', line)
        shown = self.done(self.ann, 'show', self.host)
        self.assertEqual('maintenance', shown['state'])
        self.assertLess(shown['window_start'], '2126')

    def test_which_servers_go_is_said_by_one(self) -> None:
        web, db = self.scene.servers(['web', 'db'], on=self.host)
        self.done(self.ben, 'set', self.host, '--start', '2126-01-01')
        self._between(
            (
                *('set', self.host, '--migrate', 'all'),
                *('--exclude-server', 'web'),
            ),
            (
                *('set', self.host, '--migrate', 'active'),
                *('--exclude-server', 'db', '--include-locked'),
            ),
        )
        found = self.record(self.host)
        self.assertEqual('all', found['migrate'])
        self.assertNotIn('include_locked', found)
        self.assertEqual('exclude', found[f'server:{web.id}'])
        self.assertNotIn(f'server:{db.id}', found)

    def test_a_removal_and_an_end(self) -> None:
        self.done(self.ben, 'set', self.host)
        self._between(
            ('set', self.host, '--removal'),
            ('set', self.host, '--end', '2126-01-01'),
        )
        found = self.record(self.host)
        self.assertEqual('never', found['window_end'])

    def test_a_property_is_cleared(self) -> None:
        self.done(self.ben, 'set', self.host, '--reason', 'x')
        self._between(
            ('unset', self.host, '--reason'),
            ('set', self.host, '--reason', 'ben', '--ticket-url', _B),
        )
        found = self.record(self.host)
        self.assertNotIn('reason', found)
        self.assertEqual(_B, found['ticket_url'])
        self.assertIn(f': {_B}', str(self.service(self.host)[1]))


class TestTheLoserIsTold(races.RacesTestCase):
    """Ann has written, and Ben writes before she is done."""

    def setUp(self) -> None:
        super().setUp()
        self.host = self.scene.host()

    def _overruled(self, number: int, *command: str) -> str:
        """What Ann is told, who is held at that write."""
        answer = self.between(
            *(self.ann, number, command),
            lambda: self.done(
                *(self.ben, 'set', self.host, '--reason', 'ben'),
                *('--ticket-url', _B),
            ),
        )
        assert answer
        found = self.record(self.host)
        self.assertEqual(
            ('ben', _B, self.ben.name),
            (found['reason'], found['ticket_url'], found['set_by']),
        )
        self.assertIn(f': ben {_B}', str(self.service(self.host)[1]))
        self.assertEqual(ERROR, answer.code, str(answer))
        (line,) = answer.stderr.splitlines()
        self.assertIn(self.host, line)
        self.assertIn(self.ben.name, line)
        self.assertIn('not as you have said: reason', line)
        return line

    def test_when_the_host_is_entered(self) -> None:
        line = self._overruled(
            *(4, 'set', self.host, '--reason', 'ann', '--end', '2126-01-01')
        )
        self.assertNotIn('ticket', line)
        self.assertNotIn('window', line)
        self.assertEqual(
            '2126-01-01T00:00:00Z', self.record(self.host)['window_end']
        )

    def test_when_it_is_changed(self) -> None:
        self.done(self.ann, 'set', self.host)
        self._overruled(2, 'set', self.host, '--reason', 'ann')

    def test_when_it_is_cleared(self) -> None:
        self.done(self.ann, 'set', self.host, '--reason', 'x')
        self._overruled(2, 'unset', self.host, '--reason')


class TestAColleague(races.RacesTestCase):
    """Somebody acts by other means while the host is entered."""

    def _meanwhile(
        self,
        number: int,
        act: collections.abc.Callable[[str], object],
        host: str | None = None,
    ) -> tuple[str, forked.Answer]:
        """Ann enters a host, and somebody acts before that write of hers."""
        host = host or self.scene.host()
        answer = self.between(
            *(self.ann, number, ('set', host, '--reason', 'ann')),
            functools.partial(act, host),
        )
        assert answer
        return host, answer

    def test_disables_or_enables_the_service(self) -> None:
        enabled, disabled = ('enabled', None), ('disabled', 'bad disk')
        for before, theirs in ((enabled, disabled), (disabled, enabled)):
            for planned in (False, True):
                host = self.scene.host()
                self.set_service(host, *before)
                if planned:
                    self.done(self.ben, 'set', host, '--start', '+1h')
                answer = self.between(
                    *(self.ann, 2, ('set', host, '--now')),
                    functools.partial(self.set_service, host, *theirs),
                )
                assert answer
                self.assert_succeeds(answer)
                self.done(self.ann, 'unset', host)
                self.assertEqual(theirs, self.service(host))

    def test_deletes_the_aggregate(self) -> None:
        host = self.scene.host()
        for number in (2, 3, 4):
            _host, answer = self._meanwhile(number, self._lose, host)
            self.assert_succeeds(answer)
            self.assertEqual('ann', self.record(host)['reason'])
            self.done(self.ann, 'unset', host)
            self.assert_untouched(host)

    def _lose(self, host: str) -> None:
        """Delete the aggregate, whether the host is in it yet or not."""
        aggregate = self.aggregate(host)
        assert aggregate is not None
        if aggregate['hosts']:
            self.act_on_aggregate(host, 'remove_host', {'host': host})
        self.admin.delete('compute', f'/os-aggregates/{aggregate["id"]}')

    def test_edits_the_record(self) -> None:
        host, answer = self._meanwhile(
            3, lambda host: self.write_metadata(host, reason='theirs')
        )
        self.assertEqual(ERROR, answer.code, str(answer))
        self.assertIn('not as you have said: reason', answer.stderr)
        self.assertIn(': theirs', str(self.service(host)[1]))

    def test_deletes_the_service(self) -> None:
        for number in (1, 3, 4):
            host, answer = self._meanwhile(number, self.scene.remove_host)
            self.assertEqual(ERROR, answer.code, str(answer))
            (line,) = answer.stderr.splitlines()
            self.assertIn(
                f"There is no compute service on host '{host}'", line
            )
            if self.aggregate(host):
                # what is left of it is told, and can be removed
                shown = self.does(self.ben, 'show', host)
                self.assertIn('unset removes it', shown.stdout)
                self.does(self.ben, 'unset', host)
            self.assertIsNone(self.aggregate(host))
