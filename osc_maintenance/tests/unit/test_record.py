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
import datetime

import hypothesis
from hypothesis import strategies
from oslotest import base

from osc_maintenance import owners
from osc_maintenance import policy
from osc_maintenance import record
from osc_maintenance.tests.unit import test_policy

NOW = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)

_WORDS = strategies.text(
    strategies.characters(max_codepoint=0xFFFF, exclude_categories=['C', 'Z']),
    min_size=1,
    max_size=255,
).filter(lambda words: '[before: disabled' not in words)
_ANY_WORDS = strategies.text(min_size=1, max_size=255)
_TIMES = strategies.datetimes(timezones=strategies.just(datetime.UTC)).map(
    lambda moment: moment.replace(microsecond=0)
)
_URLS = strategies.integers(0, 174).map(
    lambda length: 'https://t.example.com/' + 'x' * length
)
_BEFORE = strategies.one_of(
    strategies.just(record.ENABLED),
    strategies.builds(
        record.ServiceStatus,
        status=strategies.just('disabled'),
        reason=strategies.none() | _ANY_WORDS,
    ),
)
RECORDS = strategies.builds(
    record.Record,
    id=strategies.from_regex('[0-9a-f]{8}', fullmatch=True),
    start=_TIMES,
    end=strategies.none() | _TIMES,
    removal=strategies.booleans(),
    reason=strategies.none() | _WORDS,
    ticket_url=strategies.none() | _URLS,
    set_by=strategies.none() | _WORDS,
    set_at=_TIMES,
    policy=test_policy.POLICIES.filter(
        lambda value: not value.only & value.exclude
    ),
    notify=strategies.booleans(),
    replies=strategies.sampled_from(owners.Heed),
    reply_by=strategies.none() | _TIMES,
    before=strategies.none() | _BEFORE,
).map(
    lambda value: dataclasses.replace(
        value,
        removal=value.removal and value.end is None,
        reply_by=None
        if value.replies is owners.Heed.IGNORE
        else value.reply_by,
    )
)


class TestAggregateName(base.BaseTestCase):
    def test_there_and_back(self) -> None:
        name = record.aggregate_name('compute1.example.com')
        self.assertEqual('maintenance:compute1.example.com', name)
        self.assertEqual('compute1.example.com', record.aggregate_host(name))

    def test_foreign(self) -> None:
        for name in ('rack1', 'maintenance', 'maintenance:', 'Maintenance:a'):
            self.assertIsNone(record.aggregate_host(name))

    def test_hosts_that_nova_takes(self) -> None:
        for host in ('compute1', 'Rack-7_b.example.com', 'x' * 243):
            record.check_host(host)
        for host in ('', 'a b', 'a:b', 'käse', 'a\n', '%', 'x' * 244):
            self.assertRaises(ValueError, record.check_host, host)

    def test_a_host_with_our_prefix(self) -> None:
        name = record.aggregate_name('maintenance:x')
        self.assertEqual('maintenance:x', record.aggregate_host(name))


class TestMetadata(base.BaseTestCase):
    @hypothesis.given(RECORDS)
    def test_there_and_back(self, value: record.Record) -> None:
        metadata = record.encode(value)
        self.assertEqual(value, record.decode(metadata))
        for key in metadata.keys() - record.KEYS:
            self.assertTrue(key.startswith(record.PREFIXES))
            self.assertLessEqual(len(key), 255)
        for text in metadata.values():
            self.assertLessEqual(len(text), 255)

    def test_no_record(self) -> None:
        self.assertIsNone(record.decode({}))
        self.assertIsNone(record.decode({'rack': '7', 'window_end': 'x'}))

    @hypothesis.given(
        strategies.dictionaries(
            strategies.sampled_from(sorted(record.KEYS)), strategies.text()
        )
    )
    def test_any_metadata_is_read(self, metadata: dict[str, str]) -> None:
        value = record.decode(metadata)
        self.assertEqual(not metadata, value is None)
        if value and not value.problems:
            clean = dataclasses.replace(value)
            self.assertEqual(clean, record.decode(record.encode(clean)))

    def test_problems_are_named(self) -> None:
        value = record.decode(
            {
                'maintenance:id': 'NOT-AN-ID',
                'maintenance:window_end': 'soon',
                'maintenance:notify_owners': 'maybe',
                'maintenance:set_at': '2026-11-20T06:00:00Z',
                'maintenance:before_reason': 'broken NIC',
            }
        )
        assert value is not None
        self.assertEqual(
            (
                'maintenance:before_status is missing',
                "maintenance:id is 'NOT-AN-ID'",
                'maintenance:window_start is missing',
                "maintenance:window_end is 'soon', which is not a time",
                'maintenance:migrate is missing',
                "maintenance:notify_owners is 'maybe'",
            ),
            tuple(str(problem) for problem in value.problems),
        )
        self.assertIsNone(value.before)

    def test_what_nobody_may_be_told_is_a_problem(self) -> None:
        sound = record.encode(record.Record('3f9a1c2e', NOW, set_at=NOW))
        for key, wrong, what in (
            ('reason', 'x\x1b[2J', "character '\\x1b'"),
            ('ticket_url', 'https://a.example/\x9b', "character '\\x9b'"),
            ('ticket_url', 'https://me:s3cret@a.example', 'credentials'),
            ('ticket_url', 'javascript:alert(1)', 'not an http'),
            ('ticket_url', 'https://a.example/' + 'x' * 200, '218 char'),
        ):
            told = record.decode({**sound, f'maintenance:{key}': wrong})
            assert told is not None
            (problem,) = map(str, told.problems)
            self.assertIn(what, problem)
            self.assertIn(f'maintenance:{key} ', problem)
            self.assertNotIn('s3cret', problem)
            self.assertEqual((None, None), (told.reason, told.ticket_url))

    def test_which_servers_have_to_go(self) -> None:
        chosen = policy.Policy('all', only=frozenset('a'), locked=True)
        value = record.Record('3f9a1c2e', NOW, set_at=NOW, policy=chosen)
        metadata = record.encode(value)
        told = {k: v for k, v in metadata.items() if 'server' in k}
        self.assertEqual({'maintenance:server:a': 'only'}, told)
        self.assertEqual(value, record.decode(metadata))
        # the notes of a drain are no damage, and nothing of the record
        notes = {'maintenance:drain': 'ended', 'maintenance:move:a': 'x 7'}
        self.assertEqual(value, record.decode({**metadata, **notes}))

    def test_a_policy_that_cannot_be_read_moves_nothing(self) -> None:
        chosen = policy.Policy('all', only=frozenset('a'))
        value = record.Record('3f9a1c2e', NOW, set_at=NOW, policy=chosen)
        damage = {'maintenance:server:a': 'x', 'maintenance:project:b': 'y'}
        told = record.decode({**record.encode(value), **damage})
        assert told is not None
        self.assertEqual(policy.NOTHING, told.policy)
        self.assertEqual(
            [
                "maintenance:server:a is 'x'",
                "maintenance:project:b is 'y'",
            ],
            [str(problem) for problem in told.problems],
        )

    def test_what_contradicts_itself_is_a_problem(self) -> None:
        sound = record.encode(
            record.Record(
                id='3f9a1c2e',
                start=NOW,
                end=NOW,
                set_at=NOW,
                before=record.ENABLED,
            )
        )
        told = record.decode({**sound, 'maintenance:before_reason': 'x'})
        assert told is not None
        self.assertEqual(['before_reason'], [p.name for p in told.problems])
        self.assertEqual(record.ENABLED, told.before)

    def test_a_window_without_an_end(self) -> None:
        sound = record.encode(
            record.Record(id='3f9a1c2e', start=NOW, removal=True, set_at=NOW)
        )
        # one key: two who contradict each other are not both there
        self.assertEqual('never', sound['maintenance:window_end'])
        told = record.decode(sound)
        assert told is not None
        self.assertEqual(
            (None, True, ()), (told.end, told.removal, told.problems)
        )
