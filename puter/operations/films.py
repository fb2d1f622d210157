"""Films from text."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from puter.flow import Flow, ask
from puter.media import Video
from puter.operations.raw import result
from puter.sources import load
from puter.wire.media import (
    check_text,
    given,
    output_path,
    read_media,
    source_address,
    video_provider,
)

if TYPE_CHECKING:
    from puter.exchange import Call

SILENCE = 900.0
"""Seconds of silence allowed at least: the server polls the vendor for 5 to 10 minutes."""


def txt2vid(
    call: Call,
    prompt: Any,
    *,
    provider: str | None,
    input_reference: Any,
    puter_output_path: str | None,
    test_mode: bool,
    extra: Any,
    timeout: float | None,
    **options: Any,
) -> Flow[Video]:
    check_text("prompt", prompt)
    reference = None
    if input_reference is not None:
        loaded = yield from ask(partial(load), input_reference)
        address = source_address(loaded, ("image/",), "a picture")
        reference = address or Video(loaded.data, mime_type=loaded.mime_type).data_uri()
    args = given(
        prompt=prompt,
        provider=video_provider(provider),
        input_reference=reference,
        puter_output_path=output_path(puter_output_path),
        test_mode=test_mode or None,
        **options,
    )
    args.update(extra or {})
    if timeout is None and call.config.timeout is not None:
        timeout = max(call.config.timeout, SILENCE)
    found = yield from result(call, "puter-video-generation", "generate", args, timeout=timeout)
    return read_media(Video, found)
