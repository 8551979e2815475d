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

"""A small cloud on the wire, whose answers a test may spoil.

Everything between a command and the bytes of an answer is the real one:
novaclient, keystoneauth1 and requests.
"""

import collections.abc
import json
import re
import typing
from unittest import mock
from urllib import parse

from keystoneauth1 import adapter
from keystoneauth1 import session as ksa_session
from keystoneauth1 import token_endpoint
import requests

from osc_maintenance import clients
from osc_maintenance.tests.unit import wire_items as items

Json = typing.Any
Spoil = collections.abc.Callable[[str, Json], Json]
Meddle = collections.abc.Callable[[str, requests.Response], None]

_UUID = re.compile('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
#: The ids in a path, and the keys of metadata.
_NAMED = re.compile(f'{_UUID.pattern}|(?<=/)[0-9]+|req-[0-9]|maintenance.*')


class Cloud(requests.adapters.BaseAdapter):
    """Nova, Placement and Glance, for a requests session.

    :ivar answers: what was answered before it was spoiled, by route: the
        method and the path without ids, such as ``GET /servers/{}``.
    :ivar reads: the path of each request that changes nothing.
    :ivar writes: the path of each request that changes something.
    :ivar sent: the body of each of these, empty if it has none.
    :ivar looks: how often migrations are looked at before a move has ended.
    :ivar fails: moves fail.
    :ivar spoil: makes what is answered of a route and what would be.
    :ivar meddle: changes the response to a route, once all else is done: its
        status, headers and bytes, as what stands in between may.
    """

    def __init__(self) -> None:
        super().__init__()
        self.services = items.services()
        self.aggregates: list[items.Json] = []
        self.servers = items.servers()
        self.migrations = items.migrations()
        self.answers: dict[str, Json] = {}
        self.reads: list[str] = []
        self.writes: list[str] = []
        self.sent: list[items.Json] = []
        self.looks, self.fails = 0, False
        self._under_way: list[tuple[int, items.Json, items.Json]] = []
        self.spoil: Spoil = lambda _route, body: body
        self.meddle: Meddle = lambda _route, _response: None

    def clients(self) -> clients.Clients:
        """Our clients of this cloud."""
        http = requests.Session()
        http.trust_env = False
        http.mount('http://', self)
        session = ksa_session.Session(
            auth=token_endpoint.Token('http://identity.test', 'token'),
            session=http,
        )
        manager = mock.Mock(spec=['session', 'sdk_connection', 'auth_ref'])
        manager.session = session
        manager.auth_ref.username = 'alice'
        manager.auth_ref.user_id = 'id-of-alice'
        config = manager.sdk_connection.config
        config.get_region_name.return_value = None
        config.get_interface.return_value = 'public'
        config.get_endpoint.side_effect = _endpoint
        manager.sdk_connection.image = adapter.Adapter(
            session, service_type='image', endpoint_override=_endpoint('image')
        )
        return clients.Clients(manager)

    # -- requests ----------------------------------------------------------

    def send(
        self,
        request: requests.PreparedRequest,
        *_args: typing.Any,
        **_kwargs: typing.Any,
    ) -> requests.Response:
        """Answer a request."""
        url = parse.urlsplit(request.url or '')
        method = request.method or ''
        path = url.path.removeprefix('/v2.1')
        route = f'{method} {_NAMED.sub("{}", path)}'
        query = dict(parse.parse_qsl(url.query))
        sent: typing.Any = request.body
        body = json.loads(sent) if sent else {}
        try:
            if method == 'GET':
                self.reads.append(path)
                status, answer = 200, self._read(route, path, query)
            else:
                self.writes.append(f'{method} {parse.unquote(path)}')
                self.sent.append(body)
                status, answer = self._write(route, path, body)
        except LookupError as exc:
            status, answer = 404, {'itemNotFound': {'message': str(exc)}}
        if status < 300 and answer is not None:
            self.answers.setdefault(route, answer)
            answer = self.spoil(route, answer)
        response = requests.Response()
        response.status_code = status
        response.request = request
        response.url = request.url or ''
        response.headers['Content-Type'] = 'application/json'
        response._content = json.dumps(answer).encode()
        self.meddle(route, response)
        return response

    def close(self) -> None:
        """Nothing is open."""

    def _read(self, route: str, path: str, query: dict[str, str]) -> Json:
        match route.removeprefix('GET '):
            case '':
                return items.VERSION
            case '/os-services':
                host = query.get('host')
                found = [s for s in self.services if host in (None, s['host'])]
                return {'services': found}
            case '/os-aggregates':
                return {'aggregates': self.aggregates}
            case '/os-aggregates/{}':
                return {'aggregate': self._aggregate(path)}
            case '/servers/detail':
                return {'servers': self._servers(query.get('host'))}
            case '/servers/{}':
                return {'server': self._server(path)}
            case '/servers/{}/migrations':
                return items.COPYING
            case '/servers/{}/os-instance-actions':
                return {'instanceActions': items.actions()}
            case '/servers/{}/os-instance-actions/{}':
                return items.ACTION
            case '/os-migrations':
                self._go_on()
                of = query.get('instance_uuid')
                return {
                    'migrations': [
                        migration
                        for migration in self.migrations
                        if of in (None, migration['instance_uuid'])
                    ]
                }
            case '/os-server-groups':
                more = 'offset' in query
                return {'server_groups': [] if more else items.groups()}
            case '/os-hypervisors/detail':
                return {'hypervisors': items.hypervisors()}
            case '/resource_providers':
                return items.providers(items.NODES[items.HERE])
            case '/resource_providers/{}/inventories':
                return items.INVENTORIES
            case '/resource_providers/{}/allocations':
                return items.ALLOCATIONS
            case '/allocation_candidates':
                return items.CANDIDATES
            case '/v2/images/{}':
                return items.IMAGE
        raise LookupError(f'nothing answers to {route}')

    def _write(
        self, route: str, path: str, body: items.Json
    ) -> tuple[int, Json]:
        match route:
            case 'POST /os-aggregates':
                if self.aggregates:
                    return 409, {'conflictingRequest': {'message': 'taken'}}
                made = {
                    'id': 5,
                    'uuid': '3f9a1c2e-0000-4000-8000-000000000001',
                    **body['aggregate'],
                }
                self.aggregates.append({**made, 'hosts': [], 'metadata': {}})
                return 200, {'aggregate': made}
            case 'POST /os-aggregates/{}/action':
                aggregate = self._aggregate(path.removesuffix('/action'))
                _change(aggregate, body)
                return 200, {'aggregate': aggregate}
            case 'DELETE /os-aggregates/{}':
                self.aggregates.remove(self._aggregate(path))
                return 200, None
            case 'PUT /os-services/{}':
                service = _by_id(self.services, path)
                service.update({'disabled_reason': None, **body})
                return 200, {'service': service}
            case 'POST /servers/{}/metadata':
                server = self._server(path.removesuffix('/metadata'))
                server['metadata'].update(body['metadata'])
                return 200, {'metadata': server['metadata']}
            case 'DELETE /servers/{}/metadata/{}':
                of, _metadata, key = path.rsplit('/', 2)
                metadata = self._server(of)['metadata']
                metadata.pop(parse.unquote(key), None)
                return 204, None
            case 'POST /servers/{}/action':
                self._act(self._server(path.removesuffix('/action')), body)
                return 202, None
        raise LookupError(f'nothing answers to {route}')

    def _act(self, server: items.Json, body: items.Json) -> None:
        ((action, told),) = body.items()
        latest = {**self.migrations[0], 'instance_uuid': server['id']}
        if action == 'confirmResize':
            (resize,) = (
                m for m in self.migrations if m['status'] == 'finished'
            )
            resize['status'] = 'confirmed'
            server.update(items.STOPPED)
            return
        if action in items.POWER:
            server.update(items.POWER[action])
            return
        if action not in items.MOVES:
            raise AssertionError(f'no server can {action}')
        source = server['OS-EXT-SRV-ATTR:host']
        other = items.THERE if source == items.HERE else items.HERE
        kind, status = items.MOVES[action]
        latest.update(
            id=10 + len(self.migrations),
            migration_type=kind,
            status='running',
            source_compute=source,
            dest_compute=(told or {}).get('host') or other,
            user_id='id-of-alice',
        )
        self.migrations = [latest, *self.migrations]
        ended = {'status': 'error' if self.fails else status}
        self._under_way.append((self.looks, latest, ended))
        if not self.looks:
            self._go_on()

    def _go_on(self) -> None:
        """Let the moves that are under way come to their end."""
        under_way, self._under_way = self._under_way, []
        for looks, migration, ended in under_way:
            if looks:
                self._under_way.append((looks - 1, migration, ended))
                continue
            migration.update(ended)
            if migration['status'] == 'error':
                continue
            server = _by_id(self.servers, migration['instance_uuid'])
            server['OS-EXT-SRV-ATTR:host'] = migration['dest_compute']
            if migration['status'] == 'finished':
                server.update(items.RESIZED)

    # -- what there is -----------------------------------------------------

    def _aggregate(self, path: str) -> items.Json:
        return _by_id(self.aggregates, path)

    def _server(self, path: str) -> items.Json:
        return _by_id(self.servers, path)

    def _servers(self, host: str | None) -> list[items.Json]:
        return [
            server
            for server in self.servers
            if host in (None, server['OS-EXT-SRV-ATTR:host'])
        ]


def _endpoint(service_type: str) -> str:
    paths = {'compute': '/v2.1', 'image': '/v2'}
    return f'http://{service_type}.test{paths.get(service_type, "")}'


def _by_id(found: list[items.Json], path: str) -> items.Json:
    wanted = path.rpartition('/')[2]
    for item in found:
        if str(item['id']) == wanted:
            return item
    raise LookupError(f'there is no {wanted}')


def _change(aggregate: items.Json, body: items.Json) -> None:
    ((action, told),) = body.items()
    if action == 'set_metadata':
        merged = {**aggregate['metadata'], **told['metadata']}
        aggregate['metadata'] = {
            key: value for key, value in merged.items() if value is not None
        }
    elif action == 'add_host':
        aggregate['hosts'] = [*aggregate['hosts'], told['host']]
    else:
        aggregate['hosts'] = [
            host for host in aggregate['hosts'] if host != told['host']
        ]
