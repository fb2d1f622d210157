"""The routes of the two hosts, API and GUI, as one aiohttp application."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from aiohttp import web

from puter.testing import catalogue, driver_calls, file_routes, metering, signin
from puter.testing.exchange import Exchange, pause
from puter.testing.refusals import ApiError, dumps, internal_error
from puter.testing.replies import Redirect

if TYPE_CHECKING:
    from puter.testing.backend import Backend

log: logging.Logger = logging.getLogger("puter.testing")

Host = Literal["api", "gui", "both"]
Handler: TypeAlias = Callable[[Exchange], Awaitable[web.StreamResponse]]

HOME = '<!DOCTYPE html><html lang="en"><title>LocalPuter</title><p>A Puter server for tests.</html>'
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_VERSION = {
    **dict.fromkeys(("major", "minor", "patch", "location")),
    "version": "local",
    "environment": "test",
    "deploy_timestamp": int(time.time() * 1000),
}


def _fixed(value: object) -> Handler:
    async def answer(exchange: Exchange) -> web.StreamResponse:
        return exchange.text(value) if isinstance(value, str) else exchange.json(value)

    return answer


def _public_list(kind: str, *, details: bool) -> Handler:
    async def models(exchange: Exchange) -> web.StreamResponse:
        vendors = None if kind == "chat" else exchange.backend.vendors
        return exchange.json(_encoded_list(kind, vendors, details))

    return models


@cache
def _encoded_list(kind: str, vendors: tuple[str, ...] | None, details: bool) -> bytes:
    known = catalogue.load(kind, vendors)
    return dumps({"models": known.listed if details else known.ids()})


ROUTES: tuple[tuple[Host, str, str, Handler], ...] = (
    ("gui", "GET", "/", _fixed(HOME)),
    ("gui", "GET", "/get-anticsrf-token", signin.anti_csrf_token),
    ("gui", "POST", "/login", signin.login),
    ("gui", "POST", "/login/otp", signin.login_otp),
    ("gui", "POST", "/login/recovery-code", signin.login_recovery_code),
    ("gui", "POST", "/logout", signin.logout),
    ("api", "GET", "/healthcheck", _fixed({"ok": True})),
    ("api", "GET", "/version", _fixed(_VERSION)),
    ("api", "GET", "/whoami", signin.whoami),
    ("api", "POST", "/auth/create-access-token", signin.create_access_token),
    ("api", "POST", "/auth/revoke-access-token", signin.revoke_access_token),
    ("api", "POST", "/auth/get-user-app-token", signin.get_user_app_token),
    ("api", "POST", "/drivers/call", driver_calls.call),
    ("api", "GET", "/drivers/list-interfaces", driver_calls.list_interfaces),
    *(
        ("api", "GET", f"/puterai/{kind}/models{end}", _public_list(kind, details=bool(end)))
        for kind in ("chat", "image", "video")
        for end in ("", "/details")
    ),
    ("api", "GET", "/metering/usage", metering.usage),
    ("api", "GET", "/metering/usage/{app}", metering.app_usage),
    ("api", "POST", "/fs/write", file_routes.write),
    ("api", "POST", "/stat", file_routes.stat),
    ("api", "GET", "/read", file_routes.read),
    ("api", "POST", "/readdir", file_routes.readdir),
    ("api", "POST", "/delete", file_routes.delete),
    ("api", "GET", "/sample/{name}", file_routes.sample),
)


async def _no_route(exchange: Exchange) -> web.StreamResponse:
    del exchange
    raise ApiError(404, "Not Found", "not_found")


def build(backend: Backend, gui_origin: str, *, one_port: bool) -> web.Application:
    """The application of one server.

    Args:
        backend: its state.
        gui_origin: the ``Origin`` that the login family accepts.
        one_port: both hosts on one origin, instead of by the left-most label of ``Host``.
    """
    app = web.Application()
    for host, method, path, handler in ROUTES:
        served = _served(backend, gui_origin, "both" if one_port else host, handler)
        for spelled in dict.fromkeys((path, path.rstrip("/") + "/")):
            app.router.add_route(method, spelled, served)
            if method == "GET":
                app.router.add_route("HEAD", spelled, served)
    no_route = _served(backend, gui_origin, "both" if one_port else "api", _no_route)
    app.router.add_route("*", "/{anything:.*}", no_route)
    return app


def _served(
    backend: Backend, gui_origin: str, host: Host, handler: Handler
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        exchange = Exchange(request, backend, gui_origin)
        record = exchange.record
        try:
            response = await _answer(exchange, host, handler)
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
            backend.metering.sent(exchange.token, response)
        return response

    return serve


async def _answer(exchange: Exchange, host: Host, handler: Handler) -> web.StreamResponse:
    request, record = exchange.request, exchange.record
    try:
        await exchange.read()
    finally:
        exchange.backend.journal.add(record)
    if fault := exchange.backend.script.planned_for(record.path):
        await pause(fault.delay)
        return await fault.carry_out(exchange)
    if "%" in request.raw_path and _BAD_ESCAPE.search(request.raw_path.partition("?")[0]):
        raise ApiError(400, "Bad request URL", "client_bad_url")
    if record.method == "OPTIONS":
        return exchange.text("OK", content_type="text/plain")
    if host != "both":
        asked = "api" if record.host.partition(".")[0].lower() == "api" else "gui"
        if asked != host or handler is _no_route:
            if asked == "gui" and record.method in ("GET", "HEAD"):
                return await Redirect().carry_out(exchange)
            handler = _no_route
    return await handler(exchange)
