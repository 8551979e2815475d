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

"""Processes, as /proc shows them."""

import collections.abc
import pathlib

from osc_maintenance.tests.cloud import controlplane
from osc_maintenance.tests.cloud import layout

_PROC = pathlib.Path('/proc')


def of(state: layout.State) -> collections.abc.Iterator[int]:
    """All processes of a cloud, by the mark in their environment."""
    mark = f'{controlplane.STATE_MARK}={state.directory}'.encode()
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / 'environ').read_bytes().split(b'\0')
        except OSError:
            # Gone by now, or another user's.
            continue
        if mark in environment:
            yield int(entry.name)


def memory(pid: int) -> int | None:
    """The resident memory of a process, in MB."""
    try:
        lines = (_PROC / str(pid) / 'status').read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith('VmRSS:'):
            return int(line.split()[1]) // 1024
    return None
