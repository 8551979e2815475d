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

"""Servers and their migrations: looked at, moved, and asked why not.

Nova's answers become the plain types of :mod:`osc_maintenance.servers`.
"""

import collections.abc
import contextlib
import dataclasses
import datetime
import typing
from urllib import parse

from novaclient import api_versions
from novaclient import exceptions as nova_exceptions

from osc_lib import exceptions

from osc_maintenance import fields
from osc_maintenance import microversions
from osc_maintenance.nova import actions
from osc_maintenance.nova import answers
from osc_maintenance.nova import api
from osc_maintenance import parallel
from osc_maintenance import servers
from osc_maintenance import text

_CHANGES_SINCE = api_versions.APIVersion('2.59')
_COLD_TARGET = api_versions.APIVersion('2.56')


class Servers(actions.Actions):
    """The servers of Nova, as far as a drain needs them.

    :param client: a novaclient client at the negotiated microversion.
    :ivar changes: how many requests have changed something.
    """

    def __init__(self, client: typing.Any) -> None:
        super().__init__(client)
        self.changes = 0
        # who has asked for migrations that do not tell it, by their ids
        self._requesters: dict[int, str | None] = {}

    @property
    def microversion(self) -> microversions.Version:
        """The negotiated microversion."""
        version = self._client.api_version
        return version.ver_major, version.ver_minor

    # -- reading -----------------------------------------------------------

    def on(self, host: str) -> tuple[servers.Server, ...]:
        """The servers on a host, those of all projects.

        Rests on GET /servers/detail?host=, paged.

        :param host: the host name.
        :returns: the servers.
        """
        with api.explained(f'Servers on {host}'):
            found = api.pages(
                self._client,
                'servers',
                '/servers/detail',
                all_tenants='1',
                host=host,
            )
            # Nova ignores the filter for those who may not use it
            return tuple(
                answers.server(item)
                for item in found
                if fields.needed(item, answers.HOST, str) == host
            )

    def server(self, server: str) -> servers.Server | None:
        """One server.

        Rests on GET /servers/{id}, and GET /servers/detail?uuid= where that
        finds none: Nova finds what is of another project for an admin alone,
        whatever its policy lets others do.

        :param server: its id.
        :returns: the server, or None if there is none, or no longer.
        :raises DownCellError: if its cell is down, so that Nova tells nothing
            but its id.
        :raises CommandError: if Nova does not say whether there is one, or on
            which host.
        """
        with api.explained(f'Server {server}'):
            foreign = False
            try:
                _response, body = self._client.client.get(f'/servers/{server}')
                if 'server' not in body:
                    # that is no ID, but something else of the API
                    return None
                item = body['server']
            except nova_exceptions.NotFound:
                item, foreign = self._listed(server), True
                if item is None:
                    return None
            if item['status'] == servers.UNKNOWN:
                raise api.DownCellError(f'Server {server}: its cell is down')
            if answers.HOST not in item:
                # not as if it were on none
                raise fields.FieldError(f'{answers.HOST} is missing')
            found = answers.server(item)
            return dataclasses.replace(found, foreign=foreign)

    def _listed(self, server: str) -> typing.Any:
        """A server as it is in a list; None if it is in none."""
        query = parse.urlencode(
            {'all_tenants': '1', 'limit': '1', 'uuid': server}
        )
        _response, body = self._client.client.get(f'/servers/detail?{query}')
        found = fields.needed(body, 'servers', list)
        if any(fields.identity(item) != server for item in found):
            # Nova ignores the filter for those who may not use it
            raise exceptions.CommandError(
                f'Server {server}: Nova does not tell this account whether it '
                'is gone'
            )
        return found[0] if found else None

    def migrations(
        self,
        host: str | None = None,
        *,
        server: str | None = None,
        since: datetime.datetime | None = None,
    ) -> tuple[servers.Migration, ...]:
        """Migrations, ended ones as well.

        Rests on GET /os-migrations, paged and with changes-since from 2.59
        on. Who has asked for one is told from 2.80 on; before, the actions of
        its server tell that of the latest one.

        :param host: only those from or to this host.
        :param server: only those of this server, by its id.
        :param since: only those that have changed since then; ignored where
            Nova cannot tell.
        :returns: the migrations.
        """
        query = {}
        if host:
            query['host'] = host
        if server:
            query['instance_uuid'] = server
        if since and self._client.api_version >= _CHANGES_SINCE:
            query['changes-since'] = since.isoformat()
        subject = f'Migrations of {server or host or "all hosts"}'
        with api.explained(subject):
            found = api.pages(
                self._client, 'migrations', '/os-migrations', **query
            )
            migrations = tuple(map(answers.migration, found))
        if migrations and not any(m.source or m.dest for m in migrations):
            raise exceptions.CommandError(
                f'{subject}: Nova does not tell this account their hosts (its '
                'policy os-migrations:index:host)'
            )
        return self._with_requesters(migrations, ended=server is not None)

    def _with_requesters(
        self, migrations: tuple[servers.Migration, ...], *, ended: bool
    ) -> tuple[servers.Migration, ...]:
        """The same, with who has asked for those that do not tell it.

        It is asked of the latest migration of a server only, once, and only
        where it matters: for one that may have to be confirmed or aborted.

        :param ended: of one that has ended as well.
        """
        asked = [
            item
            for item in servers.latest(migrations).values()
            if item.user is None
            and item.id not in self._requesters
            and (ended or item.open)
        ]
        users = parallel.each(lambda item: self.moved_by(item.server), asked)
        self._requesters.update(
            (item.id, user) for item, user in zip(asked, users, strict=True)
        )
        return tuple(
            item
            if item.user
            else dataclasses.replace(item, user=self._requesters.get(item.id))
            for item in migrations
        )

    def figures(self, server: str) -> answers.Figures | None:
        """How far the live migration of a server has come.

        Rests on GET /servers/{id}/migrations.

        :param server: the server's id.
        :returns: Nova's figures; None if it has none.
        """
        with api.explained(f'Migration of server {server}'):
            try:
                _response, body = self._client.client.get(
                    f'/servers/{server}/migrations'
                )
            except nova_exceptions.NotFound:
                return None
            found = map(answers.figures, body['migrations'])
            return next(filter(None, found), None)

    def groups(self) -> list[answers.Group]:
        """The server groups of all projects.

        Rests on GET /os-server-groups?all_projects, paged by offset; the
        policy's name is in its present form from 2.64 on.

        :returns: the groups.
        """
        found: list[answers.Group] = []
        with api.explained('Server groups'):
            for _ in range(api.PAGES):
                page = self._client.server_groups.list(
                    all_projects=True, offset=len(found) or None
                )
                known = {group.id for group in found}
                more = [
                    group
                    for group in map(answers.group, page)
                    if group.id not in known
                ]
                if not more:
                    return found
                found += more
            raise fields.FieldError(f'they have more than {api.PAGES:,} pages')

    # -- moving ------------------------------------------------------------

    @contextlib.contextmanager
    def _changing(
        self, server: servers.Server
    ) -> collections.abc.Iterator[None]:
        """A request that changes something, counted if Nova takes it."""
        with api.explained(f'{server.name} ({server.id})'):
            try:
                yield
            except (
                nova_exceptions.Conflict,
                nova_exceptions.NotFound,
            ) as exc:
                raise api.OvertakenError(
                    text.escape(exc.message or str(exc))
                ) from exc
        self.changes += 1

    def live_migrate(
        self, server: servers.Server, target: str | None
    ) -> str | None:
        """Ask for a live migration.

        Rests on POST /servers/{id}/action os-migrateLive, block_migration
        auto from 2.25 on, not waiting for the scheduler from 2.34 on.

        :param server: the server.
        :param target: the host to go to; None lets the scheduler choose.
        :returns: the id of the request.
        :raises OvertakenError: if the server is busy or gone.
        :raises TransientError: if it is not known whether Nova has taken it.
        :raises CommandError: if Nova refuses.
        """
        with self._changing(server):
            return _request(
                self._client.servers.live_migrate(
                    server.id, target, block_migration='auto'
                )
            )

    def cold_migrate(
        self, server: servers.Server, target: str | None
    ) -> str | None:
        """Ask for a cold migration, which has to be confirmed then.

        Rests on POST /servers/{id}/action migrate, with a host from 2.56 on.

        :param server: the server.
        :param target: the host to go to; None lets the scheduler choose.
        :returns: the id of the request.
        :raises OvertakenError: if the server is busy or gone.
        :raises TransientError: if it is not known whether Nova has taken it.
        :raises CommandError: if Nova refuses.
        """
        if target and self._client.api_version < _COLD_TARGET:
            raise exceptions.CommandError(
                f'{text.escape(server.name)} ({server.id}): this Nova takes '
                'no target host for a cold migration: leave --target-host '
                'out, or start the server, so that it is moved live'
            )
        hosts = [target] if target else []
        with self._changing(server):
            return _request(self._client.servers.migrate(server.id, *hosts))

    def evacuate(
        self, server: servers.Server, target: str | None
    ) -> str | None:
        """Ask for a server to be rebuilt elsewhere, as its host is down.

        Rests on POST /servers/{id}/action evacuate; the server ends stopped
        from 2.95 on. Nova would take a second one while the first goes on,
        and ruin the server with it, so its migrations and its task are looked
        at before.

        :param server: the server.
        :param target: the host to go to; None lets the scheduler choose.
        :returns: the id of the request.
        :raises OvertakenError: if the server is busy or gone.
        :raises TransientError: if it is not known whether Nova has taken it.
        :raises CommandError: if Nova refuses.
        """
        under_way = [
            item
            for item in self.migrations(server=server.id)
            if item.kind == servers.EVACUATION and item.in_progress
        ]
        now = None if under_way else self.server(server.id)
        if under_way or (now and self.being_rebuilt(now)):
            raise api.OvertakenError('an evacuation is under way already')
        with self._changing(server):
            return _request(self._client.servers.evacuate(server.id, target))

    def confirm(self, server: servers.Server) -> None:
        """Confirm a cold migration.

        Rests on POST /servers/{id}/action confirmResize.

        :param server: the server.
        :raises OvertakenError: if it is not waiting for that, or gone.
        :raises CommandError: if Nova refuses.
        """
        with self._changing(server):
            self._client.servers.confirm_resize(server.id)

    def stop(self, server: servers.Server) -> None:
        """Stop a server that runs, as its guest would shut down.

        Rests on POST /servers/{id}/action os-stop.

        :param server: the server.
        :raises OvertakenError: if it does not run, is busy, or gone.
        :raises CommandError: if Nova refuses.
        """
        with self._changing(server):
            self._client.servers.stop(server.id)

    def start(self, server: servers.Server) -> None:
        """Start a server that is stopped.

        Rests on POST /servers/{id}/action os-start.

        :param server: the server.
        :raises OvertakenError: if it is not stopped, is busy, or gone.
        :raises CommandError: if Nova refuses.
        """
        with self._changing(server):
            self._client.servers.start(server.id)

    def abort(
        self, server: servers.Server, migration: servers.Migration
    ) -> None:
        """Abort a live migration: the server stays where it was.

        Rests on DELETE /servers/{id}/migrations/{id}, of one that is queued
        from 2.65 on.

        :param server: the server.
        :param migration: its migration.
        :raises OvertakenError: if it has ended.
        :raises CommandError: if Nova refuses.
        """
        with self._changing(server):
            self._client.server_migrations.live_migration_abort(
                server.id, migration.id
            )

    def force_complete(
        self, server: servers.Server, migration: servers.Migration
    ) -> None:
        """Let a live migration end by pausing the server, or by post-copy.

        Rests on POST /servers/{id}/migrations/{id}/action force_complete.

        :param server: the server.
        :param migration: its migration.
        :raises OvertakenError: if it has ended.
        :raises CommandError: if Nova refuses.
        """
        with self._changing(server):
            self._client.server_migrations.live_migrate_force_complete(
                server.id, migration.id
            )


def _request(answer: typing.Any) -> str | None:
    # from a header, which may be missing, or be anything
    first = next(iter(getattr(answer, 'request_ids', ())), None)
    return first if first and text.is_id(first) else None
