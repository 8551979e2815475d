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

from osc_maintenance.tests.functional import base
from osc_maintenance.tests.functional import proxy


class TestKilled(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.proxy = self.useFixture(proxy.Proxy(self.cloud.urls['compute']))
        self.environ = self.clouds_yaml(
            compute_endpoint_override=f'{self.proxy.url}/v2.1'
        )

    def _killed(
        self, number: int, when: str, verb: str, host: str, *options: str
    ) -> bool:
        """Kill a command before or after its write with that number.

        :returns: False if it did not get that far, and ended.
        """
        killed = threading.Event()
        self.proxy.requests.clear()

        def hook(method: str, _path: str) -> None:
            if method != 'GET' and len(self.proxy.writes) == number:
                process.kill()
                killed.set()

        setattr(self.proxy, when, hook)
        process = self.start(
            *('host', 'maintenance', verb, host, *options),
            environ=self.environ,
        )
        _stdout, stderr = process.communicate(timeout=120)
        setattr(self.proxy, when, lambda _method, _path: None)
        if killed.is_set():
            self.assertEqual(-signal.SIGKILL, process.returncode, stderr)
        else:
            self.assertEqual(0, process.returncode, stderr)
        return killed.is_set()

    def _told_truly(self, host: str) -> base.Json:
        """What show says of a host is what Nova says of it."""
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
        return shown

    def _set_is_killed(self, when: str) -> None:
        for number in range(1, 6):
            host = self.scene.host()
            self.set_service(host, 'disabled', 'broken NIC')
            options = ('--reason', 'kernel', '--end', '2126-01-01')
            if not self._killed(number, when, 'set', host, *options):
                self.assertEqual(5, number, 'set makes four writes')
                return
            self._told_truly(host)
            if number % 2:
                told = self.maintenance('set', host, *options)
                self.assertEqual('maintenance', told['state'])
                self.assertEqual('kernel', told['reason'])
                self.assertEqual('2126-01-01T00:00:00Z', told['window_end'])
                again = self.maintenance('set', host, *options)
                self.assertFalse(again['changed'])
            self.maintenance('unset', host)
            self.assertEqual(('disabled', 'broken NIC'), self.service(host))
            self.assertIsNone(self.aggregate(host))
        self.fail('set made more writes than were expected')

    def test_set_is_killed_before_a_write(self) -> None:
        self._set_is_killed('before')

    def test_set_is_killed_after_a_write(self) -> None:
        self._set_is_killed('after')

    def _unset_is_killed(self, when: str) -> None:
        for number in range(1, 5):
            host = self.scene.host()
            self.set_service(host, 'disabled', 'broken NIC')
            self.maintenance('set', host)
            if not self._killed(number, when, 'unset', host):
                self.assertEqual(4, number, 'unset makes three writes')
                return
            shown = self.maintenance('show', host)
            self.assertIn(shown['state'], ('maintenance', 'error', 'none'))
            self.openstack(
                *('host', 'maintenance', 'unset', host),
                says='not in maintenance' if shown['state'] == 'none' else '',
            )
            self.assertEqual(('disabled', 'broken NIC'), self.service(host))
            self.assertIsNone(self.aggregate(host))
        self.fail('unset made more writes than were expected')

    def test_unset_is_killed_before_a_write(self) -> None:
        self._unset_is_killed('before')

    def test_unset_is_killed_after_a_write(self) -> None:
        self._unset_is_killed('after')

    def test_apply_is_killed(self) -> None:
        self.alone_with_windows()
        for number in range(1, 4):
            host = self.scene.host()
            self.maintenance('set', host, '--start', '+4h')
            self.write_metadata(host, window_start='2026-01-01T00:00:00Z')
            self.set_service(host, 'disabled', 'broken NIC')
            self.proxy.requests.clear()
            if not self._apply_is_killed(number):
                self.assertEqual(3, number, 'entering a plan is two writes')
                return
            self.rows('apply')
            self.assertEqual(
                'maintenance', self.maintenance('set', host)['state']
            )
            self.maintenance('unset', host)
            self.assertEqual(('disabled', 'broken NIC'), self.service(host))
        self.fail('apply made more writes than were expected')

    def _apply_is_killed(self, number: int) -> bool:
        killed = threading.Event()

        def hook(method: str, _path: str) -> None:
            if method != 'GET' and len(self.proxy.writes) == number:
                process.kill()
                killed.set()

        self.proxy.before = hook
        process = self.start(
            'host', 'maintenance', 'apply', environ=self.environ
        )
        process.communicate(timeout=120)
        self.proxy.before = lambda _method, _path: None
        return killed.is_set()

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
            (('set', '--now'), 8),
            (('set',), 8),
            (('show',), 5),
            (('unset',), 8),
            (('set',), 8),
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
        self.alone_with_windows()
        counts = []
        for _ in range(2):
            self.proxy.requests.clear()
            self.openstack(
                *('host', 'maintenance', 'list', '--all'),
                environ=self.environ,
            )
            of_one_host = [
                path
                for _m, path in self.proxy.requests
                if '/os-migrations' in path
            ]
            counts.append(len(self.proxy.requests) - len(of_one_host))
            for _ in range(3):
                self.scene.host()
        self.assertEqual(3, counts[0])
        self.assertEqual(counts[0], counts[1])
