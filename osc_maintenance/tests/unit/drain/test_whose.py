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

"""What somebody else begins is nobody's to confirm or to abort."""

import collections.abc
import dataclasses
import typing
from unittest import mock

from osc_maintenance.drain import events
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import simulation
from osc_maintenance.tests.unit.drain import test_loop_base as base
from osc_maintenance.tests.unit.drain import test_returning_base


class TestDrain(base.LoopTestCase):
    def begun_by_somebody(
        self,
        wanted: collections.abc.Callable[[events.Event], bool],
        seconds: float,
        kind: str = servers.RESIZE,
        **script: typing.Any,
    ) -> list[str]:
        """What becomes of a move that somebody begins after some event."""
        self.afresh()
        world = self.world
        world.add('off')
        world.script('off', **script)
        world.script(world.add('long', ram=9999), seconds=60)
        drain = self.drain()

        def begin() -> None:
            guest = world.guests['off']
            if guest.task_state is None and guest.host == base.HOST:
                world.begin('off', kind, 'owner', 'h2')

        waiting = True
        while drain.step():
            if waiting and wanted(drain.events[-1]):
                waiting = False
                world.at(world.now + seconds, begin)
        return [
            row.migration.status
            for row in world.rows
            if row.migration.server == 'off' and row.migration.user == 'owner'
        ]

    def test_after_a_request_that_was_lost(self) -> None:
        for kind in (servers.RESIZE, servers.COLD_MIGRATION):
            for tenths in range(1, 50, 4):
                statuses = self.begun_by_somebody(
                    lambda event: isinstance(event, events.Trouble),
                    tenths / 10,
                    kind,
                    answers=['dropped'],
                )
                self.assertNotIn('confirmed', statuses, f'{kind} {tenths}')

    def test_after_a_move_that_failed_at_once(self) -> None:
        for tenths in range(1, 60, 2):
            statuses = self.begun_by_somebody(
                lambda event: (
                    isinstance(event, events.Started)
                    and event.move.server.id == 'off'
                ),
                tenths / 10,
                fails=['no host'],
                unseen=0.01,
                scheduling=0.05,
            )
            self.assertNotIn('confirmed', statuses, f'{tenths}')

    def test_a_live_migration_is_not_aborted(self) -> None:
        world = self.world
        world.script(world.add('web'), answers=['dropped'], seconds=300)
        drain = self.drain(server_timeout=30)
        while not drain.of(events.Trouble):
            drain.step()
        world.at(
            world.now + 0.5,
            lambda: world.begin('web', servers.LIVE_MIGRATION, 'bob', 'h2'),
        )
        drain.run()
        self.assertEqual(0, world.requests['abort'])


class TestUnclaimed(TestDrain):
    """The same where nobody tells who has asked for a migration."""

    def setUp(self) -> None:
        super().setUp()
        real = base.Client.migrations

        def migrations(
            client: base.Client, *args: typing.Any, **kwargs: typing.Any
        ) -> list[servers.Migration]:
            found = real(client, *args, **kwargs)
            return [dataclasses.replace(item, user=None) for item in found]

        silent = mock.patch.object(base.Client, 'migrations', migrations)
        silent.start()
        self.addCleanup(silent.stop)

    def test_what_a_drain_has_asked_for_is_confirmed_by_it(self) -> None:
        self.world.add('off', vm_state='stopped')
        self.world.add('web')
        drain = self.drain().run()
        self.assertEqual({'off': 'moved', 'web': 'moved'}, drain.outcomes())

    def test_what_it_has_asked_for_and_takes_too_long_is_aborted(self) -> None:
        self.world.script(self.world.add('web'), seconds=300)
        drain = self.drain(server_timeout=30).run()
        self.assertIn('was aborted', str(drain.move('web').cause))

    def test_one_of_its_kind_after_its_own_has_failed_at_once(self) -> None:
        begun = 0
        for tenths in range(1, 20):
            self.afresh()
            world = self.world
            world.add('off', vm_state='stopped')
            world.script(
                'off', fails=['no host'], unseen=0.01, scheduling=0.05
            )
            drain = self.drain()
            while not drain.of(events.Started):
                drain.step()
            world.advance(world.now + tenths / 10)
            if world.guests['off'].task_state is None:
                world.begin('off', servers.COLD_MIGRATION, 'bob', 'h2')
                begun += 1
            drain.run()
            theirs = [
                row.migration.status
                for row in world.rows
                if row.migration.user == 'bob'
            ]
            self.assertNotIn('confirmed', theirs, f'{tenths}')
        self.assertNotEqual(0, begun)

    def test_what_another_run_may_have_asked_for_is_left(self) -> None:
        self.world.add('off', vm_state='stopped')
        first = self.drain()
        while not first.of(events.Started):
            first.step()
        drain = self.drain().run()
        (move,) = drain.loop.moves
        self.assertEqual(
            'somebody whom Nova does not name has moved it, and has to '
            'confirm that',
            move.cause,
        )
        self.assertEqual(0, self.world.requests['confirm'])


class World(simulation.World):
    """Nova takes a record that was left behind for the next migration."""

    def begin(
        self, name: str, kind: str, user: str, target: str | None = None
    ) -> simulation.Row:
        for row in self.rows:
            known = row.migration
            if (
                (known.server, known.kind) == (name, kind)
                and kind == servers.COLD_MIGRATION
                and known.status == 'pre-migrating'
            ):
                row.before = self.guests[name]
                self.set(name, task_state='resize_prep', status='RESIZE')
                self.go(row, self._cold(row, '', self.scripts[name]))
                return row
        return super().begin(name, kind, user, target)


class TestReused(base.LoopTestCase):
    def afresh(self) -> None:
        super().afresh()
        self.world = World()
        self.world.end = 3600
        self.world.add('off', vm_state='stopped')

    def test_from_before_the_maintenance(self) -> None:
        for user in ('alice', 'bob'):
            self.afresh()
            row = self.world.begin('off', servers.COLD_MIGRATION, user)
            self.world.advance(0.2)
            self.world.forget(row)
            self.assertEqual('pre-migrating', row.migration.status)
            self.world.advance(1000)
            drain = self.drain().run()
            self.assertEqual({'off': 'moved'}, drain.outcomes(), user)
            self.assertEqual('SHUTOFF', self.world.guests['off'].status)
            self.assertEqual([row], self.world.rows)

    def test_from_an_earlier_try(self) -> None:
        self.world.script('off', scheduling=30)

        def forget() -> None:
            self.world.forget(self.world.rows[0])
            self.world.script('off', scheduling=0.3)

        self.world.at(10, forget)
        drain = self.drain().run()
        self.assertEqual({'off': 'moved'}, drain.outcomes())
        self.assertEqual('SHUTOFF', self.world.guests['off'].status)
        self.assertEqual(1, len(self.world.rows))


class TestReturn(test_returning_base.ReturningTestCase):
    def test_a_resize_is_not_confirmed(self) -> None:
        self.world.add('off', vm_state='stopped')
        self.drained('off', 'web')
        world = self.world
        world.script('off', answers=['dropped'])
        journey = self.surveyed()

        def report(event: events.Event) -> None:
            if isinstance(event, events.Trouble):
                world.at(
                    world.now + 0.3,
                    lambda: world.begin(
                        'off', servers.RESIZE, 'owner', base.HOST
                    ),
                )

        self.bring_back(journey, report)
        self.assertNotIn(
            (servers.RESIZE, 'confirmed'),
            [(r.migration.kind, r.migration.status) for r in world.rows],
        )

    def test_a_record_that_nova_takes_again(self) -> None:
        self.world = World()
        self.world.add('off', vm_state='stopped')
        self.drained('off')
        row = self.world.begin('off', servers.COLD_MIGRATION, 'owner')
        while row.migration.status != 'pre-migrating':
            self.pass_time(0.1)
        self.world.forget(row)
        self.pass_time(60)
        result = self.bring_back(self.surveyed())
        self.assertEqual({'off': 'moved'}, self.outcomes(result))
        self.check_back('off')
        self.assertEqual('SHUTOFF', self.world.guests['off'].status)
