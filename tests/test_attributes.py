"""Attributes of clients and conversations: what may be assigned, and what is told of the rest."""

from __future__ import annotations

import copy
import pickle
from typing import Any
from unittest import mock

import pytest

import puter


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("model", "'current_model'"),
        ("modle", "'model'"),
        ("timeout", r"ai\.config\.timeout = "),
        ("timout", "'timeout'"),
        ("headers", r"ai\.config\.headers = "),
        ("default_model", r"ai\.config\.default_model = "),
        ("base_url", r"ai\.config\.api_base = "),
        ("temperature", r"chat\(prompt, temperature="),
        ("system", r"conversation\(system="),
        ("token", r"PuterAI\(token="),
        ("api_key", r"PuterAI\(token="),
        ("transport", r"PuterAI\(transport="),
        ("curent_model", "'current_model'"),
        ("anything", "subclass"),
    ],
)
def test_an_assignment_that_no_call_would_heed_is_refused(name: str, hint: str) -> None:
    ai = puter.PuterAI(token="t")
    one: Any = ai.conversation() if name == "modle" else ai
    with pytest.raises(puter.PuterConfigError, match=f"no attribute '{name}'.*{hint}") as caught:
        setattr(one, name, "s3cret")
    assert "s3cret" not in str(caught.value)
    assert not hasattr(one, name)


def test_what_a_client_has_can_be_assigned() -> None:
    ai = puter.PuterAI(token="t")
    ai.current_model = "gpt-4.1"
    ai.chat_history = ["Hi"]
    ai.config = puter.PuterConfig(timeout=5)
    with mock.patch.object(ai, "chat", return_value="mocked"):
        assert ai.chat("Hi") == "mocked"
    for twin in (copy.copy(ai), ai.with_options(timeout=9), pickle.loads(pickle.dumps(ai))):
        assert type(twin) is puter.PuterAI


def test_a_subclass_has_attributes_of_its_own() -> None:
    class Ours(puter.PuterAI):
        def __init__(self) -> None:
            self.team = "blue"
            super().__init__(token="t")

    ours = Ours()
    ours.team = "red"
    assert copy.copy(ours).team == "red"
