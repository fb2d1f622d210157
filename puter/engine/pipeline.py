"""How a request becomes a checked reply: retried, limited, authenticated, sent, checked."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from puter.config import PuterConfig
from puter.engine.context import CallContext
from puter.engine.effects import Acquire, Flow, Notify, Send, Sleep, do
from puter.engine.events import Event
from puter.engine.failures import conceal, short
from puter.engine.log import listeners_of
from puter.engine.observing import event_of, notify
from puter.engine.retry import attempts_left, may_repeat, retry_delay
from puter.engine.throttle import Permit, Throttle
from puter.exceptions import (
    PuterBudgetError,
    PuterConnectionError,
    PuterError,
    PuterRateLimitError,
    PuterResponseError,
    PuterTimeoutError,
)
from puter.process import late
from puter.records import replace
from puter.wire.errors import error_of
from puter.wire.http import HttpReply, HttpRequest

if TYPE_CHECKING:
    from puter.engine import middleware
    from puter.engine.middleware import Request
    from puter.engine.servers import Server
else:
    middleware = late("puter.engine.middleware")

WAITED = 0.05
"""Seconds in the queue from which on an event tells of them."""


def exchange(
    call: CallContext,
    request: HttpRequest,
    refused: PuterError | None = None,
    server: Server | None = None,
    asked: Callable[[], Request] | None = None,
) -> Flow[HttpReply]:
    """Send the request, again where it may be sent again, and return the checked reply.

    Args:
        call: The call that it belongs to.
        request: What to send.
        refused: An error that the body of the last answer told: its attempts count on.
        server: Whose limits and errors count. Default: Puter's.
        asked: What it asks for, of which budgets make their estimates. Default: what the request
            tells.

    Raises:
        PuterError: The typed error of the last attempt, with ``attempts`` filled in.
    """
    priced: Request | None = None
    if request.billed is not None and call.extensions.budgets:
        priced = asked() if asked else middleware.Request(call.operation, request.billed)
        call.attempts = call.attempts if refused else 0
        for limit in call.extensions.budgets:
            limit.check(call, priced)  # before a sign-in, and a wait in the queue
    if request.authenticated and call.shared.credentials.token is None:
        yield from call.runner._sign_in(call)
    throttle = call.throttle if server is None else server.throttle
    if refused is None:
        call.attempts = call.reserved = 0  # a sign-in before it does not count
    else:
        yield from _pause(call, request, refused, _plan_retry(call, request, refused, throttle))
    if request.billed:
        call.model = request.billed
    permit: Permit | None = None
    if request.rate_limited:
        permit = call.permit(throttle)  # each attempt goes to the same place in the queue
    try:
        while True:
            if permit is not None:
                queued = call.clock()
                yield Acquire(permit, None if call.config.deadline is None else call.time_left())
                if (waited := call.clock() - queued) >= WAITED:
                    yield from notify(call, "throttle.wait", seconds=waited)
            if priced is not None:
                yield from _reserve(call, priced, throttle)
            if not call.attempts:
                call.requested = call.clock()
            lost, call.unsent = True, False  # may have run, and so be billed, without an answer
            tried = call.attempts
            try:
                began = call.clock()
                reply: HttpReply
                if call.extensions.attempts:
                    reply = yield from _through_middleware(call, request, priced)
                else:
                    reply = yield _attempt(call, request)
                if reply is None:
                    raise middleware.not_delegated()
                if listeners := listeners_of(call.extensions, "response"):
                    yield Notify(_answered(call, request, reply, call.clock() - began), listeners)
                reply.max_bytes = request.max_bytes
                if (serializer := call.extensions.serializer) is not None:
                    reply.serializer = serializer
                if not reply.is_success(request.expect):
                    raise error_of(request, reply) if server is None else server.error_of(reply)
                lost = False
                if (budget := call.shared.retry_budget).spent:
                    budget.earn()
                if permit is not None:  # others say nothing of the server's limit
                    throttle.answered()
                    if reply.stream is not None:
                        reply.stream.permit, permit = permit, None  # held until it is closed
                return reply
            except PuterError as error:
                lost = may_have_run(error) or call.uncounted
                if not lost:
                    call.release()
                call.unsent = call.unsent or call.attempts == tried
                call.attempts = max(call.attempts, tried + 1)  # middleware may raise it, for ever
                delay = _plan_retry(call, request, error, throttle)  # while the permit is held
                failure = short(error)  # the frames of its traceback hold the body, and it
            finally:
                if lost and request.billed is not None:
                    if call.unsent or call.attempts == tried:
                        call.release()
                    else:
                        call.record(request.billed, answered=False)
            if permit is not None:
                permit.release()
            yield from _pause(call, request, failure, delay)
            del failure
    finally:
        if permit is not None:
            permit.release()
            call.permits.remove(permit)


def _reserve(call: CallContext, priced: Request, throttle: Throttle) -> Flow[None]:
    """Reserve what the attempt may cost; one that is not made leaves the window as it was."""
    try:
        yield from call.reserve(priced)
    except PuterBudgetError:
        throttle.unused()
        raise


def _through_middleware(
    call: CallContext, request: HttpRequest, priced: Request | None
) -> Flow[HttpReply]:
    """The reply that comes out of the middleware around an attempt."""
    call.uncounted = False
    reply = yield from middleware.around_attempt(call, request, functools.partial(_send, priced))
    call.uncounted = False  # it is this reply that counts
    return reply


def _plan_retry(
    call: CallContext, request: HttpRequest, error: PuterError, throttle: Throttle
) -> float:
    """Seconds until the next attempt; the error is raised when there is none."""
    secrets = (*call.shared.credentials.secrets(call.config), *request.secrets)
    conceal(error, secrets)  # before an event tells of it
    error.attempts, error.elapsed = call.attempts, call.clock() - call.requested
    if error.code == "credits_reserved":
        call.reserved += 1
    delay = _delay_after(call, request, error)
    if request.rate_limited and isinstance(error, PuterRateLimitError):
        _slow_down(throttle, error, delay)
    if delay is None:
        _explain(call.config, request, error)
        raise error
    return delay


def _explain(config: PuterConfig, request: HttpRequest, error: PuterError) -> None:
    """Add to the hint what the server asked for, and what may have been paid."""
    hints = [error.hint] if error.hint else []
    wait = error.retry_after if isinstance(error, PuterRateLimitError) else None
    if wait is not None and wait > config.max_retry_delay:
        hints.append(
            f"The server asks to wait {wait:g} s; max_retry_delay is {config.max_retry_delay:g} s."
        )
    if not request.idempotent and may_have_run(error):
        billed = ", and may have been billed" if request.billed is not None else ""
        hints.append(f"The request may have run{billed}.")
        if isinstance(error, PuterTimeoutError) and not config.retry_on_timeout:
            hints.append("It was not sent again: see retry_on_timeout.")
    error.hint = " ".join(hints)


def _pause(call: CallContext, request: HttpRequest, error: PuterError, delay: float) -> Flow[None]:
    call.retries += 1
    shown = replace(request, body=None) if request.private else request
    about = {"request": shown, "status": error.status, "delay": delay, "error": error}
    yield from notify(call, "retry", **about)
    yield Sleep(delay)


def may_have_run(error: PuterError) -> bool:
    """Whether the server may have done, and billed, what it gave no readable answer to."""
    if isinstance(error, PuterConnectionError):
        return error.sent
    if isinstance(error, PuterResponseError):  # without a status when not even that was readable
        return error.status is None or 200 <= error.status < 300
    lost_behind_proxy = error.code is None and error.status in _GATEWAY_FAILURES
    return lost_behind_proxy or error.code == "upstream_timeout"


_GATEWAY_FAILURES = (502, 504, 520, 524)
"""Statuses of a proxy that may have passed the request on (520 and 524 are Cloudflare's)."""


def _delay_after(call: CallContext, request: HttpRequest, error: PuterError) -> float | None:
    """Seconds until the next attempt, None when there is none."""
    answered = call.uncounted and not may_have_run(error)  # and middleware failed after that
    if answered or not may_repeat(call.config, error, request):
        return None
    reserved = error.code == "credits_reserved"
    attempts = call.reserved if reserved else call.attempts - call.reserved
    delay = retry_delay(call.config, error, attempts, call.random())
    if delay is None:
        return None
    waited = call.clock() - call.requested + delay
    if not attempts_left(call.config, error, attempts, waited):
        return None
    if not isinstance(error, PuterRateLimitError) and not call.shared.retry_budget.spend():
        return None
    deadline = call.config.deadline
    if deadline is not None and call.elapsed + delay >= deadline:
        return None
    return delay


def _slow_down(throttle: Throttle, error: PuterRateLimitError, delay: float | None) -> None:
    """Puter's own gate said no: fewer run at a time from now on, or everyone waits a while.

    Puter backend: "Too many concurrent requests." when too many run, else "Too many requests.".
    """
    if error.code in ("upstream_rate_limited", "credits_reserved"):
        return
    if "concurrent" in error.message:
        throttle.refused()
    elif delay is not None:
        throttle.hold(delay)


def _answered(call: CallContext, request: HttpRequest, reply: HttpReply, seconds: float) -> Event:
    about: dict[str, Any] = {"request": request, "reply": reply}
    if request.private:
        about = {"request": replace(request, body=None)}
    return event_of(call, "response", status=reply.status, seconds=seconds, **about)


def _send(priced: Request | None, call: CallContext, request: HttpRequest) -> Flow[HttpReply]:
    """Send for middleware, which may do so again: what ran before it counts, too."""
    if call.uncounted:
        call.record(request.billed or "", answered=False)
        call.uncounted = False
        if priced is not None:
            yield from call.reserve(priced)
    call.unsent = False
    try:
        reply = yield from do(_attempt(call, request))
    except PuterError as error:
        call.uncounted = request.billed is not None and may_have_run(error)
        raise
    call.uncounted = request.billed is not None and 200 <= reply.status < 300
    return reply


def _attempt(call: CallContext, request: HttpRequest) -> Send:
    """The next attempt, with the token as it is now."""
    config, credentials = call.config, call.shared.credentials
    token = request.token
    if request.authenticated:
        token = credentials.token
        if token is None or credentials.bound_to != (config.api_base, config.login_url):
            token = credentials.token_for(config)  # for the first time here, or it says why not
    if call.closed:
        raise call.stream_closed()
    time_left = None if config.deadline is None else call.time_left()
    call.attempts += 1
    return Send(request, token, time_left, call.note_unsent, call.bodies.append)
