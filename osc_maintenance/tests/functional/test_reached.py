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

"""A region, an interface and a private CA, as the catalog has them."""

import ssl

from cryptography import x509

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.functional import certificates
from osc_maintenance.tests.functional import drains
from osc_maintenance.tests.functional import proxy

_INTERFACES = ('public', 'internal', 'admin')
#: what follows the address of a service in the catalog
_PATHS = {'identity': '/v3', 'compute': '/v2.1', 'placement': ''}


class ReachedTestCase(drains.DrainTestCase):
    """A test with a region of its own in the catalog."""

    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()
        self.web = self.scene.server('web', on=self.here)
        self.region = f'RegionTwo-{self.scene.name}'
        self.admin.post(
            'identity', '/regions', {'region': {'id': self.region}}
        )
        self.addCleanup(
            self.admin.delete, 'identity', f'/regions/{self.region}'
        )

    def endpoint(
        self,
        service: str,
        interface: str,
        tls: ssl.SSLContext | None = None,
    ) -> proxy.Proxy:
        """A proxy before a service that the region has as an endpoint."""
        made = self.useFixture(proxy.Proxy(self.cloud.urls[service], tls))
        found = self.admin.get('identity', f'/services?type={service}')
        endpoint = {
            'service_id': found['services'][0]['id'],
            'interface': interface,
            'region_id': self.region,
            'url': made.url + _PATHS[service],
        }
        answer = self.admin.post(
            'identity', '/endpoints', {'endpoint': endpoint}
        )
        number = answer['endpoint']['id']
        self.addCleanup(self.admin.delete, 'identity', f'/endpoints/{number}')
        return made

    def both_regions(self) -> dict[str, str]:
        """An environment whose ``admin`` may choose between them."""
        return self.clouds_yaml(regions=[accounts.REGION, self.region])

    def assert_nothing_done(self) -> None:
        """Neither the host nor its server was touched."""
        self.assert_untouched(self.here)
        self.assert_on(self.here, self.web)
        self.assertEqual([], self.migrations(self.web))


class TestRegion(ReachedTestCase):
    def test_each_interface_is_asked_alone(self) -> None:
        services = ('compute', 'placement')
        proxies = {
            (service, interface): self.endpoint(service, interface)
            for service in services
            for interface in _INTERFACES
        }
        move, environ = self.moves_of(self.web), self.both_regions()
        for interface in _INTERFACES:
            where = (
                *('--os-region-name', self.region),
                *('--os-interface', interface),
            )
            drain = self.set_(
                *(self.here, '--migrate', 'all'),
                environ=environ,
                before=where,
            )
            self.assertEqual('moved', drain.outcome(self.web))
            self.assert_drained(drain.told)
            self.assert_on(self.there, self.web)
            self.openstack(
                *where,
                *('host', 'maintenance', 'unset', self.here),
                *('--return-servers', '-f', 'json'),
                says='the end: 1 moved',
                environ=environ,
            )
            self.assert_on(self.here, self.web)
            self.assert_untouched(self.here)
            asked = {key for key, made in proxies.items() if made.requests}
            self.assertEqual({(name, interface) for name in services}, asked)
            # away and back again: nothing was done beside it
            nova = proxies['compute', interface]
            moves = [item for item in nova.requests if move(*item)]
            self.assertEqual(2, len(moves))
            for made in proxies.values():
                made.requests.clear()

    def test_an_interface_that_the_region_does_not_have(self) -> None:
        self.endpoint('compute', 'public')
        said = self.refused(
            *('--os-region-name', self.region, '--os-interface', 'internal'),
            *('host', 'maintenance', 'set', self.here, '--migrate', 'all'),
            environ=self.both_regions(),
        )
        self.assertIn(f'Nova in region {self.region}', said)
        self.assertIn('internal endpoint for compute', said)
        self.assert_nothing_done()


class TestTls(ReachedTestCase):
    """Keystone, Placement and Nova have certificates of a private CA."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = certificates.Authority(self.directory())

    def _reached(
        self, *misnamed: str, **options: str
    ) -> tuple[dict[str, proxy.Proxy], dict[str, str]]:
        """Proxies before the services, and the environment that leads there.

        :param misnamed: those whose certificate is for another host.
        """
        other = x509.DNSName('elsewhere.example.com')
        made = {
            service: self.endpoint(
                service,
                'public',
                self.authority.context(
                    other if service in misnamed else certificates.LOOPBACK
                ),
            )
            for service in _PATHS
        }
        auth = accounts.ACCOUNTS['admin'].auth(made['identity'].url)
        environ = self.clouds_yaml(
            auth=auth, region_name=self.region, **options
        )
        return made, environ

    def test_with_the_ca(self) -> None:
        made, environ = self._reached(cacert=self.authority.path)
        drain = self.set_(self.here, '--migrate', 'all', environ=environ)
        self.assert_moved_once(drain, self.web, self.there)
        self.assert_drained(drain.told)
        self.maintenance('unset', self.here, environ=environ)
        self.assert_untouched(self.here)
        for service, asked in made.items():
            self.assertNotEqual([], asked.requests, service)

    def test_without_the_ca(self) -> None:
        made, environ = self._reached()
        self._not_authenticated(environ)
        for service, asked in made.items():
            self.assertEqual([], asked.requests, service)

    def test_keystone_has_a_certificate_for_another_host(self) -> None:
        made, environ = self._reached('identity', cacert=self.authority.path)
        said = self._not_authenticated(environ)
        self.assertIn("not valid for '127.0.0.1'", said)
        self.assertEqual([], made['identity'].requests)

    def _not_authenticated(self, environ: dict[str, str]) -> str:
        command = ('host', 'maintenance', 'set', self.here)
        answer = self.run_openstack(
            *(*command, '--migrate', 'all'), environ=environ
        )
        self.assertEqual(
            (drains.Exit.ERROR, ''), (answer.code, answer.stdout), str(answer)
        )
        # keystoneauth has a line of its own, whatever the command
        *_others, last = answer.stderr.splitlines()
        self.assertIn('certificate verify failed', last)
        other = self.run_openstack('server', 'list', environ=environ)
        self.assertEqual(other.stderr, answer.stderr)
        self.assert_nothing_done()
        return last

    def test_nova_has_a_certificate_for_another_host(self) -> None:
        made, environ = self._reached('compute', cacert=self.authority.path)
        said = self.refused(
            *('host', 'maintenance', 'set', self.here, '--migrate', 'all'),
            environ=environ,
        )
        self.assertIn(f'Nova in region {self.region}', said)
        self.assertIn('certificate verify failed', said)
        self.assertIn("not valid for '127.0.0.1'", said)
        self.assertEqual([], made['compute'].requests)
        self.assert_nothing_done()

    def test_placement_has_a_certificate_for_another_host(self) -> None:
        made, environ = self._reached('placement', cacert=self.authority.path)
        shown = self.maintenance(
            *('show', self.there),
            environ=environ,
            says='certificate verify failed',
        )
        self.assertIsNone(shown['emptied'])
        self.assertEqual([], made['placement'].requests)
