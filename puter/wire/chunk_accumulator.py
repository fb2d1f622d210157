"""From the lines of a driver's stream, which the driver reads, to chunks and the reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from puter.exceptions import PuterError, PuterResponseError, repr_of
from puter.types.replies import NO_USAGE, ChatChunk
from puter.wire.accumulator import StreamAccumulator
from puter.wire.json import as_dict, dollars

ReadLine = Callable[[bytes], "Sequence[ChatChunk] | None"]

_STOPPED = (
    "The answer stopped here; .partial has what came. It was not asked for again, because it may "
    "be billed."
)


class ChunkAccumulator(StreamAccumulator):
    """Takes the lines of one streamed answer in order.

    Args:
        model: The model asked for.
        server: Name of the driver, for errors.
        read_line: The driver's.
        flush: Called when the body ends before the chunk of ``usage``: returns it when the answer
            is complete all the same. Default: every end of the body is one of the answer.
    """

    __slots__ = ("_flush", "_read_line", "_server")

    explained: bool
    failure: PuterError | None
    last: ChatChunk | None

    def __init__(
        self,
        model: str,
        server: str,
        read_line: ReadLine,
        flush: Callable[[], Sequence[ChatChunk]] | None = None,
    ) -> None:
        super().__init__(model)
        self._server, self._read_line = server, read_line
        self._flush = flush or self._complete

    def add(self, lines: list[Any]) -> list[ChatChunk]:
        chunks: list[ChatChunk] = []
        for line in lines:
            if not self._take(self._read_line, (line,), chunks):
                break
        return chunks

    def end(self) -> list[ChatChunk]:
        chunks: list[ChatChunk] = []
        if self.last is None and self.failure is None:
            self._take(self._flush, (), chunks)
        return chunks

    def _take(
        self, read: Callable[..., Any], args: tuple[bytes, ...], chunks: list[ChatChunk]
    ) -> bool:
        """Keep what the driver reads; return whether the answer goes on."""
        try:
            found = read(*args) or ()
            for one in found:
                chunk = one if isinstance(one, ChatChunk) else self._as_chunk(one)
                if chunk.type == "usage":
                    self._settle(chunk)
                    break
                chunks.append(chunk)
                self._keep(chunk)
                self._lines.append(chunk.raw)
        except PuterError as error:
            self.failure = self._failure(error)
        except Exception as error:  # noqa: BLE001 - of the driver's code, whatever it is
            told = f"The driver {self._server} cannot read a line: {type(error).__name__}: {error}"
            hint = "The server has sent what its driver does not expect."
            self.failure = self._failure(PuterResponseError(told, hint=hint))
            self.failure.__cause__ = error
        return self.last is None and self.failure is None

    def _as_chunk(self, value: Any) -> ChatChunk:
        if isinstance(value, str):
            return ChatChunk(value)
        raise TypeError(f"it returned {repr_of(value, 80)}, not chunks")

    def _settle(self, chunk: ChatChunk) -> None:
        """The answer is complete."""
        self._usage = chunk.usage or NO_USAGE
        self._cost = dollars(as_dict(chunk.raw.get("usage")).get("usd_cents"))
        self._reasons = (chunk.raw.get("finish_reason"),)
        self.explained, self.last = True, chunk
        self._lines.append(chunk.raw)

    def _complete(self) -> Sequence[ChatChunk]:
        return [ChatChunk("", type="usage", usage=NO_USAGE)]

    def _failure(self, error: PuterError) -> PuterError:
        """The error that the same call without streaming would raise, until anything came."""
        if not self._lines:
            return error
        return self.failed(
            error.message,
            _STOPPED,
            status=error.status,
            code=error.code,
            body=error.body,
            retryable=error.retryable,
        )
