"""Images and videos: ``puter-image-generation`` and ``puter-video-generation``."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from puter.testing import samples
from puter.testing.catalogue import Model
from puter.testing.exchange import DriverCall
from puter.testing.media_call import MediaCall, ask_vendor
from puter.testing.media_files import MediaInput, address_of, load, output_path, save
from puter.testing.metering import MICROCENTS_PER_CENT, Bill
from puter.testing.recorded import recorded
from puter.testing.refusals import bad_request, internal_error
from puter.types.mime import mime_of

# Vendors that answer with a URL; the others send the image itself.
_TOGETHER = "together-image-generation"
_BY_URL = (_TOGETHER, "xai-image-generation")
# Images that video models take along.
_VIDEO_INPUTS = ("input_reference", "reference_images", "last_frame")


async def generate_image(call: DriverCall) -> web.StreamResponse:
    args = call.args
    output = output_path(call)
    model = _chosen_model(call, "image")
    _refuse_newer(call, model)
    prompt, provider = args.get("prompt"), str(model["provider"])
    if args.get("test_mode"):
        save(call, output, None, samples.PNG, "image/png")
        return call.result(recorded("image_sample"))
    if not isinstance(prompt, str):
        raise bad_request("`prompt` must be a string")
    inputs = _inputs(call, provider)
    quality, width, height = _shape(model, args)
    key, cents = _image_price(model, quality, width, height)
    shape = {"quality": quality, "width": width, "height": height}
    media = MediaCall.of(call, provider, model["id"], text=prompt, inputs=inputs, chosen=shape)
    vendor = provider.removesuffix("-image-generation")
    bill = Bill(f"{vendor}:{media.model}:{key}", 1, cents * MICROCENTS_PER_CENT)
    refusal = "Insufficient credits for image generation"
    result = await ask_vendor(call, media, bill, otherwise=samples.PNG, refusal=refusal)
    save(call, output, result, samples.PNG, "image/png")
    return call.result(_address(call, provider, result) if isinstance(result, bytes) else result)


def _chosen_model(call: DriverCall, kind: str) -> Model:
    """What plays: the offer of ``provider``, when it has one. Raises ApiError."""
    vendors, provider = call.backend.vendors, _provider(call, kind)
    # The providers that are set up, and the model each stands for.
    defaults = call.recorded("default_models")[kind]
    defaults = {name: defaults[name] for name in defaults if name.partition("-")[0] in vendors}
    first = next(iter(defaults), "")
    if kind == "video":  # images of an unknown provider want a model
        if not defaults:
            raise internal_error()
        provider = provider if provider in defaults else first
    name = call.args.get("model") or defaults.get(provider or first)
    if not isinstance(name, str):
        raise bad_request("Missing `model`")
    routes = call.backend.catalogue(kind).routes(name)
    if not routes:
        raise bad_request(f"Model not found: {call.args.get('model')}")
    return next((route for route in routes if route["provider"] == provider), routes[0])


def _provider(call: DriverCall, kind: str) -> Any:
    """The provider that the call names, if it does."""
    asked = call.args.get("provider") or call.asked
    if not call.backend.newer or not asked:
        return asked  # also the driver `ai-image`, and there is no provider of that name
    if asked == f"ai-{kind}":
        return None
    return asked if asked.endswith("-generation") else f"{asked}-{kind}-generation"


def _refuse_newer(call: DriverCall, model: Model) -> None:
    """What only the newer server refuses. Raises ApiError."""
    if not call.backend.newer:
        return
    quality, provider = call.args.get("quality"), str(model["provider"])
    if _TOGETHER in (provider, _provider(call, "image")):
        raise bad_request("Together image generation is not available")
    levels = model.get("allowedQualityLevels") or ()
    if provider == "gemini-image-generation" and quality and quality not in levels:
        raise bad_request(f"Invalid quality: {quality}. Expected: {', '.join(levels) or 'none'}")


def _inputs(call: DriverCall, provider: str) -> list[MediaInput]:
    single = call.args.get("input_image")
    given = call.args.get("input_images") or ([] if single is None else [single])
    most = call.recorded("most_inputs").get(provider, len(given))
    if len(given) > most:
        raise bad_request(f"at most {most} input image{'s' if most > 1 else ''} supported")
    images = [load(call, one, from_web=True) for one in given]
    if any(image.url is None and not image.data for image in images):
        raise bad_request("Invalid input image (empty or not base64)")
    return images


def _shape(model: Model, args: Mapping[str, Any]) -> tuple[str, int, int]:
    """Quality, width and height; what the model does not offer becomes its default, silently."""
    levels = model.get("allowedQualityLevels") or [""]
    quality = str(args["quality"] if args.get("quality") in levels else levels[0])
    width, height = _ratio(args)
    offered = [(one["w"], one["h"]) for one in model.get("allowedRatios", ())]
    if offered and (width, height) not in offered:
        width, height = offered[0]
    if max(width, height) > 32:  # pixels rather than an aspect ratio
        return quality, width, height
    scale = 1024 / max(width, height)
    return quality, round(width * scale), round(height * scale)


def _ratio(args: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height as asked for, in pixels or as an aspect ratio; a square by default."""
    ratio = args.get("ratio") or {"w": args.get("width"), "h": args.get("height")}
    sides = re.fullmatch(r"(\d+):(\d+)", str(args.get("aspect_ratio")))
    width, height = ratio.get("w"), ratio.get("h")
    if isinstance(width, int) and isinstance(height, int):
        return width, height
    return (int(sides[1]), int(sides[2])) if sides else (1, 1)


def _image_price(model: Model, quality: str, width: int, height: int) -> tuple[str, float]:
    """The key of the price that applies, and US cents."""
    costs = model["costs"]
    keys = (f"{quality}:{width}x{height}", f"output:{quality}", quality, "per-image")
    key = next((key for key in keys if key in costs), model.get("index_cost_key"))
    return str(key), float(costs[key])


def _address(call: DriverCall, provider: str, image: bytes) -> str:
    kind = mime_of(image, "") or "image/png"
    if provider in _BY_URL:
        return address_of(call, image, kind)
    if provider == "byteplus-image-generation":
        kind = "image/jpeg"  # whatever it is
    return f"data:{kind};base64,{base64.b64encode(image).decode()}"


async def generate_video(call: DriverCall) -> web.StreamResponse:
    args = call.args
    output = output_path(call)
    model = _chosen_model(call, "video")
    prompt, provider = args.get("prompt"), str(model["provider"])
    if not isinstance(prompt, str) or not prompt.strip():
        raise bad_request("prompt must be a non-empty string")
    if args.get("test_mode"):
        save(call, output, None, samples.MP4, "video/mp4")
        return call.result(recorded("video_sample"))
    seconds = _offered(model["durationSeconds"], args.get("seconds"))
    size = _offered(model["dimensions"], args.get("size") or args.get("resolution"))
    if call.backend.newer:
        seconds = _affordable(call, model, seconds)
    inputs = _video_inputs(call)
    shape = {"seconds": seconds, "size": size}
    media = MediaCall.of(call, provider, model["id"], text=prompt, inputs=inputs, chosen=shape)
    # Puter backend: a video may cost more than is left, as long as something is.
    bill, refusal = _video_bill(model, seconds), "Insufficient credits for video"
    result = await ask_vendor(call, media, bill, otherwise=samples.MP4, refusal=refusal, least=1)
    save(call, output, result, samples.MP4, "video/mp4")
    if isinstance(result, bytes) and provider == "openai-video-generation":
        return call.result(recorded("video_stream"))  # what becomes of the bytes in JSON
    address = address_of(call, result, "video/mp4") if isinstance(result, bytes) else result
    return call.result(address)


def _video_inputs(call: DriverCall) -> list[MediaInput]:
    given: list[Any] = []
    for key in _VIDEO_INPUTS:
        one = call.args.get(key) or []
        given += one if isinstance(one, list) else [one]
    return [load(call, one, from_web=True) for one in given]


def _affordable(call: DriverCall, model: Model, seconds: float) -> float:
    """At most ``seconds``, as long as the balance buys; a clip is shortened without a word."""
    left, offers = call.backend.metering.remaining(call.user), sorted(model["durationSeconds"])
    bought = [one for one in offers if one <= seconds and _video_bill(model, one).cost <= left]
    return float(bought[-1] if bought else offers[0])


def _offered(offers: list[Any], wanted: Any) -> Any:
    """``wanted``, or silently the first offer."""
    return wanted if wanted in offers else offers[0]


def _video_bill(model: Model, seconds: float) -> Bill:
    costs, key = model["costs"], str(model["output_cost_key"])
    cents = float(costs["per-second"]) * seconds if "per-second" in costs else float(costs[key])
    name = model.get("defaultUsageKey") or f"{model['provider']}:{model['id']}:{key}"
    return Bill(str(name), seconds, cents * MICROCENTS_PER_CENT)
