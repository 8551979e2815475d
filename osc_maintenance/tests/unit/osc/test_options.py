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

import argparse
import datetime

from oslotest import base

from osc_maintenance.osc import options
from osc_maintenance.tests.unit import scenes
from osc_maintenance import times


class TestTypes(base.BaseTestCase):
    def test_numbers(self) -> None:
        for words, number in (
            ('0', 0),
            ('7', 7),
            ('007', 7),
            ('123456789', 123456789),
        ):
            self.assertEqual(number, options.number(words))
            if number:
                self.assertEqual(number, options.count(words))

    def test_what_is_no_number(self) -> None:
        for words in (
            '',
            '-1',
            '+1',
            '1.0',
            '1_0',
            ' 1',
            '1e3',
            'x',
            '٣',
            '²',
        ):
            for read in (options.number, options.count):
                with self.subTest(words=words):
                    error = self.assertRaises(
                        argparse.ArgumentTypeError, read, words
                    )
                    self.assertIn('is not a number', str(error))

    def test_what_nobody_counts_to(self) -> None:
        for words in ('1234567890', '1' + '0' * 400, '9' * 5000):
            for read in (options.number, options.count):
                error = self.assertRaises(
                    argparse.ArgumentTypeError, read, words
                )
                self.assertEqual('has more than 9 digits', str(error))

    def test_a_count_is_one_at_least(self) -> None:
        for words in ('0', '00'):
            error = self.assertRaises(
                argparse.ArgumentTypeError, options.count, words
            )
            self.assertIn('at least 1', str(error))

    def test_values(self) -> None:
        moment = '2026-11-20T06:00:00Z'
        self.assertEqual(scenes.NOW, options.time(moment))
        self.assertEqual(
            datetime.timedelta(minutes=90), options.duration('1h30m')
        )
        self.assertEqual('kernel', options.reason(' kernel '))
        self.assertEqual('https://t.co/7', options.url('https://t.co/7'))
        self.assertEqual('compute1', options.host('compute1'))

    def test_refusals_are_told_in_words(self) -> None:
        for read, words, told in (
            (options.time, 'soon', 'is not a time'),
            (options.duration, '90', 'is not a duration'),
            (options.reason, ' ', 'must not be empty'),
            (options.url, 'ftp://x', 'not an http or https URL'),
            (options.host, '', 'not the name of a host'),
            (options.host, 'a\x1bb', 'not the name of a host'),
        ):
            error = self.assertRaises(argparse.ArgumentTypeError, read, words)
            self.assertIn(told, str(error))


class TestWindow(base.BaseTestCase):
    def test_what_is_not_given_is_none(self) -> None:
        parser = argparse.ArgumentParser()
        options.add_window(parser)
        parsed = parser.parse_args([])
        self.assertEqual(
            {
                'start': None,
                'now': False,
                'end': None,
                'duration': None,
                'removal': False,
            },
            vars(parsed),
        )
        before = times.now()
        parsed = parser.parse_args(['--start', 'now', '--end', '+1h'])
        self.assertGreaterEqual(parsed.start, before)
        self.assertGreaterEqual(parsed.end, before + scenes.HOUR)
