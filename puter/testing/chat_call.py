"""A chat call, as the driver reads it and as scripted callables get it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from puter.testing.catalogue import Model
from puter.testing.messages import Family, canonical_media, for_vendor, normalize, text_of
from puter.testing.recorded import recorded

OPENAI_PROVIDERS = ("openai-completion", "azure-openai")
# Puter backend: answers of models released since then have OpenAI's form by default.
_OPENAI_FORM_SINCE = "2026-09"
_THOUGHT = ("reasoning_effort", "verbosity")
# Puter backend: these get no temperature and no top_p.
_NEWEST_CLAUDES = re.compile("fable|(?:opus|sonnet|haiku)-(?:4-[7-9]|[5-9])")
_KINDS = {"auto": "auto", "none": "none", "required": "any"}


@dataclass(frozen=True)
class ChatCall:
    """A valid chat call, as scripted callables get it.

    Attributes:
        args: the arguments as sent.
        routes: the providers' offers of the model, in the order the server would try them.
        user: name of the calling user.
        newer: whether the server is that of 2026-10.
    """

    args: Mapping[str, Any]
    routes: Sequence[Model]
    user: str
    newer: bool = True

    @property
    def messages(self) -> list[Any]:
        """The messages as sent."""
        messages: list[Any] = self.args["messages"]
        return messages

    @property
    def model(self) -> str:
        """The id of the model that plays."""
        return str(self.routes[0]["id"])

    @cached_property
    def provider(self) -> str:
        """The provider that plays it."""
        return str(self.routes[0]["provider"])

    @cached_property
    def family(self) -> Family:
        """The form of the answer: ``openai``, ``responses``, ``claude`` or ``mistral``."""
        if self.provider in ("claude", "fake-chat"):
            return "claude"
        if self.provider == "mistral":
            return "mistral"
        if self.routes[0].get("responses_api_only"):
            return "responses"
        if self.provider in OPENAI_PROVIDERS and (self.searches or self.args.get("compaction")):
            return "responses"
        return "openai"

    @property
    def tools(self) -> list[Any]:
        """The tools as sent; what is no list is none."""
        tools = self.args.get("tools")
        return tools if isinstance(tools, list) else []

    @property
    def searches(self) -> bool:
        """Whether a tool of the vendor's own that searches the web is among the tools."""
        if not self.tools:
            return False
        kinds = [str(tool.get("type")) for tool in self.tools if isinstance(tool, dict)]
        return any(kind.startswith("web_search") for kind in kinds)

    @property
    def in_openai_form(self) -> bool:
        """Whether an answer that is not streamed is put into OpenAI's form."""
        if not self.newer:
            return False
        if isinstance(asked := self.args.get("normalize"), bool):
            return asked
        released = str(self.routes[0].get("release_date") or "")
        return not self.in_blocks and released >= _OPENAI_FORM_SINCE

    @property
    def in_blocks(self) -> bool:
        """Whether an answer that is not streamed is put into content blocks."""
        response = self.args.get("response")
        asked = isinstance(response, dict) and bool(response.get("normalize"))
        return asked and not (self.newer and isinstance(self.args.get("normalize"), bool))

    @cached_property
    def normalized(self) -> list[dict[str, Any]]:
        """The messages after the server tidied them."""
        messages = normalize(self.messages)
        return [canonical_media(message) for message in messages] if self.newer else messages

    @property
    def heard(self) -> list[dict[str, Any]]:
        """Those that reach the model: system messages after the first do not always on Claude."""
        if self.newer or self.family != "claude":
            return self.normalized
        system = [one for one in self.normalized if one["role"] == "system"]
        return [one for one in self.normalized if one not in system[1:]]

    @property
    def upstream_messages(self) -> list[dict[str, Any]]:
        """The messages as the vendor would get them, the server's known faults included."""
        return for_vendor(self.family, self.normalized, newer=self.newer)

    @cached_property
    def upstream_options(self) -> dict[str, Any]:
        """The options that reach the vendor, under their names in the call.

        ``tool_choice`` is ``{"type": "auto"}``, ``any``, ``none``, or ``{"type": "tool", "name":
        ...}`` whatever the form it came in.
        """
        return _read_by_vendor(self)

    @property
    def last_role(self) -> str:
        """The role of the last message."""
        return str(self.normalized[-1]["role"]) if self.normalized else ""

    @cached_property
    def texts(self) -> list[str]:
        """The text of each of the messages in `normalized`."""
        return [text_of(message) for message in self.normalized]

    @property
    def last_text(self) -> str:
        """The text of the last message."""
        return self.texts[-1] if self.texts else ""

    @cached_property
    def user_texts(self) -> list[str]:
        """The texts of all messages of the user."""
        both = zip(self.normalized, self.texts, strict=True)
        return [text for message, text in both if message["role"] == "user"]


def _read_by_vendor(call: ChatCall) -> dict[str, Any]:
    """What the call's route reads of the options; the rest is dropped silently."""
    # By provider, else by family; what is in neither table reads the least.
    table = recorded("options_read", newer=call.newer)
    route = call.provider if call.provider in table and call.family != "responses" else call.family
    names = table.get(route, table[""])
    args = call.args
    told = {name: args[name] for name in names if args.get(name) is not None}
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
