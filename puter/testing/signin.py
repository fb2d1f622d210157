"""The login family of the GUI host, and the token routes of the API host."""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from puter.testing.accounts import app_uid
from puter.testing.exchange import COOKIE, Exchange
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request, internal_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from puter.testing.accounts import TokenKind, User
    from puter.testing.backend import Backend

_QUARTER_HOUR = 15 * 60.0
_FULL_ACCESS = "full-api-access"
_SPAN = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31557600}
# A scoped token may hold what its user holds; these prefixes stand for that.
_GRANTABLE = ("fs:", "driver:", "service:", "app:", "user:")
# What an app token does not get to see in whoami.
_NOT_FOR_APPS = frozenset(
    "email unconfirmed_email desktop_bg_url desktop_bg_color desktop_bg_fit is_user_token"
    " referral_code taskbar_items".split()
)


async def login(exchange: Exchange) -> web.StreamResponse:
    _require_same_origin(exchange)
    if exchange.body is None:
        raise internal_error()
    backend, fields = exchange.backend, exchange.fields
    _limit_logins(exchange)
    if fields.get("captchaToken") or fields.get("captchaAnswer"):  # none was ever handed out
        raise bad_request("Invalid captcha response.")
    user = _named_user(backend, fields)
    if user.suspended:
        raise ApiError(401, "This account is suspended.", "account_suspended")
    if user.password is None:
        raise ApiError(401, "This account has no password.", "unauthorized")
    if not secrets.compare_digest(user.password.encode(), _password(fields).encode()):
        raise ApiError(401, "Incorrect password.", "password_mismatch")
    if user.otp:
        token = backend.accounts.issue(user, "otp")
        return exchange.json({"proceed": True, "next_step": "otp", "otp_jwt_token": token}, 202)
    return _signed_in(exchange, user)


async def login_otp(exchange: Exchange) -> web.StreamResponse:
    """Puter backend: 15 attempts per 30 minutes."""
    user, code = _second_step(exchange, "otp", 15, 30 * 60)
    return _signed_in(exchange, user) if code in user.otp else exchange.json({"proceed": False})


async def login_recovery_code(exchange: Exchange) -> web.StreamResponse:
    """Puter backend: 10 attempts per 60 minutes."""
    user, code = _second_step(exchange, "recovery", 10, 60 * 60)
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
    return exchange.text("logged out")


async def whoami(exchange: Exchange) -> web.StreamResponse:
    """Puter backend: 1,800 per minute."""
    user = exchange.authorise(verified=False)
    if user.tier is not None:
        exchange.backend.limits.hit((user.uuid, "/whoami"), 1800, 60)
    about: dict[str, Any] = {
        **recorded("whoami"),
        **user.summary(),
        "unconfirmed_email": user.email,
        "oidc_only": user.password is None and not user.is_temp,
        "otp": bool(user.otp),
    }
    if exchange.token.kind == "app":
        about = {key: value for key, value in about.items() if key not in _NOT_FOR_APPS}
        about["app_name"] = "local-app"
    return exchange.json(about)


async def create_access_token(exchange: Exchange) -> web.StreamResponse:
    """Puter backend: 20 per hour."""
    user = exchange.authorise(("session", "app", "worker", "api"))
    if exchange.token.kind == "api":
        raise ApiError(403, "Access tokens may not create access tokens", "forbidden")
    if user.tier is not None:
        exchange.backend.limits.hit((user.uuid, "create-access-token"), 20, 3600)
    permissions, label = exchange.fields.get("permissions"), exchange.fields.get("label")
    if not isinstance(permissions, list) or not permissions:
        raise bad_request("`permissions` must be a non-empty array")
    if label is not None and (not isinstance(label, str) or len(label) > 64):
        raise bad_request("`label` must be a string of at most 64 characters")
    full = permissions == [_FULL_ACCESS]
    missing = [name for name in permissions if not full and not str(name).startswith(_GRANTABLE)]
    if missing or (full and exchange.token.kind == "app"):
        denied = missing or permissions
        raise ApiError(403, "Permission denied", "forbidden", missing_permissions=denied)
    kind: TokenKind = "api" if full else "scoped"
    lifetime = _lifetime(exchange.fields.get("expiresIn"))
    return exchange.json({"token": exchange.backend.accounts.issue(user, kind, lifetime)})


async def revoke_access_token(exchange: Exchange) -> web.StreamResponse:
    user, accounts = exchange.authorise(("session",)), exchange.backend.accounts
    accounts.use_anti_csrf(user, exchange.fields.get("anti_csrf"))
    with suppress(LookupError):
        token = accounts.known(str(exchange.fields.get("tokenOrUuid")))
        token.revoked = token.revoked or token.user is user
    return exchange.json({"ok": True})


async def get_user_app_token(exchange: Exchange) -> web.StreamResponse:
    user = exchange.authorise(("session",))
    origin, uid = (exchange.fields.get(key) for key in ("origin", "app_uid"))
    if not uid and not origin:
        raise bad_request("`app_uid` or `origin` is required")
    uid = str(uid or app_uid(str(origin)))
    token = exchange.backend.accounts.issue(user, "app", app=uid)
    return exchange.json({"token": token, "app_uid": uid})


def _signed_in(exchange: Exchange, user: User) -> web.StreamResponse:
    token = exchange.backend.accounts.issue(user, "session")
    exchange.record.token_user = user.username
    about = {**user.summary(), "phone": None}
    answer = {"proceed": True, "next_step": "complete", "token": token, "user": about}
    cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax"
    return exchange.json(answer, headers={"Set-Cookie": cookie})


def _require_same_origin(exchange: Exchange) -> None:
    origin = exchange.request.headers.get("Origin")
    if origin is not None and origin.rstrip("/").lower() != exchange.gui_origin.lower():
        raise ApiError(403, "This endpoint cannot be called cross-origin.", "forbidden")


def _limit_logins(exchange: Exchange) -> None:
    """Puter backend: 10 logins per 15 minutes and client, 50 per address; success counts too."""
    backend, headers = exchange.backend, exchange.request.headers
    if backend.tier is None:
        return
    client = tuple(headers.get(key) for key in ("User-Agent", "Accept-Language", "Accept-Encoding"))
    address = exchange.request.remote
    backend.limits.hit(("login", address, client), 10, _QUARTER_HOUR)
    backend.limits.hit(("login", address), 50, _QUARTER_HOUR)


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


def _second_step(exchange: Exchange, step: str, attempts: int, period: float) -> tuple[User, str]:
    _require_same_origin(exchange)
    backend, fields = exchange.backend, exchange.fields
    if backend.tier is not None:
        backend.limits.hit((step, exchange.request.remote), attempts, period)
    if not fields.get("code"):
        raise bad_request("code is required.")
    return backend.accounts.pending_login(fields.get("token")), str(fields["code"])


def _lifetime(given: object) -> float | None:
    """Seconds, from seconds or from a span such as ``30d``."""
    if given is None:
        return None
    if isinstance(given, int | float) and not isinstance(given, bool):
        return float(given)
    span = re.fullmatch(r"(\d+)\s*([smhdwy]?)", given) if isinstance(given, str) else None
    if span is None:
        raise bad_request("`expiresIn` must be a number of seconds or a span such as 30d")
    return float(int(span[1]) * _SPAN[span[2] or "s"])
