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

"""What was measured in clouds of several sizes, and what it has to be."""

import dataclasses
import itertools
import typing

from osc_maintenance.tests import costs

_MOST_RATIO, _MOST_MEMORY = 1.5, 150
#: A drain that waits looks once more, or less, in the same time.
_NOISE = 0.1


@dataclasses.dataclass(frozen=True)
class Figures:
    """What a command cost.

    :ivar reports: how many hosts, servers or moves it reports.
    :ivar nova: requests to Nova.
    :ivar placement: requests to Placement.
    :ivar cost: its seconds, CPU seconds and MiB.
    :ivar bare: seconds of the same requests without us; 0 if it writes.
    :ivar ratio: its seconds by these, between neighbours; 0 if it writes.
    """

    reports: int
    nova: int
    placement: int
    cost: costs.Cost
    bare: float = 0.0
    ratio: float = 0.0


#: Figures by number of hosts and command.
Sizes = dict[int, dict[str, Figures]]


def line(command: str, size: int, figures: Figures) -> str:
    """What a command cost in a cloud of that size, as people read it."""
    f = figures
    bare = f'{f.bare:7.2f} {f.ratio:6.2f}' if f.bare else f'{"-":>7} {"-":>6}'
    return (
        f'{command:<30} {size:>5} {f.reports:>8} {f.nova:>6} '
        f'{f.placement:>9} {f.cost.wall:>8.2f} {bare} {f.cost.cpu:>6.2f} '
        f'{f.cost.memory:>5.0f}'
    )


def table(figures: Sizes) -> str:
    """The figures as people read them."""
    most = max(figures)
    commands, last = list(figures[most]), figures[most]
    memory = max(found.cost.memory for found in last.values())
    return '\n'.join(
        (
            f'{"command":<30} hosts  reports   Nova Placement  seconds'
            '    bare  ratio  cpu s   MiB',
            *(
                line(command, size, figures[size][command])
                for command in commands
                for size in figures
            ),
            '',
            'for each that is reported, from size to size: requests, '
            'milliseconds, CPU milliseconds',
            *(_growth(command, figures) for command in commands),
            '',
            f'to reach: list of {most} in {_MOST_RATIO} times the bare '
            f'requests: {last["list"].ratio:.2f};',
            f'less than {_MOST_MEMORY} MiB: {memory:.0f}; no more for each '
            'that is reported, from size to size',
        )
    )


def _growth(command: str, figures: Sizes) -> str:
    """What each one more costs, between neighbouring sizes."""
    return f'{command:<30} ' + ' | '.join(
        f'{requests:7.2f} {wall * 1000:7.1f} {cpu * 1000:6.1f}'
        for requests, wall, cpu in _rates(command, figures)
    )


def _rates(command: str, figures: Sizes) -> list[tuple[float, float, float]]:
    """Requests, seconds and CPU seconds for each one more."""
    found = [figures[size][command] for size in figures]
    rates = []
    for less, more in itertools.pairwise(found):
        each = max(more.reports - less.reports, 1)
        requests = _requests(more) - _requests(less)
        wall = more.cost.wall - less.cost.wall
        cpu = more.cost.cpu - less.cost.cpu
        rates.append((requests / each, wall / each, cpu / each))
    return rates


def _requests(figures: Figures) -> int:
    return figures.nova + figures.placement


def broken(figures: Sizes) -> list[str]:
    """What is not as it has to be, for people to read.

    Seconds of a command alone say more of the machine than of the command.

    :param figures: by number of hosts and command.
    :returns: a line for each bound that is broken.
    """
    last = max(figures)
    found = []
    ratio = figures[last]['list'].ratio
    if ratio > _MOST_RATIO:
        found.append(
            f'list of {last} hosts took {ratio:.2f} times as long as the bare '
            f'requests, and not {_MOST_RATIO} at most'
        )
    found += [
        f'{command} of {size} hosts took {f.cost.memory:.0f} MiB, and not '
        f'less than {_MOST_MEMORY}'
        for size, commands in figures.items()
        for command, f in commands.items()
        if f.cost.memory >= _MOST_MEMORY
    ]
    for command, largest in figures[last].items():
        smallest = figures[min(figures)][command]
        grown = _requests(largest) - _requests(smallest)
        if smallest.reports == largest.reports and grown > 0:
            found.append(
                f'{command} makes {grown} more requests in a cloud of {last} '
                f'hosts than of {min(figures)}, and reports no more'
            )
            continue
        rates = [requests for requests, *_times in _rates(command, figures)]
        if max(rates) > rates[0] + _NOISE:
            told = ', '.join(f'{rate:.2f}' for rate in rates)
            found.append(
                f'{command} makes more requests for each that is reported, '
                f'the larger the cloud: {told}'
            )
    return found


def as_json(figures: Sizes) -> dict[int, dict[str, typing.Any]]:
    """The figures for programs."""
    return {
        size: {name: dataclasses.asdict(f) for name, f in found.items()}
        for size, found in figures.items()
    }
