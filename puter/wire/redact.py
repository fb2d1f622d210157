"""Taking secrets out of text and decoded JSON before a person may see them.

A secret is found however it is written: plainly, in escapes of JSON, Python, URLs and HTML, in
UTF-8. Each character of a text is looked at a fixed number of times, whatever the text is.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from puter.process import late
from puter.secret import Secret

if TYPE_CHECKING:
    import html
else:
    html = late("html")

MARK = "<redacted>"
SHORTEST = 4
"""Characters of a secret at least: a shorter one stands in every text."""
LONGEST = 2**16
"""Characters that are looked at of a text: it is cut later, for people to read."""
_PART = 2**14
"""The same of a text in decoded JSON."""
_PART_SHOWN = 1000
"""Characters of a text in decoded JSON at most."""
_ROOM = 2**17
"""Characters that are looked at of decoded JSON; a value costs ``_VALUE`` of them and its text."""
_VALUE = 64
_MORE = "\u2026"
"""Stands for what was cut off."""

Forms: TypeAlias = tuple[str, ...]
"""Secrets as they stand in a text whose escapes are resolved."""

# Texts of patterns: re compiles and keeps those that are used, and few calls fail.
_ESCAPE = (
    r"(?a)\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|U000([0-9a-fA-F]{5})|(?P<octal>[0-3][0-7]{2}))?"
    r"|%(?:25)*([0-9a-fA-F]{2})"  # of a URL, and of a URL in one
    r"|&(?:#(?:[xX][0-9a-fA-F]{1,9}|[0-9]{1,9});?|\w{2,31};)"  # of HTML
)
_PASSES = 4
"""Times that escapes are resolved, for those within others."""
_LETTERS = str.maketrans("\b\t\n\f\r+", "btnfr ")
r"""As what is left of ``\n`` when backslashes go; a form writes a blank as ``+``."""
_WORD = r"(?a)[\w.-]+"
_ADDRESS = r"[^\s\"'<>]+"
_AFTER_SCHEME = r"(?i:bearer|basic) ([^\s\"',;]+)"
_PRIVATE = (
    "token auth_token access_token refresh_token reauth_token otp_jwt_token password anti_csrf "
    "authorization proxy_authorization api_key apikey cookie set_cookie secret recovery_code otp"
).split()
_PRIVATE_KEYS = frozenset(_PRIVATE)
_MEMBER = rf"""["'](?i:{"|".join(_PRIVATE)})["'] ?: ?["']([^"']+)"""

_SIGNING = (
    r"(?i:[?&](?:x-(?:amz|goog|ms)-[\w-]{1,40}|(?:[\w-]{0,40}[_-])?(?:sig|key|jwt|auth|policy)"
    r"|[\w-]{0,40}(?:signature|token|secret|password|credential|apikey)))=([^&#]+)"
)


def forms_of(secrets: Iterable[Secret | str]) -> Forms:
    """What to look for."""
    found: set[str] = set()
    for one in secrets:
        text = one.reveal() if isinstance(one, Secret) else one
        for spelled in {text} if text.isascii() else _spellings(text):
            for form in (spelled.replace("\\", ""), _plain(spelled)[0]):
                found.add(form.translate(_LETTERS))
        if len(text) >= SHORTEST:
            raw = text.encode("utf-8", "surrogatepass")
            base64_form = base64.b64encode(raw).decode().rstrip("=")
            found |= {raw.hex(), base64_form.translate(_LETTERS)}
    return tuple(sorted((one for one in found if len(one) >= SHORTEST), key=len, reverse=True))


def _spellings(text: str) -> set[str]:
    """It, its bytes as URLs and Python escape them, and its UTF-16 as JSON does."""
    units = text.encode("utf-16-be", "surrogatepass")
    pairs = (int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2))
    raw = text.encode("utf-8", "surrogatepass").decode("latin-1")
    return {text, raw, "".join(map(chr, pairs))}


def login_form(name: str, password: Secret) -> Secret:
    """Name and password as ``Basic`` authentication writes them."""
    login = f"{name}:{password.reveal()}".encode("utf-8", "surrogatepass")
    return Secret(base64.b64encode(login).decode().rstrip("="))


class Redactor:
    """Takes out these secrets, and what looks like a token or a password."""

    def __init__(self, secrets: Iterable[Secret | str] = ()) -> None:
        self._forms = forms_of(secrets)

    def __call__(self, value: Any, limit: int = LONGEST) -> Any:
        """Text, or dicts and lists of it, without secrets; what is long is cut.

        It takes the same bounded time and memory, however large the value is.

        Args:
            value: What may be shown.
            limit: Characters of a text at most; it is cut when nothing secret is left in it.

        Examples:
            >>> Redactor()({"code": "reauth_required", "reauth_token": "abc"})
            {'code': 'reauth_required', 'reauth_token': '<redacted>'}
        """
        if isinstance(value, str):
            return _cut(value, self._forms, limit)
        if isinstance(value, bytes):
            text = value[: LONGEST + 1].decode("latin-1")
            return _cut(text, self._forms, limit).encode("latin-1", "replace")
        return self._decoded(value, _Room()) if isinstance(value, (dict, list)) else value

    def whole(self, value: Any) -> Any:
        """Text or decoded JSON of any size without secrets, and otherwise as it is.

        Where the call above leaves nothing of a URL's query, this one takes out what signs it.

        Examples:
            >>> Redactor().whole("https://example.org/a?page=2&X-Amz-Signature=abc")
            'https://example.org/a?page=2&X-Amz-Signature=<redacted>'
        """
        if isinstance(value, str):
            return _hidden(value, self._forms, in_address=_in_signed)
        if isinstance(value, dict):
            return {
                self.whole(key): MARK if _is_private(key, one) else self.whole(one)
                for key, one in value.items()
            }
        return [self.whole(one) for one in value] if isinstance(value, list) else value

    def _decoded(self, value: Any, room: _Room) -> Any:
        """Decoded JSON as far as there is room for it."""
        room.left -= _VALUE
        if isinstance(value, str):
            room.left -= min(len(value), _PART)
            return _cut(value, self._forms, _PART_SHOWN, _PART)
        if isinstance(value, dict):
            fields: dict[Any, Any] = {}
            for key, one in value.items():
                if room.left <= 0:
                    return {**fields, _MORE: _MORE}
                name = self._decoded(key, room)
                fields[name] = MARK if _is_private(key, one) else self._decoded(one, room)
            return fields
        if isinstance(value, list):
            items: list[Any] = []
            for one in value:
                if room.left <= 0:
                    return [*items, _MORE]
                items.append(self._decoded(one, room))
            return items
        return value


class _Room:
    """What is left to look at of decoded JSON."""

    def __init__(self) -> None:
        self.left = _ROOM


def _is_private(key: Any, value: Any) -> bool:
    name = str(key)[:_VALUE].lower().replace("-", "_")
    return name in _PRIVATE_KEYS and isinstance(value, (str, int)) and not isinstance(value, bool)


def _cut(text: str, forms: Forms, limit: int, seen: int = LONGEST) -> str:
    """The beginning of a text of any length, of which so many characters are looked at.

    What stands at the end of the part that is looked at, and may be half a secret, is not shown.
    """
    if len(text) <= seen:
        hidden = _hidden(text, forms)
    else:
        doubtful = 8 * max(map(len, forms), default=1)  # characters of the longest escapes
        hidden = _hidden(text[:seen], forms, max(seen - doubtful, 0)) + _MORE
    return hidden if len(hidden) <= limit else hidden[: limit - 1] + _MORE


Spans: TypeAlias = Iterator[tuple[int, int]]
"""Where something begins and ends."""


def _hidden(
    text: str,
    forms: Forms,
    end: int | None = None,
    in_address: Callable[[str, int, int], Spans] | None = None,
) -> str:
    """The text up to ``end`` with marks in it."""
    plain, passes = _plain(text)
    kept, shown = [], 0
    for place in _merged(_places(plain, forms, in_address or _in_address)):
        start, stop = place
        for at, origin in reversed(passes):
            start, stop = _before(start, stop, at, origin)
        if end is not None and start >= end:
            break
        kept += [text[shown:start], MARK]
        shown = stop
    return "".join([*kept, text[shown:end]]) if kept or end is not None else text


Pieces: TypeAlias = tuple[list[int], list[int]]
"""Where pieces of a text stand in it without escapes, and in itself.

They are in turn parts without escapes and single escapes.
"""


def _plain(text: str) -> tuple[str, list[Pieces]]:
    """The text without escapes and escapes within them, and its pieces at each pass."""
    passes: list[Pieces] = []
    for _ in range(_PASSES):
        resolved, pieces = _resolved(text)
        if resolved == text:
            break
        text = resolved
        passes.append(pieces)
    return text, passes


def _before(start: int, stop: int, at: list[int], origin: list[int]) -> tuple[int, int]:
    """Where a part of the text stood before a pass."""
    first, last = bisect_right(at, start) - 1, bisect_right(at, stop - 1) - 1
    begin = origin[first] + (0 if first % 2 else start - at[first])
    return begin, origin[last + 1] if last % 2 else origin[last] + (stop - at[last])


def _resolved(text: str) -> tuple[str, Pieces]:
    """The text without its outer escapes."""
    parts: list[str] = []
    at, origin, size, end = [0], [0], 0, 0
    for found in re.finditer(_ESCAPE, text):
        start = found.start()
        code = found[found.lastindex] if found.lastindex else ""
        char = chr(int(code, 8 if found["octal"] else 16)) if code else ""
        if found[0][0] == "&":
            char = html.unescape(found[0])
            if len(char) > 1:
                continue  # it is none
        parts += [text[end:start], char]
        size += start - end
        at += [size, size + len(char)]
        end, size = found.end(), size + len(char)
        origin += [start, end]
    return "".join([*parts, text[end:]]) if parts else text, (at, origin)


def _merged(spans: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    begin = end = 0
    for start, stop in sorted(spans):
        if start > end:
            if end:
                yield begin, end
            begin = start
        end = max(end, stop)
    if end:
        yield begin, end


def _places(text: str, forms: Forms, in_address: Callable[[str, int, int], Spans]) -> Spans:
    """Where something secret begins and ends."""
    spelled = text.translate(_LETTERS)
    for form in forms:
        place = spelled.find(form)
        while place >= 0:
            yield place, place + len(form)
            place = spelled.find(form, place + len(form))
        yield from _half(spelled, form)
    for start, stop in _runs(text, "eyJ", _WORD):  # a JWT, whole or not
        if "." in text[start:stop] and stop - start > 12:
            yield start, stop
    for start, stop in _runs(text, "://", _ADDRESS):
        yield from in_address(text, start + 3, stop)
    for found in re.finditer(_AFTER_SCHEME, text):
        if found[0][:2].lower() == "be" or _is_login(found[1]):
            yield found.span(1)
    for found in re.finditer(_MEMBER, text):
        yield found.span(1)


def _half(text: str, form: str) -> Iterator[tuple[int, int]]:
    """The beginning of a secret at the end of a text that came incomplete."""
    head = form[: 2 * SHORTEST]
    place = text.find(head, max(len(text) - len(form) - _TORN_OFF, 0))
    while place >= 0:
        end = place + _agreement(text[place:], form)
        if re.compile(_TORN).fullmatch(text, end):
            yield place, end
            return
        place = text.find(head, place + 1)


def _runs(text: str, begin: str, run: str) -> Iterator[tuple[int, int]]:
    """The runs that begin with these characters; none begins within another."""
    pattern, place = re.compile(run), text.find(begin)
    while place >= 0:
        found = pattern.match(text, place)
        end = found.end() if found else place + len(begin)
        yield place, end
        place = text.find(begin, end)


def _in_address(text: str, start: int, end: int) -> Spans:
    """User and password of a URL, and the query that signs it."""
    yield from _login(text, start, end)
    query = text.find("?", start, end)
    if query >= 0 and "=" in text[query:end]:
        yield query + 1, end


def _in_signed(text: str, start: int, end: int) -> Spans:
    """User and password of a URL, and the values in its query that sign it."""
    yield from _login(text, start, end)
    for found in re.compile(_SIGNING).finditer(text, start, end):
        yield found.span(1)


def _login(text: str, start: int, end: int) -> Spans:
    """User and password of a URL."""
    host_end = next((one for one in (text.find("/", start, end),) if one >= 0), end)
    if (at := text.rfind("@", start, host_end)) > start:
        yield start, at


def _is_login(word: str) -> bool:
    """Whether it is user and password in base64."""
    try:
        return b":" in base64.b64decode(word + "=" * (-len(word) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


def _agreement(one: str, other: str) -> int:
    """How many characters they have in common at their beginnings."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


_TORN_OFF = 12
_TORN = (
    r"(?:u[0-9a-fA-F]{0,3}|x[0-9a-fA-F]?|U0{0,3}[0-9a-fA-F]{0,4}|[0-3][0-7]?|%(?:25)?[0-9a-fA-F]?"
    r"|&#?\w{0,9})?['\")]{0,2}"
)
"""What may be left there of an escape, and the quotes around the text."""

_CONTROL = r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
_CONTROL_IN_LINES = _CONTROL.replace(r"\x00-\x1f", r"\x00-\x08\x0b-\x1f")


def one_line(text: str) -> str:
    """The text with control characters escaped, so that it is one line of a log."""
    return re.sub(_CONTROL, _escaped, text)


def printable(text: str) -> str:
    """The text with control characters escaped, but for line breaks and tabs."""
    return re.sub(_CONTROL_IN_LINES, _escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
