"""Films from text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from puter.media import Video
from puter.operations.files import read_file
from puter.operations.pictures import addresses
from puter.operations.raw import result
from puter.wire.media import (
    check_text,
    given,
    is_inner_object,
    output_path,
    read_media,
    video_provider,
)
from puter.wire.mime import mime_of

if TYPE_CHECKING:
    from puter.exchange import Call
    from puter.flow import Flow

SILENCE = 900.0
"""Seconds of silence allowed at least: the server polls the vendor for 5 to 10 minutes."""


def txt2vid(
    call: Call,
    prompt: Any,
    *,
    provider: str | None,
    input_reference: Any,
    last_frame: Any,
    reference_images: Any,
    puter_output_path: str | None,
    test_mode: bool,
    extra: Any,
    timeout: float | None,
    **options: Any,
) -> Flow[Video]:
    check_text("prompt", prompt)
    first = yield from _one("input_reference", input_reference)
    last = yield from _one("last_frame", last_frame)
    others = yield from addresses("reference_images", reference_images)
    saved = output_path(puter_output_path)
    args = given(
        prompt=prompt,
        provider=video_provider(provider),
        input_reference=first,
        last_frame=last,
        reference_images=others or None,
        puter_output_path=saved,
        test_mode=test_mode or None,
        **options,
    )
    args.update(extra or {})
    if timeout is None and call.config.timeout is not None:
        timeout = max(call.config.timeout, SILENCE)
    found = yield from result(call, "puter-video-generation", "generate", args, timeout=timeout)
    if saved is not None and is_inner_object(found):
        film = yield from read_file(call, saved)
        return Video(film, mime_type=mime_of(film, saved))
    return read_media(Video, found)._through(call.config)


def _one(name: str, source: Any) -> Flow[str | None]:
    found = yield from addresses(name, None if source is None else [source])
    return found[0] if found else None
