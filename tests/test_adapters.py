"""What all adapters have in common: nobody else loads them, and they tell what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import puter
from puter import PuterInputError
from puter.wire.untrusted import check_untrusted

ROOT = Path(puter.__file__).parents[1]


@pytest.mark.parametrize(
    ("module", "library", "told"),
    [
        ("langchain", "langchain_core", "puter.langchain needs langchain-core: "),
        ("pydantic_ai", "pydantic_ai", "puter.pydantic_ai needs pydantic-ai-slim: "),
        ("llm_plugin", "llm", "puter.llm_plugin needs llm: "),
    ],
)
def test_a_missing_library_is_named(module: str, library: str, told: str) -> None:
    program = f"import sys; sys.modules[{library!r}] = None; import puter.{module}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
        cwd=ROOT,
    )
    extra = module.removesuffix("_plugin").replace("_", "-")
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: {told}pip install ")
    assert last.endswith(f" (the extra puter-python-sdk[{extra}])")


def test_messages_of_others_are_looked_through_to_their_end() -> None:
    inner: dict[str, Any] = {"type": "text", "text": "~/a", "input": {"puter_path": "~/a"}}
    inner["again"] = [inner]
    whole = [{"role": "user", "content": [{"content": (inner, {"url": "HTTPS://x"})}]}]
    assert check_untrusted(whole) == whole
    for wrong in ({"puter_path": None}, {"videoUrl": "a"}, {"image_url": "javascript:a"}):
        inner["deep"] = [[wrong]]
        with pytest.raises(PuterInputError):
            check_untrusted(whole)
