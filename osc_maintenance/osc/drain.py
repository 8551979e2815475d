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

"""What ``set`` and ``unset`` have in common when servers are moved."""

import argparse
import collections.abc
import contextlib
import datetime
import sys
import typing

from osc_maintenance.drain import options as options_
from osc_maintenance.osc import options
from osc_maintenance import policy as policy_

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_
    from osc_maintenance import compute
    from osc_maintenance.drain import interrupt
    from osc_maintenance.drain import report
    from osc_maintenance.drain import run
    from osc_maintenance import servers

_DEFAULT = options_.Options()
#: Options that say which servers have to go, and how; they are recorded.
_SELECTION = {
    'server': '--server',
    'project': '--project',
    'exclude_server': '--exclude-server',
    'include_locked': '--include-locked',
    'include_pinned': '--include-pinned',
    'stop_unmovable': '--stop-unmovable',
    'target_host': '--target-host',
}
#: Options that say how servers are moved, by name.
_PACE = {
    'max_parallel': '--max-parallel',
    'server_timeout': '--server-timeout',
    'on_timeout': '--on-timeout',
    'timeout': '--timeout',
    'retries': '--retries',
    'wait': '--wait/--no-wait',
}
#: What is made of what argparse has read of them.
_READ: dict[str, collections.abc.Callable[[typing.Any], typing.Any]] = {
    'server_timeout': datetime.timedelta.total_seconds,
    'on_timeout': options_.OnTimeout,
    'timeout': datetime.timedelta.total_seconds,
}


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add which servers are to be moved off a host.

    :param parser: the command's parser.
    """
    group = parser.add_argument_group(
        'servers to move',
        'These are recorded, and a later "set" goes on with them; --migrate\n'
        'says all of them anew.',
    )
    group.add_argument(
        '--migrate',
        metavar='<which>',
        choices=policy_.CHOICES,
        help=(
            'Move servers off the host: none, active (those that run, by live '
            'migration) or all (stopped ones as well, by cold migration, '
            'which is confirmed) (default: none)'
        ),
    )
    group.add_argument(
        '--server',
        type=options.word,
        metavar='<server>',
        action='append',
        help='Move only this server (name or ID; repeat for several)',
    )
    group.add_argument(
        '--project',
        type=options.word,
        metavar='<project>',
        action='append',
        help=(
            'Move only servers of this project (name or ID; repeat for '
            'several; with --server both have to hold)'
        ),
    )
    group.add_argument(
        '--exclude-server',
        type=options.word,
        metavar='<server>',
        action='append',
        help='Leave this server (name or ID; repeat for several)',
    )
    group.add_argument(
        '--include-locked',
        action='store_true',
        help='Move locked servers as well, whoever has locked them',
    )
    group.add_argument(
        '--include-pinned',
        action='store_true',
        help=(
            'Try to move running servers that use a device of the host (PCI, '
            'virtual GPU, emulated TPM) as well; Nova decides'
        ),
    )
    group.add_argument(
        '--stop-unmovable',
        action='store_true',
        help=(
            'Stop running servers that have to go and cannot be moved, when '
            'all others have gone or stayed; "unset" starts just them again'
        ),
    )
    group.add_argument(
        '--target-host',
        metavar='<host>',
        type=options.host,
        help='Move the servers to this host (default: the scheduler chooses)',
    )
    group.add_argument(
        '--evacuate',
        action='store_true',
        help=(
            'The host is down: rebuild its servers elsewhere, those that run, '
            'are stopped or in ERROR (needs --fenced; those that ran end '
            'stopped, from compute API 2.95 on)'
        ),
    )
    group.add_argument(
        '--fenced',
        action='store_true',
        help=(
            'You give your word that the host is powered off or cut off, so '
            'that none of its servers still runs or writes to its disks'
        ),
    )
    group.add_argument(
        '--strict',
        action='store_true',
        help=(
            'Refuse, before anything is changed, if a server that has to go '
            'cannot be moved; of a planned maintenance, when it is entered'
        ),
    )
    group.add_argument(
        '--dry-run',
        action='store_true',
        help='Change nothing; show what would be done with each server',
    )


def add_max_parallel(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup,
) -> None:
    """Add how many moves are in motion at most.

    :param parser: the command's parser, or a group of its options.
    """
    parser.add_argument(
        '--max-parallel',
        metavar='<number>',
        type=options.count,
        default=_DEFAULT.max_parallel,
        help=(
            'At most so many moves of this host in motion, those that others '
            f'have started included (default: {_DEFAULT.max_parallel}: Nova '
            'itself copies one at a time by default, and the next is ready '
            'then)'
        ),
    )


def add_pace(
    parser: argparse.ArgumentParser,
    about: str = 'Without effect where no servers are moved.',
) -> None:
    """Add how servers are moved.

    :param parser: the command's parser.
    :param about: what the help says of all of them.
    """
    group = parser.add_argument_group('how servers are moved', about)
    add_max_parallel(group)
    group.add_argument(
        '--server-timeout',
        metavar='<duration>',
        type=options.duration,
        help=(
            'How long the move of one server may take, from when Nova begins, '
            'or from when this run finds it under way (default: no limit)'
        ),
    )
    group.add_argument(
        '--on-timeout',
        metavar='<action>',
        choices=[choice.value for choice in options_.OnTimeout],
        help=(
            'What is done with a live migration that takes longer than '
            '--server-timeout: abort, force-complete (the server pauses for '
            'the rest) or leave; goes with --server-timeout '
            f'(default: {_DEFAULT.on_timeout.value})'
        ),
    )
    group.add_argument(
        '--timeout',
        metavar='<duration>',
        type=options.duration,
        help=(
            'How long the whole may take; what is in motion then goes on in '
            'Nova, and the exit status is 4 (default: no limit)'
        ),
    )
    group.add_argument(
        '--retries',
        metavar='<number>',
        type=options.number,
        help=(
            'How often a failed move is tried again, after a pause that '
            'grows; not one that took too long, was aborted, or that Nova '
            f'refused (default: {_DEFAULT.retries})'
        ),
    )
    wait = group.add_mutually_exclusive_group()
    wait.add_argument(
        '--wait',
        action='store_true',
        help='Stay until everything has moved or failed (default)',
    )
    wait.add_argument(
        '--no-wait',
        dest='wait',
        action='store_false',
        help=(
            'Hand Nova what may be in motion now, and return; run it again to '
            'go on, and to confirm cold migrations'
        ),
    )
    # what was not given is known as such
    parser.set_defaults(**dict.fromkeys(_PACE))


def check_pace(
    parser: argparse.ArgumentParser,
    parsed_args: argparse.Namespace,
    *,
    without: str | None = None,
) -> None:
    """End with a usage error where options of pace have no effect.

    :param parser: the command's parser.
    :param parsed_args: the command's arguments.
    :param without: the option without which no servers are moved, if it was
        not given.
    """
    for name, option in _PACE.items():
        if without and getattr(parsed_args, name) is not None:
            parser.error(f'argument {option}: goes with {without}')
    if parsed_args.on_timeout and parsed_args.server_timeout is None:
        parser.error('argument --on-timeout: goes with --server-timeout')


def check(
    parser: argparse.ArgumentParser, parsed_args: argparse.Namespace
) -> None:
    """End with a usage error where options do not go together.

    :param parser: the command's parser.
    :param parsed_args: the command's arguments.
    """
    check_pace(parser, parsed_args)
    moving = parsed_args.migrate not in (None, 'none')
    if parsed_args.evacuate:
        if not parsed_args.fenced:
            parser.error(
                'argument --evacuate: if the host still runs its servers, '
                'each of them would run twice, on the same disks: make sure '
                'that it does not, and say so with --fenced'
            )
        if parsed_args.migrate is not None:
            parser.error('argument --migrate: not allowed with --evacuate')
        return
    if parsed_args.fenced:
        parser.error('argument --fenced: goes with --evacuate')
    for name, option in _SELECTION.items():
        if getattr(parsed_args, name) and not moving:
            parser.error(
                f'argument {option}: goes with --migrate active, --migrate '
                'all or --evacuate'
            )


def asked(parsed_args: argparse.Namespace) -> bool:
    """Whether the arguments say which servers have to go."""
    return bool(parsed_args.migrate or parsed_args.evacuate)


def looks_first(parsed_args: argparse.Namespace) -> bool:
    """Whether the servers are looked at before anything is recorded."""
    return asked(parsed_args) or parsed_args.strict or parsed_args.dry_run


def policy_of(
    parsed_args: argparse.Namespace,
    clients: 'clients_.Clients',
    host: 'compute.Host',
    load: 'servers.Load',
) -> policy_.Policy:
    """Which servers have to go, with names made ids.

    :param parsed_args: the command's arguments.
    :param clients: Keystone, for the names of projects.
    :param host: the host.
    :param load: what is on the host.
    :returns: the policy.
    :raises RefusedError: if there is no such server on the host, or project.
    """
    from osc_maintenance import asking
    from osc_maintenance.drain import names

    only, exclude = (
        names.servers_of(words or (), clients, host, load)
        for words in (parsed_args.server, parsed_args.exclude_server)
    )
    if only & exclude:
        raise asking.RefusedError(
            f'--server and --exclude-server name the same: '
            f'{", ".join(sorted(only & exclude))}'
        )
    return policy_.Policy(
        migrate='all' if parsed_args.evacuate else parsed_args.migrate,
        only=only,
        exclude=exclude,
        projects=names.projects_of(parsed_args.project or (), clients, load),
        locked=parsed_args.include_locked,
        pinned=parsed_args.include_pinned,
        stop=parsed_args.stop_unmovable,
        strict=parsed_args.strict,
        target=parsed_args.target_host,
    )


def options_of(
    parsed_args: argparse.Namespace, *, figures: bool
) -> options_.Options:
    """How the servers are moved.

    :param parsed_args: the command's arguments.
    :param figures: ask Nova for the figures of single migrations.
    :returns: the options.
    """
    given = {
        name: _READ.get(name, lambda value: value)(value)
        for name in _PACE
        if (value := getattr(parsed_args, name)) is not None
    }
    return options_.Options(**given, figures=figures)


class Run(typing.Protocol):
    """Moves servers, once it is known how to report and to wait."""

    def __call__(
        self,
        options: options_.Options,
        reporter: 'report.Report',
        pause: 'interrupt.Pause',
    ) -> 'run.Result':
        """Move them."""


def reported(
    parsed_args: argparse.Namespace,
    *,
    quiet: bool,
    move: Run,
    until_answered: contextlib.ExitStack,
) -> 'run.Result':
    """Move servers, report on stderr, and let Ctrl-C stop it.

    The first Ctrl-C still lets the answer come when all is over: it is worth
    hours.

    :param parsed_args: the command's arguments.
    :param quiet: report nothing.
    :param move: moves them.
    :param until_answered: is closed when the answer has been printed.
    :returns: what became of it.
    """
    from osc_maintenance.drain import interrupt
    from osc_maintenance.drain import report
    from osc_maintenance import times

    reporter = report.reporter(
        sys.stderr, quiet=quiet, now=times.now, clock=times.clock
    )
    how = options_of(parsed_args, figures=reporter.wants_figures)
    pause = until_answered.enter_context(interrupt.interruptible())
    with reporter:
        return move(how, reporter, pause)
