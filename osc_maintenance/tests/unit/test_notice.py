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
from hypothesis import strategies as st
from oslotest import base

from osc_maintenance.drain import verdict
from osc_maintenance import notice
from osc_maintenance import record
from osc_maintenance import servers

_A = verdict.Action
START = datetime.datetime(2026, 11, 20, 22, tzinfo=datetime.UTC)
RECORD = record.Record(
    id='3f9a1c2e',
    start=START,
    end=START + datetime.timedelta(hours=2),
    ticket_url='https://tickets.example.com/7',
    reason='not for them',
)
SAID = {
    'maintenance:id': '3f9a1c2e',
    'maintenance:action': 'live-migrate',
    'maintenance:window_start': '2026-11-20T22:00:00Z',
    'maintenance:window_end': '2026-11-21T00:00:00Z',
    'maintenance:ticket_url': 'https://tickets.example.com/7',
}
LIVE = verdict.Verdict(_A.LIVE_MIGRATE)


class TestEncode(base.BaseTestCase):
    def test_every_key(self) -> None:
        self.assertEqual(SAID, notice.encode(notice.of(RECORD, LIVE)))

    def test_what_happens_to_it(self) -> None:
        for action, word in (
            (_A.LIVE_MIGRATE, 'live-migrate'),
            (_A.COLD_MIGRATE, 'cold-migrate'),
            (_A.EVACUATE, 'evacuate'),
            (_A.LEAVE, 'stay'),
            (_A.BLOCKED, 'undecided'),
        ):
            told = notice.of(RECORD, verdict.Verdict(action, 'why'))
            self.assertEqual(word, told.action)

    def test_no_end_and_removal(self) -> None:
        open_ended = dataclasses.replace(RECORD, end=None)
        said = notice.encode(notice.of(open_ended, LIVE))
        self.assertNotIn('maintenance:window_end', said)
        self.assertNotIn('maintenance:removal', said)
        removed = dataclasses.replace(open_ended, removal=True)
        said = notice.encode(notice.of(removed, LIVE))
        self.assertEqual('true', said['maintenance:removal'])


class TestLacks(base.BaseTestCase):
    def test_whether_it_has_to_be_written(self) -> None:
        told = notice.of(RECORD, LIVE)
        for said, lacks in (
            (SAID, False),
            ({**SAID, 'maintenance:policy': 'keep', 'a': 'b'}, False),
            ({}, True),
            ({**SAID, 'maintenance:action': 'stay'}, True),
            ({**SAID, 'maintenance:removal': 'true'}, True),
        ):
            self.assertIs(lacks, told.lacks(said), str(said))


class TestDecode(base.BaseTestCase):
    def test_there_and_back(self) -> None:
        told = notice.of(RECORD, LIVE)
        self.assertEqual(told, notice.decode(notice.encode(told)))

    def test_none_is_there(self) -> None:
        for said in (
            {},
            {'maintenance:policy': 'keep'},
            {**SAID, 'maintenance:id': ''},
            {**SAID, 'maintenance:id': '3f9a1c2e\n'},
            {**SAID, 'maintenance:id': 'x'},
        ):
            self.assertIsNone(notice.decode(said))

    def test_what_cannot_be_read(self) -> None:
        for key, value, name, read in (
            ('action', '\x1b[2J', 'action', 'unknown'),
            ('action', None, 'action', 'unknown'),
            ('window_start', 'tonight', 'start', None),
            ('window_end', '', 'end', None),
            ('removal', 'yes', 'removal', False),
            ('ticket_url', 'javascript:alert(1)', 'ticket_url', None),
        ):
            said = {**SAID, f'maintenance:{key}': value or ''}
            found = notice.decode(said)
            self.assertEqual(read, getattr(found, name), f'{key} {value!r}')

    @hypothesis.given(
        st.dictionaries(st.sampled_from(sorted(notice.KEYS)), st.text())
    )
    def test_whatever_somebody_writes(self, said: dict[str, str]) -> None:
        found = notice.decode({**said, 'maintenance:id': '3f9a1c2e'})
        assert found
        row = notice.row(servers.Server('a', 'web\x1b'), found, START)
        for value in row.values():
            self.assertTrue(not isinstance(value, str) or value.isprintable())


class TestRow(base.BaseTestCase):
    def test_every_field(self) -> None:
        server = servers.Server(
            'a',
            'web',
            project='p',
            said={**SAID, 'maintenance:policy': 'keep'},
        )
        told = notice.decode(server.said)
        assert told
        for ago, seconds in ((3600, 3600), (0, 0), (-60, 0)):
            now = START - datetime.timedelta(seconds=ago)
            self.assertEqual(
                {
                    'id': 'a',
                    'name': 'web',
                    'project': 'p',
                    'maintenance': '3f9a1c2e',
                    'action': 'live-migrate',
                    'window_start': '2026-11-20T22:00:00Z',
                    'window_end': '2026-11-21T00:00:00Z',
                    'removal': False,
                    'seconds_until_start': seconds,
                    'ticket_url': 'https://tickets.example.com/7',
                    'policy': 'keep',
                },
                notice.row(server, told, now),
            )
