"""Uploads that end badly: what was written is never said to have stayed here, nor sent again."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

import puter
from tests.sockets.raw import answer, reset_when_closed
from tests.sockets.test_deadlines import within

if TYPE_CHECKING:
    from tests.sockets.live import Live

LARGE = 9_000_000  # in base64 more than the buffers of two sockets hold
SIZES = pytest.mark.parametrize("size", [10, LARGE], ids=["small", "large"])


@contextlib.contextmanager
def taking(
    amount: int, then: Callable[[socket.socket], object], tls: ssl.SSLContext | None = None
) -> Generator[tuple[str, list[int]], None, None]:
    """A server that reads so many bytes of each connection at most, and what it read of each."""
    took: list[int] = []
    stopping = threading.Event()

    def serve(sock: socket.socket) -> None:
        if tls is not None:
            sock = tls.wrap_socket(sock, server_side=True)
        with sock, contextlib.suppress(OSError):
            data = bytearray()
            whole = amount
            while len(data) < whole and (piece := sock.recv(min(65536, whole - len(data)))):
                data += piece
                if b"\r\n\r\n" in data[:1000]:
                    whole = min(amount, _whole(data[:1000]))
            took.append(len(data))
            if then(sock) is True:
                stopping.wait(60)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                thread = threading.Thread(target=serve, args=(sock,))
                threads.append(thread)
                thread.start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads = [threading.Thread(target=accept)]
        threads[0].start()
        try:
            scheme = "http" if tls is None else "https"
            yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", took
        finally:
            stopping.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(10)


def _whole(data: bytes | bytearray) -> int:
    """Bytes of a request that begins so."""
    head, _, _ = data.partition(b"\r\n\r\n")
    _, _, rest = head.lower().partition(b"content-length:")
    return len(head) + 4 + int(rest.split()[0])


def closes(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_RDWR)


def is_silent(_sock: socket.socket) -> bool:
    return True


def cuts_its_answer(sock: socket.socket) -> None:
    sock.sendall(answer(b"{}", length=100)[:60])


def answers_nonsense(sock: socket.socket) -> None:
    sock.sendall(answer(b'{"fsEntry": 1}'))


@SIZES
@pytest.mark.parametrize("read", [1, 10**9], ids=["some", "all"])
@pytest.mark.parametrize(
    "then", [reset_when_closed, closes, is_silent, cuts_its_answer, answers_nonsense]
)
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
async def test_a_written_upload_is_said_to_be_sent_and_not_repeated(
    live: Live,
    size: int,
    read: int,
    then: Any,
    secure: bool,
    server_tls: ssl.SSLContext,
    bundle: str,
) -> None:
    with taking(read, then, server_tls if secure else None) as (url, took):
        ai = live.client_at(url, timeout=0.7, verify=bundle)
        with within(60), pytest.raises(puter.PuterAPIError) as caught:
            await live(ai, "upload", bytes(size), "~/a.bin")
        await live.close()
    error = caught.value
    assert len(took) == 1
    assert error.attempts == 1
    if isinstance(error, puter.PuterConnectionError):
        assert error.sent
    assert "nothing was sent" not in str(error).lower()


@SIZES
async def test_an_upload_that_the_deadline_ends_is_said_to_be_sent(live: Live, size: int) -> None:
    with taking(1, is_silent) as (url, took):
        ai = live.client_at(url, deadline=2)
        with within(60), pytest.raises(puter.PuterTimeoutError, match="deadline") as caught:
            await live(ai, "upload", bytes(size), "~/a.bin")
        await live.close()
    assert (caught.value.sent, caught.value.attempts, len(took)) == (True, 1, 1)
