"""The reader of what a server says: bounded in depth, numbers and memory, or a ValueError."""

from __future__ import annotations

import copy
import json
import math
import pickle
import subprocess
import sys
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import puter
from puter.wire.json import (
    MAX_DEPTH,
    MOST_A_BYTE,
    TOO_LARGE,
    memory_for,
    memory_of,
    number,
    read_json,
)
from puter.wire.ndjson import MAX_LINE, LineError, NDJSONDecoder
from puter.wire.redact import Redactor
from tests.door import Answer, Door, calls_body, chat_body, chunks, stream_answer

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
TOKENS = st.sampled_from(
    [
        *("{", "}", "[", "]", ",", ":", '"', '"type"', '"text"', "\\", "\\u", "\\ud83d", "\\ude00"),
        *("1", "-", "1e999", "-1e999", "NaN", "-Infinity", "9" * 400, "9" * 5000, "null", "true"),
        *("\ufeff", "\n", "\r", " ", "\x00", "\u2028", "[" * 120, "]" * 120, '{"a":' * 120),
    ]
)
BYTES = st.lists(TOKENS.map(str.encode) | st.binary(max_size=4), max_size=12).map(b"".join)
ODD_NUMBERS = [
    *("1e400", "-1e400", "NaN", "Infinity", "-Infinity", "1" * 400, "1" * 5000, "-" + "1" * 5000),
    *("-0.0", "1e-400", "true", '"NaN"', '"sNaN"', '"Infinity"', '"1e999999999"', '"1e-999999999"'),
    *('"-0"', '"' + "1" * 5000 + '"', '"1' + "0" * 50 + '.5"', "1e29", "-1e29", "1e-29", '"1_0"'),
    *("[[1]]", '{"a":1}', "0.1", "9007199254740993", '"\u0661"', '" 1 "', "18446744073709551616"),
]


@given(VALUES, st.booleans())
def test_json_is_read_as_it_was_written(value: Any, ascii_only: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert read_json(data) == value
    assert read_json(b"\xef\xbb\xbf" + data) == value


@given(BYTES)
def test_any_bytes_are_a_value_that_can_be_used_or_a_value_error(data: bytes) -> None:
    try:
        value = read_json(data)
    except ValueError:
        return
    written = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    assert read_json(written) == value
    assert copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value
    assert type(Redactor()(value)) is type(value)
    assert all(character.isprintable() for character in ascii(value))


@given(BYTES, st.lists(st.integers(0, 200), max_size=6))
def test_any_bytes_and_any_cut_give_the_same_lines(data: bytes, cuts: list[int]) -> None:
    def lines(pieces: list[bytes]) -> tuple[list[Any], str | None]:
        decoder, found = NDJSONDecoder(), list[Any]()
        try:
            for piece in pieces:
                found += decoder.feed(piece)
            return [*found, *decoder.flush()], None
        except LineError as error:
            return [*found, *error.before], str(error)

    places = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    pieces = [data[a:b] for a, b in pairwise(places)]
    assert lines(pieces) == lines([data])


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth_has_one_bound(opening: str, closing: str) -> None:
    def nested(depth: int) -> bytes:
        return (opening * depth + "1" + closing * depth).encode()

    value = read_json(nested(MAX_DEPTH))
    assert copy.deepcopy(value) == value
    for depth in (MAX_DEPTH + 1, 520, 3000, 100_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            read_json(nested(depth))
        with pytest.raises(LineError):
            NDJSONDecoder().feed(b'{"a":' + nested(depth) + b"}\n")
    assert read_json(b'["' + b"[" * 1000 + b'"]') == ["[" * 1000]


def test_a_number_that_no_float_holds_is_none() -> None:
    assert read_json(b"[1e400, -1e400, NaN, Infinity, -Infinity, 1e-400, 2]") == [
        *(None, None, None, None, None, 0.0, 2)
    ]
    with pytest.raises(ValueError):
        read_json(b"9" * 5000)


def test_halves_of_emoji_are_replaced_and_whole_ones_are_not() -> None:
    data = rb'{"\ud83d":["\ude00","\ud83d\ude00","\\ud83d",1]}'
    assert read_json(data) == {"?": ["?", "\U0001f600", "\\ud83d", 1]}


@pytest.mark.parametrize("data", [b"\xff", b'"\xed\xa0\xbd"', b"\xef\xbb\xbf\xef\xbb\xbf1", b""])
def test_what_is_not_utf8_is_no_json(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_json(data)


@pytest.mark.parametrize("text", ODD_NUMBERS)
def test_a_number_can_be_reckoned_with_and_written_out(text: str) -> None:
    try:
        amount = number(read_json(text.encode()))
    except ValueError:
        return
    if amount is None:
        return
    with localcontext() as context:
        context.clear_flags()
        told = [str(amount), f"{amount:f}", str(amount * amount / 7 + amount - 1), hash(amount)]
    assert all(len(str(one)) < 200 for one in told)
    assert amount.is_finite()
    assert math.isfinite(float(amount))


def test_a_number_does_not_ask_the_users_context() -> None:
    with localcontext() as context:
        context.prec = 3
        for signal in context.traps:
            context.traps[signal] = True
        assert number("1.00000005") == Decimal("1.00000005")
        assert number("x") is None
        assert number("1e-999999999") == 0


SHAPES = r"""
SIZE = 3 * 2**20
def many(piece):
    return b"[" + b",".join([piece] * (SIZE // (len(piece) + 1))) + b"]"

SHAPES = {
    "lists": many(b"[]"), "nested": many(b"[" * 90 + b"]" * 90), "objects": many(b"{}"),
    "small objects": many(b'{"":0}'), "nested objects": many(b'{"":' * 90 + b"0" + b"}" * 90),
    "numbers": many(b"1000"), "texts": many(b'"ab"'), "wide texts": many('"\u20ac"'.encode()),
    "keys": b"{" + b",".join(b'"%x":0' % i for i in range(SIZE // 11)) + b"}",
    "objects of keys": b"[" + b",".join(b'{"%x":0}' % i for i in range(SIZE // 13)) + b"]",
    "a text": b'"' + b"a" * 2 * SIZE + b'"',
    "a wide text": ('"\U0001f600' + "a" * SIZE + '"').encode(),
    "an escape": b'"\\ud83d\\ude00' + b"a" * SIZE + b'"',
    "a half": b'"\\ud83d' + b"a" * SIZE + b'"',
    "many halves": many(b'{"\\ud83d":0}'), "short": b"[" + b"[]," * 20_000 + b"1]",
}
"""
MEASURED = (
    SHAPES
    + r"""
import gc
from pathlib import Path
from puter.wire.json import TOO_LARGE, read_json
from puter.wire.ndjson import LineError, NDJSONDecoder

def most():
    told = Path("/proc/self/status").read_text()
    return int(told.partition("VmHWM:")[2].split()[0]) * 1024

def in_lines(data):
    lines, found = NDJSONDecoder(LIMIT), []
    data = b'{"type":"x","more":' + data + b"}\n"
    for _ in range(LIMIT // len(data)):
        for start in range(0, len(data), 65536):
            found += lines.feed(data[start:start + 65536])

def small_lines(_):
    lines, found = NDJSONDecoder(LIMIT), []
    for _ in range(LIMIT // 27 // 1000):
        found += lines.feed(b'{"type":"text","text":"a"}\n' * 1000)

LIMIT = 16 * 2**20
SHAPES["small lines"] = b""
for name, data in SHAPES.items():
    whole = lambda data: read_json(data, LIMIT)
    for read in (whole, in_lines) if data else (small_lines,):
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        before = most()
        try:
            value, told = read(data), ""
        except (ValueError, LineError) as error:
            value, told = None, str(error)
        grown = most() - before + len(data)
        print(f"{name}|{grown / LIMIT:.2f}|{told}")
        del value
"""
)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_json_takes_no_more_memory_than_the_limit_allows() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True
    )
    told = [line.split("|") for line in done.stdout.splitlines()]
    for name, grown, error in told:
        assert error in ("", TOO_LARGE), name
        assert float(grown) < 1.4, (name, grown)  # 1.3, and what the allocator keeps
    assert {error for _, _, error in told} == {"", TOO_LARGE}
    assert ["short", ""] in [[name, error] for name, _, error in told]


def test_small_answers_may_take_16_mib_whatever_the_limit() -> None:
    data = json.dumps([{"id": n, "name": "model"} for n in range(20_000)]).encode()
    assert memory_for(data) < 16 * 2**20
    assert len(read_json(data, len(data))) == 20_000
    assert memory_of(2**30) == 2**30 + 2**30 * 3 // 10


@given(VALUES | st.lists(st.just([]) | st.just({}) | st.just("\u20ac")), st.booleans())
def test_no_byte_takes_more_memory_than_is_let_through_unseen(value: Any, ascii_only: bool) -> None:
    data = json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only).encode()
    assert memory_for(data) <= MOST_A_BYTE * len(data)


def test_a_line_ends_at_the_limit_of_lines() -> None:
    lines = NDJSONDecoder(1000)
    lines.feed(b"x" * 1000)
    with pytest.raises(LineError, match="longer than 1000"):
        lines.feed(b"x")
    assert MAX_LINE == 64 * 2**20


def test_a_line_in_single_bytes_is_kept_as_bytes() -> None:
    lines = NDJSONDecoder()
    for byte in b'{"a":"' + b"x" * 200_000:
        lines.feed(bytes([byte]))
    assert sys.getsizeof(lines._rest) < 300_000
    assert lines.feed(b'"}\n') == [{"a": "x" * 200_000}]


DEEP_INPUT: dict[str, Any] = json.loads('{"a":' * 520 + "1" + "}" * 520)


def double(a: Any) -> str:
    """Double it."""
    return f"{a}{a}"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_input_nested_too_deeply_is_told_with_what_came(
    door: Door, stream: bool
) -> None:
    call = {"type": "tool_use", "id": "t", "name": "double", "input": {"a": 1}}
    deep = {**call, "input": DEEP_INPUT}
    usage = {"type": "usage", "usage": {"prompt_tokens": 1, "usd_cents": 0.1}}
    text = {"type": "text", "text": "Wait"}
    if stream:
        door.answers(stream_answer(call, usage), stream_answer(text, deep, usage))
    else:
        door.answers(*(chat_body(message={"content": [one]}) for one in (call, deep)))
    ai = door.client()

    async def chat() -> None:
        reply = await door(ai, "chat", "Hi", tools=[double], stream=stream)
        if stream:
            await chunks(reply)

    with pytest.raises(puter.PuterAPIError, match="nested too deeply") as caught:
        await chat()
    partial = caught.value.partial
    assert partial is not None
    assert [one["role"] for one in partial.messages][:3] == ["user", "assistant", "tool"]
    assert len(door.sent) == 2
    assert partial.text == ("Wait" if stream else "")


async def test_a_tool_input_in_text_nested_too_deeply_goes_to_the_model(door: Door) -> None:
    door.answers(calls_body(("double", DEEP_INPUT)), chat_body("Sorry"))
    ai = door.client()
    assert await door(ai, "chat", "Hi", tools=[double]) == "Sorry"
    assert "JSON" in door.sent[1].args["messages"][-1]["content"]


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
async def test_an_answer_of_too_much_json_says_which_setting_allows_it(
    door: Door, kind: str
) -> None:
    body = b'{"success":true,"result":[' + b"[]," * 400_000 + b"1]}"
    door.answers(Answer(200, body, {"Content-Type": kind}))
    ai = door.client(max_response_bytes=2**21)
    with pytest.raises(puter.PuterResponseError, match="max_response_bytes") as caught:
        await door(ai, "call", "a", "b")
    assert "max_response_bytes" in caught.value.hint
    assert len(door.sent) == 1
    with pytest.raises(puter.PuterAPIError, match="max_response_bytes"):
        await chunks(await door(ai, "chat", "Hi", stream=True))
