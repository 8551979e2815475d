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

import datetime
import itertools

import hypothesis
from hypothesis import strategies
from oslotest import base

from osc_maintenance import servers
from osc_maintenance.tests.unit import scenes

NOW = scenes.NOW
SECOND = datetime.timedelta(seconds=1)
_NUMBERS = itertools.count(1)


def migration(
    status: str,
    source: str | None = 'compute1',
    dest: str | None = 'compute2',
    *,
    server: str = 'web',
    kind: str = servers.LIVE_MIGRATION,
) -> servers.Migration:
    """A migration that is later than those before it."""
    number = next(_NUMBERS)
    return servers.Migration(number, server, kind, status, source, dest)


def load(
    *migrations: servers.Migration, here: tuple[servers.Server, ...] = ()
) -> servers.Load:
    """What is on compute1, whatever the order Nova tells it in."""
    return servers.Load('compute1', here, tuple(reversed(migrations)))


class TestServer(base.BaseTestCase):
    def test_what_is_not_known_of_it(self) -> None:
        server = servers.Server('a', 'web')
        self.assertEqual(
            (False, 0, 0), (server.locked, server.ram, server.disk)
        )
        self.assertEqual({}, server.extra_specs)

    def test_moves(self) -> None:
        for task_state, moves in (
            (None, False),
            ('migrating', True),
            ('resize_prep', True),
            ('resize_migrated', True),
            ('resize_finish', True),
            # an owner's own doing
            ('rebuilding', False),
            ('rebooting', False),
            ('powering-off', False),
            ('image_snapshot', False),
        ):
            with self.subTest(task_state=task_state):
                server = servers.Server('a', 'web', task_state=task_state)
                self.assertIs(moves, server.moves)

    def test_runs(self) -> None:
        for vm_state, power_state, runs in (
            ('active', 1, True),
            # Nova has not noticed that it was shut down in the guest
            ('active', 4, True),
            ('building', 0, True),
            ('paused', 3, True),
            ('rescued', 1, True),
            ('resized', 1, True),
            ('stopped', 4, False),
            ('suspended', 4, False),
            ('shelved', 4, False),
            ('soft-delete', 4, False),
            ('error', 1, True),
            ('error', 0, False),
            ('', 0, False),
        ):
            with self.subTest(vm_state=vm_state, power_state=power_state):
                server = servers.Server(
                    'a', 'web', vm_state=vm_state, power_state=power_state
                )
                self.assertIs(runs, server.runs)
        starting = servers.Server(
            'a', 'web', vm_state='stopped', task_state='powering-on'
        )
        self.assertTrue(starting.runs)


class TestMigration(base.BaseTestCase):
    def test_how_far_it_is(self) -> None:
        words = ('succeeded', 'failed', 'unconfirmed', 'in_progress')
        for statuses, word in (
            (('completed', 'confirmed', 'done'), 'succeeded'),
            (('cancelled', 'error', 'failed', 'reverted'), 'failed'),
            (('finished',), 'unconfirmed'),
            (
                (
                    'accepted',
                    'queued',
                    'preparing',
                    'pre-migrating',
                    'migrating',
                    'running',
                    'post-migrating',
                    'confirming',
                    'reverting',
                    'a status of a later Nova',
                    '',
                ),
                'in_progress',
            ),
        ):
            for status in statuses:
                with self.subTest(status=status):
                    found = migration(status)
                    self.assertEqual(
                        [word], [w for w in words if getattr(found, w)]
                    )

    def test_what_waits(self) -> None:
        for status, waiting, queued in (
            ('accepted', True, False),
            ('queued', True, True),
            ('preparing', False, False),
            ('running', False, False),
            ('finished', False, False),
        ):
            found = migration(status)
            self.assertEqual(
                (waiting, queued), (found.waiting, found.queued), status
            )

    def test_how_long_it_took(self) -> None:
        for created, updated, seconds in (
            (NOW, NOW + 90 * SECOND, 90),
            (NOW, NOW + 1.9 * SECOND, 1),
            # by the clocks of two hosts
            (NOW, NOW - SECOND, 0),
            (None, NOW, None),
            (NOW, None, None),
        ):
            found = servers.Migration(
                1, 'a', 'x', 'done', created=created, updated=updated
            )
            self.assertEqual(seconds, found.seconds)

    @hypothesis.given(
        strategies.lists(
            strategies.tuples(
                strategies.integers(0, 9), strategies.sampled_from('abc')
            ),
            unique_by=lambda item: item[0],
        )
    )
    def test_the_latest_has_the_highest_number(
        self, numbers: list[tuple[int, str]]
    ) -> None:
        found = servers.latest(
            servers.Migration(number, server, 'x', 'done')
            for number, server in numbers
        )
        told = {server: item.id for server, item in found.items()}
        self.assertEqual(
            {server: number for number, server in sorted(numbers)}, told
        )


class TestLoad(base.BaseTestCase):
    def test_each_direction_for_itself(self) -> None:
        out, unconfirmed = migration('running'), migration('finished')
        found = load(
            out,
            migration('running', 'compute2', 'compute1', server='coming'),
            migration('finished', server='away'),
            migration('completed', server='gone'),
            migration('error', server='failed'),
            migration('running', 'compute3', 'compute4', server='else'),
        )
        self.assertEqual([out], found.out)
        self.assertEqual(['coming'], [item.server for item in found.coming])
        self.assertEqual(['away'], [item.server for item in found.unconfirmed])
        self.assertEqual(servers.Movement(1, 1, 1), found.movement)
        self.assertTrue(found.moving)
        # the way back of what came here can be taken there only
        found = load(migration('finished', 'compute2', 'compute1'))
        self.assertEqual(servers.Movement(), found.movement)
        self.assertEqual([unconfirmed], load(unconfirmed).unconfirmed)
        self.assertFalse(load(unconfirmed).moving)

    def test_only_the_latest_of_a_server_counts(self) -> None:
        first, second = migration('running'), migration('completed')
        self.assertEqual([], load(first, second).out)
        self.assertEqual({'web': second}, load(first, second).leaving)
        again = migration('preparing')
        self.assertEqual([again], load(first, second, again).out)
        back = migration('completed', 'compute2', 'compute1')
        # what it left with was before it came back
        self.assertEqual([], load(second, back).coming)

    def test_one_that_was_evacuated_in_the_middle_of_a_migration(self) -> None:
        stale = migration('running')
        evacuated = migration('done', dest='compute3', kind=servers.EVACUATION)
        self.assertEqual([stale], load(stale).out)
        self.assertEqual(servers.Movement(), load(stale, evacuated).movement)
        other = migration('running', server='db')
        self.assertEqual([other], load(stale, other, evacuated).out)

    def test_a_resize_that_stays_on_the_host(self) -> None:
        for status in ('migrating', 'post-migrating', 'finished'):
            found = load(
                migration(status, dest='compute1', kind=servers.RESIZE)
            )
            self.assertEqual(servers.Movement(), found.movement)
            self.assertEqual({}, found.leaving)

    def test_one_whose_destination_is_not_known_yet(self) -> None:
        for dest in (None, ''):
            busy = servers.Server('web', 'web', task_state='migrating')
            found = load(migration('accepted', dest=dest), here=(busy,))
            self.assertEqual(servers.Movement(1, 0, 0), found.movement)

    def test_a_queue_that_nova_has_forgotten(self) -> None:
        idle = servers.Server('web', 'web')
        busy = servers.Server('web', 'web', task_state='migrating')
        other = servers.Server('db', 'db')
        for status, here, out in (
            ('queued', (idle,), 0),
            ('accepted', (idle,), 0),
            ('queued', (busy,), 1),
            # it is elsewhere
            ('queued', (other,), 0),
            ('queued', (), 0),
            ('running', (), 1),
            # its task has just ended, and so will its migration
            ('running', (idle,), 1),
            # Nova ends that of one that is running only
            ('preparing', (idle,), 0),
            ('preparing', (busy,), 1),
        ):
            with self.subTest(status=status, here=here):
                found = load(migration(status), here=here)
                self.assertEqual(out, len(found.out))
                self.assertIs(out > 0, found.moving)
                # nothing else is known of it
                self.assertEqual(['web'], list(found.leaving))

    def test_servers_that_were_not_asked(self) -> None:
        waiting = migration('queued')
        found = servers.Load('compute1', None, (waiting,))
        self.assertEqual([waiting], found.out)
        self.assertFalse(found.nothing)
        self.assertTrue(servers.Load('compute1', None).nothing)

    def test_statuses(self) -> None:
        here = tuple(
            servers.Server(str(number), 'web', status=status)
            for number, status in enumerate(('SHUTOFF', 'ACTIVE', 'SHUTOFF'))
        )
        found = load(here=here).statuses
        self.assertEqual({'ACTIVE': 1, 'SHUTOFF': 2}, found)
        self.assertEqual(['ACTIVE', 'SHUTOFF'], list(found or ()))
        self.assertIsNone(servers.Load('compute1', None).statuses)
