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

import json
import logging
import typing

import fixtures
from oslotest import base
import requests

from osc_maintenance.tests.unit import spoil
from osc_maintenance.tests.unit import wire

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


class ResponseTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        # what others log of the requests is not ours
        self.useFixture(fixtures.FakeLogger(level=logging.INFO))

    def run_with(self, name: str, meddle: wire.Meddle) -> spoil.Outcome:
        """Run a command; what it says then is harmless."""
        cloud = spoil.cloud_of(name)
        cloud.meddle = meddle
        outcome = spoil.run(name, cloud, lambda _route, body: body)
        self.assertTrue(outcome.harmless, repr(outcome.said))
        self.assertNotIn('Traceback', outcome.said)
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
