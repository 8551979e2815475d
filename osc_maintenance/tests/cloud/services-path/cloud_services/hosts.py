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

"""The compute services of the cloud, all in one process."""

import sys
import threading
import typing

from nova.compute import claims
from nova import context as nova_context
from nova import exception
from nova import objects
from nova.objects import cell_mapping
from nova.scheduler.client import report
from nova import service
import nova.virt

from cloud_services import driver
from cloud_services import heartbeat
from cloud_services import machines
from cloud_services import releases

_executors = releases.executors()


class Hosts:
    """Starts and stops compute services."""

    def __init__(self, beat: heartbeat.Heartbeat) -> None:
        self._beat = beat
        self._services: dict[str, typing.Any] = {}
        self._lock = threading.Lock()
        cells = cell_mapping.CellMappingList.get_all(
            nova_context.get_admin_context()
        )
        (self._cell,) = [cell for cell in cells if not cell.is_cell0()]

    def start(self, host: str) -> None:
        """Start a host's compute service, new or stopped before."""
        with self._lock:
            if host in self._services:
                return
            compute = service.Service.create(
                host=host,
                binary='nova-compute',
                **releases.nova_topics('nova-compute'),
                # A dozen of timers per host, and none of them does what a
                # test would wait for.
                periodic_enable=False,
            )
            _executors.give(compute.manager, machines.of(host).live_migrations)
            compute.manager.stopped = threading.Event()
            # Starting a service empties this cache for the sake of processes
            # that fork; here that would only open the databases again.
            cache = nova_context.CELL_CACHE
            compute.start()
            nova_context.CELL_CACHE = cache
            self._map(host)
            self._beat.start(host)
            self._services[host] = compute

    def _map(self, host: str) -> None:
        context = nova_context.get_admin_context()
        try:
            objects.HostMapping.get_by_host(context, host)
        except exception.HostMappingNotFound:
            objects.HostMapping(
                context, host=host, cell_mapping=self._cell
            ).create()

    def stop(self, host: str) -> None:
        """Cut a host's power: no heartbeat, no RPC, nothing under way.

        :raises LookupError: it doesn't run
        """
        with self._lock:
            if host not in self._services:
                raise LookupError(f'{host} does not run')
            compute = self._services.pop(host)
            compute.manager.stopped.set()
            compute.tg.stop()
            compute.manager.driver.stop_host()
            compute.rpcserver.stop()
            if alternative := vars(compute).get('rpcserver_alt'):
                alternative.stop()
            self._beat.stop(host)
        _executors.end(compute.manager)

    def end(self, host: str) -> None:
        """Cut a host's power for good; Nova can then delete its service."""
        if host in self._services:
            self.stop(host)
        # What was under way will not end any more, and Nova keeps a service
        # that has migrations in progress.
        migrations = objects.MigrationList.get_in_progress_by_host_and_node(
            nova_context.get_admin_context(), host, host
        )
        for migration in migrations:
            migration.status = 'error'
            migration.save()

    def names(self) -> list[str]:
        """The hosts that run."""
        return sorted(self._services)


def install() -> None:
    """Make Nova fit for many hosts in one process."""
    # Nova looks for drivers below its own package only.
    sys.modules['nova.virt.cloud'] = nova.virt.cloud = driver
    _executors.install()
    claims.NopClaim.__exit__ = _exit_claim
    # For each server that comes or goes Nova asks Placement about every other
    # on the host, in case the resource providers have to be reshaped.
    report.SchedulerReportClient.get_allocations_for_provider_tree = (
        lambda *_args: {}
    )


def _exit_claim(
    self: typing.Any,
    exc_type: type[BaseException] | None,
    *_what: object,
) -> None:
    """Give back what was claimed for a server if it failed to start.

    A host without power can't, and the server stays a server of that host.
    """
    if exc_type is not None and not issubclass(exc_type, driver.HostStopped):
        self.abort()
