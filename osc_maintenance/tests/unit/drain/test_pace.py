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

import typing

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from osc_maintenance.drain import moves
from osc_maintenance.drain import pace
from osc_maintenance.drain import verdict
from osc_maintenance import servers

_A = verdict.Action


def move(
    name: str, action: _A = _A.LIVE_MIGRATE, **fields: typing.Any
) -> moves.Move:
    return moves.Move(
        servers.Server(name, name, **fields), verdict.Verdict(action)
    )


def groups(
    policy: str, *members: str, id_: str = 'g1'
) -> dict[str, verdict.Group]:
    return dict.fromkeys(members, verdict.Group(id_, id_, policy))


class TestSize(base.BaseTestCase):
    def test_what_has_to_be_copied_counts(self) -> None:
        for action, size in (
            (_A.LIVE_MIGRATE, 2048),
            (_A.COLD_MIGRATE, 3 * 1024),
            (_A.EVACUATE, 3 * 1024),
        ):
            self.assertEqual(
                size, pace.size(move('a', action, ram=2048, disk=3))
            )


class TestNextMoves(base.BaseTestCase):
    def names(
        self,
        candidates: str,
        moving: str = '',
        known: dict[str, verdict.Group] | None = None,
        slots: int = 3,
    ) -> str:
        """Which of the servers go next; a to e, e is the largest."""
        chosen = pace.next_moves(
            [move(name, ram=ord(name)) for name in candidates],
            set(moving),
            known or {},
            slots,
        )
        return ''.join(item.server.id for item in chosen)

    def test_the_largest_go_first(self) -> None:
        for candidates in ('abcde', 'edcba', 'cadbe'):
            self.assertEqual('edc', self.names(candidates))

    def test_the_order_is_the_same_for_everybody(self) -> None:
        same = [move(name, ram=512) for name in 'cab']
        for candidates in (same, same[::-1]):
            chosen = pace.next_moves(candidates, set(), {}, 3)
            self.assertEqual(
                ['a', 'b', 'c'], [item.server.id for item in chosen]
            )

    def test_those_in_motion_hold_slots(self) -> None:
        for moving, chosen in (
            ('', 'edc'),
            ('x', 'ed'),
            ('xy', 'e'),
            ('xyz', ''),
            ('wxyz', ''),
        ):
            self.assertEqual(chosen, self.names('abcde', moving))

    def test_members_that_must_be_apart_go_one_by_one(self) -> None:
        apart = groups('anti-affinity', 'e', 'd', 'a')
        self.assertEqual('ecb', self.names('abcde', known=apart))
        self.assertEqual('cb', self.names('abcd', 'e', apart))
        # two groups do not meet
        two = {**apart, **groups('anti-affinity', 'c', 'b', id_='g2')}
        self.assertEqual('ec', self.names('abcde', known=two))
        for policy in ('affinity', 'soft-affinity', 'soft-anti-affinity'):
            known = groups(policy, 'e', 'd', 'a')
            self.assertEqual('edc', self.names('abcde', known=known))

    @hypothesis.given(
        candidates=st.sets(st.sampled_from('abcdefgh')),
        moving=st.sets(st.sampled_from('uvwxyz')),
        members=st.sets(st.sampled_from('abcuvw')),
        slots=st.integers(1, 9),
    )
    def test_within_the_limits_whatever_there_is(
        self,
        candidates: set[str],
        moving: set[str],
        members: set[str],
        slots: int,
    ) -> None:
        apart = groups('anti-affinity', *members)
        chosen = set(
            self.names(''.join(candidates), ''.join(moving), apart, slots)
        )
        self.assertLessEqual(chosen, candidates)
        self.assertLessEqual(len(chosen), max(slots - len(moving), 0))
        self.assertLessEqual(len(chosen & members), int(not moving & members))
        # nothing is left out that could go
        rest = candidates - chosen
        free = slots - len(moving) - len(chosen)
        if rest and free > 0:
            self.assertLessEqual(rest, members)
            self.assertTrue((chosen | moving) & members)


class TestNextLook(base.BaseTestCase):
    def test_short_moves_are_watched_closely(self) -> None:
        for took, age, wait in (
            ([], 0, 0.5),
            ([], 20, 2),
            ([], 600, 6),
            ([0], 600, 0.5),
            ([4], 600, 0.5),
            ([10, 30], 0, 2),
            ([600], 0, 6),
        ):
            self.assertEqual(wait, pace.next_look(took, age), f'{took} {age}')


class TestTimeLeft(base.BaseTestCase):
    def test_an_estimate(self) -> None:
        for took, left, slots, seconds in (
            ([], 5, 2, None),
            ([], 0, 2, None),
            ([10], 0, 2, 0),
            ([10], 1, 2, 10),
            ([10], 4, 2, 20),
            ([10, 20], 4, 1, 60),
            ([10], 3, 9, 10),
        ):
            self.assertEqual(
                seconds, pace.time_left(took, left, slots), f'{took} {left}'
            )
