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
import typing
from unittest import mock

from osc_lib import exceptions

from osc_maintenance.drain import leaving
from osc_maintenance.drain import moves
from osc_maintenance.drain import verdict
from osc_maintenance.nova import answers
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import test_loop_base as base

_A = verdict.Action


class LeavingTestCase(base.LoopTestCase):
    def journey(
        self, user: str = 'alice', **how: typing.Any
    ) -> leaving.Leaving:
        """What a drain that has just begun goes by."""
        journey = self.drain(user, **how).journey
        self.world.requests.clear()
        return journey

    def move(self, name: str, action: _A = _A.LIVE_MIGRATE) -> moves.Move:
        return moves.Move(self.world.guests[name], verdict.Verdict(action))

    def metadata(self, prefix: str) -> dict[str, str]:
        """What is noted, without the beginning of its keys."""
        assert self.world.aggregate
        start = f'maintenance:{prefix}'
        return {
            key.removeprefix(start): value
            for key, value in self.world.aggregate.metadata.items()
            if key.startswith(start)
        }


class TestLook(LeavingTestCase):
    def test_servers_and_what_is_to_be_done_with_them(self) -> None:
        self.world.add('web')
        self.world.add('off', vm_state='stopped')
        self.world.add('stuck', vm_state='suspended')
        self.world.add('busy', task_state='rebooting')
        self.world.add('away', host='h2')
        look = self.journey().look(fresh=True, moving=set())
        self.assertEqual(
            {
                'web': _A.LIVE_MIGRATE,
                'off': _A.COLD_MIGRATE,
                'stuck': _A.BLOCKED,
                'busy': _A.BLOCKED,
            },
            {name: found.action for name, found in look.verdicts.items()},
        )
        self.assertEqual(look.verdicts.keys(), look.here.keys())
        self.assertTrue(look.verdicts['busy'].passing)
        self.assertTrue(look.fresh)

    def test_what_it_costs(self) -> None:
        for number in range(50):
            self.world.add(f'web{number}')
        journey = self.journey()
        for fresh, requests in (
            (True, {'migrations': 1, 'on': 1}),
            (False, {'migrations': 1}),
            (False, {'migrations': 1}),
            (True, {'migrations': 1, 'on': 1}),
        ):
            self.world.requests.clear()
            look = journey.look(fresh=fresh, moving={'web0'})
            self.assertEqual(requests, dict(self.world.requests))
            self.assertEqual(fresh, look.fresh)
            self.assertEqual(50, len(look.here))

    def test_only_servers_that_are_new_are_asked_about(self) -> None:
        self.world.add('web')
        journey = self.journey()
        journey.look(fresh=True, moving=set())
        self.assertEqual(0, self.world.requests['services'])
        self.world.add('late')
        for _ in range(3):
            look = journey.look(fresh=True, moving=set())
            self.assertIs(_A.LIVE_MIGRATE, look.verdicts['late'].action)
        self.assertEqual(1, self.world.requests['services'])

    def test_the_latest_migration_of_each_server(self) -> None:
        for name in ('web', 'db', 'in'):
            self.world.add(name)
        self.world.set('in', host='h2')
        self.world.script('web', fails=['pre'])
        for _ in range(2):
            self.world.begin('web', servers.LIVE_MIGRATION, 'alice')
            self.world.advance(self.world.now + 2)
        self.world.begin('in', servers.LIVE_MIGRATION, 'bob', base.HOST)
        self.world.advance(self.world.now + 1)
        look = self.journey().look(fresh=True, moving=set())
        self.assertEqual(
            {'web': (2, 'running')},
            {k: (v.id, v.status) for k, v in look.migrations.items()},
        )
        self.assertEqual({'in'}, look.arriving)

    def test_one_that_nova_has_forgotten_is_none(self) -> None:
        self.world.limit = 0
        self.world.add('web')
        self.world.begin('web', servers.LIVE_MIGRATION, 'bob')
        self.world.advance(1)
        journey = self.journey()
        look = journey.look(fresh=True, moving=set())
        self.assertTrue(look.migrations['web'].queued)
        # nova-compute was restarted
        self.world.set('web', task_state=None)
        look = journey.look(fresh=True, moving=set())
        self.assertNotIn('web', look.migrations)

    def test_one_that_waits_is_seen_although_the_list_is_old(self) -> None:
        # it was idle when the servers were looked at
        self.world.limit = 0
        self.world.add('web')
        journey = self.journey()
        journey.look(fresh=True, moving=set())
        self.world.begin('web', servers.LIVE_MIGRATION, 'bob')
        self.world.advance(1)
        look = journey.look(fresh=False, moving=set())
        self.assertIn('web', look.migrations)

    def test_what_blocks_a_server_is_looked_at_again(self) -> None:
        self.world.add('web')
        self.world.hosts.update(h2='down', h3='down')
        journey = self.journey()
        self.world.hosts['h2'] = 'up'

        def action(*, fresh: bool = True) -> verdict.Action:
            look = journey.look(fresh=fresh, moving=set())
            return look.verdicts['web'].action

        self.assertIs(_A.BLOCKED, action())
        self.world.advance(self.world.now + 61)
        self.assertIs(_A.BLOCKED, action(fresh=False))
        self.assertIs(_A.LIVE_MIGRATE, action())
        self.assertEqual(1, self.world.requests['services'])
        action()
        self.assertEqual(1, self.world.requests['services'])

    def test_where_one_can_go_is_asked_as_soon_as_it_has_to(self) -> None:
        self.world.add('web')
        self.world.add('db', locked=True)
        self.world.groups.append(
            answers.Group('g', 'pair', 'affinity', 1, ('db', 'mate'))
        )
        self.world.add('mate', host='h2')
        journey = self.journey()
        look = journey.look(fresh=True, moving=set())
        self.assertIs(_A.LEAVE, look.verdicts['db'].action)
        self.world.set('db', locked=False)
        look = journey.look(fresh=True, moving=set())
        self.assertIn('pair', str(look.verdicts['db'].cause))

    def test_where_nothing_is_blocked_that_is_asked_more_seldom(self) -> None:
        self.world.script(self.world.add('web'), seconds=900)
        self.world.add('db')
        journey = self.journey()
        # what is under way is no reason to ask
        self.world.begin('web', servers.LIVE_MIGRATION, 'alice')
        for minute, asked in ((2, 0), (4, 0), (6, 1), (8, 1)):
            self.world.advance(60.0 * minute)
            journey.look(fresh=True, moving={'web'})
            self.assertEqual(asked, self.world.requests['services'])

    def test_what_cannot_be_asked_again_is_as_it_was(self) -> None:
        self.world.add('web')
        members = ('web', 'db')
        self.world.groups.append(
            answers.Group('g', 'pair', 'affinity', 1, members)
        )
        self.world.add('db')
        journey = self.journey()
        refusal = exceptions.CommandError('Server groups: no')
        self.world.add('late')
        with mock.patch.object(base.Client, 'groups', side_effect=refusal):
            look = journey.look(fresh=True, moving=set())
        self.assertIn('pair', str(look.verdicts['web'].cause))
        self.assertIs(_A.LIVE_MIGRATE, look.verdicts['late'].action)

    def test_an_evacuation_heeds_no_other_migration(self) -> None:
        self.world.hosts[base.HOST] = 'down'
        for name in ('web', 'db'):
            self.world.add(name)
        row = self.world.begin('web', servers.LIVE_MIGRATION, 'bob')
        self.world.begin('db', servers.EVACUATION, 'bob')
        self.world.advance(1)
        # its guest runs nowhere else
        self.world.save(row, 'queued')
        journey = self.journey(evacuate=True)
        look = journey.look(fresh=True, moving=set())
        self.assertEqual({'db'}, look.migrations.keys())
        self.assertIs(_A.EVACUATE, look.verdicts['web'].action)


class TestCheck(LeavingTestCase):
    def look_at(self, journey: leaving.Leaving, moment: float) -> None:
        self.world.advance(moment)
        journey.check()

    def test_the_maintenance_is_looked_at_before_a_move(self) -> None:
        journey = self.journey()
        for moment in range(1, 60):
            self.look_at(journey, moment)
        self.assertEqual(2, self.world.requests['service'])
        # what is to be moved may be changed at any moment
        self.assertEqual(5, self.world.requests['aggregate'])

    def test_and_now_and_then_while_none_is_started(self) -> None:
        # a host that is down may be up again soon
        for up, asked in (('up', 2), ('down', 6)):
            self.afresh()
            self.world.add('web')
            self.world.hosts[base.HOST] = up
            journey = self.journey()
            for moment in range(1, 130):
                self.world.advance(moment)
                journey.look(fresh=False, moving=set())
            self.assertEqual(asked, self.world.requests['aggregate'], up)

    def test_it_stops_if_it_is_no_longer_what_it_was(self) -> None:
        other = base.recorded(policy.Policy(policy.ACTIVE))
        for found, words in (
            (None, 'the maintenance of h1 was ended by somebody else'),
            (other, 'somebody else has changed which servers of h1 are to'),
        ):
            self.afresh()
            journey = self.journey()
            self.world.aggregate = found
            self.look_at(journey, 5)
            error = self.assertRaises(
                exceptions.CommandError, self.look_at, journey, 22
            )
            self.assertIn(words, str(error))

    def test_it_goes_on_if_only_entering_would_be_refused(self) -> None:
        journey = self.journey()
        strict = policy.Policy(policy.ALL, strict=True)
        self.world.aggregate = base.recorded(strict)
        self.look_at(journey, 12)

    def test_it_goes_on_if_something_else_was_changed(self) -> None:
        journey = self.journey()
        assert self.world.aggregate
        metadata = {**self.world.aggregate.metadata, 'rack': '7'}
        self.world.aggregate = dataclasses.replace(
            self.world.aggregate, metadata=metadata
        )
        self.look_at(journey, 22)


class TestNotes(LeavingTestCase):
    def test_it_is_noted_which_servers_will_move_and_once(self) -> None:
        self.world.add('old', host='h2')
        self.world.begin('old', servers.LIVE_MIGRATION, 'bob', base.HOST)
        self.world.advance(9)
        for name in ('web', 'off'):
            self.world.add(name)
        journey = self.journey()
        journey.look(fresh=True, moving=set())
        noted = [self.move('web'), self.move('off', _A.COLD_MIGRATE)]
        for _ in range(3):
            journey.note(noted)
        self.assertEqual(1, self.world.requests['write_record'])
        self.assertEqual(
            {'web': 'live-migrate 1 alice', 'off': 'cold-migrate 1 alice'},
            self.metadata('move:'),
        )
        self.assertEqual({'': 'started'}, self.metadata('drain'))

    def test_a_refusal_is_no_end_as_long_as_the_record_is_there(self) -> None:
        self.world.add('web')
        with base.refused_once():
            drain = self.drain().run()
        self.assertEqual({'web': 'moved'}, drain.outcomes())

    def test_a_number_that_nova_has_not_reached_is_no_note(self) -> None:
        # or else our own cold migration would be taken for a stranger's
        self.world.add('off', vm_state='stopped')
        self.world.aggregate = base.recorded(base.EVERYTHING)
        self.world.aggregate.metadata['maintenance:move:off'] = (
            'cold-migrate 999999 alice'
        )
        drain = self.drain().run()
        self.assertEqual({'off': 'moved'}, drain.outcomes())
        self.check_gone('off')

    def test_those_of_a_colleague_are_kept(self) -> None:
        self.world.add('web')
        for user in ('alice', 'bob', 'bob', 'carol', 'dave'):
            journey = self.journey(user)
            journey.look(fresh=True, moving=set())
            journey.note([self.move('web')])
        self.assertEqual(
            {'web': 'live-migrate 0 bob carol dave'}, self.metadata('move:')
        )

    def test_those_of_a_colleague_at_the_same_time_are_kept(self) -> None:
        # both have begun before either of them has noted anything
        self.world.add('web')
        journeys = [self.journey(user) for user in ('alice', 'bob')]
        for journey in journeys:
            journey.look(fresh=True, moving=set())
        for journey in journeys:
            journey.note([self.move('web')])
        noted = self.metadata('move:')['web'].split()
        self.assertEqual({'alice', 'bob'}, set(noted[2:]))

    def test_one_that_a_colleague_has_replaced_is_written_again(self) -> None:
        # who has read before and writes after us
        self.world.add('web')
        journey = self.journey()
        journey.look(fresh=True, moving=set())
        journey.note([self.move('web')])
        assert self.world.aggregate
        for replaced in ('live-migrate 0 bob', 'live-migrate 0 carol bob'):
            self.world.aggregate.metadata['maintenance:move:web'] = replaced
            row = self.world.begin('web', servers.COLD_MIGRATION, 'alice')
            self.assertTrue(journey.is_ours(row.migration))
            self.assertEqual(
                {'web': f'{replaced} alice'}, self.metadata('move:')
            )
            self.world.advance(self.world.now + 9)
            self.world.set('web', host=base.HOST)
        writes = self.world.requests['write_record']
        journey.check_now()
        journey.conclude({})
        self.assertEqual(1, self.world.requests['write_record'] - writes)

    def test_the_end_is_noted_with_the_causes(self) -> None:
        self.world.add('web')
        journey = self.journey()
        journey.look(fresh=True, moving=set())
        journey.note([self.move('web')])
        for _ in range(2):
            journey.conclude({'web': 'No valid host'})
        self.assertEqual(2, self.world.requests['write_record'])
        self.assertEqual({'': 'ended'}, self.metadata('drain'))
        self.assertEqual({'web': 'No valid host'}, self.metadata('stayed:'))
        # another run forgets the causes of this one
        journey = self.journey()
        journey.look(fresh=True, moving=set())
        journey.note([self.move('web')])
        self.assertEqual({}, self.metadata('stayed:'))
        journey.conclude({})
        self.assertEqual({'': 'ended'}, self.metadata('drain'))

    def test_what_had_nothing_to_do_is_noted_once(self) -> None:
        # or else what comes later would look like an interrupted drain
        for writes in (1, 0):
            journey = self.journey()
            journey.conclude({})
            self.assertEqual(writes, self.world.requests['write_record'])
        self.assertEqual({'': 'ended'}, self.metadata('drain'))


class TestOurs(LeavingTestCase):
    def test_which_migrations_are_ours(self) -> None:
        self.world.add('web')
        for _ in range(3):
            self.world.begin('web', servers.LIVE_MIGRATION, 'bob')
            self.world.advance(self.world.now + 9)
            self.world.set('web', host=base.HOST)
        journey = self.journey()
        journey.look(fresh=True, moving=set())
        journey.note([self.move('web')])
        row = servers.Migration(
            4, 'web', servers.COLD_MIGRATION, 'finished', user='alice'
        )
        for ours, found in (
            (True, row),
            (True, dataclasses.replace(row, kind=servers.LIVE_MIGRATION)),
            # nobody tells who asked for it: it is not ours to confirm
            (False, dataclasses.replace(row, user=None)),
            (True, dataclasses.replace(row, user=None, status='failed')),
            (False, dataclasses.replace(row, user='bob')),
            (False, dataclasses.replace(row, kind=servers.RESIZE)),
            # it was there before
            (False, dataclasses.replace(row, id=3)),
            (False, dataclasses.replace(row, server='db')),
        ):
            self.assertEqual(ours, journey.is_ours(found), str(found))

    def test_none_is_ours_before_anything_is_noted(self) -> None:
        self.world.add('web')
        row = self.world.begin('web', servers.COLD_MIGRATION, 'alice')
        self.assertFalse(self.journey().is_ours(row.migration))

    def test_the_target_is_that_of_the_policy(self) -> None:
        self.world.add('web')
        for target in (None, 'h3'):
            self.world.aggregate = None
            chosen = policy.Policy(policy.ALL, target=target)
            journey = self.journey(policy=chosen)
            self.assertEqual(target, journey.target(self.move('web')))
