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

"""No secret is in what a command prints or logs, at whatever verbosity."""

import re

from osc_maintenance.tests.functional import base

#: The header that a token goes in, and what is logged in its place.
_TOKEN = re.compile(r'X-(?:Auth|Subject)-Token: ([^\s"\']*)')
_HASHED = '{SHA256}[0-9a-f]{64}'
#: How Fernet tokens begin.
_FERNET = 'gAAAAA[0-9A-Za-z_-]{20}'


class TestSecrets(base.TestCase):
    PASSWORD = 'Kq7-password-Xw3'

    def setUp(self) -> None:
        super().setUp()
        self.host = self.scene.host()

    def _told(
        self, *arguments: str, environ: dict[str, str], code: int = 0
    ) -> str:
        """All that a command says: on stdout, on stderr, and in a log."""
        log = self.directory() / 'log'
        answer = self.run_openstack(
            '--log-file', str(log), *arguments, environ=environ
        )
        told = f'{answer.stdout}\n{answer.stderr}\n{log.read_text()}'
        self.assertEqual(code, answer.code, told)
        return told

    def _check(self, told: str, *secrets: str) -> list[str]:
        """Nothing secret is in what was told; the tokens that are logged."""
        for secret in secrets:
            self.assertNotIn(secret, told)
        self.assertNotRegex(told, _FERNET)
        logged = _TOKEN.findall(told)
        for token in logged:
            self.assertRegex(token, _HASHED)
        return logged

    def _user(self) -> str:
        """The name of an admin with a password of its own."""
        name = f'{self.scene.name}-admin'
        user = self.admin.post(
            'identity',
            '/users',
            {'user': {'name': name, 'password': self.PASSWORD}},
        )['user']['id']
        self.addCleanup(self.admin.delete, 'identity', f'/users/{user}')
        found = {
            what: self.admin.get('identity', f'/{what}?name=admin')[what]
            for what in ('projects', 'roles')
        }
        project, role = (item[0]['id'] for item in found.values())
        self.admin.put(
            'identity', f'/projects/{project}/users/{user}/roles/{role}'
        )
        return name

    def test_a_password(self) -> None:
        environ = {
            **self.cloud.environ_of_variables(),
            'OS_USERNAME': self._user(),
            'OS_PASSWORD': self.PASSWORD,
        }
        for verbosity, *command in (
            ('-v', 'set', self.host, '--migrate', 'active', '--notify-owners'),
            ('-vv', 'list', '--all'),
            ('--debug', 'unset', self.host),
        ):
            told = self._told(
                verbosity, 'host', 'maintenance', *command, environ=environ
            )
            logged = self._check(told, self.PASSWORD)
        # or nothing has been looked at
        self.assertIn('os-aggregates', told)
        self.assertNotEqual([], logged)

    def test_an_application_credential(self) -> None:
        made = self.openstack(
            *('application', 'credential', 'create', self.scene.name),
            *('-f', 'value', '-c', 'id', '-c', 'secret'),
        )
        number, secret = made.split()
        self.addCleanup(
            self.openstack, 'application', 'credential', 'delete', number
        )
        environ = {
            name: value
            for name, value in self.cloud.environ_of_variables().items()
            if not name.startswith('OS_')
            or name in ('OS_AUTH_URL', 'OS_REGION_NAME')
        }
        environ |= {
            'OS_AUTH_TYPE': 'v3applicationcredential',
            'OS_APPLICATION_CREDENTIAL_ID': number,
            'OS_APPLICATION_CREDENTIAL_SECRET': secret,
        }
        told = self._told(
            *('--debug', 'host', 'maintenance', 'show', self.host),
            environ=environ,
        )
        self.assertNotEqual([], self._check(told, secret))

    def test_an_endpoint(self) -> None:
        environ = {
            **self.cloud.environ_of_variables(),
            'OS_COMPUTE_ENDPOINT_OVERRIDE': (
                f'http://me:{self.PASSWORD}@127.0.0.1:1/v2.1'
            ),
        }
        for verbosity in ('-q', '--debug'):
            told = self._told(
                *(verbosity, 'host', 'maintenance', 'show', self.host),
                environ=environ,
                code=1,
            )
            self.assertIn('connection to http://***@127.0.0.1:1/v2.1', told)
            self._check(told, self.PASSWORD)

    def test_a_token_and_an_error(self) -> None:
        environ = {
            **self.cloud.environ_of_variables(),
            'OS_AUTH_TYPE': 'token',
            'OS_TOKEN': self.admin.token,
        }
        for name in ('OS_USERNAME', 'OS_PASSWORD', 'OS_USER_DOMAIN_NAME'):
            environ.pop(name, None)
        told = self._told(
            *('--debug', 'host', 'maintenance', 'show', 'no-such-host'),
            environ=environ,
            code=1,
        )
        self.assertIn('There is no compute service', told)
        self.assertNotEqual([], self._check(told, self.admin.token))
