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

"""What stands between a client and the cloud, and spoils one request."""

import collections.abc
import dataclasses
import json
import pathlib
import threading
import typing

import fixtures
import yaml

from osc_maintenance.tests.cloud import fixture
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.faults import cases
from osc_maintenance.tests.functional import proxy

#: What a service says that is out of order.
WORDS = 'told to be out of order'
#: How long a client waits for an answer that is to meet silence, in seconds.
PATIENCE = 6.0
_READS = ('GET', 'HEAD')
_HTML = (('Content-Type', 'text/html'),)
_PAGE = b'<html><body>It works!</body></html>'


@dataclasses.dataclass(frozen=True)
class Request:
    """A request of a client.

    :ivar done: whether the service has done what it asks for.
    """

    service: str
    method: str
    path: str
    done: bool = True

    @property
    def writes(self) -> bool:
        """Whether it has changed something; a token is nothing of ours."""
        return (
            self.done
            and self.method not in _READS
            and self.service != 'identity'
        )

    def __str__(self) -> str:
        return f'{self.service} {self.method} {self.path}'


def _refusal(service: str, status: int) -> typing.Any:
    """How a service says that something is wrong."""
    if service == 'placement':
        return {
            'errors': [{'status': status, 'title': 'Error', 'detail': WORDS}]
        }
    error = {'message': WORDS, 'code': status, 'title': 'Error'}
    return {'error' if service == 'identity' else 'computeFault': error}


class _Injected(proxy.Fault):
    """One fault.

    :param kind: which.
    :param service: the service whose request it is.
    :param kill: kills the client, and returns when it is gone.
    :param left: is told whether the client gives up when nobody answers.
    """

    def __init__(
        self,
        kind: cases.Kind,
        service: str,
        kill: collections.abc.Callable[[], None],
        left: collections.abc.Callable[[bool], None],
    ) -> None:
        self._kind, self._service = kind, service
        self._kill, self._left = kill, left

    def before(self) -> proxy.Answer | None:
        kind = self._kind
        if kind is cases.Kind.KILL_BEFORE:
            self._kill()
            raise ConnectionError
        if kind is cases.Kind.RESET_BEFORE:
            raise proxy.ResetError
        if kind.status is None:
            return None
        headers = [('Content-Type', 'application/json')]
        if kind is cases.Kind.TOO_MANY:
            headers.append(('Retry-After', '1'))
        body = json.dumps(_refusal(self._service, kind.status)).encode()
        return proxy.Answer(kind.status, tuple(headers), body)

    def after(self, answer: proxy.Answer) -> proxy.Answer:
        match self._kind:
            case cases.Kind.KILL_AFTER:
                self._kill()
                raise ConnectionError
            case cases.Kind.RESET_AFTER:
                raise proxy.ResetError
            case cases.Kind.CUT_SHORT:
                half = answer.body[: len(answer.body) // 2]
                missing = len(answer.body) - len(half) or 1
                return dataclasses.replace(answer, body=half, missing=missing)
            case cases.Kind.NOT_JSON:
                return proxy.Answer(answer.status, _HTML, _PAGE)
            case cases.Kind.GATEWAY:
                return proxy.Answer(504, _HTML, _PAGE)
            case cases.Kind.SILENCE:
                raise proxy.SilenceError(self._left)
        return answer


def _moved(old: str, new: str) -> collections.abc.Callable[[bytes], bytes]:
    """Writes one address for another."""
    return lambda body: body.replace(old.encode(), new.encode())


class Line(fixtures.Fixture):
    """Proxies before Nova, Keystone, Placement and Glance.

    :param cloud: a running cloud.
    :param directory: where to write a clouds.yaml.
    :ivar requests: what was asked since it was armed, in order.
    :ivar hit: the request that was spoiled.
    :ivar patient: the client has waited on although nobody answered.
    """

    def __init__(self, cloud: fixture.Cloud, directory: pathlib.Path) -> None:
        super().__init__()
        self._cloud, self._path = cloud, directory / 'clouds.yaml'
        self._lock = threading.Lock()
        self._passing = 0
        self.arm()

    def _setUp(self) -> None:
        proxies = {
            name: self._before(name)
            for name in ('compute', 'identity', 'placement', 'image')
        }
        for name in ('identity', 'image'):
            # what they say of themselves leads past the proxy
            proxies[name].rewrite = _moved(
                self._cloud.urls[name], proxies[name].url
            )
        identity = proxies['identity']
        config = yaml.safe_load(self._cloud.clouds_yaml.read_text())
        for cloud in config['clouds'].values():
            cloud['auth']['auth_url'] = f'{identity.url}/v3'
            cloud['compute_endpoint_override'] = (
                f'{proxies["compute"].url}/v2.1'
            )
            cloud['placement_endpoint_override'] = proxies['placement'].url
            cloud['image_endpoint_override'] = proxies['image'].url
        self._path.write_text(yaml.safe_dump(config))

    def _before(self, service: str) -> proxy.Proxy:
        made: proxy.Proxy = self.useFixture(
            proxy.Proxy(self._cloud.urls[service])
        )

        def fault(method: str, path: str) -> proxy.Fault | None:
            return self._fault(Request(service, method, path))

        made.fault = fault
        made.before = lambda _method, _path: self._count(1)
        made.after = lambda _method, _path: self._count(-1)
        return made

    def environ(self, account: str) -> dict[str, str]:
        """An environment whose way to the cloud leads through this."""
        return {
            **self._cloud.environ(account),
            'OS_CLIENT_CONFIG_FILE': str(self._path),
        }

    def arm(
        self,
        case: cases.Case | None = None,
        kill: collections.abc.Callable[[], None] = lambda: None,
    ) -> None:
        """Begin to count anew, and spoil what a case says, if one is given."""
        self._case, self._kill = case, kill
        self.requests: list[Request] = []
        self.hit: Request | None = None
        self.patient = False

    def _fault(self, request: Request) -> proxy.Fault | None:
        with self._lock:
            case = self._case
            number = len(self.requests) + 1
            if case is None or case.request != number:
                self.requests.append(request)
                return None
            kind = case.kind
            kept = kind.status is not None or kind in (
                cases.Kind.KILL_BEFORE,
                cases.Kind.RESET_BEFORE,
            )
            self.hit = dataclasses.replace(request, done=not kept)
            self.requests.append(self.hit)
            return _Injected(kind, request.service, self._kill, self._has_left)

    def _has_left(self, left: bool) -> None:
        self.patient = not left

    def _count(self, change: int) -> None:
        with self._lock:
            self._passing += change

    def settle(self) -> None:
        """Wait until the cloud has answered all that is on its way."""
        operations.wait_for(
            'the cloud has answered', lambda: not self._passing
        )
