"""The options of a chat: what goes out for each family, what is refused, and what is warned of."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter.options import ChatOptions

if TYPE_CHECKING:
    from tests.door import Door

CHAT, RESPONSES, CLAUDE = "gpt-4.1", "gpt-5-pro", "claude-sonnet-4-5-20250929"
UNKNOWN = "brand-new-model"

# One model of each row of the server's table, and the options that its route reads beside these:
ALWAYS = {"max_tokens", "temperature", "provider", "response", "timeout", "extra"}
OPENAI = {"reasoning_effort", "verbosity", "web_search", "moderation"}
COMPACTED = {"compaction", "context_management"}
CHOICE = {"top_p", "tool_choice", "parallel_tool_calls"}
ONLY_RESPONSES = {
    "include", "instructions", "metadata", "previous_response_id", "prompt_cache_key",
    "prompt_cache_retention", "store", "truncation", "background", "service_tier",
}  # fmt: skip
READS: dict[str, set[str]] = {
    "gpt-4.1": ALWAYS | OPENAI | COMPACTED,
    "o3": ALWAYS | OPENAI | COMPACTED,
    "gpt-4o": ALWAYS | OPENAI | COMPACTED,  # Azure
    "gpt-5-nano": (ALWAYS | OPENAI | COMPACTED) - {"reasoning_effort", "verbosity"},
    "gpt-5-pro": (ALWAYS | OPENAI | COMPACTED | CHOICE | ONLY_RESPONSES) - {"temperature"},
    "claude-sonnet-4-5": ALWAYS | COMPACTED | {"reasoning_effort", "cache_control"},
    "minimax-m2": ALWAYS | CHOICE,
    "glm-4.6": ALWAYS | CHOICE | {"custom"},
    "deepseek-v4-pro-260425": ALWAYS | CHOICE | {"custom"},  # BytePlus
    "muse-spark-1.2": ALWAYS | CHOICE | {"custom", "reasoning_effort"},  # Meta
    "grok-4.20-0309-non-reasoning": ALWAYS - {"max_tokens", "temperature"},
    "kimi-k2.6": ALWAYS - {"temperature"},
    "gemini-2.5-flash": ALWAYS,
    "codestral-2508": ALWAYS,
    "deepseek-v4-pro": ALWAYS,
    "groq/compound": ALWAYS,
    "qwen-flash": ALWAYS,
}
VALUES: dict[str, Any] = {
    "temperature": 0.5, "max_tokens": 20, "top_p": 0.9, "reasoning_effort": "low",
    "verbosity": "high", "compaction": True, "context_management": {"edits": []},
    "cache_control": True, "web_search": True, "tool_choice": "auto", "parallel_tool_calls": True,
    "moderation": True, "response": {"normalize": True}, "custom": {"seed": 1}, "include": ["x"],
    "instructions": "Be brief.", "metadata": {"a": "b"}, "previous_response_id": "r",
    "prompt_cache_key": "k", "prompt_cache_retention": "24h", "store": True, "truncation": "auto",
    "background": True, "service_tier": "flex", "timeout": 20.0, "extra": {"n": 1},
}  # fmt: skip
ELSEWHERE = {"timeout", "extra", "web_search", "cache_control", "reasoning_effort", "verbosity"}


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
    "max_tokens": [0, -1, 1.5, "20", True, float("inf")],
    **dict.fromkeys(
        ("provider", "reasoning_effort", "verbosity", "instructions", "previous_response_id",
         "prompt_cache_key", "prompt_cache_retention", "truncation", "service_tier"), TEXTS,
    ),
    **dict.fromkeys(
        ("web_search", "parallel_tool_calls", "moderation", "store", "background"), FLAGS
    ),
    **dict.fromkeys(("compaction", "cache_control", "context_management", "response", "custom",
                     "metadata"), MAPPINGS),
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
        ("stop", "custom"),
        ("seed", "custom"),
        ("response_format", r"parse\(\)"),
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
        warnings.simplefilter("always")
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
    for name in moved:
        got = await warned_of(door, door.client(), model, **{name: VALUES[name]})
        assert got == ([] if name in READS[model] else [name])


async def test_a_warning_comes_once_for_each_option_and_model(door: Door) -> None:
    ai = door.client()
    assert await warned_of(door, ai, CHAT, top_p=0.5) == ["top_p"]
    assert await warned_of(door, ai, CHAT, top_p=0.6) == []
    assert await warned_of(door, ai.with_options(timeout=5), CHAT, top_p=0.6) == []
    assert await warned_of(door, ai, CHAT, top_p=0.5, custom={}) == ["custom"]
    assert await warned_of(door, ai, "gpt-4o", top_p=0.5) == ["top_p"]
    assert await warned_of(door, door.client(), CHAT, top_p=0.5) == ["top_p"]


@pytest.mark.parametrize("value", [0, 0.0])
async def test_nought_is_a_temperature_too(door: Door, value: float) -> None:
    assert await warned_of(door, door.client(), RESPONSES, temperature=value) == ["temperature"]


async def test_nothing_is_told_of_what_is_not_set_or_not_known(door: Door) -> None:
    ai = door.client()
    assert await warned_of(door, ai, UNKNOWN, **VALUES) == []
    assert await warned_of(door, ai, CHAT, **dict.fromkeys(VALUES)) == []
    flags = {"store": False, "background": False, "parallel_tool_calls": False}
    assert await warned_of(door, ai, CHAT, **flags) == []


async def test_a_pinned_provider_counts_more_than_the_registry(door: Door) -> None:
    ai = door.client()
    assert await warned_of(door, ai, CHAT, provider="zai", top_p=0.5) == []
    assert await warned_of(door, ai, UNKNOWN, provider="xai", max_tokens=5) == ["max_tokens"]
    assert await warned_of(door, ai, CHAT, top_p=0.5) == ["top_p"]


async def test_the_warning_points_at_the_users_line(door: Door) -> None:
    with pytest.warns(puter.PuterOptionWarning, match="the server drops it for gpt-4") as caught:
        await door(door.client(), "chat", "Hi", CHAT, top_p=0.5)
    assert caught[0].filename.endswith("door.py")
    assert json.dumps(door.sent[0].args["top_p"]) == "0.5"  # sent all the same
