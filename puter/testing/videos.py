"""Films: the interface ``puter-video-generation``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from puter.testing import catalogue, samples
from puter.testing.http import bad_request, internal_error
from puter.testing.media import MediaCall, address_of, ask_vendor, save
from puter.testing.metering import MICROCENTS_PER_CENT, Bill
from puter.testing.replies import Fault

if TYPE_CHECKING:
    from aiohttp import web

    from puter.testing.catalogue import Model
    from puter.testing.drivers import DriverCall

# Puter backend: what test mode answers.
SAMPLE_VIDEO = "https://assets.puter.site/txt2vid.mp4"
# Puter backend: what becomes of a film by OpenAI on its way into JSON.
SORA_RESULT: dict[str, Any] = {
    "stream": {
        "_events": {},
        "_readableState": {
            "highWaterMark": 65536,
            "buffer": [],
            "bufferIndex": 0,
            "length": 0,
            "pipes": [],
            "awaitDrainWriters": None,
        },
    },
    "content_type": "video/mp4",
}
# Puter backend: providers in their order, and the model each stands for.
DEFAULTS = {
    "openai-video-generation": "sora-2",
    "gemini-video-generation": "veo-3.1-generate-preview",
    "byteplus-video-generation": "seedance-1-0-pro-250528",
}


async def generate(call: DriverCall) -> web.StreamResponse | Fault:
    """The method ``generate``."""
    args = call.args
    output = call.backend.files.output_path(call.exchange.token, args.get("puter_output_path"))
    model = _choose(call)
    prompt = args.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise bad_request("prompt must be a non-empty string")
    film = samples.mp4(prompt)
    if args.get("test_mode"):
        save(call, output, SAMPLE_VIDEO, film, "video/mp4")
        return call.result(SAMPLE_VIDEO)
    seconds = _offered(model["durationSeconds"], _seconds(args))
    size = _offered(model["dimensions"], args.get("size") or args.get("resolution"))
    media = MediaCall(
        interface="puter-video-generation",
        method="generate",
        args=args,
        user=call.user.username,
        provider=str(model["provider"]),
        model=str(model["id"]),
        text=prompt,
        chosen={"seconds": seconds, "size": size},
    )
    bill, refusal = _bill(model, seconds), "Insufficient credits for video"
    # Puter backend: a film may cost more than is left, as long as something is.
    result = await ask_vendor(call, media, bill, refusal, least=1)
    if isinstance(result, Fault):
        return result
    if isinstance(result, bytes) or result is None:
        film = result or film
        result = address_of(call, film, "video/mp4")
        if media.provider == "openai-video-generation":
            save(call, output, None, film, "video/mp4")
            return call.result(SORA_RESULT)
    elif not isinstance(result, str | Mapping):
        raise internal_error()
    save(call, output, result, film, "video/mp4")
    return call.result(result)


def _choose(call: DriverCall) -> Model:
    args = call.args
    known = catalogue.load("video", call.backend.vendors)
    present = [name for name in DEFAULTS if name.partition("-")[0] in call.backend.vendors]
    if not present:
        raise internal_error()
    name, provider = args.get("model"), args.get("provider")
    if name and not isinstance(name, str):
        raise internal_error()
    provider = call.asked if provider is None else provider
    if provider not in present:
        provider = present[0]
    routes = known.routes(name or DEFAULTS[provider])
    if not routes:
        raise bad_request(f"Model not found: {name}")
    return next((route for route in routes if route["provider"] == provider), routes[0])


def _seconds(args: Mapping[str, Any]) -> Any:
    given = args.get("seconds", args.get("duration"))
    return int(given) if isinstance(given, str) and given.strip().isdecimal() else given


def _offered(offers: list[Any], wanted: Any) -> Any:
    """``wanted``, or silently the first offer."""
    return wanted if wanted in offers else offers[0]


def _bill(model: Model, seconds: float) -> Bill:
    costs, key = model["costs"], str(model["output_cost_key"])
    cents = float(costs["per-second"]) * seconds if "per-second" in costs else float(costs[key])
    name = model.get("defaultUsageKey") or f"{model['provider']}:{model['id']}:{key}"
    return Bill(str(name), seconds, cents * MICROCENTS_PER_CENT)
