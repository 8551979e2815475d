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

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from osc_maintenance import owners
from osc_maintenance.tests.unit import scenes

KEY, REPLY = 'maintenance:policy', 'maintenance:reply'
ID = '3f9a1c2e'
H = owners.Heed
IGNORES = owners.Terms(ID)
UNTIL = scenes.NOW + scenes.HOUR
WAITS = owners.Terms(ID, H.WAIT, UNTIL)
REQUIRES = owners.Terms(ID, H.REQUIRE)
#: whatever an owner may have written
SAID = st.dictionaries(
    st.sampled_from((KEY, REPLY)),
    st.one_of(
        st.text(max_size=255),
        st.sampled_from(
            [*owners.Wish, *(f'{ID} {answer}: x' for answer in owners.Answer)]
        ),
    ),
)


class TestWish(base.BaseTestCase):
    def test_what_is_understood(self) -> None:
        for value in ('live-migrate', 'cold-migrate', 'stop', 'keep', 'ask'):
            self.assertEqual(value, owners.wish({KEY: value}))
            self.assertIsNone(owners.in_vain({KEY: value}, WAITS))

    def test_none_is_there(self) -> None:
        for said in ({}, {'maintenance:id': 'keep'}):
            self.assertIsNone(owners.wish(said))
            self.assertIsNone(owners.in_vain(said, IGNORES))

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
                owners.in_vain({KEY: value}, WAITS),
            )

    def test_to_be_asked_where_nobody_asks(self) -> None:
        self.assertEqual(
            f'its property {KEY} is ask, and no replies are asked',
            owners.in_vain({KEY: 'ask'}, IGNORES),
        )


class TestReply(base.BaseTestCase):
    def test_there_and_back(self) -> None:
        for answer in owners.Answer:
            for reason in (None, 'a release: until 18:00'):
                reply = owners.Reply(answer, reason)
                said = {REPLY: owners.encode_reply(ID, reply)}
                self.assertEqual(reply, owners.reply(said, ID))

    def test_whom_it_is_for(self) -> None:
        for value, identity in (
            (f'{ID} move', ID),
            (f'  {ID}   nonsense: x', ID),
            (f'{ID}: x', ID),
            (ID, ID),
            ('', ''),
            (': x', ''),
        ):
            self.assertEqual(identity, owners.replies_to({REPLY: value}))

    def test_it_fits(self) -> None:
        longest = owners.Reply(
            owners.Answer.OWN_ACTION, 'x' * owners.REASON_LIMIT
        )
        self.assertLessEqual(len(owners.encode_reply(ID, longest)), 255)

    def test_what_counts_for_nothing(self) -> None:
        for value in (
            '',
            'move',
            'ffffffff move',
            f'{ID}',
            f'{ID}move',
            f'{ID} Move',
            f'{ID} move keep',
            f' {ID[:4]} move',
            f'{ID}: move',
            f'{ID}\tmove',
        ):
            self.assertIsNone(owners.reply({REPLY: value}, ID), value)
        # before there is a maintenance
        self.assertIsNone(owners.reply({REPLY: ' move'}, ''))

    def test_the_reason(self) -> None:
        for text in (' x ', 'y' * owners.REASON_LIMIT):
            self.assertEqual(text.strip(), owners.check_reason(text))
        for text in ('', 'a\x1bb', 'y' * (owners.REASON_LIMIT + 1)):
            self.assertRaises(ValueError, owners.check_reason, text)


class TestKept(base.BaseTestCase):
    def test_where_it_says_so(self) -> None:
        policy, reply = (
            f'its property {KEY}',
            f'the reply in its property {REPLY}',
        )
        keep, move = f'{ID} keep', f'{ID} move'
        for said, terms, where in (
            ({}, WAITS, None),
            ({KEY: 'keep'}, IGNORES, policy),
            ({KEY: 'keep'}, WAITS, policy),
            ({REPLY: keep}, IGNORES, None),
            ({REPLY: keep}, WAITS, reply),
            ({REPLY: keep}, REQUIRES, reply),
            ({REPLY: 'ffffffff keep'}, WAITS, None),
            # a reply is the later word
            ({KEY: 'keep', REPLY: move}, WAITS, None),
            ({KEY: 'keep', REPLY: move}, IGNORES, policy),
            # and these say nothing else
            ({KEY: 'keep', REPLY: f'{ID} not-ready'}, WAITS, policy),
            ({KEY: 'keep', REPLY: f'{ID} own-action'}, WAITS, policy),
            ({KEY: 'stop', REPLY: keep}, WAITS, reply),
        ):
            self.assertEqual(
                where, owners.kept(said, terms), f'{said} {terms}'
            )


class TestAwaited(base.BaseTestCase):
    def awaited(
        self, terms: owners.Terms, later: int = 0, **said: str
    ) -> tuple[str, bool] | None:
        """Why a server waits so many seconds later, and whether it ends."""
        found = owners.awaited(
            {f'maintenance:{key}': value for key, value in said.items()},
            terms,
            scenes.NOW + datetime.timedelta(seconds=later),
        )
        return (found.cause, found.ends) if found else None

    def test_nobody_waits_where_replies_are_ignored(self) -> None:
        for reply in ('', f'{ID} not-ready', f'{ID} own-action'):
            self.assertIsNone(self.awaited(IGNORES, reply=reply))
            self.assertIsNone(self.awaited(IGNORES, policy='ask'))

    def test_until_replies_count_no_more(self) -> None:
        goes = '; until 2026-11-20T07:00:00Z'
        for reply, why in (
            ('', ': no reply yet'),
            ('ffffffff move', ': no reply yet'),
            (f'{ID} not-ready', ', who is not ready'),
            (f'{ID} not-ready: a\x1bb', ', who is not ready (a\\x1bb)'),
            (f'{ID} own-action', ', who takes care of it'),
            (f'{ID} x', f': its property {REPLY} is not understood: {ID} x'),
        ):
            self.assertEqual(
                (f'waits for its owner{why}{goes}', True),
                self.awaited(WAITS, 3599, reply=reply),
            )
            self.assertIsNone(self.awaited(WAITS, 3600, reply=reply))

    def test_until_there_is_a_reply(self) -> None:
        for reply, why in (
            ('', ': no reply yet'),
            (f'{ID} not-ready: x', ', who is not ready (x)'),
            (f'{ID} own-action', ', who takes care of it'),
        ):
            self.assertEqual(
                (f'waits for its owner{why}', False),
                self.awaited(REQUIRES, 10**6, reply=reply),
            )
        # who takes care of it has time until then
        ends = owners.Terms(ID, H.REQUIRE, UNTIL)
        own = f'{ID} own-action'
        found = self.awaited(ends, reply=own)
        self.assertTrue(found and found[1])
        self.assertIsNone(self.awaited(ends, 3600, reply=own))
        self.assertEqual(
            (
                'waits for its owner: no reply yet, and replies count no more',
                False,
            ),
            self.awaited(ends, 3600, reply=''),
        )

    def test_who_has_answered(self) -> None:
        for terms in (WAITS, REQUIRES):
            for answer in ('move', 'keep'):
                reply = f'{ID} {answer}'
                self.assertIsNone(self.awaited(terms, reply=reply))
                self.assertIsNone(
                    self.awaited(terms, reply=reply, policy='ask')
                )
            # an answer for all times, but for this one
            for wish in ('live-migrate', 'cold-migrate', 'stop', 'keep'):
                self.assertIsNone(self.awaited(terms, policy=wish))
                self.assertIsNotNone(
                    self.awaited(terms, policy=wish, reply=f'{ID} not-ready')
                )
            for wish in ('ask', 'unheard of'):
                self.assertIsNotNone(self.awaited(terms, policy=wish))

    @hypothesis.given(SAID)
    def test_whatever_an_owner_writes(self, said: dict[str, str]) -> None:
        known = owners.wish(said)
        told = owners.in_vain(said, WAITS)
        self.assertEqual(KEY in said and known is None, told is not None)
        found = owners.awaited(said, WAITS, scenes.NOW)
        self.assertTrue(f'{told}{found and found.cause}'.isprintable())
        # silence and any word delay a move until the deadline at most
        self.assertIsNone(owners.awaited(said, WAITS, UNTIL))
