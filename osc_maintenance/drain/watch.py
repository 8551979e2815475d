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

"""Watching migrations without reading the whole history at each look."""

import collections.abc
import datetime

from osc_maintenance import servers

#: How much earlier than the latest known change to ask from: the clocks of
#: the hosts that write the records differ.
_OVERLAP = datetime.timedelta(minutes=2)


class Watch:
    """The migrations of a host, or of all, kept up to date.

    :param ask: reads migrations: all, or those that changed since a moment.
    """

    def __init__(
        self,
        ask: collections.abc.Callable[
            [datetime.datetime | None],
            collections.abc.Iterable[servers.Migration],
        ],
    ) -> None:
        self._ask = ask
        self._known: dict[int, servers.Migration] = {}
        self._newest: datetime.datetime | None = None

    def look(self) -> tuple[servers.Migration, ...]:
        """The migrations as they are now.

        One that Nova has just recorded may be missing for a moment: it has
        not changed yet.
        """
        since = self._newest - _OVERLAP if self._newest else None
        for migration in self._ask(since):
            self._known[migration.id] = migration
            changed = migration.updated
            if changed and (self._newest is None or changed > self._newest):
                self._newest = changed
        return self.known

    @property
    def known(self) -> tuple[servers.Migration, ...]:
        """The migrations as they were at the last look."""
        return tuple(self._known.values())

    @property
    def latest(self) -> int:
        """The highest number of a migration so far."""
        return max(self._known, default=0)
