"""The page on which a user lets a program have a token: browser sign-in."""

from __future__ import annotations

import html
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from aiohttp import web

from puter.checks import is_loopback
from puter.testing.exchange import Exchange
from puter.testing.refusals import ApiError
from puter.testing.signin import check_password, require_same_origin


async def page(exchange: Exchange) -> web.StreamResponse:
    """What a browser is shown at first."""
    asked = exchange.request.query
    target, session = asked.get("redirectURL", ""), asked.get("token_type") == "session"
    user = exchange.backend.accounts.first()
    told = {"username": user.username, "password": user.password or ""}
    return _form(exchange, target, told, session=session)


async def answer(exchange: Exchange) -> web.StreamResponse:
    """What comes of the buttons: the browser goes back to the program, or does not."""
    require_same_origin(exchange)
    said = dict(parse_qsl(exchange.record.body.decode(errors="replace"), keep_blank_values=True))
    target, session = said.get("redirectURL", ""), said.get("token_type") == "session"
    if refusal := _refusal(target, session=session):
        return _html(exchange, "Not possible", f"<p>{refusal}</p>", 400)
    if said.get("choice") != "allow":
        return _html(exchange, "Cancelled", "<p>The program gets no token, and is not told.</p>")
    try:
        user = check_password(exchange, said)
    except ApiError as error:
        return _form(exchange, target, said, session=session, told=str(error.body["message"]))
    if user.otp and said.get("code") not in user.otp:
        told = "Wrong code." if said.get("code") else "This account has a second factor."
        return _form(exchange, target, said, session=session, told=told, code=True)
    if session and said.get("sure") != "yes":
        return _form(exchange, target, said, session=True, told="Confirm that you mean it.")
    token = exchange.backend.accounts.issue(user, "session" if session else "api")
    exchange.record.token_user = user.username
    headers = {"Location": _with_token(target, token), "Cache-Control": "no-store"}
    return exchange.finish(web.Response(status=303, headers=headers))


def _refusal(target: str, *, session: bool) -> str:
    """Why a browser is not sent there; empty where it may be."""
    try:
        parts = urlsplit(target)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not host:
        return "redirectURL must be an address with http or https."
    if session and not is_loopback(host):
        return "A session goes to a program on this machine alone."
    return ""


def _with_token(target: str, token: str) -> str:
    parts = urlsplit(target)
    kept = [one for one in parse_qsl(parts.query, keep_blank_values=True) if one[0] != "token"]
    return urlunsplit(parts._replace(query=urlencode([*kept, ("token", token)])))


def _form(
    exchange: Exchange,
    target: str,
    said: dict[str, str],
    *,
    session: bool,
    told: str = "",
    code: bool = False,
) -> web.StreamResponse:
    if refusal := _refusal(target, session=session):
        return _html(exchange, "Not possible", f"<p>{refusal}</p>", 400)
    where = html.escape(urlsplit(target).netloc)
    what = "a session of yours" if session else "a token for your whole account"
    fields = [
        f'<input type="hidden" name="redirectURL" value="{html.escape(target)}">',
        _field("User name", "username", said.get("username", "")),
        _field("Password", "password", said.get("password", ""), kind="password"),
    ]
    if code:
        fields.append(_field("Code of the second factor", "code", ""))
    if session:
        fields.append(
            '<input type="hidden" name="token_type" value="session">'
            '<p><label><input type="checkbox" name="sure" value="yes"> '
            "I know this program, and started it.</label></p>"
        )
    body = (
        f"<p>The program at <b>{where}</b> asks for {what}.</p>"
        f'<p role="alert">{html.escape(told)}</p>'
        f'<form method="post" action="/authme">{"".join(fields)}'
        '<button name="choice" value="allow" id="allow">Allow</button> '
        '<button name="choice" value="cancel" id="cancel">Cancel</button></form>'
    )
    return _html(exchange, "Sign in to LocalPuter", body, 401 if told else 200)


def _field(label: str, name: str, value: str, *, kind: str = "text") -> str:
    value = html.escape(value)
    return f'<p><label>{label} <input type="{kind}" name="{name}" value="{value}"></label></p>'


def _html(exchange: Exchange, title: str, body: str, status: int = 200) -> web.StreamResponse:
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">'
        f"<title>{title}</title><h1>{title}</h1>{body}</html>"
    )
    headers = {"Cache-Control": "no-store", "X-Frame-Options": "DENY"}
    answered = web.Response(text=text, content_type="text/html", status=status, headers=headers)
    return exchange.finish(answered)
