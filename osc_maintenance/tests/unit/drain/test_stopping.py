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

"""Servers are stopped where they are, on the simulated Nova."""

import collections.abc
import contextlib
import dataclasses
import typing
from unittest import mock

from osc_lib import exceptions

from osc_maintenance.drain import events
from osc_maintenance.drain import leaving
from osc_maintenance.drain import loop
from osc_maintenance.drain import options
from osc_maintenance.drain import run
from osc_maintenance import exit_codes
from osc_maintenance import journal
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance import owners
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import simulation
from osc_maintenance.tests.unit.drain import test_loop_base as base
from osc_maintenance.tests.unit.drain import test_loop_stops
from osc_maintenance.tests.unit import scenes

CODE = exit_codes.ExitCode
UNMOVABLE = policy.Policy(policy.ALL, stop=True)
TPM = {'hw:tpm_version': '2.0'}


class TestStopping(test_loop_stops.StopsTestCase):
    def afresh(self) -> None:
        super().afresh()
        self.world.add('web')
        self.world.add('pet', said={owners.POLICY: 'stop'})

    def stopped(self) -> frozenset[str]:
        """The servers that are noted as stopped."""
        assert self.world.aggregate
        noted = journal.decode(self.world.aggregate.metadata).stopped
        self.assertLessEqual(set(noted.values()), {('alice',)})
        return frozenset(noted)

    def outcomes(self, found: run.Result) -> dict[str, str]:
        return {move.server.id: move.outcome.value for move in found.moves}

    def check_stopped(self, name: str) -> None:
        guest = self.world.guests[name]
        self.assertEqual((base.HOST, 'SHUTOFF'), (guest.host, guest.status))

    def test_once_the_others_have_gone(self) -> None:
        found = self.whole()
        self.assertEqual(
            {'web': 'moved', 'pet': 'stopped'}, self.outcomes(found)
        )
        self.assertIs(CODE.DONE, found.exit_code)
        self.check_stopped('pet')
        self.assertEqual({'pet'}, self.stopped())
        kinds = [type(event) for event in self.told]
        moved, begun = kinds.index(events.Ended), kinds.index(events.Stopping)
        self.assertLess(moved, begun)
        self.assertIs(events.Finished, kinds[-1])
        told = next(m for m in found.moves if m.server.id == 'pet').as_dict()
        self.assertEqual(('stop', None), (told['verdict'], told['seconds']))

    def test_it_stays_when_it_is_run_again(self) -> None:
        self.whole()
        found = self.whole()
        self.assertEqual({'pet': 'left'}, self.outcomes(found))
        (move,) = found.moves
        self.assertIn('stopped for this maintenance', str(move.cause))
        self.assertEqual(0, self.world.requests['stop'])

    def test_what_cannot_be_moved(self) -> None:
        tpm = self.world.add('tpm', extra_specs=TPM)
        for wanted, outcome, code in (
            (base.EVERYTHING, 'blocked', CODE.STAYED),
            (UNMOVABLE, 'stopped', CODE.DONE),
        ):
            self.world.aggregate = None
            found = self.whole(policy=wanted)
            self.assertEqual(outcome, self.outcomes(found)[tpm])
            self.assertIs(code, found.exit_code)
        self.check_stopped(tpm)
        self.assertIn(tpm, self.stopped())
        # it is not moved now that it could be
        self.assertEqual(
            'left', self.outcomes(self.whole(policy=UNMOVABLE))[tpm]
        )

    def test_nova_refuses(self) -> None:
        refusal = exceptions.CommandError('pet (pet): HTTP 403')
        with mock.patch.object(base.Client, 'stop', side_effect=refusal):
            found = self.whole()
        self.assertEqual('failed', self.outcomes(found)['pet'])
        self.assertIs(CODE.STAYED, found.exit_code)
        self.assertEqual(frozenset(), self.stopped())
        assert self.world.aggregate
        noted = journal.decode(self.world.aggregate.metadata)
        self.assertEqual({'pet': 'pet (pet): HTTP 403'}, noted.stayed)

    def test_somebody_else_is_quicker(self) -> None:
        def stop(_client: base.Client, _server: object) -> None:
            self.world.switch('pet', 'stopped')
            raise api.OvertakenError('it is being stopped')

        with mock.patch.object(base.Client, 'stop', stop):
            found = self.whole()
        self.assertEqual('stopped', self.outcomes(found)['pet'])
        # another drain notes itself; what its owner has stopped stays so
        self.assertEqual({'pet'}, self.stopped())

    def test_a_note_that_a_drain_has_removed_which_could_not_stop_it(
        self,
    ) -> None:
        def removed(event: events.Event) -> None:
            if isinstance(event, events.Stopping):
                assert self.world.aggregate
                metadata = self.world.aggregate.metadata
                metadata.pop('maintenance:stopped:pet')

        self.whole(removed)
        self.assertEqual({'pet'}, self.stopped())

    def test_one_that_a_colleague_could_not_stop(self) -> None:
        noted = journal.Journal(stopped={'pet': ('alice', 'bob')})
        for user, left in (
            ('bob', {'maintenance:stopped:pet': 'by alice'}),
            ('carol', {'maintenance:stopped:pet': 'by alice bob'}),
        ):
            self.assertEqual(left, noting.stopping(noted, (), ['pet'], user))
        alone = journal.Journal(stopped={'pet': ('bob',)})
        self.assertEqual(
            {'maintenance:stopped:pet': None},
            noting.stopping(alone, (), ['pet'], 'bob'),
        )

    def test_two_drains_of_which_one_is_interrupted(self) -> None:
        for number in range(3):
            self.world.add(f'pet{number}', said={owners.POLICY: 'stop'})
        real = leaving.Leaving.note_stops
        bobs: list[run.Result] = []

        def note_stops(journey: leaving.Leaving, *args: typing.Any) -> None:
            real(journey, *args)
            if not bobs and args:
                # bob notes the same, and presses Ctrl-C
                assert self.world.aggregate
                noted = journal.decode(self.world.aggregate.metadata)
                client = base.Client(self.world, 'bob')
                client.write_record(
                    self.world.aggregate,
                    noting.stopping(noted, noted.stopped, (), 'bob'),
                )
                bobs.append(run.Result([], loop.Ending.INTERRUPTED))

        with mock.patch.object(leaving.Leaving, 'note_stops', note_stops):
            self.whole()
        assert self.world.aggregate
        noted = journal.decode(self.world.aggregate.metadata).stopped
        self.assertEqual({('alice', 'bob')}, set(noted.values()))
        self.assertEqual(4, len(noted))

    def test_a_note_that_another_drain_has_replaced(self) -> None:
        # it has read before ours was written, and writes after it
        def replaced(event: events.Event) -> None:
            if isinstance(event, events.Stopping):
                assert self.world.aggregate
                key = 'maintenance:stopped:pet'
                self.world.aggregate.metadata[key] = 'by bob'

        self.whole(replaced)
        assert self.world.aggregate
        noted = journal.decode(self.world.aggregate.metadata).stopped
        self.assertEqual({'pet': ('bob', 'alice')}, noted)

    def test_somebody_has_moved_it_before(self) -> None:
        for seconds in (0.5, 3):
            self.afresh()
            self.world.script('pet', seconds=seconds)
            self.world.script('web', seconds=60)
            self.world.at(
                35,
                lambda: self.world.begin(
                    'pet', servers.LIVE_MIGRATION, 'carol', 'h2'
                ),
            )
            found = self.whole()
            self.assertEqual('left', self.outcomes(found)['pet'])
            self.assertEqual('ACTIVE', self.world.guests['pet'].status)
            self.assertEqual(frozenset(), self.stopped())
            # the moves of web, and the end
            self.assertEqual(2, self.world.requests['write_record'])

    def test_nothing_is_stopped_once_it_is_to_end(self) -> None:
        # somebody presses Ctrl-C, or ends the maintenance
        def interrupt() -> None:
            self.world.interrupted = self.world.now - 1

        def end() -> None:
            client = base.Client(self.world)
            assert self.world.aggregate
            client.write_record(
                self.world.aggregate,
                noting.returning({}, scenes.NOW, brings_back=False),
            )

        for act in (interrupt, end):
            self.afresh()
            for number in range(5):
                self.world.add(f'pet{number}', said={owners.POLICY: 'stop'})
            told: list[events.Event] = []

            def hear(
                event: events.Event,
                act: collections.abc.Callable[[], None] = act,
                told: list[events.Event] = told,
            ) -> None:
                if isinstance(event, events.Stopping):
                    told.append(event)
                    if len(told) == 2:
                        act()

            with contextlib.suppress(exceptions.CommandError):
                found = self.whole(hear)
                causes = [str(move.cause) for move in found.moves]
                begun = [c for c in causes if c.startswith('is being stopped')]
                self.assertEqual(2, len(begun))
            self.assertEqual(2, len(told))
            self.assertEqual(2, self.world.requests['stop'])

    def test_somebody_else_takes_it_away(self) -> None:
        for gone, outcome, cause in (
            (False, 'left', 'is on h2 by now'),
            (True, 'deleted', 'None'),
        ):
            self.afresh()

            def stop(client: base.Client, _server: object) -> None:
                world = client._world
                guest = world.guests.pop('pet')
                if not self.deleted:
                    world.guests['pet'] = dataclasses.replace(guest, host='h2')

            self.deleted = gone
            with mock.patch.object(base.Client, 'stop', stop):
                found = self.whole()
            self.assertEqual(outcome, self.outcomes(found)['pet'])
            move = next(m for m in found.moves if m.server.id == 'pet')
            self.assertIn(cause, str(move.cause))

    def test_it_does_not_stop(self) -> None:
        for what, why, outcome, cause in (
            ('nothing is done', None, 'failed', 'Nova does not tell why'),
            ('it fails', 'no agent', 'failed', 'was not stopped: no agent'),
        ):
            self.afresh()
            if why:
                self.world.words['pet'] = why
            with mock.patch.object(base.Client, 'stop'):
                found = self.whole()
            self.assertEqual(outcome, self.outcomes(found)['pet'], what)
            move = next(m for m in found.moves if m.server.id == 'pet')
            self.assertIn(cause, str(move.cause))

    def test_nova_does_not_answer_that_it_is_to_stop(self) -> None:
        refusal = api.TransientError('pet: HTTP 503')
        with mock.patch.object(base.Client, 'stop', side_effect=refusal):
            found = self.whole()
        move = next(m for m in found.moves if m.server.id == 'pet')
        self.assertEqual('failed', move.outcome)
        self.assertEqual('was not stopped: pet: HTTP 503', move.cause)

    def test_it_ends_until_nova_answers(self) -> None:
        asked = []

        def stop(client: base.Client, server: object) -> None:
            asked.append(server)
            assert self.world.aggregate
            client.write_record(
                self.world.aggregate,
                noting.returning({}, scenes.NOW, brings_back=False),
            )
            raise api.TransientError('pet: HTTP 503')

        with mock.patch.object(base.Client, 'stop', stop):
            error = self.assertRaises(exceptions.CommandError, self.whole)
        self.assertIn('brings the servers of h1 back', str(error))
        # nobody would start it again
        self.assertEqual(1, len(asked))

    def test_it_takes_too_long(self) -> None:
        def stop(_client: base.Client, _server: object) -> None:
            guest = self.world.guests['pet']
            self.world.guests['pet'] = dataclasses.replace(
                guest, task_state='powering-off'
            )

        with mock.patch.object(base.Client, 'stop', stop):
            found = self.whole(server_timeout=60)
            self.check_pet(found, 'failed', 'does not stop', CODE.STAYED)
            self.afresh()
            found = self.whole(timeout=30)
            self.check_pet(found, 'left', 'is being', CODE.TIMED_OUT)

    def check_pet(
        self, found: run.Result, outcome: str, cause: str, code: CODE
    ) -> None:
        move = next(m for m in found.moves if m.server.id == 'pet')
        self.assertEqual(outcome, move.outcome)
        self.assertIn(cause, str(move.cause))
        self.assertIs(code, found.exit_code)
        # it may stop yet
        self.assertEqual({'pet'}, self.stopped())

    def test_nobody_waits(self) -> None:
        found = self.whole(wait=False)
        self.assertEqual('left', self.outcomes(found)['pet'])
        told = next(m for m in found.moves if m.server.id == 'pet')
        self.assertIn('when all others have gone: as its', str(told.cause))
        # the other one is on its way
        self.assertEqual(frozenset(), self.stopped())
        self.world.advance(self.world.now + 10)
        found = self.whole(wait=False)
        self.assertEqual('left', self.outcomes(found)['pet'])
        self.assertEqual({'pet'}, self.stopped())
        self.world.advance(self.world.now + 10)
        self.check_stopped('pet')

    def test_the_maintenance_is_about_to_end(self) -> None:
        def appeared(event: events.Event) -> None:
            # unset has begun to start servers that were stopped before
            if isinstance(event, events.Planned):
                client = base.Client(self.world)
                assert self.world.aggregate
                client.write_record(
                    self.world.aggregate,
                    noting.returning({}, scenes.NOW, brings_back=False),
                )

        self.world.guests.pop('web')
        error = self.assertRaises(
            exceptions.CommandError, self.whole, appeared
        )
        self.assertIn('brings the servers of h1 back', str(error))
        self.assertEqual('ACTIVE', self.world.guests['pet'].status)
        self.assertEqual(0, self.world.requests['stop'])

    def test_it_is_interrupted(self) -> None:
        self.world.guests.pop('web')
        self.world.interrupted = 1.5
        found = self.whole()
        self.assertIs(CODE.INTERRUPTED, found.exit_code)
        (move,) = found.moves
        self.assertIn('is being stopped', str(move.cause))
        self.assertIsInstance(self.told[-1], events.Interrupted)
        self.assertEqual({'pet'}, self.stopped())

    def test_what_goes_on_then_is_told(self) -> None:
        self.world.script('web', seconds=600)
        self.world.interrupted = 31.5
        found = self.whole(
            server_timeout=30, on_timeout=options.OnTimeout.LEAVE
        )
        self.assertIs(CODE.INTERRUPTED, found.exit_code)
        self.assertEqual({'pet'}, self.stopped())
        last = self.told[-1]
        assert isinstance(last, events.Interrupted)
        self.assertEqual(['web'], [move.server.id for move in last.moves])

    def test_killed_at_each_request(self) -> None:
        self.whole()
        for last in range(sum(self.world.requests.values())):
            self.afresh()
            self.world.killed = last
            with contextlib.suppress(simulation.KilledError):
                self.whole()
            self.world.killed = float('inf')
            self.world.advance(self.world.now + 5)
            found = self.whole()
            self.assertIs(CODE.DONE, found.exit_code, str(last))
            self.check_stopped('pet')
            self.assertEqual({'pet'}, self.stopped(), str(last))
            self.check_gone('web')
