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

"""Nova leaves servers out of a list: their cell does not answer in time."""

import itertools

import fixtures

from osc_maintenance.drain import events
from osc_maintenance.drain import loop
from osc_maintenance import journal
from osc_maintenance.nova import api
from osc_maintenance import owners
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import test_drain_apply
from osc_maintenance.tests.unit.drain import test_loop_base as base
from osc_maintenance.tests.unit.drain import test_loop_stops


class Gaps(fixtures.Fixture):
    """One of the lists of servers is empty.

    :param number: which, from 0.
    :ivar seen: how many there were.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self.seen = 0

    def _setUp(self) -> None:
        real = base.Client.on

        def on(client: base.Client, host: str) -> tuple[servers.Server, ...]:
            found = real(client, host)
            self.seen += 1
            return () if self.seen == self._number + 1 else found

        self.useFixture(fixtures.MonkeyPatch(f'{_CLIENT}.on', on))


_CLIENT = f'{base.Client.__module__}.{base.Client.__qualname__}'


class TestDrain(base.LoopTestCase):
    def test_whichever_it_is(self) -> None:
        for number in itertools.count():
            self.afresh()
            # one fails and is tried again, one waits for what ends by itself
            self.world.script(self.world.add('web'), fails=['copy'])
            self.world.add('db', task_state='image_uploading')
            self.world.at(20, lambda: self.world.set('db', task_state=None))
            self.world.add('gone')
            with Gaps(number) as gaps:
                drain = self.drain().run()
            self.check_gone('web', 'db', 'gone')
            outcomes = drain.outcomes()
            self.assertEqual({'moved'}, set(outcomes.values()), str(number))
            self.assertEqual({'web', 'db', 'gone'}, outcomes.keys())
            self.assertIs(loop.Ending.COMPLETE, drain.loop.ending)
            if gaps.seen <= number:
                break
        self.assertGreater(number, 5)

    def test_one_that_has_moved_long_ago(self) -> None:
        # and has come back by a migration, or whose next one has failed
        for host, target in (('h2', base.HOST), (base.HOST, 'h2')):
            self.afresh()
            self.world.add('web', host=host)
            self.world.script('web', fails=['pre'] * (host == base.HOST))
            self.world.begin('web', servers.LIVE_MIGRATION, 'bob', target)
            self.world.advance(60)
            self.assertEqual(base.HOST, self.world.guests['web'].host)
            self.world.set('web', task_state='image_uploading')
            self.world.at(80, lambda: self.world.set('web', task_state=None))
            drain = self.drain()
            with Gaps(1):
                drain.run()
            self.assertEqual({'web': 'moved'}, drain.outcomes(), host)
            (trouble,) = drain.of(events.Trouble)
            self.assertIn('out of its list, web', trouble.cause)

    def test_nobody_waits(self) -> None:
        self.world.add('web')
        drain = self.drain(wait=False)
        with Gaps(0):
            error = self.assertRaises(api.TransientError, drain.run)
        self.assertIn('web (web)', str(error))

    def test_one_that_is_deleted_and_can_be_restored(self) -> None:
        # Nova lists it no more, and tells where it is
        self.world.add('web', task_state='rebooting')
        drain = self.drain()
        gone = {'vm_state': 'soft-delete', 'task_state': None}
        self.world.at(9, lambda: self.world.set('web', **gone))
        drain.run()
        self.assertEqual({'web': 'deleted'}, drain.outcomes())

    def test_servers_are_stopped(self) -> None:
        # that of the plan comes first
        for number in itertools.count(1):
            stops = test_loop_stops.StopsTestCase('whole')
            stops.setUp()
            self.addCleanup(stops.doCleanups)
            world = stops.world
            world.add('pet', said={owners.POLICY: 'stop'})
            with Gaps(number) as gaps:
                result = stops.whole()
            assert world.aggregate
            noted = journal.decode(world.aggregate.metadata)
            self.assertEqual(
                ('stopped', 'SHUTOFF', {'pet'}),
                (
                    result.moves[0].outcome.value,
                    world.guests['pet'].status,
                    noted.stopped.keys(),
                ),
                str(number),
            )
            if gaps.seen <= number:
                break
        self.assertGreater(number, 4)


class TestApply(test_drain_apply.ApplyTestCase):
    def test_whichever_it_is(self) -> None:
        for number in itertools.count():
            self.afresh()
            names = [self.world.add(f'web{n}') for n in range(3)]
            with Gaps(number) as gaps:
                self.runs()
            self.check_gone(*names)
            if gaps.seen <= number:
                break
        self.assertGreater(number, 5)
