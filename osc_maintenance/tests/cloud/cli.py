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

"""A real OpenStack on loopback, with a fake hypervisor, to test against."""

import argparse
import os
import pathlib
import shlex
import subprocess
import sys
import typing

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import control
from osc_maintenance.tests.cloud import environ
from osc_maintenance.tests.cloud import errors
from osc_maintenance.tests.cloud import launcher
from osc_maintenance.tests.cloud import layout
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.cloud import proc
from osc_maintenance.tests.cloud import progress

_BEHAVIOURS = """\
seconds=S        a live migration copies for S seconds (else half a second)
cold-seconds=S   a cold migration does, on the source (else no time)
spawn-seconds=S  a guest takes so long to start: at boot, when it is evacuated,
                 at the destination of a cold migration (else no time)
fail=WHERE       it fails. A live migration: dest-check, source-check, pre (the
                 preparation on the destination), copy (rolled back), driver
                 (half-way), post (after the copy). A cold one, on the source:
                 cold-check (before it has done anything), cold (half-way).
                 Any start of a guest: spawn
hang             the copy of a live migration does not end unless it is aborted
                 or forced; for the two others, S = inf lasts until it is told
                 otherwise
noabort          aborting has no effect
noforce          forcing has no effect
"""


def _say(text: str) -> None:
    sys.stdout.write(f'{text}\n')


def _up(state: layout.State, options: argparse.Namespace) -> int:
    started = launcher.up(state, options.hosts, progress.Reporter())
    _say('The cloud is up.' if started else 'The cloud is running already.')
    command = f'{sys.executable} -m {__package__}'
    if state != layout.State.default():
        command += f' --state-dir {state.directory}'
    _say(f'\nUse it in this shell:\n    eval "$({command} env)"')
    _say(f'or in one of its own:\n    {command} shell')
    _say(
        f'\nOS_CLIENT_CONFIG_FILE={state.clouds_yaml} has these for OS_CLOUD:'
    )
    for name, account in accounts.ACCOUNTS.items():
        where = account.project or 'the system'
        _say(f'    {name:14} {", ".join(account.roles)} on {where}')
    _say(f'\nStop it:\n    {command} down')
    return 0


def _prepare(_state: layout.State, _options: argparse.Namespace) -> int:
    launcher.prepare(progress.Reporter())
    return 0


def _down(state: layout.State, _options: argparse.Namespace) -> int:
    stopped = launcher.down(state)
    _say('The cloud is down.' if stopped else 'The cloud was not running.')
    return 0


def _status(state: layout.State, _options: argparse.Namespace) -> int:
    facts = state.facts()
    if facts is None:
        _say(f'No cloud runs in {state.directory}')
        return 1
    status = _control(state).status()
    _say(f'A cloud of {facts["release"]} runs in {state.directory}')
    for name, pid in facts['pids'].items():
        _say(f'    {name:10} process {pid}, {proc.memory(pid)} MB')
    for name, url in facts['urls'].items():
        _say(f'    {name:10} {url}')
    _say(f'    hosts      {" ".join(status["hosts"]) or "none"}')
    _say(f'    phantoms   {status["phantoms"]}')
    for server, told in status['behaviours'].items():
        _say(f'    behaviour  of {server}: {told}')
    return 0


def _shell(state: layout.State, options: argparse.Namespace) -> int:
    launcher.urls(state)
    command = options.words or [os.environ.get('SHELL', '/bin/sh')]
    environment = environ.of_cloud(state, options.os_cloud)
    try:
        return subprocess.call(command, env=environment)
    except OSError as exc:
        raise errors.CloudError(f'{command[0]}: {exc.strerror}') from exc


def _env(state: layout.State, options: argparse.Namespace) -> int:
    launcher.urls(state)
    wanted = environ.of_cloud(state, options.os_cloud)
    for name in sorted(os.environ):
        if name.startswith('OS_') and name not in wanted:
            _say(f'unset {name}')
    for name, value in wanted.items():
        if os.environ.get(name) != value:
            _say(f'export {name}={shlex.quote(value)}')
    return 0


def _host(state: layout.State, options: argparse.Namespace) -> int:
    controls = _control(state)
    match options.action:
        case 'add':
            controls.add_hosts([options.host])
        case 'remove':
            operations.remove_host(launcher.urls(state), options.host)
        case 'up':
            controls.host_up(options.host)
        case 'down':
            controls.host_down(options.host)
    return 0


def _behave(state: layout.State, options: argparse.Namespace) -> int:
    if options.clear:
        _control(state).behave_as_usual(options.server)
    elif options.server and options.told:
        _control(state).behave(options.server, options.told)
    else:
        raise errors.CloudError('behave: which server, and how?')
    return 0


def _phantom(state: layout.State, options: argparse.Namespace) -> int:
    hosts = _control(state).phantoms(options.count)
    _say(f'There are {len(hosts)} phantom hosts.')
    return 0


def _control(state: layout.State) -> control.Control:
    return control.Control(launcher.urls(state)['control'])


def _number(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f'python -m {__package__}', description=__doc__
    )
    parser.add_argument(
        '--state-dir',
        type=pathlib.Path,
        metavar='DIR',
        help=f'the cloud, of which there may be several (default: '
        f'${layout.STATE_VARIABLE}, else {layout.State.default().directory})',
    )
    commands = parser.add_subparsers(metavar='COMMAND', required=True)

    def add(
        name: str, run: typing.Any, summary: str, **more: typing.Any
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=summary, description=summary, **more
        )
        command.set_defaults(run=run)
        return command

    up = add('up', _up, 'Start the cloud, or add hosts to it')
    up.add_argument(
        '--hosts',
        type=_number,
        default=3,
        metavar='N',
        help='have at least so many compute hosts (default: 3)',
    )
    add(
        'prepare',
        _prepare,
        'Only install what `up` needs, which it does by itself otherwise',
    )
    add('down', _down, 'Stop the cloud; its databases are gone')
    add('status', _status, 'Show what runs; exit code 1 if it does not')
    shell = add(
        'shell', _shell, 'Open a shell, or run a command, in the cloud'
    )
    shell.add_argument('words', nargs='*', metavar='-- COMMAND')
    env = add('env', _env, 'Print what lets a shell use the cloud')
    for command in (shell, env):
        command.add_argument(
            '--os-cloud',
            default='admin',
            choices=accounts.ACCOUNTS,
            help='who to be (default: admin)',
        )

    host = add('host', _host, 'Test control: cut the power of a host, ...')
    host.add_argument('action', choices=('add', 'remove', 'up', 'down'))
    host.add_argument('host', metavar='HOST')
    behave = add(
        'behave',
        _behave,
        'Test control: how a server behaves when it is booted or moved',
        epilog=_BEHAVIOURS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    behave.add_argument(
        'server', nargs='?', metavar='SERVER', help="UUID, name, host or '*'"
    )
    behave.add_argument('told', nargs='*', metavar='BEHAVIOUR')
    behave.add_argument(
        '--clear', action='store_true', help='as usual (SERVER, or all)'
    )
    phantom = add(
        'phantom', _phantom, 'Test control: hosts that are database rows only'
    )
    phantom.add_argument('count', type=_number, metavar='N')
    return parser


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    state = layout.State.default()
    if options.state_dir:
        state = layout.State(options.state_dir.absolute())
    try:
        status: int = options.run(state, options)
    except errors.CloudError as exc:
        sys.stderr.write(f'{exc}\n')
        return 1
    except KeyboardInterrupt:
        return 130
    return status
