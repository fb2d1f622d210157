"""A chat call, as the driver reads it and as scripted callables get it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from puter.testing.catalogue import Model
from puter.testing.messages import Family, for_vendor, normalize, text_of

OPENAI_PROVIDERS = ("openai-completion", "azure-openai")


@dataclass(frozen=True)
class ChatCall:
    """A valid chat call, as scripted callables get it.

    Attributes:
        args: the arguments as sent.
        routes: the providers' offers of the model, in the order the server would try them.
        user: name of the calling user.
    """

    args: Mapping[str, Any]
    routes: Sequence[Model]
    user: str

    @property
    def messages(self) -> list[Any]:
        """The messages as sent."""
        messages: list[Any] = self.args["messages"]
        return messages

    @property
    def model(self) -> str:
        """The id of the model that plays."""
        return str(self.routes[0]["id"])

    @property
    def provider(self) -> str:
        """The provider that plays it."""
        return str(self.routes[0]["provider"])

    @property
    def family(self) -> Family:
        """The form of the answer: ``openai``, ``responses`` or ``claude``."""
        if self.provider in ("claude", "fake-chat"):
            return "claude"
        if self.routes[0].get("responses_api_only"):
            return "responses"
        tools = self.args.get("tools") or ()
        searches = any(isinstance(one, dict) and one.get("type") == "web_search" for one in tools)
        if self.provider in OPENAI_PROVIDERS and (searches or self.args.get("compaction")):
            return "responses"
        return "openai"

    @cached_property
    def normalized(self) -> list[dict[str, Any]]:
        """The messages after the server tidied them."""
        return normalize(self.messages)

    @property
    def upstream_messages(self) -> list[dict[str, Any]]:
        """The messages as the vendor would get them, the server's known faults included."""
        return for_vendor(self.family, self.normalized)

    @property
    def last_role(self) -> str:
        """The role of the last message."""
        return str(self.normalized[-1]["role"]) if self.normalized else ""

    @property
    def last_text(self) -> str:
        """The text of the last message."""
        return text_of(self.normalized[-1]) if self.normalized else ""

    @property
    def user_texts(self) -> list[str]:
        """The texts of all messages of the user."""
        return [text_of(message) for message in self.normalized if message["role"] == "user"]
