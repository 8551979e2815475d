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

"""What stands between the cloud and us, and answers in its place."""

import itertools
import json
import logging
import typing

import fixtures
from oslotest import base
import requests

from osc_maintenance.nova import api
from osc_maintenance.tests.unit import spoil
from osc_maintenance.tests.unit import wire

Way = tuple[int | None, dict[str, str], bytes | None]

#: What a load balancer, a gateway or a WAF may say, in no form of Nova's.
REFUSALS: tuple[typing.Any, ...] = (
    {'error': 'upstream is busy'},
    {'error': None},
    {'errors': [{'status': 503, 'title': 'busy'}]},
    {'errors': ['busy']},
    {'status': 503, 'detail': 'busy'},
    {'message': ['busy'], 'code': 14},
    {'error': {'message': 7}},
    ['busy'],
    'busy',
    7,
    {spoil.EVIL: spoil.EVIL, 'x': 'x' * 3000},
)
_HTML = b'<html><body><h1>no server is available</h1></body></html>'
_DEEP = b'[' * 200_000
#: As headers come: each byte is a character.
_EVIL = 'x\x1b[2J\r\x9b31m/../\xff'
#: The status, the headers and the bytes of answers that Nova never gives;
#: None leaves the right one.
WAYS: tuple[Way, ...] = (
    *(
        (status, {}, json.dumps(body).encode())
        for status, body in zip(
            itertools.cycle((400, 401, 403, 404, 409, 413, 429, 500, 503)),
            REFUSALS,
            strict=False,
        )
    ),
    *((status, {}, _HTML) for status in (None, 300, 404, 409, 502, 599)),
    *((status, {}, _DEEP) for status in (None, 404, 503)),
    *(
        (None, {}, said)
        for said in (b'', b'{"a": ', b'\xff\xfe{', b'9' * 5000)
    ),
    (204, {}, b''),
    (429, {'Retry-After': _EVIL, 'x-compute-request-id': _EVIL}, None),
    (503, {'Content-Type': 'text/html; charset=undefined'}, _HTML),
    (None, {'Content-Type': f'application/json; charset={_EVIL}'}, None),
    (None, {'x-compute-request-id': _EVIL}, None),
    (None, {'x-openstack-request-id': _EVIL}, None),
    (301, {'Location': _EVIL}, None),
)


class ResponseTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        # what others log of the requests is not ours
        self.useFixture(fixtures.FakeLogger(level=logging.INFO))
        self.useFixture(fixtures.MockPatchObject(api, '_PAUSES', (0.0, 0.0)))

    def run_with(self, name: str, meddle: wire.Meddle) -> spoil.Outcome:
        """Run a command; what it says and writes then is harmless."""
        cloud = spoil.cloud_of(name)
        cloud.meddle = meddle
        outcome = spoil.run(name, cloud, lambda _route, body: body)
        self.assertTrue(outcome.harmless, repr(outcome.said))
        self.assertNotIn('Traceback', outcome.said)
        for write in outcome.writes:
            self.assertRegex(write, '^[A-Z]+ [0-9A-Za-z_:/-]+$')
        return outcome


def once(method: str, number: int, status: int, content: bytes) -> wire.Meddle:
    """Answer one request of a method, which Nova has carried out, so."""
    seen: list[str] = []

    def meddle(route: str, response: requests.Response) -> None:
        if route.startswith(method):
            seen.append(route)
            if len(seen) == number:
                response.status_code = status
                response._content = content

    return meddle


class TestResponses(ResponseTestCase):
    """Whatever answers one of the requests, nothing breaks."""

    def test_commands(self) -> None:
        # each request of each command in one of the ways
        ways = itertools.cycle(WAYS)
        for name in spoil.COMMANDS:
            for wrong in spoil.bodies(name):
                way = next(ways)
                with self.subTest(name=name, wrong=wrong, way=way):
                    self.check(name, wrong, way)

    def check(self, name: str, wrong: str, way: Way) -> None:
        """What a command does when a route is answered in some way."""
        status, headers, content = way

        def meddle(route: str, response: requests.Response) -> None:
            if route == wrong:
                response.headers.update(headers)
                response.status_code = status or response.status_code
                if content is not None:
                    response._content = content

        outcome = self.run_with(name, meddle)
        self.assertLess(len(outcome.error), 500)


class TestStatuses(ResponseTestCase):
    """A refusal is what its status says, whatever its body is."""

    def test_as_one_of_html(self) -> None:
        # which has always counted by its status; by then Nova has done it
        for name, method, number in (
            ('set', 'POST', 2),
            ('set drains', 'POST /servers/', 1),
            ('set waits', 'GET /os-migrations', 3),
            ('unset', 'DELETE', 1),
        ):
            for status in (404, 409, 503):
                html = self.run_with(name, once(method, number, status, _HTML))
                body = json.dumps({'error': 'upstream is busy'}).encode()
                told = self.run_with(name, once(method, number, status, body))
                with self.subTest(name=name, method=method, status=status):
                    self.assertEqual(html.writes, told.writes)
                    self.assertEqual(bool(html.error), bool(told.error))
                    self.assertNotIn('no answer of the API', told.said)

    def test_what_is_said(self) -> None:
        for body in REFUSALS:
            content = json.dumps(body).encode()
            outcome = self.run_with(
                'show', once('GET /os-services', 1, 403, content)
            )
            self.assertIn('(HTTP 403)', outcome.error)
            self.assertNotIn('no answer of the API', outcome.error)
            self.assertLess(len(outcome.error), 400)

    def test_any_body(self) -> None:
        cloud = wire.Cloud()
        servers = cloud.clients().servers
        novas = {'computeFault': {'code': 503, 'message': 'busy'}}
        for place in spoil.paths(novas):
            for value in spoil.VALUES:
                body = json.dumps(spoil.spoiled(novas, place, value))
                cloud.meddle = once('GET', 1, 503, body.encode())
                with self.subTest(body=body[:60]):
                    error = self.assertRaises(
                        api.TransientError, servers.on, 'compute1'
                    )
                    self.assertIn('(HTTP 503)', str(error))
                    self.assertTrue(str(error).isprintable())
