"""``ChatStream`` and ``AsyncChatStream``: an answer as it comes.

Both only pull chunks out of one flow (``puter.api.streamed``); what a chunk is, when an answer is
complete and what is remembered is decided there, once. The chunks of one read wait in a list, and
the flow goes on when that is empty.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from puter.engine.context import CallContext
from puter.engine.effects import Body, Done, Flow, StreamOpened, YieldChunks
from puter.engine.failures import report, warn_of_blocking
from puter.engine.transport import Transport
from puter.exceptions import PuterError, with_article
from puter.threads import running_loop
from puter.types.replies import ChatChunk, ChatReply

if TYPE_CHECKING:
    from typing_extensions import Self

    from puter.display.live import Live


class _Stream:
    """What both kinds share: the flow, its queue, its end, and closing it early."""

    __slots__ = (
        "__weakref__", "_body", "_call", "_chunks", "_ended", "_flow", "_over", "_reader", "_reply",
        "_seen", "_transport",
    )  # fmt: skip

    def __init__(self, transport: Transport, call: CallContext, flow: Flow[ChatReply]) -> None:
        self._transport = transport
        self._call = call
        self._flow = flow
        self._chunks: list[ChatChunk] = []  # the next one last: a deque takes 0.7 KB
        self._body: Body | None = None
        self._reply: ChatReply | None = None
        self._seen: list[str] | None = None  # the texts that middleware made of those that came
        # Who reads, if anybody; set in one step, so that no interrupt comes between two.
        self._reader: dict[int, object] = {}
        self._over = self._ended = False

    @property
    def reply(self) -> ChatReply:
        """The whole answer, once the stream has ended.

        Raises:
            PuterError: It has not ended, or ended early.
        """
        if self._reply is None:
            raise PuterError(
                "The stream was closed before its end" if self._over else "The stream still runs",
                hint=".partial has what came; for the whole answer ask again."
                if self._over
                else "Iterate it to its end, or call until_done(); .partial has what came so far.",
            )
        return self._reply

    @property
    def partial(self) -> ChatReply:
        """What came so far, at any time, also after ``close()`` or ``break``.

        Its ``finish_reason`` is ``"incomplete"`` before the end; ``chat(resume=stream.partial)``
        asks for the rest of the turn.
        """
        partial = self._call.partial
        reply = ChatReply("") if partial is None else partial()
        if self._seen is None or self._reply is not None:
            return reply
        return reply.with_text("".join(self._seen))

    def __repr__(self) -> str:
        if not hasattr(self, "_call"):
            return f"<{type(self).__name__} not made>"  # a traceback shows it
        state = (
            "running" if not self._over else "ended early" if self._reply is None else "complete"
        )
        model = f" of {self._call.model}" if self._call.model else ""
        return f"<{type(self).__name__}{model}, {state}, {len(self.partial)} characters so far>"

    def _claim(self, reader: object) -> None:
        """Read in this thread or task alone, until ``self._reader`` is free again."""
        if self._reader.setdefault(0, reader) is not reader:
            raise _read_elsewhere()
        for permit in self._call.permits:
            permit.claim()

    def _release(self, reader: object, whole: bool) -> None:
        """Let others read, when it was this one that did; an error ends the stream."""
        if self._reader and self._reader[0] is reader:
            self._reader.clear()
            self._over = self._over or not whole
            if self._over:
                self._end()

    def _park(self) -> None:
        for permit in self._call.permits:
            permit.park()

    def _handle(self, effect: StreamOpened | YieldChunks | Done[ChatReply]) -> bool:
        """Whether to pull once more.

        The end comes with the last chunk, so that none misses it; and so does the error of a flow
        whose stream was closed while it ran.
        """
        if isinstance(effect, Done):
            self._over, self._reply = True, effect.value
            return False
        if isinstance(effect, StreamOpened):
            self._body = effect.body
            return self._over
        self._seen = effect.seen
        if effect.last or not self._over:
            effect.chunks.reverse()
            if self._chunks:
                self._chunks[:0] = effect.chunks
            else:
                self._chunks = effect.chunks
        return effect.last or self._over

    def _end(self) -> None:
        """Free the connection and the permits; nothing is remembered."""
        self._over = self._call.closed = True
        reader = object()
        try:
            if self._reader.setdefault(0, reader) is reader:
                try:
                    self._flow.close()  # its `finally` frees them
                finally:
                    self._call.let_go()
                self._ended = True
            elif self._body is not None:
                self._body.abort()  # whoever reads gets an error, and then does the above
        except BaseException as error:
            report(self._call, error)
            raise error
        finally:
            if self._reader and self._reader[0] is reader:
                self._reader.clear()

    def _close(self) -> None:
        if self._reply is None:
            self._chunks.clear()
        self._end()

    def __del__(self) -> None:
        if getattr(self, "_ended", True):
            return
        over = self._over
        self._end()
        if not over:
            warnings.warn(
                f"{with_article(type(self).__name__)} was dropped before its end; close it, or "
                "use `with`",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


def _live(stream: _Stream) -> Live:
    from puter.display.live import Live

    came = stream.partial.text
    return Live(lambda: stream.partial, came[: len(came) - len("".join(stream._chunks))])


def _read_elsewhere() -> PuterError:
    return PuterError("The stream is being read elsewhere", hint="Read it in one thread or task.")


class ChatStream(_Stream):
    """A streamed answer: iterate it for ``ChatChunk``, each a ``str``.

    The connection, and one of the few calls that the account may make at a time, are held until the
    stream ends or is closed: leave a loop early with ``with`` around it, or call ``close()``.

    Raises:
        PuterStreamError: While iterating: the answer failed or was cut off; ``.partial`` has it.

    Examples:
        >>> with ai.chat("Say hello", stream=True) as stream:
        ...     for chunk in stream:
        ...         print(chunk, end="", flush=True)
        Hello!
        >>> stream.reply.finish_reason
        'stop'
    """

    __slots__ = ()

    def __init__(self, transport: Transport, call: CallContext, flow: Flow[ChatReply]) -> None:
        super().__init__(transport, call, flow)
        warn_of_blocking(call)
        self._pull()  # up to the headers, so that a refused call raises here

    def __iter__(self) -> Iterator[ChatChunk]:
        return self

    def __next__(self) -> ChatChunk:
        while not self._chunks:
            if self._over:
                raise StopIteration
            self._pull()
        try:
            return self._chunks.pop()
        except IndexError:  # taken by another thread just now
            raise _read_elsewhere() from None

    def _pull(self) -> None:
        reader, whole = object(), False
        try:
            self._claim(reader)
            while self._handle(self._transport.advance(self._flow)):
                pass
            self._park()
            whole = True
        except BaseException as error:
            report(self._call, error)
            raise error
        finally:
            self._release(reader, whole)

    def until_done(self) -> ChatReply:
        """Read on to the end and return the whole answer.

        Examples:
            >>> print(ai.chat("Say hello", stream=True).until_done())
            Hello!
        """
        for _ in self:
            pass
        return self.reply

    def display(self) -> None:
        """Read on to the end and show the answer while it comes; ``reply`` has it then.

        In a notebook it is Markdown that grows in place, as when the stream is the last expression
        of a cell; elsewhere the text is printed. What came before is shown too, and nothing is
        asked again. When this is interrupted or fails, the stream is closed, and what came stays.

        Raises:
            PuterStreamError: The answer failed or was cut off; ``.partial`` has it.

        Examples:
            >>> ai.chat("Say hello", stream=True).display()
            Hello!

        Examples:
            >>> ai.chat("Say hello", stream=True).display()
            Hello!
        """
        shown = _live(self)
        try:
            for chunk in self:
                shown.add(chunk)
        finally:
            self.close()
            shown.end()

    def _ipython_display_(self) -> None:
        self.display()

    def close(self) -> None:
        """Free the connection and the permit. Safe to repeat; nothing is remembered.

        Examples:
            >>> stream = ai.chat("Say hello", stream=True)
            >>> stream.close()
            >>> ai.chat_history
            []
        """
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncChatStream(_Stream):
    """A streamed answer in async code: ``ChatStream`` with ``async for`` and ``async with``.

    Examples:
        >>> async def tell() -> None:
        ...     async with await ai.async_chat("Say hello", stream=True) as stream:
        ...         async for chunk in stream:
        ...             print(chunk, end="", flush=True)
        >>> asyncio.run(tell())
        Hello!
    """

    __slots__ = ("_loop",)

    _loop: object

    @classmethod
    async def open(cls, transport: Transport, call: CallContext, flow: Flow[ChatReply]) -> Self:
        """Run the flow up to the headers, so that a refused call raises here."""
        stream = cls(transport, call, flow)
        stream._loop = running_loop()
        await stream._pull()
        return stream

    def __aiter__(self) -> AsyncIterator[ChatChunk]:
        return self

    async def __anext__(self) -> ChatChunk:
        while not self._chunks:
            if self._over:
                raise StopAsyncIteration
            await self._pull()
        try:
            return self._chunks.pop()
        except IndexError:  # taken by another thread just now
            raise _read_elsewhere() from None

    async def _pull(self) -> None:
        if running_loop() is not self._loop:
            raise PuterError(
                "The stream belongs to another event loop",
                hint="Read it in the one that opened it; .partial has what came so far.",
            )
        reader, whole = object(), False
        try:
            self._claim(reader)
            while self._handle(await self._transport.async_advance(self._flow)):
                pass
            self._park()
            whole = True
        except BaseException as error:
            report(self._call, error)
            raise error
        finally:
            self._release(reader, whole)

    async def until_done(self) -> ChatReply:
        """Read on to the end and return the whole answer.

        Examples:
            >>> async def tell() -> None:
            ...     stream = await ai.async_chat("Say hello", stream=True)
            ...     print(await stream.until_done())
            >>> asyncio.run(tell())
            Hello!
        """
        async for _ in self:
            pass
        return self.reply

    async def display(self) -> None:
        """Read on to the end and show the answer while it comes; see ``ChatStream.display()``.

        Examples:
            >>> async def tell() -> None:
            ...     await (await ai.async_chat("Say hello", stream=True)).display()
            >>> asyncio.run(tell())
            Hello!
        """
        shown = _live(self)
        try:
            async for chunk in self:
                shown.add(chunk)
        finally:
            self._close()
            shown.end()

    def _repr_markdown_(self) -> str:
        came = self.partial._repr_markdown_() or ""
        return came if self._over else f"{came}\n\n*`await stream.display()` reads on.*"

    async def aclose(self) -> None:
        """Free the connection and the permit. Safe to repeat; nothing is remembered.

        Examples:
            >>> async def tell() -> None:
            ...     stream = await ai.async_chat("Say hello", stream=True)
            ...     await stream.aclose()
            >>> asyncio.run(tell())
            >>> ai.chat_history
            []
        """
        self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
