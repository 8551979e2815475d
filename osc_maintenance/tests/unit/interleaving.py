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

"""Several who work on one host at once, in any order of what Nova does.

Each of them is a thread, and one at a time goes on, in the order of a clock of
their own: so a seed tells all that happens.
"""

import collections.abc
import dataclasses
import datetime
import functools
import heapq
import itertools
import random
import threading
import time
import typing
from unittest import mock

from osc_lib import exceptions

from osc_maintenance import apply
from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import clients as clients_
from osc_maintenance import compute
from osc_maintenance import maintenance
from osc_maintenance.nova import api
from osc_maintenance import parallel
from osc_maintenance import record
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes
from osc_maintenance import upheld

#: How many seconds a request is on its way, and how many Nova takes between
#: what it removes of a record and what it writes, at most.
_WAYS, _BUSY = (0.02, 0.1, 0.5), (0.02, 0.3, 0.6, 1.0)
#: What somebody who is alone may be told.
_REFUSALS = (asking.RefusedError, exceptions.CommandError)
#: Within how many seconds they begin.
_SPREADS = (0.05, 0.5, 2.0)

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

    def _asked(self, answer: collections.abc.Callable[[], _T]) -> _T:
        self._travel()
        found = answer()
        self._travel()
        return found

    def _looked(self, look: collections.abc.Callable[[], _T]) -> _T:
        def answer() -> _T:
            self.looked[threading.get_ident()] = self._turns.now
            return look()

        return self._asked(answer)

    def service(self, host: str) -> compute.Service | None:
        return self._asked(lambda: fakes.Nova.service(self, host))

    def services(self) -> list[compute.Service]:
        return self._asked(lambda: fakes.Nova.services(self))

    def aggregate(self, aggregate: compute.Aggregate) -> compute.Aggregate:
        return self._looked(lambda: fakes.Nova.aggregate(self, aggregate))

    def aggregates(self) -> dict[str, compute.Aggregate]:
        return self._looked(lambda: fakes.Nova.aggregates(self))

    def claim(self, host: str) -> compute.Aggregate | None:
        return self._asked(lambda: fakes.Nova.claim(self, host))

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

    def add_host(
        self, aggregate: compute.Aggregate, host: str
    ) -> compute.Aggregate | None:
        return self._asked(lambda: fakes.Nova.add_host(self, aggregate, host))

    def remove_host(
        self, aggregate: compute.Aggregate, host: str
    ) -> compute.Aggregate | None:
        return self._asked(
            lambda: fakes.Nova.remove_host(self, aggregate, host)
        )

    def delete(self, aggregate: compute.Aggregate) -> None:
        self._asked(lambda: fakes.Nova.delete(self, aggregate))

    def set_service(
        self, service: compute.Service, wanted: record.ServiceStatus
    ) -> compute.Service | None:
        return self._asked(
            lambda: fakes.Nova.set_service(self, service, wanted)
        )

    def _step(
        self, aggregate: compute.Aggregate, step: change.Step
    ) -> compute.Aggregate | None:
        host = record.aggregate_host(aggregate.name)
        members = fakes.Nova.aggregate(self, aggregate).hosts
        if (isinstance(step, change.RemoveHost) and host not in members) or (
            isinstance(step, change.DeleteAggregate) and members
        ):
            raise api.OvertakenError(f'{aggregate.name}: HTTP 404 or 400')
        return super()._step(aggregate, step)


#: What somebody does, at a time; returns what they are told, if anything.
Act = collections.abc.Callable[
    [clients_.Clients, datetime.datetime], str | None
]


def setting(word: asking.Request) -> Act:
    """``set``, which tells what is not as they have said."""

    def act(clients: clients_.Clients, now: datetime.datetime) -> str | None:
        host = maintenance.set_(clients, 'compute1', word, now)
        return upheld.by_others(host.record, word)

    return act


def unset(clients: clients_.Clients, now: datetime.datetime) -> None:
    """``unset``."""
    del now
    maintenance.unset(clients, 'compute1')


def clearing(what: str) -> Act:
    """``unset`` of one property."""

    def act(clients: clients_.Clients, now: datetime.datetime) -> None:
        maintenance.clear(clients, 'compute1', frozenset((what,)), now)

    return act


def applied(clients: clients_.Clients, now: datetime.datetime) -> str | None:
    """``apply --unset-overdue``, which tells why it has failed."""
    rows = apply.apply(
        clients, unset_overdue=True, max_parallel=1, now=lambda: now
    )
    failed = [row['cause'] for row in rows if row['action'] == 'failed']
    return str(failed) if failed else None


@dataclasses.dataclass
class Operator:
    """Somebody who does something.

    :ivar told: what they are told.
    """

    user: str
    act: Act
    now: datetime.datetime
    thread: int = 0
    told: str | None = None
    error: Exception | None = None

    def run(self, nova: fakes.Nova) -> None:
        """Do it."""
        self.thread = threading.get_ident()
        clients = fakes.Clients()
        clients.nova, clients.user = nova, self.user
        try:
            self.told = self.act(fakes.real(clients), self.now)
        except Exception as exc:
            self.error = exc


def race(
    chance: random.Random,
    start: compute.Host,
    acts: collections.abc.Iterable[Act],
    now: datetime.datetime = scenes.NOW,
) -> tuple[BusyNova, list[Operator]]:
    """Have several act at the same time.

    :param chance: what is left to it.
    :param start: the host as they find it.
    :param acts: what they do.
    :param now: when, in UTC.
    :returns: Nova, and who has done what, in the order of ``acts``.
    """
    turns = Turns()
    nova = BusyNova(turns, chance, start)
    alike = chance.choice((True, False))
    everybody = [
        Operator('alice' if alike else f'user{number}', act, now)
        for number, act in enumerate(acts)
    ]

    def run(who: Operator) -> None:
        turns.wait(chance.uniform(0, chance.choice(_SPREADS)))
        who.run(nova)

    with (
        mock.patch.object(time, 'sleep', turns.wait),
        mock.patch.object(random, 'uniform', chance.uniform),
        mock.patch.object(parallel, 'start', at_once),
    ):
        turns.run([functools.partial(run, who) for who in everybody])
    return nova, everybody


def serial(
    start: compute.Host,
    acts: collections.abc.Iterable[Act],
    now: datetime.datetime = scenes.NOW,
) -> collections.abc.Iterator[compute.Host]:
    """What the host is if they come one after the other, in any order."""
    for order in itertools.permutations(acts):
        nova = fakes.Nova(start)
        for act in order:
            alone = Operator('alice', act, now)
            alone.run(nova)
            if alone.error and not isinstance(alone.error, _REFUSALS):
                raise alone.error
        yield nova.hosts['compute1']


def at_once(
    function: collections.abc.Callable[[], typing.Any],
) -> typing.Any:
    """Instead of a thread, which would have no turn."""
    try:
        result = mock.Mock(return_value=function())
    except Exception as exc:
        result = mock.Mock(side_effect=exc)
    return mock.Mock(result=result)
