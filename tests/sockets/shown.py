"""Calls that fail with secrets in play, and how tools that print locals render their errors.

usage: python -m tests.sockets.shown    all kinds through all tools, a line with a count for each
       python -m pytest --showlocals tests/sockets/shown.py    each kind as a test, which fails

Secrets all hold ``CORE``; the frames of this file show none themselves.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import io
import json
import logging
import os
import re
import signal
import socket
import ssl
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme

import puter.transports.requests_transport
from puter import PuterAI
from tests.sockets.raw import Asked, RawServer, answer, closed_port

CORE = "5ec" + "re7"
TOKEN, OTP, TICKET, LINK = (f"{one}-{CORE}-0123456789" for one in ("tok", "otp", "tic", "sig"))
PASSWORD = f'pa"ss/wörd-{CORE}-x'
PROXY_PASSWORD = f"prox-{CORE}-y"
LOGINS = (f"alice:{PASSWORD}", f"me:{PROXY_PASSWORD}")
NEEDLES = re.compile(
    "|".join([CORE, *(base64.b64encode(x.encode())[:16].decode() for x in LOGINS)])
)
DOORS = ("sync", "async")

Fail = Callable[[str], Any]
CASES: dict[str, Fail] = {}


def case(function: Fail) -> Fail:
    CASES[function.__name__] = function
    return function


def client(url: str, **settings: Any) -> PuterAI:
    """A client with a token, or user name and password, whose calls fail at once."""
    given: dict[str, Any] = {"token": TOKEN, "api_base": url, "login_url": f"{url}/login"}
    return PuterAI(**{**given, "max_retries": 0, "proxy": "", **settings})


def nowhere() -> str:
    return f"http://127.0.0.1:{closed_port()}"


def go(door: str, ai: PuterAI, method: str, *args: Any, **kwargs: Any) -> Any:
    if door == "sync":
        return getattr(ai, method)(*args, **kwargs)

    async def main() -> Any:
        try:
            reply = await getattr(ai, f"async_{method}")(*args, **kwargs)
            return "".join([one async for one in reply]) if kwargs.get("stream") else reply
        finally:
            await ai.async_close()

    return asyncio.run(main())


def echo(status: str) -> Callable[[socket.socket, Asked], None]:
    """Says all that it was told, in the text and in places of their own."""

    def handler(sock: socket.socket, asked: Asked) -> None:
        bearer = asked.headers.get("authorization", "")
        text = f"no: {bearer} {asked.body.decode()}"
        body = {"error": text, "message": text, "code": bearer, "reason": text, "x": [text, bearer]}
        sock.sendall(answer(json.dumps(body).encode(), f"Retry-After: {bearer}", status=status))

    return handler


@case
def unauthorized(door: str) -> None:
    with RawServer(echo("401 Unauthorized")) as server:
        go(door, client(server.url), "whoami")


@case
def echoed(door: str) -> None:
    with RawServer(echo("400 Bad Request")) as server:
        go(door, client(server.url), "chat", "hi")


@case
def echoed_page(door: str) -> None:
    def page(sock: socket.socket, asked: Asked) -> None:
        text = 90 * " long" + json.dumps({"seen": asked.headers["authorization"]})
        sock.sendall(answer(text.encode(), status="502 Bad Gateway", kind="text/html"))

    with RawServer(page) as server:
        go(door, client(server.url), "parse", "hi", list[int])


@case
def refused(door: str) -> None:
    go(door, client(nowhere()), "chat", "hi")


@functools.cache
def untrusted() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@case
def tls(door: str) -> None:
    with RawServer(echo("200 OK"), tls=untrusted()) as server:
        go(door, client(server.url), "chat", "hi")


@case
def timeout(door: str) -> None:
    with RawServer(lambda *_: server.stopping.wait(20)) as server:
        go(door, client(server.url, timeout=0.3), "chat", "hi")


@case
def cut_body(door: str) -> None:
    def half(sock: socket.socket, asked: Asked) -> None:
        sock.sendall(answer(json.dumps(asked.headers).encode(), length=9999))

    with RawServer(half) as server:
        go(door, client(server.url), "txt2img", "hi")


@case
def cut_stream(door: str) -> None:
    def half(sock: socket.socket, asked: Asked) -> None:
        line = json.dumps({"type": "text", "text": "Hi"}) + "\n" + asked.headers["authorization"]
        head = answer(line.encode(), kind="application/x-ndjson", length=9999)
        sock.sendall(head)

    with RawServer(half) as server:
        words = go(door, client(server.url), "chat", "hi", stream=True)
        "".join(words)


@case
def damaged_stream(door: str) -> None:
    def broken(sock: socket.socket, asked: Asked) -> None:
        line = f"{60 * '.'}{asked.headers['authorization']}\n"
        sock.sendall(answer(line.encode(), kind="application/x-ndjson"))

    with RawServer(broken) as server:
        "".join(go(door, client(server.url), "chat", "hi", stream=True))


@case
def dead_proxy(door: str) -> None:
    go(door, through(f"http://me:{PROXY_PASSWORD}@127.0.0.1:{closed_port()}"), "chat", "hi")


@case
def proxy_that_refuses(door: str) -> None:
    with RawServer(echo("407 Proxy Authentication Required")) as server:
        go(door, through(f"http://me:{PROXY_PASSWORD}@127.0.0.1:{server.port}"), "chat", "hi")


def through(proxy: str) -> PuterAI:
    return client("https://127.0.0.1:9", proxy=proxy)


def account(url: str) -> PuterAI:
    return client(url, token=None, username="alice", password=PASSWORD)


@case
def wrong_password(door: str) -> None:
    with RawServer(echo("400 Bad Request")) as server:
        go(door, account(server.url), "login")


@case
def password_to_nobody(door: str) -> None:
    go(door, account(nowhere()), "chat", "hi")


def code() -> str:
    return OTP


def password() -> str:
    return PASSWORD


def wants_code(sock: socket.socket, asked: Asked) -> object:
    """A second factor that refuses every code, and says it."""
    if "/otp" in asked.line:
        return echo("400 Bad Request")(sock, asked)
    step = {"proceed": True, "next_step": "otp", "otp_jwt_token": TICKET}
    sock.sendall(answer(json.dumps(step).encode()))
    return True


@case
def wrong_code(door: str) -> None:
    with RawServer(wants_code) as server:
        ai = account(server.url)
        if door == "sync":
            ai.login(otp=code())
        else:
            asyncio.run(ai.async_login(otp=code()))


@case
def code_of_a_function(door: str) -> None:
    with RawServer(wants_code) as server:
        go(door, account(server.url), "login", otp=code)


@case
def revoking(door: str) -> None:
    with RawServer(echo("400 Bad Request")) as server:
        ai = client(server.url)
        if door == "sync":
            ai.revoke_api_token(code())
        else:
            asyncio.run(ai.async_revoke_api_token(code()))


@case
def wrong_token(door: str) -> None:
    PuterAI("alice", password(), f"two {code()}")


@case
def wrong_setting(door: str) -> None:
    PuterAI("alice", password(), code(), timeout=-1)


@case
def signed_download(door: str) -> None:
    def serve(sock: socket.socket, asked: Asked) -> object:
        if "/drivers/call" not in asked.line:
            return echo("403 Forbidden")(sock, asked)
        url = f"http://127.0.0.1:{server.port}/cat.png?signature={LINK}"
        sock.sendall(answer(json.dumps({"success": True, "result": url}).encode()))
        return True

    with RawServer(serve) as server:
        ai = client(server.url)
        if door == "sync":
            ai.txt2img("a cat").read()
        else:

            async def main() -> None:
                await (await ai.async_txt2img("a cat")).async_read()

            asyncio.run(main())


class Wrapping(puter.transports.requests_transport.RequestsTransport):
    """Stands in the middle of our frames."""

    def send(self, effect: Any) -> Any:
        return super().send(effect)


@case
def transport_of_the_users(door: str) -> None:
    client(nowhere(), transport=Wrapping()).chat("hi")


def broken_tool() -> str:
    raise ValueError("a mistake of the user's")


@case
def tool(door: str) -> None:
    made = {"id": "c1", "type": "function", "function": {"name": "broken_tool", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [made]}
    body = json.dumps({"success": True, "result": {"message": message}}).encode()
    with RawServer(lambda sock, _: sock.sendall(answer(body))) as server:
        ai = client(server.url)
        go(door, ai, "chat", "hi", tools=[broken_tool], raise_tool_errors=ValueError)


@case
def cancelled(door: str) -> None:
    if door == "sync":
        raise TimeoutError("nothing is cancelled here")
    with RawServer(lambda *_: server.stopping.wait(20)) as server:
        ai = client(server.url)

        async def main() -> None:
            try:
                await asyncio.wait_for(ai.async_chat("hi"), 0.3)
            finally:
                await ai.async_close()

        asyncio.run(main())


@case
def interrupted(door: str) -> None:
    def interrupt(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        server.stopping.wait(20)

    with RawServer(interrupt) as server:
        go(door, client(server.url), "chat", "hi")


# ---------------------------------------------------------------- how errors are rendered


def outcome(kind: str, door: str) -> BaseException:
    try:
        CASES[kind](door)
    except BaseException as error:  # noqa: BLE001 - an interrupt among them
        return error
    raise AssertionError(f"{kind} did not fail")


def with_locals(error: BaseException) -> str:
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(told.format())


def with_rich(error: BaseException) -> str:
    from rich.console import Console
    from rich.traceback import Traceback

    told = Traceback.from_exception(
        type(error),
        error,
        error.__traceback__,
        show_locals=True,
        locals_max_length=10**6,
        locals_max_string=10**6,
        locals_hide_dunder=False,
    )
    console = Console(file=io.StringIO(), width=300)
    console.print(told)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def with_cgitb(error: BaseException) -> str:
    if isinstance(error, OSError):
        return ""  # cgitb itself fails for one
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import cgitb
    shown: Any = (type(error), error, error.__traceback__)
    return str(cgitb.text(shown))


def by_a_monitor(error: BaseException) -> str:
    """All that can be reached, as a service that collects errors walks it, without our help."""
    told, seen, pending = [], set(), [error]
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        told += [repr(one), str(one), repr(vars(one))]
        for frame, _ in traceback.walk_tb(one.__traceback__):
            told += [f"{name}={value!r}" for name, value in frame.f_locals.items()]
        held = (one.__cause__, one.__context__, *one.args, *vars(one).values())
        pending += [deeper for deeper in held if isinstance(deeper, BaseException)]
    return "\n".join(told)


TOOLS: dict[str, Callable[[BaseException], str]] = {
    "capture_locals": with_locals,
    "monitor": by_a_monitor,
}
if sys.version_info < (3, 13):
    TOOLS["cgitb"] = with_cgitb
with contextlib.suppress(ImportError):
    import rich  # noqa: F401 - whether it is there

    TOOLS["rich"] = with_rich


@contextlib.contextmanager
def logs() -> Iterator[io.StringIO]:
    """What the loggers say meanwhile, at DEBUG, through rich where it is there."""
    written = io.StringIO()
    handler: logging.Handler = logging.StreamHandler(written)
    if "rich" in TOOLS:
        from rich.console import Console
        from rich.logging import RichHandler

        console = Console(file=written, width=300)
        handler = RichHandler(console=console, rich_tracebacks=True, tracebacks_show_locals=True)
    root = logging.getLogger("puter")
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield written
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for kind in CASES:
        for door in DOORS:
            with logs() as written:
                error = outcome(kind, door)
            told = {name: show(error) for name, show in TOOLS.items()}
            told["log"] = written.getvalue()
            for name, text in told.items():
                found = len(NEEDLES.findall(text))
                print(f"{kind} {door} {name} {type(error).__name__} {len(text)} {found}")
                if found and "-v" in sys.argv:
                    print(text)
            del error


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", [one for one in CASES if one != "interrupted"])
def test_it_fails(kind: str, door: str) -> None:
    CASES[kind](door)


if __name__ == "__main__":
    main()
