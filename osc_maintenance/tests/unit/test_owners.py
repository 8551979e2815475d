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

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from osc_maintenance import owners

KEY = 'maintenance:policy'


class TestWish(base.BaseTestCase):
    def test_what_is_understood(self) -> None:
        for value in ('live-migrate', 'cold-migrate', 'keep'):
            self.assertEqual(value, owners.wish({KEY: value}))
            self.assertIsNone(owners.not_understood({KEY: value}))

    def test_none_is_there(self) -> None:
        for said in ({}, {'maintenance:id': 'keep'}):
            self.assertIsNone(owners.wish(said))
            self.assertIsNone(owners.not_understood(said))

    def test_what_is_not_understood(self) -> None:
        for value, shown in (
            ('', 'empty'),
            ('Keep', 'Keep'),
            ('keep ', 'keep '),
            ('evacuate', 'evacuate'),
            ('\x1b[2J', '\\x1b[2J'),
            ('x' * 255, 'x' * 39 + '…'),
        ):
            self.assertIsNone(owners.wish({KEY: value}))
            self.assertEqual(
                f'its property {KEY} is not understood: {shown}',
                owners.not_understood({KEY: value}),
            )

    @hypothesis.given(st.text(max_size=255))
    def test_whatever_an_owner_writes(self, value: str) -> None:
        known = owners.wish({KEY: value})
        told = owners.not_understood({KEY: value})
        self.assertEqual(known is None, told is not None)
        self.assertTrue((told or '').isprintable())
