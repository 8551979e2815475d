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

"""The lull before a move: one has ended, or all of it has begun just now.

Whether a drain or a return is alive is known to nobody: it runs on some
client. But one that is alive does not let much time pass before it starts the
next move. Pure.
"""

import collections.abc
import datetime
import math

from osc_maintenance import journal as journal_
from osc_maintenance import servers

#: How long nothing moves at most until the next move is started: the end of
#: one is noticed within ten seconds, and then the servers are looked at. The
#: first one is started sooner: once the host is disabled.
NEXT = datetime.timedelta(seconds=25)
#: The same until a move that has failed is tried again: the longest pause
#: before that is a minute, and up to three looks come before it, as Nova may
#: tell later why it has failed.
AGAIN = datetime.timedelta(seconds=100)
#: What it takes at most to tell one owner, which comes before the first move:
#: two requests, eight owners at a time.
TELLING = datetime.timedelta(seconds=0.5)


def seconds_left(
    migrations: collections.abc.Iterable[servers.Migration],
    tried_again: collections.abc.Collection[str],
    now: datetime.datetime,
    begun: datetime.datetime | None = None,
    owners: int = 0,
) -> int:
    """How much longer it is no wonder that nothing moves.

    Nova's clock, or that of another client, and ours may differ. What was in
    the future counts within the same bounds as what was in the past, or else
    a wrong clock would hide for long that nobody goes on.

    :param migrations: the latest migrations of servers.
    :param tried_again: the ids of servers whose move is tried again if it has
        failed.
    :param now: the present, in UTC.
    :param begun: when all of it has begun, if that is known.
    :param owners: how many owners are told before the first move.
    :returns: seconds; 0 if it has taken too long already.
    """
    moments = [(begun, NEXT + owners * TELLING)]
    for migration in migrations:
        if not migration.in_progress:
            again = migration.failed and migration.server in tried_again
            moments.append((migration.updated, AGAIN if again else NEXT))
    left = 0
    for moment, bound in moments:
        if moment is not None and abs(now - moment) < bound:
            rest = bound - (now - moment)
            left = max(left, math.ceil(rest.total_seconds()))
    return left


def just_begun(journal: journal_.Journal, now: datetime.datetime) -> bool:
    """Whether somebody may have begun just now to end a maintenance.

    :param journal: what has been noted.
    :param now: the present, in UTC.
    """
    noted = journal.return_noted
    return noted is not None and abs(now - noted) < NEXT


def is_being_ended(journal: journal_.Journal, now: datetime.datetime) -> bool:
    """Whether somebody else ends a maintenance at this moment.

    Servers that are on their way back would stay away if the record were
    deleted.

    :param journal: what has been noted.
    :param now: when this command began, in UTC: what is noted later is ours.
    """
    noted = journal.return_noted
    begun = noted is not None and datetime.timedelta() < now - noted < NEXT
    # the notes of moves are all that an earlier version says
    comes_back = journal.brings_back or bool(journal.returns)
    return journal.returning and (begun or comes_back)
