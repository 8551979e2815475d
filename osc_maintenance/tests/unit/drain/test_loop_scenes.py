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

"""Any scene: the drain ends, and tells the truth."""

import dataclasses
import typing

import hypothesis
from hypothesis import strategies as st

from osc_maintenance.drain import loop
from osc_maintenance.drain import options
from osc_maintenance.nova import answers
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import simulation
from osc_maintenance.tests.unit.drain import test_loop_base as base

_FAILS = ('', 'no host', 'pre', 'copy', 'driver', 'post', 'spawn', 'hang')
_ANSWERS = ('ok', 'ok', '409', '400', 'lost', 'dropped')


@dataclasses.dataclass(frozen=True)
class Guest:
    """A server of a scene.

    :ivar moved: what somebody else has begun with it, 3 seconds before.
    :ivar deleted: when its owner deletes it.
    :ivar arrives: when it comes, if not from the beginning.
    """

    vm_state: str
    ram: int
    seconds: float
    scheduling: float
    fails: tuple[str, ...]
    answers: tuple[str, ...]
    abortable: bool
    apart: bool
    moved: str | None
    deleted: float | None
    arrives: float


GUESTS = st.builds(
    Guest,
    vm_state=st.sampled_from(('active', 'active', 'paused', 'stopped')),
    ram=st.sampled_from((512, 1024, 4096)),
    seconds=st.sampled_from((0.2, 2, 9, 40)),
    scheduling=st.sampled_from((0.3, 2)),
    fails=st.lists(st.sampled_from(_FAILS), max_size=3).map(tuple),
    answers=st.lists(st.sampled_from(_ANSWERS), max_size=3).map(tuple),
    abortable=st.booleans(),
    apart=st.booleans(),
    moved=st.sampled_from(
        (None, None, None, servers.LIVE_MIGRATION, servers.RESIZE)
    ),
    deleted=st.none() | st.floats(0, 60),
    arrives=st.sampled_from((0.0, 0.0, 0.0, 15.0)),
)
HOW = st.fixed_dictionaries(
    {
        'max_parallel': st.integers(1, 4),
        'retries': st.integers(0, 2),
        'on_timeout': st.sampled_from(options.OnTimeout),
    }
)
OUTAGES = st.lists(
    st.tuples(st.floats(0.5, 60), st.floats(0, 90)).map(
        lambda found: (found[0], found[0] + found[1])
    ),
    max_size=2,
)


class TestScenes(base.LoopTestCase):
    @hypothesis.settings(deadline=None, max_examples=150)
    @hypothesis.given(
        guests=st.lists(GUESTS, min_size=1, max_size=7),
        how=HOW,
        outages=OUTAGES,
        limit=st.sampled_from((1, 9)),
    )
    def test_it_ends_within_its_limits_and_tells_the_truth(
        self,
        guests: list[Guest],
        how: dict[str, typing.Any],
        outages: list[tuple[float, float]],
        limit: float,
    ) -> None:
        world = self.world = simulation.World(limit)
        world.end = 1500
        for number, guest in enumerate(guests):
            self.place(f'web{number}', guest)
        apart = tuple(
            f'web{number}' for number, item in enumerate(guests) if item.apart
        )
        world.groups = [answers.Group('g1', 'g', 'anti-affinity', 1, apart)]
        world.advance(3)
        others = {r.migration.id: r.migration.server for r in world.rows}
        drain = self.drain(server_timeout=30, **how)
        world.outages = [(3 + start, 3 + end) for start, end in outages]
        drain.run()
        self.assertIs(loop.Ending.COMPLETE, drain.loop.ending)
        self.check_limits(drain, guests, others, apart)
        known = {move.server.id for move in drain.loop.moves}
        here = {
            item.id for item in world.guests.values() if item.host == base.HOST
        }
        # what comes just after the last look is nobody's to know
        here -= {
            f'web{number}'
            for number, item in enumerate(guests)
            if item.arrives and world.now < 3 + item.arrives + 0.2
        }
        self.assertEqual(set(), here - known)
        world.advance(world.now + 90)
        for move in drain.loop.moves:
            self.check_outcome(move.server.id, move.outcome.value, others)

    @hypothesis.settings(deadline=None, max_examples=60)
    @hypothesis.given(
        servers_=st.lists(
            st.tuples(
                st.sampled_from(('active', 'stopped')),
                st.sampled_from((4, 12)),
                st.sampled_from((0.05, 0.4)),
            ),
            min_size=1,
            max_size=6,
        ),
        # how many events each of them has before it is the other's turn
        turns=st.lists(st.integers(1, 3), min_size=1, max_size=12),
        users=st.sampled_from((('alice', 'alice'), ('alice', 'bob'))),
        parallel=st.integers(1, 3),
        limit=st.sampled_from((1, 9)),
    )
    def test_two_at_once_move_each_server_once(
        self,
        servers_: list[tuple[str, float, float]],
        turns: list[int],
        users: tuple[str, str],
        parallel: int,
        limit: float,
    ) -> None:
        world = self.world = simulation.World(limit)
        names = [f'web{number}' for number in range(len(servers_))]
        for name, item in zip(names, servers_, strict=True):
            vm_state, seconds, unseen = item
            world.add(name, vm_state=vm_state)
            world.script(name, seconds=seconds, unseen=unseen)
        drains = [self.drain(user, max_parallel=parallel) for user in users]
        self.together(*drains, turns=turns)
        # a confirmed migration is recorded just before its server is done
        world.advance(world.now + 1)
        self.check_gone(*names)
        self.check_in_motion(parallel)
        self.assertEqual(len(names), len(world.rows))
        for drain in drains:
            told = set(drain.outcomes().values())
            self.assertLessEqual(told, {'moved', 'left'})

    def place(self, name: str, guest: Guest) -> None:
        """A server of the scene, and what will be done to it."""
        world = self.world
        world.script(
            name,
            seconds=guest.seconds,
            scheduling=guest.scheduling,
            fails=list(guest.fails),
            answers=list(guest.answers),
            abortable=guest.abortable,
        )

        def arrive() -> None:
            world.add(name, vm_state=guest.vm_state, ram=guest.ram)

        if guest.arrives:
            world.at(3 + guest.arrives, arrive)
        else:
            arrive()
        if guest.deleted is not None:
            moment = 3 + guest.arrives + guest.deleted
            world.at(moment, lambda: world.delete(name))
        if guest.moved and not guest.arrives:
            if guest.vm_state != 'active':
                world.set(name, vm_state='active', status='ACTIVE')
            world.begin(name, guest.moved, 'bob')

    def check_limits(
        self,
        drain: base.Drain,
        guests: list[Guest],
        others: dict[int, str],
        apart: tuple[str, ...],
    ) -> None:
        world, how = self.world, drain.options
        for moment, ids in world.motion:
            if moment > 3 and not ids.intersection(others.values()):
                self.assertLessEqual(len(ids), how.max_parallel)
                self.assertLessEqual(len(ids.intersection(apart)), 1)
        for number in range(len(guests)):
            ours = [
                row
                for row in world.rows
                if row.migration.server == f'web{number}'
                and row.migration.id not in others
            ]
            # one that somebody else has begun in vain is no try of ours
            self.assertLessEqual(len(ours), 1 + how.retries)

    def check_outcome(
        self, name: str, outcome: str, others: dict[int, str]
    ) -> None:
        guest = self.world.guests.get(name)
        if guest is None:
            # what it had come to before does not matter any more
            return
        rows = [r for r in self.world.rows if r.migration.server == name]
        theirs = rows and rows[-1].migration.id in others
        match outcome:
            case 'moved':
                self.assertNotEqual(base.HOST, guest.host)
                self.assertIn(guest.status, ('ACTIVE', 'PAUSED', 'SHUTOFF'))
            case 'failed':
                if guest.host != base.HOST:
                    self.assertIn(guest.status, ('ERROR',))
            case 'left':
                self.assertTrue(theirs)
                self.assertEqual('VERIFY_RESIZE', guest.status)
            case 'moving':
                # it was given up, and goes on
                self.assertTrue(rows)
            case 'waiting' | 'blocked':
                self.assertEqual(base.HOST, guest.host)
            case other:
                self.fail(f'{name}, which is there, is {other}')
