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

"""``openstack server maintenance``: list and show, for owners of servers.

Every ``openstack`` command imports this module, so what is heavy is imported
where it is used.
"""

import argparse

from osc_lib.command import command
from osc_lib import exceptions

from osc_maintenance.osc import base
from osc_maintenance.osc import display

_LIST_FIELDS = (
    'id',
    'name',
    'action',
    'window_start',
    'window_end',
    'removal',
    'ticket_url',
)
_LIST_LONG_FIELDS = ('maintenance', 'seconds_until_start', 'policy')


class ListServerMaintenance(base.Command, command.Lister):
    """List servers whose hosts are in maintenance, or planned for it.

    Shows what the operators of the cloud have told, and needs no more than
    the rights to see the servers: what happens to each of them, from when and
    until when. The action is live-migrate, cold-migrate, evacuate, stay (it
    goes down with its host) or undecided (it is to be moved, and cannot be as
    things are).

    Exit status: 0, whether there are any or not, 1 error, 2 usage.

    Example::

        $ openstack server maintenance list
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--all-projects',
            action='store_true',
            help='List servers of all projects (admin only)',
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
        from osc_maintenance import notice
        from osc_maintenance import times

        found = self.clients.owned.all(all_projects=parsed_args.all_projects)
        told = ((server, notice.decode(server.said)) for server in found)
        now = times.now()
        rows = [notice.row(server, item, now) for server, item in told if item]
        # those without a time come last
        rows.sort(key=lambda row: (str(row['window_start'] or 'z'), row['id']))
        names = [
            *_LIST_FIELDS,
            *(('project',) if parsed_args.all_projects else ()),
            *(_LIST_LONG_FIELDS if parsed_args.long else ()),
        ]
        return display.rendered(parsed_args, names, rows)


class ShowServerMaintenance(base.Command, command.ShowOne):
    """Show what a maintenance means for a server.

    Shows what the operators of the cloud have told its owner, and needs no
    more than the rights to see the server. The guest reads the same at Nova's
    metadata service.

    Exit status: 0, 1 error, or no maintenance is known, 2 usage.

    Example::

        $ openstack server maintenance show web1 -c action -c window_start
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'server', metavar='<server>', help='Server (name or ID)'
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[list[str], list[display.Words]]:
        from osc_maintenance import notice
        from osc_maintenance import text
        from osc_maintenance import times

        server = self.clients.owned.find(parsed_args.server)
        told = notice.decode(server.said)
        if told is None:
            raise exceptions.CommandError(
                f'No maintenance is known of server {text.escape(server.name)}'
                f' ({server.id})'
            )
        row = notice.row(server, told, times.now())
        names, rows = display.rendered(parsed_args, row, [row])
        return names, rows[0]
