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

"""The only module that talks to Nova.

python-novaclient on OSC's session: Nova's answers become the plain types of
:mod:`osc_maintenance.state`, and its refusals a ``CommandError`` in Nova's
own words.
"""

import collections
import collections.abc
import contextlib
import difflib
import typing
from urllib import parse

from keystoneauth1 import exceptions as ksa_exceptions
from novaclient import exceptions as nova_exceptions
from osc_lib import exceptions

from osc_maintenance import record
from osc_maintenance import state
from osc_maintenance import text

_SERVER_ERROR = 500
_COMPUTE = 'nova-compute'
#: The migration has ended. Anything else is in progress, but for 'finished'.
_ENDED = frozenset(
    (
        'cancelled',
        'completed',
        'confirmed',
        'done',
        'error',
        'failed',
        'reverted',
    )
)
#: The server is on its new host, and waits to be confirmed or reverted.
_UNCONFIRMED = 'finished'


class OvertakenError(exceptions.CommandError):
    """Somebody else was quicker: look again, and decide again."""


@contextlib.contextmanager
def explained(subject: str) -> collections.abc.Iterator[None]:
    """Turn what a request raises into one line for the user.

    :param subject: what the request is about.
    :raises CommandError: the subject, and what is wrong in the cloud's words.
    """
    try:
        yield
    except (
        nova_exceptions.ClientException,
        ksa_exceptions.ClientException,
    ) as exc:
        words = f'{subject}: {exc}'.replace('\n', ' ')
        raise exceptions.CommandError(text.escape(words)) from exc
    except (
        AttributeError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
    ) as exc:
        words = f'{subject}: that is no answer of the API: {exc!r}'
        raise exceptions.CommandError(text.escape(words)) from exc


class Nova:
    """Nova, as far as host maintenance needs it.

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

    def service(self, host: str) -> state.Service | None:
        """The nova-compute service of exactly that host.

        Rests on GET /os-services, microversion 2.53.

        :param host: the host name.
        :returns: the service, or None if there is none.
        """
        with explained(f'Compute service of {host}'):
            for item in self._client.services.list(host=host, binary=_COMPUTE):
                found = _service(item)
                # a database may compare names without case
                if found.host == host:
                    return found
        return None

    def services(self) -> list[state.Service]:
        """Every nova-compute service.

        Rests on GET /os-services, microversion 2.53.

        :returns: the services, in the order of their hosts' names.
        """
        with explained('Compute services'):
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

    def aggregates(self) -> dict[str, state.Aggregate]:
        """The aggregates that hold records.

        Rests on GET /os-aggregates, microversion 2.41 (its UUID).

        :returns: by host name, every aggregate named ``maintenance:<host>``.
        """
        with explained('Host aggregates'):
            return {
                host: _aggregate(item)
                for item in self._client.aggregates.list()
                if (host := record.aggregate_host(item.name))
            }

    def aggregate(self, aggregate: state.Aggregate) -> state.Aggregate:
        """An aggregate as it is now.

        Rests on GET /os-aggregates/{id}, microversion 2.41 (its UUID).

        :param aggregate: the aggregate as it was.
        :returns: the same, read again.
        :raises OvertakenError: if it has been deleted.
        """
        with explained(f'Aggregate {aggregate.name}'):
            try:
                return _aggregate(self._client.aggregates.get(aggregate.id))
            except nova_exceptions.NotFound as exc:
                raise OvertakenError(
                    text.escape(f'Aggregate {aggregate.name}: {exc}')
                ) from exc

    def servers(self, host: str) -> dict[str, int]:
        """The servers on a host, those of all projects.

        Rests on GET /servers/detail?host=, paged.

        :param host: the host name.
        :returns: how many there are, by status.
        """
        counts: collections.Counter[str] = collections.Counter()
        with explained(f'Servers on {host}'):
            for server in self._pages(
                'servers', '/servers/detail', all_tenants='1', host=host
            ):
                # Nova ignores the filter for those who may not use it
                if server['OS-EXT-SRV-ATTR:host'] == host:
                    counts[server['status']] += 1
        return dict(sorted(counts.items()))

    def migrations(self, host: str) -> state.Movement:
        """What is on its way from or to a host.

        Rests on GET /os-migrations?host=, paged from 2.59 on.

        :param host: the host name.
        :returns: counts of migrations.
        """
        out = coming = unconfirmed = 0
        with explained(f'Migrations of {host}'):
            for item in self._pages('migrations', '/os-migrations', host=host):
                leaves = item.get('source_compute') == host
                comes = item.get('dest_compute') == host
                if item.get('status') in _ENDED or leaves == comes:
                    # ended, or a resize that stays on the host
                    continue
                if item.get('status') == _UNCONFIRMED:
                    unconfirmed += leaves
                else:
                    out += leaves
                    coming += comes
        return state.Movement(out, coming, unconfirmed)

    def _pages(
        self, key: str, path: str, client: typing.Any = None, **query: str
    ) -> collections.abc.Iterator[dict[str, typing.Any]]:
        """Every item of a listing, page by page.

        novaclient's own paging asks once more when all has been told.
        """
        while True:
            url = f'{path}?{parse.urlencode(query)}' if query else path
            _response, body = (client or self._client).client.get(url)
            yield from body[key]
            links = body.get(f'{key}_links', ())
            if not any(link['rel'] == 'next' for link in links):
                return
            last = body[key][-1]
            query['marker'] = str(last.get('uuid') or last['id'])

    def nodes(self, host: str) -> list[str]:
        """The compute nodes of a host: one, or for Ironic any number.

        Rests on GET /os-hypervisors/detail, microversions 2.53 to 2.87.

        :param host: the host name.
        :returns: their UUIDs, which are those of their resource providers.
        """
        # a hypervisor's name is most often the host's, with or without the
        # domain; those of Ironic's nodes are anything
        pattern = parse.quote(host.partition('.')[0], safe='')
        path = '/os-hypervisors/detail'
        with explained(f'Hypervisors of {host}'):
            try:
                found = self._nodes(
                    f'{path}?hypervisor_hostname_pattern={pattern}', host
                )
            except (nova_exceptions.NotFound, nova_exceptions.BadRequest):
                found = {}
            if not found or 'ironic' in found.values():
                found = self._nodes(path, host)
        return list(found)

    def _nodes(self, path: str, host: str) -> dict[str, str]:
        """The kinds of a host's hypervisors, by UUID."""
        return {
            item['id']: item['hypervisor_type']
            for item in self._pages(
                'hypervisors', path, self._hypervisor_client
            )
            if item['service']['host'] == host
        }

    # -- writing -----------------------------------------------------------

    @contextlib.contextmanager
    def _changing(self, subject: str) -> collections.abc.Iterator[None]:
        """A request that changes something, counted if Nova takes it."""
        with explained(subject):
            try:
                yield
            except (
                nova_exceptions.Conflict,
                nova_exceptions.NotFound,
            ) as exc:
                raise OvertakenError(text.escape(f'{subject}: {exc}')) from exc
        self.changes += 1

    def claim(self, host: str) -> state.Aggregate | None:
        """Create the aggregate that will hold a host's record.

        Rests on POST /os-aggregates, microversion 2.41; Nova lets only one
        aggregate have the name, so only one caller gets it.

        :param host: the host name.
        :returns: the aggregate; None if there is one of that name already.
        :raises CommandError: if Nova refuses.
        """
        name = record.aggregate_name(host)
        with explained(f'Aggregate {name}'):
            try:
                made = _aggregate(self._client.aggregates.create(name, None))
            except nova_exceptions.Conflict:
                return None
            except nova_exceptions.ClientException as exc:
                # Of two at the same moment Nova fails one with a 500; and a
                # 5xx of a proxy does not say whether Nova has done it.
                if exc.code < _SERVER_ERROR or host not in self.aggregates():
                    raise
                return None
        self.changes += 1
        return made

    def write_record(
        self, aggregate: state.Aggregate, changes: dict[str, str | None]
    ) -> state.Aggregate:
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
        self, aggregate: state.Aggregate, host: str
    ) -> state.Aggregate:
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
        self, aggregate: state.Aggregate, host: str
    ) -> state.Aggregate:
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

    def delete(self, aggregate: state.Aggregate) -> None:
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
                raise OvertakenError(
                    text.escape(f'Aggregate {aggregate.name}: {exc}')
                ) from exc

    def set_service(
        self, service: state.Service, wanted: record.ServiceStatus
    ) -> state.Service:
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


def _service(item: typing.Any) -> state.Service:
    # a service in a cell that is down has only a host and a status (2.69)
    told = item.to_dict()
    return state.Service(
        host=told['host'],
        id=str(told.get('id') or ''),
        status=told['status'],
        state=told.get('state') or '',
        disabled_reason=told.get('disabled_reason') or None,
    )


def _aggregate(item: typing.Any) -> state.Aggregate:
    # the answer to its creation has neither hosts nor metadata
    told = item.to_dict()
    return state.Aggregate(
        id=told['id'],
        uuid=told['uuid'],
        name=told['name'],
        hosts=tuple(told.get('hosts') or ()),
        metadata=dict(told.get('metadata') or {}),
    )
