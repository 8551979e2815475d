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
import typing

from keystoneauth1 import adapter
from novaclient import api_versions
from novaclient import client as nova_client
from osc_lib import exceptions

from osc_maintenance import nova
from osc_maintenance import placement
from osc_maintenance import text

#: Services by UUID, and hypervisors whose id is the UUID in Placement.
OLDEST = api_versions.APIVersion('2.53')
#: The newest microversion whose answers :mod:`osc_maintenance.nova` knows.
NEWEST = api_versions.APIVersion('2.96')
_HYPERVISORS = api_versions.APIVersion('2.87')


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
    def nova(self) -> nova.Nova:
        """The compute service; the first use negotiates a microversion."""
        return connect(self._where('compute'))

    @functools.cached_property
    def placement(self) -> placement.Placement:
        """The placement service."""
        return placement.Placement(adapter.Adapter(**self._where('placement')))

    @property
    def user(self) -> str | None:
        """The name of whoever is authenticated, if Keystone told us."""
        access = self._manager.auth_ref
        name = (access.username or access.user_id) if access else None
        return text.storable(name) if name else None


def connect(where: dict[str, typing.Any]) -> nova.Nova:
    """Negotiate a microversion with Nova.

    Rests on Nova's version document: one request, and more only where the
    endpoint is not the URL of a version of the API.

    :param where: the session, service_type, region_name, interface and
        endpoint_override, as keystoneauth1 adapters take them.
    :returns: Nova.
    :raises CommandError: if there is no Nova, it does not answer, or is too
        old.
    """
    name = 'Nova'
    if where['region_name']:
        name += f' in region {where["region_name"]}'
    with nova.explained(name):
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
    return nova.Nova(
        _client(version, where), _client(min(version, _HYPERVISORS), where)
    )


def _client(
    version: api_versions.APIVersion, where: dict[str, typing.Any]
) -> typing.Any:
    options = {k: v for k, v in where.items() if k != 'interface'}
    return nova_client.Client(
        version, endpoint_type=where['interface'], **options
    )
