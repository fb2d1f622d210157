"""A web endpoint that forwards a stream, here with aiohttp; others: docs/how-to/web-frameworks.md.

    python examples/stream_server.py --port 8080     then: curl -N 'localhost:8080/?q=Hello'

When the visitor leaves, the handler is cancelled and the stream closed, which releases its permit.
Without --port it serves one visit of its own and ends.
"""

from __future__ import annotations

import argparse
import asyncio

import aiohttp
from aiohttp import web
from where import open_client

from puter import PuterAI, PuterError

AI = web.AppKey("ai", PuterAI)


async def answer(request: web.Request) -> web.StreamResponse:
    ai = request.app[AI]
    question = request.query.get("q", "Hello!")
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    try:
        # Opened before the response, so that a refused call can still be answered with a status.
        stream = await ai.async_chat(question, stream=True, remember=False)
    except PuterError as error:
        return web.Response(status=502, text=f"{error}\n")
    async with stream:
        await response.prepare(request)
        try:
            async for chunk in stream:
                await response.write(str(chunk).encode())
        except PuterError as error:
            await response.write(f"\n[{error}]".encode())
    await response.write_eof()
    return response


async def serve(port: int | None) -> None:
    with open_client() as ai:
        app = web.Application()
        app[AI] = ai
        app.router.add_get("/", answer)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port or 0)
        await site.start()
        print(f"Serving on {(url := f'http://{runner.addresses[0][0]}:{runner.addresses[0][1]}/')}")
        try:
            if port:
                await asyncio.Event().wait()
            async with (
                aiohttp.ClientSession() as visitor,
                visitor.get(url, params={"q": "What is 6 times 7?"}) as page,
            ):
                print(await page.text())
        finally:
            await runner.cleanup()
            await ai.async_close()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int)
    asyncio.run(serve(arguments.parse_args().port))
