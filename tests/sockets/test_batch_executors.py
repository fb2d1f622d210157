"""Batches whose calls run elsewhere: in processes of a pool, in workers of Dask."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

import pytest

from puter import (
    ChatReply,
    PuterAI,
    PuterAuthError,
    PuterBadRequestError,
    PuterConfigError,
    PuterInputError,
)
from puter.batch import workers
from puter.extensions import Budget, RedisLimiter
from puter.testing import Failure, LocalPuter, MockTransport, Reply
from tests.sockets.live import Live

SPAWN = multiprocessing.get_context("spawn")
QUESTIONS = [f"What is {number} + 1?" for number in range(12)]
ANSWERS = [f"{number} + 1 = {number + 1}" for number in range(12)]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPuter]:
    with LocalPuter(tier=None) as running:
        yield running


def environment(server: LocalPuter, **more: str) -> dict[str, str]:
    here = {"PUTER_API_BASE": server.api_base, "PUTER_LOGIN_URL": server.login_url}
    return {**here, "PUTER_AUTH_TOKEN": server.token, **more}


@pytest.fixture(scope="module")
def pool(server: LocalPuter, redis_process: str) -> Iterator[Executor]:
    """Two processes with the token in their environment."""
    with mock.patch.dict(os.environ, environment(server, REDIS_URL=redis_process)):
        made = ProcessPoolExecutor(2, mp_context=SPAWN)
        assert list(made.map(abs, range(4))) == [0, 1, 2, 3]  # they have begun
    with made:
        yield made


@pytest.fixture
def ai(server: LocalPuter) -> Iterator[PuterAI]:
    server.clear_requests()
    server.clear_faults()
    with server.client(max_retries=0) as made:
        yield made


async def run(kind: str, ai: PuterAI, items: Any, **arguments: Any) -> Any:
    return await Live(kind, mock.Mock())(ai, "batch", items, **arguments)


async def test_chats_in_processes(
    kind: str, ai: PuterAI, pool: Executor, server: LocalPuter, tmp_path: Path
) -> None:
    output = tmp_path / "answers.jsonl"
    results = await run(kind, ai, iter(QUESTIONS), executor=pool, output=output)
    assert results == ANSWERS
    assert all(isinstance(one, ChatReply) and one.cost for one in results)
    assert results.cost > 0
    assert ai.usage.requests == 0  # what workers spend is in their own clients
    assert len(server.chats) == 12
    again = await run(kind, ai, QUESTIONS, output=output)
    assert (again, again.reused) == (ANSWERS, 12)


def where(client: PuterAI, item: int) -> tuple[int, int]:
    return os.getpid(), id(client)


async def test_one_client_for_each_process(kind: str, ai: PuterAI, pool: Executor) -> None:
    seen = await run(kind, ai, range(30), function=where, executor=pool)
    assert len(set(seen)) == len({pid for pid, _ in seen}) <= 2
    assert os.getpid() not in dict(seen)


class Mine(Exception):
    def __init__(self, one: object, two: object) -> None:
        super().__init__(f"{one} and {two}")
        self.lock = threading.Lock()


def fail(_client: PuterAI, item: str) -> NoReturn:
    raise Mine(item, "more")


def test_errors_come_back(ai: PuterAI, pool: Executor, server: LocalPuter) -> None:
    server.inject(Failure(400, "Nothing for you"))
    (error,) = ai.batch(["Hello"], executor=pool)
    assert isinstance(error, PuterBadRequestError)
    assert error.status == 400
    (error,) = ai.batch(["one"], function=fail, executor=pool)
    assert isinstance(error, RuntimeError)
    assert str(error) == "Mine: one and more"


def stop(client: PuterAI, item: str) -> str:
    if item == "stop":
        os._exit(1)
    return item


def test_a_pool_that_broke_ends_the_batch(ai: PuterAI) -> None:
    with ProcessPoolExecutor(1, mp_context=SPAWN) as own:
        results = ai.batch(["a", "stop", "b", "c"], function=stop, executor=own)
    assert isinstance(results.stopped, BrokenProcessPool)
    assert results[0] == "a"
    assert len(results) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
async def test_ctrl_c_ends_no_worker_that_starts(kind: str, ai: PuterAI) -> None:
    with ProcessPoolExecutor(1, mp_context=SPAWN) as own:

        def items() -> Iterator[str]:
            yield "a"
            (started,) = own._processes
            os.kill(started, signal.SIGINT)
            yield "b"

        arguments: dict[str, Any] = {"function": stop, "executor": own, "concurrency": 2}
        assert await run(kind, ai, items(), **arguments) == ["a", "b"]
        blocked = own.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ())
        assert blocked.result() == set()  # for what the workers start in their turn
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


async def test_workers_without_a_token_end_the_batch(
    kind: str, ai: PuterAI, server: LocalPuter
) -> None:
    assert b"token" not in workers.payload(ai.with_options(), None, None).lower().replace(
        b"_token", b""
    )
    assert server.token.encode() not in workers.payload(ai.with_options(), None, None)
    with ProcessPoolExecutor(1, mp_context=SPAWN) as own:
        results = await run(kind, ai, QUESTIONS, executor=own)
        # Ctrl-C in a terminal does not end it, as that would break the pool.
        assert own.submit(signal.getsignal, signal.SIGINT).result() is signal.SIG_IGN
    assert isinstance(results.stopped, PuterAuthError)
    assert "Set PUTER_AUTH_TOKEN in the environment of the workers" in str(results.stopped)
    assert server.chats == []
    assert len(results) == 12


async def coroutine(_client: PuterAI, item: str) -> str:
    return item


async def test_what_cannot_be_sent_is_told_before_anything_is(
    kind: str, ai: PuterAI, pool: Executor, server: LocalPuter
) -> None:
    with pytest.raises(PuterConfigError, match="cannot be sent to other processes"):
        await run(kind, ai, QUESTIONS, function=lambda _client, item: item, executor=pool)
    mocked = PuterAI(token="t", transport=MockTransport(lambda _: {}))
    with pytest.raises(PuterConfigError, match="transport, a MockTransport, stays"):
        await run(kind, mocked, QUESTIONS, executor=pool)
    limited = ai.with_options().use(Budget("1"))
    with pytest.raises(PuterConfigError, match="uses Budget, which stays in this process"):
        await run(kind, limited, QUESTIONS, executor=pool)
    if kind == "async":
        (error,) = await run(kind, ai, ["a"], function=coroutine, executor=pool)
        assert isinstance(error, PuterInputError)
    assert server.chats == []


def test_what_a_worker_cannot_load_ends_the_batch(ai: PuterAI) -> None:
    sent = pickle.dumps((ai, where)).replace(b"where", b"gone!")
    with pytest.raises(PuterConfigError, match="cannot load the batch"):
        workers.work(sent, None, "a")


# ------------------------------------------------------------ a fleet within Puter's limits


@cache
def fleet() -> PuterAI:
    return PuterAI().use(RedisLimiter(os.environ["REDIS_URL"], key="batch"))


def ask(_client: PuterAI, item: str) -> str:
    return fleet().chat(item, remember=False)


def test_workers_keep_the_limits_together(ai: PuterAI, pool: Executor, server: LocalPuter) -> None:
    server.reply_with(*[Reply(text="ok", delay=0.05) for _ in range(12)])
    assert ai.batch(QUESTIONS, function=ask, executor=pool, concurrency=12) == ["ok"] * 12
    assert server.peak_running <= 3


# ------------------------------------------------------------ Dask


@pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed")
async def test_workers_of_dask(server: LocalPuter, ai: PuterAI, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with mock.patch.dict(os.environ, environment(server)):
        cluster = distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        )
    with cluster, distributed.Client(cluster) as client, client.get_executor() as executor:
        output = tmp_path / "answers.jsonl"
        assert ai.batch(QUESTIONS, executor=executor, output=output) == ANSWERS
        there = "there"  # functions of a script or a notebook are sent as they are
        results = await ai.async_batch(
            QUESTIONS, function=lambda ai, item: (os.getpid(), id(ai), there), executor=executor
        )
        assert len({tuple(one) for one in results}) == 1  # one client
        assert os.getpid() not in results[0]
