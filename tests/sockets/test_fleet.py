"""Many processes on one account, with a real Redis: limits, kills, forks and exits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import redis

from puter.extensions import RedisLimiter
from puter.testing import Gate, LocalPuter, Reply
from tests.sockets.programs import run, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLACK = 5.0  # of a machine that others use
LIMITED = """
from puter.extensions import RedisLimiter
limiter = RedisLimiter({url!r}, lease={lease})
ai.use(limiter)
"""


def limited(url: str, body: str, lease: float = 30) -> str:
    return LIMITED.format(url=url, lease=lease) + body


def until(reached: Callable[[], Any]) -> None:
    ends = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < ends, "it never came so far"
        time.sleep(0.01)


@pytest.fixture
def running(redis_server: str) -> Iterator[Callable[[], int]]:
    """How many calls of the fleet run."""
    with redis.Redis.from_url(redis_server) as client:
        yield lambda: int(client.zcard("{puter}:running"))


FLEET = """
import multiprocessing

def process():
    own = PuterAI(proxy="").use(RedisLimiter({url!r}))
    failures = []

    def work(thread):
        try:
            own.chat(f"{{os.getpid()}} {{thread}}")
            if thread:
                own.chat(f"{{os.getpid()}} {{thread}}, streamed", stream=True).until_done()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert not failures, failures

if __name__ == "__main__":
    from puter.extensions import RedisLimiter  # forked, eight processes begin at the same time
    processes = [multiprocessing.get_context("fork").Process(target=process) for _ in range(8)]
    for one in processes: one.start()
    for one in processes: one.join()
    assert [one.exitcode for one in processes] == [0] * 8
"""


def test_eight_processes_of_four_threads_share_a_free_account(redis_server: str) -> None:
    """Slow (about 15 s): 56 calls, through two real windows of 30 calls per 10 s."""
    with LocalPuter(tier="user_free", latency=0.05) as puter:
        run(puter, FLEET.format(url=redis_server), timeout=80)
    assert [record.status for record in puter.chats] == [200] * 56
    assert puter.peak_running == 3


HOLD = """
streams = [ai.chat("hi", stream=True) for _ in range(3)]
for stream in streams: next(stream)
print("open", flush=True)
time.sleep(60)
"""


def test_a_killed_process_gives_its_permits_back_within_the_lease(
    redis_server: str, running: Callable[[], int]
) -> None:
    with LocalPuter(latency=0) as puter:
        puter.reply_with(*[Reply(chunks=["one", "two"], gate=Gate()) for _ in range(3)], "Hello!")
        with start(puter, limited(redis_server, HOLD, lease=2)) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == "open\n"
            program.kill()
            began = time.monotonic()
            assert running() == 3
        ai = puter.client().use(RedisLimiter(redis_server, lease=2))
        assert ai.chat("hi") == "Hello!"
        assert time.monotonic() - began < 2 + SLACK
        ai.close()


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit", "os.kill(os.getpid(), 2)"])
def test_a_process_that_ends_gives_everything_back_at_once(
    redis_server: str, running: Callable[[], int], ending: str
) -> None:
    body = HOLD.replace("time.sleep(60)", ending)
    with LocalPuter() as puter:
        puter.reply_with(*[Reply(chunks=["one", "two"], gate=Gate()) for _ in range(3)])
        with start(puter, limited(redis_server, body, lease=3600), strict=False) as program:
            program.communicate(timeout=30)
        assert running() == 0


WORKERS = """
def work(number):
    reply = ai.chat(f"{number}")
    return os.getpid(), str(reply)

if __name__ == "__main__":
    import multiprocessing
    ai.chat("before")
    with multiprocessing.get_context("fork").Pool(3) as pool:
        pids = {pid for pid, _ in pool.map(work, range(9), 1)}
        pool.close()
        pool.join()
    ai.chat("after")
    assert os.getpid() not in pids
"""


def test_workers_that_were_forked_have_leases_of_their_own(
    redis_server: str, running: Callable[[], int]
) -> None:
    with LocalPuter(latency=0.01) as puter:
        run(puter, limited(redis_server, WORKERS, lease=3600))
        assert running() == 0
        assert [record.status for record in puter.chats] == [200] * 11
        assert puter.peak_running <= 3


FORK = """
stream = ai.chat("the parent's", stream=True)
next(stream)
child = os.fork()
if not child:
    try:
        with __import__("contextlib").suppress(Exception):
            stream.close()  # the parent's: nothing of it is given back
        ai.chat("the child's")
        limiter._keeper.finish()
    finally:
        os._exit(0)
os.waitpid(child, 0)
print(limiter._keeper._client.zcard("{puter}:running"))
stream.close()
"""


def test_a_forked_child_does_not_give_back_what_its_parent_holds(
    redis_server: str, running: Callable[[], int]
) -> None:
    with LocalPuter() as puter:
        puter.reply_with(Reply(chunks=["one", "two"], gate=Gate()), "Hello!")
        assert run(puter, limited(redis_server, FORK, lease=3600)) == "1\n"
        assert [record.status for record in puter.chats] == [200, 200]
        assert running() == 0
