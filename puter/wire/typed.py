"""Typed answers on the wire: instructions for the model, and the value in its answer.

Servers before 2026-10 drop every JSON mode, so the schema goes into the instructions, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from puter.schema import Exact, Mismatch, Schema, TypeAdapter, convert
from puter.wire.fragments import Fragment, fragments
from puter.wire.json import BLANKS, read_model_json
from puter.wire.messages import Message

_REFUSED, _AGAIN = "That answer cannot be used: ", ". Answer again with the corrected JSON only."
_NOTHING = "there is no JSON in it"
_WRAPPERS = {"answer", "output", "response", "result", "value"}
_YES_NO = {"yes": True, "no": False}
_KINDS: dict[type, frozenset[str]] = {
    str: frozenset({"string"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    **dict.fromkeys((float, Exact), frozenset({"number"})),
    type(None): frozenset({"null"}),
}
_EMPHASIS = BLANKS + "*_`\"'\u2018\u2019\u201c\u201d"
_FENCED = re.compile(r"([`~])\1\1.*\1\1\1", re.DOTALL)
_NUMBER = re.compile(  # the only one, told at the end: "The answer is **42**."
    r"\D*(?:(?:\b(?:is|are|was|were|equals)\b|[:=])[\s*_`\"'(]*|\\boxed\{)"
    r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)[\s*_`\"'})$.!]*"
)


def instructions(adapter: TypeAdapter) -> str:
    """The instructions that go along with the question."""
    schema = json.dumps(adapter.schema, ensure_ascii=False)
    return (
        "Answer with one JSON value that is valid against this JSON Schema, and nothing else: "
        "no explanation, no code fence.\n"
        f"```json schema\n{schema}\n```"
    )


def output_format(adapter: TypeAdapter) -> dict[str, Any] | None:
    """The form of the answer for vendors that enforce one; None when any will do.

    They want an object, so another type is the ``value`` of one; ``read_typed()`` unwraps it.
    """
    schema = adapter.schema
    name = re.sub(r"[^\w-]", "_", str(schema.get("title", "answer")), flags=re.ASCII)[:64]
    if not schema or schema == {"type": "object"}:
        return None
    if _is_wrapped(schema):
        inner = {key: one for key, one in schema.items() if key != "$defs"}
        definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
        schema = {
            "type": "object",
            "properties": {"value": inner},
            "required": ["value"],
            "additionalProperties": False,
            **definitions,
        }
    return {"type": "json_schema", "name": name, "schema": schema, "strict": _is_strict(schema)}


def _is_wrapped(schema: Schema) -> bool:
    """Whether the vendor is asked for an object with such a value in it."""
    return bool(schema) and schema.get("type") != "object"


def _is_strict(schema: Any) -> bool:
    """Whether every object in it names all its keys, as vendors ask of a strict schema."""
    if isinstance(schema, list):
        return all(map(_is_strict, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties", {})
    closed = schema.get("additionalProperties") is False
    if schema.get("type") == "object" and not (
        closed and set(schema.get("required", ())) == set(properties)
    ):
        return False
    inside = [one for key, one in schema.items() if key not in ("properties", "$defs", "default")]
    return all(map(_is_strict, [*inside, *properties.values(), *schema.get("$defs", {}).values()]))


def correction(fault: str) -> str:
    """The message that asks for another answer when one does not fit."""
    return f"{_REFUSED}{fault}{_AGAIN}"


def without_corrections(messages: Iterable[Message]) -> list[Message]:
    """The messages without the answers that did not fit and what was said about them."""
    kept: list[Message] = []
    for message in messages:
        if _is_correction(message):
            while kept and _is_answer(kept[-1]):
                del kept[-1]
        else:
            kept.append(message)
    return kept


def _is_correction(message: Message) -> bool:
    content = message.get("content")
    return isinstance(content, str) and content.startswith(_REFUSED) and content.endswith(_AGAIN)


def _is_answer(message: Message) -> bool:
    """Whether it is of an answer in words, not of a tool call."""
    in_words = message.get("role") == "assistant" and isinstance(message.get("content"), str)
    return in_words or message.get("type") == "compaction"


def read_typed(text: str, adapter: TypeAdapter) -> Any:
    """The value in an answer: the whole of it, else what a code block holds, else a value in prose.

    Thoughts are left out. What fits is never chosen from several different ones.

    Raises:
        ValueError: None fits, several do, or the answer breaks off; the message says what is
            wrong with the longest value in it.
    """
    faults: list[Fragment] = []
    try:
        for candidates in _candidates_by_likelihood(text, _Wanted.by(adapter.schema), faults):
            fitting = _fitting(candidates, adapter, faults)
            if len(fitting) > 1:
                raise ValueError("several different values in it fit, and one is asked for")
            if fitting:
                return fitting[0]
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    raise max(faults, key=lambda fault: fault.size).value if faults else ValueError(_NOTHING)


def _fitting(
    candidates: Iterable[Iterable[Any]], adapter: TypeAdapter, faults: list[Fragment]
) -> list[Any]:
    """The values that fit, each by the first way to read it that does; two different ones do."""
    found: dict[str, Any] = {}
    seen: set[str] = set()
    for readings in candidates:
        for reading in readings:
            written = json.dumps(reading, sort_keys=True)
            if written in found or len(found) > 1:
                break
            if written in seen:
                continue
            seen.add(written)
            try:
                found[written] = _converted(reading, adapter)
                break
            except Mismatch as error:
                faults.append(Fragment(error, len(written)))
    return list(found.values())


def _converted(value: Any, adapter: TypeAdapter) -> Any:
    """The value as the type; models wrap what is no object: ``{"answer": 42}``.

    A wrapper comes off first where it was asked for, or where a type would ignore what it holds.
    """
    readings = [(value, True)]
    if isinstance(value, dict) and len(value) == 1:
        ((name, inner),) = value.items()
        if name.lower() in _WRAPPERS:
            readings = _readings(value, name, inner, adapter.schema)
    faults: list[Mismatch] = []
    for reading, lax in readings:
        try:
            return convert(adapter, reading, lax=lax)
        except Mismatch as fault:
            faults.append(fault)
    raise faults[0]


def _readings(value: Any, name: str, inner: Any, schema: Schema) -> list[tuple[Any, bool]]:
    """What an object with one key may mean, the likeliest first, and whether laxly."""
    objects = [one for one in _alternatives(schema) if one.get("type") == "object"]
    ignoring = [one for one in objects if _ignores(one, name)]
    if any("additionalProperties" not in one for one in ignoring):
        return [(inner, True)]  # the whole would be made of defaults alone
    asked_for = name == "value" and _is_wrapped(schema)
    has_place = any(name in one.get("properties", (name,)) for one in objects)
    if ignoring or (asked_for and not has_place):
        return [(inner, True), (value, True)]
    whole_first = [(value, True), (inner, True)]
    return [(inner, False), *whole_first] if asked_for else whole_first


def _ignores(schema: Schema, name: str) -> bool:
    """Whether an object of this schema may have this key alone, which none of its fields is."""
    fields = schema.get("properties", {})
    closed = schema.get("additionalProperties") is False
    return bool(fields) and name not in fields and not closed and not schema.get("required")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a schema takes that needs no brackets."""

    kinds: frozenset[str]
    options: tuple[str, ...]
    """The texts of an Enum or Literal."""
    any_text: bool

    @classmethod
    def by(cls, schema: Schema) -> _Wanted:
        kinds: set[str] = set()
        options: list[str] = []
        any_text = False
        for one in _alternatives(schema):
            constants = one.get("enum", [one["const"]] if "const" in one else None)
            default = {kind for each in constants or () for kind in _KINDS.get(type(each), ())}
            named = one.get("type", default)
            named = {named} if isinstance(named, str) else set(named)
            kinds |= named
            any_text |= "string" in named and constants is None
            options += [constant for constant in constants or () if isinstance(constant, str)]
        return cls(frozenset(kinds), tuple(options), any_text)

    @property
    def only_text(self) -> bool:
        return self.kinds == {"string"}

    @property
    def only_number(self) -> bool:
        return bool(self.kinds) and self.kinds <= {"integer", "number", "null"}


def _alternatives(schema: Schema) -> Iterator[Schema]:
    """The schemas one of which fits, references followed once."""
    definitions = dict(schema.get("$defs", {}))
    pending = [schema]
    while pending:
        one = pending.pop()
        if not isinstance(one, dict):
            continue
        pending += [*one.get("anyOf", ()), *one.get("oneOf", ()), *one.get("allOf", ())]
        if "$ref" in one:
            pending.append(definitions.pop(one["$ref"].rpartition("/")[2], {}))
        yield one


def _candidates_by_likelihood(
    text: str, wanted: _Wanted, faults: list[Fragment]
) -> Iterator[Iterable[Iterable[Any]]]:
    """What may be meant, the likeliest first: candidates, each with the ways to read it."""
    whole = _json(text, wanted)
    yield [whole]
    found = fragments(next((one for one in whole if isinstance(one, str)), text))
    words, has_json = found.words, bool(found.values or found.broken or found.breaks_off)
    is_prose = not has_json or (wanted.only_text and words[:1] not in ("{", "["))
    if found.breaks_off and not is_prose:
        raise found.breaks_off
    if wanted.only_text and words[:1] == '"' and words.count('"') == 1:
        raise ValueError("its text breaks off")
    faults += found.broken
    yield [_json(words, wanted)]
    yield [_json(block, wanted) for block in found.blocks]
    if not wanted.only_text:
        yield [[one] for one in found.values]
    if is_prose:
        if len(found.blocks) == 1 and _FENCED.fullmatch(words):
            words = found.blocks[0]
        yield [_words(words, wanted)]
        yield [_words(block, wanted) for block in found.blocks]
        if wanted.only_number and (number := _NUMBER.fullmatch(words)):
            yield [_json(number[1], wanted)]


def _json(text: str, wanted: _Wanted) -> list[Any]:
    """The JSON that this text is, if so; where text is wanted and no number, digits are text."""
    try:
        value = read_model_json(text, exact=True)
    except ValueError:
        return []
    kinds = _KINDS.get(type(value), wanted.kinds)
    return [value] if kinds & wanted.kinds or "string" not in wanted.kinds else []


def _words(text: str, wanted: _Wanted) -> Iterator[Any]:
    """Ways to read words where JSON wants quotes: ``**Positive.**`` may be ``positive``."""
    word = text.strip(_EMPHASIS).rstrip(_EMPHASIS + ".!,;")
    if not word:
        return
    if wanted.any_text:
        yield text
    forms = {text.casefold(), word.casefold()}
    exact = [one for one in (text, word) if one in wanted.options]
    alike = [one for one in wanted.options if one.casefold() in forms]
    if exact or len(alike) == 1:
        yield (exact or alike)[0]
    elif "string" in wanted.kinds and not alike:
        yield word
    for value in (*_json(word, wanted), *_json(word.lower(), wanted)):
        if value is not None or "null" in wanted.kinds:  # "None." is a word, too
            yield value
    if "boolean" in wanted.kinds and word.lower() in _YES_NO:
        yield _YES_NO[word.lower()]
