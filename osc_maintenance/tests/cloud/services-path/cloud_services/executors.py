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
"""Each host's own threads for what takes long.

Nova's are one set per process, so that max_concurrent_live_migrations, which
is a limit per host, would here be one for the whole cloud, and the same for
all hosts.
"""

import collections.abc
import functools
import threading
import typing

from nova.compute import manager
from nova import thread_pool_factory

from cloud_services import driver


class _Executors(thread_pool_factory.ThreadPoolFactory):
    """Those of one host."""

    def __init__(self, live_migrations: int) -> None:
        super().__init__()
        self._live_migrations = live_migrations

    def _new_executor(self, max_workers: int, name: str) -> object:
        if name == thread_pool_factory.ExecutorType.LIVE_MIGRATION.value:
            max_workers = self._live_migrations
        return super()._new_executor(max_workers, name)


def install() -> None:
    """Have every host use its own."""
    manager.ComputeManager._start_recorded_task = _start_recorded_task


def give(compute: typing.Any, live_migrations: int) -> None:
    """Give a compute manager its executors.

    :param live_migrations: how many may run side by side
    """
    compute.executors = _Executors(live_migrations)


def end(compute: typing.Any) -> None:
    """Start nothing more, and end when all has ended."""
    # Waits for tasks that may wait for another host's answer.
    threading.Thread(
        target=compute.executors.shutdown_all, daemon=True
    ).start()


def _start_recorded_task(
    self: typing.Any,
    executor_type: object,
    task_name: str,
    instance: typing.Any,
    context: typing.Any,
    function: collections.abc.Callable[..., object],
    *args: typing.Any,
    **kwargs: typing.Any,
) -> object:
    """Run a host's long task on executors of that host."""

    def run() -> object:
        if self.stopped.is_set():
            raise driver.HostStopped()
        return function(*args, **kwargs)

    key = self._record_task_start(task_name, instance.uuid, context.request_id)
    try:
        future = self.executors.get_executor(executor_type).submit(run)
    except Exception:
        self._record_task_end(key, failed=True)
        raise
    future.add_done_callback(functools.partial(self._record_task_end, key))
    return future
