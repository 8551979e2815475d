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

"""The record of a maintenance while servers are on their way."""

from osc_maintenance import compute
from osc_maintenance.drain import journey
from osc_maintenance.nova import api
from osc_maintenance.nova import hosts
from osc_maintenance import text


def ended(host: str) -> journey.LostError:
    """The error where there is no record any more.

    :param host: the host's name.
    """
    return journey.LostError(
        f'the maintenance of {text.escape(host)} was ended by somebody else'
    )


def read(
    nova: hosts.Hosts, host: str, aggregate: compute.Aggregate
) -> compute.Aggregate:
    """The aggregate with the record as it is now.

    :param nova: the hosts of Nova.
    :param host: the host's name.
    :param aggregate: the aggregate as it was.
    :raises LostError: if it is gone.
    """
    try:
        return nova.aggregate(aggregate)
    except api.OvertakenError as exc:
        raise ended(host) from exc


def write(
    nova: hosts.Hosts,
    host: str,
    aggregate: compute.Aggregate,
    changes: dict[str, str | None],
) -> compute.Aggregate:
    """Note something; the aggregate then.

    :param nova: the hosts of Nova.
    :param host: the host's name.
    :param aggregate: the aggregate as it was.
    :param changes: values by key; None removes one.
    :raises LostError: if it is gone.
    :raises TransientError: if it was refused, and is not gone.
    """
    try:
        return nova.write_record(aggregate, changes)
    except api.OvertakenError as exc:
        # unless it is gone, that is no answer of Nova's
        read(nova, host, aggregate)
        raise api.TransientError(str(exc)) from exc
