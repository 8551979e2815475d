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

"""The campaign sees through what is not so: every lie here is found."""

import dataclasses
import json
import typing

import testtools

from osc_maintenance.tests.faults import cases
from osc_maintenance.tests.faults import checks
from osc_maintenance.tests.faults import client
from osc_maintenance.tests.faults import facts
from osc_maintenance.tests.faults import line
from osc_maintenance.tests.faults import reading

Kind = cases.Kind
_REASON = 'maintenance 12345678: kernel'
_RECORD = {
    'maintenance:id': '12345678',
    'maintenance:reason': 'kernel',
    'maintenance:set_by': 'admin',
    'maintenance:migrate': 'all',
    'maintenance:before_status': 'disabled',
    'maintenance:before_reason': 'broken NIC',
}
_GONE = facts.Server(
    *('web-id', 'host2', 'ACTIVE', None, {}),
    ((1, 'live-migration', 'completed'),),
)
_UNCONFIRMED = dataclasses.replace(
    _GONE, status='VERIFY_RESIZE', moves=((1, 'migration', 'finished'),)
)
_HERE = dataclasses.replace(_GONE, host='host1', moves=())
_WRITE = line.Request('compute', 'PUT', '/os-services/1')
_HIT = line.Request('compute', 'PUT', '/os-services/1', done=False)


def _facts(
    *servers: facts.Server, record: dict[str, str] | None = None
) -> facts.Facts:
    """A host in maintenance."""
    return facts.Facts(
        'host1',
        'disabled',
        _REASON,
        ('host1',),
        _RECORD if record is None else record,
        {server.id.removesuffix('-id'): server for server in servers},
    )


def _answer(
    told: typing.Any = '',
    code: int = 0,
    stderr: str = '',
    requests: tuple[line.Request, ...] = (),
) -> client.Answer:
    out = told if isinstance(told, str) else json.dumps(told)
    return client.Answer(('x',), code, out, stderr, requests, _HIT)


def _shown(**fields: typing.Any) -> client.Answer:
    """What ``show`` says of a host in maintenance that is empty."""
    told: dict[str, typing.Any] = {
        'state': 'maintenance',
        'cause': None,
        'emptied': True,
        'service_status': 'disabled',
        'disabled_reason': _REASON,
        'servers': {},
        'migrations_out': 0,
        'unconfirmed_resizes': 0,
        'reason': 'kernel',
        'ticket_url': None,
        'set_by': 'admin',
        'migrate': 'all',
    }
    return _answer(told | fields)


class TestShown(testtools.TestCase):
    def _wrong(self, found: facts.Facts, **fields: typing.Any) -> list[str]:
        return checks.shown(
            _shown(**fields),
            found,
            found,
            leaving=('web',),
            required=frozenset(_RECORD),
            wanted=_facts(_GONE).essence(),
        )

    def test_the_truth(self) -> None:
        self.assertEqual([], self._wrong(_facts(_GONE)))
        self.assertEqual(
            [],
            self._wrong(
                _facts(_UNCONFIRMED),
                state='migrating',
                cause='1 to be confirmed',
                emptied=False,
                unconfirmed_resizes=1,
            ),
        )
        self.assertEqual(
            [],
            self._wrong(
                _facts(_HERE),
                state='error',
                cause='1 server left',
                emptied=False,
                servers={'ACTIVE': 1},
            ),
        )

    def test_the_truth_of_a_host_without_a_record(self) -> None:
        found = dataclasses.replace(
            _facts(_GONE), reason='broken NIC', metadata={}
        )
        self.assertEqual(
            [],
            self._wrong(
                found,
                state='error',
                cause='holds no record',
                disabled_reason='broken NIC',
                reason=None,
                set_by=None,
                migrate='none',
            ),
        )

    def test_a_lie(self) -> None:
        for lie in (
            {'state': 'error', 'cause': 'nonsense'},
            {'state': 'error'},
            {'state': 'migrating'},
            {'state': 'none'},
            {'state': 'planned'},
            {'servers': {'ACTIVE': 7}},
            {'unconfirmed_resizes': 5},
            {'reason': 'x'},
            {'set_by': 'ghost'},
            {'migrate': 'none'},
            {'ticket_url': 'https://example.com'},
            {'service_status': 'enabled'},
            {'disabled_reason': 'broken NIC'},
        ):
            self.assertNotEqual([], self._wrong(_facts(_GONE), **lie), lie)

    def test_who_is_there_or_not_confirmed(self) -> None:
        for server, fields in (
            (_HERE, {'servers': {'ACTIVE': 1}, 'emptied': False}),
            (
                _HERE,
                {'servers': {'ACTIVE': 1}, 'state': 'error', 'cause': 'x'},
            ),
            (_UNCONFIRMED, {'unconfirmed_resizes': 1}),
            (
                _UNCONFIRMED,
                {'unconfirmed_resizes': 1, 'state': 'error', 'cause': 'x'},
            ),
        ):
            self.assertNotEqual([], self._wrong(_facts(server), **fields))

    def test_the_record_is_not_complete(self) -> None:
        for key in _RECORD:
            left = {k: v for k, v in _RECORD.items() if k != key}
            name = key.removeprefix('maintenance:')
            told = (
                {name: None} if name in ('reason', 'set_by', 'migrate') else {}
            )
            found = self._wrong(_facts(_GONE, record=left), **told)
            self.assertIn(
                f"show: disabled, and its record lacks ['{key}']", found
            )


class TestEnded(testtools.TestCase):
    def _wrong(
        self, answer: client.Answer, kind: Kind = Kind.ERROR
    ) -> list[str]:
        return checks.ended(answer, kind, codes=(1, 5), names=('host1',))

    def test_the_truth(self) -> None:
        said = f'host1: {line.WORDS} (HTTP 500)\n'
        self.assertEqual([], self._wrong(_answer(code=1, stderr=said)))
        told = {'changed': True}
        self.assertEqual([], self._wrong(_answer(told, requests=(_WRITE,))))
        self.assertEqual([], self._wrong(_answer(code=-9), Kind.KILL_AFTER))

    def test_a_lie(self) -> None:
        said = f'host1: {line.WORDS} (HTTP 500)\n'
        for answer in (
            _answer({'changed': True}),
            _answer({'changed': False}, requests=(_WRITE,)),
            _answer([{'changed': True}]),
            _answer(code=3, stderr=said),
            _answer(code=1),
            _answer(code=1, stderr=said + said),
            _answer({}, code=1, stderr=said),
            _answer(code=5, stderr=said, requests=(_WRITE,)),
            _answer(code=1, stderr='host1: something\n'),
            _answer(code=1, stderr=f'{line.WORDS}\n'),
            _answer(code=1, stderr=f'Traceback\nhost1: {line.WORDS}\n'),
            dataclasses.replace(_answer(), patient=True),
        ):
            self.assertNotEqual([], self._wrong(answer), str(answer))
        self.assertNotEqual([], self._wrong(_answer(), Kind.KILL_BEFORE))
        failed = _answer(code=1, stderr='host1: HTTP 401\n')
        self.assertNotEqual([], self._wrong(failed, Kind.UNAUTHORIZED))


class TestDone(testtools.TestCase):
    def test_a_lie(self) -> None:
        found = _facts(_GONE)
        essence = found.essence()
        tells = {'state': 'maintenance', 'servers': {}}
        for answer, wanted in (
            (_answer(), essence),
            (_answer({'state': 'error', 'servers': {}}), essence),
            (_answer(tells), _facts(_HERE).essence()),
            (_answer(tells), _facts(_GONE, record={}).essence()),
        ):
            wrong = checks.done(answer, found, wanted, tells)
            self.assertNotEqual([], wrong, str(answer))
        self.assertEqual(
            [], checks.done(_answer(tells), found, essence, tells)
        )

    def test_an_owner_is_not_told(self) -> None:
        told = dataclasses.replace(_HERE, metadata={'maintenance:id': '1'})
        wanted, tells = _facts(told).essence(), {'cause': None}
        says = {'cause': None, 'untold': [{'id': 'web-id', 'cause': '409'}]}
        row = {'host': 'host1', 'cause': 'owners not told: web-id: 409'}
        for truth in (_answer(says, stderr='web-id: 409'), _answer([row])):
            for server, right in ((_HERE, True), (told, False)):
                found = _facts(server)
                wrong = checks.done(truth, found, wanted, tells)
                self.assertEqual(right, not wrong, f'{wrong} {truth}')
        # of what was planned, and nothing new
        for before, right in ((told, True), (_HERE, False)):
            wrong = checks.done(
                *(_answer([row]), _facts(told), wanted, tells),
                before=_facts(before),
            )
            self.assertEqual(right, not wrong, str(wrong))
        for lie in (
            _answer({'cause': None, 'untold': []}),
            _answer(says),
            _answer([row | {'cause': None}]),
        ):
            wrong = checks.done(lie, _facts(_HERE), wanted, tells)
            self.assertNotEqual([], wrong, str(lie))

    def test_of_several_hosts(self) -> None:
        found = _facts(_GONE)
        row = {
            'host': 'host1',
            'state': 'maintenance',
            'action': 'entered',
            'changed': True,
            'cause': None,
        }
        tells = reading.essence(_answer([row]), 'host1')
        for rows in (
            [],
            [row | {'host': 'host2'}],
            [row | {'action': 'overdue'}],
            [row | {'changed': False}],
        ):
            answer = _answer(rows)
            wrong = checks.done(answer, found, found.essence(), tells)
            self.assertNotEqual([], wrong, str(rows))

    def test_more_is_left(self) -> None:
        for state, cause, action, leaves, more in (
            ('migrating', '1 server is on its way', 'draining', False, True),
            ('migrating', None, 'draining', False, False),
            ('migrating', None, 'entered', True, True),
            ('maintenance', None, 'draining', False, True),
            ('maintenance', None, 'drained', True, False),
        ):
            row = {'state': state, 'cause': cause, 'action': action}
            told = reading.says_that_more_is_left(
                _answer([row]), leaves=leaves
            )
            self.assertEqual(more, told, str(row))

    def test_notes_are_lost(self) -> None:
        for key in ('move:web-id', 'stopped:web-id', 'told:web-id', 'drain'):
            noted = _RECORD | {f'maintenance:{key}': 'x'}
            self.assertNotEqual(
                [],
                facts.differences(
                    _facts(_GONE, record=noted).essence(),
                    _facts(_GONE).essence(),
                ),
            )


class TestMoves(testtools.TestCase):
    def _wrong(
        self, server: facts.Server, outcome: str, there: str | None
    ) -> list[str]:
        move = {
            'id': 'web-id',
            'name': 'web',
            'outcome': outcome,
            'destination': there,
        }
        return checks.moves(_answer({'moves': [move]}), _facts(server))

    def test_what_became_of_each(self) -> None:
        off = dataclasses.replace(_HERE, status='SHUTOFF')
        for server, outcome, there, is_so in (
            (_GONE, 'moved', 'host2', True),
            (_GONE, 'moved', 'host3', False),
            (_HERE, 'moved', 'host2', False),
            (_UNCONFIRMED, 'moved', 'host2', False),
            (_GONE, 'blocked', None, False),
            (_HERE, 'blocked', None, True),
            (_HERE, 'stopped', None, False),
            (off, 'stopped', None, True),
        ):
            wrong = self._wrong(server, outcome, there)
            self.assertIs(is_so, not wrong, f'{server} {outcome} {wrong}')

    def test_how_often(self) -> None:
        before, after = _facts(_HERE), _facts(_GONE)
        self.assertEqual([], checks.moved(before, after, {'web': 1}))
        for times in ({}, {'web': 2}):
            self.assertNotEqual([], checks.moved(before, after, times))


class TestAgain(testtools.TestCase):
    def test_a_lie(self) -> None:
        found = _facts(_GONE)
        tells = {'state': 'maintenance'}
        for answer in (
            _answer(tells, code=1, stderr='no'),
            _answer({'state': 'error'}),
            _answer(tells, stderr='Traceback'),
        ):
            wrong = checks.again(
                answer, found, found.essence(), tells, 'again'
            )
            self.assertNotEqual([], wrong, str(answer))

    def test_nothing_is_left_to_do(self) -> None:
        self.assertEqual([], checks.nothing(_answer({'changed': False})))
        for answer in (
            _answer({'changed': True}),
            _answer({'changed': True}, requests=(_WRITE,)),
            _answer(requests=(_WRITE,)),
            _answer(code=1),
        ):
            self.assertNotEqual([], checks.nothing(answer), str(answer))

    def test_what_was_before_is_not_brought_back(self) -> None:
        first = facts.Facts('host1', 'disabled', 'broken NIC', None, {}, {})
        self.assertEqual([], checks.undone(first, first))
        for last in (
            dataclasses.replace(first, reason=None),
            dataclasses.replace(first, status='enabled'),
            dataclasses.replace(first, members=()),
            dataclasses.replace(first, metadata=_RECORD),
            dataclasses.replace(first, servers={'web': _UNCONFIRMED}),
        ):
            self.assertNotEqual([], checks.undone(first, last), str(last))
