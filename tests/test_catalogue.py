"""Models: what the catalogue says of them, finding one, and what a call may cost."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace
from decimal import Decimal
from typing import Any

import pytest

import puter
from puter import CostEstimate, Model, ModelList
from puter.models import registry
from puter.wire.catalogue import estimate_cost, read_model
from tests.door import CUT, Door, text_answer

GPT: dict[str, Any] = {
    "puterId": "openai:openai/gpt-4.1",
    "id": "gpt-4.1",
    "name": "GPT-4.1",
    "modalities": {"input": ["text", "image"], "output": ["text"]},
    "open_weights": False,
    "tool_call": True,
    "knowledge": "2024-04",
    "release_date": "2025-04-14",
    "aliases": ["openai/gpt-4.1", "openai:openai/gpt-4.1"],
    "costs_currency": "usd-cents",
    "input_cost_key": "prompt_tokens",
    "output_cost_key": "completion_tokens",
    "costs": {
        "tokens": 1_000_000,
        "prompt_tokens": 200,
        "cached_tokens": 50,
        "completion_tokens": 800,
    },
    "context": 1_047_576,
    "max_tokens": 32768,
    "provider": "openai-completion",
}
CLAUDE: dict[str, Any] = {
    "id": "claude-haiku-4-5",
    "provider": "claude",
    "input_cost_key": "input_tokens",
    "output_cost_key": "output_tokens",
    "costs": {
        "tokens": 1_000_000,
        "input_tokens": 100,
        "output_tokens": 500,
        "cache_read_input_tokens": 10,
    },
    "max_tokens": 64000,
}
OLLAMA: dict[str, Any] = {
    "id": "ollama:llama3.2",
    "provider": "ollama",
    "costs": {"tokens": 1_000_000, "input_token": 0, "output_token": 0},
    "max_tokens": 4096,
}
PICTURE: dict[str, Any] = {
    "id": "gpt-image-1-mini",
    "provider": "openai-image-generation",
    "index_cost_key": "low:1024x1024",
    "costs": {"text_input": 200, "low:1024x1024": 0.5, "high:1024x1024": 3.6},
    "allowedQualityLevels": ["low", "medium", "high"],
}
FILM: dict[str, Any] = {
    "id": "veo-3.1-generate-preview",
    "provider": "gemini-video-generation",
    "output_cost_key": "per-second",
    "costs": {"per-second": 40, "per-second-4k": 60},
    "durationSeconds": [4, 6, 8],
}
LISTS = {"chat": [GPT, OLLAMA, CLAUDE], "image": [PICTURE], "video": [FILM]}


def listing(sent: Any) -> Any:
    kind = sent.url.rpartition("/puterai/")[2].partition("/")[0]
    return {"models": LISTS[kind]}


# ------------------------------------------------------------ reading


def test_a_model_of_the_catalogue() -> None:
    model = read_model(GPT, "chat")
    assert model == Model(
        id="gpt-4.1",
        provider="openai-completion",
        name="GPT-4.1",
        kind="chat",
        input_price=Decimal(2),
        output_price=Decimal(8),
        cached_price=Decimal("0.5"),
        context=1_047_576,
        max_output=32768,
        inputs=("text", "image"),
        outputs=("text",),
        tools=True,
        open_weights=False,
        released="2025-04-14",
        knowledge="2024-04",
        aliases=("openai/gpt-4.1", "openai:openai/gpt-4.1"),
    )
    assert isinstance(model.input_price, Decimal)
    assert model.raw == GPT
    assert (model.vision, model.free) == (True, False)


def test_prices_are_found_by_the_keys_the_entry_names() -> None:
    model = read_model(CLAUDE, "chat")
    assert (model.input_price, model.output_price, model.cached_price) == (
        Decimal(1),
        Decimal(5),
        Decimal("0.1"),
    )
    assert read_model({**GPT, "costs": {**GPT["costs"], "tokens": 1000}}, "chat").input_price == (
        2000
    )


def test_what_the_catalogue_does_not_say_is_none() -> None:
    model = read_model(OLLAMA, "chat")
    assert (model.input_price, model.output_price, model.context, model.tools) == (None,) * 4
    assert (model.name, model.inputs, model.vision, model.free) == (
        "ollama:llama3.2",
        (),
        False,
        False,
    )


def test_images_and_videos_have_a_price_of_their_own() -> None:
    picture, film = read_model(PICTURE, "image"), read_model(FILM, "video")
    assert (picture.unit_price, picture.unit) == (Decimal("0.005"), "low:1024x1024")
    assert (film.unit_price, film.unit) == (Decimal("0.4"), "per-second")
    for one in (picture, film):
        assert (one.input_price, one.output_price, one.free) == (None, None, False)
    assert (read_model(GPT, "chat").unit_price, read_model(GPT, "chat").unit) == (None, "")


@pytest.mark.parametrize(
    "damage",
    [
        {"costs": None},
        {"costs": {"prompt_tokens": "much", "completion_tokens": [], "tokens": 1}},
        {"costs": {"prompt_tokens": 1, "completion_tokens": 1, "tokens": 0}},
        {"input_cost_key": 5, "output_cost_key": None},
        {"modalities": [], "aliases": "x", "context": "long", "tool_call": "yes", "name": None},
    ],
)
def test_a_strange_entry_is_read_as_far_as_it_goes(damage: dict[str, Any]) -> None:
    model = read_model({**GPT, **damage}, "chat")
    assert model.id == "gpt-4.1"
    for name in damage:
        if name in ("costs", "input_cost_key"):
            assert model.input_price is None
    if "context" in damage:
        assert (model.context, model.tools, model.aliases, model.name) == (None, None, (), model.id)


@pytest.mark.parametrize("kind", ["chat", "image", "video"])
def test_every_entry_of_the_shipped_snapshot_can_be_read(kind: str) -> None:
    entries = registry().catalogue[kind]
    models = [read_model(entry, kind) for entry in entries]
    assert len(models) == len(entries) > 10
    priced = [one for one in models if (one.unit_price or one.input_price) is not None]
    assert len(priced) == len(models)


def test_models_are_values() -> None:
    model = read_model(GPT, "chat")
    assert pickle.loads(pickle.dumps(model)) == model
    assert hash(model) == hash(read_model(dict(GPT), "chat"))
    assert model != replace(model, provider="azure-openai")
    assert repr(model).startswith("Model(id='gpt-4.1', provider='openai-completion',")
    assert "puterId" not in repr(model)
    with pytest.raises(FrozenInstanceError):
        model.id = "x"  # type: ignore[misc] # that is what is tested
    listed = ModelList([model])
    assert pickle.loads(pickle.dumps(listed)) == listed == [model]
    assert type(pickle.loads(pickle.dumps(listed))) is ModelList


# ------------------------------------------------------------ finding


def model(id_: str, price: str | None = None, **changes: Any) -> Model:
    value = None if price is None else Decimal(price)
    return Model(id_, "x", input_price=value, output_price=value, **changes)


MODELS = ModelList(
    [
        model("dear", "10", inputs=("text", "image"), tools=True, context=1000),
        model("unknown", inputs=("image",)),
        model("free", "0", tools=False, context=10),
        model("cheap", "0.1", tools=True, aliases=("vendor/BARGAIN",), name="Nice"),
        replace(model("other", "1", context=100), provider="y"),
    ]
)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, "free cheap other dear unknown"),
        ({"text": "EA"}, "cheap dear"),
        ({"text": "bargain"}, "cheap"),
        ({"text": "nice"}, "cheap"),
        ({"text": "none"}, ""),
        ({"provider": "y"}, "other"),
        ({"vision": True}, "dear unknown"),
        ({"vision": False}, "free cheap other"),
        ({"tools": True}, "cheap dear"),
        ({"tools": False}, "free other unknown"),
        ({"free": True}, "free"),
        ({"free": False}, "cheap other dear unknown"),
        ({"min_context": 100}, "other dear"),
        ({"max_input_price": 1}, "free cheap other"),
        ({"max_output_price": 0.1}, "free cheap"),
        ({"max_input_price": Decimal("0.09"), "tools": False}, "free"),
        ({"vision": True, "tools": True, "min_context": 1001}, ""),
    ],
)
def test_models_are_found_cheapest_first(wanted: dict[str, Any], names: str) -> None:
    found = MODELS.find(**wanted)
    assert [one.id for one in found] == names.split()
    assert type(found) is ModelList
    assert len(MODELS) == 5


def test_the_cheapest_has_a_price() -> None:
    assert MODELS.cheapest() == MODELS[2]
    assert MODELS.cheapest(vision=True) == MODELS[0]
    assert MODELS.cheapest("unknown") is None
    assert MODELS.cheapest("nothing") is None
    pictures = ModelList([Model("b", "x", unit_price=Decimal(2)), Model("a", "x")])
    assert pictures.cheapest() == pictures[0]


def test_what_is_read_counts_three_times_what_is_written() -> None:
    reads = Model("reads", "x", input_price=Decimal(1), output_price=Decimal(5))
    writes = Model("writes", "x", input_price=Decimal(2), output_price=Decimal(1))
    assert ModelList([reads, writes]).cheapest() == writes


# ------------------------------------------------------------ costs


def test_the_cost_of_so_many_tokens() -> None:
    gpt, claude = read_model(GPT, "chat"), read_model(CLAUDE, "chat")
    assert gpt.cost(1_000_000, 500_000) == Decimal(6)
    assert gpt.cost(0, 0, 1_000_000) == Decimal("0.5")
    assert claude.cost(1000, 100) == Decimal("0.0015")
    assert replace(gpt, cached_price=None).cost(0, 0, 1_000_000) == Decimal(2)
    assert read_model(OLLAMA, "chat").cost(1, 1) is None


NEWER: dict[str, Any] = {
    **GPT,
    "release_date": "2026-09",
    "max_tokens": None,
    "responses_api": True,
    "responsesSampling": {"top_p": False},
    "costs": {**GPT["costs"], "fast_prompt_tokens": 600, "web_search_requests": 1},
    "long_context_pricing": {
        "threshold": 200_000,
        "input_multiplier": 2,
        "output_multiplier": 1.5,
    },
}


def test_a_long_prompt_makes_the_whole_call_dearer() -> None:
    model = read_model(NEWER, "chat")
    assert (model.released, model.max_output, model.input_price) == ("2026-09", None, Decimal(2))
    assert model.cost(200_000, 1000) == Decimal("0.408")
    assert model.cost(200_001, 1000) == 2 * 200_001 * Decimal("0.000002") + Decimal("0.012")
    assert model.cost(1, 0, 200_000) == 2 * (Decimal("0.000002") + Decimal("0.1"))
    guess = estimate_cost(model, "x" * 4 * 300_000, 1000)
    assert guess.cost == Decimal("1.200016") + Decimal("0.012")
    assert model == pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize(
    ("pricing", "factors"),
    [
        ({"threshold": 10, "output_multiplier": "2"}, (1, 2)),
        ({"threshold": 10, "input_multiplier": [], "output_multiplier": float("nan")}, (1, 1)),
        ({"threshold": "many", "input_multiplier": 2}, None),
        ([], None),
    ],
)
def test_strange_prices_of_long_prompts(pricing: Any, factors: Any) -> None:
    found = read_model({**GPT, "long_context_pricing": pricing}, "chat").long_context
    assert (found and (found.input_multiplier, found.output_multiplier)) == factors


@pytest.mark.parametrize("strange", [float("nan"), float("inf"), "unknown", "NaN", -1, 1e300])
@pytest.mark.parametrize("name", ["context", "max_tokens", "long_context_pricing", "cost"])
async def test_what_is_no_number_in_a_model_list_is_not_known(
    door: Door, name: str, strange: Any
) -> None:
    entry = {**NEWER, name: strange}
    if name == "cost":
        entry["costs"] = dict.fromkeys(GPT["costs"], strange)
    door.answers({"models": [entry]})
    ai = door.client()
    (model,) = await door(ai, "list_models")
    assert {"context": model.context, "max_tokens": model.max_output}.get(name) is None
    assert (
        ai.estimate_cost("Hi", "gpt-4.1").cost is None or name != "cost" or strange in (-1, 1e300)
    )
    assert ModelList([model]).find(max_input_price=float("nan")) == []


def test_an_estimate_is_labelled_one() -> None:
    gpt = read_model(GPT, "chat")
    guess = estimate_cost(gpt, "x" * 3984, 1000)
    assert guess == CostEstimate("gpt-4.1", 1000, 1000, Decimal("0.01"))
    assert str(guess) == "about 0.01 USD"
    assert str(estimate_cost(gpt, "", 0)) == "about 0.000008 USD"
    assert str(estimate_cost(read_model(OLLAMA, "chat"), "Hi", 5)) == "no price known"
    assert pickle.loads(pickle.dumps(guess)) == guess
    assert hash(guess) == hash(estimate_cost(gpt, "y" * 3984, 1000))


def test_a_client_estimates_without_network(door: Door) -> None:
    ai = door.client()
    known = ai.estimate_cost("Hello!", "OpenAI/GPT-4.1")
    assert (known.model, known.output_tokens) == ("gpt-4.1", 500)
    assert known.cost == Decimal("0.00401")
    assert ai.estimate_cost("Hello!", output_tokens=0).model == ai.current_model
    assert ai.estimate_cost("Hello!", "brand-new").cost is None
    assert door.sent == []


async def test_what_find_takes_is_told(door: Door) -> None:
    with pytest.raises(TypeError, match=r"Choose .*: list_models\(\)\.find\(vision=\.\.\.\)"):
        await door(door.client(), "list_models", vision=True)


async def test_an_estimate_prefers_the_live_catalogue(door: Door) -> None:
    dearer = {**GPT, "costs": {**GPT["costs"], "prompt_tokens": 400, "completion_tokens": 1600}}
    door.answers({"models": [dearer]})
    ai = door.client()
    before = ai.estimate_cost("Hello!", "gpt-4.1").cost
    assert before is not None
    await door(ai, "list_models")
    assert ai.estimate_cost("Hello!", "gpt-4.1").cost == 2 * before


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"prompt": None}, "prompt must be a str"),
        ({"prompt": "x", "model": 5}, "model must be a non-empty str"),
        ({"prompt": "x", "output_tokens": -1}, "output_tokens must be 0 or more"),
        ({"prompt": "x", "output_tokens": "5"}, "output_tokens must be 0 or more"),
    ],
)
def test_an_estimate_of_nothing_is_refused(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(puter.PuterInputError, match=match):
        puter.PuterAI(token="t").estimate_cost(**arguments)


# ------------------------------------------------------------ listing


@pytest.mark.parametrize(("kind", "number"), [("chat", 3), ("image", 1), ("video", 1)])
async def test_models_are_listed_once(door: Door, kind: str, number: int) -> None:
    door.answers(listing)
    ai = door.client()
    for _ in range(3):
        models = await door(ai, "list_models", kind=kind)
        assert len(models) == number
        assert {one.kind for one in models} == {kind}
    (sent,) = door.sent
    assert (sent.method, sent.url) == (
        "GET",
        f"https://api.puter.com/puterai/{kind}/models/details",
    )
    assert "authorization" not in {name.lower() for name in sent.headers}
    await door(ai, "list_models", kind=kind, refresh=True)
    assert len(door.sent) == 2


async def test_no_token_is_needed(door: Door) -> None:
    door.answers(listing)
    ai = puter.PuterAI(transport=door.transport)
    assert len(await door(ai, "list_models")) == 3
    assert "Authorization" not in door.sent[0].headers


async def test_models_of_one_provider_and_the_providers(door: Door) -> None:
    door.answers(listing)
    ai = door.client()
    assert [one.id for one in await door(ai, "list_models", "claude")] == ["claude-haiku-4-5"]
    assert await door(ai, "list_model_providers") == ["claude", "ollama", "openai-completion"]
    assert await door(ai, "list_model_providers", kind="image") == ["openai-image-generation"]
    assert len(door.sent) == 2


@pytest.mark.parametrize(
    ("provider", "kind", "told"),
    [
        ("nobody", "chat", "It has those of claude, ollama, openai-completion"),
        ("openai", "chat", "Did you mean 'openai-completion'"),
        ("opnai", "chat", "Did you mean 'openai-completion'"),
        ("anthropic", "chat", "Did you mean 'claude'"),
        ("Claud", "chat", "Did you mean 'claude'"),
        ("gemini-video-generation", "chat", "Pass kind='video'"),
        ("gemini", "image", "It has those of openai-image-generation"),
        ("opnai", "image", "Did you mean 'openai-image-generation'"),
        (5, "chat", "provider must be a non-empty str"),
    ],
)
async def test_a_provider_without_models_is_refused_and_near_ones_named(
    door: Door, provider: Any, kind: str, told: str
) -> None:
    door.answers(listing)
    with pytest.raises(puter.PuterInputError, match=told):
        await door(door.client(), "list_models", provider, kind=kind)


async def test_providers_have_one_name_in_lists_and_in_calls(door: Door) -> None:
    door.answers(listing)
    ai = door.client()
    names = "openai", " OpenAI ", "openai-image-generation"
    found = [(await door(ai, "list_models", name, kind="image"))[0].provider for name in names]
    assert found == ["openai-image-generation"] * 3
    door.answers({"success": True, "result": "data:image/png;base64,iVBORw0KGgo="})
    for name in names:
        await door(ai, "txt2img", "a cat", provider=name)
        assert door.sent[-1].args["provider"] == "openai-image-generation"


async def test_a_server_without_models_says_so(door: Door) -> None:
    door.answers({"models": []})
    with pytest.raises(puter.PuterInputError, match=r"lists no video models of 'gemini'.*nobody"):
        await door(door.client(), "list_models", "gemini", kind="video")


async def test_models_are_in_order_and_the_callers_own(door: Door) -> None:
    door.answers(listing)
    ai = door.client()
    models = await door(ai, "list_models")
    assert [one.provider for one in models] == ["claude", "ollama", "openai-completion"]
    models.clear()
    assert len(await door(ai, "list_models")) == 3


async def test_the_list_is_of_one_client(door: Door) -> None:
    door.answers(listing)
    ai = door.client()
    await door(ai, "list_models")
    await door(ai.with_options(timeout=5), "list_models")
    await door(door.client(), "list_models")
    assert len(door.sent) == 3


async def test_a_failed_refresh_keeps_what_is_known(door: Door) -> None:
    door.answers(listing, (503, {"error": "x", "message": "x", "code": "db_unavailable"}))
    ai = door.client(max_retries=0)
    await door(ai, "list_models")
    with pytest.raises(puter.PuterServerError):
        await door(ai, "list_models", refresh=True)
    assert len(await door(ai, "list_models")) == 3


async def test_a_listing_is_free_so_it_is_asked_for_again(door: Door) -> None:
    door.answers(CUT, listing)
    assert len(await door(door.client(), "list_models")) == 3


async def test_there_are_three_kinds(door: Door) -> None:
    with pytest.raises(
        puter.PuterInputError, match=r"one of chat, image, video, not 'audio'.*list_engines"
    ):
        await door(door.client(), "list_models", kind="audio")
    assert door.sent == []


@pytest.mark.parametrize(
    "answer",
    [
        {"models": None},
        {"models": [{"id": "x"}]},
        {"models": [5]},
        [],
        text_answer("<", "text/html"),
    ],
)
async def test_a_list_of_unknown_shape_is_told(door: Door, answer: Any) -> None:
    door.answers(answer)
    with pytest.raises(puter.PuterResponseError, match="api_base"):
        await door(door.client(), "list_models")


# ------------------------------------------------------------ what is asked of a list


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"text": 5}, "text must be a str or None, not 5"),
        ({"provider": 5}, "provider must be a str"),
        ({"max_output_price": "5"}, "max_output_price must be a number or None, not '5'"),
        ({"min_context": True}, "min_context must be a number"),
        ({"tools": "yes"}, "tools must be True, False or None"),
    ],
)
def test_what_a_list_cannot_look_for_is_told(wanted: Any, told: str) -> None:
    with pytest.raises(puter.PuterInputError, match=told):
        MODELS.find(**wanted)


def test_a_misspelt_name_is_told() -> None:
    wrong: Any = {"tool": True}
    for look in (MODELS.find, MODELS.cheapest):
        with pytest.raises(TypeError, match=r"unexpected keyword argument 'tool'.*'tools'"):
            look(**wrong)
    talk, wrong = puter.PuterAI(token="t").conversation, {"modell": "gpt-4.1"}
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'modell'.*'model'"):
        talk(**wrong)


def test_a_model_is_found_by_place_id_or_alias() -> None:
    models = ModelList([Model("b", "x", aliases=("a",)), Model("gpt-4.1", "y"), Model("a", "z")])
    assert models["gpt-4.1"] is models[1]
    assert models["a"] is models[2]
    assert ModelList(models[:2])["a"] is models[0]
    with pytest.raises(puter.PuterInputError, match=r"no model 'gpt-4\.2'.*'gpt-4\.1'"):
        models["gpt-4.2"]
