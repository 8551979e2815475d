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

"""What is peculiar to the servers of a host that is dead."""

import collections.abc
import typing

from osc_maintenance.drain import verdict
from osc_maintenance import servers

if typing.TYPE_CHECKING:
    from osc_maintenance.nova import servers as servers_api

_MIGRATES = 'migrating'
_BEING_REBUILT = verdict.Verdict(
    verdict.Action.BLOCKED,
    'is being rebuilt on another host, by an evacuation that Nova has '
    'completed the record of',
    passing=True,
)
_UNTOLD = verdict.Verdict(
    verdict.Action.BLOCKED,
    'is being migrated, and Nova lists no migration of it: its cell may not '
    'answer in time, and it may run elsewhere; if there is none, "openstack '
    'server set --state active" it',
    passing=True,
)


def records(
    migrations: collections.abc.Iterable[servers.Migration],
) -> tuple[servers.Migration, ...]:
    """The evacuations among the migrations of a host that is down.

    Nothing else goes on there. Of a server whose live migration had just been
    asked for Nova may note the evacuation in the record of that, and leave
    that of the evacuation behind.

    :param migrations: the migrations from or to the host.
    :returns: the evacuations.
    """
    found = [item for item in migrations if item.evacuation]
    elsewhere = {
        item.server
        for item in found
        if item.succeeded and item.kind != servers.EVACUATION
    }
    return tuple(
        item
        for item in found
        if item.server not in elsewhere or not item.waiting
    )


def judged(
    nova: 'servers_api.Servers',
    load: servers.Load,
    verdicts: collections.abc.Mapping[str, verdict.Verdict],
) -> dict[str, verdict.Verdict]:
    """The verdicts, where some servers may run or be rebuilt elsewhere.

    Nova would take an evacuation of these as well, and they would run twice.

    :param nova: the servers of Nova.
    :param load: what is on the host, and on its way.
    :param verdicts: what would be done with each server, by its id.
    :returns: the verdicts on all.
    :raises CommandError: if Nova does not answer.
    """
    return {
        **verdicts,
        **{
            server.id: peril
            for server in load.servers or ()
            if verdicts[server.id].action is verdict.Action.EVACUATE
            and (peril := _peril(nova, server, load.leaving.get(server.id)))
        },
    }


def _peril(
    nova: 'servers_api.Servers',
    server: servers.Server,
    latest: servers.Migration | None,
) -> verdict.Verdict | None:
    """Why a server must not be evacuated now; None if it may be."""
    if latest is None:
        # its cell may not have answered in time when they were listed
        return _UNTOLD if server.task_state == _MIGRATES else None
    if (
        server.task_state == _MIGRATES
        and latest.kind == servers.LIVE_MIGRATION
        and latest.in_progress
        and not latest.waiting
    ):
        # it is the source that tells Nova when its guest has been switched
        # over, and that takes seconds
        there = latest.dest or 'its destination'
        return verdict.Verdict(
            verdict.Action.BLOCKED,
            f'its live migration to {there} was under way when the host went '
            f'down, and it may run there: look on {there}; if it does not, '
            '"openstack server set --state active" it, and run this again',
        )
    if latest.evacuation and latest.succeeded and nova.being_rebuilt(server):
        return _BEING_REBUILT
    return None
