"""Starting, stopping, and what is left behind: nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest
import requests

from puter import PuterInputError
from puter.testing import Hang, LocalPuter
from tests.local_puter.support import Caller


def open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "LocalPuter" in thread.name]


def test_it_serves_inside_with_and_not_after(session: requests.Session) -> None:
    with LocalPuter() as puter:
        url = puter.url + "/healthcheck"
        assert session.get(url, timeout=5).json() == {"ok": True}
    with pytest.raises(requests.ConnectionError):
        session.get(url, timeout=5)
    assert threads() == []


def test_start_and_stop_may_be_repeated(session: requests.Session) -> None:
    puter = LocalPuter()
    puter.stop()  # never started
    with pytest.raises(RuntimeError, match="start"):
        _ = puter.url
    assert puter.start() is puter
    url, token = puter.url, puter.token
    assert puter.start().url == url
    puter.stop()
    puter.stop()
    assert puter.url == url  # still good for a test that wants a refused connection
    puter.start()
    headers = {"Authorization": f"Bearer {token}"}
    assert session.get(puter.url + "/whoami", headers=headers, timeout=5).status_code == 200
    puter.stop()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts files in /proc")
def test_nothing_is_left_open() -> None:
    def cycle() -> None:
        with LocalPuter() as puter, requests.Session() as session:
            session.trust_env = False
            assert session.get(puter.url + "/healthcheck", timeout=5).status_code == 200

    cycle()
    before = open_files()
    for _ in range(5):
        cycle()
    assert open_files() == before
    assert threads() == []


def test_starting_is_quick() -> None:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        with LocalPuter() as puter, socket.create_connection(("127.0.0.1", puter.port)) as client:
            client.sendall(b"GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
            times.append(time.perf_counter() - began)
    assert min(times) < 0.05


async def test_async_with_leaves_the_loop_running() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    async with LocalPuter() as puter, aiohttp.ClientSession() as session:
        async with session.get(puter.url + "/healthcheck") as response:
            assert await response.json() == {"ok": True}
        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0)
        before = ticks
        await puter.__aexit__(None, None, None)
        assert ticks > before
        ticking.cancel()
    assert threads() == []


def test_stop_cuts_what_hangs(caller: Caller) -> None:
    puter = caller.puter
    puter.reply_with(Hang())
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(caller.chat, "are you there?")
        puter.wait_for(1)
        began = time.monotonic()
        puter.stop()
        assert time.monotonic() - began < 2
        with pytest.raises(requests.ConnectionError):
            hanging.result(5)
    assert puter.running_now == 0


def test_stop_does_not_wait_for_a_blocked_responder(caller: Caller) -> None:
    puter, release = caller.puter, threading.Event()
    puter.respond(lambda call: "too late" if release.wait(10) else "never")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caller.chat, "hm")
        puter.wait_for(1)
        puter.stop()
        with pytest.raises(requests.ConnectionError):
            waiting.result(5)
    release.set()


def test_several_servers_know_nothing_of_each_other(session: requests.Session) -> None:
    with LocalPuter() as one, LocalPuter() as two:
        assert one.port != two.port
        one.reply_with("from one")
        for puter, token, status in ((two, one.token, 401), (two, two.token, 200)):
            headers = {"Authorization": f"Bearer {token}"}
            response = session.get(puter.url + "/whoami", headers=headers, timeout=5)
            assert response.status_code == status
        assert len(two.requests) == 2
        assert one.requests == []


def test_a_chosen_port(session: requests.Session) -> None:
    with LocalPuter() as first:
        port = first.port
    with LocalPuter(port=port) as second:
        assert second.url == f"http://127.0.0.1:{port}"
        assert session.get(second.url + "/healthcheck", timeout=5).ok
        with pytest.raises(OSError, match="use"):
            LocalPuter(port=port).start()


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_ipv6(session: requests.Session) -> None:
    puter = LocalPuter(host="::1")
    try:
        puter.start()
    except OSError:
        pytest.skip("no IPv6 loopback address")
    with puter:
        assert puter.url.startswith("http://[::1]:")
        assert session.get(puter.url + "/healthcheck", timeout=5).ok


def test_many_threads_and_loops_at_once() -> None:
    with LocalPuter(tier=None) as puter:

        def by_thread(number: int) -> str:
            with requests.Session() as session:
                session.trust_env = False
                return Caller(puter, session).text(f"{number} + 1", model="gpt-4.1")

        async def by_task(session: aiohttp.ClientSession, number: int) -> str:
            body = {
                "interface": "puter-chat-completion",
                "method": "complete",
                "args": {"model": "gpt-4.1", "messages": [f"{number} + 1"]},
                "auth_token": puter.token,
            }
            async with session.post(puter.url + "/drivers/call", json=body) as response:
                text: str = (await response.json())["result"]["message"]["content"]
                return text

        async def by_loop() -> list[str]:
            async with aiohttp.ClientSession() as session:
                return await asyncio.gather(*(by_task(session, number) for number in range(20)))

        with ThreadPoolExecutor(8) as pool:
            loops = [pool.submit(asyncio.run, by_loop()) for _ in range(2)]
            texts = list(pool.map(by_thread, range(20)))
            wanted = [f"{number} + 1 = {number + 1}" for number in range(20)]
            assert texts == wanted
            assert [loop.result() for loop in loops] == [wanted, wanted]
        assert len(puter.chats) == 60
        assert puter.running_now == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_the_server_alone(session: requests.Session) -> None:
    with LocalPuter() as puter:
        assert session.get(puter.url + "/healthcheck", timeout=5).ok
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                puter.stop()
                os.write(writer, b"stopped")
                signal.pause()
            finally:
                os._exit(0)
        try:
            assert os.read(reader, 100) == b"stopped"
            assert session.get(puter.url + "/healthcheck", timeout=5).ok
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(reader)
            os.close(writer)


def test_a_server_never_stopped_is_silent_at_exit() -> None:
    code = "from puter.testing import LocalPuter; print(LocalPuter().start().url)"
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("http://127.0.0.1:")
    assert done.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_line(number: signal.Signals, session: requests.Session) -> None:
    command = [sys.executable, "-W", "error", "-m", "puter.testing", "--tier", "none"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        settings = {}
        for line in process.stdout:
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                settings[name] = value
            if len(settings) == 3:
                break
        headers = {"Authorization": f"Bearer {settings['PUTER_AUTH_TOKEN']}"}
        url = settings["PUTER_API_BASE"] + "/whoami"
        assert session.get(url, headers=headers, timeout=5).json()["username"] == "alice"
        login = {"username": "alice", "password": "correct horse"}
        answer = session.post(settings["PUTER_LOGIN_URL"], json=login, timeout=5).json()
        assert answer["next_step"] == "complete"
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none(port: int) -> None:
    with pytest.raises(PuterInputError, match="port must be a whole number from 0 to 65535"):
        LocalPuter(port=port)


def test_command_line_on_a_taken_port() -> None:
    with LocalPuter() as puter:
        command = [sys.executable, "-m", "puter.testing", "--port", str(puter.port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert f"cannot listen on port {puter.port}" in done.stderr
    assert "Traceback" not in done.stderr
