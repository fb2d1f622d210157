"""``ChatStream`` and ``AsyncChatStream``: an answer as it comes, for the two doors.

Both only pull chunks out of one flow (``puter.operations.chat.stream``); what a chunk is, when an
answer is complete and what is remembered is decided there, once.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from puter.exceptions import PuterError
from puter.flow import Body, Done, Emit, Flow, Opened

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from puter.replies import ChatChunk, ChatReply
    from puter.transports.asynchronous import Asynchronous
    from puter.transports.blocking import Blocking

Driver = TypeVar("Driver")


class _Stream(Generic[Driver]):
    """What both doors share: the flow, its end, and closing it early."""

    def __init__(self, driver: Driver, steps: Flow[ChatReply]) -> None:
        self._driver = driver
        self._steps = steps
        self._body: Body | None = None
        self._reply: ChatReply | None = None
        self._at_last = False  # the end comes with the last chunk, so that nobody can miss it
        self._over = False
        self._reading = threading.Lock()  # held by the one thread or task that reads

    @property
    def reply(self) -> ChatReply:
        """The whole answer, once the stream has ended.

        Raises:
            PuterError: It has not ended, or ended early.
        """
        if self._reply is None:
            raise PuterError(
                "The stream was closed before its end" if self._over else "The stream still runs",
                hint="Iterate it to its end, or call until_done().",
            )
        return self._reply

    def _begin(self) -> None:
        if not self._reading.acquire(blocking=False):
            raise PuterError(
                "The stream is being read elsewhere", hint="Read it in one thread or task."
            )

    def _take(self, effect: Done[ChatReply] | Emit | Opened) -> ChatChunk | None:
        if isinstance(effect, Emit):
            self._at_last = effect.last
            return effect.chunk
        if isinstance(effect, Opened):
            self._body = effect.body
        else:
            self._over, self._reply = True, effect.value
        return None

    def _rest(self) -> None:
        self._reading.release()
        if self._over:
            self._end()

    def _end(self) -> None:
        """Free the connection and the places in the queues; nothing is remembered."""
        self._over = True
        if self._reading.acquire(blocking=False):
            try:
                self._steps.close()  # its `finally` frees them
            finally:
                self._reading.release()
        elif self._body is not None:
            self._body.hang_up()  # whoever reads gets an error, and then does the above

    def __del__(self) -> None:
        if not getattr(self, "_over", True):
            self._end()
            warnings.warn(
                f"a {type(self).__name__} was dropped before its end; close it, or use `with`",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


class ChatStream(_Stream["Blocking"]):
    """A streamed answer: iterate it for ``ChatChunk``, each a ``str``.

    The connection, and one of the account's few places, are held until the stream ends or is
    closed: leave a loop early with ``with`` around it, or call ``close()``.

    Raises:
        PuterStreamError: While iterating: the answer failed or was cut off; ``.partial`` has it.

    Examples:
        >>> with ai.chat("Tell me a story", stream=True) as stream:  # doctest: +SKIP
        ...     for chunk in stream:
        ...         print(chunk, end="", flush=True)
        >>> print(stream.reply.cost)  # doctest: +SKIP
    """

    def __init__(self, driver: Blocking, steps: Flow[ChatReply]) -> None:
        super().__init__(driver, steps)
        self._pull()  # up to the headers, so that a refused call raises here

    def __iter__(self) -> Iterator[ChatChunk]:
        return self

    def __next__(self) -> ChatChunk:
        while not self._over:
            chunk = self._pull()
            if chunk is not None:
                if self._at_last:
                    self._pull()
                return chunk
        raise StopIteration

    def _pull(self) -> ChatChunk | None:
        self._begin()
        try:
            return self._take(self._driver.advance(self._steps))
        except BaseException:
            self._over = True
            raise
        finally:
            self._rest()

    def until_done(self) -> ChatReply:
        """Read on to the end and return the whole answer."""
        for _ in self:
            pass
        return self.reply

    def close(self) -> None:
        """Free the connection and the place in the queue. Safe to repeat; nothing is remembered."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncChatStream(_Stream["Asynchronous"]):
    """A streamed answer in async code: ``ChatStream`` with ``async for`` and ``async with``.

    Examples:
        >>> stream = await ai.async_chat("Tell me a story", stream=True)  # doctest: +SKIP
        >>> async with stream:  # doctest: +SKIP
        ...     async for chunk in stream:
        ...         print(chunk, end="", flush=True)
    """

    @classmethod
    async def open(cls, driver: Asynchronous, steps: Flow[ChatReply]) -> Self:
        """Run the flow up to the headers, so that a refused call raises here."""
        stream = cls(driver, steps)
        await stream._pull()
        return stream

    def __aiter__(self) -> AsyncIterator[ChatChunk]:
        return self

    async def __anext__(self) -> ChatChunk:
        while not self._over:
            chunk = await self._pull()
            if chunk is not None:
                if self._at_last:
                    await self._pull()
                return chunk
        raise StopAsyncIteration

    async def _pull(self) -> ChatChunk | None:
        self._begin()
        try:
            return self._take(await self._driver.advance(self._steps))
        except BaseException:
            self._over = True
            raise
        finally:
            self._rest()

    async def until_done(self) -> ChatReply:
        """Read on to the end and return the whole answer."""
        async for _ in self:
            pass
        return self.reply

    async def aclose(self) -> None:
        """Free the connection and the place in the queue. Safe to repeat; nothing is remembered."""
        self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
