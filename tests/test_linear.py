"""What models and servers write is read in time linear in it, the worst cases included.

The bound is of CPU time, far above what it takes: most of them milliseconds, some half a second.
What is quadratic takes minutes, or 7 seconds where it is a regular expression.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from puter.display.markdown import safe_markdown
from puter.history import overflow
from puter.models import registry
from puter.schema import Mismatch, TypeAdapter, adapter, convert
from puter.wire.fragments import fragments
from puter.wire.json import read_json, read_model_json
from puter.wire.ndjson import NDJSONDecoder
from puter.wire.tool_messages import arguments_of
from puter.wire.typed import read_typed

SIZE = 80_000
SECONDS = 4.0


@dataclass
class Book:
    title: str
    year: int = 0


UNITS = [
    *("{", "[", "}", '"', "'", "\\", '\\"', ",", " ", "\n", "\xa0", '{"', '{"a":', '{"a":1}', '["'),
    *("[1,", "[ ]", "- [x] ", "```", "```json\n", "~~~\n", "<think>", "</think>", "[THINK]"),
    *("\u201c", "1", "-", "a", "None ", "{'a': ", ", ]", "is 1 ", "\\boxed{", '{"a":1}{', "//"),
    *("*_", '{"\\', "\\ud83d", '{"{', "[[1,", '{"a":[', "[1 ", "<think a=", "1e5,", "[true,"),
    *("```\n", "``` ", "<think", "<", "[]", "[1]", "['", "{'\\'", ": ", "is ", "[1e", "- [ ]\n"),
    *(" \n", "<a:", '["a",\n```', '{"a" </think>', "<think></think>x", "<think><reasoning>"),
    *('{"a": 1}', "[True", "~~~", "*", "{}", "[[", "]", ",]"),
]
TEXTS = {
    **{repr(unit): unit * (SIZE // len(unit)) for unit in UNITS},
    "opened, then quotes": "[" * (SIZE // 2) + '"' * (SIZE // 2),
    "a fence of braces": "```json\n" + '{"' * (SIZE // 2) + "\n```",
    "a text of braces": '{"title":"' + '{"' * (SIZE // 2) + '"}',
    "blanks before a comma": "[" + " " * SIZE + ",",
    "lines": '{"title": "a\nb", }\n' * (SIZE // 20),
    "everything": "".join(UNITS) * (12 * SIZE // len("".join(UNITS))),
}
TYPES: dict[Any, TypeAdapter] = {
    kind: adapter(kind) for kind in (int, str, Book, list[int], dict[str, Any])
}
TYPES[Literal] = adapter(Literal["yes", "no"])


def spent(read: Callable[..., Any], *args: Any, **options: Any) -> float:
    """Seconds of CPU that this thread takes for it, whether it is refused or not."""
    begun = time.thread_time()
    with contextlib.suppress(ValueError):
        read(*args, **options)
    return time.thread_time() - begun


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_of_a_model(name: str) -> None:
    text = TEXTS[name]
    of_type = list(TYPES.values())[sum(map(ord, name)) % len(TYPES)]
    for read in (read_model_json, fragments, arguments_of):
        assert spent(read, text) < SECONDS
    assert spent(read_typed, text, of_type) < SECONDS
    for told, of in ((f"[{text}", TYPES[list[int]]), (f"is {text}x", TYPES[int])):
        assert spent(read_typed, told, of) < SECONDS


def test_the_oldest_turns_of_a_long_conversation() -> None:
    turn = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    assert spent(overflow, turn * (SIZE // 2), None, 20) < SECONDS


@pytest.mark.parametrize("name", TEXTS)
def test_the_bytes_of_a_server(name: str) -> None:
    data = TEXTS[name].encode()
    assert spent(read_json, data) < SECONDS
    assert spent(NDJSONDecoder().feed, data) < SECONDS


@pytest.mark.parametrize("unit", ["![]", "<a ", "`", "~", "$a", "\n \n", "```\n"])
@pytest.mark.parametrize("before", ["", "<b\n", "<b\n```", "<b\n~~~"])
def test_markdown_for_a_notebook(before: str, unit: str) -> None:
    for one in (unit, *unit):
        assert spent(safe_markdown, before + one * SIZE + "`x") < SECONDS


@pytest.mark.parametrize("of", TYPES, ids=str)
def test_a_value_that_does_not_fit(of: Any) -> None:
    for value in (
        "1" * SIZE,
        "a" * SIZE,
        "[1," * SIZE,
        [[1]] * SIZE,
        {str(n): n for n in range(SIZE)},
    ):
        assert spent(convert, TYPES[of], value, lax=True) < SECONDS


def test_a_model_name_of_any_length() -> None:
    assert spent(registry().suggest, "gpt-5-nano" * SIZE) < SECONDS


def test_what_is_wrong_is_told_in_few_words() -> None:
    many: list[Any] = [
        {str(n): n for n in range(1000)},
        {"x" * 10_000: 1},
        {"title": ["x" * 10_000]},
    ]
    for value in many:
        with pytest.raises(Mismatch) as caught:
            convert(TYPES[Book], value)
        assert len(str(caught.value)) <= 1000
