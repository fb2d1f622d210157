"""Signing in and out, and asking who is signed in."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from puter.checks import text
from puter.engine.context import CallContext
from puter.engine.effects import Acquire, Flow, Invoke, do
from puter.engine.pipeline import exchange
from puter.exceptions import (
    PuterAPIError,
    PuterAuthError,
    PuterError,
    PuterInputError,
    PuterRateLimitError,
    PuterResponseError,
    PuterTwoFactorRequired,
)
from puter.secret import Secret
from puter.settings import origin_of
from puter.types.account import Account
from puter.wire.errors import WRONG_HOST, unknown_shape
from puter.wire.http import api_get, build_request
from puter.wire.json import as_dict, as_str_or_none

Code: TypeAlias = str | Callable[[], str | Awaitable[str]] | None


def login(call: CallContext, *, otp: Code = None, recovery_code: Code = None) -> Flow[bool]:
    """Sign in with the client's user name (or e-mail address) and password.

    Args:
        otp: Code of the second factor, or a function that returns it, called only when the server
            asks for it (``async_login`` takes an async function too).
        recovery_code: A one-time recovery code, or a function that returns one, instead.

    Returns:
        True. Anything else raises.

    Raises:
        PuterTwoFactorRequired: The account has a second factor and neither code was given.
        PuterAuthError: The sign-in was refused; the message says why and what to do.
        PuterRateLimitError: Too many sign-ins (Puter backend: 10 in 15 minutes). Not retried.
        PuterResponseError: ``login_url`` is not a Puter.
        PuterConnectionError: No answer.

    Examples:
        >>> ai = PuterAI("alice", "correct horse")
        >>> ai.login(otp=lambda: input("Code: "))
        True
    """
    if otp is not None and recovery_code is not None:
        raise PuterInputError("Give otp= or recovery_code=, not both")
    who = call.shared.credentials
    if who.username is None or who.password is None:
        raise who.not_signed_in()
    field = "email" if "@" in who.username else "username"
    answer = yield from _post(call, "", {field: who.username, "password": who.password})
    if answer.get("next_step") == "otp":
        answer = yield from _second_factor(call, answer, otp, recovery_code)
    token = answer.get("token")
    done = answer.get("proceed") is True and answer.get("next_step", "complete") == "complete"
    if not (done and isinstance(token, str) and token):
        raise PuterAuthError(
            "Puter did not complete the sign-in",
            body={key: value for key, value in answer.items() if key in ("proceed", "next_step")},
            hint="Sign in in the browser to see what it wants, or use an API token.",
        )
    who.sign_in(token, call.config)
    return True


def _second_factor(
    call: CallContext, answer: dict[str, Any], otp: Code, recovery_code: Code
) -> Flow[dict[str, Any]]:
    code = otp if otp is not None else recovery_code
    name, path = ("otp", "/otp") if otp is not None else ("recovery_code", "/recovery-code")
    if code is None:
        raise PuterTwoFactorRequired(
            "This account signs in with a second factor",
            hint="Call login(otp='123456'), login(otp=ask_user) with a function that returns the "
            "code, or login(recovery_code=...).",
        )
    if callable(code):
        code = yield from do(Invoke(code))
    if not text.accepts(code):  # text() itself would show it
        raise PuterInputError(f"{name} must be a non-empty str, or a function that returns one")
    ticket = Secret(str(answer.get("otp_jwt_token", "")))
    payload = {"token": ticket, "code": Secret("".join(code.split()))}
    answer = yield from _post(call, path, payload)
    if answer.get("proceed") is not True:
        raise PuterAuthError(
            f"The {name.replace('_', ' ')} was refused",
            reason=f"{name}_refused",
            hint="Codes change every 30 s and a recovery code works once: "
            "call login() with a new one.",
        )
    return answer


def _post(call: CallContext, path: str, payload: dict[str, Any]) -> Flow[dict[str, Any]]:
    request = build_request(
        call.config,
        "POST",
        call.config.login_url + path,
        payload,
        authenticated=False,
        retry_on_429=False,  # a 429 here means minutes
        private=True,
    )
    try:
        reply = yield from exchange(call, request)
    except PuterRateLimitError as error:
        error.hint = "Puter allows 10 sign-ins in 15 minutes: wait, or use a token."
        raise
    except PuterAPIError as error:
        raise _refused(error) from error.__cause__
    data = reply.data
    if not isinstance(data, dict):
        raise unknown_shape("The answer to the sign-in", hint=WRONG_HOST)
    return data


def _refused(error: PuterAPIError) -> PuterAPIError | PuterAuthError:
    """A sign-in that the server refused with any 4xx is an authentication error."""
    if error.status not in (400, 403, 404) or isinstance(error, PuterResponseError):
        return error
    if error.message == "Not Found":
        return PuterResponseError(
            "There is no sign-in at login_url",
            status=404,
            code=error.code,
            attempts=error.attempts,
            hint=WRONG_HOST,
        )
    hint = "Check the user name (upper and lower case count) or the e-mail address."
    if "captcha" in error.message.lower():
        hint = (
            "This Puter wants a captcha from scripts: use an API token from the dashboard instead."
        )
    elif error.status == 403:
        hint = "A proxy may add an Origin header, which Puter refuses; sign in without it."
    elif error.status == 400:
        hint = "Check the user name and the password (6 characters or more)."
    return PuterAuthError(
        error.message,
        status=error.status,
        code=error.code,
        body=error.body,
        attempts=error.attempts,
        hint=hint,
    )


def ensure_signed_in(call: CallContext) -> Flow[None]:
    """Sign in before a call when there is a password but no token; once for all who wait."""
    who = call.shared.credentials
    if who.token is not None or not call.config.auto_login or not who.can_auto_login:
        return
    refusals = who.refusals
    permit = call.permit(who.sign_in_queue)
    try:
        yield Acquire(permit, call.time_left())
        if who.token is not None or not who.can_auto_login:
            return
        if who.refusals != refusals and who.refusal is not None:
            raise copy.copy(who.refusal)  # several raise it: none may share its traceback
        try:
            yield from login(call)
        except PuterError as error:
            who.refusals += 1
            who.refusal = copy.copy(error)
            raise
    finally:
        permit.release()


def fetch_csrf_token(call: CallContext) -> Flow[Any]:
    """A one-time proof for what only a session may do."""
    url = origin_of(call.config.login_url) + "/get-anticsrf-token"
    request = build_request(call.config, "GET", url, idempotent=True, private=True)
    reply = yield from exchange(call, request)
    return as_dict(reply.data).get("token")


def logout(call: CallContext) -> Flow[None]:
    """Revoke the session where the token may do that, and forget the token in any case.

    An API token cannot revoke itself; it is only forgotten. Without a token nothing is sent. After
    it no call signs in by itself: call ``login()`` to go on.

    Raises:
        PuterConnectionError: No answer, so the session may still be open; the token is forgotten.
        PuterServerError, PuterRateLimitError: The server failed or is busy; the same holds.

    Examples:
        >>> ai.logout()
    """
    who = call.shared.credentials
    if who.token is None:
        who.sign_out()
        return
    try:
        proof = yield from fetch_csrf_token(call)
        url = origin_of(call.config.login_url) + "/logout"
        payload = {"anti_csrf": proof}
        yield from exchange(call, build_request(call.config, "POST", url, payload, expect="any"))
    except PuterAPIError as error:
        if error.status in (None, 429) or error.status >= 500:
            raise  # the session may still be open: say so
    except PuterAuthError:
        pass  # it is over already
    finally:
        who.sign_out()


def whoami(call: CallContext) -> Flow[Account]:
    """Ask who is signed in. Free.

    Raises:
        PuterAuthError: Not signed in, or the token is no longer good.
        PuterAPIError: The server failed or did not answer.

    Examples:
        >>> ai.whoami().username
        'alice'
    """
    reply = yield from exchange(call, api_get(call.config, "/whoami"))
    data = as_dict(reply.data)
    if not isinstance(data.get("username"), str):
        raise unknown_shape("The answer to whoami", hint=WRONG_HOST)
    return Account(
        username=data["username"],
        uuid=str(data.get("uuid", "")),
        email=as_str_or_none(data.get("email")),
        email_confirmed=_flag(data, "email_confirmed"),
        is_temp=_flag(data, "is_temp"),
        two_factor=_flag(data, "otp"),
        app_name=as_str_or_none(data.get("app_name")),
        must_verify=tuple(what for what, flag in _MUST_VERIFY.items() if data.get(flag) is True),
        unconfirmed_email=as_str_or_none(data.get("unconfirmed_email")),
        feature_flags=as_dict(data.get("feature_flags")),
        raw=data,
    )


def _flag(data: dict[str, Any], name: str) -> bool | None:
    value = data.get(name)
    return bool(value) if isinstance(value, int) else None  # 0 and 1 of a database included


_MUST_VERIFY = {
    "email": "requires_email_confirmation",
    "phone": "requires_phone_verification",
    "card": "requires_card_verification",
}
