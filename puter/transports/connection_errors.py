"""``Exchange``: one request on its way, and the error that a failure of its connection becomes."""

from __future__ import annotations

import errno
import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from puter.engine.frames import chain, from_signal_handler
from puter.exceptions import (
    PuterConfigError,
    PuterConnectionError,
    PuterError,
    PuterResponseError,
    PuterTimeoutError,
)
from puter.wire.http import HttpRequest

_HTTP_LIBRARIES = ("requests.", "urllib3.", "aiohttp.")
_NO_TLS = {
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
    "WRONG_VERSION_NUMBER",
}
"""What OpenSSL calls a first answer that is not TLS."""


@dataclass(eq=False)
class Exchange:
    """One request on its way: what is known of it, and the errors made of that.

    A transport extends it with ``translate()`` and calls ``raise_for()`` in ``except Exception``.
    """

    request: HttpRequest
    time_left: float | None = None
    """Seconds until the deadline when it began."""
    proxy: str | None = field(default=None, init=False, repr=False)
    """URL of the proxy it goes through."""
    attached: bool = field(default=True, init=False)
    """We have it, or one of our connections does; a double of the HTTP library has others."""
    written: bool = field(default=False, init=False)
    """Something was written to the connection."""
    status: int | None = field(default=None, init=False)
    """HTTP status, once it has come."""
    patience: float | None = field(default=None, init=False)
    """Seconds of silence that the present read allows, where they are not the request's."""

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
            Exception: What a signal handler raised meanwhile, as it was.
        """
        for one in chain(error):
            wrapper = type(one).__module__.startswith(_HTTP_LIBRARIES)  # with its frames
            if not wrapper and from_signal_handler(one):
                raise one from one.__cause__
        translated = None if isinstance(error, PuterError) else self.translate(error)
        if translated is not None:
            self.strip(error)
            raise translated from error

    # ------------------------------------------------------------ the errors

    @property
    def _host(self) -> str:
        return urlsplit(self.request.url).netloc

    @property
    def _proxy_host(self) -> str | None:
        return urlsplit(self.proxy).netloc.rpartition("@")[2] if self.proxy else None

    @property
    def _next_host(self) -> str:
        """Whom the connection is made to: the proxy, if there is one."""
        proxy = self._proxy_host
        return self._host if proxy is None else f"the proxy {proxy}"

    @property
    def _check_network(self) -> str:
        if self._proxy_host is None:
            return "Check the network, api_base and the proxy."
        if self.request.proxy:
            return "Check the setting proxy, or give '' for none."
        return "Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, or name the host in NO_PROXY."

    @property
    def _advice(self) -> str:
        if self.request.idempotent:
            return "Try again."
        return (
            "The request may have run, and may have been billed; it was not sent again. "
            "See retry_on_timeout for the other choice."
        )

    def _deadline_is_nearer(self, limit: float | None) -> bool:
        return self.time_left is not None and (limit is None or self.time_left <= limit)

    def not_connected(self, error: BaseException) -> PuterError:
        inner, reason = _innermost(error), _reason(error)
        if isinstance(inner, ssl.SSLError) and inner.reason in _NO_TLS:
            return self.no_tls()
        told = f"No connection to {self._next_host}: {reason}"
        if self.proxy and not (isinstance(inner, OSError) and inner.errno):
            told = f"No connection to {self._host} through {self._next_host}: {reason}"
        return PuterConnectionError(told, sent=False, retryable=True, hint=self._check_network)

    def no_tls(self) -> PuterError:
        by_proxy = (self.proxy or "").startswith("https:")
        return PuterConnectionError(
            f"{self._next_host if by_proxy else self._host} did not speak TLS on that port",
            sent=False,
            hint=f"Does the URL of {'the proxy' if by_proxy else 'the server'} begin with http://, "
            "or is the port another?",
        )

    def bad_certificate(self, error: BaseException) -> PuterError:
        return PuterConnectionError(
            f"The certificate of {self._host} was not accepted: {_reason(error)}",
            sent=False,
            hint="If the network has its own CA, give its bundle as verify='/path/to/ca.pem'.",
        )

    def connect_timeout(self) -> PuterError:
        limit = self.request.connect_timeout
        if self._deadline_is_nearer(limit):
            return self.out_of_time(sent=False)
        within = "in time" if limit is None else f"within {limit:g} s"  # the system has limits, too
        return PuterTimeoutError(
            f"No connection to {self._next_host} {within}",
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
            f"{self._host} was silent for {allowed}{' (chunk_timeout)' if of_chunk else ''}",
            sent=True,
            retryable=self.request.idempotent,
            hint=f"Raise timeout if the model needs longer. {self._advice}",
        )

    def out_of_time(self, *, sent: bool) -> PuterError:
        return PuterTimeoutError(
            f"The deadline passed while waiting for {self._host}",
            sent=sent,
            hint="Raise deadline." + (f" {self._advice}" if sent else ""),
        )

    def cut_off(self, error: BaseException) -> PuterError:
        inner = _innermost(error)
        named = isinstance(inner, OSError) and inner.errno
        why = f": {_reason(error)}" if named else ""
        return PuterConnectionError(
            f"{self._host} closed the connection before the answer was complete{why}",
            sent=True,
            retryable=self.request.idempotent,
            hint=self._advice,
        )

    def unreadable(self, error: BaseException) -> PuterError:
        return PuterResponseError(
            f"The answer of {self._host} could not be read: {_reason(error)}",
            status=self.status,
            hint=f"A proxy may have damaged it. {self._advice}",
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
        failed = inner.reason or type(inner).__name__
        return f"the TLS handshake failed ({failed.replace('_', ' ').lower()})"
    if isinstance(inner, OSError) and inner.errno is not None and inner.errno in errno.errorcode:
        return f"{os.strerror(inner.errno)} ({errno.errorcode[inner.errno]})"
    words = str(inner) if not isinstance(inner, OSError) or inner.args else ""
    words = words if len(words) < 160 and " object at 0x" not in words else ""
    words = re.sub(r"(?<=://)[^\s/@]+@", "", words)  # a proxy's user and password
    return f"{type(inner).__name__}{': ' + words if words else ''}"


def _innermost(error: BaseException) -> BaseException:
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        named = (getattr(error, "reason", None), getattr(error, "os_error", None))
        for deeper in (*named, *error.args, error.__cause__, error.__context__):
            if isinstance(deeper, BaseException) and id(deeper) not in seen:
                error = deeper
                break
    return error
