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
from urllib import parse

from keystoneauth1 import exceptions as ksa_exceptions

from osc_maintenance import fields
from osc_maintenance import text

if typing.TYPE_CHECKING:
    from keystoneauth1 import adapter

#: in_tree of GET /resource_providers; member_of is older
MICROVERSION = '1.14'
_CANDIDATES = '1.31'
#: As many as Nova's scheduler asks for by default.
_LIMIT = 1000
_DISABLED = 'COMPUTE_STATUS_DISABLED'
_PROVIDERS = 'resource_providers'


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
            found = fields.needed(self._get(path), _PROVIDERS, list)
            if len(found) != 1:
                return None
            node = fields.identity(found[0], 'uuid')
            path = f'/resource_providers/{node}/inventories'
            held = fields.needed(self._get(path), 'inventories', dict)
            return node if 'MEMORY_MB' in held else None

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
                for _provider, allocations in self._allocations(node):
                    found.update(allocations)
        return found

    def held(
        self, nodes: collections.abc.Iterable[str]
    ) -> dict[str, dict[str, dict[str, int]]]:
        """What each consumer holds of these compute nodes.

        Rests on GET /resource_providers?in_tree= and GET
        /resource_providers/{uuid}/allocations, microversion 1.14.

        :param nodes: UUIDs of compute nodes.
        :returns: by consumer and resource provider, the amount of each
            resource class; the compute node itself is the provider ``''``.
        """
        found: dict[str, dict[str, dict[str, int]]] = {}
        with _explained():
            for node in nodes:
                for provider, allocations in self._allocations(node):
                    for consumer, held in allocations.items():
                        found.setdefault(consumer, {})[
                            '' if provider == node else provider
                        ] = fields.mapping(held, 'resources', int)
        return found

    def _allocations(
        self, node: str
    ) -> collections.abc.Iterator[tuple[str, dict[str, typing.Any]]]:
        """The allocations of each resource provider of a compute node."""
        tree = self._get(f'/resource_providers?in_tree={node}')
        providers = fields.needed(tree, _PROVIDERS, list)
        if not providers:
            # that of another region, perhaps
            raise UnavailableError(f'it knows no compute node {node}')
        for provider in providers:
            uuid = fields.identity(provider, 'uuid')
            path = f'/resource_providers/{uuid}/allocations'
            found = fields.needed(self._get(path), 'allocations', dict)
            for consumer in found:
                fields.checked_identity(consumer, 'a consumer')
            yield uuid, found

    def candidates(self, query: str) -> frozenset[str] | None:
        """The compute nodes that have room for what is asked.

        Rests on GET /allocation_candidates, microversion 1.31 (in_tree; the
        root providers of what is found, and forbidden traits, are older).

        :param query: from :func:`query`.
        :returns: their UUIDs; None if there may be more than Placement tells.
        :raises UnavailableError: if Placement does not answer, or not us.
        """
        with _explained():
            body = self._get(f'/allocation_candidates?{query}', _CANDIDATES)
            requests = fields.needed(body, 'allocation_requests', list)
            if len(requests) >= _LIMIT:
                return None
            summaries = body['provider_summaries']
            return frozenset(
                fields.identity(summaries[provider], 'root_provider_uuid')
                for request in requests
                for provider in request['allocations']
            )

    def _get(self, path: str, microversion: str = MICROVERSION) -> typing.Any:
        response = self._adapter.get(path, microversion=microversion)
        return response.json()


def query(
    held: collections.abc.Mapping[str, collections.abc.Mapping[str, int]],
    required: collections.abc.Iterable[str] = (),
    forbidden: collections.abc.Iterable[str] = (),
    node: str | None = None,
) -> str:
    """The question which compute nodes could give what a server holds.

    :param held: by resource provider, the amount of each resource class; the
        compute node itself is the provider ``''``.
    :param required: traits that the compute node must have.
    :param forbidden: traits that it must not have.
    :param node: the UUID of the only compute node to be considered, or None.
    :returns: a query for :meth:`Placement.candidates`; equal for servers that
        need the same.
    """
    traits = [*sorted(required), *(f'!{t}' for t in sorted(forbidden))]
    fields = {'required': ','.join([*traits, f'!{_DISABLED}'])}
    groups = sorted(
        _resources(resources)
        for provider, resources in held.items()
        if provider
    )
    if '' in held:
        fields['resources'] = _resources(held[''])
    for number, resources in enumerate(groups, 1):
        fields[f'resources{number}'] = resources
    if len(groups) > 1:
        fields['group_policy'] = 'none'
    if node:
        fields['in_tree'] = node
    fields['limit'] = str(_LIMIT)
    return parse.urlencode(fields)


def _resources(amounts: collections.abc.Mapping[str, int]) -> str:
    return ','.join(f'{name}:{amounts[name]}' for name in sorted(amounts))


@contextlib.contextmanager
def _explained() -> collections.abc.Iterator[None]:
    try:
        yield
    except ksa_exceptions.ClientException as exc:
        raise UnavailableError(text.masked(str(exc))) from exc
    except fields.UNREADABLE as exc:
        words = text.masked(fields.unreadable(exc))
        raise UnavailableError(words) from exc
