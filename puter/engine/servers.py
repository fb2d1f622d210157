"""``Server``: a driver in use, and what all calls of a client and its copies to it share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import NoneType
from typing import Any, Protocol
from urllib.parse import urlsplit

from puter.checks import MOST, SECONDS, Range, is_loopback, text
from puter.config import PuterConfig
from puter.engine.extensions import key_of
from puter.engine.middleware import Request
from puter.engine.throttle import Throttle
from puter.exceptions import PuterConfigError, PuterError, PuterResponseError, repr_of
from puter.records import replace
from puter.secret import Secret
from puter.settings import secret_headers
from puter.types.replies import ChatChunk, ChatReply
from puter.wire.chunk_accumulator import ChunkAccumulator, ReadLine
from puter.wire.dialects import READ_SOMEWHERE, Provider
from puter.wire.http import USER_AGENT, HttpReply, HttpRequest
from puter.wire.pieces import Pieces
from puter.wire.server_errors import server_error

ChatRequest = Request
"""What ``prepare()`` takes."""


class Driver(Protocol):
    """Takes the chats of some models to a server that is no Puter. All of it is pure: no I/O.

    A stream that cannot be read line by line on its own, as tool calls come in pieces, wants a
    method ``stream()`` beside these: it returns, for each stream, an object with ``read_line`` and,
    if it likes, ``flush()`` for the end of the body.
    """

    @property
    def name(self) -> str:
        """What ``available_models`` and ``reply.provider`` call the server."""
        ...

    @property
    def models(self) -> Collection[str]:
        """The models that it serves: names, or a mapping of them."""
        ...

    def prepare(self, request: ChatRequest, /) -> HttpRequest:
        """The HTTP request of a chat.

        ``request.messages`` are in OpenAI's form, but for tool calls, which are blocks of type
        ``tool_use``. A request that costs nothing is ``idempotent``.
        """
        ...

    def read(self, reply: HttpReply, /) -> ChatReply:
        """The answer in a reply whose status is good; what it raises becomes a typed error."""
        ...

    def read_line(self, line: bytes, /) -> Sequence[ChatChunk]:
        """The chunks of a line of a stream.

        The last one of an answer is of type ``usage``; where there is none, every end of the body
        passes for that of the answer.
        """
        ...


METHODS = ("prepare", "read")
"""What makes an object a driver; ``read_line`` is for streams."""
_HEADERS = {"User-Agent": USER_AGENT, "Accept": "*/*"}
_LIMIT = Range(1, MOST, wanted="a whole number, 1 or more, or None for no limit").kind(whole=True)
_PERIOD = SECONDS.kind(whole=False)


class Server:
    """A driver, and the limits of its server, which are none of Puter's.

    Args:
        driver: ``name``, ``models``, ``prepare``, ``read``, ``read_line``; see
            ``puter.extensions.Driver``.

    Raises:
        PuterConfigError: It lacks one, or has a wrong one.
    """

    def __init__(self, driver: Any) -> None:
        kind = type(driver).__name__
        for method in METHODS:
            if not callable(getattr(driver, method, None)):
                raise PuterConfigError(
                    f"The driver {kind} has no method {method}()",
                    hint="A driver has name, models, prepare(request), read(reply) and "
                    "read_line(line).",
                )
        self.driver = driver
        try:
            self.name: str = text("name", getattr(driver, "name", None))
            names = names_of(getattr(driver, "models", None))
            limits = _limits_of(driver)
        except PuterError as error:
            raise PuterConfigError(f"The driver {kind}: {error.message}", hint=error.hint) from None
        self.models: Mapping[str, str] = {key_of(one): one for one in names}
        """Names in lower case -> as the driver has them."""
        self.address: str = str(getattr(driver, "base_url", ""))
        """Its URL; "" where the driver does not tell."""
        self.throttle: Throttle = Throttle(*limits)
        self.route: Provider = Provider(reads=getattr(driver, "reads", READ_SOMEWHERE))
        """Which options it passes on."""

    def name_of(self, model: object) -> str:
        """A model that the driver serves, as it writes its name."""
        return self.models[key_of(model)]

    @property
    def streams(self) -> bool:
        """Whether the driver reads streams."""
        return callable(getattr(self.driver, "read_line", None))

    def request(self, asked: Request, config: PuterConfig, timeout: float | None) -> HttpRequest:
        """What the driver makes of a chat, without anything that is for Puter alone.

        Args:
            asked: What ``prepare()`` takes.
            config: The client's settings.
            timeout: Seconds of silence allowed.

        Raises:
            PuterConfigError: It is no request, would go over plain http to another machine, or has
            a password in its URL.
        """
        made: Any = self.driver.prepare(asked)
        if not isinstance(made, HttpRequest):
            raise PuterConfigError(
                f"prepare() of the driver {self.name} returned {type(made).__name__}",
                hint="Return a puter.extensions.HttpRequest(method, url, headers, body).",
            )
        body: Any = made.body
        if not isinstance(body, (bytes, Pieces, NoneType)):
            raise PuterConfigError(
                f"prepare() of the driver {self.name} made a body of type {type(body).__name__}",
                hint="A body is bytes: json.dumps(...).encode().",
            )
        named = {name.lower() for name in made.headers}
        ours = {name: one for name, one in _HEADERS.items() if name.lower() not in named}
        host = _host_of(made.url, self.name, allow_http=config.allow_http)
        secrets = tuple(map(Secret, secret_headers(made.headers)))
        token = () if made.token is None else (made.token,)
        return replace(
            made,
            headers={**ours, **made.headers},
            secrets=(*made.secrets, *secrets, *token),
            rate_limited=True,
            authenticated=False,  # Puter's token is for Puter
            billed=None if made.idempotent else asked.model or "",
            stream=asked.stream,
            timeout=timeout if made.timeout is None else made.timeout,
            connect_timeout=config.connect_timeout,
            max_bytes=config.max_response_bytes,
            proxy="" if is_loopback(host) else config.proxy,
            verify=config.verify,
            driver=self.name,
        )

    def read(self, reply: HttpReply) -> ChatReply:
        """The driver's reply.

        Raises:
            PuterError: It tells what the server said.
            PuterResponseError: The driver cannot read the answer.
        """
        try:
            answer: Any = self.driver.read(reply)
            if not isinstance(answer, str):
                raise TypeError(f"read() returned {repr_of(answer, 80)}, not a ChatReply")
        except PuterError:
            raise
        except Exception as error:
            raise PuterResponseError(
                f"The driver {self.name} cannot read the answer: {type(error).__name__}: {error}",
                status=reply.status,
                body=reply.body[:500].decode(errors="replace"),
                hint="The server has sent what its driver does not expect.",
            ) from error
        return answer.copy_with() if isinstance(answer, ChatReply) else ChatReply(answer)

    def accumulator(self, model: str) -> ChunkAccumulator:
        """What makes chunks and the reply of the ``RawLines`` of a stream.

        A driver that keeps something from line to line has ``stream()``, which returns an object
        with ``read_line`` for each stream, and ``flush`` for its end.
        """
        begin = getattr(self.driver, "stream", None)
        if not callable(begin):
            read: ReadLine = self.driver.read_line
            return ChunkAccumulator(model, self.name, lambda one: read(one) if one.strip() else ())
        reader: Any = begin()
        flush = getattr(reader, "flush", None)
        return ChunkAccumulator(model, self.name, reader.read_line, flush)

    def error_of(self, reply: HttpReply) -> PuterError:
        """The typed error of a reply that is no success."""
        return server_error(self.name, reply)


def names_of(models: Any) -> tuple[str, ...]:
    """The names that a driver serves.

    Raises:
        PuterConfigError: They are none.
    """
    names: Any = () if isinstance(models, str) else models
    names = tuple(names) if isinstance(names, (Mapping, Sequence, set, frozenset)) else ()
    others = models.values() if isinstance(models, Mapping) else ()
    if not names or not all(map(text.accepts, (*names, *others))):
        raise PuterConfigError(
            f"models must be a list of names, or a mapping of them, not {repr_of(models, 80)}",
            hint="Write models={'name': 'name at the server'} or models=['name'].",
        )
    return tuple(name.strip() for name in names)


def _limits_of(driver: Any) -> tuple[float, float, float, float]:
    """What ``Throttle`` takes."""
    most, rate = (
        None if (value := getattr(driver, name, None)) is None else _LIMIT(name, value)
        for name in ("max_concurrency", "rate_limit_requests")
    )
    period = _PERIOD("rate_limit_period", getattr(driver, "rate_limit_period", 60.0))
    unbounded = float("inf")
    return rate or unbounded, period, most or unbounded, most or unbounded


def _host_of(url: str, name: str, *, allow_http: bool) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise PuterConfigError(
            f"The driver {name} made a request to no http or https address",
            hint="Check its base_url.",
        )
    if "@" in parts.netloc:
        raise PuterConfigError(
            f"The driver {name} made a request with a user or a password in its URL",
            hint="Send them in a header: errors show the URL.",
        )
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        raise PuterConfigError(
            f"{name}: plain http to {host} would show the conversation to the network",
            hint="Use https, or PuterAI(allow_http=True) if that network is yours.",
        )
    return host
