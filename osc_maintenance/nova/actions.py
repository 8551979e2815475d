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

"""What was done to a server, by whom, and what came of it."""

import collections.abc
import typing

from novaclient import exceptions as nova_exceptions
from osc_lib import exceptions

from osc_maintenance import fields
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance import text

#: What decides whether a server runs.
_POWER = frozenset(('start', 'stop', 'reboot', 'create'))
_ABORT = 'live_migration_cancel'
_ACTIONS = {
    servers.LIVE_MIGRATION: 'live-migration',
    servers.COLD_MIGRATION: 'migrate',
    servers.EVACUATION: 'evacuate',
    'start': 'start',
    'stop': 'stop',
}
_EVACUATE, _REBUILD = 'evacuate', 'rebuild'
#: What moves a server, or may.
_MOVES = frozenset(('live-migration', 'migrate', 'resize', _EVACUATE))


class _Asked(typing.NamedTuple):
    """An action, and who has asked for it: empty if that was Nova itself."""

    action: str
    user: str


class Actions:
    """Nova's actions of servers.

    :param client: a novaclient client at the negotiated microversion.
    """

    def __init__(self, client: typing.Any) -> None:
        self._client = client

    def why(self, server: str, kind: str, request: str | None) -> str | None:
        """Why something that was done to a server failed, if Nova tells.

        Rests on GET /servers/{id}/os-instance-actions and
        /os-instance-actions/{request_id}, whose events have details from
        2.84 on, and on the server's fault.

        :param server: the server's id.
        :param kind: of the migration, or ``start`` or ``stop``.
        :param request: the id of the request that asked for it; None takes
            the latest.
        :returns: Nova's words, or None if it has none.
        """
        path = f'/servers/{server}/os-instance-actions'
        with api.explained(f'Server {server}'):
            try:
                if request is None:
                    _response, body = self._client.client.get(path)
                    request = next(
                        (
                            fields.identity(item, 'request_id')
                            for item in body['instanceActions']
                            if item['action'] == _ACTIONS.get(kind)
                        ),
                        None,
                    )
                if request is None:
                    return None
                _response, body = self._client.client.get(f'{path}/{request}')
            except nova_exceptions.NotFound:
                return None
            events = fields.listed(body['instanceAction'], 'events', dict)
            # the latest comes first; that of the conductor just sums up
            told = [
                details
                for event in events
                if event.get('result') == 'Error'
                and (details := fields.maybe(event, 'details', str))
            ]
        return text.escape(told[0].strip()) if told else None

    def trouble(self, server: servers.Server, what: str) -> str | None:
        """Why a start or a stop failed, as far as it may be read.

        Rests on what :meth:`why` does. Nova shows a fault of servers in ERROR
        only, and one that does not start or stop is not.

        :param server: the server.
        :param what: ``start`` or ``stop``.
        :returns: the words, or None if Nova has none.
        """
        try:
            told = self.why(server.id, what, None)
        except exceptions.CommandError:
            # not ours to read, perhaps
            told = None
        return told or server.fault

    def stopped_by(self, server: str) -> str | None:
        """Who has stopped a server, if that is the last of its power.

        Rests on GET /servers/{id}/os-instance-actions.

        :param server: the server's id.
        :returns: the id of the user; None if it was started since, or Nova
            does not tell.
        """
        return self._who(server, 'stop', _POWER)

    def aborted_by(self, server: str) -> str | None:
        """Who has aborted the latest live migration of a server.

        Rests on GET /servers/{id}/os-instance-actions.

        :param server: the server's id.
        :returns: the id of the user; None if nobody has asked Nova to, or Nova
            does not tell.
        """
        asked = _ACTIONS[servers.LIVE_MIGRATION]
        return self._who(server, _ABORT, {_ABORT, asked})

    def moved_by(self, server: str) -> str | None:
        """Who has asked for the latest move of a server, or its resize.

        Rests on GET /servers/{id}/os-instance-actions.

        :param server: the server's id.
        :returns: the id of the user; None if Nova does not tell, or not us.
        :raises TransientError: if Nova does not answer.
        """
        try:
            latest = self._latest(server, _MOVES)
        except api.TransientError:
            raise
        except exceptions.CommandError:
            # not ours to read, perhaps
            return None
        return (latest.user or None) if latest else None

    def being_rebuilt(self, server: servers.Server) -> bool:
        """Whether an evacuation rebuilds a server at this moment.

        Rests on GET /servers/{id}/os-instance-actions. Nova completes the
        record of an evacuation as soon as the host is up again, whatever the
        new host is still at.

        :param server: the server, as it is now.
        :returns: whether it is so; not if its owner has asked for a rebuild.
        """
        if not (server.task_state or '').startswith(_REBUILD):
            return False
        asked = {_EVACUATE, _REBUILD}
        return self._who(server.id, _EVACUATE, asked) is not None

    def _who(
        self, server: str, action: str, among: collections.abc.Set[str]
    ) -> str | None:
        """Who has asked for an action, if it is the latest of several."""
        latest = self._latest(server, among)
        return latest.user if latest and latest.action == action else None

    def _latest(
        self, server: str, among: collections.abc.Set[str]
    ) -> '_Asked | None':
        """The latest of several actions, if there is one."""
        with api.explained(f'Server {server}'):
            try:
                _response, body = self._client.client.get(
                    f'/servers/{server}/os-instance-actions'
                )
            except nova_exceptions.NotFound:
                return None
            # the latest comes first
            for item in body['instanceActions']:
                if item['action'] in among:
                    # Nova itself stops what has shut down, as nobody
                    user = fields.maybe(item, 'user_id', str) or ''
                    return _Asked(item['action'], user)
        return None
