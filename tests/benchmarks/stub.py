"""A server that costs next to nothing: the same bytes for every chat, on the loopback interface.

The first part of a path says how long streams are: a number of chunks, or ``open`` for one chunk
and no end. Below it are ``/drivers/call`` and, as OpenAI has it, ``/v1/chat/completions``.

Run as a module it serves until killed; its first line is the port.
"""

from __future__ import annotations

import asyncio
import json
import re
from functools import cache
from typing import Any

from tests.benchmarks.processes import more_descriptors

TEXT = "Hello from the stub."
MANY = 1000
"""Chunks of a stream that is read to its end."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PIECES = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_STREAMED = re.compile(rb'"stream": ?true')
_END = b"0\r\n\r\n"


def _head(kind: str, how: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{how}\r\n\r\n".encode()


def _whole(value: Any) -> bytes:
    body = json.dumps(value).encode()
    return _head("application/json; charset=utf-8", f"Content-Length: {len(body)}") + body


def _stream(kind: str, lines: list[bytes], end: bytes = _END) -> bytes:
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in lines)
    return _head(kind, "Transfer-Encoding: chunked") + pieces + end


MESSAGE: dict[str, Any] = {"role": "assistant", "content": TEXT, "refusal": None}
_PUTER = _whole({
    "success": True,
    "result": {
        "index": 0,
        "message": MESSAGE,
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 12, "completion_tokens": 5, "usd_cents": 0.001},
        "via_ai_chat_service": True,
    },
    "service": {"name": "ai-chat"},
    "metadata": {"service_used": "openai-completion", "providerUsed": "gpt-5-nano"},
})  # fmt: skip
_OPENAI = _whole({
    "id": "c-1", "object": "chat.completion", "created": 1, "model": "gpt-5-nano",
    "choices": [{"index": 0, "message": MESSAGE, "logprobs": None, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
})  # fmt: skip


@cache
def _puter_stream(length: str) -> bytes:
    count = int(length) if length.isdigit() else 1
    lines: list[dict[str, Any]] = [{"type": "text", "text": f"word{n} "} for n in range(count)]
    if length != "open":
        usage = {"prompt_tokens": 12, "completion_tokens": count}
        lines.append({"type": "usage", "usage": usage})
    encoded = [json.dumps(line).encode() + b"\n" for line in lines]
    return _stream("application/x-ndjson", encoded, b"" if length == "open" else _END)


@cache
def _openai_stream(length: str) -> bytes:
    same = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunks = [
        {**same, "choices": [{"index": 0, "delta": {"content": f"word{n} "}}]}
        for n in range(int(length))
    ]
    events = [json.dumps(chunk) for chunk in chunks] + ["[DONE]"]
    return _stream("text/event-stream", [f"data: {event}\n\n".encode() for event in events])


def _answer(path: str, body: bytes) -> bytes:
    length, ours = path.split("/")[1], path.endswith("/drivers/call")
    if _STREAMED.search(body[-200:]) or _STREAMED.search(body[:200]):
        return _puter_stream(length) if ours else _openai_stream(length)
    return _PUTER if ours else _OPENAI


def end_of_request(received: bytes | bytearray) -> tuple[int, int] | None:
    """Where its body begins and where it ends; None while something is missing."""
    if (head := received.find(b"\r\n\r\n")) < 0:
        return None
    begin = head + 4
    if _PIECES.search(received, 0, head):
        last = begin if received.startswith(_END, begin) else received.find(b"\r\n" + _END, begin)
        return None if last < 0 else (begin, received.index(_END, last) + len(_END))
    found = _LENGTH.search(received, 0, head)
    end = begin + (int(found[1]) if found else 0)
    return (begin, end) if len(received) >= end else None


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._received = transport, bytearray()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (found := end_of_request(self._received)) is not None:
            begin, end = found
            path = self._received.split(b" ", 2)[1].decode()
            answer = _answer(path, bytes(self._received[begin:end]))
            del self._received[:end]
            self._transport.write(answer)


async def _serve() -> None:
    more_descriptors()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
