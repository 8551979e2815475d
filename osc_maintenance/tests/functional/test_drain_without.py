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

"""Servers are moved while what is not Nova is missing."""

import json
import pathlib
import subprocess
import sys
import threading

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.functional import drains
from osc_maintenance.tests.functional import proxy

Exit = drains.Exit
_ALL = ('--migrate', 'all')
#: Python's own, at an end where it cannot write all that it has to.
_UNWRITTEN = 120
#: Where nobody listens.
_NOWHERE = 'http://127.0.0.1:9'


class WithoutTestCase(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()


class TestWithout(WithoutTestCase):
    def _drained(self, environ: dict[str, str]) -> drains.Drain:
        web = self.scene.server('web', on=self.here)
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        drain = self.set_(self.here, *_ALL, environ=environ)
        self.assert_moved_once(drain, web, self.there)
        self.assert_moved_once(drain, off, self.there, 'SHUTOFF')
        return drain

    def test_placement(self) -> None:
        environ = self.clouds_yaml(placement_endpoint_override=_NOWHERE)
        drain = self._drained(environ)
        self.assertIn('Whether there is room is not known', drain.stderr)
        self.assertIn('Placement cannot be asked', drain.stderr)
        self.assertEqual('maintenance', drain.told['state'])
        self.assertIsNone(drain.told['emptied'])

    def test_glance(self) -> None:
        drain = self._drained(
            self.clouds_yaml(image_endpoint_override=_NOWHERE)
        )
        self.assertIn(
            'Image properties are not looked at: Glance does not answer',
            drain.stderr,
        )
        self.assert_drained(drain.told)

    def test_stderr(self) -> None:
        web = self.scene.server('web', on=self.here)
        command = ('host', 'maintenance', 'set', self.here, *_ALL)
        environ = dict(self.cloud.environ())
        # it makes Python forget what it could not write
        environ.pop('PYTHONUNBUFFERED', None)
        # like a file on a disk that is full
        with pathlib.Path('/dev/full').open('wb') as full:
            done = subprocess.run(
                (
                    *(sys.executable, '-m', 'openstackclient.shell'),
                    *(*command, '-f', 'json'),
                ),
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=full,
                check=False,
            )
        self.assertEqual(_UNWRITTEN, done.returncode)
        drain = drains.Drain(json.loads(done.stdout), '')
        self.assert_moved_once(drain, web, self.there)
        self.assert_drained(drain.told)


class TestKeystone(WithoutTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.keystone = self.useFixture(
            proxy.Proxy(self.cloud.urls['identity'])
        )

    def _environ(self, account: accounts.Account) -> dict[str, str]:
        return {
            **self.cloud.environ_of_variables(account),
            'OS_AUTH_URL': f'{self.keystone.url}/v3',
        }

    def test_it_is_down_at_first(self) -> None:
        self.keystone.answer = lambda _method, _path: 503
        answer = self.run_openstack(
            *('host', 'maintenance', 'set', self.here),
            environ=self._environ(accounts.ACCOUNTS['admin']),
        )
        self.assertEqual(Exit.ERROR, answer.code, str(answer))
        self.assertNotIn('Traceback', answer.stderr)
        self.assertIn('503', answer.stderr)
        self.assert_untouched(self.here)

    def test_it_is_down_while_they_move(self) -> None:
        web = self.scene.server('web', on=self.here)
        self.scene.migration_of(web, seconds=10)
        environ = self._environ(accounts.ACCOUNTS['admin'])
        going = self.set_going(self.here, *_ALL, environ=environ)
        going.says('live migration started')
        self.keystone.answer = lambda _method, _path: 503
        drain = self.ended(going)
        self.assert_moved_once(drain, web, self.there)
        self.assert_drained(drain.told)

    def test_a_token_ends_while_it_is_down(self) -> None:
        made = self.scene.servers(['a', 'b', 'c'], on=self.here)
        for server in made:
            self.scene.migration_of(server, seconds=25)
        started, asked = threading.Event(), list[str]()

        def answer(method: str, path: str) -> int | None:
            if method == 'POST' and started.is_set():
                asked.append(path)
                return 503 if len(asked) <= 3 else None
            return None

        self.keystone.answer = answer
        environ = self._environ(self.scene.user(token_seconds=45))
        going = self.set_going(
            *(self.here, *_ALL, '--max-parallel', '1'), environ=environ
        )
        going.says('live migration started')
        started.set()
        drain = self.ended(going)
        self.assertLess(3, len(asked))
        self.assertIn(
            f'{self.keystone.url}/v3/auth/tokens: Unrecognized schema in '
            'response body. (HTTP 503)',
            drain.stderr,
        )
        self.assertIn('answers again', drain.stderr)
        for server in made:
            self.assert_moved_once(drain, server, self.there)
        self.assert_drained(drain.told)
