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

"""What goes wrong with the test cloud."""

import pathlib

_TAIL_LINES = 30


class CloudError(Exception):
    """The cloud could not do it, and why."""

    @classmethod
    def with_log(cls, what: str, log: pathlib.Path) -> 'CloudError':
        """An error that ends with what the culprit wrote last."""
        try:
            lines = log.read_text(errors='replace').splitlines()
        except OSError:
            lines = []
        tail = '\n'.join(f'    {line}' for line in lines[-_TAIL_LINES:])
        return cls(f'{what}\nThe end of {log}:\n{tail or "    (empty)"}')
