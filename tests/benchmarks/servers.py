"""The row of LocalPuter: CPU of a server's process, its own and a bare aiohttp.web handler's.

Run as a module it is one of the two servers: it prints its port and a token, then for each line
that it reads the seconds of CPU it has spent.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.client import HTTPConnection

from aiohttp import web

from puter.testing import LocalPuter
from tests.benchmarks.contenders import WHOLE
from tests.benchmarks.processes import server
from tests.benchmarks.rows import Bench, Round, row
from tests.benchmarks.stub import MESSAGE

REQUESTS = 500
WARM = 200
"""Requests that no figure counts."""


async def _handler(request: web.Request) -> web.Response:
    await request.json()
    return web.json_response({"success": True, "result": {"index": 0, "message": MESSAGE}})


def _serve_bare(listener: socket.socket) -> None:
    app = web.Application()
    app.router.add_post("/drivers/call", _handler)
    web.run_app(app, sock=listener, print=None, access_log=None, handle_signals=False)


def _start(name: str) -> tuple[int, str]:
    """The port and a token."""
    if name == "LocalPuter":
        puter = LocalPuter(tier=None, allowance=1e9).start()
        return puter.port, puter.token
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve_bare, args=(listener,), daemon=True).start()
    return listener.getsockname()[1], "t"


@contextmanager
def _loaded(name: str) -> Generator[Callable[[int], float]]:
    """A function that sends so many chats, and tells the CPU that the server took for each."""
    with server("tests.benchmarks.servers", name) as (port, process):
        assert process.stdin is not None
        assert process.stdout is not None
        tell, told = process.stdin, process.stdout
        token, body = told.readline().strip(), json.dumps(WHOLE)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection = HTTPConnection("127.0.0.1", port)

        def spent() -> float:
            tell.write("\n")
            tell.flush()
            return float(told.readline())

        def load(number: int) -> float:
            before = spent()
            for _ in range(number):
                connection.request("POST", "/drivers/call", body, headers)
                response = connection.getresponse()
                assert json.loads(response.read())["success"]
            return (spent() - before) / number

        yield load
        connection.close()


@row(
    "local-puter",
    "LocalPuter, CPU of the server for a chat",
    over="a bare aiohttp.web handler, over it",
    goal=0.6,
    at_least=True,
)
def local_puter(bench: Bench) -> list[Round]:
    with _loaded("LocalPuter") as ours, _loaded("aiohttp.web") as bare:
        number = bench.times(REQUESTS)
        ours(bench.times(WARM))
        bare(bench.times(WARM))
        return [
            {"LocalPuter": ours(number), "aiohttp.web": bare(number)} for _ in range(bench.rounds)
        ]


def main() -> None:
    for line in _start(sys.argv[1]):
        print(line, flush=True)
    for _ in sys.stdin:
        print(time.process_time(), flush=True)


if __name__ == "__main__":
    main()
