"""Driver calls: ``POST /drivers/call``, its interfaces, and the checks before each method."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from puter.testing import (
    catalogue,
    chat_driver,
    image_driver,
    kv_driver,
    ocr_driver,
    stt_driver,
    tts_driver,
    video_driver,
)
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request, internal_error
from puter.testing.replies import FaultRaised

if TYPE_CHECKING:
    from aiohttp import web

    from puter.testing.accounts import Token, User
    from puter.testing.backend import Backend
    from puter.testing.exchange import Exchange

# Puter backend: all driver calls of one user, per minute.
CALLS_PER_MINUTE = 8000


@dataclass(frozen=True)
class DriverCall:
    """One call of one method, past all checks; ``asked`` is the driver's name as sent."""

    exchange: Exchange
    user: User
    interface: str
    method: str
    args: Mapping[str, Any]
    asked: str | None = None

    @property
    def backend(self) -> Backend:
        return self.exchange.backend

    @property
    def token(self) -> Token:
        return self.exchange.token

    def result(self, value: object, *, metadata: object = None) -> web.StreamResponse:
        """The success envelope."""
        body = {"success": True, "result": value, "service": {"name": DRIVERS[self.interface][0]}}
        if metadata is not None:
            body["metadata"] = metadata
        return self.exchange.json(body)


Method: TypeAlias = Callable[[DriverCall], Awaitable["web.StreamResponse"]]


def _model_lists(kind: str) -> dict[str, Method]:
    def known(call: DriverCall) -> catalogue.Catalogue:
        return catalogue.load(kind, None if kind == "chat" else call.backend.vendors)

    async def models(call: DriverCall) -> web.StreamResponse:
        return call.result(known(call).all)

    async def list_ids(call: DriverCall) -> web.StreamResponse:
        return call.result(known(call).ids(hidden=True))

    return {"models": models, "list": list_ids}


METHODS: dict[str, Mapping[str, Method]] = {
    "puter-chat-completion": {"complete": chat_driver.complete, **_model_lists("chat")},
    "puter-image-generation": {"generate": image_driver.generate, **_model_lists("image")},
    "puter-tts": tts_driver.METHODS,
    "puter-video-generation": {"generate": video_driver.generate, **_model_lists("video")},
    "puter-speech2speech": {"convert": tts_driver.convert},
    "puter-speech2txt": stt_driver.METHODS,
    "puter-ocr": {"recognize": ocr_driver.recognize},
    "puter-kvstore": kv_driver.METHODS,
}
# Names of drivers by interface, the canonical one first.
DRIVERS: dict[str, list[str]] = recorded("interfaces")


async def call(exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /drivers/call``. Raises ApiError."""
    user = exchange.authorise()
    tier, backend, fields = user.tier, exchange.backend, exchange.fields
    if tier is not None:
        backend.limits.hit((user.uuid, "/drivers/call"), CALLS_PER_MINUTE, 60)
    name, method_name = _required(fields, "interface"), _required(fields, "method")
    asked, args = fields.get("driver"), fields.get("args", {})
    method = _look_up(name, asked, method_name)
    with ExitStack() as held:
        if name != "puter-kvstore":
            if tier is not None:
                key = (user.uuid, name, method_name)
                backend.limits.hit(key, tier.requests, tier.period)
                held.enter_context(backend.limits.slot(key, tier.concurrency))
            held.enter_context(backend.running())
        if not isinstance(args, dict | list):
            raise internal_error()
        # An array is an object without the fields anybody asks for.
        given = args if isinstance(args, dict) else {}
        try:
            return await method(DriverCall(exchange, user, name, method_name, given, asked))
        except FaultRaised as raised:
            return await raised.fault.carry_out(exchange)


def _required(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not value:
        raise bad_request(f"Missing or invalid `{key}`")
    return value


def _look_up(name: str, driver: object, method: str) -> Method:
    drivers = DRIVERS.get(name)
    if drivers is None or (driver is not None and driver not in drivers):
        asked = "(no default)" if driver is None else driver
        raise ApiError(404, f"Driver not found: {name}:{asked}", "not_found")
    if method not in METHODS[name]:
        raise ApiError(404, f"Method '{method}' not found on driver '{name}'", "not_found")
    return METHODS[name][method]


async def list_interfaces(exchange: Exchange) -> web.StreamResponse:
    exchange.authorise()
    listed = {name: {"drivers": names, "default": names[0]} for name, names in DRIVERS.items()}
    return exchange.json(listed)
