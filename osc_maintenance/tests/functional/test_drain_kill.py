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

"""Drains whose client is killed or interrupted lose nothing."""

import collections.abc
import math
import signal
import threading

from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.functional import drains
from osc_maintenance.tests.functional import proxy

Exit = drains.Exit
#: POST aggregate, record, member; PUT service; note; two moves; confirm; note
WRITES = 9


class KillTestCase(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.proxy, self.environ = self.proxied()

    def killed(
        self,
        host: str,
        when: str,
        told: collections.abc.Callable[[str, str], bool],
        *options: str,
    ) -> bool:
        """Kill a drain before or after the first request like that.

        :returns: False if there was none, and it ended.
        """
        ready, killed = threading.Event(), threading.Event()
        self.proxy.requests.clear()

        def hook(method: str, path: str) -> None:
            ready.wait(60)
            if not killed.is_set() and told(method, path):
                killed.set()
                going.kill()
                # before: Nova does not see it; after: nobody is told
                raise ConnectionError

        setattr(self.proxy, when, hook)
        going = self.set_going(host, *options, environ=self.environ)
        ready.set()
        answer = going.end()
        # requests to move go side by side: the other one may be on its way
        self.proxy.settle()
        setattr(self.proxy, when, proxy._nothing)
        if killed.is_set():
            self.assertEqual(-signal.SIGKILL, answer.code, str(answer))
        else:
            self.assertEqual(Exit.DONE, answer.code, str(answer))
        return killed.is_set()

    def is_truthful(self, host: str, servers: list[scene.Server]) -> str:
        """What ``show`` says is what Nova says; the state.

        Nothing may change while this looks. For the state of a host from
        which all have gone, but are not confirmed, see below.
        """
        shown = self.shown(host)
        here = [
            server
            for server in servers
            if self.server(server)['OS-EXT-SRV-ATTR:host'] == host
        ]
        self.assertEqual(len(here), sum(shown['servers'].values()), str(shown))
        unconfirmed = sum(
            self.server(server)['status'] == 'VERIFY_RESIZE'
            for server in servers
        )
        self.assertEqual(unconfirmed, shown['unconfirmed_resizes'], str(shown))
        moving = sum(
            word not in (*drains.ENDED, 'finished')
            for server in servers
            for word in self.statuses(server)[-1:]
        )
        self.assertEqual(moving, shown['migrations_out'], str(shown))
        if self.service(host)[0] == 'enabled':
            self.assertIn(shown['state'], ('none', 'error'), str(shown))
        elif moving:
            self.assertEqual('migrating', shown['state'], str(shown))
        elif here:
            lull = drains.LULL in str(shown['cause'])
            told = 'migrating' if lull else 'error'
            self.assertEqual(told, shown['state'], str(shown))
            self.assertIn('interrupted', shown['cause'])
            self.assertFalse(shown['emptied'])
        elif unconfirmed:
            self.assertFalse(shown['emptied'])
        else:
            self.assertEqual('maintenance', shown['state'], str(shown))
        state: str = shown['state']
        return state


class TestKilledAtEachWrite(KillTestCase):
    def _killed_at_each(self, when: str) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        off = self.scene.server('off', on=here, status='SHUTOFF')
        options = ('--migrate', 'all')
        for number in range(1, WRITES + 1):

            def is_it(method: str, _path: str, number: int = number) -> bool:
                # requests to move go side by side: two may come at once
                return method != 'GET' and len(self.proxy.writes) >= number

            killed = self.killed(here, when, is_it, *options)
            for server in (web, off):
                self.at_rest(server)
            state = self.is_truthful(here, [web, off])
            if number <= WRITES - 1:
                self.assertTrue(killed, number)
            entered = self.shown(here)['migrate'] == 'all'
            again = self.set_(here, *(() if entered else options))
            self.assert_drained(again.told)
            self.assert_on(there, web)
            self.assert_on(there, off, 'SHUTOFF')
            self.assertEqual(['completed'] * number, self.statuses(web), state)
            self.assertEqual(['confirmed'] * number, self.statuses(off), state)
            again = self.set_(here)
            self.assertFalse(again.told['changed'])
            self.maintenance('unset', here)
            self.assert_untouched(here)
            here, there = there, here
        # there is no further write to be killed at
        self.proxy.requests.clear()
        self.assert_drained(
            self.set_(here, *options, environ=self.environ).told
        )
        writes = self.proxy.writes
        of_off = [w for w in writes if w[1].endswith(f'/{off.id}/action')]
        # for a moment Nova says that it can be confirmed, and refuses it
        repeated = max(0, len(of_off) - 2)
        self.assertEqual(WRITES, len(writes) - repeated, str(writes))

    def test_killed_before_each_write(self) -> None:
        self._killed_at_each('before')

    def test_killed_after_each_write(self) -> None:
        self._killed_at_each('after')


class TestKilled(KillTestCase):
    def test_before_nova_hears_of_the_first_move(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        self.killed(
            *(here, 'before', lambda _m, p: p.endswith('/action')),
            *('--migrate', 'none'),
        )
        self.assertTrue(
            self.killed(
                here,
                'before',
                lambda _m, path: path.endswith(f'/servers/{web.id}/action'),
                *('--migrate', 'active'),
            )
        )
        shown = self.shown_at_last(here)
        self.assertEqual('error', shown['state'])
        self.assertEqual(
            'the drain was interrupted, 1 server left: run set again, and it '
            'goes on',
            shown['cause'],
        )
        drain = self.set_(here)
        self.assert_moved_once(drain, web, there)
        self.assert_drained(drain.told)

    def test_while_one_runs_and_others_wait(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        made = self.scene.servers(['a', 'b', 'c'], on=here)
        for server in made:
            self.scene.migration_of(server, hangs=True)
        going = self.set_going(here, '--migrate', 'all', '--max-parallel', '1')
        going.says('live migration started')
        first = next(
            server
            for server in made
            if f'({server.id}): live migration started' in going.stderr
        )
        self.migration(first, 'running')
        going.kill()
        for server in made:
            self.scene.migration_of(server)

        self.assertEqual('migrating', self.is_truthful(here, made))
        again = self.set_going(here, '--max-parallel', '3')
        again.says(
            f'{first.name} ({first.id}): is on its way already: live '
            f'migration to {there}, started by another run'
        )
        for server in made:
            if server != first:
                self.migration(server, 'queued', 'running', 'completed')
        self.act_on_running(first, force_complete=None)
        drain = self.ended(again)
        self.assert_drained(drain.told)
        for server in made:
            self.assert_moved_once(drain, server, there)

    def act_on_running(self, server: scene.Server, **action: None) -> None:
        running = self.migration(server, 'running')
        self.admin.post(
            'compute',
            f'/servers/{server.id}/migrations/{running["id"]}/action',
            action,
        )

    def test_and_nova_ends_what_was_in_motion(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        db = self.scene.server('db', on=here)
        self.scene.migration_of(web, hangs=True)
        self.scene.migration_of(db, hangs=True)
        going = self.set_going(here, '--migrate', 'all', '--max-parallel', '1')
        going.says('live migration started')
        moving, waiting = (
            (web, db) if f'({web.id}): live' in going.stderr else (db, web)
        )
        self.migration(moving, 'running')
        going.kill()
        self.act_on_running(moving, force_complete=None)
        self.at_rest(moving)
        self.shown_at_last(here)
        self.assertEqual('error', self.is_truthful(here, [web, db]))
        self.assertEqual([], self.migrations(waiting))
        self.scene.migration_of(waiting)
        drain = self.set_(here)
        self.assert_moved_once(drain, waiting, there)
        self.assertEqual([waiting.id], [m['id'] for m in drain.told['moves']])
        self.assert_drained(drain.told)

    def test_a_cold_migration_that_is_not_confirmed(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        off = self.scene.server('off', on=here, status='SHUTOFF')
        self.scene.migration_of(off, cold_seconds=2)
        confirms: list[str] = []
        action = f'/servers/{off.id}/action'

        def is_confirm(method: str, path: str) -> bool:
            if method == 'POST' and path.endswith(action):
                confirms.append(path)
            return len(confirms) == 2

        self.assertTrue(
            self.killed(here, 'before', is_confirm, '--migrate', 'all')
        )
        # Nova says first that the migration is finished
        self.scene.wait_for_server(off, 'VERIFY_RESIZE')
        self.assert_on(there, off, 'VERIFY_RESIZE')
        shown = self.shown(here)
        self.assertEqual(
            (1, False), (shown['unconfirmed_resizes'], shown['emptied'])
        )
        drain = self.set_(here)
        self.assert_moved_once(drain, off, there, 'SHUTOFF')
        self.assert_drained(drain.told)

    def test_the_truth_about_one_that_is_not_confirmed(self) -> None:
        here, _there = self.scene.host(), self.scene.host()
        off = self.scene.server('off', on=here, status='SHUTOFF')
        self.scene.migration_of(off, cold_seconds=math.inf)
        going = self.set_going(here, '--migrate', 'all')
        going.says('cold migration started')
        self.migration(off, 'migrating')
        # as a terminal does that is lost
        going.send(signal.SIGHUP)
        self.assertEqual(-signal.SIGHUP, going.end().code)
        self.assertEqual('migrating', self.is_truthful(here, [off]))
        self.scene.migration_of(off)
        self.scene.wait_for_server(off, 'VERIFY_RESIZE')
        shown = self.shown_at_last(here)
        self.assertEqual('error', shown['state'])
        self.assertIn('interrupted, 1 cold migrated', shown['cause'])
        self.is_truthful(here, [off])


class TestInterrupted(drains.DrainTestCase):
    def _interrupted(self, number: signal.Signals) -> None:
        here, there = self.scene.host(), self.scene.host()
        made = self.scene.servers(['web', 'db'], on=here)
        for server in made:
            self.scene.migration_of(server, hangs=True)
        going = self.set_going(here, '--migrate', 'all', '--max-parallel', '1')
        going.says('live migration started')
        moving, waiting = (
            made if f'({made[0].id}): live' in going.stderr else reversed(made)
        )
        running = self.migration(moving, 'running')
        going.send(number)
        drain = self.ended(going, Exit.INTERRUPTED)

        self.assertIn(
            'interrupted: 0 of 2 done; 1 server is in motion and goes on in '
            f'Nova: {moving.name}\n',
            drain.stderr,
        )
        self.assertIn(
            f'"openstack host maintenance set {here}" continues', drain.stderr
        )
        self.assertEqual('migrating', drain.told['state'])
        move = drain.of(moving)
        self.assertEqual(
            ('moving', None, 'interrupted: goes on in Nova'),
            (move['outcome'], move['seconds'], move['cause']),
        )
        # it may have been seen last before Nova had chosen
        self.assertIn(move['destination'], (there, None))
        self.assertEqual('waiting', drain.outcome(waiting))
        self.assertEqual([], self.migrations(waiting))
        (migration,) = self.migrations(moving)
        self.assertEqual('running', migration['status'])

        self.admin.post(
            'compute',
            f'/servers/{moving.id}/migrations/{running["id"]}/action',
            {'force_complete': None},
        )
        self.at_rest(moving)
        self.assert_on(there, moving)
        shown = self.shown_at_last(here)
        self.assertEqual('error', shown['state'])
        self.assertIn('interrupted, 1 server left', shown['cause'])
        self.scene.migration_of(waiting)
        drain = self.set_(here)
        self.assert_moved_once(drain, waiting, there)
        self.assert_drained(drain.told)

    def test_by_ctrl_c(self) -> None:
        self._interrupted(signal.SIGINT)

    def test_by_sigterm(self) -> None:
        self._interrupted(signal.SIGTERM)

    def test_a_second_signal_leaves_at_once(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            here, _there = self.scene.host(), self.scene.host()
            web = self.scene.server('web', on=here)
            self.scene.migration_of(web, hangs=True)
            before, environ = self.proxied()
            held, over = threading.Event(), threading.Event()
            self.addCleanup(over.set)
            going = self.set_going(here, '--migrate', 'all', environ=environ)
            going.says('live migration started')
            self.migration(web, 'running')

            def hold(
                _method: str,
                path: str,
                held: threading.Event = held,
                over: threading.Event = over,
            ) -> None:
                if '/os-migrations' in path:
                    held.set()
                    over.wait()

            before.before = hold
            self.assertTrue(held.wait(60))
            going.send(number)
            # the request under way comes to its end, which it does not; and
            # two signals to a process that does not run may come as one
            self.assertTrue(going.runs_on(10))
            going.send(number)
            answer = going.end()
            self.assertEqual(Exit.INTERRUPTED, answer.code, str(answer))
            self.assertNotIn('Traceback', answer.stderr)
            self.assertEqual('migrating', self.shown(here)['state'])

    def test_before_anything_is_started(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        before, environ = self.proxied()
        asked, over = threading.Event(), threading.Event()
        self.addCleanup(over.set)

        def hold(_method: str, path: str) -> None:
            if f'/servers/{web.id}/action' in path:
                asked.set()
                over.wait(60)

        before.before = hold
        going = self.set_going(here, '--migrate', 'all', environ=environ)
        self.assertTrue(asked.wait(60))
        going.send(signal.SIGINT)
        over.set()
        # the request came to its end, and nothing else was started
        drain = self.ended(going, Exit.INTERRUPTED)
        self.assertEqual('moving', drain.outcome(web))
        operations.wait_for(
            'Nova goes on', lambda: self.statuses(web) == ['completed']
        )
        drain = self.set_(here)
        self.assert_drained(drain.told)
        self.assert_on(there, web)
