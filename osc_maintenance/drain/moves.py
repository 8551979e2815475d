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

"""How far the move of each server is."""

import dataclasses
import enum
import typing

from osc_maintenance.drain import verdict as verdict_
from osc_maintenance import servers
from osc_maintenance import text

if typing.TYPE_CHECKING:
    from osc_maintenance.nova import answers


class Outcome(enum.StrEnum):
    """What has become of a server; scripts read these words."""

    #: its move has not been started
    WAITING = 'waiting'
    #: it is on its way
    MOVING = 'moving'
    #: it is on another host, and its migration is complete
    MOVED = 'moved'
    #: its move failed, and is not tried again
    FAILED = 'failed'
    #: it has to go and cannot
    BLOCKED = 'blocked'
    #: it is stopped where it is, until the maintenance is over
    STOPPED = 'stopped'
    #: the policy does not want it to go
    LEFT = 'left'
    #: it was deleted meanwhile
    DELETED = 'deleted'


#: What is to be tried once more, or ends by itself.
_OPEN = frozenset((Outcome.WAITING, Outcome.MOVING))
#: What was to go and did not.
STAYED = frozenset((Outcome.WAITING, Outcome.FAILED, Outcome.BLOCKED))


@dataclasses.dataclass
class Move:
    """One server, and how far its move is.

    :ivar server: the server as it was seen last.
    :ivar verdict: what is done with it.
    :ivar outcome: what has become of it so far.
    :ivar cause: why it failed, is blocked or left.
    :ivar migration: Nova's latest record of its move.
    :ivar after: the number of its latest migration before it was started.
    :ivar request: the id of the request that started it.
    :ivar ours: this maintenance moves it, and not somebody else.
    :ivar unsure: whether Nova has taken the request is not known.
    :ivar started: when it was started, or found to move, by our clock.
    :ivar begun: when Nova began at the earliest, by our clock.
    :ivar running: when Nova was first seen to move it, by our clock.
    :ivar seen: when it was last seen on its way, by our clock.
    :ivar attempts: how often it has been started.
    :ivar conflicts: how often somebody else was busy with it.
    :ivar unheard: since when Nova cannot be asked to move it, by our clock.
    :ivar not_before: when it may be tried again, by our clock.
    :ivar overdue: what was done when it took too long, if it did.
    :ivar there: Nova's record says that it has moved; the server itself is
        still to be looked at.
    :ivar given_up: it takes too long, and is no longer waited for.
    :ivar figures: how much of its memory has been copied.
    :ivar asked: when its figures were asked for, by our clock.
    :ivar looked_for: when it was not here and asked for, by our clock.
    :ivar contradictions: how often Nova said that it has moved while it was
        still there.
    :ivar idle: since when nothing is done to it although it is to move, by
        our clock.
    :ivar lingers: Nova said so while something was being done to it there.
    :ivar asked_why: how often Nova was asked why it failed, in vain.
    """

    server: servers.Server
    verdict: verdict_.Verdict
    outcome: Outcome = Outcome.WAITING
    cause: str | None = None
    migration: servers.Migration | None = None
    after: int = 0
    request: str | None = None
    ours: bool = False
    unsure: bool = False
    started: float | None = None
    begun: float | None = None
    running: float | None = None
    seen: float | None = None
    attempts: int = 0
    conflicts: int = 0
    unheard: float | None = None
    not_before: float = 0.0
    overdue: str | None = None
    given_up: bool = False
    there: bool = False
    figures: 'answers.Figures | None' = None
    asked: float = 0.0
    looked_for: float | None = None
    contradictions: int = 0
    lingers: bool = False
    idle: float | None = None
    asked_why: int = 0

    @property
    def open(self) -> bool:
        """Whether there is something to wait for."""
        return self.outcome in _OPEN

    @property
    def moving(self) -> bool:
        """Whether it is on its way, or where it went was not seen yet."""
        return self.outcome is Outcome.MOVING

    @property
    def in_motion(self) -> bool:
        """Whether Nova still moves it: it takes one of the slots."""
        return self.moving and not self.there

    @property
    def queued(self) -> bool:
        """Whether it waits in Nova until others have left the host."""
        return bool(self.migration and self.migration.queued)

    @property
    def kind(self) -> str:
        """What Nova calls this kind of migration."""
        if self.migration:
            return self.migration.kind
        return verdict_.KINDS.get(self.verdict.action, '')

    @property
    def destination(self) -> str | None:
        """The host that it goes or went to, if Nova has told."""
        return self.migration.dest if self.migration else None

    @property
    def mover(self) -> str:
        """Who moves it, if this maintenance does not, for people to read."""
        known = self.migration
        if known and known.unclaimed:
            return 'somebody whom Nova does not name'
        return 'somebody else'

    @property
    def stayed(self) -> bool:
        """Whether it was to go and did not."""
        return self.outcome in STAYED

    @property
    def label(self) -> str:
        """The server for people to read."""
        return f'{text.escape(self.server.name)} ({self.server.id})'

    def begin(self, now: float, *, unsure: bool) -> None:
        """Note that its move has been asked for.

        :param now: the present, by our clock.
        :param unsure: whether Nova has taken the request is not known.
        """
        self.outcome, self.cause = Outcome.MOVING, None
        self.migration = None
        self.unsure, self.ours = unsure, True
        self.started = self.begun = self.seen = now
        self.running = None
        self.overdue, self.given_up, self.there = None, False, False
        self.figures, self.contradictions, self.asked_why = None, 0, 0
        self.lingers, self.idle = False, None
        self.attempts += 1
        self.conflicts = 0
        if not unsure:
            self.unheard = None

    def wait(self, until: float) -> None:
        """Note that it is to be tried, not before a moment."""
        self.outcome, self.not_before = Outcome.WAITING, until
        if self.migration:
            # what it says has been taken in, but Nova may take the same record
            # for the next try
            again = servers.reused([self.migration], self.server.id)
            self.after = self.migration.id - bool(again)
        self.migration, self.request = None, None
        self.started = self.begun = self.running = self.seen = None
        self.there = False

    def end(self, outcome: Outcome, cause: str | None = None) -> None:
        """Note what has become of it."""
        self.outcome, self.cause = outcome, cause

    def as_dict(self) -> dict[str, typing.Any]:
        """The fields of ``moves``, as JSON shows them: a contract."""
        moved = self.outcome is Outcome.MOVED
        known = self.migration if moved or self.moving else None
        there = known.dest if known else None
        action, cause = self.verdict.action, self.cause
        if self.outcome is Outcome.WAITING:
            # nobody waits for its turn
            cause = cause or 'not started: run the same command again'
        if self.migration and (moved or self.moving):
            # somebody else may have chosen another way
            action = verdict_.ACTIONS.get(self.migration.kind, action)
        return {
            'id': self.server.id,
            'name': text.escape(self.server.name),
            'verdict': action.value,
            'outcome': self.outcome.value,
            'destination': text.escape(there) if there else None,
            'seconds': known.seconds if known and moved else None,
            'cause': text.escape(cause) if cause else None,
        }
