"""``ChatPuter`` beyond LangChain's standard tests: what goes to Puter, and what comes back."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call
from langchain_core.tools import tool
from pydantic import BaseModel, ValidationError

from puter import PuterAuthError, PuterBudgetError, PuterInputError
from puter.extensions import Budget
from puter.langchain import ChatPuter
from puter.testing import LocalPuter, Reply
from tests.door import Door

CLAUDE = "claude-sonnet-4-6"
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
WEATHER: dict[str, Any] = {"name": "get_weather", "arguments": {"city": "Oslo"}}


@tool
def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"Rain in {city}"


@pytest.fixture
def server() -> Iterator[LocalPuter]:
    with LocalPuter(tier=None) as running:
        yield running


def model(server: LocalPuter, name: str = CLAUDE, **options: Any) -> ChatPuter:
    return ChatPuter(model=name, client=server.client(), **options)


async def ask(door: Door, llm: Any, asked: Any, *, stream: bool, **options: Any) -> Any:
    """The answer by one of the four ways."""
    if not stream:
        if door.kind == "sync":
            return llm.invoke(asked, **options)
        return await llm.ainvoke(asked, **options)
    if door.kind == "sync":
        pieces = list(llm.stream(asked, **options))
    else:
        pieces = [one async for one in llm.astream(asked, **options)]
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    return whole


def sent(server: LocalPuter) -> dict[str, Any]:
    arguments: dict[str, Any] = server.requests[-1].json["args"]
    return arguments


ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@ways
async def test_thoughts_calls_usage_and_cost_come_back(
    server: LocalPuter, door: Door, stream: bool
) -> None:
    thoughtful = Reply(text="I look.", reasoning="Hm, Oslo.", tool_calls=[WEATHER], signed=True)
    server.reply_with(thoughtful, "It rains.")
    llm = model(server).bind_tools([get_weather])
    question = HumanMessage("How is the weather in Oslo?")
    answer = await ask(door, llm, [question], stream=stream)
    assert (answer.text, answer.tool_calls[0]["args"]) == ("I look.", {"city": "Oslo"})
    assert [one["type"] for one in answer.content_blocks] == ["reasoning", "text", "tool_call"]
    assert answer.content_blocks[0]["reasoning"] == "Hm, Oslo."
    assert answer.usage_metadata["output_token_details"]["reasoning"] > 0
    assert Decimal(answer.response_metadata["cost"]) > 0
    assert answer.response_metadata["finish_reason"] == "tool_calls"
    kept = type(answer).model_validate_json(answer.model_dump_json())  # as a checkpoint keeps it
    result = get_weather.invoke(kept.tool_calls[0])
    # Anthropic refuses the result unless the signed thought comes back in front of the call.
    last = await ask(door, llm, [question, kept, result], stream=stream)
    assert last.text == "It rains."
    edited = kept.model_copy(update={"content": "I look out of the window."})
    await ask(door, llm, [question, edited, result], stream=stream)


@ways
async def test_ids_of_calls_and_compactions_go_back(
    server: LocalPuter, door: Door, stream: bool
) -> None:
    found = Reply(text="Found.", compaction="so far", tool_calls=[WEATHER])
    server.reply_with(found, "Done.")
    llm = model(server, "gpt-5-pro", compaction=True).bind_tools([get_weather])
    question = HumanMessage("How is the weather in Oslo?")
    answer = await ask(door, llm, [question], stream=stream)
    await ask(
        door, llm, [question, answer, get_weather.invoke(answer.tool_calls[0])], stream=stream
    )
    messages = sent(server)["messages"]
    assert [one.get("type") or one.get("role") for one in messages[:2]] == ["user", "compaction"]
    (block,) = messages[3]["content"]
    assert block["canonical_id"]


async def test_a_stream_comes_in_pieces_and_tells_its_calls(server: LocalPuter, door: Door) -> None:
    server.reply_with(Reply(text="One two three", tool_calls=[WEATHER, WEATHER]))
    llm = model(server).bind_tools([get_weather], parallel_tool_calls=True)
    pieces: list[Any] = []
    if door.kind == "sync":
        pieces = list(llm.stream("Weather?"))
    else:
        pieces = [one async for one in llm.astream("Weather?")]
    assert [one.text for one in pieces if one.text] == ["One ", "two ", "three"]
    calls = [one.tool_call_chunks[0] for one in pieces if one.tool_call_chunks]
    assert [(one["index"], one["args"]) for one in calls] == [
        (0, '{"city": "Oslo"}'),
        (1, '{"city": "Oslo"}'),
    ]
    assert [bool(one.usage_metadata) for one in pieces] == [False] * 5 + [True]


async def test_leaving_a_stream_frees_it(server: LocalPuter, door: Door) -> None:
    client = server.client(max_concurrency=1)
    llm = ChatPuter(model=CLAUDE, client=client)
    for _ in range(2):
        if door.kind == "sync":
            stream = llm.stream("Count to a hundred")
            next(stream)
            stream.close()  # type: ignore[attr-defined]
        else:
            astream = llm.astream("Count to a hundred")
            await anext(astream)
            await astream.aclose()  # type: ignore[attr-defined]
    assert (await ask(door, llm, "Hello", stream=False)).text


@ways
async def test_what_a_model_wrote_instead_of_arguments_is_an_invalid_call(
    server: LocalPuter, door: Door, stream: bool
) -> None:
    server.reply_with(Reply(tool_calls=[{"name": "get_weather", "arguments": '["Oslo"]'}]), "Well.")
    llm = model(server, "gpt-4.1-mini").bind_tools([get_weather])
    answer = await ask(door, llm, "Weather?", stream=stream)
    (call,) = answer.invalid_tool_calls
    assert (answer.tool_calls, call["name"], json.loads(call["args"])) == (
        [],
        "get_weather",
        ["Oslo"],
    )
    told = ToolMessage("The arguments are no object.", tool_call_id=call["id"])
    assert (await ask(door, llm, ["Weather?", answer, told], stream=stream)).text == "Well."


@ways
async def test_images_of_an_answer_are_content_blocks(
    server: LocalPuter, door: Door, stream: bool
) -> None:
    server.reply_with(
        Reply(text="Look.", images=[f"data:image/png;base64,{PIXEL}", "http://x.invalid/a.png"])
    )
    answer = await ask(door, model(server, "gpt-4.1-mini"), "Draw", stream=stream)
    assert answer.text == "Look."
    assert [one for one in answer.content_blocks if one["type"] == "image"] == [
        {"type": "image", "base64": PIXEL, "mime_type": "image/png"},
        {"type": "image", "url": "http://x.invalid/a.png"},
    ]
    server.reply_with("Nice.")
    await ask(door, model(server), ["Draw", answer, "How is it?"], stream=stream)


@ways
async def test_a_refusal_is_told(server: LocalPuter, door: Door, stream: bool) -> None:
    server.reply_with(Reply(refusal="I will not."))
    answer = await ask(door, model(server), "Do it", stream=stream)
    assert answer.response_metadata["finish_reason"] == "content_filter"


DATA = f"data:image/png;base64,{PIXEL}"
PDF = "JVBERi0xLjQKJSVFT0YK"
PDF_DATA = f"data:application/pdf;base64,{PDF}"


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def file(name: str, data: str) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": name, "file_data": data}}


def in_base64(kind: str, data: str, mime_type: str, **more: str) -> dict[str, Any]:
    return {"type": kind, "base64": data, "mime_type": mime_type, **more}


BLOCKS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"type": "image", "url": "https://x.invalid/a.png"}, image("https://x.invalid/a.png")),
    (in_base64("image", PIXEL, "image/png"), image(DATA)),
    (
        {"type": "image", "source_type": "base64", "data": PIXEL, "mime_type": "image/png"},
        image(DATA),
    ),
    (image(DATA), image(DATA)),
    (
        {"type": "video", "url": "https://x.invalid/a.mp4"},
        {"type": "video_url", "video_url": {"url": "https://x.invalid/a.mp4"}},
    ),
    (
        {"type": "file", "url": "https://x.invalid/a.pdf"},
        file("a.pdf", "https://x.invalid/a.pdf"),
    ),
    (in_base64("file", PDF, "application/pdf", filename="b.pdf"), file("b.pdf", PDF_DATA)),
    ({"type": "text", "text": "Hi", "id": "lc_1", "index": 0}, {"type": "text", "text": "Hi"}),
    (
        {"type": "text-plain", "text": "Hi", "mime_type": "text/plain"},
        {"type": "text", "text": "Hi"},
    ),
    ({"type": "non_standard", "value": file("c.pdf", PDF_DATA)}, file("c.pdf", PDF_DATA)),
]


@pytest.mark.parametrize(("block", "part"), BLOCKS)
def test_content_blocks_old_and_new(server: LocalPuter, block: Any, part: Any) -> None:
    if "video" in str(block):
        server.reply_with("Seen.")
    model(server, "gemini-2.5-flash").invoke([HumanMessage(["Look:", block])])
    assert sent(server)["messages"][0]["content"] == [{"type": "text", "text": "Look:"}, part]


def test_blocks_that_cannot_be_sent(server: LocalPuter) -> None:
    for block in ({"type": "file", "file_id": "file-1"}, {"type": "file", "base64": PDF}):
        with pytest.raises(PuterInputError, match="has no data"):
            model(server).invoke([HumanMessage([block])])
    with pytest.raises(PuterInputError, match="RemoveMessage is no message"):
        model(server).invoke([RemoveMessage(id="1")])
    assert not server.requests


def answered_by(block: Any) -> list[AnyMessage]:
    """A tool that answers with it."""
    called = tool_call(name="look", args={"puter_path": "~/a", "url": "b"}, id="1")
    told = ToolMessage([block], tool_call_id="1")
    return [HumanMessage("Hi"), AIMessage("", tool_calls=[called]), told]


def test_arguments_of_tools_are_no_parts(server: LocalPuter) -> None:
    model(server).invoke(answered_by({"type": "text", "text": "Seen."}))
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["file", "image", "audio", "video", "image_url", "puter_path"])
def test_what_a_message_names_is_no_file(
    server: LocalPuter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(base64.b64decode(PIXEL))
    monkeypatch.chdir(tmp_path)
    in_puter = {"type": "file", "puter_path": "~/a.png"}
    for address in (str(file), file.as_uri(), "a.png", "~/a.png", in_puter):
        block: dict[str, Any] = {"type": kind, "url": address}
        if kind == "image_url":
            block = {"type": kind, kind: {"url": address}}
        elif kind == "puter_path":
            block = {"type": "non_standard", "value": {"type": "file", kind: address}}
        for said in ([HumanMessage([block])], [SystemMessage([block])], answered_by(block)):
            with pytest.raises(PuterInputError, match="what the file holds"):
                model(server).invoke(said)
    assert not server.requests


def test_nor_is_what_was_kept_of_an_answer(server: LocalPuter) -> None:
    part = {"role": "user", "content": [{"type": "file", "puter_path": "~/a.txt"}]}
    kept = {"puter": {"compaction": part}}
    with pytest.raises(PuterInputError, match="account's Puter"):
        model(server).invoke([AIMessage("Hi", additional_kwargs=kept), HumanMessage("Bye")])
    assert not server.requests


def test_roles_and_empty_answers(server: LocalPuter) -> None:
    said: list[AnyMessage] = [
        SystemMessage("Be brief."),
        ChatMessage(content="Obey.", role="developer"),
        HumanMessage("Hi", name="Ada"),
        AIMessage(""),
        AIMessageChunk(content="Hello"),
        HumanMessage("Bye"),
    ]
    model(server, "gpt-4.1-mini").invoke(said)
    assert sent(server)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Obey."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
    ]


class Joke(BaseModel):
    setup: str
    rating: int


@pytest.mark.parametrize("method", ["json_schema", "json_mode", "function_calling"])
async def test_typed_answers(server: LocalPuter, door: Door, method: Any) -> None:
    llm = model(server).with_structured_output(Joke, method=method, include_raw=True)
    answer = await ask(door, llm, 'A joke about "cats", rated 7', stream=False)
    assert (answer["parsed"], answer["parsing_error"]) == (Joke(setup="cats", rating=7), None)
    assert answer["raw"].usage_metadata
    assert ("outputFormat" in sent(server)) == (method == "json_schema")
    server.reply_with("I know none.")
    answer = await ask(door, llm, "A joke", stream=False)
    assert answer["parsed"] is None
    assert answer["raw"].text == "I know none."


def test_a_typed_answer_in_the_form_of_agents(server: LocalPuter) -> None:
    described = {"name": "Joke", "schema": Joke.model_json_schema(), "strict": True}
    form = {"type": "json_schema", "json_schema": described}
    llm = model(server).bind_tools([get_weather], response_format=form, strict=True)
    answer = llm.invoke('A joke about "cats", rated 7')
    assert Joke.model_validate_json(answer.text).rating == 7
    assert sent(server)["tools"]
    model(server).invoke("A joke", response_format={"type": "json_object"})
    assert "outputFormat" not in sent(server)
    with pytest.raises(PuterInputError, match="method must be"):
        model(server).with_structured_output(Joke, method="magic")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("any", {"type": "any"}),
        (True, {"type": "any"}),
        ("none", {"type": "none"}),
        ("get_weather", {"type": "tool", "name": "get_weather"}),
        (
            {"type": "function", "function": {"name": "get_weather"}},
            {"type": "tool", "name": "get_weather"},
        ),
    ],
)
def test_the_choice_of_a_tool(server: LocalPuter, choice: Any, told: Any) -> None:
    model(server).bind_tools([get_weather], tool_choice=choice).invoke("Hello")
    assert sent(server)["tool_choice"] == told


def test_options_of_the_model_and_of_the_call(server: LocalPuter) -> None:
    llm = model(server, temperature=0.5, max_tokens=50, reasoning_effort="low", stop="END")
    llm.invoke("Hi", max_tokens=60)
    args = sent(server)
    assert (args["temperature"], args["max_tokens"], args["stopSequences"]) == (0.5, 60, ["END"])
    assert args["reasoning_effort"] == "low"
    llm.invoke("Hi", stop=["NO"])
    assert sent(server)["stopSequences"] == ["NO"]
    with pytest.raises(TypeError, match="Did you mean 'temperature'"):
        model(server, temprature=1)
    with pytest.raises(TypeError, match="Did you mean 'temperature'"):
        llm.invoke("Hi", temprature=1)
    with pytest.raises(ValidationError, match="max_tokens"):
        model(server, max_tokens="many")
    with pytest.raises(ValidationError, match="reasoning_effort"):
        model(server, reasoning_effort=3)


def test_a_client_of_its_own(server: LocalPuter) -> None:
    user = server.client()._shared.credentials.token
    assert user is not None
    llm = ChatPuter(model=CLAUDE, api_key=user.reveal(), base_url=server.url, max_retries=0)
    assert llm.invoke("Hello").text
    assert llm.client is not None
    assert (llm.client.config.max_retries, llm.api_base) == (0, server.url)


def test_the_limits_of_the_client_count(server: LocalPuter) -> None:
    client = server.client()
    client.use(Budget("0.0000001"))
    llm = ChatPuter(client=client, max_tokens=5)
    assert llm.model == client.current_model
    with pytest.raises(PuterBudgetError):
        llm.invoke("Hello")
    with pytest.raises(ValidationError, match="a client and a token"):
        ChatPuter(client=client, token="another")
    assert ChatPuter(client=client, max_retries=1).client is not client
    assert client.chat_history == []


SECRET = "eyJhbGciOi.secret.token"


def test_a_token_is_never_shown() -> None:
    llm = ChatPuter(model=CLAUDE, token=SECRET)
    shown = [repr(llm), str(llm), dumps(llm), str(llm.asdict()), str(llm.model_dump())]
    shown += [repr(llm.bind(stop=["x"])), llm._get_llm_string(), llm.model_dump_json()]
    shown += [pickle.dumps(llm).decode("latin1"), str(llm._identifying_params)]
    for given in ({"tokn": SECRET}, {"token": [SECRET]}, {"temperature": SECRET}):
        with pytest.raises((TypeError, ValueError)) as caught:
            ChatPuter(model=CLAUDE, **given)
        shown.append(str(caught.value))
    assert [one for one in shown if SECRET in one or "secret" in one] == []
    assert not ChatPuter.is_lc_serializable()


def test_copies(server: LocalPuter, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = model(server, temperature=0.5)
    assert copy.deepcopy(llm).invoke("Hello").text
    assert llm.model_copy(update={"temperature": 1}).invoke("Hello").text
    assert server.client()._shared.credentials.token is not None
    monkeypatch.setenv("PUTER_AUTH_TOKEN", server.client()._shared.credentials.token.reveal())  # type: ignore[union-attr]
    pickled = pickle.loads(pickle.dumps(llm))
    assert (pickled.temperature, bool(pickled.invoke("Hello").text)) == (0.5, True)


def test_a_cache_of_langchain_tells_models_apart(server: LocalPuter) -> None:
    cache = InMemoryCache()
    server.reply_with("first", "second", "third", "fourth")
    options: list[dict[str, Any]] = [{}, {"stop": "x"}, {"stop": ["y"]}]
    asked = [("gpt-5-nano", {}), *((CLAUDE, one) for one in options)]
    for name, told in asked * 2:
        model(server, name, cache=cache, **told).invoke("Hello")
    told_by_call = model(server, CLAUDE, cache=cache).invoke("Hello", stop=["y"])
    assert (told_by_call.text, len(server.requests)) == ("fourth", 4)


@ways
async def test_errors_are_those_of_the_client(server: LocalPuter, door: Door, stream: bool) -> None:
    llm = ChatPuter(model=CLAUDE, token="wrong", api_base=server.url)
    with pytest.raises(PuterAuthError):
        await ask(door, llm, "Hello", stream=stream)
