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

"""Writing the notices of single servers, and removing them."""

import collections.abc
import contextlib
import typing

from osc_lib import exceptions

from osc_maintenance import gaps
from osc_maintenance import notice
from osc_maintenance.nova import api
from osc_maintenance import owners
from osc_maintenance import parallel
from osc_maintenance import servers
from osc_maintenance import text

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_

#: How long to wait before what has failed is tried again, in seconds.
PAUSES = (1.0, 2.0, 4.0)


def say(
    clients: 'clients_.Clients',
    stale: collections.abc.Iterable[servers.Server],
    wanted: collections.abc.Mapping[str, notice.Notice],
    pause: collections.abc.Callable[[float], object],
) -> dict[str, str]:
    """Write notices, more than once where that may help.

    :param clients: Nova.
    :param stale: the servers whose notices are not what they have to be.
    :param wanted: what they have to be, by the ids of the servers.
    :param pause: waits for some seconds.
    :returns: why some could not be written, by the ids of their servers.
    """
    here = {server.id: server for server in stale}
    failed = _attempted(clients, here.values(), wanted)
    for seconds in PAUSES:
        again = [
            here[server]
            for server, exc in failed.items()
            if isinstance(exc, api.TransientError)
        ]
        if not again:
            break
        pause(seconds)
        for server in again:
            del failed[server.id]
        failed |= _attempted(clients, again, wanted)
    return {server: text.escape(str(exc)) for server, exc in failed.items()}


def _attempted(
    clients: 'clients_.Clients',
    stale: collections.abc.Collection[servers.Server],
    wanted: collections.abc.Mapping[str, notice.Notice],
) -> dict[str, exceptions.CommandError]:
    causes = parallel.each(
        lambda server: _say(clients, server, wanted[server.id]), stale
    )
    return {
        server.id: cause
        for server, cause in zip(stale, causes, strict=True)
        if cause
    }


def _say(
    clients: 'clients_.Clients', server: servers.Server, item: notice.Notice
) -> exceptions.CommandError | None:
    """Write one notice; why it is not there, or None."""
    values = notice.encode(item)
    try:
        clients.owned.tell(server, values)
        over = (notice.KEYS - values.keys()) & server.said.keys()
        clients.owned.untell(server, over)
    except exceptions.CommandError as exc:
        return None if _is_settled(clients, server, item) else exc
    return None


def _is_settled(
    clients: 'clients_.Clients', server: servers.Server, item: notice.Notice
) -> bool:
    """Whether a notice is there all the same, or nobody to be told."""
    with contextlib.suppress(exceptions.CommandError):
        found = clients.servers.server(server.id)
        return found is None or not item.lacks(found.said)
    return False


def unsay(
    clients: 'clients_.Clients',
    ours: str,
    server: str,
    *,
    known: servers.Server | None = None,
    left_by: str | None = None,
) -> exceptions.CommandError | None:
    """Remove one notice, if it is ours.

    :param clients: Nova.
    :param ours: the id of the maintenance.
    :param server: the id of the server.
    :param known: the server, if it has been looked at.
    :param left_by: the host that the server has left, if that is why.
    :returns: why that cannot be done, or None.
    """
    try:
        found = known or clients.servers.server(server)
        if found is None or not notice.keys_of(found.said, ()):
            return None
        if left_by == found.host and not found.deleted:
            return gaps.left_out(found)
        others: set[str] = set()
        read = notice.decode(found.said)
        replied = owners.replies_to(found.said)
        if read is None or read.id != ours or replied not in ('', ours):
            # it may be of another maintenance by now
            others = {
                aggregate.maintenance_id
                for aggregate in clients.nova.aggregates().values()
            } - {ours}
        keys = notice.keys_of(found.said, others)
        if not clients.owned.untell(found, keys):
            now = clients.servers.server(server)
            if now and now.said.keys() & keys:
                # Nova lists it, and does not let us change it
                return exceptions.CommandError(
                    f'{now.name} ({now.id}): Nova does not find it for this '
                    'account, though it is there: an admin can remove its '
                    'notice'
                )
    except exceptions.CommandError as exc:
        return exc
    return None
