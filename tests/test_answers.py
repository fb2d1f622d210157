"""Reading what the server answers: the captured chats field by field, and anything else at all."""

from __future__ import annotations

import copy
import json
import pickle
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import puter
from puter.api import auth
from puter.engine.effects import Send
from puter.exceptions import PuterError
from puter.types.account import Account
from puter.types.media import Image
from puter.types.replies import ChatReply, ToolCall, Usage, total_of
from puter.wire.dialects import PROVIDERS, dropped_options, route_of
from puter.wire.dialects.base import BASE, read_usage
from puter.wire.dialects.claude import CLAUDE
from puter.wire.dialects.responses import RESPONSES
from puter.wire.errors import error_of
from puter.wire.http import HttpReply, HttpRequest
from puter.wire.messages import assistant_messages, check_messages, validate_reply
from puter.wire.redact import MARK, Redactor
from puter.wire.tool_messages import arguments_of
from tests.door import Door, chat_body

FIXTURES = Path(__file__).parent / "fixtures" / "wire"


def _captured() -> dict[str, Any]:
    found = {}
    for topic in ("chat_answers", "chat_errors", "calls"):
        for name, one in json.loads(
            (FIXTURES / f"{topic}.json").read_text(encoding="utf-8")
        ).items():
            body = one["response"]["body"]
            if isinstance(body, dict) and isinstance(body.get("result"), dict):
                found[name] = body
    return found


CAPTURED = _captured()
PARIS = {"location": "Paris"}
PARIS_2 = {"location": "Paris", "days": 2}
SONNET = "claude-sonnet-4-5-20250929"
LLAMA = "ollama:ollama/llama3.2:latest"
THOUGHT = "I think, therefore."
HI = "Hello from fake upstream: hi"
HELLO = "Hello from fake upstream: hello"
REASON = "Hello from fake upstream: cmd:reason"
CACHED = "Hello from fake upstream: cmd:cached"
NO = "I cannot help with that."

# name: text, model, provider, (tokens in, out, cached), dollars, everything that is not a default
EXPECTED: dict[str, tuple[str, str, str, tuple[int, int, int], str | None, dict[str, Any]]] = {
    "chat_azure_default_cached": (
        CACHED, "gpt-5.4-nano", "azure-openai", (7, 7, 4), "0.00001023", {},
    ),
    "chat_byteplus_reason": (
        f"{REASON} cmd:cached", "seed-1-8-251228", "byteplus", (11, 7, 4), "0.00001695",
        {"reasoning": THOUGHT},
    ),
    "chat_claude_compaction": (
        "Claude says: cmd:compaction", SONNET, "claude", (31, 12, 2), "0.0002736",
        {"compaction": {"type": "compaction", "encrypted_content": "SUMMARY"}},
    ),
    "chat_claude_normalize": ("Claude says: hi", SONNET, "claude", (31, 12, 2), "0.0002736", {}),
    "chat_claude_plain": ("Claude says: hi", SONNET, "claude", (31, 12, 2), "0.0002736", {}),
    "chat_claude_reason": (
        "Claude says: cmd:reason", SONNET, "claude", (31, 12, 2), "0.0002736",
        {"reasoning": "Hmm, let me think.",
         "reasoning_details": (
             {"type": "thinking", "thinking": "Hmm, let me think.", "signature": "c2ln"},)},
    ),
    "chat_claude_texttool": (
        "I will check.", SONNET, "claude", (31, 12, 2), "0.0002736",
        {"finish_reason": "tool_calls",
         "tool_calls": (ToolCall("toolu_fake", "get_weather", PARIS),)},
    ),
    "chat_claude_tool": (
        "", SONNET, "claude", (31, 12, 2), "0.0002736",
        {"finish_reason": "tool_calls",
         "tool_calls": (ToolCall("toolu_fake", "get_weather", PARIS),)},
    ),
    "chat_infron_plain": (
        HELLO, "infron:qwen/qwen3.5-flash", "infron", (11, 7, 0), "0.0000039", {},
    ),
    "chat_meta_plain": (HI, "muse-spark-1.2", "meta", (11, 7, 0), "0.0000435", {}),
    "chat_minimax_cached": (CACHED, "minimax-m2", "minimax", (11, 7, 4), "0.00001182", {}),
    "chat_ollama_reason": (REASON, LLAMA, "ollama", (11, 7, 0), None, {"reasoning": THOUGHT}),
    "chat_ollama_tool": (
        "", LLAMA, "ollama", (11, 7, 0), None,
        {"finish_reason": "tool_calls",
         "tool_calls": (ToolCall("call_fake_1", "get_weather", PARIS_2),)},
    ),
    "chat_openai_extra": (
        "Hello from fake upstream: cmd:extra", "gpt-4.1", "openai-completion", (11, 7, 0),
        "0.000078", {},
    ),
    "chat_openai_normalize": (HI, "gpt-4.1", "openai-completion", (11, 7, 0), "0.000078", {}),
    "chat_openai_normalize_tool": (
        "", "gpt-4.1", "openai-completion", (11, 7, 0), "0.000078",
        {"finish_reason": "tool_calls",
         "tool_calls": (ToolCall("call_fake_1", "get_weather", PARIS_2),)},
    ),
    "chat_openai_refusal": (
        NO, "gpt-4.1", "openai-completion", (11, 7, 0), "0.000078",
        {"refusal": NO, "finish_reason": "content_filter"},
    ),
    "chat_zai_reason": (REASON, "glm-5.1", "zai", (11, 7, 0), "0.0000462", {"reasoning": THOUGHT}),
}  # fmt: skip
NOTHING = {name: getattr(ChatReply(""), name) for name in ChatReply._fields}


@pytest.mark.parametrize("name", EXPECTED)
def test_captured_answers_are_read_field_by_field(name: str) -> None:
    text, model, provider, tokens, dollars, more = EXPECTED[name]
    reply = BASE.decode(CAPTURED[name])
    result = CAPTURED[name]["result"]
    assert reply == text
    assert {one: getattr(reply, one) for one in ChatReply._fields} == {
        **NOTHING,
        "model": model,
        "provider": provider,
        "usage": Usage(*tokens, raw=result["usage"]),
        "cost": None if dollars is None else Decimal(dollars),
        "raw": result,
        **more,
    }


def test_every_captured_chat_is_in_the_table() -> None:
    assert {name for name in CAPTURED if name.startswith("chat_")} == set(EXPECTED)


@pytest.mark.parametrize("name", [name for name in CAPTURED if name not in EXPECTED])
def test_the_other_captured_answers_are_plain_ones(name: str) -> None:
    body = CAPTURED[name]
    reply = BASE.decode(body)
    assert reply
    assert (reply.finish_reason, reply.tool_calls) == ("stop", ())
    assert (reply.provider, reply.model) == tuple(body["metadata"].values())
    cents = body["result"]["usage"]["usd_cents"]
    assert reply.cost == (None if cents is None else Decimal(str(cents)) / 100)
    validate_reply(reply, model="fake", provider=None)


def read(**result: Any) -> ChatReply:
    return BASE.decode({"success": True, "result": result})


def test_the_responses_family_is_read() -> None:
    function = {"name": "get_weather", "arguments": '{"location":"Paris"}'}
    calls = [
        {"id": f"call_{i}", "type": "function", "function": function, "canonical_id": f"fc_{i}"}
        for i in (1, 2)
    ]
    compacted = {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}
    reply = read(
        message={"content": "", "reasoning": None, "refusal": None, "tool_calls": calls},
        finish_reason="stop",
        compaction=compacted,
    )
    assert reply.finish_reason == "tool_calls"
    assert [call.extra for call in reply.tool_calls] == [
        {"canonical_id": "fc_1"},
        {"canonical_id": "fc_2"},
    ]
    assert reply.compaction == compacted


def test_pictures_and_citations_are_kept() -> None:
    citation = {"type": "url_citation", "url_citation": {"url": "https://example.org"}}
    reply = read(
        message={
            "content": None,
            "images": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                5,
            ],
            "annotations": [citation],
        }
    )
    assert [type(one) for one in reply.images] == [Image]
    assert reply.images[0].bytes == b"\x89PNG"
    assert reply.annotations == (citation,)
    validate_reply(reply, model="gpt-5-nano", provider=None)  # a picture alone is an answer


@pytest.mark.parametrize(
    ("message", "finish", "expected"),
    [
        ({}, "stop", "stop"),
        ({}, "length", "length"),
        ({}, "content_filter", "content_filter"),
        ({}, "SAFETY", "content_filter"),
        ({}, "unheard_of", "unheard_of"),
        ({}, None, "stop"),
        ({"stop_reason": "end_turn"}, "stop", "stop"),
        ({"stop_reason": "max_tokens"}, "stop", "length"),
        ({"stop_reason": "refusal"}, "stop", "content_filter"),
        ({"stop_reason": "stop_sequence"}, "stop", "stop"),
        ({"stop_reason": "tool_use"}, "stop", "tool_calls"),
    ],
)
def test_finish_reasons_are_four_words(message: dict[str, Any], finish: Any, expected: str) -> None:
    assert read(message={"content": "x", **message}, finish_reason=finish).finish_reason == expected


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ({"a": 1}, {"a": 1}),
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        (" ", {}),
        (None, {}),
        ('"{\\"a\\": 1}"', {"a": 1}),  # encoded twice
        ("[1]", {"_unreadable": "[1]"}),
        ([1], {"_unreadable": [1]}),
        ('{"a": NaN}', {"_unreadable": '{"a": NaN}'}),  # could not be sent again
        ('{"a": 1e999}', {"_unreadable": '{"a": 1e999}'}),
        ('{"a": "\\ud83d"}', {"a": "?"}),
        ("not json", {"_unreadable": "not json"}),
        ('{"a":', {"_unreadable": '{"a":'}),
    ],
)
def test_arguments_come_as_text_or_as_an_object(given: Any, arguments: dict[str, Any]) -> None:
    assert arguments_of(given) == arguments


@pytest.mark.parametrize(
    ("usage", "tokens", "dollars"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 2, "usd_cents": 1}, (3, 2, 0, 0), "0.01"),
        (
            {"input_tokens": 3, "cache_read_input_tokens": 1, "thinking_tokens": 4},
            (3, 0, 1, 4),
            None,
        ),
        ({"prompt": 3.0, "completion": 2, "input_cache_read": 1}, (3, 2, 1, 0), None),
        ({"completion_tokens_details": {"reasoning_tokens": 5}}, (0, 0, 0, 5), None),
        ({"completion_tokens_details": {"reasoning_tokens": True}}, (0, 0, 0, 0), None),
        ({"prompt_tokens": None, "input_tokens": 3}, (3, 0, 0, 0), None),
        ({"prompt_tokens": True, "completion_tokens": "7"}, (0, 0, 0, 0), None),
        ({"prompt_tokens": 10**400, "completion_tokens": float("inf")}, (0, 0, 0, 0), None),
        ({"prompt_tokens": -5, "completion_tokens": float("nan")}, (0, 0, 0, 0), None),
        ({"usd_cents": "0.5"}, (0, 0, 0, 0), "0.005"),
        ({"usd_cents": 0}, (0, 0, 0, 0), "0"),
        ({"usd_cents": -1}, (0, 0, 0, 0), None),
        ({"usd_cents": "NaN"}, (0, 0, 0, 0), None),
        ({"usd_cents": "sNaN"}, (0, 0, 0, 0), None),
        ({"usd_cents": "9e99999999"}, (0, 0, 0, 0), None),
        ({"usd_cents": float("inf")}, (0, 0, 0, 0), None),
        ({"usd_cents": "free"}, (0, 0, 0, 0), None),
        ({"usd_cents": True}, (0, 0, 0, 0), None),
        ([{"type": "prompt", "amount": 3, "cost": 1}], (0, 0, 0, 0), None),
        (None, (0, 0, 0, 0), None),
    ],
    ids=lambda one: repr(one)[:40],
)
def test_usage_of_every_vendor(usage: Any, tokens: tuple[int, ...], dollars: str | None) -> None:
    read, cost = read_usage(usage)
    assert (
        read.input_tokens,
        read.output_tokens,
        read.cached_tokens,
        read.reasoning_tokens,
    ) == tokens
    assert cost == (None if dollars is None else Decimal(dollars))
    assert read.raw is usage


def test_any_dialect_reads_any_shape() -> None:
    for name, body in CAPTURED.items():
        if name in EXPECTED:
            replies = [row.dialect.decode(body) for row in PROVIDERS.values()]
            assert all(repr(reply) == repr(replies[0]) for reply in replies)


def test_signatures_of_reasoning_are_kept() -> None:
    details = [{"type": "thinking", "thinking": "First.", "signature": "c2ln"}]
    reply = read(message={"content": "x", "reasoning": "First.", "reasoning_details": details})
    assert (reply.reasoning, reply.reasoning_details) == ("First.", tuple(details))


# ------------------------------------------------------------ what goes out


def test_every_provider_of_the_catalogue_has_a_row() -> None:
    catalogue = json.loads((Path(puter.__file__).parent / "catalogue.json").read_bytes())
    assert {model["provider"] for model in catalogue["chat"]} <= PROVIDERS.keys()


def test_a_provider_that_is_not_known_speaks_the_neutral_form_and_is_not_judged() -> None:
    for provider in ("brand-new", ["odd"], 5):
        unknown: Any = provider
        route = route_of(unknown, "claude-x", {}, {})
        assert route.dialect is BASE
        assert dropped_options({"top_p": 0.5}, route, "m") == []
    assert route_of(None, "Claude-x", {}, {}).dialect is CLAUDE


def test_what_moves_a_call_to_the_responses_route() -> None:
    for options in ({"web_search": True}, {"compaction": True}, {"context_management": {"a": 1}}):
        assert route_of("openai-completion", "m", {}, options).dialect is RESPONSES
        assert route_of("zai", "m", {}, options).dialect is BASE
        route = route_of("azure-openai", "m", {}, options)
        assert dropped_options({**options, "top_p": 1}, route, "m") == []
    moved = route_of("openai-completion", "m", {"responses_api_only": True}, {})
    assert dropped_options({"temperature": 0}, moved, "m") == ["temperature"]


def test_a_plain_chat_is_sent_as_it_stands() -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    for row in PROVIDERS.values():
        args = row.dialect.encode(messages, {})
        assert args == {"messages": messages}
        assert args["messages"] is messages


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_encoding_leaves_the_given_messages_alone(provider: str) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}
    block = {"type": "tool_use", "id": "1", "name": "f", "input": "{}", "canonical_id": "fc_1"}
    messages: list[Any] = [
        {"role": "user", "content": [picture, "text", {"type": "image", "source": source}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}, block]},
        {"role": "tool", "tool_call_id": "1", "content": {"a": 1}},
        {"type": "compaction", "encrypted_content": "x"},
    ]
    before = copy.deepcopy(messages)
    options = {"cache_control": True, "reasoning_effort": "low", "web_search": True}
    args = route_of(provider, "m", {}, {}).dialect.encode(messages, options)
    assert messages == before
    assert args["messages"][-1]["cache_control"] == {"type": "ephemeral"}
    assert args["tools"] == [{"type": "web_search"}]


def test_checked_messages_are_copies_unless_that_is_not_wanted() -> None:
    part = {"type": "text", "text": "Hi"}
    given: list[Any] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [part], "name": "x"},
        {"content": "no role"},
        {"role": "user", "content": part},
    ]
    before = copy.deepcopy(given)
    for checked in (check_messages(given), check_messages(given, copy=False)):
        assert [message["role"] for message in checked] == ["user", "assistant", "user", "user"]
        assert checked[3]["content"] == [part]
    kept, copied = check_messages(given, copy=False), check_messages(given)
    assert [a is b for a, b in zip(kept, given, strict=True)] == [True, True, False, False]
    for message in copied:
        message["role"] = "changed"
        if isinstance(message["content"], list):
            message["content"][0]["text"] = "changed"
    assert given == before


# ------------------------------------------------------------ anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
WORDS = [
    "text",
    "tool_use",
    "thinking",
    "stop",
    "length",
    "",
    "{}",
    "{",
    "[1]",
    "fake",
    "fake-chat",
]
WORDS += ["http://[x", "https://example.org/a.png", "data:,x", "data:image/png;base64,?", "\ud83d"]
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS)
KEYS = (
    "success result message metadata service_used providerUsed content text type thinking usage "
    "prompt_tokens usd_cents completion_tokens_details reasoning_tokens tool_calls function name "
    "arguments id input extra_content images image_url url annotations refusal reasoning "
    "reasoning_content stop_reason finish_reason compaction error code errorCode status attempts "
    "reason model"
).split()
CHATTY = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=25,
)
ENVELOPE = st.fixed_dictionaries(
    {
        "result": st.fixed_dictionaries(
            {"message": CHATTY}, optional={"usage": CHATTY, "finish_reason": LEAF}
        )
    },
    optional={"success": st.booleans(), "metadata": CHATTY},
)
REQUEST = HttpRequest("POST", "https://api.puter.com/drivers/call")


def outcome(reply: HttpReply) -> ChatReply | PuterError:
    if not reply.is_success(REQUEST.expect):
        return error_of(REQUEST, reply)
    try:
        return BASE.decode(reply.data)
    except PuterError as error:
        return error


@given(
    st.one_of(JSON, CHATTY, ENVELOPE),
    st.sampled_from([200, 201, 204, 299, 301, 400, 401, 403, 404, 413, 418, 429, 500, 503, 600]),
    st.sampled_from(["application/json", "text/plain", "text/html", "application/x-ndjson", ""]),
)
def test_any_json_is_a_reply_or_one_of_our_errors(data: Any, status: int, kind: str) -> None:
    reply = HttpReply(status, {"Content-Type": kind}, json.dumps(data).encode())
    answer = outcome(reply)
    if isinstance(answer, PuterError):
        assert str(answer)
        assert repr(pickle.loads(pickle.dumps(answer))) == repr(answer)
        return
    assert isinstance(answer, ChatReply)
    assert repr(answer)
    assert answer.finish_reason
    try:
        validate_reply(answer, model="gpt-5-nano", provider=None)
    except PuterError:
        return
    for message in check_messages([*assistant_messages(answer, "", ""), "and now?"]):
        json.dumps(message, ensure_ascii=False).encode()  # fits the next request


@given(st.binary(max_size=40), st.sampled_from([200, 302, 404, 500]))
def test_any_bytes_are_one_of_our_errors(body: bytes, status: int) -> None:
    reply = HttpReply(status, {"Content-Type": "application/json"}, body)
    assert isinstance(outcome(reply), PuterError)


@given(CHATTY)
def test_any_usage_is_read(usage: Any) -> None:
    read, cost = read_usage(usage)
    assert (
        min(read.input_tokens, read.output_tokens, read.cached_tokens, read.reasoning_tokens) >= 0
    )
    assert cost is None or cost.is_finite()


@given(JSON, st.sampled_from([200, 202]))
def test_any_sign_in_answer_is_one_of_our_errors(data: Any, status: int) -> None:
    def answered(data: Any) -> None:
        ai = puter.PuterAI("alice", "correct horse")
        flow = auth.login(ai._begin("login"))
        for effect in flow:
            if isinstance(effect, Send):
                body = json.dumps(data).encode()
                flow.send(HttpReply(status, {"Content-Type": "application/json"}, body))

    with pytest.raises(PuterError):
        answered(data)


# ------------------------------------------------------------ half an emoji


async def test_half_an_emoji_does_not_spoil_the_conversation(door: Door) -> None:
    ai = door.client()
    door.answers(
        chat_body("cut \ud83d", message={"reasoning": "\udc00"}), chat_body("whole \ud83d\ude00")
    )
    assert await door(ai, "chat", "one") == "cut ?"
    assert await door(ai, "chat", "two") == "whole \U0001f600"
    assert [m["content"] for m in ai.chat_history] == ["one", "cut ?", "two", "whole \U0001f600"]


# ------------------------------------------------------------ redaction

SECRET = "hunter2-geheim"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
PIECES = st.sampled_from([SECRET, JWT, "", " ", "x", "Bearer ", '"', "\n", "reauth_token", "ü"])
TEXTS = st.lists(PIECES, max_size=5).map("".join)
TELLING = st.recursive(
    TEXTS | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)


@given(TELLING)
def test_a_planted_secret_never_comes_through(value: Any) -> None:
    before = copy.deepcopy(value)
    shown = json.dumps(Redactor([SECRET])(value), ensure_ascii=False)
    assert SECRET not in shown
    assert JWT not in shown
    assert value == before  # a copy was made


HARMLESS = st.text("abxy0 .:/\"'\\{}[]=é\n\u2028", max_size=8)  # spells no token or password


@given(
    st.recursive(
        HARMLESS | st.integers() | st.floats() | st.booleans() | st.none(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(HARMLESS, inner, max_size=4),
        max_leaves=12,
    )
)
def test_what_holds_no_secret_is_left_alone(value: Any) -> None:
    assert repr(Redactor([SECRET])(value)) == repr(value)


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "auth_token",
        "reauth_token",
        "otp_jwt_token",
        "password",
        "anti_csrf",
        "Authorization",
    ],
)
def test_private_keys_hide_their_value_whatever_it_is(key: str) -> None:
    assert Redactor()({"a": [{key: "short"}]}) == {"a": [{key: MARK}]}


def test_bearer_words_jwts_and_users_of_urls_are_hidden_without_being_told() -> None:
    assert Redactor()("http://me:pw@proxy:1/x@y") == f"http://{MARK}@proxy:1/x@y"
    assert Redactor()(f"bad: Bearer abc, {JWT}") == f"bad: Bearer {MARK}, {MARK}"
    assert not re.search("abc|eyJ", json.dumps(Redactor()([{"x": f"bearer abc {JWT}"}])))


# ------------------------------------------------------------ values


def test_values_are_immutable_pickle_and_compare() -> None:
    full = BASE.decode(CAPTURED["chat_claude_texttool"]).copy_with(attempts=2, elapsed=0.5)
    account = Account("alice", "u-1", email="a@example.org", raw={"x": 1})
    for value in (full, full.usage, full.tool_calls[0], account):
        for twin in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
            assert twin == value
            assert type(twin) is type(value)
            assert repr(twin) == repr(value)
        for name in type(value).__slots__:
            with pytest.raises(AttributeError):
                setattr(value, name, None)
            with pytest.raises(AttributeError):
                delattr(value, name)
    twin = pickle.loads(pickle.dumps(full))
    assert all(getattr(twin, name) == getattr(full, name) for name in ChatReply._fields)


def test_a_reply_behaves_as_its_text() -> None:
    reply = ChatReply("Hello", model="gpt-5-nano", cost=Decimal("0.1"))
    assert (reply, hash(reply), f"{reply}!", reply + "!") == (
        "Hello",
        hash("Hello"),
        "Hello!",
        "Hello!",
    )
    assert json.dumps(reply) == '"Hello"'
    assert reply.copy_with(text="Bye").model == "gpt-5-nano"
    assert type(reply.upper()) is str
    assert repr(reply) == "ChatReply('Hello', model='gpt-5-nano', cost=0.1)"
    with pytest.raises(AttributeError, match="ChatReply cannot be changed"):
        reply.model = "other"
    with pytest.raises(AttributeError):
        del reply.model


ONE, TWO = Usage(1, 2, 3, 4, raw={"a": 1}), Usage(10, 20, 30, 40)
CENT = Decimal("0.01")


@pytest.mark.parametrize(
    ("spent", "usage", "cost"),
    [
        ([], None, None),
        ([(ONE, CENT)], ONE, CENT),
        ([(None, CENT)], None, CENT),
        ([(ONE, CENT), (TWO, CENT)], Usage(11, 22, 33, 44, raw=[{"a": 1}, None]), 2 * CENT),
        ([(ONE, CENT), (TWO, None)], Usage(11, 22, 33, 44, raw=[{"a": 1}, None]), None),
        ([(ONE, CENT), (None, CENT)], None, 2 * CENT),
        ([(None, None), (ONE, CENT)], None, None),
    ],
    ids=["none", "one", "no tokens", "both", "a price unknown", "tokens unknown", "one unknown"],
)
def test_one_unknown_leaves_a_sum_unknown(
    spent: list[Any], usage: Usage | None, cost: Decimal | None
) -> None:
    assert total_of(spent) == (usage, cost)
