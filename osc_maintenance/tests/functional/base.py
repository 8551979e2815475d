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

"""What the functional tests have in common."""

import contextlib
import fcntl
import json
import pathlib
import shutil
import signal
import sys
import typing

import fixtures
import testtools
from testtools import content
import yaml

from osc_maintenance import exit_codes
from osc_maintenance.tests.cloud import fixture
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.commands import forked

Json = dict[str, typing.Any]
#: How many errors of Nova are shown with a test that fails.
_ERRORS = 20


def executable() -> str:
    """The ``openstack`` that is installed beside this Python."""
    found = shutil.which(
        'openstack', path=str(pathlib.Path(sys.executable).parent)
    )
    assert found, 'python-openstackclient is not installed'
    return found


class TestCase(testtools.TestCase):
    """A test with a cloud, and hosts of its own on it."""

    def setUp(self) -> None:
        super().setUp()
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # a shell starts its background jobs so, and they hand it on
            signal.signal(signal.SIGINT, signal.default_int_handler)
        # others wait until the hosts of this test are gone, and their records
        last = contextlib.ExitStack()
        self.addCleanup(last.close)
        self.cloud = self.useFixture(fixture.Cloud())
        self._log = self.cloud.state.log('compute')
        self._log_began = self._log.stat().st_size
        self.addOnException(self._show_errors)
        # one that applies waits for the others, and they for it
        path = self.cloud.state.directory / 'tests.lock'
        self._others = last.enter_context(path.open('w'))
        self._wait_for_others(fcntl.LOCK_SH)
        self.scene = self.cloud.scene()
        self.admin = self.cloud.api()

    def _show_errors(self, _exc_info: object) -> None:
        """What went wrong in Nova while this test ran, or others beside it."""
        with self._log.open(errors='replace') as log:
            log.seek(self._log_began)
            told = [line for line in log if ' ERROR ' in line]
        errors = [line for line in told if 'Error: ' in line][-_ERRORS:]
        self.addDetail('errors in Nova', content.text_content(''.join(errors)))

    # -- the command under test --------------------------------------------

    def start(
        self,
        *arguments: str,
        cloud: str = 'admin',
        environ: dict[str, str] | None = None,
    ) -> forked.Command:
        """Start ``openstack`` with these arguments."""
        made = forked.start(
            arguments,
            self.cloud.environ(cloud) if environ is None else environ,
        )
        self.addCleanup(made.kill)
        return made

    def run_openstack(
        self,
        *arguments: str,
        cloud: str = 'admin',
        environ: dict[str, str] | None = None,
    ) -> forked.Answer:
        """Run ``openstack`` to its end, whatever that is."""
        return self.start(*arguments, cloud=cloud, environ=environ).end()

    def openstack(
        self,
        *arguments: str,
        says: str = '',
        cloud: str = 'admin',
        environ: dict[str, str] | None = None,
    ) -> str:
        """Run ``openstack``, which has to succeed.

        What it writes to stderr has to be what ``says`` is a part of, and
        nothing at all without it.
        """
        answer = self.run_openstack(*arguments, cloud=cloud, environ=environ)
        what = f'openstack {" ".join(arguments)}: {answer}'
        self.assertEqual(exit_codes.ExitCode.DONE, answer.code, what)
        self.assertIn(says, answer.stderr, what)
        self.assertEqual(bool(says), bool(answer.stderr), what)
        return answer.stdout

    def refused(
        self,
        *arguments: str,
        code: exit_codes.ExitCode = exit_codes.ExitCode.ERROR,
        cloud: str = 'admin',
        environ: dict[str, str] | None = None,
    ) -> str:
        """Run ``openstack``, which has to fail; what it says on stderr.

        But for a usage error that is one line, and never a traceback.
        """
        answer = self.run_openstack(*arguments, cloud=cloud, environ=environ)
        what = f'openstack {" ".join(arguments)}: {answer}'
        self.assertEqual(code, answer.code, what)
        self.assertEqual('', answer.stdout, what)
        self.assertNotIn('Traceback', answer.stderr, what)
        if code != exit_codes.ExitCode.USAGE:
            self.assertEqual(1, len(answer.stderr.splitlines()), what)
        return answer.stderr

    def maintenance(
        self, verb: str, *arguments: str, says: str = '', **kwargs: typing.Any
    ) -> Json:
        """``openstack host maintenance <verb>`` of one host, as JSON."""
        answer: Json = json.loads(
            self.openstack(
                *('host', 'maintenance', verb, *arguments, '-f', 'json'),
                says=says,
                **kwargs,
            )
        )
        return answer

    def rows(self, verb: str, *arguments: str, says: str = '') -> list[Json]:
        """What ``list`` or ``apply`` says of the hosts of this test."""
        answer = json.loads(
            self.openstack(
                *('host', 'maintenance', verb, *arguments, '-f', 'json'),
                says=says,
            )
        )
        return [row for row in answer if self.scene.name in row['host']]

    # -- what Nova says ----------------------------------------------------

    def service(self, host: str) -> tuple[str, str | None]:
        """The status and disabled_reason of a compute service."""
        service = operations.service_of(self.admin, host)
        assert service is not None
        return service['status'], service['disabled_reason']

    def set_service(
        self, host: str, status: str, reason: str | None = None
    ) -> None:
        """Enable or disable a compute service as a colleague would."""
        service = operations.service_of(self.admin, host)
        assert service is not None
        body = {'status': status}
        if reason:
            body['disabled_reason'] = reason
        self.admin.put('compute', f'/os-services/{service["id"]}', body)

    def aggregate(self, host: str) -> Json | None:
        """The aggregate of a host's maintenance."""
        found = self.admin.get('compute', '/os-aggregates')['aggregates']
        for aggregate in found:
            if aggregate['name'] == f'maintenance:{host}':
                result: Json = aggregate
                return result
        return None

    def act_on_aggregate(self, host: str, action: str, body: Json) -> None:
        """Change the aggregate of a host's maintenance behind our back."""
        aggregate = self.aggregate(host)
        assert aggregate is not None
        self.admin.post(
            'compute',
            f'/os-aggregates/{aggregate["id"]}/action',
            {action: body},
        )

    def write_metadata(self, host: str, **values: str | None) -> None:
        """Change the record of a host's maintenance behind our back."""
        metadata = {f'maintenance:{key}': v for key, v in values.items()}
        self.act_on_aggregate(host, 'set_metadata', {'metadata': metadata})

    def lose_aggregate(self, host: str) -> None:
        """Delete the aggregate of a host's maintenance behind our back."""
        aggregate = self.aggregate(host)
        assert aggregate is not None
        self.act_on_aggregate(host, 'remove_host', {'host': host})
        self.admin.delete('compute', f'/os-aggregates/{aggregate["id"]}')

    def assert_untouched(self, host: str) -> None:
        """Nothing has been written about this host."""
        self.assertEqual(('enabled', None), self.service(host))
        self.assertIsNone(self.aggregate(host))

    def directory(self) -> pathlib.Path:
        """A directory that goes with the test."""
        return pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    # -- other ways to the cloud -------------------------------------------

    def clouds_yaml(self, **options: typing.Any) -> dict[str, str]:
        """An environment whose ``admin`` has more options in clouds.yaml."""
        config = yaml.safe_load(self.cloud.clouds_yaml.read_text())
        config['clouds']['admin'].update(options)
        path = self.directory() / 'clouds.yaml'
        path.write_text(yaml.safe_dump(config))
        return {
            **self.cloud.environ(),
            'OS_CLIENT_CONFIG_FILE': str(path),
        }

    def alone(self) -> None:
        """Keep apart from all other tests.

        ``apply`` acts on every host of the cloud, those of the tests that run
        at the same time as well.
        """
        # who waits for their turn must not keep it from who has that
        fcntl.flock(self._others, fcntl.LOCK_UN)
        self._wait_for_others(fcntl.LOCK_EX)

    def leave_it_to_others(self) -> None:
        """Keep apart from nobody: what is run here does so itself."""
        fcntl.flock(self._others, fcntl.LOCK_UN)

    def _wait_for_others(self, how: int) -> None:
        """Get the lock in turn: who begins does not overtake who waits."""
        path = self.cloud.state.directory / 'tests.turn'
        with path.open('w') as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            fcntl.flock(self._others, how)
