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

"""When a drain must not begin, must stop, and must come to its end."""

import collections.abc
import dataclasses
import functools
import typing

from osc_lib import exceptions

from osc_maintenance import clients
from osc_maintenance import compute
from osc_maintenance.drain import events
from osc_maintenance.drain import loop
from osc_maintenance.drain import options
from osc_maintenance.drain import plan
from osc_maintenance.drain import run
from osc_maintenance import exit_codes
from osc_maintenance.nova import api
from osc_maintenance import policy as policy_
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import simulation
from osc_maintenance.tests.unit.drain import test_loop_base as base

_CODE = exit_codes.ExitCode
_ABORT, _FORCE, _LEAVE = options.OnTimeout
_FORBIDDEN = exceptions.CommandError('Forbidden (HTTP 403)')


class StopsTestCase(base.LoopTestCase):
    def afresh(self) -> None:
        super().afresh()
        self.told: list[events.Event] = []

    def pause(self, seconds: float) -> bool:
        until = self.world.now + seconds
        ended = min(until, max(self.world.interrupted, self.world.now))
        self.world.advance(ended)
        return until >= self.world.interrupted

    def whole(
        self,
        report: collections.abc.Callable[[events.Event], None] | None = None,
        *,
        evacuate: bool = False,
        policy: policy_.Policy = base.EVERYTHING,
        **how: typing.Any,
    ) -> run.Result:
        """A drain with all that is before and after its loop."""
        client = base.Client(self.world)
        fake = typing.cast(clients.Clients, client)
        if self.world.aggregate is None:
            self.world.aggregate = base.recorded(policy)
        up = self.world.hosts[base.HOST]
        service = compute.Service(base.HOST, base.HOST, 'disabled', up)
        load = servers.Load(base.HOST, client.on(base.HOST), ())
        host = compute.Host(base.HOST, service, self.world.aggregate)
        made = plan.make(
            fake,
            load,
            policy,
            simulation.EPOCH,
            host.journal,
            evacuate=evacuate,
        )
        self.world.requests.clear()
        return run.drain(
            fake,
            host,
            made,
            options.Options(**how),
            report or self.told.append,
            self.pause,
            lambda: self.world.now,
            lambda: simulation.EPOCH,
        )

    def write(self, **changes: str) -> None:
        """Somebody else writes to the notes."""
        found = self.world.aggregate or base.recorded(base.EVERYTHING)
        told = {f'maintenance:{key}': it for key, it in changes.items()}
        self.world.aggregate = dataclasses.replace(
            found, metadata={**found.metadata, **told}
        )

    def note(self, key: str) -> str | None:
        assert self.world.aggregate
        return self.world.aggregate.metadata.get(f'maintenance:{key}')

    def begun(self) -> list[float]:
        """When the moves were begun, in order."""
        created = [row.migration.created for row in self.world.rows]
        return [
            (at - simulation.EPOCH).total_seconds() for at in created if at
        ]


class TestInterrupted(StopsTestCase):
    def test_while_an_evacuation_waits_to_be_the_only_one(self) -> None:
        for moment in (0.0, 2.0, 5.0):
            with self.subTest(moment=moment):
                self.afresh()
                self.world.hosts[base.HOST] = 'down'
                for name in ('web', 'db'):
                    self.world.add(name)
                self.world.interrupted = moment
                result = self.whole(evacuate=True)
                self.assertIs(loop.Ending.INTERRUPTED, result.ending)
                self.assertIs(_CODE.INTERRUPTED, result.exit_code)
                # it has not even looked
                self.assertEqual({'write_record': 1}, self.world.requests)
                told = [events.Interrupted((), 'interrupted')]
                self.assertEqual(told, self.told)

    def test_nothing_is_started_once_it_is_interrupted(self) -> None:
        # before a look, in the middle of it, between two requests
        for thousandths in range(0, 120, 5):
            with self.subTest(thousandths=thousandths):
                self.afresh()
                names = [self.world.add(f'web{n}') for n in range(4)]
                moment = self.world.interrupted = thousandths / 1000
                drain = self.drain(max_parallel=4).run()
                self.assertIs(loop.Ending.INTERRUPTED, drain.loop.ending)
                started = self.world.moved_from()
                self.assertEqual(names[: len(started)], started)
                # the requests that were under way come to their end
                self.assertLessEqual(
                    max(self.begun(), default=0),
                    moment + 4 * self.world.latency,
                )
                for name in names[len(started) :]:
                    cause = drain.move(name).cause or ''
                    self.assertEqual('interrupted: not started', cause)


class TestOthers(StopsTestCase):
    def test_it_stops_when_somebody_brings_the_servers_back(self) -> None:
        for broken_off in (False, True):
            with self.subTest(broken_off=broken_off):
                self.afresh()
                for number in range(9):
                    self.world.add(f'web{number}')
                if broken_off:
                    self.write(**{'return': 'started'})
                drain = self.drain(max_parallel=1)
                self.world.at(12, lambda: self.write(**{'return': 'started'}))
                error = self.assertRaises(exceptions.CommandError, drain.run)
                self.assertIn('brings the servers of h1 back', str(error))
                # that is looked at every twenty seconds
                self.assertLess(max(self.begun()), 12 + 21)

    def test_it_stops_when_somebody_enables_the_host(self) -> None:
        for status, reason, told in (
            ('enabled', None, 'it is enabled (no reason)'),
            ('disabled', 'bad disk', 'it is disabled (bad disk)'),
        ):
            with self.subTest(status=status):
                self.afresh()
                for number in range(9):
                    self.world.add(f'web{number}')
                drain = self.drain(max_parallel=1)

                def change(
                    status: str = status, reason: str | None = reason
                ) -> None:
                    self.world.service = compute.Service(
                        base.HOST, base.HOST, status, 'up', reason
                    )

                self.world.at(12, change)
                error = self.assertRaises(exceptions.CommandError, drain.run)
                self.assertIn('somebody else has changed', str(error))
                self.assertIn(told, str(error))
                self.assertLess(max(self.begun()), 12 + 21)

    def test_a_cell_that_is_down_changes_nothing(self) -> None:
        self.world.add('web')
        self.world.service = compute.Service(base.HOST, '', 'UNKNOWN', '')
        self.assertEqual({'web': 'moved'}, self.drain().run().outcomes())

    def test_it_goes_on_after_a_return_that_was_broken_off(self) -> None:
        names = [self.world.add(f'web{number}') for number in range(9)]
        # what is noted already is not noted once more
        back = {f'return:{name}': 'live-migrate 0 bob' for name in names}
        self.write(**back, **{'return': 'started'})
        drain = self.drain(max_parallel=1).run()
        self.assertGreater(self.world.now, 30)
        self.assertEqual({'moved'}, set(drain.outcomes().values()))
        for key in ('return', 'return:web0'):
            self.assertIsNone(self.note(key))

    def test_it_stops_when_somebody_else_evacuates_as_well(self) -> None:
        for at, asked in ((events.Planned, 0), (events.Started, 1)):
            with self.subTest(at=at.__name__):
                self.afresh()
                self.world.hosts[base.HOST] = 'down'
                for name in ('web', 'db'):
                    self.world.add(name)

                def report(
                    event: events.Event, at: type[events.Event] = at
                ) -> None:
                    self.told.append(event)
                    if isinstance(event, at):
                        self.write(evacuating='bobs')

                error = self.assertRaises(
                    exceptions.CommandError, self.whole, report, evacuate=True
                )
                self.assertIn('evacuates h1 as well', str(error))
                self.assertEqual(asked, self.world.requests['evacuation'])
                ended = [e for e in self.told if isinstance(e, events.Ended)]
                self.assertEqual([], ended)
                self.assertNotEqual('ended', self.note('drain'))
                self.assertEqual('bobs', self.note('evacuating'))

    def test_whoever_takes_over_at_the_end_goes_on(self) -> None:
        self.world.hosts[base.HOST] = 'down'
        self.world.add('web')

        def report(event: events.Event) -> None:
            if isinstance(event, events.Finished):
                self.write(evacuating='bobs')

        self.whole(report, evacuate=True)
        self.assertEqual('bobs', self.note('evacuating'))
        self.check_gone('web')


class TestLostEvacuation(StopsTestCase):
    def evacuated(self) -> base.Drain:
        self.world.hosts[base.HOST] = 'down'
        self.world.script(self.world.add('web'), answers=['dropped'])
        return self.drain(evacuate=True)

    def test_it_is_not_repeated_before_a_minute(self) -> None:
        drain = self.evacuated().run()
        self.assertEqual({'web': 'moved'}, drain.outcomes())
        self.assertEqual(2, self.world.requests['evacuation'])
        self.assertLess(60, self.begun()[0])

    def test_it_may_have_reached_nova_nevertheless(self) -> None:
        for seconds in (3, 10, 30, 55):
            with self.subTest(seconds=seconds):
                self.afresh()
                drain = self.evacuated()
                begin = functools.partial(
                    self.world.begin, 'web', servers.EVACUATION, 'alice'
                )
                self.world.at(seconds, begin)
                drain.run()
                self.assertEqual({'web': 'moved'}, drain.outcomes())
                self.assertEqual(1, self.world.requests['evacuation'])
                self.assertEqual(1, len(self.world.rows))


class TestNotWaiting(StopsTestCase):
    """What ``apply`` does: it starts what may start, and goes on."""

    def test_nova_does_not_answer(self) -> None:
        self.world.add('web')
        drain = self.drain(wait=False)
        self.world.outages = [(self.world.now, 4000.0)]
        self.world.requests.clear()
        self.assertRaises(api.TransientError, drain.run)
        self.assertEqual(1, sum(self.world.requests.values()))

    def test_nova_is_slow(self) -> None:
        for latency in (0.01, 0.6, 1.5, 5.0, 30.0):
            with self.subTest(latency=latency):
                self.afresh()
                for name in 'abcdefgh':
                    self.world.script(self.world.add(name), seconds=200)
                self.world.latency = latency
                drain = self.drain(wait=False, max_parallel=6).run()
                self.assertIs(loop.Ending.HANDED_OVER, drain.loop.ending)
                self.assertEqual(6, len(drain.of(events.Started)))
                # each look lets something be started, but that which finds
                # that the servers were looked at too long ago
                self.assertLessEqual(len(drain.of(events.Looked)), 11)
                self.assertEqual(6, len(self.world.rows))

    def test_somebody_else_is_busy_with_one(self) -> None:
        for busy in range(4):
            with self.subTest(busy=busy):
                self.afresh()
                names = [self.world.add(f'web{n}') for n in range(4)]
                self.world.script(f'web{busy}', answers=['409'])
                drain = self.drain(wait=False, max_parallel=4).run()
                self.assertIs(loop.Ending.HANDED_OVER, drain.loop.ending)
                names.remove(f'web{busy}')
                self.assertEqual(names, self.world.moved_from())
                self.assertEqual(4, self.world.requests['live-migration'])
