"""Pictures, speech, transcripts, OCR and films, over plain HTTP."""

from __future__ import annotations

import asyncio
import base64
import copy
import io
import struct
import tracemalloc
import wave
from typing import TYPE_CHECKING, Any

import aiohttp
import PIL.Image
import pytest
import requests

from puter.testing import (
    AudioBody,
    Disconnect,
    Failure,
    LocalPuter,
    MediaCall,
    MediaInput,
    Tier,
    UpstreamFailure,
)
from tests.local_puter.support import Caller, captures, error_of
from tests.local_puter.test_captures import assert_same, local, replay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from puter.testing.backend import Generation

MEDIA = captures("media")
DOT = base64.b64decode(MEDIA["img_bad_quality"]["response"]["body"]["result"].partition(",")[2])
PICTURE = MEDIA["img_bad_quality"]["response"]["body"]["result"]
CALL = "data:audio/mpeg;base64,SUQzBAA="

IMAGE = "puter-image-generation"
TTS = "puter-tts"
STT = "puter-speech2txt"
STS = "puter-speech2speech"
OCR = "puter-ocr"
VIDEO = "puter-video-generation"

# What the vendor behind each capture answered.
VENDOR: dict[str, Any] = {
    "ocr": "Hello OCR",
    "stt_data_uri": MEDIA["stt_data_uri"]["response"]["body"].get("result"),
    "tts_eleven_upstream_400": UpstreamFailure(400, "bad"),
    "tts_upstream_401": UpstreamFailure(401, "fake upstream says 401", "fake_401"),
    "tts_upstream_429": UpstreamFailure(429, "fake upstream says 429", "fake_429"),
    "vid_byteplus": "https://example.com/v.mp4",
    **dict.fromkeys(
        (
            "img_bad_quality",
            "img_input_image",
            "img_seedream",
            "img_test_mode_toplevel_only",
            "img_test_mode_toplevel_testMode",
            "legacy_image_no_driver",
        ),
        DOT,
    ),
}


@pytest.mark.parametrize("name", MEDIA)
def test_captures_to_the_last_byte(name: str, session: requests.Session) -> None:
    capture = copy.deepcopy(MEDIA[name])
    speech = ["aws-polly"] if name == "tts_polly_engines" else ["openai", "elevenlabs"]
    with local(providers=speech if "tts" in name else None) as puter:
        puter.add_user("admin", None)
        result = VENDOR.get(name, VENDOR["ocr"] if name.startswith("ocr") else None)
        if result is not None:
            puter.media_with(result)
        response = replay(puter, session, capture["request"], puter.token)
    wanted = capture["response"]
    assert response.headers.get("Transfer-Encoding") == wanted["headers"].get("Transfer-Encoding")
    if wanted["body"] is None:
        assert (response.status_code, len(response.content) > 100) == (200, True)
        assert response.headers["Content-Type"] == wanted["headers"]["Content-Type"]
        assert "Vary" not in response.headers
    else:
        assert_same(response, wanted)
        assert response.json() == wanted["body"]


def result_of(response: requests.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()["result"]


def last(puter: LocalPuter) -> MediaCall:
    media = [record.media for record in puter.requests if record.media is not None]
    return media[-1]


def data_of(uri: str) -> bytes:
    return base64.b64decode(uri.partition(",")[2])


def assert_png(data: bytes) -> None:
    with PIL.Image.open(io.BytesIO(data)) as image:
        image.load()
        assert (image.format, image.size) == ("PNG", (1, 1))


# --- pictures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "size", "quality"),
    [
        ({}, (1024, 1024), "low"),
        ({"ratio": {"w": 1024, "h": 1536}, "quality": "high"}, (1024, 1536), "high"),
        ({"width": 1536, "height": 1024}, (1536, 1024), "low"),
        ({"width": 7, "height": 7, "quality": "nope"}, (1024, 1024), "low"),
        ({"model": "nano-banana", "aspect_ratio": "16:9"}, (1024, 576), ""),
        ({"model": "grok-image", "ratio": {"w": 800, "h": 600}}, (800, 600), "1k"),
        ({"model": "grok-image", "aspect_ratio": "x:y"}, (1024, 1024), "1k"),
    ],
)
def test_the_size_the_model_makes_of_the_options(
    args: dict[str, Any], size: tuple[int, int], quality: str, caller: Caller
) -> None:
    result = result_of(caller.call(IMAGE, "generate", {"prompt": "a red cat", **args}))
    data = data_of(result) if result.startswith("data:") else caller.session.get(result).content
    assert_png(data)
    chosen = last(caller.puter).chosen
    assert chosen == {"quality": quality, "width": size[0], "height": size[1]}


def test_some_vendors_answer_with_a_url_anybody_can_fetch(caller: Caller) -> None:
    url = result_of(caller.call(IMAGE, "generate", {"prompt": "x", "model": "grok-image"}))
    assert url.startswith(caller.puter.url + "/sample/")
    picture = caller.get(url.removeprefix(caller.puter.url), token=None)
    assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/png")
    assert_png(picture.content)
    assert "Authorization" not in caller.puter.requests[-1].headers
    assert caller.get("/sample/99.png", token=None).status_code == 404


def test_the_latest_hundred_urls_are_kept(caller: Caller) -> None:
    args = {"prompt": "x", "model": "grok-image"}
    with LocalPuter(tier=None, allowance=1000) as puter:
        other = Caller(puter, caller.session)
        urls = [result_of(other.call(IMAGE, "generate", args)) for _ in range(101)]
        paths = [url.removeprefix(puter.url) for url in urls]
        assert len(set(paths)) == 101
        statuses = [other.get(path, token=None).status_code for path in (paths[0], paths[1])]
    assert statuses == [404, 200]


MISSING = (400, "bad_request", "Missing `model`")


@pytest.mark.parametrize(
    ("args", "driver", "outcome"),
    [
        ({"model": "Grok-Image "}, "ai-image", "grok-imagine-image"),
        ({}, "xai-image-generation", "grok-imagine-image"),
        ({"provider": "byteplus-image-generation"}, None, "seedream-5-0-lite-260128"),
        ({"provider": "byteplus-image-generation"}, "ai-image", "seedream-5-0-lite-260128"),
        ({"provider": "cloudflare-image-generation"}, None, MISSING),
        ({"provider": "nope", "model": "gpt-image-1"}, None, "gpt-image-1"),
        ({"model": "nope"}, "ai-image", (400, "bad_request", "Model not found: nope")),
    ],
)
@pytest.mark.parametrize("generation", ["older", "caller"])
def test_who_draws(
    args: dict[str, Any],
    driver: str | None,
    outcome: Any,
    generation: str,
    request: pytest.FixtureRequest,
) -> None:
    draws(request.getfixturevalue(generation), args, driver, outcome)


@pytest.mark.parametrize(
    ("args", "driver", "outcome"),
    [
        ({}, None, "gpt-image-1-mini"),
        ({}, "ai-image", MISSING),
        ({"provider": "openai"}, None, MISSING),
        ({"model": "FLUX.1-kontext-pro"}, None, "togetherai:black-forest-labs/flux.1-kontext-pro"),
        ({"model": "nano-banana", "quality": "nope"}, None, "gemini-2.5-flash-image"),
    ],
)
def test_who_draws_in_the_older_generation(
    args: dict[str, Any], driver: str | None, outcome: Any, older: Caller
) -> None:
    draws(older, args, driver, outcome)


NO_TOGETHER = (400, "bad_request", "Together image generation is not available")


@pytest.mark.parametrize(
    ("args", "driver", "outcome"),
    [
        ({}, None, "gpt-image-2"),
        ({}, "ai-image", "gpt-image-2"),
        ({"provider": "openai"}, "ai-image", "gpt-image-2"),
        ({"provider": "gemini"}, None, "gemini-3.1-flash-image-preview"),
        ({"provider": "nope"}, None, MISSING),
        ({"provider": "together"}, None, MISSING),
        ({"provider": "together", "model": "gpt-image-2"}, None, NO_TOGETHER),
        ({"model": "FLUX.1-kontext-pro"}, None, NO_TOGETHER),
        ({"model": "FLUX.1-kontext-pro", "test_mode": True}, None, NO_TOGETHER),
        (
            {"model": "gemini-3-pro-image-preview", "quality": "nope"},
            None,
            (400, "bad_request", "Invalid quality: nope. Expected: 1K, 2K, 4K"),
        ),
    ],
)
def test_who_draws_in_the_newer_generation(
    args: dict[str, Any], driver: str | None, outcome: Any, caller: Caller
) -> None:
    draws(caller, args, driver, outcome)


def draws(caller: Caller, args: dict[str, Any], driver: str | None, outcome: Any) -> None:
    response = caller.call(IMAGE, "generate", {"prompt": "x", **args}, driver=driver)
    if isinstance(outcome, tuple):
        assert error_of(response) == outcome
    else:
        assert response.status_code == 200
        assert last(caller.puter).model == outcome


def test_only_providers_that_are_set_up_draw(session: requests.Session) -> None:
    with LocalPuter(providers=["xai"]) as puter:
        caller = Caller(puter, session)
        assert caller.call(IMAGE, "generate", {"prompt": "x"}).status_code == 200
        assert last(puter).provider == "xai-image-generation"
        unknown = caller.call(IMAGE, "generate", {"prompt": "x", "model": "gpt-image-1"})
        assert error_of(unknown) == (400, "bad_request", "Model not found: gpt-image-1")
        assert result_of(caller.call(IMAGE, "list")) == [
            "x-ai:x-ai/grok-imagine-image",
            "x-ai:x-ai/grok-imagine-image-quality",
        ]
        listed = caller.get("/puterai/image/models", token=None).json()["models"]
        assert listed == result_of(caller.call(IMAGE, "list"))
    with LocalPuter(providers=[]) as puter:
        caller = Caller(puter, session)
        assert error_of(caller.call(IMAGE, "generate", {"prompt": "x"})) == MISSING
        assert caller.call(VIDEO, "generate", {"prompt": "x"}).status_code == 500
    with pytest.raises(ValueError, match="no provider 'dall-e'"):
        LocalPuter(providers=["dall-e"])


def test_the_newer_generation_takes_more_input_images(caller: Caller, older: Caller) -> None:
    web = "https://example.org/cat.png"
    args = {"prompt": "x", "model": "grok-image", "input_images": [web] * 5}
    result_of(caller.call(IMAGE, "generate", args))
    assert len(last(caller.puter).inputs) == 5
    assert older.call(IMAGE, "generate", args).status_code == 400
    args["input_images"] = [web] * 6
    assert caller.call(IMAGE, "generate", args).status_code == 400


def test_input_images(caller: Caller) -> None:
    args: dict[str, Any] = {
        "prompt": "x",
        "input_image": MEDIA["img_bad_quality"]["response"]["body"]["result"],
    }
    result_of(caller.call(IMAGE, "generate", args))
    assert last(caller.puter).inputs == [MediaInput("input.png", "image/png", DOT)]
    web = "https://example.org/cat.png"
    result_of(caller.call(IMAGE, "generate", {"prompt": "x", "input_images": [web, web]}))
    assert [one.url for one in last(caller.puter).inputs] == [web, web]
    together = {"prompt": "x", "input_images": [web, web], "model": "FLUX.1-kontext-pro"}
    assert caller.call(IMAGE, "generate", together).status_code == 400


def test_pictures_are_saved_when_asked(caller: Caller) -> None:
    files = caller.puter.files
    args = {"prompt": "x", "puter_output_path": "~/Pictures/new/cat.png"}
    result = result_of(caller.call(IMAGE, "generate", args))
    assert files["/alice/Pictures/new/cat.png"] == data_of(result)
    result_of(caller.call(IMAGE, "generate", {**args, "model": "grok-image", "prompt": "y"}))
    assert_png(files["~/Pictures/new/cat.png"])
    caller.puter.media_with(b"\xff\xd8\xff...")
    result_of(caller.call(IMAGE, "generate", args))
    assert files["~/Pictures/new/cat.png"] == b"\xff\xd8\xff..."
    root = caller.call(IMAGE, "generate", {**args, "puter_output_path": "/cat.png"})
    assert error_of(root)[:2] == (400, "cannot_write_to_root")
    test = {**args, "prompt": None, "test_mode": True, "puter_output_path": "~/t.png"}
    assert result_of(caller.call(IMAGE, "generate", test)).startswith("https://puter-sample-data")
    assert "/alice/t.png" in files


# --- scripting -----------------------------------------------------------------------------------


def test_results_are_taken_in_order(caller: Caller) -> None:
    puter = caller.puter
    seen: list[MediaCall] = []

    async def later(call: MediaCall) -> str:
        seen.append(call)
        return f"https://example.org/{call.text}.png"

    def now(call: MediaCall) -> dict[str, Any]:
        seen.append(call)
        return {"model": call.model}

    puter.media_with(b"\xff\xd8\xff...", "data:image/gif;base64,R0lG", later, now, Failure(402))
    results = [caller.call(IMAGE, "generate", {"prompt": f"p{number}"}) for number in range(6)]
    assert [result_of(response) for response in results[:4]] == [
        "data:image/jpeg;base64,/9j/Li4u",
        "data:image/gif;base64,R0lG",
        "https://example.org/p2.png",
        {"model": "gpt-image-2"},
    ]
    assert results[4].status_code == 402
    assert_png(data_of(result_of(results[5])))
    assert [(call.user, call.text) for call in seen] == [("alice", "p2"), ("alice", "p3")]
    with pytest.raises(TypeError, match="media result is bytes"):
        puter.media_with(5)  # type: ignore[arg-type]


def test_test_mode_and_refused_calls_take_no_result(caller: Caller) -> None:
    caller.puter.media_with("https://example.org/kept.png")
    caller.call(IMAGE, "generate", {"prompt": "x", "test_mode": True})
    caller.call(IMAGE, "generate", {"prompt": 5})
    result = result_of(caller.call(IMAGE, "generate", {"prompt": "x"}))
    assert result == "https://example.org/kept.png"


def test_a_responder_that_raises_is_an_internal_error(caller: Caller) -> None:
    def broken(_call: MediaCall) -> str:
        raise RuntimeError("oops")

    caller.puter.media_with(broken)
    assert error_of(caller.call(IMAGE, "generate", {"prompt": "x"}))[0] == 500


def test_broken_connections(caller: Caller) -> None:
    caller.puter.media_with(Disconnect())
    with pytest.raises(requests.ConnectionError):
        caller.call(IMAGE, "generate", {"prompt": "x"})


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, (400, "upstream_bad_request", "no")),
        (401, (500, "upstream_auth_failed", "no")),
        (403, (500, "upstream_auth_failed", "no")),
        (429, (429, "upstream_rate_limited", "no")),
        (503, (400, "upstream_provider_unavailable", "AI provider unavailable")),
    ],
)
def test_vendors_failures(status: int, outcome: Any, caller: Caller) -> None:
    caller.puter.media_with(UpstreamFailure(status, "no"))
    response = caller.call(VIDEO, "generate", {"prompt": "x"})
    assert error_of(response) == outcome
    assert response.json()["upstreamStatus"] == status


def test_a_job_that_failed(caller: Caller, older: Caller) -> None:
    for one, status in ((caller, 502), (older, 400)):
        one.puter.media_with(UpstreamFailure(message="the job failed", code="upstream_failed"))
        response = one.call(VIDEO, "generate", {"prompt": "x"})
        assert error_of(response) == (status, "upstream_failed", "the job failed")
        assert response.json()["provider"].endswith("-video-generation")


def test_vendors_that_decline(caller: Caller) -> None:
    declined = UpstreamFailure(400, "not that", "moderation_flagged")
    caller.puter.media_with(declined, declined, UpstreamFailure(504, "too slow"))
    image = caller.call(IMAGE, "generate", {"prompt": "x"})
    assert error_of(image) == (400, "bad_request", "not that")
    assert image.json()["errorCode"] == "moderation_flagged"
    film = caller.call(VIDEO, "generate", {"prompt": "x"})
    assert error_of(film) == (400, "disallowed_value", "not that")
    slow = caller.call(VIDEO, "generate", {"prompt": "x"})
    assert error_of(slow) == (504, "upstream_timeout", "too slow")


@pytest.mark.parametrize(("generation", "billed"), [("2026-08", True), ("2026-10", False)])
async def test_who_leaves_early_pays_in_the_older_generation(
    generation: Generation, billed: bool
) -> None:
    async with LocalPuter(generation=generation, latency=60) as puter:
        headers = {"Authorization": f"Bearer {puter.token}"}
        body = {"interface": IMAGE, "method": "generate", "args": {"prompt": "x"}}
        async with aiohttp.ClientSession(headers=headers) as session:
            call = asyncio.ensure_future(session.post(puter.url + "/drivers/call", json=body))
            await puter.async_wait_for(lambda record: record.media)
            call.cancel()
            await puter.async_wait_for(lambda record: record.dropped)
            async with session.get(puter.url + "/metering/usage") as response:
                book = (await response.json())["usage"]
    assert any(key.startswith("openai:gpt-image") for key in book) == billed


# --- speech --------------------------------------------------------------------------------------

GEMINI = "gemini-2.5-flash-preview-tts, gemini-2.5-pro-preview-tts"
OPENAI = "alloy, ash, ballad, coral, echo, fable, nova, onyx, sage, shimmer"


def synthesize(caller: Caller, **args: Any) -> requests.Response:
    return caller.call(TTS, "synthesize", {"text": "Hello there", **args})


@pytest.mark.parametrize(
    ("args", "provider", "kind", "starts"),
    [
        ({}, "aws-polly", "audio/mpeg", b"ID3"),
        ({"provider": "OpenAI"}, "openai", "audio/mpeg", b"ID3"),
        ({"engine": "openai", "response_format": "wav"}, "openai", "audio/wav", b"RIFF"),
        ({"provider": "11labs", "output_format": "pcm_16000"}, "elevenlabs", "audio/pcm", b""),
        ({"provider": "google"}, "gemini", "audio/wav", b"RIFF"),
        ({"provider": "grok", "output_format": "mulaw"}, "xai", "audio/basic", b""),
        ({"provider": "simba", "output_format": "ogg"}, "speechify", "audio/ogg", b""),
    ],
)
def test_speech(
    args: dict[str, Any], provider: str, kind: str, starts: bytes, caller: Caller
) -> None:
    response = synthesize(caller, **args)
    assert (response.status_code, response.headers["Content-Type"]) == (200, kind)
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert response.content.startswith(starts)
    assert last(caller.puter).provider == provider


def test_a_wav_is_whole(caller: Caller) -> None:
    response = synthesize(caller, provider="openai", response_format="wav")
    with wave.open(io.BytesIO(response.content)) as sound:
        assert sound.getnframes() / sound.getframerate() == pytest.approx(0.1)
    assert struct.unpack("<I", response.content[4:8])[0] == len(response.content) - 8


def test_an_mp3_is_made_of_whole_frames(caller: Caller) -> None:
    data = synthesize(caller).content
    frames = [data[start : start + 104] for start in range(10, len(data), 104)]
    assert {(frame[:4], len(frame)) for frame in frames} == {(b"\xff\xfb\x10\xc4", 104)}


@pytest.mark.parametrize(
    ("args", "outcome", "extra"),
    [
        ({"text": "  "}, (400, "field_required", "Missing required field: text"), {"key": "text"}),
        (
            {"engine": "nope"},
            (
                400,
                "invalid_engine",
                "Invalid engine: nope. Valid engines: standard, neural, long-form, generative",
            ),
            {
                "engine": "nope",
                "valid_engines": ["standard", "neural", "long-form", "generative"],
            },
        ),
        (
            {"provider": "gemini", "engine": "nope"},  # another word for the model
            (
                400,
                "field_invalid",
                f"Invalid model: nope. Expected: {GEMINI}",
            ),
            {"key": "model", "got": "nope"},
        ),
        (
            {"provider": "openai", "voice": "bob"},
            (
                400,
                "field_invalid",
                f"Invalid voice: bob. Expected: {OPENAI}",
            ),
            {"key": "voice", "got": "bob"},
        ),
    ],
)
def test_faults_of_speech(
    args: dict[str, Any], outcome: Any, extra: dict[str, Any], caller: Caller
) -> None:
    response = synthesize(caller, **args)
    assert error_of(response) == outcome
    assert extra.items() <= response.json().items()


def test_speech_has_a_limit(caller: Caller, older: Caller) -> None:
    assert synthesize(caller, text="x" * 3_000).status_code == 200
    refused = synthesize(caller, text="x" * 3_001)
    assert error_of(refused) == (400, "bad_request", "`text` is limited to 3000 characters")
    assert synthesize(older, text="x" * 3_001).status_code == 200


def test_polly_speaks_the_language_asked_for(caller: Caller) -> None:
    for args, voice in (
        ({}, "Joanna"),
        ({"language": "de-DE"}, "Vicki"),
        ({"language": "en-US", "engine": "neural"}, "Joanna"),
        ({"language": "de-DE", "voice": "Hans"}, "Hans"),
    ):
        synthesize(caller, **args)
        assert last(caller.puter).chosen["voice"] == voice


def test_lists_of_voices_and_engines(caller: Caller) -> None:
    providers = result_of(caller.call(TTS, "list"))
    assert providers == ["openai", "elevenlabs", "aws-polly", "gemini", "xai", "speechify"]
    for method in ("list_voices", "list_engines"):
        everything = result_of(caller.call(TTS, method, {"provider": "all"}))
        each = [result_of(caller.call(TTS, method, {"provider": name})) for name in providers]
        assert everything == [entry for entries in each for entry in entries]
        assert all(each)
        assert result_of(caller.call(TTS, method)) == each[2]  # Polly
    standard = result_of(caller.call(TTS, "list_voices", {"engine": "long-form"}))
    assert [voice["id"] for voice in standard] == ["Joanna", "Matthew"]
    assert result_of(caller.call(TTS, "list_voices", {"engine": "nope"})) == []
    assert caller.call(TTS, "list_voices", {"provider": "nope"}).status_code == 400


def test_a_large_body_is_never_held_in_memory(session: requests.Session) -> None:
    size = 48 * 2**20
    with LocalPuter(tier=None) as puter:
        puter.media_with(AudioBody(size, "audio/flac"))
        caller = Caller(puter, session)
        tracemalloc.start()
        try:
            body = {"interface": TTS, "method": "synthesize", "args": {"text": "x"}}
            response = caller.post("/drivers/call", body, stream=True)
            received = sum(map(len, response.iter_content(2**20)))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (received, response.headers["Content-Type"]) == (size, "audio/flac")
    assert peak < 8 * 2**20


async def test_a_client_that_leaves_frees_its_slot() -> None:
    async with LocalPuter(tier=Tier("one", concurrency=1)) as puter:
        puter.media_with(AudioBody(2**30, pace=0.01))
        body = {"interface": TTS, "method": "synthesize", "args": {"text": "x"}}
        headers = {"Authorization": f"Bearer {puter.token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.post(puter.url + "/drivers/call", json=body) as response:
                await response.content.readexactly(10)
                async with session.post(puter.url + "/drivers/call", json=body) as refused:
                    assert refused.status == 429
            await puter.async_wait_for(lambda record: record.dropped)
            assert puter.running_now == 0
            async with session.post(puter.url + "/drivers/call", json=body) as response:
                assert response.status == 200


def test_urls_and_objects_come_in_an_envelope(caller: Caller) -> None:
    caller.puter.media_with("https://example.org/a.mp3", {"audio": 1}, b"OggS")
    url = {"url": "https://example.org/a.mp3", "content_type": "audio"}
    assert result_of(synthesize(caller)) == url
    assert result_of(synthesize(caller)) == {"audio": 1}
    assert synthesize(caller).content == b"OggS"


# --- transcripts ---------------------------------------------------------------------------------


def transcribe(caller: Caller, method: str = "transcribe", **args: Any) -> requests.Response:
    return caller.call(STT, method, {"file": CALL, **args})


def test_forms_of_a_transcript(older: Caller) -> None:
    caller, text = older, "One two three."

    def got(**args: Any) -> Any:
        caller.puter.media_with(text)
        return result_of(transcribe(caller, **args))

    assert got()["text"] == text
    assert got(response_format="text") == text
    whisper = {"model": "whisper-1"}
    assert got(**whisper, response_format="srt") == (
        f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n\n"
    )
    assert got(**whisper, response_format="vtt") == (
        f"WEBVTT\n\n00:00.000 --> 00:01.000\n{text}\n\n"
    )
    verbose = got(
        **whisper, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert (verbose["task"], verbose["duration"], verbose["text"]) == ("transcribe", 3.0, text)
    assert [word["word"] for word in verbose["words"]] == ["One", "two", "three."]
    assert verbose["segments"][0]["text"] == text
    diarized = got(model="gpt-4o-transcribe-diarize")
    assert diarized["segments"][0]["speaker"] == "A"
    xai = got(provider="grok", diarize=True)
    assert (xai["language"], xai["words"][2]) == (
        "English",
        {"text": "three.", "start": 2.0, "end": 3.0, "speaker": 0},
    )
    caller.puter.media_with({"any": "thing"})
    assert result_of(transcribe(caller)) == {"any": "thing"}


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({"file": None}, "`file` is required"),
        ({"stream": True}, "Streaming transcription is not yet supported"),
        ({"model": "gpt-4o-transcribe-diarize", "prompt": "x"}, "prompt is not supported for"),
        ({"model": "whisper-1", "logprobs": True}, "logprobs is not supported for model"),
        ({"provider": "nope"}, "Speech-to-text provider not found: nope. Available: openai, xai"),
        ({"response_format": "vtt"}, "response_format must be one of: json, text"),
    ],
)
def test_faults_of_a_transcript(args: dict[str, Any], text: str, older: Caller) -> None:
    status, code, message = error_of(transcribe(older, **args))
    assert (status, code) == (400, "bad_request")
    assert message.startswith(text)


@pytest.mark.parametrize(
    "model",
    ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize"],
)
def test_models_that_no_longer_transcribe(model: str, caller: Caller) -> None:
    refused = error_of(transcribe(caller, model=model))
    assert refused == (400, "bad_request", f"Unsupported model: {model}")


def test_the_newer_generation_transcribes(caller: Caller) -> None:
    assert result_of(transcribe(caller))["text"]
    assert last(caller.puter).model == "gpt-transcribe"
    assert isinstance(result_of(transcribe(caller, response_format="text")), str)
    refused = error_of(transcribe(caller, response_format="verbose_json"))
    assert refused == (400, "bad_request", "response_format must be one of: json, text")
    sample = result_of(transcribe(caller, test_mode=True, file=None))
    assert sample["model"] == "gpt-transcribe"


def test_the_newer_generation_translates_with_xai_alone(caller: Caller) -> None:
    refused = error_of(transcribe(caller, "translate"))
    assert refused == (400, "bad_request", "Translation is not supported by OpenAI")
    assert result_of(transcribe(caller, "translate", provider="xai"))["language"] == "English"
    assert last(caller.puter).model == "grok-voice-transcribe-2.0"


def test_translate_has_a_model_of_its_own(older: Caller) -> None:
    caller = older
    assert result_of(transcribe(caller, "translate"))["usage"]["type"] == "duration"
    assert last(caller.puter).model == "whisper-1"
    sample = result_of(transcribe(caller, "translate", test_mode=True, file=None))
    assert sample["model"] == "whisper-1"


def test_vendors_without_a_key(session: requests.Session) -> None:
    with LocalPuter(providers=["speechify"]) as puter:
        caller = Caller(puter, session)
        for interface, method, text in (
            (STT, "transcribe", "OpenAI API key not configured"),
            (STS, "convert", "ElevenLabs API key not configured"),
            (OCR, "recognize", "No OCR provider configured"),
        ):
            assert error_of(caller.call(interface, method)) == (500, "internal_error", text)
        assert result_of(caller.call(STT, "list")) == ["openai", "xai"]
        assert synthesize(caller).status_code == 200
        assert last(puter).provider == "speechify"


def test_what_is_heard_and_read_without_a_script(caller: Caller) -> None:
    assert result_of(transcribe(caller))["text"] == "LocalPuter heard input.mpeg"
    picture = result_of(caller.call(IMAGE, "generate", {"prompt": "x"}))
    blocks = result_of(caller.call(OCR, "recognize", {"source": picture}))["blocks"]
    assert blocks[0]["text"] == "LocalPuter read input.png"
    changed = caller.call(STS, "convert", {"audio": CALL})
    assert changed.headers["Content-Type"] == "audio/mpeg"
    assert changed.content.startswith(b"ID3")


# --- inputs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [0, 1])
def test_sounds_have_a_limit(extra: int, session: requests.Session) -> None:
    data = bytes(26_214_400 + extra)
    uri = f"data:audio/wav;base64,{base64.b64encode(data).decode()}"
    with LocalPuter(allowance=100) as puter:
        caller = Caller(puter, session)
        response = caller.call(STS, "convert", {"audio": uri})
        puter.files["~/big.wav"] = data
        stored = transcribe(caller, file="~/big.wav")
    if not extra:
        assert (response.status_code, stored.status_code) == (200, 200)
        return
    limit = "exceeds max size (26214400 bytes)"
    assert error_of(response) == (413, "storage_limit_reached", f"Input {limit}")
    assert error_of(stored) == (413, "storage_limit_reached", f"File {limit}")
    assert response.headers["X-Needs-Upgrade"] == "true"


def test_files_of_the_user_by_path(caller: Caller) -> None:
    caller.puter.files["~/Documents/a.wav"] = b"RIFF"
    for path in ("/alice/Documents/a.wav", "~/Documents/a.wav"):
        result_of(transcribe(caller, file=path))
        assert last(caller.puter).inputs[0].name == "a.wav"
        assert last(caller.puter).inputs[0].data == b"RIFF"
    caller.puter.add_user("bob", None)
    caller.puter.files["/bob/secret.wav"] = b"RIFF"
    refused = transcribe(caller, file="/bob/secret.wav")
    text = "Entry not found: path=/bob/secret.wav"
    assert error_of(refused) == (404, "subject_does_not_exist", text)


def test_web_inputs_are_named_but_not_fetched(caller: Caller) -> None:
    url = "https://example.org/talk.mp3?x=1"
    assert url in result_of(transcribe(caller, file=url))["text"]
    assert last(caller.puter).inputs == (MediaInput("talk.mp3", "audio/mpeg", url=url),)
    for address in ("http://127.0.0.1:1/a.mp3", "http://[::1]/a.mp3"):
        assert error_of(transcribe(caller, file=address))[2] == "IP-addressed URLs are not allowed"
    converted = caller.call(STS, "convert", {"audio": url})
    assert error_of(converted) == (400, "bad_request", "Invalid path")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({"voice": "a/b"}, "`voice` must be alphanumeric"),
        ({"model": "a b"}, "`model` must be alphanumeric"),
        (
            {"provider": "openai"},
            "Speech-to-speech provider not found: openai. Available: elevenlabs",
        ),
        ({"audio": ""}, "`audio` is required"),
    ],
)
def test_faults_of_conversion(args: dict[str, Any], text: str, caller: Caller) -> None:
    response = caller.call(STS, "convert", {"audio": CALL, **args})
    assert error_of(response) == (400, "bad_request", text)


def test_sample_of_conversion(caller: Caller) -> None:
    assert result_of(caller.call(STS, "convert", {"test_mode": True})) == {
        "url": "https://puter-sample-data.puter.site/tts_example.mp3",
        "content_type": "audio/mpeg",
    }


# --- text in pictures ----------------------------------------------------------------------------


def test_ocr_by_mistral(caller: Caller) -> None:
    caller.puter.media_with("# Title\n\nLine")
    args = {"source": CALL, "provider": "mistral-ocr", "pages": [0, 2], "tableFormat": "html"}
    result = result_of(caller.call(OCR, "recognize", args))
    assert result["model"] == "mistral-ocr-latest"
    assert [page["index"] for page in result["pages"]] == [0, 2]
    assert result["pages"][0]["markdown"] == "# Title\n\nLine"
    assert result["blocks"][:2] == [
        {"type": "text/mistral:LINE", "text": "# Title", "page": 0},
        {"type": "text/mistral:LINE", "text": "Line", "page": 0},
    ]
    assert result["usage_info"]["pagesProcessed"] == 2


def test_ocr_test_mode_looks_at_nothing(caller: Caller) -> None:
    result = result_of(caller.call(OCR, "recognize", {"test_mode": True, "provider": "nope"}))
    assert result["blocks"][0]["type"] == "text/puter:sample-output"
    unknown = caller.call(OCR, "recognize", {"source": CALL, "provider": "nope"})
    text = "Unknown OCR provider: nope. Available: aws-textract, mistral"
    assert error_of(unknown) == (400, "bad_request", text)


def test_ocr_drivers_name_their_provider(caller: Caller) -> None:
    for driver, provider in ((None, "aws-textract"), ("mistral", "mistral")):
        result_of(caller.call(OCR, "recognize", {"source": PICTURE}, driver=driver))
        assert last(caller.puter).provider == provider


@pytest.mark.parametrize(
    ("provider", "stored", "inline"), [("aws-textract", 10, 10), ("mistral", 50, 36)]
)
def test_ocr_has_limits_by_provider(
    provider: str, stored: int, inline: int, caller: Caller
) -> None:
    def read(source: str) -> requests.Response:
        return caller.call(OCR, "recognize", {"source": source, "provider": provider})

    caller.puter.files["~/a.png"] = data = bytes(stored * 2**20)
    assert read("~/a.png").status_code == 200
    caller.puter.files["~/a.png"] = data + b"x"
    limit = f"exceeds max size ({stored * 2**20} bytes)"
    assert error_of(read("~/a.png")) == (413, "storage_limit_reached", f"File {limit}")
    coded = base64.b64encode(bytes(inline * 2**20 + 1)).decode()
    limit = f"exceeds max size ({inline * 2**20} bytes)"
    refused = error_of(read(f"data:image/png;base64,{coded}"))
    assert refused == (413, "storage_limit_reached", f"Input {limit}")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({"model": "mistral-ocr-latest"}, "Model mistral-ocr-latest is not available for provider"),
        ({"provider": "mistral", "model": "textract"}, "Model textract is not available for"),
        ({"source": CALL}, "Unsupported document type: audio/mpeg"),
    ],
)
def test_ocr_the_newer_generation_refuses(
    args: dict[str, Any], text: str, caller: Caller, older: Caller
) -> None:
    args = {"source": PICTURE, **args}
    status, code, message = error_of(caller.call(OCR, "recognize", args))
    assert (status, code, message[: len(text)]) == (400, "bad_request", text)
    assert older.call(OCR, "recognize", args).status_code == 200


# --- films ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "model", "chosen"),
    [
        ({}, "sora-2", {"seconds": 4, "size": "720x1280"}),
        ({"seconds": 8, "size": "1280x720"}, "sora-2", {"seconds": 8, "size": "1280x720"}),
        ({"duration": 5, "resolution": "9x9"}, "sora-2", {"seconds": 4, "size": "720x1280"}),
        ({"provider": "nope"}, "sora-2", {"seconds": 4, "size": "720x1280"}),
    ],
)
def test_films_of_the_older_generation(
    args: dict[str, Any], model: str, chosen: dict[str, Any], older: Caller
) -> None:
    assert older.call(VIDEO, "generate", {"prompt": "x", **args}).status_code == 200
    assert (last(older.puter).model, last(older.puter).chosen) == (model, chosen)


VEO = "veo-3.1-lite-generate-preview"


@pytest.mark.parametrize(
    ("args", "model", "chosen"),
    [
        ({}, VEO, {"seconds": 4, "size": "1280x720"}),
        ({"provider": "nope"}, VEO, {"seconds": 4, "size": "1280x720"}),
        ({"seconds": 8}, VEO, {"seconds": 8, "size": "1280x720"}),
        (
            {"provider": "together", "resolution": "1920x1080"},
            "togetherai:minimax/hailuo-02",
            {"seconds": 6, "size": "1920x1080"},
        ),
        (
            {"provider": "byteplus-video-generation"},
            "seedance-1-0-pro-250528",
            {"seconds": 2, "size": "1080p"},
        ),
        (
            {"model": "Veo-3.1-fast", "seconds": 6},  # shortened to what the balance buys
            "veo-3.1-fast-generate-preview",
            {"seconds": 4, "size": "1280x720"},
        ),
    ],
)
def test_films(args: dict[str, Any], model: str, chosen: dict[str, Any], caller: Caller) -> None:
    assert caller.call(VIDEO, "generate", {"prompt": "x", **args}).status_code == 200
    assert (last(caller.puter).model, last(caller.puter).chosen) == (model, chosen)


def test_films_take_pictures_along(caller: Caller) -> None:
    web = "https://example.org/cat.png"
    args = {"prompt": "x", "input_reference": PICTURE, "reference_images": [web]}
    result_of(caller.call(VIDEO, "generate", args))
    assert [one.url for one in last(caller.puter).inputs] == [None, web]


def test_the_newer_generation_knows_no_sora(caller: Caller) -> None:
    listed = result_of(caller.call(VIDEO, "list"))
    assert not [name for name in listed if "sora" in name]
    refused = error_of(caller.call(VIDEO, "generate", {"prompt": "x", "model": "sora-2"}))
    assert refused == (400, "bad_request", "Model not found: sora-2")


def test_a_film_has_a_url_but_by_openai(older: Caller) -> None:
    caller, output = older, "~/Videos/cat.mp4"
    args = {"prompt": "x", "model": "sora-2", "puter_output_path": output}
    result = result_of(caller.call(VIDEO, "generate", args))
    assert result["content_type"] == "video/mp4"
    assert "url" not in result
    film = caller.puter.files[output]
    assert film[4:8] == b"ftyp"
    url = result_of(caller.call(VIDEO, "generate", {"prompt": "x", "model": "seedance-1-0-pro"}))
    got = caller.session.get(url)
    assert (got.content, got.headers["Content-Type"]) == (film, "video/mp4")


# --- limits --------------------------------------------------------------------------------------


def test_each_interface_has_a_budget_of_its_own(session: requests.Session) -> None:
    with LocalPuter(tier=Tier("few", requests=2)) as puter:
        caller = Caller(puter, session)
        for interface, method, args in (
            (IMAGE, "generate", {"prompt": "x"}),
            (OCR, "recognize", {"test_mode": True}),
        ):
            statuses = [caller.call(interface, method, args).status_code for _ in range(3)]
            assert statuses == [200, 200, 429]


@pytest.fixture
def slow(session: requests.Session) -> Iterator[Caller]:
    with LocalPuter(latency=0.05) as puter:
        yield Caller(puter, session)


def test_latency(slow: Caller) -> None:
    synthesize(slow)
    [record] = slow.puter.wait_for(lambda record: record.finished)
    assert record.finished is not None
    assert record.finished - record.started >= 0.045  # clocks are coarse
