"""One behaviour, two doors: a client whose requests are answered by a script, in memory.

``door.answers(...)`` queues what the server says (the last one is repeated), ``await door("chat",
"hi")`` calls ``chat`` or ``async_chat``, and ``door.sent`` is what went out.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from puter import PuterAI, ToolCall
from puter.engine.effects import Send
from puter.transports.connection_errors import Exchange
from puter.transports.mock import MockReply, MockRequest, MockTransport

API = "https://api.puter.com"


@dataclass
class Sent:
    """A request as it left the client."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def args(self) -> Any:
        return self.json["args"]


@dataclass
class Answer:
    """What the server says."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Stream(Answer):
    """An answer whose body comes piece by piece.

    A piece is bytes, a Fault, or a function called (and awaited) when its turn comes.

    Attributes:
        read: How many pieces were asked for.
        closed: Whether the client let go of the connection.
    """

    pieces: tuple[Any, ...] = ()
    read: int = 0
    closed: bool = False

    def lines(self, transport: Scripted) -> Generator[Any]:
        """The pieces in turn, for a ``MockReply``."""
        begun = self._each(transport)
        next(begun)  # a generator that was not begun does not see that it is closed
        return begun

    def _each(self, transport: Scripted) -> Generator[Any]:
        try:
            yield None
            for piece in self.pieces:
                self.read += 1
                yield transport.fault(piece) if isinstance(piece, Fault) else piece
            while True:
                self.read += 1
                yield b""
        finally:
            self.closed = True


class Fault:
    """A failure below HTTP."""

    def __init__(self, name: str) -> None:
        self.name = name


REFUSED, CONNECT_TIMEOUT, SILENCE, CUT = map(
    Fault, ("refused", "connect_timeout", "silence", "cut")
)


def chat_body(text: str | None = "Hello!", **changes: Any) -> dict[str, Any]:
    """A chat answer in the OpenAI family's shape; ``message`` and ``metadata`` are merged in."""
    message = {"role": "assistant", "content": text, "refusal": None, **changes.pop("message", {})}
    metadata = {"service_used": "openai-completion", "providerUsed": "gpt-5-nano"}
    metadata.update(changes.pop("metadata", {}))
    result = {
        "index": 0,
        "message": message,
        "finish_reason": "stop",
        "usage": {
            "prompt_tokens": 11,
            "completion_tokens": 7,
            "cached_tokens": 0,
            "usd_cents": 0.0078,
        },
        "via_ai_chat_service": True,
        **changes,
    }
    return {"success": True, "result": result, "service": {"name": "ai-chat"}, "metadata": metadata}


def tool_call(identity: str, name: str, arguments: Any = "{}") -> dict[str, Any]:
    """A call in an answer of the OpenAI family; arguments are JSON, or become it."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": text}}


def calls_body(*calls: tuple[str, Any], text: str | None = None, **changes: Any) -> dict[str, Any]:
    """An answer of the OpenAI family that calls tools: ``(name, arguments)``."""
    made = [tool_call(f"call_{n}", *one) for n, one in enumerate(calls, 1)]
    return chat_body(text, message={"tool_calls": made}, finish_reason="tool_calls", **changes)


USAGE: dict[str, Any] = {
    "type": "usage",
    "usage": {"prompt_tokens": 11, "completion_tokens": 7, "usd_cents": 0.0078},
}
"""The last line of a stream, with the figures of ``chat_body()``."""


def error_body(message: str, code: str | None, **more: Any) -> dict[str, Any]:
    body = {"error": message, "message": message, **more}
    return {**body, "code": code} if code else body


class Scripted(MockTransport):
    """Answers from the script of a door."""

    def __init__(self, door: Door) -> None:
        super().__init__(self._answer)
        self._door = door
        self._effect: Send

    def _seen(self, effect: Send) -> MockRequest:
        self._effect = effect
        return super()._seen(effect)

    def fault(self, fault: Fault) -> Exception:
        """The error that a real transport makes of it."""
        exchange = Exchange(self._effect.request, time_left=self._effect.time_left)
        match fault.name:
            case "refused":
                return exchange.not_connected(ConnectionRefusedError(111, "refused"))
            case "connect_timeout":
                return exchange.connect_timeout()
            case "silence":
                return exchange.silence()
            case _:
                return exchange.cut_off(ConnectionResetError(104, "reset"))

    def _answer(self, request: MockRequest) -> Any:
        answer = self._door._next(
            Sent(request.method, request.url, dict(request.headers), request.body)
        )
        if isinstance(answer, Fault):
            return self.fault(answer)
        headers = {"Content-Type": "", **answer.headers}
        if isinstance(answer, Stream):
            return MockReply(answer.status, lines=answer.lines(self), headers=headers)
        return MockReply(answer.status, body=answer.body, headers=headers)


class Door:
    """A scripted server behind one of the doors."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.sent: list[Sent] = []
        self.answered: Any = None
        self.transport = Scripted(self)
        self._script: list[Answer | Fault | Callable[[Sent], Any]] = [json_answer(chat_body())]

    def client(self, **settings: Any) -> PuterAI:
        """A signed-in client that retries without waiting."""
        defaults: dict[str, Any] = {
            "token": "test-token-secret",
            "transport": self.transport,
            "retry_delay": 0.0,
            "max_retries": 2,
        }
        return PuterAI(**{**defaults, **settings})

    def answers(self, *script: Any) -> None:
        """Queue dicts (JSON), (status, dict), Answers, Faults, or functions of the request."""
        self._script = [_answer(one) for one in script]

    async def __call__(self, ai: PuterAI, method: str, *args: Any, **kwargs: Any) -> Any:
        if self.kind == "sync":
            return getattr(ai, method)(*args, **kwargs)
        return await getattr(ai, f"async_{method}")(*args, **kwargs)

    def _next(self, sent: Sent) -> Answer | Fault:
        self.sent.append(sent)
        one = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        self.answered = _answer(one(sent)) if callable(one) else one
        return self.answered  # type: ignore[no-any-return]


def json_answer(data: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(
        status, json.dumps(data).encode(), {"Content-Type": "application/json", **headers}
    )


def text_answer(text: str | bytes, content_type: str, status: int = 200, **headers: str) -> Answer:
    body = text.encode() if isinstance(text, str) else text
    return Answer(status, body, {"Content-Type": content_type, **headers})


def lines(*values: Any) -> bytes:
    """NDJSONDecoder of a stream."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in values)


def stream_answer(*pieces: Any, **headers: str) -> Stream:
    """A streamed answer: a dict is a line, anything else a piece as :class:`Stream` says."""
    ready = tuple(lines(one) if isinstance(one, dict) else one for one in pieces)
    return Stream(headers={"Content-Type": "application/x-ndjson", **headers}, pieces=ready)


def answer(stream: bool, text: str = "Hello!", *calls: ToolCall) -> Any:
    """What the model says and calls, in one piece or streamed."""
    if stream:
        texts = [{"type": "text", "text": text}] if text else []
        uses = [
            {"type": "tool_use", "id": one.id, "name": one.name, "input": one.arguments}
            for one in calls
        ]
        return stream_answer(*texts, *uses, USAGE)
    made = [tool_call(one.id, one.name, one.arguments) for one in calls]
    return chat_body(text or None, message={"tool_calls": made} if made else {})


async def each(stream: Any) -> AsyncIterator[Any]:
    """The chunks of a stream from either door."""
    if hasattr(stream, "__aiter__"):
        async for chunk in stream:
            yield chunk
    else:
        for chunk in stream:
            yield chunk


async def chunks(stream: Any) -> list[Any]:
    return [one async for one in each(stream)]


async def step(stream: Any) -> Any:
    """The next chunk."""
    return await anext(stream) if hasattr(stream, "__anext__") else next(stream)


async def until_done(stream: Any) -> Any:
    reply = stream.until_done()
    return await reply if inspect.isawaitable(reply) else reply


async def shut(stream: Any) -> None:
    if hasattr(stream, "aclose"):
        await stream.aclose()
    else:
        stream.close()


def _answer(one: Any) -> Any:
    if isinstance(one, (Answer, Fault)) or callable(one):
        return one
    if isinstance(one, tuple):
        return json_answer(one[1], one[0])
    return json_answer(one)


def label(value: Any) -> str:
    """Names a test by its parameter, alike in every process: without the addresses of objects."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))
