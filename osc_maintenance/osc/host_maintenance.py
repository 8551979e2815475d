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

"""``openstack host maintenance set``, about one host.

Every ``openstack`` command imports this module, so what is heavy is imported
where it is used.
"""

import argparse
import dataclasses
import functools
import typing

from osc_maintenance import exit_codes
from osc_maintenance.osc import base
from osc_maintenance.osc import display
from osc_maintenance.osc import drain
from osc_maintenance.osc import notify
from osc_maintenance.osc import options

if typing.TYPE_CHECKING:
    from osc_maintenance import asking
    from osc_maintenance import compute
    from osc_maintenance.drain import plan as plan_


class SetHostMaintenance(base.ChangingCommand):
    """Put a compute host into maintenance, or plan it.

    No new server is scheduled to a host in maintenance. The servers on it
    stay, unless --migrate says which of them are moved off it. With --start
    in the future the window is recorded and the host stays enabled until then:
    "openstack host maintenance apply", or this command again, enters it once
    that has come, and --now at once.

    On a host that is planned or in maintenance this changes just what is
    given; run twice, it changes nothing the second time. It is safe to
    interrupt: run it again.

    The record is kept in Nova, in the aggregate maintenance:<host> and in the
    disabled_reason of the compute service. What the service was before is
    recorded before it is disabled, and unset restores it.

    Exit status: 0 all done, 1 error, 2 usage, 3 some servers stayed, 4 timed
    out, 5 refused before anything was changed, 6 all that stayed waits for its
    owners, 130 interrupted.

    Example::

        $ openstack host maintenance set compute1 --duration 2h30m \\
            --reason "kernel update" --ticket-url https://tickets.example.com/7
        $ openstack host maintenance set compute1 --migrate all
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
        notify.add(parser)
        drain.add_selection(parser)
        drain.add_pace(parser)
        self._parser = parser
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[list[str], list[display.Words]]:
        from osc_maintenance import asking
        from osc_maintenance import maintenance
        from osc_maintenance import times
        from osc_maintenance import upheld

        drain.check(self._parser, parsed_args)
        request = asking.Request(
            start=parsed_args.start,
            end=parsed_args.end,
            duration=parsed_args.duration,
            removal=parsed_args.removal,
            reason=parsed_args.reason,
            ticket_url=parsed_args.ticket_url,
            early=parsed_args.now,
            notify=parsed_args.notify,
            replies=notify.heed(parsed_args),
            reply_by=parsed_args.reply_by,
        )
        plan: plan_.Plan | None = None
        with base.refusals(self.clients, self.changes_before):
            if drain.looks_first(parsed_args):
                host, request, plan = self._planned(parsed_args, request)
            if parsed_args.dry_run and plan:
                return self._dry_run(parsed_args, host, plan)

            def check(host: 'compute.Host') -> None:
                nonlocal plan
                if plan is None:
                    plan = self._recorded(parsed_args, host, request)

            host = maintenance.set_(
                self.clients, parsed_args.host, request, times.now(), check
            )
            overruled = upheld.by_others(host.record, request)
            self.overruled(host, overruled)
            if host.ours:
                plan = plan or self._recorded(parsed_args, host, request)
            host, told = notify.tell(self.clients, self.log, host, plan)
            if (
                host.ours
                and plan
                and plan.policy.migrate != 'none'
                and upheld.moves(host.record, request)
            ):
                self._drain(parsed_args, host, plan)
                host, told = notify.tell_again(self.clients, self.log, host)
            self.more.update(told)
        answer = self.answer(parsed_args, host)
        self._check_whether_it_lasts()
        if overruled and not self.exit_code:
            self.exit_code = exit_codes.ExitCode.ERROR
        return answer

    def _check_whether_it_lasts(self) -> None:
        """Fail if others have ended what the servers were moved for."""
        from osc_maintenance import text

        host = self.shown
        if 'moves' not in self.more or host is None or host.ours:
            return
        if host.aggregate and host.service and host.service.lost:
            # nobody knows, and nobody has done anything
            return
        self.log.error(
            '%s is no longer in maintenance: somebody else has ended it, '
            'or has changed the compute service, while its servers were '
            'moved; new servers may come to it',
            text.escape(host.name),
        )
        self.exit_code = exit_codes.ExitCode.ERROR

    def _planned(
        self, parsed_args: argparse.Namespace, request: 'asking.Request'
    ) -> tuple['compute.Host', 'asking.Request', 'plan_.Plan']:
        """What would be done, refused if it cannot work."""
        from osc_maintenance import asking
        from osc_maintenance import change
        from osc_maintenance.drain import plan as plan_
        from osc_maintenance import facts
        from osc_maintenance import parallel
        from osc_maintenance import policy as policy_
        from osc_maintenance import text
        from osc_maintenance import times

        nova, servers = self.clients.nova, self.clients.servers
        host, load = parallel.both(
            lambda: facts.find(nova, parsed_args.host),
            lambda: facts.load(servers, parsed_args.host),
        )
        policy = host.known.policy if host.known else policy_.NOTHING
        if drain.asked(parsed_args):
            policy = drain.policy_of(parsed_args, self.clients, host, load)
            request = dataclasses.replace(request, policy=policy)
        elif parsed_args.strict and policy.migrate != 'none' and not host.mark:
            policy = dataclasses.replace(policy, strict=True, choice=None)
            request = dataclasses.replace(request, policy=policy)
        if parsed_args.strict and policy.migrate == 'none':
            self.log.warning(
                '%s: --strict has no effect, as no server is to be moved: '
                'give --migrate active or --migrate all',
                text.escape(host.name),
            )
        now = times.now()
        steps = change.to_set(host, request, self.clients.user, now)
        terms = asking.terms(host, request, now)
        plan = plan_.make(
            self.clients,
            load,
            dataclasses.replace(policy, terms=terms),
            now,
            host.journal,
            evacuate=parsed_args.evacuate,
            moving=not parsed_args.dry_run,
        )
        entering = bool(host.mark) or any(
            isinstance(step, change.SetService) for step in steps
        )
        self._checked(parsed_args, host, plan, entering=entering)
        return host, request, plan

    def _dry_run(
        self,
        parsed_args: argparse.Namespace,
        host: 'compute.Host',
        plan: 'plan_.Plan',
    ) -> tuple[list[str], list[display.Words]]:
        """Answer with what would be done."""
        if plan.blocked:
            self.exit_code = exit_codes.ExitCode.STAYED
        if plan.blocked and plan.waits_for_owners:
            self.exit_code = exit_codes.ExitCode.OWNERS
        self.more['verdicts'] = plan.rows()
        return self.answer(parsed_args, host)

    def _recorded(
        self,
        parsed_args: argparse.Namespace,
        host: 'compute.Host',
        request: 'asking.Request',
    ) -> 'plan_.Plan | None':
        """The plan for what is recorded, refused if it cannot work."""
        from osc_maintenance import asking
        from osc_maintenance.drain import plan as plan_
        from osc_maintenance import facts
        from osc_maintenance import times

        record = host.record
        if record is None or record.policy.migrate == 'none':
            return None
        load, now = facts.load(self.clients.servers, host.name), times.now()
        terms = asking.terms(host, request, now)
        policy = dataclasses.replace(record.policy, terms=terms)
        plan = plan_.make(self.clients, load, policy, now, host.journal)
        return self._checked(parsed_args, host, plan, entering=True)

    def _checked(
        self,
        parsed_args: argparse.Namespace,
        host: 'compute.Host',
        plan: 'plan_.Plan',
        *,
        entering: bool,
    ) -> 'plan_.Plan':
        """A plan, refused if it cannot work; what it does not know is told."""
        from osc_maintenance.drain import plan as plan_

        for note in plan.notes:
            self.log.warning('%s', note)
        # what was recorded is for when the host is entered
        strict = parsed_args.strict or (
            plan.policy.strict and host.mark is None
        )
        plan_.check(self.clients, plan, strict=strict, entering=entering)
        return plan

    def _drain(
        self,
        parsed_args: argparse.Namespace,
        host: 'compute.Host',
        plan: 'plan_.Plan',
    ) -> None:
        """Move the servers, and keep what became of them."""
        from osc_maintenance.drain import run
        from osc_maintenance import notices

        result = drain.reported(
            parsed_args,
            quiet=self.app.options.verbose_level == 0,
            until_answered=self.until_answered,
            move=functools.partial(
                run.drain,
                self.clients,
                host,
                plan,
                gone=notices.Farewell(self.clients, host),
            ),
        )
        self.more['moves'] = [move.as_dict() for move in result.moves]
        self.exit_code = result.exit_code
