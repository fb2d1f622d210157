"""A client outlives loops, threads, forks and pickles, and ends in silence."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import pickle
import sys
import textwrap
import threading
import warnings
import weakref
from collections.abc import Iterator

import pytest

import puter as sdk
from puter import PuterAI
from puter.testing import Gate, Hang, LocalPuter, Reply
from tests.sockets import programs
from tests.sockets.live import Live, call
from tests.sockets.raw import RawServer, keeps

needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")


@pytest.fixture
def server() -> Iterator[LocalPuter]:
    with LocalPuter(tier=None) as puter:
        yield puter


# Event loops


def test_one_client_under_several_event_loops(server: LocalPuter) -> None:
    out = programs.run(
        server,
        """
        for number in range(3):
            print(run(ai.async_chat(f"{number} + 1")))
        run(ai.async_close())
        """,
    )
    assert out.split("\n")[:3] == ["0 + 1 = 1", "1 + 1 = 2", "2 + 1 = 3"]


def test_a_loop_that_was_closed_carelessly(server: LocalPuter) -> None:
    programs.run(
        server,
        """
        for number in range(2):
            loop = asyncio.new_event_loop()
            loop.slow_callback_duration = 10
            loop.run_until_complete(ai.async_chat("Hi"))
            loop.close()  # without shutdown_asyncgens()
        ai.chat("Hi")
        ai.close()
        """,
        strict=False,
    )
    assert len(server.chats) == 3


def test_loops_in_several_threads_at_once(server: LocalPuter) -> None:
    programs.run(
        server,
        """
        async def several():
            await asyncio.gather(*(ai.async_chat("Hi") for _ in range(5)))
        threads = [threading.Thread(target=run, args=(several(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        ai.chat("Hi")
        for thread in threads:
            thread.join()
        assert len(ai.chat_history) == 42, ai.chat_history
        """,
    )
    assert len(server.chats) == 21


def test_closed_while_loops_run_elsewhere(server: LocalPuter) -> None:
    programs.run(
        server,
        """
        loop = asyncio.new_event_loop()
        loop.slow_callback_duration = 10
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        asyncio.run_coroutine_threadsafe(ai.async_chat("Hi"), loop).result()
        run(ai.async_chat("Hi"))
        run(ai.async_close())
        async def settled():
            while len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0.01)
        asyncio.run_coroutine_threadsafe(settled(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        """,
    )


def test_a_client_dropped_inside_a_running_loop(server: LocalPuter) -> None:
    programs.run(
        server,
        """
        async def main():
            for _ in range(3):
                other = PuterAI(proxy="")
                await other.async_chat("Hi")
                del other
                gc.collect()
            for _ in range(1000):  # the loop closes what was dropped when it comes to it
                if len(asyncio.all_tasks()) == 1:
                    break
                await asyncio.sleep(0.01)
            assert len(asyncio.all_tasks()) == 1, asyncio.all_tasks()
            assert len(os.listdir("/proc/self/fd")) < before + 6 if before else True
        before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
        run(main())
        """,
    )


@pytest.mark.parametrize("own", ["stopped", "running"])
def test_a_stream_read_in_another_loop_stays_whole(server: LocalPuter, own: str) -> None:
    server.reply_with(Reply(chunks=["Hel", "lo"], gate=(gate := Gate())))
    ai = server.client()
    loop = asyncio.new_event_loop()
    loop.slow_callback_duration = 10
    stream = loop.run_until_complete(ai.async_chat("Hi", stream=True))
    assert loop.run_until_complete(anext(stream)) == "Hel"
    thread = threading.Thread(target=loop.run_forever)
    if own == "running":
        thread.start()
    with pytest.raises(sdk.PuterError, match="belongs to another event loop") as caught:
        asyncio.run(stream.until_done())
    assert not isinstance(caught.value, sdk.PuterAPIError)
    gate.open()
    if own == "running":
        read = asyncio.run_coroutine_threadsafe(stream.until_done(), loop)
        assert read.result(10) == "Hello"
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
    else:
        assert loop.run_until_complete(stream.until_done()) == "Hello"
    assert ai._throttle.running == 0
    loop.run_until_complete(ai.async_close())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


# Closing


@pytest.mark.parametrize("first", ["close", "async_close"])
@pytest.mark.parametrize("second", ["close", "async_close"])
async def test_closing_twice_and_use_afterwards(live: Live, first: str, second: str) -> None:
    ai = live.client()
    await live(ai, "chat", "Hi")
    for name in (first, second):
        closing = getattr(ai, name)()
        if closing is not None:
            await closing
    for method in ("chat", "whoami", "login"):
        for kind in ("sync", "async"):
            arguments = ["Hi"] if method == "chat" else []
            with pytest.raises(sdk.PuterError, match="closed"):
                await call(kind, ai, method, *arguments)
    with pytest.raises(sdk.PuterError, match="closed"):
        ai.__enter__()
    assert len(ai.chat_history) == 2
    assert len(live.puter.requests) == 1


async def test_context_managers_of_both_kinds(live: Live) -> None:
    with live.client() as ai:
        await live(ai, "chat", "Hi")
    async with live.client() as other:
        await live(other, "chat", "Hi")
    for one in (ai, other):
        with pytest.raises(sdk.PuterError, match="closed"):
            await live(one, "chat", "Hi")


async def test_closing_ends_the_connections(live: Live) -> None:
    ended = threading.Event()
    with RawServer(keeps(), ended=ended) as server:
        ai = live.client_at(server.url)
        await live(ai, "chat", "Hi")
        assert not ended.is_set()
        await live.close()
        assert await asyncio.to_thread(ended.wait, 5)


@pytest.mark.parametrize("stream", [False, True])
def test_closing_without_waiting_in_a_loop_that_ends(server: LocalPuter, stream: bool) -> None:
    programs.run(
        server,
        f"""
        async def main():
            with PuterAI(proxy="") as ai:
                reply = await ai.async_chat("Hi", stream={stream})
                if {stream}:
                    async with reply:
                        await anext(reply)
        run(main())
        """,
    )


NEVER_CLOSED = {
    "sync": 'ai.chat("Hi")',
    "async": 'run(ai.async_chat("Hi"))',
    "both": 'ai.chat("Hi"); run(ai.async_chat("Hi")); ai.chat("Hi")',
    "unused": "",
    "sync in a loop": """
        async def main():
            ai.chat("Hi")
            await ai.async_chat("Hi")
        run(main())
    """,
    "exit within a loop": """
        async def main():
            await ai.async_chat("Hi")
            sys.exit(0)
        run(main())
    """,
    "daemon thread in a call": """
        threading.Thread(target=ai.chat, args=("hang",), daemon=True).start()
        time.sleep(0.2)
    """,
}


@pytest.mark.parametrize("body", NEVER_CLOSED.values(), ids=NEVER_CLOSED)
def test_a_client_never_closed_ends_in_silence(server: LocalPuter, body: str) -> None:
    server.respond(lambda call: Hang() if call.last_text == "hang" else "Hello!")
    programs.run(server, body)


@pytest.mark.parametrize("how", ['ai.chat("Hi")', 'run(ai.async_chat("Hi"))'])
def test_an_error_ends_the_program_with_nothing_but_its_own_traceback(
    server: LocalPuter, how: str
) -> None:
    with programs.start(server, f"{how}\nraise LookupError('mine')") as program:
        _, err = program.communicate(timeout=30)
    assert program.returncode == 1
    assert err.count("Traceback") == 1
    assert err.rstrip().endswith("LookupError: mine")


LEFT = {
    "open": "loop.run_until_complete(ai.async_chat('Hi'))",
    "closed": "loop.run_until_complete(ai.async_chat('Hi')); loop.close()",
    "in a call": "task = leave(ai.async_chat('hang'))",
    "in a call, closed": "task = leave(ai.async_chat('hang')); loop.close()",
}


@pytest.mark.parametrize("end", LEFT.values(), ids=LEFT)
def test_a_loop_left_behind_ends_in_silence(server: LocalPuter, end: str) -> None:
    server.respond(lambda call: Hang() if call.last_text == "hang" else "Hello!")
    body = f"""
        loop = asyncio.new_event_loop()
        loop.slow_callback_duration = 10

        def leave(call):
            task = loop.create_task(call)
            loop.call_later(0.2, loop.stop)
            loop.run_forever()
            task._log_destroy_pending = False  # asyncio's own remark about a task left behind
            return task

        {end}
    """
    programs.run(server, body, strict=False)


# Pickles and processes


async def test_a_pickled_client_chats_once_it_has_a_token(live: Live) -> None:
    ai = live.client(timeout=20)
    await live(ai, "chat", "My name is Ada.")
    twin: PuterAI = pickle.loads(pickle.dumps(ai))
    live.clients.append(twin)
    assert twin.config.timeout == 20
    assert live.puter.token not in str(pickle.dumps(ai))
    with pytest.raises(sdk.PuterAuthError, match="Not signed in"):
        await live(twin, "chat", "What is my name?")
    twin = _with_credentials(twin)
    assert await live(twin, "login")
    assert await live(twin, "chat", "What is my name?") == "Your name is Ada."
    assert len(ai.chat_history) == 2


def _with_credentials(ai: PuterAI) -> PuterAI:
    state = ai.__getstate__()
    twin = PuterAI("alice", "correct horse", config=state["config"])
    twin.chat_history.extend(ai.chat_history)
    return twin


def _work(ai: PuterAI, token: str, number: int) -> str:
    worker = PuterAI(token=token, config=ai.config)
    with worker:
        return worker.chat(f"{number} + 1").text


@pytest.mark.parametrize("method", [pytest.param("fork", marks=needs_fork), "spawn"])
def test_process_pools_take_a_pickled_client(server: LocalPuter, method: str) -> None:
    ai = server.client()
    ai.chat("Hi")
    context = multiprocessing.get_context(method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork of a process with threads
        with context.Pool(2) as pool:
            jobs = [(ai, server.token, number) for number in range(4)]
            answers = pool.starmap(_work, jobs)
    ai.close()
    assert answers == ["0 + 1 = 1", "1 + 1 = 2", "2 + 1 = 3", "3 + 1 = 4"]


@needs_fork
def test_a_forked_child_chats_while_its_parent_goes_on(server: LocalPuter) -> None:
    out = programs.run(
        server,
        """
        ai.chat("Hi")                       # a kept connection in the parent
        run(ai.async_chat("Hi"))
        stop = threading.Event()
        def go_on():
            while not stop.is_set():
                assert ai.chat("2 + 2") == "2 + 2 = 4"
        ai.config.update(rate_limit_requests=None)
        thread = threading.Thread(target=go_on)
        thread.start()
        time.sleep(0.05)
        children = []
        for _ in range(3):
            child = os.fork()
            if not child:
                ok = ai.chat("3 + 3") == "3 + 3 = 6" and run(ai.async_chat("4 + 4")) == "4 + 4 = 8"
                sys.stdout.flush()
                os._exit(0 if ok else 1)
            children.append(child)
        for child in children:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        stop.set()
        thread.join()
        assert ai.chat("5 + 5") == "5 + 5 = 10"
        print(len([m for m in ai.chat_history if m["content"] == "3 + 3"]))
        ai.close()
        """,
    )
    assert out.strip() == "0"  # what the children said stays theirs


@needs_fork
def test_a_child_that_closes_the_client_leaves_its_parents_stream_alone(server: LocalPuter) -> None:
    server.reply_with(Reply(chunks=["one ", "two ", "three"], pace=0.2))
    programs.run(
        server,
        """
        stream = ai.chat("Hi", stream=True)
        assert next(stream) == "one "
        child = os.fork()
        if child == 0:
            ai.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert stream.until_done() == "one two three"
        ai.close()
        """,
    )


@needs_fork
def test_a_child_forked_within_a_running_loop(server: LocalPuter) -> None:
    programs.run(
        server,
        """
        async def main():
            await ai.async_chat("Hi")
            child = os.fork()
            if not child:
                code = 1
                try:
                    code = 0 if run(ai.async_chat("3 + 3")) == "3 + 3 = 6" else 2
                finally:
                    gc.collect()
                    os._exit(code)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert await ai.async_chat("5 + 5") == "5 + 5 = 10"
            await ai.async_close()
        run(main())
        """,
    )


@needs_fork
def test_a_forked_child_exits_in_silence(server: LocalPuter) -> None:
    programs.run(
        server,
        """
        ai.chat("Hi")
        run(ai.async_chat("Hi"))
        child = os.fork()
        if not child:
            sys.exit(0)                     # runs the exit handlers, unlike os._exit
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert ai.chat("5 + 5") == "5 + 5 = 10"
        """,
    )


# Ctrl-C


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("phase", ["answer", "queue", "pause"])
def test_control_c_frees_everything(server: LocalPuter, phase: str) -> None:
    server.respond(lambda call: Hang() if call.last_text == "hang" else "Hello!")
    preparation = {
        "answer": "",
        "queue": """
            ai.config.update(max_concurrency=1)
            from puter.engine.throttle import Permit
            blocker = Permit(ai._throttle).acquire()
        """,
        "pause": """
            from puter.testing import LocalPuter
            ai.config.update(api_base="http://127.0.0.1:9", retry_delay=20, max_retries=1)
        """,
    }[phase]
    body = textwrap.dedent(preparation) + textwrap.dedent(
        f"""
        import signal
        from puter import PuterError
        before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
        threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            ai.chat("hang")
        except KeyboardInterrupt:
            pass
        else:
            raise SystemExit("not interrupted")
        assert ai.chat_history == []
        assert ai._throttle.running == {1 if phase == "queue" else 0}, ai._throttle.running
        assert ai._throttle.waiting == 0
        gc.collect()
        if before:
            assert len(os.listdir("/proc/self/fd")) <= before, os.listdir("/proc/self/fd")
        print("freed")
        """
    )
    assert programs.run(server, body) == "freed\n"


def test_the_loop_can_be_collected_after_its_end(server: LocalPuter) -> None:
    ai = server.client()

    def one_run() -> weakref.ref[asyncio.AbstractEventLoop]:
        loop = asyncio.new_event_loop()
        loop.slow_callback_duration = 10
        loop.run_until_complete(ai.async_chat("Hi"))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        return weakref.ref(loop)

    first = one_run()
    one_run()
    gc.collect()
    assert first() is None
    ai.close()
