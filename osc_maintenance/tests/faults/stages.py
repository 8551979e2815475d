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

"""The commands of the campaign, each with what it needs."""

import collections.abc
import time

from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.cloud import scene as scene_
from osc_maintenance.tests.faults import client as client_
from osc_maintenance.tests.faults import facts as facts_

_MAINTENANCE = ('host', 'maintenance')
_JSON = ('-f', 'json')
_PAST = '2026-01-01T00:00:00Z'
_REASON = 'broken NIC'
#: How long Nova takes at most to begin with a confirmation.
_CONFIRMING = 0.5
#: How long moves take at most.
_MOVING = 30.0


class Stage:
    """Hosts and servers for one command, to be used for many cases.

    :param scene: builds them.
    :param client: runs commands.
    :param admin: an administrator's APIs.
    :cvar command: its name in the campaign.
    :cvar account: whose command it is.
    :cvar state: the state that the command tells of at the end.
    :cvar undone: whether ``unset`` follows.
    :cvar moves: how often each server moves.
    :cvar alone: it acts on all hosts of the cloud.
    :cvar reports: its failures have more than one line.
    :cvar steps: it does a part at a time, and says whether more is left.
    :ivar here: the host.
    :ivar servers: the ids of the servers by their names.
    :ivar leaving: the names of those that have to go.
    """

    command = ''
    account = 'admin'
    state: str | None = None
    undone = True
    moves = 0
    alone = False
    reports = False
    steps = False

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

    def run(self, verb: str, *options: str) -> client_.Answer:
        """Run a command of ours on the host, which has to succeed."""
        answer = self.client.run(
            *_MAINTENANCE, verb, self.here, *options, *_JSON
        )
        assert answer.code == 0, str(answer)
        return answer

    def facts(self) -> facts_.Facts:
        """What Nova says."""
        return facts_.look(self.admin, self.here, self.servers)

    def server(
        self, name: str, status: str = 'ACTIVE', seconds: float = 0.3
    ) -> None:
        """Boot a server whose moves are short."""
        made = self.scene.server(name, on=self.here, status=status)
        self.scene.migration_of(made, seconds=seconds, cold_seconds=seconds)
        self.servers[name] = made.id


class Set(Stage):
    """Enter a maintenance."""

    command = 'set'
    state = 'maintenance'

    @property
    def argv(self) -> tuple[str, ...]:
        return (
            *(*_MAINTENANCE, 'set', self.here, '--reason', 'kernel'),
            *('--end', '2126-01-01', *_JSON),
        )


class Unset(Stage):
    """End it."""

    command = 'unset'
    state = 'none'
    undone = False

    def prepare(self) -> None:
        self.run('set', '--reason', 'kernel')

    @property
    def argv(self) -> tuple[str, ...]:
        return (*_MAINTENANCE, 'unset', self.here, *_JSON)


class Show(Unset):
    """Look at it."""

    command = 'show'
    state = 'maintenance'
    undone = True

    @property
    def argv(self) -> tuple[str, ...]:
        return (*_MAINTENANCE, 'show', self.here, *_JSON)


class Acknowledge(Stage):
    """The owner of a server replies."""

    command = 'ack'
    account = 'alpha-member'

    def build(self) -> None:
        self.server('web')

    def prepare(self) -> None:
        self.run(
            *('set', '--start', '+1h', '--duration', '2h'),
            *('--migrate', 'all', '--notify-owners'),
            *('--owner-replies', 'wait'),
        )

    @property
    def argv(self) -> tuple[str, ...]:
        return (
            *('server', 'maintenance', 'acknowledge', self.servers['web']),
            *('--not-ready', '--reason', 'release', *_JSON),
        )


class Apply(Stage):
    """Cron enters what is due."""

    command = 'apply'
    alone = True
    reports = True

    def prepare(self) -> None:
        self.due('--reason', 'kernel')

    def due(self, *options: str) -> None:
        """Plan a maintenance whose time has come."""
        self.run('set', '--start', '+1h', *options)
        name = f'maintenance:{self.here}'
        found = self.admin.get('compute', '/os-aggregates')['aggregates']
        (ours,) = [item for item in found if item['name'] == name]
        metadata = {'maintenance:window_start': _PAST}
        self.admin.post(
            'compute',
            f'/os-aggregates/{ours["id"]}/action',
            {'set_metadata': {'metadata': metadata}},
        )

    @property
    def argv(self) -> tuple[str, ...]:
        return (*_MAINTENANCE, 'apply', *_JSON)


class Drain(Stage):
    """Enter a maintenance, and empty the host."""

    command = 'drain'
    state: str | None = 'maintenance'
    moves = 1
    reports = True

    def build(self) -> None:
        self.there = self.scene.host()
        self.server('web')
        self.server('off', 'SHUTOFF')
        self.leaving = ('web', 'off')

    def _turn(self) -> None:
        """The host that the servers went to is emptied next."""
        self._enable()
        self.here, self.there = self.there, self.here
        self.disable()

    def _enable(self) -> None:
        service = operations.service_of(self.admin, self.here)
        assert service is not None
        body = {'status': 'enabled'}
        self.admin.put('compute', f'/os-services/{service["id"]}', body)

    def prepare(self) -> None:
        if not self.facts().here:
            self._turn()

    @property
    def argv(self) -> tuple[str, ...]:
        return (*_MAINTENANCE, 'set', self.here, '--migrate', 'all', *_JSON)


class Return(Drain):
    """End it, and bring the servers back."""

    command = 'return'
    state = 'none'
    undone = False

    def disable(self) -> None:
        """Nova moves no servers to a host that is disabled."""

    def prepare(self) -> None:
        self.run('set', '--migrate', 'all')
        # a confirmation may have just begun
        time.sleep(_CONFIRMING)

    @property
    def argv(self) -> tuple[str, ...]:
        return (
            *(*_MAINTENANCE, 'unset', self.here),
            *('--return-servers', *_JSON),
        )


class ApplyStarts(Apply, Drain):
    """Cron enters what is due, and starts moves that nobody waits for."""

    command = 'apply-starts'
    state = None
    steps = True

    def build(self) -> None:
        self.there = self.scene.host()
        self.server('web')
        self.server('db')
        self.leaving = ('web', 'db')

    def prepare(self) -> None:
        Drain.prepare(self)
        self.due('--migrate', 'all')

    @property
    def argv(self) -> tuple[str, ...]:
        return (*super().argv, '--max-parallel', '2')

    def facts(self) -> facts_.Facts:
        """What Nova says once nothing moves."""

        def look() -> facts_.Facts | None:
            found = super(ApplyStarts, self).facts()
            return None if found.moving else found

        return operations.wait_for('nothing moves', look, _MOVING, every=0.1)


class ApplyEnds(ApplyStarts):
    """Cron comes again, and confirms what it has started."""

    command = 'apply-ends'
    moves = 0

    def build(self) -> None:
        self.there = self.scene.host()
        self.server('off', 'SHUTOFF', seconds=2.0)
        self.leaving = ('off',)

    def prepare(self) -> None:
        super().prepare()
        answer = self.client.run(*self.argv)
        assert answer.code == 0, str(answer)
        self.facts()


STAGES: collections.abc.Mapping[str, type[Stage]] = {
    stage.command: stage
    for stage in (
        *(Set, Unset, Acknowledge, Show, Drain, Return),
        *(Apply, ApplyStarts, ApplyEnds),
    )
}
