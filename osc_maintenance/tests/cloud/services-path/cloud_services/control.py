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

"""The test controls, as JSON over HTTP on a port of their own.

GET    /status
POST   /hosts          {"hosts": [NAME, ...], "scene": SCENE or null,
                        "machine": {FIELD: VALUE, ...}}
POST   /hosts/NAME/up
POST   /hosts/NAME/down
POST   /hosts/NAME/cell-down
POST   /hosts/NAME/cell-up
DELETE /hosts/NAME
PUT    /behaviours     {"server": NAME, UUID, HOST or "*",
                        "told": [WORD, ...]}
DELETE /behaviours     {"server": ...}; of all servers if null
PUT    /aggregates/ID  {"seconds": S}
POST   /phantoms       {"count": N}
"""

import collections.abc
import http
import json
import logging
import threading
import typing

from cloud_services import aggregates
from cloud_services import behaviour
from cloud_services import cells
from cloud_services import hosts
from cloud_services import machines
from cloud_services import phantoms
from cloud_services import scenes

LOG = logging.getLogger(__name__)

_Body = dict[str, typing.Any]


class Control:
    """The WSGI application."""

    def __init__(
        self,
        the_hosts: hosts.Hosts,
        the_phantoms: phantoms.Phantoms,
        the_cells: cells.Cells,
    ) -> None:
        self._hosts = the_hosts
        self._cells = the_cells
        self._phantoms = the_phantoms

    def __call__(
        self,
        environ: dict[str, typing.Any],
        start_response: collections.abc.Callable[..., object],
    ) -> list[bytes]:
        length = int(environ.get('CONTENT_LENGTH') or 0)
        try:
            body = json.loads(environ['wsgi.input'].read(length) or '{}')
            answer = self._do(
                environ['REQUEST_METHOD'],
                environ['PATH_INFO'].strip('/').split('/'),
                body,
            )
            status = http.HTTPStatus.OK
        except (TypeError, ValueError, LookupError) as exc:
            status, answer = http.HTTPStatus.BAD_REQUEST, {'error': str(exc)}
        except Exception as exc:
            LOG.exception('A test control failed')
            status = http.HTTPStatus.INTERNAL_SERVER_ERROR
            answer = {'error': repr(exc)}
        start_response(
            f'{status.value} {status.phrase}',
            [('Content-Type', 'application/json')],
        )
        return [json.dumps(answer).encode()]

    def _do(self, method: str, path: list[str], body: _Body) -> _Body:
        match (method, *path):
            case ('GET', 'status'):
                return self._status()
            case ('POST', 'hosts'):
                machine = machines.Machine(**body['machine'])
                for host in body['hosts']:
                    machines.MACHINES[host] = machine
                    if body['scene']:
                        scenes.SCENES[host] = body['scene']
                    self._hosts.start(host)
                return {}
            case ('POST', 'hosts', host, 'up'):
                self._hosts.start(host)
                return {}
            case ('POST', 'hosts', host, 'down'):
                self._hosts.stop(host)
                return {}
            case ('POST', 'hosts', host, 'cell-down'):
                self._cells.lose(host)
                return {}
            case ('POST', 'hosts', host, 'cell-up'):
                self._cells.find(host)
                return {}
            case ('DELETE', 'hosts', host):
                self._hosts.end(host)
                scenes.SCENES.pop(host, None)
                machines.MACHINES.pop(host, None)
                return {}
            case ('PUT', 'behaviours'):
                behaviour.ALL.set(body['server'], body['told'])
                return behaviour.ALL.as_dict()
            case ('DELETE', 'behaviours'):
                behaviour.ALL.forget(body['server'])
                return behaviour.ALL.as_dict()
            case ('PUT', 'aggregates', number):
                aggregates.SECONDS[int(number)] = float(body['seconds'])
                return {}
            case ('POST', 'phantoms'):
                return {'hosts': self._phantoms.create(int(body['count']))}
        raise ValueError(f'no such control: {method} /{"/".join(path)}')

    def _status(self) -> _Body:
        return {
            'hosts': self._hosts.names(),
            'phantoms': len(self._phantoms),
            'threads': threading.active_count(),
            'behaviours': behaviour.ALL.as_dict(),
        }
