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

"""The seconds in which nothing moves, and more is about to."""

import datetime
import typing

from oslotest import base

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance.drain import pace
from osc_maintenance.drain import settle
from osc_maintenance import journal
from osc_maintenance import lull
from osc_maintenance import noting
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance import state
from osc_maintenance.tests.unit import scenes
from osc_maintenance.tests.unit import test_state_drain

S = state.State
NOW = scenes.NOW
WEB, DB = scenes.server('web'), scenes.server('db')
MOVES = {
    f'{name}-id': journal.Move('live-migrate', 5) for name in ('web', 'db')
}
STARTED = noting.started(journal.Journal(), MOVES)
RETURNING = noting.returning(
    MOVES, NOW - datetime.timedelta(minutes=1), brings_back=False
)
drained = test_state_drain.drained


def seconds(count: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=count)


def ended(
    server: str, ago: float | None, status: str, **fields: typing.Any
) -> servers.Migration:
    """A migration off the host that ended so many seconds ago."""
    return servers.Migration(
        id=fields.pop('id', 7),
        server=f'{server}-id',
        kind=fields.pop('kind', servers.LIVE_MIGRATION),
        status=status,
        source=fields.pop('source', 'compute1'),
        dest=fields.pop('dest', 'compute2'),
        updated=None if ago is None else NOW - seconds(ago),
    )


def back(
    server: str, ago: float, status: str, **fields: typing.Any
) -> servers.Migration:
    """The same of one that came back to the host."""
    ways = {'source': 'compute2', 'dest': 'compute1'}
    return ended(server, ago, status, **ways, **fields)


def load(
    here: tuple[servers.Server, ...] | None, *migrations: servers.Migration
) -> servers.Load:
    return servers.Load('compute1', here, migrations)


class LullTestCase(base.BaseTestCase):
    def assert_goes_on(
        self, host: compute.Host, found: servers.Load, *words: str
    ) -> None:
        """Nothing moves, and the cause says that this is no wonder."""
        standing = state.derive(host, found, NOW)
        self.assertEqual(S.MIGRATING, standing.state, str(standing))
        told = str(standing.cause)
        for word in ('nothing moves at this moment', *words):
            self.assertIn(word, told)

    def assert_error(
        self, host: compute.Host, found: servers.Load, words: str, **how: bool
    ) -> None:
        standing = state.derive(host, found, NOW, **how)
        self.assertEqual(S.ERROR, standing.state, str(standing))
        self.assertIn(words, str(standing.cause))
        self.assertNotIn('at this moment', str(standing.cause))


class TestOwnersAreTold(LullTestCase):
    def test_before_the_first_move(self) -> None:
        many = tuple(scenes.server(f'web{number}') for number in range(100))
        for notify, ago, goes_on in (
            (False, 24, True),
            (False, 26, False),
            (True, 26, True),
            (True, 74, True),
            (True, 76, False),
        ):
            request = asking.Request(
                policy=policy.Policy(policy.ALL), notify=notify
            )
            host = scenes.entered(request=request, now=NOW - seconds(ago))
            if goes_on:
                self.assert_goes_on(host, load(many), '100 servers left')
            else:
                self.assert_error(host, load(many), 'was interrupted')


class TestBetweenTwoMoves(LullTestCase):
    def test_one_has_left_and_the_next_is_about_to(self) -> None:
        host = drained(STARTED)
        for ago in (-24, -1, 0, 24):
            for status in ('completed', 'confirmed', 'done'):
                with self.subTest(ago=ago, status=status):
                    self.assert_goes_on(
                        host,
                        load((WEB,), ended('db', ago, status)),
                        '1 server left',
                        'the drain is about to go on, or was interrupted',
                        f'look again in {25 - ago} s',
                    )
        for long_ago in (-3600, -25, 25, 26, None):
            with self.subTest(ago=long_ago):
                self.assert_error(
                    host,
                    load((WEB,), ended('db', long_ago, 'completed')),
                    'the drain was interrupted, 1 server left: run set again',
                )

    def test_the_latest_one_counts(self) -> None:
        self.assert_goes_on(
            drained(STARTED),
            load(
                (WEB,),
                ended('pet', 900, 'completed', id=6),
                ended('db', 3, 'completed'),
                ended('cat', 14, 'completed', id=8),
            ),
            'look again in 22 s',
        )

    def test_a_failure_is_tried_again_after_a_pause(self) -> None:
        host = drained(STARTED)
        for status in ('error', 'failed'):
            for ago in (-99, 0, 25, 99):
                self.assert_goes_on(
                    host,
                    load((WEB,), ended('web', ago, status)),
                    f'look again in {100 - ago} s',
                )
            for ago in (-100, 100):
                self.assert_error(
                    host,
                    load((WEB,), ended('web', ago, status)),
                    'interrupted, 1 server left',
                )
        # one that has gone otherwise is not tried again
        gone = load((WEB,), ended('db', 30, 'failed'))
        self.assert_error(host, gone, 'interrupted, 1 server left')

    def test_as_long_as_a_living_drain_may_take(self) -> None:
        self.assertGreater(lull.NEXT, 2 * seconds(pace._LATEST))
        # the look that finds the end, and those that wait for its cause
        looks = (1 + settle._PATIENT) * pace._LATEST
        self.assertGreater(lull.AGAIN, seconds(settle._LONGEST_PAUSE + looks))

    def test_others_do_not_count(self) -> None:
        kept = policy.Policy(policy.ALL, exclude=frozenset(['db-id']))
        host = drained(STARTED, wanted=kept)
        for what, found in (
            ('one that stays', load((WEB, DB), ended('db', 1, 'failed'))),
            ('one that came', load((WEB,), back('web', 1, 'completed'))),
            (
                'a resize on the host',
                load((WEB,), ended('web', 1, 'confirmed', dest='compute1')),
            ),
            # that nova-compute was restarted is no end
            (
                'one that was forgotten',
                load((WEB,), ended('db', 1, 'queued')),
            ),
        ):
            with self.subTest(what):
                self.assert_error(host, found, 'interrupted, 1 server left')

    def test_a_drain_that_has_ended_starts_nothing(self) -> None:
        stayed = noting.ended(journal.Journal(), {'web-id': 'no room'})
        found = load((WEB,), ended('db', 1, 'completed'))
        self.assert_error(drained(STARTED, stayed), found, 'web-id): no room')

    def test_nor_one_that_is_known_to_be_over(self) -> None:
        found = load((WEB,), ended('db', 1, 'completed'))
        words = 'the drain was interrupted, 1 server left'
        self.assert_error(drained(STARTED), found, words, over=True)
        on_its_way = load((WEB,), ended('web', 1, 'running'))
        standing = state.derive(drained(STARTED), on_its_way, NOW, over=True)
        self.assertEqual(state.Standing(S.MIGRATING), standing)

    def test_apply_goes_on_when_it_is_run(self) -> None:
        noted = noting.started(journal.Journal(), MOVES, how=journal.BY_APPLY)
        found = load((WEB,), ended('db', 1, 'completed'))
        standing = state.derive(drained(noted), found, NOW)
        self.assertEqual(S.MIGRATING, standing.state)
        self.assertIn('at its next run', str(standing.cause))

    def test_all_have_gone(self) -> None:
        found = load((), ended('db', 1, 'completed'))
        standing = state.derive(drained(STARTED), found, NOW)
        self.assertEqual(state.Standing(S.MAINTENANCE), standing)


class TestBeforeTheFirstMove(LullTestCase):
    def test_the_maintenance_was_entered_just_now(self) -> None:
        for note in ({}, STARTED):
            for ago in (-24, 0, 24):
                self.assert_goes_on(
                    drained(note, ago=seconds(ago)),
                    load((WEB,)),
                    '1 server left',
                    f'look again in {25 - ago} s',
                )
            for ago in (-25, 25):
                self.assert_error(
                    drained(note, ago=seconds(ago)),
                    load((WEB,)),
                    'interrupted, 1 server left',
                )

    def test_or_was_entered_later_than_it_was_planned(self) -> None:
        window = asking.Request(
            start=NOW, policy=policy.Policy(policy.ALL), end=NOW + scenes.HOUR
        )
        planned = scenes.entered(request=window, now=NOW - scenes.HOUR)
        steps = change.to_set(planned, asking.Request(), 'bob', NOW)
        self.assert_goes_on(scenes.after(planned, *steps), load((WEB,)))

    def test_nobody_goes_on(self) -> None:
        just_now = seconds(0)
        nothing = drained(wanted=policy.NOTHING, ago=just_now)
        for host, here in ((nothing, (WEB,)), (drained(ago=just_now), ())):
            standing = state.derive(host, load(here), NOW)
            self.assertEqual(state.Standing(S.MAINTENANCE), standing)
        stayed = noting.ended(journal.Journal(), {'web-id': 'no room'})
        self.assert_error(
            drained(stayed, ago=just_now), load((WEB,)), 'web-id): no room'
        )
        self.assert_error(
            drained(STARTED, ago=just_now),
            load((WEB,)),
            'interrupted, 1 server left',
            over=True,
        )


class TestUnconfirmed(LullTestCase):
    def test_a_living_drain_confirms(self) -> None:
        host, cold = drained(STARTED), {'kind': servers.COLD_MIGRATION}
        for here, words in (
            ((), '1 to be confirmed, and'),
            ((WEB,), '1 to be confirmed, 1 server left, and'),
        ):
            self.assert_goes_on(
                host, load(here, ended('db', 24, 'finished', **cold)), words
            )
            for over, ago in ((False, 25), (True, 1)):
                self.assert_error(
                    host,
                    load(here, ended('db', ago, 'finished', **cold)),
                    'interrupted, 1 cold migrated and not confirmed',
                    over=over,
                )

    def test_nobody_confirms_where_nothing_is_to_be_moved(self) -> None:
        host = drained(STARTED, wanted=policy.NOTHING)
        cold = ended('db', 1, 'finished', kind=servers.COLD_MIGRATION)
        self.assert_error(host, load((), cold), '"openstack server migration')


class TestReturning(LullTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.host = scenes.disabled_by_somebody(
            drained(STARTED, RETURNING), 'enabled', None
        )

    def test_one_is_back_and_the_next_is_about_to(self) -> None:
        cold = {'kind': servers.COLD_MIGRATION}
        for here in ((WEB,), None):
            for migration in (
                back('web', 24, 'completed'),
                back('web', -24, 'finished', **cold),
                back('db', 99, 'failed'),
            ):
                self.assert_goes_on(
                    self.host,
                    load(here, migration),
                    'the return is about to go on, or has just stopped',
                    'look again in ',
                )
        for migration in (
            back('web', 25, 'completed'),
            back('web', -25, 'completed'),
            back('db', 100, 'failed'),
            # the host is in use again
            back('stranger', 1, 'completed'),
            ended('web', 1, 'completed'),
        ):
            self.assert_error(
                self.host,
                load((WEB,), migration),
                'unset --return-servers again',
            )

    def test_the_first_has_no_destination_yet(self) -> None:
        for ago, goes_on in ((0, True), (24, True), (25, False), (-25, False)):
            noted = noting.returning(
                MOVES, NOW - seconds(ago), brings_back=False
            )
            host = scenes.disabled_by_somebody(
                drained(STARTED, noted), 'enabled', None
            )
            if goes_on:
                self.assert_goes_on(host, load(()), 'the return is about to')
            else:
                self.assert_error(host, load(()), 'return-servers again')

    def test_one_that_is_known_to_be_over(self) -> None:
        self.assert_error(
            self.host,
            load((WEB,), back('web', 1, 'completed')),
            'unset --return-servers again',
            over=True,
        )
        found = load((WEB,), back('db', 1, 'running'))
        standing = state.derive(self.host, found, NOW, over=True)
        self.assertEqual(state.Standing(S.MIGRATING), standing)
