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

"""How a drain goes about it."""

import dataclasses
import enum


class OnTimeout(enum.StrEnum):
    """What is done with a move that takes too long."""

    ABORT = 'abort'
    FORCE_COMPLETE = 'force-complete'
    LEAVE = 'leave'


@dataclasses.dataclass(frozen=True)
class Options:
    """How a drain goes about it.

    :ivar max_parallel: how many moves are in motion at most.
    :ivar server_timeout: how long one may take, in seconds, or None.
    :ivar on_timeout: what is done then.
    :ivar timeout: how long the whole may take, in seconds, or None.
    :ivar retries: how often a move that failed is tried again.
    :ivar wait: stay until everything has ended.
    :ivar figures: ask for the figures of single migrations as well.
    """

    max_parallel: int = 2
    server_timeout: float | None = None
    on_timeout: OnTimeout = OnTimeout.ABORT
    timeout: float | None = None
    retries: int = 1
    wait: bool = True
    figures: bool = False
