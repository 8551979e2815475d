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
import logging
import typing
from unittest import mock

import fixtures
from osc_lib import exceptions

from osc_maintenance import asking
from osc_maintenance import exit_codes
from osc_maintenance.osc import base as base_
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit.osc import base

CODE = exit_codes.ExitCode


class Failing(base_.Command):
    """A command that raises what it is told to.

    It has a second paragraph.

    Example::

        $ openstack fail
    """

    raised: Exception | None = None
    code = CODE.DONE

    def take_action(self, parsed_args: argparse.Namespace) -> typing.Any:
        del parsed_args
        self.exit_code = self.code
        if self.raised:
            raise self.raised


class TestRun(base.TestCommand):
    def _command(
        self, raised: Exception | None, code: exit_codes.ExitCode
    ) -> Failing:
        command = Failing(self.app, argparse.Namespace())
        command.raised, command.code = raised, code
        return command

    def test_the_exit_status(self) -> None:
        for raised, code, status in (
            (None, CODE.DONE, CODE.DONE),
            (None, CODE.STAYED, CODE.STAYED),
            (base_.RefusalError('no'), CODE.DONE, CODE.REFUSED),
            # how it ended is known, and just the answer is not
            (exceptions.CommandError('no'), CODE.STAYED, CODE.STAYED),
            (exceptions.CommandError('no'), CODE.TIMED_OUT, CODE.TIMED_OUT),
        ):
            with self.subTest(raised=raised, code=code):
                self.log = self.useFixture(
                    fixtures.FakeLogger(level=logging.INFO)
                )
                command = self._command(raised, code)
                self.assertEqual(status, command.run(argparse.Namespace()))
                self.assertEqual('no\n' if raised else '', self.log.output)

    def test_errors_are_those_of_osc(self) -> None:
        for raised in (exceptions.CommandError('no'), ValueError('bug')):
            command = self._command(raised, CODE.DONE)
            error = self.assertRaises(
                type(raised), command.run, argparse.Namespace()
            )
            self.assertIs(raised, error)
        # a bug is never hidden by how the rest went
        command = self._command(ValueError('bug'), CODE.STAYED)
        self.assertRaises(ValueError, command.run, argparse.Namespace())

    def test_no_answer_is_waited_for_without_end(self) -> None:
        for given, timeout in ((None, 300.0), (20.0, 20.0)):
            session = mock.Mock(timeout=given)
            self.app.client_manager = mock.Mock(session=session)
            # as OSC does before it asks Keystone for a token
            self.assertFalse(self._command(None, CODE.DONE).required_scope)
            self.assertEqual(timeout, session.timeout)

    def test_the_clients_are_those_of_our_plugin(self) -> None:
        command = self._command(None, CODE.DONE)
        self.assertIs(self.clients, command.clients)

    def test_the_help_is_laid_out(self) -> None:
        parser = self._command(None, CODE.DONE).get_parser('openstack')
        self.assertIn(
            'told to.\n\nIt has a second paragraph.\n\nExample::\n\n    $ ',
            parser.format_help(),
        )


class TestRefusals(base.TestCommand):
    def _refused(self) -> exceptions.CommandError:
        def act() -> None:
            with base_.refusals(fakes.real(self.clients)):
                raise asking.RefusedError('not \x1b[2J so')

        error = self.assertRaises(exceptions.CommandError, act)
        assert isinstance(error, exceptions.CommandError)
        self.assertEqual(r'not \x1b[2J so', str(error))
        self.assertIsInstance(error.__cause__, asking.RefusedError)
        return error

    def test_nothing_has_been_written(self) -> None:
        self.assertIsInstance(self._refused(), base_.RefusalError)

    def test_something_has_been_written(self) -> None:
        self.clients.nova.writes.append(('claim', 'compute1'))
        self.assertNotIsInstance(self._refused(), base_.RefusalError)
        self.clients.nova.writes.clear()
        self.clients.servers.writes.append(('confirm', 'a', None))
        self.assertNotIsInstance(self._refused(), base_.RefusalError)

    def test_nothing_else_becomes_a_refusal(self) -> None:
        raised = exceptions.CommandError('no')

        def act() -> None:
            with base_.refusals(fakes.real(self.clients)):
                raise raised

        error = self.assertRaises(exceptions.CommandError, act)
        self.assertIs(raised, error)
