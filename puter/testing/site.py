"""The routes of the two hosts, and the way of a request through them."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias
from urllib.parse import unquote

from aiohttp import web
from multidict import CIMultiDict, MultiDict

from puter.testing import catalogue, drivers, fileroutes, metering, signin
from puter.testing.backend import Backend
from puter.testing.http import ApiError, Exchange, internal_error, not_found
from puter.testing.journal import RecordedRequest
from puter.testing.replies import Redirect, pause

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

log: logging.Logger = logging.getLogger("puter.testing")

Host = Literal["api", "gui"]
Route: TypeAlias = Callable[[Backend, Exchange], Awaitable[web.StreamResponse]]

HOME = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>LocalPuter</title></head>
<body><h1>LocalPuter</h1><p>A Puter server for tests.</p></body></html>
"""


async def healthcheck(_backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``GET /healthcheck``."""
    return exchange.json({"ok": True})


async def version(_backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``GET /version``."""
    about = dict.fromkeys(("version", "major", "minor", "patch", "environment", "location"))
    about |= {"version": "local", "environment": "test"}
    return exchange.json({**about, "deploy_timestamp": _STARTED})


async def home(_backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``GET /`` of the GUI host."""
    return exchange.text(HOME)


def _public_list(kind: str, *, details: bool) -> Route:
    async def models(backend: Backend, exchange: Exchange) -> web.StreamResponse:
        known = catalogue.load(kind, None if kind == "chat" else backend.vendors)
        return exchange.json({"models": known.listed if details else known.ids()})

    return models


_STARTED = int(time.time() * 1000)

GUI: dict[tuple[str, str], Route] = {
    ("GET", "/"): home,
    ("GET", "/get-anticsrf-token"): signin.anti_csrf_token,
    ("POST", "/login"): signin.login,
    ("POST", "/login/otp"): signin.login_otp,
    ("POST", "/login/recovery-code"): signin.login_recovery_code,
    ("POST", "/signup"): signin.signup,
    ("POST", "/logout"): signin.logout,
    ("GET", "/api/captcha/generate"): signin.captcha,
}
API: dict[tuple[str, str], Route] = {
    ("GET", "/healthcheck"): healthcheck,
    ("GET", "/version"): version,
    ("GET", "/whoami"): signin.whoami,
    ("POST", "/auth/create-access-token"): signin.create_access_token,
    ("POST", "/auth/revoke-access-token"): signin.revoke_access_token,
    ("POST", "/auth/get-user-app-token"): signin.get_user_app_token,
    ("GET", "/api/captcha/generate"): signin.captcha,
    ("POST", "/drivers/call"): drivers.call,
    ("GET", "/drivers/list-interfaces"): drivers.list_interfaces,
    ("POST", "/lsmod"): drivers.lsmod,
    ("GET", "/metering/usage"): metering.usage,
    ("GET", "/metering/usage/*"): metering.app_usage,
    ("GET", "/metering/allCosts"): metering.all_costs,
    ("GET", "/metering/globalUsage"): metering.global_usage,
    **fileroutes.ROUTES,
    **{
        ("GET", f"/puterai/{kind}/models{suffix}"): _public_list(kind, details=bool(suffix))
        for kind in ("chat", "image", "video")
        for suffix in ("", "/details")
    },
}


class Site:
    """Answers every request of one server.

    Args:
        backend: what the server remembers.
        one_port: both hosts on one origin, instead of by the left-most label of ``Host``.
        gui_origin: the ``Origin`` that the login family accepts.
    """

    def __init__(self, backend: Backend, *, one_port: bool, gui_origin: str) -> None:
        self._backend = backend
        self._one_port = one_port
        self._gui_origin = gui_origin

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request."""
        record = RecordedRequest(
            method=request.method,
            path=unquote(request.path_qs.partition("?")[0]),
            host=request.host,
            headers=CIMultiDict(request.headers),
            query=MultiDict(request.query),
        )
        exchange = Exchange(request, record, self._gui_origin)
        try:
            response = await self._answer(exchange)
        except asyncio.CancelledError:
            record.dropped = True
            raise
        except ApiError as error:
            response = exchange.error(error)
        except Exception:
            log.exception("LocalPuter failed on %s %s", record.method, record.path)
            response = exchange.error(internal_error())
        finally:
            self._backend.journal.notify()
        if exchange.user is not None:
            self._backend.metering.sent(exchange.token, response)
        return response

    async def _answer(self, exchange: Exchange) -> web.StreamResponse:
        record = exchange.record
        try:
            await exchange.read()
        finally:
            self._backend.journal.add(record)
        if fault := self._backend.script.planned_for(record.path):
            await pause(fault.delay)
            return await fault.carry_out(exchange)
        if _BAD_ESCAPE.search(exchange.request.raw_path.partition("?")[0]):
            raise ApiError(400, "Bad request URL", "client_bad_url")
        if record.method == "OPTIONS":
            return exchange.text("OK", content_type="text/plain")
        route = self._find(exchange)
        return await route(self._backend, exchange)

    def _find(self, exchange: Exchange) -> Route:
        record = exchange.record
        method = "GET" if record.method == "HEAD" else record.method
        path = record.path.rstrip("/") or "/"
        key, below = (method, path), (method, path.rpartition("/")[0] + "/*")
        if self._one_port:
            route = API.get(key) or GUI.get(key) or API.get(below)
        else:
            is_api = record.host.partition(".")[0].lower() == "api"
            route = API.get(key) or API.get(below) if is_api else GUI.get(key)
            if route is None and not is_api and method == "GET":
                return _go_home
        if route is None:
            raise not_found()
        return route


async def _go_home(_backend: Backend, exchange: Exchange) -> web.StreamResponse:
    return await Redirect().carry_out(exchange)
