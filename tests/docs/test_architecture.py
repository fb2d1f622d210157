"""ARCHITECTURE.md names every module, and only what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "puter"
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
NAMES = set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)))


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> dict[str, str]:
    """The tables of a section: the first cell and the second."""
    cells = [line.strip("|").split("|") for line in section(title).splitlines() if line[:1] == "|"]
    return {
        first.strip(): idea.strip()
        for first, idea in cells
        if idea.strip() != "one idea" and "---" not in idea
    }


def test_every_module_is_in_the_tables() -> None:
    names = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if len(path.read_text(encoding="utf-8").splitlines()) > 1  # a package's docstring
    }
    names = {name for name in names if not name.startswith("testing/")} | {"testing/"}
    assert rows("Where things live").keys() == {f"`{name}`" for name in names}


def test_every_module_has_an_idea_of_its_own() -> None:
    ideas = list(rows("Where things live").values())
    assert all(ideas)
    assert len(ideas) == len(set(ideas))


def test_every_path_in_it_exists() -> None:
    names = {name for name in NAMES if re.search(r"\.(py|json|toml)$|/$|^tests/", name)}
    assert len(names) > 60
    missing = [
        name
        for name in names
        if "<" not in name and not any(any(base.glob(name)) for base in (ROOT, PACKAGE))
    ]
    assert missing == []


def test_every_name_in_it_is_in_the_code() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    words = set(re.findall(r"\w+", code))
    invented = {"rename", "async_rename", "TheEffect"}  # in the examples of changes
    named = {
        word
        for name in NAMES
        if re.fullmatch(r"[\w.]+(\(\))?", name) and not name.endswith((".py", ".json", ".toml"))
        for word in re.findall(r"\w+", name)
    }
    assert len(named) > 50
    assert sorted(named - words - invented) == []


def test_there_are_twelve_worked_examples() -> None:
    assert len(re.findall(r"^\d+\. \*\*", section("Where do I change X?"), re.MULTILINE)) == 12


def test_the_layers_are_those_that_are_checked() -> None:
    tomllib = pytest.importorskip("tomllib")  # of Python 3.11
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [contract] = [
        one for one in settings["tool"]["importlinter"]["contracts"] if one["type"] == "layers"
    ]
    block = section("Layers").partition("```text\n")[2].partition("\n```")[0]
    assert [re.split(" {2,}", line)[0] for line in block.splitlines()] == contract["layers"]
