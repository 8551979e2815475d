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
