"""Every feature of the endpoint x the clients it is for: what works, and the table that says so.

``python -m tests.serve.features --write`` writes it into docs/how-to/local-endpoint.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pydantic

from puter.testing import Gate, Reply, faults, samples
from puter.testing.replies import StreamError
from tests.serve.clients import Anthropic, LangChain, OpenAI, Seen, now
from tests.serve.endpoint import Endpoint, until

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "local-endpoint.md"
MARK = "<!-- written by python -m tests.serve.features --write -->"
CLIENTS: dict[str, tuple[type[Any], str]] = {
    "openai": (OpenAI, "sync"),
    "openai, async": (OpenAI, "async"),
    "anthropic": (Anthropic, "sync"),
    "anthropic, async": (Anthropic, "async"),
    "langchain-openai": (LangChain, "sync"),
    "langchain-openai, async": (LangChain, "async"),
}
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
TIME = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}


class Absent(Exception):
    """The client has no such thing."""


Check = Callable[[Endpoint, Any], Awaitable[None]]
FEATURES: dict[str, Check] = {}


def feature(name: str) -> Callable[[Check], Check]:
    def put(check: Check) -> Check:
        FEATURES[name] = check
        return check

    return put


def only(client: Any, *kinds: type[Any]) -> None:
    if type(client) not in kinds:
        raise Absent


def sent(at: Endpoint, place: int = -1) -> Any:
    """The arguments of a chat as Puter got them."""
    return at.puter.chats[place].json["args"]


def texts(at: Endpoint) -> str:
    return json.dumps(sent(at)["messages"])


# ---------------------------------------------------------------- chats


@feature("chat")
async def chat(at: Endpoint, client: Any) -> None:
    seen = await client.ask([client.system("Be brief."), client.user("2 + 2")])
    assert seen.text == "2 + 2 = 4"
    assert seen.finish == client.finishes["stop"]
    assert [one["role"] for one in sent(at)["messages"]] == ["system", "user"]
    assert sent(at)["model"].startswith(client.model)


@feature("streamed chat")
async def streamed(at: Endpoint, client: Any) -> None:
    seen = await client.ask([client.user("2 + 2")], stream=True)
    assert (seen.text, seen.finish) == ("2 + 2 = 4", client.finishes["stop"])
    assert sent(at)["stream"] is True


@feature("a conversation")
async def conversation(at: Endpoint, client: Any) -> None:
    said = [client.user("My name is Ann.")]
    for stream in (False, True):
        seen = await client.ask(said, stream=stream)
        said += [seen.native, client.user("What is my name?")]
    assert "Ann" in (await client.ask(said)).text
    assert len(sent(at)["messages"]) == len(said) == 5
    assert at.ai.chat_history == []


@feature("options: temperature, max tokens, stop")
async def options(at: Endpoint, client: Any) -> None:
    client.model = "claude-haiku-4-5"
    at.puter.reply_with(Reply(text="one two", finish_reason="length"))
    stop = "stop_sequences" if isinstance(client, Anthropic) else "stop"
    asked = {"max_tokens": 7, stop: ["END"]}
    if not isinstance(client, Anthropic):
        asked["temperature"] = 0.5
    seen = await client.ask([client.user("Count")], **asked)
    assert seen.finish == client.finishes["length"]
    wanted = {"max_tokens": 7, "stopSequences": ["END"]}
    if not isinstance(client, Anthropic):
        wanted["temperature"] = 0.5
    assert wanted.items() <= sent(at).items()


@feature("tokens and cost")
async def usage(at: Endpoint, client: Any) -> None:
    for stream in (False, True):
        seen = await client.ask([client.user("2 + 2")], stream=stream)
        assert min(seen.tokens) > 0
        if type(client) is OpenAI or (isinstance(client, Anthropic) and not stream):
            assert seen.cost is not None  # the others keep no field that they do not know
            assert seen.cost > 0


@feature("pictures: URL and base64")
async def pictures(at: Endpoint, client: Any) -> None:
    url = "https://example.org/a.png"
    said = client.user("What is this?", client.picture(url), client.picture(samples.PNG))
    assert "What is this?" in (await client.ask([said])).text
    *_, (_, first, second) = (one["content"] for one in sent(at)["messages"])
    assert url in json.dumps(first)
    assert "iVBORw0KGgo" in json.dumps(second)
    assert {first["type"], second["type"]} <= {"image", "image_url"}


@feature("documents")
async def documents(at: Endpoint, client: Any) -> None:
    await client.ask([client.user("Sum it up", client.document(b"%PDF-1.4 and more"))])
    assert "JVBERi0xLjQ" in texts(at)


@feature("typed answers: JSON Schema")
async def typed(at: Endpoint, client: Any) -> None:
    class Person(pydantic.BaseModel):
        name: str
        age: int

    at.puter.reply_with('Here you are:\n```json\n{"name": "Ann", "age": 7}\n```')
    schema = {**Person.model_json_schema(), "additionalProperties": False}
    if isinstance(client, LangChain):
        form = {"type": "json_schema", "json_schema": {"name": "Person", "schema": schema}}
        seen = await client.ask([client.user("Who?")], response_format=form)
        assert Person.model_validate_json(seen.text) == Person(name="Ann", age=7)
    elif isinstance(client, OpenAI):
        found = await now(
            client.client.chat.completions.parse(
                model=client.model, messages=[client.user("Who?")], response_format=Person
            )
        )
        assert found.choices[0].message.parsed == Person(name="Ann", age=7)
    else:
        found = await now(
            client.client.messages.parse(
                model=client.model,
                max_tokens=99,
                messages=[client.user("Who?")],
                output_format=Person,
            )
        )
        assert found.parsed_output == Person(name="Ann", age=7)
    assert sent(at)["outputFormat"]["schema"]["properties"].keys() == {"name", "age"}


# ---------------------------------------------------------------- tools


async def _loop(at: Endpoint, client: Any, *, stream: bool) -> str:
    tools = [client.tool("get_weather", WEATHER), client.tool("get_time", TIME)]
    said = [client.user('The weather in "Paris" and the time?')]
    seen: Seen = await client.ask(said, stream=stream, tools=tools)
    assert seen.finish == client.finishes["tool_calls"]
    results = [(one, f"{name} of {[*args.values()]}") for one, name, args in seen.calls]
    assert at.puter.chats[-1].json["args"]["tools"][0]["function"]["name"] == "get_weather"
    said += [seen.native, *client.results(results)]
    answer: Seen = await client.ask(said, stream=stream, tools=tools)
    return answer.text


@feature("tools, the whole loop")
async def tools(at: Endpoint, client: Any) -> None:
    client.model = "gpt-5-nano"  # several at once
    answer = await _loop(at, client, stream=False)
    assert answer == "The tool answered: get_weather of ['Paris']; get_time of ['Paris']"


@feature("tools, streamed")
async def streamed_tools(at: Endpoint, client: Any) -> None:
    client.model = "gpt-5-nano"
    answer = await _loop(at, client, stream=True)
    assert answer == "The tool answered: get_weather of ['Paris']; get_time of ['Paris']"


@feature("tools that are chosen")
async def chosen(at: Endpoint, client: Any) -> None:
    client.model = "claude-haiku-4-5"
    tools = [client.tool("get_weather", WEATHER), client.tool("get_time", TIME)]
    for choice, called in (
        ("get_time", ["get_time"]),
        ("required", ["get_weather"]),
        ("none", []),
    ):
        seen = await client.ask([client.user("Hello!")], tools=tools, **client.choose(choice))
        assert [name for _, name, _ in seen.calls] == called


@feature("thoughts")
async def thoughts(at: Endpoint, client: Any) -> None:
    only(client, OpenAI, Anthropic)  # LangChain shows none of another vendor's
    client.model = "claude-haiku-4-5"
    for stream in (False, True):
        at.puter.reply_with(Reply(text="4", reasoning="Two and two."))
        seen = await client.ask([client.user("2 + 2")], stream=stream)
        assert (seen.text, seen.thought) == ("4", "Two and two.")


@feature("signed thoughts go back with tools")
async def signed(at: Endpoint, client: Any) -> None:
    client.model = "claude-haiku-4-5"
    for stream in (False, True):
        call = {"name": "get_weather", "arguments": {"city": "Paris"}}
        at.puter.reply_with(Reply(reasoning="Look it up.", tool_calls=[call], signed=True))
        said, tools = [client.user("Rain?")], [client.tool("get_weather", WEATHER)]
        seen = await client.ask(said, tools=tools, stream=stream)
        said += [seen.native, *client.results([(seen.calls[0][0], "Rain")])]
        answer = await client.ask(said, tools=tools, stream=stream)
        assert answer.text == "The tool answered: Rain"


# ---------------------------------------------------------------- lists and media


@feature("list of models")
async def models(at: Endpoint, client: Any) -> None:
    only(client, OpenAI, Anthropic)
    listed = await now(client.client.models.list())
    assert {"gpt-5-nano", "claude-haiku-4-5-20251001"} <= {one.id for one in listed.data}
    one = await now(client.client.models.retrieve("claude-haiku-4-5"))
    assert one.id == "claude-haiku-4-5-20251001"  # which has that name as well


@feature("images")
async def images(at: Endpoint, client: Any) -> None:
    only(client, OpenAI)
    at.puter.media_with(samples.PNG)
    made = await now(client.client.images.generate(prompt="A cat", size="1024x1024"))
    assert made.data[0].b64_json.startswith("iVBORw0KGgo")
    at.puter.media_with("https://example.org/cat.png")
    made = await now(client.client.images.generate(prompt="A cat", response_format="url"))
    assert made.data[0].url == "https://example.org/cat.png"
    assert at.puter.requests[0].json["args"]["ratio"] == {"w": 1024, "h": 1024}


@feature("speech")
async def speech(at: Endpoint, client: Any) -> None:
    only(client, OpenAI)
    asked = {"model": "tts-1", "voice": "alloy", "input": "Hello!"}
    spoken = await now(client.client.audio.speech.create(**asked))
    assert spoken.content == samples.MP3
    assert spoken.response.headers["Content-Type"] == "audio/mpeg"
    args = at.puter.requests[-1].json["args"]
    assert (args["provider"], args["voice"], args["text"]) == ("openai", "alloy", "Hello!")


@feature("transcripts")
async def transcripts(at: Endpoint, client: Any) -> None:
    only(client, OpenAI)
    at.puter.media_with("Good morning")
    file = ("a.wav", samples.WAV)
    create = client.client.audio.transcriptions.create
    heard = await now(create(model="gpt-transcribe", file=file, language="en"))
    assert heard.text == "Good morning"
    assert at.puter.requests[-1].json["args"]["language"] == "en"


# ---------------------------------------------------------------- errors


async def fails(client: Any, kind: str, messages: Any, **options: Any) -> Any:
    try:
        await client.ask(messages, **options)
    except getattr(client.errors, kind) as error:
        return error
    raise AssertionError(f"{kind} was not raised")


@feature("errors by kind")
async def errors(at: Endpoint, client: Any) -> None:
    hello = [client.user("Hello!")]
    at.puter.inject(faults.insufficient_funds())
    error = await fails(client, "APIStatusError", hello)
    assert (error.status_code, len(at.puter.chats)) == (402, 1)
    client.model = "no-such-model"
    assert "no-such-model" in str(await fails(client, "NotFoundError", hello))
    client.model = "gpt-5-nano"
    wrong = {"tools": [client.tool("get_time", TIME)], **client.choose("get_tme")}
    assert "get_time" in str(await fails(client, "BadRequestError", hello, **wrong))


@feature("a rate limit is waited out")
async def rate_limit(at: Endpoint, client: Any) -> None:
    at.puter.inject(faults.rate_limited(0.01))
    seen = await client.ask([client.user("2 + 2")])  # by the client itself, as it is told to
    assert (seen.text, len(at.puter.chats)) == ("2 + 2 = 4", 2)


@feature("what may be billed is not asked again")
async def once(at: Endpoint, client: Any) -> None:
    for fault in (faults.lost_answer(), faults.cut_body(), faults.status(500)):
        at.puter.clear_requests()
        at.puter.inject(fault)
        error = await fails(client, "InternalServerError", [client.user("Hello!")])
        assert error.response.headers["x-should-retry"] == "false"
        assert len(at.puter.chats) == 1


@feature("an error in the midst of a stream")
async def broken(at: Endpoint, client: Any) -> None:
    at.puter.reply_with(StreamError(after=2, message="the vendor failed"))
    error = await fails(client, "APIError", [client.user("Hello!")], stream=True)
    assert "the vendor failed" in str(error)
    assert len(at.puter.chats) == 1


@feature("leaving a stream ends it at Puter")
async def left(at: Endpoint, client: Any) -> None:
    only(client, OpenAI, Anthropic)
    at.puter.reply_with(Reply(chunks=["one ", "two"], gate=Gate()))
    stream = await client.begin([client.user("Count")])
    _ = await anext(stream) if hasattr(stream, "__anext__") else next(stream)
    assert at.puter.running_now == 1
    await now(stream.close())
    until(lambda: at.puter.running_now == 0, "Puter still answers")


# ---------------------------------------------------------------- the table


class Matrix:
    """An endpoint, and each client once: their making takes longer than a chat."""

    def __init__(self) -> None:
        self._at = Endpoint()
        self._loop = asyncio.new_event_loop()
        self._clients = {name: kind(self._at, door) for name, (kind, door) in CLIENTS.items()}

    def outcome(self, name: str, column: str) -> str:
        """Carry out one cell: "✓", "n/a" where the client has no such thing; else it raises."""
        self._at.reset()
        client = self._clients[column]
        client.model = client.usual
        try:
            self._loop.run_until_complete(FEATURES[name](self._at, client))
        except Absent:
            return "n/a"
        return "✓"

    def outcomes(self) -> tuple[dict[str, dict[str, str]], list[str]]:
        """All cells, by feature and client, and what is wrong."""
        found: dict[str, dict[str, str]] = {}
        wrong: list[str] = []
        for name in FEATURES:
            found[name] = {}
            for column in CLIENTS:
                try:
                    found[name][column] = self.outcome(name, column)
                except Exception as error:  # noqa: BLE001 - the other cells count as well
                    last = traceback.extract_tb(error.__traceback__)[-1]
                    told = f"{type(error).__name__}: {error}"[:500]
                    wrong.append(f"{name} x {column}: line {last.lineno}: {told}")
        return found, wrong

    def close(self) -> None:
        for client in self._clients.values():
            self._loop.run_until_complete(client.close())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
        self._at.stop()


def table(found: dict[str, dict[str, str]]) -> list[str]:
    lines = [f"| | {' | '.join(CLIENTS)} |", "|---" * (len(CLIENTS) + 1) + "|"]
    return lines + [
        f"| {name} | {' | '.join(cells[one] for one in CLIENTS)} |" for name, cells in found.items()
    ]


def table_in(page: str) -> dict[str, dict[str, str]]:
    """The outcomes on the page, by feature and client."""
    head, _, *rows = (line[1:-1].split("|") for line in page.split(MARK)[1].strip().splitlines())
    names = [one.strip() for one in head[1:]]
    return {
        name.strip(): dict(zip(names, map(str.strip, cells), strict=True)) for name, *cells in rows
    }


def main() -> int:
    """Carry out all cells; print those that are wrong, or write the page."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    matrix = Matrix()
    found, wrong = matrix.outcomes()
    matrix.close()
    told = [*wrong, f"{len(FEATURES) * len(CLIENTS)} cells, {len(wrong)} wrong"]
    sys.stdout.write("\n".join(told) + "\n")
    if options.write and not wrong:
        parts = PAGE.read_text("utf-8").split(MARK)
        parts[1] = "\n" + "\n".join(table(found)) + "\n"
        PAGE.write_text(MARK.join(parts), "utf-8")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
