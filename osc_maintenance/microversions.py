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

"""What Nova gives from some microversion on, and what holds without. Pure."""

import collections.abc
import enum
import typing

Version = tuple[int, int]


class Matter(enum.Enum):
    """What a command may rest on, by the microversion that brought it."""

    COLD_TARGETS = (2, 56)
    GROUP_LIMITS = (2, 64)
    CELLS = (2, 69)
    LOCKS = (2, 73)
    REQUESTERS = (2, 80)
    EVACUATED = (2, 95)
    ZONES = (2, 96)


class _Gap(typing.NamedTuple):
    """What is not given, and what is done or taken for true instead."""

    what: str
    instead: str


_GAPS = {
    Matter.COLD_TARGETS: _Gap(
        'a cold migration to a chosen host', 'such moves fail'
    ),
    Matter.GROUP_LIMITS: _Gap(
        'how many of an anti-affinity server group may be on one host',
        'one is assumed',
    ),
    Matter.CELLS: _Gap(
        'whether a cell is down',
        'if this one is, the host has a compute service all the same',
    ),
    Matter.LOCKS: _Gap('why a server is locked', 'no reason is shown'),
    Matter.REQUESTERS: _Gap(
        'who has asked for a migration',
        'the actions of its server are asked, and what they do not tell is '
        'left alone',
    ),
    Matter.EVACUATED: _Gap(
        'an evacuation that leaves servers stopped',
        'those that ran start again at once',
    ),
    Matter.ZONES: _Gap(
        'which availability zone a server is pinned to', 'none is assumed'
    ),
}


def lacking(
    version: Version, matters: collections.abc.Container[Matter]
) -> str | None:
    """What Nova does not give, of what matters, in words.

    :param version: the negotiated microversion.
    :param matters: what the command rests on.
    :returns: one line for people to read; None if nothing is lacking.
    """
    gaps = '; '.join(
        f'{gap.what} ({_told(matter.value)}): {gap.instead}'
        for matter, gap in _GAPS.items()
        if matter in matters and version < matter.value
    )
    if not gaps:
        return None
    return f'This Nova (API {_told(version)}) does not give {gaps}'


def _told(version: Version) -> str:
    return '.'.join(map(str, version))
