"""A real browser without a window: pages, clicks and what is seen, over the DevTools protocol."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def chromium(folder: Path, *hosts: str) -> Generator[str]:
    """Start it; yields the address that tools connect to.

    Args:
        folder: Its profile.
        hosts: Names that lead to this machine; no others but ``localhost`` are looked up.
    """
    if PROGRAM is None:
        pytest.skip("there is no chromium on this machine: apt-get install chromium")
    rules = [*(f"MAP {name} 127.0.0.1" for name in hosts), "MAP * ~NOTFOUND"]
    rules += ["EXCLUDE localhost", "EXCLUDE 127.0.0.1"]
    arguments = [
        "--headless=new",
        "--no-sandbox",  # which needs rights that containers lack
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        f"--host-resolver-rules={', '.join(rules)}",
    ]
    process = subprocess.Popen(
        [PROGRAM, *arguments, "about:blank"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stderr is not None
    with process, process.stderr as told:
        try:
            yield next(
                found[1].decode()
                for line in told
                if (found := re.search(rb"DevTools listening on (ws://\S+)", line))
            )
        finally:
            process.kill()


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[Any]) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._session: str | None = None

    async def _do(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        while True:
            answer = await self._socket.receive_json()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    async def open(self) -> None:
        target = await self._do("Target.createTarget", url="about:blank")
        target = await self._do("Target.attachToTarget", **target, flatten=True)
        self._session = target["sessionId"]

    async def go(self, url: str) -> None:
        await self._do("Page.navigate", url=url)

    async def load(self, url: str) -> None:
        """Go there, and wait until all of the page has come."""
        await self.go(url)
        await self.until(f"document.readyState == 'complete' && location.href == {json.dumps(url)}")

    async def resize(self, width: int, height: int = 1000) -> None:
        """Give the page a window of so many pixels, narrower than browsers allow."""
        await self._do(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self._do("Input.insertText", text=text)

    async def see(self, expression: str) -> Any:
        """The value of an expression in the page."""
        found = await self._do("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until an expression in the page has a value that counts as true."""
        for _ in range(1000):
            try:
                if found := await self.see(expression):
                    return found
            except AssertionError:
                pass  # it is on its way to another page
            await asyncio.sleep(0.02)
        raise AssertionError(f"{expression} is not so on {await self.see('location.href')}")

    async def fill(self, selector: str, text: str) -> None:
        place = f"document.querySelector({json.dumps(selector)})"
        await self.until(f"{place} != null")
        await self.see(f"{place}.focus(), {place}.select()")
        await self.type(text)

    async def click(self, selector: str) -> None:
        """Press and release the mouse in the middle of an element."""
        place = f"document.querySelector({json.dumps(selector)})"
        await self.until(f"document.readyState == 'complete' && {place} != null")
        box = f"{place}.getBoundingClientRect()"
        x, y = await self.see(f"[{box}.x + {box}.width / 2, {box}.y + {box}.height / 2]")
        for kind in ("mousePressed", "mouseReleased"):
            await self._do(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )


@asynccontextmanager
async def page(browser: str) -> AsyncGenerator[Page]:
    """A new tab of the browser at this address."""
    async with aiohttp.ClientSession() as session, session.ws_connect(browser) as socket:
        one = Page(socket)
        await one.open()
        yield one
