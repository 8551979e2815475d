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

"""Who may, every way to authenticate, and clouds that do not answer."""

import re

from osc_maintenance.tests.functional import base
from osc_maintenance.tests.functional import certificates
from osc_maintenance.tests.functional import proxy

VERBS = (
    ('show',),
    ('set', '--reason', 'x'),
    ('unset', '--force'),
    ('list', '--all'),
    ('apply', '--unset-overdue'),
)


class TestRoles(base.TestCase):
    def _verbs(self, host: str) -> list[tuple[str, ...]]:
        return [
            ('host', 'maintenance', verb, *options)
            if verb in ('list', 'apply')
            else ('host', 'maintenance', verb, host, *options)
            for verb, *options in VERBS
        ]

    def test_who_may_not(self) -> None:
        free, inside = self.scene.host(), self.scene.host()
        told = self.maintenance('set', inside)
        for cloud in ('alpha-manager', 'alpha-member', 'alpha-reader'):
            for command in (
                *self._verbs(inside),
                ('host', 'maintenance', 'set', free),
            ):
                with self.subTest(cloud=cloud, command=command):
                    said = self.refused(*command, cloud=cloud)
                    self.assertIn('(HTTP 403)', said)
                    self.assertIn('os-services', said)
        self.assert_untouched(free)
        self.assertEqual(
            ('disabled', told['disabled_reason']), self.service(inside)
        )

    def test_nobody(self) -> None:
        host = self.scene.host()
        wrong = self.cloud.environ_of_variables()
        wrong['OS_PASSWORD'] = 'wrong'
        for command in self._verbs(host):
            said = self.refused(*command, environ=wrong)
            self.assertIn('(HTTP 401)', said)
        nothing = {
            name: value
            for name, value in wrong.items()
            if not name.startswith('OS_')
        }
        answer = self.run_openstack(
            'host', 'maintenance', 'show', host, environ=nothing
        )
        self.assertEqual(1, answer.code)
        self.assertNotIn('Traceback', answer.stderr)
        self.assert_untouched(host)


class TestAuthentication(base.TestCase):
    def _in_and_out(
        self, *options: str, environ: dict[str, str] | None = None
    ) -> None:
        host = self.scene.host()
        for verb, state in (('set', 'maintenance'), ('unset', 'none')):
            said = self.openstack(
                *options,
                *('host', 'maintenance', verb, host),
                *('-f', 'value', '-c', 'state', '-c', 'changed'),
                environ=environ,
            )
            self.assertEqual(f'{state}\nTrue\n', said)
        self.assert_untouched(host)

    def test_a_cloud_by_its_name(self) -> None:
        environ = self.cloud.environ()
        del environ['OS_CLOUD']
        self._in_and_out('--os-cloud', 'admin', environ=environ)

    def test_an_admin_of_one_project(self) -> None:
        self._in_and_out('--os-cloud', 'project-admin')

    def test_variables(self) -> None:
        self._in_and_out(environ=self.cloud.environ_of_variables())

    def _from_variables(self, **replaced: str) -> dict[str, str]:
        environ = self.cloud.environ_of_variables()
        kept = {
            name: value
            for name, value in environ.items()
            if not name.startswith('OS_')
            or name in ('OS_AUTH_URL', 'OS_REGION_NAME')
        }
        return {**kept, **replaced}

    def test_an_application_credential(self) -> None:
        made = self.openstack(
            *('application', 'credential', 'create', self.scene.name),
            *('-f', 'value', '-c', 'id', '-c', 'secret'),
        )
        number, secret = made.split()
        self.addCleanup(
            self.openstack, 'application', 'credential', 'delete', number
        )
        self._in_and_out(
            environ=self._from_variables(
                OS_AUTH_TYPE='v3applicationcredential',
                OS_APPLICATION_CREDENTIAL_ID=number,
                OS_APPLICATION_CREDENTIAL_SECRET=secret,
            )
        )

    def test_a_token(self) -> None:
        environ = self._from_variables(
            OS_AUTH_TYPE='token',
            OS_TOKEN=self.admin.token,
            OS_PROJECT_NAME='admin',
            OS_PROJECT_DOMAIN_NAME='Default',
        )
        self._in_and_out(environ=environ)

    def test_a_token_that_is_no_good(self) -> None:
        host = self.scene.host()
        environ = self._from_variables(
            OS_AUTH_TYPE='token',
            OS_TOKEN='no-such-token',
            OS_PROJECT_NAME='admin',
            OS_PROJECT_DOMAIN_NAME='Default',
        )
        said = self.refused(
            'host', 'maintenance', 'set', host, environ=environ
        )
        # Keystone's own words
        self.assertIn('Could not recognize Fernet token', said)
        self.assert_untouched(host)


class TestReached(base.TestCase):
    """Region, interface, overrides, TLS and timing are OSC's own."""

    def test_what_is_set_for_compute_alone(self) -> None:
        host = self.scene.host()
        show = ('host', 'maintenance', 'show', host)
        for option, value in (
            ('compute_region_name', 'Elsewhere'),
            ('compute_interface', 'nosuch'),
        ):
            said = self.refused(
                *show, environ=self.clouds_yaml(**{option: value})
            )
            self.assertIn(value, said)
        self.openstack('--os-interface', 'internal', *show)

    def test_an_endpoint_without_a_version(self) -> None:
        host = self.scene.host()
        root = self.clouds_yaml(
            compute_endpoint_override=self.cloud.urls['compute']
        )
        self.openstack('host', 'maintenance', 'show', host, environ=root)

    def test_the_oldest_microversion(self) -> None:
        host = self.scene.host()
        self.scene.server('web', on=host)
        old = self.useFixture(proxy.Proxy(self.cloud.urls['compute']))
        old.rewrite = lambda body: re.sub(
            rb'"version": "2\.\d+"', b'"version": "2.53"', body
        )
        environ = self.clouds_yaml(compute_endpoint_override=f'{old.url}/v2.1')
        told = self.maintenance('set', host, environ=environ)
        self.assertEqual(
            ('maintenance', {'ACTIVE': 1}, False),
            (told['state'], told['servers'], told['emptied']),
        )
        self.openstack('host', 'maintenance', 'list', environ=environ)
        told = self.maintenance('unset', host, environ=environ)
        self.assertEqual('none', told['state'])
        self.assert_untouched(host)
        other = self.scene.host()
        told = self.maintenance('show', other, environ=environ)
        self.assertIs(True, told['emptied'])

    def test_timing(self) -> None:
        host = self.scene.host()
        said = self.openstack('--timing', 'host', 'maintenance', 'show', host)
        self.assertIn(f'/os-services?host={host}', said)

    def test_tls(self) -> None:
        host = self.scene.host()
        ca = certificates.Authority(self.directory())
        tls = self.useFixture(
            proxy.Proxy(self.cloud.urls['compute'], ca.context())
        )
        environ = self.clouds_yaml(compute_endpoint_override=f'{tls.url}/v2.1')
        show = ('host', 'maintenance', 'show', host)
        said = self.refused(*show, environ=environ)
        self.assertIn('certificate verify failed', said.lower())
        self.assertEqual([], tls.requests)
        self.openstack('--os-cacert', ca.path, *show, environ=environ)
        asked = len(tls.requests)
        self.assertNotEqual(0, asked)
        self.openstack('--insecure', *show, environ=environ)
        self.assertEqual(2 * asked, len(tls.requests))


class TestUnreachable(base.TestCase):
    def test_nova_does_not_answer(self) -> None:
        host = self.scene.host()
        environ = self.clouds_yaml(
            compute_endpoint_override='http://127.0.0.1:9/v2.1'
        )
        for verb in ('show', 'set', 'unset'):
            said = self.refused(
                'host', 'maintenance', verb, host, environ=environ
            )
            self.assertIn('Nova in region RegionOne', said)
            self.assertIn('http://127.0.0.1:9/v2.1', said)

    def test_there_is_no_nova(self) -> None:
        host = self.scene.host()
        environ = self.clouds_yaml(region_name='Nowhere')
        said = self.refused(
            'host', 'maintenance', 'show', host, environ=environ
        )
        self.assertIn('Nova in region Nowhere', said)
        self.assertIn('compute', said)

    def test_nova_is_too_old(self) -> None:
        # a Nova of 2017 does not run on a Python of today: the version
        # document is all that this one is asked for
        host = self.scene.host()
        old = self.useFixture(proxy.Proxy(self.cloud.urls['compute']))
        old.rewrite = lambda body: re.sub(
            rb'"version": "2\.\d+"', b'"version": "2.42"', body
        )
        environ = self.clouds_yaml(compute_endpoint_override=f'{old.url}/v2.1')
        said = self.refused(
            'host', 'maintenance', 'set', host, environ=environ
        )
        self.assertIn('2.42', said)
        self.assertIn('2.53', said)
        self.assertEqual(1, len(old.requests))
