"""What all media calls share: their inputs, scripted results, bills and vendors' failures."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from aiohttp import web

from puter.testing import samples
from puter.testing.catalogue import Model
from puter.testing.exchange import DriverCall, pause
from puter.testing.file_tree import OCTETS, decode_base64
from puter.testing.metering import Bill
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request
from puter.testing.replies import Fault, FaultRaised, UpstreamFailure, upstream_error
from puter.types.mime import mime_of

# Puter backend: bytes of a sound to be transcribed or converted.
MAX_SOUND = 26_214_400
# Puter backend: what test mode answers instead of audio.
SAMPLE_AUDIO = "https://puter-sample-data.puter.site/tts_example.mp3"

_DATA_URI = re.compile(r"data:([^;,]+)?(?:;([^,]*))?,(.*)$", re.DOTALL)
_PIECE = 16 * 1024
_MOST_SAMPLES = 100


@dataclass(frozen=True)
class MediaInput:
    """A file that came with a call, as the vendor gets it.

    Attributes:
        name: what the vendor is told it is called; many judge sounds by it.
        mime_type: as the client, or the stored file, says.
        data: the bytes; empty for a ``url``, which LocalPuter never fetches.
        url: where the vendor finds it.
    """

    name: str
    mime_type: str
    data: bytes = field(default=b"", repr=False)
    url: str | None = None


@dataclass(frozen=True)
class MediaCall:
    """A valid media call, as scripted callables get it and `RecordedRequest.media` keeps it.

    Attributes:
        interface: for example ``puter-tts``.
        method: for example ``synthesize``.
        args: the arguments as sent.
        user: name of the calling user.
        provider: who plays it.
        model: the id of the model that plays it.
        text: the prompt, or the text to be said.
        inputs: images, sounds and documents that came along.
        chosen: what the server made of the options: sizes, quality, voice, format.
    """

    interface: str
    method: str
    args: Mapping[str, Any]
    user: str
    provider: str
    model: str
    text: str = ""
    inputs: Sequence[MediaInput] = ()
    chosen: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AudioBody:
    """Audio of any size, made while it is sent and never held in memory.

    Args:
        size: bytes.
        content_type: the header of that name.
        pace: seconds between pieces of about 64 KiB.
    """

    size: int
    content_type: str = "audio/mpeg"
    pace: float = 0.0


Result: TypeAlias = "bytes | str | Mapping[str, Any] | AudioBody"
MediaResult: TypeAlias = "Result | Fault"
MediaResponder: TypeAlias = "Callable[[MediaCall], MediaResult | Awaitable[MediaResult]]"


def media_call(
    call: DriverCall,
    provider: str,
    model: object,
    *,
    text: str = "",
    inputs: Sequence[MediaInput] = (),
    **chosen: Any,
) -> MediaCall:
    """The record of ``call``; ``chosen`` are the options that the server settled on."""
    who = (call.interface, call.method, call.args, call.user.username)
    return MediaCall(*who, provider, str(model), text, inputs, chosen)


async def ask_vendor(
    call: DriverCall,
    media: MediaCall,
    bill: Bill,
    *,
    otherwise: Result,
    refusal: str = "Insufficient credits",
    least: float | None = None,
) -> Result:
    """The scripted result of a call that passed all checks, ``otherwise`` when there is none.

    ``least`` are the micro-cents the user must have left, by default what the call costs.
    Raises ApiError or FaultRaised.
    """
    backend = call.backend
    call.exchange.record.media = media
    backend.metering.require(call.user, bill.cost if least is None else least, refusal)
    result = await backend.script.media_answer(media)
    if isinstance(result, Fault):
        await pause(backend.latency + result.delay)
        if isinstance(result, UpstreamFailure):
            raise _vendor_error(result, media.provider, newer=backend.newer)
        raise FaultRaised(result)
    if not backend.newer:  # whoever leaves early pays for all of it
        backend.metering.charge(call.user, bill)
    await pause(backend.latency)
    if backend.newer:
        backend.metering.charge(call.user, bill)
    return otherwise if result is None else result


def _vendor_error(failure: UpstreamFailure, provider: str, *, newer: bool) -> ApiError:
    """A vendor's failure as media calls report it."""
    if failure.code == "upstream_failed":  # the vendor took the job, and the job failed
        status = 502 if newer else 400
        return ApiError(status, failure.message, failure.code, provider=provider)
    if failure.code == "moderation_flagged":
        if newer and provider == "gemini-video-generation":
            return ApiError(400, failure.message, "disallowed_value")
        return bad_request(failure.message, errorCode=failure.code)
    if newer and failure.status == 504:
        return ApiError(504, failure.message, "upstream_timeout")
    told, extra = failure.message, {"upstreamCode": failure.code} if failure.code else {}
    if provider == "elevenlabs":
        told, extra = f"ElevenLabs request failed (status {failure.status})", {"provider": provider}
    status, message, code = upstream_error(failure.status, told)
    message = told if failure.status < 500 else message
    return ApiError(status, message, code, upstreamStatus=failure.status, **extra)


def default_models(call: DriverCall, kind: str) -> dict[str, str]:
    """The providers of ``image`` or ``video`` that are set up, and the model each stands for."""
    defaults: dict[str, str] = call.recorded("default_models")[kind]
    vendors = call.backend.vendors
    return {name: model for name, model in defaults.items() if name.partition("-")[0] in vendors}


def provider_of(call: DriverCall, kind: str) -> Any:
    """The provider of ``image`` or ``video`` that the call names, if it does."""
    asked = call.args.get("provider") or call.asked
    if not call.backend.newer or not asked:
        return asked
    if asked == f"ai-{kind}":  # the driver of the interface names nobody
        return None
    return asked if asked.endswith("-generation") else f"{asked}-{kind}-generation"


def route_of(call: DriverCall, kind: str, name: str, provider: object) -> Model:
    """The offer of the model ``name`` by ``provider``, else the server's first choice."""
    routes = call.backend.catalogue(kind).routes(name)
    if not routes:
        raise bad_request(f"Model not found: {call.args.get('model')}")
    return next((route for route in routes if route["provider"] == provider), routes[0])


def vendor_named(call: DriverCall, service: str, *others: object) -> str | None:
    """Whom ``provider``, one of ``others`` or the driver names. Raises ApiError."""
    known, given = recorded("vendors")[service], call.args.get("provider")
    words = (str(word).strip().lower() for word in (given, *others, call.asked))
    found = [known["names"].get(word) for word in words]
    if given and found[0] is None:
        raise bad_request(known["unknown"].format(given))
    return next(filter(None, found), None)


def require_vendor(call: DriverCall, service: str, vendor: str) -> None:
    """Raises ApiError 500 for a vendor that is not set up."""
    if vendor not in call.backend.vendors:
        raise ApiError(500, recorded("vendors")[service]["missing"][vendor], "internal_error")


def load(
    call: DriverCall, value: object, *, limit: int | None = None, from_web: bool = False
) -> MediaInput:
    """A file of at most ``limit`` bytes by data URI, path or URL. Raises ApiError."""
    text, files = str(value), call.backend.files
    if text.startswith("data:"):
        return _from_data_uri(text, limit)
    if text.startswith(("http://", "https://")):
        if not from_web:
            raise bad_request("Invalid path")
        return _from_web(text)
    # Puter backend: a directory is refused as such before anybody asks whose it is.
    found = files.get(files.resolve(text, call.user.username))
    if found is not None and found.is_dir:
        raise bad_request("Expected a file, got a directory")
    entry = files.find(call.token, value)
    _check_size("File", entry.data, limit)
    return MediaInput(entry.name, entry.content_type or OCTETS, entry.data)


def _from_data_uri(uri: str, limit: int | None) -> MediaInput:
    found = _DATA_URI.match(uri)
    if not found:
        raise bad_request("Invalid data URL")
    kind, encoding, payload = found[1] or OCTETS, found[2] or "", found[3]
    if encoding.strip().lower() == "base64":
        data = decode_base64(payload)
    else:  # also with MIME parameters before the word base64: the sound is corrupt then
        data = unquote_to_bytes(payload)
    _check_size("Input", data, limit)
    subtype = kind.partition("/")[2].partition("+")[0] or "bin"
    return MediaInput(f"input.{subtype}", kind, data)


def _check_size(what: str, data: bytes, limit: int | None) -> None:
    if limit is not None and len(data) > limit:
        text = f"{what} exceeds max size ({limit} bytes)"
        raise ApiError(413, text, "storage_limit_reached")


def _from_web(url: str) -> MediaInput:
    parts = urlsplit(url)
    if re.fullmatch(r"[\d.]+|.*:.*", parts.hostname or ""):
        raise bad_request("IP-addressed URLs are not allowed")
    name = posixpath.basename(parts.path) or "input"
    return MediaInput(name, mime_of(None, name) or OCTETS, url=url)


def address_of(call: DriverCall, data: bytes, content_type: str) -> str:
    """A URL at which this server shows ``data`` to anybody, until a hundred others came."""
    kept = call.backend.samples
    path = f"/sample/{next(call.backend.sample_numbers)}.{content_type.partition('/')[2]}"
    kept[path] = data, content_type
    while len(kept) > _MOST_SAMPLES:
        del kept[next(iter(kept))]
    return f"http://{call.exchange.request.host}{path}"


def output_path(call: DriverCall) -> str | None:
    """Where an image or video goes as well. Raises ApiError before anything is made."""
    path = call.args.get("puter_output_path")
    denied = ApiError(403, "Write access denied for destination", "access_denied")
    return call.backend.files.place(call.token, path, denied) if path else None


def save(call: DriverCall, path: str | None, result: object, sample: bytes, kind: str) -> None:
    """Put what was made into the user's files; ``sample`` for URLs, as nothing is fetched."""
    if path is not None:
        call.backend.files.write(path, result if isinstance(result, bytes) else sample, kind)


async def send_audio(
    call: DriverCall, body: bytes | AudioBody, content_type: str
) -> web.StreamResponse:
    if isinstance(body, AudioBody):
        content_type, pace = body.content_type, body.pace
        return await call.exchange.stream(content_type, _silence(body.size), pace=pace)
    view = memoryview(body)
    pieces = [view[start : start + _PIECE] for start in range(0, len(body), _PIECE)]
    return await call.exchange.stream(content_type, pieces)


def _silence(size: int) -> Iterator[memoryview]:
    block = memoryview(samples.MP3_FRAME * 630)
    for start in range(0, size, len(block)):
        yield block[: size - start]
