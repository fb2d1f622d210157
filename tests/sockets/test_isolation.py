"""Clients keep to themselves, and send nothing they were not told to."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import puter as sdk
from puter.testing import LocalPuter
from tests.sockets.raw import CHAT, RawServer, answer, keeps

if TYPE_CHECKING:
    import pytest

    from tests.sockets.live import Live


async def test_two_clients_never_mix_hosts_tokens_or_histories() -> None:
    with LocalPuter(tier=None) as one, LocalPuter(tier=None, username="bob") as two:
        free = {"rate_limit_requests": None, "max_concurrency": None}
        clients = [one.client(**free), two.client(**free)]
        start = threading.Barrier(10)

        def work(number: int) -> None:
            start.wait(10)
            for turn in range(10):
                clients[(number + turn) % 2].chat(f"for {(number + turn) % 2}")

        async def task(number: int) -> None:
            for turn in range(10):
                await clients[(number + turn) % 2].async_chat(f"for {(number + turn) % 2}")

        with ThreadPoolExecutor(10) as pool:
            loop = asyncio.get_running_loop()
            threads = [loop.run_in_executor(pool, work, number) for number in range(10)]
            await asyncio.gather(*threads, *(task(number) for number in range(10)))
        for ai in clients:
            await ai.async_close()
    for number, (server, user) in enumerate([(one, "alice"), (two, "bob")]):
        assert len(server.chats) == 100
        assert {record.token_user for record in server.chats} == {user}
        assert {record.headers["Authorization"] for record in server.chats} == {
            f"Bearer {server.token}"
        }
        asked = {
            m["content"]
            for r in server.chats
            for m in r.json["args"]["messages"]
            if m["role"] == "user"
        }
        assert asked == {f"for {number}"}
        assert len(clients[number].chat_history) == 200


async def test_two_tokens_at_one_server_stay_apart(live: Live) -> None:
    live.puter.add_user("bob", "battery staple")
    alice = live.client()
    bob = live.client(token=live.puter.issue_token("bob"))
    for _ in range(3):
        assert (await live(alice, "whoami")).username == "alice"
        assert (await live(bob, "whoami")).username == "bob"
    assert [record.token_user for record in live.puter.requests] == ["alice", "bob"] * 3


async def test_netrc_does_not_replace_the_token(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(
        "machine 127.0.0.1 login eve password secret\ndefault login eve password secret\n"
    )
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    ai = live.client(token=None, username="alice", password="correct horse")
    await live(ai, "login")
    await live(ai, "chat", "Hi")
    login, chat = live.puter.requests
    assert "Authorization" not in login.headers
    assert chat.headers["Authorization"].startswith("Bearer ")
    assert live.puter.requests[-1].status == 200


async def test_cookies_are_neither_kept_nor_sent(live: Live) -> None:
    baked = answer(CHAT, "Set-Cookie: puter_auth_token=baked; Path=/", "Set-Cookie: b=c")
    with RawServer(keeps(baked)) as server:
        ai = live.client_at(server.url)
        for _ in range(3):
            await live(ai, "chat", "Hi")
        await live.close()
    assert not any("cookie" in asked.headers for asked in server.requests)


async def test_headers_are_honest_and_few(live: Live) -> None:
    ai = live.client(
        token=None, username="alice", password="correct horse", headers={"X-Trace": "1"}
    )
    await live(ai, "login")
    await live(ai, "whoami")
    await live(ai, "chat", "Hi")
    for record in live.puter.requests:
        headers = {name.lower(): value for name, value in record.headers.items()}
        assert headers["user-agent"] == f"puter-python-sdk/{sdk.__version__}"
        assert headers["accept"] == "*/*"
        assert headers["x-trace"] == "1"
        assert "gzip" in headers["accept-encoding"]
        assert not headers.keys() & {"origin", "referer", "cookie", "x-api-key", "sec-fetch-mode"}
        assert "auth_token" not in record.query
        if record.method == "POST":
            assert headers["content-type"] == "application/json"
            assert "transfer-encoding" not in headers
            assert "auth_token" not in record.json
        else:
            assert "content-length" not in headers
            assert "content-type" not in headers


async def test_both_doors_send_the_same(live: Live) -> None:
    ai = live.client()
    prompt = "Grüße, 世界 \u2028 \x00 \U0001f600"
    ai.chat(prompt)
    ai.clear_chat_history()
    await ai.async_chat(prompt)
    blocking, asynchronous = live.puter.chats
    assert blocking.body == asynchronous.body
    assert {n.lower() for n in blocking.headers} - {"connection"} == {
        n.lower() for n in asynchronous.headers
    } - {"connection"}
    assert prompt in ai.chat_history[0]["content"]
