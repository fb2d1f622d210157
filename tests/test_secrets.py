"""No secret in what people see, however it is written, wherever it stands, and however long."""

from __future__ import annotations

import asyncio
import base64
import copy
import gc
import html
import json
import logging
import pickle
import time
import traceback
import tracemalloc
from collections.abc import Callable
from types import ModuleType
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

import puter
from puter.config import PuterConfig
from puter.engine.failures import conceal
from puter.exceptions import PuterConfigError, PuterError
from puter.frames import chain
from puter.secret import Secret, with_token
from puter.wire.http import build_request
from puter.wire.redact import LONGEST, MARK, Redactor, one_line, printable
from tests.door import Door, chat_body, chunks, error_body, stream_answer, text_answer, tool_call

TOKEN = 'tok"en/with\\slash-&-0123456789abcdef'
BODIES = "hush-hush-body"


# ------------------------------------------------------------ the object


def test_a_secret_is_shown_by_nothing_and_becomes_text_on_demand() -> None:
    one = Secret("hush-hush")
    shown = f"{one} {one!r} {one!s:>20} {[one]} %s" % one
    assert "hush" not in shown
    assert one.reveal() == "hush-hush"
    assert with_token({"A": "b"}, one) == {"A": "b", "Authorization": "Bearer hush-hush"}
    assert with_token({"A": "b"}, None) == {"A": "b"}


def test_a_secret_compares_and_copies_but_leaves_no_process() -> None:
    one = Secret("hush-hush")
    assert one == Secret("hush-hush") != Secret("else")
    assert len({one, Secret("hush-hush")}) == 1
    assert copy.copy(one) is one is copy.deepcopy(one)
    assert b"hush" not in pickle.dumps(one)
    assert one != "hush-hush"


# ------------------------------------------------------------ found however it is written

WRITTEN: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": json.dumps,
    "json in UTF-8": lambda text: json.dumps(text, ensure_ascii=False),
    "json in json": lambda text: json.dumps(json.dumps({"a": text})),
    "json, every character": lambda text: "".join(
        f"\\u{unit:04x}" for unit in memoryview(text.encode("utf-16-le")).cast("H")
    ),
    "json with slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "path": lambda text: quote(text, safe=""),
    "form": quote_plus,
    "URL in a URL": lambda text: quote(quote(text, safe=""), safe=""),
    "html": html.escape,
    "repr": repr,
    "repr of bytes": lambda text: repr(text.encode()),
    "html in html": lambda text: html.escape(html.escape(text)),
    "html in a URL": lambda text: quote(html.escape(text), safe=""),
    "a URL in html": lambda text: html.escape(quote(text, safe="")),
    "json in a URL": lambda text: quote(json.dumps(text), safe=""),
    "numbers in html": lambda text: "".join(f"&#{ord(one):08d};" for one in text),
    "numbers in html in html": lambda text: "".join(f"&amp;#{ord(one)};" for one in text),
    "numbers in html, unended": lambda text: "".join(f"&#x{ord(one):x}" for one in text),
    "long escapes": lambda text: "".join(f"\\U{ord(one):08x}" for one in text),
    "octal": lambda text: "".join(f"\\{one:03o}" for one in text.encode()),
    "escapes in a URL": lambda text: quote(WRITTEN["json, every character"](text), safe=""),
    "a URL in escapes": lambda text: "".join(f"\\u0025{one:02x}" for one in text.encode()),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
}
LETTERS = st.text("abcXYZ019", min_size=4, max_size=8)
ODD = st.text("\"'/\\<>&;%+= ~.\n\tüß€\U0001f600a1", max_size=4)
SECRETS = st.builds(lambda *pieces: "".join(pieces), LETTERS, ODD, LETTERS)


@pytest.mark.parametrize("way", WRITTEN)
@given(secret=SECRETS)
def test_a_secret_is_found_however_it_is_written(way: str, secret: str) -> None:
    written = WRITTEN[way](secret)
    shown = Redactor([Secret(secret)])(f"before {written} after")
    assert written not in shown
    assert MARK in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert len(shown) <= len(f"before {MARK} after") + len(WRITTEN[way]("")) + len('{"a": ""}') * 3


def test_what_stands_beside_it_stays() -> None:
    hide = Redactor([TOKEN])
    assert hide(f"a\\nb {TOKEN} c%20d") == f"a\\nb {MARK} c%20d"
    assert hide(f'{{"a": {json.dumps(TOKEN)}}}') == f'{{"a": "{MARK}"}}'


def test_user_and_password_in_base64_are_hidden() -> None:
    written = base64.b64encode(b"me:hunter2-geheim").decode()
    assert Redactor()(f"Authorization: Basic {written}") == f"Authorization: Basic {MARK}"
    assert Redactor()("a basic understanding") == "a basic understanding"


def test_what_signs_a_url_is_hidden() -> None:
    shown = Redactor()("see https://a.b/c/d.png?X-Signature=abc&x=1 or https://a.b/why?")
    assert shown == f"see https://a.b/c/d.png?{MARK} or https://a.b/why?"


def test_a_token_that_only_its_name_tells_is_hidden_in_broken_json() -> None:
    assert Redactor()('{"ok": 1, "token": "opaque') == f'{{"ok": 1, "token": "{MARK}'
    assert Redactor()({"API-Key": "k", "otp": 123456, "token": None, "a": True}) == {
        "API-Key": MARK,
        "otp": MARK,
        "token": None,
        "a": True,
    }


@pytest.mark.parametrize("cut", range(8, len(TOKEN), 5))
def test_the_beginning_of_a_secret_at_the_end_is_hidden(cut: int) -> None:
    assert Redactor([TOKEN])(f"x {TOKEN[:cut]}") == f"x {MARK}"


# ------------------------------------------------------------ before any cutting


@pytest.mark.parametrize("limit", [500, 1000])
def test_no_part_of_a_secret_is_left_where_a_text_is_cut(limit: int) -> None:
    hide = Redactor([TOKEN])
    for written in (TOKEN, json.dumps(TOKEN), quote(TOKEN)):
        for before in range(limit - len(written) - 12, limit + 2):
            shown = hide("." * before + written + "." * 5000, limit)
            assert len(shown) <= limit
            assert "tok" not in shown


@pytest.mark.parametrize("many", [0, 1, 50])
def test_nor_where_the_part_ends_that_is_looked_at(many: int) -> None:
    hide = Redactor([TOKEN])
    size = LONGEST // len(TOKEN) if many == 50 else many
    for before in range(LONGEST - 2 * len(TOKEN), LONGEST + 2):
        text = (TOKEN * size)[: before - before % len(TOKEN)]
        shown = hide(text + "." * (before - len(text)) + TOKEN * 9, LONGEST)
        assert "tok" not in shown


# ------------------------------------------------------------ in time

WORST = {
    "JWTs that begin": "eyJ",
    "JWTs that go on": "eyJ.",
    "JWTs and escapes": "eyJa.b\\",
    "addresses": "a://",
    "users of addresses": "://a@",
    "queries": "://a?",
    "backslashes": "\\",
    "percents": "%",
    "percents of percents": "%25",
    "entities": "&#x61;",
    "escapes in escapes": "&amp;" + "#x26;amp" * 9 + ";",
    "almost the secret": TOKEN[:-1],
    "the same letter": "a",
    "schemes": "bearer ",
    "members": '"token": ',
}


@pytest.mark.parametrize("name", WORST)
def test_five_megabytes_of_the_worst_take_seconds_not_hours(name: str) -> None:
    text = WORST[name] * (5 * 2**20 // len(WORST[name]))
    hide = Redactor([TOKEN, "aaaaaaaaaaaaaaaab"])
    began = time.process_time()
    hide(text)
    hide(f"basic {text}", 1000)
    assert time.process_time() - began < 30  # a hundredth of what a quadratic one needs


@pytest.mark.parametrize("text", ["eyJ" * 40_000, "://" * 40_000, "Bearer eyJ.a" * 10_000])
async def test_a_long_error_of_the_server_freezes_nobody(door: Door, text: str) -> None:
    door.answers((400, error_body(text, text, reason=text, deep=[text])))
    began = time.process_time()
    with pytest.raises(PuterError) as caught:
        await door(door.client(), "chat", "hi")
    assert time.process_time() - began < 10
    assert len(str(caught.value)) < 2500


@pytest.mark.parametrize("unit", ["%41", "&lt;", "\\u0041", f"{TOKEN} ", "://a@"])
@pytest.mark.parametrize("shape", ["message", "list", "fields", "page"])
def test_what_an_error_keeps_and_costs_is_bounded(unit: str, shape: str) -> None:
    text = unit * (3 * 2**20 // len(unit))
    body: Any = {
        "message": {"message": text, "code": "bad_request"},
        "list": [unit * 20] * 50_000,
        "fields": {f"{n}{unit}": {"a": [text]} for n in range(50_000)},
        "page": text,
    }[shape]
    error = puter.PuterBadRequestError(text, body=body, code=text)
    tracemalloc.start()
    try:
        began = time.thread_time()
        conceal(error, [Secret(TOKEN)])
        taken, (_, peak) = time.thread_time() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 25 * 2**20  # and not a multiple of the text
    assert taken < 20
    assert len(repr(error.body)) < 2**18
    assert TOKEN not in f"{error} {vars(error)}"
    if shape == "message":
        assert error.body["code"] == "bad_request"
        assert len(error.body["message"]) <= 1000
    if shape == "list":
        assert error.body[-1] == "\u2026"
    if shape == "fields":
        assert error.body["\u2026"] == "\u2026"


# ------------------------------------------------------------ in every place of an error


def shown_of(error: BaseException) -> str:
    return f"{error} {error!r} {vars(error)} {error.__cause__!r} {error.__context__!r}"


PLACES: dict[str, Callable[[str], Any]] = {
    "message": lambda it: (400, error_body(it, "bad_request")),
    "code": lambda it: (400, error_body("no", it)),
    "vendor's code": lambda it: (400, {"error": {"message": "no", "errorCode": it}}),
    "reason": lambda it: (401, error_body("no", "token_auth_failed", reason=it)),
    "key": lambda it: (400, error_body("no", None, **{it: [{it: it}]})),
    "attempts": lambda it: (
        503,
        error_body("All providers failed", "upstream_failed", attempts=[{"error": it}]),
    ),
    "page": lambda it: text_answer(f"<html>{'.' * 480}{it}", "text/html", 502),
    "broken json": lambda it: text_answer('{"a": ' + json.dumps(it), "application/json"),
    "type": lambda it: text_answer("x", f"text/{it}"),
    "redirect": lambda it: text_answer("", "text/html", 302, Location=f"/a/{it}/b"),
    "line": lambda it: stream_answer((f"{'.' * 70}{it}\n").encode()),
    "half a line": lambda it: stream_answer(f"no {it[: len(it) // 2]}".encode(), b""),
    "first line": lambda it: stream_answer(
        {"type": "error", "message": it, "status": 400, "code": it}
    ),
    "later line": lambda it: stream_answer(
        {"type": "text", "text": "Hi"}, {"type": "error", "message": it, "code": it}
    ),
    "busy": lambda it: (503, error_body("no", it)),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", ["plain", "json, every character", "path", "json in json"])
async def test_our_token_is_shown_in_no_place_of_an_error(
    door: Door, place: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    written = WRITTEN[way](TOKEN)
    door.answers(PLACES[place](written))
    with pytest.raises(PuterError) as caught:
        await chunks(await door(door.client(token=TOKEN), "chat", "hi", stream=True))
    told = shown_of(caught.value) + caplog.text
    for one in (written, written[:20], json.dumps(written)[1:21], TOKEN[:12]):
        assert one not in told


async def test_secret_headers_and_the_proxys_password_are_no_more_shown(door: Door) -> None:
    ai = door.client(headers={"X-Key": "hush-key"}, proxy="http://me:hush%2Fproxy@127.0.0.1:9")
    basic = base64.b64encode(b"me:hush/proxy").decode()
    door.answers((400, error_body(f"hush-key hush/proxy hush%2Fproxy {basic}", "bad_request")))
    with pytest.raises(PuterError) as caught:
        await door(ai, "chat", "hi")
    told = shown_of(caught.value)
    assert "hush" not in told
    assert basic not in told


HUSH = "hush-hush"
PROXY = f"http://me:{HUSH}@127.0.0.1:9"
SETTINGS: dict[str, dict[str, Any]] = {
    "proxy": {"proxy": f"socks5://me:{HUSH}@127.0.0.1:9"},
    "port of the proxy": {"proxy": f"http://127.0.0.1:{HUSH}"},
    "headers": {"headers": {"X-Api-Token": HUSH, "X": 5}},
    "value of a header": {"headers": {"X-Api-Token": f"{HUSH}\n"}},
    "no setting": {"token": HUSH},
    "another setting": {"proxy": PROXY, "headers": {"X-Api-Token": HUSH}, "timeout": -1},
    "a good one before": {"timeout": -1},
}
ENTRIES: dict[str, Callable[..., object]] = {
    "PuterAI": lambda ai, **wrong: puter.PuterAI(**{"token": "t", "max_retries": -1, **wrong}),
    "PuterAI(config)": lambda ai, **wrong: puter.PuterAI(
        config=ai.config, **{"token": HUSH, "max_retries": -1, **wrong}
    ),
    "with_options": lambda ai, **wrong: ai.with_options(**wrong),
    "PuterConfig": lambda ai, **wrong: _configured(**wrong),
    "from_env": lambda ai, **wrong: PuterConfig.from_env(**wrong),
    "update": lambda ai, **wrong: ai.config.update(**wrong),
    "replace": lambda ai, **wrong: ai.config.replace(**wrong),
    "setattr": lambda ai, **wrong: _assigned(ai.config, wrong),
    "attribute of the client": lambda ai, **_: setattr(ai, "token", HUSH),
    "header by name": lambda ai, **_: ai.config.headers.__setitem__("X-Api-Token", f"{HUSH}\n"),
    "headers updated": lambda ai, **_: ai.config.headers.update({"X-Api-Token": f"{HUSH}\n"}),
    "header if missing": lambda ai, **_: ai.config.headers.setdefault("X-New", f"{HUSH}\n"),
    "headers joined": lambda ai, **_: ai.config.headers.__ior__({"X-Api-Token": f"{HUSH}\n"}),
}


def _configured(token: str = "", **wrong: Any) -> PuterConfig:
    given: dict[str, Any] = {"proxy": PROXY, "max_retries": -1, **wrong}
    return PuterConfig(**given)


def _assigned(config: PuterConfig, wrong: dict[str, Any]) -> None:
    for name, value in wrong.items():
        setattr(config, name, value)


@pytest.mark.parametrize("wrong", SETTINGS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_wrong_setting_shows_no_secret_in_the_locals_of_a_traceback(
    entry: str, wrong: str
) -> None:
    ai = puter.PuterAI(token=HUSH, proxy=PROXY, headers={"X-Api-Token": HUSH})
    with pytest.raises(PuterConfigError) as caught:
        ENTRIES[entry](ai, **SETTINGS[wrong])
    for one in chain(caught.value):
        assert HUSH not in shown_of(one)
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if frame.f_code.co_filename != __file__:
                assert HUSH not in str({name: repr(it) for name, it in frame.f_locals.items()})


def test_an_exception_of_the_users_own_keeps_its_lines_there() -> None:
    class Strange(dict[str, str]):
        def __iter__(self) -> Any:
            raise LookupError

        keys = __iter__

    with pytest.raises(LookupError) as caught:
        PuterConfig(headers=Strange(a="b"))
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "__iter__"


def test_a_header_that_is_refused_is_not_left_behind() -> None:
    config = PuterConfig()
    with pytest.raises(PuterConfigError):
        config.headers |= {"X": "a\n"}
    assert config.headers == {}


def test_a_config_that_is_half_made_can_be_printed() -> None:
    assert repr(object.__new__(PuterConfig)) == "<PuterConfig not made>"


async def test_a_password_that_cannot_be_encoded_hides_no_error(door: Door) -> None:
    door.answers((400, error_body("no", "bad_request")))
    with pytest.raises(puter.PuterBadRequestError):
        await door(door.client(username="alice", password="half\ud83d-hush"), "whoami")


def test_what_is_the_users_own_stays_as_it_is() -> None:
    def tool() -> None:
        raise ValueError(f"with {BODIES}")

    with pytest.raises(ValueError, match="with") as caught:
        tool()
    mine = puter.ChatReply(BODIES)
    error = puter.PuterParseError(f"no {BODIES}", reply=mine, partial=mine)
    error.__cause__ = caught.value
    conceal(error, [Secret(BODIES)])
    assert (error.message, error.reply, error.partial) == (f"no {MARK}", mine, mine)
    assert str(caught.value) == f"with {BODIES}"


def test_what_a_library_said_is_text_without_secrets() -> None:
    library = RuntimeError(f"a {BODIES}", {"header": BODIES}, OSError(5, BODIES))
    library.told = f"b {BODIES}"  # type: ignore[attr-defined]
    error = puter.PuterConnectionError("no")
    error.__context__ = library
    conceal(error, [Secret(BODIES)])
    assert type(library) is RuntimeError
    assert library.args[0] == f"a {MARK}"
    assert library.args[1] == f"{{'header': '{MARK}'}}"
    assert vars(library) == {"told": f"b {MARK}"}


# ------------------------------------------------------------ one line of a log

FORGED = "no\n2026-01-01 INFO puter.http all is well\r\x1b[2J\u2028\x85\u202e"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_forges_no_line_of_a_log(
    door: Door, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    caplog.set_level(logging.DEBUG, "puter")
    body = error_body(FORGED, FORGED)
    door.answers((429, body), (400, body))
    with pytest.raises(PuterError) as caught:
        await chunks(await door(door.client(), "chat", "hi", stream=stream))
    for record in caplog.records:
        first, *rest = record.getMessage().splitlines()
        assert first.startswith("chat")
        assert all(line.startswith("  ") for line in rest)
        assert "\x1b" not in record.getMessage()
        assert not rest or record.name == "puter.errors"
    assert caught.value.message == one_line(FORGED).replace("\\n", "\n")  # for people
    assert caught.value.code == one_line(FORGED)


async def test_nor_does_a_model_by_the_name_of_a_tool(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "puter.tools")

    def known() -> str:
        """Do nothing."""
        return "done"

    door.answers(chat_body(None, message={"tool_calls": [tool_call(FORGED, "known")]}), chat_body())
    await door(door.client(), "chat", "hi", tools=[known])
    assert caplog.records
    for record in caplog.records:
        assert len(record.getMessage().splitlines()) == 1


@pytest.mark.parametrize("at", range(12, 44, 4))
async def test_a_picture_that_repeats_the_token_shows_no_part_of_it(door: Door, at: int) -> None:
    token = made("hush", "-", "hush", "-", "secret")
    address = f"data:image/png;base64,{'A' * (at - 12)}{token}"
    door.answers({"success": True, "result": address}, {"success": True, "result": address[5:]})
    for _ in range(2):
        with pytest.raises(PuterError) as caught:
            await door(door.client(token=token), "txt2img", "a cat")
        told = "".join(traceback.format_exception(caught.value))
        assert token[:6] not in told
        assert "neither a URL nor a data URI" in told


def test_control_characters_are_escaped() -> None:
    assert one_line("a\nb\x1b") == "a\\nb\\x1b"
    assert printable("a\nb\t\x1b\u202e") == "a\nb\t\\x1b\\u202e"


# ------------------------------------------------------------ kept alive by nobody


def made(*pieces: str) -> str:
    """A text that no constant of the code is."""
    return "".join(pieces)


def holders(*pieces: str) -> list[type]:
    """Types of the objects that hold a text or bytes with this in it, but for the caller's."""
    gc.collect()
    found = []
    for one in gc.get_objects():
        if isinstance(one, ModuleType):  # has its names in a dict of their own
            continue  # asyncio's of 3.12 would show what it freed, and the next gc never end
        for held in gc.get_referents(one):
            text = made(*pieces)
            if (type(held) is str and text in held) or (
                type(held) is bytes and text.encode() in held
            ):
                found.append(type(one))
            del text
    return found


@pytest.mark.parametrize("status", [200, 400])
async def test_a_code_is_kept_by_nobody_after_its_call(door: Door, status: int) -> None:
    challenge = {"next_step": "otp", "otp_jwt_token": made("ticket", "-of-once")}
    done = {"proceed": True, "token": "session-token-of-it"}
    door.answers(challenge, (status, done if status == 200 else error_body("no", "bad_request")))
    ai = door.client(token=None, username="alice", password="correct horse")
    try:
        await door(ai, "login", otp=lambda: made("4719", "3806"))
    except PuterError:
        assert status == 400
    door.sent.clear()
    door.transport.requests.clear()
    del door.transport._effect
    door.answers(chat_body())
    for _ in range(3):
        await asyncio.sleep(0)  # the loop lets go of the future of the user's function
    for pieces in (("4719", "3806"), ("ticket", "-of-once")):
        assert holders(*pieces) == []


def test_the_query_of_a_request_is_one_of_its_secrets() -> None:
    request = build_request(PuterConfig(), "GET", "https://host/a.png?sig=topsecret")
    assert [one.reveal() for one in request.secrets] == ["sig=topsecret"]
    assert build_request(PuterConfig(), "GET", "https://host/a.png").secrets == ()
