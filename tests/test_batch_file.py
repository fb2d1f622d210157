"""The file of a batch: what is torn, what is not ours, who has it open."""

from __future__ import annotations

import json
import os
import signal
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from puter import ChatReply, PuterInputError, PuterStreamError, ToolCall, Usage
from puter.batch.answers import AnswerFile
from puter.batch.records import outcome_of, record_of

KEY, OTHER = "ab" * 16, "cd" * 16
REPLY = ChatReply(
    "Hé",
    model="gpt-5-nano",
    usage=Usage(3, 2, 1, 0, raw={"prompt_tokens": 3}),
    cost=Decimal("0.1"),
    headers={"x": "y"},
)


def line(key: str = KEY, outcome: Any = REPLY) -> bytes:
    text = json.dumps(record_of(key, "item", outcome), ensure_ascii=False)
    return text.encode() + b"\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


@pytest.mark.parametrize(
    "reply",
    [
        REPLY,
        ChatReply("", model="m", tool_calls=(ToolCall("1", "add", {"a": 1}),)),
        ChatReply("No", model="m", refusal="No", finish_reason="content_filter", reasoning="Hm"),
    ],
)
def test_a_reply_goes_there_and_back(reply: ChatReply) -> None:
    back = outcome_of(json.loads(json.dumps(record_of(KEY, None, reply))))
    for name in ("text", "model", "cost", "finish_reason", "refusal", "reasoning", "tool_calls"):
        assert getattr(back, name) == getattr(reply, name), name
    assert back.usage.total_tokens == reply.usage.total_tokens


@pytest.mark.parametrize("value", ["text", 7, None, [1, {"a": None}], {"text": 1}])
def test_what_a_function_returns_goes_there_and_back(value: Any) -> None:
    assert outcome_of(json.loads(json.dumps(record_of(KEY, None, value)))) == value


def test_an_error_tells_what_was_paid() -> None:
    record = record_of(KEY, "item", PuterStreamError("cut", partial=REPLY))
    assert record["error"] == "PuterStreamError: cut"
    assert (record["text"], record["cost"]) == (None, "0.1")


def test_a_line_that_is_torn_anywhere_is_repaired(path: Path) -> None:
    first, torn = line(), line(OTHER)
    for cut in (*range(0, len(torn), 9), len(torn) - 1):
        whole = cut == len(torn) - 1  # all but the end of the line
        path.write_bytes(first + torn[:cut] + (b"" if whole else b"\0" * (cut % 2 * 50)))
        file = AnswerFile(path)
        assert file[KEY] == REPLY
        assert (OTHER in file) == whole
        file.write(record_of(OTHER, "again", REPLY))
        file.close()
        assert path.read_bytes().count(b"\n") == 2 + whole
        for one in path.read_bytes().splitlines():
            json.loads(one)


def test_a_good_line_counts_wherever_it_stands(path: Path) -> None:
    failed = line(KEY, PuterStreamError("cut"))
    for lines in ((failed, line()), (line(), failed), (line(),)):
        path.write_bytes(b"".join(lines))
        file = AnswerFile(path)
        assert file[KEY] == REPLY
        file.close()
    path.write_bytes(failed)
    file = AnswerFile(path)
    assert KEY not in file
    file.close()


@pytest.mark.parametrize(
    "content",
    [
        b"my notes",
        b"my notes\n",
        b'{"a": 1}\n',
        b"[]\n",
        b"\n",
        line() + b"\0\0\0\n" + line(),
        line().replace(KEY.encode(), b"no hex"),
        line().replace(b'"0.1"', b'"much"'),
        line().replace(b'"text"', b'"test"'),
        line() + b"torn by hand",
        b'{"key": "customer-4711", "no',
        b'{"key": "' + KEY.encode() + b'", "note": "whole, and of somebody else"}',
    ],
)
def test_what_is_not_ours_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(PuterInputError, match=r"Line [12] of .*answers.jsonl is no record"):
        AnswerFile(path)
    assert path.read_bytes() == content
    path.unlink()
    AnswerFile(path).close()  # nothing of the other is left locked


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_only_ordinary_files(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(PuterInputError, match="no ordinary file"):
        AnswerFile(path)
    with pytest.raises(IsADirectoryError):
        AnswerFile(path.parent)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_does_not_keep_the_lock(path: Path) -> None:
    file = AnswerFile(path)
    child = os.fork()
    if child == 0:  # as a worker of a pool whose parent is killed
        signal.pause()
        os._exit(0)
    try:
        with pytest.raises(PuterInputError, match="Another batch"):
            AnswerFile(path)
        os.close(file._descriptor)  # as the end of the parent does
        file._descriptor = -1
        for _ in range(1000):  # until the child has run its hooks
            try:
                AnswerFile(path).close()
                break
            except PuterInputError:
                signal.sigtimedwait([], 0.01)
        else:
            pytest.fail("the child keeps the lock")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        file._reader.close()


def test_a_file_system_without_locks_is_told_and_used(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    file = AnswerFile(path)
    file.write(record_of(KEY, None, REPLY))
    file.close()
    assert "cannot be locked" in caplog.text


def test_windows_locks_a_byte_far_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for msvcrt, as these tests run elsewhere."""
    locked: list[tuple[int, int]] = []

    class Msvcrt:
        LK_NBLCK = 2

        @staticmethod
        def locking(descriptor: int, mode: int, count: int) -> None:
            if locked:
                raise OSError(13, "Permission denied")
            locked.append((os.lseek(descriptor, 0, os.SEEK_CUR), count))

    monkeypatch.setitem(sys.modules, "msvcrt", Msvcrt)
    monkeypatch.setattr(sys, "platform", "win32")
    file = AnswerFile(path)
    assert locked == [(2**31 - 2, 1)]
    file.write(record_of(KEY, None, REPLY))
    with pytest.raises(PuterInputError, match="Another batch"):
        AnswerFile(path)
    file.close()
    assert path.read_bytes() == line(KEY).replace(b'"item": "item"', b'"item": null')
