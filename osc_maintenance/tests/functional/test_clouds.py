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

"""Clouds as they are: names of hosts, Ironic, a policy of its own."""

import json

from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import base
from osc_maintenance.tests.functional import drains


class TestNames(drains.DrainTestCase):
    def _listed(self) -> set[str]:
        return {row['host'] for row in self.rows('list')}

    def test_dots_and_capitals(self) -> None:
        here = self.scene.host('Node.Rack-1.Example.ORG')
        there = self.scene.host()
        web = self.scene.server('web', on=here)
        drain = self.set_(here, '--migrate', 'all', '--reason', 'kernel')
        self.assert_moved_once(drain, web, there)
        self.assert_drained(self.shown(here))
        self.assertEqual({here}, self._listed())
        back = self.maintenance(
            'unset', here, '--return-servers', says='the end: 1 moved'
        )
        self.assertEqual('none', back['state'])
        self.assert_on(here, web)
        self.assert_untouched(here)

    def _long(self, letter: str) -> str:
        host = self.scene.host(letter * (200 - len(f'1-{self.scene.name}')))
        self.assertEqual(200, len(host))
        return host

    def test_as_long_as_a_name_may_be(self) -> None:
        here, there = self._long('h'), self._long('t')
        self.scene.host()
        web = self.scene.server('web', on=here)
        reason = 'r' * 200
        drain = self.set_(
            *(here, '--migrate', 'all', '--target-host', there),
            *('--reason', reason, '--notify-owners'),
        )
        self.assertEqual(
            (reason, [], True),
            tuple(
                drain.told[name]
                for name in ('reason', 'untold', 'notify_owners')
            ),
        )
        self.assert_moved_once(drain, web, there)
        self.assert_drained(self.shown(here))
        self.assertEqual({here}, self._listed())
        self.maintenance(
            'unset', here, '--return-servers', says='the end: 1 moved'
        )
        self.assert_on(here, web)
        self.assertEqual({}, self.server(web)['metadata'])
        self.assert_untouched(here)

    def test_apply_knows_one_as_long_as_may_be(self) -> None:
        self.alone()
        here, there = self._long('h'), self._long('t')
        web = self.scene.server('web', on=here)
        self.maintenance(
            *('set', here, '--start', '+1h', '--duration', '2h'),
            *('--migrate', 'all', '--target-host', there, '--notify-owners'),
        )
        self.assertEqual(
            'live-migrate',
            self.server(web)['metadata']['maintenance:action'],
        )
        self.write_metadata(here, window_start='2026-01-01T00:00:00Z')
        told: list[str] = []

        def run() -> bool:
            told.extend(row['action'] for row in self.rows('apply'))
            return told[-1:] == ['drained']

        operations.wait_for('apply has drained it', run, forked.SECONDS)
        self.assertEqual('entered', told[0])
        self.assert_on(there, web)
        self.assert_drained(self.shown(here))
        self.write_metadata(here, window_end='2026-01-01T02:00:00Z')
        (row,) = self.rows('apply', '--unset-overdue')
        self.assertEqual((here, 'unset'), (row['host'], row['action']))
        self.assert_untouched(here)

    def test_two_that_differ_in_case(self) -> None:
        upper, lower = self.scene.host('Rack'), self.scene.host('rack')
        self.assertEqual(upper.lower(), lower)
        web = self.scene.server('web', on=upper)
        self.maintenance('set', lower, '--reason', 'kernel')
        self.assert_untouched(upper)
        self.assertEqual({lower}, self._listed())
        self.assertEqual({'ACTIVE': 1}, self.shown(upper)['servers'])
        self.assertEqual({}, self.shown(lower)['servers'])
        # both at once: what is recorded of one is not that of the other
        self.maintenance('set', upper, '--reason', 'disk')
        self.assertEqual({lower, upper}, self._listed())
        self.maintenance('unset', lower)
        self.assert_untouched(lower)
        self.assertEqual('disk', self.shown(upper)['reason'])
        self.maintenance('unset', upper)
        # Nova's scheduler takes the two for one: it finds no host but this
        there = self.scene.host()
        drain = self.set_(upper, '--migrate', 'all')
        self.assert_moved_once(drain, web, there)
        self.assert_untouched(lower)
        self.maintenance('unset', upper)


class TestIronic(drains.DrainTestCase):
    def test_nothing_is_moved(self) -> None:
        here, _there = self.scene.host(ironic=True), self.scene.host()
        web = self.scene.server('web', on=here)
        said = self.set_refused(here, '--migrate', 'all')
        self.assertIn(f'{here} is a host of Ironic', said)
        self.assertIn('--migrate none', said)
        told = self.set_(here)
        self.assertEqual('maintenance', told.told['state'])
        verdict = self.verdicts('show', here, '--servers')[web.id]
        self.assertEqual('blocked', verdict['verdict'])
        self.assertIn('a machine of Ironic', verdict['cause'])
        # so it goes down with its host, and its operator may say so
        drain = self.set_(here, '--migrate', 'all', '--stop-unmovable')
        self.assertEqual('stopped', drain.outcome(web))
        self.assert_on(here, web, 'SHUTOFF')
        (started,) = self.maintenance('unset', here)['started']
        self.assertEqual(web.id, started['id'])
        self.assert_on(here, web)
        self.assertEqual([], self.migrations(web))

    def test_nothing_is_evacuated(self) -> None:
        here, _there = self.scene.host(ironic=True), self.scene.host()
        web = self.scene.server('web', on=here)
        self.scene.host_down(here)
        said = self.set_refused(here, '--evacuate', '--fenced')
        self.assertIn(f'{here} is a host of Ironic', said)
        self.assert_untouched(here)
        self.assert_on(here, web)
        self.assertEqual([], self.migrations(web))


class TestPolicy(drains.DrainTestCase):
    """Who Nova lets do a part of it."""

    def test_an_operator_who_may_not_move_servers(self) -> None:
        here, _there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        told = self._as('operator', 'set', here, '--reason', 'kernel')
        self.assertEqual(
            ('maintenance', 'operator', {'ACTIVE': 1}),
            tuple(told[name] for name in ('state', 'set_by', 'servers')),
        )
        told = self._as(
            *('operator', 'set', here, '--migrate', 'all'),
            code=drains.Exit.STAYED,
        )
        # what he may not ask is named, and not guessed
        self.assertIn('Whether there is room is not known', self.said)
        (move,) = told['moves']
        self.assertEqual('failed', move['outcome'])
        # so Nova refuses what is another project's
        self.assertIn(f'Instance {web.id} could not be found', move['cause'])
        self.assert_on(here, web)
        self.assertEqual([], self.migrations(web))
        # an admin goes on with it, and Nova knows who did what
        drain = self.set_(here)
        self.assertEqual('moved', drain.outcome(web))
        self.assertIsNone(self._as('operator', 'show', here)['emptied'])
        self.assertIn('Placement cannot be asked', self.said)
        self.assertEqual('none', self._as('operator', 'unset', here)['state'])
        self.assert_untouched(here)

    def test_an_operator_may_not_undo_what_an_admin_did(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        pet = self.scene.server('pet', on=here)
        wish = {'metadata': {'maintenance:policy': 'stop'}}
        self.admin.post('compute', f'/servers/{pet.id}/metadata', wish)
        self.set_(here, '--migrate', 'all', '--notify-owners')
        self.assert_on(there, web)
        said = self.refused(
            *('host', 'maintenance', 'unset', here),
            cloud='operator',
            code=drains.Exit.REFUSED,
        )
        self.assertIn('lets only an admin start', said)
        self.assertIn(f'pet ({pet.id})', said)
        self.assertIn('--force', said)
        self.assertEqual('maintenance', self.shown(here)['state'])
        # none of it is lost
        told = self._as(
            *('operator', 'unset', here, '--force'), code=drains.Exit.STAYED
        )
        self.assertEqual('none', told['state'])
        (row,) = told['started']
        self.assertEqual(
            (pet.id, 'left stopped: Nova lets only an admin start it'),
            (row['id'], row['cause']),
        )
        self.assertIn('an admin can remove its notice', self.said)
        self.assertIn(pet.id, self.said)
        self.assert_on(here, pet, 'SHUTOFF')

    def test_a_doorkeeper_who_may_not_see_servers(self) -> None:
        here = self.scene.host()
        # it is done, and not said to have failed
        for verb, status in (('set', 'disabled'), ('unset', 'enabled')):
            said = self.refused(
                *('host', 'maintenance', verb, here), cloud='doorkeeper'
            )
            self.assertIn('This is done, but', said)
            self.assertIn('os-migrations:index', said)
            self.assertEqual(status, self.service(here)[0])
        self.assert_untouched(here)
        said = self.refused(
            *('host', 'maintenance', 'set', here, '--migrate', 'all'),
            cloud='doorkeeper',
        )
        self.assertNotIn('This is done', said)
        self.assert_untouched(here)

    def test_a_clerk_who_may_not_disable_services(self) -> None:
        here = self.scene.host()
        self.set_service(here, 'disabled', 'broken NIC')
        kernel, disk = (('--reason', word) for word in ('kernel', 'disk'))
        # a plan is a record, and no more
        planned = ('--start', '2126-01-01')
        told = self._as('clerk', 'set', here, *kernel, *planned)
        self.assertEqual(('planned', 'clerk'), (told['state'], told['set_by']))
        self.assertEqual(
            'disk', self._as('clerk', 'set', here, *disk)['reason']
        )
        self.assertEqual('none', self._as('clerk', 'unset', here)['state'])
        self.assertIsNone(self.aggregate(here))
        # with more he begins, which does no harm, and can undo it
        self._refused_to_update(here, 'set', *kernel)
        shown = self.shown(here)
        self.assertEqual('error', shown['state'])
        self.assertIn('set or unset was interrupted', shown['cause'])
        self.assertEqual('none', self._as('clerk', 'unset', here)['state'])
        self.assertEqual(('disabled', 'broken NIC'), self.service(here))
        self.assertIsNone(self.aggregate(here))
        # what an admin has done he cannot end, and loses nothing of it
        self._refused_to_update(here, 'set', *kernel)
        self.assertEqual('maintenance', self.maintenance('set', here)['state'])
        self._refused_to_update(here, 'unset')
        shown = self.shown(here)
        self.assertEqual(
            ('maintenance', 'kernel'), (shown['state'], shown['reason'])
        )
        self.assertEqual('none', self.maintenance('unset', here)['state'])
        self.assertEqual(('disabled', 'broken NIC'), self.service(here))
        self.assertIsNone(self.aggregate(here))

    def _refused_to_update(self, here: str, verb: str, *options: str) -> None:
        """A clerk is told what Nova does not let him do."""
        said = self.refused(
            *('host', 'maintenance', verb, here, *options), cloud='clerk'
        )
        self.assertIn(f'Compute service of {here}: Policy', said)
        self.assertIn('os-services:update', said)

    def test_an_admin_of_the_system(self) -> None:
        # Nova's policy wants a project; it says so itself
        here = self.scene.host()
        for command in (
            *(('set', here), ('show', here), ('unset', here)),
            *(('list',), ('apply',)),
        ):
            said = self.refused(
                *('host', 'maintenance', *command), cloud='admin-system'
            )
            self.assertIn('os-services:list', said)
            self.assertIn('(HTTP 403)', said)
        self.assert_untouched(here)

    def _as(
        self,
        cloud: str,
        verb: str,
        here: str,
        *options: str,
        code: drains.Exit = drains.Exit.DONE,
    ) -> base.Json:
        """What a command of somebody's answers."""
        answer = self.run_openstack(
            *('host', 'maintenance', verb, here, *options, '-f', 'json'),
            cloud=cloud,
        )
        self.assertEqual(code, answer.code, str(answer))
        self.said = answer.stderr
        told: base.Json = json.loads(answer.stdout)
        return told


class TestCells(drains.DrainTestCase):
    """Several cells, and one of them does not answer."""

    def setUp(self) -> None:
        super().setUp()
        # all of Nova's lists are partial meanwhile
        self.alone()

    def _lose(self, host: str) -> None:
        self.addCleanup(self.cloud.control.cell_up, host)
        self.cloud.control.cell_down(host)

    def test_one_is_down(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        lost = self.scene.host('lost')
        self.scene.server('far', on=lost)
        self._lose(lost)

        said = self.refused(
            'host', 'maintenance', 'set', lost, code=drains.Exit.REFUSED
        )
        self.assertIn(f'the cell of {lost} is down', said)
        shown = json.loads(
            self.openstack(
                *('host', 'maintenance', 'show', lost, '-f', 'json'),
                says='its cell is down',
            )
        )
        # nothing is known, and nothing said to be so
        self.assertEqual(
            ('UNKNOWN', None, None, None),
            tuple(
                shown[name]
                for name in (
                    *('service_status', 'servers'),
                    *('migrations_out', 'emptied'),
                )
            ),
        )

        # the others are worked on as ever
        drain = self.set_(
            here, '--migrate', 'all', '--notify-owners', '--reason', 'kernel'
        )
        self.assert_moved_once(drain, web, there)
        self.assert_drained(self.shown(here))
        states = {row['host']: row['state'] for row in self.rows('list')}
        self.assertEqual('maintenance', states[here])
        # Nova lists no hypervisors then, and says so itself
        self.maintenance('unset', here, says='Hypervisors of')
        self.assert_untouched(here)

    def test_one_is_lost_with_a_host_in_maintenance(self) -> None:
        here = self.scene.host()
        self.scene.server('web', on=here)
        self.maintenance('set', here, '--reason', 'kernel')
        # apply would end it
        self.write_metadata(
            here,
            window_start='2026-01-01T00:00:00Z',
            window_end='2026-01-01T02:00:00Z',
        )
        before, aggregate = self.shown(here), self.aggregate(here)
        self.assertEqual(
            ('maintenance', True, {'ACTIVE': 1}, False),
            tuple(
                before[name]
                for name in ('state', 'overdue', 'servers', 'emptied')
            ),
        )
        self._lose(here)

        shown = self.maintenance('show', here, says='its cell is down')
        self.assertEqual('UNKNOWN', shown['service_status'])
        self.assertEqual('error', shown['state'])
        self.assertIn('its cell is down', shown['cause'])
        # what only the cell knows is not known
        unknown = (
            *('service_state', 'disabled_reason', 'servers', 'emptied'),
            *('migrations_out', 'migrations_in', 'unconfirmed_resizes'),
        )
        self.assertEqual(
            dict.fromkeys(unknown), {name: shown[name] for name in unknown}
        )
        # the record is in no cell
        differ = {*unknown, 'state', 'cause', 'service_status'}
        self.assertEqual(
            {k: v for k, v in before.items() if k not in differ},
            {k: v for k, v in shown.items() if k not in differ},
        )
        (row,) = self.rows('list')
        self.assertEqual(
            (here, 'error', 'kernel', True, shown['cause']),
            tuple(
                row[name]
                for name in ('host', 'state', 'reason', 'overdue', 'cause')
            ),
        )
        answer = self.run_openstack(
            *('host', 'maintenance', 'apply', '--unset-overdue'),
            *('-f', 'json'),
        )
        self.assertEqual(drains.Exit.ERROR, answer.code, str(answer))
        self.assertIn(f'1 of 1 hosts failed: {here}', answer.stderr)
        (row,) = json.loads(answer.stdout)
        self.assertEqual(
            (here, 'failed', False),
            (row['host'], row['action'], row['changed']),
        )
        self.assertIn(f'the cell of {here} is down', row['cause'])
        for command in (
            ('unset', here),
            ('unset', here, '--force'),
            ('set', here, '--reason', 'another'),
        ):
            said = self.refused(
                *('host', 'maintenance', *command), code=drains.Exit.REFUSED
            )
            self.assertIn(f'the cell of {here} is down', said)
        self.assertEqual(aggregate, self.aggregate(here))

        self.cloud.control.cell_up(here)
        self.assertEqual(before, self.shown(here))
        (row,) = self.rows('list')
        self.assertEqual('maintenance', row['state'])
        (row,) = self.rows('apply', '--unset-overdue')
        self.assertEqual('unset', row['action'])
        self.assert_untouched(here)
