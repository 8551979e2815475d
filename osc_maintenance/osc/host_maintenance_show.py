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

"""``openstack host maintenance``: show, about one host.

Every ``openstack`` command imports this module, so what is heavy is imported
where it is used.
"""

import argparse
import typing

from osc_maintenance.osc import base
from osc_maintenance.osc import display

if typing.TYPE_CHECKING:
    from osc_maintenance import compute
    from osc_maintenance import servers


class ShowHostMaintenance(base.HostCommand):
    """Show whether a compute host is in maintenance, and what is left on it.

    The state is worked out from what Nova says now: none, planned, migrating,
    maintenance, or error with its cause. A host is emptied when no server, no
    migration in either direction, no unconfirmed resize and no allocation in
    Placement is left on it: then the work on it may start.

    Exit status: 0 in whatever state the host is, 1 error, 2 usage.

    Example::

        $ openstack host maintenance show compute1 -f json
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        self._load: servers.Load | None = None
        parser.add_argument(
            '--servers',
            action='store_true',
            help=(
                'Show what a drain does with each server on the host, and why '
                '(as --migrate all would, if no servers are to be moved)'
            ),
        )
        parser.add_argument(
            '--owners',
            action='store_true',
            help=(
                'Show, project by project, whose owners have been told and '
                'have replied, what, and who is not ready and why'
            ),
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[list[str], list[display.Words]]:
        from osc_maintenance import facts

        host = facts.find(self.clients.nova, parsed_args.host)
        if parsed_args.servers:
            self.more['verdicts'] = self._verdicts(host)
        if parsed_args.owners:
            self.more['owners'] = self._owners(host)
        return self.answer(parsed_args, host)

    def look(self, name: str) -> 'servers.Load':
        """What is on a host: asked once, whatever is shown of it."""
        if self._load is None:
            self._load = super().look(name)
        return self._load

    def _owners(self, host: 'compute.Host') -> list[dict[str, typing.Any]]:
        from osc_maintenance import overview

        here = self.look(host.name).servers or ()
        return overview.of(here, host.known.id if host.known else '')

    def _verdicts(self, host: 'compute.Host') -> list[dict[str, typing.Any]]:
        from osc_maintenance.drain import plan
        from osc_maintenance import policy as policy_
        from osc_maintenance import times

        policy = host.known.policy if host.known else policy_.NOTHING
        if policy.migrate == policy_.NONE:
            policy = policy_.Policy(policy_.ALL, terms=policy.terms)
        made = plan.make(
            self.clients,
            self.look(host.name),
            policy,
            times.now(),
            host.journal,
            moving=False,
        )
        for note in made.notes:
            self.log.warning('%s', note)
        return made.rows()
