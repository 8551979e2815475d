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

"""Tokens that expire, and other people, in the middle of a drain."""

import json
import math
import signal
import threading

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import drains

Exit = drains.Exit
_ALL = ('--migrate', 'all')


class TestTokens(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()
        self.account = self.scene.user(token_seconds=45)
        self.made = self.scene.servers(['a', 'b', 'c'], on=self.here)
        for server in self.made:
            self.scene.migration_of(server, seconds=25)

    def test_a_password_is_used_again(self) -> None:
        environ = self.cloud.environ_of_variables(self.account)
        drain = self.set_(
            self.here, *_ALL, '--max-parallel', '1', environ=environ
        )
        for server in self.made:
            self.assert_moved_once(drain, server, self.there)
        self.assert_drained(drain.told)
        self.assertEqual(self.account.user, drain.told['set_by'])

    def test_a_bare_token_ends(self) -> None:
        environ = self.cloud.environ_of_variables(self.account)
        for name in ('OS_USERNAME', 'OS_PASSWORD', 'OS_USER_DOMAIN_NAME'):
            environ.pop(name, None)
        environ['OS_AUTH_TYPE'] = 'token'
        environ['OS_TOKEN'] = api.Api(self.cloud.urls, self.account).token
        going = self.set_going(
            self.here, *_ALL, '--max-parallel', '1', environ=environ
        )
        answer = going.end()
        self.assertEqual(Exit.ERROR, answer.code, str(answer))
        self.assertEqual('', answer.stdout)
        self.assertNotIn('Traceback', answer.stderr)
        last = answer.stderr.splitlines()[-1]
        self.assertIn(f'The drain of {self.here} stops', last)
        self.assertIn('token', last)
        self.assertIn('run the same command again', last)
        for server in self.made:
            self.at_rest(server)
        shown = self.shown_at_last(self.here)
        self.assertEqual('error', shown['state'])
        self.assertIn('interrupted', shown['cause'])
        drain = self.set_(self.here)
        self.assert_drained(drain.told)
        for server in self.made:
            self.assert_on(self.there, server)
            self.assertEqual(['completed'], self.statuses(server))

    def test_somebody_else_goes_on(self) -> None:
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        self.scene.migration_of(off, cold_seconds=4)
        going = self.set_going(self.here, *_ALL, '--max-parallel', '4')
        self.migration(off, 'migrating')
        going.kill()
        account = accounts.Account('project-admin', 'alpha', ('admin',))
        environ = self.cloud.environ_of_variables(account)
        drain = self.set_(self.here, environ=environ)
        self.assert_moved_once(drain, off, self.there, 'SHUTOFF')
        self.assert_drained(drain.told)
        for server in self.made:
            self.assertEqual(['completed'], self.statuses(server))


class TestSomebodyElse(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()
        self.made = self.scene.servers(['a', 'b'], on=self.here)
        for server in self.made:
            self.scene.migration_of(server, hangs=True)
        self.going = self.set_going(self.here, *_ALL, '--max-parallel', '1')
        self.going.says('live migration started')

    def _assert_stops(self, words: str) -> None:
        answer = self.going.end()
        self.assertEqual(Exit.ERROR, answer.code, str(answer))
        self.assertRegex(answer.stderr.splitlines()[-1], words)
        self.assertNotIn('Traceback', answer.stderr)
        self.assertEqual(
            [0, 1], sorted(len(self.migrations(s)) for s in self.made)
        )

    def test_ends_the_maintenance(self) -> None:
        self.maintenance('unset', self.here)
        # whatever of it comes first: the service is enabled before
        self._assert_stops(
            'was ended by somebody else|changed the compute service'
        )
        self.assert_untouched(self.here)

    def test_wants_no_server_to_be_moved(self) -> None:
        self.maintenance('set', self.here, '--migrate', 'none')
        self._assert_stops('somebody else has changed which servers')
        self.assertEqual('migrating', self.shown(self.here)['state'])

    def test_changes_the_reason(self) -> None:
        operations.wait_for(
            'one runs',
            lambda: any('running' in self.statuses(s) for s in self.made),
        )
        told = self.maintenance(
            *('set', self.here, '--reason', 'kernel', '--migrate', 'none')
        )
        self.assertEqual('kernel', told['reason'])
        self._assert_stops('somebody else has changed which servers')


class TestAsleep(drains.DrainTestCase):
    """The drain stands still for a time, as on a laptop that sleeps."""

    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()
        self.made = self.scene.servers(['a', 'b'], on=self.here)
        for server in self.made:
            self.scene.migration_of(server, seconds=16)
        self.going = self.set_going(self.here, *_ALL, '--max-parallel', '1')
        self.going.says('live migration started')
        self.going.send(signal.SIGSTOP)
        operations.wait_for(
            'one has moved',
            lambda: any('completed' in self.statuses(s) for s in self.made),
        )

    def test_it_goes_on(self) -> None:
        self.going.send(signal.SIGCONT)
        drain = self.ended(self.going)
        for server in self.made:
            self.assert_moved_once(drain, server, self.there)
        self.assert_drained(drain.told)

    def test_somebody_has_ended_it(self) -> None:
        self.maintenance('unset', self.here)
        self.going.send(signal.SIGCONT)
        answer = self.going.end()
        self.assertEqual(Exit.ERROR, answer.code, str(answer))
        self.assertIn(
            'was ended by somebody else', answer.stderr.splitlines()[-1]
        )
        self.assertEqual(
            [0, 1], sorted(len(self.migrations(s)) for s in self.made)
        )
        self.assert_untouched(self.here)


class TestTooLate(drains.DrainTestCase):
    """Nothing is left to start when somebody else ends the maintenance."""

    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()
        self.off = self.scene.server('off', on=self.here, status='SHUTOFF')
        self.scene.migration_of(self.off, cold_seconds=math.inf)
        self.going = self.set_going(self.here, *_ALL)
        self.going.says('cold migration started')

    def _assert_told(self, state: str) -> None:
        self.scene.migration_of(self.off)
        answer = self.going.end()
        self.assertEqual(Exit.ERROR, answer.code, str(answer))
        told = json.loads(answer.stdout)
        self.assertEqual(state, told['state'])
        self.assertEqual('moved', told['moves'][0]['outcome'])
        self.assertIn(
            f'{self.here} is no longer in maintenance',
            answer.stderr.splitlines()[-1],
        )
        self.assert_on(self.there, self.off, 'SHUTOFF')

    def test_it_is_ended(self) -> None:
        self.run_openstack('host', 'maintenance', 'unset', self.here)
        self._assert_told('none')
        self.assert_untouched(self.here)

    def test_the_service_is_enabled(self) -> None:
        self.set_service(self.here, 'enabled')
        self._assert_told('error')


class TestAnswer(drains.DrainTestCase):
    def test_ctrl_c_when_all_is_over(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        before, environ = self.proxied()
        moved, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def hold(method: str, path: str) -> None:
            """Hold the note of the end, or all may be over before Ctrl-C."""
            if method == 'POST' and '/servers/' in path:
                moved.set()
            elif method == 'POST' and moved.is_set():
                go_on.wait(forked.SECONDS)

        before.before = hold
        going = self.set_going(here, *_ALL, environ=environ)
        going.says('the end: 1 moved')
        going.send(signal.SIGINT)
        go_on.set()
        drain = self.ended(going)
        self.assert_moved_once(drain, web, there)
        self.assert_drained(drain.told)
