"""``PuterModel`` in pydantic-ai's agents, on a LocalPuter."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, NativeOutput, PromptedOutput, ToolReturn
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.messages import (
    AudioUrl,
    BinaryContent,
    BinaryImage,
    CachePoint,
    DocumentUrl,
    ImageUrl,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextContent,
    UploadedFile,
    VideoUrl,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ToolOrOutput
from pydantic_ai.tools import ToolDefinition

from puter import (
    ChatReply,
    PuterAI,
    PuterAPIError,
    PuterBudgetError,
    PuterConnectionError,
    PuterInputError,
    PuterRateLimitError,
)
from puter.extensions import Budget
from puter.pydantic_ai import PuterModel, PuterModelSettings
from puter.testing import LocalPuter, Reply, UpstreamFailure, faults

CLAUDE = "claude-sonnet-4-6"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
WEATHER: dict[str, Any] = {"name": "get_weather", "arguments": {"city": "Oslo"}}


LOOPS: list[asyncio.AbstractEventLoop] = []
CLIENTS: list[PuterAI] = []


@pytest.fixture
def server() -> Iterator[LocalPuter]:
    LOOPS.append(asyncio.new_event_loop())
    with LocalPuter(tier=None) as running:
        yield running
    loop = LOOPS.pop()
    while CLIENTS:
        loop.run_until_complete(CLIENTS.pop().async_close())
    loop.close()


def model(server: LocalPuter, name: str = CLAUDE, **options: Any) -> PuterModel:
    CLIENTS.append(server.client())
    return PuterModel(name, client=CLIENTS[-1], **options)


async def ask(agent: Agent[None, Any], prompt: Any, way: str, **options: Any) -> Any:
    """The finished run of an agent, by one of the three ways."""
    if way == "run_sync":
        return await asyncio.to_thread(run_sync, agent, prompt, **options)
    if way == "run":
        return await agent.run(prompt, **options)
    async with agent.run_stream(prompt, **options) as run:
        await run.get_output()
        return run


def run_sync(agent: Agent[None, Any], prompt: Any, **options: Any) -> Any:
    """Run in a loop that is closed later: pydantic-ai leaves the one that it makes open."""
    asyncio.set_event_loop(LOOPS[-1])
    return agent.run_sync(prompt, **options)


def sent(server: LocalPuter) -> dict[str, Any]:
    arguments: dict[str, Any] = server.requests[-1].json["args"]
    return arguments


ways = pytest.mark.parametrize("way", ["run_sync", "run", "run_stream"])


@ways
async def test_an_answer_with_usage_and_cost(server: LocalPuter, way: str) -> None:
    server.reply_with(Reply(text="Paris, of course.", reasoning="France."))
    agent = Agent(model(server), instructions="Be brief.", system_prompt="You know cities.")
    run = await ask(agent, "Which city?", way)
    last = run.all_messages()[-1]
    assert isinstance(last, ModelResponse)
    assert (last.text, last.thinking, last.finish_reason) == (
        "Paris, of course.",
        "France.",
        "stop",
    )
    assert last.usage.output_tokens > 0
    assert last.usage.details["reasoning_tokens"] > 0
    assert last.provider_details is not None
    assert Decimal(last.provider_details["cost"]) == last.usage.cost
    assert (last.provider_name, last.model_name) == ("puter", server.requests[-1].chat.model)  # type: ignore[union-attr]
    assert [one["role"] for one in sent(server)["messages"]] == ["system", "user"]  # Claude: one


@ways
async def test_tools_run_and_signed_thoughts_go_back(server: LocalPuter, way: str) -> None:
    ran: list[str] = []
    agent = Agent(model(server))

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Tell the weather."""
        ran.append(city)
        return f"Rain in {city}"

    # Anthropic refuses the result unless the signed thought comes back in front of the call.
    wish = Reply(reasoning="Hm.", tool_calls=[WEATHER], signed=True)
    server.reply_with(wish, "It rains.", "As I said.")
    run = await ask(agent, "Weather in Oslo?", way)
    assert ran == ["Oslo"]
    kept = ModelMessagesTypeAdapter.validate_json(run.all_messages_json())
    run = await ask(agent, "Really?", way, message_history=kept)
    assert run.all_messages()[-1].text == "As I said."


@ways
async def test_a_tool_asks_for_a_retry_and_a_wrong_call_is_told(
    server: LocalPuter, way: str
) -> None:
    agent = Agent(model(server))

    @agent.tool_plain(retries=2)
    def get_weather(city: str) -> str:
        """Tell the weather."""
        if city == "Oslo":
            raise ModelRetry("Which Oslo?")
        return "Rain"

    wrong = {"name": "get_weather", "arguments": {"town": "Oslo"}}
    right = {"name": "get_weather", "arguments": {"city": "Oslo, Norway"}}
    calls = [Reply(tool_calls=[one]) for one in (wrong, WEATHER, right)]
    server.reply_with(*calls, "It rains.")
    run = await ask(agent, "Weather in Oslo?", way)
    assert run.all_messages()[-1].text == "It rains."
    results = [one["content"] for one in sent(server)["messages"] if one["role"] == "tool"]
    assert "Which Oslo?" in results[1]
    assert results[2] == "Rain"


class City(BaseModel):
    name: str
    people: int


@ways
@pytest.mark.parametrize("kind", [City, NativeOutput(City), PromptedOutput(City)], ids=str)
async def test_typed_outputs(server: LocalPuter, way: str, kind: Any) -> None:
    agent: Agent[None, City] = Agent(model(server), output_type=kind)
    if way == "run_stream":
        async with agent.run_stream('The city "Oslo" has 700000 people') as run:
            output = await run.get_output()
    else:
        output = (await ask(agent, 'The city "Oslo" has 700000 people', way)).output
    assert output == City(name="Oslo", people=700000)
    args = sent(server)
    assert ("outputFormat" in args) == isinstance(kind, NativeOutput)
    assert args.get("tool_choice") == ({"type": "any"} if kind is City else None)


async def test_an_output_that_does_not_fit_is_asked_for_again(server: LocalPuter) -> None:
    agent: Agent[None, City] = Agent(model(server), output_type=NativeOutput(City))
    server.reply_with("I do not know.", '{"name": "Oslo", "people": 1}')
    assert (await agent.run("A city")).output == City(name="Oslo", people=1)
    assert len(server.requests) == 2


async def test_files_go_along(server: LocalPuter) -> None:
    given: list[Any] = [
        "Look",
        TextContent("closely"),
        CachePoint(),
        ImageUrl("https://x.invalid/a.png"),
        BinaryContent(PNG, media_type="image/png"),
        DocumentUrl("https://x.invalid/b.pdf"),
        VideoUrl("https://x.invalid/c"),
    ]
    server.reply_with("Seen.")
    await Agent(model(server, "gemini-2.5-flash")).run(given)
    parts = sent(server)["messages"][-1]["content"]
    assert [one["type"] for one in parts] == (
        ["text", "text", "image_url", "image_url", "file", "video_url"]
    )
    with pytest.raises(PuterInputError, match="UploadedFile cannot be sent"):
        await Agent(model(server)).run([UploadedFile("file-1", provider_name="openai")])


@pytest.mark.parametrize("kind", [ImageUrl, DocumentUrl, AudioUrl, VideoUrl])
@pytest.mark.parametrize("address", ["{file}", "file://{file}", "~/a.png"])
async def test_what_a_message_names_is_no_file(
    server: LocalPuter, tmp_path: Path, kind: Any, address: str
) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    url = address.format(file=tmp_path / "a.png")
    with pytest.raises(PuterInputError, match=r"no http\(s\) URL"):
        await Agent(model(server)).run(["Look", kind(url, media_type="image/png")])
    assert not server.requests


async def test_a_tool_returns_a_picture(server: LocalPuter) -> None:
    agent = Agent(model(server))

    @agent.tool_plain
    def look() -> ToolReturn:
        """Look around."""
        return ToolReturn(["A tree.", BinaryImage(PNG, media_type="image/png")])

    server.reply_with(Reply(tool_calls=[{"name": "look", "arguments": {}}]), "Nice.")
    assert (await agent.run("Look around")).output == "Nice."
    result = sent(server)["messages"][-1]["content"]
    assert [one["type"] for one in result] == ["text", "image"]


@ways
async def test_pictures_of_an_answer(server: LocalPuter, way: str) -> None:
    data = BinaryContent(PNG, media_type="image/png").data_uri
    server.reply_with(Reply(text="Here.", images=[data]), "Glad to.")
    agent = Agent(model(server, "gpt-4.1-mini"))
    run = await ask(agent, "Draw", way)
    (file,) = run.all_messages()[-1].files
    assert (file.data, file.media_type) == (PNG, "image/png")
    await ask(agent, "Thanks", way, message_history=run.all_messages())
    assert sent(server)["messages"][1] == {"role": "assistant", "content": "Here."}


@ways
async def test_a_picture_that_cannot_be_fetched_costs_no_second_answer(
    server: LocalPuter, way: str
) -> None:
    url = "http://127.0.0.1:9/a.png"
    server.reply_with(*[Reply(text="Here.", images=[url])] * 2)
    client = server.client(max_retries=0)
    asking = FallbackModel(PuterModel("gpt-4.1-mini", client=client), model(server))
    (*_, answer) = (await ask(Agent(asking), "Draw", way)).all_messages()
    assert "".join(one.content for one in answer.parts) == f"Here.\n![image]({url})"
    seen = ModelProfile(supports_image_output=True)
    draws = Agent(PuterModel("gpt-4.1-mini", client=client, profile=seen), output_type=BinaryImage)
    with pytest.raises(PuterConnectionError) as caught:  # no text will do: its address is there
        await ask(draws, "Draw", way)
    assert isinstance(caught.value.partial, ChatReply)
    assert caught.value.partial.images[0].url == url
    assert len(server.chats) == 2


@pytest.mark.parametrize(
    ("choice", "told", "names"),
    [
        (None, "auto", ["one", "two"]),
        ("auto", "auto", ["one", "two"]),
        ("required", "required", ["one", "two"]),
        (["two"], "required", ["two"]),
        (ToolOrOutput(function_tools=["one"]), "auto", ["one"]),
        ("none", None, []),
    ],
)
async def test_the_choice_of_tools(
    server: LocalPuter, choice: Any, told: str | None, names: list[str]
) -> None:
    tools = [ToolDefinition(name="one", description="First."), ToolDefinition(name="two")]
    asked = ModelRequest.user_text_prompt("Hello")
    parameters = ModelRequestParameters(function_tools=tools)
    settings = PuterModelSettings(tool_choice=choice) if choice else None
    await model(server, "gpt-4.1-mini").request([asked], settings, parameters)
    args = sent(server)
    assert [one["function"]["name"] for one in args.get("tools", [])] == names
    assert args.get("tool_choice") == told


async def test_settings(server: LocalPuter) -> None:
    options = PuterModelSettings(
        max_tokens=9,
        temperature=0.5,
        stop_sequences=["END"],
        puter_options={"cache_control": True},
    )
    agent = Agent(model(server, settings=options))
    await agent.run("Hi", model_settings=PuterModelSettings(thinking="high", max_tokens=90))
    args = sent(server)
    assert (args["max_tokens"], args["stopSequences"]) == (90, ["END"])
    assert (args["reasoning_effort"], args["temperature"]) == ("high", 0.5)
    assert args["messages"][-1]["cache_control"]
    for name in ("stream", "messages", "model", "resume", "nope"):
        wrong: Any = {"puter_options": {name: True}}
        with pytest.raises(PuterInputError, match=f"takes no '{name}'"):
            await agent.run("Hi", model_settings=wrong)
    assert len(server.requests) == 1


@ways
async def test_errors_are_those_of_pydantic_ai_and_tell_their_cause(
    server: LocalPuter, way: str
) -> None:
    agent = Agent(PuterModel(CLAUDE, client=server.client(max_retries=0)))
    server.reply_with(UpstreamFailure(429, "slow down"))
    with pytest.raises(ModelHTTPError, match="slow down") as caught:
        await ask(agent, "Hi", way)
    assert caught.value.status_code == 429
    assert isinstance(caught.value.__cause__, PuterRateLimitError)
    nobody = server.client(api_base="http://127.0.0.1:9", token="t", max_retries=0)
    with pytest.raises(ModelAPIError):
        await ask(Agent(PuterModel(CLAUDE, client=nobody)), "Hi", way)


async def test_a_fallback_model_is_asked_next_unless_that_may_pay_twice(server: LocalPuter) -> None:
    client = server.client(max_retries=0)
    both = FallbackModel(PuterModel(CLAUDE, client=client), PuterModel("gpt-5-nano", client=client))
    server.reply_with(UpstreamFailure(503), "Hello.")
    assert (await Agent(both).run("Hi")).output == "Hello."
    for fault in (faults.lost_answer(), faults.status(500)):  # it may be billed
        server.clear_requests()
        server.inject(fault)
        with pytest.raises(PuterAPIError):
            await Agent(both).run("Hi")
        assert len(server.chats) == 1
    client.use(Budget("0.0000001"))
    with pytest.raises(PuterBudgetError):
        await Agent(both).run("Hi")


async def test_leaving_a_stream_frees_it(server: LocalPuter) -> None:
    client = server.client(max_concurrency=1)
    agent = Agent(PuterModel(CLAUDE, client=client))
    for _ in range(2):
        async with agent.run_stream("Count to a hundred") as run:
            async for _ in run.stream_text():
                await run.cancel()
                break
    assert (await agent.run("Hello")).output


async def test_a_model_alone(server: LocalPuter) -> None:
    asking = PuterModel(client=server.client())
    assert asking.model_name == server.client().current_model
    asked = ModelRequest.user_text_prompt("Hello", instructions="Be brief.")
    answer = await asking.request([asked], None, ModelRequestParameters())
    assert answer.text
    assert sent(server)["messages"][0] == {"role": "system", "content": "Be brief."}


def test_a_token_is_not_shown(server: LocalPuter, tmp_path: Path) -> None:
    asking = model(server)
    token = asking.client._shared.credentials.token
    assert token is not None
    assert token.reveal() not in repr(asking) + repr(vars(asking)) + str(Agent(asking))
