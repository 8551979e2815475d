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

"""What a drain would do with each server, told before anything is written."""

from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.functional import drains

Exit = drains.Exit
_ALL = ('--migrate', 'all')


class VerdictTestCase(drains.DrainTestCase):
    def assert_verdicts(
        self, host: str, *expected: tuple[scene.Server, str, str | None]
    ) -> None:
        """``show --servers`` and ``set --dry-run`` tell these verdicts."""
        before = self.aggregate(host), self.service(host)
        blocked = any(verdict == 'blocked' for _s, verdict, _c in expected)
        for told in (
            self.verdicts('show', host, '--servers'),
            self.verdicts(
                *('set', host, *_ALL, '--dry-run'),
                code=Exit.STAYED if blocked else Exit.DONE,
            ),
        ):
            self.assertEqual({s.id for s, _v, _c in expected}, told.keys())
            for server, verdict, cause in expected:
                row = told[server.id]
                self.assertEqual(
                    {'id', 'name', 'project', 'status', 'verdict', 'cause'},
                    row.keys(),
                )
                found = self.server(server)
                self.assertEqual(
                    (found['name'], found['tenant_id'], found['status']),
                    (row['name'], row['project'], row['status']),
                )
                self.assertEqual(
                    (server.name, verdict), (row['name'], row['verdict'])
                )
                if cause is None:
                    self.assertIsNone(row['cause'])
                else:
                    self.assertIn(cause, row['cause'])
        self.assertEqual(before, (self.aggregate(host), self.service(host)))


class TestVerdicts(VerdictTestCase):
    def test_by_the_state_of_a_server(self) -> None:
        here, there = self.scene.host(), self.scene.host()

        def server(status: str) -> scene.Server:
            return self.scene.server(
                status.lower(), on=here, project='beta', status=status
            )

        movable = [
            (server('ACTIVE'), 'live-migrate'),
            (server('PAUSED'), 'live-migrate'),
            (server('SHUTOFF'), 'cold-migrate'),
        ]
        stuck = [
            (server('SUSPENDED'), 'is suspended'),
            (server('RESCUE'), 'is rescued'),
            (server('ERROR'), 'is in ERROR'),
            (server('SHELVED'), 'is shelved, and not offloaded'),
            (server('BUILD'), 'a task is under way: spawning'),
        ]
        self.assert_verdicts(
            here,
            *((server, verdict, None) for server, verdict in movable),
            *((server, 'blocked', cause) for server, cause in stuck),
        )
        said = self.set_refused(here, *_ALL, '--strict')
        self.assertIn('5 of the servers cannot be moved', said)
        for blocked, cause in stuck:
            self.assertIn(f'{blocked.name} ({blocked.id}): {cause}', said)
        self.assert_untouched(here)

        building = stuck.pop()[0]
        self.scene.migration_of(building)
        self.scene.wait_for_server(building, 'ACTIVE')
        drain = self.set_(here, *_ALL, code=Exit.STAYED)
        for moved, status in (
            *((s, s.name.upper()) for s, _v in movable),
            (building, 'ACTIVE'),
        ):
            self.assert_moved_once(drain, moved, there, status)
        shown = self.shown(here)
        self.assertEqual('error', shown['state'])
        for blocked, cause in stuck:
            move = drain.of(blocked)
            self.assertEqual('blocked', move['outcome'])
            self.assertIn(cause, move['cause'])
            self.assertIn(
                f'{blocked.name} ({blocked.id}): {cause}', shown['cause']
            )

    def test_a_locked_server(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        db = self.scene.server('db', on=here, locked='month end')
        web = self.scene.server('web', on=here)
        self.assert_verdicts(
            here,
            (db, 'leave', 'locked: month end (--include-locked moves it)'),
            (web, 'live-migrate', None),
        )
        drain = self.set_(here, *_ALL, '--strict')
        self.assert_moved_once(drain, web, there)
        self.assertEqual('left', drain.outcome(db))
        self.assertIn('month end', drain.of(db)['cause'])
        self.assertEqual([], self.migrations(db))
        shown = self.shown(here)
        self.assertEqual(
            ('maintenance', False), (shown['state'], shown['emptied'])
        )
        drain = self.set_(here, *_ALL, '--include-locked')
        self.assertTrue(drain.told['changed'])
        self.assert_moved_once(drain, db, there)
        self.assert_drained(drain.told)
        found = self.server(db)
        self.assertEqual(
            (True, 'month end'), (found['locked'], found['locked_reason'])
        )

    def test_on_their_way(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        leaving = self.scene.server('leaving', on=here)
        coming = self.scene.server('coming', on=there)
        resized = self.scene.server('resized', on=here)
        came = self.scene.server('came', on=there)
        self.scene.resize(resized)
        self.scene.resize(came)
        for server, target in ((leaving, there), (coming, here)):
            self.scene.migration_of(server, hangs=True)
            self.migrate(server, target)
            self.migration(server, 'running')
        self.assert_verdicts(
            here,
            (leaving, 'live-migrate', f'running, on its way to {there}'),
            (coming, 'leave', f'on its way here from {there}'),
            (
                resized,
                'leave',
                f'on {there}, but its resize away from {here} is not '
                'confirmed yet',
            ),
            (came, 'blocked', 'waits for its resize to be confirmed'),
        )

    def test_no_room(self) -> None:
        here = self.scene.host(vcpus=900)
        small = self.scene.host(vcpus=2)
        huge = self.scene.server(
            'huge', on=here, flavor=self.scene.flavor(vcpus=800)
        )
        large = self.scene.server('large', on=here, flavor='m1.large')
        self.assert_verdicts(
            here,
            (huge, 'blocked', 'Placement has no room for it on any host'),
            (large, 'live-migrate', None),
        )
        told = self.verdicts(
            *('set', here, *_ALL, '--target-host', small, '--dry-run'),
            code=Exit.STAYED,
        )
        self.assertEqual(
            f'Placement has no room for it on {small}', told[large.id]['cause']
        )
        drain = self.set_(here, '--migrate', 'active', code=Exit.STAYED)
        self.assertEqual('blocked', drain.outcome(huge))
        self.assertEqual('failed', drain.outcome(large))
        self.assertIn('No valid host', drain.of(large)['cause'])

    def test_server_groups(self) -> None:
        # no other host is like these
        special = f'CUSTOM_{self.scene.name.upper()}'
        here, there = (self.scene.host(traits=[special]) for _ in range(2))
        flavor = self.scene.flavor({f'trait:{special}': 'required'})
        apart = self.scene.group('apart', 'anti-affinity')
        together = self.scene.group('together', 'affinity')
        soft = self.scene.group('soft', 'soft-anti-affinity')
        db1 = self.scene.server('db1', on=here, flavor=flavor, group=apart)
        db2 = self.scene.server('db2', on=there, flavor=flavor, group=apart)
        pair = self.scene.server('pair', on=here, group=together)
        easy = self.scene.server('easy', on=here, flavor=flavor, group=soft)
        self.scene.server('easy2', on=there, flavor=flavor, group=soft)
        self.assert_verdicts(
            here,
            (
                db1,
                'blocked',
                'its anti-affinity server group apart has members on every '
                'host that it could go to',
            ),
            (
                pair,
                'blocked',
                f'its affinity server group together keeps it on {here}',
            ),
            (easy, 'live-migrate', None),
        )
        drain = self.set_(here, *_ALL, code=Exit.STAYED)
        self.assert_moved_once(drain, easy, there)
        for server in (db1, pair):
            self.assertEqual('blocked', drain.outcome(server))
            self.assertEqual([], self.migrations(server))
        # with a third host there is a place for one of them
        third = self.scene.host(traits=[special])
        drain = self.set_(here, code=Exit.STAYED)
        self.assert_moved_once(drain, db1, third)
        operations.delete_servers(self.admin, [db2.id])

    def test_members_of_a_group_go_one_after_another(self) -> None:
        here, there, third = (
            self.scene.host(live_migrations=4) for _ in range(3)
        )
        apart = self.scene.group(
            'apart', 'anti-affinity', rules={'max_server_per_host': 2}
        )
        pair = self.scene.servers(['a', 'b'], on=here, group=apart)
        self.scene.server('c', on=there, group=apart)
        self.scene.server('d', on=third, group=apart)
        for server in pair:
            self.scene.migration_of(server, seconds=2)
        drain = self.set_(here, *_ALL, '--max-parallel', '4', '--retries', '0')
        self.assert_drained(drain.told)
        first, second = sorted(
            (self.migrations(server) for server in pair),
            key=lambda found: str(found[0]['created_at']),
        )
        self.assertLess(first[0]['updated_at'], second[0]['created_at'])
        self.assertEqual(
            {there, third},
            {found[0]['dest_compute'] for found in (first, second)},
        )


class TestPinned(VerdictTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = (
            self.scene.host(vgpus=2, gpus=2, tpm=True) for _ in range(2)
        )

    def _server(self, name: str, status: str, **specs: str) -> scene.Server:
        named = {key.replace('__', ':'): value for key, value in specs.items()}
        return self.scene.server(
            name, on=self.here, status=status, flavor=self.scene.flavor(named)
        )

    def test_devices_of_the_host(self) -> None:
        gpu = {'pci_passthrough__alias': 'gpu:1'}
        tpm = {'hw__tpm_version': '2.0', 'hw__tpm_model': 'tpm-crb'}
        device = self._server('device', 'ACTIVE', **gpu)
        stopped = self._server('stopped', 'SHUTOFF', **gpu)
        graphics = self._server('graphics', 'ACTIVE', resources__VGPU='1')
        sealed = self._server('sealed', 'ACTIVE', **tpm)
        ties = 'ties it to its host (--include-pinned tries)'
        self.assert_verdicts(
            self.here,
            (device, 'blocked', f'its PCI device gpu:1 {ties}'),
            (graphics, 'blocked', f'its virtual GPU {ties}'),
            (sealed, 'blocked', f'its emulated TPM {ties}'),
            (stopped, 'cold-migrate', None),
        )
        drain = self.set_(self.here, *_ALL, code=Exit.STAYED)
        self.assert_moved_once(drain, stopped, self.there, 'SHUTOFF')
        for server in (device, graphics, sealed):
            self.assertEqual('blocked', drain.outcome(server))
            self.assertEqual([], self.migrations(server))

        drain = self.set_(
            *(self.here, *_ALL, '--include-pinned', '--retries', '0'),
            code=Exit.STAYED,
        )
        self.assert_moved_once(drain, graphics, self.there)
        for server, cause in (
            (device, 'No valid host'),
            (sealed, 'not supported for vTPM'),
        ):
            move = drain.of(server)
            self.assertEqual(
                ('live-migrate', 'failed'), (move['verdict'], move['outcome'])
            )
            self.assertIn(cause, move['cause'])
            self.assert_on(self.here, server)
        self.assertEqual([], self.migrations(sealed))
