"""Images, OCR, speech, video and driver calls, sync and async: what goes out, what comes back."""

from __future__ import annotations

import asyncio
import base64
import gc
import inspect
import io
import pickle
import pydoc
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Annotated, Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qs, urlsplit

import pytest

import puter
from puter import Audio, Image, Media, OcrText, PuterAI, PuterFile, Transcript, Video
from puter.api.images import ImageOptions, OcrOptions
from puter.api.speech import SpeechOptions, TranscriptionOptions, VoiceConversionOptions
from puter.api.spooled import SPOOLED
from puter.api.video import SILENCE, VideoOptions
from puter.docstrings import describe
from puter.wire.json import MAX_BODY
from puter.wire.media import (
    AUDIO_LIMIT,
    MISTRAL_OCR_LIMIT,
    OCR_LIMIT,
    SPEECH_LIMIT,
)
from puter.wire.pieces import Base64, json_body
from tests.door import (
    CUT,
    REFUSED,
    Door,
    Sent,
    error_body,
    json_answer,
    lines,
    stream_answer,
    text_answer,
)

PNG = b"\x89PNG\r\n\x1a\n....IHDR"
WAV = b"RIFF....WAVEfmt "
MP3 = b"ID3\x04" + bytes(60)
PNG_URI = "data:image/png;base64," + base64.b64encode(PNG).decode()
WAV_URI = "data:audio/wav;base64," + base64.b64encode(WAV).decode()
MP3_URI = "data:audio/mpeg;base64," + base64.b64encode(MP3).decode()
CAT = "https://example.org/cat.png"
SORA = {"stream": {"_events": {}, "_readableState": {}}, "content_type": "video/mp4"}


def envelope(result: Any) -> dict[str, Any]:
    return {"success": True, "result": result, "service": {"name": "x"}}


def audio(*pieces: Any, kind: str = "audio/mpeg") -> Any:
    return stream_answer(*pieces, **{"Content-Type": kind})


# ------------------------------------------------------------ what goes out

# method -> what it needs, the driver call it makes, and a result it understands
CALLS: dict[str, tuple[tuple[Any, ...], tuple[str, str | None, str], Any]] = {
    "txt2img": (("a cat",), ("puter-image-generation", None, "generate"), CAT),
    "img2txt": ((PNG,), ("puter-ocr", "ai-ocr", "recognize"), {"text": "x"}),
    "txt2speech": (("Hello",), ("puter-tts", "ai-tts", "synthesize"), {"url": CAT}),
    "speech2txt": ((WAV,), ("puter-speech2txt", "ai-speech2txt", "transcribe"), "x"),
    "speech2speech": (
        (WAV,),
        ("puter-speech2speech", "ai-speech2speech", "convert"),
        {"url": CAT},
    ),
    "txt2vid": (("waves",), ("puter-video-generation", None, "generate"), CAT),
}

# Options that go as they are, and what is said of them.
OPTIONS: dict[str, type] = {
    "txt2img": ImageOptions,
    "img2txt": OcrOptions,
    "txt2speech": SpeechOptions,
    "speech2txt": TranscriptionOptions,
    "speech2speech": VoiceConversionOptions,
    "txt2vid": VideoOptions,
}
# Arguments that the server reads under another name or in another form.
TRANSLATED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("txt2img", {"input_images": [CAT, PNG]}, {"input_images": [CAT, PNG_URI]}),
    ("txt2img", {"input_images": PNG}, {"input_images": [PNG_URI]}),
    ("img2txt", {"include_image_base64": True}, {"includeImageBase64": True}),
    ("img2txt", {"image_limit": 3}, {"imageLimit": 3}),
    ("img2txt", {"image_min_size": 10}, {"imageMinSize": 10}),
    ("img2txt", {"bbox_annotation_format": {"a": 1}}, {"bboxAnnotationFormat": {"a": 1}}),
    ("img2txt", {"document_annotation_format": {"a": 1}}, {"documentAnnotationFormat": {"a": 1}}),
    ("img2txt", {"document_annotation_prompt": "a"}, {"documentAnnotationPrompt": "a"}),
    ("img2txt", {"table_format": "html"}, {"tableFormat": "html"}),
    ("img2txt", {"extract_header": True}, {"extractHeader": True}),
    ("img2txt", {"extract_footer": True}, {"extractFooter": True}),
    ("speech2txt", {"translate": True}, {}),
    ("txt2img", {"contrast": "medium"}, {"contrast": "medium"}),  # Leonardo by Replicate
    ("txt2img", {"contrast": 3.5}, {"contrast": 3.5}),
    ("txt2vid", {"input_reference": PNG}, {"input_reference": PNG_URI}),
    ("txt2vid", {"last_frame": CAT}, {"last_frame": CAT}),
    ("txt2vid", {"reference_images": PNG}, {"reference_images": [PNG_URI]}),
]
FIRST = {
    "txt2img": {"prompt": "a cat"},
    "img2txt": {"source": PNG_URI},
    "txt2speech": {"text": "Hello"},
    "speech2txt": {"file": WAV_URI},
    "speech2speech": {"audio": WAV_URI},
    "txt2vid": {"prompt": "waves"},
}


def sample_of(annotation: Any) -> Any:
    """A value that an option takes, and that a careless filter would drop: 0, False, {}."""
    if get_origin(annotation) is Annotated:
        within = get_args(annotation)[1]
        return within.least + within.above
    kind = get_args(annotation)[0]
    plain = {str: "x", int: 0, float: 0.0, bool: False}
    if kind in plain:
        return plain[kind]
    return {} if get_origin(kind) is Mapping else []


def sample_options(method: str) -> dict[str, Any]:
    hints = get_type_hints(OPTIONS[method], include_extras=True)
    del hints["timeout"], hints["extra"]
    return {name: sample_of(annotation) for name, annotation in hints.items()}


@pytest.mark.parametrize("method", CALLS)
async def test_what_is_left_out_is_not_sent(door: Door, method: str) -> None:
    needed, (interface, driver, called), result = CALLS[method]
    door.answers(envelope(result))
    await door(door.client(), method, *needed)
    (sent,) = door.sent
    assert (sent.method, sent.url) == ("POST", "https://api.puter.com/drivers/call")
    headers = {name.lower(): value for name, value in sent.headers.items()}
    assert headers["authorization"] == "Bearer test-token-secret"
    assert headers["content-type"] == "application/json"
    sent_call = dict(sent.json)
    args = sent_call.pop("args")
    expected = {"interface": interface, "method": called}
    assert sent_call == (expected if driver is None else {**expected, "driver": driver})
    assert args == FIRST[method]


@pytest.mark.parametrize("method", CALLS)
async def test_every_option_reaches_the_server_and_none_does_not(door: Door, method: str) -> None:
    needed, _, result = CALLS[method]
    options = sample_options(method)
    assert len(options) > 7
    door.answers(envelope(result))
    await door(door.client(), method, *needed, **options)
    await door(door.client(), method, *needed, **dict.fromkeys(options))
    if method == "img2txt":  # the one driver that reads camelCase
        options = {re.sub("_(.)", lambda m: m[1].upper(), name): options[name] for name in options}
    assert door.sent[0].args == {**FIRST[method], **options}
    assert door.sent[1].args == FIRST[method]


@pytest.mark.parametrize(("method", "given", "wanted"), TRANSLATED)
async def test_arguments_in_the_form_that_the_server_reads(
    door: Door, method: str, given: dict[str, Any], wanted: dict[str, Any]
) -> None:
    needed, (_, _, called), result = CALLS[method]
    door.answers(envelope(result))
    await door(door.client(), method, *needed, **given, extra={"later": 1})
    assert door.sent[0].args == {**FIRST[method], **wanted, "later": 1}
    assert door.sent[0].json["method"] == ("translate" if "translate" in given else called)


@pytest.mark.parametrize("method", CALLS)
def test_help_names_and_explains_every_option(method: str) -> None:
    for name in (method, f"async_{method}"):
        operation = getattr(PuterAI, name)
        explained = describe(operation)[1]
        parameters = inspect.signature(operation).parameters
        assert next(iter(parameters)) == "self"
        assert set(OPTIONS[method].__annotations__) <= set(parameters)
        assert set(explained) == set(parameters) - {"self"}
        assert all(len(text) > 10 for text in explained.values())
        shown = pydoc.plain(pydoc.render_doc(operation))
        assert all(f"{option}: " in shown for option in OPTIONS[method].__annotations__)


async def test_extra_is_merged_in_last(door: Door) -> None:
    door.answers(envelope(CAT))
    await door(door.client(), "txt2img", "a cat", "one", extra={"model": "two", "new": None})
    assert door.sent[0].args == {"prompt": "a cat", "model": "two", "new": None}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("16:9", {"w": 16, "h": 9}),
        ("1024x1536", {"w": 1024, "h": 1536}),
        ((3, 2), {"w": 3, "h": 2}),
        ([1.5, 1], {"w": 1.5, "h": 1}),
        ({"w": 4, "h": 3}, {"w": 4, "h": 3}),
    ],
)
async def test_a_ratio_is_written_as_people_do(door: Door, given: Any, sent: Any) -> None:
    door.answers(envelope(CAT))
    await door(door.client(), "txt2img", "a cat", ratio=given)
    assert door.sent[0].args["ratio"] == sent


@pytest.mark.parametrize("name", "openai gemini together cloudflare xai replicate byteplus".split())
async def test_short_names_of_image_providers_are_expanded(door: Door, name: str) -> None:
    door.answers(envelope(CAT))
    for spelling in (name, f" {name.upper()} ", f"{name}-image-generation"):
        await door(door.client(), "txt2img", "a cat", provider=spelling)
        assert door.sent[-1].args["provider"] == f"{name}-image-generation"
    await door(door.client(), "txt2img", "a cat", provider="other")
    assert door.sent[-1].args["provider"] == "other"


@pytest.mark.parametrize("name", "openai together gemini byteplus".split())
async def test_short_names_of_video_providers_are_expanded(door: Door, name: str) -> None:
    door.answers(envelope(CAT))
    await door(door.client(), "txt2vid", "waves", provider=name)
    assert door.sent[-1].args["provider"] == f"{name}-video-generation"


@pytest.mark.parametrize(
    ("given", "sent"),
    [("~/a.png", "~/a.png"), ("/alice/a.png", "/alice/a.png"), ("a/b.png", "~/a/b.png")],
)
async def test_an_output_path_is_absolute_or_at_home(door: Door, given: str, sent: str) -> None:
    door.answers(envelope(CAT))
    for method in ("txt2img", "txt2vid"):
        await door(door.client(), method, "a cat", puter_output_path=given)
        assert door.sent[-1].args["puter_output_path"] == sent


@pytest.mark.parametrize(
    ("source", "sent"),
    [
        (WAV, WAV_URI),
        (bytearray(WAV), WAV_URI),
        (lambda: io.BytesIO(WAV), WAV_URI),
        ((b"\0\1", "audio/x-wav"), "data:audio/wav;base64,AAE="),
        ((b"\0\1", "audio/webm;codecs=opus"), "data:audio/webm;base64,AAE="),
        ("data:audio/webm;codecs=opus;base64,AAE=", "data:audio/webm;base64,AAE="),
        ("data:audio/mp4a-latm;base64,AAE=", "data:audio/mp4;base64,AAE="),
        ("data:audio/x,%00%01", "data:audio/x;base64,AAE="),
        (Audio(MP3), MP3_URI),
        (Audio(url="https://example.org/a.mp3"), "https://example.org/a.mp3"),
        ("https://example.org/a.mp3", "https://example.org/a.mp3"),
        ("~/a.mp3", "~/a.mp3"),
        (PuterFile("/alice/a.mp3"), "/alice/a.mp3"),
    ],
    ids=lambda one: type(one).__name__,
)
async def test_audio_goes_out_as_the_server_reads_it(door: Door, source: Any, sent: str) -> None:
    door.answers(envelope("x"))
    await door(door.client(), "speech2txt", source() if callable(source) else source)
    assert door.sent[0].args == {"file": sent}


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [("a.wav", "wav"), ("a.m4a", "mp4"), ("a.mp3", "mpeg"), ("a.ogg", "ogg"), ("a.flac", "flac")],
)
async def test_the_name_of_a_file_tells_what_bytes_do_not(
    door: Door, tmp_path: Path, name: str, mime_type: str
) -> None:
    (tmp_path / name).write_bytes(b"\0\1")
    door.answers(envelope("x"))
    for source in (tmp_path / name, str(tmp_path / name), (tmp_path / name).open("rb")):
        await door(door.client(), "speech2txt", source)
        assert door.sent[-1].args["file"] == f"data:audio/{mime_type};base64,AAE="
        if isinstance(source, io.BufferedReader):
            source.close()


async def test_what_was_said_by_one_call_goes_into_the_next(door: Door) -> None:
    door.answers(audio(MP3), envelope("Hello"), envelope(PNG_URI), envelope({"text": "cat"}))
    ai = door.client()
    assert await door(ai, "speech2txt", await door(ai, "txt2speech", "Hello")) == "Hello"
    assert await door(ai, "img2txt", await door(ai, "txt2img", "cat")) == "cat"
    assert door.sent[1].args["file"] == MP3_URI
    assert door.sent[3].args["source"] == PNG_URI


async def test_a_text_that_reads_like_the_mark_stays_where_it_is(door: Door) -> None:
    door.answers(envelope("x"))
    mark = "puter-sdk-bytes-go-here"
    await door(door.client(), "speech2txt", WAV, prompt=mark, extra={"note": mark})
    assert door.sent[0].args == {"prompt": mark, "note": mark, "file": WAV_URI}


# ------------------------------------------------------------ refused before any traffic

BAD: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("txt2img", (), {}, "prompt must be a non-empty str"),
    ("txt2img", (" ",), {}, "prompt must be a non-empty str"),
    ("txt2img", (5,), {"test_mode": True}, "prompt must be a non-empty str"),
    ("txt2img", ("x", ""), {}, "model must be a non-empty str"),
    ("txt2img", ("x",), {"provider": 5}, "provider must be a non-empty str"),
    ("txt2img", ("x",), {"quality": 5}, "quality must be a non-empty str"),
    ("txt2img", ("x",), {"width": "640"}, "width must be a whole number, 1 or more"),
    ("txt2img", ("x",), {"n": 0}, "n must be a whole number, 1 or more"),
    ("txt2img", ("x",), {"steps": 0}, "steps must be a whole number, 1 or more"),
    ("txt2vid", ("x",), {"seconds": 0}, "seconds must be a number above 0"),
    ("txt2vid", ("x",), {"fps": -1}, "fps must be a whole number, 1 or more"),
    ("txt2vid", ("x",), {"steps": 0}, "steps must be a whole number, 1 or more"),
    ("txt2img", ("x",), {"steps": 1.5}, "steps must be a whole number"),
    ("txt2img", ("x",), {"ratio": "wide"}, "ratio='wide' is not valid.*16:9"),
    ("txt2img", ("x",), {"ratio": (0, 1)}, "ratio=.* is not valid"),
    ("txt2img", ("x",), {"ratio": 1.5}, "ratio=1.5 is not valid"),
    ("txt2img", ("x",), {"input_images": "no-such.png"}, "cannot be read"),
    ("txt2img", ("x",), {"input_images": WAV}, "is audio/wav, not an image"),
    ("txt2img", ("x",), {"input_images": b"\x01?"}, "of no known kind.*image/png"),
    ("txt2img", ("x",), {"input_images": ["~/a.png"]}, "no files of your Puter.*read_file"),
    ("txt2img", ("x",), {"input_images": [None]}, "holds None"),
    ("txt2img", ("x",), {"puter_output_path": "/"}, "is no file in your Puter"),
    ("txt2img", ("x",), {"puter_output_path": "~/"}, "is no file in your Puter"),
    ("txt2img", ("x",), {"puter_output_path": 5}, "is no file in your Puter"),
    ("txt2img", ("x",), {"test_mode": "yes"}, "test_mode must be True or False"),
    ("txt2img", ("x",), {"extra": []}, "extra must be a dict"),
    ("txt2img", ("x",), {"timeout": -1}, "timeout"),
    ("txt2img", ("x",), {"extra": {"a": {1}}}, "cannot be written as JSON"),
    ("img2txt", (), {}, "neither an image nor a file"),
    ("img2txt", ("no-such.png",), {}, "cannot be read"),
    ("img2txt", (b"",), {}, "is empty"),
    ("img2txt", (b"\x01?",), {}, "of no known kind"),
    ("img2txt", (WAV,), {}, "is audio/wav, not an image or a PDF"),
    ("img2txt", ("data:image/png;base64,A",), {}, "does not hold valid base64"),
    ("img2txt", (PNG + bytes(OCR_LIMIT),), {}, "larger than the 10 MiB"),
    ("img2txt", (PNG,), {"include_image_base64": 1}, "must be True or False"),
    ("txt2speech", (), {}, "text must be a non-empty str"),
    ("txt2speech", ("\n",), {}, "text must be a non-empty str"),
    ("txt2speech", ("x" * (SPEECH_LIMIT + 1),), {}, "3001 characters, and at most 3000"),
    ("txt2speech", ("x",), {"voice": ["alloy"]}, "voice must be a non-empty str"),
    ("txt2speech", ("x",), {"voice_settings": "loud"}, "voice_settings must be a dict"),
    ("speech2txt", (), {}, "neither an image nor a file"),
    ("speech2txt", (PNG,), {}, "is image/png, not sound"),
    ("speech2txt", (b"\0\1",), {}, "of no known kind.*audio/wav"),
    ("speech2txt", ((WAV, "wav"),), {}, "mime type"),
    ("speech2txt", (WAV + bytes(AUDIO_LIMIT),), {}, "larger than the 25 MiB"),
    ("speech2txt", (WAV,), {"translate": "en"}, "translate must be True or False"),
    ("speech2speech", (), {}, "neither an image nor a file"),
    ("speech2speech", (WAV + bytes(AUDIO_LIMIT),), {}, "larger than the 25 MiB"),
    ("speech2speech", (WAV,), {"seed": "x"}, "seed must be a whole number"),
    ("txt2vid", (" ",), {"test_mode": True}, "prompt must be a non-empty str"),
    ("txt2vid", ("x",), {"input_reference": WAV}, "is audio/wav, not an image"),
    ("txt2vid", ("x",), {"last_frame": PuterFile("~/a.png")}, "no files of your Puter"),
    ("txt2vid", ("x",), {"puter_output_path": " "}, "is no file in your Puter"),
    ("call", ("", "get"), {}, "interface must be a non-empty str"),
    ("call", ("a", None), {}, "method must be a non-empty str"),
    ("call", ("a", "b"), {"driver": ""}, "driver must be a non-empty str"),
    ("call", ("a", "b", "x"), {}, "args must be a dict, not str"),
]


@pytest.mark.parametrize(("method", "args", "options", "match"), BAD)
async def test_what_cannot_work_is_told_before_any_traffic(
    door: Door, method: str, args: Any, options: Any, match: str
) -> None:
    with pytest.raises(puter.PuterInputError, match=match):
        await door(door.client(), method, *args, **options)
    assert door.sent == []


@pytest.mark.parametrize(
    ("method", "option", "hint"),
    [
        ("txt2img", "qualty", "Did you mean 'quality'"),
        ("txt2img", "promt", "Did you mean 'prompt'"),
        ("txt2img", "size", "Use ratio="),
        ("txt2img", "zzz", "Arguments the SDK does not know go into extra="),
        ("txt2speech", "format", "Use response_format="),
        ("speech2txt", "file", "Pass the file as audio"),
        ("speech2speech", "voice_id", "Use voice="),
        ("img2txt", "image", "Pass the image as source"),
        ("txt2vid", "duration", "Use seconds="),
    ],
)
async def test_a_misspelt_option_is_a_type_error_with_a_suggestion(
    door: Door, method: str, option: str, hint: str
) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument {option!r}. {hint}"):
        await door(door.client(), method, *CALLS[method][0], **{option: "x"})
    assert door.sent == []


async def test_chat_explains_that_it_has_no_test_mode(door: Door) -> None:
    with pytest.raises(TypeError, match="Chat has no test mode and would be billed; model='fake'"):
        await door(door.client(), "chat", "Hi", test_mode=True)
    with pytest.raises(puter.PuterInputError, match="no test mode and would be billed"):
        await door(door.client(), "chat", "Hi", extra={"test_mode": True})
    assert door.sent == []


@pytest.mark.parametrize("method", ["txt2img", "img2txt", "txt2speech", "speech2txt"])
async def test_test_mode_needs_nothing_else(door: Door, method: str) -> None:
    door.answers(envelope(CALLS[method][2]))
    await door(door.client(), method, test_mode=True)
    assert door.sent[0].args == {"test_mode": True}


def test_a_file_that_fits_only_without_its_envelope_is_refused() -> None:
    data = bytes(MAX_BODY * 3 // 4)
    with pytest.raises(puter.PuterInputError, match="50 MiB of JSON"):
        json_body({"data": Base64("", data)})
    assert len(json_body({"data": Base64("", data[:-12])})) <= MAX_BODY


# ------------------------------------------------------------ what comes back


@pytest.mark.parametrize(
    ("result", "data", "url"),
    [
        (PNG_URI, PNG, None),
        (CAT, None, CAT),
        ({"url": CAT}, None, CAT),
        ({"asset_url": CAT, "content_type": "x"}, None, CAT),
        ({"url": None, "href": CAT}, None, CAT),
        ({"src": PNG_URI}, PNG, None),
    ],
)
@pytest.mark.parametrize(("method", "kind"), [("txt2img", Image), ("txt2vid", Video)])
async def test_an_image_or_video_is_its_bytes_or_its_address(
    door: Door, method: str, kind: type[Media], result: Any, data: Any, url: Any
) -> None:
    door.answers(envelope(result))
    made = await door(door.client(), method, "a cat")
    assert type(made) is kind
    assert made == kind(data, url=url)
    assert made.mime_type == "image/png"


@pytest.mark.parametrize("result", [None, "", 5, [], {}, {"url": 5}, "nonsense", "data:x;base64,A"])
@pytest.mark.parametrize("method", ["txt2img", "txt2vid", "txt2speech", "speech2speech"])
async def test_a_result_without_one_is_told(door: Door, method: str, result: Any) -> None:
    door.answers(envelope(result))
    with pytest.raises(puter.PuterResponseError) as caught:
        await door(door.client(), method, *CALLS[method][0])
    assert caught.value.attempts == 1
    assert caught.value.hint


async def test_a_video_by_sora_is_a_sentence(door: Door) -> None:
    door.answers(envelope(SORA))
    with pytest.raises(puter.PuterResponseError, match=r"puter_output_path='~/Videos/video.mp4'"):
        await door(door.client(), "txt2vid", "waves", "sora-2")


async def test_a_video_by_sora_is_read_where_it_was_saved(door: Door) -> None:
    video = b"\0\0\0\x18ftypisom...."
    door.answers(envelope(SORA), text_answer(video, "application/octet-stream"))
    made = await door(
        door.client(), "txt2vid", "waves", "sora-2", puter_output_path="~/Videos/a b.mp4"
    )
    assert made == Video(video)
    assert made.mime_type == "video/mp4"
    asked = urlsplit(door.sent[1].url)
    assert (asked.path, parse_qs(asked.query)) == ("/read", {"file": ["~/Videos/a b.mp4"]})


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("plain", "plain"),
        ({"blocks": [{"type": "text/x:LINE", "text": "a"}, {"text": "b"}]}, "a\nb"),
        ({"blocks": [{"type": "text/x", "text": ""}, {"type": "image/x", "text": "c"}]}, ""),
        ({"blocks": [], "pages": [{"markdown": "# a"}, {"markdown": "b"}]}, "# a\n\nb"),
        ({"blocks": [{"text": " "}], "pages": [{"markdown": "p"}]}, "p"),
        ({"document_annotation": "noted", "text": "other"}, "noted"),
        ({"text": "other"}, "other"),
        ({"blocks": "x", "pages": [5], "text": None}, ""),
    ],
)
async def test_the_text_of_an_ocr_result(door: Door, result: Any, text: str) -> None:
    door.answers(envelope(result))
    read = await door(door.client(), "img2txt", PNG)
    assert (read, type(read), read.text, type(read.text)) == (text, OcrText, text, str)
    assert read.raw == result
    if isinstance(result, dict) and isinstance(result.get("blocks"), list):
        assert read.blocks == tuple(result["blocks"])


@pytest.mark.parametrize(
    ("result", "text", "attributes"),
    [
        ("1\n00:00 --> 00:01\nHi", "1\n00:00 --> 00:01\nHi", {}),
        ({"text": "Hi", "usage": {}}, "Hi", {"language": None, "words": (), "segments": ()}),
        (
            {"text": "Hi", "language": "en", "words": [{"word": "Hi", "start": 0, "end": 1}]},
            "Hi",
            {"language": "en", "words": ({"word": "Hi", "start": 0, "end": 1},)},
        ),
        (
            {"text": "", "segments": [{"speaker": "A"}, 5], "language": 7},
            "",
            {"segments": ({"speaker": "A"},), "language": None},
        ),
    ],
)
async def test_a_transcript(door: Door, result: Any, text: str, attributes: Any) -> None:
    door.answers(envelope(result))
    heard = await door(door.client(), "speech2txt", WAV)
    assert (heard, type(heard), heard.raw) == (text, Transcript, result)
    assert {name: getattr(heard, name) for name in attributes} == attributes


@pytest.mark.parametrize("result", [None, 5, [], {"words": []}, {"text": None}])
async def test_a_transcript_without_text_is_told(door: Door, result: Any) -> None:
    door.answers(envelope(result))
    with pytest.raises(puter.PuterResponseError, match="unknown shape"):
        await door(door.client(), "speech2txt", WAV)
    if not isinstance(result, dict):
        with pytest.raises(puter.PuterResponseError, match="unknown shape"):
            await door(door.client(), "img2txt", PNG)


def test_texts_are_values() -> None:
    block = {"text": "a"}
    page = OcrText("a", blocks=(block,), pages=(), raw={"x": 1})
    heard = Transcript("a", words=(block,), segments=(block,), language="en", raw=[1])
    for value in (page, heard):
        twin = pickle.loads(pickle.dumps(value))
        assert (twin, type(twin), twin.raw) == (value, type(value), value.raw)
        assert value == "a"
        assert hash(value) == hash("a")
        assert value + "b" == "ab"
        with pytest.raises(AttributeError, match="cannot be changed"):
            value.raw = None
        with pytest.raises(AttributeError, match="cannot be changed"):
            del value.raw
    assert pickle.loads(pickle.dumps(heard)).words == (block,)
    changed = heard.copy_with(text="b", language=None)
    assert (changed, changed.language, changed.raw, heard.language) == ("b", None, [1], "en")
    with pytest.raises(TypeError):
        heard.copy_with(lang="de")
    assert (repr(page), repr(heard)) == ("OcrText('a')", "Transcript('a')")


# ------------------------------------------------------------ audio, complete on return


@pytest.mark.parametrize(
    ("kind", "data", "mime_type"),
    [
        ("audio/mpeg", MP3, "audio/mpeg"),
        ("audio/x-wav", b"\0\0", "audio/wav"),
        ("audio/mpeg", WAV, "audio/wav"),  # the bytes tell
        ("audio/pcm;rate=24000", b"\0\0", "audio/pcm"),
    ],
)
@pytest.mark.parametrize("method", ["txt2speech", "speech2speech"])
async def test_short_audio_is_in_memory(
    door: Door, method: str, kind: str, data: bytes, mime_type: str
) -> None:
    stream = audio(data[:1], data[1:], kind=kind)
    door.answers(stream)
    spoken = await door(door.client(), method, *CALLS[method][0])
    assert (spoken.bytes, spoken.mime_type, spoken.url) == (data, mime_type, None)
    assert stream.closed


BLOCK = MP3 * (2**15 // len(MP3))
LONG = [BLOCK] * (2 * SPOOLED // len(BLOCK))
DATA = b"".join(LONG)


async def speak(door: Door, ai: PuterAI | None = None) -> Audio:
    """Audio that does not stay in memory."""
    door.answers(lambda _: audio(*LONG))
    spoken = await door(ai or door.client(), "txt2speech", "Hello")
    assert isinstance(spoken, Audio)
    return spoken


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[IO[bytes]]:
    """The temporary files that were made."""
    made: list[IO[bytes]] = []
    make = tempfile.TemporaryFile

    def temporary_file(**_: Any) -> IO[bytes]:
        made.append(make())
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", temporary_file)
    return made


async def read_pieces(door: Door, spoken: Audio) -> bytes:
    if door.kind == "sync":
        return b"".join(spoken.iter_bytes())
    return b"".join([one async for one in spoken.async_iter_bytes()])


async def test_long_audio_is_complete_and_its_permit_free_on_return(door: Door) -> None:
    ai = door.client(max_concurrency=1, deadline=5)
    spoken = await speak(door, ai)
    assert door.answered.closed
    with pytest.raises(puter.PuterError, match=r"this answer are not in memory.*read\(\)"):
        _ = spoken.bytes
    door.answers(envelope(CAT))
    assert (await door(ai, "txt2img", "a cat")).url == CAT  # while the audio is open
    assert (spoken.mime_type, spoken.url) == ("audio/mpeg", None)
    assert repr(spoken) == "<Audio audio/mpeg>"
    assert await read_pieces(door, spoken) == DATA


async def test_long_audio_is_read_saved_and_pickled_as_often_as_wanted(
    door: Door, tmp_path: Path
) -> None:
    spoken = await speak(door)
    for _ in range(2):
        assert await read_pieces(door, spoken) == DATA
        if door.kind == "sync":
            path = spoken.save(tmp_path / "a")
        else:
            path = await spoken.async_save(tmp_path / "a")
        assert path == tmp_path / "a.mp3"
        assert path.read_bytes() == DATA
    with pytest.raises(puter.PuterError, match="not in memory"):
        _ = spoken.bytes
    twin = pickle.loads(pickle.dumps(spoken))
    assert (twin, twin.bytes, twin.mime_type) == (spoken, DATA, "audio/mpeg")
    assert spoken.read() == await spoken.async_read() == spoken.bytes == DATA  # of either kind
    assert len(door.sent) == 1


async def test_long_audio_is_a_value_before_and_after_it_is_read(door: Door) -> None:
    spoken, other = await speak(door), await speak(door)
    before = hash(spoken)
    assert spoken == other == Audio(DATA)
    assert hash(Audio(DATA)) == before == hash(other)
    assert spoken != Audio(DATA + b".")
    assert spoken != Audio(DATA, mime_type="audio/wav")
    assert spoken.read() == DATA
    assert (hash(spoken), spoken) == (before, other)
    assert len({spoken, other, Audio(DATA)}) == 1


async def test_several_readers_of_long_audio_do_not_disturb_each_other(door: Door) -> None:
    spoken = await speak(door)
    if door.kind == "sync":
        for one, two in zip(spoken.iter_bytes(), spoken.iter_bytes(), strict=True):
            assert one == two
        calls = [asyncio.to_thread(read) for read in (spoken.read, spoken._elsewhere().read) * 3]
    else:
        calls = [read_pieces(door, spoken) for _ in range(6)]
    assert await asyncio.gather(*calls) == [DATA] * 6


async def test_long_audio_goes_into_the_next_call(door: Door) -> None:
    spoken = await speak(door)
    door.answers(envelope("Hello"))
    assert await door(door.client(), "speech2txt", spoken) == "Hello"
    assert door.sent[-1].args["file"] == f"data:audio/mpeg;base64,{base64.b64encode(DATA).decode()}"


async def test_the_temporary_file_goes_with_the_audio(door: Door, files: list[IO[bytes]]) -> None:
    spoken = await speak(door)
    (file,) = files
    assert not file.closed
    del spoken
    gc.collect()
    assert file.closed


async def test_audio_that_is_closed_says_so(door: Door, files: list[IO[bytes]]) -> None:
    with await speak(door) as spoken:
        assert not files[0].closed
    spoken.close()
    assert files[0].closed
    for read in (spoken.read, lambda: next(spoken.iter_bytes())):
        with pytest.raises(puter.PuterError, match="closed before it was read"):
            read()
    with pytest.raises(puter.PuterError, match="closed before it was read"):
        await spoken.async_read()
    with await speak(door) as kept:
        kept.read()
    assert kept.bytes == DATA


async def test_audio_at_the_limit_is_whole(door: Door) -> None:
    for size in (SPOOLED - 1, SPOOLED, SPOOLED + 1):
        door.answers(audio(bytes(size)))
        spoken = await door(door.client(), "txt2speech", "Hello")
        assert await read_pieces(door, spoken) == bytes(size)


async def test_more_audio_than_permits(door: Door) -> None:
    door.answers(lambda _: audio(*LONG))
    ai = door.client(max_concurrency=2, deadline=20)

    async def one() -> Audio:
        spoken = await door(ai, "txt2speech", "Hello")
        assert isinstance(spoken, Audio)
        return spoken

    assert [a.read() for a in await asyncio.gather(*[one() for _ in range(5)])] == [DATA] * 5


@pytest.mark.parametrize("number", [0, 1, len(LONG) - 1])
async def test_audio_that_breaks_off_is_an_error(
    door: Door, files: list[IO[bytes]], number: int
) -> None:
    stream = audio(*LONG[:number], CUT)
    door.answers(stream, envelope(CAT))
    ai = door.client(max_concurrency=1, deadline=5)
    with pytest.raises(puter.PuterConnectionError) as caught:
        await door(ai, "txt2speech", "Hello")
    assert (caught.value.sent, caught.value.attempts) == (True, 1)
    assert stream.closed
    assert len(door.sent) == 1
    assert await door(ai, "txt2img", "a cat")  # its permit is free again
    assert all(file.closed for file in files)
    assert len(files) == (number > 1)


async def test_notebooks_play_what_is_here_or_has_a_url(door: Door) -> None:
    assert Audio(MP3)._repr_html_() == f'<audio controls src="{MP3_URI}"></audio>'
    assert Audio(url=CAT)._repr_html_() == f'<audio controls src="{CAT}"></audio>'
    assert (await speak(door))._repr_html_() is None


async def test_audio_for_a_new_voice_is_downloaded_here(door: Door) -> None:
    door.answers(REFUSED, audio(WAV[:5], WAV[5:], kind=""), audio(MP3))
    ai = door.client(headers={"X-Key": "secret-key"})
    assert (await door(ai, "speech2speech", "https://example.org/a b.wav")).bytes == MP3
    *downloads_, sent = door.sent
    assert [one.url for one in downloads_] == ["https://example.org/a%20b.wav"] * 2
    assert all(one.headers.keys() == {"User-Agent", "Accept"} for one in downloads_)
    assert sent.headers["X-Key"] == "secret-key"
    assert sent.args == {"audio": WAV_URI}


async def test_an_error_is_no_audio(door: Door) -> None:
    door.answers((400, error_body("Invalid engine: x", "invalid_engine", engine="x")))
    with pytest.raises(puter.PuterBadRequestError, match="Invalid engine") as caught:
        await door(door.client(), "txt2speech", "Hello", engine="x")
    assert caught.value.body["engine"] == "x"
    door.answers(text_answer("<html>", "text/html"))
    with pytest.raises(puter.PuterResponseError, match="HTML"):
        await door(door.client(), "txt2speech", "Hello")


# ------------------------------------------------------------ lists, limits and retries


async def test_lists_of_voices_and_engines(door: Door) -> None:
    door.answers(envelope([{"id": "alloy"}, 5]))
    ai = door.client()
    assert await door(ai, "list_voices", "openai", engine="neural") == [{"id": "alloy"}]
    assert await door(ai, "list_engines", "all") == [{"id": "alloy"}]
    await door(ai, "list_voices")
    assert [sent.args for sent in door.sent] == [
        {"provider": "openai", "engine": "neural"},
        {"provider": "all"},
        {},
    ]
    assert door.sent[0].json["method"] == "list_voices"
    door.answers(envelope(None))
    assert await door(ai, "list_engines") == []


@pytest.mark.parametrize("method", [*CALLS, "call"])
async def test_what_may_be_billed_is_not_sent_twice(door: Door, method: str) -> None:
    needed = ("puter-kvstore", "get") if method == "call" else CALLS[method][0]
    for fault in (CUT, (500, error_body("Puter failed", "internal_error"))):
        door.sent.clear()
        door.answers(fault)
        with pytest.raises(puter.PuterAPIError):
            await door(door.client(), method, *needed)
        assert len(door.sent) == 1


@pytest.mark.parametrize("method", [*CALLS, "call"])
async def test_a_rate_limit_is_waited_out(door: Door, method: str) -> None:
    needed = ("puter-kvstore", "get") if method == "call" else CALLS[method][0]
    result = envelope("x" if method == "call" else CALLS[method][2])
    door.answers((429, error_body("Too many requests.", "too_many_requests")), result)
    await door(door.client(), method, *needed)
    assert len(door.sent) == 2
    assert door.sent[0].body == door.sent[1].body


@pytest.mark.parametrize("method", ["list_voices", "list_engines"])
async def test_free_lists_are_asked_for_again(door: Door, method: str) -> None:
    door.answers(CUT, envelope([{"id": "x"}]))
    assert await door(door.client(), method) == [{"id": "x"}]


@pytest.mark.parametrize(
    ("status", "code", "extra", "error"),
    [
        (429, "upstream_rate_limited", {"upstreamStatus": 429}, puter.PuterRateLimitError),
        (500, "upstream_auth_failed", {"upstreamStatus": 401}, puter.PuterUpstreamError),
        (400, "upstream_provider_unavailable", {"upstreamStatus": 500}, puter.PuterUpstreamError),
        (400, "upstream_bad_request", {"provider": "elevenlabs"}, puter.PuterBadRequestError),
        (400, "upstream_failed", {"provider": "x"}, puter.PuterUpstreamError),
        (402, "insufficient_funds", {}, puter.PuterInsufficientFundsError),
        (403, "access_denied", {}, puter.PuterPermissionError),
        (404, "subject_does_not_exist", {}, puter.PuterNotFoundError),
        (413, "storage_limit_reached", {}, puter.PuterBadRequestError),
        (400, "field_invalid", {"key": "voice", "got": "x"}, puter.PuterBadRequestError),
    ],
)
@pytest.mark.parametrize("method", CALLS)
async def test_vendors_failures_are_typed(
    door: Door, method: str, status: int, code: str, extra: Any, error: type[puter.PuterError]
) -> None:
    door.answers((status, error_body("No", code, **extra)))
    with pytest.raises(error, match="No") as caught:
        await door(door.client(max_retries=0), method, *CALLS[method][0])
    assert (caught.value.status, caught.value.code) == (status, code)
    assert caught.value.body.items() >= extra.items()


@pytest.mark.parametrize(
    ("method", "args", "message", "told"),
    [
        (
            "txt2img",
            ("x", "gpt-image-3"),
            "Model not found: gpt-image-3",
            "'gpt-image-2'.*kind='im",
        ),
        ("txt2img", ("x",), "Missing `model`", r"list_models\(kind='image'\) has the models"),
        ("txt2vid", ("x", "veo-9"), "Model not found: veo-9", "'veo-3.1.*kind='video'"),
        ("speech2txt", (WAV,), "Unsupported model: x", "Without model= the server chooses"),
        ("txt2speech", ("x",), "TTS provider not found: x. Available: openai", "list_engines"),
        ("img2txt", (PNG,), "Unknown OCR provider: x", "Without model= the server chooses"),
        ("speech2speech", (WAV,), "Speech-to-speech provider not found: x", "Without model="),
    ],
)
async def test_a_wrong_name_is_told_where_the_right_ones_are(
    door: Door, method: str, args: Any, message: str, told: str
) -> None:
    door.answers((400, error_body(message, "bad_request")))
    with pytest.raises(puter.PuterBadRequestError, match=message) as caught:
        await door(door.client(), method, *args)
    assert re.search(told, caught.value.hint)
    assert "get_available_models" not in str(caught.value)
    if isinstance(caught.value, puter.PuterModelNotFoundError):
        assert caught.value.suggestions


async def test_models_of_like_names_are_those_of_the_server(door: Door) -> None:
    ai = door.client()
    door.answers({"models": [{"id": "sora-9", "provider": "acme-video-generation"}]})
    await door(ai, "list_models", kind="video")
    door.answers((400, error_body("Model not found: sora-2", "bad_request")))
    with pytest.raises(puter.PuterModelNotFoundError, match="Did you mean 'sora-9'") as caught:
        await door(ai, "txt2vid", "x", "sora-2")
    assert caught.value.suggestions == ("sora-9",)


async def test_translation_is_left_to_chat_where_the_server_has_none(door: Door) -> None:
    door.answers((400, error_body("Translation is not supported by OpenAI", "bad_request")))
    with pytest.raises(puter.PuterBadRequestError, match=r"translate the transcript with chat\(\)"):
        await door(door.client(), "speech2txt", WAV, translate=True)


@pytest.mark.parametrize("method", ["txt2img", "txt2vid"])
async def test_a_misspelt_provider_is_refused_and_a_new_one_is_sent(
    door: Door, method: str
) -> None:
    ai = door.client()
    with pytest.raises(puter.PuterInputError, match=r"Did you mean 'openai-(image|video)-gen"):
        await door(ai, method, "x", provider="opnai")
    assert door.sent == []
    door.answers(envelope(CAT))
    for name in ("stability", "Acme-Pictures"):
        await door(ai, method, "x", provider=name)
        assert door.sent[-1].args["provider"] == name


@pytest.mark.parametrize("method", CALLS)
async def test_what_costs_less_is_told_of_this_kind(door: Door, method: str) -> None:
    door.answers((402, error_body("Insufficient funds", "insufficient_funds")))
    with pytest.raises(puter.PuterInsufficientFundsError, match="costs less") as caught:
        await door(door.client(), method, *CALLS[method][0])
    assert "max_tokens" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "codes", "error", "told"),
    [
        (400, {"code": "moderation_flagged"}, puter.PuterBadRequestError, "filter refused"),
        (
            400,
            {"code": "bad_request", "errorCode": "moderation_flagged"},
            puter.PuterBadRequestError,
            "filter refused",
        ),
        (400, {"code": "disallowed_value"}, puter.PuterBadRequestError, "filter refused"),
        (502, {"code": "upstream_failed"}, puter.PuterUpstreamError, "did not finish.*less"),
        (400, {"code": "upstream_failed"}, puter.PuterUpstreamError, "did not finish.*less"),
    ],
)
@pytest.mark.parametrize("method", ["txt2img", "txt2vid"])
async def test_refusals_of_vendors_are_explained(
    door: Door, method: str, status: int, codes: Any, error: type[puter.PuterError], told: str
) -> None:
    door.answers((status, {**error_body("No", None), **codes}))
    with pytest.raises(error, match=told):
        await door(door.client(), method, "x")
    assert len(door.sent) == 1


async def test_other_drivers_keep_their_hints(door: Door) -> None:
    door.answers((402, error_body("No usage left", "insufficient_funds")))
    with pytest.raises(puter.PuterInsufficientFundsError) as caught:
        await door(door.client(), "call", "puter-chat-completion", "complete")
    assert "account_usage() tells" not in caught.value.hint


@pytest.mark.parametrize("provider", ["mistral", " Mistral ", "mistral-ocr"])
async def test_mistral_reads_larger_documents_of_more_kinds(door: Door, provider: str) -> None:
    docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    door.answers(envelope({"text": "x"}))
    ai = door.client()
    await door(ai, "img2txt", PNG + bytes(OCR_LIMIT), provider=provider)
    await door(ai, "img2txt", (b"PK", docx), provider=provider)
    assert door.sent[1].args["source"].startswith(f"data:{docx};base64,")
    with pytest.raises(puter.PuterInputError, match="larger than the 36 MiB"):
        await door(ai, "img2txt", PNG + bytes(MISTRAL_OCR_LIMIT), provider=provider)
    with pytest.raises(puter.PuterInputError, match="not an image or a PDF"):
        await door(ai, "img2txt", (b"PK", docx), provider="aws-textract")
    assert len(door.sent) == 2


async def test_a_video_may_take_its_time(door: Door) -> None:
    door.answers(envelope(CAT))
    ai = door.client(timeout=5)
    await door(ai, "txt2vid", "waves")
    await door(ai, "txt2vid", "waves", timeout=7)
    await door(ai, "txt2img", "a cat")
    await door(ai, "txt2img", "a cat", timeout=7)
    await door(door.client(timeout=2 * SILENCE), "txt2vid", "waves")
    await door(door.client(timeout=None), "txt2vid", "waves")
    waited = [request.timeout for request in door.transport.requests]
    assert waited == [SILENCE, 7, 5, 7, 2 * SILENCE, None]


# ------------------------------------------------------------ driver calls


async def test_a_call_is_sent_as_it_is_worded(door: Door) -> None:
    door.answers(envelope(True))
    ai = door.client()
    args = {"key": "a", "value": {"b": [1, None]}}
    assert await door(ai, "call", "puter-kvstore", "set", args) is True
    assert await door(ai, "call", "puter-tts", "list", driver="openai-tts") is True
    assert [sent.json for sent in door.sent] == [
        {"interface": "puter-kvstore", "method": "set", "args": args},
        {"interface": "puter-tts", "method": "list", "args": {}, "driver": "openai-tts"},
    ]


@pytest.mark.parametrize(
    ("answer", "decoded"),
    [
        (json_answer(envelope({"a": 1})), {"a": 1}),
        (json_answer({"success": True, "service": {"name": "puter-kvstore"}}), None),
        (
            lambda _: stream_answer(lines({"a": 1})[:3], lines({"a": 1}, {"b": "\u2028"})[3:]),
            [{"a": 1}, {"b": "\u2028"}],
        ),
        (lambda _: stream_answer(b'{"type":"usage"}'), [{"type": "usage"}]),
        (lambda _: audio(MP3[:5], MP3[5:]), Media(MP3, mime_type="audio/mpeg")),
        (
            lambda _: audio(b"\1\2", kind="application/octet-stream"),
            Media(b"\1\2", mime_type="application/octet-stream"),
        ),
        (text_answer("hi", "text/plain"), Media(b"hi", mime_type="text/plain")),
    ],
    ids=["envelope", "no result", "lines", "last line", "sound", "bytes", "text"],
)
async def test_the_answer_is_decoded_by_what_it_is(door: Door, answer: Any, decoded: Any) -> None:
    door.answers(answer)
    assert await door(door.client(), "call", "a", "b") == decoded


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (text_answer('{"a', "application/json"), "broken JSON"),
        (text_answer(b'"\xff"', "application/json"), "broken JSON"),
        (text_answer("[" * 100_000, "application/json"), "broken JSON"),
        (json_answer([1]), "no envelope"),
        (text_answer("<html>", "text/html"), "an HTML page.*api_base"),
        (text_answer("", "text/html", 302, Location="file:///x"), "a redirect.*api_base"),
        (lambda _: stream_answer(b"{}\n{nonsense\n"), "damaged"),
    ],
)
async def test_a_broken_answer_to_a_call_is_told(door: Door, answer: Any, match: str) -> None:
    door.answers(answer)
    with pytest.raises(puter.PuterResponseError, match=match):
        await door(door.client(), "call", "a", "b")


async def test_a_refused_call_is_its_error(door: Door) -> None:
    ai = door.client()
    door.answers((404, error_body("Driver not found: a:(no default)", "not_found")))
    with pytest.raises(puter.PuterNotFoundError, match="Driver not found"):
        await door(ai, "call", "a", "b")
    door.answers({"success": False, "error": {"code": "permission_denied", "message": "no"}})
    with pytest.raises(puter.PuterPermissionError, match="no"):
        await door(ai, "call", "a", "b")


async def test_a_signed_out_client_signs_in_first(door: Door) -> None:
    def answer(sent: Sent) -> Any:
        if sent.url.endswith("/login"):
            return {"proceed": True, "next_step": "complete", "token": "fresh"}
        return envelope(CAT)

    door.answers(answer)
    ai = door.client(token=None, username="alice", password="correct horse")
    await door(ai, "txt2img", "a cat")
    assert [sent.url.rpartition("/")[2] for sent in door.sent] == ["login", "call"]
    assert {name.lower(): value for name, value in door.sent[1].headers.items()}[
        "authorization"
    ] == "Bearer fresh"


@pytest.mark.parametrize("kind", ["application/json", "text/json", "application/vnd.puter+json"])
async def test_a_call_decodes_json_under_any_of_its_names(door: Door, kind: str) -> None:
    door.answers(text_answer('{"success": true, "result": 7}', kind))
    assert await door(door.client(), "call", "puter-kvstore", "get", {"key": "a"}) == 7


# ------------------------------------------------------------ nothing where something must be


NOTHING = [
    stream_answer(**{"Content-Type": "audio/mpeg"}),
    envelope("data:audio/mpeg;base64,"),
    envelope({"url": "data:image/png,"}),
]
NO_MEDIA = [
    text_answer("<html>", "text/html"),
    envelope("data:audio/mpeg;base64,%%%"),
    envelope("data:audio/mpeg;base64,A"),
    envelope({"text": "Hello"}),
    envelope(""),
    envelope(None),
]


@pytest.mark.parametrize("method", ["txt2speech", "txt2img", "txt2vid", "speech2speech"])
@pytest.mark.parametrize("answer", [*NOTHING, *NO_MEDIA])
async def test_an_answer_without_media_is_an_error_and_not_asked_for_again(
    door: Door, method: str, answer: Any
) -> None:
    door.answers(answer)
    streams = method in ("txt2speech", "speech2speech")
    if getattr(answer, "headers", {}).get("Content-Type") == "audio/mpeg" and not streams:
        pytest.skip("only speech is streamed")
    ai = door.client()
    with pytest.raises(puter.PuterResponseError) as caught:
        await door(ai, method, WAV if method == "speech2speech" else "Hi")
    assert isinstance(caught.value, puter.PuterEmptyResponseError) == (answer in NOTHING)
    assert len(door.sent) == 1
    assert ai.usage.requests == 1


async def test_empty_speech_from_a_url_is_told_before_it_is_paid_for(door: Door) -> None:
    door.answers(stream_answer(b"", **{"Content-Type": "audio/mpeg"}))
    url = "https://example.org/a.mp3?signature=topsecret"
    with pytest.raises(puter.PuterInputError, match="is empty") as caught:
        await door(door.client(), "speech2speech", url)
    assert "topsecret" not in str(caught.value)
    assert [one.url for one in door.sent] == [url]
