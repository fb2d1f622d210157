"""How the built-in partner plays a model that calls tools and answers in JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from puter.testing.messages import calls_in, results_in, text_of
from puter.testing.schemas import SUM, Schema, fill, says_enough

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from puter.testing.chat import ChatCall

_CLAUSE = re.compile(
    r"[?!;\n]+\s*|[.:](?=\s|$)\s*|,\s+(?=[a-z])|(?:,|(?<!\s))\s+(?:and|then|also) "
)
# Sentences about the form of the answer, not about its content.
_INSTRUCTION = re.compile(
    r"(?<![^.!?:\n])[^.!?:\n]*\b(?:json|schema)\b[^.!?:\n]*[.!?:]*|```", re.IGNORECASE
)
_DULL = frozenset(
    "the and for with from that this what which when who how you your can could tell give show "
    "get current given return returns are was its not all any use using please value".split()
)
# What people say when they mean a tool that does not say so.
_HINTS = {
    SUM: "calculate calculator calc calculation compute arithmetic math evaluate expression",
    r"\d\s*(?:\+|plus)\s*\d": "add addition sum plus",
    r"\d\s*(?:-|minus)\s*\d": "subtract subtraction difference minus",
    r"\d\s*(?:\*|times)\s*\d": "multiply multiplication product",
    r"\d\s*(?:/|divided by)\s*\d": "divide division quotient",
    r"\btime\b": "clock hour now",
    r"\b(?:temperature|forecast|rain|sunny|warm|cold)\b": "weather",
}


@dataclass(frozen=True)
class _Tool:
    name: str
    description: str
    schema: Schema

    def score(self, clause: str) -> int:
        """How much of ``clause`` is about this tool."""
        if re.search(rf"\b{re.escape(self.name)}\b", clause, re.IGNORECASE):
            return 100
        said = _words(clause)
        for pattern, words in _HINTS.items():
            if re.search(pattern, clause, re.IGNORECASE):
                said |= _words(words)
        named, told = said & _words(self.name), said & _words(self.description)
        parameters = said & _words(" ".join(self.schema.get("properties", {})))
        return 4 * len(named) + 2 * len(told) + len(parameters)


def wanted_calls(call: ChatCall) -> list[dict[str, Any]]:
    """The tool calls that the last question asks for and that were not made yet."""
    question, since = _turn(call)
    wanted = list(_choose(_offered(call.args.get("tools")), question))
    made = calls_in(since)
    if results_in(since) and not made:  # the calls were lost on the way here
        return []
    for use in made:
        same = [one for one in wanted if one["name"] == use["name"]]
        exact = [one for one in same if one["arguments"] == _decoded(use["input"])]
        if same:
            wanted.remove((exact or same)[0])
    return wanted


def tool_results(call: ChatCall) -> list[str]:
    """What tools answered since the last question."""
    return results_in(_turn(call)[1])


def typed_answer(call: ChatCall, spoken: str) -> str | None:
    """JSON for the schema that the messages ask for, or ``None`` when they ask for none.

    Args:
        call: the chat.
        spoken: what the answer would be in words.
    """
    texts = [text_of(message) for message in call.normalized]
    found = next(filter(None, map(_find_schema, reversed(texts))), None)
    if found is None:
        return None
    schema, source = found
    question, context = (
        _INSTRUCTION.sub(" ", said.replace(source, " "))
        for said in (_turn(call)[0], "\n".join(call.user_texts))
    )
    # The result of a sum comes first, what tools know next, and then the question itself.
    result = re.search(r"(?<== )-?[\d.]+$", spoken)
    text = "\n".join(filter(None, [result and result[0], *tool_results(call), question]))
    return json.dumps(fill(schema, text, context), ensure_ascii=False)


def _turn(call: ChatCall) -> tuple[str, Sequence[dict[str, Any]]]:
    """The last thing the user said, and the messages after it."""
    messages = call.normalized
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message["role"] == "user" and not results_in([message]):
            return text_of(message), messages[index + 1 :]
    return "", messages


def _offered(tools: object) -> list[_Tool]:
    """The functions among ``tools``, in OpenAI's, the bare or Anthropic's form."""
    found: list[_Tool] = []
    for given in tools if isinstance(tools, list) else ():
        function = given.get("function", given) if isinstance(given, dict) else {}
        if isinstance(function, dict) and isinstance(name := function.get("name"), str):
            schema: Any = function.get("parameters") or function.get("input_schema")
            if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
                schema = {}
            found.append(_Tool(name, str(function.get("description") or ""), schema))
    return found


def _choose(tools: Sequence[_Tool], question: str) -> Iterator[dict[str, Any]]:
    """A call for each part of the question that is about a tool, in order."""
    parts: list[tuple[_Tool, slice]] = []
    for clause in _clauses(question):
        said = question[clause]
        best = max(tools, key=lambda tool: tool.score(said), default=None)
        if best is not None and best.score(said) > 1:
            parts.append((best, clause))
        elif parts:
            tool, before = parts[-1]
            joined = question[: clause.start].endswith((" and ", " then ", " also "))
            if joined and all(says_enough(tool.schema, one) for one in (question[before], said)):
                parts.append((tool, clause))  # "weather in Paris and Rome"
            else:
                parts[-1] = (tool, slice(before.start, clause.stop))  # "add 6 and 7"
    for tool, clause in parts:
        schema = {"type": "object", **tool.schema}
        yield {"name": tool.name, "arguments": fill(schema, question[clause], question)}


def _clauses(text: str) -> Iterator[slice]:
    start = 0
    for end in _CLAUSE.finditer(text):
        yield slice(start, end.start())
        start = end.end()
    yield slice(start, len(text))


def _find_schema(text: str) -> tuple[Schema, str] | None:
    """A JSON schema that ``text`` holds, after that word or in a JSON fence, and its source."""
    for mark in re.finditer(r"schema|```json", text, re.IGNORECASE):
        start = text.find("{", mark.end())
        try:
            value, end = json.JSONDecoder().raw_decode(text, start) if start >= 0 else (None, 0)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and value.keys() & _KEYWORDS:
            return value, text[start:end]
    return None


_KEYWORDS = {"type", "properties", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"}


def _decoded(arguments: object) -> object:
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except ValueError:
        return None


def _words(text: str) -> set[str]:
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", text).lower()
    words = (word.removesuffix("s") for word in re.findall(r"[^\W\d]{3,}", split))
    return {word for word in words if word not in _DULL}
