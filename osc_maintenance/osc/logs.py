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

"""What is logged while a command of ours runs, whoever logs it."""

import logging

from osc_maintenance import text


class _Harmless(logging.Formatter):
    """Lets no control sequence and no credentials of a URL into a log.

    With ``--debug`` what a cloud answers is logged as it came, and tracebacks
    repeat it: what our own messages escape would come in by that door.

    :param made: the formatter whose lines these are.
    """

    def __init__(self, made: logging.Formatter) -> None:
        super().__init__()
        self._made = made

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines: a traceback has several."""
        lines = self._made.format(record).split('\n')
        return '\n'.join(text.escape(text.masked(line)) for line in lines)


def make_harmless() -> None:
    """Have what is logged from now on fit for a terminal.

    It stays so: OSC logs how a command has ended when that is over.
    """
    for handler in logging.getLogger().handlers:
        if not isinstance(handler.formatter, _Harmless):
            handler.setFormatter(
                _Harmless(handler.formatter or logging.Formatter())
            )
