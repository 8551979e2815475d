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

"""Invariants 1 and 2: a command that is killed anywhere loses nothing."""

import signal
import threading

from osc_maintenance import exit_codes
from osc_maintenance.tests.functional import base
from osc_maintenance.tests.functional import proxy


MAINTENANCE = ('host', 'maintenance')
PAST = '2026-01-01T00:00:00Z'


class TestKilled(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.proxy = self.useFixture(proxy.Proxy(self.cloud.urls['compute']))
        self.environ = self.clouds_yaml(
            compute_endpoint_override=f'{self.proxy.url}/v2.1'
        )

    def _killed(self, number: int, when: str, *command: str) -> bool:
        """Kill a command before or after its write with that number.

        :returns: False if it did not get that far, and ended.
        """
        killed = threading.Event()
        self.proxy.requests.clear()

        def hook(method: str, _path: str) -> None:
            if method != 'GET' and len(self.proxy.writes) == number:
                killed.set()
                going.kill()
                # before: Nova does not see it; after: nobody is told
                raise ConnectionError

        setattr(self.proxy, when, hook)
        going = self.start(*MAINTENANCE, *command, environ=self.environ)
        answer = going.end()
        setattr(self.proxy, when, lambda _method, _path: None)
        if killed.is_set():
            self.assertEqual(-signal.SIGKILL, answer.code, str(answer))
        else:
            self.assertEqual(0, answer.code, str(answer))
        return killed.is_set()

    def _told_truly(self, host: str) -> str:
        """What show says of a host is what Nova says of it; the state."""
        shown = self.maintenance('show', host)
        status, reason = self.service(host)
        aggregate = self.aggregate(host)
        ours = (reason or '').startswith('maintenance ')
        metadata = aggregate['metadata'] if aggregate else {}
        if ours:
            # the record was complete before the service was disabled
            self.assertIn('maintenance:before_status', metadata)
            self.assertIn('maintenance:id', metadata)
            self.assertEqual([host], aggregate and aggregate['hosts'])
            self.assertEqual('maintenance', shown['state'])
        elif aggregate:
            self.assertEqual('error', shown['state'])
            self.assertIn('interrupted', shown['cause'])
        else:
            self.assertEqual('none', shown['state'])
        self.assertEqual(
            (status, reason),
            (shown['service_status'], shown['disabled_reason']),
        )
        state: str = shown['state']
        return state

    def _assert_nic(self, host: str) -> None:
        """The host is as it was: disabled by a colleague."""
        self.assertEqual(('disabled', 'broken NIC'), self.service(host))
        self.assertIsNone(self.aggregate(host))

    def _unset(self, host: str, state: str) -> None:
        says = 'is not in maintenance' if state == 'none' else ''
        self.openstack(*MAINTENANCE, 'unset', host, says=says)

    def _set_is_killed(self, when: str) -> None:
        options = ('--reason', 'kernel', '--end', '2126-01-01')
        for number in range(1, 5):
            for again in ('set', 'unset'):
                host = self.scene.host()
                self.set_service(host, 'disabled', 'broken NIC')
                self.assertTrue(
                    self._killed(number, when, 'set', host, *options)
                )
                state = self._told_truly(host)
                if again == 'set':
                    told = self.maintenance('set', host, *options)
                    self.assertEqual('maintenance', told['state'])
                    self.assertEqual('kernel', told['reason'])
                    self.assertEqual(
                        '2126-01-01T00:00:00Z', told['window_end']
                    )
                    told = self.maintenance('set', host, *options)
                    self.assertFalse(told['changed'])
                    state = 'maintenance'
                self._unset(host, state)
                self._assert_nic(host)
        host = self.scene.host()
        self.assertFalse(self._killed(5, when, 'set', host, *options))

    def test_set_is_killed_before_a_write(self) -> None:
        self._set_is_killed('before')

    def test_set_is_killed_after_a_write(self) -> None:
        self._set_is_killed('after')

    def _unset_is_killed(self, when: str) -> None:
        for number in range(1, 4):
            for again in ('set', 'unset'):
                host = self.scene.host()
                self.set_service(host, 'disabled', 'broken NIC')
                self.maintenance('set', host)
                self.assertTrue(self._killed(number, when, 'unset', host))
                state = self._told_truly(host)
                if again == 'set':
                    state = self.maintenance('set', host)['state']
                    self.assertEqual('maintenance', state)
                self._unset(host, state)
                self._assert_nic(host)
        host = self.scene.host()
        self.maintenance('set', host)
        self.assertFalse(self._killed(4, when, 'unset', host))

    def test_unset_is_killed_before_a_write(self) -> None:
        self._unset_is_killed('before')

    def test_unset_is_killed_after_a_write(self) -> None:
        self._unset_is_killed('after')

    def test_a_change_is_killed(self) -> None:
        for when in ('before', 'after'):
            for number in (1, 2):
                for command, reason in (
                    (('set', '--reason', 'new'), 'new'),
                    (('unset', '--reason'), None),
                ):
                    host = self.scene.host()
                    self.maintenance('set', host, '--reason', 'old')
                    verb, *options = command
                    self.assertTrue(
                        self._killed(number, when, verb, host, *options)
                    )
                    self.assertEqual('maintenance', self._told_truly(host))
                    told = self.maintenance(verb, host, *options)
                    self.assertEqual(reason, told['reason'])
                    self.assertEqual(
                        f'maintenance {told["id"]}: {reason or ""}'.strip(),
                        told['disabled_reason'],
                    )
                    self._unset(host, 'maintenance')
                    self.assert_untouched(host)

    def test_a_lost_aggregate_and_killed(self) -> None:
        for number in range(1, 5):
            host = self.scene.host()
            self.set_service(host, 'disabled', 'broken NIC')
            self.maintenance('set', host)
            self.lose_aggregate(host)
            self.assertTrue(self._killed(number, 'before', 'set', host))
            self.assertEqual('error', self.maintenance('show', host)['state'])
            if number % 2:
                told = self.maintenance('set', host)
                self.assertEqual('maintenance', told['state'])
            self._unset(host, 'maintenance')
            self._assert_nic(host)

    def test_apply_is_killed(self) -> None:
        self.alone()
        for when in ('before', 'after'):
            for number in (1, 2):
                host = self.scene.host()
                self.maintenance('set', host, '--start', '+4h')
                self.write_metadata(host, window_start=PAST)
                self.set_service(host, 'disabled', 'broken NIC')
                self.assertTrue(self._killed(number, when, 'apply'))
                rows = self.rows('apply')
                shown = self.maintenance('show', host)
                self.assertEqual('maintenance', shown['state'])
                self.assertEqual([], self.rows('apply'))
                done = [(host, 'entered')]
                if (when, number) == ('after', 2):
                    done = []
                self.assertEqual(
                    done, [(row['host'], row['action']) for row in rows]
                )
                self._unset(host, 'maintenance')
                self._assert_nic(host)

    def test_apply_is_killed_while_it_ends(self) -> None:
        self.alone()
        for number in (1, 2, 3):
            host = self.scene.host()
            self.set_service(host, 'disabled', 'broken NIC')
            self.maintenance('set', host, '--duration', '1h')
            self.write_metadata(host, window_start=PAST, window_end=PAST)
            command = ('apply', '--unset-overdue')
            self.assertTrue(self._killed(number, 'before', *command))
            self._told_truly(host)
            self.rows(*command)
            self._assert_nic(host)

    def test_ctrl_c_while_nova_hangs(self) -> None:
        host = self.scene.host()
        asked, ended = threading.Event(), threading.Event()
        self.addCleanup(ended.set)

        def hang(_method: str, path: str) -> None:
            if 'os-services' in path:
                asked.set()
                ended.wait()

        self.proxy.before = hang
        going = self.start(
            'host', 'maintenance', 'set', host, environ=self.environ
        )
        self.assertTrue(asked.wait(60))
        going.send(signal.SIGINT)
        answer = going.end(60)
        self.assertEqual(exit_codes.ExitCode.INTERRUPTED, answer.code)
        self.assertEqual('', answer.stdout)
        self.assertNotIn('Traceback', answer.stderr)
        self.assert_untouched(host)

    def test_the_order_of_the_writes(self) -> None:
        host = self.scene.host()
        self.openstack(
            'host', 'maintenance', 'set', host, environ=self.environ
        )
        aggregate = self.aggregate(host)
        assert aggregate is not None
        action = f'/v2.1/os-aggregates/{aggregate["id"]}/action'
        service = self.proxy.writes[-1][1]
        self.assertEqual(
            [
                ('POST', '/v2.1/os-aggregates'),
                ('POST', action),
                ('POST', action),
                ('PUT', service),
            ],
            self.proxy.writes,
        )
        self.assertIn('/os-services/', service)
        self.proxy.requests.clear()
        self.openstack(
            'host', 'maintenance', 'set', host, environ=self.environ
        )
        self.assertEqual([], self.proxy.writes)
        self.openstack(
            'host', 'maintenance', 'unset', host, environ=self.environ
        )
        self.assertEqual(
            [
                ('PUT', service),
                ('POST', action),
                ('DELETE', f'/v2.1/os-aggregates/{aggregate["id"]}'),
            ],
            self.proxy.writes,
        )

    def test_requests_are_few(self) -> None:
        host = self.scene.host()
        for verb, most in (
            (('set', '--start', '+1h'), 8),
            (('show',), 5),
            # one of them to see that nobody disables it at the same time
            (('set', '--now'), 9),
            (('set',), 8),
            (('show',), 5),
            # one of them to see that nobody enters it at the same time
            (('unset',), 9),
            (('set',), 9),
        ):
            self.proxy.requests.clear()
            self.openstack(
                *('host', 'maintenance', *verb, host), environ=self.environ
            )
            asked = [
                path for _m, path in self.proxy.requests if path != '/v2.1'
            ]
            self.assertLessEqual(len(asked), most, asked)

    def test_lists_ask_once_for_all(self) -> None:
        # the aggregates are asked for again where one is lost
        self.alone()
        counts = []
        for _ in range(2):
            self.proxy.requests.clear()
            self.openstack(
                *('host', 'maintenance', 'list', '--all'),
                environ=self.environ,
            )
            # a test that was cut short may have left a host in maintenance
            of_one_host = [
                path
                for _m, path in self.proxy.requests
                if '/os-migrations' in path or '/servers' in path
            ]
            counts.append(len(self.proxy.requests) - len(of_one_host))
            for _ in range(3):
                self.scene.host()
        self.assertEqual(3, counts[0])
        self.assertEqual(counts[0], counts[1])
