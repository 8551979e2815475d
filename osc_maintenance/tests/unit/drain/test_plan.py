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
import re
import typing
from unittest import mock

from oslotest import base

from osc_maintenance import asking
from osc_maintenance import compute
from osc_maintenance.drain import plan
from osc_maintenance.drain import verdict
from osc_maintenance import journal
from osc_maintenance.nova import answers
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes

WEB, DB = scenes.server('web', project='p1'), scenes.server('db')
LOCKED = scenes.server('pet', locked=True)
ALL = policy.Policy(policy.ALL)


def migration(
    server: str,
    status: str,
    source: str = 'compute1',
    dest: str | None = 'compute2',
    kind: str = servers.LIVE_MIGRATION,
) -> servers.Migration:
    """A migration of a server."""
    return servers.Migration(
        7, f'{server}-id', kind, status, source, dest, user='alice'
    )


class PlanTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clients = fakes.Clients()
        self.given(scenes.service(), scenes.service())

    def given(
        self, here: compute.Service | None, there: compute.Service | None
    ) -> None:
        """Hosts compute1 and compute2 with services like these."""
        self.clients.nova.hosts = {
            name: fakes.named(compute.Host('x', service), name)
            for name, service in (('compute1', here), ('compute2', there))
        }

    def plan(
        self,
        *here: servers.Server,
        migrations: tuple[servers.Migration, ...] = (),
        wanted: policy.Policy = ALL,
        noted: journal.Journal | None = None,
        evacuate: bool = False,
        moving: bool = True,
    ) -> plan.Plan:
        """What would be done with these servers."""
        load = servers.Load('compute1', here, migrations)
        return plan.make(
            fakes.real(self.clients),
            load,
            wanted,
            scenes.NOW,
            noted or journal.Journal(),
            evacuate=evacuate,
            moving=moving,
        )


class TestMake(PlanTestCase):
    def test_a_verdict_on_each(self) -> None:
        made = self.plan(WEB, LOCKED)
        self.assertEqual(
            {'web-id': 'live-migrate', 'pet-id': 'leave'},
            {server: found.action for server, found in made.verdicts.items()},
        )
        self.assertEqual((), made.notes)
        self.assertFalse(made.evacuate)
        self.assertEqual(0, self.clients.changes)
        self.given(scenes.service(state='down'), scenes.service())
        made = self.plan(WEB, evacuate=True)
        self.assertEqual(
            verdict.Action.EVACUATE, made.verdicts['web-id'].action
        )
        self.assertTrue(made.evacuate)

    def test_one_that_a_return_has_cold_migrated(self) -> None:
        off = scenes.server('off', vm_state='resized')
        back = migration(
            'off', 'finished', 'compute2', 'compute1', servers.COLD_MIGRATION
        )
        unclaimed = dataclasses.replace(back, user=None)
        for found, after, words in (
            (back, 6, 'has come back'),
            (back, 7, 'resize confirm'),
            (unclaimed, 6, 'resize confirm'),
        ):
            noted = journal.Journal(
                returns={'off-id': journal.Move('cold-migrate', after)}
            )
            made = self.plan(off, migrations=(found,), noted=noted)
            self.assertIn(words, str(made.verdicts['off-id'].cause))
            self.assertEqual([off], made.blocked)

    def test_one_that_is_resized_on_the_host_since(self) -> None:
        off = scenes.server('off', vm_state='resized')
        back = migration(
            'off', 'confirmed', 'compute2', 'compute1', servers.COLD_MIGRATION
        )
        resize = dataclasses.replace(
            migration('off', 'finished', dest='compute1', kind=servers.RESIZE),
            id=8,
        )
        noted = journal.Journal(
            returns={'off-id': journal.Move('cold-migrate', 6)}
        )
        made = self.plan(off, migrations=(back, resize), noted=noted)
        self.assertIn('resize confirm', str(made.verdicts['off-id'].cause))

    def test_nobody_asks_about_servers_that_stay(self) -> None:
        self.clients.placement.holdings = {
            server.id: {'': {'VCPU': 1}} for server in (WEB, LOCKED)
        }
        self.plan(LOCKED)
        self.assertEqual([], self.clients.placement.asked)
        self.plan(LOCKED, WEB)
        self.assertEqual(1, len(self.clients.placement.asked))

    def lacking(
        self, *here: servers.Server, moving: bool = True, **how: typing.Any
    ) -> list[str]:
        """What the plan says that Nova does not give, by microversion."""
        notes = self.plan(*here, moving=moving, **how).notes
        return [
            found
            for note in notes
            for found in re.findall(r'\((2\.\d+)\)', note)
        ]

    def test_what_nova_does_not_give(self) -> None:
        self.assertEqual([], self.lacking(WEB, LOCKED))
        self.clients.servers.microversion = (2, 53)
        off = scenes.server('off', vm_state='stopped')
        there = policy.Policy(policy.ALL, target='compute2')
        told = dataclasses.replace(LOCKED, locked_reason='mine')
        for here, how, expected in (
            ((WEB, LOCKED), {}, ['2.73', '2.80', '2.96']),
            ((WEB, LOCKED), {'moving': False}, ['2.73', '2.96']),
            ((WEB,), {}, ['2.80', '2.96']),
            # of what does not matter here nothing is said
            ((LOCKED,), {}, ['2.73']),
            ((told,), {}, []),
            ((), {}, []),
            ((WEB, off), {'wanted': there}, ['2.56', '2.80', '2.96']),
            ((WEB,), {'wanted': there}, ['2.80', '2.96']),
        ):
            self.assertEqual(expected, self.lacking(*here, **how), str(here))

    def test_what_nova_does_not_give_of_groups(self) -> None:
        self.clients.servers.microversion = (2, 53)
        for name, expected in (
            ('anti-affinity', ['2.64', '2.80', '2.96']),
            ('affinity', ['2.80', '2.96']),
        ):
            group = answers.Group('g', 'g', name, 1, ('web-id',))
            self.clients.servers.listed_groups = [group]
            self.assertEqual(expected, self.lacking(WEB))

    def test_what_nova_does_not_give_to_evacuate(self) -> None:
        self.clients.servers.microversion = (2, 94)
        self.given(scenes.service(state='down'), scenes.service())
        self.assertEqual(['2.95', '2.96'], self.lacking(WEB, evacuate=True))

    def test_notes(self) -> None:
        self.clients.placement.left = None
        self.clients.servers.listed_groups = None
        self.assertEqual(2, len(self.plan(WEB).notes))

    def test_whether_a_server_has_to_go(self) -> None:
        stuck = scenes.server('stuck', vm_state='suspended')
        for here, wanted in (
            ((), False),
            ((LOCKED,), False),
            ((LOCKED, WEB), True),
            # it has to, and cannot
            ((stuck,), True),
        ):
            self.assertIs(wanted, self.plan(*here).wanted)

    def test_what_is_blocked(self) -> None:
        stuck = scenes.server('stuck', vm_state='suspended')
        made = self.plan(WEB, stuck, LOCKED)
        self.assertEqual([stuck], made.blocked)
        self.assertEqual([], self.plan().blocked)

    def test_what_is_on_its_way_is_not_blocked(self) -> None:
        moving = dataclasses.replace(WEB, task_state='migrating')
        resizing = dataclasses.replace(DB, task_state='resize_migrating')
        made = self.plan(
            *(moving, resizing),
            migrations=(
                migration('web', 'running'),
                migration('db', 'migrating', kind=servers.RESIZE),
            ),
        )
        # nobody knows how its owner's resize will end
        self.assertEqual([resizing], made.blocked)

    def test_what_a_host_that_is_down_has_broken_off(self) -> None:
        self.given(scenes.service(state='down'), scenes.service())
        stuck = scenes.server(
            'web', vm_state='rescued', task_state='migrating'
        )
        for kind, blocked in (
            (servers.LIVE_MIGRATION, [stuck]),
            (servers.EVACUATION, []),
        ):
            found = migration('web', 'running', kind=kind)
            made = self.plan(stuck, migrations=(found,), evacuate=True)
            self.assertEqual(blocked, made.blocked)


class TestCheck(PlanTestCase):
    def _check(self, made: plan.Plan, *, strict: bool = False) -> None:
        plan.check(fakes.real(self.clients), made, strict=strict)
        self.assertEqual(0, self.clients.changes)

    def _refused(self, made: plan.Plan, *, strict: bool = False) -> str:
        error = self.assertRaises(
            asking.RefusedError, self._check, made, strict=strict
        )
        self.assertEqual(0, self.clients.changes)
        return str(error)

    def test_what_can_work(self) -> None:
        self._check(self.plan(WEB), strict=True)
        self._check(self.plan(LOCKED, WEB), strict=True)
        self._check(
            self.plan(WEB, wanted=policy.Policy('all', target='compute2'))
        )
        self.given(scenes.service('disabled', 'mine'), scenes.service())
        self._check(self.plan(WEB))

    def test_the_target(self) -> None:
        for service, words in (
            (None, 'unknown host compute2'),
            (
                scenes.service('disabled', 'b\x1bd'),
                r'compute2 is disabled (b\x1bd)',
            ),
            (scenes.service('disabled'), 'is disabled (no reason given)'),
            (scenes.service('UNKNOWN', state=''), 'is UNKNOWN'),
            (scenes.service(state='down'), 'its nova-compute is down'),
        ):
            with self.subTest(service=service):
                self.given(scenes.service(), service)
                wanted = policy.Policy('all', target='compute2')
                told = self._refused(self.plan(WEB, wanted=wanted))
                self.assertIn('--target-host compute2', told)
                self.assertIn(words, told)

    def test_the_host_itself_is_no_target(self) -> None:
        for target, words in (
            ('compute1', 'is the host that is to be emptied'),
            ('comp\x1bute', r'--target-host comp\x1bute: unknown host'),
        ):
            wanted = policy.Policy('all', target=target)
            # whether there is a server that would have to go there now or not
            for here in ((WEB,), (LOCKED,), ()):
                told = self._refused(self.plan(*here, wanted=wanted))
                self.assertIn(words, told)

    def test_a_host_that_is_down(self) -> None:
        self.given(scenes.service(state='down'), scenes.service())
        told = self._refused(self.plan(WEB))
        self.assertIn('compute1 is down', told)
        self.assertIn('--evacuate --fenced', told)
        self._check(self.plan(WEB, evacuate=True))
        # nothing is to be moved, or is left to be moved
        self._check(self.plan(WEB, wanted=policy.NOTHING))
        self._check(self.plan(), strict=True)
        self._check(self.plan(LOCKED), strict=True)

    def test_a_host_of_ironic(self) -> None:
        self.clients.nova.hypervisor = 'ironic'
        told = self._refused(self.plan(WEB))
        self.assertIn('compute1 is a host of Ironic', told)
        self.assertIn('--migrate none', told)
        self._check(self.plan(WEB, wanted=policy.NOTHING))
        self._check(self.plan(LOCKED))
        # that much can be done
        self._check(self.plan(WEB, wanted=policy.Policy('all', stop=True)))
        self.given(scenes.service(state='down'), scenes.service())
        told = self._refused(self.plan(WEB, evacuate=True))
        self.assertIn('can move none', told)

    def test_an_evacuation_of_a_host_that_is_up(self) -> None:
        for status in ('enabled', 'disabled'):
            self.given(scenes.service(status), scenes.service())
            told = self._refused(self.plan(WEB, evacuate=True))
            self.assertIn('compute1 is up', told)
            self.assertIn('--migrate', told)

    def test_strict(self) -> None:
        stuck = dataclasses.replace(
            DB, name='d\x1bb', vm_state='rescued', status='RESCUE'
        )
        made = self.plan(WEB, stuck, LOCKED)
        self._check(made)
        told = self._refused(made, strict=True)
        self.assertIn('compute1: 1 of the servers', told)
        self.assertIn(r'd\x1bb (db-id): is rescued', told)
        self.assertNotIn('web', told)
        self.assertNotIn('pet', told)

    def test_strict_lets_a_drain_go_on(self) -> None:
        moving = dataclasses.replace(WEB, task_state='migrating')
        under_way = (migration('web', 'running'),)
        self._check(self.plan(moving, migrations=under_way), strict=True)
        self._refused(self.plan(moving), strict=True)

    def test_nothing_is_asked_if_nothing_has_to_go(self) -> None:
        wanted = policy.Policy('none', target='gone')
        with mock.patch.object(self.clients.nova, 'service') as asked:
            self._check(self.plan(WEB, wanted=wanted), strict=True)
        asked.assert_not_called()
