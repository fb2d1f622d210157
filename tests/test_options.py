"""The options of a chat: what goes out for each family, what is refused, and what is warned of."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter.options import ChatOptions
from tests.door import answer, chat_body, stream_answer, until_done

if TYPE_CHECKING:
    from tests.door import Door

CHAT, RESPONSES, CLAUDE = "gpt-4.1", "gpt-5-pro", "claude-sonnet-4-5-20250929"
UNKNOWN = "brand-new-model"

# One model of each row of the server's table, and the options that its route reads beside these:
UNKNOWN_ROUTE = {
    "provider",
    "response",
    "timeout",
    "extra",
    "normalize",
    "output_format",
    "thinking",
    "tool_choice",
    "parallel_tool_calls",
    "top_p",
}
ALWAYS = UNKNOWN_ROUTE | {"max_tokens", "temperature", "stop"}  # of one generation or the other
OPENAI = {"reasoning_effort", "verbosity", "web_search", "moderation"}
COMPACTED = {"compaction", "context_management"}
ONLY_RESPONSES = {
    "include", "instructions", "metadata", "prompt_cache_key", "prompt_cache_retention", "store",
    "truncation", "service_tier",
}  # fmt: skip
READS: dict[str, set[str]] = {
    "gpt-4.1": ALWAYS | OPENAI | COMPACTED,
    "o3": ALWAYS | OPENAI | COMPACTED,
    "gpt-4o": ALWAYS | OPENAI | COMPACTED,  # Azure
    "gpt-5-nano": (ALWAYS | OPENAI | COMPACTED) - {"reasoning_effort", "verbosity"},
    "gpt-5-pro": (ALWAYS | OPENAI | COMPACTED | ONLY_RESPONSES) - {"temperature", "stop"},
    "claude-sonnet-4-5": ALWAYS
    | COMPACTED
    | {"reasoning_effort", "cache_control", "top_k", "web_search"},
    "claude-opus-4-7": (
        ALWAYS | COMPACTED | {"reasoning_effort", "cache_control", "top_k", "web_search"}
    )
    - {"temperature", "top_p"},
    "minimax-m2": ALWAYS,
    "glm-4.6": ALWAYS | {"custom"},
    "deepseek-v4-pro-260425": ALWAYS | {"custom"},  # BytePlus
    "muse-spark-1.2": ALWAYS | {"custom", "reasoning_effort"},  # Meta
    "grok-4.20-0309-non-reasoning": ALWAYS - {"max_tokens", "temperature"},
    "kimi-k2.6": ALWAYS - {"temperature"},
    "gemini-2.5-flash": ALWAYS,
    "codestral-2508": ALWAYS | {"web_search"},  # refused
    "deepseek-v4-pro": ALWAYS,
    "groq/compound": ALWAYS,
    "qwen-flash": ALWAYS,
}
VALUES: dict[str, Any] = {
    "temperature": 0.5, "max_tokens": 20, "top_p": 0.9, "reasoning_effort": "low",
    "verbosity": "high", "compaction": True, "context_management": {"edits": []},
    "cache_control": True, "web_search": True, "tool_choice": {"type": "auto"}, "stop": ["END"],
    "parallel_tool_calls": True, "top_k": 40, "thinking": True, "normalize": True,
    "output_format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}},
    "moderation": True, "response": {"normalize": True}, "custom": {"seed": 1}, "include": ["x"],
    "instructions": "Be brief.", "metadata": {"a": "b"},
    "prompt_cache_key": "k", "prompt_cache_retention": "24h", "store": True, "truncation": "auto",
    "service_tier": "flex", "timeout": 20.0, "extra": {"n": 1},
}  # fmt: skip
ELSEWHERE = {
    "timeout", "extra", "web_search", "cache_control", "reasoning_effort", "verbosity", "stop",
    "top_k", "thinking", "output_format",
}  # fmt: skip


async def args_of(door: Door, model: str, **options: Any) -> dict[str, Any]:
    """What goes out beside messages and model."""
    door.sent.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", puter.PuterOptionWarning)
        await door(door.client(), "chat", "Hi", model, **options)
    sent: dict[str, Any] = door.sent[0].args
    assert sent.pop("model") == model
    assert len(sent["messages"]) == 1
    return sent


def plain(args: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in args.items() if name != "messages"}


# ------------------------------------------------------------ on the wire


def test_there_is_a_value_for_every_option() -> None:
    assert VALUES.keys() | {"provider"} == ChatOptions.__annotations__.keys()


@pytest.mark.parametrize("model", [CHAT, RESPONSES, CLAUDE, UNKNOWN])
@pytest.mark.parametrize("name", sorted(VALUES.keys() - ELSEWHERE))
async def test_an_option_is_an_argument_of_its_name(door: Door, model: str, name: str) -> None:
    assert plain(await args_of(door, model, **{name: VALUES[name]})) == {name: VALUES[name]}


@pytest.mark.parametrize("name", sorted(VALUES))
async def test_none_leaves_an_option_out(door: Door, name: str) -> None:
    assert plain(await args_of(door, CHAT, **{name: None})) == {}


@pytest.mark.parametrize(
    ("model", "options", "sent"),
    [
        (CHAT, {"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        (CLAUDE, {"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        (UNKNOWN, {"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        (RESPONSES, {"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
        (CHAT, {"verbosity": "high"}, {"verbosity": "high"}),
        (RESPONSES, {"verbosity": "high"}, {"text": {"verbosity": "high"}}),
        (CHAT, {"stop": "END"}, {"stopSequences": ["END"]}),
        (CLAUDE, {"stop": ["A", "B"]}, {"stopSequences": ["A", "B"]}),
        (CLAUDE, {"top_k": 40}, {"topK": 40}),
        (CLAUDE, {"thinking": True}, {"thinking": {"type": "adaptive"}}),
        (CLAUDE, {"thinking": False}, {"thinking": {"type": "disabled"}}),
        (
            CLAUDE,
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
            {"thinking": {"type": "enabled", "budgetTokens": 2048}},
        ),
        (RESPONSES, {"output_format": {"type": "text"}}, {"outputFormat": {"type": "text"}}),
        (CLAUDE, {"web_search": True}, {"tools": [{"type": "web_search"}]}),
        (CHAT, {"web_search": True}, {"tools": [{"type": "web_search"}]}),
        (CHAT, {"web_search": False}, {}),
        # web search and compaction move an OpenAI model to the Responses route
        (
            CHAT,
            {"web_search": True, "reasoning_effort": "low"},
            {"tools": [{"type": "web_search"}], "reasoning": {"effort": "low"}},
        ),
        (
            CHAT,
            {"compaction": {"trigger_tokens": 5}, "verbosity": "low"},
            {"compaction": {"trigger_tokens": 5}, "text": {"verbosity": "low"}},
        ),
        (
            CLAUDE,
            {"compaction": True, "reasoning_effort": "low"},
            {"compaction": True, "reasoning_effort": "low"},
        ),
        (
            CHAT,
            {"provider": "openrouter", "reasoning_effort": "low"},
            {"provider": "openrouter", "reasoning_effort": "low"},
        ),
        (
            UNKNOWN,
            {"provider": "openai-responses", "reasoning_effort": "low"},
            {"provider": "openai-responses", "reasoning": {"effort": "low"}},
        ),
        (CHAT, {"extra": {"n": 1, "top_p": 0.1}, "top_p": 0.9}, {"n": 1, "top_p": 0.1}),
    ],
)
async def test_each_family_has_its_own_words(
    door: Door, model: str, options: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert plain(await args_of(door, model, **options)) == sent


async def test_web_search_and_tools_go_together(door: Door) -> None:
    def look(at: str) -> str:
        """Look at something."""
        return at

    args = await args_of(door, CHAT, web_search=True, tools=[look])
    assert [one["type"] for one in args["tools"]] == ["function", "web_search"]


@pytest.mark.parametrize(
    ("given", "marker"),
    [(True, {"type": "ephemeral"}), ({"type": "ephemeral", "ttl": "1h"},) * 2, (False, None)],
)
async def test_cache_control_is_on_the_last_message_and_not_in_the_history(
    door: Door, given: Any, marker: Any
) -> None:
    ai = door.client()
    for prompt in ("one", "two"):
        await door(ai, "chat", prompt, CLAUDE, cache_control=given)
    *before, last = door.sent[1].args["messages"]
    assert last.get("cache_control") == marker
    assert [one for one in [*before, *ai.chat_history] if "cache_control" in one] == []
    assert "cache_control" not in plain(door.sent[1].args)


async def test_timeout_is_for_the_client_alone(door: Door) -> None:
    assert "timeout" not in await args_of(door, CHAT, timeout=20)


# ------------------------------------------------------------ refused

NUMBERS: list[Any] = ["hot", True, float("nan"), float("inf"), [1]]
TEXTS: list[Any] = ["", " ", 5, True, ["x"]]
FLAGS: list[Any] = ["yes", 1, {}]
MAPPINGS: list[Any] = ["x", 5, [1], {1: 2}]
BAD: dict[str, list[Any]] = {
    "temperature": NUMBERS,
    "top_p": NUMBERS,
    "top_k": [0, 1.5, "40", True],
    "stop": ["", 5, [5], {"a": "b"}],
    "thinking": ["yes", 1, [1], {1: 2}],
    "max_tokens": [0, -1, 1.5, "20", True, float("inf")],
    **dict.fromkeys(
        ("provider", "reasoning_effort", "verbosity", "instructions", "prompt_cache_key",
         "prompt_cache_retention", "truncation", "service_tier"), TEXTS,
    ),
    **dict.fromkeys(
        ("web_search", "parallel_tool_calls", "moderation", "store", "normalize"), FLAGS
    ),
    **dict.fromkeys(("compaction", "cache_control", "context_management", "response", "custom",
                     "metadata", "output_format"), MAPPINGS),
    "tool_choice": [5, ["auto"], {1: 2}],
    "include": ["x", [1], {"x"}, 5],
    "timeout": [0, -1, "soon", True, float("nan")],
    "extra": [*MAPPINGS, {"messages": []}, {"stream": False}, {"test_mode": True}],
}  # fmt: skip


def test_every_option_has_bad_values() -> None:
    assert BAD.keys() == ChatOptions.__annotations__.keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in BAD.items() for value in values],
    ids=lambda one: str(one)[:30],
)
async def test_a_bad_value_is_refused_by_name(door: Door, name: str, value: Any) -> None:
    with pytest.raises(puter.PuterInputError, match=f"{name} must"):
        await door(door.client(), "chat", "Hi", **{name: value})
    assert door.sent == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("temprature", "Did you mean 'temperature'"),
        ("maxtokens", "Did you mean 'max_tokens'"),
        ("image", "Did you mean 'images'"),
        ("max_completion_tokens", "max_tokens"),
        ("reasoning", "reasoning_effort"),
        ("text", "verbosity"),
        ("driver", "provider"),
        ("stop_sequences", "stop="),
        ("seed", "custom"),
        ("response_format", r"parse\(\)"),
        ("web_search_options", "web_search=True"),
        ("functions", "tools="),
        ("function_call", "tool_choice="),
        ("n", "several calls"),
        ("logprobs", "no probabilities"),
        ("top_logprobs", "no probabilities"),
        ("logit_bias", "no bias"),
        ("audio", r"txt2speech\(\)"),
        ("modalities", r"txt2speech\(\)"),
        ("stream_options", "reply.usage"),
        ("extra_body", "extra="),
        ("extra_headers", r"PuterAI\(headers="),
        ("max_retries", "with_options"),
        ("base_url", "api_base"),
        ("system_prompt", "system="),
        ("test_mode", "fake"),
        ("qqq", "extra="),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_unknown_name_is_a_type_error_that_helps(
    door: Door, name: str, told: str, stream: bool
) -> None:
    with pytest.raises(
        TypeError, match=f"chat.. got an unexpected keyword argument '{name}'.*{told}"
    ):
        await door(door.client(), "chat", "Hi", stream=stream, **{name: None})
    assert door.sent == []


# ------------------------------------------------------------ warned of


async def warned_of(door: Door, ai: puter.PuterAI, model: str, **options: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")  # a sync method blocks the loop of the test
        warnings.simplefilter("always", puter.PuterOptionWarning)
        await door(ai, "chat", "Hi", model, **options)
    assert {one.category for one in caught} <= {puter.PuterOptionWarning}
    assert all(model in str(one.message) for one in caught)
    return sorted(str(one.message).split()[0] for one in caught)


@pytest.mark.parametrize("model", READS)
async def test_what_a_route_drops_is_told(door: Door, model: str) -> None:
    moved = {"web_search", "compaction", "context_management"}  # these change the route
    options = {name: value for name, value in VALUES.items() if name not in moved}
    expected = sorted(options.keys() - READS[model])
    assert await warned_of(door, door.client(), model, **options) == expected
    for name in moved - ({"web_search"} if model.startswith("codestral") else set()):
        got = await warned_of(door, door.client(), model, **{name: VALUES[name]})
        assert got == ([] if name in READS[model] else [name])


async def test_a_warning_comes_once_for_each_option_and_model(door: Door) -> None:
    ai = door.client()
    assert await warned_of(door, ai, CHAT, top_k=5) == ["top_k"]
    assert await warned_of(door, ai, CHAT, top_k=6) == []
    assert await warned_of(door, ai.with_options(timeout=5), CHAT, top_k=6) == []
    assert await warned_of(door, ai, CHAT, top_k=5, custom={}) == ["custom"]
    assert await warned_of(door, ai, "gpt-4o", top_k=5) == ["top_k"]
    assert await warned_of(door, door.client(), CHAT, top_k=5) == ["top_k"]


@pytest.mark.parametrize("value", [0, 0.0])
async def test_nought_is_a_temperature_too(door: Door, value: float) -> None:
    assert await warned_of(door, door.client(), RESPONSES, temperature=value) == ["temperature"]


async def test_nothing_is_told_of_what_is_not_set_or_not_known(door: Door) -> None:
    ai = door.client()
    assert await warned_of(door, ai, UNKNOWN, **VALUES) == []
    assert await warned_of(door, ai, CHAT, **dict.fromkeys(VALUES)) == []
    flags = {"store": False, "moderation": False, "parallel_tool_calls": False}
    assert await warned_of(door, ai, CHAT, **flags) == []


async def test_a_pinned_provider_counts_more_than_the_registry(door: Door) -> None:
    ai = door.client()
    assert await warned_of(door, ai, CHAT, provider="openrouter", top_k=5) == []
    assert await warned_of(door, ai, UNKNOWN, provider="xai", max_tokens=5) == ["max_tokens"]
    assert await warned_of(door, ai, CHAT, top_k=5) == ["top_k"]


async def test_the_warning_points_at_the_users_line(door: Door) -> None:
    with pytest.warns(puter.PuterOptionWarning, match="the server may drop it for gpt-4") as caught:
        await door(door.client(), "chat", "Hi", CHAT, top_k=5)
    assert caught[0].filename.endswith("door.py")
    assert door.sent[0].args["topK"] == 5  # sent all the same


# ------------------------------------------------------------ which tool


def look(at: str) -> str:
    """Look at something."""
    return at


def listen(to: str) -> str:
    """Listen to something."""
    return to


FORCED = {"type": "function", "function": {"name": "look"}}


@pytest.mark.parametrize(
    ("model", "choice", "sent"),
    [
        *((CHAT, word, word) for word in ("auto", "none", "required")),
        (CHAT, "look", FORCED),
        (UNKNOWN, "look", FORCED),
        (RESPONSES, "auto", "auto"),
        (RESPONSES, "required", "required"),
        (CLAUDE, "auto", {"type": "auto"}),
        (CLAUDE, "none", {"type": "none"}),
        (CLAUDE, "required", {"type": "any"}),
        (CLAUDE, "look", {"type": "tool", "name": "look"}),
        (CLAUDE, {"type": "any"}, {"type": "any"}),
    ],
)
async def test_each_route_is_told_in_its_words_which_tool_to_call(
    door: Door, model: str, choice: Any, sent: Any
) -> None:
    args = await args_of(door, model, tools=[look, listen], tool_choice=choice)
    assert args["tool_choice"] == sent
    assert len(args["tools"]) == 2


async def test_on_the_responses_route_the_named_tool_is_the_only_one(door: Door) -> None:
    args = await args_of(door, RESPONSES, tools=[look, listen], tool_choice="look")
    assert args["tool_choice"] == "required"
    assert [one["function"]["name"] for one in args["tools"]] == ["look"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["look", "required", FORCED, {"type": "any"}])
async def test_a_tool_is_forced_in_the_first_round_only(
    door: Door, choice: Any, stream: bool
) -> None:
    door.answers(answer(stream, "", puter.ToolCall("c1", "look", {"at": "x"})), answer(stream))
    reply = await door(
        door.client(), "chat", "Hi", CHAT, tools=[look, listen], tool_choice=choice, stream=stream
    )
    if stream:
        await until_done(reply)
    assert [one.args["tool_choice"] for one in door.sent] == [
        FORCED if choice == "look" else choice,
        "auto",
    ]


async def test_a_tool_is_forced_until_one_was_called(door: Door) -> None:
    cut = stream_answer({"type": "text", "text": "Let"}, b"")
    usage = {"type": "usage"}
    door.answers(cut, stream_answer({"type": "text", "text": "done"}, usage))
    ai = door.client()
    options: dict[str, Any] = {"tools": [look], "tool_choice": "required", "stream": True}
    with pytest.raises(puter.PuterStreamError) as caught:
        await until_done(await door(ai, "chat", "Hi", CHAT, **options))
    await until_done(await door(ai, "chat", resume=caught.value.partial, **options))
    assert [one.args["tool_choice"] for one in door.sent] == ["required", "required"]
    called = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "look",
                                           "input": {"at": "x"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "seen"},
        {"role": "user", "content": "Again."},
    ]  # fmt: skip
    door.answers(chat_body())
    await door(ai, "chat", model=CHAT, messages=called, tools=[look], tool_choice="required")
    assert door.sent[-1].args["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("choice", "tools", "told"),
    [
        ("required", None, "needs tools="),
        (FORCED, None, "needs tools="),
        ({"type": "tool", "name": "lok"}, [look], "Did you mean .look"),
        ("lok", [look, listen], "Did you mean 'look'"),
        ("any", [look], "'required'"),
    ],
)
async def test_a_choice_that_cannot_be_made_is_refused(
    door: Door, choice: Any, tools: Any, told: str
) -> None:
    with pytest.raises(puter.PuterInputError, match=told):
        await door(door.client(), "chat", "Hi", tools=tools, tool_choice=choice)
    assert door.sent == []


# ------------------------------------------------------------ what servers refuse


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "background"])
@pytest.mark.parametrize("place", ["option", "extra"])
async def test_what_newer_servers_refuse_is_explained_before_it_is_sent(
    door: Door, name: str, place: str
) -> None:
    options: dict[str, Any] = {name: "x"} if place == "option" else {"extra": {name: "x"}}
    with pytest.raises(puter.PuterInputError, match=f"{name} cannot be used.*Newer"):
        await door(door.client(), "chat", "Hi", **options)
    assert door.sent == []


async def test_web_search_is_not_sent_where_the_server_fails_with_it(door: Door) -> None:
    with pytest.raises(puter.PuterInputError, match="web_search cannot be used with mistral"):
        await door(door.client(), "chat", "Hi", "mistral-small-2603", web_search=True)
    assert door.sent == []


# ------------------------------------------------------------ slips of the finger


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("provider", "opnai", "Did you mean 'azure-openai' or .*'openai-completion'"),
        ("provider", "openai", "of chat models named.*Did you mean .*'openai-responses'"),
        ("provider", "anthropic", "Did you mean 'claude'"),
        ("provider", "mistrl", "Did you mean 'mistral'"),
        ("reasoning_effort", "hgih", "Did you mean 'high'"),
        ("reasoning_effort", "HIGH", "Did you mean 'high'"),
        ("verbosity", "lwo", None),
        ("verbosity", "medum", "Did you mean 'medium'"),
    ],
)
async def test_a_misspelt_value_is_refused_before_it_is_sent(
    door: Door, option: str, value: str, told: str | None
) -> None:
    if told is None:
        assert (await args_of(door, UNKNOWN, **{option: value}))[option] == value
        return
    with pytest.raises(puter.PuterInputError, match=told):
        await door(door.client(), "chat", "Hi", UNKNOWN, **{option: value})
    assert door.sent == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("provider", "hoonify"),
        ("provider", "Claude"),
        ("provider", "cerebras"),
        ("reasoning_effort", "ultra"),
        ("reasoning_effort", "none"),
        ("verbosity", "chatty"),
    ],
)
async def test_values_newer_than_this_sdk_are_sent(door: Door, option: str, value: str) -> None:
    assert (await args_of(door, UNKNOWN, **{option: value}))[option] == value


async def test_a_provider_that_the_server_lists_is_sent(door: Door) -> None:
    ai = door.client()
    entry = {"id": "m", "provider": "claude-2"}
    door.answers({"models": [entry]})
    await door(ai, "list_models")
    door.answers(chat_body())
    await door(ai, "chat", "Hi", "m", provider="claude-2")
    assert door.sent[-1].args["provider"] == "claude-2"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("deadline", r"Set it on the client: PuterAI\(deadline=...\), or with_options"),
        ("connect_timeout", "Set it on the client"),
        ("history", "Pass the messages as messages="),
        ("testMode", "Chat has no test mode and would be billed"),
        ("maxTokens", "Did you mean 'max_tokens'"),
        ("stored", "Did you mean 'store'"),
    ],
)
async def test_names_from_elsewhere_are_told_what_to_do(door: Door, name: str, told: str) -> None:
    with pytest.raises(TypeError, match=f"argument '{name}'. {told}"):
        await door(door.client(), "chat", "Hi", **{name: True})
    assert door.sent == []


async def test_a_deadline_for_a_picture_is_set_on_the_client(door: Door) -> None:
    with pytest.raises(TypeError, match="Set it on the client"):
        await door(door.client(), "txt2img", "a cat", deadline=3)
    with pytest.raises(TypeError, match="Did you mean 'test_mode'"):
        await door(door.client(), "img2txt", b"x", testMode=True)
