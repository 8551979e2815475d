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

from osc_maintenance import change
from osc_maintenance import journal
from osc_maintenance import owners
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
) -> state.Host:
    """A host in maintenance for so long, from which servers have to go."""
    request = change.Request(policy=wanted or policy.Policy(policy.ALL))
    steps = [change.WriteRecord(note) for note in notes]
    entered = scenes.entered(request=request, now=scenes.NOW - ago)
    return scenes.after(entered, *steps)


def with_servers(*here: servers.Server, out: int = 0) -> servers.Load:
    """What is on the host."""
    return dataclasses.replace(scenes.load(None, out), servers=here)


STARTED = journal.started(journal.Journal(), {})


def ended(stayed: dict[str, str]) -> dict[str, str | None]:
    """What a drain notes at its end."""
    return journal.ended(journal.Journal(), stayed)


class TestLeftBehind(base.BaseTestCase):
    def _cause(self, host: state.Host, *here: servers.Server) -> str:
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
        claimed = drained(STARTED, journal.evacuating('3f9a1c2e'))
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
        evacuated = journal.started(
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
        noted = journal.started(
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
            journal.returning(
                {}, scenes.NOW - datetime.timedelta(hours=1), brings_back=False
            ),
        )
        enabled = scenes.disabled_by_somebody(back, 'enabled', None)
        move = {'web-id': journal.Move('live-migrate', 5)}
        coming = scenes.after(
            enabled,
            change.WriteRecord(
                journal.returning(move, scenes.NOW - DAY, brings_back=False)
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
                        journal.returning({}, scenes.NOW, brings_back=False)
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


class TestOwners(base.BaseTestCase):
    ID = '3f9a1c2e'
    UNTIL = scenes.NOW + scenes.HOUR

    def standing(
        self,
        *here: servers.Server,
        replies: owners.Heed = owners.Heed.WAIT,
        notes: tuple[dict[str, str | None], ...] = (STARTED,),
        later: int = 0,
    ) -> state.Standing:
        request = change.Request(
            policy=policy.Policy(policy.ALL),
            notify=True,
            replies=replies,
            reply_by=self.UNTIL,
        )
        entered = scenes.entered(request=request, now=scenes.NOW)
        steps = [change.WriteRecord(note) for note in notes]
        return state.derive(
            scenes.after(entered, *steps),
            with_servers(*here),
            scenes.NOW + datetime.timedelta(seconds=later),
        )

    def replied(self, answer: str) -> servers.Server:
        said = {owners.REPLY: f'{self.ID} {answer}'}
        return dataclasses.replace(DB, said=said)

    def test_they_are_waited_for(self) -> None:
        found = self.standing(WEB, self.replied('not-ready: x'), later=900)
        self.assertEqual(S.MIGRATING, found.state)
        self.assertIn('2 servers left: web (web-id): waits', str(found.cause))
        self.assertIn(
            'not ready (x); until 2026-11-20T07:00:00Z', str(found.cause)
        )
        # nothing else is left for long
        found = self.standing(WEB, later=3600)
        self.assertEqual(S.ERROR, found.state)

    def test_they_are_required(self) -> None:
        ended_ = ended({'web-id': 'waits for its owner: no reply yet'})
        required = owners.Heed.REQUIRE
        found = self.standing(
            WEB, replies=required, notes=(ended_,), later=900
        )
        self.assertEqual(S.ERROR, found.state)
        self.assertIn('no reply yet', str(found.cause))
        # show does not go on saying so
        web = dataclasses.replace(WEB, said={owners.REPLY: f'{self.ID} move'})
        found = self.standing(
            web, replies=required, notes=(ended_,), later=900
        )
        self.assertEqual(S.ERROR, found.state)
        self.assertIn('has replied since', str(found.cause))

    def test_apply_waits_for_them(self) -> None:
        by_apply = journal.started(journal.Journal(), {}, how='apply')
        for replies in (owners.Heed.WAIT, owners.Heed.REQUIRE):
            found = self.standing(
                WEB, replies=replies, notes=(by_apply,), later=900
            )
            self.assertEqual(S.MIGRATING, found.state)
            self.assertIn('no reply yet', str(found.cause))

    def test_others_are_left_as_well(self) -> None:
        found = self.standing(WEB, self.replied('move'), later=900)
        self.assertEqual(S.MIGRATING, found.state)
        self.assertIn('db (db-id): not tried yet', str(found.cause))
        found = self.standing(
            WEB, self.replied('move'), notes=(ended({}),), later=900
        )
        self.assertEqual(S.ERROR, found.state)
        # one that cannot go either is no owner's matter
        broken = dataclasses.replace(WEB, vm_state='error')
        self.assertEqual(S.ERROR, self.standing(broken, later=900).state)

    def test_those_that_were_stopped_are_named_whatever_the_state(
        self,
    ) -> None:
        off = dataclasses.replace(WEB, vm_state='stopped', status='SHUTOFF')
        noted = journal.stopping(journal.Journal(), ['web-id'])
        failed = ended({'db-id': 'no room'})
        found = self.standing(
            off, self.replied('move'), notes=(failed, noted), later=900
        )
        self.assertEqual(S.ERROR, found.state)
        for words in ('no room', 'stopped for this maintenance: web (web-id)'):
            self.assertIn(words, str(found.cause))

    def test_what_is_about_to_end_says_so(self) -> None:
        noted = (
            journal.stopping(journal.Journal(), ['web-id']),
            journal.returning({}, scenes.NOW, brings_back=False),
        )
        found = self.standing(WEB, notes=noted, later=900)
        self.assertEqual(S.ERROR, found.state)
        self.assertIn('unset is about to end', str(found.cause))

    def test_those_to_be_stopped_are_not_forgotten(self) -> None:
        said = {owners.POLICY: 'stop'}
        found = self.standing(
            DB, dataclasses.replace(WEB, said=said), later=900
        )
        self.assertIn('web (web-id): to be stopped when', str(found.cause))

    def test_those_that_were_stopped_are_named(self) -> None:
        off = dataclasses.replace(WEB, vm_state='stopped', status='SHUTOFF')
        noted = journal.stopping(journal.Journal(), ['web-id'])
        found = self.standing(
            off, self.replied('keep'), notes=(ended({}), noted)
        )
        self.assertEqual(
            state.Standing(
                S.MAINTENANCE,
                '1 server kept by the owners: db (db-id); 1 server stopped '
                'for this maintenance: web (web-id)',
            ),
            found,
        )
