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

"""A Nova of a lower microversion: what it does not give is named.

The newest Nova answers as an older one does, to who believes its version
document.
"""

import math
import re

from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.functional import drains
from osc_maintenance.tests.functional import proxy

Exit = drains.Exit
_ALL = ('--migrate', 'all')


class OldNovaTestCase(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = (
            self.scene.host(live_migrations=4, vgpus=1) for _ in range(2)
        )

    def at(self, version: str) -> tuple[proxy.Proxy, dict[str, str]]:
        """A proxy before a Nova of this microversion, and the way there."""
        made, environ = self.proxied()
        made.rewrite = lambda body: re.sub(
            rb'"version": "2\.\d+"',
            f'"version": "{version}"'.encode(),
            body,
        )
        return made, environ

    def lacks(self, version: str, stderr: str) -> list[str]:
        """By which microversions more would be given, as one line says."""
        begin = f'This Nova (API {version}) does not give '
        (line,) = (x for x in stderr.splitlines() if x.startswith(begin))
        return re.findall(r'\((2\.\d+)\)', line.removeprefix(begin))


class TestDrain(OldNovaTestCase):
    def _sized(
        self, name: str, memory_mb: int, status: str = 'ACTIVE'
    ) -> scene.Server:
        flavor = self.scene.flavor(memory_mb=memory_mb)
        return self.scene.server(
            name, on=self.here, status=status, flavor=flavor
        )

    def _drained(self, version: str, lock: str, *lacking: str) -> None:
        """Drain a host that a colleague is at as well."""
        # in this order: the largest first, which of one that is stopped is
        # its disk of a GiB
        live = self._sized('live', 2048)
        off = self._sized('off', 256, 'SHUTOFF')
        slow = self._sized('slow', 512)
        theirs = self._sized('theirs', 256)
        pet = self.scene.server('pet', on=self.here, locked='billing')
        self.scene.migration_of(slow, hangs=True)
        self.scene.migration_of(theirs, cold_seconds=math.inf)
        old, environ = self.at(version)
        answer = self.run_openstack(
            *('host', 'maintenance', 'set', self.here, *_ALL, '--dry-run'),
            environ=environ,
        )
        self.assertEqual(Exit.DONE, answer.code, str(answer))
        self.assertEqual(
            [item for item in lacking if item != '2.80'],
            self.lacks(version, answer.stderr),
        )
        colleague = self.cloud.api('project-admin')

        def interfere() -> None:
            """All four are noted by now, and two of them asked for."""
            for server, action in (
                (theirs, {'migrate': None}),
                (
                    slow,
                    {
                        'os-migrateLive': {
                            'host': None,
                            'block_migration': 'auto',
                        }
                    },
                ),
            ):
                path = f'/servers/{server.id}/action'
                colleague.post('compute', path, action)

        old.before = self.once(self.moves_of(live), interfere)
        going = self.set_going(
            *(self.here, *_ALL, '--max-parallel', '2'),
            *('--server-timeout', '45s', '--on-timeout', 'abort'),
            environ=environ,
        )
        # once it is finished, nothing says that it was on its way
        going.says(f'theirs ({theirs.id}): is on its way already')
        self.scene.migration_of(theirs)
        drain = self.ended(going, Exit.TIMED_OUT)
        self.assertEqual([*lacking], self.lacks(version, drain.stderr))
        self.assert_moved_once(drain, live, self.there)
        self.assert_moved_once(drain, off, self.there, 'SHUTOFF')
        self.assertEqual(lock, drain.of(pet)['cause'])
        self.assertEqual([], self.migrations(pet))
        # what the colleague has begun is neither confirmed nor aborted
        self.assertEqual(['finished'], self.statuses(theirs))
        self.assertEqual(
            'somebody else has moved it, and has to confirm that',
            drain.of(theirs)['cause'],
        )
        self.assertEqual(['running'], self.statuses(slow))
        self.assertIn('somebody else moves it', drain.of(slow)['cause'])

    def test_2_53(self) -> None:
        lock = 'locked (--include-locked moves it)'
        self._drained('2.53', lock, '2.73', '2.80', '2.96')

    def test_2_79(self) -> None:
        lock = 'locked: billing (--include-locked moves it)'
        self._drained('2.79', lock, '2.80', '2.96')

    def test_2_95(self) -> None:
        lock = 'locked: billing (--include-locked moves it)'
        self._drained('2.95', lock, '2.96')


class TestOldest(OldNovaTestCase):
    def test_another_run_confirms(self) -> None:
        off = self.scene.server('off', on=self.here, status='SHUTOFF')
        _old, environ = self.at('2.53')
        self.set_(self.here, *_ALL, '--no-wait', environ=environ)
        self.migration(off, 'finished')
        drain = self.set_(self.here, environ=environ)
        self.assert_moved_once(drain, off, self.there, 'SHUTOFF')
        self.assert_drained(drain.told)

    def test_it_tells_the_devices_of_flavors(self) -> None:
        flavor = self.scene.flavor({'resources:VGPU': '1'})
        gpu = self.scene.server('gpu', on=self.here, flavor=flavor)
        _old, environ = self.at('2.53')
        show = ('host', 'maintenance', 'show', self.here, '--servers')
        answer = self.run_openstack(*show, environ=environ)
        self.assertEqual(Exit.DONE, answer.code, str(answer))
        self.assertIn('its virtual GPU', answer.stdout)
        self.assertIn(gpu.id, answer.stdout)
        self.assertEqual(['2.96'], self.lacks('2.53', answer.stderr))
        self.openstack('-q', *show, environ=environ)
