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

"""What a command answers. Pure."""

import json
import re
import typing

from osc_maintenance.tests.faults import client
from osc_maintenance.tests.faults import facts as facts_

Json = dict[str, typing.Any]

#: What a command answers whichever way it has come to its end.
_TOLD = (
    'state',
    'cause',
    'reason',
    'ticket_url',
    'removal',
    'migrate',
    'service_status',
    'servers',
    'migrations_out',
    'migrations_in',
    'unconfirmed_resizes',
    'emptied',
    'reply',
    'reply_reason',
)
#: What is answered of a host that is one of several.
_ROW = ('state', 'action', 'changed', 'cause')
_UUID = re.compile('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
#: How ``apply`` begins to say that owners could not be told.
UNTOLD = 'owners not told: '


def rows(answer: client.Answer) -> list[Json]:
    """What it answers, which is one host or several; nothing if it is cut."""
    try:
        found = json.loads(answer.stdout)
    except ValueError:
        return []
    return found if isinstance(found, list) else [found]


def essence(answer: client.Answer, host: str) -> Json:
    """What a command answers that is the same every time.

    :param answer: what it said.
    :param host: the host, if it answers several.
    """
    found = json.loads(answer.stdout)
    names: tuple[str, ...] = _TOLD
    if isinstance(found, list):
        of = [row for row in found if row['host'] == host]
        found, names = of[0] if of else {}, _ROW
    kept = {name: found[name] for name in names if name in found}
    # a server that stays has a twin where the others go
    same: Json = json.loads(_UUID.sub('*', json.dumps(kept)))
    return same


def says_that_more_is_left(answer: client.Answer, *, leaves: bool) -> bool:
    """Whether a command that goes step by step says that it is not over.

    :param answer: what it said.
    :param leaves: whether a server was there that had to go, or had to be
        confirmed: one moved when it looked, and may have arrived since;
        another has its turn at the next run.
    """
    return any(
        (row['state'] == 'migrating' and (row['cause'] or leaves))
        # what has gone since is found at the next run
        or (row['state'] == 'maintenance' and row.get('action') == 'draining')
        for row in rows(answer)
    )


def untold(answer: client.Answer, found: facts_.Facts) -> list[str]:
    """The servers of which it says that their owners could not be told.

    :param answer: what it said.
    :param found: how things are.
    :returns: their names.
    """
    ids, causes = set(), ''
    for row in rows(answer):
        ids |= {item['id'] for item in row.get('untold', ())}
        if UNTOLD in (row.get('cause') or ''):
            causes += row['cause']
    return [
        name
        for name, server in found.servers.items()
        # a list alone is overlooked
        if (server.id in ids and server.id in answer.stderr)
        or server.id in causes
    ]
