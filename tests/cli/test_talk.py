"""A talk: what commands do, what is sent, and what an answer that fails or is stopped leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puter.cli.session import Session
from puter.cli.talk import COMMANDS, STOPPED, Talk
from puter.exceptions import PuterInputError
from puter.testing import samples
from tests.door import CUT, USAGE, Door, error_body, stream_answer


def says(*texts: str) -> Any:
    """A streamed answer."""
    return stream_answer(*({"type": "text", "text": one} for one in texts), USAGE)


def interrupt() -> bytes:
    raise KeyboardInterrupt


BROKEN = {
    "cut": stream_answer({"type": "text", "text": "Hel"}, CUT),
    "refused": (402, error_body("No funds", "insufficient_funds")),
    "expired": (401, error_body("Expired", "token_auth_failed")),
    "unknown model": (400, error_body("Model not found", "model_not_found")),
}


class Typing:
    """A talk and its server; ``type()`` types lines, interrupts among them."""

    def __init__(self, *, interactive: bool = True, **options: Any) -> None:
        self.door = Door("sync")
        self.door.answers(says("Hel", "lo!"))
        self.ai = self.door.client(default_model="gpt-5-nano")
        self._left: list[Any] = []
        self.talk = Talk(
            Session(),
            self.ai,
            self.ai.conversation(),
            self._read,
            interactive=interactive,
            options=options,
        )

    def _read(self) -> str:
        one = self._left.pop(0) if self._left else EOFError()
        if isinstance(one, BaseException):
            raise one
        return str(one)

    def type(self, *typed: str | BaseException) -> None:
        self._left = list(typed)
        self.talk.run()

    @property
    def said(self) -> list[Any]:
        return [one["content"] for one in self.talk.conversation.messages]

    def asked(self) -> list[Any]:
        """The last message of each request."""
        return [one.args["messages"][-1]["content"] for one in self.door.sent]


@pytest.fixture
def typing() -> Typing:
    return Typing()


def test_messages_are_answered_in_turn(typing: Typing, capsys: pytest.CaptureFixture[str]) -> None:
    typing.type("One", "", "   ", '"""Two\nlines"""')
    assert typing.said == ["One", "Hello!", "Two\nlines", "Hello!"]
    shown = capsys.readouterr()
    assert (shown.out.split(), shown.err) == (["Hello!", "Hello!"], "")


def test_options_go_with_every_message(capsys: pytest.CaptureFixture[str]) -> None:
    typing = Typing(temperature=0.5)
    typing.type("One", "Two")
    assert [one.args["temperature"] for one in typing.door.sent] == [0.5, 0.5]


# ------------------------------------------------------------ what is no message


@pytest.mark.parametrize("line", ["/x", "/modle gpt-4.1", "/", "/etc/passwd", "/Model", "//"])
def test_an_unknown_command_is_sent_to_nobody(
    typing: Typing, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    typing.type(line, "One")
    assert typing.asked() == ["One"]
    told = capsys.readouterr().err
    assert "nothing was sent" in told
    assert ("Did you mean '/model'?" in told) == (line in ("/modle gpt-4.1", "/Model"))


def test_a_space_in_front_sends_what_looks_like_a_command(typing: Typing) -> None:
    typing.type(" /etc/passwd, what is it?")
    assert typing.asked() == ["/etc/passwd, what is it?"]


@pytest.mark.parametrize("leave", ["/quit", "/exit", "/bye", "quit", "exit"])
def test_it_is_left_by_many_words(typing: Typing, leave: str) -> None:
    typing.type("One", leave, "Two")
    assert typing.asked() == ["One"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/save", "Type: /save FILE"),
        ("/load", "Type: /load FILE"),
        ("/image", "Type: /image PATH|URL [TEXT]"),
        ("/undo 2", "takes nothing more"),
        ("/quit now", ""),
        ("/load nowhere.json", "nowhere.json: No such file"),
        ("/image nowhere.png What?", "nowhere.png: No such file"),
        ("/save nowhere/talk.json", "no such folder"),
    ],
)
def test_a_command_that_cannot_be_carried_out_costs_nothing(
    typing: Typing, line: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    typing.type(line)
    assert typing.asked() == []
    shown = capsys.readouterr().err
    assert told in shown
    assert shown.count("\n") <= 1
    assert typing.talk.failed == bool(told)


def test_help_names_every_command(typing: Typing, capsys: pytest.CaptureFixture[str]) -> None:
    typing.type("/help")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: len(COMMANDS)]] == list(COMMANDS)


# ------------------------------------------------------------ commands


def test_the_model_is_changed_in_the_middle(
    typing: Typing, capsys: pytest.CaptureFixture[str]
) -> None:
    typing.type("/model", "One", "/model GPT-4.1", "Two", "/model gpt-9-ultra", "Three", "/model")
    assert [one.args["model"] for one in typing.door.sent] == [
        "gpt-5-nano",
        "gpt-4.1",
        "gpt-9-ultra",
    ]
    shown = capsys.readouterr()
    assert [one for one in shown.out.split() if one != "Hello!"] == [
        "gpt-5-nano", "gpt-4.1", "gpt-9-ultra", "gpt-9-ultra",
    ]  # fmt: skip
    assert shown.err.startswith(
        "No model 'gpt-9-ultra' is known here; it is asked for all the same."
    )


def test_instructions_are_shown_changed_and_dropped(
    typing: Typing, capsys: pytest.CaptureFixture[str]
) -> None:
    typing.type("/system", '/system """Be\nbrief."""', "One", '/system ""', "Two")
    roles = [[one["role"] for one in sent.args["messages"]] for sent in typing.door.sent]
    assert roles == [["system", "user"], ["user", "assistant", "user"]]
    assert typing.door.sent[0].args["messages"][0]["content"] == "Be\nbrief."
    assert capsys.readouterr().out.splitlines() == [
        "No instructions.", "Be", "brief.", "Hello!", "No instructions.", "Hello!",
    ]  # fmt: skip


def test_undo_takes_back_whole_turns(typing: Typing, capsys: pytest.CaptureFixture[str]) -> None:
    typing.type("One", "Two", "/undo", "Three", "/undo", "/undo", "/undo")
    assert typing.said == []
    assert [len(one.args["messages"]) for one in typing.door.sent] == [1, 3, 3]
    assert capsys.readouterr().out.endswith("Nothing to undo.\n")


def test_clear_keeps_model_and_instructions(typing: Typing) -> None:
    typing.type("/system Be brief.", "/model gpt-4.1", "One", "/clear", "Two")
    assert typing.door.sent[1].args["model"] == "gpt-4.1"
    assert [one["role"] for one in typing.door.sent[1].args["messages"]] == ["system", "user"]


def test_a_conversation_is_saved_and_loaded(
    typing: Typing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    typing.type("/model gpt-4.1", "One", "/save ~/my talk.json", "Two", '/save "~/my talk.json"')
    other = Typing()
    other.type(f"/load {tmp_path}/my\\ talk.json", "Three")
    assert other.said == ["One", "Hello!", "Two", "Hello!", "Three", "Hello!"]
    assert other.talk.model == "gpt-4.1"


def test_save_replaces_nothing_but_a_conversation(
    typing: Typing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "letter.json"
    other.write_text('{"dear": "diary"}')
    typing.type("One", f"/save {other}")
    typing.type(f"/save {__file__}")
    assert json.loads(other.read_text()) == {"dear": "diary"}
    assert capsys.readouterr().err.count("holds no conversation, and is left as it is") == 2


def test_an_empty_conversation_replaces_none(
    typing: Typing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "talk.json"
    typing.type(f"/save {path}", f"/save {path}", "One", f"/save {path}")
    before = path.read_text()
    assert capsys.readouterr().err == ""
    Typing().type(f"/save {path}")
    assert path.read_text() == before
    told = capsys.readouterr().err
    assert f"Nothing was said yet, and {path} is left as it is" in " ".join(told.split())


def test_a_file_that_holds_no_conversation_leaves_the_present_one(
    typing: Typing, tmp_path: Path
) -> None:
    (tmp_path / "letter.txt").write_text("Dear diary")
    typing.type("One", f"/load {tmp_path}/letter.txt", "Two")
    assert typing.said == ["One", "Hello!", "Two", "Hello!"]


def shown_images(message: Any) -> int:
    return sum(part["type"] == "image_url" for part in message) if isinstance(message, list) else 0


def test_images_go_with_their_message_alone(typing: Typing, tmp_path: Path) -> None:
    path = tmp_path / "my cat.png"
    path.write_bytes(samples.PNG)
    typing.type(
        f"/image '{path}' Who is it?",
        "And now?",
        f"/image '{path}'",
        f"/image '{path}'",
        "Both?",
        f"/image '{path}'",
        "/clear",
        "None?",
    )
    assert [shown_images(one) for one in typing.asked()] == [1, 0, 2, 0]


def test_the_cost_is_told(typing: Typing, capsys: pytest.CaptureFixture[str]) -> None:
    typing.type("/cost", "One", "Two", "/cost")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "0 USD"
    assert lines[-1] == "0.000156 USD, 22 tokens in, 14 out"


# ------------------------------------------------------------ answers that go wrong


def test_what_is_no_text_is_told_to_whoever_typed_it(
    typing: Typing, capsys: pytest.CaptureFixture[str]
) -> None:
    typing.type(PuterInputError("That is no text"), "One")
    assert typing.said == ["One", "Hello!"]
    assert capsys.readouterr().err == "puter-ai: That is no text\n"


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("interactive", [True, False])
def test_an_error_is_one_line_and_the_talk_goes_on(
    broken: str, interactive: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    typing = Typing(interactive=interactive)
    typing.door.answers(says("Yes."), BROKEN[broken], says("No."))
    typing.type("One", "Two", "Three")
    assert typing.said == ["One", "Yes.", "Three", "No."]
    told = capsys.readouterr().err
    assert told.startswith("puter-ai: ")
    assert told.count("\n") == 1
    assert typing.talk.failed


@pytest.mark.parametrize(
    "answer",
    [
        stream_answer({"type": "text", "text": "Hel"}, interrupt),
        stream_answer(interrupt),
        lambda _: interrupt(),
    ],
    ids=["in the midst", "before the first word", "before the answer"],
)
def test_ctrl_c_stops_an_answer_and_not_the_talk(
    typing: Typing, answer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    typing.door.answers(says("Yes."), answer, says("No."))
    typing.type("One", "Two", "Three")
    assert typing.said == ["One", "Yes.", "Three", "No."]
    shown = capsys.readouterr()
    assert shown.err.strip() == STOPPED
    assert [one for one in shown.out.split() if one != "Hel"] == ["Yes.", "No."]
    assert typing.ai._throttle.running == 0


def test_ctrl_c_at_the_prompt_drops_the_line(
    typing: Typing, capsys: pytest.CaptureFixture[str]
) -> None:
    typing.type(KeyboardInterrupt(), KeyboardInterrupt(), "One")
    assert typing.said == ["One", "Hello!"]
    assert STOPPED not in capsys.readouterr().err


def test_ctrl_c_ends_what_nobody_types() -> None:
    typing = Typing(interactive=False)
    typing.door.answers(stream_answer(interrupt))
    with pytest.raises(KeyboardInterrupt):
        typing.type("One", "Two")
    assert typing.asked() == ["One"]
