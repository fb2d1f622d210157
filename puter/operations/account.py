"""The account: what it spent, and tokens for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from puter.account import AccountUsage, read_account_usage
from puter.exceptions import PuterInputError, PuterResponseError
from puter.exchange import Call, exchange
from puter.operations.auth import anti_csrf, ensure_signed_in
from puter.wire import calls

if TYPE_CHECKING:
    from puter.flow import Flow

FULL_ACCESS = "full-api-access"


def account_usage(call: Call) -> Flow[AccountUsage]:
    yield from ensure_signed_in(call)
    reply = yield from exchange(call, calls.api_get(call.config, "/metering/usage"))
    return read_account_usage(reply.data, call.registry.all_ids)


def create_api_token(call: Call, label: Any, expires_in: Any) -> Flow[str]:
    if label is not None and (not isinstance(label, str) or len(label) > 64):
        raise PuterInputError("label must be a str of 64 characters at most")
    if expires_in is not None and (
        isinstance(expires_in, bool)
        or not isinstance(expires_in, (int, str))
        or not expires_in
        or (isinstance(expires_in, int) and expires_in < 0)
    ):
        raise PuterInputError(
            f"expires_in={expires_in!r} is not valid", hint="Give seconds, or a span such as '30d'."
        )
    payload: dict[str, Any] = {"permissions": [FULL_ACCESS]}
    if label is not None:
        payload["label"] = label
    if expires_in is not None:
        payload["expiresIn"] = expires_in
    yield from ensure_signed_in(call)
    reply = yield from exchange(
        call, calls.api_post(call.config, "/auth/create-access-token", payload)
    )
    token = reply.data.get("token") if isinstance(reply.data, dict) else None
    if not isinstance(token, str) or not token:
        raise PuterResponseError("The answer holds no token", hint="Make one in the dashboard.")
    return token


def revoke_api_token(call: Call, token: Any) -> Flow[None]:
    if not isinstance(token, str) or not token.strip():
        raise PuterInputError("revoke_api_token() wants the token or its id as a str")
    yield from ensure_signed_in(call)
    proof = yield from anti_csrf(call)
    payload = {"tokenOrUuid": token.strip(), "anti_csrf": proof}
    request = calls.api_post(
        call.config, "/auth/revoke-access-token", payload, secrets=(token.strip(),)
    )
    yield from exchange(call, request)
