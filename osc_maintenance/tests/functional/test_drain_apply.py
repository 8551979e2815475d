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

"""A planned maintenance whose servers ``apply`` moves away."""

from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import base
from osc_maintenance.tests.functional import drains

_PAST = '2026-01-01T00:00:00Z'


class TestApply(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.alone()
        self.here, self.there = self.scene.host(), self.scene.host()

    def plan(self, *options: str) -> None:
        """A window that has begun since it was planned."""
        self.maintenance('set', self.here, '--start', '+1h', *options)
        self.write_metadata(self.here, window_start=_PAST)

    def apply(self) -> base.Json | None:
        """One run: what it says of the host."""
        rows = self.rows('apply')
        return rows[0] if rows else None

    def test_run_by_run(self) -> None:
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        made = [off, *self.scene.servers(['a', 'b', 'c'], on=self.here)]
        self.plan('--migrate', 'all')
        first = self.apply()
        assert first
        self.assertEqual('entered', first['action'])
        self.assertEqual('migrating', first['state'])
        told = []

        def run() -> bool:
            row = self.apply()
            told.append(row and row['action'])
            return row is None

        operations.wait_for('apply has nothing to do', run, forked.SECONDS)
        self.assertEqual('drained', told[-2])
        for server in made:
            status = 'SHUTOFF' if server is off else 'ACTIVE'
            self.assert_on(self.there, server, status)
            (migration,) = self.migrations(server)
            self.assertIn(migration['status'], ('completed', 'confirmed'))
        self.assert_drained(self.shown(self.here))

    def test_a_host_that_must_be_emptied_or_left_alone(self) -> None:
        web = self.scene.server('web', on=self.here)
        stuck = self.scene.server('stuck', on=self.here, status='SUSPENDED')
        self.plan('--migrate', 'all', '--strict')
        answer = self.run_openstack(
            'host', 'maintenance', 'apply', '-f', 'json'
        )
        self.assertIn('--strict was given', answer.stdout + answer.stderr)
        self.assertEqual(('enabled', None), self.service(self.here))
        self.assert_on(self.here, web)
        self.act(stuck, 'resume')
        self.scene.wait_for_server(stuck, 'ACTIVE')
        row = self.apply()
        assert row
        self.assertEqual('entered', row['action'])
