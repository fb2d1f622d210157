"""A first conversation.

With PUTER_AUTH_TOKEN (or PUTER_USERNAME and PUTER_PASSWORD) set it talks to your Puter and is
billed; without, to a LocalPuter on this machine: no account, no network, no cost.

    python examples/quickstart.py
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from puter import PuterAI
from puter.testing import LocalPuter

CREDENTIALS = {"PUTER_AUTH_TOKEN", "PUTER_TOKEN", "PUTER_API_TOKEN", "PUTER_USERNAME"}


def main() -> None:
    with ExitStack() as stack:
        if os.environ.keys() & {
            "PUTER_AUTH_TOKEN",
            "PUTER_TOKEN",
            "PUTER_API_TOKEN",
            "PUTER_USERNAME",
        }:
            ai = stack.enter_context(PuterAI())
        else:
            puter = stack.enter_context(LocalPuter())
            ai = stack.enter_context(puter.client())
            print(f"No credentials set: talking to a LocalPuter at {puter.url}\n")

        for prompt in ("Hello! My name is Ada.", "What is 6 times 7?", "What is my name?"):
            reply = ai.chat(prompt)
            print(f"you:    {prompt}\n{reply.model}: {reply}\n")

        print(f"{ai.usage.requests} calls, {ai.usage.output_tokens} tokens, {ai.usage.cost} USD")


if __name__ == "__main__":
    main()
