"""Server-sent events to one caller: an answer as it comes, with a sign of life in long silences."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from puter.exceptions import PuterEmptyResponseError, PuterError
from puter.serve.problems import Problem, Refused, problem_of
from puter.serve.shared import LOGGER
from puter.streaming import AsyncChatStream
from puter.types.replies import ChatChunk, ChatReply

if TYPE_CHECKING:
    from typing_extensions import Self

PING: web.AppKey[float] = web.AppKey("ping", float)
"""Seconds of silence after which a sign of life is sent; within twice as many one was."""
STREAMS: web.AppKey[set[AsyncChatStream]] = web.AppKey("streams", set[AsyncChatStream])
"""The answers under way."""


class Writer(Protocol):
    """How a vendor writes the events of one answer."""

    ping: bytes

    def begin(self) -> bytes: ...
    def chunk(self, chunk: ChatChunk) -> bytes: ...
    def end(self, reply: ChatReply) -> bytes: ...
    def failed(self, problem: Problem) -> bytes: ...


def event(data: Any, name: str | None = None) -> bytes:
    """One event, with JSON as its data."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


async def relay(
    request: web.Request,
    opening: Awaitable[AsyncChatStream],
    writer: Writer,
    done: Callable[[ChatReply], None],
) -> web.StreamResponse:
    """The answer as events.

    Args:
        request: Whom to tell.
        opening: The answer, once Puter has accepted.
        writer: Writes the events.
        done: Is told the whole answer.

    Raises:
        PuterError: It was refused before anything was sent, so that a status can tell.
    """
    streams = request.app[STREAMS]
    async with _Events(request, writer.ping) as events:
        stream: AsyncChatStream | None = None
        try:
            async with await opening as stream:
                streams.add(stream)
                await events.send(writer.begin())
                reply = await _tell(stream, events, writer)
                done(reply)
                await events.send(writer.end(reply))
        except ConnectionError:
            raise
        except Exception as error:
            if not events.begun:
                raise
            if not isinstance(error, (PuterError, Refused)):
                LOGGER.exception("%s %r", request.method, request.path)
            await events.send(writer.failed(problem_of(error)))
        finally:
            if stream is not None:
                streams.discard(stream)
        await events.response.write_eof()
        return events.response


async def _tell(stream: AsyncChatStream, events: _Events, writer: Writer) -> ChatReply:
    """The whole answer, once all of it but its end was told."""
    try:
        async for chunk in stream:
            if data := writer.chunk(chunk):
                await events.send(data)
    except PuterEmptyResponseError as error:
        return cut_short(error)
    return stream.reply


def cut_short(error: PuterEmptyResponseError) -> ChatReply:
    """The empty answer, where ``max_tokens`` or a filter cut it short: vendors give that as it is.

    Raises:
        PuterEmptyResponseError: It is empty for no such reason.
    """
    reply = error.reply
    if isinstance(reply, ChatReply) and reply.finish_reason in ("length", "content_filter"):
        return reply
    raise error


async def close_streams(app: web.Application) -> None:
    """End the answers under way: their callers are told, and Puter is asked for no more."""
    streams = app[STREAMS]
    for stream in tuple(streams):
        await stream.aclose()


class _Events:
    """What is sent, by the answer and by the clock; it begins with the first of either."""

    def __init__(self, request: web.Request, ping: bytes) -> None:
        self.response: web.StreamResponse = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
            }
        )
        self._request = request
        self._ping = ping
        self._quiet = False
        self._lock = asyncio.Lock()

    @property
    def begun(self) -> bool:
        """Whether the status is sent."""
        return self.response.prepared

    async def send(self, data: bytes) -> None:
        async with self._lock:
            if not self.response.prepared:
                await self.response.prepare(self._request)
            await self.response.write(data)
        self._quiet = False

    async def __aenter__(self) -> Self:
        self._ticking = asyncio.create_task(self._tick(asyncio.current_task()))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ticking.cancel()
        await asyncio.wait({self._ticking})
        if not self._ticking.cancelled():
            self._ticking.exception()  # it is the reader's, who was told

    async def _tick(self, reader: asyncio.Task[Any] | None) -> None:
        while True:
            await asyncio.sleep(self._request.app[PING])
            quiet, self._quiet = self._quiet, True
            if quiet:
                try:
                    await self.send(self._ping)
                except ConnectionError:  # the caller has left
                    if reader is not None:
                        reader.cancel()
                    raise
                self._quiet = True
