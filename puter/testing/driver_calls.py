"""Driver calls: ``POST /drivers/call``, its interfaces, and the checks before each method."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

from aiohttp import web

from puter.testing import chat_driver, recognition_driver, tts_driver
from puter.testing.exchange import DriverCall, Exchange
from puter.testing.image_video_driver import generate_image, generate_video
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request, internal_error
from puter.testing.replies import FaultRaised

Method: TypeAlias = Callable[[DriverCall], Awaitable[web.StreamResponse]]


def _ids(kind: str) -> Method:
    async def list_ids(call: DriverCall) -> web.StreamResponse:
        return call.result(call.backend.catalogue(kind).ids(hidden=True))

    return list_ids


async def _key_value(call: DriverCall) -> web.StreamResponse:
    """The methods of ``puter-kvstore``; every user has a store."""
    args, store = call.args, call.backend.kv.setdefault(call.user.uuid, {})
    if call.method == "list":
        prefix = str(args.get("pattern") or "").removesuffix("*")
        found = [key for key in sorted(store) if key.startswith(prefix)]
        return call.result([{"key": key, "value": store[key]} for key in found])
    if args.get("key") is None:
        raise bad_request("Missing `key`")
    key = str(args["key"])
    if call.method == "get":
        return call.result(store.get(key))
    if call.method == "incr":  # the only path is "", the value itself
        store[key] = store.get(key, 0) + args["pathAndAmountMap"][""]
        return call.result(store[key])
    store[key] = args.get("value")
    if call.method == "del":
        del store[key]
    return call.result(value=True)


METHODS: dict[str, Mapping[str, Method]] = {
    "puter-chat-completion": {"complete": chat_driver.complete, "list": _ids("chat")},
    "puter-image-generation": {"generate": generate_image, "list": _ids("image")},
    "puter-tts": {
        "synthesize": tts_driver.synthesize,
        "list": tts_driver.list_providers,
        "list_engines": tts_driver.list_engines,
        "list_voices": tts_driver.list_voices,
    },
    "puter-video-generation": {"generate": generate_video, "list": _ids("video")},
    "puter-speech2speech": {"convert": tts_driver.convert},
    "puter-speech2txt": {
        **dict.fromkeys(("transcribe", "translate"), recognition_driver.transcribe),
        "list": recognition_driver.list_providers,
    },
    "puter-ocr": {"recognize": recognition_driver.recognize},
    "puter-kvstore": dict.fromkeys(("get", "set", "del", "list", "incr"), _key_value),
}
# Names of drivers by interface, the canonical one first.
DRIVERS: dict[str, list[str]] = recorded("interfaces")


async def call(exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /drivers/call``. Raises ApiError."""
    user = exchange.authorise()
    tier, backend, fields = user.tier, exchange.backend, exchange.fields
    name, method_name = _required(fields, "interface"), _required(fields, "method")
    asked, args = fields.get("driver"), fields.get("args", {})
    method = _look_up(name, asked, method_name)
    slot: AbstractContextManager[None] = nullcontext()
    running = slot
    if name != "puter-kvstore":
        if backend.newer and not user.trusted:
            raise ApiError(403, "Your account has too little reputation", "reputation_required")
        running = backend.running()
        if tier is not None:
            key = (user.uuid, name, method_name)
            backend.limits.hit(key, tier.requests, tier.period)
            slot = backend.limits.slot(key, tier.concurrency)
    with slot, running:
        if not isinstance(args, dict | list):
            raise internal_error()
        # An array is an object without the fields anybody asks for.
        given = args if isinstance(args, dict) else {}
        try:
            answer = await method(DriverCall(exchange, user, name, method_name, given, asked))
            return await exchange.spoil(answer)  # while the call still holds its place
        except FaultRaised as raised:
            exchange.fault = raised.fault
            return await exchange.spoil(None)


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
