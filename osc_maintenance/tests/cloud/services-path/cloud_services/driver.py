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

"""A fake hypervisor whose guests behave as a test told them to.

Nova's own fake driver moves guests at once, always succeeds, and forgets
them when its service restarts. This one takes as long, fails, hangs, and lets
itself be aborted or forced as `behaviour` says, server by server, and still
has its guests after a restart, as a real hypervisor has.
"""

import threading
import time
import typing
import uuid

from nova.compute import power_state
from nova.compute import vm_states
from nova import context as nova_context
from nova import exception
from nova import objects
from nova.virt import fake
from oslo_serialization import jsonutils

from cloud_services import behaviour
from cloud_services import machines

_NODES = uuid.UUID('0d1c2f67-6d1c-4e3a-8f3c-4f1f6a0f9a10')
#: how often a running migration reports its progress
_REPORT_SECONDS = 5.0
#: how often what takes long looks whether it was told otherwise
_LOOK_SECONDS = 0.2


class HostStopped(BaseException):
    """The host was stopped: what ran on it ends without a trace.

    Not an Exception, so that no handler of Nova's notes a failure: a host
    without power can't do that either.
    """


class _Copy:
    """One guest's memory on its way to another host."""

    def __init__(self, told: behaviour.Behaviour) -> None:
        self.told = told
        #: None while it runs; then 'abort', 'force' or 'vanish'
        self.end: str | None = None
        self._ended = threading.Event()

    def stop(self, how: str) -> None:
        self.end = self.end or how
        self._ended.set()

    def wait(self, seconds: float) -> None:
        self._ended.wait(seconds)


class CloudDriver(fake.FakeDriver):
    """The compute driver of all hosts."""

    local_gb = 4096

    def __init__(self, virtapi: object, read_only: bool = False) -> None:
        super().__init__(virtapi, read_only)
        self._copies: dict[str, _Copy] = {}
        self._stopped = threading.Event()

    def init_host(self, host: str) -> None:
        super().init_host(host)
        # The stock driver gives one host name a special node name.
        self._set_nodes([host])
        self._machine = machines.of(host)
        self.vcpus = self._machine.vcpus
        self.memory_mb = self._machine.memory_mb
        self.resources = fake.Resources(
            self.vcpus, self.memory_mb, self.local_gb
        )
        context = nova_context.get_admin_context()
        for instance in objects.InstanceList.get_by_host(context, host):
            if not instance.launched_at and instance.vm_state in (
                vm_states.BUILDING,
                vm_states.ERROR,
            ):
                continue
            state = instance.power_state
            if state not in (power_state.RUNNING, power_state.SHUTDOWN):
                state = power_state.RUNNING
            self.instances[instance.uuid] = fake.FakeInstance(
                instance.name, state, instance.uuid
            )

    def stop_host(self) -> None:
        """End everything under way, as a loss of power does."""
        self._stopped.set()
        for copy in list(self._copies.values()):
            copy.stop('vanish')

    # -- what the host is --------------------------------------------------

    def get_available_resource(self, nodename: str) -> dict[str, typing.Any]:
        resources: dict[str, typing.Any] = super().get_available_resource(
            nodename
        )
        resources['uuid'] = self._node_uuid(nodename)
        resources['hypervisor_type'] = (
            'ironic' if self._machine.ironic else 'QEMU'
        )
        resources['hypervisor_version'] = 8002002
        resources['disk_available_least'] = self.local_gb
        resources['pci_passthrough_devices'] = jsonutils.dumps(
            self._machine.pci_devices()
        )
        return resources

    def update_provider_tree(
        self,
        provider_tree: typing.Any,
        nodename: str,
        allocations: object = None,
    ) -> None:
        super().update_provider_tree(provider_tree, nodename, allocations)
        if self._machine.vgpus:
            inventory = provider_tree.data(nodename).inventory
            inventory['VGPU'] = {'total': self._machine.vgpus}
            provider_tree.update_inventory(nodename, inventory)
        provider_tree.add_traits(nodename, *self._machine.all_traits())

    def get_nodenames_by_uuid(self, **_kwargs: object) -> dict[str, str]:
        # The stock driver invents a UUID at each start, and Nova refuses a
        # node whose UUID has changed.
        return {
            self._node_uuid(name): name for name in self.get_available_nodes()
        }

    @staticmethod
    def _node_uuid(name: str) -> str:
        return str(uuid.uuid5(_NODES, name))

    def get_host_uptime(self) -> str:
        return '10:00:00 up 42 days,  1:02,  1 user,  load average: 0, 0, 0'

    # -- guests ------------------------------------------------------------

    def _told(self, instance: typing.Any) -> behaviour.Behaviour:
        return behaviour.ALL.of(
            instance.uuid, instance.display_name, self._host
        )

    def _take_time(self, instance: typing.Any, what: str) -> None:
        """Take as long as was told, which may change meanwhile.

        :param what: a field of its behaviour
        """
        began = time.monotonic()
        while True:
            seconds: float = getattr(self._told(instance), what)
            left = began + seconds - time.monotonic()
            if left <= 0:
                return
            if self._stopped.wait(min(left, _LOOK_SECONDS)):
                raise HostStopped()

    def spawn(
        self,
        context: object,
        instance: typing.Any,
        *args: typing.Any,
        **kwargs: typing.Any,
    ) -> None:
        self._take_time(instance, 'spawn_seconds')
        if self._told(instance).fail == 'spawn':
            raise exception.InstanceDeployFailure(reason='told to fail')
        super().spawn(context, instance, *args, **kwargs)

    def migrate_disk_and_power_off(
        self,
        context: object,
        instance: typing.Any,
        *args: typing.Any,
        **kwargs: typing.Any,
    ) -> None:
        if self._told(instance).fail == 'cold-check':
            # As libvirt says that it has left the guest alone.
            raise exception.InstanceFaultRollback(
                exception.ResizeError(reason='told to fail')
            )
        self._take_time(instance, 'cold_seconds')
        if self._told(instance).fail == 'cold':
            raise exception.MigrationError(reason='told to fail')
        super().migrate_disk_and_power_off(context, instance, *args, **kwargs)

    def destroy(
        self,
        context: object,
        instance: typing.Any,
        *args: typing.Any,
        **kwargs: typing.Any,
    ) -> None:
        if copy := self._copies.get(instance.uuid):
            # Deleted by its owner in the middle of the copy.
            copy.stop('vanish')
        if instance.uuid in self.instances:
            super().destroy(context, instance, *args, **kwargs)

    # -- live migration, in the order in which Nova calls it ---------------

    def check_can_live_migrate_destination(
        self,
        context: object,
        instance: typing.Any,
        *args: typing.Any,
        **kwargs: typing.Any,
    ) -> object:
        self._check(instance, 'dest-check')
        return super().check_can_live_migrate_destination(
            context, instance, *args, **kwargs
        )

    def check_can_live_migrate_source(
        self,
        context: object,
        instance: typing.Any,
        *args: typing.Any,
        **kwargs: typing.Any,
    ) -> object:
        self._check(instance, 'source-check')
        return super().check_can_live_migrate_source(
            context, instance, *args, **kwargs
        )

    def _check(self, instance: typing.Any, where: str) -> None:
        if self._told(instance).fail == where:
            raise exception.MigrationPreCheckError(
                reason=f'told to fail in {behaviour.FAILURES[where]}'
            )

    def pre_live_migration(
        self,
        context: object,
        instance: typing.Any,
        *args: typing.Any,
        **kwargs: typing.Any,
    ) -> object:
        if self._told(instance).fail == 'pre':
            raise exception.DestinationDiskExists(path='/told/to/fail')
        return super().pre_live_migration(context, instance, *args, **kwargs)

    def live_migration(
        self,
        context: object,
        instance: typing.Any,
        dest: str,
        post_method: typing.Any,
        recover_method: typing.Any,
        block_migration: bool = False,
        migrate_data: typing.Any = None,
    ) -> None:
        copy = self._copies[instance.uuid] = _Copy(self._told(instance))
        try:
            self._copy(copy, instance, migrate_data.migration)
        finally:
            del self._copies[instance.uuid]
        if copy.end == 'vanish':
            raise HostStopped()
        if copy.end == 'abort':
            recover_method(
                context,
                instance,
                dest,
                migrate_data,
                migration_status='cancelled',
            )
        elif copy.told.fail == 'copy':
            recover_method(context, instance, dest, migrate_data)
        elif copy.told.fail == 'driver':
            raise exception.MigrationError(reason='told to fail')
        else:
            post_method(context, instance, dest, block_migration, migrate_data)

    def _copy(
        self, copy: _Copy, instance: typing.Any, migration: typing.Any
    ) -> None:
        told = copy.told
        seconds = told.seconds
        if told.fail in ('copy', 'driver'):
            seconds /= 2
        began = time.monotonic()
        while copy.end is None:
            elapsed = time.monotonic() - began
            if elapsed >= seconds and not told.hang:
                return
            copied = min(elapsed / told.seconds, 0.99) if told.seconds else 0.5
            self._report(instance, migration, copied)
            pause = _REPORT_SECONDS
            if not told.hang:
                pause = min(
                    pause, max(0.0, began + seconds - time.monotonic())
                )
            copy.wait(pause)

    @staticmethod
    def _report(
        instance: typing.Any, migration: typing.Any, copied: float
    ) -> None:
        total = instance.flavor.memory_mb << 20
        migration.memory_total = total
        # Nova's API considers an answer with a zero in it invalid.
        migration.memory_processed = max(1, int(total * copied))
        migration.memory_remaining = total - migration.memory_processed
        migration.save()
        instance.progress = round(copied * 100)
        instance.save()

    def live_migration_force_complete(self, instance: typing.Any) -> None:
        copy = self._copies.get(instance.uuid)
        if copy and not copy.told.noforce:
            copy.stop('force')

    def live_migration_abort(self, instance: typing.Any) -> None:
        copy = self._copies.get(instance.uuid)
        if copy and not copy.told.noabort:
            copy.stop('abort')

    def post_live_migration(
        self,
        context: object,
        instance: typing.Any,
        *_args: typing.Any,
        **_kwargs: typing.Any,
    ) -> None:
        if self._told(instance).fail == 'post':
            raise exception.InternalError('told to fail after the copy')
        # The stock driver would leave the guest running on both hosts.
        self.destroy(context, instance, network_info=None)

    def post_live_migration_at_destination(
        self,
        context: object,
        instance: typing.Any,
        *_args: typing.Any,
        **_kwargs: typing.Any,
    ) -> None:
        # The guest runs already; the stock driver would spawn it.
        super().spawn(context, instance, None, None, None, None)

    def rollback_live_migration_at_destination(
        self,
        _context: object,
        instance: typing.Any,
        *_args: typing.Any,
        **_kwargs: typing.Any,
    ) -> None:
        # The guest was never there; the stock driver says so with a warning.
        self.instances.pop(instance.uuid, None)
