"""Values for JSON schemas, taken out of a text as far as it has any."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Schema = Mapping[str, Any]

_NUMBER = r"(?<![\w.])-?\d{1,15}(?:\.\d+)?(?!\w)"
_SIGN = r"[-+*/^%]|\*\*|plus|minus|times|divided by"
SUM = rf"(?!\d{{4}}-\d\d-\d\d)(?<!\()\(*{_NUMBER}(?:[\s)]*(?:{_SIGN})[\s(]*\d+(?:\.\d+)?)+\)*"
_SPELLED = {"plus": "+", "minus": "-", "times": "*", "divided by": "/"}
_QUOTED = r"\"([^\"]+)\"|“([^“”]+)”|`([^`]+)`|(?<!\w)'([^']+)'(?!\w)"
_CAPITAL = r"[^\W\d_a-zß-öø-ÿ][\w'-]*"
# Words that begin a sentence, or stand in capitals anyway, and name nothing.
_PLAIN = """I A An The It Is Are Was Do Does Did Can Could Would Will Please And Then My In For What
Where When Which Who Why How Tell Give Show Get Find Look Search Use Call Make Write List Answer
Reply Respond Return Name JSON Add Multiply Subtract Divide Calculate Compute Convert Translate
Extract Hello Hi Hey"""
_NAME = rf"(?!(?:{'|'.join(_PLAIN.split())})\b)\b{_CAPITAL}(?: {_CAPITAL})*"
_AFTER = r"\b(?:in|for|at|about|near|of|from|to)\s+(?:(?:the|a|an)\s+)?(\w+)"
# Parameters that take a sentence rather than a name.
_SENTENCES = frozenset("query question prompt text message content input topic summary".split())
_SUMS = frozenset("expression formula calculation equation sum".split())
# What strings of a format look like, and an example.
_FORMATS = {
    "date": (r"\d{4}-\d\d-\d\d", "2026-01-01"),
    "date-time": (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S*", "2026-01-01T00:00:00Z"),
    "time": (r"\d\d:\d\d\S*", "00:00:00Z"),
    "duration": (r"\bP[\dTYMWDHS.]+", "P1D"),
    "email": (r"(?<![\w.+-])[\w.+-]+@\w[\w-]*(?:\.\w+)+", "ada@example.com"),
    "uri": (r"https?://\S+", "https://example.com/"),
    "uuid": (
        r"[\da-fA-F]{8}(?:-[\da-fA-F]{4}){3}-[\da-fA-F]{12}",
        f"{0:08}-0000-0000-0000-{0:012}",
    ),
}
_DEEP = 6  # levels of a schema that refers to itself
_MANY = 20  # items of an array
_NOTHING: Any = object()


def fill(schema: Schema, text: str, context: str = "") -> Any:
    """A value that fits ``schema``, with what ``text`` says, or else ``context``, or else little.

    Optional properties are there only when the text names them.
    """
    return _Reader(schema, text, context).fill(schema, "", 0)


def says_enough(schema: Schema, text: str) -> bool:
    """True when ``text`` holds a value for everything the object ``schema`` requires."""
    reader, properties = _Reader(schema, text), schema.get("properties", {})
    return all(
        reader.find(properties.get(name, {}), name, 0) is not _NOTHING
        for name in schema.get("required", ())
    )


class _Reader:
    """Looks for values in texts, the nearest first, and takes each of them once."""

    def __init__(self, root: Schema, *texts: str) -> None:
        self._root = root
        self._texts = list(texts)
        self._whole = " ".join(texts[0].split()).strip(" .?!")

    def fill(self, schema: Schema, name: str, depth: int) -> Any:
        """What is there, or the least that fits."""
        schema = self._resolve(schema)
        if "const" in schema:
            return schema["const"]
        found = self.find(schema, name, depth)
        if found is not _NOTHING:
            return found
        if "default" in schema:
            return schema["default"]
        if schema.get("enum"):
            return schema["enum"][0]
        if options := _options(schema):
            if options[-1].get("type") == "null":
                return None
            return self.fill(options[0], name, depth + 1)
        kind = _type(schema)
        if kind in ("integer", "number"):
            return _fit(0, schema, kind)
        if kind == "string":
            return self._any_string(schema)
        if kind == "array":
            count = schema.get("minItems", 0) if depth < _DEEP else 0
            return [self.fill(schema.get("items", {}), name, depth + 1) for _ in range(count)]
        if kind == "object" and depth < _DEEP:
            return self._complete({}, schema, depth)
        return False if kind == "boolean" else None

    def find(self, schema: Schema, name: str, depth: int, *, named: bool = False) -> Any:
        """What is there, or ``_NOTHING``; with ``named``, only what is called by its name."""
        schema = self._resolve(schema)
        if depth > _DEEP:
            return _NOTHING
        if "enum" in schema:
            return self._one_of(schema["enum"])
        for option in _options(schema):
            found = self.find(option, name, depth + 1, named=named)
            if found is not _NOTHING:
                return found
        kind = _type(schema)
        if kind in ("integer", "number"):
            return self._number(schema, name, kind, named=named)
        if kind == "boolean":
            return self._boolean(name)
        if kind == "string":
            return self._string(schema, name, named=named)
        if kind == "array":
            return self._array(schema, name, depth, named=named)
        if kind == "object":
            return self._object(schema, depth, named=named)
        return _NOTHING

    def _object(self, schema: Schema, depth: int, *, named: bool) -> Any:
        properties: Mapping[str, Schema] = schema.get("properties", {})
        # Who lists no required properties wants whatever is there.
        required = schema.get("required", properties)
        values: dict[str, Any] = {}
        for key in () if named else sorted(properties, key=lambda key: key not in required):
            found = self.find(properties[key], key, depth + 1, named=key not in required)
            if found is not _NOTHING:
                values[key] = found
        return self._complete(values, schema, depth) if values else _NOTHING

    def _complete(self, values: dict[str, Any], schema: Schema, depth: int) -> dict[str, Any]:
        properties, required = schema.get("properties", {}), schema.get("required", ())
        for key in required:
            if key not in values:
                values[key] = self.fill(properties.get(key, {}), key, depth + 1)
        return {key: values[key] for key in (*properties, *required) if key in values}

    def _array(self, schema: Schema, name: str, depth: int, *, named: bool) -> Any:
        if first := schema.get("prefixItems"):
            return [self.fill(item, name, depth + 1) for item in first]
        items = self._resolve(schema.get("items", {}))
        single = "enum" not in items and _type(items) not in ("integer", "number", "string")
        most = 1 if single else schema.get("maxItems", _MANY)
        for number, text in enumerate(() if named else self._texts):
            alone = _Reader(self._root, text)  # no second helping from another text
            found = list(alone._items(items, name.removesuffix("s"), depth + 1, most))
            if found and len(found) >= schema.get("minItems", 0):
                self._texts[number] = alone._texts[0]
                return found
        return _NOTHING

    def _items(self, items: Schema, name: str, depth: int, most: int) -> Iterator[Any]:
        quoted = _type(items) == "string" and re.search(_QUOTED, self._texts[0])
        for _ in range(most):
            item = self.find(items, name, depth)
            if item is _NOTHING:
                return
            yield item
            if quoted and not re.search(_QUOTED, self._texts[0]):
                return  # what follows the last item in quotes is no item

    def _number(self, schema: Schema, name: str, kind: str, *, named: bool) -> Any:
        label = _label(name)
        found = label and (
            self._take(rf"(?i:\b{label}\W*(?:(?:is|are|of|to)\W*)?)({_NUMBER})")
            or self._take(rf"({_NUMBER})(?i:[\s-]*{label}\b)")
        )
        if not found and not named:
            found = self._take(_NUMBER)
        return _fit(float(found), schema, kind) if found else _NOTHING

    def _boolean(self, name: str) -> Any:
        words = _label(name.removeprefix("is_").removeprefix("has_"))
        denial = r"\b(?:no|not|without|isn't|never)\s+(?:an?\s+)?"
        if words and self._take(rf"(?i:{denial}{words}\b)"):
            return False
        return True if words and self._take(rf"(?i:\b{words}\b)") else _NOTHING

    def _string(self, schema: Schema, name: str, *, named: bool) -> Any:
        shape = schema.get("pattern") or _FORMATS.get(schema.get("format", ""), ("",))[0]
        if shape:
            try:
                return self._take(shape.removeprefix("^").removesuffix("$")) or _NOTHING
            except re.error:  # a pattern that only JavaScript reads
                return _NOTHING
        label, found = _label(name), None
        if label:
            is_ = r"\s*(?:=|:|\b(?:is|are|was|called|named)\b)\s*"
            found = self._take(rf"(?i:\b{label}{is_})(?:{_QUOTED}|({_NAME}|[\w.@-]+))")
        if not found and not named:
            found = self._sum(name) or self._take(_QUOTED) or self._sentence(name)
            found = found or self._name()
        return found[: schema.get("maxLength")] if found else _NOTHING

    def _name(self) -> str | None:
        for number, text in enumerate(self._texts):
            names = list(re.finditer(_NAME, text))
            if names:
                return self._blank(number, min(names, key=_is_unsure))
        return None

    def _sum(self, name: str) -> str | None:
        found = self._take(f"(?i:{SUM})") if _words(name) & _SUMS else None
        for word, sign in _SPELLED.items():
            found = found and found.replace(word, sign)
        return found

    def _sentence(self, name: str) -> str | None:
        if not _words(name) & _SENTENCES:
            return None
        return self._take(r"(?i:\b(?:for|about|up|that|to)\b|:)\s+(.*[^\s.!?])")

    def _any_string(self, schema: Schema) -> str:
        example = _FORMATS.get(schema.get("format", ""), ("", ""))[1]
        found = example or self._take(_AFTER) or self._whole or "text"
        return found.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]

    def _one_of(self, values: list[Any]) -> Any:
        for value in values:
            if self._take(rf"(?i:(?<!\w){re.escape(str(value))}(?!\w))"):
                return value
        return _NOTHING

    def _take(self, pattern: str) -> str | None:
        """The first match, or the group in it that matched; nothing will find it again."""
        for number, text in enumerate(self._texts):
            if match := re.search(pattern, text):
                return self._blank(number, match)
        return None

    def _blank(self, number: int, match: re.Match[str]) -> str:
        text, (start, end) = self._texts[number], match.span()
        self._texts[number] = text[:start] + " " * (end - start) + text[end:]
        return next((group for group in match.groups() if group), match[0])

    def _resolve(self, schema: Any) -> Schema:
        """The schema behind references, and all parts of an ``allOf`` as one."""
        known: dict[str, Any] = dict(schema) if isinstance(schema, Mapping) else {}
        for _ in range(_DEEP):
            if isinstance(path := known.pop("$ref", None), str):
                target: Any = self._root
                for key in filter(None, path.removeprefix("#").split("/")):
                    target = target.get(key, {}) if isinstance(target, Mapping) else {}
                known = {**target, **known} if isinstance(target, Mapping) else known
            elif parts := known.pop("allOf", None):
                for part in map(self._resolve, parts):
                    known = {**part, **known}
            else:
                break
        return known


def _is_unsure(name: re.Match[str]) -> bool:
    """True for one capital word that begins a sentence, unless the sentence is about it."""
    if " " in name[0]:
        return False
    before, after = name.string[: name.start()].rstrip(" "), name.string[name.end() :]
    starts = not before or before[-1] in ".!?:\n"
    return starts and not re.match(r"\s+(?:is|are|was|has|lives)\b", after)


def _type(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _options(schema: Schema) -> list[Schema]:
    options = schema.get("anyOf") or schema.get("oneOf") or ()
    known = [option for option in options if isinstance(option, Mapping)]
    return sorted(known, key=lambda option: option.get("type") == "null")


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))


def _label(name: str) -> str:
    """A pattern for ``name`` as people write it: ``maxSpeeds`` also as "max speed"."""
    parts = re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name))
    return r"[\s_-]?".join(map(re.escape, parts)).removesuffix("s") + "s?" if parts else ""


def _fit(number: float, schema: Schema, kind: str) -> float | int:
    """The nearest number the schema allows."""
    step = schema.get("multipleOf") or (1 if kind == "integer" else 0)
    least, above = (schema.get(key, -math.inf) for key in ("minimum", "exclusiveMinimum"))
    most, below = (schema.get(key, math.inf) for key in ("maximum", "exclusiveMaximum"))
    edge = step or min(1, (min(most, below) - max(least, above)) / 2)
    least, most = max(least, above + edge), min(most, below - edge)
    number = min(max(number, least), most)
    if step:
        number = math.ceil(number / step) * step if number < least + step else number // step * step
    return int(number) if number == int(number) else number
