"""Pages that show a terminal as it is: their commands, run on one, and what that shows.

A page says what is typed: lines of its ``console`` blocks that begin with ``$ ``, and after a chat
those that begin with ``> `` or ``... ``. ``python -m tests.docs.transcript --write`` runs them and
writes all other lines of these blocks, and a picture of the block above each link to one; that of
a talk is a recording. Blocks with ``title="program.py"`` are files in the folder where the commands
run.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from puter.testing import LocalPuter
from tests.terminal import CTRL_D, MORE, PROMPT, Terminal

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "first-ten-minutes.md", ROOT / "docs" / "tutorial.md"]
COLUMNS = 80
SHELL = "$ "
BLOCK = re.compile(
    r"(?P<begin><!-- no-run: [^\n]* -->\n```console\n)(?P<body>.*?)(?P<end>```\n)"
    r"(?:\n!\[.*?\]\((?P<picture>.*?\.svg)\)\n)?",
    re.DOTALL,
)
PROGRAM = re.compile(
    r'^```python title="(?P<name>\w+\.py)"\n(?P<code>.*?)^```$', re.MULTILINE | re.DOTALL
)
SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-family: system-ui, sans-serif; }}
{styles}
%s</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""As rich has it, without fonts from elsewhere: the documentation is complete in itself."""
TYPING, ANSWERING = 0.9, 0.3  # seconds before a line of a recording


def typed_in(body: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a block, each with what is typed to it."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, *lines = part.splitlines()
        while command.endswith("\\"):
            command += "\n" + lines.pop(0)
        yield command, [line for line in lines if line.startswith((PROMPT, MORE))]


def run(command: str, typed: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Text:
    """Run a command on a terminal as somebody would; what that shows then, in its colours."""
    shell = ["/bin/bash", "-c", command]
    with Terminal(shell, columns=COLUMNS, folder=folder, environment=environment) as terminal:
        for line in typed:
            prompt = MORE if line.startswith(MORE) else PROMPT
            terminal.at_prompt(prompt)
            terminal.child.send(line.removeprefix(prompt) + "\r")
        if typed:
            terminal.at_prompt()
        code = terminal.leave(CTRL_D if typed else "")
        shown = terminal.screen.text()
    if code:
        raise RuntimeError(f"$ {command}\n{shown.plain}\nended with {code}")
    return shown


def written(page: str) -> tuple[str, dict[str, str]]:
    """The page with what its commands show now, and its pictures by their path."""
    pictures: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name, LocalPuter(tier="user_free") as server:
        folder, environment = _place(Path(name), server)
        for program in PROGRAM.finditer(page):
            (folder / program["name"]).write_text(program["code"], "utf-8")

        def renew(block: re.Match[str]) -> str:
            shown = Text()
            commands = list(typed_in(block["body"]))
            for command, typed in commands:
                shown.append(SHELL, "bold green").append(f"{command}\n", "bold")
                output = run(command, typed, folder, environment)
                shown.append_text(output).append("\n" if output else "")
            if picture := block["picture"]:
                talk = any(typed for _, typed in commands)
                pictures[picture] = drawn(shown, Path(picture).stem, recording=talk)
            old, body = block["body"], shown.plain
            return block[0].replace(old, "\n".join(map(str.rstrip, body.splitlines())) + "\n", 1)

        return BLOCK.sub(renew, page), pictures


def _place(folder: Path, server: LocalPuter) -> tuple[Path, dict[str, str]]:
    """An empty folder to type in, and variables: this tree's ``puter-ai``, a server, no network."""
    programs, here = folder / "bin", folder / "here"
    programs.mkdir()
    here.mkdir()
    for name, arguments in {"python": "", "puter-ai": "-m puter"}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -W error {arguments} "$@"\n')
        program.chmod(0o755)
    return here, {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_STATE_HOME": str(folder),
        "PUTER_API_BASE": server.api_base,
        "PUTER_LOGIN_URL": server.login_url,
        "PUTER_AUTH_TOKEN": server.token,
        "PUTER_PROXY": "",
    }


def drawn(shown: Text, name: str, *, recording: bool) -> str:
    """A picture of a terminal that shows this; in a recording line after line."""
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    console.print(shown, no_wrap=True, crop=False)
    style = _line_after_line(shown.plain.splitlines(), name) if recording else ""
    code_format = SVG % style.replace("{", "{{").replace("}", "}}")
    return console.export_svg(
        title="puter-ai", theme=DIMMED_MONOKAI, code_format=code_format, unique_id=name
    )


def _line_after_line(lines: Sequence[str], name: str) -> str:
    """The style of a recording. Where nothing moves, all lines are there from the beginning."""
    rules, seconds = [f"@keyframes {name}-line {{ from {{ visibility: hidden; }} }}"], 0.0
    for number, line in enumerate(lines):
        seconds += TYPING if line.startswith((SHELL, PROMPT, MORE)) else ANSWERING
        shown_at = f"animation: {name}-line 1ms {seconds:.1f}s backwards;"
        rules.append(f'[clip-path="url(#{name}-line-{number})"] {{ {shown_at} }}')
    inside = "\n".join(rules)
    return f"@media (prefers-reduced-motion: no-preference) {{\n{inside}\n}}\n"


def main() -> int:
    """Run the commands of the pages; say what is no longer true, or write it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="write the pages and their pictures")
    write = parser.parse_args().write
    files: dict[Path, str] = {}
    for page in PAGES:
        text, pictures = written(page.read_text("utf-8"))
        files |= {page: text, **{page.parent / path: svg for path, svg in pictures.items()}}
    stale = [path for path, text in files.items() if _text_of(path) != text]
    for path in stale:
        if write:
            path.parent.mkdir(exist_ok=True)
            path.write_text(files[path], "utf-8")
        sys.stdout.write(f"{path.relative_to(ROOT)}: {'written' if write else 'not current'}\n")
    return int(bool(stale) and not write)


def _text_of(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
