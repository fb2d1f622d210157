"""A request and its reply, as plain values that both transports understand."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from puter.config import PuterConfig
from puter.records import dataclass, field
from puter.secret import Secret, revealed, secrets_in
from puter.version import __version__
from puter.wire.encoding import ContentError
from puter.wire.json import read_json
from puter.wire.pieces import Content, Pieces, json_body

if TYPE_CHECKING:
    from puter.wire.serializing import Serializer

USER_AGENT = f"puter-python-sdk/{__version__}"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request, and how it may be treated."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Content | None = None
    secrets: tuple[Secret, ...] = ()
    """What the body or the query holds that must not be shown in an error."""
    idempotent: bool = False
    """It costs nothing, so it may be sent again when its outcome is unknown."""
    retry_on_429: bool = True
    """A 429 is waited out (not at sign-in: its limit is minutes, not seconds)."""
    rate_limited: bool = False
    """It goes through the client's throttle."""
    billed: str | None = None
    """The model that is paid for, ``""`` where the server chooses; None when it costs nothing."""
    authenticated: bool = True
    """The token is added."""
    token: Secret | None = None
    """What goes out as ``Authorization: Bearer`` where it is not authenticated so."""
    expect: Literal["json", "any"] = "json"
    """What a good answer is."""
    stream: bool = False
    """The body of a success is read as it comes."""
    timeout: float | None = None
    """Seconds of silence allowed."""
    connect_timeout: float | None = None
    """Seconds to make a connection."""
    max_bytes: float = math.inf
    """Bytes of the answer at most, decoded."""
    proxy: str | None = None
    verify: bool | str | None = None
    private: bool = False
    """It or its answer holds a password, code or token: callbacks and middleware do not see it."""
    driver: str = ""
    """Whose server it is for, by the driver's name; ``""`` for Puter's."""

    def __hash__(self) -> int:
        return hash((self.method, self.url))

    @property
    def where(self) -> str:
        """Scheme, host and path: a query may be a signature."""
        return self.url.partition("?")[0]

    def __repr__(self) -> str:
        return f"<HttpRequest {self.method} {self.where}>"


def stays_open(request: HttpRequest, status: int, content_type: str) -> bool:
    """Whether the body is left to be read as it comes: a streamed success, not an error's JSON."""
    if not request.stream or not 200 <= status < 300:
        return False
    kind = mime_type(content_type)
    return not (is_json(kind) or kind == "text/html")


def mime_type(content_type: str) -> str:
    """What a Content-Type names, without parameters; a proxy may have repeated it."""
    return content_type.replace(",", ";").partition(";")[0].strip().lower()


def is_json(kind: str) -> bool:
    """Whether a MIME type without parameters is one of JSON's."""
    return kind in ("application/json", "text/json") or kind.endswith("+json")


class HttpReply:
    """What came back: status, headers (lower-case names) and the whole body, or an open one."""

    __slots__ = (
        "_data", "body", "content_type", "fault", "headers", "max_bytes", "serializer", "status",
        "stream", "url",
    )  # fmt: skip

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
        self.content_type: str = mime_type(self.headers.get("content-type", ""))
        """The MIME type without parameters, ``""`` when there is none."""
        self.body: bytes = body
        self.url: str = url
        self.stream: Any = stream  # a puter.engine.effects.Body
        self.max_bytes: float | None = None
        """What ``HttpRequest.max_bytes`` allowed; decoding keeps to it as well."""
        self.serializer: Serializer | None = None
        """What reads it; None: the standard library."""
        self.fault: str | None = None
        """Why the body could not be decoded."""
        self._data: Any = _UNREAD

    @property
    def data(self) -> Any:
        """The decoded JSON body; raises ``ValueError`` when it is none."""
        if self._data is _UNREAD:
            if self.fault is None:
                try:
                    self._data = read_json(self.body, self.max_bytes, serializer=self.serializer)
                    return self._data
                except ValueError as error:
                    self.fault = str(error)
            raise ValueError(self.fault)
        return self._data

    def decoded(self) -> Any:
        """The JSON in the body, ``NO_JSON`` where there is none."""
        kind = self.content_type
        if kind == "application/json" or kind in _MAYBE_JSON or is_json(kind):
            try:  # `suppress()` is an object and two calls more for each answer
                return self.data
            except ValueError:
                pass
        return NO_JSON

    def is_success(self, expect: str) -> bool:
        """Whether it is what ``HttpRequest.expect`` names."""
        if self.stream is not None:
            return True
        if not 200 <= self.status < 300:
            return 300 <= self.status < 400 and expect == "any"
        data = self.decoded()
        if isinstance(data, dict):
            return data.get("success") is not False
        return data is not NO_JSON or expect == "any"

    def __repr__(self) -> str:
        kind = self.content_type or "no type"
        return f"<HttpReply {self.status} {kind} {len(self.body)} bytes>"


NO_JSON: Any = object()
_UNREAD: Any = object()
_MAYBE_JSON = ("text/plain", "application/octet-stream", "")


# ---------------------------------------------------------------- the head of an answer

HEAD = 65536
"""Bytes of the head of an answer at most, and of each informational one."""

INFORMATIONAL = 100
"""Informational answers (1xx) before the one that counts, at most."""

HEAD_END = re.compile(rb"\n\r?\n")
"""The empty line after a head."""

_LINES = 101  # with a status and an empty one: http.client reads no more
_HEAD = re.compile(
    rb"HTTP/1\.(\d) ([1-9]\d\d)(?: ([^\r\n\0]*))?\r?\n"
    rb"((?:[!#$%&'*+\-.^_`|~\w]+:[^\r\n\0]*\r?\n)*)\r?\n"
)
_OTHER = rb"(?:(?!(?i:content-length|transfer-encoding):)[!#$%&'*+\-.^_`|~\w]+:[^\r\n\0]*\r\n){,49}"
USUAL_HEAD = re.compile(
    rb"HTTP/1\.1 200 [^\r\n\0]*\r\n" + _OTHER + rb"(?:(?i:content-length):[ \t]*(\d{1,18})|"
    rb"(?i:transfer-encoding:[ \t]*chunked))[ \t]*\r\n" + _OTHER + rb"\r\n"
)
"""Nearly every head, which `plain_head` would return as it is, in an eighth of its time.

Its group is the length of the body, in bytes, where the body is not in chunks.
"""
_FIELD = re.compile(r"([^:\n]+):([^\r\n]*)")
_LENGTH = re.compile(r"[0-9]{1,18}")
_LENGTHS = re.compile(rb"\ncontent-length:[^\n]*", re.IGNORECASE)


class Head(NamedTuple):
    """The head of an answer: it is plain, and says once where the body ends."""

    version: int
    """The ``1`` of HTTP/1.1."""
    status: int
    reason: str
    fields: dict[str, str]
    """By lower-case names; several of one name are joined by commas."""
    content: bytes
    """All of it, as a parser may have it."""


def plain_head(content: bytes) -> Head:
    """Read the head of an answer.

    Raises:
        ContentError: It is damaged, or leaves open where the body ends.
    """
    found = _HEAD.fullmatch(content)
    if found is None:
        raise damaged_head(content)
    if content.count(b"\n") > _LINES:
        raise ContentError(f"its head has more than {_LINES - 2} fields", content)
    if found[2] == b"101":
        raise ContentError("it leaves HTTP (status 101)")
    fields: dict[str, str] = {}
    for name, value in _FIELD.findall(found[4].decode("latin-1")):
        key, told = name.lower(), value.strip(" \t")
        fields[key] = f"{fields[key]}, {told}" if key in fields else told
    length, coding = fields.get("content-length"), fields.get("transfer-encoding")
    lengths = [] if length is None else [one.strip(" \t") for one in length.split(",")]
    if (
        len(set(lengths)) > 1
        or (lengths and _LENGTH.fullmatch(lengths[0]) is None)
        or (coding is not None and coding.lower() != "chunked")
    ):
        raise ContentError("nobody can tell where its body ends")
    if lengths and (coding is not None or len(lengths) > 1):
        # Chunks go before a length, but no further answer is believed (RFC 9112, 6.1); a proxy may
        # repeat the length (RFC 9110, 8.6).
        del fields["content-length"]
        name, value = ("content-length", lengths[0]) if coding is None else ("connection", "close")
        fields[name] = value
        first, _, rest = _LENGTHS.sub(b"", content).partition(b"\n")
        content = b"%s\n%s: %s\r\n%s" % (first, name.encode(), value.encode(), rest)
    reason = (found[3] or b"").decode("latin-1").strip()
    return Head(int(found[1]), int(found[2]), reason, fields, content)


def damaged_head(head: bytes) -> ContentError:
    """What is wrong with bytes that came in place of a head."""
    if not b"HTTP/".startswith(head[:5]):
        return ContentError("it is not HTTP", head)
    if len(head) > HEAD:
        return ContentError(f"its head has more than {HEAD:,} bytes", head)
    return ContentError("its head is damaged", head)


def cut_head(head: bytes) -> ContentError:
    return ContentError("its head was cut off", head)


def only_announced() -> ContentError:
    return ContentError("it is only announced, again and again (status 1xx)")


def damaged_chunk() -> ContentError:
    return ContentError("a chunk of it is damaged")


# ---------------------------------------------------------------- requests


def build_request(
    config: PuterConfig,
    method: str,
    url: str,
    payload: Any = None,
    *,
    timeout: float | None = None,
    **request_options: Any,
) -> HttpRequest:
    """A request with the headers, timeouts and proxy of ``config``.

    Args:
        config: The client's settings.
        method: HTTP method.
        url: Where to.
        payload: Sent as JSON, with the text of each ``Secret`` in it; a ready body as it is.
            Default: no body.
        timeout: Seconds of silence allowed. Default: as in ``config``.
        **request_options: Fields of ``HttpRequest``.
    """
    headers = {"User-Agent": USER_AGENT, "Accept": "*/*"}
    if config.headers:
        replaced = {name.lower() for name in config.headers}
        headers = {name: value for name, value in headers.items() if name.lower() not in replaced}
        headers.update(config.headers)
    body = payload
    secrets: tuple[Secret, ...] = ()
    if payload is not None:
        headers["Content-Type"] = "application/json"
        if not isinstance(payload, (bytes, Pieces)):
            body = json_body(revealed(payload))
            secrets = secrets_in(payload) if isinstance(payload, dict) else ()
            request_options["private"] = bool(secrets) or request_options.get("private", False)
    if "?" in url:  # a host may repeat in its answer what signs it
        secrets += (Secret(url.partition("?")[2]),)
    return HttpRequest(
        method,
        url,
        headers,
        body,
        secrets,
        timeout=config.timeout if timeout is None else timeout,
        connect_timeout=config.connect_timeout,
        max_bytes=config.max_response_bytes,
        proxy=config.proxy,
        verify=config.verify,
        **request_options,
    )


def driver_call(
    config: PuterConfig,
    interface: str,
    method: str,
    args: Mapping[str, Any],
    *,
    driver: str | None = None,
    encode: Callable[..., Content] = json_body,
    serializer: Serializer | None = None,
    **request_options: Any,
) -> HttpRequest:
    """``POST /drivers/call``: nearly everything Puter's AI does; ``encode`` writes the body."""
    payload: dict[str, Any] = {"interface": interface, "method": method, "args": args}
    if driver is not None:
        payload["driver"] = driver
    free = request_options.get("idempotent") or args.get("test_mode") is True
    request_options["billed"] = None if free else str(args.get("model") or "")
    request_options["rate_limited"] = True
    url = sys.intern(config.api_base + "/drivers/call")  # one text for all open streams
    return build_request(
        config, "POST", url, encode(payload, serializer=serializer), **request_options
    )


def api_get(config: PuterConfig, path: str, **request_options: Any) -> HttpRequest:
    """``GET`` on the API host: free, so it may be repeated."""
    return build_request(config, "GET", config.api_base + path, idempotent=True, **request_options)


def api_post(config: PuterConfig, path: str, payload: Any, **request_options: Any) -> HttpRequest:
    """``POST`` on the API host."""
    return build_request(config, "POST", config.api_base + path, payload, **request_options)
