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

"""Starts commands from a process that has imported them.

A Python that has imported OSC and its plugins forks for each command. The
child does what the installed script does: it calls ``main`` of
openstackclient.shell with the arguments, and hands what that returns to
``sys.exit`` in the main module of its process, so atexit functions run and
threads are waited for. It has the environment, the arguments and the three
standard files that a new process would have, and a process ID of its own, so
it can be killed. This process has one thread only, and nothing that a command
does happens in it: no command sees anything of one before it. All that is
left out is finding and compiling modules, which is no part of what a command
asks of a cloud, and is most of the time that one takes.

The one argument is the number of a socket. Each message on it is a command in
JSON (argv, environ, answer), with the files that its stdout and stderr are to
be. Its process ID is answered when it has been started, and that and its exit
code, or minus the signal that ended it, when it is over. Any number of them
may run at the same time.
"""

import contextlib
import gc
import importlib
from importlib import metadata
import itertools
import json
import os
import selectors
import signal
import socket
import sys
import time
import typing

#: How long a message is at most.
LONGEST = 1 << 17

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


def _become(told: dict[str, typing.Any], files: list[int]) -> None:
    """Be the process of a command, as it finds itself when it starts."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, opened in enumerate((nothing, *files)):
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, closefd=False)  # noqa: SIM115
        for number, mode in ((0, 'r'), (1, 'w'), (2, 'w'))
    )
    os.environ.clear()
    os.environ.update(told['environ'])
    time.tzset()
    sys.argv = ['openstack', *told['argv']]
    if told['answer']:
        from osc_maintenance import clients

        clients._ANSWER = told['answer']


def _next(
    line: socket.socket, selector: selectors.BaseSelector
) -> tuple[dict[str, typing.Any], list[int]] | None:
    """The next command, once its process is there; None without more.

    Returns in the process of the command only, and at the end.
    """
    selector.register(line, selectors.EVENT_READ)
    while True:
        for key, _events in selector.select():
            if key.data:
                selector.unregister(key.fd)
                os.close(key.fd)
                _process, status = os.waitpid(key.data, 0)
                code = os.waitstatus_to_exitcode(status)
                line.send(json.dumps([key.data, code]).encode())
                continue
            told, files, _flags, _address = socket.recv_fds(line, LONGEST, 2)
            if not told:
                return None
            process = os.fork()
            if not process:
                # as from a shell, and not as under nohup
                signal.signal(signal.SIGHUP, signal.SIG_DFL)
                for other in selector.get_map().values():
                    if other.data:
                        os.close(other.fd)
                return json.loads(told), files
            for opened in files:
                os.close(opened)
            line.send(json.dumps([process]).encode())
            selector.register(
                os.pidfd_open(process), selectors.EVENT_READ, process
            )


def main() -> int:
    """Start commands until there are no more; a child returns as well."""
    number = int(sys.argv[1])
    # what a command calls itself is taken from here when it is imported
    sys.argv = ['openstack']
    _preload()
    gc.freeze()
    with (
        socket.socket(fileno=number) as line,
        selectors.DefaultSelector() as selector,
    ):
        found = _next(line, selector)
    if found is None:
        return 0
    from openstackclient import shell

    _become(*found)
    return int(shell.main(found[0]['argv']))


if __name__ == '__main__':
    sys.exit(main())
