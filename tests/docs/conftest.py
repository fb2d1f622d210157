"""The documentation site, built once for the tests that look at it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chromium import chromium

ROOT = Path(__file__).parents[2]
USUAL = ("Build started", "No issues found", "Build finished in ")


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder with the pages. Whatever the build says besides is a fault of theirs."""
    build = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = re.sub(r"\x1b\[[\d;]*m", "", build.stdout).splitlines()
    told = [line for line in lines if not line.startswith(USUAL)]
    assert (build.returncode, told) == (0, []), "\n".join(told)
    return ROOT / "site"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a browser, where there is one."""
    with chromium(tmp_path_factory.mktemp("chromium")) as address:
        yield address
