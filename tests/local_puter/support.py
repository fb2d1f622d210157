"""Plain HTTP calls to a LocalPuter: nothing of the SDK is under these tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import requests

    from puter.testing import LocalPuter

FIXTURES = Path(__file__).parent.parent / "fixtures" / "wire"


def captures(topic: str) -> dict[str, Any]:
    """Requests sent to the real backend, and its answers."""
    return cast("dict[str, Any]", json.loads((FIXTURES / f"{topic}.json").read_text("utf-8")))


@dataclass
class Caller:
    puter: LocalPuter
    session: requests.Session

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        token = options.pop("token", self.puter.token)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= options.pop("headers", {})
        url = self.puter.url + path
        return self.session.post(url, json=body, headers=headers, timeout=10, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        token = options.pop("token", self.puter.token)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= options.pop("headers", {})
        return self.session.get(
            self.puter.url + path, headers=headers, timeout=10, allow_redirects=False, **options
        )

    def login(self, **fields: Any) -> requests.Response:
        return self.post("/login", fields, token=None)

    def call(self, interface: str, method: str, args: Any = None, **more: Any) -> requests.Response:
        """A driver call; ``more`` goes beside interface, method and args."""
        token = more.pop("token", self.puter.token)
        body = {"interface": interface, "method": method, "args": args or {}, **more}
        return self.post("/drivers/call", body, token=token)

    def chat(self, *messages: Any, model: str | None = "gpt-4.1", **args: Any) -> requests.Response:
        token = args.pop("token", self.puter.token)
        args = {"messages": list(messages) or ["hello"], **args}
        if model is not None:
            args["model"] = model
        return self.call("puter-chat-completion", "complete", args, driver="ai-chat", token=token)

    def answer(self, *messages: Any, **args: Any) -> dict[str, Any]:
        """The ``result`` of a chat that succeeds."""
        response = self.chat(*messages, **args)
        assert response.status_code == 200, response.text
        return cast("dict[str, Any]", response.json()["result"])

    def text(self, *messages: Any, **args: Any) -> str:
        """The text of an OpenAI-style answer."""
        return cast("str", self.answer(*messages, **args)["message"]["content"])


def error_of(response: requests.Response) -> tuple[int, str | None, str]:
    """Status, code and message of a refusal, whose two texts must agree."""
    body = response.json()
    assert body["error"] == body["message"]
    return response.status_code, body.get("code"), body["message"]
