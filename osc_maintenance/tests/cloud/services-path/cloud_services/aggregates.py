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

"""A Nova that is busy while it updates the metadata of an aggregate.

It removes keys one by one, and then writes all values at once, each in a
transaction of its own. What others ask for may come in between.
"""

import time
import typing

from nova.objects import aggregate

#: The number of an aggregate -> how many seconds lie between the two.
SECONDS: dict[int, float] = {}

_add = aggregate._metadata_add_to_db


def install() -> None:
    """Let Nova take the time that is asked for."""
    aggregate._metadata_add_to_db = _add_later


def _add_later(
    context: typing.Any,
    number: int,
    *args: typing.Any,
    **kwargs: typing.Any,
) -> typing.Any:
    time.sleep(SECONDS.get(number, 0.0))
    return _add(context, number, *args, **kwargs)
