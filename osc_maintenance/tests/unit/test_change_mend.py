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

import collections.abc
import dataclasses

import hypothesis
from hypothesis import strategies
from oslotest import base

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance.drain import verdict
from osc_maintenance import notice
from osc_maintenance import owners
from osc_maintenance import policy
from osc_maintenance import record
from osc_maintenance import state
from osc_maintenance.tests.unit import scenes

NOW, HOUR = scenes.NOW, scenes.HOUR
_REASONS = strategies.sampled_from(('x\x1b[2J', 'kernel', '', 'x' * 255))
_URLS = strategies.sampled_from(
    ('https://t.co/\x9b', 'https://me:s3cret@t.co/7', 'https://t.co/7', 'x')
)


class TestMend(base.BaseTestCase):
    @hypothesis.given(
        strategies.dictionaries(
            strategies.sampled_from(sorted(record.KEYS)), strategies.text()
        )
    )
    def test_any_damaged_record_is_mended(
        self, garbage: dict[str, str | None]
    ) -> None:
        seen = scenes.entered()
        seen = scenes.after(seen, change.WriteRecord(garbage))
        request = asking.Request(
            start=NOW, duration=HOUR, policy=policy.NOTHING, notify=False
        )
        mended = scenes.after(seen, *change.to_set(seen, request, 'bob', NOW))
        standing = state.derive(mended, scenes.NOTHING, scenes.NOW)
        self.assertEqual(state.State.MAINTENANCE, standing.state)

    def test_what_was_said_of_owners_is_not_guessed(self) -> None:
        # a server that its owner keeps would be moved
        asks = asking.Request(
            notify=True, replies=owners.Heed.WAIT, reply_by=NOW + HOUR
        )
        now = NOW + HOUR / 2
        for name, given in (
            ('notify_owners', {'notify': True}),
            ('notify_owners', {'notify': False}),
            (
                'owner_replies',
                {'replies': owners.Heed.WAIT, 'reply_by': NOW + HOUR},
            ),
            ('reply_by', {'reply_by': NOW + HOUR}),
        ):
            lost = scenes.after(
                scenes.entered(request=asks),
                change.WriteRecord({f'maintenance:{name}': 'Wait'}),
            )
            error = self.assertRaises(
                asking.RefusedError,
                *(change.to_set, lost, asking.Request(), 'bob', now),
            )
            self.assertIn(name.replace('_', '-'), str(error))
            request = asking.Request(**given)
            mended = scenes.after(
                lost, *change.to_set(lost, request, 'bob', now)
            )
            assert mended.record is not None
            self.assertEqual((), mended.record.problems)

    @hypothesis.given(_REASONS, _URLS)
    def test_what_was_written_by_hand_goes_no_further(
        self, reason: str, url: str
    ) -> None:
        written = {
            'maintenance:reason': reason,
            'maintenance:ticket_url': url,
        }
        seen = scenes.after(scenes.entered(), change.WriteRecord({**written}))
        mended = scenes.after(
            seen, *change.to_set(seen, asking.Request(), 'bob', NOW)
        )
        assert mended.service is not None and mended.record is not None
        told = notice.encode(
            notice.of(mended.record, verdict.Verdict(verdict.Action.LEAVE))
        )
        for words in (mended.service.disabled_reason, *told.values()):
            self.assertTrue((words or '').isprintable())
            self.assertNotIn('s3cret', words or '')
        self.assertEqual((), mended.record.problems)

    def test_a_disabled_reason_by_hand_goes_no_further(self) -> None:
        words = 'maintenance 3f9a1c2e: x\x1b[2J https://me:s3cret@t.co/7'
        seen = scenes.claimed(scenes.host('disabled', words))
        steps = change.to_set(seen, asking.Request(), 'bob', NOW)
        told = scenes.after(seen, *steps)
        assert told.service is not None and told.record is not None
        self.assertEqual(r'x\x1b[2J', told.record.reason)
        self.assertEqual(
            r'maintenance 3f9a1c2e: x\x1b[2J', told.service.disabled_reason
        )
        self.assertEqual((), told.record.problems)

    def test_an_entered_host_whose_start_is_lost(self) -> None:
        seen = scenes.after(
            scenes.entered(),
            change.WriteRecord({'maintenance:window_start': 'soon'}),
        )
        mended = scenes.after(
            seen, *change.to_set(seen, asking.Request(), 'bob', NOW + HOUR)
        )
        assert mended.record is not None
        self.assertEqual(NOW, mended.record.start)
        self.assertEqual((), mended.record.problems)

    def test_our_own_reason_is_never_what_was_before(self) -> None:
        # the aggregate was lost, made again with another id, and set killed
        # before it disabled the service for the new one
        seen = scenes.entered(scenes.host_of(scenes.NIC))
        lost = scenes.claimed(
            dataclasses.replace(seen, aggregate=None), '77777777'
        )
        steps = change.to_set(lost, asking.Request(), 'bob', NOW)
        self.assertIsInstance(steps[-1], change.SetService)
        killed = scenes.after(lost, *steps[:-1])
        self.assertEqual(
            state.State.ERROR,
            state.derive(killed, scenes.NOTHING, scenes.NOW).state,
        )
        again = scenes.after(
            killed, *change.to_set(killed, asking.Request(), 'bob', NOW)
        )
        for stage in (killed, again):
            back = scenes.after(stage, *change.to_unset(stage))
            self.assertEqual(scenes.host_of(scenes.NIC), back)

    def test_the_reason_fills_what_the_record_has_lost(self) -> None:
        damage: collections.abc.Mapping[str, str | None]
        for fresh, damage in (
            (scenes.host(), {'maintenance:before_status': 'x'}),
            (
                scenes.host(),
                {
                    'maintenance:before_status': None,
                    'maintenance:before_reason': 'zz',
                },
            ),
            (scenes.host_of(scenes.NIC), {'maintenance:before_reason': None}),
            (scenes.host_of(scenes.NIC), {'maintenance:before_status': None}),
            # there is room for less of it in the disabled_reason
            (
                scenes.host('disabled', 'broken ' * 36),
                {'maintenance:before_status': None},
            ),
            (scenes.host(), {'maintenance:id': 'x'}),
        ):
            with self.subTest(damage=damage):
                seen = scenes.entered(fresh)
                written = change.WriteRecord(dict(damage))
                seen = scenes.after(seen, written)
                back = scenes.after(seen, *change.to_unset(seen))
                self.assertEqual(fresh, back)
                mended = scenes.after(
                    seen, *change.to_set(seen, asking.Request(), 'b', NOW)
                )
                back = scenes.after(mended, *change.to_unset(mended))
                self.assertEqual(fresh, back)

    def test_a_lost_aggregate_is_made_again(self) -> None:
        request = asking.Request(reason='kernel', ticket_url='https://t.co/7')
        seen = scenes.entered(scenes.host_of(scenes.NIC), request)
        lost = scenes.claimed(
            dataclasses.replace(seen, aggregate=None), '77777777'
        )
        steps = change.to_set(lost, asking.Request(), 'bob', NOW)
        told = scenes.after(lost, *steps)
        assert told.record is not None
        self.assertTrue(told.ours)
        self.assertEqual(scenes.NIC, told.record.before)
        self.assertEqual('kernel', told.record.reason)
        self.assertEqual('https://t.co/7', told.record.ticket_url)
        self.assertEqual('77777777', told.record.id)
