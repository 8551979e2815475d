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

from osc_maintenance.drain import forecast
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
    def wait(
        self,
        age: float,
        took: tuple[float, ...] = (),
        idle: float = 100.0,
        **fields: typing.Any,
    ) -> float:
        """How long is waited while a server of 1 GiB is on its way."""
        moving = move('a', ram=1024)
        moving.begun = 1000.0 - age
        for name, value in fields.items():
            setattr(moving, name, value)
        known = [
            forecast.Took(_A.LIVE_MIGRATE, 1024, seconds, seconds)
            for seconds in took
        ]
        return pace.next_look([moving], known, 1000.0, idle)

    def test_at_first_nothing_is_known(self) -> None:
        for age, wait in ((0, 0.7), (7, 0.7), (20, 2.8), (600, 10)):
            self.assertAlmostEqual(wait, self.wait(age))

    def test_the_end_is_waited_for_and_then_watched_closely(self) -> None:
        for age, took, wait in (
            (0, (4,), 3.2),
            (2.7, (4,), 0.5),
            (3.6, (4,), 0.3),
            (5.1, (4,), 0.1),
            # it takes longer than any before, and then much longer
            (7, (4,), 0.6),
            (9, (4,), 0.9),
            (0, (100,), 10),
            (100, (100,), 10),
            (600, (100,), 10),
            # the better it is known, the closer are the looks
            (4, (4, 4, 4, 4), 0.1),
            (4, (4, 5, 4, 5), 0.3),
            (4, (4, 8, 4, 8), 0.7),
            # and the longer moves take, the fewer of them
            (12, (12, 13, 14, 15), 1.0),
            (60, (60, 61, 62, 63), 3.1),
        ):
            self.assertAlmostEqual(wait, self.wait(age, took), 6, f'{age}')

    def test_what_was_asked_for_has_its_effect_soon(self) -> None:
        finished = servers.Migration(1, 'a', 'migration', 'finished')
        for fields in ({'overdue': 'aborted'}, {'migration': finished}):
            self.assertEqual(0.7, self.wait(0, (100,), idle=0.0, **fields))
            self.assertEqual(10, self.wait(0, (100,), idle=60.0, **fields))

    def test_the_first_to_end_counts(self) -> None:
        known = [forecast.Took(_A.LIVE_MIGRATE, 1024, 4, 4)]
        small, large = move('a', ram=1024), move('b', ram=2048)
        small.begun, large.begun = 1000.0, 999.0
        self.assertAlmostEqual(
            3.2, pace.next_look([large, small], known, 1000.0, 0.0)
        )

    def test_the_more_may_end_the_closer_are_the_looks(self) -> None:
        known = [
            forecast.Took(_A.LIVE_MIGRATE, 1024, seconds, seconds)
            for seconds in (10, 16)
        ]
        moving = [move(name, ram=1024) for name in 'abcd']
        for item in moving:
            item.begun = 990.0
        waits = [
            pace.next_look(moving[:number], known, 1000.0, 0.0)
            for number in range(1, 5)
        ]
        self.assertEqual(sorted(waits, reverse=True), waits)
        self.assertAlmostEqual(waits[0], 2 * waits[3], delta=0.1)
        # all are served by one look: of many more it is worth even more
        many = pace.next_look(moving * 4, known, 1000.0, 0.0)
        self.assertAlmostEqual(waits[3], 4 * many, delta=0.2)

    def test_where_nothing_is_left_to_start_the_end_of_all_counts(
        self,
    ) -> None:
        known = [forecast.Took(_A.LIVE_MIGRATE, 1024, 4, 4)]
        first, last = move('a', ram=1024), move('b', ram=1024)
        first.begun, last.begun = 996.5, 999.0
        for more, wait in ((True, 0.3), (False, 2.2)):
            self.assertAlmostEqual(
                wait,
                pace.next_look([first, last], known, 1000.0, 0.0, more=more),
            )

    def test_one_that_was_asked_for_does_not_hide_the_others(self) -> None:
        known = [forecast.Took(_A.LIVE_MIGRATE, 1024, 4, 4)] * 4
        slow, normal = move('a', ram=1024), move('b', ram=1024)
        slow.begun, slow.overdue, normal.begun = 900.0, 'aborted', 996.0
        self.assertAlmostEqual(
            0.1, pace.next_look([slow, normal], known, 1000.0, 90.0)
        )

    def test_nothing_is_in_motion(self) -> None:
        for idle, wait in ((0, 0.7), (30, 6.3), (600, 10)):
            self.assertAlmostEqual(wait, pace.next_look([], [], 0.0, idle))

    @hypothesis.given(
        age=st.floats(0, 1e5),
        took=st.lists(st.floats(0, 1e5)),
        idle=st.floats(0, 1e5),
    )
    def test_nova_is_neither_forgotten_nor_pressed(
        self, age: float, took: list[float], idle: float
    ) -> None:
        wait = self.wait(age, tuple(took), idle)
        self.assertGreaterEqual(wait, 0.1)
        self.assertLessEqual(wait, 10)


class TestTimeLeft(base.BaseTestCase):
    def test_an_estimate(self) -> None:
        for took, sizes, slots, seconds in (
            ([], [1, 1], 2, None),
            ([10], [], 2, 0),
            ([10], [1], 2, 10),
            ([10], [1, 1, 1, 1], 2, 20),
            ([10, 20], [1, 1, 1, 1], 1, 60),
            ([10], [1, 1, 1], 9, 10),
            # of what takes longest nothing is spread
            ([10], [4, 1, 1], 3, 40),
        ):
            left = [move(str(n), ram=size) for n, size in enumerate(sizes)]
            known = [
                forecast.Took(_A.LIVE_MIGRATE, 1, seconds, seconds)
                for seconds in took
            ]
            self.assertEqual(
                seconds,
                pace.time_left(left, known, slots, 0.0),
                f'{took} {sizes}',
            )

    def test_what_has_begun_takes_less(self) -> None:
        known = [forecast.Took(_A.LIVE_MIGRATE, 1, 10, 10)]
        begun = move('a', ram=1)
        begun.begun = 100.0
        for now, seconds in ((100, 10), (104, 6), (200, 0)):
            self.assertEqual(
                seconds, pace.time_left([begun], known, 1, float(now))
            )

    def test_another_kind_tells_nothing(self) -> None:
        known = [forecast.Took(_A.COLD_MIGRATE, 1, 10, 10)]
        self.assertIsNone(pace.time_left([move('a', ram=1)], known, 1, 0.0))
