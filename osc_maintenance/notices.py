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

"""Telling the owners of servers: facts, decision, writes.

Whose owners are told is noted in the record before they are, so that every
notice can be found again and removed, wherever its server has gone.
"""

import collections.abc
import dataclasses
import datetime
import threading
import time
import typing

from osc_lib import exceptions

from osc_maintenance import compute
from osc_maintenance.drain import plan as plan_
from osc_maintenance.drain import verdict as verdict_
from osc_maintenance import facts
from osc_maintenance import journal
from osc_maintenance import lull
from osc_maintenance import notice
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance import parallel
from osc_maintenance import policy
from osc_maintenance import saying
from osc_maintenance import servers
from osc_maintenance import starting
from osc_maintenance import text
from osc_maintenance import times
from osc_maintenance import writes

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_

#: How many notices are removed before it may be noted that this goes on.
_BATCH = 64
_STAYS = verdict_.Verdict(verdict_.Action.LEAVE)
#: It may have been stopped already.
_STOPS = verdict_.Verdict(verdict_.Action.STOP)


def concern(host: compute.Host) -> bool:
    """Whether there is somebody to be told, or to be told that it is over.

    While nobody knows what is true of the host, the notices stay as they are.

    :param host: the host.
    """
    return _tells(host) or (bool(host.journal.told) and _is_over(host))


def _tells(host: compute.Host) -> bool:
    record = host.record
    return (
        record is not None
        and record.notify
        and not record.problems
        and not host.journal.returning
        and (host.ours or not record.entered)
    )


def _is_over(host: compute.Host) -> bool:
    """Whether nobody is to be told any more."""
    record = host.record
    return (
        record is not None
        and not record.problems
        and (host.journal.returning or not record.notify)
    )


def tell(
    clients: 'clients_.Clients',
    host: compute.Host,
    load: servers.Load,
    verdicts: collections.abc.Mapping[str, verdict_.Verdict],
    pause: collections.abc.Callable[[float], object] = time.sleep,
) -> tuple[compute.Host, dict[str, str]]:
    """Make the notices what they have to be.

    Nova writes nothing to a server that something is being done to: one that
    is on its way is left to the next time.

    :param clients: Nova.
    :param host: the host, with its record.
    :param load: what is on the host.
    :param verdicts: what is to be done with the servers, by id; those that
        are not there stay.
    :param pause: waits for some seconds.
    :returns: the host with its record as it is now, and why owners could not
        be told, by the ids of their servers.
    :raises OvertakenError: if nobody was to be told any more, and somebody
        else tells them again.
    :raises CommandError: if the record cannot be written.
    """
    if not concern(host):
        return host, {}
    here = {server.id: server for server in load.servers or ()}
    record = host.record
    wanted: dict[str, notice.Notice] = {}
    if record and _tells(host):
        wanted = {
            server.id: notice.of(
                record,
                _STOPS
                if record.policy.stopped(server)
                else verdicts.get(server.id, _STAYS),
            )
            for server in here.values()
        }
    new = wanted.keys() - host.journal.told
    if new:
        host = writes.note(clients.nova, host, noting.telling(sorted(new)))
    stale = [
        here[server]
        for server, item in wanted.items()
        if item.lacks(here[server].said) and not here[server].moves
    ]
    failed = saying.say(clients, stale, wanted, pause)
    over = host.journal.told - wanted.keys()
    host, left = _withdrawn(clients, host, here, over, pause, lasts=True)
    gone = over - left.keys()
    if gone:
        host = writes.note(
            clients.nova,
            _still_over(clients, host),
            noting.telling((), sorted(gone)),
        )
    return host, failed | left


def tell_all(
    clients: 'clients_.Clients',
    host: compute.Host,
    now: datetime.datetime,
    plan: plan_.Plan | None = None,
) -> tuple[compute.Host, dict[str, str]]:
    """Make the notices of all servers that are on a host what they have to be.

    :param clients: Nova.
    :param host: the host, with its record.
    :param now: the present, in UTC.
    :param plan: what is to be done with its servers, if that is known.
    :returns: what :func:`tell` returns.
    :raises CommandError: if Nova does not answer, or the record cannot be
        written.
    """
    if not concern(host):
        return host, {}
    load = plan.load if plan else facts.load(clients.servers, host.name)
    wanted = host.record.policy if host.record else policy.NOTHING
    if plan is None and wanted.migrate != policy.NONE:
        plan = plan_.make(clients, load, wanted, now, host.journal)
    return tell(clients, host, load, plan.verdicts if plan else {})


def withdraw(
    clients: 'clients_.Clients',
    host: compute.Host,
    pause: collections.abc.Callable[[float], object] = time.sleep,
) -> dict[str, str]:
    """Remove every notice of a maintenance that is about to be over.

    It is noted before: whoever comes across the record tells nobody any more.
    Nobody looks for what is left once the record is gone, so that is tried
    more than once.

    :param clients: Nova.
    :param host: the host, with its record.
    :param pause: waits for some seconds.
    :returns: why notices are left, by the ids of their servers.
    :raises ResumedError: if somebody goes on with it.
    :raises OvertakenError: if somebody else has told owners meanwhile, or has
        ended it.
    :raises CommandError: if that cannot be noted.
    """
    if not host.journal.told:
        return {}
    host = starting.announce(clients, host)
    told = host.journal.told
    host, left = _withdrawn(clients, host, {}, told, pause, lasts=False)
    host = starting.check_ending(clients, host)
    if host.journal.told - told:
        raise api.OvertakenError(
            f'{text.escape(host.name)}: somebody else is telling owners of '
            'the maintenance at the same time'
        )
    return left


class Farewell:
    """Removes the notices of servers that have moved away, if that can be.

    Nobody waits for that, and what cannot be removed is by who looks next.
    One server comes after another: the moves go first.

    :param clients: Nova.
    :param host: the host, with its record.
    """

    def __init__(
        self, clients: 'clients_.Clients', host: compute.Host
    ) -> None:
        self._clients = clients
        self._host = host
        self._turn = threading.Lock()

    def __call__(self, server: servers.Server) -> None:
        """Begin with one server.

        :param server: the server.
        """
        if concern(self._host):
            parallel.start(lambda: self._say(server))

    def _say(self, server: servers.Server) -> None:
        with self._turn:
            saying.unsay(self._clients, _ours(self._host), server.id)


def _withdrawn(
    clients: 'clients_.Clients',
    host: compute.Host,
    here: collections.abc.Mapping[str, servers.Server],
    over: collections.abc.Collection[str],
    pause: collections.abc.Callable[[float], object],
    *,
    lasts: bool,
) -> tuple[compute.Host, dict[str, str]]:
    """Remove notices, more than once where that may help; why some are left.

    :param here: servers that are known already, by id.
    :param over: the ids of the servers.
    :param lasts: the record does, so what is refused is left to who looks
        next.
    """
    host, left = _attempted_to_withdraw(clients, host, here, over, lasts=lasts)
    for seconds in saying.PAUSES:
        again = [
            server
            for server, exc in left.items()
            if not lasts or isinstance(exc, api.TransientError)
        ]
        if not again:
            break
        pause(seconds)
        for server in again:
            del left[server]
        host, more = _attempted_to_withdraw(
            clients, host, {}, again, lasts=lasts
        )
        left |= more
    return host, {
        server: text.escape(str(exc)) for server, exc in left.items()
    }


def _attempted_to_withdraw(
    clients: 'clients_.Clients',
    host: compute.Host,
    here: collections.abc.Mapping[str, servers.Server],
    over: collections.abc.Iterable[str],
    *,
    lasts: bool,
) -> tuple[compute.Host, dict[str, exceptions.CommandError]]:
    ids, ours = sorted(over), _ours(host)
    # while owners are told, a notice goes because its server has gone
    left_by = host.name if lasts and _tells(host) else None
    left: dict[str, exceptions.CommandError] = {}
    for first in range(0, len(ids), _BATCH):
        if first and _looks_left(host.journal):
            host = _still_ending(clients, host)
        batch = ids[first : first + _BATCH]
        causes = parallel.each(
            lambda server: saying.unsay(
                clients,
                ours,
                server,
                known=here.get(server),
                left_by=left_by,
            ),
            batch,
        )
        left |= {
            server: cause
            for server, cause in zip(batch, causes, strict=True)
            if cause
        }
    return host, left


def _looks_left(noted: journal.Journal) -> bool:
    """Whether it will soon look as if nobody ended the maintenance."""
    if not noted.returning:
        return False
    since = noted.return_noted
    return since is None or abs(times.now() - since) >= lull.NEXT / 3


def _still_ending(
    clients: 'clients_.Clients', host: compute.Host
) -> compute.Host:
    """Note it again, or else it looks as if nobody went on."""
    host = starting.check_ending(clients, host)
    still = noting.returning(
        {}, times.now(), brings_back=host.journal.brings_back
    )
    return writes.note(clients.nova, host, still)


def _still_over(
    clients: 'clients_.Clients', host: compute.Host
) -> compute.Host:
    """See that nobody tells those again who are to be told no more.

    What was noted of them is theirs then.
    """
    if host.aggregate is None or not _is_over(host):
        return host
    found = clients.nova.aggregate(host.aggregate)
    host = dataclasses.replace(host, aggregate=found)
    if not _is_over(host):
        raise api.OvertakenError(
            f'{text.escape(host.name)}: somebody else is telling owners of '
            'the maintenance again'
        )
    return host


def _ours(host: compute.Host) -> str:
    return host.aggregate.maintenance_id if host.aggregate else ''
