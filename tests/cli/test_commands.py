"""Models, media, usage, configuration, completion: each against a LocalPuter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import wave
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from puter.cli import files
from puter.testing import LocalPuter
from puter.testing.samples import PNG
from tests.cli.conftest import Cli

# ------------------------------------------------------------ models


def test_models_are_a_table_with_prices(cli: Cli, signed_in: LocalPuter) -> None:
    done = cli("models", "--search", "haiku-4-5")
    assert (done.code, done.err) == (0, "")
    head, row, *_ = done.out.splitlines()
    assert head.split() == ["model", "in", "out", "context", "provider", "reads", "and", "does"]
    assert row.split()[:5] == ["claude-haiku-4-5-20251001", "1", "5", "200,000", "claude"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--provider", "claude"), lambda one: one["provider"] == "claude"),
        (("--vision", "--tools"), lambda one: "image" in one["inputs"] and one["tools"]),
        (("--max-price", "1"), lambda one: float(one["output_price"]) <= 1),
        (("--min-context", "1000000"), lambda one: one["context"] >= 1_000_000),
        (("--search", "NANO"), lambda one: "nano" in json.dumps(one).lower()),
        (("--kind", "image"), lambda one: one["kind"] == "image"),
    ],
)
def test_models_are_filtered(
    cli: Cli, signed_in: LocalPuter, words: tuple[str, ...], wanted: Any
) -> None:
    found = cli("models", "--json", *words).json
    assert found
    assert all(map(wanted, found))
    assert "raw" not in found[0]
    assert cli("models", "--json", *words, "-n", "1").json == found[:1]


def test_no_model_is_no_table(cli: Cli, signed_in: LocalPuter) -> None:
    done = cli("models", "--search", "nobody")
    assert (done.code, done.out, done.err) == (0, "", "puter-ai: No model matches.\n")
    assert cli("models", "--search", "nobody", "--json").json == []


@pytest.mark.parametrize("kind", ["chat", "image", "video"])
def test_tables_fit_into_40_columns(
    cli: Cli, signed_in: LocalPuter, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for words in (("models", "--kind", kind), ("usage",), ("config",)):
        done = cli(*words)
        assert done.code == 0
        assert max(map(len, done.out.splitlines())) <= 40
    names = [one["id"] for one in cli("models", "--kind", kind, "--json").json]
    for width in (40, 24):
        monkeypatch.setenv("COLUMNS", str(width))
        rows = cli("models", "--kind", kind).out.splitlines()
        assert {one[:15] for one in names} <= {row[:15].rstrip() for row in rows}
        assert ("US dollars per" in rows[-1]) is (width == 40)


@pytest.mark.parametrize("words", ["models", "models --kind image", "usage", "config"])
def test_no_line_of_a_table_in_a_pipe_ends_in_spaces(
    cli: Cli, signed_in: LocalPuter, words: str
) -> None:
    lines = cli(*words.split()).out.splitlines()
    assert len(lines) > 1
    assert [one for one in lines if one != one.rstrip()] == []


def test_an_unknown_provider_is_told_with_those_near(cli: Cli, signed_in: LocalPuter) -> None:
    done = cli("models", "--provider", "cluade")
    assert done.code == 2
    assert "claude" in done.err


# ------------------------------------------------------------ media


def test_an_image_is_named_after_its_prompt_and_never_overwritten(
    cli: Cli, signed_in: LocalPuter
) -> None:
    for name in ("a-cat-on-a-boat.png", "a-cat-on-a-boat-2.png", "a-cat-on-a-boat-3.png"):
        assert cli("image", "A cat, on a boat!").out == f"{name}\n"
        assert Path(name).read_bytes().startswith(b"\x89PNG")


def test_the_file_that_is_named_is_written(cli: Cli, signed_in: LocalPuter) -> None:
    done = cli("image", "A cat", "-o", "cat")
    assert (done.out, done.err) == ("cat.png\n", "")
    told = "puter-ai: cat.jpg holds image/png, which its name does not say.\n"
    assert cli("image", "A cat", "-o", "cat.jpg").err == told
    assert cli("image", "A cat", "-o", "cat.png", "--overwrite").out == "cat.png\n"
    before = len(signed_in.requests)
    for output, told in (
        ("cat.png", "cat.png is there already"),
        ("gone/cat.png", "There is no folder gone"),
    ):
        done = cli("image", "A cat", "-o", output)
        assert done.code == 2
        assert told in done.err
    assert len(signed_in.requests) == before  # nothing was paid
    Path("dog.png").write_bytes(b"mine")
    assert cli("image", "A cat", "-o", "dog").out == "dog-2.png\n"
    assert Path("dog.png").read_bytes() == b"mine"


def test_bytes_go_to_standard_output(cli: Cli, signed_in: LocalPuter) -> None:
    done = cli("image", "A cat", "-o", "-")
    assert (done.code, done.err) == (0, "")
    assert done.data.startswith(b"\x89PNG")
    assert list(Path().iterdir()) == []


def test_images_start_from_images_and_take_options(cli: Cli, signed_in: LocalPuter) -> None:
    Path("cat.png").write_bytes(PNG)
    words = ("-m", "gpt-image-2", "--ratio", "16:9", "--option", "quality=low")
    assert cli("image", "A cat", "-i", "cat.png", *words, "--cost").err == (
        "puter-ai: cost not known\n"
    )
    args = signed_in.requests[-1].json["args"]
    assert args["quality"] == "low"
    assert args["ratio"] == {"w": 16, "h": 9}
    done = cli("image", "A cat", "--option", "qualty=low")
    assert done.code == 2
    assert "Did you mean 'quality'?" in done.err


@pytest.mark.parametrize("piped", [False, True])
def test_speech_is_written_and_transcribed(cli: Cli, signed_in: LocalPuter, piped: bool) -> None:
    done = cli("say", stdin="Hello there") if piped else cli("say", "Hello", "there")
    assert done.code == 0
    path = Path(done.out.strip())
    assert path.stem == "hello-there"
    words = ("transcribe", "-") if piped else ("transcribe", str(path), "--cost")
    heard = cli(*words, stdin=path.read_bytes())
    assert heard.code == 0
    assert "LocalPuter heard" in heard.out


def test_a_voice_is_chosen(cli: Cli, signed_in: LocalPuter) -> None:
    words = ("--provider", "openai", "--voice", "alloy", "-m", "gpt-4o-mini-tts")
    assert cli("say", "Hello", *words).code == 0
    args = signed_in.requests[-1].json["args"]
    assert (args["voice"], args["model"]) == ("alloy", "gpt-4o-mini-tts")


def test_text_is_read_in_an_image(cli: Cli, signed_in: LocalPuter) -> None:
    Path("receipt.png").write_bytes(PNG)
    assert "LocalPuter read" in cli("ocr", "receipt.png").out
    assert "LocalPuter read" in cli("ocr", "-", stdin=PNG).out
    done = cli("ocr", "gone.png")
    assert (done.code, done.out) == (2, "")
    assert "gone.png" in done.err


def test_a_video_is_made(cli: Cli, signed_in: LocalPuter) -> None:
    assert cli("video", "A dog", "--seconds", "4").out == "a-dog.mp4\n"
    assert signed_in.requests[-1].method in ("POST", "GET")
    assert Path("a-dog.mp4").stat().st_size > 0


@pytest.mark.parametrize(
    ("words", "fails"),
    [
        *(((name, "A cat", "-o", "cats/cat"), "folder") for name in ("image", "say", "video")),
        *(((name, "A cat", "-o", "-"), "pipe") for name in ("image", "say", "video")),
        *((("ask", "A cat", one), "pipe") for one in ("--json", "--no-stream")),
        *(((name, "https://example.com/a"), "pipe") for name in ("ocr", "transcribe")),
    ],
)
def test_what_was_paid_for_is_kept_where_it_cannot_be_written(
    cli: Cli,
    signed_in: LocalPuter,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: tuple[str, ...],
    fails: str,
) -> None:
    """The folder is gone when the answer comes; whoever reads a pipe has ended."""
    Path("cat.png").write_bytes(PNG)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if fails == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
        monkeypatch.setattr(sys, "stdout", open(writer, "w"))  # noqa: SIM115 - the command closes it
    else:
        Path("cats").mkdir()
        monkeypatch.setattr(files, "check_writable", lambda path: os.rmdir(os.path.dirname(path)))
    done = cli(*words)
    (kept,) = tmp_path.glob("puter-ai-*/*")
    told = "Broken pipe" if fails == "pipe" else "There is no such folder to write to"
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith(f"{told}. It is paid for, and kept in {kept}\n")
    named = {"ask": "answer", "ocr": "text", "transcribe": "text"}
    assert kept.stem == named.get(words[0], "cat" if fails == "folder" else "a-cat")
    assert kept.stat().st_size > 0
    if fails == "folder":
        Path("cats").mkdir()
        monkeypatch.setattr(tempfile, "mkdtemp", no_room)
        assert cli(*words).err.endswith(": There is no such folder to write to\n")


def no_room(**_: Any) -> str:
    raise OSError(28, "No space left on device")


# ------------------------------------------------------------ account, settings, completion


def test_usage_is_a_table(cli: Cli, signed_in: LocalPuter) -> None:
    assert cli("Hello").code == 0
    done = cli("usage")
    assert done.code == 0
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[0] == ["this", "month", "USD"]
    assert "gpt-5-nano" in rows[1][0]
    assert [row[0] for row in rows[-3:]] == ["spent", "left", "allowance"]
    assert float(cli("usage", "--json").json["spent"]) > 0


def test_the_rows_of_usage_add_up(cli: Cli, signed_in: LocalPuter) -> None:
    assert cli("say", "Hello").code == cli("Hello").code == 0
    rows = dict(line.rsplit(maxsplit=1) for line in cli("usage").out.splitlines()[1:])
    names = list(rows)
    spent = names.index("spent")
    assert names[spent - 1] == "other"  # what was transferred
    rest = Decimal(rows["spent"]) - sum(Decimal(rows[name]) for name in names[:spent])
    assert round(rest, 9) == 0


def test_config_tells_where_each_setting_comes_from_and_no_secret(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUTER_TIMEOUT", "42")
    monkeypatch.setenv("PUTER_AUTH_TOKEN", "hush-1")
    monkeypatch.setenv("PUTER_PROXY", "http://user:hush-2@proxy.example:1")
    Path("puter.toml").write_text(
        'max_retries = 7\npassword = "hush-3"\n[profile.work]\nheaders = { "X-Key" = "hush-4" }\n'
    )
    Path("puter.toml").chmod(0o600)
    done = cli("--profile", "work", "config", "--json")
    assert done.code == 0
    told = done.json
    assert told["timeout"] == {"value": 42, "from": "PUTER_TIMEOUT"}
    assert told["max_retries"] == {"value": 7, "from": "./puter.toml"}
    assert told["deadline"] == {"value": None, "from": "default"}
    assert told["token"] == {"value": "***", "from": "PUTER_AUTH_TOKEN"}
    assert told["password"] == {"value": "***", "from": "./puter.toml"}
    assert told["headers"] == {"value": {"X-Key": "***"}, "from": "./puter.toml"}
    table = cli("--profile", "work", "config").out
    assert "PUTER_TIMEOUT" in table
    for text in (done.out, table):
        assert "hush" not in text
    assert cli("--local", "config", "--json").json["api_base"]["from"] == "--local"
    own = cli("config", "--json").json  # the folder may be a stranger's: other commands do not look
    assert own["max_retries"]["from"] == own["headers"]["from"] == "default"
    assert own["password"] == {"value": None, "from": "not set"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes(cli: Cli, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    script = cli("completion", shell)
    assert script.code == 0
    assert f"_PUTER_AI_COMPLETE={shell}_complete" in script.out
    monkeypatch.setenv("_PUTER_AI_COMPLETE", f"{shell}_complete")
    for words, wanted in (
        ("puter-ai tran", "transcribe"),
        ("puter-ai models --vi", "--vision"),
        ("puter-ai ask -m gpt-5-na", "gpt-5-nano"),
        ("puter-ai -m gpt-5-na", "gpt-5-nano"),
    ):
        monkeypatch.setenv("COMP_WORDS", words)
        last = words.split()[-1] if shell == "fish" else str(len(words.split()) - 1)
        monkeypatch.setenv("COMP_CWORD", last)
        done = cli()
        assert done.code == 0
        assert wanted in done.out


@pytest.mark.skipif(not shutil.which("zsh"), reason="needs zsh")
@pytest.mark.parametrize("begun", ["", "autoload -Uz compinit; compinit -i; "])
def test_a_zsh_completes_whether_it_has_begun_to_or_not(cli: Cli, begun: str) -> None:
    Path("script").write_text(cli("completion", "zsh").out)
    program = f'{begun}eval "$(<script)"; print $_comps[puter-ai]'
    done = subprocess.run(
        ["zsh", "-f", "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("_puter_ai_completion\n", "")


def test_recordings_are_sent_as_they_are(cli: Cli, signed_in: LocalPuter) -> None:
    with wave.open("me.wav", "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(800))
    words = ("--provider", "openai", "--language", "en", "--option", "temperature=0.2")
    assert cli("transcribe", "me.wav", *words).code == 0
    args = signed_in.requests[-1].json["args"]
    assert (args["language"], args["temperature"]) == ("en", 0.2)
