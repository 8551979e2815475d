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

"""What an operator does to a cloud by its APIs, for the tests' scenes."""

import collections.abc
import functools
import http
import time
import typing

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import control
from osc_maintenance.tests.cloud import errors

_POLL_SECONDS = 0.1
_WAIT_SECONDS = 60.0

Result = typing.TypeVar('Result')


def wait_for(
    what: str,
    look: collections.abc.Callable[[], Result | None],
    seconds: float = _WAIT_SECONDS,
    every: float = _POLL_SECONDS,
) -> Result:
    """Look until there is something (anything true), and return it.

    :param what: what is waited for, for the error
    :param every: so many seconds it looks
    :raises CloudError: it did not come within the time
    """
    deadline = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        if time.monotonic() > deadline:
            raise errors.CloudError(f'Not within {seconds:.0f} s: {what}')
        time.sleep(every)


def service_of(admin: api.Api, host: str) -> dict[str, typing.Any] | None:
    """The compute service of a host."""
    services = admin.get(
        'compute', f'/os-services?binary=nova-compute&host={host}'
    )['services']
    return services[0] if services else None


def remove_host(urls: dict[str, str], host: str) -> None:
    """Take a host without servers out of the cloud for good.

    Nova takes its node, its mapping, its resource provider and its places in
    aggregates along.
    """
    admin = api.Api(urls, accounts.ACCOUNTS['admin'])
    service = service_of(admin, host)
    if service is None:
        raise errors.CloudError(f'There is no host {host}')
    control.Control(urls['control']).end_host(host)
    _delete_allocations(admin, host)
    admin.delete('compute', f'/os-services/{service["id"]}')


def _delete_allocations(admin: api.Api, host: str) -> None:
    """Delete what migrations that were cut short have left.

    Nova can't delete a resource provider that has allocations, and does not
    say so.
    """
    providers = admin.get('placement', f'/resource_providers?name={host}')
    for provider in providers['resource_providers']:
        allocations = admin.get(
            'placement', f'/resource_providers/{provider["uuid"]}/allocations'
        )['allocations']
        for consumer in allocations:
            admin.delete('placement', f'/allocations/{consumer}')


def delete_servers(admin: api.Api, servers: list[str]) -> None:
    """Delete servers, whatever they are doing, and wait until they're gone."""
    for server in servers:
        try:
            admin.delete('compute', f'/servers/{server}')
        except api.ApiError as exc:
            if exc.status != http.HTTPStatus.NOT_FOUND:
                raise
    for server in servers:
        wait_for(
            f'server {server} is gone',
            functools.partial(_is_gone, admin, server),
        )


def _is_gone(admin: api.Api, server: str) -> bool:
    try:
        admin.get('compute', f'/servers/{server}')
    except api.ApiError as exc:
        if exc.status != http.HTTPStatus.NOT_FOUND:
            raise
        return True
    return False
