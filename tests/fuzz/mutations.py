"""Right answers, damaged: values and bytes with something odd in one place or several."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from puter.wire.json import read_json

SECRET = "hush-hush-secret"
"""What no error may show; it is among the odd texts."""

_NUMBERS = "0 1 -1 3.7 -0.0 1e308 1e999 -Infinity NaN 1e-320 9007199254740993 -1e31 1e30".split()
_TEXTS = (
    r'"" "x" "\ud83d" "\ude00" "\u0000" "\u2028" "\r\nforged" "text" "usage" "error" "1e999" '
    r'"NaN" "-Infinity" "1_0" "-5" "1e-400" "1e30" "0x10" "http://" "https://[::1" "{}" "[1" '
    r'"http://x:99999999/a" "http://\u0000/" "https://a.example/b" "data:" "data:;base64,A" '
    r'"data:image/png;base64,iVBORw0KGgo=" "data:image/png;base64,\u00e9" "stop" "None" '
    r'"2026-01-01T00:00:00Z" "9999-12-31" "too_many_requests" "token_missing" '
).split()
_SENTENCES = [
    *('" "', '"400 {}"', '"429 x"', '"All providers failed"', '"Model not found"'),
    *(f'"{SECRET}"', f'"Bearer {SECRET}"', f'"https://u:{SECRET}@x/"'),
]
_NESTED = [
    *'[] {} [null] [[]] [{}] {"a":null} {"type":5} {"url":5} {"text":"x"} {"type":"text"}'.split(),
    *'{"error":{"message":5}} {"type":"error"} [1,"x"] {"":0} {"$ref":"#"} {"token":"x"}'.split(),
    "[" * 60 + "]" * 60,
    '{"a":' * 500 + "1" + "}" * 500,
    "[" * 3000 + "]" * 3000,
]
JSON_TEXTS = [
    "null",
    "true",
    "false",
    *_NUMBERS,
    *_TEXTS,
    *_SENTENCES,
    *("9" * 40, "9" * 400, "9" * 5000, '"' + "9" * 400 + '"', '"' + "x" * 3000 + '"'),
    *_NESTED,
]
"""JSON, and what some take for JSON."""


def _values() -> list[Any]:
    """Those that get through the door: what comes behind it must bear them."""
    read = []
    for text in JSON_TEXTS:
        with contextlib.suppress(ValueError):
            read.append(read_json(text.encode()))
    return read


ODD = _values()
_PIECES = [
    *(one.encode() for one in JSON_TEXTS if len(one) < 500),
    *b'\r \r\n { } [ ] " , : \\ \\u \\ud83d \\ude00 // ``` \x00'.split(b" "),
    *(b"\n", b"\xff", b"\xf0\x9f", b"\xe2\x80\xa8"),
    b"\xef\xbb\xbf",
    b" " * 300,
]


class Damage:
    """Draws from one generator of random numbers, so that a case can be made again."""

    def __init__(self) -> None:
        self.random = Random()  # seeded for each case
        self._draw: Callable[[], float] = self.random.random

    def below(self, count: int) -> int:
        return int(self._draw() * count)

    def one_of(self, values: Sequence[Any]) -> Any:
        return values[int(self._draw() * len(values))]

    def value(self, value: Any) -> Any:
        """The JSON value with one to three places of it made odd; the rest is shared with it."""
        value = self._once(value)
        while self._draw() < 0.3:
            value = self._once(value)
        return value

    def _once(self, value: Any) -> Any:
        draw = self._draw
        if not value or not isinstance(value, (dict, list)) or draw() < 0.04:
            return self._odd(value)
        if isinstance(value, dict):
            changed = dict(value)
            key = self.one_of([*value])
            what = draw()
            if what < 0.06:
                del changed[key]
            elif what < 0.1:
                changed[self.one_of([*value, "type", "text", "error", ""])] = changed[key]
            else:
                changed[key] = self._once(value[key])
            return changed
        place = self.below(len(value))
        what = draw()
        if what < 0.06:
            return value[:place] + value[place + 1 :]
        if what < 0.1:
            return [*value, value[place]]
        return [*value[:place], self._once(value[place]), *value[place + 1 :]]

    def _odd(self, value: Any) -> Any:
        if isinstance(value, str) and value and self._draw() < 0.3:
            return self.text(value)
        return self.one_of(ODD)

    def text(self, text: str) -> str:
        """The text with pieces of it lost, doubled or replaced."""
        return self.data(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")

    def data(self, data: bytes) -> bytes:
        """The bytes with pieces of them lost, doubled or replaced."""
        draw = self._draw
        while True:
            start = int(draw() * (len(data) + 1))
            end = start + int(draw() ** 4 * 64)
            what = draw()
            if what < 0.2:
                middle = b""
            elif what < 0.3:
                middle = data[start:end] * 2
            elif what < 0.45:
                middle, end = bytes((int(draw() * 256),)), start + 1
            elif what < 0.5:
                return data[:start]
            else:
                middle = _PIECES[int(draw() * len(_PIECES))]
                if what < 0.8:
                    end = start
            data = data[:start] + middle + data[end:]
            if draw() < 0.6:
                return data

    def cut(self, data: bytes) -> list[bytes]:
        """The bytes as a connection may bring them."""
        pieces, start = [], 0
        while start < len(data):
            end = start + 1 + int(self._draw() ** 3 * 400)
            pieces.append(data[start:end])
            start = end
        return pieces
