"""A real model on this machine, answering one request at a time."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any

import aiohttp

from puter.testing.replies import UpstreamFailure
from puter.testing.weights import Weights

CONTEXT = 8192
"""Tokens of a conversation and its answer."""

LONGEST = 2048
"""Tokens of an answer, where a call sets no limit."""

_LOADING = 300.0  # seconds that loading may take
_SILENCE = 300.0  # seconds until the first token, of a long prompt, or between two
_PATIENCE = 2.0  # seconds in which it may end by itself
_PROGRAM = """\
import json, sys
sys.path[:] = json.loads(sys.stdin.readline())
from puter.testing.llama_process import serve
serve()
"""
_REASON = re.compile(r"error loading model: (.+)")
_CODES = {"exceed_context_size_error": "context_length_exceeded"}
_SAID = 8192  # bytes kept of what the process complained of


class Refused(Exception):
    """llama.cpp does not answer a request, or not to its end."""

    def __init__(self, status: int, message: str, kind: str | None = None) -> None:
        super().__init__(message)
        self._status, self._kind = status, kind

    def as_failure(self) -> UpstreamFailure:
        """What a vendor that refuses this would answer."""
        return UpstreamFailure(self._status, str(self), _CODES.get(self._kind or "", self._kind))


class NotRunning(Exception):
    """The model could not be loaded, or its process ended."""


class Llama:
    """The model, loaded when it is first asked; only the event loop of one server uses it."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._turn = asyncio.Lock()
        self._loading: asyncio.Task[_Process] | None = None

    async def answer(self, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The chunks of a chat completion, in OpenAI's form; whoever closes this stops the model.

        Requests take their turn in the order in which they came.

        Raises:
            Refused: The model cannot do it.
            NotRunning: There is no model.
        """
        async with self._turn:
            process = await self._running()
            if body.get("tools") and not process.abilities.get("supports_tools"):
                # Ollama's words; llama.cpp would leave the tools out and say nothing.
                raise Refused(400, f"{self.weights.name} does not support tools")
            try:
                async with process.session.post("/v1/chat/completions", json=body) as response:
                    if response.status != 200:
                        raise _refusal(response.status, await response.text())
                    async for line in response.content:
                        if line.startswith(b"data: {"):
                            chunk = json.loads(line[len(b"data: ") :])
                            if "error" in chunk:
                                raise _refusal(500, line[len(b"data: ") :].decode())
                            yield chunk
            except (aiohttp.ClientError, TimeoutError, asyncio.TimeoutError) as error:
                await self.close()  # the next request begins anew
                raise NotRunning(f"its process ended in the midst of an answer ({error})") from None

    async def _running(self) -> _Process:
        if self._loading is None or (self._loading.done() and not _is_alive(self._loading)):
            self._loading = asyncio.create_task(_Process.start(self.weights))
        # Shielded: who asked first may leave, and the next finds it loaded.
        return await asyncio.shield(self._loading)

    async def close(self) -> None:
        """End the process, whatever it does."""
        loading, self._loading = self._loading, None
        if loading is not None:
            loading.cancel()
            with suppress(asyncio.CancelledError, NotRunning):
                await (await loading).close()


def _is_alive(loading: asyncio.Task[_Process]) -> bool:
    failed = loading.cancelled() or loading.exception() is not None
    return not failed and loading.result().process.returncode is None


def _refusal(status: int, body: str) -> Refused:
    try:
        error = json.loads(body)["error"]
        status, message = int(error.get("code", status)), str(error["message"])
        if "not supported" in message:  # a picture, for example; llama.cpp says 500
            status = 400
        return Refused(status, message, error.get("type"))
    except (ValueError, LookupError, TypeError, AttributeError):
        return Refused(status, body[:200])


class _Process:
    """llama.cpp's server, and the connections to it."""

    session: aiohttp.ClientSession
    abilities: Mapping[str, Any]

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._said = b""
        self._reading = asyncio.create_task(self._read_complaints())

    @classmethod
    async def start(cls, weights: Weights) -> _Process:
        """Load the weights. Raises NotRunning."""
        pipe, key = asyncio.subprocess.PIPE, secrets.token_urlsafe()
        process = cls(
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", _PROGRAM, stdin=pipe, stdout=pipe, stderr=pipe
            )
        )
        settings = {
            "path": weights.path,
            "key": key,  # not as an argument, which other users may see
            "context": CONTEXT,
            "longest": LONGEST,
            "threads": _threads(),
        }
        try:
            address = await asyncio.wait_for(process.told(sys.path, settings), _LOADING)
            headers = {"Authorization": f"Bearer {key}"}
            timeout = aiohttp.ClientTimeout(total=None, sock_read=_SILENCE)
            # llama.cpp closes idle connections when it likes.
            connector = aiohttp.TCPConnector(force_close=True)
            process.session = aiohttp.ClientSession(
                address, headers=headers, timeout=timeout, connector=connector
            )
            async with process.session.get("/props") as response:
                process.abilities = (await response.json(content_type=None))["chat_template_caps"]
        except BaseException as error:
            await process.close()
            if isinstance(error, asyncio.CancelledError):
                raise
            reason = process.reason() if isinstance(error, EOFError) else repr(error)
            raise NotRunning(f"{weights.path} cannot be loaded: {reason}") from None
        return process

    async def told(self, *lines: Any) -> str:
        """Tell it what to do, and wait until it says where it listens; "" when it ends instead."""
        assert self.process.stdin is not None  # noqa: S101 - both are pipes
        assert self.process.stdout is not None  # noqa: S101
        self.process.stdin.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        async for line in self.process.stdout:
            if line.startswith(b"http://"):
                return line.decode().strip()
        raise EOFError("the process ended")

    async def _read_complaints(self) -> None:
        assert self.process.stderr is not None  # noqa: S101
        while data := await self.process.stderr.read(_SAID):
            self._said = (self._said + data)[-_SAID:]

    def reason(self) -> str:
        """Why the model was not loaded, in llama.cpp's words."""
        said = self._said.decode(errors="replace").strip()
        found = _REASON.search(said)
        return found[1] if found else said[said.rfind("\n") + 1 :]

    async def close(self) -> None:
        if hasattr(self, "session"):
            await self.session.close()
        assert self.process.stdin is not None  # noqa: S101
        self.process.stdin.close()  # which ends it
        try:
            await asyncio.wait_for(self.process.wait(), _PATIENCE)
        except asyncio.TimeoutError:  # it is loading
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        await self._reading


def _threads() -> int:
    """Half of what this process may use: the other half are mostly the same cores again."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 2
    return max(1, min(cores // 2, 8))
