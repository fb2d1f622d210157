"""A streamed answer in the form of OpenAI's chat completions: its lines to chunks, without I/O."""

from __future__ import annotations

from typing import Any

from puter.exceptions import PuterResponseError
from puter.types.replies import ChatChunk, ToolCall, text_chunk
from puter.wire.dialects.base import read_blocks, read_images, read_usage
from puter.wire.dialects.completions import named
from puter.wire.json import as_dict, as_dicts, as_int_or_none, as_str, read_json
from puter.wire.messages import EXTRAS
from puter.wire.redact import LONGEST
from puter.wire.server_errors import told_error
from puter.wire.sse import EventDecoder
from puter.wire.tool_messages import arguments_of

_END = b"[DONE]"
_LINES = 100
"""Lines that the data of an event may have: each is read again with the next."""


class CompletionStream:
    r"""Takes the lines of one stream in order.

    A tool call comes in pieces, and is handed out whole at the end. The last chunk is that of
    ``usage``, once the server has said that the answer is complete: with ``[DONE]``, or with a
    ``finish_reason`` before the end of the body.

    Args:
        server: Name of the driver, for errors.

    Examples:
        >>> stream = CompletionStream("local")
        >>> stream.read_line(b'data: {"choices": [{"delta": {"content": "Hi"}}]}')
        [ChatChunk('Hi')]
        >>> stream.read_line(b"data: [DONE]")
        [ChatChunk(type='usage')]
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._events = EventDecoder()
        self._calls: list[_Call] = []
        self._reason: str | None = None
        self._usage: Any = None

    def read_line(self, line: bytes) -> list[ChatChunk]:
        """The chunks that the line completes.

        Raises:
            PuterError: The line tells an error, or cannot be read.
        """
        event = self._events.feed(line)
        if event is None:
            if not line and self._events.kept:
                raise self._damaged(self._events.kept)
            return []
        kind, data = event
        if data.strip() == _END:
            return self._ended()
        try:
            value = read_json(data)
        except ValueError:
            if data.count(b"\n") > _LINES:
                raise self._damaged(data) from None
            self._events.keep(data)  # JSON may go on in the next line
            return []
        fields = as_dict(value)
        if kind == "error" or fields.get("error"):
            raise told_error(self._server, value)
        if fields.get("usage"):
            self._usage = fields["usage"]
        choices = as_dicts(fields.get("choices"))
        return [chunk for choice in choices for chunk in self._chunks(choice, fields)]

    def flush(self) -> list[ChatChunk]:
        """The last chunks, when the body ends: none, when the answer is not complete."""
        if self._events.kept:
            raise self._damaged(self._events.kept)
        return [] if self._reason is None else self._ended()

    def _chunks(self, choice: dict[str, Any], line: dict[str, Any]) -> list[ChatChunk]:
        if choice.get("index"):
            return []  # another answer to the same question, which nobody asked for
        delta = as_dict(choice.get("delta") or choice.get("message"))
        self._reason = as_str(choice.get("finish_reason")) or self._reason
        chunks: list[ChatChunk] = []
        thought = as_str(delta.get("reasoning_content")) or as_str(delta.get("reasoning"))
        text = as_str(delta.get("content")) or as_str(delta.get("refusal"))
        if isinstance(delta.get("content"), list):
            text, thought, _ = read_blocks(delta["content"])
        if thought:
            chunks.append(ChatChunk("", type="reasoning", reasoning=thought, raw=line))
        if text:
            chunks.append(text_chunk(text, line))
        images = read_images(delta["images"]) if "images" in delta else ()
        chunks += [ChatChunk("", type="image", image=one, raw=line) for one in images]
        for piece in as_dicts(delta.get("tool_calls")):
            self._call_of(piece).add(piece)
        return chunks

    def _call_of(self, piece: dict[str, Any]) -> _Call:
        """The call that a piece belongs to: by its index, else by its id, else the last one."""
        index, identity = as_int_or_none(piece.get("index")), as_str(piece.get("id"))
        for call in self._calls:
            if (call.index == index) if index is not None else (call.id == identity != ""):
                return call
        if index is None and not identity and self._calls:
            return self._calls[-1]
        self._calls.append(_Call(index))
        return self._calls[-1]

    def _ended(self) -> list[ChatChunk]:
        calls = [named(call.whole(), place) for place, call in enumerate(self._calls)]
        usage, _ = read_usage(self._usage)
        raw = {"type": "usage", "usage": self._usage, "finish_reason": self._reason}
        self._calls, self._reason = [], None
        return [
            *(ChatChunk("", type="tool_use", tool_use=call) for call in calls),
            ChatChunk("", type="usage", usage=usage, raw=raw),
        ]

    def _damaged(self, data: bytes) -> PuterResponseError:
        return PuterResponseError(
            f"{self._server}: an event of the stream is not JSON: {bytes(data[:LONGEST])!r}",
            hint="The server, or a proxy in between, has damaged it.",
        )


class _Call:
    """A tool call that comes in pieces."""

    def __init__(self, index: int | None) -> None:
        self.index = index
        self.id = ""
        self._name = ""
        self._arguments: list[str] = []
        self._ready: dict[str, Any] | None = None
        self._extra: dict[str, Any] = {}

    def add(self, piece: dict[str, Any]) -> None:
        function = as_dict(piece.get("function"))
        self.id = self.id or as_str(piece.get("id"))
        self._name += as_str(function.get("name"))
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            self._ready = arguments
        self._arguments.append(as_str(arguments))
        self._extra.update((key, piece[key]) for key in EXTRAS if key in piece)

    def whole(self) -> ToolCall:
        arguments = self._ready if self._ready is not None else "".join(self._arguments)
        return ToolCall(self.id, self._name, arguments_of(arguments), self._extra)
