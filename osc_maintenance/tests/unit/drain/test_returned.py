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

"""A drain after a return that was broken off."""

import collections.abc
from unittest import mock

from osc_lib import exceptions

from osc_maintenance.drain import events
from osc_maintenance.drain import loop
from osc_maintenance import journal
from osc_maintenance.nova import api
from osc_maintenance.tests.unit.drain import simulation
from osc_maintenance.tests.unit.drain import test_loop_base as base
from osc_maintenance.tests.unit.drain import test_returning_base


class TestReturned(test_returning_base.ReturningTestCase):
    def _broken_off(self, later: float) -> None:
        """A cold migration back is asked for, and Ctrl-C is pressed."""
        self.afresh()
        self.world.add('off', vm_state='stopped')
        self.drained('off')
        self.world.script('off', seconds=20)
        started = []

        def report(event: events.Event) -> None:
            if isinstance(event, events.Started):
                started.append(event)

        real = self.pause
        with mock.patch.object(
            self, 'pause', lambda seconds: bool(started) or real(seconds)
        ):
            self.bring_back(self.surveyed(), report)
        self.pass_time(later)
        # set goes on with the maintenance
        self.noted({'maintenance:return': None})

    def test_it_is_confirmed_and_leaves_again(self) -> None:
        # Nova has not chosen the host yet, copies, or waits
        for later in (0, 2, 60):
            self._broken_off(later)
            drain = self.drain().run()
            self.assertEqual({'off': 'moved'}, drain.outcomes())
            self.assertIs(loop.Ending.COMPLETE, drain.loop.ending)
            guest = self.world.guests['off']
            self.assertEqual('SHUTOFF', guest.status)
            self.assertNotEqual(base.HOST, guest.host)

    def test_confirming_takes_its_time(self) -> None:
        def confirmed(
            world: simulation.World, row: simulation.Row
        ) -> collections.abc.Iterator[float]:
            world.save(row, 'confirming')
            yield 8.0
            world.save(row, 'confirmed')
            yield 0.05
            world._back(row, row.migration.dest)

        self._broken_off(60)
        with mock.patch.object(simulation.World, 'confirmed', confirmed):
            drain = self.drain().run()
        self.assertEqual({'off': 'moved'}, drain.outcomes())
        self.assertEqual('SHUTOFF', self.world.guests['off'].status)

    def test_nobody_else_has_to_confirm_it(self) -> None:
        self._broken_off(60)
        look = self.drain().journey.look(fresh=True, moving=set())
        found = look.verdicts['off']
        self.assertIn('has come back', str(found.cause))
        self.assertTrue(found.passing)

    def test_nova_does_not_let_it_be_confirmed(self) -> None:
        for error in (
            exceptions.CommandError('HTTP 403'),
            api.OvertakenError('HTTP 409'),
        ):
            self._broken_off(60)
            with mock.patch.object(base.Client, 'confirm', side_effect=error):
                drain = self.drain().run()
            (move,) = drain.loop.moves
            self.assertIn('waits for its resize', str(move.cause))

    def test_whose_it_is_is_not_forgotten(self) -> None:
        self._broken_off(0)
        self.world.add('web')
        drain = self.drain(wait=False, max_parallel=2)
        drain.run()
        assert self.world.aggregate
        noted = journal.decode(self.world.aggregate.metadata)
        self.assertEqual({'off'}, noted.returns.keys())
        self.pass_time(60)
        self.assertEqual('moved', self.drain().run().outcomes()['off'])
