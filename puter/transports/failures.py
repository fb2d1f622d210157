"""From a failure below to our error: shared words for both drivers."""

from __future__ import annotations

import errno
import os
import re
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from puter.exceptions import (
    PuterConfigError,
    PuterConnectionError,
    PuterError,
    PuterResponseError,
    PuterTimeoutError,
)
from puter.wire.redact import redact

if TYPE_CHECKING:
    from puter.wire.http import Request


def host_of(request: Request) -> str:
    return urlsplit(request.url).netloc


def billed(request: Request) -> str:
    if request.repeatable:
        return "Try again."
    return (
        "The request may have run, and may have been billed; it was not sent again. "
        "See retry_on_timeout for the other choice."
    )


def not_connected(request: Request, error: BaseException) -> PuterError:
    return PuterConnectionError(
        f"No connection to {host_of(request)}: {reason(error, request)}",
        sent=False,
        retryable=True,
        hint="Check the network, api_base and the proxy.",
    )


def bad_certificate(request: Request, error: BaseException) -> PuterError:
    return PuterConnectionError(
        f"The certificate of {host_of(request)} was not accepted: {reason(error, request)}",
        sent=False,
        hint="If the network has its own CA, give its bundle as verify='/path/to/ca.pem'.",
    )


def connect_timeout(request: Request) -> PuterError:
    if _deadline_is_nearer(request, request.connect_timeout):
        return out_of_time(request, sent=False)
    return PuterTimeoutError(
        f"No connection to {host_of(request)} within {request.connect_timeout:g} s",
        sent=False,
        retryable=True,
        hint="Check the network and the proxy, or raise connect_timeout.",
    )


def silence(request: Request) -> PuterError:
    if _deadline_is_nearer(request, request.timeout):
        return out_of_time(request, sent=True)
    return PuterTimeoutError(
        f"{host_of(request)} was silent for {request.timeout:g} s",
        sent=True,
        retryable=request.repeatable,
        hint=f"Raise timeout if the model needs longer. {billed(request)}",
    )


def out_of_time(request: Request, *, sent: bool) -> PuterError:
    return PuterTimeoutError(
        f"The deadline passed while waiting for {host_of(request)}",
        sent=sent,
        hint="Raise deadline." + (f" {billed(request)}" if sent else ""),
    )


def cut_off(request: Request, error: BaseException) -> PuterError:
    inner = _innermost(error)
    why = f": {reason(error, request)}" if isinstance(inner, OSError) and inner.errno else ""
    return PuterConnectionError(
        f"{host_of(request)} closed the connection before the answer was complete{why}",
        sent=True,
        retryable=request.repeatable,
        hint=billed(request),
    )


def unreadable(request: Request, status: int | None, error: BaseException) -> PuterError:
    return PuterResponseError(
        f"The answer of {host_of(request)} could not be read: {reason(error, request)}",
        status=status,
        hint=f"A proxy may have damaged it. {billed(request)}",
    )


def bad_address(request: Request, error: BaseException) -> PuterError:
    return PuterConfigError(
        f"The request to {redact(request.url, request.secrets)!r} cannot be sent: "
        f"{reason(error, request)}",
        hint="Check api_base, login_url, proxy and headers.",
    )


def _deadline_is_nearer(request: Request, limit: float | None) -> bool:
    return request.time_left is not None and (limit is None or request.time_left <= limit)


def reason(error: BaseException, request: Request) -> str:
    """The innermost cause in a few words, without addresses of objects, URLs or secrets."""
    inner = _innermost(error)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return str(redact(inner.verify_message or "certificate verify failed", request.secrets))
    if isinstance(inner, OSError) and inner.errno is not None and inner.errno in errno.errorcode:
        return f"{os.strerror(inner.errno)} ({errno.errorcode[inner.errno]})"
    words = str(inner) if not isinstance(inner, OSError) or inner.args else ""
    words = words if len(words) < 160 and " object at 0x" not in words else ""
    words = re.sub(r"(?<=://)[^\s/@]+@", "", words)  # a proxy's user and password
    return str(redact(f"{type(inner).__name__}{': ' + words if words else ''}", request.secrets))


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


def queued_too_long() -> PuterError:
    return PuterTimeoutError(
        "The deadline passed in the queue before the request was sent",
        sent=False,
        hint="Raise deadline, or make fewer calls at a time.",
    )


def standstill(error: RuntimeError) -> PuterError:
    told = str(error)
    hint = "In async code await the async_ method."
    if "streams" in told:
        hint = "Read the open stream or sound to its end, or close it, before the next call."
    return PuterError(told[0].upper() + told[1:], hint=hint)
