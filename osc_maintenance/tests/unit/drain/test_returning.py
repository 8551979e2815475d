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

"""Servers on their way back, against the simulated Nova."""

import contextlib
import dataclasses
import typing
from unittest import mock

from osc_lib import exceptions

from osc_maintenance import asking
from osc_maintenance.drain import events
from osc_maintenance.drain import loop
from osc_maintenance.drain import moves
from osc_maintenance.drain import verdict
from osc_maintenance import exit_codes
from osc_maintenance.nova import api
from osc_maintenance import owners
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import simulation
from osc_maintenance.tests.unit.drain import test_loop_base as base
from osc_maintenance.tests.unit.drain import test_returning_base

_A = verdict.Action


class TestSurvey(test_returning_base.ReturningTestCase):
    def test_what_has_moved_and_not_since(self) -> None:
        self.world.add('off', vm_state='stopped')
        self.world.add('kept', locked=True)
        self.world.add('born', host='h2')
        self.world.add('early')
        self.by_hand('early', 'h2')
        self.drained('web', 'off', 'on', 'shuttle', 'back', 'deleted')
        self.world.add('late')
        self.by_hand('late', 'h3')
        for name, hosts in (
            ('on', ('h3', 'h2')),
            ('shuttle', (base.HOST, 'h3')),
            ('back', (base.HOST,)),
        ):
            for host in hosts:
                self.by_hand(name, host)
        self.world.delete('deleted')
        look = self.surveyed().look(fresh=True, moving=set())
        found = {
            name: (told.action, told.cause)
            for name, told in look.verdicts.items()
        }
        self.assertEqual(
            {
                'web': (_A.LIVE_MIGRATE, None),
                'off': (_A.COLD_MIGRATE, None),
                'on': (_A.LEAVE, 'it has moved since, and stays on h2'),
                'shuttle': (_A.LEAVE, 'it has moved since, and stays on h3'),
            },
            found,
        )
        self.assertEqual(found.keys(), look.here.keys())

    def test_it_is_moved_since_although_it_is_where_it_was_moved(
        self,
    ) -> None:
        # its owner may have come to want it just there
        self.drained('web')
        there = self.world.guests['web'].host
        self.by_hand('web', base.HOST)
        self.by_hand('web', there)
        result = self.bring_back(self.surveyed())
        self.assertEqual({'web': 'left'}, self.outcomes(result))
        self.assertEqual(there, self.world.guests['web'].host)

    def test_nothing_is_changed(self) -> None:
        self.drained('web', 'db')
        self.surveyed()
        self.assertEqual(
            {'services': 1, 'server': 2, 'migrations': 2},
            dict(self.world.requests),
        )

    def test_a_cell_that_is_silent_for_a_moment(self) -> None:
        for silent, back in ((2, ['web']), (9, None)):
            self.afresh()
            self.drained('web')
            left, real = [()] * silent, base.Client.migrations

            def look(
                *given: typing.Any,
                left: list[tuple[()]] = left,
                real: typing.Callable[..., typing.Any] = real,
                **by: typing.Any,
            ) -> typing.Any:
                return left.pop() if left else real(*given, **by)

            with (
                mock.patch.object(api, '_PAUSES', (0.0, 0.0)),
                mock.patch.object(base.Client, 'migrations', look),
            ):
                if back is None:
                    error = self.assertRaises(
                        exceptions.CommandError, self.surveyed
                    )
                    self.assertIn('leave --return-servers out', str(error))
                    continue
                found = self.surveyed().look(fresh=True, moving=set())
            self.assertEqual(back, list(found.verdicts))

    def refusal(self) -> str:
        self.world.requests.clear()
        error = self.assertRaises(asking.RefusedError, self.journey().survey)
        self.assertEqual(0, self.world.requests['write_record'])
        return str(error)

    def test_it_refuses_where_nothing_can_come_back(self) -> None:
        def down() -> None:
            self.world.hosts[base.HOST] = 'down'

        def gone() -> None:
            del self.world.hosts[base.HOST]

        def disabled() -> None:
            assert self.world.aggregate
            metadata = {
                **self.world.aggregate.metadata,
                'maintenance:before_status': 'disabled',
            }
            self.world.aggregate = dataclasses.replace(
                self.world.aggregate, metadata=metadata
            )

        for change_it, words in (
            (down, 'nova-compute on h1 is down'),
            (gone, 'nova-compute on h1 is down'),
            (disabled, 'will be so again'),
        ):
            with self.subTest(case=change_it.__name__):
                self.afresh()
                self.drained('web')
                change_it()
                self.assertIn(words, self.refusal())

    def test_it_refuses_while_servers_are_leaving(self) -> None:
        for vm_state, seconds, wait, refused in (
            # on its way
            ('active', 60, 10, True),
            ('active', 60, 90, False),
            ('stopped', 60, 10, True),
            # the drain was not there to confirm it
            ('stopped', 6, 30, True),
        ):
            with self.subTest(vm_state=vm_state, wait=wait):
                self.afresh()
                self.world.script(
                    self.world.add('web', vm_state=vm_state), seconds=seconds
                )
                self.world.interrupted = 3
                ending = self.drain().run().loop.ending
                self.assertIs(loop.Ending.INTERRUPTED, ending)
                self.pass_time(wait)
                if not refused:
                    self.surveyed()
                    continue
                words = self.refusal()
                self.assertIn('1 server is still on its way off', words)
                self.assertIn('web (web)', words)

    def test_it_does_not_refuse_because_of_others(self) -> None:
        # what its owner resizes is none of ours, wherever it goes, and
        # although we have noted the server and are the same user
        for user in ('bob', 'alice'):
            self.afresh()
            self.world.add('off', vm_state='stopped')
            self.drained('web', 'db')
            self.world.set('off', host=base.HOST)
            self.world.begin('off', servers.RESIZE, user, 'h2')
            self.pass_time(30)
            self.assertEqual('VERIFY_RESIZE', self.world.guests['off'].status)
            look = self.surveyed().look(fresh=True, moving=set())
            moved = {s for s in look.here if look.verdicts[s].moves}
            self.assertEqual({'web', 'db'}, moved)
            # nor once it is confirmed
            row = self.world.rows[-1]
            self.world.go(row, self.world.confirmed(row))
            self.pass_time(5)
            look = self.surveyed().look(fresh=True, moving=set())
            moved = {s for s in look.here if look.verdicts[s].moves}
            self.assertEqual({'web', 'db'}, moved)

    def test_what_nova_has_forgotten_does_not_leave(self) -> None:
        # nova-compute was restarted: the record is queued for ever
        self.world.limit = 0
        self.world.add('web')
        self.world.interrupted = 3
        self.drain().run()
        (row,) = self.world.rows
        self.assertTrue(row.migration.queued)
        self.assertIn('on its way', self.refusal())
        self.world.set('web', task_state=None, status='ACTIVE')
        look = self.surveyed().look(fresh=True, moving=set())
        self.assertEqual({}, look.here)


class TestReturn(test_returning_base.ReturningTestCase):
    def test_they_come_back_as_they_were(self) -> None:
        self.world.add('off', vm_state='stopped')
        self.drained('web', 'off')
        self.world.set('web', locked=True)
        result = self.bring_back(self.surveyed())
        self.assertEqual({'moved'}, set(self.outcomes(result).values()))
        self.check_back('web', 'off')
        self.assertEqual('SHUTOFF', self.world.guests['off'].status)
        self.assertIs(exit_codes.ExitCode.DONE, result.exit_code)

    def test_what_owners_wish_was_for_the_way_there(self) -> None:
        self.drained('web', 'pet', 'cold')
        for name, wish in (
            ('web', 'stop'),
            ('pet', 'keep'),
            ('cold', 'cold-migrate'),
        ):
            self.world.set(name, said={owners.POLICY: wish})
        result = self.bring_back(self.surveyed())
        self.assertEqual({'moved'}, set(self.outcomes(result).values()))
        self.check_back('web', 'pet', 'cold')
        actions = {
            move.server.id: move.verdict.action for move in result.moves
        }
        self.assertEqual(_A.COLD_MIGRATE, actions['cold'])
        self.assertEqual(_A.LIVE_MIGRATE, actions['web'])

    def test_it_is_noted_before_any_of_them_moves(self) -> None:
        self.drained('web', 'db')
        noted = []

        def report(event: events.Event) -> None:
            assert self.world.aggregate
            if isinstance(event, events.Started):
                noted.append(dict(self.world.aggregate.metadata))

        self.bring_back(self.surveyed(), report, max_parallel=1)
        for metadata in noted:
            self.assertIn('maintenance:return', metadata)
            for name in ('web', 'db'):
                self.assertEqual(
                    'live-migrate 2 alice',
                    metadata[f'maintenance:return:{name}'],
                )
        self.assertEqual(2, len(noted))
        self.assertEqual(1, self.world.requests['write_record'])

    def test_no_more_than_allowed_although_nova_is_slow_to_record(
        self,
    ) -> None:
        names = [f'web{number}' for number in range(5)]
        for most in (1, 2):
            for unseen in (0.1, 2.0, 8.0):
                with self.subTest(most=most, unseen=unseen):
                    self.afresh()
                    self.drained(*names)
                    for name in names:
                        self.world.scripts[name].unseen = unseen
                    away = len(self.world.rows)
                    result = self.bring_back(
                        self.surveyed(), max_parallel=most
                    )
                    self.assertEqual(most, self.counting.most_back)
                    self.assertEqual({1}, {m.attempts for m in result.moves})
                    self.assertEqual(away + 5, len(self.world.rows))
                    self.check_back(*names)

    def test_another_try_is_not_judged_by_the_earlier_one(self) -> None:
        for fail in ('no host', 'pre'):
            for unseen in (0.1, 0.8, 2.0, 8.0):
                with self.subTest(fail=fail, unseen=unseen):
                    self.afresh()
                    self.drained('web')
                    self.world.script(
                        'web', unseen=unseen, fails=[fail], seconds=20
                    )
                    result = self.bring_back(self.surveyed())
                    self.assertEqual({'web': 'moved'}, self.outcomes(result))
                    self.assertEqual(2, result.moves[0].attempts)
                    self.assertEqual(3, len(self.world.rows))
                    self.assertIs(exit_codes.ExitCode.DONE, result.exit_code)
                    self.check_back('web')

    def test_whoever_goes_on_with_it_is_noted_as_well(self) -> None:
        def die(event: events.Event) -> None:
            if isinstance(event, events.Started):
                raise simulation.KilledError

        for third in ('alice', 'bob', 'carol'):
            with self.subTest(third=third):
                self.afresh()
                self.world.add('off', vm_state='stopped')
                self.drained('off')
                # the first one dies before anything is asked for
                journey = self.surveyed('alice')
                look = journey.look(fresh=True, moving=set())
                journey.note(
                    [
                        moves.Move(server, look.verdicts[server.id])
                        for server in look.here.values()
                    ]
                )
                # the second one before it could be confirmed
                with contextlib.suppress(simulation.KilledError):
                    self.bring_back(self.surveyed('bob'), die)
                self.pass_time(30)
                guest = self.world.guests['off']
                self.assertEqual('VERIFY_RESIZE', guest.status)
                assert self.world.aggregate
                self.assertEqual(
                    'cold-migrate 1 alice bob',
                    self.world.aggregate.metadata['maintenance:return:off'],
                )
                result = self.bring_back(self.surveyed(third))
                self.assertEqual({'off': 'moved'}, self.outcomes(result))
                self.check_back('off')
                self.assertEqual(2, len(self.world.rows))

    def test_what_is_resized_back_is_not_confirmed(self) -> None:
        # whoever has begun that, and it is to be confirmed by its owner
        for user in ('alice', 'bob'):
            self.afresh()
            self.world.add('off', vm_state='stopped')
            self.world.add('web', ram=4096)
            self.drained('off', 'web')

            def report(event: events.Event, user: str = user) -> None:
                if isinstance(event, events.Started):
                    self.world.begin('off', servers.RESIZE, user, base.HOST)

            result = self.bring_back(self.surveyed(), report, max_parallel=1)
            self.assertEqual(
                {'web': 'moved', 'off': 'left'}, self.outcomes(result)
            )
            self.assertEqual('VERIFY_RESIZE', self.world.guests['off'].status)
            self.assertEqual(0, self.world.requests['confirm'])
            self.check_back('web')
