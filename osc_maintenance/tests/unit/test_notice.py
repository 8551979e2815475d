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
import yaml

from osc_maintenance.drain import verdict
from osc_maintenance import notice
from osc_maintenance import owners
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


#: what they are told where they are asked
ASKED = notice.of(
    dataclasses.replace(
        RECORD,
        replies=owners.Heed.WAIT,
        reply_by=START - datetime.timedelta(hours=1),
    ),
    LIVE,
)


class TestEncode(base.BaseTestCase):
    def test_every_key(self) -> None:
        self.assertEqual(SAID, notice.encode(notice.of(RECORD, LIVE)))

    def test_what_happens_to_it(self) -> None:
        for action, word in (
            (_A.LIVE_MIGRATE, 'live-migrate'),
            (_A.COLD_MIGRATE, 'cold-migrate'),
            (_A.EVACUATE, 'evacuate'),
            (_A.STOP, 'stop'),
            (_A.LEAVE, 'stay'),
            (_A.BLOCKED, 'undecided'),
        ):
            told = notice.of(RECORD, verdict.Verdict(action, 'why'))
            self.assertEqual(word, told.action)

    def test_what_happens_once_they_have_replied(self) -> None:
        waits = verdict.Verdict(_A.BLOCKED, 'why', then=_A.COLD_MIGRATE)
        self.assertEqual('cold-migrate', notice.of(RECORD, waits).action)

    def test_where_they_are_asked(self) -> None:
        self.assertEqual(
            {
                **SAID,
                'maintenance:reply_by': '2026-11-20T21:00:00Z',
                'maintenance:replies': 'move keep own-action not-ready',
            },
            notice.encode(ASKED),
        )
        self.assertEqual(ASKED, notice.decode(notice.encode(ASKED)))

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
            ('reply_by', 'soon', 'reply_by', None),
            ('replies', 'obey keep', 'replies', (owners.Answer.KEEP,)),
        ):
            said = {**SAID, f'maintenance:{key}': value or ''}
            found = notice.decode(said)
            self.assertEqual(read, getattr(found, name), f'{key} {value!r}')

    def test_values_are_plain_whatever_the_format(self) -> None:
        said = {
            **notice.encode(ASKED),
            'maintenance:policy': 'keep',
            'maintenance:reply': '3f9a1c2e move',
        }
        row = notice.row(servers.Server('a', 'web', said=said), ASKED, START)
        self.assertEqual(row, yaml.safe_load(yaml.safe_dump(row)))

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
                    'replies': [],
                    'reply_by': None,
                    'seconds_until_reply_by': None,
                    'reply': None,
                    'reply_reason': None,
                },
                notice.row(server, told, now),
            )

    def test_a_reply(self) -> None:
        said = {
            **notice.encode(ASKED),
            'maintenance:reply': '3f9a1c2e not-ready: a\x1bb',
        }
        now = START - datetime.timedelta(hours=2)
        row = notice.row(servers.Server('a', 'web', said=said), ASKED, now)
        told = {
            'replies': ['move', 'keep', 'own-action', 'not-ready'],
            'reply_by': '2026-11-20T21:00:00Z',
            'seconds_until_reply_by': 3600,
            'reply': 'not-ready',
            'reply_reason': 'a\\x1bb',
        }
        self.assertLessEqual(told.items(), row.items())


class TestRefused(base.BaseTestCase):
    def test_why(self) -> None:
        hour = datetime.timedelta(hours=1)
        move = owners.Reply(owners.Answer.MOVE)
        own = owners.Reply(owners.Answer.OWN_ACTION)
        not_asked = notice.of(RECORD, LIVE)
        some = dataclasses.replace(ASKED, replies=(owners.Answer.MOVE,))
        for told, reply, now, why in (
            (ASKED, move, START - 2 * hour, None),
            (some, move, START - 2 * hour, None),
            (None, move, START, 'no maintenance is known'),
            (ASKED, move, START - hour, 'have counted until 2026-11-20T21:00'),
            (ASKED, move, START + 2 * hour, 'ended at 2026-11-21T00:00:00Z'),
            (not_asked, move, START - 2 * hour, 'do not ask for replies'),
            (some, own, START - 2 * hour, 'takes move, and not own-action'),
        ):
            found = notice.refused(told, reply, now)
            if why is None:
                self.assertIsNone(found)
            else:
                self.assertIn(why, str(found))


class TestKeysOf(base.BaseTestCase):
    def test_what_is_not_of_another_maintenance(self) -> None:
        other = 'ffffffff'
        for identity, reply, notice_goes, reply_goes in (
            ('3f9a1c2e', '3f9a1c2e move', True, True),
            ('3f9a1c2e', ' 3f9a1c2e  move', True, True),
            ('3f9a1c2e', 'nonsense', True, True),
            ('deadbeef', 'deadbeef keep', True, True),
            ('', '', True, True),
            (other, '3f9a1c2e move', False, True),
            (other, f'{other} move', False, False),
            ('3f9a1c2e', f'{other}: x', True, False),
        ):
            said = {
                **SAID,
                'maintenance:id': identity,
                'maintenance:reply': reply,
                'maintenance:policy': 'keep',
            }
            expected = set(SAID) if notice_goes else set()
            if reply_goes:
                expected.add('maintenance:reply')
            self.assertEqual(
                expected, notice.keys_of(said, {other}), f'{identity} {reply}'
            )

    def test_nothing_is_there(self) -> None:
        said = {'color': 'blue', 'maintenance:policy': 'keep'}
        self.assertEqual(set(), notice.keys_of(said, ()))
