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

"""What happens during a drain, as the loop tells it to the reports."""

import dataclasses

from osc_maintenance.drain import moves


@dataclasses.dataclass(frozen=True)
class Planned:
    """The drain begins.

    :ivar host: the host.
    :ivar moves: all servers that it knows of.
    :ivar max_parallel: how many moves are in motion at most.
    :ivar command: what continues it, behind ``openstack host maintenance``;
        empty if that is not to be said lightly.
    """

    host: str
    moves: tuple[moves.Move, ...]
    max_parallel: int
    command: str = ''


@dataclasses.dataclass(frozen=True)
class Started:
    """The move of a server was asked for."""

    move: moves.Move


@dataclasses.dataclass(frozen=True)
class Adopted:
    """A server moves that was started by somebody, or some run, else."""

    move: moves.Move


@dataclasses.dataclass(frozen=True)
class Appeared:
    """A server has come to the host since the drain began."""

    move: moves.Move


@dataclasses.dataclass(frozen=True)
class Queued:
    """Nova itself lets moves wait, as its limit for the host is lower."""

    count: int


@dataclasses.dataclass(frozen=True)
class Down:
    """Nova-compute on a host has gone down, or has come up again.

    :ivar host: the host.
    :ivar down: which of the two.
    """

    host: str
    down: bool


@dataclasses.dataclass(frozen=True)
class Confirming:
    """A cold migration is there, and is being confirmed."""

    move: moves.Move


@dataclasses.dataclass(frozen=True)
class Stopping:
    """A server is being stopped where it is."""

    move: moves.Move


@dataclasses.dataclass(frozen=True)
class Overdue:
    """A move takes longer than it may; ``move.overdue`` says what is done."""

    move: moves.Move


@dataclasses.dataclass(frozen=True)
class Ended:
    """What has become of a server is known: see ``move.outcome``."""

    move: moves.Move


@dataclasses.dataclass(frozen=True)
class Retrying:
    """A move failed or met somebody else, and is tried again.

    :ivar cause: why.
    :ivar seconds: in how many seconds.
    """

    move: moves.Move
    cause: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class Waiting:
    """Only what ends by itself is left: the drain waits for it.

    :ivar causes: for what.
    """

    causes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Trouble:
    """Nova does not answer; the drain asks again.

    :ivar cause: in the cloud's words.
    :ivar seconds: in how many seconds.
    """

    cause: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class Looked:
    """Nova was asked how far the moves are.

    :ivar moves: all servers.
    :ivar time_left: an estimate for the rest, in seconds, or None.
    """

    moves: tuple[moves.Move, ...]
    time_left: float | None = None


@dataclasses.dataclass(frozen=True)
class Finished:
    """Nothing is left to start or to wait for.

    :ivar moves: all servers.
    """

    moves: tuple[moves.Move, ...]


@dataclasses.dataclass(frozen=True)
class Unnoted:
    """That the drain has come to its end could not be noted.

    :ivar cause: why.
    :ivar lost: it is no longer to be noted, as somebody else goes on.
    """

    cause: str
    lost: bool


@dataclasses.dataclass(frozen=True)
class Interrupted:
    """The drain stops; what is in motion goes on in Nova.

    :ivar moves: what is in motion.
    :ivar cause: why it stops.
    """

    moves: tuple[moves.Move, ...]
    cause: str


Event = (
    Planned
    | Started
    | Adopted
    | Appeared
    | Queued
    | Down
    | Confirming
    | Stopping
    | Overdue
    | Ended
    | Retrying
    | Waiting
    | Trouble
    | Looked
    | Finished
    | Unnoted
    | Interrupted
)
