"""What is released: what wheel and sdist hold, and that builds give the same bytes."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest

import puter

ROOT = Path(__file__).parents[1]
IGNORED = [
    line.rstrip("/")
    for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
STEM = f"puter_python_sdk-{puter.__version__}"


def files_of(folder: Path, *tops: str) -> set[str]:
    """The files that git would keep, as paths in `folder`, below the names in `tops`."""
    return {
        path.relative_to(folder).as_posix()
        for top in tops
        for path in (folder / top, *(folder / top).rglob("*"))
        if path.is_file()
        and not any(
            fnmatch.fnmatch(part, pattern)
            for part in path.relative_to(folder).parts
            for pattern in IGNORED
        )
    }


def tracked() -> set[str]:
    """The names in the project's folder that git keeps; all of them in a copy without git."""
    command = ["git", "ls-files"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True).stdout
    return {name.split("/")[0] for name in told.split("\n") if name} or set(os.listdir(ROOT))


def build(tree: Path, *targets: str) -> list[Path]:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *targets],
        check=True,
        cwd=tree,
        env={name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"},
        stdout=subprocess.DEVNULL,
    )
    return sorted((tree / "dist").iterdir())


class Built(NamedTuple):
    tree: Path
    sdist: Path
    wheel: Path

    @property
    def metadata(self) -> Message:
        with zipfile.ZipFile(self.wheel) as archive:
            return message_from_bytes(archive.read(f"{STEM}.dist-info/METADATA"))


def built_in(tree: Path) -> Built:
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*IGNORED, ".git"))
    wheel, sdist = sorted(build(tree), key=lambda path: path.suffix, reverse=True)
    return Built(tree, sdist, wheel)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return built_in(tmp_path_factory.mktemp("built") / "tree")


def test_the_wheel_is_the_package_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = archive.namelist()
    about = [name for name in names if not name.startswith("puter/")]
    assert set(names) - set(about) == files_of(ROOT, "puter")
    assert sorted(name.removeprefix(f"{STEM}.dist-info/") for name in about) == [
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    ]


def test_the_sdist_has_all_that_a_contributor_needs(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {member.name.removeprefix(f"{STEM}/") for member in archive if member.isfile()}
    assert names - {"PKG-INFO"} == files_of(built.tree, *tracked())


def test_a_build_elsewhere_and_later_gives_the_same_bytes(built: Built, tmp_path: Path) -> None:
    again = built_in(tmp_path / "elsewhere" / "another")
    for path in again.tree.rglob("*.py"):
        path.chmod(0o600)
        os.utime(path, (1e9, 1e9))
    build(again.tree)
    assert again.wheel.read_bytes() == built.wheel.read_bytes()
    assert again.sdist.read_bytes() == built.sdist.read_bytes()


def test_the_sdist_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path)  # our own, and Python 3.10 may not know `filter`
    [wheel] = build(tmp_path / STEM, "-t", "wheel")
    assert wheel.read_bytes() == built.wheel.read_bytes()


def test_the_metadata(built: Built) -> None:
    told = built.metadata
    assert (told["Name"], told["Version"]) == ("puter-python-sdk", puter.__version__)
    assert (told["License-Expression"], told["License-File"]) == ("MIT", "LICENSE")
    assert told["Description-Content-Type"] == "text/markdown"
    classifiers = told.get_all("Classifier", [])
    pythons = [one.split()[-1] for one in classifiers if re.search(r":: 3\.\d+$", one)]
    assert told["Requires-Python"] == f">={pythons[0]}"
    needed = [one for one in told.get_all("Requires-Dist", []) if "extra ==" not in one]
    assert sorted(re.split(r"\W*[<>=]", one)[0] for one in needed) == [
        "aiohttp",
        "asyncio-throttle",
        "requests",
    ]


def test_no_extra_needs_an_address_which_pypi_refuses(built: Built) -> None:
    assert [one for one in built.metadata.get_all("Requires-Dist", []) if "@" in one] == []


def test_the_entry_points(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        lines = archive.read(f"{STEM}.dist-info/entry_points.txt").decode().split("\n\n")
    assert [line.split() for line in lines] == [
        ["[console_scripts]", "puter-ai", "=", "puter.cli:main"],
        ["[llm]", "puter", "=", "puter.llm_plugin"],
        ["[pyinstaller40]", "hook-dirs", "=", "puter.__pyinstaller:get_hook_dirs"],
        ["[pytest11]", "puter", "=", "puter.testing.plugin"],
    ]
