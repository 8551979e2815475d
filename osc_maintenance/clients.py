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

"""Our clients, made from what ``openstack`` has set up already."""

import functools
import http
import typing

from keystoneauth1 import adapter
from keystoneauth1 import exceptions as ksa_exceptions
from novaclient import api_versions
from novaclient import client as nova_client
from osc_lib import exceptions

from osc_maintenance import fields
from osc_maintenance.nova import api
from osc_maintenance.nova import hosts
from osc_maintenance.nova import owned as owned_
from osc_maintenance.nova import servers as servers_
from osc_maintenance import placement
from osc_maintenance import text

#: Services by UUID, and hypervisors whose id is the UUID in Placement.
OLDEST = api_versions.APIVersion('2.53')
#: The newest microversion whose answers :mod:`osc_maintenance.nova` knows.
NEWEST = api_versions.APIVersion('2.96')
_HYPERVISORS = api_versions.APIVersion('2.87')
#: How long more of an answer is waited for unless OSC says it, in seconds.
_ANSWER = 300.0
_NOT_OURS = (http.HTTPStatus.FORBIDDEN, http.HTTPStatus.NOT_FOUND)


def limit(session: typing.Any) -> None:
    """Let no request of a session wait without end, as OSC would.

    One of whose answer nothing comes for five minutes ends as if the
    connection had been lost.

    :param session: a keystoneauth1 session.
    """
    if session.timeout is None:
        session.timeout = _ANSWER


class Clients:
    """Clients on OSC's keystoneauth1 session.

    The session brings authentication, --timing, --insecure and --os-cacert;
    region, interface and endpoint override, all of which may differ from
    service to service, come from the configuration that OSC's own clients
    use.

    :param manager: OSC's client manager.
    """

    def __init__(self, manager: typing.Any) -> None:
        self._manager = manager

    def _where(self, service_type: str) -> dict[str, typing.Any]:
        config = self._manager.sdk_connection.config
        return {
            'session': self._manager.session,
            'service_type': service_type,
            'region_name': config.get_region_name(service_type),
            'interface': config.get_interface(service_type),
            'endpoint_override': config.get_endpoint(service_type),
        }

    @functools.cached_property
    def nova(self) -> hosts.Hosts:
        """Its hosts; the first use of either negotiates a microversion."""
        return self._compute[0]

    @functools.cached_property
    def servers(self) -> servers_.Servers:
        """Its servers."""
        return self._compute[1]

    @functools.cached_property
    def owned(self) -> owned_.Owned:
        """Its servers, as far as their owners are concerned."""
        return self._compute[2]

    @functools.cached_property
    def _compute(self) -> tuple[hosts.Hosts, servers_.Servers, owned_.Owned]:
        return connect(self._where('compute'))

    @property
    def changes(self) -> int:
        """How many requests have changed something in Nova."""
        if '_compute' not in self.__dict__:
            return 0
        return sum(part.changes for part in self._compute)

    @functools.cached_property
    def placement(self) -> placement.Placement:
        """The placement service."""
        return placement.Placement(adapter.Adapter(**self._where('placement')))

    def image(self, image: str) -> dict[str, str] | None:
        """The properties of an image, as far as they are to be had.

        Rests on GET /v2/images/{id} of Glance.

        :param image: its id.
        :returns: its properties, which are none if it is gone or not ours to
            see; None if Glance does not answer.
        """
        from openstack import exceptions as sdk_exceptions

        try:
            client = self._manager.sdk_connection.image
            answer = client.get(f'/images/{image}')
            if answer.status_code in _NOT_OURS:
                return {}
            found = answer.json() if answer.ok else None
        except (
            ksa_exceptions.ClientException,
            sdk_exceptions.SDKException,
            *fields.UNREADABLE,
        ):
            return None
        if not isinstance(found, dict):
            return None
        return {k: v for k, v in found.items() if isinstance(v, str)}

    def project(self, project: str) -> list[str]:
        """Projects by their name or id.

        Rests on GET /v3/projects?name= of Keystone, and for an id on GET
        /v3/projects/{id}.

        :param project: its name or id.
        :returns: the ids of those that it may be: one, if it is an id.
        :raises CommandError: if Keystone does not tell.
        """
        from openstack import exceptions as sdk_exceptions

        with api.explained(f'Project {project}'):
            try:
                identity = self._manager.sdk_connection.identity
                named = [
                    fields.checked_identity(item.id, 'the id of a project')
                    for item in identity.projects(name=project)
                    if item.name == project
                ]
                if text.is_id(project):
                    found = identity.find_project(project)
                    if found and found.id == project:
                        return [project]
                return named
            except sdk_exceptions.SDKException as exc:
                raise exceptions.CommandError(
                    text.escape(f'Project {project}: {exc}')
                ) from exc

    @property
    def user_id(self) -> str:
        """The id of whoever is authenticated, or empty if not known."""
        return self._told('user_id')

    @property
    def user(self) -> str | None:
        """The name of whoever is authenticated, if Keystone told us."""
        name = self._told('username') or self.user_id
        return text.storable(name) if name else None

    def _told(self, name: str) -> str:
        """A text of the token, or empty where it has none."""
        access = self._manager.auth_ref
        try:
            value = getattr(access, name)
        except fields.UNREADABLE:
            # there is no token, or none of a user
            return ''
        return value if isinstance(value, str) else ''


def connect(
    where: dict[str, typing.Any],
) -> tuple[hosts.Hosts, servers_.Servers, owned_.Owned]:
    """Negotiate a microversion with Nova.

    Rests on Nova's version document: one request, and more only where the
    endpoint is not the URL of a version of the API.

    :param where: the session, service_type, region_name, interface and
        endpoint_override, as keystoneauth1 adapters take them.
    :returns: Nova: its hosts, its servers, and these for their owners.
    :raises CommandError: if there is no Nova, it does not answer, or is too
        old.
    """
    name = 'Nova'
    if where['region_name']:
        name += f' in region {text.escape(where["region_name"])}'
    with api.explained(name):
        made = _client(OLDEST, where)
        try:
            offered = made.versions.get_current()
        except (KeyError, TypeError):
            # the document of an endpoint that is not that of a version
            below = adapter.Adapter(
                **where, min_version='2.1', max_version='2.latest'
            )
            data = below.get_endpoint_data()
            if data is None:
                raise
            where = {**where, 'endpoint_override': data.url}
            offered = _client(OLDEST, where).versions.get_current()
        if offered is None:
            # novaclient keeps a 401 to itself: ask so that it is told
            made.client.get(made.client.get_endpoint())
        newest = api_versions.APIVersion(offered.version or '2.1')
        oldest = api_versions.APIVersion(offered.min_version or '2.1')
    if newest < OLDEST or oldest > NEWEST:
        raise exceptions.CommandError(
            f'{name} offers microversions {oldest.get_string()} to '
            f'{newest.get_string()}, and host maintenance needs at least '
            f'{OLDEST.get_string()} and knows {NEWEST.get_string()} at most'
        )
    version = min(newest, NEWEST)
    client = _client(version, where)
    hypervisors = _client(min(version, _HYPERVISORS), where)
    return (
        hosts.Hosts(client, hypervisors),
        servers_.Servers(client),
        owned_.Owned(client),
    )


def _client(
    version: api_versions.APIVersion, where: dict[str, typing.Any]
) -> typing.Any:
    options = {k: v for k, v in where.items() if k != 'interface'}
    made = nova_client.Client(
        version, endpoint_type=where['interface'], **options
    )
    made.client.request = api.by_status(made.client.request)
    return made
