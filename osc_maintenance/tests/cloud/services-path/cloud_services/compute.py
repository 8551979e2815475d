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

"""Nova: its APIs, conductor, scheduler and all compute services."""

import os
import pathlib
import threading

from cloud_services import releases

# Each host has a dozen of threads, and few of them do anything.
_STACK_BYTES = 512 * 1024
#: How often each of them looks whether it is to end, in seconds: every second
#: of hundreds takes from those that have work to do.
_IDLE_SECONDS = 60


def main() -> None:
    releases.patch()

    from cloud_services import process
    from cloud_services import sqlite_threads

    listeners = process.begin()
    sqlite_threads.install()

    from cloud_services import rpc_events

    rpc_events.install()
    threading.stack_size(_STACK_BYTES)

    from futurist import _thread

    _thread.ThreadWorker.MAX_IDLE_FOR = _IDLE_SECONDS

    # Nova reads its configuration as it is loaded.
    application = releases.nova_application()

    from nova.api.metadata import handler
    import nova.conf
    import os_vif

    from nova import service

    from cloud_services import aggregates
    from cloud_services import cells
    from cloud_services import control
    from cloud_services import heartbeat
    from cloud_services import hosts
    from cloud_services import phantoms

    conf = nova.conf.CONF
    data = pathlib.Path(os.environ['CLOUD_DATA'])
    os_vif.initialize()
    hosts.install()
    aggregates.install()
    beat = heartbeat.Heartbeat(
        str(data / 'nova_cell1.sqlite'),
        conf.report_interval,
        conf.service_down_time,
    )
    beat.run()
    for binary in ('nova-conductor', 'nova-scheduler'):
        service.Service.create(
            host=conf.host,
            binary=binary,
            periodic_enable=False,
            **releases.nova_topics(binary),
        ).start()
    beat.start(conf.host)
    listeners.serve(
        'control',
        control.Control(
            hosts.Hosts(beat),
            phantoms.Phantoms(data, beat),
            cells.Cells(data, beat),
        ),
        threads=4,
    )
    listeners.serve('metadata', handler.MetadataRequestHandler(), threads=2)
    listeners.serve('compute', application, threads=12)
    process.run_for_ever()


if __name__ == '__main__':
    main()
