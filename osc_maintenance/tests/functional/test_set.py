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

"""Entering, planning and leaving a maintenance."""

import datetime
import re

from osc_maintenance import exit_codes
from osc_maintenance.tests.functional import base

NOBODY: base.Json = {
    'state': 'none',
    'cause': None,
    'id': None,
    'reason': None,
    'ticket_url': None,
    'window_start': None,
    'window_end': None,
    'removal': False,
    'retry_after': None,
    'overdue': False,
    'set_by': None,
    'set_at': None,
    'migrate': 'none',
    'notify_owners': False,
    'owner_replies': 'ignore',
    'reply_by': None,
    'service_status': 'enabled',
    'service_state': 'up',
    'disabled_reason': None,
    'servers': {},
    'migrations_out': 0,
    'migrations_in': 0,
    'unconfirmed_resizes': 0,
    'emptied': True,
}
TICKET = 'https://tickets.example.com/7?a=b&c=d#e'


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, '%Y-%m-%dT%H:%M:%S%z')


class TestSet(base.TestCase):
    def test_a_host_that_nobody_touched(self) -> None:
        host = self.scene.host()
        self.assertEqual(
            {'host': host, **NOBODY}, self.maintenance('show', host)
        )
        self.assertEqual(
            {'host': host, **NOBODY, 'changed': False},
            self.maintenance(
                'unset', host, says=f'{host} is not in maintenance'
            ),
        )
        self.assert_untouched(host)

    def test_in_and_out(self) -> None:
        host = self.scene.host()
        options = ('--reason', 'kernel update', '--ticket-url', TICKET)
        told = self.maintenance('set', host, '--duration', '2h30m', *options)
        self.assertEqual('maintenance', told['state'])
        self.assertTrue(told['changed'])
        self.assertRegex(told['id'], '^[0-9a-f]{8}$')
        self.assertEqual('kernel update', told['reason'])
        self.assertEqual(TICKET, told['ticket_url'])
        self.assertEqual('admin', told['set_by'])
        start, end = _time(told['window_start']), _time(told['window_end'])
        self.assertEqual(datetime.timedelta(hours=2, minutes=30), end - start)
        self.assertEqual(start, _time(told['set_at']))
        self.assertIn(told['retry_after'], range(8900, 9001))
        self.assertEqual('disabled', told['service_status'])
        self.assertTrue(told['emptied'])

        reason = f'maintenance {told["id"]}: kernel update {TICKET}'
        self.assertEqual(('disabled', reason), self.service(host))
        self.assertEqual(reason, told['disabled_reason'])
        aggregate = self.aggregate(host)
        assert aggregate is not None
        self.assertEqual([host], aggregate['hosts'])
        self.assertIsNone(aggregate['availability_zone'])
        self.assertTrue(aggregate['uuid'].startswith(told['id']))

        again = self.maintenance('set', host, *options)
        self.assertFalse(again['changed'])
        shown = self.maintenance('show', host)
        for name in shown.keys() - {'retry_after'}:
            self.assertEqual(told[name], shown[name])
            self.assertEqual(told[name], again[name])

        back = self.maintenance('unset', host)
        self.assertEqual({'host': host, **NOBODY, 'changed': True}, back)
        self.assert_untouched(host)

    def test_a_host_that_was_disabled_before(self) -> None:
        for reason in (
            None,
            'broken NIC',
            'AUTO: Connection to libvirt lost: 1',
            'x' * 255,
            ' blanks \n and a newline ',
        ):
            with self.subTest(reason=reason):
                host = self.scene.host()
                self.set_service(host, 'disabled', reason)
                told = self.maintenance('set', host, '--reason', 'kernel')
                self.assertTrue(
                    told['disabled_reason'].startswith(
                        f'maintenance {told["id"]}: kernel [before: disabled'
                    )
                )
                self.assertEqual('maintenance', told['state'])
                self.maintenance('unset', host)
                self.assertEqual(('disabled', reason), self.service(host))
                self.assertIsNone(self.aggregate(host))

    def test_a_planned_one(self) -> None:
        host = self.scene.host()
        told = self.maintenance(
            'set', host, '--start', '+4h', '--duration', '1h'
        )
        self.assertEqual(('planned', True), (told['state'], told['changed']))
        self.assertEqual(('enabled', None), self.service(host))
        self.assertFalse(self.maintenance('set', host)['changed'])

        told = self.maintenance('set', host, '--reason', 'kernel')
        self.assertEqual(('planned', True), (told['state'], told['changed']))

        told = self.maintenance('set', host, '--now')
        self.assertEqual('maintenance', told['state'])
        self.assertEqual(told['set_at'], told['window_start'])
        self.assertEqual('disabled', self.service(host)[0])
        self.assertFalse(self.maintenance('set', host, '--now')['changed'])

    def test_a_planned_one_is_dropped(self) -> None:
        host = self.scene.host()
        self.maintenance('set', host, '--start', '2126-01-01T00:00+01:00')
        shown = self.maintenance('show', host)
        self.assertEqual('2125-12-31T23:00:00Z', shown['window_start'])
        self.assertTrue(self.maintenance('unset', host)['changed'])
        self.assert_untouched(host)

    def test_a_planned_one_whose_start_has_come(self) -> None:
        host = self.scene.host()
        self.maintenance('set', host, '--start', '+4h')
        self.write_metadata(host, window_start='2026-01-01T00:00:00Z')
        self.assertEqual('planned', self.maintenance('show', host)['state'])
        told = self.maintenance('set', host)
        self.assertEqual(
            ('maintenance', True), (told['state'], told['changed'])
        )
        self.assertEqual('2026-01-01T00:00:00Z', told['window_start'])

    def test_a_host_that_is_removed(self) -> None:
        host = self.scene.host()
        told = self.maintenance('set', host, '--removal')
        self.assertEqual(
            (True, None, None),
            (told['removal'], told['window_end'], told['retry_after']),
        )
        told = self.maintenance('set', host, '--end', '+2h')
        self.assertEqual((False, True), (told['removal'], told['changed']))

    def test_single_properties_are_cleared(self) -> None:
        host = self.scene.host()
        self.maintenance(
            'set',
            host,
            '--end',
            '+2h',
            '--ticket-url',
            TICKET,
            '--reason',
            'x',
        )
        told = self.maintenance('unset', host, '--ticket-url')
        self.assertEqual(
            ('maintenance', None, 'x', True),
            (
                told['state'],
                told['ticket_url'],
                told['reason'],
                told['changed'],
            ),
        )
        self.assertEqual(
            ('disabled', f'maintenance {told["id"]}: x'), self.service(host)
        )
        told = self.maintenance('unset', host, '--window', '--reason')
        self.assertEqual(
            ('maintenance', None, None),
            (told['state'], told['window_end'], told['reason']),
        )
        self.assertFalse(
            self.maintenance('unset', host, '--window')['changed']
        )
        self.refused(
            *('host', 'maintenance', 'unset', host, '--window', '--force'),
            code=exit_codes.ExitCode.USAGE,
        )

    def test_a_window_that_cannot_be_read_is_cleared(self) -> None:
        host = self.scene.host()
        self.maintenance('set', host, '--end', '+2h', '--reason', 'x')
        self.write_metadata(host, window_end='tomorrow')
        told = self.maintenance('unset', host, '--window')
        self.assertEqual(
            ('maintenance', None, 'x'),
            (told['state'], told['window_end'], told['reason']),
        )

    def test_tables_are_for_people(self) -> None:
        host = self.scene.host()
        table = self.openstack(
            'host', 'maintenance', 'set', host, '--duration', '1d'
        )
        for words in (
            r'Retry After +\| (1d|23h59m\d+s) ',
            r'Window End +\| \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ',
            r'Ticket URL +\| - ',
            r'Emptied +\| yes ',
            r'Servers +\| - ',
        ):
            self.assertRegex(table, words)
        for column in ('window_end', 'Window End'):
            for formatter in ('table', 'value', 'json'):
                told = self.openstack(
                    *('host', 'maintenance', 'show', host),
                    *('-c', column, '-f', formatter),
                )
                self.assertTrue(re.search(r'\d{4}-\d\d-\d\dT', told), told)


class TestRefused(base.TestCase):
    def test_bad_usage(self) -> None:
        host = self.scene.host()
        for arguments, named in (
            ((), '<host>'),
            (('',), '<host>'),
            ((host, '--end', 'tomorrow'), '--end'),
            ((host, '--start', '2026-13-01'), '--start'),
            ((host, '--duration', '90'), '--duration'),
            ((host, '--end', '+1h', '--duration', '1h'), '--duration'),
            ((host, '--end', '+1h', '--removal'), '--removal'),
            ((host, '--now', '--start', '+1h'), '--start'),
            ((host, '--reason', ' '), '--reason'),
            ((host, '--reason', 'x' * 256), '--reason'),
            ((host, '--reason', 'a\x1b[2Jb'), '--reason'),
            ((host, '--ticket-url', 'ftp://example.com/7'), '--ticket-url'),
            ((host, '--ticket-url', 'https://'), '--ticket-url'),
            (
                (host, '--ticket-url', 'https://me:pw@example.com/'),
                '--ticket-url',
            ),
        ):
            with self.subTest(arguments=arguments):
                said = self.refused(
                    *('host', 'maintenance', 'set', *arguments),
                    code=exit_codes.ExitCode.USAGE,
                )
                self.assertIn(named, said)
                self.assertNotIn('\x1b', said)
                self.assertNotIn('me:pw', said)
        self.assert_untouched(host)

    def test_bad_windows(self) -> None:
        host = self.scene.host()
        for arguments, named in (
            (('--end', '2020-01-01'), '--end'),
            (('--start', '+2h', '--end', '+1h'), '--start'),
            (('--start', '2020-01-01', '--duration', '1h'), '--duration'),
        ):
            with self.subTest(arguments=arguments):
                said = self.refused(
                    *('host', 'maintenance', 'set', host, *arguments),
                    code=exit_codes.ExitCode.REFUSED,
                )
                self.assertIn(named, said)
                self.assertIn(host, said)
        self.assert_untouched(host)

    def test_a_start_in_the_future_does_not_leave(self) -> None:
        host = self.scene.host()
        before = self.maintenance('set', host)
        said = self.refused(
            *('host', 'maintenance', 'set', host, '--start', '+1h'),
            code=exit_codes.ExitCode.REFUSED,
        )
        self.assertIn('unset it first', said)
        after = self.maintenance('show', host)
        self.assertEqual(before['window_start'], after['window_start'])

    def test_a_missed_window_is_not_entered(self) -> None:
        host = self.scene.host()
        self.maintenance('set', host, '--start', '+1h', '--end', '+2h')
        self.write_metadata(
            host,
            window_start='2026-01-01T00:00:00Z',
            window_end='2026-01-01T01:00:00Z',
        )
        said = self.refused(
            *('host', 'maintenance', 'set', host),
            code=exit_codes.ExitCode.REFUSED,
        )
        self.assertIn('--end', said)
        self.assertEqual(('enabled', None), self.service(host))

    def test_an_unknown_host(self) -> None:
        host = self.scene.host()
        for verb in ('set', 'unset', 'show'):
            said = self.refused('host', 'maintenance', verb, host + 'x')
            self.assertIn(f"'{host}x'", said)
            self.assertIn(host, said.replace(f"'{host}x'", ''))
        # never a pattern, never a part of a name
        for name in (
            host[:-1],
            host.upper(),
            '%',
            host + '&status=x',
            'x' * 250,
        ):
            self.refused('host', 'maintenance', 'set', name)
        self.assert_untouched(host)
