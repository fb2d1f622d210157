"""Media calls on the wire: names the server knows, and reading its answers."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any, TypeVar

from puter.exceptions import PuterInputError, PuterResponseError
from puter.media import Media
from puter.results import OcrText, Transcript
from puter.wire.http import check_size, json_bytes

if TYPE_CHECKING:
    from puter.sources import Loaded

M = TypeVar("M", bound=Media)

AUDIO_LIMIT = 26_214_400
"""Bytes of sound the server takes (Puter backend: 25 MiB, else 413)."""
OCR_LIMIT = 10 * 1024 * 1024
"""Bytes of a picture or document for OCR (puter.js refuses more than 10 MiB)."""
SPEECH_LIMIT = 3000
"""Characters of a text to speak (puter.js refuses more)."""

_IMAGE_PROVIDERS = ("openai", "gemini", "together", "cloudflare", "xai", "replicate", "byteplus")
_VIDEO_PROVIDERS = ("openai", "together", "gemini", "byteplus")


def image_provider(name: str | None) -> str | None:
    """``"openai"`` becomes the ``"openai-image-generation"`` that the server knows."""
    return _expanded(name, _IMAGE_PROVIDERS, "-image-generation")


def video_provider(name: str | None) -> str | None:
    return _expanded(name, _VIDEO_PROVIDERS, "-video-generation")


def _expanded(name: str | None, short: tuple[str, ...], suffix: str) -> str | None:
    if name is None:
        return None
    bare = name.strip().lower()
    return bare + suffix if bare in short else name.strip()


def output_path(path: str | None) -> str | None:
    """Where the server saves a result: absolute, or under the home folder."""
    if path is None:
        return None
    if not isinstance(path, str) or not path.strip() or path.strip() in ("/", "~", "~/"):
        raise PuterInputError(
            f"puter_output_path={path!r} is no file in your Puter",
            hint="Give a path such as '~/Pictures/cat.png'.",
        )
    return path if path.startswith(("/", "~/")) else f"~/{path}"


def check_text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise PuterInputError(f"{name} must be a non-empty str, not {value!r}")


def given(**values: Any) -> dict[str, Any]:
    """The arguments that were given."""
    return {name: value for name, value in values.items() if value is not None}


def source_address(loaded: Loaded, kinds: tuple[str, ...], what: str) -> str | None:
    """A loaded source as the server takes it, None for bytes (they go in with ``body_with()``).

    Raises:
        PuterInputError: It is not of these kinds.
    """
    if loaded.mime_type and not loaded.mime_type.startswith(kinds):
        raise PuterInputError(
            f"{loaded.name or 'The data'} is {loaded.mime_type}, not {what}",
            hint=f"Pass {what}, or say what it is: (data, '{kinds[0]}...').",
        )
    if loaded.data is not None and not loaded.mime_type:
        raise PuterInputError(
            f"{loaded.name or 'The data'} is of no known kind",
            hint=f"Say what it is, such as (data, '{kinds[0]}png')."
            if kinds[0] == "image/"
            else f"Say what it is, such as (data, '{kinds[0]}wav').",
        )
    return loaded.path if loaded.path is not None else loaded.url


def put_source(
    args: dict[str, Any], key: str, loaded: Loaded, kinds: tuple[str, ...], what: str
) -> tuple[str, Loaded] | None:
    """Put a loaded source into the arguments; bytes are returned, to be encoded into place."""
    args[key] = source_address(loaded, kinds, what)
    return (key, loaded) if loaded.data is not None else None


_MARK = "puter-sdk-bytes-go-here"
_STEP = 3 * 2**16


def body_with(payload: dict[str, Any], holder: dict[str, Any], key: str, loaded: Loaded) -> bytes:
    """The JSON of ``payload`` with ``holder[key]`` (inside it) the data URI of loaded bytes.

    The bytes are encoded piece by piece into place, so they are in memory only twice: as given,
    and as sent.
    """
    return body_with_base64(payload, holder, key, f"data:{loaded.mime_type};base64,", loaded.data)


def body_with_base64(
    payload: dict[str, Any], holder: dict[str, Any], key: str, prefix: str, data: bytes | None
) -> bytes:
    holder.pop(key, None)
    holder[key] = _MARK  # as the last one, so that no text before it can be taken for the mark
    before, _, after = json_bytes(payload).rpartition(_MARK.encode())
    view = memoryview(data or b"")
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


# ---------------------------------------------------------------- back


def result_of(data: Any) -> Any:
    """The ``result`` of a successful envelope; None when the method returns nothing."""
    if not isinstance(data, dict):
        raise PuterResponseError("The answer has no envelope", body=data, hint=_UNKNOWN)
    return data.get("result")


_UNKNOWN = "The server may be newer or older than this SDK understands."


def read_media(kind: type[M], result: Any) -> M:
    """A picture, sound or film in a result: a data URI, a URL, or an object that holds one.

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
    """Whether this is what becomes of a film by OpenAI on its way into JSON."""
    return isinstance(result, dict) and "stream" in result


def read_ocr(result: Any) -> OcrText:
    """The text of an OCR result, reduced as puter.js does: blocks, else pages, else the rest."""
    if isinstance(result, str):
        return OcrText(result, raw=result)
    if not isinstance(result, dict):
        raise PuterResponseError("The OCR answer has an unknown shape", body=result, hint=_UNKNOWN)
    blocks = _dicts(result.get("blocks"))
    pages = _dicts(result.get("pages"))
    lines = [
        str(one.get("text", ""))
        for one in blocks
        if str(one.get("type") or "text/").startswith("text/") and one.get("text")
    ]
    text = "\n".join(lines)
    if not text.strip():
        text = "\n\n".join(str(one["markdown"]) for one in pages if one.get("markdown"))
    for key in ("document_annotation", "text"):
        text = text or (result[key] if isinstance(result.get(key), str) else "")
    return OcrText(text, blocks=blocks, pages=pages, raw=result)


def read_transcript(result: Any) -> Transcript:
    """What was heard: an object with ``text``, or the text itself."""
    if isinstance(result, str):
        return Transcript(result, raw=result)
    if not isinstance(result, dict) or not isinstance(result.get("text"), str):
        raise PuterResponseError("The transcript has an unknown shape", body=result, hint=_UNKNOWN)
    language = result.get("language")
    return Transcript(
        result["text"],
        words=_dicts(result.get("words")),
        segments=_dicts(result.get("segments")),
        language=language if isinstance(language, str) else None,
        raw=result,
    )


def _dicts(value: Any) -> tuple[dict[str, Any], ...]:
    return tuple(one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()
