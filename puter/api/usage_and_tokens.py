"""The account: what it spent, and tokens for programs."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from puter import checks
from puter.api.auth import fetch_csrf_token
from puter.engine.context import CallContext
from puter.engine.effects import Flow
from puter.engine.pipeline import exchange
from puter.exceptions import PuterInputError, PuterResponseError, repr_of
from puter.models import registry
from puter.secret import Secret
from puter.types.account import AccountUsage, Spending
from puter.wire.http import api_get, api_post
from puter.wire.json import as_dict
from puter.wire.metering import read_account_usage, read_app_usage

FULL_ACCESS = "full-api-access"


def account_usage(call: CallContext) -> Flow[AccountUsage]:
    """Get what the account spent this month and has left. Free of charge.

    Returns:
        Totals, and what each model, operation and app spent: in US dollars, or in the deployment's
        own credits; ``unit`` says which.

    Raises:
        PuterAuthError: Not signed in, or the token is no longer good.
        PuterAPIError: The server failed or did not answer.

    Examples:
        >>> ai.account_usage().remaining
        Decimal('0.5...')
    """
    reply = yield from exchange(call, api_get(call.config, "/metering/usage"))
    return read_account_usage(reply.data, registry().all_ids)


def app_usage(call: CallContext, app: str) -> Flow[Spending]:
    """Get what one app spent this month. Free of charge.

    Args:
        app: Its id, as in ``account_usage().by_app``, or its name.

    Returns:
        What each model and operation spent; nothing for an id that the server does not know.

    Raises:
        PuterInputError: The argument is no str, or empty.
        PuterNotFoundError: There is no app of that name.
        PuterAPIError: The server failed or did not answer.

    Examples:
        >>> for app in ai.account_usage().by_app:
        ...     print(app, ai.app_usage(app))
    """
    path = f"/metering/usage/{quote(checks.text('app', app).strip(), safe='')}"
    reply = yield from exchange(call, api_get(call.config, path))
    return read_app_usage(reply.data, registry().all_ids)


def create_api_token(
    call: CallContext, label: str | None = None, expires_in: int | str | None = None
) -> Flow[str]:
    """Create a token with full access, for a program to use instead of the password.

    Needs the session that ``login()`` gives. Keep it as safe as a password.

    Args:
        label: A name for it, 64 characters at most. Default: none.
        expires_in: Seconds, 1 or more, or a span such as ``"30d"``. Default: never.

    Raises:
        PuterInputError: An argument is wrong.
        PuterPermissionError: API tokens may not make others; sign in first.
        PuterRateLimitError: More than 20 in an hour (Puter backend).

    Examples:
        >>> token = ai.create_api_token("nightly job", "30d")
    """
    if label is not None and (not isinstance(label, str) or len(label) > 64):
        raise PuterInputError("label must be a str of 64 characters at most")
    if expires_in is not None and not (
        checks.text.accepts(expires_in) or checks.Range(1).kind(whole=True).accepts(expires_in)
    ):
        raise PuterInputError(
            f"expires_in={repr_of(expires_in)} is not valid",
            hint="Give seconds, or a span such as '30d'.",
        )
    payload: dict[str, Any] = {"permissions": [FULL_ACCESS]}
    if label is not None:
        payload["label"] = label
    if expires_in is not None:
        payload["expiresIn"] = expires_in
    request = api_post(call.config, "/auth/create-access-token", payload, private=True)
    reply = yield from exchange(call, request)
    token = as_dict(reply.data).get("token")
    if not isinstance(token, str) or not token:
        raise PuterResponseError("The answer holds no token", hint="Make one in the dashboard.")
    return token


def revoke_api_token(call: CallContext, token: str) -> Flow[None]:
    """Revoke a token, so that it is no longer accepted. Needs the session that ``login()`` gives.

    Args:
        token: The token, or its id.

    Raises:
        PuterInputError: The argument is no str, or empty.
        PuterPermissionError: An API token may not do this; sign in first.
        PuterAPIError: The server failed or did not answer.

    Examples:
        >>> token = ai.create_api_token("nightly job")
        >>> ai.revoke_api_token(token)
    """
    if not checks.text.accepts(token):  # checks.text() itself would show the token
        raise PuterInputError("revoke_api_token() wants the token or its id as a str")
    revoked = Secret(token.strip())
    proof = yield from fetch_csrf_token(call)
    payload = {"tokenOrUuid": revoked, "anti_csrf": proof}
    request = api_post(call.config, "/auth/revoke-access-token", payload)
    yield from exchange(call, request)
