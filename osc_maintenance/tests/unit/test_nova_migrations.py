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

"""Migrations, and who has asked for them, as Nova tells it."""

import datetime
import typing

from novaclient import exceptions as nova_exceptions
from osc_lib import exceptions

from osc_maintenance.nova import api
from osc_maintenance.nova import servers as servers_api
from osc_maintenance import servers
from osc_maintenance.tests.unit import test_nova_servers


def _item(**more: typing.Any) -> dict[str, typing.Any]:
    told = {'id': 7, 'instance_uuid': 'a', 'source_compute': 'compute1'}
    return {**told, **more}


class TestMigrations(test_nova_servers.ServersTestCase):
    def test_every_field(self) -> None:
        self.answers(
            {
                'migrations': [
                    {
                        'id': 7,
                        'uuid': 'u7',
                        'instance_uuid': 'a',
                        'migration_type': 'live-migration',
                        'status': 'running',
                        'source_compute': 'compute1',
                        'dest_compute': 'compute2',
                        'created_at': '2026-11-20T06:00:00.000000',
                        'updated_at': '2026-11-20T06:01:30.000000',
                        'user_id': 'u1',
                    },
                    {'id': 8, 'instance_uuid': 'b', 'updated_at': None},
                ]
            },
            {'instanceActions': []},
        )
        begun = datetime.datetime(2026, 11, 20, 6, 0, tzinfo=datetime.UTC)
        first, second = self.nova.migrations('compute1')
        self.assertEqual(
            servers.Migration(
                7,
                'a',
                servers.LIVE_MIGRATION,
                'running',
                'compute1',
                'compute2',
                begun,
                begun + datetime.timedelta(seconds=90),
                'u1',
            ),
            first,
        )
        self.assertEqual(servers.Migration(8, 'b', '', ''), second)

    def test_what_is_asked(self) -> None:
        since = datetime.datetime(2026, 11, 20, 6, 0, tzinfo=datetime.UTC)
        later = 'changes-since=2026-11-20T06%3A00%3A00%2B00%3A00'
        for version, host, fields, query in (
            ('2.96', None, {}, ''),
            ('2.96', 'a&b', {}, '?host=a%26b'),
            ('2.96', None, {'server': 'a'}, '?instance_uuid=a'),
            ('2.96', 'c', {'server': 'a'}, '?host=c&instance_uuid=a'),
            ('2.96', 'c', {'since': since}, '?host=c&' + later),
            ('2.59', None, {'since': since}, '?' + later),
            # Nova would refuse it
            ('2.58', 'c', {'since': since}, '?host=c'),
            ('2.58', None, {'since': since}, ''),
        ):
            with self.subTest(version=version, host=host, fields=fields):
                self.at(version)
                self.answers({'migrations': []})
                arguments: dict[str, typing.Any] = {**fields}
                self.assertEqual((), self.nova.migrations(host, **arguments))
                self.assertEqual(['/os-migrations' + query], self.urls())

    def test_they_are_paged_by_uuid(self) -> None:
        item = _item(uuid='u7', user_id='u')
        self.answers(
            {'migrations': [item], 'migrations_links': test_nova_servers.NEXT},
            {'migrations': [{**item, 'id': 6}]},
        )
        found = self.nova.migrations('compute1')
        self.assertEqual([7, 6], [migration.id for migration in found])
        self.assertEqual(
            '/os-migrations?host=compute1&marker=u7', self.urls()[1]
        )

    def test_errors_name_what_was_asked(self) -> None:
        for fields, subject in (
            ({}, 'Migrations of all hosts'),
            ({'host': 'compute1'}, 'Migrations of compute1'),
            ({'host': 'compute1', 'server': 'a'}, 'Migrations of a'),
        ):
            self.answers({'migrations': [{'id': 7}]})
            arguments: dict[str, typing.Any] = {**fields}
            error = self.assertRaises(
                exceptions.CommandError, self.nova.migrations, **arguments
            )
            self.assertIn(f'{subject}: that is no answer', str(error))

    def test_their_hosts_are_not_told(self) -> None:
        hidden = {'source_compute': None, 'dest_compute': None}
        self.answers({'migrations': [_item(**hidden), _item(**hidden)]})
        error = self.assertRaises(
            exceptions.CommandError, self.nova.migrations, 'compute1'
        )
        self.assertIn('os-migrations:index:host', str(error))
        self.assertIn('Migrations of compute1', str(error))

    def test_a_time_with_an_offset(self) -> None:
        moment = '2026-11-20T08:00:00+02:00'
        item = _item(created_at=moment)
        self.answers({'migrations': [{**item, 'status': 'error'}]})
        (found,) = self.nova.migrations()
        self.assertEqual(
            datetime.datetime.fromisoformat(moment), found.created
        )

    def test_a_time_that_is_none(self) -> None:
        for moment, words in (
            ('soon', 'soon'),
            (7, 'created_at is 7'),
            # two minutes cannot be taken from it, nor a day added
            ('0001-01-01T00:00:00', 'out of range'),
            ('0001-01-01T00:00:00+23:59', 'out of range'),
            ('9999-12-31T23:59:59.999999-23:59', 'out of range'),
        ):
            item = _item(created_at=moment)
            self.answers({'migrations': [item]})
            error = self.assertRaises(
                exceptions.CommandError, self.nova.migrations
            )
            self.assertIn('no answer of the API', str(error))
            self.assertIn(words, str(error))


class TestRequesters(test_nova_servers.ServersTestCase):
    """Who has asked for a migration, where it does not tell that."""

    def setUp(self) -> None:
        super().setUp()
        self.at('2.79')

    def _asked(
        self, *statuses: str, server: str | None = None
    ) -> list[str | None]:
        """Who is told of the migrations of one server, the first one first."""
        listed = [
            _item(id=7 + number, status=status)
            for number, status in enumerate(statuses)
        ]
        done = [
            {'action': 'confirmResize', 'user_id': 'carol'},
            {'action': 'live_migration_cancel', 'user_id': 'carol'},
            {'action': 'migrate', 'user_id': 'bob'},
            {'action': 'live-migration', 'user_id': 'alice'},
        ]
        self.answers({'migrations': listed}, {'instanceActions': done})
        host = None if server else 'compute1'
        found = self.nova.migrations(host, server=server)
        self.assertEqual(
            [7 + n for n in range(len(listed))], [m.id for m in found]
        )
        return [item.user for item in found]

    def test_the_latest_that_may_be_confirmed_or_aborted(self) -> None:
        for statuses, expected in (
            (['completed', 'finished'], [None, 'bob']),
            (['running'], ['bob']),
            (['finished', 'completed'], [None, None]),
        ):
            with self.subTest(statuses=statuses):
                self.nova = servers_api.Servers(self.client)
                self.assertEqual(expected, self._asked(*statuses))

    def test_of_one_server_one_that_has_ended_as_well(self) -> None:
        told = self._asked('completed', 'completed', server='a')
        self.assertEqual([None, 'bob'], told)

    def test_it_is_asked_once(self) -> None:
        path = '/servers/a/os-instance-actions'
        self._asked('running')
        self.assertEqual([path], self.urls()[1:])
        # and known when it has ended
        self.assertEqual(['bob'], self._asked('completed'))
        self.assertEqual(1, len(self.urls()))
        self.assertEqual(['bob', 'bob'], self._asked('completed', 'running'))
        self.assertEqual([path], self.urls()[1:])

    def test_what_nova_tells_is_not_asked(self) -> None:
        item = _item(status='running')
        self.answers({'migrations': [{**item, 'user_id': 'eve'}]})
        (found,) = self.nova.migrations('compute1')
        self.assertEqual('eve', found.user)

    def test_it_is_not_told(self) -> None:
        item = _item(status='running')
        answers: list[typing.Any] = [
            nova_exceptions.Forbidden(403),
            nova_exceptions.NotFound(404),
            {'instanceActions': []},
            # Nova itself
            {'instanceActions': [{'action': 'migrate', 'user_id': None}]},
        ]
        for answer in answers:
            self.nova = servers_api.Servers(self.client)
            self.answers({'migrations': [item]}, answer)
            (found,) = self.nova.migrations('compute1')
            self.assertIsNone(found.user)
            self.assertTrue(found.unclaimed)

    def test_nova_does_not_answer_now(self) -> None:
        item = _item(status='running')
        busy = nova_exceptions.ClientException(503)
        self.answers({'migrations': [item]}, busy)
        self.assertRaises(api.TransientError, self.nova.migrations, 'compute1')
        self.assertEqual(['bob'], self._asked('running'))
