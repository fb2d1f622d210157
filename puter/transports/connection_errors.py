"""``Exchange``: one request on its way, and the error that a failure of its connection becomes."""

from __future__ import annotations

import errno
import os
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from puter.engine.credentials import client_closed
from puter.exceptions import (
    PuterConfigError,
    PuterConnectionError,
    PuterError,
    PuterResponseError,
    PuterTimeoutError,
)
from puter.frames import chain, from_signal_handler, raised_by_library
from puter.wire.encoding import ContentError, Decoder
from puter.wire.http import HttpRequest

IDLE_LIMIT = 4.0
"""Seconds a kept connection may idle (Puter backend: closed after 5, Keep-Alive: timeout=5)."""

_KEPT = 2000
"""Bytes of an answer that its error gets, should it break: more than are shown."""

_HTTP_LIBRARIES = ("requests.", "urllib3.", "aiohttp.")
_NO_TLS = {
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
    "WRONG_VERSION_NUMBER",
}
"""What OpenSSL calls a first answer that is not TLS."""
_TUNNEL_REFUSED = r"(?:Tunnel connection failed|ClientHttpProxyError): (\d{3})"
_TLS_CLOSED = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
_BARE = (ConnectionResetError, ConnectionAbortedError)
"""What asyncio raises without a word when a connection ends in a handshake."""


class Exchange:
    """One request on its way: what is known of it, and the errors made of that.

    A transport extends it with ``translate()`` and calls ``raise_for()`` in ``except Exception``.
    """

    proxy: str | None = None
    """URL of the proxy it goes through."""
    attached: bool = True
    """We have it, or one of our connections does; a double of the HTTP library has others."""
    written: bool = False
    """Something was written to the connection."""
    securing: str = ""
    """The host with which a TLS handshake is under way."""
    status: int | None = None
    """HTTP status, once it has come."""
    patience: float | None = None
    """Seconds of silence that the present read allows, where they are not the request's."""
    ended_by: str = ""
    """What ended it early: the deadline, silence, or the client or stream when closed."""
    _open_ended: bool = False  # the body ends with the connection
    decoder: Decoder | None = None
    """Takes the encoding off the body, where it has one."""
    _came: int = 0  # bytes of the body
    _decoded: int = 0
    _began: bytes = b""  # the content, as far as is shown

    def __init__(self, request: HttpRequest, time_left: float | None) -> None:
        self.request = request
        self.time_left = time_left
        """Seconds until the deadline when it began."""

    # ------------------------------------------------------------ the answer

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of the answer has come.

        Args:
            status: HTTP status.
            headers: Fields, found by lower-case names; several of one name joined by commas.

        Raises:
            PuterResponseError: The body is too large.
            PuterConnectionError: The proxy wants credentials.
            ContentError: The body is encoded in a way that we do not read.
        """
        self.status = status
        if status == 407 and self.proxy and self.request.url.startswith("http:"):
            raise self.proxy_refused()
        length = headers.get("content-length")
        self._open_ended = length is None and "transfer-encoding" not in headers
        if length is not None and length.isdecimal() and float(length) > self.request.max_bytes:
            raise self.too_large()
        coding = headers.get("content-encoding")
        if coding is not None:
            self.decoder = Decoder(coding)

    def content(self, data: bytes) -> Iterator[bytes]:
        """What the next bytes of the body hold, in pieces; both count.

        Raises:
            PuterResponseError: It is too large.
            ContentError: It cannot be decoded.
        """
        self._came += len(data)
        if self._came > self.request.max_bytes:  # also when it inflates to nothing
            raise self.too_large()
        if self.decoder is not None:
            return map(self._counted, self.decoder.decode(data))
        if len(self._began) < _KEPT:
            self._began += data[:_KEPT]
        return iter((data,))

    def _counted(self, piece: bytes) -> bytes:
        self._decoded += len(piece)
        if self._decoded > self.request.max_bytes:
            raise self.too_large()
        if len(self._began) < _KEPT:
            self._began += piece[:_KEPT]
        return piece

    # ------------------------------------------------------------ its failure

    @property
    def unsent(self) -> bool:
        """It is certain that nothing was written."""
        return self.attached and not self.written

    if TYPE_CHECKING:

        def translate(self, error: Exception) -> PuterError | None:
            """Our error for one of the HTTP library's or the socket's, None when it is neither."""

    def strip(self, error: Exception) -> None:
        """Take out of the library's error what holds secrets: it becomes the cause of ours."""

    def give_up(self, error: BaseException, on_unsent: Callable[[], None]) -> None:
        """End a request that failed or was interrupted.

        Args:
            error: What ended it.
            on_unsent: Called when nothing of it was written.

        Raises:
            Exception: See ``raise_for()``.
        """
        if self.unsent:
            on_unsent()
        if isinstance(error, Exception):
            self.raise_for(error)

    def raise_for(self, error: Exception) -> None:
        """Raise our error for this one, if it is the library's; the caller raises any other.

        Raises:
            PuterError: What ``translate()`` made of it.
            PuterResponseError: What else the library stumbled over.
            Exception: What a signal handler raised meanwhile, as it was.
        """
        for one in chain(error):
            wrapper = type(one).__module__.startswith(_HTTP_LIBRARIES)  # with its frames
            if not wrapper and from_signal_handler(one):
                raise one from one.__cause__
        if isinstance(error, PuterError):
            return
        translated = self.translate(error)
        if translated is None and (isinstance(error, ContentError) or raised_by_library(error)):
            translated = self.not_connected(error) if self.unsent else self.unreadable(error)
        if translated is not None:
            self.strip(error)
            raise translated from error

    # ------------------------------------------------------------ the errors

    @property
    def host(self) -> str:
        return urlsplit(self.request.url).netloc

    @property
    def _proxy_host(self) -> str | None:
        return urlsplit(self.proxy).netloc.rpartition("@")[2] if self.proxy else None

    @property
    def next_host(self) -> str:
        """Whom the connection is made to: the proxy, if there is one."""
        proxy = self._proxy_host
        return self.host if proxy is None else f"the proxy {proxy}"

    @property
    def _check_network(self) -> str:
        if self._proxy_host is None and self.request.driver:
            where = f"{self.request.driver} runs at {self.request.where}"
            return f"Check the network, and that {where}."
        if self._proxy_host is None:
            return "Check the network, api_base and the proxy."
        if self.request.proxy:
            return "Check the setting proxy, or give '' for none."
        return "Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, or name the host in NO_PROXY."

    @property
    def _advice(self) -> str:
        return " Try again." if self.request.idempotent else ""

    def _deadline_is_nearer(self, limit: float | None) -> bool:
        return self.time_left is not None and (limit is None or self.time_left <= limit)

    @property
    def _excerpt(self) -> str | None:
        """How the answer began; the client cuts it, after what is secret was taken out."""
        return self._began.decode("utf-8", "replace") or None

    def not_connected(self, error: BaseException) -> PuterError:
        inner, reason = _innermost(error), _reason(error)
        if self.securing or isinstance(inner, ssl.SSLError):
            return self.no_handshake(error)
        refusal = re.search(_TUNNEL_REFUSED, reason)
        if refusal is not None and refusal[1] == "407":
            return self.proxy_refused()
        told = f"No connection to {self.next_host}: {reason}"
        if self.proxy and not (isinstance(inner, OSError) and inner.errno):
            told = f"No connection to {self.host} through {self.next_host}: {reason}"
        final = refusal is not None and refusal[1].startswith("4")
        return PuterConnectionError(told, sent=False, retryable=not final, hint=self._check_network)

    def no_handshake(self, error: BaseException) -> PuterError:
        """TCP stands, but TLS does not: nothing of the request was sent."""
        by_proxy = (self.proxy or "").startswith("https:")
        host = self.securing or (self.next_host if by_proxy else self.host)
        inner = _innermost(error)
        if isinstance(inner, ssl.SSLError) and inner.reason in _NO_TLS:
            whose = "the server" if host == self.host else "the proxy"
            return PuterConnectionError(
                f"{host} did not speak TLS on that port",
                sent=False,
                hint=f"Does the URL of {whose} begin with http://, or is the port another?",
            )
        refused = isinstance(inner, ssl.SSLError) and not isinstance(inner, _TLS_CLOSED)
        return PuterConnectionError(
            f"The TLS handshake with {host} failed: {_reason(error)}",
            sent=False,
            retryable=not refused,
            hint="Something between may have cut it. " + self._check_network,
        )

    def proxy_refused(self) -> PuterError:
        given = "@" in urlsplit(self.proxy or "").netloc
        told = "did not accept the user and password" if given else "wants a user and a password"
        where = "the setting proxy" if self.request.proxy else "HTTPS_PROXY or HTTP_PROXY"
        return PuterConnectionError(
            f"{self.next_host.capitalize()} {told}",
            status=407,
            sent=False,
            hint=f"Write them into {where} before the host, as user:password@.",
        )

    def bad_certificate(self, error: BaseException) -> PuterError:
        return PuterConnectionError(
            f"The certificate of {self.host} was not accepted: {_reason(error)}",
            sent=False,
            hint="If the network has its own CA, give its bundle as verify='/path/to/ca.pem'.",
        )

    def connect_timeout(self) -> PuterError:
        limit = self.request.connect_timeout
        if self._deadline_is_nearer(limit):
            return self.out_of_time(sent=False)
        within = "in time" if limit is None else f"within {limit:g} s"  # the system has limits, too
        what = f"TLS handshake with {self.securing}" if self.securing else None
        return PuterTimeoutError(
            f"No {what or f'connection to {self.next_host}'} {within}",
            sent=False,
            retryable=True,
            hint=f"{self._check_network[:-1]}, or raise connect_timeout.",
        )

    def silence(self) -> PuterError:
        of_chunk = self.patience is not None
        limit = self.patience if of_chunk else self.request.timeout
        if self._deadline_is_nearer(limit):
            return self.out_of_time(sent=True)
        allowed = "too long" if limit is None else f"{limit:g} s"
        return PuterTimeoutError(
            f"{self.host} was silent for {allowed}{' (chunk_timeout)' if of_chunk else ''}",
            sent=True,
            retryable=self.request.idempotent,
            hint="Raise chunk_timeout."
            if of_chunk
            else f"Raise timeout if the answer takes longer.{self._advice}",
        )

    def out_of_time(self, *, sent: bool) -> PuterError:
        return PuterTimeoutError(
            f"The deadline passed while waiting for {self.host}",
            sent=sent,
            hint="Raise deadline.",
        )

    def cut_off(self, error: BaseException) -> PuterError:
        inner = _innermost(error)
        named = isinstance(inner, OSError) and inner.errno
        why = f": {_reason(error)}" if named else ""
        told = f"{self.host} closed the connection before the answer was complete{why}"
        if self._open_ended:  # nobody can tell how much is missing
            return self._broken(told)
        return PuterConnectionError(
            told,
            status=self.status,
            body=self._excerpt,
            sent=True,
            retryable=self.request.idempotent,
            hint=f"Check the network and any proxy in between.{self._advice}",
        )

    def ended(self) -> PuterError:
        """What to raise once ``ended_by`` is set: a body may look complete then."""
        if self.ended_by == "deadline":
            return self.out_of_time(sent=not self.unsent)
        if self.ended_by == "silence":
            return self.silence()
        if self.unsent:
            return client_closed()
        return PuterConnectionError(
            f"The {self.ended_by} was closed while the answer came",
            status=self.status,
            body=self._excerpt,
            sent=True,
            hint="Close it when its calls have ended.",
        )

    def unreadable(self, error: BaseException) -> PuterError:
        reason, inner = _reason(error), _innermost(error)
        if isinstance(inner, ContentError) and not self._began:
            self._began = inner.came[:_KEPT]
        return self._broken(f"The answer of {self.host} could not be read: {reason}")

    def _broken(self, told: str) -> PuterError:
        return PuterResponseError(
            told,
            status=self.status,
            body=self._excerpt,
            hint=f"A proxy may have damaged it.{self._advice}",
        )

    def too_large(self) -> PuterError:
        return PuterResponseError(
            f"The answer of {self.host} has more than {self.request.max_bytes:,} bytes",
            status=self.status,
            body=self._excerpt,
            hint="Raise max_response_bytes.",
        )

    def bad_address(self, error: BaseException) -> PuterError:
        return PuterConfigError(
            f"The request to {self.request.where!r} cannot be sent: {_reason(error)}",
            hint="Check api_base, login_url, proxy and headers.",
        )


def _reason(error: BaseException) -> str:
    """The innermost cause in a few words, without addresses of objects."""
    inner = _innermost(error)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return str(inner.verify_message or "certificate verify failed")
    if isinstance(inner, ssl.SSLError):  # its errno is OpenSSL's, not the system's
        if isinstance(inner, _TLS_CLOSED):
            return "the connection was closed"
        return (inner.reason or type(inner).__name__).replace("_", " ").lower()
    if isinstance(inner, ContentError):
        return str(inner)
    if isinstance(inner, OSError) and (
        inner.errno == 0 or (type(inner) in _BARE and not inner.args)
    ):
        return "the connection was closed"
    if isinstance(inner, OSError) and inner.errno is not None and inner.errno in errno.errorcode:
        return f"{os.strerror(inner.errno)} ({errno.errorcode[inner.errno]})"
    words = str(inner) if not isinstance(inner, OSError) or inner.args else ""
    words = words if len(words) < 160 and " object at 0x" not in words else ""
    words = re.sub(r"(?<=://)[^\s/@]+@", "", words)  # a proxy's user and password
    return f"{type(inner).__name__}{': ' + words if words else ''}"


def _innermost(error: BaseException) -> BaseException:
    seen: set[int] = set()
    while id(error) not in seen and not isinstance(error, ContentError):
        seen.add(id(error))
        named = (getattr(error, "reason", None), getattr(error, "os_error", None))
        for deeper in (*named, *error.args, error.__cause__, error.__context__):
            if isinstance(deeper, BaseException) and id(deeper) not in seen:
                error = deeper
                break
    return error
