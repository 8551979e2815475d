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

"""``unset`` where cold migrations wait to be confirmed."""

import typing
from unittest import mock

from osc_lib import exceptions

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import journal
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance.tests.unit.osc import test_set_drain
from osc_maintenance.tests.unit.osc import test_unset_others
from osc_maintenance.tests.unit import scenes

SET, UNSET = test_set_drain.SET, test_set_drain.UNSET
WEB = test_set_drain.WEB
cold = test_unset_others.cold


class TestUnconfirmed(test_set_drain.DrainTestCase):
    """Cold migrations of a drain or a return that was interrupted."""

    def _given(
        self, *migrations: servers.Migration, back: bool = False
    ) -> None:
        noted = {'web-id': journal.Move('cold-migrate', 6, ('id-of-alice',))}
        changes = noting.started(journal.Journal(), noted)
        if back:
            changes.update(
                noting.returning(noted, scenes.NOW, brings_back=False)
            )
        host = scenes.entered(
            request=asking.Request(policy=test_set_drain.ALL)
        )
        self.given(scenes.after(host, change.WriteRecord(changes)))
        web = scenes.server('web', task_state='resize_finish')
        coming = any(item.status == 'post-migrating' for item in migrations)
        load = servers.Load('compute1', (web,) * coming, migrations)
        self.clients.servers.loads = {'compute1': load}

    def _said(self, *options: str) -> str:
        already = len(self.log.output)
        told = self.run_command(UNSET, 'compute1', *options)
        self.assertEqual('none', told['state'])
        said: str = self.log.output
        return said[already:]

    def test_they_are_named(self) -> None:
        away, here = ('compute1', 'compute2'), ('compute2', 'compute1')
        for status, way, back in (
            ('finished', away, False),
            ('migrating', away, False),
            ('finished', away, True),
            ('finished', here, True),
            ('post-migrating', here, True),
        ):
            with self.subTest(status=status, way=way):
                ours = cold(status, *way)
                resize = servers.Migration(
                    8, 'db-id', servers.RESIZE, 'finished', *away
                )
                self._given(ours, resize, back=back)
                said = self._said()
                self.assertIn('1 cold migrated and not confirmed', said)
                self.assertIn('"openstack server migration confirm"', said)
                self.assertIn('web-id', said)
                self.assertNotIn('db-id', said)

    def test_their_cell_is_silent_for_a_moment(self) -> None:
        self._given(cold('finished', 'compute1', 'compute2'))
        servers_ = self.clients.servers
        servers_.movers['web-id'] = 'id-of-alice'
        there = scenes.server('web', host='compute2', vm_state='resized')
        servers_.loads['compute2'] = servers.Load('compute2', (there,))
        real, silent = servers_.migrations, [(), ()]

        def look(*given: typing.Any, **by: typing.Any) -> typing.Any:
            return silent.pop() if silent else real(*given, **by)

        with (
            mock.patch.object(api, '_PAUSES', (0.0, 0.0)),
            mock.patch.object(servers_, 'migrations', look),
        ):
            said = self._said()
        self.assertIn('1 cold migrated and not confirmed', said)

    def test_their_cell_goes_on_being_silent(self) -> None:
        self._given()
        servers_ = self.clients.servers
        servers_.movers['web-id'] = 'id-of-alice'
        there = scenes.server('web', host='compute2')
        servers_.loads['compute2'] = servers.Load('compute2', (there,))
        command, parsed = self.parsed(UNSET, 'compute1')
        with mock.patch.object(api, '_PAUSES', (0.0,)):
            error = self.assertRaises(
                exceptions.CommandError, command.run, parsed
            )
        self.assertIn('out of its list', str(error))
        self.assertIn('run unset again, or with --force', str(error))
        self.assertEqual(0, self.clients.changes)
        said = self._said('--force')
        self.assertIn('what is left unconfirmed is not known', said)

    def test_nova_does_not_list_them(self) -> None:
        self._given(cold('finished', 'compute1', 'compute2'))
        refusal = exceptions.CommandError('Migrations of compute1: HTTP 403')
        with mock.patch.object(
            self.clients.servers, 'migrations', side_effect=refusal
        ):
            for force, ended, words in (
                ((), False, 'HTTP 403; run unset again, or with --force'),
                (('--force',), True, 'This is done, but what to answer'),
            ):
                command, parsed = self.parsed(UNSET, 'compute1', *force)
                error = self.assertRaises(
                    exceptions.CommandError, command.run, parsed
                )
                self.assertIn(words, str(error))
                host = self.clients.nova.hosts['compute1']
                self.assertIs(ended, host.aggregate is None)
        self.assertIn(
            'HTTP 403: what is left unconfirmed is not known', self.log.output
        )

    def test_nothing_is_to_be_said(self) -> None:
        away, here = ('compute1', 'compute2'), ('compute2', 'compute1')
        for migrations in (
            (),
            (cold('confirmed', *away),),
            (cold('error', *away),),
            # before this maintenance, and after it had moved
            (cold('finished', *away, number=6),),
            (cold('finished', *away), cold('confirmed', *away, number=8)),
            # somebody else's
            (cold('finished', *away, user='id-of-bob'),),
            (cold('finished', *here),),
        ):
            with self.subTest(migrations=migrations):
                self._given(*migrations)
                self.assertEqual('', self._said())

    def test_they_are_named_before_it_is_over(self) -> None:
        # nobody could find them afterwards
        self._given(cold('finished', 'compute1', 'compute2'))
        nova = self.clients.nova
        lost = api.TransientError('HTTP 503')
        command, parsed = self.parsed(UNSET, 'compute1')
        with mock.patch.object(nova, 'delete', side_effect=lost):
            self.assertRaises(api.TransientError, command.run, parsed)
        self.assertIn('web-id', self.log.output)

    def test_disabled_by_others_while_it_looks(self) -> None:
        self._given(cold('finished', 'compute1', 'compute2'))
        nova, real = self.clients.nova, self.clients.servers.on

        def on(host: str) -> tuple[servers.Server, ...]:
            found = nova.hosts['compute1']
            if found.ours:
                nova.hosts['compute1'] = scenes.disabled_by_somebody(found)
            return real(host)

        with mock.patch.object(self.clients.servers, 'on', on):
            told = self.refused(UNSET, 'compute1')
        self.assertIn('disabled (mine)', told)

    def test_it_is_not_said_where_it_is_refused(self) -> None:
        self._given(cold('finished', 'compute1', 'compute2'))
        hosts = self.clients.nova.hosts
        hosts['compute1'] = scenes.disabled_by_somebody(hosts['compute1'])
        self.refused(UNSET, 'compute1')
        self.assertNotIn('not confirmed', self.log.output)

    def test_it_costs_a_look_where_servers_were_moved(self) -> None:
        for moved in (False, True):
            self._given(cold('finished', 'compute1', 'compute2'))
            if not moved:
                self.clients.nova.hosts['compute1'] = scenes.entered()
            asked: list[str] = []
            for part, method in (
                (self.clients.nova, 'service'),
                (self.clients.nova, 'aggregates'),
                (self.clients.servers, 'migrations'),
                (self.clients.servers, 'on'),
            ):
                self._counted(part, method, asked)
            self._said()
            # and the service again, after that look
            more = ['migrations', 'on', 'service'] * moved
            # the last tells whether somebody else enters it meanwhile
            every = ['aggregates', 'migrations', 'on', 'service', 'service']
            self.assertEqual(sorted([*every, *more]), sorted(asked))

    def _counted(self, api: object, method: str, asked: list[str]) -> None:
        real = getattr(api, method)

        def ask(*given: object, **how: object) -> object:
            asked.append(method)
            return real(*given, **how)

        patch = mock.patch.object(api, method, ask)
        patch.start()
        self.addCleanup(patch.stop)

    def test_a_maintenance_that_goes_on_says_nothing(self) -> None:
        self._given(cold('finished', 'compute1', 'compute2'))
        self.run_command(UNSET, 'compute1', '--reason')
        self.assertEqual('', self.log.output)
