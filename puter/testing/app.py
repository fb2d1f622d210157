"""The routes of the two hosts, API and GUI, and the handler of all requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from aiohttp import web

from puter.testing import consent, driver_calls, file_routes, metering, signin
from puter.testing.backend import Backend
from puter.testing.exchange import Exchange
from puter.testing.faults import redirect
from puter.testing.refusals import ApiError, internal_error

log: logging.Logger = logging.getLogger("puter.testing")

Host = Literal["api", "gui", "both"]
Handler: TypeAlias = Callable[[Exchange], Awaitable[web.StreamResponse]]

# Puter backend: bodies up to 50 MB.
MAX_BODY = 50 * 1024 * 1024


async def _healthcheck(exchange: Exchange) -> web.StreamResponse:
    return exchange.json({"ok": True})


async def _no_route(exchange: Exchange) -> web.StreamResponse:
    del exchange
    raise ApiError(404, "Not Found", "not_found")


async def _to_gui(exchange: Exchange) -> web.StreamResponse:
    exchange.fault = redirect()
    return await exchange.spoil(None)


def _public_list(kind: str, *, details: bool) -> Handler:
    async def models(exchange: Exchange) -> web.StreamResponse:
        known = exchange.backend.catalogue(kind)
        return exchange.json({"models": known.listed if details else known.ids()})

    return models


async def _consent(exchange: Exchange) -> web.StreamResponse:
    if exchange.request.query.get("action") != "authme":
        return await _no_route(exchange)  # the desktop, which there is none of
    return await consent.page(exchange)


_TABLE: tuple[tuple[Host, str, str, Handler], ...] = (
    ("gui", "GET", "/", _consent),
    ("gui", "POST", "/authme", consent.answer),
    ("gui", "GET", "/get-anticsrf-token", signin.anti_csrf_token),
    ("gui", "POST", "/login", signin.login),
    ("gui", "POST", "/login/otp", signin.login_otp),
    ("gui", "POST", "/login/recovery-code", signin.login_recovery_code),
    ("gui", "POST", "/logout", signin.logout),
    ("api", "GET", "/healthcheck", _healthcheck),
    ("api", "GET", "/whoami", signin.whoami),
    ("api", "POST", "/auth/create-access-token", signin.create_access_token),
    ("api", "POST", "/auth/revoke-access-token", signin.revoke_access_token),
    ("api", "POST", "/drivers/call", driver_calls.call),
    *(
        ("api", "GET", f"/puterai/{kind}/models{end}", _public_list(kind, details=bool(end)))
        for kind in ("chat", "image", "video")
        for end in ("", "/details")
    ),
    ("api", "GET", "/metering/usage", metering.usage),
    ("api", "GET", "/metering/usage/*", metering.app_usage),
    ("api", "GET", "/metering/allCosts", metering.all_costs),
    ("api", "POST", "/fs/write", file_routes.write),
    ("api", "POST", "/stat", file_routes.stat),
    ("api", "GET", "/read", file_routes.read),
    ("api", "POST", "/readdir", file_routes.readdir),
    ("api", "POST", "/delete", file_routes.delete),
    ("api", "GET", "/sample/*", file_routes.sample),
)
ROUTES: dict[tuple[str, str], tuple[Host, Handler]] = {
    (method, path): (host, handler) for host, method, path, handler in _TABLE
}
"""Host and handler by method and path, of which the last part may be any name: ``*``.

A table in place of ``web.Application``: its router and middlewares take CPU time for each request.
"""


def _route(method: str, path: str) -> tuple[Host, Handler]:
    parent, _, name = path.rpartition("/")
    found = ROUTES.get((method, path)) or (name and ROUTES.get((method, f"{parent}/*")))
    return found or ("api", _no_route)


def handler(
    backend: Backend, *, one_port: bool
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """What answers each request to one server."""

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        exchange = Exchange(request, backend)
        record = exchange.record
        host, found = _route(record.method, record.path)
        try:
            response = await _answer(exchange, "both" if one_port else host, found)
        except asyncio.CancelledError:
            record.dropped = True
            raise
        except ApiError as error:
            response = exchange.json(error.body, error.status)
        except Exception:
            log.exception("LocalPuter failed on %s %s", record.method, record.path)
            response = exchange.json(internal_error().body, 500)
        finally:
            backend.journal.notify()
        if exchange.user is not None:
            backend.metering.sent(exchange.user, response)
        return response

    return serve


async def _answer(exchange: Exchange, host: Host, handler: Handler) -> web.StreamResponse:
    record = exchange.record
    try:
        await exchange.read()
    finally:
        exchange.backend.journal.add(record)
    fault = exchange.fault = exchange.backend.script.plan.pick(record.path, record.json)
    if fault is not None and not fault.ran:
        return await exchange.spoil(None)
    if host != "both":
        asked = "api" if record.host.startswith("api.") else "gui"
        if asked != host or handler is _no_route:
            handler = _to_gui if asked == "gui" and record.method == "GET" else _no_route
    try:
        response = await handler(exchange)
        record.ran = record.ran or response.status < 400
    except ApiError as error:
        response = exchange.json(error.body, error.status)
    return await exchange.spoil(response)
