"""Where a ``Cache`` keeps its entries: in memory, in a SQLite file, in a Redis server.

A store is anything with ``get(key)`` and ``set(key, value)``, both texts. These three keep the
``max_entries`` that were used last.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from puter.engine.clock import monotonic
from puter.exceptions import PuterConfigError
from puter.extensions.redis_client import connect
from puter.process import late, short_lock

if TYPE_CHECKING:
    import sqlite3
else:
    sqlite3 = late("sqlite3")

T = TypeVar("T")


@runtime_checkable
class Store(Protocol):
    """What ``Cache(store=...)`` takes. Called from several threads at once.

    ``clear()`` and ``close()`` are called too, where it has them. Behind async methods ``get`` and
    ``set`` may be coroutine functions.
    """

    def get(self, key: str) -> Any:
        """The value of the key, None when there is none."""
        ...

    def set(self, key: str, value: str) -> Any:
        """Keep the value; ``key`` is 64 hexadecimal digits, ``value`` JSON."""
        ...


class MemoryStore:
    """Entries in memory, until the process ends, of 256 Mi characters together at most.

    Examples:
        >>> store = MemoryStore(max_entries=2)
        >>> for key in "abc":
        ...     store.set(key, key.upper())
        >>> store.get("a"), store.get("c")
        (None, 'C')
    """

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._size = 0
        self._entries: OrderedDict[str, str] = OrderedDict()

    def get(self, key: str) -> str | None:
        with short_lock():
            value = self._entries.get(key)
            if value is not None:
                self._entries.move_to_end(key)
            return value

    def set(self, key: str, value: str) -> None:
        with short_lock():
            self._size += len(value) - len(self._entries.pop(key, ""))
            self._entries[key] = value
            while len(self._entries) > self._max_entries or self._size > _MEMORY:
                _, oldest = self._entries.popitem(last=False)
                self._size -= len(oldest)

    def clear(self) -> None:
        with short_lock():
            self._entries.clear()
            self._size = 0

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self._entries)}>"


_MEMORY = 2**28
"""Characters in memory at most."""

# ---------------------------------------------------------------- a file

_OURS = 0x50757465
"""``application_id`` in the header of a file that is ours."""
_BUSY = 5.0
"""Seconds to wait for another process that writes."""
_AGAIN = 0.01
"""Seconds until it is tried again."""
_SCHEMA = (
    "CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT NOT NULL, used INTEGER NOT NULL)",
    "CREATE INDEX entries_used ON entries (used)",
    f"PRAGMA application_id = {_OURS}",
)
_GET = "SELECT value FROM entries WHERE key = ?"
# `used` is a counter, as clocks go backwards.
_TOUCH = """
    UPDATE entries SET used = (SELECT max(used) + 1 FROM entries)
    WHERE key = ? AND used < (SELECT max(used) FROM entries)
"""
_SET = """
    INSERT OR REPLACE INTO entries VALUES (?, ?, (SELECT coalesce(max(used), 0) + 1 FROM entries))
"""
_EVICT = """
    DELETE FROM entries WHERE key IN (
        SELECT key FROM entries ORDER BY used LIMIT max(0, (SELECT count(*) FROM entries) - ?)
    )
"""


class SqliteStore:
    """Entries in a SQLite file in WAL mode, which any number of threads and processes may share.

    The file is made, or opened, when it is first used.

    Args:
        path: The file.
        max_entries: How many it keeps.
    """

    def __init__(self, path: str | os.PathLike[str], max_entries: int) -> None:
        self._path = os.path.abspath(os.fsdecode(path))
        self._max_entries = max_entries
        self._opened: dict[int, _Opened] = {}  # by process: a connection does not survive a fork
        weakref.finalize(self, _close, self._opened)

    def get(self, key: str) -> str | None:
        def read(connection: sqlite3.Connection) -> str | None:
            row = connection.execute(_GET, (key,)).fetchone()
            if row is None:
                return None
            with suppress(sqlite3.Error):  # a file that cannot be written can be read
                connection.execute(_TOUCH, (key,))
            return str(row[0])

        return self._when_free(read)

    def set(self, key: str, value: str) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_SET, (key, value))
            connection.execute(_EVICT, (self._max_entries,))
            connection.execute("COMMIT")

        self._when_free(write)

    def clear(self) -> None:
        self._when_free(lambda connection: connection.execute("DELETE FROM entries"))

    def close(self) -> None:
        """Close this process's connection; it is opened again when it is needed."""
        _close(self._opened)

    def _when_free(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """What the action returns; while others lock the file, it is tried again for a time.

        This process's threads do not wait for each other meanwhile.
        """
        ends = monotonic() + _BUSY
        while True:
            try:
                with self._connection() as connection:
                    return action(connection)
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or monotonic() >= ends:
                    raise
            time.sleep(_AGAIN)

    @contextmanager
    def _connection(self) -> Generator[sqlite3.Connection, None, None]:
        """This process's connection, for one thread at a time; closed when something fails."""
        opened = self._opened.setdefault(os.getpid(), _Opened())
        with opened.lock:
            try:
                if opened.connection is None:
                    opened.connection = _connect(self._path)
                yield opened.connection
            except BaseException as error:
                connection = opened.connection
                if connection is None or connection.in_transaction or not _is_busy(error):
                    opened.close()  # which undoes what was not committed
                raise

    def __repr__(self) -> str:
        return f"<SqliteStore {self._path!r}>"


class _Opened:
    """What one process has open."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: sqlite3.Connection | None = None

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()


def _close(all_opened: dict[int, _Opened]) -> None:
    opened = all_opened.get(os.getpid())  # a forked child leaves its parent's alone
    if opened is not None:
        with opened.lock:
            opened.close()


def _is_busy(error: BaseException) -> bool:
    """Whether another process has the file locked."""
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def _connect(path: str) -> sqlite3.Connection:
    with suppress(OSError):  # it is there, or SQLite says better what is wrong
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # for its user alone
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make the table in a new file.

    Raises:
        PuterConfigError: The file is another program's, which is not touched.
    """
    if not _is_ours(connection, path):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        if not _is_ours(connection, path):
            for statement in _SCHEMA:
                connection.execute(statement)
        connection.execute("COMMIT")
    connection.execute("PRAGMA synchronous = NORMAL")


def _is_ours(connection: sqlite3.Connection, path: str) -> bool:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application == _OURS:
        return True
    (things,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application or things:
        raise PuterConfigError(
            f"{path!r} is a database of another program",
            hint="Give the cache a file of its own.",
        )
    return False


# ---------------------------------------------------------------- Redis

_KEYS = "{puter:cache}:"  # the braces keep all of them on one node of a cluster
_GET_REDIS = """
local value = redis.call("GET", KEYS[1])
if value then redis.call("ZADD", KEYS[2], redis.call("INCR", KEYS[3]), KEYS[1]) end
return value
"""
_SET_REDIS = """
redis.call("SET", KEYS[1], ARGV[1])
if ARGV[2] ~= "" then redis.call("PEXPIRE", KEYS[1], ARGV[2]) end
redis.call("ZADD", KEYS[2], redis.call("INCR", KEYS[3]), KEYS[1])
local over = redis.call("ZCARD", KEYS[2]) - ARGV[3]
if over > 0 then
    local oldest = redis.call("ZRANGE", KEYS[2], 0, over - 1)
    for _, key in ipairs(oldest) do redis.call("DEL", key) end
    redis.call("ZREMRANGEBYRANK", KEYS[2], 0, over - 1)
end
"""
_CLEAR_REDIS = """
for _, key in ipairs(redis.call("ZRANGE", KEYS[1], 0, -1)) do redis.call("DEL", key) end
redis.call("DEL", KEYS[1], KEYS[2])
"""


class RedisStore:
    """Entries in a Redis server, which any number of processes and hosts may share.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``; connected to when it is first used.
        max_entries: How many it keeps.
        ttl: Seconds after which the server forgets an entry. Default: never.

    Raises:
        PuterConfigError: ``redis`` is not installed, or the URL is none.
    """

    def __init__(self, url: str, max_entries: int, ttl: float | None) -> None:
        self._client: Any = connect("A cache in Redis", url, decode_responses=True)
        self._max_entries = max_entries
        self._ttl = "" if ttl is None else max(1, round(ttl * 1000))
        self._get = self._client.register_script(_GET_REDIS)
        self._set = self._client.register_script(_SET_REDIS)
        self._clear = self._client.register_script(_CLEAR_REDIS)

    def get(self, key: str) -> str | None:
        value: str | None = self._get(keys=[_KEYS + key, *_INDEX])
        return value

    def set(self, key: str, value: str) -> None:
        self._set(keys=[_KEYS + key, *_INDEX], args=[value, self._ttl, self._max_entries])

    def clear(self) -> None:
        self._clear(keys=_INDEX)

    def close(self) -> None:
        """Close the connections; they are opened again when they are needed."""
        self._client.close()

    def __repr__(self) -> str:
        return "<RedisStore>"


_INDEX = (_KEYS + "used", _KEYS + "counter")
"""A sorted set of the keys, by when they were used, and the counter that says when."""
