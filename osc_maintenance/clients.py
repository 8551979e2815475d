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

from osc_maintenance import nova
from osc_maintenance import placement


class Clients:
    """Clients on OSC's keystoneauth1 session.

    The session brings authentication, --timing, --insecure and --os-cacert;
    region, interface and endpoint overrides are taken from the same
    configuration that OSC's own clients use.

    :param manager: OSC's client manager.
    """

    def __init__(self, manager: typing.Any) -> None:
        self._manager = manager

    def _adapter_options(self, service_type: str) -> dict[str, typing.Any]:
        manager = self._manager
        return {
            'session': manager.session,
            'service_type': service_type,
            'region_name': manager.region_name,
            'interface': manager.interface,
            'endpoint_override': manager.sdk_connection.config.get_endpoint(
                service_type
            ),
        }

    @functools.cached_property
    def nova(self) -> nova.Nova:
        """The compute service; the first use negotiates a microversion."""
        return nova.connect(**self._adapter_options('compute'))

    @functools.cached_property
    def placement(self) -> placement.Placement:
        """The placement service."""
        return placement.Placement(
            adapter.Adapter(**self._adapter_options('placement'))
        )

    @property
    def user(self) -> str | None:
        """The name of whoever is authenticated, if Keystone told us."""
        access = self._manager.auth_ref
        return (access.username or access.user_id) if access else None
