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

"""``openstack server maintenance``: for the owners of servers.

Every ``openstack`` command imports this module, so what is heavy is imported
where it is used.
"""

import argparse
import dataclasses
import typing

from osc_lib.command import command
from osc_lib import exceptions

from osc_maintenance.osc import base
from osc_maintenance.osc import display
from osc_maintenance.osc import options

if typing.TYPE_CHECKING:
    from osc_maintenance import notice
    from osc_maintenance import servers

_LIST_FIELDS = (
    'id',
    'name',
    'action',
    'window_start',
    'window_end',
    'removal',
    'reply_by',
    'reply',
    'ticket_url',
)
_LIST_LONG_FIELDS = (
    'maintenance',
    'seconds_until_start',
    'policy',
    'replies',
    'seconds_until_reply_by',
    'reply_reason',
)


class ListServerMaintenance(base.Command, command.Lister):
    """List servers whose owners have been told of a maintenance.

    Shows what the operators of the cloud have told, and needs no more than
    the rights to see the servers: what happens to each of them, from when and
    until when, and until when a reply counts, where one is asked for. The
    action is live-migrate, cold-migrate, evacuate, stop (until the maintenance
    is over), stay (it goes down with its host), undecided (it is to be moved,
    and cannot be as things are) or unknown (somebody has changed what is
    told).

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
        from osc_maintenance import servers
        from osc_maintenance import times

        found = self.clients.owned.all(all_projects=parsed_args.all_projects)
        told = ((server, notice.decode(server.said)) for server in found)
        if down := sum(server.status == servers.UNKNOWN for server in found):
            self.log.warning(
                'Nothing is known of servers whose cell is down: %d', down
            )
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


class _ServerCommand(base.Command, command.ShowOne):
    """A command whose answer is what one server's owner is told."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'server', metavar='<server>', help='Server (name or ID)'
        )
        return parser

    def answer(
        self,
        parsed_args: argparse.Namespace,
        server: 'servers.Server',
        told: 'notice.Notice',
        **more: object,
    ) -> tuple[list[str], list[display.Words]]:
        """The fields of a server and its notice."""
        from osc_maintenance import notice
        from osc_maintenance import times

        row = {**notice.row(server, told, times.now()), **more}
        names, rows = display.rendered(parsed_args, row, [row])
        return names, rows[0]


class ShowServerMaintenance(_ServerCommand):
    """Show what a maintenance means for a server.

    Shows what the operators of the cloud have told its owner, and needs no
    more than the rights to see the server. The guest reads the same at Nova's
    metadata service.

    Exit status: 0, 1 error, or no maintenance is known, 2 usage.

    Example::

        $ openstack server maintenance show web1 -c action -c window_start
    """

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[list[str], list[display.Words]]:
        from osc_maintenance import notice
        from osc_maintenance import text

        server = self.clients.owned.find(parsed_args.server)
        told = notice.decode(server.said)
        if told is None:
            raise exceptions.CommandError(
                f'No maintenance is known of server {text.escape(server.name)}'
                f' ({server.id})'
            )
        return self.answer(parsed_args, server, told)


class AcknowledgeServerMaintenance(_ServerCommand):
    """Reply to what the operators have told of a server's maintenance.

    Without an option you are ready for what is announced: as with --move, or
    with --keep where the server is announced to stay. The reply is kept in the
    property maintenance:reply of the server, counts for this one maintenance,
    and may be changed until the time of reply_by. Where the operators ask for
    no replies, it is refused: what you wish at any time goes into the property
    maintenance:policy.

    It takes the rights to change the server. Run twice, it changes nothing the
    second time.

    Exit status: 0, 1 error, 2 usage, 5 refused: there is nothing to reply to,
    or no longer.

    Example::

        $ openstack server maintenance acknowledge web1 --not-ready \\
            --reason "release until 18:00"
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        answers = parser.add_mutually_exclusive_group()
        for name, what in (
            (
                'move',
                'Ready: move it (default, unless it is announced to stay)',
            ),
            ('keep', 'Leave it where it is: it goes down with its host'),
            (
                'own-action',
                'Leave it until replies count no more: by then you have '
                'deleted, rebuilt or moved it yourself',
            ),
            ('not-ready', 'Not ready: the operators see that, and why'),
        ):
            answers.add_argument(
                f'--{name}',
                dest='answer',
                action='store_const',
                const=name,
                help=what,
            )
        parser.add_argument(
            '--reason',
            metavar='<text>',
            type=options.owners_reason,
            help='Why, for the operators to read (at most 200 characters)',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[list[str], list[display.Words]]:
        from osc_maintenance import notice
        from osc_maintenance import owners
        from osc_maintenance import text
        from osc_maintenance import times

        owned = self.clients.owned
        server = owned.find(parsed_args.server)
        told = notice.decode(server.said)
        ready = 'keep' if told and told.action == notice.STAYS else 'move'
        answer = owners.Answer(parsed_args.answer or ready)
        reply = owners.Reply(answer, parsed_args.reason)
        why = notice.refused(told, reply, times.now())
        if told is None or why:
            raise base.RefusalError(
                f'{text.escape(server.name)} ({server.id}): {why}'
            )
        changed = owners.reply(server.said, told.id) != reply
        if changed:
            value = owners.encode_reply(told.id, reply)
            said = owned.tell(server, {owners.REPLY: value})
            server = dataclasses.replace(server, said=said)
        return self.answer(parsed_args, server, told, changed=changed)
