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

"""OpenStackClient's hook: how it finds us, and makes our clients.

``openstack`` imports this module at every start, whatever the command, so it
imports nothing that is not needed for that.
"""

import argparse
import typing

from osc_lib import utils

if typing.TYPE_CHECKING:
    from osc_maintenance import clients

API_NAME = 'maintenance'
API_VERSION_OPTION = 'os_maintenance_api_version'
API_VERSIONS = {'1': 'osc_maintenance.clients.Clients'}
DEFAULT_API_VERSION = '1'


def make_client(instance: typing.Any) -> 'clients.Clients':
    """The clients behind ``app.client_manager.maintenance``.

    :param instance: OSC's client manager.
    :returns: clients for Nova and Placement on OSC's own session.
    """
    from osc_maintenance import clients

    return clients.Clients(instance)


def build_option_parser(
    parser: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    """Add our global option; OSC needs every plugin to have one.

    :param parser: OSC's parser of global options.
    :returns: the parser.
    """
    parser.add_argument(
        '--os-maintenance-api-version',
        metavar='<maintenance-api-version>',
        default=utils.env('OS_MAINTENANCE_API_VERSION'),
        choices=['', *API_VERSIONS],
        help=(
            'Version of the host maintenance commands, '
            f'default={DEFAULT_API_VERSION} '
            '(Env: OS_MAINTENANCE_API_VERSION)'
        ),
    )
    return parser
