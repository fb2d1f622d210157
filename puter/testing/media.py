"""What all media calls share: their inputs, scripted results, bills and vendors' failures."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from aiohttp import web

from puter.testing import samples
from puter.testing.fileroutes import decode_base64
from puter.testing.files import OCTETS, mime_of
from puter.testing.http import ApiError, bad_request, hang
from puter.testing.replies import Fault, UpstreamFailure, pause, upstream_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from puter.testing.drivers import DriverCall
    from puter.testing.metering import Bill

# Vendors of media that LocalPuter plays.
VENDORS = (
    "openai", "gemini", "together", "xai", "byteplus",
    "aws-polly", "elevenlabs", "speechify", "aws-textract", "mistral",
)  # fmt: skip

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

    @property
    def words(self) -> str | None:
        """What a picture or sound made by a LocalPuter says."""
        return samples.note_in(self.data)


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
        inputs: pictures, sounds and documents that came along.
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


async def ask_vendor(
    call: DriverCall, media: MediaCall, bill: Bill, refusal: str, least: float | None = None
) -> MediaResult | None:
    """The scripted result of a call that passed all checks, ``None`` when there is none.

    Args:
        call: who asks.
        media: what for.
        bill: what it costs.
        refusal: the text of a 402.
        least: micro-cents the user must have left; ``None`` = what it costs.

    Raises:
        ApiError: 402 when the user cannot pay, else as the vendor failed.
    """
    call.exchange.record.media = media
    call.backend.metering.require(call.user, bill.cost if least is None else least, refusal)
    result = await call.backend.script.media_answer(media)
    await pause(call.backend.latency)
    if isinstance(result, Fault):
        await pause(result.delay)
        if isinstance(result, UpstreamFailure):
            raise vendor_error(result, media.provider)
        return result
    call.backend.metering.charge(call.exchange.token, bill)
    return result


def vendor_error(failure: UpstreamFailure, provider: str) -> ApiError:
    """A vendor's failure as media calls report it."""
    status, message, code = upstream_error(failure.status, failure.message)
    extra: dict[str, Any] = {"upstreamStatus": failure.status}
    if failure.status < 500:
        message = failure.message
    if provider == "elevenlabs":
        extra = {"provider": provider, **extra}
        if failure.status < 500:
            message = f"ElevenLabs request failed (status {failure.status})"
    elif failure.code:
        extra["upstreamCode"] = failure.code
    return ApiError(status, message, code, **extra)


def load(
    call: DriverCall, value: object, *, limit: int | None = None, from_web: bool = False
) -> MediaInput:
    """A file input: data URI, path or reference. Raises ApiError.

    Args:
        call: who asks.
        value: the argument.
        limit: bytes it may have.
        from_web: URLs are allowed.
    """
    if isinstance(value, str) and value.startswith("data:"):
        return _from_data_uri(value, limit)
    if isinstance(value, str) and from_web and value.startswith(("http://", "https://")):
        return _from_web(value)
    reference = value if isinstance(value, dict) else {"path": value}
    path = reference.get("path")
    if isinstance(path, str) and path.rstrip("/") not in ("", posixpath.normpath(path)):
        raise bad_request("Invalid path")
    _refuse_directory_of_others(call, path)
    token, uid = call.exchange.token, reference.get("uid") or reference.get("uuid")
    entry = call.backend.files.find(token, path, uid)
    if entry.is_dir:
        raise bad_request("Expected a file, got a directory")
    if limit is not None and len(entry.data) > limit:
        raise _too_large("File", limit)
    return MediaInput(entry.name, entry.content_type or mime_of(entry.name) or OCTETS, entry.data)


def _refuse_directory_of_others(call: DriverCall, path: object) -> None:
    """Puter backend: a directory is refused as such before anybody asks whose it is."""
    if isinstance(path, str) and path.startswith(("/", "~")):
        entry = call.backend.files.get(call.backend.files.resolve(path, call.user.username))
        if entry is not None and entry.is_dir:
            raise bad_request("Expected a file, got a directory")


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
    if limit is not None and len(data) > limit:
        raise _too_large("Input", limit)
    subtype = kind.partition("/")[2].partition("+")[0] or "bin"
    return MediaInput(f"input.{subtype}", kind, data)


def _too_large(what: str, limit: int) -> ApiError:
    text = f"{what} exceeds max size ({limit} bytes)"
    return ApiError(413, text, "storage_limit_reached")


def _from_web(url: str) -> MediaInput:
    parts = urlsplit(url)
    try:
        ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        name = posixpath.basename(parts.path) or "input"
        return MediaInput(name, mime_of(name) or OCTETS, url=url)
    raise bad_request("IP-addressed URLs are not allowed")


def address_of(call: DriverCall, data: bytes, content_type: str) -> str:
    """A URL at which this server shows ``data`` to anybody."""
    request = call.exchange.request
    return f"http://{request.host}{call.backend.samples.keep(data, content_type)}"


def save(call: DriverCall, path: str | None, result: object, otherwise: bytes, kind: str) -> None:
    """Put what was made into the user's files, if that was asked for.

    Args:
        call: whose files.
        path: where to, ``None`` for nowhere.
        result: a data URI or URL.
        otherwise: the bytes, when ``result`` tells none: LocalPuter fetches nothing.
        kind: their type.
    """
    if path is None:
        return
    data = otherwise
    if isinstance(result, str) and result.startswith("data:"):
        made = _from_data_uri(result, None)
        data, kind = made.data, made.mime_type
    elif isinstance(result, str):
        data, kind = call.backend.samples.find(urlsplit(result).path) or (otherwise, kind)
    call.backend.files.write(path, data, kind, overwrite=True, parents=True)


async def send_audio(
    call: DriverCall, body: bytes | AudioBody, content_type: str
) -> web.StreamResponse:
    """Answer with audio, in pieces."""
    pace = 0.0
    if isinstance(body, AudioBody):
        content_type, pace = body.content_type, body.pace
    response = web.StreamResponse(headers={"Content-Type": content_type})
    response.enable_chunked_encoding()
    call.exchange.start(response)
    try:
        await response.prepare(call.exchange.request)
        for number, piece in enumerate(_pieces(body)):
            await pause(pace if number else 0)
            await response.write(piece)
        await response.write_eof()
    except ConnectionResetError:
        await hang()  # the client left, which cancels this request
    call.exchange.done()
    return response


def _pieces(body: bytes | AudioBody) -> Iterator[bytes | memoryview]:
    if isinstance(body, bytes):
        view = memoryview(body)
        for start in range(0, len(body), _PIECE):
            yield view[start : start + _PIECE]
        return
    block = samples.mp3_block()
    for start in range(0, body.size, len(block)):
        yield memoryview(block)[: body.size - start]
