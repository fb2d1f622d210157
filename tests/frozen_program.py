"""What is frozen, and then has to chat: through both doors, plain and streamed, in a LocalPuter."""

from __future__ import annotations

import asyncio
import sys

from puter import PuterAI
from puter.testing import LocalPuter


async def through_the_async_door(ai: PuterAI) -> None:
    assert await ai.async_chat("One?") == "one"
    stream = await ai.async_chat("Two?", stream=True)
    assert "".join([chunk.text async for chunk in stream]) == "two"
    assert (await ai.async_list_models()).cheapest()
    await ai.async_close()


def main() -> None:
    assert getattr(sys, "frozen", False), "to be run as PyInstaller froze it"
    with LocalPuter() as puter:
        puter.reply_with("one", "two", "one", "two")
        with puter.client() as ai:
            assert ai.chat("One?") == "one"
            assert "".join(chunk.text for chunk in ai.chat("Two?", stream=True)) == "two"
            assert ai.list_models().cheapest()
        asyncio.run(through_the_async_door(puter.client()))
        assert len(puter.requests) == 6, puter.requests
    print("A frozen program chatted through both doors.")


if __name__ == "__main__":
    main()
