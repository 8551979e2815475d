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

"""What seldom happens in a drain."""

import math

from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.functional import drains
from osc_maintenance.tests.functional import proxy

_ALL = ('--migrate', 'all')


class TestRestarted(drains.DrainTestCase):
    def test_nova_compute_forgets_what_it_was_at(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        off = self.scene.server('off', on=here, status='SHUTOFF')
        self.scene.migration_of(off, cold_seconds=20)
        going = self.set_going(here, *_ALL)
        self.migration(off, 'migrating')
        self.scene.host_down(here)
        self.scene.migration_of(off, cold_seconds=1)
        self.scene.host_up(here)
        drain = self.ended(going)
        self.assertIn('nova-compute was restarted', drain.stderr)
        self.assertEqual('moved', drain.outcome(off))
        self.assert_on(there, off, 'SHUTOFF')
        self.assertEqual('confirmed', self.statuses(off)[-1])
        # what Nova never ends is nothing to wait for, but it holds room
        shown = self.maintenance('show', here, says='was not cleaned up')
        self.assertEqual(
            ('maintenance', {}, 0, False),
            tuple(
                shown[name]
                for name in ('state', 'servers', 'migrations_out', 'emptied')
            ),
        )


class TestDead(drains.DrainTestCase):
    """A nova-compute dies in the middle, never comes back, nobody sees it."""

    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()
        self.web = self.scene.server('web', on=self.here)
        self.off = self.scene.server('off', on=self.here, status='SHUTOFF')
        self.scene.migration_of(self.web, hangs=True)
        self.scene.migration_of(self.off, cold_seconds=math.inf)

    def _drain(self, dies: str, *options: str) -> drains.Drain:
        """A drain in which a host dies when both servers are in motion."""
        going = self.set_going(self.here, '--migrate', 'all', *options)
        self.migration(self.web, 'running')
        self.migration(self.off, 'migrating')
        self.scene.host_down(dies)
        drain = self.ended(going, drains.Exit.TIMED_OUT)
        self.assertIn(f'nova-compute on {dies} is down', drain.stderr)
        return drain

    def _assert_held_up(
        self, drain: drains.Drain, server: scene.Server, dead: str
    ) -> None:
        move = drain.of(server)
        self.assertEqual(
            ('moving', self.there), (move['outcome'], move['destination'])
        )
        self.assertIn(f'nova-compute on {dead} is down', move['cause'])

    def _assert_well(self, server: scene.Server, status: str) -> None:
        """A server is where it was, and was asked to move once."""
        found = self.server(server)
        self.assertEqual(
            (self.here, status),
            (found['OS-EXT-SRV-ATTR:host'], found['status']),
        )
        self.assertEqual(1, len(self.migrations(server)))

    def _assert_ends(self, up: str, moving: drains.Json) -> None:
        """What show says is so, and unset ends the maintenance."""
        shown = self.shown(self.here)
        self.assertEqual(
            ('migrating', up, False, moving),
            tuple(
                shown[name]
                for name in ('state', 'service_state', 'emptied', 'servers')
            ),
        )
        is_down = 'nova-compute on this host is down'
        self.assertIs(up == 'down', is_down in (shown['cause'] or ''))
        told = self.maintenance(
            'unset', self.here, says='not confirmed, which nobody does once'
        )
        self.assertEqual('none', told['state'])
        self.assert_untouched(self.here)

    def test_that_of_the_host(self) -> None:
        drain = self._drain(
            *(self.here, '--server-timeout', '30s', '--timeout', '90s')
        )
        for server in (self.web, self.off):
            self._assert_held_up(drain, server, self.here)
        self._assert_ends('down', {'MIGRATING': 1, 'RESIZE': 1})
        self._assert_well(self.web, 'MIGRATING')
        self._assert_well(self.off, 'RESIZE')

    def test_that_of_the_host_when_time_is_over(self) -> None:
        drain = self._drain(self.here, '--timeout', '45s')
        for server in (self.web, self.off):
            self._assert_held_up(drain, server, self.here)
        self._assert_ends('down', {'MIGRATING': 1, 'RESIZE': 1})

    def test_that_of_the_destination(self) -> None:
        drain = self._drain(
            *(self.there, '--server-timeout', '30s', '--timeout', '90s')
        )
        # the host itself can stop a live migration
        move = drain.of(self.web)
        self.assertEqual('failed', move['outcome'])
        self.assertIn('was aborted', move['cause'])
        self._assert_held_up(drain, self.off, self.there)
        self._assert_ends('up', {'ACTIVE': 1, 'RESIZE': 1})
        self._assert_well(self.web, 'ACTIVE')
        self._assert_well(self.off, 'RESIZE')


class TestOwner(drains.DrainTestCase):
    def test_a_resize_is_not_confirmed(self) -> None:
        here = self.scene.host()
        self.scene.host()
        off = self.scene.server('off', on=here, status='SHUTOFF')
        made = self.useFixture(proxy.Proxy(self.cloud.urls['compute']))
        environ = self.clouds_yaml(
            compute_endpoint_override=f'{made.url}/v2.1'
        )
        is_move = self.moves_of(off)

        def resize_instead(method: str, path: str) -> None:
            if is_move(method, path):
                self.scene.resize(off)
                raise ConnectionError

        made.before = resize_instead
        drain = self.set_(here, *_ALL, environ=environ)
        move = drain.of(off)
        self.assertEqual('left', move['outcome'])
        self.assertIn('has to confirm', move['cause'])
        self.assertEqual('VERIFY_RESIZE', self.server(off)['status'])
        self.assertEqual(['finished'], self.statuses(off))
