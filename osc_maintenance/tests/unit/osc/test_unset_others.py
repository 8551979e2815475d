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

"""``unset`` where others are at work as well, or have been."""

import collections.abc
import dataclasses
import typing
from unittest import mock

from osc_lib import exceptions

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance.drain import run
from osc_maintenance import exit_codes
from osc_maintenance import journal
from osc_maintenance import maintenance
from osc_maintenance import notices
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance import starting
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit.osc import test_set_drain
from osc_maintenance.tests.unit import scenes

SET, UNSET = test_set_drain.SET, test_set_drain.UNSET
WEB = test_set_drain.WEB


def cold(
    status: str,
    source: str,
    dest: str,
    number: int = 7,
    user: str = 'id-of-alice',
) -> servers.Migration:
    """A cold migration of the server web."""
    return servers.Migration(
        number,
        'web-id',
        servers.COLD_MIGRATION,
        status,
        source,
        dest,
        user=user,
    )


class TestReturn(test_set_drain.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.given(scenes.host(), WEB)
        self.run_command(SET, 'compute1', '--migrate', 'all')

    def _when_back(self, act: collections.abc.Callable[[], object]) -> None:
        """Have somebody else act once the servers are back."""
        real = run.bring_back

        def bring_back(*given: typing.Any, **how: typing.Any) -> run.Result:
            result = real(*given, **how)
            act()
            return result

        patch = mock.patch.object(run, 'bring_back', bring_back)
        patch.start()
        self.addCleanup(patch.stop)

    def test_another_one_has_ended_it(self) -> None:
        clients = fakes.real(self.clients)
        self._when_back(lambda: maintenance.unset(clients, 'compute1'))
        told = self.run_command(UNSET, 'compute1', '--return-servers')
        self.assertEqual(('none', True), (told['state'], told['changed']))
        self.assertEqual(['moved'], [row['outcome'] for row in told['moves']])

    def test_somebody_has_put_it_into_maintenance_again(self) -> None:
        clients = fakes.real(self.clients)
        self._when_back(
            lambda: maintenance.set_(
                clients, 'compute1', asking.Request(), scenes.NOW
            )
        )
        command, parsed = self.parsed(UNSET, 'compute1', '--return-servers')
        error = self.assertRaises(exceptions.CommandError, command.run, parsed)
        self.assertIn('put into maintenance again', str(error))
        self.assertTrue(self.clients.nova.hosts['compute1'].ours)


class TestNoted(test_set_drain.DrainTestCase):
    """A drain or a set notes something while the service is put back."""

    def _unset(
        self,
        request: asking.Request,
        act: collections.abc.Callable[[], object],
    ) -> typing.Any:
        here = dataclasses.replace(WEB, host='compute1')
        self.given(scenes.entered(request=request), here)
        nova = self.clients.nova
        real, acts = nova.set_service, [act]

        def set_service(*given: typing.Any) -> object:
            if acts:
                acts.pop()()
            return real(*given)

        with mock.patch.object(nova, 'set_service', set_service):
            told = self.run_command(UNSET, 'compute1')
        self.assertEqual('none', told['state'])
        self.assertIsNone(nova.hosts['compute1'].aggregate)
        return told

    def _note(self, changes: dict[str, str | None]) -> None:
        aggregate = self.clients.nova.hosts['compute1'].aggregate
        assert aggregate
        self.clients.nova.write_record(aggregate, changes)

    def test_a_server_is_stopped(self) -> None:
        def stop() -> None:
            old, user = journal.Journal(), 'id-of-alice'
            self._note(noting.stopping(old, ['web-id'], user=user))
            self.clients.servers.stop(WEB)

        told = self._unset(asking.Request(policy=test_set_drain.ALL), stop)
        (web,) = self.clients.servers.on('compute1')
        self.assertEqual('active', web.vm_state)
        self.assertEqual(['web-id'], [row['id'] for row in told['started']])

    def test_an_owner_is_told(self) -> None:
        def tell() -> None:
            host = self.clients.nova.hosts['compute1']
            notices.tell_all(fakes.real(self.clients), host, scenes.NOW)

        told = self._unset(asking.Request(notify=True), tell)
        (web,) = self.clients.servers.on('compute1')
        self.assertEqual({}, web.said)
        self.assertEqual([], told['untold'])

    def test_a_server_is_cold_migrated(self) -> None:
        def move() -> None:
            noted = journal.Move('cold-migrate', 6, ('id-of-alice',))
            self._note(noting.started(journal.Journal(), {'web-id': noted}))
            load = servers.Load(
                'compute1',
                migrations=(cold('finished', 'compute1', 'compute2'),),
            )
            self.clients.servers.loads['compute1'] = load

        self._unset(asking.Request(policy=test_set_drain.ALL), move)
        self.assertIn('1 cold migrated and not confirmed', self.log.output)


class TestStarted(test_set_drain.DrainTestCase):
    """Somebody else ends it while what was stopped is started."""

    def _unset(self, *, code: int, later: bool = False) -> typing.Any:
        note = noting.stopping(journal.Journal(), ['web-id'], user='alice')
        off = dataclasses.replace(
            WEB, host='compute1', vm_state='stopped', status='SHUTOFF'
        )
        host = scenes.after(scenes.entered(), change.WriteRecord(note))
        self.given(host, off)
        clients = self.clients
        end, become = maintenance.end, clients.servers.become

        def start(_server: servers.Server) -> None:
            end(fakes.real(clients).nova, clients.nova.hosts['compute1'])
            raise exceptions.CommandError('no disk')

        def looks(*given: typing.Any) -> object:
            if later:
                become('web-id', vm_state='active')
            return real(*given)

        real = starting.look_again
        with (
            mock.patch.object(clients.servers, 'start', start),
            mock.patch.object(starting, 'look_again', looks),
        ):
            told = self.run_command(UNSET, 'compute1', code=code)
        self.assertEqual('none', told['state'])
        (row,) = told['started']
        return row['cause']

    def test_what_does_not_run_is_told(self) -> None:
        code = exit_codes.ExitCode.STAYED
        self.assertEqual('no disk', self._unset(code=code))
        self.assertIn('does not run again: no disk', self.log.output)

    def test_somebody_has_started_it(self) -> None:
        self.assertIsNone(self._unset(code=0, later=True))


class TestResumed(test_set_drain.DrainTestCase):
    """A set goes on with it while servers start, or owners are told."""

    def _unset(self, patch: typing.Any) -> str:
        command, parsed = self.parsed(UNSET, 'compute1')
        with patch:
            error = self.assertRaises(
                exceptions.CommandError, command.run, parsed
            )
        host = self.clients.nova.hosts['compute1']
        self.assertTrue(host.ours)
        self.assertEqual('theirs', host.record and host.record.reason)
        self.assertFalse(host.journal.returning)
        return str(error)

    def _set(self) -> None:
        request = asking.Request(reason='theirs')
        maintenance.set_(
            fakes.real(self.clients), 'compute1', request, scenes.NOW
        )

    def test_while_servers_start(self) -> None:
        note = noting.stopping(journal.Journal(), ['web-id'], user='alice')
        off = dataclasses.replace(
            WEB, host='compute1', vm_state='stopped', status='SHUTOFF'
        )
        host = scenes.after(scenes.entered(), change.WriteRecord(note))
        self.given(host, off)
        real = self.clients.servers.start

        def start(server: servers.Server) -> None:
            self._set()
            real(server)

        said = self._unset(
            mock.patch.object(self.clients.servers, 'start', start)
        )
        self.assertIn('compute1 was put into maintenance again by', said)
        self.assertIn('(1 started by then); run unset again', said)

    def test_while_owners_are_told(self) -> None:
        self.given(scenes.entered(request=asking.Request(notify=True)), WEB)
        notices.tell_all(
            fakes.real(self.clients),
            self.clients.nova.hosts['compute1'],
            scenes.NOW,
        )
        real = notices._withdrawn

        def withdrawn(*given: typing.Any, **how: typing.Any) -> typing.Any:
            self._set()
            return real(*given, **how)

        said = self._unset(mock.patch.object(notices, '_withdrawn', withdrawn))
        self.assertIn('compute1 was put into maintenance again by', said)

    def test_owners_cannot_be_told_again(self) -> None:
        self.given(scenes.entered(request=asking.Request(notify=True)), WEB)
        notices.tell_all(
            fakes.real(self.clients),
            self.clients.nova.hosts['compute1'],
            scenes.NOW,
        )
        overtaken = api.OvertakenError('compute1: HTTP 503')
        real = notices._withdrawn

        def withdrawn(*given: typing.Any, **how: typing.Any) -> typing.Any:
            self._set()
            return real(*given, **how)

        with mock.patch.object(notices, 'tell_all', side_effect=overtaken):
            said = self._unset(
                mock.patch.object(notices, '_withdrawn', withdrawn)
            )
        self.assertIn('compute1 was put into maintenance again by', said)
        self.assertIn('not told again, which set does', self.log.output)
