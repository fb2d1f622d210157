"""Logins, and the kinds of token."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from puter.testing import LocalPuter
from tests.local_puter.support import Caller, error_of

if TYPE_CHECKING:
    import requests

    from puter.testing.accounts import TokenKind


GOOD = "correct horse"
NO_PASSWORD = (400, "password_required", "Password is required.")
NO_USERNAME = (404, "not_found", "Username not found.")
NOBODY = (400, "bad_request", "Username or email is required.")


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({}, NOBODY),
        ({"username": "", "password": GOOD}, NOBODY),
        ({"email": 5, "password": GOOD}, (400, "bad_request", "email must be a string.")),
        ({"username": "alice"}, NO_PASSWORD),
        ({"username": "alice", "password": 123456}, NO_PASSWORD),
        ({"username": "alice", "password": "short"}, (400, "bad_request", "Invalid password.")),
        (
            {"username": "alice", "password": "wrong one"},
            (401, "password_mismatch", "Incorrect password."),
        ),
        ({"username": "ALICE", "password": GOOD}, NO_USERNAME),
        ({"username": "alice@example.com", "password": GOOD}, NO_USERNAME),
        ({"email": "alice", "password": GOOD}, (404, "not_found", "Email not found.")),
        (
            {"username": "social", "password": GOOD},
            (401, "unauthorized", "This account has no password."),
        ),
    ],
)
def test_refused_logins(
    caller: Caller, fields: dict[str, Any], refusal: tuple[int, str, str]
) -> None:
    caller.puter.add_user("social", None)
    assert error_of(caller.login(**fields)) == refusal


def test_login_by_email(caller: Caller) -> None:
    body = caller.login(email="alice@example.com", password="correct horse").json()
    assert body["user"]["username"] == "alice"
    assert caller.get("/whoami", token=body["token"]).json()["username"] == "alice"


def test_an_unparsed_login_is_a_500(caller: Caller) -> None:
    response = caller.session.post(caller.puter.login_url, data=b"{}", timeout=5)
    assert error_of(response) == (500, "internal_error", "Internal Server Error")


def test_the_origin_rule(caller: Caller) -> None:
    good = caller.puter.gui_url
    for origin, status in (
        (good, 200),
        (good.upper() + "/", 200),
        ("null", 403),
        ("https://puter.com", 403),
    ):
        login = {"username": "alice", "password": "correct horse"}
        response = caller.post("/login", login, token=None, headers={"Origin": origin})
        assert response.status_code == status
        assert response.headers["Access-Control-Allow-Origin"] == origin
    assert caller.get("/whoami", headers={"Origin": "https://x.org"}).status_code == 200


def test_two_factor(caller: Caller) -> None:
    caller.puter.add_user(
        "bob", "bobs password", otp=["111111", "222222"], recovery_codes=["ABCD1234"]
    )
    first = caller.login(username="bob", password="bobs password")
    assert first.status_code == 202
    assert first.json()["next_step"] == "otp"
    assert "token" not in first.json()
    step = first.json()["otp_jwt_token"]

    def second(path: str, **fields: Any) -> requests.Response:
        return caller.post(path, fields, token=None)

    assert error_of(second("/login/otp", token=step))[2] == "code is required."
    assert error_of(second("/login/otp", token="x", code="111111"))[2] == "Invalid token."
    assert error_of(second("/login/otp", token=caller.puter.token, code="111111"))[0] == 400
    wrong = second("/login/otp", token=step, code="000000")
    assert (wrong.status_code, wrong.json()) == (200, {"proceed": False})
    right = second("/login/otp", token=step, code="222222").json()
    assert (right["proceed"], right["next_step"]) == (True, "complete")
    assert caller.get("/whoami", token=right["token"]).json()["otp"] is True
    recovered = second("/login/recovery-code", token=step, code="ABCD1234").json()
    assert recovered["next_step"] == "complete"
    again = second("/login/recovery-code", token=step, code="ABCD1234").json()
    assert again == {"proceed": False}
    caller.puter.expire(step)
    assert error_of(second("/login/otp", token=step, code="111111"))[2] == "Invalid token."
    # The intermediate token opens nothing else.
    assert error_of(caller.get("/whoami", token=step))[1] == "token_auth_failed"


def test_logout_needs_a_session_and_a_fresh_code(caller: Caller) -> None:
    puter = caller.puter
    for kind in ("api", "app"):
        token = puter.issue_token("alice", kind)
        assert caller.get("/get-anticsrf-token", token=token).status_code == 403
        assert caller.post("/logout", {}, token=token).status_code == 403
    code = caller.get("/get-anticsrf-token").json()["token"]
    response = caller.post("/logout", {"anti_csrf": code})
    assert (response.status_code, response.text) == (200, "logged out")
    body = caller.get("/whoami").json()
    assert (body["code"], body["reason"]) == ("reauth_required", "session_revoked")
    token = puter.issue_token("alice")
    assert caller.post("/logout", {"anti_csrf": code}, token=token).status_code == 400  # used


def test_token_failures(caller: Caller) -> None:
    puter = caller.puter
    head, body, signature = puter.token.split(".")
    old_head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode()
    forged = f"{head}.{body}.{signature[::-1]}"
    with LocalPuter() as other:
        foreign = other.token
    for token, code, reason in (
        (None, "token_missing", None),
        ("garbage", "reauth_required", "token_v1"),
        ("a.b.c", "reauth_required", "token_v1"),
        (f"{old_head}.{body}.{signature}", "reauth_required", "token_v1"),
        ("WzFd.b.c", "reauth_required", "token_v1"),
        (forged, "token_auth_failed", None),
        (foreign, "token_auth_failed", None),
    ):
        answer = caller.get("/whoami", token=token)
        assert error_of(answer)[:2] == (401, code)
        assert answer.json().get("reason") == reason
    puter.expire(puter.token)
    answer = caller.get("/whoami").json()
    assert (answer["code"], answer["reason"]) == ("reauth_required", "session_expired")
    assert answer["reauth_token"]
    me = caller.get("/whoami", token=puter.issue_token("alice")).json()["uuid"]
    assert answer["auth_id"] == me
    with pytest.raises(LookupError):
        puter.revoke("unheard of")
    with pytest.raises(LookupError, match="nobody"):
        puter.issue_token("nobody")


@pytest.mark.parametrize(
    ("kind", "driver", "create", "anti_csrf"),
    [
        ("session", 200, 200, 200),
        ("api", 200, 403, 403),
        ("app", 200, 403, 403),
        ("worker", 200, 200, 200),
        ("scoped", 403, 403, 403),
    ],
)
def test_what_each_kind_of_token_opens(
    caller: Caller, kind: TokenKind, driver: int, create: int, anti_csrf: int
) -> None:
    token = caller.puter.issue_token("alice", kind)
    assert caller.chat("hi", token=token).status_code == driver
    assert caller.get("/whoami", token=token).status_code == driver
    wish = {"permissions": ["full-api-access"]}
    assert caller.post("/auth/create-access-token", wish, token=token).status_code == create
    assert caller.get("/get-anticsrf-token", token=token).status_code == anti_csrf
    assert caller.get("/puterai/chat/models", token=token).status_code == 200


def test_access_tokens(caller: Caller) -> None:
    def create(**fields: Any) -> requests.Response:
        return caller.post("/auth/create-access-token", fields)

    assert create(permissions=[]).status_code == 400
    assert create(permissions=["full-api-access"], expiresIn="soon").status_code == 400
    full = create(permissions=["full-api-access"], label="mine", expiresIn="30d").json()["token"]
    assert caller.chat("hi", token=full).status_code == 200
    message = "Access tokens may not create access tokens"
    wish = {"permissions": ["full-api-access"]}
    nested = caller.post("/auth/create-access-token", wish, token=full)
    assert error_of(nested) == (403, "forbidden", message)
    scoped = create(permissions=["driver:puter-chat-completion"]).json()["token"]
    message = "Access tokens are not allowed to access this resource"
    assert error_of(caller.get("/whoami", token=scoped)) == (403, "forbidden", message)
    gone = create(permissions=["full-api-access"], expiresIn=0).json()["token"]
    assert caller.get("/whoami", token=gone).json()["reason"] == "session_expired"

    assert caller.post("/auth/revoke-access-token", {"tokenOrUuid": full}).status_code == 400
    code = caller.get("/get-anticsrf-token").json()["token"]
    revoke = {"tokenOrUuid": full, "anti_csrf": code}
    assert caller.post("/auth/revoke-access-token", revoke).json() == {"ok": True}
    assert caller.get("/whoami", token=full).json()["reason"] == "session_revoked"


def test_revoking_a_token_nobody_has(caller: Caller) -> None:
    bob = caller.puter.issue_token(caller.puter.add_user("bob", None))
    for unknown in ("nope", caller.puter.token[:-1], bob):
        code = caller.get("/get-anticsrf-token").json()["token"]
        revoke = {"tokenOrUuid": unknown, "anti_csrf": code}
        refused = error_of(caller.post("/auth/revoke-access-token", revoke))
        assert refused == (404, "not_found", "Token not found")
    assert caller.get("/whoami", token=bob).status_code == 200


@pytest.mark.parametrize("requires", ["email", "phone", "card"])
def test_accounts_that_owe_a_verification(caller: Caller, requires: Any) -> None:
    user = caller.puter.add_user("new", "new password", email="n@x.org", requires=requires)
    token = caller.puter.issue_token(user)
    assert error_of(caller.chat("hi", token=token))[0] == 403
    about = caller.get("/whoami", token=token).json()
    flags = {key: about[key] for key in about if key.startswith("requires_")}
    assert [value for key, value in flags.items() if requires in key] == [True]
    assert sum(flags.values()) == 1
    user.requires = None
    assert caller.chat("hi", token=token).status_code == 200


def test_accounts_without_reputation(caller: Caller, older: Caller) -> None:
    for one, status in ((caller, 403), (older, 200)):
        one.puter.add_user("new", "new password", trusted=False)
        token = one.puter.issue_token("new")
        refused = one.chat("hi", token=token)
        assert refused.status_code == status
        assert one.get("/whoami", token=token).status_code == 200
        assert one.call("puter-kvstore", "list", token=token).status_code == 200
    unknown = caller.call("puter-chat-completion", "nope", token=caller.puter.issue_token("new"))
    assert unknown.status_code == 404
    refused = caller.chat("hi", token=caller.puter.issue_token("new"))
    assert error_of(refused)[1] == "reputation_required"


def test_a_suspended_account(caller: Caller) -> None:
    user = caller.puter.add_user("mallory", "mallorys password")
    token = caller.puter.issue_token(user)
    user.suspended = True
    assert error_of(caller.chat("hi", token=token)) == (403, "forbidden", "Account suspended")
    login = caller.login(username="mallory", password="mallorys password")
    assert error_of(login)[:2] == (401, "account_suspended")


def test_names_are_unique(puter: LocalPuter) -> None:
    with pytest.raises(ValueError, match="alice"):
        puter.add_user("alice", "another password")
    with pytest.raises(ValueError, match="platinum"):
        puter.add_user("rich", "a password", tier="platinum")
