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

"""Who looks on while nothing moves for a moment is not alarmed."""

import threading

from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import drains


class TestLull(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()
        self.proxy, self.environ = self.proxied()
        self.seen: list[tuple[str, str | None]] = []
        self._first, self._lock = True, threading.Lock()
        #: Each request goes on to Nova after the look, once this is set.
        self._go_on = threading.Event()
        self._go_on.set()
        self.proxy.before = self._look

    def _look(self, method: str, path: str) -> None:
        """Look on before each but the first request to move or confirm."""
        with self._lock:
            if method != 'POST' or '/servers/' not in path:
                return
            if not self._first:
                shown = self.shown(self.here)
                self.seen.append((shown['state'], shown['cause']))
                self._go_on.wait(forked.SECONDS)
            self._first = False

    def assert_calm(self, count: int, *words: str) -> None:
        """Each look has found the host migrating, and said why.

        :param count: how many there were, and one more for each confirmation
            that Nova has refused because it came too early.
        """
        self.assertLessEqual(count, len(self.seen), str(self.seen))
        for state, cause in self.seen:
            self.assertEqual('migrating', state, str(self.seen))
            for word in (drains.LULL, *words):
                self.assertIn(word, str(cause))

    def test_between_two_moves(self) -> None:
        self.scene.servers(['web', 'db'], on=self.here)
        self.scene.server('off', on=self.here, status='SHUTOFF')
        one = ('--max-parallel', '1')
        drain = self.set_(
            self.here, '--migrate', 'all', *one, environ=self.environ
        )
        self.assert_drained(drain.told)
        # two more moves, and a confirmation
        self.assert_calm(3, 'the drain is about to go on')

        self.seen.clear()
        self._first = True
        answer = self.run_openstack(
            *('host', 'maintenance', 'unset', self.here, '--return-servers'),
            *one,
            environ=self.environ,
        )
        self.assertEqual(drains.Exit.DONE, answer.code, str(answer))
        self.assert_calm(3, 'the return is about to go on')
        self.assert_untouched(self.here)

    def test_before_a_move_is_tried_again(self) -> None:
        web = self.scene.server('web', on=self.here)
        self.scene.migration_of(web, fails='pre')
        self._go_on.clear()
        going = self.set_going(
            self.here, '--migrate', 'all', environ=self.environ
        )
        going.says('will be tried again in 10s')
        self.scene.migration_of(web)
        self._go_on.set()
        self.assert_drained(self.ended(going).told)
        self.assert_calm(1, '1 server left')
