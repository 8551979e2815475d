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
from osc_maintenance.tests.faults import reading

Exit = exit_codes.ExitCode
Json = dict[str, typing.Any]

#: What ``show`` says of a record as it is written there.
_RECORDED = ('reason', 'ticket_url', 'set_by', 'migrate')
_KILLED = -9
_MAY_BE_UNKNOWN = {'emptied'}
#: What a kind of fault is called, if not by its status.
_WORDS = {
    cases.Kind.ERROR,
    cases.Kind.UNAVAILABLE,
    cases.Kind.TOO_MANY,
    cases.Kind.CONFLICT,
}


def ended(
    answer: client.Answer,
    kind: cases.Kind | None,
    *,
    codes: collections.abc.Container[int] = (),
    names: collections.abc.Iterable[str] = (),
    reports: bool = False,
) -> list[str]:
    """What is wrong in how a command ended, and what it said.

    :param answer: what it said.
    :param kind: the fault.
    :param codes: the exit statuses that it may fail with.
    :param names: what its words have to name if a change fails.
    :param reports: it has more to say than one line if it fails.
    """
    wrong = _if(answer.patient, 'does not give up when nobody answers')
    if kind is not None and kind.kills:
        return wrong + _if(
            answer.code != _KILLED, f'was killed, and exits {answer.code}'
        )
    wrong += _if('Traceback' in answer.stderr, 'a traceback')
    wrong += _changed(answer)
    if answer.code == Exit.DONE:
        return wrong
    asks_nova = answer.hit is None or answer.hit.service != 'identity'
    if kind is cases.Kind.UNAUTHORIZED and asks_nova:
        wrong.append(f'does not renew its token, and exits {answer.code}')
    lines = answer.stderr.splitlines()
    wrong += _if(answer.code not in codes, f'exits {answer.code}')
    if not answer.stdout.strip():
        wrong += _if(not lines or not lines[-1].strip(), 'fails without words')
    if not reports:
        # keystoneauth itself warns if Keystone does not answer at first
        wrong += _if(len(lines) > 1 and asks_nova, f'fails with {lines}')
        wrong += _if(bool(answer.stdout.strip()), 'fails with an answer')
    if answer.code == Exit.REFUSED:
        written = [str(item) for item in answer.requests if item.writes]
        wrong += _if(bool(written), f'refuses, and has done {written}')
    said = answer.stderr + answer.stdout
    if answer.code == Exit.ERROR and asks_nova:
        wrong += _if(
            kind in _WORDS and line.WORDS not in said,
            "keeps back the cloud's words",
        )
        # what is read may be about all hosts
        lost = [name for name in names if name not in said]
        changes = answer.hit is not None and answer.hit.method != 'GET'
        wrong += _if(changes and bool(lost), f'does not name {lost}')
    return wrong


def _changed(answer: client.Answer) -> list[str]:
    """What is wrong in whether it says that it has changed something."""
    said = [row['changed'] for row in reading.rows(answer) if 'changed' in row]
    written = [str(item) for item in answer.requests if item.writes]
    if not said or any(said) is bool(written):
        return []
    return [f'tells changed: {any(said)}, and did {written}']


def done(
    answer: client.Answer,
    found: facts_.Facts,
    wanted: Json,
    tells: Json,
    code: int = Exit.DONE,
    before: facts_.Facts | None = None,
) -> list[str]:
    """What is wrong if a command says that it has done what it was to do.

    :param answer: what it said.
    :param found: how things are.
    :param before: how they were, if owners may have been told earlier.
    :param wanted: how they are to be.
    :param tells: what it is to answer.
    :param code: the exit status that says so.
    """
    if answer.code != code:
        return []
    essence = found.essence()
    wrong = []
    untold = reading.untold(answer, found)
    for name in untold:
        ours, other = (item['servers'][name] for item in (essence, wanted))
        said = found.servers[name].metadata
        wrong += _if(
            ours['metadata'] == other['metadata']
            and not (before and before.servers[name].metadata == said),
            f'{name} is told of, and said not to be',
        )
        ours['metadata'] = other['metadata']
    wrong += facts_.differences(wanted, essence)
    try:
        answered = reading.essence(answer, found.host)
    except ValueError:
        return [*wrong, 'exits 0 without an answer']
    if untold and reading.UNTOLD in (answered.get('cause') or ''):
        answered['cause'] = tells['cause']
    for name in sorted(tells.keys() & _MAY_BE_UNKNOWN):
        # a warning says why it is not known
        if answered.get(name) is None and answer.stderr.strip():
            tells = {**tells, name: None}
    wrong += facts_.differences(tells, answered, 'answer.')
    return [f'exits {code}, but {item}' for item in wrong]


def moves(answer: client.Answer, found: facts_.Facts) -> list[str]:
    """What is wrong in what a command says of each server.

    :param answer: what it said.
    :param found: how things are just afterwards.
    """
    servers = {server.id: server for server in found.servers.values()}
    wrong = []
    for row in reading.rows(answer):
        for move in row.get('moves', ()):
            server, outcome = servers[move['id']], move['outcome']
            what = f'{move["name"]} is told as {outcome}, and is '
            last = server.moves[-1][2] if server.moves else ''
            wrong += _if(
                outcome == 'moved'
                and (
                    server.host != move['destination']
                    or last not in ('completed', 'confirmed', 'confirming')
                ),
                f'{what}{last} on {server.host}',
            )
            wrong += _if(
                outcome in ('blocked', 'stopped')
                and server.host != found.host,
                f'{what}on {server.host}',
            )
            wrong += _if(
                outcome == 'stopped' and server.status != 'SHUTOFF',
                f'{what}{server.status}',
            )
    return wrong


def shown(
    answer: client.Answer,
    earlier: facts_.Facts,
    later: facts_.Facts,
    leaving: collections.abc.Collection[str],
    required: collections.abc.Collection[str],
    wanted: Json,
) -> list[str]:
    """What is wrong in what ``show`` said.

    :param answer: what it said.
    :param earlier: what Nova said just before.
    :param later: what it said just after.
    :param leaving: the names of the servers that have to go.
    :param required: what the record holds of a service that is disabled.
    :param wanted: how things are to be at the end.
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
        lost = [key for key in required if key not in later.metadata]
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
    wrong += _if(
        state == 'error' and not says['cause'], 'error without a cause'
    )
    if earlier == later:
        wrong += _at_rest(says, later, wanted)
    for name, one, other in (
        ('service_status', earlier.status, later.status),
        ('disabled_reason', earlier.reason, later.reason),
    ):
        wrong += _if(
            one == other != says[name], f'{name} is {other} and not told'
        )
    return [f'show: {item}' for item in wrong]


def _at_rest(says: Json, found: facts_.Facts, wanted: Json) -> list[str]:
    """What is wrong in what ``show`` said of a host that nobody changes."""
    state, cause, wrong = says['state'], says['cause'] or '', []
    wants = {
        'servers': found.counts,
        'unconfirmed_resizes': len(found.unconfirmed),
        **{
            name: found.metadata.get(f'maintenance:{name}')
            for name in _RECORDED
            # without a record it is told as if it had the defaults
            if 'maintenance:id' in found.metadata
        },
    }
    tells = {name: says[name] for name in wants}
    wrong += facts_.differences(wants, tells)
    wrong += _if(
        says['emptied'] is True and bool(found.unconfirmed),
        f'emptied, and {found.unconfirmed} not confirmed',
    )
    if found.moving:
        return wrong + _if(
            found.marked and state != 'migrating', f'{state}, and one moves'
        )
    is_well = (
        found.marked
        and found.host in (found.members or ())
        and 'maintenance:return' not in found.metadata
        and found.essence()['servers'] == wanted['servers']
    )
    wrong += _if(
        is_well and state != 'maintenance',
        f'{state}: {cause}, and all is well',
    )
    wrong += _if(
        state == 'migrating' and not cause, 'migrating, and nothing moves'
    )
    return wrong


def again(
    answer: client.Answer,
    found: facts_.Facts,
    wanted: Json,
    tells: Json,
    what: str,
    code: int = Exit.DONE,
) -> list[str]:
    """What is wrong in a command without a fault, after one with a fault.

    :param answer: what it said.
    :param found: how things are.
    :param wanted: how they are without any fault.
    :param tells: what it is to answer.
    :param what: which command it was.
    :param code: its exit status.
    """
    wrong = _if('Traceback' in answer.stderr, 'a traceback')
    if answer.code != code:
        wrong.append(f'exits {answer.code}: {answer.stderr.strip()}')
    elif tells:
        answered = reading.essence(answer, found.host)
        wrong += facts_.differences(
            tells, {name: answered.get(name) for name in tells}, 'answer.'
        )
    wrong += facts_.differences(wanted, found.essence())
    return [f'{what}: {item}' for item in wrong]


def nothing(answer: client.Answer, code: int = Exit.DONE) -> list[str]:
    """What is wrong in a command that has nothing left to do.

    :param answer: what it said.
    :param code: its exit status.
    """
    written = [str(item) for item in answer.requests if item.writes]
    wrong = _if(answer.code != code, f'exits {answer.code}: {answer.stderr}')
    wrong += _if(bool(written), f'does {written}') + _changed(answer)
    return [f'once more: {item}' for item in wrong]


def undone(first: facts_.Facts, last: facts_.Facts) -> list[str]:
    """What is not as it was before all, but for where servers are."""
    wrong = facts_.differences(_settings(first), _settings(last))
    return wrong + _if(last.members is not None, 'an aggregate is left')


def _settings(found: facts_.Facts) -> Json:
    essence = found.essence()
    return {
        'service': essence['service'],
        'record': essence['record'],
        'servers': {
            name: {**server, 'here': None}
            for name, server in essence['servers'].items()
        },
    }


def moved(
    earlier: facts_.Facts,
    later: facts_.Facts,
    times: collections.abc.Mapping[str, int],
) -> list[str]:
    """What is wrong with servers that were to move so many times, by name."""
    wrong = []
    for name, server in later.servers.items():
        before = {move[0] for move in earlier.servers[name].moves}
        new = [move for move in server.moves if move[0] not in before]
        if len(new) != times.get(name, 0):
            wrong.append(f'{name} has moved {len(new)} times: {new}')
    return wrong


def _if(is_wrong: bool, what: str) -> list[str]:
    return [what] if is_wrong else []
