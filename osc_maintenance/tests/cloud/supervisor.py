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

"""The process that owns a cloud: it lives as long as the cloud does."""

import argparse
import contextlib
import logging
import os
import pathlib
import signal
import sys
import threading

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import configuration
from osc_maintenance.tests.cloud import controlplane
from osc_maintenance.tests.cloud import errors
from osc_maintenance.tests.cloud import golden
from osc_maintenance.tests.cloud import install
from osc_maintenance.tests.cloud import layout
from osc_maintenance.tests.cloud import locks

LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0


def supervise(state: layout.State, while_leased: bool) -> None:
    """Run a cloud until told to stop, or until nobody uses it any more.

    :param while_leased: end when no process holds the lease. Whoever starts
        the cloud this way holds it already, and the kernel takes it back from
        a process that is killed.
    """
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    with controlplane.ControlPlane(state) as plane:
        golden.copy(state, plane.urls)
        configuration.write(state, plane.urls, install.directory())
        accounts.write_clouds_yaml(state.clouds_yaml, plane.urls['identity'])
        plane.start(*controlplane.PROCESSES)
        pids = {'supervisor': os.getpid(), **plane.pids()}
        state.publish(
            {'release': layout.RELEASE, 'urls': plane.urls, 'pids': pids}
        )
        try:
            _watch(state, plane, told, while_leased)
        finally:
            state.withdraw()


def _watch(
    state: layout.State,
    plane: controlplane.ControlPlane,
    told: threading.Event,
    while_leased: bool,
) -> None:
    while not told.wait(_LOOK_SECONDS):
        plane.check()
        # Kept if it is granted: who comes now waits until all is down.
        if while_leased and locks.try_exclusive(state.lease) is not None:
            LOG.info('Nobody uses the cloud any more')
            return
    LOG.info('Told to stop')


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--state-dir', type=pathlib.Path, required=True)
    parser.add_argument('--while-leased', action='store_true')
    options = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format='%(asctime)s %(levelname)s %(message)s'
    )
    state = layout.State(options.state_dir)
    lock = locks.try_exclusive(state.supervisor_lock)
    if lock is None:
        LOG.error('Another supervisor runs this cloud')
        return 1
    with contextlib.closing(os.fdopen(lock)):
        try:
            supervise(state, options.while_leased)
        except errors.CloudError:
            LOG.exception('The cloud has failed')
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
