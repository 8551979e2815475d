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

import inspect

from oslotest import base

from osc_maintenance import clients
from osc_maintenance.nova import hosts
from osc_maintenance.nova import servers
from osc_maintenance import placement
from osc_maintenance.tests.unit import fakes


class TestFakes(base.BaseTestCase):
    def test_they_are_called_as_the_real_ones(self) -> None:
        for fake, real in (
            (fakes.Nova(), hosts.Hosts),
            (fakes.Servers(), servers.Servers),
            (fakes.Placement(), placement.Placement),
            (fakes.Clients(), clients.Clients),
        ):
            for name, method in inspect.getmembers(real):
                if name.startswith('_'):
                    continue
                with self.subTest(real=real, name=name):
                    # properties of the real ones are attributes
                    self.assertTrue(hasattr(fake, name))
                    if inspect.isfunction(method):
                        self.assertEqual(
                            self._parameters(method),
                            self._parameters(getattr(type(fake), name)),
                        )

    def test_they_count_changes(self) -> None:
        fake = fakes.Clients()
        self.assertEqual(
            (0, 0, 0),
            (fake.changes, fake.nova.changes, fake.servers.changes),
        )

    def _parameters(self, method: object) -> list[tuple[str, object]]:
        assert inspect.isfunction(method)
        parameters = inspect.signature(method).parameters.values()
        return [(p.name, (p.kind, p.default)) for p in parameters]
