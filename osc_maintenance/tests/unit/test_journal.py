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
import datetime

import hypothesis
from hypothesis import strategies
from oslotest import base

from osc_maintenance import journal
from osc_maintenance import noting
from osc_maintenance import record
from osc_maintenance import servers
from osc_maintenance.tests.unit import scenes
from osc_maintenance import times

_IDS = strategies.uuids().map(str)
_USERS = strategies.text('0123456789abcdef', min_size=1, max_size=64)
MOVES = strategies.builds(
    journal.Move,
    verdict=strategies.sampled_from(
        ['live-migrate', 'cold-migrate', 'evacuate']
    ),
    after=strategies.integers(0, 2**31),
    users=strategies.lists(_USERS, max_size=3).map(tuple),
)
_CAUSES = strategies.text(
    strategies.characters(max_codepoint=0xFFFF, exclude_categories=['C', 'Z']),
    min_size=1,
    max_size=255,
)


def kept(*changes: dict[str, str | None]) -> dict[str, str]:
    """The metadata when these have been written one after the other."""
    merged: dict[str, str | None] = {}
    for change in changes:
        merged.update(change)
    return {k: v for k, v in merged.items() if v is not None}


def first_end(
    stayed: collections.abc.Mapping[str, str],
) -> dict[str, str | None]:
    """What is noted at the end, where nothing was noted before."""
    return noting.ended(journal.Journal(), stayed)


class TestNotes(base.BaseTestCase):
    @hypothesis.given(
        strategies.dictionaries(_IDS, MOVES, max_size=3),
        strategies.dictionaries(_IDS, MOVES, max_size=3),
        strategies.dictionaries(_IDS, _CAUSES, max_size=3),
    )
    def test_there_and_back(
        self,
        moves: dict[str, journal.Move],
        returns: dict[str, journal.Move],
        stayed: dict[str, str],
    ) -> None:
        begun = kept(noting.started(journal.Journal(), moves))
        expected = journal.Journal(journal.STARTED, moves=moves)
        self.assertEqual(expected, journal.decode(begun))
        done = kept(
            {**begun},
            first_end(stayed),
            noting.returning(returns, scenes.NOW, brings_back=False),
        )
        expected = journal.Journal(
            journal.ENDED,
            returning=True,
            return_noted=scenes.NOW,
            moves=moves,
            returns=returns,
            stayed=stayed,
        )
        self.assertEqual(expected, journal.decode(done))
        for key, value in done.items():
            self.assertTrue(key.startswith('maintenance:'))
            # these are not the record's, which removes what it does not know
            self.assertFalse(key.startswith(record.PREFIXES))
            self.assertNotIn(key, record.KEYS)
            self.assertTrue(len(key) <= 255 and 0 < len(value) <= 255)

    def test_in_words(self) -> None:
        move = journal.Move('live-migrate', 7, ('u1', 'u2'))
        self.assertEqual(
            {
                'maintenance:drain': 'started',
                'maintenance:move:web': 'live-migrate 7 u1 u2',
            },
            noting.started(journal.Journal(), {'web': move}),
        )
        self.assertEqual(
            {'maintenance:drain': 'ended', 'maintenance:stayed:web': 'full'},
            first_end({'web': 'full'}),
        )

    def test_a_new_beginning(self) -> None:
        old = journal.Journal(
            journal.ENDED,
            moves={'db': journal.Move('live-migrate', 3)},
            stayed={'web': 'no room', 'db': 'locked'},
        )
        changes = noting.started(old, {})
        # why servers stayed is no longer so; what has moved is
        self.assertEqual(
            {
                'maintenance:drain': 'started',
                'maintenance:stayed:web': None,
                'maintenance:stayed:db': None,
            },
            changes,
        )
        again = journal.decode(kept(first_end(old.stayed), changes))
        self.assertEqual(journal.Journal(journal.STARTED), again)

    def test_who_goes_on_with_it(self) -> None:
        for changes, ended, by_apply in (
            ({}, False, False),
            (noting.started(journal.Journal(), {}), False, False),
            (
                noting.started(journal.Journal(), {}, how=journal.BY_APPLY),
                False,
                True,
            ),
            (first_end({}), True, False),
            ({'maintenance:drain': 'x'}, False, False),
            ({'maintenance:drain': 'ended '}, False, False),
        ):
            with self.subTest(changes=changes):
                found = journal.decode(kept({**changes}))
                self.assertEqual(
                    (ended, by_apply), (found.ended, found.by_apply)
                )

    def test_what_apply_waits_for(self) -> None:
        since = datetime.datetime(2026, 11, 20, 6, tzinfo=datetime.UTC)
        begun = noting.started(journal.Journal(), {}, how=journal.BY_APPLY)
        idle = noting.idle(
            journal.Journal(stayed={'db': 'locked'}), {'web': 'busy'}, since
        )
        self.assertEqual(
            {
                'maintenance:idle_since': '2026-11-20T06:00:00Z',
                'maintenance:stayed:web': 'busy',
                'maintenance:stayed:db': None,
            },
            idle,
        )
        found = journal.decode(kept(begun, idle))
        self.assertTrue(found.by_apply)
        self.assertEqual(since, found.idle_since)
        # whatever comes next, it is no longer so
        for changes, stayed in (
            (noting.moving(found), {}),
            (noting.started(found, {}), {}),
            (noting.ended(found, {'web': 'gone'}), {'web': 'gone'}),
        ):
            after = journal.decode(kept(begun, idle, changes))
            self.assertIsNone(after.idle_since)
            self.assertEqual(stayed, after.stayed)
        self.assertEqual({}, noting.moving(journal.Journal()))

    def test_the_way_back(self) -> None:
        move = journal.Move('live-migrate', 9, ('u1',))
        changes = noting.returning(
            {'web': move}, scenes.NOW, brings_back=False
        )
        self.assertEqual(
            {
                'maintenance:return': times.format_time(scenes.NOW),
                'maintenance:return:web': 'live-migrate 9 u1',
            },
            changes,
        )
        found = journal.decode(kept(changes))
        self.assertEqual(
            journal.Journal(
                returning=True,
                return_noted=scenes.NOW,
                returns={'web': move},
            ),
            found,
        )
        # a drain that begins takes the way back back, whoever has ended it
        for ended in ({}, {'maintenance:return': None}):
            found = journal.decode(kept(changes, {**ended}))
            begun = noting.started(found, {})
            again = journal.decode(kept(changes, {**ended}, begun))
            self.assertEqual(journal.Journal(journal.STARTED), again)

    def test_causes_are_made_storable(self) -> None:
        changes = noting.ended(
            journal.Journal(), {'web': 'a\x1b[2J\n' + 'x' * 300}
        )
        told = str(changes['maintenance:stayed:web'])
        self.assertEqual(255, len(told))
        self.assertTrue(told.isprintable())

    def test_what_is_not_of_it_is_left_alone(self) -> None:
        for key in ('maintenance:reason', 'maintenance:server:a', 'move:a'):
            found = journal.decode({key: 'live-migrate 7'})
            self.assertEqual(journal.Journal(), found)

    def test_what_is_the_id_of_no_server(self) -> None:
        for word in ('', '..', '../flavors', 'a/b', 'a?b', 'x' * 65, 'a\n'):
            found = journal.decode(
                {
                    f'maintenance:move:{word}': 'live-migrate 3 u',
                    f'maintenance:return:{word}': 'live-migrate 3 u',
                    f'maintenance:stayed:{word}': 'no room',
                    f'maintenance:told:{word}': 'true',
                }
            )
            self.assertEqual(journal.Journal(), found, repr(word))

    def test_what_is_written_again_is_fit_for_it(self) -> None:
        told = journal.decode(
            {
                'maintenance:stopped:a': 'by x\x1b[2J alice',
                'maintenance:move:a': 'live-migrate 7 x\x1b[2J',
                'maintenance:return:a': 'x\x1b[2J 7 alice',
            }
        )
        self.assertEqual({'a': ('alice',)}, told.stopped)
        self.assertEqual(({}, {}), (told.moves, told.returns))

    def test_damaged_values(self) -> None:
        for value, move in (
            ('', None),
            ('live-migrate', None),
            ('live-migrate x', None),
            ('live-migrate  7', None),
            ('live-migrate 7', journal.Move('live-migrate', 7)),
            ('live-migrate 7 ', journal.Move('live-migrate', 7)),
            ('evacuate 7  u1', journal.Move('evacuate', 7, ('u1',))),
            ('teleport 7', journal.Move('teleport', 7)),
        ):
            with self.subTest(value=value):
                found = journal.decode({'maintenance:move:web': value})
                expected = {'web': move} if move else {}
                self.assertEqual(expected, found.moves)

    @hypothesis.given(
        strategies.dictionaries(
            strategies.sampled_from(
                [
                    'maintenance:drain',
                    'maintenance:return',
                    'maintenance:move:a',
                    'maintenance:move:',
                    'maintenance:stayed:a',
                    'maintenance:idle_since',
                    'maintenance:reason',
                    'drain',
                ]
            ),
            strategies.text(),
        )
    )
    def test_any_metadata_is_read(self, metadata: dict[str, str]) -> None:
        found = journal.decode(metadata)
        self.assertLessEqual(found.moves.keys(), {'a', ''})
        self.assertLessEqual(found.stayed.keys(), {'a'})
        self.assertIs('maintenance:return' in metadata, found.returning)


class TestMove(base.BaseTestCase):
    def test_which_migration_it_is(self) -> None:
        for number, user, users, expected in (
            (6, 'u1', ('u1',), False),
            (7, 'u1', ('u1',), False),
            (8, 'u1', ('u1',), True),
            (8, 'u2', ('u1', 'u2'), True),
            (8, 'u3', ('u1', 'u2'), False),
            # an older Nova, or rights that do not show it
            (8, None, ('u1',), True),
            (7, None, ('u1',), False),
            # nobody was known when it was noted
            (8, 'u3', (), True),
            (7, 'u3', (), False),
        ):
            with self.subTest(number=number, user=user, users=users):
                found = servers.Migration(
                    number, 'web', servers.LIVE_MIGRATION, 'done', user=user
                )
                move = journal.Move('live-migrate', 7, users)
                self.assertIs(expected, move.is_of(found))

    def test_who_has_tried_it(self) -> None:
        move = journal.Move('live-migrate', 7)
        for user, users in (
            ('a', ('a',)),
            ('b', ('a', 'b')),
            # the latest comes last
            ('a', ('b', 'a')),
            ('c', ('b', 'a', 'c')),
            ('d', ('a', 'c', 'd')),
            ('a', ('c', 'd', 'a')),
        ):
            move = move.again('cold-migrate', user)
            self.assertEqual(journal.Move('cold-migrate', 7, users), move)

    @hypothesis.given(MOVES, _USERS)
    def test_a_note_of_it_always_fits(
        self, move: journal.Move, user: str
    ) -> None:
        again = move.again('cold-migrate', user)
        changes = noting.started(journal.Journal(), {'web': again})
        self.assertLessEqual(len(str(changes['maintenance:move:web'])), 255)
        self.assertEqual(user, again.users[-1])
