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

"""Cases, what came of them, and the table. Pure."""

import collections.abc
import dataclasses
import enum
import itertools
import typing


class Kind(enum.StrEnum):
    """What happens to a request."""

    #: the client is killed, and the request does not arrive
    KILL_BEFORE = 'kill-before'
    #: the client is killed, and what it asked for is done
    KILL_AFTER = 'kill-after'
    #: the connection is reset, and the request does not arrive
    RESET_BEFORE = 'reset-before'
    #: the connection is reset, and what was asked for is done
    RESET_AFTER = 'reset-after'
    #: answers that the service has no part in
    ERROR = '500'
    UNAVAILABLE = '503'
    TOO_MANY = '429'
    UNAUTHORIZED = '401'
    CONFLICT = '409'
    #: it is done, and half of the answer comes
    CUT_SHORT = 'cut-short'
    #: it is done, and the answer is a page for people
    NOT_JSON = 'not-json'
    #: it is done, and the gateway before the service has given up
    GATEWAY = '504-after'
    #: it is done, and no answer comes until the client gives up
    SILENCE = 'silence'

    @property
    def status(self) -> int | None:
        """The HTTP status of an answer that the service has no part in."""
        return int(self.value) if self.value.isdigit() else None

    @property
    def kills(self) -> bool:
        """Whether the client does not live to tell."""
        return self in (Kind.KILL_BEFORE, Kind.KILL_AFTER)


@dataclasses.dataclass(frozen=True)
class Case:
    """A fault at one request of a command.

    :ivar command: which of the commands of the campaign.
    :ivar request: the request's number, from 1.
    :ivar kind: what happens to it.
    """

    command: str
    request: int
    kind: Kind

    def __str__(self) -> str:
        return f'{self.command}:{self.request}:{self.kind}'

    @classmethod
    def parse(cls, told: str) -> 'Case':
        """A case from what stands for it.

        :raises ValueError: nothing does.
        """
        command, number, kind = told.split(':')
        return cls(command, int(number), Kind(kind))


def of_command(
    command: str, requests: int, every: int = 1
) -> collections.abc.Iterator[Case]:
    """Every fault at every request of a command.

    :param command: the command.
    :param requests: how many requests it makes.
    :param every: only one case of so many; requests take turns.
    :returns: the cases.
    """
    found = itertools.product(enumerate(Kind), range(requests))
    for number, ((turn, kind), request) in enumerate(found):
        if number % every == 0:
            yield Case(command, (request + turn) % requests + 1, kind)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What came of a case.

    :ivar case: the case.
    :ivar reached: whether the command made so many requests.
    :ivar request: the request that was hit.
    :ivar wrong: what was wrong; nothing, if it converged.
    :ivar said: what the command said, and how it ended.
    :ivar seconds: how long it took.
    """

    case: Case
    reached: bool
    request: str
    wrong: tuple[str, ...]
    said: str
    seconds: float

    @property
    def result(self) -> str:
        """In a word."""
        if self.wrong:
            return 'wrong'
        return 'converged' if self.reached else 'not reached'

    def __str__(self) -> str:
        lines = [f'{self.result}: --case {self.case}  ({self.request})']
        lines += [f'    {item}' for item in self.wrong]
        lines += [f'    | {line}' for line in self.said.splitlines()]
        return '\n'.join(lines)

    def as_dict(self) -> dict[str, typing.Any]:
        """For programs."""
        return {
            'case': str(self.case),
            'result': self.result,
            'request': self.request,
            'wrong': [*self.wrong],
            'said': self.said,
            'seconds': round(self.seconds, 1),
        }


def table(
    verdicts: collections.abc.Iterable[Verdict],
    requests: collections.abc.Mapping[str, int],
) -> str:
    """How many cases there were of each command, and what came of them.

    :param verdicts: the verdicts.
    :param requests: how many requests each command makes.
    """
    columns = (
        *('command', 'requests', 'cases', 'converged', 'wrong'),
        'not reached',
    )
    results = ('converged', 'wrong', 'not reached')
    found = list(verdicts)
    rows: list[tuple[str, list[int]]] = []
    for command, number in requests.items():
        of = [v.result for v in found if v.case.command == command]
        counts = [of.count(result) for result in results]
        rows.append((command, [number, len(of), *counts]))
    sums = [sum(column) for column in zip(*(r[1] for r in rows), strict=True)]
    head = '{:<12} {:>8} {:>6} {:>9} {:>6} {:>12}'
    lines = [head.format(name, *of) for name, of in (*rows, ('all', sums))]
    return '\n'.join([head.format(*columns), *lines])
