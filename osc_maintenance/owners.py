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

"""What the owners of servers say, in the metadata of these. Pure.

Whoever may change a server writes what they like there, so nothing that is
read back is trusted: it may leave a server where it is, or choose the gentler
of two ways to move it, and never does more than the operator asked for.
"""

import collections.abc
import enum

from osc_maintenance import text

#: What the keys begin with that are read.
PREFIX = 'maintenance:'
#: The key of what an owner wishes at any time.
POLICY = PREFIX + 'policy'
#: How much of a value that is not known is shown.
_SHOWN = 40


class Wish(enum.StrEnum):
    """What an owner wishes for a server that would have to go."""

    #: move it without stopping it
    LIVE_MIGRATE = 'live-migrate'
    #: stop it, move it and start it again
    COLD_MIGRATE = 'cold-migrate'
    #: leave it: it goes down with its host
    KEEP = 'keep'


def wish(said: collections.abc.Mapping[str, str]) -> Wish | None:
    """What an owner wishes.

    :param said: the metadata of a server.
    :returns: the wish; None if there is none, or it is not known.
    """
    try:
        return Wish(said.get(POLICY, ''))
    except ValueError:
        return None


def not_understood(said: collections.abc.Mapping[str, str]) -> str | None:
    """What is told of a wish that is not known, and counts for nothing.

    :param said: the metadata of a server.
    :returns: the words; None if there is no such wish.
    """
    value = said.get(POLICY)
    if value is None or wish(said):
        return None
    shown = text.escape(text.shorten(value, _SHOWN))
    return f'its property {POLICY} is not understood: {shown or "empty"}'
