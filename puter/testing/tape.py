"""The file of a ``Cassette``: requests and answers as JSON that people read and compare."""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from puter.exceptions import PuterError, repr_of
from puter.secret import Secret
from puter.wire.http import HttpReply, is_json, mime_type
from puter.wire.redact import MARK, Redactor

VERSION = 1
"""Of the file."""
NDJSON = "application/x-ndjson"

Form = dict[str, Any]
"""A request, or an answer, as it stands in the file."""

_HEADERS = re.compile(r"content-(?:type|disposition)|retry-after|(?:x-)?request-id|x-ratelimit-.*")
"""Headers of an answer that the file keeps."""
_LOCAL = re.compile(r"(?<=://)(127\.0\.0\.1|localhost|\[::1\])(?::\d+)?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN = 6
"""Differences that an error shows."""


class UnrecordedRequest(PuterError):
    """A cassette has no answer to a request; nothing was sent."""


# ---------------------------------------------------------------- forms without secrets


class Cleaner:
    """Writes requests and answers as forms without secrets.

    Args:
        secrets: Those that are known; what else looks like one is found without.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        known = list(secrets)
        self._clean = Redactor(known).whole
        self._known = [one.reveal().encode("utf-8", "surrogatepass") for one in known]

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Form:
        """What a request is recognised by."""
        kind = next((headers[name] for name in headers if name.lower() == "content-type"), "")
        where = _LOCAL.sub(r"\1", self._clean(url))  # a server of tests takes any port
        return {"method": method, "url": where, **self._body(mime_type(kind), body)}

    def reply(self, reply: HttpReply, body: bytes) -> Form:
        """An answer, of which this body came."""
        headers = {name: reply.headers[name] for name in sorted(reply.headers)}
        kept = {name: one for name, one in headers.items() if _HEADERS.fullmatch(name)}
        opened = {} if reply.stream is None else {"stream": True}
        body_form = self._body(reply.content_type, body)
        return {"status": reply.status, "headers": self._clean(kept), **opened, **body_form}

    def _body(self, kind: str, body: bytes) -> Form:
        if not body:
            return {}
        try:
            text = body.decode()
        except UnicodeDecodeError:
            for secret in filter(None, self._known):
                body = body.replace(secret, MARK.encode())
            return {"base64": base64.b64encode(body).decode()}
        try:
            if kind == NDJSON and text.endswith("\n"):
                return {"lines": self._lines([json.loads(one) for one in text.split("\n")[:-1]])}
            if is_json(kind) or not kind:
                return {"json": self._clean(json.loads(text))}
        except (ValueError, RecursionError):
            pass
        return {"text": self._clean(text)}

    def _lines(self, lines: list[Any]) -> list[Any]:
        """Lines of a stream, also without secrets that come in pieces: the first then has all."""
        cleaned: list[Any] = self._clean(lines)
        pieces: dict[str, list[int]] = defaultdict(list)
        for number, line in enumerate(lines):
            for name, value in line.items() if isinstance(line, dict) else ():
                if isinstance(value, str) and self._clean({name: "-"}) == {name: "-"}:
                    pieces[name].append(number)
        for name, (first, *rest) in pieces.items():
            whole = self._clean("".join(lines[number][name] for number in (first, *rest)))
            if whole != "".join(cleaned[number][name] for number in (first, *rest)):
                cleaned[first][name] = whole
                for number in rest:
                    cleaned[number][name] = ""
        return cleaned


def pieces_of(form: Form) -> list[bytes]:
    """The body of an answer, each line of a stream for itself."""
    if "base64" in form:
        return [base64.b64decode(form["base64"], validate=True)]
    if "text" in form:
        return [form["text"].encode()]
    if "json" in form:
        return [_json(form["json"])]
    return [_json(line) + b"\n" for line in form.get("lines", ())]


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# ---------------------------------------------------------------- the file


class Tape:
    """Exchanges in the order in which their requests were sent.

    Args:
        content: The file; None for an empty one.

    Raises:
        ValueError: It is the file of no cassette.
    """

    def __init__(self, content: bytes | None = None) -> None:
        self._exchanges: list[Form] = [] if content is None else _read(content)
        self._left: dict[str, deque[Form]] = defaultdict(deque)
        for one in self._exchanges:
            self._left[_key(one["request"])].append(one["reply"])

    def begin(self, request: Form) -> Form:
        """The place of an exchange, which counts once it has its ``"reply"``."""
        exchange = {"request": request}
        self._exchanges.append(exchange)
        return exchange

    def content(self) -> bytes:
        """The file."""
        done = [one for one in tuple(self._exchanges) if "reply" in one]
        text = json.dumps({"version": VERSION, "exchanges": done}, indent=2, ensure_ascii=False)
        text = _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
        return f"{text}\n".encode()

    def answer_to(self, request: Form) -> Form:
        """The next answer to this request.

        Raises:
            UnrecordedRequest: There is none, or none is left.
        """
        left = self._left.get(_key(request))
        try:
            if left is not None:
                return left.popleft()
        except IndexError:
            raise UnrecordedRequest(
                f"{_name(request)} is sent more often than it was recorded",
                hint="Delete the cassette to record it anew.",
            ) from None
        raise UnrecordedRequest(self._unknown(request), hint=_ANEW)

    def _unknown(self, request: Form) -> str:
        alike = [
            list(differences(one["request"], request))
            for one in self._exchanges
            if _name(one["request"]) == _name(request)
        ]
        if not alike:
            names = dict.fromkeys(_name(one["request"]) for one in self._exchanges)
            recorded = ", ".join(list(names)[:_SHOWN]) or "nothing"
            return f"{_name(request)} is not in the cassette; recorded is {recorded}"
        nearest = min(alike, key=len)
        more = f"; and {len(nearest) - _SHOWN} more" if len(nearest) > _SHOWN else ""
        return (
            f"{_name(request)} is not in the cassette as it is sent now; the nearest of "
            f"{len(alike)} differs in {'; '.join(nearest[:_SHOWN])}{more}"
        )


_ANEW = "Delete the cassette to record it anew, or ask as it was asked then."


def _read(content: bytes) -> list[Form]:
    try:
        data = json.loads(content)
        if data["version"] != VERSION:
            raise ValueError(f"its version is {repr_of(data['version'])}, not {VERSION}")
        exchanges: list[Form] = data["exchanges"]
        for one in exchanges:
            reply = one["reply"]
            HttpReply(int(reply["status"]), reply["headers"], b"".join(pieces_of(reply)))
            _key(dict(one["request"]))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it lacks {error}") from None
    return exchanges


def _key(request: Form) -> str:
    return json.dumps(request, sort_keys=True)


def _name(request: Form) -> str:
    return f"{request.get('method')} {request.get('url')}"


_ABSENT: Any = object()


def differences(recorded: Any, now: Any, place: str = "") -> Iterator[str]:
    """What differs between two values of JSON, and where.

    Examples:
        >>> list(differences({"a": [1, 2]}, {"a": [1, 3], "b": None}))
        ['a[1]: 2 was recorded, now 3', 'b: nothing was recorded, now None']
    """
    if isinstance(recorded, dict) and isinstance(now, dict):
        for name in dict.fromkeys((*recorded, *now)):
            inner = f"{place}.{name}" if place else str(name)
            yield from differences(recorded.get(name, _ABSENT), now.get(name, _ABSENT), inner)
    elif isinstance(recorded, list) and isinstance(now, list):
        for index in range(max(len(recorded), len(now))):
            one, other = (
                values[index] if index < len(values) else _ABSENT for values in (recorded, now)
            )
            yield from differences(one, other, f"{place}[{index}]")
    elif (
        recorded is _ABSENT or now is _ABSENT or type(recorded) is not type(now) or recorded != now
    ):
        yield f"{place}: {_shown(recorded)} was recorded, now {_shown(now)}"


def _shown(value: Any) -> str:
    return "nothing" if value is _ABSENT else repr_of(value, 80)
