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

"""Owners reply, and the drain makes of it what the operator has said."""

import json

from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import drains
from osc_maintenance.tests.functional import owners

_PROPERTY = 'maintenance:reply'


class TestReplies(owners.OwnersTestCase):
    def plan(self, *options: str) -> drains.Json:
        """Plan to empty the host, and ask the owners."""
        return self.maintenance(
            *('set', self.here, '--start', '+1h', '--duration', '2h'),
            *('--migrate', 'all', '--notify-owners', *options),
        )

    def test_everybody_has_a_say(self) -> None:
        ready, kept, mine, busy, pet = self.scene.servers(
            ['ready', 'kept', 'mine', 'busy', 'pet'], on=self.here
        )
        silent = self.scene.server('silent', on=self.here, project='beta')
        everybody = (ready, kept, mine, busy, pet, silent)
        self.wish(pet, 'stop')

        planned = self.plan('--owner-replies', 'wait')

        self.assertEqual(
            ('wait', planned['window_start'], []),
            tuple(
                planned[name]
                for name in ('owner_replies', 'reply_by', 'untold')
            ),
        )
        self.assertEqual(
            [*['live-migrate'] * 4, 'stop', 'live-migrate'],
            self.actions(*everybody),
        )
        seen = self.seen_by_guest(busy)
        self.assertEqual(
            (planned['reply_by'], 'move keep own-action not-ready'),
            (seen['maintenance:reply_by'], seen['maintenance:replies']),
        )

        # who may not change a server may not reply for it
        for cloud, words in (
            ('alpha-reader', 'HTTP 403'),
            ('beta-member', 'There is no server'),
        ):
            said = self.refused(*owners.ACKNOWLEDGE, ready.id, cloud=cloud)
            self.assertIn(words, said)
        self.assertNotIn(_PROPERTY, self.metadata(ready))

        self.assertEqual('move', self.reply(ready)['reply'])
        self.reply(kept, '--keep')
        self.reply(mine, '--own-action')
        told = self.reply(busy, '--not-ready', '--reason', 'a release')
        self.assertEqual(
            ('a release', True), (told['reply_reason'], told['changed'])
        )
        again = self.reply(busy, '--not-ready', '--reason', 'a release')
        self.assertIs(False, again['changed'])
        row = self.listed('alpha-reader', '--long')[busy.id]
        self.assertEqual(
            ('not-ready', 'a release'), (row['reply'], row['reply_reason'])
        )
        self.assertGreater(row['seconds_until_reply_by'], 3000)

        shown = self.maintenance('show', self.here, '--owners')
        self.assertEqual('planned', shown['state'])
        of_beta = self.server(silent)['tenant_id']
        rows = {row['project']: row for row in shown['owners']}
        self.assertEqual(
            (1, 1, 0),
            tuple(rows[of_beta][n] for n in ('servers', 'told', 'replied')),
        )
        of_alpha = rows[self.server(ready)['tenant_id']]
        self.assertEqual(
            {'move': 1, 'keep': 1, 'own-action': 1, 'not-ready': 1},
            of_alpha['replies'],
        )
        self.assertEqual({'stop': 1}, of_alpha['policies'])
        self.assertEqual(
            [{'id': busy.id, 'name': 'busy', 'reason': 'a release'}],
            of_alpha['not_ready'],
        )
        words = self.openstack(
            'host', 'maintenance', 'show', self.here, '--owners'
        )
        self.assertIn('not ready: a release', words)

        # before the time is over those go that may
        drain = self.set_(
            *(self.here, '--now', '--no-wait'), code=drains.Exit.OWNERS
        )
        waiting = (mine, busy, silent)
        self.assertEqual(
            ['blocked'] * 3, [drain.outcome(server) for server in waiting]
        )
        self.at_rest(ready)
        self.assert_on(self.there, ready)
        shown = self.shown_at_last(self.here)
        self.assertEqual('migrating', shown['state'], str(shown))
        for server, why in (
            (mine, 'takes care of it'),
            (busy, 'not ready (a release)'),
            (silent, 'no reply yet'),
        ):
            self.assertIn(f'{server.name} ({server.id})', shown['cause'])
            self.assertIn(why, shown['cause'])

        # and all others when it is
        drain = self.set_(self.here, '--reply-by', '40s')
        self.assertIn('waiting for their owners', drain.stderr)
        for server in waiting:
            self.assert_moved_once(drain, server, self.there)
        shown = self.shown(self.here)
        self.assertEqual('maintenance', shown['state'])
        self.assertIs(False, shown['emptied'])
        self.assertIn(f'kept by the owners: kept ({kept.id})', shown['cause'])
        self.assertIn(f'pet ({pet.id})', shown['cause'])
        self.assert_on(self.here, kept)
        self.assert_on(self.here, pet, 'SHUTOFF')
        # that is over, for whoever has moved as well
        said = self.refused(
            *(*owners.ACKNOWLEDGE, kept.id, '--move'),
            cloud='alpha-member',
            code=drains.Exit.REFUSED,
        )
        self.assertIn('count no more', said)
        self.assertEqual({}, self.metadata(ready))

        told = self.maintenance('unset', self.here)
        self.assertEqual(
            [{'id': pet.id, 'name': 'pet', 'cause': None}], told['started']
        )
        self.assert_on(self.here, pet)
        for server in everybody:
            left = {'maintenance:policy': 'stop'} if server is pet else {}
            self.assertEqual(left, self.metadata(server))
        self.assert_untouched(self.here)

    def test_no_server_goes_unasked(self) -> None:
        ready, silent, forged = self.scene.servers(
            ['ready', 'silent', 'forged'], on=self.here
        )
        planned = self.plan('--owner-replies', 'require')
        self.reply(ready)
        # an old one, and none that anybody knows
        for server, value in (
            (forged, f'{planned["id"]} move!'),
            (silent, 'ffffffff move'),
        ):
            self.openstack(
                *('server', 'set', '--property', f'{_PROPERTY}={value}'),
                server.id,
                cloud='alpha-member',
            )
        would = self.verdicts(
            'set', self.here, '--now', '--dry-run', code=drains.Exit.OWNERS
        )
        self.assertIn('is not understood', would[forged.id]['cause'])
        drain = self.set_(self.here, '--now', code=drains.Exit.OWNERS)
        self.assert_moved_once(drain, ready, self.there)
        for server in (silent, forged):
            self.assertEqual('blocked', drain.outcome(server))
            self.assert_on(self.here, server)
        self.assertEqual('error', drain.told['state'])
        self.assertIn('no reply yet', drain.told['cause'])

        # the operator may go on without them
        drain = self.set_(self.here, '--owner-replies', 'ignore')
        for server in (silent, forged):
            self.assert_moved_once(drain, server, self.there)
        self.assert_drained(drain.told)

    def test_apply_waits_for_a_reply(self) -> None:
        self.alone()
        web = self.scene.server('web', on=self.here)
        self.plan('--owner-replies', 'require', '--reply-by', '+2h')
        self.write_metadata(self.here, window_start='2026-01-01T00:00:00Z')
        (row,) = self.rows('apply')
        self.assertEqual('entered', row['action'])
        self.rows('apply')
        self.assert_on(self.here, web)
        shown = self.shown(self.here)
        self.assertEqual('migrating', shown['state'])
        self.assertIn('no reply yet', shown['cause'])
        self.reply(web)
        told = []

        def run() -> bool:
            found = self.rows('apply')
            told.append(found[0]['action'] if found else None)
            return not found

        operations.wait_for('apply has nothing to do', run, forked.SECONDS)
        self.assertEqual('drained', told[-2])
        self.assert_on(self.there, web)
        self.assert_drained(self.shown(self.here))

    def test_the_manager_of_a_project(self) -> None:
        name = f'web-{self.scene.name}'
        web = self.scene.server(name, on=self.here)
        other = self.scene.server('other', on=self.here, project='beta')
        planned = self.plan('--owner-replies', 'require', '--reply-by', '+2h')
        rows = self.listed('alpha-manager')
        self.assertEqual('live-migrate', rows[web.id]['action'])
        self.assertNotIn(other.id, rows)
        shown = json.loads(
            self.openstack(
                *(*owners.SHOW, name, '-f', 'json'), cloud='alpha-manager'
            )
        )
        self.assertEqual(
            (web.id, planned['window_start'], None),
            tuple(shown[name] for name in ('id', 'window_start', 'reply')),
        )
        told = self.reply(web, '--keep', cloud='alpha-manager')
        self.assertEqual(('keep', True), (told['reply'], told['changed']))
        self.assertEqual(
            f'{planned["id"]} keep', self.metadata(web)[_PROPERTY]
        )
        for command in (owners.SHOW, owners.ACKNOWLEDGE):
            said = self.refused(*command, other.id, cloud='alpha-manager')
            self.assertIn('There is no server', said)
        self.assertNotIn(_PROPERTY, self.metadata(other))
        # who is no admin sees no other project, whoever asks
        said = self.refused(
            *owners.LIST, '--all-projects', cloud='alpha-manager'
        )
        self.assertIn('(HTTP 403)', said)

    def test_what_makes_no_sense(self) -> None:
        for options, words in (
            (('--owner-replies', 'wait'), '--notify-owners'),
            (('--reply-by', '2h'), '--owner-replies'),
            (
                ('--owner-replies', 'wait', '--notify-owners'),
                '--reply-by',
            ),
        ):
            said = self.set_refused(self.here, *options)
            self.assertIn(words, said)
            self.assertIn(self.here, said)


class TestStop(owners.OwnersTestCase):
    def test_what_cannot_be_moved(self) -> None:
        here, there = (self.scene.host(gpus=1) for _ in range(2))
        gpu = self.scene.flavor({'pci_passthrough:alias': 'gpu:1'})
        web = self.scene.server('web', on=here)
        pinned = self.scene.server('pinned', on=here, flavor=gpu)
        would = self.verdicts(
            *('set', here, '--migrate', 'all', '--stop-unmovable'),
            '--dry-run',
        )
        self.assertEqual('stop', would[pinned.id]['verdict'])
        self.assertIn('PCI device', would[pinned.id]['cause'])

        drain = self.set_(here, '--migrate', 'all', '--stop-unmovable')

        self.assert_on(here, pinned, 'SHUTOFF')
        self.assertEqual('stopped', drain.outcome(pinned))
        self.assertEqual('moved', drain.outcome(web))
        self.assertIn('is being stopped', drain.stderr)
        self.assertEqual('maintenance', drain.told['state'])
        again = self.set_(here)
        self.assertIs(False, again.told['changed'])
        self.assertEqual('left', again.outcome(pinned))

        # nova-compute has to be back
        self.scene.host_down(here)
        said = self.refused(
            'host', 'maintenance', 'unset', here, code=drains.Exit.REFUSED
        )
        self.assertIn(pinned.id, said)
        self.scene.host_up(here)
        told = self.maintenance('unset', here)
        self.assertEqual([pinned.id], [row['id'] for row in told['started']])
        self.assert_on(here, pinned)
        self.assert_untouched(here)
        self.assertNotEqual(there, here)

    def test_it_is_as_its_owner_has_left_it(self) -> None:
        left, started = self.scene.servers(['left', 'started'], on=self.here)
        for server in (left, started):
            self.wish(server, 'stop')
        self.set_(self.here, '--migrate', 'all')
        for verb, server, status in (
            ('start', left, 'ACTIVE'),
            ('start', started, 'ACTIVE'),
            ('stop', left, 'SHUTOFF'),
        ):
            self.openstack('server', verb, server.id, cloud='alpha-member')
            self.scene.wait_for_server(server, status)
        told = self.maintenance(
            'unset',
            self.here,
            says=f'{self.here}: 1 server left stopped, each started or '
            f'stopped by somebody else since: {left.name} ({left.id})\n',
        )
        self.assertEqual([], told['started'])
        self.assert_on(self.here, left, 'SHUTOFF')
        self.assert_on(self.here, started)

    def test_it_cannot_be_started(self) -> None:
        pet = self.scene.server('pet', on=self.here)
        self.wish(pet, 'stop')
        self.set_(self.here, '--migrate', 'all')
        self.scene.host_down(self.here)
        answer = self.run_openstack(
            *('host', 'maintenance', 'unset', self.here, '--force'),
            *('-f', 'json'),
        )
        self.assertEqual(drains.Exit.STAYED, answer.code, str(answer))
        (row,) = json.loads(answer.stdout)['started']
        self.assertEqual(pet.id, row['id'])
        self.assertIn('is down', row['cause'])
        self.assertIn(pet.id, answer.stderr)
        self.scene.host_up(self.here)
        self.assert_on(self.here, pet, 'SHUTOFF')

    def killed_at(self, write: int, *command: str) -> bool:
        """Kill a command at one of its writes; whether it came to that."""
        made, environ = self.proxied()
        going = self.start(*command, environ=environ)

        def die(_method: str, _path: str) -> None:
            if len(made.writes) >= write:
                going.kill()
                raise ConnectionError

        made.before = die
        code = going.end().code
        # what is said to owners goes side by side: some may be on its way
        made.settle()
        return code != 0

    def test_killed_in_between(self) -> None:
        pet = self.scene.server('pet', on=self.here)
        mine = self.scene.server('mine', on=self.here, status='SHUTOFF')
        self.wish(pet, 'stop')
        enter = (self.here, '--migrate', 'active')
        write, more = 1, True
        while more:
            more = self.killed_at(write, 'host', 'maintenance', 'set', *enter)
            self.at_rest(pet)
            self.set_(*enter)
            self.assert_on(self.here, pet, 'SHUTOFF')
            again = self.killed_at(
                write, 'host', 'maintenance', 'unset', self.here
            )
            more = more or again
            self.at_rest(pet)
            if again:
                self.openstack(
                    'host', 'maintenance', 'unset', self.here, '-f', 'json'
                )
            self.assert_on(self.here, pet)
            self.assert_on(self.here, mine, 'SHUTOFF')
            self.assert_untouched(self.here)
            write += 1
        self.assertGreater(write, 4)
