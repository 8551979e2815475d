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

"""How notices are removed, on a Nova in memory."""

import collections.abc
import datetime
import functools
import itertools
from unittest import mock

import fixtures
from osc_lib import exceptions

from osc_maintenance import compute
from osc_maintenance import notices
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance import starting
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes
from osc_maintenance.tests.unit import test_notices
from osc_maintenance import writes

WEB, DB, MINE = test_notices.WEB, test_notices.DB, test_notices.MINE
telling = test_notices.telling


class TestWithdraw(test_notices.NoticesTestCase):
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

    def test_one_is_not_found_for_this_account(self) -> None:
        self.tell()
        clients = fakes.real(self.clients)
        with mock.patch.object(clients.owned, 'untell', return_value=False):
            found = notices.withdraw(clients, self.host, lambda _s: None)
        self.assertIn('web (web-id)', found['web-id'])
        self.assertIn('an admin can remove its notice', found['web-id'])

    def test_one_was_gone_already(self) -> None:
        self.tell()
        clients = fakes.real(self.clients)
        real = clients.owned.untell

        def untell(server: servers.Server, keys: set[str]) -> bool:
            real(server, keys)
            return False

        with mock.patch.object(clients.owned, 'untell', untell):
            found = notices.withdraw(clients, self.host)
        self.assertEqual({}, found)
        self.assertEqual({}, self.actions())

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

        def once(server: servers.Server, keys: set[str]) -> bool:
            patch.stop()
            act()
            return real(server, keys)

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


class TestAgain(test_notices.NoticesTestCase):
    """Nobody is to be told any more, and somebody goes on and tells them."""

    def _check(self, over: compute.Host, again: dict[str, str | None]) -> None:
        self.have(over)
        self.clients.nova.hosts['compute1'] = telling()
        self.tell()
        self.clients.nova.hosts['compute1'] = over
        clients = fakes.real(self.clients)
        load = self.clients.servers.loads['compute1']
        real = self.clients.owned.untell

        def untell(
            server: servers.Server, keys: collections.abc.Iterable[str]
        ) -> bool:
            real(server, keys)
            if not self.actions():
                # all are gone, and that is to be noted
                writes.note(clients.nova, self.host, again)
                self.tell()
            return True

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


class TestFarewell(test_notices.NoticesTestCase):
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
