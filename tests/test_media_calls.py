"""Pictures, OCR, speech, film and raw calls through both doors: what goes out, what comes back."""

from __future__ import annotations

import base64
import inspect
import io
import os
import pickle
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import puter
from puter import Audio, Image, Media, OcrText, PuterAI, PuterFile, Transcript, Video
from puter.operations.films import SILENCE
from puter.operations.speech import AT_ONCE
from puter.wire.http import MAX_BODY
from puter.wire.media import AUDIO_LIMIT, OCR_LIMIT, SPEECH_LIMIT, body_with_base64
from tests.door import CUT, Door, Sent, error_body, json_answer, lines, stream_answer, text_answer

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

# Every argument of the protocol: as it is given and, where that differs, as it is sent.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "txt2img": {
        "prompt": "a dog",
        "model": "gpt-image-1",
        "provider": "openai-image-generation",
        "quality": "high",
        "ratio": {"w": 16, "h": 9},
        "width": 640,
        "height": 480,
        "aspect_ratio": "16:9",
        "input_images": ([CAT, PNG], {"input_images": [CAT, PNG_URI]}),
        "negative_prompt": "dogs",
        "seed": 0,
        "steps": 4,
        "n": 2,
        "image_url": CAT,
        "image_base64": "aGk=",
        "mask_image_url": CAT,
        "mask_image_base64": "aGk=",
        "prompt_strength": 0.5,
        "guidance": 3.5,
        "style": "VIVID",
        "contrast": 3.5,
        "generation_mode": "FAST",
        "prompt_enhance": False,
        "prompt_upsampling": True,
        "go_fast": False,
        "output_quality": 80,
        "output_megapixels": "0.25",
        "response_format": "base64",
        "safety_tolerance": 2,
        "disable_safety_checker": True,
        "puter_output_path": "/alice/Pictures/cat.png",
        "test_mode": True,
    },
    "img2txt": {
        "source": (PNG, {"source": PNG_URI}),
        "provider": "mistral",
        "model": "mistral-ocr-latest",
        "pages": [0, 2],
        "include_image_base64": (True, {"includeImageBase64": True}),
        "image_limit": (3, {"imageLimit": 3}),
        "image_min_size": (10, {"imageMinSize": 10}),
        "bbox_annotation_format": ({"type": "x"}, {"bboxAnnotationFormat": {"type": "x"}}),
        "document_annotation_format": ({"type": "x"}, {"documentAnnotationFormat": {"type": "x"}}),
        "test_mode": True,
    },
    "txt2speech": {
        "text": "Good morning",
        "provider": "elevenlabs",
        "model": "eleven_v3",
        "voice": "21m00Tcm4TlvDq8ikWAM",
        "engine": "neural",
        "language": "de-DE",
        "instructions": "whisper",
        "response_format": "wav",
        "output_format": "mp3_44100_128",
        "ssml": True,
        "voice_settings": {"stability": 0.5},
        "test_mode": True,
    },
    "speech2txt": {
        "audio": (WAV, {"file": WAV_URI}),
        "translate": (True, {}),
        "provider": "xai",
        "model": "whisper-1",
        "language": "en",
        "prompt": "Ada, Babbage",
        "response_format": "verbose_json",
        "temperature": 0,
        "timestamp_granularities": ["word"],
        "logprobs": True,
        "chunking_strategy": "auto",
        "known_speaker_names": ["Ada"],
        "known_speaker_references": [WAV_URI],
        "extra_body": {"a": 1},
        "format": True,
        "diarize": True,
        "multichannel": True,
        "channels": 2,
        "audio_format": "pcm",
        "sample_rate": 16000,
        "test_mode": True,
    },
    "speech2speech": {
        "audio": (WAV, {"audio": WAV_URI}),
        "voice": "21m00Tcm4TlvDq8ikWAM",
        "model": "eleven_english_sts_v2",
        "provider": "elevenlabs",
        "output_format": "mp3_44100_64",
        "voice_settings": {"stability": 0.5},
        "seed": 7,
        "remove_background_noise": True,
        "file_format": "other",
        "optimize_streaming_latency": 4,
        "enable_logging": False,
        "test_mode": True,
    },
    "txt2vid": {
        "prompt": "rain",
        "model": "sora-2",
        "provider": "gemini-video-generation",
        "seconds": 8,
        "size": "720x1280",
        "width": 640,
        "height": 480,
        "fps": 24,
        "steps": 20,
        "guidance_scale": 7.5,
        "seed": 1,
        "negative_prompt": "people",
        "generate_audio": False,
        "output_format": "MP4",
        "output_quality": 20,
        "input_reference": (PNG, {"input_reference": PNG_URI}),
        "last_frame": (CAT, {"last_frame": CAT}),
        "reference_images": (PNG, {"reference_images": [PNG_URI]}),
        "frame_images": [{"input_image": CAT, "frame": 0}],
        "metadata": {"a": 1},
        "no_extra_params": True,
        "puter_output_path": "~/Videos/rain.mp4",
        "test_mode": True,
    },
}
EACH = [(method, name) for method, arguments in ARGUMENTS.items() for name in arguments]


@pytest.mark.parametrize("method", ARGUMENTS)
def test_no_argument_is_forgotten_here(method: str) -> None:
    parameters = set(inspect.signature(getattr(PuterAI, method)).parameters)
    assert parameters - {"self", "timeout", "extra"} == set(ARGUMENTS[method])


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
    key = {"speech2txt": "file", "speech2speech": "audio"}.get(method)
    assert set(args) == {key or next(iter(ARGUMENTS[method]))}


@pytest.mark.parametrize(("method", "name"), EACH)
async def test_every_argument_reaches_the_server(door: Door, method: str, name: str) -> None:
    needed, _, result = CALLS[method]
    value = ARGUMENTS[method][name]
    given, wanted = value if isinstance(value, tuple) else (value, {name: value})
    first = next(iter(ARGUMENTS[method]))
    door.answers(envelope(result))
    await door(door.client(), method, **{first: needed[0], name: given, "extra": {"later": 1}})
    args = door.sent[0].args
    assert {key: args.get(key) for key in wanted} == wanted
    assert args["later"] == 1
    assert door.sent[0].json["method"] == (
        "translate" if name == "translate" else CALLS[method][1][2]
    )


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
async def test_short_names_of_picture_providers_are_expanded(door: Door, name: str) -> None:
    door.answers(envelope(CAT))
    for spelling in (name, f" {name.upper()} ", f"{name}-image-generation"):
        await door(door.client(), "txt2img", "a cat", provider=spelling)
        assert door.sent[-1].args["provider"] == f"{name}-image-generation"
    await door(door.client(), "txt2img", "a cat", provider="other")
    assert door.sent[-1].args["provider"] == "other"


@pytest.mark.parametrize("name", "openai together gemini byteplus".split())
async def test_short_names_of_film_providers_are_expanded(door: Door, name: str) -> None:
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
async def test_sound_goes_out_as_the_server_reads_it(door: Door, source: Any, sent: str) -> None:
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
    ("txt2img", ("x",), {"width": "640"}, "width must be a number"),
    ("txt2img", ("x",), {"steps": float("nan")}, "steps must be a number"),
    ("txt2img", ("x",), {"ratio": "wide"}, "ratio='wide' is not valid.*16:9"),
    ("txt2img", ("x",), {"ratio": (0, 1)}, "ratio=.* is not valid"),
    ("txt2img", ("x",), {"ratio": 1.5}, "ratio=1.5 is not valid"),
    ("txt2img", ("x",), {"input_images": "no-such.png"}, "cannot be read"),
    ("txt2img", ("x",), {"input_images": WAV}, "is audio/wav, not a picture"),
    ("txt2img", ("x",), {"input_images": b"??"}, "of no known kind.*image/png"),
    ("txt2img", ("x",), {"input_images": ["~/a.png"]}, "no files of your Puter.*read_file"),
    ("txt2img", ("x",), {"input_images": [None]}, "holds None"),
    ("txt2img", ("x",), {"puter_output_path": "/"}, "is no file in your Puter"),
    ("txt2img", ("x",), {"puter_output_path": "~/"}, "is no file in your Puter"),
    ("txt2img", ("x",), {"puter_output_path": 5}, "is no file in your Puter"),
    ("txt2img", ("x",), {"test_mode": "yes"}, "test_mode must be True or False"),
    ("txt2img", ("x",), {"extra": []}, "extra must be a dict"),
    ("txt2img", ("x",), {"timeout": -1}, "timeout"),
    ("txt2img", ("x",), {"extra": {"a": {1}}}, "cannot be written as JSON"),
    ("img2txt", (), {}, "neither a picture nor a file"),
    ("img2txt", ("no-such.png",), {}, "cannot be read"),
    ("img2txt", (b"",), {}, "is empty"),
    ("img2txt", (b"??",), {}, "of no known kind"),
    ("img2txt", (WAV,), {}, "is audio/wav, not a picture or a PDF"),
    ("img2txt", ("data:image/png;base64,A",), {}, "is no data URI"),
    ("img2txt", (PNG + bytes(OCR_LIMIT),), {}, "larger than the 10 MiB"),
    ("img2txt", (PNG,), {"include_image_base64": 1}, "must be True or False"),
    ("txt2speech", (), {}, "text must be a non-empty str"),
    ("txt2speech", ("\n",), {}, "text must be a non-empty str"),
    ("txt2speech", ("x" * (SPEECH_LIMIT + 1),), {}, "3001 characters, and at most 3000"),
    ("txt2speech", ("x",), {"voice": ["alloy"]}, "voice must be a non-empty str"),
    ("txt2speech", ("x",), {"voice_settings": "loud"}, "voice_settings must be a dict"),
    ("speech2txt", (), {}, "neither a picture nor a file"),
    ("speech2txt", (PNG,), {}, "is image/png, not sound"),
    ("speech2txt", (b"\0\1",), {}, "of no known kind.*audio/wav"),
    ("speech2txt", ((WAV, "wav"),), {}, "mime type"),
    ("speech2txt", (WAV + bytes(AUDIO_LIMIT),), {}, "larger than the 25 MiB"),
    ("speech2txt", (WAV,), {"translate": "en"}, "translate must be True or False"),
    ("speech2speech", (), {}, "neither a picture nor a file"),
    ("speech2speech", (WAV + bytes(AUDIO_LIMIT),), {}, "larger than the 25 MiB"),
    ("speech2speech", (WAV,), {"seed": "x"}, "seed must be a number"),
    ("txt2vid", (" ",), {"test_mode": True}, "prompt must be a non-empty str"),
    ("txt2vid", ("x",), {"input_reference": WAV}, "is audio/wav, not a picture"),
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


async def test_a_misspelt_argument_is_a_type_error(door: Door) -> None:
    with pytest.raises(TypeError, match="qualty"):
        await door(door.client(), "txt2img", "a cat", qualty="high")


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
    payload: dict[str, Any] = {}
    with pytest.raises(puter.PuterInputError, match="50 MiB of JSON"):
        body_with_base64(payload, payload, "data", "", data)
    body = body_with_base64(payload, payload, "data", "", data[:-12])
    assert len(body) <= MAX_BODY


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
async def test_a_picture_or_film_is_its_bytes_or_its_address(
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


async def test_a_film_by_sora_is_a_sentence(door: Door) -> None:
    door.answers(envelope(SORA))
    with pytest.raises(puter.PuterResponseError, match=r"puter_output_path='~/Videos/film.mp4'"):
        await door(door.client(), "txt2vid", "waves", "sora-2")


async def test_a_film_by_sora_is_read_where_it_was_saved(door: Door) -> None:
    film = b"\0\0\0\x18ftypisom...."
    door.answers(envelope(SORA), text_answer(film, "application/octet-stream"))
    made = await door(
        door.client(), "txt2vid", "waves", "sora-2", puter_output_path="~/Videos/a b.mp4"
    )
    assert made == Video(film)
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
    assert (repr(page), repr(heard)) == ("OcrText('a')", "Transcript('a')")


# ------------------------------------------------------------ sound that comes in pieces


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
async def test_short_sound_is_in_memory(
    door: Door, method: str, kind: str, data: bytes, mime_type: str
) -> None:
    stream = audio(data[:1], data[1:], kind=kind)
    door.answers(stream)
    sound = await door(door.client(), method, *CALLS[method][0])
    assert (sound.bytes, sound.mime_type, sound.url) == (data, mime_type, None)
    assert stream.closed


BLOCK = MP3 * (2**15 // len(MP3))


async def test_long_sound_comes_while_it_is_read(door: Door, tmp_path: Path) -> None:
    pieces = [BLOCK] * (2 * AT_ONCE // len(BLOCK))
    stream = audio(*pieces)
    door.answers(stream)
    sound = await door(door.client(), "txt2speech", "Hello")
    begun = stream.read
    assert begun < len(pieces)
    with pytest.raises(puter.PuterError, match="not in memory"):
        _ = sound.bytes
    with pytest.raises(puter.PuterError, match="not in memory"):
        pickle.dumps(sound)
    if door.kind == "sync":
        assert sound.save(tmp_path / "a") == tmp_path / "a.mp3"
    else:
        assert await sound.async_save(tmp_path / "a") == tmp_path / "a.mp3"
    assert (tmp_path / "a.mp3").read_bytes() == b"".join(pieces)
    assert stream.closed


async def test_long_sound_can_be_read_whole_and_in_pieces(door: Door) -> None:
    pieces = [BLOCK] * (AT_ONCE // len(BLOCK) + 5)
    for whole in (True, False):
        door.answers(audio(*pieces))
        sound = await door(door.client(), "txt2speech", "Hello")
        if door.kind == "sync":
            data = sound.read() if whole else b"".join(sound.iter_bytes())
        elif whole:
            data = await sound.async_read()
        else:
            data = b"".join([one async for one in sound.async_iter_bytes()])
        assert data == b"".join(pieces)
        if not whole:
            with pytest.raises(puter.PuterError, match="passed on already"):
                sound.read()


async def test_the_wrong_door_is_told(door: Door) -> None:
    door.answers(audio(*[BLOCK] * (AT_ONCE // len(BLOCK) + 5)))
    with await door(door.client(), "txt2speech", "Hello") as sound:
        if door.kind == "sync":
            with pytest.raises(puter.PuterError, match=r"through the sync door.*iter_bytes"):
                await sound.async_read()
        else:
            with pytest.raises(puter.PuterError, match=r"through the async door.*async_read"):
                sound.read()


async def test_sound_that_is_dropped_is_closed_and_told(door: Door) -> None:
    stream = audio(*[BLOCK] * (AT_ONCE // len(BLOCK) + 5))
    door.answers(stream)
    sound = await door(door.client(), "txt2speech", "Hello")
    with pytest.warns(ResourceWarning, match="an? Audio was dropped before it was read"):
        del sound
    assert stream.closed


@pytest.mark.parametrize("number", [0, 1, 2 * AT_ONCE // len(BLOCK) - 1])
async def test_sound_that_breaks_off_is_an_error(door: Door, tmp_path: Path, number: int) -> None:
    stream = audio(*[BLOCK] * number, CUT)
    door.answers(stream)

    async def speak_and_save() -> None:
        sound = await door(door.client(), "txt2speech", "Hello")
        if door.kind == "sync":
            sound.save(tmp_path / "a")
        else:
            await sound.async_save(tmp_path / "a")

    with pytest.raises(puter.PuterConnectionError) as caught:
        await speak_and_save()
    assert caught.value.sent
    assert os.listdir(tmp_path) == []
    assert stream.closed
    assert len(door.sent) == 1


async def test_long_sound_holds_its_place_until_it_is_closed(door: Door) -> None:
    door.answers(audio(*[BLOCK] * (AT_ONCE // len(BLOCK) + 5)), envelope(CAT))
    ai = door.client(max_concurrency=1, deadline=0.2)
    sound = await door(ai, "txt2speech", "Hello")
    with pytest.raises(puter.PuterTimeoutError, match="before the request was sent"):
        await door(ai, "txt2img", "a cat")
    sound.close()
    sound.close()
    assert (await door(ai, "txt2img", "a cat")).url == CAT


async def test_an_error_is_no_sound(door: Door) -> None:
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
async def test_a_full_gate_is_waited_out(door: Door, method: str) -> None:
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


async def test_a_film_may_take_its_time(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    from puter.transports import asynchronous, blocking

    waited: list[float | None] = []
    for cls in (asynchronous.Asynchronous, blocking.Blocking):
        original = cls._send

        def send(self: Any, request: Any, original: Any = original) -> Any:
            waited.append(request.timeout)
            return original(self, request)

        monkeypatch.setattr(cls, "_send", send)
    door.answers(envelope(CAT))
    ai = door.client(timeout=5)
    await door(ai, "txt2vid", "waves")
    await door(ai, "txt2vid", "waves", timeout=7)
    await door(ai, "txt2img", "a cat")
    await door(ai, "txt2img", "a cat", timeout=7)
    await door(door.client(timeout=2 * SILENCE), "txt2vid", "waves")
    await door(door.client(timeout=None), "txt2vid", "waves")
    assert waited == [SILENCE, 7, 5, 7, 2 * SILENCE, None]


# ------------------------------------------------------------ raw calls


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
async def test_a_raw_call_decodes_json_under_any_of_its_names(door: Door, kind: str) -> None:
    door.answers(text_answer('{"success": true, "result": 7}', kind))
    assert await door(door.client(), "call", "puter-kvstore", "get", {"key": "a"}) == 7
