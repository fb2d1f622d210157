"""The package, its metadata and its changelog tell one story."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import puter

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def requirement_lines(key: str) -> list[str]:
    """The lines of the array `key`; a regular expression because Python 3.10 has no tomllib."""
    array = re.search(rf"^{key} = \[\n(.*?)^\]", PYPROJECT, re.MULTILINE | re.DOTALL)
    assert array, f"pyproject.toml has no array {key}"
    return array[1].splitlines()


def test_version_is_written_once() -> None:
    assert re.search(r'^dynamic = \["version"\]', PYPROJECT, re.MULTILINE)
    assert '[tool.hatch.version]\npath = "puter/version.py"' in PYPROJECT
    source = (ROOT / "puter" / "version.py").read_text(encoding="utf-8")
    assert f'__version__ = "{puter.__version__}"' in source


def test_changelog_begins_with_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(
        r"^## \[(.+)\] - (?:Unreleased|\d{4}-\d\d-\d\d)$", changelog, re.MULTILINE
    )
    assert headings[:1] == [puter.__version__]


def test_three_runtime_dependencies_and_no_more() -> None:
    names = re.findall(r'"([a-z-]+)', "\n".join(requirement_lines("dependencies")))
    assert names == ["requests", "aiohttp", "asyncio-throttle"]


def test_every_dependency_says_why_it_is_there() -> None:
    silent = [
        line
        for key in ("dependencies", "test", "docs", "dev")
        for line in requirement_lines(key)
        if not re.search(r'",\s+# \w', line)
    ]
    assert silent == []


def test_types_are_shipped() -> None:
    assert files(puter).joinpath("py.typed").is_file()
