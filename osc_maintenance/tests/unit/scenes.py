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

"""Hosts for the tests of pure modules, and what Nova makes of a step."""

import dataclasses
import datetime
import typing

from hypothesis import strategies

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance import record
from osc_maintenance import servers

NOW = datetime.datetime(2026, 11, 20, 6, 0, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
NOTHING = servers.Load('compute1')
NIC = record.ServiceStatus('disabled', 'broken NIC')


#: What a service may be before.
SERVICES = strategies.sampled_from(
    [
        record.ENABLED,
        record.ServiceStatus('disabled'),
        NIC,
        record.ServiceStatus('disabled', 'AUTO: Connection to libvirt lost'),
        record.ServiceStatus('disabled', 'y' * 255),
    ]
)
#: What may be asked of set.
REQUESTS = strategies.sampled_from(
    [
        asking.Request(),
        asking.Request(reason='kernel', ticket_url='https://t.example.com/7'),
        asking.Request(duration=2 * HOUR),
        asking.Request(removal=True),
        asking.Request(start=NOW + HOUR, end=NOW + 3 * HOUR),
    ]
)


def service(
    status: str = 'enabled', reason: str | None = None, **fields: str
) -> compute.Service:
    """A compute service of host compute1."""
    return compute.Service(
        host='compute1',
        id=fields.get('id', '11111111-0000-4000-8000-000000000001'),
        status=status,
        state=fields.get('state', 'up'),
        disabled_reason=reason,
        zone=fields.get('zone', ''),
    )


def host(status: str = 'enabled', reason: str | None = None) -> compute.Host:
    """A host that nobody has touched yet."""
    return compute.Host('compute1', service(status, reason))


def host_of(before: record.ServiceStatus) -> compute.Host:
    """A host that somebody has left like that."""
    return host(before.status, before.reason)


def server(name: str, **fields: typing.Any) -> servers.Server:
    """A server of that name, with an id to be told from it."""
    return servers.Server(f'{name}-id', name, **fields)


def load(
    statuses: dict[str, int] | None = None,
    migrations_out: int = 0,
    migrations_in: int = 0,
    unconfirmed_resizes: int = 0,
    *,
    host: str = 'compute1',
) -> servers.Load:
    """What is on a host and on its way, by numbers."""
    here = [
        servers.Server(f'{status}-{number}', f'web{number}', status=status)
        for status, count in (statuses or {}).items()
        for number in range(count)
    ]
    ways = (
        *[(host, 'compute2', 'running')] * migrations_out,
        *[('compute2', host, 'running')] * migrations_in,
        *[(host, 'compute2', 'finished')] * unconfirmed_resizes,
    )
    migrations = tuple(
        servers.Migration(
            number, f'moved-{number}', 'live-migration', status, source, dest
        )
        for number, (source, dest, status) in enumerate(ways, 1)
    )
    return servers.Load(host, tuple(here), migrations)


def claimed(fresh: compute.Host, uuid: str = '3f9a1c2e') -> compute.Host:
    """The host once its aggregate has been created."""
    aggregate = compute.Aggregate(
        id=1,
        uuid=f'{uuid}-0000-4000-8000-000000000001',
        name=f'maintenance:{fresh.name}',
        hosts=(),
        metadata={},
    )
    return dataclasses.replace(fresh, aggregate=aggregate)


def after(before: compute.Host, *steps: change.Step) -> compute.Host:
    """The host as Nova shows it when these steps have been carried out."""
    seen = before
    for step in steps:
        seen = _after(seen, step)
    return seen


def _after(seen: compute.Host, step: change.Step) -> compute.Host:
    if isinstance(step, change.SetService):
        assert seen.service is not None
        changed = dataclasses.replace(
            seen.service,
            status=step.wanted.status,
            disabled_reason=step.wanted.reason,
        )
        return dataclasses.replace(seen, service=changed)
    aggregate = seen.aggregate
    assert aggregate is not None
    if isinstance(step, change.DeleteAggregate):
        # Nova: 400, the aggregate is not empty
        assert not aggregate.hosts
        return dataclasses.replace(seen, aggregate=None)
    if isinstance(step, change.WriteRecord):
        merged = {**aggregate.metadata, **step.changes}
        metadata = {k: v for k, v in merged.items() if v is not None}
        aggregate = dataclasses.replace(aggregate, metadata=metadata)
    elif isinstance(step, change.AddHost):
        # Nova: 409, the host is there already
        assert seen.name not in aggregate.hosts
        aggregate = dataclasses.replace(
            aggregate, hosts=(*aggregate.hosts, seen.name)
        )
    else:
        hosts = [name for name in aggregate.hosts if name != seen.name]
        aggregate = dataclasses.replace(aggregate, hosts=tuple(hosts))
    return dataclasses.replace(seen, aggregate=aggregate)


def entered(
    fresh: compute.Host | None = None,
    request: asking.Request | None = None,
    now: datetime.datetime = NOW,
) -> compute.Host:
    """The host when ``set`` has run to its end."""
    seen = claimed(fresh or host())
    steps = change.to_set(seen, request or asking.Request(), 'alice', now)
    return after(seen, *steps)


def planned() -> compute.Host:
    """The host when a window has been planned that starts in four hours."""
    window = asking.Request(start=NOW + 4 * HOUR, end=NOW + 6 * HOUR)
    return entered(request=window)


def disabled_by_somebody(
    seen: compute.Host, status: str = 'disabled', reason: str | None = 'mine'
) -> compute.Host:
    """The host when somebody else has set its compute service."""
    return dataclasses.replace(seen, service=service(status, reason))
