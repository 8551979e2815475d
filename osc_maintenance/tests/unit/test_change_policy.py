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

import hypothesis
from oslotest import base

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance import journal
from osc_maintenance import policy
from osc_maintenance.tests.unit import scenes
from osc_maintenance.tests.unit import test_policy
from osc_maintenance import times

NOW, HOUR = scenes.NOW, scenes.HOUR
ONLY_A = policy.Policy('all', only=frozenset('a'), projects=frozenset('p'))
NOTES = {
    'maintenance:drain': 'ended',
    'maintenance:move:a': 'live-migrate 7 u1',
    'maintenance:stayed:a': 'no room',
    'maintenance:return': 'started',
    'maintenance:return:a': 'live-migrate 9 u1',
}


def asked(
    seen: compute.Host, wanted: policy.Policy | None
) -> list[change.Step]:
    return change.to_set(seen, asking.Request(policy=wanted), 'bob', NOW)


def entered(wanted: policy.Policy) -> compute.Host:
    return scenes.entered(request=asking.Request(policy=wanted))


def policy_in(seen: compute.Host) -> policy.Policy:
    assert seen.record is not None
    return seen.record.policy


class TestPolicy(base.BaseTestCase):
    def test_none_is_recorded_from_the_beginning(self) -> None:
        self.assertEqual(policy.NOTHING, policy_in(scenes.entered()))
        self.assertEqual(policy.NOTHING, policy_in(scenes.planned()))

    @hypothesis.given(test_policy.POLICIES, test_policy.POLICIES)
    def test_one_replaces_the_other_as_a_whole(
        self, old: policy.Policy, new: policy.Policy
    ) -> None:
        hypothesis.assume(not old.only & old.exclude)
        hypothesis.assume(not new.only & new.exclude)
        seen = entered(old)
        self.assertEqual(old, policy_in(seen))
        after = scenes.after(seen, *asked(seen, new))
        self.assertEqual(new, policy_in(after))
        # nothing of the old one is left
        assert after.aggregate is not None
        fresh = entered(new).aggregate
        assert fresh is not None
        self.assertEqual(
            fresh.metadata.keys(), after.aggregate.metadata.keys()
        )
        self.assertEqual([], asked(after, new))

    def test_old_servers_and_projects_are_removed(self) -> None:
        wanted = policy.Policy('active')
        (step,) = asked(entered(ONLY_A), wanted)
        assert isinstance(step, change.WriteRecord)
        self.assertEqual(
            {
                'maintenance:migrate': 'active',
                'maintenance:choice': policy.encode(wanted)['choice'],
                'maintenance:server:a': None,
                'maintenance:project:p': None,
                'maintenance:set_by': 'bob',
                'maintenance:set_at': times.format_time(NOW),
            },
            step.changes,
        )

    def test_it_stays_if_it_is_not_said_anew(self) -> None:
        seen = entered(ONLY_A)
        self.assertEqual([], asked(seen, None))
        request = asking.Request(reason='kernel')
        steps = change.to_set(seen, request, 'bob', NOW + HOUR)
        self.assertEqual(ONLY_A, policy_in(scenes.after(seen, *steps)))
        cleared = scenes.after(
            seen, *change.to_clear(seen, frozenset(['window_end']), 'bob', NOW)
        )
        self.assertEqual(ONLY_A, policy_in(cleared))
        # that no server has to go is said as well
        told = scenes.after(seen, *asked(seen, policy.NOTHING))
        self.assertEqual(policy.NOTHING, policy_in(told))

    def test_it_says_nothing_about_the_service(self) -> None:
        for step in asked(entered(policy.NOTHING), ONLY_A):
            self.assertIsInstance(step, change.WriteRecord)
        planned = scenes.planned()
        told = scenes.after(planned, *asked(planned, ONLY_A))
        self.assertEqual(ONLY_A, policy_in(told))
        self.assertEqual(planned.service, told.service)

    def test_one_that_is_damaged_is_mended(self) -> None:
        damage = {'maintenance:server:b': '?', 'maintenance:migrate': None}
        seen = scenes.after(entered(ONLY_A), change.WriteRecord({**damage}))
        assert seen.record is not None
        self.assertEqual(2, len(seen.record.problems))
        mended = scenes.after(seen, *asked(seen, ONLY_A))
        self.assertEqual(ONLY_A, policy_in(mended))
        assert mended.record is not None
        self.assertEqual((), mended.record.problems)


class TestJournal(base.BaseTestCase):
    def _noted(self, wanted: policy.Policy = ONLY_A) -> compute.Host:
        return scenes.after(entered(wanted), change.WriteRecord({**NOTES}))

    def _notes(self, seen: compute.Host) -> dict[str, str]:
        assert seen.aggregate is not None
        metadata = seen.aggregate.metadata
        return {key: metadata[key] for key in NOTES if key in metadata}

    def test_the_notes_of_drains_are_never_touched(self) -> None:
        # but for this one, and that of a drain that has ended, where others
        # have to go than its servers
        seen = scenes.after(
            self._noted(), change.WriteRecord({'maintenance:return': None})
        )
        kept = self._notes(seen)
        self.assertEqual(len(NOTES) - 1, len(kept))
        over = {'drain', 'stayed:a'}
        for request, touched in (
            (asking.Request(policy=policy.Policy('active')), over),
            (asking.Request(policy=policy.NOTHING), over),
            (asking.Request(reason='kernel', duration=HOUR), set()),
            (asking.Request(removal=True), set()),
        ):
            steps = change.to_set(seen, request, 'bob', NOW)
            keys = {f'maintenance:{word}' for word in touched}
            for step in steps:
                if isinstance(step, change.WriteRecord):
                    self.assertEqual(keys, step.changes.keys() & NOTES.keys())
            left = {k: v for k, v in kept.items() if k not in keys}
            self.assertEqual(left, self._notes(scenes.after(seen, *steps)))

    def test_nor_when_the_record_is_lost(self) -> None:
        seen = self._noted()
        assert seen.aggregate is not None
        lost = dataclasses.replace(
            seen, aggregate=dataclasses.replace(seen.aggregate, metadata=NOTES)
        )
        steps = change.to_set(lost, asking.Request(removal=True), 'bob', NOW)
        mended = scenes.after(lost, *steps)
        self.assertEqual(
            NOTES.keys() - {'maintenance:return'}, self._notes(mended).keys()
        )
        assert mended.record is not None
        self.assertEqual((), mended.record.problems)

    def test_nothing_returns_to_a_host_that_is_entered_again(self) -> None:
        seen = self._noted()
        enabled = scenes.disabled_by_somebody(seen, 'enabled', None)
        mine = scenes.disabled_by_somebody(seen, 'disabled', 'mine')
        for returning in (seen, enabled, mine):
            for request in (asking.Request(), asking.Request(reason='kernel')):
                steps = change.to_set(returning, request, 'bob', NOW)
                entered_again = scenes.after(returning, *steps)
                self.assertTrue(entered_again.ours)
                self.assertFalse(entered_again.journal.returning)
                # the servers are still those that it has moved
                self.assertEqual(
                    seen.journal.moves, entered_again.journal.moves
                )
                self.assertEqual(
                    [], change.to_set(entered_again, request, 'bob', NOW)
                )
                # wherever it is killed, it never returns and is disabled
                for done in range(len(steps)):
                    killed = scenes.after(returning, *steps[:done])
                    if not killed.journal.returning:
                        continue
                    self.assertEqual(returning.service, killed.service)
                    self.assertEqual(
                        steps, change.to_set(killed, request, 'bob', NOW)
                    )

    def test_a_property_that_is_cleared_does_not_end_a_return(self) -> None:
        steps = change.to_clear(
            self._noted(), frozenset(['reason', 'window_end']), 'bob', NOW
        )
        cleared = scenes.after(self._noted(), *steps)
        self.assertTrue(cleared.journal.returning)

    def test_they_are_read_from_the_aggregate(self) -> None:
        found = self._noted().journal
        move = journal.Move('live-migrate', 7, ('u1',))
        back = journal.Move('live-migrate', 9, ('u1',))
        self.assertEqual(
            journal.Journal(
                journal.ENDED,
                returning=True,
                moves={'a': move},
                returns={'a': back},
                stayed={'a': 'no room'},
            ),
            found,
        )
        self.assertEqual(journal.Journal(), scenes.host().journal)
