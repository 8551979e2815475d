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

import functools
import os
import pathlib
import signal

from oslotest import base

from osc_maintenance.drain import interrupt

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def open_files() -> int:
    return sum(1 for _ in pathlib.Path('/proc/self/fd').iterdir())


class TestInterruptible(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        for number in SIGNALS:
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def send(self, number: int) -> None:
        """Python handles a signal of its own process before it goes on."""
        os.kill(os.getpid(), number)

    def forward(self, number: int, *_handled: object) -> None:
        self.send(number)

    def test_nothing_happens_without_a_signal(self) -> None:
        with interrupt.interruptible() as pause:
            for _ in range(3):
                self.assertFalse(pause(0))

    def test_the_first_signal_ends_the_waiting(self) -> None:
        for number in SIGNALS:
            with interrupt.interruptible() as pause:
                self.send(number)
                # it does not wait, nor does it next time
                self.assertTrue(pause(3600))
                self.assertTrue(pause(3600))

    def test_a_signal_during_the_waiting_ends_it(self) -> None:
        for number in SIGNALS:
            with interrupt.interruptible() as pause:
                before = signal.getsignal(signal.SIGALRM)
                forward = functools.partial(self.forward, number)
                signal.signal(signal.SIGALRM, forward)
                signal.setitimer(signal.ITIMER_REAL, 0.01)
                try:
                    self.assertTrue(pause(3600))
                finally:
                    signal.signal(signal.SIGALRM, before)

    def test_the_second_signal_leaves_at_once(self) -> None:
        for first in SIGNALS:
            for second in SIGNALS:
                with interrupt.interruptible():
                    self.send(first)
                    self.assertRaises(KeyboardInterrupt, self.send, second)

    def test_the_second_signal_leaves_the_waiting_too(self) -> None:
        def leave() -> None:
            with interrupt.interruptible() as pause:
                self.send(signal.SIGINT)
                self.assertTrue(pause(3600))
                self.send(signal.SIGTERM)

        self.assertRaises(KeyboardInterrupt, leave)

    def test_afterwards_all_is_as_it_was(self) -> None:
        handlers = [signal.getsignal(number) for number in SIGNALS]
        files = open_files()

        def fail() -> None:
            with interrupt.interruptible():
                self.send(signal.SIGINT)
                raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, fail)
        with interrupt.interruptible():
            pass
        self.assertEqual(
            handlers, [signal.getsignal(number) for number in SIGNALS]
        )
        self.assertEqual(files, open_files())
