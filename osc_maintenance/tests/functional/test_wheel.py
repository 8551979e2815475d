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

"""The built wheel beside python-openstackclient is all that a user needs."""

import pathlib
import subprocess
import sys
import venv
import zipfile

from osc_maintenance.tests.functional import base

TOP = pathlib.Path(__file__).parents[3]


class TestWheel(base.TestCase):
    def test_it_brings_the_commands(self) -> None:
        directory = self.directory()
        self._run(
            *(sys.executable, '-m', 'pip', 'wheel', '--no-deps'),
            *('--wheel-dir', str(directory), str(TOP)),
        )
        (wheel,) = directory.glob('osc_maintenance-*.whl')
        self.assertNotIn('-0.0.0', wheel.name)
        names = zipfile.ZipFile(wheel).namelist()
        self.assertIn('osc_maintenance/osc/host_maintenance.py', names)
        cloud = 'osc_maintenance/tests/cloud'
        self.assertIn(f'{cloud}/releases/2026.2.txt', names)
        self.assertIn(f'{cloud}/services-path/cloud_services/driver.py', names)

        clean = directory / 'venv'
        venv.create(clean, with_pip=True)
        self._run(
            *(str(clean / 'bin' / 'pip'), 'install', '--quiet'),
            *(str(wheel), 'python-openstackclient'),
        )
        host = self.scene.host()
        said = self._run(
            *(str(clean / 'bin' / 'openstack'), 'host', 'maintenance'),
            *('set', host, '-f', 'value', '-c', 'state'),
            quiet=True,
        )
        self.assertEqual('maintenance\n', said)
        said = self._run(
            *(str(clean / 'bin' / 'openstack'), 'compute', 'service', 'list'),
            *('--host', host, '-f', 'value', '-c', 'Status'),
            quiet=True,
        )
        self.assertEqual('disabled\n', said)

    def _run(self, *command: str, quiet: bool = False) -> str:
        done = subprocess.run(
            command,
            env={**self.cloud.environ(), 'PIP_DISABLE_PIP_VERSION_CHECK': '1'},
            capture_output=True,
            text=True,
            check=False,
            cwd='/',
        )
        self.assertEqual(0, done.returncode, done.stderr)
        if quiet:
            self.assertEqual('', done.stderr)
        return done.stdout
