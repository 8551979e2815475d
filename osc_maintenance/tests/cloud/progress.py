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

"""Says on stderr what is being done, with the seconds since the start."""

import collections.abc
import sys
import time

#: called with each step
Progress = collections.abc.Callable[[str], None]


class Reporter:
    """A Progress for people."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, step: str) -> None:
        elapsed = time.monotonic() - self._began
        sys.stderr.write(f'{elapsed:6.1f} s  {step}\n')
        sys.stderr.flush()


def silent(step: str) -> None:
    """A Progress for nobody."""
