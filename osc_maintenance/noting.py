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

"""What commands note beside the record, as metadata to write.

:mod:`osc_maintenance.journal` reads it. Pure.
"""

import collections.abc
import datetime

from osc_maintenance import journal
from osc_maintenance import text
from osc_maintenance import times


def entered(
    old: journal.Journal, *, others: bool = False
) -> dict[str, str | None]:
    """The notes of a host that is to be in maintenance, perhaps once more.

    :param old: what is noted already.
    :param others: other servers have to go than those of the drain before.
    :returns: metadata to write: nothing is on its way back, and the drain of
        others has not ended.
    """
    changes: dict[str, str | None] = {}
    if old.returning:
        changes[journal.RETURN_KEY] = None
    if others and old.ended:
        changes |= {journal.DRAIN_KEY: None, **moving(old)}
    return changes


def ends_return(changes: collections.abc.Mapping[str, str | None]) -> bool:
    """Whether these notes take a return back.

    :param changes: metadata that is written.
    """
    return (
        journal.RETURN_KEY in changes and changes[journal.RETURN_KEY] is None
    )


def started(
    old: journal.Journal,
    moves: collections.abc.Mapping[str, journal.Move],
    *,
    how: str = journal.STARTED,
    keep: collections.abc.Container[str] = (),
) -> dict[str, str | None]:
    """The notes of a drain that begins, or has found more to do.

    :param old: what is noted already.
    :param moves: the servers that are going to be moved, by id.
    :param how: ``STARTED`` of the journal, or ``BY_APPLY`` if ``apply`` goes
        on with it, and not who has asked for it.
    :param keep: ids of servers that a return is still moving.
    :returns: metadata to write; None removes a key.
    """
    changes: dict[str, str | None] = {journal.DRAIN_KEY: how}
    changes.update(entered(old))
    changes.update(
        dict.fromkeys(
            journal.BACK_PREFIX + item
            for item in old.returns
            if item not in keep
        )
    )
    return changes | moving(old) | moved(moves)


def moved(
    moves: collections.abc.Mapping[str, journal.Move],
) -> dict[str, str | None]:
    """The notes of which servers are moved.

    :param moves: the servers, by id.
    :returns: metadata to write.
    """
    return {
        journal.MOVE_PREFIX + server: _noted(move)
        for server, move in moves.items()
    }


def _noted(move: journal.Move) -> str:
    return ' '.join((move.verdict, str(move.after), *move.users)).strip()


# the token is that of an evacuation, and no password
def ended(  # nosec B107
    old: journal.Journal,
    stayed: collections.abc.Mapping[str, str],
    token: str = '',
) -> dict[str, str | None]:
    """The notes of a drain that has come to its end.

    :param old: what is noted already.
    :param stayed: why servers stayed, by id.
    :param token: that of who evacuated the host, if it was.
    :returns: metadata to write.
    """
    changes: dict[str, str | None] = {journal.DRAIN_KEY: journal.ENDED}
    if token and old.evacuating == token:
        changes[journal.EVACUATING_KEY] = None
    return changes | moving(old) | _causes(stayed)


def idle(
    old: journal.Journal,
    stayed: collections.abc.Mapping[str, str],
    since: datetime.datetime | None,
) -> dict[str, str | None]:
    """The notes of a drain by ``apply`` that can do nothing but wait.

    :param old: what is noted already.
    :param stayed: why servers have not moved yet, by id.
    :param since: when it was first so; None if that has no end of its own.
    :returns: metadata to write.
    """
    changes = moving(old) | _causes(stayed)
    if since:
        changes[journal.IDLE_KEY] = times.format_time(since)
    return changes


def moving(old: journal.Journal) -> dict[str, str | None]:
    """The notes of a drain that moves servers, or is able to again.

    :param old: what is noted already.
    :returns: metadata to write: why servers stayed is no longer so.
    """
    changes = dict.fromkeys(
        journal.STAYED_PREFIX + item for item in old.stayed
    )
    if old.idle_since:
        changes[journal.IDLE_KEY] = None
    return changes


def _causes(
    stayed: collections.abc.Mapping[str, str],
) -> dict[str, str | None]:
    return {
        journal.STAYED_PREFIX + server: text.storable(cause)
        for server, cause in stayed.items()
    }


def returning(
    moves: collections.abc.Mapping[str, journal.Move],
    now: datetime.datetime,
    *,
    brings_back: bool,
) -> dict[str, str | None]:
    """The notes of a maintenance that is about to end.

    :param moves: the servers that are going to be moved back, by id.
    :param now: the present, in UTC.
    :param brings_back: its servers are to come back before.
    :returns: metadata to write.
    """
    what = [
        times.format_time(now),
        *([journal.SERVERS] if brings_back else []),
    ]
    changes: dict[str, str | None] = {journal.RETURN_KEY: ' '.join(what)}
    changes.update(
        (journal.BACK_PREFIX + server, _noted(move))
        for server, move in moves.items()
    )
    return changes


def stopping(
    old: journal.Journal,
    begun: collections.abc.Iterable[str],
    failed: collections.abc.Iterable[str] = (),
    user: str = '',
) -> dict[str, str | None]:
    """The notes of which servers are stopped.

    :param old: what is noted already: another drain may stop them as well.
    :param begun: ids of servers that are going to be stopped.
    :param failed: ids of those that this drain does not stop after all.
    :param user: the id of who stops them, if that is known.
    :returns: metadata to write.
    """
    changes: dict[str, str | None] = {}
    for server in failed:
        others = [u for u in old.stopped.get(server, ()) if u != user]
        changes[journal.STOPPED_PREFIX + server] = (
            ' '.join(('by', *others)) if others else None
        )
    for server in begun:
        users = journal.beside(old.stopped.get(server, ()), user)
        changes[journal.STOPPED_PREFIX + server] = ' '.join(('by', *users))
    return changes


def telling(
    new: collections.abc.Iterable[str],
    over: collections.abc.Iterable[str] = (),
) -> dict[str, str | None]:
    """The notes of whose owners are told.

    :param new: ids of servers whose owners are going to be told.
    :param over: ids of servers on which no notice is left.
    :returns: metadata to write.
    """
    changes: dict[str, str | None] = dict.fromkeys(
        (journal.TOLD_PREFIX + server for server in over), None
    )
    changes.update(
        dict.fromkeys((journal.TOLD_PREFIX + server for server in new), 'true')
    )
    return changes


def evacuating(token: str) -> dict[str, str | None]:
    """The note of who evacuates the host.

    :param token: something that nobody else has.
    :returns: metadata to write.
    """
    return {journal.EVACUATING_KEY: token}
