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
from osc_maintenance.osc import display
from osc_maintenance.osc import options

if typing.TYPE_CHECKING:
    from osc_maintenance import clients
    from osc_maintenance import compute
    from osc_maintenance import microversions
    from osc_maintenance import servers


class Command(command.Command):
    """A command that uses the clients of our plugin."""

    #: The exit status, once the answer has been printed.
    exit_code = exit_codes.ExitCode.DONE
    #: How many requests had changed something before it was run.
    changes_before = 0
    #: What is kept up until the answer has been printed.
    until_answered: contextlib.ExitStack

    @property
    def required_scope(self) -> bool:
        """Whether OSC is to see that the token has a scope.

        It asks this last of all, once there is a session, and goes on to the
        first requests to Keystone, which are to have an end as any other.
        """
        from osc_maintenance import clients

        clients.limit(self.app.client_manager.session)
        return False

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
        from osc_maintenance.osc import logs

        logs.make_harmless()
        # an interactive openstack runs many commands
        self.changes_before = self.clients.changes
        try:
            with contextlib.ExitStack() as self.until_answered:
                super().run(parsed_args)
        except RefusalError as exc:
            self.log.debug('Refused', exc_info=True)
            self.log.error('%s', exc)
            return exit_codes.ExitCode.REFUSED
        except exceptions.CommandError as exc:
            if not self.exit_code:
                raise
            # what to answer cannot be read, but how it ended is known
            self.log.error('%s', exc)
        except KeyboardInterrupt:
            if self.changed:
                self.log.warning(
                    'Interrupted when something had been changed already: '
                    'run the same command again, and it goes on'
                )
            raise
        return self.exit_code

    @property
    def changed(self) -> bool:
        """Whether it has changed something."""
        return self.clients.changes > self.changes_before

    @property
    def clients(self) -> 'clients.Clients':
        """The clients; the first use of one connects it."""
        manager: typing.Any = self.app.client_manager
        made: clients.Clients = manager.maintenance
        return made


class HostCommand(Command, command.ShowOne):
    """A command whose answer is one host."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        options.add_host(parser)
        #: Fields beside those of the host.
        self.more: dict[str, typing.Any] = {}
        #: The host as it is answered, once it is.
        self.shown: compute.Host | None = None
        return parser

    def answer(
        self, parsed_args: argparse.Namespace, host: 'compute.Host'
    ) -> tuple[list[str], list[display.Words]]:
        """The fields of a host, as Nova shows it now."""
        if 'moves' in self.more:
            # what became of a drain of hours is not lost to a hiccup
            from osc_maintenance.nova import api

            fields = api.patiently(lambda: self.fields(host))
        else:
            fields = self.fields(host)
        names, rows = display.rendered(parsed_args, fields, [fields])
        return names, rows[0]

    def lacks(
        self,
        matters: 'collections.abc.Container[microversions.Matter]',
    ) -> None:
        """Say what Nova does not give, of what the command rests on."""
        from osc_maintenance import microversions

        version = self.clients.servers.microversion
        if told := microversions.lacking(version, matters):
            self.log.warning('%s', told)

    def look(self, name: str) -> 'servers.Load':
        """What is on a host, and on its way, to be answered."""
        from osc_maintenance import facts

        return facts.load(self.clients.servers, name)

    def fields(self, host: 'compute.Host') -> dict[str, typing.Any]:
        """What the command answers."""
        from osc_maintenance import facts
        from osc_maintenance import microversions
        from osc_maintenance import times
        from osc_maintenance import view

        load = self.look(host.name)
        moved = 'moves' in self.more
        if host.aggregate and moved:
            # what has been noted, and done by others, in the meantime
            host = facts.find(self.clients.nova, host.name)
        self.shown = host
        look = facts.emptied_by_now if moved else facts.emptied
        emptied = look(self.clients, host, load)
        if emptied.note:
            self.log.warning('%s', emptied.note)
        if host.service is None:
            self.lacks({microversions.Matter.CELLS})
        fields = view.fields(
            host, load, emptied.known, times.now(), over=moved
        )
        return {**fields, **self.more}


class ChangingCommand(HostCommand):
    """A command whose answer tells whether it has changed the host."""

    def overruled(self, host: 'compute.Host', told: str | None) -> None:
        """Say what others have made of what was asked for, if they have."""
        from osc_maintenance import text

        if told:
            self.log.error('%s: %s', text.escape(host.name), text.escape(told))

    def fields(self, host: 'compute.Host') -> dict[str, typing.Any]:
        """What the command answers."""
        changed = self.changed
        try:
            fields = super().fields(host)
        except exceptions.CommandError as exc:
            if not changed:
                raise
            raise type(exc)(
                f'This is done, but what to answer cannot be read: {exc}'
            ) from exc
        return {**fields, 'changed': changed}


class RefusalError(exceptions.CommandError):
    """The request is refused, and nothing has been written."""


@contextlib.contextmanager
def refusals(
    clients: 'clients.Clients', changes_before: int = 0
) -> collections.abc.Iterator[None]:
    """Report a refused request as OSC reports errors.

    :param clients: tells how many requests have changed something.
    :param changes_before: how many had when the command began.
    """
    from osc_maintenance import asking
    from osc_maintenance import text

    try:
        yield
    except asking.RefusedError as exc:
        words = text.escape(str(exc))
        if clients.changes > changes_before:
            raise exceptions.CommandError(words) from exc
        raise RefusalError(words) from exc
