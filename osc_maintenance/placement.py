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
import contextlib
import typing

from keystoneauth1 import exceptions as ksa_exceptions

if typing.TYPE_CHECKING:
    from keystoneauth1 import adapter

#: in_tree of GET /resource_providers; member_of is older
MICROVERSION = '1.14'


class UnavailableError(Exception):
    """Placement cannot be asked; the text says why, in its own words."""


class Placement:
    """What is allocated on a compute host.

    :param adapter: an adapter for the placement service.
    """

    def __init__(self, adapter: 'adapter.Adapter') -> None:
        self._adapter = adapter

    def node_in(self, aggregate: str) -> str | None:
        """The compute node in an aggregate with a single host.

        Nova puts it there when a host is added to the aggregate. Rests on GET
        /resource_providers?member_of= and GET
        /resource_providers/{uuid}/inventories, microversion 1.14.

        :param aggregate: the aggregate's UUID.
        :returns: the node's UUID; None unless there is just one and it is a
            hypervisor: of a host of Ironic only one of its nodes is there.
        :raises UnavailableError: if Placement does not answer, or not us.
        """
        with _explained():
            path = f'/resource_providers?member_of={aggregate}'
            found = self._get(path)['resource_providers']
            if len(found) != 1:
                return None
            node: str = found[0]['uuid']
            path = f'/resource_providers/{node}/inventories'
            return (
                node if 'MEMORY_MB' in self._get(path)['inventories'] else None
            )

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
        with _explained():
            for node in nodes:
                tree = self._get(f'/resource_providers?in_tree={node}')
                for provider in tree['resource_providers']:
                    path = (
                        f'/resource_providers/{provider["uuid"]}/allocations'
                    )
                    found.update(self._get(path)['allocations'])
        return found

    def _get(self, path: str) -> dict[str, typing.Any]:
        response = self._adapter.get(path, microversion=MICROVERSION)
        body: dict[str, typing.Any] = response.json()
        return body


@contextlib.contextmanager
def _explained() -> collections.abc.Iterator[None]:
    try:
        yield
    except ksa_exceptions.ClientException as exc:
        raise UnavailableError(str(exc)) from exc
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise UnavailableError(
            f'that is no answer of the API: {exc!r}'
        ) from exc
