"""Speech: from text, to text, and from one voice to another."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from puter.exceptions import PuterInputError
from puter.flow import Flow, ask
from puter.media import Audio
from puter.operations.fetch import fetch
from puter.operations.raw import invoke, read_all, result
from puter.sources import Loaded, load
from puter.wire.media import (
    AUDIO_LIMIT,
    SPEECH_LIMIT,
    check_text,
    given,
    put_source,
    read_media,
    read_transcript,
    result_of,
)
from puter.wire.mime import canonical, mime_of

if TYPE_CHECKING:
    from puter.exchange import Call
    from puter.results import Transcript
    from puter.wire.http import Reply

AT_ONCE = 2**20
"""Bytes of an answer that are awaited before it is handed over; most speech is shorter."""
_SOUND = ("audio/", "video/", "application/octet-stream")


def txt2speech(
    call: Call, text: Any, *, test_mode: bool, extra: Any, timeout: float | None, **options: Any
) -> Flow[Audio]:
    if not test_mode or text is not None:
        check_text("text", text)
        if len(text) > SPEECH_LIMIT:
            raise PuterInputError(
                f"The text has {len(text)} characters, and at most {SPEECH_LIMIT} can be spoken",
                hint="Speak it in parts.",
            )
    args = given(text=text, test_mode=test_mode or None, **options)
    args.update(extra or {})
    reply = yield from invoke(
        call,
        "puter-tts",
        "synthesize",
        args,
        driver="ai-tts",
        stream=True,
        timeout=timeout or call.config.timeout,
    )
    return (yield from _audio(call, reply))


def _audio(call: Call, reply: Reply) -> Flow[Audio]:
    """A short answer whole; of a longer one the beginning, with the rest to come."""
    if reply.stream is None:
        return read_media(Audio, result_of(reply.data))._through(call.config)
    body = reply.stream
    head = yield from read_all(body, AT_ONCE)
    mime_type = mime_of(head, "") or canonical(reply.content_type)
    if len(head) < AT_ONCE:
        return Audio(head, mime_type=mime_type)
    return Audio._arriving(head, body, mime_type)


def speech2txt(
    call: Call,
    audio: Any,
    *,
    translate: bool,
    test_mode: bool,
    extra: Any,
    timeout: float | None,
    **options: Any,
) -> Flow[Transcript]:
    args = given(test_mode=test_mode or None, **options)
    blob = None
    if audio is not None or not test_mode:
        loaded = yield from ask(partial(load, limit=AUDIO_LIMIT), audio)
        blob = put_source(args, "file", loaded, _SOUND, "sound")
    args.update(extra or {})
    reply = yield from invoke(
        call,
        "puter-speech2txt",
        "translate" if translate else "transcribe",
        args,
        driver="ai-speech2txt",
        blob=blob,
        timeout=timeout or call.config.timeout,
    )
    return read_transcript(result_of(reply.data))


def speech2speech(
    call: Call, audio: Any, *, test_mode: bool, extra: Any, timeout: float | None, **options: Any
) -> Flow[Audio]:
    args = given(test_mode=test_mode or None, **options)
    blob = None
    if audio is not None or not test_mode:
        loaded = yield from ask(partial(load, limit=AUDIO_LIMIT), audio)
        if loaded.url is not None:
            loaded = yield from _fetched(call, loaded)
        blob = put_source(args, "audio", loaded, _SOUND, "sound")
    args.update(extra or {})
    reply = yield from invoke(
        call,
        "puter-speech2speech",
        "convert",
        args,
        driver="ai-speech2speech",
        blob=blob,
        stream=True,
        timeout=timeout or call.config.timeout,
    )
    return (yield from _audio(call, reply))


def _fetched(call: Call, loaded: Loaded) -> Flow[Loaded]:
    """The server takes no URLs here, so the sound is fetched first."""
    reply = yield from fetch(call, str(loaded.url))
    data = reply.body
    if reply.stream is not None:
        data = yield from read_all(reply.stream, AUDIO_LIMIT + 1)
        reply.stream.close()
    if len(data) > AUDIO_LIMIT:
        raise PuterInputError(f"The sound at {loaded.url} is larger than 25 MiB")
    mime_type = mime_of(data, loaded.name) or canonical(reply.content_type)
    return Loaded(data=data, mime_type=mime_type, name=loaded.name)


def voices(call: Call, method: str, **options: Any) -> Flow[list[dict[str, Any]]]:
    """``list_voices`` or ``list_engines``: free."""
    found = yield from result(
        call, "puter-tts", method, given(**options), driver="ai-tts", repeatable=True
    )
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
