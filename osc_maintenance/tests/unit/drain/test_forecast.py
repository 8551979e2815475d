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

from osc_maintenance.drain import forecast
from osc_maintenance.drain import verdict
from osc_maintenance.tests.unit.drain import test_pace

_A = verdict.Action


class TestSize(base.BaseTestCase):
    def test_what_has_to_be_copied_counts(self) -> None:
        for action, size in (
            (_A.LIVE_MIGRATE, 2048),
            (_A.COLD_MIGRATE, 3 * 1024),
            (_A.EVACUATE, 3 * 1024),
        ):
            self.assertEqual(
                size,
                forecast.size(test_pace.move('a', action, ram=2048, disk=3)),
            )


class TestWindow(base.BaseTestCase):
    def window(
        self, ram: int, *took: tuple[int, float]
    ) -> forecast.Window | None:
        """When a server ends, after some of these sizes took so long."""
        return forecast.window(
            test_pace.move('a', ram=ram),
            [
                forecast.Took(_A.LIVE_MIGRATE, size, seconds, seconds)
                for size, seconds in took
            ],
        )

    def test_nothing_is_known(self) -> None:
        self.assertIsNone(self.window(1024))

    def test_twice_as_much_takes_twice_as_long(self) -> None:
        for ram, seconds in ((512, 2), (1024, 4), (4096, 16)):
            self.assertEqual((seconds,) * 3, self.window(ram, (1024, 4)))

    def test_what_has_no_size_tells_as_much(self) -> None:
        for ram, known in ((0, 1024), (1024, 0), (0, 0)):
            self.assertEqual((4, 4, 4), self.window(ram, (known, 4)))

    def test_nothing_is_told_of_what_is_much_larger(self) -> None:
        for ram, seconds in ((1, 4 / 16), (1 << 20, 4 * 16)):
            self.assertEqual((seconds,) * 3, self.window(ram, (1024, 4)))

    def test_servers_of_about_the_same_size_tell_it_best(self) -> None:
        told = ((1024, 4), (8192, 5), (16384, 5.5))
        self.assertEqual((4, 4, 4), self.window(1024, *told))
        self.assertEqual(
            (5, 5.5, 6), self.window(16384, (8192, 3), *told[2:], (16384, 5))
        )
        nearest = [(1000 + number, 4.0) for number in range(5)]
        window = self.window(1000, (1500, 60), *nearest, (700, 60))
        assert window
        self.assertAlmostEqual(4, window.latest)

    def test_between_two_looks(self) -> None:
        took = forecast.Took(_A.LIVE_MIGRATE, 1024, 2, 4)
        found = forecast.window(test_pace.move('a', ram=1024), [took])
        self.assertEqual((3, 3, 3), found)

    def test_the_latest_count(self) -> None:
        told = [(1024, 900.0)] * 5 + [(1024, 4.0)] * 20
        self.assertEqual((4, 4, 4), self.window(1024, *told))

    def test_of_its_kind(self) -> None:
        took = forecast.Took(_A.COLD_MIGRATE, 1024, 4, 4)
        self.assertIsNone(
            forecast.window(test_pace.move('a', ram=1024), [took])
        )
