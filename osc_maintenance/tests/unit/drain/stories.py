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

"""What the tests of stories have in common."""

import itertools

from oslotest import base

from osc_maintenance.drain import events
from osc_maintenance.drain import moves
from osc_maintenance.drain import story

CTRL_C = (
    'Ctrl-C stops starting moves; those in motion go on in Nova, and '
    '"openstack host maintenance set compute1" continues'
)


class StoryTestCase(base.BaseTestCase):
    """Somebody tells a story."""

    def setUp(self) -> None:
        super().setUp()
        self.seconds = 1000.0
        self.story = story.Story(lambda: self.seconds)

    def told(self, *happened: events.Event) -> list[str]:
        """What is said of some events."""
        lines = map(self.story.tell, happened)
        return list(itertools.chain.from_iterable(lines))

    def plan(self, *planned: moves.Move, max_parallel: int = 4) -> list[str]:
        """What is said at the beginning."""
        return self.told(
            events.Planned('compute1', planned, max_parallel, 'set compute1')
        )
