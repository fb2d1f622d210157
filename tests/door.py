"""One behaviour, two doors: a client whose HTTP library is replaced by a script.

``door.answers(...)`` queues what the server says (the last one is repeated), ``await door("chat",
"hi")`` calls ``chat`` or ``async_chat``, and ``door.sent`` is what went out.
"""

from __future__ import annotations

import inspect
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp
import requests
import responses
import urllib3
from aiohttp.client_reqrep import ConnectionKey
from aioresponses import CallbackResult, aioresponses

from puter import PuterAI

ANYWHERE = re.compile(r".*")
API = "https://api.puter.com"
LONGEST = 2**16
"""Bytes of one piece."""


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

    def next(self) -> Any:
        self.read += 1
        return self.pieces[self.read - 1] if self.read <= len(self.pieces) else b""


class _BlockingBody(io.RawIOBase):
    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not isinstance(piece := self._stream.next(), bytes):
            if isinstance(piece, Fault):
                raise piece.blocking()
            piece()
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._stream.closed = True
        super().close()


class _AsynchronousBody:
    """Stands where aiohttp's StreamReader would."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def readany(self) -> bytes:
        while not isinstance(piece := self._stream.next(), bytes):
            if isinstance(piece, Fault):
                raise piece.asynchronous()
            if inspect.isawaitable(waiting := piece()):
                await waiting
        return piece

    def feed_data(self, _: bytes) -> None:
        """aioresponses would put all of the body here."""

    def feed_eof(self) -> None:
        """And say that it is all."""

    def exception(self) -> None:
        return None

    def set_exception(self, *_: object) -> None:
        self._stream.closed = True


class _StreamedResponse(aiohttp.ClientResponse):
    def __init__(self, stream: Stream, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._body_of = _AsynchronousBody(stream)

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "content":  # aioresponses sets a reader of its own
            super().__setattr__(name, value)

    content = property(lambda self: self._body_of)


class Fault:
    """A failure below HTTP, as either library raises it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def blocking(self) -> Exception:
        pool: Any = None
        refused = urllib3.exceptions.NewConnectionError(pool, "refused")
        return {
            "refused": requests.ConnectionError(
                urllib3.exceptions.MaxRetryError(pool, "/", refused)
            ),
            "connect_timeout": requests.ConnectTimeout("slow"),
            "silence": requests.ReadTimeout("silent"),
            "cut": requests.ConnectionError(
                urllib3.exceptions.ProtocolError(
                    "Connection aborted.", ConnectionResetError(104, "reset")
                )
            ),
        }[self.name]

    def asynchronous(self) -> Exception:
        key: Any = ConnectionKey("x", 1, True, True, None, None, None)
        return {
            "refused": aiohttp.ClientConnectorError(key, ConnectionRefusedError(111, "refused")),
            "connect_timeout": aiohttp.ConnectionTimeoutError("slow"),
            "silence": aiohttp.SocketTimeoutError("silent"),
            "cut": aiohttp.ServerDisconnectedError(),
        }[self.name]


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


def error_body(message: str, code: str | None, **more: Any) -> dict[str, Any]:
    body = {"error": message, "message": message, **more}
    return {**body, "code": code} if code else body


class Door:
    """A scripted server behind one of the doors."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.sent: list[Sent] = []
        self.answered: Any = None
        self._script: list[Answer | Fault | Callable[[Sent], Any]] = [json_answer(chat_body())]

    def client(self, **settings: Any) -> PuterAI:
        """A signed-in client that retries without waiting."""
        defaults: dict[str, Any] = {
            "token": "test-token-secret",
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

    @contextmanager
    def open(self) -> Iterator[Door]:
        with self._responses() if self.kind == "sync" else self._aioresponses():
            yield self

    @contextmanager
    def _responses(self) -> Iterator[None]:
        def callback(request: Any) -> tuple[int, Mapping[str, str], Any]:
            body = request.body or b""
            answer = self._next(Sent(request.method, request.url, dict(request.headers), body))
            if isinstance(answer, Fault):
                raise answer.blocking()
            body = answer.body
            if isinstance(answer, Stream):
                body = io.BufferedReader(_BlockingBody(answer), LONGEST)
            return answer.status, answer.headers, body

        with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            for method in ("GET", "POST"):
                mock.add_callback(method, ANYWHERE, callback, content_type=None)
            yield

    @contextmanager
    def _aioresponses(self) -> Iterator[None]:
        def callback_for(method: str) -> Callable[..., CallbackResult]:
            def callback(url: Any, **kwargs: Any) -> CallbackResult:
                body = kwargs.get("data") or b""
                answer = self._next(Sent(method, str(url), dict(kwargs["headers"]), body))
                if isinstance(answer, Fault):
                    raise answer.asynchronous()
                streamed: Any = None
                if isinstance(answer, Stream):
                    streamed = partial(_StreamedResponse, answer)
                kind = {k.lower(): v for k, v in answer.headers.items()}.get("content-type", "")
                return CallbackResult(
                    status=answer.status,
                    body=answer.body,
                    headers=answer.headers,
                    content_type=kind,
                    response_class=streamed,
                )

            return callback

        with aioresponses() as mock:
            mock.get(ANYWHERE, callback=callback_for("GET"), repeat=True)
            mock.post(ANYWHERE, callback=callback_for("POST"), repeat=True)
            yield


def json_answer(data: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(
        status, json.dumps(data).encode(), {"Content-Type": "application/json", **headers}
    )


def text_answer(text: str | bytes, content_type: str, status: int = 200, **headers: str) -> Answer:
    body = text.encode() if isinstance(text, str) else text
    return Answer(status, body, {"Content-Type": content_type, **headers})


def lines(*values: Any) -> bytes:
    """Lines of a stream."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in values)


def stream_answer(*pieces: Any, **headers: str) -> Stream:
    """A streamed answer: a dict is a line, anything else a piece as :class:`Stream` says."""
    ready = tuple(lines(one) if isinstance(one, dict) else one for one in pieces)
    return Stream(headers={"Content-Type": "application/x-ndjson", **headers}, pieces=ready)


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
