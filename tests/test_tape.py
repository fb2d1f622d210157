"""What a cassette keeps of requests and answers, and how it finds them again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puter.secret import Secret
from puter.testing.tape import Cleaner, Tape, UnrecordedRequest, pieces_of
from puter.transports.mock import MockBody
from puter.wire.http import HttpReply

JSON = {"content-type": "application/json"}
LINES = {"content-type": "application/x-ndjson"}
CLEAN = Cleaner()


def request(value: Any, url: str = "https://api.puter.com/drivers/call") -> dict[str, Any]:
    return CLEAN.request(
        "POST", url, {"Content-Type": "application/json"}, json.dumps(value).encode()
    )


def reply(body: bytes, headers: dict[str, str], *, stream: bool = False) -> dict[str, Any]:
    answer = HttpReply(200, headers, stream=MockBody([]) if stream else None)
    return CLEAN.reply(answer, body)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=9,
)


@given(values)
def test_what_is_no_secret_comes_back_as_it_was(value: Any) -> None:
    def of(body: bytes, headers: dict[str, str]) -> bytes:
        tape = Tape()
        tape.begin(request(value))["reply"] = reply(body, headers)
        again = Tape(tape.content()).answer_to(request(value))
        return b"".join(pieces_of(again))

    body = json.dumps(value).encode()
    if "<redacted>" in json.dumps(reply(body, JSON)):
        return
    assert json.loads(of(body, JSON)) == value
    assert json.loads(of(body + b"\n", LINES)) == value


@pytest.mark.parametrize(
    ("body", "headers", "kept"),
    [
        (b'{"a":1}\n{"b":2}\n', LINES, {"lines": [{"a": 1}, {"b": 2}]}),
        (b'{"a":1}\n{"b":', LINES, {"text": '{"a":1}\n{"b":'}),  # it broke off
        (b'{"a":\n', LINES, {"text": '{"a":\n'}),
        (b'{"a": [1.5]}', JSON, {"json": {"a": [1.5]}}),
        (b"{broken", JSON, {"text": "{broken"}),
        (b"<p>Hi", {"content-type": "text/html; charset=utf-8"}, {"text": "<p>Hi"}),
        (b"\xff\xfb\x90", {"content-type": "audio/mpeg"}, {"base64": "//uQ"}),
        (b"", JSON, {}),
    ],
)
def test_each_body_is_kept_in_its_own_form(body: bytes, headers: Any, kept: Any) -> None:
    form = reply(body, headers, stream=True)
    assert {
        name: form[name] for name in form if name not in ("status", "headers", "stream")
    } == kept
    assert b"".join(pieces_of(form)).replace(b" ", b"") == body.replace(b" ", b"")
    assert form["stream"] is True


def test_headers_that_tell_nothing_are_left_out() -> None:
    headers = {**JSON, "Set-Cookie": "a", "Date": "now", "X-Request-Id": "r1", "Retry-After": "3"}
    assert list(reply(b"1", headers)["headers"]) == ["content-type", "retry-after", "x-request-id"]


def test_secrets_are_taken_out_of_all_parts() -> None:
    token = "correct-horse-battery"
    cleaner = Cleaner([Secret(token), Secret("")])
    url = f"https://me:pw@example.org/file?uid=7&signature=s1gn&t={token}"
    headers = {"Authorization": f"Bearer {token}", "content-type": "application/json"}
    said = {"password": "p4ssword", "note": f"it is {token}", "text": 'a "token": "inner"'}
    sent = cleaner.request("POST", url, headers, json.dumps(said).encode())
    answer = HttpReply(200, {**headers, "x-request-id": token})
    told = cleaner.reply(answer, json.dumps({"token": "fr3sh", "url": url}).encode())
    sound = cleaner.reply(HttpReply(200, {"content-type": "audio/mpeg"}), b"\xff" + token.encode())
    shown = json.dumps([sent, told, sound["base64"]])
    for secret in (token, "me:pw", "s1gn", "p4ssword", "inner", "fr3sh"):
        assert secret not in shown
    assert "uid=7" in sent["url"]
    assert sound["base64"] == "/zxyZWRhY3RlZD4="  # \xff<redacted>


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("name", ["text", "reasoning"])
def test_secrets_that_a_stream_brings_in_pieces_are_taken_out(name: str, size: int) -> None:
    token = "correct-horse-battery"
    said = f"It is {token}, or https://me:hunter2@example.org."
    lines = [{"type": name, name: said[at : at + size]} for at in range(0, len(said), size)]
    lines.insert(2, {"type": "extra", "password": "p4"})
    lines.append({"type": "extra", "password": "p5"})
    body = b"".join(json.dumps(one).encode() + b"\n" for one in lines)
    kept = Cleaner([Secret(token)]).reply(HttpReply(200, LINES, stream=MockBody([])), body)["lines"]
    together = "".join(one.get(name, "") for one in kept)
    assert together == "It is <redacted>, or https://<redacted>@example.org."
    assert [one["password"] for one in kept if "password" in one] == ["<redacted>"] * 2
    assert [one["type"] for one in kept] == [one["type"] for one in lines]


def test_what_was_cleaned_is_not_changed_again() -> None:
    once = request({"url": "https://a:b@c.org/?token=1&x=2", "token": "t"}, "https://h/?sig=1&u=2")
    body = json.dumps(once["json"]).encode()
    assert CLEAN.request("POST", once["url"], {"content-type": "application/json"}, body) == once


def test_the_port_of_a_server_on_this_machine_is_not_compared() -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert request(1, f"http://{host}:4100/a") == request(1, f"http://{host}:4200/a")
    assert request(1, "http://example.org:4100/a") != request(1, "http://example.org:4200/a")


def test_the_same_request_is_answered_in_order_and_no_more_often() -> None:
    tape = Tape()
    for text in (b"1", b"2"):
        tape.begin(request("a"))["reply"] = reply(text, JSON)
        tape.begin(request("b"))  # was never answered
    again = Tape(tape.content())
    assert [again.answer_to(request("a"))["json"] for _ in range(2)] == [1, 2]
    with pytest.raises(UnrecordedRequest, match="more often than it was recorded"):
        again.answer_to(request("a"))
    with pytest.raises(UnrecordedRequest, match="the nearest of 2 differs"):
        again.answer_to(request("b"))


def test_an_unknown_request_is_told_beside_the_nearest() -> None:
    tape = Tape()
    for question in ("Capital of Italy?", "Capital of France?"):
        said = {"model": "m", "messages": [{"role": "user", "content": question}], "n": 1}
        tape.begin(request(said))["reply"] = reply(b"1", JSON)
    asked = {"model": "m", "messages": [{"role": "user", "content": "Capital of Spain?"}], "n": 1}
    tape_again = Tape(tape.content())
    with pytest.raises(UnrecordedRequest) as caught:
        tape_again.answer_to(request(asked))
    assert caught.value.message == (
        "POST https://api.puter.com/drivers/call is not in the cassette as it is sent now; the "
        "nearest of 2 differs in json.messages[0].content: 'Capital of Italy?' was recorded, now "
        "'Capital of Spain?'"
    )
    with pytest.raises(UnrecordedRequest, match=r"recorded is POST https://api.puter.com/drivers"):
        tape_again.answer_to(request(asked, "https://api.puter.com/whoami"))


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"version": 2}', b'{"version": 1}', b'{"version":1,"exchanges":[{}]}',
     b'{"version":1,"exchanges":[{"request":{},"reply":{"status":200,"headers":{},"base64":"!"}}]}'],
)  # fmt: skip
def test_what_is_no_cassette_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        Tape(content)


def test_the_file_is_for_people() -> None:
    tape = Tape()
    tape.begin(request({"q": "Gr\u00fc\u00dfe \ud83d"}))["reply"] = reply(b"1", JSON)
    text = tape.content().decode()
    assert '          "q": "Gr\u00fc\u00dfe \\ud83d"\n' in text
    assert text.endswith("}\n")
    assert Tape(text.encode()).answer_to(request({"q": "Gr\u00fc\u00dfe \ud83d"}))["json"] == 1
