"""LocalPuter against requests and answers recorded from the real backend."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import pytest

from puter.testing import ChatCall, Fault, LocalPuter, Reply, Tier, UpstreamFailure
from tests.local_puter.support import captures

if TYPE_CHECKING:
    import requests

USERNAME, PASSWORD = "testuser", "puter-test-user-password"
OTHER, OTHER_PASSWORD = "otheruser", "puter-test-other-password"

# What neither the SDK nor puter.js sends: LocalPuter has no sign-up (add_user() makes accounts),
# no captchas, forms or cookies, and looks for tokens in the header and the body alone.
OTHERS = (
    "login_captcha_wrong", "login_form", "version", "whoami_bare_token_no_bearer",
    "whoami_cookie_on_api_host", "whoami_query_auth_token",
)  # fmt: skip

CALLS = {name: one for name, one in captures("calls").items() if name not in OTHERS}
SIGNIN = {
    name: one
    for name, one in captures("signin").items()
    if name not in OTHERS and "signup" not in name
}
CHAT_ERRORS = captures("chat_errors")
CHAT_ANSWERS = captures("chat_answers")


def replay(
    puter: LocalPuter, session: requests.Session, request: dict[str, Any], token: str
) -> requests.Response:
    port = puter.gui_url.rpartition(":")[2]

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            value = value.replace("http://puter.localhost:PORT", puter.gui_url)
            return value.replace("<jwt>", token)
        if isinstance(value, dict):
            return {key: filled(item) for key, item in value.items()}
        return value

    body = filled(request["body"])
    label = "api." if request["host"] == "api" else ""
    headers = {**filled(request["headers"]), "Host": f"{label}puter.localhost:{port}"}
    return session.request(
        request["method"],
        f"http://127.0.0.1:{port}{filled(request['path'])}",
        headers=headers,
        data=body.encode() if isinstance(body, str) else None,
        json=body if not isinstance(body, str) else None,
        allow_redirects=False,
        timeout=10,
    )


def shape(value: Any) -> Any:
    """Keys and kinds of values; what texts and numbers say is left out."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return "null" if value is None else type(value).__name__


def assert_same(response: requests.Response, wanted: dict[str, Any]) -> None:
    assert response.status_code == wanted["status"]
    for name in ("Content-Type", "Location", "X-Needs-Upgrade", "Vary"):
        assert response.headers.get(name) == wanted["headers"].get(name), name
    if isinstance(wanted["body"], str):
        assert response.text == wanted["body"]
        return
    body = response.json()
    if response.status_code < 400:
        assert shape(body) == shape(wanted["body"])
        return
    for varying in ("auth_id", "reauth_token"):
        assert bool(body.pop(varying, None)) == bool(wanted["body"].pop(varying, None))
    assert body == wanted["body"]


def local(**options: Any) -> LocalPuter:
    """The server that was recorded."""
    about: dict[str, Any] = {"generation": "2026-08", "username": USERNAME, "password": PASSWORD}
    return LocalPuter(one_port=False, **about, **options)


@pytest.mark.parametrize("name", CALLS)
def test_calls_and_hosts(name: str, session: requests.Session) -> None:
    capture = copy.deepcopy(CALLS[name])
    tier = Tier("temp_free", requests=0) if name.startswith("429") else "user_free"
    owed: Any = {"drivers_call_phone_pending": "phone", "drivers_call_unconfirmed_email": "email"}
    with local(tier=tier) as puter:
        user = puter.add_user(OTHER, OTHER_PASSWORD, requires=owed.get(name))
        response = replay(puter, session, capture["request"], puter.issue_token(user))
    assert_same(response, capture["response"])


@pytest.mark.parametrize("name", SIGNIN)
def test_signin(name: str, session: requests.Session) -> None:
    capture = copy.deepcopy(SIGNIN[name])
    request = capture["request"]
    with local() as puter:
        token = puter.issue_token(USERNAME, "api" if "api_token" in name else "session")
        login = copy.deepcopy(SIGNIN["login_ok_gui_no_origin"]["request"])
        if "otheruser" in str(capture):
            puter.add_user(
                OTHER,
                OTHER_PASSWORD,
                email="other@example.com",
                suspended=name == "login_suspended",
                requires="email" if "unconfirmed" in name else None,
            )
            token = puter.issue_token(OTHER)
        if "recovery" in name:
            codes = ["XY5EI5AN"] if name == "login_recovery_ok" else []
            puter.add_user("twofactor", PASSWORD, email="two@x.org", otp="1", recovery_codes=codes)
            login["body"] = {"username": "twofactor", "password": PASSWORD}
            token = replay(puter, session, login, "").json()["otp_jwt_token"]
        if name == "login_rate_limited":
            for _ in range(10):
                assert replay(puter, session, request, "").status_code == 200
        if name == "logout_ok":
            ask = {**request, "method": "GET", "path": "/get-anticsrf-token", "body": None}
            request["body"] = {"anti_csrf": replay(puter, session, ask, token).json()["token"]}
        if name == "whoami_after_logout":
            puter.revoke(token)
        session.cookies.clear()
        response = replay(puter, session, request, token)
    body: dict[str, Any] = response.json() if response.text.startswith("{") else {}
    for who in (body, body.get("user", {})):
        if who.get("username") == USERNAME:  # the recorded account had no e-mail address
            assert who["email"] == "testuser@example.com"
            assert who["email_confirmed"] is True
            expected = capture["response"]["body"]
            expected = expected.get("user", expected)
            expected |= {"email": "", "email_confirmed": True}
            if "unconfirmed_email" in expected:
                expected["unconfirmed_email"] = ""
    assert_same(response, capture["response"])
    if body.get("token"):
        cookie = response.headers["Set-Cookie"]
        assert cookie == f"puter_auth_token={body['token']}; Path=/; HttpOnly; SameSite=Lax"


def upstream(call: ChatCall) -> Reply | Fault:
    """The stand-in vendor the captures were made with."""
    text = call.last_text
    if fails := re.search(r"cmd:fail=(\d+)", text):
        status = fails[1]
        if call.family == "claude":
            detail = f'{{"type":"fake_error","message":"fake anthropic {status}"}}'
            return UpstreamFailure(int(status), f'{{"type":"error","error":{detail}}}')
        return UpstreamFailure(int(status), f"fake upstream says {status}", f"fake_{status}")
    if call.family == "claude":
        said = f"Claude says: {text}"
        tool_call = {"id": "toolu_fake", "name": "get_weather", "arguments": {"location": "Paris"}}
        usage = {
            "input_tokens": 31,
            "output_tokens": 12,
            "cache_read_input_tokens": 2,
            "thinking_tokens": 0,
        }
    else:
        said = f"Hello from fake upstream: {text}"
        arguments = {"location": "Paris", "days": 2}
        tool_call = {"id": "call_fake_1", "name": "get_weather", "arguments": arguments}
        cached = 4 if "cmd:cached" in text else 0
        prompt = 7 if cached and call.provider == "azure-openai" else 11
        if call.provider in ("ollama", "openrouter", "infron"):
            usage = {"prompt": prompt, "completion": 7}
        else:
            usage = {"prompt_tokens": prompt, "completion_tokens": 7, "cached_tokens": cached}
    if "cmd:texttool" in text:
        return Reply(text="I will check.", tool_calls=[tool_call], usage=usage)
    if "cmd:tool" in text:
        return Reply(tool_calls=[tool_call], usage=usage)
    if "cmd:refuse" in text:
        return Reply(refusal="I cannot help with that.", usage=usage)
    thought = "Hmm, let me think." if call.family == "claude" else "I think, therefore."
    return Reply(
        text=said,
        reasoning=thought if "cmd:reason" in text else None,
        compaction="SUMMARY" if "cmd:compaction" in text else None,
        extra={"extra_content": {"google": {"thought_signature": "c2ln"}}}
        if "cmd:extra" in text
        else {},
        usage=usage,
    )


@pytest.mark.parametrize("name", CHAT_ERRORS | CHAT_ANSWERS)
def test_chat_to_the_last_byte(name: str, session: requests.Session) -> None:
    capture = copy.deepcopy((CHAT_ERRORS | CHAT_ANSWERS)[name])
    with local(tier=None) as puter:
        puter.respond(upstream)
        response = replay(puter, session, capture["request"], puter.token)
    assert_same(response, capture["response"])
    if response.status_code == 200:
        body = response.json()
        message = body["result"]["message"]
        if "id" in message:
            message["id"] = "msg_fake"
        assert body == capture["response"]["body"]
