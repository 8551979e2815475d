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

"""SQLite for services that write from many threads and processes.

oslo.db begins each transaction with a deferred BEGIN and opens a connection
for each of them. A deferred transaction that reads first and writes later
fails at once with "database is locked" if somebody else wrote in between: no
timeout applies to that upgrade. So, for every engine made from here on:

- a transaction begins at its first writing statement, with BEGIN IMMEDIATE,
  which waits for its turn;
- the threads of one process take turns by a Python lock, which is fair and
  idle, where SQLite polls;
- readers don't block writers (WAL), nothing waits for the disk, and
  connections are kept in a pool;
- foreign keys hold, as they do in the databases of clouds.
"""

import sqlite3
import threading
import typing

import sqlalchemy
from sqlalchemy import engine as sa_engine
from sqlalchemy import event
from sqlalchemy import pool

BUSY_SECONDS = 60
_READERS = ('SELECT', 'PRAGMA', 'EXPLAIN', 'WITH')

_turns: dict[str, threading.Lock] = {}
_turns_guard = threading.Lock()


class Connection(sqlite3.Connection):
    """A connection that waits for its turn to write to its file."""

    def __init__(
        self, database: str, *args: typing.Any, **kwargs: typing.Any
    ) -> None:
        super().__init__(database, *args, **kwargs)
        with _turns_guard:
            self._turn = _turns.setdefault(database, threading.Lock())
        self._writing = False

    def begin(self) -> None:
        """Begin a transaction that writes."""
        if not self._writing:
            if not self._turn.acquire(timeout=2 * BUSY_SECONDS):
                raise sqlite3.OperationalError('database is locked')
            self._writing = True
        try:
            self.execute('BEGIN IMMEDIATE')
        except BaseException:
            self._end_turn()
            raise

    def commit(self) -> None:
        super().commit()
        self._end_turn()

    def rollback(self) -> None:
        try:
            super().rollback()
        finally:
            self._end_turn()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        if self._writing:
            self._writing = False
            self._turn.release()


def connect(path: str) -> Connection:
    """Open a database beside the services' own connections to it."""
    return sqlite3.connect(
        path,
        factory=Connection,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def install() -> None:
    """Apply to all engines. Call it before importing any service."""
    create_engine = sqlalchemy.create_engine

    def create_pooled_engine(url: typing.Any, **kwargs: typing.Any) -> object:
        parsed = sa_engine.make_url(url)
        if parsed.get_backend_name() == 'sqlite' and parsed.database:
            kwargs.update(
                poolclass=pool.QueuePool, pool_size=16, max_overflow=-1
            )
            kwargs.setdefault('connect_args', {}).update(
                check_same_thread=False,
                timeout=BUSY_SECONDS,
                factory=Connection,
            )
        return create_engine(url, **kwargs)

    sqlalchemy.create_engine = create_pooled_engine
    event.listen(sa_engine.Engine, 'connect', _tune)
    event.listen(
        sa_engine.Engine, 'before_cursor_execute', _begin_late, retval=True
    )


def _tune(connection: typing.Any, _record: object) -> None:
    if isinstance(connection, Connection):
        connection.execute('PRAGMA journal_mode=WAL')
        connection.execute('PRAGMA synchronous=OFF')
        connection.execute('PRAGMA foreign_keys=ON')


def _begin_late(
    _connection: object,
    cursor: typing.Any,
    statement: str,
    parameters: object,
    _context: object,
    _executemany: bool,
) -> tuple[str, object]:
    raw = cursor.connection
    if isinstance(raw, Connection):
        if statement == 'BEGIN':
            return 'SELECT 1', parameters
        if not (
            raw.in_transaction
            or statement.lstrip()[:8].upper().startswith(_READERS)
        ):
            raw.begin()
    return statement, parameters
