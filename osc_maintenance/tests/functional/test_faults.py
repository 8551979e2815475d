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


"""A sample of the faults that ``tox -e faults`` tries, and each kind of it."""

import collections.abc

from osc_maintenance.tests.faults import campaign
from osc_maintenance.tests.faults import cases
from osc_maintenance.tests.faults import stages
from osc_maintenance.tests.functional import base

_SAMPLE = {
    'set': (
        '2:401',
        '3:not-json',
        '5:kill-before',
        '5:reset-after',
        '6:kill-after',
        '7:409',
        '7:cut-short',
        '8:silence',
        '9:504-after',
    ),
    'unset': ('4:429', '6:kill-after', '7:reset-before', '20:409'),
    'ack': ('5:kill-after', '5:503'),
    'show': ('7:500',),
    'drain': ('30:kill-after',),
    'enter': ('45:504-after',),
    'return': ('25:reset-after',),
}
_CRON = {
    'apply': ('6:kill-after',),
    'apply-unset': ('15:not-json',),
    'apply-starts': ('15:504-after',),
    'apply-ends': ('25:silence',),
}


class TestFaults(base.TestCase):
    def _converge(
        self,
        sample: collections.abc.Mapping[str, collections.abc.Sequence[str]],
    ) -> None:
        chosen = [
            cases.Case.parse(f'{command}:{case}')
            for command, found in sample.items()
            for case in found
        ]
        verdicts: list[cases.Verdict] = []
        campaign.run_cases(self.cloud, chosen, verdicts.append)
        self.assertEqual(
            [],
            [str(item) for item in verdicts if item.result != 'converged'],
        )
        self.assertEqual(len(chosen), len(verdicts))

    def test_a_sample(self) -> None:
        told = {
            kind.rpartition(':')[2]
            for kinds in _SAMPLE.values()
            for kind in kinds
        }
        self.assertEqual({*cases.Kind}, told)
        self._converge(_SAMPLE)

    def test_a_sample_of_cron(self) -> None:
        self.assertEqual(stages.STAGES.keys(), {*_SAMPLE, *_CRON})
        self.leave_it_to_others()
        self._converge(_CRON)
