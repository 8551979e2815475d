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


"""Which cases there are, and what is counted."""

import testtools

from osc_maintenance.tests.faults import cases


def _verdict(told: str, *wrong: str, reached: bool = True) -> cases.Verdict:
    case = cases.Case.parse(told)
    return cases.Verdict(case, reached, 'compute GET /', wrong, '', 1.0)


class TestCases(testtools.TestCase):
    def test_a_case_and_what_stands_for_it(self) -> None:
        case = cases.Case('set', 7, cases.Kind.KILL_AFTER)
        self.assertEqual('set:7:kill-after', str(case))
        self.assertEqual(case, cases.Case.parse(str(case)))
        for told in ('set', 'set:7', 'set:x:500', 'set:7:502', 'a:1:2:3'):
            self.assertRaises(ValueError, cases.Case.parse, told)

    def test_every_fault_at_every_request(self) -> None:
        found = list(cases.of_command('set', 3))
        self.assertEqual(3 * len(cases.Kind), len(set(found)))
        self.assertEqual({1, 2, 3}, {case.request for case in found})

    def test_a_part_has_every_kind(self) -> None:
        for every in (5, 7, 12, 20):
            found = list(cases.of_command('set', 60, every))
            self.assertEqual(-(-60 * len(cases.Kind) // every), len(found))
            self.assertEqual({*cases.Kind}, {case.kind for case in found})

    def test_the_table(self) -> None:
        verdicts = [
            _verdict('set:1:500'),
            _verdict('set:2:500', 'a traceback'),
            _verdict('set:9:500', reached=False),
            _verdict('unset:1:500'),
        ]
        lines = cases.table(verdicts, {'set': 8, 'unset': 7}).splitlines()
        head = 'command requests cases converged wrong not reached'
        self.assertEqual(
            [
                head.split(),
                ['set', '8', '3', '1', '1', '1'],
                ['unset', '7', '1', '1', '0', '0'],
                ['all', '15', '4', '2', '1', '1'],
            ],
            [line.split() for line in lines],
        )
