"""Text to speech and speech to speech: ``puter-tts`` and ``puter-speech2speech``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from puter.testing import samples, voices
from puter.testing.http import ApiError, bad_request, internal_error
from puter.testing.media import (
    MAX_SOUND,
    SAMPLE_AUDIO,
    AudioBody,
    MediaCall,
    MediaResult,
    ask_vendor,
    load,
    send_audio,
)
from puter.testing.metering import Bill
from puter.testing.replies import Fault

if TYPE_CHECKING:
    from aiohttp import web

    from puter.testing.drivers import DriverCall

# Puter backend: characters xAI takes.
_MOST_TEXT = 15_000
# Puter backend: micro-cents a second of converted sound, and bytes it takes for a second.
_STS_PRICE = 270_000
_BYTES_PER_SECOND = 16_000
_STS_PRICED = ("eleven_multilingual_sts_v2", "eleven_english_sts_v2")

_DEFAULT_FORMAT = "mp3_44100_128"
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]+")


async def synthesize(call: DriverCall) -> web.StreamResponse | Fault:
    """The method ``synthesize``."""
    provider = _choose(call, call.args.get("engine"), call.asked)
    if provider not in _present(call):
        available = ", ".join(_present(call))
        raise bad_request(f"TTS provider not configured: {provider}. Available: {available}")
    args = _arguments(provider, call.args)
    if args.get("test_mode"):
        return call.result({"url": SAMPLE_AUDIO, "content_type": "audio"})
    vendor, text = voices.VENDORS[provider], args.get("text")
    if provider == "aws-polly":
        _check_engine(args.get("engine", vendor.default))
    if not isinstance(text, str) or not text.strip():
        raise ApiError(400, "Missing required field: text", "field_required", key="text")
    if provider == "xai" and len(text) > _MOST_TEXT:
        raise bad_request("Text exceeds maximum length of 15,000 characters")
    model = _model(provider, args)
    voice = _voice(provider, model, args)
    form, kind = _format(provider, args)
    media = MediaCall(
        interface="puter-tts",
        method="synthesize",
        args=call.args,
        user=call.user.username,
        provider=provider,
        model=model,
        text=text,
        chosen={"voice": voice, "format": form},
    )
    cost = len(text) * vendor.prices[model]
    bill = Bill(f"{provider}:{model}:character", len(text), cost)
    result = await ask_vendor(call, media, bill, "Insufficient funds")
    return await _answer(call, result, text, kind)


async def list_voices(call: DriverCall) -> web.StreamResponse:
    """The method ``list_voices``."""
    engine = call.args.get("engine")
    found: list[Mapping[str, Any]] = []
    for provider in _asked_for(call):
        listed = voices.VENDORS[provider].voices
        if provider == "aws-polly" and engine:
            _check_engine(engine)
            listed = [voice for voice in listed if engine in voice["supported_engines"]]
        found += listed
    return call.result(found)


async def list_engines(call: DriverCall) -> web.StreamResponse:
    """The method ``list_engines``."""
    asked = _asked_for(call)
    return call.result([one for name in asked for one in voices.VENDORS[name].engines])


async def list_providers(call: DriverCall) -> web.StreamResponse:
    """The method ``list``: the vendors that are set up."""
    return call.result(_present(call))


def _asked_for(call: DriverCall) -> list[str]:
    """The vendors a list is about: those known but not set up have nothing to show."""
    given = call.args.get("provider")
    if isinstance(given, str) and given.strip().lower() == "all":
        return _present(call)
    chosen = _choose(call, None, call.asked)
    return [chosen] if chosen in _present(call) else []


def _present(call: DriverCall) -> list[str]:
    return [name for name in voices.VENDORS if name in call.backend.vendors]


def _choose(call: DriverCall, engine: object, driver: str | None) -> str:
    given = call.args.get("provider")
    if given not in (None, ""):
        found = voices.named(given)
        if found is None:
            available = ", ".join(voices.NAMES)
            raise bad_request(f"TTS provider not found: {given}. Available: {available}")
        return found
    present = _present(call)
    default = next((name for name in voices.NAMES if name in present), voices.NAMES[0])
    return voices.named(engine) or voices.named(driver) or default


def _arguments(provider: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Except for Polly, ``engine`` is another word for ``model``, unless it names a vendor."""
    engine = args.get("engine")
    if provider == "aws-polly" or not isinstance(engine, str):
        return args
    rest = {key: value for key, value in args.items() if key != "engine"}
    if "model" not in rest and voices.named(engine) is None:
        rest["model"] = engine
    return rest


def _check_engine(engine: object) -> None:
    valid = list(voices.VENDORS["aws-polly"].prices)
    if engine not in valid:
        text = f"Invalid engine: {engine}. Valid engines: {', '.join(valid)}"
        raise ApiError(400, text, "invalid_engine", engine=engine, valid_engines=valid)


def _model(provider: str, args: Mapping[str, Any]) -> str:
    vendor = voices.VENDORS[provider]
    if provider == "aws-polly":
        return str(args.get("engine", vendor.default))
    if provider == "xai":  # it has but one, and does not look
        return vendor.default
    model = args.get("model") or vendor.default
    if model not in vendor.prices:
        raise _invalid("model", model, list(vendor.prices), as_list=provider == "elevenlabs")
    return str(model)


def _voice(provider: str, model: str, args: Mapping[str, Any]) -> str:
    vendor, voice = voices.VENDORS[provider], args.get("voice")
    names = [str(one["id"]) for one in vendor.voices]
    if provider == "aws-polly" and not voice and args.get("language"):
        spoken = (
            str(one["id"])
            for one in vendor.voices
            if one["language"]["code"] == args["language"] and model in one["supported_engines"]
        )
        return next(spoken, vendor.voice)
    voice = voice or vendor.voice
    is_known = voice in names
    if provider == "gemini":
        is_known = str(voice).lower() in [name.lower() for name in names]
    if provider in ("openai", "gemini") and not is_known:  # others leave it to the vendor
        raise _invalid("voice", voice, names)
    return str(voice)


def _invalid(key: str, got: object, expected: list[str], *, as_list: bool = False) -> ApiError:
    told = ", ".join(expected)
    text = f"Invalid {key}: {got}. Expected: {told}"
    wanted = expected if as_list else told
    return ApiError(400, text, "field_invalid", key=key, expected=wanted, got=got)


def _format(provider: str, args: Mapping[str, Any]) -> tuple[str, str]:
    """The format and its ``Content-Type``."""
    if provider == "gemini":
        return "wav", "audio/wav"
    if provider == "openai":
        form = args.get("response_format")
    else:
        form = args.get("output_format") or args.get("response_format")
    default = _DEFAULT_FORMAT if provider == "elevenlabs" else "mp3"
    form = form if isinstance(form, str) and form and provider != "aws-polly" else default
    kind = voices.VENDORS[provider].formats.get(form.partition("_")[0].lower(), "audio/mpeg")
    return form, kind


async def convert(call: DriverCall) -> web.StreamResponse | Fault:
    """The method ``convert``."""
    args, provider = call.args, call.args.get("provider")
    if provider and (not isinstance(provider, str) or provider.strip().lower() != "elevenlabs"):
        text = f"Speech-to-speech provider not found: {provider}. Available: elevenlabs"
        raise bad_request(text)
    if args.get("test_mode"):
        return call.result({"url": SAMPLE_AUDIO, "content_type": "audio/mpeg"})
    if "elevenlabs" not in call.backend.vendors:
        raise ApiError(500, "ElevenLabs API key not configured", "internal_error")
    if not args.get("audio"):
        raise bad_request("`audio` is required")
    sound = load(call, args["audio"], limit=MAX_SOUND)
    voice = args.get("voice_id") or args.get("voiceId") or args.get("voice")
    voice = voice or voices.VENDORS["elevenlabs"].voice
    model = args.get("model_id") or args.get("model") or _STS_PRICED[0]
    for key, value in (("voice", voice), ("model", model)):
        if not _IDENTIFIER.fullmatch(str(value)):
            raise bad_request(f"`{key}` must be alphanumeric")
    form, kind = _format("elevenlabs", args)
    seconds = max(1, math.ceil(len(sound.data) / _BYTES_PER_SECOND))
    media = MediaCall(
        interface="puter-speech2speech",
        method="convert",
        args=args,
        user=call.user.username,
        provider="elevenlabs",
        model=str(model),
        inputs=(sound,),
        chosen={"voice": voice, "format": form},
    )
    price = _STS_PRICE if model in _STS_PRICED else 0
    bill = Bill(f"elevenlabs:{model}:second", seconds, seconds * price)
    result = await ask_vendor(call, media, bill, "Insufficient credits")
    return await _answer(call, result, sound.words or "Hello", kind)


async def _answer(
    call: DriverCall, result: MediaResult | None, text: str, kind: str
) -> web.StreamResponse | Fault:
    """Send the sound; a URL or an object goes into an envelope."""
    if isinstance(result, Fault):
        return result
    if result is None:
        return await send_audio(call, _sound(text, kind), kind)
    if isinstance(result, bytes | AudioBody):
        return await send_audio(call, result, kind)
    if isinstance(result, str):
        return call.result({"url": result, "content_type": "audio"})
    if isinstance(result, Mapping):
        return call.result(result)
    raise internal_error()


def _sound(text: str, kind: str) -> bytes:
    if kind == "audio/mpeg":
        return samples.mp3(text)
    if kind == "audio/pcm":
        return samples.pcm(text)
    return samples.wav(text)  # the label follows the request, here even without such an encoder


TTS: dict[str, Any] = {
    "synthesize": synthesize,
    "list_engines": list_engines,
    "list_voices": list_voices,
    "list": list_providers,
}
