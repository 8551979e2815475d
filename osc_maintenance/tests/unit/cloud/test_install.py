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

"""The services are installed, or it is said why they cannot be."""

import pathlib
import sys

import fixtures
from oslotest import base

from osc_maintenance.tests.cloud import errors
from osc_maintenance.tests.cloud import install
from osc_maintenance.tests.cloud import layout

_SAID = 'ERROR: No matching distribution found for nova==28.0.0'


class TestInstall(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for name, value in (
            ('_CACHES', self.directory),
            ('RELEASE', '2010.1'),
        ):
            self.useFixture(
                fixtures.MonkeyPatch(f'{layout.__name__}.{name}', value)
            )
        # "python -m pip" takes the one that is there
        self.useFixture(
            fixtures.EnvironmentVariable('PYTHONPATH', str(self.directory))
        )
        self.reports: list[str] = []

    def _have_pip(self, code: str) -> None:
        (self.directory / 'pip.py').write_text(code)

    def _refused(self) -> str:
        raised = self.assertRaises(
            errors.CloudError, install.ensure, self.reports.append
        )
        return str(raised)

    def test_pip_fails(self) -> None:
        self._have_pip(f'import sys\nprint({_SAID!r})\nsys.exit(7)')
        said = self._refused()
        version = f'{sys.version_info.major}.{sys.version_info.minor}'
        self.assertIn(
            f'OpenStack 2010.1 can not be installed on Python {version}: '
            'pip failed with 7\n',
            said,
        )
        # what pip has said, and where there is more of it
        self.assertIn(f'    {_SAID}', said)
        self.assertIn(str(install.directory() / 'pip.log'), said)

    def test_it_is_tried_again(self) -> None:
        self._have_pip('raise SystemExit(1)')
        self._refused()
        self._have_pip('import sys\nprint(sys.argv)')
        install.ensure(self.reports.append)
        asked = (install.directory() / 'pip.log').read_text()
        self.assertIn(str(layout.REQUIREMENTS), asked)
        self.assertIn(str(install.python()), asked)
        # and no more once it is there
        self._have_pip('raise SystemExit(1)')
        before = len(self.reports)
        install.ensure(self.reports.append)
        self.assertEqual(before, len(self.reports))
