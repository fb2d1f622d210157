"""Text to speech and speech to speech: ``puter-tts`` and ``puter-speech2speech``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from puter.testing import samples
from puter.testing.media_call import (
    MAX_SOUND,
    SAMPLE_AUDIO,
    AudioBody,
    Result,
    alias,
    ask_vendor,
    load,
    media_call,
    send_audio,
)
from puter.testing.metering import Bill
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request, internal_error

if TYPE_CHECKING:
    from aiohttp import web

    from puter.testing.driver_calls import DriverCall

# Puter backend: characters xAI takes.
_MOST_TEXT = 15_000
# Puter backend: micro-cents a second of converted sound.
_STS_PRICE = 270_000
_STS_PRICED = ("eleven_multilingual_sts_v2", "eleven_english_sts_v2")

# Puter backend: the vendors in the order its refusals name them.
_NAMES = ("aws-polly", "openai", "elevenlabs", "gemini", "xai", "speechify")
_UNKNOWN = "Speech-to-speech provider not found: {}. Available: elevenlabs"
_DEFAULT_FORMAT = "mp3_44100_128"
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]+")


def _vendors() -> dict[str, dict[str, Any]]:
    """The vendors in the order in which they are set up.

    ``prices`` are micro-cents a character by model, and hold all models that can be used;
    ``engines`` and ``voices`` are what the lists show; ``default`` and ``voice`` count when none
    is named. Some prices are estimates.
    """
    vendors: dict[str, dict[str, Any]] = recorded("voices")
    return vendors


def _named(name: object) -> str | None:
    """The vendor of that name or alias, ``None`` when there is none."""
    wanted = name.strip().lower() if isinstance(name, str) else None
    found = (key for key, one in _vendors().items() if wanted == key or wanted in one["aliases"])
    return next(found, None)


async def synthesize(call: DriverCall) -> web.StreamResponse:
    provider, present = _choose(call, call.args.get("engine")), _present(call)
    if provider not in present:
        available = ", ".join(present)
        raise bad_request(f"TTS provider not configured: {provider}. Available: {available}")
    args = _arguments(provider, call.args)
    if args.get("test_mode"):
        return call.result({"url": SAMPLE_AUDIO, "content_type": "audio"})
    vendor, text = _vendors()[provider], args.get("text")
    if provider == "aws-polly":
        _check_engine(args.get("engine", vendor["default"]))
    if not isinstance(text, str) or not text.strip():
        raise ApiError(400, "Missing required field: text", "field_required", key="text")
    if provider == "xai" and len(text) > _MOST_TEXT:
        raise bad_request("Text exceeds maximum length of 15,000 characters")
    model = _model(provider, args)
    voice = _voice(provider, model, args)
    form, kind = _format(provider, args)
    media = media_call(call, provider, model, text=text, voice=voice, format=form)
    cost = len(text) * vendor["prices"][model]
    bill = Bill(f"{provider}:{model}:character", len(text), cost)
    return await _answer(call, await ask_vendor(call, media, bill, "Insufficient funds"), kind)


async def list_voices(call: DriverCall) -> web.StreamResponse:
    engine = call.args.get("engine")
    found: list[Mapping[str, Any]] = []
    for provider in _asked_for(call):
        listed = _vendors()[provider]["voices"]
        if provider == "aws-polly" and engine:
            _check_engine(engine)
            listed = [voice for voice in listed if engine in voice["supported_engines"]]
        found += listed
    return call.result(found)


async def list_engines(call: DriverCall) -> web.StreamResponse:
    asked, known = _asked_for(call), _vendors()
    return call.result([one for name in asked for one in known[name]["engines"]])


async def list_providers(call: DriverCall) -> web.StreamResponse:
    return call.result(_present(call))


METHODS: dict[str, Any] = {
    "synthesize": synthesize,
    "list": list_providers,
    "list_engines": list_engines,
    "list_voices": list_voices,
}


def _asked_for(call: DriverCall) -> list[str]:
    """The vendors a list is about: those known but not set up have nothing to show."""
    given, present = call.args.get("provider"), _present(call)
    if isinstance(given, str) and given.strip().lower() == "all":
        return present
    return [name for name in (_choose(call, None),) if name in present]


def _present(call: DriverCall) -> list[str]:
    return [name for name in _vendors() if name in call.backend.vendors]


def _choose(call: DriverCall, engine: object) -> str:
    given, present = call.args.get("provider"), _present(call)
    if given not in (None, ""):
        found = _named(given)
        if found is None:
            available = ", ".join(_NAMES)
            raise bad_request(f"TTS provider not found: {given}. Available: {available}")
        return found
    default = next((name for name in _NAMES if name in present), _NAMES[0])
    return _named(engine) or _named(call.asked) or default


def _arguments(provider: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Except for Polly, ``engine`` is another word for ``model``, unless it names a vendor."""
    engine = args.get("engine")
    if provider == "aws-polly" or not isinstance(engine, str):
        return args
    rest = {key: value for key, value in args.items() if key != "engine"}
    return rest if "model" in rest or _named(engine) else {**rest, "model": engine}


def _check_engine(engine: object) -> None:
    valid = list(_vendors()["aws-polly"]["prices"])
    if engine not in valid:
        text = f"Invalid engine: {engine}. Valid engines: {', '.join(valid)}"
        raise ApiError(400, text, "invalid_engine", engine=engine, valid_engines=valid)


def _model(provider: str, args: Mapping[str, Any]) -> str:
    vendor = _vendors()[provider]
    if provider == "aws-polly":
        return str(args.get("engine", vendor["default"]))
    if provider == "xai":  # it has but one, and does not look
        return str(vendor["default"])
    model = args.get("model") or vendor["default"]
    if model not in vendor["prices"]:
        raise _invalid("model", model, list(vendor["prices"]), as_list=provider == "elevenlabs")
    return str(model)


def _voice(provider: str, model: str, args: Mapping[str, Any]) -> str:
    vendor, voice = _vendors()[provider], args.get("voice")
    if provider == "aws-polly" and not voice and args.get("language"):
        spoken = (
            str(one["id"])
            for one in vendor["voices"]
            if one["language"]["code"] == args["language"] and model in one["supported_engines"]
        )
        return next(spoken, vendor["voice"])
    voice, names = voice or vendor["voice"], [str(one["id"]) for one in vendor["voices"]]
    known = {"openai": names, "gemini": [*names, *map(str.lower, names)]}.get(provider)
    spelled = str(voice).lower() if provider == "gemini" else voice
    if known is not None and spelled not in known:  # others leave it to the vendor
        raise _invalid("voice", voice, names)
    return str(voice)


def _invalid(key: str, got: object, expected: list[str], *, as_list: bool = False) -> ApiError:
    told = ", ".join(expected)
    text, wanted = f"Invalid {key}: {got}. Expected: {told}", expected if as_list else told
    return ApiError(400, text, "field_invalid", key=key, expected=wanted, got=got)


def _format(provider: str, args: Mapping[str, Any]) -> tuple[str, str]:
    if provider == "gemini":
        return "wav", "audio/wav"
    form = args.get("response_format")
    if provider != "openai":
        form = args.get("output_format") or form
    default = _DEFAULT_FORMAT if provider == "elevenlabs" else "mp3"
    form = form if isinstance(form, str) and form and provider != "aws-polly" else default
    formats = _vendors()[provider]["formats"]
    return form, formats.get(form.partition("_")[0].lower(), "audio/mpeg")


async def convert(call: DriverCall) -> web.StreamResponse:
    """The only method of ``puter-speech2speech``."""
    args = call.args
    alias(call, {"elevenlabs": "elevenlabs"}, _UNKNOWN)
    if args.get("test_mode"):
        return call.result({"url": SAMPLE_AUDIO, "content_type": "audio/mpeg"})
    if "elevenlabs" not in call.backend.vendors:
        raise ApiError(500, "ElevenLabs API key not configured", "internal_error")
    if not args.get("audio"):
        raise bad_request("`audio` is required")
    sound = load(call, args["audio"], limit=MAX_SOUND)
    voice = args.get("voice_id") or args.get("voiceId") or args.get("voice")
    voice = voice or _vendors()["elevenlabs"]["voice"]
    model = args.get("model_id") or args.get("model") or _STS_PRICED[0]
    for key, value in (("voice", voice), ("model", model)):
        if not _IDENTIFIER.fullmatch(str(value)):
            raise bad_request(f"`{key}` must be alphanumeric")
    form, kind = _format("elevenlabs", args)
    media = media_call(call, "elevenlabs", model, inputs=(sound,), voice=voice, format=form)
    seconds = samples.sound_seconds(sound.data)
    price = _STS_PRICE if model in _STS_PRICED else 0
    bill = Bill(f"elevenlabs:{model}:second", seconds, seconds * price)
    return await _answer(call, await ask_vendor(call, media, bill, "Insufficient credits"), kind)


async def _answer(call: DriverCall, result: Result, kind: str) -> web.StreamResponse:
    """Send the sound; a URL or an object goes into an envelope."""
    if result is None or isinstance(result, bytes | AudioBody):
        return await send_audio(call, samples.sound_of(kind) if result is None else result, kind)
    if isinstance(result, str):
        result = {"url": result, "content_type": "audio"}
    if not isinstance(result, Mapping):
        raise internal_error()
    return call.result(result)
