"""From the lines of a streamed chat to chunks, and from the chunks to the reply; no I/O."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from puter.exceptions import PuterAPIError, PuterError, PuterStreamError
from puter.types.media import Image
from puter.types.replies import NO_USAGE, ChatChunk, ChatReply, ToolCall, Usage
from puter.wire.dialects.base import read_compaction, read_images, read_tool_use, read_usage
from puter.wire.errors import make_error
from puter.wire.json import as_str
from puter.wire.redact import redact


class StreamAccumulator:
    """Takes the lines of one streamed answer in order.

    Args:
        model: The model asked for.
        secrets: What must not be shown in an error.
    """

    def __init__(self, model: str, secrets: tuple[str, ...] = ()) -> None:
        self.last: ChatChunk | None = None
        """The chunk of the ``usage`` line: it came, so nothing is missing."""
        self.measured: bool = False
        """The ``usage`` line carried a value."""
        self.failure: PuterError | None = None
        """What an error line said: at the very start, with the vendor's status, the error that the
        same call without streaming would raise; else a PuterStreamError with what came before."""
        self._model = model
        self._secrets = secrets
        self._chunks: list[ChatChunk] = []
        self._usage: Usage = NO_USAGE
        self._cost: Decimal | None = None

    def add(self, lines: list[dict[str, Any]]) -> list[ChatChunk]:
        """The chunks of these lines, without that of the ``usage`` line.

        A type that is not known is passed on as it is. Lines after the last one, or after an error,
        are left alone.
        """
        chunks: list[ChatChunk] = []
        kept = self._chunks
        for line in lines:
            kind = line.get("type")
            if kind == "text" and isinstance(text := line.get("text"), str):
                chunk = ChatChunk(text, raw=line)
            elif kind == "error" or (kind is None and line.get("error") is not None):
                self.failure = self._error(line)
                break
            elif kind == "usage":
                self._usage, self._cost = read_usage(line.get("usage"))
                self.measured = isinstance(line.get("usage"), dict)
                self.last = ChatChunk("", type=kind, usage=self._usage, raw=line)
                kept.append(self.last)
                break
            else:
                chunk = _chunk(kind if isinstance(kind, str) else "", line)
            kept.append(chunk)
            chunks.append(chunk)
        return chunks

    def reply(self) -> ChatReply:
        """What came so far."""
        chunks = self._chunks
        calls: list[ToolCall] = [one.tool_use for one in chunks if one.tool_use is not None]
        images: list[Image] = [one.image for one in chunks if one.image is not None]
        compactions = [one.compaction for one in chunks if one.compaction is not None]
        return ChatReply(
            "".join(chunks),
            model=self._model,
            usage=self._usage,
            cost=self._cost,
            finish_reason="tool_calls" if calls else "stop",
            reasoning="".join(one.reasoning for one in chunks if one.type == "reasoning"),
            tool_calls=tuple(calls),
            images=tuple(images),
            compaction=compactions[-1] if compactions else None,
            raw=tuple(one.raw for one in chunks),
        )

    def failed(self, message: str, hint: str, **details: Any) -> PuterStreamError:
        """The error of a stream that did not come to its end."""
        message = redact(message, self._secrets)
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
        if not self._chunks:
            vendor = _vendor_error(message, self._secrets)
            if vendor is not None:
                return vendor
        typed = make_error(message, status=None, code=code, body=line, secrets=self._secrets)
        if code is not None and not self._chunks:
            return typed
        return self.failed(
            _vendor_message(typed.message),
            "The answer stopped here; .partial has what came. It was not asked for again, "
            "because it is billed.",
            code=code,
            body=typed.body,
            retryable=True,
        )


_STATUS_FIRST = re.compile(r"^([45]\d\d) (.*)$", re.DOTALL)


def _vendor_error(message: str, secrets: tuple[str, ...]) -> PuterAPIError | None:
    """Claude's streams report even a bad request as a line: ``400 {"type":"error",...}``."""
    found = _STATUS_FIRST.match(message)
    if found is None:
        return None
    vendor = int(found[1])
    # What the Puter backend answers to the same failure without streaming.
    if vendor == 429:
        status, code = 429, "upstream_rate_limited"
    elif vendor in (401, 403):
        status, code = 500, "upstream_auth_failed"
    elif vendor >= 500:
        status, code = 400, "upstream_provider_unavailable"
    else:
        status, code = 400, "upstream_bad_request"
    error = make_error(
        f"{vendor} {_vendor_message(found[2])}",
        status=status,
        code=code,
        body={"type": "error", "message": message},
        secrets=secrets,
    )
    return error if isinstance(error, PuterAPIError) else None


def _vendor_message(message: str) -> str:
    """The sentence in a vendor's ``{"error": {"message": ...}}``, or the text itself."""
    try:
        inner = json.loads(message)["error"]["message"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return message
    return inner if isinstance(inner, str) else message


def _chunk(kind: str, line: dict[str, Any]) -> ChatChunk:
    match kind:
        case "text":
            return ChatChunk("", type=kind, raw=line)
        case "reasoning":
            return ChatChunk("", type=kind, reasoning=as_str(line.get("reasoning")), raw=line)
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
