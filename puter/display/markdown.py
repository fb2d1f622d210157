"""A model's text as Markdown that runs nothing and fetches nothing.

Notebooks trust what a cell that was run here puts out: JupyterLab takes HTML in Markdown into its
page as it stands, event handlers included, and so does nbconvert. So nothing is left to them. What
comes out has no HTML but tags without attributes and those made here, no image, no link that runs
code and no formula that makes one, and it has none even where a frontend sees text in what was
taken for code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from puter.display.tables import FORMULAS

_SUSPECT = re.compile(
    r"<(?!/?(?:b|br|em|hr|i|kbd|s|strong|sub|sup|u) ?/?>)(?=[a-z/!?])"  # a tag, or a comment
    r"|(?<!!)!+(?=\[)"  # an image, which is loaded unasked: its address may carry a secret away
    r"|(?<=javascript)(?=\\?:[^ \t\n])"  # a link that runs code: other spaces do not end it
    rf"|{FORMULAS}"
    r"|&(?=#|bsol;|colon;|tab;|newline;)",  # what hides these
    re.IGNORECASE,
)
_INSTEAD = {"<": "&lt;", "!": "", "&": "&amp;", "": "\u2060"}
"""An image becomes a link; an invisible sign comes before the colon, or the name of a command."""
_SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""Images that frontends show out of Markdown."""
_FENCE = re.compile(r"([ \t]*)(`{3,}(?!`)|~{3,}(?!~))(?=[^`]*\Z)[ \t]*([\w+#.-]*)[^`]*")
_PARAGRAPH = re.compile(r"(\n[ \t]*\n)")
_MATH = re.compile(r"(\$\$[^$]+\$\$|\$[^$\n]+\$)")
_PUNCTUATION = re.compile(r"[\t\n!-/:-@\[-`{-~]")


class Picture(Protocol):
    """An ``Image``."""

    url: str | None

    @property
    def mime_type(self) -> str: ...
    def data_uri(self) -> str: ...
    def _in_memory(self) -> bytes | None: ...


def safe_markdown(text: str) -> str:
    r"""The text, without anything in it that a notebook would run or load.

    Code that looks like it is written as HTML, so that it shows as it is.

    Examples:
        >>> safe_markdown("**Hi** <script>alert(1)</script>, ![cat](https://example.org/?secret)")
        '**Hi** &lt;script>alert(1)&lt;/script>, [cat](https://example.org/?secret)'
        >>> safe_markdown("A list: `<ul>`")
        'A list: <code>&#60;ul&#62;</code>'
    """
    if not _SUSPECT.search(text):
        return text
    done: list[str] = []
    prose: list[str] = []
    lines = iter(text.split("\n"))
    for line in lines:
        fence = _FENCE.fullmatch(line)
        if fence is None:
            prose.append(line)
            continue
        done += _prose(prose)
        prose = []
        done += _block(fence, lines)
    return "\n".join(done + _prose(prose))


def picture(image: Picture) -> str:
    """An image of a reply: shown if it came with it, else its address as a link."""
    data = image._in_memory()
    if data is not None and image.mime_type in _SHOWN:
        return f"![image]({image.data_uri()})"
    return safe_markdown(f"[image]({image.url})" if image.url else repr(image))


def _block(fence: re.Match[str], lines: Iterator[str]) -> list[str]:
    """A fenced block up to its end; one that is still being written may have none yet."""
    indent, ticks, language = fence.groups()
    whole, code = [fence[0]], []
    for line in lines:
        whole.append(line)
        end = line.strip()
        if end.startswith(ticks) and not end.strip(ticks[0]):
            break
        code.append(line.removeprefix(indent))
    if not _SUSPECT.search("\n".join(whole)):
        return whole
    name = f' class="language-{language}"' if language else ""
    return [f"{indent}<pre><code{name}>{_escaped(chr(10).join(code))}</code></pre>", ""]


def _prose(lines: list[str]) -> list[str]:
    if not lines:
        return []
    return ["".join(_paragraph(one) for one in _PARAGRAPH.split("\n".join(lines)))]


def _paragraph(text: str) -> str:
    """Text and the code in it, which stands between two rows of backticks of one length."""
    rows = [(row.start(), row.end()) for row in re.finditer("`+", text)]
    of_length: dict[int, list[tuple[int, int]]] = {}
    for row in reversed(rows):
        of_length.setdefault(row[1] - row[0], []).append(row)
    done, at = "", 0
    for start, end in rows:
        same = of_length[end - start]
        while same and same[-1][0] <= start:
            same.pop()
        if start < at or not same:
            continue
        code, after = text[end : same[-1][0]], same[-1][1]
        span = (
            f"<code>{_escaped(code.strip())}</code>" if _SUSPECT.search(code) else text[start:after]
        )
        done, at = done + _text(text[at:start]) + span, after
    return done + _text(text[at:])


def _text(text: str) -> str:
    parts = _MATH.split(text)
    return "".join(
        _SUSPECT.sub(_in_math if number % 2 else _in_text, part)
        for number, part in enumerate(parts)
    )


def _in_text(suspect: re.Match[str]) -> str:
    return _INSTEAD[suspect[0][:1]]


def _in_math(suspect: re.Match[str]) -> str:
    return "< " if suspect[0] == "<" else _in_text(suspect)  # no entities are read there


def _escaped(code: str) -> str:
    """In one line, and without a sign that means something in Markdown."""
    return _PUNCTUATION.sub(lambda sign: f"&#{ord(sign[0])};", code)
