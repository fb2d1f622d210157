"""Media calls against a LocalPuter: every row of the protocol's argument and fault tables."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter import Audio, Image, PuterFile, Video
from puter.testing import AudioBody, Failure, LocalPuter, MediaCall, Truncate, UpstreamFailure
from tests.sockets.raw import Asked, RawServer, answer, keeps, says

if TYPE_CHECKING:
    import socket

    from tests.sockets.live import Live

PNG = b"\x89PNG\r\n\x1a\n....IHDR"
WAV = b"RIFF....WAVEfmt "
URL = "https://media.example.org/cat.png"
MP3_URL = "https://media.example.org/cat.mp3"
SAMPLE_IMAGE = "https://puter-sample-data.puter.site/image_example.png"
SAMPLE_AUDIO = "https://puter-sample-data.puter.site/tts_example.mp3"
SAMPLE_VIDEO = "https://assets.puter.site/txt2vid.mp4"


def media(live: Live) -> MediaCall:
    """The last call as its vendor got it."""
    found = [one.media for one in live.puter.requests if one.media is not None]
    assert found[-1] is not None
    return found[-1]


async def read(live: Live, value: Any) -> bytes:
    data: bytes = value.read() if live.kind == "sync" else await value.async_read()
    return data


async def saved(live: Live, value: Any, path: Path) -> Path:
    target: Path = value.save(path) if live.kind == "sync" else await value.async_save(path)
    return target


older = pytest.mark.parametrize("live", ["2026-08"], indirect=True)

# ------------------------------------------------------------ arguments

Check = Callable[[MediaCall], object]
# method, what it is given, and what the vendor must have got: attributes of the call, or a check
Row = tuple[str, tuple[Any, ...], dict[str, Any], dict[str, Any] | Check]

IMAGES: list[Row] = [
    ("txt2img", ("a cat",), {}, {"provider": "openai-image-generation", "text": "a cat"}),
    ("txt2img", ("a cat", "gpt-image-1"), {}, {"model": "gpt-image-1"}),
    *(
        ("txt2img", ("a cat",), {"provider": short}, {"provider": f"{short}-image-generation"})
        for short in ("openai", "gemini", "xai", "byteplus")
    ),
    (
        "txt2img",
        ("a cat",),
        {"provider": "gemini-image-generation"},
        {"provider": "gemini-image-generation", "model": "gemini-3.1-flash-image-preview"},
    ),
    ("txt2img", ("a cat",), {"quality": "high"}, lambda one: one.chosen["quality"] == "high"),
    ("txt2img", ("a cat",), {"quality": "nope"}, lambda one: one.chosen["quality"] == "low"),
    *(
        ("txt2img", ("a cat", "grok-imagine-image"), size, lambda one: one.chosen["width"] == 800)
        for size in (
            {"ratio": (800, 600)},
            {"ratio": "800x600"},
            {"ratio": {"w": 800, "h": 600}},
            {"width": 800, "height": 600},
        )
    ),
    (
        "txt2img",
        ("a cat", "gemini-2.5-flash-image"),
        {"aspect_ratio": "16:9"},
        lambda one: (one.chosen["width"], one.chosen["height"]) == (1024, 576),
    ),
    (
        "txt2img",
        ("a cat",),
        {"input_images": [PNG, URL]},
        lambda one: [(part.data, part.url) for part in one.inputs] == [(PNG, None), (b"", URL)],
    ),
    (
        "txt2img",
        ("a cat",),
        {"negative_prompt": "dogs", "seed": 1, "steps": 4, "n": 1, "style": "VIVID"},
        lambda one: one.args["steps"] == 4,
    ),
]
READING: list[Row] = [
    ("img2txt", (PNG,), {}, {"provider": "aws-textract"}),
    *(
        ("img2txt", (PNG,), {"provider": name}, {"provider": provider})
        for name, provider in (
            ("aws", "aws-textract"),
            ("textract", "aws-textract"),
            ("aws-textract", "aws-textract"),
            ("mistral", "mistral"),
            ("Mistral-OCR", "mistral"),
        )
    ),
    ("img2txt", (PNG,), {"provider": "mistral", "model": "mistral-2"}, {"model": "mistral-2"}),
    (
        "img2txt",
        (b"%PDF-1.7",),
        {"provider": "mistral", "pages": [0, 3]},
        lambda one: one.chosen["pages"] == [0, 3],
    ),
    (
        "img2txt",
        (PNG,),
        {"include_image_base64": True, "image_limit": 2, "image_min_size": 9},
        lambda one: (one.args["includeImageBase64"], one.args["imageLimit"]) == (True, 2),
    ),
    (
        "img2txt",
        (PNG,),
        {"bbox_annotation_format": {"a": 1}, "document_annotation_format": {"b": 2}},
        lambda one: one.args["documentAnnotationFormat"] == {"b": 2},
    ),
]
SPEAKING: list[Row] = [
    ("txt2speech", ("Hi",), {}, {"provider": "aws-polly", "model": "standard", "text": "Hi"}),
    *(
        ("txt2speech", ("Hi",), {"provider": name}, {"provider": provider})
        for provider, names in {
            "aws-polly": "aws polly aws-polly",
            "openai": "openai openai-tts OpenAI",
            "elevenlabs": "elevenlabs eleven eleven-labs 11labs 11-labs elevenlabs-tts",
            "gemini": "gemini google gemini-tts google-tts",
            "xai": "xai grok x-ai xai-tts grok-tts",
            "speechify": "speechify simba speechify-tts",
        }.items()
        for name in names.split()
    ),
    *(
        ("txt2speech", ("Hi",), {"engine": engine}, {"provider": "aws-polly", "model": engine})
        for engine in ("standard", "neural", "long-form", "generative")
    ),
    ("txt2speech", ("Hi",), {"engine": "openai"}, {"provider": "openai"}),
    ("txt2speech", ("Hi",), {"provider": "openai", "engine": "tts-1-hd"}, {"model": "tts-1-hd"}),
    ("txt2speech", ("Hi",), {"provider": "openai", "model": "tts-1"}, {"model": "tts-1"}),
    (
        "txt2speech",
        ("Hi",),
        {"provider": "openai", "voice": "nova", "instructions": "softly"},
        lambda one: (one.chosen["voice"], one.args["instructions"]) == ("nova", "softly"),
    ),
    ("txt2speech", ("Hi",), {"language": "de-DE"}, lambda one: one.chosen["voice"] == "Vicki"),
    ("txt2speech", ("<speak/>",), {"ssml": True}, lambda one: one.args["ssml"] is True),
    (
        "txt2speech",
        ("Hi",),
        {"provider": "elevenlabs", "voice_settings": {"stability": 1}},
        lambda one: one.args["voice_settings"] == {"stability": 1},
    ),
    *(
        (
            "txt2speech",
            ("Hi",),
            {"provider": "openai", "response_format": form},
            lambda one, form=form: one.chosen["format"] == form,
        )
        for form in ("mp3", "wav", "opus", "aac", "flac", "pcm")
    ),
    (
        "txt2speech",
        ("Hi",),
        {"provider": "elevenlabs"},
        lambda one: one.chosen["format"] == "mp3_44100_128",
    ),
    (
        "txt2speech",
        ("Hi",),
        {"provider": "xai", "output_format": "wav"},
        lambda one: one.chosen["format"] == "wav",
    ),
]
HEARING: list[Row] = [
    ("speech2txt", (WAV,), {}, {"provider": "openai", "model": "gpt-transcribe"}),
    (
        "speech2txt",
        (WAV,),
        {"translate": True, "provider": "xai"},
        {"method": "translate", "model": "grok-voice-transcribe-2.0"},
    ),
    *(
        ("speech2txt", (WAV,), {"provider": name}, {"provider": provider})
        for provider, names in {
            "openai": "openai whisper openai-speech2txt",
            "xai": "xai grok x-ai xai-speech2txt",
        }.items()
        for name in names.split()
    ),
    (
        "speech2txt",
        (WAV,),
        {
            "language": "en",
            "prompt": "Ada",
            "temperature": 0.5,
            "logprobs": True,
            "chunking_strategy": "auto",
            "extra_body": {"a": 1},
        },
        lambda one: (one.args["prompt"], one.args["extra_body"]) == ("Ada", {"a": 1}),
    ),
    (
        "speech2txt",
        (WAV,),
        {
            "provider": "xai",
            "format": True,
            "diarize": True,
            "multichannel": True,
            "channels": 2,
            "audio_format": "pcm",
            "sample_rate": 8000,
        },
        lambda one: one.args["sample_rate"] == 8000,
    ),
]
CONVERTING: list[Row] = [
    (
        "speech2speech",
        (WAV,),
        {},
        lambda one: (
            (one.model, one.chosen["voice"], one.chosen["format"])
            == ("eleven_multilingual_sts_v2", "21m00Tcm4TlvDq8ikWAM", "mp3_44100_128")
        ),
    ),
    ("speech2speech", (WAV,), {"provider": "elevenlabs"}, {"provider": "elevenlabs"}),
    (
        "speech2speech",
        (WAV,),
        {"model": "eleven_english_sts_v2", "voice": "Other_1", "output_format": "pcm_16000"},
        lambda one: (
            (one.model, one.chosen["voice"], one.chosen["format"])
            == ("eleven_english_sts_v2", "Other_1", "pcm_16000")
        ),
    ),
    (
        "speech2speech",
        (WAV,),
        {
            "voice_settings": {"stability": 1},
            "seed": 3,
            "remove_background_noise": True,
            "file_format": "other",
            "optimize_streaming_latency": 4,
            "enable_logging": False,
        },
        lambda one: (one.args["seed"], one.args["enable_logging"]) == (3, False),
    ),
]
VIDEOS: list[Row] = [
    ("txt2vid", ("waves", "veo-3.1-generate-preview"), {}, {"provider": "gemini-video-generation"}),
    ("txt2vid", ("waves",), {"provider": "byteplus"}, {"provider": "byteplus-video-generation"}),
    (
        "txt2vid",
        ("waves",),
        {"provider": "gemini", "seconds": 8, "size": "1280x720"},
        lambda one: one.chosen["seconds"] == 8,
    ),
    (
        "txt2vid",
        ("waves",),
        {"provider": "gemini", "seconds": 5, "size": "5x5"},
        lambda one: one.chosen["seconds"] == 4,  # what the model does not know is replaced
    ),
    (
        "txt2vid",
        ("waves",),
        {
            "provider": "gemini",
            "fps": 24,
            "seed": 1,
            "negative_prompt": "people",
            "generate_audio": True,
            "input_reference": PNG,
        },
        lambda one: str(one.args["input_reference"]).startswith("data:image/png;base64,"),
    ),
]
OLDER: list[Row] = [
    ("txt2img", ("a cat",), {"provider": "together"}, {"provider": "together-image-generation"}),
    ("txt2img", ("a cat",), {"provider": "gemini"}, {"model": "gemini-2.5-flash-image"}),
    ("speech2txt", (WAV,), {}, {"provider": "openai", "model": "gpt-4o-mini-transcribe"}),
    ("speech2txt", (WAV,), {"translate": True}, {"method": "translate", "model": "whisper-1"}),
    *(
        ("speech2txt", (WAV,), {"model": model}, {"model": model})
        for model in (
            "gpt-4o-mini-transcribe",
            "gpt-4o-transcribe",
            "gpt-4o-transcribe-diarize",
            "whisper-1",
        )
    ),
    (
        "speech2txt",
        (WAV,),
        {
            "model": "gpt-4o-transcribe-diarize",
            "known_speaker_names": ["Ada"],
            "known_speaker_references": ["data:audio/wav;base64,AA=="],
        },
        lambda one: one.chosen["response_format"] == "diarized_json",
    ),
    ("speech2txt", (WAV,), {"provider": "xai"}, {"model": "xai-stt"}),
    ("txt2vid", ("waves", "veo-3.1-generate-preview"), {}, {"provider": "gemini-video-generation"}),
]
ROWS = [*IMAGES, *READING, *SPEAKING, *HEARING, *CONVERTING, *VIDEOS]


def named(row: Any) -> str | None:
    if isinstance(row, str):
        return row
    if isinstance(row, dict):
        return "-".join(f"{name}={value}"[:30] for name, value in row.items()) or "alone"
    return None if callable(row) else "_"


@pytest.mark.parametrize(("method", "given", "options", "wanted"), ROWS, ids=named)
async def test_the_vendor_gets_what_was_asked_for(
    live: Live, method: str, given: Any, options: Any, wanted: Any
) -> None:
    await vendor_gets(live, method, given, options, wanted)


@older
@pytest.mark.parametrize(("method", "given", "options", "wanted"), OLDER, ids=named)
async def test_the_older_vendor_gets_what_was_asked_for(
    live: Live, method: str, given: Any, options: Any, wanted: Any
) -> None:
    await vendor_gets(live, method, given, options, wanted)


async def vendor_gets(
    live: Live, method: str, given: Any, options: Any, wanted: dict[str, Any] | Check
) -> None:
    await live(live.client(), method, *given, **options)
    got = media(live)
    if callable(wanted):
        assert wanted(got)
    else:
        assert {name: getattr(got, name) for name in wanted} == wanted
    if method in ("speech2txt", "speech2speech"):
        assert (got.inputs[0].name, got.inputs[0].data) == ("input.wav", WAV)


@pytest.mark.parametrize(
    ("method", "options", "result"),
    [
        ("txt2img", {}, Image(url=SAMPLE_IMAGE)),
        ("txt2img", {"model": "gpt-image-1"}, Image(url=SAMPLE_IMAGE)),
        ("txt2img", {"provider": "openai"}, Image(url=SAMPLE_IMAGE)),
        ("img2txt", {}, "test_mode is enabled; this is a sample OCR response."),
        ("txt2speech", {}, Audio(url=SAMPLE_AUDIO)),
        ("txt2speech", {"provider": "openai"}, Audio(url=SAMPLE_AUDIO)),
        (
            "speech2txt",
            {},
            "Hello! This is a sample transcription returned while test mode is enabled.",
        ),
        ("speech2speech", {}, Audio(url=SAMPLE_AUDIO)),
        ("txt2vid", {"prompt": "waves"}, Video(url=SAMPLE_VIDEO)),
    ],
    ids=named,
)
async def test_test_mode_is_free_and_canned(
    live: Live, method: str, options: dict[str, Any], result: Any
) -> None:
    ai = live.client()
    assert await live(ai, method, **options, test_mode=True) == result
    (asked,) = live.puter.requests
    assert asked.media is None
    assert asked.json["args"]["test_mode"] is True
    assert "test_mode" not in asked.json
    usage = await live(ai, "account_usage")
    assert list(usage.by_operation) == ["egress:bytes"]


async def test_the_sample_transcripts(live: Live) -> None:
    ai = live.client()
    heard = await live(ai, "speech2txt", test_mode=True)
    assert (heard.language, heard.raw["model"]) == ("en", "gpt-transcribe")
    grok = await live(ai, "speech2txt", test_mode=True, provider="xai", translate=True)
    assert (grok.language, grok.raw["model"]) == ("English", "grok-voice-transcribe-2.0")


@older
async def test_the_older_sample_transcripts(live: Live) -> None:
    ai = live.client()
    whisper = await live(ai, "speech2txt", test_mode=True, response_format="text", translate=True)
    assert (whisper.language, whisper.raw["model"], len(whisper.words)) == ("en", "whisper-1", 2)
    grok = await live(ai, "speech2txt", test_mode=True, provider="xai")
    assert (grok.language, grok.raw["model"], grok.words[1]["text"]) == (
        "English",
        "xai-stt",
        "This",
    )


# ------------------------------------------------------------ faults

ALL = None
FAULTS: list[Any] = [
    # images
    ("txt2img", ("x", "nope"), {}, puter.PuterModelNotFoundError, "Model not found: nope", ALL),
    ("txt2img", ("x",), {}, puter.PuterBadRequestError, "Missing `model`", ["mistral"]),
    (
        "txt2img",
        ("x",),
        {"provider": "xai"},
        puter.PuterBadRequestError,
        "Missing `model`",
        ["openai"],
    ),
    (
        "txt2img",
        ("x", "togetherai:black-forest-labs/flux.1-schnell"),
        {},
        puter.PuterBadRequestError,
        "Together image generation is not available",
        ALL,
    ),
    (
        "txt2img",
        ("x",),
        {"provider": "xai", "input_images": [URL] * 6},
        puter.PuterBadRequestError,
        "at most 5 input images",
        ALL,
    ),
    (
        "txt2img",
        ("x",),
        {"extra": {"input_images": ["data:image/png;base64,"]}},
        puter.PuterBadRequestError,
        "empty or not base64",
        ALL,
    ),
    (
        "txt2img",
        ("x",),
        {"puter_output_path": "/cat.png"},
        puter.PuterBadRequestError,
        "root",
        ALL,
    ),
    (
        "txt2img",
        ("x",),
        {"puter_output_path": "/bob/cat.png"},
        puter.PuterPermissionError,
        "Write access denied.*your own folders",
        ALL,
    ),
    # OCR
    (
        "img2txt",
        (PNG,),
        {"provider": "nope"},
        puter.PuterBadRequestError,
        "Unknown OCR provider: nope. Available: aws-textract, mistral",
        ALL,
    ),
    ("img2txt", (PNG,), {}, puter.PuterServerError, "No OCR provider configured", ["openai"]),
    ("img2txt", (PNG,), {"provider": "mistral"}, puter.PuterServerError, "Mistral", ["openai"]),
    (
        "img2txt",
        ("~/gone.png",),
        {},
        puter.PuterNotFoundError,
        "Entry not found: path=/alice/",
        ALL,
    ),
    ("img2txt", ("~/Documents",), {}, puter.PuterBadRequestError, "got a directory", ALL),
    ("img2txt", ("http://10.0.0.1/a.png",), {}, puter.PuterBadRequestError, "IP-addressed", ALL),
    # text to speech
    (
        "txt2speech",
        ("Hi",),
        {"provider": "nope"},
        puter.PuterBadRequestError,
        "TTS provider not found: nope. Available: aws-polly, openai",
        ALL,
    ),
    (
        "txt2speech",
        ("Hi",),
        {"provider": "speechify"},
        puter.PuterBadRequestError,
        "TTS provider not configured: speechify. Available: openai, elevenlabs",
        ["openai", "elevenlabs"],
    ),
    ("txt2speech", ("Hi",), {"engine": "nope"}, puter.PuterBadRequestError, "Invalid engine", ALL),
    (
        "txt2speech",
        ("Hi",),
        {"provider": "openai", "voice": "nope"},
        puter.PuterBadRequestError,
        "Invalid voice: nope. Expected: alloy",
        ALL,
    ),
    (
        "txt2speech",
        ("Hi",),
        {"provider": "openai", "model": "nope"},
        puter.PuterBadRequestError,
        "Invalid model: nope",
        ALL,
    ),
    (
        "txt2speech",
        (None,),
        {"test_mode": True, "extra": {"test_mode": False}},
        puter.PuterBadRequestError,
        "Missing required field: text",
        ALL,
    ),
    # speech to text
    (
        "speech2txt",
        (WAV,),
        {"provider": "nope"},
        puter.PuterBadRequestError,
        "provider not found: nope. Available: openai, xai",
        ALL,
    ),
    (
        "speech2txt",
        (WAV,),
        {"model": "nope"},
        puter.PuterBadRequestError,
        "Unsupported model: nope",
        ALL,
    ),
    (
        "speech2txt",
        (WAV,),
        {"response_format": "srt"},
        puter.PuterBadRequestError,
        "response_format must be one of: json, text",
        ALL,
    ),
    (
        "speech2txt",
        (WAV,),
        {"model": "whisper-1"},
        puter.PuterBadRequestError,
        "Unsupported model: whisper-1",
        ALL,
    ),
    (
        "speech2txt",
        (WAV,),
        {"translate": True},
        puter.PuterBadRequestError,
        "Translation is not supported by OpenAI",
        ALL,
    ),
    (
        "speech2txt",
        (WAV,),
        {"extra": {"stream": True}},
        puter.PuterBadRequestError,
        "Streaming transcription is not yet supported",
        ALL,
    ),
    ("speech2txt", (WAV,), {}, puter.PuterServerError, "OpenAI API key not configured", ["xai"]),
    (
        "speech2txt",
        (WAV,),
        {"provider": "xai"},
        puter.PuterServerError,
        "xAI API key not configured",
        ["openai"],
    ),
    (
        "speech2txt",
        (None,),
        {"test_mode": True, "extra": {"test_mode": False, "audio": "x"}},
        puter.PuterBadRequestError,
        "`file` is required",
        ALL,
    ),
    ("speech2txt", ("~/gone.mp3",), {}, puter.PuterNotFoundError, "Entry not found", ALL),
    ("speech2txt", ("~/Documents",), {}, puter.PuterBadRequestError, "got a directory", ALL),
    ("speech2txt", ("https://10.0.0.1/a",), {}, puter.PuterBadRequestError, "IP-addressed", ALL),
    # speech to speech
    (
        "speech2speech",
        (WAV,),
        {"provider": "openai"},
        puter.PuterBadRequestError,
        "provider not found: openai. Available: elevenlabs",
        ALL,
    ),
    (
        "speech2speech",
        (WAV,),
        {"voice": "../x"},
        puter.PuterBadRequestError,
        "`voice` must be alphanumeric",
        ALL,
    ),
    (
        "speech2speech",
        (WAV,),
        {"model": "a b"},
        puter.PuterBadRequestError,
        "`model` must be alphanumeric",
        ALL,
    ),
    (
        "speech2speech",
        (WAV,),
        {},
        puter.PuterServerError,
        "ElevenLabs API key not configured",
        ["openai"],
    ),
    ("speech2speech", ("~/gone.mp3",), {}, puter.PuterNotFoundError, "Entry not found", ALL),
    (
        "speech2speech",
        (None,),
        {"test_mode": True, "extra": {"test_mode": False, "audio": MP3_URL}},
        puter.PuterBadRequestError,
        "Invalid path",
        ALL,
    ),
    # videos
    ("txt2vid", ("x", "nope"), {}, puter.PuterModelNotFoundError, "Model not found: nope", ALL),
    ("txt2vid", ("x",), {}, puter.PuterServerError, "Internal Server Error", ["mistral"]),
    ("txt2vid", ("x",), {"puter_output_path": "/f.mp4"}, puter.PuterBadRequestError, "root", ALL),
    (
        "txt2vid",
        ("x",),
        {"puter_output_path": "/bob/f.mp4"},
        puter.PuterPermissionError,
        "Write access denied",
        ALL,
    ),
    # lists
    (
        "list_voices",
        ("nope",),
        {},
        puter.PuterBadRequestError,
        "TTS provider not found: nope",
        ALL,
    ),
    ("list_engines", ("nope",), {}, puter.PuterBadRequestError, "TTS provider not found", ALL),
]


OLDER_FAULTS: list[Any] = [
    (
        "txt2img",
        ("x",),
        {"provider": "together", "input_images": [URL, URL]},
        puter.PuterBadRequestError,
        "at most 1 input image",
        ALL,
    ),
    (
        "txt2img",
        ("x",),
        {"provider": "xai", "input_images": [URL] * 4},
        puter.PuterBadRequestError,
        "at most 3 input images",
        ALL,
    ),
    (
        "speech2txt",
        (WAV,),
        {"model": "gpt-4o-transcribe-diarize", "prompt": "Ada"},
        puter.PuterBadRequestError,
        "prompt is not supported",
        ALL,
    ),
    (
        "speech2txt",
        (WAV,),
        {"model": "whisper-1", "logprobs": True},
        puter.PuterBadRequestError,
        "logprobs is not supported",
        ALL,
    ),
    (
        "txt2vid",
        ("x", "sora-2"),
        {},
        puter.PuterResponseError,
        "OpenAI's video.*puter_output_path",
        ALL,
    ),
]


@pytest.mark.parametrize(
    ("method", "given", "options", "error", "match", "providers"), FAULTS, ids=named
)
async def test_what_the_server_refuses_is_its_typed_error(
    live: Live, method: str, given: Any, options: Any, error: Any, match: str, providers: Any
) -> None:
    with LocalPuter(tier=None, providers=providers) as server:
        await refused(live, server, method, given, options, error, match)


@pytest.mark.parametrize(
    ("method", "given", "options", "error", "match", "providers"), OLDER_FAULTS, ids=named
)
async def test_what_the_older_server_refuses_is_its_typed_error(
    live: Live, method: str, given: Any, options: Any, error: Any, match: str, providers: Any
) -> None:
    with LocalPuter(tier=None, providers=providers, generation="2026-08") as server:
        await refused(live, server, method, given, options, error, match)


async def refused(
    live: Live, server: LocalPuter, method: str, given: Any, options: Any, error: Any, match: str
) -> None:
    server.add_user("bob", None)
    with pytest.raises(error, match=match) as caught:
        await live(live.client(server, max_retries=0), method, *given, **options)
    assert type(caught.value) is error
    assert caught.value.hint
    assert caught.value.attempts == 1
    assert len(server.requests) == 1


async def test_an_engine_that_is_none_tells_those_that_are(live: Live) -> None:
    with pytest.raises(puter.PuterBadRequestError) as caught:
        await live(live.client(), "txt2speech", "Hi", engine="nope")
    assert caught.value.code == "invalid_engine"
    assert caught.value.body["valid_engines"] == ["standard", "neural", "long-form", "generative"]
    with pytest.raises(puter.PuterBadRequestError) as caught:
        await live(live.client(), "txt2speech", "Hi", provider="openai", voice="nope")
    assert (caught.value.code, caught.value.body["key"]) == ("field_invalid", "voice")


NEEDED: dict[str, Any] = {
    "txt2img": "a cat",
    "img2txt": PNG,
    "txt2speech": "Hi",
    "speech2txt": WAV,
    "speech2speech": WAV,
    "txt2vid": "waves",
}


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (429, "upstream_rate_limited", puter.PuterRateLimitError),
        (401, "upstream_auth_failed", puter.PuterUpstreamError),
        (403, "upstream_auth_failed", puter.PuterUpstreamError),
        (503, "upstream_provider_unavailable", puter.PuterUpstreamError),
        (422, "upstream_bad_request", puter.PuterBadRequestError),
    ],
)
@pytest.mark.parametrize("method", NEEDED)
async def test_a_vendors_failure(
    live: Live, method: str, status: int, code: str, error: type[puter.PuterAPIError]
) -> None:
    live.puter.media_with(UpstreamFailure(status, "no such thing", "vendors_code"))
    with pytest.raises(error) as caught:
        await live(live.client(max_retries=0), method, NEEDED[method])
    assert caught.value.code == code
    assert caught.value.body["upstreamStatus"] == status
    assert ("no such thing" in str(caught.value)) == (status < 500 and method != "speech2speech")


@pytest.mark.parametrize("method", [name for name in NEEDED if name != "txt2vid"])
async def test_an_account_without_means(live: Live, method: str) -> None:
    live.puter.add_user("poor", None, allowance=0)
    ai = live.client(token=live.puter.issue_token("poor"))
    with pytest.raises(puter.PuterInsufficientFundsError, match="Insufficient"):
        await live(ai, method, NEEDED[method])


async def test_a_vendor_that_is_busy_is_asked_again(live: Live) -> None:
    live.puter.media_with(UpstreamFailure(429), PNG)
    assert await read(live, await live(live.client(), "txt2img", "a cat")) == PNG


# ------------------------------------------------------------ inputs


@pytest.mark.parametrize("method", ["img2txt", "speech2txt", "speech2speech"])
async def test_inputs_of_every_form(live: Live, tmp_path: Path, method: str) -> None:
    data, name = (PNG, "in.png") if method == "img2txt" else (WAV, "in.wav")
    kind = "image/png" if method == "img2txt" else "audio/wav"
    local = tmp_path / name
    local.write_bytes(data)
    live.puter.files[f"~/Documents/{name}"] = data
    ai = live.client()
    with local.open("rb") as opened:
        for source in (data, local, str(local), opened, (data, kind)):
            await live(ai, method, source)
            (got,) = media(live).inputs
            assert (got.data, got.mime_type) == (data, kind)
    for stored in (PuterFile(f"/alice/Documents/{name}"), f"~/Documents/{name}"):
        await live(ai, method, stored)
        (got,) = media(live).inputs
        assert (got.data, got.name) == (data, name)


async def test_the_server_fetches_urls_itself_where_it_can(live: Live) -> None:
    ai = live.client()
    for method in ("img2txt", "speech2txt"):
        await live(ai, method, MP3_URL if method == "speech2txt" else URL)
        (got,) = media(live).inputs
        assert got.url is not None
        assert got.url.startswith("https://media.example.org/cat.")


async def test_a_url_is_fetched_here_where_the_server_cannot(live: Live) -> None:
    def handler(sock: socket.socket, asked: Asked) -> bool:
        sock.sendall(answer(WAV, kind="audio/x-wav"))
        return False

    with RawServer(handler) as host:
        ai = live.client(headers={"X-Key": "secret-key"})
        await live(ai, "speech2speech", f"{host.url}/a%20b/voice")
        (got,) = media(live).inputs
        assert (got.name, got.data) == ("input.wav", WAV)
    (asked,) = host.requests
    assert asked.line == "GET /a%20b/voice HTTP/1.1"
    assert "authorization" not in asked.headers
    assert live.puter.token not in str(asked)
    assert "secret-key" not in str(asked)
    assert live.puter.requests[0].headers["X-Key"] == "secret-key"


async def test_a_url_that_holds_too_much_is_given_up(live: Live) -> None:
    def handler(sock: socket.socket, asked: Asked) -> bool:
        sock.sendall(answer(b"", kind="audio/wav", length=2**27))
        try:
            for _ in range(60):
                sock.sendall(bytes(2**20))
        except OSError:
            stopped.append(True)
        return False

    stopped: list[bool] = []
    with RawServer(handler) as host, pytest.raises(puter.PuterInputError, match="than 25 MiB"):
        await live(live.client(), "speech2speech", f"{host.url}/long.wav")
    assert live.puter.requests == []
    assert stopped


@pytest.mark.parametrize("method", ["speech2txt", "speech2speech"])
async def test_a_file_of_puters_that_is_too_large_is_the_servers_word(
    live: Live, method: str
) -> None:
    live.puter.files["~/long.wav"] = bytes(26_214_401)
    with pytest.raises(puter.PuterBadRequestError, match="File exceeds max size") as caught:
        await live(live.client(), method, "~/long.wav")
    assert (caught.value.status, caught.value.code) == (413, "storage_limit_reached")


async def test_a_source_from_another_call(live: Live) -> None:
    ai = live.client()
    for source, method in (
        (await live(ai, "txt2speech", "Good morning"), "speech2txt"),
        (await live(ai, "txt2img", "a red cat"), "img2txt"),
        (await live(ai, "txt2speech", "Good night"), "speech2speech"),
    ):
        await live(ai, method, source)
        (given,) = media(live).inputs
        assert given.data == await read(live, source)
        assert given.mime_type == source.mime_type


# ------------------------------------------------------------ results


async def test_an_image_is_saved_here_and_there(live: Live, tmp_path: Path) -> None:
    ai = live.client()
    picture = await live(
        ai, "txt2img", "a cat", ratio=(1536, 1024), puter_output_path="Pictures/cat.png"
    )
    assert await saved(live, picture, tmp_path / "cat") == tmp_path / "cat.png"
    assert (tmp_path / "cat.png").read_bytes() == picture.bytes
    assert media(live).chosen["width"] == 1536
    assert live.puter.files["~/Pictures/cat.png"] == picture.bytes


@pytest.mark.parametrize(("provider", "by_url"), [("openai", False), ("xai", True)])
async def test_an_image_comes_as_bytes_or_as_a_url(live: Live, provider: str, by_url: bool) -> None:
    ai = live.client(headers={"X-Key": "secret-key"})
    picture = await live(ai, "txt2img", "a cat", provider=provider)
    assert (picture.url is not None) == by_url
    for _ in range(2):
        assert (await read(live, picture)).startswith(b"\x89PNG")
    samples = [one for one in live.puter.requests if one.path.startswith("/sample/")]
    assert len(samples) == by_url
    for one in samples:
        assert "Authorization" not in one.headers
        assert "X-Key" not in one.headers


async def test_a_jpeg_of_that_name_is_what_its_bytes_are(live: Live) -> None:
    picture = await live(live.client(), "txt2img", "a cat", provider="byteplus")
    assert picture.mime_type == "image/png"  # labelled image/jpeg, whatever it is


@pytest.mark.parametrize(
    ("options", "mime_type", "extension"),
    [
        ({"provider": "openai"}, "audio/mpeg", ".mp3"),
        ({"provider": "openai", "response_format": "wav"}, "audio/wav", ".wav"),
        ({"provider": "gemini"}, "audio/wav", ".wav"),
        ({"provider": "openai", "response_format": "pcm"}, "audio/pcm", ""),
        ({"provider": "xai", "output_format": "wav"}, "audio/wav", ".wav"),
    ],
)
async def test_speech_is_saved_under_its_own_name(
    live: Live, tmp_path: Path, options: dict[str, Any], mime_type: str, extension: str
) -> None:
    sound = await live(live.client(), "txt2speech", "Hello", **options)
    assert sound.mime_type == mime_type
    assert await saved(live, sound, tmp_path / "x") == tmp_path / f"x{extension}"


async def test_videos_come_as_urls(live: Live, tmp_path: Path) -> None:
    ai = live.client()
    video = await live(ai, "txt2vid", "waves", provider="gemini")
    assert await saved(live, video, tmp_path / "waves") == tmp_path / "waves.mp4"
    assert "Authorization" not in live.puter.requests[-1].headers


@older
async def test_a_video_by_sora_is_saved_and_read(live: Live, tmp_path: Path) -> None:
    ai = live.client()
    video = await live(ai, "txt2vid", "waves", "sora-2", puter_output_path="Videos/w.mp4")
    assert video.bytes == live.puter.files["~/Videos/w.mp4"]
    assert await saved(live, video, tmp_path / "w") == tmp_path / "w.mp4"


async def test_a_scripted_video_may_be_a_url_or_an_object(live: Live) -> None:
    live.puter.media_with(URL, {"asset_url": URL}, {"url": URL, "content_type": "video/mp4"})
    ai = live.client()
    for _ in range(3):
        assert (await live(ai, "txt2vid", "waves")).url == URL


async def test_a_video_outlasts_the_clients_timeout(live: Live) -> None:
    with LocalPuter(tier=None, latency=0.4) as server:
        ai = live.client(server, timeout=0.1, max_retries=0)
        assert await live(ai, "txt2vid", "waves", provider="gemini")
        with pytest.raises(puter.PuterTimeoutError):
            await live(ai, "txt2img", "a cat")
        with pytest.raises(puter.PuterTimeoutError):
            await live(ai, "txt2vid", "waves", provider="gemini", timeout=0.1)
        assert await live(ai, "txt2img", "a cat", timeout=5)


@older
@pytest.mark.parametrize(
    ("options", "check"),
    [
        ({"response_format": "json"}, lambda one: one.raw["usage"]),
        ({"response_format": "text"}, lambda one: one.raw == "Good morning"),
        (
            {"model": "whisper-1", "response_format": "verbose_json"},
            lambda one: (one.language, len(one.segments)) == ("english", 1),
        ),
        (
            {
                "model": "whisper-1",
                "response_format": "verbose_json",
                "timestamp_granularities": ["word"],
            },
            lambda one: [word["word"] for word in one.words] == ["Good", "morning"],
        ),
        (
            {"model": "gpt-4o-transcribe-diarize"},
            lambda one: one.segments[0]["speaker"] == "A",
        ),
        (
            {"provider": "xai", "diarize": True},
            lambda one: (one.language, one.words[0]["speaker"]) == ("English", 0),
        ),
    ],
    ids=named,
)
async def test_a_transcript_of_every_form(live: Live, options: dict[str, Any], check: Any) -> None:
    live.puter.media_with("Good morning")
    heard = await live(live.client(), "speech2txt", WAV, **options)
    assert heard == "Good morning"
    assert check(heard)


@older
@pytest.mark.parametrize(("form", "begins"), [("srt", "1\n00:00:00,000 -->"), ("vtt", "WEBVTT\n")])
async def test_subtitles_are_text(live: Live, form: str, begins: str) -> None:
    heard = await live(live.client(), "speech2txt", WAV, model="whisper-1", response_format=form)
    assert heard.startswith(begins)


@pytest.mark.parametrize("provider", ["aws-textract", "mistral"])
async def test_ocr_of_either_vendor(live: Live, provider: str) -> None:
    live.puter.media_with("Bread 2.50\nMilk 1.20")
    page = await live(live.client(), "img2txt", PNG, provider=provider)
    assert page == "Bread 2.50\nMilk 1.20"
    assert page.blocks[0]["type"].startswith("text/")
    assert bool(page.pages) == (provider == "mistral")


# ------------------------------------------------------------ downloads


async def image_at(live: Live, url: str, **settings: Any) -> tuple[Image, puter.PuterAI]:
    """What ``txt2img()`` makes of an answer with that URL, and its client."""
    live.puter.media_with(url)
    ai = live.client(**settings)
    image = await live(ai, "txt2img", "a cat")
    assert image == Image(url=url)
    return image, ai


async def test_a_download_shows_the_other_host_no_secrets(live: Live) -> None:
    with RawServer(keeps(answer(PNG, kind="image/png"))) as store:
        moved = answer(b"", f"Location: {store.url}/b%20c.png", status="302 Found")
        with RawServer(keeps(moved)) as host:
            image, _ = await image_at(
                live, f"{host.url}/a b?signature=1", headers={"X-Key": "secret-key"}
            )
            assert await read(live, image) == PNG
    (first,), (second,) = host.requests, store.requests
    assert first.line == "GET /a%20b?signature=1 HTTP/1.1"
    assert second.line == "GET /b%20c.png HTTP/1.1"
    plain = {"host", "user-agent", "accept", "accept-encoding", "connection"}
    for asked in (first, second):
        assert asked.headers.keys() <= plain
        assert asked.headers["user-agent"].startswith("puter-python-sdk/")
        assert live.puter.token not in str(asked)
        assert "secret-key" not in str(asked)


@pytest.mark.parametrize("method", ["read", "save", "iter_bytes"])
async def test_the_deadline_bounds_the_whole_download(
    live: Live, tmp_path: Path, method: str
) -> None:
    def drips(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(answer(PNG, kind="image/png", length=2**20))
        while not server.stopping.wait(0.02):
            sock.sendall(b".")

    with RawServer(drips) as server:
        image, ai = await image_at(live, server.url)
        ai.config.update(deadline=0.3)
        begun = time.monotonic()
        with pytest.raises(puter.PuterTimeoutError, match="The deadline passed") as caught:
            await use(live, image, method, tmp_path / "a.png")
        assert 0.2 < time.monotonic() - begun < 5
        assert (caught.value.sent, caught.value.attempts) == (True, 1)
    assert len(server.requests) == 1
    assert os.listdir(tmp_path) == []


async def use(live: Live, image: Image, method: str, path: Path) -> None:
    match method, live.kind:
        case "read", _:
            await read(live, image)
        case "save", _:
            await saved(live, image, path)
        case _, "sync":
            for _ in image.iter_bytes():
                pass
        case _:
            async for _ in image.async_iter_bytes():
                pass


@pytest.mark.parametrize("fault", ["429 Too Many Requests", "503 Unavailable", ""])
async def test_a_download_is_tried_again(live: Live, fault: str) -> None:
    script = [b"" if not fault else answer(b"", status=fault), answer(PNG, kind="image/png")]

    def one_by_one(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(script.pop(0))

    with RawServer(one_by_one) as host:
        image, _ = await image_at(live, host.url)
        assert await read(live, image) == PNG
    assert len(host.requests) == 2


async def test_a_download_that_breaks_off_leaves_the_old_file(live: Live, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with RawServer(says(answer(PNG * 10_000, kind="image/png", length=10**6))) as host:
        image, _ = await image_at(live, host.url)
        with pytest.raises(puter.PuterConnectionError, match="before the answer was complete"):
            await saved(live, image, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


async def test_threads_and_tasks_share_one_download(live: Live) -> None:
    def slow(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(answer(PNG, kind="image/png", length=len(PNG) + 1))
        server.stopping.wait(0.05)
        sock.sendall(b".")

    with RawServer(slow) as server:
        image, _ = await image_at(live, server.url)
        threads = [asyncio.to_thread(image.read) for _ in range(3)]
        tasks = [image.async_read() for _ in range(3)]
        assert await asyncio.gather(*threads, *tasks) == [PNG + b"."] * 6
    assert len(server.requests) == 1


# ------------------------------------------------------------ voices


async def test_voices_and_engines(live: Live) -> None:
    ai = live.client()
    voices = await live(ai, "list_voices", "openai")
    assert {"alloy", "nova"} <= {one["id"] for one in voices}
    everybody = await live(ai, "list_voices", "all")
    assert len({one["provider"] for one in everybody}) == 6
    polly = await live(ai, "list_voices")
    neural = await live(ai, "list_voices", engine="neural")
    assert {one["provider"] for one in polly} == {"aws-polly"}
    assert len(neural) < len(polly)
    engines = await live(ai, "list_engines", "openai")
    assert {one["id"] for one in engines} == {"gpt-4o-mini-tts", "tts-1", "tts-1-hd"}
    assert len(await live(ai, "list_engines", "all")) > len(engines)
    with LocalPuter(tier=None, providers=["openai"]) as server:
        other = live.client(server)
        assert {one["provider"] for one in await live(other, "list_voices")} == {"openai"}
        assert await live(other, "list_voices", "speechify") == []


# ------------------------------------------------------------ audio in pieces


async def test_audio_that_breaks_off_is_an_error(live: Live) -> None:
    live.puter.media_with(Truncate())
    with pytest.raises(puter.PuterConnectionError) as caught:
        await live(live.client(), "txt2speech", "Hi")
    assert (caught.value.sent, caught.value.attempts) == (True, 1)
    assert len(live.puter.requests) == 1


async def test_a_cancelled_call_frees_its_permit_and_connection(live: Live) -> None:
    live.puter.media_with(AudioBody(200 * 2**20, pace=0.01), PNG)
    ai = live.client(max_concurrency=1)
    if live.kind == "sync":
        ai.config.update(deadline=0.3)
        with pytest.raises(puter.PuterTimeoutError, match="deadline"):
            ai.txt2speech("Hi")
        ai.config.update(deadline=None)
    else:
        call = asyncio.create_task(ai.async_txt2speech("Hi"))
        await live.puter.async_wait_for(lambda one: one.media is not None)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert await live(ai, "txt2img", "a cat")
    await live.puter.async_wait_for(lambda one: one.dropped)


async def test_a_failure_in_json_is_no_audio(live: Live) -> None:
    live.puter.media_with(Failure(500))
    with pytest.raises(puter.PuterServerError):
        await live(live.client(), "txt2speech", "Hi")


# ------------------------------------------------------------ driver calls


async def test_calls_are_decoded_by_content_type(live: Live) -> None:
    ai = live.client()
    kv = "puter-kvstore"
    assert await live(ai, "call", kv, "set", {"key": "a", "value": {"n": 1}}) is True
    assert await live(ai, "call", kv, "get", {"key": "a"}) == {"n": 1}
    assert await live(ai, "call", kv, "del", {"key": "a"}) is True
    assert await live(ai, "call", "puter-tts", "list", driver="ai-tts")
    sound = await live(ai, "call", "puter-tts", "synthesize", {"text": "Hi", "provider": "openai"})
    assert (type(sound), sound.mime_type) == (puter.Media, "audio/mpeg")
    args = {"messages": [{"role": "user", "content": "Hi"}], "model": "gpt-5-nano", "stream": True}
    lines = await live(ai, "call", "puter-chat-completion", "complete", args)
    assert lines[-1]["type"] == "usage"
    assert json.dumps(lines)
    for arguments, match in (
        ((kv, "nope"), "Method 'nope' not found"),
        (("nope", "x"), "Driver not found: nope"),
        ((kv, "get", {}, "x"), "Driver not found: puter-kvstore:x"),
    ):
        with pytest.raises(puter.PuterNotFoundError, match=match):
            await live(ai, "call", *arguments[:3], driver=(*arguments, None, None)[3])
    with pytest.raises(puter.PuterBadRequestError, match="Missing `key`"):
        await live(ai, "call", kv, "get")
