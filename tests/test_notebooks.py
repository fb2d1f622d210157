"""What notebooks show: safe Markdown, tables, streams that grow; and a real kernel."""

from __future__ import annotations

import copy
import html.parser
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbclient import NotebookClient

import puter
from puter import AccountUsage, ChatReply, Image, Model, ModelList, OcrText, Transcript, Usage
from puter.display import live, tables
from puter.display.markdown import safe_markdown
from puter.engine.ledger import Ledger
from puter.money import amount
from puter.types.media import Audio, Video
from tests.door import CUT, USAGE, Door, shut, step, stream_answer

EXAMPLE = Path(__file__).parents[1] / "examples" / "notebook.ipynb"
EVIL = "<script>alert(1)</script>"
LINK = "$\\href{java\nscript:alert(1)}{x}$"
PNG = "data:image/png;base64,iVBORw0KGgo="

# ------------------------------------------------------------ Markdown of models


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**Hi**, `x < y`, a <b>bold</b><br>word & more!", None),
        ("```python\nif a < b:\n    print('!')\n```", None),
        (EVIL, "&lt;script>alert(1)&lt;/script>"),
        ("<b onclick=x>", "&lt;b onclick=x>"),
        ("<!-- x --><?x?>", "&lt;!-- x -->&lt;?x?>"),
        ("<https://onmouseover=x>", "&lt;https://onmouseover=x>"),
        ("![a](https://e.org/?s) !![b](c)", "[a](https://e.org/?s) [b](c)"),
        (
            "[a](javascript:x) [b](JavaScript\\:x)",
            "[a](javascript\u2060:x) [b](JavaScript\u2060\\:x)",
        ),
        ("[a](javascript:\u00a0x)", "[a](javascript\u2060:\u00a0x)"),
        ("JavaScript: the language", None),
        ("$x$ is $\\frac{a}{b}$, \\hrefs, \\displaystyle", None),
        ("$\\href{java\nscript:x}{a}$", "$\\\u2060href{java\nscript:x}{a}$"),
        ("\\\\(\\cssId{a}{b}\\\\) \\Style{a}", "\\\\(\\\u2060cssId{a}{b}\\\\) \\\u2060Style{a}"),
        ("&dollar;&bsol;url{a}&dollar;", "&dollar;&amp;bsol;url{a}&dollar;"),
        ("`\\class{a}`", "<code>&#92;class&#123;a&#125;</code>"),
        ("[a](&#106;avascript&colon;x)", "[a](&amp;#106;avascript&amp;colon;x)"),
        ("$a <b$, a <c", "$a < b$, a &lt;c"),
        ("`<p>` ``<p`>``", "<code>&#60;p&#62;</code> <code>&#60;p&#96;&#62;</code>"),
        ("`a\n\n<p>`", "`a\n\n&lt;p>`"),
        ("``` `<p>`", "``` <code>&#60;p&#62;</code>"),
        (
            "- A\n  ```c++\n  <p>\n    $a\n  ```\n- B",
            '- A\n  <pre><code class="language-c++">&#60;p&#62;&#10;  &#36;a</code></pre>\n\n- B',
        ),
        ("~~~\n<p>\n```", "<pre><code>&#60;p&#62;&#10;&#96;&#96;&#96;</code></pre>\n"),
        ("```c\nint x;\n```\n<p>", "```c\nint x;\n```\n&lt;p>"),
    ],
)
def test_markdown_of_a_model_runs_and_loads_nothing(text: str, shown: str | None) -> None:
    assert safe_markdown(text) == (text if shown is None else shown)
    assert ChatReply(text)._repr_markdown_() == (text if shown is None else shown)


PIECES = st.sampled_from(
    "<|<img src=x onerror=a>|!|![|[a](|)|javascript|:a|\\|&|#60;|&#60;|`|``|```|~~~|```html|$|$$"
    "|\\href{|\\htmlStyle|\u00a0|\n|\n\n| |  |- |b|</|/|>".split("|")
)
OURS = re.compile(r'</?(pre|code( class="language-[\w+#.-]*")?|b)>')


@given(st.lists(PIECES, max_size=30).map("".join))
def test_nothing_in_it_can_be_taken_for_html(text: str) -> None:
    # Whatever a frontend takes for code or math: the rules for these differ.
    shown = OURS.sub("", safe_markdown(text))
    assert not re.search(
        r"<[a-zA-Z/!?]|!\[|javascript\\?:[^ \t\n]|&#(?!\d+;)|&colon;|\\h[rt]", shown
    )
    assert "&#60;" not in re.sub(r"<code.*?</code>", "", safe_markdown(text))


def test_a_reply_shows_its_images_and_links_those_elsewhere() -> None:
    reply = ChatReply("Here:", images=(Image.of(PNG), Image.of("https://example.org/a.png")))
    assert reply._repr_markdown_() == (
        f"Here:\n\n![image]({PNG})\n\n[image](https://example.org/a.png)"
    )


def test_an_empty_reply_shows_what_it_is() -> None:
    assert ChatReply("")._repr_markdown_() is None


# ------------------------------------------------------------ tables


class Seen(html.parser.HTMLParser):
    """The tags of a page that are open, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.widths: list[int] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert {name for name, _ in attrs} <= {"style"}
        self.open.append(tag)
        self.tags.add(tag)
        self.widths += map(int, re.findall(r"width:(\d+)%", str(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


def ledger() -> Ledger:
    spent = Ledger()
    spent.record("chat", EVIL, Usage(1100, 70), Decimal("0.001"))
    spent.record("chat", "gpt-5-nano", Usage(11, 7), Decimal("0.004"))
    spent.record("txt2img", "gpt-image-2")
    return spent


SPENT = AccountUsage(
    spent=Decimal(5), remaining=Decimal(15), allowance=Decimal(20), by_model={EVIL: Decimal(5)}
)
IN_HTML: list[tuple[Any, list[str]]] = [
    (ledger(), [EVIL, "3 calls, 0.005 USD and 1 of unknown cost", "1,100", "0.004"]),
    (SPENT, [EVIL, "5 USD spent, 15 of 20 left", "of 20 USD"]),
    (
        ModelList([Model(EVIL, "x", input_price=Decimal(1), output_price=Decimal("2.50"))]),
        [EVIL, "1 model", "USD per million out", "2.5"],
    ),
    (ModelList([Model(EVIL, "x", unit_price=Decimal("0.04"), unit="1MP")]), [EVIL, "1MP", "0.04"]),
    (ModelList([Model(EVIL, "x")]), [EVIL, "\u2013"]),
    (ModelList(), ["0 models"]),
    (OcrText(EVIL), [EVIL]),
    (Transcript(EVIL), [EVIL]),
    (
        Transcript("Hi", segments=({"start": 0.0, "end": 1.5, "text": EVIL, "id": 1},)),
        [EVIL, "start", "1.5 s"],
    ),
]


@pytest.mark.parametrize(("value", "told"), IN_HTML)
def test_values_are_html_in_which_every_text_is_escaped(value: Any, told: list[str]) -> None:
    seen = Seen(value._repr_html_())
    assert "script" not in seen.tags
    for text in told:
        assert text in seen.text


def test_formulas_in_html_make_no_links() -> None:
    assert "$\\\u2060href{" in Seen(OcrText(LINK)._repr_html_()).text
    assert "\\href" not in Transcript("Hi", segments=({"text": LINK},))._repr_html_()


def test_bars_are_shares_of_the_largest() -> None:
    assert Seen(ledger()._repr_html_()).widths == [100, 25, 0]
    assert Seen(SPENT._repr_html_()).widths == [25, 100]


def test_a_long_list_is_cut_and_says_so() -> None:
    models = ModelList([Model(f"model-{n}", "x", output_price=Decimal(n)) for n in range(1050)])
    seen = Seen(models._repr_html_())
    assert "1050 models" in seen.text
    assert f"… and {1050 - tables.MOST_ROWS:,} more; find() narrows them down" in seen.text
    assert "model-39 " in seen.text
    assert "model-40 " not in seen.text
    assert "more" not in Seen(models[:40]._repr_html_()).text


def test_a_slice_of_models_is_a_list_of_models() -> None:
    models = ModelList([Model("a", "x"), Model("b", "x")])
    assert isinstance(models[1:], ModelList)
    assert models[1:] == [models[1]]


def test_a_conversation_shows_who_said_what() -> None:
    talk = Door("sync").client().conversation(system="Be brief.")
    talk.messages.extend(
        [
            {"role": "user", "content": [{"type": "text", "text": EVIL}, {"type": "image_url"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "function": {"name": "look", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "1", "content": "x" * 5000},
            {"role": "assistant", "content": [{"type": "tool_use", "name": "see", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "content": "It is red."}]},
        ]
    )
    text = Seen(talk._repr_html_()).text
    told = ["5 messages", "Be brief.", EVIL, "[image_url]", "→ look({})", "… and 1,000 more"]
    for one in [*told, "→ see({})", "It is red."]:
        assert one in text
    talk.messages.extend({"role": "user", "content": f"<{n}>"} for n in range(100))
    text = Seen(talk._repr_html_()).text
    assert "105 messages, the last 39:" in text
    assert "<99>" in text
    assert "<60>" not in text


def test_amounts_keep_what_they_are_worth() -> None:
    amounts = ["0", "12", "0.1234567", "0.00000145", "0.0000123456789", "-0.0000002", "1234.50"]
    assert [amount(Decimal(one)) for one in amounts] == [
        "0", "12", "0.123457", "0.00000145", "0.0000123457", "-0.0000002", "1,234.5",
    ]  # fmt: skip


def test_media_fit_the_page() -> None:
    url = 'https://example.org/a.webp?"&b'
    assert Image(url=url)._repr_html_() == (
        '<img src="https://example.org/a.webp?&quot;&amp;b" style="max-width:100%">'
    )
    assert Image.of(PNG)._repr_html_() is None
    assert Image.of(PNG)._repr_png_() == Image.of(PNG).bytes
    for player in (Audio(url=url)._repr_html_(), Video(url=url)._repr_html_()):
        assert player is not None
        assert "?&quot;&amp;b" in player
        assert "controls" in player


# ------------------------------------------------------------ streams


class Page:
    """Stands in for IPython: what is displayed, and each picture that took its place."""

    def __init__(self) -> None:
        self.pictures: list[dict[str, str]] = []

    def display(self, data: dict[str, str], *, raw: bool, display_id: bool) -> Page:
        assert raw
        assert display_id
        self.pictures.append(data)
        return self

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.pictures.append(data)

    @property
    def markdown(self) -> list[str]:
        return [one["text/markdown"] for one in self.pictures]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    import IPython.display

    page = Page()
    monkeypatch.setattr(IPython.display, "display", page.display)
    monkeypatch.setattr(live, "_shows_markdown", lambda: True)
    monkeypatch.setattr(live, "_SECONDS", 0)
    return page


@pytest.fixture(params=["sync", "async"])
def door(request: pytest.FixtureRequest) -> Door:
    return Door(request.param)


def text(*pieces: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": one} for one in pieces]


async def displayed(stream: Any) -> None:
    if hasattr(stream, "__anext__"):
        await stream.display()
    else:
        stream._ipython_display_()  # what a notebook calls


async def test_a_displayed_stream_grows_in_place(door: Door, page: Page) -> None:
    door.answers(stream_answer(*text("**Hel", "lo**", EVIL), USAGE))
    stream = await door(door.client(), "chat", "hi", stream=True)
    await displayed(stream)
    safe = "**Hello**&lt;script>alert(1)&lt;/script>"
    assert page.markdown == ["…", "**Hel", "**Hello**", safe, safe, safe]
    assert stream.reply.text == f"**Hello**{EVIL}"
    assert page.pictures[-1]["text/plain"] == repr(stream.reply)


async def test_an_answer_without_text_shows_what_it_is(door: Door, page: Page) -> None:
    call = {"type": "tool_use", "id": "1", "name": "look", "input": {}}
    door.answers(stream_answer(call, USAGE))
    await displayed(await door(door.client(), "chat", "hi", stream=True))
    assert page.pictures[0]["text/markdown"] == "…"
    assert page.pictures[-1].keys() == {"text/plain"}
    assert "tool_calls=['look']" in page.pictures[-1]["text/plain"]


async def test_redraws_are_few(door: Door, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_SECONDS", 3600)
    door.answers(stream_answer(*text(*"abcdefgh"), USAGE))
    await displayed(await door(door.client(), "chat", "hi", stream=True))
    assert page.markdown == ["…", "abcdefgh"]


async def test_what_was_read_before_is_shown_and_nothing_sent_again(door: Door, page: Page) -> None:
    door.answers(stream_answer(*text("Hel", "lo"), USAGE))
    stream = await door(door.client(), "chat", "hi", stream=True)
    assert await step(stream) == "Hel"
    await displayed(stream)
    assert (page.markdown[0], page.markdown[-1]) == ("Hel", "Hello")
    await displayed(stream)
    assert page.markdown[-2:] == ["Hello", "Hello"]
    assert len(door.sent) == 1


async def test_a_closed_stream_shows_what_came(door: Door, page: Page) -> None:
    door.answers(stream_answer(*text("Hel", "lo"), USAGE))
    stream = await door(door.client(), "chat", "hi", stream=True)
    await step(stream)
    await shut(stream)
    await displayed(stream)
    assert page.markdown == ["Hel", "Hel"]
    assert len(door.sent) == 1


async def test_what_came_before_a_failure_stays(door: Door, page: Page) -> None:
    door.answers(stream_answer(*text("Hel"), CUT))
    stream = await door(door.client(), "chat", "hi", stream=True)
    with pytest.raises(puter.PuterStreamError):
        await displayed(stream)
    assert page.markdown == ["…", "Hel", "Hel"]


async def test_an_interrupted_display_closes_the_stream(
    door: Door, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = stream_answer(*text("Hel", "lo"), USAGE)
    door.answers(answer)
    ai = door.client(max_concurrency=1)
    stream = await door(ai, "chat", "hi", stream=True)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(live.Live, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        await displayed(stream)
    assert answer.closed
    assert page.markdown == ["…", "Hel"]
    assert ai.chat_history == []


async def test_elsewhere_the_text_is_printed(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    door.answers(stream_answer(*text("Hel", "lo", " you"), USAGE))
    stream = await door(door.client(), "chat", "hi", stream=True)
    await step(stream)
    await displayed(stream)
    assert capsys.readouterr().out == "Hello you\n"


async def test_an_async_stream_says_how_to_go_on() -> None:
    door = Door("async")
    door.answers(stream_answer(*text("Hel", "lo"), USAGE))
    stream = await door.client().async_chat("hi", stream=True)
    await step(stream)
    assert stream._repr_markdown_() == "Hel\n\n*`await stream.display()` reads on.*"
    await stream.until_done()
    assert stream._repr_markdown_() == "Hello"


async def test_a_stream_says_how_far_it_is(door: Door) -> None:
    kind = "ChatStream" if door.kind == "sync" else "AsyncChatStream"
    door.answers(stream_answer(*text("Hel", "lo"), USAGE))
    ai = door.client()
    stream = await door(ai, "chat", "hi", "gpt-5-nano", stream=True)
    assert repr(stream) == f"<{kind} of gpt-5-nano, running, 0 characters so far>"
    await step(stream)
    assert repr(stream) == f"<{kind} of gpt-5-nano, running, 3 characters so far>"
    await shut(stream)
    assert repr(stream) == f"<{kind} of gpt-5-nano, ended early, 3 characters so far>"
    stream = await door(ai, "chat", "hi", stream=True)
    await displayed(stream)
    assert repr(stream).endswith("complete, 5 characters so far>")
    assert repr(object.__new__(type(stream))) == f"<{kind} not made>"


# ------------------------------------------------------------ a kernel

SERVED = """
import asyncio, warnings
from puter.testing import Gate, Hang, LocalPuter, Reply
warnings.simplefilter("error")
puter = LocalPuter().start()
ai = puter.client(max_concurrency=1)
ai.on("call.start", lambda event: print("asking"));
"""
CELLS = [
    "ai.chat('hi')",
    "await ai.async_chat('hi')",
    "ai.chat('hi', stream=True)",
    "await (await ai.async_chat('hi', stream=True)).display()",
]


class Kernel:
    """A kernel of Jupyter's, and what cells put out."""

    def __init__(self) -> None:
        from jupyter_client.manager import start_new_kernel

        self.manager, self.client = start_new_kernel(kernel_name="python3")

    def run(self, code: str, *, interrupt: str = "") -> tuple[list[dict[str, Any]], str]:
        """The contents of its outputs, and the name of its error; interrupted at an output."""
        told: list[dict[str, Any]] = []

        def tell(message: Any) -> None:
            if message["msg_type"] in ("display_data", "execute_result", "stream"):
                told.append(message["content"])
                if interrupt and interrupt in str(message["content"]):
                    self.manager.interrupt_kernel()

        reply = self.client.execute_interactive(code, output_hook=tell, timeout=30)
        return told, reply["content"].get("ename", "")

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    try:
        assert kernel.run(SERVED) == ([], "")
        yield kernel
    finally:
        kernel.stop()


@pytest.mark.parametrize("cell", [*CELLS, "await asyncio.sleep(0); ai.chat('hi')"])
def test_both_doors_work_in_a_cell_without_a_word(kernel: Kernel, cell: str) -> None:
    told, error = kernel.run(cell)
    assert error == ""
    assert "text/markdown" in told[-1]["data"]
    assert {one["name"] for one in told if "name" in one} == {"stdout"}


def test_a_task_that_holds_up_others_is_warned_of(kernel: Kernel) -> None:
    assert kernel.run("async def ask(): ai.chat('hi')\nawait asyncio.gather(ask())")[1] == (
        "PuterBlockingWarning"
    )


@pytest.mark.parametrize("cell", CELLS)
def test_interrupting_the_kernel_stops_a_call(kernel: Kernel, cell: str) -> None:
    kernel.run("ai.clear_chat_history(); puter.respond(lambda call: Hang())")
    _, error = kernel.run(cell, interrupt="asking")
    assert error in ("KeyboardInterrupt", "CancelledError")
    kernel.run("puter.respond(lambda call: 'Again')")
    told, error = kernel.run("ai.chat('hi'); len(ai.chat_history)")
    assert (told[-1]["data"]["text/plain"], error) == ("2", "")


def test_interrupting_a_stream_keeps_what_came(kernel: Kernel) -> None:
    kernel.run("ai.clear_chat_history(); gate = Gate()")
    kernel.run("puter.respond(lambda call: Reply(chunks=['Hel', 'lo'], gate=gate))")
    kernel.run("stream = ai.chat('hi', stream=True); next(stream)")
    told, error = kernel.run("stream", interrupt="Hel")
    assert error == "KeyboardInterrupt"
    assert told[-1]["data"]["text/markdown"] == "Hel"
    told, error = kernel.run("stream")
    assert told[-1]["data"]["text/markdown"] == "Hel"


# ------------------------------------------------------------ the example


def kinds(cell: Any) -> list[tuple[str, list[str]]]:
    return [(one.output_type, sorted(one.get("data", ()))) for one in cell.outputs]


def test_the_example_runs_and_puts_out_what_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: Any = nbformat.read(EXAMPLE, as_version=4)  # type: ignore[no-untyped-call]
    again = copy.deepcopy(stored)
    for cell in again.cells:
        cell.pop("outputs", None)
    monkeypatch.chdir(tmp_path)
    NotebookClient(again, kernel_name="python3", timeout=60).execute()
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    shown = [kinds(cell) for cell in code]
    assert shown == [kinds(cell) for cell in again.cells if cell.cell_type == "code"]
    assert {kind for cell in shown for _, types in cell for kind in types} == {
        "image/png", "text/html", "text/markdown", "text/plain",
    }  # fmt: skip
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
