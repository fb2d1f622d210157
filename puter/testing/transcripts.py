"""Speech to text: the interface ``puter-speech2txt``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from puter.testing import samples
from puter.testing.answers import tokens_in
from puter.testing.http import ApiError, bad_request, internal_error
from puter.testing.media import MAX_SOUND, MediaCall, MediaInput, ask_vendor, load
from puter.testing.metering import Bill
from puter.testing.replies import Fault

if TYPE_CHECKING:
    from aiohttp import web

    from puter.testing.drivers import DriverCall

_ALIASES = {
    "openai": "openai",
    "whisper": "openai",
    "openai-speech2txt": "openai",
    "xai": "xai",
    "grok": "xai",
    "x-ai": "xai",
    "xai-speech2txt": "xai",
}
_PROVIDERS = ("openai", "xai")

_SAMPLE_TEXT = "Hello! This is a sample transcription returned while test mode is enabled."
_SAMPLE = {
    "text": _SAMPLE_TEXT,
    "language": "en",
    "duration_seconds": 2,
    "words": [
        {"start": 0, "end": 0.5, "text": "Hello"},
        {"start": 1.1, "end": 2, "text": "This is a sample transcription."},
    ],
}
_XAI_SAMPLE = {
    "text": _SAMPLE_TEXT,
    "language": "English",
    "duration": 2,
    "words": [
        {"text": "Hello!", "start": 0, "end": 0.5},
        {"text": "This", "start": 0.6, "end": 0.8},
        {"text": "is", "start": 0.8, "end": 0.9},
        {"text": "a", "start": 0.9, "end": 1},
        {"text": "sample", "start": 1, "end": 1.3},
        {"text": "transcription.", "start": 1.3, "end": 2},
    ],
    "model": "xai-stt",
}
# Puter backend: bytes of a sound for xAI.
_MAX_XAI_SOUND = 500 * 1024 * 1024
# Puter backend: bytes it takes for a second of speech, and micro-cents a second at xAI.
_BYTES_PER_SECOND = 16_000
_XAI_PRICE = 2778


@dataclass(frozen=True)
class _Model:
    price: float  # micro-cents a second
    formats: tuple[str, ...] = ("json", "text")
    prompts: bool = True
    logprobs: bool = False
    diarizes: bool = False


_DIARIZER = "gpt-4o-transcribe-diarize"
_WHISPER = "whisper-1"
# Puter backend: models, and what each can do.
_MODELS = {
    "gpt-4o-mini-transcribe": _Model(5000, logprobs=True),
    "gpt-4o-transcribe": _Model(10_000, logprobs=True),
    _DIARIZER: _Model(10_000, ("json", "text", "diarized_json"), prompts=False, diarizes=True),
    _WHISPER: _Model(10_000, ("json", "text", "srt", "verbose_json", "vtt")),
}


async def transcribe(call: DriverCall) -> web.StreamResponse | Fault:
    """The method ``transcribe``."""
    return await _handle(call, "transcribe", "gpt-4o-mini-transcribe")


async def translate(call: DriverCall) -> web.StreamResponse | Fault:
    """The method ``translate``."""
    return await _handle(call, "translate", _WHISPER)


async def list_providers(call: DriverCall) -> web.StreamResponse:
    """The method ``list``: also those without a key."""
    return call.result(_PROVIDERS)


async def list_models(call: DriverCall) -> web.StreamResponse:
    """The method ``list_models``."""
    wanted = call.args.get("provider")
    if isinstance(wanted, str) and wanted.strip().lower() == "all":
        every = [{**model, "provider": name} for name in _PROVIDERS for model in _listed(name)]
        return call.result(every)
    return call.result(_listed(_choose(call)))


def _listed(provider: str) -> list[dict[str, Any]]:
    if provider == "xai":
        return [
            {
                "id": "xai-stt",
                "name": "xAI Speech to Text",
                "type": "transcription",
                "response_formats": ["json"],
                "supports_prompt": False,
                "supports_logprobs": False,
                "supports_diarization": True,
            }
        ]
    return [
        {
            "id": name,
            "name": name,
            "type": "translation" if name == _WHISPER else "transcription",
            "response_formats": model.formats,
            "supports_prompt": model.prompts,
            "supports_logprobs": model.logprobs,
            **({"supports_diarization": True} if model.diarizes else {}),
            **({"supports_timestamp_granularities": True} if name == _WHISPER else {}),
        }
        for name, model in _MODELS.items()
    ]


def _choose(call: DriverCall) -> str:
    given = call.args.get("provider")
    if given not in (None, ""):
        named = _ALIASES.get(given.strip().lower()) if isinstance(given, str) else None
        if named is None:
            available = ", ".join(_PROVIDERS)
            text = f"Speech-to-text provider not found: {given}. Available: {available}"
            raise bad_request(text)
        return named
    return _ALIASES.get(call.asked or "", "openai")


async def _handle(call: DriverCall, method: str, default: str) -> web.StreamResponse | Fault:
    args, provider = call.args, _choose(call)
    if args.get("test_mode"):
        sample = {**_SAMPLE, "model": args.get("model") or default}
        return call.result(_XAI_SAMPLE if provider == "xai" else sample)
    if provider == "openai" and args.get("stream"):
        raise bad_request("Streaming transcription is not yet supported")
    if provider not in call.backend.vendors:
        name = "OpenAI" if provider == "openai" else "xAI"
        raise ApiError(500, f"{name} API key not configured", "internal_error")
    if not args.get("file"):
        raise bad_request("`file` is required")
    limit = MAX_SOUND if provider == "openai" else _MAX_XAI_SOUND
    sound = load(call, args["file"], limit=limit, from_web=True)
    seconds = max(1, math.ceil(len(sound.data) / _BYTES_PER_SECOND))
    if provider == "xai":
        seconds = seconds if sound.url is None else 60  # Puter backend: a guess for URLs
        model, form = "xai-stt", "json"
        bill = Bill("xai:stt:second", seconds, seconds * _XAI_PRICE)
    else:
        model = args.get("model") or default
        form = _form(args, model)
        price = _MODELS[model].price
        bill = Bill(f"openai:{model}:second", seconds, seconds * price)
    media = MediaCall(
        interface="puter-speech2txt",
        method=method,
        args=args,
        user=call.user.username,
        provider=provider,
        model=str(model),
        inputs=(sound,),
        chosen={"response_format": form},
    )
    result = await ask_vendor(call, media, bill, "Insufficient credits")
    if isinstance(result, Fault):
        return result
    if isinstance(result, Mapping):
        return call.result(result)
    if result is not None and not isinstance(result, str):
        raise internal_error()
    text = _heard(sound) if result is None else result
    return call.result(_xai(args, text) if provider == "xai" else _openai(media, text, seconds))


def _form(args: Mapping[str, Any], name: object) -> str:
    """The format of the answer. Raises ApiError for what the model cannot do."""
    model = _MODELS.get(name) if isinstance(name, str) else None
    if model is None:
        raise bad_request(f"Unsupported model: {name}")
    form = args.get("response_format")
    if form and form not in model.formats:
        raise bad_request(f"response_format must be one of: {', '.join(model.formats)}")
    if args.get("prompt") and not model.prompts:
        raise bad_request(f"prompt is not supported for model {name}")
    if args.get("logprobs") and not model.logprobs:
        raise bad_request(f"logprobs is not supported for model {name}")
    return form or ("diarized_json" if model.diarizes else "json")


def _heard(sound: MediaInput) -> str:
    if sound.words is not None:
        return sound.words
    return f"LocalPuter heard {sound.url or sound.name}"


def _openai(media: MediaCall, text: str, seconds: float) -> Any:
    form = media.chosen["response_format"]
    duration = round(samples.spoken_seconds(text), 2)
    if form == "text":
        return text
    if form in ("srt", "vtt"):
        return _subtitles(form, text, duration)
    if media.model == _WHISPER:
        usage: dict[str, Any] = {"type": "duration", "seconds": seconds}
    else:
        usage = {"type": "tokens", "input_tokens": seconds * 10, "output_tokens": tokens_in(text)}
        usage["total_tokens"] = usage["input_tokens"] + usage["output_tokens"]
    if form == "diarized_json":
        segment = {"id": "seg_0", "start": 0.0, "end": duration, "text": text, "speaker": "A"}
        segments = [{"type": "transcript.text.segment", **segment}]
        told = {"task": "transcribe", "duration": duration, "text": text, "segments": segments}
        return {**told, "usage": usage}
    if form == "verbose_json":
        return {**_verbose(media, text, duration), "usage": usage}
    answer: dict[str, Any] = {"text": text, "usage": usage}
    if media.args.get("logprobs"):
        answer["logprobs"] = [
            {"token": word, "logprob": 0.0, "bytes": list(word.encode())} for word in text.split()
        ]
    return answer


def _verbose(media: MediaCall, text: str, duration: float) -> dict[str, Any]:
    segment: dict[str, Any] = {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": duration,
        "text": text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": -0.1,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.0,
    }
    answer: dict[str, Any] = {
        "task": media.method,
        "language": "english",
        "duration": duration,
        "text": text,
    }
    wanted = media.args.get("timestamp_granularities") or ["segment"]
    if "segment" in wanted:
        answer["segments"] = [segment]
    if "word" in wanted:
        answer["words"] = _words(text, duration, "word")
    return answer


def _words(text: str, duration: float, key: str) -> list[dict[str, Any]]:
    words = text.split()
    each = duration / max(1, len(words))
    return [
        {key: word, "start": round(number * each, 2), "end": round((number + 1) * each, 2)}
        for number, word in enumerate(words)
    ]


def _subtitles(form: str, text: str, duration: float) -> str:
    hours, rest = divmod(round(duration * 1000), 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    point = "," if form == "srt" else "."
    end = f"{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"
    if form == "srt":
        return f"1\n00:00:00,000 --> {hours:02}:{end}\n{text}\n\n"
    return f"WEBVTT\n\n00:00.000 --> {end}\n{text}\n\n"


def _xai(args: Mapping[str, Any], text: str) -> dict[str, Any]:
    duration = round(samples.spoken_seconds(text), 2)
    words = _words(text, duration, "text")
    if args.get("diarize"):
        words = [{**word, "speaker": 0} for word in words]
    return {"text": text, "language": "English", "duration": duration, "words": words}


METHODS: dict[str, Any] = {
    "transcribe": transcribe,
    "translate": translate,
    "list_models": list_models,
    "list": list_providers,
}
