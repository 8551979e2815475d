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

"""Brings clouds up and down."""

import contextlib
import os
import signal
import subprocess
import sys
import time

from osc_maintenance.tests.cloud import control
from osc_maintenance.tests.cloud import controlplane
from osc_maintenance.tests.cloud import errors
from osc_maintenance.tests.cloud import golden
from osc_maintenance.tests.cloud import install
from osc_maintenance.tests.cloud import layout
from osc_maintenance.tests.cloud import locks
from osc_maintenance.tests.cloud import proc
from osc_maintenance.tests.cloud import progress

_STOP_SECONDS = 30
_POLL_SECONDS = 0.05
_HOSTS_PER_REQUEST = 20


def prepare(report: progress.Progress) -> None:
    """Do once what takes a minute or two."""
    if layout.RELEASE not in layout.releases():
        raise errors.CloudError(
            f'{layout.RELEASE_VARIABLE}={layout.RELEASE}: there are '
            f'{", ".join(layout.releases())}'
        )
    install.ensure(report)
    golden.ensure(report)


def up(
    state: layout.State,
    hosts: int,
    report: progress.Progress,
    while_leased: bool = False,
) -> bool:
    """Have a cloud with at least so many hosts, compute1, compute2, ...

    Its databases are those of a fresh cloud if it did not run.

    :param while_leased: the cloud is to end with the last holder of its
        lease, and the caller is one
    :returns: whether it had to be started
    """
    with locks.exclusive(state.up_lock):
        facts = state.facts()
        started = facts is None
        if facts is not None and facts['release'] != layout.RELEASE:
            raise errors.CloudError(
                f'{state.directory} has a cloud of {facts["release"]}, '
                f'which is not {layout.RELEASE}: stop it first'
            )
        if started:
            prepare(report)
            report('Starting the services')
            _start(state, while_leased)
        _add_hosts(state, hosts, report)
    return started


def _start(state: layout.State, while_leased: bool) -> None:
    _stop(state)
    state.clear()
    log = state.log('supervisor')
    with log.open('ab') as out:
        supervisor = subprocess.Popen(
            [
                *(sys.executable, '-m', f'{__package__}.supervisor'),
                *('--state-dir', str(state.directory)),
                *(['--while-leased'] if while_leased else []),
            ],
            env={
                **os.environ,
                'PYTHONPATH': str(layout.ROOT),
                # Of a test, HOME is often its own.
                'XDG_CACHE_HOME': str(layout.cache().parent),
                controlplane.STATE_MARK: str(state.directory),
            },
            cwd=state.directory,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            # It outlives the terminal, and Ctrl-C there is not meant for it.
            start_new_session=True,
        )
    while state.facts() is None:
        if supervisor.poll() is not None:
            raise errors.CloudError.with_log('The cloud did not start', log)
        time.sleep(_POLL_SECONDS)


def _add_hosts(
    state: layout.State, count: int, report: progress.Progress
) -> None:
    controls = control.Control(urls(state)['control'])
    present = set(controls.status()['hosts'])
    missing = [
        name
        for name in (f'compute{n}' for n in range(1, count + 1))
        if name not in present
    ]
    for first in range(0, len(missing), _HOSTS_PER_REQUEST):
        some = missing[first : first + _HOSTS_PER_REQUEST]
        report(f'Starting hosts {some[0]} to {some[-1]}')
        controls.add_hosts(some)


def urls(state: layout.State) -> dict[str, str]:
    """The addresses of a running cloud's services.

    :raises CloudError: it does not run
    """
    facts = state.facts()
    if facts is None:
        raise errors.CloudError(f'No cloud runs in {state.directory}')
    found: dict[str, str] = facts['urls']
    return found


def down(state: layout.State) -> bool:
    """Stop a cloud and see to it that nothing of it is left.

    :returns: whether there was anything to stop
    """
    with locks.exclusive(state.up_lock):
        return _stop(state)


def _stop(state: layout.State) -> bool:
    found = False
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + _STOP_SECONDS
        pids = set(proc.of(state))
        found = found or bool(pids)
        for pid in pids:
            _send(pid, number)
        while set(proc.of(state)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    return found


def _send(pid: int, number: int) -> None:
    # It may have ended by itself meanwhile.
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
