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

import hypothesis
from hypothesis import strategies
from oslotest import base

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance import record
from osc_maintenance.tests.unit import scenes

NOW, HOUR = scenes.NOW, scenes.HOUR


class TestUnset(base.BaseTestCase):
    @hypothesis.given(
        scenes.SERVICES, scenes.REQUESTS, strategies.integers(0, 3)
    )
    def test_killed_anywhere_it_converges(
        self, before: record.ServiceStatus, request: asking.Request, done: int
    ) -> None:
        seen = scenes.entered(scenes.host_of(before), request)
        steps = change.to_unset(seen)
        killed = scenes.after(seen, *steps[:done])
        back = scenes.after(killed, *change.to_unset(killed))
        self.assertEqual(scenes.host_of(before), back)
        self.assertEqual([], change.to_unset(back))
        # or set takes it back in
        again = change.to_set(killed, request, 'alice', NOW)
        if killed.aggregate:
            self.assertEqual(
                seen.service, scenes.after(killed, *again).service
            )

    def test_somebody_elses_disable_is_not_undone(self) -> None:
        seen = scenes.disabled_by_somebody(scenes.entered(), reason='disk')
        error = self.assertRaises(asking.RefusedError, change.to_unset, seen)
        self.assertIn('disabled (disk)', str(error))
        self.assertIn('--force', str(error))
        forced = scenes.after(seen, *change.to_unset(seen, force=True))
        self.assertEqual(scenes.host(), forced)

    def test_somebody_elses_enable_is_not_undone(self) -> None:
        seen = scenes.entered(scenes.host_of(scenes.NIC))
        seen = scenes.disabled_by_somebody(seen, 'enabled', None)
        error = self.assertRaises(asking.RefusedError, change.to_unset, seen)
        self.assertIn('it is enabled', str(error))
        self.assertIn('was disabled (broken NIC)', str(error))

    def test_a_plan_is_dropped_whatever_the_service_is(self) -> None:
        seen = scenes.disabled_by_somebody(scenes.planned())
        steps = change.to_unset(seen)
        self.assertEqual(
            [change.RemoveHost(), change.DeleteAggregate()], steps
        )

    def test_a_lost_aggregate(self) -> None:
        seen = scenes.entered(scenes.host_of(scenes.NIC))
        lost = dataclasses.replace(seen, aggregate=None)
        self.assertEqual(
            [change.SetService(scenes.NIC)], change.to_unset(lost)
        )

    def test_a_lost_record(self) -> None:
        seen = scenes.entered(scenes.host_of(scenes.NIC))
        gone: dict[str, str | None] = dict.fromkeys(record.KEYS)
        lost = scenes.after(seen, change.WriteRecord(gone))
        back = scenes.after(lost, *change.to_unset(lost))
        self.assertEqual(scenes.host_of(scenes.NIC), back)

    def test_a_lost_service(self) -> None:
        seen = dataclasses.replace(scenes.entered(), service=None)
        self.assertEqual(
            [change.RemoveHost(), change.DeleteAggregate()],
            change.to_unset(seen),
        )

    def test_an_aggregate_with_other_hosts_is_left_alone(self) -> None:
        seen = scenes.entered()
        assert seen.aggregate is not None
        shared = dataclasses.replace(
            seen.aggregate, hosts=('compute1', 'compute2')
        )
        seen = dataclasses.replace(seen, aggregate=shared)
        error = self.assertRaises(asking.RefusedError, change.to_unset, seen)
        self.assertIn('compute2', str(error))

    def test_a_cell_that_is_down(self) -> None:
        seen = dataclasses.replace(
            scenes.entered(), service=scenes.service('UNKNOWN', id='')
        )
        error = self.assertRaises(asking.RefusedError, change.to_unset, seen)
        self.assertIn('cell', str(error))

    def test_a_host_that_nobody_touched(self) -> None:
        for before in (record.ENABLED, scenes.NIC):
            self.assertEqual([], change.to_unset(scenes.host_of(before)))


class TestClear(base.BaseTestCase):
    def _clear(
        self, seen: compute.Host, *properties: str
    ) -> list[change.Step]:
        return change.to_clear(seen, frozenset(properties), 'bob', NOW)

    def test_one_property(self) -> None:
        seen = scenes.entered(
            request=asking.Request(
                reason='kernel',
                ticket_url='https://t.example.com/7',
                duration=HOUR,
            )
        )
        told = scenes.after(seen, *self._clear(seen, 'ticket_url'))
        assert told.record is not None
        assert told.service is not None
        self.assertIsNone(told.record.ticket_url)
        self.assertEqual('kernel', told.record.reason)
        self.assertEqual(
            'maintenance 3f9a1c2e: kernel', told.service.disabled_reason
        )
        self.assertEqual([], self._clear(told, 'ticket_url'))
        told = scenes.after(told, *self._clear(told, 'window_end', 'reason'))
        assert told.record is not None
        self.assertIsNone(told.record.end)
        self.assertIsNone(told.record.reason)
        self.assertTrue(told.ours)

    def test_one_that_is_damaged(self) -> None:
        damage = {'maintenance:ticket_url': 'https://me:s3cret@t.co/7'}
        seen = scenes.after(scenes.entered(), change.WriteRecord({**damage}))
        told = scenes.after(seen, *self._clear(seen, 'ticket_url'))
        assert told.record is not None
        self.assertEqual((), told.record.problems)
        self.assertRaises(
            asking.RefusedError, self._clear, seen, 'reason', 'window_end'
        )

    def test_a_window_that_is_damaged(self) -> None:
        damage = {'maintenance:window_end': 'tomorrow'}
        seen = scenes.after(scenes.entered(), change.WriteRecord({**damage}))
        told = scenes.after(seen, *self._clear(seen, 'window_end'))
        assert told.record is not None
        self.assertEqual((), told.record.problems)
        self.assertIsNone(told.record.end)
        self.assertRaises(asking.RefusedError, self._clear, seen, 'reason')

    def test_nothing_to_clear(self) -> None:
        self.assertEqual([], self._clear(scenes.host(), 'window_end'))
        self.assertEqual(
            [], self._clear(scenes.host('disabled', 'x'), 'reason')
        )

    def test_killed_anywhere_it_converges(self) -> None:
        seen = scenes.entered(request=asking.Request(reason='kernel'))
        steps = self._clear(seen, 'reason')
        self.assertEqual(2, len(steps))
        killed = scenes.after(seen, *steps[:1])
        self.assertEqual(steps[1:], self._clear(killed, 'reason'))

    def test_the_end_of_a_plan(self) -> None:
        seen = scenes.planned()
        told = scenes.after(seen, *self._clear(seen, 'window_end')).record
        assert told is not None
        self.assertIsNone(told.end)
        self.assertEqual(NOW + 4 * HOUR, told.start)

    def test_what_only_the_reason_knows_is_kept(self) -> None:
        fresh = scenes.host('disabled', 'broken NIC')
        seen = scenes.entered(fresh, asking.Request(reason='kernel'))
        gone = change.WriteRecord({'maintenance:before_reason': None})
        seen = scenes.after(seen, gone)
        told = scenes.after(seen, *self._clear(seen, 'reason'))
        self.assertEqual(fresh, scenes.after(told, *change.to_unset(told)))

    def test_a_removal_is_a_window_too(self) -> None:
        seen = scenes.entered(request=asking.Request(removal=True))
        told = scenes.after(seen, *self._clear(seen, 'window_end')).record
        assert told is not None
        self.assertFalse(told.removal)

    def test_refused(self) -> None:
        damaged = scenes.after(
            scenes.entered(), change.WriteRecord({'maintenance:id': 'x'})
        )
        lost = dataclasses.replace(scenes.entered(), aggregate=None)
        down = dataclasses.replace(
            scenes.entered(), service=scenes.service(id='')
        )
        for seen, why in (
            (damaged, 'damaged'),
            (lost, 'lost'),
            (down, 'cell'),
        ):
            error = self.assertRaises(
                asking.RefusedError, self._clear, seen, 'window_end'
            )
            self.assertIn(why, str(error))

    def test_a_foreign_reason_is_not_overwritten(self) -> None:
        seen = scenes.disabled_by_somebody(
            scenes.entered(request=asking.Request(reason='kernel'))
        )
        steps = self._clear(seen, 'reason')
        self.assertEqual([change.WriteRecord], [type(step) for step in steps])
