"""The tutorial's chatbot on a terminal, with the client of its last step."""

from __future__ import annotations

import sys
from pathlib import Path

from puter.testing import Gate, LocalPuter, Reply
from tests.docs.transcript import PROGRAM, ROOT
from tests.terminal import CTRL_C, CTRL_D, UP, Terminal

PAGE = ROOT / "docs" / "tutorial.md"


def test_ctrl_c_stops_an_answer_of_the_chatbot(tmp_path: Path) -> None:
    program = PROGRAM.search(PAGE.read_text("utf-8"))
    assert program is not None
    code = program["code"].replace("LocalPuter().start().client()", "PuterAI()")
    (tmp_path / "chatbot.py").write_text(f"from puter import PuterAI\n{code}", "utf-8")
    with LocalPuter() as server:
        server.reply_with(Reply(chunks=["Once upon ", "a time"], gate=Gate()), "Fine.", "Yes.")
        variables = {
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
            "PUTER_API_BASE": server.api_base,
            "PUTER_AUTH_TOKEN": server.token,
        }
        command = [sys.executable, "-W", "error", "chatbot.py"]
        with Terminal(command, folder=tmp_path, environment=variables) as terminal:
            terminal.at_prompt()
            terminal.child.send("A story\r")
            terminal.child.expect("Once upon")
            terminal.child.send(CTRL_C)
            terminal.child.expect(r"\[stopped\]")
            terminal.at_prompt()
            assert "[1 call, cost not known]" in terminal.lines
            assert "Fine." in terminal.type("How are you?")
            terminal.type(UP)  # readline: that question again
            asked = [one.json["args"]["messages"][-1]["content"] for one in server.chats]
            assert asked == ["A story", "How are you?", "How are you?"]
            assert terminal.leave(CTRL_D) == 0
            assert "Traceback" not in terminal.log.getvalue()
