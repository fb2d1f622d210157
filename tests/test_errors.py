"""From what the server says to the error the user sees; test_auth.py has the table of sign-in."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import puter
from puter import exceptions
from puter.exceptions import PuterError
from puter.testing import LocalPuter, faults
from puter.types.replies import ChatReply
from puter.wire.errors import error_of, retry_after
from puter.wire.http import HttpReply, HttpRequest
from tests.door import Answer, Door, error_body, json_answer, text_answer

FIXTURES = Path(__file__).parent / "fixtures" / "wire"
PUBLIC = [getattr(exceptions, name) for name in exceptions.__all__]
CLASSES = [kind for kind in PUBLIC if issubclass(kind, PuterError)]

# status, code, text -> class, and a word of the hint
ROWS: list[tuple[int, str | None, str, type[PuterError], str]] = [
    (401, "token_missing", "Missing authentication token", puter.PuterAuthError, "login()"),
    (401, "token_auth_failed", "Authentication failed", puter.PuterAuthError, "api_base"),
    (401, "reauth_required", "Re-authentication required", puter.PuterAuthError, "login()"),
    (401, "account_suspended", "This account is suspended.", puter.PuterAuthError, "suspended the"),
    (401, "unheard_of", "No.", puter.PuterAuthError, "login()"),
    (401, "bad_request", "No.", puter.PuterAuthError, "login()"),
    (401, None, "No.", puter.PuterAuthError, "login()"),
    (403, "forbidden", "Account suspended", puter.PuterPermissionError, "suspended the"),
    (403, "forbidden", "Forbidden", puter.PuterPermissionError, "token"),
    (403, "email_confirmation_required", "Confirm", puter.PuterAuthError, "e-mail"),
    (403, "phone_verification_required", "Verify", puter.PuterAuthError, "phone"),
    (403, "card_verification_required", "Verify", puter.PuterAuthError, "card"),
    (400, "account_is_not_verified", "Verify", puter.PuterAuthError, "Verify"),
    (403, "app_blocked", "Blocked", puter.PuterPermissionError, "operator"),
    (403, "permission_denied", "Permission denied", puter.PuterPermissionError, "token"),
    (403, "access_denied", "Write access denied", puter.PuterPermissionError, "folders"),
    (403, "app_or_api_token_required", "No.", puter.PuterPermissionError, "API token"),
    (403, None, "No.", puter.PuterPermissionError, "token"),
    (400, "bad_request", "`prompt` must be a string", puter.PuterBadRequestError, "arguments"),
    (400, "bad_request", "Model not found: nope", puter.PuterModelNotFoundError, "Did you mean"),
    (400, "field_required", "Missing required field: text", puter.PuterBadRequestError, "argum"),
    (400, "field_invalid", "Invalid field", puter.PuterBadRequestError, "arguments"),
    (400, "invalid_engine", "Invalid engine", puter.PuterBadRequestError, "arguments"),
    (400, "client_bad_json", "Malformed JSON", puter.PuterBadRequestError, "arguments"),
    (400, "client_aborted", "aborted", puter.PuterBadRequestError, "arguments"),
    (400, "cannot_write_to_root", "No.", puter.PuterBadRequestError, "arguments"),
    (400, "upstream_bad_request", "400 Invalid value", puter.PuterBadRequestError, "vendor"),
    (400, "upstream_provider_unavailable", "down", puter.PuterUpstreamError, "another model"),
    (400, "upstream_failed", "All AI providers failed", puter.PuterUpstreamError, "another model"),
    (400, "bad_response", "empty", puter.PuterUpstreamError, "again"),
    (400, None, "No.", puter.PuterBadRequestError, "arguments"),
    (402, "insufficient_funds", "No usage left", puter.PuterInsufficientFundsError, "max_tokens"),
    (402, "subscription_required", "No.", puter.PuterSubscriptionRequiredError, "paid"),
    (402, None, "No.", puter.PuterQuotaError, "left"),
    (404, "not_found", "Driver not found: a:b", puter.PuterNotFoundError, "name"),
    (404, "subject_does_not_exist", "Entry not found", puter.PuterNotFoundError, "path"),
    (404, None, "App not found", puter.PuterNotFoundError, "name"),
    (409, "item_with_same_name_exists", "There is one", puter.PuterBadRequestError, "overwrite"),
    (413, "storage_limit_reached", "Too big", puter.PuterBadRequestError, "less"),
    (413, "client_bad_request", "request entity too large", puter.PuterBadRequestError, "large"),
    (413, None, "Too big", puter.PuterBadRequestError, "less"),
    (418, None, "I'm a teapot", puter.PuterBadRequestError, "arguments"),
    (500, "upstream_auth_failed", "401", puter.PuterUpstreamError, "not your fault"),
    (500, "internal_error", "Internal Server Error", puter.PuterServerError, "extra="),
    (500, None, "Oops", puter.PuterServerError, "later"),
    (503, "db_unavailable", "No database", puter.PuterServerError, "later"),
    (599, "unheard_of", "Oops", puter.PuterServerError, "later"),
]


def assert_helpful(error: PuterError) -> None:
    """Every message ends with what to do next."""
    assert error.hint
    assert str(error).endswith(error.hint)
    assert error.hint[-1] in ".!?"
    assert error.hint[0].isupper()
    assert ".." not in str(error).replace("...", "")


@pytest.mark.parametrize(
    ("status", "code", "text", "kind", "told"),
    ROWS,
    ids=[f"{r[0]}-{r[1]}-{r[2][:9]}" for r in ROWS],
)
async def test_each_row_of_the_protocol_has_its_class_and_is_sent_once(
    door: Door, status: int, code: str | None, text: str, kind: type[PuterError], told: str
) -> None:
    door.answers((status, error_body(text, code)))
    with pytest.raises(PuterError) as caught:
        await door(door.client(), "chat", "Hi")
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.message) == (status, code, text)
    assert error.body == error_body(text, code)
    assert error.attempts == len(door.sent) == 1
    assert told in error.hint
    assert f"HTTP {status}" in str(error)
    assert_helpful(error)


@pytest.mark.parametrize("code", ["too_many_requests", "upstream_rate_limited", None])
async def test_429_is_waited_out_and_then_told(door: Door, code: str | None) -> None:
    door.answers((429, error_body("Too many requests.", code)))
    with pytest.raises(puter.PuterRateLimitError) as caught:
        await door(door.client(), "chat", "Hi")
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (429, code, None)
    assert caught.value.attempts == len(door.sent) == 3
    assert caught.value.retryable
    assert_helpful(caught.value)


RETRYABLE = {puter.PuterRateLimitError, puter.PuterUpstreamError, puter.PuterServerError}


@pytest.mark.parametrize("kind", CLASSES)
def test_retryable_says_whether_the_same_call_may_succeed_later(kind: type[PuterError]) -> None:
    assert kind("x").retryable is (kind in RETRYABLE)


async def test_the_finer_error_code_is_preferred_and_both_are_kept(door: Door) -> None:
    body = error_body("message is not allowed", "bad_request", errorCode="moderation_flagged")
    door.answers((400, body))
    with pytest.raises(puter.PuterBadRequestError, match="flagged") as caught:
        await door(door.client(), "chat", "Hi")
    assert caught.value.code == "moderation_flagged"
    assert caught.value.body["code"] == "bad_request"


async def test_the_reason_and_what_was_tried_are_kept(door: Door) -> None:
    door.answers((401, error_body("Again", "reauth_required", reason="session_expired")))
    with pytest.raises(puter.PuterAuthError) as refused:
        await door(door.client(), "chat", "Hi")
    assert refused.value.reason == "session_expired"
    tried = [{"model": "m", "provider": "p", "status": 503, "error": "x"}]
    body = error_body("down", "upstream_provider_unavailable", attempts=[*tried, "junk"])
    door.answers((400, body))
    with pytest.raises(puter.PuterUpstreamError) as caught:
        await door(door.client(), "chat", "Hi")
    assert caught.value.upstream_attempts == tried
    assert caught.value.retryable


async def test_the_ticket_to_sign_in_again_is_never_shown(door: Door) -> None:
    body = error_body("Again", "reauth_required", reauth_token="hush-hush", auth_id="a")
    door.answers((401, body))
    with pytest.raises(puter.PuterAuthError) as caught:
        await door(door.client(), "whoami")
    assert "hush" not in repr(vars(caught.value)) + str(caught.value)
    assert caught.value.body["auth_id"] == "a"


async def test_our_own_token_echoed_by_the_server_is_never_shown(door: Door) -> None:
    echo = "bad token test-token-secret"
    door.answers((401, error_body(echo, "token_auth_failed", hint={"test-token-secret": [echo]})))
    with pytest.raises(puter.PuterAuthError) as caught:
        await door(door.client(), "chat", "Hi")
    door.answers(text_answer(f"<html>{echo}</html>", "text/html", 502))
    with pytest.raises(puter.PuterServerError) as page:
        await door(door.client(), "chat", "Hi")
    for error in (caught.value, page.value):
        assert "test-token" not in repr(vars(error)) + str(error)
        assert "<redacted>" in repr(error.body)


# ------------------------------------------------------------ older servers: 200 {"success": false}

LEGACY: list[tuple[Any, type[PuterError], int, str | None]] = [
    (
        {"code": "permission_denied", "message": "no"},
        puter.PuterPermissionError,
        200,
        "permission_denied",
    ),
    ({"code": "insufficient_funds"}, puter.PuterInsufficientFundsError, 200, "insufficient_funds"),
    ({"code": "email_must_be_confirmed"}, puter.PuterAuthError, 200, "email_must_be_confirmed"),
    ({"code": "error_400_from_delegate"}, puter.PuterUpstreamError, 200, "error_400_from_delegate"),
    ({"code": "forbidden", "status": 403}, puter.PuterPermissionError, 403, "forbidden"),
    ({"message": "who?", "status": 401}, puter.PuterAuthError, 401, None),
    ({"message": "Model not found: x", "status": 400}, puter.PuterModelNotFoundError, 400, None),
    ({"message": {"odd": "shape"}, "status": True}, puter.PuterBadRequestError, 200, None),
    ({"message": "x", "status": 7}, puter.PuterBadRequestError, 200, None),
    ("just text", puter.PuterBadRequestError, 200, None),
    (None, puter.PuterBadRequestError, 200, None),
    ([], puter.PuterBadRequestError, 200, None),
]


@pytest.mark.parametrize(
    ("error", "kind", "status", "code"), LEGACY, ids=lambda one: repr(one)[:40]
)
async def test_success_false_is_an_error_whatever_the_status(
    door: Door, error: Any, kind: type[PuterError], status: int, code: str | None
) -> None:
    door.answers((200, {"success": False, "error": error}))
    with pytest.raises(PuterError) as caught:
        await door(door.client(), "chat", "Hi")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code) == (status, code)
    assert len(door.sent) == 1
    assert_helpful(caught.value)


# ------------------------------------------------------------ answers that are not Puter's

NOT_PUTER: list[tuple[str, Answer, type[PuterError], str]] = [
    ("page", text_answer("<html>Puter</html>", "text/html"), puter.PuterResponseError, "HTML page"),
    ("bare page", Answer(200, b" <!doctype html>"), puter.PuterResponseError, "HTML page"),
    ("empty", Answer(200, b""), puter.PuterEmptyResponseError, "empty body"),
    ("blank", Answer(200, b" \n"), puter.PuterEmptyResponseError, "empty body"),
    ("no content", Answer(204, b""), puter.PuterEmptyResponseError, "empty body"),
    ("empty page", text_answer("", "text/html"), puter.PuterResponseError, "empty body"),
    (
        "truncated",
        text_answer('{"success":true,"res', "application/json"),
        puter.PuterResponseError,
        "broken JSON",
    ),
    (
        "not UTF-8",
        text_answer(b'{"success":true,"result":"\xff"}', "application/json"),
        puter.PuterResponseError,
        "broken JSON",
    ),
    (
        "bottomless",
        text_answer("[" * 20_000, "application/json"),
        puter.PuterResponseError,
        "broken JSON",
    ),
    ("picture", text_answer(b"\x89PNG", "image/png"), puter.PuterResponseError, "image/png"),
    ("text", text_answer("hello", "text/plain"), puter.PuterResponseError, "text/plain"),
    (
        "400 text",
        text_answer("Invalid Host header.", "text/plain", 400),
        puter.PuterResponseError,
        "text",
    ),
    ("403 page", text_answer("<html>", "text/html", 403), puter.PuterPermissionError, "HTML page"),
    ("404 page", text_answer("<html>", "text/html", 404), puter.PuterResponseError, "HTML page"),
    ("413 page", text_answer("<html>", "text/html", 413), puter.PuterBadRequestError, "HTML page"),
    ("401 empty", Answer(401, b""), puter.PuterAuthError, "empty body"),
    ("500 empty", Answer(500, b""), puter.PuterServerError, "empty body"),
    ("502 page", text_answer("<html>", "text/html", 502), puter.PuterServerError, "HTML page"),
    ("503 text", text_answer("busy", "text/plain", 503), puter.PuterServerError, "not JSON"),
    ("504 empty", Answer(504, b""), puter.PuterServerError, "empty body"),
    ("500 list", json_answer([], 500), puter.PuterServerError, "JSON"),
    ("500 null", json_answer(None, 500), puter.PuterServerError, "JSON"),
]


@pytest.mark.parametrize(
    ("answer", "kind", "told"), [row[1:] for row in NOT_PUTER], ids=[r[0] for r in NOT_PUTER]
)
async def test_an_answer_that_is_not_puters_says_so(
    door: Door, answer: Answer, kind: type[PuterError], told: str
) -> None:
    door.answers(answer)
    with pytest.raises(PuterError, match=told) as caught:
        await door(door.client(), "chat", "Hi")
    assert type(caught.value) is kind
    assert "https://api.puter.com/drivers/call" in str(caught.value)
    assert caught.value.status == answer.status
    assert len(door.sent) == 1
    assert "api_base" in caught.value.hint or "proxy" in caught.value.hint
    assert_helpful(caught.value)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
async def test_a_redirect_is_told_and_never_followed(door: Door, status: int) -> None:
    where = "https://elsewhere.example/?auth_token=hush-hush"
    door.answers(Answer(status, headers={"Content-Type": "text/plain", "Location": where}))
    with pytest.raises(puter.PuterResponseError, match="redirect") as caught:
        await door(door.client(), "chat", "Hi")
    assert "elsewhere.example" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "api_base" in caught.value.hint
    assert len(door.sent) == 1


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "text/plain", "", "APPLICATION/JSON"]
)
async def test_json_is_read_under_any_plausible_label(door: Door, kind: str) -> None:
    good = b'{"success": true, "result": {"message": {"content": "Hello!"}}}'
    door.answers(Answer(200, good, {"Content-Type": kind} if kind else {}))
    assert await door(door.client(), "chat", "Hi") == "Hello!"


def test_an_error_nested_without_end_is_still_an_error() -> None:
    for depth in (100, 300, 600, 900, 5_000, 50_000):
        body = '{"message":"no","x":' + "[" * depth + "]" * depth + "}"
        reply = HttpReply(400, {"content-type": "application/json"}, body.encode())
        assert not reply.is_success("json")
        error = error_of(HttpRequest("POST", "https://api.puter.com/drivers/call"), reply)
        assert error.status == 400


# ------------------------------------------------------------ Retry-After

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5.0),
        (" 0.5 ", 0.5),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:30 -0000", None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("Wed, 21 Oct 2015 07:28:30 +99999999999999", None),
        ("0", None),
        ("-3", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_a_date_or_nothing(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text, "date": DATE}) == seconds


def test_a_date_without_a_date_to_count_from_is_nothing() -> None:
    assert retry_after({"retry-after": DATE}) is None
    assert retry_after({}) is None


async def test_the_stated_wait_is_told(door: Door) -> None:
    door.answers(
        json_answer(error_body("slow", "too_many_requests"), 429, **{"Retry-After": "900"})
    )
    with pytest.raises(puter.PuterRateLimitError) as caught:
        await door(door.client(), "chat", "Hi")
    assert caught.value.retry_after == 900
    assert len(door.sent) == 1  # longer than max_retry_delay: not worth waiting
    door.answers(json_answer(error_body("down", "db_unavailable"), 503, **{"Retry-After": "5"}))
    with pytest.raises(puter.PuterServerError) as down:
        await door(door.client(), "chat", "Hi")
    assert down.value.retry_after == 5


# ------------------------------------------------------------ captured from the real backend


def _captured() -> dict[str, dict[str, Any]]:
    found = {}
    for topic in ("calls", "chat_errors", "signin", "errors"):
        found.update(json.loads((FIXTURES / f"{topic}.json").read_text(encoding="utf-8")))
    return {
        name: one["response"] for name, one in found.items() if one["response"]["status"] >= 300
    }


CAPTURED = _captured()
BY_CODE = {code: kind for _, code, text, kind, _ in ROWS if "Model" not in text}
BY_CODE |= {
    "too_many_requests": puter.PuterRateLimitError,
    "upstream_rate_limited": puter.PuterRateLimitError,
    "moderation_flagged": puter.PuterBadRequestError,
    "cannot_read_a_directory": puter.PuterBadRequestError,
    "password_required": puter.PuterAuthError,
    "item_with_same_name_exists": puter.PuterBadRequestError,
}


@pytest.mark.parametrize("name", CAPTURED)
def test_captured_errors_are_read(name: str) -> None:
    captured = CAPTURED[name]
    status, body = captured["status"], captured["body"]
    raw = body if isinstance(body, str) else json.dumps(body)
    request = HttpRequest("POST", "https://api.puter.com/drivers/call")
    reply = HttpReply(status, captured["headers"], (raw or "").encode())
    assert not reply.is_success(request.expect)
    error = error_of(request, reply)
    assert error.status == status
    assert_helpful(error)
    if status < 400:
        assert type(error) is puter.PuterResponseError
        return
    code = body.get("errorCode") or body.get("code")
    said = body["message"]
    if said == "All providers failed":
        said = f"{said}: {body['attempts'][0]['error']}"
    assert (error.message, error.code) == (said, code)
    expected = BY_CODE[code] if code else puter.PuterNotFoundError
    if body["message"].startswith("Model not found"):
        expected = puter.PuterModelNotFoundError
    assert type(error) is expected
    if "attempts" in body:
        assert isinstance(error, puter.PuterAPIError)
        assert error.upstream_attempts == body["attempts"]


# ------------------------------------------------------------ the tree

REPLY = ChatReply("partial", model="gpt-5-nano", cost=Decimal("0.1"))
DETAILS: dict[str, Any] = {
    "hint": "Try again.",
    "status": 400,
    "code": "a_code",
    "body": {"a": [1, None]},
    "attempts": 3,
    "elapsed": 1.5,
    "retryable": True,
    "reason": "session_expired",
    "sent": True,
    "retry_after": 1.5,
    "suggestions": ("a", "b"),
    "messages": ({"role": "user"},),
    "reply": REPLY,
    "partial": REPLY,
}


def _full(kind: type[PuterError]) -> PuterError:
    return kind(
        "what went wrong", **{name: one for name, one in DETAILS.items() if hasattr(kind, name)}
    )


@pytest.mark.parametrize("kind", CLASSES)
def test_errors_survive_pickling_and_copying(kind: type[PuterError]) -> None:
    error = _full(kind)
    twins = [
        pickle.loads(pickle.dumps(error, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ]
    for twin in (*twins, copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is kind
        assert twin is not error
        assert twin.args == error.args
        assert (str(twin), vars(twin)) == (str(error), vars(error))
        assert twin.__traceback__ is None
    twin.hint = "Changed."
    assert error.hint == "Try again."


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_a_docstring_and_no_unknown_attribute(kind: type[PuterError]) -> None:
    assert kind.__doc__
    with pytest.raises(TypeError, match="colour"):
        kind("x", colour="red")


def test_the_tree_is_as_drawn() -> None:
    drawn, line_of = [], re.compile(r"( +)(Puter\w+)(?: \(also (\w+)\))?(?:\s{2,}(.*))?$")
    parents: dict[int, str] = {}
    for line in inspect.cleandoc(exceptions.__doc__ or "").splitlines():
        if (match := line_of.match(line)) is None:
            continue
        indent, name, also, told = len(match[1]), match[2], match[3], match[4] or ""
        parents[indent] = name
        bases = [parents.get(indent - 2, "Exception"), *([also] if also else [])]
        kind = getattr(exceptions, name)
        assert [base.__name__ for base in kind.__bases__] == bases, name
        own = {one for one in vars(kind) if one in DETAILS and one not in vars(PuterError)}
        own |= {"partial"} if kind is PuterError else set()  # what all have is told below the tree
        assert set(re.findall(r"(?<![\w.])\.(\w+)", told)) == own, name
        drawn.append(name)
    assert sorted(drawn) == [kind.__name__ for kind in CLASSES]
    assert set(drawn) == {
        one.__name__
        for one in vars(exceptions).values()
        if inspect.isclass(one) and issubclass(one, PuterError)
    }


def test_messages_read_as_sentences() -> None:
    assert str(PuterError("nothing there")) == "nothing there"
    assert str(PuterError("nothing there", hint="Look.")) == "nothing there. Look."
    assert str(PuterError("why?", hint="Look.")) == "why? Look."
    told = PuterError("No usage left.", status=402, code="insufficient_funds", hint="Add credit.")
    assert str(told) == "No usage left (HTTP 402, insufficient_funds). Add credit."
    tried = PuterError("No connection.", attempts=6, elapsed=14.2, hint="Look.")
    assert str(tried) == "No connection after 6 attempts in 14 s. Look."


@pytest.mark.parametrize(
    ("fault", "settings", "told"),
    [
        (faults.not_json(), {}, "may have been billed"),
        (faults.html_page(), {}, "may have been billed"),
        (faults.lost_answer(), {}, "may have been billed"),
        (faults.late_silence(), {}, "see retry_on_timeout"),
        (faults.rate_limited(retry_after=500), {}, "asks to wait 500 s; max_retry_delay is 60 s"),
        (faults.stream_silence(after=1), {"chunk_timeout": 0.3}, "Raise chunk_timeout"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_the_hint_says_what_may_be_paid_and_which_setting_to_change(
    kind: str, fault: faults.Fault, settings: Any, told: str
) -> None:
    with LocalPuter(tier=None) as server:
        ai = server.client(timeout=1.0, **settings)
        server.inject(fault, operation="chat")
        with pytest.raises(puter.PuterError) as caught:
            await read_to_the_end(ai, kind)
        await ai.async_close()
    assert told in caught.value.hint
    assert ("retry_on_timeout" in caught.value.hint) == ("retry_on_timeout" in told)


async def read_to_the_end(ai: puter.PuterAI, kind: str) -> None:
    if kind == "sync":
        ai.chat("hi", stream=True).until_done()
    else:
        await (await ai.async_chat("hi", stream=True)).until_done()
