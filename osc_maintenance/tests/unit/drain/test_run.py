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

import collections.abc
from unittest import mock

from osc_lib import exceptions
from oslotest import base

from osc_maintenance import asking
from osc_maintenance.drain import events
from osc_maintenance.drain import journey
from osc_maintenance.drain import leaving
from osc_maintenance.drain import loop
from osc_maintenance.drain import moves
from osc_maintenance.drain import options
from osc_maintenance.drain import plan
from osc_maintenance.drain import run
from osc_maintenance.drain import verdict
from osc_maintenance import exit_codes
from osc_maintenance import facts
from osc_maintenance.nova import api
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes

E, OUT = loop.Ending, moves.Outcome
CODE = exit_codes.ExitCode
WEB, DB = scenes.server('web'), scenes.server('db')


def a_move(outcome: moves.Outcome, *, given_up: bool = False) -> moves.Move:
    """The move of a server that has come so far."""
    live = verdict.Verdict(verdict.Action.LIVE_MIGRATE)
    return moves.Move(WEB, live, outcome, given_up=given_up)


class TestExitCode(base.BaseTestCase):
    def test_the_table(self) -> None:
        for ending, outcomes, code in (
            (E.COMPLETE, (), CODE.DONE),
            (E.COMPLETE, (OUT.MOVED, OUT.LEFT, OUT.DELETED), CODE.DONE),
            (E.COMPLETE, (OUT.MOVED, OUT.FAILED), CODE.STAYED),
            (E.COMPLETE, (OUT.BLOCKED,), CODE.STAYED),
            (E.COMPLETE, (OUT.WAITING,), CODE.STAYED),
            # what was handed over is Nova's to do
            (E.HANDED_OVER, (OUT.MOVING, OUT.MOVED), CODE.DONE),
            (E.HANDED_OVER, (OUT.MOVING, OUT.WAITING), CODE.DONE),
            (E.HANDED_OVER, (OUT.WAITING, OUT.BLOCKED), CODE.STAYED),
            (E.HANDED_OVER, (OUT.FAILED,), CODE.STAYED),
            (E.TIMED_OUT, (OUT.MOVED,), CODE.TIMED_OUT),
            (E.TIMED_OUT, (OUT.FAILED, OUT.MOVING), CODE.TIMED_OUT),
            (E.INTERRUPTED, (), CODE.INTERRUPTED),
            (E.INTERRUPTED, (OUT.FAILED, OUT.MOVING), CODE.INTERRUPTED),
        ):
            with self.subTest(ending=ending, outcomes=outcomes):
                found = run.Result([a_move(o) for o in outcomes], ending)
                self.assertIs(code, found.exit_code)

    def test_one_that_is_no_longer_waited_for(self) -> None:
        for ending, outcome, code in (
            (E.COMPLETE, OUT.MOVING, CODE.TIMED_OUT),
            (E.HANDED_OVER, OUT.MOVING, CODE.TIMED_OUT),
            (E.INTERRUPTED, OUT.MOVING, CODE.INTERRUPTED),
            # it has come to its end after all
            (E.COMPLETE, OUT.MOVED, CODE.DONE),
            (E.COMPLETE, OUT.FAILED, CODE.STAYED),
        ):
            with self.subTest(ending=ending, outcome=outcome):
                given_up = a_move(outcome, given_up=True)
                found = run.Result([given_up, a_move(OUT.MOVED)], ending)
                self.assertIs(code, found.exit_code)
        both = [a_move(OUT.FAILED), a_move(OUT.MOVING, given_up=True)]
        found = run.Result(both, E.COMPLETE)
        self.assertIs(CODE.TIMED_OUT, found.exit_code)

    def test_why_servers_are_not_known_to_have_left(self) -> None:
        found = [
            a_move(OUT.FAILED),
            a_move(OUT.MOVING),
            a_move(OUT.MOVED, given_up=True),
            a_move(OUT.MOVING, given_up=True),
        ]
        for number, move in enumerate(found):
            move.server = scenes.server(f's{number}')
            move.cause = f'why {number}'
        self.assertEqual(
            {'s0-id': 'why 0', 's3-id': 'why 3'}, run.stayed(found)
        )

    def test_owners_are_waited_for(self) -> None:
        live = verdict.Action.LIVE_MIGRATE
        waits = verdict.Verdict(verdict.Action.BLOCKED, 'why', then=live)
        owner = moves.Move(WEB, waits, OUT.BLOCKED)
        for others, code in (
            ((), CODE.OWNERS),
            ((OUT.MOVED, OUT.LEFT), CODE.OWNERS),
            ((OUT.FAILED,), CODE.STAYED),
            ((OUT.BLOCKED,), CODE.STAYED),
        ):
            for ending in (E.COMPLETE, E.HANDED_OVER):
                found = run.Result([owner, *map(a_move, others)], ending)
                self.assertIs(code, found.exit_code)

    def test_what_is_complete(self) -> None:
        for ending in E:
            found = run.Result([a_move(OUT.FAILED)], ending)
            self.assertIs(ending is E.COMPLETE, found.complete)


class TestDrain(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = 0.0
        self.told: list[events.Event] = []
        self.wanted = policy.Policy(policy.ALL)
        request = asking.Request(policy=self.wanted)
        self.clients = fakes.Clients(
            scenes.entered(request=request),
            fakes.named(scenes.host(), 'compute2'),
        )

    def _pause(self, seconds: float) -> bool:
        self.now += seconds
        return False

    def _drain(
        self,
        *here: servers.Server,
        pause: collections.abc.Callable[[float], bool] | None = None,
        wait: bool = True,
    ) -> run.Result:
        clients = fakes.real(self.clients)
        self.clients.servers.loads = {
            'compute1': servers.Load('compute1', here)
        }
        load = facts.load(clients.servers, 'compute1')
        host = self.clients.nova.hosts['compute1']
        return run.drain(
            clients,
            host,
            plan.make(clients, load, self.wanted, scenes.NOW, host.journal),
            options.Options(wait=wait),
            self.told.append,
            pause or self._pause,
            lambda: self.now,
        )

    def test_all_have_moved(self) -> None:
        stopped = scenes.server('off', vm_state='stopped')
        found = self._drain(WEB, stopped)
        self.assertIs(CODE.DONE, found.exit_code)
        self.assertEqual(
            {
                ('live_migrate', 'web-id', None),
                ('cold_migrate', 'off-id', None),
            },
            set(self.clients.servers.writes),
        )
        self.assertEqual(
            [OUT.MOVED, OUT.MOVED], [m.outcome for m in found.moves]
        )
        journal = self.clients.nova.hosts['compute1'].journal
        self.assertTrue(journal.ended)
        self.assertEqual({'web-id', 'off-id'}, journal.moves.keys())
        self.assertEqual({}, journal.stayed)
        self.assertIsInstance(self.told[0], events.Planned)

    def test_why_servers_stay_is_noted(self) -> None:
        self.clients.servers.refusals = {
            'web-id': exceptions.CommandError('web (web-id): no')
        }
        found = self._drain(WEB, DB, scenes.server('pet', locked=True))
        self.assertIs(CODE.STAYED, found.exit_code)
        journal = self.clients.nova.hosts['compute1'].journal
        self.assertTrue(journal.ended)
        self.assertEqual({'web-id': 'web (web-id): no'}, journal.stayed)

    def test_what_became_of_all_is_told_though_it_cannot_be_noted(
        self,
    ) -> None:
        for error, lost in (
            (exceptions.CommandError('HTTP 403'), False),
            (api.TransientError('HTTP 503'), False),
            (journey.LostError('it was ended by somebody else'), True),
        ):
            with mock.patch.object(
                leaving.Leaving, 'conclude', side_effect=error
            ):
                found = self._drain(WEB)
            code = CODE.ERROR if lost else CODE.DONE
            self.assertIs(code, found.exit_code)
            self.assertEqual([OUT.MOVED], [m.outcome for m in found.moves])
            self.assertEqual(events.Unnoted(str(error), lost), self.told[-1])

    def test_somebody_has_chosen_other_servers_before_its_end(self) -> None:
        nova = self.clients.nova

        def pause(seconds: float) -> bool:
            host = nova.hosts['compute1']
            if host.aggregate and not host.journal.ended:
                theirs: dict[str, str | None] = {
                    'maintenance:migrate': 'active'
                }
                nova.write_record(host.aggregate, theirs)
            return self._pause(seconds)

        found = self._drain(WEB, pause=pause)
        self.assertIs(CODE.ERROR, found.exit_code)
        self.assertIsInstance(self.told[-1], events.Unnoted)
        self.assertFalse(nova.hosts['compute1'].journal.ended)

    def test_an_empty_host_is_left_alone(self) -> None:
        found = self._drain()
        self.assertIs(CODE.DONE, found.exit_code)
        self.assertEqual([], found.moves)
        self.assertEqual(0, self.clients.servers.changes)

    def test_interrupted(self) -> None:
        found = self._drain(WEB, pause=lambda _seconds: True)
        self.assertIs(CODE.INTERRUPTED, found.exit_code)
        # there may be more to do
        journal = self.clients.nova.hosts['compute1'].journal
        self.assertFalse(journal.ended)
        self.assertEqual({'web-id'}, journal.moves.keys())

    def test_handed_over(self) -> None:
        found = self._drain(WEB, DB, scenes.server('third'), wait=False)
        self.assertIs(E.HANDED_OVER, found.ending)
        rows = [move.as_dict() for move in found.moves]
        self.assertEqual(
            [
                ('waiting', 'not started: run the same command again'),
                ('moving', None),
                ('moving', None),
            ],
            [(row['outcome'], row['cause']) for row in rows],
        )
        journal = self.clients.nova.hosts['compute1'].journal
        self.assertFalse(journal.ended)

    def test_nova_refuses_to_be_asked(self) -> None:
        def refuse(_seconds: float) -> bool:
            self.clients.nova.hosts['compute1'] = scenes.host()
            self.now += 60
            return False

        error = self.assertRaises(
            exceptions.CommandError, self._drain, WEB, pause=refuse
        )
        words = str(error)
        self.assertTrue(words.startswith('The drain of compute1 stops: '))
        self.assertIn('was ended by somebody else', words)
        # that would begin another one
        self.assertNotIn('run the same command again', words)
