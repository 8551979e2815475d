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

import dataclasses
from unittest import mock

from osc_lib import exceptions
from oslotest import base

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance.drain import verdict
from osc_maintenance import journal
from osc_maintenance import notice
from osc_maintenance import notices
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes

_A = verdict.Action
WEB, DB = scenes.server('web'), scenes.server('db')
MINE = {'color': 'blue', 'maintenance:policy': 'keep'}


def telling(
    *notes: dict[str, str | None], notify: bool = True
) -> compute.Host:
    """A host in maintenance, whose owners are to be told."""
    entered = scenes.entered(request=asking.Request(notify=notify))
    return scenes.after(entered, *map(change.WriteRecord, notes))


def broken(host: compute.Host) -> compute.Host:
    """The same with a record that cannot be read."""
    damage = change.WriteRecord({'maintenance:window_start': 'soon'})
    return scenes.after(host, damage)


def enabled(host: compute.Host) -> compute.Host:
    """The same when somebody has enabled the service."""
    return scenes.disabled_by_somebody(host, 'enabled', None)


class NoticesTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.have(telling())

    def have(self, host: compute.Host, *here: servers.Server) -> None:
        """Begin with a host and servers on it."""
        self.clients = fakes.Clients(host)
        self.waits: list[float] = []
        self.place(*(here or (WEB, DB)))

    def place(self, *here: servers.Server, on: str = 'compute1') -> None:
        self.clients.servers.loads[on] = servers.Load(on, here)

    @property
    def host(self) -> compute.Host:
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

    def test_nova_leaves_one_out(self) -> None:
        # its cell does not answer in time when they are listed
        reply = {'maintenance:reply': 'x keep'}
        web = scenes.server('web', host='compute1', said=reply)
        self.have(telling(), web, DB)
        self.tell()
        waits: list[float] = []
        _host, failed = notices.tell(
            fakes.real(self.clients),
            self.host,
            servers.Load('compute1', (DB,)),
            {},
            waits.append,
        )
        self.assertIn('leaves servers of compute1 out', failed['web-id'])
        self.assertEqual([1.0, 2.0, 4.0], waits)
        self.assertEqual({'web-id', 'db-id'}, self.host.journal.told)
        found = self.clients.servers.server('web-id')
        assert found is not None
        self.assertLessEqual(
            {'maintenance:id', *reply}, {*found.said}, str(found.said)
        )

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
        ends = asking.Request(end=scenes.NOW + scenes.HOUR)
        for request, gone in (
            (ends, 'maintenance:removal'),
            (asking.Request(removal=True), 'maintenance:window_end'),
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
