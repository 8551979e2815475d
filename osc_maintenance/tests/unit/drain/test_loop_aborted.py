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

"""Live migrations that somebody aborts."""

from unittest import mock

from osc_lib import exceptions

from osc_maintenance.drain import options
from osc_maintenance.nova import api
from osc_maintenance import owners
from osc_maintenance import state
from osc_maintenance.tests.unit.drain import simulation
from osc_maintenance.tests.unit.drain import test_drain_apply
from osc_maintenance.tests.unit.drain import test_loop_base as base


def abort(world: simulation.World, server: str, user: str = 'bob') -> None:
    """Abort what is under way."""
    client = base.Client(world, user)
    row = world.rows[-1].migration
    client.abort(world.guests[server], row)


class TestDrain(base.LoopTestCase):
    def _drain(self) -> base.Drain:
        self.afresh()
        self.world.script(self.world.add('web'), seconds=30)
        drain = self.drain()
        self.world.at(9, lambda: abort(self.world, 'web'))
        return drain

    def test_whoever_has_done_it_has_the_last_word(self) -> None:
        self._drain()
        drain = self.drain().run()
        self.assertEqual({'web': 'failed'}, drain.outcomes())
        self.assertEqual(
            'its live migration was aborted by user bob',
            drain.move('web').cause,
        )
        self.assertEqual(1, len(self.world.rows))
        # and until somebody says otherwise
        self.assertEqual({'web': 'moved'}, self.drain().run().outcomes())

    def test_libvirt_has_by_itself(self) -> None:
        drain = self._drain()
        refused = exceptions.CommandError('Policy does not allow it')
        for answer in ({'return_value': None}, {'side_effect': refused}):
            drain = self._drain()
            with mock.patch.object(base.Client, 'aborted_by', **answer):
                drain.run()
            self.assertEqual({'web': 'moved'}, drain.outcomes())
            self.assertEqual(2, len(self.world.rows))

    def test_one_that_is_queued_between_two_looks(self) -> None:
        # Nova clears its task first, and notes that it is cancelled then
        self.world.limit = 1
        self.world.script(self.world.add('big', ram=9999), seconds=400)
        self.world.add('web')
        real = base.Client.on
        begun: list[int] = []

        def cancel() -> None:
            row = self.world.rows[-1]
            self.world.aborters['web'] = 'bob'
            row.run += 1
            self.world._back(row)
            self.world.at(
                self.world.now + 0.02,
                lambda: self.world.save(row, 'cancelled'),
            )

        def on(client: base.Client, host: str) -> object:
            if self.world.now > 60 and not begun:
                begun.append(1)
                cancel()
            return real(client, host)

        with mock.patch.object(base.Client, 'on', on):
            drain = self.drain(max_parallel=2).run()
        self.assertEqual({'big': 'moved', 'web': 'failed'}, drain.outcomes())
        self.assertIn('by user bob', str(drain.move('web').cause))
        self.assertEqual(2, len(self.world.rows))

    def test_nova_does_not_answer_for_a_moment(self) -> None:
        drain = self._drain()
        answers = [api.TransientError('HTTP 503'), 'bob']
        with mock.patch.object(base.Client, 'aborted_by', side_effect=answers):
            drain.run()
        self.assertEqual({'web': 'failed'}, drain.outcomes())
        self.assertIn('by user bob', str(drain.move('web').cause))

    def test_the_answer_to_our_own_is_lost(self) -> None:
        self.world.script(self.world.add('web'), fails=['hang'])
        drain = self.drain(
            server_timeout=60, on_timeout=options.OnTimeout.ABORT
        )
        real = base.Client.abort

        def lost(*args: object) -> None:
            real(*args)  # type: ignore[arg-type]
            raise api.TransientError('HTTP 502')

        with mock.patch.object(base.Client, 'abort', lost):
            drain.run()
        self.assertEqual({'web': 'failed'}, drain.outcomes())
        self.assertIn('by user alice', str(drain.move('web').cause))
        self.assertEqual(1, len(self.world.rows))

    def test_a_cold_migration_is_reverted(self) -> None:
        for state_ in ('stopped', 'active'):
            self.afresh()
            wish = {owners.POLICY: owners.Wish.COLD_MIGRATE.value}
            self.world.add('web', vm_state=state_, said=wish)

            def confirm(_client: base.Client, _server: object) -> None:
                # somebody was quicker
                row = self.world.rows[-1]
                if row.migration.unconfirmed:
                    self.world.go(row, self.world.reverted(row))
                raise api.OvertakenError("Cannot 'confirmResize'")

            with mock.patch.object(base.Client, 'confirm', confirm):
                drain = self.drain().run()
            self.assertEqual({'web': 'failed'}, drain.outcomes())
            self.assertEqual(
                'its cold migration was reverted by somebody',
                drain.move('web').cause,
            )
            self.assertEqual(1, len(self.world.rows))
            # and until somebody says otherwise
            self.assertEqual({'web': 'moved'}, self.drain().run().outcomes())


class TestApply(test_drain_apply.ApplyTestCase):
    def test_what_is_reverted_is_not_tried_again(self) -> None:
        self.world.add('web', vm_state='stopped')
        self.apply()
        (row,) = self.world.rows
        self.assertTrue(row.migration.unconfirmed)
        self.world.go(row, self.world.reverted(row))
        self.world.advance(self.world.now + 30)
        self.runs()
        self.assertIn('was reverted by somebody', str(self.standing().cause))
        self.assertEqual(1, len(self.world.rows))

    def test_it_is_not_tried_again(self) -> None:
        self.world.script(self.world.add('web'), seconds=400)
        self.world.add('db')
        self.apply()
        abort(self.world, 'web')
        self.runs()
        self.check_gone('db')
        found = self.standing()
        self.assertIs(state.State.ERROR, found.state)
        self.assertIn('was aborted by user bob', str(found.cause))
        self.assertEqual(2, len(self.world.rows))
