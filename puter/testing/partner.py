"""The built-in partner, which answers when nothing is scripted: simple, and always the same.

It greets, remembers a name and does a sum; it calls each tool that the prompt names, once; and
where the messages hold a JSON schema it answers with an instance. Values come from the prompt.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from puter.testing.messages import calls_in, results_in, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from puter.testing.chat_driver import ChatCall

_MY_NAME = re.compile(r"\bmy name(?:'s| is)\s+([^\W\d_][\w-]*)", re.IGNORECASE)
_ASKS_NAME = re.compile(r"\bwhat(?:'s| is| was) my name\b|\bwho am i\b", re.IGNORECASE)
_ASKS_MODEL = re.compile(r"\b(?:which|what) model\b|\bwho are you\b", re.IGNORECASE)
_GREETING = re.compile(r"\s*(?:hello|hi|hey|good (?:morning|day|evening))\b", re.IGNORECASE)
_NUMBER = r"(?<![\w.])-?\d{1,15}(?:\.\d+)?(?!\w)"
_SUM = re.compile(
    r"(-?\d+(?:\.\d+)?)\s*(\+|-|\*|/|plus|minus|times|divided by)\s*(-?\d+(?:\.\d+)?)",
    re.IGNORECASE,
)
_SIGNS = {"plus": "+", "minus": "-", "times": "*", "divided by": "/"}

# What a string takes out of the prompt: quoted, a sum, a name inside a sentence or of several
# words, a number.
_STRING = (
    r"\"([^\"]+)\"|“([^“”]+)”|(?<!\w)'([^']+)'(?!\w)"
    r"|(?<![\w.])\d+(?:\.\d+)?(?: ?[-+*/] ?\d+(?:\.\d+)?)+(?![\w-])"
    r"|(?<=[^.!?:\s] )[A-Z][\w-]+(?: [A-Z][\w-]+)*|(?<=: )[A-Z][\w-]+(?: [A-Z][\w-]+)*"
    r"|\b[A-Z][\w-]+(?: [A-Z][\w-]+)+|" + _NUMBER
)
_FORMATS = {
    "date": (r"\d{4}-\d\d-\d\d", "2026-01-01"),
    "date-time": (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S*", "2026-01-01T00:00:00Z"),
    "time": (r"\d\d:\d\d\S*", "00:00:00Z"),
    "duration": (r"\bP[\dTYMWDHS.]+", "P1D"),
    "email": (r"[\w.+-]{1,64}@\w[\w.-]*\w", "ada@example.com"),
    "uri": (r"https?://\S+", "https://example.com/"),
    "uuid": (
        r"[\da-fA-F]{8}(?:-[\da-fA-F]{4}){3}-[\da-fA-F]{12}",
        f"{0:08}-0000-0000-0000-{0:012}",
    ),
}
_COMMON = frozenset(
    "get set with from this that what which when tell give show current return value given all"
    " and the for your use call ask".split()
)
_DEPTH = 6  # levels of a schema that refers to itself
_MANY = 20  # items of an array
_SCHEMA_WORDS = {"type", "properties", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"}


def answer(call: ChatCall) -> str:
    """The answer in text, or as JSON where the messages hold a schema."""
    found = next(
        filter(None, (_schema_in(text_of(one)) for one in reversed(call.normalized))), None
    )
    said = _talk(call)
    if found is None:
        return said
    schema, source = found
    # What tools told comes first, then the result of a sum, then the question itself.
    results = [*results_in(_turn(call)[1]), *re.findall(r"(?<== )-?[\d.]+$", said)]
    prompt = "\n".join([*results, _turn(call)[0].replace(source, " ")])
    return json.dumps(fill(schema, prompt), ensure_ascii=False)


def _talk(call: ChatCall) -> str:
    text = call.last_text
    told = [match[1] for said in call.user_texts if (match := _MY_NAME.search(said))]
    if results := results_in(_turn(call)[1]):
        return f"The tool{'s' * (len(results) > 1)} answered: {'; '.join(results)}"
    if _MY_NAME.search(text):
        return f"Nice to meet you, {told[-1]}!"
    if _ASKS_NAME.search(text):
        return f"Your name is {told[-1]}." if told else "You have not told me your name yet."
    if _ASKS_MODEL.search(text):
        return f"I am LocalPuter, playing {call.model}."
    if calculation := _SUM.search(text):
        return _calculate(*calculation.groups())
    if _GREETING.match(text):
        return f"Hello{', ' + told[-1] if told else ''}! I am LocalPuter, playing {call.model}."
    return f"LocalPuter, playing {call.model}, read: {text}"


def _calculate(left: str, sign: str, right: str) -> str:
    a, b = float(left), float(right)
    sign = _SIGNS.get(sign.lower(), sign)
    if sign == "/" and b == 0:
        return "Nothing can be divided by zero."
    result = {"+": a + b, "-": a - b, "*": a * b, "/": a / (b or 1)}[sign]
    return f"{left} {sign} {right} = {result:.10g}"


def _turn(call: ChatCall) -> tuple[str, Sequence[dict[str, Any]]]:
    """The last prompt of the user, and the messages after it."""
    messages = call.normalized
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message["role"] == "user" and not results_in([message]):
            return text_of(message), messages[index + 1 :]
    return "", messages


def tool_calls(call: ChatCall) -> list[dict[str, Any]]:
    """A call of each tool that the prompt names and that was not called since, in their order.

    A prompt names a tool with a word of the tool's name or description.
    """
    prompt, since = _turn(call)
    made = [use["name"] for use in calls_in(since)]
    if results_in(since) and not made:  # the calls were lost on the way here
        return []
    return [
        {"name": name, "arguments": fill({"type": "object", **schema}, prompt)}
        for name, words, schema in _offered(call.args.get("tools"))
        if name not in made and words & _words(prompt)
    ]


def _offered(tools: object) -> Iterator[tuple[str, set[str], Mapping[str, Any]]]:
    """Name, words and schema of the functions in ``tools``, in OpenAI's or Anthropic's form."""
    for given in tools if isinstance(tools, list) else ():
        function = given.get("function", given) if isinstance(given, dict) else None
        if isinstance(function, dict) and isinstance(name := function.get("name"), str):
            schema = function.get("parameters") or function.get("input_schema")
            words = _words(f"{name} {function.get('description')}")
            yield name, words, schema if isinstance(schema, dict) else {}


def _words(text: str) -> set[str]:
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", text).lower()
    return {word.removesuffix("s") for word in re.findall(r"[^\W\d]{3,}", split)} - _COMMON


def _schema_in(text: str) -> tuple[Mapping[str, Any], str] | None:
    """A JSON schema in ``text``, after that word or in a JSON fence, and its source."""
    for mark in re.finditer(r"schema|```json", text, re.IGNORECASE):
        start = text.find("{", mark.end())
        try:
            value, end = json.JSONDecoder().raw_decode(text, start) if start >= 0 else (None, 0)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and value.keys() & _SCHEMA_WORDS:
            return value, text[start:end]
    return None


def fill(schema: Mapping[str, Any], prompt: str) -> Any:
    """An instance of ``schema``: values of the prompt in their order, else the least that fits.

    An object gets its required properties, or all where none is required.
    """
    return _Filler(schema, prompt).value(schema, 0)


class _Filler:
    """Takes values out of a prompt, each once."""

    def __init__(self, root: Mapping[str, Any], prompt: str) -> None:
        self._root = root
        self._left = prompt
        self._last_word = (re.findall(r"\w+", prompt[-200:]) or ["text"])[-1]

    def value(self, given: Any, depth: int) -> Any:
        schema = self._resolve(given)
        if "const" in schema or depth > _DEPTH:
            return schema.get("const")
        if members := schema.get("enum"):
            return next(self._named(members), schema.get("default", members[0]))
        if options := schema.get("anyOf") or schema.get("oneOf"):
            some = [one for one in map(self._resolve, options) if one.get("type") != "null"]
            pattern = _pattern(some[0]) if some else ""
            if len(some) < len(options) and pattern and not self._find(pattern):
                return None
            return self.value(some[0] if some else {"type": "null"}, depth + 1)
        said = self._take(_pattern(schema))
        if said is None and "default" in schema:
            return schema["default"]
        match _type(schema):
            case "integer" | "number":
                return _fit(float(said or 0), schema)
            case "string":
                text = said or _FORMATS.get(schema.get("format", ""), ("", self._last_word))[1]
                return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]
            case "array":
                return self._array(schema, depth)
            case "object":
                properties = schema.get("properties", {})
                wanted = schema.get("required", properties)
                return {key: self.value(properties.get(key, {}), depth + 1) for key in wanted}
            case kind:
                return False if kind == "boolean" else None

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        if first := schema.get("prefixItems"):
            return [self.value(item, depth + 1) for item in first]
        items = self._resolve(schema.get("items", {}))
        values = list(self._named(items.get("enum", ())))
        pattern, most = _pattern(items), schema.get("maxItems", _MANY)
        while pattern and len(values) < most and self._find(pattern):
            values.append(self.value(items, depth + 1))
        while len(values) < schema.get("minItems", 0):
            values.append(self.value(items, depth + 1))
        return values

    def _named(self, members: Sequence[Any]) -> Iterator[Any]:
        """The members of an enum that the prompt names."""
        for member in members:
            if self._take(rf"(?i)(?<!\w){re.escape(str(member))}(?!\w)"):
                yield member

    def _find(self, pattern: str) -> re.Match[str] | None:
        try:
            return re.search(pattern, self._left)
        except re.error:  # a pattern that only JavaScript reads
            return None

    def _take(self, pattern: str) -> str | None:
        """The first match; nothing will find it again."""
        match = self._find(pattern) if pattern else None
        if match is None:
            return None
        self._left = f"{self._left[: match.start()]}·{self._left[match.end() :]}"
        return next(filter(None, match.groups()), match[0])

    def _resolve(self, given: Any) -> Mapping[str, Any]:
        """The schema behind references, and all parts of an ``allOf`` as one."""
        schema: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
        for _ in range(_DEPTH):
            if isinstance(path := schema.pop("$ref", None), str):
                target: Any = self._root
                for key in filter(None, path.removeprefix("#").split("/")):
                    target = target.get(key) if isinstance(target, dict) else None
                schema = {**(target if isinstance(target, dict) else {}), **schema}
            for part in schema.pop("allOf", ()):
                schema = {**(part if isinstance(part, dict) else {}), **schema}
        return schema


def _pattern(schema: Mapping[str, Any]) -> str:
    """What a value looks like in the prompt; empty for types that are not looked for."""
    if "enum" in schema:
        return ""
    kind = _type(schema)
    if kind != "string":
        return _NUMBER if kind in ("integer", "number") else ""
    shape = schema.get("pattern") or _FORMATS.get(schema.get("format", ""), ("",))[0]
    return str(shape).removeprefix("^").removesuffix("$") or _STRING


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _fit(number: float, schema: Mapping[str, Any]) -> float:
    """The nearest number within the limits of ``schema``; a whole one is an ``int``."""
    above, below = (
        schema.get("exclusiveMinimum", -math.inf),
        schema.get("exclusiveMaximum", math.inf),
    )
    step = min(1.0, (below - above) / 2)
    number = max(number, schema.get("minimum", above + step))
    number = min(number, max(schema.get("maximum", below - step), schema.get("minimum", -math.inf)))
    if multiple := schema.get("multipleOf"):
        number = math.ceil(number / multiple) * multiple
    return int(number) if number == int(number) or _type(schema) == "integer" else number
