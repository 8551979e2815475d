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

import hypothesis
from hypothesis import strategies
from oslotest import base

from osc_maintenance import mark
from osc_maintenance import record
from osc_maintenance.tests.unit import test_record
from osc_maintenance import text as text_


class TestDisabledReason(base.BaseTestCase):
    def test_in_words(self) -> None:
        value = record.Record(
            id='3f9a1c2e',
            reason='kernel update',
            ticket_url='https://t.example.com/7',
            before=record.ENABLED,
        )
        self.assertEqual(
            'maintenance 3f9a1c2e: kernel update https://t.example.com/7',
            mark.disabled_reason(value),
        )
        value = dataclasses.replace(
            value, before=record.ServiceStatus('disabled', 'broken NIC')
        )
        self.assertEqual(
            'maintenance 3f9a1c2e: kernel update https://t.example.com/7 '
            '[before: disabled: broken NIC]',
            mark.disabled_reason(value),
        )
        self.assertEqual(
            'maintenance 3f9a1c2e:',
            mark.disabled_reason(record.Record(id='3f9a1c2e')),
        )

    @hypothesis.given(test_record.RECORDS)
    def test_there_and_back(self, value: record.Record) -> None:
        text = mark.disabled_reason(value)
        self.assertLessEqual(len(text), 255)
        self.assertFalse(text.startswith('AUTO:'))
        told = mark.parse(text)
        assert told is not None
        self.assertEqual(value.id, told.id)
        before = value.before or record.ENABLED
        self.assertEqual(before.status, told.before.status)
        if value.ticket_url:
            self.assertEqual(value.ticket_url, told.ticket_url)
        if '…' not in text:
            self.assertEqual(before, told.before)
            if value.ticket_url:
                self.assertEqual(value.reason, told.reason)
        if told.before.reason and before.reason:
            self.assertTrue(
                before.reason.startswith(told.before.reason.rstrip('…'))
                or '…' in before.reason
            )

    def test_our_own_words_in_an_earlier_reason(self) -> None:
        before = record.ServiceStatus('disabled', 'x [before: disabled: y] z')
        value = record.Record(id='3f9a1c2e', reason='kernel', before=before)
        told = mark.parse(mark.disabled_reason(value))
        assert told is not None
        self.assertEqual(('kernel', before), (told.reason, told.before))

    def test_the_url_is_told_from_the_reason(self) -> None:
        for url in ('http://t.co/7', 'HTTPS://T.CO/7'):
            value = record.Record(
                id='3f9a1c2e', reason='kernel', ticket_url=url
            )
            told = mark.parse(mark.disabled_reason(value))
            assert told is not None
            self.assertEqual(('kernel', url), (told.reason, told.ticket_url))

    def test_what_somebody_else_wrote_is_not_handed_on(self) -> None:
        for url in ('https://me:s3cret@t.co/7', 'https://t.co/\x9b7'):
            told = mark.parse(f'maintenance 3f9a1c2e: x\x1b[2J {url}')
            assert told is not None
            self.assertEqual(
                (r'x\x1b[2J', None), (told.reason, told.ticket_url)
            )

    @hypothesis.given(test_record.RECORDS)
    def test_an_earlier_reason_that_fits_is_whole(
        self, value: record.Record
    ) -> None:
        before = record.ServiceStatus('disabled', 'x' * 60)
        value = dataclasses.replace(value, before=before, ticket_url=None)
        told = mark.parse(mark.disabled_reason(value))
        assert told is not None
        self.assertEqual(before, told.before)

    def test_foreign(self) -> None:
        for text in (
            None,
            '',
            'broken NIC',
            'AUTO: Connection to libvirt lost',
            'maintenance: kernel',
            'maintenance 3f9a1c2: kernel',
            'Maintenance 3f9a1c2e: kernel',
            'maintenance 3F9A1C2E: kernel',
        ):
            self.assertIsNone(mark.parse(text))

    @hypothesis.given(strategies.text())
    def test_any_text_is_read(self, text: str) -> None:
        told = mark.parse('maintenance 3f9a1c2e:' + text)
        assert told is not None
        self.assertEqual('3f9a1c2e', told.id)

    def test_no_more_is_read_than_nova_takes(self) -> None:
        # the time would grow with the square of the length
        told = mark.parse('maintenance 3f9a1c2e:' + ' [before: disabled:' * 99)
        assert told is not None
        assert told.reason is not None
        self.assertLess(len(told.reason), text_.NOVA_LIMIT)


class TestCheckReason(base.BaseTestCase):
    def test_our_own_words_are_refused(self) -> None:
        self.assertEqual('update', mark.check_reason(' update '))
        self.assertRaises(
            ValueError, mark.check_reason, 'x [before: disabled: y]'
        )
