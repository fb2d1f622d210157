"""Any cut of the bytes of a stream gives the same chunks; any garbage gives our errors."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import puter
from puter.wire.accumulator import StreamAccumulator
from puter.wire.ndjson import LineError, NDJSONDecoder
from tests.door import Door, chunks, stream_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from puter.types.replies import ChatChunk

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("\u2028\u2029\x85\r\n\x0b\x1c"))
LINE = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}),
    st.fixed_dictionaries({"type": st.just("reasoning"), "reasoning": TEXT}),
    st.fixed_dictionaries(
        {
            "type": st.just("tool_use"),
            "id": TEXT,
            "name": TEXT,
            "input": st.dictionaries(TEXT, JSON),
        }
    ),
    st.fixed_dictionaries({"type": st.just("extra_content"), "extra_content": JSON}),
    st.fixed_dictionaries({"type": st.sampled_from(["novel", "Text", ""]), "more": JSON}),
)
USAGE: dict[str, Any] = {"type": "usage", "usage": {"prompt_tokens": 1, "usd_cents": 0.5}}
TEXT_LINE = {"type": "text", "text": "x"}


def encoded(sent: list[dict[str, Any]], *, ascii_only: bool, end: str) -> bytes:
    return "".join(json.dumps(one, ensure_ascii=ascii_only) + end for one in sent).encode()


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[bytes]]:
    """NDJSONDecoder, and the bytes of them and of a usage line cut into pieces."""
    sent = draw(st.lists(LINE, max_size=5))
    data = encoded(
        [TEXT_LINE, *sent, USAGE],
        ascii_only=draw(st.booleans()),
        end=draw(st.sampled_from(["\n", "\r\n", "\n\n", " \n"])),
    )
    if draw(st.booleans()):
        data = data.rstrip()
    cuts = sorted(draw(st.sets(st.integers(1, len(data)), max_size=20)))
    return sent, [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]


def decoded(pieces: list[bytes]) -> list[ChatChunk]:
    decoder, accumulator = NDJSONDecoder(), StreamAccumulator("m")
    reads = [*(decoder.feed(piece) for piece in pieces), decoder.flush()]
    got = [chunk for lines in reads for chunk in accumulator.add(lines)]
    return got if accumulator.last is None else [*got, accumulator.last]


def raw(got: list[ChatChunk]) -> list[dict[str, Any]]:
    return [one.raw for one in got]


@given(streams())
def test_any_cut_gives_the_same_chunks(one: tuple[list[dict[str, Any]], list[bytes]]) -> None:
    sent, pieces = one
    assert raw(decoded(pieces)) == [TEXT_LINE, *sent, USAGE]
    assert decoded(pieces) == decoded([b"".join(pieces)])


def test_every_single_cut_gives_the_same_chunks() -> None:
    sent = [{"type": "text", "text": "\u2028é\U0001f600\x85"}, TEXT_LINE, USAGE]
    data = encoded(sent, ascii_only=False, end="\n")
    for cut in range(len(data) + 1):
        assert raw(decoded([data[:cut], data[cut:]])) == sent
    assert raw(decoded([data[i : i + 1] for i in range(len(data))])) == sent


@settings(max_examples=30)
@given(streams())
def test_any_cut_gives_the_same_chunks_through_both_doors(
    one: tuple[list[dict[str, Any]], list[bytes]],
) -> None:
    sent, pieces = one

    async def through(kind: str) -> list[ChatChunk]:
        door = Door(kind)
        door.answers(stream_answer(*pieces))
        return await chunks(await door(door.client(), "chat", "Hi", stream=True))

    for kind in ("sync", "async"):
        assert raw(asyncio.run(through(kind))) == [TEXT_LINE, *sent, USAGE]


@given(st.lists(st.binary(max_size=40) | LINE.map(lambda one: json.dumps(one).encode() + b"\n")))
def test_garbage_gives_our_errors_only(pieces: list[bytes]) -> None:
    async def through(kind: str) -> str:
        door = Door(kind)
        door.answers(stream_answer(*pieces))
        ai = door.client()
        try:
            await chunks(await door(ai, "chat", "Hi", stream=True))
        except puter.PuterError as error:
            assert ai.chat_history == []
            return str(error)
        finally:
            assert ai._throttle.running == 0
        return "complete"

    assert asyncio.run(through("sync")) == asyncio.run(through("async"))


@pytest.mark.parametrize("line", [b"1", b"null", b"[]", b'"x"', b"{", b"\xff", b"[" * 99_999])
def test_a_line_that_is_no_object_is_told_after_those_before_it(line: bytes) -> None:
    with pytest.raises(LineError, match="a line of the stream is not") as caught:
        NDJSONDecoder().feed(b'{"a":1}\n' + line + b"\n")
    assert caught.value.before == [{"a": 1}]


def fed(data: bytes, size: int) -> Iterator[list[dict[str, Any]]]:
    """What each read of so many bytes completes."""
    decoder = NDJSONDecoder()
    for start in range(0, len(data), size):
        yield decoder.feed(data[start : start + size])


@pytest.mark.parametrize(
    "damaged",
    [
        b'{"a":1}{"b":2}',
        b'{"a":1},{"b":2}',
        b'{"a":1\n,"b":2}',
        b'{"a":[1\n2]}',
        b'{"a":' + b"[" * 100 + b"]" * 100 + b"}",
        b'\xef\xbb\xbf\xef\xbb\xbf{"a":1}',
    ],
)
def test_lines_that_only_together_are_json_are_damaged_however_they_come(damaged: bytes) -> None:
    data = b'{"a":1}\n' + damaged + b'\n{"z":1}\n'
    for size in (1, 5, len(data)):
        found = list[dict[str, Any]]()
        with pytest.raises(LineError) as caught:
            found.extend(one for lines in fed(data, size) for one in lines)
        assert [*found, *caught.value.before] == [{"a": 1}]


def test_lines_with_a_mark_blanks_or_escapes_are_read_like_the_others() -> None:
    data = b'\xef\xbb\xbf{"a":1}\n {"b":"\\u00e9"} \r\n\n'
    data += b'{"type":"text","text":"\\ud83d\\ude00"}\n'
    text = {"type": "text", "text": "\U0001f600"}
    for size in (1, 5, len(data)):
        assert [one for lines in fed(data, size) for one in lines] == [{"a": 1}, {"b": "é"}, text]


def feed_time(size: int) -> float:
    """Seconds for one line of that size in pieces of 4 KiB."""
    data = json.dumps({"type": "text", "text": "x" * size}).encode() + b"\n"
    lines, found = NDJSONDecoder(), list[dict[str, Any]]()
    begun = time.process_time()
    for start in range(0, len(data), 4096):
        found += lines.feed(data[start : start + 4096])
    spent = time.process_time() - begun
    assert len(found[0]["text"]) == size
    return spent


def test_the_time_for_a_line_grows_with_its_length_and_not_faster() -> None:
    small = min(feed_time(2**20) for _ in range(3))
    large = min(feed_time(2**23) for _ in range(3))
    assert large < 30 * small + 0.05  # 8 times the bytes; 64 times if each piece cost all before it


# ------------------------------------------------------------ emoji cut in two


def units(text: str) -> list[str]:
    """The UTF-16 code units of a text, as JSON escapes them."""
    data = text.encode("utf-16-be")
    return [f"\\u{data[i]:02x}{data[i + 1]:02x}" for i in range(0, len(data), 2)]


@st.composite
def cut_texts(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    """A text, and the lines of a stream that cut it anywhere between two UTF-16 code units."""
    text = draw(st.text(st.characters(codec="utf-8") | st.sampled_from("\U0001f600\U0001d11e")))
    escapes = units(text)
    cuts = sorted(draw(st.sets(st.integers(0, len(escapes)), max_size=8)))
    parts = [escapes[a:b] for a, b in zip([0, *cuts], [*cuts, len(escapes)], strict=True)]
    kind = draw(st.sampled_from(["text", "reasoning"]))
    between = draw(st.sampled_from([b"", b'{"type":"extra_content","extra_content":1}\n']))
    return text, [
        f'{{"type":"{kind}","{kind}":"{"".join(part)}"}}\n'.encode() + between for part in parts
    ]


@given(cut_texts())
def test_a_text_arrives_whole_wherever_a_line_cuts_it(one: tuple[str, list[bytes]]) -> None:
    text, pieces = one
    got = decoded([*pieces, encoded([USAGE], ascii_only=True, end="\n")])
    assert "".join(chunk.reasoning or chunk for chunk in got) == text
    assert json.dumps(raw(got), ensure_ascii=False).encode()  # no half is left


@given(
    st.lists(st.text(st.sampled_from("a\ud83d\ude00\U0001f600"), max_size=3), max_size=6),
    st.booleans(),
)
def test_halves_that_fit_nothing_are_told_by_a_question_mark(texts: list[str], ends: bool) -> None:
    sent: list[dict[str, Any]] = [{"type": "text", "text": one} for one in texts]
    got = "".join(
        decoded([encoded([*sent, *([USAGE] if ends else [])], ascii_only=True, end="\n")])
    )
    joined = "".join(texts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert got == joined.replace("\ufffd", "?")


async def test_an_emoji_cut_in_two_lines_arrives_whole(door: Door) -> None:
    door.answers(
        stream_answer(
            b'{"type":"text","text":"Hi \\ud83d"}\n{"type":"text","text":"\\ude00!"}\n', USAGE
        )
    )
    ai = door.client()
    got = await chunks(await door(ai, "chat", "Hi", stream=True))
    assert "".join(got) == "Hi \U0001f600!"
    assert ai.chat_history[-1]["content"] == "Hi \U0001f600!"
    door.answers(stream_answer(b'{"type":"text","text":"cut \\ud83d"}\n', USAGE))
    assert "".join(await chunks(await door(ai, "chat", "Hi", stream=True))) == "cut ?"
