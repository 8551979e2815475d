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

"""Which servers of a dead host may be rebuilt elsewhere."""

from unittest import mock

from oslotest import base

from osc_maintenance.drain import evacuation
from osc_maintenance.drain import verdict
from osc_maintenance import servers
from osc_maintenance.tests.unit import scenes


class TestJudged(base.BaseTestCase):
    def _judged(
        self, task: str | None, *out: servers.Migration
    ) -> verdict.Verdict:
        web = scenes.server('web', host='compute1', task_state=task)
        (found,) = evacuation.judged(
            mock.Mock(),
            servers.Load('compute1', (web,), out),
            {web.id: verdict.Verdict(verdict.Action.EVACUATE)},
        ).values()
        return found

    def test_its_live_migration_was_under_way(self) -> None:
        going = servers.Migration(
            *(7, 'web-id', servers.LIVE_MIGRATION, 'running'),
            *('compute1', 'compute2'),
        )
        found = self._judged('migrating', going)
        self.assertIs(verdict.Action.BLOCKED, found.action)
        self.assertIn('it may run there: look on compute2', str(found.cause))

    def test_nova_does_not_list_its_migration(self) -> None:
        found = self._judged('migrating')
        self.assertIs(verdict.Action.BLOCKED, found.action)
        self.assertTrue(found.passing)
        self.assertIn('Nova lists no migration', str(found.cause))

    def test_nothing_moves_it(self) -> None:
        for task in (None, 'powering-off'):
            found = self._judged(task)
            self.assertIs(verdict.Action.EVACUATE, found.action)
