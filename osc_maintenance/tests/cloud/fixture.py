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

"""A running cloud for tests.

    class TestSomething(testtools.TestCase):
        def test_something(self):
            cloud = self.useFixture(fixture.Cloud())
            scene = cloud.scene()
            here, there = scene.host(), scene.host()
            web = scene.server('web', on=here, project='alpha')
            scene.migration_of(web, seconds=30)
            ...

All tests of a run share one cloud, also those of its other processes, and it
ends with the last of them, however that ends. What a test does to hosts of
its own scene no other test sees, other than in listings.
"""

import fixtures

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import control
from osc_maintenance.tests.cloud import environ
from osc_maintenance.tests.cloud import launcher
from osc_maintenance.tests.cloud import layout
from osc_maintenance.tests.cloud import locks
from osc_maintenance.tests.cloud import progress
from osc_maintenance.tests.cloud import scene

#: compute1 and so on, which are nobody's and to be left as they are
HOSTS = 3

# Held as long as this process lives and not as long as a test, so that the
# cloud does not end between one test and the next.
_leases: dict[layout.State, int] = {}


class Cloud(fixtures.Fixture):
    """A cloud that runs.

    It is the one that OSC_MAINTENANCE_CLOUD names or else one that belongs to
    this checkout; it is started unless it runs.
    """

    def _setUp(self) -> None:
        self.state = layout.State.of_test_run()
        # Before the cloud is looked for: if it is about to end because nobody
        # has used it, this waits for the end.
        if self.state not in _leases:
            _leases[self.state] = locks.shared(self.state.lease)
        launcher.up(self.state, HOSTS, progress.silent, while_leased=True)
        #: the address of each service, such as urls['compute']
        self.urls = launcher.urls(self.state)
        self.clouds_yaml = self.state.clouds_yaml
        #: of every account
        self.password = accounts.PASSWORD
        self.control = control.Control(self.urls['control'])
        self._apis: dict[str, api.Api] = {}

    def api(self, cloud: str = 'admin') -> api.Api:
        """The APIs as an account sees them, to arrange and to check."""
        if cloud not in self._apis:
            account = accounts.ACCOUNTS[cloud]
            self._apis[cloud] = api.Api(self.urls, account)
        return self._apis[cloud]

    def environ(self, cloud: str = 'admin') -> dict[str, str]:
        """An environment with OS_CLOUD and OS_CLIENT_CONFIG_FILE."""
        return environ.of_cloud(self.state, cloud)

    def environ_of_variables(
        self, cloud: str | accounts.Account = 'admin'
    ) -> dict[str, str]:
        """An environment with OS_USERNAME and so on, and no clouds.yaml."""
        if isinstance(cloud, str):
            cloud = accounts.ACCOUNTS[cloud]
        return environ.of_account(self.urls['identity'], cloud)

    def scene(self) -> scene.Scene:
        """Hosts and servers of a test's own, removed with this fixture."""
        made: scene.Scene = self.useFixture(scene.Scene(self))
        return made
