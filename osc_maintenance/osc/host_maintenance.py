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

"""``openstack host maintenance``: set, unset, show, list and apply.

Every ``openstack`` command imports this module, so what is heavy is imported
where it is used.
"""

import argparse
import typing

from osc_lib.command import command
from osc_lib import exceptions

from osc_maintenance import exit_codes
from osc_maintenance.osc import base
from osc_maintenance.osc import display
from osc_maintenance.osc import options

if typing.TYPE_CHECKING:
    from osc_maintenance import state

_STATES = ('none', 'planned', 'migrating', 'maintenance', 'error')
_LIST_FIELDS = (
    'host',
    'state',
    'window_start',
    'window_end',
    'overdue',
    'reason',
    'ticket_url',
    'cause',
)
_LIST_LONG_FIELDS = (
    'id',
    'removal',
    'retry_after',
    'set_by',
    'set_at',
    'migrate',
    'service_status',
    'service_state',
    'disabled_reason',
    'migrations_out',
    'migrations_in',
    'unconfirmed_resizes',
)
_APPLY_FIELDS = (
    'host',
    'action',
    'changed',
    'state',
    'window_start',
    'window_end',
    'cause',
)


class _HostCommand(base.Command, command.ShowOne):
    """A command whose answer is one host."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        options.add_host(parser)
        return parser

    def answer(
        self, parsed_args: argparse.Namespace, host: 'state.Host'
    ) -> tuple[list[str], list[display.Words]]:
        """The fields of a host, as Nova shows it now."""
        fields = self.fields(host)
        names, rows = display.rendered(parsed_args, fields, [fields])
        return names, rows[0]

    def fields(self, host: 'state.Host') -> dict[str, typing.Any]:
        from osc_maintenance import facts
        from osc_maintenance import times
        from osc_maintenance import view

        load = facts.load(self.clients.nova, host.name)
        emptied = facts.emptied(self.clients, host, load)
        if emptied.note:
            self.log.warning('%s', emptied.note)
        return view.fields(host, load, emptied.known, times.now())


class _ChangingCommand(_HostCommand):
    """A command whose answer tells whether it has changed the host."""

    def fields(self, host: 'state.Host') -> dict[str, typing.Any]:
        changed = self.clients.nova.changes > 0
        try:
            fields = super().fields(host)
        except exceptions.CommandError as exc:
            if not changed:
                raise
            raise exceptions.CommandError(
                f'This is done, but what to answer cannot be read: {exc}'
            ) from exc
        return {**fields, 'changed': changed}


class SetHostMaintenance(_ChangingCommand):
    """Put a compute host into maintenance, or plan it.

    No new server is scheduled to a host in maintenance; the servers on it
    stay. With --start in the future the window is recorded and the host stays
    enabled until "openstack host maintenance apply", or this command again,
    enters it.

    On a host that is planned or in maintenance this changes just what is
    given; run twice, it changes nothing the second time. It is safe to
    interrupt: run it again.

    The record is kept in Nova, in the aggregate maintenance:<host> and in the
    disabled_reason of the compute service. What the service was before is
    recorded before it is disabled, and unset restores it.

    Example::

        $ openstack host maintenance set compute1 --duration 2h30m \\
            --reason "kernel update" --ticket-url https://tickets.example.com/7
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--reason',
            metavar='<text>',
            type=options.reason,
            help='Why, for people to read (at most 255 characters)',
        )
        parser.add_argument(
            '--ticket-url',
            metavar='<url>',
            type=options.url,
            help='http or https URL to read more at (at most 200 characters)',
        )
        options.add_window(parser)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[list[str], list[display.Words]]:
        from osc_maintenance import change
        from osc_maintenance import maintenance
        from osc_maintenance import times

        request = change.Request(
            start=parsed_args.start,
            end=parsed_args.end,
            duration=parsed_args.duration,
            removal=parsed_args.removal,
            reason=parsed_args.reason,
            ticket_url=parsed_args.ticket_url,
            early=parsed_args.now,
        )
        with base.refusals():
            host = maintenance.set_(
                self.clients, parsed_args.host, request, times.now()
            )
        return self.answer(parsed_args, host)


class UnsetHostMaintenance(_ChangingCommand):
    """End the maintenance of a compute host, or clear a property of it.

    The compute service becomes what it was before the maintenance: enabled,
    or disabled with its earlier reason. The record is deleted. A maintenance
    that is only planned is dropped.

    If somebody else has changed the service in the meantime this refuses,
    unless the service already is as it was before. On a host that is not in
    maintenance it says so and succeeds. It is safe to interrupt: run it again.

    Example::

        $ openstack host maintenance unset compute1
    """

    _PROPERTIES = {
        'reason': 'Clear the reason',
        'ticket_url': "Clear the ticket's URL",
        'window': 'Clear the end of the window, or the removal of the host',
    }

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = self._parser = super().get_parser(prog_name)
        parser.add_argument(
            '--force',
            action='store_true',
            help=(
                'Make the service what it was before the maintenance even if '
                'somebody else has changed it since'
            ),
        )
        for name, what in self._PROPERTIES.items():
            parser.add_argument(
                '--' + name.replace('_', '-'),
                action='store_true',
                help=f'{what}; the maintenance goes on',
            )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[list[str], list[display.Words]]:
        from osc_maintenance import maintenance
        from osc_maintenance import text
        from osc_maintenance import times

        properties = frozenset(
            name for name in self._PROPERTIES if getattr(parsed_args, name)
        )
        if properties and parsed_args.force:
            self._parser.error(
                'argument --force: ends the whole maintenance, and does not '
                'go with options that clear one property'
            )
        name = parsed_args.host
        with base.refusals():
            if properties:
                host = maintenance.clear(
                    self.clients, name, properties, times.now()
                )
            else:
                host = maintenance.unset(
                    self.clients, name, force=parsed_args.force
                )
        if self.clients.nova.changes == 0 and host.aggregate is None:
            self.log.warning('%s is not in maintenance', text.escape(name))
        return self.answer(parsed_args, host)


class ShowHostMaintenance(_HostCommand):
    """Show whether a compute host is in maintenance, and what is left on it.

    The state is worked out from what Nova says now: none, planned, migrating,
    maintenance, or error with its cause. A host is emptied when no server, no
    migration in either direction, no unconfirmed resize and no allocation in
    Placement is left on it: then the work on it may start.

    Example::

        $ openstack host maintenance show compute1 -f json
    """

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[list[str], list[display.Words]]:
        from osc_maintenance import facts

        host = facts.find(self.clients.nova, parsed_args.host)
        return self.answer(parsed_args, host)


class ListHostMaintenance(base.Command, command.Lister):
    """List compute hosts that are planned for or in maintenance.

    Hosts that look like ours and have no sound record are listed as well, in
    the state error: their aggregate is lost or left over, or somebody enabled
    the service.

    Example::

        $ openstack host maintenance list --overdue
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--all',
            action='store_true',
            help='List every compute host, those not in maintenance as well',
        )
        parser.add_argument(
            '--state',
            metavar='<state>',
            action='append',
            choices=_STATES,
            help=(
                f'List only hosts in this state: {", ".join(_STATES)} '
                '(repeat for several; none implies --all)'
            ),
        )
        parser.add_argument(
            '--overdue',
            action='store_true',
            help='List only hosts whose window has ended',
        )
        parser.add_argument(
            '--ticket-url',
            metavar='<url>',
            help='List only hosts whose ticket is exactly this URL',
        )
        parser.add_argument(
            '--long',
            action='store_true',
            help='List additional fields',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[list[str], list[list[display.Words]]]:
        from osc_maintenance import facts
        from osc_maintenance import times

        states = parsed_args.state or ()
        rows = facts.listing(
            self.clients.nova,
            everything=parsed_args.all or 'none' in states,
            now=times.now(),
        )
        rows = [
            row
            for row in rows
            if (not states or row['state'] in states)
            and (row['overdue'] or not parsed_args.overdue)
            and parsed_args.ticket_url in (None, row['ticket_url'])
        ]
        names = _LIST_FIELDS + (_LIST_LONG_FIELDS if parsed_args.long else ())
        return display.rendered(parsed_args, names, rows)


class ApplyHostMaintenance(base.Command, command.Lister):
    """Carry out what the maintenance windows call for.

    Enters every planned maintenance whose start has come, and reports those
    whose window has ended; --unset-overdue ends them. Prints a row for each
    host that it had something to do with. Made to be run every few minutes by
    cron, a systemd timer or Ansible.

    A host in its window whose service is enabled again, or whatever else it
    was before, is disabled again. Whoever is done before the window ends runs
    unset.

    One host's failure does not keep it from the others; the exit status says
    that there was one.

    Example::

        $ openstack host maintenance apply --unset-overdue
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--unset-overdue',
            action='store_true',
            help='End every maintenance whose window has ended',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[list[str], list[list[display.Words]]]:
        from osc_maintenance import maintenance
        from osc_maintenance import times

        rows = maintenance.apply(
            self.clients,
            unset_overdue=parsed_args.unset_overdue,
            now=times.now(),
        )
        failed = [row['host'] for row in rows if row['action'] == 'failed']
        if failed:
            self.log.error(
                '%d of %d hosts failed: %s',
                *(len(failed), len(rows), ', '.join(failed)),
            )
            self.exit_code = exit_codes.ExitCode.ERROR
        return display.rendered(parsed_args, _APPLY_FIELDS, rows)
