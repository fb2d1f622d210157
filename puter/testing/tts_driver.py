"""Text to speech and speech to speech: ``puter-tts`` and ``puter-speech2speech``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from puter.testing import samples
from puter.testing.exchange import DriverCall
from puter.testing.media_call import AudioBody, MediaCall, ask_vendor, require_vendor, vendor_named
from puter.testing.media_files import MAX_SOUND, load
from puter.testing.metering import Bill
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request

# Puter backend: micro-cents a second of converted sound.
_STS_PRICE = 270_000

_PIECE = 16 * 1024
_MOST_CHARACTERS = 3_000  # newer
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]+")

# The vendors in the order in which they are set up. ``prices`` are micro-cents a character by model
# (some are estimates), and hold all models that can be used; ``engines`` and ``voices`` are what
# the lists show; ``default``, ``voice`` and ``format`` count when none is named.
_VENDORS: Mapping[str, Mapping[str, Any]] = recorded("voices")


async def synthesize(call: DriverCall) -> web.StreamResponse:
    args, engine = call.args, call.args.get("engine")
    provider, present = _choose(call, engine), _present(call)
    if provider not in present:
        available = ", ".join(present)
        raise bad_request(f"TTS provider not configured: {provider}. Available: {available}")
    if args.get("test_mode"):
        return call.result({"url": recorded("sound_sample"), "content_type": "audio"})
    model, text = _model(provider, args), args.get("text")
    if not isinstance(text, str) or not text.strip():
        raise ApiError(400, "Missing required field: text", "field_required", key="text")
    if call.backend.newer and len(text) > _MOST_CHARACTERS:
        raise bad_request(f"`text` is limited to {_MOST_CHARACTERS} characters")
    voice = _voice(provider, model, args)
    form, kind = _format(provider, args)
    chosen = {"voice": voice, "format": form}
    media = MediaCall.of(call, provider, model, text=text, chosen=chosen)
    cost = len(text) * _VENDORS[provider]["prices"][model]
    bill = Bill(f"{provider}:{model}:character", len(text), cost)
    return await _speak(call, media, bill, kind, "Insufficient funds")


async def list_voices(call: DriverCall) -> web.StreamResponse:
    voices = [voice for name in _asked_for(call) for voice in _VENDORS[name]["voices"]]
    if engine := call.args.get("engine"):
        voices = [voice for voice in voices if engine in voice.get("supported_engines", ())]
    return call.result(voices)


async def list_engines(call: DriverCall) -> web.StreamResponse:
    return call.result([one for name in _asked_for(call) for one in _VENDORS[name]["engines"]])


async def list_providers(call: DriverCall) -> web.StreamResponse:
    return call.result(_present(call))


def _asked_for(call: DriverCall) -> list[str]:
    """The vendors a list is about: those known but not set up have nothing to show."""
    present = _present(call)
    if call.args.get("provider") == "all":
        return present
    return [name for name in (_choose(call, None),) if name in present]


def _present(call: DriverCall) -> list[str]:
    return [name for name in _VENDORS if name in call.backend.vendors]


def _choose(call: DriverCall, engine: object) -> str:
    named, order, present = vendor_named(call, "tts", engine), recorded("tts_order"), _present(call)
    return named or next((name for name in order if name in present), order[0])


def _model(provider: str, args: Mapping[str, Any]) -> str:
    """The model; except for Polly ``engine`` is another word for it, unless it names a vendor."""
    vendor, engine = _VENDORS[provider], args.get("engine")
    known = list(vendor["prices"])
    if provider == "aws-polly":
        if engine is not None and engine not in known:
            text = f"Invalid engine: {engine}. Valid engines: {', '.join(known)}"
            raise ApiError(400, text, "invalid_engine", engine=engine, valid_engines=known)
        return str(engine or vendor["default"])
    if str(engine).strip().lower() in recorded("vendors")["tts"]["names"]:
        engine = None
    model = args.get("model") or engine or vendor["default"]
    if model not in known:
        raise _invalid("model", model, known, as_list=provider == "elevenlabs")
    return str(model)


def _voice(provider: str, model: str, args: Mapping[str, Any]) -> str:
    vendor, voice, language = _VENDORS[provider], args.get("voice"), args.get("language")
    if provider == "aws-polly" and language and not voice:
        spoken = [one for one in vendor["voices"] if one["language"]["code"] == language]
        fitting = (str(one["id"]) for one in spoken if model in one["supported_engines"])
        return next(fitting, vendor["voice"])
    names = [str(one["id"]) for one in vendor["voices"]]
    if provider == "openai" and voice and voice not in names:  # others leave it to the vendor
        raise _invalid("voice", voice, names)
    return str(voice or vendor["voice"])


def _invalid(key: str, got: object, expected: list[str], *, as_list: bool = False) -> ApiError:
    told = ", ".join(expected)
    text, wanted = f"Invalid {key}: {got}. Expected: {told}", expected if as_list else told
    return ApiError(400, text, "field_invalid", key=key, expected=wanted, got=got)


def _format(provider: str, args: Mapping[str, Any]) -> tuple[str, str]:
    """The format of the sound, and its MIME type."""
    vendor = _VENDORS[provider]
    chosen = args.get("output_format") or args.get("response_format")
    form = str(chosen or vendor["format"]) if vendor["formats"] else str(vendor["format"])
    return form, vendor["formats"].get(form.partition("_")[0], f"audio/{form}")


async def convert(call: DriverCall) -> web.StreamResponse:
    """The only method of ``puter-speech2speech``."""
    args = call.args
    vendor_named(call, "sts")
    if args.get("test_mode"):
        return call.result({"url": recorded("sound_sample"), "content_type": "audio/mpeg"})
    require_vendor(call, "sts", "elevenlabs")
    if not args.get("audio"):
        raise bad_request("`audio` is required")
    sound = load(call, args["audio"], limit=MAX_SOUND)
    voice = args.get("voice") or _VENDORS["elevenlabs"]["voice"]
    model = args.get("model") or "eleven_multilingual_sts_v2"
    for key, value in (("voice", voice), ("model", model)):
        if not _IDENTIFIER.fullmatch(str(value)):
            raise bad_request(f"`{key}` must be alphanumeric")
    form, kind = _format("elevenlabs", args)
    chosen = {"voice": voice, "format": form}
    media = MediaCall.of(call, "elevenlabs", model, inputs=(sound,), chosen=chosen)
    seconds = samples.sound_seconds(sound.data)
    bill = Bill(f"elevenlabs:{model}:second", seconds, seconds * _STS_PRICE)
    return await _speak(call, media, bill, kind, "Insufficient credits")


async def _speak(
    call: DriverCall, media: MediaCall, bill: Bill, kind: str, refusal: str
) -> web.StreamResponse:
    """Send the sound; a URL or an object goes into an envelope."""
    silence = samples.sound_of(kind)
    result = await ask_vendor(call, media, bill, otherwise=silence, refusal=refusal)
    if isinstance(result, bytes | AudioBody):
        return await _send(call, result, kind)
    if isinstance(result, str):
        return call.result({"url": result, "content_type": "audio"})
    return call.result(result)


async def _send(call: DriverCall, sound: bytes | AudioBody, kind: str) -> web.StreamResponse:
    if isinstance(sound, AudioBody):
        block, size = memoryview(samples.MP3_FRAME * 630), sound.size
        silence = (block[: size - start] for start in range(0, size, len(block)))
        return await call.exchange.stream(sound.content_type, silence, pace=sound.pace)
    view = memoryview(sound)
    pieces = (view[start : start + _PIECE] for start in range(0, len(view), _PIECE))
    return await call.exchange.stream(kind, pieces)
