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

"""What each service process does besides its service."""

import collections.abc
import ctypes
import os
import select
import signal
import socket
import sys
import threading
import typing

import waitress

_PR_SET_PDEATHSIG = 1

Application = collections.abc.Callable[..., typing.Any]


class Listeners:
    """Sockets that the supervisor opened, by the name of their service.

    They come as arguments NAME=DESCRIPTOR. The supervisor binds them because
    the ports have to be known, and taken, before any configuration is
    written; connections made before the service is there just wait.
    """

    def __init__(self, arguments: list[str]) -> None:
        self._sockets = {}
        for argument in arguments:
            name, _, descriptor = argument.partition('=')
            self._sockets[name] = socket.socket(fileno=int(descriptor))

    def serve(
        self, name: str, application: Application, threads: int = 8
    ) -> None:
        """Answer requests to an application on threads of its own."""
        server = waitress.create_server(
            application,
            sockets=[self._sockets[name]],
            threads=threads,
            ident=name,
            # With some hundred hosts the default of 100 connections stalls.
            connection_limit=10000,
            # eventlet takes it away
            asyncore_use_poll=hasattr(select, 'poll'),
            channel_timeout=300,
            clear_untrusted_proxy_headers=True,
        )
        threading.Thread(
            target=server.run, name=f'wsgi-{name}', daemon=True
        ).start()


def begin() -> Listeners:
    """Tie this process to its supervisor and take over its sockets."""
    # The kernel ends this process when the supervisor dies, however it dies.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), 'prctl(PR_SET_PDEATHSIG) failed')
    if os.getppid() != int(os.environ['CLOUD_SUPERVISOR']):
        raise SystemExit('the supervisor is gone')
    listeners = Listeners(sys.argv[1:])
    # Services parse sys.argv when they are imported.
    del sys.argv[1:]
    return listeners


def run_for_ever() -> typing.NoReturn:
    """Leave the work to the other threads until a signal ends the process."""
    while True:
        # not signal.pause(), which would stop the threads of eventlet
        threading.Event().wait()
