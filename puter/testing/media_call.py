"""What all media calls share: their inputs, scripted results, bills and vendors' failures."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from puter.testing import catalogue, samples
from puter.testing.exchange import pause
from puter.testing.file_tree import OCTETS, decode_base64, mime_of
from puter.testing.refusals import ApiError, bad_request, internal_error
from puter.testing.replies import Fault, FaultRaised, UpstreamFailure, upstream_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from puter.testing.catalogue import Model
    from puter.testing.driver_calls import DriverCall
    from puter.testing.metering import Bill

# Puter backend: bytes of a sound to be transcribed or converted.
MAX_SOUND = 26_214_400
# Puter backend: what test mode answers instead of audio.
SAMPLE_AUDIO = "https://puter-sample-data.puter.site/tts_example.mp3"

_DATA_URI = re.compile(r"data:([^;,]+)?(?:;([^,]*))?,(.*)$", re.DOTALL)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PIECE = 16 * 1024


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


MediaResult: TypeAlias = "bytes | str | Mapping[str, Any] | AudioBody | Fault"
MediaResponder: TypeAlias = "Callable[[MediaCall], MediaResult | Awaitable[MediaResult]]"
Result: TypeAlias = "bytes | str | Mapping[str, Any] | AudioBody | None"


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
    call: DriverCall, media: MediaCall, bill: Bill, refusal: str, least: float | None = None
) -> Result:
    """The scripted result of a call that passed all checks, ``None`` when there is none.

    ``least`` are the micro-cents the user must have left, by default what the call costs.

    Raises:
        ApiError: 402 with the text ``refusal``, or as the vendor failed.
        FaultRaised: the script holds a fault.
    """
    call.exchange.record.media = media
    call.backend.metering.require(call.user, bill.cost if least is None else least, refusal)
    result = await call.backend.script.media_answer(media)
    await pause(call.backend.latency)
    if isinstance(result, Fault):
        await pause(result.delay)
        if isinstance(result, UpstreamFailure):
            raise _vendor_error(result, media.provider)
        raise FaultRaised(result)
    call.backend.metering.charge(call.token, bill)
    return result


async def text_from_vendor(
    call: DriverCall, media: MediaCall, bill: Bill, otherwise: str
) -> str | Mapping[str, Any]:
    """`ask_vendor` for methods that answer in text; ``otherwise`` is the text without a script."""
    result = await ask_vendor(call, media, bill, "Insufficient credits")
    if result is None:
        return otherwise
    if not isinstance(result, str | Mapping):
        raise internal_error()
    return result


def _vendor_error(failure: UpstreamFailure, provider: str) -> ApiError:
    """A vendor's failure as media calls report it."""
    status, message, code = upstream_error(failure.status, failure.message)
    extra: dict[str, Any] = {"upstreamStatus": failure.status}
    told = failure.message
    if provider == "elevenlabs":
        extra["provider"] = provider
        told = f"ElevenLabs request failed (status {failure.status})"
    elif failure.code:
        extra["upstreamCode"] = failure.code
    message = told if failure.status < 500 else message
    return ApiError(status, message, code, **extra)


def route_of(call: DriverCall, kind: str, name: str, provider: object) -> Model:
    """The offer of the model ``name`` by ``provider``, else the server's first choice."""
    routes = catalogue.load(kind, call.backend.vendors).routes(name)
    if not routes:
        raise bad_request(f"Model not found: {call.args.get('model')}")
    return next((route for route in routes if route["provider"] == provider), routes[0])


def alias(call: DriverCall, names: Mapping[str, str], refusal: str) -> str | None:
    """What the argument ``provider`` names; ``refusal`` has ``{}`` in place of an unknown one."""
    given = call.args.get("provider")
    if given in (None, ""):
        return None
    found = names.get(given.strip().lower()) if isinstance(given, str) else None
    if found is None:
        raise bad_request(refusal.format(given))
    return found


def load(
    call: DriverCall, value: object, *, limit: int | None = None, from_web: bool = False
) -> MediaInput:
    """A file of at most ``limit`` bytes by data URI, path, reference or URL. Raises ApiError."""
    if isinstance(value, str) and value.startswith("data:"):
        return _from_data_uri(value, limit)
    if isinstance(value, str) and from_web and value.startswith(("http://", "https://")):
        return _from_web(value)
    reference = value if isinstance(value, dict) else {"path": value}
    path, files = reference.get("path"), call.backend.files
    if isinstance(path, str):
        if path.rstrip("/") not in ("", posixpath.normpath(path)):
            raise bad_request("Invalid path")
        # Puter backend: a directory is refused as such before anybody asks whose it is.
        found = files.get(files.resolve(path, call.user.username))
        if found is not None and found.is_dir and path.startswith(("/", "~")):
            raise bad_request("Expected a file, got a directory")
    entry = files.find(call.token, path, reference.get("uid") or reference.get("uuid"))
    if entry.is_dir:
        raise bad_request("Expected a file, got a directory")
    _check_size("File", entry.data, limit)
    return MediaInput(entry.name, entry.content_type or mime_of(entry.name) or OCTETS, entry.data)


def _from_data_uri(uri: str, limit: int | None) -> MediaInput:
    found = _DATA_URI.match(uri)
    if not found:
        raise bad_request("Invalid data URL")
    kind, encoding, payload = found[1] or OCTETS, found[2] or "", found[3]
    if encoding.strip().lower() == "base64":
        data = decode_base64(payload)
    else:  # also with MIME parameters before the word base64: the sound is corrupt then
        if _BAD_ESCAPE.search(payload):
            raise ApiError(400, "Bad request URL", "client_bad_url")
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
    try:
        ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        name = posixpath.basename(parts.path) or "input"
        return MediaInput(name, mime_of(name) or OCTETS, url=url)
    raise bad_request("IP-addressed URLs are not allowed")


def address_of(call: DriverCall, data: bytes, content_type: str) -> str:
    """A URL at which this server shows ``data`` to anybody, as long as it runs."""
    kept = call.backend.samples
    path = f"/sample/{len(kept) + 1}.{content_type.partition('/')[2]}"
    kept[path] = data, content_type
    return f"http://{call.exchange.request.host}{path}"


def save(call: DriverCall, path: str | None, result: object, otherwise: bytes, kind: str) -> None:
    """Put what was made into the user's files, if a ``path`` was given.

    ``otherwise`` are the bytes when ``result`` is a URL of somebody else's: nothing is fetched.
    """
    if path is None:
        return
    data = otherwise
    if isinstance(result, str) and result.startswith("data:"):
        made = _from_data_uri(result, None)
        data, kind = made.data, made.mime_type
    elif isinstance(result, str):
        data, kind = call.backend.samples.get(urlsplit(result).path) or (otherwise, kind)
    call.backend.files.write(path, data, kind, overwrite=True, parents=True)


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
