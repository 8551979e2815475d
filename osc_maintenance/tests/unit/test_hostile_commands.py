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

"""Whatever answers in the place of Nova, a command takes it as it has to."""

import inspect
import logging
import re
import typing

import fixtures
from oslotest import base

from osc_maintenance.tests.unit import places
from osc_maintenance.tests.unit import spoil
from osc_maintenance.tests.unit import wire
from osc_maintenance.tests.unit import wire_items


class HostileTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        # what others log of the requests is not ours
        self.useFixture(fixtures.FakeLogger(level=logging.INFO))

    def check(
        self, outcome: spoil.Outcome, route: str, place: spoil.Path = ()
    ) -> None:
        """Nothing is printed raw, and nothing written on bad grounds."""
        self.assertEqual([], places.faults(outcome, route, place))


class TestOnePlace(HostileTestCase):
    """One place of one answer is not as it should be."""

    def _some(self, value: typing.Any) -> None:
        for case in places.some(value):
            with self.subTest(case=case):
                self.assertEqual([], places.wrong(case))

    def test_it_is_missing(self) -> None:
        self._some(spoil.MISSING)

    def test_it_is_text_that_does_something_to_a_terminal(self) -> None:
        self._some(spoil.EVIL)

    def test_it_is_anything_else(self) -> None:
        self._some(None)

    def test_nothing_is_written_without_it(self) -> None:
        for case in places.without():
            with self.subTest(case=case):
                self.assertEqual([], places.unmissed(case))

    def test_all_that_can_be_read_is_asked_for(self) -> None:
        asked = {case.route for case in places.some(None)}
        answered = re.findall("'(/.+)'", inspect.getsource(wire.Cloud._read))
        self.assertIn('/os-services', answered)
        for path in answered:
            self.assertIn(f'GET {path}', asked)


class TestRefused(HostileTestCase):
    """What is wrong is told in one line, and nothing is written."""

    def _run(
        self, name: str, wrong: str, place: spoil.Path, value: typing.Any
    ) -> spoil.Outcome:
        def change(route: str, body: typing.Any) -> typing.Any:
            return (
                spoil.spoiled(body, place, value) if route == wrong else body
            )

        outcome = spoil.run(name, spoil.cloud_of(name), change)
        self.check(outcome, wrong, place)
        return outcome

    def test_fields_of_other_types(self) -> None:
        services, aggregates = 'GET /os-services', 'GET /os-aggregates'
        servers, migrations = 'GET /servers/detail', 'GET /os-migrations'
        for name, route, place, value, words in (
            ('set', services, ('services', 0, 'id'), 7, 'id is 7'),
            ('set', services, ('services', 0, 'id'), '../x', 'no ID'),
            ('set', services, ('services', 0, 'status'), [], 'status is []'),
            ('set', services, (), [], 'no answer'),
            (
                'set drains',
                servers,
                ('servers', 0, 'status'),
                spoil.MISSING,
                'status is missing',
            ),
            ('set drains', servers, ('servers', 0), 7, 'no object'),
            ('set drains', servers, ('servers', 0, 'name'), 7, 'name is 7'),
            (
                'set drains',
                servers,
                ('servers', 0, 'flavor', 'ram'),
                2**70,
                'not a number',
            ),
            (
                'set drains',
                migrations,
                ('migrations', 0, 'id'),
                True,
                'id is True',
            ),
            (
                'set drains',
                migrations,
                ('migrations', 0, 'created_at'),
                'yesterday',
                'yesterday',
            ),
            (
                'show',
                aggregates,
                ('aggregates', 0, 'metadata', 'maintenance:reason'),
                [spoil.EVIL],
                'maintenance:reason is [',
            ),
            ('show', aggregates, ('aggregates', 0, 'uuid'), None, 'uuid is'),
            (
                'server acknowledge',
                'GET /servers/{}',
                ('server', 'metadata'),
                'x',
                "metadata is 'x'",
            ),
        ):
            with self.subTest(name=name, place=place):
                outcome = self._run(name, route, place, value)
                self.assertIn('no answer of the API', outcome.error)
                self.assertIn(words, outcome.error)
                self.assertEqual(1, len(outcome.error.splitlines()))
                self.assertEqual([], outcome.writes + outcome.later)

    def test_versions_that_are_none(self) -> None:
        for field in ('version', 'min_version'):
            for value in ('newest', spoil.EVIL, '2', 7):
                outcome = self._run('set', 'GET ', ('version', field), value)
                self.assertIn('Nova: that is no answer', outcome.error)
                self.assertEqual([], outcome.writes + outcome.later)

    def test_a_listing_without_end(self) -> None:
        # each page says that there is another one, and it is the same
        def endless(route: str, body: typing.Any) -> typing.Any:
            if route == 'GET /servers/detail':
                return {**body, 'servers_links': [{'rel': 'next'}]}
            return body

        outcome = spoil.run(
            'server list', spoil.cloud_of('server list'), endless
        )
        self.check(outcome, 'GET /servers/detail')
        self.assertIn(
            f'its pages come again from {wire_items.DB} on', outcome.error
        )

    def test_groups_without_end(self) -> None:
        # what does not know of offsets tells the same again
        def endless(route: str, body: typing.Any) -> typing.Any:
            if route == 'GET /os-server-groups':
                return {'server_groups': wire_items.groups()}
            return body

        outcome = spoil.run('dry-run', spoil.cloud_of('dry-run'), endless)
        self.check(outcome, 'GET /os-server-groups')
        self.assertEqual('', outcome.error)

    def test_an_image_that_is_none(self) -> None:
        answers: tuple[typing.Any, ...] = ([], 'x', 7)
        for body in answers:
            outcome = self._run('dry-run', 'GET /v2/images/{}', (), body)
            self.assertEqual('', outcome.error)

    def test_the_project_of_a_server(self) -> None:
        place = ('servers', 0, 'tenant_id')
        for name in ('server list', 'show'):
            outcome = self._run(name, 'GET /servers/detail', place, spoil.EVIL)
            self.assertEqual('', outcome.error)
            self.assertIn(r'x\x1b[2J', outcome.said)

    def test_hosts_where_servers_are_moved(self) -> None:
        for route, place in (
            ('GET /os-aggregates/{}', ('aggregate', 'hosts', 0)),
            ('GET /os-migrations', ('migrations', 0, 'dest_compute')),
        ):
            outcome = self._run('set waits', route, place, spoil.EVIL)
            self.assertIn(r'x\x1b[2J', outcome.said)

    def test_the_note_of_a_server_that_comes_back_is_gone(self) -> None:
        web = wire_items.WEB
        outcome = self._run(
            'unset returns',
            'GET /os-aggregates/{}',
            ('aggregate', 'metadata', f'maintenance:move:{web}'),
            spoil.MISSING,
        )
        self.assertIn('no longer recorded that it was moved', outcome.said)
        writes = [*outcome.writes, *outcome.later]
        self.assertNotIn(f'POST /servers/{web}/action', writes)
        self.assertIn(f'POST /servers/{wire_items.DB}/action', writes)


class TestNothingSpoiled(HostileTestCase):
    """Without it these tests would show nothing."""

    def test_commands_do_what_they_are_for(self) -> None:
        for name in spoil.COMMANDS:
            with self.subTest(name):
                outcome = spoil.run(
                    name, spoil.cloud_of(name), lambda _route, body: body
                )
                self.check(outcome, 'nothing')
                fails = name == 'show unknown'
                self.assertEqual(fails, bool(outcome.error))
                writes = name.startswith(('set', 'unset', 'server ack'))
                self.assertEqual(writes, bool(outcome.writes))
