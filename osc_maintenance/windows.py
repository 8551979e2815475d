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

"""What the window of a host calls for. Pure."""

import datetime
import enum

from osc_maintenance import compute
from osc_maintenance import lull
from osc_maintenance import state


class Call(enum.Enum):
    """What the window of a host calls for."""

    #: its start has come: enter the maintenance
    ENTER = 'enter'
    #: its end has come: the maintenance is overdue
    END = 'end'
    #: it cannot be done, or the record does not tell: see the state's cause
    MEND = 'mend'


def called_for(host: compute.Host, now: datetime.datetime) -> Call | None:
    """What the window of a host calls for.

    A maintenance that was entered is to be entered again if the service is as
    it was before: entering it was interrupted, or somebody enabled it while
    the window is open. What else somebody has made of the service is left
    alone.

    :param host: the host.
    :param now: the present, in UTC.
    :returns: what it calls for, or None for nothing.
    """
    record, service = host.record, host.service
    if record is None:
        return None
    if record.problems:
        return Call.MEND
    if state.overdue(record, now):
        return Call.END
    if record.start is None or record.start > now:
        return None
    if service is None or service.others or host.strangers:
        return Call.MEND
    if host.journal.returning:
        # somebody is ending it right now; of a plan no server comes back
        ends = record.entered or lull.just_begun(host.journal, now)
        return None if ends else Call.MEND
    waiting = not record.entered or service.as_set == record.before
    return Call.ENTER if waiting else None
