"""The built-in conversation partner: enough sense for a first program, and the same every time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from puter.testing.player import tool_results

if TYPE_CHECKING:
    from puter.testing.chat import ChatCall

_MY_NAME = re.compile(r"\bmy name(?:'s| is)\s+([^\W\d_][\w-]*)", re.IGNORECASE)
_ASKS_NAME = re.compile(r"\bwhat(?:'s| is| was) my name\b|\bwho am i\b", re.IGNORECASE)
_ASKS_MODEL = re.compile(r"\b(?:which|what) model\b|\bwho are you\b", re.IGNORECASE)
_GREETING = re.compile(r"\s*(?:hello|hi|hey|good (?:morning|day|evening))\b", re.IGNORECASE)
_SUM = re.compile(
    r"(-?\d+(?:\.\d+)?)\s*(\+|-|\*|/|plus|minus|times|divided by)\s*(-?\d+(?:\.\d+)?)",
    re.IGNORECASE,
)
_SIGNS = {"plus": "+", "minus": "-", "times": "*", "divided by": "/"}


def converse(call: ChatCall) -> str:
    """Answer the last message of ``call``."""
    text = call.last_text
    if results := tool_results(call):
        return f"The tool{'s' * (len(results) > 1)} answered: {'; '.join(results)}"
    if told := _MY_NAME.search(text):
        return f"Nice to meet you, {told[1]}!"
    if _ASKS_NAME.search(text):
        name = _remembered_name(call)
        return f"Your name is {name}." if name else "You have not told me your name yet."
    if _ASKS_MODEL.search(text):
        return f"I am LocalPuter, playing {call.model}."
    if calculation := _SUM.search(text):
        return _calculate(*calculation.groups())
    if _GREETING.match(text):
        name = _remembered_name(call)
        return f"Hello{', ' + name if name else ''}! I am LocalPuter, playing {call.model}."
    return f"LocalPuter, playing {call.model}, read: {text}"


def _remembered_name(call: ChatCall) -> str | None:
    told = [match[1] for said in call.user_texts if (match := _MY_NAME.search(said))]
    return told[-1] if told else None


def _calculate(left: str, sign: str, right: str) -> str:
    a, b = float(left), float(right)
    sign = _SIGNS.get(sign.lower(), sign)
    if sign == "/" and b == 0:
        return "Nothing can be divided by zero."
    result = {"+": a + b, "-": a - b, "*": a * b, "/": a / (b or 1)}[sign]
    return f"{left} {sign} {right} = {result:.10g}"
