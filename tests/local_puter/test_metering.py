"""The books: what calls cost, allowances, usage; and the key-value store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import aiohttp
import pytest

from puter.testing import Failure, Gate, LocalPuter, Reply, UpstreamFailure
from tests.local_puter.support import Caller, error_of

if TYPE_CHECKING:
    import requests


def usage(caller: Caller, **options: Any) -> dict[str, Any]:
    response = caller.get("/metering/usage", **options)
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    return body


def lines(caller: Caller) -> dict[str, Any]:
    """What was bought, without the bytes sent."""
    return {
        key: line
        for key, line in usage(caller)["usage"].items()
        if key not in ("total", "allowanceUsed", "egress:bytes")
    }


def test_a_fresh_account(caller: Caller) -> None:
    assert usage(caller) == {
        "usage": {"total": 0},
        "appTotals": {},
        "allowanceInfo": {
            "remaining": 50_000_000,
            "monthUsageAllowance": 50_000_000,
            "addons": {},
        },
    }


def test_chats_are_written_down(caller: Caller) -> None:
    counted = {"prompt_tokens": 11, "completion_tokens": 7, "cached_tokens": 0}
    claude = {"input_tokens": 31, "output_tokens": 12, "cache_read_input_tokens": 2}
    caller.puter.reply_with(*[Reply(text="x", usage=counted)] * 2, Reply(text="x", usage=claude))
    for model in ("gpt-4.1", "gpt-4.1", "claude-haiku-4-5", "ollama:ollama/gpt-oss:20b", "fake"):
        caller.answer("hi", model=model, provider="openai-completion")
    found = lines(caller)
    assert found["openai:gpt-4_dot_1:prompt_tokens"] == {"units": 22, "cost": 4400, "count": 2}
    assert found["openai:gpt-4_dot_1:completion_tokens"] == {
        "units": 14,
        "cost": 11_200,
        "count": 2,
    }
    assert found["claude:claude-haiku-4-5-20251001:input_tokens"]["cost"] == 3100
    assert not any(key.startswith(("ollama", "fake")) for key in found)
    whole = usage(caller)
    assert whole["usage"]["total"] == whole["usage"]["allowanceUsed"]
    assert whole["appTotals"]["os-global"]["total"] == pytest.approx(whole["usage"]["total"])
    remaining = 50_000_000 - whole["usage"]["total"]
    assert whole["allowanceInfo"]["remaining"] == pytest.approx(remaining)


def test_the_books_agree_with_the_answers(caller: Caller) -> None:
    answer = caller.answer("hello")
    total = sum(line["cost"] for line in lines(caller).values())
    assert total == pytest.approx(answer["usage"]["usd_cents"] * 1_000_000)


def test_failures_cost_nothing(caller: Caller) -> None:
    caller.puter.reply_with(UpstreamFailure(500), Failure(500))
    caller.puter.media_with(UpstreamFailure(500), Failure(500))
    for _ in range(2):
        caller.chat("hi")
        caller.call("puter-image-generation", "generate", {"prompt": "x"})
    assert lines(caller) == {}


@pytest.mark.parametrize(
    ("generation", "billed"), [("2026-08", [2200, 5600]), ("2026-10", [800, 800])]
)
async def test_a_stream_whose_reader_left(
    generation: Any, billed: list[int], session: requests.Session
) -> None:
    async with LocalPuter(generation=generation) as puter:
        counted = {"prompt_tokens": 11, "completion_tokens": 7}
        puter.reply_with(Reply(chunks=["a", "b"], usage=counted, gate=Gate()))
        args = {"model": "gpt-4.1", "messages": ["hi"], "stream": True}
        body = {"interface": "puter-chat-completion", "method": "complete", "args": args}
        headers = {"Authorization": f"Bearer {puter.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.post(puter.url + "/drivers/call", json=body) as response,
        ):
            await response.content.readline()
        await puter.async_wait_for(lambda record: record.dropped)
        costs = [line["cost"] for line in lines(Caller(puter, session)).values()]
    assert sorted(costs) == billed


@pytest.mark.parametrize(
    ("interface", "method", "args", "key", "line"),
    [
        (
            "puter-image-generation",
            "generate",
            {"prompt": "x", "model": "gpt-image-1.5"},
            "openai:gpt-image-1_dot_5:low:1024x1024",
            (1, 900_000),
        ),
        ("puter-tts", "synthesize", {"text": "hello"}, "aws-polly:standard:character", (5, 2000)),
        (
            "puter-tts",
            "synthesize",
            {"text": "hello", "provider": "openai", "model": "tts-1-hd"},
            "openai:tts-1-hd:character",
            (5, 15_000),
        ),
        (
            "puter-speech2txt",
            "transcribe",
            {"file": "data:audio/wav;base64," + "A" * 40_000},
            "openai:gpt-transcribe:second",
            (2, 15_000),
        ),
        (
            "puter-speech2speech",
            "convert",
            {"audio": "data:audio/wav;base64,SUQz"},
            "elevenlabs:eleven_multilingual_sts_v2:second",
            (1, 270_000),
        ),
        (
            "puter-ocr",
            "recognize",
            {"source": "data:image/png;base64,SUQz"},
            "aws-textract:detect-document-text:page",
            (1, 150_000),
        ),
        (
            "puter-video-generation",
            "generate",
            {"prompt": "x", "seconds": 8},
            "gemini-video-generation:veo-3_dot_1-lite-generate-preview:per-second",
            (8, 40e6),
        ),
    ],
)
def test_media_are_written_down(
    interface: str, method: str, args: Any, key: str, line: tuple[float, float], caller: Caller
) -> None:
    assert caller.call(interface, method, args).status_code == 200
    found = lines(caller)
    assert list(found) == [key]
    assert (found[key]["units"], found[key]["cost"]) == pytest.approx(line)
    assert caller.call(interface, method, {**args, "test_mode": True}).status_code in (200, 402)
    assert lines(caller) == found


def test_bytes_are_written_down(caller: Caller) -> None:
    caller.puter.files["~/a"] = bytes(100_000)
    caller.get("/read?file=~/a")
    sound = caller.call("puter-tts", "synthesize", {"text": "x" * 100}).content
    sent = usage(caller)["usage"]["egress:bytes"]
    assert 0 <= sent["units"] - 100_000 - len(sound) < 500  # the marks between chunks
    assert sent["count"] == 2
    assert sent["cost"] == pytest.approx(sent["units"] * 12e6 / 2**30)


def test_no_usage_left(session: requests.Session) -> None:
    with LocalPuter(allowance=0.00002) as puter:
        caller = Caller(puter, session)
        puter.reply_with(Reply(text="x", usage={"completion_tokens": 1000}))
        assert caller.chat("hi").status_code == 200
        refused = caller.chat("hi")
        text = "No usage left for request."
        assert error_of(refused) == (402, "insufficient_funds", text)
        assert refused.headers["X-Needs-Upgrade"] == "true"
        assert caller.chat("hi", stream=True).status_code == 402
        assert caller.chat("hi", model="fake").status_code == 200
        assert caller.chat("hi", model="ollama:ollama/gpt-oss:20b").status_code == 200
        for interface, method, args, text in (
            ("puter-tts", "synthesize", {"text": "x"}, "Insufficient funds"),
            (
                "puter-image-generation",
                "generate",
                {"prompt": "x"},
                "Insufficient credits for image generation",
            ),
            ("puter-video-generation", "generate", {"prompt": "x"}, "Insufficient credits for"),
            ("puter-ocr", "recognize", {"source": "data:,x"}, "Insufficient credits"),
        ):
            status, code, message = error_of(caller.call(interface, method, args))
            assert (status, code) == (402, "insufficient_funds")
            assert message.startswith(text)
        assert usage(caller)["allowanceInfo"]["remaining"] == 0
        rich = puter.issue_token(puter.add_user("bob", None, allowance=5))
        assert caller.chat("hi", token=rich).status_code == 200


def test_media_that_cost_more_than_is_left(session: requests.Session) -> None:
    with LocalPuter(allowance=0.001) as puter:
        caller = Caller(puter, session)
        image = {"prompt": "x", "model": "gpt-image-1-mini"}
        assert caller.call("puter-image-generation", "generate", image).status_code == 402
        film = {"prompt": "x"}
        assert caller.call("puter-video-generation", "generate", film).status_code == 200
        assert caller.call("puter-video-generation", "generate", film).status_code == 402


def test_credits(session: requests.Session) -> None:
    with LocalPuter(allowance=1) as money, LocalPuter(allowance=1, credits_per_dollar=500) as other:
        in_dollars, in_credits = Caller(money, session), Caller(other, session)
        for one in (in_dollars, in_credits):
            one.puter.reply_with(Reply(text="x", usage={"completion_tokens": 1000}))
            assert one.answer("hi")["usage"]["usd_cents"] > 0  # money, whatever the unit
        dollars, told = usage(in_dollars), usage(in_credits)
        app = in_credits.get("/metering/usage/os-global").json()
    assert "unit" not in dollars["allowanceInfo"]
    info = told["allowanceInfo"]
    assert (info["unit"], info["monthUsageAllowance"]) == ("credits", pytest.approx(500))
    assert info["remaining"] == pytest.approx(500 - told["usage"]["total"])
    key = "openai:gpt-4_dot_1:completion_tokens"
    assert told["usage"][key]["units"] == 1000
    assert told["usage"][key]["cost"] == pytest.approx(dollars["usage"][key]["cost"] * 500 / 1e8)
    assert told["appTotals"]["os-global"]["total"] == told["usage"]["total"]
    assert (app["unit"], app[key]) == ("credits", told["usage"][key])


def test_usage_by_app(caller: Caller) -> None:
    caller.answer("hi")
    app = caller.get("/metering/usage/os-global").json()
    assert app["total"] >= app["openai:gpt-4_dot_1:prompt_tokens"]["cost"] > 0
    assert caller.get("/metering/usage/app-1").json() == {"total": 0}
    assert error_of(caller.get("/metering/usage/nope")) == (404, None, "App not found")


def test_all_costs(session: requests.Session) -> None:
    with LocalPuter() as money, LocalPuter(credits_per_dollar=500) as other:
        in_dollars = Caller(money, session).get("/metering/allCosts").json()["costs"]
        in_credits = Caller(other, session).get("/metering/allCosts").json()["costs"]
    dollars, told = (
        next(one for one in costs if one["usageType"] == "claude:claude-opus-5-5:output_tokens")
        for costs in (in_dollars, in_credits)
    )
    assert (dollars["ucentsPerUnit"], dollars["costs_currency"]) == (2500, "usd-cents")
    assert told["creditsPerUnit"] == pytest.approx(2500 * 500 / 1e8)
    assert not {"ucentsPerUnit", "costs_currency"} & told.keys()
    assert {one["unit"] for one in in_dollars} == {"token", "request"}


def test_accounts_without_limits(session: requests.Session) -> None:
    with LocalPuter(tier=None) as puter:
        caller = Caller(puter, session)
        puter.reply_with(Reply(text="x", usage={"completion_tokens": 10**9}))
        caller.answer("hi")
        assert caller.chat("hi").status_code == 200
        assert usage(caller)["allowanceInfo"]["remaining"] > 0


def test_the_books_want_a_token(caller: Caller) -> None:
    assert caller.get("/metering/usage", token=None).status_code == 401


# --- key-value store -----------------------------------------------------------------------------


def kv(caller: Caller, method: str, args: Any = None, **more: Any) -> Any:
    response = caller.call("puter-kvstore", method, args, **more)
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["service"] == {"name": "puter-kvstore"}
    return body.get("result", "no result")


def test_values_by_key(caller: Caller) -> None:
    assert kv(caller, "get", {"key": "a"}) is None
    assert kv(caller, "set", {"key": "a", "value": {"n": 1}}) is True
    assert kv(caller, "get", {"key": "a"}) == {"n": 1}
    bob = caller.puter.issue_token(caller.puter.add_user("bob", None))
    assert kv(caller, "get", {"key": "a"}, token=bob) is None
    assert kv(caller, "incr", {"key": "n", "pathAndAmountMap": {"": 5}}) == 5
    assert kv(caller, "incr", {"key": "n", "pathAndAmountMap": {"": -2}}) == 3
    assert kv(caller, "list", {"pattern": "n*"}) == [{"key": "n", "value": 3}]
    assert kv(caller, "del", {"key": "a"}) is True
    assert kv(caller, "get", {"key": "a"}) is None
    missing = caller.call("puter-kvstore", "set", {"value": 1})
    assert error_of(missing) == (400, "bad_request", "Missing `key`")
    assert caller.puter.peak_running == 0  # these are no AI calls


def test_the_store_has_no_ai_limits(session: requests.Session) -> None:
    with LocalPuter(tier="temp_free") as puter:
        caller = Caller(puter, session)
        assert all(kv(caller, "set", {"key": "a", "value": n}) for n in range(25))


def newer_models(puter: LocalPuter, session: requests.Session) -> list[dict[str, Any]]:
    answer = Caller(puter, session).get("/puterai/chat/models/details", token=None)
    return cast("list[dict[str, Any]]", answer.json()["models"])


def test_newer_models_have_newer_keys(session: requests.Session) -> None:
    with LocalPuter() as newer, LocalPuter(generation="2026-08") as older:
        known = {model["id"] for model in newer_models(older, session)}
        added = {m["id"]: m for m in newer_models(newer, session) if m["id"] not in known}
        asked = Caller(older, session).chat("hi", model="gpt-6")
        assert error_of(asked) == (400, "bad_request", "Model not found: gpt-6")
        assert Caller(newer, session).chat("hi", model="gpt-6").status_code == 200
    assert added["claude-opus-5-5"]["midConversationSystem"] is True
    assert added["gpt-6"]["release_date"] == "2026-09"
    assert added["gpt-6"]["responses_api"] is True
    assert set(added["gpt-6"]["long_context_pricing"]) == {
        "threshold", "input_multiplier", "output_multiplier",
    }  # fmt: skip
    hoonify = next(model for model in added.values() if model["provider"] == "hoonify")
    assert "max_tokens" not in hoonify
