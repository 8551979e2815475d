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

    def assert_around(
        self, seconds: float, ram: int, *took: tuple[int, float]
    ) -> None:
        found = self.window(ram, *took)
        assert found
        self.assertAlmostEqual(seconds, found.typical)
        self.assertAlmostEqual(
            seconds - found.earliest, found.latest - seconds
        )
        self.assertLessEqual(found.latest, 1.3 * seconds)

    def test_nothing_is_known(self) -> None:
        self.assertIsNone(self.window(1024))

    def test_twice_as_much_takes_twice_as_long(self) -> None:
        for ram, seconds in ((512, 2), (1024, 4), (4096, 16)):
            self.assert_around(seconds, ram, (1024, 4))

    def test_what_has_no_size_tells_as_much(self) -> None:
        for ram, known in ((0, 1024), (1024, 0), (0, 0)):
            self.assert_around(4, ram, (known, 4))

    def test_nothing_is_told_of_what_is_much_larger(self) -> None:
        for ram, seconds in ((1, 4 / 16), (1 << 20, 4 * 16)):
            self.assert_around(seconds, ram, (1024, 4))

    def test_servers_of_about_the_same_size_tell_it_best(self) -> None:
        told = ((1024, 4), (8192, 5), (16384, 5.5))
        self.assert_around(4, 1024, *told)
        self.assertEqual(
            (4.5, 5.5, 6.5),
            self.window(16384, (8192, 3), *told[2:], (16384, 5)),
        )
        nearest = [(1000 + number, 4.0) for number in range(8)]
        window = self.window(1000, (1500, 60), *nearest, (700, 60))
        assert window
        self.assertAlmostEqual(4, window.latest, delta=0.1)

    def test_what_was_not_seen_may_be_a_little_beyond(self) -> None:
        for told, window in (
            ((10.0,), (7, 10, 13)),
            ((10.0, 20.0), (0, 15, 30)),
            ((10.0, 15.0, 20.0), (5, 15, 25)),
            ((10.0, 12.0, 14.0, 18.0, 20.0), (7.5, 14, 22.5)),
            # nothing is as exact as that
            ((10.0, 10.0), (9.8, 10, 10.2)),
        ):
            known = ((1024, seconds) for seconds in told)
            self.assertEqual(window, self.window(1024, *known))

    def test_between_two_looks(self) -> None:
        took = forecast.Took(_A.LIVE_MIGRATE, 1024, 2, 4)
        found = forecast.window(test_pace.move('a', ram=1024), [took])
        assert found
        self.assertEqual(3, found.typical)

    def test_the_latest_count(self) -> None:
        told = [(1024, 900.0)] * 5 + [(1024, 4.0)] * 20
        self.assert_around(4, 1024, *told)

    def test_of_its_kind(self) -> None:
        took = forecast.Took(_A.COLD_MIGRATE, 1024, 4, 4)
        self.assertIsNone(
            forecast.window(test_pace.move('a', ram=1024), [took])
        )
