"""One command for each thing that a contributor does: `.venv/bin/nox -l` lists them.

Sessions use the environment that nox itself is in, so that they begin at once; those that try what
is released make one of their own. `.ci/run` runs the same sessions.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

import nox
import requests
from nox.command import CommandFailed

TOOLS = Path(sys.executable).parent

os.environ["PATH"] = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
nox.options.default_venv_backend = "none"


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and layers."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-logo")


@nox.session
def types(session: nox.Session) -> None:
    """Check types as users of mypy, of pyright and of an editor see them."""
    session.run("mypy")
    session.run("pyright", "--pythonpath", sys.executable)
    session.run("python", "-m", "pytest", "-q", "tests/test_editors.py")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, or those named: nox -s tests -- tests/test_chat.py."""
    session.run("python", "-m", "pytest", "-q", *session.posargs)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the site into site/, and check it; every warning is an error."""
    session.run("python", "-m", "pytest", "-q", "-n", "0", "-m", "site", "tests/docs")


@nox.session(default=False)
def build(session: nox.Session) -> None:
    """Build sdist and wheel into dist/, and check both as PyPI will."""
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build", "--no-isolation", silent=True)
    session.run("twine", "check", "--strict", *Path("dist").iterdir())


@nox.session(venv_backend="venv", requires=["build"], default=False)
def wheel(session: nox.Session) -> None:
    """Use the wheel as users install it: quick start, imports, public types."""
    install(session)
    session.run("python", "examples/quickstart.py")
    libraries = sysconfig.get_path("purelib")
    session.run("python", ".ci/installed.py", TOOLS / "pyright", libraries)


@nox.session(venv_backend="venv", requires=["build"], default=False)
def frozen(session: nox.Session) -> None:
    """Freeze a program with PyInstaller, and chat in it."""
    install(session, "pyinstaller")
    folder = session.create_tmp()
    session.run(
        *("pyinstaller", "--noconfirm", "--log-level=WARN", "tests/frozen_program.py"),
        *(f"--{kind}path={folder}/{kind}" for kind in ("dist", "work", "spec")),
    )
    session.run(f"{folder}/dist/frozen_program/frozen_program", external=True)


@nox.session(venv_backend="venv", default=False)
def audit(session: nox.Session) -> None:
    """Ask PyPI for known weaknesses of what development is locked to."""
    try:  # mirrors of PyPI do not know them
        requests.get("https://pypi.org/pypi/requests/2.32.2/json", timeout=20).raise_for_status()
        session.install("pip-audit")
    except (requests.RequestException, CommandFailed) as error:
        session.skip(f"PyPI or pip-audit is out of reach: {error}")
    session.run(
        *("pip-audit", "--progress-spinner=off", "--no-deps", "--disable-pip"),
        *("-r", ".ci/dev.lock"),
    )


@nox.session(venv_backend="venv", requires=["build"], default=False)
def sbom(session: nox.Session) -> None:
    """Write dist/sbom.cdx.json: what an installed wheel consists of, as CycloneDX."""
    install(session)
    tools = session.create_tmp()
    session.run("python", "-m", "venv", f"{tools}/venv")
    session.run(f"{tools}/venv/bin/pip", "install", "-q", "cyclonedx-bom", external=True)
    session.run(
        *(f"{tools}/venv/bin/cyclonedx-py", "environment", session.bin + "/python"),
        *("--pyproject", "pyproject.toml", "--output-reproducible", "--of", "JSON"),
        *("-o", "dist/sbom.cdx.json"),
        external=True,
    )


@nox.session(default=False)
def ci(session: nox.Session) -> None:
    """Run everything, as CI does."""
    session.run("bash", ".ci/run", *session.posargs)


def install(session: nox.Session, *more: str) -> None:
    """The wheel, and what else is needed, into the session's own environment."""
    [built] = Path("dist").glob("*.whl")
    session.install(str(built), *more)
