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
import typing

import hypothesis
from hypothesis import strategies
from oslotest import base

from osc_maintenance import policy
from osc_maintenance import servers

WEB = servers.Server('web', 'web', project='alpha')
LOCKED = dataclasses.replace(WEB, locked=True)
STOPPED = dataclasses.replace(WEB, vm_state='stopped', status='SHUTOFF')
KEEP = {'maintenance:policy': 'keep'}
KEPT = dataclasses.replace(WEB, said=KEEP)
WITH_REASON = dataclasses.replace(LOCKED, locked_reason='by \x1b alice')
_IDS = strategies.frozensets(strategies.uuids().map(str), max_size=3)
_HOSTS = strategies.from_regex('[a-z][a-z0-9.-]{0,62}', fullmatch=True)
POLICIES = strategies.builds(
    policy.Policy,
    migrate=strategies.sampled_from(policy.CHOICES),
    only=_IDS,
    projects=_IDS,
    exclude=_IDS,
    locked=strategies.booleans(),
    pinned=strategies.booleans(),
    stop=strategies.booleans(),
    strict=strategies.booleans(),
    target=strategies.none() | _HOSTS,
)


def ids(*words: str) -> frozenset[str]:
    return frozenset(words)


class TestLeaves(base.BaseTestCase):
    def test_the_table(self) -> None:
        for server, expected, fields in (
            (WEB, None, {'migrate': 'active'}),
            (WEB, None, {'migrate': 'all'}),
            (WEB, 'no server', {'migrate': 'none'}),
            (WEB, 'no server', {'migrate': 'none', 'only': ids('web')}),
            (WEB, 'excluded', {'exclude': ids('web', 'db')}),
            (WEB, 'excluded', {'exclude': ids('web'), 'only': ids('web')}),
            (WEB, None, {'exclude': ids('db')}),
            (WEB, None, {'only': ids('web', 'db')}),
            (WEB, 'not one of the servers', {'only': ids('db')}),
            (WEB, None, {'projects': ids('alpha', 'beta')}),
            (WEB, 'not of a project', {'projects': ids('beta')}),
            # both have to be so
            (WEB, 'not one', {'only': ids('db'), 'projects': ids('alpha')}),
            (WEB, 'project', {'only': ids('web'), 'projects': ids('beta')}),
            (STOPPED, None, {'migrate': 'all'}),
            (STOPPED, 'does not run (SHUTOFF)', {'migrate': 'active'}),
            (LOCKED, 'locked (--include-locked moves it)', {}),
            (LOCKED, None, {'locked': True}),
            (WITH_REASON, 'locked: by \x1b alice (', {}),
            (LOCKED, 'locked', {'only': ids('web')}),
            (KEPT, 'kept by its owner', {}),
            (KEPT, 'kept by its owner', {'only': ids('web')}),
            (KEPT, 'excluded', {'exclude': ids('web')}),
            (dataclasses.replace(LOCKED, said=KEEP), 'locked', {}),
            # what it uses of its host is looked at elsewhere
            (WEB, None, {'pinned': False}),
            (WEB, None, {'target': 'compute7'}),
        ):
            with self.subTest(server=server, fields=fields):
                chosen: dict[str, typing.Any] = {'migrate': 'all', **fields}
                found = policy.Policy(**chosen).leaves(server)
                if expected is None:
                    self.assertIsNone(found)
                else:
                    self.assertIn(expected, str(found))

    def test_nothing_has_to_go_by_default(self) -> None:
        self.assertIsNotNone(policy.NOTHING.leaves(WEB))

    def test_who_is_kept_by_the_owner_alone(self) -> None:
        for server, chosen, kept in (
            (KEPT, policy.Policy(policy.ALL), True),
            (WEB, policy.Policy(policy.ALL), False),
            (KEPT, policy.NOTHING, False),
            (KEPT, policy.Policy('all', exclude=ids('web')), False),
            (dataclasses.replace(LOCKED, said=KEEP), policy.NOTHING, False),
        ):
            self.assertIs(kept, chosen.kept(server), f'{server} {chosen}')


class TestMovesAs(base.BaseTestCase):
    def test_whether_it_says_the_same_of_a_drain(self) -> None:
        known = policy.Policy(policy.ALL)
        for other, expected in (
            (known, True),
            (policy.Policy(policy.ALL, strict=True), True),
            (policy.Policy(policy.ACTIVE), False),
            (policy.Policy(policy.ALL, only=frozenset(['a'])), False),
            (policy.Policy(policy.ALL, exclude=frozenset(['a'])), False),
            (policy.Policy(policy.ALL, projects=frozenset(['p'])), False),
            (policy.Policy(policy.ALL, locked=True), False),
            (policy.Policy(policy.ALL, pinned=True), False),
            (policy.Policy(policy.ALL, target='c'), False),
        ):
            with self.subTest(other=other):
                self.assertIs(expected, known.moves_as(other))
                self.assertIs(expected, other.moves_as(known))


class TestRecorded(base.BaseTestCase):
    @hypothesis.given(POLICIES)
    def test_there_and_back(self, value: policy.Policy) -> None:
        hypothesis.assume(not value.only & value.exclude)
        values = policy.encode(value)
        self.assertEqual((value, {}), policy.decode(values))
        for key, stored in values.items():
            # Nova's limit, with our prefix before the key
            self.assertLessEqual(len('maintenance:' + key), 255)
            self.assertTrue(0 < len(stored) <= 255)

    def test_in_words(self) -> None:
        value = policy.Policy(
            'active',
            ids('a'),
            ids('p'),
            ids('b'),
            locked=True,
            pinned=True,
            stop=True,
            strict=True,
            target='compute7',
        )
        values = policy.encode(value)
        self.assertRegex(values.pop('choice'), '^[0-9a-f]{8}$')
        self.assertEqual(
            {
                'migrate': 'active',
                'include_locked': 'true',
                'include_pinned': 'true',
                'stop_unmovable': 'true',
                'strict': 'true',
                'target_host': 'compute7',
                'server:a': 'only',
                'server:b': 'exclude',
                'project:p': 'only',
            },
            values,
        )
        self.assertEqual({'migrate': 'none'}, policy.encode(policy.NOTHING))

    def test_which_choice_it_is(self) -> None:
        choices = {
            policy.encode(value)['choice']
            for value in (
                policy.Policy('all'),
                policy.Policy('active'),
                policy.Policy('all', exclude=ids('a')),
                policy.Policy('all', only=ids('a')),
                policy.Policy('all', only=ids('a')),
            )
        }
        self.assertEqual(4, len(choices))
        # who does not choose leaves it as it is, or as an earlier version has
        for kept in ({'choice': '3f9a1c2e'}, {}):
            values = {'migrate': 'all', **kept}
            found, _wrong = policy.decode(values)
            self.assertEqual(values, policy.encode(found))

    def test_damaged_values(self) -> None:
        sound = policy.encode(
            policy.Policy(
                'all',
                ids('a'),
                ids('p'),
                ids('b'),
                locked=True,
                pinned=True,
                stop=True,
                strict=True,
                target='c',
            )
        )
        self.assertEqual({}, policy.decode(sound)[1])
        for key, value in (
            ('migrate', 'some'),
            ('migrate', ''),
            ('migrate', None),
            ('include_locked', 'false'),
            ('include_locked', ''),
            ('include_pinned', 'True'),
            ('strict', 'yes'),
            ('target_host', ''),
            ('server:a', 'exclude it'),
            ('server:c', ''),
            ('project:p', 'exclude'),
            ('project:', 'only'),
            ('project:..', 'only'),
            ('server:', 'only'),
            ('server:../x', 'exclude'),
            ('project:q', ''),
        ):
            with self.subTest(key=key, value=value):
                values = {**sound, key: value or ''}
                if value is None:
                    del values[key]
                found, wrong = policy.decode(values)
                what = 'is missing' if value is None else f'is {value!r}'
                self.assertEqual({key: what}, wrong)
                # no server is moved that was not to be moved
                self.assertEqual(policy.NOTHING, found)

    def test_all_that_is_wrong_is_told(self) -> None:
        values = {'include_locked': '1', 'server:a': '?', 'target_host': ''}
        _found, wrong = policy.decode(values)
        self.assertEqual({*values, 'migrate'}, wrong.keys())

    def test_what_is_not_of_a_policy_is_left_alone(self) -> None:
        values = {'migrate': 'all', 'reason': 'x', 'move:a': 'live-migrate 7'}
        self.assertEqual((policy.Policy('all'), {}), policy.decode(values))

    @hypothesis.given(
        strategies.dictionaries(
            strategies.sampled_from(
                [*policy.KEYS, 'server:a', 'server:', 'project:a', 'x']
            ),
            strategies.sampled_from(['true', 'all', 'only', 'exclude', ''])
            | strategies.text(),
        )
    )
    def test_any_values_are_read(self, values: dict[str, str]) -> None:
        found, wrong = policy.decode(values)
        self.assertLessEqual(wrong.keys(), values.keys() | {'migrate'})
        if wrong:
            self.assertEqual(policy.NOTHING, found)
        else:
            known = policy.encode(found)
            self.assertEqual(
                known, {k: v for k, v in values.items() if k in known}
            )
