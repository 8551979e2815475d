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

"""Keystone, Placement and the stand-in for Neutron, in one process."""

from cloud_services import network
from cloud_services import process
from cloud_services import releases
from cloud_services import sqlite_threads


def main() -> None:
    listeners = process.begin()
    sqlite_threads.install()

    keystone = releases.keystone_application()

    from cloud_services import tokens

    tokens.install()
    listeners.serve('identity', keystone)

    # One at a time: a host that another test takes away just then makes
    # Placement fail with a 500, and a server finds no valid host.
    listeners.serve('placement', releases.placement_application(), threads=1)
    listeners.serve('network', network.Network(), threads=4)
    process.run_for_ever()


if __name__ == '__main__':
    main()
