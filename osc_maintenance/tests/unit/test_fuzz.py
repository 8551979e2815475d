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

"""The targets of the fuzzer, with what they begin with."""

import json
import logging
from unittest import mock

import fixtures
from oslotest import base

from osc_maintenance.tests.fuzz import targets
from osc_maintenance.tests.unit import spoil
from osc_maintenance import text

#: What has no meaning to any of them.
_NOISE = (b'', b'\xff\xfe\x00', b'[' * 2000, b'null', b'{"": 1e999}', b'[1,')


class TestTargets(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger(level=logging.INFO))

    def test_seeds_and_noise_are_taken(self) -> None:
        taken = []
        for name, target in targets.TARGETS.items():
            for data in (*target.seeds[:2], *_NOISE):
                target.run(data)
            taken.append(name)
        self.assertEqual(list(targets.TARGETS), taken)

    def test_places_of_seeds_are_spoiled(self) -> None:
        taken = []
        for name in ('records', 'owners', 'answers'):
            target = targets.TARGETS[name]
            body = json.loads(target.seeds[0])
            for place in spoil.paths(body):
                made = spoil.spoiled(body, place, spoil.EVIL)
                self.assertNotEqual(body, made)
                target.run(json.dumps(made).encode())
            taken.append(name)
        self.assertEqual(3, len(taken))

    def test_what_is_wrong_is_a_crash(self) -> None:
        printed = mock.patch.object(text, 'escape', str)
        printed.start()
        self.addCleanup(printed.stop)
        target = targets.TARGETS['texts']
        self.assertRaises(AssertionError, target.run, b'a\x1b[2J')
