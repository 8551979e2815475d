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

"""What the tests of races have in common."""

import collections.abc
import http
import itertools
import json
import threading
import typing

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import drains
from osc_maintenance.tests.functional import proxy

_WRITES = ('POST', 'PUT', 'DELETE')
_AGGREGATES = '/os-aggregates/'
#: Whether a request is the one to be held at.
Told = collections.abc.Callable[[str, str], bool]


def first_write(method: str, _path: str) -> bool:
    """Whether a request is the first one that changes something."""
    return method == 'POST'


def look_after_it(method: str, path: str) -> bool:
    """Whether a request reads the record again once it is written."""
    _, _, number = path.partition(_AGGREGATES)
    return method == 'GET' and number.isdigit()


def _writes_record(method: str, path: str) -> bool:
    _, _, what = path.partition(_AGGREGATES)
    return method == 'POST' and what.endswith('/action')


class _Watch(proxy.Fault):
    """No fault: sees what Nova says of a write."""

    def __init__(self, who: 'Operator') -> None:
        self.who = who

    def after(self, answer: proxy.Answer) -> proxy.Answer:
        self.who.is_refused = answer.status >= http.HTTPStatus.BAD_REQUEST
        return answer


class Operator:
    """Somebody whose requests can be held on their way to Nova.

    :param line: the proxy that they go through.
    :param environ: the environment of their commands.
    :param name: who it is.
    """

    def __init__(
        self, line: proxy.Proxy, environ: dict[str, str], name: str
    ) -> None:
        self.line, self.environ, self.name = line, environ, name
        #: Whether Nova has refused what they wrote last to a record.
        self.is_refused = False
        self._held, self._go_on = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        line.fault = lambda method, path: (
            _Watch(self) if _writes_record(method, path) else None
        )

    def hold(self, told: Told) -> None:
        """Hold the first request like that before Nova hears of it."""
        self._held.clear()
        self._go_on.clear()

        def hook(method: str, path: str) -> None:
            with self._lock:
                first = not self._held.is_set() and told(method, path)
                if first:
                    self._held.set()
            if first and not self._go_on.wait(forked.SECONDS):
                raise AssertionError(f'{self.name} is held for ever')

        self.line.before = hook

    def hold_at_write(self, number: int) -> None:
        """Hold the write with that number, from now on."""
        # two may come at once
        writes = itertools.count(1)
        self.hold(
            lambda method, _path: method in _WRITES and next(writes) == number
        )

    def is_held(self, command: forked.Command) -> bool:
        """Wait until a command of theirs is held; False if it ends before."""
        while not self._held.wait(0.05):
            if command.code is not None:
                return self._held.is_set()
        return True

    def release(self) -> None:
        """Let the request go on."""
        self._go_on.set()


class Order:
    """In which order requests of several operators were dealt with.

    :param everybody: the operators, whose requests may be held.
    """

    def __init__(self, everybody: collections.abc.Iterable[Operator]) -> None:
        #: When they first asked what had become of what they wrote.
        self._looked: dict[str, int] = {}
        #: When their last change of a record was answered.
        self._wrote: dict[str, int] = {}
        self._count = itertools.count()
        for who in everybody:
            self._watch(who)

    def _watch(self, who: Operator) -> None:
        held = who.line.before

        def before(method: str, path: str) -> None:
            held(method, path)
            reads = method == 'GET' and _AGGREGATES in f'{path}/'
            if reads and who.name in self._wrote:
                self._looked.setdefault(who.name, next(self._count))

        def after(method: str, path: str) -> None:
            if _writes_record(method, path):
                self._wrote[who.name] = next(self._count)

        who.line.before, who.line.after = before, after

    def could_see(self, who: Operator, other: Operator) -> bool:
        """Whether somebody looked when all that another wrote was written."""
        return self._wrote[other.name] < self._looked[who.name]


class RacesTestCase(drains.DrainTestCase):
    """A test with operators who get in each other's way."""

    def setUp(self) -> None:
        super().setUp()
        self.ann, self.ben = map(self.operator, ('admin', 'project-admin'))

    def operator(self, account: str | accounts.Account) -> Operator:
        """An operator, with an account that may be that of a cloud."""
        if isinstance(account, str):
            account = accounts.ACCOUNTS[account]
        line = self.useFixture(proxy.Proxy(self.cloud.urls['compute']))
        environ = {
            **self.cloud.environ_of_variables(account),
            'OS_COMPUTE_ENDPOINT_OVERRIDE': f'{line.url}/v2.1',
        }
        made = Operator(line, environ, account.user)
        self.addCleanup(made.release)
        return made

    def going(self, who: Operator, *command: str) -> forked.Command:
        """Start ``openstack host maintenance`` as an operator."""
        return self.start(
            *('host', 'maintenance', *command, '-f', 'json'),
            environ=who.environ,
        )

    def does(self, who: Operator, *command: str) -> forked.Answer:
        """Run ``openstack host maintenance`` as an operator, to its end."""
        answer = self.going(who, *command).end()
        self.assertNotIn('Traceback', answer.stderr)
        return answer

    def done(self, who: Operator, *command: str) -> typing.Any:
        """The same, which has to succeed; the answer."""
        answer = self.does(who, *command)
        self.assert_succeeds(answer)
        return json.loads(answer.stdout)

    def does_well(self, who: Operator, *command: str) -> forked.Answer:
        """The same, whatever it says on the way."""
        answer = self.does(who, *command)
        self.assertEqual(0, answer.code, str(answer))
        return answer

    def assert_succeeds(self, answer: forked.Answer) -> None:
        """A command has succeeded, and had nothing to say about it."""
        self.assertEqual((0, ''), (answer.code, answer.stderr), str(answer))

    def between(
        self,
        who: Operator,
        number: int,
        command: tuple[str, ...],
        act: collections.abc.Callable[[], object],
    ) -> forked.Answer | None:
        """Something happens just before a write of a command; its answer.

        :param number: which write; None is returned if there are fewer.
        """
        who.hold_at_write(number)
        going = self.going(who, *command)
        if not who.is_held(going):
            return None
        act()
        who.release()
        answer = going.end()
        self.assertNotIn('Traceback', answer.stderr)
        return answer

    def hold_all_at(
        self,
        everybody: collections.abc.Sequence[Operator],
        going: collections.abc.Sequence[forked.Command],
        *told: Told,
    ) -> None:
        """Let nobody go on with such a request before all ask for it.

        Nova may fail a write where two come at once: who looks after that
        writes again, and goes on to do it.

        :param going: their commands, once they are started; who has ended is
            not waited for.
        :param told: such requests, one after the other.
        """
        arrived: list[set[str]] = [set() for _ in told]

        def ended() -> int:
            return sum(command.code is not None for command in going)

        def hold(who: Operator) -> None:
            left = list(enumerate(told))

            def hook(method: str, path: str) -> None:
                if who.is_refused:
                    return
                if left and left[0][1](method, path):
                    number, _ = left.pop(0)
                    arrived[number].add(who.name)
                    operations.wait_for(
                        'all are there',
                        lambda: (
                            len(arrived[number]) + ended() >= len(everybody)
                        ),
                        forked.SECONDS,
                        every=0.02,
                    )

            who.line.before = hook

        for who in everybody:
            who.is_refused = False
            hold(who)

    def take_turns(
        self, everybody: collections.abc.Iterable[Operator]
    ) -> None:
        """Let Nova carry out what they write to a record one by one.

        It removes keys one by one, and then writes all values at once: of two
        that contradict each other it may leave both, and each of them writes
        again. Whoever is done before the other one does is told nothing.
        """
        turn = threading.Lock()

        def wait(who: Operator) -> None:
            held, answered = who.line.before, who.line.after

            def before(method: str, path: str) -> None:
                held(method, path)
                if _writes_record(method, path):
                    turn.acquire()

            def after(method: str, path: str) -> None:
                answered(method, path)
                if _writes_record(method, path):
                    turn.release()

            who.line.before, who.line.after = before, after

        for who in everybody:
            wait(who)

    def record(self, host: str) -> dict[str, str]:
        """What is recorded, without the prefix; empty if nothing is."""
        aggregate = self.aggregate(host)
        metadata = aggregate['metadata'] if aggregate else {}
        return {
            key.removeprefix('maintenance:'): value
            for key, value in metadata.items()
        }
