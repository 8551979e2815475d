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

"""What all commands have in common."""

import argparse
import collections.abc
import contextlib
import typing

from osc_lib.command import command
from osc_lib import exceptions

from osc_maintenance import exit_codes

if typing.TYPE_CHECKING:
    from osc_maintenance import clients


class Command(command.Command):
    """A command that uses the clients of our plugin."""

    #: The exit status, once the answer has been printed.
    exit_code = exit_codes.ExitCode.DONE

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser, whose help shows the class docstring as it is laid out.

        cliff's own would make one paragraph of it, the example included.
        """
        parser = super().get_parser(prog_name)
        cliffs: typing.Any = parser.formatter_class
        laid_out: typing.Any = type(
            'HelpFormatter', (argparse.RawDescriptionHelpFormatter, cliffs), {}
        )
        parser.formatter_class = laid_out
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; cliff itself knows success and exceptions only."""
        super().run(parsed_args)
        return self.exit_code

    @property
    def clients(self) -> 'clients.Clients':
        """The clients; the first use of one connects it."""
        manager: typing.Any = self.app.client_manager
        made: clients.Clients = manager.maintenance
        return made


@contextlib.contextmanager
def refusals() -> collections.abc.Iterator[None]:
    """Report a refused request as OSC reports errors."""
    from osc_maintenance import change
    from osc_maintenance import text

    try:
        yield
    except change.RefusedError as exc:
        raise exceptions.CommandError(text.escape(str(exc))) from exc
