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
import typing
from unittest import mock

from osc_lib import exceptions


from osc_maintenance import apply
from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import facts
from osc_maintenance import noting
from osc_maintenance.nova import api
from osc_maintenance import owners
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance import state
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes
from osc_maintenance.tests.unit import test_maintenance

NOW, HOUR = scenes.NOW, scenes.HOUR


class TestDrain(test_maintenance.MaintenanceTestCase):
    def setUp(self) -> None:
        super().setUp()
        window = asking.Request(
            start=NOW + 4 * HOUR, policy=policy.Policy(policy.ALL)
        )
        self.here = [scenes.server(name) for name in 'abc']
        self.all = self.clients(
            scenes.entered(request=window),
            fakes.named(scenes.host(), 'compute2'),
        )
        load = servers.Load('compute1', tuple(self.here))
        self.all.servers.loads = {'compute1': load}

    def _apply(self) -> tuple[str, bool, str] | None:
        rows = apply.apply(
            fakes.real(self.all),
            unset_overdue=False,
            max_parallel=2,
            now=lambda: NOW + 4 * HOUR,
        )
        if not rows:
            return None
        (row,) = rows
        self.cause = row['cause']
        return row['action'], row['changed'], row['state']

    def _left(self) -> int:
        return len(self.all.servers.on('compute1'))

    def test_step_by_step(self) -> None:
        self.assertEqual(('entered', True, 'migrating'), self._apply())
        self.assertIn('1 server left: apply', self.cause)
        self.assertEqual(1, self._left())
        self.assertTrue(self.all.nova.hosts['compute1'].journal.by_apply)
        # the rest of it takes a run or two
        told = [self._apply() for _ in range(3)]
        self.assertEqual(0, self._left())
        self.assertIn(('drained', True, 'maintenance'), told)
        self.assertTrue(self.all.nova.hosts['compute1'].journal.ended)
        self.assertIsNone(self._apply())

    def _killed_after(self, writes: int) -> None:
        """A run that Nova stops answering to."""
        real, most = fakes.Nova._write, self.all.nova.changes + writes

        def write(nova: fakes.Nova, method: str, host: str) -> None:
            if nova.changes >= most:
                raise api.TransientError('HTTP 503')
            real(nova, method, host)

        with mock.patch.object(fakes.Nova, '_write', write):
            self._apply()

    def test_it_goes_on_wherever_it_was_killed(self) -> None:
        fresh = self.all.nova.hosts['compute1']
        whole = servers.Load('compute1', tuple(self.here))
        for writes in range(8):
            with self.subTest(writes=writes):
                self.all.nova.hosts['compute1'] = fresh
                self.all.servers.loads = {'compute1': whole}
                self._killed_after(writes)
                for _ in range(4):
                    self._apply()
                self.assertEqual(0, self._left())
                self.assertTrue(self.all.nova.hosts['compute1'].journal.ended)

    def test_it_is_noted_with_the_record_that_apply_goes_on(self) -> None:
        self._killed_after(1)
        host = self.all.nova.hosts['compute1']
        assert host.record
        self.assertTrue(host.record.entered)
        self.assertTrue(host.journal.by_apply)
        self.assertFalse(host.ours)

    def test_a_drain_that_has_ended_is_not_begun_again(self) -> None:
        while self._left():
            self._apply()
        self._apply()
        host = self.all.nova.hosts['compute1']
        assert host.journal.ended
        # somebody enables it inside of the window, and a server comes
        self.all.nova.hosts['compute1'] = scenes.disabled_by_somebody(
            host, 'enabled', None
        )
        late = servers.Load('compute1', (scenes.server('late'),))
        self.all.servers.loads['compute1'] = late
        self.assertEqual(('entered', True), (self._apply() or ())[:2])
        self.assertEqual(1, self._left())

    def test_its_cell_is_down(self) -> None:
        self._apply()
        host = self.all.nova.hosts['compute1']
        gone = scenes.service('UNKNOWN', id='')
        lost = dataclasses.replace(host, service=gone)
        self.all.nova.hosts['compute1'] = lost
        self.assertEqual(('failed', False, 'error'), self._apply())
        self.assertIn('the cell of compute1 is down', self.cause)
        # or goes down while servers are moved
        self.all.nova.hosts['compute1'] = host

        def drain(*_args: object, **_kwargs: object) -> typing.NoReturn:
            self.all.nova.hosts['compute1'] = lost
            raise exceptions.CommandError('HTTP 500')

        with mock.patch('osc_maintenance.drain.run.drain', drain):
            self.assertEqual(('failed', False, 'error'), self._apply())
        self.assertIn('HTTP 500', self.cause)

    def test_what_an_operator_drains_is_left_alone(self) -> None:
        self._apply()
        host = self.all.nova.hosts['compute1']
        theirs = change.WriteRecord(noting.started(host.journal, {}))
        self.all.nova.hosts['compute1'] = scenes.after(host, theirs)
        self.assertIsNone(self._apply())
        self.assertEqual(1, self._left())

    def test_what_is_not_to_be_moved_is_left_alone(self) -> None:
        fresh = scenes.entered(request=asking.Request(start=NOW + 4 * HOUR))
        self.all.nova.hosts['compute1'] = fresh
        self.assertEqual(('entered', True, 'maintenance'), self._apply())
        self.assertEqual(3, self._left())
        self.assertIsNone(self._apply())

    def test_a_host_that_must_be_emptied_or_left_alone(self) -> None:
        strict = policy.Policy(policy.ALL, strict=True)
        window = asking.Request(start=NOW + 4 * HOUR, policy=strict)
        self.all.nova.hosts['compute1'] = scenes.entered(request=window)
        stuck = dataclasses.replace(self.here[0], vm_state='suspended')
        here = servers.Load('compute1', (stuck, *self.here[1:]))
        self.all.servers.loads = {'compute1': here}
        for _ in range(2):
            self.assertEqual(('failed', False, 'planned'), self._apply())
            self.assertIn('--strict was given: a (', self.cause)
            self.assertFalse(self.all.nova.hosts['compute1'].ours)
        # its owner has resumed it
        here = servers.Load('compute1', tuple(self.here))
        self.all.servers.loads = {'compute1': here}
        self.assertEqual(('entered', True, 'migrating'), self._apply())
        # it is not asked again once the host has been entered
        here = servers.Load('compute1', (stuck,))
        self.all.servers.loads = {'compute1': here}
        self.assertEqual(('drained', True), (self._apply() or ())[:2])

    def test_owners_who_reply_between_two_runs(self) -> None:
        window = asking.Request(
            start=NOW + 4 * HOUR,
            policy=policy.Policy(policy.ALL),
            notify=True,
            replies=owners.Heed.WAIT,
            reply_by=NOW + 9 * HOUR,
        )
        host = scenes.entered(request=window)
        self.all.nova.hosts['compute1'] = host
        for _ in range(2):
            self._apply()
            self.assertIn('3 servers left: a (a-id): waits', self.cause)
        assert host.record
        said = {owners.REPLY: f'{host.record.id} move'}
        replied = 'its owner has replied since, or is waited for no more; '
        for name, told in (
            ('a', f'a (a-id): {replied}b (b-id): waits'),
            ('b', f'b (b-id): {replied}c (c-id): waits'),
            ('c', '3 servers left: apply moves the next at its next run'),
        ):
            self.all.servers.become(f'{name}-id', said=said)
            found = state.derive(
                self.all.nova.hosts['compute1'],
                facts.load(fakes.real(self.all).servers, 'compute1'),
                NOW + 5 * HOUR,
            )
            self.assertIs(state.State.MIGRATING, found.state)
            self.assertIn(told, str(found.cause))

    def test_a_drain_that_cannot_work_is_told(self) -> None:
        down = scenes.entered(
            dataclasses.replace(
                scenes.host(), service=scenes.service(state='down')
            ),
            asking.Request(
                start=NOW + 4 * HOUR, policy=policy.Policy(policy.ALL)
            ),
        )
        self.all.nova.hosts['compute1'] = down
        self.assertEqual(('failed', True), (self._apply() or ())[:2])
        self.assertIn('entered, but then: nova-compute on', self.cause)
        self.assertTrue(self.all.nova.hosts['compute1'].ours)
        # it is tried again, and told again
        self.assertEqual(('failed', False), (self._apply() or ())[:2])
        self.assertTrue(self.cause.startswith('nova-compute on compute1'))
