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

"""A small client of the cloud's APIs, to arrange and to check things.

Tests must not see the cloud through the libraries that they test.
"""

import collections.abc
import json
import typing
import urllib.error
import urllib.request

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import errors

#: what Nova and Placement are asked for unless a call says otherwise
COMPUTE_VERSION = '2.96'
PLACEMENT_VERSION = '1.39'

#: the root that paths are relative to
_PREFIXES = {
    'identity': '/v3',
    'placement': '',
    'image': '/v2',
    'compute': '/v2.1',
    'network': '/v2.0',
}

_TIMEOUT_SECONDS = 120
# Never through a proxy: it is all on loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

Json = typing.Any


class ApiError(errors.CloudError):
    """An answer other than success."""

    def __init__(self, request: str, status: int, body: Json) -> None:
        super().__init__(f'{request}: {status} {body}')
        self.status = status
        self.body = body


def call(
    method: str,
    url: str,
    body: Json = None,
    headers: dict[str, str] | None = None,
    timeout: float = _TIMEOUT_SECONDS,
) -> tuple[Json, collections.abc.Mapping[str, str]]:
    """Send a request, with JSON or bytes, and return body and headers."""
    data: bytes | None
    if isinstance(body, bytes):
        data, kind = body, 'application/octet-stream'
    else:
        data = None if body is None else json.dumps(body).encode()
        kind = 'application/json'
    request = urllib.request.Request(
        url,
        data,
        {
            'Content-Type': kind,
            'Accept': 'application/json',
            **(headers or {}),
        },
        method=method,
    )
    try:
        with _opener.open(request, timeout=timeout) as response:
            return _decode(response.read()), response.headers
    except urllib.error.HTTPError as exc:
        with exc:
            raise ApiError(
                f'{method} {url}', exc.code, _decode(exc.read())
            ) from None


def _decode(raw: bytes) -> Json:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return raw.decode(errors='replace')


class Api:
    """The cloud as one account sees it.

    :param urls: the address of each service, by its type
    """

    def __init__(
        self, urls: dict[str, str], account: accounts.Account
    ) -> None:
        self._urls = urls
        self._account = account
        self._token: str | None = None

    @property
    def token(self) -> str:
        """A token of the account."""
        if self._token is None:
            self._token = self._authenticate()
        return self._token

    def _authenticate(self) -> str:
        domain = {'name': 'Default'}
        scope: Json = {'system': {'all': True}}
        if self._account.project is not None:
            scope = {
                'project': {'name': self._account.project, 'domain': domain}
            }
        user = {
            'name': self._account.user,
            'password': accounts.PASSWORD,
            'domain': domain,
        }
        identity = {'methods': ['password'], 'password': {'user': user}}
        _, headers = call(
            'POST',
            f'{self._urls["identity"]}/v3/auth/tokens',
            {'auth': {'identity': identity, 'scope': scope}},
        )
        return headers['X-Subject-Token']

    def request(
        self,
        method: str,
        service: str,
        path: str,
        body: Json = None,
        version: str | None = None,
    ) -> Json:
        """Send a request to a service and return its answer.

        :param service: compute, placement, identity, image or network
        :param path: what follows the root of the API, such as `/servers`
        :param version: the microversion, for compute and placement
        :raises ApiError: the answer is not a success
        """
        headers = {'X-Auth-Token': self.token}
        if service == 'compute':
            headers['OpenStack-API-Version'] = (
                f'compute {version or COMPUTE_VERSION}'
            )
        elif service == 'placement':
            headers['OpenStack-API-Version'] = (
                f'placement {version or PLACEMENT_VERSION}'
            )
        url = self._urls[service] + _PREFIXES[service] + path
        answer, _ = call(method, url, body, headers)
        return answer

    def get(self, service: str, path: str, version: str | None = None) -> Json:
        return self.request('GET', service, path, None, version)

    def post(
        self,
        service: str,
        path: str,
        body: Json,
        version: str | None = None,
    ) -> Json:
        return self.request('POST', service, path, body, version)

    def put(
        self,
        service: str,
        path: str,
        body: Json = None,
        version: str | None = None,
    ) -> Json:
        return self.request('PUT', service, path, body, version)

    def delete(
        self, service: str, path: str, version: str | None = None
    ) -> Json:
        return self.request('DELETE', service, path, None, version)
