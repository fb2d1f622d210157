"""Chat beyond the captures: models, messages, answer forms, costs, and the built-in partner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from puter.testing import ChatCall, LocalPuter, Reply, Tier, catalogue
from puter.testing.recorded import recorded
from tests.local_puter.support import Caller, captures, error_of

if TYPE_CHECKING:
    import requests

CHAT = "puter-chat-completion"
UPSTREAM = captures("upstream_messages")
CALL = {"name": "get_weather", "arguments": {"city": "Paris"}}


@pytest.mark.parametrize("name", UPSTREAM)
def test_what_the_vendor_gets(name: str) -> None:
    capture = UPSTREAM[name]
    routes = catalogue.load("chat").routes(capture["model"])
    call = ChatCall({"messages": capture["messages"]}, routes, "alice", newer=False)
    assert call.upstream_messages == capture["upstream_messages"]


@pytest.mark.parametrize(
    ("asked", "service", "model"),
    [
        ({"model": "gpt-4.1"}, "openai-completion", "gpt-4.1"),
        ({"model": " GPT-4.1 "}, "openai-completion", "gpt-4.1"),
        ({"model": "openai/gpt-4.1"}, "openai-completion", "gpt-4.1"),
        ({"model": "openai:openai/gpt-4.1"}, "openai-completion", "gpt-4.1"),
        ({"model": "deepseek: r1"}, "openrouter", "openrouter:deepseek/deepseek-r1"),
        ({"model": "gpt-5-nano"}, "azure-openai", "gpt-5-nano"),
        (
            {"model": "gpt-5-nano", "provider": "openrouter"},
            "openrouter",
            "openrouter:openai/gpt-5-nano",
        ),
        ({"model": "gpt-4.1", "provider": "nope"}, "openai-completion", "gpt-4.1"),
        ({"provider": "claude"}, "claude", "claude-haiku-4-5-20251001"),
        ({}, "azure-openai", "gpt-5.4-nano"),
        ({"model": None}, "azure-openai", "gpt-5.4-nano"),
        ({"model": "fake"}, "fake-chat", "fake"),
    ],
)
def test_which_model_plays(caller: Caller, asked: Any, service: str, model: str) -> None:
    body = caller.call(CHAT, "complete", {"messages": ["hi"], **asked}).json()
    assert body["metadata"] == {"service_used": service, "providerUsed": model}


def test_every_provider_default_exists() -> None:
    known = catalogue.load("chat")
    for provider, model in recorded("provider_defaults").items():
        assert provider in {route["provider"] for route in known.routes(model)}, provider


def test_a_default_model_of_ones_own(session: requests.Session) -> None:
    with LocalPuter(default_model="claude-haiku-4-5") as puter:
        body = Caller(puter, session).chat("hi", model=None).json()
    assert body["metadata"]["providerUsed"] == "claude-haiku-4-5-20251001"


@pytest.mark.parametrize(
    ("messages", "status", "message"),
    [
        ([None], 400, "each message must be a string or object"),
        ([True], 400, "each message must be a string or object"),
        ([{}], 400, "each message must have a 'content' property"),
        ([[]], 400, "each message must have a 'content' property"),
        ([""], 400, "each message must have a 'content' property"),
        ([{"content": None}], 400, "each message must have a 'content' property"),
        ([{"content": 0}], 400, "each message must have a 'content' property"),
        ([{"content": True}], 400, "each message content item must be a string or object"),
        ([{"content": [1]}], 400, "each message content item must be a string or object"),
        ([{"content": [None]}], 500, "Internal Server Error"),
        ([{"content": None, "tool_calls": [{"id": "c1"}]}], 500, "Internal Server Error"),
        ({"0": "hi"}, 500, "Internal Server Error"),
        ("hi", 500, "Internal Server Error"),
    ],
)
def test_faults_in_messages(caller: Caller, messages: Any, status: int, message: str) -> None:
    args = {"model": "gpt-4.1", "messages": messages}
    response = caller.call(CHAT, "complete", args)
    assert error_of(response) == (
        status,
        "internal_error" if status == 500 else "bad_request",
        message,
    )


def test_no_messages(caller: Caller) -> None:
    text = "`messages` must be an array"
    for model, refusal in (
        ("gpt-4.1", (400, "upstream_bad_request", text)),
        ("claude-haiku-4-5", (500, "internal_error", "All providers failed")),
    ):
        assert error_of(caller.call(CHAT, "complete", {"model": model})) == refusal


def test_messages_are_tidied(caller: Caller) -> None:
    calls: list[ChatCall] = []

    @caller.puter.respond
    def responder(call: ChatCall) -> str:
        calls.append(call)
        return "ok"

    given = [
        {"role": "system", "content": "a"},
        {"role": "system", "content": [{"type": "text", "text": "b"}]},
        "one",
        {"content": {"image_url": {"url": "data:,"}}},
        {"role": "assistant", "content": "two"},
        {"role": "tool", "tool_call_id": "c1", "content": {"t": 20}},
        {"role": "tool", "tool_call_id": "c2"},
        {"type": "compaction", "encrypted_content": "x"},
        {"role": "user", "content": []},
    ]
    caller.answer(*given, model="gpt-5-pro")
    assert [(m["role"], m["content"]) for m in calls[0].normalized] == [
        ("system", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        (
            "user",
            [
                {"type": "text", "text": "one"},
                {"type": "image_url", "image_url": {"url": "data:,"}},
            ],
        ),
        ("assistant", [{"type": "text", "text": "two"}]),
        ("tool", '{"t": 20}'),
        ("tool", None),
        ("assistant", [{"type": "compaction", "encrypted_content": "x"}]),
        ("user", []),
    ]
    assert calls[0].user_texts == ["one", ""]
    assert calls[0].last_text == ""


@pytest.mark.parametrize(
    ("args", "family"),
    [
        ({"model": "gpt-4.1"}, "openai"),
        ({"model": "gpt-4.1", "tools": [{"type": "web_search"}]}, "responses"),
        ({"model": "gpt-4.1", "compaction": True}, "responses"),
        ({"model": "glm-5.1", "compaction": True}, "openai"),
        ({"model": "gpt-5-pro"}, "responses"),
        ({"model": "claude-sonnet-4-5"}, "claude"),
        ({"model": "fake"}, "claude"),
    ],
)
def test_families(caller: Caller, args: Any, family: str) -> None:
    caller.puter.reply_with(lambda call: call.family)
    assert family in str(caller.answer("hi", **args)["message"]["content"])


def test_one_reply_in_three_forms(older: Caller) -> None:
    caller = older
    reply = Reply(
        text="Let me look.",
        reasoning="Hmm.",
        tool_calls=[CALL, {"id": "mine", "function": {"name": "f", "arguments": "{}"}}],
        compaction="SUMMARY",
    )
    caller.puter.reply_with(reply, reply, reply)
    openai, responses, claude = (
        caller.answer("hi", model=model) for model in ("glm-5.1", "gpt-5-pro", "claude-sonnet-4-5")
    )
    function = {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    calls = [
        {"id": "call_1", "type": "function", "function": function},
        {"id": "mine", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    ]
    assert openai["finish_reason"] == "tool_calls"
    assert openai["message"] == {
        "role": "assistant",
        "content": "Let me look.",
        "refusal": None,
        "tool_calls": calls,
        "reasoning": "Hmm.",
    }
    assert responses["finish_reason"] == "stop"
    assert responses["message"]["tool_calls"] == [
        {**calls[0], "canonical_id": "fc_1"},
        {**calls[1], "canonical_id": "fc_2"},
    ]
    assert responses["message"]["content"] == "Let me look."
    assert responses["compaction"]["encrypted_content"] == "SUMMARY"
    assert claude["finish_reason"] == "stop"
    assert claude["message"]["stop_reason"] == "tool_use"
    assert claude["message"]["content"] == [
        {"type": "compaction", "content": "SUMMARY"},
        {"type": "thinking", "thinking": "Hmm.", "signature": "c2ln"},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}},
        {"type": "tool_use", "id": "mine", "name": "f", "input": {}},
    ]


def test_the_rest_of_a_reply(caller: Caller) -> None:
    citation = {"type": "url_citation", "url_citation": {"url": "https://x.org", "title": "X"}}
    caller.puter.reply_with(
        Reply(text=None, images=["data:image/png;base64,AA=="], annotations=[citation]),
        Reply(text="cut", finish_reason="length"),
        Reply(text="cut", finish_reason="length"),
        Reply(refusal="no"),
        Reply(refusal="no"),
        Reply(raw={"anything": 1}),
        Reply(text="hi", usage={"prompt_tokens": 1_000_000, "usd_cents": 5}),
    )
    message = caller.answer("draw", model="glm-5.1")["message"]
    assert message["content"] is None
    assert message["images"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    ]
    assert message["annotations"] == [citation]
    assert caller.answer("x")["finish_reason"] == "length"
    assert caller.answer("x", model="claude-sonnet-4-5")["message"]["stop_reason"] == "max_tokens"
    refused = caller.answer("x", model="claude-sonnet-4-5")["message"]
    assert (refused["stop_reason"], refused["content"][0]["text"]) == ("refusal", "no")
    refused = caller.answer("x", model="gpt-5-pro")["message"]
    assert (refused["content"], refused["refusal"]) == ("", "no")
    assert caller.answer("x") == {"anything": 1}
    assert caller.answer("x")["usage"]["usd_cents"] == 5


@pytest.mark.parametrize("who", ["caller", "older"])
def test_response_normalize_makes_blocks_of_text_and_calls(
    who: str, request: pytest.FixtureRequest
) -> None:
    caller: Caller = request.getfixturevalue(who)
    caller.puter.reply_with(Reply(text="Look:", tool_calls=[CALL]))
    result = caller.answer("hi", response={"normalize": True})
    assert result.get("normalized", False) is (who == "older")
    assert result["message"]["content"] == [
        {"type": "text", "text": "Look:"},
        {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": '{"city":"Paris"}'},
    ]
    assert "tool_calls" not in result["message"]


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        ("gpt-4.1", {"prompt_tokens", "completion_tokens", "cached_tokens"}),
        ("gpt-5-pro", {"prompt_tokens", "completion_tokens", "cached_tokens"}),
        ("ollama:ollama/llama3.2:latest", {"prompt", "completion", "input_cache_read"}),
        ("deepseek-r1", {"prompt", "completion", "input_cache_read", "request"}),
        ("fake", {"input_tokens", "output_tokens"}),
    ],
)
def test_usage_keys(caller: Caller, model: str, keys: set[str]) -> None:
    usage = caller.answer("hi", model=model)["usage"]
    assert set(usage) == keys | {"usd_cents"}
    assert (usage["usd_cents"] is None) == (model in ("fake", "ollama:ollama/llama3.2:latest"))


def test_longer_texts_cost_more(caller: Caller) -> None:
    cheap, dear = (caller.answer("x" * size)["usage"]["usd_cents"] for size in (10, 10_000))
    assert 0 < cheap < dear


def test_max_tokens(caller: Caller) -> None:
    long = "tell me " * 20
    result = caller.answer(long, max_tokens=2)
    assert len(result["message"]["content"]) == 8
    assert result["finish_reason"] == "length"
    assert result["usage"]["completion_tokens"] == 2
    claude = caller.answer(long, max_tokens=2, model="claude-sonnet-4-5")
    assert claude["message"]["stop_reason"] == "max_tokens"
    assert caller.answer(long, max_tokens=1000)["finish_reason"] == "stop"
    caller.puter.reply_with("a scripted reply is never cut")
    assert caller.text("x", max_tokens=1) == "a scripted reply is never cut"
    for unaffordable in (0, -1):
        assert error_of(caller.chat("x", max_tokens=unaffordable))[0] == 402
    for ignored in (None, True, "many"):
        assert caller.chat("x", max_tokens=ignored).status_code == 200
    assert caller.chat("x", max_tokens=0, model="fake").status_code == 200


def test_test_mode_and_unknown_arguments_change_nothing(older: Caller) -> None:
    args: dict[str, Any] = {"test_mode": True, "testMode": True, "tools": None, "made_up": []}
    assert older.text("2+2", **args) == "2 + 2 = 4"


CONVERSATIONS = [
    (["Hello!"], "Hello! I am LocalPuter, playing gpt-4.1."),
    (["My name is Ada"], "Hello, Ada! I am LocalPuter, playing gpt-4.1."),
    (["My name is Ada", "What is my name?"], "Your name is Ada."),
    (["my name's Zoë", "my name is Ada", "hi"], "Hello, Ada! I am LocalPuter, playing gpt-4.1."),
    (["What's my name?"], "You have not told me your name yet."),
    (["What is 17 * 3?"], "17 * 3 = 51"),
    (["7.5 plus 2"], "7.5 + 2 = 9.5"),
    (["Tell me a joke"], "LocalPuter, playing gpt-4.1, read: Tell me a joke"),
]


@pytest.mark.parametrize(("said", "answer"), CONVERSATIONS)
def test_the_built_in_partner(caller: Caller, said: list[str], answer: str) -> None:
    messages: list[dict[str, Any]] = []
    for text in said:
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": "ok"}]
    assert caller.text(*messages[:-1]) == answer


def test_the_built_in_partner_reads_tool_results(caller: Caller) -> None:
    use = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    result = {"role": "tool", "tool_call_id": "c1", "content": "20 degrees"}
    text = caller.text("weather?", {"role": "assistant", "content": [use]}, result)
    assert text == "The tool answered: 20 degrees"
    assert caller.chat().status_code == 200
    assert caller.call(CHAT, "complete", {"messages": [], "model": "gpt-4.1"}).status_code == 200


def test_moderation(caller: Caller) -> None:
    refused = caller.chat("something forbidden", moderation=True)
    assert refused.json()["errorCode"] == "moderation_flagged"
    assert caller.chat("something forbidden").status_code == 200
    assert caller.chat("something forbidden", moderation=True, model="glm-5.1").status_code == 200


# --- drivers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interface", "driver", "method", "message"),
    [
        (CHAT, "claude", "complete", f"Driver not found: {CHAT}:claude"),
        (CHAT, "", "complete", f"Driver not found: {CHAT}:"),
        ("nope", None, "complete", "Driver not found: nope:(no default)"),
        ("nope", "x", "complete", "Driver not found: nope:x"),
        (CHAT, None, "constructor", f"Method 'constructor' not found on driver '{CHAT}'"),
        ("puter-tts", "openai-tts", "nope", "Method 'nope' not found on driver 'puter-tts'"),
    ],
)
def test_not_found(caller: Caller, interface: str, driver: Any, method: str, message: str) -> None:
    response = caller.call(interface, method, driver=driver)
    assert error_of(response) == (404, "not_found", message)


def test_the_order_of_the_checks(session: requests.Session) -> None:
    with LocalPuter(tier=Tier("none at all", requests=0)) as puter:
        caller = Caller(puter, session)
        user = puter.add_user("new", None, requires="phone")
        token = puter.issue_token(user)

        def status(method: str, **more: Any) -> int:
            return caller.call(CHAT, method, {"model": "nope"}, **more).status_code

        assert status("nope", token="garbage") == 401
        assert status("nope", token=token) == 403
        user.requires = None
        assert status("nope", token=token) == 404
        assert status("complete", token=token) == 429
        user.tier = None
        assert status("complete", token=token) == 400


@pytest.mark.parametrize("kind", ["chat", "image", "video"])
def test_model_lists(caller: Caller, kind: str) -> None:
    names = caller.get(f"/puterai/{kind}/models", token=None).json()["models"]
    details = caller.get(f"/puterai/{kind}/models/details", token="garbage").json()["models"]
    assert names == sorted(model.get("puterId") or model["id"] for model in details)
    for model in details:
        assert {"id", "costs", "costs_currency", "provider"} <= set(model)
    interface = {"chat": CHAT, "image": "puter-image-generation", "video": "puter-video-generation"}
    listed = caller.call(interface[kind], "list").json()["result"]
    hidden = {"fake", "costly", "abuse"} if kind == "chat" else set()
    assert set(listed) == set(names) | hidden


def test_a_client_is_ready_to_use(puter: LocalPuter) -> None:
    with puter.client() as ai:
        assert ai.chat("What is 6 times 7?", model="gpt-4.1") == "6 * 7 = 42"
    with puter.client(username="alice", password="correct horse") as ai:
        assert ai.login() is True
    assert puter.requests[-1].path == "/login"
