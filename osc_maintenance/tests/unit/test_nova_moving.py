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

import collections.abc
import typing
from unittest import mock

from keystoneauth1 import exceptions as ksa_exceptions
from novaclient import exceptions as nova_exceptions
from novaclient.v2 import server_migrations
from novaclient.v2 import servers as novaclient_servers
from osc_lib import exceptions

from osc_maintenance.nova import api
from osc_maintenance.nova import servers as servers_api
from osc_maintenance import servers
from osc_maintenance.tests.unit import scenes
from osc_maintenance.tests.unit import test_nova_servers

WEB = scenes.server('web')
SHOWN = {
    'id': 'web-id',
    'status': 'ACTIVE',
    test_nova_servers.HOST: 'compute1',
}
EVIL = servers.Server('evil-id', 'a\x1bb')
MIGRATION = servers.Migration(7, 'web-id', servers.LIVE_MIGRATION, 'running')
ACTIONS = '/servers/a/os-instance-actions'


class TestWhy(test_nova_servers.ServersTestCase):
    def _event(
        self, details: str | None, result: str | None = 'Error'
    ) -> dict[str, str | None]:
        return {'event': 'compute_x', 'result': result, 'details': details}

    def _why(
        self, *events: dict[str, str | None], request: str | None = 'req-1'
    ) -> str | None:
        self.answers({'instanceAction': {'events': list(events)}})
        return self.nova.why('a', servers.LIVE_MIGRATION, request)

    def test_the_newest_event_that_tells(self) -> None:
        for events, told in (
            ([self._event('first'), self._event('second')], 'first'),
            ([self._event(None), self._event('second')], 'second'),
            ([self._event(''), self._event('second')], 'second'),
            (
                [self._event('fine', 'Success'), self._event('second')],
                'second',
            ),
            # it goes on
            ([self._event('busy', None)], None),
            ([self._event('fine', 'Success')], None),
            # before 2.84
            ([{'event': 'x', 'result': 'Error'}], None),
            ([], None),
        ):
            with self.subTest(events=events):
                self.assertEqual(told, self._why(*events))
        self.assertEqual([ACTIONS + '/req-1'], self.urls())

    def test_words_are_escaped(self) -> None:
        self.assertEqual(r'a\x1bb', self._why(self._event('a\x1bb')))

    def test_events_that_are_not_told(self) -> None:
        actions: list[dict[str, typing.Any]] = [{}, {'events': None}]
        for action in actions:
            self.answers({'instanceAction': action})
            why = self.nova.why('a', servers.LIVE_MIGRATION, 'req-1')
            self.assertIsNone(why)

    def test_the_latest_request_of_that_kind(self) -> None:
        listed = {
            'instanceActions': [
                {'action': 'reboot', 'request_id': 'req-5'},
                {'action': 'migrate', 'request_id': 'req-4'},
                {'action': 'live-migration', 'request_id': 'req-3'},
                {'action': 'live-migration', 'request_id': 'req-2'},
                {'action': 'evacuate', 'request_id': 'req-1'},
            ]
        }
        told = {'instanceAction': {'events': [self._event('full')]}}
        for kind, request in (
            (servers.LIVE_MIGRATION, 'req-3'),
            (servers.COLD_MIGRATION, 'req-4'),
            (servers.EVACUATION, 'req-1'),
        ):
            self.answers(listed, told)
            self.assertEqual('full', self.nova.why('a', kind, None))
            self.assertEqual([ACTIONS, f'{ACTIONS}/{request}'], self.urls())
        for kind in (servers.RESIZE, ''):
            self.answers(listed)
            self.assertIsNone(self.nova.why('a', kind, None))

    def test_one_that_is_gone(self) -> None:
        gone = nova_exceptions.NotFound(404)
        for request in (None, 'req-1'):
            self.answers(gone)
            why = self.nova.why('a', servers.LIVE_MIGRATION, request)
            self.assertIsNone(why)

    def test_it_cannot_be_asked(self) -> None:
        answers: list[typing.Any] = [{}, nova_exceptions.Forbidden(403)]
        for answer in answers:
            self.answers(answer)
            error = self.assertRaises(
                exceptions.CommandError,
                *(self.nova.why, 'a', servers.LIVE_MIGRATION, 'req-1'),
            )
            self.assertIn('Server a: ', str(error))


class MovingTestCase(test_nova_servers.ServersTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.servers = mock.create_autospec(
            novaclient_servers.ServerManager, instance=True
        )
        self.migrations = mock.create_autospec(
            server_migrations.ServerMigrationsManager, instance=True
        )
        self.client.mock_add_spec(
            ['api_version', 'client', 'servers', 'server_migrations']
        )
        self.client.servers = self.servers
        self.client.server_migrations = self.migrations
        self.answers({'migrations': []})


class TestMoving(MovingTestCase):
    def test_what_novaclient_is_asked(self) -> None:
        for method, target, manager, call in (
            (
                self.nova.live_migrate,
                None,
                self.servers.live_migrate,
                mock.call('web-id', None, block_migration='auto'),
            ),
            (
                self.nova.live_migrate,
                'compute7',
                self.servers.live_migrate,
                mock.call('web-id', 'compute7', block_migration='auto'),
            ),
            (
                self.nova.cold_migrate,
                None,
                self.servers.migrate,
                mock.call('web-id'),
            ),
            (
                self.nova.cold_migrate,
                'compute7',
                self.servers.migrate,
                mock.call('web-id', 'compute7'),
            ),
            (
                self.nova.evacuate,
                None,
                self.servers.evacuate,
                mock.call('web-id', None),
            ),
            (
                self.nova.evacuate,
                'compute7',
                self.servers.evacuate,
                mock.call('web-id', 'compute7'),
            ),
        ):
            with self.subTest(call=call):
                self.answers({'migrations': []}, {'server': SHOWN})
                manager.reset_mock()
                manager.return_value.request_ids = ['req-1', 'req-2']
                changes = self.nova.changes
                self.assertEqual('req-1', method(WEB, target))
                self.assertEqual([call], manager.mock_calls)
                self.assertEqual(changes + 1, self.nova.changes)

    def test_a_request_without_an_id(self) -> None:
        # it comes with a header, and goes into the path of a request
        for answer in (
            *(None, mock.Mock(spec=['request_ids'], request_ids=[])),
            *(
                mock.Mock(spec=['request_ids'], request_ids=[request])
                for request in (None, '', 'req-1/../x')
            ),
        ):
            self.servers.live_migrate.return_value = answer
            self.assertIsNone(self.nova.live_migrate(WEB, None))
        self.assertEqual(5, self.nova.changes)

    def test_a_target_that_an_old_nova_does_not_take(self) -> None:
        self.at('2.55')
        error = self.assertRaises(
            exceptions.CommandError, self.nova.cold_migrate, EVIL, 'compute7'
        )
        self.assertIn('--target-host', str(error))
        self.assertIn(r'a\x1bb', str(error))
        self.servers.migrate.assert_not_called()
        self.nova.cold_migrate(WEB, None)
        self.servers.migrate.assert_called_once_with('web-id')
        self.at('2.56')
        self.nova.cold_migrate(WEB, 'compute7')
        self.servers.migrate.assert_called_with('web-id', 'compute7')

    def test_what_is_done_with_a_migration(self) -> None:
        for method, arguments, manager, call in (
            (
                self.nova.confirm,
                (),
                self.servers.confirm_resize,
                mock.call('web-id'),
            ),
            (self.nova.stop, (), self.servers.stop, mock.call('web-id')),
            (self.nova.start, (), self.servers.start, mock.call('web-id')),
            (
                self.nova.abort,
                (MIGRATION,),
                self.migrations.live_migration_abort,
                mock.call('web-id', 7),
            ),
            (
                self.nova.force_complete,
                (MIGRATION,),
                self.migrations.live_migrate_force_complete,
                mock.call('web-id', 7),
            ),
        ):
            with self.subTest(call=call):
                changes = self.nova.changes
                ask: collections.abc.Callable[..., None] = method
                ask(WEB, *arguments)
                self.assertEqual([call], manager.mock_calls)
                self.assertEqual(changes + 1, self.nova.changes)

    def test_an_evacuation_that_is_under_way(self) -> None:
        for kind, status, refused in (
            (servers.EVACUATION, 'accepted', True),
            (servers.EVACUATION, 'pre-migrating', True),
            (servers.EVACUATION, 'done', False),
            (servers.EVACUATION, 'failed', False),
            # what was going on when the host died
            (servers.LIVE_MIGRATION, 'running', False),
        ):
            with self.subTest(kind=kind, status=status):
                self.servers.evacuate.reset_mock()
                item = {
                    'id': 7,
                    'instance_uuid': 'web-id',
                    'source_compute': 'compute1',
                    'migration_type': kind,
                    'status': status,
                    'user_id': 'a',
                }
                self.answers({'migrations': [item]}, {'server': SHOWN})
                if refused:
                    self.assertRaises(
                        api.OvertakenError, self.nova.evacuate, WEB, None
                    )
                else:
                    self.nova.evacuate(WEB, None)
                urls = ['/os-migrations?instance_uuid=web-id']
                if not refused:
                    urls.append('/servers/web-id')
                self.assertEqual(urls, self.urls())
                self.assertIs(refused, not self.servers.evacuate.called)

    def test_an_evacuation_that_goes_on_although_it_is_completed(
        self,
    ) -> None:
        # nova-compute of the host has been started again
        item = {
            'id': 7,
            'instance_uuid': 'web-id',
            'source_compute': 'compute1',
            'migration_type': servers.EVACUATION,
            'status': 'completed',
            'user_id': 'a',
        }
        for task, action, refused in (
            ('rebuilding', 'evacuate', True),
            ('rebuild_spawning', 'evacuate', True),
            # the owner's own, which died with the host
            ('rebuilding', 'rebuild', False),
            ('powering-off', 'evacuate', False),
            (None, 'evacuate', False),
        ):
            self.servers.evacuate.reset_mock()
            done = [{'action': action, 'user_id': 'a'}]
            self.answers(
                {'migrations': [item]},
                {'server': {**SHOWN, 'OS-EXT-STS:task_state': task}},
                {'instanceActions': done},
            )
            if refused:
                self.assertRaises(
                    api.OvertakenError, self.nova.evacuate, WEB, None
                )
            else:
                self.nova.evacuate(WEB, None)
            self.assertIs(refused, not self.servers.evacuate.called)

    def test_an_evacuation_of_which_nothing_is_known(self) -> None:
        self.answers(nova_exceptions.Forbidden(403))
        self.assertRaises(
            exceptions.CommandError, self.nova.evacuate, WEB, None
        )
        self.servers.evacuate.assert_not_called()


class TestErrors(MovingTestCase):
    def _calls(
        self,
    ) -> list[
        tuple[mock.Mock, collections.abc.Callable[..., typing.Any], object]
    ]:
        return [
            (self.servers.live_migrate, self.nova.live_migrate, None),
            (self.servers.migrate, self.nova.cold_migrate, None),
            (self.servers.evacuate, self.nova.evacuate, None),
            (self.servers.confirm_resize, self.nova.confirm, ...),
            (self.servers.stop, self.nova.stop, ...),
            (self.servers.start, self.nova.start, ...),
            (
                self.migrations.live_migration_abort,
                self.nova.abort,
                MIGRATION,
            ),
            (
                self.migrations.live_migrate_force_complete,
                self.nova.force_complete,
                MIGRATION,
            ),
        ]

    def _error(
        self,
        method: collections.abc.Callable[..., typing.Any],
        argument: object,
    ) -> exceptions.CommandError:
        self.answers({'migrations': []}, {'server': SHOWN})
        arguments = (EVIL,) if argument is ... else (EVIL, argument)
        error = self.assertRaises(exceptions.CommandError, method, *arguments)
        assert isinstance(error, exceptions.CommandError)
        self.assertTrue(str(error).isprintable())
        self.assertIn(r'no \x1b[2J', str(error))
        return error

    def test_errors_by_class(self) -> None:
        words = 'no \x1b[2J'
        for raised, kind in (
            (nova_exceptions.Conflict(409, words), api.OvertakenError),
            (nova_exceptions.NotFound(404, words), api.OvertakenError),
            (
                nova_exceptions.ClientException(500, words),
                api.TransientError,
            ),
            (
                nova_exceptions.ClientException(503, words),
                api.TransientError,
            ),
            (nova_exceptions.RateLimit(429, words), api.TransientError),
            (ksa_exceptions.ConnectFailure(words), api.TransientError),
            (ksa_exceptions.ConnectTimeout(words), api.TransientError),
            (nova_exceptions.BadRequest(400, words), None),
            (nova_exceptions.Forbidden(403, words), None),
        ):
            for manager, method, argument in self._calls():
                with self.subTest(raised=raised, method=method):
                    manager.side_effect = raised
                    error = self._error(method, argument)
                    for known in (api.OvertakenError, api.TransientError):
                        self.assertIs(known is kind, isinstance(error, known))
        self.assertEqual(0, self.nova.changes)

    def test_the_server_is_named(self) -> None:
        self.servers.live_migrate.side_effect = nova_exceptions.BadRequest(
            400, 'no \x1b[2J'
        )
        error = self._error(self.nova.live_migrate, None)
        self.assertTrue(str(error).startswith(r'a\x1bb (evil-id): no '))

    def test_what_somebody_else_does_is_told_in_novas_words(self) -> None:
        for message, words in (
            ('it is locked', 'it is locked'),
            # some proxies say nothing
            ('', ' (HTTP 409)'),
        ):
            raised = nova_exceptions.Conflict(409, message)
            raised.message = message
            self.servers.live_migrate.side_effect = raised
            error = self.assertRaises(
                api.OvertakenError, self.nova.live_migrate, WEB, None
            )
            self.assertEqual(words, str(error))

    def test_nothing_else_is_asked(self) -> None:
        self.assertIsInstance(self.nova, servers_api.Servers)
        self.nova.live_migrate(WEB, None)
        self.assertEqual([], self.urls())
