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

"""Clouds that answer now and then: nothing is started twice."""

import collections.abc
import subprocess
import sys
import threading

from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import drains
from osc_maintenance.tests.functional import proxy

Exit = drains.Exit
_ALL = ('--migrate', 'all')
#: An ``openstack`` that waits for an answer for fifteen seconds only.
_IMPATIENT = (
    'from osc_maintenance import clients; clients._ANSWER = 15.0; '
    'from openstackclient import shell; raise SystemExit(shell.main())'
)
Told = collections.abc.Callable[[str, str], bool]


class FaultTestCase(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()
        self.proxy = self.useFixture(proxy.Proxy(self.cloud.urls['compute']))
        self.environ = self.clouds_yaml(
            compute_endpoint_override=f'{self.proxy.url}/v2.1'
        )


class TestLooks(FaultTestCase):
    def _fails(self, status: int, *paths: str) -> None:
        """Some looks fail, and the drain does what it would have done."""
        made = self.scene.servers(['a', 'b', 'c'], on=self.here)
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        started = threading.Event()
        looks = dict.fromkeys(paths, 0)

        def answer(method: str, path: str) -> int | None:
            if method == 'POST' and '/servers/' in path:
                started.set()
            for word in paths:
                if method == 'GET' and word in path and started.is_set():
                    looks[word] += 1
                    return status if looks[word] in (1, 2, 4) else None
            return None

        self.proxy.answer = answer
        drain = self.set_(self.here, *_ALL, environ=self.environ)
        self.assertLess(3, min(looks.values()))
        for server in made:
            self.assert_moved_once(drain, server, self.there)
        self.assert_moved_once(drain, off, self.there, 'SHUTOFF')
        self.assert_drained(self.shown(self.here))
        self.assertIn('Nova does not answer, asked again in', drain.stderr)
        self.assertIn('Nova answers again', drain.stderr)

    def test_nova_is_unavailable(self) -> None:
        self._fails(503, '/os-migrations', '/servers/detail')

    def test_nova_is_asked_too_much(self) -> None:
        self._fails(429, '/os-migrations', '/servers/detail')

    def test_nova_is_upgraded(self) -> None:
        # an older one behind the same address knows no such microversion
        self._fails(406, '/os-migrations', '/servers/detail')

    def test_connections_are_dropped(self) -> None:
        made = self.scene.servers(['a', 'b'], on=self.here)
        looks: list[str] = []

        def drop(method: str, path: str) -> None:
            if method == 'GET' and '/os-migrations' in path:
                looks.append(path)
                # the first one is none of the drain, nor is the last one
                if len(looks) in (3, 4, 6):
                    raise ConnectionError

        for when in ('before', 'after'):
            looks.clear()
            setattr(self.proxy, when, drop)
            drain = self.set_(
                self.here, *_ALL, '--max-parallel', '1', environ=self.environ
            )
            self.assertLess(3, len(looks))
            self.assertIn('Nova does not answer', drain.stderr)
            for server in made:
                self.assert_on(self.there, server)
                self.assertEqual('moved', drain.outcome(server))
            setattr(self.proxy, when, proxy._nothing)
            self.maintenance('unset', self.here)
            self.here, self.there = self.there, self.here
        for server in made:
            self.assertEqual(['completed'] * 2, self.statuses(server))

    def test_an_answer_never_comes(self) -> None:
        web = self.scene.server('web', on=self.here)
        looks: list[str] = []
        over = threading.Event()
        self.addCleanup(over.set)

        def hold(method: str, path: str) -> None:
            if method == 'GET' and '/os-migrations' in path:
                looks.append(path)
                if len(looks) == 3:
                    over.wait()

        self.proxy.before = hold
        command = ('host', 'maintenance', 'set', self.here, *_ALL)
        done = subprocess.run(
            [sys.executable, '-c', _IMPATIENT, *command, '-f', 'json'],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=forked.SECONDS,
        )
        self.assertEqual(Exit.DONE, done.returncode, done.stderr)
        self.assertIn('Nova does not answer', done.stderr)
        self.assertIn('Nova answers again', done.stderr)
        self.assert_on(self.there, web)
        self.assertEqual(['completed'], self.statuses(web))

    def _once_after_the_start(self, method: str, word: str) -> list[str]:
        """The first request like that, once a move was started, fails."""
        started, met = threading.Event(), list[str]()

        def answer(asked: str, path: str) -> int | None:
            wanted = asked == method and word in path
            if started.is_set() and wanted and not met:
                met.append(path)
                return 503
            if asked == 'POST' and '/servers/' in path:
                started.set()
            return None

        self.proxy.answer = answer
        return met

    def test_why_a_move_failed_cannot_be_asked(self) -> None:
        web = self.scene.server('web', on=self.here)
        self.scene.migration_of(web, fails='dest-check')
        for word in ('os-instance-actions', f'/servers/{web.id}'):
            met = self._once_after_the_start('GET', word)
            drain = self.set_(
                *(self.here, *_ALL, '--retries', '0'),
                environ=self.environ,
                code=Exit.STAYED,
            )
            self.assertEqual(1, len(met))
            self.assertIn('told to fail in the check', drain.of(web)['cause'])

    def test_what_became_of_it_cannot_be_noted(self) -> None:
        web = self.scene.server('web', on=self.here)
        met = self._once_after_the_start('POST', '/os-aggregates/')
        drain = self.set_(self.here, *_ALL, environ=self.environ)
        self.assertEqual(1, len(met))
        self.assert_moved_once(drain, web, self.there)
        self.assert_drained(drain.told)

    def test_the_maintenance_cannot_be_read(self) -> None:
        # it is looked at before the second one, so long after the first
        made = self.scene.servers(['web', 'db'], on=self.here)
        for server in made:
            self.scene.migration_of(server, seconds=22)
        met = self._once_after_the_start('GET', '/os-aggregates/')
        drain = self.set_(
            *(self.here, *_ALL, '--max-parallel', '1'), environ=self.environ
        )
        self.assertEqual(1, len(met))
        for server in made:
            self.assert_moved_once(drain, server, self.there)

    def test_the_answer_cannot_be_read_at_once(self) -> None:
        web = self.scene.server('web', on=self.here)
        noted, met = threading.Event(), list[str]()
        started = threading.Event()

        def answer(method: str, path: str) -> int | None:
            if method == 'POST':
                if '/os-aggregates/' in path and started.is_set():
                    noted.set()
                if '/servers/' in path:
                    started.set()
            elif noted.is_set() and not met:
                met.append(path)
                return 503
            return None

        self.proxy.answer = answer
        drain = self.set_(self.here, *_ALL, environ=self.environ)
        self.assertEqual(1, len(met))
        # a drain of hours does not lose what it has to tell
        self.assert_moved_once(drain, web, self.there)


class TestStarts(FaultTestCase):
    """A move whose answer is lost is never started twice."""

    def _once(self, arrange: collections.abc.Callable[[Told], None]) -> None:
        """The first request to move a server meets with what is arranged."""
        web = self.scene.server('web', on=self.here)
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        for server, status in ((web, 'ACTIVE'), (off, 'SHUTOFF')):
            arrange(self.moves_of(server))
            drain = self.set_(
                *(self.here, *_ALL, '--server', server.name),
                environ=self.environ,
            )
            self.assertIn(
                'Nova did not answer; whether it has taken the request will '
                'be seen',
                drain.stderr,
            )
            self.assert_moved_once(drain, server, self.there, status)

    def _answered(self, status: int) -> None:
        def arrange(is_it: Told) -> None:
            left = [status]
            self.proxy.answer = lambda method, path: (
                left.pop() if left and is_it(method, path) else None
            )

        self._once(arrange)

    def _dropped(self, when: str) -> None:
        self._once(
            lambda is_it: setattr(self.proxy, when, self.once(is_it, _drop))
        )

    def test_unavailable_before_it_reached_nova(self) -> None:
        self._answered(503)

    def test_too_many_requests(self) -> None:
        self._answered(429)

    def test_dropped_before_it_reached_nova(self) -> None:
        self._dropped('before')

    def test_dropped_when_nova_had_it(self) -> None:
        self._dropped('after')

    def test_the_answer_to_a_confirmation_is_lost(self) -> None:
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        is_it = self.moves_of(off)
        seen: list[str] = []

        def drop(method: str, path: str) -> None:
            if is_it(method, path):
                seen.append(path)
                if len(seen) == 2:
                    raise ConnectionError

        self.proxy.after = drop
        drain = self.set_(self.here, *_ALL, environ=self.environ)
        self.assert_moved_once(drain, off, self.there, 'SHUTOFF')
        self.assert_drained(drain.told)

    def test_nova_is_gone_and_does_not_come_back(self) -> None:
        web = self.scene.server('web', on=self.here)
        self.scene.migration_of(web, hangs=True)
        going = self.set_going(
            self.here, *_ALL, '--timeout', '20s', environ=self.environ
        )
        going.says('live migration started')
        self.proxy.answer = lambda _method, _path: 503
        answer = going.end()
        self.assertEqual(Exit.TIMED_OUT, answer.code, str(answer))
        self.assertNotIn('Traceback', answer.stderr)
        self.assertEqual('migrating', self.shown(self.here)['state'])


def _drop() -> None:
    raise ConnectionError
