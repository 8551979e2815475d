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

"""Many at once on one host: the end is that of one serial order."""

from osc_maintenance import exit_codes
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import races

ERROR = exit_codes.ExitCode.ERROR
_EIGHT = range(1, 9)


class TestEightAtOnce(races.RacesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.host = self.scene.host()
        self.everybody = [
            self.operator(self.scene.user(token_seconds=3600)) for _ in _EIGHT
        ]

    def _round(self, word: str, *told: races.Told) -> int:
        """All set the host, and meet there; how many are told it was not so.

        Exactly one has the last word, as a whole.
        """
        going: list[forked.Command] = []
        self.hold_all_at(self.everybody, going, *told)
        order = races.Order(self.everybody)
        for number, who in enumerate(self.everybody, 1):
            going.append(
                self.going(
                    *(who, 'set', self.host, '--reason', f'{word} {number}'),
                    *(
                        '--ticket-url',
                        f'https://tickets.example.com/{word}{number}',
                    ),
                    *('--end', f'2126-01-0{number}'),
                )
            )
        answers = [command.end() for command in going]
        found = self.record(self.host)
        last = int(found['reason'].removeprefix(f'{word} '))
        self.assertEqual(
            (
                f'https://tickets.example.com/{word}{last}',
                f'2126-01-0{last}T00:00:00Z',
                self.everybody[last - 1].name,
            ),
            (found['ticket_url'], found['window_end'], found['set_by']),
        )
        self.assertEqual(
            (
                'disabled',
                f'maintenance {found["id"]}: {word} {last} '
                f'https://tickets.example.com/{word}{last}',
            ),
            self.service(self.host),
        )
        self.assertEqual('enabled', found['before_status'])
        self.assert_succeeds(answers[last - 1])
        told_so = 0
        for who, answer in zip(self.everybody, answers, strict=True):
            if answer.code:
                self.assertEqual(ERROR, answer.code, str(answer))
                (line,) = answer.stderr.splitlines()
                self.assertIn(
                    'not as you have said: window end, reason, ticket URL',
                    line,
                )
                told_so += 1
                continue
            self.assert_succeeds(answer)
            winner = self.everybody[last - 1]
            if who is not winner:
                # done before the other one had written
                self.assertFalse(order.could_see(who, winner), str(answers))
        return told_so

    def test_one_has_the_last_word(self) -> None:
        # whoever is done before the last one writes is told nothing
        self._round('first', races.first_write)
        # all have written before anybody looks
        for word in ('second', 'third'):
            told_so = self._round(word, races.first_write, races.look_after_it)
            self.assertEqual(7, told_so)
        self.assertFalse(self.done(self.ann, 'set', self.host)['changed'])
        self.done(self.ben, 'unset', self.host)
        self.assert_untouched(self.host)
