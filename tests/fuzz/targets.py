"""What is fuzzed: how a case is made, and what may come of it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import enum
import html
import json
import re
import tempfile
import uuid
import zlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple, Optional, TypedDict
from urllib.parse import unquote

import puter
from puter import PuterAI, PuterError
from puter.api.output_types import output_adapter
from puter.engine.failures import conceal
from puter.exceptions import PuterInputError
from puter.history import load
from puter.jsonable import to_json
from puter.models import registry
from puter.schema import Mismatch, TypeAdapter, adapter, convert
from puter.secret import Secret
from puter.testing import MockTransport
from puter.transports.mock import MockReply, MockRequest
from puter.types.media import Audio, Image, Video
from puter.types.model import ModelList
from puter.types.replies import ChatReply
from puter.wire.accumulator import StreamAccumulator
from puter.wire.catalogue import read_entries, read_model
from puter.wire.dialects import PROVIDERS
from puter.wire.dialects.base import BASE
from puter.wire.encoding import PIECE, ContentError, Decoder
from puter.wire.errors import error_of, vendor_error
from puter.wire.fragments import fragments
from puter.wire.http import HttpReply, HttpRequest
from puter.wire.json import read_json, read_model_json
from puter.wire.media import read_media, read_ocr, read_spent, read_transcript
from puter.wire.messages import check_messages
from puter.wire.metering import read_account_usage, read_app_usage
from puter.wire.ndjson import LineError, NDJSONDecoder
from puter.wire.pieces import json_body
from puter.wire.redact import Redactor
from puter.wire.typed import read_typed
from tests.fuzz.mutations import SECRET, Damage
from tests.test_any_answer import CALLS, CLAUDE, LINES, MODEL, SPENT

WIRE = Path(__file__).parents[1] / "fixtures" / "wire"


def captures(name: str) -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = json.loads((WIRE / f"{name}.json").read_bytes())
    return loaded


def answers(*names: str) -> list[Any]:
    """The bodies that are JSON."""
    found = [one["response"]["body"] for name in names for one in captures(name).values()]
    return [one for one in found if isinstance(one, (dict, list))]


class Target(NamedTuple):
    """One reader."""

    make: Callable[[Damage], Any]
    """A case: a value whose repr says all."""
    check: Callable[[Any], object]
    """Reads it, and asserts what holds of all that it gives."""
    allowed: tuple[type[Exception], ...] = ()
    """How it may refuse."""


TARGETS: dict[str, Target] = {}


def target(
    make: Callable[[Damage], Any], *allowed: type[Exception]
) -> Callable[[Callable[[Any], object]], Callable[[Any], object]]:
    def add(check: Callable[[Any], object]) -> Callable[[Any], object]:
        TARGETS[check.__name__] = Target(make, check, allowed)
        return check

    return add


def of_values(samples: list[Any]) -> Callable[[Damage], Any]:
    return lambda damage: damage.value(damage.one_of(samples))


def of_bytes(samples: list[bytes]) -> Callable[[Damage], Any]:
    return lambda damage: damage.data(damage.one_of(samples))


def of_texts(samples: list[str]) -> Callable[[Damage], Any]:
    return lambda damage: damage.text(damage.one_of(samples))


# ------------------------------------------------------------ JSON and its lines

STREAMS = [
    one["response"]["body"].encode()
    for one in captures("streams").values()
    if isinstance(one["response"]["body"], str)
]
HALVES = b'{"type":"text","text":"a\\ud83d"}\n{"type":"text","text":"\\ude00b"}\n{"type":"usage"}'
FEW_LINES = [
    HALVES,
    *(
        b"\n".join(lines[start : start + 2]) + b"\n"
        for lines in (one.split(b"\n") for one in (*STREAMS, HALVES))
        for start in range(len(lines))
    ),
]
JSON = [json.dumps(one).encode() for one in answers("chat_answers", "media", "files", "signin")]


@target(lambda damage: damage.cut(damage.data(damage.one_of(FEW_LINES))))
def ndjson(pieces: list[bytes]) -> None:
    """Any cut of the bytes gives the same lines, and the same complaint."""
    at_once, piecemeal = _lines([b"".join(pieces)]), _lines(pieces)
    assert at_once == piecemeal or repr(at_once) == repr(piecemeal)  # with NaN in it


def _lines(pieces: list[bytes]) -> tuple[list[Any], bool]:
    decoder, lines, whole = NDJSONDecoder(), [], True
    try:
        for piece in pieces:
            lines += decoder.feed(piece)
        lines += decoder.flush()
    except LineError as error:
        lines, whole = lines + error.before, False
    assert all(type(line) is dict for line in lines)
    return lines, whole


@target(of_bytes(JSON), ValueError)
def json_value(data: bytes) -> None:
    """What was read can be written."""
    json.dumps(read_json(data), ensure_ascii=False).encode()


MODEL_TEXTS = [
    '{"name": "Ada", "age": 36, "tags": ["a", "b"]}',
    'Sure! Here it is:\n```json\n{"name": \'Ada\', "age": 36.50,}\n```\nAnything else?',
    '<think>{"no": 1}</think>\n[1, 2, 3]',
    "{'answer': True, 'value': None, “x”: [1e3, -0.5]}",
    '{"value": {"name": "Ada \\ud83d\\ude00", "age": 1, "tags": []}}',
    "**Positive.**",
    "The answer is **42**.",
    "yes",
    '"2026-01-01T10:00:00Z"',
]


@target(of_texts(MODEL_TEXTS), ValueError)
def model_json(text: str) -> None:
    """What a model wrote can be sent again."""
    json_body(read_model_json(text))


@target(of_texts(MODEL_TEXTS), ValueError)
def prose(text: str) -> None:
    found = fragments(text)
    assert len(found.words) <= len(text)


# ------------------------------------------------------------ content codings

PACKED = [
    (coding, packer.compress(one) + packer.flush())
    for one in (b"", b'{"success":true}' * 4, bytes(2**19), STREAMS[0])
    for coding, wbits in (("gzip", 31), ("deflate", 15), ("deflate", -15), (" X-GZIP", 31))
    for packer in (zlib.compressobj(wbits=wbits),)
]
PACKED.append(("gzip", PACKED[0][1] + PACKED[4][1] + b"\0\0"))
CODINGS = ["gzip", "deflate", "identity", "br", "gzip, gzip", "", "\u2028"]


def _some_content(damage: Damage) -> tuple[str, list[bytes]]:
    coding, data = damage.one_of(PACKED)
    if damage.below(10) == 0:
        coding = damage.one_of(CODINGS)
    return coding, damage.cut(damage.data(data))


@target(_some_content)
def encoding(case: tuple[str, list[bytes]]) -> None:
    """Any cut of the bytes gives the same content, and none is in a large piece."""
    coding, pieces = case
    assert _content(coding, pieces) == _content(coding, [b"".join(pieces)])


def _content(coding: str, pieces: list[bytes]) -> tuple[bytes, str]:
    content, told = b"", ""
    try:
        decoder = Decoder(coding)
        for piece in pieces:
            for one in decoder.decode(piece):
                assert len(one) <= PIECE or not decoder.coding
                content += one
        decoder.end()
    except ContentError as error:
        told = str(error)
    return content if told[-3:] in ("", "off") else b"", told


# ------------------------------------------------------------ chats

PARTS = [
    *LINES,
    {
        "type": "text",
        "text": [{"type": "text", "text": "Hi"}, {"type": "thinking", "thinking": []}],
    },
    {"type": "image", "image": {"image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}},
    {"type": "reasoning_detail", "detail": {"type": "x", "signature": "s"}},
    {"type": "extra_content", "extra_content": {"a": 1}},
    {"type": "compaction", "encrypted_content": "c", "id": "i"},
    {"type": "error", "message": '400 {"type":"error","error":{"message":"bad"}}'},
    {"type": "error", "status": 429, "code": "upstream_rate_limited", "message": SECRET},
    {"error": {"message": f"no {SECRET}", "code": "x"}, "metadata": {"usage_limited": True}},
]
FEW_MORE = [NDJSONDecoder().feed(one) for one in FEW_LINES]


def _some_lines(damage: Damage) -> list[Any]:
    few = [damage.one_of(PARTS) for _ in range(1 + damage.below(5))]
    lines = damage.value(few if damage.below(3) else damage.one_of(FEW_MORE))
    return [one for one in lines if isinstance(one, dict)] if isinstance(lines, list) else []


@target(_some_lines)
def stream(lines: list[dict[str, Any]]) -> None:
    """A stream has a reply whatever its lines hold, and fails without telling a secret."""
    read = StreamAccumulator("m")
    for line in lines:
        _seen(read.add([line]))
    _reply(read.reply())
    if read.failure is not None:
        _failure(read.failure, lines)


def _seen(chunks: list[Any]) -> None:
    for one in chunks:
        assert str(one) == "".join(one)
        assert repr(one)


def _reply(reply: ChatReply) -> None:
    """It prints, and survives JSON."""
    assert repr(reply)
    assert not (reply.cost is not None and not reply.cost.is_finite())
    assert reply.usage.total_tokens >= 0
    data = reply.to_dict()
    again = ChatReply.from_dict(json.loads(json.dumps(data)))
    assert again.text == reply.text
    assert again.cost == reply.cost


HIDDEN = Secret(SECRET)


def _failure(error: PuterError, case: Any) -> None:
    """It prints, and tells no secret, nor a part of it that was cut off by ourselves."""
    assert isinstance(error, PuterError)
    conceal(error, (HIDDEN,))  # as the client does with whatever leaves it
    told = f"{error} {error!r} {error.hint}"
    told += f"{getattr(error, 'body', None)} {getattr(error, 'code', None)}"
    assert SECRET not in told, "a secret"
    if SECRET[:9] not in repr(case).replace(SECRET, ""):
        assert SECRET[:9] not in told, "a part of a secret"
    assert "\n" not in str(getattr(error, "code", ""))
    wait = getattr(error, "retry_after", None)
    assert wait is None or 0 < wait < float("inf")


ENVELOPES = [*answers("chat_answers"), {"result": CLAUDE}]


@target(of_values(ENVELOPES), puter.PuterResponseError)
def chat(answer: Any) -> None:
    _reply(BASE.decode(answer))


MESSAGES = [one["messages"] for one in captures("upstream_messages").values()]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
PDF = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}
MESSAGES.append(
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, PICTURE]},
        {
            "role": "assistant",
            "content": "x",
            "reasoning_details": [{"signature": "s"}],
            "made_by": {"family": "claude", "model": "m"},
        },
        {"type": "compaction", "encrypted_content": "c"},
        {"role": "user", "content": [{"type": "file", "file": PDF}]},
    ]
)
DIALECTS = list(dict.fromkeys(one.dialect for one in PROVIDERS.values()))


@target(of_values(MESSAGES), PuterInputError)
def messages(given: Any) -> None:
    """Messages that pass the check can be sent along every route."""
    checked = check_messages(given)
    for dialect in DIALECTS:
        json_body(dialect.encode(checked, {}, model="m"))


SAVED = [
    ChatReply("Hi", cost=Decimal("0.1"), model="m", messages=({"role": "user", "content": "x"},)),
    BASE.decode(CALLS["chat"][3]),
    BASE.decode({"result": CLAUDE}),
]


@target(of_values([json.loads(json.dumps(one.to_dict())) for one in SAVED]), ValueError)
def saved_reply(data: Any) -> None:
    if isinstance(data, dict):
        ChatReply.from_dict(data)


TALKS = [
    json.dumps({"puter_conversation": 1, "system": "s", "model": None, "messages": one}).encode()
    for one in MESSAGES
]


@target(of_bytes(TALKS), PuterInputError)
def saved_talk(data: bytes) -> None:
    """A conversation in a file is refused, or goes on."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        history = load(file.name)
    json_body(BASE.encode(history.messages, {}))


# ------------------------------------------------------------ other answers

IMAGES: list[Any] = [
    "data:image/png;base64,iVBORw0KGgo=", {"url": "https://x.example/a.png"},
    {"asset_url": "https://x.example/a.mp4"}, {"href": "data:audio/mpeg;base64,SUQz"},
    {"stream": {}}, *(one.get("result") for one in answers("media") if isinstance(one, dict)),
]  # fmt: skip
OCR = [
    CALLS["text of a picture"][3]["result"],
    CALLS["pages"][3]["result"],
    CALLS["transcript"][3]["result"],
]


@target(of_values([*IMAGES, *OCR]), PuterError)
def media(result: Any) -> None:
    readers: list[Callable[[], Any]] = [
        *(lambda kind=kind: read_media(kind, result) for kind in (Image, Audio, Video)),
        lambda: read_ocr(result),
        lambda: read_transcript(result),
    ]
    for read in readers:
        with contextlib.suppress(PuterError):
            found = read()
            assert repr(found)
            assert isinstance(getattr(found, "mime_type", ""), str)
    reply = HttpReply(200, {"content-type": "application/json"})
    reply._data = {"result": result}
    _, usage, cost = read_spent(reply)
    assert cost is None or cost.is_finite()
    assert usage is None or usage.total_tokens >= 0


CATALOGUE = json.loads((Path(puter.__file__).parent / "catalogue.json").read_bytes())
ENTRIES = [(kind, one) for kind in ("chat", "image", "video") for one in CATALOGUE[kind]]
LONG = {"threshold": 1000, "input_multiplier": 2, "output_multiplier": 1.5}


def _some_models(damage: Damage) -> tuple[str, Any]:
    kind, entry = damage.one_of([*ENTRIES, ("chat", {**MODEL, "long_context_pricing": LONG})])
    return kind, damage.value({"models": [entry, MODEL]})


@target(_some_models, puter.PuterResponseError)
def catalogue(case: tuple[str, Any]) -> None:
    kind, data = case
    models = ModelList(read_model(entry, kind) for entry in read_entries(data, kind))
    for one in models:
        cost = one.cost(10_000, 2_000, 50)
        assert cost is None or cost.is_finite()
        assert repr(one)
    assert repr(models.cheapest(max_input_price=5))
    models.find("gpt", vision=True, min_context=5)


@target(of_values([SPENT, CALLS["spending"][3], SPENT["usage"]]), puter.PuterResponseError)
def metering(data: Any) -> None:
    for read in (read_account_usage, read_app_usage):
        with contextlib.suppress(puter.PuterResponseError):
            found = read(data, registry().all_ids)
            assert found.spent.is_finite()
            assert str(found)
            assert repr(found)


# ------------------------------------------------------------ errors

REQUEST = HttpRequest("POST", "https://api.puter.com/drivers/call")
ERRORS = [
    (one["response"]["status"], one["response"].get("headers", {}), one["response"]["body"])
    for name in ("errors", "chat_errors", "calls", "files", "signin")
    for one in captures(name).values()
]
STATUSES = (
    200,
    204,
    302,
    400,
    401,
    402,
    403,
    404,
    407,
    409,
    413,
    418,
    429,
    500,
    502,
    503,
    504,
    599,
)
KINDS = ("application/json", "text/html", "text/plain", "", "application/x-ndjson", "x/y+json;;")
HEADERS = ("retry-after", "location", "date", "x-needs-upgrade")
WORTHS = (
    "", "0", "-5", "nan", "1e999", "3", "x", "Wed, 99 Foo", "Wed, 21 Oct 2026 07:28:00 GMT",
    "Mon, 01 Jan 0001 00:00:00 +2359", "http://[::1", f"https://x/?t={SECRET}", "9" * 5000,
)  # fmt: skip


def _some_error(damage: Damage) -> tuple[int, dict[str, str], bytes]:
    status, headers, body = damage.one_of(ERRORS)
    if damage.below(3) == 0:
        status = damage.one_of(STATUSES)
    headers = {**headers}
    while damage.below(2):
        headers[damage.one_of(HEADERS)] = damage.one_of(WORTHS)
    if damage.below(4) == 0:
        headers["Content-Type"] = damage.one_of(KINDS)
    if isinstance(body, (dict, list)):
        body = json.dumps(damage.value(body))
    data = body.encode("utf-8", "replace")
    return status, headers, data if damage.below(2) else damage.data(data)


@target(_some_error)
def errors(case: tuple[int, dict[str, str], bytes]) -> None:
    """What is no success is a PuterError that tells no secret."""
    status, headers, body = case
    reply = HttpReply(status, headers, body)
    if not reply.is_success(REQUEST.expect):
        _failure(error_of(REQUEST, reply), case)


VENDORS = [
    "bad",
    '{"type":"error","error":{"type":"invalid_request_error","message":"bad"}}',
    '400 {"error":{"message":"x"}}',
    f"key {SECRET} Bearer {SECRET}",
]


@target(
    lambda damage: (damage.one_of((*STATUSES, -1, 0, 10**9)), damage.text(damage.one_of(VENDORS)))
)
def vendors(case: tuple[int, str]) -> None:
    status, text = case
    line = {"type": "error", "message": text, "status": status, "body": [text]}
    _failure(vendor_error(status, text, body=line), case)
    read = StreamAccumulator("m")
    read.add([line])
    assert read.failure is not None
    _failure(read.failure, case)


WRITTEN = [
    SECRET,
    "".join(f"\\u{ord(one):04x}" for one in SECRET),
    "".join(f"%{ord(one):02X}" for one in SECRET),
    "".join(f"&#{ord(one)};" for one in SECRET),
    json.dumps(json.dumps({"x": f"\n{SECRET}"})),
]
AROUND = ["", " ", '"', "{", '\\"', "eyJ", "://", "Bearer ", "\\", "%", "&"]


_ESCAPED = re.compile(r"\\u([0-9a-f]{4})")


def _some_text(damage: Damage) -> tuple[int, str]:
    pieces = [damage.one_of(AROUND), damage.one_of(WRITTEN), damage.one_of(AROUND)]
    noise = damage.text("a line of a log or of an answer")
    if damage.below(200) == 0:
        pieces.insert(0, "x" * damage.below(70_000))  # more than is looked at
    return 50 + damage.below(1000), "".join([noise[: damage.below(60)], *pieces, noise])


@target(_some_text)
def redaction(case: tuple[int, str]) -> None:
    """No form of a secret is left, whole or cut."""
    limit, text = case
    redactor = Redactor((HIDDEN,))
    for told in (redactor(text), redactor(text, limit)):
        plain = html.unescape(unquote(_ESCAPED.sub(lambda one: chr(int(one[1], 16)), told)))
        assert SECRET not in told + plain
        if text.count(SECRET[:9]) == text.count(SECRET):
            assert SECRET[:9] not in told + plain
    assert len(redactor(text, limit)) <= limit


# ------------------------------------------------------------ types


class Colour(enum.Enum):
    RED = "red"
    TWO = 2
    NONE = None


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5
    label: Optional[str] = None  # noqa: UP045 - read as users write it


@dataclasses.dataclass
class Tree:
    name: str
    children: list[Tree] = dataclasses.field(default_factory=list)


class Pair(NamedTuple):
    first: int
    second: str = "s"


class Film(TypedDict, total=False):
    title: str
    year: int


TYPES: list[tuple[Any, Any]] = [
    (int, 5), (float, 1.5), (str, "x"), (bool, True), (Decimal, "1.10"), (bytes, "eHh4"),
    (list[int], [1, 2]), (dict[str, float], {"a": 1.5}), (dict[int, str], {"1": "a"}),
    (set[int], [1, 2]), (tuple[int, str], [1, "a"]), (tuple[int, ...], [1, 2, 3]),
    (Literal["a", 1, True] | None, "a"), (Colour, "red"), (int | str | None, 5),
    (Point, {"x": 1, "y": 2, "label": "l"}), (list[Point], [{"x": 1}]), (Pair, {"first": 1}),
    (Film, {"title": "t", "year": 1999}), (Tree, {"name": "a", "children": [{"name": "b"}]}),
    (dt.datetime, "2026-01-01T10:00:00Z"), (dt.date, "2026-01-01"), (dt.time, "10:00"),
    (dt.timedelta, 90.5), (uuid.UUID, "12345678-1234-5678-1234-567812345678"),
    (list[dict[str, int | None]], [{"a": 1, "b": None}]), (Any, {"a": [1]}),
]  # fmt: skip
ADAPTERS = [(adapter(of), value) for of, value in TYPES]


def _some_type(damage: Damage) -> tuple[int, Any]:
    number = damage.below(len(TYPES))
    return number, damage.value(TYPES[number][1])


@target(_some_type, Mismatch)
def types(case: tuple[int, Any]) -> None:
    """What a type takes it takes again, strictly, as it writes it."""
    number, value = case
    found = convert(ADAPTERS[number][0], value)
    again = convert(ADAPTERS[number][0], to_json(found), lax=False)
    assert again == found or repr(again) == repr(found)  # with NaN in it


SCHEMAS = [one.schema for one, _ in ADAPTERS if one.schema]
SCHEMAS.append(
    {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/b"}},
        "$defs": {"b": {"enum": [1, "x"]}},
        "required": ["a"],
        "additionalProperties": False,
        "allOf": [{"minProperties": 1}],
    }
)


def _some_schema(damage: Damage) -> tuple[Any, Any]:
    return damage.value(damage.one_of(SCHEMAS)), damage.value(damage.one_of(TYPES)[1])


@target(_some_schema, PuterInputError, Mismatch)
def schemas(case: tuple[Any, Any]) -> None:
    """A schema of the user's is refused, or judges every value."""
    schema, value = case
    convert(output_adapter(schema), value)


OUTPUTS: list[TypeAdapter] = [
    adapter(of)
    for of in (Point, list[int], int, str, bool, Colour, Literal["positive", "negative"], Film,
               dt.datetime, dict[str, Any], int | None, Decimal)
]  # fmt: skip


@target(
    lambda damage: (damage.below(len(OUTPUTS)), damage.text(damage.one_of(MODEL_TEXTS))), ValueError
)
def typed(case: tuple[int, str]) -> None:
    number, text = case
    read_typed(text, OUTPUTS[number])


# ------------------------------------------------------------ the whole client

OPERATIONS = [name for name in CALLS if CALLS[name][0] != "logout"]


def _some_answer(damage: Damage) -> tuple[str, list[bytes]]:
    name = damage.one_of(OPERATIONS)
    right = CALLS[name][3]
    values = damage.value(right)
    parts = values if name == "stream" and isinstance(values, list) else [values]
    data = [json.dumps(one).encode("utf-8", "replace") + b"\n" for one in parts]
    if damage.below(3) == 0 and data:
        data[-1] = damage.data(data[-1])
    return name, data


@target(_some_answer)
def client(case: tuple[str, list[bytes]]) -> None:
    """Every operation ends in a value or a PuterError, and holds no permit."""
    name, data = case
    operation, args, options, _ = CALLS[name]
    kind = "application/x-ndjson" if name == "stream" else "application/json"

    def answer(request: MockRequest) -> Any:
        if ".example" in request.url:
            return b"data"
        headers = {"content-type": kind}
        if name == "stream":
            return MockReply(lines=iter(data), headers=headers)
        return MockReply(body=b"".join(data), headers=headers)

    token = None if operation == "login" else SECRET
    ai = PuterAI("a", SECRET, token, transport=MockTransport(answer), max_retries=0)
    try:
        value = getattr(ai, operation)(*args, **options)
        if name == "stream":
            for _ in value:
                pass
            value = value.reply
        assert repr(value) is not None
    except PuterError as error:
        _failure(error, case)
    finally:
        assert ai._throttle.running == 0
