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

"""Entering and leaving a maintenance beside somebody else."""

import collections.abc

from osc_maintenance import exit_codes
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import base
from osc_maintenance.tests.functional import proxy

TICKET = 'https://tickets.example.com/7?a=b&c=d#e'


def _rewriting(was: str, told: str) -> collections.abc.Callable[..., bytes]:
    return lambda body: body.replace(was.encode(), told.encode())


class TestSomebodyElse(base.TestCase):
    """Invariant 3: nobody else's disable is undone."""

    def test_a_changed_reason(self) -> None:
        host = self.scene.host()
        self.maintenance('set', host)
        self.set_service(host, 'disabled', 'disk \x1b[2Jfailure')
        shown = self.maintenance('show', host)
        self.assertEqual('error', shown['state'])
        self.assertIn(r'disk \x1b[2Jfailure', shown['cause'])
        self.assertEqual(r'disk \x1b[2Jfailure', shown['disabled_reason'])
        said = self.refused(
            *('host', 'maintenance', 'unset', host),
            code=exit_codes.ExitCode.REFUSED,
        )
        self.assertIn('--force', said)
        self.assertIn(r'disk \x1b[2Jfailure', said)
        self.assertEqual(
            ('disabled', 'disk \x1b[2Jfailure'), self.service(host)
        )
        self.maintenance('unset', host, '--force')
        self.assert_untouched(host)

    def test_nova_answers_in_another_form(self) -> None:
        host = self.scene.host()
        line = self.useFixture(proxy.Proxy(self.cloud.urls['compute']))
        environ = self.clouds_yaml(
            compute_endpoint_override=f'{line.url}/v2.1'
        )
        self.set_service(host, 'disabled', 'broken NIC')
        for was, told in (
            ('"status": "disabled"', '"status": null'),
            ('"disabled_reason":', '"reason":'),
            ('"host":', '"on":'),
        ):
            line.rewrite = _rewriting(was, told)
            said = self.refused(
                *('host', 'maintenance', 'set', host), environ=environ
            )
            self.assertRegex(said, 'status|disabled_reason|host')
        self.assertEqual([], line.writes)
        self.assertEqual(('disabled', 'broken NIC'), self.service(host))
        self.assertIsNone(self.aggregate(host))

    def test_a_host_that_was_renamed(self) -> None:
        host = self.scene.host()
        self.maintenance('set', host)
        self.scene.remove_host(host)
        renamed = self.scene.host('renamed')
        self.assertEqual('none', self.maintenance('show', renamed)['state'])
        shown = self.maintenance(
            'show', host, says='it has no compute service'
        )
        self.assertEqual('error', shown['state'])
        self.assertIn('unset removes it', shown['cause'])
        self.maintenance('unset', host, says='it has no compute service')
        self.assertIsNone(self.aggregate(host))
        self.assert_untouched(renamed)

    def test_a_host_enabled_behind_our_back(self) -> None:
        host = self.scene.host()
        self.set_service(host, 'disabled', 'broken NIC')
        self.maintenance('set', host)
        self.set_service(host, 'enabled')
        shown = self.maintenance('show', host)
        self.assertEqual('error', shown['state'])
        self.assertIn('is enabled', shown['cause'])
        said = self.refused(
            *('host', 'maintenance', 'unset', host),
            code=exit_codes.ExitCode.REFUSED,
        )
        self.assertIn('broken NIC', said)
        self.assertEqual(('enabled', None), self.service(host))
        # set takes what it finds now as what to go back to
        self.assertTrue(self.maintenance('set', host)['changed'])
        self.maintenance('unset', host)
        self.assert_untouched(host)

    def test_four_at_once(self) -> None:
        host = self.scene.host()
        self.set_service(host, 'disabled', 'broken NIC')
        operators = [
            self.start('host', 'maintenance', 'set', host, *options)
            for options in (
                ('--reason', 'kernel'),
                ('--ticket-url', TICKET),
                ('--end', '2126-01-01'),
                (),
            )
        ]
        self._all_succeed(operators)
        # each of them has got what it asked for
        told = self.maintenance('show', host)
        self.assertEqual(
            ('maintenance', 'kernel', TICKET, '2126-01-01T00:00:00Z'),
            (
                told['state'],
                told['reason'],
                told['ticket_url'],
                told['window_end'],
            ),
        )
        self.assertIn(f': kernel {TICKET} [before', told['disabled_reason'])
        self.assertFalse(self.maintenance('set', host)['changed'])
        self._all_succeed(
            [
                self.start('-q', 'host', 'maintenance', 'unset', host)
                for _ in range(4)
            ]
        )
        self.assertEqual(('disabled', 'broken NIC'), self.service(host))
        self.assertIsNone(self.aggregate(host))

    def _all_succeed(self, operators: list[forked.Command]) -> None:
        for operator in operators:
            answer = operator.end()
            self.assertEqual(('', 0), (answer.stderr, answer.code))

    def test_set_against_unset(self) -> None:
        host = self.scene.host()
        for _ in range(3):
            self.maintenance('set', host, '--start', '+4h')
            verbs = (('set', '--now'), ('unset',), ('set', '--now'))
            self._all_succeed(
                [
                    self.start('-q', 'host', 'maintenance', *verb, host)
                    for verb in verbs
                ]
            )
            # one after the other, in some order: never half of both
            told = self.maintenance('show', host)
            self.assertIn(told['state'], ('none', 'maintenance'), str(told))
            self.openstack('-q', 'host', 'maintenance', 'unset', host)
            self.assert_untouched(host)

    def test_either_half_of_the_record_is_enough(self) -> None:
        for lost in ('aggregate', 'metadata', 'reason'):
            with self.subTest(lost=lost):
                host = self.scene.host()
                self.set_service(host, 'disabled', 'broken NIC')
                self.maintenance('set', host, '--reason', 'kernel')
                aggregate = self.aggregate(host)
                assert aggregate is not None
                if lost == 'aggregate':
                    self.lose_aggregate(host)
                elif lost == 'metadata':
                    names = [
                        key.removeprefix('maintenance:')
                        for key in aggregate['metadata']
                    ]
                    self.write_metadata(host, **dict.fromkeys(names))
                else:
                    self.set_service(host, 'disabled', 'broken NIC')
                self.assertEqual(
                    'error', self.maintenance('show', host)['state']
                )
                told = self.maintenance('set', host)
                self.assertEqual('maintenance', told['state'])
                self.assertEqual('kernel', told['reason'])
                self.maintenance('unset', host)
                self.assertEqual(
                    ('disabled', 'broken NIC'), self.service(host)
                )
                self.assertIsNone(self.aggregate(host))
