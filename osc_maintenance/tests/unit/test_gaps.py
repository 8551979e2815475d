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


import dataclasses
import typing
from unittest import mock

from oslotest import base

from osc_maintenance import gaps
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes


_MOVED = servers.Migration(
    7, 'web-id', servers.LIVE_MIGRATION, 'completed', 'compute1', 'compute2'
)


class TestCheckMoves(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clients = fakes.Clients(scenes.entered())
        self.nova = typing.cast(typing.Any, self.clients.servers)
        self.nova.movers['web-id'] = 'id-of-alice'

    def _is_left_out(
        self, *told: servers.Migration, **web: typing.Any
    ) -> bool:
        """Whether one that looks so is taken for left out."""
        host = web.get('host', 'compute2')
        found = scenes.server('web', **{**web, 'host': host})
        self.nova.loads = {host: servers.Load(host, (found,))}
        try:
            gaps.check_moves(self.nova, 'compute1', ['web-id'], told)
        except api.TransientError as exc:
            self.assertIn('the migrations of server web-id', str(exc))
            return True
        return False

    def test_one_that_has_moved(self) -> None:
        self.assertTrue(self._is_left_out())
        self.assertFalse(self._is_left_out(_MOVED))

    def test_the_cell_answers_again(self) -> None:
        # what was told before still lacks it
        for source, left_out in (('compute1', True), ('compute3', False)):
            past = dataclasses.replace(_MOVED, source=source)
            with mock.patch.object(
                self.nova, 'migrations', return_value=(past,)
            ):
                self.assertIs(left_out, self._is_left_out(), source)

    def test_one_that_is_still_there(self) -> None:
        for fields, left_out in (
            ({}, False),
            ({'task_state': 'migrating'}, True),
            ({'vm_state': 'resized'}, True),
        ):
            told = self._is_left_out(host='compute1', **fields)
            self.assertIs(left_out, told, str(fields))

    def test_one_that_has_left_in_another_way(self) -> None:
        self.nova.movers.clear()
        self.assertFalse(self._is_left_out())

    def test_one_that_is_not_ours_to_see(self) -> None:
        # who has moved it is not told
        self.nova.movers.clear()
        self.assertTrue(self._is_left_out(foreign=True))
        self.assertFalse(self._is_left_out(_MOVED, foreign=True))
        self.assertFalse(self._is_left_out(foreign=True, host='compute1'))

    def test_one_that_was_deleted(self) -> None:
        # Nova deletes its migrations with it, and not its actions
        gaps.check_moves(self.nova, 'compute1', ['web-id'], ())
        self.assertFalse(self._is_left_out(vm_state='soft-delete'))
