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

"""``set`` and ``unset`` where the owners of servers are told."""

import dataclasses
from unittest import mock

from osc_lib import exceptions

from osc_maintenance import clients as clients_
from osc_maintenance import compute
from osc_maintenance import notices
from osc_maintenance.nova import api
from osc_maintenance.osc import host_maintenance
from osc_maintenance.osc import host_maintenance_show
from osc_maintenance.osc import host_maintenance_unset
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit.osc import base
from osc_maintenance.tests.unit import scenes

SET = host_maintenance.SetHostMaintenance
SHOW = host_maintenance_show.ShowHostMaintenance
UNSET = host_maintenance_unset.UnsetHostMaintenance
NOTIFY = ('compute1', '--notify-owners')


class NotifyTestCase(base.TestCommand):
    def setUp(self) -> None:
        super().setUp()
        self.clients.nova.hosts = {'compute1': scenes.host()}
        self.web = scenes.server('web')
        self.clients.servers.loads['compute1'] = servers.Load(
            'compute1', (self.web,)
        )

    def action(self) -> str | None:
        """What the owner is told."""
        (found,) = self.clients.owned.all()
        return found.said.get('maintenance:action')


class TestNotify(NotifyTestCase):
    def test_they_are_told_until_it_is_over(self) -> None:
        told = self.run_command(SET, *NOTIFY)
        self.assertEqual(
            ('stay', True, []),
            (self.action(), told['notify_owners'], told['untold']),
        )
        self.assertIs(False, self.run_command(SET, *NOTIFY)['changed'])
        # it is recorded
        told = self.run_command(SET, 'compute1', '--reason', 'kernel')
        self.assertIs(True, told['notify_owners'])
        self.run_command(UNSET, 'compute1')
        self.assertIsNone(self.action())

    def test_they_are_not_told_unasked(self) -> None:
        told = self.run_command(SET, 'compute1')
        self.assertNotIn('untold', told)
        self.assertIs(False, told['notify_owners'])
        self.assertEqual([], self.clients.owned.writes)

    def test_they_are_told_what_is_planned(self) -> None:
        self.run_command(SET, *NOTIFY, '--start', '+1h', '--migrate', 'active')
        # the fake has no other host
        self.assertEqual('undecided', self.action())
        self.run_command(SET, 'compute1', '--no-notify-owners')
        self.assertIsNone(self.action())

    def test_one_cannot_be_told(self) -> None:
        refusal = exceptions.CommandError('web: HTTP 409')
        self.clients.owned.refusals['web-id'] = refusal
        told = self.run_command(SET, *NOTIFY)
        row = {'id': 'web-id', 'cause': 'web: HTTP 409'}
        self.assertEqual([row], told['untold'])
        self.assertIn('server web-id is not up to date', self.log.output)

    def test_nothing_is_removed_where_unset_refuses(self) -> None:
        self.run_command(SET, *NOTIFY)
        self.clients.nova.hosts['compute1'] = scenes.disabled_by_somebody(
            self.clients.nova.hosts['compute1']
        )
        self.refused(UNSET, 'compute1')
        self.assertEqual('stay', self.action())
        self.run_command(UNSET, 'compute1', '--force')
        self.assertIsNone(self.action())

    def test_one_of_both(self) -> None:
        said = self.usage_error(SET, *NOTIFY, '--no-notify-owners')
        self.assertIn('--no-notify-owners: not allowed with', said)


class TestReplies(NotifyTestCase):
    ASKED = (
        *(*NOTIFY, '--start', '+4h', '--migrate', 'all'),
        *('--owner-replies', 'wait'),
    )

    def reply(self, answer: str) -> None:
        """The owner replies."""
        (found,) = self.clients.owned.all()
        identity = found.said['maintenance:id']
        said = {'maintenance:reply': f'{identity} {answer}'}
        self.clients.owned.tell(found, said)

    def test_they_are_asked(self) -> None:
        told = self.run_command(SET, *self.ASKED)
        self.assertEqual(
            ('wait', '2026-11-20T10:00:00Z'),
            (told['owner_replies'], told['reply_by']),
        )
        (found,) = self.clients.owned.all()
        self.assertLessEqual(
            {
                'maintenance:reply_by': '2026-11-20T10:00:00Z',
                'maintenance:replies': 'move keep own-action not-ready',
            }.items(),
            found.said.items(),
        )
        for given in ('2h', '+2h', '2026-11-20T08:00:00Z'):
            told = self.run_command(SET, 'compute1', '--reply-by', given)
            self.assertEqual('2026-11-20T08:00:00Z', told['reply_by'])

    def test_a_reply_goes_with_the_notice(self) -> None:
        self.run_command(SET, *self.ASKED)
        self.reply('keep')
        self.run_command(SET, 'compute1', '--reason', 'kernel')
        # it is announced now
        self.assertEqual('stay', self.action())
        self.run_command(UNSET, 'compute1')
        (found,) = self.clients.owned.all()
        self.assertEqual({}, found.said)

    def test_who_replied_what(self) -> None:
        self.run_command(SET, *self.ASKED)
        self.reply('not-ready: a release')
        shown = self.run_command(SHOW, 'compute1', '--owners')
        (row,) = shown['owners']
        self.assertEqual(
            (1, 1, 1), (row['servers'], row['told'], row['replied'])
        )
        self.assertEqual('a release', row['not_ready'][0]['reason'])

    def test_it_would_wait_for_them(self) -> None:
        self.clients.nova.hosts['compute2'] = fakes.named(
            scenes.host(), 'compute2'
        )
        made, parsed = self.parsed(
            SET,
            *(*NOTIFY, '--migrate', 'all', '--owner-replies', 'wait'),
            *('--reply-by', '2h', '--dry-run'),
        )
        self.assertEqual(6, made.run(parsed))

    def test_usage(self) -> None:
        for given in ('soon', '0h', '-2h'):
            said = self.usage_error(SET, *self.ASKED, f'--reply-by={given}')
            self.assertIn('--reply-by', said)


class TestStopped(NotifyTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.pet = scenes.server(
            'pet', host='compute1', said={'maintenance:policy': 'stop'}
        )
        self.clients.servers.loads['compute1'] = servers.Load(
            'compute1', (self.pet,)
        )

    def status(self) -> str:
        (found,) = self.clients.owned.all()
        return found.status

    def test_there_and_back(self) -> None:
        told = self.run_command(SET, 'compute1', '--migrate', 'all')
        self.assertEqual('stopped', told['moves'][0]['outcome'])
        self.assertEqual('maintenance', told['state'])
        self.assertEqual('SHUTOFF', self.status())
        told = self.run_command(UNSET, 'compute1')
        row = {'id': 'pet-id', 'name': 'pet', 'cause': None}
        self.assertEqual([row], told['started'])
        self.assertEqual(('ACTIVE', 'none'), (self.status(), told['state']))

    def test_it_does_not_start(self) -> None:
        self.run_command(SET, 'compute1', '--migrate', 'all')
        self.clients.servers.refusals['pet-id'] = exceptions.CommandError('no')
        made, parsed = self.parsed(UNSET, 'compute1')
        self.assertEqual(3, made.run(parsed))
        self.assertIn('pet (pet-id)', self.log.output)
        self.assertIsNone(self.clients.nova.hosts['compute1'].aggregate)

    def test_it_is_stopped_again_while_owners_are_told(self) -> None:
        # by a set that is overruled in the end
        self.run_command(SET, *NOTIFY, '--migrate', 'all')
        real = notices.withdraw

        def withdraw(
            clients: clients_.Clients, host: compute.Host
        ) -> dict[str, str]:
            patch.stop()
            found = real(clients, host)
            self.run_command(SET, 'compute1')
            self.app.stdout.seek(0)
            self.app.stdout.truncate()
            self.assertEqual('SHUTOFF', self.status())
            raise api.OvertakenError(f'overtaken, and {found}')

        patch = mock.patch.object(notices, 'withdraw', withdraw)
        patch.start()
        told = self.run_command(UNSET, 'compute1')
        self.assertEqual(('ACTIVE', 'none'), (self.status(), told['state']))
        row = {'id': 'pet-id', 'name': 'pet', 'cause': None}
        self.assertEqual([row], told['started'])

    def test_it_cannot_start_yet(self) -> None:
        self.run_command(SET, 'compute1', '--migrate', 'all')
        host = self.clients.nova.hosts['compute1']
        assert host.service
        down = dataclasses.replace(host.service, state='down')
        self.clients.nova.hosts['compute1'] = dataclasses.replace(
            host, service=down
        )
        self.assertIn('bring it up first', self.refused(UNSET, 'compute1'))
        made, parsed = self.parsed(UNSET, 'compute1', '--force')
        self.assertEqual(3, made.run(parsed))
        self.assertEqual('SHUTOFF', self.status())
        self.assertIn('pet (pet-id) was stopped', self.log.output)
        self.assertIn('left stopped: nova-compute', self.log.output)
