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

import dataclasses
import datetime

from oslotest import base

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance import journal
from osc_maintenance import noting
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance import state
from osc_maintenance.tests.unit import scenes

S = state.State
DAY = datetime.timedelta(days=1)
WEB, DB = scenes.server('web'), scenes.server('db')


def drained(
    *notes: dict[str, str | None],
    wanted: policy.Policy | None = None,
    ago: datetime.timedelta = scenes.HOUR,
) -> compute.Host:
    """A host in maintenance for so long, from which servers have to go."""
    request = asking.Request(policy=wanted or policy.Policy(policy.ALL))
    steps = [change.WriteRecord(note) for note in notes]
    entered = scenes.entered(request=request, now=scenes.NOW - ago)
    return scenes.after(entered, *steps)


def with_servers(*here: servers.Server, out: int = 0) -> servers.Load:
    """What is on the host."""
    return dataclasses.replace(scenes.load(None, out), servers=here)


STARTED = noting.started(journal.Journal(), {})


def ended(stayed: dict[str, str]) -> dict[str, str | None]:
    """What a drain notes at its end."""
    return noting.ended(journal.Journal(), stayed)


class TestLeftBehind(base.BaseTestCase):
    def _cause(self, host: compute.Host, *here: servers.Server) -> str:
        standing = state.derive(host, with_servers(*here), scenes.NOW)
        self.assertEqual(S.ERROR, standing.state)
        return str(standing.cause)

    def test_the_states(self) -> None:
        moving = dataclasses.replace(WEB, task_state='migrating')
        snapshot = dataclasses.replace(WEB, task_state='image_snapshot')
        excluded = policy.Policy(policy.ALL, exclude=frozenset(['web-id']))
        for what, host, load, expected in (
            ('empty', drained(STARTED), with_servers(), S.MAINTENANCE),
            ('never begun', drained(), with_servers(WEB), S.ERROR),
            ('begun', drained(STARTED), with_servers(WEB), S.ERROR),
            (
                'ended',
                drained(ended({'web-id': 'x'})),
                with_servers(WEB),
                S.ERROR,
            ),
            (
                'ended, and the rest has gone since',
                drained(ended({'web-id': 'x'})),
                with_servers(),
                S.MAINTENANCE,
            ),
            (
                'one has to stay',
                drained(wanted=excluded),
                with_servers(WEB),
                S.MAINTENANCE,
            ),
            (
                'nothing has to go',
                drained(wanted=policy.NOTHING),
                with_servers(WEB, moving),
                S.MAINTENANCE,
            ),
            # asked of Nova, and not recorded by it yet
            (
                'about to move',
                drained(),
                with_servers(DB, moving),
                S.MIGRATING,
            ),
            ('busy otherwise', drained(), with_servers(snapshot), S.ERROR),
            ('on its way', drained(), with_servers(WEB, out=1), S.MIGRATING),
            # as list asks where servers do not matter
            (
                'not asked',
                drained(),
                servers.Load('compute1', None),
                S.MAINTENANCE,
            ),
        ):
            with self.subTest(what):
                standing = state.derive(host, load, scenes.NOW)
                self.assertEqual(expected, standing.state)
                self.assertIs(expected is S.ERROR, bool(standing.cause))

    def test_nova_compute_is_down_while_servers_move(self) -> None:
        host = drained()
        assert host.service
        dead = dataclasses.replace(host.service, state='down')
        down = dataclasses.replace(host, service=dead)

        def on_its_way(
            kind: str, source: str = 'compute1', dest: str = 'compute2'
        ) -> servers.Load:
            move = servers.Migration(1, 'moved', kind, 'running', source, dest)
            return servers.Load('compute1', (WEB,), (move,))

        for what, standing, load, told in (
            ('up', host, on_its_way(servers.LIVE_MIGRATION), False),
            ('live', down, on_its_way(servers.LIVE_MIGRATION), True),
            ('cold', down, on_its_way(servers.COLD_MIGRATION), True),
            # that it is down is why
            ('evacuation', down, on_its_way(servers.EVACUATION), False),
            (
                'evacuation to it',
                down,
                on_its_way(servers.EVACUATION, 'compute2', 'compute1'),
                True,
            ),
        ):
            with self.subTest(what):
                found = state.derive(standing, load, scenes.NOW)
                self.assertEqual(S.MIGRATING, found.state)
                self.assertIs(
                    told, 'nova-compute on this host is down' in str(found)
                )
                self.assertIs(told, bool(found.cause))

    def test_apply_does_not_go_on_while_the_host_is_down(self) -> None:
        host = drained(noting.started(journal.Journal(), {}, how='apply'))
        assert host.service
        dead = dataclasses.replace(host.service, state='down')
        for here, told in (
            ((WEB,), '1 server left, and nova-compute on this host is down: '),
            ((WEB, DB), '2 servers left, and nova-compute on this host is '),
            ((), None),
        ):
            load = with_servers(*here)
            found = state.derive(
                dataclasses.replace(host, service=dead), load, scenes.NOW
            )
            self.assertEqual(
                S.MIGRATING if here else S.MAINTENANCE, found.state
            )
            self.assertIn(str(told), str(found.cause))
            self.assertNotIn('at its next run', str(found.cause))

    def test_those_that_are_kept_are_named(self) -> None:
        said = {'maintenance:policy': 'keep'}
        web, db = (dataclasses.replace(item, said=said) for item in (WEB, DB))
        locked = scenes.server('pet', locked=True)
        for here, cause in (
            ((web,), '1 server kept by the owners: web (web-id)'),
            (
                (web, db),
                '2 servers kept by the owners: web (web-id); db (db-id)',
            ),
            ((locked,), '1 server left because of a lock: pet (pet-id)'),
            # kept by its owner as well
            (
                (dataclasses.replace(locked, said=said),),
                '1 server left because of a lock: pet (pet-id)',
            ),
            (
                (web, locked),
                '1 server kept by the owners: web (web-id); '
                '1 server left because of a lock: pet (pet-id)',
            ),
        ):
            standing = state.derive(
                drained(ended({})), with_servers(*here), scenes.NOW
            )
            self.assertEqual(state.Standing(S.MAINTENANCE, cause), standing)
        # not where nothing is to be moved, or another one is left
        nothing = drained(wanted=policy.NOTHING)
        standing = state.derive(nothing, with_servers(web), scenes.NOW)
        self.assertEqual(state.Standing(S.MAINTENANCE), standing)
        cause = self._cause(drained(ended({'db-id': 'x'})), web, DB)
        self.assertNotIn('web', cause)

    def test_a_drain_that_was_interrupted(self) -> None:
        for host in (drained(), drained(STARTED)):
            told = self._cause(host, WEB, DB)
            self.assertIn('interrupted, 2 servers left', told)
            self.assertIn('run set again', told)
        self.assertIn(' 1 server left', self._cause(drained(), WEB))
        # before the first of them was noted
        claimed = drained(STARTED, noting.evacuating('3f9a1c2e'))
        told = self._cause(claimed, WEB)
        self.assertIn('run set again with --evacuate --fenced', told)

    def test_a_drain_that_may_be_waiting_for_all_of_them(self) -> None:
        snapshot = dataclasses.replace(WEB, task_state='image_snapshot')
        built = dataclasses.replace(DB, vm_state='building')
        for host in (drained(), drained(STARTED)):
            self.assertEqual(
                '2 servers left, which a drain waits for: '
                'web (web-id): a task is under way: image_snapshot; '
                'db (db-id): is being built; if no drain runs, run set again',
                self._cause(host, snapshot, built),
            )
        evacuated = noting.started(
            journal.Journal(), {'web-id': journal.Move('evacuate', 6)}
        )
        self.assertTrue(
            self._cause(drained(evacuated), snapshot).endswith(
                'if no drain runs, run set again with --evacuate --fenced'
            )
        )
        # it would move this one meanwhile
        told = self._cause(drained(STARTED), snapshot, DB)
        self.assertIn('the drain was interrupted, 2 servers left', told)
        # it has ended, and waited long enough
        told = self._cause(drained(ended({'web-id': 'busy'})), snapshot)
        self.assertIn('web (web-id): busy', told)

    def test_cold_migrations_that_wait_to_be_confirmed(self) -> None:
        finished = servers.Migration(
            *(7, 'db-id', servers.COLD_MIGRATION, 'finished'),
            *('compute1', 'compute2'),
        )
        load = dataclasses.replace(with_servers(), migrations=(finished,))
        noted = noting.started(
            journal.Journal(),
            {'db-id': journal.Move('cold-migrate', 6)},
        )
        nothing = policy.Policy(policy.NONE)
        for wanted, words in (
            (None, 'run set again, and it goes on'),
            # set would not move anything, nor confirm
            (nothing, '"openstack server migration confirm"'),
        ):
            found = state.derive(
                drained(noted, wanted=wanted), load, scenes.NOW
            )
            self.assertEqual(S.ERROR, found.state)
            self.assertIn(
                '1 cold migrated and not confirmed', str(found.cause)
            )
            self.assertIn(words, str(found.cause))

    def test_causes_are_told(self) -> None:
        host = drained(
            STARTED,
            ended({'web-id': 'no room for it'}),
        )
        evil = dataclasses.replace(DB, name='a\x1bb')
        told = self._cause(host, WEB, evil)
        self.assertIn('2 servers left', told)
        self.assertIn('web (web-id): no room for it', told)
        # it has come since
        self.assertIn(r'a\x1bb (db-id): not tried yet', told)
        self.assertNotIn('interrupted', told)
        self.assertNotIn('more', told)

    def test_ten_at_most_are_named(self) -> None:
        host = drained(ended({}))
        here = [scenes.server(f'web{number}') for number in range(12)]
        for count, more in (
            (10, None),
            (11, 'and 1 more'),
            (12, 'and 2 more'),
        ):
            told = self._cause(host, *here[:count])
            self.assertIn(f'{count} servers left', told)
            self.assertEqual(10, told.count('not tried yet'))
            if more:
                self.assertTrue(told.endswith(more))
            else:
                self.assertNotIn('more', told)

    def test_which_they_are(self) -> None:
        host = drained(wanted=policy.Policy(policy.ACTIVE))
        stopped = dataclasses.replace(DB, vm_state='stopped')
        assert host.record is not None
        for load, expected in (
            (with_servers(WEB, stopped), [WEB]),
            (with_servers(stopped), []),
            (servers.Load('compute1', None), []),
        ):
            found = state.left_behind(host.record, load)
            self.assertEqual(expected, found)


class TestReturning(base.BaseTestCase):
    def test_the_states(self) -> None:
        back = drained(
            STARTED,
            noting.returning(
                {}, scenes.NOW - datetime.timedelta(hours=1), brings_back=False
            ),
        )
        enabled = scenes.disabled_by_somebody(back, 'enabled', None)
        move = {'web-id': journal.Move('live-migrate', 5)}
        coming = scenes.after(
            enabled,
            change.WriteRecord(
                noting.returning(move, scenes.NOW - DAY, brings_back=False)
            ),
        )
        down = scenes.disabled_by_somebody(back, 'UNKNOWN', None)
        for what, host, load, expected, cause in (
            (
                'on their way',
                enabled,
                scenes.load(None, 0, 1),
                S.MIGRATING,
                '',
            ),
            (
                'on their way, and not enabled yet',
                back,
                scenes.load(None, 0, 1),
                S.MIGRATING,
                '',
            ),
            (
                'others leave',
                enabled,
                scenes.load(None, 1),
                S.ERROR,
                'the service is enabled, and ',
            ),
            (
                'interrupted',
                coming,
                scenes.NOTHING,
                S.ERROR,
                'unset --return-servers again',
            ),
            (
                'interrupted, and it may have been a plain unset',
                enabled,
                scenes.NOTHING,
                S.ERROR,
                'again with the same options',
            ),
            (
                'interrupted before the service was put back',
                back,
                scenes.NOTHING,
                S.ERROR,
                'unset is about to end',
            ),
            (
                'interrupted, and it was a plan',
                scenes.after(
                    scenes.planned(),
                    change.WriteRecord(
                        noting.returning({}, scenes.NOW, brings_back=False)
                    ),
                ),
                scenes.NOTHING,
                S.ERROR,
                'unset is about to end',
            ),
            ('cell down', down, scenes.load(None, 0, 1), S.ERROR, 'cell'),
        ):
            with self.subTest(what):
                standing = state.derive(host, load, scenes.NOW)
                self.assertEqual(expected, standing.state)
                self.assertIn(cause, standing.cause or '')
                self.assertIs(expected is S.ERROR, bool(standing.cause))
