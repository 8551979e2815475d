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

"""One heartbeat for all services of the cloud.

Nova gives each service a timer that writes its own row through the object
layer, which with hundreds of hosts in one process is most of its work. Here
one statement writes the rows of all services that live. It also covers hosts
that are nothing but rows, and a host that is stopped can be made to look dead
at once instead of after service_down_time.
"""

import datetime
import json
import threading

from nova.servicegroup.drivers import db as servicegroup
from oslo_log import log as logging

from cloud_services import sqlite_threads

LOG = logging.getLogger(__name__)


class Heartbeat:
    """Says of hosts that they live, or that they don't any more."""

    def __init__(self, cell_path: str, every: int, down_after: int) -> None:
        self._cell = sqlite_threads.connect(cell_path)
        self._every = every
        self._down_after = down_after
        self._hosts: set[str] = set()
        # The connection and the set are used by one thread at a time. It also
        # keeps a beat from being written after `stop` has aged a host.
        self._lock = threading.Lock()

    def run(self) -> None:
        """Begin to beat, in place of Nova's own timers."""
        servicegroup.DbDriver.join = lambda *_args, **_kwargs: None
        threading.Thread(
            target=self._beat_for_ever, name='heartbeat', daemon=True
        ).start()

    def start(self, *hosts: str) -> None:
        """These live, from now on."""
        with self._lock:
            self._hosts.update(hosts)
            self._write(hosts, age=0)

    def stop(self, host: str) -> None:
        """This one has been dead for long enough to be noticed."""
        with self._lock:
            self._hosts.discard(host)
            self._write([host], age=self._down_after + 1)

    def _beat_for_ever(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._every):
            try:
                with self._lock:
                    self._write(list(self._hosts), age=0)
            except Exception:
                # One beat lost is nothing, the thread lost is the cloud.
                LOG.exception('A heartbeat failed')

    def _write(self, hosts: list[str] | tuple[str, ...], age: int) -> None:
        seen = datetime.datetime.now(datetime.UTC) - datetime.timedelta(
            seconds=age
        )
        stamp = seen.strftime('%Y-%m-%d %H:%M:%S.%f')
        self._cell.begin()
        try:
            self._cell.execute(
                'UPDATE services SET last_seen_up = ?, updated_at = ?, '
                'report_count = report_count + 1 WHERE deleted = 0 AND '
                'host IN (SELECT value FROM json_each(?))',
                (stamp, stamp, json.dumps(list(hosts))),
            )
        except BaseException:
            self._cell.rollback()
            raise
        self._cell.commit()
