"""Speech to text: the interface ``puter-speech2txt``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from puter.testing import samples
from puter.testing.answer_forms import tokens_in
from puter.testing.media_call import MAX_SOUND, MediaCall, alias, load, media_call, text_from_vendor
from puter.testing.metering import Bill
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request

if TYPE_CHECKING:
    from aiohttp import web

    from puter.testing.driver_calls import DriverCall

_PROVIDERS = {"openai": "OpenAI", "xai": "xAI"}
_NAMES = {
    **dict.fromkeys(("openai", "whisper", "openai-speech2txt"), "openai"),
    **dict.fromkeys(("xai", "grok", "x-ai", "xai-speech2txt"), "xai"),
}
_UNKNOWN = "Speech-to-text provider not found: {}. Available: openai, xai"
# Puter backend: bytes of a sound for xAI, and micro-cents a second there.
_MAX_XAI_SOUND = 500 * 1024 * 1024
_XAI_PRICE = 2778
_XAI_MODEL = "xai-stt"
_WHISPER = "whisper-1"


async def transcribe(call: DriverCall) -> web.StreamResponse:
    return await _handle(call, "gpt-4o-mini-transcribe")


async def translate(call: DriverCall) -> web.StreamResponse:
    return await _handle(call, _WHISPER)


async def list_providers(call: DriverCall) -> web.StreamResponse:
    """Also those without a key."""
    return call.result(list(_PROVIDERS))


async def list_models(call: DriverCall) -> web.StreamResponse:
    models = recorded("stt_models").values()
    by_vendor = {
        name: [model for model in models if (model["id"] == _XAI_MODEL) == (name == "xai")]
        for name in _PROVIDERS
    }
    wanted = call.args.get("provider")
    if isinstance(wanted, str) and wanted.strip().lower() == "all":
        every = [{**model, "provider": name} for name in by_vendor for model in by_vendor[name]]
        return call.result(every)
    return call.result(by_vendor[_choose(call)])


METHODS: dict[str, Any] = {
    "transcribe": transcribe,
    "translate": translate,
    "list_models": list_models,
    "list": list_providers,
}


def _choose(call: DriverCall) -> str:
    return alias(call, _NAMES, _UNKNOWN) or _NAMES.get(call.asked or "", "openai")


async def _handle(call: DriverCall, default: str) -> web.StreamResponse:
    args, provider = call.args, _choose(call)
    if args.get("test_mode"):
        if provider == "xai":
            return call.result(recorded("stt_sample_xai"))
        return call.result({**recorded("stt_sample"), "model": args.get("model") or default})
    if provider == "openai" and args.get("stream"):
        raise bad_request("Streaming transcription is not yet supported")
    if provider not in call.backend.vendors:
        text = f"{_PROVIDERS[provider]} API key not configured"
        raise ApiError(500, text, "internal_error")
    if not args.get("file"):
        raise bad_request("`file` is required")
    limit = MAX_SOUND if provider == "openai" else _MAX_XAI_SOUND
    sound = load(call, args["file"], limit=limit, from_web=True)
    seconds = samples.sound_seconds(sound.data)
    if provider == "xai":
        seconds = seconds if sound.url is None else 60  # Puter backend: a guess for URLs
        model, form = _XAI_MODEL, "json"
        bill = Bill("xai:stt:second", seconds, seconds * _XAI_PRICE)
    else:
        model = args.get("model") or default
        form = _form(args, model)
        bill = Bill(f"openai:{model}:second", seconds, seconds * recorded("stt_prices")[model])
    media = media_call(call, provider, model, inputs=(sound,), response_format=form)
    heard = f"LocalPuter heard {sound.url or sound.name}"
    told = await text_from_vendor(call, media, bill, heard)
    if isinstance(told, Mapping):
        return call.result(told)
    return call.result(_xai(args, told) if provider == "xai" else _openai(media, told, seconds))


def _form(args: Mapping[str, Any], name: object) -> str:
    """The format of the answer. Raises ApiError for what the model cannot do."""
    model = recorded("stt_models").get(name) if isinstance(name, str) else None
    if model is None or name == _XAI_MODEL:
        raise bad_request(f"Unsupported model: {name}")
    form, formats = args.get("response_format"), model["response_formats"]
    if form and form not in formats:
        raise bad_request(f"response_format must be one of: {', '.join(formats)}")
    for option in ("prompt", "logprobs"):
        if args.get(option) and not model[f"supports_{option}"]:
            raise bad_request(f"{option} is not supported for model {name}")
    return form or ("diarized_json" if "diarized_json" in formats else "json")


def _openai(media: MediaCall, text: str, seconds: float) -> Any:
    form, duration = media.chosen["response_format"], samples.spoken_seconds(text)
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
    answer: dict[str, Any] = {"task": media.method, "language": "english", "duration": duration}
    answer["text"] = text
    wanted = media.args.get("timestamp_granularities") or ["segment"]
    if "segment" in wanted:
        timed = {"id": 0, "start": 0.0, "end": duration, "text": text}
        answer["segments"] = [{**recorded("stt_segment"), **timed}]
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
    end = f"{minutes:02}:{rest // 1000:02}{',' if form == 'srt' else '.'}{rest % 1000:03}"
    if form == "srt":
        return f"1\n00:00:00,000 --> {hours:02}:{end}\n{text}\n\n"
    return f"WEBVTT\n\n00:00.000 --> {end}\n{text}\n\n"


def _xai(args: Mapping[str, Any], text: str) -> dict[str, Any]:
    duration = samples.spoken_seconds(text)
    words = _words(text, duration, "text")
    if args.get("diarize"):
        words = [{**word, "speaker": 0} for word in words]
    return {"text": text, "language": "English", "duration": duration, "words": words}
