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

import argparse
import importlib.metadata
import subprocess
import sys

from oslotest import base

from osc_maintenance import plugin

#: What OSC has not imported by itself when it imports us, or should not.
_HEAVY = (
    'novaclient',
    'keystoneauth1',
    'difflib',
    'rich',
    'osc_maintenance.nova',
    'osc_maintenance.drain.',
)
#: What the options of the commands are made of.
_LIGHT = frozenset(('osc_maintenance.drain.options',))


class TestPlugin(base.BaseTestCase):
    def test_what_osc_asks_of_a_plugin(self) -> None:
        parser = plugin.build_option_parser(argparse.ArgumentParser())
        told = parser.parse_args(['--os-maintenance-api-version', '1'])
        self.assertEqual('1', getattr(told, plugin.API_VERSION_OPTION))
        self.assertIn(plugin.DEFAULT_API_VERSION, plugin.API_VERSIONS)
        # a core service's name would replace its client
        self.assertEqual('maintenance', plugin.API_NAME)

    def test_the_commands_are_there(self) -> None:
        commands = importlib.metadata.entry_points(
            group=f'openstack.{plugin.API_NAME}.v1'
        )
        self.assertEqual(
            {
                *(
                    f'host_maintenance_{verb}'
                    for verb in ('apply', 'list', 'set', 'show', 'unset')
                ),
                *(
                    f'server_maintenance_{verb}'
                    for verb in ('acknowledge', 'list', 'show')
                ),
            },
            commands.names,
        )
        for command in commands:
            said = command.load().__doc__
            self.assertTrue(said)
            # that of a list says nothing of its own
            if command.name != 'host_maintenance_list':
                self.assertIn('Exit status: 0', said, command.name)

    def test_others_do_not_pay_for_us(self) -> None:
        code = (
            'import sys\n'
            'from osc_lib import utils\n'
            'from osc_lib.command import command\n'
            'before = set(sys.modules)\n'
            'import osc_maintenance.plugin\n'
            'import osc_maintenance.osc.host_maintenance\n'
            'import osc_maintenance.osc.host_maintenance_show\n'
            'import osc_maintenance.osc.host_maintenance_unset\n'
            'import osc_maintenance.osc.host_maintenances\n'
            'import osc_maintenance.osc.server_maintenance\n'
            'print(*(set(sys.modules) - before))\n'
        )
        done = subprocess.run(
            [sys.executable, '-c', code],
            capture_output=True,
            text=True,
            check=True,
        )
        imported = done.stdout.split()
        self.assertIn('osc_maintenance.osc.host_maintenance', imported)
        heavy = [name for name in imported if name.startswith(_HEAVY)]
        self.assertLessEqual(set(heavy), _LIGHT)
