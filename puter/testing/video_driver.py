"""The interface ``puter-video-generation``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from puter.testing import samples
from puter.testing.media_call import address_of, ask_vendor, media_call, route_of, save
from puter.testing.metering import MICROCENTS_PER_CENT, Bill
from puter.testing.recorded import recorded
from puter.testing.refusals import bad_request, internal_error

if TYPE_CHECKING:
    from aiohttp import web

    from puter.testing.catalogue import Model
    from puter.testing.driver_calls import DriverCall

# Puter backend: what test mode answers.
SAMPLE_VIDEO = "https://assets.puter.site/txt2vid.mp4"
# Puter backend: providers in their order, and the model each stands for.
DEFAULTS = {
    "openai-video-generation": "sora-2",
    "gemini-video-generation": "veo-3.1-generate-preview",
    "byteplus-video-generation": "seedance-1-0-pro-250528",
}


async def generate(call: DriverCall) -> web.StreamResponse:
    args = call.args
    output = call.backend.files.output_path(call.token, args.get("puter_output_path"))
    model = _choose(call)
    prompt, provider = args.get("prompt"), str(model["provider"])
    if not isinstance(prompt, str) or not prompt.strip():
        raise bad_request("prompt must be a non-empty string")
    if args.get("test_mode"):
        save(call, output, SAMPLE_VIDEO, samples.MP4, "video/mp4")
        return call.result(SAMPLE_VIDEO)
    seconds = _offered(model["durationSeconds"], _seconds(args))
    size = _offered(model["dimensions"], args.get("size") or args.get("resolution"))
    media = media_call(call, provider, model["id"], text=prompt, seconds=seconds, size=size)
    # Puter backend: a video may cost more than is left, as long as something is.
    bill, refusal = _bill(model, seconds), "Insufficient credits for video"
    result = await ask_vendor(call, media, bill, refusal, least=1)
    video = result if isinstance(result, bytes) else samples.MP4
    if result is None or isinstance(result, bytes):
        if provider == "openai-video-generation":
            save(call, output, None, video, "video/mp4")
            return call.result(recorded("video_stream"))  # what becomes of the bytes in JSON
        result = address_of(call, video, "video/mp4")
    elif not isinstance(result, str | Mapping):
        raise internal_error()
    save(call, output, result, video, "video/mp4")
    return call.result(result)


def _choose(call: DriverCall) -> Model:
    args, vendors = call.args, call.backend.vendors
    present = [name for name in DEFAULTS if name.partition("-")[0] in vendors]
    name, provider = args.get("model"), args.get("provider")
    if not present or (name and not isinstance(name, str)):
        raise internal_error()
    provider = call.asked if provider is None else provider
    if provider not in present:
        provider = present[0]
    return route_of(call, "video", name or DEFAULTS[provider], provider)


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
