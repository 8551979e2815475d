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

import datetime

from oslotest import base

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import compute
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance.tests.unit import scenes
from osc_maintenance import view

NOW, HOUR = scenes.NOW, scenes.HOUR


class TestFields(base.BaseTestCase):
    def test_the_contract(self) -> None:
        host = scenes.entered(
            request=asking.Request(
                duration=2 * HOUR,
                reason='kernel',
                ticket_url='https://t.example.com/7',
            )
        )
        load = scenes.load({'ACTIVE': 2}, 1, 2, 3)
        self.assertEqual(
            {
                'host': 'compute1',
                'state': 'migrating',
                'cause': None,
                'id': '3f9a1c2e',
                'reason': 'kernel',
                'ticket_url': 'https://t.example.com/7',
                'window_start': '2026-11-20T06:00:00Z',
                'window_end': '2026-11-20T08:00:00Z',
                'removal': False,
                'retry_after': 3600,
                'overdue': False,
                'set_by': 'alice',
                'set_at': '2026-11-20T06:00:00Z',
                'migrate': 'none',
                'notify_owners': False,
                'owner_replies': 'ignore',
                'reply_by': None,
                'service_status': 'disabled',
                'service_state': 'up',
                'disabled_reason': (
                    'maintenance 3f9a1c2e: kernel https://t.example.com/7'
                ),
                'servers': {'ACTIVE': 2},
                'migrations_out': 1,
                'migrations_in': 2,
                'unconfirmed_resizes': 3,
                'emptied': False,
            },
            view.fields(host, load, False, NOW + HOUR),
        )

    def test_which_servers_have_to_go(self) -> None:
        wanted = asking.Request(policy=policy.Policy(policy.ACTIVE))
        host = scenes.entered(request=wanted)
        here = scenes.load({'ACTIVE': 1})
        fields = view.fields(host, here, None, NOW + HOUR)
        self.assertEqual('active', fields['migrate'])
        self.assertEqual('error', fields['state'])
        self.assertIn('1 server left', fields['cause'])

    def test_what_was_not_asked_is_not_known(self) -> None:
        host = scenes.entered()
        only_moves = servers.Load('compute1', None)
        for load, movement in ((None, None), (only_moves, 0)):
            fields = view.fields(host, load, None, NOW)
            self.assertIsNone(fields['servers'])
            for name in servers.Movement._fields:
                self.assertEqual(movement, fields[name])

    def test_when_the_window_is_over(self) -> None:
        host = scenes.entered(request=asking.Request(duration=HOUR))
        fields = view.fields(host, scenes.NOTHING, True, NOW + 2 * HOUR)
        self.assertEqual((0, True), (fields['retry_after'], fields['overdue']))

    def test_text_from_nova_is_escaped(self) -> None:
        evil = 'a\x1b[2Jb'
        host = scenes.after(
            scenes.entered(),
            change.WriteRecord(
                dict.fromkeys(
                    (
                        'maintenance:reason',
                        'maintenance:ticket_url',
                        'maintenance:set_by',
                        'maintenance:window_end',
                    ),
                    evil,
                )
            ),
        )
        host = scenes.disabled_by_somebody(host, reason=evil)
        fields = view.fields(host, scenes.NOTHING, None, NOW)
        for name in ('reason', 'ticket_url'):
            self.assertIsNone(fields[name])
        for name in ('set_by', 'cause', 'disabled_reason'):
            self.assertIn(r'\x1b[2J', fields[name])
            self.assertTrue(fields[name].isprintable())

    def test_a_host_without_a_service(self) -> None:
        fields = view.fields(
            compute.Host('gone', None), scenes.NOTHING, None, NOW
        )
        self.assertIsNone(fields['service_status'])
        self.assertIsNone(fields['service_state'])
        self.assertIsNone(fields['id'])

    def test_a_host_whose_cell_is_down(self) -> None:
        service = scenes.service('UNKNOWN', id='', state='')
        host = compute.Host('compute1', service)
        fields = view.fields(host, scenes.NOTHING, None, NOW)
        self.assertEqual('UNKNOWN', fields['service_status'])
        self.assertIsNone(fields['service_state'])
        # Nova lists no server there, and that tells nothing
        self.assertIsNone(fields['servers'])
        self.assertIsNone(fields['migrations_out'])


class TestInWords(base.BaseTestCase):
    def test_names(self) -> None:
        self.assertEqual(
            ['Window Start', 'Ticket URL', 'ID'],
            [view.in_words(n) for n in ('window_start', 'ticket_url', 'id')],
        )

    def test_values(self) -> None:
        for name, value, words in (
            ('cause', None, '-'),
            ('servers', {}, '-'),
            ('servers', {'ACTIVE': 2, 'ERROR': 1}, 'ACTIVE: 2, ERROR: 1'),
            ('removal', True, 'yes'),
            ('removal', False, 'no'),
            ('retry_after', 9000, '2h30m'),
            ('retry_after', 0, '0s'),
            ('migrations_in', 0, '0'),
            ('reason', 'kernel', 'kernel'),
            ('moves', [], '-'),
            ('verdicts', [], '-'),
        ):
            with self.subTest(name=name, value=value):
                self.assertEqual(words, view.value_in_words(name, value))

    def test_a_server_on_a_line(self) -> None:
        server = {'id': 'u1', 'name': 'web', 'verdict': 'live-migrate'}
        for name, row, words in (
            ('verdicts', {'cause': None}, 'live-migrate'),
            ('verdicts', {'cause': 'it is late'}, 'live-migrate: it is late'),
            (
                'verdicts',
                {'cause': 'locked', 'verdict': 'leave'},
                'leave: locked',
            ),
            (
                'moves',
                {
                    'outcome': 'moved',
                    'destination': 'compute2',
                    'seconds': 75,
                    'cause': None,
                },
                'moved to compute2 in 1m15s',
            ),
            (
                'moves',
                {
                    'outcome': 'moved',
                    'destination': 'compute2',
                    'seconds': 0,
                    'cause': None,
                },
                'moved to compute2 in 0s',
            ),
            (
                'moves',
                {
                    'outcome': 'failed',
                    'destination': None,
                    'seconds': None,
                    'cause': 'no room',
                },
                'failed: no room',
            ),
        ):
            with self.subTest(row=row):
                told = view.value_in_words(name, [{**server, **row}])
                self.assertEqual(f'web (u1): {words}', told)

    def test_servers_have_a_line_each(self) -> None:
        rows = [
            {'id': i, 'name': 'web', 'verdict': 'leave', 'cause': None}
            for i in 'ab'
        ]
        self.assertEqual(
            'web (a): leave\nweb (b): leave',
            view.value_in_words('verdicts', rows),
        )

    def test_a_duration_is_whole_seconds(self) -> None:
        end = NOW + datetime.timedelta(seconds=61)
        host = scenes.entered(request=asking.Request(end=end))
        fields = view.fields(host, scenes.NOTHING, None, NOW)
        self.assertEqual(61, fields['retry_after'])
