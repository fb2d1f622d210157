"""Text out of sounds, images and documents: ``puter-speech2txt`` and ``puter-ocr``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from puter.testing import samples
from puter.testing.exchange import DriverCall
from puter.testing.file_tree import OCTETS
from puter.testing.media_call import MediaCall, ask_vendor, require_vendor, vendor_named
from puter.testing.media_files import MAX_SOUND, MediaInput, load
from puter.testing.metering import Bill
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request
from puter.testing.token_usage import tokens_in

# Puter backend: micro-cents a second.
_XAI_PRICE = 2778.0
# ``price`` in micro-cents a page; newer: bytes that a vendor takes, stored and in a data URI, and a
# word in the names of its models.
_OCR_VENDORS: Mapping[str, Mapping[str, Any]] = recorded("ocr_vendors")
_TEXTRACT_TYPES = ("image/jpeg", "image/png", "image/tiff", "application/pdf", OCTETS)


async def transcribe(call: DriverCall) -> web.StreamResponse:
    """The methods ``transcribe`` and ``translate``."""
    args, provider = call.args, vendor_named(call, "stt") or "openai"
    defaults = call.recorded("stt_defaults")
    if provider == "openai" and call.method not in defaults:
        raise bad_request("Translation is not supported by OpenAI")
    model = defaults["xai"] if provider == "xai" else args.get("model") or defaults[call.method]
    if args.get("test_mode"):
        sample = recorded("stt_sample_xai" if provider == "xai" else "stt_sample")
        return call.result({**sample, "model": model})
    if provider == "openai" and args.get("stream"):
        raise bad_request("Streaming transcription is not yet supported")
    require_vendor(call, "stt", provider)
    if not args.get("file"):
        raise bad_request("`file` is required")
    sound = load(call, args["file"], limit=MAX_SOUND, from_web=True)
    seconds = samples.sound_seconds(sound.data)
    form, price = "json", _XAI_PRICE
    if provider == "openai":
        form, price = _form(args, model, call.recorded("stt_models"))
    chosen = {"response_format": form}
    media = MediaCall.of(call, provider, model, inputs=(sound,), chosen=chosen)
    bill = Bill(f"{provider}:{model.removeprefix('xai-')}:second", seconds, seconds * price)
    heard = f"LocalPuter heard {sound.url or sound.name}"
    told = await ask_vendor(call, media, bill, otherwise=heard)
    if isinstance(told, str):
        told = _xai(args, told) if provider == "xai" else _openai(media, told, seconds)
    return call.result(told)


async def list_providers(call: DriverCall) -> web.StreamResponse:
    """Also those without a key."""
    return call.result(["openai", "xai"])


def _form(args: Mapping[str, Any], name: str, known: Mapping[str, Any]) -> tuple[str, float]:
    """The format of the answer, and the price of a second. Raises ApiError."""
    model = known.get(name)
    if model is None:
        raise bad_request(f"Unsupported model: {name}")
    form, formats = args.get("response_format"), model["formats"]
    if form and form not in formats:
        raise bad_request(f"response_format must be one of: {', '.join(formats)}")
    for option in ("prompt", "logprobs"):
        if args.get(option) and option not in model["options"]:
            raise bad_request(f"{option} is not supported for model {name}")
    return form or ("diarized_json" if "diarized_json" in formats else "json"), model["price"]


def _openai(media: MediaCall, text: str, seconds: float) -> Any:
    form = media.chosen["response_format"]
    if subtitles := recorded("stt_subtitles").get(form):
        return subtitles.format(text)
    if media.model == "whisper-1":
        usage: dict[str, Any] = {"type": "duration", "seconds": seconds}
    else:
        told = {"input_tokens": seconds * 10, "output_tokens": tokens_in(text)}
        usage = {"type": "tokens", **told, "total_tokens": sum(told.values())}
    answer: dict[str, Any] = {"text": text, "usage": usage}
    timed = {"start": 0.0, "end": float(len(text.split())), "text": text}
    if form == "diarized_json":
        answer["segments"] = [{"type": "transcript.text.segment", **timed, "speaker": "A"}]
    if form == "verbose_json":
        answer |= {"task": media.method, "language": "english", "duration": timed["end"]}
        wanted = media.args.get("timestamp_granularities") or ["segment"]
        if "segment" in wanted:
            answer["segments"] = [{**recorded("stt_segment"), "id": 0, **timed}]
        if "word" in wanted:
            answer["words"] = _words(text, "word")
    return answer


def _xai(args: Mapping[str, Any], text: str) -> dict[str, Any]:
    words = _words(text, "text")
    if args.get("diarize"):
        words = [{**word, "speaker": 0} for word in words]
    return {"text": text, "language": "English", "duration": float(len(words)), "words": words}


def _words(text: str, key: str) -> list[dict[str, Any]]:
    """The words of ``text``, one a second."""
    return [
        {key: word, "start": float(number), "end": number + 1.0}
        for number, word in enumerate(text.split())
    ]


async def recognize(call: DriverCall) -> web.StreamResponse:
    args = call.args
    if args.get("test_mode"):
        return call.result(recorded("ocr_sample"))
    provider = _ocr_provider(call)
    source = args.get("source")
    source = args.get("file") if source is None else source
    if not source:
        raise bad_request("`source` is required")
    document = _document(call, provider, source)
    require_vendor(call, "ocr", provider)
    pages, vendor = args.get("pages") or [0], _OCR_VENDORS[provider]
    textract = provider == "aws-textract"  # has one model
    model = (None if textract else args.get("model")) or vendor["default"]
    media = MediaCall.of(call, provider, model, inputs=(document,), chosen={"pages": pages})
    bill = Bill(vendor["usage"], len(pages), len(pages) * vendor["price"])
    read = f"LocalPuter read {document.url or document.name}"
    text = await ask_vendor(call, media, bill, otherwise=read)
    if isinstance(text, str):
        text = _textract(text) if textract else _mistral(media, text)
    return call.result(text)


def _document(call: DriverCall, provider: str, source: object) -> MediaInput:
    """The document, within what the newer server lets through. Raises ApiError."""
    if not call.backend.newer:
        return load(call, source, from_web=True)
    vendor = _OCR_VENDORS[provider]
    if vendor["models"] not in (model := str(call.args.get("model") or vendor["default"])):
        raise bad_request(f"Model {model} is not available for provider {provider}")
    most = vendor["most_inline" if str(source).startswith("data:") else "most_stored"]
    document = load(call, source, limit=most, from_web=True)
    if provider == "aws-textract" and document.mime_type not in _TEXTRACT_TYPES:
        raise bad_request(f"Unsupported document type: {document.mime_type}")
    return document


def _ocr_provider(call: DriverCall) -> str:
    present = (name for name in _OCR_VENDORS if name in call.backend.vendors)
    if found := vendor_named(call, "ocr") or next(present, None):
        return found
    raise ApiError(500, "No OCR provider configured", "internal_error")


def _textract(text: str) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [
        {"type": "text/textract:LINE", "confidence": 98.5, "text": line}
        for line in text.splitlines()
    ]
    title = {"type": "text/textract:LAYOUT_TITLE", "confidence": 97, "text": ""}
    return {"blocks": [*blocks, title]}


def _mistral(media: MediaCall, text: str) -> dict[str, Any]:
    numbers = media.chosen["pages"]
    return {
        "model": media.model,
        "pages": [{"index": number, "markdown": text, "images": []} for number in numbers],
        "usage_info": {"pagesProcessed": len(numbers)},
        "blocks": [
            {"type": "text/mistral:LINE", "text": line, "page": number}
            for number in numbers
            for line in filter(None, map(str.strip, text.splitlines()))
        ],
    }
