"""The package, its metadata and its changelog tell one story."""

from __future__ import annotations

import importlib
import pkgutil
import re
import runpy
import sys
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import puter
from puter import __pyinstaller

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


ARRAYS = ("dependencies", "test-core", "test", "docs", "dev")


def requirement_lines(key: str) -> list[str]:
    """The lines of the array `key`; a regular expression because Python 3.10 has no tomllib."""
    array = re.search(rf"^{key} = \[.*\n((?s:.*?))^\]", PYPROJECT, re.MULTILINE)
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
        for key in ARRAYS
        for line in requirement_lines(key)
        if not re.search(r'",\s+# \w', line)
    ]
    assert silent == []


def test_types_are_shipped() -> None:
    assert files(puter).joinpath("py.typed").is_file()


# ------------------------------------------------------------ frozen programs


def data_files(package: str, excludes: Sequence[str] = ()) -> list[tuple[str, str]]:
    """As PyInstaller's: the files of a package that are no modules, and their folders."""
    top = ROOT.joinpath(*package.split("."))
    found = [
        path
        for path in top.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
        if path.relative_to(top).parts[0] not in excludes
    ]
    return [(str(path), str(path.parent.relative_to(ROOT))) for path in found]


def submodules(
    package: str,
    filter: Callable[[str], bool],  # noqa: A002
    on_error: str = "",
) -> list[str]:
    paths = importlib.import_module(package).__path__
    names = [one.name for one in pkgutil.walk_packages(paths, f"{package}.")]
    return [name for name in (package, *names) if "hook-" not in name and filter(name)]


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    double: Any = ModuleType("PyInstaller.utils.hooks")
    double.collect_data_files, double.collect_submodules = data_files, submodules
    for name in ("PyInstaller", "PyInstaller.utils"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "PyInstaller.utils.hooks", double)
    [folder] = __pyinstaller.get_hook_dirs()
    return lambda name: runpy.run_path(str(Path(folder) / f"hook-{name}.py"))


def test_a_frozen_program_has_the_models_and_what_is_loaded_on_first_use(hook: Any) -> None:
    ran = hook("puter")
    names = {Path(source).name: target for source, target in ran["datas"]}
    assert names == dict.fromkeys(("available_models.json", "catalogue.json", "py.typed"), "puter")
    modules = set(ran["hiddenimports"])
    assert {"puter.ai", "puter.transports.aiohttp_transport", "puter.wire.dialects"} <= modules
    assert not [name for name in modules if "testing" in name or "pyinstaller" in name]
    for lazy in sys.modules["puter"].__dict__["_MODULES"]:
        assert lazy in modules


def test_a_frozen_program_may_have_local_puter_without_pytest(hook: Any) -> None:
    ran = hook("puter.testing")
    files_there = {path.name for path in (ROOT / "puter" / "testing").glob("*.json")}
    assert {Path(source).name for source, _ in ran["datas"]} == files_there >= {"recorded.json"}
    assert "puter.testing.server" in ran["hiddenimports"]
    assert "puter.testing.plugin" not in ran["hiddenimports"]


def test_pyinstaller_finds_the_hooks() -> None:
    assert '[project.entry-points.pyinstaller40]\nhook-dirs = "puter.__pyinstaller' in PYPROJECT


SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_each_line_of_the_threat_model_is_held_by_tests_that_exist() -> None:
    rows = [
        line for line in SECURITY.splitlines() if line.startswith("| ") and "| held by" not in line
    ]
    assert len(rows) > 15
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row.split(" | ")[-1])
        assert named, row
        for file, name in named:
            source = (ROOT / file).read_text(encoding="utf-8")
            assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), f"{file}::{name}"


def locked() -> dict[str, str]:
    lines = (ROOT / ".ci" / "dev.lock").read_text(encoding="utf-8").splitlines()
    pins = (line.partition(" ;")[0].partition("==") for line in lines if line[:1] != "#")
    return {name: version.strip() for name, _, version in pins}


def test_the_lock_names_what_development_needs() -> None:
    needed = re.findall(
        r'^\s+"([\w-]+)',
        "\n".join(line for key in ARRAYS for line in requirement_lines(key)),
        re.MULTILINE,
    )
    pinned = locked()
    assert {name for name in needed if name != "puter-python-sdk"} <= pinned.keys()
    assert all(re.fullmatch(r"\d[\w.+!-]*", version) for version in pinned.values())
