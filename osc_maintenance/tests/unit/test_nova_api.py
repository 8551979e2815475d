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

import json
import typing
from unittest import mock

from keystoneauth1 import exceptions as ksa_exceptions
from novaclient import exceptions as nova_exceptions
from osc_lib import exceptions
from oslotest import base

from osc_maintenance import fields
from osc_maintenance.nova import api

_WORDS = "Policy doesn't\nallow \x1b[2Jit"


class TestExplained(base.BaseTestCase):
    def _error(self, raised: Exception) -> exceptions.CommandError:
        def fail() -> None:
            with api.explained('The \x1b[2J subject'):
                raise raised

        error = self.assertRaises(exceptions.CommandError, fail)
        assert isinstance(error, exceptions.CommandError)
        return error

    def test_one_line_in_the_clouds_words(self) -> None:
        for raised in (
            nova_exceptions.Forbidden(403, _WORDS),
            nova_exceptions.ClientException(503, _WORDS),
            ksa_exceptions.ConnectFailure(_WORDS),
            ksa_exceptions.Unauthorized(_WORDS),
        ):
            with self.subTest(raised=raised):
                error = self._error(raised)
                words = str(error)
                self.assertTrue(words.startswith(r'The \x1b[2J subject: '))
                self.assertIn(r"Policy doesn't allow \x1b[2Jit", words)
                self.assertTrue(words.isprintable())
                self.assertIs(raised, error.__cause__)

    def test_credentials_of_an_endpoint_are_not_told(self) -> None:
        words = 'Unable to connect to http://me:s3cret@a.example/v2.1: no'
        for raised in (
            ksa_exceptions.ConnectFailure(words),
            ValueError(words),
        ):
            told = str(self._error(raised))
            self.assertIn('to http://***@a.example/v2.1: no', told)

    def test_it_is_keystone_that_does_not_answer(self) -> None:
        raised = ksa_exceptions.ServiceUnavailable(
            'busy', url='http://me:s3cret@k.example/v3/auth/tokens'
        )
        told = str(self._error(raised))
        self.assertIn('http://***@k.example/v3/auth/tokens: busy', told)

    def test_what_may_go_away_by_itself(self) -> None:
        for raised, passing in (
            (nova_exceptions.from_response(_response(500), {}, ''), True),
            (nova_exceptions.from_response(_response(502), {}, ''), True),
            (nova_exceptions.from_response(_response(503), {}, ''), True),
            (nova_exceptions.from_response(_response(504), {}, ''), True),
            (nova_exceptions.from_response(_response(429), {}, ''), True),
            (nova_exceptions.BadRequest(400), False),
            (nova_exceptions.Unauthorized(401), False),
            (nova_exceptions.Forbidden(403), False),
            (nova_exceptions.NotFound(404), False),
            (nova_exceptions.NotAcceptable(406), True),
            (nova_exceptions.Conflict(409), False),
            (nova_exceptions.OverLimit(413), False),
            (nova_exceptions.ClientException(499), False),
            (ksa_exceptions.ConnectFailure(''), True),
            # Keystone's own, which has no class of its own in old releases
            (ksa_exceptions.HttpError('', http_status=429), True),
            (ksa_exceptions.HttpError('', http_status=503), True),
            (ksa_exceptions.HttpError('', http_status=401), False),
            (ksa_exceptions.ConnectTimeout(''), True),
            (ksa_exceptions.InternalServerError(''), True),
            (ksa_exceptions.ServiceUnavailable(''), True),
            (ksa_exceptions.BadGateway(''), True),
            (ksa_exceptions.Unauthorized(''), False),
            (ksa_exceptions.EndpointNotFound(''), False),
            (ksa_exceptions.SSLError(''), False),
            (KeyError('servers'), False),
        ):
            with self.subTest(raised=raised):
                error = self._error(raised)
                self.assertIs(passing, isinstance(error, api.TransientError))
                self.assertNotIsInstance(error, api.OvertakenError)

    def test_no_answer_of_the_api(self) -> None:
        for raised in (
            AttributeError('x'),
            IndexError('x'),
            KeyError('x'),
            OverflowError('x'),
            RecursionError('x'),
            TypeError('x'),
            ValueError('x'),
        ):
            with self.subTest(raised=raised):
                words = str(self._error(raised))
                self.assertIn('that is no answer of the API', words)
                self.assertIn(repr(raised), words)

    def test_what_is_known_already_is_left_as_it_is(self) -> None:
        overtaken = api.OvertakenError('somebody was quicker')
        self.assertIs(overtaken, self._error(overtaken))

    def test_bugs_of_ours_are_not_hidden(self) -> None:
        def fail() -> None:
            with api.explained('x'):
                raise AssertionError

        self.assertRaises(AssertionError, fail)


class TestByStatus(base.BaseTestCase):
    def _refusal(self, status: int, body: object) -> Exception:
        response = _response(status)
        response.content = json.dumps(body).encode()
        request = mock.Mock(return_value=(response, body))

        def ask() -> None:
            api.by_status(request)('/things', 'POST', body={'a': 1})

        error: Exception = self.assertRaises(
            nova_exceptions.ClientException, ask
        )
        request.assert_called_once_with(
            '/things', 'POST', raise_exc=False, body={'a': 1}
        )
        return error

    def test_whatever_the_body_is(self) -> None:
        for status, kind in (
            (403, nova_exceptions.Forbidden),
            (404, nova_exceptions.NotFound),
            (409, nova_exceptions.Conflict),
            (429, nova_exceptions.RateLimit),
            (503, nova_exceptions.ClientException),
            (504, nova_exceptions.ClientException),
        ):
            for body in (
                {'error': 'upstream is busy'},
                {'errors': [{'status': status}]},
                {'error': None},
                {'error': {'message': ['busy']}},
                {'message': 7},
                ['busy'],
                'busy',
                7,
            ):
                error = self._refusal(status, body)
                self.assertIs(kind, type(error))
                self.assertEqual(
                    f'{json.dumps(body)} (HTTP {status})', str(error)
                )

    def test_what_nova_does_not_know_is_for_nova_to_say(self) -> None:
        response = _response(404)
        for content, body in (
            (b'<h1>no route</h1>', None),
            (b'{"error": "no route"}', {'error': 'no route'}),
        ):
            response.content = content
            ask = api.by_status(mock.Mock(return_value=(response, body)))

            def look(
                ask: typing.Callable[..., object] = ask, method: str = 'GET'
            ) -> object:
                with api.explained('Server web'):
                    try:
                        return ask('/servers/web', method)
                    except nova_exceptions.NotFound:
                        return None

            error = self.assertRaises(api.TransientError, look)
            self.assertEqual(
                f'Server web: {content.decode()} (HTTP 404)', str(error)
            )
            # what changes something is looked at again anyway
            self.assertIsNone(look(method='DELETE'))
        told = {'conflictingRequest': {'code': 409, 'message': 'busy'}}
        ask = api.by_status(mock.Mock(return_value=(_response(409), told)))
        error = self.assertRaises(api.TransientError, look, ask)
        self.assertEqual('Server web: busy (HTTP 409)', str(error))
        refused = self.assertRaises(
            exceptions.CommandError, look, ask, method='POST'
        )
        self.assertNotIsInstance(refused, api.TransientError)
        told = {'itemNotFound': {'code': 404, 'message': 'no such server'}}
        ask = api.by_status(mock.Mock(return_value=(response, told)))
        self.assertRaises(nova_exceptions.NotFound, ask, '/servers/x', 'GET')

    def test_novas_own_words(self) -> None:
        for body in (
            {'badRequest': {'code': 400, 'message': 'no such thing'}},
            {'message': 'no such thing', 'code': 400, 'details': None},
        ):
            error = self._refusal(400, body)
            self.assertEqual('no such thing (HTTP 400)', str(error))

    def test_the_words_of_others_are_cut(self) -> None:
        response = _response(502)
        for content, words in (
            (b'<h1>\n  Bad\n gateway</h1>\n', '<h1> Bad gateway</h1>'),
            (b'x' * 9999, 'x' * 199 + '…'),
            (b'\xff\x1b', '\ufffd\x1b'),
            (b'', 'Unknown Error'),
        ):
            response.content = content
            ask = api.by_status(mock.Mock(return_value=(response, None)))
            error = self.assertRaises(
                nova_exceptions.ClientException, ask, '/things', 'GET'
            )
            self.assertEqual(f'{words} (HTTP 502)', str(error))

    def test_what_is_no_refusal(self) -> None:
        answer = (_response(202), {'error': 'x'})
        ask = api.by_status(mock.Mock(return_value=answer))
        self.assertEqual(answer, ask('/things', 'GET'))

    def test_a_page_for_people(self) -> None:
        response = _response(200)
        for content in (b'<h1>\n Welcome</h1>', b'null'):
            response.content = content
            answer = (response, None)
            ask = api.by_status(mock.Mock(return_value=answer))

            def look(ask: typing.Callable[..., object] = ask) -> None:
                with api.explained('Server web'):
                    ask('/servers/web', 'GET')

            error = self.assertRaises(api.TransientError, look)
            words = ' '.join(content.decode().split())
            self.assertEqual(
                f'Server web: that is no JSON object: {words} (HTTP 200)',
                str(error),
            )
        # many an answer to a change is empty
        self.assertEqual(answer, ask('/servers/web/action', 'POST'))


class TestPages(base.BaseTestCase):
    def _pages(
        self, *bodies: object, path: str = '/things', **query: str
    ) -> list[typing.Any]:
        client = mock.Mock(spec=['client'])
        client.client = mock.Mock(spec=['get'])
        client.client.get.side_effect = [(None, body) for body in bodies]
        try:
            return list(api.pages(client, 'things', path, **query))
        finally:
            self.urls = [call.args[0] for call in client.client.get.mock_calls]

    def test_one_page_is_one_request(self) -> None:
        items = [{'id': 1}, {'id': 2}]
        self.assertEqual(items, self._pages({'things': items}))
        self.assertEqual(['/things'], self.urls)

    def test_the_next_page_begins_behind_the_last_item(self) -> None:
        more = [{'rel': 'self', 'href': 'x'}, {'rel': 'next', 'href': 'x'}]
        for last, marker in (
            ({'id': 7}, '7'),
            ({'id': 7, 'uuid': 'u7'}, 'u7'),
        ):
            found = self._pages(
                {'things': [{'id': 6}, last], 'things_links': more},
                {'things': [{'id': 8}], 'things_links': more[:1]},
                host='a&b #1',
            )
            self.assertEqual([{'id': 6}, last, {'id': 8}], found)
            first = '/things?host=a%26b+%231'
            self.assertEqual([first, f'{first}&marker={marker}'], self.urls)

    def test_there_is_no_end_of_them(self) -> None:
        # each is another one
        bodies = [
            {'things': [{'id': number}], 'things_links': [{'rel': 'next'}]}
            for number in range(9)
        ]
        with mock.patch.object(api, 'PAGES', 7):
            error = self.assertRaises(fields.FieldError, self._pages, *bodies)
        self.assertEqual('it has more than 7 pages', str(error))
        self.assertEqual(7, len(self.urls))

    def test_a_page_without_items_ends_it(self) -> None:
        self.assertEqual([], self._pages({'things': []}))

    def test_no_answer_of_the_api(self) -> None:
        more = [{'rel': 'next', 'href': 'x'}]
        bodies: list[typing.Any] = [
            None,
            [],
            {},
            {'things': None},
            {'things': [], 'things_links': more},
        ]
        for body in bodies:
            with self.subTest(body=body):

                def read(answer: object = body) -> None:
                    with api.explained('Things'):
                        self._pages(answer)

                error = self.assertRaises(exceptions.CommandError, read)
                self.assertIn('Things: that is no answer', str(error))


def _response(status: int) -> mock.Mock:
    response = mock.Mock(spec=['status_code', 'headers', 'content'])
    response.status_code, response.headers = status, {}
    return response
