"""A small forward proxy that remembers what it was asked."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit

from tests.sockets.raw import Asked, RawServer, answer


class Proxy(RawServer):
    """Forwards plain requests and tunnels; wants ``credentials`` (a Basic header) when given.

    It knows ``puter.test`` as this machine.
    """

    def __init__(self, credentials: str | None = None) -> None:
        self._credentials = credentials
        super().__init__(self._forward)

    @property
    def lines(self) -> list[str]:
        """The request lines so far, without the version of HTTP."""
        return [asked.line.rpartition(" ")[0] for asked in self.requests]

    def _forward(self, sock: socket.socket, asked: Asked) -> object:
        wanted, given = self._credentials, asked.headers.get("proxy-authorization")
        if wanted is not None and given != wanted:
            challenge = "Proxy-Authenticate: Basic realm=proxy"
            refusal = "407 Proxy Authentication Required"
            sock.sendall(answer(b"", challenge, status=refusal, kind="text/html"))
            return False
        method, target, _ = asked.line.split(" ", 2)
        if method == "CONNECT":
            host, _, port = target.partition(":")
            with socket.create_connection((host, int(port))) as onward:
                sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _tunnel(sock, onward)
            return False
        url = urlsplit(target)
        hidden = ("proxy-authorization", "connection")
        head = [f"{method} {url.path} HTTP/1.1", "Connection: close"]
        head += [f"{name}: {value}" for name, value in asked.headers.items() if name not in hidden]
        host = "127.0.0.1" if url.hostname == "puter.test" else str(url.hostname)
        with socket.create_connection((host, url.port or 80)) as onward:
            onward.sendall("\r\n".join([*head, "", ""]).encode("latin-1") + asked.body)
            _pump(onward, sock)
        return False


def _tunnel(one: socket.socket, other: socket.socket) -> None:
    back = threading.Thread(target=_pump, args=(other, one))
    back.start()
    _pump(one, other)
    back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
