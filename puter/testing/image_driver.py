"""The interface ``puter-image-generation``."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from puter.testing import samples
from puter.testing.media_call import (
    MediaInput,
    address_of,
    ask_vendor,
    load,
    media_call,
    route_of,
    save,
)
from puter.testing.metering import MICROCENTS_PER_CENT, Bill
from puter.testing.refusals import bad_request, internal_error

if TYPE_CHECKING:
    from aiohttp import web

    from puter.testing.catalogue import Model
    from puter.testing.driver_calls import DriverCall

# Puter backend: what test mode answers.
SAMPLE_IMAGE = "https://puter-sample-data.puter.site/image_example.png"

# Puter backend: providers in their order, and the model each stands for.
DEFAULTS = {
    "openai-image-generation": "gpt-image-1-mini",
    "gemini-image-generation": "gemini-2.5-flash-image",
    "together-image-generation": "togetherai:black-forest-labs/flux.1-schnell",
    "xai-image-generation": "grok-imagine-image",
    "byteplus-image-generation": "seedream-5-0-lite-260128",
}
# Vendors that answer with a URL; the others send the image itself.
_BY_URL = ("together-image-generation", "xai-image-generation")
# Puter backend: images that a vendor takes along with the prompt.
_MOST_INPUTS = {"together-image-generation": 1, "xai-image-generation": 3}

_LONG_SIDES = {"512": 512, "0.5K": 512, "1K": 1024, "2K": 2048, "4K": 4096}
_LARGEST = 4096


async def generate(call: DriverCall) -> web.StreamResponse:
    args = call.args
    output = call.backend.files.output_path(call.token, args.get("puter_output_path"))
    model = _choose(call)
    prompt, provider = args.get("prompt"), str(model["provider"])
    if args.get("test_mode"):
        save(call, output, SAMPLE_IMAGE, samples.PNG, "image/png")
        return call.result(SAMPLE_IMAGE)
    if not isinstance(prompt, str):
        raise bad_request("`prompt` must be a string")
    inputs = _inputs(call, provider)
    quality, width, height = _shape(model, args)
    key, cents = _price(model, quality, width, height)
    shape = {"quality": quality, "width": width, "height": height}
    media = media_call(call, provider, model["id"], text=prompt, inputs=inputs, **shape)
    vendor = provider.removesuffix("-image-generation")
    bill = Bill(f"{vendor}:{media.model}:{key}", 1, cents * MICROCENTS_PER_CENT)
    result = await ask_vendor(call, media, bill, "Insufficient credits for image generation")
    if result is None or isinstance(result, bytes):
        result = _address(call, provider, samples.PNG if result is None else result)
    elif not isinstance(result, str | Mapping):
        raise internal_error()
    save(call, output, result, samples.PNG, "image/png")
    return call.result(result)


def _choose(call: DriverCall) -> Model:
    args, vendors = call.args, call.backend.vendors
    present = [name for name in DEFAULTS if name.partition("-")[0] in vendors]
    name = args.get("model")
    name = name.strip().lower() if isinstance(name, str) else ""
    provider = args.get("provider")
    if provider is None:
        provider = call.asked  # the driver `ai-image` counts as a provider, and there is none
    if not name:
        provider = provider or next(iter(present), None)
        name = DEFAULTS[provider] if provider in present else ""
    if not name:
        raise bad_request("Missing `model`")
    return route_of(call, "image", name, provider)


def _inputs(call: DriverCall, provider: str) -> list[MediaInput]:
    given = call.args.get("input_images") or []
    if not given and call.args.get("input_image") is not None:
        given = [call.args["input_image"]]
    if not isinstance(given, list):
        raise bad_request("input_images must be an array.")
    most = _MOST_INPUTS.get(provider, len(given))
    if len(given) > most:
        raise bad_request(f"at most {most} input image{'s' if most > 1 else ''} supported")
    return [_input(call, one) for one in given]


def _input(call: DriverCall, given: object) -> MediaInput:
    if isinstance(given, str):
        if not given.startswith(("data:", "http://", "https://")):
            kind = call.args.get("input_image_mime_type") or "image/png"
            given = f"data:{kind};base64,{given}"
        image = load(call, given, from_web=True)
        if image.url is not None or image.data:
            return image
    raise bad_request("Invalid input image (empty or not base64)")


def _shape(model: Model, args: Mapping[str, Any]) -> tuple[str, int, int]:
    """Quality, width and height; what the model does not offer becomes its default, silently."""
    levels = model.get("allowedQualityLevels") or [""]
    wanted: Any = args.get("quality")
    quality: str = wanted if wanted in levels else levels[0]
    ratio = _ratio(args)
    if table := model.get("resolution_map"):
        sizes = table.get(_aspect(ratio)) or table["1:1"]
        size = sizes.get(quality) or next(iter(sizes.values()))
        return quality, size["w"], size["h"]
    if allowed := model.get("allowedRatios"):
        offered = [(each["w"], each["h"]) for each in allowed]
        ratio = ratio if ratio in offered else offered[0]
    ratio = ratio or (1, 1)
    if max(ratio) > 32:  # pixels rather than an aspect ratio
        width, height = (max(1, min(_LARGEST, round(side))) for side in ratio)
        return quality, width, height
    scale = _LONG_SIDES.get(str(quality).upper(), 1024) / max(ratio)
    return quality, max(1, round(ratio[0] * scale)), max(1, round(ratio[1] * scale))


def _ratio(args: Mapping[str, Any]) -> tuple[float, float] | None:
    ratio, aspect = args.get("ratio"), args.get("aspect_ratio")
    sides: tuple[Any, Any] = (args.get("width"), args.get("height"))
    if ratio:
        sides = (ratio.get("w"), ratio.get("h")) if isinstance(ratio, dict) else (None, None)
    elif None in sides and isinstance(aspect, str) and aspect.count(":") == 1:
        try:
            width, height = (float(side) for side in aspect.split(":"))
        except ValueError:
            return None
        sides = (width, height)
    if all(isinstance(side, int | float) and math.isfinite(side) and side > 0 for side in sides):
        return sides[0], sides[1]
    return None


def _aspect(ratio: tuple[float, float] | None) -> str:
    if ratio is None or not all(float(side).is_integer() for side in ratio):
        return "1:1"
    width, height = (int(side) for side in ratio)
    common = math.gcd(width, height)
    return f"{width // common}:{height // common}"


def _price(model: Model, quality: str, width: int, height: int) -> tuple[str, float]:
    """The key of the price that applies, and US cents."""
    costs = model["costs"]
    for key in (f"{quality}:{width}x{height}", f"output:{quality}", quality, "per-image"):
        if key in costs:
            return key, float(costs[key])
    if "1MP" in costs:
        return "1MP", float(costs["1MP"]) * width * height / 1e6
    return str(model["index_cost_key"]), float(costs[model["index_cost_key"]])


def _address(call: DriverCall, provider: str, image: bytes) -> str:
    kind = samples.image_type(image)
    if provider in _BY_URL:
        return address_of(call, image, kind)
    if provider == "byteplus-image-generation":
        kind = "image/jpeg"  # whatever it is
    return f"data:{kind};base64,{base64.b64encode(image).decode()}"
