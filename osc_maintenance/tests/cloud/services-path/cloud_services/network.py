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

"""The least of Neutron that Nova accepts.

Nova asks Neutron for the ports of each server that it lists, builds or moves,
also of servers without a network. This keeps networks, ports and their
bindings in memory, knows nobody and refuses nothing.
"""

import collections.abc
import http
import json
import threading
import typing
import urllib.parse
import uuid

_Object = dict[str, typing.Any]

_EXTENSIONS = (
    'binding',
    'binding-extended',
    'external-net',
    'port-security',
    'provider',
    'quotas',
    'security-group',
)
_SINGULAR = {
    'agents': 'agent',
    'floatingips': 'floatingip',
    'networks': 'network',
    'ports': 'port',
    'routers': 'router',
    'security-group-rules': 'security_group_rule',
    'security-groups': 'security_group',
    'segments': 'segment',
    'subnetpools': 'subnetpool',
    'subnets': 'subnet',
    'trunks': 'trunk',
}
#: the project of what is everybody's
_SHARED = 'shared'
#: query parameters that don't compare with a field of the same name
_NOT_FILTERS = {'fields', 'limit', 'marker', 'sort_dir', 'sort_key'}


class _Error(Exception):
    def __init__(self, status: http.HTTPStatus, kind: str, what: str) -> None:
        super().__init__(what)
        self.status = status
        self.body = {
            'NeutronError': {'type': kind, 'message': what, 'detail': ''}
        }


def _not_found(what: str) -> _Error:
    return _Error(http.HTTPStatus.NOT_FOUND, 'NotFound', what)


class Network:
    """The WSGI application."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, dict[str, _Object]] = {
            collection: {} for collection in _SINGULAR
        }
        #: port -> host -> binding
        self._bindings: dict[str, dict[str, _Object]] = {}
        self._addresses = 1
        self._create_defaults()

    def _create_defaults(self) -> None:
        network = self._add(
            'networks',
            {
                'name': 'private',
                'project_id': _SHARED,
                'shared': True,
                'admin_state_up': True,
                'status': 'ACTIVE',
                'mtu': 1450,
                'router:external': False,
                'port_security_enabled': True,
                'provider:network_type': 'vxlan',
                'provider:physical_network': None,
                'provider:segmentation_id': 1,
            },
        )
        self._subnet = self._add(
            'subnets',
            {
                'name': 'private-subnet',
                'network_id': network['id'],
                'project_id': _SHARED,
                'ip_version': 4,
                'cidr': '10.0.0.0/8',
                'gateway_ip': '10.0.0.1',
                'enable_dhcp': False,
                'dns_nameservers': [],
                'host_routes': [],
                'allocation_pools': [],
            },
        )
        network['subnets'] = [self._subnet['id']]
        self._group = self._add(
            'security-groups',
            {
                'name': 'default',
                'project_id': _SHARED,
                'description': '',
                'security_group_rules': [],
            },
        )

    def __call__(
        self,
        environ: dict[str, typing.Any],
        start_response: collections.abc.Callable[..., object],
    ) -> list[bytes]:
        length = int(environ.get('CONTENT_LENGTH') or 0)
        body = json.loads(environ['wsgi.input'].read(length) or 'null')
        answer: object
        try:
            with self._lock:
                status, answer = self._route(
                    environ['REQUEST_METHOD'],
                    environ['PATH_INFO'].rstrip('/'),
                    urllib.parse.parse_qs(environ.get('QUERY_STRING', '')),
                    body,
                )
        except _Error as exc:
            status, answer = exc.status, exc.body
        data = b'' if answer is None else json.dumps(answer).encode()
        start_response(
            f'{status.value} {status.phrase}',
            [
                ('Content-Type', 'application/json'),
                ('Content-Length', str(len(data))),
            ],
        )
        return [data]

    def _route(
        self,
        method: str,
        path: str,
        query: dict[str, list[str]],
        body: typing.Any,
    ) -> tuple[http.HTTPStatus, object]:
        match (method, *path.split('/')[1:]):
            case ('GET',):
                return http.HTTPStatus.OK, {
                    'versions': [
                        {'id': 'v2.0', 'status': 'CURRENT', 'links': []}
                    ]
                }
            case ('GET', 'v2.0'):
                return http.HTTPStatus.OK, {'resources': []}
            case ('GET', 'v2.0', 'extensions'):
                return http.HTTPStatus.OK, {
                    'extensions': [
                        {'alias': alias, 'name': alias, 'description': ''}
                        for alias in _EXTENSIONS
                    ]
                }
            case ('GET', 'v2.0', 'extensions', alias):
                if alias not in _EXTENSIONS:
                    raise _not_found(alias)
                return http.HTTPStatus.OK, {'extension': {'alias': alias}}
            case ('GET', 'v2.0', 'quotas', *_):
                names = _SINGULAR.values()
                return http.HTTPStatus.OK, {'quota': dict.fromkeys(names, -1)}
            case (_, 'v2.0', 'ports', port, 'bindings', *rest):
                return self._bind(method, port, rest, body)
            case (_, 'v2.0', collection, *rest) if collection in _SINGULAR:
                return self._object(method, collection, rest, query, body)
        raise _not_found(path)

    # -- networks, ports and so on -----------------------------------------

    def _object(
        self,
        method: str,
        collection: str,
        rest: list[str],
        query: dict[str, list[str]],
        body: typing.Any,
    ) -> tuple[http.HTTPStatus, object]:
        singular = _SINGULAR[collection]
        objects = self._objects[collection]
        if rest and rest[0] not in objects:
            raise _not_found(f'{singular} {rest[0]}')
        match (method, *rest):
            case ('GET',):
                found = [o for o in objects.values() if _matches(o, query)]
                return http.HTTPStatus.OK, {
                    collection.replace('-', '_'): found
                }
            case ('GET', key):
                return http.HTTPStatus.OK, {singular: objects[key]}
            case ('POST',):
                created = self._add(collection, body[singular])
                return http.HTTPStatus.CREATED, {singular: created}
            case ('PUT', key):
                objects[key].update(body[singular])
                if collection == 'ports':
                    self._settle(objects[key])
                return http.HTTPStatus.OK, {singular: objects[key]}
            case ('DELETE', key):
                del objects[key]
                self._bindings.pop(key, None)
                return http.HTTPStatus.NO_CONTENT, None
        raise _not_found(f'{method} {collection}')

    def _add(self, collection: str, fields: _Object) -> _Object:
        added = {'id': str(uuid.uuid4()), 'name': '', **fields}
        project = added.get('project_id') or added.get('tenant_id') or ''
        added['project_id'] = added['tenant_id'] = project
        if collection == 'ports':
            added = {**self._new_port(), **added}
            self._settle(added)
        self._objects[collection][added['id']] = added
        return added

    def _new_port(self) -> _Object:
        self._addresses += 1
        octets = self._addresses.to_bytes(3, 'big')
        return {
            'mac_address': 'fa:16:3e:' + octets.hex(':'),
            'fixed_ips': [
                {
                    'subnet_id': self._subnet['id'],
                    'ip_address': '10.' + '.'.join(map(str, octets)),
                }
            ],
            'admin_state_up': True,
            'device_id': '',
            'device_owner': '',
            'security_groups': [self._group['id']],
            'binding:vnic_type': 'normal',
            'binding:profile': {},
            'binding:host_id': '',
            'port_security_enabled': True,
            'allowed_address_pairs': [],
            'extra_dhcp_opts': [],
        }

    def _settle(self, port: _Object) -> None:
        """Derive what follows from the host that a port is bound to."""
        host = port['binding:host_id']
        port['status'] = 'ACTIVE' if host else 'DOWN'
        port['binding:vif_type'] = 'ovs' if host else 'unbound'
        port['binding:vif_details'] = {'port_filter': True}
        if host and host not in self._bindings.get(port['id'], {}):
            self._bindings[port['id']] = {host: _binding(host, 'ACTIVE')}

    # -- bindings of a port, of which a live migration makes a second ------

    def _bind(
        self, method: str, port: str, rest: list[str], body: typing.Any
    ) -> tuple[http.HTTPStatus, object]:
        if port not in self._objects['ports']:
            raise _not_found(f'port {port}')
        bindings = self._bindings.setdefault(port, {})
        if rest and rest[0] not in bindings:
            raise _not_found(f'binding of {port} to {rest[0]}')
        match (method, *rest):
            case ('GET',):
                return http.HTTPStatus.OK, {'bindings': [*bindings.values()]}
            case ('GET', host):
                return http.HTTPStatus.OK, {'binding': bindings[host]}
            case ('POST',):
                host = body['binding']['host']
                if host in bindings:
                    raise _Error(
                        http.HTTPStatus.CONFLICT,
                        'PortBindingAlreadyExists',
                        host,
                    )
                bindings[host] = _binding(host, 'INACTIVE')
                return http.HTTPStatus.CREATED, {'binding': bindings[host]}
            case ('PUT', host, 'activate'):
                for binding in bindings.values():
                    binding['status'] = 'INACTIVE'
                bindings[host]['status'] = 'ACTIVE'
                self._objects['ports'][port]['binding:host_id'] = host
                return http.HTTPStatus.OK, {'binding': bindings[host]}
            case ('DELETE', host):
                del bindings[host]
                return http.HTTPStatus.NO_CONTENT, None
        raise _not_found(f'{method} binding of {port}')


def _binding(host: str, status: str) -> _Object:
    return {
        'host': host,
        'vif_type': 'ovs',
        'vif_details': {'port_filter': True},
        'vnic_type': 'normal',
        'profile': {},
        'status': status,
    }


def _matches(candidate: _Object, query: dict[str, list[str]]) -> bool:
    for key, wanted in query.items():
        if key in _NOT_FILTERS:
            continue
        value = candidate.get(key)
        if key in ('project_id', 'tenant_id') and value == _SHARED:
            continue
        if isinstance(value, (dict, list)):
            continue
        if str(value).lower() not in [word.lower() for word in wanted]:
            return False
    return True
