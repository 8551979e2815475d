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

"""Ctrl-C and SIGTERM: the first asks a drain to stop, the second ends it."""

import collections.abc
import contextlib
import os
import select
import signal
import types

#: Waits for some seconds; True means that the drain is asked to stop.
Pause = collections.abc.Callable[[float], bool]


@contextlib.contextmanager
def interruptible() -> collections.abc.Iterator[Pause]:
    """Let Ctrl-C and SIGTERM interrupt the waiting, and nothing else.

    A request that is under way comes to its end. The second signal raises
    KeyboardInterrupt wherever it finds us.

    :returns: waits for some seconds, and says whether there was a signal.
    """
    reading, writing = os.pipe()
    signals = (signal.SIGINT, signal.SIGTERM)

    def note(_number: int, _frame: types.FrameType | None) -> None:
        # a lock could be held by what was interrupted
        os.write(writing, b'.')
        for number in signals:
            signal.signal(number, leave)

    def leave(_number: int, _frame: types.FrameType | None) -> None:
        raise KeyboardInterrupt

    def pause(seconds: float) -> bool:
        readable, _writable, _failed = select.select(
            [reading], [], [], seconds
        )
        return bool(readable)

    before = {number: signal.signal(number, note) for number in signals}
    try:
        yield pause
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)
