"""What docs/how-to/editors.md has other programs set: the vendors' clients are answered with it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from puter.models import registry
from tests.docs.test_docs import ROOT, Block, blocks_of
from tests.serve.endpoint import KEY, Endpoint

PAGE = ROOT / "docs" / "how-to" / "editors.md"
ADDRESS = "http://127.0.0.1:8484"
BLOCKS = [block for block in blocks_of(PAGE) if ADDRESS in block.code]


def test_each_program_has_its_block() -> None:
    assert [block.language for block in BLOCKS] == [
        "bash", "yaml", "yaml", "bash", "json", "bash", "bash",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_the_endpoint_answers_these_settings(block: Block, endpoint: Endpoint) -> None:
    values = list(texts(parsed(block)))
    (address,) = [value for value in values if value.startswith(ADDRESS)]
    models = [value.removeprefix("openai/") for value in values]
    (model,) = {value for value in models if registry().find(value)} or {"gpt-5-nano"}
    assert "KEY" in values or block.language == "json"  # Zed keeps keys elsewhere
    url = address.replace(ADDRESS, endpoint.url)
    asked: Any = [{"role": "user", "content": "What is 6 times 7?"}]
    if address.endswith("/v1"):
        with openai.OpenAI(base_url=url, api_key=KEY) as client:
            said = client.chat.completions.create(model=model, messages=asked)
            assert said.choices[0].message.content == "6 * 7 = 42"
    else:
        with anthropic.Anthropic(base_url=url, auth_token=KEY) as client:
            told: Any = client.messages.create(model=model, messages=asked, max_tokens=99)
            assert told.content[0].text == "6 * 7 = 42"


def parsed(block: Block) -> Any:
    """The settings in a block: YAML, JSON, or the words of commands and the values of `export`."""
    if block.language == "json":
        return json.loads(block.code)
    if block.language == "yaml":
        return pytest.importorskip("yaml").safe_load(block.code)
    return [word.partition("=")[2] or word for word in shlex.split(block.code)]


def texts(value: Any) -> Iterator[str]:
    """Each text in a value that came of JSON or YAML."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from texts(one)
    elif isinstance(value, str):
        yield value
