"""The page of browser sign-in: who gets a token, and where the browser goes with it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.local_puter.support import Caller

if TYPE_CHECKING:
    import requests

TARGET = "http://localhost:7/path?a=1&b=%26"
GOOD = {"username": "alice", "password": "correct horse", "choice": "allow"}


def show(caller: Caller, target: str = TARGET, **more: str) -> requests.Response:
    query = {"action": "authme", "redirectURL": target, **more}
    return caller.get("/", token=None, params=query)


def press(caller: Caller, target: str = TARGET, **fields: str) -> requests.Response:
    origin = fields.pop("origin", caller.puter.gui_url)
    return caller.session.post(
        caller.puter.gui_url + "/authme",
        data={**GOOD, "redirectURL": target, **fields},
        headers={"Origin": origin},
        timeout=10,
        allow_redirects=False,
    )


def token_of(answer: requests.Response) -> str:
    assert answer.status_code == 303
    return parse_qs(urlsplit(answer.headers["Location"]).query)["token"][0]


def test_the_page_asks_who_and_tells_for_whom(caller: Caller) -> None:
    page = show(caller)
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<b>localhost:7</b> asks for a token for your whole account" in page.text
    assert f'value="{html.escape(TARGET)}"' in page.text
    assert 'value="alice"' in page.text


def test_allow_leads_back_with_a_token_and_keeps_the_rest(caller: Caller) -> None:
    answer = press(caller)
    where = urlsplit(answer.headers["Location"])
    assert (where.scheme, where.netloc, where.path) == ("http", "localhost:7", "/path")
    assert parse_qs(where.query) == {"a": ["1"], "b": ["&"], "token": [token_of(answer)]}
    assert caller.get("/whoami", token=token_of(answer)).json()["username"] == "alice"
    assert caller.puter.requests[0].token_user == "alice"


def test_it_is_an_api_token_for_the_whole_account(caller: Caller) -> None:
    token = token_of(press(caller))
    assert caller.get("/get-anticsrf-token", token=token).status_code == 403
    assert caller.puter.url
    again = {"permissions": ["full-api-access"]}
    assert caller.post("/auth/create-access-token", again, token=token).status_code == 403


def test_a_session_where_it_is_asked_for(caller: Caller) -> None:
    assert "a session of yours" in show(caller, token_type="session").text
    session = {"token_type": "session"}
    assert press(caller, **session).status_code == 401  # not confirmed
    token = token_of(press(caller, **session, sure="yes"))
    assert caller.get("/get-anticsrf-token", token=token).status_code == 200
    far = "https://example.org/back"
    assert show(caller, far, token_type="session").status_code == 400
    assert press(caller, far, **session, sure="yes").status_code == 400
    assert show(caller, far).status_code == 200


def test_cancel_leads_nowhere(caller: Caller) -> None:
    answer = press(caller, choice="cancel")
    assert answer.status_code == 200
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"password": "wrong one"}, "Incorrect password."),
        ({"username": "bob"}, "Username not found."),
        ({"username": "sus", "password": "long password"}, "This account is suspended."),
        ({"username": "two", "password": "long password"}, "This account has a second factor."),
        ({"username": "two", "password": "long password", "code": "000000"}, "Wrong code."),
    ],
)
def test_who_does_not_get_in_is_asked_again(caller: Caller, fields: Any, told: str) -> None:
    caller.puter.add_user("sus", "long password", suspended=True)
    caller.puter.add_user("two", "long password", otp="123456")
    answer = press(caller, **fields)
    assert answer.status_code == 401
    assert told in answer.text


def test_the_second_factor(caller: Caller) -> None:
    caller.puter.add_user("two", "long password", otp="123456")
    assert 'name="code"' in press(caller, username="two", password="long password").text
    token = token_of(press(caller, username="two", password="long password", code="123456"))
    assert caller.get("/whoami", token=token).json()["username"] == "two"


@pytest.mark.parametrize(
    "target", ["", "javascript:alert(1)", "file:///etc/passwd", "http://", "/path", "http://[", "x"]
)
def test_a_browser_is_sent_to_web_addresses_alone(caller: Caller, target: str) -> None:
    for answer in (show(caller, target), press(caller, target)):
        assert answer.status_code == 400
        assert "must be an address with http or https" in answer.text


def test_nothing_of_the_address_becomes_part_of_the_page(caller: Caller) -> None:
    target = 'http://<b>x</b>/"><script>alert(1)</script>'
    for page in (show(caller, target), press(caller, target, password="wrong one")):
        assert "<script>" not in page.text
        assert "<b>x" not in page.text


def test_a_page_of_another_origin_presses_no_button(caller: Caller) -> None:
    assert press(caller, origin="https://evil.example").status_code == 403
    assert press(caller, origin="null").status_code == 403


def test_there_is_no_desktop(caller: Caller) -> None:
    assert caller.get("/").status_code == 404
    assert caller.get("/", params={"action": "other"}).status_code == 404
