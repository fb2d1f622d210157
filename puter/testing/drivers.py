"""``POST /drivers/call``: the order of the server's checks, and the table of what can be called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from puter.testing import catalogue, chat, images, kvstore, ocr, speech, transcripts, videos
from puter.testing.http import ApiError, Exchange, bad_request, internal_error
from puter.testing.replies import Failure, Fault

if TYPE_CHECKING:
    from aiohttp import web

    from puter.testing.accounts import User
    from puter.testing.backend import Backend

# Puter backend: all driver calls of one user, per minute.
CALLS_PER_MINUTE = 8000


@dataclass(frozen=True)
class DriverCall:
    """One call of one method, past all checks; ``asked`` is the driver's name as sent."""

    backend: Backend
    exchange: Exchange
    user: User
    driver: str
    args: Mapping[str, Any]
    asked: str | None = None

    def result(self, value: object, *, metadata: object = None) -> web.StreamResponse:
        """The success envelope."""
        body = {"success": True, "result": value, "service": {"name": self.driver}}
        if metadata is not None:
            body["metadata"] = metadata
        return self.exchange.json(body)

    def done(self) -> web.StreamResponse:
        """The success envelope of a method that returns nothing."""
        return self.exchange.json({"success": True, "service": {"name": self.driver}})


Method: TypeAlias = Callable[[DriverCall], Awaitable["web.StreamResponse | Fault"]]


@dataclass(frozen=True)
class Interface:
    """An interface: its methods, its canonical driver, and the other names that lead there."""

    driver: str
    methods: Mapping[str, Method]
    aliases: tuple[str, ...] = ()
    limited: bool = True

    @property
    def drivers(self) -> tuple[str, ...]:
        """Every driver name that leads here."""
        return (self.driver, *self.aliases)


def _models_of(kind: str) -> dict[str, Method]:
    async def models(call: DriverCall) -> web.StreamResponse:
        return call.result(catalogue.load(kind, call.backend.vendors).all)

    async def list_ids(call: DriverCall) -> web.StreamResponse:
        return call.result(catalogue.load(kind, call.backend.vendors).ids())

    return {"models": models, "list": list_ids}


def _named(vendors: str, suffix: str) -> tuple[str, ...]:
    return tuple(f"{vendor}-{suffix}" for vendor in vendors.split())


INTERFACES: dict[str, Interface] = {
    "puter-chat-completion": Interface(
        "ai-chat",
        {"complete": chat.complete, "models": chat.models, "list": chat.list_ids},
    ),
    "puter-image-generation": Interface(
        "ai-image",
        {"generate": images.generate, **_models_of("image")},
        _named("openai gemini together cloudflare xai replicate byteplus", "image-generation"),
    ),
    "puter-tts": Interface(
        "ai-tts",
        speech.TTS,
        ("aws-polly", *_named("openai elevenlabs gemini xai speechify", "tts")),
    ),
    "puter-video-generation": Interface(
        "ai-video",
        {"generate": videos.generate, **_models_of("video")},
        _named("openai together gemini byteplus", "video-generation"),
    ),
    "puter-speech2speech": Interface(
        "ai-speech2speech", {"convert": speech.convert}, ("elevenlabs-voice-changer",)
    ),
    "puter-speech2txt": Interface(
        "ai-speech2txt", transcripts.METHODS, _named("openai xai", "speech2txt")
    ),
    "puter-ocr": Interface("ai-ocr", {"recognize": ocr.recognize}, ("aws-textract", "mistral")),
    "puter-kvstore": Interface("puter-kvstore", kvstore.METHODS, limited=False),
}


async def call(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /drivers/call``. Raises ApiError."""
    user = backend.authorise(exchange)
    try:
        return await _call(backend, exchange, user)
    except ApiError as error:
        if not backend.legacy:
            raise
        # Older servers reported failures inside a 200.
        details = {"code": error.code, "message": str(error), "status": error.status}
        return exchange.json({"success": False, "error": details})


async def _call(backend: Backend, exchange: Exchange, user: User) -> web.StreamResponse:
    tier, limits = user.tier, backend.limits
    if tier is not None:
        limits.hit((user.uuid, "/drivers/call"), CALLS_PER_MINUTE, 60)
    fields = exchange.fields
    name, method_name = _required(fields, "interface"), _required(fields, "method")
    interface, method = _look_up(name, fields.get("driver"), method_name)
    with ExitStack() as held:
        if tier is not None and interface.limited:
            key = (user.uuid, name, method_name)
            limits.hit(key, tier.requests, tier.period)
            held.enter_context(limits.slot(key, tier.concurrency))
        held.enter_context(backend.running() if interface.limited else nullcontext())
        return await _run(backend, exchange, user, interface, method)


async def _run(
    backend: Backend,
    exchange: Exchange,
    user: User,
    interface: Interface,
    method: Method,
) -> web.StreamResponse:
    args, asked = exchange.fields.get("args", {}), exchange.fields.get("driver")
    if not isinstance(args, dict | list):
        raise internal_error()
    # An array is an object without the fields anybody asks for.
    given = args if isinstance(args, dict) else {}
    outcome = await method(DriverCall(backend, exchange, user, interface.driver, given, asked))
    if isinstance(outcome, Failure) and outcome.body is None and backend.legacy:
        raise outcome.error()
    return await outcome.carry_out(exchange) if isinstance(outcome, Fault) else outcome


def _required(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not value:
        raise bad_request(f"Missing or invalid `{key}`")
    return value


def _look_up(name: str, driver: object, method: str) -> tuple[Interface, Method]:
    interface = INTERFACES.get(name)
    if interface is None:
        asked = "(no default)" if driver is None else driver
        raise ApiError(404, f"Driver not found: {name}:{asked}", "not_found")
    if driver is not None and driver not in interface.drivers:
        raise ApiError(404, f"Driver not found: {name}:{driver}", "not_found")
    if method not in interface.methods:
        raise ApiError(404, f"Method '{method}' not found on driver '{name}'", "not_found")
    return interface, interface.methods[method]


async def list_interfaces(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``GET /drivers/list-interfaces``."""
    backend.authorise(exchange)
    return exchange.json(
        {
            name: {"drivers": interface.drivers, "default": interface.driver}
            for name, interface in INTERFACES.items()
        }
    )


async def lsmod(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /lsmod``, the older form of the same list."""
    backend.authorise(exchange)
    return exchange.json(
        {
            "interfaces": {
                name: {
                    "implementors": {
                        driver: {"isDefault": driver == interface.driver}
                        for driver in interface.drivers
                    }
                }
                for name, interface in INTERFACES.items()
            }
        }
    )
