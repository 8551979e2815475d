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

"""The rows of ``list``: what is known of each host, as fields."""

import datetime
import typing

from osc_lib import exceptions

from osc_maintenance import compute
from osc_maintenance import facts
from osc_maintenance import parallel
from osc_maintenance import text
from osc_maintenance import view

if typing.TYPE_CHECKING:
    from osc_maintenance import clients as clients_


def of_all(
    clients: 'clients_.Clients', *, everything: bool, now: datetime.datetime
) -> list[dict[str, typing.Any]]:
    """What ``list`` shows.

    :param clients: Nova. It is asked once for all services and all
        aggregates, and once for the migrations of each host in maintenance,
        and for its servers if some of them have to go, were stopped for it,
        or something moves.
    :param everything: hosts that are not in maintenance as well.
    :param now: the present, in UTC.
    :returns: the fields of each host, without those that say what is on it,
        and ``unread``: why Nova does not tell that, or None.
    """
    hosts = [
        host
        for host in facts.survey(clients.nova)
        if everything or host.aggregate or host.mark
    ]

    def row(host: compute.Host) -> dict[str, typing.Any]:
        try:
            load = facts.load_if_needed(clients, host)
        except exceptions.CommandError as exc:
            # the others are shown nevertheless
            why = text.escape(str(exc))
            return {**view.unread(host, why, now), 'unread': why}
        return {**view.fields(host, load, None, now), 'unread': None}

    return parallel.each(row, hosts)
