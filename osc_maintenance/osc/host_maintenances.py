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

"""``openstack host maintenance``: list and apply, about many hosts.

Every ``openstack`` command imports this module, so what is heavy is imported
where it is used.
"""

import argparse
import functools

from osc_lib.command import command

from osc_maintenance import exit_codes
from osc_maintenance.osc import base
from osc_maintenance.osc import display
from osc_maintenance.osc import drain

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
    'notify_owners',
    'owner_replies',
    'reply_by',
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


class ListHostMaintenance(base.Command, command.Lister):
    """List compute hosts that are planned for or in maintenance.

    Hosts that look like ours and have no sound record are listed as well, in
    the state error: their aggregate is lost or left over, or somebody enabled
    the service. So is a host of which Nova does not tell what is on it, with
    its words as the cause; the others are listed all the same.

    Exit status: 0, 1 error, or something of a host cannot be read, 2 usage.

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
        from osc_maintenance import rows as rows_
        from osc_maintenance import times

        states = parsed_args.state or ()
        rows = rows_.of_all(
            self.clients,
            everything=parsed_args.all or 'none' in states,
            now=times.now(),
        )
        unread = [row['host'] for row in rows if row['unread']]
        if unread:
            self.log.error(
                'What is on %d of %d hosts cannot be read: %s',
                *(len(unread), len(rows), ', '.join(unread)),
            )
            self.exit_code = exit_codes.ExitCode.ERROR
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

    If a maintenance was planned with --migrate, its servers are moved in
    steps: each run starts as many moves as may be in motion and returns, and
    the next one goes on. Once an operator's "set" has started a move off the
    host, or has come to its end, that drain is the operator's, and apply
    leaves it alone.

    A host in its window whose service is enabled again, or whatever else it
    was before, is disabled again. Whoever is done before the window ends runs
    unset.

    One host's failure does not keep it from the others.

    Exit status: 0 all done, or nothing to do, 1 a host or more failed, 2
    usage.

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
        drain.add_max_parallel(parser)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[list[str], list[list[display.Words]]]:
        from osc_maintenance import apply
        from osc_maintenance import times

        rows = apply.apply(
            self.clients,
            unset_overdue=parsed_args.unset_overdue,
            max_parallel=parsed_args.max_parallel,
            now=times.now,
            hear=functools.partial(self.log.warning, '%s'),
        )
        failed = [row['host'] for row in rows if row['action'] == 'failed']
        if failed:
            self.log.error(
                '%d of %d hosts failed: %s',
                *(len(failed), len(rows), ', '.join(failed)),
            )
            self.exit_code = exit_codes.ExitCode.ERROR
        return display.rendered(parsed_args, _APPLY_FIELDS, rows)
