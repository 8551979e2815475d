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

from unittest import mock

from oslotest import base

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance.drain import names
from osc_maintenance import journal
from osc_maintenance import noting
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes

LOAD = servers.Load(
    'compute\x1b1',
    (
        scenes.server('web', project='alpha-id'),
        scenes.server('db', project='beta-id'),
        servers.Server('other-id', 'db'),
        # one that bears the id of another one as its name
        servers.Server('odd-id', 'web-id'),
    ),
)


class TestServers(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clients = fakes.Clients()
        self.host = scenes.host()

    def _servers(
        self, *words: str, load: servers.Load = LOAD
    ) -> frozenset[str]:
        return names.servers_of(
            words, fakes.real(self.clients), self.host, load
        )

    def test_one_that_has_left_already(self) -> None:
        # set is run again with the same arguments
        gone = scenes.server('gone')
        self.clients.servers.loads = {
            'compute2': servers.Load('compute2', (gone,))
        }
        self.assertRaises(asking.RefusedError, self._servers, 'gone')
        moved = {gone.id: journal.Move('live-migrate', 7)}
        notes = noting.started(journal.Journal(), moved)
        noted = scenes.after(scenes.entered(), change.WriteRecord(notes))
        wanted = asking.Request(
            policy=policy.Policy(only=frozenset([gone.id]))
        )
        for self.host in (noted, scenes.entered(request=wanted)):
            for word in (gone.id, 'gone'):
                self.assertEqual({gone.id}, self._servers(word))
            self.assertRaises(asking.RefusedError, self._servers, 'other')

    def test_names_and_ids(self) -> None:
        for words, expected in (
            ((), set()),
            (('web',), {'web-id'}),
            (('other-id',), {'other-id'}),
            (('web', 'web-id', 'other-id'), {'web-id', 'other-id'}),
            # an id comes before a name
            (('web-id',), {'web-id'}),
        ):
            with self.subTest(words=words):
                self.assertEqual(expected, self._servers(*words))

    def test_what_is_not_there(self) -> None:
        for load in (LOAD, servers.Load('compute\x1b1', None)):
            error = self.assertRaises(
                asking.RefusedError, self._servers, 'we\x1bb', load=load
            )
            self.assertEqual(
                r'There is no server we\x1bb on compute\x1b1', str(error)
            )
        self.assertRaises(asking.RefusedError, self._servers, 'web', 'x')
        self.assertRaises(asking.RefusedError, self._servers, 'WEB')

    def test_several_of_that_name(self) -> None:
        error = self.assertRaises(asking.RefusedError, self._servers, 'db')
        self.assertIn('2 servers', str(error))
        self.assertIn('db-id, other-id', str(error))


class TestProjects(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clients = fakes.Clients()
        self.clients.projects = {'gamma': 'gamma-id', 'alpha': 'alpha-id'}

    def _projects(self, *words: str) -> frozenset[str]:
        return names.projects_of(words, fakes.real(self.clients), LOAD)

    def test_names_and_ids(self) -> None:
        for words, expected in (
            ((), set()),
            (('alpha', 'gamma'), {'alpha-id', 'gamma-id'}),
            (('alpha', 'alpha-id'), {'alpha-id'}),
        ):
            self.assertEqual(expected, self._projects(*words))

    def test_keystone_is_not_asked_about_what_is_known(self) -> None:
        with mock.patch.object(self.clients, 'project') as asked:
            self.assertEqual({'beta-id'}, self._projects('beta-id'))
        asked.assert_not_called()

    def test_what_is_not_there(self) -> None:
        error = self.assertRaises(
            asking.RefusedError, self._projects, 'alpha', 'x\x1by'
        )
        self.assertEqual(r'There is no project x\x1by', str(error))

    def test_a_name_that_two_have(self) -> None:
        self.clients.projects['both'] = ['id-2', 'id-1']
        error = self.assertRaises(asking.RefusedError, self._projects, 'both')
        self.assertEqual(
            '2 projects have the name both: give one of their IDs: id-1, id-2',
            str(error),
        )
