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


import typing
from unittest import mock

from oslotest import base

from osc_maintenance import gaps
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes


class TestCheckMoves(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clients = fakes.Clients(scenes.entered())
        self.nova = typing.cast(typing.Any, self.clients.servers)
        self.moved = servers.Migration(
            7, 'web-id', servers.LIVE_MIGRATION, 'completed', 'here', 'there'
        )
        self.waited = 0.0

    def pause(self, seconds: float) -> None:
        self.waited += seconds

    def check(self, *told: servers.Migration) -> None:
        gaps.check_moves(self.nova, ['web-id'], told, self.pause)

    def test_one_that_has_moved_and_is_left_out(self) -> None:
        self.nova.movers['web-id'] = 'id-of-alice'
        error = self.assertRaises(api.TransientError, self.check)
        self.assertIn('the migrations of server web-id', str(error))
        self.assertEqual(30, self.waited)

    def test_until_the_cell_answers(self) -> None:
        self.nova.movers['web-id'] = 'id-of-alice'
        answers: list[tuple[servers.Migration, ...]] = [(self.moved,), (), ()]
        with mock.patch.object(
            self.nova, 'migrations', lambda **_by: answers.pop()
        ):
            self.check()
        self.assertEqual(([], 3), (answers, self.waited))

    def test_nothing_is_missing(self) -> None:
        for told, user in (
            # it was noted, and nobody has asked for it
            ((), None),
            ((self.moved,), 'id-of-alice'),
        ):
            self.nova.movers['web-id'] = user
            self.check(*told)
        self.assertEqual(0, self.waited)
