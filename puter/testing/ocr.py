"""Text in pictures: the interface ``puter-ocr``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from puter.testing.http import ApiError, bad_request, internal_error
from puter.testing.media import MediaCall, MediaInput, ask_vendor, load
from puter.testing.metering import Bill
from puter.testing.replies import Fault

if TYPE_CHECKING:
    from aiohttp import web

    from puter.testing.drivers import DriverCall

SAMPLE: dict[str, Any] = {
    "blocks": [
        {
            "type": "text/puter:sample-output",
            "confidence": 1,
            "text": "test_mode is enabled; this is a sample OCR response.",
        }
    ]
}

_ALIASES = {
    "aws": "aws-textract",
    "textract": "aws-textract",
    "aws-textract": "aws-textract",
    "mistral": "mistral",
    "mistral-ocr": "mistral",
}
_PROVIDERS = ("aws-textract", "mistral")
# Puter backend: micro-cents a page.
_PRICES = {
    "aws-textract": ("aws-textract:detect-document-text:page", 150_000),
    "mistral": ("mistral-ocr:ocr:page", 100_000),
}


async def recognize(call: DriverCall) -> web.StreamResponse | Fault:
    """The method ``recognize``."""
    args = call.args
    if args.get("test_mode"):
        return call.result(SAMPLE)
    provider = _choose(call)
    source = args.get("source")
    source = args.get("file") if source is None else source
    if not source:
        raise bad_request("`source` is required")
    document = load(call, source, from_web=True)
    if provider not in call.backend.vendors:
        names = {"aws-textract": "AWS credentials not configured"}
        text = names.get(provider, "Mistral OCR not configured")
        raise ApiError(500, text, "internal_error")
    pages = _pages(args)
    key, price = _PRICES[provider]
    bill = Bill(key, len(pages), len(pages) * price)
    model = "textract" if provider == "aws-textract" else args.get("model") or "mistral-ocr-latest"
    media = MediaCall(
        interface="puter-ocr",
        method="recognize",
        args=args,
        user=call.user.username,
        provider=provider,
        model=str(model),
        inputs=(document,),
        chosen={"pages": pages},
    )
    result = await ask_vendor(call, media, bill, "Insufficient credits")
    if isinstance(result, Fault):
        return result
    if isinstance(result, Mapping):
        return call.result(result)
    if result is not None and not isinstance(result, str):
        raise internal_error()
    text = _read(document) if result is None else result
    return call.result(_textract(text) if provider == "aws-textract" else _mistral(media, text))


def _choose(call: DriverCall) -> str:
    given = call.args.get("provider")
    if given:
        named = _ALIASES.get(given.strip().lower()) if isinstance(given, str) else None
        if named is None:
            available = ", ".join(_PROVIDERS)
            raise bad_request(f"Unknown OCR provider: {given}. Available: {available}")
        return named
    present = [name for name in _PROVIDERS if name in call.backend.vendors]
    named = _ALIASES.get(call.asked or "") or next(iter(present), None)
    if named is None:
        raise ApiError(500, "No OCR provider configured", "internal_error")
    return named


def _pages(args: Mapping[str, Any]) -> list[int]:
    pages = args.get("pages")
    numbers = pages if isinstance(pages, list) else []
    return [page for page in numbers if isinstance(page, int)] or [0]


def _read(document: MediaInput) -> str:
    if document.words is not None:
        return document.words
    if document.mime_type.startswith("text/"):
        return document.data.decode(errors="replace")
    return f"LocalPuter read {document.url or document.name}"


def _textract(text: str) -> dict[str, Any]:
    blocks = [
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
