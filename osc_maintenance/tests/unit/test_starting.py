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

"""What a maintenance has stopped is started again, on a Nova in memory."""

import dataclasses
import functools
import typing
from unittest import mock

from osc_lib import exceptions
from oslotest import base

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance import journal
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance import starting
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes

OFF = {'vm_state': 'stopped', 'status': 'SHUTOFF', 'host': 'compute1'}
WEB, DB = scenes.server('web', **OFF), scenes.server('db', **OFF)


def stopping(*ids: str) -> compute.Host:
    """A host in maintenance that has stopped these."""
    note = change.WriteRecord(
        noting.stopping(journal.Journal(), ids, user='alice')
    )
    return scenes.after(scenes.entered(), note)


class TestStarting(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.waited = 0.0
        self.have(WEB, DB)

    def have(self, *here: servers.Server, stopped: str = 'web-id') -> None:
        self.host = stopping(stopped)
        self.clients = fakes.Clients(self.host)
        self.clients.servers.loads = {
            'compute1': servers.Load('compute1', here)
        }

    def down(self) -> None:
        service = scenes.service('disabled', 'x', state='down')
        self.clients.nova.hosts['compute1'] = dataclasses.replace(
            self.host, service=service
        )

    def become(self, server: servers.Server, **fields: str | None) -> None:
        self.clients.servers.become(server.id, **fields)

    def pause(self, seconds: float) -> None:
        self.waited += seconds

    def start(self, *, force: bool = False) -> dict[str, str | None]:
        """Why servers do not run, of those that were to be started."""
        clients = fakes.real(self.clients)
        found = starting.find(clients, self.host, force=force)
        rows = starting.start(clients, found, self.pause)
        return {str(row['id']): row['cause'] for row in rows}

    def test_just_those_that_it_has_stopped(self) -> None:
        self.assertEqual({'web-id': None}, self.start())
        self.assertEqual(
            [('start', 'web-id', None)], self.clients.servers.writes
        )
        # once more there is nothing to do
        self.assertEqual({}, self.start())

    def test_one_that_is_gone_or_runs(self) -> None:
        for here in ((), (dataclasses.replace(WEB, vm_state='active'),)):
            self.have(*here)
            self.assertEqual({}, self.start())

    def test_one_that_is_neither_stopped_nor_runs(self) -> None:
        # the host was rebooted, and Nova could not plug its ports again
        for vm_state, status, fault, cause in (
            ('error', 'ERROR', None, 'it is ERROR'),
            ('error', 'ERROR', 'no port', 'no port'),
            ('resized', 'VERIFY_RESIZE', None, 'it is VERIFY_RESIZE'),
        ):
            self.have(
                dataclasses.replace(
                    WEB, vm_state=vm_state, status=status, fault=fault
                )
            )
            self.assertEqual({'web-id': cause}, self.start())
            # somebody else has started it since
            self.clients.servers.stoppers['web-id'] = None
            self.assertEqual({}, self.start())

    def test_what_its_owner_has_done_with_it(self) -> None:
        for vm_state in ('soft-delete', 'shelved', 'rescued', 'active'):
            self.have(dataclasses.replace(WEB, vm_state=vm_state))
            self.assertEqual({}, self.start(), vm_state)

    def test_what_was_told_of_an_earlier_attempt(self) -> None:
        up = dataclasses.replace(WEB, vm_state='active')
        for here, cause in (
            ((WEB,), 'it is slow'),
            ((up,), None),
            # deleted
            ((), None),
        ):
            self.have(*here)
            (row,) = starting.look_again(
                fakes.real(self.clients),
                [{'id': 'web-id', 'name': 'web', 'cause': 'it is slow'}],
            )
            self.assertEqual(cause, row['cause'])

    def test_an_answer_that_cannot_be_read(self) -> None:
        for count, cause in ((1, None), (4, None), (5, 'no JSON')):
            self.have(WEB)
            odd = [exceptions.CommandError('no JSON')] * count
            real = self.clients.servers.server

            def look(
                server: str,
                odd: list[exceptions.CommandError] = odd,
                real: typing.Callable[[str], servers.Server | None] = real,
            ) -> servers.Server | None:
                if odd:
                    raise odd.pop()
                return real(server)

            clients = fakes.real(self.clients)
            found = starting.find(clients, self.host, force=False)
            with mock.patch.object(self.clients.servers, 'server', look):
                (row,) = starting.start(clients, found, self.pause)
            self.assertEqual(cause, row['cause'])

    def test_whether_it_was_asked_cannot_be_read(self) -> None:
        for done, cause in ((True, None), (False, 'no JSON')):
            self.have(WEB)
            real = self.clients.servers.start

            def start(
                server: servers.Server,
                *,
                done: bool = done,
                real: typing.Callable[[servers.Server], object] = real,
            ) -> None:
                if done:
                    real(server)
                raise exceptions.CommandError('no JSON')

            with mock.patch.object(self.clients.servers, 'start', start):
                self.assertEqual({'web-id': cause}, self.start())

    def _refused(self) -> str:
        """Why the maintenance cannot be ended."""
        return str(
            self.assertRaises(
                asking.RefusedError,
                starting.find,
                *(fakes.real(self.clients), self.host),
                force=False,
            )
        )

    def test_only_an_admin_may_start_it(self) -> None:
        self.have(dataclasses.replace(WEB, foreign=True))
        self.assertIn('web (web-id): let an admin end it', self._refused())
        cause = 'left stopped: Nova lets only an admin start it'
        self.assertEqual({'web-id': cause}, self.start(force=True))
        self.assertEqual([], self.clients.servers.writes)

    def test_nova_compute_is_down(self) -> None:
        self.down()
        said = self._refused()
        self.assertIn('web (web-id)', said)
        self.assertIn('--force', said)
        left = self.start(force=True)
        self.assertIn('nova-compute on compute1 is down', str(left['web-id']))
        self.assertEqual([], self.clients.servers.writes)

    def test_nova_refuses(self) -> None:
        self.clients.servers.refusals['web-id'] = exceptions.CommandError('no')
        self.assertEqual({'web-id': 'no'}, self.start())

    def test_somebody_else_is_quicker(self) -> None:
        def start(server: servers.Server) -> None:
            self.clients.servers.become(server.id, vm_state='active')
            raise api.OvertakenError('HTTP 409')

        with mock.patch.object(self.clients.servers, 'start', start):
            self.assertEqual({'web-id': None}, self.start())

    def test_something_else_is_done_to_it_for_a_while(self) -> None:
        self.have(WEB)
        real, nova = self.clients.servers.start, self.clients.servers
        asked = 0

        def start(server: servers.Server) -> None:
            nonlocal asked
            asked += 1
            if asked == 1:
                nova.become('web-id', task_state='image_snapshot')
                raise api.OvertakenError('task_state image_snapshot')
            real(server)

        def pause(_seconds: float) -> None:
            nova.become('web-id', task_state=None)

        clients = fakes.real(self.clients)
        found = starting.find(clients, self.host, force=False)
        with mock.patch.object(nova, 'start', start):
            (row,) = starting.start(clients, found, pause)
        self.assertIsNone(row['cause'])
        self.assertEqual(2, asked)

    def test_something_else_is_done_to_it_for_ever(self) -> None:
        refusal = api.OvertakenError('task_state image_snapshot')
        with mock.patch.object(
            self.clients.servers, 'start', side_effect=refusal
        ):
            found = self.start()['web-id']
        self.assertEqual('task_state image_snapshot', found)

    def test_it_does_not_run(self) -> None:
        for fields, cause, waits in (
            ({'task_state': None}, 'Nova tells no more', False),
            ({'vm_state': 'error', 'status': 'ERROR'}, 'it is ERROR', False),
            ({'task_state': 'powering-on'}, 'has not done so yet', True),
        ):
            self.have(WEB)
            self.waited = 0.0
            become = functools.partial(self.become, **fields)
            with mock.patch.object(self.clients.servers, 'start', become):
                found = self.start()['web-id']
            self.assertIn(cause, str(found))
            self.assertIs(waits, self.waited > 60)

    def test_why_it_does_not_run(self) -> None:
        # Nova has no fault of what is stopped, and tells it of its actions
        refused = mock.Mock(side_effect=exceptions.CommandError('HTTP 403'))
        for why, cause in (
            (mock.Mock(return_value='no disk'), 'no disk'),
            (refused, 'Nova tells no more'),
        ):
            self.have(WEB)
            become = functools.partial(self.become, task_state=None)
            with (
                mock.patch.object(self.clients.servers, 'start', become),
                mock.patch.object(self.clients.servers, 'why', why),
            ):
                found = self.start()['web-id']
            self.assertIn(cause, str(found))
            why.assert_called_once_with('web-id', 'start', None)

    def test_what_somebody_else_has_stopped_since(self) -> None:
        for user, starts in (('alice', True), ('bob', False), (None, False)):
            self.have(WEB)
            self.clients.servers.stoppers['web-id'] = user
            found = starting.find(
                fakes.real(self.clients), self.host, force=False
            )
            self.assertEqual([] if starts else [WEB], found.theirs)
            self.assertIs(starts, 'web-id' in self.start(), str(user))

    def test_who_has_stopped_it_is_not_ours_to_read(self) -> None:
        refusal = exceptions.CommandError('HTTP 403')
        with mock.patch.object(
            self.clients.servers, 'stopped_by', side_effect=refusal
        ):
            self.assertEqual({'web-id': None}, self.start())

    def test_one_that_is_being_stopped_just_now(self) -> None:
        self.have(dataclasses.replace(WEB, task_state='powering-off'))
        clients = fakes.real(self.clients)
        found = starting.find(clients, self.host, force=False)

        def pause(_seconds: float) -> None:
            self.clients.servers.become('web-id', task_state=None)

        (row,) = starting.start(clients, found, pause)
        self.assertIsNone(row['cause'])
        self.assertEqual(
            [('start', 'web-id', None)], self.clients.servers.writes
        )

    def test_somebody_goes_on_with_the_maintenance_meanwhile(self) -> None:
        real = self.clients.servers.start

        def start(server: servers.Server) -> None:
            real(server)
            aggregate = self.clients.nova.hosts['compute1'].aggregate
            assert aggregate
            note: dict[str, str | None] = {'maintenance:return': None}
            self.clients.nova.write_record(aggregate, note)

        clients = fakes.real(self.clients)
        with mock.patch.object(self.clients.servers, 'start', start):
            host, (row,) = starting.again(
                *(clients, self.host),
                force=False,
                hear=self.fail,
                pause=self.pause,
            )
        self.assertIsNone(row['cause'])
        self.assertRaises(
            api.OvertakenError, starting.check_ending, clients, host
        )

    def test_that_it_ends_is_announced(self) -> None:
        clients = fakes.real(self.clients)
        host = starting.announce(clients, self.host)
        self.assertTrue(host.journal.returning)
        self.clients.nova.writes.clear()
        starting.announce(clients, host)
        self.assertEqual([], self.clients.nova.writes)
