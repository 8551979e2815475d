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

"""Commands of the campaign that move no server."""

from osc_maintenance import journal
from osc_maintenance import owners
from osc_maintenance.tests.faults import facts
from osc_maintenance.tests.faults import stage

_PAST = '2026-01-01T00:00:00Z'


class Set(stage.Stage):
    """Enter a maintenance, and tell the owner of a server."""

    command = 'set'
    state = 'maintenance'

    def build(self) -> None:
        self.server('web')

    @property
    def argv(self) -> tuple[str, ...]:
        return (
            *(*stage.MAINTENANCE, 'set', self.here, '--reason', 'kernel'),
            *('--end', '2126-01-01', '--notify-owners', *stage.JSON),
        )


class Unset(stage.Stage):
    """End one that has stopped a server, and told its owner."""

    command = 'unset'
    state = 'none'
    undone = False
    failures = (stage.Exit.ERROR, stage.Exit.REFUSED, stage.Exit.STAYED)

    def build(self) -> None:
        self.server('pet', wish='stop')

    def prepare(self) -> None:
        self.run('set', '--reason', 'kernel', *stage.ALL, '--notify-owners')

    @property
    def argv(self) -> tuple[str, ...]:
        return (*stage.MAINTENANCE, 'unset', self.here, *stage.JSON)


class Show(Unset):
    """Look at it."""

    command = 'show'
    state = 'maintenance'
    undone = True
    settles = False

    @property
    def argv(self) -> tuple[str, ...]:
        return (*stage.MAINTENANCE, 'show', self.here, *stage.JSON)


class Acknowledge(stage.Stage):
    """The owner of a server replies, and has replied before."""

    command = 'ack'
    account = 'alpha-member'

    def build(self) -> None:
        self.server('web')

    def prepare(self) -> None:
        self.run('set', *stage.PLAN)
        self.reply('web', '--keep')

    @property
    def argv(self) -> tuple[str, ...]:
        return (
            *('server', 'maintenance', 'acknowledge', self.servers['web']),
            *('--not-ready', '--reason', 'release', *stage.JSON),
        )

    @property
    def named(self) -> str:
        return self.servers['web']

    def lost(self, found: facts.Facts) -> list[str]:
        said = found.servers['web'].metadata.get(owners.REPLY, '')
        if {'keep', 'not-ready'} & {*said.replace(':', ' ').split()}:
            return []
        return [f'of the replies is left {said!r}']


class Apply(stage.Stage):
    """Cron enters what is due."""

    command = 'apply'
    failures = (stage.Exit.ERROR,)
    alone = True
    reports = True

    def build(self) -> None:
        self.server('web')

    def prepare(self) -> None:
        self.due('--reason', 'kernel', '--notify-owners')

    def due(self, *options: str) -> None:
        """Plan a maintenance whose time has come."""
        self.run('set', '--start', '+1h', *options)
        self.past('window_start')

    def past(self, what: str) -> None:
        """Let a time of the record have come."""
        name = f'maintenance:{self.here}'
        found = self.admin.get('compute', '/os-aggregates')['aggregates']
        (ours,) = [item for item in found if item['name'] == name]
        metadata = {f'maintenance:{what}': _PAST}
        self.admin.post(
            'compute',
            f'/os-aggregates/{ours["id"]}/action',
            {'set_metadata': {'metadata': metadata}},
        )

    @property
    def argv(self) -> tuple[str, ...]:
        return (*stage.MAINTENANCE, 'apply', *stage.JSON)


class ApplyUnset(Apply):
    """Cron ends what is overdue: one that has stopped a server."""

    command = 'apply-unset'
    undone = False

    def build(self) -> None:
        self.server('pet', wish='stop')

    def prepare(self) -> None:
        self.run('set', '--end', '+1h', *stage.ALL, '--notify-owners')
        self.past('window_end')

    def later(self) -> None:
        # at once it might be that somebody else ends it at this moment
        if journal.RETURN_KEY in self.facts().metadata:
            self.past('return')

    @property
    def argv(self) -> tuple[str, ...]:
        return (*stage.MAINTENANCE, 'apply', '--unset-overdue', *stage.JSON)
