"""Media calls on the wire: limits, advice on errors, reading results."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from puter.checks import did_you_mean
from puter.exceptions import (
    NEWER_SERVER,
    PuterAPIError,
    PuterBadRequestError,
    PuterEmptyResponseError,
    PuterInputError,
    PuterInsufficientFundsError,
    PuterModelNotFoundError,
    PuterResponseError,
)
from puter.types.media import Media
from puter.types.replies import Usage
from puter.types.text import OcrText, Transcript
from puter.wire.dialects.base import read_usage
from puter.wire.errors import unknown_shape
from puter.wire.http import HttpReply
from puter.wire.json import as_dict, as_dicts, as_str, as_str_or_none

M = TypeVar("M", bound=Media)

AUDIO_LIMIT = 26_214_400
"""Bytes of audio the server takes (Puter backend: 25 MiB, else 413)."""
OCR_LIMIT = 10 * 1024 * 1024
"""Bytes of an image or document for OCR by Textract (and puter.js refuses more)."""
MISTRAL_OCR_LIMIT = 36 * 1024 * 1024
"""Bytes of a document for OCR by Mistral: more does not fit into a request."""
SPEECH_LIMIT = 3000
"""Characters of a text to speak (puter.js refuses more)."""


# ---------------------------------------------------------------- errors


@dataclass(frozen=True, slots=True)
class _Advice:
    """What to do about a refused call of one interface."""

    names: str
    """Where its models and providers are told."""
    cheaper: str
    """What costs less."""
    kind: str = ""
    """Its kind of model in the catalogue, if any."""


_ADVICE = {
    "puter-image-generation": _Advice(
        "list_models(kind='image') has the models and their providers.",
        "a cheaper model, a lower quality or a smaller size",
        "image",
    ),
    "puter-video-generation": _Advice(
        "list_models(kind='video') has the models and their providers.",
        "a cheaper model, fewer seconds or a smaller size",
        "video",
    ),
    "puter-tts": _Advice(
        "list_engines('all') has the providers and models, list_voices('all') the voices.",
        "a cheaper engine or a shorter text",
    ),
    "puter-speech2txt": _Advice(
        "Without model= the server chooses; ai.call('puter-speech2txt', 'list_models', "
        "{'provider': 'all'}) lists them.",
        "a shorter recording",
    ),
    "puter-speech2speech": _Advice("Without model= and voice= the server chooses.", "less audio"),
    "puter-ocr": _Advice("Without model= the server chooses.", "fewer pages"),
}
_FLAGGED = {"moderation_flagged", "disallowed_value"}
_GAVE_UP = {"upstream_failed", "upstream_timeout"}
_ABOUT_NAMES = re.compile(r"\b(model|provider)\b", re.IGNORECASE)


def advise(
    error: PuterAPIError, interface: str, model: str, suggest: Callable[[str], tuple[str, ...]]
) -> None:
    """Give the error of a media call a hint that fits; those of other interfaces keep theirs.

    Args:
        error: The error.
        interface: The interface that was called.
        model: The model that was asked for, ``""`` when none was.
        suggest: ``suggest(kind)`` finds models of like names.
    """
    advice = _ADVICE.get(interface)
    if advice is None:
        return
    codes = {error.code, as_str_or_none(as_dict(error.body).get("errorCode"))}
    if isinstance(error, PuterInsufficientFundsError):
        error.hint = f"account_usage() tells what is left; {advice.cheaper} costs less."
    elif codes & _FLAGGED:
        error.hint = "The vendor's filter refused what was asked for: change it."
    elif codes & _GAVE_UP:
        error.hint = "The vendor did not finish: try again later, ask for less, or choose another "
        error.hint += "model."
    elif error.message.startswith("Translation"):
        error.hint = "Newer servers only transcribe: translate the transcript with chat()."
    elif isinstance(error, PuterBadRequestError) and _ABOUT_NAMES.search(error.message):
        near = suggest(advice.kind) if model and advice.kind else ()
        error.hint = f"{did_you_mean(near)} {advice.names}".strip()
        if isinstance(error, PuterModelNotFoundError):
            error.suggestions = near


# ---------------------------------------------------------------- results

MAY_BE_BILLED = "It may have been billed, so it was not asked for again."


def result_of(data: Any) -> Any:
    """The ``result`` of a successful envelope; None when the method returns nothing."""
    if not isinstance(data, dict):
        raise PuterResponseError("The answer has no envelope", body=data, hint=NEWER_SERVER)
    return data.get("result")


def read_spent(reply: HttpReply) -> tuple[str, Usage | None, Decimal | None]:
    """Model, tokens and US dollars, as far as an answer says: most say nothing of the price."""
    data = as_dict(reply.decoded()) if reply.stream is None else {}
    result = as_dict(data.get("result"))
    usage = result.get("usage")
    tokens, cost = read_usage(usage) if isinstance(usage, dict) else (None, None)
    return as_str(result.get("model")), tokens, cost


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
        try:
            media = kind.of(address)
        except PuterInputError:  # it quotes a part, and a part of a secret cannot be told
            raise PuterResponseError(
                f"The {kind.__name__.lower()} in the answer is neither a URL nor a data URI "
                "that can be decoded",
                body=result,
                hint=NEWER_SERVER,
            ) from None
        if media.url is None and not media.bytes:
            raise PuterEmptyResponseError(
                f"The answer holds no {kind.__name__.lower()}", body=result, hint=MAY_BE_BILLED
            )
        return media
    if is_inner_object(result):
        raise PuterResponseError(
            "OpenAI's video cannot be fetched from the answer: the server sent an inner object",
            hint="Pass puter_output_path='~/Videos/video.mp4'; the video is then in your Puter.",
            body={key: value for key, value in result.items() if key != "stream"},
        )
    raise PuterResponseError(
        f"The answer holds no {kind.__name__.lower()}", body=result, hint=NEWER_SERVER
    )


def is_inner_object(result: Any) -> bool:
    """Whether this is what becomes of a video by OpenAI on its way into JSON."""
    return isinstance(result, dict) and "stream" in result


def read_ocr(result: Any) -> OcrText:
    """The text of an OCR result, reduced as puter.js does: blocks, else pages, else the rest."""
    if isinstance(result, str):
        return OcrText(result, raw=result)
    if not isinstance(result, dict):
        raise unknown_shape("The OCR answer", result)
    blocks, pages = as_dicts(result.get("blocks")), as_dicts(result.get("pages"))
    lines = [
        str(one.get("text", ""))
        for one in blocks
        if str(one.get("type") or "text/").startswith("text/") and one.get("text")
    ]
    found = "\n".join(lines)
    if not found.strip():
        found = "\n\n".join(str(one["markdown"]) for one in pages if one.get("markdown"))
    found = found or as_str(result.get("document_annotation")) or as_str(result.get("text"))
    return OcrText(found, blocks=blocks, pages=pages, raw=result)


def read_transcript(result: Any) -> Transcript:
    """What was heard: an object with ``text``, or the text itself."""
    if isinstance(result, str):
        return Transcript(result, raw=result)
    if not isinstance(result, dict) or not isinstance(result.get("text"), str):
        raise unknown_shape("The transcript", result)
    return Transcript(
        result["text"],
        words=as_dicts(result.get("words")),
        segments=as_dicts(result.get("segments")),
        language=as_str_or_none(result.get("language")),
        raw=result,
    )
