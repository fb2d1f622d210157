"""An agent with a calculator and a clock.

python examples/agent.py "Calculate 12 * 34, and tell the time."
"""

from __future__ import annotations

import ast
import datetime as dt
import operator
import sys
from typing import TYPE_CHECKING, Any

from where import open_client

if TYPE_CHECKING:
    from puter import ToolCall

SIGNS: dict[type[ast.AST], Any] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.USub: operator.neg,
}  # fmt: skip


def calculate(expression: str) -> float:
    """Work out an arithmetic expression.

    Args:
        expression: Numbers with + - * / and parentheses, such as "2 * (3 + 4)".
    """
    number: float = value_of(ast.parse(expression, mode="eval").body)
    return number


def value_of(node: ast.expr) -> Any:
    match node:
        case ast.Constant(int() | float() as number):
            return number
        case ast.UnaryOp(sign, inner) if type(sign) in SIGNS:
            return SIGNS[type(sign)](value_of(inner))
        case ast.BinOp(left, sign, right) if type(sign) in SIGNS:
            return SIGNS[type(sign)](value_of(left), value_of(right))
        case _:
            raise ValueError(f"{ast.unparse(node)} is not arithmetic")  # the model reads this


def clock() -> dt.datetime:
    """Tell the current date and time, in UTC."""
    return dt.datetime.now(dt.timezone.utc)


def show(call: ToolCall) -> None:
    print(f"[{call.name} {call.arguments}]")


def main() -> None:
    prompt = " ".join(sys.argv[1:]) or "Calculate 12 * 34, and tell the time."
    with open_client() as ai:
        reply = ai.chat(prompt, tools=[calculate, clock], before_tool=show)
        print(f"{reply}\n\n{reply.usage.output_tokens} tokens, {reply.cost} USD")


if __name__ == "__main__":
    main()
