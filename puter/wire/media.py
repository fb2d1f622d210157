"""Media calls on the wire: names that the server knows, bodies, and reading its results."""

from __future__ import annotations

import base64
import io
from typing import Any, TypeVar

from puter.checks import text_or_none as check_text_or_none
from puter.exceptions import PuterInputError, PuterResponseError
from puter.types.media import Media
from puter.types.text import OcrText, Transcript
from puter.wire.json import check_size, json_bytes, mappings, text, text_or_none

M = TypeVar("M", bound=Media)

AUDIO_LIMIT = 26_214_400
"""Bytes of audio the server takes (Puter backend: 25 MiB, else 413)."""
OCR_LIMIT = 10 * 1024 * 1024
"""Bytes of an image or document for OCR (puter.js refuses more than 10 MiB)."""
SPEECH_LIMIT = 3000
"""Characters of a text to speak (puter.js refuses more)."""

_IMAGE_PROVIDERS = ("openai", "gemini", "together", "cloudflare", "xai", "replicate", "byteplus")
_VIDEO_PROVIDERS = ("openai", "together", "gemini", "byteplus")


def image_provider(name: str | None) -> str | None:
    """``"openai"`` becomes the ``"openai-image-generation"`` that the server knows."""
    return _expanded(name, _IMAGE_PROVIDERS, "-image-generation")


def video_provider(name: str | None) -> str | None:
    """``"openai"`` becomes the ``"openai-video-generation"`` that the server knows."""
    return _expanded(name, _VIDEO_PROVIDERS, "-video-generation")


def _expanded(name: str | None, short: tuple[str, ...], suffix: str) -> str | None:
    name = check_text_or_none("provider", name)
    if name is None:
        return None
    bare = name.strip().lower()
    return bare + suffix if bare in short else name.strip()


def output_path(path: str | None) -> str | None:
    """Where the server saves a result: absolute, or under the home folder.

    Raises:
        PuterInputError: It is no path of a file.
    """
    if path is None:
        return None
    if not isinstance(path, str) or not path.strip() or path.strip() in ("/", "~", "~/"):
        raise PuterInputError(
            f"puter_output_path={path!r} is no file in your Puter",
            hint="Give a path such as '~/Pictures/cat.png'.",
        )
    return path if path.startswith(("/", "~/")) else f"~/{path}"


# ---------------------------------------------------------------- bytes in a body

_MARK = "puter-sdk-bytes-go-here"
_STEP = 3 * 2**16


def body_with_base64(
    payload: dict[str, Any], holder: dict[str, Any], key: str, prefix: str, data: bytes
) -> bytes:
    """The JSON of ``payload`` with ``holder[key]`` (inside it) the data in base64 after a prefix.

    The bytes are encoded piece by piece into place, so they are in memory only twice: as given,
    and as sent.

    Raises:
        PuterInputError: The payload cannot be written as JSON, or the body is over 50 MB.
    """
    holder.pop(key, None)
    holder[key] = _MARK  # as the last one, so that no text before it can be taken for the mark
    before, _, after = json_bytes(payload).rpartition(_MARK.encode())
    view = memoryview(data)
    before += prefix.encode()
    size = len(before) + (len(view) + 2) // 3 * 4 + len(after)
    check_size(size)
    body = io.BytesIO()  # gives its bytes away without a copy
    body.seek(size - 1)
    body.write(b"}")  # so that it never has to grow
    body.seek(0)
    body.write(before)
    for start in range(0, len(view), _STEP):
        body.write(base64.b64encode(view[start : start + _STEP]))
    body.write(after)
    return body.getvalue()


# ---------------------------------------------------------------- results


def result_of(data: Any) -> Any:
    """The ``result`` of a successful envelope; None when the method returns nothing."""
    if not isinstance(data, dict):
        raise PuterResponseError("The answer has no envelope", body=data, hint=_UNKNOWN)
    return data.get("result")


_UNKNOWN = "The server may be newer or older than this SDK understands."


def read_media(kind: type[M], result: Any) -> M:
    """An image, audio or video in a result: a data URI, a URL, or an object that holds one.

    Raises:
        PuterResponseError: It holds none.
    """
    address = result
    if isinstance(result, dict):
        found = (result.get(name) for name in ("url", "asset_url", "href", "src"))
        address = next((one for one in found if isinstance(one, str)), None)
    if isinstance(address, str) and address:
        return kind.of(address)
    if is_inner_object(result):
        raise PuterResponseError(
            "OpenAI's film cannot be fetched from the answer: the server sent an inner object",
            hint="Pass puter_output_path='~/Videos/film.mp4'; the film is then in your Puter.",
            body={key: value for key, value in result.items() if key != "stream"},
        )
    raise PuterResponseError(
        f"The answer holds no {kind.__name__.lower()}", body=result, hint=_UNKNOWN
    )


def is_inner_object(result: Any) -> bool:
    """Whether this is what becomes of a video by OpenAI on its way into JSON."""
    return isinstance(result, dict) and "stream" in result


def read_ocr(result: Any) -> OcrText:
    """The text of an OCR result, reduced as puter.js does: blocks, else pages, else the rest."""
    if isinstance(result, str):
        return OcrText(result, raw=result)
    if not isinstance(result, dict):
        raise PuterResponseError("The OCR answer has an unknown shape", body=result, hint=_UNKNOWN)
    blocks, pages = mappings(result.get("blocks")), mappings(result.get("pages"))
    lines = [
        str(one.get("text", ""))
        for one in blocks
        if str(one.get("type") or "text/").startswith("text/") and one.get("text")
    ]
    found = "\n".join(lines)
    if not found.strip():
        found = "\n\n".join(str(one["markdown"]) for one in pages if one.get("markdown"))
    found = found or text(result.get("document_annotation")) or text(result.get("text"))
    return OcrText(found, blocks=blocks, pages=pages, raw=result)


def read_transcript(result: Any) -> Transcript:
    """What was heard: an object with ``text``, or the text itself."""
    if isinstance(result, str):
        return Transcript(result, raw=result)
    if not isinstance(result, dict) or not isinstance(result.get("text"), str):
        raise PuterResponseError("The transcript has an unknown shape", body=result, hint=_UNKNOWN)
    return Transcript(
        result["text"],
        words=mappings(result.get("words")),
        segments=mappings(result.get("segments")),
        language=text_or_none(result.get("language")),
        raw=result,
    )
