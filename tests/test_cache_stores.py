"""Stores of a cache: what they keep, in memory, in files, in a Redis server."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from puter import PuterConfigError
from puter.extensions import stores
from puter.extensions.stores import MemoryStore, RedisStore, SqliteStore, Store

KINDS = ("memory", "sqlite", "redis")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A store of three entries."""
    match request.param:
        case "memory":
            yield MemoryStore(3)
            return
        case "sqlite":
            made: Any = SqliteStore(tmp_path / "cache.sqlite", 3)
        case _:
            made = RedisStore(request.getfixturevalue("redis_server"), 3, None)
    yield made
    made.close()


def kept(store: Any, keys: str) -> str:
    return "".join(key for key in keys if store.get(key) is not None)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_a_new_file_is_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    with contextlib.closing(SqliteStore(path, 3)) as store:
        store.set("a", "1")
        assert {one.stat().st_mode & 0o777 for one in tmp_path.iterdir()} == {0o600}


def test_what_was_set_is_got(store: Any) -> None:
    assert isinstance(store, Store)
    assert store.get("a") is None
    store.set("a", '{"text": "\\u00e9 \U0001f600"}')
    store.set("b", "1")
    store.set("b", "2")
    assert store.get("a") == '{"text": "\\u00e9 \U0001f600"}'
    assert store.get("b") == "2"


def test_the_entry_that_was_used_longest_ago_makes_room(store: Any) -> None:
    for key in "abc":
        store.set(key, key)
    assert store.get("a") == "a"  # so b is the oldest now
    store.set("d", "d")
    store.set("d", "d")  # in its own place
    assert kept(store, "abcd") == "acd"
    store.set("e", "e")
    assert kept(store, "acde") == "cde"


def test_clear_forgets_all(store: Any) -> None:
    for key in "abc":
        store.set(key, key)
    store.clear()
    assert kept(store, "abc") == ""
    store.set("a", "again")
    assert store.get("a") == "again"


def test_what_is_in_memory_is_bounded_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_MEMORY", 10)
    store = MemoryStore(99)
    for key in "abca":
        store.set(key, key * 4)
    assert kept(store, "abc") == "ac"
    store.set("a", "a")
    store.set("d", "d" * 5)
    assert kept(store, "acd") == "acd"
    store.set("e", "e" * 11)  # too large by itself
    assert kept(store, "acde") == ""
    assert store._size == 0


def test_a_closed_store_opens_again(tmp_path: Path, redis_server: str) -> None:
    for store in (SqliteStore(tmp_path / "c", 9), RedisStore(redis_server, 9, None)):
        store.set("a", "1")
        store.close()
        store.close()
        assert store.get("a") == "1"
        store.close()


# ---------------------------------------------------------------- files


def test_a_file_is_made_when_it_is_first_used(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "cache.sqlite", 9)
    store.close()
    assert not list(tmp_path.iterdir())
    store.set("a", "1")
    with sqlite3.connect(tmp_path / "cache.sqlite") as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()
    store.close()
    assert [one.name for one in tmp_path.iterdir()] == ["cache.sqlite"]


def test_the_file_is_that_of_the_folder_where_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = SqliteStore("cache.sqlite", 9)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    store.set("a", "1")
    store.close()
    assert (tmp_path / "cache.sqlite").exists()


def test_a_dropped_store_closes_its_file(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "c", 9)
    store.set("a", "1")
    connection = store._opened[os.getpid()].connection
    assert connection is not None
    del store
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE entries (key, value, used)")
    theirs.close()
    before = path.read_bytes()
    with pytest.raises(PuterConfigError, match="another program"):
        SqliteStore(path, 9).set("a", "1")
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["theirs.db"]


@pytest.mark.parametrize(
    "content", [b"no database at all" * 99, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_damaged_file_is_told_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(content)
    store = SqliteStore(path, 9)
    for _ in range(2):
        with pytest.raises(sqlite3.DatabaseError):
            store.get("a")
    assert path.read_bytes() == content
    path.unlink()
    store.set("a", "1")  # it goes on without being made anew
    assert store.get("a") == "1"
    store.close()


def test_what_can_be_read_is_given_though_nothing_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "c"
    store = SqliteStore(path, 9)
    for key in "ab":
        store.set(key, "1")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert store.get("a") == "1"
    connection = store._opened[os.getpid()].connection
    assert connection is not None
    connection.execute("PRAGMA query_only = 1")  # as on a disk that is full
    assert store.get("a") == "1"
    store.close()


def test_threads_wait_at_once_for_a_file_that_another_process_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, writers = tmp_path / "c", 4
    store = SqliteStore(path, 9)
    store.set("a", "1")
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    def written() -> None:
        if other.in_transaction:
            assert store.get("a") == "1"
            other.execute("COMMIT")

    all_wait = threading.Barrier(writers, written, timeout=30)
    slept: set[int] = set()

    def sleep(_: float) -> None:
        if threading.get_ident() not in slept:
            slept.add(threading.get_ident())
            all_wait.wait()

    monkeypatch.setattr(stores, "time", SimpleNamespace(sleep=sleep))
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(store.set, "bcde", "bcde"))
    other.close()
    assert kept(store, "abcde") == "abcde"
    store.close()


def test_waiting_for_another_process_has_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_BUSY", 0.05)
    store = SqliteStore(tmp_path / "c", 9)
    store.set("a", "1")
    with contextlib.closing(sqlite3.connect(tmp_path / "c", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            store.set("a", "2")
    store.set("a", "3")
    assert store.get("a") == "3"
    store.close()


WRITER = """
import sys
from puter.extensions import stores
from puter.extensions.stores import SqliteStore
path, name = sys.argv[1:]
store = SqliteStore(path, 150)
for number in range(50):
    store.set(f"{name}{number}", name)
    assert store.get(f"{name}{number}") == name
"""


def test_processes_share_a_file_that_none_of_them_has_made(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    command = [sys.executable, "-W", "error", "-c", WRITER, str(path)]
    writers = [
        subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True) for name in "abcd"
    ]
    for writer in writers:
        _, complaints = writer.communicate(timeout=150)
        assert (writer.returncode, complaints) == (0, "")
    store = SqliteStore(path, 150)
    found = [name for name in "abcd" for number in range(50) if store.get(f"{name}{number}")]
    store.close()
    assert len(found) == 150


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_has_a_connection_of_its_own(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "c", 9)
    store.set("parent", "1")
    (opened,) = store._opened.values()

    def child() -> None:
        assert store.get("parent") == "1"
        store.set("child", "2")
        store.close()

    with opened.lock:  # another thread of the parent is at work
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join(30)
    assert process.exitcode == 0
    assert store.get("child") == "2"
    store.close()


# ---------------------------------------------------------------- Redis


def test_the_server_forgets_entries_when_their_time_is_over(redis_server: str) -> None:
    import redis

    store = RedisStore(redis_server, 9, ttl=100)
    store.set("a", "1")
    with redis.Redis.from_url(redis_server) as client:
        assert 90_000 < client.pttl("{puter:cache}:a") <= 100_000
        client.set("of another program", "1")
        store.clear()
        assert client.keys() == [b"of another program"]
    store.close()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:none", "redis://:hidden#word@host:1/0"])
def test_what_redis_does_not_understand_is_told(url: str) -> None:
    with pytest.raises(PuterConfigError, match="A cache in Redis cannot read its URL") as caught:
        RedisStore(url, 9, None)
    assert "hidden" not in str(caught.value)
    assert caught.value.__context__ is None  # trackers of errors show that too


def test_without_the_package_it_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(PuterConfigError, match=r"puter-python-sdk\[redis\]"):
        RedisStore("redis://127.0.0.1", 9, None)
