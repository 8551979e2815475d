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

"""The playbooks of examples/ansible change a host once, and then no more."""

import dataclasses
import json
import pathlib
import re
import shlex
import subprocess
import sys
import typing

from osc_maintenance.tests.functional import base
from osc_maintenance.tests.functional import drains

PLAYBOOKS = pathlib.Path(__file__).parents[3] / 'examples' / 'ansible'
OLD, NEW = '6.1.0-37-amd64', '6.1.0-38-amd64'
REASON = 'a new kernel'
#: Of the ansible.builtin.default callback, the only one of ansible-core that
#: tells the numbers.
RECAP = re.compile(r'^(\S+) +: (ok=\d+ .*)$', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Played:
    """What ansible-playbook printed, and its exit status."""

    output: str
    code: int

    def recap(self, host: str) -> dict[str, int]:
        """The numbers of a host; none if the play has not come to it."""
        for name, numbers in RECAP.findall(self.output):
            if name == host:
                pairs = (word.split('=') for word in numbers.split())
                return {key: int(value) for key, value in pairs}
        return {}


class TestAnsible(drains.DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.home = self.directory()
        (self.home / 'ansible.cfg').touch()
        self.log = self.home / 'reboots'
        self.log.touch()

    def _environ(self) -> dict[str, str]:
        """An environment in which all that is written is in a directory."""
        home = str(self.home)
        return {
            **{
                key: value
                for key, value in self.cloud.environ().items()
                if not key.startswith('ANSIBLE_')
            },
            'ANSIBLE_CONFIG': f'{home}/ansible.cfg',
            'ANSIBLE_HOME': f'{home}/.ansible',
            'ANSIBLE_LOCAL_TEMP': f'{home}/.ansible/tmp',
            'ANSIBLE_NOCOLOR': '1',
            'ANSIBLE_REMOTE_TEMP': f'{home}/.ansible/tmp',
            'HOME': home,
            'LC_ALL': 'C.UTF-8',
            'TMPDIR': home,
        }

    def _version(self, host: str) -> pathlib.Path:
        """What stands in for the kernel that a host runs."""
        return self.home / f'version-{host}'

    def _reboot(self) -> str:
        """A command that stands in for the reboot of a host."""
        host = '{{ inventory_hostname }}'
        power = (
            f'{sys.executable} -m osc_maintenance.tests.cloud '
            f'--state-dir {self.cloud.state.directory} host'
        )
        script = (
            f'{base.executable()} host maintenance show {host} -f value '
            f'-c host -c state -c emptied | xargs >> {self.log}; '
            f'{power} down {host}; {power} up {host}; '
            f'echo {NEW} > {self._version(host)}'
        )
        return shlex.join(('sh', '-ec', script))

    def play(self, what: str, *hosts: str, **variables: typing.Any) -> Played:
        """Run a playbook on hosts, in their order."""
        for host in hosts:
            if not self._version(host).exists():
                self._version(host).write_text(f'{OLD}\n')
        compute = {'hosts': dict.fromkeys(hosts)}
        inventory = self.home / 'inventory.json'
        inventory.write_text(json.dumps({'compute': compute}))
        extra = {
            # the hosts of the cloud are none that Ansible could log in to
            'ansible_connection': 'local',
            'ansible_python_interpreter': sys.executable,
            'maintenance_reason': REASON,
            'openstack_command': base.executable(),
            'service_delay': 1,
            'version_command': f'cat {self._version("{{ compute_host }}")}',
            'version_wanted': NEW,
            'work_command': self._reboot(),
            **variables,
        }
        command = pathlib.Path(sys.executable).with_name('ansible-playbook')
        done = subprocess.run(
            [
                *(str(command), *what.split()),
                *('-i', str(inventory), '-e', json.dumps(extra)),
            ],
            env=self._environ(),
            cwd=PLAYBOOKS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        return Played(done.stdout, done.returncode)

    def assert_changed(self, played: Played, **changed: int) -> None:
        """A playbook has succeeded, and changed this much of each host."""
        self.assertEqual(0, played.code, played.output)
        for host, number in changed.items():
            numbers = played.recap(host)
            self.assertEqual(number, numbers['changed'], played.output)
            self.assertEqual(0, numbers['failed'], played.output)

    def assert_failed(self, played: Played, host: str, *says: str) -> None:
        """A playbook has failed on a host, and says so."""
        self.assertNotEqual(0, played.code, played.output)
        self.assertEqual(1, played.recap(host)['failed'], played.output)
        for words in says:
            self.assertIn(words, played.output)

    def reboots(self) -> list[str]:
        """What the stand-in for a reboot saw, host by host."""
        return self.log.read_text().splitlines()

    def test_hosts_are_rebooted_one_after_the_other(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        off = self.scene.server('off', on=here, status='SHUTOFF')
        db = self.scene.server('db', on=there, project='beta')

        played = self.play('reboot.yml --check', here, there)
        self.assert_changed(played, **{here: 1, there: 1})
        self.assertIn(f'{here} runs {OLD}, and is to run {NEW}', played.output)
        self.assertEqual([], self.statuses(web))
        self.assert_untouched(here)

        # enter, work and leave
        played = self.play('reboot.yml', here, there)
        self.assert_changed(played, **{here: 3, there: 3})
        rebooted = [f'{host} maintenance True' for host in (here, there)]
        self.assertEqual(rebooted, self.reboots())
        for host in (here, there):
            self.assertEqual(f'{NEW}\n', self._version(host).read_text())
            self.assert_untouched(host)
        self.assert_on(here, web)
        self.assert_on(here, off, 'SHUTOFF')
        self.assert_on(here, db)
        moves = [2, 2, 1]
        servers = (web, off, db)
        self.assertEqual(moves, [len(self.statuses(s)) for s in servers])

        played = self.play('reboot.yml', here, there)
        self.assert_changed(played, **{here: 0, there: 0})
        self.assertEqual(rebooted, self.reboots())
        self.assertEqual(moves, [len(self.statuses(s)) for s in servers])

        # what a run that broke off after the reboot has left
        self.maintenance('set', here, '--reason', REASON)
        played = self.play('reboot.yml', here, there)
        self.assert_changed(played, **{here: 1, there: 0})
        self.assertEqual(rebooted, self.reboots())
        self.assert_untouched(here)

    def test_enter_and_leave(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        ticket = 'https://tickets.example.com/7'
        options = {
            'maintenance_ticket_url': ticket,
            'maintenance_return_servers': True,
        }
        for changed in (1, 0):
            played = self.play('enter.yml', here, **options)
            self.assert_changed(played, **{here: changed})
            self.assert_on(there, web)
        shown = self.shown(here)
        self.assert_drained(shown)
        self.assertEqual(ticket, shown['ticket_url'])
        for changed in (1, 0):
            played = self.play('leave.yml', here, **options)
            self.assert_changed(played, **{here: changed})
            self.assert_on(here, web)
            self.assert_untouched(here)
        self.assertEqual(2, len(self.statuses(web)))
        self.assertEqual([], self.reboots())

    def test_servers_stay(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        db = self.scene.server('db', on=here, status='SUSPENDED')
        safe = self.scene.server('safe', on=here, locked='mine, hands off')

        played = self.play('reboot.yml', here, there)
        self.assert_failed(
            *(played, here, f'{here} is not ready to be worked on'),
            f'db ({db.id}) blocked: is suspended',
            f'safe ({safe.id}) left: locked: mine, hands off',
        )
        self.assertNotIn(web.id, played.output.split('not ready')[1])
        self.assertEqual({}, played.recap(there))
        self.assertEqual([], self.reboots())
        self.assertEqual('disabled', self.service(here)[0])
        self.assert_untouched(there)
        self.assert_on(there, web)

        # where that is what the operator wants
        played = self.play(
            'reboot.yml', here, maintenance_servers_may_stay=True
        )
        self.assert_changed(played, **{here: 2})
        self.assertEqual(1, len(self.reboots()))
        self.assert_untouched(here)

    def test_a_server_is_left(self) -> None:
        here, _there = self.scene.host(), self.scene.host()
        safe = self.scene.server('safe', on=here, locked='mine')
        played = self.play('enter.yml', here)
        left = f'safe ({safe.id}) left: locked: mine'
        self.assert_failed(played, here, 'exit status 0', left)
        options = ['--include-locked']
        played = self.play('enter.yml', here, maintenance_options=options)
        self.assert_changed(played, **{here: 1})
        self.assert_drained(self.shown(here))

    def test_the_time_is_over(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        self.scene.migration_of(web, hangs=True)
        options = {
            'maintenance_servers_may_stay': True,
            'maintenance_timeout': '20s',
        }
        played = self.play('reboot.yml', here, there, **options)
        moving = f'web ({web.id}) moving'
        self.assert_failed(played, here, 'exit status 4', moving)
        self.assertEqual({}, played.recap(there))
        self.assertEqual([], self.reboots())

    def test_servers_do_not_come_back(self) -> None:
        here, _there = self.scene.host(), self.scene.host()
        web = self.scene.server('web', on=here)
        self.assert_changed(self.play('enter.yml', here), **{here: 1})
        self.scene.migration_of(here, fails='pre')
        options = {'maintenance_return_servers': True}
        played = self.play('leave.yml', here, **options, maintenance_retries=0)
        in_use, failed = f'{here} is in use again', f'web ({web.id}) failed: '
        self.assert_failed(played, here, in_use, failed)
        self.assertEqual(('enabled', None), self.service(here))
        self.scene.migration_of(here)
        played = self.play('leave.yml', here, **options)
        self.assert_changed(played, **{here: 1})
        self.assert_on(here, web)
        self.assert_untouched(here)

    def test_the_maintenance_of_somebody_else(self) -> None:
        here, there = self.scene.host(), self.scene.host()
        self.maintenance('set', here, '--reason', 'broken fan')
        before = self.service(here)
        for playbook in ('reboot', 'enter', 'leave'):
            played = self.play(f'{playbook}.yml', here, there)
            self.assert_failed(played, here, 'broken fan')
            self.assertEqual({}, played.recap(there))
        self.assertEqual(before, self.service(here))
        self.assertEqual([], self.reboots())

    def test_what_openstack_says_is_shown(self) -> None:
        here = self.scene.host()
        played = self.play('enter.yml', here, maintenance_duration='soon')
        self.assert_failed(played, here, 'argument --duration')
        self.assertNotIn('JSON', played.output)
        self.assert_untouched(here)
