"""The log of prompts, answers and costs: off until it is turned on, for its owner alone."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from puter import PuterError
from puter.cli import log
from puter.testing import LocalPuter, faults
from puter.threads import running_loop
from tests.cli.conftest import Cli
from tests.door import USAGE, Door, error_body, shut, step, stream_answer, until_done


@pytest.fixture(params=["variable", "command"])
def logging(cli: Cli, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log is kept, in this file."""
    if request.param == "variable":
        monkeypatch.setenv("PUTER_AI_LOG", "calls.sqlite")
    else:
        assert cli("logs", "on").code == 0
    return Path(cli("logs", "path").out.strip())


def test_nothing_is_kept_until_somebody_wants_it(cli: Cli, signed_in: LocalPuter) -> None:
    assert cli("Hello").code == 0
    assert not os.path.exists(log.place())
    done = cli("logs")
    assert (done.code, done.out) == (0, "")
    assert done.err == "puter-ai: No log is kept: puter-ai logs on.\n"
    assert cli("logs", "off").code == 0
    assert not os.path.exists(log.place())


def test_calls_are_kept_with_what_they_cost(cli: Cli, signed_in: LocalPuter, logging: Path) -> None:
    signed_in.reply_with("Paris", "Madrid")
    assert cli("-s", "Be brief.", "Capital of France?").code == 0
    assert cli("--json", "-m", "gpt-4.1", "Capital of Spain?").code == 0
    assert cli("image", "A cat").code == cli("models").code == cli("whoami").code == 0
    assert stat.S_IMODE(logging.stat().st_mode) == 0o600
    first, second, third = cli("logs", "--json").json
    assert (first["prompt"], first["system"]) == ("Capital of France?", "Be brief.")
    assert (first["answer"], first["model"]) == ("Paris", "gpt-5-nano")
    assert float(first["cost"]) > 0
    assert first["output_tokens"] > 0
    assert (first["error"], first["provider"]) == (None, None)
    assert (second["answer"], second["model"]) == ("Madrid", "gpt-4.1")
    assert (third["operation"], third["prompt"], third["cost"]) == ("txt2img", "A cat", None)
    assert signed_in.token not in logging.read_bytes().decode("latin-1")


def test_what_sqlite_cannot_keep_is_kept_with_marks(
    cli: Cli, signed_in: LocalPuter, logging: Path
) -> None:
    signed_in.reply_with("a\0b")
    assert cli("caf\udce9").err.count("\n") == 1
    assert cli("Hello").code == 0
    first, second = cli("logs", "-n", "9" * 30, "--json").json
    assert first["prompt"] == "caf?"
    assert cli("logs", "--search", "b", "--json").json == [second]
    assert cli("logs", "--search", "\udce9", "--json").json == [first]


def test_a_database_of_another_program_is_refused_before_anything_is_sent(
    cli: Cli, signed_in: LocalPuter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PUTER_AI_LOG", "~/theirs.sqlite")
    with closing(sqlite3.connect(tmp_path / "theirs.sqlite")) as theirs:
        theirs.execute("CREATE TABLE calls (number)")
    for words in (("Hello",), ("logs",)):
        done = cli(*words)
        assert (done.code, done.err.count("\n")) == (1, 1)
        assert "theirs.sqlite cannot be used" in done.err
    assert signed_in.requests == []


def test_the_log_is_searched_and_shown(
    cli: Cli, signed_in: LocalPuter, logging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in.reply_with("100% \x1b[2Jsure\nand more", "Madrid")
    assert cli("Sure?").code == 0
    assert cli("Capital of Spain?").code == 0
    assert [one["answer"] for one in cli("logs", "--search", "madrid", "--json").json] == ["Madrid"]
    assert len(cli("logs", "--search", "0% ", "--json").json) == 1
    assert cli("logs", "--search", "1_0", "--json").json == []
    assert [one["answer"] for one in cli("logs", "-n", "1", "--json").json] == ["Madrid"]
    shown = cli("logs")
    assert "> Sure?\n100% sure and more\n" in shown.out
    assert "\n100% sure\nand more\n" in cli("logs", "--full").out
    monkeypatch.setenv("COLUMNS", "40")
    rows = cli("logs", "--search", "Sure?").out.splitlines()
    assert max(map(len, rows[1:])) <= 40


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_costs_are_summed_up_by_day_and_by_model(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No log is kept" in cli("logs", "costs").err
    monkeypatch.setenv("PUTER_AI_LOG", "calls.sqlite")
    with closing(sqlite3.connect("calls.sqlite")) as file, log.Log("calls.sqlite") as kept:
        kept.put({"at": "2026-11-25T14:59:59+00:00", "model": "o1", "cost": "0.10", "prompt": ""})
        for model, cost in (("o1", "0.20"), ("o3", "0.00000001"), (None, None)):
            tokens = {"input_tokens": 700, "output_tokens": 600} if cost else {}
            at = "2026-11-25T15:00:00+00:00"
            kept.put({"at": at, "model": model, "cost": cost, "prompt": "", **tokens})
        columns = {row[1] for row in file.execute("PRAGMA table_info(calls)")}
    first, second = cli("logs", "costs", "--json").json
    assert (first["day"], first["requests"], first["cost"]) == ("2026-11-25", 1, "0.10")
    assert second == {
        "day": "2026-11-26", "requests": 3, "input_tokens": 1400, "output_tokens": 1200,
        "cost": "0.20000001", "unpriced": 1,
    }  # fmt: skip
    since = ("logs", "costs", "--by", "model", "--since", "2026-11-26")
    assert [one["model"] for one in cli(*since, "--json").json] == ["o1", "o3", "unknown"]
    head, *rows, total, caption = map(str.split, cli(*since).out.splitlines())
    assert head == ["model", "calls", "tokens", "in", "tokens", "out", "USD"]
    assert rows[0] == ["o1", "1", "700", "600", "0.2"]
    assert rows[2] == ["unknown", "1", "0", "0", "?"]
    assert total == ["all", "3", "1,400", "1,200", "0.2", "+", "?"]
    assert caption[:5] == ["?:", "1", "of", "unknown", "cost."]
    assert cli("logs", "costs", "--until", "2026-11-25", "--json").json == [first]
    for day, found in (("2026-11-25", [first]), ("2026-11-26", [second]), ("2026-11-27", [])):
        assert cli("logs", "costs", "--since", day, "--until", day, "--json").json == found
    ever = ("--since", "0001-01-01", "--until", "9999-12-31")
    assert cli("logs", "costs", *ever, "--json").json == [first, second]
    assert cli("logs", "costs", "--since", "yesterday").code == 2
    page = Path(log.__file__).parents[2] / "docs" / "how-to" / "command-line.md"
    assert all(f"`{name}`" in page.read_text(encoding="utf-8") for name in columns)


def test_failures_are_kept_too(cli: Cli, signed_in: LocalPuter, logging: Path) -> None:
    for fault in (faults.insufficient_funds(), faults.cut_body()):
        signed_in.inject(fault, operation="chat", times=1)
        assert cli("Hello", "--no-stream").code == 1
    refused, lost = cli("logs", "--json").json
    assert (refused["prompt"], refused["answer"]) == ("Hello", None)
    assert "insufficient_funds" in refused["error"]
    assert (refused["cost"], lost["cost"]) == ("0", None)


def test_a_call_is_kept_from_its_beginning(cli: Cli, signed_in: LocalPuter, logging: Path) -> None:
    """Its program may be killed, and it is billed all the same."""
    running = []

    def answer(_call: object) -> str:
        with log.Log(str(logging)) as file:
            running.extend(file.find())
        return "Paris"

    signed_in.respond(answer)
    assert cli("Capital of France?").code == 0
    [call] = running
    assert (call["prompt"], call["error"]) == ("Capital of France?", "not ended")
    assert call["cost"] is call["answer"] is call["seconds"] is None
    [ended] = cli("logs", "--json").json
    assert (ended["id"], ended["answer"], ended["error"]) == (call["id"], "Paris", None)


def test_a_call_is_of_the_time_when_it_began(
    cli: Cli, signed_in: LocalPuter, logging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_time", lambda _: f"after {len(signed_in.requests)} requests")
    assert cli("Hello").code == 0
    assert [one["at"] for one in cli("logs", "--json").json] == ["after 0 requests"]


def test_no_file_is_made_to_show_the_log(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUTER_AI_LOG", "new/calls.sqlite")
    for words in ((), ("costs",), ("off",)):
        assert cli("logs", *words).code == 0
    assert cli("logs").err == "puter-ai: Nothing is in the log.\n"
    assert not os.path.exists("new")


def test_off_keeps_what_is_there(cli: Cli, signed_in: LocalPuter) -> None:
    cli("logs", "on")
    cli("Hello")
    assert cli("logs", "off").err == "puter-ai: No log is kept.\n"
    cli("Hello again")
    assert len(cli("logs", "--json").json) == 1
    cli("logs", "on")
    cli("Hello again")
    assert len(cli("logs", "--json").json) == 2


def test_a_damaged_log_can_be_turned_off(cli: Cli, signed_in: LocalPuter) -> None:
    assert cli("logs", "on").code == 0
    Path(log.place()).write_bytes(b"garbage" * 1000)
    done = cli("Hello")
    assert (done.code, signed_in.requests) == (1, [])
    assert "is not a database. Move it away, or keep no log: puter-ai logs off" in done.err
    assert cli("logs", "off").err == "puter-ai: No log is kept.\n"
    assert cli("Hello").code == 0
    assert cli("logs", "on").code == 1
    assert cli("Hello").code == 0
    os.unlink(log.place())
    assert cli("logs", "on").code == cli("Hello").code == 0
    assert len(cli("logs", "--json").json) == 1


def test_an_empty_variable_turns_it_off(
    cli: Cli, signed_in: LocalPuter, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("logs", "on")
    monkeypatch.setenv("PUTER_AI_LOG", "")
    cli("Hello")
    assert cli("logs", "--json").json == []


def test_what_is_no_log_is_left_alone_and_nothing_is_sent(
    cli: Cli, signed_in: LocalPuter, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("thesis.txt").write_text("x" * 5000)
    monkeypatch.setenv("PUTER_AI_LOG", "thesis.txt")
    done = cli("Hello")
    assert done.code == 1
    assert "The log thesis.txt cannot be used: file is not a database" in done.err
    assert "PUTER_AI_LOG names it; with an empty one no log is kept." in done.err
    assert Path("thesis.txt").read_text() == "x" * 5000
    assert signed_in.requests == []


def test_an_answer_is_worth_more_than_its_place_in_the_log(
    cli: Cli, signed_in: LocalPuter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUTER_AI_LOG", "calls.sqlite")

    def answer(_call: object) -> str:
        Path("calls.sqlite").write_bytes(b"x" * 5000)
        return "Paris"

    signed_in.respond(answer)
    done = cli("Capital of France?")
    assert (done.code, done.out) == (0, "Paris\n")
    assert "This call is not in the log" in done.err


@pytest.mark.parametrize("end", ["answered", "streamed", "failed", "left"])
async def test_no_event_loop_waits_for_the_file(
    door: Door, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, loops = str(tmp_path / "calls.sqlite"), []
    ai = door.client(max_retries=0).use(log.logging_to(path, pytest.fail))
    connect, before = sqlite3.connect, set(threading.enumerate())

    def connecting(*args: Any, **options: Any) -> sqlite3.Connection:
        loops.append(running_loop())
        opened: sqlite3.Connection = connect(*args, **options)
        return opened

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", connecting)
        if end == "answered":
            await door(ai, "chat", "Hi")
        elif end == "failed":
            door.answers((500, error_body("broken", None)))
            with pytest.raises(PuterError, match="broken"):
                await door(ai, "chat", "Hi")
        else:
            text = {"type": "text", "text": "Hello!"}
            door.answers(stream_answer(text, USAGE))
            stream = await door(ai, "chat", "Hi", stream=True)
            await step(stream)
            await (shut(stream) if end == "left" else until_done(stream))
        for one in set(threading.enumerate()) - before:
            one.join()
    assert len(loops) == 2  # as it begins, and as it ends
    assert set(loops) == {None} or door.kind == "sync"  # which blocks its caller anyway
    with log.Log(path) as file:
        [call] = file.find()
    wanted = {"failed": "broken", "left": "interrupted"}.get(end, "None")
    assert wanted in str(call["error"])
    assert call["answer"] == (None if end == "failed" else "Hello!")
    assert (call["cost"] is None) is (end == "left")
    assert call["prompt"] == "Hi"
