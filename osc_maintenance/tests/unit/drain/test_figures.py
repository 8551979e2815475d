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

from oslotest import base

from osc_maintenance.drain import figures
from osc_maintenance.drain import verdict
from osc_maintenance.nova import answers
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import reports

_A = verdict.Action


class TestFigures(base.BaseTestCase):
    def test_copied(self) -> None:
        for copied, progress, age, action, expected in (
            (None, None, 0.0, _A.LIVE_MIGRATE, (None, None)),
            (None, 34, 0.0, _A.LIVE_MIGRATE, (34, None)),
            # Nova's figure is of live migrations only
            (None, 0, 0.0, _A.COLD_MIGRATE, (None, None)),
            ((400, 1000), 34, 15.0, _A.LIVE_MIGRATE, (60, 400)),
            ((400, 1000), 70, 16.0, _A.LIVE_MIGRATE, (70, 300)),
            ((400, 1000), 0, 16.0, _A.LIVE_MIGRATE, (60, 400)),
            ((1, 1000), 0, 0.0, _A.LIVE_MIGRATE, (99, 1)),
            ((0, 1000), 0, 0.0, _A.LIVE_MIGRATE, (100, 0)),
            # it is written to faster than it is copied
            ((1400, 1000), 0, 0.0, _A.LIVE_MIGRATE, (0, 1400)),
            ((0, 0), 0, 0.0, _A.LIVE_MIGRATE, (0, None)),
        ):
            with self.subTest(str((copied, progress, age))):
                move = reports.in_motion('web1', action)
                if copied:
                    move.figures = answers.Figures(*copied)
                move.asked = 100.0
                move.server = servers.Server('1', 'web1', progress=progress)
                self.assertEqual(expected, figures.copied(move, 100.0 + age))

    def test_progress_of_an_earlier_migration_is_not_told(self) -> None:
        move = reports.in_motion('web1', status='queued')
        move.server = servers.Server('1', 'web1', progress=100)
        move.running = None
        self.assertEqual((None, None), figures.copied(move, 0.0))

    def test_time_left(self) -> None:
        for seconds, words in (
            (None, None),
            (0.0, None),
            (0.2, 'about 5s left'),
            (41.0, 'about 45s left'),
            (60.0, 'about 1m left'),
            (61.0, 'about 2m left'),
            (4801.0, 'about 1h21m left'),
        ):
            self.assertEqual(words, figures.time_left(seconds))
