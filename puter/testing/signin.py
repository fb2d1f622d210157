"""The login family of the GUI host, and the token routes of the API host."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiohttp import web

from puter.testing.accounts import TokenKind, User
from puter.testing.backend import Backend
from puter.testing.exchange import Exchange
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request, internal_error

_FULL_ACCESS = "full-api-access"
_SPAN = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31557600}


async def login(exchange: Exchange) -> web.StreamResponse:
    require_same_origin(exchange)
    if exchange.record.json is None:
        raise internal_error()
    user = check_password(exchange, exchange.fields)
    if user.otp:
        accounts = exchange.backend.accounts
        token = accounts.issue(user, "otp", lifetime=300)  # as the Puter backend does
        return exchange.json({"proceed": True, "next_step": "otp", "otp_jwt_token": token}, 202)
    return _signed_in(exchange, user)


def check_password(exchange: Exchange, fields: Mapping[str, Any]) -> User:
    """Whose name and password these are. Raises ApiError."""
    _limit_logins(exchange)
    user = _named_user(exchange.backend, fields)
    if user.suspended:
        raise ApiError(401, "This account is suspended.", "account_suspended")
    if user.password is None:
        raise ApiError(401, "This account has no password.", "unauthorized")
    if not secrets.compare_digest(user.password.encode(), _password(fields).encode()):
        raise ApiError(401, "Incorrect password.", "password_mismatch")
    return user


async def login_otp(exchange: Exchange) -> web.StreamResponse:
    user, code = _second_step(exchange)
    return _signed_in(exchange, user) if code in user.otp else exchange.json({"proceed": False})


async def login_recovery_code(exchange: Exchange) -> web.StreamResponse:
    user, code = _second_step(exchange)
    if code not in user.recovery_codes:
        return exchange.json({"proceed": False})
    user.recovery_codes.discard(code)
    return _signed_in(exchange, user)


async def anti_csrf_token(exchange: Exchange) -> web.StreamResponse:
    user = exchange.authorise(("session", "worker"), verified=False)
    return exchange.json({"token": exchange.backend.accounts.new_anti_csrf(user)})


async def logout(exchange: Exchange) -> web.StreamResponse:
    user = exchange.authorise(("session",), verified=False)
    exchange.backend.accounts.use_anti_csrf(user, exchange.fields.get("anti_csrf"))
    exchange.token.revoked = True
    return exchange.finish(web.Response(text="logged out", content_type="text/html"))


async def whoami(exchange: Exchange) -> web.StreamResponse:
    user = exchange.authorise(verified=False)
    more = {"unconfirmed_email": user.email, "oidc_only": False, "otp": bool(user.otp)}
    return exchange.json({**recorded("whoami"), **user.summary(), **more})


async def create_access_token(exchange: Exchange) -> web.StreamResponse:
    user = exchange.authorise(("session", "worker", "api"))
    if exchange.token.kind == "api":
        raise ApiError(403, "Access tokens may not create access tokens", "forbidden")
    permissions = exchange.fields.get("permissions")
    if not isinstance(permissions, list) or not permissions:
        raise bad_request("`permissions` must be a non-empty array")
    kind: TokenKind = "api" if permissions == [_FULL_ACCESS] else "scoped"
    lifetime = _lifetime(exchange.fields.get("expiresIn"))
    return exchange.json({"token": exchange.backend.accounts.issue(user, kind, lifetime)})


async def revoke_access_token(exchange: Exchange) -> web.StreamResponse:
    user, accounts = exchange.authorise(("session",)), exchange.backend.accounts
    accounts.use_anti_csrf(user, exchange.fields.get("anti_csrf"))
    with suppress(LookupError):
        token = accounts.known(str(exchange.fields.get("tokenOrUuid")))
        if token.user is user:
            token.revoked = True
            return exchange.json({"ok": True})
    raise ApiError(404, "Token not found", "not_found")


def _signed_in(exchange: Exchange, user: User) -> web.StreamResponse:
    token = exchange.backend.accounts.issue(user, "session")
    exchange.record.token_user = user.username
    about = {**user.summary(), "phone": None}
    answer = {"proceed": True, "next_step": "complete", "token": token, "user": about}
    cookie = f"puter_auth_token={token}; Path=/; HttpOnly; SameSite=Lax"
    return exchange.json(answer, headers={"Set-Cookie": cookie})


def require_same_origin(exchange: Exchange) -> None:
    """Refuse what a page of another origin sends. Raises ApiError."""
    origin = exchange.request.headers.get("Origin")
    if origin is not None and origin.rstrip("/").lower() != exchange.backend.gui_origin.lower():
        raise ApiError(403, "This endpoint cannot be called cross-origin.", "forbidden")


def _limit_logins(exchange: Exchange) -> None:
    """Puter backend: 10 logins per 15 minutes and client; success counts too."""
    headers = exchange.request.headers
    client = tuple(headers.get(key) for key in ("User-Agent", "Accept-Language", "Accept-Encoding"))
    if exchange.backend.tier is not None:
        exchange.backend.limits.hit(("login", client), 10, 15 * 60)


def _named_user(backend: Backend, fields: Mapping[str, Any]) -> User:
    username, email = fields.get("username"), fields.get("email")
    if not username and not email:
        raise bad_request("Username or email is required.")
    if not isinstance(username or email, str):
        raise bad_request(f"{'username' if username else 'email'} must be a string.")
    if len(_password(fields)) < 6:
        raise bad_request("Invalid password.")
    user = backend.accounts.find(username=username or None, email=email)
    if user is None:
        raise ApiError(404, f"{'Username' if username else 'Email'} not found.", "not_found")
    return user


def _password(fields: Mapping[str, Any]) -> str:
    password = fields.get("password")
    if not isinstance(password, str) or not password:
        raise ApiError(400, "Password is required.", "password_required")
    return password


def _second_step(exchange: Exchange) -> tuple[User, str]:
    """Who signs in, and the code. Raises ApiError."""
    require_same_origin(exchange)
    fields = exchange.fields
    if not fields.get("code"):
        raise bad_request("code is required.")
    return exchange.backend.accounts.pending_login(fields.get("token")), str(fields["code"])


def _lifetime(given: object) -> float | None:
    """Seconds, from seconds or from a span such as ``30d``."""
    if given is None:
        return None
    span = re.fullmatch(r"(\d+)([smhdwy]?)", str(given))
    if span is None:
        raise bad_request("`expiresIn` must be a number of seconds or a span such as 30d")
    return float(int(span[1]) * _SPAN[span[2] or "s"])
