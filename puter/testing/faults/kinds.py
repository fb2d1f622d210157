"""The kinds of faults: each function is a small change to the answer, and makes a `Fault`."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from puter.testing.faults.fault import JSON, HttpAnswer, Step, chunk, kind
from puter.testing.recorded import recorded
from puter.testing.refusals import dumps
from puter.wire.http import HEAD, cut_head, damaged_chunk, damaged_head, only_announced

HTML = {"Content-Type": "text/html; charset=utf-8"}
PAGE = b"<!DOCTYPE html><html><head><title>Sorry</title></head><body>Try later</body></html>"
_LONG_HEAD = str(damaged_head(b"HTTP/".ljust(HEAD + 1)))
_ENDLESS = "nobody can tell where its body ends"
_ERASED: Mapping[str, str | None] = {"Content_Length": None, "Transfer_Encoding": None}

# ------------------------------------------------------------ the server does nothing


@kind(trouble="closed")
def closed(answer: HttpAnswer) -> Iterator[Step]:
    """The connection closes without an answer."""
    yield "closed"


@kind(trouble="reset")
def reset(answer: HttpAnswer, after: int = 0) -> Iterator[Step]:
    """The connection is reset, ``after`` so many bytes of an answer."""
    yield answer.head()[:after]
    yield "reset"


@kind(trouble="silence")
def silence(answer: HttpAnswer) -> Iterator[Step]:
    """Nothing comes, and the connection stays open."""
    yield "silence"


@kind()
def status(
    answer: HttpAnswer,
    status: int = 500,
    code: str | None = None,
    message: str | None = None,
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes | str | None = None,
    content_type: str = HTML["Content-Type"],
) -> HttpAnswer:
    """An HTTP error as Puter reports it; ``body`` is sent as it is, as a proxy would.

    Args:
        status: HTTP status.
        code: Puter's slug; chosen by status when ``None``, left out when ``""``.
        message: text; chosen by status when ``None``.
        extra: further fields of the body.
        headers: further headers, for example ``{"Retry-After": "5"}``.
        body: instead of Puter's JSON: HTML of a proxy, garbage, or ``""``.
        content_type: of ``body``.
    """
    if body is None:
        usual = recorded("usual_errors")
        told, slug = usual.get(str(status), usual["500"])
        told, slug = told if message is None else message, slug if code is None else code
        fields = {"error": told, "message": told, **({"code": slug} if slug else {})}
        body, content_type = dumps({**fields, **(extra or {})}), JSON["Content-Type"]
    said = {"Content-Type": content_type, **(headers or {})}
    data = body.encode() if isinstance(body, str) else body
    return answer.whole(data, status=status, headers=said)


@kind()
def rate_limited(answer: HttpAnswer, retry_after: float | None = None) -> HttpAnswer:
    """429, with ``retry_after`` seconds to wait when they are given."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return _refusal(answer, 429, headers=headers)


@kind()
def token_expired(answer: HttpAnswer) -> HttpAnswer:
    """401: the token is no longer good."""
    return _refusal(answer, 401, code="session_expired", message="Session has expired.")


@kind()
def insufficient_funds(answer: HttpAnswer) -> HttpAnswer:
    """402: the allowance is used up."""
    return _refusal(answer, 402)


@kind()
def too_large(answer: HttpAnswer) -> HttpAnswer:
    """413: the request is too large."""
    return _refusal(answer, 413)


@kind()
def unavailable(answer: HttpAnswer, retry_after: float | None = None) -> HttpAnswer:
    """503, with ``retry_after`` seconds to wait when they are given."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return _refusal(answer, 503, headers=headers)


@kind()
def bad_gateway(answer: HttpAnswer) -> HttpAnswer:
    """502 of a proxy: a page."""
    return _refusal(answer, 502, body=PAGE)


@kind()
def gateway_timeout(answer: HttpAnswer) -> HttpAnswer:
    """504 of a proxy: an empty body."""
    return _refusal(answer, 504, body=b"")


@kind()
def proxy_refuses(answer: HttpAnswer) -> HttpAnswer:
    """407: a proxy wants to know who asks."""
    return _refusal(answer, 407, headers={"Proxy-Authenticate": "Basic"}, body=PAGE)


@kind()
def echo_of_token(answer: HttpAnswer) -> HttpAnswer:
    """400 whose text and code repeat the token and all that the request said."""
    return _refusal(answer, 400, code=answer.echo[:200], message=f"Bad request: {answer.echo}")


@kind()
def redirect(answer: HttpAnswer, location: str = "/", status: int = 302) -> HttpAnswer:
    """A redirect, as the GUI host gives for API paths."""
    headers = {"Location": location, "Vary": "Accept, Accept-Encoding"}
    body = f"Found. Redirecting to {location}"
    said = {"headers": headers, "body": body, "content_type": "text/plain; charset=utf-8"}
    return _refusal(answer, status, **said)


@kind(trouble="it leaves HTTP (status 101)")
def switching_protocols(answer: HttpAnswer) -> Iterator[Step]:
    """101: the connection is said to be no longer HTTP."""
    yield b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


@kind(trouble=str(damaged_head(b"SSH")))
def not_http(answer: HttpAnswer) -> Iterator[Step]:
    """Another protocol answers on that port."""
    yield b"SSH-2.0-OpenSSH_9.6\r\n"
    yield "closed"


def _refusal(answer: HttpAnswer, status_: int, **more: Any) -> HttpAnswer:
    changed = status(status_, **more).change(answer)
    assert isinstance(changed, HttpAnswer)  # noqa: S101 - for the type checker
    return changed


# ------------------------------------------------------------ around the answer


@kind(ran=True, trouble="closed")
def lost_answer(answer: HttpAnswer) -> Iterator[Step]:
    """The request is carried out; then the connection closes without an answer."""
    yield "closed"


@kind(ran=True, trouble="silence")
def late_silence(answer: HttpAnswer) -> Iterator[Step]:
    """The request is carried out; then nothing comes."""
    yield "silence"


@kind(ran=True)
def slow_answer(answer: HttpAnswer, seconds: float = 0.2) -> Iterator[Step]:
    """The answer comes ``seconds`` late."""
    yield seconds
    yield from answer.wire()


@kind(ran=True)
def drip(answer: HttpAnswer, pause: float = 0.002, pieces: int = 50) -> Iterator[Step]:
    """The answer comes in ``pieces``, ``pause`` seconds apart."""
    data = answer.sent
    size = max(1, len(data) // pieces)
    for start in range(0, len(data), size):
        yield data[start : start + size]
        yield pause


@kind(ran=True)
def early_hints(answer: HttpAnswer, status: int = 103, times: int = 1) -> Iterator[Step]:
    """Informational answers, 103 or another 1xx, come before the answer."""
    for _ in range(times):
        yield b"HTTP/1.1 %d Hints\r\nLink: </style.css>\r\n\r\n" % status
    yield 0.01  # a segment of its own
    yield from answer.wire()


@kind(trouble="silence")
def hints_then_silence(answer: HttpAnswer, status: int = 103) -> Iterator[Step]:
    """An informational answer comes, and nothing after it."""
    yield b"HTTP/1.1 %d Hints\r\n\r\n" % status
    yield "silence"


@kind(trouble=str(only_announced()))
def continue_flood(answer: HttpAnswer, pause: float = 0.001) -> Iterator[Step]:
    """``100 Continue`` without end."""
    while True:
        yield b"HTTP/1.1 100 Continue\r\n\r\n" * 20
        yield pause


@kind(ran=True)
def stale_keepalive(answer: HttpAnswer) -> Iterator[Step]:
    """A good answer on a connection that is said to be kept, and is closed."""
    yield from answer.wire()
    yield "closed"


@kind(ran=True)
def second_answer(answer: HttpAnswer, pause: float = 0.0) -> Iterator[Step]:
    """A good answer, and ``pause`` seconds later another that nobody asked for."""
    other = answer.whole(dumps({"success": True, "result": "somebody else's"}), headers=JSON)
    first, second = answer.sent, other.sent
    if pause:
        yield first
        yield pause
        yield second
    else:  # in the same segment
        yield first + second


# ------------------------------------------------------------ the headers


@kind(ran=True, trouble=str(cut_head(b"")))
def cut_headers(answer: HttpAnswer) -> Iterator[Step]:
    """The connection closes within the headers."""
    yield answer.head()[:-9]
    yield "closed"


@kind(ran=True, trouble=_LONG_HEAD)
def huge_headers(answer: HttpAnswer, size: int = 1 << 20) -> Iterator[Step]:
    """One header of ``size`` bytes."""
    yield answer.head()[:-2] + b"X-Much: "
    yield b"x" * size
    yield b"\r\n\r\n"
    yield "closed"


@kind(ran=True, trouble=_LONG_HEAD)
def many_headers(answer: HttpAnswer, count: int = 50_000) -> Iterator[Step]:
    """``count`` headers."""
    yield answer.head()[:-2]
    yield b"".join(b"X-%d: x\r\n" % number for number in range(count))
    yield b"\r\n"
    yield "closed"


@kind(ran=True, trouble=_ENDLESS)
def bad_content_length(answer: HttpAnswer, length: str = "many") -> Iterator[Step]:
    """A Content-Length that is no number."""
    yield answer.head(Content_Length=length, Transfer_Encoding=None) + answer.body
    yield "closed"


@kind(ran=True, trouble=_ENDLESS)
def negative_content_length(answer: HttpAnswer) -> Iterator[Step]:
    """A Content-Length below zero."""
    yield answer.head(Content_Length="-5", Transfer_Encoding=None) + answer.body
    yield "closed"


@kind(ran=True, trouble=str(damaged_head(b"HTTP/")))
def bad_status_line(answer: HttpAnswer) -> Iterator[Step]:
    """A status of six digits."""
    yield answer.head().replace(b"HTTP/1.1 ", b"HTTP/1.1 999", 1) + answer.body
    yield "closed"


@kind(ran=True)
def wrong_content_type(answer: HttpAnswer, content_type: str = "image/png") -> HttpAnswer:
    """The answer is said to be something else."""
    return answer.whole(answer.body, headers={"Content-Type": content_type})


# ------------------------------------------------------------ the body is cut


@kind(ran=True)
def cut_body(
    answer: HttpAnswer, body: bytes | None = None, missing: int | None = None
) -> HttpAnswer:
    """The connection closes before a body of known length is complete, by default half-way.

    Args:
        answer: what would have been.
        body: what is sent, instead of the true answer.
        missing: how many bytes are not sent.
    """
    if body is not None:
        return answer.whole(body, length=len(body) + (missing or 100), end="closed", headers=JSON)
    body = answer.body
    kept = len(body) // 2 if missing is None else max(len(body) - missing, 0)
    return answer.whole(body[:kept], length=len(body), end="closed")


@kind(ran=True)
def reset_body(answer: HttpAnswer) -> HttpAnswer:
    """The connection is reset half-way through a body of known length."""
    body = answer.body
    return answer.whole(body[: len(body) // 2], length=len(body), end="reset")


@kind(ran=True, trouble="reset before its unknown end")
def reset_without_length(answer: HttpAnswer) -> Iterator[Step]:
    """A body that lasts until the connection closes ends in a reset."""
    yield answer.head(**_ERASED, Connection="close") + answer.body[: len(answer.body) // 2]
    yield 0.01  # a reset overtakes what was not read
    yield "reset"


@kind(ran=True)
def stall(answer: HttpAnswer) -> HttpAnswer:
    """Half of the body comes, and then nothing."""
    body = answer.body
    return answer.whole(body[: len(body) // 2], length=len(body), end="silence")


@kind(ran=True)
def cut_chunked(answer: HttpAnswer) -> HttpAnswer:
    """The connection closes half-way through a chunked body."""
    body = answer.body
    return replace(answer, pieces=(body[: len(body) // 2],), streamed=True, end="closed")


@kind(ran=True, trouble=str(damaged_chunk()))
def bad_chunk_size(answer: HttpAnswer, size: str = "-5") -> Iterator[Step]:
    """A chunk whose size is no size."""
    yield replace(answer, streamed=True).head() + f"{size}\r\n".encode() + answer.body + b"\r\n"
    yield "closed"


@kind(ran=True, trouble="its gzip content was cut off")
def cut_gzip(answer: HttpAnswer) -> Iterator[Step]:
    """The compressed body ends half-way, and the answer says that it is whole."""
    packed = gzip.compress(answer.body)
    yield from _encoded(answer, packed[: len(packed) // 2]).wire()


@kind(ran=True, trouble="its content is no gzip")
def bad_gzip(answer: HttpAnswer) -> Iterator[Step]:
    """A body that is said to be compressed, and is not."""
    yield from _encoded(answer, answer.body).wire()


@kind(ran=True, trouble="its Content-Encoding is 'compress'")
def unknown_encoding(answer: HttpAnswer) -> Iterator[Step]:
    """A body in a compression that nobody asked for."""
    yield from _encoded(answer, gzip.compress(answer.body)[10:], "compress").wire()


def _encoded(answer: HttpAnswer, body: bytes, how: str = "gzip") -> HttpAnswer:
    return answer.whole(body, headers={**answer.headers, "Content-Encoding": how})


# ------------------------------------------------------------ the body is too much


@kind(ran=True)
def huge_body(answer: HttpAnswer, size: int = 64 << 20) -> HttpAnswer:
    """A JSON string of ``size`` bytes."""
    piece = b"x" * min(size, 1 << 16)
    pieces = (b'"', *[piece] * (size // len(piece)), b'"')
    length = len(piece) * (size // len(piece)) + 2
    return replace(answer, headers=JSON, pieces=pieces, streamed=False, length=length)


@kind(ran=True, trouble="too large")
def gzip_bomb(answer: HttpAnswer, size: int = 64 << 20) -> Iterator[Step]:
    """A small body that unpacks to ``size`` bytes."""
    yield from _encoded(replace(answer, headers=JSON), gzip.compress(b" " * size, 9)).wire()


# ------------------------------------------------------------ the body is another


@kind(ran=True)
def html_page(answer: HttpAnswer) -> HttpAnswer:
    """200 with a page, as a captive portal gives."""
    return answer.whole(PAGE, headers=HTML)


@kind(ran=True)
def empty_body(answer: HttpAnswer) -> HttpAnswer:
    """200 without a body."""
    return answer.whole(b"")


@kind(ran=True)
def no_content(answer: HttpAnswer) -> HttpAnswer:
    """204."""
    return answer.whole(b"", status=204, headers={})


@kind(ran=True)
def not_json(answer: HttpAnswer) -> HttpAnswer:
    """JSON that breaks off, whole as far as HTTP can tell."""
    return answer.whole(b'{"success":true,"result":{"mess', headers=JSON)


@kind(ran=True)
def null_json(answer: HttpAnswer) -> HttpAnswer:
    """JSON, but ``null``."""
    return answer.whole(b"null", headers=JSON)


@kind(ran=True)
def wrong_shape(answer: HttpAnswer) -> HttpAnswer:
    """JSON of a shape that means nothing."""
    return answer.whole(b"[[1], {}, null]", headers=JSON)


@kind(ran=True)
def deep_json(answer: HttpAnswer, depth: int = 100_000) -> HttpAnswer:
    """JSON nested ``depth`` deep."""
    return answer.whole(b'{"result":' * depth + b"1" + b"}" * depth, headers=JSON)


@kind(ran=True)
def odd_numbers(answer: HttpAnswer) -> HttpAnswer:
    """NaN, infinity, and numbers of thousands of digits stand where numbers were."""
    odd = [b"NaN", b"1e999", b"-Infinity", b"9" * 5000, b"-1", b"1e-400"]
    count = iter(range(1 << 30))

    def other(_found: re.Match[bytes]) -> bytes:
        return odd[next(count) % len(odd)]

    numbers = re.compile(rb"(?<=[:,\[])-?\d[\d.e-]*(?=[,}\]])")
    changed = _each(answer, lambda piece: numbers.sub(other, piece))
    if next(count):
        return changed
    more = b'{"number":%b,' % odd[3]  # none stood there
    return _each(answer, lambda piece: piece.replace(b"{", more, 1))


@kind(ran=True)
def bad_utf8(answer: HttpAnswer) -> HttpAnswer:
    """Bytes that no UTF-8 decoder takes stand in the texts."""
    return _each(answer, lambda piece: piece.replace(b'":"', b'":"\xff\xfe\x80'))


def _each(answer: HttpAnswer, change: Callable[[bytes], bytes]) -> HttpAnswer:
    """Every piece changed; a body that is no JSON becomes some."""
    kinds = ("json", "ndjson")
    if not answer.headers.get("Content-Type", "").partition(";")[0].endswith(kinds):
        answer = answer.whole(b'{"success":true,"result":{"text":"1","number":1}}', headers=JSON)
    pieces = [change(one) if isinstance(one, bytes) else one for one in answer.pieces]
    return replace(answer, pieces=pieces)


# ------------------------------------------------------------ streams


def _lines(answer: HttpAnswer, count: int) -> list[bytes | float]:
    """The first lines of a stream, never the last, which has its usage."""
    lines = list(answer.pieces)
    return lines[: min(count, max(len(lines) - 1, 0))]


@kind(ran=True, scope="stream")
def stream_cut(answer: HttpAnswer, after: int = 1) -> HttpAnswer:
    """A clean end without the usage, as a proxy makes of a lost connection."""
    return replace(answer, pieces=_lines(answer, after))


@kind(ran=True, scope="stream")
def stream_closed(answer: HttpAnswer, after: int = 1) -> HttpAnswer:
    """The connection closes before the stream is complete."""
    return replace(answer, pieces=_lines(answer, after), end="closed")


@kind(ran=True, scope="stream")
def stream_reset(answer: HttpAnswer, after: int = 1) -> HttpAnswer:
    """The connection is reset before the stream is complete."""
    # a reset overtakes what was not read
    return replace(answer, pieces=[*_lines(answer, after), 0.05], end="reset")


@kind(ran=True, scope="stream")
def stream_silence(answer: HttpAnswer, after: int = 1) -> HttpAnswer:
    """The stream stops, and the connection stays open."""
    return replace(answer, pieces=_lines(answer, after), end="silence")


@kind(ran=True, scope="stream")
def stream_error_line(
    answer: HttpAnswer, message: str = "the vendor failed", status: int = 500, after: int = 1
) -> HttpAnswer:
    """The vendor fails after the start: an ``error`` line, and a clean end."""
    line = {"type": "error", "message": message, **({"status": status} if answer.newer else {})}
    return replace(answer, pieces=[*_lines(answer, after), dumps(line) + b"\n"])


@kind(ran=True, scope="stream")
def stream_bad_line(
    answer: HttpAnswer, line: bytes = b"<html>502 Bad Gateway</html>\n", after: int = 1
) -> HttpAnswer:
    """``line`` stands among the others; the rest is as it should be."""
    lines = list(answer.pieces)
    return replace(answer, pieces=[*lines[:after], line, *lines[after:]])


@kind(ran=True, scope="stream")
def stream_deep_line(answer: HttpAnswer, depth: int = 100_000, after: int = 1) -> HttpAnswer:
    """A line nested ``depth`` deep."""
    line = b'{"type":"text","text":' + b"[" * depth + b"]" * depth + b"}\n"
    return replace(answer, pieces=[*_lines(answer, after), line, *list(answer.pieces)[after:]])


@kind(ran=True, scope="stream")
def stream_long_line(answer: HttpAnswer, size: int = 64 << 20, after: int = 1) -> HttpAnswer:
    """A line of ``size`` bytes."""
    piece = b"x" * min(size, 1 << 16)
    line = [b'{"type":"text","text":"', *[piece] * (size // len(piece)), b'"}\n']
    return replace(answer, pieces=[*_lines(answer, after), *line, *list(answer.pieces)[after:]])


@kind(ran=True, scope="stream")
def stream_half_line(answer: HttpAnswer, after: int = 1) -> HttpAnswer:
    """A clean end in the middle of a line."""
    return replace(answer, pieces=[*_lines(answer, after), b'{"type":"text","te'])


@kind(ran=True, scope="stream")
def stream_empty(answer: HttpAnswer) -> HttpAnswer:
    """A stream without a line."""
    return replace(answer, pieces=())


@kind(ran=True, scope="stream")
def stream_without_usage(answer: HttpAnswer) -> HttpAnswer:
    """The last line is a ``usage`` that tells nothing."""
    lines = list(answer.pieces)
    return replace(answer, pieces=[*lines[:-1], b'{"type":"usage"}\n'])


@kind(ran=True, scope="stream")
def stream_never_ends(answer: HttpAnswer) -> HttpAnswer:
    """All lines come, and the connection stays open without the end of the body."""
    return replace(answer, end="silence")


@kind(ran=True, scope="stream")
def newlines_after_usage(answer: HttpAnswer, pause: float = 0.01) -> Iterator[Step]:
    """Empty lines drip without end after the last line."""
    yield answer.head()
    yield from (chunk(one) if isinstance(one, bytes) else one for one in answer.pieces)
    while True:
        yield chunk(b"\n")
        yield pause


# ------------------------------------------------------------ what the model says


@kind(ran=True, scope="chat")
def empty_answer(answer: HttpAnswer) -> HttpAnswer:
    """The model says nothing, and its usage is billed."""
    return _spoken(answer, "")


@kind(ran=True, scope="chat")
def filler(answer: HttpAnswer) -> HttpAnswer:
    """Lorem ipsum of Puter's stand-in model, as for prompts that Puter blocks."""
    return _spoken(answer, "Lorem tempor esse consequat nulla aliqua.", filler=True)


def _spoken(answer: HttpAnswer, text: str, *, filler: bool = False) -> HttpAnswer:
    """The answer of a chat with another text."""
    if answer.streamed:
        usage = b'{"type":"usage","usage":{"usd_cents":null}}\n' if filler else _last(answer)
        line = dumps({"type": "text", "text": text}) + b"\n" if text else b""
        return replace(answer, pieces=[line, usage])
    said = json.loads(answer.body)
    message = {"role": "assistant", "content": text, "refusal": None}
    said["result"] = {"message": message, "finish_reason": "stop", "usage": _usage(said)}
    if filler:
        said["result"]["usage"] = {"usd_cents": None}
        said["metadata"] = {"service_used": "fake-chat", "providerUsed": "fake-chat"}
    return answer.whole(dumps(said))


def _last(answer: HttpAnswer) -> bytes:
    return next(one for one in reversed(list(answer.pieces)) if isinstance(one, bytes))


def _usage(said: Any) -> Any:
    result = said.get("result")
    return result.get("usage") if isinstance(result, dict) else None


__all__ = [
    "bad_chunk_size",
    "bad_content_length",
    "bad_gateway",
    "bad_gzip",
    "bad_status_line",
    "bad_utf8",
    "closed",
    "continue_flood",
    "cut_body",
    "cut_chunked",
    "cut_gzip",
    "cut_headers",
    "deep_json",
    "drip",
    "early_hints",
    "echo_of_token",
    "empty_answer",
    "empty_body",
    "filler",
    "gateway_timeout",
    "gzip_bomb",
    "hints_then_silence",
    "html_page",
    "huge_body",
    "huge_headers",
    "insufficient_funds",
    "late_silence",
    "lost_answer",
    "many_headers",
    "negative_content_length",
    "newlines_after_usage",
    "no_content",
    "not_http",
    "not_json",
    "null_json",
    "odd_numbers",
    "proxy_refuses",
    "rate_limited",
    "redirect",
    "reset",
    "reset_body",
    "reset_without_length",
    "second_answer",
    "silence",
    "slow_answer",
    "stale_keepalive",
    "stall",
    "status",
    "stream_bad_line",
    "stream_closed",
    "stream_cut",
    "stream_deep_line",
    "stream_empty",
    "stream_error_line",
    "stream_half_line",
    "stream_long_line",
    "stream_never_ends",
    "stream_reset",
    "stream_silence",
    "stream_without_usage",
    "switching_protocols",
    "token_expired",
    "too_large",
    "unavailable",
    "unknown_encoding",
    "wrong_content_type",
    "wrong_shape",
]
