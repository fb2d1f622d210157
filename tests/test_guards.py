"""What must hold for the whole package: twins, imports, mapped failures, and no secret anywhere.

Layers and import circles: ``lint-imports``, see [tool.importlinter] in pyproject.toml.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import logging
import os
import pickle
import pydoc
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import aiohttp
import aiohttp.http_exceptions
import pytest
import requests
import urllib3
from aiohttp.client_reqrep import ConnectionKey, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

import puter
from puter import exceptions
from puter.engine.client import paired
from puter.engine.context import CallContext
from puter.engine.effects import Flow
from puter.engine.pipeline import exchange
from puter.exceptions import with_article
from puter.testing import Disconnect, Failure, InvalidUtf8, LocalPuter, Redirect, Truncate
from puter.transports import aiohttp_transport, requests_transport
from puter.wire.http import HttpRequest, api_get
from tests.door import Door, error_body

ROOT = Path(puter.__file__).parent
NAMES: list[str] = importlib.import_module("puter").__all__
PUBLIC = [getattr(puter, name) for name in NAMES]

# ------------------------------------------------------------ twins

MEDIA = {"close", "data_uri", "of"}
WITHOUT_TWIN = {
    "PuterAI": {
        "clear_chat_history",
        "conversation",
        "estimate_cost",
        "get_available_models",
        "load_conversation",
        "on",
        "set_model",
        "use",
        "with_options",
    },
    "Conversation": {"clear", "fork", "save", "trim", "undo", "use"},
    "Audio": MEDIA,
    "Image": MEDIA | {"to_pil"},
    "Media": MEDIA,
    "Video": MEDIA,
}
DUAL = {
    kind.__name__: kind for kind in PUBLIC if any(name.startswith("async_") for name in dir(kind))
}


def public_methods(kind: type) -> dict[str, Callable[..., Any]]:
    return {
        name: getattr(kind, name)
        for name in dir(kind)
        if not name.startswith("_") and inspect.isroutine(inspect.getattr_static(kind, name, None))
    }


def test_the_classes_with_two_doors_are_these() -> None:
    assert set(DUAL) == set(WITHOUT_TWIN)


@pytest.mark.parametrize("kind", DUAL)
def test_every_method_has_its_twin(kind: str) -> None:
    methods = public_methods(DUAL[kind])
    plain = {name for name in methods if not name.startswith("async_")}
    twins = {name.removeprefix("async_") for name in methods if name.startswith("async_")}
    assert twins <= plain
    assert plain - twins == WITHOUT_TWIN[kind]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind in DUAL
        for name in public_methods(DUAL[kind])
        if name.startswith("async_")
    ],
)
def test_twins_take_the_same_arguments_and_say_the_same(kind: str, name: str) -> None:
    twin = getattr(DUAL[kind], name)
    plain = getattr(DUAL[kind], name.removeprefix("async_"))
    assert inspect.iscoroutinefunction(twin) or inspect.isasyncgenfunction(twin)
    assert not inspect.iscoroutinefunction(plain)
    assert inspect.signature(twin).parameters == inspect.signature(plain).parameters
    assert twin.__doc__
    assert twin.__doc__ == plain.__doc__
    for method in (plain, twin):
        shown = pydoc.plain(pydoc.render_doc(method))
        assert method.__name__ in shown
        assert twin.__doc__.splitlines()[0] in shown


OPERATIONS = {
    name: getattr(puter.PuterAI, name)
    for name in public_methods(puter.PuterAI)
    if hasattr(puter.PuterAI, f"async_{name}")
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_shows_what_it_returns_to_users(name: str) -> None:
    plain = inspect.signature(OPERATIONS[name]).return_annotation
    twin = inspect.signature(getattr(puter.PuterAI, f"async_{name}")).return_annotation
    assert plain is not inspect.Signature.empty
    assert "Flow" not in plain
    assert twin.replace("AsyncChatStream", "ChatStream") == plain


def test_options_are_shown_by_name() -> None:
    for name, option in (("txt2img", "quality"), ("chat", "temperature"), ("txt2vid", "seconds")):
        parameters = inspect.signature(OPERATIONS[name]).parameters
        assert parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
        assert next(iter(parameters)) == "self"
        assert not any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def ping(call: CallContext, *, times: int = 1) -> Flow[int]:
    """Ask whether the server is there."""
    for _ in range(times):
        yield from exchange(call, api_get(call.config, "/ping"))
    return times


class Pinger(puter.PuterAI):
    ping, async_ping = paired(ping)


async def test_a_new_operation_is_one_function_and_one_line(door: Door) -> None:
    door.answers({})
    ai = Pinger(token="t", transport=door.transport)
    assert await door(ai, "ping", times=2) == 2
    assert [sent.url for sent in door.sent] == ["https://api.puter.com/ping"] * 2
    for method in (Pinger.ping, Pinger.async_ping):
        assert str(inspect.signature(method)) == "(self, *, times: 'int' = 1) -> 'int'"
        assert method.__doc__ == ping.__doc__


@pytest.mark.parametrize("kind", [kind for kind in PUBLIC if inspect.isclass(kind)])
def test_every_public_thing_has_a_docstring(kind: type) -> None:
    assert kind.__doc__
    for name, method in public_methods(kind).items():
        if (getattr(method, "__module__", None) or "").startswith("puter"):
            assert method.__doc__, name


# ------------------------------------------------------------ imports, and names that are public


def test_every_error_is_exported() -> None:
    errors = {
        one.__name__
        for one in vars(exceptions).values()
        if inspect.isclass(one) and issubclass(one, (puter.PuterError, Warning))
    }
    assert errors == set(exceptions.__all__)
    assert errors <= set(NAMES)


def test_articles_are_chosen_by_the_word_that_follows() -> None:
    assert [with_article(one) for one in ("int", "_Odd", "UUID", "list", "user", "umbrella")] == [
        "an int", "an _Odd", "a UUID", "a list", "a user", "an umbrella"
    ]  # fmt: skip
    fixed = [
        f"{path.name}: {found}"
        for path in sorted(ROOT.rglob("*.py"))
        for found in re.findall(r"\b[Aa]n? \{.*", path.read_text("utf-8"))
        if "with_article" not in found
    ]
    assert not fixed


def test_all_is_sorted_complete_and_importable() -> None:
    assert sorted(NAMES) == NAMES
    assert set(NAMES) <= set(dir(puter))
    for name in NAMES:
        assert getattr(importlib.import_module("puter"), name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        getattr(puter, "nonsense")  # noqa: B009 - mypy knows that there is none
    assert (ROOT / "py.typed").is_file()


def imported(source: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""}
    return {name.partition(".")[0] for name in found}


def test_nothing_but_the_runtime_dependencies_is_imported() -> None:
    ours = {"aiohttp", "asyncio_throttle", "puter", "requests", "typing_extensions"}
    theirs = {"certifi", "charset_normalizer", "urllib3"}  # what requests brings along
    theirs |= {"multidict", "yarl"}  # what aiohttp does
    theirs |= {"PIL", "jsonschema", "pydantic"}  # if the user has it
    theirs |= {"keyring", "platformdirs", "tomli"}  # with a profile
    theirs |= {"redis"}  # with RedisLimiter
    theirs |= {"opentelemetry", "prometheus_client"}  # with the extensions of these names
    theirs |= {"orjson"}  # with Orjson
    theirs |= {"matplotlib", "tqdm"}  # with the chart and the progress bar of a batch
    of_parts = {"cli": {"click", "rich", "markdown_it"}}  # the last is what rich brings along
    of_parts |= {"langchain.py": {"langchain_core"}, "pydantic_ai.py": {"pydantic_ai"}}
    of_parts |= {"llm_plugin": {"llm"}, "display": {"IPython"}, "mcp": {"anyio", "httpx2", "mcp"}}
    for source in ROOT.rglob("*.py"):
        part = source.relative_to(ROOT).parts[0]
        if part in ("testing", "__pyinstaller"):
            continue
        allowed = ours | theirs | of_parts.get(part, set())
        assert imported(source) - sys.stdlib_module_names - {""} <= allowed, source


def python(program: str, **variables: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(ROOT.parent), **variables},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


NOT_LOADED = "import sys; loaded = {%r} & set(sys.modules); assert not loaded, loaded"


def test_importing_puter_is_light() -> None:
    python("import puter; " + NOT_LOADED % "requests" + "; " + NOT_LOADED % "aiohttp")
    python("import puter; " + NOT_LOADED % "asyncio" + "; " + NOT_LOADED % "puter.ai")
    python("import puter; puter.PuterAI(); puter.PuterError; " + NOT_LOADED % "requests")
    python("import puter; puter.PuterAI(); puter.PuterError; " + NOT_LOADED % "aiohttp")


def test_wire_loads_no_event_loop_randomness_clock_or_socket() -> None:
    modules = [
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        for path in sorted((ROOT / "wire").rglob("*.py"))
        if path.name != "__init__.py"
    ]
    assert "puter.wire.http" in modules
    python(
        "import importlib, sys\n"
        "import datetime, uuid  # types of users' values; they bring time with them\n"
        "sys.modules.pop('time', None)\n"
        f"for module in {modules!r}:\n"
        "    importlib.import_module(module)\n"
        "    loaded = {'asyncio', 'random', 'time', 'socket'} & set(sys.modules)\n"
        "    assert not loaded, (module, loaded)\n"
    )


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPuter]:
    with LocalPuter(tier=None) as running:
        yield running


def test_each_door_loads_its_own_library_only(server: LocalPuter) -> None:
    here = {
        "PUTER_API_BASE": server.api_base,
        "PUTER_LOGIN_URL": server.login_url,
        "PUTER_AUTH_TOKEN": server.token,
        "PUTER_PROXY": "",
    }
    python(
        "import puter\nwith puter.PuterAI() as ai: ai.chat('Hi')\n" + NOT_LOADED % "aiohttp", **here
    )
    python(
        "import asyncio, puter\n"
        "async def main():\n"
        "    async with puter.PuterAI() as ai: await ai.async_chat('Hi')\n"
        "asyncio.run(main())\n" + NOT_LOADED % "requests",
        **here,
    )


# ------------------------------------------------------------ failures below are all ours above

REQUEST = HttpRequest(
    "POST", "https://api.puter.com/drivers/call", timeout=1.0, connect_timeout=1.0
)
KEY: Any = ConnectionKey("api.puter.com", 443, True, True, None, None, None)
SECRET = "hush-hush-secret"
HELD: Any = SimpleNamespace(headers=SECRET, request=SECRET)
INFO = RequestInfo(
    URL("https://api.puter.com"), "POST", CIMultiDictProxy(CIMultiDict({"Authorization": SECRET}))
)
ARGUMENTS: list[tuple[Any, ...]] = [
    ("x",),
    (),
    (KEY, OSError(1, "x")),
    (KEY, Exception("x")),
    (INFO, ()),
    (b"x", b"y", "z", 1),
    ("/x", KEY, OSError(1, "x")),
    (SimpleNamespace(tell=lambda: 0, length_remaining=0), b"x"),
    (b"x", "y", 1),
    (None, "x"),
    (None, "/", "x"),
    (None, "/", None),
    (0, 1),
    (None, None, None),
    ("x", None),
]


def errors_of(*modules: ModuleType) -> dict[str, type[Exception]]:
    return {
        f"{kind.__module__}.{kind.__qualname__}": kind
        for module in modules
        for kind in vars(module).values()
        if inspect.isclass(kind)
        and issubclass(kind, Exception)
        and not issubclass(kind, Warning)
        and kind.__name__ != "WSMessageTypeError"  # no WebSockets here
        and kind.__module__ in (module.__name__, "aiohttp.client_exceptions")
    }


def built(kind: type[Exception]) -> Exception:
    for arguments in ARGUMENTS:
        try:
            error = kind(*arguments)
            str(error)
        except Exception:  # noqa: BLE001 - not the arguments of this one
            continue
        return error
    raise AssertionError(f"how is a {kind} made?")


BLOCKING = errors_of(requests.exceptions, urllib3.exceptions)
ASYNCHRONOUS = errors_of(aiohttp.client_exceptions, aiohttp.http_exceptions)
BUILTIN = [OSError(5, "x"), ConnectionResetError(104, "x"), BrokenPipeError(), TimeoutError("x")]


TRANSLATE: list[Any] = [requests_transport, aiohttp_transport]


def assert_mapped(transport: Any, error: Exception) -> None:
    for written in (False, True):
        exchange = transport._Exchange(REQUEST, time_left=5.0)
        exchange.attached, exchange.written = True, written
        ours = exchange.translate(error)
        if hasattr(exchange, "end"):
            exchange.end()
        assert isinstance(ours, puter.PuterError)
        assert ours.hint
        assert not isinstance(ours, puter.PuterServerError)
        if isinstance(ours, puter.PuterConnectionError):
            assert not (ours.sent and ours.retryable)  # a chat that may have run
            assert written or not ours.sent  # what was never written did not run
        if isinstance(error, LOST):
            assert isinstance(ours, puter.PuterConnectionError)
            assert ours.sent is written


LOST = (
    requests.ReadTimeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.ReadTimeoutError,
    aiohttp.ServerDisconnectedError,
    aiohttp.SocketTimeoutError,
    ConnectionResetError,
    BrokenPipeError,
)
"""What ends a request after its connection stood."""


@pytest.mark.parametrize("name", BLOCKING)
def test_every_error_of_requests_and_urllib3_is_mapped(name: str) -> None:
    assert_mapped(requests_transport, built(BLOCKING[name]))


@pytest.mark.parametrize("name", ASYNCHRONOUS)
def test_every_error_of_aiohttp_is_mapped(name: str) -> None:
    assert_mapped(aiohttp_transport, built(ASYNCHRONOUS[name]))


@pytest.mark.parametrize("error", BUILTIN, ids=repr)
@pytest.mark.parametrize("transport", TRANSLATE)
def test_errors_of_the_socket_are_mapped(transport: Any, error: Exception) -> None:
    assert_mapped(transport, error)


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("x"), RuntimeError("x"), MemoryError()]
)
@pytest.mark.parametrize("transport", TRANSLATE)
def test_what_is_no_failure_of_the_network_is_left_alone(transport: Any, error: Exception) -> None:
    assert transport._Exchange(REQUEST, None).translate(error) is None


def test_the_enumeration_found_the_libraries() -> None:
    assert len(BLOCKING) > 50
    assert len(ASYNCHRONOUS) > 30
    assert "aiohttp.client_exceptions.ServerDisconnectedError" in ASYNCHRONOUS


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    "proxy", ["http://me:hush-hush-secret@[bad", "socks5://me:hush-hush-secret@p:1"]
)
async def test_a_bad_proxy_of_the_environment_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, kind: str, proxy: str
) -> None:
    sent = sending(monkeypatch, AssertionError("it was sent"))
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    async with puter.PuterAI(token="t") as ai:
        with pytest.raises(puter.PuterConfigError, match="PUTER_PROXY") as caught:
            await chat(ai, kind)
    assert "hush" not in everything(caught.value)
    assert sent == []


# ------------------------------------------------------------ secrets


async def chat(ai: puter.PuterAI, kind: str) -> None:
    if kind == "sync":
        ai.chat("Hi")
    else:
        await ai.async_chat("Hi")


def everything(error: BaseException) -> str:
    """All that a log, a debugger or a bug report may show of an error and those behind it."""
    told = "".join(traceback.format_exception(error))
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        told += f"{one!r} {one} {one.args} {getattr(one, '__dict__', {})}"
        todo += [
            one.__cause__,
            one.__context__,
            *(x for x in one.args if isinstance(x, BaseException)),
        ]
    return told


TELLTALES: dict[str, list[Exception]] = {
    "sync": [
        requests.ConnectionError("x", request=HELD),
        requests.ReadTimeout("x", request=HELD),
        requests.exceptions.ContentDecodingError("x", response=HELD),
        requests.exceptions.ChunkedEncodingError("x", request=HELD),
    ],
    "async": [
        aiohttp.ClientResponseError(INFO, (), status=400, headers=INFO.headers),
        aiohttp.ClientHttpProxyError(INFO, (), status=407, message="x"),
        aiohttp.ContentTypeError(INFO, ()),
        aiohttp.WSServerHandshakeError(INFO, ()),
    ],
}


def sending(monkeypatch: pytest.MonkeyPatch, outcome: Exception) -> list[Any]:
    """Both libraries end each request like that; the list is of what they were to send."""
    sent: list[Any] = []

    def fail(*arguments: Any, **__: Any) -> Any:
        sent.append(arguments)
        raise outcome

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", fail)
    monkeypatch.setattr(aiohttp.ClientSession, "request", fail)
    return sent


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("number", range(4))
async def test_an_error_that_holds_the_request_cannot_tell_the_token(
    kind: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = sending(monkeypatch, TELLTALES[kind][number])
    async with puter.PuterAI(token=SECRET, max_retries=0) as ai:
        with pytest.raises(puter.PuterError) as caught:
            await chat(ai, kind)
    assert len(sent) == 1
    assert "hush" not in everything(caught.value)


FAULTS = [
    Failure(401, message=f"bad token {SECRET}", extra={"reauth_token": SECRET, "echo": [SECRET]}),
    Failure(500, body=f"<html>{SECRET}</html>"),
    Failure(404, body=SECRET, content_type="text/plain"),
    Failure(200, body="{", content_type="application/json", headers={"X-Echo": SECRET}),
    Disconnect(),
    Truncate(),
    InvalidUtf8(),
    Redirect(f"/?auth_token={SECRET}"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("path", ["/drivers/call", "/login"])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_no_secret_in_logs_errors_reprs_or_pickles(
    server: LocalPuter, caplog: pytest.LogCaptureFixture, kind: str, path: str, fault: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    ai = server.client(
        username="alice",
        password=SECRET,
        token=SECRET if path == "/drivers/call" else None,
        max_retries=0,
        headers={"X-Secret": SECRET},
    )
    server.fail_next(fault, path=path)
    with pytest.raises(puter.PuterError) as caught:
        await chat(ai, kind)
    shown = (
        everything(caught.value) + caplog.text + repr(vars(ai)) + repr(ai) + repr(vars(ai._shared))
    )
    shown += "".join(repr(vars(record)) for record in caplog.records)
    shown += str(pickle.dumps(caught.value)) + str(pickle.dumps(ai)) + str(pickle.dumps(ai.config))
    await ai.async_close()
    assert "hush" not in shown
    assert "puter.http" in caplog.text or fault in (Disconnect(), Truncate())  # logs were looked at


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_the_proxys_password_is_told_nowhere(
    server: LocalPuter, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level(logging.DEBUG)
    for proxy in (
        f"http://me:{SECRET}@127.0.0.1:9",
        f"http://me:{SECRET}@{server.url.partition('//')[2]}",
    ):
        ai = puter.PuterAI(token="t", api_base="https://127.0.0.1:9", proxy=proxy, max_retries=0)
        with pytest.raises(puter.PuterError) as caught:
            await chat(ai, kind)
        shown = (
            everything(caught.value)
            + caplog.text
            + repr(ai)
            + repr(vars(ai))
            + str(pickle.dumps(ai))
        )
        assert "hush" not in shown
        await ai.async_close()


async def test_debug_logs_say_what_happened_without_bodies(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "puter")
    door.answers((429, error_body("slow", "too_many_requests")), (402, error_body(SECRET, None)))
    with pytest.raises(puter.PuterQuotaError):
        await door(door.client(token=SECRET), "chat", f"prompt {SECRET}")
    told = [
        (record.name, record.levelname)
        for record in caplog.records
        if record.name.startswith("puter")
    ]
    assert told == [
        ("puter.calls", "DEBUG"),
        ("puter.http", "DEBUG"),
        ("puter.retry", "INFO"),
        ("puter.http", "DEBUG"),
        ("puter.errors", "DEBUG"),
    ]
    assert "POST https://api.puter.com/drivers/call -> 429" in caplog.text
    assert "hush" not in caplog.text
