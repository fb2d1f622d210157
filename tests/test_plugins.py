"""Plugins: found by name among what is installed, and failures that name plugin and package."""

from __future__ import annotations

import importlib
import itertools
import pickle
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from puter import PuterAI, PuterConfigError, ToolCall
from puter.extensions.plugins import load
from tests.door import Door, answer, chat_body, chunks, stream_answer
from tests.test_streams import USAGE

ROOT = Path(__file__).parents[1]

Install = Callable[..., str]

NUMBERS = itertools.count()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package as pip leaves it: a module, whose name is returned, and metadata."""

    def install(package: str, code: str, **plugins: str) -> str:
        place = tmp_path / package
        module = f"plugin_{next(NUMBERS)}"  # none that an earlier test has loaded
        metadata = place / f"{package.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (place / f"{module}.py").write_text(textwrap.dedent(code), encoding="utf-8")
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        )
        entries = "".join(f"{name} = {module}:{where}\n" for name, where in plugins.items())
        (metadata / "entry_points.txt").write_text(f"[puter.plugins]\n{entries}")
        monkeypatch.syspath_prepend(place)
        return module

    return install


GOOD = """
def middleware(request, call_next):
    return (yield from call_next(request))

class Extension:
    def middleware(self, request, call_next):
        return (yield from call_next(request))

def factory(name="made"):
    extension = Extension()
    extension.name = name
    return extension

instance = Extension()
"""


def test_a_middleware_and_an_instance_are_taken_as_they_are(install: Install) -> None:
    module = install("good", GOOD, function="middleware", instance="instance")
    assert load("function") is importlib.import_module(module).middleware
    assert load("instance") is importlib.import_module(module).instance


def test_a_class_and_a_factory_are_called_each_time(install: Install) -> None:
    install("good", GOOD, made="Extension", factory="factory")
    assert type(load("made")).__name__ == "Extension"
    assert load("made") is not load("made")
    assert load("factory").name == "made"


def refused(name: str) -> PuterConfigError:
    with pytest.raises(PuterConfigError) as caught:
        load(name)
    return caught.value


def test_a_plugin_that_nobody_has_is_refused_with_near_names(install: Install) -> None:
    assert str(refused("cache")) == "There is no plugin 'cache'. None is installed."
    install("good", GOOD, cache="instance", tracing="instance")
    told = "There is no plugin 'cahce'. Did you mean 'cache'? Installed are 'cache', 'tracing'."
    assert str(refused("cahce")) == told
    assert str(refused("")) == "There is no plugin ''. Installed are 'cache', 'tracing'."


def test_a_name_that_two_packages_have_is_refused(install: Install) -> None:
    install("one", GOOD, cache="instance")
    install("two", GOOD, cache="instance")
    assert "Several packages have a plugin 'cache': one, two" in str(refused("cache"))


@pytest.mark.parametrize(
    ("code", "where", "cause", "told"),
    [
        ("import no_such_module", "x", ModuleNotFoundError, "cannot be loaded: ModuleNotFoundErr"),
        ("1 / 0", "x", ZeroDivisionError, "cannot be loaded: ZeroDivisionError: division by zero"),
        ("", "missing", AttributeError, "cannot be loaded: AttributeError"),
        ("def f(", "f", SyntaxError, "cannot be loaded: SyntaxError"),
        ("def f(): return {}['key']", "f", KeyError, "cannot be made: KeyError: 'key'"),
        ("class F:\n def __init__(self): 1 / 0", "F", ZeroDivisionError, "cannot be made: Zero"),
    ],
)
def test_a_failure_names_plugin_package_and_cause(
    install: Install, code: str, where: str, cause: type[Exception], told: str
) -> None:
    install("bad-one", code, mine=where)
    error = refused("mine")
    assert f"The plugin 'mine' of bad-one {told}" in str(error)
    assert isinstance(error.__cause__, cause)


@pytest.mark.parametrize(
    "code",
    [
        "def f(request, call_next): return call_next(request)",
        "async def f(request, call_next): return await call_next(request)",
        "async def f(): return 1",
        "class f:\n def __init__(self, url): self.url = url",
    ],
)
def test_what_needs_arguments_and_is_no_middleware_is_refused(install: Install, code: str) -> None:
    install("bad", code, mine="f")
    told = "The plugin 'mine' of bad: f is no middleware and cannot be called without arguments"
    assert told in str(refused("mine"))


def test_a_class_that_does_not_tell_what_it_takes_is_called(install: Install) -> None:
    install("odd", "made = type('Odd', (dict,), {})\nkind = iter", made="made", odd="kind")
    assert load("made") == {}
    assert isinstance(refused("odd").__cause__, TypeError)


# ------------------------------------------------------------ used by name


COUNTING = """
class Counting:
    calls = 0

    def middleware(self, request, call_next):
        Counting.calls += 1
        return (yield from call_next(request))

number = 5
name = "mine"
plain = lambda: 5
"""


def hello(stream: bool) -> Any:
    return stream_answer({"type": "text", "text": "Hello!"}, USAGE) if stream else chat_body()


def rolling(stream: bool) -> Any:
    return answer(stream, "", ToolCall("1", "roll_dice", {"count": 3, "sides": 1}))


async def said(door: Door, ai: Any, *, stream: bool = False) -> str:
    reply = await door(ai, "chat", "Hi", stream=stream)
    return "".join(await chunks(reply) if stream else reply)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_plugin_works_by_its_name(install: Install, door: Door, stream: bool) -> None:
    module = install("count", COUNTING, count="Counting")
    door.answers(hello(stream))
    assert await said(door, door.client().use("count"), stream=stream) == "Hello!"
    assert importlib.import_module(module).Counting.calls == 1


async def test_a_conversation_has_plugins_of_its_own(install: Install, door: Door) -> None:
    module = install("count", COUNTING, count="Counting")
    ai = door.client()
    await said(door, ai.conversation().use("count"))
    await said(door, ai)
    assert importlib.import_module(module).Counting.calls == 1


async def test_the_environment_names_plugins(
    install: Install, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = install("count", COUNTING, count="Counting")
    install("good", GOOD, good="instance")
    monkeypatch.setenv("PUTER_PLUGINS", " count, good,,count")
    ai = pickle.loads(pickle.dumps(door.client()))
    assert len(ai._extensions.middleware) == 2
    await said(door, door.client())
    assert importlib.import_module(module).Counting.calls == 1


def test_a_plugin_that_is_installed_is_not_loaded_unasked(install: Install, door: Door) -> None:
    module = install("trap", "raise SystemExit('loaded behind the back')", trap="x")
    door.client()
    assert module not in sys.modules


def test_each_works_once_for_a_client(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("count", COUNTING, count="Counting")
    monkeypatch.setenv("PUTER_PLUGINS", "count")
    with pytest.raises(PuterConfigError, match="plugin 'count' is in use already"):
        PuterAI().use("count")
    with pytest.raises(PuterConfigError, match="plugin 'count' is in use already"):
        PuterAI().with_options().use("count")


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("number", "The plugin 'mine' of odd: 5 is no extension"),
        ("plain", "The plugin 'mine' of odd: 5 is no extension"),
        ("name", "The plugin 'mine' of odd: 'mine' is no extension"),
    ],
)
@pytest.mark.parametrize("by", ["use", "environment"])
def test_a_plugin_of_the_wrong_kind_is_named(
    install: Install, monkeypatch: pytest.MonkeyPatch, where: str, told: str, by: str
) -> None:
    install("odd", COUNTING, mine=where)
    if by == "environment":
        monkeypatch.setenv("PUTER_PLUGINS", "mine")
    with pytest.raises(PuterConfigError, match=told):
        PuterAI().use("mine")


FAILING = """
class Failing:
    def setup(self, client):
        client.use("count")
        raise RuntimeError("PLUGIN_KEY is not set")

    def middleware(self, request, call_next):
        raise AssertionError("it is not in use")
        yield

class Whole(Failing):
    per_attempt = False

class Odd:
    setup = 5
"""


@pytest.mark.parametrize("by", ["use", "environment", "conversation"])
@pytest.mark.parametrize(
    ("plugin", "told", "cause"),
    [
        ("Failing", "cannot be set up: RuntimeError: PLUGIN_KEY is not set", RuntimeError),
        ("Odd", "Odd.setup is 5, and must be a method", PuterConfigError),
    ],
)
async def test_a_plugin_that_cannot_be_set_up_is_named_and_leaves_nothing_in(
    install: Install,
    door: Door,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
    plugin: str,
    told: str,
    cause: type[Exception],
) -> None:
    install("bad-one", FAILING, mine=plugin)
    counting = install("count", COUNTING, count="Counting")
    ai = door.client()
    talk = ai.conversation()
    if by == "environment":
        monkeypatch.setenv("PUTER_PLUGINS", "mine")
    use: Any = {"use": ai.use, "environment": lambda _name: PuterAI(), "conversation": talk.use}[by]
    for _ in range(2):  # the second time it is not in use either
        with pytest.raises(PuterConfigError) as caught:
            use("mine")
        assert str(caught.value).startswith(f"The plugin 'mine' of bad-one {told}".replace(
            " Odd", ": Odd"
        ))  # fmt: skip
        assert type(caught.value.__cause__) is cause
    assert await said(door, talk) == "Hello!"
    assert await said(door, ai) == "Hello!"
    assert importlib.import_module(counting).Counting.calls == 0


def test_a_plugin_of_whole_calls_is_not_put_around_attempts(install: Install) -> None:
    install("bad", FAILING, mine="Whole")
    with pytest.raises(PuterConfigError) as caught:
        PuterAI().use("mine", per_attempt=True)
    told = "The plugin 'mine' of bad: Whole does not work on each HTTP attempt. Leave out per_at"
    assert str(caught.value).startswith(told)


# ------------------------------------------------------------ the example


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``examples/plugin``, installed by pip into a folder of its own, without network."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(ROOT / "examples" / "plugin", folder / "source")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir"),
            *("--target", str(folder / "installed"), str(folder / "source")),
        ],
        check=True,
        timeout=150,
    )
    return folder / "installed"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_example_is_installed_and_works(
    example: Path, door: Door, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.syspath_prepend(example)
    monkeypatch.setenv("PUTER_PLUGINS", "today")
    ai = door.client().use("dice")
    door.answers(rolling(stream), hello(stream))
    assert await said(door, ai, stream=stream) == "Hello!"
    first, second = (sent.args["messages"] for sent in door.sent)
    assert first[0]["role"] == "system"
    assert re.fullmatch(r"Today is \w+day, \d{4}-\d\d-\d\d\.", first[0]["content"])
    assert [one["content"] for one in second if one["role"] == "tool"] == ["[1, 1, 1]"]
    assert door.sent[0].args["tools"][0]["function"]["name"] == "roll_dice"
    assert [one["role"] for one in ai.chat_history] == ["user", "assistant", "tool", "assistant"]


def test_the_example_has_a_command(
    example: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from puter.cli import main

    monkeypatch.syspath_prepend(example)
    assert main(["--local", "fortune", "--count", "1"]) == 0
    assert re.match(r"[1-6]: .*LocalPuter", capsys.readouterr().out)
