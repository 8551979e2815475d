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
from hypothesis import strategies
from oslotest import base

from osc_maintenance import text


class TestCheckText(base.BaseTestCase):
    def test_taken(self) -> None:
        self.assertEqual('kernel update', text.check_text(' kernel update\n'))
        self.assertEqual('Küche / 検査', text.check_text('Küche / 検査'))
        self.assertEqual('x' * 255, text.check_text('x' * 255))

    def test_refused(self) -> None:
        for value, why in (
            ('', 'empty'),
            (' \t ', 'empty'),
            ('x' * 256, '256 characters'),
            ('a\x1b[31mb', r'\x1b'),
            ('a\nb', r'\n'),
            ('a\u202eb', r'\u202e'),
            ('fire \U0001f525', 'three-byte'),
        ):
            with self.subTest(value):
                error = self.assertRaises(ValueError, text.check_text, value)
                self.assertIn(why, str(error))
                self.assertTrue(text.escape(str(error)).isprintable())


class TestMasked(base.BaseTestCase):
    def test_credentials_of_urls(self) -> None:
        for told, shown in (
            ('to http://me:s3cret@a.b:1/v3: no', 'to http://***@a.b:1/v3: no'),
            ('HTTPS://s3cret@a.b', 'HTTPS://***@a.b'),
            ('http://me:s3@cret@[::1]/x@y', 'http://***@[::1]/x@y'),
            ('http://a.b/ http://me:s3cret@a', 'http://a.b/ http://***@a'),
            ('http://a.b/@ops me@a.b', 'http://a.b/@ops me@a.b'),
        ):
            self.assertEqual(shown, text.masked(told))


class TestCheckUrl(base.BaseTestCase):
    def test_taken(self) -> None:
        for url in (
            'https://tickets.example.com/7?a=b&c=d#e',
            'http://[2001:db8::1]:8080/7',
            'https://tickets.example.com/' + 'x' * 172,
            'https://git.example.com/@ops/issues/7',
        ):
            with self.subTest(url):
                self.assertEqual(url, text.check_url(url))

    def test_refused(self) -> None:
        for url, why in (
            ('', 'empty'),
            ('ftp://example.com/7', 'http or https'),
            ('tickets.example.com/7', 'http or https'),
            ('https://', 'with a host'),
            ('https:///7', 'with a host'),
            ('https://:443/7', 'with a host'),
            ('https://example.com:port/7', 'not a URL'),
            ('https://[::1/7', 'not a URL'),
            ('https://example.com/a b', 'blank'),
            ('https://tickets.example.com/' + 'x' * 173, '201 characters'),
        ):
            with self.subTest(url):
                error = self.assertRaises(ValueError, text.check_url, url)
                self.assertIn(why, str(error))

    def test_blanks_around_are_taken_off(self) -> None:
        self.assertEqual('http://a.b/', text.check_url(' http://a.b/ '))

    def test_what_is_refused_is_not_repeated(self) -> None:
        for url in (
            'https://me:sec/ret@example.com/7',
            'https://me:secret@ex\u2100mple.com/7',
        ):
            error = self.assertRaises(ValueError, text.check_url, url)
            self.assertNotIn('sec', str(error))

    def test_credentials_are_refused_and_not_repeated(self) -> None:
        for url in (
            'https://me:secret@example.com/7',
            'https://secret@example.com/7',
        ):
            error = self.assertRaises(ValueError, text.check_url, url)
            self.assertIn('credentials', str(error))
            self.assertNotIn('secret', str(error))


class TestShown(base.BaseTestCase):
    @hypothesis.given(strategies.text(strategies.characters()))
    def test_escaped_text_is_harmless(self, value: str) -> None:
        shown = text.escape(value)
        self.assertTrue(shown.isprintable())
        if value.isprintable():
            self.assertEqual(value, shown)

    def test_escapes_are_readable(self) -> None:
        self.assertEqual(r'a\x1b[2Jb\nc', text.escape('a\x1b[2Jb\nc'))

    @hypothesis.given(strategies.text(), strategies.integers(1, 300))
    def test_shortened_text_fits(self, value: str, limit: int) -> None:
        shown = text.shorten(value, limit)
        self.assertLessEqual(len(shown), limit)
        if len(value) <= limit:
            self.assertEqual(value, shown)
        else:
            self.assertTrue(shown.endswith('…'))
