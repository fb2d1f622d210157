"""The built-in partner, which answers when nothing is scripted: simple, and always the same.

It greets, remembers a name and does a sum; it calls each tool that the prompt names, once; and
where the messages hold a JSON schema it answers with an instance. Values come from the prompt.
"""

from __future__ import annotations

import functools
import json
import math
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from puter.testing.chat_call import ChatCall
from puter.testing.messages import calls_in, results_in, text_of
from puter.testing.recorded import recorded

_MY_NAME = re.compile(r"\bmy name(?:'s| is)\s+([^\W\d_][\w-]*)", re.IGNORECASE)
_ASKS_NAME = re.compile(r"\bwhat(?:'s| is| was) my name\b", re.IGNORECASE)
_GREETING = re.compile(r"\s*(?:hello|hi|hey)\b", re.IGNORECASE)
_SUM = re.compile(r"(-?\d{1,15}(?:\.\d+)?) ?(\+|-|\*|plus|minus|times) ?(-?\d{1,15}(?:\.\d+)?)")
_SIGNS = {"plus": "+", "minus": "-", "times": "*"}
_SUMS = {"+": operator.add, "-": operator.sub, "*": operator.mul}

_NUMBER = r"(?<![\w.])-?\d{1,15}(?:\.\d+)?(?!\w)"
# What a string takes out of the prompt: quoted, a sum, a name inside a sentence, a number.
_STRING = (
    r"\"([^\"]+)\"|“([^“”]+)”|(?<!\w)'([^']+)'(?!\w)"
    r"|(?<![\w.])\d+(?:\.\d+)?(?: ?[-+*/] ?\d+(?:\.\d+)?)+(?![\w-])"
    r"|(?<=[^.!?\s] )[A-Z][\w-]+(?: [A-Z][\w-]+)*|\b[A-Z][\w-]+(?: [A-Z][\w-]+)+|" + _NUMBER
)
_FORMATS: Mapping[str, tuple[str, str]] = recorded("string_formats")
_NULL = {"type": "null"}
_COMMON = frozenset(recorded("common_words"))
_DEPTH = 6  # levels of a schema that refers to itself
_MANY = 20  # items of an array


def answer(call: ChatCall) -> str:
    """The answer in text, or as JSON where the messages hold a schema."""
    prompt, since = _turn(call)
    results = results_in(since)
    given = call.upstream_options.get("outputFormat")
    texts = call.texts if call.heard is call.normalized else [*map(text_of, call.heard)]
    found = (given["schema"], "") if given else None
    for text in reversed(texts):
        if in_text := _schema_in(text):
            found = in_text
            break
    if found is not None:
        schema, source = found
        # What tools told comes before the question itself.
        text = prompt.replace(source, " ") if source else prompt
        return json.dumps(fill(schema, "\n".join([*results, text])))
    return f"The tool answered: {'; '.join(results)}" if results else _talk(call)


def _talk(call: ChatCall) -> str:
    text = call.last_text
    names = [match[1] for said in call.user_texts if (match := _MY_NAME.search(said))]
    if _ASKS_NAME.search(text):
        return f"Your name is {names[-1]}." if names else "You have not told me your name yet."
    if found := _SUM.search(text):
        left, sign, right = found.groups()
        sign = _SIGNS.get(sign, sign)
        return f"{left} {sign} {right} = {_SUMS[sign](float(left), float(right)):.10g}"
    if _MY_NAME.search(text) or _GREETING.match(text):
        return f"Hello{', ' + names[-1] if names else ''}! I am LocalPuter, playing {call.model}."
    return f"LocalPuter, playing {call.model}, read: {text}"


def tool_calls(call: ChatCall) -> list[dict[str, Any]]:
    """A call of each tool that the prompt names and that was not called since, in their order.

    A prompt names a tool with a word of the tool's name or description. A ``tool_choice`` that
    the model is told forces the first call.
    """
    if not call.tools:
        return []
    prompt, since = _turn(call)
    made = [use["name"] for use in calls_in(since)]
    options = call.upstream_options
    choice = options.get("tool_choice", {"type": "auto"})
    if choice["type"] == "none" or (results_in(since) and not made):  # lost on the way here
        return []
    functions = [tool.get("function", tool) for tool in call.tools]
    words = _words(prompt)
    callable_now = [one for one in functions if one.get("name") and one["name"] not in made]
    chosen = [
        one for one in callable_now if words & _words(f"{one['name']} {one.get('description')}")
    ]
    if not made and choice["type"] == "tool":
        chosen = [one for one in callable_now if one["name"] == choice["name"]]
    if not made and choice["type"] == "any":
        chosen = chosen or callable_now[:1]
    calls: list[dict[str, Any]] = []
    for one in chosen:
        schema = one.get("parameters") or one.get("input_schema") or {}
        calls.append({"name": one["name"], "arguments": fill({"type": "object", **schema}, prompt)})
    return calls if options.get("parallel_tool_calls", True) else calls[:1]


def _turn(call: ChatCall) -> tuple[str, Sequence[dict[str, Any]]]:
    """The last prompt of the user, and the messages after it."""
    messages = call.normalized
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message["role"] == "user" and not results_in([message]):
            return call.texts[index], messages[index + 1 :]
    return "", messages


def _words(text: str) -> set[str]:
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", text).lower()
    return {word.removesuffix("s") for word in re.findall(r"[^\W\d]{3,}", split)} - _COMMON


def _schema_in(text: str) -> tuple[Mapping[str, Any], str] | None:
    """The JSON object after the word "schema" in ``text``, and its source."""
    for mark in re.finditer("schema", text, re.IGNORECASE):
        start = text.find("{", mark.end())
        try:
            schema, end = json.JSONDecoder().raw_decode(text, start) if start >= 0 else ({}, 0)
        except (ValueError, RecursionError):
            continue
        if schema:
            return schema, text[start:end]
    return None


def fill(schema: Mapping[str, Any], prompt: str) -> Any:
    """An instance of ``schema``: values of the prompt in their order, else the least that fits."""
    return _Filler(schema, prompt).value(schema)


class _Filler:
    """Takes values out of a prompt, each once."""

    def __init__(self, root: Mapping[str, Any], prompt: str) -> None:
        self._root = root
        self._left = prompt
        self._last_word = (re.findall(r"\w+", prompt[-200:]) or ["text"])[-1]

    def value(self, given: Mapping[str, Any], depth: int = 0) -> Any:
        schema = self._resolve(given)
        if "const" in schema or depth > _DEPTH:
            return schema.get("const")
        found, members = self._take(_pattern(schema)), schema.get("enum")
        if members:
            said = (one for one in members if str(one).lower() == str(found).lower())
            return next(said, members[0])
        if found is None and "default" in schema:
            return schema["default"]
        match schema.get("type"):
            case "integer" | "number":
                number = float(max(float(found or 0), schema.get("minimum", -math.inf)))
                return int(number) if number.is_integer() else number
            case "array":
                items = schema.get("prefixItems") or self._items(schema.get("items", {}))
                return [self.value(item, depth + 1) for item in items]
            case "object":
                properties = schema.get("properties", {})
                wanted = schema.get("required", properties)
                return {key: self.value(properties.get(key, {}), depth + 1) for key in wanted}
            case "boolean" | "null" as kind:
                return False if kind == "boolean" else None
            case _:
                _, sample = _FORMATS.get(schema.get("format", ""), ("", self._last_word))
                return sample if found is None else found

    def _items(self, item: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """``item`` as long as the prompt holds another value for it."""
        pattern = _pattern(self._resolve(item))
        for _ in range(_MANY if pattern else 0):
            if re.search(pattern, self._left):
                yield item

    def _take(self, pattern: str) -> str | None:
        """The first match; nothing will find it again."""
        match = re.search(pattern, self._left) if pattern else None
        if match is None:
            return None
        self._left = f"{self._left[: match.start()]}·{self._left[match.end() :]}"
        return next(filter(None, match.groups()), match[0])

    def _resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema behind a reference, and the first of several choices that is not null."""
        for _ in range(_DEPTH):
            if path := schema.get("$ref"):
                keys = path.split("/")[1:]
                schema = functools.reduce(lambda one, key: one.get(key, {}), keys, self._root)
            elif choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
                optional = {"default": None} if _NULL in choices else {}
                schema = {**optional, **next((one for one in choices if one != _NULL), _NULL)}
            elif isinstance(kinds := schema.get("type"), list):
                schema = {**schema, "type": next(one for one in kinds if one != "null")}
        return schema


def _pattern(schema: Mapping[str, Any]) -> str:
    """What a value looks like in the prompt; empty for types that are not looked for."""
    if members := schema.get("enum"):
        return rf"(?i)(?<!\w)(?:{'|'.join(re.escape(str(one)) for one in members)})(?!\w)"
    kind = schema.get("type", "string")
    if kind == "string":
        return _FORMATS.get(schema.get("format", ""), (_STRING, ""))[0]
    return _NUMBER if kind in ("integer", "number") else ""
