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

"""Whole commands where the owners of servers have a say."""

import dataclasses

import fixtures
from osc_lib import exceptions

from osc_maintenance import exit_codes
from osc_maintenance.osc import host_maintenance
from osc_maintenance.osc import host_maintenance_show
from osc_maintenance.osc import host_maintenance_unset
from osc_maintenance.osc import host_maintenances
from osc_maintenance import saying
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit.osc import base
from osc_maintenance.tests.unit import scenes
from osc_maintenance import times

CODE = exit_codes.ExitCode
SET = host_maintenance.SetHostMaintenance
SHOW = host_maintenance_show.ShowHostMaintenance
UNSET = host_maintenance_unset.UnsetHostMaintenance
APPLY = host_maintenances.ApplyHostMaintenance
NOTIFY = ('compute1', '--notify-owners')
LATER = ('--start', '2026-11-20T10:00Z')
REQUIRE = ('--migrate', 'all', '--owner-replies', 'require')
PET = scenes.server(
    'pet', host='compute1', said={'maintenance:policy': 'stop'}
)


class OwnersTestCase(base.TestCommand):
    def setUp(self) -> None:
        super().setUp()
        self.clients.nova.hosts = {
            name: fakes.named(scenes.host(), name)
            for name in ('compute1', 'compute2')
        }
        self.clients.placement.anything = frozenset(['node-of-compute2'])
        self.place(scenes.server('web', host='compute1'))

    def place(self, *here: servers.Server) -> None:
        self.clients.servers.loads['compute1'] = servers.Load('compute1', here)

    def later(self, hours: int) -> None:
        """Let hours pass."""
        times.now.return_value = (  # type: ignore[attr-defined]
            scenes.NOW + hours * scenes.HOUR
        )

    def said(self) -> dict[str, str]:
        """What the owner of the only server is told."""
        (found,) = self.clients.owned.all()
        return dict(found.said)

    def lose(self) -> None:
        """Somebody deletes the aggregate."""
        found = self.clients.nova.hosts['compute1']
        lost = dataclasses.replace(found, aggregate=None)
        self.clients.nova.hosts['compute1'] = lost


class TestSet(OwnersTestCase):
    def test_a_time_to_reply_that_is_the_start_is_kept(self) -> None:
        self.run_command(
            SET, *NOTIFY, *LATER, *REQUIRE, '--reply-by', LATER[1]
        )
        told = self.run_command(SET, 'compute1')
        self.assertEqual(
            ('2026-11-20T10:00:00Z', False),
            (told['reply_by'], told['changed']),
        )

    def test_recorded_strictness_counts_as_of_now(self) -> None:
        self.run_command(SET, *NOTIFY, *LATER, *REQUIRE, '--strict')
        self.later(5)
        said = self.refused(SET, 'compute1')
        self.assertIn('waits for its owner', said)
        self.assertIn('--migrate without --strict', said)
        told = self.run_command(SET, 'compute1', '--owner-replies', 'ignore')
        self.assertEqual(['moved'], [row['outcome'] for row in told['moves']])

    def test_replies_to_a_window_that_is_over(self) -> None:
        self.run_command(
            SET, *NOTIFY, '--duration', '1h', *REQUIRE, code=CODE.OWNERS
        )
        self.later(2)
        said = self.refused(
            SET, 'compute1', '--owner-replies', 'wait', '--reply-by', '30m'
        )
        self.assertIn('give --end or --duration as well', said)


class TestCauses(OwnersTestCase):
    def test_why_a_server_stayed_is_what_was_noted(self) -> None:
        self.place(PET)
        refusal = exceptions.CommandError('pet: libvirt says no')
        self.clients.servers.refusals['pet-id'] = refusal
        self.run_command(SET, 'compute1', '--migrate', 'all', code=CODE.STAYED)
        self.later(1)
        told = self.run_command(SHOW, 'compute1')
        self.assertIn('libvirt says no', told['cause'])
        self.assertNotIn('to be stopped', told['cause'])

    def test_nobody_waits_for_the_owner_of_what_cannot_go(self) -> None:
        del self.clients.nova.hosts['compute2']
        self.run_command(SET, *NOTIFY, *REQUIRE, code=CODE.STAYED)
        self.later(1)
        told = self.run_command(SHOW, 'compute1')
        self.assertIn('there is no other host', told['cause'])


class TestUnset(OwnersTestCase):
    def test_owners_are_told_of_what_is_cleared(self) -> None:
        self.run_command(SET, *NOTIFY, '--removal')
        self.assertEqual('true', self.said()['maintenance:removal'])
        self.run_command(UNSET, 'compute1', '--window')
        self.assertNotIn('maintenance:removal', self.said())

    def test_it_is_not_over_where_the_service_cannot_be_put_back(
        self,
    ) -> None:
        self.place(PET)
        self.run_command(SET, 'compute1', '--migrate', 'all')
        self.clients.servers.refusals['pet-id'] = exceptions.CommandError('no')
        self.clients.nova.broken = {'compute1'}
        for options in ((), ('--return-servers',)):
            command, parsed = self.parsed(UNSET, 'compute1', *options)
            self.assertRaises(exceptions.CommandError, command.run, parsed)

    def test_the_record_was_lost(self) -> None:
        self.place(PET)
        self.run_command(SET, *NOTIFY, '--migrate', 'all')
        self.lose()
        told = self.run_command(SHOW, 'compute1')
        self.assertIn('--notify-owners', told['cause'])
        self.run_command(UNSET, 'compute1')
        said = self.log.output
        for words in ('pet (pet-id)', 'maintenance:id', 'server start'):
            self.assertIn(words, said)


class TestApply(OwnersTestCase):
    def test_a_notice_that_cannot_be_removed(self) -> None:
        self.useFixture(fixtures.MockPatchObject(saying, 'PAUSES', ()))
        self.run_command(SET, *NOTIFY, '--duration', '1h')
        self.later(2)
        refusal = exceptions.CommandError('web: HTTP 409')
        self.clients.owned.refusals['web-id'] = refusal
        (row,) = self.run_command(APPLY, '--unset-overdue')
        self.assertEqual('unset', row['action'])
        self.assertIn('web-id: web: HTTP 409', row['cause'])
