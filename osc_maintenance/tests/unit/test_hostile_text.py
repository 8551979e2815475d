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

"""Whatever people type, or write into metadata: read, or refused in words."""

import argparse
import datetime
import typing

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from osc_maintenance import journal
from osc_maintenance import mark
from osc_maintenance import notice
from osc_maintenance.osc import options
from osc_maintenance import overview
from osc_maintenance import owners
from osc_maintenance import policy
from osc_maintenance import record
from osc_maintenance import servers
from osc_maintenance.tests.unit import scenes
from osc_maintenance import text
from osc_maintenance import times
from osc_maintenance import view

_EXAMPLES = hypothesis.settings(max_examples=60)
#: C0, C1, what turns text around, what breaks lines, and what is invisible.
CONTROLS = (
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *'\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202d\u202e\u2066\u2067\u2069',
    *('\ufeff', '\ud800', '\U000e0001'),
)
_ANY = st.text(st.sampled_from((*CONTROLS, *'a1:= .-TZ+')) | st.characters())
_TIMES = st.lists(
    st.sampled_from(('2026-11-20', 'T', '06:00', ':00', 'Z', '+', '4h', '1w'))
    | st.text('0123456789-:.TZW+ ', max_size=4)
    | _ANY,
    max_size=6,
).map(''.join)
_URLS = st.lists(
    st.sampled_from(
        ('http', 'https', '://', 'a.example', '@', ':', '/', '[::1]', '7', '%')
    )
    | _ANY,
    max_size=8,
).map(''.join)
#: The keys of records, journals and notices, with what may stand behind them.
_KEYS = st.sampled_from(
    (
        *sorted(record.KEYS | notice.KEYS),
        *(owners.POLICY, owners.REPLY),
        *(f'maintenance:{name}' for name in ('drain', 'return', 'idle_since')),
    )
) | st.builds(
    'maintenance:{}:{}'.format,
    st.sampled_from(
        ('move', 'return', 'stayed', 'stopped', 'told', 'server', 'project')
    ),
    st.sampled_from(('a', '7')) | _ANY,
)
_WORDS = st.sampled_from(
    (
        *('3f9a1c2e', 'true', 'active', 'all', 'wait', 'enabled', 'disabled'),
        *('keep', '3f9a1c2e move', '3f9a1c2e not-ready: no', 'live-migrate 7'),
        *('2026-11-20T06:00:00Z', 'move keep', 'http://a.example/7', 'only'),
    )
)
METADATA = st.dictionaries(_KEYS | _ANY, _WORDS | _TIMES | _URLS | _ANY)


class TestTyped(base.BaseTestCase):
    """What people type."""

    def read(
        self, function: typing.Callable[[str], typing.Any], typed: str
    ) -> typing.Any:
        """What it is read as, or None; what is said then is one line."""
        try:
            return function(typed)
        except ValueError as exc:
            # argparse prints it as it is
            self.assertTrue(str(exc))
            self.assertTrue(str(exc).isprintable(), repr(str(exc)))
            return None

    @_EXAMPLES
    @hypothesis.given(_TIMES)
    def test_times(self, typed: str) -> None:
        for function in (
            times.parse_time,
            times.parse_deadline,
            times.parse_iso_8601,
        ):
            found = self.read(function, typed)
            if found is not None:
                self.assertEqual(datetime.UTC, found.tzinfo)
                shown = times.format_time(found)
                self.assertEqual(found, times.parse_iso_8601(shown))

    @_EXAMPLES
    @hypothesis.given(_TIMES)
    def test_durations(self, typed: str) -> None:
        found = self.read(times.parse_duration, typed)
        if found is not None:
            self.assertLess(datetime.timedelta(), found)
            shown = times.format_duration(int(found.total_seconds()))
            self.assertEqual(found, times.parse_duration(shown))

    @_EXAMPLES
    @hypothesis.given(_URLS)
    def test_urls(self, typed: str) -> None:
        found = self.read(text.check_url, typed)
        if found is not None:
            self.assertTrue(found.isprintable())
            self.assertRegex(found.lower(), '^https?://[^@/?#]+')
            self.assertLessEqual(len(found), text.URL_LIMIT)

    @_EXAMPLES
    @hypothesis.given(_ANY)
    def test_reasons(self, typed: str) -> None:
        for function in (mark.check_reason, owners.check_reason):
            found = self.read(function, typed)
            if found is not None:
                self.assertTrue(found.isprintable())
                self.assertLessEqual(len(found), text.NOVA_LIMIT)

    @_EXAMPLES
    @hypothesis.given(_ANY)
    def test_options(self, typed: str) -> None:
        for function in (options.number, options.count, options.host):
            try:
                function(typed)
            except argparse.ArgumentTypeError as exc:
                self.assertTrue(str(exc).isprintable(), repr(str(exc)))

    def test_no_control_is_typed_or_printed(self) -> None:
        for control in CONTROLS:
            for check in (text.check_text, text.check_url):
                self.assertRaises(ValueError, check, f'http://a{control}b')
            for shown in (text.escape(control), text.storable(control)):
                self.assertTrue(shown.isascii() and shown.isprintable())


class TestMetadata(base.BaseTestCase):
    """What anybody has written where our notes are."""

    @_EXAMPLES
    @hypothesis.given(METADATA)
    def test_records(self, metadata: dict[str, str]) -> None:
        found = record.decode(metadata)
        ours = any(key.startswith('maintenance:') for key in metadata)
        self.assertEqual(ours, found is not None)
        if found is not None and not found.problems:
            again = record.decode(record.encode(found))
            assert again is not None
            self.assertEqual(found.start, again.start)
            self.assertEqual(found.before, again.before)

    @_EXAMPLES
    @hypothesis.given(METADATA)
    def test_journals(self, metadata: dict[str, str]) -> None:
        found = journal.decode(metadata)
        for server in (*found.moves, *found.returns, *found.stayed):
            self.assertTrue(text.is_id(server))
        for server in (*found.stopped, *found.told):
            self.assertTrue(text.is_id(server))

    @_EXAMPLES
    @hypothesis.given(METADATA, st.sampled_from(owners.Heed))
    def test_owners(self, metadata: dict[str, str], heed: owners.Heed) -> None:
        terms = owners.Terms('3f9a1c2e', heed, scenes.NOW)
        now = scenes.NOW - scenes.HOUR
        awaited = owners.awaited(metadata, terms, now)
        for told in (
            awaited.cause if awaited else '',
            owners.in_vain(metadata, terms) or '',
            owners.kept(metadata, terms) or '',
        ):
            self.assertTrue(told.isprintable())

    @_EXAMPLES
    @hypothesis.given(METADATA, _ANY)
    def test_notices(self, metadata: dict[str, str], name: str) -> None:
        server = servers.Server('a', name, said=metadata)
        rows = overview.of([server], '3f9a1c2e')
        found = notice.decode(metadata)
        if found:
            row = notice.row(server, found, scenes.NOW)
            for field, value in row.items():
                self.printable(view.value_in_words(field, value))
        for line in overview.in_words(rows[0]).split('\n'):
            self.assertTrue(line.isprintable())

    @_EXAMPLES
    @hypothesis.given(METADATA, _ANY)
    def test_hosts(self, metadata: dict[str, str], reason: str) -> None:
        before = scenes.entered()
        assert before.aggregate is not None
        before.aggregate.metadata.update(metadata)
        seen = scenes.disabled_by_somebody(before, reason=reason)
        for host in (before, seen):
            fields = view.fields(host, scenes.load(), None, scenes.NOW)
            for field, value in fields.items():
                self.printable(view.value_in_words(field, value))

    def printable(self, told: str) -> None:
        self.assertTrue(told.isprintable(), repr(told))

    @_EXAMPLES
    @hypothesis.given(_ANY)
    def test_disabled_reasons(self, reason: str) -> None:
        found = mark.parse(f'maintenance 3f9a1c2e:{reason}')
        assert found is not None
        self.assertEqual('3f9a1c2e', found.id)

    @_EXAMPLES
    @hypothesis.given(METADATA)
    def test_policies(self, metadata: dict[str, str]) -> None:
        values = {
            k.removeprefix('maintenance:'): metadata[k] for k in metadata
        }
        found, wrong = policy.decode(values)
        self.assertIn(found.migrate, policy.CHOICES)
        # which servers have to go is the only thing that may not be missing
        self.assertLessEqual(wrong.keys(), {*values, 'migrate'})
