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

"""The virtualenv of the services: made once, used by all clouds."""

import os
import pathlib
import shutil
import subprocess
import sys
import threading
import venv

from osc_maintenance.tests.cloud import errors
from osc_maintenance.tests.cloud import layout
from osc_maintenance.tests.cloud import locks
from osc_maintenance.tests.cloud import progress

_KEEP_ALIVE_SECONDS = 10
_STEPS = ('Collecting', 'Installing')
#: settings of the caller's pip that would put the packages elsewhere or
#: contradict the pinned versions
_FOREIGN = ('PIP_CONSTRAINT', 'PIP_PREFIX', 'PIP_TARGET', 'PIP_USER')


def directory() -> pathlib.Path:
    """Where the virtualenv for these requirements and this Python is."""
    return layout.cache() / f'venv-{layout.key(layout.REQUIREMENTS)}'


def python() -> pathlib.Path:
    """The services' Python."""
    return directory() / 'bin' / 'python'


def ensure(report: progress.Progress) -> None:
    """Install the services unless they are."""
    target = directory()
    # Written last: without it an installation was cut short.
    complete = target / '.complete'
    if complete.exists():
        return
    with locks.exclusive(target.with_suffix('.lock')):
        if complete.exists():
            return
        report(f'Making a virtualenv for the services, {target}')
        shutil.rmtree(target, ignore_errors=True)
        # The pip that is here installs there, and so no Python without
        # ensurepip, as Debian's is, gets into trouble.
        venv.create(target, with_pip=False, symlinks=True)
        report(
            f'Installing Keystone, Placement, Glance and Nova of '
            f'{layout.RELEASE} with pip'
        )
        _pip_install(target, report)
        complete.touch()


def _pip_install(target: pathlib.Path, report: progress.Progress) -> None:
    log = target / 'pip.log'
    environment = {k: v for k, v in os.environ.items() if k not in _FOREIGN}
    with log.open('w') as out:
        pip = subprocess.Popen(
            [
                *(sys.executable, '-m', 'pip'),
                *('--python', str(python()), '--disable-pip-version-check'),
                *('install', '--no-input', '--no-compile'),
                *('--requirement', str(layout.REQUIREMENTS)),
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    ended = threading.Event()
    threading.Thread(
        target=_keep_alive, args=(log, ended, report), daemon=True
    ).start()
    try:
        status = pip.wait()
    except BaseException:
        pip.kill()
        pip.wait()
        raise
    finally:
        ended.set()
    if status:
        version = '.'.join(str(part) for part in sys.version_info[:2])
        raise errors.CloudError.with_log(
            f'OpenStack {layout.RELEASE} can not be installed on Python '
            f'{version}: pip failed with {status}',
            log,
        )
    report('Compiling what pip installed')
    # By as many processes as there are cores; pip itself uses one.
    subprocess.run(
        [str(python()), '-m', 'compileall', '-q', '-j', '0', str(target)],
        stdout=subprocess.DEVNULL,
        # Some packages ship files for other Pythons that do not compile.
        check=False,
    )


def _keep_alive(
    log: pathlib.Path, ended: threading.Event, report: progress.Progress
) -> None:
    while not ended.wait(_KEEP_ALIVE_SECONDS):
        lines = log.read_text(errors='replace').splitlines()
        # Such as "Collecting nova==34.0.0 (from ...)", and no warnings.
        said = [line for line in lines if line.startswith(_STEPS)]
        if said:
            report(f'  {said[-1].partition(" (")[0][:60]}')
