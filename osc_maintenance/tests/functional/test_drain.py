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

"""Servers leave a host, and the host comes back."""

from osc_maintenance.tests.functional import drains


class TestDrain(drains.DrainTestCase):
    def test_all_leave_and_stay_what_they_were(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        db = self.scene.server('db', on=here, project='beta')
        paused = self.scene.server('paused', on=here, status='PAUSED')
        off = self.scene.server(
            'off', on=here, project='beta', status='SHUTOFF'
        )
        staying = self.scene.server('staying', on=there)

        drain = self.set_(here, '--migrate', 'all')

        self.assert_drained(drain.told)
        self.assertTrue(drain.told['changed'])
        self.assertEqual('all', drain.told['migrate'])
        self.assertEqual(4, len(drain.told['moves']))
        for server, status in (
            (web, 'ACTIVE'),
            (db, 'ACTIVE'),
            (paused, 'PAUSED'),
            (off, 'SHUTOFF'),
        ):
            self.assert_moved_once(drain, server, there, status)
            self.assertIn(f'{server.name} ({server.id})', drain.stderr)
        self.assertEqual([], self.migrations(staying))
        first = drain.stderr.splitlines()[0]
        self.assertIn(
            f'{here}: 4 servers to move (', first, 'the plan comes first'
        )
        self.assertIn('3 live-migrate', first)
        self.assertIn('1 cold-migrate', first)
        self.assertIn('Ctrl-C', drain.stderr.splitlines()[1])
        for line in drain.stderr.splitlines():
            self.assertRegex(line, rf'^\d{{4}}-\d\d-\d\dT.*Z {here}: ')

        again = self.set_(here, '--migrate', 'all')
        self.assertFalse(again.told['changed'])
        self.assertEqual([], again.told['moves'])
        again = self.set_(here)
        self.assertFalse(again.told['changed'])
        self.assertEqual(
            ('all', 'maintenance'),
            (again.told['migrate'], again.told['state']),
        )
        shown = self.shown(here)
        self.assert_drained(shown)

        told = self.maintenance('unset', here)
        self.assertEqual(('none', True), (told['state'], told['changed']))
        self.assert_untouched(here)
        for server in (web, db, paused, off):
            self.assertEqual(1, len(self.migrations(server)))

    def test_active_leaves_the_stopped_ones(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        paused = self.scene.server('paused', on=here, status='PAUSED')
        off = self.scene.server('off', on=here, status='SHUTOFF')

        drain = self.set_(here, '--migrate', 'active')

        self.assert_moved_once(drain, web, there)
        self.assert_moved_once(drain, paused, there, 'PAUSED')
        self.assert_on(here, off, 'SHUTOFF')
        self.assertEqual([], self.migrations(off))
        move = drain.of(off)
        self.assertEqual(('leave', 'left'), (move['verdict'], move['outcome']))
        self.assertIn('SHUTOFF', move['cause'])
        for told in (drain.told, self.shown(here)):
            self.assertEqual(
                ('maintenance', None, False, {'SHUTOFF': 1}),
                (
                    told['state'],
                    told['cause'],
                    told['emptied'],
                    told['servers'],
                ),
            )
        again = self.set_(here)
        self.assertFalse(again.told['changed'])
        self.assertEqual('active', again.told['migrate'])
        # and then those as well
        drain = self.set_(here, '--migrate', 'all')
        self.assertTrue(drain.told['changed'])
        self.assert_moved_once(drain, off, there, 'SHUTOFF')
        self.assert_drained(drain.told)

    def test_none_touches_no_server(self) -> None:
        here, _there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        off = self.scene.server('off', on=here, status='SHUTOFF')
        for options in ((), ('--migrate', 'none')):
            told = self.maintenance('set', here, *options)
            self.assertEqual(
                ('maintenance', 'none', False),
                (told['state'], told['migrate'], told['emptied']),
            )
            self.assertNotIn('moves', told)
        for server in (web, off):
            self.assertEqual([], self.migrations(server))

    def test_none_gives_up_what_was_asked_for(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        self.scene.migration_of(there, fails='pre')
        self.set_(
            here, '--migrate', 'all', '--retries', '0', code=drains.Exit.STAYED
        )
        self.at_rest(web)
        self.assertEqual('error', self.shown(here)['state'])
        told = self.maintenance('set', here, '--migrate', 'none')
        self.assertEqual(
            ('maintenance', 'none'), (told['state'], told['migrate'])
        )
        self.scene.migration_of(there)
        self.maintenance('set', here)
        self.assertEqual(1, len(self.migrations(web)))

    def test_an_empty_host(self) -> None:
        here = self.scene.host()
        drain = self.set_(here, '--migrate', 'all')
        self.assert_drained(drain.told)
        self.assertEqual([], drain.told['moves'])
        self.assertIn('no server to move', drain.stderr)

    def test_a_planned_host_is_drained_when_it_is_entered(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        off = self.scene.server('off', on=here, status='SHUTOFF')
        told = self.maintenance(
            *('set', here, '--start', '+4h', '--migrate', 'all')
        )
        self.assertEqual(
            ('planned', 'all', True),
            (told['state'], told['migrate'], told['changed']),
        )
        self.assertNotIn('moves', told)
        self.assertEqual(('enabled', None), self.service(here))
        told = self.maintenance('set', here)
        self.assertEqual(('planned', False), (told['state'], told['changed']))
        for server in (web, off):
            self.assertEqual([], self.migrations(server))

        drain = self.set_(here, '--now')

        self.assert_drained(drain.told)
        self.assert_moved_once(drain, web, there)
        self.assert_moved_once(drain, off, there, 'SHUTOFF')

    def test_a_target_host(self) -> None:
        here, there, other = (self.scene.host() for _ in range(3))
        web = self.scene.server('web', on=here)
        off = self.scene.server('off', on=here, status='SHUTOFF')
        drain = self.set_(here, '--migrate', 'all', '--target-host', other)
        self.assert_moved_once(drain, web, other)
        self.assert_moved_once(drain, off, other, 'SHUTOFF')
        self.assertEqual({}, self.shown(there)['servers'])
        # an older drain is no hindrance to the way back
        self.maintenance('unset', here)
        drain = self.set_(other, '--migrate', 'all', '--target-host', here)
        self.assert_drained(drain.told)
        self.assert_on(here, web)
        self.assert_on(here, off, 'SHUTOFF')
        self.assertEqual('moved', drain.outcome(web))
        self.assertEqual(['confirmed'] * 2, self.statuses(off))
        # nor to another maintenance of the first host
        self.maintenance('unset', other)
        drain = self.set_(here, '--migrate', 'all', '--target-host', there)
        self.assert_drained(drain.told)
        self.assert_on(there, off, 'SHUTOFF')
        self.assertEqual(['completed'] * 3, self.statuses(web))

    def test_a_table_for_people(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        answer = self.run_openstack(
            *('host', 'maintenance', 'set', here, '--migrate', 'all')
        )
        self.assertEqual(0, answer.code)
        self.assertRegex(
            answer.stdout,
            rf'Moves +\| web \({web.id}\): moved to {there} in \d+s',
        )
