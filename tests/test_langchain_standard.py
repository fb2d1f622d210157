"""LangChain's own standard tests of chat models, against a LocalPuter, for two families."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import httpx
import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from puter.langchain import ChatPuter
from puter.testing import LocalPuter

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
FILES = {".png": PNG, ".pdf": b"%PDF-1.4\n%%EOF\n", ".wav": b"RIFF\x24\0\0\0WAVEfmt " + bytes(24)}


@pytest.fixture(scope="module")
def vcr_config() -> dict[str, Any]:
    return {"ignore_localhost": True}  # nothing is recorded: the server is here


@pytest.fixture
def benchmark() -> Callable[[Callable[[], object]], object]:
    return lambda function: function()  # once is enough: nothing is measured here


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPuter]:
    with LocalPuter(tier=None) as running:
        yield running


class Standard:
    chat_model_class = ChatPuter
    name: ClassVar[str]
    has_tool_calling = has_tool_choice = has_structured_output = supports_json_mode = True
    supports_image_inputs = supports_image_urls = supports_image_tool_message = True
    supports_pdf_inputs = supports_pdf_tool_message = supports_anthropic_inputs = True
    returns_usage_metadata = supports_model_override = enable_vcr_tests = True
    model_override_value = "gpt-5-nano"

    @pytest.fixture(autouse=True)
    def _on(self, server: LocalPuter, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = server
        monkeypatch.setattr(httpx, "get", self._fetch)
        monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "none: nothing is fetched")

    def _fetch(self, url: str, **_: Any) -> httpx.Response:
        return httpx.Response(200, content=FILES[url[-4:]])

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": self.name, "client": self.server.client()}


class TestClaude(Standard, ChatModelIntegrationTests):
    name = "claude-sonnet-4-6"


class TestOpenAI(Standard, ChatModelIntegrationTests):
    name = "gpt-4.1-mini"
    supports_audio_inputs = True


class TestUnit(Standard, ChatModelUnitTests):
    # Without their api_key: the client has a token.
    standard_chat_model_params = ChatModelIntegrationTests.standard_chat_model_params
    name = "gpt-5-nano"
    init_from_env_params = (
        {"PUTER_AUTH_TOKEN": "a-token", "PUTER_API_BASE": "http://127.0.0.1:9"},
        {"model": "gpt-5-nano"},
        {"token": "a-token", "api_base": "http://127.0.0.1:9", "model": "gpt-5-nano"},
    )
