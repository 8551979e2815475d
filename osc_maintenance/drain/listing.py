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

"""When to look at the servers as well as at their migrations.

It costs Nova ten times as much. That a move has ended is seen by its
migration, and the next one may start; where the server is then is looked at
when no end is expected for a while, for all that have moved meanwhile.
"""

#: How soon to look again in a pause, in seconds.
_SOON = 8.0
#: How old a look may be to start something: an owner may lock a server.
_LATE = 15.0
#: How old it may be while nothing is to be started.
_LATEST = 30.0
#: What a look costs as long as that is not known, in seconds.
_USUAL = 1.0
#: At most one part in so many of the time goes into looking.
_SHARE = 5


class Listing:
    """When the servers were looked at."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._cost = _USUAL
        self._pause = False

    def looked(self, at: float, cost: float) -> None:
        """Note that they were looked at.

        :param at: when that began, by our clock: what it shows was so then.
        :param cost: how long all of the look took, in seconds.
        """
        self._at, self._cost, self._pause = at, cost, False

    def known(self, at: float) -> None:
        """Note that somebody else looked at them.

        :param at: when, by our clock.
        """
        self._at = at

    def outdated(self) -> None:
        """Note that they have to be looked at before anything else."""
        self._at = None

    def due(self, now: float, *, urgent: bool) -> bool:
        """Whether to look at them now.

        :param now: the present, by our clock.
        :param urgent: where a server is has to be known.
        """
        return self._pause or self._older(now, _LATE if urgent else _LATEST)

    def too_old(self, now: float) -> bool:
        """Whether what was seen is too old to start something."""
        return self._older(now, _LATE)

    def fits(self, now: float, pause: float) -> bool:
        """Whether to look at them in a pause, and if so note that.

        :param now: the present, by our clock.
        :param pause: how long nothing else is to be done, in seconds.
        """
        self._pause = pause >= 2 * self._cost and self._older(now, _SOON)
        return self._pause

    def _older(self, now: float, seconds: float) -> bool:
        if self._at is None:
            return True
        return now - self._at >= max(seconds, self._cost * _SHARE)
