"""The HTTP client for a server: its answers have an end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx2
from mcp.shared._httpx_utils import create_mcp_http_client

LARGEST = 50 * 2**20
"""Bytes of an answer at most; the library bounds each event of a stream by itself."""


def http_client(headers: Mapping[str, str], timeout: float) -> httpx2.AsyncClient:
    """A client with these headers.

    Args:
        headers: For all requests.
        timeout: Seconds of silence; what takes too long is ended by others.
    """
    client = create_mcp_http_client(dict(headers))
    client.headers["Accept-Encoding"] = "identity"  # a few bytes could become too many
    client.timeout = timeout
    client.event_hooks = {"response": [_bound]}
    return client


async def _bound(response: httpx2.Response) -> None:
    if not response.headers.get("Content-Type", "").lower().startswith("text/event-stream"):
        encoded = response.headers.get("Content-Encoding", "identity").lower() != "identity"
        response.stream = _Bounded(response.stream, 0 if encoded else LARGEST)


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: Any, most: int) -> None:
        self._stream, self._most = stream, most

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        size = 0
        async for piece in self._stream:
            size += len(piece)
            if size > self._most:
                raise httpx2.StreamError(
                    f"It is larger than {self._most} bytes"
                    if self._most
                    else "It is compressed, which nobody asked for"
                )
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
