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

"""A scheduler filter that keeps the tests' scenes apart.

Tests that run at the same time share the cloud, and each has hosts of its own,
its scene. A server in a scene moves within the scene only, and nothing from
elsewhere is put on a scene's hosts. A test boots a server on a certain host
by the scheduler hint `on_host`, for which its owner needs no special right.
"""

import collections.abc
import typing

from nova import objects
from nova.scheduler import filters

HINT = 'on_host'

#: host -> scene; a host without one is open to everybody
SCENES: dict[str, str] = {}


class SceneFilter(filters.BaseHostFilter):
    """Passes the hosts of the server's own scene."""

    def filter_all(
        self,
        filter_obj_list: collections.abc.Iterable[typing.Any],
        spec_obj: typing.Any,
    ) -> collections.abc.Iterator[typing.Any]:
        host, scene = self._wanted(spec_obj)
        for state in filter_obj_list:
            if host in (None, state.host) and SCENES.get(state.host) == scene:
                yield state

    @staticmethod
    def _wanted(spec: typing.Any) -> tuple[str | None, str | None]:
        """The host that a server is to be put on, if any, and the scene."""
        instances = objects.InstanceList.get_by_filters(
            spec._context, {'uuid': spec.instance_uuid}
        )
        for instance in instances:
            if instance.host:
                # It is moved, and the hint has served its purpose.
                return None, SCENES.get(instance.host)
        if host := spec.get_scheduler_hint(HINT):
            return host, SCENES.get(host)
        return None, None
