"""Documentation is true: every code block of every page runs.

Python blocks run from top to bottom of their page, in one namespace, against a LocalPuter; `await`
may stand at top level. Shell blocks run when they call this project. A block that cannot run here
says why in a comment before it: `<!-- no-run: needs a browser -->`. Text blocks are output; one
with `title="output"` is all that the Python block before it prints.

Run as a script (`python test_docs.py page.md`), this file executes the Python blocks of one page.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import contextlib
import inspect
import io
import json
import os
import re
import subprocess
import sys
import textwrap
import traceback
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.consenting import COMMAND

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
ENTRANCES = [README, ROOT / "docs" / "index.md"]
ANSWERS = {
    "2fa": "how-to/sign-in.md",
    "sent again": "explanation/retries.md",
    "fastapi stream": "how-to/web-frameworks.md",
    "cost": "how-to/costs.md",
    "without account": "how-to/test-your-program.md",
    "proxy": "how-to/proxies.md",
    "provider": "how-to/add-a-provider.md",
    "at once why": "explanation/limits.md",
    "openai-python": "how-to/migrate-from-openai.md",
    "aider": "how-to/editors.md",
}
"""Words of what is asked most, and the page that answers."""
SHELL = {"bash", "console", "sh"}
NOT_CODE = {"http", "text", "toml"}
FENCE = re.compile(r"^ *(?P<ticks>`{3,}|~{3,})(?P<info>.*)$")
TITLE = re.compile(r'\btitle="([^"]*)"')
NO_RUN = re.compile(r"^ *<!-- *no-run\b:?(?P<reason>.*?)-->$")
OURS = re.compile(r"^export |\bputer-ai\b|\bpython (-m puter\b|-c \"import puter\b|examples/)")
COMPLAINTS = re.compile(
    r"(Resource|Runtime)Warning|Unclosed|never awaited|never retrieved|Exception ignored"
)


@dataclass(frozen=True)
class Block:
    """A fenced block: the line its code begins on, and why it is not run, if so."""

    page: Path
    line: int
    language: str
    code: str
    no_run: str | None
    title: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Read the fenced blocks of a page, in order."""
    blocks: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    opening: re.Match[str] | None = None
    start, before = 0, ""  # `before`: the last line with text on it ahead of the fence
    for number, line in enumerate(lines):
        fence = FENCE.match(line)
        if opening is None and fence:
            opening, start = fence, number + 1
        elif opening is None:
            before = line if line.strip() else before
        elif fence and fence["ticks"].startswith(opening["ticks"]) and not fence["info"].strip():
            language = (opening["info"].split() or [""])[0]
            code = textwrap.dedent("\n".join(lines[start:number])) + "\n"
            marker = NO_RUN.match(before)
            no_run = marker["reason"].strip() if marker else None
            title = TITLE.search(opening["info"])
            named = title[1] if title else ""
            blocks.append(Block(page, start + 1, language, code, no_run, named))
            opening, before = None, ""
    assert opening is None, f"{page.relative_to(ROOT)}:{start}: this fence is never closed"
    return blocks


def run_python(page: Path) -> None:
    """Execute the Python blocks of a page as one fresh `__main__`; stop at the first that fails."""
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    vars(main)["__builtins__"] = builtins
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        printed = ""
        for block in blocks_of(page):
            if block.title == "output" and block.code != printed:
                sys.exit(f"{block}: this is printed:\n{printed}")
            if block.language != "python" or block.no_run:
                continue
            try:
                with contextlib.redirect_stdout(io.StringIO()) as output:
                    run_block(block, vars(main), loop)
            except BaseException:  # noqa: BLE001 -- SystemExit would end a page too early as well
                traceback.print_exc()
                sys.exit(f"{block}: this block fails")
            printed = output.getvalue()
        loop.run_until_complete(loop.shutdown_asyncgens())


def run_block(block: Block, names: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
    """Execute one block; only those that await need the loop, others may call `asyncio.run`."""
    source = "\n" * (block.line - 1) + block.code  # tracebacks then name the page's own lines
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, block.page, "exec", flags, dont_inherit=True)
    result = types.FunctionType(code, names)()
    if inspect.iscoroutine(result):
        loop.run_until_complete(result)


def commands(block: Block) -> str:
    """The commands of a shell block, without prompts, output and comments."""
    lines = block.code.replace("\\\n", "").splitlines()
    if block.language == "console":
        return "\n".join(line[2:] for line in lines if line.startswith("$ "))
    return "\n".join(line for line in lines if line.strip() and not line.startswith("#"))


def run(where: object, command: list[str], folder: Path, **environment: str) -> None:
    """Run a command in `folder` as a user would; fail unless it ends well and quietly."""
    program = folder / "bin" / "puter-ai"  # of this tree, whatever is installed
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m puter "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join(map(str, (program.parent, Path(sys.executable).parent)))
    path = f"{path}{os.pathsep}{os.environ['PATH']}"
    home = {"HOME": str(folder), "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **home, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    output = f"{where}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, output
    assert not COMPLAINTS.search(done.stderr), output


@contextlib.contextmanager
def served(settings: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """`puter-ai serve` on a port of its own: the variables that OpenAI's client reads."""
    command = [sys.executable, "-m", "puter", "serve"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address, _, key = server.stdout.readline().partition(" key=")
            yield {"OPENAI_BASE_URL": address, "OPENAI_API_KEY": key.strip()}
        finally:
            server.terminate()


def check(block: Block) -> None:
    """The block is of a kind that runs, or there is a reason why it does not."""
    assert block.no_run != "", f"{block}: say why: <!-- no-run: reason -->"
    if block.no_run or block.language in {"python", *NOT_CODE}:
        return
    if block.language == "json":
        try:
            json.loads(block.code)
        except ValueError as error:
            pytest.fail(f"{block}: {error}")
        return
    assert block.language in SHELL, f"{block}: what is a block of {block.language!r}?"
    lines = commands(block).splitlines()
    assert lines, f"{block}: no command in this block"
    for line in lines:
        assert OURS.search(line), f"{block}: cannot run {line!r} here; mark the block no-run"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    from puter.testing import LocalPuter

    blocks = blocks_of(page)
    if page == README:  # .ci/run runs its first two shell blocks, as they stand
        for block in [block for block in blocks if block.language == "bash"][:2]:
            blocks.remove(block)
    for block in blocks:
        check(block)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    text = page.read_text(encoding="utf-8")
    with LocalPuter(tier=None) as puter, contextlib.ExitStack() as stack:
        settings = {
            "PUTER_API_BASE": puter.api_base,
            "PUTER_LOGIN_URL": puter.login_url,
            "PUTER_AUTH_TOKEN": puter.token,
            "PUTER_PROXY": "",
            "BROWSER": COMMAND,
        }
        if "REDIS_URL" in text:
            settings["REDIS_URL"] = request.getfixturevalue("redis_server")
        if "OPENAI_BASE_URL" in text:
            settings.update(stack.enter_context(served(settings)))
        run(page.name, [sys.executable, __file__, str(page)], tmp_path, **settings)
        for block in blocks:
            if block.language in SHELL and not block.no_run:
                run(block, ["bash", "-ec", commands(block)], tmp_path, **settings)


def test_tests_on_pages_pass(tmp_path: Path) -> None:
    page = ROOT / "docs" / "how-to" / "test-your-program.md"
    blocks = [block for block in blocks_of(page) if "def test_" in block.code]
    assert blocks
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_page.py").write_text("\n".join(block.code for block in blocks))
    plugins = ["-p", "puter.testing.plugin", "-p", "pytest_asyncio.plugin"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "-p", "no:cacheprovider"]
    run(page.name, command, tmp_path, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")


def names_in(code: str, kind: type[ast.AST]) -> set[str]:
    """The names that nodes of this kind hold: `ast.Name` uses them, `ast.alias` imports them."""
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, kind)]
    return {vars(node).get("id") or vars(node)["name"] for node in nodes}


def test_readers_may_begin_anywhere_on_the_page_about_tests() -> None:
    """Each block imports what it uses of what any block of the page imports."""
    page = ROOT / "docs" / "how-to" / "test-your-program.md"
    blocks = [block for block in blocks_of(page) if block.language == "python"]
    known = set().union(*(names_in(block.code, ast.alias) for block in blocks))
    for block in blocks:
        used = names_in(block.code, ast.Name) & known
        assert used <= names_in(block.code, ast.alias), block


def links_of(page: Path) -> set[str]:
    """The pages of the documentation that a page links to."""
    links = re.findall(r"\]\(([\w./-]+\.md)(?:#[\w.-]+)?\)", page.read_text(encoding="utf-8"))
    return {os.path.relpath(page.parent / link, ROOT / "docs") for link in links}


@pytest.mark.parametrize("page", ENTRANCES, ids=lambda page: page.name)
@pytest.mark.parametrize("question", ANSWERS)
def test_a_common_question_is_answered_in_one_hop(page: Path, question: str) -> None:
    answer = ANSWERS[question]
    assert answer in links_of(page)
    text = (ROOT / "docs" / answer).read_text(encoding="utf-8").lower()
    assert all(word in text for word in question.split())


def test_the_welcome_page_leads_to_every_page() -> None:
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    asked = {page for page in pages if not page.startswith("reference/")}
    assert asked - links_of(ROOT / "docs" / "index.md") == {"index.md"}


@pytest.mark.parametrize("page", ENTRANCES, ids=lambda page: page.name)
def test_pages_tell_this_package_from_the_other_of_its_name(page: Path) -> None:
    import puter

    text = page.read_text(encoding="utf-8")
    assert f"`{puter.__version__} {hasattr(puter, 'Conversation')}` for this SDK" in text
    assert not re.search(r"pip install (-U )?'?puter-python-sdk\b", text)


def test_the_figures_of_the_readme_are_those_of_the_performance_page() -> None:
    text = README.read_text(encoding="utf-8").partition("\n## Measured\n")[2].partition("\n## ")[0]
    measured = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in measured.splitlines() if line.startswith("| `")]
    medians = {row[2].strip(): re.findall(r"(\w+) ([\d.]+ \ws)", row[6]) for row in rows}
    shown = [line for line in text.splitlines() if line.startswith("| a")]
    assert len(shown) == 4
    for line in shown:
        (library, by_hand), (puter, ours), (openai, theirs) = medians[line.split("|")[1].strip()]
        assert (puter, openai) == ("puter", "openai")
        assert line.endswith(f" | {library} {by_hand} | {ours} | {theirs} |")
    assert all(fact in measured for fact in re.findall(r"CPython [\d.]+|AMD \w+|\d+ rounds", text))


def test_models_are_counted_on_one_page_as_the_shipped_catalogue_has_them() -> None:
    from puter.models import registry

    catalogue = json.loads((ROOT / "puter" / "catalogue.json").read_text(encoding="utf-8"))
    chat, image, video = (len(catalogue[kind]) for kind in ("chat", "image", "video"))
    assert chat == len(registry().providers)
    page = ROOT / "docs" / "how-to" / "models-and-prices.md"
    text = " ".join(page.read_text(encoding="utf-8").split())
    told = f"{chat} chat models (and {image} of images, {video} of video)"
    assert f"{told} that the open-source server listed on {catalogue['captured']}" in text
    counted = re.compile(r"\b\d{2,}\+? (?:chat )?models")
    for other in [*PAGES, ROOT / "puter" / "__init__.py"]:
        assert counted.findall(other.read_text(encoding="utf-8")) == (
            [f"{chat} chat models"] if other == page else []
        ), other


if __name__ == "__main__":
    run_python(Path(sys.argv[1]))
