"""The address that a browser brings a token to: what it takes, and what it puts up with."""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from puter import callback as module
from puter.callback import MOST_BYTES, MOST_CONNECTIONS, Callback
from puter.exceptions import PuterError
from puter.secret import Secret

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ0eXBlIjoiYXBpIn0.c2lnbmF0dXJl"


class Waiting:
    """A callback that another thread waits for."""

    def __init__(self, seconds: float = 60) -> None:
        self.callback = Callback()
        self.address = self.callback.open()
        self.port = self.callback.port or 0
        self.path = "/" + self.address.rpartition("/")[2]
        self.outcome: list[Secret | None] = []
        self.thread = threading.Thread(
            target=lambda: self.outcome.append(self.callback.wait(seconds))
        )
        self.thread.start()

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection((host, self.port), timeout=30)

    def ask(self, target: str, *, host: str | None = None, method: str = "GET", **more: Any) -> str:
        """What is answered to a request, all of it."""
        head = f"{method} {target} HTTP/1.1\r\nHost: {host or f'localhost:{self.port}'}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in more.items())
        return self.say(head.encode() + b"\r\n")

    def say(self, data: bytes) -> str:
        with self.connect() as connection:
            connection.sendall(data)
            return read_all(connection)

    def token(self) -> str | None:
        self.thread.join(30)
        assert not self.thread.is_alive()
        [found] = self.outcome
        return None if found is None else found.reveal()

    def end(self) -> None:
        self.callback.stop()
        self.thread.join(30)
        assert not self.thread.is_alive()
        self.callback.close()


def read_all(connection: socket.socket) -> str:
    pieces = []
    try:
        while piece := connection.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces).decode()


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    one = Waiting()
    yield one
    one.end()


def brings(waiting: Waiting) -> bool:
    """Whether the right request still gets through."""
    answer = waiting.ask(f"{waiting.path}?token={TOKEN}")
    return answer.startswith("HTTP/1.1 200 OK\r\n") and waiting.token() == TOKEN


# ------------------------------------------------------------ the right request


def test_the_address_cannot_be_guessed_and_is_another_each_time() -> None:
    with Callback() as one, Callback() as other:
        first, second = one.open(), other.open()
    assert first != second
    assert len(first.rpartition("/")[2]) >= 43  # 256 bits
    assert first.rpartition("/")[2] not in repr(one)


def test_the_page_says_so_and_does_not_show_the_token(waiting: Waiting) -> None:
    head, _, page = waiting.ask(f"{waiting.path}?a=b&token={TOKEN}").partition("\r\n\r\n")
    assert "This tab may be closed" in page
    assert TOKEN not in head + page
    for line in (
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        f"Content-Length: {len(page.encode())}",
    ):
        assert line in head.split("\r\n")
    assert "default-src 'none'" in head
    assert waiting.token() == TOKEN


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"])
def test_names_of_this_machine(waiting: Waiting, host: str) -> None:
    answer = waiting.ask(f"{waiting.path}?token={TOKEN}", host=f"{host}:{waiting.port}")
    assert answer.startswith("HTTP/1.1 200")


def test_it_listens_at_both_addresses_and_no_other() -> None:
    with Callback() as callback:
        callback.open()
        names = [one.getsockname()[0] for one in callback._sockets[2:]]
        ports = {one.getsockname()[1] for one in callback._sockets[2:]}
    assert names in (["127.0.0.1", "::1"], ["127.0.0.1"])
    assert ports == {callback.port or ports.copy().pop()}


def test_a_port_that_somebody_else_has_at_the_other_address_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A browser might go there with the token."""
    listener, tried = module._listener, []

    def first_is_taken(family: Any, host: str, port: int) -> socket.socket:
        if host == "::1":
            tried.append(port)
            if len(tried) == 1:
                raise OSError(errno.EADDRINUSE, "taken")
            raise OSError(errno.EADDRNOTAVAIL, "no IPv6 here")
        return listener(family, host, port)

    monkeypatch.setattr(module, "_listener", first_is_taken)
    with Callback() as callback:
        callback.open()
        assert callback.port == tried[1]
        assert len(callback._sockets) == 3


def test_no_port_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(*_: Any) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(module, "_listener", taken)
    callback = Callback()
    with pytest.raises(PuterError, match=r"Nothing can listen .*Too many open files.* token"):
        callback.open()
    assert callback._sockets == []


def test_a_request_that_comes_byte_by_byte(waiting: Waiting) -> None:
    head = f"GET {waiting.path}?token={TOKEN} HTTP/1.1\r\nHost: localhost:{waiting.port}\r\n\r\n"
    with waiting.connect() as connection:
        for place in range(len(head)):
            connection.sendall(head[place : place + 1].encode())
        assert read_all(connection).startswith("HTTP/1.1 200")
    assert waiting.token() == TOKEN


def test_it_is_gone_after_the_right_request(waiting: Waiting) -> None:
    assert brings(waiting)
    waiting.callback.close()
    with pytest.raises(ConnectionRefusedError):
        waiting.connect()


# ------------------------------------------------------------ any other


WRONG = {
    "no token": "{path}",
    "an empty token": "{path}?token=",
    "no token by that name": "{path}?Token={token}",
    "two tokens": "{path}?token={token}&token={token}",
    "a token with spaces": "{path}?token=a%20b",
    "a token that is no ASCII": "{path}?token=%C3%A4",
    "a token with a line break": "{path}?token={token}%0d%0aX: y",
    "the icon": "/favicon.ico",
    "the root": "/?token={token}",
    "another path": "/{token}?token={token}",
    "the path and more": "{path}/?token={token}",
    "half the path": "{half}?token={token}",
    "a path that is no ASCII": "/\xe4?token={token}",
    "a whole URL": "http://localhost:{port}{path}?token={token}",
    "fields without end": "{path}?" + "a=b&" * 200 + "token={token}",
    "nothing": "",
}


@pytest.mark.parametrize("target", WRONG.values(), ids=WRONG)
def test_a_wrong_target_is_answered_404_and_waited_on(waiting: Waiting, target: str) -> None:
    path, port = waiting.path, waiting.port
    asked = target.format(path=path, token=TOKEN, port=port, half=path[: len(path) // 2])
    answer = waiting.ask(asked)
    assert answer.startswith("HTTP/1.1 404 Not Found\r\n")
    assert TOKEN not in answer
    assert path not in answer
    assert brings(waiting)


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "PUT", "get", "CONNECT", ""])
def test_another_method(waiting: Waiting, method: str) -> None:
    answer = waiting.ask(f"{waiting.path}?token={TOKEN}", method=method)
    assert answer.startswith("HTTP/1.1 404")
    assert brings(waiting)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "localhost", "localhost:1", "localhost:{port}.x"],
)
def test_another_host_is_a_page_that_had_its_name_lead_here(waiting: Waiting, host: str) -> None:
    answer = waiting.ask(f"{waiting.path}?token={TOKEN}", host=host.format(port=waiting.port))
    assert answer.startswith("HTTP/1.1 404")
    assert brings(waiting)


@pytest.mark.parametrize("fields", [[], ["localhost", "evil.example"]], ids=["none", "two"])
def test_a_request_names_one_host(waiting: Waiting, fields: list[str]) -> None:
    hosts = "".join(f"Host: {one}:{waiting.port}\r\n" for one in fields)
    head = f"GET {waiting.path}?token={TOKEN} HTTP/1.1\r\n{hosts}\r\n"
    assert waiting.say(head.encode()).startswith("HTTP/1.1 404")
    assert brings(waiting)


def test_a_body_is_read_to_its_end_and_not_looked_at(waiting: Waiting) -> None:
    """A connection that is closed before that is reset, and the client does not see the 404."""
    head = f"POST /x HTTP/1.1\r\nHost: localhost:{waiting.port}\r\nContent-Length: 300000\r\n\r\n"
    body = f"GET {waiting.path}?token={TOKEN} HTTP/1.1\r\n\r\n".encode()
    with waiting.connect() as connection:
        connection.sendall(head.encode())
        connection.sendall(body.ljust(300_000, b"x"))
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection).startswith("HTTP/1.1 404")
    assert brings(waiting)


NOISE = {
    "nothing at all": b"",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00" + bytes(200),
    "zeros": bytes(70_000),
    "line breaks": b"\r\n" * 8 + b"\r\n\r\n",
    "a head that is too long": b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * MOST_BYTES,
    "one line without end": b"GET /" + b"a" * (4 * MOST_BYTES),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("data", NOISE.values(), ids=NOISE)
def test_noise(waiting: Waiting, data: bytes) -> None:
    with waiting.connect() as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was answered, and is gone
        assert "200 OK" not in read_all(connection)
    assert brings(waiting)


def test_a_long_head_with_the_right_path_is_refused(waiting: Waiting) -> None:
    more = {f"x-{number}": "a" * 1000 for number in range(MOST_BYTES // 1000 + 1)}
    assert "200 OK" not in waiting.ask(f"{waiting.path}?token={TOKEN}", **more)
    assert brings(waiting)


# ------------------------------------------------------------ those who hold on


def test_clients_that_say_nothing_or_half_do_not_stand_in_the_way(waiting: Waiting) -> None:
    idle = [waiting.connect() for _ in range(MOST_CONNECTIONS * 2)]
    for one in idle[MOST_CONNECTIONS:]:
        one.sendall(b"GET / HTTP/1.1\r\nHost: ")
    assert brings(waiting)
    for one in idle:
        one.close()


def test_the_oldest_connection_makes_room(waiting: Waiting) -> None:
    first = waiting.connect()
    others = [waiting.connect() for _ in range(MOST_CONNECTIONS)]
    assert read_all(first) == ""  # it ends
    for one in [first, *others]:
        one.close()


def test_a_connection_may_take_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    waiting = Waiting()
    with waiting.connect() as connection:
        assert read_all(connection) == ""
    waiting.end()


def test_a_flood_of_wrong_requests(waiting: Waiting) -> None:
    def flood() -> None:
        with suppress(OSError):  # it is gone
            while True:
                waiting.ask("/favicon.ico")

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for one in threads:
        one.start()
    assert brings(waiting)
    waiting.callback.close()
    for one in threads:
        one.join(30)


def test_no_descriptor_for_another_connection(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is closed for it, and nothing spins meanwhile."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    accept, left = socket.socket.accept, [1]

    def none_left(self: socket.socket) -> Any:
        if left and left.pop():
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", none_left)
    assert brings(waiting)
    assert slept == [0.05]


# ------------------------------------------------------------ the end


def test_nobody_comes() -> None:
    with Callback() as callback:
        callback.open()
        assert callback.wait(0.01) is None


def test_stop_ends_it(waiting: Waiting) -> None:
    waiting.callback.stop()
    assert waiting.token() is None


def test_stop_before_it_began_and_after_its_end() -> None:
    with Callback() as callback:
        callback.open()
        callback.stop()
        assert callback.wait(60) is None
    callback.close()


def test_nothing_is_logged(waiting: Waiting, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert brings(waiting)
    assert TOKEN not in caplog.text
    assert waiting.path not in caplog.text
