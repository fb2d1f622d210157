"""Pictures from text, and text from pictures."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from puter.exceptions import PuterInputError
from puter.flow import Flow, ask
from puter.media import Image
from puter.operations.raw import invoke, result
from puter.sources import listed, load
from puter.wire.media import (
    OCR_LIMIT,
    check_text,
    given,
    image_provider,
    output_path,
    put_source,
    read_media,
    read_ocr,
    result_of,
    source_address,
)

if TYPE_CHECKING:
    from puter.exchange import Call
    from puter.results import OcrText


def txt2img(
    call: Call,
    prompt: Any,
    *,
    model: str | None,
    provider: str | None,
    input_images: Any,
    ratio: Any,
    puter_output_path: str | None,
    test_mode: bool,
    extra: Any,
    timeout: float | None,
    **options: Any,
) -> Flow[Image]:
    if not test_mode or prompt is not None:
        check_text("prompt", prompt)
    pictures = yield from addresses("input_images", input_images)
    args = given(
        prompt=prompt,
        model=model,
        provider=image_provider(provider),
        ratio=_ratio(ratio),
        input_images=pictures or None,
        puter_output_path=output_path(puter_output_path),
        test_mode=test_mode or None,
        **options,
    )
    args.update(extra or {})
    # No driver: with one and without a model the server answers 400.
    found = yield from result(
        call, "puter-image-generation", "generate", args, timeout=timeout or call.config.timeout
    )
    return read_media(Image, found)._through(call.config)


def addresses(name: str, sources: Any) -> Flow[list[str]]:
    """Pictures that go along with a prompt, as URLs and data URIs."""
    found = []
    for source in listed(name, sources):
        loaded = yield from ask(load, source)
        address = source_address(loaded, ("image/",), "a picture")
        if loaded.path is not None:
            raise PuterInputError(
                f"{name} takes no files of your Puter", hint="Read it with read_file() first."
            )
        found.append(address or Image(loaded.data, mime_type=loaded.mime_type).data_uri())
    return found


def _ratio(ratio: Any) -> Any:
    """``(16, 9)``, ``"16:9"`` and ``{"w": 16, "h": 9}`` are the same."""
    if ratio is None or isinstance(ratio, dict):
        return ratio
    pair = ratio.replace("x", ":").split(":") if isinstance(ratio, str) else ratio
    try:
        width, height = (float(one) for one in pair)
    except (TypeError, ValueError):
        width = height = 0
    if width <= 0 or height <= 0:
        raise PuterInputError(
            f"ratio={ratio!r} is not valid", hint="Give (16, 9), '16:9' or (1024, 1024)."
        )
    return {"w": _whole(width), "h": _whole(height)}


def _whole(number: float) -> float:
    return int(number) if number.is_integer() else number


def img2txt(
    call: Call, source: Any, *, test_mode: bool, extra: Any, timeout: float | None, **options: Any
) -> Flow[OcrText]:
    args = given(test_mode=test_mode or None, **options)
    blob = None
    if source is not None or not test_mode:
        loaded = yield from ask(partial(load, limit=OCR_LIMIT), source)
        kinds = ("image/", "application/pdf", "application/octet-stream")
        blob = put_source(args, "source", loaded, kinds, "a picture or a PDF")
    args.update(extra or {})
    reply = yield from invoke(
        call,
        "puter-ocr",
        "recognize",
        args,
        driver="ai-ocr",
        blob=blob,
        timeout=timeout or call.config.timeout,
    )
    return read_ocr(result_of(reply.data))
