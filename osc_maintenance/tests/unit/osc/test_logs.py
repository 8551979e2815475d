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

import argparse
import io
import logging
from unittest import mock

from osc_lib import exceptions

from osc_maintenance.osc import logs
from osc_maintenance.tests.unit.osc import base
from osc_maintenance.tests.unit.osc import test_base

_EVIL = 'busy \x1b[2J\r\x9b31m http://me:s3cret@a.example/v3\nmore'


class TestHarmless(base.TestCommand):
    def setUp(self) -> None:
        super().setUp()
        self.said = io.StringIO()
        handler = logging.StreamHandler(self.said)
        handler.setFormatter(logging.Formatter('%(levelname)s %(message)s'))
        root = mock.patch.object(logging.getLogger(), 'handlers', [handler])
        root.start()
        self.addCleanup(root.stop)

    def _fail(self, raised: Exception) -> None:
        """Run a command that fails, as cliff does with --debug."""
        command = test_base.Failing(self.app, argparse.Namespace())
        command.raised = raised
        try:
            command.run(argparse.Namespace())
        except exceptions.CommandError as exc:
            logging.getLogger('openstack').exception(exc)

    def _check(self, *words: str) -> None:
        told = self.said.getvalue()
        for line in told.split('\n'):
            self.assertTrue(line.isprintable(), repr(line))
        self.assertNotIn('s3cret', told)
        for word in words:
            self.assertIn(word, told)

    def test_the_causes_in_a_traceback(self) -> None:
        raised = exceptions.CommandError('no')
        raised.__cause__ = ValueError(_EVIL)
        self._fail(raised)
        self._check(
            'ERROR no\n',
            'Traceback (most recent call last)',
            'ValueError: busy \\x1b[2J\\r\\x9b31m http://***@a.example/v3\n',
        )

    def test_what_others_log(self) -> None:
        self._fail(exceptions.CommandError('no'))
        logging.getLogger('keystoneauth.session').error('RESP: %s', _EVIL)
        self._check('ERROR RESP: busy \\x1b[2J\\r')

    def test_once_is_enough(self) -> None:
        logs.make_harmless()
        (handler,) = logging.getLogger().handlers
        made = handler.formatter
        logs.make_harmless()
        self.assertIs(made, handler.formatter)
