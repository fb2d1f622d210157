"""What a failed call shows the user: short tracebacks, their own lines, attempts and seconds."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import pickle
import re
import socket
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import puter
from puter import PuterAI, ToolCall
from puter.engine import failures
from tests.door import REFUSED, Door, answer, chunks, error_body, label, stream_answer

FRAMES = 10
"""Frames of a traceback at most, those of the test included."""


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


async def streamed(door: Door, ai: Any) -> None:
    await chunks(await door(ai, "chat", "hi", stream=True))


WAYS: dict[str, Callable[[Door, PuterAI], Any]] = {
    "chat": lambda door, ai: door(ai, "chat", "hi"),
    "stream": streamed,
    "parse": lambda door, ai: door(ai, "parse", "three primes", list[int]),
    "conversation": lambda door, ai: door(ai.conversation(), "chat", "hi"),  # type: ignore[arg-type]
    "picture": lambda door, ai: door(ai, "txt2img", "a cat"),
    "speech": lambda door, ai: door(ai, "txt2speech", "hello"),
    "listing": lambda door, ai: door(ai, "list_files", "~/"),
}


@pytest.fixture
def nowhere() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


async def failing(door: Door, ai: PuterAI, way: str) -> puter.PuterError:
    with pytest.raises(puter.PuterError) as caught:
        await WAYS[way](door, ai)
    if door.kind == "async":
        await ai.async_close()
    return caught.value


def check_short(error: BaseException) -> None:
    text = shown(error)
    assert text.count("  File ") <= FRAMES, text
    assert text.count("Traceback") == 1, text
    assert "requests" not in text, text
    assert "aiohttp" not in text, text
    assert "await WAYS[way](door, ai)" in text  # the user's own line


@pytest.mark.parametrize("way", WAYS)
async def test_without_credentials_the_users_line_is_shown_and_few_of_ours(
    door: Door, way: str
) -> None:
    check_short(await failing(door, door.client(token=None), way))


@pytest.mark.parametrize("way", WAYS)
async def test_a_typo_in_the_model_is_shown_as_shortly(door: Door, way: str) -> None:
    door.answers((400, error_body("Model not found: gpt-5-nnano", "bad_request")))
    error = await failing(door, door.client(), way)
    check_short(error)


@pytest.mark.parametrize("way", WAYS)
async def test_offline_is_shown_as_shortly_and_says_how_often_it_was_tried(
    door: Door, way: str, nowhere: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "puter")
    ai = PuterAI(token="t", api_base=nowhere, login_url=nowhere, retry_delay=0.001, max_retries=3)
    error = await failing(door, ai, way)
    check_short(error)
    assert isinstance(error, puter.PuterConnectionError)
    assert error.attempts == 4
    assert error.elapsed is not None
    assert "(ECONNREFUSED) after 4 attempts in 0." in str(error)
    assert isinstance(error.__context__, Exception)  # the library's own, for whoever looks
    assert error.__cause__ is None
    retries = [one for one in caplog.records if one.name == "puter.retry"]
    assert [one.levelname for one in retries] == ["INFO", "WARNING", "WARNING"]
    assert "refused" in retries[-1].getMessage()


async def test_the_whole_story_is_logged_with_debug(
    door: Door, nowhere: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "puter.errors")
    ai = PuterAI(token="t", api_base=nowhere, login_url=nowhere, max_retries=0)
    await failing(door, ai, "chat")
    assert "chat failed" in caplog.text
    assert "run_turn" in caplog.text
    assert "requests.exceptions" in caplog.text or "aiohttp.client_exceptions" in caplog.text


async def test_a_stream_that_breaks_is_shown_with_what_broke_it(door: Door) -> None:
    door.answers(stream_answer({"type": "text", "text": "Hel"}, REFUSED))
    error = await failing(door, door.client(), "stream")
    text = shown(error)
    assert text.count("  File ") <= FRAMES
    assert "puter.exceptions.PuterConnectionError: No connection" in text
    assert isinstance(error.__cause__, puter.PuterConnectionError)


def users_function() -> str:
    raise puter.PuterInputError("from the user's own function")


def users_broken_function() -> str:
    raise ValueError("a mistake of the user's")


async def test_what_a_users_function_raises_keeps_its_frames(door: Door) -> None:
    """Code of the second factor, asked of a function."""
    challenge = {"next_step": "otp", "otp_jwt_token": "t"}
    for function, kind in (
        (users_function, puter.PuterInputError),
        (users_broken_function, ValueError),
    ):
        door.answers(challenge)
        ai = door.client(token=None, username="alice", password="correct horse")
        with pytest.raises(kind) as caught:
            await door(ai, "login", otp=function)
        assert function.__name__ in [
            one.name for one in traceback.extract_tb(caught.value.__traceback__)
        ]


def approve_badly(_call: Any) -> bool:
    return bool(users_broken_function())


BROKEN: dict[str, dict[str, Any]] = {
    "tool": {"tools": [users_broken_function], "raise_tool_errors": ValueError},
    "before_tool": {"tools": [users_function], "before_tool": approve_badly},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("given", BROKEN)
async def test_what_a_tool_raises_for_the_caller_is_shown_without_our_frames(
    door: Door, given: str, stream: bool
) -> None:
    options = BROKEN[given]
    name = options["tools"][0].__name__
    door.answers(answer(stream, "", ToolCall("c1", name)))

    async def go() -> None:
        await chunks(await door(door.client(), "chat", "hi", stream=stream, **options))

    with pytest.raises(ValueError, match="a mistake") as caught:
        await go()
    names = [one.name for one in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "users_broken_function"
    assert ("approve_badly" in names) == (given == "before_tool")
    assert "go" in names
    assert "advance" not in " ".join(names)
    assert len(names) <= FRAMES, names


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt])
async def test_what_is_no_mistake_stays_itself_and_the_log_knows_where_it_came(
    door: Door, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "puter.errors")
    stop = kind()
    door.answers(lambda _: stop_with(stop))
    with pytest.raises(kind) as caught:
        await door(door.client(), "chat", "hi")
    assert caught.value is stop
    names = [one.name for one in traceback.extract_tb(stop.__traceback__)]
    assert names[-1] == "stop_with"  # the user's
    assert "exchange" not in names
    assert " in exchange" in caplog.text


def stop_with(stop: BaseException) -> Any:
    raise stop


async def test_an_error_while_another_is_handled_still_shows_that_one(nowhere: str) -> None:
    door = Door("sync")  # what aiohttp raises hides what came before, by itself
    ai = PuterAI(token="t", api_base=nowhere, login_url=nowhere, max_retries=0)
    error: BaseException | None = None
    try:
        users_broken_function()
    except ValueError:
        error = await failing(door, ai, "chat")
    assert error is not None
    text = shown(error)
    assert "a mistake of the user's" in text
    assert "During handling of the above exception" in text
    assert text.count("Traceback") == 2


async def test_a_transport_of_the_users_keeps_its_frames(door: Door) -> None:
    door.answers(lambda _: users_function())
    error = await failing(door, door.client(), "chat")
    assert "users_function" in shown(error)


async def test_a_shortened_error_is_copied_and_pickled_whole(door: Door, nowhere: str) -> None:
    ai = PuterAI(token="t", api_base=nowhere, login_url=nowhere, retry_delay=0, max_retries=1)
    error = await failing(door, ai, "chat")
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (str(twin), vars(twin)) == (str(error), vars(error))
        assert twin.__traceback__ is None


async def test_one_attempt_is_not_counted_in_words(door: Door) -> None:
    door.answers((402, error_body("No usage left.", "insufficient_funds")))
    error = await failing(door, door.client(), "chat")
    assert (error.attempts, error.elapsed is not None) == (1, True)
    assert "attempt" not in str(error)


async def test_a_program_that_fails_prints_a_page_at_most(nowhere: str) -> None:
    program = (
        f"import puter\nputer.PuterAI(token='t', api_base='{nowhere}', retry_delay=0).chat('hi')"
    )
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.stderr.rstrip().splitlines()[-1].startswith("puter.exceptions.PuterConnectionError")
    assert len(ran.stderr.splitlines()) <= 15, ran.stderr


# ------------------------------------------------------------ blocking an event loop


@pytest.fixture
def caught() -> Any:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield seen


def blocking(seen: list[warnings.WarningMessage]) -> list[warnings.WarningMessage]:
    return [one for one in seen if issubclass(one.category, puter.PuterBlockingWarning)]


async def test_a_sync_method_in_an_event_loop_warns_once_and_names_its_twin(caught: Any) -> None:
    ai = Door("sync").client()
    for _ in range(2):
        ai.chat("hi")
        ai.conversation().chat("hi")
    assert [one.filename for one in blocking(caught)] == [__file__]
    assert "await async_chat() instead" in str(blocking(caught)[0].message)


@pytest.mark.parametrize(
    ("use", "twin"),
    [
        (lambda ai: ai.parse("three primes", list[int]), "async_parse"),
        (lambda ai: ai.whoami(), "async_whoami"),
        (lambda ai: ai.txt2img("a cat"), "async_txt2img"),
    ],
    ids=label,
)
async def test_each_method_names_its_own(caught: Any, use: Any, twin: str) -> None:
    door = Door("sync")
    door.answers({"success": True, "result": "[2, 3, 5]"})
    with pytest.raises(puter.PuterError):
        use(door.client())
    assert twin in str(blocking(caught)[0].message)


async def test_a_sync_stream_warns_too(caught: Any) -> None:
    door = Door("sync")
    door.answers(stream_answer({"type": "text", "text": "Hi"}, {"type": "usage", "usage": {}}))
    list(door.client().chat("hi", stream=True))
    assert [one.filename for one in blocking(caught)] == [__file__]


async def test_nobody_is_warned_without_need(caught: Any) -> None:
    ai = Door("sync").client()
    await asyncio.to_thread(ai.chat, "in a thread")
    await Door("async").client().async_chat("hi")
    notebook: dict[str, Any] = {"__name__": "IPython.core.interactiveshell"}
    exec("def run_code(function, *args): function(*args)", notebook)
    notebook["run_code"](ai.chat, "in a cell")
    assert blocking(caught) == []
    asyncio.get_running_loop().call_soon(ai.chat, "in a callback of a service")
    await asyncio.sleep(0)
    assert len(blocking(caught)) == 1


def test_a_sync_call_without_a_loop_warns_of_nothing(caught: Any) -> None:
    Door("sync").client().chat("hi")
    assert blocking(caught) == []


# ------------------------------------------------------------ arguments


class Plain:
    pass


WRONG: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "option of a picture": ("txt2img", ("hi",), {"size": 5}),
    "value of an option": ("txt2img", ("hi",), {"width": "5"}),
    "option of a chat": ("chat", ("hi",), {"temprature": 1}),
    "value of a chat": ("chat", ("hi",), {"max_tokens": 0}),
    "tool": ("chat", ("hi",), {"tools": [5]}),
    "tool's type": ("chat", ("hi",), {"tools": [lambda x: x], "tool_choice": "y"}),
    "value as a type": ("parse", ("hi", 5), {}),
    "list as a type": ("parse", ("hi", [int]), {}),
    "plain class": ("parse", ("hi", Plain), {}),
    "retries": ("parse", ("hi", int), {"retries": -1}),
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_arguments_are_shown_in_few_lines(door: Door, name: str) -> None:
    method, args, kwargs = WRONG[name]
    ai = door.client()
    with pytest.raises((TypeError, puter.PuterInputError)) as caught:
        await door(ai, method, *args, **kwargs)
    text = shown(caught.value)
    assert text.count("Traceback") == 1, text
    assert text.count(f"{os.sep}puter{os.sep}") <= 4, text
    assert door.sent == []


async def test_an_error_of_our_own_making_says_where_it_came_from(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "puter.errors")
    monkeypatch.setattr("puter.api.images.driver_args", None)
    with pytest.raises(TypeError) as caught:
        await door(door.client(), "txt2img", "hi")
    place = re.compile(r"images\.py:\d+ in txt2img")
    assert place.search(caplog.text)
    if sys.version_info >= (3, 11):
        assert place.search(shown(caught.value))


@pytest.mark.parametrize(
    ("method", "args", "hint"),
    [
        ("txt2speech", ("hi", "nova"), r"keyword arguments, such as voice=\.\.\. or model="),
        ("img2txt", (b"x", "describe"), "keyword arguments, such as"),
        ("speech2txt", (b"x", "whisper-1"), r"keyword arguments, such as model="),
        ("txt2img", ("x", "m", {}), r"keyword arguments, such as ratio="),
    ],
)
async def test_options_by_position_are_told_to_be_keyword_arguments(
    door: Door, method: str, args: tuple[Any, ...], hint: str
) -> None:
    with pytest.raises(TypeError, match=f"positional arguments but .*{hint}"):
        await door(door.client(), method, *args)
    assert door.sent == []


async def test_other_slips_of_a_call_are_told_as_python_does(door: Door) -> None:
    with pytest.raises(TypeError, match=r"missing .* 'method'$"):
        await door(door.client(), "call", "puter-kvstore")
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'drivr'.*'driver'"):
        await door(door.client(), "call", "puter-kvstore", "get", drivr="x")


async def test_options_as_a_dict_in_the_place_of_the_model(door: Door) -> None:
    with pytest.raises(puter.PuterInputError, match="model must be"):
        await door(door.client(), "txt2img", "x", {"quality": "low"})


# ------------------------------------------------------------ frames


def places_of(error: BaseException) -> list[str]:
    return [one.name for one in traceback.extract_tb(error.__traceback__)]


def raised_in(module: str, error: BaseException, calls: Callable[[], Any] | None = None) -> Any:
    """A function of that module, which raises the error or calls another function."""
    source = "def go():\n    if calls is not None:\n        calls()\n    raise error"
    names: dict[str, Any] = {"__name__": module, "error": error, "calls": calls}
    exec(source.replace("go", module.partition(".")[0]), names)
    return names[module.partition(".")[0]]


def caught_from(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - an interrupt among them
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
        return error
    raise AssertionError("it raised nothing")


@pytest.mark.parametrize(
    ("calls", "left"),
    [
        (["puter", "requests", "urllib3"], []),
        (["puter", "users", "puter", "requests"], ["users"]),
        (["puter", "users", "requests", "urllib3"], ["users", "requests", "urllib3"]),
        (["puter", "asyncio", "users", "json"], ["users", "json"]),
        (["puter", "requests", "instrumented", "urllib3"], []),  # it saw the headers
        (["puter", "PIL", "users"], ["users"]),
    ],
)
def test_whose_frames_are_left(calls: list[str], left: list[str]) -> None:
    error = ValueError("x")
    function: Any = None
    for module in reversed(calls):
        function = raised_in(module, error, function)
    assert places_of(failures.short(caught_from(function))) == left


def test_exceptions_lose_their_frames_wherever_they_hang() -> None:
    first, second, third = (caught_from(raised_in("urllib3", OSError(5, name))) for name in "abc")
    outer = caught_from(raised_in("requests", RuntimeError("x", first)))
    outer.reason = second  # type: ignore[attr-defined]
    second.__context__ = third
    error = puter.PuterError("no")
    error.__cause__ = outer
    assert all(one.__traceback__ is not None for one in (first, second, third, outer))
    failures.short(error)
    assert all(one.__traceback__ is None for one in (first, second, third, outer))


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, OSError])
def test_what_closing_a_stream_raises_leaves_by_the_same_door(stop: type[BaseException]) -> None:
    door = Door("sync")
    door.answers(stream_answer({"type": "text", "text": "Hi"}, {"type": "text", "text": "Ho"}))
    stream = door.client().chat("hi", stream=True)
    next(stream)

    def fail() -> None:
        raise stop

    stream._body.close = fail  # type: ignore[union-attr, method-assign]
    with pytest.raises(stop) as caught:
        stream.close()
    assert "streamed_answer" not in places_of(caught.value)
    assert places_of(caught.value)[-1] == "fail"
    del stream._body.close  # type: ignore[union-attr]
    stream.close()
