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

import threading

from oslotest import base

from osc_maintenance import parallel


class TestEach(base.BaseTestCase):
    def test_results_are_in_order(self) -> None:
        self.assertEqual(
            [n * n for n in range(100)],
            parallel.each(lambda n: n * n, range(100)),
        )
        self.assertEqual([], parallel.each(abs, []))

    def test_they_wait_at_the_same_time(self) -> None:
        # passes the barrier only if all are there together
        together = threading.Barrier(parallel.WIDTH)
        parallel.each(
            lambda _n: together.wait(timeout=30), range(parallel.WIDTH)
        )
        self.assertFalse(together.broken)

    def test_no_more_than_the_width(self) -> None:
        names = parallel.each(
            lambda _n: threading.current_thread().name, range(100)
        )
        self.assertLessEqual(len(set(names)), parallel.WIDTH)

    def test_an_error_is_raised(self) -> None:
        self.assertRaises(
            ZeroDivisionError, parallel.each, lambda n: 1 // n, [0]
        )


class TestBoth(base.BaseTestCase):
    def test_results(self) -> None:
        self.assertEqual((1, 'a'), parallel.both(lambda: 1, lambda: 'a'))

    def test_an_error_is_raised(self) -> None:
        for calls in ((lambda: 1 // 0, int), (int, lambda: 1 // 0)):
            self.assertRaises(ZeroDivisionError, parallel.both, *calls)

    def test_a_thread_that_hangs_does_not_keep_the_process(self) -> None:
        parallel.start(threading.Event().wait)
        self.assertEqual(
            [],
            [
                thread
                for thread in threading.enumerate()
                if thread is not threading.main_thread() and not thread.daemon
            ],
        )
