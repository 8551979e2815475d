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

"""Drains by apply: run after run, and nobody waits."""

import dataclasses
import datetime
import types
import typing
from unittest import mock

import fixtures
from osc_lib import exceptions

from osc_maintenance import apply
from osc_maintenance import clients
from osc_maintenance import compute
from osc_maintenance.drain import run
from osc_maintenance import journal
from osc_maintenance import noting
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance import state
from osc_maintenance.tests.unit.drain import simulation
from osc_maintenance.tests.unit.drain import test_loop_base as base

S = state.State
_EVERY = 300
_DRAIN = 'maintenance:drain'
_IDLE_SINCE = 'maintenance:idle_since'


class Client(base.Client):
    """Has the methods that apply needs beside those of a drain."""

    @property
    def changes(self) -> int:
        requests = self._world.requests
        kinds = (servers.LIVE_MIGRATION, servers.COLD_MIGRATION)
        return sum(requests[kind] for kind in ('write_record', *kinds))

    def services(self) -> list[compute.Service]:
        return [
            base.disabled(self._world) if item.host == base.HOST else item
            for item in super().services()
        ]

    def aggregates(self) -> dict[str, compute.Aggregate]:
        self._ask('aggregates')
        found = self._world.aggregate
        return {base.HOST: found} if found else {}


class ApplyTestCase(base.LoopTestCase):
    def setUp(self) -> None:
        super().setUp()
        for name, place in (
            (
                'osc_maintenance.apply.time',
                types.SimpleNamespace(sleep=self.sleep),
            ),
            ('osc_maintenance.times.clock', lambda: self.world.now),
        ):
            self.useFixture(fixtures.MonkeyPatch(name, place))

    def sleep(self, seconds: float) -> None:
        self.world.advance(self.world.now + seconds)

    def afresh(self, wanted: policy.Policy = base.EVERYTHING) -> None:
        super().afresh()
        self.world.end = 99999
        self.world.aggregate = base.recorded(wanted)
        self.write(noting.started(journal.Journal(), {}, how='apply'))
        self.client = Client(self.world)

    def write(self, changes: dict[str, str | None]) -> None:
        self.client = Client(self.world)
        assert self.world.aggregate
        self.client.write_record(self.world.aggregate, changes)

    def metadata(self, key: str) -> str | None:
        assert self.world.aggregate
        return self.world.aggregate.metadata.get(key)

    def apply(self, **how: int) -> str | None:
        """The next run of apply, and what it says that it did."""
        now = self.world.now
        moment = simulation.EPOCH + datetime.timedelta(seconds=int(now))
        rows = apply.apply(
            typing.cast(clients.Clients, self.client),
            unset_overdue=False,
            max_parallel=how.get('max_parallel', 2),
            now=lambda: moment,
        )
        self.world.advance(max(now + _EVERY, self.world.now))
        self.cause = str(rows[0]['cause']) if rows else ''
        return str(rows[0]['action']) if rows else None

    def runs(self, most: int = 30, **how: int) -> int:
        """Apply until the drain has ended, and how many runs it took."""
        for number in range(most):
            if self.metadata(_DRAIN) != 'apply':
                return number
            self.apply(**how)
        raise AssertionError(f'{self.metadata(_DRAIN)} after {most} runs')

    def standing(self) -> state.Standing:
        host = compute.Host(
            *(base.HOST, base.disabled(self.world), self.world.aggregate)
        )
        load = servers.Load(
            base.HOST,
            self.client.on(base.HOST),
            self.client.migrations(base.HOST),
        )
        now = simulation.EPOCH + datetime.timedelta(seconds=self.world.now)
        return state.derive(host, load, now)


class TestEnds(ApplyTestCase):
    def test_everything_moves(self) -> None:
        names = [self.world.add(f'web{n}') for n in range(5)]
        names.append(self.world.add('off', vm_state='stopped'))
        self.runs()
        self.check_gone(*names)
        self.assertEqual(state.Standing(S.MAINTENANCE), self.standing())

    def test_a_server_that_nova_refuses_to_move(self) -> None:
        self.world.script(self.world.add('a'), answers=['400'] * 99)
        self.apply()
        first = self.standing()
        self.assertIs(S.MIGRATING, first.state)
        self.assertIn('nothing moves since ', str(first.cause))
        self.assertIn('a (a): a: HTTP 400', str(first.cause))
        self.assertLessEqual(self.runs(), 3)
        found = self.standing()
        self.assertIs(S.ERROR, found.state)
        self.assertIn('1 server left that should be gone', str(found.cause))
        self.assertIn('a (a): a: HTTP 400', str(found.cause))
        self.assertIsNone(self.metadata(_IDLE_SINCE))

    def test_whatever_nova_answers_for_ever(self) -> None:
        for answer in ('400', '409', 'dropped'):
            for parallel in (1, 2):
                with self.subTest(answer=answer, parallel=parallel):
                    self.afresh()
                    self.world.script(
                        self.world.add('a'), answers=[answer] * 999
                    )
                    self.runs(max_parallel=parallel)
                    self.assertIs(S.ERROR, self.standing().state)
                    self.assertNotIn('not tried', str(self.standing().cause))

    def test_nova_is_not_pressed_for_what_may_be_lost(self) -> None:
        self.world.script(self.world.add('a'), answers=['dropped'])
        before = sum(self.world.requests.values())
        self.apply()
        self.assertLess(sum(self.world.requests.values()) - before, 60)

    def test_a_refusal_that_passes(self) -> None:
        self.world.script(self.world.add('a'), answers=['400'])
        self.apply()
        self.assertIsNotNone(self.metadata(_IDLE_SINCE))
        self.assertEqual('draining', self.apply())
        # it moves
        self.assertIsNone(self.metadata(_IDLE_SINCE))
        self.assertIsNone(self.metadata('maintenance:stayed:a'))
        self.runs()
        self.check_gone('a')
        self.assertIs(S.MAINTENANCE, self.standing().state)

    def test_a_task_that_hangs(self) -> None:
        for fields in (
            {'task_state': 'image_uploading'},
            {'vm_state': 'building', 'status': 'BUILD'},
        ):
            with self.subTest(fields=fields):
                self.afresh()
                self.world.add('a', **fields)
                cause = fields.get('task_state', 'is being built')
                self.apply()
                self.assertIs(S.MIGRATING, self.standing().state)
                self.assertIn(cause, str(self.standing().cause))
                self.assertLessEqual(self.runs(), 3)
                self.assertIs(S.ERROR, self.standing().state)
                self.assertIn(cause, str(self.standing().cause))

    def test_it_waits_while_another_moves(self) -> None:
        self.world.add('a', task_state='image_uploading')
        self.world.script(self.world.add('web'), seconds=3000)
        for _ in range(9):
            self.assertEqual('draining', self.apply())
            self.assertIsNone(self.metadata(_IDLE_SINCE))
        self.world.set('a', task_state=None)
        self.runs()
        self.check_gone('a', 'web')

    def test_two_runs_that_are_far_apart(self) -> None:
        # the second one is a try of its own
        self.world.script(self.world.add('a'), answers=['400'])
        self.apply()
        self.world.advance(self.world.now + 86400)
        self.runs()
        self.check_gone('a')

    def test_notes_that_somebody_has_changed(self) -> None:
        for since in ('never', '9999-12-31T23:59:59Z', ''):
            with self.subTest(since=since):
                self.afresh()
                self.world.add('a', task_state='image_uploading')
                self.write({_IDLE_SINCE: since})
                self.assertIs(S.MIGRATING, self.standing().state)
                self.assertLessEqual(self.runs(), 4)
                self.assertIs(S.ERROR, self.standing().state)

    def test_nothing_is_written_while_nothing_changes(self) -> None:
        self.world.add('a', task_state='image_uploading')
        self.apply()
        before = self.world.requests['write_record']
        self.apply()
        self.assertEqual(before, self.world.requests['write_record'])

    def test_why_a_move_failed_cannot_be_read(self) -> None:
        self.world.script(self.world.add('a', ram=9999), fails=['pre'] * 9)
        names = [self.world.add(f'web{n}') for n in range(4)]
        refusal = exceptions.CommandError('Policy does not allow it')
        with mock.patch.object(base.Client, 'why', side_effect=refusal):
            self.runs()
        self.check_gone(*names)
        self.assertIn('Policy does not allow it', str(self.standing().cause))


class TestConfirm(ApplyTestCase):
    def test_what_the_next_run_confirms(self) -> None:
        self.world.add('off', vm_state='stopped')
        self.apply()
        told = '1 to be confirmed: apply does at its next run'
        self.assertEqual(state.Standing(S.MIGRATING, told), self.standing())
        self.world.add('late')
        found = self.standing()
        self.assertIs(S.MIGRATING, found.state)
        self.assertIn('1 to be confirmed, 1 server left', str(found.cause))
        self.runs()
        self.check_gone('off', 'late')

    def test_what_it_does_not_confirm(self) -> None:
        # somebody wants no server to be moved any more
        self.world.add('off', vm_state='stopped')
        self.apply()
        self.write({'maintenance:migrate': 'none'})
        self.assertIsNone(self.apply())
        found = self.standing()
        self.assertIs(S.ERROR, found.state)
        self.assertIn('"openstack server migration confirm"', str(found.cause))

    def test_one_that_cannot_be_confirmed(self) -> None:
        self.world.add('off', vm_state='stopped')
        self.apply()
        refusal = exceptions.CommandError('HTTP 403')
        with mock.patch.object(base.Client, 'confirm', side_effect=refusal):
            self.runs()
        found = self.standing()
        self.assertIs(S.ERROR, found.state)
        self.assertIn('1 cold migrated and not confirmed', str(found.cause))


class TestTakenOver(ApplyTestCase):
    def test_an_operator_has_begun_meanwhile(self) -> None:
        for number in range(8):
            self.world.script(self.world.add(f'web{number}'), seconds=20)
        self.apply()
        theirs = noting.started(journal.Journal(), {})
        real = run.drain

        def late(*args: typing.Any, **how: typing.Any) -> run.Result:
            # it has listed the hosts, and was busy with others
            self.write(theirs)
            return real(*args, **how)

        before = len(self.world.rows)
        with mock.patch.object(run, 'drain', late):
            self.assertIsNone(self.apply())
        self.assertEqual('started', self.metadata(_DRAIN))
        self.assertEqual(before, len(self.world.rows))

    def test_an_operator_begins_while_it_looks(self) -> None:
        self.world.script(self.world.add('a'), answers=['400'] * 9)
        real = run.drain

        def early(*args: typing.Any, **how: typing.Any) -> run.Result:
            result = real(*args, **how)
            self.write(noting.started(journal.Journal(), {}))
            return result

        with mock.patch.object(run, 'drain', early):
            self.apply()
        self.assertEqual('started', self.metadata(_DRAIN))
        self.assertIsNone(self.metadata(_IDLE_SINCE))

    def test_what_else_goes_wrong_is_told(self) -> None:
        self.world.add('a')
        real = run.drain

        def changed(*args: typing.Any, **how: typing.Any) -> run.Result:
            assert self.world.aggregate
            metadata = self.world.aggregate.metadata
            self.world.aggregate = dataclasses.replace(
                self.world.aggregate,
                metadata={**metadata, 'maintenance:migrate': 'active'},
            )
            return real(*args, **how)

        with mock.patch.object(run, 'drain', changed):
            self.assertEqual('failed', self.apply())
        self.assertIn('somebody else has changed which servers', self.cause)
