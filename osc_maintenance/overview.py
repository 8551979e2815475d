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

"""What the owners of a host's servers have been told and say. Pure."""

import collections
import collections.abc
import typing

from osc_maintenance import notice
from osc_maintenance import owners
from osc_maintenance import servers
from osc_maintenance import text


def of(
    found: collections.abc.Iterable[servers.Server], maintenance: str
) -> list[dict[str, typing.Any]]:
    """What the owners say, project by project, as JSON shows it: a contract.

    :param found: the servers on the host.
    :param maintenance: the id of its maintenance; empty if there is none.
    :returns: for each project its id, how many ``servers`` it has there, how
        many of these were ``told`` and have ``replied``, the ``replies`` and
        the standing ``policies`` by how many say so, and those that are
        ``not_ready`` with their reasons.
    """
    projects: dict[str, list[servers.Server]] = collections.defaultdict(list)
    for server in found:
        projects[server.project].append(server)
    return [
        _project(project, projects[project], maintenance)
        for project in sorted(projects)
    ]


def _project(
    project: str, found: list[servers.Server], maintenance: str
) -> dict[str, typing.Any]:
    told = 0
    replies = {answer.value: 0 for answer in owners.Answer}
    policies: dict[str, int] = collections.Counter()
    not_ready = []
    for server in found:
        known = notice.decode(server.said)
        told += bool(known and known.id == maintenance)
        wish = owners.wish(server.said)
        if wish:
            policies[wish.value] += 1
        reply = owners.reply(server.said, maintenance)
        if reply is None:
            continue
        replies[reply.answer.value] += 1
        if reply.answer is owners.Answer.NOT_READY:
            reason = text.escape(reply.reason) if reply.reason else None
            not_ready.append(
                {
                    'id': server.id,
                    'name': text.escape(server.name),
                    'reason': reason,
                }
            )
    return {
        'project': project,
        'servers': len(found),
        'told': told,
        'replied': sum(replies.values()),
        'replies': replies,
        'policies': dict(sorted(policies.items())),
        'not_ready': not_ready,
    }


def in_words(row: collections.abc.Mapping[str, typing.Any]) -> str:
    """One project, as a table shows it.

    :param row: what :func:`of` says of it.
    :returns: a line, and one more for each server that is not ready.
    """
    line = (
        f'{row["project"]}: {row["servers"]} here, {row["told"]} told, '
        f'{row["replied"]} replied'
    )
    for what, counts in (
        ('', row['replies']),
        (' by policy', row['policies']),
    ):
        said = [f'{n} {word}{what}' for word, n in counts.items() if n]
        if said:
            line += f'{";" if what else ":"} {", ".join(said)}'
    return '\n'.join(
        (
            line,
            *(
                f'  {item["name"]} ({item["id"]}): not ready: '
                f'{item["reason"] or "no reason given"}'
                for item in row['not_ready']
            ),
        )
    )
