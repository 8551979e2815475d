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

"""Which servers are chosen, and what is refused before any write."""

from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.functional import drains

Exit = drains.Exit
_ALL = ('--migrate', 'all')


class TestChosen(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()

    def _project(self, name: str) -> str:
        (found,) = self.admin.get('identity', f'/projects?name={name}')[
            'projects'
        ]
        number: str = found['id']
        return number

    def _assert_verdicts(
        self, *options: str, go: set[scene.Server], stay: set[scene.Server]
    ) -> None:
        told = self.verdicts('set', self.here, *_ALL, *options, '--dry-run')
        for server in go:
            self.assertEqual('live-migrate', told[server.id]['verdict'])
        for server in stay:
            self.assertEqual('leave', told[server.id]['verdict'])
            self.assertTrue(told[server.id]['cause'])
        self.assertEqual(len(go | stay), len(told))

    def test_by_name_and_id(self) -> None:
        web = self.scene.server('web', on=self.here)
        db = self.scene.server('db', on=self.here)
        other = self.scene.server('other', on=self.here, project='beta')
        alpha, beta = self._project('alpha'), self._project('beta')
        for options, go in (
            (('--server', 'web'), {web}),
            (('--server', web.id, '--server', 'db'), {web, db}),
            (('--exclude-server', 'web'), {db, other}),
            (('--exclude-server', web.id, '--exclude-server', 'db'), {other}),
            (('--project', 'alpha'), {web, db}),
            (('--project', beta), {other}),
            (('--project', 'alpha', '--project', 'beta'), {web, db, other}),
            (('--project', alpha, '--exclude-server', 'db'), {web}),
            (('--project', 'beta', '--server', 'web'), set[scene.Server]()),
            (('--project', 'service'), set[scene.Server]()),
        ):
            self._assert_verdicts(*options, go=go, stay={web, db, other} - go)
        self.assert_untouched(self.here)

    def test_unknown_and_ambiguous(self) -> None:
        self.scene.server('web', on=self.there)
        two = self.scene.servers(['db', 'db'], on=self.here)
        self.scene.server('other', on=self.here, project='beta')
        for options, words in (
            (('--server', 'web'), f'no server web on {self.here}'),
            (('--server', 'other', '--server', 'x'), 'no server x on'),
            (('--exclude-server', 'w%b'), 'no server w%b on'),
            (('--project', 'gamma'), 'no project gamma'),
            (('--project', '..'), 'no project ..'),
            (('--project', '../users'), 'no project ../users'),
            (('--target-host', 'nosuch', '--exclude-server', 'other'), 'nos'),
            (('--server', 'db'), '2 servers on'),
        ):
            said = self.set_refused(self.here, *_ALL, *options)
            self.assertIn(words, said)
        for server in two:
            self.assertIn(server.id, said)
        self.assert_untouched(self.here)

    def test_what_does_not_go_together(self) -> None:
        for options in (
            ('--server', 'web'),
            ('--project', 'alpha'),
            ('--exclude-server', 'web'),
            ('--include-locked',),
            ('--include-pinned',),
            ('--target-host', self.there),
            ('--migrate', 'none', '--server', 'web'),
            ('--migrate', 'some'),
            (*_ALL, '--max-parallel', '0'),
            (*_ALL, '--max-parallel', 'x'),
            (*_ALL, '--retries', '-1'),
            (*_ALL, '--server-timeout', '5'),
            (*_ALL, '--on-timeout', 'panic'),
            (*_ALL, '--timeout', 'soon'),
            (*_ALL, '--wait', '--no-wait'),
            (*_ALL, '--target-host', ''),
            (*_ALL, '--project', ''),
            (*_ALL, '--server', ' '),
            (*_ALL, '--exclude-server', ''),
        ):
            said = self.set_refused(self.here, *options, code=Exit.USAGE)
            self.assertIn(options[0 if len(options) < 3 else 2], said)
        self.assert_untouched(self.here)

    def test_recorded_and_resumed(self) -> None:
        web = self.scene.server('web', on=self.here)
        db = self.scene.server('db', on=self.here)
        other = self.scene.server('other', on=self.here, project='beta')
        self.scene.migration_of(self.there, fails='pre')
        drain = self.set_(
            *(self.here, *_ALL, '--project', 'alpha'),
            *('--exclude-server', 'db', '--retries', '0'),
            code=Exit.STAYED,
        )
        self.assertEqual('failed', drain.outcome(web))
        self.at_rest(web)
        shown = self.shown(self.here)
        self.assertEqual('error', shown['state'])
        self.assertIn('1 server left', shown['cause'])
        told = self.verdicts('show', self.here, '--servers')
        self.assertEqual(
            ['live-migrate', 'leave', 'leave'],
            [told[server.id]['verdict'] for server in (web, db, other)],
        )
        self.scene.migration_of(self.there)

        drain = self.set_(self.here, '--reason', 'kernel')

        self.assert_on(self.there, web)
        for server in (db, other):
            self.assert_on(self.here, server)
            self.assertEqual([], self.migrations(server))
            self.assertEqual('left', drain.outcome(server))
        self.assertEqual(
            ('maintenance', 'kernel', False),
            (
                drain.told['state'],
                drain.told['reason'],
                drain.told['emptied'],
            ),
        )
        # said anew, all of them is meant
        drain = self.set_(self.here, *_ALL)
        self.assert_drained(drain.told)

    def test_the_same_command_twice(self) -> None:
        web = self.scene.server('web', on=self.here)
        for number, named in enumerate(('web', web.id), start=1):
            options = (*_ALL, '--server', named)
            drain = self.set_(self.here, *options)
            self.assertEqual('moved', drain.outcome(web))
            again = self.set_(self.here, *options)
            self.assertEqual(
                (False, []), (again.told['changed'], again.told['moves'])
            )
            self.assert_on(self.there, web)
            self.assertEqual(['completed'] * number, self.statuses(web))
            self.maintenance('unset', self.here)
            self.here, self.there = self.there, self.here


class TestRefused(drains.DrainTestCase):
    def test_a_target_that_cannot_be(self) -> None:
        here, off, gone = (self.scene.host() for _ in range(3))
        self.scene.server('web', on=here)
        self.set_service(off, 'disabled', 'broken NIC')
        self.scene.host_down(gone)
        never, later = ((), ('--dry-run',), ('--start', '+4h')), ((),)
        for target, words, when in (
            (off, 'is disabled (broken NIC)', later),
            (gone, 'its nova-compute is down', later),
            (f'{off}x', f"no compute service on host '{off}x'", never),
            (here, 'is the host that is to be emptied', never),
        ):
            for more in when:
                said = self.set_refused(
                    here, *_ALL, '--target-host', target, *more
                )
                self.assertIn(words, said)
                self.assertIn(f'--target-host {target}', said)
        self.assert_untouched(here)

    def test_a_source_that_is_down(self) -> None:
        here, _there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        self.scene.host_down(here)
        for options in (_ALL, ('--migrate', 'active')):
            said = self.set_refused(here, *options)
            self.assertIn(f'nova-compute on {here} is down', said)
            self.assertIn('--evacuate --fenced', said)
            self.assertIn('--migrate none', said)
        told = self.verdicts('show', here, '--servers')
        self.assertEqual('blocked', told[web.id]['verdict'])
        self.assertIn('is down', told[web.id]['cause'])
        told = self.maintenance('set', here, '--migrate', 'none')
        self.assertEqual(
            ('maintenance', 'down'), (told['state'], told['service_state'])
        )
        self.assertEqual([], self.migrations(web))

    def test_strict_on_a_planned_host(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        bad = self.scene.server('bad', on=here, status='SUSPENDED')
        web = self.scene.server('web', on=here)
        self.maintenance('set', here, '--start', '+4h', *_ALL)
        said = self.set_refused(here, '--now', '--strict')
        self.assertIn(f'bad ({bad.id}): is suspended', said)
        self.assertEqual('planned', self.shown(here)['state'])
        self.assertEqual([], self.migrations(web))
        self.act(bad, 'resume')
        self.scene.wait_for_server(bad, 'ACTIVE')
        drain = self.set_(here, '--now', '--strict')
        self.assert_drained(drain.told)
        self.assert_moved_once(drain, web, there)

    def test_a_dry_run_writes_nothing(self) -> None:
        here, _there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        before, environ = self.proxied()
        for options in (_ALL, (*_ALL, '--start', '+4h'), (), ('--now',)):
            answer = self.run_openstack(
                *('host', 'maintenance', 'set', here, *options, '--dry-run'),
                *('-f', 'json'),
                environ=environ,
            )
            self.assertEqual(Exit.DONE, answer.code, str(answer))
        self.assertEqual([], before.writes)
        self.assert_untouched(here)
        self.assertEqual([], self.migrations(web))
