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

"""The service processes of one cloud."""

import http.client
import os
import signal
import socket
import subprocess
import time
import typing

from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import configuration
from osc_maintenance.tests.cloud import errors
from osc_maintenance.tests.cloud import install
from osc_maintenance.tests.cloud import layout

#: process -> the services in it; they share what memory they can
PROCESSES = {
    'identity': ('identity', 'placement', 'network'),
    'image': ('image',),
    'compute': ('compute', 'metadata', 'control'),
}
#: in the environment of every process of a cloud: its state directory
STATE_MARK = 'CLOUD_STATE'

_START_SECONDS = 120
_STOP_SECONDS = 10
_BACKLOG = 1024


class ControlPlane:
    """Starts the services and stops them.

    They end with the process that started them, whatever becomes of it.
    """

    def __init__(self, state: layout.State) -> None:
        self._state = state
        self._sockets = {
            service: _listen()
            for services in PROCESSES.values()
            for service in services
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        #: the address of each service
        self.urls = {
            service: f'http://127.0.0.1:{listener.getsockname()[1]}'
            for service, listener in self._sockets.items()
        }

    def environment(self) -> dict[str, str]:
        """What the services, and the tools for their databases, need."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            # Nothing of the caller's cloud or Python may get in.
            if not name.startswith(('OS_', 'PYTHON'))
        }
        return {
            **inherited,
            **configuration.environment(self._state),
            STATE_MARK: str(self._state.directory),
            'CLOUD_DATA': str(self._state.data),
            'CLOUD_SUPERVISOR': str(os.getpid()),
            'PYTHONPATH': str(layout.SERVICES),
            'PYTHONWARNINGS': 'ignore',
            'NO_PROXY': '127.0.0.1',
            'no_proxy': '127.0.0.1',
            # Hundreds of threads would each get an arena of their own.
            'MALLOC_ARENA_MAX': '2',
        }

    def start(self, *names: str) -> None:
        """Start processes and wait until all their services answer."""
        for name in names:
            listeners = {s: self._sockets.pop(s) for s in PROCESSES[name]}
            with self._state.log(name).open('ab') as log:
                self._processes[name] = subprocess.Popen(
                    [
                        *(str(install.python()), '-m'),
                        f'cloud_services.{name}',
                        *(f'{s}={k.fileno()}' for s, k in listeners.items()),
                    ],
                    env=self.environment(),
                    cwd=self._state.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[k.fileno() for k in listeners.values()],
                )
            # The child's alone, so that they are closed if it dies.
            for listener in listeners.values():
                listener.close()
        deadline = time.monotonic() + _START_SECONDS
        for name in names:
            for service in PROCESSES[name]:
                self._await_answer(name, service, deadline)

    def _await_answer(
        self, process: str, service: str, deadline: float
    ) -> None:
        path = '/status' if service == 'control' else '/'
        while True:
            try:
                api.call('GET', self.urls[service] + path, timeout=5)
                return
            except api.ApiError as exc:
                # An answer, if not to a question that makes sense to it.
                if exc.status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                    return
                problem: Exception = exc
            except (OSError, http.client.HTTPException) as exc:
                problem = exc
            self.check()
            if time.monotonic() > deadline:
                raise errors.CloudError.with_log(
                    f'{service} does not answer: {problem}',
                    self._state.log(process),
                )

    def check(self) -> None:
        """Raise an error if any process has died."""
        for name, process in self._processes.items():
            status = process.poll()
            if status is not None:
                raise errors.CloudError.with_log(
                    f'The {name} process died with {status}',
                    self._state.log(name),
                )

    def pids(self) -> dict[str, int]:
        """The processes, by name."""
        return {name: p.pid for name, p in self._processes.items()}

    def stop(self) -> None:
        """End all processes."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for process in self._processes.values():
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for listener in self._sockets.values():
            listener.close()

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


def _listen() -> socket.socket:
    """A socket on a free port."""
    listener = socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen(_BACKLOG)
    return listener
