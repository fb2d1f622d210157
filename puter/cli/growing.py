"""Markdown that grows on a terminal.

Blocks that are complete are printed once and scroll away as any text does. Only the last one, which
may still change, is drawn again and again, and no more of it than the screen holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import CodeBlock, Markdown, MarkdownElement
from rich.segment import Segment
from rich.syntax import Syntax
from rich.text import Text

from puter.cli.text import printable

if TYPE_CHECKING:
    from typing_extensions import Self

_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
_OUTLINE = MarkdownIt("commonmark", {"html": False}).enable("table").disable("inline")
"""Finds blocks, not what is in them, which may take a hundred times as long."""
_LONGEST = 20_000
"""Characters of a block that is formatted: text made to be slow takes seconds for more."""


class _Code(CodeBlock):
    """Code in the terminal's own colours, to be copied: nothing is before it."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Syntax(str(self.text).rstrip(), self.lexer_name, theme=self.theme, word_wrap=True)


class ModelMarkdown(Markdown):
    """Markdown as models write it: lines end where they end, tags are text, links show where to."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "fence": _Code,
        "code_block": _Code,
    }

    def __init__(self, text: str) -> None:
        super().__init__("", code_theme="ansi_dark", hyperlinks=False)
        self.markup = text
        self.parsed: list[Token] = _PARSER.parse(text)
        for token in self.parsed:
            for one in token.children or ():
                one.content = printable(one.content)  # what was written as &#x202e; is not yet
                if one.type == "softbreak":
                    one.type = "hardbreak"


class Growing:
    """An answer on a terminal that grows; whole when left, however it is left.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rest = ""  # the last block, which may still change
        self._printed = False
        self._live = Live(
            "",
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="visible",
        )

    def add(self, text: str) -> None:
        """More of the answer."""
        self._rest += text

    def draw(self) -> None:
        """Show what there is."""
        *complete, self._rest = _blocks(self._rest)
        for block in complete:
            self._print(block)
        end = max(self._console.height - 2, 1)
        self._live.update(_Block(self._rest, after=self._printed, end=end), refresh=True)

    def _print(self, block: str) -> None:
        if block.strip():
            self._console.print(_Block(block, after=self._printed))
            self._printed = True

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.update(Text())
        self._live.stop()
        for block in _blocks(self._rest):
            self._print(block)


def _blocks(text: str) -> list[str]:
    """Its paragraphs, lists, tables and so on, one after the other."""
    starts = [
        token.map[0]
        for token in _OUTLINE.parse(text)
        if token.level == 0 and token.nesting >= 0 and token.map
    ]
    lines = text.split("\n")
    ends = [*starts[1:], len(lines)]
    return ["\n".join(lines[a:b]) for a, b in zip([0, *starts[1:]], ends, strict=True)] or [text]


class _Block:
    """A block on the terminal: with a line before it if something is above, or its end alone."""

    def __init__(self, text: str, *, after: bool, end: int = 0) -> None:
        self._text, self._after, self._end = text, after, end

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        formatted = len(self._text) <= _LONGEST
        shown = ModelMarkdown(self._text) if formatted else Text(self._text)
        lines = console.render_lines(shown, options, pad=False)
        for place in (0, -1):  # lists begin with an empty line, tables end with one
            while lines and not "".join(segment.text for segment in lines[place]).strip():
                del lines[place]
        if self._after:
            lines.insert(0, [])
        for line in lines[-self._end :]:
            yield from line
            yield Segment.line()
