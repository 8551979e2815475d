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

"""What drains have noted beside the record: nothing is kept on the client.

It is metadata of the host's aggregate as well. Which servers this maintenance
moves is noted before the first of them does, so it can be told afterwards
which moves were ours, by whoever asks; why a server stayed is noted at the
end. Anybody with the rights may have written it, so nothing is trusted.
"""

import collections.abc
import dataclasses
import datetime

from osc_maintenance import record
from osc_maintenance import servers
from osc_maintenance import text
from osc_maintenance import times

DRAIN_KEY = record.AGGREGATE_PREFIX + 'drain'
RETURN_KEY = record.AGGREGATE_PREFIX + 'return'
BACK_PREFIX = record.AGGREGATE_PREFIX + 'return:'
EVACUATING_KEY = record.AGGREGATE_PREFIX + 'evacuating'
MOVE_PREFIX = record.AGGREGATE_PREFIX + 'move:'
STAYED_PREFIX = record.AGGREGATE_PREFIX + 'stayed:'
TOLD_PREFIX = record.AGGREGATE_PREFIX + 'told:'
STOPPED_PREFIX = record.STOPPED
IDLE_KEY = record.AGGREGATE_PREFIX + 'idle_since'
#: Somebody moves the servers, or was interrupted.
STARTED = 'started'
#: ``apply`` moves the servers, step by step.
BY_APPLY = 'apply'
#: Nothing was left to try.
ENDED = 'ended'
_EVACUATE, _COLD = 'evacuate', 'cold-migrate'
#: What is said of a maintenance that ends once its servers are back.
SERVERS = 'servers'
#: How many users fit into a note.
_USERS = 3


def beside(users: tuple[str, ...], user: str) -> tuple[str, ...]:
    """Those who have done something, and one more, as far as a note has room.

    :param users: their ids, the latest last.
    :param user: the id of one more; empty if it is not known.
    :returns: the ids then.
    """
    if not user:
        return users
    others = [item for item in users if item != user]
    return (*others[1 - _USERS :], user)


@dataclasses.dataclass(frozen=True)
class Move:
    """That a maintenance moves a server away.

    Nova's numbers of migrations only grow, so the latest one that there was
    tells which are later, whatever the clocks say.

    :ivar verdict: how: ``live-migrate``, ``cold-migrate`` or ``evacuate``.
    :ivar after: the number of the host's latest migration at that time.
    :ivar users: the ids of those who have moved it, or tried to.
    """

    verdict: str
    after: int
    users: tuple[str, ...] = ()

    @property
    def evacuated(self) -> bool:
        """Whether the server is rebuilt elsewhere, as its host is dead."""
        return self.verdict == _EVACUATE

    def is_of(self, migration: servers.Migration) -> bool:
        """Whether a migration of the server is this move.

        :param migration: a migration of that server away from the host.
        :returns: whether it came later and was asked for by one of us.
        """
        if migration.id <= self.after:
            return False
        return (
            migration.user is None
            or not self.users
            or (migration.user in self.users)
        )

    @classmethod
    def first(
        cls,
        verdict: str,
        latest: int,
        reused: servers.Migration | None,
    ) -> 'Move':
        """A move that nobody has noted yet.

        :param verdict: how.
        :param latest: the number of the host's latest migration.
        :param reused: the record that Nova takes for it, if there is one.
        """
        if reused is None or verdict != _COLD:
            return cls(verdict, latest)
        users = (reused.user,) if reused.user else ()
        return cls(verdict, reused.id - 1, users)

    def again(self, verdict: str, user: str) -> 'Move':
        """The same move, tried by somebody."""
        return Move(verdict, self.after, beside(self.users, user))


@dataclasses.dataclass(frozen=True)
class Journal:
    """What has been noted about the drain of one host.

    :ivar drain: how far the drain is: :data:`STARTED`, :data:`BY_APPLY` or
        :data:`ENDED`; empty if there was none.
    :ivar returning: the maintenance is about to end, or its servers are on
        their way back.
    :ivar brings_back: this is so because somebody brings its servers back,
        and not just ends the maintenance.
    :ivar return_noted: when it was last noted that they come; None if that is
        not known.
    :ivar moves: the servers that this maintenance moves, by id.
    :ivar returns: those of them that it moves back, by id.
    :ivar stayed: why servers stayed, by id.
    :ivar stopped: who has stopped servers for this maintenance, or tried to,
        by the ids of the servers; nobody where that is not known.
    :ivar told: the ids of servers whose owners have been told, and may have
        to be told that it is over.
    :ivar evacuating: who evacuates the host; empty if nobody does.
    :ivar idle_since: when ``apply`` was first able to start nothing, while
        nothing moved; None if that is not so.
    """

    drain: str = ''
    returning: bool = False
    brings_back: bool = False
    return_noted: datetime.datetime | None = None
    moves: collections.abc.Mapping[str, Move] = dataclasses.field(
        default_factory=dict
    )
    returns: collections.abc.Mapping[str, Move] = dataclasses.field(
        default_factory=dict
    )
    stayed: collections.abc.Mapping[str, str] = dataclasses.field(
        default_factory=dict
    )
    stopped: collections.abc.Mapping[str, tuple[str, ...]] = dataclasses.field(
        default_factory=dict
    )
    told: frozenset[str] = frozenset()
    evacuating: str = ''
    idle_since: datetime.datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether a drain has ended, and nothing was left to try."""
        return self.drain == ENDED

    @property
    def by_apply(self) -> bool:
        """Whether ``apply`` has begun the drain, and goes on with it."""
        return self.drain == BY_APPLY

    def has_cold(self, migration: servers.Migration, host: str) -> bool:
        """Whether a migration is a cold one of this maintenance.

        :param migration: a migration from or to the host.
        :param host: the host's name.
        """
        noted = self.moves if migration.source == host else self.returns
        move = noted.get(migration.server)
        return (
            migration.kind == servers.COLD_MIGRATION
            and move is not None
            and move.is_of(migration)
        )

    def abandoned(self, load: servers.Load) -> str | None:
        """What nobody confirms once these notes are gone.

        :param load: what is on its way from and to the host.
        :returns: what to do about it, for people to read; None if there is
            nothing.
        """
        going = {item.id for item in (*load.out, *load.coming)}
        left = sorted(
            item.server
            for item in servers.latest(load.migrations).values()
            if (item.id in going or item.unconfirmed)
            and self.has_cold(item, load.host)
        )
        if not left:
            return None
        return (
            f'{len(left)} cold migrated and not confirmed, which nobody does '
            'once the maintenance is over: "openstack server migration '
            'confirm" or "revert" them when they have moved: '
            f'{", ".join(left)}'
        )


def decode(metadata: collections.abc.Mapping[str, str]) -> Journal:
    """What drains have noted, as far as it can be read.

    :param metadata: the metadata of an aggregate ``maintenance:<host>``.
    :returns: the journal.
    """
    moves, returns, stayed, stopped, told = {}, {}, {}, {}, set()
    for key, value in metadata.items():
        if not text.is_id(key.rpartition(':')[2]):
            # not the ID of a server, whoever wrote it
            continue
        if key.startswith(STAYED_PREFIX):
            stayed[key.removeprefix(STAYED_PREFIX)] = value
        elif key.startswith(MOVE_PREFIX) and (move := _move(value)):
            moves[key.removeprefix(MOVE_PREFIX)] = move
        elif key.startswith(BACK_PREFIX) and (move := _move(value)):
            returns[key.removeprefix(BACK_PREFIX)] = move
        elif key.startswith(STOPPED_PREFIX):
            # they are written again, with whoever stops it next
            stopped[key.removeprefix(STOPPED_PREFIX)] = tuple(
                filter(str.isprintable, value.split()[1:])
            )
        elif key.startswith(TOLD_PREFIX):
            told.add(key.removeprefix(TOLD_PREFIX))
    return Journal(
        drain=metadata.get(DRAIN_KEY, ''),
        evacuating=metadata.get(EVACUATING_KEY, ''),
        idle_since=_time(metadata.get(IDLE_KEY, '')),
        returning=RETURN_KEY in metadata,
        brings_back=SERVERS in metadata.get(RETURN_KEY, '').split(),
        return_noted=_time(metadata.get(RETURN_KEY, '').partition(' ')[0]),
        moves=moves,
        returns=returns,
        stayed=stayed,
        stopped=stopped,
        told=frozenset(told),
    )


def _move(value: str) -> Move | None:
    verdict, *rest = value.split(' ')
    if not value.isprintable():
        return None
    try:
        return Move(verdict, int(rest[0]), tuple(filter(None, rest[1:])))
    except (IndexError, ValueError):
        return None


def _time(value: str) -> datetime.datetime | None:
    try:
        return times.parse_iso_8601(value)
    except ValueError:
        return None


def replaced(
    known: collections.abc.Mapping[str, Move],
    noted: collections.abc.Mapping[str, str],
    user: str,
) -> dict[str, Move]:
    """Notes of somebody that those of a colleague have replaced.

    :param known: what is noted now, by the ids of the servers.
    :param noted: which servers they have noted to move, and how.
    :param user: their id.
    :returns: what is to be noted of these servers.
    """
    return {
        server: known[server].again(verdict, user)
        for server, verdict in noted.items()
        if user and server in known and user not in known[server].users
    }
