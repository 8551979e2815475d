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

"""Whether what was asked for has come to be."""

import dataclasses
import datetime

from oslotest import base

from osc_maintenance import asking
from osc_maintenance import owners
from osc_maintenance import policy
from osc_maintenance import record
from osc_maintenance.tests.unit import scenes
from osc_maintenance import upheld

NOW, HOUR = scenes.NOW, scenes.HOUR
_RECORD = record.Record(start=NOW, set_by='bob', set_at=NOW)
_ALL = policy.Policy(policy.ALL)


class TestByOthers(base.BaseTestCase):
    def test_all_that_can_be_asked_for(self) -> None:
        later = NOW + datetime.timedelta(minutes=5)
        for request, met, name in (
            (asking.Request(start=later), {'start': later}, 'window start'),
            (asking.Request(end=later), {'end': later}, 'window end'),
            (asking.Request(duration=HOUR), {'end': NOW + HOUR}, 'window end'),
            (asking.Request(removal=True), {'removal': True}, 'removal'),
            (asking.Request(reason='x'), {'reason': 'x'}, 'reason'),
            (
                asking.Request(ticket_url='https://x'),
                {'ticket_url': 'https://x'},
                'ticket URL',
            ),
            (
                asking.Request(early=True),
                {'before': record.ENABLED},
                'begin',
            ),
            (
                asking.Request(policy=_ALL),
                {'policy': _ALL},
                'servers to be moved',
            ),
            (asking.Request(notify=True), {'notify': True}, 'notices'),
            (
                asking.Request(replies=owners.Heed.REQUIRE),
                {'replies': owners.Heed.REQUIRE},
                'owner replies',
            ),
            (asking.Request(reply_by=later), {'reply_by': later}, 'reply by'),
        ):
            self.assertIn(
                f'not as you have said: {name}; somebody else has',
                str(upheld.by_others(_RECORD, request)),
            )
            self.assertIn(
                '(last changed by bob, 2026-',
                str(upheld.by_others(_RECORD, request)),
            )
            found = dataclasses.replace(_RECORD, **met)
            self.assertIsNone(upheld.by_others(found, request), name)

    def test_nothing_was_asked_for(self) -> None:
        self.assertIsNone(upheld.by_others(None, asking.Request()))
        self.assertTrue(upheld.moves(None, asking.Request()))

    def test_a_record_that_is_lost(self) -> None:
        told = upheld.by_others(None, asking.Request(reason='x', policy=_ALL))
        self.assertIn('reason, servers to be moved; somebody else', str(told))
        self.assertIn('(last changed by unknown)', str(told))


class TestCleared(base.BaseTestCase):
    def test_what_is_left(self) -> None:
        properties = frozenset(('reason', 'ticket_url', 'window_end'))
        self.assertIsNone(upheld.cleared(_RECORD, properties))
        self.assertIsNone(upheld.cleared(None, properties))
        found = dataclasses.replace(
            _RECORD, reason='x', ticket_url='https://x', removal=True
        )
        self.assertIn(
            'reason, ticket URL, window end;',
            str(upheld.cleared(found, properties)),
        )
        self.assertIsNone(upheld.cleared(found, frozenset()))
