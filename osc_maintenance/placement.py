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

"""The only module that talks to Placement."""

import collections.abc
import typing

from keystoneauth1 import exceptions as ksa_exceptions

if typing.TYPE_CHECKING:
    from keystoneauth1 import adapter

#: in_tree of GET /resource_providers
MICROVERSION = '1.14'


class UnavailableError(Exception):
    """Placement cannot be asked; the text says why, in its own words."""


class Placement:
    """What is allocated on a compute host.

    :param adapter: an adapter for the placement service.
    """

    def __init__(self, adapter: 'adapter.Adapter') -> None:
        self._adapter = adapter

    def consumers(self, nodes: collections.abc.Iterable[str]) -> set[str]:
        """Who holds allocations on these compute nodes.

        Rests on GET /resource_providers?in_tree= and GET
        /resource_providers/{uuid}/allocations, microversion 1.14.

        :param nodes: UUIDs of compute nodes, which are those of their root
            resource providers.
        :returns: the UUIDs of the consumers: of servers, soft-deleted ones
            too, and of migrations.
        :raises UnavailableError: if Placement does not answer, or not us.
        """
        found: set[str] = set()
        for node in nodes:
            tree = self._get(f'/resource_providers?in_tree={node}')
            for provider in tree['resource_providers']:
                answer = self._get(
                    f'/resource_providers/{provider["uuid"]}/allocations'
                )
                found.update(answer['allocations'])
        return found

    def _get(self, url: str) -> dict[str, typing.Any]:
        try:
            response = self._adapter.get(url, microversion=MICROVERSION)
            body: dict[str, typing.Any] = response.json()
        except (ksa_exceptions.ClientException, ValueError) as exc:
            raise UnavailableError(str(exc)) from exc
        return body
