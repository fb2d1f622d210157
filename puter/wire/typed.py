"""Typed answers on the wire: instructions for the model, and the JSON in its answer.

Puter drops ``response_format`` on most routes, so the schema goes into the instructions.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from puter.schema import Mismatch, TypeAdapter, convert
from puter.wire.json import finite, read_model_json

_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)```", re.DOTALL)
_OPENING = re.compile(r'(\{(?=\s*")|\[(?=\s*(?:["{]|\[\s*["{\[\d])))|[\[{]')  # 1: no mere prose
_DECODER = json.JSONDecoder(parse_float=finite, parse_constant=finite)
_NOTHING = "there is no JSON in it"


def instructions(adapter: TypeAdapter) -> str:
    """The instructions that go along with the question."""
    schema = json.dumps(adapter.schema, ensure_ascii=False)
    return (
        "Answer with one JSON value that is valid against this JSON Schema, and nothing else: "
        "no explanation, no code fence.\n"
        f"```json schema\n{schema}\n```"
    )


def correction(fault: str) -> str:
    """The message that asks for another answer when one does not fit."""
    return f"That answer cannot be used: {fault}. Answer again with the corrected JSON only."


def read_typed(text: str, adapter: TypeAdapter) -> Any:
    """The value in an answer, past code fences and prose around the JSON.

    Raises:
        ValueError: There is no JSON, or none that fits; the message says what is wrong with the
            first.
    """
    faults: list[ValueError] = []
    try:
        for value in _candidates(text):
            try:
                return convert(adapter, value)
            except Mismatch as error:
                faults.append(error)
    except ValueError as error:
        faults.append(error)
    if adapter.schema.get("type") == "string" and not faults and text.strip():
        return convert(adapter, text.strip())  # a bare word where JSON wants quotes
    raise faults[0] if faults else ValueError(_NOTHING)


def _candidates(text: str) -> Iterator[Any]:
    """JSON values in the order in which they are likely meant.

    Raises:
        ValueError: Here is one that breaks off, or is broken: what it holds is not the answer.
    """
    whole = text.strip()
    for piece in (whole, *(found.strip() for found in _FENCE.findall(text))):
        with contextlib.suppress(ValueError):
            yield read_model_json(piece)
    place = 0
    while opening := _OPENING.search(whole, place):
        try:
            value, place = _DECODER.raw_decode(whole, opening.start())
            yield value
        except (ValueError, RecursionError) as error:
            if opening[1]:
                raise ValueError(f"its JSON is broken: {error}") from error
            place = opening.end()
