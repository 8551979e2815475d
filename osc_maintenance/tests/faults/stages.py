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

"""The commands of the campaign, by name."""

import collections.abc

from osc_maintenance.tests.faults import moving
from osc_maintenance.tests.faults import stage
from osc_maintenance.tests.faults import staying

STAGES: collections.abc.Mapping[str, type[stage.Stage]] = {
    item.command: item
    for item in (
        *(staying.Set, staying.Unset, staying.Acknowledge, staying.Show),
        *(moving.Drain, moving.Enter, moving.Return),
        *(staying.Apply, moving.ApplyStarts, moving.ApplyEnds),
        staying.ApplyUnset,
    )
}
