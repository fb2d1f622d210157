"""A request and its reply, as plain values that both drivers understand."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from puter import __version__
from puter.exceptions import PuterInputError

if TYPE_CHECKING:
    from puter.config import PuterConfig

USER_AGENT = f"puter-python-sdk/{__version__}"

MAX_BODY = 50 * 1024 * 1024
"""Bytes of JSON the server accepts (Puter backend: 50 MB body limit)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request and how it may be treated.

    Attributes:
        repeatable: The request costs nothing, so it may be sent again when its outcome is unknown.
        waits: A 429 is waited out (signing in is not: its limit is minutes, not seconds).
        limited: The request goes through the client's throttle.
        signed: The token is added.
        expect: What a good answer is: ``json``, or ``any``.
        time_left: Seconds until the deadline of the whole call.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    repeatable: bool = False
    waits: bool = True
    limited: bool = False
    signed: bool = True
    expect: Literal["json", "any"] = "json"
    stream: bool = False
    timeout: float | None = None
    connect_timeout: float | None = None
    time_left: float | None = None
    proxy: str | None = field(default=None, repr=False)
    verify: bool | str | None = None


def stays_open(request: Request, status: int, content_type: str) -> bool:
    """Whether the body is left to be read as it comes: a streamed success, not an error's JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    whole = is_json(kind) or kind == "text/html"
    return request.stream and 200 <= status < 300 and not whole


def is_json(kind: str) -> bool:
    return kind in ("application/json", "text/json") or kind.endswith("+json")


class Reply:
    """What came back: status, headers (lower-case names) and the whole body."""

    __slots__ = ("_data", "body", "headers", "status", "stream", "url")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        url: str = "",
        stream: Any = None,
    ) -> None:
        self.status: int = status
        self.headers: dict[str, str] = {name.lower(): value for name, value in headers.items()}
        self.body: bytes = body
        self.url: str = url
        self.stream: Any = stream
        self._data: Any = _UNREAD

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def data(self) -> Any:
        """The decoded JSON body; raises ``ValueError`` when it is none."""
        if self._data is _UNREAD:
            self._data = read_json(self.body)
        return self._data

    def __repr__(self) -> str:
        return f"<Reply {self.status} {self.content_type or 'no type'} {len(self.body)} bytes>"


_UNREAD: Any = object()


def read_json(data: bytes, **hooks: Any) -> Any:
    """Decode JSON of the server; raises ``ValueError`` when it is none."""
    try:
        value = json.loads(data, **hooks)
        if rb"\u" in data:  # half an emoji, cut off by max_tokens, fits no request
            value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def finite(number: str) -> float:
    """The number, unless it is NaN or infinite, which JSON does not know."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is not a number in JSON")
    return value


def read_model_json(text: str) -> Any:
    """Decode JSON that a model wrote, into what can be sent again; raises ``ValueError``."""
    return read_json(text.encode(errors="replace"), parse_float=finite, parse_constant=finite)


def json_bytes(value: Any) -> bytes:
    """Encode a request body.

    Raises:
        PuterInputError: The value cannot be written as JSON in UTF-8, or is over 50 MB.
    """
    try:
        body = json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    except (TypeError, ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise PuterInputError(
            f"The request cannot be written as JSON: {reason}",
            hint="Pass only str, numbers, bool, None, lists and dicts with str keys.",
        ) from error
    check_size(len(body))
    return body


def check_size(size: int) -> None:
    """Raise PuterInputError for a body the server would not read."""
    if size > MAX_BODY:
        raise PuterInputError(
            f"The request is {size / 2**20:.0f} MiB of JSON and Puter accepts 50 MiB",
            hint="Send less, or upload the file and refer to it by its Puter path.",
        )


def build(
    config: PuterConfig, method: str, url: str, payload: Any = None, **treatment: Any
) -> Request:
    """A request with the headers, timeouts and route of ``config``."""
    given = {name.lower() for name in config.headers}
    ours = {"User-Agent": USER_AGENT, "Accept": "*/*"}
    headers = {name: value for name, value in ours.items() if name.lower() not in given}
    headers.update(config.headers)
    body = None
    if payload is not None:
        headers["Content-Type"] = "application/json"
        body = json_bytes(payload)
    return Request(
        method,
        url,
        headers,
        body,
        timeout=treatment.pop("timeout", config.timeout),
        connect_timeout=config.connect_timeout,
        proxy=config.proxy,
        verify=config.verify,
        **treatment,
    )
