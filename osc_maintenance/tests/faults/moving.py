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

"""Commands of the campaign that move servers."""

import time

from osc_maintenance import owners
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.faults import facts
from osc_maintenance.tests.faults import stage
from osc_maintenance.tests.faults import staying

#: How long Nova takes at most to begin with a confirmation.
_CONFIRMING = 0.5
#: How long moves take at most.
_MOVING = 30.0


class Drain(stage.Stage):
    """Enter a maintenance, and empty the host; one server is stopped."""

    command = 'drain'
    state: str | None = 'maintenance'
    moves = {'web': 1, 'off': 1}
    failures: tuple[int, ...] = (
        stage.Exit.ERROR,
        stage.Exit.REFUSED,
        stage.Exit.STAYED,
    )
    reports = True

    def build(self) -> None:
        self.there = self.scene.host()
        self.twins: dict[str, str] = {}
        self.server('web')
        self.server('off', 'SHUTOFF')
        self.twin('pet', wish='stop')
        self.leaving = ('web', 'off')

    def twin(self, name: str, wish: str | None = None) -> None:
        """A server that does not move has a twin where the others go."""
        self.twins[name] = self.server(name, on=self.there, wish=wish)
        self.server(name, wish=wish)

    def _turn(self) -> None:
        """The host that the servers went to is emptied next."""
        self._enable()
        self.here, self.there = self.there, self.here
        for name, twin in self.twins.items():
            self.twins[name], self.servers[name] = self.servers[name], twin
        self.disable()

    def _enable(self) -> None:
        service = operations.service_of(self.admin, self.here)
        assert service is not None
        body = {'status': 'enabled'}
        self.admin.put('compute', f'/os-services/{service["id"]}', body)

    def prepare(self) -> None:
        if not self.facts().here & {*self.leaving}:
            self._turn()

    @property
    def argv(self) -> tuple[str, ...]:
        return (*stage.MAINTENANCE, 'set', self.here, *stage.ALL, *stage.JSON)


class Enter(Drain):
    """Enter one whose owners have replied."""

    command = 'enter'
    moves = {'web': 1}

    def build(self) -> None:
        self.there = self.scene.host()
        self.twins = {}
        self.server('web')
        self.twin('kept')
        self.twin('pet', wish='stop')
        self.leaving = ('web',)

    def prepare(self) -> None:
        super().prepare()
        self.run('set', *stage.PLAN)
        self.reply('web', '--move')
        self.reply('kept', '--keep')

    @property
    def argv(self) -> tuple[str, ...]:
        return (*stage.MAINTENANCE, 'set', self.here, '--now', *stage.JSON)

    def lost(self, found: facts.Facts) -> list[str]:
        kept = found.servers['kept']
        said = kept.metadata.get(owners.REPLY, '')
        wrong = [] if 'keep' in said else [f'of the reply is left {said!r}']
        if kept.host != found.host or kept.status != 'ACTIVE':
            wrong.append(f'what was to be kept is {kept}')
        return wrong


class Return(Drain):
    """End it, and bring the servers back."""

    command = 'return'
    state = 'none'
    undone = False

    def disable(self) -> None:
        """Nova moves no servers to a host that is disabled."""

    def build(self) -> None:
        self.there = self.scene.host()
        self.server('web')
        self.server('off', 'SHUTOFF')
        self.leaving = ('web', 'off')

    def prepare(self) -> None:
        self.run('set', *stage.ALL)
        # a confirmation may have just begun
        time.sleep(_CONFIRMING)

    @property
    def argv(self) -> tuple[str, ...]:
        return (
            *(*stage.MAINTENANCE, 'unset', self.here),
            *('--return-servers', *stage.JSON),
        )


class ApplyStarts(staying.Apply, Drain):
    """Cron enters what is due, and starts moves that nobody waits for."""

    command = 'apply-starts'
    state = None
    moves = {'web': 1, 'db': 1}
    failures = (stage.Exit.ERROR,)
    steps = True

    def build(self) -> None:
        self.there = self.scene.host()
        self.twins = {}
        self.server('web')
        self.server('db')
        self.leaving = ('web', 'db')

    def prepare(self) -> None:
        Drain.prepare(self)
        self.due(*stage.ALL)

    @property
    def argv(self) -> tuple[str, ...]:
        return (*super().argv, '--max-parallel', '2')

    def facts(self) -> facts.Facts:
        """What Nova says once nothing moves."""

        def look() -> facts.Facts | None:
            found = super(ApplyStarts, self).facts()
            return None if found.moving else found

        return operations.wait_for('nothing moves', look, _MOVING, every=0.1)


class ApplyEnds(ApplyStarts):
    """Cron comes again, and confirms what it has started."""

    command = 'apply-ends'
    moves = {}

    def build(self) -> None:
        self.there = self.scene.host()
        self.twins = {}
        self.server('off', 'SHUTOFF', seconds=2.0)
        self.leaving = ('off',)

    def prepare(self) -> None:
        super().prepare()
        answer = self.client.run(*self.argv)
        assert answer.code == 0, str(answer)
        self.facts()
