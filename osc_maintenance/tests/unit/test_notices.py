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

"""Whose notices are written and removed, on a Nova in memory."""

import collections.abc
import dataclasses
import datetime
import functools
import itertools
from unittest import mock

import fixtures
from osc_lib import exceptions
from oslotest import base

from osc_maintenance import change
from osc_maintenance.drain import verdict
from osc_maintenance import journal
from osc_maintenance import notice
from osc_maintenance import notices
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance import starting
from osc_maintenance import state
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes
from osc_maintenance import writes

_A = verdict.Action
WEB, DB = scenes.server('web'), scenes.server('db')
MINE = {'color': 'blue', 'maintenance:policy': 'keep'}


def telling(*notes: dict[str, str | None], notify: bool = True) -> state.Host:
    """A host in maintenance, whose owners are to be told."""
    entered = scenes.entered(request=change.Request(notify=notify))
    return scenes.after(entered, *map(change.WriteRecord, notes))


def broken(host: state.Host) -> state.Host:
    """The same with a record that cannot be read."""
    damage = change.WriteRecord({'maintenance:window_start': 'soon'})
    return scenes.after(host, damage)


def enabled(host: state.Host) -> state.Host:
    """The same when somebody has enabled the service."""
    return scenes.disabled_by_somebody(host, 'enabled', None)


class NoticesTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.have(telling())

    def have(self, host: state.Host, *here: servers.Server) -> None:
        """Begin with a host and servers on it."""
        self.clients = fakes.Clients(host)
        self.waits: list[float] = []
        self.place(*(here or (WEB, DB)))

    def place(self, *here: servers.Server, on: str = 'compute1') -> None:
        self.clients.servers.loads[on] = servers.Load(on, here)

    @property
    def host(self) -> state.Host:
        return self.clients.nova.hosts['compute1']

    def tell(self, **verdicts: verdict.Action) -> dict[str, str]:
        """Tell the owners; why that could not be done, by server id."""
        self.clients.owned.writes.clear()
        _host, failed = notices.tell(
            fakes.real(self.clients),
            self.host,
            self.clients.servers.loads['compute1'],
            {
                f'{name}-id': verdict.Verdict(action)
                for name, action in verdicts.items()
            },
            self.pause,
        )
        return failed

    def pause(self, seconds: float) -> None:
        """Wait before what has failed is tried again."""
        self.waits.append(seconds)

    def said(self, server: servers.Server) -> dict[str, str]:
        """The metadata of a server."""
        found = self.clients.servers.server(server.id)
        assert found
        return dict(found.said)

    def actions(self) -> dict[str, str]:
        """What the owners are told, by the names of their servers."""
        return {
            item.name: told.action
            for item in self.clients.owned.all(all_projects=True)
            if (told := notice.decode(item.said))
        }


class TestTell(NoticesTestCase):
    def test_each_is_told_once(self) -> None:
        self.assertEqual({}, self.tell(web=_A.LIVE_MIGRATE))
        self.assertEqual({'web': 'live-migrate', 'db': 'stay'}, self.actions())
        self.assertEqual({'web-id', 'db-id'}, self.host.journal.told)
        self.clients.nova.writes.clear()
        self.assertEqual({}, self.tell(web=_A.LIVE_MIGRATE))
        self.assertEqual(0, self.clients.changes)

    def test_one_that_has_been_stopped(self) -> None:
        off = dataclasses.replace(WEB, vm_state='stopped')
        self.have(
            telling(noting.stopping(journal.Journal(), [WEB.id])), off, DB
        )
        self.tell(web=_A.LEAVE)
        self.assertEqual({'web': 'stop', 'db': 'stay'}, self.actions())

    def test_it_is_noted_first(self) -> None:
        for server in (WEB, DB):
            self.clients.owned.refusals[server.id] = exceptions.CommandError(
                f'{server.name}: HTTP 409'
            )
        failed = self.tell()
        self.assertEqual(
            {'web-id': 'web: HTTP 409', 'db-id': 'db: HTTP 409'}, failed
        )
        self.assertEqual({'web-id', 'db-id'}, self.host.journal.told)

    def test_one_refusal_keeps_nobody_else(self) -> None:
        refusal = exceptions.CommandError('HTTP 403: quota \x1b[2J')
        self.clients.owned.refusals['web-id'] = refusal
        self.assertEqual({'web-id': 'HTTP 403: quota \\x1b[2J'}, self.tell())
        self.assertEqual({'db': 'stay'}, self.actions())

    def test_one_refusal_is_not_worth_waiting_for(self) -> None:
        refusal = exceptions.CommandError('HTTP 409')
        self.clients.owned.refusals['web-id'] = refusal
        self.assertEqual({'web-id': 'HTTP 409'}, self.tell())
        self.assertEqual([], self.waits)

    def test_nova_does_not_answer_just_now(self) -> None:
        # nobody comes back to it, unless apply is run by cron
        refusals = self.clients.owned.refusals
        refusals['web-id'] = api.TransientError('HTTP 503')
        refusals['db-id'] = exceptions.CommandError('HTTP 409')
        with mock.patch.object(self, 'pause', lambda _s: refusals.clear()):
            self.assertEqual({'db-id': 'HTTP 409'}, self.tell())
        self.assertEqual({'web': 'stay'}, self.actions())
        self.assertEqual([('tell', 'web-id')], self.clients.owned.writes)

    def test_nova_goes_on_not_answering(self) -> None:
        self.clients.owned.refusals['web-id'] = api.TransientError('HTTP 503')
        self.assertEqual({'web-id': 'HTTP 503'}, self.tell())
        self.assertEqual({'db': 'stay'}, self.actions())
        self.assertEqual([1.0, 2.0, 4.0], self.waits)

    def test_it_is_written_and_nobody_says_so(self) -> None:
        for lost in (exceptions.CommandError, api.TransientError):
            self.have(telling())
            self.clients.owned.lost['web-id'] = lost('no answer')
            self.assertEqual({}, self.tell())
            self.assertEqual({'web': 'stay', 'db': 'stay'}, self.actions())
            self.assertEqual([], self.waits)

    def test_one_is_deleted_meanwhile(self) -> None:
        refusal = exceptions.CommandError('HTTP 404')
        self.clients.owned.refusals['web-id'] = refusal
        with mock.patch.object(
            self.clients.servers, 'server', return_value=None
        ):
            self.assertEqual({}, self.tell())

    def test_a_change_of_plan(self) -> None:
        self.tell(web=_A.LIVE_MIGRATE)
        self.tell(web=_A.BLOCKED)
        self.assertEqual([('tell', 'web-id')], self.clients.owned.writes)
        self.assertEqual({'web': 'undecided', 'db': 'stay'}, self.actions())
        ends = change.Request(end=scenes.NOW + scenes.HOUR)
        for request, gone in (
            (ends, 'maintenance:removal'),
            (change.Request(removal=True), 'maintenance:window_end'),
        ):
            steps = change.to_set(self.host, request, 'bob', scenes.NOW)
            self.clients.nova.hosts['compute1'] = scenes.after(
                self.host, *steps
            )
            self.tell()
            self.assertNotIn(gone, self.said(WEB))
            self.assertIn('maintenance:id', self.said(WEB))

    def test_nothing_else_is_touched(self) -> None:
        self.have(telling(), dataclasses.replace(WEB, said=MINE))
        self.tell()
        said = self.said(WEB)
        self.assertEqual(MINE, {key: said[key] for key in MINE})
        self.assertEqual({'web': 'stay'}, self.actions())
        nobody = change.WriteRecord({'maintenance:notify_owners': None})
        self.clients.nova.hosts['compute1'] = scenes.after(self.host, nobody)
        self.tell()
        self.assertEqual(MINE, self.said(WEB))
        self.assertEqual(frozenset(), self.host.journal.told)

    def test_one_that_has_left(self) -> None:
        self.tell()
        (web, db) = self.clients.servers.loads['compute1'].servers or ()
        self.place(db)
        self.place(web, on='compute2')
        self.tell()
        self.assertEqual({'db': 'stay'}, self.actions())
        self.assertEqual({'db-id'}, self.host.journal.told)

    def test_one_that_is_told_of_another_maintenance_by_now(self) -> None:
        self.tell()
        (web, db) = self.clients.servers.loads['compute1'].servers or ()
        other = {**web.said, 'maintenance:id': '0000000a'}
        self.place(db)
        self.place(dataclasses.replace(web, said=other), on='compute2')
        entered = scenes.claimed(scenes.host(), '0000000a')
        self.clients.nova.hosts['compute2'] = fakes.named(entered, 'compute2')
        self.assertEqual({}, self.tell())
        self.assertEqual(other, self.said(WEB))
        self.assertEqual({'db-id'}, self.host.journal.told)

    def test_one_whose_id_somebody_has_changed(self) -> None:
        for identity in ('deadbeef', 'x', None):
            self.have(telling(), WEB)
            self.tell()
            (web,) = self.clients.servers.loads['compute1'].servers or ()
            said = {**web.said, 'maintenance:reply': 'deadbeef keep'}
            said.pop('maintenance:id')
            if identity:
                said['maintenance:id'] = identity
            self.place(dataclasses.replace(web, said=said), on='compute2')
            self.place()
            self.assertEqual({}, self.tell())
            self.assertEqual({}, self.said(WEB), str(identity))

    def test_one_that_is_gone_for_good(self) -> None:
        self.tell()
        self.place()
        self.assertEqual({}, self.tell())
        self.assertEqual(frozenset(), self.host.journal.told)

    def test_one_on_which_the_notice_cannot_be_removed(self) -> None:
        self.tell()
        (web, _db) = self.clients.servers.loads['compute1'].servers or ()
        self.place()
        self.place(web, on='compute2')
        refusal = exceptions.CommandError('HTTP 409')
        self.clients.owned.refusals['web-id'] = refusal
        self.assertEqual({'web-id': 'HTTP 409'}, self.tell())
        self.assertEqual({'web-id'}, self.host.journal.told)

        self.assertEqual([], self.waits)

    def test_one_on_which_it_cannot_be_removed_just_now(self) -> None:
        self.tell()
        (web, db) = self.clients.servers.loads['compute1'].servers or ()
        self.place()
        for server in (web, db):
            self.place(server, on=f'of-{server.name}')
        refusals = self.clients.owned.refusals
        refusals['web-id'] = api.TransientError('HTTP 503')
        refusals['db-id'] = exceptions.CommandError('HTTP 409')
        with mock.patch.object(self, 'pause', lambda _s: refusals.clear()):
            self.assertEqual({'db-id': 'HTTP 409'}, self.tell())
        self.assertEqual({'db': 'stay'}, self.actions())
        self.assertEqual({'db-id'}, self.host.journal.told)

    def test_one_that_is_on_its_way(self) -> None:
        going = dataclasses.replace(WEB, task_state='migrating')
        self.have(telling(), going)
        self.assertEqual({}, self.tell())
        self.assertEqual([], self.clients.owned.writes)

    def test_nobody_is_to_be_told(self) -> None:
        for host in (telling(notify=False), enabled(telling())):
            self.have(host)
            self.assertEqual({}, self.tell())
            self.assertEqual(0, self.clients.changes)

    def test_what_was_told_stays_while_nobody_knows_what_is_true(self) -> None:
        self.tell()
        for change_ in (broken, enabled):
            self.clients.nova.hosts['compute1'] = change_(self.host)
            self.clients.nova.writes.clear()
            self.assertEqual({}, self.tell())
            self.assertEqual(0, self.clients.changes)
            self.assertEqual({'web': 'stay', 'db': 'stay'}, self.actions())


class TestWithdraw(NoticesTestCase):
    def test_all_are_removed(self) -> None:
        self.tell()
        found = notices.withdraw(fakes.real(self.clients), self.host)
        self.assertEqual({}, found)
        self.assertEqual({}, self.actions())
        self.assertEqual({}, self.said(WEB))

    def test_one_cannot_be(self) -> None:
        self.tell()
        refusal = exceptions.CommandError('HTTP 409')
        self.clients.owned.refusals['web-id'] = refusal
        waits: list[float] = []
        found = notices.withdraw(
            fakes.real(self.clients), self.host, waits.append
        )
        self.assertEqual({'web-id': 'HTTP 409'}, found)
        self.assertEqual({'web': 'stay'}, self.actions())
        self.assertEqual([1.0, 2.0, 4.0], waits)

    def test_one_cannot_be_just_now(self) -> None:
        # nobody would come back to it once the record is gone
        self.tell()
        refusals = self.clients.owned.refusals
        refusals['web-id'] = exceptions.CommandError('HTTP 409')
        found = notices.withdraw(
            fakes.real(self.clients), self.host, lambda _s: refusals.clear()
        )
        self.assertEqual({}, found)
        self.assertEqual({}, self.actions())

    def _meanwhile(self, act: collections.abc.Callable[[], object]) -> None:
        """Have somebody else act before the first notice is removed."""
        real = self.clients.owned.untell

        def once(server: servers.Server, keys: set[str]) -> None:
            patch.stop()
            act()
            real(server, keys)

        patch = mock.patch.object(
            self.clients.owned, 'untell', side_effect=once
        )
        self.addCleanup(patch.start().assert_called)

    def test_nobody_is_told_meanwhile(self) -> None:
        self.have(telling(), WEB)
        self.tell()
        clients = fakes.real(self.clients)
        # apply comes across the record just then, and there is one more
        self.place(*self.clients.servers.on('compute1'), DB)
        self._meanwhile(
            lambda: notices.tell_all(clients, self.host, scenes.NOW)
        )
        notices.withdraw(clients, self.host)
        self.assertEqual({}, self.actions())

    def test_somebody_is_told_meanwhile(self) -> None:
        # by who has read the record before that was noted
        many = [scenes.server(f'web{number}') for number in range(70)]
        for here in ([WEB], many):
            self.have(telling(), *here)
            self.tell()
            self.as_if_slow()
            clients, stale = fakes.real(self.clients), self.host
            self.place(*self.clients.servers.on('compute1'), DB)
            load = self.clients.servers.loads['compute1']
            self._meanwhile(
                functools.partial(notices.tell, clients, stale, load, {})
            )
            self.assertRaises(
                api.OvertakenError, notices.withdraw, clients, self.host
            )
            notices.withdraw(clients, self.host)
            self.assertEqual({}, self.actions())

    def test_there_are_many(self) -> None:
        # or else it looks as if nobody went on with it
        many = [scenes.server(f'web{number}') for number in range(150)]
        for slow, notes in ((False, 1), (True, 3)):
            self.have(telling(), *many)
            self.tell()
            if slow:
                self.as_if_slow()
            self.clients.nova.writes.clear()
            clients = fakes.real(self.clients)
            self.assertEqual({}, notices.withdraw(clients, self.host))
            self.assertEqual({}, self.actions())
            self.assertEqual(
                [('WriteRecord', 'compute1')] * notes, self.clients.nova.writes
            )
        self.assertIsNotNone(self.host.journal.return_noted)

    def as_if_slow(self) -> None:
        """Let a quarter of a minute pass from each look at the clock on."""
        quarter = datetime.timedelta(seconds=15)
        moments = (scenes.NOW + n * quarter for n in itertools.count())
        self.useFixture(
            fixtures.MockPatch(
                'osc_maintenance.times.now', lambda: next(moments)
            )
        )

    def test_somebody_enters_it_again_while_there_are_many(self) -> None:
        self.as_if_slow()
        many = [scenes.server(f'web{number}') for number in range(150)]
        self.have(telling(), *many)
        self.tell()
        clients, host = (
            fakes.real(self.clients),
            starting.announce(fakes.real(self.clients), self.host),
        )
        self._meanwhile(
            lambda: writes.note(
                clients.nova, self.host, {'maintenance:return': None}
            )
        )
        self.assertRaises(api.OvertakenError, notices.withdraw, clients, host)
        self.assertFalse(self.host.journal.returning)

    def test_nobody_was_told(self) -> None:
        self.assertEqual(
            {}, notices.withdraw(fakes.real(self.clients), self.host)
        )
        self.assertEqual([], self.clients.nova.writes)


class TestAgain(NoticesTestCase):
    """Nobody is to be told any more, and somebody goes on and tells them."""

    def _check(self, over: state.Host, again: dict[str, str | None]) -> None:
        self.have(over)
        self.clients.nova.hosts['compute1'] = telling()
        self.tell()
        self.clients.nova.hosts['compute1'] = over
        clients = fakes.real(self.clients)
        load = self.clients.servers.loads['compute1']
        real = self.clients.owned.untell

        def untell(
            server: servers.Server, keys: collections.abc.Iterable[str]
        ) -> None:
            real(server, keys)
            if not self.actions():
                # all are gone, and that is to be noted
                writes.note(clients.nova, self.host, again)
                self.tell()

        with mock.patch.object(self.clients.owned, 'untell', untell):
            self.assertRaises(
                api.OvertakenError,
                notices.tell,
                *(clients, over, load, {}, self.pause),
            )
        # whoever ends it finds them
        self.assertEqual({'web': 'stay', 'db': 'stay'}, self.actions())
        self.assertEqual({'web-id', 'db-id'}, self.host.journal.told)

    def test_its_servers_were_to_return(self) -> None:
        told = noting.telling(['web-id', 'db-id'])
        notes = noting.returning({}, scenes.NOW, brings_back=True)
        self._check(telling(told, notes), {'maintenance:return': None})

    def test_owners_were_to_be_told_no_more(self) -> None:
        told = noting.telling(['web-id', 'db-id'])
        self._check(
            telling(told, notify=False), {'maintenance:notify_owners': 'true'}
        )


class TestFarewell(NoticesTestCase):
    def test_one_that_has_moved_away(self) -> None:
        self.tell()
        farewell = notices.Farewell(fakes.real(self.clients), self.host)
        with mock.patch('osc_maintenance.parallel.start') as start:
            farewell(WEB)
        (call,) = start.mock_calls
        call.args[0]()
        self.assertEqual({'db': 'stay'}, self.actions())

    def test_there_is_nobody_to_be_told(self) -> None:
        self.have(telling(notify=False))
        farewell = notices.Farewell(fakes.real(self.clients), self.host)
        with mock.patch('osc_maintenance.parallel.start') as start:
            farewell(WEB)
        self.assertEqual([], start.mock_calls)


class TestConcern(base.BaseTestCase):
    def test_whether_anybody_is(self) -> None:
        told = noting.telling(['web-id'])
        for host, concern in (
            (telling(), True),
            (telling(notify=False), False),
            (telling(told, notify=False), True),
            (
                telling(noting.returning({}, scenes.NOW, brings_back=False)),
                False,
            ),
            (
                telling(
                    noting.returning({}, scenes.NOW, brings_back=False), told
                ),
                True,
            ),
            # nobody knows what is true of these
            (broken(telling(told)), False),
            (enabled(telling(told)), False),
        ):
            self.assertIs(concern, notices.concern(host))
