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

"""``openstack host maintenance unset``, about one host.

Every ``openstack`` command imports this module, so what is heavy is imported
where it is used.
"""

import argparse
import functools
import typing

from osc_lib import exceptions

from osc_maintenance import exit_codes
from osc_maintenance.osc import base
from osc_maintenance.osc import display
from osc_maintenance.osc import drain
from osc_maintenance.osc import notify

if typing.TYPE_CHECKING:
    from osc_maintenance import compute
    from osc_maintenance import servers as servers_


class UnsetHostMaintenance(base.ChangingCommand):
    """End the maintenance of a compute host, or clear a property of it.

    The compute service becomes what it was before the maintenance: enabled,
    or disabled with its earlier reason. The record is deleted. A maintenance
    that is only planned is dropped.

    If somebody else has changed the service in the meantime this refuses,
    unless the service already is as it was before. On a host that is not in
    maintenance it says so and succeeds. It is safe to interrupt: run it again.

    With --return-servers, once the service is back, the servers that this
    maintenance has moved away and that have not moved since are moved back,
    and the record is kept until they are.

    Servers that the maintenance has stopped are started again, and no others.

    Exit status: 0 all done, 1 error, 2 usage, 3 a server does not run again,
    5 refused before anything was changed, 130 interrupted; with
    --return-servers also 3 some servers have stayed away, 4 timed out.

    Example::

        $ openstack host maintenance unset compute1 --return-servers
    """

    _PROPERTIES = {
        'reason': ('--reason', 'Clear the reason'),
        'ticket_url': ('--ticket-url', "Clear the ticket's URL"),
        'window_end': (
            '--window',
            'Clear the end of the window, or the removal of the host',
        ),
    }

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = self._parser = super().get_parser(prog_name)
        parser.add_argument(
            '--force',
            action='store_true',
            help=(
                'Make the service what it was before the maintenance even if '
                'somebody else has changed it since, leave servers stopped '
                'that cannot be started again, and do without a look at what '
                'is left where Nova does not list it'
            ),
        )
        for name, (option, what) in self._PROPERTIES.items():
            parser.add_argument(
                option,
                dest=name,
                action='store_true',
                help=f'{what}; the maintenance goes on',
            )
        parser.add_argument(
            '--return-servers',
            action='store_true',
            help=(
                'Move the servers back that this maintenance has moved away, '
                'those that are locked as well, unless they have moved since'
            ),
        )
        drain.add_pace(parser, 'They go with --return-servers.')
        #: What was said of what is left as it is.
        self._left: set[str] = set()
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[list[str], list[display.Words]]:
        from osc_maintenance import maintenance
        from osc_maintenance import text
        from osc_maintenance import times
        from osc_maintenance import upheld

        properties = frozenset(
            name for name in self._PROPERTIES if getattr(parsed_args, name)
        )
        for name in ('force', 'return_servers'):
            if properties and getattr(parsed_args, name):
                self._parser.error(
                    f'argument --{name.replace("_", "-")}: ends the whole '
                    'maintenance, and does not go with options that clear one '
                    'property'
                )
        away = None if parsed_args.return_servers else '--return-servers'
        drain.check_pace(self._parser, parsed_args, without=away)
        name = parsed_args.host
        with base.refusals(self.clients, self.changes_before):
            if properties:
                host = maintenance.clear(
                    self.clients, name, properties, times.now()
                )
                if overruled := upheld.cleared(host.record, properties):
                    self.overruled(host, overruled)
                    self.exit_code = exit_codes.ExitCode.ERROR
                host, told = notify.tell(self.clients, self.log, host, None)
                self.more.update(told)
            elif parsed_args.return_servers:
                host = self._bring_back(parsed_args)
            else:
                host = maintenance.unset(
                    self.clients,
                    name,
                    force=parsed_args.force,
                    seen=functools.partial(self._seen, parsed_args.force),
                )
        if any(row['cause'] for row in self.more.get('started', ())):
            # known once it is over: with an error before it is not
            self.exit_code = self.exit_code or exit_codes.ExitCode.STAYED
        if not self.changed and host.aggregate is None:
            self.log.warning('%s is not in maintenance', text.escape(name))
        return self.answer(parsed_args, host)

    def _seen(self, force: bool, host: 'compute.Host') -> None:
        """Take leave of a host whose record is about to be deleted."""
        from osc_maintenance import starting

        self._look_for_the_last_time(host, force=force)
        try:
            self._start_again(host, force=force)
            told = notify.withdraw(self.clients, self.log, host, force=force)
        except starting.ResumedError as exc:
            # they came later: minutes may have gone by
            self._tell_again(host)
            started = sum(
                row['cause'] is None for row in self.more.get('started', ())
            )
            raise exceptions.CommandError(
                f'{exc}'
                + f' ({started} started by then)' * bool(started)
                + '; run unset again if it is to end all the same'
            ) from exc
        self.more.update(told)

    def _tell_again(self, host: 'compute.Host') -> None:
        """Tell owners whose notices were removed in vain, if that can be."""
        try:
            notify.tell_again(self.clients, self.log, host)
        except exceptions.CommandError as exc:
            self.log.warning(
                'Owners are not told again, which set does: %s', exc
            )

    def _look_for_the_last_time(
        self, host: 'compute.Host', *, force: bool
    ) -> None:
        """Name what nobody looks for once the record is gone.

        Afterwards would be too late: a look that fails is not repeated.
        """
        from osc_maintenance import change
        from osc_maintenance import facts
        from osc_maintenance import gaps
        from osc_maintenance import notice
        from osc_maintenance.nova import api

        noted = host.journal
        lost = host.mark if host.aggregate is None else None
        if not (noted.moves or noted.returns or lost):
            return
        change.to_unset(host, force=force)

        def look() -> 'servers_.Load':
            nova = self.clients.servers
            load = facts.load(nova, host.name)
            gaps.check_moves(nova, host.name, noted.moves, load.migrations)
            return load

        try:
            load = look() if force else api.patiently(look)
        except exceptions.CommandError as exc:
            if not force:
                raise exceptions.CommandError(
                    f'{exc}; run unset again, or with --force, without a look '
                    'at what is left unconfirmed'
                ) from exc
            self._leave(f'{exc}: what is left unconfirmed is not known')
            return
        self._leave(noted.abandoned(load))
        if lost:
            self._leave(notice.orphaned(lost.id, load))

    def _start_again(
        self, host: 'compute.Host', *, force: bool, brings_back: bool = False
    ) -> None:
        """Start what the maintenance has stopped, unless it cannot end."""
        from osc_maintenance import starting
        from osc_maintenance import text

        if 'started' in self.more:
            # at a second attempt others may have started or stopped some
            self.more['started'] = starting.look_again(
                self.clients, self.more['started']
            )
        if not host.journal.stopped:
            return
        known = {row['id']: row for row in self.more.get('started', ())}
        name = text.escape(host.name)
        host, rows = starting.again(
            self.clients,
            host,
            force=force,
            brings_back=brings_back,
            hear=lambda told: self._leave(f'{name}: {told}'),
        )
        for row in rows:
            if row['cause'] and row != known.get(row['id']):
                self.log.warning(
                    '%s: server %s (%s) was stopped for the maintenance, and '
                    'does not run again: %s',
                    *(name, row['name'], row['id'], row['cause']),
                )
        known |= {row['id']: row for row in rows}
        self.more['started'] = list(known.values())
        starting.check_ending(self.clients, host)

    def _leave(self, told: str | None) -> None:
        """Say once what is left as it is."""
        if told and told not in self._left:
            self.log.warning('%s', told)
            self._left.add(told)

    def _bring_back(self, parsed_args: argparse.Namespace) -> 'compute.Host':
        """End the maintenance once its servers are back."""
        from osc_maintenance.drain import returning
        from osc_maintenance.drain import run
        from osc_maintenance import facts
        from osc_maintenance import maintenance
        from osc_maintenance import text

        name, force = parsed_args.host, parsed_args.force
        host = facts.find(self.clients.nova, name)
        if host.aggregate:
            journey = returning.Returning(self.clients, host)
            journey.survey()
            self.lacks(journey.matters)
            self._start_again(host, force=force, brings_back=True)
            host = maintenance.restore(self.clients, name, force=force)
            # for the owners it is over
            host, told = notify.tell(self.clients, self.log, host, None)
            self.more.update(told)
            journey.begin(host)
            result = drain.reported(
                parsed_args,
                quiet=self.app.options.verbose_level == 0,
                until_answered=self.until_answered,
                move=functools.partial(run.bring_back, self.clients, journey),
            )
            self.more['moves'] = [move.as_dict() for move in result.moves]
            self.exit_code = result.exit_code
            if self.exit_code or not result.complete:
                return host
            now = facts.find(self.clients.nova, name)
            # without a record: somebody else was quicker with the same
            if now.mark or (now.aggregate and not now.journal.returning):
                raise exceptions.CommandError(
                    f'{text.escape(name)} was put into maintenance again by '
                    'somebody else while its servers came back'
                )
        return maintenance.unset(
            self.clients,
            name,
            force=force,
            seen=functools.partial(self._seen, force),
        )
