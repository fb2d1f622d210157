"""Several questions at once, from async code.

With PUTER_AUTH_TOKEN (or PUTER_USERNAME and PUTER_PASSWORD) set it talks to your Puter and is
billed; without, to a LocalPuter on this machine: no account, no network, no cost.

    python examples/async_quickstart.py
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack

from puter import PuterAI
from puter.testing import LocalPuter

CREDENTIALS = {"PUTER_AUTH_TOKEN", "PUTER_TOKEN", "PUTER_API_TOKEN", "PUTER_USERNAME"}


async def main() -> None:
    async with AsyncExitStack() as stack:
        if os.environ.keys() & {
            "PUTER_AUTH_TOKEN",
            "PUTER_TOKEN",
            "PUTER_API_TOKEN",
            "PUTER_USERNAME",
        }:
            ai = await stack.enter_async_context(PuterAI())
        else:
            puter = await stack.enter_async_context(LocalPuter())
            ai = await stack.enter_async_context(puter.client())
            print(f"No credentials set: talking to a LocalPuter at {puter.url}\n")

        # The client keeps to Puter's limits (3 at a time on a free account); no need to count.
        prompts = [f"What is {n} times {n}?" for n in range(2, 8)]
        replies = await asyncio.gather(*(ai.async_chat(p, remember=False) for p in prompts))
        for prompt, reply in zip(prompts, replies, strict=True):
            print(f"{prompt} {reply}")

        print(f"\n{ai.usage.requests} calls, {ai.usage.output_tokens} tokens, {ai.usage.cost} USD")


if __name__ == "__main__":
    asyncio.run(main())
