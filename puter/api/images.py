"""Images from text, and text from images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypedDict

from puter.api.downloads import attach_download
from puter.api.drivers import driver_args, invoke, media_provider, output_path, result
from puter.api.sources import ResolvedSource, listed, media_source
from puter.checks import Range, text, text_or_none
from puter.engine.context import CallContext
from puter.engine.effects import Flow
from puter.exceptions import PuterInputError, repr_of
from puter.options import Timeout, validate_options
from puter.types.media import Image
from puter.types.puter_file import Source
from puter.types.text import OcrText
from puter.wire.media import MISTRAL_OCR_LIMIT, OCR_LIMIT, read_media, read_ocr, result_of
from puter.wire.pieces import Base64

if TYPE_CHECKING:
    from typing_extensions import Unpack


class ImageOptions(TypedDict, total=False):
    """Options of ``txt2img()`` that are passed on as they are."""

    quality: str | None
    width: Annotated[int | None, Range(1)]
    height: Annotated[int | None, Range(1)]
    aspect_ratio: str | None
    negative_prompt: str | None
    seed: int | None
    steps: Annotated[int | None, Range(1)]
    n: Annotated[int | None, Range(1)]
    image_url: str | None
    image_base64: str | None
    mask_image_url: str | None
    mask_image_base64: str | None
    prompt_strength: float | None
    guidance: float | None
    style: str | None
    contrast: str | float | None
    generation_mode: str | None
    prompt_enhance: bool | None
    prompt_upsampling: bool | None
    go_fast: bool | None
    output_quality: int | None
    output_megapixels: str | None
    response_format: str | None
    safety_tolerance: int | None
    disable_safety_checker: bool | None
    timeout: Timeout
    extra: Mapping[str, Any] | None


_IMAGE_HINTS = {
    "size": "Use ratio=(1024, 1024), or width= and height=.",
    "image": "Use input_images=...",
    "input_image": "Use input_images=...",
    "num_images": "Use n=...",
}


def txt2img(
    call: CallContext,
    prompt: str | None = None,
    model: str | None = None,
    *,
    provider: str | None = None,
    ratio: str | tuple[float, float] | dict[str, float] | None = None,
    input_images: Source | Sequence[Source] | None = None,
    puter_output_path: str | None = None,
    test_mode: bool = False,
    **options: Unpack[ImageOptions],
) -> Flow[Image]:
    """Generate an image from text.

    Each option names the providers that read it; the others ignore it. Left out or None: the
    default of the model. Ranges are those of the Puter backend and of the providers.

    Args:
        prompt: What the image shows. Required unless ``test_mode``.
        model: Name of the model, such as ``gpt-image-2`` or ``gemini-3.1-flash-image``. Default:
            the provider's; without a provider, that of the first one the server has.
        provider: ``openai``, ``gemini``, ``together``, ``cloudflare``, ``xai``, ``replicate``,
            ``byteplus``, or a name as ``list_model_providers(kind="image")`` has it. Newer servers
            refuse ``together``.
        ratio: Aspect ratio or size: ``"16:9"``, ``(16, 9)``, ``(1024, 1024)``, ``"1024x1024"`` or
            ``{"w": 16, "h": 9}``. All providers. A size that the model does not have is silently
            replaced by its default.
        input_images: One or more images to start from, each a path, bytes, ``(bytes, MIME type)``,
            an open file, a URL, a PIL image or an ``Image``. Together and Cloudflare take 1, xAI 3,
            on newer servers 5.
        puter_output_path: Also save the image to this file in your Puter: absolute or under
            ``~/``. Default: not saved.
        test_mode: Return a sample image, free of charge.
        quality: ``low`` (default), ``medium`` or ``high`` (OpenAI); ``512``, ``1K``, ``2K`` or
            ``4K`` (Gemini); ``1k`` or ``2k`` (xAI). A value that the model does not have is
            silently replaced by its default; newer servers refuse it for Gemini.
        width: Pixels, 1 or more; together with ``height``, instead of ``ratio``. All providers.
        height: Pixels, 1 or more.
        aspect_ratio: Such as ``"16:9"``, instead of ``ratio``. All providers.
        negative_prompt: What the image must not show. Together, some models of Cloudflare.
        seed: Start value of the random generator: the same seed and arguments give the same image.
            Together, Cloudflare, FLUX on Replicate.
        steps: Number of diffusion steps: more take longer and show more detail. 1 to 50
            (Together); 1 to the model's own maximum (Cloudflare, FLUX.1 Schnell on Replicate).
        n: Number of images to generate, 1 or more. The server returns one, whatever this is.
        image_url: URL of an image to start from. Together.
        image_base64: An image to start from, in base64. Together.
        mask_image_url: URL of a mask for that image: the part that may change. Together.
        mask_image_base64: The mask in base64. Together.
        prompt_strength: How far the result may differ from the image it starts from: 0 (not at
            all) to 1. Together.
        guidance: How closely the image follows the prompt, usually 1 to 10. Cloudflare, FLUX.2
            Klein 9B on Replicate.
        style: Name of a style of the model. Leonardo on Replicate.
        contrast: ``"low"``, ``"medium"`` or ``"high"``. Leonardo on Replicate.
        generation_mode: ``"standard"`` (default) or ``"ultra"`` (Lucid Origin); ``"fast"``,
            ``"quality"`` (default) or ``"ultra"`` (Phoenix). Leonardo on Replicate. It decides the
            price.
        prompt_enhance: Let the provider rewrite the prompt for a better image. Leonardo on
            Replicate.
        prompt_upsampling: Let the provider rewrite the prompt for a better image. FLUX 1.1 Pro on
            Replicate.
        go_fast: Faster and cheaper, at lower quality. Default: True. FLUX.2 Dev on Replicate.
        output_quality: Compression quality of the file, 0 to 100 (best); PNG has none. FLUX on
            Replicate.
        output_megapixels: Size of the image in millions of pixels, such as ``"1"`` or ``"0.25"``.
            FLUX on Replicate.
        response_format: ``"base64"`` or ``"url"``, how the image travels to the server
            (Together); the format of the file, such as ``"png"`` or ``"webp"`` (FLUX on
            Replicate).
        safety_tolerance: How much the safety filter lets through: 1 (least) to 5 or 6, by model.
            FLUX.2 Pro and FLUX 1.1 Pro on Replicate.
        disable_safety_checker: Turn the safety filter off. Default: False. Together, FLUX on
            Replicate.
        timeout: Seconds to wait for the server's next bytes, above 0. Default: ``config.timeout``.
        extra: More arguments for the server, merged in last.

    Returns:
        The image: its bytes, or a URL that is fetched when they are read or saved.

    Raises:
        TypeError: An option is unknown; the message suggests the nearest.
        PuterInputError: An argument is wrong; nothing was sent.
        PuterModelNotFoundError: The server does not know the model.
        PuterInsufficientFundsError: The account's allowance does not cover the call.
        PuterUpstreamError: The provider failed.
        PuterError: Anything else, as for ``chat()``.

    Examples:
        >>> print(ai.txt2img("A cat on a boat").save("cat"))
        cat.png
    """
    validate_options(txt2img, options, ImageOptions, _IMAGE_HINTS)
    if not test_mode or prompt is not None:
        text("prompt", prompt)
    args = driver_args(
        options,
        prompt=prompt,
        model=text_or_none("model", model),
        provider=media_provider(call, provider, "image"),
        ratio=_ratio(ratio),
        input_images=(yield from image_addresses("input_images", input_images)) or None,
        puter_output_path=output_path(puter_output_path),
        test_mode=test_mode,
    )
    # No driver: with one and without a model the server answers 400.
    found = yield from result(
        call, "puter-image-generation", "generate", args, timeout=options.get("timeout")
    )
    return attach_download(read_media(Image, found), call)


Address: TypeAlias = str | Base64
"""A URL, or what becomes a data URI."""


def image_addresses(name: str, sources: Source | Sequence[Source] | None) -> Flow[list[Address]]:
    """Images that go along with a prompt, as URLs and data URIs."""
    found: list[Address] = []
    for source in listed(name, sources):
        resolved = yield from media_source(source, None, ("image/",), "an image")
        if resolved.path is not None:
            raise PuterInputError(
                f"{name} takes no files of your Puter", hint="Read it with read_file() first."
            )
        prefix = f"data:{resolved.mime_type};base64,"
        found.append(resolved.url or Base64(prefix, resolved.data or b""))
    return found


def _ratio(ratio: Any) -> Any:
    """``(16, 9)``, ``"16:9"`` and ``{"w": 16, "h": 9}`` are the same."""
    if ratio is None or isinstance(ratio, dict):
        return ratio
    pair = ratio.replace("x", ":").split(":") if isinstance(ratio, str) else ratio
    try:
        width, height = (float(one) for one in pair)
    except (TypeError, ValueError, OverflowError):
        width = height = 0
    if width <= 0 or height <= 0:
        raise PuterInputError(
            f"ratio={repr_of(ratio)} is not valid", hint="Give (16, 9), '16:9' or (1024, 1024)."
        )
    return {"w": _whole(width), "h": _whole(height)}


def _whole(number: float) -> float:
    return int(number) if number.is_integer() else number


class OcrOptions(TypedDict, total=False):
    """Options of ``img2txt()`` that are passed on as they are."""

    provider: str | None
    model: str | None
    pages: Sequence[int] | None
    include_image_base64: bool | None
    image_limit: int | None
    image_min_size: int | None
    bbox_annotation_format: Mapping[str, Any] | None
    document_annotation_format: Mapping[str, Any] | None
    document_annotation_prompt: str | None
    table_format: str | None
    extract_header: bool | None
    extract_footer: bool | None
    timeout: Timeout
    extra: Mapping[str, Any] | None


_OCR_HINTS = {"image": "Pass the image as source.", "file": "Pass the file as source."}
_CAMEL_CASE = {
    "include_image_base64": "includeImageBase64",
    "image_limit": "imageLimit",
    "image_min_size": "imageMinSize",
    "bbox_annotation_format": "bboxAnnotationFormat",
    "document_annotation_format": "documentAnnotationFormat",
    "document_annotation_prompt": "documentAnnotationPrompt",
    "table_format": "tableFormat",
    "extract_header": "extractHeader",
    "extract_footer": "extractFooter",
}
_DOCUMENTS = ("image/", "application/pdf", "application/octet-stream")
_OFFICE = (*_DOCUMENTS, "application/vnd.", "application/zip")  # DOCX and the like


def img2txt(
    call: CallContext,
    source: Source | None = None,
    *,
    test_mode: bool = False,
    **options: Unpack[OcrOptions],
) -> Flow[OcrText]:
    """Read the text in an image or document (OCR).

    Args:
        source: An image or PDF, 10 MiB at most; with ``provider="mistral"`` 36 MiB, and Word and
            PowerPoint files too. A path, bytes, ``(bytes, MIME type)``, an open file, a URL, a PIL
            image, an ``Image`` or a ``PuterFile``. Textract reads PDFs of one page. Required unless
            ``test_mode``.
        test_mode: Return a sample text, free of charge.
        provider: ``aws-textract`` or ``mistral``. Default: the first that the server has.
        model: Name of a model of the provider. Default: the provider's.
        pages: Numbers of the pages to read, from 0. Default: all (Mistral).
        include_image_base64: Also return the images in the document, in base64 (Mistral). Default:
            False.
        image_limit: Number of images returned at most (Mistral). Default: all.
        image_min_size: Pixels that an image must have to be returned, in width and in height
            (Mistral). Default: any.
        bbox_annotation_format: JSON Schema for annotations of images (Mistral).
        document_annotation_format: JSON Schema for an annotation of the document (Mistral).
        document_annotation_prompt: What that annotation shall say, in words (Mistral, newer
            servers).
        table_format: Form of tables, such as ``"html"`` (Mistral, newer servers).
        extract_header: Tell the header of pages apart (Mistral, newer servers). Default: False.
        extract_footer: Tell the footer of pages apart (Mistral, newer servers). Default: False.
        timeout: Seconds to wait for the server's next bytes, above 0. Default: ``config.timeout``.
        extra: More arguments for the server, merged in last.

    Returns:
        The text, with the provider's blocks and pages.

    Raises:
        TypeError: An option is unknown; the message suggests the nearest.
        PuterInputError: An argument is wrong; nothing was sent.
        PuterError: Anything else, as for ``chat()``.

    Examples:
        >>> text = ai.img2txt("receipt.jpg")
    """
    validate_options(img2txt, options, OcrOptions, _OCR_HINTS)
    document: ResolvedSource | None = None
    if source is not None or not test_mode:
        by_mistral = str(options.get("provider")).strip().lower().startswith("mistral")
        limit, kinds = (MISTRAL_OCR_LIMIT, _OFFICE) if by_mistral else (OCR_LIMIT, _DOCUMENTS)
        document = yield from media_source(source, limit, kinds, "an image or a PDF")
    # This is the one driver that reads camelCase.
    named = {_CAMEL_CASE.get(name, name): value for name, value in options.items()}
    reply = yield from invoke(
        call,
        "puter-ocr",
        "recognize",
        driver_args(named, test_mode=test_mode),
        driver="ai-ocr",
        source=("source", document),
        timeout=options.get("timeout"),
    )
    return read_ocr(result_of(reply.data))
