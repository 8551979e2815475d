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

"""Shows host maintenance on a real Nova: every command, and its answer.

``python -m osc_maintenance.tests.demo`` brings a cloud up, works on it with
the real ``openstack``, and takes it down again.
"""

import pathlib
import shlex
import subprocess
import sys
import tempfile

from osc_maintenance.tests.cloud import control
from osc_maintenance.tests.cloud import environ
from osc_maintenance.tests.cloud import errors
from osc_maintenance.tests.cloud import launcher
from osc_maintenance.tests.cloud import layout
from osc_maintenance.tests.cloud import progress

_HOSTS = 3
#: Migrations that last long enough to be seen.
_COPYING = ('seconds=3', 'cold-seconds=2')
_TICKET = 'https://tickets.example.com/4711'
_BOOT = 'server create --flavor m1.tiny --image tiny --no-network --wait'
_BRIEF = '-c name -c status -c OS-EXT-SRV-ATTR:host'

SCRIPT = f"""\
# Three compute hosts. Two servers run on the first; a colleague has disabled
# the third.
compute service set --disable --disable-reason 'broken NIC' compute3 \
nova-compute
--os-compute-api-version 2.74 {_BOOT} --host compute1 {_BRIEF} web
--os-compute-api-version 2.74 {_BOOT} --host compute1 {_BRIEF} db

# A window is planned for tonight. Until then the host stays in use.
host maintenance set compute1 --start +4h --duration 2h30m \
--reason 'kernel update' --ticket-url {_TICKET}

# It has to be now. What else was planned stays as it is.
host maintenance set compute1 --now --duration 2h30m
compute service list --service nova-compute --long -c Host -c Status \
-c 'Disabled Reason'

# New servers go elsewhere.
{_BOOT} {_BRIEF} late

# Run twice, it changes nothing the second time.
host maintenance set compute1 -f json -c state -c changed -c retry_after

# A host that is disabled for another reason goes back to that.
host maintenance set compute3 --removal --reason 'end of life'
host maintenance list
host maintenance unset compute3 -f value -c service_status -c disabled_reason

# The work may start when the host is emptied.
server delete --wait web db
host maintenance show compute1 -f value -c state -c servers -c emptied

# Made for cron: enters what is due, and with an option ends what is overdue.
host maintenance apply --unset-overdue

# And back.
host maintenance unset compute1 -f value -c state -c service_status
host maintenance list --all

# Now with servers to be moved away: one runs, one is paused, one is stopped,
# and one is locked.
--os-compute-api-version 2.74 {_BOOT} --host compute1 --min 4 --max 4 \
-c status guest
server pause guest-2
server stop guest-3
--os-compute-api-version 2.73 server lock --reason 'billing run' guest-4

# Their owners are told what is planned for them, and are asked.
host maintenance set compute1 --start +1h --duration 2h --migrate all \
--notify-owners --owner-replies wait -c state -c window_start -c reply_by
server set --property maintenance:policy=cold-migrate guest-1
server maintenance acknowledge guest-2 -c name -c action -c reply
server maintenance acknowledge guest-3 --not-ready \
--reason 'a release tonight' -c name -c action -c reply
server maintenance list -c Name -c Action -c 'Window Start' -c 'Reply By' \
-c Reply

# Who is ready, and who is not?
host maintenance show compute1 --owners -c state -c owners

# What would become of each of them? Nothing is changed yet.
host maintenance show compute1 --servers -c state -c servers -c verdicts

# Move them: at most two at once, and nobody's lock is overridden. Who is not
# ready has five seconds left.
host maintenance set compute1 --now --reason 'kernel update' --reply-by 5s \
-c state -c moves
host maintenance show compute1 -f value -c state -c servers -c emptied

# After the work they come back, and end as they were.
host maintenance unset compute1 --return-servers --max-parallel 4 -c state \
-c moves
server list --long -c Name -c Status -c Host
"""


def play(environment: dict[str, str]) -> None:
    """Run the script, printing each command before what it answers.

    :param environment: the environment of the cloud.
    :raises CalledProcessError: if a command fails.
    """
    openstack = pathlib.Path(sys.executable).with_name('openstack')
    for line in SCRIPT.splitlines():
        if line and not line.startswith('#'):
            sys.stdout.write(f'$ openstack {line}\n')
            sys.stdout.flush()
            subprocess.run(
                [openstack, *shlex.split(line)], env=environment, check=True
            )
        else:
            sys.stdout.write(f'{line}\n')


def main() -> int:
    """Bring the cloud up, show everything, take it down."""
    with tempfile.TemporaryDirectory() as directory:
        state = layout.State(pathlib.Path(directory))
        try:
            launcher.up(state, _HOSTS, progress.Reporter())
            controlled = control.Control(launcher.urls(state)['control'])
            controlled.behave('*', _COPYING)
            play(environ.of_cloud(state, 'admin'))
        except (errors.CloudError, subprocess.CalledProcessError) as exc:
            sys.stderr.write(f'{exc}\n')
            return 1
        finally:
            launcher.down(state)
    return 0


if __name__ == '__main__':
    sys.exit(main())
