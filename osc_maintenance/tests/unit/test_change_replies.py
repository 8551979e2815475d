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

"""``set`` says what is made of the owners' replies, and until when."""

import dataclasses
import datetime
import typing

from oslotest import base

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance import owners
from osc_maintenance import record
from osc_maintenance.tests.unit import scenes

NOW, HOUR = scenes.NOW, scenes.HOUR
H = owners.Heed
START = NOW + 4 * HOUR


def asked(
    seen: compute.Host | None = None, **fields: typing.Any
) -> record.Record:
    """The record once that has been asked for."""
    seen = seen or scenes.claimed(scenes.host())
    request = asking.Request(**fields)
    steps = change.to_set(seen, request, 'alice', NOW)
    found = scenes.after(seen, *steps).record
    assert found
    return found


def waiting(**fields: typing.Any) -> compute.Host:
    """A planned host whose owners are waited for."""
    told = {'notify': True, 'replies': H.WAIT, 'start': START, **fields}
    return scenes.entered(request=asking.Request(**told))


class TestReplies(base.BaseTestCase):
    def refused(self, seen: compute.Host | None, **fields: typing.Any) -> str:
        error = self.assertRaises(asking.RefusedError, asked, seen, **fields)
        return str(error)

    def test_until_the_start_unless_it_is_said(self) -> None:
        told: dict[str, typing.Any] = {'notify': True, 'start': START}
        for replies, fields, until in (
            (H.WAIT, {}, START),
            (H.REQUIRE, {}, None),
            (H.REQUIRE, {'reply_by': NOW + HOUR}, NOW + HOUR),
            (H.WAIT, {'reply_by': NOW + HOUR}, NOW + HOUR),
            (H.IGNORE, {}, None),
        ):
            found = asked(None, **told, replies=replies, **fields)
            self.assertEqual((replies, until), (found.replies, found.reply_by))
        # now there is no time
        told = {'notify': True, 'replies': H.REQUIRE}
        self.assertIsNone(asked(None, **told).reply_by)

    def test_they_stay_unless_they_are_said_anew(self) -> None:
        host = waiting(reply_by=NOW + HOUR)
        found = asked(host, reason='kernel')
        self.assertEqual((H.WAIT, NOW + HOUR), (found.replies, found.reply_by))
        self.assertEqual([], change.to_set(host, asking.Request(), 'bob', NOW))
        found = asked(host, reply_by=NOW + 2 * HOUR)
        self.assertEqual(NOW + 2 * HOUR, found.reply_by)
        for fields in ({'replies': H.IGNORE}, {'notify': False}):
            found = asked(host, **fields)
            self.assertEqual((H.IGNORE, None), (found.replies, found.reply_by))

    def test_they_follow_the_start(self) -> None:
        found = asked(waiting(), start=START + HOUR)
        self.assertEqual(START + HOUR, found.reply_by)
        found = asked(waiting(reply_by=NOW + HOUR), start=START + HOUR)
        self.assertEqual(NOW + HOUR, found.reply_by)

    def test_they_do_not_keep_who_is_in_a_hurry(self) -> None:
        for fields, until in (
            ({'early': True}, START),
            ({'early': True, 'duration': HOUR}, NOW + HOUR),
        ):
            self.assertEqual(until, asked(waiting(), **fields).reply_by)

    def test_nobody_is_shut_out_by_what_nobody_has_said(self) -> None:
        found = asked(waiting(), replies=H.REQUIRE)
        self.assertIsNone(found.reply_by)
        found = asked(waiting(reply_by=NOW + HOUR), replies=H.REQUIRE)
        self.assertEqual(NOW + HOUR, found.reply_by)

    def test_what_makes_no_sense(self) -> None:
        wait: dict[str, typing.Any] = {'notify': True, 'replies': H.WAIT}
        later = NOW + HOUR
        for seen, fields, why in (
            (None, {'reply_by': later}, '--reply-by goes with'),
            (
                None,
                {'replies': H.REQUIRE},
                '--owner-replies require goes with --notify-owners',
            ),
            (
                waiting(),
                {'notify': False, 'replies': H.WAIT},
                'goes with --notify-owners',
            ),
            (None, wait, 'goes with --reply-by'),
            (None, {**wait, 'reply_by': NOW}, 'is in the past'),
            (
                None,
                {**wait, 'reply_by': later, 'duration': HOUR / 2},
                'after the end of the window at 2026-11-20T06:30:00Z',
            ),
        ):
            self.assertIn(why, self.refused(seen, **fields))

    def test_a_deadline_that_has_passed_stays(self) -> None:
        host = waiting(reply_by=NOW + HOUR)
        late = NOW + 2 * HOUR
        request = asking.Request(reason='kernel')
        change.to_set(host, request, 'alice', late)
        self.assertEqual(
            owners.Terms('3f9a1c2e', H.WAIT, NOW + HOUR),
            asking.terms(host, request, late),
        )

    def test_what_was_stopped_is_known(self) -> None:
        note = change.WriteRecord({'maintenance:stopped:web-id': 'true'})
        host = scenes.after(waiting(), note)
        terms = asking.terms(host, asking.Request(), NOW)
        self.assertEqual({'web-id'}, terms.stopped)
        assert host.record
        self.assertEqual(terms, host.record.policy.terms)

    def test_one_that_is_damaged_is_mended(self) -> None:
        for key, value in (('owner_replies', 'yes'), ('reply_by', 'soon')):
            damage = change.WriteRecord({f'maintenance:{key}': value})
            host = scenes.after(waiting(), damage)
            assert host.record
            self.assertEqual(
                [key], [problem.name for problem in host.record.problems]
            )
            found = asked(host, replies=H.WAIT, reply_by=NOW + HOUR)
            self.assertEqual((), found.problems)
            self.assertEqual(NOW + HOUR, found.reply_by)

    def test_they_make_no_other_policy(self) -> None:
        before = waiting().record
        assert before
        later = dataclasses.replace(
            before.policy,
            terms=owners.Terms('x', H.REQUIRE, datetime.datetime.max),
        )
        self.assertTrue(before.policy.moves_as(later))
