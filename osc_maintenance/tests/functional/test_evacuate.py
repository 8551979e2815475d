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

"""A host is dead: its servers are rebuilt elsewhere."""

import itertools
import math
import signal
import threading

from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import drains
from osc_maintenance.tests.functional import proxy

Exit = drains.Exit
_EVACUATE = ('--evacuate', '--fenced')


class TestEvacuate(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()

    def _assert_evacuated(
        self, drain: drains.Drain, server: scene.Server, status: str
    ) -> None:
        self.assert_on(self.there, server, status)
        move = drain.of(server)
        self.assertEqual(
            ('evacuate', 'moved', self.there, None),
            (
                move['verdict'],
                move['outcome'],
                move['destination'],
                move['cause'],
            ),
        )
        self.assertIsInstance(move['seconds'], int)
        last = self.migrations(server)[-1]
        self.assertEqual(
            ('evacuation', 'done'), (last['migration_type'], last['status'])
        )

    def test_a_dead_host(self) -> None:
        web = self.scene.server('web', on=self.here)
        off = self.scene.server(
            'off', on=self.here, project='beta', status='SHUTOFF'
        )
        broken = self.scene.server('broken', on=self.here, status='ERROR')
        paused = self.scene.server('paused', on=self.here, status='PAUSED')
        locked = self.scene.server('locked', on=self.here, locked='a demo')
        self.scene.host_down(self.here)

        told = self.verdicts(
            'set', self.here, *_EVACUATE, '--dry-run', code=Exit.STAYED
        )
        for server, verdict in (
            (web, 'evacuate'),
            (off, 'evacuate'),
            (broken, 'evacuate'),
            (paused, 'blocked'),
            (locked, 'leave'),
        ):
            self.assertEqual(verdict, told[server.id]['verdict'])
        self.assert_untouched(self.here)

        drain = self.set_(self.here, *_EVACUATE, code=Exit.STAYED)

        self._assert_evacuated(drain, web, 'SHUTOFF')
        self._assert_evacuated(drain, off, 'SHUTOFF')
        # Nova takes none of those as stopped
        self._assert_evacuated(drain, broken, 'ACTIVE')
        self.assertIn('3 evacuate', drain.stderr.splitlines()[0])
        for server, outcome in ((paused, 'blocked'), (locked, 'left')):
            self.assertEqual(outcome, drain.outcome(server))
            self.assertTrue(drain.of(server)['cause'])
            self.assertEqual([], self.migrations(server))
        self.assertEqual(
            ('error', 'down', False),
            (
                drain.told['state'],
                drain.told['service_state'],
                drain.told['emptied'],
            ),
        )
        drain = self.set_(
            self.here, *_EVACUATE, '--include-locked', code=Exit.STAYED
        )
        self._assert_evacuated(drain, locked, 'SHUTOFF')
        for server in (web, off, broken):
            self.assertEqual(1, len(self.migrations(server)))

    def test_the_host_comes_back(self) -> None:
        web = self.scene.server('web', on=self.here)
        self.scene.host_down(self.here)
        drain = self.set_(self.here, *_EVACUATE)
        self._assert_evacuated(drain, web, 'SHUTOFF')
        # Placement keeps it until the host cleans up
        self.assertEqual(
            ('maintenance', {}, False),
            (
                drain.told['state'],
                drain.told['servers'],
                drain.told['emptied'],
            ),
        )
        self.assertIn(web.id, drain.stderr)
        again = self.set_(self.here, *_EVACUATE)
        self.assertEqual(
            (False, []), (again.told['changed'], again.told['moves'])
        )

        self.scene.host_up(self.here)
        self.migration(web, 'completed')
        operations.wait_for(
            'the host has cleaned up',
            lambda: self.admin.get('compute', f'/servers/{web.id}'),
        )
        self.assertEqual('disabled', self.service(self.here)[0])
        drain = self.set_(self.here)
        self.assert_drained(drain.told)
        self.maintenance('unset', self.here)
        self.assert_untouched(self.here)
        self.assert_on(self.there, web, 'SHUTOFF')

    def test_refused_while_the_host_is_up(self) -> None:
        web = self.scene.server('web', on=self.here)
        said = self.set_refused(self.here, *_EVACUATE)
        self.assertIn(f'nova-compute on {self.here} is up', said)
        self.assert_untouched(self.here)
        self.assertEqual([], self.migrations(web))

    def test_not_without_your_word(self) -> None:
        self.scene.host_down(self.here)
        for options, words in (
            (('--evacuate',), '--fenced'),
            (('--fenced',), '--evacuate'),
            ((*_EVACUATE, '--migrate', 'all'), '--migrate'),
        ):
            said = self.set_refused(self.here, *options, code=Exit.USAGE)
            self.assertIn(words, said)
        self.assert_untouched(self.here)

    def test_one_that_fails(self) -> None:
        web = self.scene.server('web', on=self.here)
        db = self.scene.server('db', on=self.here)
        self.scene.migration_of(web, fails='spawn')
        self.scene.host_down(self.here)
        drain = self.set_(
            self.here, *_EVACUATE, '--retries', '0', code=Exit.STAYED
        )
        self._assert_evacuated(drain, db, 'SHUTOFF')
        move = drain.of(web)
        self.assertEqual('failed', move['outcome'])
        self.assertIn('Failed to deploy instance: told to fail', move['cause'])
        self.assert_on(self.here, web, 'ERROR')
        shown = self.shown(self.here)
        self.assertEqual('error', shown['state'])
        self.assertIn(f'web ({web.id})', shown['cause'])
        self.assertIn('told to fail', shown['cause'])

        said = self.refused(
            *('host', 'maintenance', 'set', self.here), code=Exit.REFUSED
        )
        self.assertIn('--evacuate --fenced', said)
        self.scene.migration_of(web)
        drain = self.set_(self.here, *_EVACUATE)
        self.assertEqual('moved', drain.outcome(web))
        self.assertEqual(['failed', 'done'], self.statuses(web))
        self.assertEqual('maintenance', drain.told['state'])

    def test_no_valid_host(self) -> None:
        alone = self.cloud.scene()
        here = alone.host()
        web = alone.server('web', on=here)
        alone.host_down(here)
        drain = self.set_(here, *_EVACUATE, '--retries', '0', code=Exit.STAYED)
        self.assertIn('No valid host was found', drain.of(web)['cause'])
        self.assertEqual(['error'], self.statuses(web))

    def test_it_died_in_the_middle_of_a_drain(self) -> None:
        made = self.scene.servers(['web', 'db'], on=self.here)
        for server in made:
            self.scene.migration_of(server, hangs=True)
        going = self.set_going(self.here, '--migrate', 'all')
        operations.wait_for(
            'one runs, and one waits for its turn',
            lambda: (
                sorted(itertools.chain(*map(self.statuses, made)))
                == ['queued', 'running']
            ),
        )
        self.scene.host_down(self.here)
        going.send(signal.SIGINT)
        going.end()
        # the guest of one may run where it was going to
        (begun,) = (s for s in made if self.statuses(s) == ['running'])
        drain = self.set_(self.here, *_EVACUATE, code=Exit.STAYED)
        (queued,) = (server for server in made if server is not begun)
        self._assert_evacuated(drain, queued, 'SHUTOFF')
        self.assertEqual('blocked', drain.outcome(begun))
        self.assertIn(f'look on {self.there}', drain.of(begun)['cause'])
        self.assertEqual(['running'], self.statuses(begun))
        # somebody has looked
        self.act(begun, 'os-resetState', state='active')
        drain = self.set_(self.here, *_EVACUATE)
        self._assert_evacuated(drain, begun, 'SHUTOFF')
        for server in made:
            kinds = [m['migration_type'] for m in self.migrations(server)]
            self.assertEqual(['live-migration', 'evacuation'], kinds)
        self.assertEqual('maintenance', drain.told['state'])
        self.scene.host_up(self.here)
        # Nova never tidies up the record of one that was in its queue
        for server in made:
            self.migration(server, 'completed')
        # nor what these had of Placement
        shown = self.maintenance('show', self.here, says='allocations of')
        self.assertEqual(
            ('maintenance', {}, 0, False),
            (
                shown['state'],
                shown['servers'],
                shown['migrations_out'],
                shown['emptied'],
            ),
        )

    def test_it_died_when_a_migration_was_asked_for(self) -> None:
        # Nova then takes the record of that for the evacuation's, which is
        # left behind and stays `accepted`; whoever starts a host would hold up
        # the end of this one until it has begun
        self.alone()
        web = self.scene.server('web', on=self.here)
        self.migrate(web)
        self.scene.host_down(self.here)
        drain = self.set_(self.here, *_EVACUATE, '--timeout', '90s')
        self.assertEqual('moved', drain.outcome(web))
        self.assert_on(self.there, web, 'SHUTOFF')
        # those of the server, or of the migration if that had begun
        shown = self.maintenance(
            'show', self.here, says='Placement has allocations'
        )
        self.assertEqual('maintenance', shown['state'])

    def test_to_a_target_and_one_at_a_time(self) -> None:
        third = self.scene.host()
        made = self.scene.servers(['a', 'b', 'c'], on=self.here)
        for server in made:
            self.scene.migration_of(server, spawn_seconds=1)
        self.scene.host_down(self.here)
        drain = self.set_(
            *(self.here, *_EVACUATE, '--target-host', third),
            *('--max-parallel', '1'),
        )
        self.there = third
        for server in made:
            self._assert_evacuated(drain, server, 'SHUTOFF')
        found = sorted(
            (self.migrations(server)[0] for server in made),
            key=lambda item: str(item['created_at']),
        )
        for one, following in itertools.pairwise(found):
            self.assertLessEqual(one['updated_at'], following['created_at'])

    def test_one_that_takes_too_long(self) -> None:
        web = self.scene.server('web', on=self.here)
        self.scene.migration_of(web, spawn_seconds=math.inf)
        self.scene.host_down(self.here)
        for _ in range(2):
            drain = self.set_(
                self.here,
                *_EVACUATE,
                *('--server-timeout', '2s'),
                code=Exit.TIMED_OUT,
            )
            self.assertEqual('moving', drain.outcome(web))
            self.assertEqual(1, len(self.migrations(web)))
        self.assertEqual('migrating', self.shown(self.here)['state'])
        going = self.set_going(self.here, *_EVACUATE)
        going.says(f'web ({web.id}): is on its way already: evacuation')
        self.scene.migration_of(web)
        self._assert_evacuated(self.ended(going), web, 'SHUTOFF')


class TestNeverTwice(drains.DrainTestCase):
    """Nova takes a second evacuation, which ruins the server."""

    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()
        self.web = self.scene.server('web', on=self.here)
        self.scene.migration_of(self.web, spawn_seconds=4)
        self.scene.host_down(self.here)
        self.proxy, self.environ = self.proxied()

    def _assert_once(self) -> None:
        self.at_rest(self.web)
        self.assert_on(self.there, self.web, 'SHUTOFF')
        self.assertEqual(['done'], self.statuses(self.web))

    def _killed(self, when: str) -> None:
        ready = threading.Event()
        is_it = self.moves_of(self.web)

        def hook(method: str, path: str) -> None:
            ready.wait(60)
            if is_it(method, path):
                going.kill()
                raise ConnectionError

        setattr(self.proxy, when, hook)
        going = self.set_going(self.here, *_EVACUATE, environ=self.environ)
        ready.set()
        self.assertEqual(-signal.SIGKILL, going.end().code)
        setattr(self.proxy, when, proxy._nothing)

    def test_killed_when_nova_has_it(self) -> None:
        self.scene.migration_of(self.web, spawn_seconds=math.inf)
        self._killed('after')
        self.assertEqual('migrating', self.shown(self.here)['state'])
        going = self.set_going(self.here, *_EVACUATE)
        going.says('is on its way already: evacuation')
        self.scene.migration_of(self.web)
        drain = self.ended(going)
        self._assert_once()
        self.assertEqual('moved', drain.outcome(self.web))

    def test_killed_before_nova_has_it(self) -> None:
        self._killed('before')
        self.assertIn('interrupted', self.shown(self.here)['cause'])
        self.set_(self.here, *_EVACUATE)
        self._assert_once()

    def _comes_back(self) -> forked.Command:
        """An evacuation goes on that Nova has completed the record of."""
        self.scene.migration_of(self.web, spawn_seconds=math.inf)
        going = self.set_going(self.here, *_EVACUATE, environ=self.environ)
        going.says('evacuation started')
        self.migration(self.web, 'pre-migrating')
        self.scene.host_up(self.here)
        self.migration(self.web, 'completed')
        self.scene.host_down(self.here)
        return going

    def _assert_once_although_back(self) -> None:
        self.at_rest(self.web)
        self.assert_on(self.there, self.web, 'SHUTOFF')
        # the other host says done once more
        self.assertEqual(['done'], self.statuses(self.web))

    def test_the_host_comes_back_while_it_is_rebuilt(self) -> None:
        going = self._comes_back()
        looks = itertools.count()
        often = threading.Event()

        def hook(_method: str, path: str) -> None:
            if '/servers/detail' in path and next(looks) >= 2:
                often.set()

        self.proxy.after = hook
        self.assertTrue(often.wait(60))
        self.scene.migration_of(self.web)
        drain = self.ended(going)
        self.assertEqual('moved', drain.outcome(self.web))
        self._assert_once_although_back()

    def test_the_command_is_run_again_when_the_host_is_back(self) -> None:
        self._comes_back().kill()
        going = self.set_going(self.here, *_EVACUATE)
        going.says('is being rebuilt on another host')
        self.scene.migration_of(self.web)
        self.ended(going)
        self._assert_once_although_back()

    def _lost(self, when: str) -> None:
        def drop() -> None:
            raise ConnectionError

        hook = self.once(self.moves_of(self.web), drop)
        setattr(self.proxy, when, hook)
        drain = self.set_(self.here, *_EVACUATE, environ=self.environ)
        self._assert_once()
        self.assertEqual('moved', drain.outcome(self.web))

    def test_the_answer_is_lost(self) -> None:
        self._lost('after')

    def test_the_request_is_lost(self) -> None:
        self._lost('before')

    def test_two_at_the_same_time(self) -> None:
        # whoever comes late finds it under way
        self.scene.migration_of(self.web, spawn_seconds=math.inf)
        both = [self.set_going(self.here, *_EVACUATE) for _ in range(2)]
        operations.wait_for(
            'one has given way',
            lambda: any(going.code is not None for going in both),
            forked.SECONDS,
        )
        self.scene.migration_of(self.web)
        answers = [going.end() for going in both]
        codes = sorted(answer.code for answer in answers)
        self.assertEqual([Exit.DONE, Exit.ERROR], codes, str(answers))
        for answer in answers:
            if answer.code == Exit.ERROR:
                self.assertIn('has taken over', answer.stderr)
        self._assert_once()

    def test_one_takes_over_from_another(self) -> None:
        self.scene.migration_of(self.web, spawn_seconds=math.inf)
        first = self.set_going(self.here, *_EVACUATE)
        first.says('evacuation started')
        second = self.set_going(self.here, *_EVACUATE)
        second.says('is on its way already: evacuation')
        self.scene.migration_of(self.web)
        drain = self.ended(second)
        self.assertEqual('moved', drain.outcome(self.web))
        self.assertIn(first.end().code, (Exit.DONE, Exit.ERROR))
        self._assert_once()
