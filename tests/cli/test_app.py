"""The skeleton of the command line: the whole tree, global options, errors, plugins."""

from __future__ import annotations

import io
import itertools
import os
import re
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import click
import platformdirs
import pytest

import puter
from puter.cli import batch, keyboard, main, parameters, plugins
from puter.cli.app import COMMANDS, app
from puter.extensions import plugins as extensions_plugins
from puter.testing import LocalPuter, faults
from tests.cli.conftest import Cli

ROOT = Path(__file__).parents[2]
HOW_TO = {path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("docs/how-to/*.md")}


SECTIONS = [*HOW_TO.pop("command-line.md").split("\n## "), *HOW_TO.values()]
"""Of the page on the command line, and other pages as a whole."""


def docs_of(path: str) -> str:
    """What tells of a command, or of the command that it belongs to."""
    command = " ".join(path.split()[:2])
    return "\n".join(text for text in SECTIONS if re.search(rf"{command}(?![\w-])", text))


def tree(command: click.Command = app, *path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command below ``puter-ai``, with the words that lead to it."""
    yield " ".join(("puter-ai", *path)), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from tree(inner, *path, name)


TREE = dict(tree())


def test_the_commands_are_those_of_the_modules() -> None:
    assert list(COMMANDS) == sorted(COMMANDS)
    assert set(COMMANDS) == {path.split()[1] for path in TREE if path.count(" ") == 1}
    for name, told in COMMANDS.items():
        command = TREE[f"puter-ai {name}"]
        assert command.name == name
        assert (command.help or "").partition(".")[0] == told.rstrip(".")


@pytest.mark.parametrize("path", TREE)
def test_every_command_and_every_option_has_help(path: str, cli: Cli) -> None:
    done = cli(*path.split()[1:], "--help")
    assert (done.code, done.err) == (0, "")
    assert done == cli(*path.split()[1:], "-h")
    assert done.out.startswith(f"Usage: {path}")
    first = (TREE[path].help or "").strip().splitlines()[0]
    assert first.endswith(".")
    assert first.rstrip(".").split()[0] in done.out
    assert r"\b" not in done.out
    for line in (TREE[path].help or "").partition("\b\n")[2].splitlines():
        assert line.strip() in map(str.strip, done.out.splitlines())
    for option in TREE[path].params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert option.hidden or option.opts[0] in done.out


@pytest.mark.parametrize("path", TREE)
def test_every_command_and_every_option_stands_in_the_docs(path: str) -> None:
    docs = docs_of(path)
    assert path in docs
    for option in TREE[path].params:
        if isinstance(option, click.Option) and not option.hidden:
            assert all(f"`{name}" in docs for name in option.opts), (path, option.opts)


def test_every_option_in_a_table_of_the_docs_exists() -> None:
    known = {
        name
        for command in TREE.values()
        for one in command.params
        for name in (*one.opts, *one.secondary_opts)
    }
    cells = re.findall(r"^\| (`-.*?) \|", "\n".join(SECTIONS), re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"--?[a-z][a-z-]*", cell)}
    assert len(named) > 40
    assert named <= known, named - known


def test_a_letter_means_one_thing_in_all_commands() -> None:
    meant: dict[str, set[str]] = {}
    for command in TREE.values():
        for option in command.params:
            for letter in (one for one in option.opts if re.fullmatch(r"-\w", one)):
                meant.setdefault(letter, set()).update({*option.opts} - {letter})
    assert {letter: names for letter, names in meant.items() if len(names) > 1} == {}


def test_help_fits_into_40_columns(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for path in TREE:
        for line in cli(*path.split()[1:], "--help").out.splitlines():
            assert len(line) <= 40, line


# ------------------------------------------------------------ global options


@pytest.mark.parametrize(
    "words",
    [
        ("--local", "Hello"),
        ("ask", "--local", "Hello"),
        ("Hello", "--local"),
        ("-m", "gpt-5-nano", "--local", "Hello"),
        ("--local", "-m", "gpt-5-nano", "Hello"),
        ("--local", "ask", "-mgpt-5-nano", "Hello"),
    ],
)
def test_local_stands_anywhere_and_needs_no_account(cli: Cli, words: tuple[str, ...]) -> None:
    done = cli(*words)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Hello! I am LocalPuter, playing gpt-5-nano.")


def test_the_local_puter_is_closed_at_the_end(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    servers: list[LocalPuter] = []
    start = LocalPuter.start
    monkeypatch.setattr(LocalPuter, "start", lambda self: servers.append(self) or start(self))  # type: ignore[func-returns-value]
    assert cli("--local", "models").code == 0
    assert cli("--local", "models", "--provider", "nobody").code == 2
    assert [server._running for server in servers] == [None, None]


def test_the_profile_is_that_of_the_config_files(cli: Cli, signed_in: LocalPuter) -> None:
    own = Path(platformdirs.user_config_dir("puter", appauthor=False), "config.toml")
    own.parent.mkdir(parents=True)
    own.write_text('default_model = "gpt-4.1"\n')
    Path("puter.toml").write_text('default_model = "o1"\n[profile.work]\ndefault_model = "o3"\n')
    assert "playing gpt-4.1." in cli("Hello").out  # the folder may be a stranger's
    assert "playing o3." in cli("--profile", "work", "Hello").out
    assert "playing o3." in cli("ask", "Hello", "--profile", "work").out
    done = cli("--profile", "wrok", "Hello")
    assert done.code == 1
    assert "Did you mean 'work'?" in done.err


def test_the_version(cli: Cli) -> None:
    done = cli("--version")
    assert (done.code, done.out) == (0, f"puter-ai, version {puter.__version__}\n")


# ------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("models", "--nonsense"), "No such option '--nonsense'. See: puter-ai models --help"),
        (("--nonsense", "Hello"), "No such option '--nonsense'. See: puter-ai ask --help"),
        (("models", "--kind", "smell"), "'smell' is not one of"),
        (("models", "nonsense"), "No such command 'nonsense'"),
        (("--max-tokens", "0", "Hi"), "max_tokens must be a whole number, 1 or more, not 0"),
        (("--option", "top_p=hot", "Hi"), "top_p must be a number, not 'hot'"),
        (("-m", "", "Hi"), "model must be a non-empty str"),
        (("-i", "notes.txt", "Hi"), "notes.txt is not an image but text/plain. Was -f meant?"),
        (("-f", "gone", "Hi"), "'gone' cannot be read: No such file or directory."),
        (("chat", "--max-tokens", "0"), "max_tokens must be a whole number, 1 or more, not 0"),
        (("chat", "--load", "gone"), "File 'gone' does not exist"),
        (("chat", "--load", "notes.txt"), "'notes.txt' is not JSON"),
        (("image", "--ratio", "smell", "A cat"), "ratio='smell' is not valid"),
        (("image", "-i", "gone", "A cat"), "'gone' cannot be read: No such file or directory."),
        (("video", "-i", "notes.txt", "A cat"), "notes.txt is text/plain, not an image"),
        (("say", "--language", "", "Hi"), "language must be a non-empty str"),
        (("transcribe", "--language", "", "notes.txt"), "language must be a non-empty str"),
        (("ocr", "notes.txt"), "notes.txt is text/plain, not an image or a PDF."),
        (("models", "--provider", "nobody"), "lists no chat models of 'nobody'"),
        (("models", "refresh", "--api-base", "here"), "api_base='here' is not valid"),
        (("batch", "gone"), "File 'gone' does not exist"),
        (("batch", "notes.txt", "--max-tokens", "0"), "max_tokens must be a whole number"),
        (("batch", "notes.txt", "-o", "notes.csv"), "Line 1 of notes.csv is no record of a batch"),
        (("local", "--port", "65536"), "port must be a whole number"),
        (("local", "--model", "nobody"), "There is no model 'nobody'"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    cli: Cli, signed_in: LocalPuter, words: tuple[str, ...], told: str
) -> None:
    for name in ("notes.txt", "notes.csv"):
        Path(name).write_text("Bread, milk\n")
    done = cli(*words)
    assert (done.code, done.out) == (2, "")
    assert [one for one in signed_in.requests if one.method == "POST"] == []
    assert done.err.startswith("puter-ai: ")
    assert told in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("path", TREE)
def test_no_error_shows_a_token_that_was_typed(
    path: str, cli: Cli, local_puter: LocalPuter
) -> None:
    token, command = local_puter.token, path.split()[1:]
    wrong = [(token, token), (f"--{token}",), (f"--local={token}",)]
    if command != ["local"]:  # which does not look at it, and serves
        wrong.append(("--profile", token))
    for words in wrong:
        done = cli("--debug", *command, *words)
        assert token.rpartition(".")[2] not in done.out + done.err, words


def test_an_error_of_puter_is_one_line_with_its_hint(cli: Cli, signed_in: LocalPuter) -> None:
    signed_in.reply_with(faults.insufficient_funds())
    done = cli("Hello")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("puter-ai: ")
    assert done.err.count("\n") == 1
    signed_in.reply_with(faults.insufficient_funds())
    traced = cli("--debug", "Hello")
    assert traced.code == 1
    assert "Traceback (most recent call last)" in traced.err
    assert traced.err.endswith(done.err)
    assert signed_in.token not in traced.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-m", "nope", "Hi"), " Run: puter-ai models\n"),
        (("image", "-m", "nope", "A cat"), " puter-ai models --kind image has the models and "),
        (("video", "-m", "nope", "A cat"), " puter-ai models --kind video has the models and "),
    ],
)
def test_hints_are_for_a_shell(
    cli: Cli, signed_in: LocalPuter, words: tuple[str, ...], told: str
) -> None:
    done = cli(*words)
    assert done.code == 1
    assert told in done.err


def test_why_nothing_comes_is_told_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    done = python(
        "from puter.cli import main\nsys.exit(main(['models']))",
        PUTER_API_BASE=nobody,
        PUTER_RETRY_DELAY="0.001",
    )
    assert (done.returncode, done.stdout) == (1, "")
    first, last = done.stderr.splitlines()
    assert first.startswith("puter-ai: No connection to 127.0.0.1")
    assert first.endswith("It is tried again; Ctrl-C ends this.")
    assert "attempts" in last


def test_an_error_of_a_file_is_one_line(cli: Cli, signed_in: LocalPuter) -> None:
    done = cli("models", "refresh", "--output", "gone")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("puter-ai: ")
    assert "gone" in done.err
    assert done.err.count("\n") == 1


def test_what_a_server_says_moves_no_cursor(cli: Cli, signed_in: LocalPuter) -> None:
    signed_in.reply_with(
        faults.status(400, message="\x1b[2J\x1b]0;title\x07[red]bad[/red]\r\nthing")
    )
    done = cli("Hello")
    assert done.code == 1
    assert "\x1b" not in done.err
    assert "[red]bad[/red]" in done.err


def test_no_words_show_what_there_is(cli: Cli) -> None:
    done = cli(terminal=True)
    assert done.code == 2
    assert done.out.startswith("Usage: puter-ai")
    done = cli()
    assert done.code == 2
    assert "There is no text" in done.err


@pytest.mark.parametrize(
    ("stream", "words", "code"),
    [
        ("stdout", "ask 2 + 2", 2),
        ("stdout", "ask --json 2 + 2", 2),
        ("stdout", "chat", 2),
        ("stdout", "say 2 + 2 -o -", 2),
        ("stdout", "ocr nothing.png", 2),
        ("stdout", "transcribe nothing.mp3", 2),
        ("stdin", "ask -f - 2 + 2", 2),
        ("stdin", "ocr -", 2),
        ("stdin", "batch -", 2),
        ("stdin", "transcribe -", 2),
        ("stdout", "image 2 + 2 -o four", 0),  # a file gets it
        ("stdin", "ask 2 + 2", 0),
        ("stderr", "ask --cost 2 + 2", 0),
    ],
)
def test_with_a_closed_stream_nothing_is_paid_for_nobody(
    signed_in: LocalPuter,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stream: str,
    words: str,
    code: int,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(sys, stream, None)
    assert main(words.split()) == code
    sent = [one for one in signed_in.requests if "drivers" in one.path]
    assert len(sent) == (not code)
    told = "Standard input is closed" if stream == "stdin" else "Standard output is closed"
    assert (told in capsys.readouterr().err) == bool(code)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("ask", 2),
        ("image", 2),
        ("say", 2),
        ("ask Look -i -", 2),
        ("ocr -", 2),
        ("transcribe -", 2),
        ("batch -", 2),
        ("batch - --format csv", 2),
        ("batch long.txt", 2),
        ("chat", 1),
    ],
)
def test_an_input_without_an_end_is_read_up_to_the_largest_body(
    cli: Cli, signed_in: LocalPuter, monkeypatch: pytest.MonkeyPatch, words: str, code: int
) -> None:
    for module in (parameters, keyboard, batch):
        monkeypatch.setattr(module, "MAX_BODY", 2**20)
    text = "x" * (2**20 + 1)
    Path("long.txt").write_text(text)
    done = cli(*words.split(), stdin=text)
    assert (done.code, "longer than 1 MiB" in done.err, signed_in.requests) == (code, True, [])


@pytest.mark.parametrize("kind", ["full", "closed pipe"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("ask --cost 2 + 2", 0),
        ("batch cats.txt", 0),
        ("ask --option none=1 2 + 2", 2),
        ("--debug ocr none.png", 2),
    ],
)
def test_a_standard_error_that_takes_nothing_changes_no_exit_code(
    cli: Cli,
    signed_in: LocalPuter,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    code: int,
    kind: str,
) -> None:
    Path("cats.txt").write_text("Tom\nFelix\n")
    if kind == "full":
        stderr = open("/dev/full", "w")  # noqa: SIM115 - closed below
    else:
        reader, writer = os.pipe()
        os.close(reader)
        stderr = open(writer, "w")  # noqa: SIM115
    monkeypatch.setattr(sys, "stderr", stderr)
    assert cli(*words.split()).code == code
    assert stderr.closed  # else Python would try again at its end, and exit with 120


# ------------------------------------------------------------ what is loaded


def python(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys\n{program}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
    )


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_libraries_it_says_what_to_install(missing: str) -> None:
    done = python(
        f"sys.modules[{missing!r}] = None\nfrom puter.cli import main\nsys.exit(main(['Hello']))"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "puter-ai: This needs the packages click and rich. "
        "pip install click rich (the extra puter-python-sdk[cli])\n"
    )


def test_an_interrupt_while_modules_are_loaded_is_one_as_any_other() -> None:
    done = python(
        "import os, signal\n"
        "from importlib.abc import MetaPathFinder\n"
        "class Slow(MetaPathFinder):\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'puter.cli.session':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "from puter.cli import main\n"
        "sys.exit(main(['Hello']))"
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_command_loads_neither_the_others_nor_a_server() -> None:
    done = python(
        "from puter.cli import main\nmain(['ask', '--help'])\n"
        "names = [n for n in sys.modules if n.startswith('puter.cli.')]\n"
        "sys.stderr.write(' '.join(sorted(names)))\n"
        "assert not {'requests', 'aiohttp', 'puter.testing'} & set(sys.modules)\n"
    )
    assert done.returncode == 0, done.stderr
    assert "puter.cli.ask" in done.stderr
    assert "puter.cli.models" not in done.stderr


def test_it_is_the_package_as_a_program_as_well() -> None:
    command = [sys.executable, "-m", "puter", "models", "--nonsense"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr == "puter-ai: No such option '--nonsense'. See: puter-ai models --help\n"


# ------------------------------------------------------------ commands of other packages

NUMBERS = itertools.count()
HELLO = """
import click
from puter.cli.session import pass_session

@click.command()
@click.option("--local", "where", help="Its own.")
@pass_session
def hello(session, where):
    \"\"\"Say hello.\"\"\"
    click.echo(f"hello {where}")

@click.command()
@pass_session
def asks(session):
    \"\"\"Ask.\"\"\"
    with session.client() as ai:
        session.output.print(ai.chat("Hi"))

number = 5
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a package as pip leaves it: a module and metadata."""

    def install(package: str, code: str, **commands: str) -> None:
        place = tmp_path / package
        module = f"commands_{next(NUMBERS)}"  # none that an earlier test has loaded
        metadata = place / f"{package}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (place / f"{module}.py").write_text(textwrap.dedent(code), encoding="utf-8")
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        )
        entries = "".join(f"{name} = {module}:{where}\n" for name, where in commands.items())
        (metadata / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{entries}")
        monkeypatch.syspath_prepend(place)

    return install


def test_commands_of_packages_work_with_the_global_options(
    cli: Cli, install: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("greetings", HELLO, hello="hello", asks="asks")
    assert "hello" in cli("--help").out
    load = Mock(side_effect=plugins.load)
    monkeypatch.setattr(plugins, "load", load)
    assert cli("hello").code == 0
    load.assert_called_once()
    assert cli("hello").out == "hello None\n"
    assert cli("hello", "--local", "here").out == "hello here\n"
    assert cli("asks", "--local").out.startswith("Hello! I am LocalPuter")


@pytest.mark.parametrize("words", [("hello",), ("--help",), ("Hi", "there", "--local")])
def test_what_is_installed_is_looked_through_once(
    cli: Cli, install: Any, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    install("greetings", HELLO, hello="hello", asks="asks")
    looked = Mock(side_effect=metadata.entry_points)
    monkeypatch.setattr(plugins, "entry_points", looked)
    monkeypatch.setattr(extensions_plugins, "entry_points", looked)
    assert cli(*words).code == 0
    looked.assert_called_once()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import no_such_module", "cannot be loaded: ModuleNotFoundError"),
        ("1 / 0", "cannot be loaded: ZeroDivisionError"),
        ("hello = 5", "is no click command but an int"),
    ],
)
def test_a_broken_command_tells_why_and_the_others_work(
    cli: Cli, install: Any, code: str, told: str
) -> None:
    install("broken", code, bad="hello")
    install("greetings", HELLO, hello="hello")
    assert cli("hello").code == 0
    assert cli("models", "--help").code == 0
    shown = cli("--help")
    assert shown.code == 0
    assert "bad" in shown.out
    for words in (("bad",), ("bad", "--option", "word"), ("bad", "--help")):
        done = cli(*words)
        assert (done.code, done.out) == (1, "")
        assert f"The command 'bad' of broken {told}" in done.err
        assert done.err.count("\n") == 1


def test_a_command_of_two_packages_is_neither(cli: Cli, install: Any) -> None:
    install("one", HELLO, hello="hello")
    install("two", HELLO, hello="hello")
    done = cli("hello")
    assert done.code == 1
    assert "Several packages have a command 'hello': one, two" in done.err


def test_a_package_cannot_take_our_name(cli: Cli, install: Any) -> None:
    install("greetings", HELLO, models="hello")
    assert "hello" not in cli("models", "--help").out


def test_main_takes_the_words_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["anything", "--version"])
    assert main() == 0
    assert puter.__version__ in capsys.readouterr().out
