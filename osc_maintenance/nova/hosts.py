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

"""Compute services and host aggregates.

Nova's answers become the plain types of :mod:`osc_maintenance.compute`.
"""

import collections.abc
import contextlib
import difflib
import typing
from urllib import parse

from novaclient import exceptions as nova_exceptions
from osc_lib import exceptions

from osc_maintenance import compute
from osc_maintenance import fields
from osc_maintenance.nova import answers
from osc_maintenance.nova import api
from osc_maintenance import record
from osc_maintenance import text

_COMPUTE = 'nova-compute'
#: What a service may be; the last if its cell is down. It is written into the
#: record, to be what the service is again.
_UNKNOWN = 'UNKNOWN'
_STATUSES = ('enabled', 'disabled', _UNKNOWN)


#: How many hypervisors the last page of them has at most. Others may be cut
#: short, by a few.
_LAST_PAGE = 100


class Hosts:
    """The hosts of Nova, as far as maintenance needs them.

    :param client: a novaclient client at the negotiated microversion.
    :param hypervisor_client: one at 2.87 or below: from 2.88 on, details of
        hypervisors cost Nova an RPC call for each.
    :ivar changes: how many requests have changed something.
    """

    def __init__(
        self, client: typing.Any, hypervisor_client: typing.Any
    ) -> None:
        self._client = client
        self._hypervisor_client = hypervisor_client
        self.changes = 0

    # -- reading -----------------------------------------------------------

    def service(self, host: str) -> compute.Service | None:
        """The nova-compute service of exactly that host.

        Rests on GET /os-services, microversion 2.53.

        :param host: the host name.
        :returns: the service, or None if there is none.
        :raises CommandError: if there are several, in cells of their own.
        """
        with api.explained(f'Compute service of {host}'):
            listed = self._client.services.list(host=host, binary=_COMPUTE)
            # a database may compare names without case
            found = [
                service
                for service in map(_service, listed)
                if service.host == host
            ]
        if len(found) > 1:
            ids = ', '.join(service.id for service in found)
            raise exceptions.CommandError(
                f'There are {len(found)} compute services on host '
                f'{text.escape(host)}: {ids}: "openstack compute service '
                'delete" the one that is left over'
            )
        return found[0] if found else None

    def services(self) -> list[compute.Service]:
        """Every nova-compute service.

        Rests on GET /os-services, microversion 2.53.

        :returns: the services, in the order of their hosts' names.
        """
        with api.explained('Compute services'):
            found = self._client.services.list(binary=_COMPUTE)
            return sorted(map(_service, found), key=lambda item: item.host)

    def unknown_host(self, host: str) -> exceptions.CommandError:
        """The error for a host that has no compute service.

        Rests on GET /os-services, microversion 2.53.

        :param host: the name that was given.
        :returns: the error, listing names that are close to it.
        """
        names = [service.host for service in self.services()]
        folded = {name.casefold(): name for name in names}
        close = difflib.get_close_matches(host.casefold(), folded, cutoff=0.6)
        message = f"There is no compute service on host '{text.escape(host)}'"
        if close:
            message += '; did you mean ' + ' or '.join(
                text.escape(folded[name]) for name in close
            )
        return exceptions.CommandError(message)

    def aggregates(self) -> dict[str, compute.Aggregate]:
        """The aggregates that hold records.

        Rests on GET /os-aggregates, microversion 2.41 (its UUID).

        :returns: by host name, every aggregate named ``maintenance:<host>``.
        """
        with api.explained('Host aggregates'):
            return {
                host: _aggregate(item)
                for item in self._client.aggregates.list()
                if (host := record.aggregate_host(item.name))
            }

    def aggregate(self, aggregate: compute.Aggregate) -> compute.Aggregate:
        """An aggregate as it is now.

        Rests on GET /os-aggregates/{id}, microversion 2.41 (its UUID).

        :param aggregate: the aggregate as it was.
        :returns: the same, read again.
        :raises OvertakenError: if it has been deleted.
        """
        with api.explained(f'Aggregate {aggregate.name}'):
            try:
                found = _aggregate(self._client.aggregates.get(aggregate.id))
            except nova_exceptions.NotFound as exc:
                raise api.OvertakenError(
                    text.escape(f'Aggregate {aggregate.name}: {exc}')
                ) from exc
        if found.uuid != aggregate.uuid:
            # some databases give a number again
            raise api.OvertakenError(
                text.escape(f'Aggregate {aggregate.name} has been deleted')
            )
        return found

    def differs(self, aggregate: compute.Aggregate) -> bool:
        """Whether an aggregate is not as it was before a request that failed.

        If so, that request counts as one that has changed something: nobody
        knows. Rests on GET /os-aggregates/{id}, microversion 2.41 (its UUID).

        :param aggregate: the aggregate as it was.
        :returns: False as well if Nova does not answer.
        """
        try:
            if self.aggregate(aggregate) == aggregate:
                return False
        except api.OvertakenError:
            pass
        except exceptions.CommandError:
            return False
        self.changes += 1
        return True

    def nodes(self, host: str) -> list[str]:
        """The compute nodes of a host: one, or for Ironic any number.

        Rests on GET /os-hypervisors/detail, microversions 2.53 to 2.87.

        :param host: the host name.
        :returns: their UUIDs, which are those of their resource providers.
        """
        # a hypervisor's name is most often the host's, with or without the
        # domain; those of Ironic's nodes are anything
        pattern = parse.quote(host.partition('.')[0], safe='')
        with api.explained(f'Hypervisors of {host}'):
            try:
                found = _of_host(
                    self._nodes(f'?hypervisor_hostname_pattern={pattern}'),
                    host,
                )
            except (nova_exceptions.NotFound, nova_exceptions.BadRequest):
                found = {}
            if not found or any(node.bare_metal for node in found.values()):
                found = _of_host(self._nodes(), host)
        return list(found)

    def providers(self) -> dict[str, answers.Node]:
        """The compute nodes of all hosts.

        Rests on GET /os-hypervisors/detail, microversions 2.53 to 2.87.

        :returns: the compute nodes by their UUIDs, which are those of their
            resource providers.
        """
        with api.explained('Hypervisors'):
            return self._nodes()

    def _nodes(self, query: str = '') -> dict[str, answers.Node]:
        path = f'/os-hypervisors/detail{query}'
        return {
            fields.identity(item): answers.node(item)
            # without those whose compute service it does not find; with a
            # pattern there are no pages
            for item in api.pages(
                self._hypervisor_client,
                'hypervisors',
                path,
                0 if query else _LAST_PAGE,
            )
        }

    # -- writing -----------------------------------------------------------

    @contextlib.contextmanager
    def _changing(self, subject: str) -> collections.abc.Iterator[None]:
        """A request that changes something, counted if Nova takes it."""
        with api.explained(subject):
            try:
                yield
            except (
                nova_exceptions.Conflict,
                nova_exceptions.NotFound,
            ) as exc:
                raise api.OvertakenError(
                    text.escape(f'{subject}: {exc}')
                ) from exc
        self.changes += 1

    def claim(self, host: str) -> compute.Aggregate | None:
        """Create the aggregate that will hold a host's record.

        Rests on POST /os-aggregates, microversion 2.41; Nova lets only one
        aggregate have the name, so only one caller gets it.

        :param host: the host name.
        :returns: the aggregate; None if there is one of that name already.
        :raises CommandError: if Nova refuses.
        """
        name = record.aggregate_name(host)
        with api.explained(f'Aggregate {name}'):
            made: compute.Aggregate | None
            try:
                made = _created(self._client.aggregates.create(name, None))
            except nova_exceptions.Conflict:
                return None
            except nova_exceptions.ClientException as exc:
                # Of two at the same moment Nova fails one with a 500; and a
                # 5xx of a proxy does not say whether Nova has done it.
                if (
                    exc.code < api.SERVER_ERROR
                    or host not in self.aggregates()
                ):
                    raise
                # nobody knows whose it is
                made = None
        self.changes += 1
        return made

    def write_record(
        self, aggregate: compute.Aggregate, changes: dict[str, str | None]
    ) -> compute.Aggregate:
        """Change the metadata of an aggregate in one request.

        Rests on POST /os-aggregates/{id}/action set_metadata.

        :param aggregate: the aggregate.
        :param changes: values to set; None removes a key.
        :returns: the aggregate as it is now.
        :raises OvertakenError: if it has been deleted.
        :raises CommandError: if Nova refuses.
        """
        with self._changing(f'Record in {aggregate.name}'):
            return _aggregate(
                self._client.aggregates.set_metadata(aggregate.id, changes)
            )

    def add_host(
        self, aggregate: compute.Aggregate, host: str
    ) -> compute.Aggregate:
        """Make a host a member of an aggregate.

        Rests on POST /os-aggregates/{id}/action add_host.

        :param aggregate: the aggregate.
        :param host: the host name.
        :returns: the aggregate as it is now.
        :raises OvertakenError: if it is one already, or the aggregate or the
            host has been deleted.
        :raises CommandError: if Nova refuses.
        """
        with self._changing(f'Adding {host} to {aggregate.name}'):
            return _aggregate(
                self._client.aggregates.add_host(aggregate.id, host)
            )

    def remove_host(
        self, aggregate: compute.Aggregate, host: str
    ) -> compute.Aggregate:
        """Take a host out of an aggregate.

        Rests on POST /os-aggregates/{id}/action remove_host.

        :param aggregate: the aggregate.
        :param host: the host name.
        :returns: the aggregate as it is now.
        :raises OvertakenError: if it is out already, or the aggregate has
            been deleted.
        :raises CommandError: if Nova refuses.
        """
        with self._changing(f'Removing {host} from {aggregate.name}'):
            return _aggregate(
                self._client.aggregates.remove_host(aggregate.id, host)
            )

    def delete(self, aggregate: compute.Aggregate) -> None:
        """Delete an aggregate.

        Rests on DELETE /os-aggregates/{id}.

        :param aggregate: the aggregate, without members.
        :raises OvertakenError: if it has been deleted already, or has got a
            member again.
        :raises CommandError: if Nova refuses.
        """
        with self._changing(f'Aggregate {aggregate.name}'):
            try:
                self._client.aggregates.delete(aggregate.id)
            except nova_exceptions.BadRequest as exc:
                # not empty
                raise api.OvertakenError(
                    text.escape(f'Aggregate {aggregate.name}: {exc}')
                ) from exc

    def set_service(
        self, service: compute.Service, wanted: record.ServiceStatus
    ) -> compute.Service:
        """Enable or disable a compute service.

        Rests on PUT /os-services/{uuid}, microversion 2.53.

        :param service: the service.
        :param wanted: its new status and disabled_reason.
        :returns: the service as it is now.
        :raises OvertakenError: if it has been deleted.
        :raises CommandError: if Nova refuses.
        """
        services = self._client.services
        with self._changing(f'Compute service of {service.host}'):
            if wanted.status == 'enabled':
                return _service(services.enable(service.id))
            if wanted.reason:
                return _service(
                    services.disable_log_reason(service.id, wanted.reason)
                )
            return _service(services.disable(service.id))


def _of_host(
    nodes: dict[str, answers.Node], host: str
) -> dict[str, answers.Node]:
    return {id_: node for id_, node in nodes.items() if node.host == host}


def _service(item: typing.Any) -> compute.Service:
    told = item.to_dict()
    status = fields.one_of(told, 'status', _STATUSES)
    # a service in a cell that is down has only a host and a status (2.69)
    down = status == _UNKNOWN
    reason = (fields.maybe if down else fields.nullable)(
        told, 'disabled_reason', str
    )
    return compute.Service(
        host=fields.needed(told, 'host', str),
        id='' if down else fields.identity(told),
        status=status,
        state=fields.maybe(told, 'state', str) or '',
        disabled_reason=reason or None,
        zone=fields.maybe(told, 'zone', str) or '',
    )


def _aggregate(item: typing.Any) -> compute.Aggregate:
    told = item.to_dict()
    # one without them would be taken for one without a record
    fields.needed(told, 'hosts', list)
    fields.needed(told, 'metadata', dict)
    return _created(item)


def _created(item: typing.Any) -> compute.Aggregate:
    """The answer to its creation has neither hosts nor metadata."""
    told = item.to_dict()
    return compute.Aggregate(
        id=fields.needed(told, 'id', int),
        uuid=fields.identity(told, 'uuid'),
        name=fields.needed(told, 'name', str),
        hosts=tuple(fields.listed(told, 'hosts', str)),
        metadata=fields.texts(told, 'metadata'),
    )
