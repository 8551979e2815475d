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
import datetime
import typing

import hypothesis
from hypothesis import strategies
from oslotest import base

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import record
from osc_maintenance import state
from osc_maintenance.tests.unit import scenes

NOW, HOUR = scenes.NOW, scenes.HOUR


class TestRequest(base.BaseTestCase):
    def test_what_others_have_the_last_word_on_is_left_out(self) -> None:
        names = [field.name for field in dataclasses.fields(asking.Request)]
        said: dict[str, typing.Any] = dict.fromkeys(names, 'said')
        whole = asking.Request(**said)
        self.assertEqual(whole, whole.without(frozenset()))
        self.assertEqual(asking.Request(), whole.without(record.GROUPS))
        window = whole.without({'window_end'})
        self.assertEqual(
            {'end', 'duration', 'removal'},
            {name for name in names if getattr(window, name) != 'said'},
        )


class TestSet(base.BaseTestCase):
    def test_the_record_is_complete_before_the_service_is_disabled(
        self,
    ) -> None:
        seen = scenes.claimed(scenes.host_of(scenes.NIC))
        steps = change.to_set(seen, asking.Request(), 'alice', NOW)
        self.assertEqual(
            [change.WriteRecord, change.AddHost, change.SetService],
            [type(step) for step in steps],
        )
        told = scenes.after(seen, *steps[:2]).record
        assert told is not None
        self.assertEqual((), told.problems)
        self.assertEqual(scenes.NIC, told.before)
        self.assertEqual('alice', told.set_by)
        self.assertEqual(NOW, told.set_at)

    @hypothesis.given(scenes.SERVICES, scenes.REQUESTS)
    def test_twice_changes_nothing(
        self, before: record.ServiceStatus, request: asking.Request
    ) -> None:
        seen = scenes.entered(scenes.host_of(before), request)
        later = NOW + datetime.timedelta(minutes=5)
        self.assertEqual([], change.to_set(seen, request, 'bob', later))

    @hypothesis.given(
        scenes.SERVICES, scenes.REQUESTS, strategies.integers(0, 3)
    )
    def test_killed_anywhere_it_converges(
        self, before: record.ServiceStatus, request: asking.Request, done: int
    ) -> None:
        seen = scenes.claimed(scenes.host_of(before))
        steps = change.to_set(seen, request, 'alice', NOW)
        killed = scenes.after(seen, *steps[:done])
        # show never says that a half-entered host is in maintenance
        standing = state.derive(killed, scenes.NOTHING, scenes.NOW)
        if done < len(steps):
            self.assertEqual(state.State.ERROR, standing.state)
        again = change.to_set(killed, request, 'alice', NOW)
        self.assertEqual(
            scenes.after(seen, *steps), scenes.after(killed, *again)
        )
        # and unset gets back what was there, from wherever it was killed
        back = scenes.after(killed, *change.to_unset(killed))
        self.assertEqual(scenes.host_of(before), back)

    def test_a_start_in_the_future_leaves_the_service_alone(self) -> None:
        seen = scenes.planned()
        self.assertEqual('enabled', seen.service and seen.service.status)
        told = seen.record
        assert told is not None
        self.assertFalse(told.entered)

    def test_a_planned_host_whose_start_has_come_enters(self) -> None:
        seen = scenes.planned()
        steps = change.to_set(seen, asking.Request(), 'bob', NOW + 4 * HOUR)
        told = scenes.after(seen, *steps)
        self.assertTrue(told.ours)
        assert told.record is not None
        self.assertEqual(record.ENABLED, told.record.before)

    def test_what_it_was_before_is_taken_when_entering(self) -> None:
        seen = scenes.disabled_by_somebody(scenes.planned(), reason='disk')
        steps = change.to_set(seen, asking.Request(early=True), 'bob', NOW)
        told = scenes.after(seen, *steps)
        assert told.record is not None
        self.assertEqual(
            record.ServiceStatus('disabled', 'disk'), told.record.before
        )
        self.assertEqual(NOW, told.record.start)

    def test_set_changes_just_what_is_given(self) -> None:
        seen = scenes.entered(
            request=asking.Request(reason='kernel', duration=2 * HOUR)
        )
        steps = change.to_set(
            seen,
            asking.Request(ticket_url='https://t.example.com/7'),
            'bob',
            NOW + HOUR,
        )
        self.assertEqual(
            [
                change.WriteRecord(
                    {
                        'maintenance:ticket_url': 'https://t.example.com/7',
                        'maintenance:set_by': 'bob',
                        'maintenance:set_at': '2026-11-20T07:00:00Z',
                    }
                ),
                change.SetService(
                    record.ServiceStatus(
                        'disabled',
                        'maintenance 3f9a1c2e: kernel https://t.example.com/7',
                    )
                ),
            ],
            steps,
        )

    def test_removal_and_end_replace_each_other(self) -> None:
        seen = scenes.entered(request=asking.Request(duration=2 * HOUR))
        removal = change.to_set(seen, asking.Request(removal=True), 'bob', NOW)
        told = scenes.after(seen, *removal)
        assert told.record is not None
        self.assertEqual((None, True), (told.record.end, told.record.removal))
        end = change.to_set(told, asking.Request(end=NOW + HOUR), 'bob', NOW)
        told = scenes.after(told, *end)
        assert told.record is not None
        self.assertEqual(
            (NOW + HOUR, False), (told.record.end, told.record.removal)
        )

    def test_a_duration_counts_from_the_start(self) -> None:
        seen = scenes.planned()
        steps = change.to_set(seen, asking.Request(duration=HOUR), 'bob', NOW)
        told = scenes.after(seen, *steps).record
        assert told is not None
        self.assertEqual(NOW + 5 * HOUR, told.end)

    def test_refused_before_anything_is_written(self) -> None:
        fresh = scenes.host()
        inside = scenes.entered(request=asking.Request(duration=2 * HOUR))
        missed = scenes.planned()
        damaged = scenes.after(
            scenes.planned(),
            change.WriteRecord({'maintenance:window_start': 'soon'}),
        )
        lost_end = scenes.after(
            inside, change.WriteRecord({'maintenance:window_end': 'soon'})
        )
        down = dataclasses.replace(fresh, service=scenes.service(id=''))
        gone = dataclasses.replace(scenes.planned(), service=None)
        odd = dataclasses.replace(fresh, name='a b')
        for what, seen, request, now, option in (
            (
                'end at the start',
                scenes.planned(),
                {'end': NOW + 4 * HOUR},
                NOW,
                'not after',
            ),
            ('end in the past', fresh, {'end': NOW - HOUR}, NOW, '--end'),
            ('end now', fresh, {'end': NOW}, NOW, '--end'),
            (
                'end before start',
                fresh,
                {'start': NOW + 2 * HOUR, 'end': NOW + HOUR},
                NOW,
                '--start',
            ),
            (
                'end before the recorded start',
                scenes.planned(),
                {'end': NOW + HOUR},
                NOW,
                '--end',
            ),
            (
                'start after the recorded end',
                scenes.planned(),
                {'start': NOW + 7 * HOUR},
                NOW,
                '--start',
            ),
            (
                'duration that is over',
                inside,
                {'duration': HOUR},
                NOW + HOUR,
                '--duration',
            ),
            (
                'no such year',
                fresh,
                {'duration': HOUR * 10**8},
                NOW,
                'duration',
            ),
            ('future start', inside, {'start': NOW + HOUR}, NOW, '--start'),
            ('missed window', missed, {}, NOW + 6 * HOUR, '--end'),
            ('unreadable start', damaged, {'reason': 'x'}, NOW, '--start'),
            ('unreadable end', lost_end, {'reason': 'x'}, NOW, '--removal'),
            ('cell down', down, {}, NOW, 'cell'),
            ('no service', gone, {}, NOW, 'no compute service'),
            ('no such name', odd, {}, NOW, 'letters'),
        ):
            with self.subTest(what):
                error = self.assertRaises(
                    asking.RefusedError,
                    change.to_set,
                    seen,
                    asking.Request(**request),
                    'bob',
                    now,
                )
                self.assertIn(option, str(error))

    def test_an_overdue_maintenance_can_still_be_changed(self) -> None:
        seen = scenes.entered(request=asking.Request(duration=HOUR))
        steps = change.to_set(
            seen, asking.Request(reason='late'), 'bob', NOW + 2 * HOUR
        )
        self.assertEqual(2, len(steps))

    def test_clocks_may_differ(self) -> None:
        seen = scenes.entered()
        steps = change.to_set(
            seen, asking.Request(reason='x'), 'bob', NOW - HOUR
        )
        self.assertEqual(2, len(steps))

    def test_entered_once_it_stays_at_its_start(self) -> None:
        seen = scenes.entered(request=asking.Request(duration=HOUR))
        early = asking.Request(early=True)
        later = NOW + datetime.timedelta(minutes=1)
        self.assertEqual([], change.to_set(seen, early, 'bob', later))

    def test_a_duration_takes_a_removal_back(self) -> None:
        seen = scenes.entered(request=asking.Request(removal=True))
        steps = change.to_set(seen, asking.Request(duration=HOUR), 'bob', NOW)
        told = scenes.after(seen, *steps).record
        assert told is not None
        self.assertEqual((NOW + HOUR, False), (told.end, told.removal))

    def test_keys_of_others_are_left_alone(self) -> None:
        foreign = change.WriteRecord({'rack': '7', 'maintenance:mood': 'x'})
        seen = scenes.after(scenes.entered(), foreign)
        self.assertEqual([], change.to_set(seen, asking.Request(), 'b', NOW))

    @hypothesis.given(scenes.REQUESTS, scenes.REQUESTS, scenes.SERVICES)
    def test_two_at_once_do_not_mix(
        self,
        one: asking.Request,
        other: asking.Request,
        before: record.ServiceStatus,
    ) -> None:
        # both decide on the same look, and write one after the other
        seen = scenes.claimed(scenes.host_of(before))
        first = change.to_set(seen, one, 'alice', NOW)
        second = change.to_set(seen, other, 'bob', NOW)
        mixed = scenes.after(seen, first[0], second[0]).record
        assert mixed is not None
        self.assertEqual((), mixed.problems)
        self.assertIn(mixed.before, (before, None))

    def test_an_aggregate_with_other_hosts_is_left_alone(self) -> None:
        seen = scenes.entered()
        assert seen.aggregate is not None
        for hosts in (('compute2',), ('compute1', 'compute2')):
            other = dataclasses.replace(seen.aggregate, hosts=hosts)
            error = self.assertRaises(
                asking.RefusedError,
                change.to_set,
                dataclasses.replace(seen, aggregate=other),
                asking.Request(),
                'bob',
                NOW,
            )
            self.assertIn('compute2', str(error))

    def test_the_same_end_again_when_it_is_over(self) -> None:
        seen = scenes.entered(request=asking.Request(duration=HOUR))
        for request in (
            asking.Request(end=NOW + HOUR),
            asking.Request(duration=HOUR),
        ):
            steps = change.to_set(seen, request, 'bob', NOW + 2 * HOUR)
            self.assertEqual([], steps)

    def test_a_long_url_and_disabled_without_a_reason(self) -> None:
        before = record.ServiceStatus('disabled')
        for length in range(190, 201):
            url = 'https://t.example.com/'.ljust(length, 'x')
            request = asking.Request(
                reason='a reason of some length', ticket_url=url
            )
            seen = scenes.entered(scenes.host_of(before), request)
            self.assertEqual(before, seen.mark and seen.mark.before)
            self.assertEqual([], change.to_set(seen, request, 'bob', NOW))

    def test_a_url_by_hand_that_is_too_long(self) -> None:
        url = 'https://t.example.com/'.ljust(255, 'x')
        seen = scenes.after(
            scenes.planned(),
            change.WriteRecord({'maintenance:ticket_url': url}),
        )
        request = asking.Request(early=True, reason='kernel')
        told = scenes.after(seen, *change.to_set(seen, request, 'bob', NOW))
        assert told.service is not None
        self.assertEqual(
            'maintenance 3f9a1c2e: kernel', told.service.disabled_reason
        )
