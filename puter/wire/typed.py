"""Typed answers on the wire: what the model is told, and finding the JSON in what it says.

Puter drops ``response_format`` on most routes, so the schema goes into the instructions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from puter.schema import Codec, Mismatch, convert

_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)```", re.DOTALL)
_NOTHING = "there is no JSON in it"


def instructions(made: Codec) -> str:
    schema = json.dumps(made.schema, ensure_ascii=False)
    return (
        "Answer with one JSON value that is valid against this JSON Schema, and nothing else: "
        "no explanation, no code fence.\n"
        f"```json schema\n{schema}\n```"
    )


def correction(fault: str) -> str:
    return f"That answer cannot be used: {fault}. Answer again with the corrected JSON only."


def read_typed(text: str, made: Codec) -> Any:
    """The value in an answer, past code fences and prose around the JSON.

    Raises:
        ValueError: There is no JSON, or none that fits; the message says what is wrong with the
            first.
    """
    fault: Exception | None = None
    for value in _candidates(text):
        try:
            return convert(made, value)
        except Mismatch as error:
            fault = fault or error
    if made.schema.get("type") == "string" and fault is None and text.strip():
        return convert(made, text.strip())  # a bare word where JSON wants quotes
    raise fault or ValueError(_NOTHING)


def _candidates(text: str) -> Iterator[Any]:
    """JSON values in the order in which they are likely meant."""
    whole = text.strip()
    for piece in (whole, *(found.strip() for found in _FENCE.findall(text))):
        try:
            yield json.loads(piece)
        except (ValueError, RecursionError):
            continue
    decoder = json.JSONDecoder()
    place = 0
    while (begin := _opening(whole, place)) >= 0:
        try:
            value, place = decoder.raw_decode(whole, begin)
            yield value
        except (ValueError, RecursionError):
            place = begin + 1


def _opening(text: str, place: int) -> int:
    found = re.compile(r"[\[{]").search(text, place)
    return found.start() if found else -1
