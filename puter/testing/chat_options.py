"""Options on their way to a vendor: what each route reads of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from puter.testing.recorded import recorded

if TYPE_CHECKING:
    from puter.testing.chat_call import ChatCall

_THOUGHT = ("reasoning_effort", "verbosity")
# Puter backend: these get no temperature and no top_p.
_NEWEST_CLAUDES = re.compile("fable|(?:opus|sonnet|haiku)-(?:4-[7-9]|[5-9])")
_KINDS = {"auto": "auto", "none": "none", "required": "any"}


def read_by_vendor(call: ChatCall) -> dict[str, Any]:
    """The options that reach the vendor, by their names here; the rest is dropped silently.

    ``tool_choice`` is in the words of 2026-10: ``{"type": "any"}``, or a tool's name.
    """
    # By provider, else by family; what is in neither table reads the least.
    table = recorded("options_read", newer=call.newer)
    route = call.provider if call.provider in table and call.family != "responses" else call.family
    names = table.get(route, table[""])
    told = {name: call.args[name] for name in names if call.args.get(name) is not None}
    if not call.newer and call.family == "openai" and call.model.startswith("gpt-5"):
        told = {name: told[name] for name in told if name not in _THOUGHT}
    if call.provider == "claude":
        if _NEWEST_CLAUDES.search(call.model):
            told = {name: told[name] for name in told if name not in ("temperature", "top_p")}
        else:
            told.setdefault("temperature", 0)
    choice, several = told.pop("tool_choice", None), told.pop("parallel_tool_calls", None)
    if call.tools:
        if (choice := _read_choice(choice, call)) is not None:
            told["tool_choice"] = choice
        if call.provider == "claude":
            several = several is True
        if several is not None:
            told["parallel_tool_calls"] = several
    return told


def _read_choice(given: Any, call: ChatCall) -> dict[str, Any] | None:
    choice: dict[str, Any] | None = None
    if isinstance(given, str) and given in _KINDS:
        choice = {"type": _KINDS[given]}
    elif isinstance(given, dict):
        kind, named = given.get("type"), given
        if kind == "function" and (call.newer or call.family != "responses"):
            named = given.get("function") or {}
        if kind == "function" or (kind == "tool" and call.newer):
            choice = {"type": "tool", "name": named["name"]} if "name" in named else None
        elif kind in ("auto", "any", "none") and call.newer:
            choice = {"type": kind}
    if choice != {"type": "auto"} and call.newer and call.provider == "meta":
        return None
    return choice
