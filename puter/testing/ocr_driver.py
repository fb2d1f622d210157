"""Text in images and documents: the interface ``puter-ocr``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from puter.testing.media_call import (
    MediaCall,
    MediaInput,
    alias,
    load,
    media_call,
    text_from_vendor,
)
from puter.testing.metering import Bill
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request

if TYPE_CHECKING:
    from aiohttp import web

    from puter.testing.driver_calls import DriverCall

_NAMES = {
    **dict.fromkeys(("aws", "textract", "aws-textract"), "aws-textract"),
    **dict.fromkeys(("mistral", "mistral-ocr"), "mistral"),
}
_UNKNOWN = "Unknown OCR provider: {}. Available: aws-textract, mistral"
_MISSING = {
    "aws-textract": "AWS credentials not configured",
    "mistral": "Mistral OCR not configured",
}
# Puter backend: micro-cents a page.
_PRICES = {
    "aws-textract": ("aws-textract:detect-document-text:page", 150_000),
    "mistral": ("mistral-ocr:ocr:page", 100_000),
}


async def recognize(call: DriverCall) -> web.StreamResponse:
    args = call.args
    if args.get("test_mode"):
        return call.result(recorded("ocr_sample"))
    provider = _choose(call)
    source = args.get("source")
    source = args.get("file") if source is None else source
    if not source:
        raise bad_request("`source` is required")
    document = load(call, source, from_web=True)
    if provider not in call.backend.vendors:
        raise ApiError(500, _MISSING[provider], "internal_error")
    given = args.get("pages")
    pages = [page for page in given if isinstance(page, int)] if isinstance(given, list) else []
    pages = pages or [0]
    key, price = _PRICES[provider]
    bill = Bill(key, len(pages), len(pages) * price)
    model = "textract" if provider == "aws-textract" else args.get("model") or "mistral-ocr-latest"
    media = media_call(call, provider, model, inputs=(document,), pages=pages)
    text = await text_from_vendor(call, media, bill, _read(document))
    if isinstance(text, Mapping):
        return call.result(text)
    return call.result(_textract(text) if provider == "aws-textract" else _mistral(media, text))


def _choose(call: DriverCall) -> str:
    present = [name for name in _PRICES if name in call.backend.vendors]
    named = alias(call, _NAMES, _UNKNOWN) or _NAMES.get(call.asked or "")
    named = named or next(iter(present), None)
    if named is None:
        raise ApiError(500, "No OCR provider configured", "internal_error")
    return named


def _read(document: MediaInput) -> str:
    if document.mime_type.startswith("text/"):
        return document.data.decode(errors="replace")
    return f"LocalPuter read {document.url or document.name}"


def _textract(text: str) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [
        {"type": "text/textract:LINE", "confidence": 98.5, "text": line}
        for line in text.splitlines()
    ]
    title = {"type": "text/textract:LAYOUT_TITLE", "confidence": 97, "text": ""}
    return {"blocks": [*blocks, title]}


def _mistral(media: MediaCall, text: str) -> dict[str, Any]:
    numbers = media.chosen["pages"]
    page = {"markdown": text, "images": [], "dimensions": {"dpi": 200, "height": 1, "width": 1}}
    blocks = [
        {"type": "text/mistral:LINE", "text": line.strip(), "page": number}
        for number in numbers
        for line in text.splitlines()
        if line.strip()
    ]
    size = sum(len(document.data) for document in media.inputs)
    return {
        "model": media.model,
        "pages": [{"index": number, **page} for number in numbers],
        "usage_info": {"pagesProcessed": len(numbers), "docSizeBytes": size},
        "blocks": blocks,
        "text": "\n".join(str(block["text"]) for block in blocks),
    }
