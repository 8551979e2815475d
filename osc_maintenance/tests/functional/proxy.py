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

"""A proxy before Nova: counts what is asked, and can get in the way."""

import collections.abc
import dataclasses
import http.client
import http.server
import socket
import ssl
import struct
import threading
import typing
from urllib import parse

import fixtures

from osc_maintenance.tests.cloud import operations

#: Decides about a request: called with its method and path before it is
#: passed on, and again when Nova has answered.
Hook = collections.abc.Callable[[str, str], None]

_WRITES = ('POST', 'PUT', 'DELETE')
#: How long silence lasts, unless the client goes, in seconds.
_SILENCE = 60.0
#: What a proxy says itself, and not for the service.
_OWN_HEADERS = (
    'connection',
    'content-length',
    'date',
    'server',
    'transfer-encoding',
)
#: As a load balancer says it, in no form of Nova's.
_BUSY = b'{"error": "upstream is busy"}'
_JSON = (('Content-Type', 'application/json'),)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the client is told.

    :ivar status: the HTTP status.
    :ivar headers: the headers, but for those about the connection.
    :ivar body: the body.
    :ivar missing: how many bytes are promised that do not come.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b''
    missing: int = 0


class ResetError(ConnectionError):
    """The connection is reset, where any other such error closes it."""


class SilenceError(ConnectionError):
    """Nothing is answered until the client closes the connection.

    :param ended: is told whether it has, or has waited on.
    """

    def __init__(self, ended: collections.abc.Callable[[bool], None]) -> None:
        super().__init__()
        self.ended = ended


class Fault:
    """What happens to one request; nothing, unless it is overridden.

    A ConnectionError of either ends the connection without an answer.
    """

    def before(self) -> Answer | None:
        """An answer that the service has no part in, or None to ask it."""
        return None

    def after(self, answer: Answer) -> Answer:
        """What the client is told instead of what the service answered."""
        return answer


class Proxy(fixtures.Fixture):
    """Passes everything on to one service.

    :param target: the service's URL.
    :param tls: serve TLS with this context.
    :ivar url: where to reach the proxy.
    :ivar requests: what was asked, as (method, path with query).
    :ivar passing: the threads whose request is on its way.
    :ivar before: called before a request is passed on; a ConnectionError of
        its keeps the request from Nova, and the connection is closed.
    :ivar after: called when it has been answered, before the client is told,
        or will never be.
    :ivar rewrite: changes the body of an answer.
    :ivar answer: the status of an answer that Nova has no part in, or None to
        ask it.
    :ivar fault: what is to happen to a request, or None.
    """

    def __init__(self, target: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.target = parse.urlsplit(target)
        self.tls = tls
        self.requests: list[tuple[str, str]] = []
        self.passing: set[int] = set()
        self.before: Hook = _nothing
        self.after: Hook = _nothing
        self.rewrite: collections.abc.Callable[[bytes], bytes] = bytes
        self.answer: collections.abc.Callable[[str, str], int | None] = (
            lambda _method, _path: None
        )
        self.fault: collections.abc.Callable[[str, str], Fault | None] = (
            lambda _method, _path: None
        )

    @property
    def writes(self) -> list[tuple[str, str]]:
        """The requests that change something."""
        return [item for item in self.requests if item[0] in _WRITES]

    def settle(self) -> None:
        """Wait until the service has answered all that is on its way."""
        operations.wait_for('all is answered', lambda: not self.passing)

    def _setUp(self) -> None:
        proxy = self

        class Handler(_Handler):
            pass

        Handler.proxy = proxy
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        server.daemon_threads = True
        scheme = 'http'
        if self.tls:
            server.socket = self.tls.wrap_socket(
                server.socket, server_side=True
            )
            scheme = 'https'
        self.url = f'{scheme}://127.0.0.1:{server.server_address[1]}'
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)


def _nothing(_method: str, _path: str) -> None:
    pass


class _Handler(http.server.BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = 'HTTP/1.1'
    # headers and body are two packets: the second is not to wait
    disable_nagle_algorithm = True

    def handle(self) -> None:
        try:
            super().handle()
        except ResetError:
            self.close_connection = True
            self._reset()
        except SilenceError as exc:
            self.close_connection = True
            exc.ended(self._is_left())
        except (ConnectionError, ssl.SSLError):
            # the client was killed, or does not trust us
            self.close_connection = True

    def _is_left(self) -> bool:
        """Whether the client closes the connection in good time."""
        self.connection.settimeout(_SILENCE)
        try:
            return not self.connection.recv(1)
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def _reset(self) -> None:
        """Close the connection so that the client sees it reset."""
        linger = struct.pack('ii', 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        for part in (self.rfile, self.wfile, self.connection):
            part.close()

    def _serve(self) -> None:
        self.proxy.passing.add(threading.get_ident())
        try:
            self._pass_on()
        finally:
            self.proxy.passing.discard(threading.get_ident())

    def _pass_on(self) -> None:
        proxy = self.proxy
        length = int(self.headers.get('Content-Length') or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            # the service would wait for the rest
            raise ConnectionError('the client was killed on the way')
        proxy.requests.append((self.command, self.path))
        if status := proxy.answer(self.command, self.path):
            self._tell(Answer(status, _JSON, _BUSY))
            return
        fault = proxy.fault(self.command, self.path) or Fault()
        if told := fault.before():
            self._tell(told)
            return
        proxy.before(self.command, self.path)
        try:
            answer = self._ask(body)
        finally:
            proxy.after(self.command, self.path)
        self._tell(fault.after(answer))

    def _ask(self, body: bytes) -> Answer:
        """What the service answers."""
        proxy = self.proxy
        assert proxy.target.hostname
        connection = http.client.HTTPConnection(
            proxy.target.hostname, proxy.target.port, timeout=120
        )
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in ('host', 'connection')
        }
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = proxy.rewrite(answer.read())
        except OSError as exc:
            # no fault of a test, which would pass it off as one
            what = f'{self.command} {proxy.target.netloc}{self.path}'
            raise RuntimeError(f'{what}: {exc!r}') from exc
        connection.close()
        told = tuple(
            (name, value)
            for name, value in answer.getheaders()
            if name.lower() not in _OWN_HEADERS
        )
        return Answer(answer.status, told, content)

    def _tell(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        length = len(answer.body) + answer.missing
        self.send_header('Content-Length', str(length))
        self.end_headers()
        self.wfile.write(answer.body)
        if answer.missing:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def log_message(self, format: str, *args: typing.Any) -> None:  # noqa: A002
        pass
