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

from oslotest import base

from osc_maintenance import change
from osc_maintenance import record
from osc_maintenance import state
from osc_maintenance.tests.unit import scenes

S = state.State


class TestDerive(base.BaseTestCase):
    def test_the_states(self) -> None:
        entered, planned = scenes.entered(), scenes.planned()
        with_nic = scenes.entered(scenes.host('disabled', 'broken NIC'))
        assert entered.aggregate is not None
        shared = dataclasses.replace(
            entered.aggregate, hosts=('compute1', 'compute2')
        )
        outside = dataclasses.replace(entered.aggregate, hosts=())
        unknown = scenes.service('UNKNOWN', id='', state='')
        for what, seen, load, expected, cause in (
            ('untouched', scenes.host(), (), S.NONE, None),
            (
                'disabled by somebody',
                scenes.host('disabled', 'x'),
                (),
                S.NONE,
                None,
            ),
            ('planned', planned, (1, 0), S.PLANNED, None),
            (
                'planned, disabled by somebody',
                scenes.disabled_by_somebody(planned),
                (),
                S.PLANNED,
                None,
            ),
            ('entered', entered, (), S.MAINTENANCE, None),
            ('entered, was disabled', with_nic, (), S.MAINTENANCE, None),
            ('leaving', entered, (1, 0), S.MIGRATING, None),
            ('coming', entered, (0, 1), S.MIGRATING, None),
            (
                'unconfirmed',
                entered,
                (0, 0, 1),
                S.MAINTENANCE,
                None,
            ),
            (
                'aggregate gone',
                dataclasses.replace(entered, aggregate=None),
                (),
                S.ERROR,
                'is gone',
            ),
            (
                'service gone',
                dataclasses.replace(entered, service=None),
                (),
                S.ERROR,
                'no compute service',
            ),
            (
                'only claimed',
                scenes.claimed(scenes.host()),
                (),
                S.ERROR,
                'no record',
            ),
            (
                'damaged',
                scenes.after(
                    entered, change.WriteRecord({'maintenance:set_at': None})
                ),
                (),
                S.ERROR,
                'set_at is missing',
            ),
            (
                'not a member',
                dataclasses.replace(entered, aggregate=outside),
                (),
                S.ERROR,
                'not in the aggregate',
            ),
            (
                'not alone',
                dataclasses.replace(entered, aggregate=shared),
                (),
                S.ERROR,
                'other hosts as well: compute2',
            ),
            (
                'enabled behind our back',
                scenes.disabled_by_somebody(entered, 'enabled', None),
                (),
                S.ERROR,
                'is enabled, as it was before the maintenance',
            ),
            (
                'disabled for another reason',
                scenes.disabled_by_somebody(entered, reason='mine'),
                (),
                S.ERROR,
                'is disabled (mine), which somebody else',
            ),
            (
                'disabled for another maintenance',
                scenes.disabled_by_somebody(
                    entered, reason='maintenance 00000000: x'
                ),
                (),
                S.ERROR,
                'is disabled (maintenance 00000000: x)',
            ),
            (
                'disabled before it was entered',
                scenes.disabled_by_somebody(
                    planned, reason='maintenance 3f9a1c2e: x'
                ),
                (),
                S.ERROR,
                'already disabled',
            ),
            (
                'cell down',
                dataclasses.replace(entered, service=unknown),
                (),
                S.ERROR,
                'cell is down',
            ),
        ):
            with self.subTest(what):
                standing = state.derive(
                    seen, scenes.load(None, *load), scenes.NOW
                )
                self.assertEqual(expected, standing.state)
                if cause is None:
                    self.assertIsNone(standing.cause)
                else:
                    self.assertIn(cause, str(standing.cause))


class TestOverdue(base.BaseTestCase):
    def test_by_time(self) -> None:
        now, hour = scenes.NOW, scenes.HOUR
        ends = record.Record(end=now)
        self.assertFalse(state.overdue(ends, now - hour))
        self.assertTrue(state.overdue(ends, now))
        self.assertFalse(state.overdue(record.Record(), now))
        self.assertFalse(state.overdue(None, now))


class TestLoad(base.BaseTestCase):
    def test_nothing(self) -> None:
        self.assertTrue(scenes.load({}).nothing)
        self.assertFalse(scenes.load({'ACTIVE': 1}).nothing)
        for movement in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
            load = scenes.load({}, *movement)
            self.assertFalse(load.nothing)
