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

"""Where things are: the cache that all clouds share, and one cloud's state."""

import dataclasses
import hashlib
import json
import os
import pathlib
import platform
import shutil
import sys
import typing

from osc_maintenance.tests.cloud import locks

#: names the state directory of the cloud to use
STATE_VARIABLE = 'OSC_MAINTENANCE_CLOUD'
#: names the release of OpenStack that clouds run
RELEASE_VARIABLE = 'OSC_MAINTENANCE_RELEASE'
NEWEST_RELEASE = '2026.2'

HERE = pathlib.Path(__file__).resolve().parent
#: the directory that `osc_maintenance` is imported from
ROOT = HERE.parents[2]
#: what the services' Python is given to import
SERVICES = HERE / 'services-path'
#: the release that clouds of this process run
RELEASE = os.environ.get(RELEASE_VARIABLE) or NEWEST_RELEASE
_RELEASES = HERE / 'releases'
#: what that release is made of
REQUIREMENTS = _RELEASES / f'{RELEASE}.txt'


# Looked up when this is imported: tests get a home directory of their own.
_CACHES = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'


def releases() -> list[str]:
    """Those that a cloud can run, the oldest first."""
    return sorted(file.stem for file in _RELEASES.glob('*.txt'))


def cache() -> pathlib.Path:
    """What is made once and serves all clouds of this user."""
    return pathlib.Path(_CACHES).absolute() / 'osc-maintenance'


def key(*files: pathlib.Path) -> str:
    """A short name for these files' contents under this Python."""
    digest = hashlib.sha256()
    for part in (sys.version, platform.machine(), sys.base_prefix):
        digest.update(part.encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _directory(name: str) -> pathlib.Path:
    """Where the cloud of this name is, of this release and no other."""
    if RELEASE != NEWEST_RELEASE:
        name += f'-{RELEASE}'
    return cache() / 'clouds' / name


@dataclasses.dataclass(frozen=True)
class State:
    """The directory of one cloud."""

    directory: pathlib.Path

    @classmethod
    def default(cls) -> 'State':
        """The cloud that OSC_MAINTENANCE_CLOUD names, or the usual one."""
        named = os.environ.get(STATE_VARIABLE)
        directory = pathlib.Path(named or _directory('default'))
        return cls(directory.absolute())

    @classmethod
    def of_test_run(cls) -> 'State':
        """The cloud that the tests of this checkout share."""
        if os.environ.get(STATE_VARIABLE):
            return cls.default()
        checkout = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
        return cls(_directory(f'tests-{checkout}'))

    @property
    def etc(self) -> pathlib.Path:
        return self.directory / 'etc'

    @property
    def data(self) -> pathlib.Path:
        return self.directory / 'data'

    @property
    def logs(self) -> pathlib.Path:
        return self.directory / 'log'

    def log(self, process: str) -> pathlib.Path:
        return self.logs / f'{process}.log'

    @property
    def clouds_yaml(self) -> pathlib.Path:
        return self.directory / 'clouds.yaml'

    @property
    def up_lock(self) -> pathlib.Path:
        """Held by whoever is starting or stopping the cloud."""
        return self.directory / 'up.lock'

    @property
    def supervisor_lock(self) -> pathlib.Path:
        """Held by the supervisor, all its life."""
        return self.directory / 'supervisor.lock'

    @property
    def lease(self) -> pathlib.Path:
        """Shared by all who use a cloud that is to end with its users."""
        return self.directory / 'lease'

    @property
    def _facts(self) -> pathlib.Path:
        return self.directory / 'cloud.json'

    def clear(self) -> None:
        """Forget what a cloud left that ran here before."""
        self._facts.unlink(missing_ok=True)
        for directory in (self.etc, self.data, self.logs):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)

    def publish(self, facts: dict[str, typing.Any]) -> None:
        """Say what others need to know of the running cloud."""
        new = self._facts.with_suffix('.new')
        new.write_text(json.dumps(facts, indent=1))
        new.replace(self._facts)

    def withdraw(self) -> None:
        """The cloud does not run any more."""
        self._facts.unlink(missing_ok=True)

    def facts(self) -> dict[str, typing.Any] | None:
        """What the supervisor published, if it runs."""
        if not (self._facts.exists() and locks.is_held(self.supervisor_lock)):
            return None
        try:
            facts: dict[str, typing.Any] = json.loads(self._facts.read_text())
        except FileNotFoundError:
            return None
        return facts
