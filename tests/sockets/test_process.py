"""Forks, file descriptors and imports: nothing of a client is left half done by them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from puter.testing import LocalPuter
from tests.sockets import programs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")


@pytest.fixture
def server() -> Iterator[LocalPuter]:
    with LocalPuter(tier=None) as puter:
        yield puter


CHILD = """
def child_works():
    child = os.fork()
    if not child:
        code = 1
        try:
            assert ai.chat("3 + 3") == "3 + 3 = 6"
            assert run(ai.async_chat("4 + 4")) == "4 + 4 = 8"
            assert ai.usage.requests >= 2
            assert ai.chat("What is gpt-4o?", "openai/gpt-4o", remember=False)
            ai.clear_chat_history()
            ai.close()
            code = 0
        finally:
            os._exit(code)
    for _ in range(3000):
        if os.waitpid(child, os.WNOHANG)[0]:
            break
        time.sleep(0.01)
    else:
        os.kill(child, 9)
        raise SystemExit("the child hangs")
"""

LOCKS = {
    "the short lock": "puter.process.short_lock()",
    "throttle": "ai._throttle._lock",
}


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
@pytest.mark.parametrize("used", [False, True])
def test_a_fork_while_another_thread_holds_a_lock(
    server: LocalPuter, lock: str, used: bool
) -> None:
    programs.run(
        server,
        CHILD
        + f"""
import puter.process
if {used}:
    ai.chat("1 + 1"); run(ai.async_chat("1 + 1"))
held, done = threading.Event(), threading.Event()
def hold():
    with {lock}:
        held.set()
        done.wait(60)
thread = threading.Thread(target=hold)
thread.start()
held.wait()
child_works()
done.set()
thread.join()
""",
    )


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("puter.transports.requests_transport", "ai.chat('Hi')"),
        ("requests.adapters", "ai.chat('Hi')"),
        ("aiohttp.client", "run(ai.async_chat('Hi'))"),
    ],
)
def test_a_fork_during_the_import_of_a_first_call(
    server: LocalPuter, module: str, call: str
) -> None:
    """The thread that imports is not in the child, so the fork waits until it is done."""
    programs.run(
        server,
        f"""
for name in [one for one in sys.modules if one.partition(".")[0] in ("requests", "aiohttp")
             or one.startswith("puter.transports")]:
    del sys.modules[name]
importing = threading.Event()
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            importing.set()
            time.sleep(0.5)
sys.meta_path.insert(0, Slow())
thread = threading.Thread(target=lambda: {call})
thread.start()
assert importing.wait(30)
"""
        + CHILD
        + "child_works()\nthread.join()\n",
    )


def test_a_fork_holds_no_lock_that_what_is_loaded_waits_for() -> None:
    program = """
import os, sys, threading, time
import puter.process
assert "logging" not in sys.modules
puter.process.FORK_WAITS = 60
loading = threading.Event()
def load():
    with puter.process.loading():
        import logging
        loading.set()
        time.sleep(0.3)
        logging.getLogger("another")
thread = threading.Thread(target=load)
thread.start()
loading.wait()
if not (child := os.fork()):
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
thread.join()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=False,
        timeout=150,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fork_does_not_wait_for_ever(server: LocalPuter) -> None:
    programs.run(
        server,
        """
        import puter.process
        puter.process.FORK_WAITS = 0.2
        held, done = threading.Event(), threading.Event()
        def hold():
            with puter.process.loading():
                held.set()
                done.wait(60)
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        child = os.fork()
        if not child:
            with puter.process.loading():
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        done.set()
        thread.join()
        with puter.process.loading():
            pass
        """,
    )


def test_a_stream_left_open_in_a_child_stays_its_parents(server: LocalPuter) -> None:
    from puter.testing import Reply

    server.reply_with(Reply(chunks=["one ", "two ", "three"], pace=0.2))
    programs.run(
        server,
        """
        async def main():
            stream = await ai.async_chat("Hi", stream=True)
            assert await anext(stream) == "one "
            child = os.fork()
            if not child:
                stream._end()
                stream._body.abort()
                ai.close()
                os._exit(0)
            os.waitpid(child, 0)
            assert await stream.until_done() == "one two three"
            await ai.async_close()
        run(main())
        """,
    )


@pytest.mark.parametrize(
    ("call", "first", "rest"),
    [
        ("ai.chat('Hi', stream=True)", "next(stream)", "stream.until_done()"),
        (
            "loop.run_until_complete(ai.async_chat('Hi', stream=True))",
            "loop.run_until_complete(anext(stream))",
            "loop.run_until_complete(stream.until_done())",
        ),
    ],
    ids=["sync", "async"],
)
def test_a_child_reads_nothing_of_its_parents_stream(
    server: LocalPuter, call: str, first: str, rest: str
) -> None:
    from puter.testing import Reply

    server.reply_with(Reply(chunks=["one ", "two ", "three"], pace=0.2))
    programs.run(
        server,
        f"""
        from puter import PuterError
        loop = asyncio.new_event_loop()
        loop.slow_callback_duration = 10
        stream = {call}
        assert {first} == "one "
        child = os.fork()
        if not child:
            code = 1
            try:
                {rest}
            except PuterError as error:
                assert "forked" in str(error), error
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert {rest} == "one two three"
        loop.run_until_complete(ai.async_close())
        loop.close()
        """,
    )


@pytest.mark.parametrize("stream", [False, True])
def test_the_first_async_call_imports_outside_the_loops_thread(
    server: LocalPuter, stream: bool
) -> None:
    """Its import of aiohttp waits here until the event loop has run a callback."""
    programs.run(
        server,
        """
        for name in [one for one in sys.modules if one.partition(".")[0] == "aiohttp"
                     or one == "puter.transports.aiohttp_transport"]:
            del sys.modules[name]
        importing, ran = threading.Event(), threading.Event()
        class Slow:
            def find_spec(self, name, path=None, target=None):
                if name == "aiohttp":
                    importing.set()
                    assert ran.wait(20), "the loop stands still"
        sys.meta_path.insert(0, Slow())
        async def main():
            call = asyncio.create_task(METHOD)
            while not importing.is_set():
                await asyncio.sleep(0.01)
            asyncio.get_running_loop().call_soon(ran.set)
            answer = await call
            if hasattr(answer, "until_done"):
                answer = await answer.until_done()
            assert answer == "2 + 2 = 4", answer
            await ai.async_close()
        run(main())
        """.replace("METHOD", f"ai.async_chat('2 + 2', stream={stream})"),
    )


AFTER_MAIN = """
from puter import PuterError
def three_threads(call):
    def use():
        loop = asyncio.new_event_loop()
        loop.slow_callback_duration = 10
        while not threading._SHUTTING_DOWN:
            time.sleep(0.01)
        try:
            print(call(loop))
        except PuterError as error:
            print(error)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    for _ in range(3):
        threading.Thread(target=use).start()
"""

DESCRIPTORS = """
import resource
from puter import PuterError
def exhaust():
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return taken
def free(taken):
    while taken:
        os.close(taken.pop())
resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150))
ai.config.update(max_retries=1, retry_delay=0.0)
"""

FRESH = """
for name in [one for one in sys.modules if one.partition(".")[0] in
             ("requests", "urllib3", "aiohttp", "certifi", "idna", "mimetypes", "encodings.idna")
             or one == "concurrent.futures.thread" or one.startswith("puter.transports")]:
    sys.modules.pop(name)
"""

FIRST_CALLS = {
    "chat": "ai.chat('Hi')",
    "stream": "ai.chat('Hi', stream=True).until_done()",
    "image": "ai.img2txt(b'\\x89PNG\\r\\n\\x1a\\n' + bytes(40))",
    "upload": "ai.upload(b'content', '~/notes.xyz')",
    "usage": "ai.account_usage()",
    "async chat": "loop.run_until_complete(ai.async_chat('Hi'))",
    "async upload": "loop.run_until_complete(ai.async_upload(b'content', '~/notes.xyz'))",
}


@pytest.mark.parametrize("fresh", [False, True], ids=["again", "first"])
@pytest.mark.parametrize("call", FIRST_CALLS.values(), ids=FIRST_CALLS)
def test_without_descriptors_a_call_fails_and_the_next_one_works(
    server: LocalPuter, call: str, fresh: bool
) -> None:
    programs.run(
        server,
        DESCRIPTORS
        + (FRESH if fresh else "")
        + f"""
loop = asyncio.new_event_loop()
loop.slow_callback_duration = 10
taken = exhaust()
for _ in range(2):
    try:
        {call}
    except PuterError as error:
        assert "files" in str(error) or "descriptor" in str(error), error
    else:
        raise SystemExit("how?")
free(taken)
{call}
loop.run_until_complete(ai.async_close())
loop.run_until_complete(loop.shutdown_default_executor())
loop.close()
""",
    )


@pytest.mark.parametrize("fresh", [False, True], ids=["again", "first"])
@pytest.mark.parametrize("door", ["sync", "async"])
def test_calls_queue_in_threads_that_outlive_the_main_one(
    server: LocalPuter, door: str, fresh: bool
) -> None:
    """Python may start no thread any more, and imports nothing that is to end with the last."""
    call = "ai.chat('1 + 1', remember=False)"
    if door == "async":
        call = f"loop.run_until_complete({call.replace('chat', 'async_chat')})"
    first = FRESH if fresh else "run(ai.async_chat('Hello'))\n"
    out = programs.run(
        server,
        f"{first}ai.config.max_concurrency = 1\n{AFTER_MAIN}three_threads(lambda loop: {call})",
    )
    assert out.splitlines() == ["1 + 1 = 2"] * 3


@pytest.mark.parametrize("fresh", [False, True], ids=["again", "first"])
def test_why_no_name_is_looked_up_after_the_main_thread(server: LocalPuter, fresh: bool) -> None:
    out = programs.run(
        server,
        (FRESH if fresh else "")
        + AFTER_MAIN
        + """
ai.config.api_base = ai.config.api_base.replace("127.0.0.1", "localhost")
three_threads(lambda loop: loop.run_until_complete(ai.async_chat("Hi", remember=False)))
""",
    )
    assert out.count("This process can start no more threads: ") == len(out.splitlines()) == 3
