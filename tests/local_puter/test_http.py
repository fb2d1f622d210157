"""Bodies, headers, compression, connections, and the two hosts."""

from __future__ import annotations

import gzip
import json
import socket
import time
from typing import Any

import pytest
import requests

from puter.testing import LocalPuter, Reply
from tests.local_puter.support import Caller, error_of

LIST = {"interface": "puter-chat-completion", "method": "list"}
MISSING = (400, "bad_request", "Missing or invalid `interface`")
MALFORMED = (400, "client_bad_json", "Malformed JSON in request body")
TOO_LARGE = (413, "client_bad_request", "request entity too large")


def send(caller: Caller, data: bytes, content_type: str | None, **more: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {caller.puter.token}", **more}
    if content_type is not None:
        headers["Content-Type"] = content_type
    url = caller.puter.url + "/drivers/call"
    return caller.session.post(url, data=data, headers=headers, timeout=10)


@pytest.mark.parametrize(
    ("content_type", "parsed"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("APPLICATION/JSON;charset=UTF-8", True),
        ("text/plain;actually=json", True),
        ("text/plain; actually=json", False),
        ("text/plain;actually=json;charset=utf-8", False),
        ("Text/plain;actually=json", False),
        ("text/plain", False),
        ("application/octet-stream", False),
        ("multipart/form-data; boundary=x", False),
        (None, False),
    ],
)
def test_which_bodies_are_parsed(caller: Caller, content_type: str | None, parsed: bool) -> None:
    response = send(caller, json.dumps(LIST).encode(), content_type)
    if parsed:
        assert response.json()["success"] is True
    else:
        assert error_of(response) == MISSING
        assert caller.puter.requests[0].json is None


@pytest.mark.parametrize("charset", ["latin1", "ISO-8859-1", "us-ascii"])
def test_other_charsets_are_refused(caller: Caller, charset: str) -> None:
    refused = send(caller, json.dumps(LIST).encode(), f"application/json; charset={charset}")
    text = f'unsupported charset "{charset.upper()}"'
    assert error_of(refused) == (415, "client_bad_request", text)


@pytest.mark.parametrize("body", [b"{", b"abc", b'"abc"', b"5", b"null", b"[1,", b"[" * 5000])
def test_malformed_json(caller: Caller, body: bytes) -> None:
    assert error_of(send(caller, body, "application/json")) == MALFORMED


def test_odd_but_parsed_json(caller: Caller) -> None:
    for body in (b"", b"{}", b"[]", b"\xef\xbb\xbf{}", b' {"a": "\xff"} '):
        assert error_of(send(caller, body, "application/json")) == MISSING


def test_compressed_requests(caller: Caller) -> None:
    packed = gzip.compress(json.dumps(LIST).encode())
    gzipped = {"Content-Encoding": "gzip"}
    assert send(caller, packed, "application/json", **gzipped).json()["success"] is True
    assert send(caller, packed[:20], "application/json", **gzipped).status_code == 400


def test_the_largest_body(caller: Caller) -> None:
    limit = 50 * 1024 * 1024
    head, tail = b'{"interface":"', b'"}'
    fits = head + b"x" * (limit - 1 - len(head) - len(tail)) + tail
    assert error_of(send(caller, fits, "application/json"))[2] == "Missing or invalid `method`"
    response = send(caller, fits + b"  ", "application/json")
    assert error_of(response) == TOO_LARGE
    assert response.headers["X-Needs-Upgrade"] == "true"
    bomb = gzip.compress(b" " * (limit + 1))
    gzipped = {"Content-Encoding": "gzip"}
    assert error_of(send(caller, bomb, "application/json", **gzipped)) == TOO_LARGE
    assert caller.get("/healthcheck").status_code == 200  # the connection survived


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip, deflate, br", "gzip"), ("deflate", None), ("identity", None)],
)
def test_compressed_answers(caller: Caller, accepted: str, coding: str | None) -> None:
    response = caller.get("/puterai/chat/models/details", headers={"Accept-Encoding": accepted})
    assert response.headers.get("Content-Encoding") == coding
    assert len(response.json()["models"]) > 100
    small = caller.get("/healthcheck", headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in small.headers


def receive(client: socket.socket) -> bytes:
    """A whole answer of /healthcheck, however many packets it comes in."""
    answer = b""
    while not answer.endswith(b'{"ok":true}'):
        chunk = client.recv(4096)
        assert chunk, answer
        answer += chunk
    return answer


def test_idle_connections_are_closed() -> None:
    with LocalPuter(keep_alive=0.2) as puter:
        with socket.create_connection(("127.0.0.1", puter.port), timeout=5) as client:
            for _ in range(2):
                client.sendall(b"GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n")
                answer = receive(client)
                assert b"\r\nConnection: keep-alive\r\nKeep-Alive: timeout=0.2\r\n" in answer
            began = time.monotonic()
            assert client.recv(1) == b""
            assert 0.1 < time.monotonic() - began < 3
        with socket.create_connection(("127.0.0.1", puter.port), timeout=5) as client:
            client.sendall(b"GET /healthcheck HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"\r\nConnection: close\r\n" in receive(client)


def test_one_port_serves_both_hosts(caller: Caller) -> None:
    assert caller.puter.url == caller.puter.api_base == caller.puter.gui_url
    assert error_of(caller.get("/nope")) == (404, "not_found", "Not Found")
    assert error_of(caller.post("/whoami", {})) == (404, "not_found", "Not Found")


def test_two_hosts(session: requests.Session) -> None:
    with LocalPuter(one_port=False) as puter:
        assert puter.url == f"http://api.localhost:{puter.port}"
        assert puter.login_url == f"http://localhost:{puter.port}/login"

        def get(host: str, path: str, method: str = "GET") -> requests.Response:
            headers = {"Host": host, "Authorization": f"Bearer {puter.token}"}
            url = f"http://127.0.0.1:{puter.port}{path}"
            return session.request(method, url, headers=headers, timeout=5, allow_redirects=False)

        assert get("api.example.org", "/whoami").status_code == 200
        lost = get("example.org", "/whoami")
        assert (lost.status_code, lost.headers["Location"]) == (302, "/")
        assert lost.text == "Found. Redirecting to /"
        assert get("api.example.org", "/").status_code == 404
        assert get("api.example.org", "/login", "POST").status_code == 404
        assert get("example.org", "/nope", "POST").status_code == 404


def test_a_client_that_asks_before_it_sends(caller: Caller) -> None:
    with socket.create_connection(("127.0.0.1", caller.puter.port), timeout=5) as client:
        client.sendall(
            b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert client.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"{}")
        assert client.recv(4096).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_client_that_leaves_frees_its_slot(caller: Caller) -> None:
    caller.puter.reply_with(*[Reply(text="slow", delay=30)] * 3)
    for _ in range(3):
        with pytest.raises(requests.ReadTimeout):
            impatient(caller)
    caller.puter.wait_for(3)
    deadline = time.monotonic() + 5
    while caller.puter.running_now and time.monotonic() < deadline:
        time.sleep(0.005)
    assert caller.puter.running_now == 0
    assert caller.chat("hi").status_code == 200


def impatient(caller: Caller) -> Any:
    body = {**LIST, "method": "complete", "args": {"model": "gpt-4.1", "messages": ["x"]}}
    headers = {"Authorization": f"Bearer {caller.puter.token}"}
    url = caller.puter.url + "/drivers/call"
    return caller.session.post(url, json=body, headers=headers, timeout=(5, 0.05))


def test_lone_surrogates_survive(caller: Caller) -> None:
    caller.puter.reply_with("a\ud800b")
    assert caller.text("hi") == "a\ud800b"
