"""From a failure of a connection to our error: shared by both transports."""

from __future__ import annotations

import errno
import os
import re
import ssl
from urllib.parse import urlsplit

from puter.exceptions import (
    PuterConfigError,
    PuterConnectionError,
    PuterError,
    PuterResponseError,
    PuterTimeoutError,
)
from puter.wire.http import HttpRequest
from puter.wire.redact import redact

Secrets = tuple[str, ...]


def host_of(request: HttpRequest) -> str:
    return urlsplit(request.url).netloc


def billed(request: HttpRequest) -> str:
    if request.idempotent:
        return "Try again."
    return (
        "The request may have run, and may have been billed; it was not sent again. "
        "See retry_on_timeout for the other choice."
    )


def not_connected(request: HttpRequest, error: BaseException, secrets: Secrets) -> PuterError:
    return PuterConnectionError(
        f"No connection to {host_of(request)}: {reason(error, secrets)}",
        sent=False,
        retryable=True,
        hint="Check the network, api_base and the proxy.",
    )


def bad_certificate(request: HttpRequest, error: BaseException, secrets: Secrets) -> PuterError:
    return PuterConnectionError(
        f"The certificate of {host_of(request)} was not accepted: {reason(error, secrets)}",
        sent=False,
        hint="If the network has its own CA, give its bundle as verify='/path/to/ca.pem'.",
    )


def connect_timeout(request: HttpRequest, time_left: float | None) -> PuterError:
    limit = request.connect_timeout
    if _deadline_is_nearer(time_left, limit):
        return out_of_time(request, sent=False)
    within = "in time" if limit is None else f"within {limit:g} s"  # the system has limits, too
    return PuterTimeoutError(
        f"No connection to {host_of(request)} {within}",
        sent=False,
        retryable=True,
        hint="Check the network and the proxy, or raise connect_timeout.",
    )


def silence(request: HttpRequest, time_left: float | None) -> PuterError:
    limit = request.timeout
    if _deadline_is_nearer(time_left, limit):
        return out_of_time(request, sent=True)
    return PuterTimeoutError(
        f"{host_of(request)} was silent for {'too long' if limit is None else f'{limit:g} s'}",
        sent=True,
        retryable=request.idempotent,
        hint=f"Raise timeout if the model needs longer. {billed(request)}",
    )


def out_of_time(request: HttpRequest, *, sent: bool) -> PuterError:
    return PuterTimeoutError(
        f"The deadline passed while waiting for {host_of(request)}",
        sent=sent,
        hint="Raise deadline." + (f" {billed(request)}" if sent else ""),
    )


def cut_off(request: HttpRequest, error: BaseException, secrets: Secrets) -> PuterError:
    inner = _innermost(error)
    why = f": {reason(error, secrets)}" if isinstance(inner, OSError) and inner.errno else ""
    return PuterConnectionError(
        f"{host_of(request)} closed the connection before the answer was complete{why}",
        sent=True,
        retryable=request.idempotent,
        hint=billed(request),
    )


def unreadable(
    request: HttpRequest, status: int | None, error: BaseException, secrets: Secrets
) -> PuterError:
    return PuterResponseError(
        f"The answer of {host_of(request)} could not be read: {reason(error, secrets)}",
        status=status,
        hint=f"A proxy may have damaged it. {billed(request)}",
    )


def bad_address(request: HttpRequest, error: BaseException, secrets: Secrets) -> PuterError:
    return PuterConfigError(
        f"The request to {redact(request.url, secrets)!r} cannot be sent: {reason(error, secrets)}",
        hint="Check api_base, login_url, proxy and headers.",
    )


def _deadline_is_nearer(time_left: float | None, limit: float | None) -> bool:
    return time_left is not None and (limit is None or time_left <= limit)


def reason(error: BaseException, secrets: Secrets) -> str:
    """The innermost cause in a few words, without addresses of objects, URLs or secrets."""
    inner = _innermost(error)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return str(redact(inner.verify_message or "certificate verify failed", secrets))
    if isinstance(inner, OSError) and inner.errno is not None and inner.errno in errno.errorcode:
        return f"{os.strerror(inner.errno)} ({errno.errorcode[inner.errno]})"
    words = str(inner) if not isinstance(inner, OSError) or inner.args else ""
    words = words if len(words) < 160 and " object at 0x" not in words else ""
    words = re.sub(r"(?<=://)[^\s/@]+@", "", words)  # a proxy's user and password
    return str(redact(f"{type(inner).__name__}{': ' + words if words else ''}", secrets))


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
