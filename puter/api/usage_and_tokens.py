"""The account: what it spent, and tokens for programs."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any

from puter import checks
from puter.api.auth import fetch_csrf_token
from puter.engine.context import CallContext
from puter.engine.effects import Flow
from puter.engine.pipeline import exchange
from puter.exceptions import PuterInputError, PuterResponseError
from puter.models import registry
from puter.types.account import AccountUsage
from puter.wire.http import api_get, api_post
from puter.wire.json import dollars, mapping

FULL_ACCESS = "full-api-access"


def account_usage(call: CallContext) -> Flow[AccountUsage]:
    """Get what the account spent this month and has left, in US dollars. Free of charge.

    Returns:
        Totals, and what each model, operation and app spent.

    Raises:
        PuterAuthError: Not signed in, or the token is no longer good.
        PuterAPIError: The server failed or did not answer.

    Examples:
        >>> ai.account_usage().remaining
        Decimal('0.5...')
    """
    reply = yield from exchange(call, api_get(call.config, "/metering/usage"))
    return read_account_usage(reply.data, registry().all_ids)


def read_account_usage(data: Any, models: AbstractSet[str] = frozenset()) -> AccountUsage:
    """The answer of ``GET /metering/usage``.

    Args:
        data: The decoded answer.
        models: Known ids, to tell where the model ends in ``provider:model:what:was:counted``.

    Raises:
        PuterResponseError: It has an unknown shape.
    """
    usage, allowance = mapping(data).get("usage"), mapping(data).get("allowanceInfo")
    if not isinstance(usage, Mapping) or not isinstance(allowance, Mapping):
        raise PuterResponseError(
            "The account's usage has an unknown shape",
            body=data,
            hint="The server may be newer or older than this SDK understands.",
        )
    by_model: dict[str, Decimal] = {}
    by_operation: dict[str, Decimal] = {}
    for key, entry in usage.items():
        if not isinstance(entry, Mapping):
            continue  # totals stand among the entries as bare numbers
        name = str(key).replace("_dot_", ".")
        by_operation[name] = cost = _amount(entry.get("cost"))
        if model := _model_in(name, models):
            by_model[model] = by_model.get(model, Decimal(0)) + cost
    return AccountUsage(
        allowance=_amount(allowance.get("monthUsageAllowance")),
        remaining=_amount(allowance.get("remaining")),
        spent=_amount(usage.get("total")),
        by_model=by_model,
        by_operation=by_operation,
        by_app={
            app: _amount(entry.get("total"))
            for app, entry in mapping(data.get("appTotals")).items()
            if isinstance(entry, Mapping)
        },
        raw=dict(data),
    )


def _model_in(operation: str, models: AbstractSet[str]) -> str:
    """The longest known model in ``provider:model:counted``; else all but the ends."""
    parts = operation.split(":")[1:]
    for end in range(len(parts), 0, -1):
        if ":".join(parts[:end]) in models:
            return ":".join(parts[:end])
    return ":".join(parts[:-1])


def _amount(micro_cents: Any) -> Decimal:
    """US dollars of the server's unit (Puter backend: 1 cent = 1,000,000 micro-cents)."""
    return (dollars(micro_cents) or Decimal(0)) / 1_000_000


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
            f"expires_in={expires_in!r} is not valid", hint="Give seconds, or a span such as '30d'."
        )
    payload: dict[str, Any] = {"permissions": [FULL_ACCESS]}
    if label is not None:
        payload["label"] = label
    if expires_in is not None:
        payload["expiresIn"] = expires_in
    request = api_post(call.config, "/auth/create-access-token", payload)
    reply = yield from exchange(call, request)
    token = mapping(reply.data).get("token")
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
    if not checks.text.accepts(token):  # checks.text() itself would show what was given
        raise PuterInputError("revoke_api_token() wants the token or its id as a str")
    token = token.strip()
    proof = yield from fetch_csrf_token(call)
    payload = {"tokenOrUuid": token, "anti_csrf": proof}
    request = api_post(call.config, "/auth/revoke-access-token", payload, secrets=(token,))
    yield from exchange(call, request)
