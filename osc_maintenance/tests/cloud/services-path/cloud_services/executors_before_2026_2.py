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
"""The same as `executors`, for a Nova that gives hosts most of it itself.

Until 2026.1 live migrations have an executor per compute manager.
"""

import functools
import typing

from nova.compute import manager

from cloud_services import driver


def install() -> None:
    """Have a host without power start no live migration that was queued."""
    migrate = manager.ComputeManager._do_live_migration

    @functools.wraps(migrate)
    def migrate_unless_stopped(
        self: typing.Any, *args: typing.Any, **kwargs: typing.Any
    ) -> None:
        if self.stopped.is_set():
            raise driver.HostStopped()
        migrate(self, *args, **kwargs)

    manager.ComputeManager._do_live_migration = migrate_unless_stopped


def give(compute: typing.Any, live_migrations: int) -> None:
    """Give a compute manager its executor.

    :param live_migrations: how many may run side by side
    """
    kind = type(compute._live_migration_executor)
    compute._live_migration_executor = kind(max_workers=live_migrations)


def end(compute: typing.Any) -> None:
    """Start nothing more, and end when all has ended."""
    compute._live_migration_executor.shutdown(wait=False)
