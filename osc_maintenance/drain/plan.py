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

"""The verdicts on all servers of a host, before anything moves."""

import collections.abc
import dataclasses
import datetime
import typing

from osc_maintenance import asking
from osc_maintenance.drain import arrivals
from osc_maintenance.drain import evacuation
from osc_maintenance.drain import returned
from osc_maintenance.drain import surroundings
from osc_maintenance.drain import verdict
from osc_maintenance import journal
from osc_maintenance import microversions
from osc_maintenance import policy as policy_
from osc_maintenance import servers
from osc_maintenance import text

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_


_LEAVE = verdict.Action.LEAVE.value


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a drain would do.

    :ivar load: what is on the host, and on its way.
    :ivar policy: which servers have to go.
    :ivar evacuate: they are rebuilt elsewhere, as the host is down.
    :ivar around: where they can go.
    :ivar verdicts: what is done with each server on the host, by its id.
    :ivar others: servers that are not on the host but on their way to it, or
        whose resize away from it is not confirmed, by id.
    :ivar builds: servers that were scheduled to the host, and that it has not
        taken up yet.
    :ivar notes: what could not be asked, and what Nova does not give.
    """

    load: servers.Load
    policy: policy_.Policy
    evacuate: bool
    around: verdict.Surroundings
    verdicts: collections.abc.Mapping[str, verdict.Verdict]
    others: collections.abc.Mapping[str, servers.Server]
    builds: tuple[servers.Server, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def wanted(self) -> bool:
        """Whether a server has to go, whether it can or not."""
        return any(
            found.action is not verdict.Action.LEAVE
            for found in self.verdicts.values()
        )

    @property
    def goes(self) -> bool:
        """Whether there is a server that is moved or stopped."""
        return any(
            found.moves or found.stops for found in self.verdicts.values()
        )

    @property
    def blocked(self) -> list[servers.Server]:
        """The servers that have to go and cannot."""
        return [
            server
            for server, found in self._becomes
            if found.action is verdict.Action.BLOCKED
        ]

    @property
    def waits_for_owners(self) -> bool:
        """Whether those that cannot go wait for nothing but their owners."""
        return all(self.verdicts[s.id].then for s in self.blocked)

    @property
    def _becomes(
        self,
    ) -> collections.abc.Iterator[tuple[servers.Server, verdict.Verdict]]:
        """What becomes of each server: one in motion off the host goes on."""
        moving = {
            item.server: item
            for item in self.load.out
            # nothing else goes on where a host is down
            if item.evacuation or not self.evacuate
        }
        for server in self.load.servers or ():
            found = self.verdicts[server.id]
            if server.id in moving:
                found = _on_its_way(moving[server.id], found)
            yield server, found

    def rows(self) -> list[dict[str, typing.Any]]:
        """The verdict on each server, as JSON shows it: a contract.

        :returns: for each server ``id``, ``name``, ``project``, ``status``,
            ``verdict`` and ``cause``.
        """
        rows = [
            _row(server, found.action.value, found.cause)
            for server, found in self._becomes
        ]
        for migration in self.load.coming:
            if migration.server in self.verdicts:
                # it has just come
                continue
            cause = f'on its way here from {migration.source}'
            rows += self._other(migration, cause)
        for migration in self.load.unconfirmed:
            cause = (
                f'on {migration.dest}, but its {migration.kind} away from '
                f'{self.load.host} is not confirmed yet'
            )
            rows += self._other(migration, cause)
        for server in self.builds:
            cause = (
                f'is being built, and {self.load.host} has not taken it up yet'
            )
            rows.append(_row(server, _LEAVE, cause))
        return rows

    def _other(
        self, migration: servers.Migration, cause: str
    ) -> list[dict[str, typing.Any]]:
        server = self.others.get(migration.server)
        return [_row(server, _LEAVE, cause)] if server else []


def _on_its_way(
    migration: servers.Migration, known: verdict.Verdict
) -> verdict.Verdict:
    for action, kind in verdict.KINDS.items():
        if kind == migration.kind:
            where = migration.dest or 'a host that is being chosen'
            return verdict.Verdict(
                action, f'{migration.status}, on its way to {where}'
            )
    return known


def _row(
    server: servers.Server, action: str, cause: str | None
) -> dict[str, typing.Any]:
    return {
        'id': server.id,
        'name': text.escape(server.name),
        'project': server.project,
        'status': text.escape(server.status),
        'verdict': action,
        'cause': text.escape(cause) if cause else None,
    }


def make(
    clients: 'clients_.Clients',
    load: servers.Load,
    policy: policy_.Policy,
    now: datetime.datetime,
    noted: journal.Journal,
    *,
    evacuate: bool = False,
    moving: bool = True,
) -> Plan:
    """Find out what a drain would do; nothing is changed.

    :param clients: Nova, Placement and Glance.
    :param load: what is on the host.
    :param policy: which servers have to go.
    :param now: the present, in UTC.
    :param noted: what was noted beside the record.
    :param evacuate: the host is down, and its servers are rebuilt elsewhere.
    :param moving: it is about to be done, and not only shown.
    :returns: the plan.
    :raises CommandError: if Nova does not answer.
    """
    found = load.servers or ()
    surveyor = surroundings.Surveyor(clients, load.host, policy.target)
    around = surveyor.survey(
        [server for server in found if policy.leaves(server) is None]
    )
    elsewhere = {item.server for item in (*load.coming, *load.unconfirmed)}
    verdicts = {
        server.id: verdict.verdict(
            server, policy, around, now, evacuate=evacuate
        )
        for server in found
    }
    if evacuate:
        verdicts = evacuation.judged(clients.servers, load, verdicts)
    else:
        confirming = returned.to_confirm(load, noted)
        verdicts = returned.confirmed_first(verdicts, confirming)
    others = (clients.servers.server(item) for item in sorted(elsewhere))
    known = verdicts.keys() | load.changing
    builds = tuple(
        arrivals.builds(clients, load.host, surveyor.consumers - known)
    )
    notes = [
        f'{text.escape(server.name)} ({server.id}) was to be built on '
        f'{text.escape(load.host)}, which is down: it will not arrive'
        for server in (builds if evacuate else ())
    ]
    plan = Plan(
        load=load,
        policy=policy,
        evacuate=evacuate,
        around=around,
        verdicts=verdicts,
        others={server.id: server for server in others if server},
        builds=builds,
        notes=(*surveyor.notes, *notes),
    )
    lacking = microversions.lacking(
        clients.servers.microversion, _matters(plan, moving=moving)
    )
    if lacking is None:
        return plan
    return dataclasses.replace(plan, notes=(*plan.notes, lacking))


def _matters(plan: Plan, *, moving: bool) -> set[microversions.Matter]:
    """What a plan rests on that not every Nova gives."""
    matter = microversions.Matter
    actions = {found.action for found in plan.verdicts.values()}
    matters = {
        matter.LOCKS: any(
            plan.policy.held(server) and not server.locked_reason
            for server in plan.load.servers or ()
        ),
        matter.ZONES: plan.wanted,
        matter.GROUP_LIMITS: any(
            group.apart for group in plan.around.groups.values()
        ),
        matter.COLD_TARGETS: plan.policy.target is not None
        and verdict.Action.COLD_MIGRATE in actions,
        matter.REQUESTERS: moving and plan.wanted and not plan.evacuate,
        matter.EVACUATED: verdict.Action.EVACUATE in actions,
    }
    return {item for item, matters_ in matters.items() if matters_}


def check(
    clients: 'clients_.Clients',
    plan: Plan,
    *,
    strict: bool,
    entering: bool = True,
) -> None:
    """Refuse what cannot work at all.

    :param clients: Nova.
    :param plan: the plan.
    :param strict: refuse as well if a single server cannot be moved.
    :param entering: the servers move now; later, a host may be up again.
    :raises RefusedError: if nothing can be moved off the host, or to the
        target.
    """
    host = text.escape(plan.load.host)
    if plan.policy.migrate == policy_.NONE:
        return
    if plan.evacuate and not entering:
        raise asking.RefusedError(
            f'{host} would only be planned, and nobody can say now whether it '
            'is fenced then: --evacuate goes without --start, or with --now'
        )
    if plan.policy.target:
        _check_target(
            clients,
            plan.policy.target,
            plan.load.host,
            ready=entering and plan.wanted,
        )
    if not entering:
        return
    if plan.evacuate and plan.around.up:
        raise asking.RefusedError(
            f'nova-compute on {host} is up, and Nova evacuates only from a '
            'host that is down: use --migrate to move its servers, or stop it '
            '(or "openstack compute service set --down") first'
        )
    if plan.wanted and not plan.evacuate and not plan.around.up:
        raise asking.RefusedError(
            f'nova-compute on {host} is down, so Nova can move no server off '
            'it: bring it up; or, if the host is powered off or cut off for '
            'certain, rebuild its servers elsewhere with --evacuate --fenced; '
            'or use --migrate none to leave them'
        )
    if plan.around.bare_metal and plan.wanted and not plan.goes:
        raise asking.RefusedError(
            f'{host} is a host of Ironic, and Nova can move none of its '
            'servers: use --migrate none to leave them'
        )
    stuck = [
        server
        for server in plan.blocked
        # those go when replies count no more
        if not (
            plan.verdicts[server.id].then and plan.verdicts[server.id].passing
        )
    ]
    if strict and stuck:
        causes = '; '.join(
            f'{text.escape(server.name)} ({server.id}): '
            f'{plan.verdicts[server.id].cause}'
            for server in stuck
        )
        raise asking.RefusedError(
            f'{host}: {len(stuck)} of the servers cannot be moved, and '
            f'--strict was given: {causes}; --migrate without --strict leaves '
            'them where they are'
        )


def _check_target(
    clients: 'clients_.Clients', target: str, host: str, *, ready: bool
) -> None:
    """Refuse a target host that no server can go to.

    :param ready: servers go there now; otherwise it only has to be one.
    """
    name = f'--target-host {text.escape(target)}'
    if target == host:
        raise asking.RefusedError(f'{name} is the host that is to be emptied')
    service = clients.nova.service(target)
    if service is None:
        raise asking.RefusedError(
            f'{name}: {clients.nova.unknown_host(target)}'
        )
    if not ready:
        return
    if service.status != 'enabled':
        why = service.disabled_reason or 'no reason given'
        raise asking.RefusedError(
            f'{name} is {service.status} ({text.escape(why)}): enable it, or '
            'give another one'
        )
    if service.state != 'up':
        raise asking.RefusedError(f'{name}: its nova-compute is down')
