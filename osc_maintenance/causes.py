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

"""Why servers are left on a host, for people to read. Pure."""

import collections.abc

from osc_maintenance import journal as journal_
from osc_maintenance import owners
from osc_maintenance import policy
from osc_maintenance import record as record_
from osc_maintenance import servers
from osc_maintenance import text
from osc_maintenance import times

#: How many servers a cause tells by name.
_NAMED = 10
ENDING = (
    'unset is about to end the maintenance, or was interrupted: run unset '
    'again, or set to go on with the maintenance'
)
DOWN = (
    'nova-compute on this host is down: what is in motion may not end before '
    'it is up again'
)
TO_BE_STOPPED = 'to be stopped when all others have gone'
NOT_STOPPED = 'to be stopped, and the drain has ended: set again'
_REPLIED = 'its owner has replied since, or is waited for no more'


def unconfirmed(record: record_.Record, count: int) -> str:
    """What to do with cold migrations of ours that nobody confirms.

    :param record: the record of the maintenance.
    :param count: how many there are.
    """
    if record.policy.migrate == policy.NONE:
        return (
            f'{count} cold migrated and not confirmed, and no server is to be '
            'moved any more: "openstack server migration confirm" or "revert" '
            'them'
        )
    return (
        f'the drain was interrupted, {count} cold migrated and not confirmed: '
        'run set again, and it goes on'
    )


def by_apply(
    left: list[servers.Server],
    unconfirmed: int,
    journal: journal_.Journal,
    awaited: collections.abc.Mapping[str, str],
) -> str:
    """What a drain by ``apply`` waits for.

    :param left: the servers that should be gone.
    :param unconfirmed: how many cold migrations are to be confirmed.
    :param journal: what has been noted.
    :param awaited: why servers wait for their owners, by id.
    """
    if journal.idle_since and left:
        since = times.format_time(journal.idle_since)
        return (
            f'{_count(left)} left, and nothing moves since {since}; apply '
            f'tries for ten minutes: {_each(left, _whys(journal, awaited))}'
        )
    does = 'moves the next' if left else 'does'
    return f'{_to_do(left, unconfirmed)}: apply {does} at its next run'


def down_by_apply(left: list[servers.Server]) -> str:
    """Why a drain by ``apply`` does not go on.

    :param left: the servers that should be gone.
    """
    return (
        f'{_count(left)} left, and nova-compute on this host is down: apply '
        'fails, and goes on when it is up again'
    )


def lull_of_drain(
    left: list[servers.Server], unconfirmed: int, seconds: int
) -> str:
    """What a drain that may be alive is about to do.

    :param left: the servers that should be gone.
    :param unconfirmed: how many cold migrations are to be confirmed.
    :param seconds: how long it may still take.
    """
    return (
        f'{_to_do(left, unconfirmed)}, and nothing moves at this moment: the '
        'drain is about to go on, or was interrupted just now: '
        f'look again in {seconds} s'
    )


def lull_of_return(seconds: int) -> str:
    """What a return that may be alive is about to do.

    :param seconds: how long it may still take.
    """
    return (
        'nothing moves at this moment: the return is about to go on, or has '
        f'just stopped: look again in {seconds} s'
    )


def awaited(
    left: list[servers.Server],
    journal: journal_.Journal,
    whys: collections.abc.Mapping[str, str],
    *,
    by_apply: bool,
) -> str:
    """What is left, where owners are waited for.

    :param left: the servers that should be gone.
    :param journal: what has been noted.
    :param whys: why servers wait for their owners, by id.
    :param by_apply: ``apply`` goes on with it.
    """
    goes_on = (
        'apply goes on' if by_apply else 'if no drain runs, run set again'
    )
    told = _each(left, _whys(journal, whys))
    return f'{_count(left)} left: {told}; {goes_on}'


def left_behind(
    left: list[servers.Server],
    journal: journal_.Journal,
    awaited: collections.abc.Mapping[str, str],
) -> str:
    """What is left, and why.

    :param left: the servers that should be gone.
    :param journal: what has been noted.
    :param awaited: why servers wait for their owners, by id.
    """
    if not journal.ended:
        again = 'run set again'
        if journal.evacuating or any(
            move.evacuated for move in journal.moves.values()
        ):
            again += ' with --evacuate --fenced'
        busy = {server.id: server.busy for server in left if server.busy}
        if len(busy) == len(left):
            return (
                f'{_count(left)} left, which a drain waits for: '
                f'{_each(left, busy)}; if no drain runs, {again}'
            )
        return (
            f'the drain was interrupted, {_count(left)} left: {again}, and it '
            'goes on'
        )
    return (
        f'{_count(left)} left that should be gone, and nothing moves: '
        f'{_each(left, _whys(journal, awaited))}'
    )


def kept(found: list[servers.Server]) -> str | None:
    """Which servers go down with their host.

    :param found: servers that only their owners keep from going.
    :returns: the words; None if there are none.
    """
    return _named(found, 'kept by the owners')


def held(found: list[servers.Server]) -> str | None:
    """Which servers go down with their host, as they are locked.

    :param found: servers that only a lock keeps from going.
    :returns: the words; None if there are none.
    """
    return _named(found, 'left because of a lock')


def stopped(found: list[servers.Server]) -> str | None:
    """Which servers are off until the maintenance is over.

    :param found: servers that this maintenance has stopped.
    :returns: the words; None if there are none.
    """
    return _named(found, 'stopped for this maintenance')


def _named(found: list[servers.Server], what: str) -> str | None:
    if not found:
        return None
    each = [f'{text.escape(s.name)} ({s.id})' for s in found]
    return f'{_count(found)} {what}: {_some(each)}'


def not_started(
    rows: collections.abc.Iterable[collections.abc.Mapping[str, str | None]],
) -> str | None:
    """Which servers do not run again that were stopped.

    :param rows: of the servers that were to be started.
    :returns: the words; None if all do.
    """
    each = [
        f'{row["name"]} ({row["id"]}): {row["cause"]}'
        for row in rows
        if row['cause']
    ]
    return f'not started again: {_some(each)}' if each else None


def left_stopped(found: list[servers.Server]) -> str | None:
    """Which servers stay off once the maintenance that stopped them is over.

    :param found: servers that somebody else has started or stopped since.
    :returns: the words; None if there are none.
    """
    what = 'left stopped, each started or stopped by somebody else since'
    return _named(found, what)


def untold(found: collections.abc.Mapping[str, str]) -> str | None:
    """Whose owners could not be told, or told that it is over.

    :param found: why, in the cloud's words, by the ids of their servers.
    :returns: the words; None if there are none.
    """
    if not found:
        return None
    each = [f'{server}: {why}' for server, why in found.items()]
    return f'owners not told: {_some(each)}'


def _whys(
    journal: journal_.Journal, awaited: collections.abc.Mapping[str, str]
) -> dict[str, str]:
    """Why servers are left: what was noted, but owners may have replied."""
    replied = _REPLIED if journal.by_apply else f'{_REPLIED}: set again'
    noted = {
        server: awaited.get(server, replied)
        if why.startswith(owners.AWAITED)
        else why
        for server, why in journal.stayed.items()
    }
    return {**awaited, **noted}


def _each(
    left: list[servers.Server], why: collections.abc.Mapping[str, str]
) -> str:
    """Why servers are left, as far as it is known."""
    return _some(
        [
            f'{text.escape(server.name)} ({server.id}): '
            f'{why.get(server.id, "not tried yet")}'
            for server in left
        ]
    )


def _some(told: list[str]) -> str:
    """The first of them, and how many there are beside."""
    if len(told) > _NAMED:
        told = [*told[:_NAMED], f'and {len(told) - _NAMED} more']
    return '; '.join(told)


def _to_do(left: list[servers.Server], unconfirmed: int) -> str:
    told = [f'{unconfirmed} to be confirmed'] if unconfirmed else []
    if left:
        told.append(f'{_count(left)} left')
    return ', '.join(told)


def _count(left: list[servers.Server]) -> str:
    return f'{len(left)} server{"s" if len(left) > 1 else ""}'
