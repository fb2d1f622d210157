"""Streams over real sockets: seen as they come, and gone without a trace when left."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import json
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter import PuterAI
from puter.testing import Gate, LocalPuter, Reply, StreamDisconnect, StreamReset
from tests.door import chunks, shut, step, until_done
from tests.sockets import programs
from tests.sockets.live import Live, until
from tests.sockets.raw import CHAT_ANSWER, Asked, Handler, RawServer
from tests.sockets.test_leaks import FREE, assert_nothing, counted

if TYPE_CHECKING:
    from puter.streaming import AsyncChatStream, ChatStream

Line = dict[str, Any]
HEL, LO = {"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}
USAGE: Line = {"type": "usage", "usage": {"prompt_tokens": 1, "usd_cents": 0.5}}
ABANDONED = 1000


def line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def head(*headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/x-ndjson", "Transfer-Encoding: chunked"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


END = chunk(b"")


def says(pieces: Iterable[bytes], *headers: str) -> Handler:
    """A handler that sends the pieces as chunks at once and keeps the connection."""
    whole = head(*headers) + b"".join(map(chunk, pieces)) + END

    def handler(sock: socket.socket, _asked: Asked) -> bool:
        sock.sendall(whole)
        return True

    return handler


def gzipped(values: Iterable[dict[str, Any]]) -> list[bytes]:
    """Each line flushed, as a server does that wants it to be seen."""
    packer = zlib.compressobj(wbits=31)
    pieces = [packer.compress(line(one)) + packer.flush(zlib.Z_SYNC_FLUSH) for one in values]
    return [*pieces, packer.flush()]


def held(*texts: str) -> Callable[[Any], Reply]:
    """A responder that sends the first text, and nothing more until the client leaves."""
    return lambda _call: Reply(chunks=texts or ("one ", "two "), gate=Gate(1))


# ------------------------------------------------------------ as they come


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
async def test_each_chunk_is_seen_before_the_next_is_sent(live: Live, packed: bool) -> None:
    values: list[Line] = [HEL, LO, {"type": "reasoning", "reasoning": "Hm."}, USAGE]
    pieces = gzipped(values) if packed else list(map(line, values))
    seen = threading.Semaphore(0)
    in_time: list[bool] = []

    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(head("Content-Encoding: gzip") if packed else head())
        for piece in pieces:
            sock.sendall(chunk(piece))
            if len(in_time) < len(values):
                in_time.append(seen.acquire(timeout=5))
        sock.sendall(END)

    with RawServer(handler) as server:
        stream = await live(live.client_at(server.url), "chat", "Hi", stream=True)
        got = []
        for _ in values[:-1]:
            got.append((await step(stream)).raw)
            seen.release()
        seen.release()  # the last chunk comes together with the end
        got.append((await step(stream)).raw)
        await live.close()
    assert in_time == [True] * len(values)
    assert got == values
    assert stream.reply == "Hello"


async def test_the_gate_of_local_puter_shows_the_same(live: Live) -> None:
    gate = Gate(1)
    live.puter.respond(lambda _call: Reply(chunks=["one ", "two"], gate=gate))
    stream = await live(live.client(), "chat", "Hi", stream=True)
    assert await step(stream) == "one "
    assert live.puter.requests[-1].finished is None
    gate.open()
    assert "".join(await chunks(stream)) == "two"


REPLIES = {
    "text": Reply(text="Hello there", reasoning="Hm, well."),
    "tool": Reply(
        text="Let me look.", tool_calls=[{"name": "look", "arguments": {"at": "it"}, "id": "c1"}]
    ),
    "compaction": Reply(text="Hello", compaction="SUMMARY"),
    "picture": Reply(text="Here", images=["data:image/png;base64,iVBORw0KGgo="]),
}


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-5-pro", "claude-sonnet-4-5"])
@pytest.mark.parametrize("name", REPLIES)
async def test_a_stream_says_what_the_whole_answer_says(live: Live, model: str, name: str) -> None:
    live.puter.respond(lambda _call: REPLIES[name])
    ai = live.client()
    stream = await live(ai, "chat", "Hi", model, stream=True, remember=False)
    joined = "".join(await chunks(stream))
    whole = await live(ai, "chat", "Hi", model, remember=False)
    reply = stream.reply
    assert joined == reply == whole
    for attribute in ("usage", "cost", "tool_calls", "images", "compaction", "finish_reason"):
        assert getattr(reply, attribute) == getattr(whole, attribute), attribute
    if model != "gpt-5-pro":  # its whole answers leave the thoughts out
        assert reply.reasoning == whole.reasoning
    assert unmarked(reply) == unmarked(whole)


def unmarked(reply: puter.ChatReply) -> list[dict[str, Any]]:
    """Its messages without the note of the form in which the reasoning came."""
    return [{**one, "made_by": None} for one in reply.messages]


async def test_a_finished_stream_gives_its_connection_back(live: Live) -> None:
    with RawServer(says([line(HEL), line(USAGE)])) as server:
        ai = live.client_at(server.url, **FREE)
        for _ in range(20):
            stream = await live(ai, "chat", "Hi", stream=True)
            assert "".join(await chunks(stream)) == "Hel"
        await live.close()
    assert (len(server.requests), server.connections) == (20, 1)


async def test_a_stream_whose_end_does_not_come_is_complete_all_the_same(live: Live) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(head() + chunk(line(HEL) + line(USAGE)))
        server.stopping.wait(50)

    with RawServer(handler) as server:
        ai = live.client_at(server.url)
        stream = await live(ai, "chat", "Hi", stream=True)
        begun = time.monotonic()
        assert await until_done(stream) == "Hel"
        assert time.monotonic() - begun < 30
        assert ai._throttle.running == 0
        await live.close()


async def test_a_line_of_8_mib(live: Live) -> None:
    text = "\u2028x" * 2**21
    data = json.dumps({"type": "text", "text": text}, ensure_ascii=False).encode() + b"\n"
    assert len(data) > 2**23
    pieces = [data[start : start + 2**16] for start in range(0, len(data), 2**16)]
    with RawServer(says([*pieces, line(USAGE)])) as server:
        stream = await live(live.client_at(server.url), "chat", "Hi", stream=True)
        got = await chunks(stream)
        await live.close()
    assert [got[0], got[1].type] == [text, "usage"]


# ------------------------------------------------------------ cut short


@pytest.mark.parametrize("fault", [StreamReset, StreamDisconnect])
async def test_a_cut_connection_keeps_what_came(live: Live, fault: Any) -> None:
    live.puter.respond(lambda _call: fault(after=1, reply=Reply(chunks=["one ", "two"])))
    ai = live.client()
    stream = await live(ai, "chat", "Hi", stream=True)
    with pytest.raises(puter.PuterStreamError, match="before the answer was complete") as caught:
        await until_done(stream)
    assert caught.value.partial == "one "
    assert len(live.puter.chats) == 1
    assert (ai.chat_history, ai._throttle.running) == ([], 0)


async def test_silence_within_a_stream(live: Live) -> None:
    live.puter.respond(held())
    ai = live.client(timeout=1.2)
    stream = await live(ai, "chat", "Hi", stream=True)
    assert await step(stream) == "one "
    begun = time.monotonic()
    with pytest.raises(puter.PuterStreamError, match=r"silent for 1\.2 s") as caught:
        await step(stream)
    assert 0.6 < time.monotonic() - begun < 20
    assert caught.value.partial == "one "
    assert isinstance(caught.value.__cause__, puter.PuterTimeoutError)


def pausing(*pauses: float) -> Handler:
    """A handler that waits so long before each chunk; the last one ends the answer."""

    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(head())
        for number, seconds in enumerate(pauses, start=1):
            time.sleep(seconds)
            sock.sendall(chunk(line(HEL if number < len(pauses) else USAGE)))
        sock.sendall(END)

    return handler


def silent(sock: socket.socket, _asked: Asked) -> None:
    """Sends one chunk, and nothing more until the client leaves."""
    sock.sendall(head() + chunk(line(HEL)))
    sock.recv(1)


async def test_chunk_timeout_is_for_the_silence_after_the_first_chunk(live: Live) -> None:
    def handler(sock: socket.socket, asked: Asked) -> bool:
        first = len(server.requests) == 1
        (pausing(6, 0) if first else silent)(sock, asked)
        return first

    with RawServer(handler) as server:
        ai = live.client_at(server.url, chunk_timeout=3)
        assert await until_done(await live(ai, "chat", "Hi", stream=True)) == "Hel"
        stream = await live(ai, "chat", "Hi", stream=True, remember=False)
        begun = time.monotonic()
        with pytest.raises(
            puter.PuterStreamError, match=r"silent for 3 s \(chunk_timeout\)"
        ) as told:
            await until_done(stream)
        assert time.monotonic() - begun < 60
        assert told.value.partial == "Hel"
        assert isinstance(told.value.__cause__, puter.PuterTimeoutError)
        assert ai._throttle.running == 0
        await live.close()


def keeps_sending(data: bytes, pause: float) -> Handler:
    """A handler that sends one chunk, and then what is none until the client leaves."""

    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(head() + chunk(line(HEL)))
        sock.settimeout(10)
        with contextlib.suppress(OSError):
            for _ in range(600 if pause else 10**6):
                time.sleep(pause)
                sock.sendall(data)

    return handler


NO_CHUNKS = {"blank": b" ", "empty line": b"\n"}


@pytest.mark.parametrize("data", NO_CHUNKS.values(), ids=NO_CHUNKS)
@pytest.mark.parametrize("pause", [0.05, 0], ids=["drip", "flood"])
async def test_chunk_timeout_is_not_put_off_by_what_is_no_chunk(
    live: Live, data: bytes, pause: float
) -> None:
    with RawServer(keeps_sending(chunk(data), pause)) as server:
        stream = await live(
            live.client_at(server.url, chunk_timeout=0.4), "chat", "Hi", stream=True
        )
        begun = time.monotonic()
        with pytest.raises(puter.PuterStreamError, match=r"No chunk came for 0\.4 s \(chunk"):
            await until_done(stream)
        assert time.monotonic() - begun < 15
        await live.close()


async def test_the_time_a_user_takes_is_no_silence(live: Live) -> None:
    with RawServer(pausing(0, 0, 0)) as server:
        stream = await live(
            live.client_at(server.url, chunk_timeout=1.5), "chat", "Hi", stream=True
        )
        for _ in range(2):
            assert await step(stream) == "Hel"
            time.sleep(2)  # noqa: ASYNC251 - as a busy program does
        closing = getattr(stream, "aclose" if live.kind == "async" else "close")()
        if inspect.isawaitable(closing):
            await closing
        await live.close()


async def test_chunk_timeout_may_be_longer_than_timeout(live: Live) -> None:
    with RawServer(pausing(0, 2.5, 0)) as server:
        ai = live.client_at(server.url, timeout=1.5, chunk_timeout=30)
        assert await until_done(await live(ai, "chat", "Hi", stream=True)) == "HelHel"
        await live.close()


async def test_chunk_timeout_is_not_for_whole_answers(live: Live) -> None:
    with RawServer(keeps_silent(0.6)) as server:
        ai = live.client_at(server.url, chunk_timeout=0.2)
        assert await live(ai, "chat", "Hi") == "Hello!"
        await live.close()


def keeps_silent(seconds: float) -> Handler:
    """A handler that pauses within its answer."""

    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(CHAT_ANSWER[:-10])
        time.sleep(seconds)
        sock.sendall(CHAT_ANSWER[-10:])

    return handler


async def test_the_deadline_counts_within_a_stream(live: Live) -> None:
    live.puter.respond(lambda _call: Reply(chunks=["x "] * 10_000, pace=0.05))
    ai = live.client(deadline=5)
    begun = time.monotonic()
    with pytest.raises(puter.PuterStreamError, match="deadline passed") as caught:
        await until_done(await live(ai, "chat", "Hi", stream=True))
    assert 4 < time.monotonic() - begun < 100
    assert caught.value.partial is not None
    assert caught.value.partial.text.startswith("x ")
    assert (ai.chat_history, ai._throttle.running) == ([], 0)


async def test_broken_gzip_within_a_stream(live: Live) -> None:
    pieces = [gzipped([HEL])[0], b"\x00garbage"]
    with RawServer(says(pieces, "Content-Encoding: gzip")) as server:
        ai = live.client_at(server.url)
        stream = await live(ai, "chat", "Hi", stream=True)
        with pytest.raises(puter.PuterStreamError, match="could not be read"):
            await until_done(stream)
        await live.close()
    assert (ai.chat_history, ai._throttle.running) == ([], 0)


# ------------------------------------------------------------ left early


async def test_a_thousand_abandoned_streams_leave_nothing_behind(live: Live) -> None:
    live.puter.respond(held())
    ai = live.client(**FREE)

    async def abandon(count: int) -> dict[str, int]:
        for _ in range(count):
            stream = await live(ai, "chat", "Hi", stream=True)
            assert await step(stream) == "one "
            await shut(stream)
            del stream
        # The server closes its side a moment later.
        await until(lambda: all(one.dropped for one in live.puter.requests))
        live.puter.clear_requests()
        return counted()

    before = await abandon(50)
    after = await abandon(ABANDONED)
    assert ai._throttle.running == 0
    assert_nothing({name: after[name] - before[name] for name in after})


async def test_closing_while_a_thread_waits_for_the_next_chunk(
    server_tls: ssl.SSLContext, bundle: str
) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(head() + chunk(line(HEL)))
        stopping.wait(10)

    stopping = threading.Event()
    for tls in (None, server_tls):
        with (
            RawServer(handler, tls=tls) as server,
            PuterAI(
                token="t",
                api_base=server.url,
                login_url=f"{server.url}/login",
                proxy="",
                verify=bundle,
            ) as ai,
        ):
            stream = ai.chat("Hi", stream=True)
            assert next(stream) == "Hel"
            reader = asyncio.create_task(asyncio.to_thread(_outcome, stream))
            await asyncio.sleep(0.1)
            begun = time.monotonic()
            stream.close()
            assert ai._throttle.running == 0
            error = await reader
            assert time.monotonic() - begun < 20
            assert isinstance(error, puter.PuterStreamError)
            assert error.partial == "Hel"
            assert (ai.chat_history, list(stream)) == ([], [])
            stopping.set()


def _outcome(stream: ChatStream) -> object:
    try:
        return next(stream)
    except (puter.PuterError, StopIteration) as error:
        return error


async def test_closing_while_another_task_waits_for_the_next_chunk() -> None:
    with LocalPuter(tier=None) as local:
        local.respond(held())
        async with local.client() as ai:
            stream = await ai.async_chat("Hi", stream=True)
            assert await anext(stream) == "one "
            reader = asyncio.create_task(stream.until_done())
            await asyncio.sleep(0.05)
            await stream.aclose()
            assert ai._throttle.running == 0
            with pytest.raises(puter.PuterStreamError) as caught:
                await asyncio.wait_for(reader, 20)
            assert caught.value.partial == "one "
            assert ai.chat_history == []
            assert await chunks(stream) == []
            await until(lambda: local.chats[0].dropped)


async def test_cancelling_the_task_that_waits_for_the_next_chunk() -> None:
    with LocalPuter(tier=None) as local:
        local.respond(held())
        async with local.client() as ai:
            stream = await ai.async_chat("Hi", stream=True)
            reader = asyncio.create_task(stream.until_done())
            await asyncio.sleep(0.05)
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
            assert (ai._throttle.running, ai.chat_history) == (0, [])
            await until(lambda: local.chats[0].dropped)


async def test_a_stream_collected_in_another_thread() -> None:
    with LocalPuter(tier=None) as local:
        local.respond(held())
        async with local.client() as ai:
            holder = [await ai.async_chat("Hi", stream=True)]

            def collect() -> None:
                with pytest.warns(ResourceWarning, match="AsyncChatStream was dropped"):
                    holder.clear()

            await asyncio.to_thread(collect)
            assert ai._throttle.running == 0
            await until(lambda: local.chats[0].dropped)


@pytest.mark.filterwarnings("ignore:unclosed <socket")  # the collector may take the socket first
async def test_a_stream_in_a_cycle_is_freed_by_the_collector(live: Live) -> None:
    live.puter.respond(held())
    ai = live.client()
    cycle: list[ChatStream | AsyncChatStream | list[Any]] = []
    cycle += [await live(ai, "chat", "Hi", stream=True), cycle]
    del cycle
    with pytest.warns(ResourceWarning, match="ChatStream was dropped"):
        gc.collect()
    assert ai._throttle.running == 0
    await until(lambda: live.puter.chats[0].dropped)


async def test_closing_the_client_ends_its_streams(live: Live) -> None:
    live.puter.respond(held())
    ai = live.client()
    stream = await live(ai, "chat", "Hi", stream=True)
    assert await step(stream) == "one "
    if live.kind == "sync":
        ai.close()
    else:
        await ai.async_close()
    with_error = pytest.raises(puter.PuterError)
    await shut(stream)
    with with_error:
        await until_done(stream)
    assert ai._throttle.running == 0
    await until(lambda: live.puter.chats[0].dropped)


@pytest.mark.parametrize(
    "left",
    [
        "stream",
        "[stream]",
        "asyncio.create_task(stream.until_done())",
        "asyncio.create_task(aclosing_later(stream))",
    ],
)
def test_a_loop_that_ends_with_an_open_stream_ends_in_silence(left: str) -> None:
    with LocalPuter(tier=None) as local:
        local.respond(held())
        program = f"""
            async def aclosing_later(stream):
                async with stream:
                    await asyncio.sleep(60)

            async def main():
                stream = await ai.async_chat("Hi", stream=True)
                print(await anext(stream))
                global kept
                kept = {left}
                await asyncio.sleep(0.05)

            run(main())
            assert ai.chat_history == []
            kept = None
            gc.collect()
            assert ai._throttle.running == 0, ai._throttle.running
            """
        assert programs.run(local, program, strict=False) == "one \n"


@pytest.mark.parametrize("door", ["sync", "async"])
def test_a_program_that_ends_with_an_open_stream_ends_in_silence(door: str) -> None:
    with LocalPuter(tier=None) as local:
        local.respond(held())
        opening = {
            "sync": 'stream = ai.chat("Hi", stream=True); print(next(stream))',
            "async": """
            async def main():
                global stream
                stream = await ai.async_chat("Hi", stream=True)
                print(await anext(stream))
            run(main())
            """,
        }[door]
        assert programs.run(local, f"\n            {opening}\n", strict=False) == "one \n"


async def test_newlines_that_trickle_in_after_the_last_line_are_not_waited_for(live: Live) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(head() + chunk(line(HEL)) + chunk(line(USAGE)))
        with contextlib.suppress(OSError):  # the client hung up
            for _ in range(600):
                time.sleep(0.1)
                sock.sendall(chunk(b"\n"))

    with RawServer(handler) as server:
        ai = live.client_at(server.url)
        begun = time.monotonic()
        reply = await until_done(await live(ai, "chat", "Hi", stream=True))
        assert reply == "Hel"
        assert time.monotonic() - begun < 30  # the server goes on for a minute
        assert ai._throttle.running == 0


@pytest.mark.parametrize(
    ("first", "flood"),
    [(b"", chunk(b"\n" * 60_000)), (b"1;", b"x" * 1000)],
    ids=["newlines", "sizes of chunks"],
)
async def test_a_flood_after_the_last_line_is_not_read_to_its_end(
    live: Live, first: bytes, flood: bytes
) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(head() + chunk(line(HEL)) + chunk(line(USAGE)) + first)
        with contextlib.suppress(OSError):  # the client hung up
            while True:
                sock.sendall(flood)

    with RawServer(handler) as server:
        ai = live.client_at(server.url)
        begun = time.monotonic()
        reply = await until_done(await live(ai, "chat", "Hi", stream=True))
        assert reply == "Hel"
        assert time.monotonic() - begun < 30
        assert ai._throttle.running == 0
        await live.close()
