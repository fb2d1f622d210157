"""From the lines of a streamed chat to chunks, and from the chunks to the reply; no I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from puter.exceptions import PuterError, PuterStreamError
from puter.types.replies import NO_USAGE, ChatChunk, ChatReply, ToolCall, Usage, text_chunk
from puter.wire.dialects.base import (
    finish_reason,
    read_blocks,
    read_compaction,
    read_images,
    read_tool_use,
    read_usage,
)
from puter.wire.errors import is_known, make_error, vendor_error
from puter.wire.json import as_dict, as_int_or_none, as_str, read_json

if TYPE_CHECKING:
    from puter.types.media import Image

T = TypeVar("T")


class StreamAccumulator:
    """Takes the lines of one streamed answer in order.

    Args:
        model: The model asked for.
    """

    __slots__ = (
        "_calls", "_compaction", "_cost", "_details", "_lines", "_model", "_reasons", "_texts",
        "_thoughts", "_usage", "_usage_limited", "explained", "failure", "images", "last",
    )  # fmt: skip

    def __init__(self, model: str) -> None:
        self.last: ChatChunk | None = None
        """The chunk of the ``usage`` line: it came, so nothing is missing."""
        self.explained: bool = False
        """The ``usage`` line said what was used, or why the answer ended."""
        self.failure: PuterError | None = None
        """What an error line said: at the very start, with the vendor's status, the error that the
        same call without streaming would raise; else a PuterStreamError with what came before."""
        self.images: Sequence[Image] = ()
        """Those that came so far."""
        self._model = model
        self._texts: list[str] = []
        self._thoughts: Sequence[str] = ()
        self._details: Sequence[dict[str, Any]] = ()
        self._calls: Sequence[ToolCall] = ()
        self._compaction: dict[str, Any] | None = None
        self._lines: list[dict[str, Any]] = []
        self._usage: Usage = NO_USAGE
        self._cost: Decimal | None = None
        self._reasons: tuple[Any, ...] = ()
        self._usage_limited: bool = False

    def add(self, lines: list[dict[str, Any]]) -> list[ChatChunk]:
        """The chunks of these lines, without that of the ``usage`` line.

        A type that is not known is passed on as it is. Lines after the last one, or after an error,
        are left alone.
        """
        chunks: list[ChatChunk] = []
        for line in lines:
            kind = line.get("type")
            if kind == "text" and isinstance(text := line.get("text"), str):
                chunks.append(text_chunk(text, line))
                self._texts.append(text)
            elif kind == "error" or (kind is None and line.get("error") is not None):
                self.failure = self._error(line)
                break
            elif kind == "usage":
                self._usage, self._cost = read_usage(line.get("usage"), line)
                self._reasons = line.get("stopReason"), line.get("finish_reason")
                self.explained = isinstance(line.get("usage"), dict) or any(self._reasons)
                self._usage_limited |= _is_limited(line)
                self.last = ChatChunk("", type=kind, usage=self._usage, raw=line)
                self._lines.append(line)
                break
            else:
                self._usage_limited |= kind is None and _is_limited(line)
                chunk = _chunk(kind if isinstance(kind, str) else "", line)
                chunks.append(chunk)
                self._keep(chunk)
            self._lines.append(line)
        return chunks

    def end(self) -> list[ChatChunk]:
        """The chunks that the end of the body completes: none, as a ``usage`` line comes before."""
        return []

    def _keep(self, chunk: ChatChunk) -> None:
        """What the reply has of a chunk that is more than text."""
        if thought := chunk.reasoning:
            self._thoughts = _with(self._thoughts, thought)
        elif chunk:
            self._texts.append(chunk)
        elif (call := chunk.tool_use) is not None:
            self._calls = _with(self._calls, call)
        elif (image := chunk.image) is not None:
            self.images = _with(self.images, image)
        elif (detail := chunk.reasoning_detail) is not None:
            self._details = _with(self._details, detail)
        else:
            self._compaction = chunk.compaction or self._compaction

    def reply(self) -> ChatReply:
        """What came so far."""
        return ChatReply(
            "".join(self._texts),
            model=self._model,
            provider="fake-chat" if self._usage.raw == _FILLER else "",
            usage=self._usage,
            cost=self._cost,
            finish_reason=finish_reason(self._calls, *self._reasons),
            reasoning="".join(self._thoughts),
            reasoning_details=tuple(self._details),
            tool_calls=tuple(self._calls),
            images=tuple(self.images),
            compaction=self._compaction,
            usage_limited=self._usage_limited,
            raw=tuple(self._lines),
        )

    def failed(self, message: str, hint: str, **details: Any) -> PuterStreamError:
        """The error of a stream that did not come to its end."""
        return PuterStreamError(message, hint=hint, partial=self.reply(), **details)

    def _error(self, line: dict[str, Any]) -> PuterError:
        fault = line.get("error")
        inner: dict[str, Any] = fault if isinstance(fault, dict) else {}
        code = inner.get("code") or line.get("code")
        code = code if isinstance(code, str) else None
        found = (
            line.get("message") or inner.get("message") or (fault if fault is not inner else code)
        )
        message = str(found or "the stream reported an error without a message")
        status = as_int_or_none(line.get("status", inner.get("status")))
        if not self._lines and (code or status or _STATUS_FIRST.match(message)):
            return self._first_error(message, status, code, line)
        typed = make_error(message, status=status, code=code, body=line)
        return self.failed(
            _vendor_message(typed.message),
            "The answer stopped here; .partial has what came. It was not asked for again, "
            "because it is billed.",
            status=status,
            code=code,
            body=typed.body,
            retryable=status is None or status == 429 or status >= 500,
        )

    def _first_error(
        self, message: str, status: int | None, code: str | None, line: dict[str, Any]
    ) -> PuterError:
        """The error that the same call would raise over HTTP: nothing was answered yet.

        Older servers report a failure of Claude as the text ``400 {"type":"error",...}``.
        """
        text, vendor = message, status
        if (found := _STATUS_FIRST.match(message)) is not None:
            vendor = vendor or int(found[1])
            text = f"{found[1]} {_vendor_message(found[2])}"
        if vendor is None or is_known(code):
            return make_error(text, status=status, code=code, body=line)
        return vendor_error(vendor, _vendor_message(text), body=line)


def _with(values: Sequence[T], value: T) -> list[T]:
    """One more at the end of a list, which is made with the first: most streams have none."""
    if isinstance(values, list):
        values.append(value)
        return values
    return [value]


_STATUS_FIRST = re.compile(r"^([45]\d\d) (.*)$", re.DOTALL)
_FILLER = {"usd_cents": None}
"""All that the ``usage`` line of Puter's stand-in ``fake-chat`` holds."""


def _is_limited(line: dict[str, Any]) -> bool:
    return as_dict(line.get("metadata")).get("usage_limited") is True


def _vendor_message(message: str) -> str:
    """The sentence in a vendor's ``{"error": {"message": ...}}``, or the text itself."""
    try:
        inner = read_json(message.encode())["error"]["message"]
    except (ValueError, TypeError, KeyError):
        return message
    return inner if isinstance(inner, str) else message


def _chunk(kind: str, line: dict[str, Any]) -> ChatChunk:
    match kind:
        case "text":
            text, thought, _calls = read_blocks(line.get("text"))  # blocks, of Mistral
            if thought and not text:
                return ChatChunk("", type="reasoning", reasoning=thought, raw=line)
            return ChatChunk(text, type=kind, raw=line)
        case "reasoning":
            return ChatChunk("", type=kind, reasoning=as_str(line.get("reasoning")), raw=line)
        case "reasoning_detail":
            detail = as_dict(line.get("detail"))
            return ChatChunk("", type=kind, reasoning_detail=detail, raw=line)
        case "tool_use":
            return ChatChunk("", type=kind, tool_use=read_tool_use(line), raw=line)
        case "image":
            images = read_images([line.get("image") or line])
            return ChatChunk("", type=kind, image=images[0] if images else None, raw=line)
        case "extra_content":
            extra = line.get("extra_content")
            return ChatChunk("", type=kind, extra_content=extra, raw=line)
        case "compaction":
            return ChatChunk("", type=kind, compaction=read_compaction(line), raw=line)
        case _:
            return ChatChunk("", type=kind or next(iter(line), "unknown"), raw=line)
