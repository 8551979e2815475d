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

"""A command with a Nova in memory behind it."""

import argparse
import collections.abc
import contextlib
import io
import json
import logging
import typing
from unittest import mock

from cliff import command
import fixtures
from oslotest import base

from osc_maintenance.drain import interrupt
from osc_maintenance import exit_codes
from osc_maintenance import maintenance
from osc_maintenance import starting
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes
from osc_maintenance import times


class TestCommand(base.BaseTestCase):
    """A test of a command class, with the clock standing still."""

    def setUp(self) -> None:
        super().setUp()
        clock = mock.patch.object(times, 'now', return_value=scenes.NOW)
        clock.start()
        self.addCleanup(clock.stop)
        self.interrupted = False
        for place, name, value in (
            (interrupt, 'interruptible', self._waiting),
            (maintenance, '_PAUSES', (0.0,) * 4),
            (starting, '_AGAIN', 0.01),
        ):
            self.useFixture(fixtures.MockPatchObject(place, name, value))
        self.clients = fakes.Clients()
        self.app = mock.Mock(spec=['client_manager', 'options', 'stdout'])
        self.app.options = argparse.Namespace(verbose_level=1)
        self.app.client_manager = mock.Mock(spec=['maintenance'])
        self.app.client_manager.maintenance = self.clients
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))

    @contextlib.contextmanager
    def _waiting(self) -> collections.abc.Iterator[interrupt.Pause]:
        """Nobody waits; a signal may come all the same."""
        yield lambda _seconds: self.interrupted

    def parsed(
        self, kind: type[command.Command], *arguments: str
    ) -> tuple[command.Command, argparse.Namespace]:
        """A command, and its arguments."""
        made = kind(self.app, argparse.Namespace())
        return made, made.get_parser('openstack').parse_args(list(arguments))

    def run_command(
        self, kind: type[command.Command], *arguments: str, code: int = 0
    ) -> typing.Any:
        """Run a command; what it answers as JSON."""
        # as in a process of its own
        self.clients.nova.writes.clear()
        self.clients.servers.writes.clear()
        self.clients.owned.writes.clear()
        self.app.stdout = io.StringIO()
        made, parsed = self.parsed(kind, *arguments, '-f', 'json')
        self.assertEqual(code, made.run(parsed))
        return json.loads(self.app.stdout.getvalue())

    def refused(self, kind: type[command.Command], *arguments: str) -> str:
        """What a command says that refuses, and has changed nothing."""
        self.clients.nova.writes.clear()
        self.clients.servers.writes.clear()
        self.clients.owned.writes.clear()
        made, parsed = self.parsed(kind, *arguments)
        self.assertEqual(exit_codes.ExitCode.REFUSED, made.run(parsed))
        self.assertEqual(0, self.clients.changes)
        said: str = self.log.output
        return said.splitlines()[-1]

    def usage_error(self, kind: type[command.Command], *arguments: str) -> str:
        """What argparse says of arguments that it does not take."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            error = self.assertRaises(
                SystemExit, self.parsed, kind, *arguments
            )
        self.assertEqual(2, error.code)
        self.assertEqual([], self.clients.nova.writes)
        return said.getvalue()
