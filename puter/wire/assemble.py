"""From the lines of a streamed chat to chunks, and from the chunks to the reply; no I/O."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from puter.exceptions import PuterAPIError, PuterError, PuterStreamError
from puter.replies import ChatChunk, ChatReply, ToolCall, Usage
from puter.wire import errors
from puter.wire.chat import read_compaction, read_images, read_tool_use, read_usage
from puter.wire.redact import redact

if TYPE_CHECKING:
    from puter.media import Image


class Assembler:
    """Takes the lines of one streamed answer in order.

    Attributes:
        complete: The ``usage`` line came, so nothing is missing.
        measured: It carried a value.
    """

    def __init__(self, model: str, secrets: tuple[str, ...] = ()) -> None:
        self.complete: bool = False
        self.measured: bool = False
        self._model = model
        self._secrets = secrets
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[ToolCall] = []
        self._images: list[Image] = []
        self._compaction: dict[str, Any] | None = None
        self._usage: Usage = Usage()
        self._cost: Decimal | None = None
        self._raw: list[dict[str, Any]] = []

    def add(self, line: dict[str, Any]) -> ChatChunk:
        """The chunk of a line; a type that is not known is passed on as it is.

        Raises:
            PuterStreamError: It is an error line, with what came before as ``partial``.
            PuterAPIError: It is one at the very start that tells the vendor's status: the error is
                the one that the same call without streaming would raise.
        """
        kind = line.get("type")
        if kind == "error" or (kind is None and line.get("error") is not None):
            raise self._error(line)
        self._raw.append(line)
        chunk = _chunk(kind if isinstance(kind, str) else "", line)
        if chunk.type == "text":
            self._text.append(str(chunk))
        elif chunk.type == "reasoning":
            self._reasoning.append(chunk.reasoning)
        elif chunk.tool_use is not None:
            self._calls.append(chunk.tool_use)
        elif chunk.image is not None:
            self._images.append(chunk.image)
        elif chunk.type == "compaction":
            self._compaction = chunk.compaction
        elif chunk.usage is not None:
            self._usage, self._cost = chunk.usage, read_usage(line.get("usage"))[1]
            self.complete, self.measured = True, isinstance(line.get("usage"), dict)
        return chunk

    def reply(self) -> ChatReply:
        """What came so far."""
        return ChatReply(
            "".join(self._text),
            model=self._model,
            usage=self._usage,
            cost=self._cost,
            finish_reason="tool_calls" if self._calls else "stop",
            reasoning="".join(self._reasoning),
            tool_calls=tuple(self._calls),
            images=tuple(self._images),
            compaction=self._compaction,
            raw=tuple(self._raw),
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
        text = (
            line.get("message") or inner.get("message") or (fault if fault is not inner else code)
        )
        told = str(text or "the stream reported an error without a message")
        if not self._raw:
            vendor = _vendor_error(told, self._secrets)
            if vendor is not None:
                return vendor
        typed = errors.make(told, status=None, code=code, body=line, secrets=self._secrets)
        if code is not None and not self._raw:
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


def _vendor_error(told: str, secrets: tuple[str, ...]) -> PuterAPIError | None:
    """Claude's streams report even a bad request as a line: ``400 {"type":"error",...}``."""
    found = _STATUS_FIRST.match(told)
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
    error = errors.make(
        f"{vendor} {_vendor_message(found[2])}",
        status=status,
        code=code,
        body={"type": "error", "message": told},
        secrets=secrets,
    )
    return error if isinstance(error, PuterAPIError) else None


def _vendor_message(told: str) -> str:
    """The sentence in a vendor's ``{"error": {"message": ...}}``, or the text itself."""
    try:
        message = json.loads(told)["error"]["message"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return told
    return message if isinstance(message, str) else told


def _chunk(kind: str, line: dict[str, Any]) -> ChatChunk:
    match kind:
        case "text":
            return ChatChunk(_str(line.get("text")), type=kind, raw=line)
        case "reasoning":
            return ChatChunk("", type=kind, reasoning=_str(line.get("reasoning")), raw=line)
        case "tool_use":
            return ChatChunk("", type=kind, tool_use=read_tool_use(line), raw=line)
        case "image":
            pictures = read_images([line.get("image") or line])
            return ChatChunk("", type=kind, image=pictures[0] if pictures else None, raw=line)
        case "extra_content":
            extra = line.get("extra_content")
            return ChatChunk("", type=kind, extra_content=extra, raw=line)
        case "compaction":
            return ChatChunk("", type=kind, compaction=read_compaction(line), raw=line)
        case "usage":
            return ChatChunk("", type=kind, usage=read_usage(line.get("usage"))[0], raw=line)
        case _:
            return ChatChunk("", type=kind or next(iter(line), "unknown"), raw=line)


def _str(value: Any) -> str:
    return value if isinstance(value, str) else ""
