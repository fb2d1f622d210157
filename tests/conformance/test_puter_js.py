"""Puter's own client, puter.js, gets from LocalPuter the answers it expects.

Needs node, npm and a package registry, so it runs only when asked for: ``pytest -m conformance``.
The package is installed into pytest's cache, from the lock file beside this one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from puter.testing import LocalPuter, RecordedRequest
from puter.testing.backend import GENERATIONS
from tests.docs.test_docs import ROOT, blocks_of

pytestmark = pytest.mark.conformance

HERE = Path(__file__).parent
SCRIPT = "expectations.mjs"
GUARD = "loopback.mjs"
MANIFESTS = ("package.json", "package-lock.json")


@pytest.fixture(scope="module")
def folder(pytestconfig: pytest.Config) -> Path:
    """A folder with puter.js installed and the script beside it."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not both here")
    assert pytestconfig.cache is not None
    home = pytestconfig.cache.mkdir("puter.js")
    wanted = [(HERE / name).read_bytes() for name in MANIFESTS]
    done = home / "installed"
    if not done.exists() or [(home / name).read_bytes() for name in MANIFESTS] != wanted:
        done.unlink(missing_ok=True)
        for name in MANIFESTS:
            shutil.copy(HERE / name, home)
        # no scripts of strangers run; what is installed is what the lock file says
        install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
        try:
            subprocess.run(
                install, cwd=home, capture_output=True, text=True, timeout=150, check=True
            )
        except subprocess.SubprocessError as error:
            pytest.skip(f"npm cannot install puter.js here: {error}")
        done.touch()
    for name in (SCRIPT, GUARD):
        shutil.copy(HERE / name, home)
    return home


@pytest.fixture(scope="module", params=GENERATIONS)
def generation(request: pytest.FixtureRequest) -> Any:
    """Which server LocalPuter plays."""
    return request.param


@pytest.fixture(scope="module")
def told(folder: Path, generation: Any) -> tuple[dict[str, Any], list[RecordedRequest]]:
    """What the script printed, and the requests it made."""
    with LocalPuter(tier=None, generation=generation) as puter:
        puter.files["~/Documents/note.txt"] = b"Bread"
        output = run(["node", SCRIPT], folder, puter)
        return json.loads(output.splitlines()[-1]), puter.requests


def run(command: list[str], folder: Path, puter: LocalPuter) -> str:
    """What a program prints that asks `puter`."""
    settings = {"PUTER_API_BASE": puter.api_base, "PUTER_AUTH_TOKEN": puter.token}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SAMPLES = "https://puter-sample-data.puter.site"
EXPECTED: dict[str, Any] = {
    "chat": "6 * 7 = 42",
    "claude": [{"type": "text", "text": "6 * 7 = 42"}],
    "conversation": "Your name is Ada.",
    "unknown_model": {"error": "Model not found: no-such-model"},
    "models_of_claude": ["claude"],
    "txt2img_test": f"{SAMPLES}/image_example.png",
    "txt2img_without_model": {"error": "Missing `model`"},
    "img2txt_test": "test_mode is enabled; this is a sample OCR response.\n",
    "txt2speech_test": f"{SAMPLES}/tts_example.mp3",
    "engines": ["gpt-4o-mini-tts", "tts-1", "tts-1-hd"],
    "voices": 10,
    "speech2txt": "LocalPuter heard input.wav",
    "user": "alice",
    "usage": ["usage", "appTotals", "allowanceInfo"],
    "kv": [True, {"b": 1}, 1, True, None],
    "files": [5, "Bread"],
    "outside": {"error": "fetch failed"},
}
"""What is the same each time; the tests below look at the rest."""
NEWER = {"txt2img_without_model": {"src": f"{SAMPLES}/image_example.png"}}
"""What servers of 2026-10 answer otherwise."""


@pytest.mark.parametrize("name", EXPECTED)
def test_puter_js_is_answered(told: Any, generation: str, name: str) -> None:
    expected = EXPECTED | (NEWER if generation == "2026-10" else {})
    assert told[0]["answers"][name] == expected[name]


def test_puter_js_reads_a_stream(told: Any) -> None:
    *texts, last = told[0]["answers"]["stream"]
    assert "".join(one["text"] for one in texts) == "6 * 7 = 42"
    assert len(texts) > 1
    assert {one["type"] for one in texts} == {"text"}
    assert last["type"] == "usage"
    assert last["usage"]["completion_tokens"] > 0


def test_puter_js_lists_models(told: Any) -> None:
    answers = told[0]["answers"]
    assert answers["models"] > 100
    assert {"claude", "openai-completion", "xai"} <= set(answers["providers"])


def test_puter_js_gets_media(told: Any) -> None:
    answers = told[0]["answers"]
    assert answers["txt2img"].startswith("data:image/png;base64,iVBORw0KGgo")
    assert answers["txt2speech"].startswith("data:audio/mpeg;base64,SUQz")
    transcript = answers["speech2txt_test"]
    assert transcript["text"].startswith("Hello! This is a sample transcription")
    assert [word["start"] for word in transcript["words"]] == [0, 1.1]


def test_puter_js_shows_pictures(told: Any) -> None:
    answers, requests = told
    assert "error" not in answers["answers"]["picture_in_chat"]
    shown = [one for one in requests if one.is_chat and "image_url" in str(one.json)]
    assert len(shown) == 1


def test_every_question_was_looked_at(told: Any) -> None:
    others = {"stream", "models", "providers", "txt2img", "txt2speech", "speech2txt_test"}
    assert set(told[0]["answers"]) == set(EXPECTED) | others | {"picture_in_chat"}


def test_puter_js_talks_as_the_protocol_says(told: Any) -> None:
    calls = [one for one in told[1] if one.path == "/drivers/call"]
    assert {one.headers["Content-Type"] for one in calls} == {"text/plain;actually=json"}
    assert all(one.json["auth_token"] for one in calls)
    assert not any("Authorization" in one.headers for one in calls)


def test_nobody_outside_was_asked(told: Any) -> None:
    assert told[0]["outside"] == ["192.0.2.1"]  # tried on purpose, and refused


def test_the_programs_of_the_page_on_moving_print_the_same(folder: Path) -> None:
    blocks = blocks_of(ROOT / "docs" / "how-to" / "migrate-from-puter-js.md")
    (before,) = [block.code for block in blocks if block.language == "js"]
    after = next(block.code for block in blocks if block.language == "python")
    (folder / "before.mjs").write_text(before)
    with LocalPuter(tier=None) as puter:
        old = run(["node", "--import", f"./{GUARD}", "before.mjs"], folder, puter)
    with LocalPuter(tier=None) as puter:
        new = run([sys.executable, "-c", after], folder, puter)
    assert old == new
    assert "Your name is Ada." in old
