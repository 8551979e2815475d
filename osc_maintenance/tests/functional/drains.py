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

"""What the tests of drains have in common."""

import collections.abc
import dataclasses
import functools
import json
import threading
import time
import typing

from osc_maintenance import exit_codes
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.cloud import scene
from osc_maintenance.tests.commands import forked
from osc_maintenance.tests.functional import base
from osc_maintenance.tests.functional import proxy

Exit = exit_codes.ExitCode
Json = base.Json

MOVE_FIELDS = {
    'id',
    'name',
    'verdict',
    'outcome',
    'destination',
    'seconds',
    'cause',
}
#: What ends a migration; `finished` is a cold one to be confirmed.
ENDED = ('completed', 'confirmed', 'done', 'error', 'failed', 'cancelled')
#: What ``show`` says while a drain may be alive, and nothing moves.
LULL = 'nothing moves at this moment'
#: How long it says so at most.
_LULL_SECONDS = 110.0
#: How long Nova takes at most to begin with a confirmation.
_CONFIRMING = 2.0


@dataclasses.dataclass(frozen=True)
class Drain:
    """What a drain answered, and said while it ran."""

    told: Json
    stderr: str

    def of(self, server: scene.Server) -> Json:
        """The move of a server."""
        (move,) = [m for m in self.told['moves'] if m['id'] == server.id]
        assert move.keys() == MOVE_FIELDS, move
        found: Json = move
        return found

    def outcome(self, server: scene.Server) -> str:
        """What became of a server."""
        outcome: str = self.of(server)['outcome']
        return outcome


class DrainTestCase(base.TestCase):
    """A test that moves servers off its hosts."""

    # -- the command -------------------------------------------------------

    def set_going(
        self,
        host: str,
        *options: str,
        environ: dict[str, str] | None = None,
        before: collections.abc.Sequence[str] = (),
    ) -> forked.Command:
        """Start ``openstack host maintenance set``."""
        return self.start(
            *before,
            *('host', 'maintenance', 'set', host, *options, '-f', 'json'),
            environ=environ,
        )

    def ended(self, going: forked.Command, code: Exit = Exit.DONE) -> Drain:
        """A drain that was started ends so, with an answer."""
        answer = going.end()
        self.assertEqual(code, answer.code, str(answer))
        self.assertNotIn('Traceback', answer.stderr)
        return Drain(json.loads(answer.stdout), answer.stderr)

    def set_(
        self,
        host: str,
        *options: str,
        code: Exit = Exit.DONE,
        environ: dict[str, str] | None = None,
        before: collections.abc.Sequence[str] = (),
    ) -> Drain:
        """Run ``openstack host maintenance set`` to its end."""
        going = self.set_going(host, *options, environ=environ, before=before)
        return self.ended(going, code)

    def set_refused(
        self, host: str, *options: str, code: Exit = Exit.REFUSED
    ) -> str:
        """``set`` is refused, and nothing is written: what it says."""
        aggregate, service = self.aggregate(host), self.service(host)
        said = self.refused(
            'host', 'maintenance', 'set', host, *options, code=code
        )
        if code == Exit.REFUSED:
            self.assertEqual(1, len(said.splitlines()), said)
        self.assertEqual(
            (aggregate, service), (self.aggregate(host), self.service(host))
        )
        return said

    def verdicts(
        self, verb: str, host: str, *options: str, code: Exit = Exit.DONE
    ) -> dict[str, Json]:
        """The verdicts of ``show --servers`` or ``set --dry-run``, by id."""
        answer = self.run_openstack(
            *('host', 'maintenance', verb, host, *options, '-f', 'json')
        )
        self.assertEqual(code, answer.code, str(answer))
        rows = json.loads(answer.stdout)['verdicts']
        self.assertEqual(len(rows), len({row['id'] for row in rows}), rows)
        return {row['id']: row for row in rows}

    def shown(self, host: str) -> Json:
        """What ``show`` says of a host."""
        return self.maintenance('show', host)

    def shown_at_last(self, host: str) -> Json:
        """What ``show`` says once no drain can be about to go on."""

        def look() -> Json | None:
            shown = self.shown(host)
            if LULL not in (shown['cause'] or ''):
                return shown
            self.assertEqual('migrating', shown['state'], str(shown))
            return None

        return operations.wait_for(
            f'nobody goes on with {host}', look, _LULL_SECONDS, every=1
        )

    # -- what Nova says ----------------------------------------------------

    def server(self, server: scene.Server) -> Json:
        """A server as Nova shows it."""
        found: Json = self.admin.get('compute', f'/servers/{server.id}')
        server_: Json = found['server']
        return server_

    def act(
        self, server: scene.Server, action: str, **how: typing.Any
    ) -> None:
        """Do something to a server as an administrator."""
        path = f'/servers/{server.id}/action'
        self.admin.post('compute', path, {action: how or None})

    def migrate(self, server: scene.Server, host: str | None = None) -> None:
        """Start a live migration as somebody else would."""
        self.act(server, 'os-migrateLive', host=host, block_migration='auto')

    def migrations(self, server: scene.Server) -> list[Json]:
        """Nova's records of a server's moves, the first one first."""
        path = f'/os-migrations?instance_uuid={server.id}'
        found = self.admin.get('compute', path)['migrations']
        return sorted(found, key=lambda item: int(item['id']))

    def statuses(self, server: scene.Server) -> list[str]:
        """How the moves of a server went, the first one first."""
        return [item['status'] for item in self.migrations(server)]

    def migration(self, server: scene.Server, *statuses: str) -> Json:
        """Wait until the latest move of a server has one of these."""

        def look() -> Json | None:
            found = self.migrations(server)
            if found and found[-1]['status'] in statuses:
                return found[-1]
            return None

        return operations.wait_for(f'{server.name} is {statuses}', look)

    def force(self, server: scene.Server) -> None:
        """Have Nova end a live migration that hangs."""
        running = self.migration(server, 'running')
        self.admin.post(
            'compute',
            f'/servers/{server.id}/migrations/{running["id"]}/action',
            {'force_complete': None},
        )

    def wound_up(self, *migrations: Json) -> None:
        """Wait until Nova is done with moves that it says are complete.

        It says so first, then writes the status of a server whose move was
        confirmed, and last gives back what the move held of Placement.
        """
        for migration in migrations:
            if migration['status'] in ('completed', 'confirmed'):
                operations.wait_for(
                    f'migration {migration["id"]} holds nothing',
                    functools.partial(self._holds_nothing, migration),
                )

    def _holds_nothing(self, migration: Json) -> bool:
        path = f'/allocations/{migration["uuid"]}'
        return not self.admin.get('placement', path)['allocations']

    def at_rest(self, server: scene.Server) -> None:
        """Wait until nothing is done to a server, and no move goes on."""

        def look() -> bool:
            if self.server(server)['OS-EXT-STS:task_state']:
                return False
            before = self.statuses(server)
            if 'finished' in before:
                # it may have been confirmed just now
                time.sleep(_CONFIRMING)
            return before == self.statuses(server) and all(
                word in (*ENDED, 'finished') for word in before
            )

        operations.wait_for(f'{server.name} is at rest', look)
        self.wound_up(*self.migrations(server))

    def assert_on(
        self, host: str, server: scene.Server, status: str = 'ACTIVE'
    ) -> None:
        """A server is on a host, has this status, and nothing is under way."""
        self.wound_up(*self.migrations(server))
        found = self.server(server)
        self.assertEqual(
            (server.name, host, status, None),
            (
                found['name'],
                found['OS-EXT-SRV-ATTR:host'],
                found['status'],
                found['OS-EXT-STS:task_state'],
            ),
        )

    def assert_moved_once(
        self,
        drain: Drain,
        server: scene.Server,
        to: str,
        status: str = 'ACTIVE',
    ) -> None:
        """A server was moved there, by one migration, and so it is told."""
        self.assert_on(to, server, status)
        (migration,) = self.migrations(server)
        kind = migration['migration_type']
        ends = {'live-migration': 'completed', 'migration': 'confirmed'}
        self.assertEqual(ends[kind], migration['status'])
        verdicts = {
            'live-migration': 'live-migrate',
            'migration': 'cold-migrate',
        }
        move = drain.of(server)
        self.assertEqual(
            (server.name, verdicts[kind], 'moved', to, None),
            (
                move['name'],
                move['verdict'],
                move['outcome'],
                move['destination'],
                move['cause'],
            ),
        )
        self.assertIsInstance(move['seconds'], int)

    def assert_drained(self, told: Json) -> None:
        """The host is in maintenance, and empty."""
        if told['emptied'] is False:
            # a drain may answer before its last move is wound up
            path = f'/os-migrations?host={told["host"]}'
            self.wound_up(*self.admin.get('compute', path)['migrations'])
            told = self.shown(told['host'])
        self.assertEqual(
            ('maintenance', None, {}, 0, 0, 0, True),
            (
                told['state'],
                told['cause'],
                told['servers'],
                told['migrations_out'],
                told['migrations_in'],
                told['unconfirmed_resizes'],
                told['emptied'],
            ),
        )
        self.assertEqual('disabled', told['service_status'])

    # -- a proxy -----------------------------------------------------------

    def moves_of(
        self, server: scene.Server
    ) -> collections.abc.Callable[[str, str], bool]:
        """Whether a request asks Nova to act on this server."""
        end = f'/servers/{server.id}/action'
        return lambda method, path: method == 'POST' and path.endswith(end)

    @staticmethod
    def once(
        told: collections.abc.Callable[[str, str], bool],
        do: collections.abc.Callable[[], object],
    ) -> proxy.Hook:
        """A hook that acts at the first request like that."""
        lock, done = threading.Lock(), threading.Event()

        def hook(method: str, path: str) -> None:
            with lock:
                if told(method, path) and not done.is_set():
                    done.set()
                    do()

        return hook

    def proxied(self) -> tuple[proxy.Proxy, dict[str, str]]:
        """A proxy before Nova, and the environment that leads through it."""
        made = self.useFixture(proxy.Proxy(self.cloud.urls['compute']))
        environ = self.clouds_yaml(
            compute_endpoint_override=f'{made.url}/v2.1'
        )
        return made, environ
