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

"""Locks on files.

The kernel takes them back from a process that dies, whatever way it dies, so
that no lock is ever left behind and nobody has to keep track of processes.
"""

import collections.abc
import contextlib
import fcntl
import os
import pathlib


def _open(path: pathlib.Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextlib.contextmanager
def exclusive(path: pathlib.Path) -> collections.abc.Iterator[None]:
    """Hold a lock that nobody else has; wait for it."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def try_exclusive(path: pathlib.Path) -> int | None:
    """Take a lock for as long as the returned descriptor is open.

    :returns: None if anybody has it
    """
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def shared(path: pathlib.Path) -> int:
    """Take a lock that others may share, until the descriptor is closed.

    Waits while somebody has it exclusively.
    """
    descriptor = _open(path)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def is_held(path: pathlib.Path) -> bool:
    """Whether anybody has this lock, right now."""
    descriptor = try_exclusive(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False
