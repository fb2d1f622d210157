"""Videos from text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from puter.api.downloads import attach_download
from puter.api.drivers import driver_args, media_provider, output_path, result
from puter.api.files import read_file
from puter.api.images import Address, image_addresses
from puter.checks import Range, text, text_or_none
from puter.engine.context import CallContext
from puter.engine.effects import Flow
from puter.options import Timeout, validate_options
from puter.types.media import Video
from puter.types.mime import mime_of
from puter.types.puter_file import Source
from puter.wire.media import is_inner_object, read_media

if TYPE_CHECKING:
    from typing_extensions import Unpack

SILENCE = 900.0
"""Seconds to wait for an answer at least: the server polls the provider for 5 to 10 minutes."""


class VideoOptions(TypedDict, total=False):
    """Options of ``txt2vid()`` that are passed on as they are."""

    seconds: Annotated[float | None, Range(0, above=True)]
    size: str | None
    width: Annotated[int | None, Range(1)]
    height: Annotated[int | None, Range(1)]
    fps: Annotated[int | None, Range(1)]
    steps: Annotated[int | None, Range(1)]
    guidance_scale: float | None
    seed: int | None
    negative_prompt: str | None
    generate_audio: bool | None
    output_format: str | None
    output_quality: int | None
    frame_images: Sequence[Any] | None
    metadata: Mapping[str, Any] | None
    no_extra_params: bool | None
    timeout: Timeout
    extra: Mapping[str, Any] | None


_HINTS = {
    "duration": "Use seconds=...",
    "resolution": "Use size=...",
    "image": "Use input_reference=...",
    "input_images": "Use input_reference= or reference_images=...",
}


def txt2vid(
    call: CallContext,
    prompt: str,
    model: str | None = None,
    *,
    provider: str | None = None,
    input_reference: Source | None = None,
    last_frame: Source | None = None,
    reference_images: Source | Sequence[Source] | None = None,
    puter_output_path: str | None = None,
    test_mode: bool = False,
    **options: Unpack[VideoOptions],
) -> Flow[Video]:
    """Generate a video from text. It takes minutes, during which the server sends nothing.

    Each option names the providers that read it; the others ignore it. Left out or None: the
    default of the model. Ranges are those of the Puter backend and of the providers.

    Args:
        prompt: What the video shows.
        model: Name of the model, such as ``veo-3.1-lite``. Default: the server's choice.
        provider: ``gemini``, ``together``, ``byteplus``, or a name as
            ``list_model_providers(kind="video")`` has it; older servers have ``openai`` too. A
            provider that the server does not have is silently replaced by its first.
        input_reference: An image to start from: a path, bytes, ``(bytes, MIME type)``, an open
            file, a URL, a PIL image or an ``Image``. OpenAI, Gemini, BytePlus.
        last_frame: An image to end with, in the same forms. Gemini, BytePlus (there only together
            with ``input_reference``).
        reference_images: One or more images of what the video shall show, in the same forms.
            Together; Gemini, 3 at most; BytePlus, 9 at most. Gemini and BytePlus do not combine
            them with ``input_reference`` and ``last_frame``.
        puter_output_path: Also save the video to this file in your Puter: absolute or under
            ``~/``. OpenAI's models need it: their videos are not in the answer, and are read from
            there. Default: not saved.
        test_mode: Return a sample video, free of charge. The prompt is required all the same.
        seconds: Length in seconds, above 0. A length that the model does not have is silently
            replaced by one that it has; newer servers also shorten it to what the balance pays
            for. All providers.
        size: Such as ``"1280x720"`` (OpenAI, Gemini) or ``"720p"`` (BytePlus); replaced in the
            same way.
        width: Pixels, 1 or more. Together; BytePlus takes the aspect ratio from it.
        height: Pixels, 1 or more; as ``width``.
        fps: Frames per second, 1 or more, such as 24. Together.
        steps: Number of diffusion steps, usually 10 to 50: more take longer and show more detail.
            Together.
        guidance_scale: How closely the video follows the prompt, usually 6 to 10. Together.
        seed: Start value of the random generator: the same seed and arguments give the same video.
            Together, some models of BytePlus.
        negative_prompt: What the video must not show. Together, Gemini.
        generate_audio: Also generate sound. Default: True, where the model can. BytePlus.
        output_format: Container of the file, such as ``"MP4"`` or ``"WEBM"``. Together.
        output_quality: Compression quality of the file, a number of the model's own. Together.
        frame_images: Images at certain times, each ``{"input_image": url, ...}``. Together.
        metadata: More settings, in Together's own format. Together.
        no_extra_params: Do not set a length of 6 seconds when ``seconds`` is left out, but leave
            it to the model. Default: False. Together.
        timeout: Seconds to wait for the server's next bytes, above 0. Default: 900 or
            ``config.timeout``, whichever is more.
        extra: More arguments for the server, merged in last.

    Returns:
        The video: as a rule a URL, which is fetched when it is read or saved.

    Raises:
        TypeError: An option is unknown; the message suggests the nearest.
        PuterInputError: An argument is wrong; nothing was sent.
        PuterResponseError: The model is OpenAI's and ``puter_output_path`` was left out.
        PuterError: Anything else, as for ``chat()``.

    Examples:
        >>> print(ai.txt2vid("Waves", "veo-3.1-lite").save("waves"))
        waves.mp4
    """
    validate_options(txt2vid, options, VideoOptions, _HINTS)
    text("prompt", prompt)
    saved = output_path(puter_output_path)
    args = driver_args(
        options,
        prompt=prompt,
        model=text_or_none("model", model),
        provider=media_provider(call, provider, "video"),
        input_reference=(yield from _address("input_reference", input_reference)),
        last_frame=(yield from _address("last_frame", last_frame)),
        reference_images=(yield from image_addresses("reference_images", reference_images)) or None,
        puter_output_path=saved,
        test_mode=test_mode,
    )
    timeout = options.get("timeout")
    if timeout is None and call.config.timeout is not None:
        timeout = max(call.config.timeout, SILENCE)
    found = yield from result(call, "puter-video-generation", "generate", args, timeout=timeout)
    if saved is not None and is_inner_object(found):
        video = yield from read_file(call, saved)
        return Video(video, mime_type=mime_of(video, saved))
    return attach_download(read_media(Video, found), call)


def _address(name: str, source: Source | None) -> Flow[Address | None]:
    found = yield from image_addresses(name, None if source is None else [source])
    return found[0] if found else None
