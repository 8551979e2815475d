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

"""What may be wrong after a fault. Pure."""

import collections.abc
import json
import typing

from osc_maintenance import exit_codes
from osc_maintenance.tests.faults import cases
from osc_maintenance.tests.faults import client
from osc_maintenance.tests.faults import facts as facts_
from osc_maintenance.tests.faults import line

Exit = exit_codes.ExitCode
Json = dict[str, typing.Any]

#: What is known of a maintenance before its service is disabled.
_COMPLETE = ('maintenance:id', 'maintenance:before_status')
#: What a command answers whichever way it has come to its end.
_TOLD = (
    'state',
    'cause',
    'reason',
    'ticket_url',
    'removal',
    'migrate',
    'service_status',
    'servers',
    'migrations_out',
    'migrations_in',
    'unconfirmed_resizes',
    'emptied',
    'reply',
    'reply_reason',
)
_KILLED = -9
_FAILURES = (
    Exit.ERROR,
    Exit.STAYED,
    Exit.TIMED_OUT,
    Exit.REFUSED,
    Exit.OWNERS,
)
_MAY_BE_UNKNOWN = {'emptied'}
#: What a kind of fault is called, if not by its status.
_WORDS = {
    cases.Kind.ERROR,
    cases.Kind.UNAVAILABLE,
    cases.Kind.TOO_MANY,
    cases.Kind.CONFLICT,
}


def ended(
    answer: client.Answer, kind: cases.Kind | None, *, reports: bool
) -> list[str]:
    """What is wrong in how a command ended, and what it said.

    :param answer: what it said.
    :param kind: the fault.
    :param reports: it has more to say than one line if it fails.
    """
    if kind is not None and kind.kills:
        return _if(
            answer.code != _KILLED, f'was killed, and exits {answer.code}'
        )
    wrong = _if('Traceback' in answer.stderr, 'a traceback')
    wrong += _unchanged(answer)
    if answer.code == Exit.DONE:
        return wrong
    lines = answer.stderr.splitlines()
    wrong += _if(answer.code not in _FAILURES, f'exits {answer.code}')
    wrong += _if(not lines or not lines[-1].strip(), 'fails without a word')
    if not reports:
        wrong += _if(len(lines) > 1, f'fails with {len(lines)} lines')
        wrong += _if(bool(answer.stdout.strip()), 'fails with an answer')
    if answer.code == Exit.REFUSED:
        written = [str(item) for item in answer.requests if item.writes]
        wrong += _if(bool(written), f'refuses, and has done {written}')
    words = kind in _WORDS and line.WORDS not in answer.stderr
    wrong += _if(
        words and answer.code == Exit.ERROR and not reports,
        "keeps back the cloud's words",
    )
    return wrong


def _unchanged(answer: client.Answer) -> list[str]:
    """What is wrong if it says that it has changed nothing."""
    try:
        found = json.loads(answer.stdout)
    except ValueError:
        return []
    rows = found if isinstance(found, list) else [found]
    written = [str(item) for item in answer.requests if item.writes]
    denied = any(row.get('changed') is False for row in rows)
    return _if(
        denied and bool(written), f'tells changed: false, and did {written}'
    )


def told(answer: client.Answer) -> Json:
    """What a command answers that is the same every time."""
    found = json.loads(answer.stdout)
    if not isinstance(found, dict):
        return {}
    return {name: found[name] for name in _TOLD if name in found}


def says_that_more_is_left(answer: client.Answer) -> bool:
    """Whether a command that goes step by step says that it is not over.

    :param answer: what it said.
    """
    try:
        rows = json.loads(answer.stdout)
    except ValueError:
        return False
    return any(row['state'] == 'migrating' and row['cause'] for row in rows)


def done(
    answer: client.Answer, found: Json, wanted: Json, tells: Json
) -> list[str]:
    """What is wrong if a command says that it has done what it was to do.

    :param answer: what it said.
    :param found: how things are.
    :param wanted: how they are to be.
    :param tells: what it is to answer.
    """
    if answer.code != Exit.DONE:
        return []
    wrong = facts_.differences(wanted, found)
    try:
        answered = told(answer)
    except ValueError:
        return [*wrong, 'exits 0 without an answer']
    for name in sorted(tells.keys() & _MAY_BE_UNKNOWN):
        # a warning says why it is not known
        if answered.get(name) is None and answer.stderr.strip():
            tells = {**tells, name: None}
    wrong += facts_.differences(tells, answered, 'answer.')
    return [f'exits 0, but {item}' for item in wrong]


def shown(
    answer: client.Answer,
    earlier: facts_.Facts,
    later: facts_.Facts,
    leaving: collections.abc.Collection[str],
) -> list[str]:
    """What is wrong in what ``show`` said.

    :param answer: what it said.
    :param earlier: what Nova said just before.
    :param later: what it said just after.
    :param leaving: the names of the servers that have to go.
    """
    if answer.code != Exit.DONE:
        return [f'show exits {answer.code}: {answer.stderr.strip()}']
    says: Json = json.loads(answer.stdout)
    state, wrong = says['state'], []
    there = earlier.here & later.here
    if state == 'maintenance':
        stay = sorted(there & set(leaving))
        wrong += _if(bool(stay), f'is there in maintenance: {stay}')
        wrong += _if(not later.marked, 'maintenance, and not disabled for it')
    wrong += _if(says['emptied'] is True and bool(there), f'emptied: {there}')
    if earlier.marked and later.marked:
        lost = [key for key in _COMPLETE if key not in later.metadata]
        wrong += _if(bool(lost), f'disabled, and its record lacks {lost}')
        wrong += _if(
            later.host not in (later.members or ()),
            'disabled, and not in its aggregate',
        )
        wrong += _if(state in ('none', 'planned'), f'disabled, and {state}')
    if earlier.members is None and later.members is None:
        wrong += _if(
            state != 'none' and not later.marked, f'no aggregate, and {state}'
        )
    elif earlier.members is not None and later.members is not None:
        wrong += _if(state == 'none', 'there is an aggregate, and none')
    if state == 'error' and not says['cause']:
        wrong.append('error without a cause')
    for name, one, other in (
        ('service_status', earlier.status, later.status),
        ('disabled_reason', earlier.reason, later.reason),
    ):
        wrong += _if(
            one == other != says[name], f'{name} is {other} and not told'
        )
    return [f'show: {item}' for item in wrong]


def again(
    answer: client.Answer,
    found: Json,
    wanted: Json,
    state: str | None,
    what: str,
) -> list[str]:
    """What is wrong in a command without a fault, after one with a fault.

    :param answer: what it said.
    :param found: how things are.
    :param wanted: how they are without any fault.
    :param state: the state that it is to tell of, if it tells of one.
    :param what: which command it was.
    """
    wrong = []
    if answer.code != Exit.DONE:
        wrong.append(f'exits {answer.code}: {answer.stderr.strip()}')
    elif state and (tells := told(answer)['state']) != state:
        wrong.append(f'tells of the state {tells}')
    wrong += _if('Traceback' in answer.stderr, 'a traceback')
    wrong += facts_.differences(wanted, found)
    return [f'{what}: {item}' for item in wrong]


def moved(earlier: facts_.Facts, later: facts_.Facts, times: int) -> list[str]:
    """What is wrong with servers that were to move so many times."""
    wrong = []
    for name, server in later.servers.items():
        before = {move[0] for move in earlier.servers[name].moves}
        new = [move for move in server.moves if move[0] not in before]
        if len(new) != times:
            wrong.append(f'{name} has moved {len(new)} times: {new}')
    return wrong


def _if(is_wrong: bool, what: str) -> list[str]:
    return [what] if is_wrong else []
