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

import datetime
import time
from unittest import mock

import fixtures
import hypothesis
from hypothesis import strategies
from oslotest import base

from osc_maintenance import times

NOW = datetime.datetime(2026, 11, 20, 6, 0, tzinfo=datetime.UTC)


def _utc(day: int, hour: int = 0) -> datetime.datetime:
    return datetime.datetime(2026, 11, day, hour, tzinfo=datetime.UTC)


class TestDeadline(base.BaseTestCase):
    def test_durations_and_times(self) -> None:
        for text in ('2h', '1d12h', '+2h'):
            with mock.patch.object(times, 'now', return_value=NOW):
                found = times.parse_deadline(text)
            duration = times.parse_duration(text.lstrip('+'))
            self.assertEqual(NOW + duration, found)
        self.assertEqual(
            times.parse_time('2026-11-20T06:00:00Z'),
            times.parse_deadline('2026-11-20T06:00:00Z'),
        )
        for text in ('', '0h', '2', '-2h', 'tonight'):
            self.assertRaises(ValueError, times.parse_deadline, text)


class TestNow(base.BaseTestCase):
    def test_whole_seconds_in_utc(self) -> None:
        now = times.now()
        self.assertEqual((0, datetime.UTC), (now.microsecond, now.tzinfo))


class TestClock(base.BaseTestCase):
    def test_it_goes_on_while_the_machine_sleeps(self) -> None:
        with (
            mock.patch.object(times, '_BOOTTIME', 7),
            mock.patch('time.clock_gettime', {7: 3600.5}.get),
        ):
            self.assertEqual(3600.5, times.clock())

    def test_where_there_is_no_such_clock(self) -> None:
        with (
            mock.patch.object(times, '_BOOTTIME', None),
            mock.patch('time.monotonic', return_value=7.5),
        ):
            self.assertEqual(7.5, times.clock())


class TestParseTime(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        # where it is not UTC
        self.useFixture(fixtures.EnvironmentVariable('TZ', 'Asia/Tokyo'))
        self.addCleanup(time.tzset)
        time.tzset()
        clock = mock.patch.object(times, 'now', return_value=NOW)
        clock.start()
        self.addCleanup(clock.stop)

    def test_forms(self) -> None:
        for text, expected in (
            ('2026-11-20T06:00:00Z', NOW),
            ('2026-11-20T06:00:00', NOW),
            ('2026-11-20 06:00', NOW),
            ('20261120T060000Z', NOW),
            ('2026-11-20T08:00:00+02:00', NOW),
            ('2026-11-20T06:00:00.999', NOW),
            ('2026-11-20', _utc(20)),
            ('now', NOW),
            ('+4h', _utc(20, 10)),
            ('+1d12h', _utc(21, 18)),
        ):
            with self.subTest(text):
                self.assertEqual(expected, times.parse_time(text))

    def test_refused(self) -> None:
        for text in (
            '',
            'tomorrow',
            '4h',
            '+',
            '+0h',
            '+999999999w',
            '+9999w9999d99999999h',
            '+417000w',
            '2026-13-01',
            '2026-11-20x06:00:00Z',
            '2026-11-20T06:00:00Z\n',
            '0001-01-01T00:00:00+14:00',
            '1700000000',
        ):
            with self.subTest(text):
                error = self.assertRaises(ValueError, times.parse_time, text)
                self.assertIn(repr(text), str(error))
                self.assertIn('give ISO 8601', str(error))

    @hypothesis.given(strategies.text())
    def test_any_text_is_a_time_or_refused(self, text: str) -> None:
        try:
            moment = times.parse_time(text)
        except ValueError as exc:
            self.assertIn('is not a time', str(exc))
        else:
            self.assertEqual(datetime.UTC, moment.tzinfo)

    @hypothesis.given(strategies.datetimes(timezones=strategies.timezones()))
    def test_what_is_shown_is_read_back(
        self, moment: datetime.datetime
    ) -> None:
        try:
            utc = moment.astimezone(datetime.UTC).replace(microsecond=0)
        except OverflowError:
            hypothesis.reject()
        self.assertEqual(utc, times.parse_time(times.format_time(moment)))


class TestDurations(base.BaseTestCase):
    def test_forms(self) -> None:
        for text, expected in (
            ('2h30m', datetime.timedelta(hours=2, minutes=30)),
            ('90m', datetime.timedelta(minutes=90)),
            (
                '1w2d3h4m5s',
                datetime.timedelta(9, hours=3, minutes=4, seconds=5),
            ),
        ):
            with self.subTest(text):
                self.assertEqual(expected, times.parse_duration(text))

    def test_refused(self) -> None:
        for text in ('', '90', '0m', '-1h', '1h2d', '1.5h', '2 h', '2H', 'h'):
            with self.subTest(text):
                self.assertRaises(ValueError, times.parse_duration, text)

    @hypothesis.given(strategies.integers(1, 10**9))
    def test_what_is_shown_is_read_back(self, seconds: int) -> None:
        self.assertEqual(
            datetime.timedelta(seconds=seconds),
            times.parse_duration(times.format_duration(seconds)),
        )

    def test_nothing_is_shown(self) -> None:
        self.assertEqual('0s', times.format_duration(0))
