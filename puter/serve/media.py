"""Images, speech and transcripts as OpenAI's clients ask for them."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError

from puter.api.images import ImageOptions
from puter.api.speech import SpeechOptions, TranscriptionOptions
from puter.exceptions import PuterError, PuterInputError, PuterModelNotFoundError, repr_of, words_of
from puter.serve.body import REFUSED_OF_ALL, Refusals, flag_in, read_body, refuse, tell_ignored
from puter.serve.repetitions import REPETITIONS
from puter.serve.shared import CLIENT, LOGGER
from puter.types.media import Image
from puter.wire.json import as_dict
from puter.wire.untrusted import check_untrusted

ENGINES: web.AppKey[dict[str, str]] = web.AppKey("engines", dict)
"""Who has which model of speech, once that was asked."""

_OWN = {"timeout", "extra", "response_format", "n"}
_IMAGE = frozenset(ImageOptions.__annotations__.keys() - _OWN)
_SPEECH = frozenset(SpeechOptions.__annotations__.keys() - _OWN)
_HEARD = frozenset(TranscriptionOptions.__annotations__.keys() - _OWN)
_REFUSED_OF_IMAGES: Refusals = {
    "n": ((1,), "Puter makes one image: send the request several times."),
    "stream": ((False,), "Puter does not stream images."),
    "partial_images": ((0,), "Puter does not stream images."),
}
_REFUSED_OF_SPEECH: Refusals = {
    "speed": ((1,), "Puter speaks at one speed."),
    "stream_format": (("audio",), "The answer is the sound itself."),
}
_TEXTS = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}


def _taken(body: Mapping[str, Any], names: frozenset[str], *read: str) -> dict[str, Any]:
    """The options that are passed on as they are."""
    tell_ignored(body.keys() - names - {*read})
    taken = {name: body[name] for name in names & body.keys() if body[name] is not None}
    return check_untrusted([taken])[0]


async def images(request: web.Request) -> web.Response:
    """Make an image."""
    raw, body = await read_body(request)
    refuse(body, _REFUSED_OF_IMAGES)
    wanted = body.get("response_format") or "b64_json"
    if wanted not in ("b64_json", "url"):
        raise PuterInputError("response_format must be 'b64_json' or 'url'")
    read = ("model", "prompt", "size", "n", "stream", "partial_images", "response_format")
    options = _taken(body, _IMAGE | {"provider", "ratio"}, *read)
    if body.get("size") not in (None, "auto"):
        options["ratio"] = body["size"]
    if options.get("quality") in ("auto", "standard"):
        del options["quality"]
    with request.app[REPETITIONS].once(request, raw) as client:
        image = await client.async_txt2img(body.get("prompt"), body.get("model"), **options)
        data = [await _image(image, wanted)]
    return web.json_response({"created": int(time.time()), "data": data})


async def _image(image: Image, wanted: str) -> dict[str, Any]:
    """The image in the wanted form. It is paid: where its download fails, its URL is given."""
    if wanted != "url":
        try:
            return {"b64_json": base64.b64encode(await image.async_read()).decode()}
        except PuterError as error:
            LOGGER.warning("the URL of an image is given in place of it: %s", error)
    return {"url": image.address}


async def speech(request: web.Request) -> web.Response:
    """Speak a text."""
    raw, body = await read_body(request)
    refuse(body, _REFUSED_OF_SPEECH)
    read = ("input", "model", "voice", "response_format", "speed", "stream_format")
    options = _taken(body, _SPEECH, *read)
    if isinstance(options.get("voice"), dict):
        options["voice"] = options["voice"].get("id")
    model, form = body.get("model"), body.get("response_format")
    if model is not None and "provider" not in options:
        options["provider"] = await _provider_of(request, model)
    if options.get("provider") == "aws-polly":
        options["engine"] = options.pop("model", None)
    if form is not None:
        options["response_format" if options.get("provider") == "openai" else "output_format"] = (
            form
        )
    with request.app[REPETITIONS].once(request, raw) as client:
        sound = await client.async_txt2speech(body.get("input"), **options)
        data = await sound.async_read()
    return web.Response(body=data, headers={"Content-Type": sound.mime_type or "audio/mpeg"})


async def _provider_of(request: web.Request, model: Any) -> str:
    """Who has a model of speech. Puter is asked once, free of charge."""
    known = request.app[ENGINES]
    if not known:
        listed = await request.app[CLIENT].async_list_engines("all")
        known.update({str(one["id"]): str(one["provider"]) for one in listed})
    if not isinstance(model, str):
        raise PuterInputError(f"model must be a name, not {repr_of(model)}")
    if model not in known:
        raise PuterModelNotFoundError(
            f"There is no model of speech {repr_of(model)}", hint=f"Known: {', '.join(known)}."
        )
    return known[model]


async def transcriptions(request: web.Request) -> web.Response:
    """Write down what is said."""
    return await _hear(request, translate=False)


async def translations(request: web.Request) -> web.Response:
    """Write down in English what is said."""
    return await _hear(request, translate=True)


async def _hear(request: web.Request, *, translate: bool) -> web.Response:
    if request.content_type != "multipart/form-data":
        raise PuterInputError(
            "The request must be multipart/form-data", hint="Send the file in it."
        )
    try:
        form = await request.post()
    except (HttpProcessingError, LookupError, RuntimeError, ValueError) as error:
        raise PuterInputError(f"The form cannot be read: {words_of(error)}") from None
    fields = {name.removesuffix("[]"): _values(form, name) for name in form if name != "file"}
    file = form.get("file")
    if not isinstance(file, web.FileField):
        raise PuterInputError("file is missing", hint="Send the recording as the part file.")
    body: dict[str, Any] = {name: _read(name, found) for name, found in fields.items()}
    refuse(body, REFUSED_OF_ALL)
    if flag_in(body, "stream"):
        raise PuterInputError("stream=true cannot be done: Puter does not stream transcripts")
    options = _taken(body, _HEARD, "response_format", "include", "stream")
    if "logprobs" in (body.get("include") or ()):
        options["logprobs"] = True
    wanted = body.get("response_format") or "json"
    if wanted != "json":
        options["response_format"] = wanted
    if str(options.get("model", "")).startswith(("grok", "xai")):
        options.setdefault("provider", "xai")
    data = file.file.read()
    raw = data + repr(sorted(body.items())).encode()
    with request.app[REPETITIONS].once(request, raw) as client:
        heard = await client.async_speech2txt(
            _recording(file, data), translate=translate, **options
        )
    if wanted in _TEXTS:
        return web.Response(text=heard.text, content_type=_TEXTS[wanted])
    return web.json_response({**as_dict(heard.raw), "text": heard.text})


def _recording(file: web.FileField, data: bytes) -> Any:
    """The file: of the type that the caller tells, else of that which its name or bytes tell."""
    if file.content_type.startswith(("audio/", "video/")):
        return data, file.content_type
    named = io.BytesIO(data)
    named.name = file.filename
    return named


_LISTS = ("timestamp_granularities", "include", "known_speaker_names", "known_speaker_references")
_NUMBERS = ("temperature", "channels", "sample_rate")
_FLAGS = ("stream", "logprobs", "format", "diarize", "multichannel")


def _values(form: Any, name: str) -> list[str]:
    return [one for one in form.getall(name) if isinstance(one, str)]


def _read(name: str, values: list[str]) -> Any:
    """The value of a field, which comes as text."""
    if name in _LISTS:
        return values
    value = values[-1] if values else ""
    if name in _FLAGS and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if name in _NUMBERS:
        try:
            return int(value) if value.isdecimal() else float(value)
        except ValueError:
            raise PuterInputError(f"{name} must be a number, not {repr_of(value)}") from None
    return value
