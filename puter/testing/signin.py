"""The login family of the GUI host, and the token routes of the API host."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

from puter.testing.accounts import TokenKind, User, app_uid
from puter.testing.backend import COOKIE, Backend
from puter.testing.http import ApiError, Exchange, bad_request, internal_error
from puter.testing.limits import TIERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

_QUARTER_HOUR = 15 * 60.0
_FULL_ACCESS = "full-api-access"
_SPAN = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31557600}
# A scoped token may hold what its user holds; these prefixes stand for that.
_GRANTABLE = ("fs:", "driver:", "service:", "app:", "user:")


async def login(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /login``."""
    _same_origin(exchange)
    if exchange.body is None:
        raise internal_error()
    _limit_logins(backend, exchange)
    fields = exchange.fields
    _check_captcha(backend, fields)
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
    return _signed_in(backend, exchange, user)


async def login_otp(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /login/otp``. Puter backend: 15 per 30 minutes."""
    user, code = _second_step(backend, exchange, "otp", 15, 30 * 60)
    if code not in user.otp:
        return exchange.json({"proceed": False})
    return _signed_in(backend, exchange, user)


async def login_recovery_code(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /login/recovery-code``. Puter backend: 10 per 60 minutes."""
    user, code = _second_step(backend, exchange, "recovery", 10, 60 * 60)
    if not backend.accounts.take_recovery_code(user, code):
        return exchange.json({"proceed": False})
    return _signed_in(backend, exchange, user)


async def signup(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /signup``, for temporary users and proper ones."""
    _same_origin(exchange)
    fields = exchange.fields
    limited = backend.tier is not None
    if fields.get("is_temp"):
        name = f"local_guest_{secrets.randbelow(10**8):08d}"
        tier = TIERS["temp_free"] if limited else None
        user = User(name, None, is_temp=True, tier=tier, allowance=backend.allowance)
    else:
        chosen, password, email = (fields.get(key) for key in ("username", "password", "email"))
        if not isinstance(chosen, str) or not re.fullmatch(r"\w{1,45}", chosen):
            raise bad_request("Username can only contain letters, numbers and underscore (_).")
        if not isinstance(email, str) or "@" not in email:
            raise bad_request("Please enter a valid email address.")
        if not isinstance(password, str) or len(password) < 6:
            raise bad_request("Password must be at least 6 characters long.")
        tier = TIERS["user_free"] if limited else None
        user = User(chosen, password, email, requires="email", tier=tier)
        user.allowance = backend.allowance
    try:
        backend.accounts.add(user)
    except ValueError:
        raise bad_request("This username is already in use.") from None
    return _signed_in(backend, exchange, user)


async def anti_csrf_token(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``GET /get-anticsrf-token``."""
    user = backend.authorise(exchange, ("session", "worker"), verified=False)
    return exchange.json({"token": backend.accounts.new_anti_csrf(user)})


async def logout(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /logout``."""
    user = backend.authorise(exchange, ("session",), verified=False)
    backend.accounts.use_anti_csrf(user, exchange.fields.get("anti_csrf"))
    exchange.token.revoked = True
    return exchange.text("logged out")


async def captcha(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``GET /api/captcha/generate``; the picture holds its answer as text."""
    token, answer = backend.accounts.new_captcha()
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><text y="20">{answer}</text></svg>'
    return exchange.json({"token": token, "image": svg})


async def whoami(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``GET /whoami``. Puter backend: 1,800 per minute."""
    user = backend.authorise(exchange, verified=False)
    if user.tier is not None:
        backend.limits.hit((user.uuid, "/whoami"), 1800, 60)
    summary = user.summary()
    about: dict[str, Any] = {
        "username": user.username,
        "uuid": user.uuid,
        "email": user.email,
        "unconfirmed_email": user.email,
        "email_confirmed": summary["email_confirmed"],
        "requires_email_confirmation": summary["requires_email_confirmation"],
        "requires_phone_verification": summary["requires_phone_verification"],
        "requires_card_verification": summary["requires_card_verification"],
        "desktop_bg_url": None,
        "desktop_bg_color": None,
        "desktop_bg_fit": None,
        "is_temp": user.is_temp,
        "is_user_token": True,
        "referral_code": None,
        "oidc_only": user.password is None and not user.is_temp,
        "taskbar_items": [],
        "otp": bool(user.otp),
        "feature_flags": {},
        "hasDevAccountAccess": False,
    }
    if exchange.token.kind == "app":
        about = {key: value for key, value in about.items() if key not in _NOT_FOR_APPS}
        about["app_name"] = "local-app"
    return exchange.json(about)


# What an app token does not get to see.
_NOT_FOR_APPS = frozenset(
    {
        "email",
        "unconfirmed_email",
        "desktop_bg_url",
        "desktop_bg_color",
        "desktop_bg_fit",
        "is_user_token",
        "referral_code",
        "taskbar_items",
    }
)


async def create_access_token(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /auth/create-access-token``. Puter backend: 20 per hour."""
    user = backend.authorise(exchange, ("session", "app", "worker", "api"))
    if exchange.token.kind == "api":
        raise ApiError(403, "Access tokens may not create access tokens", "forbidden")
    if user.tier is not None:
        backend.limits.hit((user.uuid, "create-access-token"), 20, 3600)
    fields = exchange.fields
    permissions = fields.get("permissions")
    if not isinstance(permissions, list) or not permissions:
        raise bad_request("`permissions` must be a non-empty array")
    label = fields.get("label")
    if label is not None and (not isinstance(label, str) or len(label) > 64):
        raise bad_request("`label` must be a string of at most 64 characters")
    full = permissions == [_FULL_ACCESS]
    missing = [name for name in permissions if not full and not str(name).startswith(_GRANTABLE)]
    if missing or (full and exchange.token.kind == "app"):
        raise ApiError(
            403, "Permission denied", "forbidden", missing_permissions=missing or permissions
        )
    kind: TokenKind = "api" if full else "scoped"
    return exchange.json(
        {"token": backend.accounts.issue(user, kind, _lifetime(fields.get("expiresIn")))}
    )


async def revoke_access_token(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /auth/revoke-access-token``."""
    user = backend.authorise(exchange, ("session",))
    backend.accounts.use_anti_csrf(user, exchange.fields.get("anti_csrf"))
    token = backend.accounts.record_of(str(exchange.fields.get("tokenOrUuid")))
    if token is not None and token.user is user:
        token.revoked = True
    return exchange.json({"ok": True})


async def get_user_app_token(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /auth/get-user-app-token``."""
    user = backend.authorise(exchange, ("session",))
    origin, uid = (exchange.fields.get(key) for key in ("origin", "app_uid"))
    if not uid and not origin:
        raise bad_request("`app_uid` or `origin` is required")
    uid = str(uid or app_uid(str(origin)))
    token = backend.accounts.issue(user, "app", app=uid)
    return exchange.json({"token": token, "app_uid": uid})


def _signed_in(backend: Backend, exchange: Exchange, user: User) -> web.StreamResponse:
    token = backend.accounts.issue(user, "session")
    exchange.record.token_user = user.username
    answer = {"proceed": True, "next_step": "complete", "token": token, "user": user.summary()}
    cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax"
    return exchange.json(answer, headers={"Set-Cookie": cookie})


def _same_origin(exchange: Exchange) -> None:
    origin = exchange.request.headers.get("Origin")
    if origin is not None and origin.rstrip("/").lower() != exchange.gui_origin.lower():
        raise ApiError(403, "This endpoint cannot be called cross-origin.", "forbidden")


def _limit_logins(backend: Backend, exchange: Exchange) -> None:
    """Puter backend: 10 logins per 15 minutes and client, 50 per address; success counts too."""
    if backend.tier is None:
        return
    headers = exchange.request.headers
    client = tuple(headers.get(key) for key in ("User-Agent", "Accept-Language", "Accept-Encoding"))
    address = exchange.request.remote
    backend.limits.hit(("login", address, client), 10, _QUARTER_HOUR)
    backend.limits.hit(("login", address), 50, _QUARTER_HOUR)


def _check_captcha(backend: Backend, fields: Mapping[str, Any]) -> None:
    token, answer = fields.get("captchaToken"), fields.get("captchaAnswer")
    if not token and not answer:
        if backend.captcha:
            raise bad_request("Captcha verification required.")
    elif not backend.accounts.solve_captcha(token, answer):
        raise bad_request("Invalid captcha response.")


def _named_user(backend: Backend, fields: Mapping[str, Any]) -> User:
    username, email = fields.get("username"), fields.get("email")
    if not username and not email:
        raise bad_request("Username or email is required.")
    if username and not isinstance(username, str):
        raise bad_request("username must be a string.")
    if not username and not isinstance(email, str):
        raise bad_request("email must be a string.")
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


def _second_step(
    backend: Backend, exchange: Exchange, step: str, attempts: int, period: float
) -> tuple[User, str]:
    _same_origin(exchange)
    if backend.tier is not None:
        backend.limits.hit((step, exchange.request.remote), attempts, period)
    code = exchange.fields.get("code")
    if not code:
        raise bad_request("code is required.")
    return backend.accounts.pending_login(exchange.fields.get("token")), str(code)


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
