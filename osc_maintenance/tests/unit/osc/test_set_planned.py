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

import dataclasses

from osc_maintenance import asking
from osc_maintenance import policy
from osc_maintenance.tests.unit.osc import test_set_drain
from osc_maintenance.tests.unit import scenes

ALL, SET = test_set_drain.ALL, test_set_drain.SET
WEB, STUCK = test_set_drain.WEB, test_set_drain.STUCK


class TestStrict(test_set_drain.DrainTestCase):
    def test_strict_is_recorded_of_what_is_planned(self) -> None:
        later = scenes.NOW + 4 * scenes.HOUR
        planned = asking.Request(start=later, policy=ALL)
        self.given(scenes.entered(request=planned), WEB, STUCK)
        for changed in (True, False):
            told = self.run_command(SET, 'compute1', '--strict')
            self.assertEqual(
                ('planned', changed), (told['state'], told['changed'])
            )
            self.assertEqual(
                policy.Policy(policy.ALL, strict=True), self.recorded()
            )
        self.assertIn('--strict', self.refused(SET, 'compute1', '--now'))

    def test_strict_where_no_server_is_to_be_moved(self) -> None:
        self.given(scenes.host(), STUCK)
        told = self.run_command(SET, 'compute1', '--strict')
        self.assertEqual(
            ('maintenance', 'none'), (told['state'], told['migrate'])
        )
        self.assertEqual(policy.NOTHING, self.recorded())
        self.assertIn('--strict has no effect', self.log.output)

    def test_strict_once_it_was_entered(self) -> None:
        host = scenes.entered(request=asking.Request(policy=ALL))
        self.given(host, WEB, STUCK)
        told = self.refused(SET, 'compute1', '--strict')
        self.assertIn('stuck (stuck-id): is suspended', told)
        self.given(host, WEB)
        told = self.run_command(SET, 'compute1', '--strict')
        self.assertEqual(['web'], [row['name'] for row in told['moves']])
        self.assertEqual(ALL, self.recorded())


class TestEvacuate(test_set_drain.DrainTestCase):
    def test_an_evacuation_is_not_planned(self) -> None:
        # who can say what will be fenced then?
        service = scenes.service(state='down')
        down = dataclasses.replace(scenes.host(), service=service)
        later = scenes.NOW + 4 * scenes.HOUR
        planned = scenes.entered(down, asking.Request(start=later))
        for host, options in (
            (down, ('--start', '+1h')),
            (down, ('--start', '+1h', '--dry-run')),
            (planned, ()),
        ):
            self.given(host, WEB)
            told = self.refused(
                SET, 'compute1', '--evacuate', '--fenced', *options
            )
            self.assertIn('compute1 would only be planned', told)
        self.run_command(SET, 'compute1', '--evacuate', '--fenced', '--now')
        self.assertEqual(
            [('evacuate', 'web-id', None)], self.clients.servers.writes
        )
