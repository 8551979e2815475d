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

"""A service that takes a connection, and never answers."""

import socket

from osc_maintenance import exit_codes
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import base

#: How long an answer is waited for here, in seconds.
_ANSWER = 1.0
_HOST = ('host', 'maintenance')


class TestKeystone(base.TestCase):
    def test_it_never_answers(self) -> None:
        # the kernel takes connections, and nobody reads what they bring
        deaf = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(deaf.close)
        url = f'http://127.0.0.1:{deaf.getsockname()[1]}/v3'
        for command in (
            (*_HOST, 'show', 'compute1'),
            (*_HOST, 'set', 'compute1'),
            (*_HOST, 'unset', 'compute1'),
            (*_HOST, 'list'),
            (*_HOST, 'apply'),
            ('server', 'maintenance', 'list'),
        ):
            going = forked.start(
                (*command, '--os-auth-url', url),
                self.cloud.environ('admin'),
                _ANSWER,
            )
            self.addCleanup(going.kill)
            answer = going.end()
            self.assertEqual(
                exit_codes.ExitCode.ERROR, answer.code, str(answer)
            )
            self.assertNotIn('Traceback', answer.stderr)
            self.assertIn('timed out', answer.stderr.splitlines()[-1])
