"""What a call leaves in memory: neither its request nor its token. In a process of its own."""

from __future__ import annotations

import pytest

from puter.testing import LocalPuter
from tests.sockets.programs import run

LARGE = 8 * 2**20
"""Characters of a prompt whose request would be noticed."""

PROGRAM = """
import tracemalloc

def holders():
    gc.collect()
    token = f"Bearer {ai._shared.credentials.token}"
    found = []
    for one in gc.get_objects():
        values = one.values() if type(one) is dict else one if type(one) in (list, tuple) else ()
        found += [one for value in values if type(value) is str and value == token]
    return len(found)

def chat(text):
    reply = ai.chat(text, "fake", remember=False, stream=STREAM)
    return reply.until_done() if STREAM else reply

async def async_chat(text):
    reply = await ai.async_chat(text, "fake", remember=False, stream=STREAM)
    return await reply.until_done() if STREAM else reply

def told():
    gc.collect()
    print(tracemalloc.get_traced_memory()[0], holders())

async def main():
    await async_chat("warm")
    tracemalloc.start()
    await async_chat("x" * LARGE)
    told()  # while the loop and its timers go on

ai.config.deadline = 60
if DOOR == "sync":
    chat("warm")
    tracemalloc.start()
    chat("x" * LARGE)
else:
    run(main())
told()
ai.close()
told()
"""


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("door", ["sync", "async"])
def test_a_call_that_ended_keeps_neither_its_body_nor_its_token(door: str, streamed: bool) -> None:
    with LocalPuter(tier=None) as puter:
        puter.respond(lambda _call: "short")
        told = run(puter, f"DOOR, STREAM, LARGE = {door!r}, {streamed}, {LARGE}\n{PROGRAM}")
    for line in told.splitlines():
        held, holders = map(int, line.split())
        assert held < LARGE / 2
        assert holders == 0
