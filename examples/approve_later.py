"""A tool waits for an approval, which comes later and elsewhere: the turn is a JSON file meanwhile.

The two steps share that file alone; here one process makes both, one after the other.

python examples/approve_later.py
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from where import open_client

from puter import ChatReply, PuterAI, PuterError, ToolCall


class ApprovalNeeded(PuterError):
    """Somebody has to say yes first."""


def refund(amount: int) -> str:
    """Refund some dollars.

    Args:
        amount: How many.
    """
    print(f"(Here {amount} dollars would be paid back.)")
    return f"refunded {amount} dollars"


def hold(call: ToolCall) -> bool:
    if call.name == "refund":
        raise ApprovalNeeded(f"{call.name} {call.arguments} needs an approval")
    return True


def ask(ai: PuterAI, waiting: Path) -> None:
    """The first step: it ends where the approval is missing."""
    try:
        print(ai.chat("Refund 5 dollars.", tools=[refund], before_tool=hold))
    except ApprovalNeeded as error:
        if isinstance(error.partial, ChatReply):
            waiting.write_text(json.dumps(error.partial.to_dict()), encoding="utf-8")
            print(f"{error}; {error.partial.cost} USD so far")


def approve(ai: PuterAI, waiting: Path) -> None:
    """The second step. Whoever comes later finds no file: no tool runs twice."""
    taken = waiting.rename(waiting.with_suffix(".taken"))
    turn = json.loads(taken.read_text(encoding="utf-8"))
    reply = ai.chat(resume=turn, tools=[refund])
    print(f"{reply}\n{reply.cost} USD in all")


def main() -> None:
    with TemporaryDirectory() as folder:
        waiting = Path(folder) / "turn.json"
        with open_client() as ai:
            ask(ai, waiting)
            ai.clear_chat_history()  # another process would have none either
            approve(ai, waiting)


if __name__ == "__main__":
    main()
