"""Several questions at once, from async code; then an answer as it comes.

python examples/async_quickstart.py
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from where import open_client

if TYPE_CHECKING:
    from puter import PuterAI


async def main(ai: PuterAI) -> None:
    async with ai:
        # The client keeps to Puter's limits (3 at a time on a free account); no need to count.
        prompts = [f"What is {n} times {n}?" for n in range(2, 8)]
        replies = await asyncio.gather(*(ai.async_chat(p, remember=False) for p in prompts))
        for prompt, reply in zip(prompts, replies, strict=True):
            print(f"{prompt} {reply}")

        async with await ai.async_chat("Hello! My name is Ada.", stream=True) as stream:
            async for chunk in stream:
                print(chunk, end="", flush=True)

        print(f"\n\n{ai.usage.requests} calls, {ai.usage.cost} USD")


if __name__ == "__main__":
    with open_client() as ai:
        asyncio.run(main(ai))
