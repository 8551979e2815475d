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

import dataclasses
import datetime

from oslotest import base

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import noting
from osc_maintenance import record
from osc_maintenance.tests.unit import scenes
from osc_maintenance import windows

NOW, HOUR = scenes.NOW, scenes.HOUR


class TestCalledFor(base.BaseTestCase):
    def test_by_time(self) -> None:
        planned, inside = scenes.planned(), scenes.entered()
        limited = scenes.entered(request=asking.Request(duration=HOUR))
        interrupted = scenes.after(inside, change.SetService(record.ENABLED))
        foreign = scenes.disabled_by_somebody(inside)
        damaged = scenes.after(
            planned, change.WriteRecord({'maintenance:window_end': 'soon'})
        )
        assert planned.aggregate is not None
        renamed = dataclasses.replace(
            planned,
            aggregate=dataclasses.replace(
                planned.aggregate, hosts=('compute2',)
            ),
        )
        gone = dataclasses.replace(planned, service=None)
        begun = NOW + 4 * HOUR - datetime.timedelta(seconds=5)
        ahead = NOW + 4 * HOUR + datetime.timedelta(seconds=5)
        dropping, by_another_clock, dropped, ending = (
            scenes.after(
                host,
                change.WriteRecord(
                    noting.returning({}, noted, brings_back=True)
                ),
            )
            for host, noted in (
                (planned, begun),
                (planned, ahead),
                (planned, NOW),
                (interrupted, NOW),
            )
        )
        enter, end, mend = (
            windows.Call.ENTER,
            windows.Call.END,
            windows.Call.MEND,
        )
        for what, seen, hours, expected in (
            ('no maintenance', scenes.host(), 0, None),
            ('no record', scenes.claimed(scenes.host()), 0, None),
            ('planned', planned, 3, None),
            ('its start has come', planned, 4, enter),
            ('its end has come too', planned, 6, end),
            ('a plan that is being dropped', dropping, 4, None),
            ('by a clock that is ahead', by_another_clock, 4, None),
            ('that was interrupted', dropped, 4, mend),
            ('and its start is yet to come', dropped, 3, None),
            ('it is being ended', ending, 4, None),
            ('inside', limited, 0, None),
            ('over', limited, 1, end),
            ('without an end', inside, 10000, None),
            ('interrupted, or enabled', interrupted, 0, enter),
            ('disabled by somebody', foreign, 0, None),
            ('damaged', damaged, 0, mend),
            ('of another host', renamed, 4, mend),
            ('its service is gone', gone, 4, mend),
            ('gone, and not yet due', gone, 3, None),
        ):
            with self.subTest(what):
                self.assertEqual(
                    expected, windows.called_for(seen, NOW + hours * HOUR)
                )
