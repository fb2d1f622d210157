"""JSON by another library: the same requests, answers and errors, through both doors."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import puter
from puter.extensions import HttpReply, Orjson, Serializer
from puter.wire.json import read_json
from puter.wire.messages import chat_body as chat_call
from puter.wire.ndjson import LineError, NDJSONDecoder
from puter.wire.pieces import LARGE, Base64, Text, json_body
from tests.door import chat_body, lines, stream_answer, text_answer, until_done

if TYPE_CHECKING:
    from tests.door import Door


class Msgspec:
    """Another library, which reads and writes a few things otherwise."""

    def dumps(self, obj: Any) -> bytes:
        return msgspec.json.encode(obj)

    def loads(self, data: bytes) -> Any:
        return msgspec.json.decode(data)


class Careless:
    """The standard library without any care: NaN, escapes, ``str()`` of what it does not know."""

    @staticmethod
    def dumps(obj: Any) -> bytes:
        return json.dumps(obj, default=str).encode()

    loads = staticmethod(json.loads)


EACH: list[Serializer] = [Orjson(), Msgspec(), Careless(), orjson]
NAMES = ["Orjson", "Msgspec", "Careless", "the module orjson"]
each = pytest.mark.parametrize("serializer", EACH, ids=NAMES)

NUMBERS = st.one_of(
    st.integers(), st.integers(2**62, 2**66), st.floats(), st.sampled_from([1e308, -0.0, 5e-324])
)
TEXTS = st.text() | st.sampled_from(["null", "NaN", "\ud83d", "\U0001f600", "\u2028", "<Text of "])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
WRITTEN = st.one_of(
    VALUES.map(lambda one: json.dumps(one).encode()),
    VALUES.map(lambda one: json.dumps(one, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.binary(max_size=20),
    st.sampled_from(
        [
            b"1e999", b"-1E+400", b"[1e-999]", b"18446744073709551616", b"-9223372036854775809",
            b"NaN", b"[Infinity]", b'\xef\xbb\xbf{"a": 1}', b'"\\ud83d"', b'"\\uDE00 x"', b"",
            b"[1,]", b"01", b'{"a": 1, "a": 2}', b"1 2", b"[" * 90 + b"]" * 90, b'"\x01"',
            b"[" * 150 + b"]" * 150, b"[" * 5000 + b"]" * 5000, b"1" * 5000,
            b"0.1000000000000000055511",
        ]
    ),
)  # fmt: skip


def outcome(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What a call returns, or its error."""
    try:
        return repr(function(*args, **kwargs))
    except (ValueError, puter.PuterError, LineError) as error:
        return f"{type(error).__name__}: {error}"


@each
@given(data=WRITTEN, halves=st.booleans())
def test_it_reads_as_the_standard_library_does(
    serializer: Serializer, data: bytes, halves: bool
) -> None:
    for limit in (None, 2**20):
        wanted = outcome(read_json, data, limit, keep_halves=halves)
        assert outcome(read_json, data, limit, keep_halves=halves, serializer=serializer) == wanted


@each
@given(value=VALUES)
def test_it_writes_what_means_the_same(serializer: Serializer, value: Any) -> None:
    wanted = outcome(json_body, value)
    found = outcome(json_body, value, serializer=serializer)
    if "Error" in wanted.partition(":")[0]:
        assert found == wanted
    else:
        assert json.loads(bytes(json_body(value, serializer=serializer))) == value


@each
@pytest.mark.parametrize(
    "value",
    [{"a": math.nan}, [-math.inf], {"a": [1, {"b": math.nan}]}, {"a": "x\ud83d"}],
)
def test_what_cannot_be_sent_is_refused(serializer: Serializer, value: Any) -> None:
    with pytest.raises(puter.PuterInputError):
        json_body(value, serializer=serializer)


@each
@given(data=st.lists(st.dictionaries(TEXTS, VALUES, max_size=2) | VALUES, max_size=5))
def test_streams_are_read_alike(serializer: Serializer, data: list[Any]) -> None:
    written = b"".join(json.dumps(one).encode() + b"\n" for one in data)

    def read(chosen: Serializer | None) -> Any:
        decoder = NDJSONDecoder(2**20, chosen)
        return [*decoder.feed(written), *decoder.flush()]

    assert outcome(read, serializer) == outcome(read, None)


@each
def test_large_parts_still_go_out_in_pieces(serializer: Serializer) -> None:
    parts = {"a": Text("x" * LARGE), "b": Base64("data:x;base64,", b"y" * LARGE)}
    body = json_body(parts, serializer=serializer)
    assert bytes(body) == bytes(json_body(parts))
    assert not isinstance(body, bytes)


@each
def test_a_long_conversation_is_written_in_parts(serializer: Serializer) -> None:
    texts = [
        "Hi",
        'a "quote"',
        "Grüße",
        "null",
        "NaN",
        "\U0001f44b",
        "<Text of 3 characters>",
        "\n",
    ]
    messages = [{"role": "user", "content": one} for one in texts * 200]
    payload = {"driver": "ai-chat", "args": {"model": "m", "messages": messages}}
    written = chat_call(payload, SimpleNamespace(dumps=_spaced(serializer), loads=json.loads))
    assert json.loads(bytes(written)) == payload


def _spaced(serializer: Serializer) -> Any:
    return lambda obj: b" " + serializer.dumps(obj) + b"\n"


@each
def test_a_bomb_is_refused_before_it_is_read(serializer: Serializer) -> None:
    def loads(data: bytes) -> Any:
        raise AssertionError("it was read")

    reply = HttpReply(200, {"content-type": "application/json"}, b"[" + b"{}," * 2**20 + b"{}]")
    reply.max_bytes = 2**22
    reply.serializer = SimpleNamespace(loads=loads, dumps=serializer.dumps)
    with pytest.raises(ValueError, match="more memory"):
        _ = reply.data


# ---------------------------------------------------------------- a client that has one


@each
async def test_a_client_with_a_serializer(door: Door, serializer: Serializer) -> None:
    seen: list[str] = []

    def dumps(obj: Any) -> bytes:
        seen.append("dumps")
        return serializer.dumps(obj)

    def loads(data: bytes) -> Any:
        seen.append("loads")
        return serializer.loads(data)

    ai = door.client().use(SimpleNamespace(dumps=dumps, loads=loads))
    seen.clear()
    text = {"type": "text", "text": "Hello!"}
    usage = {"type": "usage", "usage": {"usd_cents": 0.5, "prompt_tokens": 1}}
    door.answers(chat_body("Hello"), stream_answer(lines(text, usage)))
    reply = await door(ai, "chat", "Grüß Gott", temperature=0.5)
    assert (reply, door.sent[0].args["messages"][0]["content"]) == ("Hello", "Grüß Gott")
    assert seen == ["dumps", "loads"]
    streamed = await until_done(await door(ai, "chat", "Hi", stream=True))
    assert (streamed, streamed.cost) == ("Hello!", Decimal("0.005"))
    assert seen == ["dumps", "loads", "dumps", "loads", "loads"]
    other = ai.with_options(timeout=5)
    door.answers({"success": True, "result": {"numbers": [1, 2]}})
    assert await door(other, "call", "puter-kvstore", "get", {"key": "x"}) == {"numbers": [1, 2]}
    assert seen[-2:] == ["dumps", "loads"]
    door.answers(chat_body())
    await door(door.client(), "chat", "Hi")
    assert len(seen) == 7  # another client has none


async def test_an_answer_that_it_cannot_read_is_the_usual_error(door: Door) -> None:
    door.answers(text_answer(b'{"a": nonsense', "application/json"))
    with pytest.raises(puter.PuterResponseError) as with_it:
        await door(door.client().use(Orjson()), "chat", "Hi")
    with pytest.raises(puter.PuterResponseError) as without:
        await door(door.client(), "chat", "Hi")
    assert str(with_it.value) == str(without.value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (json, "dumps.. returned str"),
        (SimpleNamespace(dumps=lambda obj: b"{}", loads=json.loads), "does not return what"),
        (SimpleNamespace(dumps=lambda obj: 1 / 0, loads=json.loads), "failed: ZeroDivisionError"),
    ],
)
def test_what_is_no_serializer_is_refused(wrong: Any, told: str) -> None:
    with pytest.raises(puter.PuterConfigError, match=told):
        puter.PuterAI().use(wrong)


def test_without_orjson_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "orjson", None)
    with pytest.raises(puter.PuterConfigError, match="pip install") as caught:
        Orjson()
    assert "puter-python-sdk[orjson]" in caught.value.hint
