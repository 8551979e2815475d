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

"""Starts ``openstack`` again and again, and imports it once.

A Python that has imported OSC and its plugins forks for each command. The
child does what the installed script does: it calls ``main`` of
openstackclient.shell with the arguments, and hands what that returns to
``sys.exit`` in the main module of its process, so atexit functions run and
threads are waited for. It has the environment, the arguments and the three
standard files that a new process would have, and a process ID of its own, so
it can be killed. This process has one thread only, and nothing that a command
does happens in it: no command sees anything of one before it. All that is
left out is finding and compiling modules, which is no part of what a command
asks of a cloud, and is done by all other functional tests.

Each line of stdin is a command in JSON (argv, environ, stdout, stderr,
answer); a line with its process ID is printed when it starts, and one with
that and its exit code, or minus the signal that ended it, when it is over.
Any number of them may run at the same time.
"""

import contextlib
import gc
import importlib
from importlib import metadata
import itertools
import json
import os
import selectors
import sys
import typing

#: What is imported where it is used, which is after the fork.
_LATER = (
    'cliff.formatters.json_format',
    'keystoneauth1.identity',
    'keystoneauth1.loading',
    'novaclient.v2.client',
    'openstack.connection',
    'openstackclient.shell',
    'osc_maintenance.apply',
    'osc_maintenance.clients',
    'osc_maintenance.drain.report',
    'osc_maintenance.drain.returning',
    'osc_maintenance.drain.run',
    'osc_maintenance.maintenance',
    'osc_maintenance.view',
)


def _preload() -> None:
    """Import what commands import."""
    for name in _LATER:
        importlib.import_module(name)
    points = (one.entry_points for one in metadata.distributions())
    for point in itertools.chain.from_iterable(points):
        if point.group.startswith(('openstack.', 'cliff.')):
            # OSC does without those that cannot be imported
            with contextlib.suppress(ImportError, AttributeError):
                point.load()
    from cliff import command

    # which distribution a module is of is kept, once it is known
    with contextlib.suppress(AttributeError):
        command._get_distributions_by_modules()


def _become(told: dict[str, typing.Any]) -> None:
    """Be the process of a command, as it finds itself when it starts."""
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, told['stdout'], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, told['stderr'], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, closefd=False)  # noqa: SIM115
        for number, mode in ((0, 'r'), (1, 'w'), (2, 'w'))
    )
    os.environ.clear()
    os.environ.update(told['environ'])
    sys.argv = ['openstack', *told['argv']]
    if told['answer']:
        from osc_maintenance import clients

        clients._ANSWER = told['answer']


def main() -> int:
    """Start commands until stdin ends; a child returns from here as well."""
    _preload()
    gc.freeze()
    # nothing that select does not see
    lines = os.fdopen(0, 'rb', buffering=0, closefd=False)
    with selectors.DefaultSelector() as selector:
        selector.register(lines, selectors.EVENT_READ)
        while True:
            for key, _events in selector.select():
                if key.data:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _process, status = os.waitpid(key.data, 0)
                    code = os.waitstatus_to_exitcode(status)
                    _say(f'{key.data} {code}')
                    continue
                line = lines.readline()
                if not line:
                    return 0
                told = json.loads(line)
                process = os.fork()
                if not process:
                    from openstackclient import shell

                    _become(told)
                    return int(shell.main(told['argv']))
                _say(f'{process}')
                selector.register(
                    os.pidfd_open(process), selectors.EVENT_READ, process
                )


def _say(line: str) -> None:
    sys.stdout.write(f'{line}\n')
    sys.stdout.flush()


if __name__ == '__main__':
    sys.exit(main())
