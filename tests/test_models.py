"""The registry of models, and the command that renews it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puter import models
from puter.cli import main
from puter.cli.refresh import write
from puter.models import ModelRegistry, providers_of, registry
from puter.testing import Failure, LocalPuter
from puter.wire.messages import CANNED

PACKAGE = Path(models.__file__).parent
SHIPPED = json.loads((PACKAGE / "available_models.json").read_text(encoding="utf-8"))
CATALOGUE = json.loads((PACKAGE / "catalogue.json").read_text(encoding="utf-8"))


def model(id: str, provider: str, *aliases: str) -> dict[str, Any]:  # noqa: A002 - the server's word
    return {"id": id, "provider": provider, "aliases": list(aliases)}


# ------------------------------------------------------------ names


def test_the_shipped_registry_is_made_from_the_shipped_catalogue() -> None:
    assert providers_of(CATALOGUE) == SHIPPED == dict(registry().providers)
    assert list(SHIPPED) == sorted(SHIPPED)
    assert SHIPPED["gpt-5-nano"] == "openai-completion"
    assert not set(SHIPPED) & set(CANNED)
    assert registry() is registry()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_name_is_found_in_any_case(name: str) -> None:
    assert registry().find(name) == registry().find(f" {name.upper()} ") == name
    assert registry().lookup(name).provider == SHIPPED[name]


def test_aliases_are_found_and_those_of_several_models_left_to_the_server() -> None:
    named = ModelRegistry(
        {"a": "x", "b": "x", "c": "openai-completion"},
        {
            "chat": [
                model("a", "x", "Nick", "both"),
                model("b", "x", "both"),
                {**model("c", "y"), "puterId": "y:c"},
            ]
        },
    )
    assert [named.find(name) for name in ("nick", "NICK ", "both", "y:c", "Y:C", "zzz", "")] == [
        "a", "a", "both", "c", "c", None, None,
    ]  # fmt: skip
    assert named.lookup(" Nick ").id == "a"
    assert named.lookup(" both ").id == "both"  # the server decides
    assert named.lookup("Brand/New").id == "Brand/New"
    assert [named.lookup(name).provider for name in ("nick", "zzz", "fake")] == [
        "x", None, "fake-chat",
    ]  # fmt: skip


@pytest.mark.parametrize("name", CANNED)
def test_the_servers_canned_models_are_known_but_not_listed(name: str) -> None:
    assert registry().find(f" {name.upper()}") == name
    assert registry().lookup(name).provider == "fake-chat"


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("gpt-5-nanno", "gpt-5-nano"),
        ("GPT5-NANO", "gpt-5-nano"),
        ("sonnet", "claude-sonnet-4-5-20250929"),
        ("sonet", "claude-sonnet-4-5-20250929"),
    ],
)
def test_near_names_are_suggested(asked: str, near: str) -> None:
    found = registry().suggest(asked)
    assert near in found
    assert len(found) <= 3
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("claude-hiku", "claude-haiku-4-5-20251001"),
        ("claude-haiku-5", "claude-haiku-4-5-20251001"),
        ("haiku 4.5", "claude-haiku-4-5-20251001"),
        ("gpt-4.1-mni", "gpt-4.1-mini"),
        ("claude-3-5-sonnet-latest", "claude-sonnet-5"),
    ],
)
def test_names_of_the_same_family_come_first(asked: str, first: str) -> None:
    assert registry().suggest(asked)[0] == first


def test_known_models_of_media_do_not_suggest_each_other_in_a_circle() -> None:
    assert registry().suggest("sora2", kind="video")[0] == "sora-2"
    assert registry().suggest("sora-2", kind="video") == ()
    listed = [{"id": "sora-2-pro"}, {"id": "veo-3"}]
    assert registry().suggest("sora-2", kind="video", listed=listed) == ("sora-2-pro",)


def test_nothing_is_suggested_for_noise_nor_a_name_for_itself() -> None:
    assert registry().suggest("zzzzzzzzzz") == ()
    assert "gpt-5-nano" not in registry().suggest("gpt-5-nano")


@given(st.text(max_size=20))
def test_any_name_is_looked_up(name: str) -> None:
    named = registry()
    assert named.lookup(name).id == (named.find(name) or name.strip())
    assert set(named.suggest(name)) <= set(SHIPPED)


# ------------------------------------------------------------ providers


def test_direct_vendors_win_over_resellers() -> None:
    chat = [
        model("gpt", "azure-openai"),
        model("gpt", "openai-completion"),
        model("or:gpt-2", "openrouter"),
        model("gpt-2-dated", "openai-completion", "or:gpt-2"),
        model("only-resold", "together-ai"),
        model("fake", "fake-chat"),
    ]
    expected = {
        "gpt": "openai-completion",
        "gpt-2-dated": "openai-completion",
        "only-resold": "together-ai",
        "or:gpt-2": "openai-completion",
    }
    assert providers_of({"chat": chat}) == expected
    assert providers_of({"chat": chat[::-1]}) == expected
    assert list(providers_of({"chat": chat})) == sorted(expected)


def test_what_is_written_is_read_back_one_model_a_line(tmp_path: Path) -> None:
    catalogue = {
        "captured": "2026-01-02",
        "source": "grün",
        "chat": [model("b", "x"), model("a", "y", "ü")],
        "image": [],
    }
    write(catalogue, tmp_path)
    text = (tmp_path / "catalogue.json").read_text(encoding="utf-8")
    assert json.loads(text) == catalogue
    assert text.count("\n") == 9
    assert "grün" in text
    drivers = (tmp_path / "available_models.json").read_text(encoding="utf-8")
    assert drivers == '{\n"a": "y",\n"b": "x"\n}\n'
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "available_models.json",
        "catalogue.json",
    ]


def test_the_shipped_files_are_as_the_command_writes_them(tmp_path: Path) -> None:
    write(CATALOGUE, tmp_path)
    for name in ("catalogue.json", "available_models.json"):
        assert (tmp_path / name).read_text(encoding="utf-8") == (PACKAGE / name).read_text(
            encoding="utf-8"
        )


# ------------------------------------------------------------ refresh


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPuter]:
    with LocalPuter() as running:
        yield running


def test_refresh_rewrites_both_files_from_a_live_server(
    server: LocalPuter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["models", "refresh", "--api-base", server.api_base, "--output", str(tmp_path)]) == 0
    )
    catalogue = json.loads((tmp_path / "catalogue.json").read_text(encoding="utf-8"))
    drivers = json.loads((tmp_path / "available_models.json").read_text(encoding="utf-8"))
    assert catalogue["source"] == server.api_base
    assert set(catalogue) == {"captured", "source", "chat", "image", "video"}
    assert drivers == providers_of(catalogue)
    assert drivers["gpt-5-nano"] == "openai-completion"
    assert f"{len(drivers)} chat models" in capsys.readouterr().out


def refresh(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "puter", "models", "refresh", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), **variables}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, timeout=30
    )


def test_refresh_is_a_command(server: LocalPuter, tmp_path: Path) -> None:
    done = refresh("--output", str(tmp_path), PUTER_API_BASE=server.api_base)
    assert (done.returncode, done.stderr) == (0, "")
    assert "chat models written to" in done.stdout
    assert (tmp_path / "available_models.json").exists()


def test_refresh_fails_with_a_sentence_and_touches_nothing(
    server: LocalPuter, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    here, gone = str(tmp_path / "here"), str(tmp_path / "gone")
    for arguments, code, told in (
        (["--api-base", "nonsense", "--output", here], 2, "api_base"),
        (["--api-base", "http://example.org", "--output", here], 1, "allow_http"),
        (["--api-base", server.api_base, "--output", gone], 1, "no such folder"),
    ):
        done = refresh(*arguments)
        assert done.returncode == code
        assert done.stdout == ""
        assert done.stderr.startswith("puter-ai: ")
        assert told in done.stderr
        assert "Traceback" not in done.stderr
    assert list((tmp_path / "here").iterdir()) == []


def test_a_server_that_fails_or_talks_nonsense_is_told(
    server: LocalPuter,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PUTER_MAX_RETRIES", "0")
    server.fail_next(Failure(500), path="/puterai/chat/models/details")
    arguments = ["models", "refresh", "--api-base", server.api_base, "--output", str(tmp_path)]
    assert main(arguments) == 1
    assert "HTTP 500" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "refresh", "--help"]) == 0
    assert "--api-base" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["openai/gpt-5-nano", "OpenAI/GPT-5-Nano", "openai/gpt-5"])
def test_an_alias_of_several_models_is_known_by_its_vendor(name: str) -> None:
    assert registry().lookup(name).id == name.lower()
    assert registry().lookup(name).provider == "openai-completion"
    assert registry().lookup(name).entry["provider"] == "openai-completion"
