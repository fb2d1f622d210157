"""Whatever the server answers, every operation ends in a value or a PuterError, through both doors.

Right answers are damaged in one place, or come with any status, type and length.
"""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import puter
from puter import PuterAI
from puter.testing import MockTransport
from puter.transports.mock import MockReply, MockRequest
from puter.types.media import Media
from puter.types.model import ModelList
from tests.door import Door, chat_body, chunks
from tests.test_json import ODD_NUMBERS

PNG = (b"\x89PNG\r\n\x1a\n" + bytes(20), "image/png")
MP3 = (b"ID3" + bytes(20), "audio/mpeg")
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "double", "arguments": '{"number": 1}'},
}
FILE = {"name": "x", "path": "/a/x", "is_dir": False, "size": 3, "modified": 1, "uid": "u"}
CLAUDE = {
    "message": {
        "id": "m",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "Hi"},
            {"type": "tool_use", "id": "t", "name": "double", "input": {"number": 1}},
        ],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    },
    "usage": {"input_tokens": 1, "output_tokens": 2},
    "finish_reason": "stop",
}
MODEL = {
    "id": "gpt-5-nano",
    "provider": "openai-completion",
    "name": "GPT",
    "aliases": ["nano"],
    "costs_currency": "usd-cents",
    "costs": {"tokens": 1000000, "prompt_tokens": 5, "completion_tokens": 40},
    "context": 400000,
    "max_tokens": 128000,
    "modalities": {"input": ["text"], "output": ["text"]},
    "release_date": "2025-01-01",
}
SPENT = {
    "usage": {
        "total": 41.5,
        "openai:gpt-4_dot_1:prompt_tokens": {"units": 4, "cost": 8, "count": 4},
    },
    "appTotals": {"os-global": {"total": 33.5, "count": 33}},
    "allowanceInfo": {"remaining": 2495.5, "monthUsageAllowance": 25000000, "addons": {}},
}
LINES = [
    {"type": "text", "text": "Hi"},
    {"type": "reasoning", "reasoning": "hm"},
    {"type": "tool_use", "id": "t", "name": "double", "input": {"number": 1}, "text": ""},
    {"type": "usage", "usage": {"prompt_tokens": 1, "completion_tokens": 2, "usd_cents": 0.1}},
]
TRANSCRIPT = {
    "text": "hi",
    "language": "en",
    "duration": 1.5,
    "segments": [{"id": 0, "start": 0.0, "end": 1.0, "text": "hi"}],
    "words": [{"word": "hi", "start": 0, "end": 1}],
}


def result(value: Any) -> dict[str, Any]:
    return {**chat_body(), "result": value}


def double(number: int) -> int:
    """Double it."""
    return 2 * number


# operation, its arguments, and a right answer
CALLS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], Any]] = {
    "chat": ("chat", ("hi",), {}, chat_body(message={"tool_calls": [CALL]})),
    "rounds": (
        "chat",
        ("hi",),
        {"tools": [double], "max_rounds": 2},
        chat_body(message={"tool_calls": [CALL]}),
    ),
    "claude": ("chat", ("hi", "claude-haiku-4-5"), {}, result(CLAUDE)),
    "parse": ("parse", ("hi", list[int]), {"retries": 0}, chat_body("[1, 2]")),
    "stream": ("chat", ("hi",), {"stream": True}, LINES),
    "picture": ("txt2img", ("x",), {}, result("data:image/png;base64,iVBORw0KGgo=")),
    "picture by URL": ("txt2img", ("x",), {}, result({"url": "https://x.example/a.png"})),
    "text of a picture": (
        "img2txt",
        (PNG,),
        {},
        result({"text": "hi", "blocks": [{"type": "LINE", "confidence": 9.1, "text": "hi"}]}),
    ),
    "pages": (
        "img2txt",
        (PNG,),
        {"provider": "mistral"},
        result({"pages": [{"index": 0, "markdown": "hi"}], "usage_info": {"pages_processed": 1}}),
    ),
    "speech": ("txt2speech", ("x",), {}, result({"url": "https://x.example/a.mp3"})),
    "transcript": ("speech2txt", (MP3,), {}, result(TRANSCRIPT)),
    "voice": ("speech2speech", (MP3,), {}, result({"url": "https://x.example/a.mp3"})),
    "video": ("txt2vid", ("x",), {"model": "sora-2"}, result({"url": "https://x.example/v.mp4"})),
    "voices": ("list_voices", (), {}, result([{"id": "Joanna", "language": {"code": "en-US"}}])),
    "engines": ("list_engines", (), {}, result([{"id": "neural", "provider": "aws-polly"}])),
    "models": ("list_models", (), {}, {"models": [MODEL]}),
    "providers": ("list_model_providers", (), {}, {"models": [MODEL]}),
    "spending": ("account_usage", (), {}, SPENT),
    "token": ("create_api_token", (), {}, {"token": "t"}),
    "revoked": ("revoke_api_token", ("t",), {}, {}),
    "upload": ("upload", (b"abc", "~/x"), {}, {"fsEntry": FILE}),
    "file": ("read_file", ("~/x",), {}, {}),
    "about a file": ("stat_file", ("~/x",), {}, FILE),
    "folder": ("list_files", ("~/",), {}, [FILE]),
    "deleted": ("delete_file", ("~/x",), {}, {}),
    "any": ("call", ("interface", "method"), {}, result({"a": 1})),
    "who": ("whoami", (), {}, {"username": "a", "uuid": "u", "email": None, "otp": True}),
    "login": ("login", (), {}, {"proceed": True, "next_step": "complete", "token": "t"}),
    "second factor": (
        "login",
        (),
        {"otp": "123456"},
        {"proceed": True, "next_step": "otp", "otp_jwt_token": "t"},
    ),
    "logout": ("logout", (), {}, {"token": "t"}),
}
DEEP = "[" * 3000 + "]" * 3000
JSON = [
    *("null true false 0 -1 1e999 -Infinity NaN 3.7 [] [null] [[]] {} [{}]".split()),
    *('"" "x" "null" "\\ud83d" "\\u0000" "http://" "https://[::1" "data:;base64,A"'.split()),
    *('{"a":null} {"type":5} {"url":5} {"message":null} {"content":{"text":3}} [[1]]'.split()),
    *(DEEP, '{"a":' * 3000 + "1" + "}" * 3000, "9" * 5000),
    *ODD_NUMBERS,
]
MARK = "@here@"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner: Any = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, one in inner:
        yield from places(one, (*path, key))


def damaged(value: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        return MARK
    value = copy.deepcopy(value)
    at = value
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = MARK
    return value


def reply_of(value: Any, text: str, stream: bool) -> MockReply:
    parts = value if stream else [value]
    raw = [json.dumps(one).replace(f'"{MARK}"', text).encode() for one in parts]
    if stream:
        return MockReply(lines=[one + b"\n" for one in raw])
    return MockReply(body=raw[0], headers={"content-type": "application/json"})


async def used(kind: str, value: Any) -> None:
    """Look at what came, as a user may."""
    if hasattr(value, "until_done"):
        await chunks(value)
        value = value.reply
    assert repr(value) is not None
    assert str(value) is not None
    pickle.dumps(value)
    copy.copy(value)
    copy.deepcopy(value)
    if hasattr(value, "to_dict"):
        json.dumps(value.to_dict(), allow_nan=False)
    for one in value if isinstance(value, ModelList) else ():
        assert one.cost(10**6, 10**6, 10**5) is None or one.free in (True, False)
    if isinstance(value, ModelList):
        value.find(min_context=5, max_input_price=1.0)
    if isinstance(value, Media):
        await value.async_read() if kind == "async" else value.read()


async def tried(kind: str, name: str, reply: MockReply) -> None:
    operation, args, options, _ = CALLS[name]
    door = Door(kind)

    def answer(request: MockRequest) -> Any:
        return b"data" if ".example" in request.url else reply

    token = None if operation == "login" else "t"
    ai = PuterAI("a", "secret", token, transport=MockTransport(answer), max_retries=0)
    try:
        await used(kind, await door(ai, operation, *args, **options))
    except puter.PuterError as error:
        pickle.dumps((str(error), repr(error), error))
    assert ai._throttle.running == 0
    assert str(ai.usage.total)


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_one_wrong_value_in_a_right_answer(name: str, data: st.DataObject) -> None:
    right, stream = CALLS[name][3], name == "stream"
    spots = [path for path in places(right) if path or not stream]
    path = data.draw(st.sampled_from(spots), "where")
    text = data.draw(st.sampled_from(JSON), "what")
    for kind in ("sync", "async"):
        asyncio.run(tried(kind, name, reply_of(damaged(right, path), text, stream)))


STATUSES = [200, 201, 204, 206, 302, 400, 401, 402, 403, 404, 409, 418, 429, 500, 503, 599]
BODIES = [
    *(b"", b"null", b"[]", b'""', b"{}", b"{", b"\xff\xfe\x00", b"<html>", b'{"error":{}}'),
    *(b'{"error":[1]}', b'{"error":5,"code":{}}', b'{"success":false}', DEEP.encode()),
    b'{"success":false,"error":{"message":5,"code":[],"status":"x"}}',
    b'{"success":"no","result":1}',
    b'{"success":false,"error":{"status":1e999}}',
    b'{"message":"m","code":null,"retryAfter":"x","status":1e9}',
    b'{"error":"x","errorCode":{},"attempts":[5],"reason":[]}',
]
TYPES = ["application/json", "text/html", "application/x-ndjson", "audio/mpeg", "", "image/png;;;"]
WAITS = ["", "x", "1e999", "-5", "nan", "Wed, 99 Foo", "0"]


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    status=st.sampled_from(STATUSES),
    body=st.sampled_from(BODIES),
    kind_of_body=st.sampled_from(TYPES),
    wait=st.sampled_from(WAITS),
)
def test_an_answer_that_makes_no_sense(
    name: str, status: int, body: bytes, kind_of_body: str, wait: str
) -> None:
    headers = {"content-type": kind_of_body, "retry-after": wait, "location": "http://[::1"}
    for kind in ("sync", "async"):
        asyncio.run(tried(kind, name, MockReply(status, body=body, headers=headers)))
