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

"""Several who set one host at the same time, in any order of what Nova does.

Each of them is a thread, and one at a time goes on, in the order of a clock of
their own: so a seed tells all that happens.
"""

import collections.abc
import dataclasses
import functools
import heapq
import itertools
import random
import threading
import time
import typing
from unittest import mock

from oslotest import base

from osc_maintenance import asking
from osc_maintenance import compute
from osc_maintenance import maintenance
from osc_maintenance import parallel
from osc_maintenance import policy
from osc_maintenance import record
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes
from osc_maintenance import upheld

NOW, HOUR = scenes.NOW, scenes.HOUR
_SEEDS = 250
#: How many seconds a request is on its way, and how many Nova takes between
#: what it removes of a record and what it writes, at most.
_WAYS, _BUSY = (0.02, 0.1, 0.5), (0.02, 0.3, 0.6, 1.0)
#: Within how many seconds they begin.
_SPREADS = (0.05, 0.5, 2.0)
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


_T = typing.TypeVar('_T')


class Turns:
    """Threads that take turns, each for as long as it does not wait."""

    def __init__(self) -> None:
        self.now = 0.0
        self._queue: list[tuple[float, int, threading.Event]] = []
        self._count = itertools.count()
        self._mine = threading.local()
        self._waits = threading.Semaphore(0)

    def wait(self, seconds: float) -> None:
        """Let the others go on for so many seconds."""
        mine: threading.Event = self._mine.event
        mine.clear()
        self._come(seconds, mine)
        self._waits.release()
        mine.wait()

    def _come(self, seconds: float, event: threading.Event) -> None:
        entry = (self.now + seconds, next(self._count), event)
        heapq.heappush(self._queue, entry)

    def run(
        self,
        acts: collections.abc.Iterable[collections.abc.Callable[[], None]],
    ) -> None:
        """Run all to their ends."""
        for act in acts:
            event = threading.Event()
            threading.Thread(target=self._whole, args=(act, event)).start()
            self._come(0.0, event)
        while self._queue:
            self.now, _, event = heapq.heappop(self._queue)
            event.set()
            self._waits.acquire()

    def _whole(
        self, act: collections.abc.Callable[[], None], event: threading.Event
    ) -> None:
        self._mine.event = event
        event.wait()
        try:
            act()
        finally:
            self._waits.release()


class BusyNova(fakes.Nova):
    """One that takes its time, between what it removes and adds as well."""

    def __init__(
        self, turns: Turns, chance: random.Random, host: compute.Host
    ) -> None:
        super().__init__(host)
        self._turns, self._chance = turns, chance
        self._way, self._busy = chance.choice(_WAYS), chance.choice(_BUSY)
        #: when a record was last written to, and by which thread
        self.written: list[tuple[float, int]] = []
        #: when a thread has looked at it last
        self.looked: dict[int, float] = {}

    def _travel(self) -> None:
        self._turns.wait(self._chance.uniform(0.005, self._way))

    def aggregate(self, aggregate: compute.Aggregate) -> compute.Aggregate:
        return self._looking(lambda: fakes.Nova.aggregate(self, aggregate))

    def aggregates(self) -> dict[str, compute.Aggregate]:
        return self._looking(lambda: fakes.Nova.aggregates(self))

    def _looking(self, look: collections.abc.Callable[[], _T]) -> _T:
        self._travel()
        self.looked[threading.get_ident()] = self._turns.now
        found = look()
        self._travel()
        return found

    def write_record(
        self, aggregate: compute.Aggregate, changes: dict[str, str | None]
    ) -> compute.Aggregate | None:
        self._travel()
        # the answer is what it was, and what is written
        loaded = fakes.Nova.aggregate(self, aggregate)
        for removes in (True, False):
            part = {
                key: value
                for key, value in changes.items()
                if (value is None) is removes
            }
            self.written.append((self._turns.now, threading.get_ident()))
            super().write_record(aggregate, part)
            if removes:
                self._turns.wait(self._chance.uniform(0, self._busy))
        self._travel()
        metadata = {
            key: value
            for key, value in {**loaded.metadata, **changes}.items()
            if value is not None
        }
        return dataclasses.replace(loaded, metadata=metadata)

    def claim(self, host: str) -> compute.Aggregate | None:
        self._travel()
        return super().claim(host)

    def add_host(
        self, aggregate: compute.Aggregate, host: str
    ) -> compute.Aggregate | None:
        self._travel()
        return super().add_host(aggregate, host)

    def service(self, host: str) -> compute.Service | None:
        self._travel()
        return super().service(host)

    def set_service(
        self, service: compute.Service, wanted: record.ServiceStatus
    ) -> compute.Service | None:
        self._travel()
        return super().set_service(service, wanted)


@dataclasses.dataclass
class Operator:
    """Somebody who says something.

    :ivar told: what they are told that it is not as they have said.
    """

    user: str
    word: asking.Request
    thread: int = 0
    told: str | None = None
    error: Exception | None = None

    def set(self, nova: fakes.Nova) -> None:
        """Say it."""
        self.thread = threading.get_ident()
        clients = fakes.Clients()
        clients.nova, clients.user = nova, self.user
        try:
            host = maintenance.set_(
                fakes.real(clients), 'compute1', self.word, NOW
            )
            self.told = upheld.by_others(host.record, self.word)
        except Exception as exc:
            self.error = exc


def _said(host: compute.Host) -> record.Record:
    """What the record says, but for who has written it and when."""
    assert host.record is not None
    return dataclasses.replace(host.record, id='', set_by=None, set_at=None)


class TestInterleaved(base.BaseTestCase):
    def _race(self, seed: int) -> None:
        chance = random.Random(seed)
        turns = Turns()
        start = chance.choice(
            (scenes.host(), scenes.planned(), scenes.entered())
        )
        nova = BusyNova(turns, chance, start)
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
        alike = chance.choice((True, False))
        everybody = [
            Operator('alice' if alike else f'user{number}', word)
            for number, word in enumerate(words)
        ]

        def act(who: Operator) -> None:
            turns.wait(chance.uniform(0, chance.choice(_SPREADS)))
            who.set(nova)

        with (
            mock.patch.object(time, 'sleep', turns.wait),
            mock.patch.object(parallel, 'start', _at_once),
        ):
            turns.run([functools.partial(act, who) for who in everybody])
        what = f'{seed}: {nova.hosts} {everybody}'
        found = _said(nova.hosts['compute1'])
        self.assertEqual((), found.problems, what)
        self.assertIn(found, list(_serial(start, words)), what)
        for who in everybody:
            self.assertIsNone(who.error, what)
            if upheld.by_others(found, who.word) and not who.told:
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


def _at_once(
    function: collections.abc.Callable[[], typing.Any],
) -> typing.Any:
    """Instead of a thread, which would have no turn."""
    return mock.Mock(result=mock.Mock(return_value=function()))


def _serial(
    start: compute.Host, words: collections.abc.Iterable[asking.Request]
) -> collections.abc.Iterator[record.Record]:
    """What the record says if they come one after the other."""
    for order in itertools.permutations(words):
        nova = fakes.Nova(start)
        for word in order:
            Operator('alice', word).set(nova)
        yield _said(nova.hosts['compute1'])
