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

import configparser
import json
import pathlib

import fixtures
from oslotest import base

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import configuration
from osc_maintenance.tests.cloud import environ
from osc_maintenance.tests.cloud import errors
from osc_maintenance.tests.cloud import layout


class TestConfiguration(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.state = layout.State(self.directory / 'state')
        self.state.clear()

    def test_files(self) -> None:
        venv = self.directory / 'venv'
        for name in ('glance/glance-api-paste.ini', 'nova/api-paste.ini'):
            paste = venv / 'etc' / name
            paste.parent.mkdir(parents=True)
            paste.write_text(f'# {name}')
        urls = {s: f'http://{s}' for s in ('identity', 'image', 'compute')}
        configuration.write(self.state, urls, venv)
        text = (self.state.etc / 'nova' / 'nova.conf').read_text()
        # The available filters are an option that is given twice.
        nova = configparser.ConfigParser(strict=False, interpolation=None)
        nova.read_string(text)
        self.assertEqual(2, text.count('\navailable_filters = '))
        self.assertEqual(
            f'sqlite:///{self.state.data}/nova_cell1.sqlite',
            nova['database']['connection'],
        )
        self.assertEqual('http://identity/v3', nova['placement']['auth_url'])
        # Two beats may be lost before a host is taken for dead.
        default = nova['DEFAULT']
        self.assertLess(
            3 * int(default['report_interval']),
            int(default['service_down_time']),
        )
        for directory in configuration.environment(self.state).values():
            self.assertTrue(list(pathlib.Path(directory).iterdir()))

    def test_clouds_yaml(self) -> None:
        path = self.state.clouds_yaml
        accounts.write_clouds_yaml(path, 'http://identity')
        clouds = json.loads(path.read_text())['clouds']
        self.assertEqual(set(accounts.ACCOUNTS), set(clouds))
        self.assertEqual(0o600, path.stat().st_mode & 0o777)
        self.assertEqual('all', clouds['admin-system']['auth']['system_scope'])
        self.assertNotIn('project_name', clouds['admin-system']['auth'])
        self.assertEqual('beta', clouds['beta-member']['auth']['project_name'])

    def test_environments(self) -> None:
        for name in ('OS_CLOUD', 'OS_TOKEN'):
            self.useFixture(fixtures.EnvironmentVariable(name, 'mine'))
        self.useFixture(fixtures.EnvironmentVariable('no_proxy', 'a,b'))
        by_file = environ.of_cloud(self.state, 'alpha-reader')
        self.assertEqual('alpha-reader', by_file['OS_CLOUD'])
        self.assertNotIn('OS_TOKEN', by_file)
        self.assertEqual('a,b,127.0.0.1', by_file['no_proxy'])
        by_variables = environ.of_variables('http://identity', 'alpha-reader')
        self.assertEqual('http://identity/v3', by_variables['OS_AUTH_URL'])
        self.assertEqual('alpha', by_variables['OS_PROJECT_NAME'])
        self.assertNotIn('OS_CLOUD', by_variables)

    def test_errors_end_with_the_log(self) -> None:
        log = self.state.log('compute')
        log.write_text('\n'.join(f'line {n}' for n in range(100)))
        message = str(errors.CloudError.with_log('It died', log))
        self.assertTrue(message.startswith(f'It died\nThe end of {log}:\n'))
        self.assertTrue(message.endswith('line 99'))
        self.assertNotIn('line 9\n', message)
        log.unlink()
        message = str(errors.CloudError.with_log('It died', log))
        self.assertIn('(empty)', message)
