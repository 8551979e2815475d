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

"""Several who set, unset or apply at the same time."""

import dataclasses
import datetime
import random

from oslotest import base

from osc_maintenance import asking
from osc_maintenance import compute
from osc_maintenance import policy
from osc_maintenance import record
from osc_maintenance.tests.unit import interleaving
from osc_maintenance.tests.unit import scenes
from osc_maintenance import upheld

NOW, HOUR = scenes.NOW, scenes.HOUR
_SEEDS = 250
#: No two say the same, so that it can be seen whose word it is.
_WORDS = (
    asking.Request(end=NOW + 7 * HOUR, policy=policy.Policy(policy.ALL)),
    asking.Request(end=NOW + 8 * HOUR),
    asking.Request(end=NOW + 9 * HOUR, reason='kernel'),
    asking.Request(duration=5 * HOUR),
    asking.Request(removal=True, reason='sold', ticket_url='https://t/1'),
    asking.Request(start=NOW + 2 * HOUR),
    asking.Request(start=NOW + 3 * HOUR, end=NOW + 10 * HOUR),
    asking.Request(reason='firmware'),
    asking.Request(reason='disk'),
    asking.Request(ticket_url='https://t/2'),
    asking.Request(policy=policy.Policy('all', exclude=frozenset('a'))),
    asking.Request(policy=policy.Policy('all', exclude=frozenset('b'))),
    asking.Request(policy=policy.Policy('active', exclude=frozenset('b'))),
    asking.Request(notify=True),
    asking.Request(notify=False),
)


def _said(host: compute.Host) -> record.Record | None:
    """What the record says, but for who has written it and when."""
    return host.record and dataclasses.replace(
        host.record, id='', set_by=None, set_at=None
    )


def _end(host: compute.Host) -> tuple[object, ...]:
    """How a host has ended up, whatever the id of its maintenance."""
    members = host.aggregate and host.aggregate.hosts
    return _said(host), members, host.ours, bool(host.mark)


class TestSets(base.BaseTestCase):
    def _race(self, seed: int) -> None:
        chance = random.Random(seed)
        start = chance.choice(
            (scenes.host(), scenes.planned(), scenes.entered())
        )
        words = chance.sample(_WORDS, chance.choice((2, 3, 4)))
        if start.record is None and chance.choice((True, False)):
            words = [
                dataclasses.replace(word, start=word.start or NOW + HOUR)
                for word in words
                # which counts from the start that is recorded in the end
                if not word.duration
            ]
        elif not (start.record and not start.record.entered):
            words = [dataclasses.replace(word, start=None) for word in words]
        acts = list(map(interleaving.setting, words))
        nova, everybody = interleaving.race(chance, start, acts)
        what = f'{seed}: {nova.hosts} {everybody}'
        found = _said(nova.hosts['compute1'])
        assert found is not None
        self.assertEqual((), found.problems, what)
        ends = list(map(_said, interleaving.serial(start, acts)))
        self.assertIn(found, ends, what)
        for word, who in zip(words, everybody, strict=True):
            self.assertIsNone(who.error, what)
            if upheld.by_others(found, word) and not who.told:
                # done before somebody else wrote
                last = nova.looked[who.thread]
                self.assertTrue(
                    any(
                        moment > last and thread != who.thread
                        for moment, thread in nova.written
                    ),
                    what,
                )

    def test_the_end_is_that_of_one_serial_order(self) -> None:
        for seed in range(_SEEDS):
            self._race(seed)


class TestEndings(base.BaseTestCase):
    """Who ends a maintenance leaves nothing of it to who sets another one."""

    def _race(
        self,
        chance: random.Random,
        start: compute.Host,
        acts: list[interleaving.Act],
        now: datetime.datetime,
    ) -> None:
        nova, everybody = interleaving.race(chance, start, acts, now)
        what = f'{nova.hosts} {everybody}'
        # who is overtaken once too often ends with an error: not with these
        for who in everybody:
            self.assertIsNone(who.error, what)
        found = nova.hosts['compute1']
        ends = list(map(_end, interleaving.serial(start, acts, now)))
        self.assertIn(_end(found), ends, what)
        if found.record is None:
            # what it was before the maintenance
            was = start.before or (start.service and start.service.as_set)
            self.assertEqual(was, found.service and found.service.as_set, what)

    def test_set_and_unset(self) -> None:
        for seed in range(_SEEDS):
            chance = random.Random(seed)
            start = chance.choice(
                (scenes.host(), scenes.planned(), scenes.entered())
            )
            words = chance.sample(_WORDS, chance.choice((1, 2)))
            acts = [
                interleaving.setting(dataclasses.replace(word, start=None))
                for word in words
            ]
            acts.append(interleaving.unset)
            with self.subTest(seed=seed):
                self._race(chance, start, acts, NOW)

    def test_two_enter_it_beside_unset(self) -> None:
        enter = interleaving.setting(asking.Request(early=True))
        for seed in range(_SEEDS):
            with self.subTest(seed=seed):
                self._race(
                    random.Random(seed),
                    scenes.planned(),
                    [enter, interleaving.unset, enter],
                    NOW,
                )

    def test_whatever_it_is(self) -> None:
        old = asking.Request(
            end=NOW + HOUR, reason='old', ticket_url='https://t/0'
        )
        faulty = scenes.host('disabled', 'bad disk')
        starts = (
            (scenes.host(), NOW),
            (scenes.planned(), NOW),
            # due, in maintenance, and overdue
            (scenes.planned(), NOW + 4 * HOUR),
            (scenes.entered(request=old), NOW),
            (scenes.entered(request=old), NOW + 2 * HOUR),
            # somebody has disabled it before
            (faulty, NOW),
            (scenes.entered(faulty, request=old), NOW + 2 * HOUR),
        )
        for seed in range(_SEEDS):
            chance = random.Random(seed)
            start, now = chance.choice(starts)
            pool = [
                interleaving.setting(dataclasses.replace(word, start=None))
                for word in chance.sample(_WORDS, 2)
            ]
            pool += map(
                interleaving.clearing, ('reason', 'ticket_url', 'window_end')
            )
            pool += (
                interleaving.unset,
                interleaving.applied,
                interleaving.applied,
            )
            acts = chance.sample(pool, chance.choice((2, 3)))
            with self.subTest(seed=seed):
                self._race(chance, start, acts, now)
