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

"""What ``set`` and ``unset`` have in common when owners are told."""

import argparse
import collections.abc
import typing

from osc_maintenance.osc import options

if typing.TYPE_CHECKING:
    import logging

    from osc_maintenance import clients as clients_
    from osc_maintenance import compute
    from osc_maintenance.drain import plan as plan_
    from osc_maintenance import owners


def add(parser: argparse.ArgumentParser) -> None:
    """Add whether the owners of the servers are told.

    :param parser: the command's parser.
    """
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        '--notify-owners',
        dest='notify',
        action='store_true',
        default=None,
        help=(
            'Tell the owners of the servers on the host, in the metadata of '
            'these, when it is and what happens to them; recorded'
        ),
    )
    group.add_argument(
        '--no-notify-owners',
        dest='notify',
        action='store_false',
        default=None,
        help='Tell them nothing, and remove the notices that there are',
    )
    parser.add_argument(
        '--owner-replies',
        metavar='<what>',
        choices=('ignore', 'wait', 'require'),
        help=(
            'What is made of their replies: ignore (ask for none), wait (a '
            'server goes once its owner has replied, or at --reply-by) or '
            'require (only once its owner has replied); recorded (default: '
            'ignore)'
        ),
    )
    parser.add_argument(
        '--reply-by',
        metavar='<time>',
        type=options.deadline,
        help=(
            'Until when replies count, in the same forms as --start, or a '
            'duration from now; recorded (default: with wait, until the '
            'start of a planned maintenance; with require, no end)'
        ),
    )


def heed(parsed_args: argparse.Namespace) -> 'owners.Heed | None':
    """What is to be made of the owners' replies, if that was said.

    :param parsed_args: the command's arguments.
    """
    from osc_maintenance import owners

    given = parsed_args.owner_replies
    return owners.Heed(given) if given else None


def tell(
    clients: 'clients_.Clients',
    log: 'logging.Logger',
    host: 'compute.Host',
    plan: 'plan_.Plan | None',
) -> tuple['compute.Host', dict[str, typing.Any]]:
    """Bring the notices to the owners up to date, if there is any to be.

    :param clients: Nova.
    :param log: of the command.
    :param host: the host.
    :param plan: what is to be done with its servers, if that is known.
    :returns: the host then, and what is answered beside it.
    """
    from osc_maintenance import notices
    from osc_maintenance import times

    if not notices.concern(host):
        return host, {}
    host, failed = notices.tell_all(clients, host, times.now(), plan)
    return host, _untold(log, host, failed)


def tell_again(
    clients: 'clients_.Clients', log: 'logging.Logger', host: 'compute.Host'
) -> tuple['compute.Host', dict[str, typing.Any]]:
    """The same once servers have been moved, whoever has changed the record.

    :param clients: Nova.
    :param log: of the command.
    :param host: the host as it was before.
    :returns: the host then, and what is answered beside it.
    """
    from osc_maintenance import facts
    from osc_maintenance import notices

    if not notices.concern(host):
        return host, {}
    return tell(clients, log, facts.find(clients.nova, host.name), None)


def withdraw(
    clients: 'clients_.Clients',
    log: 'logging.Logger',
    host: 'compute.Host',
    *,
    force: bool,
) -> dict[str, typing.Any]:
    """Remove all notices before the record of them is deleted.

    :param clients: Nova.
    :param log: of the command.
    :param host: the host.
    :param force: end the maintenance although somebody has changed the
        service.
    :returns: what is answered beside the host.
    :raises RefusedError: if it cannot be ended; the notices stay then.
    """
    from osc_maintenance import change
    from osc_maintenance import notices

    if not host.journal.told:
        return {}
    change.to_unset(host, force=force)
    return _untold(log, host, notices.withdraw(clients, host))


def _untold(
    log: 'logging.Logger',
    host: 'compute.Host',
    found: collections.abc.Mapping[str, str],
) -> dict[str, typing.Any]:
    """Report the servers whose notices are not what they have to be."""
    from osc_maintenance import text

    rows = [{'id': server, 'cause': why} for server, why in found.items()]
    for row in rows:
        log.warning(
            '%s: the notice to the owner of server %s is not up to date: %s',
            *(text.escape(host.name), row['id'], row['cause']),
        )
    return {'untold': rows}
