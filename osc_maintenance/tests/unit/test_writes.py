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

"""Several who write one record at the same moment."""

import functools
import random
import time
from unittest import mock

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import maintenance
from osc_maintenance import policy
from osc_maintenance import record
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes
from osc_maintenance.tests.unit import test_maintenance
from osc_maintenance import times
from osc_maintenance import upheld

NOW, HOUR = scenes.NOW, scenes.HOUR
_PAUSES = maintenance._PAUSES
_END = NOW + 9 * HOUR
_ALL = asking.Request(policy=policy.Policy('all'))
_BUT_A = asking.Request(policy=policy.Policy('all', exclude=frozenset('a')))
_THEIRS = {'set_by': 'ben', 'set_at': times.format_time(NOW + HOUR)}


class WritesTestCase(test_maintenance.MaintenanceTestCase):
    def planned(self) -> fakes.Clients:
        """A maintenance that somebody else again has planned."""
        clients = self.clients(scenes.planned())
        self.write(clients, set_by='carol')
        return clients

    def write(self, clients: fakes.Clients, **values: str | None) -> None:
        """Somebody else writes to the record, as Nova carries it out."""
        aggregate = clients.nova.hosts['compute1'].aggregate
        assert aggregate is not None
        clients.nova.write_record(
            aggregate,
            {f'maintenance:{key}': value for key, value in values.items()},
        )

    def ends_as(
        self,
        clients: fakes.Clients,
        request: asking.Request,
        *,
        overruled: str = '',
    ) -> record.Record:
        """Set the host, which is or is not as it was said; the record."""
        host, _changed = self.set_(clients, request)
        self.assertEqual(clients.nova.hosts['compute1'], host)
        assert host.record is not None
        told = upheld.by_others(host.record, request)
        self.assertEqual(bool(overruled), bool(told), str(told))
        self.assertIn(overruled, str(told))
        return host.record


class TestLastWord(WritesTestCase):
    """Two say something else of the same part of the record."""

    def test_who_comes_last_has_the_word(self) -> None:
        for ours, theirs, told in (
            (
                asking.Request(removal=True),
                asking.Request(end=_END),
                'removal',
            ),
            (
                asking.Request(end=_END),
                asking.Request(removal=True),
                'window end',
            ),
        ):
            clients = self.planned()
            self.meanwhile(
                *(clients.nova, 'write_record'),
                functools.partial(self.set_, clients, theirs),
                after=True,
            )
            found = self.ends_as(clients, ours, overruled=told)
            self.assertEqual(
                (theirs.removal, theirs.end), (found.removal, found.end)
            )

    def test_what_is_not_overruled_is_whole(self) -> None:
        # Nova removes keys one by one, before it writes all values at once:
        # of a choice that came in between some are there
        clients = self.planned()
        end = times.format_time(_END + HOUR)
        self.meanwhile(
            *(clients.nova, 'write_record'),
            lambda: self.write(
                clients,
                **{'server:b': 'exclude', 'window_end': end},
                **_THEIRS,
            ),
            after=True,
        )
        request = asking.Request(end=_END, policy=_ALL.policy)
        found = self.ends_as(clients, request, overruled='window end')
        self.assertEqual((_END + HOUR, _ALL.policy), (found.end, found.policy))

    def test_who_is_overruled_leaves_it_to_the_others(self) -> None:
        clients = self.planned()
        self.meanwhile(
            *(clients.nova, 'write_record'),
            lambda: self.write(clients, window_end='soon', **_THEIRS),
            after=True,
        )
        found = self.ends_as(
            *(clients, asking.Request(end=_END)), overruled='window end'
        )
        self.assertEqual(
            ['window_end'], [item.name for item in found.problems]
        )


class TestDamaged(WritesTestCase):
    """Who has no part in what cannot be read looks again for a while."""

    def test_it_is_mended_between_two_looks(self) -> None:
        clients = self.planned()
        self.meanwhile(
            *(clients.nova, 'write_record'),
            lambda: self.write(clients, window_end='soon', **_THEIRS),
            after=True,
        )
        self.meanwhile(
            *(clients.nova, 'aggregates'),
            lambda: self.meanwhile(
                *(clients.nova, 'aggregates'),
                lambda: self.write(clients, window_end=None),
            ),
        )
        found = self.ends_as(clients, asking.Request(reason='kernel'))
        self.assertEqual(('kernel', ()), (found.reason, found.problems))

    def test_a_busy_nova_is_given_time(self) -> None:
        clients = self.planned()
        self.write(clients, window_end='soon')
        waited: list[float] = []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == maintenance._FEW:
                self.write(clients, window_end=None)

        with (
            mock.patch.object(maintenance, '_PAUSES', _PAUSES),
            mock.patch.object(time, 'sleep', sleep),
            mock.patch.object(random, 'uniform', lambda _low, high: high),
        ):
            found = self.ends_as(clients, asking.Request(reason='kernel'))
        self.assertEqual(('kernel', ()), (found.reason, found.problems))
        most = [seconds * 2 for seconds in _PAUSES[: maintenance._FEW]]
        self.assertEqual(most, waited)

    def test_nobody_mends_it(self) -> None:
        clients = self.planned()
        self.write(clients, window_end='soon')
        writes = len(clients.nova.writes)
        error = self.assertRaises(
            asking.RefusedError,
            *(self.set_, clients, asking.Request(reason='kernel')),
        )
        self.assertIn('give --end', str(error))
        self.assertEqual(writes, len(clients.nova.writes))


class TestThree(WritesTestCase):
    """Others write other parts of the record at the same moment."""

    def test_servers_are_those_of_one_choice(self) -> None:
        clients = self.planned()
        self.meanwhile(
            *(clients.nova, 'write_record'),
            lambda: self.set_(clients, _BUT_A),
        )
        self.meanwhile(
            *(clients.nova, 'aggregate'),
            # that of theirs
            lambda: self.meanwhile(
                *(clients.nova, 'aggregate'),
                lambda: self.write(clients, reason='kernel', **_THEIRS),
            ),
            after=True,
        )
        found = self.ends_as(clients, _ALL)
        self.assertEqual(('kernel', _ALL.policy), (found.reason, found.policy))

    def test_a_later_choice_stands(self) -> None:
        # though all that was written for ours is there
        clients = self.planned()
        self.meanwhile(
            *(clients.nova, 'write_record'),
            lambda: self.set_(clients, _BUT_A),
            after=True,
        )
        found = self.ends_as(clients, _ALL, overruled='servers to be moved')
        self.assertEqual(_BUT_A.policy, found.policy)

    def test_a_third_does_not_sign_a_choice(self) -> None:
        clients = self.planned()
        self.set_(clients, _ALL)
        self.write(clients, **{'server:a': 'exclude'})
        before = clients.nova.hosts['compute1'].aggregate
        self.set_(clients, asking.Request(reason='kernel'))
        after = clients.nova.hosts['compute1'].aggregate
        assert before is not None
        assert after is not None
        self.assertEqual(
            before.metadata['maintenance:choice'],
            after.metadata['maintenance:choice'],
        )

    def test_a_duration_is_from_the_start_of_others(self) -> None:
        clients = self.planned()
        start = NOW + 5 * HOUR
        self.meanwhile(
            *(clients.nova, 'write_record'),
            lambda: self.write(
                clients, window_start=times.format_time(start), **_THEIRS
            ),
            after=True,
        )
        found = self.ends_as(clients, asking.Request(duration=3 * HOUR))
        self.assertEqual(start + 3 * HOUR, found.end)


class TestTheSameSecond(WritesTestCase):
    def test_what_was_cleared_is_said_again(self) -> None:
        clients = self.planned()
        now = times.format_time(NOW)
        self.write(clients, reason='x', set_by='alice', set_at='2026-01-01')
        self.meanwhile(
            *(clients.nova, 'write_record'),
            lambda: self.write(
                clients, reason='theirs', set_by='ben', set_at=now
            ),
            after=True,
        )
        host = maintenance.clear(
            fakes.real(clients), 'compute1', frozenset(['reason']), NOW
        )
        assert host.record is not None
        self.assertEqual('theirs', host.record.reason)


class TestClaimed(WritesTestCase):
    """Somebody else has created the aggregate, and written nothing yet."""

    def test_what_they_say_is_not_replaced(self) -> None:
        clients = self.clients(scenes.host())
        clients.nova.claim('compute1')

        def act() -> None:
            host = clients.nova.hosts['compute1']
            (step, *_) = change.to_set(host, _ALL, 'ben', NOW)
            assert isinstance(step, change.WriteRecord)
            assert host.aggregate is not None
            clients.nova.write_record(host.aggregate, step.changes)

        self.meanwhile(clients.nova, 'aggregates', act, after=True)
        found = self.ends_as(clients, asking.Request(reason='kernel'))
        self.assertEqual(('kernel', _ALL.policy), (found.reason, found.policy))

    def test_they_were_killed(self) -> None:
        clients = self.clients(scenes.claimed(scenes.host()))
        found = self.ends_as(clients, asking.Request(reason='kernel'))
        self.assertEqual('kernel', found.reason)
