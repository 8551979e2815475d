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

from oslotest import base

from osc_maintenance import fields


class TestFields(base.BaseTestCase):
    def refused(self, words: str, item: object, kind: type) -> None:
        for read in (fields.needed, fields.maybe):
            error = self.assertRaises(fields.FieldError, read, item, 'a', kind)
            self.assertIn(words, str(error))

    def test_of_its_type(self) -> None:
        values: tuple[typing.Any, ...] = (
            *(True, False, 7, -(2**63), 'x', '', [7], {'b': 7}),
        )
        for value in values:
            item, kind = {'a': value}, type(value)
            self.assertEqual(value, fields.needed(item, 'a', kind))
            self.assertEqual(value, fields.maybe(item, 'a', kind))

    def test_missing_and_null(self) -> None:
        for item in ({}, {'a': None}, {'A': 'x'}):
            self.assertIsNone(fields.maybe(item, 'a', str))
            error = self.assertRaises(
                fields.FieldError, fields.needed, item, 'a', str
            )
            self.assertEqual('a is missing', str(error))

    def test_of_another_type(self) -> None:
        for value, kind, words in (
            ('7', int, "a is '7', and not a number"),
            (7.0, int, 'a is 7.0, and not a number'),
            (True, int, 'a is True, and not a number'),
            (2**63, int, 'and not a number'),
            (1, bool, 'a is 1, and not true or false'),
            (7, str, 'a is 7, and not text'),
            ('x', list, "a is 'x', and not a list"),
            ([], dict, 'a is [], and not an object'),
            ('x' * 999, int, '…, and not a number'),
        ):
            with self.subTest(words):
                self.refused(words, {'a': value}, kind)

    def test_one_of_a_few_words(self) -> None:
        words = ('up', 'down')
        self.assertEqual('up', fields.one_of({'a': 'up'}, 'a', words))
        for item, told in (
            ({'a': 'u\x1b'}, r"a is 'u\x1b', which is not known"),
            ({'a': 7}, 'a is 7, and not text'),
            ({}, 'a is missing'),
        ):
            error = self.assertRaises(
                fields.FieldError, fields.one_of, item, 'a', words
            )
            self.assertEqual(told, str(error))

    def test_no_object(self) -> None:
        for item in (None, 7, 'a', ['a']):
            self.refused('is no object with a', item, str)

    def test_ids(self) -> None:
        for value in ('7', '3f9a1c2e-0000-4000-8000-000000000001', 'req-x'):
            self.assertEqual(value, fields.identity({'id': value}))
        for wrong in ('', '../x', 'a b', 'a\n', 'x' * 65, 7, None):
            self.assertRaises(
                fields.FieldError, fields.identity, {'id': wrong}
            )

    def test_texts_and_lists(self) -> None:
        self.assertEqual({}, fields.texts({}, 'a'))
        self.assertEqual({'b': 'c'}, fields.texts({'a': {'b': 'c'}}, 'a'))
        self.assertEqual({'b': 7}, fields.mapping({'a': {'b': 7}}, 'a', int))
        self.assertEqual([], fields.listed({'a': None}, 'a', str))
        self.assertEqual(['b'], fields.listed({'a': ['b']}, 'a', str))
        no_texts: tuple[typing.Any, ...] = (
            *('x', [['b', 'c']], {'b': 7}, {'b': None}),
        )
        for wrong in no_texts:
            self.assertRaises(
                fields.FieldError, fields.texts, {'a': wrong}, 'a'
            )
        no_lists: tuple[typing.Any, ...] = ('x', {'b': 'c'}, [None], [7])
        for wrong in no_lists:
            self.assertRaises(
                fields.FieldError, fields.listed, {'a': wrong}, 'a', str
            )
