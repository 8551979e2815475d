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

"""The life of test clouds."""

import os
import pathlib
import signal
import subprocess
import sys

import fixtures
from oslotest import base

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import fixture
from osc_maintenance.tests.cloud import launcher
from osc_maintenance.tests.cloud import layout
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.cloud import proc

_USER = """
import sys
from osc_maintenance.tests.cloud import fixture
fixture.Cloud().setUp()
print('ready', flush=True)
sys.stdin.read()
"""


class TestLife(base.BaseTestCase):
    """Clouds of their own, each beside the one that other tests share."""

    def setUp(self) -> None:
        super().setUp()
        directory = self.useFixture(fixtures.TempDir()).path
        self.state = layout.State(pathlib.Path(directory))
        self.addCleanup(launcher.down, self.state)
        # The base class has given this test a home without a cache.
        caches = str(layout.cache().parent)
        self.useFixture(fixtures.EnvironmentVariable('XDG_CACHE_HOME', caches))

    def run_cloud(self, *words: str, status: int = 0) -> str:
        """Run the command line and return what it wrote."""
        state_dir = ('--state-dir', str(self.state.directory))
        package = 'osc_maintenance.tests.cloud'
        ended = subprocess.run(
            [sys.executable, '-m', package, *state_dir, *words],
            cwd=layout.ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        self.assertEqual(status, ended.returncode, ended.stderr)
        return ended.stdout

    def start_and_look(self) -> dict[str, int]:
        """Start a cloud and return its processes."""
        self.run_cloud('up', '--hosts=0')
        facts = self.state.facts()
        assert facts is not None
        return dict(facts['pids'])

    def assert_ends(self) -> None:
        """All processes of the cloud go away."""
        operations.wait_for(
            'the last process has ended', lambda: not set(proc.of(self.state))
        )
        self.assertIsNone(self.state.facts())

    def test_command_line(self) -> None:
        self.run_cloud('status', status=1)
        self.assertIn('The cloud is up.', self.run_cloud('up', '--hosts=1'))
        self.assertEqual(0o600, self.state.clouds_yaml.stat().st_mode & 0o777)

        # Again, and with more hosts.
        again = self.run_cloud('up', '--hosts=2')
        self.assertIn('running already', again)
        self.assertIn('compute1 compute2\n', self.run_cloud('status'))

        # The shared cloud runs beside it and has nothing to do with it.
        shared = self.useFixture(fixture.Cloud())
        urls = launcher.urls(self.state)
        self.assertFalse(set(urls.values()) & set(shared.urls.values()))

        # Commands run in it, as somebody, with their own exit code.
        shown = self.run_cloud(
            *('shell', '--os-cloud=alpha-reader', '--'),
            *('sh', '-c', 'echo $OS_CLOUD $OS_USERNAME; exit 7'),
            status=7,
        )
        self.assertEqual('alpha-reader\n', shown)
        self.assertIn('export OS_CLOUD=admin\n', self.run_cloud('env'))

        # A thousand hosts that are rows only: up, and they can be disabled.
        self.run_cloud('phantom', '1000')
        admin = api.Api(urls, accounts.ACCOUNTS['admin'])
        services = admin.get('compute', '/os-services?binary=nova-compute')
        self.assertEqual(1002, len(services['services']))
        phantom = operations.service_of(admin, 'phantom1000')
        assert phantom is not None
        self.assertEqual('up', phantom['state'])
        path = f'/os-services/{phantom["id"]}'
        changed = admin.put('compute', path, {'status': 'disabled'})
        self.assertEqual('disabled', changed['service']['status'])

        # Mistakes are told from each other.
        self.run_cloud('host', 'down', 'nosuch', status=1)
        self.run_cloud('behave', 'web', 'fail=nowhere', status=1)
        self.run_cloud('host', 'add', 'alice')
        self.run_cloud('host', 'remove', 'alice')
        self.assertIsNone(operations.service_of(admin, 'alice'))

        self.assertIn('is down', self.run_cloud('down'))
        self.assertEqual([], list(proc.of(self.state)))
        self.assertIn('was not running', self.run_cloud('down'))
        self.run_cloud('shell', status=1)

    def test_services_end_with_the_supervisor(self) -> None:
        pids = self.start_and_look()
        self.assertEqual({*pids.values()}, {*proc.of(self.state)})
        os.kill(pids['supervisor'], signal.SIGKILL)
        self.assert_ends()

    def test_cloud_ends_with_its_users(self) -> None:
        directory = str(self.state.directory)
        self.useFixture(
            fixtures.EnvironmentVariable(layout.STATE_VARIABLE, directory)
        )
        users = [
            subprocess.Popen(
                [sys.executable, '-c', _USER],
                cwd=layout.ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        for user in users:
            self.addCleanup(user.wait)
            self.addCleanup(user.kill)
            assert user.stdout is not None
            self.assertEqual('ready\n', user.stdout.readline())
        # One is killed: the other one still has its cloud.
        users[0].kill()
        users[0].wait()
        urls = launcher.urls(self.state)
        api.call('GET', f'{urls["control"]}/status')
        users[1].kill()
        self.assert_ends()

    def test_a_service_that_dies_is_told_with_its_log(self) -> None:
        os.kill(self.start_and_look()['image'], signal.SIGKILL)
        self.assert_ends()
        log = self.state.log('supervisor').read_text()
        self.assertIn('The image process died with -9', log)
        self.assertIn(str(self.state.log('image')), log)
