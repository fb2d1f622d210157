"""What a test can make a model answer: replies, and streams that break."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeAlias

from puter.testing import faults
from puter.testing.chat_call import ChatCall
from puter.testing.faults import Fault, HttpAnswer, NamedFault
from puter.testing.faults.fault import End, Step
from puter.testing.gate import Gate
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, dumps

__all__ = [
    "Disconnect", "Failure", "Fault", "Garbage", "Hang", "InvalidUtf8", "Redirect", "Reply",
    "Reset", "StreamCut", "StreamDisconnect", "StreamEnd", "StreamError", "StreamFault",
    "StreamReset", "Truncate", "UpstreamFailure",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A chat answer, put into the form of whatever family of models was asked.

    Args:
        text: the answer; ``None`` sends ``null`` where the family can.
        reasoning: what the model thought.
        reasoning_details: what Claude and Responses models want back with the answer: signed
            or redacted thoughts. Made of ``reasoning`` when empty.
        signed: Claude refuses the results of these tool calls unless the thought came back in
            front of them.
        tool_calls: mappings with ``name`` and ``arguments`` (a dict or a JSON string) and
            optionally ``id``; OpenAI's ``{"function": {...}}`` form works as well.
        refusal: why the model declines.
        usage: token counts under the route's own key names; the rest is computed.
        finish_reason: ``stop``, ``length``, ``tool_calls`` or ``content_filter``; translated
            for Claude; any other word is passed on. Chosen by content when ``None``.
        stop_sequence: the text that Claude stopped at.
        usage_limited: the balance ended the answer; only the server of 2026-10 says so.
        images: URLs or data URIs.
        annotations: citations, passed on as given.
        compaction: the summary that replaces the conversation so far.
        extra: further keys of the message, such as Gemini's ``extra_content``.
        blocked: lorem ipsum from ``fake-chat`` instead, as for prompts Puter blocks.
        raw: the whole ``result`` object; everything else is ignored, unless streamed.
        delay: seconds to wait before the answer.
        chunks: what a stream sends instead of ``text`` word by word: texts, ready lines as
            mappings, or bytes sent as they are, their line ending included. A line of type
            ``usage`` or ``error`` is the last; otherwise the usage follows. Without ``text``,
            an answer that is not streamed holds the texts of ``chunks``.
        pace: seconds between the lines of a stream.
        gate: holds the lines of a stream back until the test lets them pass.
        no_usage: end a stream with a usage line that tells nothing.

    Examples:
        >>> Reply(tool_calls=[{"name": "get_weather", "arguments": {"city": "Paris"}}]).text
        ''
        >>> Reply(chunks=["Hel", "lo"]).text
        'Hello'
    """

    text: str | None = ""
    reasoning: str | None = None
    reasoning_details: Sequence[Mapping[str, Any]] = ()
    signed: bool = False
    tool_calls: Sequence[Mapping[str, Any]] = ()
    refusal: str | None = None
    usage: Mapping[str, Any] | None = None
    finish_reason: str | None = None
    stop_sequence: str | None = None
    usage_limited: bool = False
    images: Sequence[str] = ()
    annotations: Sequence[Mapping[str, Any]] = ()
    compaction: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    blocked: bool = False
    raw: Mapping[str, Any] | None = None
    delay: float = 0.0
    chunks: Sequence[str | Mapping[str, Any] | bytes] = ()
    pace: float = 0.0
    gate: Gate | None = None
    no_usage: bool = False

    @classmethod
    def of(cls, given: str | Reply) -> Reply:
        return cls(text=given) if isinstance(given, str) else given

    def __post_init__(self) -> None:
        if self.chunks and self.text == "":
            object.__setattr__(self, "text", "".join(map(_text_of, self.chunks)))


def _text_of(chunk: str | Mapping[str, Any] | bytes) -> str:
    if isinstance(chunk, Mapping):
        return str(chunk.get("text", "")) if chunk.get("type") == "text" else ""
    return chunk if isinstance(chunk, str) else ""


class FaultRaised(Exception):
    """A driver met a fault instead of a result; carry it out."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(repr(fault))
        self.fault = fault


@dataclass(frozen=True)
class UpstreamFailure(Fault):
    """The vendor behind Puter answered ``status``; Puter reports it in its own words.

    The server of 2026-08 reports it as a single ``error`` line under a 200 in a stream of a
    Claude model.

    Args:
        status: the vendor's HTTP status. Puter answers 429 for 429, 500 for 401 and 403, and
            400 for all others, vendor outages (5xx) included; that of 2026-10 also 503 for 402
            (Puter's account with the vendor is empty), and 504 for 408 and 504.
        message: the vendor's text.
        code: the vendor's code, or its type of the error.
        retry_after: seconds that the vendor asks to wait; only the server of 2026-10 passes
            them on, in the body.
    """

    status: int = 500
    message: str = "the vendor failed"
    code: str | None = None
    retry_after: float | None = None

    def error(self, routes: Sequence[Mapping[str, Any]] = (), *, newer: bool = False) -> ApiError:
        """The failure, with the ``routes`` that were tried."""
        provider = routes[0]["provider"] if routes else ""
        told = self.told(provider)
        code = {"code": self.code} if self.code else {}
        tried = attempts(routes, status=self.status, **code, error=told)
        fields: dict[str, Any] = {
            "upstreamStatus": self.status,
            "errorCode": self.kind(provider) if self.status < 500 else None,
            "retryAfter": self.retry_after,
        }
        more = {name: fields[name] for name in fields if newer and fields[name] is not None}
        answer = upstream_error(self.status, self.message if newer else told, newer=newer)
        return ApiError(*answer, **more, attempts=tried)

    def kind(self, provider: str) -> str:
        """The vendor's code, or Anthropic's word for the status."""
        usual = recorded("claude_errors").get(str(self.status), "api_error")
        return self.code or (usual if provider == "claude" else "invalid_request_error")

    def told(self, provider: str) -> str:
        """Status and text as the vendor's library puts them; Claude's text is a JSON body."""
        message = self.message
        if provider == "claude" and not message.startswith("{"):
            error = {"type": self.kind(provider), "message": message}
            message = dumps({"type": "error", "error": error}).decode()
        return f"{self.status} {message}"

    def change(self, answer: HttpAnswer) -> HttpAnswer:
        error = self.error(newer=answer.newer)
        return answer.whole(dumps(error.body), status=error.status)


def attempts(routes: Sequence[Mapping[str, Any]], **what: Any) -> list[dict[str, Any]]:
    """What became of the ``routes`` that were tried; Puter backend: three at most."""
    return [{"model": route["id"], "provider": route["provider"], **what} for route in routes[:3]]


def upstream_error(status: int, text: str, *, newer: bool = False) -> tuple[int, str, str]:
    """Puter's status, text and code for a vendor's status."""
    known = recorded("upstream_errors", newer=newer)
    usual = [400, text, "upstream_bad_request"] if status < 500 else known["500"]
    status, text, code = known.get(str(status), usual)
    return status, text, code


# Names of kinds of faults from before `puter.testing.faults`.
Disconnect: Callable[[], NamedFault] = faults.closed
Hang: Callable[[], NamedFault] = faults.silence
Redirect: Callable[..., NamedFault] = faults.redirect
Reset: Callable[..., NamedFault] = faults.reset


def Failure(*args: Any, delay: float = 0.0, **options: Any) -> NamedFault:  # noqa: N802
    """`faults.status`, after ``delay`` seconds."""
    return replace(faults.status(*args, **options), delay=delay)


def Truncate(body: bytes = b'{"success":true,"result":{"mess', missing: int = 100) -> Fault:  # noqa: N802
    """`faults.cut_body` of a request that was not run."""
    return replace(faults.cut_body(body, missing), ran=False)


def InvalidUtf8(body: bytes = b'{"success":true,"result":"\xff\xfe\x80"}') -> Fault:  # noqa: N802
    """A 200 that says JSON and holds bytes no UTF-8 decoder takes."""
    return faults.status(200, body=body, content_type="application/json; charset=utf-8")


@dataclass(frozen=True, kw_only=True)
class StreamFault(Fault):
    """Base of the faults of a stream. A chat that is not streamed fails in the nearest way.

    Args:
        after: lines that come before, of ``reply`` or of what LocalPuter says of its own accord;
            never its usage line.
        reply: the answer that goes wrong.
    """

    after: int = 1
    reply: Reply | str | None = None
    end: ClassVar[End | None] = None
    otherwise: ClassVar[Fault] = faults.closed()

    def change(self, answer: HttpAnswer) -> HttpAnswer | Iterable[Step]:
        return self.otherwise.change(answer)

    def spoil(self, lines: list[bytes], *, newer: bool) -> list[bytes]:
        """The lines that are sent instead of ``lines``."""
        del newer  # for those that speak differently
        # The empty line sends nothing, but has its pace and its turn at the gate.
        return [*self._before(lines), b""]

    def _before(self, lines: list[bytes]) -> list[bytes]:
        return lines[: min(self.after, len(lines) - 1)]


@dataclass(frozen=True)
class StreamError(StreamFault):
    """The vendor fails after the start: a line with ``message``, then a clean end.

    Args:
        message: the vendor's text; Claude's is a JSON body.
        status: the vendor's HTTP status; only the server of 2026-10 tells it.
        code: the vendor's type of the error; likewise.
    """

    message: str = "the vendor failed"
    status: int = 500
    code: str | None = None

    def spoil(self, lines: list[bytes], *, newer: bool) -> list[bytes]:
        line: dict[str, Any] = {"type": "error", "message": self.message}
        if newer:
            line |= {"code": self.code} if self.code else {}
            line["status"] = self.status
        return [*self._before(lines), dumps(line) + b"\n"]

    def change(self, answer: HttpAnswer) -> HttpAnswer:
        return UpstreamFailure(self.status, self.message, self.code).change(answer)


@dataclass(frozen=True)
class StreamEnd(StreamError):
    """The vendor's connection ends early; the server of 2026-08 takes it for the end."""

    message: str = "Stream ended before completion"

    def spoil(self, lines: list[bytes], *, newer: bool) -> list[bytes]:
        told = super().spoil(lines, newer=newer)
        return told if newer else [*told[:-1], b'{"type":"usage"}\n']


@dataclass(frozen=True)
class StreamCut(StreamFault):
    """A clean end without the usage line, as a proxy on the way makes of a lost connection."""

    otherwise: ClassVar[Fault] = Truncate()


@dataclass(frozen=True)
class StreamDisconnect(StreamFault):
    """The connection closes before the body is complete."""

    end: ClassVar[End | None] = "closed"


@dataclass(frozen=True)
class StreamReset(StreamFault):
    """The connection is reset before the body is complete."""

    end: ClassVar[End | None] = "reset"
    otherwise: ClassVar[Fault] = faults.reset()


@dataclass(frozen=True)
class Garbage(StreamFault):
    """``line`` among the others; the rest of the stream is as it should be."""

    line: bytes = b"<html>502 Bad Gateway</html>\n"

    def spoil(self, lines: list[bytes], *, newer: bool) -> list[bytes]:
        del newer
        before = self._before(lines)
        return [*before, self.line, *lines[len(before) :]]

    def change(self, answer: HttpAnswer) -> HttpAnswer | Iterable[Step]:
        return faults.status(200, body=self.line).change(answer)


Answer: TypeAlias = "str | Reply | Fault"
Responder: TypeAlias = "Callable[[ChatCall], Answer | Awaitable[Answer]]"
