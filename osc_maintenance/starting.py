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

"""Starting again what a maintenance has stopped, before it ends."""

import collections.abc
import dataclasses
import functools
import time
import typing

from osc_lib import exceptions

from osc_maintenance import asking
from osc_maintenance import causes
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance import parallel
from osc_maintenance import servers
from osc_maintenance import text
from osc_maintenance import times
from osc_maintenance import writes

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_

#: How soon to look again whether a server runs, and for how long, in seconds.
_AGAIN, _PATIENCE = 2.0, 120.0
#: After how many answers that cannot be read it is given up.
_ODD = 5

#: What has been stopped becomes one of these; all else its owner has done.
_NOT_RUNNING = frozenset(('stopped', 'error', 'resized'))
#: What is told of each server: its ``id``, ``name``, and ``cause``: why it
#: does not run, in the cloud's words, or None.
Row = dict[str, str | None]


class ResumedError(api.OvertakenError):
    """Somebody goes on with a maintenance that was about to end."""


@dataclasses.dataclass(frozen=True)
class Stopped:
    """The servers that a maintenance has stopped.

    :ivar able: those that can be started.
    :ivar left: what is told of those that cannot.
    :ivar theirs: those that are stopped, and not for it any more.
    """

    able: list[servers.Server]
    left: list[Row]
    theirs: list[servers.Server]


def find(
    clients: 'clients_.Clients', host: compute.Host, *, force: bool
) -> Stopped:
    """Find the servers that a maintenance has stopped, and that are stopped.

    What somebody else has started since, or stopped, is theirs.

    :param clients: Nova.
    :param host: the host, with its record.
    :param force: the maintenance ends whether they can be started or not.
    :returns: the servers.
    :raises RefusedError: if they cannot be started, as nova-compute is down.
    :raises CommandError: if Nova does not answer.
    """
    noted = host.journal.stopped
    told = parallel.each(clients.servers.server, sorted(noted))
    off = [
        server
        for server in told
        if server
        and server.host
        and (server.vm_state in _NOT_RUNNING or server.stopping)
    ]
    ours = [
        server for server in off if _is_ours(clients, server, noted[server.id])
    ]
    found = [server for server in ours if _is_stopped(server)]
    foreign = [server for server in found if server.foreign]
    if foreign and not force:
        raise asking.RefusedError(
            'Nova lets only an admin start what this maintenance has stopped: '
            f'{_named(foreign)}: let an admin end it, or leave them stopped '
            'with --force'
        )
    down = {
        name
        for name in {server.host for server in found}
        if not _is_up(clients, name)
    }
    stuck = [server for server in found if server.host in down]
    if stuck and not force:
        raise asking.RefusedError(
            f'nova-compute on {", ".join(sorted(down))} is down, so what this '
            f'maintenance has stopped cannot be started again: '
            f'{_named(stuck)}: bring it up first, or leave them stopped with '
            '--force'
        )
    return Stopped(
        [s for s in found if s.host not in down and not s.foreign],
        [
            _row(
                server, f'left stopped: nova-compute on {server.host} is down'
            )
            for server in stuck
        ]
        + [
            _row(server, 'left stopped: Nova lets only an admin start it')
            for server in foreign
            if server not in stuck
        ]
        + [
            _row(server, server.fault or f'it is {server.status}')
            for server in ours
            if server not in found
        ],
        [s for s in off if s not in ours and _is_stopped(s)],
    )


def _named(found: collections.abc.Iterable[servers.Server]) -> str:
    return ', '.join(f'{text.escape(s.name)} ({s.id})' for s in found)


def _is_stopped(server: servers.Server) -> bool:
    return server.vm_state == 'stopped' or server.stopping


def _is_ours(
    clients: 'clients_.Clients', server: servers.Server, users: tuple[str, ...]
) -> bool:
    """Whether who has stopped a server for the maintenance was the last."""
    if not users or server.foreign:
        return True
    try:
        return clients.servers.stopped_by(server.id) in users
    except api.TransientError:
        raise
    except exceptions.CommandError:
        # not ours to read, perhaps
        return True


def _is_up(clients: 'clients_.Clients', host: str) -> bool:
    service = clients.nova.service(host)
    return service is not None and service.state == 'up'


def _row(server: servers.Server, cause: str | None) -> Row:
    return {
        'id': server.id,
        'name': text.escape(server.name),
        'cause': text.escape(cause) if cause else None,
    }


def again(
    clients: 'clients_.Clients',
    host: compute.Host,
    *,
    force: bool,
    brings_back: bool = False,
    hear: collections.abc.Callable[[str], object],
    pause: collections.abc.Callable[[float], object] = time.sleep,
) -> tuple[compute.Host, list[Row]]:
    """Start what a maintenance has stopped, before it ends.

    :param clients: Nova.
    :param host: the host, with its record.
    :param force: it ends whether they can be started or not.
    :param brings_back: other servers are to come back before.
    :param hear: is told which servers are left, as somebody else has started
        or stopped them since.
    :param pause: waits for some seconds.
    :returns: the host then, and what is told of each server; whether it is
        still about to end is for :func:`check_ending` to see, as a drain may
        have stopped them again.
    :raises RefusedError: if it cannot end; nothing has been written then.
    :raises OvertakenError: if somebody else has ended it.
    :raises CommandError: if Nova does not answer.
    """
    change.to_unset(host, force=force)
    if not host.journal.stopped:
        return host, []
    find(clients, host, force=force)
    host = announce(clients, host, brings_back=brings_back)
    # a drain may have stopped more of them until it was noted
    found = find(clients, host, force=force)
    rows = start(clients, found, pause)
    if left := causes.left_stopped(found.theirs):
        hear(left)
    return host, rows


def check_ending(
    clients: 'clients_.Clients', host: compute.Host
) -> compute.Host:
    """See that a maintenance is still about to end: set takes that back.

    :param clients: Nova.
    :param host: the host, with its record.
    :returns: the host then.
    :raises ResumedError: if it is not.
    :raises OvertakenError: if somebody else has ended it.
    """
    if host.aggregate:
        aggregate = clients.nova.aggregate(host.aggregate)
        host = dataclasses.replace(host, aggregate=aggregate)
        if not host.journal.returning:
            raise ResumedError(
                f'{text.escape(host.name)} was put into maintenance again by '
                'somebody else while it was being ended'
            )
    return host


def announce(
    clients: 'clients_.Clients',
    host: compute.Host,
    *,
    brings_back: bool = False,
) -> compute.Host:
    """Note that the maintenance is about to end, before servers start.

    No drain stops them again then.

    :param clients: Nova.
    :param host: the host, with its record.
    :param brings_back: other servers are to come back before.
    :returns: the host then.
    :raises OvertakenError: if somebody else has ended it.
    """
    noted = host.journal.returning
    if host.aggregate is None or (
        noted and host.journal.brings_back >= brings_back
    ):
        return host
    about_to = noting.returning({}, times.now(), brings_back=brings_back)
    return writes.note(clients.nova, host, about_to)


def start(
    clients: 'clients_.Clients',
    found: Stopped,
    pause: collections.abc.Callable[[float], object] = time.sleep,
) -> list[Row]:
    """Start servers, and see that they run.

    :param clients: Nova.
    :param found: the servers.
    :param pause: waits for some seconds.
    :returns: what is told of each.
    """

    def run(server: servers.Server) -> Row:
        return _row(server, _started(clients, server.id, pause))

    return [*parallel.each(run, found.able), *found.left]


def _started(
    clients: 'clients_.Clients',
    server: str,
    pause: collections.abc.Callable[[float], object],
) -> str | None:
    """Start one; why it does not run, or None."""
    asked, why = False, 'it is still being stopped, or something else is done'
    refusal, odd = None, 0
    for _ in range(int(_PATIENCE / _AGAIN)):
        try:
            now = api.patiently(lambda: clients.servers.server(server), pause)
        except api.TransientError as exc:
            return str(exc)
        except exceptions.CommandError as exc:
            # nobody starts it later: one odd answer is no reason to give up
            why, odd = str(exc), odd + 1
            if odd == _ODD:
                break
            pause(_AGAIN)
            continue
        if now is None or (now.vm_state == 'active' and not now.stopping):
            return None
        if now.task_state is None and now.vm_state == 'stopped':
            if asked:
                told = refusal or clients.servers.trouble(now, 'start')
                return told or 'it is stopped, and Nova tells no more'
            try:
                ask = functools.partial(clients.servers.start, now)
                api.patiently(ask, pause)
            except api.OvertakenError as exc:
                # somebody else is at it
                why = str(exc)
            except exceptions.CommandError as exc:
                # Nova may have done it all the same
                asked, why = True, str(exc)
                refusal = why
            else:
                asked = True
                why = 'Nova was asked to start it, and has not done so yet'
        elif now.task_state is None:
            return now.fault or f'it is {now.status}'
        pause(_AGAIN)
    return why


def look_again(
    clients: 'clients_.Clients', rows: collections.abc.Iterable[Row]
) -> list[Row]:
    """What is told of servers by now: somebody may have started some.

    :param clients: Nova.
    :param rows: what was told of each.
    :returns: what is to be told of them.
    :raises CommandError: if Nova does not answer.
    """

    def look(row: Row) -> Row:
        if row['cause'] is None:
            return row
        now = clients.servers.server(str(row['id']))
        runs = now is None or (now.vm_state == 'active' and not now.stopping)
        return {**row, 'cause': None} if runs else row

    return parallel.each(look, list(rows))
