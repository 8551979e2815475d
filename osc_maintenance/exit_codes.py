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

"""What the exit status of a command says: people script against these."""

import enum


class ExitCode(enum.IntEnum):
    """The exit statuses of the ``openstack host maintenance`` commands."""

    #: What was asked for is done, or there was nothing to do.
    DONE = 0
    #: Failed: one line on stderr says why.
    ERROR = 1
    #: The command line is wrong: nothing was asked of Nova.
    USAGE = 2
    #: Some servers that were to be moved have stayed.
    STAYED = 3
    #: The time that was given is over, and something is left or in motion.
    TIMED_OUT = 4
    #: Refused before anything was written.
    REFUSED = 5
    #: What has stayed waits for its owners, and for nothing else.
    OWNERS = 6
    #: Interrupted with Ctrl-C: the same command continues.
    INTERRUPTED = 130
