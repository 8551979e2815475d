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

"""``unset`` where others are at work as well, or have been."""

import collections.abc
import typing
from unittest import mock

from osc_lib import exceptions

from osc_maintenance import change
from osc_maintenance.drain import run
from osc_maintenance import maintenance
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit.osc import test_set_drain
from osc_maintenance.tests.unit import scenes

SET, UNSET = test_set_drain.SET, test_set_drain.UNSET
WEB = test_set_drain.WEB


class TestReturn(test_set_drain.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.given(scenes.host(), WEB)
        self.run_command(SET, 'compute1', '--migrate', 'all')

    def _when_back(self, act: collections.abc.Callable[[], object]) -> None:
        """Have somebody else act once the servers are back."""
        real = run.bring_back

        def bring_back(*given: typing.Any, **how: typing.Any) -> run.Result:
            result = real(*given, **how)
            act()
            return result

        patch = mock.patch.object(run, 'bring_back', bring_back)
        patch.start()
        self.addCleanup(patch.stop)

    def test_another_one_has_ended_it(self) -> None:
        clients = fakes.real(self.clients)
        self._when_back(lambda: maintenance.unset(clients, 'compute1'))
        told = self.run_command(UNSET, 'compute1', '--return-servers')
        self.assertEqual(('none', True), (told['state'], told['changed']))
        self.assertEqual(['moved'], [row['outcome'] for row in told['moves']])

    def test_somebody_has_put_it_into_maintenance_again(self) -> None:
        clients = fakes.real(self.clients)
        self._when_back(
            lambda: maintenance.set_(
                clients, 'compute1', change.Request(), scenes.NOW
            )
        )
        command, parsed = self.parsed(UNSET, 'compute1', '--return-servers')
        error = self.assertRaises(exceptions.CommandError, command.run, parsed)
        self.assertIn('put into maintenance again', str(error))
        self.assertTrue(self.clients.nova.hosts['compute1'].ours)
