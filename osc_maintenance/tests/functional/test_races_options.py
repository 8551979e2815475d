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

"""Eight at once on one host, each of whom says something else."""

import collections.abc
import dataclasses
import datetime

from osc_maintenance import exit_codes
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import races
from osc_maintenance import times

_DONE, _ERROR = exit_codes.ExitCode.DONE, exit_codes.ExitCode.ERROR
_START, _END = '2126-01-01T00:00:00Z', '2126-02-02T00:00:00Z'
_TICKET = 'https://tickets.example.com/7'
_TWO_HOURS = datetime.timedelta(hours=2)
_WINDOW, _SERVERS = 'window end|removal', 'servers to be moved'

_Holds = collections.abc.Callable[[collections.abc.Mapping[str, str]], bool]


@dataclasses.dataclass(frozen=True)
class _Word:
    """What somebody says.

    :ivar options: how.
    :ivar holds: whether a record says so.
    :ivar about: what others contradict, as they are told; empty if nobody.
    """

    options: tuple[str, ...]
    holds: _Holds
    about: str = ''


def _has(**wanted: str | None) -> _Holds:
    return lambda found: all(
        found.get(key) == value for key, value in wanted.items()
    )


def _lasts(found: collections.abc.Mapping[str, str]) -> bool:
    """Whether the window is one of two hours."""
    if found.get('window_end', 'never') == 'never':
        return False
    start, end = (
        times.parse_iso_8601(found[key])
        for key in ('window_start', 'window_end')
    )
    return end - start == _TWO_HOURS


def _chooses(migrate: str, *exclude: str) -> _Holds:
    """Whether just these servers have to go."""
    wanted = {
        'migrate': migrate,
        **dict.fromkeys((f'server:{item}' for item in exclude), 'exclude'),
    }
    return lambda found: (
        wanted
        == {
            key: value
            for key, value in found.items()
            if key == 'migrate' or key.startswith('server:')
        }
    )


class TestEightOptions(races.RacesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()
        self.web, self.db = self.scene.servers(['web', 'db'], on=self.here)
        self.everybody = [
            self.operator(self.scene.user(token_seconds=3600))
            for _ in range(8)
        ]

    def _words(self, **replies: str) -> list[_Word]:
        """Three contradict each other, and two; nobody does the others."""
        notices = [
            f'--{key.replace("_", "-")}={value}'
            for key, value in replies.items()
        ]
        return [
            _Word(('--reason', 'kernel'), _has(reason='kernel')),
            _Word(('--ticket-url', _TICKET), _has(ticket_url=_TICKET)),
            _Word(('--end', _END), _has(window_end=_END), _WINDOW),
            _Word(('--removal',), _has(window_end='never'), _WINDOW),
            _Word(('--duration', '2h'), _lasts, _WINDOW),
            _Word(('--migrate', 'all'), _chooses('all'), _SERVERS),
            _Word(
                ('--migrate', 'active', '--exclude-server', 'web'),
                _chooses('active', self.web.id),
                _SERVERS,
            ),
            _Word(
                ('--notify-owners', *notices),
                _has(notify_owners='true', **replies),
            ),
        ]

    def _round(
        self,
        words: collections.abc.Sequence[_Word],
        common: tuple[str, ...],
        *told: races.Told,
    ) -> int:
        """All say it, and meet there; how many are told it was not so.

        The end is as if they had come one after the other.
        """
        everybody = self.everybody
        going: list[forked.Command] = []
        self.hold_all_at(everybody, going, *told)
        order = races.Order(everybody)
        if races.look_after_it in told:
            self.take_turns(everybody)
        for who, word in zip(everybody, words, strict=True):
            going.append(
                self.going(who, 'set', self.here, *common, *word.options)
            )
        answers = [command.end() for command in going]
        found = self.record(self.here)
        what = '\n'.join(map(str, (found, *answers)))
        self.assertIn(found['set_by'], [who.name for who in everybody], what)
        last = {
            word.about: who
            for who, word in zip(everybody, words, strict=True)
            if word.about and word.holds(found)
        }
        # one of each is so as a whole
        self.assertEqual({_WINDOW, _SERVERS}, last.keys(), what)
        told_so = 0
        for who, word, answer in zip(everybody, words, answers, strict=True):
            lines = [
                line
                for line in answer.stderr.splitlines()
                if 'not as you have said' in line
            ]
            # theirs goes on with what is recorded, and may see that replaced
            told_more = 'has changed which servers' in answer.stderr
            self.assertEqual(
                _ERROR if lines or told_more else _DONE,
                answer.code,
                f'{who.name} {what}',
            )
            if word.holds(found):
                self.assertEqual([], lines, what)
                continue
            # nobody has contradicted the others
            self.assertTrue(word.about, f'{word} {what}')
            if not lines:
                # done before the other one had written
                self.assertFalse(order.could_see(who, last[word.about]), what)
                continue
            (line,) = lines
            self.assertRegex(line, f'as you have said: ({word.about});')
            # who is overruled may have stamped it last of all
            names = '|'.join(item.name for item in everybody)
            self.assertRegex(line, rf'last changed by ({names}),')
            told_so += 1
        return told_so

    def test_a_plan(self) -> None:
        words = self._words(owner_replies='wait')
        start = ('--start', _START)
        # whoever is done before others write is told nothing
        self._round(words, start, races.first_write)
        self._ends_planned()
        for told in (
            [races.first_write],
            # all have written, each as a whole, before anybody looks
            [races.first_write, races.look_after_it],
        ):
            self.done(self.ann, 'set', self.here, *start)
            told_so = self._round(words, (), *told)
            self._ends_planned()
        self.assertEqual(3, told_so)

    def test_nova_is_busy(self) -> None:
        for _ in range(2):
            self.done(self.ann, 'set', self.here, '--start', _START)
            aggregate = self.aggregate(self.here)
            assert aggregate is not None
            # what others say comes between what Nova removes and adds
            self.cloud.control.busy(aggregate['id'], 0.5)
            self._round(self._words(), (), races.first_write)
            self._ends_planned()

    def _ends_planned(self) -> None:
        shown = self.done(self.ann, 'show', self.here)
        self.assertEqual(('planned', None), (shown['state'], shown['cause']))
        self.done(self.ben, 'unset', self.here)
        self.assert_untouched(self.here)

    def test_it_is_drained(self) -> None:
        self.done(self.ann, 'set', self.here)
        told_so = self._round(
            self._words(), (), races.first_write, races.look_after_it
        )
        self.assertEqual(3, told_so)
        found = self.record(self.here)
        for server, goes in (
            (self.web, found['migrate'] == 'all'),
            (self.db, True),
        ):
            # one migration each, or none
            self.assertEqual(['completed'] * goes, self.statuses(server))
            self.assert_on(self.there if goes else self.here, server)
        shown = self.done(self.ann, 'show', self.here)
        self.assertEqual('maintenance', shown['state'])
        mark = f'maintenance {found["id"]}: kernel {_TICKET}'
        self.assertEqual(('disabled', mark), self.service(self.here))
        self.does_well(self.ben, 'unset', self.here)
        self.assert_untouched(self.here)
