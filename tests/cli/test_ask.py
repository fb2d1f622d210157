"""``puter-ai "prompt"``: where the prompt comes from, what is sent, what is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puter.testing import LocalPuter, Reply, faults
from puter.testing.samples import PNG
from tests.cli.conftest import Cli


def sent(server: LocalPuter) -> Any:
    return server.requests[-1].json["args"]


@pytest.mark.parametrize(
    ("words", "stdin", "prompt"),
    [
        (("Hello",), "", "Hello"),
        (("Say", "it", "in French"), "", "Say it in French"),
        (("Write a commit message",), "-old\n+new\n", "Write a commit message\n\n-old\n+new\n"),
        ((), "What is two and two?\n", "What is two and two?\n"),
        (("ask", "models"), "", "models"),
        (("Hello",), "  \n", "Hello"),
    ],
)
def test_the_prompt_is_the_words_and_then_what_is_piped_in(
    cli: Cli, signed_in: LocalPuter, words: tuple[str, ...], stdin: str, prompt: str
) -> None:
    done = cli(*words, stdin=stdin)
    assert (done.code, done.err) == (0, "")
    assert sent(signed_in)["messages"] == [{"role": "user", "content": prompt}]


@pytest.mark.parametrize(
    "words",
    [("-",), ("ask", "-"), ("-s", "Be brief.", "-"), ("-i", "cat.png", "-"),
     ("image", "-"), ("image", "-i", "cat.png", "-"), ("video", "-", "-i", "cat.png"),
     ("say", "-")],
)  # fmt: skip
@pytest.mark.parametrize("terminal", [False, True])
def test_a_dash_is_standard_input(
    cli: Cli, signed_in: LocalPuter, words: tuple[str, ...], terminal: bool
) -> None:
    Path("cat.png").write_bytes(PNG)
    done = cli(*words, stdin="A red boat", terminal=terminal)
    assert done.code == 0, done.err
    assert '"A red boat"' in json.dumps([one.json for one in signed_in.requests])


@pytest.mark.parametrize("command", ["ask", "image", "video"])
def test_a_dash_is_one_thing(cli: Cli, signed_in: LocalPuter, command: str) -> None:
    done = cli(command, "-i", "-", "-", stdin=PNG)
    assert (done.code, signed_in.requests) == (2, [])
    assert "one of them only" in done.err
    done = cli("-")
    assert (done.code, signed_in.requests) == (2, [])
    assert "There is no text" in done.err


@pytest.mark.parametrize("command", ["image", "video"])
def test_what_is_piped_in_is_heeded_beside_an_image(
    cli: Cli, signed_in: LocalPuter, command: str
) -> None:
    Path("cat.png").write_bytes(PNG)
    assert cli(command, "-i", "cat.png", stdin="Make it blue").code == 0
    assert '"Make it blue"' in json.dumps([one.json for one in signed_in.requests])


def test_options_go_to_the_model(cli: Cli, signed_in: LocalPuter) -> None:
    words = ("-m", "gpt-4.1", "-s", "Be brief.", "--temperature", "0.5", "--max-tokens", "9")
    assert cli(*words, "--option", "top_p=0.1", "--option", "provider=a", "Hi").code == 0
    args = sent(signed_in)
    assert args["model"] == "gpt-4.1"
    assert [one["content"] for one in args["messages"]] == ["Be brief.", "Hi"]
    assert args["temperature"] == 0.5
    assert args["max_tokens"] == 9
    assert (args["top_p"], args["provider"]) == (0.1, "a")
    assert args["stream"] is True
    assert cli("--no-stream", "Hi").code == 0
    assert not sent(signed_in).get("stream")


def test_images_and_files_are_shown(cli: Cli, signed_in: LocalPuter) -> None:
    Path("cat.png").write_bytes(PNG)
    Path("notes.txt").write_text("Bread, milk")
    words = ("What is this?", "-i", "cat.png", "-i", "https://example.com/x.png", "-f", "notes.txt")
    assert cli(*words).code == 0
    content = json.dumps(sent(signed_in)["messages"][0]["content"])
    assert "data:image/png;base64," in content
    assert "https://example.com/x.png" in content
    assert "Bread, milk" in content
    assert cli("What is this?", "-i", "-", stdin=PNG).code == 0
    assert "data:image/png;base64," in json.dumps(sent(signed_in)["messages"][0]["content"])
    done = cli("What?", "-i", "-", "-f", "-", stdin=PNG)
    assert (done.code, "one of them only" in done.err) == (2, True)
    done = cli("What?", "-i", "notes.txt")
    assert (done.code, done.err.endswith("Was -f meant?\n")) == (2, True)


def test_what_is_piped_in_and_no_text_is_not_sent(cli: Cli, signed_in: LocalPuter) -> None:
    done = cli("What is this?", stdin=PNG)
    assert (done.code, signed_in.requests) == (2, [])
    assert "goes along with -i - or -f -" in done.err


def test_json_has_text_model_usage_and_cost(cli: Cli, signed_in: LocalPuter) -> None:
    signed_in.reply_with("Paris é\x9b2J")
    done = cli("--json", "Capital of France?")
    assert done.json["text"] == "Paris é\x9b2J"
    assert done.json["model"] == "gpt-5-nano"
    assert done.json["usage"]["output_tokens"] > 0
    assert float(done.json["cost"]) > 0
    assert "é" in done.out  # a pipe in UTF-8


def test_the_cost_is_told_on_standard_error(cli: Cli, signed_in: LocalPuter) -> None:
    signed_in.reply_with("Paris")
    done = cli("--cost", "Capital of France?")
    assert done.out == "Paris\n"
    assert done.err.startswith("puter-ai: 0.0000")
    assert " USD, " in done.err
    assert done.err.endswith(" out\n")
    signed_in.inject(faults.insufficient_funds(), operation="chat", times=1)
    refused = cli("--cost", "Capital of France?")
    signed_in.reply_with("Paris, it is said")
    signed_in.inject(faults.cut_body(), operation="chat", times=1)
    cut = cli("--cost", "Capital of France?")
    assert (cut.code, refused.code) == (1, 1)
    assert cut.err.startswith("puter-ai: cost not known")
    assert refused.err.startswith("puter-ai: 0 USD\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--option", "temprature=1"),
            "There is no option 'temprature'. Did you mean 'temperature'?",
        ),
        (("--option", "temperature"), "'temperature' is not NAME=VALUE"),
        (("--temperature", "hot"), "'hot' is not a valid float"),
        (("--modle", "x"), "No such option '--modle'"),
    ],
)
def test_wrong_options_send_nothing(
    cli: Cli, signed_in: LocalPuter, words: tuple[str, ...], told: str
) -> None:
    done = cli("Hi", *words)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert signed_in.requests == []


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (("modles",), True),
        (("modles", "--provider", "claude"), True),
        (("modles", "are", "what?"), False),
        (("Hello",), False),
    ],
)
def test_a_misspelt_command_is_no_prompt(
    cli: Cli, signed_in: LocalPuter, words: tuple[str, ...], refused: bool
) -> None:
    done = cli(*words, terminal=True)
    assert done.code == (2 if refused else 0)
    assert ("Did you mean 'models'? To ask a model: puter-ai ask modles." in done.err) == refused
    assert len(signed_in.requests) == (0 if refused else 1)


def test_what_came_before_an_error_stays_and_the_error_is_told(
    cli: Cli, signed_in: LocalPuter
) -> None:
    failure = {"type": "error", "message": "The vendor\x1b[2J is gone"}
    signed_in.reply_with(Reply(chunks=["Once upon ", "a time", failure]))
    done = cli("A story")
    assert (done.code, done.out) == (1, "Once upon a time\n")
    assert "\x1b" not in done.err
    assert done.err.startswith("puter-ai: ")
    assert done.err.count("\n") == 1


def test_a_pipe_gets_the_answer_as_it_is(cli: Cli, signed_in: LocalPuter) -> None:
    signed_in.reply_with("**bold** [red]x[/red]")
    assert cli("Hi").out == "**bold** [red]x[/red]\n"
