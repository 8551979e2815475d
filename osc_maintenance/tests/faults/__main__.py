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

"""Any fault at any moment: does the same command end the same way after it?

Every command of ours runs once for each of its requests and each kind of
fault. Then ``show`` has to tell the truth, the same command without a fault
has to end as if there had been none, and ``unset`` has to bring back what was
before. Exit status 1 says that something was wrong.
"""

import argparse
import collections
import json
import sys
import threading
import time

from osc_maintenance.tests.cloud import fixture
from osc_maintenance.tests.faults import campaign
from osc_maintenance.tests.faults import cases
from osc_maintenance.tests.faults import stages

#: After how many seconds it says how far it is.
_EVERY = 30.0


class _Reporter:
    """Keeps the verdicts, and shows on stderr what is wrong at once."""

    def __init__(self) -> None:
        self.verdicts: list[cases.Verdict] = []
        self._lock = threading.Lock()
        self._said = time.monotonic()

    def __call__(self, verdict: cases.Verdict) -> None:
        with self._lock:
            self.verdicts.append(verdict)
            if verdict.wrong:
                sys.stderr.write(f'{verdict}\n')
            if time.monotonic() - self._said >= _EVERY:
                self._said = time.monotonic()
                counts = collections.Counter(
                    item.result for item in self.verdicts
                )
                told = ', '.join(f'{n} {what}' for what, n in counts.items())
                sys.stderr.write(f'{verdict.case}: {told}\n')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f'python -m {__package__}', description=__doc__
    )
    parser.add_argument(
        '--only',
        action='append',
        choices=tuple(stages.STAGES),
        metavar='COMMAND',
        help=f'only this of {", ".join(stages.STAGES)} (repeat for several)',
    )
    parser.add_argument(
        '--kind',
        action='append',
        type=cases.Kind,
        metavar='KIND',
        help=f'only this of {", ".join(cases.Kind)} (repeat for several)',
    )
    parser.add_argument(
        '--case',
        action='append',
        type=cases.Case.parse,
        metavar='COMMAND:N:KIND',
        help='only this case, as it is printed (repeat for several)',
    )
    parser.add_argument(
        '--every', type=int, default=1, metavar='N', help='one case of N'
    )
    parser.add_argument(
        '--workers', type=int, default=2, metavar='N', help='side by side'
    )
    parser.add_argument('--json', action='store_true')
    return parser


def main() -> int:
    """Run the campaign, and print its table."""
    options = _parser().parse_args()
    tell = _Reporter()
    with fixture.Cloud() as cloud:
        if options.case:
            requests = campaign.run_cases(
                cloud, options.case, tell, options.workers
            )
        else:
            requests = campaign.run(
                cloud,
                options.only or tuple(stages.STAGES),
                options.kind or tuple(cases.Kind),
                options.every,
                options.workers,
                tell,
            )
    wrong = [item for item in tell.verdicts if item.wrong]
    if options.json:
        found = [item.as_dict() for item in tell.verdicts]
        told = json.dumps({'requests': requests, 'cases': found}, indent=1)
    else:
        told = cases.table(tell.verdicts, requests)
    sys.stdout.write(told + '\n')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
