"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PLUGIN = "puter.testing.plugin"


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A pytest that knows the plugin, whether or not the package is installed here."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.plugins.append(PLUGIN)
    pytester.makeini("[pytest]")  # no file of a folder above counts
    return pytester


def run(inner: pytest.Pytester, code: str, passed: int) -> None:
    inner.makepyfile(code)
    result = inner.runpytest_subprocess("-p", PLUGIN, "-W", "error")
    result.assert_outcomes(passed=passed)


def test_local_puter_runs_for_one_test(inner: pytest.Pytester) -> None:
    run(
        inner,
        """
        import requests

        seen = []

        def test_first(local_puter):
            seen.append(local_puter)
            assert requests.get(local_puter.url + "/healthcheck", timeout=5).ok
            local_puter.reply_with("for this test only")

        def test_second(local_puter):
            assert local_puter is not seen[0]
            assert "stopped" in repr(seen[0])
            assert local_puter.client().chat("hi").startswith("Hello! I am LocalPuter")
        """,
        2,
    )


def test_puter_client_talks_to_local_puter_and_is_closed(inner: pytest.Pytester) -> None:
    run(
        inner,
        """
        import pytest
        import puter

        seen = []

        def test_first(local_puter, puter_client):
            seen.append(puter_client)
            local_puter.reply_with("Paris")
            assert puter_client.chat("Capital of France?") == "Paris"
            assert len(local_puter.chats) == 1

        def test_it_was_closed():
            with pytest.raises(puter.PuterError, match="closed"):
                seen[0].chat("hi")
        """,
        2,
    )


def test_no_limits(inner: pytest.Pytester) -> None:
    run(
        inner,
        """
        import requests

        def test_many(local_puter):
            for _ in range(31):
                body = {"interface": "puter-chat-completion", "method": "list"}
                headers = {"Authorization": f"Bearer {local_puter.token}"}
                url = local_puter.url + "/drivers/call"
                assert requests.post(url, json=body, headers=headers, timeout=5).ok
        """,
        1,
    )


def test_mock_puter_answers_in_memory(inner: pytest.Pytester) -> None:
    run(
        inner,
        """
        import pytest
        import puter
        from puter.testing import Failure, Reply

        def test_default(mock_puter):
            assert mock_puter.client().chat("hi") == "Hello!"

        def test_replies_in_order_and_the_last_again(mock_puter):
            mock_puter.replies += ["one", "two"]
            ai = mock_puter.client(default_model="gpt-4.1")
            assert [ai.chat("hi", remember=False) for _ in range(3)] == ["one", "two", "two"]
            assert len(mock_puter.requests) == 3
            assert mock_puter.requests[0].json["args"]["model"] == "gpt-4.1"

        def test_errors(mock_puter):
            mock_puter.replies.append(puter.PuterRateLimitError("slow down"))
            with pytest.raises(puter.PuterRateLimitError):
                mock_puter.client(max_retries=0).chat("hi")

        def test_what_is_for_local_puter(mock_puter):
            mock_puter.replies.append(Reply(text="hi"))
            with pytest.raises(puter.PuterError, match="is for LocalPuter.* or a MockReply"):
                mock_puter.client().chat("hi")
            mock_puter.replies[:] = [Failure(402)]
            with pytest.raises(puter.PuterQuotaError):
                mock_puter.client().chat("hi")
        """,
        4,
    )


def test_the_plugin_is_light() -> None:
    code = (
        f"import pytest, sys; before = set(sys.modules); import {PLUGIN}; "
        "print([name for name in set(sys.modules) - before if not name.startswith('puter')])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = set(done.stdout.strip("[]\n").replace("'", "").split(", "))
    assert not loaded & {"aiohttp", "requests", "asyncio", "puter.ai"}, loaded


def test_the_plugin_is_registered() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'[project.entry-points.pytest11]\nputer = "{PLUGIN}"' in project
