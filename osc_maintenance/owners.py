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
read back is trusted: it may leave a server where it is, delay its move until
the operator's deadline, or choose the gentler of two ways to move it, and
never does more than the operator asked for.
"""

import collections.abc
import dataclasses
import datetime
import enum
import typing

from osc_maintenance import text
from osc_maintenance import times

#: What the keys begin with that are read.
PREFIX = 'maintenance:'
#: The key of what an owner wishes at any time.
POLICY = PREFIX + 'policy'
#: The key of what an owner answers to the notice of one maintenance.
REPLY = PREFIX + 'reply'
#: How much of a value that is not known is shown.
_SHOWN = 40
#: How many characters of a reason there may be.
REASON_LIMIT = 200
#: How the causes begin of servers that wait for their owners.
AWAITED = 'waits for its owner'


class Wish(enum.StrEnum):
    """What an owner wishes for a server that would have to go."""

    #: move it without stopping it
    LIVE_MIGRATE = 'live-migrate'
    #: stop it, move it and start it again
    COLD_MIGRATE = 'cold-migrate'
    #: stop it, and start it again when the maintenance is over
    STOP = 'stop'
    #: leave it: it goes down with its host
    KEEP = 'keep'
    #: do nothing before I have replied, if you wait for replies
    ASK = 'ask'


class Answer(enum.StrEnum):
    """What an owner replies to a notice."""

    #: I am ready: move it
    MOVE = 'move'
    #: leave it: it goes down with its host
    KEEP = 'keep'
    #: I take care of it myself, until replies count no more
    OWN_ACTION = 'own-action'
    #: I am not ready
    NOT_READY = 'not-ready'


class Heed(enum.StrEnum):
    """What the operator makes of replies."""

    #: only standing wishes count
    IGNORE = 'ignore'
    #: a server goes once its owner has replied, or replies count no more
    WAIT = 'wait'
    #: a server goes once its owner has replied
    REQUIRE = 'require'


_SILENT = ': no reply yet'
_WAITS = {
    Answer.OWN_ACTION: ', who takes care of it',
    Answer.NOT_READY: ', who is not ready',
}


@dataclasses.dataclass(frozen=True)
class Reply:
    """What an owner has replied.

    :ivar answer: what.
    :ivar reason: why, in the owner's words; whoever shows it escapes it.
    """

    answer: Answer
    reason: str | None = None


@dataclasses.dataclass(frozen=True)
class Terms:
    """What of the owners' words counts in one maintenance.

    :ivar maintenance: its id, which replies name; empty before it has one.
    :ivar heed: what the operator makes of replies.
    :ivar until: until when they count; None if that has no end.
    :ivar stopped: the ids of servers that it has stopped.
    """

    maintenance: str = ''
    heed: Heed = Heed.IGNORE
    until: datetime.datetime | None = None
    stopped: frozenset[str] = frozenset()


class Awaited(typing.NamedTuple):
    """Why a server does not go before its owner has replied.

    :ivar cause: for people to read.
    :ivar ends: it goes by itself when replies count no more.
    """

    cause: str
    ends: bool


def wish(said: collections.abc.Mapping[str, str]) -> Wish | None:
    """What an owner wishes.

    :param said: the metadata of a server.
    :returns: the wish; None if there is none, or it is not known.
    """
    try:
        return Wish(said.get(POLICY, ''))
    except ValueError:
        return None


def in_vain(
    said: collections.abc.Mapping[str, str], terms: Terms
) -> str | None:
    """What is told of a wish that counts for nothing.

    :param said: the metadata of a server.
    :param terms: what counts.
    :returns: the words; None if there is no such wish.
    """
    if POLICY not in said:
        return None
    known = wish(said)
    if known is None:
        return _not_understood(said, POLICY)
    if known is Wish.ASK and terms.heed is Heed.IGNORE:
        return f'its property {POLICY} is {known}, and no replies are asked'
    return None


def _not_understood(said: collections.abc.Mapping[str, str], key: str) -> str:
    shown = text.escape(text.shorten(said[key], _SHOWN))
    return f'its property {key} is not understood: {shown or "empty"}'


def check_reason(reason: str) -> str:
    """Check an owner's reason for a reply.

    :param reason: what the owner typed.
    :returns: the reason without blanks around it.
    :raises ValueError: if Nova could not store it beside the reply.
    """
    reason = text.check_text(reason)
    if len(reason) > REASON_LIMIT:
        raise ValueError(
            f'has {len(reason)} characters: at most {REASON_LIMIT} fit'
        )
    return reason


def encode_reply(maintenance: str, reply: Reply) -> str:
    """A reply as the value of its key: ``<id> <answer>: <reason>``.

    :param maintenance: the id of the maintenance that it is for.
    :param reply: the reply.
    """
    words = f'{maintenance} {reply.answer}'
    return f'{words}: {reply.reason}' if reply.reason else words


def replies_to(said: collections.abc.Mapping[str, str]) -> str:
    """The id of the maintenance that a reply is for, whatever it says.

    :param said: the metadata of a server.
    :returns: the id; empty if there is no reply.
    """
    words, _colon, _reason = said.get(REPLY, '').partition(':')
    return words.strip().partition(' ')[0]


def reply(
    said: collections.abc.Mapping[str, str], maintenance: str
) -> Reply | None:
    """What an owner has replied to the notice of one maintenance.

    :param said: the metadata of a server.
    :param maintenance: the id of the maintenance.
    :returns: the reply; None if there is none, it is of another maintenance,
        or is not understood.
    """
    if not maintenance or replies_to(said) != maintenance:
        return None
    words, _colon, reason = said[REPLY].partition(':')
    answer = words.strip().partition(' ')[2]
    try:
        known = Answer(answer.strip())
    except ValueError:
        return None
    return Reply(known, text.shorten(reason.strip(), REASON_LIMIT) or None)


def heeded(
    said: collections.abc.Mapping[str, str], terms: Terms
) -> Reply | None:
    """What an owner has replied, if the operator makes something of it.

    :param said: the metadata of a server.
    :param terms: what counts.
    """
    if terms.heed is Heed.IGNORE:
        return None
    return reply(said, terms.maintenance)


def kept(said: collections.abc.Mapping[str, str], terms: Terms) -> str | None:
    """Where an owner says that a server is to be kept on its host.

    :param said: the metadata of a server.
    :param terms: what counts: a reply does before a wish.
    :returns: where, for people to read; None if nowhere.
    """
    found = heeded(said, terms)
    answer = found.answer if found else None
    if answer is Answer.KEEP:
        return f'the reply in its property {REPLY}'
    if wish(said) is Wish.KEEP and answer is not Answer.MOVE:
        return f'its property {POLICY}'
    return None


def awaited(
    said: collections.abc.Mapping[str, str],
    terms: Terms,
    now: datetime.datetime,
) -> Awaited | None:
    """Why a server does not go before its owner has replied.

    :param said: the metadata of a server.
    :param terms: what counts.
    :param now: the present, in UTC.
    :returns: why; None if it may go.
    """
    if terms.heed is Heed.IGNORE:
        return None
    found = reply(said, terms.maintenance)
    if found is None:
        if wish(said) not in (None, Wish.ASK):
            # that is an answer for all times
            return None
        what = _SILENT
        if replies_to(said) == terms.maintenance and REPLY in said:
            what = f': {_not_understood(said, REPLY)}'
    elif found.answer in _WAITS:
        what = _WAITS[found.answer]
        if found.reason:
            what += f' ({text.escape(found.reason)})'
    else:
        return None
    owns = found is not None and found.answer is Answer.OWN_ACTION
    until = terms.until if owns or terms.heed is Heed.WAIT else None
    if until is None:
        over = terms.until is not None and now >= terms.until
        more = ', and replies count no more' if over else ''
        return Awaited(f'{AWAITED}{what}{more}', ends=False)
    if now >= until:
        return None
    most = times.format_time(until)
    return Awaited(f'{AWAITED}{what}; until {most}', ends=True)
