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

"""What a command of the campaign needs."""

import collections.abc

from osc_maintenance import exit_codes
from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.cloud import scene as scene_
from osc_maintenance.tests.faults import client as client_
from osc_maintenance.tests.faults import facts as facts_

Exit = exit_codes.ExitCode

MAINTENANCE = ('host', 'maintenance')
JSON = ('-f', 'json')
ALL = ('--migrate', 'all')
#: A maintenance whose owners are asked.
PLAN = (
    *('--start', '+1h', '--duration', '2h', *ALL),
    *('--notify-owners', '--owner-replies', 'wait'),
)
_REASON = 'broken NIC'


class Stage:
    """Hosts and servers for one command, to be used for many cases.

    :param scene: builds them.
    :param client: runs commands.
    :param admin: an administrator's APIs.
    :cvar command: its name in the campaign.
    :cvar account: whose command it is.
    :cvar state: the state that the command tells of at the end.
    :cvar undone: whether ``unset`` follows.
    :cvar moves: how often servers move, by their names.
    :cvar failures: the exit statuses that it may fail with.
    :cvar alone: it acts on all hosts of the cloud.
    :cvar reports: its failures have more than one line.
    :cvar steps: it does a part at a time, and says whether more is left.
    :cvar settles: once it has done all there is to do, it does nothing more.
    :ivar here: the host.
    :ivar servers: the ids of the servers by their names.
    :ivar leaving: the names of those that have to go.
    """

    command = ''
    account = 'admin'
    state: str | None = None
    undone = True
    moves: collections.abc.Mapping[str, int] = {}
    failures: tuple[int, ...] = (Exit.ERROR, Exit.REFUSED)
    alone = False
    reports = False
    steps = False
    settles = True

    def __init__(
        self, scene: scene_.Scene, client: client_.Client, admin: api.Api
    ) -> None:
        self.scene, self.client, self.admin = scene, client, admin
        self.here = scene.host()
        self.servers: dict[str, str] = {}
        self.leaving: tuple[str, ...] = ()
        self.build()
        self.disable()

    def build(self) -> None:
        """Make what else there is to be."""

    def disable(self) -> None:
        """A colleague has disabled the host before."""
        service = operations.service_of(self.admin, self.here)
        assert service is not None
        body = {'status': 'disabled', 'disabled_reason': _REASON}
        self.admin.put('compute', f'/os-services/{service["id"]}', body)

    def prepare(self) -> None:
        """Do what comes before the command."""

    @property
    def argv(self) -> tuple[str, ...]:
        """The command."""
        raise NotImplementedError

    def later(self) -> None:
        """Let pass what passes until it is run again."""

    @property
    def named(self) -> str:
        """What its errors name."""
        return self.here

    def lost(self, found: facts_.Facts) -> list[str]:
        """What of the words of owners is lost, at any time before the end."""
        del found
        return []

    def run(self, verb: str, *options: str) -> client_.Answer:
        """Run a command of ours on the host, which has to succeed."""
        answer = self.client.run(
            *MAINTENANCE, verb, self.here, *options, *JSON
        )
        assert answer.code == 0, str(answer)
        return answer

    def reply(self, name: str, *options: str) -> None:
        """The owner of a server replies."""
        answer = self.client.run(
            *('server', 'maintenance', 'acknowledge', self.servers[name]),
            *(*options, *JSON),
            account='alpha-member',
        )
        assert answer.code == 0, str(answer)

    def facts(self) -> facts_.Facts:
        """What Nova says."""
        return facts_.look(self.admin, self.here, self.servers)

    def server(
        self,
        name: str,
        status: str = 'ACTIVE',
        seconds: float = 0.3,
        on: str | None = None,
        wish: str | None = None,
    ) -> str:
        """Boot a server whose moves are short; its id.

        :param wish: what its owner always wishes.
        """
        made = self.scene.server(name, on=on or self.here, status=status)
        self.scene.migration_of(made, seconds=seconds, cold_seconds=seconds)
        self.servers[name] = made.id
        if wish:
            body = {'metadata': {'maintenance:policy': wish}}
            path = f'/servers/{made.id}/metadata'
            self.admin.post('compute', path, body)
        return made.id
