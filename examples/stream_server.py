"""A web endpoint that forwards a stream, here with aiohttp; others: docs/how-to/web-frameworks.md.

    python examples/stream_server.py 8080     then: curl -N 'localhost:8080/?q=Hello'

When the visitor leaves, the handler is cancelled and the stream closed, which releases its permit.
Without a port it serves one visit of its own and ends.
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp
from aiohttp import web
from where import open_client

from puter import PuterAI, PuterError

AI = web.AppKey("ai", PuterAI)


async def answer(request: web.Request) -> web.StreamResponse:
    question = request.query.get("q", "Hello!")
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    try:
        # Opened before the response, so that a refused call can still be answered with a status.
        stream = await request.app[AI].async_chat(question, stream=True, remember=False)
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


async def main(ai: PuterAI, port: int) -> None:
    app = web.Application()
    app[AI] = ai
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        url = "http://{}:{}/".format(*runner.addresses[0])
        print(f"Serving on {url}", flush=True)
        if port:
            await asyncio.Event().wait()
        params = {"q": "What is 6 times 7?"}
        async with aiohttp.request("GET", url, params=params) as page:
            print(await page.text())
    finally:
        await runner.cleanup()
        await ai.async_close()


if __name__ == "__main__":
    with open_client() as ai:
        port = int(sys.argv[1]) if sys.argv[1:] else 0
        if port not in range(65536):
            sys.exit(f"A port is at most 65535, not {port}")
        asyncio.run(main(ai, port))
