"""Two answers streamed at once, each line as it grows.

python examples/async_streaming.py
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from where import open_client

if TYPE_CHECKING:
    from puter import PuterAI


async def tell(ai: PuterAI, prompt: str) -> None:
    async with await ai.async_chat(prompt, stream=True, remember=False) as stream:
        async for chunk in stream:
            if chunk:
                print(f"{prompt!r}: {chunk!r}")
        print(f"{prompt!r}: done, {stream.reply.cost} USD")


async def main() -> None:
    with open_client() as ai:
        async with ai:
            await asyncio.gather(tell(ai, "What is 6 times 7?"), tell(ai, "Hello! My name is Ada."))


if __name__ == "__main__":
    asyncio.run(main())
