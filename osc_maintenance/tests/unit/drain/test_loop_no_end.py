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

"""When a drain comes to its end although something does not."""

from unittest import mock

from osc_lib import exceptions

from osc_maintenance.drain import events
from osc_maintenance.drain import options
from osc_maintenance import exit_codes
from osc_maintenance.nova import answers
from osc_maintenance.nova import servers as servers_api
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import test_loop_base as base
from osc_maintenance.tests.unit.drain import test_loop_stops

_CODE = exit_codes.ExitCode
_ABORT, _FORCE, _LEAVE = options.OnTimeout
_FORBIDDEN = exceptions.CommandError('Forbidden (HTTP 403)')


class TestNoEnd(test_loop_stops.StopsTestCase):
    """Nova never does what it was asked for: the drain ends nevertheless."""

    def test_a_request_that_never_gets_through(self) -> None:
        for vm_state, evacuate in (
            ('active', False),
            ('stopped', False),
            ('active', True),
        ):
            with self.subTest(vm_state=vm_state, evacuate=evacuate):
                self.afresh()
                self.world.end = 900
                if evacuate:
                    self.world.hosts[base.HOST] = 'down'
                self.world.add('web', vm_state=vm_state, ram=4096, disk=9)
                self.world.script('web', answers=['dropped'] * 99)
                self.world.add('db')
                drain = self.drain(evacuate=evacuate, retries=3).run()
                self.assertEqual(
                    {'web': 'failed', 'db': 'moved'}, drain.outcomes()
                )
                move = drain.move('web')
                self.assertIn('connection refused', move.cause or '')
                # none of them was a try
                self.assertEqual(1, move.attempts)
                self.assertGreater(self.world.now, 600)

    def test_one_that_holds_its_slot_without_a_record(self) -> None:
        group = answers.Group('g', 'g', 'anti-affinity', 1, ('a', 'b'))
        for most, groups in ((1, []), (2, [group])):
            for timeout, patience in ((None, 600), (60, 60)):
                with self.subTest(most=most, timeout=timeout):
                    self.afresh()
                    self.world.end = 900
                    self.world.add('a', task_state='migrating')
                    self.world.add('b')
                    self.world.groups = groups
                    drain = self.drain(
                        max_parallel=most, server_timeout=timeout
                    ).run()
                    self.assertEqual(
                        {'a': 'blocked', 'b': 'waiting'}, drain.outcomes()
                    )
                    self.assertIn('not started: ', drain.move('b').cause or '')
                    self.assertTrue(drain.move('a').cause)
                    self.assertLess(self.world.now - patience, 20)
                    self.assertGreaterEqual(self.world.now, patience)

    def test_one_that_nova_never_begins(self) -> None:
        for timeout, patience, state_, how in (
            (None, 660, 'active', 'unseen'),
            (60, 120, 'active', 'unseen'),
            (None, 660, 'active', 'scheduling'),
            # it may have gone to a host that had just died
            (None, 660, 'stopped', 'scheduling'),
            (60, 120, 'stopped', 'scheduling'),
        ):
            with self.subTest(timeout=timeout, state=state_, how=how):
                self.afresh()
                self.world.end = 1500
                self.world.add('web', vm_state=state_)
                self.world.script('web', **{how: 1e9})
                result = self.whole(server_timeout=timeout)
                self.assertEqual(4, result.exit_code)
                (move,) = result.moves
                self.assertEqual(
                    'Nova accepted the request and has not begun', move.cause
                )
                self.assertEqual(1, len(self.world.rows))
                self.assertLess(self.world.now - patience, 20)
                self.assertGreaterEqual(self.world.now, patience)

    def test_nova_takes_tens_of_seconds(self) -> None:
        for all_, migrations in ((15, 15), (30, 30), (0.3, 20), (0.6, 40)):
            with self.subTest(all=all_, migrations=migrations):
                self.afresh()
                for name in ('app', 'web', 'db'):
                    self.world.add(name)
                # where servers can go is asked time and again
                self.world.add('old', vm_state='suspended')
                self.world.latency = all_
                self.world.slower['migrations'] = migrations - all_
                result = self.whole()
                self.assertIs(_CODE.STAYED, result.exit_code)
                self.check_gone('app', 'web', 'db')
                self.assertEqual(3, len(self.world.rows))

    def test_one_that_begins_after_all(self) -> None:
        for state_, how in (
            ('active', 'unseen'),
            ('active', 'scheduling'),
            ('stopped', 'scheduling'),
        ):
            with self.subTest(state=state_, how=how):
                self.afresh()
                self.world.add('web', vm_state=state_)
                self.world.script('web', seconds=500, **{how: 700})
                # the drain does not end meanwhile
                self.world.script(self.world.add('app'), seconds=900)
                result = self.whole()
                self.assertEqual(0, result.exit_code)
                self.check_gone('web')

    def test_one_of_which_nova_did_not_answer(self) -> None:
        # it has taken it
        self.world.script(self.world.add('web'), answers=['lost'], seconds=99)
        self.world.interrupted = 50
        (move,) = self.whole().moves
        self.assertEqual('interrupted: goes on in Nova', move.cause)

    def test_one_that_may_not_be_stopped(self) -> None:
        for how, method in ((_ABORT, 'abort'), (_FORCE, 'force_complete')):
            with self.subTest(method=method):
                self.afresh()
                self.world.end = 900
                self.world.script(self.world.add('web'), fails=['hang'])
                with mock.patch.object(
                    base.Client, method, side_effect=_FORBIDDEN
                ) as asked:
                    result = self.whole(server_timeout=60, on_timeout=how)
                self.assertIs(_CODE.TIMED_OUT, result.exit_code)
                (move,) = result.moves
                self.assertTrue(move.given_up)
                self.assertIn('HTTP 403', move.cause or '')
                self.assertLess(1, asked.call_count)
                self.assertLess(self.world.now, 2 * 60 + 20)

    def test_what_is_not_ours_to_read(self) -> None:
        self.world.script(self.world.add('web'), fails=['pre'] * 9)
        self.world.script(self.world.add('db'), fails=['pre'])
        with mock.patch.object(base.Client, 'why', side_effect=_FORBIDDEN):
            drain = self.drain(retries=1).run()
        self.assertEqual({'web': 'failed', 'db': 'moved'}, drain.outcomes())
        self.assertIn('HTTP 403', drain.move('web').cause or '')

    def test_builds_that_are_not_ours_to_find(self) -> None:
        # Placement is asked by what Nova calls the hypervisors
        for method in ('node_in', 'consumers'):
            with self.subTest(method=method):
                self.afresh()
                self.world.add('web')
                with mock.patch.object(
                    base.Client, method, side_effect=_FORBIDDEN
                ) as asked:
                    result = self.whole()
                self.assertTrue(asked.called)
                self.assertIs(_CODE.DONE, result.exit_code)

    def test_a_cell_that_is_down_takes_no_server_away(self) -> None:
        names = [self.world.add(f'web{number}') for number in range(4)]
        for name in names:
            self.world.script(name, seconds=15)
        drain = self.drain(max_parallel=1)
        nova = servers_api.Servers(mock.Mock())
        on, server = drain.client.on, drain.client.server

        def is_down() -> bool:
            return 5 <= self.world.now <= 65

        def some_on(host: str) -> tuple[servers.Server, ...]:
            return () if is_down() else on(host)

        def unknown(name: str) -> servers.Server | None:
            if not is_down():
                return server(name)
            body = {'server': {'id': name, 'status': 'UNKNOWN'}}
            http = mock.Mock(**{'get.return_value': (None, body)})
            with mock.patch.object(nova, '_client', mock.Mock(client=http)):
                return nova.server(name)

        with (
            mock.patch.object(drain.client, 'on', some_on),
            mock.patch.object(drain.client, 'server', unknown),
        ):
            drain.run()
        self.assertEqual({'moved'}, set(drain.outcomes().values()))
        self.check_gone(*names)
        troubles = drain.of(events.Trouble)
        self.assertLess(1, len(troubles))
        for event in troubles:
            self.assertIn('its cell is down', event.cause)
