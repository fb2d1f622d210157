"""Signing in and out, through both doors; who is asked for a code, and who may see a token."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import pytest

import puter
from tests.door import (
    CUT,
    REFUSED,
    SILENCE,
    Answer,
    Door,
    Sent,
    chat_body,
    error_body,
    json_answer,
    text_answer,
)

TOKEN = "session-token-secret"
SIGNED_IN = {
    "proceed": True,
    "next_step": "complete",
    "token": TOKEN,
    "user": {"username": "alice"},
}
ASKS_OTP = (202, {"proceed": True, "next_step": "otp", "otp_jwt_token": "otp-jwt-secret"})
WHOAMI = {
    "username": "alice",
    "uuid": "u-1",
    "email": "alice@example.org",
    "email_confirmed": True,
    "is_temp": False,
    "otp": True,
    "feature_flags": {},
}


def client(door: Door, **settings: Any) -> puter.PuterAI:
    credentials = {"token": None, "username": "alice", "password": "correct horse"}
    return door.client(**{**credentials, **settings})


def routes(**answers: Any) -> Any:
    """Answers by the last part of the path, dashes as underscores."""

    def answer(sent: Sent) -> Any:
        return answers[sent.url.rpartition("/")[2].replace("-", "_")]

    return answer


# ------------------------------------------------------------ in


async def test_a_user_name_signs_in_at_the_gui_host(door: Door) -> None:
    ai = client(door)
    door.answers(SIGNED_IN)
    assert await door(ai, "login") is True
    (sent,) = door.sent
    assert (sent.method, sent.url) == ("POST", "https://puter.com/login")
    assert sent.json == {"username": "alice", "password": "correct horse"}
    names = {name.lower() for name in sent.headers}
    assert not names & {"origin", "referer", "authorization", "cookie"}
    door.answers(chat_body())
    await door(ai, "chat", "Hi")
    assert door.sent[1].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_an_address_signs_in_as_email(door: Door) -> None:
    door.answers(SIGNED_IN)
    await door(client(door, username="Alice@Example.org"), "login")
    assert door.sent[0].json == {"email": "Alice@Example.org", "password": "correct horse"}


async def test_login_goes_where_the_settings_say(door: Door) -> None:
    door.answers(SIGNED_IN)
    await door(client(door, api_base="http://api.localhost:4100"), "login")
    await door(client(door, login_url="https://gui.example/in"), "login")
    assert [sent.url for sent in door.sent] == [
        "http://localhost:4100/login",
        "https://gui.example/in",
    ]


async def test_without_credentials_nothing_is_sent(door: Door) -> None:
    for missing in ({"username": None}, {"password": None}, {"username": None, "password": None}):
        with pytest.raises(puter.PuterAuthError, match="PUTER_USERNAME"):
            await door(client(door, **missing), "login")
    with pytest.raises(puter.PuterAuthError, match="PUTER_AUTH_TOKEN"):
        await door(client(door, username=None), "chat", "Hi")
    assert door.sent == []


@pytest.mark.parametrize(
    "variables",
    [
        {"PUTER_AUTH_TOKEN": TOKEN},
        {"PUTER_TOKEN": TOKEN},
        {"PUTER_API_TOKEN": TOKEN},
        {"PUTER_TOKEN": TOKEN, "PUTER_API_TOKEN": "other"},
        {"PUTER_AUTH_TOKEN": TOKEN, "PUTER_TOKEN": "other"},
        {"PUTER_AUTH_TOKEN": "", "PUTER_TOKEN": TOKEN},
        {"PUTER_AUTH_TOKEN": f" Bearer {TOKEN}\n"},
    ],
)
async def test_a_token_comes_from_the_environment(
    door: Door, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    await door(puter.PuterAI(transport=door.transport), "chat", "Hi")
    assert door.sent[0].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_user_name_and_password_come_from_the_environment(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUTER_USERNAME", "bob")
    monkeypatch.setenv("PUTER_PASSWORD", "battery staple")
    door.answers(SIGNED_IN)
    await door(puter.PuterAI(transport=door.transport), "login")
    await door(puter.PuterAI(username="carol", transport=door.transport), "login")
    assert [sent.json["username"] for sent in door.sent] == ["bob", "carol"]
    assert door.sent[1].json["password"] == "battery staple"


@pytest.mark.parametrize(
    "token",
    [
        "",
        " ",
        "two words",
        "line\nbreak",
        "a\r\nEvil: b",
        "grün-secret",
        "tab\tsecret",
        5,
        b"x",
        "Bearer ",
    ],
)
def test_what_cannot_be_a_token_is_refused_without_showing_it(token: Any) -> None:
    with pytest.raises(puter.PuterInputError, match="token") as caught:
        puter.PuterAI(token=token)
    told = str(caught.value)
    for word in ("secret", "words", "Evil", "break"):
        assert word not in told


@pytest.mark.parametrize("name", ["username", "password"])
@pytest.mark.parametrize("value", ["", 5, b"alice"])
def test_what_cannot_be_a_name_or_password_is_refused(name: str, value: Any) -> None:
    with pytest.raises(puter.PuterInputError, match=name):
        puter.PuterAI(**{name: value})


# ------------------------------------------------------------ second factor


def otp_plain() -> str:
    return "123 456"


async def otp_async() -> str:
    return "123456"


@pytest.mark.parametrize("otp", ["123456", " 123 456\n", otp_plain])
async def test_a_second_factor_is_answered_with_a_code(door: Door, otp: Any) -> None:
    ai = client(door)
    door.answers(ASKS_OTP, SIGNED_IN)
    assert await door(ai, "login", otp=otp) is True
    assert door.sent[1].url == "https://puter.com/login/otp"
    assert door.sent[1].json == {"token": "otp-jwt-secret", "code": "123456"}


async def test_an_async_function_may_be_asked_behind_the_async_door_only(door: Door) -> None:
    ai = client(door)
    door.answers(ASKS_OTP, SIGNED_IN)
    if door.kind == "async":
        assert await door(ai, "login", otp=otp_async) is True
        assert door.sent[1].json["code"] == "123456"
    else:
        with pytest.raises(
            puter.PuterInputError, match=r"otp_async is asynchronous.*async_ method"
        ):
            await door(ai, "login", otp=otp_async)
        assert len(door.sent) == 1


async def test_nobody_is_asked_without_need(door: Door) -> None:
    def never() -> str:
        raise AssertionError("asked")

    door.answers(SIGNED_IN)
    assert await door(client(door), "login", otp=never) is True


async def test_what_the_function_raises_comes_through(door: Door) -> None:
    def refuses() -> str:
        raise EOFError("no terminal")

    door.answers(ASKS_OTP)
    with pytest.raises(EOFError, match="no terminal"):
        await door(client(door), "login", otp=refuses)


@pytest.mark.parametrize("code", ["", "  ", 123456, None])
async def test_a_code_must_be_text(door: Door, code: Any) -> None:
    door.answers(ASKS_OTP, SIGNED_IN)
    with pytest.raises(puter.PuterInputError, match="otp must be"):
        await door(client(door), "login", otp=lambda: code)
    assert len(door.sent) == 1


async def test_a_recovery_code_stands_in(door: Door) -> None:
    door.answers(ASKS_OTP, SIGNED_IN)
    assert await door(client(door), "login", recovery_code="abcd efgh") is True
    assert door.sent[1].url == "https://puter.com/login/recovery-code"
    assert door.sent[1].json["code"] == "abcdefgh"


async def test_either_code_but_not_both(door: Door) -> None:
    with pytest.raises(puter.PuterInputError, match="not both"):
        await door(client(door), "login", otp="1", recovery_code="2")
    assert door.sent == []


@pytest.mark.parametrize(
    ("name", "reason"), [("otp", "otp_refused"), ("recovery_code", "recovery_code_refused")]
)
async def test_a_wrong_code_is_refused_although_the_status_is_200(
    door: Door, name: str, reason: str
) -> None:
    ai = client(door)
    door.answers(ASKS_OTP, {"proceed": False})
    with pytest.raises(puter.PuterAuthError, match="refused") as caught:
        await door(ai, "login", **{name: "000000"})
    assert caught.value.reason == reason
    assert len(door.sent) == 2
    with pytest.raises(puter.PuterAuthError, match="Not signed in"):
        await door(client(door, auto_login=False), "whoami")


async def test_a_second_factor_without_a_code_says_how_to_give_one(door: Door) -> None:
    door.answers(ASKS_OTP)
    with pytest.raises(puter.PuterTwoFactorRequired, match=r"login\(otp="):
        await door(client(door), "login")
    assert len(door.sent) == 1


@pytest.mark.parametrize(
    ("status", "text"), [(400, "Invalid token."), (400, "code is required."), (403, "cross-origin")]
)
async def test_a_refused_second_step_is_an_authentication_error(
    door: Door, status: int, text: str
) -> None:
    door.answers(ASKS_OTP, (status, error_body(text, "bad_request")))
    with pytest.raises(puter.PuterAuthError, match=text):
        await door(client(door), "login", otp="123456")


# ------------------------------------------------------------ refused

NOT_AN_ANSWER = puter.PuterResponseError
REFUSALS: list[tuple[int, str, str, type[puter.PuterError], str]] = [
    (400, "bad_request", "Username or email is required.", puter.PuterAuthError, "user name"),
    (400, "bad_request", "username must be a string.", puter.PuterAuthError, "user name"),
    (400, "password_required", "Password is required.", puter.PuterAuthError, "password"),
    (400, "bad_request", "Invalid password.", puter.PuterAuthError, "6 characters"),
    (401, "password_mismatch", "Incorrect password.", puter.PuterAuthError, "10 attempts"),
    (401, "unauthorized", "No password.", puter.PuterAuthError, "token"),
    (404, "not_found", "Username not found.", puter.PuterAuthError, "upper and lower case"),
    (404, "not_found", "Email not found.", puter.PuterAuthError, "e-mail"),
    (401, "account_suspended", "This account is suspended.", puter.PuterAuthError, "suspended the"),
    (
        403,
        "forbidden",
        "This endpoint cannot be called cross-origin.",
        puter.PuterAuthError,
        "Origin",
    ),
    (400, "bad_request", "Captcha verification required.", puter.PuterAuthError, "API token"),
    (400, "bad_request", "Invalid captcha response.", puter.PuterAuthError, "API token"),
    (403, "email_confirmation_required", "Confirm.", puter.PuterAuthError, "e-mail"),
    (429, "too_many_requests", "Too many requests.", puter.PuterRateLimitError, "15 minutes"),
    (500, "internal_error", "Internal Server Error", puter.PuterServerError, "Puter failed"),
    (404, "not_found", "Not Found", NOT_AN_ANSWER, "login_url"),
]


@pytest.mark.parametrize(
    ("status", "code", "text", "kind", "told"),
    REFUSALS,
    ids=[f"{r[0]}-{r[2][:16]}" for r in REFUSALS],
)
async def test_each_refusal_of_the_protocol_is_told_once(
    door: Door, status: int, code: str, text: str, kind: type[puter.PuterError], told: str
) -> None:
    ai = client(door)
    door.answers((status, error_body(text, code)))
    with pytest.raises(puter.PuterError) as caught:
        await door(ai, "login")
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.attempts) == (status, code, 1)
    assert told in error.hint
    assert len(door.sent) == 1


WRONG_HOSTS = [
    text_answer("<html>", "text/html"),
    text_answer("<html>", "text/html", 404),
    Answer(302, headers={"Location": "/"}),
    Answer(200),
    json_answer([]),
    json_answer("hello"),
    json_answer(None),
]


@pytest.mark.parametrize("answer", WRONG_HOSTS, ids=lambda a: f"{a.status}-{a.body.decode()[:8]}")
async def test_a_wrong_host_is_told_as_such(door: Door, answer: Answer) -> None:
    door.answers(answer)
    with pytest.raises(puter.PuterResponseError, match="login_url"):
        await door(client(door), "login")
    assert len(door.sent) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"proceed": False},
        {"proceed": True},
        {"proceed": True, "next_step": "complete", "token": ""},
        {"proceed": True, "next_step": "complete", "token": 5},
        {"proceed": "true", "next_step": "complete", "token": "t"},
        {"proceed": True, "next_step": "verify_phone", "token": "t"},
        {"token": "t"},
    ],
)
async def test_success_needs_all_its_signs(door: Door, answer: dict[str, Any]) -> None:
    ai = client(door, auto_login=False)
    door.answers(answer)
    with pytest.raises(puter.PuterAuthError):
        await door(ai, "login")
    with pytest.raises(puter.PuterAuthError, match="Not signed in"):
        await door(ai, "whoami")


async def test_a_sign_in_is_repeated_only_when_it_was_never_sent(door: Door) -> None:
    door.answers(REFUSED, SIGNED_IN)
    assert await door(client(door), "login") is True
    assert len(door.sent) == 2
    for fault in (SILENCE, CUT):
        door.sent.clear()
        door.answers(fault, SIGNED_IN)
        with pytest.raises(puter.PuterConnectionError):
            await door(client(door), "login")
        assert len(door.sent) == 1


# ------------------------------------------------------------ by itself


async def test_the_first_call_signs_in_when_it_can(door: Door) -> None:
    ai = client(door)
    door.answers(routes(login=SIGNED_IN, call=chat_body()))
    reply = await door(ai, "chat", "Hi")
    await door(ai, "chat", "Hi")
    assert [sent.url.rpartition("/")[2] for sent in door.sent] == ["login", "call", "call"]
    assert reply.attempts == 1


async def test_signing_in_by_itself_can_be_turned_off(door: Door) -> None:
    with pytest.raises(puter.PuterAuthError, match=r"login\(\)"):
        await door(client(door, auto_login=False), "chat", "Hi")
    assert door.sent == []


async def test_a_given_token_is_used_and_never_refreshed_behind_the_users_back(door: Door) -> None:
    ai = client(door, token="old-token-secret")
    door.answers((401, error_body("Again", "reauth_required", reason="session_expired")))
    with pytest.raises(puter.PuterAuthError) as caught:
        await door(ai, "chat", "Hi")
    assert caught.value.reason == "session_expired"
    assert [sent.url.rpartition("/")[2] for sent in door.sent] == ["call"]


async def test_bad_input_is_found_before_signing_in(door: Door) -> None:
    with pytest.raises(puter.PuterInputError):
        await door(client(door), "chat", "")
    assert door.sent == []


# ------------------------------------------------------------ out


async def test_logout_revokes_the_session_and_forgets_the_token(door: Door) -> None:
    ai = client(door, token=TOKEN, password=None)
    door.answers(
        routes(get_anticsrf_token={"token": "proof"}, logout=text_answer("logged out", "text/html"))
    )
    assert await door(ai, "logout") is None
    first, second = door.sent
    assert (first.method, first.url) == ("GET", "https://puter.com/get-anticsrf-token")
    assert (second.method, second.url) == ("POST", "https://puter.com/logout")
    assert second.json == {"anti_csrf": "proof"}
    assert all(sent.headers["Authorization"] == f"Bearer {TOKEN}" for sent in door.sent)
    with pytest.raises(puter.PuterAuthError, match="Not signed in"):
        await door(ai, "whoami")
    await door(ai, "logout")
    assert len(door.sent) == 2


@pytest.mark.parametrize(
    "answer",
    [
        (403, error_body("API tokens cannot", "forbidden")),
        (401, error_body("Again", "reauth_required")),
        (404, error_body("Not Found", "not_found")),
        text_answer("<html>", "text/html"),
    ],
)
async def test_a_token_that_cannot_revoke_itself_is_forgotten(door: Door, answer: Any) -> None:
    ai = client(door, token=TOKEN, auto_login=False)
    door.answers(answer)
    await door(ai, "logout")
    assert len(door.sent) == 1
    with pytest.raises(puter.PuterAuthError, match="Not signed in"):
        await door(ai, "whoami")


async def test_logout_without_an_answer_forgets_and_says_so(door: Door) -> None:
    ai = client(door, token=TOKEN, auto_login=False)
    door.answers(routes(get_anticsrf_token={"token": "proof"}, logout=CUT))
    with pytest.raises(puter.PuterConnectionError):
        await door(ai, "logout")
    with pytest.raises(puter.PuterAuthError, match="Not signed in"):
        await door(ai, "whoami")


async def test_after_logout_one_can_sign_in_again(door: Door) -> None:
    ai = client(door)
    door.answers(routes(login=SIGNED_IN, get_anticsrf_token=(403, {}), whoami=WHOAMI))
    await door(ai, "login")
    await door(ai, "logout")
    await door(ai, "login")
    assert (await door(ai, "whoami")).username == "alice"


@pytest.mark.parametrize("given", ["arguments", "environment"])
@pytest.mark.parametrize("signed_in", [True, False])
async def test_after_logout_nothing_signs_in_by_itself(
    door: Door, given: str, signed_in: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if given == "environment":
        monkeypatch.setenv("PUTER_USERNAME", "alice")
        monkeypatch.setenv("PUTER_PASSWORD", "correct horse")
        ai = door.client(token=None)
    else:
        ai = client(door)
    door.answers(routes(login=SIGNED_IN, get_anticsrf_token=(403, {}), whoami=WHOAMI))
    if signed_in:
        await door(ai, "whoami")
    await door(ai, "logout")
    sent = len(door.sent)
    for one in (ai, ai.with_options(timeout=5), ai.conversation()):
        method, args = ("chat", ("hi",)) if one is not ai else ("whoami", ())
        with pytest.raises(puter.PuterAuthError, match=r"since logout\(\)\. Call login\(\)"):
            await door(one, method, *args)  # type: ignore[arg-type]
    assert len(door.sent) == sent
    await door(ai, "login")
    assert (await door(ai, "whoami")).username == "alice"


async def test_close_forgets_token_and_password(door: Door) -> None:
    ai = client(door, token=TOKEN)
    await door(ai, "close")
    await door(ai, "close")
    for method, args in (("whoami", ()), ("login", ()), ("logout", ()), ("chat", ("Hi",))):
        with pytest.raises(puter.PuterError, match="closed"):
            await door(ai, method, *args)
    assert door.sent == []
    assert "closed" in repr(ai)


# ------------------------------------------------------------ who am I


async def test_whoami_tells_the_account(door: Door) -> None:
    door.answers(WHOAMI)
    account = await door(door.client(), "whoami")
    assert (door.sent[0].method, door.sent[0].url) == ("GET", "https://api.puter.com/whoami")
    assert (account.username, account.uuid, account.email) == ("alice", "u-1", "alice@example.org")
    assert (account.email_confirmed, account.is_temp, account.two_factor) == (True, False, True)
    assert account.app_name is None
    assert account.raw == WHOAMI


async def test_an_account_has_the_types_it_says_whatever_the_server_sends(door: Door) -> None:
    names = ("email", "email_confirmed", "is_temp", "otp", "app_name")
    odd: dict[str, Any] = {name: [[1]] for name in names}
    door.answers({**WHOAMI, **odd, "unconfirmed_email": {}})
    account = await door(door.client(), "whoami")
    assert hash(account) == hash(account)
    assert (account.email, account.is_temp, account.app_name) == (None, None, None)
    door.answers({**WHOAMI, "email_confirmed": 1, "is_temp": 0})
    account = await door(door.client(), "whoami")
    assert (account.email_confirmed, account.is_temp) == (True, False)


@pytest.mark.parametrize("answer", [[], {}, {"username": 5}, "alice", None])
async def test_whoami_of_an_unknown_shape_is_an_error(door: Door, answer: Any) -> None:
    door.answers((200, answer))
    with pytest.raises(puter.PuterResponseError, match="whoami"):
        await door(door.client(), "whoami")


# ------------------------------------------------------------ whose token


async def test_a_token_is_not_shown_to_another_host(door: Door) -> None:
    ai = door.client()
    await door(ai, "chat", "Hi")
    ai.config.update(api_base="https://api.elsewhere.example")
    with pytest.raises(puter.PuterAuthError, match=r"belongs to https://api\.puter\.com") as caught:
        await door(ai, "chat", "Hi")
    assert "test-token" not in str(caught.value)
    with pytest.raises(puter.PuterAuthError, match="belongs to"):
        await door(ai.with_options(), "chat", "Hi")
    assert len(door.sent) == 1
    ai.config.update(api_base="https://api.puter.com")
    assert await door(ai, "chat", "Hi") == "Hello!"


async def test_signing_in_anew_binds_the_token_to_the_new_host(door: Door) -> None:
    ai = client(door, token=TOKEN)
    door.answers(WHOAMI)
    await door(ai, "whoami")
    ai.config.update(api_base="https://api.elsewhere.example")
    door.answers(routes(login={**SIGNED_IN, "token": "other-token"}, whoami=WHOAMI))
    await door(ai, "login")
    await door(ai, "whoami")
    assert door.sent[-1].headers["Authorization"] == "Bearer other-token"


async def test_a_public_list_is_asked_without_token(door: Door) -> None:
    ai = puter.PuterAI(transport=door.transport)
    door.answers({"models": [{"id": "m", "provider": "p"}]})
    lists = await door(ai, "list_models"), await door(ai, "list_models", kind="video")
    assert [[one.id for one in listed] for listed in lists] == [["m"], ["m"]]
    assert len(door.sent) == 2
    assert all("Authorization" not in sent.headers for sent in door.sent)


# ------------------------------------------------------------ secrets


async def test_no_secret_is_logged_or_shown(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ai = client(door)
    echo = "correct horse otp-jwt-secret 123456 session-token-secret"
    for second in (
        SIGNED_IN,
        (400, error_body(echo, "bad_request", echo=echo)),
        (500, error_body(echo, None)),
    ):
        door.answers(ASKS_OTP, second)
        told = repr(ai)
        try:
            await door(ai, "login", otp="123456")
        except puter.PuterError as error:
            told += f"{error!r} {error} {vars(error)}"
        told += caplog.text + repr(ai) + str(pickle.dumps(ai)) + repr(ai._shared.credentials)
        for secret in ("correct horse", "otp-jwt-secret", "123456"):
            assert secret not in told
    assert TOKEN not in repr(ai) + repr(ai._shared.credentials) + caplog.text


async def test_the_user_name_is_no_secret(door: Door) -> None:
    door.answers((404, error_body("Username alice not found.", "not_found")))
    with pytest.raises(puter.PuterAuthError, match="Username alice not found"):
        await door(client(door), "login")


def test_a_pickled_client_has_no_credentials_but_its_history() -> None:
    ai = puter.PuterAI("alice", "correct horse", TOKEN, timeout=7)
    ai.chat_history.append({"role": "user", "content": "Hi"})
    data = pickle.dumps(ai)
    assert TOKEN.encode() not in data
    assert b"correct horse" not in data
    twin = pickle.loads(data)
    assert (twin.config.timeout, twin.chat_history) == (7, ai.chat_history)
    assert "'alice'" in repr(twin)
    assert "not signed in" in repr(twin)


# ------------------------------------------------------------ what is missing, what is mistaken

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ1IjoxfQ.c2ln_-s"


def test_a_token_in_the_place_of_the_user_name_is_told_and_not_shown() -> None:
    with pytest.raises(puter.PuterConfigError, match=r"PuterAI\(token=\.\.\.\)") as caught:
        puter.PuterAI(JWT)
    assert JWT[:12] not in str(caught.value)


@pytest.mark.parametrize("name", ["eyJeff", "eyJ.smith.jr@example.org", "a.b.c"])
def test_a_user_name_may_look_a_little_like_a_token(name: str) -> None:
    assert puter.PuterAI(name, "pw")._shared.credentials.username == name


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"username": "alice"}, ": the password is missing"),
        ({"password": "pw"}, ": the user name is missing"),
        ({}, r"\. Pass token="),
    ],
)
@pytest.mark.parametrize("method", ["whoami", "login"])
async def test_what_is_missing_to_sign_in_is_told(
    door: Door, method: str, given: Any, missing: str
) -> None:
    with pytest.raises(puter.PuterAuthError, match=f"Not signed in{missing}"):
        await door(puter.PuterAI(transport=door.transport, **given), method)
    assert door.sent == []


@pytest.mark.parametrize("call", [("chat", "hi"), ("whoami",), ("login",)])
async def test_who_has_no_account_is_told_of_the_puter_that_needs_none(
    door: Door, call: tuple[str, ...]
) -> None:
    with pytest.raises(puter.PuterAuthError, match="Not signed in") as caught:
        await door(puter.PuterAI(transport=door.transport), *call)
    assert "No account? `python -m puter.testing` serves a Puter" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("PUTER_AUTHTOKEN", "PUTER_AUTH_TOKEN"),
        ("PUTTER_AUTH_TOKEN", "PUTER_AUTH_TOKEN"),
        ("PUTER_API_KEY", "PUTER_AUTH_TOKEN"),
        ("puter_token", "PUTER_TOKEN"),
        ("PUTER_USER", "PUTER_USERNAME"),
        ("PUTER_PASWORD", "PUTER_PASSWORD"),
        ("PUTER_TIMEOUT", None),
        ("PUTER_API_BASE", None),
        ("PUTER_PROFILE", None),
    ],
)
async def test_a_misspelt_variable_is_told(
    door: Door, monkeypatch: pytest.MonkeyPatch, variable: str, meant: str | None
) -> None:
    ai = puter.PuterAI(transport=door.transport)
    monkeypatch.setenv(variable, "secret-value")
    with pytest.raises(puter.PuterAuthError, match="Not signed in") as caught:
        await door(ai, "chat", "hi")
    hint = caught.value.hint or ""
    told = f"{variable} is not read: did you mean {meant}? "
    assert (told in hint) is (meant is not None)
    assert ("is not read" in hint) is (meant is not None)
    assert "secret-value" not in str(caught.value)
