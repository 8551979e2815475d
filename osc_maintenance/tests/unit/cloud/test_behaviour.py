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

from cloud_services import behaviour
from oslotest import base


class TestBehaviour(base.BaseTestCase):
    def test_words(self) -> None:
        self.assertEqual(
            {'seconds': 8.0, 'fail': 'copy', 'hang': True},
            behaviour.parse(['seconds=8', 'fail=copy', 'hang']),
        )

    def test_words_that_mean_nothing(self) -> None:
        for word in (
            'fail=cpoy',
            'fail',
            'hang=yes',
            'seconds',
            'seconds=soon',
            'seconds=-1',
            'seconds=nan',
            'seconds=inf',
            '',
        ):
            self.assertRaises(ValueError, behaviour.parse, [word])

    def test_the_closest_wins_field_by_field(self) -> None:
        told = behaviour.Behaviours()
        told.set(behaviour.EVERY_SERVER, ['seconds=1', 'noabort'])
        told.set('web', ['seconds=2', 'fail=copy'])
        told.set('id', ['seconds=3'])
        self.assertEqual(
            behaviour.Behaviour(seconds=3, fail='copy', noabort=True),
            told.of('id', 'web'),
        )
        self.assertEqual(
            behaviour.Behaviour(seconds=1, noabort=True),
            told.of('other', 'db'),
        )

    def test_a_mistake_changes_nothing(self) -> None:
        told = behaviour.Behaviours()
        told.set('web', ['hang'])
        self.assertRaises(ValueError, told.set, 'web', ['fail=nowhere'])
        self.assertEqual({'web': {'hang': True}}, told.as_dict())

    def test_forget(self) -> None:
        told = behaviour.Behaviours()
        told.set('web', ['hang'])
        told.set('db', ['hang'])
        told.forget('web')
        told.forget('web')
        self.assertEqual(behaviour.Behaviour(), told.of('id', 'web'))
        self.assertTrue(told.of('id', 'db').hang)
        told.forget()
        self.assertEqual({}, told.as_dict())
